"""JSON that is still being written: one value, character by character, written again as it comes.

`JsonReader` accepts a value the moment its characters arrive and gives out the same value in one
spelling, that of `json.dumps(value, ensure_ascii=False)`, so that pieces sent early and the value
sent at the end are the same text. Knows nothing of tool calls and never looks at a character
twice.

Source: RFC 8259; serving specification, section 5.3.
"""

from __future__ import annotations

import json
import math
import re

__all__ = ["MAX_DEPTH", "JsonReader", "NotJsonError"]

MAX_DEPTH = 64
_SPACE = " \t\r\n"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"


class NotJsonError(ValueError):
    """A character that cannot follow."""


class JsonReader:
    """Reads one value.

    Line breaks and other control characters inside strings are accepted, which models write and
    JSON forbids; they come out escaped. Half a surrogate pair stays an escape.

    Args:
        verbatim: A value that is a string comes out as its characters instead of as JSON.

    Attributes:
        kind: First character of the value, "" before it.
        done: Whether the value is complete.
        begun: Whether it is more than an opening: some value inside of it has begun, or it is
            complete. What only looks like JSON mostly fails before.
    """

    def __init__(self, *, verbatim: bool = False) -> None:
        self.kind = ""
        self.done = False
        self.begun = False
        self._verbatim = verbatim
        self._open: list[str] = []  # "{" or "[" of the containers around the next character
        self._expect = "value"
        self._is_key = False
        self._token = ""  # a number, literal or escape that is not complete
        self._high = ""  # hexadecimal digits of the first half of a surrogate pair
        self._out: list[str] = []

    @property
    def pending(self) -> str:
        """Characters that were read and are not in what was given out: the start of a token."""
        high = f"\\u{self._high}" if self._high else ""
        return high + self._token

    @property
    def in_string(self) -> bool:
        """Whether the next character belongs to a string."""
        return self._expect in ("string", "escape")

    def take(self) -> str:
        """What can be given out since the last call."""
        text = "".join(self._out)
        self._out.clear()
        return text

    def feed(self, char: str) -> bool:
        """Read one character.

        Returns:
            False if the value was complete before this character, which then is not part of it.

        Raises:
            NotJsonError: The character cannot stand here.
        """
        if self.done:
            return False
        match self._expect:
            case "string":
                self._string(char)
            case "escape":
                self._escape(char)
            case "number":
                return self._number(char)
            case "literal":
                self._literal(char)
            case _ if char in _SPACE:
                pass
            case "value" | "value or end":
                self._value(char)
            case "key" | "key or end":
                self._key(char)
            case "colon":
                self._must(char == ":", char)
                self._out.append(": ")
                self._expect = "value"
            case _:  # comma or end
                self._after(char)
        return True

    def end(self) -> bool:
        """No more characters: completes a number, which has no end of its own.

        Returns:
            Whether the value is complete.

        Raises:
            NotJsonError: Half a number.
        """
        if self._expect == "number" and not self.done:
            self._number("")
        return self.done

    # --- one character -----------------------------------------------------------------------

    def _must(self, condition: bool, char: str) -> None:
        if not condition:
            raise NotJsonError(f"{char!r} where {self._expect} was expected")

    def _value(self, char: str) -> None:
        if char == "]" and self._expect == "value or end":
            self._close(char)
            return
        self._must(char in '{["-tfn' or char in _DIGITS, char)
        self.kind = self.kind or char
        self.begun = self.begun or bool(self._open)
        if char in "{[":
            self._must(len(self._open) < MAX_DEPTH, char)
            self._open.append(char)
            self._out.append(char)
            self._expect = "key or end" if char == "{" else "value or end"
        elif char == '"':
            self._begin_string(is_key=False)
        else:
            self._token = char
            self._expect = "literal" if char in _LITERALS else "number"

    def _key(self, char: str) -> None:
        if char == "}" and self._expect == "key or end":
            self._close(char)
            return
        self._must(char == '"', char)
        self._begin_string(is_key=True)

    def _after(self, char: str) -> None:
        opened = self._open[-1]
        if char == ",":
            self._out.append(", ")
            self._expect = "key" if opened == "{" else "value"
        else:
            self._must(char == ("}" if opened == "{" else "]"), char)
            self._close(char)

    def _close(self, char: str) -> None:
        self._open.pop()
        self._out.append(char)
        self._complete()

    def _complete(self) -> None:
        """A value ended."""
        self._token = ""
        self.done = not self._open
        self.begun = self.begun or self.done
        self._expect = "comma or end"

    # --- strings -----------------------------------------------------------------------------

    @property
    def _as_characters(self) -> bool:
        return self._verbatim and not self._open

    def _begin_string(self, *, is_key: bool) -> None:
        self._is_key = is_key
        self._expect = "string"
        if not self._as_characters:
            self._out.append('"')

    def _string(self, char: str) -> None:
        if char == "\\":
            self._token = char
            self._expect = "escape"
            return
        self._lone()
        if char != '"':
            self._write(char)
            return
        if not self._as_characters:
            self._out.append(char)
        if self._is_key:
            self._is_key = False
            self._expect = "colon"
        else:
            self._complete()

    def _escape(self, char: str) -> None:
        if self._token == "\\" and char in _ESCAPES:
            self._token = ""
            self._lone()
            self._write(_ESCAPES[char])
            self._expect = "string"
            return
        self._must(char == "u" if self._token == "\\" else char in _HEX, char)
        self._token += char
        if len(self._token) == len("\\u0000"):
            digits, self._token = self._token[2:], ""
            self._code(digits)
            self._expect = "string"

    def _code(self, digits: str) -> None:
        code = int(digits, 16)
        if self._high and 0xDC00 <= code < 0xE000:
            high, self._high = int(self._high, 16), ""
            self._write(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
            return
        self._lone()
        if 0xD800 <= code < 0xDC00:
            self._high = digits
        elif 0xDC00 <= code < 0xE000:
            self._write_half(digits)
        else:
            self._write(chr(code))

    def _lone(self) -> None:
        """A first half that was not followed by its second."""
        if self._high:
            digits, self._high = self._high, ""
            self._write_half(digits)

    def _write_half(self, digits: str) -> None:
        # Half a character cannot be sent; as an escape it can.
        self._out.append("\ufffd" if self._as_characters else f"\\u{digits}")

    def _write(self, char: str) -> None:
        self.begun = self.begun or self._as_characters
        if not self._as_characters and (char < " " or char in '"\\'):
            char = json.dumps(char)[1:-1]
        self._out.append(char)

    # --- numbers and words ---------------------------------------------------------------------

    def _number(self, char: str) -> bool:
        if char and char in "0123456789.eE+-":
            self._token += char
            return True
        text = self._token
        self._must(_NUMBER.fullmatch(text) is not None, char)
        if text.lstrip("-").isdigit():
            text = "0" if text == "-0" else text
        elif math.isfinite(float(text)):
            text = repr(float(text))
        self._out.append(text)
        self._complete()
        # The character that ended the number is read as what follows it.
        return bool(char) and self.feed(char)

    def _literal(self, char: str) -> None:
        word = _LITERALS[self._token[0]]
        self._must(word.startswith(self._token + char), char)
        self._token += char
        if self._token == word:
            self._out.append(word)
            self._complete()
