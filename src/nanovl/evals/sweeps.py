"""What changes when one thing is varied: reasoning budget, pruning rate, tiling, precision, stage.

A sweep is a run with several settings, or several runs; here are the settings to ask and the tables
and pictures made of what was scored. Asks and scores nothing itself.

Source: evaluation specification, sections 2.3, 2.4 and 13.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Response
from nanovl.evals.modes import MODES, UNRESTRICTED, Setting, budget_mode
from nanovl.evals.plots import Series, line_chart
from nanovl.evals.runfolder import RunFolder, answered_of, read_log
from nanovl.evals.scorefiles import PEER, Line, percentile, read_summary, scored_lines
from nanovl.evals.speed import Speed
from nanovl.evals.tables import Cell, Table

__all__ = [
    "Sweep",
    "Thinking",
    "budget_settings",
    "budget_stop",
    "budget_sweep",
    "evs_sweep",
    "option_settings",
    "option_sweep",
    "runs_table",
    "thinking_of",
]

IMAGE_MODES = ("tiles", "native", "tiling-size-matching")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep shows.

    Attributes:
        name: "budget", "evs", "tiling", "precision" or "stages".
        tables: Its numbers.
        charts: SVG figures.
    """

    name: str
    tables: Sequence[Table]
    charts: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """How long a model thought under a budget.

    Attributes:
        answers: Responses counted.
        mean, p95: Reasoning tokens; None where nobody counted them.
        newline, grace: Share of responses whose thinking was ended at a line break, or anywhere.
        truncated: Share of responses that were cut off.
    """

    answers: int
    mean: float | None
    p95: float | None
    newline: float
    grace: float
    truncated: float


# --- settings -----------------------------------------------------------------------------------


def budget_settings(budgets: Iterable[int]) -> list[Setting]:
    """One setting per reasoning budget; 0 is off, 16,384 no budget.

    Raises:
        ConfigError: A budget twice, or a negative one.
    """
    return _distinct([Setting(mode=budget_mode(budget)) for budget in budgets])


def option_settings(name: str, values: Iterable[Any], mode: str = "mm_off") -> list[Setting]:
    """One setting per value of an option.

    Args:
        name: "pruning_rate", "max_tiles" or "image_mode".
        values: Of the option.
        mode: Id of the mode.

    Raises:
        ConfigError: A value twice, or one that cannot be.
    """
    found = []
    for value in values:
        if name == "image_mode" and value not in IMAGE_MODES:
            raise ConfigError(f"image_mode {value!r}: expected one of {', '.join(IMAGE_MODES)}")
        found.append(Setting(mode=MODES[mode], options={name: value}))
    return _distinct(found)


def _distinct(settings: list[Setting]) -> list[Setting]:
    for label, count in Counter(s.label for s in settings).items():
        if count > 1:
            raise ConfigError(f"sweep: {label} is named {count} times; every point is asked once")
    if not settings:
        raise ConfigError("sweep: there are no points; name at least one value")
    return settings


# --- reasoning budget ---------------------------------------------------------------------------


def budget_stop(response: Response, setting: Setting) -> str:
    """How thinking ended: "newline" or "grace" when the budget ended it, else "".

    The closing text counts as reasoning, so thinking that was ended at a line break has at least as
    many tokens as the budget, and thinking that was ended anywhere as many as budget and grace.
    """
    mode = setting.mode
    tokens = (response.meta.get("tokens") or {}).get("reasoning")
    if mode.budget is None or tokens is None or response.unfinished:
        return ""
    if tokens >= mode.budget + mode.grace:
        return "grace"
    return "newline" if tokens >= mode.budget else ""


def thinking_of(responses: Sequence[Response], setting: Setting) -> Thinking:
    """Reasoning tokens and forced ends of some responses.

    Raises:
        InputError: There are none.
    """
    if not responses:
        raise InputError(f"{setting.label}: no responses to count")
    counted = [
        float(r.meta["tokens"]["reasoning"])
        for r in responses
        if (r.meta.get("tokens") or {}).get("reasoning") is not None
    ]
    ends = Counter(budget_stop(r, setting) for r in responses)
    return Thinking(
        answers=len(responses),
        mean=statistics.fmean(counted) if counted else None,
        p95=percentile(counted, 95) if counted else None,
        newline=ends["newline"] / len(responses),
        grace=ends["grace"] / len(responses),
        truncated=sum(r.finish_reason == "length" for r in responses) / len(responses),
    )


