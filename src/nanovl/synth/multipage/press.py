"""Drafts become pages, and everything in them can be found again: page numbers and boxes.

Lays blocks out run by run (a run begins on a new page), fills the table of contents, sets running
headers and page numbers, paints, and puts charts where figures have their room. Must not choose
what a document says.

Source: data synthesis specification, section 11.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from nanovl.synth.base import Box, Reject
from nanovl.synth.charts.pil import draw_with_pillow
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.documents.blocks import Run, TextBlock
from nanovl.synth.documents.draw import InkBlock, InkLine, Painted, paint, union
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.lines import break_lines
from nanovl.synth.documents.pages import Page, Piece
from nanovl.synth.documents.style import PageStyle
from nanovl.synth.multipage.draft import Draft

__all__ = ["Place", "Printed", "laid_out", "painted"]

MOST_PAGES = 70
Place = tuple[int, Box]  # page from 1, box in pixels of its picture


def laid_out(draft: Draft, style: PageStyle) -> list[Page]:
    """The pages of a draft, its table of contents filled in.

    Raises:
        Reject: Too many pages, or something does not fit.
    """
    blocks = list(draft.blocks)
    if draft.contents >= 0:
        first = _pages(draft, style)
        at = {h.block: _page_of(first, h.block) for h in draft.headings}
        for k, heading in enumerate(draft.headings):
            text = _leader(heading.text, at[heading.block], style)
            blocks[draft.contents + k] = TextBlock(kind="toc", runs=(Run(text),))
        draft.blocks = blocks
    pages = _pages(draft, style)
    if draft.contents >= 0:
        for heading in draft.headings:
            if _page_of(pages, heading.block) != at[heading.block]:
                raise Reject("contents", "filling in the contents moved a heading")
    if draft.kind == "slides":
        _dress(pages, style)
    _margins(pages, style)
    return pages


def _pages(draft: Draft, style: PageStyle) -> list[Page]:
    ends = [*draft.breaks, len(draft.blocks)]
    plain = replace(style, header="", footer="", trim=False)
    pages: list[Page] = []
    start = 0
    for end in ends:
        if end == start:
            continue
        made = lay_out(draft.blocks[start:end], plain, max_pages=MOST_PAGES)
        for page in made:
            page.number = len(pages) + 1
            for piece in page.pieces:
                piece.block += start
            pages.append(page)
        start = end
    if len(pages) > MOST_PAGES:
        raise Reject("too_many_pages", f"{len(pages)} pages, at most {MOST_PAGES}")
    return pages


def _page_of(pages: Sequence[Page], block: int) -> int:
    for page in pages:
        if any(piece.block == block for piece in page.pieces):
            return page.number
    raise Reject("lost_block", f"block {block} is on no page")


def _leader(text: str, page: int, style: PageStyle) -> str:
    """A line of contents: title, dots, page."""
    pen = style.pen("toc")
    left, _, right, _ = style.margins
    room = (style.width - left - right - style.gutter * (style.columns - 1)) / style.columns
    used = sum(pen.width(word) + pen.space for word in f"{text} {page}".split())
    dots = int((room * 0.96 - used) / (pen.width(".") + pen.space))
    if dots < 3:
        raise Reject("contents", f"{text!r} is too long for a line of contents")
    return f"{text} {' '.join('.' * dots)} {page}"


def _dress(pages: Sequence[Page], style: PageStyle) -> None:
    """The first slide is set lower, and slides of some styles carry coloured bars."""
    wide, high = float(style.width), float(style.max_height)
    down = 0.27 * high
    for piece in pages[0].pieces:
        piece.lines = [
            line.moved(0.0, line.baseline + down, line.top + down, line.bottom + down, line.colour)
            for line in piece.lines
        ]
    pages[0].rules = [((b[0], b[1] + down, b[2], b[3] + down), c) for b, c in pages[0].rules]
    for page in pages:
        if style.accent == style.ink:
            continue
        if style.indent:
            page.fills.append(((0.0, 0.0, 0.022 * wide, high), style.accent))
        else:
            page.fills.append(((0.0, 0.0, wide, 0.025 * high), style.accent))


def _margins(pages: Sequence[Page], style: PageStyle) -> None:
    """Running headers and page numbers."""
    left, top, right, bottom = style.margins
    wide = style.width - left - right
    for page in pages:
        for text, is_header in ((style.header, True), (style.footer, False)):
            if not text or (is_header and page.number == 1):
                continue
            kind = "page_header" if is_header else "page_footer"
            pen = style.pen(kind)
            shown = text.format(page=page.number, pages=len(pages))
            found = break_lines((Run(shown),), pen, wide, align="left" if is_header else "center")
            if len(found) != 1:
                continue  # a title too long for a running header is left out
            middle = top * 0.5 if is_header else page.height - bottom * 0.5
            line = found[0].moved(
                left, middle + pen.size * 0.35, middle - pen.size * 0.6, middle + pen.size * 0.6,
                style.ink,
            )  # fmt: skip
            piece = Piece(kind, -1, lines=[line])
            page.pieces.insert(0 if is_header else len(page.pieces), piece)
            if style.header_rule:
                y = middle + pen.size * (0.9 if is_header else -0.9)
                page.rules.append(((float(left), y, float(left + wide), y + 1), style.ink))


def painted(draft: Draft, pages: Sequence[Page]) -> tuple[list[Painted], dict[int, Drawn]]:
    """Pictures of pages, and how the chart of each exhibit was drawn (by number)."""
    charts = {e.block: (k, e.chart) for k, e in enumerate(draft.exhibits) if e.chart is not None}
    found: list[Painted] = []
    drawn: dict[int, Drawn] = {}
    for page in pages:
        sheet = paint(page)
        for block in sheet.blocks:
            if block.kind == "picture" and block.block in charts:
                number, chart = charts[block.block]
                drawn[number] = _paste(sheet.image, block.box, chart)
        found.append(sheet)
    return found, drawn


def _paste(image: Image.Image, box: Box, chart: Chart) -> Drawn:
    x0, y0, x1, y1 = map(round, box)
    wide, high = x1 - x0, y1 - y0
    for width in (wide, round(1.15 * wide), round(1.35 * wide), 800):
        look = replace(chart.look, width=width, height=round(width * high / wide))
        try:
            drawn = draw_with_pillow(replace(chart, look=look))
            break
        except Reject:
            continue
    else:
        raise Reject("no_figure", "the chart does not fit its room")
    picture = Image.open(io.BytesIO(drawn.png)).convert("RGB")
    if picture.size != (wide, high):
        picture = picture.resize((wide, high), Image.Resampling.LANCZOS)
    image.paste(picture, (x0, y0))
    return drawn


class Printed:
    """A draft on its pages.

    Args:
        draft: What it says.
        pages: As stored, in order.
        drawn: Charts by number of exhibit.
    """

    def __init__(self, draft: Draft, pages: Sequence[Painted], drawn: dict[int, Drawn]) -> None:
        self.draft, self.pages, self.drawn = draft, list(pages), drawn
        self._pieces: dict[int, list[tuple[int, InkBlock]]] = {}
        for page in self.pages:
            for piece in page.blocks:
                if piece.block >= 0:
                    self._pieces.setdefault(piece.block, []).append((page.number, piece))

    def pieces(self, block: int, kind: str = "") -> list[tuple[int, InkBlock]]:
        """The parts of a block with their pages, of one kind where that is given."""
        return [(n, p) for n, p in self._pieces.get(block, []) if kind in ("", p.kind)]

    def pages_of(self, block: int, kind: str = "") -> list[int]:
        """Numbers of the pages a block stands on."""
        return sorted({n for n, _ in self.pieces(block, kind)})

    def block_places(self, block: int, kind: str = "") -> list[Place]:
        """Boxes of a block."""
        return [(n, p.box) for n, p in self.pieces(block, kind)]

    def sentence_places(self, block: int, sentence: str) -> list[Place]:
        """Boxes of some words of a text block, one a page; empty when they are not there."""
        wanted = sentence.split()
        return self.words_places(block, wanted, 0, len(wanted))

    def words_places(self, block: int, words: Sequence[str], first: int, count: int) -> list[Place]:
        """Boxes of a part of some words of a text block, one a page.

        Args:
            block: Where they stand.
            words: That follow each other.
            first, count: Which of them.
        """
        wanted = list(words)
        found = list(self._words(block))
        texts = [text for _, _, text, _ in found]
        for start in range(len(texts) - len(wanted) + 1):
            if texts[start : start + len(wanted)] == wanted:
                hit = found[start + first : start + first + count]
                pages = sorted({n for n, _, _, _ in hit})
                return [(p, union(box for n, _, _, box in hit if n == p)) for p in pages]
        return []

    def _words(self, block: int) -> Iterator[tuple[int, InkLine, str, Box]]:
        """(page, line, word, box) of a text."""
        for number, piece in self.pieces(block):
            for line in piece.lines:
                for word in line.words:
                    yield number, line, word.text, word.box

    def row_places(self, block: int, row: int) -> list[Place]:
        """The box of a body row of a table."""
        for number, piece in self.pieces(block, "table"):
            boxes = [c.box for c in piece.cells if c.row == row]
            if boxes:
                return [(number, union(boxes))]
        return []

    def cell_places(self, block: int, row: int, column: int) -> list[Place]:
        """The box of a cell of the body of a table."""
        for number, piece in self.pieces(block, "table"):
            for cell in piece.cells:
                if (cell.row, cell.column) == (row, column):
                    return [(number, cell.box)]
        return []
