"""The same paper in another dress: fonts, columns, sizes, spacing, colours and page geometry.

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

__all__ = ["Style", "style_options"]

_ALIGNMENTS = ("left", "right", "center")
_RANGES = {
    "size_pt": (4, 40), "width_mm": (40, 1200), "height_mm": (40, 1200), "margin_mm": (1, 200),
    "left_mm": (1, 400), "right_mm": (1, 400), "top_mm": (1, 400), "bottom_mm": (1, 400),
    "line_spacing": (0.5, 3), "word_spacing": (0.3, 3), "letter_spacing": (-0.05, 0.5),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Style:
    """How to typeset; None leaves it as the author had it.

    Attributes:
        font, mono_font: OpenType family names.
        columns: 1 or 2.
        size_pt: Size of the running text.
        width_mm, height_mm: Of the page, both or none.
        margin_mm: On all sides.
        left_mm, right_mm, top_mm, bottom_mm: Margins one by one, all four or none.
        line_spacing: Factor.
        word_spacing: Factor of the blank of the running text.
        letter_spacing: Air between letters of OpenType fonts, in em.
        alignment: "left", "right" or "center" instead of justified.
        text_color, page_color: Six hexadecimal digits.
        page_numbers: False prints none.
        captions: False prints none.
    """

    font: str | None = None
    mono_font: str | None = None
    columns: int | None = None
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
    page_numbers: bool | None = None
    captions: bool | None = None

    def __post_init__(self) -> None:
        if self.columns not in (None, 1, 2):
            raise ConfigError(f"columns {self.columns}; expected 1 or 2")
        if (self.width_mm is None) != (self.height_mm is None):
            raise ConfigError("width_mm and height_mm belong together; give both or none")
        sides = [self.left_mm, self.right_mm, self.top_mm, self.bottom_mm]
        if any(v is None for v in sides) and any(v is not None for v in sides):
            raise ConfigError("left_mm, right_mm, top_mm and bottom_mm: give all four or none")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name} {value}; expected {low} to {high}")
        for name in ("font", "mono_font"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[\w .+-]+", value):
                raise ConfigError(f"{name} {value!r}; expected a family name")
        for name in ("text_color", "page_color"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[0-9A-Fa-f]{6}", value):
                raise ConfigError(f"{name} {value!r}; expected six hexadecimal digits")
        if self.alignment is not None and self.alignment not in _ALIGNMENTS:
            raise ConfigError(
                f"alignment {self.alignment!r}; expected one of {', '.join(_ALIGNMENTS)}"
            )

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
        for name, macro in (
            ("font", "font"), ("mono_font", "monofont"), ("columns", "columns"),
            ("size_pt", "size"), ("line_spacing", "spacing"), ("word_spacing", "words"),
            ("alignment", "align"), ("text_color", "textcolor"), ("page_color", "pagecolor"),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                values[macro] = f"{value:g}" if isinstance(value, float) else str(value)
        if self.letter_spacing is not None:
            values["letters"] = f"{100 * self.letter_spacing:g}"
        if self.page_numbers is False:
            values["nonumbers"] = ""
        if self.captions is False:
            values["nocaptions"] = ""
        out = tuple(f"\\def\\ngt{name}{{{value}}}" for name, value in values.items())
        return ("\\def\\ngtoptions{}", *out) if out else ()


def _value(name: str, text: str) -> object:
    if name in ("page_numbers", "captions"):
        return {"true": True, "false": False}[text]
    if name in ("font", "mono_font", "alignment", "text_color", "page_color"):
        return text
    return int(text) if name == "columns" else float(text)


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
