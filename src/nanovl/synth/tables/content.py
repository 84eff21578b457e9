"""Random tables whose derived columns and totals add up.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from nanovl.synth.base import Reject
from nanovl.synth.tables.grid import Cell, Column, Row, Table
from nanovl.synth.tables.vocabulary import QUARTERS, SUBJECTS, Measure, Subject

__all__ = ["Plan", "build", "draw_plan", "shown"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a table is going to be.

    Attributes:
        subject: What it is about.
        rows: Data rows, 2 to 40.
        groups: Column groups, 0 for a single header row; else each group repeats the measures.
        measures: Columns in a group, or in all.
        sections: "none", "rows" (titles over rows) or "stub" (a spanning row header).
        derived: "", "sum", "difference" or "growth": one more column made of others.
        has_total: Whether a row of sums ends the table.
        empty: Share of data cells that are empty or a dash.
        merged: Number of data cells merged over columns.
        is_plain: ASCII only.
        currency: Sign before money.
        negative: "minus" or "parentheses".
    """

    subject: Subject
    rows: int
    groups: int = 0
    measures: int = 3
    sections: str = "none"
    derived: str = ""
    has_total: bool = False
    empty: float = 0.0
    merged: int = 0
    is_plain: bool = False
    currency: str = "$"
    negative: str = "minus"


def draw_plan(rng: random.Random, *, is_plain: bool, most_rows: int = 16) -> Plan:
    """A random plan.

    Args:
        rng: Where all choices come from.
        is_plain: Only ASCII characters.
        most_rows: Upper bound of data rows.
    """
    subject = rng.choice(SUBJECTS)
    total = sum(len(names) for _, names in subject.rows)
    rows = rng.randint(2, min(most_rows, total))
    groups = rng.choice((0, 0, 0, 2, 2, 3))
    measures = rng.randint(1, 3) if groups else rng.randint(2, min(6, len(subject.measures)))
    if groups and measures == 1:
        groups = 0
        measures = 3
    sections = rng.choice(("none", "none", "rows", "stub")) if rows >= 4 else "none"
    derived = rng.choice(("", "", "sum", "difference", "growth")) if not groups else ""
    return Plan(
        subject=subject,
        rows=rows,
        groups=groups,
        measures=measures,
        sections=sections,
        derived=derived,
        has_total=rng.random() < 0.3,
        empty=rng.choices((0.0, 0.06, 0.2, 0.5), (7, 2, 1, 0.4))[0],
        merged=1 if rng.random() < 0.1 else 0,
        is_plain=is_plain,
        currency="$" if is_plain else rng.choice(("$", "$", "\u20ac", "\u00a3", "")),
        negative=rng.choice(("minus", "parentheses")),
    )


def shown(value: float, kind: str, decimals: int, plan: Plan, error: float = 0.0) -> str:
    """A number as its cell shows it."""
    body = f"{abs(value):,.{decimals}f}"
    if kind == "money":
        body = plan.currency + body
    if kind == "percent":
        body += "%"
    if kind == "plusminus":
        sign = "+/-" if plan.is_plain else "\u00b1"
        body += f" {sign} {error:.{decimals}f}"
    if value < 0:
        body = f"({body})" if plan.negative == "parentheses" else f"-{body}"
    return body


@dataclass
class _Body:
    """Rows in the making: values by row and column, None where a cell is empty."""

    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    values: list[list[float | None]] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)


def _value(rng: random.Random, m: Measure) -> float:
    is_skewed = m.low >= 0 and m.high > 50 * max(1.0, m.low)
    share = rng.random()
    if is_skewed:
        share *= share
    return round(m.low + share * (m.high - m.low), m.decimals)


def _columns(rng: random.Random, plan: Plan, year: int) -> list[tuple[Column, Measure]]:
    subject = plan.subject
    measures = rng.sample(subject.measures, min(plan.measures, len(subject.measures)))
    measures.sort(key=subject.measures.index)
    if plan.groups:
        names = (
            [str(year - plan.groups + 1 + k) for k in range(plan.groups)]
            if rng.random() < 0.6
            else list(QUARTERS[: plan.groups])
        )
        measures = [m for m in measures if m.kind not in ("text", "date")] or [subject.measures[0]]
        return [(_column(m, (name, _header(m))), m) for name in names for m in measures]
    return [(_column(m, (_header(m),)), m) for m in measures]


