"""INT8 per output channel and INT4 per group: the weight formats that are fast on a CPU.

INT8 is symmetric, value = q * scale. INT4 is asymmetric, value = q * scale + minimum with q from 0
to 15; its symmetric relative for interchange has minimum = -8 * scale. Plain tensor functions;
kernels and storage are the business of `nanovl.quant`.

Letters: n output rows, k input columns, g columns per group.

Source: quantization specification, sections 5.6, 7.3 (I1) and 8.1.
"""

from __future__ import annotations

import torch

from nanovl.core.errors import InputError
from nanovl.ops.rowwise import finite_amax, row_slices, true_divide

__all__ = [
    "int4_dequantize",
    "int4_quantize",
    "int4_quantize_symmetric",
    "int8_dequantize",
    "int8_quantize",
]

INT8_MAX = 127.0
INT4_LEVELS = 15.0

# Symmetric codes go from -8 to 7, so a group has to choose what its largest value becomes: a code
# that cannot clip, one that is exact on the negative side, or half of either.
_SYMMETRIC_ENDS = (7.0, 7.5, 8.0)


def int8_quantize(w: torch.Tensor, *, what: str = "weight") -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize each row to 8 bits, nearest with ties to even.

    Args:
        w: (n, k), floating.
        what: What is encoded, for the message.

    Returns:
        q: (n, k) int8 in -127 .. 127.
        scale: (n,) fp32, amax / 127; 1 for a row of zeros.

    Raises:
        InputError: A value is not finite.
    """
    finite_amax(w, what)
    n, k = w.shape
    q = torch.empty((n, k), dtype=torch.int8, device=w.device)
    scale = torch.empty((n,), dtype=torch.float32, device=w.device)
    for part in row_slices(n, k, w.device):
        rows = w[part].float()  # scales and rounding are defined on fp32
        s = true_divide(rows.abs().amax(1), INT8_MAX)
        s.masked_fill_(s == 0, 1.0)
        scale[part] = s
        q[part] = (rows / s[:, None]).round_().clamp_(-INT8_MAX, INT8_MAX)
    return q, scale


def int8_dequantize(
    q: torch.Tensor,
    scale: torch.Tensor,
    dtype: torch.dtype = torch.bfloat16,
    *,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """q * scale in fp32, rounded once to `dtype`; `q` is (n, k) int8, `scale` (n,)."""
    n, k = q.shape
    if out is None:
        out = torch.empty((n, k), dtype=dtype, device=q.device)
    for part in row_slices(n, k, q.device):
        out[part] = q[part].float().mul_(scale[part, None])
    return out


def int4_quantize(
    w: torch.Tensor,
    group: int = 32,
    *,
    scale_dtype: torch.dtype = torch.bfloat16,
    what: str = "weight",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Quantize groups of a row to 16 levels between their smallest and largest value.

    Scale and minimum are rounded to the dtype they are stored in *before* the codes are chosen, so
    that the codes make up for that rounding.

    Args:
        w: (n, k), floating, k a multiple of `group`.
        group: Columns that share a scale.
        scale_dtype: dtype of scale and minimum.
        what: What is encoded, for messages.

    Returns:
        q: (n, k) uint8 in 0 .. 15.
        scale: (n, k / group), the step; 1 for a constant group.
        minimum: (n, k / group), the value of q = 0.

    Raises:
        InputError: k is not a multiple of `group`, or a value is not finite.
    """
    n, k = _grouped_shape(w, group, what)
    q = torch.empty((n, k), dtype=torch.uint8, device=w.device)
    scale = torch.empty((n, k // group), dtype=scale_dtype, device=w.device)
    minimum = torch.empty_like(scale)
    for part in row_slices(n, k, w.device):
        groups = w[part].float().view(-1, k // group, group)  # (rows, k / g, g)
        low, high = groups.amin(-1), groups.amax(-1)
        step = true_divide(high - low, INT4_LEVELS).to(scale_dtype)
        scale[part] = step.masked_fill_(step == 0, 1.0)
        minimum[part] = low.to(scale_dtype)
        y = (groups - minimum[part].float().unsqueeze(-1)) / scale[part].float().unsqueeze(-1)
        q[part] = y.round_().clamp_(0, INT4_LEVELS).view(-1, k)
    return q, scale, minimum


def int4_quantize_symmetric(
    w: torch.Tensor,
    group: int = 32,
    *,
    scale_dtype: torch.dtype = torch.bfloat16,
    what: str = "weight",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize groups of a row to -8 .. 7 steps around zero.

    Of three steps, the group's largest value over 7, 7.5 or 8, it takes the one with the smallest
    squared error. Arguments and errors as for `int4_quantize`.

    Returns:
        q: (n, k) uint8 in 0 .. 15, the number of steps plus 8.
        scale: (n, k / group), the step; 1 for a group of zeros.
    """
    n, k = _grouped_shape(w, group, what)
    q = torch.empty((n, k), dtype=torch.uint8, device=w.device)
    scale = torch.empty((n, k // group), dtype=scale_dtype, device=w.device)
    for part in row_slices(n, k, w.device):
        groups = w[part].float().view(-1, k // group, group)  # (rows, k / g, g)
        amax = groups.abs().amax(-1)
        best = torch.full_like(amax, float("inf"))
        chosen = torch.zeros_like(groups)
        step = torch.ones_like(amax)
        for end in _SYMMETRIC_ENDS:
            s = true_divide(amax, end).to(scale_dtype).float()  # as it will be stored
            s.masked_fill_(s == 0, 1.0)
            codes = (groups / s.unsqueeze(-1)).round_().clamp_(-8, 7)
            error = (codes * s.unsqueeze(-1) - groups).square_().sum(-1)
            better = error < best
            best = torch.where(better, error, best)
            step = torch.where(better, s, step)
            chosen = torch.where(better.unsqueeze(-1), codes, chosen)
        q[part] = (chosen + 8).view(-1, k)
        scale[part] = step
    return q, scale


def _grouped_shape(w: torch.Tensor, group: int, what: str) -> tuple[int, int]:
    """Shape of a finite matrix that can be cut into groups."""
    n, k = w.shape
    if group < 1 or k % group:
        raise InputError(
            f"{what}: {k} columns are not a multiple of the group size {group}; "
            "choose a group size that divides them or leave this one in BF16"
        )
    finite_amax(w, what)
    return n, k


def int4_dequantize(
    q: torch.Tensor,
    scale: torch.Tensor,
    minimum: torch.Tensor,
    dtype: torch.dtype = torch.bfloat16,
    *,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """q * scale + minimum in fp32, rounded once to `dtype`.

    Args:
        q: (n, k) uint8 in 0 .. 15.
        scale, minimum: (n, k / g).
        dtype: dtype of the result.
        out: (n, k) memory for the result, of `dtype`.
    """
    n, k = q.shape
    groups = scale.shape[1]
    if out is None:
        out = torch.empty((n, k), dtype=dtype, device=q.device)
    for part in row_slices(n, k, q.device):
        values = q[part].float().view(-1, groups, k // groups)
        values.mul_(scale[part].float().unsqueeze(-1)).add_(minimum[part].float().unsqueeze(-1))
        out[part] = values.view(-1, k)
    return out
