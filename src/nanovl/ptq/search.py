"""The best mix of formats that fits a number of bytes.

Every group of linears takes one format; the sum of what the formats cost in accuracy is made as
small as the bytes allow. Knows sizes and scores, no model: who measures passes the numbers in.

One table answers every budget: cell c of row g holds the lowest score that the first g groups
reach with c units more than their smallest formats.

Letters: g groups, c cells.

Source: quantization specification, section 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanovl.core.errors import ConfigError
from nanovl.ptq.results import Mixture

__all__ = ["bisect", "frontier", "group_names", "monotone", "solve", "solve_bits"]

# Cells of the table at most; the 12B model needs 385,000 for an exact answer.
_CELLS = 1 << 19
_QKV = ("q_proj", "k_proj", "v_proj")

Sizes = Mapping[str, Mapping[str, int]]
Scores = Mapping[str, Mapping[str, float]]


def group_names(linears: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Which linears share one format: q, k and v of an attention; every other one is alone.

    Args:
        linears: Module names.

    Returns:
        Group -> its linears, both in the order given. Attention groups end in "qkv_proj", the
        others have the name of their linear.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for name in linears:
        parent, dot, leaf = name.rpartition(".")
        group = f"{parent}{dot}qkv_proj" if leaf in _QKV else name
        groups[group] = (*groups.get(group, ()), name)
    return groups


def monotone(scores: Mapping[str, float], nbytes: Mapping[str, int]) -> dict[str, float]:
    """Scores of one group, raised where a cheaper format beats a costlier one.

    Such an order is noise of the measurement; taken at its word it would let the search believe
    that fewer bits are better.

    Args:
        scores: Format -> nats per token. "bf16" may be missing; it costs nothing.
        nbytes: Format -> bytes; says which formats are asked for.

    Returns:
        Format -> score, costliest first; none is below that of a format of more bytes.

    Raises:
        ConfigError: A format has no score, or one that is not finite.
    """
    result: dict[str, float] = {}
    for name in sorted(nbytes, key=lambda f: (-nbytes[f], f)):
        score = scores.get(name, 0.0 if name == "bf16" else math.nan)
        if not math.isfinite(score):
            found = scores.get(name, "none")
            raise ConfigError(
                f"score of format {name!r}: expected a finite number of nats per token, got "
                f"{found}; measure it again or leave the format out"
            )
        costlier = (result[f] for f in result if nbytes[f] > nbytes[name])
        result[name] = max([score, *costlier])
    return result


def solve(groups: Sizes, scores: Scores, budget_bytes: int) -> Mixture:
    """The mixture with the lowest sum of scores among those that fit.

    Among equally good ones the smallest is taken, and the same one every time.

    Args:
        groups: Group -> format -> bytes.
        scores: Group -> format -> nats per token; made monotone first.
        budget_bytes: Bytes of all groups together at most.

    Raises:
        ConfigError: Nothing fits; says what the smallest size is.
    """
    choices = _choices(groups, scores)
    smallest = sum(c.nbytes[0] for c in choices)
    if budget_bytes < smallest:
        raise ConfigError(
            f"no mixture fits {budget_bytes:,} bytes: the smallest formats of all "
            f"{len(choices)} groups take {smallest:,}; allow at least that, or offer smaller "
            "formats"
        )
    largest = _largest(choices)
    if largest.nbytes <= budget_bytes:
        return largest
    return _Table(choices, budget_bytes).best(budget_bytes)


def solve_bits(groups: Sizes, scores: Scores, weights: int, bits: float) -> Mixture:
    """As `solve`, with the budget in bits per weight, scales included.

    Args:
        groups, scores: As in `solve`.
        weights: Number of weights of all groups.
        bits: Such as 5.4.

    Raises:
        ConfigError: Nothing fits; says how many bits the smallest mixture takes.
    """
    smallest = sum(min(sizes.values()) for sizes in groups.values())
    budget = math.floor(bits * weights / 8 + 1e-6)  # 5.4 * 10 / 8 is a little below 6.75
    if budget < smallest:
        least = math.ceil(smallest * 8e4 / weights) / 1e4
        raise ConfigError(
            f"no mixture has {bits:g} bits per weight: the smallest formats take {least:g} "
            f"({smallest:,} bytes for {weights:,} weights); allow at least {least:g} bits"
        )
    return solve(groups, scores, budget)


def frontier(groups: Sizes, scores: Scores, steps: int) -> tuple[Mixture, ...]:
    """The curve of size against loss: the best mixtures of evenly spaced sizes.

    Args:
        groups, scores: As in `solve`.
        steps: Budgets between the smallest and the largest size, both included; 2 or more.

    Returns:
        By size; every mixture loses less than all smaller ones.

    Raises:
        ConfigError: Fewer than two steps.
    """
    if steps < 2:
        raise ConfigError(f"steps {steps}: a curve needs its two ends, give 2 or more")
    choices = _choices(groups, scores)
    last = _largest(choices)
    first = sum(c.nbytes[0] for c in choices)
    table = _Table(choices, last.nbytes)
    curve: list[Mixture] = []
    for step in range(steps):
        budget = first + (last.nbytes - first) * step // (steps - 1)
        mixture = last if step == steps - 1 else table.best(budget)
        if not curve or mixture.predicted < curve[-1].predicted:
            curve.append(mixture)
    return tuple(curve)


def bisect(
    measure: Callable[[int], float], curve: Sequence[Mixture], limit: float, *, offset: int = 0
) -> int:
    """The smallest mixture whose measured divergence is within a limit.

    Halves the curve, so that few mixtures are measured. Measured values need not fall with size:
    whatever is returned was measured and is within the limit. Where they do not, a mixture that
    was passed over may be smaller. When even the largest one is over the limit, the others are
    tried from large to small.

    Args:
        measure: Number of a mixture -> nats per token; asked once for each. NaN is over any limit.
        curve: By size.
        limit: Largest divergence.
        offset: Number of the first mixture of `curve`.

    Returns:
        Number of the mixture, counted from `offset`.

    Raises:
        ConfigError: Every mixture was measured and none is within the limit.
    """
    measured: dict[int, float] = {}

    def fits(index: int) -> bool:
        if index not in measured:
            measured[index] = measure(offset + index)
        return measured[index] <= limit

    high = len(curve) - 1
    while high >= 0 and not fits(high):
        high -= 1
    if high < 0:
        known = [value for value in measured.values() if not math.isnan(value)]
        best = f"{min(known):.4g}" if known else "nothing finite"
        raise ConfigError(
            f"no mixture diverges by {limit:g} nats per token or less: {len(curve)} were measured "
            f"and the best reaches {best}; allow more, or offer formats of more bits"
        )
    low = -1  # over the limit, or before the curve
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return offset + high


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """One group: formats from few bytes to many, without those that are no better than a smaller
    one."""

    group: str
    formats: tuple[str, ...]
    nbytes: tuple[int, ...]
    scores: tuple[float, ...]


def _choices(groups: Sizes, scores: Scores) -> list[_Choice]:
    if not groups:
        raise ConfigError("no group of linears to choose formats for")
    choices = []
    for group, sizes in groups.items():
        if not sizes:
            raise ConfigError(f"{group}: no format to choose from")
        try:
            raised = monotone(scores.get(group, {}), sizes)
        except ConfigError as error:
            raise ConfigError(f"{group}: {error}") from error
        kept: list[str] = []
        for name in sorted(sizes, key=lambda f: (sizes[f], raised[f], f)):
            if not kept or raised[name] < raised[kept[-1]]:
                kept.append(name)
        choices.append(
            _Choice(
                group,
                tuple(kept),
                tuple(sizes[f] for f in kept),
                tuple(raised[f] for f in kept),
            )
        )
    return choices


def _mixture(choices: Sequence[_Choice], picks: Sequence[int]) -> Mixture:
    pairs = list(zip(choices, picks, strict=True))
    return Mixture(
        formats={c.group: c.formats[p] for c, p in pairs},
        nbytes=sum(c.nbytes[p] for c, p in pairs),
        predicted=math.fsum(c.scores[p] for c, p in pairs),
    )


def _largest(choices: Sequence[_Choice]) -> Mixture:
    """The lowest score there is, in the fewest bytes."""
    return _mixture(choices, [len(c.formats) - 1 for c in choices])


class _Table:
    """Lowest scores by size, for all budgets up to one.

    Sizes are counted in units above the smallest mixture and rounded up, so that a mixture never
    takes more bytes than its cell says. Where the unit divides all sizes the answer is exact.
    """

    def __init__(self, choices: Sequence[_Choice], most_bytes: int) -> None:
        self._choices = choices
        self._base = sum(c.nbytes[0] for c in choices)
        extra = [[b - c.nbytes[0] for b in c.nbytes] for c in choices]
        self._unit = _unit(extra)
        self._cost = [[-(-b // self._unit) for b in row] for row in extra]
        # What rounding up may add to a mixture at most, in cells.
        waste = sum(
            max(u * self._unit - b for u, b in zip(units, row, strict=True))
            for units, row in zip(self._cost, extra, strict=True)
        )
        self._slack = -(-waste // self._unit)
        most = sum(row[-1] for row in self._cost)
        cells = min(most, (most_bytes - self._base) // self._unit + self._slack) + 1
        best: NDArray[np.float64] = np.full(cells, np.inf)
        best[0] = 0.0
        self._picks: list[NDArray[np.int8]] = []
        for choice, row in zip(choices, self._cost, strict=True):
            best, pick = _add(best, choice.scores, row)
            self._picks.append(pick)
        # Lowest score at or below every cell, and the first cell that has it.
        lowest = np.minimum.accumulate(best)
        first = np.zeros(cells, np.int64)
        first[1:] = np.where(best[1:] < lowest[:-1], np.arange(1, cells), 0)
        self._first = np.maximum.accumulate(first)

    def best(self, budget_bytes: int) -> Mixture:
        """The best mixture of at most so many bytes; there must be one.

        A mixture may need fewer bytes than its cell says, so the search begins above the budget
        and takes the first that really fits.
        """
        cell = (budget_bytes - self._base) // self._unit + self._slack
        cell = min(cell, len(self._first) - 1)
        while True:
            found = self._at(int(self._first[cell]))
            if found.nbytes <= budget_bytes:
                return found
            cell = int(self._first[cell]) - 1  # all cells between hold the same mixture

    def _at(self, cell: int) -> Mixture:
        picks = []
        for pick, row in zip(reversed(self._picks), reversed(self._cost), strict=True):
            picks.append(int(pick[cell]))
            cell -= row[picks[-1]]
        assert cell == 0
        return _mixture(self._choices, picks[::-1])


def _add(
    best: NDArray[np.float64], scores: Sequence[float], cost: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """One more group: lowest scores with it (c,), and its format there (c,)."""
    total = best + scores[0]
    pick = np.zeros(len(best), np.int8)
    for number in range(1, len(scores)):
        shift = cost[number]
        if shift >= len(best):
            break
        with_it = best[: len(best) - shift] + scores[number]
        better = with_it < total[shift:]
        total[shift:][better] = with_it[better]
        pick[shift:][better] = number
    return total, pick


def _unit(extra: Sequence[Sequence[int]]) -> int:
    """Bytes of a cell: the finest that keeps the table small.

    Scales of a few bytes spoil the common divisor of large sizes, so sizes are rounded up to
    powers of two first, the smallest that helps.
    """
    sizes = [b for row in extra for b in row if b]
    if not sizes:
        return 1
    total = sum(row[-1] for row in extra)
    coarse = 1
    while True:
        unit = math.gcd(*(-(-b // coarse) * coarse for b in sizes))
        if total // unit + len(extra) < _CELLS:
            return unit
        coarse *= 2
