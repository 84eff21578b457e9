"""The drawings of the page about a quantized checkpoint.

Each function takes results and gives a `<figure>`, or nothing where there is nothing to draw. How
bars and curves are made is `plots` and `train.charts`.

Source: quantization specification, sections 1.1, 2.3 and 10.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nanovl.ops.lowp import FP8_MAX, NVFP4_MAX
from nanovl.ptq.findings import shortened, statistic
from nanovl.ptq.plots import Bars, Limit, Point, Row, bar_chart, heat_map, histogram, trade_off
from nanovl.ptq.results import LayerResult, Mixture, QuantResult
from nanovl.ptq.search import group_names
from nanovl.train.charts import COLOURS, Series, line_chart, number

__all__ = [
    "Grid",
    "bits_per_weight",
    "channel_heat",
    "db",
    "error_by_block",
    "grid_of",
    "histograms",
    "mixtures",
    "sensitivities",
    "size",
]

_COLOUR_OF = {
    "bf16": "var(--s7)",
    "fp8": "var(--s0)",
    "nvfp4": "var(--s1)",
    "nvfp4-w4a16": "var(--s3)",
    "int8": "var(--s2)",
    "int4": "var(--s4)",
    "int4-sym": "var(--s5)",
}
_CURVE_BLOCKS = 6
_WIDE_BLOCKS = 11  # with fewer, a wide axis has room for halves of blocks
_HEAT_ROWS = 12
_HEAT_CELLS = 64
_HISTOGRAMS = 4
_BARS = 24


# --- text -----------------------------------------------------------------------------------------


def db(value: float) -> str:
    """Such as "21.3 dB"; "exact" where nothing was rounded."""
    if math.isnan(value):
        return "none"
    if math.isinf(value):
        return "exact" if value > 0 else "-inf dB"
    return f"{value:.1f} dB"


def size(nbytes: float) -> str:
    """Bytes in powers of a thousand, as the sizes of the documentation."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= unit:
            digits = 2 if nbytes < 100 * unit else 0
            return f"{nbytes / unit:.{digits}f} {name}"
    return f"{nbytes:.0f} B"


def bits_per_weight(nbytes: int, weights: int) -> float:
    """Stored bits of a weight, scales included."""
    return 8 * nbytes / weights


# --- figures --------------------------------------------------------------------------------------


def error_by_block(layers: Sequence[LayerResult]) -> str:
    """Output SQNR over the number of the block, a curve for every role.

    Few blocks need no curve: the table says it.
    """
    if len({x.index for x in layers}) < _CURVE_BLOCKS:
        return ""
    series = []
    roles = dict.fromkeys(x.role for x in layers)
    for place, role in enumerate(roles):
        own = sorted((x for x in layers if x.role == role), key=lambda x: x.index)
        x, y = [float(v.index) for v in own], [v.output_sqnr_db for v in own]
        colour = place % COLOURS
        series.append(Series(name=role, x=x, y=y, colour=colour))
        series.append(Series(name="", x=x, y=y, colour=colour, style="dots"))
    left = sum(x.output_sqnr_db == math.inf for x in layers)
    note = "Signal over rounding error of each product, on inputs that were not rounded before."
    if left:
        note += f" {left} layers without an error are not drawn."
    wide = len({x.index for x in layers}) >= _WIDE_BLOCKS
    return line_chart("Output SQNR by block", series, note=note, y_format=_short_db, wide=wide)


def mixtures(result: QuantResult) -> str:
    """The curve of a search."""
    if not result.mixtures:
        return ""
    weights = sum(x.shape[0] * x.shape[1] for x in result.layers)
    points = [
        Point(
            x=float(m.nbytes),
            y=m.predicted,
            text=_described(m),
            measured=m.measured,
            chosen=place == result.chosen,
        )
        for place, m in enumerate(result.mixtures)
    ]
    drawing = trade_off("Divergence against stored bytes", points, size)
    if not drawing:
        return ""
    note = "The best mixture of each size: nats per token over the bytes of the searched linears."
    if result.chosen is not None:
        chosen = result.mixtures[result.chosen]
        note += f" Chosen: {_described(chosen)}"
        if weights and len(chosen.formats) and _covers(result, chosen):
            note += f"; {bits_per_weight(chosen.nbytes, weights):.2f} bits per weight"
        note += "."
    legend = [("round", "var(--s0)", "predicted, the sum of the groups")]
    if any(m.measured is not None for m in result.mixtures):
        legend.append(("round", "var(--s1)", "measured"))
    if result.chosen is not None:
        legend.append(("ring", "", "chosen"))
    return _figure("Size against divergence", note, legend, drawing, wide=True)


