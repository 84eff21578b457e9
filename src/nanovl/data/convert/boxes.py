"""Boxes and polygons of annotations as integers 0 to 1000, with a reason for each that is unusable.

What lies outside the picture is cut off; what has no extent left, before or after rounding to a
thousandth of the picture, is malformed. Writing boxes as text is the business of `templates`.

Source: design decision D15; training specification, section 10.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.data.convert.base import Item, Malformed
from nanovl.data.convert.templates import scale_box, scale_point

__all__ = [
    "Box",
    "Quad",
    "Region",
    "corner_box",
    "corner_quad",
    "fraction_box",
    "overlap",
    "points",
    "polygon_box",
    "size_box",
    "top_down",
]

Box = tuple[int, int, int, int]
Quad = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Region:
    """Something with a name and a place.

    Attributes:
        label: Class name or text.
        box: `(x1, y1, x2, y2)`, integers 0 to 1000.
        quad: Its corners when the source draws exactly four, else None.
    """

    label: str
    box: Box
    quad: Quad | None = None


def size_box(item: Item, key: str, width: float, height: float) -> Box:
    """A field `[x, y, width, height]` in pixels (COCO)."""
    x, y, w, h = _numbers(item, key, 4)
    if w <= 0 or h <= 0:
        raise Malformed("bad_box", f"{item.name(key)}: width {w:g} and height {h:g}, expected > 0")
    return _cut((x, y, x + w, y + h), width, height, item.name(key))


def corner_box(item: Item, key: str, width: float, height: float) -> Box:
    """A field `[x1, y1, x2, y2]` in pixels."""
    x1, y1, x2, y2 = _numbers(item, key, 4)
    return _cut((x1, y1, x2, y2), width, height, item.name(key))


def fraction_box(item: Item, *keys: str) -> Box:
    """Four fields x1, y1, x2, y2 as fractions of the picture (Open Images)."""
    x1, y1, x2, y2 = (item.number(key) for key in keys)
    return _cut((x1, y1, x2, y2), 1.0, 1.0, ", ".join(keys))


def points(item: Item, key: str) -> list[tuple[float, float]]:
    """A polygon in pixels, written flat `[x1, y1, ...]` or as pairs."""
    values = item.items(key)
    if values and isinstance(values[0], list):
        if any(not isinstance(pair, list) or len(pair) != 2 for pair in values):
            raise Malformed("bad_box", f"{item.name(key)}: expected pairs of numbers")
        values = [number for pair in values for number in pair]
    if len(values) < 6 or len(values) % 2:
        raise Malformed(
            "bad_box",
            f"{item.name(key)}: got {len(values)} numbers, expected x and y of at least 3 points",
        )
    found = _finite(values, item.name(key))
    return list(zip(found[::2], found[1::2], strict=True))


def polygon_box(
    polygon: Sequence[tuple[float, float]], width: float, height: float, name: str
) -> Box:
    """The upright box around a polygon in pixels."""
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    return _cut((min(xs), min(ys), max(xs), max(ys)), width, height, name)


def corner_quad(polygon: Sequence[tuple[float, float]], width: float, height: float) -> Quad | None:
    """Four corners, clockwise from the one nearest the top left; None for other polygons.

    The order is made from the geometry, because sources disagree about theirs.
    """
    if len(polygon) != 4:
        return None
    corners = [scale_point(x, y, width, height) for x, y in polygon]
    if len(set(corners)) != 4:
        return None
    middle_x, middle_y = sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4
    turned = sorted(corners, key=lambda p: math.atan2(p[1] - middle_y, p[0] - middle_x))
    first = turned.index(min(turned, key=lambda p: (p[0] + p[1], p[1])))
    a, b, c, d = turned[first:] + turned[:first]
    return a, b, c, d


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)]
    return both / (sum(areas) - both)


def top_down(regions: Sequence[Region]) -> list[Region]:
    """Regions from top to bottom, then from left to right, by their top left corners."""
    return sorted(regions, key=lambda r: (r.box[1], r.box[0], r.box[3], r.box[2], r.label))


def _cut(corners: tuple[float, float, float, float], width: float, height: float, name: str) -> Box:
    x1, y1, x2, y2 = corners
    shown = ", ".join(f"{value:g}" for value in corners)
    if x2 <= x1 or y2 <= y1:
        raise Malformed("bad_box", f"{name}: corners {shown} are empty or upside down")
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise Malformed(
            "bad_box", f"{name}: corners {shown} lie outside the picture ({width:g} x {height:g})"
        )
    box = scale_box(corners, width, height)
    if box[0] == box[2] or box[1] == box[3]:
        raise Malformed(
            "bad_box", f"{name}: corners {shown} cover less than a thousandth of the picture"
        )
    return box


def _numbers(item: Item, key: str, count: int) -> tuple[float, ...]:
    values = item.items(key)
    if len(values) != count:
        raise Malformed(
            "bad_box", f"{item.name(key)}: got {len(values)} values, expected {count} numbers"
        )
    return _finite(values, item.name(key))


def _finite(values: Sequence[object], name: str) -> tuple[float, ...]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Malformed("bad_box", f"{name}: got {value!r}, expected a number")
        if not math.isfinite(value):
            raise Malformed("bad_box", f"{name}: got {value}, expected a finite number")
    return tuple(float(value) for value in values)  # type: ignore[arg-type]
