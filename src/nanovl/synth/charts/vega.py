"""Draws charts with Vega-Lite, without a browser, and reads boxes off its scene graph.

The specification is written here. Marks carry their series and index as their description, so they
are found in the scene; texts are measured with the font file that they are drawn with. vl-convert
is imported when the first chart is drawn.

Source: data synthesis specification, section 7 (back ends).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nanovl.core.errors import InputError, missing_extra
from nanovl.synth.base import Box, Reject, Requirement
from nanovl.synth.charts.mpl import is_inside, no_overlap
from nanovl.synth.charts.spec import Chart, Drawn, Mark, Text
from nanovl.synth.charts.vegaspec import FACES, VEGA_KINDS, specification
from nanovl.synth.typefaces import font_file, load_font

__all__ = ["VEGA", "VEGA_KINDS", "draw_with_vega"]

VEGA = Requirement(
    name="vl_convert", kind="module", package="synth", purpose="drawing charts with Vega-Lite"
)
_BASELINES = {"top": 0.79, "middle": 0.3, "bottom": -0.21}  # of the font size, as Vega places text
_MEASURED = 4  # texts are measured at this many times their size


@dataclass(frozen=True)
class _Node:
    """An item of the scene with the place of its group."""

    item: Mapping[str, Any]
    kind: str
    role: str
    orient: str
    x: float
    y: float


def draw_with_vega(chart: Chart) -> Drawn:
    """Draw a chart of one of `VEGA_KINDS`.

    Raises:
        BackendError: vl-convert or the typeface is not installed.
        InputError: Another kind.
        Reject: Its parts do not fit.
    """
    if chart.kind not in VEGA_KINDS:
        raise InputError(f"chart kind {chart.kind!r}: this renderer draws {sorted(VEGA_KINDS)}")
    try:
        import vl_convert
    except ImportError as error:
        raise missing_extra("vl-convert-python", "synth", "drawing charts with Vega-Lite") from (
            error
        )
    look = chart.look
    font_file(FACES[look.family][1])  # else another face would be taken in silence
    spec = specification(chart)
    scale = look.dpi / 100
    scene = vl_convert.vegalite_to_scenegraph(spec)
    if not isinstance(scene, dict):
        raise InputError("vl-convert gave no scene graph as plain data")
    png = vl_convert.vegalite_to_png(spec, scale=scale)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    left, top = scene["origin"]
    nodes = list(_walk(scene["scenegraph"], "", "", float(left), float(top)))
    texts = [t for t in (_text(node, chart, scale) for node in nodes) if t is not None]
    for text in texts:
        if not is_inside(text.box, *image.size):
            raise Reject("cut_off", f"{text.role} {text.text!r} leaves the picture")
    no_overlap(texts)
    marks = _marks(nodes, scale)
    plot = _plot(nodes, scale)
    pixels = 0.0
    if chart.low is not None and chart.high is not None and chart.kind not in ("pie", "donut"):
        side = plot[2] - plot[0] if chart.kind == "barh" else plot[3] - plot[1]
        pixels = side / (chart.high - chart.low)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return Drawn(out.getvalue(), *image.size, tuple(marks), tuple(texts), plot, pixels)


def _walk(mark: Mapping[str, Any], orient: str, role: str, x: float, y: float) -> Iterator[_Node]:
    kind = str(mark.get("marktype", "group"))
    mine = str(mark.get("role", role))
    for item in mark.get("items", ()):
        if kind != "group":
            yield _Node(item, kind, mine, orient, x, y)
            continue
        at = (x + float(item.get("x", 0.0)), y + float(item.get("y", 0.0)))
        side = str(item.get("orient", orient)) if mine == "axis" else orient
        yield _Node(item, "group", mine, side, x, y)
        for inner in item.get("items", ()):
            yield from _walk(inner, side, mine, *at)


def _role(node: _Node) -> str:
    if node.role == "title-text":
        return "title"
    if node.role == "title-subtitle":
        return "subtitle"
    if node.role == "legend-label":
        return "legend"
    side = "x" if node.orient in ("bottom", "top") else "y"
    if node.role == "axis-label":
        return f"tick_{side}"
    if node.role == "axis-title":
        return f"{side}_label"
    return "value" if node.role == "mark" else ""


def _text(node: _Node, chart: Chart, scale: float) -> Text | None:
    role = _role(node)
    item = node.item
    text = item.get("text", "")
    if node.kind != "text" or not role or not text or item.get("opacity", 1) == 0:
        return None
    if isinstance(text, Sequence) and not isinstance(text, str):
        text = " ".join(map(str, text))
    size = float(item.get("fontSize", 11))
    is_bold = str(item.get("fontWeight", "normal")) in ("bold", "700")
    family = FACES[chart.look.family][1]
    font = load_font(family, round(size * _MEASURED), "bold" if is_bold else "regular")
    x0, y0, x1, y1 = (v / _MEASURED for v in font.getbbox(str(text), anchor="ls"))
    shift = {"right": -x1, "center": -x1 / 2}.get(str(item.get("align", "left")), 0.0)
    down = _BASELINES.get(str(item.get("baseline", "alphabetic")), 0.0) * size
    dx, dy = float(item.get("dx", 0.0)), float(item.get("dy", 0.0))
    turn = math.radians(float(item.get("angle", 0.0)))
    c, s = math.cos(turn), math.sin(turn)
    px, py = node.x + float(item.get("x", 0.0)), node.y + float(item.get("y", 0.0))
    if radius := float(item.get("radius", 0.0)):
        theta = float(item.get("theta", 0.0)) - math.pi / 2
        px, py = px + radius * math.cos(theta), py + radius * math.sin(theta)
    corners = []
    for x in (x0 + shift + dx, x1 + shift + dx):
        for y in (y0 + down + dy, y1 + down + dy):
            corners.append((scale * (px + x * c - y * s), scale * (py + x * s + y * c)))
    xs, ys = zip(*corners, strict=True)
    return Text(role, str(text), (min(xs), min(ys), max(xs), max(ys)))


def _marks(nodes: Sequence[_Node], scale: float) -> list[Mark]:
    found = []
    for node in nodes:
        name = str(node.item.get("description", ""))
        if not name.startswith("m|") or node.role != "mark":
            continue
        series, index = map(int, name.split("|")[1:])
        x0, y0, x1, y1 = (scale * v for v in _outline(node))
        center = ((x0 + x1) / 2, (y0 + y1) / 2)
        found.append(Mark(series, index, (x0, y0, x1, y1), center))
    return sorted(found, key=lambda m: (m.series, m.index))


def _outline(node: _Node) -> Box:
    """Box of a mark in units of the scene."""
    item = node.item
    x, y = node.x + float(item.get("x", 0.0)), node.y + float(item.get("y", 0.0))
    if node.kind == "rect":
        wide, high = float(item.get("width", 0.0)), float(item.get("height", 0.0))
        return min(x, x + wide), min(y, y + high), max(x, x + wide), max(y, y + high)
    if node.kind == "arc":
        return _wedge(item, x, y)
    reach = max(5.0, math.sqrt(float(item.get("size", 30.0)) / math.pi))
    return x - reach, y - reach, x + reach, y + reach


def _wedge(item: Mapping[str, Any], x: float, y: float) -> Box:
    start, end = float(item.get("startAngle", 0.0)), float(item.get("endAngle", 0.0))
    inner, outer = float(item.get("innerRadius", 0.0)), float(item.get("outerRadius", 0.0))
    count = max(2, int((end - start) / 0.02))
    points = []
    for k in range(count + 1):
        angle = start + (end - start) * k / count - math.pi / 2
        for radius in (inner, outer):
            points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _plot(nodes: Sequence[_Node], scale: float) -> Box:
    """The area of the marks: the outermost group."""
    root = next(n for n in nodes if n.kind == "group")
    x, y = root.x + float(root.item.get("x", 0.0)), root.y + float(root.item.get("y", 0.0))
    wide, high = float(root.item.get("width", 0.0)), float(root.item.get("height", 0.0))
    return scale * x, scale * y, scale * (x + wide), scale * (y + high)
