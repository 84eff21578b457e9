"""Paints a laid-out page and says where the ink of every character, word and line is.

Text is gathered as one sheet of coverage at `SUPER` times the size, scaled down once and coloured.
Boxes are the outlines of the ink itself, so what lies outside of them is paper. Must not choose
positions.

Source: data synthesis specification, sections 2.3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from nanovl.synth.base import Box
from nanovl.synth.documents.backgrounds import picture
from nanovl.synth.documents.blocks import PictureBlock
from nanovl.synth.documents.glyphs import SUPER, Ink, Shaped
from nanovl.synth.documents.lines import Line
from nanovl.synth.documents.pages import Page, Piece
from nanovl.synth.documents.style import Colour

Quad = tuple[float, ...]  # x and y of four corners, clockwise from the top left; () when upright

__all__ = ["InkBlock", "InkCell", "InkLine", "InkWord", "Painted", "paint", "stamp_word", "union"]


@dataclass(slots=True)
class InkWord:
    """A painted word.

    Attributes:
        text: What it says.
        box: Of its ink.
        characters: Boxes of its characters in reading order; empty where a script joins them.
        space: Whether a blank stands before it.
        bold, italic: Its style.
        quad: Its corners where the page was bent or turned, else empty.
    """

    text: str
    box: Box
    characters: tuple[Box, ...] = ()
    space: bool = True
    bold: bool = False
    italic: bool = False
    quad: Quad = ()


@dataclass(slots=True)
class InkLine:
    """A painted line."""

    text: str
    box: Box
    words: list[InkWord]
    indent: int = 0
    quad: Quad = ()


@dataclass(slots=True)
class InkCell:
    """A painted table cell: its area, and its text with the box of the ink (None when empty)."""

    row: int
    column: int
    text: str
    box: Box
    lines: list[InkLine]
    ink: Box | None
    quad: Quad = ()


@dataclass(slots=True)
class InkBlock:
    """A painted piece of a page; see `pages.Piece` for the attributes."""

    kind: str
    block: int
    level: int
    marker: str
    box: Box
    lines: list[InkLine]
    cells: list[InkCell] = field(default_factory=list)
    rows: tuple[int, int] = (0, 0)
    is_rest: bool = False
    quad: Quad = ()


@dataclass(slots=True)
class Painted:
    """A page as a picture and everything that can be read on it."""

    image: Image.Image
    number: int
    blocks: list[InkBlock]

    @property
    def lines(self) -> list[InkLine]:
        """All lines in reading order, those of table cells row by row."""
        found: list[InkLine] = []
        for block in self.blocks:
            found += block.lines
            for cell in block.cells:
                found += cell.lines
        return found


def union(boxes: Iterable[Box]) -> Box:
    """The box around some boxes (at least one)."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def paint(page: Page) -> Painted:
    """The page as a picture; lines without ink are left out."""
    style = page.style
    image = Image.new("RGB", (page.width, page.height), style.paper)
    draw = ImageDraw.Draw(image)
    for box, colour in page.fills:
        _fill(draw, box, colour)
    for piece in page.pieces:
        if isinstance(piece.source, PictureBlock) and piece.box is not None and not piece.lines:
            x0, y0, x1, y1 = map(round, piece.box)
            image.paste(picture(piece.source.seed, max(1, x1 - x0), max(1, y1 - y0)), (x0, y0))
    for box, colour in page.rules:
        _fill(draw, box, colour)
    sheet = np.zeros((page.height * SUPER, page.width * SUPER), np.uint8)
    coloured: list[tuple[Box, Colour]] = []
    blocks = []
    for piece in page.pieces:
        block = _paint_piece(sheet, piece, coloured, style.ink)
        if block is not None:
            blocks.append(block)
    coverage = Image.fromarray(sheet).reduce(SUPER)
    for box, colour in coloured:
        x0, y0, x1, y1 = int(box[0]), int(box[1]), int(box[2]) + 1, int(box[3]) + 1
        area = (x0, y0, min(x1, page.width), min(y1, page.height))
        image.paste(colour, area, coverage.crop(area))
        coverage.paste(0, area)
    image.paste(style.ink, (0, 0), coverage)
    return Painted(image, page.number, blocks)


def _fill(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    """A box of whole pixels; thin rules are at least one pixel wide."""
    x0, y0 = round(box[0]), round(box[1])
    draw.rectangle((x0, y0, max(x0, round(box[2]) - 1), max(y0, round(box[3]) - 1)), fill=colour)


def _paint_piece(
    sheet: Ink, piece: Piece, coloured: list[tuple[Box, Colour]], ink: Colour
) -> InkBlock | None:
    lines = _paint_lines(sheet, piece.lines, coloured, ink)
    cells = []
    for cell in piece.cells:
        found = _paint_lines(sheet, cell.lines, coloured, ink)
        area = union(line.box for line in found) if found else None
        cells.append(InkCell(cell.row, cell.column, cell.text, cell.box, found, area))
    box = piece.box
    if box is None:
        if not lines:
            return None
        box = union(line.box for line in lines)
    return InkBlock(
        piece.kind,
        piece.block,
        piece.level,
        piece.marker,
        box,
        lines,
        cells,
        piece.rows,
        piece.is_rest,
    )


def _paint_lines(
    sheet: Ink, lines: Sequence[Line], coloured: list[tuple[Box, Colour]], ink: Colour
) -> list[InkLine]:
    found = []
    for line in lines:
        words = []
        if line.ornament is not None:
            x, mark = line.ornament
            box, _ = stamp_word(sheet, mark.shaped, x, line.baseline)
            if box is not None and line.colour != ink:
                coloured.append((box, line.colour))
        for word in line.words:
            box, characters = stamp_word(sheet, word.shaped, word.x, line.baseline)
            if box is not None:
                words.append(
                    InkWord(word.text, box, characters, word.space, word.pen.bold, word.pen.italic)
                )
        if words:
            outline = union(w.box for w in words)
            found.append(InkLine(line.text, outline, words, line.indent))
            if line.colour != ink:
                coloured.append((outline, line.colour))
    return found


def stamp_word(
    sheet: Ink, shaped: Shaped, x: float, baseline: float
) -> tuple[Box | None, tuple[Box, ...]]:
    """Put a word on a sheet of coverage and say where its ink is.

    Args:
        sheet: At `SUPER` times the size of the page.
        shaped: The word.
        x, baseline: Pen position in pixels of the page.

    Returns:
        Box of the word (None without ink) and of its characters, in pixels of the page. What would
        stand outside of the sheet is cut off.
    """
    height, width = sheet.shape
    base = round(baseline * SUPER)
    boxes: list[Box] = []
    for offset, glyph in shaped.glyphs:
        rows, columns = glyph.ink.shape
        if not rows:
            continue
        left = round((x + offset) * SUPER) + glyph.left
        top = base + glyph.top
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(width, left + columns), min(height, top + rows)
        if x1 <= x0 or y1 <= y0:
            continue
        target = sheet[y0:y1, x0:x1]
        np.maximum(target, glyph.ink[y0 - top : y1 - top, x0 - left : x1 - left], out=target)
        boxes.append((x0 / SUPER, y0 / SUPER, x1 / SUPER, y1 / SUPER))
    if not boxes:
        return None, ()
    return union(boxes), tuple(boxes) if shaped.per_character else ()
