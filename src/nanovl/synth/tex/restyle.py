"""The same paper in another dress: fonts, columns, sizes, tables, floats, colours and pages.

Everything goes through options of the hook package, nothing through the source; what is not asked
for stays as the author had it. Must not draw anything at random (`augment` does).

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.tex.backdrop import BACKDROPS, backdrop
from nanovl.synth.tex.hues import mix

__all__ = ["Style", "style_options"]

CROP_MM = 8.0
"""Width of the edge that carries crop marks, on every side of the page."""

_CHOICES: dict[str, tuple[object, ...]] = {
    "alignment": ("left", "right", "center"),
    "background": tuple(sorted(BACKDROPS)),
    "columns": (1, 2, 3),
    "furniture": ("bands", "bar", "corner", "holes", "staple"),
    "page_rotation": (90, 180, 270),
    "table_rules": ("booktabs", "grid", "none"),
}
_RANGES = {
    "size_pt": (4, 40), "width_mm": (40, 1200), "height_mm": (40, 1200), "margin_mm": (1, 200),
    "left_mm": (1, 400), "right_mm": (1, 400), "top_mm": (1, 400), "bottom_mm": (1, 400),
    "line_spacing": (0.5, 3), "word_spacing": (0.3, 3), "letter_spacing": (-0.05, 0.5),
    "float_width": (0.3, 1), "watermark_angle": (1, 359), "background_number": (0, 2**31),
}  # fmt: skip
_ITEMS: dict[str, tuple[object, ...]] = {
    "float_angles": (0, 90, 180, 270),
    "section_columns": (1, 2, 3),
    "table_bars": (0, 1, 2),
}
_COLORS = ("text_color", "page_color", "watermark_color", "furniture_color")
_WORDS = {"font": "a family name", "mono_font": "a family name", "watermark": "plain words",
          "running_head": "plain words"}  # fmt: skip
_FLAGS = ("page_numbers", "captions", "bibliography", "headings", "balanced", "column_rule",
          "fit_floats", "crop_marks", "frame")  # fmt: skip
_WHOLE = ("columns", "page_rotation", "background_number", "watermark_angle")
_COLOR = re.compile(r"[0-9A-Fa-f]{6}")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How to typeset; None leaves it as the author had it.

    Attributes:
        font, mono_font: OpenType family names.
        columns: 1, 2 or 3; three end together and take floats where they are written.
        section_columns: Columns of every section and subsection in turn, over and over.
        balanced: False fills three columns one after the other.
        column_rule: True draws lines between three columns.
        size_pt: Size of the running text.
        width_mm, height_mm: Of the page, both or none.
        margin_mm: On all sides.
        left_mm, right_mm, top_mm, bottom_mm: Margins one by one, all four or none.
        line_spacing: Factor.
        word_spacing: Factor of the blank of the running text.
        letter_spacing: Air between letters of OpenType fonts, in em.
        alignment: "left", "right" or "center" instead of justified.
        text_color, page_color: Six hexadecimal digits.
        section_colors: Of the text of every section and subsection in turn.
        background: Drawing behind the text: "blocks", "dotted", "fibres", "gradient", "lines",
            "mixture", "ruled" or "squared".
        background_colors: Of it, two or more; the first is that of the page.
        background_number: Another number draws otherwise.
        watermark: Large words across the page, behind the text; no text of the page.
        watermark_color, watermark_angle: Of it; degrees, against the clock.
        crop_marks: True prints the page on a larger sheet with the marks of a printer.
        frame: True draws a line around the page.
        furniture: "bands" or a "bar" of colour at the edge, "holes", a folded "corner", a "staple".
        furniture_color: Of bands and bar.
        running_head: Words above every page whose header is empty.
        page_rotation: 90, 180 or 270 degrees, with the clock.
        float_angles: Of figures and tables in turn, 0, 90, 180 or 270 degrees against the clock;
            what does not fit stays upright.
        float_width: Of figures and tables in three columns, as a share of the column.
        fit_floats: True shrinks pictures and tables in floats that are wider than the line.
        table_bars: Vertical rules at the edges of columns in turn, 0, 1 or 2.
        table_rules: "booktabs", "grid" or "none" instead of the author's.
        page_numbers, captions, headings, bibliography: False leaves them out; headings become
            ordinary text.
    """

    font: str | None = None
    mono_font: str | None = None
    columns: int | None = None
    section_columns: tuple[int, ...] | None = None
    balanced: bool | None = None
    column_rule: bool | None = None
    size_pt: float | None = None
    width_mm: float | None = None
    height_mm: float | None = None
    margin_mm: float | None = None
    left_mm: float | None = None
    right_mm: float | None = None
    top_mm: float | None = None
    bottom_mm: float | None = None
    line_spacing: float | None = None
    word_spacing: float | None = None
    letter_spacing: float | None = None
    alignment: str | None = None
    text_color: str | None = None
    page_color: str | None = None
    section_colors: tuple[str, ...] | None = None
    background: str | None = None
    background_colors: tuple[str, ...] | None = None
    background_number: int | None = None
    watermark: str | None = None
    watermark_color: str | None = None
    watermark_angle: int | None = None
    crop_marks: bool | None = None
    frame: bool | None = None
    furniture: str | None = None
    furniture_color: str | None = None
    running_head: str | None = None
    page_rotation: int | None = None
    float_angles: tuple[int, ...] | None = None
    float_width: float | None = None
    fit_floats: bool | None = None
    table_bars: tuple[int, ...] | None = None
    table_rules: str | None = None
    page_numbers: bool | None = None
    captions: bool | None = None
    headings: bool | None = None
    bibliography: bool | None = None

    def __post_init__(self) -> None:
        if (self.width_mm is None) != (self.height_mm is None):
            raise ConfigError("width_mm and height_mm belong together; give both or none")
        sides = [self.left_mm, self.right_mm, self.top_mm, self.bottom_mm]
        if any(v is None for v in sides) and any(v is not None for v in sides):
            raise ConfigError("left_mm, right_mm, top_mm and bottom_mm: give all four or none")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name} {value}; expected {low} to {high}")
        for name, choices in _CHOICES.items():
            _among(name, getattr(self, name), choices)
        for name, choices in _ITEMS.items():
            for value in _listed(name, getattr(self, name)):
                _among(name, value, choices)
        for name, what in _WORDS.items():
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[\w .,:+-]+", value):
                raise ConfigError(f"{name} {value!r}; expected {what}")
        named = [(name, getattr(self, name)) for name in _COLORS]
        for name in ("section_colors", "background_colors"):
            named += [(name, value) for value in _listed(name, getattr(self, name))]
        for name, value in named:
            if value is not None and not _COLOR.fullmatch(value):
                raise ConfigError(f"{name} {value!r}; expected six hexadecimal digits")
        if self.background_colors is not None and len(self.background_colors) < 2:
            raise ConfigError("background_colors: expected two or more")

    def options(self) -> tuple[str, ...]:
        """TeX code for `compile_document(options=...)`; empty when nothing is asked for."""
        values: dict[str, str] = {}
        if self.width_mm is not None:
            values["width"] = f"{self.width_mm:g}mm"
            values["height"] = f"{self.height_mm:g}mm"
        margin = self.margin_mm
        if margin is None and self.width_mm is not None and self.height_mm is not None:
            margin = round(min(self.width_mm, self.height_mm) / 9, 2)
        if self.left_mm is not None:
            values["margins"] = (
                f"left={self.left_mm:g}mm,right={self.right_mm:g}mm,"
                f"top={self.top_mm:g}mm,bottom={self.bottom_mm:g}mm"
            )
        elif margin is not None:
            values["margins"] = f"margin={margin:g}mm"
        for name, macro in _MACROS.items():
            value = getattr(self, name)
            if value is not None:
                values[macro] = f"{value:g}" if isinstance(value, float) else str(value)
        for name, macro in _LISTS.items():
            value = getattr(self, name)
            if value is not None:
                values[macro] = ",".join(map(str, value))
        for name, macro in _OFF.items():
            if getattr(self, name) is False:
                values[macro] = ""
        for name, macro in _ON.items():
            if getattr(self, name) is True:
                values[macro] = ""
        values |= self._columns() | self._behind()
        if self.letter_spacing is not None:
            values["letters"] = f"{100 * self.letter_spacing:g}"
        if self.table_bars is not None:
            values["tablebars"] = "".join(map(str, self.table_bars))
        out = tuple(f"\\def\\ngt{name}{{{value}}}" for name, value in values.items())
        return ("\\def\\ngtoptions{}", *out) if out else ()

    def _columns(self) -> dict[str, str]:
        """What is set in columns by multicol: three of them, or another number per section."""
        if self.section_columns is not None:
            counts = ",".join(map(str, self.section_columns))
            return {"columns": "1", "multi": counts, "sectionwise": "", "fit": ""}
        if self.columns == 3:
            return {"columns": "1", "multi": "3", "fit": ""}
        return {}

    def _behind(self) -> dict[str, str]:
        """Drawings and marks behind the text."""
        values: dict[str, str] = {}
        if self.background is not None:
            page = self.page_color or "ffffff"
            colors = self.background_colors or (
                page,
                mix(page, "808080", 0.2),
                mix(page, "b08040", 0.2),
            )
            values["backdrop"] = backdrop(self.background, colors, self.background_number or 0)
        if self.watermark is not None:
            values["watermark"] = self.watermark
            page = self.page_color or "ffffff"
            values["markcolor"] = self.watermark_color or mix(page, "000000", 0.13)
            values["markangle"] = str(self.watermark_angle or 55)
        if self.crop_marks:
            values["crop"] = f"{CROP_MM:g}mm"
        return values


