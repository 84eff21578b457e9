"""How matplotlib draws each kind of chart. Loaded only once matplotlib is known to be there.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from matplotlib import colormaps
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.transforms import Bbox

from nanovl.synth.charts.mpl import MARKERS, Canvas
from nanovl.synth.charts.spec import value_text

__all__ = ["PAINTERS"]


def _ticks(c: Canvas) -> None:
    labels = c.chart.categories
    turn = c.chart.look.label_turn
    c.axes.set_xticks(
        range(len(labels)), labels, rotation=turn, ha="right" if turn == 45 else "center",
        rotation_mode="anchor" if turn == 45 else "default",
    )  # fmt: skip
    if c.chart.low is not None:
        c.axes.set_ylim(c.chart.low, c.chart.high)


def _point(c: Canvas, x: float, y: float, reach: float = 5.0) -> Callable[[Any], Bbox]:
    """Box of a point: a few pixels around it."""

    def box(renderer: Any) -> Bbox:
        px, py = c.axes.transData.transform((x, y))
        return Bbox([[px - reach, py - reach], [px + reach, py + reach]])

    return box


def bars(c: Canvas) -> None:
    """One series of upright or lying bars."""
    series, look = c.chart.series[0], c.chart.look
    places = range(len(c.chart.categories))
    style = {"color": series.color, "hatch": c.hatch(0), "edgecolor": look.ink, "linewidth": 0.0}
    if look.hatches:
        style["linewidth"] = 0.8
    if c.chart.kind == "barh":
        drawn = c.axes.barh(places, series.values, height=0.65, **style)
        c.axes.set_yticks(places, c.chart.categories)
        c.axes.set_xlim(c.chart.low, c.chart.high)
        c.axes.invert_yaxis()
        c.axis = "x"
    else:
        drawn = c.axes.bar(places, series.values, width=0.65, **style)
        _ticks(c)
    for k, patch in enumerate(drawn):
        c.marks.append((0, k, patch))
        if c.chart.has_values:
            if c.chart.kind == "barh":
                c.value(series.values[k], k, series.values[k], ha="left", va="center",
                        xytext=(4, 0))  # fmt: skip
            else:
                c.value(k, series.values[k], series.values[k])


def lollipop(c: Canvas) -> None:
    """Points on stems."""
    series = c.chart.series[0]
    c.axes.vlines(range(len(series.values)), 0, series.values, color=series.color, linewidth=2)
    c.axes.plot(range(len(series.values)), series.values, "o", color=series.color, markersize=9)
    c.axes.set_xlim(-0.6, len(series.values) - 0.4)
    _ticks(c)
    for k, value in enumerate(series.values):
        c.marks.append((0, k, _point(c, k, value, 7)))
        if c.chart.has_values:
            c.value(k, value, value, xytext=(0, 7))


def grouped(c: Canvas) -> None:
    """Bars of several series side by side."""
    count = len(c.chart.series)
    wide = 0.8 / count
    for s, series in enumerate(c.chart.series):
        places = [k - 0.4 + wide * (s + 0.5) for k in range(len(series.values))]
        drawn = c.axes.bar(places, series.values, width=wide * 0.94, color=series.color,
                           hatch=c.hatch(s), edgecolor=c.chart.look.ink, linewidth=0)  # fmt: skip
        for k, patch in enumerate(drawn):
            c.marks.append((s, k, patch))
            if c.chart.has_values:
                c.value(places[k], series.values[k], series.values[k],
                        fontsize=c.chart.look.font_size * 0.75)  # fmt: skip
        c.handles.append((drawn[0], series.name))
    _ticks(c)


def stacked(c: Canvas) -> None:
    """Bars of several series on top of each other, plain or as shares."""
    count = len(c.chart.categories)
    totals = [sum(s.values[k] for s in c.chart.series) for k in range(count)]
    base = [0.0] * count
    for s, series in enumerate(c.chart.series):
        values = list(series.values)
        if c.chart.kind == "stacked100":
            values = [100 * v / t for v, t in zip(values, totals, strict=True)]
        drawn = c.axes.bar(
            range(count), values, bottom=base, width=0.65, color=series.color, hatch=c.hatch(s),
            edgecolor=c.chart.look.plot, linewidth=0.6,
        )  # fmt: skip
        for k, patch in enumerate(drawn):
            c.marks.append((s, k, patch))
            if c.chart.has_values:
                c.value(
                    k, base[k] + values[k] / 2, series.values[k], va="center", xytext=(0, 0),
                    color=_ink_on(series.color), fontsize=c.chart.look.font_size * 0.8,
                )  # fmt: skip
        c.handles.append((drawn[0], series.name))
        base = [b + v for b, v in zip(base, values, strict=True)]
    _ticks(c)


def _ink_on(color: str) -> str:
    r, g, b = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#000000" if 0.3 * r + 0.59 * g + 0.11 * b > 140 else "#ffffff"


def lines(c: Canvas) -> None:
    """Lines, a filled line, or steps."""
    look = c.chart.look
    styles = ("-", "--", "-.", ":")
    for s, series in enumerate(c.chart.series):
        xs = list(range(len(series.values)))
        marker = MARKERS[s] if look.has_markers else None
        dash = styles[s % 4] if look.hatches else "-"
        if c.chart.kind == "step":
            (line,) = c.axes.step(xs, series.values, where="mid", color=series.color,
                                  linewidth=look.line_width)  # fmt: skip
        else:
            (line,) = c.axes.plot(
                xs, series.values, dash, color=series.color, linewidth=look.line_width,
                marker=marker, markersize=5,
            )  # fmt: skip
        if c.chart.kind == "area":
            c.axes.fill_between(xs, series.values, c.chart.low, color=series.color, alpha=0.4)
        c.handles.append((line, series.name))
        for k, value in enumerate(series.values):
            c.marks.append((s, k, _point(c, k, value)))
            if c.chart.has_values:
                c.value(k, value, value, xytext=(0, 5))
    c.axes.set_xlim(-0.35, len(c.chart.categories) - 0.65)
    _ticks(c)


def combo(c: Canvas) -> None:
    """Bars and a line on one axis."""
    bar, line = c.chart.series
    drawn = c.axes.bar(range(len(bar.values)), bar.values, width=0.6, color=bar.color)
    (curve,) = c.axes.plot(range(len(line.values)), line.values, color=line.color, marker="o",
                           linewidth=c.chart.look.line_width)  # fmt: skip
    for k, patch in enumerate(drawn):
        c.marks.append((0, k, patch))
        c.marks.append((1, k, _point(c, k, line.values[k])))
    c.handles += [(drawn[0], bar.name), (curve, line.name)]
    _ticks(c)


def stacked_area(c: Canvas) -> None:
    """Filled lines on top of each other."""
    count = len(c.chart.categories)
    rows = [s.values for s in c.chart.series]
    bands = c.axes.stackplot(
        range(count), rows, colors=[s.color for s in c.chart.series],
        edgecolor=c.chart.look.plot, linewidth=0.8,
    )  # fmt: skip
    base = [0.0] * count
    for s, series in enumerate(c.chart.series):
        for k, value in enumerate(series.values):
            c.marks.append((s, k, _point(c, k, base[k] + value / 2)))
            base[k] += value
        c.handles.append((bands[s], series.name))
    c.axes.set_xlim(0, count - 1)
    _ticks(c)


def dual(c: Canvas) -> None:
    """Bars on the left axis and a line on the right one."""
    bar, line = c.chart.series
    look, right = c.chart.look, c.chart.extra["right"]
    drawn = c.axes.bar(range(len(bar.values)), bar.values, width=0.6, color=bar.color)
    c.twin = c.axes.twinx()
    (curve,) = c.twin.plot(range(len(line.values)), line.values, color=line.color, marker="o",
                           linewidth=look.line_width)  # fmt: skip
    c.twin.set_ylim(right["low"], right["high"])
    for side, spine in c.twin.spines.items():
        spine.set_visible(side == "right" and look.spines != "none")

    def point(k: int) -> Callable[[Any], Bbox]:
        def box(renderer: Any) -> Bbox:
            px, py = c.twin.transData.transform((k, line.values[k]))
            return Bbox([[px - 5, py - 5], [px + 5, py + 5]])

        return box

    for k, patch in enumerate(drawn):
        c.marks.append((0, k, patch))
        c.marks.append((1, k, point(k)))
    c.handles += [(drawn[0], bar.name), (curve, line.name)]
    _ticks(c)


def pie(c: Canvas) -> None:
    """A pie or a ring."""
    values = [s.values[0] for s in c.chart.series]
    ring = (
        {"width": 0.42, "edgecolor": c.chart.look.ground}
        if c.chart.kind == "donut"
        else {"edgecolor": c.chart.look.ground}
    )
    wedges, *_ = c.axes.pie(
        values, colors=[s.color for s in c.chart.series], startangle=90, counterclock=False,
        wedgeprops=ring,
    )  # fmt: skip
    far = 0.79 if c.chart.kind == "donut" else 0.68
    for s, wedge in enumerate(wedges):
        c.marks.append((s, 0, wedge))
        c.handles.append((wedge, c.chart.series[s].name))
        if c.chart.has_values:
            angle = math.radians((wedge.theta1 + wedge.theta2) / 2)
            c.value(far * math.cos(angle), far * math.sin(angle), values[s], va="center",
                    xytext=(0, 0), color=_ink_on(c.chart.series[s].color))  # fmt: skip
    c.axis = ""


def scatter(c: Canvas) -> None:
    """Points, as bubbles where they have sizes."""
    for s, series in enumerate(c.chart.series):
        sizes = list(series.sizes) or 36
        shape = MARKERS[s] if not series.sizes else "o"
        points = c.axes.scatter(series.xs, series.values, s=sizes, color=series.color,
                                marker=shape, alpha=0.55 if series.sizes else 0.85)  # fmt: skip
        handle = Line2D([], [], marker=shape, color=series.color, linestyle="", markersize=7)
        c.handles.append((handle, series.name))
        del points
        for k, (x, y) in enumerate(zip(series.xs, series.values, strict=True)):
            reach = math.sqrt(series.sizes[k]) / 2 * c.chart.look.dpi / 72 if series.sizes else 5.0
            c.marks.append((s, k, _point(c, x, y, reach)))
    c.axes.set_ylim(c.chart.low, c.chart.high)
    c.axes.margins(x=0.08)


def box(c: Canvas) -> None:
    """Boxes with whiskers."""
    color = c.chart.series[0].color
    drawn = c.axes.boxplot(
        c.chart.extra["samples"], positions=range(len(c.chart.categories)), widths=0.5,
        patch_artist=True, medianprops={"color": c.chart.look.ink, "linewidth": 2},
        boxprops={"facecolor": color, "edgecolor": c.chart.look.ink},
        whiskerprops={"color": c.chart.look.ink}, capprops={"color": c.chart.look.ink},
        flierprops={"markeredgecolor": c.chart.look.ink, "markersize": 4},
    )  # fmt: skip
    for k, patch in enumerate(drawn["boxes"]):
        c.marks.append((0, k, patch))
    _ticks(c)


def histogram(c: Canvas) -> None:
    """Adjacent bars between numeric edges."""
    series, edges = c.chart.series[0], c.chart.extra["edges"]
    drawn = c.axes.bar(edges[:-1], series.values, width=edges[1] - edges[0], align="edge",
                       color=series.color, edgecolor=c.chart.look.plot, linewidth=1)  # fmt: skip
    c.axes.set_xticks(edges)
    c.axes.set_ylim(c.chart.low, c.chart.high)
    for k, patch in enumerate(drawn):
        c.marks.append((0, k, patch))
        if c.chart.has_values:
            c.value((edges[k] + edges[k + 1]) / 2, series.values[k], series.values[k])


def heatmap(c: Canvas) -> None:
    """A matrix of coloured cells with their values."""
    rows = [s.values for s in c.chart.series]
    flat = [v for row in rows for v in row]
    scale = colormaps[c.chart.extra["map"]]
    low, high = min(flat), max(flat)
    c.axes.imshow(rows, cmap=scale, aspect="auto", vmin=low, vmax=high)
    c.axes.set_xticks(range(len(c.chart.categories)), c.chart.categories,
                      rotation=c.chart.look.label_turn)  # fmt: skip
    c.axes.set_yticks(range(len(rows)), [s.name for s in c.chart.series])
    c.axes.tick_params(length=0)
    for s, row in enumerate(rows):
        for k, value in enumerate(row):
            r, g, b, _ = scale((value - low) / (high - low or 1))
            ink = "#000000" if 0.3 * r + 0.59 * g + 0.11 * b > 0.55 else "#ffffff"
            c.value(k, s, value, va="center", xytext=(0, 0), color=ink)

            def cell(renderer: Any, s: int = s, k: int = k) -> Bbox:
                corners = c.axes.transData.transform([(k - 0.5, s - 0.5), (k + 0.5, s + 0.5)])
                return Bbox([corners.min(axis=0), corners.max(axis=0)])

            c.marks.append((s, k, cell))
    c.axis = ""


def radar(c: Canvas) -> None:
    """Polygons around a centre."""
    count = len(c.chart.categories)
    angles = [2 * math.pi * k / count for k in range(count)]
    c.axes.set_theta_offset(math.pi / 2)
    c.axes.set_theta_direction(-1)
    for s, series in enumerate(c.chart.series):
        ring = [*series.values, series.values[0]]
        (line,) = c.axes.plot([*angles, angles[0]], ring, color=series.color, marker="o",
                              markersize=4, linewidth=c.chart.look.line_width)  # fmt: skip
        c.axes.fill([*angles, angles[0]], ring, color=series.color, alpha=0.15)
        c.handles.append((line, series.name))
        for k, value in enumerate(series.values):
            c.marks.append((s, k, _point(c, angles[k], value)))
    c.axes.set_xticks(angles, c.chart.categories)
    c.axes.set_ylim(0, 10)
    c.axes.set_yticks([2, 4, 6, 8, 10])
    c.axes.tick_params(axis="x", pad=8)
    c.axes.grid(True, color=c.chart.look.grid_color)
    if c.chart.look.grid_color == c.chart.look.plot:
        c.axes.grid(True, color="#bbbbbb")
    c.axis = ""


def waterfall(c: Canvas) -> None:
    """Steps up and down between a first and a last total."""
    series = c.chart.series[0]
    at = 0.0
    last = len(series.values) - 1
    for k, value in enumerate(series.values):
        is_total = k in (0, last)
        color = series.color if is_total else ("#2e8b57" if value > 0 else "#c0392b")
        base = 0.0 if is_total else min(at, at + value)
        (patch,) = c.axes.bar([k], [abs(value)], bottom=base, width=0.6, color=color)
        at = value if is_total else at + value
        c.marks.append((0, k, patch))
        sign = "+" if value > 0 and not is_total else ""
        text = sign + value_text(value, c.chart.decimals)
        note = c.axes.annotate(text, (k, base + abs(value)), ha="center", va="bottom",
                               xytext=(0, 3), textcoords="offset points")  # fmt: skip
        c.values.append(note)
    _ticks(c)


def funnel(c: Canvas) -> None:
    """Centred bars that grow narrower."""
    series = c.chart.series[0]
    top = series.values[0]
    for k, value in enumerate(series.values):
        half = value / 2
        (patch,) = c.axes.barh([k], [value], left=-half, height=0.82, color=series.color,
                               alpha=1 - 0.12 * k)  # fmt: skip
        c.marks.append((0, k, patch))
        c.value(top * 0.56, k, value, ha="left", va="center", xytext=(0, 0))
        if k + 1 < len(series.values):
            next_half = series.values[k + 1] / 2
            c.axes.add_patch(
                Polygon(
                    [(-half, k + 0.41), (half, k + 0.41), (next_half, k + 0.59),
                     (-next_half, k + 0.59)],
                    color=series.color, alpha=0.25,
                )
            )  # fmt: skip
    c.axes.set_yticks(range(len(series.values)), c.chart.categories)
    c.axes.set_xlim(-top * 0.55, top * 0.8)
    c.axes.xaxis.set_visible(False)
    c.axes.invert_yaxis()
    for spine in c.axes.spines.values():
        spine.set_visible(False)
    c.axis = "x"


def gantt(c: Canvas) -> None:
    """Tasks as lying bars from start to end."""
    series = c.chart.series[0]
    for k, (start, end) in enumerate(
        zip(c.chart.extra["starts"], c.chart.extra["ends"], strict=True)
    ):
        (patch,) = c.axes.barh([k], [end - start], left=start, height=0.55, color=series.color)
        c.marks.append((0, k, patch))
    c.axes.set_yticks(range(len(c.chart.categories)), c.chart.categories)
    c.axes.set_xlim(c.chart.low, c.chart.high)
    step = 1 if (c.chart.high or 0) <= 16 else 2
    c.axes.set_xticks(range(0, int(c.chart.high or 0) + 1, step))
    c.axes.invert_yaxis()
    c.axis = "x"


PAINTERS: dict[str, Callable[[Canvas], None]] = {
    "bar": bars,
    "barh": bars,
    "lollipop": lollipop,
    "grouped": grouped,
    "stacked": stacked,
    "stacked100": stacked,
    "line": lines,
    "area": lines,
    "step": lines,
    "stackedarea": stacked_area,
    "combo": combo,
    "dual": dual,
    "pie": pie,
    "donut": pie,
    "scatter": scatter,
    "bubble": scatter,
    "box": box,
    "histogram": histogram,
    "heatmap": heatmap,
    "radar": radar,
    "waterfall": waterfall,
    "funnel": funnel,
    "gantt": gantt,
}
