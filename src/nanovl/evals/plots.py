"""Charts as SVG, lines and dots: text that stands in a page and needs no script and no network.

Colours come from the page's style sheet by class, so that they follow light and dark. Knows no
benchmark.

Source: evaluation specification, sections 2.3 and 2.4 (figures 3 and 4).
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Series", "dot_chart", "line_chart"]

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 20, 44
_COLOURS = 8
_ROW, _MARGIN = 38, 2.0  # of a dot chart: pixels per name, percent left free at both sides


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line.

    Attributes:
        name: In the legend.
        values: One per place of the axis; None leaves a gap.
        star: Place that is marked, or None.
        level: A dashed line at this value, or None.
        ranges: One lower and upper end per place for the whiskers of a dot chart, or none.
    """

    name: str
    values: Sequence[float | None]
    star: int | None = None
    level: float | None = None
    ranges: Sequence[tuple[float, float] | None] = ()


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
    _check(places, series)
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

    caption = f"{title}, {unit}" if unit else title
    parts = [
        f'<figure><figcaption>{html.escape(caption)}</figcaption><svg class="plot" viewBox="0 0 '
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
            f'<text class="tick" x="{x_of(place):.1f}" y="{HEIGHT - _BOTTOM + 27}" '
            f'text-anchor="middle">{html.escape(name)}</text>'
        )
    for number, one in enumerate(series):
        # Equal values stay visible: later marks lie on larger ones.
        size = 3.5 + 1.3 * min(3, len(series) - 1 - number)
        parts += _line(one, number % _COLOURS, x_of, y_of, lines, size)
    parts.append("</svg>" + _legend(series) + "</figure>")
    return "".join(parts)


def dot_chart(
    title: str,
    names: Sequence[str],
    series: Sequence[Series],
    unit: str = "",
    *,
    most: float | None = None,
) -> str:
    """Values on one horizontal line for each name; the name and the values stand above the line.

    The drawing is as wide as the page allows and its text keeps its size, on a phone, too.

    Args:
        title: Read by screen readers and shown above.
        names: One per line, from top to bottom.
        series: Marks of one colour and shape, each with one value per name.
        unit: Of the values.
        most: End of the axis; None takes the largest value.

    Returns:
        A `<figure>`, or "" when there is no value at all.

    Raises:
        ValueError: A series has not one value, or not one range, per name.
    """
    _check(names, series)
    known = [v for one in series for v in one.values if v is not None]
    known += [end for one in series for pair in one.ranges if pair is not None for end in pair]
    if not known:
        return ""
    low, high, step = _ticks(min(0.0, *known), max(known) if most is None else most)

    def at(value: float) -> str:
        return f"{_MARGIN + (100 - 2 * _MARGIN) * (value - low) / (high - low):.2f}%"

    bottom = _ROW * len(names)
    parts = [
        f"<figure><figcaption>{html.escape(title)}</figcaption>{_legend(series)}"
        f'<svg class="dots" width="100%" height="{bottom + 24}" role="img" '
        f'aria-label="{html.escape(title)}">'
    ]
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        parts.append(
            f'<line class="grid" x1="{at(value)}" x2="{at(value)}" y1="0" y2="{bottom + 4}"/>'
            f'<text class="tick" x="{at(value)}" y="{bottom + 19}" text-anchor="middle">'
            f"{_number(value, step)}{html.escape(unit)}</text>"
        )
    for place, name in enumerate(names):
        top = _ROW * place
        shown = " / ".join(_short(one.values[place]) for one in series)
        parts.append(
            f'<rect class="under" x="0" y="{top + 2}" width="100%" height="18"/>'
            f'<text class="name" x="{_MARGIN}%" y="{top + 16}">{html.escape(name)}</text>'
            f'<text class="tick" x="{100 - _MARGIN}%" y="{top + 16}" text-anchor="end">{shown}'
            f'</text><line class="grid" x1="{_MARGIN}%" x2="{100 - _MARGIN}%" y1="{top + 28}" '
            f'y2="{top + 28}"/>'
        )
        for number, one in reversed(list(enumerate(series))):  # the first one lies on top
            parts += _dot(one, place, number, top + 28, at)
    parts.append("</svg></figure>")
    return "".join(parts)


_SHAPES = (
    '<circle r="5"/>',
    '<path d="M0 -6L6 0L0 6L-6 0Z"/>',
    '<rect x="-2" y="-7" width="4" height="14"/>',
)


def _dot(one: Series, place: int, number: int, y: int, at: Callable[[float], str]) -> list[str]:
    value = one.values[place]
    if value is None:
        return []
    parts = []
    ends = one.ranges[place] if one.ranges else None
    if ends is not None:
        parts.append(
            f'<line class="line c{number % _COLOURS}" x1="{at(ends[0])}" x2="{at(ends[1])}" '
            f'y1="{y}" y2="{y}"/>'
        )
    tip = f"<title>{html.escape(one.name)}: {value:.4g}</title>"
    parts.append(
        f'<svg class="dot c{number % _COLOURS}" x="{at(value)}" y="{y}" overflow="visible">'
        f"<g>{tip}{_SHAPES[number % len(_SHAPES)]}</g></svg>"
    )
    return parts


def _check(places: Sequence[str], series: Sequence[Series]) -> None:
    for one in series:
        if len(one.values) != len(places):
            raise ValueError(f"line {one.name!r}: {len(one.values)} values, {len(places)} places")
        if one.ranges and len(one.ranges) != len(places):
            raise ValueError(f"line {one.name!r}: {len(one.ranges)} ranges, {len(places)} places")


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _line(
    one: Series,
    colour: int,
    x_of: Callable[[int], float],
    y_of: Callable[[float], float],
    joined: bool,
    size: float,
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
                f'<circle class="dot c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}">'
                f"{tip}</circle>"
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
        low, high = (0.0, 1.0) if low == 0 else (low - abs(low) / 10, high + abs(high) / 10)
    raw = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * s for s in (1, 2, 2.5, 5, 10) if scale * s >= raw * 0.999)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _number(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += step * 10**digits % 1 > 1e-6  # 2.5 needs one more
    return f"{value:,.{digits}f}"
