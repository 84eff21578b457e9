"""Given HTML pages as blocks: headings, paragraphs, lists, code and plain tables.

Navigation, boxes at the side, references, edit links and hidden parts are left out, and so are
tables with spans or without a row of headings, whose truth could not be told. Windows of a page
are runs of blocks that begin at a heading. Must not know how pages look.

Source: data synthesis specification, section 5 (what of encyclopaedia pages is kept).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import ConvertOptions
from nanovl.data.convert.items import Malformed
from nanovl.data.convert.sources import read_lines
from nanovl.data.convert.table_qa import Table
from nanovl.synth.documents.blocks import Block, Run, TableBlock, TextBlock
from nanovl.synth.documents.stories import Drops
from nanovl.synth.documents.text import clean, clean_code, visible

__all__ = ["PageWindow", "blocks_of_html", "read_html"]

_SKIPPED = ("script", "style", "sup", "math", "form", "noscript", "head")
_HIDDEN = re.compile(
    r"infobox|navbox|vertical-navbox|metadata|editsection|noprint|reference|\btoc\b|thumb|gallery"
    r"|hatnote|ambox|mbox|sistersite|collapsed|flagicon|sortkey|succession"
)
_VOID = ("br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "source")
_HEADS = ("h1", "h2", "h3", "h4", "h5", "h6")
_TEXTS = (*_HEADS, "p", "li", "pre", "dt", "dd")
_UNASKED = ("References", "Notes", "External links", "See also", "Sources", "Further reading")
_MOST_ROWS, _MOST_COLUMNS, _LONGEST_CELL = 24, 8, 60


@dataclass
class _Cell:
    head: bool
    spans: bool
    text: str = ""


@dataclass
class _Open:
    """Something that is being read: a text, or a table."""

    tag: str
    runs: list[Run] = field(default_factory=list)
    marker: str = ""
    level: int = 0
    caption: str = ""
    rows: list[list[_Cell]] = field(default_factory=list)
    is_sound: bool = True


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._skip: list[str] = []  # open tags below something that is left out
        self._open: list[_Open] = []
        self._lists: list[tuple[str, int]] = []
        self._bold = self._italic = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._skip:
            if tag not in _VOID:
                self._skip.append(tag)
            return
        hidden = _HIDDEN.search(f"{given.get('class', '')} {given.get('id', '')}")
        if tag in _SKIPPED or hidden or "display:none" in given.get("style", "").replace(" ", ""):
            if tag not in _VOID:
                self._skip.append(tag)
            return
        if tag in ("b", "strong"):
            self._bold += 1
        elif tag in ("i", "em"):
            self._italic += 1
        elif tag in ("ul", "ol"):
            self._close_text()
            self._lists.append((tag, 0))
        elif tag == "br":
            self.handle_data("\n" if self._open and self._open[-1].tag == "pre" else " ")
        elif tag == "table":
            self._close_text()
            if self._open:  # a table inside a table spoils both
                self._open[-1].is_sound = False
            self._open.append(_Open("table"))
        elif self._open and self._open[-1].tag == "table":
            self._table_tag(tag, given)
        elif tag in _TEXTS:
            self._close_text()
            self._open.append(self._begun(tag))

    def _begun(self, tag: str) -> _Open:
        found = _Open(tag)
        if tag == "li" and self._lists:
            kind, count = self._lists[-1]
            self._lists[-1] = (kind, count + 1)
            found.level = min(2, len(self._lists) - 1)
            found.marker = f"{count + 1}." if kind == "ol" else "-"
        return found

    def _table_tag(self, tag: str, given: dict[str, str]) -> None:
        table = self._open[-1]
        if tag == "tr":
            table.rows.append([])
        elif tag in ("td", "th") and table.rows:
            spans = any(given.get(k, "1").strip() not in ("", "1") for k in ("colspan", "rowspan"))
            table.rows[-1].append(_Cell(tag == "th", spans))
        elif tag == "caption":
            table.marker = "caption"

    def handle_endtag(self, tag: str) -> None:
        if self._skip:
            if tag in self._skip:
                while self._skip.pop() != tag:
                    pass
            return
        if tag in ("b", "strong"):
            self._bold = max(0, self._bold - 1)
        elif tag in ("i", "em"):
            self._italic = max(0, self._italic - 1)
        elif tag in ("ul", "ol"):
            self._close_text()
            if self._lists:
                self._lists.pop()
        elif tag == "caption" and self._open:
            self._open[-1].marker = ""
        elif tag == "table" and self._open and self._open[-1].tag == "table":
            table = self._open.pop()
            if not self._open and (block := _table(table)):
                self.blocks.append(block)
        elif tag in _TEXTS and self._open and self._open[-1].tag == tag:
            self._close_text()

    def handle_data(self, data: str) -> None:
        if self._skip or not self._open:
            return
        last = self._open[-1]
        if last.tag != "table":
            last.runs.append(Run(data, bool(self._bold), bool(self._italic)))
        elif last.marker == "caption":
            last.caption += data
        elif last.rows and last.rows[-1]:
            last.rows[-1][-1].text += data

    def _close_text(self) -> None:
        """Whatever text is open is complete; inside tables nothing is."""
        if not self._open or self._open[-1].tag == "table":
            return
        done = self._open.pop()
        if block := _text(done):
            self.blocks.append(block)

    def close(self) -> None:
        super().close()
        self._close_text()


def _text(done: _Open) -> TextBlock | None:
    if done.tag == "pre":
        code = clean_code("".join(r.text for r in done.runs))
        return TextBlock(kind="code", runs=(Run(code),)) if code.strip() else None
    is_head = done.tag in _HEADS
    runs: list[Run] = []
    for run in done.runs:
        text = re.sub(r"\s+", " ", visible(run.text))
        if runs and runs[-1].text.endswith(" "):
            text = text.lstrip()
        style = (False, False) if is_head else (run.bold, run.italic)
        if text and runs and (runs[-1].bold, runs[-1].italic) == style:
            runs[-1] = Run(runs[-1].text + text, *style)
        elif text:
            runs.append(Run(text, *style))
    if not "".join(r.text for r in runs).strip():
        return None
    runs[0] = Run(runs[0].text.lstrip(), runs[0].bold, runs[0].italic)
    runs[-1] = Run(runs[-1].text.rstrip(), runs[-1].bold, runs[-1].italic)
    kept = tuple(r for r in runs if r.text)
    if is_head:
        level = int(done.tag[1])
        kind = "title" if level == 1 else "section_header"
        return TextBlock(kind=kind, runs=kept, level=max(1, level - 1))
    if done.tag == "li":
        return TextBlock(kind="list_item", runs=kept, level=done.level, marker=done.marker or "-")
    return TextBlock(kind="text", runs=kept)


def _table(found: _Open) -> TableBlock | None:
    """A table that is a plain grid below a row of headings; None otherwise."""
    rows = [row for row in found.rows if row]
    if not found.is_sound or not 3 <= len(rows) <= _MOST_ROWS + 1:
        return None
    width = len(rows[0])
    if not 2 <= width <= _MOST_COLUMNS or not all(cell.head for cell in rows[0]):
        return None
    if any(len(row) != width or any(cell.spans for cell in row) for row in rows):
        return None
    texts = [tuple(" ".join(clean(cell.text).split()) for cell in row) for row in rows]
    if any(len(text) > _LONGEST_CELL for row in texts for text in row) or not all(texts[0]):
        return None
    table = Table(id="", title="", header=texts[0], rows=tuple(texts[1:]))
    return TableBlock(table=table, caption=" ".join(clean(found.caption).split()))


def blocks_of_html(html: str) -> list[Block]:
    """The readable blocks of a page in its order.

    Sections without content of their own (references, links) are left out.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    kept: list[Block] = []
    skips = 0
    for block in reader.blocks:
        if isinstance(block, TextBlock) and block.kind in ("title", "section_header"):
            if skips and block.level <= skips:
                skips = 0
            if block.text.strip() in _UNASKED:
                skips = block.level
        if not skips:
            kept.append(block)
    return [b for k, b in enumerate(kept) if not _is_empty_section(kept, k)]


