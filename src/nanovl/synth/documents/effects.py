"""What light, ink, cameras and scanners do to a picture without moving anything.

Every effect takes a picture ("L" or "RGB"), a generator and a strength, and gives a picture of the
same size and mode. All of them leave text legible; the bounds are those of the specification. Must
not move pixels.

Source: data synthesis specification, sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from nanovl.synth.base import Box
from nanovl.synth.documents.backgrounds import Field, smooth_noise

__all__ = [
    "EFFECTS",
    "OVERLAYS",
    "binarise",
    "bleed",
    "blur",
    "contrast",
    "dot_matrix",
    "dropout",
    "fade",
    "glare",
    "halftone",
    "motion",
    "noise",
    "overlay",
    "rescale",
    "salt",
    "shadow",
    "streaks",
    "tint",
    "uneven",
    "vignette",
]

_TILE = 256
_SHARE = 6  # lighting is computed at this share of the size


def _times(image: Image.Image, factors: Field) -> Image.Image:
    """Darken by factors of 0 to 1 given at any resolution."""
    field = Image.fromarray((np.clip(factors, 0, 1) * 255).round().astype(np.uint8))
    field = field.resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(image, _like(field, image))


def _like(field: Image.Image, image: Image.Image) -> Image.Image:
    return field if image.mode == "L" else Image.merge("RGB", (field, field, field))


def _small(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return max(4, width // _SHARE), max(4, height // _SHARE)


def _tiled(rng: np.random.Generator, tile: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A random tile repeated over a picture, from a random offset."""
    dy, dx = (int(v) for v in rng.integers(0, _TILE, 2))
    rolled = np.roll(tile, (dy, dx), axis=(0, 1))
    width, height = size
    whole = np.tile(rolled, (height // _TILE + 1, width // _TILE + 1))[:height, :width]
    return Image.fromarray(np.ascontiguousarray(whole))


# -- Light ---------------------------------------------------------------------------------------


def shadow(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """A soft-edged shadow over part of the picture."""
    width, height = _small(image)
    angle = float(rng.uniform(0, 2 * np.pi))
    x = np.linspace(-1, 1, width)[None, :] * np.cos(angle)
    y = np.linspace(-1, 1, height)[:, None] * np.sin(angle)
    edge = (x + y - float(rng.uniform(-0.6, 0.6))) / float(rng.uniform(0.05, 0.5))
    dark = float(rng.uniform(0.1, 0.45)) * strength
    return _times(image, 1 - dark / (1 + np.exp(-np.clip(edge * 3, -30, 30))))


def vignette(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Corners darker than the middle."""
    width, height = _small(image)
    cx, cy = rng.uniform(-0.2, 0.2, 2)
    x = np.linspace(-1, 1, width)[None, :] - cx
    y = np.linspace(-1, 1, height)[:, None] - cy
    return _times(image, 1 - float(rng.uniform(0.08, 0.3)) * strength * (x * x + y * y) / 2)


def uneven(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Light that changes slowly over the picture."""
    width, height = _small(image)
    field = smooth_noise(rng, width, height, max(width, height) / 2.5, 2)
    return _times(image, 1 - float(rng.uniform(0.05, 0.3)) * strength * field)


def glare(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """A bright spot; text in it stays darker than paper."""
    width, height = _small(image)
    cx, cy = rng.uniform(-0.8, 0.8, 2)
    radius = float(rng.uniform(0.25, 0.7))
    x = np.linspace(-1, 1, width)[None, :] - cx
    y = np.linspace(-1, 1, height)[:, None] - cy
    spot = np.exp(-(x * x + y * y) / radius**2) * float(rng.uniform(0.15, 0.45)) * strength
    field = Image.fromarray((spot * 255).astype(np.uint8)).resize(image.size)
    return ImageChops.screen(image, _like(field, image))


def contrast(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Less or more contrast and brightness; white never falls below black."""
    gain = float(rng.uniform(1 - 0.25 * strength, 1 + 0.35 * strength))
    shift = float(rng.uniform(-40, 18)) * strength
    table = [int(min(255, max(0, (v - 128) * gain + 128 + shift))) for v in range(256)]
    return image.point(table * len(image.getbands()))


def tint(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Coloured light; grey pictures stay grey."""
    if image.mode == "L":
        return image
    factors = 1 - rng.uniform(0, 0.2 * strength, 3)
    tables = [int(v * f) for f in factors for v in range(256)]
    return image.point(tables)


# -- Lens ----------------------------------------------------------------------------------------


def blur(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """A lens that is not quite in focus."""
    return image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.2, 0.9)) * strength))


def motion(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """A hand that moved, over 3 to 5 pixels."""
    size = 5 if strength > 0.5 and rng.random() < 0.4 else 3
    lines = {
        3: ((0, 0, 0, 1, 1, 1, 0, 0, 0), (0, 1, 0, 0, 1, 0, 0, 1, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
        5: (
            tuple(int(i // 5 == 2) for i in range(25)),
            tuple(int(i % 5 == 2) for i in range(25)),
            tuple(int(i // 5 == i % 5) for i in range(25)),
        ),
    }[size]
    return image.filter(ImageFilter.Kernel((size, size), lines[int(rng.integers(3))], size))


def rescale(
    image: Image.Image, rng: np.random.Generator, strength: float, least: float = 0.35
) -> Image.Image:
    """Detail lost by storing the picture smaller for a while.

    Args:
        least: Smallest share of the size that keeps the text legible.
    """
    share = max(least, float(rng.uniform(1 - 0.6 * strength, 1.0)))
    if share >= 0.97:
        return image
    width, height = image.size
    small = image.resize(
        (max(8, round(width * share)), max(8, round(height * share))), Image.Resampling.BILINEAR
    )
    return small.resize(image.size, Image.Resampling.BILINEAR)


# -- Ink -----------------------------------------------------------------------------------------


def bleed(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Ink that spreads by up to a pixel."""
    spread = image
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        spread = ImageChops.darker(spread, ImageChops.offset(image, dx, dy))
    return Image.blend(image, spread, 0.45 * strength)


def fade(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Ink that became paler in places."""
    width, height = _small(image)
    field = smooth_noise(rng, width, height, width / 3, 2) * float(rng.uniform(0.2, 0.55))
    mask = Image.fromarray((field * strength * 255).astype(np.uint8)).resize(image.size)
    return Image.composite(_paper(image), image, mask)


def dropout(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Specks of ink that did not print, at most 2 % of the area."""
    tile = (rng.random((_TILE, _TILE)) < 0.02 * strength).astype(np.uint8) * 210
    return Image.composite(_paper(image), image, _tiled(rng, tile, image.size))


def dot_matrix(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Ink in rows of dots, as needle printers make it."""
    pitch = int(rng.integers(2, 4))
    y, x = np.mgrid[:_TILE, :_TILE]
    gaps = ((y % pitch == 0) | (x % (pitch + 1) == 0)).astype(np.uint8)
    tile = (gaps * (110 * strength)).astype(np.uint8)
    whole = np.tile(tile, (image.height // _TILE + 1, image.width // _TILE + 1))
    mask = Image.fromarray(np.ascontiguousarray(whole[: image.height, : image.width]))
    return Image.composite(_paper(image), image, mask)


def _paper(image: Image.Image) -> Image.Image:
    """A picture of nothing but the commonest brightness."""
    level = _commonest(image)
    return Image.new(image.mode, image.size, level if image.mode == "L" else (level, level, level))


def _commonest(image: Image.Image) -> int:
    small = np.asarray(image.resize((64, 64)).convert("L"))
    return int(np.bincount(small.ravel(), minlength=256).argmax())


# -- Sensor and scanner --------------------------------------------------------------------------


def noise(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Grain with a deviation of up to 8 grey levels."""
    sigma = float(rng.uniform(1.5, 8.0)) * strength
    tile = np.clip(rng.standard_normal((_TILE, _TILE)) * sigma + 128, 0, 255).astype(np.uint8)
    grain = _like(_tiled(rng, tile, image.size), image)
    return ImageChops.add(image, grain, 1, -128)


def salt(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Single black and white pixels."""
    share = float(rng.uniform(0.0005, 0.004)) * strength
    draw = rng.random((_TILE, _TILE))
    dark = _tiled(rng, np.where(draw < share, 40, 255).astype(np.uint8), image.size)
    light = _tiled(rng, np.where(draw > 1 - share, 230, 0).astype(np.uint8), image.size)
    darker = ImageChops.darker(image, _like(dark, image))
    return ImageChops.lighter(darker, _like(light, image))


def streaks(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Thin vertical lines of a dirty scanner glass."""
    row = np.ones((1, image.width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, image.width))
        row[:, at : at + int(rng.integers(1, 3))] = 1 - float(rng.uniform(0.06, 0.3)) * strength
    return _times(image, row)


def binarise(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Black and white only; where dark text stands on dark colours it would vanish, so the
    threshold is half way between the commonest brightness and the other end.
    """
    del strength
    grey = image.convert("L")
    level = _commonest(grey)
    cut = level * 0.72 if level > 127 else level + (255 - level) * 0.36
    cut += float(rng.uniform(-8, 8))
    hard = grey.point([255 if v > cut else 0 for v in range(256)])
    return hard if image.mode == "L" else hard.convert("RGB")


def halftone(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """A printing screen over the picture."""
    pitch = float(rng.uniform(3.0, 5.0))
    y, x = np.mgrid[:_TILE, :_TILE].astype(np.float32)
    dots = np.sin((x + y) * (2 * np.pi / pitch)) * np.sin((x - y) * (2 * np.pi / pitch))
    tile = (128 + dots * 34 * strength).astype(np.uint8)
    return ImageChops.add(image, _like(_tiled(rng, tile, image.size), image), 1, -128)


EFFECTS = {
    "binarise": binarise,
    "bleed": bleed,
    "blur": blur,
    "contrast": contrast,
    "dot_matrix": dot_matrix,
    "dropout": dropout,
    "fade": fade,
    "glare": glare,
    "halftone": halftone,
    "motion": motion,
    "noise": noise,
    "rescale": rescale,
    "salt": salt,
    "shadow": shadow,
    "streaks": streaks,
    "tint": tint,
    "uneven": uneven,
    "vignette": vignette,
}

# -- Things on the paper -------------------------------------------------------------------------

OVERLAYS = ("highlighter", "holes", "pen", "ring", "staple", "stamp")


def overlay(
    image: Image.Image, kind: str, rng: np.random.Generator, words: Sequence[Box]
) -> Image.Image:
    """Put a thing on the paper; opaque ones only where no word stands.

    Args:
        image: An RGB page before it is bent.
        kind: One of `OVERLAYS`.
        rng: Where, how large, which colour.
        words: Boxes of all words.
    """
    width, height = image.size
    if kind == "highlighter":
        return _highlighted(image, rng, words)
    if kind == "ring":
        layer = Image.new("RGB", image.size, (255, 255, 255))
        r = float(rng.uniform(0.07, 0.16)) * width
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        shade = tuple(int(v) for v in np.array((228, 206, 176)) + rng.integers(-8, 12, 3))
        ImageDraw.Draw(layer).ellipse(
            (x - r, y - r, x + r, y + r), outline=shade, width=max(3, int(r * 0.09))
        )
        return ImageChops.multiply(image, layer.filter(ImageFilter.BoxBlur(1.5)))
    if kind == "holes":
        radius = int(rng.uniform(0.011, 0.017) * width)
        x = int(radius * rng.uniform(1.8, 2.6))
        spots = [
            (x, int(height * share))
            for share in ((0.3, 0.7) if rng.random() < 0.6 else (0.15, 0.5, 0.85))
        ]
        image = image.copy()
        draw = ImageDraw.Draw(image)
        for cx, cy in spots:
            box = (cx - radius, cy - radius, cx + radius, cy + radius)
            if _is_free(box, words):
                draw.ellipse(box, fill=(70, 66, 62), outline=(120, 116, 112))
        return image
    size = {"pen": (0.12, 0.05), "staple": (0.035, 0.03), "stamp": (0.14, 0.14)}[kind]
    w, h = (max(12, int(s * width * rng.uniform(0.7, 1.3))) for s in size)
    if kind == "staple":
        places = [(int(width * 0.02), int(height * 0.02)), (int(width * 0.9), int(height * 0.02))]
    else:
        places = [
            (int(rng.integers(0, max(1, width - w))), int(rng.integers(0, max(1, height - h))))
            for _ in range(12)
        ]
    for x, y in places:
        if x + w <= width and y + h <= height and _is_free((x, y, x + w, y + h), words):
            return _marked(image, kind, rng, (x, y, x + w, y + h))
    return image


def _is_free(box: tuple[float, float, float, float], words: Sequence[Box]) -> bool:
    x0, y0, x1, y1 = box
    return not any(x0 < w[2] and w[0] < x1 and y0 < w[3] and w[1] < y1 for w in words)


def _highlighted(image: Image.Image, rng: np.random.Generator, words: Sequence[Box]) -> Image.Image:
    if not words:
        return image
    first = int(rng.integers(0, len(words)))
    layer = Image.new("RGB", image.size, (255, 255, 255))
    draw = ImageDraw.Draw(layer)
    colours = ((255, 244, 120), (190, 255, 170), (255, 200, 225), (180, 230, 255))
    colour = colours[int(rng.integers(len(colours)))]
    for box in words[first : first + int(rng.integers(2, 9))]:
        draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill=colour)
    return ImageChops.multiply(image, layer.filter(ImageFilter.BoxBlur(1)))


def _marked(
    image: Image.Image, kind: str, rng: np.random.Generator, box: tuple[int, int, int, int]
) -> Image.Image:
    x0, y0, x1, y1 = box
    scale = 3
    w, h = (x1 - x0) * scale, (y1 - y0) * scale
    mark = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(mark)
    inks = ((28, 50, 140), (160, 24, 30), (30, 30, 34), (20, 100, 60))
    ink = inks[int(rng.integers(len(inks)))]
    if kind == "staple":
        ink = (120, 120, 126)
        draw.line((w * 0.1, h * 0.7, w * 0.9, h * 0.35), fill=255, width=scale * 3)
    elif kind == "pen":
        steps = np.linspace(0, 1, 40)
        freq = float(rng.uniform(3, 7))
        xs = (0.05 + 0.9 * steps) * w
        ys = (0.5 + 0.36 * np.sin(steps * freq * 2 * np.pi) * rng.uniform(0.4, 1, 40)) * h
        draw.line([(float(a), float(b)) for a, b in zip(xs, ys, strict=True)], fill=230, width=4)
    else:
        pad = scale * 3
        draw.ellipse((pad, pad, w - pad, h - pad), outline=220, width=scale * 3)
        draw.ellipse((w * 0.2, h * 0.2, w * 0.8, h * 0.8), outline=200, width=scale)
        angles = np.linspace(0, 2 * np.pi, 11)[:-1] - np.pi / 2
        radii = np.where(np.arange(10) % 2, 0.11, 0.24)
        star = [
            (w / 2 + float(np.cos(a) * r) * w, h / 2 + float(np.sin(a) * r) * h)
            for a, r in zip(angles, radii, strict=True)
        ]
        draw.polygon(star, fill=210)
    image = image.copy()
    image.paste(ink, (x0, y0), mark.resize((x1 - x0, y1 - y0), Image.Resampling.BOX))
    return image
