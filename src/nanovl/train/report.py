"""One HTML page about a run: what was trained, how it went, what it cost.

The page is a single file: styles, script and charts are inside, nothing is loaded from anywhere.
It is drawn from the files of the run folder alone, so it can be made during a run, after a crash
and on another machine.

Source: training specification, section 9.
"""

from __future__ import annotations

import html
import json
import math
import os
import statistics
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.config import load_yaml
from nanovl.core.errors import ConfigError, InputError
from nanovl.train.charts import (
    COLOURS,
    Series,
    line_chart,
    number,
    percent,
    smooth,
    sparkline,
    stacked_chart,
)
from nanovl.train.config import num_updates, recipe_from
from nanovl.train.metrics import duration, read_metrics

__all__ = ["RunData", "read_run", "render", "write_report"]

_ASSETS = Path(__file__).resolve().parent
_MODULES = ("vision", "projector", "llm")
_TIMES = (
    ("data_wait_s", "data wait"),
    ("forward_s", "forward"),
    ("backward_s", "backward"),
    ("optim_s", "optimizer"),
)


@dataclass(kw_only=True)
class RunData:
    """A run, read from its folder.

    Attributes:
        folder: Where it is.
        updates: Numbers of the updates with a record.
        columns: Metric -> value per record; NaN where a record has none.
        skips: Update -> why it was skipped.
        source_tokens: Source -> tokens seen until the last update.
        recipe: The resolved recipe, empty when the file is missing.
        about: `run.json`, empty when it is missing.
    """

    folder: Path
    updates: array[int] = field(default_factory=lambda: array("q"))
    columns: dict[str, array[float]] = field(default_factory=dict)
    skips: dict[int, str] = field(default_factory=dict)
    source_tokens: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the recipe, else of the folder."""
        return str(self.recipe.get("name") or self.folder.resolve().name)

    def column(self, name: str) -> Sequence[float]:
        """Values of a metric, one per record."""
        return self.columns.get(name) or array("d", [math.nan]) * len(self.updates)

    def names(self, prefix: str) -> list[str]:
        """Metrics that start with a prefix, sorted."""
        return sorted(name for name in self.columns if name.startswith(prefix))

    def last(self, name: str) -> float:
        """Newest finite value, NaN when there is none."""
        return next((v for v in reversed(self.column(name)) if math.isfinite(v)), math.nan)

    def median(self, name: str) -> float:
        """Middle of the finite values, NaN when there are none."""
        values = [v for v in self.column(name) if math.isfinite(v)]
        return statistics.median(values) if values else math.nan


def read_run(folder: Path) -> RunData:
    """Read a run folder; anything but the folder itself may be missing or cut off.

    Raises:
        InputError: There is no such folder, or nothing of a run in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run folder; give the ckpt.dir of a recipe")
    run = RunData(folder=folder)
    known = [folder / name for name in ("metrics.jsonl", "recipe.yaml", "run.json")]
    if not any(path.is_file() for path in known):
        raise InputError(
            f"{folder}: holds no metrics.jsonl, recipe.yaml or run.json; is this a run folder?"
        )
    if known[0].is_file():
        for record in read_metrics(known[0]):
            _add(run, record)
    try:
        run.recipe = load_yaml(known[1])
    except ConfigError:
        run.recipe = {}
    try:
        about = json.loads(known[2].read_text(encoding="utf-8"))
        run.about = about if isinstance(about, dict) else {}
    except (OSError, ValueError):
        run.about = {}
    return run


def _add(run: RunData, record: Mapping[str, Any]) -> None:
    count = len(run.updates)
    run.updates.append(record["update"])
    for key, value in record.items():
        if key == "skipped" and value:
            run.skips[record["update"]] = value if isinstance(value, str) else "skipped"
        if key == "counters" and isinstance(value, dict):
            run.source_tokens = dict(value.get("source_tokens") or {})
        if key == "update" or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key not in run.columns:
            run.columns[key] = array("d", [math.nan]) * count
        run.columns[key].append(value)
    for values in run.columns.values():
        if len(values) == count:
            values.append(math.nan)


