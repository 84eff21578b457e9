"""A small chart renderer of our own: bars, stacks, lines, areas, pies, rings and points.

Needs Pillow alone, and looks different from matplotlib on purpose: value axis title above the
axis, rounded bars, ticks only as faint lines.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

from nanovl.core.errors import InputError
from nanovl.synth.base import Box, Reject
from nanovl.synth.charts.spec import Chart, Drawn, Mark, Text, value_text
from nanovl.synth.scenes.shapes import RGB
from nanovl.synth.scenes.sheet import Sheet

__all__ = ["PIL_KINDS", "draw_with_pillow"]


def rgb(color: str) -> RGB:
    """`#rrggbb` as three numbers."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


class _Page:
    """A chart being drawn."""

    def __init__(self, chart: Chart) -> None:
        look = chart.look
        self.chart = chart
        self.ink, self.faint = rgb(look.ink), rgb(look.grid_color)
        if look.grid_color == look.plot:
            self.faint = (205, 205, 205)
        self.sheet = Sheet(look.width, look.height, rgb(look.ground))
        self.size = max(11, round(look.font_size * look.height / 460 * 1.25))
        self.marks: list[Mark] = []
        self.texts: list[Text] = []
        self.left, self.right = 0.0, float(look.width - 16)
        self.top, self.bottom = 10.0, float(look.height - 12)
        self.pixels = 0.0

    def text(
        self, role: str, text: str, x: float, y: float, anchor: str = "mm", size: int = 0,
        color: RGB | None = None,
    ) -> None:  # fmt: skip
        """A text; raises when it leaves the picture or covers another one."""
        box = self.sheet.measured(text, size or self.size, x, y, anchor)
        if box[0] < 0 or box[1] < 0 or box[2] > self.sheet.width or box[3] > self.sheet.height:
            raise Reject("cut_off", f"{role} {text!r} leaves the picture")
        for other in self.texts:
            wide = min(box[2], other.box[2]) - max(box[0], other.box[0])
            high = min(box[3], other.box[3]) - max(box[1], other.box[1])
            if wide > 0 and high > 0:
                raise Reject("overlap", f"{text!r} and {other.text!r}")
        self.sheet.text(text, x, y, color or self.ink, size or self.size, anchor)
        self.texts.append(Text(role, text, box))

    def mark(self, series: int, index: int, box: Box) -> None:
        """Remember where a value is."""
        center = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        self.marks.append(Mark(series, index, box, center))

    def width_of(self, text: str) -> float:
        """Width of a text in pixels."""
        box = self.sheet.measured(text, self.size, 0, 0)
        return box[2] - box[0]


def _head(page: _Page) -> None:
    chart, middle = page.chart, page.sheet.width / 2
    big = round(page.size * 1.35)
    page.text("title", chart.title, middle, page.top, "mt", big)
    page.top += big * 1.5
    if chart.subtitle:
        page.text("subtitle", chart.subtitle, middle, page.top, "mt")
        page.top += page.size * 1.6
    if chart.note:
        page.text("note", chart.note, 12, page.bottom, "lb", max(10, page.size - 2))
        page.bottom -= page.size * 1.7


def _legend(page: _Page) -> None:
    """A row of squares and names below the title."""
    if not page.chart.has_legend:
        return
    names = [s.name for s in page.chart.series]
    side = page.size * 0.8
    wide = sum(page.width_of(n) + 2.6 * side for n in names)
    if wide > page.sheet.width - 20:
        raise Reject("legend", "the legend is too wide")
    x = (page.sheet.width - wide) / 2
    y = page.top + side / 2
    for series in page.chart.series:
        page.sheet.box((x, y - side / 2, x + side, y + side / 2), rgb(series.color))
        page.text("legend", series.name, x + 1.4 * side, y, "lm")
        x += page.width_of(series.name) + 2.6 * side
    page.top += page.size * 1.8


