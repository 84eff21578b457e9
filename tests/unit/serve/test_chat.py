"""`/v1/chat/completions` over a scripted engine: bodies, events, tools, reasoning, usage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanovl.core.events import Event
from nanovl.core.generation import Delta, ToolCallDelta
from tests.unit.serve.conftest import Serve
from tests.unit.serve.fakes import FakeRequest, call, generation, texts, words

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}


def chunks(text: str) -> list[dict[str, Any]]:
    """Events of a stream; checks its framing."""
    assert text.endswith("data: [DONE]\n\n")
    blocks = [b for b in text.split("\n\n") if b and not b.startswith(":")]
    assert all(b.startswith("data: ") and "\n" not in b for b in blocks)
    return [json.loads(b[6:]) for b in blocks[:-1]]


def thinking(request: FakeRequest) -> list[Any]:
    """Reasoning, then an answer."""
    done = generation(request, text="42", reasoning="because", token_ids=(1, 2, 3))
    return [
        Delta(reasoning="bec", token_ids=(1,)),
        Delta(reasoning="ause", token_ids=(2,)),
        Delta(text="42", token_ids=(3,)),
        Delta(finish_reason="stop", generation=done),
    ]


def only_thinking(request: FakeRequest) -> list[Any]:
    """The limit was reached while thinking."""
    done = generation(request, text="", reasoning="hm", finish_reason="length", token_ids=(1,))
    return [
        Delta(reasoning="hm", token_ids=(1,)),
        Delta(finish_reason="length", generation=done),
    ]


def calling(request: FakeRequest) -> list[Any]:
    """Text, then two tool calls in pieces."""
    calls = (call("add", {"a": 1}), call("sub", {"b": [2]}))
    done = generation(request, text="Well", tool_calls=calls, finish_reason="tool_calls")
    return [
        Delta(text="Well", token_ids=(1,)),
        Delta(tool_calls=(ToolCallDelta(index=0, name="add"),), token_ids=(2,)),
        Delta(tool_calls=(ToolCallDelta(index=0, arguments='{"a"'),), token_ids=(3,)),
        Delta(tool_calls=(ToolCallDelta(index=0, arguments=": 1}"),), token_ids=(4,)),
        Delta(
            tool_calls=(ToolCallDelta(index=1, name="sub", arguments='{"b": [2]}'),),
            token_ids=(5,),
        ),
        Delta(finish_reason="tool_calls", generation=done),
    ]


def test_an_answer_in_one_piece(serve: Serve) -> None:
    served = serve(model_names=("mini", "other"))
    answer = served.chat("hi", model="other")
    body = answer.json()
    assert answer.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "other"
    assert body["id"] == f"chatcmpl-{answer.headers['x-request-id']}"
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "Hello world"
    assert choice["message"]["role"] == "assistant"
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["completion_tokens"] == 11
    assert usage["total_tokens"] == usage["prompt_tokens"] + 11


def test_a_stream_says_the_same_as_the_answer_in_one_piece(serve: Serve) -> None:
    served = serve()
    answer = served.chat(stream=True, stream_options={"include_usage": True}, n=2)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    found = chunks(answer.text)
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in found}) == 1
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == served.chat(n=2).json()["usage"]
    for index in (0, 1):
        own = [c for c in found[:-1] if c["choices"][0]["index"] == index]
        assert own[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert texts(own) == "Hello world"
        assert [c["choices"][0]["finish_reason"] for c in own][-1] == "stop"
        assert all(c["choices"][0]["finish_reason"] is None for c in own[:-1])
    assert all("usage" not in c for c in found[:-1])


def test_continuous_usage_counts_up(serve: Serve) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    found = chunks(serve().chat(stream=True, stream_options=options).text)
    counts = [c["usage"]["completion_tokens"] for c in found]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == 11


def test_reasoning_has_both_names_and_can_be_hidden(serve: Serve) -> None:
    served = serve(thinking)
    message = served.chat().json()["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == "because"
    assert message["content"] == "42"
    found = chunks(served.chat(stream=True).text)
    deltas = [c["choices"][0]["delta"] for c in found]
    assert "".join(d.get("reasoning", "") for d in deltas) == "because"
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "because"
    hidden = served.chat(include_reasoning=False).json()["choices"][0]["message"]
    assert "reasoning" not in hidden
    assert "because" not in served.chat(stream=True, include_reasoning=False).text
    one = serve(thinking, reasoning_field="reasoning").chat().json()["choices"][0]["message"]
    assert "reasoning_content" not in one


def test_a_limit_reached_while_thinking_leaves_no_content(serve: Serve) -> None:
    served = serve(only_thinking)
    choice = served.chat().json()["choices"][0]
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning"] == "hm"
    assert choice["finish_reason"] == "length"
    kept = served.chat(force_nonempty_content=True).json()["choices"][0]["message"]
    assert kept["content"] == "hm"
    assert kept["reasoning"] is None
    found = chunks(served.chat(force_nonempty_content=True, stream=True).text)
    assert texts(found) == "hm"


def test_tool_calls_in_one_piece_and_in_many_agree(serve: Serve) -> None:
    served = serve(calling)
    choice = served.chat(tools=[TOOL]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    whole = [c["function"] for c in choice["message"]["tool_calls"]]
    found = chunks(served.chat(tools=[TOOL], stream=True).text)
    pieces: dict[int, dict[str, Any]] = {}
    for chunk in found:
        for piece in chunk["choices"][0]["delta"].get("tool_calls", ()):
            known = pieces.setdefault(piece["index"], {"arguments": ""})
            if "id" in piece:
                assert "id" not in known
                known |= {"id": piece["id"], "name": piece["function"]["name"]}
                assert piece["type"] == "function"
            known["arguments"] += piece["function"]["arguments"]
    assert [{"name": p["name"], "arguments": p["arguments"]} for p in pieces.values()] == whole
    assert len({p["id"] for p in pieces.values()}) == 2
    assert json.loads(pieces[1]["arguments"]) == {"b": [2]}


def test_one_tool_call_at_a_time_and_a_named_tool(serve: Serve) -> None:
    served = serve(calling)
    one = served.chat(tools=[TOOL], parallel_tool_calls=False).json()["choices"][0]["message"]
    assert len(one["tool_calls"]) == 1
    streamed = served.chat(tools=[TOOL], parallel_tool_calls=False, stream=True).text
    assert '"sub"' not in streamed
    named = {"type": "function", "function": {"name": "add"}}
    choice = served.chat(tools=[TOOL], tool_choice=named).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert served.model.planned[-1]["tool_choice"] == named


def test_logprobs_name_tokens_and_bytes(serve: Serve) -> None:
    served = serve()
    body = served.chat(logprobs=True, top_logprobs=2).json()
    content = body["choices"][0]["logprobs"]["content"]
    assert "".join(c["token"] for c in content) == "Hello world"
    assert content[0]["bytes"] == [72]
    assert [t["token"] for t in content[0]["top_logprobs"]] == ["H", "A"]
    assert served.model.planned[-1]["logprobs"] == 2
    found = chunks(served.chat(logprobs=True, stream=True).text)
    streamed = [
        entry
        for c in found
        for entry in (c["choices"][0].get("logprobs") or {"content": []})["content"]
    ]
    assert "".join(e["token"] for e in streamed) == "Hello world"
    assert streamed[0]["top_logprobs"] == []
    as_ids = served.chat(logprobs=True, return_tokens_as_token_ids=True).json()
    assert as_ids["choices"][0]["logprobs"]["content"][0]["token"] == "token_id:72"


def test_prompt_logprobs_and_token_ids(serve: Serve) -> None:
    body = serve().chat(prompt_logprobs=1, return_token_ids=True).json()
    rows = body["prompt_logprobs"]
    assert rows[0] is None
    assert len(rows) == len(body["prompt_token_ids"]) == body["usage"]["prompt_tokens"]
    assert rows[1]["65"] == {"logprob": -0.25, "rank": 1, "decoded_token": "A"}
    assert bytes(body["choices"][0]["token_ids"]) == b"Hello world"


def test_ignored_fields_are_named_in_a_header(serve: Serve) -> None:
    answer = serve().chat(
        bogus=1,
        chat_template_kwargs={"tone": "dry"},
        mm_processor_kwargs={"colour": 1},
        stream=True,
        stream_options={"later": True},
    )
    assert answer.status_code == 200
    names = set(answer.headers["x-nanovl-ignored"].split(", "))
    assert names == {
        "bogus",
        "stream_options.later",
        "chat_template_kwargs.tone",
        "mm_processor_kwargs.colour",
    }
    assert "x-nanovl-ignored" not in serve().chat().headers


def test_an_absent_limit_is_the_rest_of_the_context(serve: Serve) -> None:
    served = serve(context_length=512)
    served.chat()
    request = served.model.engine.streams[-1].request
    assert request.sampling.max_tokens == 512 - request.layout.num_tokens
    served.chat(max_tokens=7, max_completion_tokens=9, min_tokens=3)
    request = served.model.engine.streams[-1].request
    assert request.sampling.max_tokens == 9
    assert request.sampling.min_tokens == 3
    capped = serve(default_max_tokens=5)
    capped.chat()
    assert capped.model.engine.streams[-1].request.sampling.max_tokens == 5


def test_sampling_reaches_the_engine(serve: Serve) -> None:
    served = serve()
    answer = served.chat(
        temperature=0.5,
        top_p=0.9,
        top_k=-1,
        min_p=0.1,
        presence_penalty=1,
        frequency_penalty=-1,
        repetition_penalty=1.1,
        seed=-1,
        stop="END",
        stop_token_ids=[5],
        include_stop_str_in_output=True,
        ignore_eos=True,
        logit_bias={"65": 3.5},
        cache_salt="tenant",
        reasoning_effort="low",
        nanovl_budget_mode="hard",
    )
    assert answer.status_code == 200
    got = served.model.engine.streams[-1].request.sampling
    assert got.stop == ("END",)
    assert got.stop_token_ids == (5,)
    assert (got.temperature, got.top_p, got.top_k, got.min_p) == (0.5, 0.9, 0, 0.1)
    assert (got.presence_penalty, got.frequency_penalty, got.repetition_penalty) == (1, -1, 1.1)
    assert got.include_stop
    assert got.ignore_eos
    assert dict(got.logit_bias) == {65: 3.5}
    planned = served.model.planned[-1]
    assert planned["cache_salt"] == "tenant"
    assert planned["budget_mode"] == "hard"
    assert planned["reasoning"].budget == 2048


def test_grammar_reaches_the_engine(serve: Serve) -> None:
    served = serve()
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert served.chat(response_format=schema).status_code == 200
    assert served.model.planned[-1]["response_format"] == schema
    assert served.chat(structured_outputs={"choice": ["a", "b"]}).status_code == 200
    assert served.model.planned[-1]["structured"] == {"choice": ["a", "b"]}
    assert served.chat(response_format={"type": "text"}).status_code == 200
    assert "response_format" not in served.model.planned[-1]


def test_going_on_with_a_begun_answer(serve: Serve) -> None:
    served = serve()
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "The sum is"}]
    body = {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}
    plain = served.client.post("/v1/chat/completions", json=body).json()
    request = served.model.engine.streams[-1].request
    text = served.model.tokenizer.decode(request.layout.input_ids)
    assert text.endswith("<think></think>The sum is")
    assert plain["choices"][0]["message"]["content"] == "Hello world"
    echoed = served.client.post("/v1/chat/completions", json={**body, "echo": True}).json()
    assert echoed["choices"][0]["message"]["content"] == "The sum isHello world"
    streamed = served.client.post(
        "/v1/chat/completions", json={**body, "echo": True, "stream": True}
    )
    assert texts(chunks(streamed.text)) == "The sum isHello world"


def test_progress_is_a_comment_and_only_when_asked_for(serve: Serve) -> None:
    def slow(request: FakeRequest) -> list[Any]:
        events = [Event(name="prompt", done=n, total=3, unit="tokens") for n in (1, 2, 3)]
        return [*events, *words(request, "x")]

    served = serve(slow)
    asked = served.chat(stream=True, stream_options={"nanovl_progress": True}).text
    assert ': progress {"stage":"prompt","done":2,"total":3,"unit":"tokens"}' in asked
    assert "progress" not in served.chat(stream=True).text


def test_keep_alive_comments_fill_silence(serve: Serve) -> None:
    def quiet(request: FakeRequest) -> list[Any]:
        return [0.3, *words(request, "x")]

    answer = serve(quiet, sse_keep_alive_s=0.05).chat(stream=True)
    assert answer.text.count(": keep-alive\n\n") >= 2
    assert texts(chunks(answer.text)) == "x"


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_before_anything_came_is_an_ordinary_error(serve: Serve, stream: bool) -> None:
    from nanovl.core.errors import InputError

    def broken(request: FakeRequest) -> list[Any]:
        del request
        return [InputError("image 1: damaged (/secret/place/x.png)")]

    answer = serve(broken).chat(stream=stream)
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "UnprocessableEntityError"
    assert "secret" not in answer.text


def test_an_error_in_the_middle_is_an_event_and_the_end(serve: Serve) -> None:
    def breaking(request: FakeRequest) -> list[Any]:
        del request
        return [Delta(text="He", token_ids=(1,)), RuntimeError("secret detail")]

    answer = serve(breaking).chat(stream=True)
    assert answer.status_code == 200
    found = chunks(answer.text)
    assert found[-1]["error"]["type"] == "InternalServerError"
    assert "secret" not in answer.text
    whole = serve(breaking).chat()
    assert whole.status_code == 500
    assert "secret" not in whole.text


def test_time_that_ran_out_before_a_word_is_504(serve: Serve) -> None:
    def late(request: FakeRequest) -> list[Any]:
        done = generation(
            request, text="", token_ids=(), finish_reason="length", stop_reason="timeout"
        )
        return [Delta(finish_reason="length", generation=done)]

    served = serve(late)
    answer = served.client.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "x"}]},
        headers={"X-Request-Timeout": "2.5"},
    )
    assert answer.status_code == 504
    assert answer.json()["error"]["type"] == "TimeoutError"
    assert served.model.planned[-1]["timeout"] == 2.5
