"""Run by an interpreter with xllamacpp: logarithms of next-token probabilities of GGUF files.

    python llamacpp_logprobs.py FOLDER REQUESTS.json OUT.json

REQUESTS.json is a list of bodies for the completion endpoint of llama.cpp's server; OUT.json gets a
list of {token id: number} for each. With {"media": PATH} in a body, the picture stands where the
prompt says <__media__>. {"letter": ID} is a token that is a whole character: it is made the answer,
since nothing is told about answers that end inside one; the numbers are those before that. A body
{"tokenize": TEXT} gets the ids of a text instead.
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

import xllamacpp


def ask(server: xllamacpp.Server, path: str, body: dict | None = None) -> dict:
    """One request, GET without a body."""
    call = urllib.request.Request(
        f"{server.listening_address}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(call, timeout=120) as reply:
        return json.load(reply)


def main() -> None:
    """Command line."""
    folder, requests, out = (Path(word) for word in sys.argv[1:4])
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "model.gguf")
    params.mmproj.path = str(folder / "mmproj.gguf")
    params.n_ctx = 512
    params.n_parallel = 1
    params.warmup = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port = 0
    server = xllamacpp.Server(params)
    marker = ask(server, "props").get("media_marker", "<__media__>")
    rows = []
    for body in json.loads(requests.read_text()):
        if "tokenize" in body:
            content = {"content": body["tokenize"], "add_special": False, "parse_special": True}
            rows.append(ask(server, "tokenize", content)["tokens"])
            continue
        media = body.pop("media", None)
        if media is not None:
            data = base64.b64encode(Path(media).read_bytes()).decode()
            text = body["prompt"].replace("<__media__>", marker)
            body["prompt"] = {"prompt_string": text, "multimodal_data": [data]}
        body["logit_bias"] = [[body.pop("letter"), 1000.0]]
        body |= {"n_predict": 1, "temperature": 0.0, "cache_prompt": False}
        first = ask(server, "completion", body)["completion_probabilities"][0]
        rows.append({str(top["id"]): top["logprob"] for top in first["top_logprobs"]})
    out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
