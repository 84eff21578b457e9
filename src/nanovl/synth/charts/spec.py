"""What a chart shows and how it looks, apart from any renderer, and what a renderer reports back.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.base import Box

__all__ = ["Chart", "Drawn", "Look", "Mark", "Series", "Text", "value_text"]

# Kinds whose data is one number for every series and category.
MATRIX = (
    "bar",
    "barh",
    "grouped",
    "stacked",
    "stacked100",
    "stackedarea",
    "dual",
    "line",
    "area",
    "pie",
    "donut",
    "heatmap",
    "radar",
    "waterfall",
    "funnel",
    "histogram",
    "combo",
    "lollipop",
    "step",
)
KINDS = (*MATRIX, "scatter", "bubble", "box", "gantt")


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers of one colour.

    Attributes:
        name: As in the legend.
        values: One per category; of scatter charts the y values.
        color: "#rrggbb".
        color_name: The colour as a word.
        xs: x values of scatter charts.
        sizes: Of bubbles.
        mark: "bar" or "line" in a combo or dual chart, "" elsewhere.
    """

    name: str
    values: tuple[float, ...]
    color: str
    color_name: str
    xs: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Style.

    Attributes:
        family: Typeface.
        font_size: Points at 100 dots per inch.
        width, height: Of the picture, in pixels.
        dpi: Dots per inch.
        ground, plot, ink, grid_color: Colours.
        grid: "none", "x", "y" or "both".
        spines: "box", "open" (left and bottom) or "none".
        legend: "best", "outside", "below" or "none".
        line_width: Points.
        has_markers: On lines.
        hatches: Patterns instead of plain fills.
        label_turn: Degrees of category labels.
        is_sketch: Hand-drawn lines.
    """

    family: str = "DejaVu Sans"
    font_size: float = 10.0
    width: int = 640
    height: int = 480
    dpi: int = 100
    ground: str = "#ffffff"
    plot: str = "#ffffff"
    ink: str = "#000000"
    grid_color: str = "#d0d0d0"
    grid: str = "y"
    spines: str = "open"
    legend: str = "best"
    line_width: float = 2.0
    has_markers: bool = True
    hatches: bool = False
    label_turn: int = 0
    is_sketch: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart.

    Attributes:
        kind: One of `KINDS`.
        title, subtitle, note: Texts, "" for none.
        x_label, y_label: Axis titles.
        unit: Of the values, "" for none.
        categories: Labels along the category axis.
        series: Data.
        decimals: Of the values.
        has_values: Whether values are printed.
        low, high: Ends of the value axis; None where there is none.
        extra: Of special kinds: "samples" of box plots, "starts" and "ends" of Gantt charts,
            "edges" of histograms, "right" of charts with a second value axis (its label, unit,
            low, high, decimals and measure).
        look: Style.
        category_noun: What categories are, such as "month".
        measure: What the values are, such as "Rainfall".
        is_time: Whether categories are in order of time.
    """

    kind: str
    title: str
    subtitle: str = ""
    note: str = ""
    x_label: str = ""
    y_label: str = ""
    unit: str = ""
    categories: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    decimals: int = 0
    has_values: bool = False
    low: float | None = None
    high: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    look: Look = Look()
    category_noun: str = "category"
    measure: str = "Value"
    is_time: bool = False

    @property
    def has_legend(self) -> bool:
        """Whether series are told apart by a legend."""
        several = len(self.series) > 1 and self.kind not in ("heatmap", "gantt")
        return self.look.legend != "none" and (several or self.kind in ("pie", "donut"))


@dataclass(frozen=True)
class Mark:
    """Where a value is drawn. For pies the box is that of the wedge."""

    series: int
    index: int
    box: Box
    center: tuple[float, float]


@dataclass(frozen=True)
class Text:
    """A text and its box; role is "title", "subtitle", "x_label", "y_label", "tick_x", "tick_y",
    "legend", "value" or "note"."""

    role: str
    text: str
    box: Box


@dataclass(frozen=True)
class Drawn:
    """What a renderer gives back.

    Attributes:
        png: The picture.
        width, height: In pixels.
        marks: Boxes of all values.
        texts: Boxes of all texts.
        plot: Box of the plotting area.
        pixels: Pixels per unit of the value axis, 0 without one.
        pixels_right: Of a second value axis on the right.
    """

    png: bytes
    width: int
    height: int
    marks: tuple[Mark, ...]
    texts: tuple[Text, ...]
    plot: Box
    pixels: float
    pixels_right: float = 0.0

    def mark(self, series: int, index: int) -> Mark | None:
        """The mark of a value."""
        for mark in self.marks:
            if (mark.series, mark.index) == (series, index):
                return mark
        return None


def value_text(value: float, decimals: int, unit: str = "") -> str:
    """A value as a chart prints it: `1,250`, `3.5`, `12%`."""
    text = f"{value:,.{decimals}f}"
    return f"{text}%" if unit == "%" else text
