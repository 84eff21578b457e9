"""A chart as a Vega-Lite specification.

Source: data synthesis specification, section 7 (back ends).
"""

from __future__ import annotations

from typing import Any

from nanovl.synth.charts.spec import Chart, value_text

__all__ = ["FACES", "VEGA_KINDS", "specification"]

VEGA_KINDS = (
    "area",
    "bar",
    "barh",
    "donut",
    "grouped",
    "heatmap",
    "histogram",
    "line",
    "lollipop",
    "pie",
    "scatter",
    "stacked",
    "stacked100",
    "stackedarea",
    "step",
)
# What a look calls a family: the name fonts have, and ours for its file.
FACES = {
    "DejaVu Sans": ("DejaVu Sans", "dejavu-sans"),
    "DejaVu Serif": ("DejaVu Serif", "dejavu-serif"),
    "DejaVu Sans Mono": ("Liberation Sans", "liberation-sans"),
    "STIXGeneral": ("Liberation Serif", "liberation-serif"),
}
_LEGENDS = {"best": "top", "outside": "right", "below": "bottom", "none": "none"}
_SCHEMES = {"Blues": "blues", "Greens": "greens", "YlOrRd": "yelloworangered",
            "viridis": "tealblues", "coolwarm": "oranges"}  # fmt: skip
Spec = dict[str, Any]


def specification(chart: Chart) -> Spec:
    """The specification of a chart of one of `VEGA_KINDS`; marks are described "m|series|index"."""
    look = chart.look
    scale = look.dpi / 100
    title: Spec = {"text": chart.title}
    if chart.subtitle:
        title["subtitle"] = chart.subtitle
    spec: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": round(look.width / scale), "height": round(look.height / scale),
        "autosize": {"type": "fit", "contains": "padding"}, "padding": 12,
        "background": look.ground, "title": title, "config": _config(chart),
        "data": {"values": _rows(chart)}, "layer": _layers(chart),
    }  # fmt: skip
    if chart.kind in ("pie", "donut", "stacked"):  # ink of labels and fill of marks differ
        spec["resolve"] = {"scale": {"color": "independent"}}
    return spec


def _config(chart: Chart) -> Spec:
    look = chart.look
    grid = "none" if chart.kind == "heatmap" else look.grid  # lines would run through the values
    size = look.font_size * 1.25
    ink = look.ink
    is_box = look.spines == "box"
    return {
        "font": FACES[look.family][0],
        "view": {"fill": look.plot, "stroke": ink if is_box else None},
        "axis": {
            "labelFontSize": size, "titleFontSize": size, "labelColor": ink, "titleColor": ink,
            "tickColor": ink, "domainColor": ink, "domain": look.spines != "none",
            "gridColor": look.grid_color, "labelLimit": 0, "titleLimit": 0,
            "labelOverlap": False, "titleFontWeight": "normal", "titlePadding": 8,
        },
        "axisX": {"grid": grid in ("x", "both")},
        "axisY": {"grid": grid in ("y", "both")},
        "legend": {
            "labelFontSize": size, "labelColor": ink, "labelLimit": 0, "symbolType": "square",
            "orient": _LEGENDS[look.legend], "title": None, "columns": 4 if look.legend != (
                "outside") else 1,
        },
        "title": {
            "fontSize": size * 1.25, "color": ink, "subtitleFontSize": size, "offset": 12,
            "subtitleColor": ink, "fontWeight": "normal", "limit": 0,
        },
        "text": {"fontSize": size * 0.9},
    }  # fmt: skip


def _rows(chart: Chart) -> list[Spec]:
    rows = []
    totals = [sum(s.values[k] for s in chart.series) for k in range(len(chart.categories))]
    base = [0.0] * len(chart.categories)
    for n, series in enumerate(chart.series):
        for k, value in enumerate(series.values):
            shown = value
            if chart.kind == "stacked100":
                shown = 100 * value / totals[k]
            row: Spec = {
                "s": series.name, "n": n, "k": k, "v": shown, "id": f"m|{n}|{k}",
                "t": value_text(value, chart.decimals, chart.unit),
            }  # fmt: skip
            if series.xs:
                row["x"] = series.xs[k]
            else:
                row["c"] = chart.categories[k]
            if chart.kind == "stackedarea":
                row["mid"] = base[k] + value / 2
                base[k] += value
            rows.append(row)
    return rows


