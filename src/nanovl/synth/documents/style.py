"""How a document looks: paper, margins, columns, typefaces, colours, tables.

A style is data; `draw_style` draws a believable one. Must not lay anything out.

Source: data synthesis specification, sections 4 and 6 (border styles); the rendering table of the
training data (columns, headers, coloured paper).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from nanovl.synth.documents.fonts import Family, FontLibrary, FontSplit
from nanovl.synth.documents.glyphs import Pen, pen

__all__ = [
    "Align",
    "Colour",
    "PageStyle",
    "TableStyle",
    "contrast",
    "draw_palette",
    "draw_style",
    "draw_table_style",
    "pick_family",
]

Colour = tuple[int, int, int]
Align = Literal["left", "right", "center", "justify"]

_WHITE: Colour = (255, 255, 255)
_INKS: tuple[Colour, ...] = (
    (0, 0, 0),
    (20, 20, 24),
    (34, 34, 34),
    (51, 51, 51),
    (28, 28, 60),
    (48, 36, 28),
)
_PAPERS: tuple[Colour, ...] = (
    (253, 250, 240),
    (248, 244, 228),
    (245, 245, 245),
    (240, 246, 252),
    (252, 244, 244),
    (243, 250, 243),
    (250, 248, 215),
    (236, 232, 222),
)
_DARK_PAPERS: tuple[Colour, ...] = ((24, 26, 30), (18, 32, 47), (40, 40, 40), (10, 10, 12))
_ACCENTS: tuple[Colour, ...] = (
    (150, 20, 24),
    (14, 70, 140),
    (20, 100, 60),
    (96, 40, 120),
    (160, 80, 10),
    (0, 96, 110),
    (60, 60, 60),
    (120, 16, 72),
)


def _luminance(colour: Colour) -> float:
    def linear(value: int) -> float:
        v = value / 255
        return v / 12.92 if v <= 0.04045 else float(((v + 0.055) / 1.055) ** 2.4)

    r, g, b = map(linear, colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: Colour, b: Colour) -> float:
    """Contrast of two colours, 1 (equal) to 21 (black on white)."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


@dataclass(frozen=True, kw_only=True)
class TableStyle:
    """How tables look.

    Attributes:
        rules: Which lines are drawn.
        header_fill, zebra_fill: Colours behind cells; None for none.
        header_ink: Text of the header row.
        rule: Colour of the lines; `rule_width` in pixels.
        pad_x, pad_y: Around the text of a cell, in em.
        header_bold, first_bold: Bold header row, bold first column.
        align: Of text cells; numbers stand right when `numbers_right`.
        numbers_right: See `align`.
        caption: Where the caption stands.
        valign_middle: Whether short cells stand in the middle of tall rows.
    """

    rules: Literal["none", "horizontal", "full", "booktabs", "frame", "header", "vertical"] = "full"
    header_fill: Colour | None = None
    zebra_fill: Colour | None = None
    header_ink: Colour = (0, 0, 0)
    rule: Colour = (0, 0, 0)
    rule_width: int = 1
    pad_x: float = 0.5
    pad_y: float = 0.25
    header_bold: bool = True
    first_bold: bool = False
    align: Align = "left"
    numbers_right: bool = False
    caption: Literal["above", "below"] = "above"
    valign_middle: bool = False


