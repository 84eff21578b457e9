"""Text in pictures: widths, fonts, and characters no font has a shape for.

The font comes with Pillow. Characters it lacks are taken from a font of the system where there is
one, else they become a box with their code, so that no character is ever left out or drawn as the
same empty shape. Knows nothing about what is written.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from PIL import ImageDraw, ImageFont

__all__ = ["shortened", "width_of", "write"]

Font = Any

# Tried in this order for characters the bundled font has no shape for.
_OTHER_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "DejaVuSans.ttf",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "NotoSans-Regular.ttf",
)
_PROBE = 18  # size at which shapes are compared


@functools.lru_cache(maxsize=8192)
def width_of(text: str, size: int) -> float:
    """Width in pixels of a text in a font of `size` pixels."""
    return sum(
        _box_width(size) if font is None else font.getlength(part)
        for font, part in _parts(text, size)
    )


def write(
    draw: ImageDraw.ImageDraw, x: float, middle: float, text: str, size: int, ink: str
) -> None:
    """Write a line of text.

    Args:
        draw: Where.
        x: Left end in pixels.
        middle: Height of the middle of the line in pixels.
        text: Without line breaks.
        size: Of the font in pixels.
        ink: Colour.
    """
    baseline = middle + size * 0.36
    for font, part in _parts(text, size):
        if font is not None:
            draw.text((x, baseline), part, font=font, fill=ink, anchor="ls")
            x += font.getlength(part)
            continue
        width = _box_width(size)
        top = baseline - size * 0.86
        draw.rounded_rectangle(
            (x + 1, top, x + width - 1, baseline + size * 0.14), radius=2, outline=ink
        )
        code = f"{ord(part):04X}"
        half = (len(code) + 1) // 2
        tiny = _font(max(size * 2 // 5, 6))
        for row, digits in enumerate((code[:half], code[half:])):
            draw.text(
                (x + width / 2, top + size * (0.28 + 0.46 * row)),
                digits,
                font=tiny,
                fill=ink,
                anchor="mm",
            )
        x += width


def shortened(text: str, size: int, room: float) -> str:
    """The text, or as much of its beginning as fits into `room` pixels with dots behind it."""
    if width_of(text, size) <= room:
        return text
    while text and width_of(text + "...", size) > room:
        text = text[: -max(len(text) // 20, 1)]
    return text + "..."


def _parts(text: str, size: int) -> Iterator[tuple[Font | None, str]]:
    """Pieces of one font; without a font, one character each."""
    if text.isascii() and text.isprintable():
        yield _font(size), text
        return
    start = 0
    names = [_font_name(c) if c.isprintable() or c == " " else None for c in text]
    for at in range(1, len(text) + 1):
        if at == len(text) or names[at] != names[start] or names[start] is None:
            name = names[start]
            yield (None if name is None else _font(size, name)), text[start:at]
            start = at


@functools.cache
def _font(size: int, name: str = "") -> Font:
    """The bundled font, or another one by file name; None when there is none of that name."""
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@functools.lru_cache(maxsize=8192)
def _font_name(character: str) -> str | None:
    """Which font has a shape for a character: "" the bundled one, None no font."""
    for name in ("", *_OTHER_FONTS):
        font = _font(_PROBE, name)
        if font is not None and _shape(font, character) != _shape(font, "\U0010ffff"):
            return name
    return None


def _shape(font: Font, character: str) -> tuple[Any, bytes]:
    # Behind a letter, as marks are: alone they would come with a circle that hides a missing shape.
    mask = font.getmask("x" + character)
    return mask.size, bytes(mask)


def _box_width(size: int) -> float:
    return size * 1.15
