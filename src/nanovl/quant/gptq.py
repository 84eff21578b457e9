"""GPTQ: round one column after another and let the later ones make up for the error.

With H the sum of x x^T over the inputs, an error in column j of a weight is answered by changes in
the columns after it that keep the product closest. Scales are fixed just before the columns they
belong to are rounded. Works on one weight; which inputs it sees is the business of the caller.

Letters: n output rows, k input columns, g columns that share a scale.

Source: quantization specification, section 3.4.
"""

from __future__ import annotations

import logging
from typing import Protocol

import torch

from nanovl.core.errors import InputError
from nanovl.ops.lowp import (
    NVFP4_BLOCK,
    e2m1_decode,
    e2m1_encode,
    fp8_cast,
    pack_nibbles,
)
from nanovl.quant.base import QuantizedLinear
from nanovl.quant.floating import Fp8Linear, NvFp4Linear
from nanovl.quant.integer import Int4Linear, Int8Linear
from nanovl.quant.scales import (
    best_block_scales,
    best_int4_groups,
    best_int4_steps,
    best_int8_scales,
)

__all__ = ["Fp8Columns", "Int4Columns", "Int8Columns", "NvFp4Columns", "gptq", "rows_of"]

logger = logging.getLogger(__name__)

# Columns whose errors reach the rest of the matrix in one product.
_COLUMN_BLOCK = 128
# Shares of the mean diagonal that are added to it until the factorization succeeds.
_DAMPING = (0.01, 0.03, 0.1, 0.3, 1.0)

INT8_MAX = 127.0
INT4_LEVELS = 15.0


class Columns(Protocol):
    """A number format, column by column.

    Attributes:
        group: Columns that share a scale; k where rows or the whole weight have one.
    """

    group: int

    def fix(self, index: int, w: torch.Tensor, importance: torch.Tensor) -> None:
        """Choose the scales of group `index` from its columns (g, n) as they are now.

        An error in a column that all later ones have made up for as well as they can costs its
        square times `importance`, (g,) fp32.
        """

    def round(self, j: int, w: torch.Tensor) -> torch.Tensor:
        """Store the codes of column j, (n,) fp32, and return the numbers they stand for."""

    def module(self) -> QuantizedLinear:
        """The linear without bias and input scale, when all columns are rounded."""


