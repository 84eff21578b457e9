"""What a painted page says: text, markdown, ground truth, and the same after the page was bent.

Must not paint and must not ask questions.

Source: data synthesis specification, sections 2.3, 3.12 and 3.15; design decision D15 (page tables
as LaTeX).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nanovl.data.convert.grids import Cell, Grid, Run as CellRun, place, write_grid
from nanovl.data.convert.markup import markdown_table
from nanovl.data.convert.table_qa import Table
from nanovl.synth.base import Box, Reject
from nanovl.synth.documents.draw import InkBlock, InkCell, InkLine, InkWord, Painted, Quad

__all__ = [
    "MARGINAL",
    "TABLE_FORMS",
    "bent",
    "block_markdown",
    "block_text",
    "enlarged",
    "page_markdown",
    "page_plain",
    "page_truth",
    "smallest_text",
    "table_of",
    "write_table",
]

Points = npt.NDArray[np.float64]
TABLE_FORMS = ("csv", "html", "latex", "markdown", "otsl")
MARGINAL = ("page_header", "page_footer")


# -- Text ----------------------------------------------------------------------------------------


def _joined(words: Iterable[InkWord]) -> str:
    parts: list[str] = []
    for word in words:
        if parts and word.space:
            parts.append(" ")
        parts.append(word.text)
    return "".join(parts)


def block_text(block: InkBlock) -> str:
    """A block as plain text, its lines joined (code: kept); of a table, a line per row."""
    if block.kind == "table":
        rows: dict[int, list[str]] = {}
        for cell in block.cells:
            rows.setdefault(cell.row, []).append(cell.text)
        return "\n".join(" ".join(t for t in texts if t) for _, texts in sorted(rows.items()))
    if block.kind == "code":
        return "\n".join(" " * line.indent + line.text for line in block.lines)
    return _joined(word for line in block.lines for word in line.words)


def _styled(block: InkBlock) -> str:
    """Text of a block with `**` and `*` around bold and italic words."""
    words = [word for line in block.lines for word in line.words]
    every = [(w.bold, w.italic) for w in words]
    if len(set(every)) <= 1:  # the whole block has one style: that is its look, not an emphasis
        return _joined(words)
    usual = max(sorted(set(every)), key=every.count)
    made = ""
    for index, word in enumerate(words):
        style = every[index]
        blank = " " if index and word.space else ""
        mark = "" if style == usual else "**" if style[0] else "*"
        begins = index == 0 or every[index - 1] != style
        ends = index == len(words) - 1 or every[index + 1] != style
        made += blank + (mark if begins else "") + word.text + (mark if ends else "")
    return made


def block_markdown(block: InkBlock) -> str:
    """A block as markdown; a table as LaTeX."""
    if block.kind == "picture":
        return ""
    if block.kind == "table":
        return write_table(table_of(block), "latex")
    if block.kind == "code":
        return f"```\n{block_text(block)}\n```"
    text = _styled(block)
    if block.is_rest:
        return text
    if block.kind == "title":
        return f"# {_joined(w for line in block.lines for w in line.words)}"
    if block.kind == "section_header":
        joined = _joined(w for line in block.lines for w in line.words)
        return f"{'#' * min(6, block.level + 1)} {joined}"
    if block.kind == "list_item":
        depth = "  " * block.level
        return f"{depth}- {text}" if block.marker in ("", "-") else depth + text
    return text


def page_markdown(painted: Painted) -> str:
    """All blocks but running headers and footers."""
    made = ""
    before = ""
    for block in painted.blocks:
        if block.kind in MARGINAL:
            continue
        text = block_markdown(block)
        if not text:
            continue
        if made:
            made += "\n" if before == block.kind == "list_item" else "\n\n"
        made += text
        before = block.kind
    return made


def page_plain(painted: Painted, *, marginal: bool = False) -> str:
    """Blocks as plain text, one per line."""
    return "\n".join(
        text
        for block in painted.blocks
        if (marginal or block.kind not in MARGINAL) and (text := block_text(block))
    )


def table_of(block: InkBlock) -> Table:
    """The rows of a table that stand on the page."""
    rows: dict[int, list[str]] = {}
    for cell in block.cells:
        rows.setdefault(cell.row, []).append(" ".join(cell.text.split()))
    header = tuple(rows.pop(-1))
    return Table(
        id="", title="", header=header, rows=tuple(tuple(r) for _, r in sorted(rows.items()))
    )


def write_table(table: Table, form: str) -> str:
    """A table in one of `TABLE_FORMS`."""
    if form == "markdown":
        return markdown_table(table.header, table.rows)
    if form == "csv":
        return "\n".join(",".join(map(_field, row)) for row in (table.header, *table.rows))
    return write_grid(_grid(table), form)


def _field(text: str) -> str:
    text = " ".join(text.split())
    if any(mark in text for mark in ',"'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _grid(table: Table) -> Grid:
    rows = [[Cell((CellRun(text),), header=True) for text in table.header]]
    rows += [[Cell((CellRun(text),)) for text in row] for row in table.rows]
    return place(rows, 1)


# -- Bending -------------------------------------------------------------------------------------


def bent(
    painted: Painted,
    image: Image.Image,
    points: Callable[[Points], Points],
    *,
    characters: bool = True,
    upright: bool = False,
) -> Painted:
    """The page after its picture was bent: every box and quad follows.

    Args:
        painted: Before.
        image: The bent picture.
        points: Where positions of the old picture are in the new one, (n, 2) to (n, 2).
        characters: Whether to carry the boxes of characters along.
        upright: Whether everything stays upright, so that boxes say it all and quads are empty.

    Raises:
        Reject: Ink left the picture.
    """
    boxes: list[Box] = []
    for block in painted.blocks:
        boxes.append(block.box)
        for line in _all_lines(block):
            boxes.append(line.box)
            for word in line.words:
                boxes.append(word.box)
                if characters:
                    boxes += word.characters
        boxes += [cell.box for cell in block.cells]
    if not boxes:
        return replace(painted, image=image)
    flat = np.array(boxes, dtype=np.float64)
    corners = flat[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    quads = points(corners).reshape(-1, 4, 2)
    low, high = quads.min(axis=1), quads.max(axis=1)
    width, height = image.size
    if low.min() < -0.51 or high[:, 0].max() > width + 0.51 or high[:, 1].max() > height + 0.51:
        raise Reject("ink_outside", "bending moved text out of the picture")
    low = np.maximum(low, 0.0)
    high = np.minimum(high, (width, height))
    areas = np.concatenate([low, high], axis=1).tolist()
    outlines = [()] * len(areas) if upright else quads.reshape(-1, 8).round(2).tolist()
    found = zip(map(tuple, areas), map(tuple, outlines), strict=True)
    blocks = []
    for block in painted.blocks:
        box, quad = next(found)
        lines = [_bent_line(line, found, characters) for line in block.lines]
        cell_lines = [
            [_bent_line(line, found, characters) for line in c.lines] for c in block.cells
        ]
        cells = []
        for cell, kept in zip(block.cells, cell_lines, strict=True):
            area, corner = next(found)
            ink = None
            if kept:
                ink = (
                    min(line.box[0] for line in kept),
                    min(line.box[1] for line in kept),
                    max(line.box[2] for line in kept),
                    max(line.box[3] for line in kept),
                )
            cells.append(InkCell(cell.row, cell.column, cell.text, area, kept, ink, quad=corner))
        blocks.append(replace(block, box=box, quad=quad, lines=lines, cells=cells))
    return Painted(image, painted.number, blocks)


def enlarged(painted: Painted, factor: float) -> Painted:
    """The page in another size, as a screen shows it that is zoomed in.

    Raises:
        Reject: Ink is at the very edge.
    """
    width, height = painted.image.size
    size = (math.ceil(width * factor), math.ceil(height * factor))
    scale = (size[0] / width, size[1] / height)
    image = painted.image.resize(size, Image.Resampling.BICUBIC)
    return bent(painted, image, lambda points: points * scale, upright=True)


def _all_lines(block: InkBlock) -> list[InkLine]:
    return [*block.lines, *(line for cell in block.cells for line in cell.lines)]


def _bent_line(line: InkLine, source: Iterator[tuple[Box, Quad]], characters: bool) -> InkLine:
    box, quad = next(source)
    words = []
    for word in line.words:
        area, corners = next(source)
        kept = tuple(next(source)[0] for _ in word.characters) if characters else ()
        words.append(InkWord(word.text, area, kept, word.space, word.bold, word.italic, corners))
    return replace(line, box=box, quad=quad, words=words)


# -- Ground truth --------------------------------------------------------------------------------


def page_truth(painted: Painted, *, characters: bool = False) -> dict[str, Any]:
    """Everything known about a page as JSON.

    Args:
        painted: The page as it is stored.
        characters: Whether to list the boxes of characters.
    """
    width, height = painted.image.size
    return {
        "page": painted.number,
        "width": width,
        "height": height,
        "blocks": [
            _block_truth(block, order, characters) for order, block in enumerate(painted.blocks)
        ],
    }


def _place(box: Box, quad: Quad) -> dict[str, Any]:
    found: dict[str, Any] = {"bbox": [round(v, 2) for v in box]}
    if quad:
        found["quad"] = list(quad)
    return found


def _block_truth(block: InkBlock, order: int, characters: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": order,
        "class": block.kind,
        "order": order,
        "chain": block.block,
        **_place(block.box, block.quad),
        "text": block_text(block),
        "markdown": block_markdown(block),
        "lines": [
            {
                **_place(line.box, line.quad),
                "text": line.text,
                "words": [_word_truth(word, characters) for word in line.words],
            }
            for line in block.lines
        ],
    }
    if block.kind in ("title", "section_header"):
        found["level"] = block.level
    if block.kind == "list_item":
        found["list"] = {"depth": block.level, "marker": block.marker or "-"}
    if block.kind == "table":
        found["rows"] = list(block.rows)
        found["cells"] = [_cell_truth(cell, characters) for cell in block.cells]
    return found


def _cell_truth(cell: InkCell, characters: bool) -> dict[str, Any]:
    return {
        "row": cell.row,
        "column": cell.column,
        "text": cell.text,
        **_place(cell.box, cell.quad),
        "ink": None if cell.ink is None else [round(v, 2) for v in cell.ink],
        "words": [_word_truth(w, characters) for line in cell.lines for w in line.words],
    }


def _word_truth(word: InkWord, characters: bool) -> dict[str, Any]:
    found = {"text": word.text, **_place(word.box, word.quad)}
    if characters and word.characters:
        found["chars"] = [[round(v, 2) for v in box] for box in word.characters]
    return found


def smallest_text(pages: Sequence[Painted]) -> float:
    """Height in pixels of the least tall line (ink) with a letter or digit; 0.0 without text."""
    heights = [
        line.box[3] - line.box[1]
        for page in pages
        for line in page.lines
        if any(map(str.isalnum, line.text))
    ]
    return min(heights, default=0.0)