def _category(chart: Chart) -> Spec:
    turn = {0: 0, 45: -45, 90: -90}[chart.look.label_turn]
    axis: Spec = {"title": chart.x_label or None, "labelAngle": turn}
    if turn:
        axis |= {"labelAlign": "right", "labelBaseline": "middle" if turn == -90 else "top"}
    return {"field": "c", "type": "nominal", "sort": None, "axis": axis}


def _value(chart: Chart, **more: Any) -> Spec:
    axis = {"title": chart.y_label or None, "tickCount": 6}
    scale = {"domain": [chart.low, chart.high], "nice": False, "zero": False}
    return {"field": "v", "type": "quantitative", "scale": scale, "axis": axis, **more}


def _color(chart: Chart) -> Spec:
    scale = {"domain": [s.name for s in chart.series], "range": [s.color for s in chart.series]}
    found: Spec = {"field": "s", "type": "nominal", "sort": None, "scale": scale}
    if not chart.has_legend:
        found["legend"] = None
    return found


_ID: Spec = {"field": "id", "type": "nominal"}
_ORDER: Spec = {"field": "n", "type": "quantitative", "sort": "ascending"}


def _layers(chart: Chart) -> list[Spec]:
    kind = chart.kind
    if kind in ("pie", "donut"):
        return _round(chart)
    if kind == "heatmap":
        return _heatmap(chart)
    if kind == "scatter":
        return _scatter(chart)
    if kind in ("line", "step", "area", "stackedarea"):
        return _lines(chart)
    return _bars(chart)


def _bars(chart: Chart) -> list[Spec]:
    kind = chart.kind
    is_stack = kind in ("stacked", "stacked100")
    value = _value(chart, stack="zero" if is_stack else None)
    names = ("y", "x") if kind == "barh" else ("x", "y")
    category = _category(chart)
    if kind == "barh":
        category["axis"] = {"title": chart.x_label or None}
    place: Spec = {names[0]: category, names[1]: value}
    if kind == "grouped":
        place["xOffset"] = {"field": "s", "type": "nominal", "sort": None}
    if is_stack:
        place["order"] = _ORDER
    mark: Spec = {"type": "bar"}
    if kind == "histogram":
        mark |= {"width": {"band": 1.0}, "stroke": chart.look.plot}
    elif kind != "grouped":
        mark["height" if kind == "barh" else "width"] = {"band": 0.66}
    layers: list[Spec] = []
    if kind == "lollipop":
        layers.append({"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {
            **place, "y2": {"datum": chart.low}, "color": _color(chart)}})  # fmt: skip
        mark = {"type": "circle", "size": 150, "opacity": 1}
    layers.append({"mark": mark, "encoding": {**place, "color": _color(chart), "description": _ID}})
    if chart.has_values and kind != "stacked100":
        layers.append(_labels(chart, place, is_stack=is_stack))
    return layers


def _labels(chart: Chart, place: Spec, *, is_stack: bool) -> Spec:
    """Printed values beside or on their marks."""
    mark: Spec = {"type": "text", "color": chart.look.ink, "baseline": "bottom", "dy": -4}
    place = dict(place)
    if chart.kind == "barh":
        mark |= {"baseline": "middle", "align": "left", "dx": 5, "dy": 0}
    if chart.kind == "lollipop":
        mark["dy"] = -10
    color: Spec = {}
    if is_stack:
        mark |= {"baseline": "middle", "dy": 0}
        place["y"] = {**place["y"], "bandPosition": 0.5}
        scale = {"domain": [s.name for s in chart.series],
                 "range": [_ink_on(s.color) for s in chart.series]}  # fmt: skip
        color = {"color": {"field": "s", "type": "nominal", "scale": scale, "legend": None}}
        place["detail"] = {"field": "s", "type": "nominal"}
    return {"mark": mark, "encoding": {**place, "text": {"field": "t"}, **color}}


