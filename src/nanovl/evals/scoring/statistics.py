"""How sure a number is: runs, intervals, and comparisons of two models on the same items.

Needs NumPy only; whatever is drawn at random is drawn from a seed.
It must not know what is being measured: numbers in, numbers out.

Source: evaluation specification, sections 6.15 and 11.2. Clustered errors: E. Miller, "Adding
Error Bars to Evals" (2024), equation 4.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nanovl.core.errors import InputError
from nanovl.evals.base import Result, Scored
from nanovl.evals.scoring.student import student_p, student_quantile
from nanovl.evals.scoring.tally import by_category, decision_shares, require

__all__ = [
    "FEW_CLUSTERS",
    "Interval",
    "McNemar",
    "Paired",
    "Runs",
    "bootstrap_interval",
    "clustered_error",
    "majority",
    "mcnemar",
    "mean_error",
    "mean_interval",
    "paired_bootstrap",
    "paired_t_test",
    "pass_at_1",
    "pass_at_k",
    "runs_summary",
    "wilson",
]

FEW_CLUSTERS = 30
"""Below this many clusters the clustered error is too small and a bootstrap is used instead."""

_RESAMPLES = 2000
_DRAWS_AT_ONCE = 4_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """A confidence interval, in the unit of the values.

    Attributes:
        low, high: Its ends.
        method: "wilson", "clustered" or "bootstrap".
    """

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Runs:
    """Several runs over the same problems, in shares of 0 to 1.

    Attributes:
        mean: pass@1: the mean over problems of right runs over runs.
        std: Standard deviation of the runs' accuracies (n - 1); 0 for one run.
        error: `std` over the square root of the number of runs.
        accuracies: Of each run.
    """

    mean: float
    std: float
    error: float
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class Paired:
    """Mean of the differences of two models on the same items.

    Attributes:
        difference: First less second.
        error: Standard error of it.
        p: Probability of a difference at least as large if there were none, two-sided.
        low, high: Confidence interval of the difference.
        t: The t statistic; NaN for a bootstrap.
    """

    difference: float
    error: float
    p: float
    low: float
    high: float
    t: float = math.nan


@dataclass(frozen=True)
class McNemar:
    """Items that only one of two models got right.

    Attributes:
        only_first, only_second: How many.
        p: Exact two-sided binomial probability of a split at least as uneven.
    """

    only_first: int
    only_second: int
    p: float


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _check(values: Sequence[float], *others: Sequence[object], least: int = 1) -> None:
    if len(values) < least:
        raise InputError(f"statistics over {len(values)} values; expected at least {least}")
    for other in others:
        if len(other) != len(values):
            raise InputError(
                f"statistics over the same items: got {len(values)} and {len(other)} values; "
                "expected equally many, in the same order"
            )


# -- Several runs --------------------------------------------------------------------------------


def pass_at_k(n: int, right: int, k: int) -> float:
    """Probability that one of k answers, taken from n without return, is right.

    Args:
        n: Answers to the problem.
        right: How many of them are right.
        k: How many are taken.

    Raises:
        InputError: Not 0 <= right <= n and 1 <= k <= n.
    """
    if not (0 <= right <= n and 1 <= k <= n):
        raise InputError(
            f"pass@{k} with {right} right answers of {n}; expected 0 <= right <= n and 1 <= k <= n"
        )
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def majority(answers: Sequence[T | None]) -> T | None:
    """The most frequent answer that is not empty; the earliest of those equally frequent."""
    counts = Counter(answer for answer in answers if answer not in (None, ""))
    return counts.most_common(1)[0][0] if counts else None


def runs_summary(right: Sequence[Sequence[float]]) -> Runs:
    """Mean and spread over runs.

    Args:
        right: One row per problem, one value of 0 to 1 per run; equally many in each row.

    Raises:
        InputError: There is no problem or no run, or rows differ in length.
    """
    _check([0.0] * len(right))
    _check(right[0], *right[1:])
    accuracies = [_mean([row[run] for row in right]) for run in range(len(right[0]))]
    mean = _mean(accuracies)
    std = _sample_std(accuracies) if len(accuracies) > 1 else 0.0
    return Runs(mean, std, std / math.sqrt(len(accuracies)), tuple(accuracies))


def pass_at_1(scored: Sequence[Scored], metric: str) -> Result:
    """pass@1 of all runs that are among the responses, in percent.

    Args:
        scored: Verdicts of 0 to 1; one per sample and run. Unscored counts 0.
        metric: Name, for the message when there are none.

    Returns:
        Score and groups in percent. With several complete runs `parts` also has their number,
        `std` and `error` in percent, and pass@k for the number of runs.

    Raises:
        InputError: There are no responses.
    """
    require(scored, metric)
    by_sample: dict[str, dict[int, float]] = defaultdict(dict)
    columns: dict[str, set[str]] = defaultdict(set)
    for item in scored:
        by_sample[item.sample.id][item.response.run] = float(item.verdict.value or 0.0)
        for column in by_category(item):
            columns[column].add(item.sample.id)
    means = {name: _mean(list(runs.values())) for name, runs in by_sample.items()}
    parts = decision_shares(scored)
    numbers = {frozenset(runs) for runs in by_sample.values()}
    if len(numbers) == 1 and len(order := sorted(next(iter(numbers)))) > 1:
        summary = runs_summary([[runs[run] for run in order] for runs in by_sample.values()])
        any_right = _mean([float(any(runs.values())) for runs in by_sample.values()])
        parts |= {
            "runs": float(len(order)),
            "std": 100.0 * summary.std,
            "error": 100.0 * summary.error,
            f"pass@{len(order)}": 100.0 * any_right,
        }
    return Result(
        score=100.0 * _mean(list(means.values())),
        num_samples=len(means),
        groups={
            column: 100.0 * _mean([means[name] for name in sorted(names)])
            for column, names in columns.items()
        },
        parts=parts,
        unscored=sum(item.verdict.value is None for item in scored),
    )


# -- Errors and intervals of one mean ------------------------------------------------------------


def _sample_std(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def mean_error(values: Sequence[float]) -> float:
    """Standard error of a mean of independent values.

    Raises:
        InputError: Fewer than two values.
    """
    _check(values, least=2)
    return _sample_std(values) / math.sqrt(len(values))


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Standard error of a mean whose values come in clusters, e.g. questions about one picture.

    Too small with few clusters; see `mean_interval`.

    Args:
        values: One per item.
        clusters: The item's cluster.

    Raises:
        InputError: Fewer than two values, or not one cluster per value.
    """
    _check(values, clusters, least=2)
    mean = _mean(values)
    by_cluster: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        by_cluster[cluster].append(value - mean)
    together = math.fsum(
        math.fsum(apart) ** 2 - math.fsum(x * x for x in apart) for apart in by_cluster.values()
    )
    variance = mean_error(values) ** 2 + together / len(values) ** 2
    return math.sqrt(max(0.0, variance))