def write_report(
    run_folder: Path, *, compare: Sequence[Path] = (), out: Path | None = None
) -> Path:
    """Write the page of a run.

    Args:
        run_folder: The run.
        compare: Other runs, whose losses are drawn beside this one's.
        out: The file; None is `report.html` in the run folder.

    Returns:
        The file written.

    Raises:
        InputError: A folder is missing or holds no run.
    """
    page = render(read_run(Path(run_folder)), [read_run(Path(other)) for other in compare])
    out = out or Path(run_folder) / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    tmp = out.with_name(out.name + ".tmp")
    tmp.write_text(page, encoding="utf-8")
    os.replace(tmp, out)
    return out


def render(run: RunData, others: Sequence[RunData] = ()) -> str:
    """The page as text."""
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = (_ASSETS / "report.js").read_text(encoding="utf-8")
    title = html.escape(run.name)
    body = [_head(run), _facts(run)]
    if len(run.updates):
        body += [
            _charts("Loss and optimizer", _learning(run, others)),
            _charts("Speed", _speed(run)),
            _charts("Packing", _packing(run)),
            _sources(run),
            _charts("FP8", _fp8(run)),
        ]
    else:
        body.append('<div class="card empty">No update has been recorded yet.</div>')
    body += [_drops(run), _skips(run), _settings(run)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} - nanovl run</title><style>{style}</style></head>"
        f"<body><main>{''.join(body)}</main><script>{script}</script></body></html>\n"
    )


# --- top ------------------------------------------------------------------------------------------


def _total(run: RunData) -> float:
    try:
        return float(num_updates(recipe_from(run.recipe)))
    except ConfigError:  # written by another version
        return math.nan


def _head(run: RunData) -> str:
    status = str(run.about.get("status", ""))
    kind = {"finished": "good", "interrupted": "warn", "failed": "bad"}.get(status, "")
    badge = f'<span class="badge {kind}">{html.escape(status)}</span>' if status else ""
    about = html.escape(str(run.recipe.get("description") or ""))
    total, done = _total(run), run.updates[-1] if len(run.updates) else 0
    bar = ""
    if total > 0:
        bar = f'<div class="bar"><i style="width:{min(100.0, 100 * done / total):.1f}%"></i></div>'
    return f"<header><h1>{html.escape(run.name)}{badge}</h1><p>{about}</p>{bar}</header>"


def _facts(run: RunData) -> str:
    count = len(run.updates)
    done = run.updates[-1] if count else 0
    total = _total(run)
    loss = smooth(run.column("loss"), _span(count))
    last = next((v for v in reversed(loss) if math.isfinite(v)), math.nan)
    tokens = sum(v for v in run.column("real_tokens") if math.isfinite(v))
    tokens = tokens or sum(v for v in run.column("tokens") if math.isfinite(v))
    seconds = sum(v for v in run.column("step_s") if math.isfinite(v))
    wait = run.median("data_wait_s") / run.median("step_s") if run.median("step_s") else math.nan
    rows = [
        ("update", f"{done:,}", f"of {total:,.0f}" if math.isfinite(total) else ""),
        ("loss, smoothed", number(last), ""),
        ("held-out loss", number(run.last("eval/loss")), ""),
        ("tokens", number(tokens), "padding left out" if run.columns.get("real_tokens") else ""),
        ("time in updates", duration(seconds), ""),
        ("tokens per second", number(run.median("tokens_per_s")), "median"),
        ("of the peak", percent(run.median("mfu")), "MFU, median"),
        ("waiting for data", percent(wait), "of a step"),
        ("memory", f"{run.last('memory_gb'):.1f} GB", "peak"),
        ("updates skipped", f"{len(run.skips):,}", ""),
    ]
    missing = ("none", "nan GB")
    shown = [
        f'<div class="card"><dt>{name}</dt><dd>{html.escape(value)}</dd><small>{note}</small></div>'
        for name, value, note in rows
        if value not in missing
    ]
    return f'<dl class="facts">{"".join(shown)}</dl>'


def _span(count: int) -> float:
    return max(5.0, count / 40)


# --- charts ---------------------------------------------------------------------------------------


def _charts(title: str, figures: Iterable[str]) -> str:
    shown = [figure for figure in figures if figure]
    if not shown:
        return ""
    return f'<h2>{html.escape(title)}</h2><div class="charts">{"".join(shown)}</div>'


def _curve(run: RunData, name: str, label: str, colour: int = 0) -> Series:
    return Series(name=label, x=run.updates, y=run.column(name), colour=colour)


