"""A table as cells with places, spans and roles, and the meaning of its columns and rows.

Must not know how a table is drawn or written.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.convert.grids import Cell as GridCell, Grid, Run, place

__all__ = ["Cell", "Column", "Row", "Table"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell.

    Attributes:
        text: What stands in it.
        row, column: Its first place.
        rows, columns: How far it reaches.
        role: "head", "stub" (row header), "section" (title over some rows) or "data".
        value: The number it says, None for text, an empty cell or a dash.
    """

    text: str
    row: int
    column: int
    rows: int = 1
    columns: int = 1
    role: str = "data"
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a column means.

    Attributes:
        path: Header texts from top to bottom, the same for no other column.
        kind: "text", "integer", "decimal", "money", "percent", "date" or "plusminus".
        unit: Of its numbers, "" for none.
        decimals: Of its numbers.
        is_summable: Whether adding its values up makes sense.
        rule: How a derived column is made of others, such as "sum"; "" for a plain one.
    """

    path: tuple[str, ...]
    kind: str
    unit: str = ""
    decimals: int = 0
    is_summable: bool = False
    rule: str = ""

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers."""
        return self.kind not in ("text", "date")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a row of the body means.

    Attributes:
        label: Text of its header, the same for no other row; "" for a section row.
        kind: "data", "section" or "total".
        group: Title of the section or group it is in, "".
    """

    label: str
    kind: str = "data"
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        cells: In order of row and column; together they cover every place once.
        height, width: Places.
        head: Header rows.
        stub: Header columns.
        columns: Of every column after the stub.
        rows: Of every row after the head.
        title: Caption without its number.
        notes: Lines below.
        corner: What the row headers are ("Country").
    """

    cells: tuple[Cell, ...]
    height: int
    width: int
    head: int
    stub: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""
    notes: tuple[str, ...] = ()
    corner: str = ""

    def __post_init__(self) -> None:
        seen: dict[tuple[int, int], Cell] = {}
        for cell in self.cells:
            for r in range(cell.row, cell.row + cell.rows):
                for c in range(cell.column, cell.column + cell.columns):
                    if (r, c) in seen or r >= self.height or c >= self.width:
                        raise InputError(f"table: place ({r}, {c}) is covered twice or outside")
                    seen[r, c] = cell
        if len(seen) != self.height * self.width:
            raise InputError(f"table: {len(seen)} of {self.height * self.width} places are covered")
        object.__setattr__(self, "_owner", seen)

    def at(self, row: int, column: int) -> Cell:
        """The cell that covers a place."""
        owner: dict[tuple[int, int], Cell] = self.__dict__["_owner"]
        if (row, column) not in owner:
            raise InputError(f"table: no place ({row}, {column})")
        return owner[row, column]

    def body(self, row: int, column: int) -> Cell:
        """The cell of a row and a column of the body, counted without headers."""
        return self.at(self.head + row, self.stub + column)

    @property
    def has_spans(self) -> bool:
        """Whether a cell covers more than one place."""
        return any(c.rows * c.columns > 1 for c in self.cells)

    def grid(self) -> Grid:
        """The same as a plain grid."""
        lines: list[list[GridCell]] = [[] for _ in range(self.height)]
        for cell in self.cells:
            runs = (Run(cell.text),) if cell.text else ()
            lines[cell.row].append(
                GridCell(runs, cell.rows, cell.columns, header=cell.role == "head")
            )
        return place(lines, self.head)

    def to_json(self) -> dict[str, Any]:
        """Ground truth without boxes."""
        return {
            "rows": self.height,
            "columns": self.width,
            "head_rows": self.head,
            "stub_columns": self.stub,
            "title": self.title,
            "notes": list(self.notes),
            "column_meaning": [
                {"path": list(c.path), "kind": c.kind, "unit": c.unit, "rule": c.rule}
                for c in self.columns
            ],
            "row_meaning": [
                {"label": r.label, "kind": r.kind, "group": r.group} for r in self.rows
            ],
        }
