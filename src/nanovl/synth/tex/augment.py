"""Draws how a document is typeset otherwise: each change with its own chance, scaled together.

The chances are those published for the original recipe; one factor scales them all so that a given
share of the documents is changed at all. A draw is a `Style`, a function of configuration, seed and
the document's name. Must not compile: a draw that breaks a document is dropped by `compile`.

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
import random
from dataclasses import dataclass, fields
from pathlib import Path

from nanovl.core.config import from_dict, load_yaml
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Streams, config_hash, seed_of
from nanovl.synth.tex.restyle import Style

__all__ = ["AugmentConfig", "Augmentation", "contrast", "draw", "load_augment"]

_VERSION = "1"
_FONTS = (
    "TeX Gyre Termes", "TeX Gyre Pagella", "TeX Gyre Bonum", "TeX Gyre Schola", "TeX Gyre Heros",
    "TeX Gyre Adventor", "Latin Modern Sans", "DejaVu Serif", "DejaVu Sans", "Liberation Serif",
    "Noto Serif", "Noto Sans",
)  # fmt: skip
_MIN_CONTRAST = 2.0


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Chances before scaling, and what to draw from.

    Attributes:
        changed: Share of documents with at least one change.
        page: Page size and margins.
        line_spacing, word_spacing, letter_spacing, font_size, alignment, columns: As named.
        font: Another family for the running text.
        text_color, page_color, sepia: Colours with a contrast above 2.
        no_page_numbers, no_captions: Left out.
        fonts: OpenType families to draw from.
    """

    changed: float = 0.9
    page: float = 0.3
    line_spacing: float = 0.3
    word_spacing: float = 0.3
    letter_spacing: float = 0.0
    font_size: float = 0.3
    alignment: float = 0.3
    columns: float = 0.3
    font: float = 1.0
    text_color: float = 0.3
    page_color: float = 0.3
    sepia: float = 0.3
    no_page_numbers: float = 0.3
    no_captions: float = 0.3
    fonts: tuple[str, ...] = _FONTS

    def __post_init__(self) -> None:
        for name in ("changed", *_CHANGES):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"augment: {name} {value}; expected 0 to 1")
        if self.font and not self.fonts:
            raise ConfigError("augment: font has a chance but fonts is empty")
        if self.changed == 1:
            raise ConfigError("augment: changed 1; expected less than 1")

    @property
    def scale(self) -> float:
        """Factor s with 1 - prod(1 - min(1, s p)) = changed."""
        chances: list[float] = [getattr(self, name) for name in _CHANGES]
        if not any(chances) or self.changed == 0:
            return 0.0
        low, high = 0.0, 1.0 / min(p for p in chances if p)
        for _ in range(80):
            middle = (low + high) / 2
            kept = math.prod(1 - min(1.0, middle * p) for p in chances)
            low, high = (middle, high) if 1 - kept < self.changed else (low, middle)
        return high