_MACROS = {
    "font": "font", "mono_font": "monofont", "columns": "columns", "size_pt": "size",
    "line_spacing": "spacing", "word_spacing": "words", "alignment": "align",
    "text_color": "textcolor", "page_color": "pagecolor", "furniture": "furniture",
    "furniture_color": "furniturecolor", "running_head": "head", "page_rotation": "rotate",
    "float_width": "floatwidth", "table_rules": "tablerules",
}  # fmt: skip
_LISTS = {"section_colors": "sectioncolors", "float_angles": "angles"}
_OFF = {
    "page_numbers": "nonumbers", "captions": "nocaptions", "headings": "noheadings",
    "bibliography": "nobibliography", "balanced": "unbalanced",
}  # fmt: skip
_ON = {"column_rule": "columnrule", "fit_floats": "fit", "frame": "frame"}


def _among(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value is not None and value not in choices:
        raise ConfigError(f"{name} {value!r}; expected one of {', '.join(map(str, choices))}")


def _listed(name: str, values: tuple[object, ...] | None) -> tuple[object, ...]:
    if values is not None and not values:
        raise ConfigError(f"{name}: expected at least one")
    return values or ()


def _value(name: str, text: str) -> object:
    if name in _FLAGS:
        return {"true": True, "false": False}[text]
    if name in _ITEMS:
        return tuple(int(word) for word in text.split(","))
    if name in ("section_colors", "background_colors"):
        return tuple(text.split(","))
    if name in _WHOLE:
        return int(text)
    if name in _COLORS or name in _WORDS or name in _CHOICES:
        return text
    return float(text)


def style_options(settings: Iterable[str]) -> tuple[str, ...]:
    """Options from words such as "columns=2".

    Raises:
        ConfigError: Unknown key, or a value out of range.
    """
    known = {f.name for f in fields(Style)}
    values: dict[str, object] = {}
    for word in settings:
        key, mark, value = word.partition("=")
        if key not in known or not mark:
            raise ConfigError(
                f"restyle {word!r}: expected KEY=VALUE with one of {', '.join(sorted(known))}"
                f"{nearest(key, known)}"
            )
        try:
            values[key] = _value(key, value)
        except (ValueError, KeyError):
            raise ConfigError(f"restyle {word!r}: {value!r} is no value of {key}") from None
    return Style(**values).options()  # type: ignore[arg-type]