def _frame(page: _Page, *, lying: bool = False) -> Callable[[float], float]:
    """Axes of a chart; returns the place of a value along the value axis."""
    chart = page.chart
    assert chart.low is not None
    assert chart.high is not None
    low, high = chart.low, chart.high
    page.text("y_label", chart.y_label, 12, page.top, "lt")
    page.top += page.size * 1.9
    steps = _steps(low, high)
    labels = [value_text(v, _places(steps), "") for v in steps]
    if lying:
        page.left = max(page.width_of(c) for c in chart.categories) + 22
        page.bottom -= page.size * 1.8
        page.right -= page.width_of(labels[-1]) / 2 + (4 * page.size if chart.has_values else 0)
        page.pixels = (page.right - page.left) / (high - low)
    else:
        page.left = max(map(page.width_of, labels)) + 22
        if chart.x_label:
            page.text("x_label", chart.x_label, (page.left + page.right) / 2, page.bottom, "mb")
            page.bottom -= page.size * 1.7
        page.bottom -= page.size * 1.8
        page.pixels = (page.bottom - page.top) / (high - low)

    def at(value: float) -> float:
        shift = (value - low) * page.pixels
        return page.left + shift if lying else page.bottom - shift

    for value, label in zip(steps, labels, strict=True):
        place = at(value)
        if lying:
            page.sheet.line([(place, page.top), (place, page.bottom)], page.faint, 1)
            page.text("tick_x", label, place, page.bottom + 5, "mt")
        else:
            page.sheet.line([(page.left, place), (page.right, place)], page.faint, 1)
            page.text("tick_y", label, page.left - 8, place, "rm")
    zero = at(max(low, min(0.0, high)))
    ends = (
        [(zero, page.top), (zero, page.bottom)]
        if lying
        else [(page.left, zero), (page.right, zero)]
    )
    page.sheet.line(ends, page.ink, 1.5)
    return at


def _steps(low: float, high: float) -> list[float]:
    span = high - low
    step: float = 10 ** math.floor(math.log10(span))
    for share in (0.1, 0.2, 0.25, 0.5, 1.0):
        if span / (step * share) <= 7:
            step *= share
            break
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) for k in range(first, first + 12) if step * k <= high + 1e-9 * span]


def _places(steps: list[float]) -> int:
    for digits in range(4):
        if all(abs(round(s, digits) - s) < 1e-9 for s in steps):
            return digits
    return 4


def _categories(page: _Page) -> list[float]:
    """Middles of the categories, labelled."""
    count = len(page.chart.categories)
    wide = (page.right - page.left) / count
    middles = [page.left + wide * (k + 0.5) for k in range(count)]
    if max(map(page.width_of, page.chart.categories)) > wide - 4:
        raise Reject("overlap", "category labels do not fit")
    for label, x in zip(page.chart.categories, middles, strict=True):
        page.text("tick_x", label, x, page.bottom + 6, "mt")
    return middles


def _bars(page: _Page) -> None:
    chart = page.chart
    lying = chart.kind == "barh"
    at = _frame(page, lying=lying)
    series = chart.series[0]
    color = rgb(series.color)
    if lying:
        tall = (page.bottom - page.top) / len(series.values)
        for k, value in enumerate(series.values):
            y = page.top + tall * (k + 0.5)
            box = (at(0), y - 0.32 * tall, at(value), y + 0.32 * tall)
            page.sheet.box(box, color, radius=2)
            page.mark(0, k, box)
            page.text("tick_y", chart.categories[k], page.left - 8, y, "rm")
            if chart.has_values:
                text = value_text(value, chart.decimals, chart.unit)
                page.text("value", text, at(value) + 5, y, "lm")
        return
    middles = _categories(page)
    half = 0.34 * (page.right - page.left) / len(middles)
    for k, (x, value) in enumerate(zip(middles, series.values, strict=True)):
        box = (x - half, at(value), x + half, at(0))
        if chart.kind == "lollipop":
            page.sheet.line([(x, at(0)), (x, at(value))], color, 2)
            box = (x - 6, at(value) - 6, x + 6, at(value) + 6)
            page.sheet.circle(x, at(value), 6, color)
        else:
            page.sheet.box(box, color, radius=3)
        page.mark(0, k, box)
        _value(page, value, x, box[1] - 4)


def _value(page: _Page, value: float, x: float, y: float) -> None:
    if page.chart.has_values:
        text = value_text(value, page.chart.decimals, page.chart.unit)
        page.text("value", text, x, y, "mb", max(10, page.size - 2))


def _groups(page: _Page) -> None:
    chart = page.chart
    at = _frame(page)
    middles = _categories(page)
    wide = 0.8 * (page.right - page.left) / len(middles)
    for k, x in enumerate(middles):
        base = 0.0
        for s, series in enumerate(chart.series):
            value = series.values[k]
            if chart.kind == "grouped":
                step = wide / len(chart.series)
                left = x - wide / 2 + step * s
                box = (left + 1, at(value), left + step - 1, at(0))
                page.sheet.box(box, rgb(series.color))
                _value(page, value, left + step / 2, box[1] - 3)
            else:
                box = (x - 0.4 * wide, at(base + value), x + 0.4 * wide, at(base))
                base += value
                page.sheet.box(box, rgb(series.color))
                if chart.has_values:
                    _on_bar(page, value, series.color, x, (box[1] + box[3]) / 2)
            page.mark(s, k, box)