def _header(m: Measure) -> str:
    return f"{m.name} ({m.unit})" if m.unit else m.name


def _column(m: Measure, path: tuple[str, ...]) -> Column:
    return Column(
        path=path, kind=m.kind, unit=m.unit, decimals=m.decimals, is_summable=m.is_summable
    )


def _labels(rng: random.Random, plan: Plan) -> list[tuple[str, str]]:
    """(group, label) of the data rows, groups together."""
    pool = [(g, n) for g, names in plan.subject.rows for n in names]
    chosen = rng.sample(pool, plan.rows)
    groups = [g for g, _ in plan.subject.rows]
    chosen.sort(key=lambda pair: groups.index(pair[0]))
    return chosen


def build(plan: Plan, rng: random.Random) -> Table:
    """A table as planned.

    Raises:
        Reject: Its columns do not allow what was planned.
    """
    year = rng.randint(1998, 2031)
    pairs = _columns(rng, plan, year)
    body = _Body(columns=[c for c, _ in pairs])
    for group, label in _labels(rng, plan):
        values: list[float | None] = []
        texts = []
        for column, measure in pairs:
            if measure.kind == "text":
                values.append(None)
                texts.append(rng.choice(measure.choices))
            elif measure.kind == "date":
                values.append(None)
                texts.append(
                    f"{rng.randint(1, 28)} {rng.choice(MONTHS)} "
                    f"{rng.randint(int(measure.low), int(measure.high))}"
                )
            else:
                value = _value(rng, measure)
                error = round(abs(value) * 0.03 + 10**-measure.decimals, measure.decimals)
                values.append(value)
                texts.append(shown(value, column.kind, column.decimals, plan, error))
        if not plan.has_total and not plan.derived:
            for k in range(len(values)):
                if rng.random() < plan.empty:
                    values[k], texts[k] = None, rng.choice(("", "", "-"))
        body.rows.append(Row(label=label, group=group if plan.sections != "none" else ""))
        body.values.append(values)
        body.texts.append(texts)
    if plan.derived:
        _derive(plan, body)
    if plan.has_total:
        _total(plan, body)
    return _laid_out(plan, rng, body, year)


