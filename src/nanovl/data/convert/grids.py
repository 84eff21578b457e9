"""A table as a grid of cells with spans, written as LaTeX, HTML, markdown or OTSL.

All forms come from the one grid. Markdown cannot say spans and is refused for tables that have
them. Cells hold runs of text with a few styles (bold, italic, raised, lowered ...).

Source: data synthesis specification, sections 3.11 and 6; design decision D15 (LaTeX by default).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.data.convert.base import Malformed
from nanovl.data.convert.markup import markdown_table

__all__ = ["FORMS", "Cell", "Grid", "Run", "place", "write_grid"]

FORMS = {
    "latex": "LaTeX tabular",
    "html": "HTML",
    "markdown": "markdown",
    "otsl": "OTSL",
}

STYLES = ("b", "i", "sup", "sub", "u", "s", "o")
_TEX_STYLES = {
    "b": "\\textbf{%s}",
    "i": "\\textit{%s}",
    "sup": "\\textsuperscript{%s}",
    "sub": "\\textsubscript{%s}",
    "u": "\\underline{%s}",
    "s": "\\sout{%s}",
    "o": "$\\overline{\\mbox{%s}}$",
}
_TEX = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "$": "\\$",
    "&": "\\&",
    "#": "\\#",
    "%": "\\%",
    "_": "\\_",
    "^": "\\textasciicircum{}",
    "~": "\\textasciitilde{}",
}


@dataclass(frozen=True)
class Run:
    """A piece of text and its styles, outermost first (names of `STYLES`)."""

    text: str
    styles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A cell, possibly over several rows and columns.

    Attributes:
        runs: What it says.
        rows, columns: How far it reaches down and to the right, at least 1.
        header: Whether it belongs to the head of the table.
    """

    runs: tuple[Run, ...] = ()
    rows: int = 1
    columns: int = 1
    header: bool = False

    @property
    def text(self) -> str:
        """Its text without styles, white space collapsed."""
        return " ".join("".join(run.text for run in self.runs).split())


@dataclass(frozen=True)
class Grid:
    """A rectangular table.

    Attributes:
        slots: Per row and column the cell and the (row, column) of its top left corner.
        head: Number of header rows.
    """

    slots: tuple[tuple[tuple[Cell, int, int], ...], ...]
    head: int

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.slots), len(self.slots[0])

    @property
    def has_spans(self) -> bool:
        """Whether a cell covers more than one place."""
        return any(cell.rows * cell.columns > 1 for row in self.slots for cell, _, _ in row)

    def texts(self) -> list[list[str]]:
        """Plain text of every place; places a span covers are empty but for the first."""
        return [
            [cell.text if (r, c) == (top, left) else "" for c, (cell, top, left) in enumerate(row)]
            for r, row in enumerate(self.slots)
        ]


def place(rows: Sequence[Sequence[Cell]], head: int, name: str = "table") -> Grid:
    """Lay rows of cells out on a grid the way HTML does.

    Args:
        rows: Cells in the order of the source, a cell of several rows only in its first.
        head: Number of header rows.
        name: For messages.

    Raises:
        Malformed: The table is empty, cells overlap, stick out, or rows differ in length.
    """
    if not rows:
        raise Malformed("bad_table", f"{name}: no rows")
    taken: dict[tuple[int, int], tuple[Cell, int, int]] = {}
    for r, row in enumerate(rows):
        c = 0
        for cell in row:
            while (r, c) in taken:
                c += 1
            if r + cell.rows > len(rows):
                raise Malformed("bad_table", f"{name}: a cell of row {r + 1} reaches below the end")
            spots = [(r + i, c + j) for i in range(cell.rows) for j in range(cell.columns)]
            if any(spot in taken for spot in spots):
                raise Malformed("bad_table", f"{name}: cells overlap in row {r + 1}")
            taken |= dict.fromkeys(spots, (cell, r, c))
            c += cell.columns
    lengths = [sum(row == r for row, _ in taken) for r in range(len(rows))]
    width = max(lengths)
    for r, length in enumerate(lengths):
        if length != width or any((r, c) not in taken for c in range(width)):
            raise Malformed(
                "bad_table", f"{name}: row {r + 1} has {length} columns, another one {width}"
            )
    slots = tuple(tuple(taken[r, c] for c in range(width)) for r in range(len(rows)))
    if head and any(top + cell.rows > head for row in slots[:head] for cell, top, _ in row):
        raise Malformed("bad_table", f"{name}: a header cell reaches into the body")
    return Grid(slots, head)


