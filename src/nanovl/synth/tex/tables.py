"""Tables: one grid from the rows and cells TeX built; `grids` writes it.

Spans come from the null boxes TeX leaves behind a \\multicolumn and from the recorded \\multirow
counts. A grid whose rows disagree is not guessed at: it says so in `problem`.

Source: data synthesis specification, section 3.11.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from nanovl.synth.tex.events import Item, RawPage, Recording, Row
from nanovl.synth.tex.grids import Grid, GridCell
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import markdown_of, plain_of

__all__ = ["build_grid"]


def build_grid(
    table: int, items: Sequence[Item], raw: RawPage, recording: Recording, converter: Converter
) -> Grid | None:
    """The grid of a table on a page; None when it has no rows."""
    rows = [
        row for row in sorted(raw.rows.values(), key=lambda r: r.number)
        if row.table == table and not _is_nested(row, raw, table)
    ]  # fmt: skip
    turn = next((i.turn for i in items if i.kind == "glyph"), (1.0, 0.0, 0.0, 1.0))
    content, rules = _content(items, raw, rows, turn)
    kept: list[Row] = []
    grid = Grid(0, 0)
    flat = {r.number: _upright(r.box, turn) for r in rows}
    # Rows of a longtable are as wide as the text; cells are as wide as the table.
    cells = [_upright(c.box, turn) for r in rows for c in r.cells]
    left = min((box[0] for box in cells), default=0.0)
    right = max((box[2] for box in cells), default=0.0)
    for row in rows:
        has_text = any(content.get(c.number) for c in row.cells)
        all_null = all(c.is_null or not content.get(c.number) for c in row.cells)
        height = flat[row.number][3] - flat[row.number][1]
        is_rule_row = not has_text and all_null and height < 3.0
        if not is_rule_row and row.cells and not (height < 0.5 and not has_text):
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
    edges = _column_edges(grid, turn)
    for y, x0, x1 in rules:
        if x1 - x0 > 0.9 * (right - left):
            boxes = [flat[r.number] for r in kept]
            above = sum(b[3] - 1.5 <= y + 1.5 and (b[1] + b[3]) / 2 < y for b in boxes)
            grid.rules.add(above)
        elif grid.num_columns > 1:
            boxes = [flat[r.number] for r in kept]
            above = sum(b[3] - 1.5 <= y + 1.5 and (b[1] + b[3]) / 2 < y for b in boxes)
            found = _under(x0, x1, edges)
            if found and 0 < above < len(kept):
                grid.partial_rules.append((above, *found))
    grid.aligns = [_column_align(grid, c) for c in range(grid.num_columns)]
    _mark_header(grid)
    return grid


def _column_edges(
    grid: Grid, turn: tuple[float, float, float, float]
) -> list[tuple[float, float] | None]:
    """Left and right edge of every column; None where all cells span."""
    edges: list[tuple[float, float] | None] = [None] * grid.num_columns
    for cell in grid.cells:
        if cell.columns == 1:
            x0, _, x1, _ = _upright(cell.box, turn)
            old = edges[cell.column]
            edges[cell.column] = (min(x0, old[0]), max(x1, old[1])) if old else (x0, x1)
    return edges


def _under(
    x0: float, x1: float, edges: Sequence[tuple[float, float] | None]
) -> tuple[int, int] | None:
    """First and last column above a rule that is shorter than the table."""
    inside = [
        c for c, edge in enumerate(edges)
        if edge and min(x1, edge[1]) - max(x0, edge[0]) > 0.5 * (edge[1] - edge[0])
    ]  # fmt: skip
    return (inside[0], inside[-1]) if inside else None


def _upright(
    box: tuple[float, float, float, float], turn: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A box of a turned table as if the table stood upright, about the page's corner."""
    a, b = turn[0], turn[1]
    if abs(b) < 1e-6 and a > 0:
        return box
    size = math.hypot(a, b)
    cos, sin = a / size, b / size
    # Back by the angle; y points down here and up in the matrix.
    points = [(x * cos - y * sin, x * sin + y * cos) for x in box[::2] for y in box[1::2]]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return (min(xs), min(ys), max(xs), max(ys))


def _is_nested(row: Row, raw: RawPage, table: int) -> bool:
    outer = raw.rows.get(row.outer_row)
    return outer is not None and outer.table == table


def _content(
    items: Sequence[Item],
    raw: RawPage,
    rows: Sequence[Row],
    turn: tuple[float, float, float, float],
) -> tuple[dict[int, list[Item]], list[tuple[float, float, float]]]:
    """Cell number -> its pieces (nested tables inside), and horizontal rules (y, x0, x1)."""
    top = {c.number for r in rows for c in r.cells}
    content: dict[int, list[Item]] = defaultdict(list)
    rules: list[tuple[float, float, float]] = []
    outer_cell = {r.number: r.outer_cell for r in raw.rows.values()}
    row_of = {c.number: r.number for r in raw.rows.values() for c in r.cells}
    for item in items:
        if item.kind == "rule":
            x0, y0, x1, y1 = _upright(item.box, turn)
            if y1 - y0 < 2.0 and x1 - x0 > 3.0:
                rules.append((y1, x0, x1))
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
    # Numbers aligned by their decimal point come in two formulas.
    markup = markup.replace("\\)\\(", "")
    markup = re.sub(r"^\\\(([\d.,]+)\\\)$", r"\1", markup)
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
        end = c + cell.columns
        members = [
            (k, column)
            for k in range(first, last)
            for column in range(c, end)
            if k != r and (k, column) in taken
        ]
        empty = [m for m in members if not taken[m].text and m[1] + taken[m].columns <= end]
        covered = sum(taken[m].columns for m in empty)
        if covered != (last - first - 1) * cell.columns:
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
