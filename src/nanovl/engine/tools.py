"""Tool calls in generated text: `<TOOLCALL>[{"name": ..., "arguments": {...}}]</TOOLCALL>`.

Reads JSON and nothing else; never evaluates, never calls anything. A block that is not a list of
calls stays what it is, visible text.

Source: model specification, section 8.1; serving specification, section 5.3.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from nanovl.core.conversation import ToolCall
from nanovl.engine.detokenize import partial_match
from nanovl.engine.reasoning import TOOL_TAG

__all__ = ["TOOL_END_TAG", "ToolCallParser", "parse_calls"]

TOOL_END_TAG = "</TOOLCALL>"


def parse_calls(body: str) -> tuple[ToolCall, ...] | None:
    """Read what stands between the tags.

    A missing `[` or `]` is tolerated. Arguments that are a string are passed on verbatim; missing
    or null arguments are an empty object.

    Returns:
        The calls, or None if this is not a JSON list of objects with a name.
    """
    body = body.strip()
    if not body:
        return None
    for text in (body, f"[{body}", f"{body}]", f"[{body}]"):
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list):
            calls = [_call(item) for item in value]
            known = tuple(c for c in calls if c is not None)
            return known if len(known) == len(calls) else None
    return None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _call(item: Any) -> ToolCall | None:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
        return None
    arguments = item.get("arguments")
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, (dict, str)):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(name=item["name"], arguments=arguments, id=f"chatcmpl-tool-{uuid.uuid4().hex}")


class ToolCallParser:
    """Takes tool calls out of a stream of answer text.

    White space between text and a block belongs to neither. The blocks of an answer are joined.

    Attributes:
        calls: What was called so far.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._buffer = ""
        self._inside = False
        self._space = ""

    def feed(self, text: str) -> str:
        """Text that is visible; blocks, and what may be the beginning of one, are held back."""
        self._buffer += text
        visible = ""
        while True:
            if self._inside:
                end = _closing(self._buffer)
                if end < 0:
                    return visible
                body, self._buffer = self._buffer[:end], self._buffer[end + len(TOOL_END_TAG) :]
                visible += self._block(body, TOOL_END_TAG)
                continue
            start = self._buffer.find(TOOL_TAG)
            if start < 0:
                rest = self._buffer[: len(self._buffer) - partial_match(self._buffer, [TOOL_TAG])]
                shown = rest.rstrip()
                self._buffer = self._buffer[len(shown) :]
                return visible + shown
            before, self._buffer = self._buffer[:start], self._buffer[start + len(TOOL_TAG) :]
            visible += before.rstrip()
            self._space = before[len(before.rstrip()) :]
            self._inside = True

    def flush(self) -> str:
        """The end of the stream: an open block is read as if it were closed."""
        text, self._buffer = self._buffer, ""
        if self._inside:
            return self._block(text, "")
        return "" if self.calls and not text.strip() else text

    def _block(self, body: str, end_tag: str) -> str:
        self._inside = False
        calls = parse_calls(body)
        if calls is None:
            return f"{self._space}{TOOL_TAG}{body}{end_tag}"
        self.calls += calls
        return ""


def _closing(text: str) -> int:
    """Where the closing tag stands outside of JSON strings, or -1."""
    in_string = escaped = False
    for index, char in enumerate(text):
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char == "<" and text.startswith(TOOL_END_TAG, index):
            return index
    return -1
