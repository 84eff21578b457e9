"""The bars of the local suite: which tasks reach what they must, and what they aim at.

Bars belong to the tasks and gains of `nanovl.evals.mini_suite`; here they meet the scores. Draws no
table and scores nothing.

Source: the local suite's targets (evaluation issue).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nanovl.evals.mini_suite import GAINS, TASKS
from nanovl.evals.report_rows import Row

__all__ = ["Bar", "bars_of"]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A score beside its bars.

    Attributes:
        id, title: Of the task or gain.
        unit: Metric and unit.
        score, must, aim: In percent; None for a bar there is not.
        is_error: Whether lower is better.
        asked, total: Questions it is made of, and those of the whole task.
    """

    id: str
    title: str
    unit: str
    score: float
    must: float | None
    aim: float | None
    is_error: bool
    asked: int
    total: int

    @property
    def reached(self) -> Literal["aim", "must", "none"]:
        """The highest bar that is met."""
        if self.aim is not None and self._meets(self.aim):
            return "aim"
        return "must" if self.must is not None and self._meets(self.must) else "none"

    def _meets(self, bar: float) -> bool:
        return self.score <= bar if self.is_error else self.score >= bar


def bars_of(rows: Sequence[Row], summaries: Mapping[str, Mapping[str, Any]]) -> list[Bar]:
    """Every task with a bar that was scored, then the gains whose two tasks were.

    Args:
        rows: Of the report; the first row of a task counts.
        summaries: By task, for the number of questions and the unit of the score.
    """
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.benchmark, row)
    found = []
    for task in TASKS:
        own = first.get(task.id)
        if own is None or (task.must is None and task.aim is None):
            continue
        summary = summaries[task.id]
        percent = 100.0 / float(summary["best"])
        found.append(
            Bar(
                id=task.id,
                title=task.title,
                unit=own.unit,
                score=own.score,
                must=_times(task.must, percent),
                aim=_times(task.aim, percent),
                is_error=task.is_error,
                asked=int(summary["samples"]),
                total=int(summary["total"]),
            )
        )
    for gain in GAINS:
        better, worse = first.get(gain.better), first.get(gain.worse)
        if better is None or worse is None:
            continue
        summary = summaries[gain.better]
        percent = 100.0 / float(summary["best"])
        found.append(
            Bar(
                id=gain.id,
                title=gain.title,
                unit=f"difference of {better.metric}, points",
                score=better.score - worse.score,
                must=_times(gain.must, percent),
                aim=_times(gain.aim, percent),
                is_error=False,
                asked=int(summary["samples"]),
                total=int(summary["total"]),
            )
        )
    return found


def _times(bar: float | None, percent: float) -> float | None:
    return None if bar is None else round(bar * percent, 9)
