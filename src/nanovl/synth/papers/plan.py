"""What a paper says, before it has a class or a layout: sections, paragraphs, floats, references.

A plan is drawn once; `source` writes it as LaTeX and `pages` holds the printed pages against it.
Must not contain LaTeX other than formulas and drawings.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from nanovl.synth.base import Reject
from nanovl.synth.papers.drawings import draw_picture
from nanovl.synth.papers.formulas import Formula, draw_formula, inline, width_em
from nanovl.synth.papers.prose import FAMILY_NAMES, PLACES, Writer
from nanovl.synth.papers.snippets import algorithm, program
from nanovl.synth.tables.content import build, draw_plan
from nanovl.synth.tables.grid import Table

__all__ = [
    "Algorithm",
    "Block",
    "Code",
    "Display",
    "Figure",
    "Heading",
    "Items",
    "Paper",
    "Para",
    "Run",
    "Shape",
    "Tabular",
    "Theorem",
    "draw_paper",
]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A stretch of a paragraph.

    Attributes:
        kind: "text", "math", "em", "bold", "code", "note" (a footnote), "cite" or "ref".
        text: Its text or formula; the keys of a citation or reference separated by commas.
    """

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Para:
    """A paragraph, or the rest of one after a formula."""

    runs: tuple[Run, ...]
    is_rest: bool = False


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading; level 0 is a chapter, 1 a section."""

    level: int
    text: str
    key: str
    is_numbered: bool = True


@dataclass(frozen=True, kw_only=True)
class Display:
    """A display formula; `number` counts the numbered ones, 0 for none."""

    formula: Formula
    number: int = 0


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list: kind "bullets", "numbers" or "terms"; `inner` hangs below the entry it names."""

    kind: str
    entries: tuple[tuple[Run, ...], ...]
    terms: tuple[str, ...] = ()
    inner: tuple[int, Items] | None = None

    def count(self) -> int:
        """Entries, those of the inner list included."""
        return len(self.entries) + (self.inner[1].count() if self.inner else 0)


