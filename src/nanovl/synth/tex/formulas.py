"""Writes displayed formulas: rows and cells of alignments, text between rows, equation numbers.

An alignment is rows of cells, each with a maths list of its own; empty cells hold nothing that is
printed, so rows come from the recorded boxes and not from what is in them. Must not convert lists
(`maths` does) nor look at other blocks.

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nanovl.synth.tex.blocks import Block
from nanovl.synth.tex.events import Item, Row
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import markdown_of, plain_of

__all__ = ["write_formula"]

_NUMBER = r"\s*[(\[]?[\w.\-*\u2032' ]{1,12}[)\]]?\s*"
# amsmath sets the number beside `split` as a second column.
_BESIDE = re.compile(
    r"\\begin\{aligned\} (.*) & \\text\{(\([^{}]*\))\} \\end\{aligned\}", re.DOTALL
)


def write_formula(block: Block, converter: Converter, rows: Mapping[int, Row]) -> None:
    """Fill in LaTeX, number and text of a formula.

    Args:
        block: Of class Formula.
        converter: Knows the maths lists.
        rows: Of the page: number -> row of an alignment.
    """
    items = [i for i in block.items if i.kind in ("glyph", "rule", "space")]
    between = _between(items, converter)
    parts: dict[int, list[tuple[int, str]]] = {}  # row -> (cell, LaTeX); row 0 has no cells
    order: list[int | str] = []
    numbers: list[str] = []
    seen: set[int] = set()
    texts: dict[int, list[Item]] = {}  # by cell: numbers, and what is no maths
    for item in items:
        number = item.state.math
        if item.state.par in between and not item.state.row:
            if f"par {item.state.par}" not in order:
                order.append(f"par {item.state.par}")
            continue
        row, cell = _place(item, rows)
        if not number:
            if item.kind != "rule":
                texts.setdefault(cell, []).append(item)
            continue
        if number in seen or item.kind == "space":
            continue
        seen.add(number)
        plain = converter.plain_text(number)
        if plain is not None and re.fullmatch(_NUMBER, plain):
            if converter.latex(number).startswith("\\text"):
                numbers.append(plain.strip())
            continue
        if _is_whole(number, converter):
            row, cell = 0, 0
        if row not in parts:
            parts[row] = []
            order.append(row)
        parts[row].append((cell, _bare(converter.latex(number))))
    tagged = {cell for cell, run in texts.items() if cell and _is_last(cell, rows, run)}
    for cell, run in texts.items():
        shown = plain_of(run)
        if shown:
            marks = [latex for held in parts.values() for c, latex in held if c == cell]
            if cell in tagged and marks:
                shown = f"({''.join(marks)})"
            numbers.append(shown)
    lines = []
    for place in order:
        if isinstance(place, str):
            lines.append([_text_row(items, int(place.removeprefix("par ")), converter)])
        else:
            line = _cells([p for p in parts[place] if p[0] not in tagged], rows.get(place))
            if any(line):
                lines.append(line)
    block.is_exact = all(converter.is_exact(n) for n in seen)
    block.latex = _joined(lines)
    beside = _BESIDE.fullmatch(block.latex)
    if beside:
        block.latex = beside.group(1)
        numbers.append(beside.group(2))
    block.number = " ".join(numbers)
    block.text = plain_of(block.items)
    block.markdown = f"\\[ {block.latex} \\]" if block.latex else block.text
    block.maths = sorted(seen)


def _is_whole(number: int, converter: Converter) -> bool:
    """Whether a list is a display by itself: rows in it are its own business."""
    entry = converter.maths.get(number)
    return entry is not None and entry.is_display


def _between(items: Sequence[Item], converter: Converter) -> set[int]:
    """Paragraphs between the rows of a display (\\intertext)."""
    own = {
        i.state.par
        for i in items
        if i.state.row or (i.state.math and _is_whole(i.state.math, converter))
    }
    return {i.state.par for i in items if i.state.par > 0} - own if own else set()


def _place(item: Item, rows: Mapping[int, Row]) -> tuple[int, int]:
    """Outermost row and cell around an item."""
    row, cell = item.state.row, item.state.cell
    for _ in range(8):
        outer = rows[row].outer_row if row in rows else 0
        if not outer:
            break
        row, cell = outer, rows[row].outer_cell
    return row, cell


def _is_last(cell: int, rows: Mapping[int, Row], run: Sequence[Item]) -> bool:
    """Whether a cell is the column of equation numbers."""
    for row in rows.values():
        numbers = [c.number for c in row.cells]
        if cell in numbers:
            return len(numbers) > 1 and numbers[-1] == cell and plain_of(run)[:1] in ("(", "[")
    return False


def _cells(parts: Sequence[tuple[int, str]], row: Row | None) -> list[str]:
    """Cells of a row from the left, empty ones included; columns of an eqnarray put together."""
    if row is None:
        return ["".join(latex for _, latex in parts)]
    held: dict[int, str] = {}
    for cell, latex in parts:
        held[cell] = held.get(cell, "") + latex
    line = [held.get(cell.number, "") for cell in row.cells]
    if len(row.cells) >= 3 and [c.align for c in row.cells[:3]] == ["l", "c", "l"]:
        sign = re.sub(r"^\{(.*)\}$", r"\1", line[1])
        glue = " " if re.search(r"\\[A-Za-z]+$", sign) and line[2][:1].isalpha() else ""
        line[1:3] = [sign + glue + line[2]]
    while line and not line[-1]:
        line.pop()
    return line


def _text_row(items: Sequence[Item], par: int, converter: Converter) -> str:
    run = [i for i in items if i.state.par == par]
    parts = re.split(r"\\\((.*?)\\\)", markdown_of(run, converter, styled=False), flags=re.DOTALL)
    escaped = [re.sub(r"([#$%&_{}])", r"\\\1", p) for p in parts[::2]]
    parts[::2] = [f"\\text{{{text}}}" if text else "" for text in escaped]
    return "".join(parts)


def _joined(lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return ""
    if len(lines) == 1:
        return " ".join(part for part in lines[0] if part)
    environment = "aligned" if any(len(line) > 1 for line in lines) else "gathered"
    if environment == "gathered":
        lines = [[re.sub(r"^\\quad\s*", "", lines[0][0])], *lines[1:]]
    body = " \\\\ ".join(" & ".join(line) for line in lines)
    return f"\\begin{{{environment}}} {body} \\end{{{environment}}}"


def _bare(latex: str) -> str:
    return re.sub(r"^\\displaystyle\s*", "", latex)
