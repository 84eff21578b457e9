"""Choosing the scales of a weight by what they lose, format by format.

Every chooser returns scales as they are stored; codes follow from them. Groups of columns come
transposed, with the outputs last: whole rows of numbers are then handled at once.

Letters: n output rows, k input columns, c groups of columns, g columns per group.

Source: quantization specification, sections 2.2, 2.5 and 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch

from nanovl.ops.lowp import FP8_MAX, NVFP4_BLOCK, fp8_cast, fp8_decode, fp8_scale
from nanovl.ops.rowwise import cached_table, row_slices, true_divide
from nanovl.quant.histogram import value_counts
from nanovl.quant.ranges import RANGE_FACTORS

__all__ = [
    "FOUR_OVER_SIX_MAX",
    "best_block_scales",
    "best_fp8_amax",
    "best_int4_groups",
    "best_int4_steps",
    "best_int8_scales",
    "four_over_six_scales",
    "hessian_block_scales",
    "max_block_scales",
]

INT8_MAX = 127.0
INT4_LEVELS = 15.0
# Row factors of "mse" for INT8: clipping the largest few makes the steps of all others smaller.
_INT8_FACTORS = tuple(1 - 0.02 * i for i in range(36))
# Shares of a group's range that "mse" for INT4 takes off at either end.
_INT4_TRIMS = (0.0, 0.03, 0.06, 0.09, 0.12)
# What a group's largest value may become, in steps, for symmetric INT4: beyond 8 it is clipped.
_INT4_ENDS = (7.0, 7.25, 7.5, 7.75, 8.0, 8.5, 9.0, 9.5, 10.0, 11.0, 12.0)

# Largest block scale of four-over-six is 256, so that the 1.5 times larger one exists as well.
FOUR_OVER_SIX_MAX = 6.0 * 256.0
_E2M1_MAX = 6.0
_LAST_CODE = 0x7E  # 448
_ONE = 0x38
# From this code on half a scale is a scale too: normal numbers from twice the smallest one.
_HALVED_FROM = 0x10
# Factors of the max rule's scale that the Hessian-weighted choice considers, in codes: an octave
# has eight of them.
_HESSIAN_CODES = 8


def best_fp8_amax(weights: Sequence[torch.Tensor]) -> float:
    """The common range of some weights that loses least when they are rounded to FP8.

    Args:
        weights: (n, k) each, finite.

    Returns:
        One of `RANGE_FACTORS` times the largest of all values; 0 when all of them are 0.
    """
    amax = max(float(w.abs().amax()) for w in weights)
    if amax == 0:
        return 0.0
    errors = [0.0] * len(RANGE_FACTORS)
    for weight in weights:
        for values, counts in _weighted(weight):
            for i, factor in enumerate(RANGE_FACTORS):
                scale = fp8_scale(torch.tensor(factor * amax, device=values.device))
                rounded = fp8_decode(fp8_cast(values, scale), scale, torch.float32)
                errors[i] += float((rounded - values).double().square() @ counts)
    return RANGE_FACTORS[min(range(len(errors)), key=errors.__getitem__)] * amax


def _weighted(weight: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Sizes of all values, fp32, and how often each occurs, fp64; a bf16 weight has few."""
    for part in row_slices(weight.shape[0], weight.shape[1], weight.device):
        size = weight[part].abs().flatten()
        if weight.dtype is torch.bfloat16:
            counts = value_counts(size)
            at = counts.nonzero()[:, 0]
            yield (at << 16).int().view(torch.float32), counts[at].double()
        else:
            values = size.float()
            yield values, torch.ones_like(values, dtype=torch.float64)


