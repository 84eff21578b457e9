"""Counting and showing prompts."""

from __future__ import annotations

import json

from tests.unit.serve.conftest import Serve
from tests.unit.serve.test_content import PNG

MESSAGES = [{"role": "user", "content": "hi"}]


def test_text_goes_to_tokens_and_back(serve: Serve) -> None:
    client = serve(context_length=999).client
    text = "gr\u00fc\u00df dich <image> <SPECIAL_12>"
    body = client.post("/tokenize", json={"prompt": text}).json()
    assert body["count"] == len(body["tokens"])
    assert body["max_model_len"] == 999
    assert client.post("/detokenize", json={"tokens": body["tokens"][1:]}).json() == {
        "prompt": text
    }
    bare = client.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()
    assert bare["tokens"] == body["tokens"][1:]
    named = client.post("/tokenize", json={"prompt": "ab", "return_token_strs": True}).json()
    assert named["token_strs"] == ["<s>", "a", "b"]


def test_the_count_of_messages_is_the_prompt_of_the_answer(serve: Serve) -> None:
    served = serve()
    content = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": PNG}]
    messages = [{"role": "user", "content": content}]
    counted = served.client.post("/tokenize", json={"messages": messages}).json()
    usage = served.chat(content).json()["usage"]
    assert counted["count"] == usage["prompt_tokens"]
    assert counted["multimodal_tokens"] == usage["prompt_tokens_details"]["multimodal_tokens"]
    (row,) = counted["nanovl_media"]
    assert row["kind"] == "image"
    assert row["tokens"] == counted["multimodal_tokens"]["image"]
    on = {"messages": messages, "chat_template_kwargs": {"enable_thinking": True}}
    assert served.client.post("/tokenize", json=on).json()["tokens"] != counted["tokens"]


def test_a_prompt_that_is_too_long_is_still_counted(serve: Serve) -> None:
    client = serve(context_length=64).client
    messages = [{"role": "user", "content": "x" * 500}]
    assert client.post("/tokenize", json={"messages": messages}).json()["count"] > 500


def test_the_prompt_is_shown(serve: Serve) -> None:
    served = serve()
    content = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": PNG}]
    body = {"messages": [{"role": "user", "content": content}]}
    shown = served.client.post("/v1/chat/completions/render", json=body).json()
    assert shown["prompt"].count("<image>") == 1
    assert shown["prompt"].endswith("<think></think>")
    served.chat(content)
    assert served.model.engine.streams[-1].request.layout.input_ids == shown["prompt_token_ids"]


def test_wrong_requests(serve: Serve) -> None:
    client = serve().client
    for path, body in (
        ("/tokenize", {}),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}),
        ("/tokenize", {"prompt": "\ud800"}),
        ("/detokenize", {"tokens": [10**9]}),
        ("/detokenize", {"tokens": ["a"]}),
        ("/detokenize", {}),
        ("/v1/chat/completions/render", {"prompt": "a"}),
    ):
        sent = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        assert client.post(path, **sent).status_code == 400, (path, body)
    assert client.post("/tokenize", json={"prompt": "a", "model": "x"}).status_code == 404
