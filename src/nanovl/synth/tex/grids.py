"""The grid of a table, and its LaTeX, HTML, OTSL and Markdown.

All four are written from the same cells. Must not read recordings (`tables` does).

Source: data synthesis specification, section 3.11; OTSL tokens as in section 6.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Grid", "GridCell"]


@dataclass(slots=True)
class GridCell:
    """A cell of a grid; box in page points, None for an empty cell."""

    row: int
    column: int
    rows: int
    columns: int
    text: str
    markup: str
    is_header: bool
    align: str
    box: tuple[float, float, float, float]
    text_box: tuple[float, float, float, float] | None


@dataclass(slots=True)
class Grid:
    """A table.

    Attributes:
        cells: In reading order.
        rules: Rows under which a rule over the whole width is drawn; 0 is the top.
        partial_rules: Of shorter rules: rows above, first and last column. The written forms
            leave them out, as HTML and OTSL cannot say them.
        problem: Why the grid is not ground truth; "" when it is.
    """

    num_rows: int
    num_columns: int
    cells: list[GridCell] = field(default_factory=list)
    aligns: list[str] = field(default_factory=list)
    rules: set[int] = field(default_factory=set)
    partial_rules: list[tuple[int, int, int]] = field(default_factory=list)
    header_rows: int = 0
    problem: str = ""

    def _slots(self) -> list[list[GridCell | None]]:
        slots: list[list[GridCell | None]] = [
            [None] * self.num_columns for _ in range(self.num_rows)
        ]
        for cell in self.cells:
            for r in range(cell.row, cell.row + cell.rows):
                for c in range(cell.column, cell.column + cell.columns):
                    slots[r][c] = cell
        return slots

    def latex(self) -> str:
        """As a tabular."""
        slots = self._slots()
        lines = ["\\begin{tabular}{" + "".join(self.aligns) + "}"]
        if 0 in self.rules:
            lines.append("\\hline")
        for r, row in enumerate(slots):
            parts = []
            c = 0
            while c < self.num_columns:
                cell = row[c]
                if cell is None:
                    parts.append("")
                    c += 1
                    continue
                body = cell.markup if cell.row == r else ""
                if cell.row == r and cell.rows > 1:
                    body = f"\\multirow{{{cell.rows}}}{{*}}{{{body}}}"
                if cell.columns > 1:
                    body = f"\\multicolumn{{{cell.columns}}}{{{cell.align}}}{{{body}}}"
                parts.append(body)
                c += cell.columns
            lines.append(" & ".join(parts) + " \\\\")
            if r + 1 in self.rules:
                lines.append("\\hline")
        lines.append("\\end{tabular}")
        return "\n".join(lines)

    def html(self) -> str:
        """As an HTML table."""
        out = ["<table>"]
        by_row: dict[int, list[GridCell]] = defaultdict(list)
        for cell in self.cells:
            by_row[cell.row].append(cell)
        for r in range(self.num_rows):
            parts = []
            for cell in by_row[r]:
                tag = "th" if cell.is_header else "td"
                spans = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
                spans += f' colspan="{cell.columns}"' if cell.columns > 1 else ""
                parts.append(f"<{tag}{spans}>{html.escape(_unmarked(cell.markup))}</{tag}>")
            out.append("<tr>" + "".join(parts) + "</tr>")
        out.append("</table>")
        return "".join(out)

    def otsl(self) -> str:
        """As OTSL: fcel and ecel, lcel and ucel for spans, xcel where both meet, nl."""
        out = []
        for r, row in enumerate(self._slots()):
            for c, cell in enumerate(row):
                if cell is None:
                    out.append("<ecel>")
                elif (cell.row, cell.column) == (r, c):
                    tag = "<ched>" if cell.is_header else "<fcel>"
                    out.append(f"{tag}{_unmarked(cell.markup)}" if cell.text else "<ecel>")
                elif cell.row == r:
                    out.append("<lcel>")
                elif cell.column == c:
                    out.append("<ucel>")
                else:
                    out.append("<xcel>")
            out.append("<nl>")
        return "".join(out)

    def markdown(self) -> str:
        """As a Markdown table; "" when a cell spans or breaks lines."""
        if any(c.rows > 1 or c.columns > 1 or "\n" in c.markup for c in self.cells):
            return ""
        lines = []
        for r, row in enumerate(self._slots()):
            parts = [_unmarked(c.markup).replace("|", "\\|") if c is not None else "" for c in row]
            lines.append("| " + " | ".join(parts) + " |")
            if r == 0:
                lines.append("|" + "|".join(" --- " for _ in row) + "|")
        return "\n".join(lines)

    def text(self) -> str:
        """Cells separated by tabs, rows by line ends."""
        return "\n".join(
            "\t".join(c.text if c is not None and (c.row, c.column) == (r, k) else ""
                      for k, c in enumerate(row))
            for r, row in enumerate(self._slots())
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The cells as plain data, boxes in page points."""
        return {
            "rows": self.num_rows,
            "columns": self.num_columns,
            "header_rows": self.header_rows,
            "partial_rules": [list(rule) for rule in sorted(set(self.partial_rules))],
            "cells": [
                {
                    "r": c.row, "c": c.column, "rowspan": c.rows, "colspan": c.columns,
                    "header": c.is_header, "text": c.text, "latex": c.markup,
                    "bbox": list(c.box), "bbox_text": list(c.text_box) if c.text_box else None,
                }
                for c in self.cells
            ],
        }  # fmt: skip


def _unmarked(markup: str) -> str:
    """Cell LaTeX for HTML and Markdown: escapes of text undone, maths kept."""
    parts = re.split(r"(\\\(.*?\\\))", markup)
    return "".join(p if p.startswith("\\(") else re.sub(r"\\([#$%&_{}])", r"\1", p) for p in parts)
