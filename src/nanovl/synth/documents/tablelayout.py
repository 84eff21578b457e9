"""Tables as blocks: column widths after content, wrapped cells, rules and fills.

Columns get their natural width where there is room, else room is shared after what their words
need at least, the way browsers do it. Must not know where on a page the table will stand until it
is placed.

Source: data synthesis specification, section 6 (styles; cell area and text area kept apart).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.data.convert.markup import is_number
from nanovl.synth.base import Reject
from nanovl.synth.documents.blocks import Run, TableBlock
from nanovl.synth.documents.glyphs import Pen
from nanovl.synth.documents.lines import Line, break_lines
from nanovl.synth.documents.pages import Page, Piece, PlacedCell
from nanovl.synth.documents.style import PageStyle

__all__ = ["LaidTable", "lay_table", "natural_width"]

_WIDEST_COLUMN = 22.0  # em a column may ask for


@dataclass(slots=True)
class LaidTable:
    """A table with known widths and heights.

    Attributes:
        block: What it says.
        style: Of the page.
        width: Room it stands in.
        columns: Widths.
        header, rows: Lines of every cell.
        heights: Of the body rows; `header_height` of the header.
        caption: Lines above or below.
    """

    block: TableBlock
    style: PageStyle
    width: float
    columns: list[float]
    header: list[list[Line]]
    rows: list[list[list[Line]]]
    header_height: float
    heights: list[float]
    caption: list[Line]
    pen: Pen
    pitch: float

    @property
    def row_count(self) -> int:
        """Body rows."""
        return len(self.rows)

    def _caption_height(self, first: int) -> float:
        if not self.caption or first:
            return 0.0
        return len(self.caption) * self.style.pen("caption").size * 1.25 + self.style.size * 0.4

    def fitting(self, first: int, room: float) -> int:
        """How many rows from `first` on fit in some height, header and caption included."""
        used = self.header_height + self._caption_height(first)
        count = 0
        for height in self.heights[first:]:
            if used + height > room:
                break
            used += height
            count += 1
        return count

    def place(self, page: Page, x: float, y: float, first: int, last: int, index: int) -> float:
        """Put rows on a page, header repeated; returns the y below."""
        style = self.style.table
        total = sum(self.columns)
        left = x + (self.width - total) / 2
        if style.caption == "above":
            y = self._place_caption(page, x, y, first, index)
        top = y
        piece = Piece("table", index, rows=(first, last), is_rest=first > 0, source=self.block)
        page.pieces.append(piece)
        table = self.block.table
        y = self._place_row(page, piece, left, y, -1, table.header, self.header, self.header_height)
        marks = [top, y]
        for row in range(first, last):
            if style.zebra_fill is not None and row % 2:
                page.fills.append(
                    ((left, y, left + total, y + self.heights[row]), style.zebra_fill)
                )
            y = self._place_row(
                page, piece, left, y, row, table.rows[row], self.rows[row], self.heights[row]
            )
            marks.append(y)
        piece.box = (left, top, left + total, y)
        self._draw_rules(page, left, marks)
        if style.caption == "below" and last == self.row_count:
            y = self._place_caption(page, x, y + self.style.size * 0.3, 0, index)
        return y

    def _place_caption(self, page: Page, x: float, y: float, first: int, index: int) -> float:
        if not self.caption or first:
            return y
        pen = self.style.pen("caption")
        pitch = pen.size * 1.25
        rise = (pitch - pen.ascent - pen.descent) / 2 + pen.ascent
        piece = Piece("caption", index, source=self.block)
        for line in self.caption:
            piece.lines.append(line.moved(x, y + rise, y, y + pitch, self.style.ink))
            y += pitch
        page.pieces.append(piece)
        return y + self.style.size * 0.4

    def _place_row(
        self,
        page: Page,
        piece: Piece,
        left: float,
        y: float,
        row: int,
        texts: Sequence[str],
        cells: Sequence[list[Line]],
        height: float,
    ) -> float:
        style = self.style.table
        is_header = row < 0
        if is_header and style.header_fill is not None:
            box = (left, y, left + sum(self.columns), y + height)
            page.fills.append((box, style.header_fill))
        ink = style.header_ink if is_header else self.style.ink
        pad_x, pad_y = style.pad_x * self.pen.size, style.pad_y * self.pen.size
        rise = (self.pitch - self.pen.ascent - self.pen.descent) / 2 + self.pen.ascent
        x = left
        places = range(len(cells))
        for column in reversed(places) if self.style.rtl else places:
            lines = cells[column]
            spare = height - 2 * pad_y - len(lines) * self.pitch
            at = y + pad_y + (spare / 2 if style.valign_middle or is_header else 0.0)
            placed = []
            for line in lines:
                placed.append(line.moved(x + pad_x, at + rise, at, at + self.pitch, ink))
                at += self.pitch
            box = (x, y, x + self.columns[column], y + height)
            piece.cells.append(PlacedCell(row, column, texts[column], box, placed))
            x += self.columns[column]
        if self.style.rtl:
            count = len(places)
            piece.cells[-count:] = piece.cells[-count:][::-1]
        return y + height

    def _draw_rules(self, page: Page, left: float, marks: list[float]) -> None:
        style = self.style.table
        w = style.rule_width
        right = left + sum(self.columns)

        def across(y: float, width: int = w) -> None:
            page.rules.append(((left, y - width / 2, right, y + width / 2), style.rule))

        def down(x: float) -> None:
            page.rules.append(((x - w / 2, marks[0], x + w / 2, marks[-1]), style.rule))

        kind = style.rules
        if kind in ("full", "horizontal"):
            for y in marks:
                across(y)
        elif kind == "booktabs":
            across(marks[0], w + 1)
            across(marks[1])
            across(marks[-1], w + 1)
        elif kind == "frame":
            across(marks[0])
            across(marks[1])
            across(marks[-1])
        elif kind in ("header", "vertical"):
            across(marks[1])
        edges = [left]
        for width in self.columns:
            edges.append(edges[-1] + width)
        if kind == "full":
            for x in edges:
                down(x)
        elif kind == "frame":
            down(edges[0])
            down(edges[-1])
        elif kind == "vertical":
            for x in edges[1:-1]:
                down(x)


def natural_width(block: TableBlock, style: PageStyle) -> tuple[float, float]:
    """(least, comfortable) width of a table in pixels."""
    least, natural = _column_needs(block, style)
    return sum(least), sum(natural)


def _column_needs(block: TableBlock, style: PageStyle) -> tuple[list[float], list[float]]:
    pen, bold = _pens(style)
    table = block.table
    pad = 2 * style.table.pad_x * pen.size + 2
    least, natural = [], []
    widest = _WIDEST_COLUMN * pen.size
    for column, head in enumerate(table.header):
        pens = [(bold if style.table.header_bold else pen, head)]
        body = bold if style.table.first_bold and column == 0 else pen
        pens += [(body, row[column]) for row in table.rows]
        words = max((p.width(w) for p, text in pens for w in text.split()), default=0.0)
        whole = max(
            (sum(map(p.width, text.split())) + p.space * text.count(" ") for p, text in pens),
            default=0.0,
        )
        least.append(min(words, widest) + pad)
        natural.append(max(min(whole, widest), min(words, widest)) + pad + 1)
    return least, natural


def _pens(style: PageStyle) -> tuple[Pen, Pen]:
    return style.pen("table"), style.pen("table", bold=True)


def lay_table(block: TableBlock, style: PageStyle, width: float) -> LaidTable:
    """A table in a column of some width.

    Raises:
        Reject: Its longest words do not fit.
    """
    least, natural = _column_needs(block, style)
    if sum(least) > width:
        raise Reject(
            "table_too_wide",
            f"table {block.table.id} needs {sum(least):.0f} pixels, there are {width:.0f}",
        )
    spare = width - sum(least)
    wanted = [n - m for n, m in zip(natural, least, strict=True)]
    share = min(1.0, spare / sum(wanted)) if sum(wanted) > 0 else 0.0
    columns = [m + w * share for m, w in zip(least, wanted, strict=True)]
    if sum(columns) < width * 0.97 and style.table.rules in ("full", "horizontal", "booktabs"):
        grow = min(width / sum(columns), 1.35)
        columns = [c * grow for c in columns]
    pen, bold = _pens(style)
    tallest = max(sum(p.faces[0].vertical) for p in (pen, bold))
    pitch = pen.size * max(1.15, tallest * 0.92)
    table = block.table
    numeric = [
        bool(table.rows) and sum(_is_figure(r[c]) for r in table.rows) > 0.7 * len(table.rows)
        for c in range(len(table.header))
    ]

    def cell(text: str, column: int, header: bool) -> list[Line]:
        room = columns[column] - 2 * style.table.pad_x * pen.size
        first_bold = column == 0 and style.table.first_bold
        used = bold if (header and style.table.header_bold) or first_bold else pen
        align = style.table.align
        if numeric[column] and style.table.numbers_right:
            align = "right"
        if style.rtl and align == "left":
            align = "right"
        return break_lines((Run(text),), used, room, align=align, rtl=style.rtl)

    header = [cell(text, c, True) for c, text in enumerate(table.header)]
    rows = [[cell(text, c, False) for c, text in enumerate(row)] for row in table.rows]
    pad = 2 * style.table.pad_y * pen.size

    def height(cells: list[list[Line]]) -> float:
        return max(1, *(len(lines) for lines in cells)) * pitch + pad

    caption = []
    if block.caption:
        caption_pen = style.pen("caption")
        caption = break_lines(
            (Run(block.caption),),
            caption_pen,
            width,
            align="center" if style.heading_align == "center" else "right" if style.rtl else "left",
            rtl=style.rtl,
        )
    return LaidTable(
        block,
        style,
        width,
        columns,
        header,
        rows,
        height(header),
        [height(row) for row in rows],
        caption,
        pen,
        pitch,
    )


def _is_figure(text: str) -> bool:
    stripped = text.strip().strip("$%+-\u2013\u20ac\u00a3 ")
    return not stripped or is_number(stripped)
