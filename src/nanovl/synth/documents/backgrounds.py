"""Surfaces that look like something: noise, wood, fabric, stone, gradients, blurred shapes, paper.

Made at low resolution and scaled up, from a generator of their own. Never hold text.

Source: data synthesis specification, section 4.2 (procedural textures instead of photographs).
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from nanovl.synth.documents.style import Colour

__all__ = ["SURFACES", "paper_texture", "picture", "smooth_noise", "surface"]

Field = npt.NDArray[np.float32]
_Maker = Callable[[np.random.Generator, int, int], Image.Image]


def smooth_noise(
    rng: np.random.Generator, width: int, height: int, cell: float, octaves: int = 1
) -> Field:
    """Value noise from 0 to 1 whose features are about `cell` pixels large; (height, width)."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    whole = 0.0
    for _ in range(octaves):
        nx, ny = max(2, round(width / cell) + 1), max(2, round(height / cell) + 1)
        grid = (rng.random((ny, nx)) * 255).astype(np.uint8)
        image = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(image, dtype=np.float32) * (weight / 255)
        whole += weight
        weight *= 0.5
        cell = max(1.0, cell / 2)
    return total / whole


def _coloured(field: Field, low: Colour, high: Colour) -> Image.Image:
    """A field of 0 to 1 as a picture between two colours."""
    ramp = np.linspace(0, 1, 256)[:, None]
    table = (np.array(low) * (1 - ramp) + np.array(high) * ramp).round().astype(np.uint8)
    return Image.fromarray(table[(np.clip(field, 0, 1) * 255).astype(np.uint8)])


def _colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> Colour:
    """A colour of things people put paper on: any hue, rarely strong, grey more often than not."""
    hue, strong, bright = ((int(v) - low) / (high - low) for v in rng.integers(low, high, 3))
    value = (low + bright * (high - low)) / 255
    r, g, b = colorsys.hsv_to_rgb(hue, 0.55 * strong**2, value)
    return round(r * 255), round(g * 255), round(b * 255)


def _near(rng: np.random.Generator, colour: Colour, spread: int) -> Colour:
    """A colour that is lighter or darker, and hardly of another hue."""
    shift, *tints = (int(rng.integers(-spread, spread + 1)) for _ in range(3))
    turned = (0.0, 0.15 * tints[0], 0.15 * tints[1])
    r, g, b = (int(np.clip(c + shift + t, 0, 255)) for c, t in zip(colour, turned, strict=True))
    return r, g, b


