"""What a document of many pages says: blocks in order, and which of them holds which fact.

Facts, headings, tables, figures and references know the block they stand in, so that pages and
boxes can be found once the blocks were laid out. Must not know pages.

Source: data synthesis specification, section 11 (facts, page map, evidence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.data.convert.table_qa import Table
from nanovl.synth.charts.spec import Chart
from nanovl.synth.documents.blocks import Block, PictureBlock, Run, TableBlock, TextBlock

__all__ = ["Draft", "Exhibit", "Fact", "Heading", "Pointer", "Source"]

FIGURE_ASPECT = 1.6  # width over height


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something the document says once.

    Attributes:
        subject: Whom it is about.
        noun: What of it, such as "number of employees".
        text: The value as printed.
        sentence: The words that say it, as printed.
        block: Where they stand.
        value: The number, None for other values.
        decimals: Of the number.
        unit: Of the number, "" for none.
        section: Number of the heading it stands below, -1 for none.
    """

    subject: str
    noun: str
    text: str
    sentence: str
    block: int
    value: float | None = None
    decimals: int = 0
    unit: str = ""
    section: int = -1


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading.

    Attributes:
        title: Without its number.
        text: As printed.
        level: 1 or 2.
        block: Where it stands.
        gist: What its section is about, a sentence of it; "" where there is none.
    """

    title: str
    text: str
    level: int
    block: int
    gist: str = ""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A numbered table or figure.

    Attributes:
        kind: "table" or "figure".
        label: "Table 2".
        caption: Without its label.
        block: Where it stands.
        section: Number of the heading it stands below.
        table: Cells of a table.
        key: Number of the column that tells rows apart.
        chart: What a figure shows.
    """

    kind: str
    label: str
    caption: str
    block: int
    section: int
    table: Table | None = None
    key: int = 0
    chart: Chart | None = None


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """A reference from a text to something elsewhere.

    Attributes:
        kind: "exhibit", "source" or "section".
        target: Number of the exhibit, source or heading.
        sentence: The words that point there.
        block: Where they stand.
        section: Number of the heading it stands below.
    """

    kind: str
    target: int
    sentence: str
    block: int
    section: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """An entry of a list of references."""

    mark: str
    authors: str
    title: str
    year: int
    block: int


@dataclass
class Draft:
    """A document in the making.

    Attributes:
        kind: "report", "paper", "manual", "slides", "invoices" or "statement".
        title: As on the first page.
        blocks: In reading order.
        headings, facts, exhibits, pointers, sources: What it says.
        breaks: Numbers of blocks that begin a new page.
        contents: Number of the first block of a table of contents, with one block a heading; -1
            without.
        parts: Names of the documents of a bundle and the block each begins with.
        facing: What a question calls the document, such as "report".
    """

    kind: str
    title: str
    facing: str = "document"
    blocks: list[Block] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    exhibits: list[Exhibit] = field(default_factory=list)
    pointers: list[Pointer] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    contents: int = -1
    parts: list[tuple[str, int]] = field(default_factory=list)

    @property
    def section(self) -> int:
        """Number of the heading things are added below."""
        return len(self.headings) - 1

    def add(self, block: Block) -> int:
        """Add a block; returns its number."""
        self.blocks.append(block)
        return len(self.blocks) - 1

    def text(self, text: str, kind: str = "text", level: int = 0, marker: str = "") -> int:
        """Add a text block; returns its number."""
        return self.add(TextBlock(kind=kind, runs=(Run(text),), level=level, marker=marker))

    def heading(self, title: str, *, number: str = "", level: int = 1, gist: str = "") -> int:
        """Add a heading, returns its number among headings."""
        shown = f"{number} {title}" if number else title
        block = self.text(shown, "section_header", level)
        self.headings.append(Heading(title=title, text=shown, level=level, block=block, gist=gist))
        return self.section

    def paragraph(self, sentences: Sequence[str], facts: Sequence[dict[str, Any]] = ()) -> int:
        """Add a paragraph of sentences and the facts in it; returns the number of the block.

        Args:
            sentences: In order; each fact's sentence is one of them.
            facts: Attributes of `Fact` but the place.
        """
        block = self.text(" ".join(sentences))
        self.note(block, facts)
        return block

    def note(self, block: int, facts: Sequence[dict[str, Any]]) -> None:
        """Say which facts a block holds."""
        self.facts += [Fact(block=block, section=self.section, **fact) for fact in facts]

    def count(self, kind: str) -> int:
        """Exhibits of a kind so far."""
        return sum(e.kind == kind for e in self.exhibits)

    def table(
        self, caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, key: int = 0
    ) -> int:
        """Add a numbered table; returns its number among exhibits."""
        label = f"Table {self.count('table') + 1}"
        table = Table(id=label, title=caption, header=tuple(header), rows=tuple(map(tuple, rows)))
        block = self.add(TableBlock(table=table, caption=f"{label}: {caption}"))
        self.exhibits.append(
            Exhibit(kind="table", label=label, caption=caption, block=block, section=self.section,
                    table=table, key=key)
        )  # fmt: skip
        return len(self.exhibits) - 1

    def figure(
        self, caption: str, chart: Chart | None, seed: int, aspect: float = FIGURE_ASPECT
    ) -> int:
        """Add a numbered figure: a chart, or without one a picture; its number as an exhibit.

        Args:
            caption: Without its label.
            chart: What it shows.
            seed: Of a picture.
            aspect: Width over height.
        """
        label = f"Figure {self.count('figure') + 1}"
        block = self.add(PictureBlock(aspect=aspect, caption=f"{label}: {caption}", seed=seed))
        self.exhibits.append(
            Exhibit(kind="figure", label=label, caption=caption, block=block,
                    section=self.section, chart=chart)
        )  # fmt: skip
        return len(self.exhibits) - 1

    def point(self, kind: str, target: int, sentence: str, block: int) -> None:
        """Say that a block refers to something."""
        self.pointers.append(
            Pointer(kind=kind, target=target, sentence=sentence, block=block,
                    section=self.section)
        )  # fmt: skip

    @property
    def words(self) -> str:
        """All characters that will be printed, for choosing fonts."""
        found = [self.title]
        for block in self.blocks:
            if isinstance(block, TextBlock):
                found.append(block.text + block.marker)
            elif isinstance(block, TableBlock):
                found += [block.caption, *block.table.header]
                found += [cell for row in block.table.rows for cell in row]
            else:
                found.append(block.caption)
        return " ".join(found)