def write_grid(grid: Grid, form: str) -> str:
    """The table as text.

    Args:
        grid: Any table.
        form: A key of `FORMS`.

    Raises:
        Malformed: Markdown was asked for and the table has spans or not exactly one header row.
    """
    return {"latex": _latex, "html": _html, "markdown": _markdown, "otsl": _otsl}[form](grid)


# -- LaTeX ---------------------------------------------------------------------------------------


def _latex(grid: Grid) -> str:
    """Columns are centred, as their alignment is not known; rules at top, bottom, below the head.

    The places a cell of several rows covers below its first row stay empty.
    """
    _, width = grid.size
    lines = [f"\\begin{{tabular}}{{{'c' * width}}}", "\\hline"]
    for r, row in enumerate(grid.slots):
        shown = []
        for c, (cell, top, left) in enumerate(row):
            if c != left:
                continue
            text = _tex_runs(cell.runs) if r == top else ""
            if cell.rows > 1 and r == top:
                text = f"\\multirow{{{cell.rows}}}{{*}}{{{text}}}"
            if cell.columns > 1:
                text = f"\\multicolumn{{{cell.columns}}}{{c}}{{{text}}}"
            shown.append(text)
        lines.append(" & ".join(shown) + " \\\\")
        if r + 1 == grid.head:
            lines.append("\\hline")
    return "\n".join([*lines, "\\hline", "\\end{tabular}"])


def _tex_runs(runs: Sequence[Run]) -> str:
    made = ""
    for run in _collapsed(runs):
        text = "".join(_TEX.get(char, char) for char in run.text)
        for style in reversed(run.styles):
            text = _TEX_STYLES[style] % text
        made += text
    return made


def _collapsed(runs: Sequence[Run]) -> list[Run]:
    """Runs with single blanks, none at the ends of the cell, no empty runs."""
    found: list[Run] = []
    blank = True  # a blank at the start of the cell is dropped
    for run in runs:
        text = "".join(" " if char.isspace() else char for char in run.text)
        kept = ""
        for char in text:
            if char != " " or not blank:
                kept += char
            blank = char == " "
        if kept:
            found.append(Run(kept, run.styles))
    while found and not (last := found[-1]).text.rstrip():
        found.pop()
    if found:
        found[-1] = Run(last.text.rstrip(), last.styles)
    return found


# -- HTML, markdown, OTSL ------------------------------------------------------------------------


def _html(grid: Grid) -> str:
    head = [_html_row(row, r, "th") for r, row in enumerate(grid.slots[: grid.head])]
    body = [_html_row(row, r, "td") for r, row in enumerate(grid.slots) if r >= grid.head]
    parts = ["<table>"]
    for name, rows in (("thead", head), ("tbody", body)):
        if rows:
            parts += [f"<{name}>", *rows, f"</{name}>"]
    return "\n".join([*parts, "</table>"])


def _html_row(row: Sequence[tuple[Cell, int, int]], r: int, name: str) -> str:
    made = ""
    for c, (cell, top, left) in enumerate(row):
        if (r, c) != (top, left):
            continue
        spans = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
        spans += f' colspan="{cell.columns}"' if cell.columns > 1 else ""
        made += f"<{name}{spans}>{_html_runs(cell.runs)}</{name}>"
    return f"<tr>{made}</tr>"


def _html_runs(runs: Sequence[Run]) -> str:
    made = ""
    for run in _collapsed(runs):
        text = html.escape(run.text, quote=False)
        for style in reversed(run.styles):
            text = f"<{style}>{text}</{style}>"
        made += text
    return made


def _markdown(grid: Grid) -> str:
    if grid.has_spans or grid.head != 1:
        raise Malformed(
            "not_markdown",
            f"the table has spans or {grid.head} header rows; markdown can write neither",
        )
    header, *rows = grid.texts()
    return markdown_table(header, rows)


def _otsl(grid: Grid) -> str:
    """One token per place, a line per row: first cell, left or up of one, or both."""
    lines = []
    for r, row in enumerate(grid.slots):
        line = ""
        for c, (cell, top, left) in enumerate(row):
            if (r, c) == (top, left):
                text = _html_runs(cell.runs)
                token = "<ched>" if r < grid.head and text else "<fcel>" if text else "<ecel>"
                line += token + text
            else:
                line += "<lcel>" if r == top else "<ucel>" if c == left else "<xcel>"
        lines.append(f"{line}<nl>")
    return "\n".join(lines)