def gptq(weight: torch.Tensor, hessian: torch.Tensor, columns: Columns, what: str) -> None:
    """Round a weight.

    Args:
        weight: (n, k), finite; it is not changed.
        hessian: (k, k), the sum of x^T x over the inputs. Columns whose inputs were always 0 are
            rounded to the nearest, without any feedback.
        columns: Takes the codes.
        what: Name of the weight, for messages.

    Raises:
        InputError: The Hessian is of another shape, not finite, or not that of any inputs.
    """
    n, k = weight.shape
    factor = _inverse_factor(hessian, k, what)
    w = weight.t().float().contiguous()  # (k, n): a column is one stretch of memory
    errors = torch.empty((min(_COLUMN_BLOCK, k), n), dtype=torch.float32, device=w.device)
    diagonal = factor.diagonal()
    importance = diagonal.square().reciprocal()
    importance /= importance.mean()
    divisors = diagonal.tolist()
    for start in range(0, k, _COLUMN_BLOCK):
        stop = min(start + _COLUMN_BLOCK, k)
        for j in range(start, stop):
            if j % columns.group == 0:
                group = slice(j, j + columns.group)
                columns.fix(j // columns.group, w[group], importance[group])
            error = errors[j - start]
            torch.sub(w[j], columns.round(j, w[j]), out=error)
            error /= divisors[j]
            w[j + 1 : stop].addr_(factor[j, j + 1 : stop], error, alpha=-1)
        if stop < k:
            w[stop:].addmm_(factor[start:stop, stop:].t(), errors[: stop - start], alpha=-1)


def _inverse_factor(hessian: torch.Tensor, k: int, what: str) -> torch.Tensor:
    """Upper triangular U with U^T U the inverse of the damped Hessian, (k, k) fp32.

    H read backwards is L L^T; read forwards again, L is an upper triangular R with H = R R^T, and
    U is its inverse. That takes one factorization where inverting H first takes two.
    """
    if hessian.shape != (k, k):
        raise InputError(
            f"{what}: Hessian of shape {tuple(hessian.shape)}, expected ({k}, {k}), one row and "
            "one column for every input of the linear"
        )
    diagonal = hessian.diagonal().float()
    if not bool(torch.isfinite(hessian).all()) or bool((diagonal < 0).any()):
        raise InputError(
            f"{what}: its Hessian is not finite or negative on the diagonal; gather it again from "
            "finite inputs"
        )
    live = diagonal > 0
    mean = float(diagonal[live].mean()) if bool(live.any()) else 1.0
    for damping in _DAMPING:
        reverse = hessian.float().flip(0, 1)
        reverse.diagonal().copy_(torch.where(live, diagonal + damping * mean, mean).flip(0))
        lower, info = torch.linalg.cholesky_ex(reverse)
        del reverse
        if int(info) == 0:
            break
        logger.warning("%s: Hessian is not positive with damping %g, trying more", what, damping)
    else:
        raise InputError(
            f"{what}: its Hessian is no sum of x^T x, even damped by its mean diagonal; gather it "
            "again"
        )
    upper = lower.flip(0, 1)
    del lower
    eye = torch.eye(k, dtype=torch.float32, device=upper.device)
    return torch.linalg.solve_triangular(upper, eye, upper=True)


def rows_of(columns: torch.Tensor) -> torch.Tensor:
    """(k, n) turned into a contiguous (n, k), also by its strides where one of them is 1."""
    k, n = columns.shape
    return columns.t().flatten().view(n, k)


class Fp8Columns:
    """FP8 with one scale for the tensor."""

    def __init__(self, n: int, k: int, scale: torch.Tensor) -> None:
        """Allocate codes for an (n, k) weight; `scale` is () fp32."""
        self.group, self.scale = k, scale
        self.codes = torch.empty((k, n), dtype=torch.float8_e4m3fn, device=scale.device)

    def fix(self, index: int, w: torch.Tensor, importance: torch.Tensor) -> None:
        del index, w, importance  # given from the start

    def round(self, j: int, w: torch.Tensor) -> torch.Tensor:
        self.codes[j] = fp8_cast(w, self.scale)
        return self.codes[j].float() * self.scale

    def module(self) -> Fp8Linear:
        k, n = self.codes.shape
        module = Fp8Linear(k, n, input_scale=False, device="meta")
        module.weight, module.weight_scale = rows_of(self.codes), self.scale
        return module


class Int8Columns:
    """INT8 with one scale per row."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        """Allocate codes for an (n, k) weight."""
        self.group = k
        self.codes = torch.empty((k, n), dtype=torch.int8, device=device)
        self.scale = torch.empty((n,), dtype=torch.float32, device=device)

    def fix(self, index: int, w: torch.Tensor, importance: torch.Tensor) -> None:
        del index  # there is one group
        self.scale = best_int8_scales(w.t(), importance)

    def round(self, j: int, w: torch.Tensor) -> torch.Tensor:
        q = (w / self.scale).round_().clamp_(-INT8_MAX, INT8_MAX)
        self.codes[j] = q
        return q * self.scale

    def module(self) -> Int8Linear:
        return Int8Linear.from_quantized(rows_of(self.codes), self.scale)


class Int4Columns:
    """INT4 with a step and a smallest value per group."""

    def __init__(
        self, n: int, k: int, group: int, device: torch.device, *, symmetric: bool = False
    ) -> None:
        """Allocate codes for an (n, k) weight; `symmetric` makes the smallest value -8 steps."""
        self.group, self.symmetric = group, symmetric
        self.codes = torch.empty((k, n), dtype=torch.uint8, device=device)
        self.step = torch.empty((k // group, n), dtype=torch.bfloat16, device=device)
        self.minimum = torch.empty_like(self.step)

    def fix(self, index: int, w: torch.Tensor, importance: torch.Tensor) -> None:
        choose = best_int4_steps if self.symmetric else best_int4_groups
        step, minimum = choose(w.unsqueeze(0), importance)
        self.step[index], self.minimum[index] = step[0], minimum[0]

    def round(self, j: int, w: torch.Tensor) -> torch.Tensor:
        step, minimum = (t[j // self.group].float() for t in (self.step, self.minimum))
        q = ((w - minimum) / step).round_().clamp_(0, INT4_LEVELS)
        self.codes[j] = q
        return q * step + minimum

    def module(self) -> Int4Linear:
        k, n = self.codes.shape
        module = Int4Linear(k, n, group_size=self.group, device="meta")
        module.weight_packed = pack_nibbles(rows_of(self.codes))
        module.weight_scale = rows_of(self.step)
        module.weight_min = rows_of(self.minimum)
        return module


class NvFp4Columns:
    """NVFP4 with a fixed tensor scale; block scales are those of least squared error."""

    def __init__(self, n: int, k: int, scale_2: torch.Tensor) -> None:
        """Allocate codes for an (n, k) weight; `scale_2` is () fp32."""
        self.group, self.scale_2 = NVFP4_BLOCK, scale_2
        self.codes = torch.empty((k, n), dtype=torch.uint8, device=scale_2.device)
        self.scale = torch.empty(
            (k // NVFP4_BLOCK, n), dtype=torch.float8_e4m3fn, device=scale_2.device
        )

    def fix(self, index: int, w: torch.Tensor, importance: torch.Tensor) -> None:
        self.scale[index] = best_block_scales(w.unsqueeze(0), self.scale_2, importance)[0]

    def round(self, j: int, w: torch.Tensor) -> torch.Tensor:
        effective = self.scale[j // NVFP4_BLOCK].float() * self.scale_2
        self.codes[j] = e2m1_encode((w / effective).clamp_(-6, 6))
        return e2m1_decode(self.codes[j]) * effective

    def module(self) -> NvFp4Linear:
        k, n = self.codes.shape
        module = NvFp4Linear(k, n, input_scale=False, device="meta")
        module.weight = pack_nibbles(rows_of(self.codes))
        module.weight_scale = rows_of(self.scale)
        module.weight_scale_2 = self.scale_2
        return module
