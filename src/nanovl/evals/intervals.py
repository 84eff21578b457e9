"""How sure a benchmark's number is, from its verdicts: which interval suits which metric.

Formulas are in `nanovl.evals.scoring.statistics`; here is decided what they are applied to. Knows
no benchmark.

Source: evaluation specification, sections 6.15 and 11.2.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from nanovl.core.errors import NanoVLError
from nanovl.evals.base import Metric, Result, Scored
from nanovl.evals.scoring.statistics import (
    Interval,
    bootstrap_interval,
    majority,
    mean_interval,
    wilson,
)

__all__ = ["Interval", "interval_of", "over_runs"]

_RESAMPLES = 200
_CLOSE = 1e-9
_NEAR = 1e-6


def interval_of(
    runs: Mapping[int, Sequence[Scored]],
    results: Mapping[int, Result],
    *,
    rule: Metric,
    percent: float,
    clusters: Mapping[str, str],
) -> Interval | None:
    """The 95 % interval of a score, in percent; None when the metric gives none.

    A mean over questions gets Wilson's interval when its questions are independent rights and
    wrongs of one run, else one that knows what belongs together. A share of groups (circles,
    chains) is taken as a share; for everything else whole clusters are drawn again.

    Args:
        runs: Verdicts by run.
        results: The metric's result of each of them.
        rule: The metric.
        percent: Percent per unit of its score.
        clusters: By sample what it belongs to; a sample that is not named stands alone.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for scored in runs.values():
        for item in scored:
            values[item.sample.id].append(float(item.verdict.value or 0.0))
    ids = list(values)
    means = [statistics.fmean(values[name]) for name in ids]
    owners = [clusters.get(name, name) for name in ids]
    score = statistics.fmean(result.score for result in results.values()) * percent
    count = next(iter(results.values())).num_samples
    right = score / 100.0 * count
    is_share = all(mean in (0.0, 1.0) for mean in means) and 0 <= round(right) <= count
    # Errors such as the character error rate may be larger than 1.
    top = 100.0 if max(means, default=0.0) <= 1.0 and score <= 100.0 else math.inf
    if len(runs) == 1 and count < len(ids) and is_share and abs(right - round(right)) < _NEAR:
        return _times(100.0, wilson(round(right), count), top)
    if abs(100.0 * statistics.fmean(means) - score) < _CLOSE:
        return _times(100.0, mean_interval(means, owners), top)
    first = next(iter(runs.values()))
    if len(runs) == 1:
        try:
            found = bootstrap_interval(
                [0.0] * len(first),
                [clusters.get(item.sample.id, item.sample.id) for item in first],
                resamples=_RESAMPLES,
                statistic=lambda drawn: rule.aggregate([first[i] for i in drawn]).score,
            )
        except (NanoVLError, ZeroDivisionError):  # a draw without a part the metric needs
            return None
        return _times(percent, found, top)
    scores = [result.score * percent for result in results.values()]
    half = 1.96 * statistics.stdev(scores) / len(scores) ** 0.5
    return Interval(score - half, score + half, "runs")


def over_runs(runs: Mapping[int, Sequence[Scored]]) -> dict[str, float]:
    """Further numbers of several runs, 0 to 1: pass@n and majority@n.

    Empty for one run, and for verdicts that are no rights and wrongs.
    """
    if len(runs) < 2:
        return {}
    by_sample: dict[str, list[Scored]] = defaultdict(list)
    for scored in runs.values():
        for item in scored:
            by_sample[item.sample.id].append(item)
    if any(
        (i.verdict.value or 0.0) not in (0.0, 1.0) for found in by_sample.values() for i in found
    ):
        return {}
    some = statistics.fmean(
        any(item.verdict.value == 1.0 for item in found) for found in by_sample.values()
    )
    most = statistics.fmean(_by_majority(found) for found in by_sample.values())
    return {f"pass@{len(runs)}": some, f"majority@{len(runs)}": most}


def _by_majority(found: Sequence[Scored]) -> float:
    """Whether the most frequent answer to a question is right."""
    answers = [None if i.verdict.extracted is None else str(i.verdict.extracted) for i in found]
    chosen = majority(answers)
    if chosen is None:
        return 0.0
    votes = Counter(
        item.verdict.value for item, answer in zip(found, answers, strict=True) if answer == chosen
    )
    return float(votes.most_common(1)[0][0] == 1.0)


def _times(factor: float, interval: Interval, top: float) -> Interval:
    return Interval(
        max(0.0, interval.low * factor), min(top, interval.high * factor), interval.method
    )
