"""What a page consists of: blocks with class, box and text.

Plain containers shared by the steps that make and read them. Must not compute anything.

Source: data synthesis specification, sections 3.12 and 3.15.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.tex.events import Item, RawPage
from nanovl.synth.tex.grids import Grid

__all__ = [
    "AUTHOR",
    "BIBLIOGRAPHY",
    "CAPTION",
    "CLASSES",
    "CODE",
    "DECORATION",
    "FOOTNOTE",
    "FORMULA",
    "HEAD",
    "HEADER",
    "LINE_NUMBER",
    "LIST",
    "MARGIN",
    "NAMES",
    "PICTURE",
    "TABLE",
    "TITLE",
    "TOC",
    "Block",
    "Key",
    "Page",
]

CLASSES = (
    "Text", "Title", "Section-header", "List-item", "Caption", "Table", "Picture", "Formula",
    "Code", "Footnote", "Bibliography", "TOC", "Page-header", "Page-footer",
)  # fmt: skip
# Numbers the hooks give to classes.
TITLE, HEAD, LIST, CAPTION, TABLE, PICTURE, FORMULA, CODE = 2, 3, 4, 5, 6, 7, 8, 9
FOOTNOTE, BIBLIOGRAPHY, TOC, HEADER, AUTHOR, MARGIN, DECORATION = 10, 11, 12, 13, 14, 15, 16
LINE_NUMBER = 17
NAMES = {
    0: "Text", TITLE: "Title", HEAD: "Section-header", LIST: "List-item", CAPTION: "Caption",
    TABLE: "Table", PICTURE: "Picture", FORMULA: "Formula", CODE: "Code",
    FOOTNOTE: "Footnote", BIBLIOGRAPHY: "Bibliography", TOC: "TOC", AUTHOR: "Text",
    MARGIN: "Text",
}  # fmt: skip

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