def wilson(right: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share, in 0 to 1.

    Raises:
        InputError: Not 0 <= right <= n, or n is 0.
    """
    if not 0 <= right <= n or n == 0:
        raise InputError(f"a share of {right} in {n}; expected 0 <= right <= n and n > 0")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, shrink = right / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if right == 0 else middle - half
    return Interval(low, 1.0 if right == n else middle + half, "wilson")


def _resampled_means(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None,
    resamples: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Mean of the values in clusters drawn with return, once per resample."""
    numbers: dict[Hashable, int] = {}
    names: Sequence[Hashable] = range(len(values)) if clusters is None else clusters
    index = np.array([numbers.setdefault(name, len(numbers)) for name in names])
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    sizes = np.bincount(index)
    generator = np.random.default_rng(seed)
    found = np.empty(resamples)
    at_once = max(1, _DRAWS_AT_ONCE // len(sizes))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = generator.integers(0, len(sizes), size=(count, len(sizes)))
        found[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return found


def bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
    statistic: Callable[[Sequence[int]], float] | None = None,
) -> Interval:
    """Percentile interval from resampled clusters.

    Args:
        values: One per item.
        clusters: The item's cluster; None when items are independent.
        confidence: Share of resamples inside.
        resamples: How many.
        seed: Of the draws; the same seed gives the same interval.
        statistic: For numbers that are no mean: from the positions of the drawn items to the
            number. One call per resample. None is the mean of the values.

    Raises:
        InputError: No values, or not one cluster per value.
    """
    _check(values, *([] if clusters is None else [clusters]))
    if statistic is None:
        means = _resampled_means(values, clusters, resamples, seed)
    else:
        members: dict[Hashable, list[int]] = defaultdict(list)
        for position in range(len(values)):
            members[position if clusters is None else clusters[position]].append(position)
        blocks = list(members.values())
        generator = np.random.default_rng(seed)
        means = np.array(
            [
                statistic([i for block in drawn for i in blocks[block]])
                for drawn in generator.integers(0, len(blocks), size=(resamples, len(blocks)))
            ]
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high), "bootstrap")


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The interval that suits a mean.

    Wilson's for rights and wrongs that are independent; from the clustered error with at least
    `FEW_CLUSTERS` clusters; otherwise from a bootstrap, over clusters if there are any.

    Args:
        values: One per item.
        clusters: The item's cluster; None when items are independent.
        confidence: Of the interval.
        seed: Of the bootstrap.

    Raises:
        InputError: No values, or not one cluster per value.
    """
    _check(values, *([] if clusters is None else [clusters]))
    alone = clusters is None or len(set(clusters)) == len(values)
    if alone and all(value in (0, 1) for value in values):
        return wilson(round(sum(values)), len(values), confidence=confidence)
    if not alone and clusters is not None and len(set(clusters)) >= FEW_CLUSTERS:
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * clustered_error(values, clusters)
        mean = _mean(values)
        return Interval(mean - half, mean + half, "clustered")
    return bootstrap_interval(values, clusters, confidence=confidence, seed=seed)


# -- Two models on the same items ----------------------------------------------------------------


def paired_t_test(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Paired:
    """Student's test of the differences.

    Raises:
        InputError: Fewer than two items, or not equally many.
    """
    _check(first, second, least=2)
    apart = [a - b for a, b in zip(first, second, strict=True)]
    difference, error = _mean(apart), mean_error(apart)
    freedom = len(apart) - 1
    if error == 0.0:
        t = math.copysign(math.inf, difference) if difference else 0.0
        return Paired(difference, 0.0, 0.0 if difference else 1.0, difference, difference, t)
    t = difference / error
    half = student_quantile(0.5 + confidence / 2, freedom) * error
    return Paired(difference, error, student_p(t, freedom), difference - half, difference + half, t)


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Interval of the difference from resampled clusters of items.

    `p` is twice the share of resamples on the other side of 0 (ties count half), and at least one
    over the number of resamples.

    Raises:
        InputError: No items, or not equally many.
    """
    _check(first, second, *([] if clusters is None else [clusters]))
    apart = [a - b for a, b in zip(first, second, strict=True)]
    drawn = _resampled_means(apart, clusters, resamples, seed)
    below = float(np.mean(drawn < 0) + np.mean(drawn == 0) / 2)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Paired(
        difference=_mean(apart),
        error=float(np.std(drawn, ddof=1)) if resamples > 1 else 0.0,
        p=max(1.0 / resamples, min(1.0, 2 * min(below, 1 - below))),
        low=float(low),
        high=float(high),
    )


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Exact test of rights and wrongs of two models.

    Raises:
        InputError: No items, or not equally many.
    """
    _check(first, second)
    only_first = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    only_second = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    n, fewer = only_first + only_second, min(only_first, only_second)
    ways = term = 1
    for i in range(fewer):
        term = term * (n - i) // (i + 1)
        ways += term
    return McNemar(only_first, only_second, min(1.0, 2 * ways / 2**n))
