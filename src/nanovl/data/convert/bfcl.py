"""Berkeley function calling: a request, functions, and the calls that answer it.

The two irrelevance categories have no right call; the right behaviour is to say so. Earlier
assistant turns belong to the request and carry no loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    each,
    rng,
)
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.templates import question
from nanovl.data.records import Fragment, Record, RecordMessage

__all__ = ["FORMATS", "convert_bfcl"]

ROLES = ("system", "user", "assistant")


def convert_bfcl(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of messages, tools (OpenAI form) and calls."""

    def make(item: Item) -> list[Converted]:
        key = f"nanovl-{item.text('id')}"
        messages = [_message(turn) for turn in item.children("messages")]
        if not messages or messages[-1].role != "user":
            raise Malformed("bad_value", "messages: the last one has to be the user's")
        names = {tool.child("function").text("name") for tool in item.children("tools")}
        calls = []
        for call in item.children("calls"):
            if call.text("name") not in names:
                raise Malformed(
                    "bad_value", f"{call.name('name')}: {call.text('name')!r} is not in tools"
                )
            arguments = dict(call.child("arguments").data)
            calls.append({"name": call.text("name"), "arguments": arguments})
        metadata = {"category": item.maybe("category")}
        if calls:
            answer = RecordMessage(role="assistant", content=(), tool_calls=tuple(calls))
        else:
            reply = question("no_fitting_tool", rng(key, options.seed))
            answer = _text("assistant", reply.text)
            metadata |= {"template": reply.template, "seed": str(options.seed)}
        record = Record(
            id=key,
            messages=(*messages, answer),
            reasoning="off",
            source="nanovl-bfcl",
            tools=tuple(item.items("tools")),
            task="tool_call" if calls else "no_tool_call",
            metadata=metadata,
        )
        return [Converted(record)]

    path = find_file(source, options, "bfcl_{split}.jsonl.gz", "bfcl_{split}.jsonl")
    return each(read_lines(path, options), make, options)


def _message(item: Item) -> RecordMessage:
    role = item.text("role")
    if role not in ROLES:
        raise Malformed(
            "bad_value", f"{item.name('role')}: got {role!r}, expected one of {', '.join(ROLES)}"
        )
    return _text(role, item.text("content"), loss=False)


def _text(role: str, text: str, *, loss: bool = True) -> RecordMessage:
    return RecordMessage(role=role, content=(Fragment(type="text", value=text),), loss=loss)


FORMATS = (
    Format(
        name="nanovl-bfcl",
        description="Function calling: calls, and plain answers where no function fits",
        convert=convert_bfcl,
        expects="bfcl_<split>.jsonl.gz or its folder",
        licence="Apache-2.0",
    ),
)
