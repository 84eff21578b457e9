"""A flat scene: objects with attributes and places, and relations that hold by a clear margin.

Sizes, places and boxes are pixels, origin at the top left. Must not draw.

Source: data synthesis specification, section 12.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nanovl.synth.base import Box, Reject
from nanovl.synth.scenes.shapes import COLORS, FILLS, GLYPHS, RGB, SHAPES, ink_area, ink_box

__all__ = [
    "ATTRIBUTES",
    "BACKGROUNDS",
    "DIRECTIONS",
    "Canvas",
    "Item",
    "Scene",
    "attributes",
    "contrast",
    "draw_canvas",
    "place_apart",
    "place_grid",
    "scattered",
]

ATTRIBUTES = ("size", "fill", "color", "shape")
SIZES = {"small": 0.5, "medium": 0.72, "large": 1.0}
DIRECTIONS = ("left", "right", "above", "below")
TURNABLE = ("square", "triangle", "star", "pentagon", "arrow", "heart")
BACKGROUNDS: dict[str, RGB] = {
    "white": (255, 255, 255),
    "paper": (246, 242, 232),
    "light gray": (216, 218, 222),
    "pale blue": (222, 232, 244),
    "pale green": (226, 240, 226),
    "dark": (44, 48, 56),
}
CANVAS_SIZES = ((256, 256), (320, 320), (384, 384), (448, 336), (336, 448), (512, 384), (512, 512))
MOST_RELATED = 12  # relations are only listed for scenes with at most so many objects
LEAST_GAP = 0.055  # of the canvas: how far apart two centres are on both axes


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The surface.

    Attributes:
        width, height: In pixels.
        ground: A key of `BACKGROUNDS`.
        texture: "plain", "gradient", "grid" or "noise".
    """

    width: int
    height: int
    ground: str = "white"
    texture: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Item:
    """An object.

    Attributes:
        id: Number in its scene, from left to right where a scene is scattered.
        shape, color, fill, size: Attributes, as words.
        x, y: Centre.
        diameter: Side of the square it is drawn in.
        turn: Degrees clockwise.
    """

    id: int
    shape: str
    color: str
    fill: str
    size: str
    x: int
    y: int
    diameter: int
    turn: int = 0

    @property
    def corner(self) -> tuple[int, int]:
        """Top left corner of its square."""
        return self.x - self.diameter // 2, self.y - self.diameter // 2

    @property
    def box(self) -> Box:
        """Box of its visible pixels."""
        left, top = self.corner
        x0, y0, x1, y1 = ink_box(self.shape, self.diameter, self.turn)
        return float(left + x0), float(top + y0), float(left + x1), float(top + y1)

    def get(self, attribute: str) -> str:
        """The value of one of `ATTRIBUTES`."""
        return str(getattr(self, attribute))

    def to_json(self) -> dict[str, Any]:
        """Everything known about it."""
        return {
            "id": self.id,
            **{name: self.get(name) for name in ATTRIBUTES},
            "bbox": list(self.box),
            "center": [self.x, self.y],
            "diameter": self.diameter,
            "turn": self.turn,
            "visible_px": ink_area(self.shape, self.diameter, self.turn, self.fill),
        }


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Objects on a canvas.

    Attributes:
        canvas: Where.
        items: Ids are their places in this tuple.
        margin: Least distance along an axis that makes a relation, in pixels.
    """

    canvas: Canvas
    items: tuple[Item, ...]
    margin: float

    @cached_property
    def masks(self) -> dict[tuple[str, str], int]:
        """For every attribute and value that occurs, the objects that have it as bits."""
        found: dict[tuple[str, str], int] = {}
        for item in self.items:
            for name in ATTRIBUTES:
                pair = (name, item.get(name))
                found[pair] = found.get(pair, 0) | 1 << item.id
        return found

    def related(self, item: Item, direction: str) -> tuple[int, ...]:
        """Ids of the objects that stand in a direction from an object."""
        return tuple(o.id for o in self.items if o.id != item.id and self.is_at(o, direction, item))

    def is_at(self, a: Item, direction: str, b: Item) -> bool:
        """Whether `a` is left of / right of / above / below `b`."""
        shift = {"left": b.x - a.x, "right": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}
        return shift[direction] >= self.margin

    def to_json(self) -> dict[str, Any]:
        """Ground truth."""
        canvas = self.canvas
        found: dict[str, Any] = {
            "canvas": [canvas.width, canvas.height],
            "background": {"color": canvas.ground, "texture": canvas.texture},
            "objects": [item.to_json() for item in self.items],
        }
        if len(self.items) <= MOST_RELATED:
            found["relations"] = {
                d: [list(self.related(item, d)) for item in self.items] for d in DIRECTIONS
            }
        return found


def contrast(a: RGB, b: RGB) -> float:
    """Contrast ratio of two colours, 1 to 21, from their relative luminances."""

    def light(color: RGB) -> float:
        parts = [v / 255 for v in color]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def draw_canvas(rng: random.Random, sizes: Sequence[tuple[int, int]] = CANVAS_SIZES) -> Canvas:
    """A random surface."""
    width, height = rng.choice(sizes)
    texture = rng.choices(("plain", "gradient", "grid", "noise"), (6, 2, 1, 1))[0]
    return Canvas(
        width=width, height=height, ground=rng.choice(sorted(BACKGROUNDS)), texture=texture
    )


def _is_seen(color: str, ground: str) -> bool:
    a, b = COLORS[color], BACKGROUNDS[ground]
    apart = sum(abs(p - q) for p, q in zip(a, b, strict=True))
    return apart > 170 and (contrast(a, b) > 1.25 or apart > 260)


# Pairs that are hard to tell apart do not meet in one scene.
_ALIKE = (("blue", "navy"), ("black", "navy"), ("gray", "black"), ("green", "lime"),
          ("red", "brown"), ("orange", "brown"), ("yellow", "lime"), ("pink", "white"),
          ("gray", "green"), ("orange", "yellow"), ("blue", "purple"))  # fmt: skip
_ALIKE_SHAPES = (("pentagon", "hexagon"), ("circle", "ring"), ("hexagon", "circle"))


def _palette(rng: random.Random, ground: str, count: int) -> list[str]:
    pool = [c for c in COLORS if _is_seen(c, ground)]
    rng.shuffle(pool)
    return _without_pairs(pool, _ALIKE)[:count]


def _without_pairs(pool: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    kept: list[str] = []
    for name in pool:
        if not any({name, other} in map(set, pairs) for other in kept):
            kept.append(name)
    return kept


def attributes(
    rng: random.Random, ground: str, *, plain: bool = False, glyphs: bool = True
) -> dict[str, list[str]]:
    """The values from which the objects of one scene are drawn.

    Args:
        rng: Where the choice comes from.
        ground: Key of the background, against which every colour stands out.
        plain: Only one size and solid fill.
        glyphs: Whether letters and digits may be among the shapes.
    """
    pool = list(SHAPES)
    rng.shuffle(pool)
    shapes = _without_pairs(pool, _ALIKE_SHAPES)[: rng.randint(3, 6)]
    if glyphs and rng.random() < 0.2:
        shapes += rng.sample(GLYPHS, 2)
    sizes = ["medium"] if plain else rng.choice((["small", "large"], ["medium"]))
    fills = ["solid"]
    if not plain and rng.random() < 0.6:
        fills += rng.sample(FILLS[1:], rng.randint(1, 2))
    return {
        "shape": shapes,
        "color": _palette(rng, ground, rng.randint(3, 6)),
        "fill": fills,
        "size": sizes,
    }


def _draw_item(rng: random.Random, values: Mapping[str, Sequence[str]], large: float) -> Item:
    shape = rng.choice(values["shape"])
    size = rng.choice(values["size"])
    color = rng.choice(values["color"])
    fill = "solid" if len(shape) == 1 else rng.choice(values["fill"])
    turn = rng.choice((0, 0, 0, 15, 345)) if shape in TURNABLE and shape != "square" else 0
    diameter = max(16, 2 * round(large * SIZES[size] / 4) * 2)
    return Item(
        id=0, shape=shape, color=color, fill=fill, size=size, x=0, y=0, diameter=diameter, turn=turn
    )


def _spread(rng: random.Random, count: int, low: float, high: float, gap: float) -> list[float]:
    """Sorted random numbers in [low, high], neighbours at least `gap` apart."""
    free = high - low - gap * (count - 1)
    if free < 0:
        raise Reject("no_room", f"{count} objects do not fit")
    cuts = sorted(rng.random() * free for _ in range(count))
    return [low + cut + gap * k for k, cut in enumerate(cuts)]


def place_apart(
    rng: random.Random, canvas: Canvas, items: Sequence[Item], clearance: float = 1.08
) -> tuple[Item, ...]:
    """Objects at places where every pair has a clear order on both axes and none overlap.

    Raises:
        Reject: No such placement was found in 50 tries.
    """
    w, h = canvas.width, canvas.height
    edge = max(i.diameter for i in items) / 2 + 4
    count = len(items)
    for _ in range(50):
        xs = _spread(rng, count, edge, w - edge, LEAST_GAP * w)
        ys = _spread(rng, count, edge, h - edge, LEAST_GAP * h)
        rng.shuffle(ys)
        shuffled = list(items)
        rng.shuffle(shuffled)
        placed = [
            replace(item, id=k, x=round(x), y=round(y))
            for k, (item, x, y) in enumerate(zip(shuffled, xs, ys, strict=True))
        ]
        if not any(_too_close(a, b, clearance) for k, a in enumerate(placed) for b in placed[:k]):
            return tuple(placed)
    raise Reject("no_room", f"{count} objects in {w} x {h}")


def _too_close(a: Item, b: Item, clearance: float) -> bool:
    reach = (a.diameter + b.diameter) / 2 * clearance + 2
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2 < reach * reach


def scattered(
    rng: random.Random, canvas: Canvas, values: Mapping[str, Sequence[str]], count: int
) -> Scene:
    """A scene of objects with drawn attributes.

    Raises:
        Reject: They do not fit.
    """
    side = min(canvas.width, canvas.height)
    large = side * (0.24 if count <= 6 else 0.19 if count <= 9 else 0.16)
    items = place_apart(rng, canvas, [_draw_item(rng, values, large) for _ in range(count)])
    margin = 0.9 * LEAST_GAP * side
    return Scene(canvas=canvas, items=items, margin=margin)


def place_grid(
    rng: random.Random,
    canvas: Canvas,
    values: Mapping[str, Sequence[str]],
    count: int,
    *,
    is_regular: bool,
) -> Scene:
    """Many small objects that do not touch: on a grid, or jittered in its cells."""
    w, h = canvas.width, canvas.height
    columns = 1
    while columns * max(1, round(columns * h / w)) < count or columns < 3:
        columns += 1
    rows = max(1, round(columns * h / w), -(-count // columns))
    cell = min(w / columns, h / rows)
    places = [(r, c) for r in range(rows) for c in range(columns)]
    if not is_regular:
        places = sorted(rng.sample(places, count))
    diameter = max(12, 2 * int(cell * (0.8 if is_regular else 0.62) / 2))
    room = 0 if is_regular else max(0, int((cell - diameter) / 2) - 1)
    items = []
    for k, (row, column) in enumerate(places[:count]):
        item = _draw_item(rng, values, diameter)
        x = int((column + 0.5) * w / columns) + (rng.randint(-room, room) if room else 0)
        y = int((row + 0.5) * h / rows) + (rng.randint(-room, room) if room else 0)
        items.append(replace(item, id=k, x=x, y=y, diameter=diameter, size="medium"))
    return Scene(canvas=canvas, items=tuple(items), margin=0.25 * cell)
