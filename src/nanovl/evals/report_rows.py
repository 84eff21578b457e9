"""Rows of a report: a number of ours, the report's beside it, and what answers without a model get.

Chooses the level that counts and says which numbers may be compared. Draws no table.

Source: evaluation specification, sections 1.1, 7.2 and 11.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.modes import Setting
from nanovl.evals.native import CountCheck
from nanovl.evals.paper import (
    Comparable,
    PaperCell,
    comparable,
    explanations,
    other_cells,
    our_cell,
    our_number,
    paper_cells,
    subs_of,
)
from nanovl.evals.registry import Benchmark
from nanovl.evals.scorefiles import PEER, Line
from nanovl.evals.tasks import benchmark_of, named

__all__ = ["LOWER", "Row", "rows_of"]

LOWER = "\u2193"
"""Marks numbers of which the smaller one is better."""

_METRICS = {
    "anls": "ANLS",
    "box_iou": "box IoU",
    "call_equality": "equal calls",
    "cer": "character error rate",
    "field_f1": "field F1",
    "mcq_vanilla": "right options",
    "needles": "needles found",
    "number_match": "right numbers",
    "relaxed_accuracy": "relaxed accuracy",
    "set_match": "right sets",
    "time_iou": "time IoU",
    "word_match": "right words",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours with what stands beside it.

    Attributes:
        benchmark, name: Id and name for people.
        line: Our score at the level that counts.
        sub: Part of the benchmark the number is of.
        score: In percent.
        metric: Its name for people.
        is_error: Whether lower is better.
        extended: The same with nanovl's own extraction.
        ours: The report's number of the released model, in the same mode.
        reason: Why there is no difference, "" when there is one.
        difference: Ours less the report's, where they may be compared.
        others: Numbers of other models.
        peers: Numbers of answers that need no model.
        explained: What a difference may come from.
    """

    benchmark: str
    name: str
    line: Line
    sub: str
    score: float
    extended: float | None
    metric: str = ""
    is_error: bool = False
    ours: PaperCell | None = None
    reason: str = ""
    difference: float | None = None
    others: Sequence[PaperCell] = ()
    peers: Mapping[str, float] = field(default_factory=dict)
    explained: Sequence[str] = ()

    @property
    def label(self) -> str:
        """Name, with the part when it is not the whole benchmark."""
        return self.name if self.sub in ("main", "") else f"{self.name} ({self.sub})"

    @property
    def unit(self) -> str:
        """Metric and unit, with an arrow when lower is better."""
        return f"{self.metric}, %" + (f" {LOWER}" if self.is_error else "")

    @property
    def ranked_peers(self) -> list[tuple[str, float]]:
        """Answers that need no model, the best first."""
        sign = 1 if self.is_error else -1
        return sorted(self.peers.items(), key=lambda pair: (sign * pair[1], pair[0]))

    def is_better(self, score: float) -> bool:
        """Whether the row's score is better than this one."""
        return self.score < score if self.is_error else self.score > score


def rows_of(
    name: str,
    lines: Sequence[Line],
    summary: Mapping[str, Any],
    level: str,
    check: CountCheck | None = None,
) -> list[Row]:
    """The rows of a benchmark, one per setting and printed part.

    Args:
        name: Of the task.
        lines: Its numbers, of one profile.
        summary: What scoring wrote.
        level: Whose number counts; see `nanovl.evals.report.collect`.
        check: Of the files the questions came from.

    Raises:
        InputError: The level was not scored.
    """
    one = benchmark_of(name)
    part = name.partition("/")[2]
    best = float(summary["best"])
    peers = {
        line.setting.removeprefix(PEER): line.score
        for line in lines
        if line.setting.startswith(PEER) and line.level == "extended"
    }
    found = []
    for setting in dict.fromkeys(line.setting for line in lines):
        if setting.startswith(PEER):
            continue
        own = {line.level: line for line in lines if line.setting == setting}
        line = own[_chosen(own, one, level)]
        extended = own["extended"].score if "extended" in own else None
        if one is None:
            found.append(
                Row(
                    benchmark=name,
                    name=named(name),
                    line=line,
                    sub="main",
                    score=line.score,
                    extended=extended,
                    metric=_metric(line),
                    is_error=bool(summary.get("lower_is_better")),
                    peers=peers,
                )
            )
            continue
        allowed = _comparable(one, part, line, int(summary["total"]), check)
        found += _with_paper(one, name, part, line, extended, allowed, best)
    return found


def _comparable(
    one: Benchmark, part: str, line: Line, total: int, check: CountCheck | None
) -> Comparable:
    """Whether a number may stand beside the report's; files and verdicts have a say, too."""
    allowed = comparable(one, line, total=total, part=part)
    if not allowed.yes:
        return allowed
    if check is not None and check.expected not in (None, check.found):
        return Comparable(
            yes=False,
            reason=f"{check.found:,} {check.counted}, the benchmark has {check.expected:,}",
        )
    if line.unscored:
        return Comparable(yes=False, reason=f"{line.unscored:,} answers not scored")
    return allowed


def _with_paper(
    one: Benchmark,
    name: str,
    part: str,
    line: Line,
    extended: float | None,
    allowed: Comparable,
    best: float,
) -> list[Row]:
    cells = paper_cells(one, part)
    setting = Setting.parse(line.setting)
    found = []
    for sub in subs_of(cells, one, part):
        score = our_number(line, sub, part=part, best=best)
        if score is None:
            continue
        ours = our_cell(cells, one, setting, sub)
        difference = None
        if allowed.yes and ours is not None and ours.value is not None:
            difference = score - ours.value
        found.append(
            Row(
                benchmark=name,
                name=named(name),
                line=line,
                sub="main" if sub in (part, "average") else sub,
                score=score,
                extended=extended if score == line.score else None,
                metric=_metric(line),
                ours=ours,
                reason="" if allowed.yes else allowed.reason,
                difference=difference,
                others=other_cells(cells, sub),
                explained=explanations(one, line, setting),
            )
        )
    if found:
        return found
    row = Row(
        benchmark=name,
        name=named(name),
        line=line,
        sub="main",
        score=line.score,
        extended=extended,
        metric=_metric(line),
        reason="the report's part was not scored",
    )
    return [row]


def _chosen(own: Mapping[str, Line], one: Benchmark | None, level: str) -> str:
    """The level whose number counts."""
    if level != "auto":
        if level not in own:
            raise InputError(
                f"level {level!r} was not scored; there are {', '.join(own)}: score again"
            )
        return level
    if "judge" in own and (one is None or one.needs_judge != "no"):
        return "judge"
    exact = one is not None and one.offline_fidelity in ("exact", "exact_rules", "exact_on_val")
    return "rules" if exact or "extended" not in own else "extended"


def _metric(line: Line) -> str:
    return _METRICS.get(line.metric, line.metric.replace("_", " "))