def _ink_on(color: str) -> str:
    r, g, b = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#000000" if 0.3 * r + 0.59 * g + 0.11 * b > 140 else "#ffffff"


def _lines(chart: Chart) -> list[Spec]:
    look, kind = chart.look, chart.kind
    place: Spec = {"x": _category(chart), "y": _value(chart, stack=None)}
    color = {"color": _color(chart)}
    mark: Spec = {"type": "line", "strokeWidth": look.line_width}
    if kind == "step":
        mark["interpolate"] = "step"
    layers: list[Spec] = []
    if kind == "area":
        layers.append({"mark": {"type": "area", "opacity": 0.4}, "encoding": {**place, **color}})
    if kind == "stackedarea":
        stacked = {**place, "y": _value(chart, stack="zero"), "order": _ORDER}
        layers.append({"mark": {"type": "area", "opacity": 1}, "encoding": {**stacked, **color}})
        place["y"] = {**place["y"], "field": "mid"}
    else:
        layers.append({"mark": mark, "encoding": {**place, **color}})
    is_seen = look.has_markers and kind in ("line", "area")
    points: Spec = {"type": "point", "filled": True, "size": 45, "opacity": 1 if is_seen else 0}
    layers.append({"mark": points, "encoding": {**place, **color, "description": _ID}})
    if chart.has_values:
        layers.append(_labels(chart, place, is_stack=False))
    return layers


def _round(chart: Chart) -> list[Spec]:
    look = chart.look
    scale = look.dpi / 100
    far = round(0.34 * min(look.width, look.height) / scale)
    inner = round(0.55 * far) if chart.kind == "donut" else 0
    theta: Spec = {"field": "v", "type": "quantitative", "stack": True}
    place: Spec = {"theta": theta, "order": _ORDER}
    layers: list[Spec] = [
        {"mark": {"type": "arc", "outerRadius": far, "innerRadius": inner, "stroke": look.ground},
         "encoding": {**place, "color": _color(chart), "description": _ID}}
    ]  # fmt: skip
    if chart.has_values:
        scale_ = {"domain": [s.name for s in chart.series],
                  "range": [_ink_on(s.color) for s in chart.series]}  # fmt: skip
        layers.append(
            {"mark": {"type": "text", "radius": round(0.78 * far if inner else 0.68 * far),
                      "align": "center", "baseline": "middle"},
             "encoding": {**place, "text": {"field": "t"}, "detail": {"field": "s"},
                          "color": {"field": "s", "type": "nominal", "scale": scale_,
                                    "legend": None}}}
        )  # fmt: skip
    return layers


def _heatmap(chart: Chart) -> list[Spec]:
    flat = [v for s in chart.series for v in s.values]
    low, high = min(flat), max(flat)
    place: Spec = {
        "x": _category(chart),
        "y": {"field": "s", "type": "nominal", "sort": None, "axis": {"title": None}},
    }
    scheme = _SCHEMES[str(chart.extra["map"])]
    color = {"field": "v", "type": "quantitative", "legend": None,
             "scale": {"scheme": scheme, "domain": [low, high]}}  # fmt: skip
    ink = {"condition": {"test": f"datum.v > {low + 0.62 * (high - low)}", "value": "#ffffff"},
           "value": "#000000"}  # fmt: skip
    return [
        {"mark": "rect", "encoding": {**place, "color": color, "description": _ID}},
        {"mark": {"type": "text", "baseline": "middle"},
         "encoding": {**place, "text": {"field": "t"}, "color": ink}},
    ]  # fmt: skip


def _scatter(chart: Chart) -> list[Spec]:
    xs = [x for s in chart.series for x in s.xs]
    room = 0.05 * (max(xs) - min(xs))
    across: Spec = {
        "field": "x", "type": "quantitative", "axis": {"title": chart.x_label, "tickCount": 6},
        "scale": {"domain": [min(xs) - room, max(xs) + room], "nice": True, "zero": False},
    }  # fmt: skip
    return [
        {"mark": {"type": "circle", "size": 60, "opacity": 0.85},
         "encoding": {"x": across, "y": _value(chart), "color": _color(chart),
                      "description": _ID}}
    ]  # fmt: skip
