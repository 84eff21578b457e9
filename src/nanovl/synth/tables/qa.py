"""Questions about a table with answers computed from its cells.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isclose

from nanovl.data.convert.templates import box as box_tag, scale_box
from nanovl.synth.asking import (
    balanced,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    number_text,
    worded,
)
from nanovl.synth.base import Answer, Task
from nanovl.synth.tables.forms import FORM_NAMES, forms_of, records, write
from nanovl.synth.tables.grid import Cell, Column, Table
from nanovl.synth.tables.phrases import BANK
from nanovl.synth.tables.render import Rendered

__all__ = ["MAKERS", "MISSING", "questions", "transcriptions"]

MISSING = "not given"


@dataclass(frozen=True)
class _Draft:
    kind: str
    text: str
    answer: Answer
    verifier: str
    form: str
    trace: str
    slots: tuple[tuple[str, object], ...]
    others: tuple[str, ...] = ()  # wrong answers of the same sort, for multiple choice


@dataclass
class _View:
    """A table as a questioner sees it."""

    table: Table
    rendered: Rendered
    rng: random.Random

    def __post_init__(self) -> None:
        self.data = [k for k, r in enumerate(self.table.rows) if r.kind == "data"]
        self.numeric = [
            k for k, c in enumerate(self.table.columns) if c.is_number and len(self.values(k)) >= 2
        ]
        totals = [k for k, r in enumerate(self.table.rows) if r.kind == "total"]
        # Columns without a total, whose extremes are those of the data rows.
        self.plain = [
            c for c in self.numeric if all(self.table.body(r, c).value is None for r in totals)
        ]
        self.places = {(c.row, c.column): k for k, c in enumerate(self.table.cells)}

    def values(self, column: int) -> list[tuple[int, float]]:
        """(row, value) of all data rows that have one."""
        found = []
        for r in self.data:
            value = self.table.body(r, column).value
            if value is not None:
                found.append((r, value))
        return found

    def cell(self, row: int, column: int) -> Cell:
        return self.table.body(row, column)

    def row(self, row: int) -> str:
        return self.table.rows[row].label

    def column(self, column: int) -> str:
        return named(self.table.columns[column])

    @property
    def corner(self) -> str:
        return self.table.corner.lower()


def named(column: Column) -> str:
    """A column in a question: `"Price"`, or `"Price" (2020)` under a group."""
    if len(column.path) == 1:
        return f'"{column.path[0]}"'
    return f'"{column.path[-1]}" ({column.path[0]})'


def _close(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def _number(value: float, column: Column, tolerance: float | None = None) -> tuple[str, Answer]:
    text = number_text(value, column.decimals)
    unit = "%" if column.kind == "percent" else column.unit or None
    return text, Answer(type="number", value=float(text), unit=unit, tolerance=tolerance)


def _says(v: _View, row: int, column: int) -> str:
    return f"{v.row(row)} has {v.cell(row, column).text}"


def _lookup(v: _View) -> Iterator[_Draft]:
    for c, column in enumerate(v.table.columns):
        for r in v.rng.sample(v.data, min(3, len(v.data))):
            cell = v.cell(r, c)
            if not cell.text or cell.text == "-" or cell.columns > 1:
                continue
            others = tuple(v.cell(k, c).text for k in v.data if v.cell(k, c).text not in ("", "-"))
            answer = Answer(type="text", value=cell.text, boxes=_boxes(v, cell))
            trace = f"I find the row {v.row(r)} and the column {named(column)}: {cell.text}."
            yield _Draft("lookup", cell.text, answer, "exact_ci", "word", trace,
                         (("column", named(column)), ("row", v.row(r))), others)  # fmt: skip


def _boxes(v: _View, cell: Cell) -> tuple[tuple[float, float, float, float], ...]:
    return (v.rendered.of(v.places[cell.row, cell.column]).area,)


def _reverse(v: _View) -> Iterator[_Draft]:
    labels = tuple(v.row(r) for r in v.data)
    for c in range(len(v.table.columns)):
        texts = Counter(v.cell(r, c).text for r in v.data)
        for r in v.data:
            text = v.cell(r, c).text
            if texts[text] != 1 or text in ("", "-") or v.cell(r, c).columns > 1:
                continue
            trace = f"In column {v.column(c)} I look for {text}: it is in the row {v.row(r)}."
            answer = Answer(type="text", value=v.row(r))
            yield _Draft("reverse", v.row(r), answer, "exact_ci", "word", trace,
                         (("corner", v.corner), ("column", v.column(c)), ("value", text)),
                         labels)  # fmt: skip


def _extremes(v: _View) -> Iterator[_Draft]:
    labels = tuple(v.row(r) for r in v.data)
    for c in v.plain:
        ranked = sorted(v.values(c), key=lambda pair: pair[1])
        told = f"The values of {v.column(c)} are "
        told += join_words([f"{v.cell(r, c).text} ({v.row(r)})" for r, _ in v.values(c)])
        for kind, best, second in (("max", -1, -2), ("min", 0, 1)):
            row, value = ranked[best]
            word = "largest" if kind == "max" else "smallest"
            trace = f"{told}. The {word} is {v.cell(row, c).text}, of {v.row(row)}."
            text, answer = _number(value, v.table.columns[c])
            slots = (("corner", v.corner), ("column", v.column(c)))
            yield _Draft(kind, text, answer, "number", "number", trace, slots)
            if not _close(value, ranked[second][1]):
                yield _Draft(f"arg{kind}", v.row(row), Answer(type="text", value=v.row(row)),
                             "exact_ci", "word", trace, slots, labels)  # fmt: skip


def _scope(v: _View) -> str:
    return " (leave the total out)" if any(r.kind == "total" for r in v.table.rows) else ""


def _sums(v: _View) -> Iterator[_Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        found = v.values(c)
        if column.is_summable and len(found) == len(v.data) and len(found) <= 8:
            terms = " + ".join(_operand(x, column) for _, x in found)
            text, answer = _number(sum(x for _, x in found), column)
            yield _Draft("sum-all", text, answer, "number", "number",
                         f"Adding {v.column(c)}: {terms} = {text}.",
                         (("column", v.column(c)), ("scope", _scope(v))))  # fmt: skip
        if column.is_summable and len(found) >= 3:
            some = v.rng.sample(found, v.rng.choice((2, 3) if len(found) > 3 else (2,)))
            text, answer = _number(sum(x for _, x in some), column)
            told = join_words([_says(v, r, c) for r, _ in some])
            terms = " + ".join(_operand(x, column) for _, x in some)
            yield _Draft("sum", text, answer, "number", "number",
                         f"In {v.column(c)}, {told}. {terms} = {text}.",
                         (("column", v.column(c)),
                          ("rows", join_words([v.row(r) for r, _ in some]))))  # fmt: skip
        if len(found) == len(v.data) and len(found) <= 8:
            places = column.decimals + 1
            mean = sum(x for _, x in found) / len(found)
            text = number_text(mean, places)
            terms = " + ".join(_operand(x, column) for _, x in found)
            total = number_text(sum(x for _, x in found), column.decimals)
            answer = Answer(type="number", value=float(text), tolerance=0.005)
            noun = "one decimal" if places == 1 else f"{places} decimals"
            yield _Draft("mean", text, answer, "number", "number",
                         f"{terms} = {total}; {total} / {len(found)} = {text}.",
                         (("column", v.column(c)), ("scope", _scope(v)),
                          ("decimals", noun)))  # fmt: skip


def _operand(value: float, column: Column) -> str:
    text = number_text(value, column.decimals)
    return f"({text})" if value < 0 else text


def _pairs(v: _View) -> Iterator[_Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        pairs = list(combinations(v.values(c), 2))
        for one, two in v.rng.sample(pairs, min(6, len(pairs))):
            if v.rng.random() < 0.5:
                one, two = two, one
            (a, x), (b, y) = one, two
            if _close(x, y):
                continue
            slots = (("column", v.column(c)), ("first", v.row(a)), ("second", v.row(b)))
            told = f"In {v.column(c)}, {_says(v, a, c)} and {_says(v, b, c)}."
            high, low = max(x, y), min(x, y)
            text, answer = _number(high - low, column)
            step = f"{_operand(high, column)} - {_operand(low, column)} = {text}."
            yield _Draft("difference", text, answer, "number", "number", f"{told} {step}", slots)
            sign = "more" if x > y else "less"
            yield _Draft("compare", "Yes" if x > y else "No", Answer(type="bool", value=x > y),
                         "exact_ci", "yesno", f"{told} {v.cell(a, c).text} is {sign} than "
                         f"{v.cell(b, c).text}.", slots)  # fmt: skip
            if x > 0 < y and column.kind != "percent" and 0.2 < x / y < 100:
                text = number_text(x / y, 2)
                answer = Answer(type="number", value=float(text), tolerance=0.01)
                step = f"{_operand(x, column)} / {_operand(y, column)} = {text}."
                yield _Draft("ratio", text, answer, "number", "number", f"{told} {step}", slots)


def _changes(v: _View) -> Iterator[_Draft]:
    columns = v.table.columns
    for a, b in combinations(v.numeric, 2):
        one, two = columns[a], columns[b]
        if len(one.path) < 2 or one.path[-1] != two.path[-1] or one.kind == "percent":
            continue
        for r in v.data:
            x, y = v.cell(r, a).value, v.cell(r, b).value
            if not x or y is None or x < 0:
                continue
            value = 100 * (y - x) / x
            text = number_text(value, 1)
            told = f"{v.row(r)} goes from {v.cell(r, a).text} to {v.cell(r, b).text}."
            step = f"({_operand(y, two)} - {_operand(x, one)}) / {_operand(x, one)} = {text}%."
            answer = Answer(type="number", value=float(text), unit="%", tolerance=0.02)
            slots = (("row", v.row(r)), ("first", named(one)), ("second", named(two)))
            yield _Draft("change", text, answer, "number", "number", f"{told} {step}", slots)


def _counts(v: _View) -> Iterator[_Draft]:
    scope = [r for r in v.table.rows if r.kind == "total"]
    for c in v.numeric:
        column = v.table.columns[c]
        found = v.values(c)
        ranked = sorted(x for _, x in found)
        cut = v.rng.randrange(1, len(ranked))
        edge = _between(ranked[cut - 1], ranked[cut])
        if edge is None or scope:
            continue
        for sign, rows in (
            ("above", [r for r, x in found if x > edge]),
            ("below", [r for r, x in found if x < edge]),
        ):
            names = join_words([v.row(r) for r in rows])
            trace = f"{sign.capitalize()} {number_text(edge, 4)} in {v.column(c)}: {names}. "
            trace += f"That makes {len(rows)}."
            yield _Draft("count", str(len(rows)), Answer(type="number", value=len(rows)), "number",
                         "number", trace, (("column", named(column)), ("sign", sign),
                         ("value", number_text(edge, 4)), ("corner", v.corner)))  # fmt: skip


def _between(low: float, high: float) -> float | None:
    """A round number between two values, None when they are equal."""
    if _close(low, high):
        return None
    for digits in range(-6, 5):
        value = round((low + high) / 2, digits)
        if low < value < high:
            return value
    return None


def _tops(v: _View) -> Iterator[_Draft]:
    for c in v.plain:
        ranked = sorted(v.values(c), key=lambda pair: -pair[1])
        count = v.rng.choice((2, 3))
        if len(ranked) <= count or any(
            _close(ranked[k][1], ranked[k + 1][1]) for k in range(count)
        ):
            continue
        names = [v.row(r) for r, _ in ranked[:count]]
        if any("," in name for name in names):
            continue
        told = ", ".join(f"{v.row(r)} {v.cell(r, c).text}" for r, _ in ranked)
        yield _Draft("top", ", ".join(names), Answer(type="list", value=names), "list_ordered",
                     "list", f"Sorted by {v.column(c)}: {told}.",
                     (("count", count), ("column", v.column(c))))  # fmt: skip


def _structure(v: _View) -> Iterator[_Draft]:
    table = v.table
    body = table.height - table.head
    told = f"Below the header there are {body} rows, titles and totals included."
    answer = Answer(type="number", value=body)
    yield _Draft("rows", str(body), answer, "number", "number", told, ())
    yield _Draft("columns", str(table.width), Answer(type="number", value=table.width), "number",
                 "number", f"With {table.stub} for row headers and {len(table.columns)} for data "
                 f"there are {table.width} columns.", ())  # fmt: skip
    for cell in table.cells:
        if cell.role == "head" and cell.columns > 1:
            yield _Draft("span", str(cell.columns), Answer(type="number", value=cell.columns),
                         "number", "number", f"Below {cell.text} stand {cell.columns} columns.",
                         (("name", f'"{cell.text}"'),))  # fmt: skip
    groups = tuple(sorted({r.group for r in table.rows if r.group}))
    for r in v.data:
        group = table.rows[r].group
        if len(groups) > 1:
            told, answer = f"{v.row(r)} stands below {group}.", Answer(type="text", value=group)
            slots = (("row", v.row(r)),)
            yield _Draft("section", group, answer, "exact_ci", "word", told, slots, groups)


def _headers(v: _View) -> Iterator[_Draft]:
    for c, column in enumerate(v.table.columns):
        if len(column.path) > 1:
            continue
        if column.unit:
            yield _Draft("unit", column.unit, Answer(type="text", value=column.unit), "exact_ci",
                         "word", f"The header reads {column.path[0]}.",
                         (("column", f'"{column.path[0].split(" (")[0]}"'),))  # fmt: skip
        for r in v.rng.sample(v.data, min(2, len(v.data))):
            text = v.cell(r, c).text
            same = [k for k in range(len(v.table.columns)) if v.cell(r, k).text == text]
            if text in ("", "-") or len(same) > 1:
                continue
            yield _Draft("header", column.path[0], Answer(type="text", value=column.path[0]),
                         "exact_ci", "word", f"In the row {v.row(r)}, {text} stands below "
                         f"{column.path[0]}.", (("row", v.row(r)), ("value", text)))  # fmt: skip


def _missing(v: _View) -> Iterator[_Draft]:
    """Cells that are empty; the answer says so."""
    for c in range(len(v.table.columns)):
        for r in v.data:
            if v.cell(r, c).text in ("", "-"):
                yield _Draft("missing", MISSING, Answer(type="text", value=MISSING), "exact_ci",
                             "", f"The cell of {v.row(r)} in {v.column(c)} holds no value.",
                             (("row", v.row(r)), ("column", v.column(c))))  # fmt: skip


def _stories(v: _View) -> Iterator[_Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        found = v.values(c)
        if column.path[-1] == "Price":
            row, price = v.rng.choice(found)
            count = v.rng.randint(3, 25)
            text, answer = _number(count * price, column)
            yield _Draft("story", text, answer, "number", "number",
                         f"One costs {v.cell(row, c).text}. {count} x {number_text(price)} = "
                         f"{text}.", (("count", count), ("row", v.row(row)),
                         ("column", v.column(c))))  # fmt: skip
        if column.is_summable and len(found) >= 2:
            (a, x), (b, y) = v.rng.sample(found, 2)
            if x + y < 10 or min(x, y) < 0:
                continue
            part = max(1, int((x + y) * v.rng.choice((0.1, 0.25, 0.4))))
            text, answer = _number(x + y - part, column)
            total = number_text(x + y, column.decimals)
            yield _Draft("story-total", text, answer, "number", "number",
                         f"{_operand(x, column)} + {_operand(y, column)} = {total}. "
                         f"{total} - {part} = {text}.",
                         (("first", v.row(a)), ("second", v.row(b)), ("column", v.column(c)),
                          ("part", part)))  # fmt: skip


MAKERS: tuple[Callable[[_View], Iterator[_Draft]], ...] = (
    _lookup,
    _reverse,
    _extremes,
    _sums,
    _pairs,
    _changes,
    _counts,
    _tops,
    _structure,
    _headers,
    _stories,
)
EMPTY_SHARE = 0.05  # of tables with empty cells that get a question without an answer


def questions(
    table: Table, rendered: Rendered, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Questions of different kinds.

    Args:
        table: What is asked about.
        rendered: Where its cells are.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pages shown.
    """
    view = _View(table, rendered, rng)
    makers = list(MAKERS)
    rng.shuffle(makers)
    chosen: list[_Draft] = []
    for maker in makers:
        if len(chosen) == count:
            break
        pool = list(maker(view))
        kinds = sorted({d.kind for d in pool})
        if kinds:
            kind = rng.choice(kinds)
            chosen += balanced(
                [d for d in pool if d.kind == kind], lambda d: d.answer.value, rng, 1
            )
    empty = list(_missing(view))
    if empty and rng.random() < 10 * EMPTY_SHARE:
        chosen.append(rng.choice(empty))
    return [_task(draft, rng, media) for draft in chosen]


