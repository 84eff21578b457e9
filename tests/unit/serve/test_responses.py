"""`/v1/responses`: items in, items and named events out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanovl.serve.errors import ApiError
from nanovl.serve.respond import as_chat, input_messages
from nanovl.serve.schema import ResponsesRequest, validated
from tests.unit.serve.conftest import Serve
from tests.unit.serve.test_chat import calling, only_thinking, thinking

KEYS = {"api_keys": ("a-key", "b-key")}


def events(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    assert [e["sequence_number"] for e in found] == list(range(len(found)))
    return found


def without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [without_ids(v) for v in value]
    if isinstance(value, dict):
        return {k: without_ids(v) for k, v in value.items() if k not in ("id", "call_id")}
    return value


def test_an_answer(serve: Serve) -> None:
    body = serve(thinking).client.post("/v1/responses", json={"input": "hi"}).json()
    assert body["object"] == "response"
    assert body["status"] == "completed"
    reasoning, message = body["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "because"}]
    assert message["content"][0]["text"] == "42"
    assert body["usage"]["total_tokens"] == (
        body["usage"]["input_tokens"] + body["usage"]["output_tokens"]
    )


@pytest.mark.parametrize("script", [thinking, calling, only_thinking])
def test_a_stream_ends_with_the_same_response(serve: Serve, script: Any) -> None:
    tools = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
    served = serve(script)
    body = {"input": "hi", "tools": tools}
    whole = served.client.post("/v1/responses", json=body).json()
    found = events(served.client.post("/v1/responses", json={**body, "stream": True}).text)
    assert [e["type"] for e in found[:2]] == ["response.created", "response.in_progress"]
    last = found[-1]["response"]
    assert found[-1]["type"] == f"response.{last['status']}"
    same = ("status", "output", "usage", "incomplete_details")
    assert without_ids({k: last[k] for k in same}) == without_ids({k: whole[k] for k in same})
    # Deltas of every item add up to the item.
    for index, item in enumerate(last["output"]):
        own = [e for e in found if e.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert own[-1]["type"] == "response.output_item.done"
        joined = "".join(e["delta"] for e in own if e["type"].endswith(".delta"))
        if item["type"] == "function_call":
            assert joined == item["arguments"]
        else:
            assert joined == item["content"][0]["text"]


def test_a_limit_makes_it_incomplete(serve: Serve) -> None:
    body = serve(only_thinking).client.post("/v1/responses", json={"input": "hi"}).json()
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}


def test_responses_are_kept_and_followed(serve: Serve) -> None:
    served = serve(thinking, **KEYS)
    a, b = ({"Authorization": f"Bearer {k}-key"} for k in "ab")
    post, get = served.client.post, served.client.get
    first = post("/v1/responses", json={"input": "my name is Ada"}, headers=a).json()
    path = f"/v1/responses/{first['id']}"
    assert get(path, headers=a).json() == first
    assert get(path, headers=b).status_code == 404
    follow = {"input": "what is my name?", "previous_response_id": first["id"]}
    assert post("/v1/responses", json=follow, headers=b).status_code == 404
    assert post("/v1/responses", json=follow, headers=a).status_code == 200
    said = served.model.planned[-1]["messages"].messages
    assert [m.role for m in said] == ["user", "assistant", "user"]
    assert said[1].parts[0].text == "42"
    assert served.client.delete(path, headers=a).json()["deleted"]
    assert get(path, headers=a).status_code == 404
    unstored = post("/v1/responses", json={"input": "x", "store": False}, headers=a).json()
    assert get(f"/v1/responses/{unstored['id']}", headers=a).status_code == 404


def test_tool_calls_go_round(serve: Serve) -> None:
    served = serve(calling)
    tools = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
    first = served.client.post("/v1/responses", json={"input": "1+1", "tools": tools}).json()
    calls = [i for i in first["output"] if i["type"] == "function_call"]
    assert [json.loads(c["arguments"]) for c in calls] == [{"a": 1}, {"b": [2]}]
    results = [
        {"type": "function_call_output", "call_id": c["call_id"], "output": "2"} for c in calls
    ]
    follow = {"input": results, "previous_response_id": first["id"], "tools": tools}
    assert served.client.post("/v1/responses", json=follow).status_code == 200
    said = served.model.planned[-1]["messages"].messages
    assert [m.role for m in said] == ["user", "assistant", "tool", "tool"]
    assert [c.name for c in said[1].tool_calls] == ["add", "sub"]


def test_neighbouring_items_of_the_assistant_are_one_turn() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "g"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
    ]
    messages = input_messages(items)
    assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
    assert messages[1]["reasoning"] == "hm"
    assert [c["function"]["name"] for c in messages[1]["tool_calls"]] == ["f", "g"]


def test_fields_have_their_counterparts() -> None:
    body = validated(
        ResponsesRequest,
        {
            "input": "q",
            "instructions": "be brief",
            "max_output_tokens": 7,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "tool_choice": {"type": "function", "name": "f"},
            "truncation": "disabled",
        },
    )
    chat = as_chat(body)
    assert chat.messages[0] == {"role": "system", "content": "be brief"}
    assert chat.max_completion_tokens == 7
    assert chat.reasoning == {"effort": "low"}
    assert chat.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}},
    }
    assert chat.tools == [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert chat.tool_choice == {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["x"]}, "include"),
        ({"input": []}, "input"),
        ({"input": [{"type": "hologram"}]}, "input.0.type"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"content": "x"}]}, "input.0.role"),
        ({"input": [{"type": "function_call_output"}]}, "input.0.output"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"text": {"format": "json"}}, "text.format"),
    ],
)
def test_what_cannot_be_done_is_named(fields: dict[str, Any], param: str) -> None:
    body = validated(ResponsesRequest, {"input": "q", **fields})
    with pytest.raises(ApiError) as caught:
        as_chat(body)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_cancelling(serve: Serve) -> None:
    served = serve()
    done = served.client.post("/v1/responses", json={"input": "x"}).json()
    assert served.client.post(f"/v1/responses/{done['id']}/cancel").json() == done
    assert served.client.post("/v1/responses/resp_none/cancel").status_code == 404


def test_a_failure_in_the_middle_is_an_event(serve: Serve) -> None:
    from nanovl.core.generation import Delta

    served = serve(lambda request: [Delta(text="a", token_ids=(1,)), RuntimeError("secret")])
    text = served.client.post("/v1/responses", json={"input": "x", "stream": True}).text
    found = events(text)
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["error"]["code"] == "internal_error"
    assert "secret" not in text
