"""Draws a table with Pillow and says where every cell and its text is.

`Renderer` is the seam for other ways of drawing: a table in, pictures and boxes out.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image, ImageDraw, ImageFont

from nanovl.synth.base import Box, Reject
from nanovl.synth.tables.grid import Cell, Table
from nanovl.synth.tables.style import RGB, Style
from nanovl.synth.typefaces import load_font

__all__ = ["CellBox", "Page", "Rendered", "Renderer", "draw_table", "page_rows", "side_of"]

MOST_PIXELS = 4_000_000  # of one page


@dataclass(frozen=True)
class CellBox:
    """Where a cell is.

    Attributes:
        cell: Which, as an index into the cells of the table.
        page: Number of the page.
        area: The whole cell.
        text: Its text, None if it is empty.
    """

    cell: int
    page: int
    area: Box
    text: Box | None


@dataclass(frozen=True)
class Page:
    """A picture, and which rows of the body it shows.

    Attributes:
        image: The picture.
        table: Box of the grid.
        caption: Box and text of the caption, None without.
        notes: Boxes and texts of notes.
        first, last: Rows of the whole grid shown (without repeated headers), last excluded.
    """

    image: Image.Image
    table: Box
    caption: tuple[Box, str] | None
    notes: tuple[tuple[Box, str], ...]
    first: int
    last: int


@dataclass(frozen=True)
class Rendered:
    """A drawn table. Header cells have one box a page."""

    pages: tuple[Page, ...]
    boxes: tuple[CellBox, ...]

    def of(self, cell: int) -> CellBox:
        """The first box of a cell."""
        return next(b for b in self.boxes if b.cell == cell)

    def to_json(self, table: Table) -> list[dict[str, Any]]:
        """Pages with their cells, as ground truth keeps them."""
        found = []
        for number, page in enumerate(self.pages):
            cells = []
            for b in self.boxes:
                if b.page != number:
                    continue
                cell = table.cells[b.cell]
                cells.append(
                    {
                        "text": cell.text,
                        "row": cell.row,
                        "column": cell.column,
                        "rowspan": cell.rows,
                        "colspan": cell.columns,
                        "role": cell.role,
                        "bbox": list(b.area),
                        "text_bbox": list(b.text) if b.text else None,
                    }
                )
            caption = page.caption
            found.append(
                {
                    "bbox": list(page.table),
                    "caption": {"bbox": list(caption[0]), "text": caption[1]} if caption else None,
                    "notes": [{"bbox": list(box), "text": text} for box, text in page.notes],
                    "rows": [page.first, page.last],
                    "cells": cells,
                }
            )
        return found


class Renderer(Protocol):
    """Any way of drawing a table."""

    def __call__(self, table: Table, style: Style, *, rows_a_page: int) -> Rendered:
        """Pictures and boxes of a table."""
        ...


@dataclass
class _Layout:
    lines: list[list[str]]  # of every cell
    widths: list[int]
    heights: list[int]
    pitch: int


def _font(style: Style, cell: Cell) -> ImageFont.FreeTypeFont:
    bold = (
        (cell.role == "head" and style.is_head_bold)
        or (cell.role == "stub" and style.is_stub_bold)
        or (cell.role == "section")
        or (cell.role == "stub" and cell.text == "Total")
    )
    return load_font(style.family, style.size, "bold" if bold else "regular")


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than `width` pixels, broken at blanks only (a long word stays whole)."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _layout(table: Table, style: Style) -> _Layout:
    lines, needs = [], []
    ascent, descent = load_font(style.family, style.size).getmetrics()
    pitch = ascent + descent
    for cell in table.cells:
        font = _font(style, cell)
        room = style.wrap * cell.columns
        if cell.role == "section":
            room = 100 * style.size
        parts = [cell.text] if cell.value is not None else wrapped(cell.text, font, room)
        parts = [p for p in parts if p]
        lines.append(parts)
        wide = max((font.getlength(p) for p in parts), default=0)
        needs.append((int(wide + 0.999) + 2 * style.pad_x, pitch * len(parts) + 2 * style.pad_y))
    widths, heights = [2 * style.pad_x + style.size] * table.width, [pitch] * table.height
    order = sorted(range(len(table.cells)), key=lambda k: table.cells[k].columns)
    for k in order:
        cell = table.cells[k]
        if cell.role == "section":
            continue
        _grow(widths, cell.column, cell.columns, needs[k][0])
    for k in order:
        if table.cells[k].role == "section":
            _grow(widths, 0, table.width, needs[k][0])
    for k in sorted(range(len(table.cells)), key=lambda k: table.cells[k].rows):
        _grow(heights, table.cells[k].row, table.cells[k].rows, needs[k][1])
    return _Layout(lines, widths, heights, pitch)


def _grow(sizes: list[int], start: int, count: int, need: int) -> None:
    """Widen some neighbours evenly until they have the room that is needed."""
    missing = need - sum(sizes[start : start + count])
    for k in range(count):
        if missing > 0:
            sizes[start + k] += missing // count + (k < missing % count)


def page_rows(table: Table, rows_a_page: int) -> list[tuple[int, int]]:
    """Rows of every page; never inside a spanning cell, and no section title stands last."""
    inside = set()
    for cell in table.cells:
        inside |= set(range(cell.row + 1, cell.row + cell.rows))
        if cell.role == "section":
            inside.add(cell.row + 1)
    pages, start = [], table.head
    while start < table.height:
        end = min(table.height, start + rows_a_page)
        while end < table.height and end in inside:
            end += 1
        if table.height - end == 1:  # no single row on the last page
            end = table.height
        pages.append((start, end))
        start = end
    return pages


def draw_table(table: Table, style: Style, *, rows_a_page: int = 1000) -> Rendered:
    """Draw a table with Pillow.

    Args:
        table: What to draw.
        style: The look.
        rows_a_page: Body rows after which the table goes on on another page, headers repeated.

    Raises:
        Reject: A page would be too large.
    """
    layout = _layout(table, style)
    pages, boxes = [], []
    for number, (first, last) in enumerate(page_rows(table, rows_a_page)):
        page, found = _page(table, style, layout, number, first, last)
        pages.append(page)
        boxes += found
    return Rendered(tuple(pages), tuple(boxes))


def _page(
    table: Table, style: Style, layout: _Layout, number: int, first: int, last: int
) -> tuple[Page, list[CellBox]]:
    rows = [*range(table.head), *range(first, last)]
    wide = sum(layout.widths)
    caption = _caption_lines(table, style, number, wide)
    notes = list(table.notes) if last == table.height else []
    above = len(caption) * layout.pitch + 8 if caption and style.caption == "above" else 0
    below = len(caption) * layout.pitch + 8 if caption and style.caption == "below" else 0
    tall = sum(layout.heights[r] for r in rows)
    left, top = style.margin, style.margin + above
    width = wide + 2 * style.margin
    height = tall + above + below + len(notes) * layout.pitch + 8 + 2 * style.margin
    if width * height > MOST_PIXELS:
        raise Reject("too_large", f"a table of {width} x {height} pixels")
    image = Image.new("RGB", (width, height), style.ground)
    draw = ImageDraw.Draw(image)
    xs = _edges(left, layout.widths)
    ys = dict(zip(rows, _edges(top, [layout.heights[r] for r in rows]), strict=False))
    ends = {r: ys[r] + layout.heights[r] for r in rows}
    areas = {}
    for k, cell in enumerate(table.cells):
        if cell.row in ys and cell.row + cell.rows - 1 in ends:
            areas[k] = (
                xs[cell.column], ys[cell.row], xs[cell.column + cell.columns],
                ends[cell.row + cell.rows - 1],
            )  # fmt: skip
    stripes: dict[int, int] = {}
    for row in range(table.head, table.height):
        if table.rows[row - table.head].kind != "section":
            stripes[row] = len(stripes)
    for k, area in areas.items():
        fill = _fill(style, table.cells[k], stripes)
        if fill:
            draw.rectangle(_inner(area), fill=fill)
    _rules(draw, table, style, areas, (left, top, left + wide, top + tall), ys, ends, rows)
    boxes = []
    for k, area in areas.items():
        text = _write(draw, table, style, layout, k, area)
        boxes.append(CellBox(k, number, _floats(area), text))
    grid = (float(left), float(top), float(left + wide), float(top + tall))
    at = style.margin if style.caption == "above" else top + tall + 8
    shown = _texts(draw, style, caption, left, at, layout.pitch) if caption else None
    note_top = top + tall + 6 + below
    written = []
    for k, note in enumerate(notes):
        made = _texts(draw, style, [note], left, note_top + k * layout.pitch, layout.pitch)
        if made[0][2] > width:
            raise Reject("too_wide", "a note is wider than the table")
        written.append(made)
    return Page(image, grid, shown, tuple(written), first, last), boxes


def _edges(start: int, sizes: Sequence[int]) -> list[int]:
    found = [start]
    for size in sizes:
        found.append(found[-1] + size)
    return found


def _floats(area: tuple[int, int, int, int]) -> Box:
    return float(area[0]), float(area[1]), float(area[2]), float(area[3])


def _inner(area: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return area[0], area[1], area[2] - 1, area[3] - 1


def _fill(style: Style, cell: Cell, stripes: dict[int, int]) -> RGB | None:
    if cell.role == "head":
        return style.head_fill
    if cell.role == "section":
        return style.section_fill
    if style.zebra and cell.rows == 1 and stripes[cell.row] % 2:
        return style.zebra
    return None


def _caption_lines(table: Table, style: Style, number: int, wide: int) -> list[str]:
    if style.caption == "none" or not table.title:
        return []
    text = f"{style.label}: {table.title}"
    if number:
        text = f"{style.label} (continued)"
    font = load_font(style.family, style.size)
    return wrapped(text, font, wide + style.margin)


def _texts(
    draw: ImageDraw.ImageDraw, style: Style, lines: Sequence[str], left: int, top: int, pitch: int
) -> tuple[Box, str]:
    font = load_font(style.family, style.size)
    found = []
    for k, line in enumerate(lines):
        at = (left, top + k * pitch)
        draw.text(at, line, font=font, fill=style.ink)
        found.append(draw.textbbox(at, line, font=font))
    return _union(found), " ".join(lines)


def _union(boxes: Sequence[Sequence[float]]) -> Box:
    return (
        float(min(b[0] for b in boxes)),
        float(min(b[1] for b in boxes)),
        float(max(b[2] for b in boxes)),
        float(max(b[3] for b in boxes)),
    )


def _write(
    draw: ImageDraw.ImageDraw, table: Table, style: Style, layout: _Layout, k: int,
    area: tuple[int, int, int, int],
) -> Box | None:  # fmt: skip
    cell, lines = table.cells[k], layout.lines[k]
    if not lines:
        return None
    font = _font(style, cell)
    ink = style.head_ink if cell.role == "head" and style.head_fill else style.ink
    side = side_of(table, style, cell)
    y = area[1] + (area[3] - area[1] - layout.pitch * len(lines)) / 2
    found = []
    for number, line in enumerate(lines):
        wide = font.getlength(line)
        x = {
            "left": area[0] + style.pad_x,
            "right": area[2] - style.pad_x - wide,
            "center": (area[0] + area[2] - wide) / 2,
        }[side]
        at = (round(x), round(y + number * layout.pitch))
        draw.text(at, line, font=font, fill=ink)
        found.append(draw.textbbox(at, line, font=font))
    return _union(found)


def side_of(table: Table, style: Style, cell: Cell) -> str:
    if cell.role == "section" or cell.role == "stub":
        return "left"
    if cell.columns > 1:
        return "center"
    if cell.column < table.stub:
        return "left"
    column = table.columns[cell.column - table.stub]
    return style.numbers if column.is_number else style.texts


def _rules(
    draw: ImageDraw.ImageDraw, table: Table, style: Style,
    areas: dict[int, tuple[int, int, int, int]], frame: tuple[int, int, int, int],
    ys: dict[int, int], ends: dict[int, int], rows: Sequence[int],
) -> None:  # fmt: skip
    left, top, right, bottom = frame
    line = style.line

    def across(y: int, width: int = 1, x0: int = left, x1: int = right) -> None:
        draw.line((x0, y, x1, y), fill=line, width=width)

    if style.borders == "grid":
        for area in areas.values():
            draw.rectangle(area, outline=line)
        return
    if style.borders == "outer":
        draw.rectangle(frame, outline=line, width=2)
        across(ends[table.head - 1])
        return
    if style.borders == "none":
        return
    if style.borders == "booktabs":
        across(top, 2)
        across(bottom, 2)
        across(ends[table.head - 1])
        for k, area in areas.items():
            cell = table.cells[k]
            if cell.role == "head" and cell.columns > 1:
                across(area[3], 1, area[0] + 6, area[2] - 6)
        last = rows[-1]
        if table.rows[last - table.head].kind == "total":
            across(ys[last])
        return
    covered = {
        (r, c)
        for cell in table.cells
        for r in range(cell.row + 1, cell.row + cell.rows)
        for c in range(cell.column, cell.column + cell.columns)
    }
    for k, area in areas.items():
        cell = table.cells[k]
        if (cell.row, cell.column) not in covered:
            across(area[1], 1, area[0], area[2])
    across(top, 2)
    across(bottom, 2)
