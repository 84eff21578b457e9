"""Questions about a table with answers computed from its cells, before they are worded.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations

from nanovl.synth.asking import Draft, join_words, number_text
from nanovl.synth.base import Answer
from nanovl.synth.tables.drafts import View, close, named, number_of, operand, says
from nanovl.synth.tables.grid import Cell

__all__ = ["MAKERS", "MISSING", "missing"]

MISSING = "not given"


def _lookup(v: View) -> Iterator[Draft]:
    for c, column in enumerate(v.table.columns):
        for r in v.rng.sample(v.data, min(3, len(v.data))):
            cell = v.cell(r, c)
            if not cell.text or cell.text == "-" or cell.columns > 1:
                continue
            others = tuple(v.cell(k, c).text for k in v.data if v.cell(k, c).text not in ("", "-"))
            answer = Answer(type="text", value=cell.text, boxes=_boxes(v, cell))
            trace = f"I find the row {v.row(r)} and the column {named(column)}: {cell.text}."
            yield Draft("lookup", cell.text, answer, "exact_ci", "word", trace,
                         (("column", named(column)), ("row", v.row(r))), others)  # fmt: skip


def _boxes(v: View, cell: Cell) -> tuple[tuple[float, float, float, float], ...]:
    return (v.rendered.of(v.places[cell.row, cell.column]).area,)


def _reverse(v: View) -> Iterator[Draft]:
    labels = tuple(v.row(r) for r in v.data)
    for c in range(len(v.table.columns)):
        texts = Counter(v.cell(r, c).text for r in v.data)
        for r in v.data:
            text = v.cell(r, c).text
            if texts[text] != 1 or text in ("", "-") or v.cell(r, c).columns > 1:
                continue
            trace = f"In column {v.column(c)} I look for {text}: it is in the row {v.row(r)}."
            answer = Answer(type="text", value=v.row(r))
            yield Draft("reverse", v.row(r), answer, "exact_ci", "word", trace,
                         (("corner", v.corner), ("column", v.column(c)), ("value", text)),
                         labels)  # fmt: skip


def _extremes(v: View) -> Iterator[Draft]:
    labels = tuple(v.row(r) for r in v.data)
    for c in v.plain:
        ranked = sorted(v.values(c), key=lambda pair: pair[1])
        told = f"The values of {v.column(c)} are "
        told += join_words([f"{v.cell(r, c).text} ({v.row(r)})" for r, _ in v.values(c)])
        for kind, best, second in (("max", -1, -2), ("min", 0, 1)):
            row, value = ranked[best]
            word = "largest" if kind == "max" else "smallest"
            trace = f"{told}. The {word} is {v.cell(row, c).text}, of {v.row(row)}."
            text, answer = number_of(value, v.table.columns[c])
            slots = (("corner", v.corner), ("column", v.column(c)))
            yield Draft(kind, text, answer, "number", "number", trace, slots)
            if not close(value, ranked[second][1]):
                yield Draft(f"arg{kind}", v.row(row), Answer(type="text", value=v.row(row)),
                             "exact_ci", "word", trace, slots, labels)  # fmt: skip


def _scope(v: View) -> str:
    return " (leave the total out)" if any(r.kind == "total" for r in v.table.rows) else ""


def _sums(v: View) -> Iterator[Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        found = v.values(c)
        if column.is_summable and len(found) == len(v.data) and len(found) <= 8:
            terms = " + ".join(operand(x, column) for _, x in found)
            text, answer = number_of(sum(x for _, x in found), column)
            yield Draft("sum-all", text, answer, "number", "number",
                         f"Adding {v.column(c)}: {terms} = {text}.",
                         (("column", v.column(c)), ("scope", _scope(v))))  # fmt: skip
        if column.is_summable and len(found) >= 3:
            some = v.rng.sample(found, v.rng.choice((2, 3) if len(found) > 3 else (2,)))
            text, answer = number_of(sum(x for _, x in some), column)
            told = join_words([says(v, r, c) for r, _ in some])
            terms = " + ".join(operand(x, column) for _, x in some)
            yield Draft("sum", text, answer, "number", "number",
                         f"In {v.column(c)}, {told}. {terms} = {text}.",
                         (("column", v.column(c)),
                          ("rows", join_words([v.row(r) for r, _ in some]))))  # fmt: skip
        if len(found) == len(v.data) and len(found) <= 8:
            places = column.decimals + 1
            mean = sum(x for _, x in found) / len(found)
            text = number_text(mean, places)
            terms = " + ".join(operand(x, column) for _, x in found)
            total = number_text(sum(x for _, x in found), column.decimals)
            answer = Answer(type="number", value=float(text), tolerance=0.005)
            noun = "one decimal" if places == 1 else f"{places} decimals"
            yield Draft("mean", text, answer, "number", "number",
                         f"{terms} = {total}; {total} / {len(found)} = {text}.",
                         (("column", v.column(c)), ("scope", _scope(v)),
                          ("decimals", noun)))  # fmt: skip


def _pairs(v: View) -> Iterator[Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        pairs = list(combinations(v.values(c), 2))
        for one, two in v.rng.sample(pairs, min(6, len(pairs))):
            if v.rng.random() < 0.5:
                one, two = two, one
            (a, x), (b, y) = one, two
            if close(x, y):
                continue
            slots = (("column", v.column(c)), ("first", v.row(a)), ("second", v.row(b)))
            told = f"In {v.column(c)}, {says(v, a, c)} and {says(v, b, c)}."
            high, low = max(x, y), min(x, y)
            text, answer = number_of(high - low, column)
            step = f"{operand(high, column)} - {operand(low, column)} = {text}."
            yield Draft("difference", text, answer, "number", "number", f"{told} {step}", slots)
            sign = "more" if x > y else "less"
            yield Draft("compare", "Yes" if x > y else "No", Answer(type="bool", value=x > y),
                         "exact_ci", "yesno", f"{told} {v.cell(a, c).text} is {sign} than "
                         f"{v.cell(b, c).text}.", slots)  # fmt: skip
            if x > 0 < y and column.kind != "percent" and 0.2 < x / y < 100:
                text = number_text(x / y, 2)
                answer = Answer(type="number", value=float(text), tolerance=0.01)
                step = f"{operand(x, column)} / {operand(y, column)} = {text}."
                yield Draft("ratio", text, answer, "number", "number", f"{told} {step}", slots)


def _changes(v: View) -> Iterator[Draft]:
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
            step = f"({operand(y, two)} - {operand(x, one)}) / {operand(x, one)} = {text}%."
            answer = Answer(type="number", value=float(text), unit="%", tolerance=0.02)
            slots = (("row", v.row(r)), ("first", named(one)), ("second", named(two)))
            yield Draft("change", text, answer, "number", "number", f"{told} {step}", slots)


def _counts(v: View) -> Iterator[Draft]:
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
            yield Draft("count", str(len(rows)), Answer(type="number", value=len(rows)), "number",
                         "number", trace, (("column", named(column)), ("sign", sign),
                         ("value", number_text(edge, 4)), ("corner", v.corner)))  # fmt: skip


def _between(low: float, high: float) -> float | None:
    """A round number between two values, None when they are equal."""
    if close(low, high):
        return None
    for digits in range(-6, 5):
        value = round((low + high) / 2, digits)
        if low < value < high:
            return value
    return None


def _tops(v: View) -> Iterator[Draft]:
    for c in v.plain:
        ranked = sorted(v.values(c), key=lambda pair: -pair[1])
        count = v.rng.choice((2, 3))
        if len(ranked) <= count or any(close(ranked[k][1], ranked[k + 1][1]) for k in range(count)):
            continue
        names = [v.row(r) for r, _ in ranked[:count]]
        if any("," in name for name in names):
            continue
        told = ", ".join(f"{v.row(r)} {v.cell(r, c).text}" for r, _ in ranked)
        yield Draft("top", ", ".join(names), Answer(type="list", value=names), "list_ordered",
                     "list", f"Sorted by {v.column(c)}: {told}.",
                     (("count", count), ("column", v.column(c))))  # fmt: skip


def _structure(v: View) -> Iterator[Draft]:
    table = v.table
    body = table.height - table.head
    told = f"Below the header there are {body} rows, titles and totals included."
    answer = Answer(type="number", value=body)
    yield Draft("rows", str(body), answer, "number", "number", told, ())
    yield Draft("columns", str(table.width), Answer(type="number", value=table.width), "number",
                 "number", f"With {table.stub} for row headers and {len(table.columns)} for data "
                 f"there are {table.width} columns.", ())  # fmt: skip
    for cell in table.cells:
        if cell.role == "head" and cell.columns > 1:
            yield Draft("span", str(cell.columns), Answer(type="number", value=cell.columns),
                         "number", "number", f"Below {cell.text} stand {cell.columns} columns.",
                         (("name", f'"{cell.text}"'),))  # fmt: skip
    groups = tuple(sorted({r.group for r in table.rows if r.group}))
    for r in v.data:
        group = table.rows[r].group
        if len(groups) > 1:
            told, answer = f"{v.row(r)} stands below {group}.", Answer(type="text", value=group)
            slots = (("row", v.row(r)),)
            yield Draft("section", group, answer, "exact_ci", "word", told, slots, groups)


def _headers(v: View) -> Iterator[Draft]:
    for c, column in enumerate(v.table.columns):
        if len(column.path) > 1:
            continue
        if column.unit:
            yield Draft("unit", column.unit, Answer(type="text", value=column.unit), "exact_ci",
                         "word", f"The header reads {column.path[0]}.",
                         (("column", f'"{column.path[0].split(" (")[0]}"'),))  # fmt: skip
        for r in v.rng.sample(v.data, min(2, len(v.data))):
            text = v.cell(r, c).text
            same = [k for k in range(len(v.table.columns)) if v.cell(r, k).text == text]
            if text in ("", "-") or len(same) > 1:
                continue
            yield Draft("header", column.path[0], Answer(type="text", value=column.path[0]),
                         "exact_ci", "word", f"In the row {v.row(r)}, {text} stands below "
                         f"{column.path[0]}.", (("row", v.row(r)), ("value", text)))  # fmt: skip


def missing(v: View) -> Iterator[Draft]:
    """Cells that are empty; the answer says so. Asked for like cells that hold something."""
    for c in range(len(v.table.columns)):
        for r in v.data:
            if v.cell(r, c).text in ("", "-"):
                yield Draft("missing", MISSING, Answer(type="text", value=MISSING), "exact_ci",
                             "", f"The cell of {v.row(r)} in {v.column(c)} holds no value.",
                             (("column", v.column(c)), ("row", v.row(r))))  # fmt: skip


def _stories(v: View) -> Iterator[Draft]:
    for c in v.numeric:
        column = v.table.columns[c]
        found = v.values(c)
        if column.path[-1] == "Price":
            row, price = v.rng.choice(found)
            count = v.rng.randint(3, 25)
            text, answer = number_of(count * price, column)
            yield Draft("story", text, answer, "number", "number",
                         f"One costs {v.cell(row, c).text}. {count} x {number_text(price)} = "
                         f"{text}.", (("count", count), ("row", v.row(row)),
                         ("column", v.column(c))))  # fmt: skip
        if column.is_summable and len(found) >= 2:
            (a, x), (b, y) = v.rng.sample(found, 2)
            if x + y < 10 or min(x, y) < 0:
                continue
            part = max(1, int((x + y) * v.rng.choice((0.1, 0.25, 0.4))))
            text, answer = number_of(x + y - part, column)
            total = number_text(x + y, column.decimals)
            yield Draft("story-total", text, answer, "number", "number",
                         f"{operand(x, column)} + {operand(y, column)} = {total}. "
                         f"{total} - {part} = {text}.",
                         (("first", v.row(a)), ("second", v.row(b)), ("column", v.column(c)),
                          ("part", part)))  # fmt: skip


MAKERS: tuple[Callable[[View], Iterator[Draft]], ...] = (
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
