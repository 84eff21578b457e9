"""Draws the objects of a stage and says where their pixels are.

Boxes come from the drawn masks themselves, so that they cannot disagree with the picture. A later
object hides an earlier one; the box of a hidden part still counts as the object's.

Source: data synthesis specification, sections 10 and 22.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from nanovl.synth.base import Box
from nanovl.synth.scenes.shapes import COLORS, RGB, layers, mixed
from nanovl.synth.video.stage import Stage
from nanovl.synth.video.timeline import Actor, Look

__all__ = ["BACKGROUNDS", "actor_mask", "frame_times", "look_box", "paint_frames"]

BACKGROUNDS: tuple[RGB, ...] = (
    (206, 208, 214),
    (196, 210, 203),
    (214, 205, 196),
    (188, 200, 216),
    (222, 222, 222),
)
_INK = 128  # least opacity that counts as the object


def frame_times(duration_s: float, fps: int) -> list[float]:
    """Times of the frames in seconds."""
    return [k / fps for k in range(round(duration_s * fps))]


@lru_cache(maxsize=8192)
def _ink(
    shape: str, diameter: int, turn: int, part: tuple[int, int, int, int]
) -> tuple[int, int, int, int] | None:
    """Box of the covered pixels in a part of the square of a shape."""
    mask = layers(shape, diameter, turn, "solid")[0][0].crop(part)
    return mask.point(lambda v: 255 * (v >= _INK)).getbbox()


def _sprite(look: Look) -> tuple[int, int, int, int]:
    """Left, top, diameter and turn of what is drawn, in whole pixels and degrees."""
    diameter = max(4, round(look.diameter))
    return (
        round(look.x - diameter / 2),
        round(look.y - diameter / 2),
        diameter,
        round(look.turn) % 360,
    )


def look_box(actor: Actor, look: Look, width: int, height: int) -> Box | None:
    """The box of an object's pixels, cut to the picture; None when nothing shows."""
    if not look.visible:
        return None
    left, top, diameter, turn = _sprite(look)
    part = (
        max(0, -left),
        max(0, -top),
        min(diameter, width - left),
        min(diameter, height - top),
    )
    if part[0] >= part[2] or part[1] >= part[3]:
        return None
    ink = _ink(actor.shape, diameter, turn, part)
    if ink is None:
        return None
    x, y = left + part[0], top + part[1]
    return float(x + ink[0]), float(y + ink[1]), float(x + ink[2]), float(y + ink[3])


def actor_mask(actor: Actor, look: Look, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which pixels an object covers when nothing hides it, (rows, columns)."""
    canvas = Image.new("L", (width, height), 0)
    if look.visible:
        left, top, diameter, turn = _sprite(look)
        canvas.paste(layers(actor.shape, diameter, turn, "solid")[0][0], (left, top))
    return np.asarray(canvas) >= _INK


def _shades(look: Look) -> dict[str, RGB]:
    base = mixed(COLORS[look.old_color], COLORS[look.color], look.blend if look.blend else 1.0)
    return {
        "base": base,
        "light": mixed(base, (255, 255, 255), 0.45),
        "dark": mixed(base, (0, 0, 0), 0.35),
    }


def paint_frames(
    stage: Stage, background: RGB, fps: int, cards: Sequence[tuple[float, float, Image.Image]] = ()
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a clip.

    Args:
        stage: What happens.
        background: Colour.
        fps: Frames per second.
        cards: Pictures shown instead of the scene from a time to a time, in seconds.
    """
    for t in frame_times(stage.duration_s, fps):
        card = next((c for a, b, c in cards if a <= t < b), None)
        if card is not None:
            yield np.asarray(card)
            continue
        picture = Image.new("RGB", (stage.width, stage.height), background)
        for actor in stage.actors:
            look = stage.look(actor, t)
            if not look.visible:
                continue
            left, top, diameter, turn = _sprite(look)
            shades = _shades(look)
            for mask, shade in layers(actor.shape, diameter, turn, actor.fill):
                picture.paste(shades[shade], (left, top, left + diameter, top + diameter), mask)
        yield np.asarray(picture)
