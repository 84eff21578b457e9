"""A question about a table before it is worded, and the table as a questioner sees it.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import isclose

from nanovl.synth.asking import number_text
from nanovl.synth.base import Answer
from nanovl.synth.tables.grid import Cell, Column, Table
from nanovl.synth.tables.render import Rendered

__all__ = ["View", "close", "named", "number_of", "operand", "says"]


@dataclass
class View:
    """A table as a questioner sees it.

    Attributes:
        table, rendered: What is asked about, and where its cells are.
        rng: Where choices come from.
        data: Data rows.
        numeric, plain: Columns with numbers; those of them without a total.
        places: (row, column) -> number of the cell.
    """

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
        """A cell of the body."""
        return self.table.body(row, column)

    def row(self, row: int) -> str:
        """What a row is called."""
        return self.table.rows[row].label

    def column(self, column: int) -> str:
        """What a column is called in a question."""
        return named(self.table.columns[column])

    @property
    def corner(self) -> str:
        """What rows are rows of."""
        return self.table.corner.lower()


def named(column: Column) -> str:
    """A column in a question: `"Price"`, or `"Price" (2020)` under a group."""
    if len(column.path) == 1:
        return f'"{column.path[0]}"'
    return f'"{column.path[-1]}" ({column.path[0]})'


def close(a: float, b: float) -> bool:
    """Whether two values are the same but for rounding."""
    return isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def number_of(value: float, column: Column, tolerance: float | None = None) -> tuple[str, Answer]:
    """A value of a column as answer text and checkable answer."""
    text = number_text(value, column.decimals)
    unit = "%" if column.kind == "percent" else column.unit or None
    return text, Answer(type="number", value=float(text), unit=unit, tolerance=tolerance)


def says(v: View, row: int, column: int) -> str:
    """What a cell holds, in words."""
    return f"{v.row(row)} has {v.cell(row, column).text}"


def operand(value: float, column: Column) -> str:
    """A value in a sum, in brackets when it is negative."""
    text = number_text(value, column.decimals)
    return f"({text})" if value < 0 else text
