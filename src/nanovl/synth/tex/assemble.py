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
    CAPTION,
    CODE,
    FOOTNOTE,
    FORMULA,
    HEAD,
    HEADER,
    LIST,
    MARGIN,
    NAMES,
    PICTURE,
    TITLE,
    TOC,
    Block,
    Key,
    Page,
)
from nanovl.synth.tex.blocktext import write_block
from nanovl.synth.tex.events import Item, RawPage, Recording
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import font_style
from nanovl.synth.tex.tables import build_grid

__all__ = ["assemble"]

_CLAIMED = 500000  # from here on footnotes the hooks found among TeX's insertions, by paragraph
_FRAMED_GLYPHS = 60
_BAR_PT = 20.0
_INLINE_PT = 14.0  # drawings lower than this inside a line of text belong to the text


def assemble(recording: Recording, *, order: str = "shipout") -> tuple[list[Page], Converter]:
    """Blocks of every page of a document.

    Args:
        recording: From `read_recording`.
        order: "shipout" (as printed: header, columns, floats in place, footer) or "floats-last".

    Returns:
        The pages, and the converter that holds the formulas.
    """
    converter = Converter(recording.fonts, recording.maths)
    pages = [_page(raw, recording, converter, order) for raw in recording.pages]
    _chain(pages)
    return pages, converter


# -- grouping -----------------------------------------------------------------------------------


def _page(raw: RawPage, recording: Recording, converter: Converter, order: str) -> Page:
    page = Page(raw.number, raw.width, raw.height, raw.rotation, [], raw, [])
    layout_tables = _layout_tables(raw)
    inline = _inline_pictures(raw)
    groups: dict[Key, list[Item]] = {}
    first: dict[Key, int] = {}  # index of the first visible piece
    authors = {i.state.par for i in raw.items if i.state.klass == AUTHOR and i.kind == "glyph"}
    mixed = {i.state.par for i in raw.items if i.kind == "glyph" and i.state.klass != TITLE}
    framed = _framed(raw)
    for index, item in enumerate(raw.items):
        if item.state.klass == PICTURE and item.state.inst in framed:
            key = _framed_key(item, framed[item.state.inst])
        else:
            key = _key(item, index, layout_tables, raw.height)
        if item.state.klass == TITLE and item.state.par in mixed and key is not None:
            key = ("X", item.state.par, item.state.column)  # the title quoted in running text
        if index in inline:
            key = inline[index]
        if key is not None and key[0] == "X" and key[1] in authors:
            key = (AUTHOR, *key[1:])
        if key is None:
            if item.kind == "glyph" and item.state.inst not in framed:
                page.stray.append(item)
            continue
        groups.setdefault(key, []).append(item)
        if item.kind != "space" and key not in first:
            first[key] = index
    groups = {key: groups[key] for key in sorted(first, key=first.__getitem__)}
    blocks = []
    for key, items in _merge(groups):
        block = _block(key, items, raw, recording, converter, page)
        if block is not None:
            blocks.append(block)
    blocks = _inside(_join_images(blocks), page)
    blocks = _split_headers(blocks, raw.width)
    # Headers and footers may be drawn in the background, before or after everything else.
    places = {"Page-header": 0, "Page-footer": 2}
    blocks.sort(key=lambda b: places.get(b.klass, 1))
    if order == "floats-last":
        late = {"Picture": 1, "Table": 1, "Caption": 1, "Footnote": 2, "Page-header": 3,
                "Page-footer": 4}  # fmt: skip
        blocks.sort(key=lambda b: late.get(b.klass, 0))
    for number, block in enumerate(blocks):
        block.order = number
        if not block.lines:
            write_block(block, converter)
    page.blocks = blocks
    if page.stray:
        page.tags.append("stray_glyphs")
    return page


def _key(item: Item, index: int, layout: set[int], height: float) -> Key | None:
    s = item.state
    klass = s.klass
    if klass == HEADER:
        if item.kind == "rule":
            return None
        return ("H", "top" if item.y < height / 2 else "bottom", s.par or round(item.y))
    if klass == MARGIN:
        return ("M", s.inst)
    if klass == FOOTNOTE and s.inst >= _CLAIMED and item.kind != "rule":
        return (FOOTNOTE, s.inst, s.column, s.par)
    if klass in (CAPTION, FOOTNOTE):
        return (klass, s.inst, s.column) if item.kind != "rule" else None
    if s.table and s.table not in layout:
        return ("T", s.table)
    if klass == PICTURE:
        return ("P", s.inst)
    if item.kind == "image" or item.kind == "form":
        return ("I", index)
    if klass == FORMULA:
        return ("F", s.inst) if item.kind != "rule" or s.math else None
    if item.kind == "rule":
        return None
    if klass == TOC:
        return (TOC, s.inst, s.column)
    if klass in (TITLE, HEAD):
        return (klass, s.inst, s.column)
    if klass in (CODE, BIBLIOGRAPHY):
        return (klass, s.inst, s.column)
    if klass == LIST:
        return (LIST, s.inst, s.column, s.par)
    if klass == AUTHOR:
        return (AUTHOR, s.par, s.column)
    if s.par == 0:
        return None
    return ("X", s.par, s.column)