def sensitivities(result: QuantResult) -> str:
    """What each group costs in each format, the costliest groups first."""
    groups = result.sensitivity
    if not groups:
        return ""
    names = shortened(groups)
    chosen: Mapping[str, str] = {}
    if result.chosen is not None:
        chosen = result.mixtures[result.chosen].formats
    formats = [f for f in _order(f for scores in groups.values() for f in scores) if f != "bf16"]
    rows = []
    for group in sorted(groups, key=lambda g: -max(_finite(groups[g].values()), default=0.0)):
        taken = chosen.get(group, "")
        shown = [f for f in formats if f in groups[group]]
        values = [
            (_colour(f), groups[group][f], f"{f}: {number(groups[group][f])} nats per token")
            for f in shown
        ]
        strong = shown.index(taken) if taken in shown else len(shown) if taken else None
        worst = max(_finite(groups[group].values()), default=math.nan)
        note = f"{taken}, {number(groups[group].get(taken, 0.0))}" if taken else number(worst)
        rows.append(Bars(name=names[group], note=note, values=values, strong=strong))
    title = "Divergence with one group rounded"
    drawing = bar_chart(title, rows[:_BARS])
    if not drawing:
        return ""
    rest = bar_chart(f"{title}, other groups", rows[_BARS:])
    if rest:
        count = len(rows) - _BARS
        drawing += f"<details><summary>{count} less sensitive groups</summary>{rest}</details>"
    note = "Nats per token when only this group is rounded, on a logarithmic axis."
    if chosen:
        note += " The format that was chosen is strong and stands at the right."
    legend = [("", _colour(f), f) for f in formats]
    return _figure("Sensitivity by group", note, legend, drawing, wide=True)


def channel_heat(layers: Sequence[LayerResult], names: Mapping[str, str]) -> str:
    """Largest values of channels, for the inputs with the highest crest."""
    rows = []
    profile = False
    for name, layer in _by_crest(layers, names)[:_HEAT_ROWS]:
        found = layer.input
        rms = statistic(found, "rms")
        unit = rms if rms > 0 else 1.0
        runs = _numbers(found.get("channel_profile"))
        if runs:
            profile = True
            cells = _runs(runs, layer.shape[1], unit)
        else:
            cells = [
                (value / unit, f"channel {channel:,}: {number(value)}, {_times(value, unit)}")
                for channel, value in _pairs(found.get("top_channels"))
            ]
        if cells:
            note = f"crest {number(statistic(found, 'crest'))}"
            rows.append(Row(name=name, cells=cells, note=note))
    title = "Largest value of channels"
    drawing = heat_map(title, rows)
    if not drawing:
        return ""
    what = "all channels from left to right" if profile else "the largest channels, largest first"
    note = (
        f"The {len(rows)} inputs with the highest crest: {what}, as a multiple of the root mean "
        "square of the input. Few hot cells are outlier channels; they cost integer formats "
        "accuracy, floating ones hardly any."
    )
    if len(rows) == 1:
        note = note.replace("The 1 inputs", "The input")
    return _figure("Channels", note, [], drawing, wide=True)


def histograms(layers: Sequence[LayerResult], names: Mapping[str, str]) -> list[str]:
    """How large inputs are, beside what their format can hold."""
    figures = []
    for name, layer in _by_crest(layers, names):
        figure = _histogram(name, layer)
        if figure:
            figures.append(figure)
        if len(figures) == _HISTOGRAMS:
            break
    return figures


def _histogram(name: str, layer: LayerResult) -> str:
    given = layer.input.get("histogram")
    if not isinstance(given, Mapping):
        return ""
    edges, counts = _numbers(given.get("log2")), [int(n) for n in _numbers(given.get("counts"))]
    if not counts or len(edges) != len(counts) + 1 or not sum(counts):
        return ""
    grid = grid_of(layer)
    limits: list[Limit] = []
    legend: list[tuple[str, str, str]] = []

    def colour(low: float, high: float) -> str:
        if grid is None:
            return "var(--s0)"
        if low >= math.log2(grid.largest):
            return "var(--bad)"
        return "var(--s7)" if high <= math.log2(grid.smallest / 2) else "var(--s0)"

    note = f"Input of {name}: shares of values by their size, zeros left out."
    if grid is not None:
        marks = [
            (grid.largest, "largest", "var(--bad)"),
            (grid.smallest, "smallest above 0", "var(--s2)"),
        ]
        if grid.beside is not None:
            marks.insert(1, (grid.beside, "smallest beside the largest", "var(--s1)"))
        for value, words, tone in marks:
            text = f"{words} {number(value)}"
            limits.append(Limit(at=math.log2(value), name=text, colour=tone))
            legend.append(("dashed", tone, text))
        tones = {colour(edges[i], edges[i + 1]) for i, n in enumerate(counts) if n}
        words_of = {"var(--s7)": "becomes 0", "var(--bad)": "cut off"}
        legend += [("", tone, words) for tone, words in words_of.items() if tone in tones]
    drawing = histogram(f"Histogram of the input of {name}", edges, counts, limits, colour)
    return _figure(f"{name} ({layer.format})", note, legend, drawing)


