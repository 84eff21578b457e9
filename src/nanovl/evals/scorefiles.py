"""What scoring leaves on disk: verdicts line by line, and the numbers of a benchmark.

Written whole or not at all; a number that was not computed again stays. Computes nothing but
percentiles.

Source: evaluation specification, sections 7.2 and 11.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.cache import replacing
from nanovl.evals.intervals import Interval
from nanovl.evals.requests import Task
from nanovl.evals.runfolder import RunFolder, write_json

__all__ = [
    "PEER",
    "SCORES",
    "SUMMARY",
    "Line",
    "percentile",
    "read_rows",
    "read_summary",
    "scored_lines",
    "write_rows",
    "write_summary",
]

SCORES = "scores.jsonl"
SUMMARY = "summary.json"
PEER = "peer:"
"""Begins the settings of numbers that no model made."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A number of the report.

    Attributes:
        benchmark, setting, profile, level, metric: What it is the number of.
        score: Percent of the best possible; unscored responses count as wrong.
        lenient: The same without them; equal when there are none.
        raw: In the metric's own unit.
        runs: Runs it is the mean of.
        samples: Questions of the benchmark that were asked.
        answered: Responses it is made of.
        items: What the metric counts: questions, circles, problems.
        interval: 95 %, in percent.
        std, se: Over runs, in percent; None for one run.
        unscored: Responses without a verdict.
        decided: Share of responses by the level that decided.
        unparsed: Share of responses no answer was found in.
        groups, parts: Further numbers, in the metric's own unit, mean over runs.
    """

    benchmark: str
    setting: str
    profile: str
    level: str
    metric: str
    score: float
    lenient: float
    raw: float
    runs: int
    samples: int
    answered: int
    items: int
    interval: Interval | None = None
    std: float | None = None
    se: float | None = None
    unscored: int = 0
    decided: Mapping[str, float] = field(default_factory=dict)
    unparsed: float = 0.0
    groups: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every question of every run has an answer."""
        return self.answered == self.samples * self.runs


def scored_lines(folder: RunFolder, benchmark: str) -> list[Line]:
    """The numbers of a benchmark as `score_task` left them.

    Raises:
        InputError: It was not scored yet.
    """
    return [_line_from(entry) for entry in read_summary(folder, benchmark)["lines"]]


def read_summary(folder: RunFolder, benchmark: str) -> dict[str, Any]:
    """`summary.json` of a benchmark.

    Raises:
        InputError: It was not scored yet.
    """
    path = folder.file(benchmark, SUMMARY)
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise InputError(
            f"{folder.path}: {benchmark} was not scored yet; run nanovl eval score first"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], keep: set[str]) -> None:
    """The new verdicts, and those of profiles that were not scored this time."""
    others = [row for row in read_rows(path) if row["profile"] not in keep]
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in (*others, *rows):
                text = json.dumps(row, ensure_ascii=False, default=str)
                file.write(text.encode("utf-8", "replace").decode() + "\n")
            temporary.chmod(0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Verdicts of `scores.jsonl`, none when it was not scored yet.

    Raises:
        InputError: The file is damaged.
    """
    try:
        with path.open("rb") as file:
            return [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); score the run again") from error


def write_summary(
    folder: RunFolder,
    task: Task,
    lines: Sequence[Line],
    settings: Mapping[str, Any],
    profiles: Sequence[str],
    silent: Mapping[str, str],
) -> None:
    path = folder.file(task.id, SUMMARY)
    before: dict[str, Any] = {}
    if path.is_file():
        before = json.loads(path.read_bytes())
    kept = [e for e in before.get("lines", ()) if e["profile"] not in profiles]
    write_json(
        path,
        {
            "format": 1,
            "benchmark": task.id,
            "metric": task.metric,
            "samples": len(task.asked),
            "total": task.total or len(task.samples),
            "best": task.best,
            "lower_is_better": task.lower_is_better,
            "peers_missing": dict(silent),
            "settings": dict(settings),
            "lines": [*kept, *map(_plain, lines)],
        },
    )


def _plain(line: Line) -> dict[str, Any]:
    made = dict(vars(line))
    made["interval"] = None if line.interval is None else vars(line.interval)
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in made.items()}


def _line_from(entry: Mapping[str, Any]) -> Line:
    found = dict(entry)
    interval = found.pop("interval", None)
    return Line(**found, interval=None if interval is None else Interval(**interval))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, between neighbours in proportion."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
