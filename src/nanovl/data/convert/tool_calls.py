"""Function calling in text: Glaive transcripts and xLAM queries become tools, calls and results.

Only calls of functions that the record describes are kept; everything that does not parse as what
the format promises drops the whole conversation, because a model must not learn half a call.

Source: training specification, section 10.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.data.convert.base import Converted, ConvertOptions, Format, Item, Malformed, each
from nanovl.data.convert.parts import item_key, read_any
from nanovl.data.convert.sources import find_file
from nanovl.data.records import Fragment, Record, RecordMessage

__all__ = ["FORMATS", "convert_glaive", "convert_xlam", "function_tool", "parse_call"]

_SPEAKER = re.compile(r"^(USER|ASSISTANT|FUNCTION RESPONSE):", re.MULTILINE)
_END = "<|endoftext|>"
_CALL = "<functioncall>"
_QUOTED = re.compile(
    r'\{\s*"name"\s*:\s*"(?P<name>[^"]+)"\s*,\s*"arguments"\s*:\s*\'(?P<arguments>.*)\'\s*\}',
    re.DOTALL,
)
_NO_FUNCTIONS = "no access to external functions"

_SIMPLE = {
    "str": "string",
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "dict": "object",
    "object": "object",
    "any": "",
}


def function_tool(
    name: str, description: str = "", parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A function description in the form of the chat interface."""
    schema = dict(parameters) if parameters else {"type": "object", "properties": {}}
    inner = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": inner}


def _message(role: str, text: str, calls: Sequence[Mapping[str, Any]] = ()) -> RecordMessage:
    content = (Fragment(type="text", value=text),) if text or not calls else ()
    return RecordMessage(role=role, content=content, tool_calls=tuple(calls))


# -- Glaive --------------------------------------------------------------------------------------


