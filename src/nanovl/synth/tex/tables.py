"""Tables: one grid from the rows and cells TeX built, and its LaTeX, HTML, OTSL and Markdown.

Spans come from the null boxes TeX leaves behind a \\multicolumn and from the recorded \\multirow
counts. A grid whose rows disagree is not guessed at: it says so in `problem`.

Source: data synthesis specification, section 3.11; OTSL tokens as in section 6.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.tex.events import Item, RawPage, Recording, Row
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import markdown_of, plain_of

__all__ = ["Grid", "GridCell", "build_grid"]


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
        problem: Why the grid is not ground truth; "" when it is.
    """

    num_rows: int
    num_columns: int
    cells: list[GridCell] = field(default_factory=list)
    aligns: list[str] = field(default_factory=list)
    rules: set[int] = field(default_factory=set)
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


def build_grid(
    table: int, items: Sequence[Item], raw: RawPage, recording: Recording, converter: Converter
) -> Grid | None:
    """The grid of a table on a page; None when it has no rows."""
    rows = [
        row for row in sorted(raw.rows.values(), key=lambda r: r.number)
        if row.table == table and not _is_nested(row, raw, table)
    ]  # fmt: skip
    content, rules = _content(items, raw, rows)
    kept: list[Row] = []
    grid = Grid(0, 0)
    left = min((r.box[0] for r in rows), default=0.0)
    right = max((r.box[2] for r in rows), default=0.0)
    for row in rows:
        has_text = any(content.get(c.number) for c in row.cells)
        all_null = all(c.is_null or not content.get(c.number) for c in row.cells)
        is_rule_row = not has_text and all_null and row.box[3] - row.box[1] < 3.0
        if not is_rule_row and row.cells and not (row.box[3] - row.box[1] < 0.5 and not has_text):
            kept.append(row)
    while kept and not any(content.get(c.number) for c in kept[-1].cells):
        kept.pop()
    while kept and not any(content.get(c.number) for c in kept[0].cells):
        kept.pop(0)  # a caption in the table
    if not kept:
        return None
    widths = {len(r.cells) for r in kept}
    grid.num_rows, grid.num_columns = len(kept), max(widths)
    taken: dict[tuple[int, int], GridCell] = {}
    for r, row in enumerate(kept):
        c = 0
        while c < len(row.cells):
            cell = row.cells[c]
            span = 1
            while c + span < len(row.cells) and row.cells[c + span].is_null:
                span += 1
            inside = content.get(cell.number, [])
            box = cell.box
            for follower in row.cells[c + 1 : c + span]:
                box = (box[0], box[1], max(box[2], follower.box[2]), box[3])
            made = _cell(r, c, span, cell.align, box, inside, converter)
            made.rows = _span(inside, recording)
            taken[r, c] = made
            c += span
    if min(widths) != max(widths):
        _pad(grid, kept, taken)
    grid.cells = _apply_multirow(grid, taken)
    for y, x0, x1 in rules:
        if x1 - x0 > 0.9 * (right - left):
            above = sum(r.box[3] - 1.5 <= y + 1.5 and (r.box[1] + r.box[3]) / 2 < y for r in kept)
            grid.rules.add(above)
    grid.aligns = [_column_align(grid, c) for c in range(grid.num_columns)]
    _mark_header(grid)
    return grid


def _is_nested(row: Row, raw: RawPage, table: int) -> bool:
    outer = raw.rows.get(row.outer_row)
    return outer is not None and outer.table == table


def _content(
    items: Sequence[Item], raw: RawPage, rows: Sequence[Row]
) -> tuple[dict[int, list[Item]], list[tuple[float, float, float]]]:
    """Cell number -> its pieces (nested tables inside), and horizontal rules (y, x0, x1)."""
    top = {c.number for r in rows for c in r.cells}
    content: dict[int, list[Item]] = defaultdict(list)
    rules: list[tuple[float, float, float]] = []
    outer_cell = {r.number: r.outer_cell for r in raw.rows.values()}
    row_of = {c.number: r.number for r in raw.rows.values() for c in r.cells}
    for item in items:
        if item.kind == "rule":
            if item.box[3] - item.box[1] < 2.0 and item.box[2] - item.box[0] > 3.0:
                rules.append((item.box[3], item.box[0], item.box[2]))
            if not item.state.math:
                continue
        cell = item.state.cell
        depth = 0
        while cell and cell not in top and depth < 8:
            cell = outer_cell.get(row_of.get(cell, 0), 0)
            depth += 1
        if cell in top and item.kind in ("glyph", "space", "image", "picture"):
            content[cell].append(item)
    for cell in [c for c, inside in content.items() if all(i.kind == "space" for i in inside)]:
        del content[cell]
    return content, _long_rules(rules)