def _task(draft: _Draft, rng: random.Random, media: tuple[str, ...]) -> Task:
    question, template = worded(BANK, draft.kind, rng, **dict(draft.slots))
    text, answer, verifier = draft.text, draft.answer, draft.verifier
    trace = draft.trace
    choice = None
    if draft.others and rng.random() < 0.15:
        choice = multiple_choice(question, text, draft.others, rng)
    if choice is not None:
        question, answer = choice
        text, verifier = str(answer.value), "mcq"
        trace += f" That is option {text}."
    elif draft.kind == "missing":
        question += f' Say "{MISSING}" if the table does not tell.'
    elif draft.form:
        question = noted(question, draft.form, rng)
    return Task(
        task=f"table_{draft.kind.replace('-', '_')}",
        question=question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=media,
        template=f"tables/{template}",
    )


def transcriptions(
    table: Table,
    rendered: Rendered,
    rng: random.Random,
    count: int,
    media: tuple[str, ...],
    forms: Sequence[str],
) -> list[Task]:
    """The table as text, and where cells are.

    Args:
        table: What is asked about.
        rendered: Where its cells are.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pages shown.
        forms: Allowed forms.
    """
    possible = [f for f in forms_of(table) if f in forms]
    tasks = []
    for form in rng.sample(possible, min(count, len(possible))):
        text = write(table, form)
        question, template = worded(BANK, "write", rng, form=FORM_NAMES[form])
        if len(media) > 1:
            question += " It goes on over several pictures: write one table."
        if form == "json":
            question += " Use a list of objects, one per row, keyed by header, all values as text."
            if table.head > 1:
                question += ' Join the levels of a header by " / ".'
            answer, verifier = Answer(type="json", value=records(table)), "json_equal"
        elif form == "csv":
            answer, verifier = Answer(type="text", value=text), "edit_distance"
        else:
            answer, verifier = Answer(type="markup", value={"form": form, "text": text}), "teds"
        tasks.append(
            Task(
                task=f"table_to_{form}",
                question=question,
                answer_text=text,
                answer=answer,
                verifier=verifier,
                media=media,
                template=f"tables/{template}",
            )
        )
    if len(rendered.pages) == 1:
        tasks.append(_cell_task(table, rendered, rng, media))
        caption = rendered.pages[0].caption
        if caption and rng.random() < 0.2:
            question, template = worded(BANK, "title", rng)
            answer = Answer(type="text", value=caption[1], boxes=(caption[0],))
            tasks.append(
                Task(
                    task="table_caption",
                    question=question,
                    answer_text=caption[1],
                    answer=answer,
                    verifier="anls",
                    media=media,
                    template=f"tables/{template}",
                )
            )
    return tasks


def _cell_task(
    table: Table, rendered: Rendered, rng: random.Random, media: tuple[str, ...]
) -> Task:
    width, height = rendered.pages[0].image.size
    rows = [k for k, r in enumerate(table.rows) if r.kind == "data"]
    row, column = rng.choice(rows), rng.randrange(len(table.columns))
    cell = table.body(row, column)
    index = table.cells.index(cell)
    area = rendered.of(index).area
    name = named(table.columns[column])
    if cell.text and rng.random() < 0.4:
        tag = box_tag(scale_box(area, width, height))
        question, template = worded(BANK, "at-box", rng, box=tag)
        answer = Answer(type="text", value=cell.text, boxes=(area,))
        return Task(
            task="table_at_box", question=question, answer_text=cell.text, answer=answer,
            verifier="exact_ci", media=media, template=f"tables/{template}",
        )  # fmt: skip
    label = table.rows[row].label
    question, template = worded(BANK, "box", rng, column=name, row=label)
    text, answer = box_answer(f"{label}, {table.columns[column].path[-1]}", [area], width, height)
    return Task(
        task="table_box", question=question, answer_text=text, answer=answer, verifier="iou",
        media=media, template=f"tables/{template}",
    )  # fmt: skip
