"""Which block every piece of a page belongs to: pieces that share a key form a block.

Keys come from the attributes the hooks set, from paragraphs and from columns; numbers of lines and
rules outside tables have none. Must not make blocks.

Source: data synthesis specification, section 3.12.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from nanovl.synth.tex.blocks import (
    AUTHOR,
    BIBLIOGRAPHY,
    CAPTION,
    CODE,
    DECORATION,
    FOOTNOTE,
    FORMULA,
    HEAD,
    HEADER,
    LINE_NUMBER,
    LIST,
    MARGIN,
    PICTURE,
    TITLE,
    TOC,
    Key,
)
from nanovl.synth.tex.events import Item, RawPage
from nanovl.synth.tex.richtext import font_style

__all__ = ["group_pieces", "is_name"]

_CLAIMED = 500000  # from here on footnotes the hooks found among TeX's insertions, by paragraph
_FRAMED_GLYPHS = 60
_LOGO_GLYPHS = 2
_MARKS = 0.25  # glyphs of marks in a paragraph of the title, per glyph of the title
_NAME_GLYPHS = 20
_INLINE_PT = 14.0  # drawings lower than this inside a line of text belong to the text


def group_pieces(raw: RawPage) -> tuple[dict[Key, list[Item]], list[Item]]:
    """Pieces by the block they belong to.

    Args:
        raw: The page; running heads among its pieces are named as such.

    Returns:
        Groups in the order of their first visible piece, and glyphs that belong nowhere.
    """
    layout_tables = _layout_tables(raw)
    inline = _inline_pictures(raw)
    groups: dict[Key, list[Item]] = {}
    stray: list[Item] = []
    first: dict[Key, int] = {}  # index of the first visible piece
    authors = {i.state.par for i in raw.items if i.state.klass == AUTHOR and i.kind == "glyph"}
    titles = _titles(raw)
    _join_nested(raw)
    heads = {i.state.par: i.state for i in raw.items if i.state.klass == HEADER and i.state.par < 0}
    framed = _framed(raw)
    named = _named_abstracts(raw)
    for index, item in enumerate(raw.items):
        if item.state.klass == LINE_NUMBER:
            continue  # ink beside the text
        if item.state.klass in (TITLE, AUTHOR) and item.state.par in heads:
            item.state = heads[item.state.par]  # a running head made when the title was printed
        if item.state.klass == PICTURE and item.state.inst in framed:
            key = _framed_key(item, framed[item.state.inst])
        else:
            key = _key(item, index, layout_tables, raw)
        if item.state.klass == TITLE and key is not None and item.state.par not in titles:
            key = ("X", item.state.par, item.state.column)  # the title quoted in running text
        elif key is not None and key[0] == "X" and key[1] in titles:
            key = (TITLE, titles[key[1]], item.state.column)  # the mark of a note
        if index in inline:
            key = inline[index]
        if key is not None and key[0] == "X" and key[1] in authors:
            key = (AUTHOR, *key[1:])
        if key is not None and key[0] == "X" and item.state.line == 1 and key[1] in named:
            key = ("N", *key[1:])
        if key is None:
            if item.kind == "glyph" and item.state.inst not in framed:
                stray.append(item)
            continue
        groups.setdefault(key, []).append(item)
        if item.kind != "space" and key not in first:
            first[key] = index
    return {key: groups[key] for key in sorted(first, key=first.__getitem__)}, stray


def _is_above(item: Item, raw: RawPage) -> bool:
    """Whether a piece is in the upper half of a page as it is read, however the page is turned."""
    if raw.rotation in (90, 270):
        return (item.x > raw.width / 2) == (raw.rotation == 90)
    return (item.y > raw.height / 2) == (raw.rotation == 180)


def _key(item: Item, index: int, layout: set[int], raw: RawPage) -> Key | None:
    s = item.state
    klass = s.klass
    if klass == DECORATION:
        return None
    if klass == HEADER:
        if item.kind == "rule":
            return None
        return ("H", "top" if _is_above(item, raw) else "bottom", s.par or round(item.y))
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
    if klass == CODE and s.float_:
        return (CODE, s.inst, 0)  # a float is not broken; its columns are blocks of its lines
    if klass in (CODE, BIBLIOGRAPHY):
        return (klass, s.inst, s.column)
    if klass == LIST:
        return (LIST, s.inst, s.column, s.par)
    if klass == AUTHOR:
        return (AUTHOR, s.par, s.column)
    if s.par == 0:
        return None
    return ("X", s.par, s.column)


def _join_nested(raw: RawPage) -> None:
    """Letters of a logo are boxes of their own: in running heads they join the line around."""
    spans: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(raw.items):
        if item.state.klass == HEADER and item.kind == "glyph":
            spans[item.state.par].append(index)
    for places in spans.values():
        outer = [p for p, s in spans.items() if s[0] < places[0] and places[-1] < s[-1]]
        if outer and len(places) <= _LOGO_GLYPHS:
            for index in places:
                item = raw.items[index]
                item.state = item.state._replace(par=outer[0])


def _titles(raw: RawPage) -> dict[int, int]:
    """Paragraphs that are the title but for a mark or two -> its instance."""
    own: dict[int, int] = {}
    counts: Counter[tuple[int, bool]] = Counter()
    for item in raw.items:
        if item.kind == "glyph" and item.state.klass != LINE_NUMBER:
            is_title = item.state.klass == TITLE
            counts[item.state.par, is_title] += 1
            if is_title:
                own[item.state.par] = item.state.inst
    return {p: i for p, i in own.items() if counts[p, False] <= _MARKS * counts[p, True]}


def _named_abstracts(raw: RawPage) -> set[int]:
    """Paragraphs whose first line is the bold or capital name of the abstract that follows."""
    lines: dict[int, dict[int, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in raw.items:
        if item.state.tag == 1 and item.state.par > 0 and item.kind == "glyph":
            lines[item.state.par][item.state.line].append(item)
    return {par for par, own in lines.items() if len(own) > 1 and 1 in own and is_name(own[1])}


def is_name(items: Sequence[Item]) -> bool:
    """Whether a line of an abstract is its name: a bold or capital word or two.

    Args:
        items: Pieces of a paragraph, or of its first line.
    """
    glyphs = [i for i in items if i.kind == "glyph"]
    one_line = len({(i.state.par, i.state.line) for i in glyphs}) == 1
    if not one_line or len(glyphs) > _NAME_GLYPHS:
        return False
    return all(font_style(i.font) & 1 for i in glyphs) or "".join(i.text for i in glyphs).isupper()


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
            key = _key(item, index, set(), raw)
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
