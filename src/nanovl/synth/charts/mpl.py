"""Draws charts with matplotlib (Agg) and reads the boxes of marks and texts off its artists.

matplotlib is imported when the first chart is drawn. Every figure is made in a fresh settings
context from matplotlib's own defaults, so a user's settings file changes nothing.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from nanovl.core.errors import missing_extra
from nanovl.synth.base import Box, Reject, Requirement
from nanovl.synth.charts.spec import Chart, Drawn, Look, Mark, Text, value_text

__all__ = ["MATPLOTLIB", "Canvas", "draw_with_matplotlib", "is_inside", "no_overlap"]

MATPLOTLIB = Requirement(
    name="matplotlib", kind="module", package="synth", purpose="drawing charts"
)
HATCHES = ("//", "\\\\", "xx", "..", "--", "||", "oo", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass
class Canvas:
    """A figure in the making.

    Attributes:
        chart: What is drawn.
        figure, axes: Of matplotlib.
        marks: (series, index, artist) or (series, index, Box in display units).
        values: Texts of printed values.
        handles: Legend handles and names.
        axis: "y", "x" or "" : along which axis values lie.
        twin: Axes of a second value axis on the right, None without.
    """

    chart: Chart
    figure: Any
    axes: Any
    marks: list[tuple[int, int, Any]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    handles: list[tuple[Any, str]] = field(default_factory=list)
    axis: str = "y"
    twin: Any = None

    def hatch(self, series: int) -> str | None:
        """Pattern of a series."""
        return HATCHES[series % len(HATCHES)] if self.chart.look.hatches else None

    def value(self, x: float, y: float, value: float, **style: Any) -> None:
        """Print a value beside its mark."""
        text = value_text(value, self.chart.decimals, self.chart.unit)
        settings: dict[str, Any] = {
            "ha": "center",
            "va": "bottom",
            "xytext": (0, 3),
            "textcoords": "offset points",
            "fontsize": self.chart.look.font_size * 0.9,
        }
        settings.update(style)
        self.values.append(self.axes.annotate(text, (x, y), **settings))


def _settings(look: Look) -> dict[str, Any]:
    return {
        "font.family": [look.family],
        "font.size": look.font_size,
        "axes.unicode_minus": False,
        "axes.edgecolor": look.ink,
        "axes.labelcolor": look.ink,
        "text.color": look.ink,
        "xtick.color": look.ink,
        "ytick.color": look.ink,
        "axes.facecolor": look.plot,
        "figure.facecolor": look.ground,
        "grid.color": look.grid_color,
        "hatch.linewidth": 0.6,
        "path.sketch": (1.0, 100.0, 2.0) if look.is_sketch else None,
        "svg.hashsalt": "nanovl",
    }


def draw_with_matplotlib(chart: Chart) -> Drawn:
    """Draw a chart.

    Raises:
        BackendError: matplotlib is not installed.
        Reject: Its parts do not fit the figure.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "synth", "drawing charts") from error
    from nanovl.synth.charts.mpl_more import PAINTERS  # loads after matplotlib is known to be there

    look = chart.look
    settings: Any = {
        key: matplotlib.rcParamsDefault[key]
        for key in matplotlib.rcParamsDefault
        if not key.startswith(("backend", "date.", "webagg"))
    }
    settings.update(_settings(look))
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context(settings),
    ):
        warnings.simplefilter("error", UserWarning)
        figure = Figure(
            figsize=(look.width / look.dpi, look.height / look.dpi), dpi=look.dpi,
            layout="constrained",
        )  # fmt: skip
        agg: Any = FigureCanvasAgg(figure)
        polar = {"projection": "polar"} if chart.kind == "radar" else None
        axes = figure.subplots(subplot_kw=polar)
        canvas = Canvas(chart, figure, axes)
        PAINTERS[chart.kind](canvas)
        texts = _frame(canvas)
        try:
            agg.draw()
        except UserWarning as warning:
            raise Reject("layout", str(warning)) from warning
        return _measured(canvas, agg, texts)


def _frame(canvas: Canvas) -> list[tuple[str, Any]]:
    """Axis, title, legend, note; the texts that are not ticks."""
    chart, axes, look = canvas.chart, canvas.axes, canvas.chart.look
    texts: list[tuple[str, Any]] = []
    size = look.font_size
    if chart.subtitle:
        texts.append(("title", canvas.figure.suptitle(chart.title, fontsize=size * 1.3)))
        texts.append(("subtitle", axes.set_title(chart.subtitle, fontsize=size)))
    else:
        texts.append(("title", axes.set_title(chart.title, fontsize=size * 1.25)))
    if chart.kind in ("pie", "donut", "radar", "funnel", "heatmap"):
        if chart.kind == "heatmap":
            texts.append(("x_label", axes.set_xlabel(chart.x_label)))
    else:
        _sides(canvas)
        swap = chart.kind == "barh"
        x_label, y_label = (
            (chart.y_label, chart.x_label) if swap else (chart.x_label, chart.y_label)
        )
        if x_label:
            texts.append(("x_label", axes.set_xlabel(x_label)))
        if y_label:
            texts.append(("y_label", axes.set_ylabel(y_label)))
        if canvas.twin is not None:
            label = canvas.twin.set_ylabel(chart.extra["right"]["label"])
            texts.append(("y_label", label))
    if chart.has_legend and canvas.handles:
        texts += _legend(canvas)
    if chart.note:
        note = canvas.figure.text(0.01, 0.005, chart.note, fontsize=size * 0.8, va="bottom")
        canvas.figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))
        texts.append(("note", note))
    return texts