def budget_sweep(folder: RunFolder, budgets: Sequence[int], *, level: str = "rules") -> Sweep:
    """Scores and reasoning by budget (Figure 3).

    Args:
        folder: Scored run with the settings of `budget_settings`.
        budgets: Its points.
        level: Whose verdicts.
    """
    settings = budget_settings(budgets)
    places = [_budget_name(b) for b in budgets]
    rows: list[list[Cell]] = []
    lines: list[Series] = []
    errors = _errors(folder)
    for name in folder.benchmarks():
        scored = _by_setting(folder, name, level)
        responses = _responses(folder, name)
        values: list[float | None] = []
        for place, setting in zip(places, settings, strict=True):
            line = scored.get(setting.label)
            values.append(None if line is None else line.score)
            if line is None:
                continue
            found = thinking_of(responses[setting.label], setting)
            rows.append(
                [
                    name,
                    place,
                    line.score,
                    *_ends(line),
                    found.mean,
                    found.p95,
                    100 * found.newline,
                    100 * found.grace,
                    100 * found.truncated,
                ]
            )
        lines.append(_budget_line(name, values, settings, name in errors))
    table = Table(
        title="Reasoning budget",
        columns=(
            "benchmark", "budget", "score", "low", "high", "reasoning tokens", "95th percentile",
            "ended at newline %", "ended by grace %", "truncated %",
        ),
        rows=rows,
        notes=(
            "Budget 0 is reasoning off (greedy, 1,024 tokens), 16,384 no budget; grace "
            f"{settings[-1].mode.grace} tokens; at most {UNRESTRICTED:,} tokens in all.",
            "The report's Figure 3 has no readable numbers; these are ours alone.",
        ),
    )  # fmt: skip
    return Sweep(
        name="budget",
        tables=[table],
        charts=_charts("by reasoning budget", places, lines, errors),
    )


def _errors(folder: RunFolder) -> set[str]:
    """Benchmarks of a scored run whose number is an error: lower is better."""
    return {n for n in folder.benchmarks() if read_summary(folder, n).get("lower_is_better")}


def _charts(
    title: str, places: Sequence[str], lines: Sequence[Series], errors: Collection[str]
) -> list[str]:
    """Scores and errors in charts of their own: up is good in one and bad in the other."""
    kinds = {
        f"Scores {title}": [line for line in lines if line.name not in errors],
        f"Errors {title} (lower is better)": [line for line in lines if line.name in errors],
    }
    return [line_chart(name, places, own, "%") for name, own in kinds.items() if own]


def _budget_line(
    name: str, values: list[float | None], settings: Sequence[Setting], lower: bool
) -> Series:
    """A star at the best value with reasoning on, a dashed line at budget 0."""
    sign = -1 if lower else 1
    on = [
        (value, place)
        for place, (value, setting) in enumerate(zip(values, settings, strict=True))
        if value is not None and setting.mode.reasoning == "on"
    ]
    off = [
        value
        for value, setting in zip(values, settings, strict=True)
        if setting.mode.reasoning == "off"
    ]
    best = max(on, key=lambda pair: (sign * pair[0], -pair[1]))[1] if on else None
    return Series(name=name, values=values, star=best, level=off[0] if off else None)


def _budget_name(budget: int) -> str:
    if budget >= UNRESTRICTED:
        return f"{UNRESTRICTED:,}"
    return f"{budget // 1024}K" if budget and budget % 1024 == 0 else f"{budget:,}"


# --- pruning ------------------------------------------------------------------------------------


