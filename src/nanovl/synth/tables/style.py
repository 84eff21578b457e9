"""How a table looks: lines, colours, typeface, alignment, widths.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BORDERS", "Style", "draw_style"]

RGB = tuple[int, int, int]
BORDERS = ("grid", "horizontal", "booktabs", "outer", "none")


@dataclass(frozen=True, kw_only=True)
class Style:
    """A look.

    Attributes:
        family: Typeface.
        size: Of the text, in pixels.
        borders: One of `BORDERS`.
        line: Colour of lines.
        ground, ink: Page and text.
        head_fill, head_ink: Of header rows; no fill is None.
        zebra: Fill of every second row, None for none.
        section_fill: Fill of section rows, None for none.
        is_head_bold, is_stub_bold: Weight.
        numbers: Alignment of numbers: "right", "center" or "left".
        texts: Alignment of other cells.
        pad_x, pad_y: Free space in a cell, in pixels.
        wrap: Widest line of text in a cell, in pixels.
        caption: "above", "below" or "none".
        label: Word and number before the caption, such as "Table 3".
        margin: Around the table, in pixels.
    """

    family: str
    size: int = 16
    borders: str = "grid"
    line: RGB = (0, 0, 0)
    ground: RGB = (255, 255, 255)
    ink: RGB = (0, 0, 0)
    head_fill: RGB | None = None
    head_ink: RGB = (0, 0, 0)
    zebra: RGB | None = None
    section_fill: RGB | None = None
    is_head_bold: bool = True
    is_stub_bold: bool = False
    numbers: str = "right"
    texts: str = "left"
    pad_x: int = 8
    pad_y: int = 5
    wrap: int = 180
    caption: str = "above"
    label: str = "Table 1"
    margin: int = 20


HEADS: tuple[tuple[RGB, RGB], ...] = (
    ((31, 56, 100), (255, 255, 255)),
    ((226, 239, 218), (0, 0, 0)),
    ((68, 114, 196), (255, 255, 255)),
    ((242, 242, 242), (0, 0, 0)),
    ((84, 56, 33), (255, 255, 255)),
    ((255, 230, 153), (0, 0, 0)),
    ((0, 110, 110), (255, 255, 255)),
    ((60, 60, 60), (255, 255, 255)),
    ((221, 235, 247), (20, 40, 80)),
)
ZEBRA: tuple[RGB, ...] = ((242, 242, 242), (235, 241, 250), (250, 245, 235), (234, 244, 236))


def draw_style(rng: random.Random, families: Sequence[str]) -> Style:
    """A random look with one of the given typefaces."""
    borders = rng.choices(BORDERS, (4, 3, 3, 1, 2))[0]
    size = rng.choice((13, 14, 15, 16, 17, 18, 20, 22))
    is_dark = rng.random() < 0.06
    ground: RGB = (255, 255, 255)
    ink: RGB = (0, 0, 0)
    if is_dark:
        ground, ink = (32, 34, 40), (232, 232, 232)
    elif rng.random() < 0.2:
        ground = rng.choice(((253, 250, 243), (247, 249, 252), (245, 245, 245)))
    head_fill, head_ink = None, ink
    zebra = section_fill = None
    if not is_dark and borders != "booktabs" and rng.random() < 0.6:
        head_fill, head_ink = rng.choice(HEADS)
    if not is_dark and rng.random() < 0.3:
        zebra = rng.choice(ZEBRA)
    if not is_dark and rng.random() < 0.5:
        section_fill = (228, 228, 228)
    gray = rng.choice((0, 60, 120, 180))
    return Style(
        family=rng.choice(list(families)),
        size=size,
        borders=borders,
        line=(200, 200, 200) if is_dark else (gray, gray, gray),
        ground=ground,
        ink=ink,
        head_fill=head_fill,
        head_ink=head_ink,
        zebra=zebra,
        section_fill=section_fill,
        is_head_bold=rng.random() < 0.75,
        is_stub_bold=rng.random() < 0.15,
        numbers=rng.choice(("right", "right", "center", "left")),
        texts=rng.choice(("left", "left", "center")),
        pad_x=rng.randint(6, 16),
        pad_y=rng.randint(3, 10),
        wrap=size * rng.choice((6, 8, 12, 16, 24)),
        caption=rng.choice(("above", "above", "below", "none")),
        label=f"{rng.choice(('Table', 'Table', 'Tab.', 'TABLE'))} {rng.randint(1, 9)}",
        margin=rng.randint(12, 48),
    )