def _long_rules(rules: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Rules drawn in pieces (one per column) joined where they touch."""
    out: list[tuple[float, float, float]] = []
    for y, x0, x1 in sorted(rules):
        if out and abs(out[-1][0] - y) < 0.3 and x0 - out[-1][2] < 1.0:
            out[-1] = (out[-1][0], out[-1][1], max(out[-1][2], x1))
        else:
            out.append((y, x0, x1))
    return out


def _cell(
    row: int, column: int, span: int, align: str, box: tuple[float, float, float, float],
    inside: list[Item], converter: Converter,
) -> GridCell:  # fmt: skip
    shown = [i for i in inside if i.kind != "space"]
    text_box = None
    if shown:
        text_box = (
            min(i.box[0] for i in shown), min(i.box[1] for i in shown),
            max(i.box[2] for i in shown), max(i.box[3] for i in shown),
        )  # fmt: skip
    markup = _latex_of(markdown_of(inside, converter, styled=False))
    if any(i.kind in ("image", "picture") for i in shown) and not markup:
        markup = "<graphics>"
    return GridCell(row, column, 1, span, plain_of(inside), markup, False, align, box, text_box)


def _latex_of(text: str) -> str:
    """Markdown of a cell as LaTeX text: maths stays, special characters are escaped."""
    parts = re.split(r"(\\\(.*?\\\)|</?su[bp]>)", text)
    out = []
    for part in parts:
        if part.startswith("\\(") or re.fullmatch(r"</?su[bp]>", part):
            part = {"<sup>": "\\textsuperscript{", "<sub>": "\\textsubscript{",
                    "</sup>": "}", "</sub>": "}"}.get(part, part)  # fmt: skip
            out.append(part)
        else:
            part = re.sub(r"\\([*_`~#>+\-<])", r"\1", part)
            out.append(re.sub(r"([#$%&_])", r"\\\1", part))
    return "".join(out)


def _span(inside: Sequence[Item], recording: Recording) -> int:
    for item in inside:
        count = recording.multirows.get(item.state.inst)
        if count is not None and item.kind != "space":
            return count
    return 1


def _pad(grid: Grid, rows: Sequence[Row], taken: dict[tuple[int, int], GridCell]) -> None:
    """Rows TeX ended early are empty to the right; rows that line up otherwise are a problem."""
    for r, row in enumerate(rows):
        for c in range(len(row.cells), grid.num_columns):
            box = (row.box[2], row.box[1], row.box[2], row.box[3])
            taken[r, c] = GridCell(r, c, 1, 1, "", "", False, "l", box, None)


def _apply_multirow(grid: Grid, taken: dict[tuple[int, int], GridCell]) -> list[GridCell]:
    gone: set[tuple[int, int]] = set()
    for (r, c), cell in sorted(taken.items()):
        count = cell.rows
        if abs(count) < 2:
            cell.rows = 1
            continue
        first = r if count > 0 else r + count + 1
        last = min(first + abs(count), grid.num_rows)
        first = max(first, 0)
        members = [(k, c) for k in range(first, last) if k != r]
        empty = [
            m
            for m in members
            if m in taken and not taken[m].text and taken[m].columns == cell.columns
        ]
        if len(empty) != len(members):
            grid.problem = f"a \\multirow of {abs(count)} rows covers cells that are not empty"
            cell.rows = 1
            continue
        gone.update(empty)
        box = cell.box
        for member in empty:
            other = taken[member].box
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]),
                   max(box[3], other[3]))  # fmt: skip
        cell.box, cell.row, cell.rows = box, first, last - first
    cells = [cell for key, cell in taken.items() if key not in gone]
    return sorted(cells, key=lambda cell: (cell.row, cell.column))


def _column_align(grid: Grid, column: int) -> str:
    votes = [c.align for c in grid.cells if c.column == column and c.columns == 1 and c.text]
    return max(sorted(set(votes)), key=votes.count) if votes else "c"


def _mark_header(grid: Grid) -> None:
    """Rows above the first inner rule are the header."""
    inner = sorted(r for r in grid.rules if 0 < r < grid.num_rows)
    if inner and inner[0] <= max(3, grid.num_rows // 3):
        grid.header_rows = inner[0]
    for cell in grid.cells:
        cell.is_header = cell.row + cell.rows <= grid.header_rows