# --- what a format can hold -----------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Sizes that a rounded input can have.

    Attributes:
        largest: Whatever is above becomes this.
        smallest: The smallest above 0; half of it and less becomes 0.
        beside: The smallest above 0 in a block that holds the largest; None without blocks.
    """

    largest: float
    smallest: float
    beside: float | None = None


def grid_of(layer: LayerResult) -> Grid | None:
    """What the format of a layer's inputs holds; None where inputs are not rounded so."""
    amax = layer.input_amax
    if amax is None or not math.isfinite(amax) or amax <= 0:
        return None
    if layer.format == "fp8":
        return Grid(amax, 2.0**-9 * amax / FP8_MAX)
    if layer.format == "nvfp4":
        # Half a step of the smallest block scale, and of the largest one.
        return Grid(amax, 0.5 * 2.0**-9 * amax / NVFP4_MAX, 0.5 * amax / 6)
    return None


# --- pieces ---------------------------------------------------------------------------------------


def _figure(
    title: str,
    note: str,
    legend: Sequence[tuple[str, str, str]],
    drawing: str,
    *,
    wide: bool = False,
) -> str:
    marks = []
    for kind, colour, words in legend:
        paint = "border-color" if kind == "dashed" else "background"
        style = f' style="{paint}:{colour}"' if colour else ""
        marks.append(f'<span><i class="{kind}"{style}></i>{html.escape(words)}</span>')
    below = f'<div class="legend">{"".join(marks)}</div>' if marks else ""
    return (
        f'<figure class="card{" wide" * wide}"><figcaption><h3>{html.escape(title)}</h3>'
        f"<p>{html.escape(note)}</p>{below}</figcaption>{drawing}</figure>"
    )


def _short_db(value: float) -> str:
    return f"{value:.3g} dB" if math.isfinite(value) else db(value)


def _colour(format: str) -> str:
    return _COLOUR_OF.get(format, "var(--s6)")


def _order(formats: Iterable[str]) -> list[str]:
    """Known formats in their order, then others by name."""
    known = list(_COLOUR_OF)
    place = {f: known.index(f) if f in known else len(known) for f in formats}
    return sorted(place, key=lambda f: (place[f], f))


def _described(mixture: Mixture) -> str:
    counted = Counter(mixture.formats.values())
    formats = ", ".join(f"{counted[f]} {f}" for f in _order(counted))
    text = f"{size(mixture.nbytes)}, predicted {number(mixture.predicted)}"
    if mixture.measured is not None:
        text += f", measured {number(mixture.measured)}"
    return f"{text} ({formats})" if formats else text


def _covers(result: QuantResult, mixture: Mixture) -> bool:
    """Whether a mixture says the format of every linear."""
    return set(group_names(x.name for x in result.layers)) == set(mixture.formats)


def _by_crest(
    layers: Sequence[LayerResult], names: Mapping[str, str]
) -> list[tuple[str, LayerResult]]:
    """(name, layer) of the inputs with the highest crest; q, k and v share theirs."""
    first = {own[0]: group for group, own in group_names(x.name for x in layers).items()}
    short = shortened([*names, *first.values()])
    found = [
        (short[first[x.name]], x)
        for x in layers
        if x.name in first and statistic(x.input, "crest") > 0
    ]
    return sorted(found, key=lambda pair: -statistic(pair[1].input, "crest"))


def _finite(values: Iterable[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _numbers(value: object) -> list[float]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [float(v) for v in value]


def _pairs(value: object) -> list[tuple[int, float]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [(int(channel), float(amax)) for channel, amax in value]


def _runs(runs: Sequence[float], channels: int, unit: float) -> list[tuple[float, str]]:
    """Cells of a profile; neighbours share one where there are too many."""
    each = -(-len(runs) // _HEAT_CELLS)
    cells = []
    for start in range(0, len(runs), each):
        value = max(runs[start : start + each])
        low = start * channels // len(runs)
        high = min(channels, (start + each) * channels // len(runs)) - 1
        text = f"channels {low:,} to {high:,}: {number(value)}, {_times(value, unit)}"
        cells.append((value / unit, text))
    return cells


def _times(value: float, unit: float) -> str:
    return f"{value / unit:.1f} times the root mean square"
