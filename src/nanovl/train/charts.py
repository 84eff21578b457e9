"""Line charts as inline SVG, for pages that must open anywhere and load nothing.

Colours come from the page's style sheet (`--s0`, `--s1`, ...), so that one chart serves light and
dark. Knows numbers and names, not what they mean.
"""

from __future__ import annotations

import html
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "COLOURS",
    "Series",
    "downsample",
    "line_chart",
    "number",
    "percent",
    "smooth",
    "sparkline",
    "stacked_chart",
    "ticks",
]

WIDTH, HEIGHT = 640.0, 250.0
WIDE, TALL = 1304.0, 330.0  # of a chart over both columns, so that its text has the same size
LEFT, RIGHT, TOP, BOTTOM = 58.0, 12.0, 10.0, 26.0
POINTS = 400  # per curve: more than one per two pixels of a card
COLOURS = 8

Format = Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve.

    Attributes:
        name: For the legend; empty is left out of it.
        x, y: Points; a y that is not finite breaks the curve.
        colour: Number of a colour of the page.
        style: "line", "faint" (raw values behind a smoothed curve), or "dots".
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    style: str = "line"


def number(value: float) -> str:
    """Three or four digits: 0.00123, 1.23e-05, 12.3, 1,234, 12.3k, 1.2M."""
    size = abs(value)
    if not math.isfinite(value):
        return "none"
    if size >= 1e9:
        return f"{value / 1e9:.3g}G"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 1e-3 and value:
        return f"{value:.2e}"
    return f"{value:.4g}"


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.3g}%" if math.isfinite(value) else "none"


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Exponential mean over about `span` values, without the pull of a start value; gaps stay."""
    keep = 1 - 2 / (span + 1)
    total = weight = 0.0
    out = []
    for value in values:
        if math.isfinite(value):
            total, weight = keep * total + value, keep * weight + 1
        out.append(total / weight if math.isfinite(value) else math.nan)
    return out


def downsample(
    x: Sequence[float], y: Sequence[float], points: int = POINTS
) -> tuple[list[float], list[float]]:
    """Fewer points that look the same: lowest and highest of every stretch, in order.

    Values that are not finite survive only where a whole stretch has no other.
    """
    n = len(x)
    if n <= points:
        return list(x), list(y)
    buckets = max(1, points // 2)
    out_x, out_y = [], []
    for b in range(buckets):
        low, high = b * n // buckets, (b + 1) * n // buckets
        finite = [i for i in range(low, high) if math.isfinite(y[i])]
        if not finite:
            chosen = [low]
        else:
            ends = {min(finite, key=lambda i: y[i]), max(finite, key=lambda i: y[i])}
            chosen = sorted(ends)
        out_x += [x[i] for i in chosen]
        out_y += [y[i] for i in chosen]
    return out_x, out_y


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside a range, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    base = 10.0 ** math.floor(math.log10(raw))
    step = min((base * m for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(low), math.ceil(high)
    factors = (1,) if last - first > 3 else (1, 2, 5)
    every = max(1, (last - first) // 6)
    all_ticks = (math.log10(f * 10.0**k) for k in range(first, last + 1, every) for f in factors)
    return [t for t in all_ticks if low - 1e-9 <= t <= high + 1e-9]


@dataclass(frozen=True)
class _Axes:
    """Data to pixels."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool
    wide: bool = False

    @property
    def width(self) -> float:
        return WIDE if self.wide else WIDTH

    @property
    def height(self) -> float:
        return TALL if self.wide else HEIGHT

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        v = math.log10(value) if self.log else value
        return self.bottom - (v - self.y0) / (self.y1 - self.y0) * (self.bottom - TOP)