def evs_sweep(
    folder: RunFolder | None,
    rates: Sequence[float],
    speeds: Sequence[Speed] = (),
    *,
    level: str = "rules",
    paper: Sequence[Mapping[str, Any]] = (),
    hardware: str = "",
) -> Sweep:
    """Accuracy and speed by pruning rate (Figure 4).

    Args:
        folder: Scored run with the settings of `option_settings("pruning_rate", rates)`.
        rates: Its points.
        speeds: What was measured.
        level: Whose verdicts.
        paper: Rows of the report's figure: `pruned` (rate) and its columns.
        hardware: What was measured on.
    """
    tables, charts = [], []
    places = ["off" if rate == 0 else f"{100 * rate:g} %" for rate in rates]
    if folder is not None:
        settings = option_settings("pruning_rate", rates)
        names = folder.benchmarks()
        scored = {name: _by_setting(folder, name, level) for name in names}
        rows: list[list[Cell]] = []
        for place, setting in zip(places, settings, strict=True):
            cells: list[Cell] = [place]
            for name in names:
                line = scored[name].get(setting.label)
                cells += [None, None, None] if line is None else [line.score, *_ends(line)]
            rows.append(cells)
        heads = [h for name in names for h in (name, "low", "high")]
        tables.append(Table(title="Scores by pruning rate", columns=("pruned", *heads), rows=rows))
        series = [
            Series(
                name=name,
                values=[
                    scored[name][s.label].score if s.label in scored[name] else None
                    for s in settings
                ],
            )
            for name in names
        ]
        charts += _charts("by pruning rate", places, series, _errors(folder))
    if speeds:
        tables.append(_speed_table(speeds, hardware))
        charts += _speed_charts(speeds)
    if paper:
        columns = list(dict.fromkeys(name for row in paper for name in row))
        tables.append(
            Table(
                title="The report's Figure 4",
                columns=columns,
                rows=[[row.get(name) for name in columns] for row in paper],
                notes=("Measured on other hardware; concurrency is not stated there.",),
            )
        )
    return Sweep(name="evs", tables=tables, charts=charts)


def _speed_table(speeds: Sequence[Speed], hardware: str) -> Table:
    rows: list[list[Cell]] = [
        [
            s.concurrency,
            "off" if s.pruning_rate == 0 else f"{100 * s.pruning_rate:g} %",
            s.ttft_mean_ms,
            s.ttft_median_ms,
            s.ttft_p99_ms,
            s.spread.get("ttft_mean_ms"),
            s.tpot_ms,
            s.tokens_per_s,
            s.spread.get("tokens_per_s"),
            s.requests,
            s.failed,
        ]
        for s in speeds
    ]
    return Table(
        title="Speed by pruning rate",
        columns=(
            "concurrent", "pruned", "TTFT ms", "median", "p99", "spread", "TPOT ms", "tokens/s",
            "spread", "requests", "failed",
        ),
        rows=rows,
        notes=(
            "Medians of the repeats and their spread (largest less smallest); tokens/s is answer "
            "tokens of all requests over the time from the first request to the last token.",
            *((f"Hardware: {hardware}",) if hardware else ()),
        ),
    )  # fmt: skip


def _speed_charts(speeds: Sequence[Speed]) -> list[str]:
    charts = []
    rates = sorted({s.pruning_rate for s in speeds})
    places = ["off" if rate == 0 else f"{100 * rate:g} %" for rate in rates]
    for title, name, unit in (
        ("Time to first token", "ttft_mean_ms", "ms"),
        ("Throughput", "tokens_per_s", "tokens/s"),
    ):
        series = []
        for parallel in sorted({s.concurrency for s in speeds}):
            own = {s.pruning_rate: getattr(s, name) for s in speeds if s.concurrency == parallel}
            series.append(
                Series(name=f"{parallel} at a time", values=[own.get(rate) for rate in rates])
            )
        charts.append(line_chart(title, places, series, unit))
    return charts


# --- tiling, precision, stages ------------------------------------------------------------------


