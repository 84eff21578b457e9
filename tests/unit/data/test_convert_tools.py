"""Converters of function calling: Glaive transcripts and xLAM queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanovl.data.convert.base import Malformed
from nanovl.data.convert.tool_calls import function_tool, parse_call
from tests.unit.data.convert_samples import Run, save, stable

INTRO = "SYSTEM: You are a helpful assistant with access to the following functions. Use them if required -\n"  # noqa: E501
RATE = {
    "name": "get_exchange_rate",
    "description": "Get the exchange rate between two currencies",
    "parameters": {
        "type": "object",
        "properties": {"base": {"type": "string"}, "target": {"type": "string"}},
        "required": ["base", "target"],
    },
}
NEWS = {"name": "get_news", "description": "News", "parameters": {}}
CHAT = (
    "USER: What is 1 USD in EUR?\n\n\n"
    'ASSISTANT: <functioncall> {"name": "get_exchange_rate", "arguments": '
    '\'{"base": "USD", "target": "EUR"}\'} <|endoftext|>\n\n\n'
    'FUNCTION RESPONSE: {"rate": 0.85}\n\n\n'
    "ASSISTANT: It is 0.85 EUR. <|endoftext|>\n\n\n"
    "USER: Thanks\n\n\n"
)


def glaive(chat: str = CHAT, system: str = INTRO + json.dumps(RATE, indent=4)) -> dict[str, str]:
    return {"system": system, "chat": chat}


def test_glaive_exact(tmp_path: Path) -> None:
    run = stable("glaive", save(tmp_path / "glaive.jsonl", [glaive()]))
    assert run.json("glaive-glaive-1") == {
        "id": "glaive-glaive-1",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What is 1 USD in EUR?"}]},
            {
                "role": "assistant",
                "content": [],
                "tool_calls": [
                    {
                        "name": "get_exchange_rate",
                        "arguments": {"base": "USD", "target": "EUR"},
                    }
                ],
            },
            {"role": "tool", "content": [{"type": "text", "text": '{"rate": 0.85}'}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is 0.85 EUR."}]},
        ],
        "reasoning": "off",
        "source": "glaive",
        "tools": [{"type": "function", "function": RATE}],
        "task": "tool_call",
    }
    assert not run.drops


def test_glaive_without_calls_and_without_functions(tmp_path: Path) -> None:
    plain = "SYSTEM: You are a helpful assistant, with no access to external functions."
    both = INTRO + json.dumps(RATE) + "\n\n" + json.dumps(NEWS)
    said = "USER: Hi\n\n\nASSISTANT: Hello! <|endoftext|>"
    items = [glaive(said, plain), glaive(said, both), glaive(f"{said}\n\n\nUSER: a\n\n\nASSISTANT: I look. <functioncall> {{\"name\": \"get_news\"}}", both)]  # fmt: skip # noqa: E501
    run = Run("glaive", save(tmp_path / "glaive-v2.json", items))
    first, second, third = run.made.values()
    assert first.record.messages[0].role == "system"
    assert first.record.messages[0].text == plain.removeprefix("SYSTEM: ")
    assert [m.record.task for m in (first, second, third)] == ["chat", "no_tool_call", "tool_call"]
    assert [t["function"]["name"] for t in second.record.tools] == ["get_exchange_rate", "get_news"]
    # A function without parameters gets the schema of an empty object.
    schema = second.record.tools[1]["function"]["parameters"]
    assert schema == {"type": "object", "properties": {}}
    last = third.record.messages[-1]
    assert last.text == "I look."
    assert last.tool_calls == ({"name": "get_news", "arguments": {}},)


@pytest.mark.parametrize(
    ("item", "reason", "message"),
    [
        ({"system": "SYSTEM: x"}, "missing_field", "chat is missing"),
        (glaive("ASSISTANT: Hi"), "bad_turn_order", "turn 0: ASSISTANT without a turn"),
        (glaive("Hi"), "bad_turn_order", "does not begin with USER:"),
        (glaive("USER: Hi"), "no_answer", "no answer of the assistant"),
        (glaive("USER: \nASSISTANT: Hi"), "empty", "turn 0: USER says nothing"),
        (glaive("USER: a\nUSER: b\nASSISTANT: Hi"), "bad_turn_order", "turn 1: USER after user"),
        (glaive("USER: a\nFUNCTION RESPONSE: b"), "bad_turn_order", "turn 1: FUNCTION RESPONSE"),
        (glaive("USER: a\nASSISTANT: <functioncall> {x}"), "bad_call", "turn 1: not a call"),
        (
            glaive('USER: a\nASSISTANT: <functioncall> {"name": "f", "arguments": \'{"a": \'}'),
            "bad_call",
            "turn 1: not a call in JSON",
        ),
        (
            glaive('USER: a\nASSISTANT: <functioncall> {"name": "f", "arguments": {}}'),
            "unknown_tool",
            "turn 1: 'f' is not described in system",
        ),
        (glaive(CHAT, INTRO + '{"name": '), "bad_tool", "system: function 0"),
        (glaive(CHAT, INTRO + '{"a": 1}'), "bad_tool", "system: function 0 has no name"),
        (glaive(CHAT, INTRO), "bad_tool", "holds no JSON"),
    ],
)
def test_malformed_transcripts_are_dropped_by_name(
    tmp_path: Path, item: dict[str, str], reason: str, message: str
) -> None:
    run = Run("glaive", save(tmp_path / "glaive.jsonl", [item, glaive()]))
    assert list(run.made) == ["glaive-glaive-2"]
    ((found, where, text),) = run.drops
    assert (found, where) == (reason, "glaive.jsonl:1")
    assert message in text


def test_calls_with_quoted_arguments() -> None:
    expected = {"name": "f", "arguments": {"a": "it's"}}
    assert parse_call('{"name": "f", "arguments": \'{"a": "it\\\'s"}\'}') == expected
    assert parse_call('{"name": "f", "arguments": {"a": "it\'s"}}') == expected
    assert parse_call('{"name": "f", "arguments": "{\\"a\\": \\"it\'s\\"}"}') == expected
    for bad in ('{"arguments": {}}', '{"name": "f", "arguments": [1]}', "[]", ""):
        with pytest.raises(Malformed) as caught:
            parse_call(bad)
        assert caught.value.reason == "bad_call"


# -- xLAM ----------------------------------------------------------------------------------------


def xlam(**more: Any) -> dict[str, Any]:
    tool = {
        "name": "live_giveaways",
        "description": "Find giveaways",
        "parameters": {
            "type": {"description": "Kind", "type": "str", "default": "game"},
            "days": {"description": "Days", "type": "int"},
            "tags": {"description": "Tags", "type": "List[str], optional"},
            "near": {"type": "Optional[float]"},
            "more": {"type": "Dict[str, Any]"},
            "shape": {"type": "Union[int, str]"},
        },
    }
    calls = [{"name": "live_giveaways", "arguments": {"type": "beta", "days": 3}}]
    base = {
        "id": 5,
        "query": "Where are beta giveaways?",
        "tools": json.dumps([tool]),
        "answers": json.dumps([*calls, *calls]),
    }
    return {**base, **more}


def test_xlam_exact(tmp_path: Path) -> None:
    run = stable("xlam", save(tmp_path / "xlam_function_calling_60k.json", [xlam()]))
    call = {"name": "live_giveaways", "arguments": {"type": "beta", "days": 3}}
    parameters = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "Kind", "default": "game"},
            "days": {"type": "integer", "description": "Days"},
            "tags": {"type": "array", "items": {"type": "string"}, "description": "Tags"},
            "near": {"type": "number"},
            "more": {"type": "object"},
            "shape": {},
        },
        "required": ["days", "more", "shape"],
    }
    asked = {"type": "text", "text": "Where are beta giveaways?"}
    assert run.json("xlam-5") == {
        "id": "xlam-5",
        "messages": [
            {"role": "user", "content": [asked]},
            {"role": "assistant", "content": [], "tool_calls": [call, call]},
        ],
        "reasoning": "off",
        "source": "xlam",
        "tools": [function_tool("live_giveaways", "Find giveaways", parameters)],
        "task": "tool_call",
    }


def test_malformed_queries_are_dropped_by_name(tmp_path: Path) -> None:
    values: list[Any] = [
        xlam(tools="[{"),
        xlam(tools='{"name": "x"}'),
        xlam(tools='[{"description": "x"}]'),
        xlam(tools='[{"name": "f", "parameters": {"a": "str"}}]'),
        xlam(answers="[]"),
        xlam(answers='[{"name": "other", "arguments": {}}]'),
        xlam(answers='[{"name": "live_giveaways", "arguments": "x"}]'),
        xlam(query=None),
        7,
    ]
    run = Run("xlam", save(tmp_path / "train.json", values))
    assert not run.made
    assert [(reason, where, text.split(":")[0]) for reason, where, text in run.drops] == [
        ("bad_json", "train.json[0]", "tools"),
        ("wrong_type", "train.json[1]", "tools"),
        ("bad_tool", "train.json[2]", "tools[0]"),
        ("bad_tool", "train.json[3]", "tools[0].parameters.a"),
        ("no_answer", "train.json[4]", "answers"),
        ("unknown_tool", "train.json[5]", "answers[0]"),
        ("bad_call", "train.json[6]", "answers[0].arguments"),
        ("missing_field", "train.json[7]", "query is missing; there are"),
        ("wrong_type", "train.json[8]", "got int, expected an object"),
    ]