def _is_empty_section(blocks: Sequence[Block], place: int) -> bool:
    block = blocks[place]
    if not isinstance(block, TextBlock) or block.kind != "section_header":
        return False
    after = blocks[place + 1] if place + 1 < len(blocks) else None
    if after is None:
        return True
    return isinstance(after, TextBlock) and after.kind == "section_header" and (
        after.level <= block.level
    )  # fmt: skip


# -- Windows -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PageWindow:
    """A run of blocks of a page.

    Attributes:
        document: Id of the page.
        title: Of the page.
        blocks: In reading order.
        language: Code of its language.
    """

    document: str
    title: str
    blocks: tuple[Block, ...]
    language: str = "en"


def read_html(
    paths: Sequence[Path], drops: Drops, *, least: int = 250, most: int = 2500
) -> list[PageWindow]:
    """Windows of pages out of `.jsonl` or `.jsonl.gz` files with `id`, `html`, `title`, `lang`.

    Args:
        paths: Files, read in this order.
        drops: Told about what is left out.
        least, most: Characters of a window.

    Raises:
        InputError: A file cannot be read, or nothing in it can be shown.
    """
    found = []
    for path in paths:
        for item in read_lines(path, ConvertOptions(on_drop=drops)):
            try:
                html, key = item.text("html"), item.text("id")
            except Malformed as error:
                drops(error.reason, item.where, error.message)
                continue
            pieces = _windows(blocks_of_html(html), least, most, seed=f"{path.name}|{key}")
            if not pieces:
                drops("nothing_to_read")
            title, language = clean(item.maybe("title")), item.maybe("lang") or "en"
            found += [
                PageWindow(document=key, title=title, blocks=piece, language=language)
                for piece in pieces
            ]
    if not found:
        names = ", ".join(p.name for p in paths)
        raise InputError(f"no page with text in: {names}; left out: {drops.counts}")
    return found


def _length(block: Block) -> int:
    if isinstance(block, TextBlock):
        return len(block.text)
    if isinstance(block, TableBlock):
        return sum(len(cell) + 2 for row in block.table.rows for cell in row)
    return 0


def _windows(
    blocks: Sequence[Block], least: int, most: int, *, seed: str
) -> list[tuple[Block, ...]]:
    """Runs of blocks; each has its own length, drawn from the page's id."""
    rng = random.Random(seed)
    made: list[tuple[Block, ...]] = []
    group: list[Block] = []
    wanted = rng.randint(least, most)
    for block in blocks:
        is_head = isinstance(block, TextBlock) and block.kind == "section_header"
        size = sum(map(_length, group))
        full = size + _length(block) > wanted or (is_head and size > 0.6 * wanted)
        if group and full and size >= least:
            made.append(tuple(group))
            group, wanted = [], rng.randint(least, most)
        if _length(block) <= 2 * most:
            group.append(block)
    if sum(map(_length, group)) >= least:
        made.append(tuple(group))
    return [_without_last_head(piece) for piece in made]


def _without_last_head(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    while len(blocks) > 1 and getattr(blocks[-1], "kind", "") == "section_header":
        blocks = blocks[:-1]
    return blocks
