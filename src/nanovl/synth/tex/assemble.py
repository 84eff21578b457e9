"""From the pieces of a page to blocks: class, box, reading order, lines, words and text.

Every piece carries the attributes the hooks set; pieces that share a key form a block, in the order
they were shipped out. Spaces come from TeX's own glue, never from gaps. Must not look at the PDF.

Source: data synthesis specification, sections 3.12 and 3.15.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.tex.events import Item, RawPage, Recording
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import code_lines, markdown_of, plain_of, words_of
from nanovl.synth.tex.tables import Grid, build_grid

__all__ = ["CLASSES", "Block", "Page", "assemble"]

CLASSES = (
    "Text", "Title", "Section-header", "List-item", "Caption", "Table", "Picture", "Formula",
    "Code", "Footnote", "Bibliography", "TOC", "Page-header", "Page-footer",
)  # fmt: skip
_TITLE, _HEAD, _LIST, _CAPTION, _TABLE, _PICTURE, _FORMULA, _CODE = 2, 3, 4, 5, 6, 7, 8, 9
_FOOTNOTE, _BIBLIOGRAPHY, _TOC, _HEADER, _AUTHOR, _MARGIN = 10, 11, 12, 13, 14, 15
_NAMES = {
    0: "Text", _TITLE: "Title", _HEAD: "Section-header", _LIST: "List-item", _CAPTION: "Caption",
    _TABLE: "Table", _PICTURE: "Picture", _FORMULA: "Formula", _CODE: "Code",
    _FOOTNOTE: "Footnote", _BIBLIOGRAPHY: "Bibliography", _TOC: "TOC", _AUTHOR: "Text",
    _MARGIN: "Text",
}  # fmt: skip
_INLINE_PT = 14.0  # drawings lower than this inside a line of text belong to the text
_BULLETS = "\u2022\u2219\u25e6\u2023\u25aa\u25cf\u25cb\u2013\u2217*\u00b7\u22c5\u2022\u25b6\u25a0-"

Key = tuple[Any, ...]


@dataclass(slots=True)
class Block:
    """A block of a page.

    Attributes:
        klass: One of `CLASSES`.
        box: Page points, origin top left.
        order: Place in the reading order, from 0.
        text: Characters as printed; lines joined, hyphens of line breaks removed.
        markdown: The same with styles, maths and tables as markup.
        latex, html, otsl: Of formulas and tables.
        number: Of an equation, as printed.
        lines, words: (box, text) in reading order.
        chain, chain_pos: Shared by the parts of one paragraph on several columns or pages.
        continues, is_continued: The paragraph began before, goes on after this block.
    """

    klass: str
    key: Key
    box: tuple[float, float, float, float]
    items: list[Item]
    order: int = 0
    level: int | None = None
    list_: dict[str, Any] | None = None
    float_: int = 0
    text: str = ""
    markdown: str = ""
    latex: str = ""
    html: str = ""
    otsl: str = ""
    grid: Grid | None = None
    number: str = ""
    lines: list[tuple[tuple[float, float, float, float], str]] = field(default_factory=list)
    words: list[tuple[tuple[float, float, float, float], str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    chain: str = ""
    chain_pos: int = 0
    continues: bool = False
    is_continued: bool = False
    is_exact: bool = True
    maths: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Page:
    """A page in blocks.

    Attributes:
        stray: Glyphs that belong to no block, such as line numbers.
        problems: Reasons why parts of the page are not ground truth.
    """

    number: int
    width: float
    height: float
    rotation: int
    blocks: list[Block]
    raw: RawPage
    stray: list[Item]
    tags: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


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
    authors = {i.state.par for i in raw.items if i.state.klass == _AUTHOR and i.kind == "glyph"}
    mixed = {i.state.par for i in raw.items if i.kind == "glyph" and i.state.klass != _TITLE}
    for index, item in enumerate(raw.items):
        key = _key(item, index, layout_tables, raw.height)
        if item.state.klass == _TITLE and item.state.par in mixed and key is not None:
            key = ("X", item.state.par, item.state.column)  # the title quoted in running text
        if index in inline:
            key = inline[index]
        if key is not None and key[0] == "X" and key[1] in authors:
            key = (_AUTHOR, *key[1:])
        if key is None:
            if item.kind == "glyph":
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
    blocks = _join_images(blocks)
    blocks = _split_headers(blocks, raw.width)
    if order == "floats-last":
        late = {"Picture": 1, "Table": 1, "Caption": 1, "Footnote": 2, "Page-header": 3,
                "Page-footer": 4}  # fmt: skip
        blocks.sort(key=lambda b: late.get(b.klass, 0))
    for number, block in enumerate(blocks):
        block.order = number
        if not block.lines:
            _write(block, converter)
    page.blocks = blocks
    if page.stray:
        page.tags.append("stray_glyphs")
    return page


def _key(item: Item, index: int, layout: set[int], height: float) -> Key | None:
    s = item.state
    klass = s.klass
    if klass == _HEADER:
        if item.kind == "rule":
            return None
        return ("H", "top" if item.y < height / 2 else "bottom", round(item.y))
    if klass == _MARGIN:
        return ("M", s.inst)
    if klass in (_CAPTION, _FOOTNOTE):
        return (klass, s.inst, s.column) if item.kind != "rule" else None
    if s.table and s.table not in layout:
        return ("T", s.table)
    if klass == _PICTURE:
        return ("P", s.inst)
    if item.kind == "image" or item.kind == "form":
        return ("I", index)
    if klass == _FORMULA:
        return ("F", s.inst) if item.kind != "rule" or s.math else None
    if item.kind == "rule":
        return None
    if klass == _TOC:
        return (_TOC, s.inst, s.column)
    if klass in (_TITLE, _HEAD):
        return (klass, s.inst, s.column)
    if klass in (_CODE, _BIBLIOGRAPHY):
        return (klass, s.inst, s.column)
    if klass == _LIST:
        return (_LIST, s.inst, s.column, s.par)
    if klass == _AUTHOR:
        return (_AUTHOR, s.par, s.column)
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
            if item.kind == "glyph" and item.state.klass not in (_CAPTION, _PICTURE):
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
        if item.kind == "glyph" and s.par > 0 and s.klass != _PICTURE and not s.table:
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
        is_small = (s.klass == _PICTURE and small.get(s.inst, False)) or (
            item.kind in ("image", "form") and item.box[3] - item.box[1] < _INLINE_PT
        )
        if is_small and s.par in texts and not s.table:
            found[index] = texts[s.par]
    return found


def _merge(groups: dict[Key, list[Item]]) -> Iterable[tuple[Key, list[Item]]]:
    """Join neighbouring groups that are one thing: paragraphs of an item, lines of authors."""
    merged: list[tuple[Key, list[Item]]] = []
    for key, items in groups.items():
        if merged:
            last = merged[-1][0]
            same_item = key[0] == _LIST and last[0] == _LIST and key[1:3] == last[1:3]
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
        klass = _NAMES[head]
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
    if head == _AUTHOR:
        block.tags.append("author")
    if any(i.is_turned for i in visible if i.kind == "glyph"):
        block.tags.append("rotated")
    if head == _HEAD:
        block.level = first.tag
    if first.tag == 1 and head == "X":
        block.tags.append("abstract")
    if head == _LIST:
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


# -- text ---------------------------------------------------------------------------------------


def _write(block: Block, converter: Converter) -> None:
    items = block.items
    block.words, block.lines = words_of(items)
    block.maths = sorted({i.state.math for i in items if i.state.math})
    if block.klass == "Formula":
        _write_formula(block, converter)
        return
    if block.klass == "Picture":
        block.text = plain_of(items)
        block.markdown = "<graphics>"
        return
    if block.klass == "Table":
        grid = block.grid
        block.text = plain_of(items)
        if grid is not None and not grid.problem:
            block.latex, block.html, block.otsl = grid.latex(), grid.html(), grid.otsl()
            block.text = grid.text()
            block.markdown = grid.markdown() or block.latex
        return
    if block.klass == "Code":
        block.text = code_lines(items)
        block.markdown = f"```\n{block.text}\n```"
        return
    block.text = plain_of(items)
    is_plain = block.klass in ("Section-header", "Title", "Page-header", "Page-footer", "TOC")
    block.markdown = markdown_of(items, converter, styled=not is_plain)
    if block.klass == "Section-header":
        block.markdown = "#" * min(max((block.level or 0) + 1, 1), 6) + " " + block.markdown
    elif block.klass == "Title":
        block.markdown = f"# {block.markdown}"
    elif block.klass == "List-item" and block.list_ is not None:
        _write_item(block)


def _write_item(block: Block) -> None:
    assert block.list_ is not None
    match = re.match(r"^(\S{1,8})\s+", block.text)
    marker = match.group(1) if match else ""
    kind = "description"
    if marker and all(c in _BULLETS for c in marker):
        kind = "unordered"
        body = re.sub(r"^\S+\s+|^\\\(.*?\\\)\s+", "", block.markdown, count=1)
        block.markdown = f"- {body}"
    elif re.fullmatch(r"[(\[]?[0-9A-Za-z]{1,4}[.)\]]{1,2}", marker):
        kind = "ordered"
    else:
        marker = ""
    block.list_ |= {"kind": kind, "marker": marker}
    indent = "  " * (block.list_["depth"] - 1)
    block.markdown = indent + block.markdown


def _write_formula(block: Block, converter: Converter) -> None:
    rows: dict[int, dict[int, list[int]]] = {}
    numbers: list[str] = []
    seen: set[int] = set()
    outside: list[str] = []
    for item in block.items:
        number = item.state.math
        if item.kind not in ("glyph", "rule"):
            continue
        if not number:
            if item.kind == "glyph":
                outside.append(item.text)
            continue
        if number in seen:
            continue
        seen.add(number)
        plain = converter.plain_text(number)
        if plain is not None and re.fullmatch(r"\s*[(\[]?[\w.\-*\u2032' ]{1,12}[)\]]?\s*", plain):
            if converter.latex(number).startswith("\\text"):
                numbers.append(plain.strip())
            continue
        cells = rows.setdefault(item.state.row, {})
        cells.setdefault(item.state.cell, []).append(number)
    tag = "".join(outside).strip()
    if tag:
        numbers.append(tag)
    lines = []
    for cells in rows.values():
        parts = ["".join(_bare(converter.latex(n)) for n in ids) for ids in cells.values()]
        lines.append([p for p in parts if p])
    lines = [line for line in lines if line]
    block.is_exact = all(converter.is_exact(n) for n in seen)
    if len(lines) == 1:
        block.latex = " ".join(lines[0])
    elif lines:
        environment = "aligned" if any(len(line) > 1 for line in lines) else "gathered"
        body = " \\\\ ".join(" & ".join(line) for line in lines)
        block.latex = f"\\begin{{{environment}}} {body} \\end{{{environment}}}"
    block.number = " ".join(numbers)
    block.text = plain_of(block.items)
    block.markdown = f"\\[ {block.latex} \\]" if block.latex else block.text
    block.maths = sorted(seen)


def _bare(latex: str) -> str:
    return re.sub(r"^\\displaystyle\s*", "", latex)


# -- chains -------------------------------------------------------------------------------------


def _chain(pages: Sequence[Page]) -> None:
    """Link parts of paragraphs that go on in another column or on another page."""
    parts: dict[Key, list[tuple[Page, Block]]] = defaultdict(list)
    for page in pages:
        for block in page.blocks:
            head = block.key[0]
            if head == "X":
                parts[("X", block.key[1])].append((page, block))
            elif head in (_LIST, _BIBLIOGRAPHY, _FOOTNOTE, _CODE, _TOC) and block.key[1]:
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


def is_cjk(text: str) -> bool:
    """Whether a character belongs to a script written without blanks."""
    return bool(text) and unicodedata.name(text[-1], "").startswith(
        ("CJK", "HIRAGANA", "KATAKANA", "HANGUL SYLLABLE X")
    )
