"""One HTML page about a quantized checkpoint: what it cost, where, and what to do about it.

A single file: styles, script and drawings are inside, nothing is loaded from anywhere. Says what
the results say and computes nothing anew.

What is read of `LayerResult.input`, each of it optional:

    amax, rms, crest, zeros, channel_ratio, saturated, flushed    numbers
    top_channels        [[channel, largest |x|], ...], the largest first
    channel_profile     largest |x| of equal runs of channels, in order; drawn instead of the above
    histogram           {"log2": borders, "counts": values between them}

and of `QuantResult`: samples "count", "tokens", "held_out", "held_out_tokens"; divergence "kl",
"kl_99", "agreement", "tokens"; seconds "all".

Source: quantization specification, sections 3.3 and 10.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.ptq.findings import (
    MOVED,
    POOR_DB,
    SATURATED,
    findings,
    shortened,
    statistic,
    worst_layer,
)
from nanovl.ptq.report_charts import (
    bits_per_weight,
    channel_heat,
    db,
    error_by_block,
    histograms,
    mixtures,
    sensitivities,
    size,
)
from nanovl.ptq.results import LayerResult, QuantResult
from nanovl.ptq.search import group_names
from nanovl.train import charts
from nanovl.train.charts import number
from nanovl.train.metrics import duration

__all__ = ["page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_HERE = Path(__file__).resolve().parent


def page(result: QuantResult) -> str:
    """The page as text."""
    style = Path(charts.__file__).with_name("report.css").read_text(encoding="utf-8")
    style += (_HERE / "report.css").read_text(encoding="utf-8")
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    title = html.escape(f"{result.source} in {result.format}")
    names = shortened(x.name for x in result.layers)
    body = [
        _head(result),
        _findings(result),
        _facts(result),
        _errors(result.layers),
        _section("Search", [mixtures(result), sensitivities(result)]),
        _section("Inputs", [channel_heat(result.layers, names)]),
        _section("", histograms(result.layers, names)),
        _layers(result, names),
        _settings(result),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} - quantization</title><style>{style}</style></head>"
        f"<body><main>{''.join(body)}</main><script>{script}</script></body></html>\n"
    )


# --- top ------------------------------------------------------------------------------------------


def _head(result: QuantResult) -> str:
    how = f"Weights rounded with the algorithm {result.algo}."
    count = result.samples.get("count")
    if count:
        tokens = statistic(result.samples, "tokens")
        of_tokens = f" of {tokens:,.0f} tokens in all" if tokens > 0 else ""
        how += f" Calibrated on {count:,} samples{of_tokens}."
    else:
        how += " No calibration samples."
    return (
        f'<header><h1>{html.escape(result.source)}<span class="badge">'
        f"{html.escape(result.format)}</span></h1><p>{html.escape(how)}</p></header>"
    )


def _findings(result: QuantResult) -> str:
    words = {"bad": "Problem", "warn": "Warning", "note": "Note"}
    items = "".join(
        f'<li class="{f.kind}"><b>{words[f.kind]}.</b> {html.escape(f.text)}</li>'
        for f in findings(result)
    )
    return f'<ul class="findings" aria-label="Findings">{items}</ul>'


def _facts(result: QuantResult) -> str:
    rounded = [x for x in result.layers if x.format != "bf16"]
    worst = worst_layer(result.layers)
    rows: list[tuple[str, str, str]] = []
    if result.bytes_after:
        share = ""
        if result.bytes_before:
            share = f"{result.bytes_before / result.bytes_after:.2f} times smaller"
        rows += [("size before", size(result.bytes_before), "all tensors")] * (
            result.bytes_before > 0
        )
        rows.append(("size after", size(result.bytes_after), share))
    weights = sum(x.shape[0] * x.shape[1] for x in result.layers)
    if weights:
        bits = bits_per_weight(sum(x.nbytes for x in result.layers), weights)
        rows.append(("bits per weight", f"{bits:.2f}", "linears, with scales"))
    if statistic(result.divergence, "kl") >= 0:
        kl, tail = (statistic(result.divergence, key) for key in ("kl", "kl_99"))
        beyond = f", 99th percentile {number(tail)}" if tail >= 0 else ""
        rows.append(("divergence", number(kl), f"nats per token{beyond}"))
    if (same := statistic(result.divergence, "agreement")) >= 0:
        tokens = statistic(result.divergence, "tokens")
        of = f"of {tokens:,.0f} held-out tokens" if tokens > 0 else ""
        rows.append(("same first choice", f"{100 * same:.2f}%", of))
    if (count := statistic(result.samples, "count")) > 0:
        held = statistic(result.samples, "held_out")
        rows.append(("samples", f"{count:,.0f}", f"{held:,.0f} held out" if held > 0 else ""))
    rows.append(("layers rounded", f"{len(rounded):,}", f"of {len(result.layers):,}"))
    if worst is not None and math.isfinite(worst.output_sqnr_db):
        rows.append(("worst layer", db(worst.output_sqnr_db), "output SQNR"))
    if (seconds := statistic(result.seconds, "all")) >= 0:
        rows.append(("time", duration(seconds), ""))
    cards = "".join(
        f'<div class="card"><dt>{name}</dt><dd>{html.escape(value)}</dd>'
        f"<small>{html.escape(note)}</small></div>"
        for name, value, note in rows
    )
    return f'<dl class="facts">{cards}</dl>'


def _section(title: str, figures: Sequence[str]) -> str:
    shown = [figure for figure in figures if figure]
    if not shown:
        return ""
    heading = f"<h2>{html.escape(title)}</h2>" if title else '<div style="height:16px"></div>'
    return f'{heading}<div class="charts">{"".join(shown)}</div>'


# --- tables ---------------------------------------------------------------------------------------


def _errors(layers: Sequence[LayerResult]) -> str:
    if len(layers) < 2:
        return ""
    curve = _section("Error by layer", [error_by_block(layers)])
    gap = '<div style="height:16px"></div>'
    return f"{curve}{gap if curve else '<h2>Error by layer</h2>'}{_roles(layers)}"


def _roles(layers: Sequence[LayerResult]) -> str:
    """One row per kind of linear."""
    rows = []
    for role in dict.fromkeys(x.role for x in layers):
        own = [x for x in layers if x.role == role]
        errors = sorted(x.output_sqnr_db for x in own if not math.isnan(x.output_sqnr_db))
        formats = sorted({x.format for x in own})
        counted = [f"{sum(x.format == f for x in own)} {f}" for f in formats]
        mixed = ", ".join(counted) if len(formats) > 1 else formats[0]
        crest = [statistic(x.input, "crest") for x in own]
        crest = [v for v in crest if math.isfinite(v)]
        rows.append(
            (
                html.escape(role),
                f"{len(own):,}",
                html.escape(mixed),
                size(sum(x.nbytes for x in own)),
                db(errors[0]) if errors else "none",
                db(errors[len(errors) // 2]) if errors else "none",
                number(max(crest)) if crest else "",
            )
        )
    head = ("role", "layers", "format", "size", "worst output", "median output", "largest crest")
    top = "".join(f"<th>{h}</th>" for h in head)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (
        '<div class="card scroll"><table class="roles"><thead><tr>'
        f"{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


Cell = tuple[str, float | str, str]  # text, what it is sorted by, class


def _layers(result: QuantResult, names: Mapping[str, str]) -> str:
    if not result.layers:
        return ""
    head = ["layer", "format", "shape", "size", "weight SQNR", "input SQNR"]
    head += ["output SQNR", "input range", "crest", "channel ratio", "cut off", "made 0", "is 0"]
    head += ["range moved"]
    if result.sensitivity:
        head.append("sensitivity")
    group_of = {m: g for g, own in group_names(x.name for x in result.layers).items() for m in own}
    rows = []
    for layer in result.layers:
        cells = _cells(layer, names[layer.name])
        if result.sensitivity:
            scores = result.sensitivity.get(group_of[layer.name], {})
            cells.append(_plain(statistic(scores, layer.format)))
        row = []
        for place, (text, value, kind) in enumerate(cells):
            key = value if isinstance(value, str) else _sort_key(value)
            style = f' class="{kind}"' if kind else ""
            tip = f' title="{html.escape(layer.name, quote=True)}"' if place == 0 else ""
            sort = html.escape(key, quote=True)
            row.append(f'<td{style}{tip} data-v="{sort}">{html.escape(text)}</td>')
        rows.append(f"<tr>{''.join(row)}</tr>")
    top = "".join(f'<th scope="col"><button type="button">{h}</button></th>' for h in head)
    note = (
        "SQNR is the signal over the error of rounding, in dB: 6 dB more is half the error. Crest "
        "is the largest input over their root mean square, channel ratio the largest channel over "
        "the median one."
    )
    return (
        f"<h2>Layers</h2><p>{note}</p>"
        '<div class="tools"><input type="search" placeholder="layer or format" '
        'aria-label="Show layers whose name or format contains">'
        f'<span aria-live="polite">{len(rows)} of {len(rows)} layers</span>'
        '<a href="layers.csv">layers.csv</a><a href="../quantization_report.json">all figures</a>'
        f'</div><div class="card scroll tall" tabindex="0"><table class="layers"><thead><tr>{top}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cells(layer: LayerResult, name: str) -> list[Cell]:
    found, (n, k) = layer.input, layer.shape
    moved = layer.input_amax is not None and abs(layer.amax_change) > MOVED
    cut = statistic(found, "saturated") if layer.input_amax is not None else math.nan
    made_0 = statistic(found, "flushed") if layer.input_amax is not None else math.nan
    poor = "bad" if layer.output_sqnr_db < POOR_DB else ""
    if layer.reached:
        limit = _plain(math.nan if layer.input_amax is None else layer.input_amax)
    else:
        limit = ("no sample", -1.0, "bad")
    return [
        (name, layer.name, ""),
        (layer.format, layer.format, ""),
        (f"{n:,} x {k:,}", float(n * k), ""),
        (size(layer.nbytes), float(layer.nbytes), ""),
        _decibel(layer.weight_sqnr_db),
        _decibel(layer.input_sqnr_db),
        _decibel(layer.output_sqnr_db, poor),
        limit,
        _plain(statistic(found, "crest")),
        _plain(statistic(found, "channel_ratio")),
        _share(cut, "warn" if cut > SATURATED else ""),
        _share(made_0),
        _share(statistic(found, "zeros")),
        _share(
            math.nan if layer.input_amax is None else layer.amax_change, "warn" if moved else ""
        ),
    ]


def _decibel(value: float, kind: str = "") -> Cell:
    if math.isnan(value):
        return ("not a number", value, "bad")
    return (db(value), value, kind or ("none" if value == math.inf else ""))


def _plain(value: float) -> Cell:
    if math.isnan(value):
        return ("", value, "none")
    return ("infinite" if math.isinf(value) else number(value), value, "")


def _share(value: float, kind: str = "") -> Cell:
    if math.isnan(value):
        return ("", value, "none")
    percent = 100 * value
    text = "0" if percent == 0 else "< 0.001%" if 0 < percent < 1e-3 else f"{percent:.3g}%"
    return (text, value, kind)


def _sort_key(value: float) -> str:
    """As a number of JavaScript; nothing where there is none."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


# --- bottom ---------------------------------------------------------------------------------------


def _settings(result: QuantResult) -> str:
    samples = [(k, v) for k, v in result.samples.items() if not k.endswith("keys")]
    seconds = [(k, duration(float(v))) for k, v in result.seconds.items()]
    divergence = [(k, number(float(v))) for k, v in result.divergence.items()]
    parts = [
        _details("Samples", samples),
        _details("Divergence", divergence),
        _details("Time", seconds),
    ]
    shown = "".join(part for part in parts if part)
    return f"<h2>Details</h2>{shown}" if shown else ""


def _details(title: str, rows: Iterable[tuple[str, Any]]) -> str:
    cells = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td><code>{html.escape(_text(value))}</code></td></tr>"
        for key, value in rows
    )
    if not cells:
        return ""
    return (
        f'<details class="card"><summary>{title}</summary><div class="scroll">'
        f'<table class="narrow"><tbody>{cells}</tbody></table></div></details>'
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