def _smoothed(run: RunData, name: str, label: str, colour: int = 0) -> list[Series]:
    raw = _curve(run, name, "", colour)
    smoothed = smooth(raw.y, _span(len(raw.y)))
    return [
        Series(name="", x=raw.x, y=raw.y, colour=colour, style="faint"),
        Series(name=label, x=raw.x, y=smoothed, colour=colour),
    ]


def _learning(run: RunData, others: Sequence[RunData]) -> list[str]:
    names = _distinct([run, *others])
    loss = _smoothed(run, "loss", names[0] if others else "loss")
    for index, other in enumerate(others, start=2):
        loss += _smoothed(other, "loss", names[index - 1], index)[1:]
    held_out = Series(
        name="held-out", x=run.updates, y=run.column("eval/loss"), colour=1, style="dots"
    )
    norms = _smoothed(run, "grad_norm", "all", 0)
    for index, module in enumerate(_MODULES, start=1):
        norms += _smoothed(run, f"grad_norm/{module}", module, index)[1:]
    note = "Faint: every update. Strong: running mean."
    return [
        line_chart("Loss", [*loss, held_out], note=note, wide=True),
        line_chart("Learning rate", [_curve(run, "lr", "")], floor=0.0),
        line_chart("Gradient norm", norms, note="Before clipping, by module.", log=True),
    ]


