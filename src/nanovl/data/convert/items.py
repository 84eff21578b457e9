"""One entry of a source, read field by field; what does not fit is named and is one dropped item.

Knows no format and no file: `nanovl.data.convert.sources` makes items, converters read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.conversation import MediaRef

__all__ = ["Item", "Malformed", "as_text"]


class Malformed(Exception):
    """One item of a source cannot become a record; caught by `each`, never seen by users.

    Args:
        reason: Short name it is counted under: "bad_json", "missing_field", "wrong_type",
            "bad_value", "empty", "no_answer", "missing_media", "bad_box", "duplicate_id", ...
        message: Field, what was found, what was expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


_KINDS: dict[type, str] = {str: "text", list: "a list", dict: "an object"}


def _kind(value: Any) -> str:
    return "nothing" if value is None else _KINDS.get(type(value), type(value).__name__)


@dataclass(frozen=True)
class Item:
    """One entry of a source and where it stands, with readers that name the field they miss.

    Attributes:
        where: File and line or index, for messages.
        data: The decoded JSON object.
        media: Files that came with it, by extension ("webp" -> bytes).
        path: Dotted path from the line to `data`, "" at the top.
    """

    where: str
    data: Mapping[str, Any]
    media: Mapping[str, bytes | MediaRef] = field(default_factory=dict)
    path: str = ""

    def name(self, key: str) -> str:
        """The full path of one field, for messages."""
        return f"{self.path}.{key}" if self.path else key

    def get(self, key: str) -> Any:
        """A field that must be there (null counts as missing)."""
        if self.data.get(key) is None:
            known = ", ".join(map(str, list(self.data)[:12]))
            raise Malformed("missing_field", f"{self.name(key)} is missing; there are: {known}")
        return self.data[key]

    def _typed(self, key: str, kind: type) -> Any:
        value = self.get(key)
        if not isinstance(value, kind):
            raise Malformed(
                "wrong_type", f"{self.name(key)}: got {_kind(value)}, expected {_KINDS[kind]}"
            )
        return value

    def text(self, key: str) -> str:
        """A text field, stripped; numbers are taken as written; blank is malformed."""
        value = as_text(self.get(key), self.name(key))
        if not value:
            raise Malformed("empty", f"{self.name(key)} is blank")
        return value

    def maybe(self, key: str) -> str:
        """A text field, "" when it is missing, null or blank."""
        return "" if self.data.get(key) is None else as_text(self.data[key], self.name(key))

    def number(self, key: str) -> float:
        """A finite number, also when written as text."""
        value = self.get(key)
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if number != number or number in (float("inf"), float("-inf")):
            raise Malformed("wrong_type", f"{self.name(key)}: got {value!r}, expected a number")
        return number

    def items(self, key: str) -> list[Any]:
        """A list field, which may be empty."""
        value: list[Any] = self._typed(key, list)
        return value

    def texts(self, key: str, *, aligned: bool = False) -> tuple[str, ...]:
        """A non-empty list of texts; blanks are removed, or malformed when `aligned`."""
        values = [as_text(v, f"{self.name(key)}[{i}]") for i, v in enumerate(self.items(key))]
        found = tuple(v for v in values if v)
        if not found or (aligned and len(found) < len(values)):
            raise Malformed("empty", f"{self.name(key)}: {len(values) - len(found)} blank texts")
        return found

    def child(self, key: str) -> Item:
        """A nested object."""
        return Item(self.where, self._typed(key, dict), self.media, self.name(key))

    def children(self, key: str) -> tuple[Item, ...]:
        """A list of nested objects."""
        found = []
        for index, value in enumerate(self.items(key)):
            path = f"{self.name(key)}[{index}]"
            if not isinstance(value, dict):
                raise Malformed("wrong_type", f"{path}: got {_kind(value)}, expected an object")
            found.append(Item(self.where, value, self.media, path))
        return tuple(found)


def as_text(value: Any, name: str) -> str:
    """Text of a scalar, stripped; anything else is malformed."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed("wrong_type", f"{name}: got {_kind(value)}, expected text")
    return str(value)