def convert_glaive(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Objects of `system` (functions as JSON in a text) and `chat` (a transcript)."""
    path = find_file(source, options, "glaive*.json*", "*{split}*.json*")

    def make(item: Item) -> list[Converted]:
        tools, system = _functions(item.text("system"))
        names = {tool["function"]["name"] for tool in tools}
        messages = _transcript(item.text("chat"), names)
        if system:
            messages.insert(0, _message("system", system))
        key = f"glaive-{item_key(item, 'id')}"
        called = any(m.tool_calls for m in messages)
        record = Record(
            id=key,
            messages=tuple(messages),
            reasoning="off",
            source="glaive",
            tools=tuple(tools),
            task="tool_call" if called else "no_tool_call" if tools else "chat",
        )
        return [Converted(record)]

    return each(read_any(path, options), make, options)


def _functions(system: str) -> tuple[list[dict[str, Any]], str]:
    """The functions of a system text and what else it says.

    The sentence that introduces the functions is dropped: the prompt format has its own.
    """
    text = system.removeprefix("SYSTEM:").strip()
    start = text.find("{")
    if start < 0:
        if "function" in text and _NO_FUNCTIONS not in text:
            raise Malformed("bad_tool", "system: speaks of functions but holds no JSON")
        return [], text
    tools: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    rest = text[start:]
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError as error:
            raise Malformed("bad_tool", f"system: function {len(tools)}: {error}") from error
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise Malformed("bad_tool", f"system: function {len(tools)} has no name")
        parameters = value.get("parameters")
        if parameters is not None and not isinstance(parameters, dict):
            raise Malformed("bad_tool", f"system: function {len(tools)}: parameters is no object")
        tools.append(function_tool(value["name"], str(value.get("description", "")), parameters))
        rest = rest[end:].lstrip(" \r\n\t,")
    return tools, ""


def _transcript(chat: str, names: set[str]) -> list[RecordMessage]:
    """The turns of a transcript up to its last answer."""
    marks = list(_SPEAKER.finditer(chat))
    if not marks or chat[: marks[0].start()].strip():
        raise Malformed("bad_turn_order", "chat: does not begin with USER:")
    ends = [mark.start() for mark in marks[1:]] + [len(chat)]
    messages: list[RecordMessage] = []
    for index, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        text = chat[mark.end() : end].replace(_END, "").strip()
        messages.append(_turn(mark[1], text, messages, names, f"chat: turn {index}"))
    while messages and messages[-1].role != "assistant":
        messages.pop()
    if not messages:
        raise Malformed("no_answer", "chat: has no answer of the assistant")
    return messages


def _turn(
    speaker: str, text: str, before: Sequence[RecordMessage], names: set[str], name: str
) -> RecordMessage:
    last = before[-1] if before else None
    if speaker == "USER":
        if last is not None and (last.role != "assistant" or last.tool_calls):
            raise Malformed("bad_turn_order", f"{name}: USER after {last.role}")
        if not text:
            raise Malformed("empty", f"{name}: USER says nothing")
        return _message("user", text)
    if speaker == "FUNCTION RESPONSE":
        if last is None or not last.tool_calls:
            raise Malformed("bad_turn_order", f"{name}: FUNCTION RESPONSE without a call")
        return _message("tool", text)
    if last is None or last.role == "assistant":
        raise Malformed("bad_turn_order", f"{name}: ASSISTANT without a turn before it")
    said, mark, call = text.partition(_CALL)
    if not mark:
        if not text:
            raise Malformed("empty", f"{name}: ASSISTANT says nothing")
        return _message("assistant", text)
    parsed = parse_call(call.strip(), name)
    if parsed["name"] not in names:
        raise Malformed("unknown_tool", f"{name}: {parsed['name']!r} is not described in system")
    return _message("assistant", said.strip(), [parsed])


def parse_call(text: str, name: str = "call") -> dict[str, Any]:
    """A call written as JSON, whose arguments may be a JSON text in single quotes.

    Args:
        text: `{"name": ..., "arguments": ...}`.
        name: Where it stands, for messages.

    Raises:
        Malformed: It is not such a call.
    """
    quoted = _QUOTED.fullmatch(text)
    try:
        if quoted:
            inner = quoted["arguments"].replace("\\'", "'")
            value: Any = {"name": quoted["name"], "arguments": json.loads(inner)}
        else:
            value = json.loads(text)
            if isinstance(value, dict) and isinstance(value.get("arguments"), str):
                value["arguments"] = json.loads(value["arguments"])
    except ValueError as error:
        raise Malformed("bad_call", f"{name}: not a call in JSON: {error}") from error
    return _checked_call(value, name)


def _checked_call(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Malformed("bad_call", f"{name}: the call has no name")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict):
        got = type(arguments).__name__
        raise Malformed("bad_call", f"{name}.arguments: got {got}, expected an object")
    return {"name": value["name"], "arguments": arguments}


# -- xLAM ----------------------------------------------------------------------------------------


def convert_xlam(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Objects of `query`, and `tools` and `answers` as JSON texts."""
    path = find_file(source, options, "xlam*.json*", "*{split}*.json*")

    def make(item: Item) -> list[Converted]:
        tools = [
            _xlam_tool(value, f"tools[{i}]") for i, value in enumerate(_decoded(item, "tools"))
        ]
        names = {tool["function"]["name"] for tool in tools}
        answers = enumerate(_decoded(item, "answers"))
        calls = [_checked_call(value, f"answers[{i}]") for i, value in answers]
        if not calls:
            raise Malformed("no_answer", "answers: the list is empty")
        for index, call in enumerate(calls):
            if call["name"] not in names:
                raise Malformed(
                    "unknown_tool", f"answers[{index}]: {call['name']!r} is not among the tools"
                )
        messages = (_message("user", item.text("query")), _message("assistant", "", calls))
        record = Record(
            id=f"xlam-{item_key(item, 'id')}",
            messages=messages,
            reasoning="off",
            source="xlam",
            tools=tuple(tools),
            task="tool_call",
        )
        return [Converted(record)]

    return each(read_any(path, options), make, options)


def _decoded(item: Item, key: str) -> list[Any]:
    """A list, also when it is written as a JSON text."""
    value = item.get(key)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Malformed("bad_json", f"{item.name(key)}: not valid JSON: {error}") from error
    if not isinstance(value, list):
        got = type(value).__name__
        raise Malformed("wrong_type", f"{item.name(key)}: got {got}, expected a list")
    return value


def _xlam_tool(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Malformed("bad_tool", f"{name}: has no name")
    given = value.get("parameters") or {}
    if not isinstance(given, dict):
        raise Malformed("bad_tool", f"{name}.parameters: expected an object")
    properties, required = {}, []
    for key, about in given.items():
        if not isinstance(about, dict):
            raise Malformed("bad_tool", f"{name}.parameters.{key}: expected an object")
        kind, optional = _optional(str(about.get("type", "any")))
        schema = _schema(kind)
        if about.get("description"):
            schema["description"] = str(about["description"])
        if "default" in about:
            schema["default"] = about["default"]
        properties[str(key)] = schema
        if not optional and "default" not in about:
            required.append(str(key))
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    return function_tool(value["name"], str(value.get("description", "")), parameters)


def _optional(kind: str) -> tuple[str, bool]:
    """The type without "optional", which is written in two ways, and whether it was there."""
    base, comma, rest = kind.rpartition(",")
    if comma and rest.strip().lower() == "optional":
        return base.strip(), True
    match = re.fullmatch(r"Optional\[(.*)\]", kind.strip())
    return (match[1], True) if match else (kind.strip(), False)


def _schema(kind: str) -> dict[str, Any]:
    """JSON schema of a type written the Python way; a type that is not known is left open."""
    outer, _, inner = kind.strip().partition("[")
    outer = outer.strip().lower()
    if outer in ("list", "set", "tuple", "array"):
        item = _schema(inner.removesuffix("]").split(",")[0]) if inner else {}
        return {"type": "array", "items": item}
    name = _SIMPLE.get(outer, "")
    return {"type": name} if name else {}


FORMATS = (
    Format(
        name="glaive",
        description="Glaive function calling: transcripts with functions, calls and results",
        convert=convert_glaive,
        expects="a JSON list or JSON lines of system and chat",
        licence="Apache-2.0",
    ),
    Format(
        name="xlam",
        description="xLAM function calling: a query, functions and the calls that answer it",
        convert=convert_xlam,
        expects="a JSON list or JSON lines of query, tools and answers",
        licence="CC BY 4.0",
    ),
)