def _distinct(runs: Sequence[RunData]) -> list[str]:
    """Names of runs; with their folders where two have the same."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.folder.resolve().name})"
        for name, run in zip(names, runs, strict=True)
    ]


def _speed(run: RunData) -> list[str]:
    layers = [(text, run.column(key)) for key, text in _TIMES if key in run.columns]
    if "step_s" in run.columns and layers:
        parts = [values for _, values in layers]
        rest = [
            max(0.0, step - sum(v for v in known if math.isfinite(v)))
            for step, *known in zip(run.column("step_s"), *parts, strict=True)
        ]
        layers.append(("rest", rest))
    per_gpu = "tokens_per_s_per_gpu"
    rate = _smoothed(run, "tokens_per_s", "all devices")
    if run.last(per_gpu) != run.last("tokens_per_s"):
        rate += _smoothed(run, per_gpu, "per device", 1)
    return [
        line_chart("Tokens per second", rate, floor=0.0),
        line_chart(
            "Share of the bf16 peak (MFU)", _smoothed(run, "mfu", ""), floor=0.0, y_format=percent
        ),
        stacked_chart("Where the time of an update goes", run.updates, layers, y_format=_seconds),
        line_chart("Peak memory, GB", [_curve(run, "memory_gb", "")], floor=0.0),
    ]


def _seconds(value: float) -> str:
    return f"{number(value)} s"


def _packing(run: RunData) -> list[str]:
    imbalance = [
        series
        for index, (key, label) in enumerate(
            (("tokens", "tokens"), ("attn", "attention work"), ("tiles", "tiles"))
        )
        for series in _smoothed(run, f"pack/imbalance_{key}", label, index)[1:]
    ]
    return [
        line_chart("Fill of packs", _smoothed(run, "pack/fill", ""), y_format=percent),
        line_chart(
            "Tokens with loss", _smoothed(run, "pack/loss_tokens_frac", ""), y_format=percent
        ),
        line_chart(
            "Imbalance between ranks", imbalance, note="Largest over mean; 1 is even.", floor=1.0
        ),
        line_chart(
            "Samples per pack",
            _smoothed(run, "pack/segments_max", "most", 1)
            + _smoothed(run, "pack/segments_mean", "mean"),
            floor=0.0,
        ),
        line_chart(
            "Loss weight per rank",
            _smoothed(run, "pack/weight_mass_max", "most", 1)
            + _smoothed(run, "pack/weight_mass_min", "least"),
            floor=0.0,
        ),
        line_chart(
            "Waiting for packs, seconds", [_curve(run, "pack/buffer_wait_s", "")], floor=0.0
        ),
    ]


def _fp8(run: RunData) -> list[str]:
    scales: list[Series] = []
    shares: list[Series] = []
    for name in run.names("fp8/"):
        label = name.removeprefix("fp8/")
        group = shares if "frac" in label or "saturat" in label else scales
        group.append(_curve(run, name, label, len(group)))
    return [
        line_chart("Scales", scales, note="Smallest and largest of a class of tensors.", log=True),
        line_chart("Shares of values", shares, floor=0.0, y_format=percent),
    ]


# --- tables ---------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], style: str = "") -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (
        f'<div class="card scroll {style}"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _sources(run: RunData) -> str:
    names = [n.removeprefix("loss/") for n in run.names("loss/")]
    names += [n for n in sorted(run.source_tokens) if n not in names]
    if not names:
        return ""
    total = sum(run.source_tokens.values())
    rows: list[tuple[str, ...]] = []
    for index, name in enumerate(names):
        losses = run.column(f"loss/{name}")
        finite = [v for v in losses if math.isfinite(v)]
        tokens = run.source_tokens.get(name, 0)
        samples = sum(v for v in run.column(f"samples/{name}") if math.isfinite(v))
        rows.append(
            (
                html.escape(name),
                f"{tokens:,.0f}" if tokens else "",
                percent(tokens / total) if tokens else "",
                f"{samples:,.0f}" if samples else "",
                number(finite[0]) if finite else "",
                number(finite[-1]) if finite else "",
                f"{finite[-1] - finite[0]:+.3f}" if finite else "",
                sparkline(losses, index % COLOURS),
            )
        )
    head: tuple[str, ...] = ("source", "tokens", "share", "samples")
    head += ("first loss", "last loss", "change", "")
    if not any(row[3] for row in rows):
        head, rows = head[:3] + head[4:], [row[:3] + row[4:] for row in rows]
    shown = sorted(names, key=lambda n: -run.source_tokens.get(n, 0))[:COLOURS]
    curves = [_curve(run, f"loss/{n}", n, names.index(n)) for n in shown]
    note = "Running means." + ("" if len(names) <= COLOURS else " The eight largest sources.")
    chart = line_chart("Loss by source", curves, note=note, wide=True)
    gap = '<div style="height:16px"></div>'
    return f'<h2>Sources</h2><div class="charts">{chart}</div>{gap}{_table(head, rows)}'


def _drops(run: RunData) -> str:
    counts: dict[str, dict[str, float]] = {}
    for name in run.names("data/dropped/"):
        reason, _, source = name.removeprefix("data/dropped/").partition("/")
        count = run.last(name)  # counted since the beginning of the stage
        if count > 0:
            counts.setdefault(reason, {})[source or "all"] = count
    if not counts:
        return ""
    sources = sorted({s for row in counts.values() for s in row})
    rows = [
        (
            html.escape(reason),
            f"<b>{sum(row.values()):,.0f}</b>",
            *(f"{row[s]:,.0f}" if s in row else "" for s in sources),
        )
        for reason, row in sorted(counts.items(), key=lambda item: -sum(item[1].values()))
    ]
    return "<h2>Dropped samples</h2>" + _table(("reason", "all", *sources), rows, "narrow")


def _skips(run: RunData) -> str:
    if not run.skips:
        return ""
    newest = list(run.skips.items())[-20:]
    rows = [(f"{update:,}", html.escape(reason)) for update, reason in newest]
    note = "" if len(run.skips) <= 20 else f"<p>The last 20 of {len(run.skips):,}.</p>"
    return f"<h2>Skipped updates</h2>{note}" + _table(("update", "reason"), rows, "narrow")


def _settings(run: RunData) -> str:
    parts = []
    if run.about:
        rows = [
            (html.escape(key), f"<code>{html.escape(text)}</code>")
            for key, text in _flat(run.about)
        ]
        parts.append(_details("Environment", _plain_table(rows)))
    if run.recipe:
        try:
            text = (run.folder / "recipe.yaml").read_text(encoding="utf-8")
        except OSError:
            text = json.dumps(run.recipe, indent=2)
        parts.append(_details("Recipe", f"<pre>{html.escape(text)}</pre>"))
    if not parts:
        return ""
    return f"<h2>Settings</h2>{''.join(parts)}"


def _details(title: str, inside: str) -> str:
    return f'<details class="card"><summary>{title}</summary>{inside}</details>'


def _plain_table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{a}</td><td>{b}</td></tr>" for a, b in rows)
    return f'<div class="scroll"><table><tbody>{body}</tbody></table></div>'


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)))]
    return [(prefix, str(value))]
