"""Nothing here needs TeX; files of the TeX tree are stood in for."""

from __future__ import annotations

from nanovl.synth.tex.events import Font, Item, State

__all__ = ["font", "glyphs"]


def font(number: int = 1, name: str = "lmroman10-regular", size: float = 10.0) -> Font:
    """An OpenType font without metrics."""
    return Font(number, name, name, size, True, size, False)


def glyphs(
    text: str, *, x: float = 0.0, y: float = 100.0, state: State | None = None
) -> list[Item]:
    """A line of glyphs five points wide each; blanks are TeX's glue."""
    out = []
    for char in text:
        kind = "space" if char == " " else "glyph"
        out.append(
            Item(kind, char, x, y, 5.0, (x, y - 7, x + 5, y + 2), state or State(par=1, line=1),
                 font(), ord(char))
        )  # fmt: skip
        x += 5.0
    return out
