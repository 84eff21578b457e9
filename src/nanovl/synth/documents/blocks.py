"""What a document says, before anybody knows where it will stand.

Blocks in reading order: texts of several kinds, tables, pictures. Also turns markdown-like plain
text into blocks. Must not know fonts or pages.

Source: data synthesis specification, sections 3.12, 3.15 (block classes) and 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nanovl.data.convert.table_qa import Table

__all__ = [
    "KINDS",
    "Block",
    "PictureBlock",
    "Run",
    "TableBlock",
    "TextBlock",
    "from_markdown",
    "paragraph",
]

KINDS = (
    "title",
    "section_header",
    "text",
    "list_item",
    "caption",
    "code",
    "table",
    "picture",
    "page_header",
    "page_footer",
)


@dataclass(frozen=True)
class Run:
    """A piece of text in one style."""

    text: str
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True, kw_only=True)
class TextBlock:
    """Text that flows.

    Attributes:
        kind: One of `KINDS`.
        runs: Its text.
        level: Of a heading from 1, of a list item from 0.
        marker: What stands before a list item ("-" for a bullet, else "1.", "a)", ...).
    """

    kind: str
    runs: tuple[Run, ...]
    level: int = 0
    marker: str = ""

    @property
    def text(self) -> str:
        """Without styles."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class TableBlock:
    """A table with one header row.

    Attributes:
        table: Its cells.
        caption: Stands above or below; "" for none.
    """

    table: Table
    caption: str = ""
    kind: str = "table"


@dataclass(frozen=True, kw_only=True)
class PictureBlock:
    """Room for a picture without text, with a caption.

    Attributes:
        aspect: Width over height.
        caption: "" for none.
        seed: Which picture.
    """

    aspect: float = 1.6
    caption: str = ""
    seed: int = 0
    kind: str = "picture"


Block = TextBlock | TableBlock | PictureBlock

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"(\s*)(?:([-*+\u2022])|(\d{1,3}[.)]|[a-z][.)]))\s+(.*)")
_STYLED = re.compile(r"(\*\*|__|\*|_)(?=\S)(.+?)(?<=\S)\1(?!\w)")


def paragraph(text: str, kind: str = "text", level: int = 0) -> TextBlock:
    """A block in one style."""
    return TextBlock(kind=kind, runs=(Run(text),), level=level)


def from_markdown(text: str) -> list[Block]:
    """Blocks of a text with `#` headings, `- ` and `1. ` lists, fenced code, `**` and `_`.

    Paragraphs are separated by blank lines; where a text has none, every line is one.
    """
    lines = text.split("\n")
    single = not any(not line.strip() for line in lines[1:-1])
    found: list[Block] = []
    pending: list[str] = []

    def flush() -> None:
        if pending:
            found.append(TextBlock(kind="text", runs=_runs(" ".join(pending))))
            pending.clear()

    inside_code: list[str] | None = None
    for line in lines:
        if line.strip().startswith("```"):
            flush()
            if inside_code is None:
                inside_code = []
            else:
                code = "\n".join(inside_code).strip("\n")
                if code:
                    found.append(TextBlock(kind="code", runs=(Run(code),)))
                inside_code = None
        elif inside_code is not None:
            inside_code.append(line.rstrip())
        elif not line.strip():
            flush()
        elif heading := _HEADING.match(line):
            flush()
            kind = "title" if len(heading[1]) == 1 and not found else "section_header"
            found.append(
                TextBlock(
                    kind=kind, runs=(Run(_unstyled(heading[2])),), level=max(1, len(heading[1]) - 1)
                )
            )
        elif (item := _ITEM.match(line)) and not pending:
            found.append(
                TextBlock(
                    kind="list_item",
                    runs=_runs(item[4]),
                    level=min(2, len(item[1]) // 2),
                    marker="-" if item[2] else item[3],
                )
            )
        else:
            pending.append(line.strip())
            if single:
                flush()
    flush()
    if inside_code:
        found.append(TextBlock(kind="code", runs=(Run("\n".join(inside_code)),)))
    while len(found) > 1 and found[-1].kind == "section_header":  # its text was cut off
        found.pop()
    return found


def _unstyled(text: str) -> str:
    return "".join(run.text for run in _runs(text))


def _runs(text: str) -> tuple[Run, ...]:
    return tuple(_split_styles(text)) or (Run(text),)


def _split_styles(text: str) -> Iterator[Run]:
    place = 0
    for found in _STYLED.finditer(text):
        before = text[found.start() - 1 : found.start()]
        if before.isalnum():  # an underscore or star inside a name
            continue
        if found.start() > place:
            yield Run(text[place : found.start()])
        bold = len(found[1]) == 2
        yield Run(found[2], bold=bold, italic=not bold)
        place = found.end()
    if place < len(text):
        yield Run(text[place:])
