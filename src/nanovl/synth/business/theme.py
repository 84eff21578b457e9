"""The look of a document: typefaces, colours, sizes, habits of labels and tables.

Source: data synthesis specification, section 9 (templates, themes, fonts).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["CSS_NAMES", "HANDS", "HAND_FAMILY", "PAIR_FORMS", "TABLE_LOOKS", "Theme", "draw_theme"]

# names of `typefaces.FAMILIES` and what fontconfig and Typst call them
CSS_NAMES = {
    "dejavu-sans": "DejaVu Sans",
    "dejavu-serif": "DejaVu Serif",
    "dejavu-mono": "DejaVu Sans Mono",
    "liberation-sans": "Liberation Sans",
    "liberation-serif": "Liberation Serif",
    "liberation-mono": "Liberation Mono",
    "bookman": "URW Bookman",
    "gothic": "URW Gothic",
    "palladio": "P052",
    "schola": "C059",
}
HANDS = ("Z003",)  # looks written by hand; of fonts-urw-base35
HAND_FAMILY = "bookman"  # a typeface of the same package
PAIR_FORMS = ("inline", "columns", "right", "stacked", "boxed", "dotted", "lined")
TABLE_LOOKS = ("full", "rows", "zebra", "filled", "plain", "frame", "heavy")
_ACCENTS = (
    "#1f4e79", "#7a1f2b", "#2e6b3a", "#5b3a87", "#a2540a", "#0b6e72", "#3c3c3c", "#8a2b6b",
    "#234f9e", "#6b5a1e", "#0f4c3a", "#b0303a",
)  # fmt: skip
_PAPERS = ("#ffffff",) * 8 + ("#fdfcf7", "#f7f9fb", "#fffdf2", "#fbf7f7")
_TINTS = ("#eef2f7", "#f3f3f3", "#f6f0e6", "#eaf3ec", "#f4ecf5")


@dataclass(frozen=True, kw_only=True)
class Theme:
    """A look.

    Attributes:
        body, head, mono: Keys of `CSS_NAMES`.
        hand: Family name for handwriting, "" to print what is filled in.
        size: Of the body in CSS pixels.
        ink, muted, accent, paper, tint, line: Colours.
        pairs: One of `PAIR_FORMS`.
        table: One of `TABLE_LOOKS`.
        bold_labels, colon, upper: Habits of labels.
        radius: Of frames.
        gap: Between parts.
    """

    body: str
    head: str
    mono: str
    hand: str
    size: float
    ink: str
    muted: str
    accent: str
    paper: str
    tint: str
    line: str
    pairs: str
    table: str
    bold_labels: bool
    colon: bool
    upper: bool
    radius: float
    gap: float


def draw_theme(
    rng: random.Random, fonts: tuple[str, ...], handwriting: float, colour: float = 0.85
) -> Theme:
    """A look.

    Args:
        rng: The generator of the stream "style".
        fonts: Keys of `CSS_NAMES` to choose from.
        handwriting: Share of documents that are filled in by hand where that makes sense.
        colour: Share of documents with colours.
    """
    mono = [f for f in fonts if f.endswith("mono")]
    others = [f for f in fonts if f not in mono] or list(fonts)
    body = rng.choice(others)
    if mono and rng.random() < 0.06:
        body = rng.choice(mono)
    is_grey = rng.random() >= colour
    accent = "#222222" if is_grey else rng.choice(_ACCENTS)
    return Theme(
        body=body,
        head=rng.choice(others) if rng.random() < 0.3 else body,
        mono=rng.choice(mono) if mono else body,
        hand=rng.choice(HANDS) if rng.random() < handwriting else "",
        size=rng.choice((12.0, 12.5, 13.0, 13.5, 14.0, 15.0)),
        ink=rng.choice(("#111111", "#1c1c1c", "#222831", "#2b2b2b")),
        muted=rng.choice(("#444444", "#555555", "#4a5560")),
        accent=accent,
        paper="#ffffff" if is_grey else rng.choice(_PAPERS),
        tint="#f0f0f0" if is_grey else rng.choice(_TINTS),
        line=rng.choice(("#999999", "#bbbbbb", "#777777", accent)),
        pairs=rng.choice(PAIR_FORMS),
        table=rng.choice(TABLE_LOOKS),
        bold_labels=rng.random() < 0.4,
        colon=rng.random() < 0.65,
        upper=rng.random() < 0.15,
        radius=rng.choice((0.0, 0.0, 3.0, 6.0)),
        gap=rng.choice((12.0, 16.0, 20.0)),
    )
