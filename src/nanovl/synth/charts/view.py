"""A drawn chart as a questioner sees it: which values can be read, which differences are visible.

A value can be read if it is printed or stands clear of the axis; two values may be compared if
their marks are at least 8 pixels and 5 percent of the axis apart.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from nanovl.synth.asking import number_text
from nanovl.synth.base import Answer
from nanovl.synth.charts.spec import Chart, Drawn, value_text

__all__ = ["KIND_NAMES", "Entry", "View"]

KIND_NAMES = {
    "bar": "bar chart",
    "barh": "horizontal bar chart",
    "lollipop": "lollipop chart",
    "grouped": "grouped bar chart",
    "stacked": "stacked bar chart",
    "stacked100": "100% stacked bar chart",
    "stackedarea": "stacked area chart",
    "dual": "chart with two value axes",
    "line": "line chart",
    "area": "area chart",
    "step": "step chart",
    "pie": "pie chart",
    "donut": "donut chart",
    "heatmap": "heat map",
    "radar": "radar chart",
    "waterfall": "waterfall chart",
    "funnel": "funnel chart",
    "histogram": "histogram",
    "combo": "combined bar and line chart",
    "scatter": "scatter plot",
    "bubble": "bubble chart",
    "box": "box plot",
    "gantt": "Gantt chart",
}
LEAST_PIXELS = 8.0
LEAST_SHARE = 0.05
READ_ERROR = 0.05  # relative, of values that are not printed


@dataclass(frozen=True)
class Entry:
    """A value with its label. `color` is "" when colours do not tell entries apart."""

    label: str
    value: float
    series: int
    index: int
    color: str = ""


class View:
    """A chart, its picture and a random generator.

    Args:
        chart: What is shown.
        drawn: How it was drawn.
        rng: Where choices of questions come from.
    """

    def __init__(self, chart: Chart, drawn: Drawn, rng: random.Random) -> None:
        self.chart, self.drawn, self.rng = chart, drawn, rng
        self.is_round = chart.kind in ("pie", "donut")
        self.noun = chart.category_noun
        self.measure = chart.measure.lower()

    @property
    def is_printed(self) -> bool:
        """Whether exact values are in the picture."""
        return self.chart.has_values or self.chart.kind in ("radar", "gantt")

    @property
    def gap(self) -> float:
        """Least difference of two values that may be asked about."""
        if self.chart.kind in ("radar", "gantt"):
            return 0.99
        if self.is_printed:
            return 10.0**-self.chart.decimals * 0.9
        if self.is_round:
            return 4.0
        low, high = self.chart.low or 0.0, self.chart.high or 0.0
        least = LEAST_PIXELS / self.drawn.pixels if self.drawn.pixels else 0.0
        return max(LEAST_SHARE * (high - low), least)

    @property
    def tolerance(self) -> float | None:
        """Relative error allowed for values read off."""
        return None if self.is_printed else READ_ERROR

    def entries(self, series: int) -> list[Entry]:
        """Values of a series by category; of a pie, all slices."""
        if self.is_round:
            return [
                Entry(s.name, s.values[0], k, 0, s.color_name)
                for k, s in enumerate(self.chart.series)
            ]
        values = self.chart.series[series].values
        return [
            Entry(label, value, series, k)
            for k, (label, value) in enumerate(zip(self.chart.categories, values, strict=True))
        ]

    def scope(self, series: int) -> str:
        """` for North` where there are several series."""
        if self.is_round or len(self.chart.series) == 1:
            return ""
        return f" for {self.chart.series[series].name}"

    def can_read(self, entry: Entry) -> bool:
        """Whether the value can be read off within the tolerance."""
        if self.is_printed:
            return True
        if self.is_round or self.chart.kind in ("stacked100", "heatmap", "bubble"):
            return False
        if self.chart.kind in ("stacked", "stackedarea") and entry.series:
            return False  # only the lowest part starts at the axis
        low, pixels = self.chart.low or 0.0, self.drawn.pixels
        height = abs(entry.value - max(0.0, low)) * pixels
        # Two pixels of error must stay within the tolerance.
        return abs(entry.value) * pixels * READ_ERROR >= 2.0 and height >= 24

    def shown(self, entry: Entry) -> str:
        """A value in a trace; `about` if it is read off."""
        text = value_text(entry.value, self.chart.decimals, self.chart.unit)
        return text if self.is_printed else f"about {text}"

    def number(self, value: float, decimals: int | None = None, tolerance: float | None = None) -> (
        tuple[str, Answer]
    ):  # fmt: skip
        """A number as answer text and checkable answer."""
        text = number_text(value, self.chart.decimals if decimals is None else decimals)
        unit = self.chart.unit or None
        return text, Answer(type="number", value=float(text), unit=unit, tolerance=tolerance)
