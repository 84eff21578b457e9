"""Draws a scene and encodes pictures.

Backgrounds and masks are kept between samples; both are pure functions of their arguments.

Source: data synthesis specification, section 12.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Media
from nanovl.synth.scenes.scene import BACKGROUNDS, Canvas, Item, Scene
from nanovl.synth.scenes.shapes import COLORS, RGB, layers, mixed

__all__ = ["background", "encoded", "paint", "paint_item"]

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@lru_cache(maxsize=64)
def _ground(width: int, height: int, ground: str, texture: str) -> Image.Image:
    color = BACKGROUNDS[ground]
    other = mixed(color, WHITE if ground == "dark" else BLACK, 0.1)
    if texture == "plain":
        return Image.new("RGB", (width, height), color)
    if texture == "gradient":
        ramp = Image.linear_gradient("L").resize((width, height), Image.Resampling.BILINEAR)
        return Image.composite(
            Image.new("RGB", (width, height), other), Image.new("RGB", (width, height), color), ramp
        )
    if texture == "grid":
        image = Image.new("RGB", (width, height), color)
        draw = ImageDraw.Draw(image)
        for at in range(0, max(width, height), 32):
            draw.line((at, 0, at, height), fill=other)
            draw.line((0, at, width, at), fill=other)
        return image
    if texture == "noise":
        grain = np.random.Generator(np.random.PCG64(7)).normal(0, 5, (height, width, 1))
        pixels = np.clip(np.asarray(color, dtype=np.float64) + grain, 0, 255)
        return Image.fromarray(pixels.astype(np.uint8))
    raise ConfigError(f"texture {texture!r} does not exist")


def background(canvas: Canvas) -> Image.Image:
    """A fresh picture of the empty canvas."""
    return _ground(canvas.width, canvas.height, canvas.ground, canvas.texture).copy()


@lru_cache(maxsize=64)
def _shades(color: RGB) -> dict[str, RGB]:
    return {
        "base": color,
        "light": mixed(color, WHITE, 0.62),
        "dark": mixed(color, BLACK, 0.25),
    }


def paint_item(image: Image.Image, item: Item) -> None:
    """Draw one object."""
    color = COLORS[item.color]
    shades = _shades(color)
    if item.fill == "shaded":
        shades = {**shades, "light": mixed(color, WHITE, 0.35)}
    for mask, shade in layers(item.shape, item.diameter, item.turn, item.fill):
        image.paste(shades[shade], item.corner, mask)


def paint(scene: Scene) -> Image.Image:
    """A picture of a scene, objects in order of their ids."""
    image = background(scene.canvas)
    for item in scene.items:
        paint_item(image, item)
    return image


def encoded(image: Image.Image, name: str, form: str, quality: int = 92) -> Media:
    """A picture as a medium.

    Args:
        image: RGB.
        name: Name in the sample.
        form: "jpg" or "png".
        quality: Of JPEG, 1 to 95.

    Raises:
        ConfigError: Another form.
    """
    out = io.BytesIO()
    if form == "jpg":
        image.save(out, "JPEG", quality=quality, subsampling=0)
    elif form == "png":
        image.save(out, "PNG", compress_level=3)
    else:
        raise ConfigError(f"image form {form!r}: expected 'jpg' or 'png'")
    width, height = image.size
    return Media(name=name, kind="image", data=out.getvalue(), ext=form, width=width, height=height)