_CHANGES = tuple(f.name for f in fields(AugmentConfig) if f.name not in ("changed", "fonts"))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A draw: the changes by name, and the style that makes them."""

    changes: tuple[str, ...]
    style: Style


def load_augment(path: Path) -> AugmentConfig:
    """Read a configuration.

    Raises:
        ConfigError: Unknown key, or a value out of range.
    """
    return from_dict(AugmentConfig, load_yaml(path), where=str(path))


def draw(config: AugmentConfig, name: str, *, seed: int = 0) -> Augmentation:
    """What changes for one document.

    Args:
        config: Chances.
        name: Of the document; the same name, configuration and seed draw the same.
        seed: Another number draws otherwise.
    """
    index = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")
    streams = Streams(seed_of("tex-augment", _VERSION, config_hash(config), str(seed), index))
    scale = config.scale
    chosen = [
        change
        for change in _CHANGES
        if streams.rng(f"choose/{change}").random() < min(1.0, scale * getattr(config, change))
    ]
    values: dict[str, object] = {}
    for change in chosen:
        values |= _values(change, streams.rng(change), config)
    if "page" in chosen:
        # The text stays wide enough: sizes are bounded below by the width of a line.
        width = values["width_mm"] - values["left_mm"] - values["right_mm"]  # type: ignore[operator]
        if "size_pt" in values:
            values["size_pt"] = round(min(float(values["size_pt"]), max(5.0, width / 6)), 2)  # type: ignore[arg-type]
        if values.get("columns") == 2 and width < 120:
            values["columns"] = 1
    _settle_colors(values)
    return Augmentation(changes=tuple(chosen), style=Style(**values))  # type: ignore[arg-type]


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _values(change: str, rng: random.Random, config: AugmentConfig) -> dict[str, object]:
    if change == "page":
        return _page(rng)
    if change == "line_spacing":
        return {"line_spacing": round(_log_uniform(rng, 0.8, 1.67), 3)}
    if change == "word_spacing":
        return {"word_spacing": round(min(max(rng.lognormvariate(0, 0.2), 0.6), 1.8), 3)}
    if change == "letter_spacing":
        return {"letter_spacing": round(min(max(rng.gauss(0.1, 0.1), -0.03), 0.3), 3)}
    if change == "font_size":
        return {"size_pt": round(_log_uniform(rng, 6, 20), 2)}
    if change == "alignment":
        return {"alignment": rng.choice(("left", "left", "right", "center"))}
    if change == "columns":
        return {"columns": rng.choice((1, 2))}
    if change == "font":
        return {"font": rng.choice(config.fonts)}
    if change == "no_page_numbers":
        return {"page_numbers": False}
    if change == "no_captions":
        return {"captions": False}
    if change == "sepia":
        return {"page_color": _sepia(rng)}
    return {change: "".join(f"{rng.randrange(256):02x}" for _ in range(3))}


def _page(rng: random.Random) -> dict[str, object]:
    aspect = _log_uniform(rng, 1 / 1.5, 3.0)
    aspect = max(aspect, 1 / aspect) if rng.random() < 0.8 else min(aspect, 1 / aspect)
    short = 210 * rng.lognormvariate(0, 0.2)
    width = short if aspect >= 1 else short / aspect
    height = short * aspect if aspect >= 1 else short
    width, height = (min(max(v, 60.0), 800.0) for v in (width, height))
    margins = {
        "left_mm": rng.uniform(3, 2 * (width / 9) - 3), "top_mm": rng.uniform(3, 2 * height / 9),
        "right_mm": rng.uniform(3, 2 * (width / 9) - 3),
        "bottom_mm": rng.uniform(8, max(9.0, height / 6)),
    }  # fmt: skip
    sizes = {"width_mm": width, "height_mm": height} | margins
    return {name: round(value, 2) for name, value in sizes.items()}


def _sepia(rng: random.Random) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(0x87 / 255, 0x57 / 255, 0x2B / 255)
    hue = (hue + rng.uniform(-10, 10) / 360) % 1
    light += (1 - light) * rng.uniform(0.5, 0.95)
    parts = colorsys.hls_to_rgb(hue, light, saturation)
    return "".join(f"{round(255 * v):02x}" for v in parts)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours given as six hexadecimal digits, 1 to 21."""
    a, b = sorted((_luminance(first), _luminance(second)))
    return (b + 0.05) / (a + 0.05)


def _mix(first: str, second: str, share: float) -> str:
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (0, 2, 4)]
    return "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


def _settle_colors(values: dict[str, object]) -> None:
    """Drawn colours that are too close move away from each other, the text's first."""
    if "text_color" not in values and "page_color" not in values:
        return
    page = str(values.get("page_color", "ffffff"))
    text = str(values.get("text_color", "000000"))
    if contrast(text, page) > _MIN_CONTRAST:
        return
    target = "000000" if contrast("000000", page) > contrast("ffffff", page) else "ffffff"
    for step in range(1, 11):
        mixed = _mix(text, target, step / 10)
        if contrast(mixed, page) > _MIN_CONTRAST + 0.2:
            values["text_color"] = mixed
            return
