"""Shapes as anti-aliased masks, each drawn once per size and turn and then kept.

A shape is painted from layers: a mask and which of three shades of its colour goes through it.
Masks are pure functions of their arguments, so keeping them changes nothing but speed.

Source: data synthesis specification, section 12. Eight colours carry the RGB values of the CLEVR
data set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

from nanovl.core.errors import ConfigError
from nanovl.synth.typefaces import BUILTIN, load_font

__all__ = ["COLORS", "FILLS", "GLYPHS", "RGB", "SHAPES", "layers", "mixed", "turned"]

RGB = tuple[int, int, int]
Layer = tuple[Image.Image, str]

COLORS: dict[str, RGB] = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
    "orange": (255, 140, 0),
    "pink": (255, 150, 190),
    "black": (15, 15, 15),
    "white": (255, 255, 255),
    "lime": (140, 220, 40),
    "navy": (10, 20, 90),
}
SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "pentagon",
    "hexagon",
    "cross",
    "ring",
    "heart",
    "arrow",
)
GLYPHS = tuple("ABCDEFGHJKLMNPRSTUXYZ2345678")  # no pair that looks alike
FILLS = ("solid", "striped", "dotted", "outlined", "shaded")
SCALE = 4  # masks are drawn this much larger and averaged down


def mixed(color: RGB, other: RGB, share: float) -> RGB:
    """A colour moved towards another one by a share from 0 to 1."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(color, other, strict=True))
    return r, g, b


def turned(points: Sequence[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    """Points turned clockwise (y down) about the origin."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * c - y * s, x * s + y * c) for x, y in points]


def _regular(sides: int, inner: float = 1.0) -> list[tuple[float, float]]:
    count = sides if inner == 1.0 else 2 * sides
    points = []
    for k in range(count):
        angle = 2 * math.pi * k / count - math.pi / 2
        radius = inner if inner != 1.0 and k % 2 else 1.0
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


def _heart() -> list[tuple[float, float]]:
    points = []
    for k in range(60):
        t = 2 * math.pi * k / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 17, (-y - 2.5) / 17))
    return points


_a = 0.32
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)],
    "triangle": [(0.0, -0.95), (0.95, 0.75), (-0.95, 0.75)],
    "star": _regular(5, 0.42),
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "cross": [
        (-_a, -0.95), (_a, -0.95), (_a, -_a), (0.95, -_a), (0.95, _a), (_a, _a),
        (_a, 0.95), (-_a, 0.95), (-_a, _a), (-0.95, _a), (-0.95, -_a), (-_a, -_a),
    ],
    "heart": _heart(),
    "arrow": [
        (-0.95, -0.28), (0.1, -0.28), (0.1, -0.75), (0.97, 0.0), (0.1, 0.75), (0.1, 0.28),
        (-0.95, 0.28),
    ],
}  # fmt: skip


@lru_cache(maxsize=4096)
def _mask(shape: str, diameter: int, turn: int, grow: float = 1.0) -> Image.Image:
    """Mask of a shape in a square of `diameter` pixels; `grow` < 1 shrinks it about its centre."""
    big = diameter * SCALE
    image = Image.new("L", (big, big), 0)
    draw = ImageDraw.Draw(image)
    half = big / 2
    if shape in ("circle", "ring"):
        radius = half * 0.96 * grow
        draw.ellipse((half - radius, half - radius, half + radius, half + radius), fill=255)
        if shape == "ring":
            hole = half * 0.96 * (0.55 if grow == 1.0 else 0.55 / grow * 0.98)
            draw.ellipse((half - hole, half - hole, half + hole, half + hole), fill=0)
    elif shape in OUTLINES:
        points = [
            (half + x * half * 0.97 * grow, half + y * half * 0.97 * grow)
            for x, y in turned(OUTLINES[shape], turn)
        ]
        draw.polygon(points, fill=255)
    elif len(shape) == 1:
        font = load_font(BUILTIN, round(big * 1.05))
        draw.text((half, half), shape, font=font, fill=255, anchor="mm", stroke_width=big // 40)
    else:
        raise ConfigError(f"shape {shape!r} does not exist; known: {', '.join(SHAPES)}")
    return image.reduce(SCALE)


@lru_cache(maxsize=256)
def _pattern(kind: str, diameter: int) -> Image.Image:
    big = diameter * SCALE
    image = Image.new("L", (big, big), 0)
    draw = ImageDraw.Draw(image)
    step = max(6, diameter // 6) * SCALE
    if kind == "striped":
        for x in range(-big, big, step):
            draw.line((x, big, x + big, 0), fill=255, width=step // 2)
    elif kind == "dotted":
        radius = step * 0.3
        for row, y in enumerate(range(step // 2, big, step)):
            for x in range(step // 2 if row % 2 else 0, big + step, step):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    else:
        return Image.linear_gradient("L").resize((diameter, diameter), Image.Resampling.BILINEAR)
    return image.reduce(SCALE)


@lru_cache(maxsize=8192)
def layers(shape: str, diameter: int, turn: int, fill: str) -> tuple[Layer, ...]:
    """What to paint, bottom first.

    Args:
        shape: One of `SHAPES` or `GLYPHS`.
        diameter: Side of the square the shape fits in, in pixels.
        turn: Degrees clockwise.
        fill: One of `FILLS`; letters and digits are always solid.

    Returns:
        Masks of `diameter` x `diameter` and shades: "base", "light" or "dark".
    """
    full = _mask(shape, diameter, turn)
    if fill == "solid" or len(shape) == 1:
        return ((full, "base"),)
    inner = _mask(shape, diameter, turn, 0.74 if shape in ("star", "cross", "arrow") else 0.82)
    if fill == "outlined":
        return ((ImageChops.subtract(full, inner), "base"),)
    pattern = ImageChops.multiply(full, _pattern(fill, diameter))
    if fill == "shaded":
        return ((full, "light"), (pattern, "dark"))
    edge = ImageChops.subtract(full, _mask(shape, diameter, turn, 0.92))
    return ((full, "light"), (pattern, "base"), (edge, "base"))


def ink_box(shape: str, diameter: int, turn: int) -> tuple[int, int, int, int]:
    """Box of what is visible, in the square of the shape."""
    box = _mask(shape, diameter, turn).getbbox()
    return box if box is not None else (0, 0, diameter, diameter)


@lru_cache(maxsize=8192)
def ink_area(shape: str, diameter: int, turn: int, fill: str) -> int:
    """Visible pixels of a shape, those at its edge in part."""
    merged = None
    for mask, _ in layers(shape, diameter, turn, fill):
        merged = mask if merged is None else ImageChops.lighter(merged, mask)
    assert merged is not None
    return round(sum(v * n for v, n in enumerate(merged.histogram())) / 255)
