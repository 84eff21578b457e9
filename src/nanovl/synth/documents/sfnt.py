"""Reads what a TrueType or OpenType file says of itself: names, weight, coverage, advances.

Only the tables a page renderer needs; outlines are FreeType's business. Must not rasterise and
must not know folders.

Source: the OpenType specification, tables `name`, `cmap`, `OS/2`, `head`, `hhea`, `hmtx`, `post`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nanovl.core.errors import InputError

__all__ = ["FontFile"]

_WINDOWS, _MAC = 3, 1
_ENGLISH = 0x409
_FAMILY, _STYLE, _PREFERRED_FAMILY, _PREFERRED_STYLE = 1, 2, 16, 17
_COPYRIGHT, _LICENCE, _LICENCE_PAGE = 0, 13, 14


@dataclass(frozen=True)
class FontFile:
    """One face of a font file.

    Args:
        data: The file; of a collection, the first face is read.
        where: Its name, for messages.

    Raises:
        InputError: On first use of a property, when the file is not a font or is damaged.
    """

    data: bytes
    where: str = "font"

    @cached_property
    def _tables(self) -> dict[str, tuple[int, int]]:
        start = 0
        if self.data[:4] == b"ttcf":
            (start,) = self._unpack(">L", 12)
        if self.data[start : start + 4] not in (b"\0\1\0\0", b"OTTO", b"true"):
            raise InputError(f"{self.where}: not a TrueType or OpenType file")
        (count,) = self._unpack(">H", start + 4)
        found = {}
        for index in range(count):
            tag, _, offset, length = self._unpack(">4sLLL", start + 12 + 16 * index)
            found[tag.decode("latin-1")] = (offset, length)
        return found

    def has(self, tag: str) -> bool:
        """Whether the file has a table."""
        return tag in self._tables

    def _unpack(self, form: str, offset: int) -> tuple[Any, ...]:
        try:
            return struct.unpack_from(form, self.data, offset)
        except struct.error as error:
            raise InputError(f"{self.where}: the font file is cut off: {error}") from error

    def _table(self, tag: str) -> int:
        if tag not in self._tables:
            raise InputError(f"{self.where}: the font file has no table {tag!r}")
        return self._tables[tag][0]

    @cached_property
    def texts(self) -> dict[int, str]:
        """English texts of the table `name` by their number, white space collapsed."""
        start = self._table("name")
        _, count, texts = self._unpack(">HHH", start)
        found: dict[int, str] = {}
        for index in range(count):
            platform, _, language, name, length, offset = self._unpack(
                ">HHHHHH", start + 6 + 12 * index
            )
            raw = self.data[start + texts + offset : start + texts + offset + length]
            if platform == _WINDOWS and language == _ENGLISH:
                found[name] = raw.decode("utf-16-be", "replace")
            elif platform == _MAC:
                found.setdefault(name, raw.decode("mac-roman", "replace"))
        return {name: " ".join(text.split()) for name, text in found.items()}

    @cached_property
    def names(self) -> tuple[str, str]:
        """(family, style), the typographic ones where the file has them."""
        found = self.texts
        family = found.get(_PREFERRED_FAMILY) or found.get(_FAMILY, "")
        return family, found.get(_PREFERRED_STYLE) or found.get(_STYLE, "")

    @property
    def licence(self) -> str:
        """What the file says about its licence, "" when it says nothing."""
        found = self.texts
        said = (found.get(_LICENCE), found.get(_LICENCE_PAGE), found.get(_COPYRIGHT))
        return next((text for text in said if text), "")

    @cached_property
    def weight(self) -> int:
        """100 (thin) to 900 (black)."""
        if "OS/2" not in self._tables:
            return 400
        return int(self._unpack(">H", self._table("OS/2") + 4)[0])

    @cached_property
    def is_italic(self) -> bool:
        """Slanted or cursive style of a family."""
        if "OS/2" in self._tables:
            (flags,) = self._unpack(">H", self._table("OS/2") + 62)
            if int(flags) & 0x201:
                return True
        return any(word in self.names[1].lower() for word in ("italic", "oblique", "slanted"))

    @cached_property
    def is_monospaced(self) -> bool:
        """All characters are equally wide."""
        return bool(self._unpack(">L", self._table("post") + 12)[0])

    @cached_property
    def units(self) -> int:
        """Font units per em."""
        return int(self._unpack(">H", self._table("head") + 18)[0])

    @cached_property
    def glyphs(self) -> dict[int, int]:
        """Glyph number of every character the file can show."""
        start = self._table("cmap")
        (_, count) = self._unpack(">HH", start)
        best: tuple[int, int] | None = None
        for index in range(count):
            platform, encoding, offset = self._unpack(">HHL", start + 4 + 8 * index)
            (form,) = self._unpack(">H", start + offset)
            if form not in (4, 12):
                continue
            if platform == _WINDOWS and encoding not in (1, 10):  # 0: symbol fonts
                continue
            if best is None or form > best[0]:
                best = (int(form), start + int(offset))
        if best is None:
            return {}
        return self._segments(best[1]) if best[0] == 4 else self._groups(best[1])

    def _groups(self, start: int) -> dict[int, int]:
        (count,) = self._unpack(">L", start + 12)
        found: dict[int, int] = {}
        for index in range(count):
            first, last, glyph = self._unpack(">LLL", start + 16 + 12 * index)
            if last - first > 0x10FFFF:
                raise InputError(f"{self.where}: damaged character map")
            found.update((c, glyph + c - first) for c in range(first, last + 1))
        return found

    def _segments(self, start: int) -> dict[int, int]:
        (double,) = self._unpack(">H", start + 6)
        count = int(double) // 2
        form = f">{count}H"
        ends = self._unpack(form, start + 14)
        begins = self._unpack(form, start + 16 + 2 * count)
        deltas = self._unpack(form, start + 16 + 4 * count)
        table = start + 16 + 6 * count
        offsets = self._unpack(form, table)
        found: dict[int, int] = {}
        for index, (first, last, delta, offset) in enumerate(
            zip(begins, ends, deltas, offsets, strict=True)
        ):
            for char in range(int(first), min(int(last), 0xFFFE) + 1):
                if offset == 0:
                    glyph = (char + int(delta)) & 0xFFFF
                else:
                    place = table + 2 * index + int(offset) + 2 * (char - int(first))
                    if place + 2 > len(self.data):
                        continue
                    (glyph,) = self._unpack(">H", place)
                    glyph = (int(glyph) + int(delta)) & 0xFFFF if glyph else 0
                if glyph:
                    found[char] = glyph
        return found

    @cached_property
    def vertical(self) -> tuple[float, float]:
        """(ascent, descent) in em, both positive."""
        ascent, descent = self._unpack(">hh", self._table("hhea") + 4)
        return int(ascent) / self.units, -int(descent) / self.units

    @cached_property
    def _metric_count(self) -> int:
        return int(self._unpack(">H", self._table("hhea") + 34)[0])

    def advance(self, char: str) -> float:
        """Width of a character in em, 0.0 when the file lacks it."""
        glyph = self.glyphs.get(ord(char))
        if glyph is None:
            return 0.0
        place = self._table("hmtx") + 4 * min(glyph, self._metric_count - 1)
        return int(self._unpack(">H", place)[0]) / self.units