def best_int8_scales(w: torch.Tensor, importance: torch.Tensor | None = None) -> torch.Tensor:
    """Row scales of least squared error for INT8.

    Args:
        w: (n, k), finite.
        importance: (k,), how much the error of a column counts; None counts all alike.

    Returns:
        (n,) fp32; 1 for a row of zeros.
    """
    n, k = w.shape
    found = torch.empty((n,), dtype=torch.float32, device=w.device)
    for part in row_slices(n, k, w.device):
        rows = w[part].float()
        amax = rows.abs().amax(1)
        best = least = amax
        for i, factor in enumerate(_INT8_FACTORS):
            s = true_divide(amax * factor, INT8_MAX)
            s.masked_fill_(s == 0, 1.0)
            q = (rows / s[:, None]).round_().clamp_(-INT8_MAX, INT8_MAX)
            error = _total(q.mul_(s[:, None]).sub_(rows).square_(), importance, 1)
            better = error < least if i else torch.ones_like(amax, dtype=torch.bool)
            best, least = torch.where(better, s, best), torch.where(better, error, least)
        found[part] = best
    return found


def best_int4_groups(
    w: torch.Tensor,
    importance: torch.Tensor | None = None,
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Step and smallest value of least squared error for asymmetric INT4.

    Args:
        w: (c, g, n) fp32, finite.
        importance: (g,), how much the error of a column counts; None counts all alike.
        dtype: dtype they are stored in; errors count its rounding.

    Returns:
        step, minimum: (c, n) in `dtype`.
    """
    low, high = w.amin(1), w.amax(1)
    spread = high - low
    best_step, best_minimum, least = low.to(dtype), low.to(dtype), low
    for i, (below, above) in enumerate(product(_INT4_TRIMS, _INT4_TRIMS)):
        step = true_divide(spread * (1 - below - above), INT4_LEVELS).to(dtype)
        step.masked_fill_(step == 0, 1.0)
        minimum = (low + below * spread).to(dtype)
        s, m = step.float().unsqueeze(1), minimum.float().unsqueeze(1)
        q = ((w - m) / s).round_().clamp_(0, INT4_LEVELS)
        error = _total(q.mul_(s).add_(m).sub_(w).square_(), importance, 1)
        better = error < least if i else torch.ones_like(low, dtype=torch.bool)
        best_step = torch.where(better, step, best_step)
        best_minimum = torch.where(better, minimum, best_minimum)
        least = torch.where(better, error, least)
    return best_step, best_minimum


def best_int4_steps(
    w: torch.Tensor,
    importance: torch.Tensor | None = None,
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for symmetric INT4, -8 to 7 steps; the smallest value is -8 steps."""
    amax = w.abs().amax(1)
    best, least = amax.to(dtype), amax
    for i, end in enumerate(_INT4_ENDS):
        step = true_divide(amax, end).to(dtype)
        step.masked_fill_(step == 0, 1.0)
        s = step.float().unsqueeze(1)
        q = (w / s).round_().clamp_(-8, 7)
        error = _total(q.mul_(s).sub_(w).square_(), importance, 1)
        better = error < least if i else torch.ones_like(amax, dtype=torch.bool)
        best, least = torch.where(better, step, best), torch.where(better, error, least)
    return best, -8 * best  # exact: only the exponent changes


def max_block_scales(blocks: torch.Tensor, scale_2: torch.Tensor) -> torch.Tensor:
    """NVFP4 block scales by their largest value.

    Args:
        blocks: (c, 16, n) fp32, finite.
        scale_2: () fp32, above 0.

    Returns:
        (c, n) float8_e4m3fn.
    """
    return _stored(blocks.abs().amax(1), _E2M1_MAX, scale_2)


def four_over_six_scales(blocks: torch.Tensor, scale_2: torch.Tensor) -> torch.Tensor:
    """NVFP4 block scales that put the largest value on 6 or on 4, whichever loses less.

    Arguments and result are those of `max_block_scales`; `scale_2` is amax / 1536.
    """
    size = blocks.abs()
    amax = size.amax(1)
    six, four = (_stored(amax, top, scale_2) for top in (_E2M1_MAX, 4.0))
    loss = [_error(size, s.float() * scale_2).square_().sum(1) for s in (six, four)]
    better = torch.where(loss[1] < loss[0], four.view(torch.uint8), six.view(torch.uint8))
    return better.view(torch.float8_e4m3fn)


def best_block_scales(
    blocks: torch.Tensor, scale_2: torch.Tensor, importance: torch.Tensor | None = None
) -> torch.Tensor:
    """NVFP4 block scales of least squared error among all 126 positive E4M3 numbers.

    Not all of them are tried. Let b be a block's largest value and e its effective scale. Where
    b < 3.5 e, no code above 3 is used, and half of e represents the same numbers and more: it is
    at least as good. So scales above b / 3.5 need no look where half of them can be stored, and
    that leaves at most seven codes above the max rule's. A scale below b / 6 loses at least
    (b - 6 e)^2, so that the search downwards ends where this exceeds the least loss. Both hold
    whatever the columns count.

    Args:
        blocks, scale_2: As for `max_block_scales`, and so is the result.
        importance: (16,), how much the error of a column counts; None counts all alike.
    """
    blocks, scale_2 = _handy(blocks, scale_2)
    start = max_block_scales(blocks, scale_2).view(torch.uint8).int()
    size = blocks.abs()
    search = _Search(size, scale_2, start, importance=importance)
    for step in (1, 2, 3, 4, 5, 6, 7, -1, -2):
        search.attempt((start + step).clamp_(1, _LAST_CODE))
    # What is left concerns few blocks; in one row, (16, c n), they can be taken out.
    amax, code = size.amax(1).flatten(), start.flatten()
    counts: torch.Tensor | float = 1.0
    if importance is not None:  # of the column that holds the largest value
        counts = importance[size.argmax(1).flatten()]
    row = search.flatten()
    at = (code < _HALVED_FROM).nonzero()[:, 0]
    row.attempt_some(at, [torch.full_like(at, c) for c in range(1, _HALVED_FROM)])
    for step in range(3, _LAST_CODE):
        lower = code - step
        clipped = amax - _E2M1_MAX * _values(lower.clamp(min=0)) * scale_2
        hopeful = (lower >= 1) & (clipped.clamp_(min=0).square_() * counts < row.least)
        at = hopeful.nonzero()[:, 0]
        if not at.numel():
            break
        row.attempt_some(at, [lower[at]])
    best = torch.where(amax > 0, row.best, _ONE).view(start.shape)
    return best.to(torch.uint8).view(torch.float8_e4m3fn)


def hessian_block_scales(
    blocks: torch.Tensor, scale_2: torch.Tensor, hessian: torch.Tensor
) -> torch.Tensor:
    """NVFP4 block scales of least error at the output, each block by itself.

    The error d of a block is weighed by its inputs, d^T H d, with H the sum of x x^T over its 16
    columns. Considered are scales from half to twice the max rule's. Blocks whose inputs were
    always 0 are rounded by plain squared error.

    Args:
        blocks, scale_2: As for `max_block_scales`.
        hessian: (c, 16, 16) fp32.
    """
    blocks, scale_2 = _handy(blocks, scale_2)
    mean = hessian.diagonal(dim1=1, dim2=2).mean()
    unit = torch.where(mean > 0, mean, 1.0)
    weight = hessian / unit + 1e-6 * torch.eye(NVFP4_BLOCK, device=hessian.device)
    start = max_block_scales(blocks, scale_2).view(torch.uint8).int()
    size = blocks.abs()
    search = _Search(size, scale_2, start, sign=blocks.sign(), weight=weight)
    for step in range(1, _HESSIAN_CODES + 1):
        for code in (start + step, start - step):
            search.attempt(code.clamp_(1, _LAST_CODE))
    best = torch.where(size.amax(1) > 0, search.best, _ONE)
    return best.to(torch.uint8).view(torch.float8_e4m3fn)


class _Search:
    """The best codes so far of blocks (c, 16, n) and what they lose, both (c, n)."""

    def __init__(
        self,
        size: torch.Tensor,
        scale_2: torch.Tensor,
        start: torch.Tensor,
        *,
        importance: torch.Tensor | None = None,
        sign: torch.Tensor | None = None,
        weight: torch.Tensor | None = None,
    ) -> None:
        self.size, self.scale_2, self.importance = size, scale_2, importance
        self.sign, self.weight = sign, weight
        self.best = start
        self.least = self._loss(size, start)

    def _loss(self, size: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        error = _error(size, _values(code) * self.scale_2)
        if self.weight is None:
            return _total(error.square_(), self.importance, 1)
        assert self.sign is not None
        error.mul_(self.sign)
        return torch.bmm(self.weight, error).mul_(error).sum(1)

    def attempt(self, code: torch.Tensor) -> None:
        """Try one code for every block."""
        loss = self._loss(self.size, code)
        self.best = torch.where(loss < self.least, code, self.best)
        self.least = torch.minimum(loss, self.least)

    def flatten(self) -> _Search:
        """Put all blocks in one row: (1, 16, c n), codes and losses (c n,)."""
        self.size = self.size.transpose(0, 1).reshape(1, NVFP4_BLOCK, -1)
        self.best, self.least = self.best.flatten(), self.least.flatten()
        return self

    def attempt_some(self, at: torch.Tensor, codes: Sequence[torch.Tensor]) -> None:
        """Try codes for some of the blocks in the row."""
        if not at.numel():
            return
        size = self.size[:, :, at]
        best, least = self.best[at], self.least[at]
        for code in codes:
            loss = self._loss(size, code.unsqueeze(0))[0]
            best = torch.where(loss < least, code.to(best.dtype), best)
            least = torch.minimum(loss, least)
        self.best[at], self.least[at] = best, least


def _handy(blocks: torch.Tensor, scale_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both times a power of two, so that squares of very small or large weights exist."""
    exponent = math.frexp(float(scale_2))[1]
    factor = 2.0 ** -max(-100, min(100, exponent))
    return blocks * factor, scale_2 * factor


def _stored(amax: torch.Tensor, top: float, scale_2: torch.Tensor) -> torch.Tensor:
    """Block scales that put the largest value on `top`, as E4M3."""
    s = amax / (top * scale_2)
    s.masked_fill_(s == 0, 1.0).clamp_(2.0**-9, FP8_MAX)
    return s.to(torch.float8_e4m3fn)


def _error(size: torch.Tensor, effective: torch.Tensor) -> torch.Tensor:
    """What E2M1 rounding adds, (c, 16, n).

    Args:
        size: (c, 16, n), absolute values.
        effective: (c, n), scales as a reader multiplies with them.
    """
    e = effective.unsqueeze(1)
    y = (size / e).clamp_(max=_E2M1_MAX)
    # Adding 1.5 x 2^23 steps and taking them away rounds to a multiple of the step, ties to even.
    # The step is half the largest power of two that is not above the value, and at least 1/2.
    power = y.clamp(min=1.0).view(torch.int32).bitwise_and_(0x7F800000).view(torch.float32)
    shift = power.mul_(1.5 * 2.0**22)
    return y.add_(shift).sub_(shift).mul_(e).sub_(size)


def _total(squares: torch.Tensor, importance: torch.Tensor | None, dim: int) -> torch.Tensor:
    """Sum over the columns, which lie along `dim`; what they count is applied in place."""
    if importance is not None:
        shape = [1] * squares.dim()
        shape[dim] = -1
        squares.mul_(importance.view(shape))
    return squares.sum(dim)


def _values(code: torch.Tensor) -> torch.Tensor:
    """fp32 values of E4M3 codes."""
    return cached_table(_e4m3_values, code.device)[code]


def _e4m3_values(device: torch.device) -> torch.Tensor:
    """(127,) fp32: the finite numbers that are not negative."""
    codes = torch.arange(_LAST_CODE + 1, dtype=torch.uint8, device="cpu")
    return codes.view(torch.float8_e4m3fn).float().to(device)