def _usable(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _axes(
    series: Sequence[Series], log: bool, floor: float | None, wide: bool = False
) -> _Axes | None:
    xs = [v for s in series for v in s.x]
    ys = [v for s in series for v in s.y if _usable(v, log)]
    if not ys:
        return None
    low, high = _robust_range(ys, log)
    if log:
        low, high = math.log10(low), math.log10(high)
    elif floor is not None:
        low = min(floor, low)
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.05 or 0.5
        low, high = (low if floor == low else low - pad), high + pad
    pad = 0.04 * (high - low)
    low = low if floor is not None and not log and low == floor else low - pad
    x0, x1 = min(xs), max(xs)
    return _Axes(x0, x1 if x1 > x0 else x0 + 1, low, high + pad, log, wide)


def _robust_range(ys: list[float], log: bool) -> tuple[float, float]:
    """The range, unless a few values dwarf all others; those then leave the picture at the top."""
    ordered = sorted(ys)
    low, high = ordered[0], ordered[-1]
    if log or len(ordered) < 50:
        return low, high
    quantile = ordered[int(0.995 * (len(ordered) - 1))]
    typical = quantile - low
    return low, (quantile + 0.5 * typical if high - low > 4 * typical > 0 else high)


def _path(series: Series, axes: _Axes) -> str:
    parts, pen_down = [], False
    for x, y in zip(series.x, series.y, strict=True):
        if not _usable(y, axes.log):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{axes.x(x):.1f} {axes.y(y):.1f}")
        pen_down = True
    return "".join(parts)


def _grid(axes: _Axes, y_format: Format) -> list[str]:
    out = []
    right, bottom = axes.width - RIGHT, axes.bottom
    y_ticks = _log_ticks(axes.y0, axes.y1) if axes.log else ticks(axes.y0, axes.y1)
    for tick in y_ticks:
        value = 10**tick if axes.log else tick
        y = axes.y(value)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = html.escape(y_format(0.0 if abs(value) < 1e-15 else value))
        out.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>'
        )
    for tick in ticks(axes.x0, axes.x1, 12 if axes.wide else 6):
        x = axes.x(tick)
        anchor = "end" if x > right - 12 else "middle"
        label = html.escape(number(tick))
        out.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="{anchor}">'
            f"{label}</text>"
        )
    out.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    return out


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    note: str = "",
    log: bool = False,
    floor: float | None = None,
    y_format: Format = number,
    wide: bool = False,
) -> str:
    """A `<figure>` with curves over updates; empty text when there is nothing to draw.

    Args:
        title: Heading.
        series: Curves; long ones are thinned.
        note: A sentence below the heading.
        log: Logarithmic values; those not above 0 are left out.
        floor: Smallest end of the axis, such as 0.
        y_format: Text of a value.
        wide: Over both columns of the page.
    """
    series = [s for s in series if any(_usable(v, log) for v in s.y)]
    thin = []
    for s in series:
        x, y = list(s.x), list(s.y)
        if s.style == "dots":
            dots = [(a, b) for a, b in zip(x, y, strict=True) if _usable(b, log)]
            x, y = [a for a, _ in dots], [b for _, b in dots]
        x, y = downsample(x, y, 2 * POINTS if wide else POINTS)
        thin.append(Series(name=s.name, x=x, y=y, colour=s.colour, style=s.style))
    axes = _axes(thin, log, floor, wide)
    if axes is None:
        return ""
    body = _grid(axes, y_format)
    for s in thin:
        colour = f"var(--s{s.colour % COLOURS})"
        if s.style == "dots":
            body += [
                f'<circle r="3" fill="{colour}" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}"/>'
                for x, y in zip(s.x, s.y, strict=True)
                if _usable(y, log)
            ]
        else:
            body.append(f'<path class="{s.style}" stroke="{colour}" d="{_path(s, axes)}"/>')
    return _figure(title, note, thin, body, axes, y_format)


def stacked_chart(
    title: str,
    x: Sequence[float],
    layers: Sequence[tuple[str, Sequence[float]]],
    *,
    note: str = "",
    y_format: Format = number,
    points: int = 120,
) -> str:
    """A `<figure>` with layers on top of each other; a point is the mean of a stretch."""
    n = len(x)
    if not n or not layers:
        return ""
    buckets = min(points, n)
    edges = [b * n // buckets for b in range(buckets + 1)]
    at = [x[(a + b) // 2] for a, b in itertools.pairwise(edges)]
    base = [0.0] * buckets
    series, body_layers = [], []
    for index, (name, values) in enumerate(layers):
        means = [_mean(values[a:b]) for a, b in itertools.pairwise(edges)]
        top = [low + m for low, m in zip(base, means, strict=True)]
        series.append(Series(name=name, x=at, y=means, colour=index))
        body_layers.append((list(base), top, index))
        base = top
    axes = _axes([Series(name="", x=at, y=base)], False, 0.0)
    if axes is None or max(base) <= 0:
        return ""
    body = []
    for low, high, index in body_layers:
        up = [f"{axes.x(a):.1f} {axes.y(v):.1f}" for a, v in zip(at, high, strict=True)]
        down = [f"{axes.x(a):.1f} {axes.y(v):.1f}" for a, v in zip(at, low, strict=True)]
        path = "M" + "L".join(up + down[::-1]) + "Z"
        body.append(f'<path class="area" fill="var(--s{index % COLOURS})" d="{path}"/>')
    return _figure(title, note, series, body + _grid(axes, y_format), axes, y_format)


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else 0.0


def _figure(
    title: str,
    note: str,
    series: Sequence[Series],
    body: Sequence[str],
    axes: _Axes,
    y_format: Format,
) -> str:
    named = [s for s in series if s.name]
    legend = "".join(
        f'<span><i style="background:var(--s{s.colour % COLOURS})"></i>{html.escape(s.name)}</span>'
        for s in named
    )
    data = {
        "box": [LEFT, RIGHT, axes.width, axes.x0, axes.x1],
        "series": [
            {
                "name": s.name,
                "colour": s.colour % COLOURS,
                "x": [round(v, 6) for v in s.x],
                "text": [y_format(v) for v in s.y],
            }
            for s in named
        ],
    }
    # Inside a script element "</" would end it, and "<!--" begin another way of reading it.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    note = f"<p>{html.escape(note)}</p>" if note else ""
    label = html.escape(title, quote=True)
    return (
        f'<figure class="card chart{" wide" * axes.wide}"><figcaption>'
        f'<h3>{html.escape(title)}</h3>{note}<div class="legend">{legend}</div></figcaption>'
        f'<svg viewBox="0 0 {axes.width:g} {axes.height:g}" role="img" aria-label="{label}">'
        f"{''.join(body)}"
        f'<line class="cursor" y1="{TOP}" y2="{axes.bottom}"/></svg>'
        f'<output></output><script type="application/json">{text}</script></figure>'
    )


def sparkline(values: Sequence[float], colour: int = 0) -> str:
    """A curve the size of a word."""
    x, y = downsample(list(range(len(values))), values, 60)
    finite = [v for v in y if math.isfinite(v)]
    if len(finite) < 2:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    width = max(x[-1], 1)
    points = " ".join(
        f"{a / width * 100:.1f},{18 - (v - low) / span * 16:.1f}"
        for a, v in zip(x, y, strict=True)
        if math.isfinite(v)
    )
    return (
        '<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}" stroke="var(--s{colour % COLOURS})"/></svg>'
    )
