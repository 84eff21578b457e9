"""From verdicts to a benchmark's number: means, groups, and how the verdicts came about.

Every family of metrics here ends in one of these functions, so that unscored responses, decision
levels and groups are counted in one way. It must not know any benchmark.

Source: evaluation specification, sections 6.15 and 7.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from nanovl.core.errors import InputError
from nanovl.evals.base import LEVELS, Result, Scored

__all__ = ["by_category", "decision_shares", "group_means", "mean_result", "require", "values"]


def require(scored: Sequence[Scored], metric: str) -> None:
    """Refuse to average nothing.

    Raises:
        InputError: There are no samples.
    """
    if not scored:
        raise InputError(
            f"metric '{metric}': no responses to average; expected at least one. "
            "Check that the run has answered this benchmark"
        )


def values(scored: Iterable[Scored]) -> list[float]:
    """The value of every verdict; what could not be scored counts 0 (the strict reading)."""
    return [0.0 if item.verdict.value is None else float(item.verdict.value) for item in scored]


def by_category(item: Scored) -> Iterable[str]:
    """The report columns a response counts in: its category, when the file names one."""
    return (item.sample.category,) if item.sample.category else ()


def group_means(
    scored: Sequence[Scored],
    columns: Callable[[Scored], Iterable[str]] = by_category,
    *,
    scale: float = 1.0,
) -> dict[str, float]:
    """Mean per report column, in the order in which the columns first appear.

    Args:
        scored: Responses with verdicts.
        columns: The columns a response counts in; may be several or none.
        scale: What the means are multiplied by (100 for percent).
    """
    found: dict[str, list[float]] = defaultdict(list)
    for item, value in zip(scored, values(scored), strict=True):
        for column in columns(item):
            found[column].append(value)
    return {name: scale * sum(group) / len(group) for name, group in found.items()}


def decision_shares(scored: Sequence[Scored]) -> dict[str, float]:
    """Which share of the responses each level decided, and which share nobody could parse.

    Only shares that are not 0 are given, except `decided_rules`.
    """
    n = len(scored)
    shares = {
        f"decided_{level}": sum(
            item.verdict.value is not None and item.verdict.level == level for item in scored
        )
        / n
        for level in LEVELS
    }
    shares["unparsed"] = sum(item.verdict.detail.get("parsed") is False for item in scored) / n
    shares["proxy"] = sum(item.verdict.detail.get("proxy") is True for item in scored) / n
    return {name: share for name, share in shares.items() if share or name == "decided_rules"}


def mean_result(
    scored: Sequence[Scored],
    metric: str,
    *,
    scale: float = 1.0,
    columns: Callable[[Scored], Iterable[str]] = by_category,
    parts: Mapping[str, float] | None = None,
) -> Result:
    """The mean of all verdicts.

    Unscored responses count as wrong in `score` (strict). When there are some, and others were
    scored, `parts["lenient"]` is the mean without them.

    Args:
        scored: Responses with verdicts.
        metric: Name, for the message when there are none.
        scale: 100 for benchmarks given in percent.
        columns: The columns of the report a response counts in.
        parts: Further numbers of the benchmark.

    Raises:
        InputError: There are no samples.
    """
    require(scored, metric)
    known = [item.verdict.value for item in scored if item.verdict.value is not None]
    unscored = len(scored) - len(known)
    extra = dict(parts or {})
    if unscored and known:
        extra["lenient"] = scale * sum(known) / len(known)
    return Result(
        score=scale * sum(known) / len(scored),
        num_samples=len(scored),
        groups=group_means(scored, columns, scale=scale),
        parts={**extra, **decision_shares(scored)},
        unscored=unscored,
    )
