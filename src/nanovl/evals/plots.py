"""Line charts as SVG: text that stands in a page and needs no script and no network.

Colours come from the page's style sheet by class, so that they follow light and dark. Knows no
benchmark.

Source: evaluation specification, sections 2.3 and 2.4 (figures 3 and 4).
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Series", "line_chart"]

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 20, 44
_COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line.

    Attributes:
        name: In the legend.
        values: One per place of the axis; None leaves a gap.
        star: Place that is marked, or None.
        level: A dashed line at this value, or None.
    """

    name: str
    values: Sequence[float | None]
    star: int | None = None
    level: float | None = None


def line_chart(
    title: str,
    places: Sequence[str],
    series: Sequence[Series],
    unit: str = "",
    *,
    lines: bool = True,
) -> str:
    """Lines over a categorical axis.

    Args:
        title: Read by screen readers and shown above.
        places: Names of the places of the axis.
        series: Lines, each with one value per place.
        unit: Of the values.
        lines: Whether the values of neighbouring places are joined.

    Returns:
        An `<svg>` element, or "" when there is no value at all.

    Raises:
        ValueError: A line has not one value per place.
    """
    for one in series:
        if len(one.values) != len(places):
            raise ValueError(f"line {one.name!r}: {len(one.values)} values, {len(places)} places")
    known = [v for one in series for v in (*one.values, one.level) if v is not None]
    if not known:
        return ""
    low, high, step = _ticks(min(known), max(known))

    def x_of(place: int) -> float:
        span = WIDTH - _LEFT - _RIGHT
        return _LEFT + span * (place + 0.5) / len(places)

    def y_of(value: float) -> float:
        span = HEIGHT - _TOP - _BOTTOM
        return _TOP + span * (1 - (value - low) / (high - low))

    parts = [
        f'<figure><figcaption>{html.escape(title)}</figcaption><svg class="plot" viewBox="0 0 '
        f'{WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
    ]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = y_of(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_number(value, step)}</text>"
        )
    for place, name in enumerate(places):
        parts.append(
            f'<text class="tick" x="{x_of(place):.1f}" y="{HEIGHT - _BOTTOM + 18}" '
            f'text-anchor="middle">{html.escape(name)}</text>'
        )
    for number, one in enumerate(series):
        parts += _line(one, number % _COLOURS, x_of, y_of, lines)
    if unit:
        parts.append(f'<text class="tick" x="4" y="14">{html.escape(unit)}</text>')
    parts.append("</svg>" + _legend(series) + "</figure>")
    return "".join(parts)


def _line(
    one: Series,
    colour: int,
    x_of: Callable[[int], float],
    y_of: Callable[[float], float],
    joined: bool,
) -> list[str]:
    parts = []
    run: list[str] = []
    for place, value in enumerate([*one.values, None] if joined else []):
        if value is not None:
            run.append(f"{x_of(place):.1f},{y_of(value):.1f}")
            continue
        if len(run) > 1:
            parts.append(f'<polyline class="line c{colour}" points="{" ".join(run)}"/>')
        run = []
    for place, value in enumerate(one.values):
        if value is None:
            continue
        x, y = x_of(place), y_of(value)
        tip = f"<title>{html.escape(one.name)}: {value:.4g}</title>"
        if place == one.star:
            parts.append(f'<path class="dot c{colour}" d="{_star(x, y)}">{tip}</path>')
        else:
            parts.append(
                f'<circle class="dot c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">{tip}</circle>'
            )
    if one.level is not None:
        y = y_of(one.level)
        parts.append(
            f'<line class="line dashed c{colour}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    return parts


def _legend(series: Sequence[Series]) -> str:
    items = "".join(
        f'<li><span class="swatch c{number % _COLOURS}"></span>{html.escape(one.name)}</li>'
        for number, one in enumerate(series)
    )
    return f'<ul class="legend">{items}</ul>'


def _star(x: float, y: float, outer: float = 8.0, inner: float = 3.4) -> str:
    spots = []
    for corner in range(10):
        radius = outer if corner % 2 == 0 else inner
        angle = math.pi * corner / 5 - math.pi / 2
        spots.append(f"{x + radius * math.cos(angle):.1f} {y + radius * math.sin(angle):.1f}")
    return "M" + "L".join(spots) + "Z"


def _ticks(low: float, high: float) -> tuple[float, float, float]:
    """Bounds and step of an axis: round numbers, about five of them."""
    if high - low < 1e-9:
        low, high = low - 1.0, high + 1.0
    raw = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * s for s in (1, 2, 2.5, 5, 10) if scale * s >= raw * 0.999)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _number(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += step * 10**digits % 1 > 1e-6  # 2.5 needs one more
    return f"{value:,.{digits}f}"
