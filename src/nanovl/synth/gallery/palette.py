"""Colours of classes: the same class has the same colour in every sample and every gallery.

Source: data synthesis specification, section 20 (fixed palette). The colours are our own choice,
legible on light and dark pages.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable

__all__ = ["PALETTE", "colors_of"]

PALETTE = (
    "#2f6fdb", "#d9482b", "#1f9d61", "#b0409c", "#c78a00", "#0f98a8", "#7a55d6", "#e0567a",
    "#6b8e23", "#3f51b5", "#c2571a", "#00897b", "#9c2f6f", "#4b7bb0", "#a8742f", "#5c8f4a",
    "#d14fc0", "#607d8b", "#8d5a45", "#2a9fd6",
)  # fmt: skip

_ANSWER = "#e8112d"
_FIXED = {
    "text": 0, "paragraph": 0, "line": 17, "word": 13,
    "title": 1, "section_header": 10, "section-header": 10, "heading": 10,
    "caption": 4, "footnote": 18, "formula": 3, "list_item": 2, "list-item": 2,
    "table": 5, "cell": 11, "cell head": 6, "cell data": 13, "cell stub": 15, "cell section": 14,
    "picture": 7, "figure": 7, "chart": 7, "image": 7,
    "page_header": 17, "page-header": 17, "page_footer": 18, "page-footer": 18,
    "code": 9, "bibliography": 14, "toc": 8, "mark": 0, "button": 2, "link": 9, "input": 6,
}  # fmt: skip


def colors_of(together: Iterable[Collection[str]]) -> dict[str, str]:
    """A colour for every class.

    Known classes have theirs. Another one takes a place of the palette by its name, or the next
    that no class seen together with it has.

    Args:
        together: The classes of every sample.
    """
    beside: dict[str, set[str]] = {}
    for classes in together:
        for name in classes:
            beside.setdefault(name, set()).update(classes)
    found: dict[str, str] = {}
    others = []
    for name in sorted(beside):
        if name == "answer":
            found[name] = _ANSWER
            continue
        fixed = _FIXED.get(name.lower())
        if fixed is None:
            others.append(name)
        else:
            found[name] = PALETTE[fixed]
    for name in others:
        start = zlib.crc32(name.encode())
        turns = [PALETTE[(start + k) % len(PALETTE)] for k in range(len(PALETTE))]
        taken = {found.get(other) for other in beside[name]}
        found[name] = next((c for c in turns if c not in taken), turns[0])
    return found
