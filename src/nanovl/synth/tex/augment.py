"""Draws how a document is typeset otherwise: each change with its own chance, scaled together.

The chances are those published for the original recipe; one factor scales them all so that a given
share of the documents is changed at all. A draw is a `Style`, a function of configuration, seed and
the document's name. Must not compile: a draw that breaks a document is dropped by `compile`.

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, fields
from pathlib import Path

from nanovl.core.config import from_dict, load_yaml
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Streams, config_hash, seed_of
from nanovl.synth.tex import hues
from nanovl.synth.tex.backdrop import BACKDROPS
from nanovl.synth.tex.restyle import Style

__all__ = ["AugmentConfig", "Augmentation", "draw", "load_augment"]

_VERSION = "2"
_FONTS = (
    "TeX Gyre Termes", "TeX Gyre Pagella", "TeX Gyre Bonum", "TeX Gyre Schola", "TeX Gyre Heros",
    "TeX Gyre Adventor", "Latin Modern Sans", "DejaVu Serif", "DejaVu Sans", "Liberation Serif",
    "Noto Serif", "Noto Sans",
)  # fmt: skip
_MARKS = (
    "DRAFT", "CONFIDENTIAL", "COPY", "PREPRINT", "SAMPLE", "DO NOT CITE", "FOR REVIEW ONLY",
    "INTERNAL", "PROOF", "UNDER REVIEW",
)  # fmt: skip
_HEADS = (
    "Preprint. Under review.", "Manuscript submitted for publication", "Working paper, version 2",
    "Technical report", "Published as a conference paper", "Author copy, not for distribution",
    "Lecture notes", "Supplementary material",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Chances before scaling, and what to draw from.

    Attributes:
        changed: Share of documents with at least one change.
        page: Page size and margins.
        line_spacing, word_spacing, letter_spacing, font_size, alignment: As named.
        columns: One, two or three for the whole document.
        section_columns: Another number of columns in every section and subsection.
        float_rotation: Half of the figures and tables turned by 0, 90, 180 or 270 degrees.
        table_bars: Vertical rules between the columns of tables, single or double.
        table_rules: Tables with the rules of booktabs, with all rules, or with none.
        no_bibliography, no_captions, no_headings, no_page_numbers: Left out; headings become
            ordinary text.
        font: Another family for the running text.
        section_color: The text of every section in another colour.
        text_color, page_color, sepia: Colours with a contrast above 2.
        background: A gradient, lines, blocks, ruling or fibres behind the text.
        watermark: Large words across the page, behind the text.
        furniture: Holes, a folded corner, a staple, bars of colour at the edge.
        running_head: A line above every page whose header is empty.
        page_rotation: Pages shown turned by 90, 180 or 270 degrees.
        crop_marks, frame, fit_floats: Shares of the documents whose page changes: a printer's
            marks around it, a line around it, floats shrunk to the width of the line.
        balanced, column_rule: Shares of the documents in three columns: columns of one length,
            lines between them.
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
    section_columns: float = 0.3
    float_rotation: float = 0.1
    table_bars: float = 0.3
    table_rules: float = 0.3
    no_bibliography: float = 0.3
    no_captions: float = 0.3
    no_headings: float = 0.3
    no_page_numbers: float = 0.3
    font: float = 1.0
    section_color: float = 0.3
    text_color: float = 0.3
    page_color: float = 0.3
    sepia: float = 0.3
    background: float = 0.3
    watermark: float = 0.1
    furniture: float = 0.1
    running_head: float = 0.1
    page_rotation: float = 0.05
    crop_marks: float = 0.1
    frame: float = 0.1
    fit_floats: float = 0.3
    balanced: float = 0.8
    column_rule: float = 0.1
    fonts: tuple[str, ...] = _FONTS

    def __post_init__(self) -> None:
        for name in ("changed", *_CHANGES, *_SHARES):
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


_SHARES = ("crop_marks", "frame", "fit_floats", "balanced", "column_rule")
_CHANGES = tuple(
    f.name for f in fields(AugmentConfig) if f.name not in ("changed", "fonts", *_SHARES)
)


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
        most = 1 if width < 120 else 2 if width < 165 else 3
        if "columns" in values:
            values["columns"] = min(int(values["columns"]), most)  # type: ignore[call-overload]
        if "section_columns" in values:
            counts = values["section_columns"]
            values["section_columns"] = tuple(min(n, most) for n in counts)  # type: ignore[attr-defined]
        if float(values["top_mm"]) < 18:  # type: ignore[arg-type]
            values.pop("running_head", None)
    _settle_colors(values, streams.rng("palette"))
    return Augmentation(changes=tuple(chosen), style=Style(**values))  # type: ignore[arg-type]


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _values(change: str, rng: random.Random, config: AugmentConfig) -> dict[str, object]:
    if change == "page":
        return _page(rng) | {
            name: True
            for name in ("crop_marks", "frame", "fit_floats")
            if rng.random() < getattr(config, name)
        }
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
    if change in ("columns", "section_columns"):
        return _columns(change, rng, config)
    if change == "font":
        return {"font": rng.choice(config.fonts)}
    if change.startswith("no_"):
        return {change.removeprefix("no_"): False}
    if change == "sepia":
        return {"page_color": hues.sepia(rng)}
    return _others(change, rng)


def _columns(change: str, rng: random.Random, config: AugmentConfig) -> dict[str, object]:
    values: dict[str, object] = {
        "balanced": rng.random() < config.balanced,
        "column_rule": rng.random() < config.column_rule,
        "float_width": round(rng.uniform(0.5, 1.0), 2),
    }
    if change == "columns":
        return values | {"columns": rng.choice((1, 2, 3))}
    return values | {"section_columns": tuple(rng.choice((1, 2, 3)) for _ in range(7))}


def _others(change: str, rng: random.Random) -> dict[str, object]:
    """Changes of floats, tables and of what stands behind the text."""
    if change == "float_rotation":
        angles = (0, 90, 180, 270)
        return {
            "float_angles": tuple(rng.choice(angles) if rng.random() < 0.5 else 0 for _ in range(8))
        }
    if change == "table_bars":
        return {"table_bars": tuple(rng.choice((0, 0, 1, 1, 2)) for _ in range(5))}
    if change == "table_rules":
        return {"table_rules": rng.choice(("booktabs", "grid", "none"))}
    if change == "section_color":
        return {"section_colors": tuple(hues.any_color(rng) for _ in range(5))}
    if change == "background":
        kind = rng.choice(sorted(BACKDROPS))
        return {"background": kind, "background_number": rng.randrange(2**31)}
    if change == "watermark":
        angle = rng.choice((rng.randint(25, 65), rng.randint(295, 335)))
        return {"watermark": rng.choice(_MARKS), "watermark_angle": angle}
    if change == "furniture":
        kind = rng.choice(("bands", "bar", "corner", "holes", "staple"))
        return {"furniture": kind, "furniture_color": hues.any_color(rng)}
    if change == "running_head":
        return {"running_head": rng.choice(_HEADS)}
    if change == "page_rotation":
        return {"page_rotation": rng.choice((90, 180, 270))}
    return {change: hues.any_color(rng)}


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


def _settle_colors(values: dict[str, object], rng: random.Random) -> None:
    """Every text can be read on every colour behind it: texts move first, then what is behind."""
    page = str(values.get("page_color", "ffffff"))
    if "text_color" in values or "page_color" in values:
        wanted = str(values.get("text_color", "000000"))
        settled = hues.readable(wanted, [page])
        if "text_color" in values or settled != wanted:
            values["text_color"] = settled
    texts = [str(values.get("text_color", "000000"))]
    if "section_colors" in values:
        colors = values["section_colors"]
        settled_all = tuple(hues.readable(color, [page]) for color in colors)  # type: ignore[attr-defined]
        values["section_colors"] = settled_all
        texts += settled_all
    if "background" in values:
        values["background_colors"] = hues.palette(rng, page, texts, 4)
    if "watermark" in values:
        near = hues.palette(rng, page, texts, 2)[1]
        tone = hues.mix(near, texts[0], 0.12)
        fits = all(hues.contrast(tone, text) > hues.MIN_CONTRAST for text in texts)
        values["watermark_color"] = tone if fits else near
