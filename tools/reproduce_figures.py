"""Figures as SVG files that stand alone: panels with lines, intervals as whiskers, one legend.

Places of the horizontal axis are named and evenly spaced, as in the report's figures. Knows no
experiment.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nanovl.train.charts import number, ticks

__all__ = ["Curve", "Panel", "figure"]

COLOURS = ("#2563eb", "#ea580c", "#15803d", "#9333ea", "#db2777", "#0d9488", "#374151", "#854d0e")
WIDTH, HEIGHT = 430.0, 270.0  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 34.0, 48.0
LINE = 17.0  # of a legend
_LETTER = 6.2  # mean width of a letter of the legend
_SPREAD = 5.0  # between whiskers of neighbouring curves

_SHAPES: tuple[Callable[[float, float], str], ...] = (
    lambda x, y: f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>',
    lambda x, y: f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4"/>',
    lambda x, y: f'<path d="M{x:.1f} {y - 4.6:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6z"/>',
    lambda x, y: f'<path d="M{x:.1f} {y - 4.4:.1f}l4.4 7.8h-8.8z"/>',
)

_STYLE = (
    "svg{background:#fff;font:12px sans-serif}.grid{stroke:#e5e7eb}.axis{stroke:#9ca3af}"
    ".tick{fill:#4b5563}.title{font-weight:600;fill:#111827}.line{fill:none;stroke-width:1.8}"
    ".whisker{stroke-width:1.2;opacity:.55}"
)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line.

    Attributes:
        name: In the legend.
        values: One per place; None leaves a gap.
        ends: Lower and upper end of the whisker at each place, or None.
    """

    name: str
    values: Sequence[float | None]
    ends: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing.

    Attributes:
        title: Above it, with the unit.
        axis: Name of the horizontal axis.
        places: Along it.
        curves: Lines, each with one value per place.
        floor: Smallest end of the vertical axis; None takes what the values need.
        joined: Whether neighbouring places are joined: not where they have no order.
    """

    title: str
    axis: str
    places: Sequence[str]
    curves: Sequence[Curve] = field(default_factory=tuple)
    floor: float | None = None
    joined: bool = True

    def __post_init__(self) -> None:
        for curve in self.curves:
            for values in (curve.values, *([curve.ends] if curve.ends else [])):
                if len(values) != len(self.places):
                    raise ValueError(
                        f"{self.title}, {curve.name}: {len(values)} values, "
                        f"{len(self.places)} places"
                    )


def figure(title: str, panels: Sequence[Panel], *, columns: int = 2) -> str:
    """An SVG document; empty text when there is no value at all.

    Args:
        title: Read by screen readers.
        panels: From left to right, then down; those without a value are left out.
        columns: Panels in a row.
    """
    shown = [p for p in panels if any(v is not None for c in p.curves for v in c.values)]
    if not shown:
        return ""
    columns = min(columns, len(shown))
    parts, top = [], 0.0
    for first in range(0, len(shown), columns):
        row = shown[first : first + columns]
        for place, panel in enumerate(row):
            parts.append(f'<g transform="translate({place * WIDTH:g} {top:g})">{_panel(panel)}</g>')
        top += HEIGHT + max(_legend(panel)[1] for panel in row)
    width = columns * WIDTH
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" '
        f'width="{width:g}" height="{top:g}" role="img" aria-label="{html.escape(title)}">'
        f"<style>{_STYLE}</style><title>{html.escape(title)}</title>{''.join(parts)}</svg>\n"
    )


def _panel(panel: Panel) -> str:
    low, high = _range(panel)
    steps = ticks(low, high)

    def x_of(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / len(panel.places)

    def y_of(value: float) -> float:
        inside = min(max(value, low), high)
        return HEIGHT - BOTTOM - (inside - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="title" x="{LEFT:g}" y="20">{html.escape(panel.title)}</text>']
    for value in steps:
        y = y_of(value)
        parts.append(
            f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{number(0.0 if abs(value) < 1e-12 else value)}</text>"
        )
    bottom = HEIGHT - BOTTOM
    parts.append(
        f'<line class="axis" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{bottom:g}" y2="{bottom:g}"/>'
    )
    for place, name in enumerate(panel.places):
        parts.append(
            f'<text class="tick" x="{x_of(place):.1f}" y="{bottom + 16:g}" text-anchor="middle">'
            f"{html.escape(name)}</text>"
        )
    parts.append(
        f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{bottom + 34:g}" '
        f'text-anchor="middle">{html.escape(panel.axis)}</text>'
    )
    for index, curve in enumerate(panel.curves):
        parts += _curve(curve, index, panel, x_of, y_of)
    parts += _legend(panel)[0]
    return "".join(parts)


def _curve(
    curve: Curve,
    index: int,
    panel: Panel,
    x_of: Callable[[int], float],
    y_of: Callable[[float], float],
) -> list[str]:
    colour = COLOURS[index % len(COLOURS)]
    count = len(panel.curves)
    aside = (index - (count - 1) / 2) * min(_SPREAD, 30.0 / count)
    parts, run = [], []
    for place, value in enumerate([*curve.values, None] if panel.joined else ()):
        if value is not None:
            run.append(f"{x_of(place) + aside:.1f},{y_of(value):.1f}")
            continue
        if len(run) > 1:
            parts.append(f'<polyline class="line" stroke="{colour}" points="{" ".join(run)}"/>')
        run = []
    for place, ends in enumerate(curve.ends):
        if ends is not None and curve.values[place] is not None:
            x = x_of(place) + aside
            parts.append(
                f'<line class="whisker" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{y_of(ends[0]):.1f}" y2="{y_of(ends[1]):.1f}"/>'
            )
    marks = [
        _mark(index)(x_of(place) + aside, y_of(value))
        for place, value in enumerate(curve.values)
        if value is not None
    ]
    return [*parts, f'<g fill="{colour}">{"".join(marks)}</g>']


def _mark(index: int) -> Callable[[float, float], str]:
    return _SHAPES[index % len(_SHAPES)]


def _legend(panel: Panel) -> tuple[list[str], float]:
    """Entries below the drawing, and how much room they take; none for a single curve."""
    if len(panel.curves) < 2:
        return [], LINE
    parts, x, y = [], LEFT, HEIGHT + 2
    for index, curve in enumerate(panel.curves):
        wide = 24 + _LETTER * len(curve.name)
        if x > LEFT and x + wide > WIDTH - RIGHT:
            x, y = LEFT, y + LINE
        colour = COLOURS[index % len(COLOURS)]
        parts.append(
            f'<g fill="{colour}">{_mark(index)(x + 5, y - 4)}</g>'
            f'<text class="tick" x="{x + 14:.1f}" y="{y:.1f}">{html.escape(curve.name)}</text>'
        )
        x += wide
    return parts, y - HEIGHT + 14


def _range(panel: Panel) -> tuple[float, float]:
    """Ends of the vertical axis: round numbers around all values and whiskers."""
    known = [v for c in panel.curves for v in c.values if v is not None]
    known += [end for c in panel.curves for ends in c.ends if ends is not None for end in ends]
    known = [v for v in known if math.isfinite(v)]
    low, high = min(known), max(known)
    if panel.floor is not None:
        low = min(low, panel.floor)
    if high - low < 1e-9:
        pad = abs(high) / 10 or 1.0
        low, high = (low if low == panel.floor else low - pad), high + pad
    step = ticks(low, high)
    step_size = step[1] - step[0] if len(step) > 1 else (high - low) / 2
    low = math.floor(low / step_size + 1e-9) * step_size
    high = math.ceil(high / step_size - 1e-9) * step_size
    return low, high
