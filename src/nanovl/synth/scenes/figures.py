"""Plane figures drawn to scale, with labels placed so that none covers a line or another label.

A figure is named points in a plane (y up) and what connects them. Must not know questions.

Source: data synthesis specification, section 13 (geometry figures).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from PIL import Image

from nanovl.synth.base import Box, Reject
from nanovl.synth.scenes.shapes import COLORS, RGB
from nanovl.synth.scenes.sheet import Sheet

__all__ = ["AngleMark", "Drawn", "Figure", "Point", "angle_at", "distance", "draw", "polar"]

Point = tuple[float, float]
MARGIN = 52  # pixels left free around a figure for its labels


@dataclass(frozen=True)
class AngleMark:
    """An arc at `vertex` between the directions of two points, with a text or none."""

    first: str
    vertex: str
    second: str
    text: str = ""
    is_right: bool = False


@dataclass
class Figure:
    """What is drawn.

    Attributes:
        points: Places by name; names of one capital letter are shown.
        segments: Pairs of names.
        dashed: Pairs of names, drawn with dashes.
        circles: Name of the centre and radius.
        angles: Marks.
        lengths: Pairs of names and the text beside their connection.
        ticks: Pairs of names that get an equal number of small strokes, and that number.
        arrows: Pairs of names with an arrow head in the middle (parallel lines).
    """

    points: dict[str, Point]
    segments: list[tuple[str, str]] = field(default_factory=list)
    dashed: list[tuple[str, str]] = field(default_factory=list)
    circles: list[tuple[str, float]] = field(default_factory=list)
    angles: list[AngleMark] = field(default_factory=list)
    lengths: list[tuple[str, str, str]] = field(default_factory=list)
    ticks: list[tuple[str, str, int]] = field(default_factory=list)
    arrows: list[tuple[str, str]] = field(default_factory=list)

    def close(self, *names: str) -> Figure:
        """Connect points in a ring; returns the figure."""
        self.segments += list(zip(names, [*names[1:], names[0]], strict=True))
        return self

    def turned(self, degrees: float) -> None:
        """Turn all points about the origin, counterclockwise."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        self.points = {n: (x * c - y * s, x * s + y * c) for n, (x, y) in self.points.items()}


@dataclass(frozen=True)
class Drawn:
    """A picture of a figure.

    Attributes:
        image: The picture.
        places: Points in pixels by name.
        labels: Text and box of every label.
    """

    image: Image.Image
    places: dict[str, Point]
    labels: tuple[dict[str, Any], ...]


def polar(center: Point, radius: float, degrees: float) -> Point:
    """Point at a distance and an angle counterclockwise from the right."""
    angle = math.radians(degrees)
    return center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle)


def distance(a: Point, b: Point) -> float:
    """Length of the connection."""
    return math.hypot(a[0] - b[0], a[1] - b[1])


def angle_at(a: Point, vertex: Point, b: Point) -> float:
    """Angle between two directions in degrees, 0 to 180."""
    one = math.atan2(a[1] - vertex[1], a[0] - vertex[0])
    two = math.atan2(b[1] - vertex[1], b[0] - vertex[0])
    return abs((math.degrees(one - two) + 180) % 360 - 180)


class _Placer:
    """Finds free places for labels."""

    def __init__(self, sheet: Sheet, lines: list[tuple[Point, Point]], ink: RGB) -> None:
        self.sheet, self.lines, self.ink = sheet, lines, ink
        self.taken: list[Box] = []

    def put(self, text: str, candidates: list[Point], size: int, color: RGB | None = None) -> None:
        for x, y in candidates:
            box = self.sheet.measured(text, size, x, y)
            wide = (box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3)
            if (
                box[0] >= 2
                and box[1] >= 2
                and box[2] <= self.sheet.width - 2
                and box[3] <= self.sheet.height - 2
                and not any(_meet(wide, other) for other in self.taken)
                and not any(_crosses(wide, line) for line in self.lines)
            ):
                self.sheet.text(text, x, y, color or self.ink, size)
                self.taken.append(wide)
                return
        raise Reject("label", f"no room for {text!r}")


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crosses(box: Box, line: tuple[Point, Point]) -> bool:
    """Whether a segment has a part in a box (slab test)."""
    (x0, y0), (x1, y1) = line
    low, high = 0.0, 1.0
    for start, delta, least, most in (
        (x0, x1 - x0, box[0], box[2]),
        (y0, y1 - y0, box[1], box[3]),
    ):
        if abs(delta) < 1e-9:
            if not least < start < most:
                return False
            continue
        a, b = sorted(((least - start) / delta, (most - start) / delta))
        low, high = max(low, a), min(high, b)
    return low < high


