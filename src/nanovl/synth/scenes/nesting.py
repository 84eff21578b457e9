"""Frames within frames with shapes in them: what is inside what, and how deep.

Source: data synthesis specification, section 12 (nested containment). The wordings are our own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageDraw

from nanovl.synth.asking import Bank, box_answer, join_words, noted, plural, with_article, worded
from nanovl.synth.base import Answer, Box, Reject, Task
from nanovl.synth.scenes.paint import background, paint_item
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Canvas, Item, attributes
from nanovl.synth.scenes.shapes import COLORS

__all__ = ["Frame", "Nest", "draw_nest", "nest_tasks"]

BANK: Bank = {
    "inside": (
        "how many shapes are inside the {frame}? Frames do not count; shapes in inner frames do.",
        "count the shapes within the {frame}, those in frames inside it included, frames left out.",
        "inside the {frame}, nested frames included, how many shapes are there (frames not "
        "counted)?",
        "what is the number of shapes enclosed by the {frame}, at any depth and without frames?",
        "how many shapes, frames aside, does the {frame} enclose at any depth?",
    ),
    "direct": (
        "how many shapes are directly inside the {frame}, not within another frame?",
        "count the shapes that lie in the {frame} but in no inner frame.",
        "leaving out what inner frames hold, how many shapes are in the {frame}?",
        "what is the number of shapes whose nearest frame is the {frame}?",
        "of how many shapes is the {frame} the innermost frame?",
    ),
    "is-in": (
        "is the {item} inside the {frame}?",
        "does the {frame} enclose the {item}?",
        "does the {item} lie within the {frame}?",
        "is the {item} somewhere in the {frame}?",
        "would you find the {item} within the {frame}?",
    ),
    "nearest": (
        "which frame directly surrounds the {item}?",
        "what is the innermost frame around the {item}?",
        "name the frame that holds the {item} without another one in between.",
        "the {item} lies directly in which frame?",
        "of all frames, which is the closest around the {item}?",
    ),
    "layers": (
        "how many frames surround the {item}?",
        "count the frames around the {item}.",
        "how many frames would you cross from the {item} to the edge of the picture?",
        "in how many frames, one within the other, does the {item} lie?",
        "what is the number of frames that enclose the {item}?",
    ),
    "frames": (
        "how many frames does the picture have?",
        "count the frames, inner ones included.",
        "what is the number of frames in total?",
        "how many frames do you see, at any depth?",
        "state how many frames are drawn, nested ones too.",
    ),
    "box": (
        "give the bounding box of the {frame}.",
        "locate the {frame} with a box.",
        "where is the {frame}? Answer with a box.",
        "mark the {frame} by a bounding box.",
        "draw a box around the {frame}.",
    ),
}
_SHAPES = {"square": "square frame", "circle": "round frame"}


@dataclass(frozen=True)
class Frame:
    """An outline that holds things.

    Attributes:
        number: Its place among frames.
        shape: "square" or "circle".
        color: As a word.
        box: Of its outer edge.
        parent: Number of the frame around it, -1 for none.
    """

    number: int
    shape: str
    color: str
    box: Box
    parent: int

    @property
    def name(self) -> str:
        """`blue square frame`."""
        return f"{self.color} {_SHAPES[self.shape]}"


@dataclass(frozen=True)
class Nest:
    """Frames and the shapes in them; `homes` are the numbers of their frames, -1 for none."""

    canvas: Canvas
    frames: tuple[Frame, ...]
    items: tuple[Item, ...]
    homes: tuple[int, ...]

    def around(self, item: int) -> list[int]:
        """Frames around a shape, innermost first."""
        found = []
        at = self.homes[item]
        while at >= 0:
            found.append(at)
            at = self.frames[at].parent
        return found

    def to_json(self) -> dict[str, Any]:
        """Ground truth."""
        return {
            "canvas": [self.canvas.width, self.canvas.height],
            "background": {"color": self.canvas.ground, "texture": self.canvas.texture},
            "frames": [
                {"name": f.name, "bbox": list(f.box), "parent": f.parent} for f in self.frames
            ],
            "objects": [
                {**item.to_json(), "frame": home}
                for item, home in zip(self.items, self.homes, strict=True)
            ],
        }


class _Grower:
    """A nest in the making."""

    def __init__(self, rng: random.Random, canvas: Canvas) -> None:
        values = attributes(rng, canvas.ground, plain=True, glyphs=False)
        colors = values["color"]
        self.rng, self.canvas = rng, canvas
        self.looks = [(s, c) for s in sorted(_SHAPES) for c in colors]
        self.things = [(s, c) for s in values["shape"] for c in colors]
        rng.shuffle(self.looks)
        rng.shuffle(self.things)
        self.frames: list[Frame] = []
        self.items: list[Item] = []
        self.homes: list[int] = []

    def fill(self, area: Box, parent: int, depth: int) -> None:
        """Put frames and shapes into an area."""
        rng = self.rng
        wide, high = area[2] - area[0], area[3] - area[1]
        columns, rows = (2, 2) if min(wide, high) > 150 and rng.random() < 0.6 else (2, 1)
        if columns * rows == 2 and high > wide:
            columns, rows = 1, 2
        if depth and rng.random() < 0.2:
            columns, rows = 1, 1
        for row in range(rows):
            for column in range(columns):
                x, y = area[0] + column * wide / columns, area[1] + row * high / rows
                cell = (x, y, x + wide / columns, y + high / rows)
                self._place(cell, parent, depth)

    def _place(self, cell: Box, parent: int, depth: int) -> None:
        rng = self.rng
        side = min(cell[2] - cell[0], cell[3] - cell[1])
        wants_frame = side >= 70 and depth < 3 and rng.random() < (0.85 if depth == 0 else 0.55)
        if wants_frame and self.looks:
            self._frame(cell, parent, depth, side)
        elif side >= 30 and self.things and rng.random() < 0.9:
            shape, color = self.things.pop()
            diameter = 2 * int(min(0.66 * side, 64) / 2)
            x, y = round((cell[0] + cell[2]) / 2), round((cell[1] + cell[3]) / 2)
            item = Item(id=len(self.items), shape=shape, color=color, fill="solid",
                        size="medium", x=x, y=y, diameter=diameter)  # fmt: skip
            self.items.append(item)
            self.homes.append(parent)

    def _frame(self, cell: Box, parent: int, depth: int, side: float) -> None:
        shape, color = self.looks.pop()
        x, y = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2
        if shape == "circle":
            half_w = half_h = 0.46 * side
        else:
            half_w, half_h = 0.46 * (cell[2] - cell[0]), 0.46 * (cell[3] - cell[1])
            half_w, half_h = min(half_w, 1.5 * half_h), min(half_h, 1.5 * half_w)
        box = tuple(float(round(v)) for v in (x - half_w, y - half_h, x + half_w, y + half_h))
        frame = Frame(len(self.frames), shape, color, (box[0], box[1], box[2], box[3]), parent)
        self.frames.append(frame)
        share = 0.68 if shape == "circle" else 0.9
        inner = (x - share * half_w, y - share * half_h, x + share * half_w, y + share * half_h)
        self.fill(inner, frame.number, depth + 1)


def draw_nest(rng: random.Random, canvas: Canvas) -> tuple[Nest, Image.Image]:
    """A random nest and its picture.

    Raises:
        Reject: Too little is in it.
    """
    grower = _Grower(rng, canvas)
    edge = 6.0
    grower.fill((edge, edge, canvas.width - edge, canvas.height - edge), -1, 0)
    nest = Nest(canvas, tuple(grower.frames), tuple(grower.items), tuple(grower.homes))
    if len(nest.frames) < 2 or len(nest.items) < 3 or all(f.parent < 0 for f in nest.frames):
        raise Reject("flat", "nothing is nested")
    image = background(canvas)
    draw = ImageDraw.Draw(image)
    width = max(3, min(canvas.width, canvas.height) // 90)
    for frame in nest.frames:
        box = (frame.box[0], frame.box[1], frame.box[2] - 1, frame.box[3] - 1)
        if frame.shape == "circle":
            draw.ellipse(box, outline=COLORS[frame.color], width=width)
        else:
            draw.rectangle(box, outline=COLORS[frame.color], width=width)
    for item in nest.items:
        paint_item(image, item)
    return nest, image


def _named(item: Item) -> str:
    return describe(item, ("color", "shape"))


def nest_tasks(nest: Nest, rng: random.Random, count: int, media: tuple[str, ...]) -> list[Task]:
    """Questions on what is inside what.

    Args:
        nest: What is shown.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    kinds = sorted(BANK)
    rng.shuffle(kinds)
    tasks: list[Task] = []
    for kind in kinds:
        task = _task(nest, kind, rng)
        if task is not None and len(tasks) < count:
            tasks.append(replace(task, media=media))
    return tasks


