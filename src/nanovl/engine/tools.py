"""Tool calls in generated text: `<TOOLCALL>[{"name": ..., "arguments": {...}}]</TOOLCALL>`.

Calls are read while they are written, so that their arguments can be shown piece by piece. A call
counts from the moment its name is known and its arguments have begun; from then on it stays a
call, with arguments as they were written, even if they are cut off. A block, or the part of one,
that does not get there stays what it is: visible text.

Reads JSON and nothing else; never evaluates, never calls anything.

Source: model specification, section 8.1; serving specification, section 5.3.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from nanovl.core.conversation import ToolCall
from nanovl.core.generation import ToolCallDelta
from nanovl.engine.detokenize import partial_match
from nanovl.engine.json_stream import JsonReader, NotJsonError
from nanovl.engine.reasoning import TOOL_TAG

__all__ = ["TOOL_END_TAG", "ToolCallParser", "parse_calls"]

TOOL_END_TAG = "</TOOLCALL>"
_SPACE = " \t\r\n"
_HARMLESS = f"{_SPACE},]}}"
_State = Literal[
    "start", "call", "first key", "key", "colon", "value", "comma", "next", "end", "broken"
]


def parse_calls(body: str) -> tuple[ToolCall, ...] | None:
    """Read what stands between the tags.

    Returns:
        The calls, or None if some of it cannot be read.
    """
    parser = ToolCallParser()
    rest = parser.feed(f"{TOOL_TAG}{body}{TOOL_END_TAG}") + parser.flush()
    return None if rest else tuple(parser.calls)


class ToolCallParser:
    """Takes tool calls out of a stream of answer text.

    White space between text and a block belongs to neither. The blocks of an answer are joined.
    Where the text is cut into pieces makes no difference.

    Attributes:
        calls: Calls that are complete; after `flush` also one that was cut off.
        ids: Identifiers of all calls that have begun.
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.ids: list[str] = []
        self._buffer = ""
        self._space = ""
        self._block: _Block | None = None
        self._pieces: list[tuple[int, str | None, list[str]]] = []

    def feed(self, text: str) -> str:
        """Text that is visible; blocks, and what may be the beginning of one, are held back."""
        self._buffer += text
        visible = ""
        while True:
            if self._block is not None:
                after = self._block.feed(self._buffer)
                self._buffer = after or ""
                if after is None:
                    return visible
                visible += self._close(TOOL_END_TAG)
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
            self._block = _Block(self)

    def flush(self) -> str:
        """The end of the stream: an open block is read as if it were closed."""
        if self._block is not None:
            return self._close("")
        text, self._buffer = self._buffer, ""
        return "" if self.calls and not text.strip() else text

    def take_deltas(self) -> tuple[ToolCallDelta, ...]:
        """Pieces of calls since the last time, at most one per call."""
        pieces, self._pieces = self._pieces, []
        return tuple(
            ToolCallDelta(index=index, name=name, arguments="".join(text))
            for index, name, text in pieces
        )

    def begin(self, name: str) -> int:
        """Note a call that has begun, for the block that reads it.

        Returns:
            Its number.
        """
        index = len(self.ids)
        self.ids.append(f"chatcmpl-tool-{uuid.uuid4().hex}")
        self._pieces.append((index, name, []))
        return index

    def write(self, index: int, text: str) -> None:
        """Note a piece of the arguments of the call that has begun last."""
        if text:
            if not self._pieces:
                self._pieces.append((index, None, []))
            self._pieces[-1][2].append(text)

    def _close(self, end_tag: str) -> str:
        """The open block ends.

        Returns:
            What is shown of it: what could not be read.
        """
        rest = self._block.close() if self._block is not None else None
        space, self._block, self._space = self._space, None, ""
        return "" if rest is None else f"{space}{TOOL_TAG}{rest}{end_tag}"


