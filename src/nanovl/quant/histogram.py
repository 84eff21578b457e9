"""Counting sizes by their logarithm: 512 fixed bins, the same for every tensor.

Counts of several tensors can be added, and their sum does not depend on the order. Which tensors
are counted is not known here.

Source: quantization specification, sections 3.1 and 3.3.
"""

from __future__ import annotations

import math

import torch

from nanovl.core.errors import ConfigError
from nanovl.ops.rowwise import cached_table

__all__ = [
    "HISTOGRAM_BINS",
    "LOG2_HIGH",
    "LOG2_LOW",
    "binned",
    "count_below",
    "histogram_edges",
    "pattern_powers",
    "percentile_size",
    "value_counts",
]

# Bins of log2|x| over [-40, 40); what lies outside is counted in the first or the last one.
HISTOGRAM_BINS = 512
LOG2_LOW, LOG2_HIGH = -40.0, 40.0


def histogram_edges() -> tuple[float, ...]:
    """The 513 borders of the bins as numbers, not logarithms.

    They are 2^(-40 + 5 i / 32), rounded up to the next bf16 number: bf16 values fall where they
    belong, and fp32 values can be sorted by their upper 16 bits alone.
    """
    step = (LOG2_HIGH - LOG2_LOW) / HISTOGRAM_BINS
    exact = [2.0 ** (LOG2_LOW + step * i) for i in range(HISTOGRAM_BINS + 1)]
    bits = torch.tensor(exact, dtype=torch.float32, device="cpu").view(torch.int32)
    upper = ((bits + 0xFFFF) >> 16) << 16
    return tuple(upper.view(torch.float32).tolist())


def value_counts(size: torch.Tensor) -> torch.Tensor:
    """How often every value occurs, by the upper 16 bits of its fp32 form.

    Args:
        size: Any shape, bf16 or fp32; finite, none negative.

    Returns:
        (32768,) int64; entry i counts the values from `i << 16` on, read as fp32. For bf16 that is
        one value.
    """
    if size.dtype is torch.bfloat16:
        bits = size.contiguous().view(torch.int16)
    else:
        bits = size.float().contiguous().view(torch.int16).view(-1, 2)[:, 1]  # little-endian
    return torch.bincount(bits.flatten(), minlength=1 << 15)


def binned(patterns: torch.Tensor, zeros: torch.Tensor) -> torch.Tensor:
    """Sort what `value_counts` counted into bins.

    Args:
        patterns: (32768,) int64.
        zeros: () int64, how many of the values are 0; they belong to no bin.

    Returns:
        (512,) int64.
    """
    table = cached_table(_bin_of_pattern, patterns.device)
    counts = torch.zeros(HISTOGRAM_BINS, dtype=torch.int64, device=patterns.device)
    counts.index_add_(0, table, patterns)
    counts[0] -= zeros
    return counts


def percentile_size(counts: torch.Tensor, p: float, zeros: int, amax: float) -> float:
    """A size that p percent of the counted values do not pass.

    Args:
        counts: (512,) int64.
        p: Percent, above 0 and up to 100; 100 gives `amax`.
        zeros: How many values are 0.
        amax: The largest one.

    Returns:
        Upper border of the bin where the count reaches p, and never more than `amax`.

    Raises:
        ConfigError: `p` lies outside of its range.
    """
    if not 0 < p <= 100:
        raise ConfigError(f"percentile {p}: expected a number above 0 and up to 100")
    running = (counts.cumsum(0) + zeros).cpu()
    total = int(running[-1])
    if p == 100 or not total:
        return amax
    wanted = p / 100 * total
    if zeros >= wanted:
        return 0.0
    at = int((running.double() >= wanted).nonzero()[0])
    return amax if at == HISTOGRAM_BINS - 1 else min(histogram_edges()[at + 1], amax)


def count_below(counts: torch.Tensor, limit: float) -> float:
    """How many of the counted values are below a limit, evenly spread within a bin."""
    if limit <= 0:
        return 0.0
    at = (math.log2(limit) - LOG2_LOW) / (LOG2_HIGH - LOG2_LOW) * HISTOGRAM_BINS
    at = min(max(at, 0.0), float(HISTOGRAM_BINS))
    whole = int(at)
    found = float(counts[:whole].sum())
    return found + (at - whole) * float(counts[whole]) if whole < HISTOGRAM_BINS else found


def _bin_of_pattern(device: torch.device) -> torch.Tensor:
    """(32768,) int64: bin of every bf16 number that is not negative."""
    edges = torch.tensor(histogram_edges()[1:-1], dtype=torch.float32, device="cpu")
    values = _pattern_values()
    return torch.bucketize(values, edges, right=True).to(device)


def pattern_powers(device: torch.device) -> torch.Tensor:
    """(2, 32768) fp64: squares and fourth powers; infinities and NaN, never counted, are 0."""
    squares = _pattern_values().double().nan_to_num(0.0, 0.0, 0.0).square()
    return torch.stack([squares, squares.square()]).to(device)


def _pattern_values() -> torch.Tensor:
    """(32768,) fp32: the bf16 numbers that are not negative."""
    bits = torch.arange(1 << 15, dtype=torch.int32, device="cpu") << 16
    return bits.view(torch.float32)
