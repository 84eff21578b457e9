"""Good requests with one random thing in them: an answer or a named error, never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import BaseModel

from nanovl.serve.schema import (
    ChatRequest,
    CompletionRequest,
    ControlRequest,
    CountRequest,
    DetokenizeRequest,
    MessagesRequest,
    ResponsesRequest,
    TokenizeRequest,
)
from tests.unit.serve.conftest import Serve
from tests.unit.serve.test_chat import TOOL
from tests.unit.serve.test_content import PNG

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([PNG, "none", "auto", "required", "text", "http://127.0.0.1/x", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(
                [
                    "type",
                    "text",
                    "url",
                    "image_url",
                    "video",
                    "json",
                    "regex",
                    "schema",
                    "function",
                    "name",
                    "effort",
                    "format",
                    "budget_tokens",
                    "enable_thinking",
                    "file_id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
USER = {"role": "user", "content": "hi"}
GOOD: list[tuple[str, type[BaseModel], dict[str, Any]]] = [
    ("/v1/chat/completions", ChatRequest, {"messages": [USER]}),
    ("/v1/chat/completions", ChatRequest, {"messages": [USER], "tools": [TOOL], "stream": True}),
    ("/v1/completions", CompletionRequest, {"prompt": "hi"}),
    ("/v1/responses", ResponsesRequest, {"input": "hi"}),
    ("/v1/messages", MessagesRequest, {"messages": [USER], "max_tokens": 4}),
    (
        "/v1/messages",
        MessagesRequest,
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "max_tokens": 4,
            "tools": [{"name": "f", "input_schema": {}}],
            "stream": True,
        },
    ),
    ("/v1/messages/count_tokens", CountRequest, {"messages": [USER]}),
    ("/tokenize", TokenizeRequest, {"messages": [USER]}),
    ("/v1/chat/completions/render", TokenizeRequest, {"messages": [USER]}),
    ("/detokenize", DetokenizeRequest, {"tokens": [97]}),
    ("/v1/chat/completions/control", ControlRequest, {"id": "x", "action": "cancel"}),
]
STATUSES = {200, 400, 403, 404, 422}


@pytest.mark.parametrize(("path", "model", "good"), GOOD, ids=lambda v: str(v)[:40])
def test_one_random_field(
    serve: Serve, path: str, model: type[BaseModel], good: dict[str, Any]
) -> None:
    served = serve(context_length=600)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([*model.model_fields, "unknown"]), VALUES)
    def send(name: str, value: Any) -> None:
        check(served, path, {**good, name: value})

    send()


@pytest.mark.parametrize("place", ["message", "part", "content", "role", "reasoning", "tool_calls"])
def test_one_random_thing_in_a_message(serve: Serve, place: str) -> None:
    served = serve(context_length=600)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(VALUES)
    def send(value: Any) -> None:
        messages: list[Any] = [dict(USER), {"role": "assistant", "content": "yes"}, dict(USER)]
        if place == "message":
            messages[1] = value
        elif place == "part":
            messages[2]["content"] = [value, {"type": "text", "text": "x"}]
        else:
            messages[1][place] = value
        check(served, "/v1/chat/completions", {"messages": messages})

    send()


def check(served: Any, path: str, body: dict[str, Any]) -> None:
    answer = served.client.post(
        path, content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in STATUSES, (answer.status_code, answer.text)
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
