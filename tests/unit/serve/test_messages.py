"""`/v1/messages`: blocks in, blocks and named events out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from nanovl.core.generation import Delta
from nanovl.serve.anthropic import chat_body
from nanovl.serve.errors import ApiError
from nanovl.serve.schema import MessagesRequest, validated
from nanovl.testing.media import picture, picture_bytes
from tests.unit.serve.conftest import Serve
from tests.unit.serve.fakes import FakeRequest, generation
from tests.unit.serve.test_chat import calling, only_thinking, thinking

ASK = {"max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"name": "add", "description": "adds", "input_schema": {"type": "object"}}


def chat(**fields: Any) -> dict[str, Any]:
    return chat_body(validated(MessagesRequest, {**ASK, **fields}))


def events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def without_ids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in block.items() if k != "id"} for block in blocks]


def joined(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks a stream tells about."""
    blocks: list[dict[str, Any]] = []
    open_block = False
    for event in found:
        if event["type"] == "content_block_start":
            assert not open_block
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
            parts, open_block = "", True
        elif event["type"] == "content_block_delta":
            assert open_block
            delta = event["delta"]
            if delta["type"] == "input_json_delta":
                parts += delta["partial_json"]
            else:
                name = delta["type"].removesuffix("_delta")
                blocks[-1][name] += delta[name]
        elif event["type"] == "content_block_stop":
            open_block = False
            if blocks[-1]["type"] == "tool_use":
                blocks[-1]["input"] = json.loads(parts)
    assert not open_block
    return blocks


def test_an_answer(serve: Serve) -> None:
    body = serve(thinking).client.post("/v1/messages", json=ASK).json()
    assert (body["type"], body["role"], body["stop_reason"]) == ("message", "assistant", "end_turn")
    assert body["id"].startswith("msg_")
    thought, text = body["content"]
    assert thought == {"type": "thinking", "thinking": "because", "signature": ""}
    assert text == {"type": "text", "text": "42"}
    assert body["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("script", [thinking, calling, only_thinking])
def test_a_stream_tells_the_same(serve: Serve, script: Any) -> None:
    served = serve(script)
    body = {**ASK, "tools": [TOOL]}
    whole = served.client.post("/v1/messages", json=body).json()
    found = events(served.client.post("/v1/messages", json={**body, "stream": True}).text)
    assert found[0]["type"] == "message_start"
    assert found[0]["message"]["content"] == []
    assert found[0]["message"]["usage"]["input_tokens"] > 0
    assert [e["type"] for e in found[-2:]] == ["message_delta", "message_stop"]
    assert without_ids(joined(found)) == without_ids(whole["content"])
    assert found[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert found[-2]["usage"] == whole["usage"]


def test_why_it_ended(serve: Serve) -> None:
    post = serve(calling).client.post
    assert post("/v1/messages", json={**ASK, "tools": [TOOL]}).json()["stop_reason"] == "tool_use"
    post = serve(only_thinking).client.post
    assert post("/v1/messages", json=ASK).json()["stop_reason"] == "max_tokens"


def test_everything_a_conversation_can_hold() -> None:
    data = base64.b64encode(picture_bytes(picture(8, 8, "noise"))).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    found = chat(
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": [image, {"type": "text", "text": "What?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "2"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": [image], "is_error": 1},
                    {"type": "document", "title": "a.pdf", "source": pdf},
                    {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}},
                    {"type": "document", "source": {"type": "text", "data": "plain"}},
                ],
            },
        ],
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "add", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 20},
        stop_sequences=["END"],
        top_k=3,
    )
    url = f"data:image/png;base64,{data}"
    picture_part = {"type": "image_url", "image_url": {"url": url}}
    system, asked, said, first, second, more = found["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert asked["content"] == [picture_part, {"type": "text", "text": "What?"}]
    assert said["content"] == "I look."
    assert said["reasoning"] == "hm"
    call = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    assert said["tool_calls"] == [call]
    assert first == {"role": "tool", "tool_call_id": "t1", "content": "2"}
    assert second["content"] == "Error: "
    assert [p["type"] for p in more["content"]] == ["image_url", "file", "pdf_url", "text"]
    assert more["content"][1]["file"]["filename"] == "a.pdf"
    assert found["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert found["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert found["parallel_tool_calls"] is False
    assert found["thinking"] == {"type": "enabled", "budget_tokens": 20}
    assert (found["stop"], found["top_k"], found["max_tokens"]) == (["END"], 3, 50)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages.0.content.0.source",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "image"}]}]},
            "messages.0.content.0.type",
        ),
        ({"system": [{"type": "image"}]}, "system.0"),
        ({"tools": [{"type": "web_search_20250305", "name": "x"}]}, "tools.0.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": []}}, "tool_choice.type"),
    ],
    ids=str,
)
def test_wrong_bodies_name_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as found:
        chat(**fields)
    assert (found.value.status, found.value.param) == (400, param)


def test_a_limit_is_required(serve: Serve) -> None:
    answer = serve().client.post("/v1/messages", json={"messages": ASK["messages"]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "max_tokens"


def test_tokens_are_counted_without_an_answer(serve: Serve) -> None:
    served = serve()
    body = {k: v for k, v in ASK.items() if k != "max_tokens"}
    count = served.client.post("/v1/messages/count_tokens", json=body).json()["input_tokens"]
    chat_count = served.client.post("/tokenize", json=body).json()["count"]
    assert count == chat_count > 0
    assert served.client.post("/v1/messages", json=ASK).status_code == 200


def test_keys_of_either_header(serve: Serve) -> None:
    served = serve(api_keys=("a-key",))
    for headers, status in (
        ({}, 401),
        ({"x-api-key": "a-key", "anthropic-version": "2023-06-01"}, 200),
        ({"Authorization": "Bearer a-key"}, 200),
    ):
        assert served.client.post("/v1/messages", json=ASK, headers=headers).status_code == status


def test_an_error_in_the_middle_is_an_event(serve: Serve) -> None:
    def breaking(request: FakeRequest) -> list[Any]:
        del request
        return [Delta(text="He", token_ids=(1,)), RuntimeError("secret detail")]

    answer = serve(breaking).client.post("/v1/messages", json={**ASK, "stream": True})
    found = events(answer.text)
    assert found[-1]["type"] == "error"
    assert found[-1]["error"]["type"] == "internal_error"
    assert "secret" not in answer.text


def test_a_stop_sequence_is_named(serve: Serve) -> None:
    def stopped(request: FakeRequest) -> list[Any]:
        done = generation(request, text="1 2", finish_reason="stop", stop_reason="3")
        return [Delta(text="1 2", token_ids=(1,)), Delta(finish_reason="stop", generation=done)]

    served = serve(stopped)
    body = served.client.post("/v1/messages", json={**ASK, "stop_sequences": ["3"]}).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "3")
    body = served.client.post("/v1/messages", json=ASK).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)


def test_the_official_client_reads_it(serve: Serve) -> None:
    anthropic = pytest.importorskip("anthropic")
    served = serve(calling)
    with (
        anthropic.Anthropic(
            base_url="http://127.0.0.1:8000", api_key="x", http_client=served.client
        ) as client,
        client.messages.stream(model="nanovl", **ASK, tools=[TOOL]) as stream,
    ):
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use", "tool_use"]
    assert final.content[1].input == {"a": 1}
    assert final.stop_reason == "tool_use"
