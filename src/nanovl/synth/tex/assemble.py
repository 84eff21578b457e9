"""From the pieces of a page to blocks: class, box, reading order, lines, words and text.

Every piece carries the attributes the hooks set; pieces that share a key form a block, in the order
they were shipped out. Spaces come from TeX's own glue, never from gaps. Must not look at the PDF.

Source: data synthesis specification, sections 3.12 and 3.15.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from nanovl.synth.tex.blocks import (
    AUTHOR,
    BIBLIOGRAPHY,
    CODE,
    FOOTNOTE,
    HEAD,
    LINE_NUMBER,
    LIST,
    NAMES,
    TOC,
    Block,
    Key,
    Page,
)
from nanovl.synth.tex.blocktext import write_block
from nanovl.synth.tex.events import Item, RawPage, Recording
from nanovl.synth.tex.keys import group_pieces, is_name
from nanovl.synth.tex.mathnames import MathNames
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.tables import build_grid

__all__ = ["assemble"]

_BAR_PT = 20.0
_RULER_LINES = 8


def assemble(recording: Recording, *, order: str = "shipout") -> tuple[list[Page], Converter]:
    """Blocks of every page of a document.

    Args:
        recording: From `read_recording`.
        order: "shipout" (as printed: header, columns, floats in place, footer) or "floats-last".

    Returns:
        The pages, and the converter that holds the formulas.
    """
    converter = Converter(recording.fonts, recording.maths, MathNames(recording.names))
    pages = [_page(raw, recording, converter, order) for raw in recording.pages]
    _chain(pages)
    return pages, converter


# -- grouping -----------------------------------------------------------------------------------


def _page(raw: RawPage, recording: Recording, converter: Converter, order: str) -> Page:
    page = Page(raw.number, raw.width, raw.height, raw.rotation, [], raw, [])
    groups, page.stray = group_pieces(raw)
    blocks = []
    for key, items in _merge(groups):
        block = _block(key, items, raw, recording, converter, page)
        if block is not None:
            blocks.append(block)
    blocks = _inside(_join_images(blocks), page)
    blocks = _split_headers(blocks, raw)
    # Headers and footers may be drawn in the background, before or after everything else.
    places = {"Page-header": 0, "Page-footer": 2}
    blocks.sort(key=lambda b: places.get(b.klass, 1))
    if order == "floats-last":
        late = {"Picture": 1, "Table": 1, "Caption": 1, "Footnote": 2, "Page-header": 3,
                "Page-footer": 4}  # fmt: skip
        blocks.sort(key=lambda b: late.get(b.klass, 0))
    for block in blocks:
        if not block.lines:
            write_block(block, converter, raw.rows)
    blocks = [b for b in blocks if b.text or b.klass in ("Picture", "Table")]
    has_rulers = any(_is_ruler(b) for b in blocks)
    blocks = [b for b in blocks if not _is_ruler(b)]
    for number, block in enumerate(blocks):
        block.order = number
    page.blocks = blocks
    if page.stray:
        page.tags.append("stray_glyphs")
    if has_rulers or any(i.state.klass == LINE_NUMBER for i in raw.items):
        page.tags.append("line_numbers")
    return page


def _merge(groups: dict[Key, list[Item]]) -> Iterable[tuple[Key, list[Item]]]:
    """Join neighbouring groups that are one thing: paragraphs of an item, lines of authors."""
    merged: list[tuple[Key, list[Item]]] = []
    for key, items in groups.items():
        if merged:
            last = merged[-1][0]
            same_item = key[0] == LIST and last[0] == LIST and key[1:3] == last[1:3]
            if same_item:
                merged[-1][1].extend(items)
                continue
        merged.append((key, list(items)))
    return merged


def _union(boxes: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    return (
        min(b[0] for b in boxes), min(b[1] for b in boxes),
        max(b[2] for b in boxes), max(b[3] for b in boxes),
    )  # fmt: skip


def _box(items: Sequence[Item]) -> tuple[float, float, float, float]:
    boxes = [i.box for i in items if i.kind != "space" and not (i.kind == "rule" and i.width == 0)]
    x0, y0, x1, y1 = _union(boxes or [i.box for i in items])
    glyph = next((i for i in items if i.kind == "glyph"), None)
    least = 0.43 * (glyph.font.size if glyph is not None and glyph.font is not None else 5.0)
    if y1 - y0 < least and glyph is not None and not glyph.is_turned:
        y0 = min(y0, glyph.y - least)
        y1 = max(y1, glyph.y)
    return (x0, y0, x1, y1)


def _block(
    key: Key,
    items: list[Item],
    raw: RawPage,
    recording: Recording,
    converter: Converter,
    page: Page,
) -> Block | None:
    head = key[0]
    first = items[0].state
    if head == "H":
        klass = "Page-header" if key[1] == "top" else "Page-footer"
    elif head == "T":
        klass = "Table"
    elif head in ("P", "I"):
        klass = "Picture"
    elif head == "F":
        klass = "Formula"
    elif head in ("X", "M", "N"):
        klass = "Text"
    else:
        klass = NAMES[head]
    visible = [i for i in items if i.kind != "space"]
    if klass == "Picture":
        extents = [i for i in items if i.kind in ("picture", "image", "form")]
        box = _box(extents or visible)
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            return None
    else:
        if not any(i.kind != "rule" for i in visible):
            return None
        box = _box(visible)
    block = Block(klass, key, box, items, float_=first.float_)
    if head == "M":
        block.tags.append("margin")
    if head == AUTHOR:
        block.tags.append("author")
    if any(i.is_turned for i in visible if i.kind == "glyph"):
        block.tags.append("rotated")
    if head == HEAD:
        block.level = first.tag
    if first.tag == 1 and head in ("X", "N"):
        block.tags.append("abstract")
        if is_name(visible):
            block.klass, block.level = "Section-header", 1
    if head == LIST:
        block.list_ = {"depth": max(first.list_, 1)}
    if klass == "Table":
        block.grid = build_grid(key[1], items, raw, recording, converter)
        if block.grid is None or block.grid.problem:
            page.problems.append(
                f"table: {block.grid.problem if block.grid else 'no rows were recorded'}"
            )
    return block


def _is_ruler(block: Block) -> bool:
    """Whether a block is a column of numbers counting up: lines numbered by the page."""
    x0, y0, x1, y1 = block.box
    words = block.text.split()
    if len(words) < _RULER_LINES or y1 - y0 < 3 * (x1 - x0) or block.klass in ("Table", "Picture"):
        return False
    if not all(word.isdecimal() for word in words):
        return False
    return all(int(b) == int(a) + 1 for a, b in itertools.pairwise(words))


def _join_images(blocks: list[Block]) -> list[Block]:
    """Pictures of one float without captions between them are one picture."""
    captions: Counter[int] = Counter(b.float_ for b in blocks if b.klass == "Caption")
    out: list[Block] = []
    for block in blocks:
        last = out[-1] if out else None
        if (
            last is not None
            and block.klass == "Picture"
            and last.klass == "Picture"
            and block.float_
            and block.float_ == last.float_
            and captions[block.float_] <= 1
        ):
            last.items.extend(block.items)
            last.box = _union([last.box, block.box])
            continue
        out.append(block)
    return out


def _inside(blocks: list[Block], page: Page) -> list[Block]:
    """Pictures end where the page does; drawings without text that hang over are decoration."""
    out = []
    for block in blocks:
        x0, y0, x1, y1 = block.box
        is_bare = not any(i.kind in ("glyph", "image", "form") for i in block.items)
        is_shade = not any(i.kind in ("glyph", "image") for i in block.items)
        is_bar = y1 - y0 < _BAR_PT or (y0 < 2 and x0 < 2 and x1 > page.width - 2)
        if block.klass == "Picture" and page.raw.frame and is_shade and is_bar:
            page.tags.append("decoration")
            continue  # coloured bars and buttons of a slide's theme
        hangs = x0 < -2 or y0 < -2 or x1 > page.width + 2 or y1 > page.height + 2
        if block.klass == "Picture" and hangs:
            box = (max(x0, 0.0), max(y0, 0.0), min(x1, page.width), min(y1, page.height))
            if is_bare or box[2] - box[0] < 2 or box[3] - box[1] < 2:
                page.tags.append("decoration")
                continue
            block.box = box
        out.append(block)
    return out


def _split_headers(blocks: list[Block], raw: RawPage) -> list[Block]:
    """Cut header and footer lines where a third of the page is empty."""
    width = raw.height if raw.rotation in (90, 270) else raw.width
    out: list[Block] = []
    for block in blocks:
        if block.key[0] != "H":
            out.append(block)
            continue
        glyphs = [i for i in block.items if i.kind != "space"]
        is_odd = not raw.rotation and any(i.is_turned for i in glyphs)
        if is_odd or not any(i.kind == "glyph" for i in glyphs):
            continue  # watermarks and decoration
        pieces: list[list[Item]] = [[]]
        edge: float | None = None
        for item in block.items:
            if item.kind != "space":
                start, end = _along(item, raw.rotation)
                if edge is not None and start - edge > width / 4:
                    pieces.append([])
                edge = end
            pieces[-1].append(item)
        for piece in pieces:
            shown = [i for i in piece if i.kind != "space"]
            if shown:
                out.append(Block(block.klass, block.key, _box(shown), piece))
    return out


def _along(item: Item, rotation: int) -> tuple[float, float]:
    """Where a piece begins and ends in the direction of the lines of a page that is turned."""
    x0, y0, x1, y1 = item.box
    if rotation in (90, 270):
        return (y0, y1) if rotation == 90 else (-y1, -y0)
    return (item.x, x1) if rotation == 0 else (-x1, -x0)


# -- chains -------------------------------------------------------------------------------------


def _chain(pages: Sequence[Page]) -> None:
    """Link parts of paragraphs that go on in another column or on another page."""
    parts: dict[Key, list[tuple[Page, Block]]] = defaultdict(list)
    for page in pages:
        for block in page.blocks:
            head = block.key[0]
            if head == "X":
                parts[("X", block.key[1])].append((page, block))
            elif head in (LIST, BIBLIOGRAPHY, FOOTNOTE, CODE, TOC) and block.key[1]:
                parts[(head, block.key[1])].append((page, block))
            elif head == "T":
                parts[("T", block.key[1])].append((page, block))
    for key, members in parts.items():
        if len(members) < 2:
            continue
        for place, (_, block) in enumerate(members):
            block.chain = f"{key[0]}-{key[1]}"
            block.chain_pos = place
        for (_, before), (_, after) in itertools.pairwise(members):
            shared = {i.state.par for i in before.items if i.state.par > 0} & {
                i.state.par for i in after.items if i.state.par > 0
            }
            if shared and before.klass != "Table":
                before.is_continued = after.continues = True