def option_sweep(
    folder: RunFolder, name: str, values: Sequence[Any], *, level: str = "rules"
) -> Sweep:
    """Scores by an option of the input (Table 7: `image_mode`).

    Args:
        folder: Scored run with the settings of `option_settings(name, values)`.
        name: Of the option.
        values: Its points.
        level: Whose verdicts.
    """
    settings = option_settings(name, values)
    found = {
        benchmark: {
            str(value): line
            for value, setting in zip(values, settings, strict=True)
            if (line := _by_setting(folder, benchmark, level).get(setting.label)) is not None
        }
        for benchmark in folder.benchmarks()
    }
    labels = [str(value) for value in values]
    return _side_by_side("tiling", f"by {name}", labels, found, _errors(folder))


def runs_table(
    name: str,
    runs: Mapping[str, RunFolder],
    *,
    setting: str,
    level: str = "rules",
    profile: str = "default",
    paper: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Sweep:
    """Scores of several runs side by side: stages (Tables 4 and 6), precisions (Table 8).

    Args:
        name: "stages" or "precision".
        runs: By label, scored.
        setting: Whose numbers.
        level, profile: Whose verdicts.
        paper: The report's numbers by benchmark and label, for a column beside ours.

    Raises:
        InputError: A run was not scored.
    """
    found: dict[str, dict[str, Line]] = {}
    errors: set[str] = set()
    for label, folder in runs.items():
        errors |= _errors(folder)
        for benchmark in folder.benchmarks():
            line = _by_setting(folder, benchmark, level, profile).get(setting)
            if line is not None:
                found.setdefault(benchmark, {})[label] = line
    return _side_by_side(name, f"by {name}, {setting}", list(runs), found, errors, paper)


def _side_by_side(
    name: str,
    title: str,
    labels: Sequence[str],
    found: Mapping[str, Mapping[str, Line]],
    errors: Collection[str],
    paper: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Sweep:
    rows: list[list[Cell]] = []
    sums: dict[str, list[float]] = {}
    for benchmark, lines in found.items():
        cells: list[Cell] = [benchmark]
        for label in labels:
            line = lines.get(label)
            cells.append(None if line is None else line.score)
            if paper is not None:
                cells.append((paper.get(benchmark) or {}).get(label))
            if line is not None and len(lines) == len(labels) and benchmark not in errors:
                sums.setdefault(label, []).append(line.score)
        halves = [
            (line.interval.high - line.interval.low) / 2 for line in lines.values() if line.interval
        ]
        rows.append([*cells, max(halves, default=None)])
    heads = [h for label in labels for h in ((label, "report") if paper is not None else (label,))]
    if sums:
        average: list[Cell] = ["average"]
        for label in labels:
            average.append(statistics.fmean(sums[label]) if label in sums else None)
            average += [None] if paper is not None else []
        rows.append([*average, None])
    table = Table(
        title=f"Scores {title}",
        columns=("benchmark", *heads, "95 % half-width"),
        rows=rows,
        digits=2,
        notes=(
            "The average is over benchmarks that every column has, errors left out. Differences "
            "smaller than the half-width are no differences; compare runs on the same items with "
            "nanovl eval compare.",
            *((f"Errors, lower is better: {', '.join(sorted(errors))}.",) if errors else ()),
        ),
    )
    series = [
        Series(name=b, values=[lines[x].score if x in lines else None for x in labels])
        for b, lines in found.items()
    ]
    return Sweep(name=name, tables=[table], charts=_charts(title, labels, series, errors))


# --- reading ------------------------------------------------------------------------------------


def _by_setting(
    folder: RunFolder, benchmark: str, level: str, profile: str = "default"
) -> dict[str, Line]:
    return {
        line.setting: line
        for line in scored_lines(folder, benchmark)
        if line.level == level and line.profile == profile and not line.setting.startswith(PEER)
    }


def _responses(folder: RunFolder, benchmark: str) -> dict[str, list[Response]]:
    found: dict[str, list[Response]] = {}
    for line in read_log(folder.responses(benchmark)):
        response, _ = answered_of(line)
        if response is not None:
            found.setdefault(line["setting"], []).append(response)
    return found


def _ends(line: Line) -> tuple[Cell, Cell]:
    return (None, None) if line.interval is None else (line.interval.low, line.interval.high)
