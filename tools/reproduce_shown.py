"""Cells as they are shown: numbers with intervals, tables of scores side by side, curves.

What every experiment's tables share; the tables themselves are in `reproduce_tables` and
`reproduce_stages`. Reads results and nothing else.

Source: evaluation specification, section 11.2 (statistics of a report).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nanovl.evals.mini_suite import TASKS
from nanovl.evals.tables import Cell as TableCell, Table
from tools.reproduce_cells import Cell, Number, Results
from tools.reproduce_figures import Curve

__all__ = [
    "TITLES",
    "Shown",
    "curve",
    "in_order",
    "named",
    "number_at",
    "side_by_side",
    "with_ends",
]

TITLES = {task.id: task.title for task in TASKS}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An experiment on the page.

    Attributes:
        tables: Its numbers.
        figure: SVG, or "".
    """

    tables: Sequence[Table]
    figure: str = ""


def with_ends(number: Number | None, digits: int = 1, sign: bool = False) -> TableCell:
    """ "31.2 (25.1 to 38.0)": a number with its interval."""
    if number is None:
        return None

    def plain(value: float) -> str:
        rounded = round(value, digits) + 0.0  # no "-0.0"
        return f"{rounded:+,.{digits}f}" if sign else f"{rounded:,.{digits}f}"

    if number.low is None or number.high is None:
        return plain(number.value)
    return f"{plain(number.value)} ({plain(number.low)} to {plain(number.high)})"


def named(row: str, cell: Cell | None) -> str:
    """What a task measures, for people; errors are marked."""
    error = cell is not None and cell.notes.get("error")
    return TITLES.get(row, row) + (", error \u2193" if error else "")


def number_at(cell: Cell | None, name: str = "score") -> Number | None:
    """A number of a cell, where both are there."""
    return None if cell is None else cell.numbers.get(name)


def _count(cells: Sequence[Cell | None]) -> int | None:
    known = [c.numbers["score"].n for c in cells if c is not None and "score" in c.numbers]
    return max(known, default=None)


def in_order(known: Sequence[str], order: Sequence[str]) -> list[str]:
    """Names in their usual order, others behind."""
    return [n for n in order if n in known] + [n for n in known if n not in order]


def curve(results: Results, row: str, columns: Sequence[str], name: str = "score") -> Curve:
    """A row of the results as a line with whiskers."""
    cells = [results.cell(row, column) for column in columns]
    numbers = [number_at(cell, name) for cell in cells]
    return Curve(
        name=TITLES.get(row, row),
        values=[None if n is None else n.value for n in numbers],
        ends=[
            None if n is None or n.low is None or n.high is None else (n.low, n.high)
            for n in numbers
        ],
    )


def side_by_side(
    results: Results,
    title: str,
    columns: Sequence[str],
    heads: Sequence[str],
    *,
    notes: Sequence[str] = (),
    only: Callable[[Cell], bool] = lambda cell: True,
) -> list[Table]:
    """Scores by column with their average, and below them the differences on the same questions.

    Args:
        results: Cells of tasks; others are passed over.
        title: Of the table.
        columns: Of the results.
        heads: Their names for people.
        notes: Below the table.
        only: Which rows, by a cell of theirs.
    """
    rows: list[list[TableCell]] = []
    differences: list[list[TableCell]] = []
    averaged: list[list[float]] = []
    for row in in_order([r for r in results.rows if r in TITLES], [t.id for t in TASKS]):
        cells = [results.cell(row, column) for column in columns]
        first = next((c for c in cells if c is not None), None)
        if first is None or not only(first):
            continue
        name = named(row, first)
        rows.append([name, _count(cells), *(with_ends(number_at(cell)) for cell in cells)])
        scores = [found.value for found in map(number_at, cells) if found is not None]
        if len(scores) == len(columns) and not first.notes.get("error"):
            averaged.append(scores)
        own = [with_ends(number_at(cell, "gain"), sign=True) for cell in cells]
        if any(own):
            differences.append([TITLES.get(row, row), *own])
    if len(averaged) > 1:
        means = [statistics.fmean(values) for values in zip(*averaged, strict=True)]
        rows.append(["average, errors left out", None, *means])
    tables = [
        Table(title=title, columns=("task", "questions", *heads), rows=rows, notes=notes)
    ] if rows else []  # fmt: skip
    if differences:
        tables.append(
            Table(
                title=f"{title}: differences",
                columns=("task", *heads),
                rows=differences,
                notes=(
                    "Points on the same questions, with the 95 % interval of the paired "
                    "difference; more is better, for errors too.",
                ),
            )
        )
    return tables