def draw(figure: Figure, rng: random.Random, size: int) -> Drawn:
    """Draw a figure.

    Args:
        figure: What to draw; it is scaled to fit.
        rng: Where the style comes from.
        size: Longer side of the picture in pixels.

    Raises:
        Reject: A label found no room.
    """
    outline = list(figure.points.values())
    for name, radius in figure.circles:
        x, y = figure.points[name]
        outline += [(x - radius, y - radius), (x + radius, y + radius)]
    xs, ys = [p[0] for p in outline], [p[1] for p in outline]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    scale = (size - 2 * MARGIN) / max(wide, high)
    width, height = round(wide * scale) + 2 * MARGIN, round(high * scale) + 2 * MARGIN
    ground, ink = rng.choice(
        (
            ((255, 255, 255), (0, 0, 0)),
            ((255, 255, 255), (30, 50, 120)),
            ((248, 246, 238), (30, 30, 30)),
            ((238, 243, 248), (20, 40, 60)),
            ((38, 60, 48), (240, 240, 230)),
        )
    )
    is_dark = sum(ground) < 300
    accent = rng.choice([COLORS[c] for c in (("yellow", "cyan") if is_dark else ("red", "blue"))])
    sheet = Sheet(width, height, ground)
    places = {
        n: (MARGIN + (x - min(xs)) * scale, MARGIN + (max(ys) - y) * scale)
        for n, (x, y) in figure.points.items()
    }
    thick = rng.choice((1.5, 2.0, 2.5))
    lines = [(places[a], places[b]) for a, b in [*figure.segments, *figure.dashed]]
    if rng.random() < 0.25 and figure.segments and not is_dark:
        ring = [a for a, _ in figure.segments]
        closed = all(figure.segments[k][1] == ring[(k + 1) % len(ring)] for k in range(len(ring)))
        if closed and len(ring) > 2:
            sheet.polygon([places[n] for n in ring], fill=(224, 234, 220))
    for name, radius in figure.circles:
        x, y = places[name]
        r = radius * scale
        sheet.circle(x, y, r, None, ink, thick)
        around = [(x + r * math.cos(t / 18 * math.pi), y + r * math.sin(t / 18 * math.pi))
                  for t in range(37)]  # fmt: skip
        lines += list(pairwise(around))
    for a, b in figure.segments:
        sheet.line([places[a], places[b]], ink, thick)
    for a, b in figure.dashed:
        sheet.line([places[a], places[b]], ink, max(1.2, thick - 0.5), dash=6)
    for a, b, count in figure.ticks:
        _strokes(sheet, places[a], places[b], count, ink)
    for a, b in figure.arrows:
        _arrow(sheet, places[a], places[b], ink)
    placer = _Placer(sheet, lines, ink)
    _angles(figure, places, sheet, placer, accent)
    middle = (width / 2, height / 2)
    for a, b, text in figure.lengths:
        placer.put(text, _beside(places[a], places[b], middle), 16)
    for name, place in places.items():
        if len(name) == 1:
            sheet.circle(*place, thick + 1, ink)
            placer.put(name, _around(place, middle), 18)
    labels = tuple({"text": label.text, "bbox": list(label.box)} for label in sheet.labels)
    return Drawn(sheet.finish(), places, labels)


def _strokes(sheet: Sheet, a: Point, b: Point, count: int, ink: RGB) -> None:
    length = distance(a, b)
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    for k in range(count):
        shift = 5 * (k - (count - 1) / 2)
        x, y = (a[0] + b[0]) / 2 + ux * shift, (a[1] + b[1]) / 2 + uy * shift
        sheet.line([(x - uy * 6, y + ux * 6), (x + uy * 6, y - ux * 6)], ink, 1.5)


def _arrow(sheet: Sheet, a: Point, b: Point, ink: RGB) -> None:
    length = distance(a, b)
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    x, y = a[0] + 0.8 * (b[0] - a[0]), a[1] + 0.8 * (b[1] - a[1])
    for side in (-1, 1):
        end = (x - 9 * ux - side * 6 * uy, y - 9 * uy + side * 6 * ux)
        sheet.line([(x, y), end], ink, 1.8)


def _angles(
    figure: Figure, places: dict[str, Point], sheet: Sheet, placer: _Placer, accent: RGB
) -> None:
    for mark in figure.angles:
        vertex = places[mark.vertex]
        turns = []
        for name in (mark.first, mark.second):
            x, y = places[name]
            turns.append(math.degrees(math.atan2(y - vertex[1], x - vertex[0])))
        low, high = turns
        if (high - low) % 360 > 180:
            low, high = high, low
        span = (high - low) % 360
        bisector = math.radians(low + span / 2)
        reach = min(distance(places[n], vertex) for n in (mark.first, mark.second))
        radius = min(30.0 if span > 25 else 42.0, reach * 0.45)
        if mark.is_right:
            side = min(14.0, reach * 0.3)
            corners = []
            for degrees, share in ((low, 1.0), (low + span / 2, math.sqrt(2)), (high, 1.0)):
                t = math.radians(degrees)
                corners.append(
                    (vertex[0] + side * share * math.cos(t), vertex[1] + side * share * math.sin(t))
                )
            sheet.line(corners, accent, 1.5)
        else:
            sheet.arc(*vertex, radius, low, low + span, accent, 1.8)
        if mark.text:
            candidates = []
            for far in range(12, 90, 4):
                r = radius + far
                candidates.append(
                    (vertex[0] + r * math.cos(bisector), vertex[1] + r * math.sin(bisector))
                )
            placer.put(mark.text, candidates, 15, accent)


def _beside(a: Point, b: Point, middle: Point) -> list[Point]:
    length = distance(a, b)
    nx, ny = -(b[1] - a[1]) / length, (b[0] - a[0]) / length
    mx, my = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    if (mx - middle[0]) * nx + (my - middle[1]) * ny < 0:
        nx, ny = -nx, -ny
    found = []
    for sign in (1, -1):
        for along in (0.0, 0.1, -0.1, 0.2, -0.2):
            for far in (12, 16, 20, 24, 28):
                found.append(
                    (
                        mx + along * (b[0] - a[0]) + sign * far * nx,
                        my + along * (b[1] - a[1]) + sign * far * ny,
                    )
                )
    return found


def _around(place: Point, middle: Point) -> list[Point]:
    away = math.atan2(place[1] - middle[1], place[0] - middle[0])
    found = []
    for far in (15, 18, 22, 27):
        for turn in (0, 30, -30, 60, -60, 90, -90, 120, -120, 150, -150, 180):
            t = away + math.radians(turn)
            found.append((place[0] + far * math.cos(t), place[1] + far * math.sin(t)))
    return found
