"""Bars, heat maps, histograms and a curve of two goals as inline SVG.

A drawing is as wide as the page allows and its text keeps its size: positions across are percent,
positions down are pixels. Colours come from the page's style sheet (`--s0`, ..., `--ink`), so that
one drawing serves light and dark. Knows numbers and names, not what they mean; curves over an
index are `train.charts`.

Source: quantization specification, section 10.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nanovl.train.charts import ticks

__all__ = ["Bars", "Limit", "Point", "Row", "bar_chart", "heat_map", "histogram", "trade_off"]

_TEXT = 12  # pixels between a line of text and its baseline
_CURVE = 260  # height of a drawing with an axis
_BINS = 170
_GUTTER = 12.0  # percent at the left of a histogram, for its axis


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars of one name.

    Attributes:
        name: Stands above its bars.
        note: Stands above them at the right.
        values: (colour, value, text) of every bar; a value that is not above 0 has no length.
        strong: Number of the bar that counts; the others are pale. None draws all alike.
    """

    name: str
    values: Sequence[tuple[str, float, str]]
    note: str = ""
    strong: int | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a heat map.

    Attributes:
        name: Stands above its cells.
        cells: (value, text) from left to right; the text shows when pointed at.
        note: Stands above them at the right.
    """

    name: str
    cells: Sequence[tuple[float, str]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A border inside a histogram.

    Attributes:
        at: Place on the axis.
        name: For the legend.
        colour: A colour of the page.
    """

    at: float
    name: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One choice between two goals.

    Attributes:
        x: Cost.
        y: Loss as predicted.
        text: Shows when pointed at.
        measured: Loss as measured.
        chosen: Whether it was taken.
    """

    x: float
    y: float
    text: str
    measured: float | None = None
    chosen: bool = False


# --- bars -----------------------------------------------------------------------------------------


def bar_chart(title: str, rows: Sequence[Bars]) -> str:
    """Horizontal bars on a logarithmic axis.

    Args:
        title: Read by screen readers.
        rows: From top to bottom.

    Returns:
        An `<svg>`, or nothing when no value is above 0.
    """
    known = [v for row in rows for _, v, _ in row.values if _positive(v)]
    if not known:
        return ""
    low, high = _decades(min(known), max(known))

    def at(value: float) -> float:
        return 100 * (math.log10(value) - low) / (high - low)

    tops, bottom = [], 0
    for row in rows:
        tops.append(bottom)
        bottom += 20 + 8 * len(row.values) + 6
    body = []
    for decade in range(low, high + 1):
        body.append(_rule(100 * (decade - low) / (high - low), bottom + 3))
        body.append(_label(100 * (decade - low) / (high - low), bottom + 17, _power(decade)))
    for row, top in zip(rows, tops, strict=True):
        body += _heading(row.name, row.note, top)
        for place, (colour, value, text) in enumerate(row.values):
            pale = row.strong is not None and place != row.strong
            width = max(at(value), 0.4) if _positive(value) else 0.4
            body.append(
                f'<rect{_pale(pale)} x="0" y="{top + 20 + 8 * place}" width="{width:.2f}%" '
                f'height="6" rx="2" fill="{colour}"><title>{html.escape(text)}</title></rect>'
            )
    return _svg(title, body, bottom + 22)


# --- heat map -------------------------------------------------------------------------------------


def heat_map(title: str, rows: Sequence[Row]) -> str:
    """Cells whose colour grows with the logarithm of their value.

    Args:
        title: Read by screen readers.
        rows: From top to bottom; each is stretched over the whole width.

    Returns:
        An `<svg>`, or nothing when no value is above 0.
    """
    known = [v for row in rows for v, _ in row.cells if _positive(v)]
    if not known:
        return ""
    low, high = math.log(min(known)), math.log(max(known))
    body = []
    for place, row in enumerate(rows):
        top = 38 * place
        body += _heading(row.name, row.note, top)
        step = 100 / max(1, len(row.cells))
        for index, (value, text) in enumerate(row.cells):
            share = (math.log(value) - low) / (high - low or 1) if _positive(value) else 0.0
            body.append(
                f'<rect x="{index * step:.2f}%" y="{top + 19}" width="{step * 0.97:.2f}%" '
                f'height="13" fill="var(--hot)" fill-opacity="{0.06 + 0.94 * share:.2f}">'
                f"<title>{html.escape(text)}</title></rect>"
            )
    return _svg(title, body, 38 * len(rows))


# --- histogram ------------------------------------------------------------------------------------


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    limits: Sequence[Limit] = (),
    colour: Callable[[float, float], str] = lambda low, high: "var(--s0)",
) -> str:
    """Shares of powers of two on a logarithmic axis.

    Args:
        title: Read by screen readers.
        edges: Borders of the bins as logarithms to base 2, one more than counts.
        counts: Values in every bin.
        limits: Dashed lines.
        colour: Colour of a bin, from its two borders.

    Returns:
        An `<svg>`, or nothing when nothing was counted.

    Raises:
        ValueError: Edges and counts do not fit.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{title}: {len(edges)} edges for {len(counts)} counts")
    total = sum(counts)
    if not total:
        return ""
    used = [i for i, n in enumerate(counts) if n]
    places = [edges[used[0]], edges[used[-1] + 1], *(limit.at for limit in limits)]
    x0, x1 = min(places) - 0.5, max(places) + 0.5

    def at(place: float) -> float:
        return _GUTTER + (100 - _GUTTER) * (place - x0) / (x1 - x0)

    low = max(-8, math.floor(math.log10(min(n for n in counts if n) / total)))
    low = min(low, -1)

    def height(count: int) -> float:
        return max(1.5, (1 - math.log10(count / total) / low) * _BINS)

    body = []
    for power in range(0, low - 1, -max(1, -low // 4)):
        y = power / low * _BINS
        body.append(f'<line class="grid" x1="{_GUTTER}%" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(_label(_GUTTER - 1, y + 4, f"{_power(power + 2)} %", "end"))
    every = max(1, round((x1 - x0) / 8))
    first = math.ceil(x0 / every) * every
    for place in range(first, math.floor(x1) + 1, every):
        raised = f'2<tspan dy="-4" font-size="8">{place}</tspan>'
        body.append(
            f'<text class="tick" x="{at(place):.2f}%" y="{_BINS + 17}" text-anchor="middle">'
            f"{raised}</text>"
        )
    for index in used:
        left, right = edges[index], edges[index + 1]
        tall = height(counts[index])
        share = f"{counts[index] / total:.3g}"
        text = f"2^{left:g} to 2^{right:g}: {share} of the values"
        body.append(
            f'<rect x="{at(left):.2f}%" y="{_BINS - tall:.1f}" width="{at(right) - at(left):.2f}%" '
            f'height="{tall:.1f}" fill="{colour(left, right)}"><title>{text}</title></rect>'
        )
    body.append(f'<line class="axis" x1="{_GUTTER}%" x2="100%" y1="{_BINS}" y2="{_BINS}"/>')
    for limit in limits:
        x = f"{at(limit.at):.2f}%"
        body.append(
            f'<line class="limit" x1="{x}" x2="{x}" y1="0" y2="{_BINS}" stroke="{limit.colour}">'
            f"<title>{html.escape(limit.name)}</title></line>"
        )
    return _svg(title, body, _BINS + 24)


# --- two goals ------------------------------------------------------------------------------------


def trade_off(
    title: str,
    points: Sequence[Point],
    x_format: Callable[[float], str],
    *,
    limit: float | None = None,
) -> str:
    """Loss against cost, with what was chosen inside a ring.

    Losses are drawn on a logarithmic axis; those not above 0 stand on its foot.

    Args:
        title: Read by screen readers.
        points: By cost; joined as predicted, measured ones as dots of another colour.
        x_format: Text of a cost.
        limit: Largest loss that was allowed: a dashed line.

    Returns:
        An `<svg>`, or nothing without points.
    """
    points = [p for p in points if math.isfinite(p.x)]
    losses = [v for p in points for v in (p.y, p.measured) if v is not None and _positive(v)]
    if not losses:
        return ""
    wanted = [limit] if limit is not None and _positive(limit) else []
    low, high = _decades(min(losses + wanted), max(losses + wanted))
    left, right = min(p.x for p in points), max(p.x for p in points)
    span = (right - left) or abs(right) or 1.0
    left, right = left - 0.08 * span, right + 0.04 * span  # loss stands at the left

    def at(p: Point) -> float:
        return 100 * (p.x - left) / (right - left)

    def down(loss: float) -> float:
        share = (math.log10(loss) - low) / (high - low) if _positive(loss) else 0.0
        return 8 + (_CURVE - 8) * (1 - share)

    body = []
    for decade in range(low, high + 1):
        y = down(10.0**decade)
        body.append(f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(_label(0, y - 3, _power(decade), "start"))
    for place in ticks(left, right, 5):
        x = 100 * (place - left) / (right - left)
        if 4 <= x <= 96:
            body.append(_label(x, _CURVE + 17, x_format(place)))
    path = " ".join(f"{at(p):.2f},{down(p.y):.1f}" for p in points)
    body.append(
        f'<svg width="100%" height="{_CURVE}" viewBox="0 0 100 {_CURVE}" '
        'preserveAspectRatio="none"><polyline class="joined" '
        f'points="{path}" vector-effect="non-scaling-stroke"/></svg>'
    )
    if wanted:
        y = down(wanted[0])
        body.append(
            f'<line class="limit" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--bad)"/>'
        )
    for p in points:
        tip = f"<title>{html.escape(p.text)}</title>"
        y = down(p.y)
        body.append(f'<circle cx="{at(p):.2f}%" cy="{y:.1f}" r="4" fill="var(--s0)">{tip}</circle>')
        if p.measured is not None and not math.isnan(p.measured):
            y = down(p.measured)
            body.append(
                f'<circle cx="{at(p):.2f}%" cy="{y:.1f}" r="4.5" fill="var(--s1)">{tip}</circle>'
            )
        if p.chosen:
            body.append(f'<circle class="ring" cx="{at(p):.2f}%" cy="{y:.1f}" r="9">{tip}</circle>')
    return _svg(title, body, _CURVE + 24)


# --- pieces ---------------------------------------------------------------------------------------


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _decades(low: float, high: float) -> tuple[int, int]:
    """Powers of ten around a range, with room below the smallest value."""
    first, last = math.floor(math.log10(low) - 0.05), math.ceil(math.log10(high))
    return first, max(last, first + 1)


def _power(decade: int) -> str:
    return f"{10.0**decade:g}" if decade >= -3 else f"1e{decade}"


def _pale(pale: bool) -> str:
    return ' opacity="0.35"' if pale else ""


def _rule(x: float, bottom: int) -> str:
    return f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="{bottom}"/>'


def _label(x: float, y: float, text: str, anchor: str = "") -> str:
    anchor = anchor or ("start" if x < 2 else "end" if x > 98 else "middle")
    return (
        f'<text class="tick" x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )


def _heading(name: str, note: str, top: int) -> list[str]:
    """Name and note above a row."""
    return [
        f'<text class="name" x="0" y="{top + 3 + _TEXT}">{html.escape(name)}</text>',
        f'<text class="tick" x="100%" y="{top + 3 + _TEXT}" text-anchor="end">'
        f"{html.escape(note)}</text>",
    ]


def _svg(title: str, body: Sequence[str], height: float) -> str:
    label = html.escape(title, quote=True)
    return (
        f'<svg class="plot" width="100%" height="{height:g}" role="img" aria-label="{label}">'
        f"{''.join(body)}</svg>"
    )