def _sides(canvas: Canvas) -> None:
    axes, look = canvas.axes, canvas.chart.look
    shown = {"box": ("left", "bottom", "right", "top"), "open": ("left", "bottom"), "none": ()}
    for side, spine in axes.spines.items():
        spine.set_visible(side in shown[look.spines])
    if look.grid != "none":
        axis = look.grid
        if canvas.chart.kind == "barh" and axis != "both":
            axis = "x"
        axes.grid(True, axis=axis, linewidth=0.8)
        axes.set_axisbelow(True)


def _legend(canvas: Canvas) -> list[tuple[str, Any]]:
    look = canvas.chart.look
    handles, names = zip(*canvas.handles, strict=True)
    style: dict[str, Any] = {"frameon": look.spines != "none", "fontsize": look.font_size * 0.95}
    if look.legend == "best" and canvas.chart.kind not in ("pie", "donut"):
        # Room above the data, so that the legend covers none of it.
        for axes in (canvas.axes, canvas.twin):
            if axes is not None and canvas.axis == "y":
                low, high = axes.get_ylim()
                axes.set_ylim(low, high + 0.12 * (high - low) * -(-len(names) // 3))
        legend = canvas.axes.legend(handles, names, loc="upper center", ncols=min(3, len(names)),
                                    **style)  # fmt: skip
    elif look.legend == "below":
        legend = canvas.figure.legend(
            handles, names, loc="outside lower center", ncols=min(4, len(names)), **style
        )
    else:
        legend = canvas.figure.legend(handles, names, loc="outside right center", **style)
    return [("legend", text) for text in legend.get_texts()]


def _measured(canvas: Canvas, agg: Any, texts: Sequence[tuple[str, Any]]) -> Drawn:
    axes = canvas.axes
    renderer = agg.get_renderer()
    width, height = agg.get_width_height()

    def flip(extent: Any) -> Box:
        return (
            float(extent.x0),
            float(height - extent.y1),
            float(extent.x1),
            float(height - extent.y0),
        )

    found: list[Text] = []
    for role, artist in texts:
        if artist.get_text():
            found.append(Text(role, artist.get_text(), flip(artist.get_window_extent(renderer))))
    for artist in canvas.values:
        box = flip(artist.get_window_extent(renderer))
        found.append(Text("value", artist.get_text(), box))
    if canvas.chart.kind not in ("pie", "donut"):
        sides = [("tick_x", axes.xaxis), ("tick_y", axes.yaxis)]
        if canvas.twin is not None:
            sides.append(("tick_y", canvas.twin.yaxis))
        for role, axis in sides:
            if axis.get_visible():
                low, high = sorted(axis.get_view_interval())
                room = 1e-6 * (high - low)
                for place, label in zip(
                    axis.get_majorticklocs(), axis.get_ticklabels(), strict=False
                ):
                    if not low - room <= place <= high + room:
                        continue  # matplotlib keeps labels of ticks that it does not draw
                    box = flip(label.get_window_extent(renderer))
                    if label.get_text() and label.get_visible() and is_inside(box, width, height):
                        found.append(Text(role, label.get_text(), box))
    for text in found:
        if not is_inside(text.box, width, height):
            raise Reject("cut_off", f"{text.role} {text.text!r} leaves the picture")
    no_overlap(found)
    marks = []
    for series, index, artist in canvas.marks:
        extent = artist(renderer) if callable(artist) else artist.get_window_extent(renderer)
        box = flip(extent)
        box = (max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3]))
        marks.append(Mark(series, index, box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)))
    plot = flip(axes.get_window_extent(renderer))
    pixels = right = 0.0
    if canvas.axis == "y":
        low, high = axes.get_ylim()
        pixels = (plot[3] - plot[1]) / abs(high - low)
        if canvas.twin is not None:
            low, high = canvas.twin.get_ylim()
            right = (plot[3] - plot[1]) / abs(high - low)
    elif canvas.axis == "x":
        low, high = axes.get_xlim()
        pixels = (plot[2] - plot[0]) / abs(high - low)
    out = io.BytesIO()
    picture = Image.frombuffer("RGBA", (width, height), agg.buffer_rgba(), "raw", "RGBA", 0, 1)
    picture.convert("RGB").save(out, "PNG", compress_level=3)
    return Drawn(out.getvalue(), width, height, tuple(marks), tuple(found), plot, pixels, right)


def is_inside(box: Box, width: int, height: int) -> bool:
    """Whether a box is inside a picture, half a pixel forgiven."""
    return box[0] >= -0.5 and box[1] >= -0.5 and box[2] <= width + 0.5 and box[3] <= height + 0.5


def no_overlap(texts: Sequence[Text]) -> None:
    """Raise if two texts cover each other in part."""
    for k, a in enumerate(texts):
        for b in texts[:k]:
            wide = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
            high = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
            turned = "tick_x" in (a.role, b.role) and a.role == b.role
            if wide > 1.5 and high > 2.5 and not turned:
                raise Reject("overlap", f"{a.text!r} and {b.text!r}")