def _number(kind: str, value: int, trace: str, rng: random.Random, **slots: object) -> Task:
    question, template = worded(BANK, kind, rng, **slots)
    return Task(
        task=f"scene_nested_{kind.replace('-', '_')}", question=noted(question, "number", rng),
        answer_text=str(value), answer=Answer(type="number", value=value), verifier="number",
        trace=trace, template=f"nested/{template}",
    )  # fmt: skip


def _task(nest: Nest, kind: str, rng: random.Random) -> Task | None:
    frame = rng.choice(nest.frames)
    number = rng.randrange(len(nest.items))
    item = nest.items[number]
    around = nest.around(number)
    chain = [nest.frames[k].name for k in around]
    told = f"Around the {_named(item)}, from the inside out: " + (
        f"{join_words([f'the {name}' for name in chain])}." if chain else "no frame."
    )  # fmt: skip
    if kind in ("inside", "direct"):
        homes = [nest.around(k) for k in range(len(nest.items))]
        if kind == "direct":
            found = [k for k, home in enumerate(homes) if home[:1] == [frame.number]]
        else:
            found = [k for k, home in enumerate(homes) if frame.number in home]
        names = join_words([f"the {_named(nest.items[k])}" for k in found]) or "nothing"
        trace = f"In the {frame.name} I find {names}: {len(found)}."
        return _number(kind, len(found), trace, rng, frame=frame.name)
    if kind == "layers":
        return _number(kind, len(around), f"{told} That makes {len(around)}.", rng,
                       item=_named(item))  # fmt: skip
    if kind == "frames":
        names = join_words([with_article(f.name) for f in nest.frames])
        trace = f"I see {names}: {plural(len(nest.frames), 'frame')}."
        return _number(kind, len(nest.frames), trace, rng)
    if kind == "box":
        question, template = worded(BANK, kind, rng, frame=frame.name)
        text, answer = box_answer(frame.name, [frame.box], nest.canvas.width, nest.canvas.height)
        return Task(task="scene_nested_box", question=question, answer_text=text, answer=answer,
                    verifier="iou", template=f"nested/{template}")  # fmt: skip
    if kind == "nearest":
        if not around:
            return None
        question, template = worded(BANK, kind, rng, item=_named(item))
        name = chain[0]
        return Task(
            task="scene_nested_nearest", question=noted(question, "word", rng), answer_text=name,
            answer=Answer(type="text", value=name), verifier="exact_ci", trace=told,
            template=f"nested/{template}",
        )  # fmt: skip
    return _is_in(nest, rng)


def _is_in(nest: Nest, rng: random.Random) -> Task | None:
    """Yes as often as no."""
    wanted = rng.random() < 0.5
    pairs = [
        (k, f)
        for k in range(len(nest.items))
        for f in nest.frames
        if (f.number in nest.around(k)) == wanted
    ]
    if not pairs:
        return None
    number, frame = rng.choice(pairs)
    item = _named(nest.items[number])
    chain = [f"the {nest.frames[k].name}" for k in nest.around(number)]
    trace = f"The {item} lies in {join_words(chain)}." if chain else f"No frame holds the {item}."
    question, template = worded(BANK, "is-in", rng, item=item, frame=frame.name)
    return Task(
        task="scene_nested_is_in", question=noted(question, "yesno", rng),
        answer_text="Yes" if wanted else "No", answer=Answer(type="bool", value=wanted),
        verifier="exact_ci", trace=trace, template=f"nested/{template}",
    )  # fmt: skip
