"""Odd one out, and the missing tile of a three by three pattern.

Source: data synthesis specification, section 12. The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from nanovl.data.convert.templates import letters
from nanovl.synth.asking import Bank, box_answer, noted, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.scenes.paint import background, paint_item
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Canvas, Item
from nanovl.synth.scenes.shapes import RGB
from nanovl.synth.typefaces import BUILTIN, load_font

__all__ = ["Puzzle", "odd_one_out", "pattern"]

BANK: Bank = {
    "odd": (
        "which object does not fit with the others? Say its {name} and its row and column.",
        "one object is the odd one out: give its {name}, row and column.",
        "find the object that differs. State its {name} and where it is (row, column).",
        "what is the odd one out? Answer with its {name}, row and column.",
    ),
    "odd-box": (
        "mark the object that does not fit with a box.",
        "give the bounding box of the odd one out.",
        "where is the object that differs from all others? Answer with a box.",
        "locate the odd one out; reply with its box.",
    ),
    "odd-why": (
        "in which attribute does the odd one out differ?",
        "one object differs from the rest: in size, fill, color or shape?",
        "by what is the odd object different: size, fill, color or shape?",
        "which attribute sets one of the objects apart?",
    ),
    "pattern": (
        "which option completes the pattern?",
        "what belongs in the empty tile: A, B, C or D?",
        "pick the option that fits the missing tile.",
        "complete the three by three pattern with one of the options.",
    ),
}


@dataclass(frozen=True)
class Puzzle:
    """A drawn puzzle with its tasks."""

    image: Image.Image
    items: tuple[Item, ...]
    tasks: tuple[Task, ...]
    rule: str


def _item(values: Mapping[str, str], x: int, y: int, diameter: int, number: int) -> Item:
    return Item(
        id=number, shape=values["shape"], color=values["color"], fill=values["fill"],
        size=values["size"], x=x, y=y, diameter=diameter,
    )  # fmt: skip


def odd_one_out(
    rng: random.Random, canvas: Canvas, values: Mapping[str, Sequence[str]], media: tuple[str, ...]
) -> Puzzle | None:
    """A grid of alike objects, one of which differs in one attribute; None if nothing can differ.

    Args:
        rng: Where choices come from.
        canvas: The surface.
        values: Attribute values to draw from, without letters and digits.
        media: Name of the picture.
    """
    open_names = [n for n in ("color", "shape", "fill", "size") if len(values[n]) > 1]
    if not open_names:
        return None
    name = rng.choice(open_names)
    base = {n: rng.choice(list(v)) for n, v in values.items()}
    odd = dict(base)
    odd[name] = rng.choice([v for v in values[name] if v != base[name]])
    rows, columns = rng.choice(((2, 3), (3, 3), (3, 4), (4, 4), (4, 5)))
    place = rng.randrange(rows * columns)
    cell = min(canvas.width / columns, canvas.height / rows)
    items = []
    for k in range(rows * columns):
        chosen = odd if k == place else base
        share = {"small": 0.4, "medium": 0.6, "large": 0.75}[chosen["size"]]
        x = int((k % columns + 0.5) * canvas.width / columns)
        y = int((k // columns + 0.5) * canvas.height / rows)
        items.append(_item(chosen, x, y, 2 * int(cell * share / 2), k))
    image = background(canvas)
    for item in items:
        paint_item(image, item)
    row, column = place // columns + 1, place % columns + 1
    rest = f"All others are {base[name]}"
    trace = f"{rest}, while the object in row {row}, column {column} is {odd[name]}."
    target = items[place]
    found = f"{odd[name]}, row {row}, column {column}"
    asked, asked_id = worded(BANK, "odd", rng, name=name)
    marked, marked_id = worded(BANK, "odd-box", rng)
    why, why_id = worded(BANK, "odd-why", rng)
    text, answer = box_answer("odd one out", [target.box], canvas.width, canvas.height)
    tasks = (
        Task(
            task="puzzle_odd", question=asked, answer_text=found,
            answer=Answer(type="text", value=found, boxes=(target.box,)), verifier="exact_ci",
            trace=trace, media=media, template=f"puzzles/{asked_id}",
        ),
        Task(
            task="puzzle_odd_box", question=marked, answer_text=text, answer=answer,
            verifier="iou", media=media, template=f"puzzles/{marked_id}",
        ),
        Task(
            task="puzzle_odd_why", question=noted(why, "word", rng), answer_text=name,
            answer=Answer(type="text", value=name), verifier="exact_ci", trace=trace,
            media=media, template=f"puzzles/{why_id}",
        ),
    )  # fmt: skip
    return Puzzle(image, tuple(items), tasks, f"{name}: {base[name]} / {odd[name]}")


def pattern(
    rng: random.Random, canvas: Canvas, values: Mapping[str, Sequence[str]], ink: RGB,
    media: tuple[str, ...],
) -> Puzzle | None:  # fmt: skip
    """A three by three pattern with two rules, the last tile missing, four options below.

    Rows follow one attribute and columns another one, or each row holds the three values of one
    in some order. None when there are not three values of two attributes.
    """
    if len(values["color"]) < 3 or len(values["shape"]) < 3:
        return None
    colors, shapes = rng.sample(list(values["color"]), 3), rng.sample(list(values["shape"]), 3)
    fill = rng.choice(list(values["fill"]))
    turned = rng.random() < 0.5
    tiles = []
    for row in range(3):
        for column in range(3):
            shape = shapes[(row + column) % 3] if turned else shapes[row]
            tiles.append({"shape": shape, "color": colors[column], "fill": fill, "size": "medium"})
    right = tiles[8]
    wrong = [
        {**right, "color": colors[0]},
        {**right, "shape": next(s for s in shapes if s != right["shape"])},
        {**right, "color": colors[1], "shape": [s for s in shapes if s != right["shape"]][1]},
    ]
    rng.shuffle(wrong)
    place = rng.randrange(4)
    options = [*wrong[:place], right, *wrong[place:]]
    image = background(canvas)
    draw = ImageDraw.Draw(image)
    cell = int(min(canvas.width / 4.4, canvas.height / 4.9))
    size = 2 * int(cell * 0.34)
    left, top = (canvas.width - 3 * cell) // 2, int(cell * 0.15)
    items, spots = [], []
    for k in range(9):
        box = (left + k % 3 * cell, top + k // 3 * cell)
        draw.rectangle((*box, box[0] + cell, box[1] + cell), outline=ink, width=2)
        spots.append((box[0] + cell // 2, box[1] + cell // 2))
    font = load_font(BUILTIN, max(14, cell // 4))
    draw.text(spots[8], "?", font=load_font(BUILTIN, cell // 2), fill=ink, anchor="mm")
    base, names = int(top + 3.35 * cell), letters(4)
    step = canvas.width / 4
    for k, name in enumerate(names):
        x = int((k + 0.5) * step)
        draw.text((x, base), name, font=font, fill=ink, anchor="mt")
        spots.append((x, base + int(0.85 * cell)))
    for k, tile in enumerate([*tiles[:8], *options]):
        at = spots[k] if k < 8 else spots[k + 1]
        items.append(_item(tile, *at, size, k))
    for item in items:
        paint_item(image, item)
    question, template = worded(BANK, "pattern", rng)
    rule = (
        "Each row holds the three shapes once" if turned else "Each row has one shape"
    ) + ", each column has one color"
    name = describe(items[8 + place], ("color", "shape"))
    task = Task(
        task="puzzle_pattern", question=noted(question, "letter", rng), answer_text=names[place],
        answer=Answer(type="choice", value=names[place], boxes=(_box(items[8 + place]),)),
        verifier="mcq", media=media, template=f"puzzles/{template}",
        trace=f"{rule}. The missing tile is therefore a {name}: option {names[place]}.".replace(
            "a orange", "an orange"
        ),
    )  # fmt: skip
    return Puzzle(image, tuple(replace(i, id=k) for k, i in enumerate(items)), (task,), rule)


def _box(item: Item) -> Box:
    return item.box