def _clouds(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    base = _colour(rng)
    field = smooth_noise(rng, width, height, float(rng.uniform(20, 90)), 4)
    return _coloured(field, base, _near(rng, base, 70))


def _wood(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    tones: tuple[tuple[Colour, Colour], ...] = (
        ((96, 58, 28), (168, 116, 66)),
        ((150, 105, 60), (214, 176, 124)),
        ((58, 38, 26), (110, 74, 50)),
        ((176, 150, 116), (226, 206, 176)),
    )
    dark, light = tones[int(rng.integers(len(tones)))]
    long = smooth_noise(rng, width, height, 40, 2)
    x = np.arange(width, dtype=np.float32)[None, :]
    rings = np.sin((x / float(rng.uniform(6, 14)) + long * float(rng.uniform(6, 16))) * 2) * 0.25
    grain = smooth_noise(rng, width, max(4, height // 24), 2, 1)
    fine = Image.fromarray((grain * 255).astype(np.uint8)).resize((width, height))
    field = 0.5 + rings + (np.asarray(fine, np.float32) / 255 - 0.5) * 0.5
    planks = int(rng.integers(0, 5))
    image = _coloured(field, dark, light)
    if planks:
        draw = ImageDraw.Draw(image)
        for place in range(1, planks + 1):
            at = place * width // (planks + 1)
            draw.line((at, 0, at, height), fill=_near(rng, dark, 10), width=2)
    return image


def _fabric(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    base = _colour(rng, 40, 220)
    step = float(rng.uniform(1.2, 3.0))
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    weave = (np.sin(x * step) + np.sin(y * step)) * 0.16 + 0.5
    weave = weave + (smooth_noise(rng, width, height, 3, 1) - 0.5) * 0.4
    return _coloured(weave.astype(np.float32), base, _near(rng, base, 45))


def _stone(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    field = smooth_noise(rng, width, height, 50, 5)
    veins = 1 - np.abs(np.sin(field * 9 + np.linspace(0, 5, width, dtype=np.float32)[None, :]))
    shade = int(rng.integers(90, 235))
    base = _near(rng, (shade, shade, shade), 10)
    return _coloured(field * 0.5 + veins * 0.4, base, _near(rng, base, 60))


def _gradient(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    angle = float(rng.uniform(0, 2 * np.pi))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.cos(angle)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.sin(angle)
    return _coloured(((x + y) / 2.9 + 0.5).astype(np.float32), _colour(rng), _colour(rng))


def _shapes(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(8, 24))):
        x, y = rng.integers(-width // 4, width), rng.integers(-height // 4, height)
        w, h = rng.integers(width // 12, width // 2), rng.integers(height // 12, height // 2)
        box = (int(x), int(y), int(x + w), int(y + h))
        if rng.random() < 0.5:
            draw.ellipse(box, fill=_colour(rng))
        else:
            draw.rectangle(box, fill=_colour(rng))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(3, 14))))


def _plain(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), _colour(rng))


SURFACES: dict[str, _Maker] = {
    "clouds": _clouds,
    "fabric": _fabric,
    "gradient": _gradient,
    "plain": _plain,
    "shapes": _shapes,
    "stone": _stone,
    "wood": _wood,
}


def surface(rng: np.random.Generator, width: int, height: int) -> tuple[Image.Image, str]:
    """A surface of a drawn kind at full size, blurred a little or a lot, and its name."""
    name = sorted(SURFACES)[int(rng.choice(len(SURFACES), p=_WEIGHTS))]
    scale = 2 if name in ("fabric", "wood") else 4
    small = SURFACES[name](rng, max(8, width // scale), max(8, height // scale))
    if rng.random() < 0.4:
        small = small.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 10)) / scale))
    return small.resize((width, height), Image.Resampling.BILINEAR), name


_WEIGHTS = (0.2, 0.16, 0.12, 0.07, 0.15, 0.12, 0.18)  # in the order of the names


def paper_texture(rng: np.random.Generator, width: int, height: int, depth: float) -> Image.Image:
    """A grey picture to multiply paper with: clouds and fibres, darkened by `depth` at most."""
    small = (max(4, width // 6), max(4, height // 6))
    coarse = smooth_noise(rng, *small, 12, 2)
    clouds = Image.fromarray(((1 - coarse * depth) * 255).astype(np.uint8))
    tile = 255 - (rng.random((192, 192), dtype=np.float32) * (depth * 0.5 * 255)).astype(np.uint8)
    whole = np.tile(tile, (height // 192 + 1, width // 192 + 1))[:height, :width]
    grain = Image.fromarray(np.ascontiguousarray(whole))
    return ImageChops.multiply(clouds.resize((width, height)), grain)


def picture(seed: int, width: int, height: int) -> Image.Image:
    """A picture for a page: a small landscape of sky, hills and a sun, or an abstract one."""
    rng = np.random.Generator(np.random.PCG64(seed))
    if rng.random() < 0.35:
        return surface(rng, width, height)[0]
    small = (max(16, width // 2), max(16, height // 2))
    sky = _coloured(
        np.repeat(np.linspace(0, 1, small[1], dtype=np.float32)[:, None], small[0], axis=1),
        _near(rng, (90, 140, 210), 60),
        _near(rng, (225, 215, 200), 30),
    )
    draw = ImageDraw.Draw(sky)
    r = small[1] * float(rng.uniform(0.05, 0.14))
    x, y = small[0] * float(rng.uniform(0.1, 0.9)), small[1] * float(rng.uniform(0.12, 0.4))
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 240, 190))
    for layer in range(int(rng.integers(2, 5))):
        line = smooth_noise(rng, small[0], 2, float(rng.uniform(20, 70)), 3)[0]
        level = small[1] * (0.4 + 0.16 * layer)
        ridge = [(i, level + (float(v) - 0.5) * small[1] * 0.35) for i, v in enumerate(line)]
        shade = _near(rng, (70 - 10 * layer, 110 - 14 * layer, 70 - 10 * layer), 25)
        draw.polygon([(0, small[1]), *ridge, (small[0], small[1])], fill=shade)
    return sky.resize((width, height), Image.Resampling.BICUBIC)