def _derive(plan: Plan, body: _Body) -> None:
    """Add a column made of two or more columns of the same kind and unit."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for k, column in enumerate(body.columns):
        if column.is_summable and column.kind != "percent":
            kinds.setdefault((column.kind, column.unit), []).append(k)
    sets = [v for v in kinds.values() if len(v) >= 2]
    if not sets:
        return
    used = sets[0] if plan.derived == "sum" else sets[0][:2]
    first = body.columns[used[0]]
    names = [body.columns[k].path[-1].split(" (")[0] for k in used]
    decimals = max(body.columns[k].decimals for k in used)
    unit = f" ({first.unit})" if first.unit else ""
    if plan.derived == "sum":
        name = f"Sum{unit}"
    elif plan.derived == "difference":
        name = f"{names[0]} less {names[1]}{unit}"
    else:
        name = f"{names[1]} vs. {names[0]}"
    kind = "percent" if plan.derived == "growth" else first.kind
    column = Column(
        path=(name,), kind=kind, unit="" if kind == "percent" else first.unit,
        decimals=1 if kind == "percent" else decimals, rule=plan.derived,
        is_summable=kind != "percent",
    )  # fmt: skip
    for values, texts in zip(body.values, body.texts, strict=True):
        parts = [values[k] or 0.0 for k in used]
        if plan.derived == "sum":
            value = sum(parts)
        elif plan.derived == "difference":
            value = parts[0] - parts[1]
        elif parts[0] == 0:
            raise Reject("division", "growth from zero")
        else:
            value = 100 * (parts[1] - parts[0]) / parts[0]
        value = round(value, column.decimals)
        values.append(value)
        texts.append(shown(value, kind, column.decimals, plan))
    body.columns.append(column)


def _total(plan: Plan, body: _Body) -> None:
    values: list[float | None] = []
    texts = []
    for k, column in enumerate(body.columns):
        if column.is_summable and column.kind != "plusminus":
            value = round(sum(row[k] or 0.0 for row in body.values), column.decimals)
            values.append(value)
            texts.append(shown(value, column.kind, column.decimals, plan))
        else:
            values.append(None)
            texts.append("")
    if all(v is None for v in values):
        return
    body.rows.append(Row(label="Total", kind="total"))
    body.values.append(values)
    body.texts.append(texts)


def _laid_out(plan: Plan, rng: random.Random, body: _Body, year: int) -> Table:
    stub = 2 if plan.sections == "stub" else 1
    head = len(body.columns[0].path)
    width = stub + len(body.columns)
    cells = _head_cells(plan, body.columns, head, stub)
    rows: list[Row] = []
    at = head
    group = ""
    for row, values, texts in zip(body.rows, body.values, body.texts, strict=True):
        if plan.sections == "rows" and row.group and row.group != group:
            group = row.group
            cells.append(Cell(text=group, row=at, column=0, columns=width, role="section"))
            rows.append(Row(label="", kind="section", group=group))
            at += 1
        if plan.sections == "stub":
            cells += _group_cells(body.rows, row, at, head)
        if plan.sections == "stub" and row.kind == "total":
            cells.append(Cell(text=row.label, row=at, column=0, columns=2, role="stub"))
        else:
            cells.append(Cell(text=row.label, row=at, column=stub - 1, role="stub"))
        for k, (value, text) in enumerate(zip(values, texts, strict=True)):
            cells.append(Cell(text=text, row=at, column=stub + k, value=value))
        rows.append(row)
        at += 1
    is_open = not plan.has_total and not plan.derived
    if plan.merged and len(body.columns) >= 3 and is_open:
        cells = _merged(cells, rng, head, stub, width)
    cells.sort(key=lambda c: (c.row, c.column))
    title = rng.choice(plan.subject.titles).format(year=year)
    return Table(
        cells=tuple(cells), height=at, width=width, head=head, stub=stub,
        columns=tuple(body.columns), rows=tuple(rows), title=title, corner=plan.subject.corner,
    )  # fmt: skip


def _head_cells(plan: Plan, columns: list[Column], head: int, stub: int) -> list[Cell]:
    cells = []
    corner = plan.subject.corner
    if stub == 2:
        cells.append(Cell(text="Group", row=0, column=0, rows=head, role="head"))
    cells.append(Cell(text=corner, row=0, column=stub - 1, rows=head, role="head"))
    if head == 1:
        cells += [
            Cell(text=c.path[0], row=0, column=stub + k, role="head") for k, c in enumerate(columns)
        ]
        return cells
    start = 0
    for k, column in enumerate(columns):
        cells.append(Cell(text=column.path[1], row=1, column=stub + k, role="head"))
        if k + 1 == len(columns) or columns[k + 1].path[0] != column.path[0]:
            cells.append(
                Cell(text=column.path[0], row=0, column=stub + start, columns=k + 1 - start,
                     role="head")
            )  # fmt: skip
            start = k + 1
    return cells


def _group_cells(rows: list[Row], row: Row, at: int, head: int) -> list[Cell]:
    """The spanning row header, where a group starts."""
    index = at - head
    if row.kind == "total" or (index and rows[index - 1].group == row.group):
        return []
    count = sum(r.group == row.group and r.kind == "data" for r in rows)
    return [Cell(text=row.group, row=at, column=0, rows=count, role="stub")]


def _merged(cells: list[Cell], rng: random.Random, head: int, stub: int, width: int) -> list[Cell]:
    """Two neighbouring data cells become one without a value."""
    rows = sorted({c.row for c in cells if c.row >= head and c.role == "data"})
    row, column = rng.choice(rows), rng.randrange(stub, width - 1)
    kept = [
        c for c in cells if c.row != row or c.column not in (column, column + 1) or c.role != "data"
    ]
    text = rng.choice(("not reported", "see note", "n/a"))
    return [*kept, replace(Cell(text=text, row=row, column=column), columns=2)]