def _on_bar(page: _Page, value: float, color: str, x: float, y: float) -> None:
    text = value_text(value, page.chart.decimals, page.chart.unit)
    ink = (0, 0, 0) if sum(rgb(color)) > 400 else (255, 255, 255)
    page.text("value", text, x, y, "mm", max(10, page.size - 2), ink)


def _lines(page: _Page) -> None:
    chart = page.chart
    at = _frame(page)
    middles = _categories(page)
    for s, series in enumerate(chart.series):
        color = rgb(series.color)
        points = [(x, at(v)) for x, v in zip(middles, series.values, strict=True)]
        if chart.kind == "area":
            pale = tuple(round(c + (255 - c) * 0.55) for c in color)
            ring = [*points, (points[-1][0], page.bottom), (points[0][0], page.bottom)]
            page.sheet.polygon(ring, (pale[0], pale[1], pale[2]))
        page.sheet.line(points, color, chart.look.line_width)
        for k, (x, y) in enumerate(points):
            if chart.look.has_markers:
                page.sheet.circle(x, y, 4, color)
            page.mark(s, k, (x - 5, y - 5, x + 5, y + 5))
            _value(page, series.values[k], x, y - 7)


def _pie(page: _Page) -> None:
    chart = page.chart
    middle = (page.sheet.width / 2, (page.top + page.bottom) / 2)
    radius = min(page.bottom - page.top, page.sheet.width * 0.8) / 2 - 8
    start = -90.0
    hole = 0.5 if chart.kind == "donut" else 0.0
    for s, series in enumerate(chart.series):
        sweep = 3.6 * series.values[0]
        count = max(2, int(sweep / 2))
        turns = [math.radians(start + sweep * k / count) for k in range(count + 1)]
        outer = [
            (middle[0] + radius * math.cos(t), middle[1] + radius * math.sin(t)) for t in turns
        ]
        inner = [
            (middle[0] + hole * radius * math.cos(t), middle[1] + hole * radius * math.sin(t))
            for t in reversed(turns)
        ]
        ring = [*outer, *inner] if hole else [*outer, middle]
        page.sheet.polygon(ring, rgb(series.color), rgb(chart.look.ground), 1.5)
        xs, ys = [p[0] for p in ring], [p[1] for p in ring]
        page.mark(s, 0, (min(xs), min(ys), max(xs), max(ys)))
        if chart.has_values:
            t = math.radians(start + sweep / 2)
            far = radius * (0.75 if hole else 0.68)
            light = sum(rgb(series.color)) > 400
            page.text(
                "value", value_text(series.values[0], 0, "%"), middle[0] + far * math.cos(t),
                middle[1] + far * math.sin(t), color=(0, 0, 0) if light else (255, 255, 255),
            )  # fmt: skip
        start += sweep


def _scatter(page: _Page) -> None:
    chart = page.chart
    at = _frame(page)
    xs = [x for s in chart.series for x in s.xs]
    span = max(xs) - min(xs)
    steps = _steps(min(xs) - 0.05 * span, max(xs) + 0.05 * span)
    low, high = min(min(xs) - 0.05 * span, steps[0]), max(max(xs) + 0.05 * span, steps[-1])

    def across(value: float) -> float:
        return page.left + (value - low) / (high - low) * (page.right - page.left)

    for value in steps:
        label = value_text(value, _places(steps))
        page.text("tick_x", label, across(value), page.bottom + 6, "mt")
    for s, series in enumerate(chart.series):
        for k, (x, y) in enumerate(zip(series.xs, series.values, strict=True)):
            place = (across(x), at(y))
            page.sheet.circle(*place, 5, rgb(series.color), rgb(chart.look.ground), 0.8)
            page.mark(s, k, (place[0] - 5, place[1] - 5, place[0] + 5, place[1] + 5))


PIL_KINDS: dict[str, Callable[[_Page], None]] = {
    "bar": _bars,
    "barh": _bars,
    "lollipop": _bars,
    "grouped": _groups,
    "stacked": _groups,
    "line": _lines,
    "area": _lines,
    "pie": _pie,
    "donut": _pie,
    "scatter": _scatter,
}


def draw_with_pillow(chart: Chart) -> Drawn:
    """Draw a chart of one of `PIL_KINDS`.

    Raises:
        InputError: Another kind.
        Reject: Its texts do not fit.
    """
    if chart.kind not in PIL_KINDS:
        raise InputError(f"chart kind {chart.kind!r}: this renderer draws {sorted(PIL_KINDS)}")
    page = _Page(chart)
    _head(page)
    _legend(page)
    PIL_KINDS[chart.kind](page)
    image = page.sheet.finish()
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    plot = (page.left, page.top, page.right, page.bottom)
    return Drawn(
        out.getvalue(), image.width, image.height, tuple(page.marks), tuple(page.texts), plot,
        page.pixels,
    )  # fmt: skip