class _Block:
    """What stands between two tags.

    A missing `[` or `]` is tolerated, and so are brackets and commas too many behind a call.
    """

    def __init__(self, parser: ToolCallParser) -> None:
        self._parser = parser
        self._state: _State = "start"
        self._tag = ""  # as much of the closing tag as has come
        self._rest = ""  # what belongs to no call so far
        self._understood = False
        self._begin()

    def _begin(self) -> None:
        """Forget the last call."""
        self._reader: JsonReader | None = None  # of the value that is being read
        self._key = ""
        self._name: str | None = None
        self._arguments: JsonReader | None = None
        self._held = ""  # of the arguments, while the call does not count yet
        self._index: int | None = None  # once it counts
        self._written: list[str] = []

    def feed(self, text: str) -> str | None:
        """Read text.

        Returns:
            What follows the closing tag; None while the block is open.
        """
        for place, char in enumerate(text):
            if not self._tag and (char != TOOL_END_TAG[0] or self._in_string):
                self._read(char)
            elif TOOL_END_TAG.startswith(self._tag + char):
                self._tag += char
                if self._tag == TOOL_END_TAG:
                    return text[place + 1 :]
            else:
                # It was no tag. Outside of strings "<" is a mistake, so no string begins in it.
                tag, self._tag = self._tag, ""
                for old in tag:
                    self._read(old)
                if char == TOOL_END_TAG[0]:
                    self._tag = char
                else:
                    self._read(char)
        return None

    def close(self) -> str | None:
        """The end of the block.

        Returns:
            What could not be read, None if that is nothing.
        """
        tag = "" if self._tag == TOOL_END_TAG else self._tag
        if self._state == "broken":
            for char in tag:
                self._read(char)
            tag = ""
        elif self._index is not None:
            self._write_pending()
        if self._index is not None:
            self._finish()
        # A closing tag that is cut off closes, too.
        if self._understood and not self._rest.strip(_HARMLESS):
            return None
        return self._rest + tag

    @property
    def _in_string(self) -> bool:
        return self._state != "broken" and self._reader is not None and self._reader.in_string

    @property
    def _in_arguments(self) -> bool:
        """Whether text belongs to the arguments of a call that counts."""
        return self._index is not None and self._arguments is not None and not self._arguments.done

    def _read(self, char: str) -> None:
        inside = self._in_arguments
        if not inside:
            self._rest += char
        if self._state == "broken":
            if inside:
                self._write(char)
            return
        try:
            self._step(char)
        except NotJsonError:
            if inside:
                self._write_pending()
                self._write(char)
            elif self._index is not None:
                self._finish()
            self._state = "broken"

    # --- the list of calls -----------------------------------------------------------------------

    def _step(self, char: str) -> None:
        if self._reader is not None and self._value(char):
            return
        if char in _SPACE:
            return
        match self._state:
            case "start" if char == "[":
                self._state = "call"
            case "call" if char == "]":
                self._understood, self._state, self._rest = True, "end", ""
            case "start" | "call":
                _must(char == "{")
                self._begin()
                self._state = "first key"
            case "first key" | "comma" if char == "}":
                self._end_call()
            case "first key" | "key":
                _must(char == '"')
                self._state = "key"
                self._open(JsonReader(verbatim=True), char)
            case "colon":
                _must(char == ":")
                self._state = "value"
            case "value":
                self._begin_value(char)
            case "comma":
                _must(char == ",")
                self._state = "key"
            case "next" if char == ",":
                self._state = "call"
            case "next" if char == "]":
                self._state = "end"
            case _:
                _must(char in _HARMLESS)

    def _end_call(self) -> None:
        _must(self._name is not None)
        if self._index is None:
            self._held = self._held or "{}"
            self._count()
        self._finish()
        self._rest, self._state, self._understood = "", "next", True

    # --- one call --------------------------------------------------------------------------------

    def _open(self, reader: JsonReader, char: str) -> None:
        self._reader = reader
        self._value(char)

    def _begin_value(self, char: str) -> None:
        reader = JsonReader(verbatim=True)
        if self._key == "name" and self._name is None:
            _must(char == '"')
        elif self._key == "arguments" and self._arguments is None:
            self._arguments = reader
        else:
            self._key = ""
        self._open(reader, char)

    def _value(self, char: str) -> bool:
        """Read a character of a key or value; False if that had ended before it."""
        reader = self._reader
        assert reader is not None
        used = reader.feed(char)
        if self._state == "value" and reader is self._arguments:
            self._flow(reader)
        if reader.done:
            self._reader = None
            self._value_ended(reader)
        return used

    def _value_ended(self, reader: JsonReader) -> None:
        if self._state == "key":
            self._key, self._state = reader.take(), "colon"
            return
        self._state = "comma"
        if self._key == "name" and reader is not self._arguments:
            self._name = reader.take()
            _must(self._name != "")
            if self._arguments is not None:
                self._flow(self._arguments)

    def _flow(self, reader: JsonReader) -> None:
        """Pass on what has come of the arguments, once the call counts."""
        text = reader.take()
        if reader.kind == "n":
            text = "{}" if text else ""  # null stands for no arguments
        if self._index is not None:
            self._write(text)
            return
        self._held += text
        if self._name is not None and reader.begun:
            self._count()

    def _count(self) -> None:
        """From here on it is a call, whatever follows."""
        assert self._name is not None
        self._index = self._parser.begin(self._name)
        self._rest = ""
        self._write(self._held)

    def _write(self, text: str) -> None:
        assert self._index is not None
        self._written.append(text)
        self._parser.write(self._index, text)

    def _write_pending(self) -> None:
        """What was read of arguments that will not be completed."""
        if self._in_arguments and self._arguments is not None:
            self._write(self._arguments.take() + self._arguments.pending)

    def _finish(self) -> None:
        assert self._index is not None
        assert self._name is not None
        if not any(self._written):
            self._write("{}")  # an empty string, where models mean no arguments
        text = "".join(self._written)
        verbatim = self._arguments is not None and self._arguments.kind == '"'
        arguments = text if verbatim else _arguments(text)
        call_id = self._parser.ids[self._index]
        self._parser.calls.append(ToolCall(name=self._name, arguments=arguments, id=call_id))
        self._understood = True
        self._index = None


def _must(condition: bool) -> None:
    if not condition:
        raise NotJsonError("not a list of calls")


def _arguments(text: str) -> Mapping[str, Any] | str:
    """Arguments as an object where that says the same as their text, else the text."""
    if not text.startswith("{"):
        return text
    try:
        value = json.loads(text)
        return value if json.dumps(value, ensure_ascii=False) == text else text
    except ValueError:
        return text