@dataclass(frozen=True, kw_only=True)
class Code:
    """A listing."""

    lines: tuple[str, ...]
    style: str  # "verbatim" or "listing"


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """Pseudo code in a float: (depth, keyword, words) per line."""

    lines: tuple[tuple[int, str, str], ...]
    caption: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Theorem:
    """A statement, with or without a proof."""

    kind: str
    runs: tuple[Run, ...]
    proof: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tabular:
    """A table in a float."""

    table: Table
    caption: str
    number: int
    style: str  # "booktabs", "grid" or "lines"
    is_above: bool


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing in a float; `words` are what is printed inside."""

    drawing: str
    caption: str
    number: int


_JOURNALS = (
    "Journal of Slow Physics", "Annals of Wood", "Water Letters", "Notes on Measurement",
    "Proceedings of the Northern Shore",
)  # fmt: skip
Block = Para | Heading | Display | Items | Code | Algorithm | Theorem | Tabular | Figure


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A whole paper.

    Attributes:
        lang: Of its text.
        authors: Names.
        abstract: Paragraph, without citations.
        body: In order; the appendix starts at `appendix` (index of a block), -1 for none.
        references: Entries of the bibliography, in order of their numbers.
        has_contents: It has a table of contents.
    """

    lang: str
    title: str
    authors: tuple[str, ...]
    places: tuple[str, ...]
    date: str
    abstract: tuple[Run, ...]
    body: tuple[Block, ...]
    references: tuple[str, ...]
    appendix: int = -1
    has_contents: bool = False

    def headings(self) -> list[Heading]:
        """All headings in order."""
        return [b for b in self.body if isinstance(b, Heading)]

    def paragraphs(self) -> Iterator[tuple[Run, ...]]:
        """Runs of everything that is running text."""
        yield self.abstract
        for block in self.body:
            if isinstance(block, Para | Theorem):
                yield block.runs
            if isinstance(block, Theorem) and block.proof:
                yield block.proof
            if isinstance(block, Items):
                yield from block.entries
                if block.inner:
                    yield from block.inner[1].entries

    def notes(self) -> list[str]:
        """Texts of the footnotes in order."""
        return [r.text for runs in self.paragraphs() for r in runs if r.kind == "note"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the layout allows a plan to hold.

    Attributes:
        has_chapters: The top level is a chapter.
        depth: Levels of headings.
        width_em: Widest formula; widest table in characters is twice that.
        has_algorithms: The class knows algorithm floats.
        has_notes: Footnotes may be used.
        words: Of the whole paper, about.
        maths: Share of sentences with formulas, 0 to 0.3.
    """

    has_chapters: bool = False
    depth: int = 2
    width_em: float = 22.0
    has_algorithms: bool = True
    has_notes: bool = True
    words: int = 1200
    maths: float = 0.12


@dataclass
class _Drawing:
    """A plan in the making."""

    shape: Shape
    writer: Writer
    rng: random.Random
    body: list[Block] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)  # of what may be referred to
    references: int = 0
    words: int = 0

    def number(self, kind: str) -> int:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self.counts[kind]


def draw_paper(lang: str, shape: Shape, rng: random.Random) -> Paper:
    """A random paper.

    Args:
        lang: One of `prose.LANGUAGES`.
        shape: What fits.
        rng: Where it comes from.
    """
    writer = Writer(lang, rng)
    references = _references(writer, rng) if rng.random() < 0.75 else ()
    d = _Drawing(shape=shape, writer=writer, rng=rng, references=len(references))
    authors = tuple(dict.fromkeys(writer.person() for _ in range(rng.randint(1, 4))))
    abstract = _runs(d, rng.randint(3, 6), plain=True)
    _body(d)
    appendix = -1
    if rng.random() < 0.15 and not shape.has_chapters:
        appendix = len(d.body)
        d.body.append(Heading(level=1, text=writer.words["appendix_heading"], key="sec:app"))
        d.body.append(Para(runs=_runs(d, rng.randint(2, 4))))
    return Paper(
        lang=lang,
        title=writer.title(),
        authors=authors,
        places=tuple(rng.choice(PLACES) for _ in authors),
        date=f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(1995, 2031)}",
        abstract=abstract,
        body=tuple(d.body),
        references=references,
        appendix=appendix,
        has_contents=shape.words > 900 and rng.random() < (0.4 if shape.has_chapters else 0.1),
    )


def _references(writer: Writer, rng: random.Random) -> tuple[str, ...]:
    entries = []
    for _ in range(rng.randint(3, 12)):
        names = " and ".join(
            f"{rng.choice('ABCDEFGHJKLMNPRST')}. {rng.choice(FAMILY_NAMES)}"
            for _ in range(rng.choice((1, 1, 2)))
        )
        year, volume, page = rng.randint(1961, 2030), rng.randint(1, 90), rng.randint(1, 900)
        journal = rng.choice(_JOURNALS)
        title = writer.title()
        entries.append(f"{names}. {title}. {journal} {volume}, {page} ({year}).")
    return tuple(dict.fromkeys(entries))


# -- text ----------------------------------------------------------------------------------------


def _runs(
    d: _Drawing, sentences: int, *, plain: bool = False, maths: float | None = None
) -> tuple[Run, ...]:
    """Sentences with what stands in them."""
    runs: list[Run] = []

    def say(text: str) -> None:
        if runs and runs[-1].kind == "text":
            runs[-1] = Run(kind="text", text=runs[-1].text + text)
        else:
            runs.append(Run(kind="text", text=text))

    rng = d.rng
    share = d.shape.maths if maths is None else maths
    for number in range(sentences):
        if number:
            say(" ")
        draw = rng.random()
        if draw < share:
            _pattern(d, d.writer.pick("math_patterns"), say, runs)
        elif draw < share + 0.05 and d.keys and not plain:
            _pattern(d, d.writer.pick("ref_patterns"), say, runs)
        else:
            _sentence(d, d.writer.sentence(), say, runs, plain)
    made = tuple(r for r in runs if r.text)
    d.words += sum(len(r.text.split()) for r in made if r.kind != "math")
    return made


def _pattern(d: _Drawing, pattern: str, say: object, runs: list[Run]) -> None:
    assert callable(say)
    text = d.writer.filled(pattern)
    before, mark, after = text.partition("{m}" if "{m}" in text else "{r}")
    say(before)
    if mark == "{m}":
        formula = inline(d.rng)
        while width_em(formula) > min(9.0, d.shape.width_em / 3):
            formula = inline(d.rng)
        runs.append(Run(kind="math", text=formula))
    else:
        runs.append(Run(kind="ref", text=d.rng.choice(d.keys)))
    say(after)


def _sentence(d: _Drawing, text: str, say: object, runs: list[Run], plain: bool) -> None:
    assert callable(say)
    rng = d.rng
    draw = rng.random()
    words = text.split(" ")
    if draw < 0.06 and len(words) > 4:
        start = rng.randrange(1, len(words) - 2)
        end = min(len(words) - 1, start + rng.randint(1, 3))
        say(" ".join(words[:start]) + " ")
        kind = rng.choice(("em", "em", "bold"))
        runs.append(Run(kind=kind, text=" ".join(words[start:end])))
        say(" " + " ".join(words[end:]))
        return
    if draw < 0.14 and d.references and not plain:
        say(text[:-1] + " ")
        chosen = sorted(
            rng.sample(range(1, d.references + 1), min(d.references, rng.choice((1, 1, 2))))
        )
        runs.append(Run(kind="cite", text=",".join(map(str, chosen))))
        say(".")
        return
    say(text)
    if draw < 0.17 and d.shape.has_notes and not plain:
        runs.append(Run(kind="note", text=d.writer.filled(d.writer.pick("note_patterns"))))


# -- blocks --------------------------------------------------------------------------------------


def _body(d: _Drawing) -> None:
    rng, shape = d.rng, d.shape
    usual = list(d.writer.words["headings"])
    top = 0 if shape.has_chapters else 1
    sections = max(1, min(8, round(shape.words / rng.choice((160, 240, 320)))))
    budget = shape.words / sections
    used: set[str] = set()
    for number in range(sections):
        text = usual[0] if not number else rng.choice(usual[1:])
        if rng.random() < 0.35 or text in used:
            text = d.writer.heading()
        used.add(text)
        if shape.has_chapters and number and rng.random() < 0.6:
            level = 1
        else:
            level = top
        _heading(d, level, text)
        end = d.words + budget
        while d.words < end:
            if rng.random() < 0.22 and level + 1 < top + shape.depth:
                _heading(d, level + 1, d.writer.heading())
            _part(d)


def _heading(d: _Drawing, level: int, text: str) -> None:
    key = f"sec:{d.number('section')}"
    d.body.append(Heading(level=level, text=text, key=key))
    d.body.append(Para(runs=_runs(d, max(2, round(d.rng.lognormvariate(1.0, 0.4))))))


def _part(d: _Drawing) -> None:
    """A paragraph, or something with its sentence before."""
    rng = d.rng
    kind = rng.choices(
        ("para", "display", "list", "code", "theorem", "table", "figure", "algorithm"),
        (10, 30 * d.shape.maths, 1.2, 0.6, 8 * d.shape.maths, 1.1, 1.1, 0.4),
    )[0]
    if kind == "display":
        _display(d)
    elif kind == "list":
        d.body.append(Para(runs=(Run(kind="text", text=d.writer.pick("list_intros")),)))
        d.body.append(_items(d, 0))
    elif kind == "code":
        d.body.append(Para(runs=(Run(kind="text", text=d.writer.pick("code_intros")),)))
        style = rng.choice(("verbatim", "listing"))
        d.body.append(Code(lines=program(rng), style=style))
    elif kind == "theorem":
        _theorem(d)
    elif kind == "table":
        _table(d)
    elif kind == "figure":
        number = d.number("figure")
        d.body.append(
            Figure(
                drawing=draw_picture(rng, d.shape.width_em),
                caption=d.writer.caption(),
                number=number,
            )
        )
        d.keys.append(f"fig:{number}")
    elif kind == "algorithm" and d.shape.has_algorithms:
        number = d.number("algorithm")
        d.body.append(Algorithm(lines=algorithm(rng), caption=d.writer.caption(), number=number))
    d.body.append(Para(runs=_runs(d, max(1, min(12, round(rng.lognormvariate(1.25, 0.5)))))))


def _display(d: _Drawing) -> None:
    rng = d.rng
    intro = Run(kind="text", text=d.writer.pick("display_intros"))
    formula = draw_formula(rng, rng.randint(2, 3))
    for _ in range(200):
        if width_em(formula.latex) <= 0.8 * d.shape.width_em:
            break
        formula = draw_formula(rng, rng.randint(1, 3))
    else:
        raise Reject("formula_width", f"no formula fits {d.shape.width_em:.0f} em")
    number = d.number("equation") if rng.random() < 0.6 else 0
    if d.body and isinstance(d.body[-1], Para):
        last = d.body.pop()
        assert isinstance(last, Para)
        gap = Run(kind="text", text=" " + intro.text)
        d.body.append(Para(runs=(*last.runs, gap), is_rest=last.is_rest))
    else:
        d.body.append(Para(runs=(intro,)))
    d.body.append(Display(formula=formula, number=number))
    if number:
        d.keys.append(f"eq:{number}")
    if rng.random() < 0.5:
        outro = d.writer.filled(d.writer.pick("display_outros"))
        more = _runs(d, rng.randint(0, 2))
        start = Run(kind="text", text=outro[0].lower() + outro[1:] + (" " if more else ""))
        d.body.append(Para(runs=(start, *more), is_rest=True))


def _items(d: _Drawing, depth: int) -> Items:
    rng = d.rng
    kind = rng.choice(("bullets", "bullets", "numbers", "terms"))
    entries = tuple(
        _runs(d, rng.choice((1, 1, 1, 2)), plain=True, maths=d.shape.maths / 2)
        for _ in range(rng.randint(2, 5))
    )
    terms = tuple(f"{rng.choice(FAMILY_NAMES)}" for _ in entries) if kind == "terms" else ()
    inner = None
    if depth == 0 and rng.random() < 0.2:
        inner = (rng.randrange(len(entries)), _items(d, 1))
    return Items(kind=kind, entries=entries, terms=terms, inner=inner)


def _theorem(d: _Drawing) -> None:
    rng = d.rng
    kind = rng.choice(("theorem", "lemma", "definition", "remark"))
    runs = _runs(d, rng.randint(1, 2), plain=True, maths=0.6)
    proof: tuple[Run, ...] = ()
    if kind in ("theorem", "lemma") and rng.random() < 0.6:
        proof = _runs(d, rng.randint(1, 4), plain=True, maths=0.4)
    d.body.append(Theorem(kind=kind, runs=runs, proof=proof))


def _table(d: _Drawing) -> None:
    rng = d.rng
    for _ in range(40):
        try:
            table = build(draw_plan(rng, is_plain=True, most_rows=9), rng)
        except Reject:
            continue
        if _characters(table) <= 1.75 * d.shape.width_em:
            break
    else:
        return
    number = d.number("table")
    style = rng.choice(("booktabs", "booktabs", "lines", "grid"))
    d.body.append(
        Tabular(table=table, caption=d.writer.caption(), number=number, style=style,
                is_above=rng.random() < 0.7)
    )  # fmt: skip
    d.keys.append(f"tab:{number}")


def _characters(table: Table) -> float:
    """Width of a table in characters, two for the space between columns."""
    widths = [0.0] * table.width
    for cell in sorted(table.cells, key=lambda c: c.columns):
        share = math.fsum(widths[cell.column : cell.column + cell.columns])
        share += 2 * (cell.columns - 1)
        if cell.columns == 1:
            widths[cell.column] = max(widths[cell.column], len(cell.text))
        elif len(cell.text) > share:
            widths[cell.column] += len(cell.text) - share
    return math.fsum(widths) + 2 * len(widths)