@dataclass(frozen=True, kw_only=True)
class PageStyle:
    """How pages look; lengths in pixels.

    Attributes:
        width, max_height: Of a page.
        trim: Whether a page ends below its content instead of at `max_height`.
        margins: Left, top, right, bottom.
        columns, gutter: Of the text; `column_rule` draws a line between them.
        body, head, mono: Font stacks of text, headings and code.
        size: Of the text in pixels; `leading` is the line pitch over the size.
        heading_scale: Size of a title over that of text.
        heading_align, heading_colour, heading_bold, heading_rule: Of titles and headings.
        align: Of paragraphs.
        indent: Of first lines, in em; `gap` between paragraphs in lines.
        bullet: Marker of list items.
        ink, paper, accent: Colours.
        header, footer: Text in the margins; "{page}" and "{pages}" are replaced.
        header_rule: Whether a line separates them from the text.
        rtl: Lines run from right to left.
        table: See `TableStyle`.
    """

    width: int
    max_height: int
    body: tuple[Family, ...]
    head: tuple[Family, ...]
    mono: tuple[Family, ...]
    margins: tuple[int, int, int, int] = (60, 60, 60, 60)
    trim: bool = False
    columns: int = 1
    gutter: int = 30
    column_rule: bool = False
    size: float = 18.0
    leading: float = 1.3
    heading_scale: float = 1.8
    heading_align: Align = "left"
    heading_colour: Colour = (0, 0, 0)
    heading_bold: bool = True
    heading_rule: bool = False
    align: Align = "left"
    indent: float = 0.0
    gap: float = 0.6
    bullet: str = "\u2022"
    ink: Colour = (0, 0, 0)
    paper: Colour = _WHITE
    accent: Colour = (0, 0, 0)
    header: str = ""
    footer: str = ""
    header_rule: bool = False
    rtl: bool = False
    table: TableStyle = field(default_factory=TableStyle)

    def pen(
        self, kind: str = "text", level: int = 0, bold: bool = False, italic: bool = False
    ) -> Pen:
        """The pen for a kind of block."""
        size, stack = self.size, self.body
        if kind == "title":
            size, stack, bold = size * self.heading_scale, self.head, self.heading_bold
        elif kind == "section_header":
            share = max(0.15, 1.0 - 0.4 * max(1, level))
            size *= 1.0 + (self.heading_scale - 1.0) * share
            stack, bold = self.head, True
        elif kind == "code":
            size, stack = size * 0.88, self.mono
        elif kind == "caption":
            size, italic = size * 0.88, italic
        elif kind in ("page_header", "page_footer"):
            size *= 0.8
        return pen(stack, max(9.0, round(size * 2) / 2), bold, italic)


def pick_family(
    fonts: FontLibrary, text: str, split: FontSplit, rng: random.Random, *, mono: float = 0.3
) -> tuple[Family, ...] | None:
    """A stack of fonts that shows a text, None when there is none.

    Args:
        fonts: Where to choose.
        text: What must be shown.
        split: Training or held-out families.
        rng: Draws the family.
        mono: Weight of monospaced families against 1 of others; there are many of them.
    """
    able = fonts.for_text(text, split)
    if not able:
        return None
    weights = [mono if f.is_monospaced else 1.0 for f in able]
    family = rng.choices(able, weights)[0] if sum(weights) > 0 else rng.choice(able)
    return fonts.stack(family, text)


def draw_palette(rng: random.Random, *, dark: float = 0.03) -> tuple[Colour, Colour, Colour]:
    """(ink, paper, accent) that can be read."""
    if rng.random() < dark:
        paper = rng.choice(_DARK_PAPERS)
        bright = rng.randint(205, 255)
        accent = rng.choice(((255, 200, 90), (140, 200, 255), (170, 230, 170), (240, 240, 240)))
        return (bright, bright, bright), paper, accent
    paper = _WHITE if rng.random() < 0.62 else rng.choice(_PAPERS)
    ink = rng.choice(_INKS) if rng.random() < 0.55 else (0, 0, 0)
    accent = rng.choice(_ACCENTS) if rng.random() < 0.45 else ink
    return ink, paper, accent


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def draw_table_style(rng: random.Random, ink: Colour, paper: Colour, accent: Colour) -> TableStyle:
    """A table style whose text can be read on its fills."""
    header_fill = header_ink = None
    kind = rng.random()
    if kind < 0.22:
        header_fill, header_ink = _mix(accent, paper, 0.82), ink
    elif kind < 0.4:
        strong = accent if contrast(accent, _WHITE) >= 5 else (40, 60, 90)
        header_fill, header_ink = strong, _WHITE
    if header_ink is None or (header_fill and contrast(header_fill, header_ink) < 4.5):
        header_fill, header_ink = None, ink if rng.random() < 0.8 else accent
    zebra = _mix(paper, accent, rng.uniform(0.05, 0.1)) if rng.random() < 0.3 else None
    return TableStyle(
        rules=rng.choices(
            ("full", "horizontal", "booktabs", "none", "frame", "header", "vertical"),
            (30, 20, 16, 10, 8, 10, 6),
        )[0],
        header_fill=header_fill,
        zebra_fill=zebra,
        header_ink=header_ink,
        rule=ink if rng.random() < 0.5 else _mix(ink, paper, rng.uniform(0.3, 0.7)),
        rule_width=1 if rng.random() < 0.8 else 2,
        pad_x=rng.uniform(0.45, 1.0),
        pad_y=rng.uniform(0.12, 0.5),
        header_bold=rng.random() < 0.75,
        first_bold=rng.random() < 0.15,
        align="center" if rng.random() < 0.25 else "left",
        numbers_right=rng.random() < 0.45,
        caption="above" if rng.random() < 0.7 else "below",
        valign_middle=rng.random() < 0.5,
    )


