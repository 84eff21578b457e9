"""Puts the letters of Indic scripts back into reading order: glyphs come as they are printed.

A vowel sign printed before its consonants is read after them, and an r printed above the end of a
syllable is read at its beginning. Boxes stay; texts change places. Must not see other scripts.

Source: data synthesis specification, sections 3.9 and 3.12 (text in reading order).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

__all__ = ["has_indic", "to_reading_order"]

_FIRST, _LAST = "\u0900", "\u0dff"
# Vowel signs that stand to the left of what they follow.
_BEFORE = frozenset(
    "\u093f\u09bf\u09c7\u09c8\u0a3f\u0abf\u0b47\u0bc6\u0bc7\u0bc8\u0d46\u0d47\u0d48\u0dd9\u0ddb"
)
_REPH = frozenset({"\u0930\u094d", "\u09b0\u09cd", "\u0ab0\u0acd"})
_VIRAMA, _NUKTA = 9, 7


class _Glyph(Protocol):
    text: str


def has_indic(text: str) -> bool:
    """Whether a text has letters of these scripts."""
    return any(_FIRST <= c <= _LAST for c in text)


def _is_base(text: str) -> bool:
    return bool(text) and _FIRST <= text[0] <= _LAST and unicodedata.category(text[0]) == "Lo"


def _is_mark(text: str) -> bool:
    return bool(text) and has_indic(text) and unicodedata.category(text[0]) in ("Mn", "Mc")


def _ends(text: str, kind: int) -> bool:
    return bool(text) and unicodedata.combining(text[-1]) == kind


def to_reading_order(glyphs: Sequence[_Glyph]) -> None:
    """Reorder the texts of glyphs, in place.

    Args:
        glyphs: Of a page, in the order of its lines.
    """
    for n in reversed(range(len(glyphs))):  # what has moved is not met again
        if glyphs[n].text in _BEFORE:
            _shift(glyphs, n, _syllable_end(glyphs, n + 1), -1)
    for n in range(len(glyphs)):
        if glyphs[n].text in _REPH:
            _shift(glyphs, _syllable_start(glyphs, n - 1), n, 1)


def _syllable_end(glyphs: Sequence[_Glyph], n: int) -> int:
    """Last glyph of the consonants that begin at a place; the place before when none do."""
    end = n - 1
    while n < len(glyphs) and _is_base(glyphs[n].text):
        end = n
        while end + 1 < len(glyphs) and (
            glyphs[end + 1].text and unicodedata.combining(glyphs[end + 1].text[0]) in (
                _NUKTA, _VIRAMA)
        ):  # fmt: skip
            end += 1
        if not _ends(glyphs[end].text, _VIRAMA) or glyphs[end].text in _REPH:
            break
        n = end + 1
    return end


def _syllable_start(glyphs: Sequence[_Glyph], n: int) -> int:
    """First glyph of the syllable that ends at a place; the place after when there is none."""
    start = n + 1
    while n > 0 and _is_mark(glyphs[n].text):
        n -= 1
    while n >= 0 and _is_base(glyphs[n].text):
        start = n
        n -= 1
        if n < 0 or not _ends(glyphs[n].text, _VIRAMA):
            break
    return start


def _shift(glyphs: Sequence[_Glyph], first: int, last: int, step: int) -> None:
    """Move the first text to the end (step -1) or the last to the beginning (step 1)."""
    texts = [g.text for g in glyphs[first : last + 1]]
    texts = [*texts[1:], *texts[:1]] if step < 0 else [*texts[-1:], *texts[:-1]]
    for glyph, text in zip(glyphs[first : last + 1], texts, strict=True):
        glyph.text = text
