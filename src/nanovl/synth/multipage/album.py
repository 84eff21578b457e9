"""Pictures of several sorts that groups are made of: scenes, charts, tables and pages.

Source: data synthesis specification, sections 6, 7 and 12.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from nanovl.synth.asking import noted, worded
from nanovl.synth.base import Answer, Reject, Task
from nanovl.synth.charts.data import draw_chart
from nanovl.synth.charts.look import draw_look
from nanovl.synth.charts.pil import draw_with_pillow
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.documents.build import style_for, typefaces_for
from nanovl.synth.documents.fonts import FontLibrary, FontSplit
from nanovl.synth.multipage.albumphrases import BANK
from nanovl.synth.multipage.draft import Draft
from nanovl.synth.multipage.press import Printed, laid_out, painted
from nanovl.synth.multipage.vocabulary import REPORTING, World, filler
from nanovl.synth.tables.content import Plan, build, draw_plan
from nanovl.synth.tables.grid import Cell, Column, Row, Table
from nanovl.synth.tables.render import Rendered, draw_table
from nanovl.synth.tables.style import Style, draw_style
from nanovl.synth.typefaces import BUILTIN

__all__ = [
    "ONE_SERIES",
    "Album",
    "Makers",
    "Note",
    "as_table",
    "ask",
    "ask_number",
    "ask_yes",
    "chart_picture",
    "single_chart",
]

ONE_SERIES = ("bar", "barh", "lollipop", "line", "area")


@dataclass(frozen=True)
class Note:
    """A page of text: its paragraphs as sentences, and the facts among them."""

    title: str
    paragraphs: tuple[tuple[str, ...], ...]
    facts: tuple[tuple[str, str], ...]  # sentence and its value


@dataclass(frozen=True)
class Makers:
    """What pictures are made with.

    Attributes:
        fonts: For pages.
        split: Which of them.
        typefaces: For tables.
    """

    fonts: FontLibrary
    split: FontSplit
    typefaces: tuple[str, ...]

    def table(self, rng: random.Random, style_rng: random.Random) -> tuple[Table, Plan, Style]:
        """A plain table with one header row and a title."""
        style = draw_style(style_rng, self.typefaces)
        plan = draw_plan(rng, is_plain=style.family == BUILTIN, most_rows=8)
        plan = replace(plan, rows=max(3, plan.rows), groups=0, sections="none", derived="",
                       has_total=False, empty=0.0, merged=0,
                       measures=max(2, min(4, plan.measures)))  # fmt: skip
        return build(plan, rng), plan, replace(style, caption="above", wrap=style.size * 16)

    def drawn(self, table: Table, style: Style) -> Rendered:
        """A table as a picture."""
        return draw_table(table, style)

    def note(self, rng: random.Random) -> Note:
        """What a page of text says."""
        world: World = rng.choice(REPORTING)
        subjects = rng.sample(world.subjects, 3)
        facts: list[tuple[str, str]] = []
        paragraphs = []
        for subject in subjects:
            said = []
            for measure in rng.sample(world.measures, 2):
                fact = measure.fact(subject, rng)
                facts.append((fact["sentence"], fact["text"]))
                said.append(fact["sentence"])
            for _ in range(rng.randint(1, 3)):
                said.insert(rng.randint(0, len(said)), filler(world, rng))
            paragraphs.append(tuple(said))
        title = f"Notes on {subjects[0]} and others"
        return Note(title, tuple(paragraphs), tuple(facts))

    def page(self, notes: Sequence[Note], style_rng: random.Random) -> list[Printed]:
        """Pages of text in one style, one for each note.

        Raises:
            Reject: One of them needs a second page.
        """
        drafts = []
        for note in notes:
            draft = Draft("note", note.title)
            draft.text(note.title, "title")
            for said in note.paragraphs:
                draft.paragraph(said)
            drafts.append(draft)
        words = " ".join(d.words for d in drafts)
        faces = typefaces_for(self.fonts, self.split, words + "0123456789", style_rng)
        size = style_rng.choice((16.0, 17.0, 18.0, 20.0))
        style = style_for(faces, style_rng, 800, size=size, max_width=760)
        style = replace(style, columns=1, column_rule=False, max_height=1100, header="", footer="")
        found = []
        for draft in drafts:
            pages = laid_out(draft, style)
            if len(pages) > 1:
                raise Reject("too_many_pages", "a note should fit one page")
            lowest = max(line.bottom for piece in pages[0].pieces for line in piece.lines)
            pages[0].height = min(style.max_height, round(lowest) + style.margins[3])
            sheets, _ = painted(draft, pages)
            found.append(Printed(draft, sheets, {}))
        return found


def single_chart(rng: random.Random, style: random.Random, *, values: float = 0.6) -> Chart:
    """A chart of one series with three to eight categories that our renderer can draw.

    Args:
        rng: Where data come from.
        style: Where the look comes from.
        values: Probability that values are printed.

    Raises:
        Reject: None of twenty would do.
    """
    for _ in range(20):
        try:
            chart = draw_chart(rng, style, ONE_SERIES, draw_look(style))
        except Reject:
            continue
        if len(chart.series) != 1 or not 3 <= len(chart.categories) <= 8:
            continue
        chart = replace(chart, subtitle="", note="", has_values=rng.random() < values)
        try:
            draw_with_pillow(chart)
        except Reject:
            continue
        return chart
    raise Reject("no_chart", "twenty charts did not fit")


def chart_picture(chart: Chart) -> tuple[Image.Image, Drawn]:
    """A chart as a picture.

    Raises:
        Reject: Its texts do not fit.
    """
    drawn = draw_with_pillow(chart)
    return Image.open(io.BytesIO(drawn.png)).convert("RGB"), drawn


def as_table(chart: Chart) -> Table:
    """The data of a chart of one series as a table of two columns."""
    head = chart.y_label or chart.measure
    cells = [Cell(text=chart.x_label or chart.category_noun.capitalize(), row=0, column=0,
                  role="head"), Cell(text=head, row=0, column=1, role="head")]  # fmt: skip
    rows = []
    for k, (label, value) in enumerate(
        zip(chart.categories, chart.series[0].values, strict=True), 1
    ):
        text = f"{value:,.{chart.decimals}f}"
        cells.append(Cell(text=label, row=k, column=0, role="stub"))
        cells.append(Cell(text=text, row=k, column=1, value=value))
        rows.append(Row(label=label))
    column = Column(path=(head,), kind="decimal", unit=chart.unit, decimals=chart.decimals)
    return Table(
        cells=tuple(cells), height=len(rows) + 1, width=2, head=1, stub=1, columns=(column,),
        rows=tuple(rows), title=chart.title, corner=chart.category_noun.capitalize(),
    )  # fmt: skip


@dataclass(frozen=True)
class Album:
    """Several pictures with questions about them.

    Attributes:
        kind: What sort of group it is.
        images: In the order shown.
        tasks: About all of them; media are filled in by the generator.
        gt: What is in them.
        level: Difficulty, 0 to 4.
    """

    kind: str
    images: tuple[Image.Image, ...]
    tasks: tuple[Task, ...]
    gt: Mapping[str, Any]
    level: int


def ask(
    kind: str,
    rng: random.Random,
    text: str,
    answer: Answer,
    verifier: str,
    form: str,
    trace: str | None,
    /,
    **slots: object,
) -> Task:
    """A question about the pictures of an album.

    Args:
        kind: Of wording.
        rng: Where its choice comes from.
        text, answer, verifier: The answer.
        form: Note on its form, "" for none; see `asking.noted`.
        trace: How it is found.
        slots: Of the wording.
    """
    question, template = worded(BANK, kind, rng, **slots)
    if form:
        question = noted(question, form, rng)
    return Task(
        task=f"album_{kind.replace('-', '_')}", question=question, answer_text=text,
        answer=answer, verifier=verifier, trace=trace, template=f"album/{template}",
    )  # fmt: skip


def ask_number(
    kind: str, rng: random.Random, value: int, trace: str | None, /, **slots: object
) -> Task:
    """A question whose answer is a whole number."""
    answer = Answer(type="number", value=value)
    return ask(kind, rng, str(value), answer, "number", "number", trace, **slots)


def ask_yes(
    kind: str, rng: random.Random, value: bool, trace: str | None, /, **slots: object
) -> Task:
    """A question whose answer is yes or no."""
    answer = Answer(type="bool", value=value)
    text = "Yes" if value else "No"
    return ask(kind, rng, text, answer, "exact_ci", "yesno", trace, **slots)