def _layout_tables(raw: RawPage) -> set[int]:
    """Tables with one cell, or with nothing but pictures: layout, not data."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row in raw.rows.values():
        if row.table:
            outer = raw.rows.get(row.outer_row)
            if outer is None or outer.table != row.table:
                rows[row.table].append(sum(not c.is_null for c in row.cells))
    glyphs: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for item in raw.items:
        if item.state.table:
            if item.kind == "glyph" and item.state.klass not in (CAPTION, PICTURE):
                glyphs[item.state.table] += 1
            elif item.kind in ("image", "picture"):
                images[item.state.table] += 1
    layout = set()
    for table, counts in rows.items():
        if (len(counts) <= 1 and max(counts, default=0) <= 1) or (
            not glyphs[table] and images[table]
        ):
            layout.add(table)
    return layout


def _inline_pictures(raw: RawPage) -> dict[int, Key]:
    """Pieces of small drawings inside lines of text -> key of the text."""
    texts: dict[int, Key] = {}
    for index, item in enumerate(raw.items):
        s = item.state
        if item.kind == "glyph" and s.par > 0 and s.klass != PICTURE and not s.table:
            key = _key(item, index, set(), raw.height)
            if key is not None and key[0] != "F":
                texts.setdefault(s.par, key)
    small: dict[int, bool] = {}
    for item in raw.items:
        if item.kind == "picture":
            height = item.box[3] - item.box[1]
            inst = item.state.inst
            small[inst] = small.get(inst, True) and height < _INLINE_PT
    found: dict[int, Key] = {}
    for index, item in enumerate(raw.items):
        s = item.state
        is_small = (s.klass == PICTURE and small.get(s.inst, False)) or (
            item.kind in ("image", "form") and item.box[3] - item.box[1] < _INLINE_PT
        )
        if is_small and s.par in texts and not s.table:
            found[index] = texts[s.par]
    return found


def _framed(raw: RawPage) -> dict[int, bool]:
    """Drawings that are frames around running text -> whether the text is code."""
    total: Counter[int] = Counter()
    running: Counter[int] = Counter()
    mono: Counter[int] = Counter()
    for item in raw.items:
        s = item.state
        if item.kind == "glyph" and s.klass == PICTURE:
            total[s.inst] += 1
            if s.par > 0 and not item.is_turned:
                running[s.inst] += 1
                mono[s.inst] += bool(font_style(item.font) & 4)
        elif item.kind in ("image", "form") and s.klass == PICTURE:
            total[s.inst] += 10_000  # a picture with an image stays one
    return {
        inst: 2 * mono[inst] > count
        for inst, count in sorted(running.items())
        if count >= _FRAMED_GLYPHS and count >= 0.6 * total[inst]
    }


def _framed_key(item: Item, is_code: bool) -> Key | None:
    if item.kind not in ("glyph", "space") or item.state.par <= 0:
        return None
    if is_code:
        return (CODE, item.state.inst, item.state.column)
    return ("X", item.state.par, item.state.column)


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
    elif head in ("X", "M"):
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
    if first.tag == 1 and head == "X":
        block.tags.append("abstract")
    if head == LIST:
        block.list_ = {"depth": max(first.list_, 1)}
    if klass == "Table":
        block.grid = build_grid(key[1], items, raw, recording, converter)
        if block.grid is None or block.grid.problem:
            page.problems.append(
                f"table: {block.grid.problem if block.grid else 'no rows were recorded'}"
            )
    return block


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
        if block.klass == "Picture" and page.raw.frame and is_bare and y1 - y0 < _BAR_PT:
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


def _split_headers(blocks: list[Block], width: float) -> list[Block]:
    """Cut header and footer lines where a third of the page is empty."""
    out: list[Block] = []
    for block in blocks:
        if block.key[0] != "H":
            out.append(block)
            continue
        glyphs = [i for i in block.items if i.kind != "space"]
        if any(i.is_turned for i in glyphs) or not any(i.kind == "glyph" for i in glyphs):
            continue  # watermarks and decoration
        pieces: list[list[Item]] = [[]]
        edge: float | None = None
        for item in block.items:
            if item.kind != "space":
                if edge is not None and item.x - edge > width / 4:
                    pieces.append([])
                edge = item.box[2]
            pieces[-1].append(item)
        for piece in pieces:
            shown = [i for i in piece if i.kind != "space"]
            if shown:
                out.append(Block(block.klass, block.key, _box(shown), piece))
    return out


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
