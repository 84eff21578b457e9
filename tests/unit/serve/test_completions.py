"""`/v1/completions`: strings, ids, lists of either."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.serve.conftest import Serve


def chunks(text: str) -> list[dict[str, Any]]:
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(b[6:]) for b in text.split("\n\n")[:-2] if b.startswith("data")]


@pytest.mark.parametrize(
    ("prompt", "ids"),
    [
        ("ab", [[257, 97, 98]]),
        (["a", "b"], [[257, 97], [257, 98]]),
        ([97, 98], [[97, 98]]),
        ([[97], [98]], [[97], [98]]),
    ],
)
def test_all_forms_of_prompts(serve: Serve, prompt: Any, ids: list[list[int]]) -> None:
    served = serve()
    body = served.client.post("/v1/completions", json={"prompt": prompt, "n": 2}).json()
    assert body["object"] == "text_completion"
    assert [c["index"] for c in body["choices"]] == list(range(2 * len(ids)))
    assert {c["text"] for c in body["choices"]} == {"Hello world"}
    assert [p["prompt_ids"] for p in served.model.planned] == ids
    assert served.model.engine.streams[0].request.sampling.max_tokens == 16
    assert body["usage"]["prompt_tokens"] == sum(map(len, ids))
    assert body["usage"]["completion_tokens"] == 22 * len(ids)


def test_a_stream_says_the_same(serve: Serve) -> None:
    served = serve()
    body = {"prompt": "ab", "stream": True, "n": 2, "echo": True, "logprobs": 1}
    options = {"stream_options": {"include_usage": True}}
    found = chunks(served.client.post("/v1/completions", json={**body, **options}).text)
    for index in (0, 1):
        own = [c["choices"][0] for c in found[:-1] if c["choices"][0]["index"] == index]
        assert "".join(c["text"] for c in own) == "abHello world"
        assert [c["finish_reason"] for c in own][-1] == "stop"
        offsets = [o for c in own if c["logprobs"] for o in c["logprobs"]["text_offset"]]
        assert offsets == list(range(2, 13))
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["completion_tokens"] == 22


def test_echo_with_logprobs_covers_the_prompt(serve: Serve) -> None:
    body = {"prompt": "ab", "echo": True, "logprobs": 1, "return_token_ids": True}
    (choice,) = serve().client.post("/v1/completions", json=body).json()["choices"]
    assert choice["text"] == "abHello world"
    rows = choice["logprobs"]
    assert "".join(rows["tokens"][1:]) == choice["text"]
    assert rows["token_logprobs"][0] is None
    for token, offset in zip(rows["tokens"][1:], rows["text_offset"][1:], strict=True):
        assert choice["text"][offset : offset + len(token)] == token
    assert choice["prompt_token_ids"] == [257, 97, 98]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"prompt": []},
        {"prompt": [[]]},
        {"prompt": {"a": 1}},
        {"prompt": [-1]},
        {"prompt": [10**9]},
        {"prompt": [1, "a"]},
        {"prompt": "a", "suffix": "b"},
        {"prompt": "a", "best_of": 3},
        {"prompt": "a", "logprobs": 99},
        {"prompt": ["a"] * 17},
        {"prompt": ["a", "b"], "stream": True},
        {"prompt": "\ud800"},
        {},
    ],
    ids=str,
)
def test_what_cannot_be_answered(serve: Serve, fields: dict[str, Any]) -> None:
    served = serve()
    answer = served.client.post(
        "/v1/completions", content=json.dumps(fields), headers={"Content-Type": "application/json"}
    )
    if fields.get("prompt") == "":
        assert answer.status_code == 200  # the begin token alone is a prompt
        return
    assert answer.status_code == 400, answer.text
    assert not served.model.engine.streams


def test_ids_of_pictures_are_no_prompt(serve: Serve) -> None:
    served = serve()
    image = served.model.tokenizer.image_id
    answer = served.client.post("/v1/completions", json={"prompt": [97, image]})
    assert answer.status_code == 400
    assert "picture" in answer.json()["error"]["message"]