def draw_style(
    rng: random.Random,
    body: tuple[Family, ...],
    head: tuple[Family, ...],
    mono: tuple[Family, ...],
    *,
    characters: int,
    rtl: bool = False,
    size: float | None = None,
    max_width: int = 1024,
    max_height: int = 1408,
) -> PageStyle:
    """A page style that suits a text of some length.

    Args:
        rng: Draws everything.
        body, head, mono: Font stacks.
        characters: Of the text, to choose columns and whether the page is trimmed.
        rtl: Right to left.
        size: Of the text in pixels; drawn when None.
        max_width, max_height: Of a page in pixels.
    """
    ink, paper, accent = draw_palette(rng)
    if size is None:
        size = rng.choice((14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0, 22.0, 24.0))
    width = rng.randint(min(max_width, 560), max_width) // 8 * 8
    columns = 1
    if characters > 900 and width >= 720 and size <= 18:
        columns = rng.choices((1, 2, 3), (5, 4, 1 if width >= 900 and size <= 15 else 0))[0]
    left = rng.randint(width // 24, width // 9)
    right = left if rng.random() < 0.7 else rng.randint(width // 24, width // 9)
    top, bottom = (rng.randint(width // 20, width // 8) for _ in range(2))
    em_width = (width - left - right) / columns / size
    align: Align = rng.choices(("left", "justify", "center"), (50, 45, 2))[0]
    if em_width < 19 and align == "justify":
        align = "left"
    if rtl:
        align = "justify" if align == "justify" else "right"
    indented = rng.random() < 0.35
    leading = rng.uniform(1.18, 1.62)
    shaped = body[0].regular.vertical
    if sum(shaped) > 1.5:  # tall scripts
        leading = max(leading, sum(shaped) * 0.98)
    return PageStyle(
        width=width,
        max_height=min(max_height, round(width * rng.uniform(1.2, 1.5))),
        trim=rng.random() < (0.92 if characters < 900 else 0.7),
        margins=(left, top, right, bottom),
        columns=columns,
        gutter=round(size * rng.uniform(1.3, 2.4)),
        column_rule=columns > 1 and rng.random() < 0.25,
        body=body,
        head=head,
        mono=mono,
        size=size,
        leading=leading,
        heading_scale=rng.uniform(1.25, 2.2),
        heading_align=("right" if rtl else "left") if rng.random() < 0.6 else "center",
        heading_colour=accent,
        heading_bold=rng.random() < 0.8,
        heading_rule=rng.random() < 0.18,
        align=align,
        indent=rng.uniform(1.0, 2.0) if indented else 0.0,
        gap=rng.uniform(0.0, 0.15) if indented else rng.uniform(0.35, 0.9),
        bullet=rng.choices(("\u2022", "-", "*", "\u2013"), (60, 20, 10, 10))[0],
        ink=ink,
        paper=paper,
        accent=accent,
        header_rule=rng.random() < 0.3,
        rtl=rtl,
        table=draw_table_style(rng, ink, paper, accent),
    )
