"""Colours of a page: contrast, mixtures, sepia tones, and palettes a text can be read on.

Colours are six hexadecimal digits. Must not know what is painted with them.

Source: data synthesis specification, sections 3.13 and 3.16; contrast as the Web Content
Accessibility Guidelines 2.1 define it.
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Sequence

__all__ = ["MIN_CONTRAST", "any_color", "contrast", "mix", "palette", "readable", "sepia"]

MIN_CONTRAST = 2.0


def any_color(rng: random.Random) -> str:
    """Any colour, each alike."""
    return "".join(f"{rng.randrange(256):02x}" for _ in range(3))


def sepia(rng: random.Random) -> str:
    """A tone of old paper."""
    hue, light, saturation = colorsys.rgb_to_hls(0x87 / 255, 0x57 / 255, 0x2B / 255)
    hue = (hue + rng.uniform(-10, 10) / 360) % 1
    light += (1 - light) * rng.uniform(0.5, 0.95)
    parts = colorsys.hls_to_rgb(hue, light, saturation)
    return "".join(f"{round(255 * v):02x}" for v in parts)


def luminance(color: str) -> float:
    """Relative luminance, 0 to 1."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    a, b = sorted((luminance(first), luminance(second)))
    return (b + 0.05) / (a + 0.05)


def mix(first: str, second: str, share: float) -> str:
    """The first colour with a share of the second."""
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (0, 2, 4)]
    return "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


def readable(text: str, pages: Sequence[str]) -> str:
    """A text's colour, moved towards black or white until it can be read on every page colour.

    Args:
        text: Wanted.
        pages: Colours behind it, all lighter or all darker than what can be read on them.
    """

    def worst(color: str) -> float:
        return min(contrast(color, page) for page in pages)

    if worst(text) > MIN_CONTRAST:
        return text
    target = "000000" if worst("000000") > worst("ffffff") else "ffffff"
    for step in range(1, 10):
        mixed = mix(text, target, step / 10)
        if worst(mixed) > MIN_CONTRAST + 0.2:
            return mixed
    return target


def palette(rng: random.Random, page: str, texts: Sequence[str], count: int) -> tuple[str, ...]:
    """Colours near that of a page on which every text can be read.

    All of them are on the same side of every text's lightness, so that mixtures of them are too.

    Args:
        rng: Where they come from.
        page: Of the page; comes first.
        texts: Colours of texts that can be read on it.
        count: Of the colours, the page's included.
    """
    out = [page]
    while len(out) < count:
        wanted = mix(page, any_color(rng), rng.uniform(0.08, 0.5))
        for _ in range(12):
            fits = all(
                contrast(wanted, text) > MIN_CONTRAST + 0.2
                and (luminance(wanted) > luminance(text)) == (luminance(page) > luminance(text))
                for text in texts
            )
            if fits:
                break
            wanted = mix(wanted, page, 0.4)
        else:
            wanted = page
        out.append(wanted)
    return tuple(out)
