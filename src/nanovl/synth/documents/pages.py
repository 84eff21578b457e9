"""Pages with every word in its place: what the layout makes and the painter paints.

Data only. Source: data synthesis specification, section 3.15.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nanovl.synth.base import Box
from nanovl.synth.documents.blocks import Block
from nanovl.synth.documents.lines import Line
from nanovl.synth.documents.style import Colour, PageStyle

__all__ = ["Page", "Piece", "PlacedCell"]


@dataclass(slots=True)
class PlacedCell:
    """A cell on a page.

    Attributes:
        row: Of the body from 0, -1 in the header.
        column: From 0.
        text: What it says.
        box: Its area in pixels.
        lines: Its text, empty in an empty cell.
    """

    row: int
    column: int
    text: str
    box: Box
    lines: list[Line]


@dataclass(slots=True)
class Piece:
    """A block, or the part of it that stands in one column of one page.

    Attributes:
        kind: See `blocks.KINDS`.
        block: Number of the block in the document.
        level, marker: Of headings and list items.
        lines: Of texts.
        cells: Of tables.
        rows: First and last (exclusive) body row of a table part.
        box: Of pictures and tables; else the lines say.
        is_rest: Whether the block began earlier.
        source: The block itself; None for headers and footers.
    """

    kind: str
    block: int
    level: int = 0
    marker: str = ""
    lines: list[Line] = field(default_factory=list)
    cells: list[PlacedCell] = field(default_factory=list)
    rows: tuple[int, int] = (0, 0)
    box: Box | None = None
    is_rest: bool = False
    source: Block | None = None


@dataclass(slots=True)
class Page:
    """A page with everything on it.

    Attributes:
        number: From 1.
        width, height: In pixels.
        style: Of the document.
        pieces: In reading order; headers first, footers last.
        fills: Coloured areas behind the text.
        rules: Thin filled boxes.
    """

    number: int
    width: int
    height: int
    style: PageStyle
    pieces: list[Piece] = field(default_factory=list)
    fills: list[tuple[Box, Colour]] = field(default_factory=list)
    rules: list[tuple[Box, Colour]] = field(default_factory=list)
