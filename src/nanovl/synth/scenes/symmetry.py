"""Grids of coloured cells that mirror themselves, nearly do, or do not.

Source: data synthesis specification, section 12 (symmetry). The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from nanovl.synth.asking import Bank, box_answer, noted, worded
from nanovl.synth.base import Answer, Box, Reject, Task
from nanovl.synth.scenes.paint import background
from nanovl.synth.scenes.scene import Canvas, attributes
from nanovl.synth.scenes.shapes import COLORS, RGB

__all__ = ["Mosaic", "draw_mosaic", "mosaic_tasks"]

BANK: Bank = {
    "axis": (
        "about which line is the pattern a mirror image of itself: vertical, horizontal, both or "
        "none?",
        "is the line of symmetry vertical or horizontal? Say both or none where that is so.",
        "which symmetry does the pattern have: vertical line, horizontal line, both or none? One "
        "word.",
        "vertical, horizontal, both or none: which lines mirror the pattern onto itself?",
    ),
    "is-left-right": (
        "is the left half a mirror image of the right half?",
        "does the pattern stay the same when flipped left to right?",
        "do the left and the right half mirror each other?",
        "is the pattern symmetric about its vertical middle line?",
    ),
    "is-turned": (
        "does the pattern look the same after half a turn?",
        "is the pattern unchanged when it is turned by 180 degrees?",
        "turned upside down (by 180 degrees), is it the same pattern?",
        "does a turn of 180 degrees leave the pattern as it is?",
    ),
    "broken": (
        "one cell of the right half does not mirror the left half. Give its row and column, "
        "counted from 1 at the top left of the whole grid, as row, column.",
        "the right half mirrors the left one but for one cell. Which? Answer as row, column (from "
        "1, whole grid).",
        "find the cell in the right half that breaks the symmetry; write row, column, counted "
        "from 1 over the whole grid.",
        "which cell right of the middle differs from its mirror image? Row, column from 1.",
    ),
    "broken-box": (
        "one cell of the right half does not mirror the left half. Box it.",
        "mark the cell right of the middle that breaks the mirror symmetry with a box.",
        "where in the right half is the cell that differs from its mirror image? Give a box.",
        "give the bounding box of the cell in the right half that spoils the symmetry.",
    ),
    "covered": (
        "the gray area hides part of a pattern that mirrors itself left to right. Which color is "
        "the cell in row {row}, column {column}?",
        "left and right mirror each other. What color does the covered cell in row {row}, column "
        "{column} have?",
        "complete the mirror image: which color belongs in row {row}, column {column}?",
        "behind the gray cover the pattern goes on as a mirror image. Row {row}, column {column}: "
        "which color?",
    ),
}
KINDS = ("whole", "broken", "covered")
COVER: RGB = (128, 128, 128)
Cells = list[list[str]]


@dataclass(frozen=True)
class Mosaic:
    """A grid of colours.

    Attributes:
        canvas: Where.
        cells: Names of colours, rows from the top.
        boxes: Of the cells.
        kind: "whole", "broken" (one cell of the right half is wrong) or "covered" (the right half
            is hidden).
        spot: Row and column of the wrong cell or of the one asked for, from 0; (-1, -1) without.
    """

    canvas: Canvas
    cells: tuple[tuple[str, ...], ...]
    boxes: tuple[tuple[Box, ...], ...]
    kind: str
    spot: tuple[int, int] = (-1, -1)

    @property
    def is_left_right(self) -> bool:
        """Whether left and right mirror each other."""
        return all(row == row[::-1] for row in self.cells)

    @property
    def is_top_bottom(self) -> bool:
        """Whether top and bottom mirror each other."""
        return self.cells == self.cells[::-1]

    @property
    def is_turned(self) -> bool:
        """Whether half a turn changes nothing."""
        return self.cells == tuple(row[::-1] for row in self.cells[::-1])

    def to_json(self) -> dict[str, Any]:
        """Ground truth."""
        return {
            "canvas": [self.canvas.width, self.canvas.height],
            "pattern": self.kind,
            "cells": [list(row) for row in self.cells],
            "boxes": [list(box) for row in self.boxes for box in row],
            "spot": list(self.spot),
            "symmetry": {"left_right": self.is_left_right, "top_bottom": self.is_top_bottom,
                         "half_turn": self.is_turned},
        }  # fmt: skip


def _free(rng: random.Random, rows: int, columns: int, colors: Sequence[str]) -> Cells:
    return [[rng.choice(colors) for _ in range(columns)] for _ in range(rows)]


def _made(rng: random.Random, kind: str, rows: int, columns: int, colors: Sequence[str]) -> Cells:
    """A grid with a symmetry: "vertical", "horizontal", "both", "turned" or "none"."""
    cells = _free(rng, rows, columns, colors)
    for r in range(rows):
        for c in range(columns):
            if kind in ("vertical", "both") and c >= columns / 2:
                cells[r][c] = cells[r][columns - 1 - c]
            if kind in ("horizontal", "both") and r >= rows / 2:
                cells[r][c] = cells[rows - 1 - r][c]
            if kind == "turned" and r >= rows / 2:
                cells[r][c] = cells[rows - 1 - r][columns - 1 - c]
    return cells


def draw_mosaic(rng: random.Random, canvas: Canvas) -> tuple[Mosaic, Image.Image]:
    """A random grid and its picture.

    Raises:
        Reject: Too few colours stand out, or the grid is symmetric by chance.
    """
    colors = attributes(rng, canvas.ground)["color"]
    colors = [c for c in colors if c != "gray"][:4]
    if len(colors) < 3:
        raise Reject("few_colors", "fewer than three colors stand out")
    kind = rng.choice(KINDS)
    rows, columns = rng.randint(3, 7), 2 * rng.randint(2, 4)
    if kind == "whole":
        sort = rng.choice(("vertical", "horizontal", "both", "none", "turned"))
        if sort in ("horizontal", "both", "turned"):
            rows = 2 * max(2, rows // 2)
        cells = _made(rng, sort, rows, columns, colors)
    else:
        cells = _made(rng, "vertical", rows, columns, colors)
    spot = (-1, -1)
    if kind != "whole":
        spot = (rng.randrange(rows), rng.randrange(columns // 2, columns))
    if kind == "broken":
        r, c = spot
        cells[r][c] = rng.choice([color for color in colors if color != cells[r][c]])
    boxes = _boxes(canvas, rows, columns)
    mosaic = Mosaic(canvas, tuple(map(tuple, cells)), boxes, kind, spot)
    if kind == "whole":
        found = {"vertical": (True, False), "horizontal": (False, True), "both": (True, True)}
        expected = found.get(sort, (False, False))
        if (mosaic.is_left_right, mosaic.is_top_bottom) != expected:
            raise Reject("by_chance", "the grid has another symmetry than was planned")
    image = background(canvas)
    draw = ImageDraw.Draw(image)
    has_lines = kind != "whole" or rng.random() < 0.5
    for r, row in enumerate(cells):
        for c, color in enumerate(row):
            is_hidden = kind == "covered" and c >= columns // 2
            x0, y0, x1, y1 = boxes[r][c]
            fill = COVER if is_hidden else COLORS[color]
            line = (90, 90, 90) if has_lines or is_hidden else None
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=fill, outline=line)
    return mosaic, image


def _boxes(canvas: Canvas, rows: int, columns: int) -> tuple[tuple[Box, ...], ...]:
    side = int(0.9 * min(canvas.width / columns, canvas.height / rows))
    left, top = (canvas.width - side * columns) // 2, (canvas.height - side * rows) // 2
    return tuple(
        tuple(
            (float(left + c * side), float(top + r * side), float(left + (c + 1) * side),
             float(top + (r + 1) * side))
            for c in range(columns)
        )
        for r in range(rows)
    )  # fmt: skip


def mosaic_tasks(mosaic: Mosaic, rng: random.Random, media: tuple[str, ...]) -> list[Task]:
    """Questions about the symmetry of a grid."""
    if mosaic.kind == "covered":
        return [_covered(mosaic, rng, media)]
    if mosaic.kind == "broken":
        return _broken(mosaic, rng, media)
    lines = (mosaic.is_left_right, mosaic.is_top_bottom)
    text = {(True, False): "vertical", (False, True): "horizontal", (True, True): "both",
            (False, False): "none"}[lines]  # fmt: skip
    told = f"Left and right {'mirror' if lines[0] else 'do not mirror'} each other, top and "
    told += f"bottom {'do' if lines[1] else 'do not'}."
    question, template = worded(BANK, "axis", rng)
    tasks = [
        Task(
            task="scene_symmetry_axis", question=noted(question, "word", rng), answer_text=text,
            answer=Answer(type="text", value=text), verifier="exact_ci", trace=told, media=media,
            template=f"symmetry/{template}",
        )
    ]  # fmt: skip
    for kind, value in (("is-left-right", lines[0]), ("is-turned", mosaic.is_turned)):
        question, template = worded(BANK, kind, rng)
        tasks.append(
            Task(
                task=f"scene_symmetry_{kind.replace('-', '_')}",
                question=noted(question, "yesno", rng), answer_text="Yes" if value else "No",
                answer=Answer(type="bool", value=value), verifier="exact_ci",
                trace=_why(mosaic, kind), media=media, template=f"symmetry/{template}",
            )
        )  # fmt: skip
    return tasks


def _why(mosaic: Mosaic, kind: str) -> str:
    """The first pair of cells that disagree, or that all agree."""
    rows, columns = len(mosaic.cells), len(mosaic.cells[0])
    for r in range(rows):
        for c in range(columns):
            other = (r if kind == "is-left-right" else rows - 1 - r, columns - 1 - c)
            one, two = mosaic.cells[r][c], mosaic.cells[other[0]][other[1]]
            if one != two:
                return (
                    f"Row {r + 1}, column {c + 1} is {one}, its counterpart in row "
                    f"{other[0] + 1}, column {other[1] + 1} is {two}."
                )
    return "Every cell has the color of its counterpart."


def _broken(mosaic: Mosaic, rng: random.Random, media: tuple[str, ...]) -> list[Task]:
    r, c = mosaic.spot
    mirror = len(mosaic.cells[0]) - 1 - c
    trace = f"Row {r + 1}, column {c + 1} is {mosaic.cells[r][c]}, while column {mirror + 1} of "
    trace += f"that row is {mosaic.cells[r][mirror]}."
    text = f"{r + 1}, {c + 1}"
    asked, asked_id = worded(BANK, "broken", rng)
    boxed, boxed_id = worded(BANK, "broken-box", rng)
    marked, answer = box_answer("cell", [mosaic.boxes[r][c]], mosaic.canvas.width,
                                mosaic.canvas.height)  # fmt: skip
    return [
        Task(
            task="scene_symmetry_broken", question=asked, answer_text=text,
            answer=Answer(type="list", value=[str(r + 1), str(c + 1)]), verifier="list_ordered",
            trace=trace, media=media, template=f"symmetry/{asked_id}",
        ),
        Task(
            task="scene_symmetry_box", question=boxed, answer_text=marked, answer=answer,
            verifier="iou", media=media, template=f"symmetry/{boxed_id}",
        ),
    ]  # fmt: skip


def _covered(mosaic: Mosaic, rng: random.Random, media: tuple[str, ...]) -> Task:
    r, c = mosaic.spot
    mirror = len(mosaic.cells[0]) - 1 - c
    color = mosaic.cells[r][c]
    trace = f"Column {c + 1} mirrors column {mirror + 1}, and there row {r + 1} is {color}."
    question, template = worded(BANK, "covered", rng, row=r + 1, column=c + 1)
    return Task(
        task="scene_symmetry_covered", question=noted(question, "word", rng), answer_text=color,
        answer=Answer(type="text", value=color), verifier="exact_ci", trace=trace, media=media,
        template=f"symmetry/{template}",
    )  # fmt: skip
