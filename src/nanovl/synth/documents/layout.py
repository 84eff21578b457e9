"""Blocks become pages: columns, headings, lists, tables over several pages, headers and footers.

What comes out is a description of pages with every word in its place, which `draw` paints and the
ground truth is read from. Must not paint.

Source: data synthesis specification, sections 3.12, 3.15 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nanovl.synth.base import Reject
from nanovl.synth.documents.blocks import Block, PictureBlock, Run, TableBlock, TextBlock
from nanovl.synth.documents.lines import Line, Word, break_lines, runs_right_to_left
from nanovl.synth.documents.pages import Page, Piece
from nanovl.synth.documents.style import Align, PageStyle
from nanovl.synth.documents.tablelayout import LaidTable, lay_table

__all__ = ["lay_out"]

_MOST_PAGES = 60


@dataclass(slots=True)
class _Item:
    """A block ready to be placed: lines at their pitch, or a table, or a picture."""

    block: Block
    index: int
    before: float
    lines: list[Line] = field(default_factory=list)
    pitch: float = 0.0
    rise: float = 0.0  # from the top of a line to its baseline
    table: LaidTable | None = None
    height: float = 0.0  # of a picture
    pictured: float = 0.0  # height of the picture without its caption
    spans: bool = False


@dataclass(slots=True)
class _Frame:
    page: int
    x: float
    y: float
    bottom: float


def lay_out(
    blocks: Sequence[Block], style: PageStyle, *, max_pages: int = _MOST_PAGES
) -> list[Page]:
    """Pages of a document.

    Args:
        blocks: In reading order, at least one.
        style: Of all pages. With `trim`, the last page ends below its content, and columns of a
            document of one page are equally long.
        max_pages: More are refused.

    Raises:
        Reject: It needs more pages, or a table does not fit the width of a column.
    """
    left, top, right, bottom = style.margins
    inner = style.width - left - right
    column = (inner - style.gutter * (style.columns - 1)) / style.columns
    items = _prepare(blocks, style, column, inner)
    full = style.max_height - top - bottom
    pages = _flow(items, style, column, full, max_pages)
    if len(pages) == 1 and style.columns > 1:
        low, high = full * 0.15, float(full)
        for _ in range(9):
            middle = (low + high) / 2
            if len(_flow(items, style, column, middle, 2)) == 1:
                high = middle
            else:
                low = middle
        pages = _flow(items, style, column, high, 2)
    if len(pages) > max_pages:
        raise Reject("too_many_pages", f"the document needs more than {max_pages} pages")
    for page in pages:
        _finish(page, len(pages), is_last=page is pages[-1])
    return pages


# -- Preparing blocks ----------------------------------------------------------------------------


def _prepare(blocks: Sequence[Block], style: PageStyle, column: float, inner: float) -> list[_Item]:
    items: list[_Item] = []
    for index, block in enumerate(blocks):
        spans = style.columns > 1 and index == 0 and getattr(block, "kind", "") == "title"
        width = inner if spans else column
        last = items[-1].block if items else None
        before = _space_before(block, last, style) if items else 0.0
        if isinstance(block, TableBlock):
            table = lay_table(block, style, width)
            items.append(_Item(block, index, before, table=table))
        elif isinstance(block, PictureBlock):
            items.append(_picture(block, index, before, style, width))
        else:
            item = _text_item(block, index, before, style, width)
            item.spans = spans
            items.append(item)
    return items


def _space_before(block: Block, last: Block | None, style: PageStyle) -> float:
    line = style.size * style.leading
    kinds = (getattr(last, "kind", ""), block.kind)
    if kinds[1] in ("title", "section_header"):
        return line * 0.9
    if kinds == ("list_item", "list_item"):
        return line * min(style.gap, 0.25)
    if kinds[0] in ("title", "section_header"):
        return line * 0.4
    if "table" in kinds or "picture" in kinds or "code" in kinds:
        return line * 0.8
    return line * style.gap


def _text_item(
    block: TextBlock, index: int, before: float, style: PageStyle, width: float
) -> _Item:
    if style.rtl and block.kind != "code" and not runs_right_to_left(block.text):
        align: Align = "left" if style.align == "right" else style.align
        head: Align = "left" if style.heading_align == "right" else style.heading_align
        style = replace(style, rtl=False, align=align, heading_align=head)
    pen = style.pen(block.kind, block.level)
    leading = style.leading if block.kind in ("text", "list_item") else min(style.leading, 1.3)
    leading = max(leading, 1.08, sum(pen.faces[0].vertical) * 0.92)
    pitch = pen.size * leading
    rise = (pitch - pen.ascent - pen.descent) / 2 + pen.ascent
    if block.kind == "code":
        lines = _code_lines(block, style, width)
    elif block.kind == "list_item":
        lines = _list_lines(block, style, width)
    else:
        heading = block.kind in ("title", "section_header")
        lines = break_lines(
            block.runs,
            pen,
            width,
            align=style.heading_align if heading else style.align,
            indent=style.indent * style.size if block.kind == "text" else 0.0,
            rtl=style.rtl,
        )
    return _Item(block, index, before, lines=lines, pitch=pitch, rise=rise)


def _list_lines(block: TextBlock, style: PageStyle, width: float) -> list[Line]:
    pen = style.pen("list_item")
    is_bullet = block.marker in ("", "-")
    marker = block.marker
    if is_bullet:
        shown = any(style.bullet in family.regular.characters for family in style.body)
        marker = style.bullet if shown else "-"
    hang = style.size * (1.1 + 1.3 * block.level) + max(pen.width(marker), style.size * 0.5)
    align = style.align if style.align in ("left", "right", "justify") else "left"
    lines = break_lines(block.runs, pen, width - hang, align=align, rtl=style.rtl)
    if not style.rtl:
        for line in lines:
            for word in line.words:
                word.x += hang
    if not lines:
        return lines
    place = hang - pen.width(marker) - style.size * 0.5
    if style.rtl:
        place = width - hang + style.size * 0.5
    mark = Word(marker, pen, pen.shape(marker), place)
    if is_bullet:
        lines[0].ornament = (place, mark)
    else:
        lines[0].words[0].space = True
        lines[0].words.insert(0, mark)
    return lines


def _code_lines(block: TextBlock, style: PageStyle, width: float) -> list[Line]:
    pen = style.pen("code")
    made = []
    for text in block.text.split("\n"):
        depth = len(text) - len(text.lstrip(" "))
        shift = min(depth * pen.space, width * 0.5)
        found = break_lines((Run(text.strip() or " "),), pen, width - shift - style.size)
        for line in found:
            line.indent = depth
            for word in line.words:
                word.x += shift + style.size * 0.5
        made += found or [Line([])]
    return made


def _picture(
    block: PictureBlock, index: int, before: float, style: PageStyle, width: float
) -> _Item:
    height = width / block.aspect
    item = _Item(block, index, before, pictured=height, height=height)
    if block.caption:
        pen = style.pen("caption")
        item.lines = break_lines((Run(block.caption),), pen, width, rtl=style.rtl, align="center")
        item.pitch = pen.size * 1.25
        item.rise = (item.pitch - pen.ascent - pen.descent) / 2 + pen.ascent
        item.height += item.pitch * len(item.lines) + style.size * 0.3
    return item


# -- Flowing -------------------------------------------------------------------------------------


class _Flow:
    """Frames filled one after the other."""

    def __init__(self, style: PageStyle, column: float, height: float, max_pages: int) -> None:
        self.style, self.column, self.height = style, column, height
        self.max_pages = max_pages
        self.pages: list[Page] = []
        self.frames: list[_Frame] = []
        self.current = 0
        self._filled = -1  # the last frame something stands in
        self.add_page()

    def add_page(self) -> None:
        style = self.style
        left, head, _, _ = style.margins
        self.pages.append(Page(len(self.pages) + 1, style.width, style.max_height, style))
        for number in range(style.columns):
            x = left + number * (self.column + style.gutter)
            if style.rtl:
                x = left + (style.columns - 1 - number) * (self.column + style.gutter)
            self.frames.append(_Frame(len(self.pages) - 1, x, float(head), head + self.height))
        self.current = len(self.frames) - style.columns

    @property
    def frame(self) -> _Frame:
        return self.frames[self.current]

    @property
    def page(self) -> Page:
        return self.pages[self.frame.page]

    @property
    def is_fresh(self) -> bool:
        """Nothing stands in this frame yet."""
        return self._filled != self.current

    def advance(self) -> bool:
        """Go to the next column or page; False when there may be no more pages."""
        if self.current + 1 < len(self.frames):
            self.current += 1
            return True
        if len(self.pages) >= self.max_pages:
            self.pages.append(Page(len(self.pages) + 1, 0, 0, self.style))  # marks the overflow
            return False
        self.add_page()
        return True

    def used(self) -> None:
        self._filled = self.current


def _flow(
    items: Sequence[_Item], style: PageStyle, column: float, height: float, max_pages: int
) -> list[Page]:
    flow = _Flow(style, column, height, max_pages)
    for place, item in enumerate(items):
        if item.spans:
            _place_spanning(flow, item)
            continue
        if not flow.is_fresh:
            flow.frame.y += item.before
        follower = items[place + 1] if place + 1 < len(items) else None
        if item.table is not None:
            done = _place_table(flow, item)
        elif isinstance(item.block, PictureBlock):
            done = _place_picture(flow, item)
        else:
            done = _place_text(flow, item, follower)
        if not done:
            break
    return flow.pages


def _place_spanning(flow: _Flow, item: _Item) -> None:
    """A title over all columns of the first page."""
    style = flow.style
    piece = Piece("title", item.index, level=0, source=item.block)
    left, y = float(style.margins[0]), flow.frame.y
    for line in item.lines:
        piece.lines.append(line.moved(left, y + item.rise, y, y + item.pitch, style.heading_colour))
        y += item.pitch
    flow.page.pieces.append(piece)
    if style.heading_rule:
        right = style.width - style.margins[2]
        flow.page.rules.append(((left, y + 3, float(right), y + 5), style.accent))
        y += 6
    y += style.size * style.leading * 0.8
    for frame in flow.frames:
        frame.y = y
        frame.bottom = max(frame.bottom, y + 40) if flow.height >= 40 else frame.bottom


def _place_text(flow: _Flow, item: _Item, follower: _Item | None) -> bool:
    style = flow.style
    block = item.block
    assert isinstance(block, TextBlock)
    heading = block.kind in ("title", "section_header")
    colour = style.heading_colour if heading else style.ink
    need = len(item.lines) * item.pitch if heading else min(2, len(item.lines)) * item.pitch
    if heading and follower is not None:
        need += follower.before + 2 * (follower.pitch or style.size * style.leading)
    if not flow.is_fresh and flow.frame.y + need > flow.frame.bottom and not flow.advance():
        return False
    piece: Piece | None = None
    for line in item.lines:
        if flow.frame.y + item.pitch > flow.frame.bottom and not flow.is_fresh:
            if not flow.advance():
                return False
            piece = None
        if piece is None:
            piece = Piece(
                block.kind,
                item.index,
                block.level,
                block.marker,
                is_rest=line is not item.lines[0],
                source=block,
            )
            flow.page.pieces.append(piece)
        y = flow.frame.y
        piece.lines.append(line.moved(flow.frame.x, y + item.rise, y, y + item.pitch, colour))
        flow.frame.y += item.pitch
        flow.used()
    if heading and style.heading_rule and block.level <= 1:
        x, y = flow.frame.x, flow.frame.y
        flow.page.rules.append(((x, y + 2, x + flow.column, y + 3), style.accent))
        flow.frame.y += 5
    return True


def _place_picture(flow: _Flow, item: _Item) -> bool:
    style = flow.style
    if not flow.is_fresh and flow.frame.y + item.height > flow.frame.bottom and not flow.advance():
        return False
    x, y = flow.frame.x, flow.frame.y
    box = (x, y, x + flow.column, y + item.pictured)
    flow.page.pieces.append(Piece("picture", item.index, box=box, source=item.block))
    y += item.pictured + style.size * 0.3
    if item.lines:
        caption = Piece("caption", item.index, source=item.block)
        for line in item.lines:
            caption.lines.append(line.moved(x, y + item.rise, y, y + item.pitch, style.ink))
            y += item.pitch
        flow.page.pieces.append(caption)
    flow.frame.y = y
    flow.used()
    return True


def _place_table(flow: _Flow, item: _Item) -> bool:
    table = item.table
    assert table is not None
    row = 0
    while True:
        room = flow.frame.bottom - flow.frame.y
        count = table.fitting(row, room)
        whole = table.row_count - row
        if count < whole and not flow.is_fresh and (count < 3 or whole <= 6):
            if not flow.advance():
                return False
            continue
        count = max(1, count)
        flow.frame.y = table.place(
            flow.page, flow.frame.x, flow.frame.y, row, row + count, item.index
        )
        flow.used()
        row += count
        if row >= table.row_count:
            return True
        if not flow.advance():
            return False


# -- Headers, footers, size ----------------------------------------------------------------------


def _finish(page: Page, total: int, *, is_last: bool) -> None:
    style = page.style
    left, top, right, bottom = style.margins
    lowest = _lowest(page)
    if style.trim and is_last:
        page.height = min(style.max_height, math.ceil(lowest + bottom))
    elif lowest + bottom > page.height:  # a table row taller than the page
        page.height = math.ceil(lowest + bottom)
    content_left, content_right = left, style.width - right
    for text, is_header in ((style.header, True), (style.footer, False)):
        if not text:
            continue
        kind = "page_header" if is_header else "page_footer"
        pen = style.pen(kind)
        shown = text.replace("{pages}", str(total)).replace("{page}", str(page.number))
        line_y = top * 0.5 if is_header else page.height - bottom * 0.5
        align: Align = "center"
        if is_header:
            align = "right" if style.rtl else "left"
        runs = (Run(shown),)
        found = break_lines(
            runs,
            pen,
            content_right - content_left,
            align=align,
            rtl=style.rtl,
        )
        if len(found) != 1:
            continue  # a title too long for a running header is left out
        line = found[0].moved(
            content_left,
            line_y + pen.size * 0.35,
            line_y - pen.size * 0.6,
            line_y + pen.size * 0.6,
            style.ink,
        )
        piece = Piece(kind, -1, lines=[line])
        if is_header:
            page.pieces.insert(0, piece)
        else:
            page.pieces.append(piece)
        if style.header_rule:
            y = line_y + pen.size * 0.9 if is_header else line_y - pen.size * 0.9
            box = (float(content_left), y, float(content_right), y + 1)
            page.rules.append((box, style.ink))
    if style.column_rule and style.columns > 1:
        lines = [ln for p in page.pieces if not p.kind.startswith("page_") for ln in p.lines]
        spans = any(p.kind == "title" for p in page.pieces[:2]) and page.number == 1
        column = (content_right - content_left - style.gutter * (style.columns - 1)) / style.columns
        start = min((ln.top for ln in lines), default=top)
        if spans:
            title = next(p for p in page.pieces if p.kind == "title")
            start = title.lines[-1].bottom + style.size
        for number in range(1, style.columns):
            x = left + number * (column + style.gutter) - style.gutter / 2
            page.rules.append(((x, start, x + 1, lowest), style.ink))


def _lowest(page: Page) -> float:
    ends = [line.bottom for piece in page.pieces for line in piece.lines]
    ends += [piece.box[3] for piece in page.pieces if piece.box is not None]
    ends += [cell.box[3] for piece in page.pieces for cell in piece.cells]
    return max(ends, default=page.style.margins[1] + 40.0)
