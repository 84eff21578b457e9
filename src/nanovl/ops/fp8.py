"""FP8 E4M3: scales, casts and fake quantization.

A value is stored as `q` with `value = q * scale`; `scale = amax / 448`, one fp32 number per tensor
or one per row. All arithmetic is fp32 with true division and a clamp before the cast, so that the
bytes are the same on every device and with every version of torch. Nothing here chooses what is
quantized.

Letters: n output rows, k input columns.

Source: quantization specification, section 1.
"""

from __future__ import annotations

import torch

from nanovl.core.errors import InputError
from nanovl.ops.rowwise import (
    cached_table,
    finite_amax,
    gather_pairs,
    require_positive,
    row_slices,
    true_divide,
)

__all__ = [
    "FP8_MAX",
    "fp8_cast",
    "fp8_decode",
    "fp8_decode_reference",
    "fp8_encode",
    "fp8_encode_reference",
    "fp8_fake_quant",
    "fp8_scale",
]

FP8_MAX = 448.0

# A calibrated maximum at or below this counts as "nothing seen" in fake quantization.
_AMAX_FLOOR = 2.0**-24

# From this many values on a table lookup is quicker than torch's own conversion.
_TABLE_FROM = 1 << 14


def fp8_scale(amax: torch.Tensor, *, what: str = "amax") -> torch.Tensor:
    """The dequantization multiplier of a largest absolute value.

    Args:
        amax: Any shape, >= 0. Zero (nothing but zeros was seen) gives scale 1.
        what: What it belongs to, for the message.

    Returns:
        fp32, the shape of `amax`: amax / 448.

    Raises:
        InputError: Negative, NaN or infinite.
    """
    amax = amax.float()  # scales are fp32 by definition
    if not bool((torch.isfinite(amax) & (amax >= 0)).all()):
        raise InputError(
            f"{what}: largest absolute value {amax.flatten()[:4].tolist()}, expected finite and "
            ">= 0; check the tensor or calibration run it was taken from"
        )
    scale = true_divide(amax, FP8_MAX)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def fp8_encode(x: torch.Tensor, scale: torch.Tensor, *, what: str = "tensor") -> torch.Tensor:
    """Quantize to E4M3, nearest with ties to even, saturating at +-448 x scale.

    Args:
        x: (n, k) or any other shape when `scale` is a single number.
        scale: () for the tensor, or (n,) or (n, 1) for its rows; > 0.
        what: What is encoded, for messages.

    Returns:
        float8_e4m3fn, the shape of `x`.

    Raises:
        InputError: `x` is not finite, or `scale` not a finite number above zero.
    """
    finite_amax(x, what)
    return fp8_cast(x, require_positive(scale, f"{what}: scale"))


def fp8_cast(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """`fp8_encode` without its checks, for the forward pass; NaN stays NaN, infinity saturates."""
    rows = x.detach().reshape(-1, x.shape[-1]) if x.dim() else x.detach().reshape(1, 1)
    column = _as_column(scale)
    out = torch.empty(rows.shape, dtype=torch.float8_e4m3fn, device=x.device)
    for part in row_slices(rows.shape[0], rows.shape[1], x.device):
        # fp32 before the division: dividing in bf16 rounds twice and moves 1 to 4 % of the bytes
        y = rows[part].float() / (column[part] if column.dim() else column)
        out[part] = y.clamp_(-FP8_MAX, FP8_MAX).to(torch.float8_e4m3fn)
    return out.view(x.shape)


def fp8_encode_reference(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The referee: among all finite codes the nearest value, the even code on a tie, in fp64."""
    grid = _code_values()[:0x7F].double()  # codes 0x00 .. 0x7e, ascending
    y = (x.float() / _as_column(scale)).double().flatten()
    distance = (y.abs().clamp(max=FP8_MAX)[:, None] - grid[None]).abs()
    nearest = distance == distance.amin(1, keepdim=True)
    # of two equally near codes the even one: one is even, for they are neighbours
    odd = torch.arange(0x7F) % 2
    code = torch.where(nearest, odd, 2).argmin(1)
    code = torch.where(y.isnan(), 0x7F, code) + 0x80 * torch.signbit(y)
    return code.to(torch.uint8).view(torch.float8_e4m3fn).view(x.shape)


def fp8_decode(
    q: torch.Tensor,
    scale: torch.Tensor,
    dtype: torch.dtype = torch.bfloat16,
    *,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """q * scale, computed in fp32 and rounded once to `dtype`.

    Args:
        q: float8_e4m3fn, (n, k) or any other shape when `scale` is a single number.
        scale: () for the tensor, or (n,) or (n, 1) for its rows.
        dtype: dtype of the result.
        out: Contiguous memory for the result, of the shape of `q` and of `dtype`.
    """
    rows = q.reshape(-1, q.shape[-1]) if q.dim() else q.reshape(1, 1)
    rows = rows.contiguous()
    if out is None:
        out = torch.empty(q.shape, dtype=dtype, device=q.device)
    target = out.view(rows.shape)
    column = _as_column(scale)
    # torch converts FP8 one number at a time; looking up two at a time is several times faster
    by_table = q.device.type == "cpu" and rows.numel() >= _TABLE_FROM and rows.shape[1] % 2 == 0
    for part in row_slices(rows.shape[0], rows.shape[1], q.device):
        if by_table:
            pairs = gather_pairs(rows[part].view(torch.uint8), cached_table(_pair_table, q.device))
            values = pairs.view(torch.bfloat16).view(-1, rows.shape[1]).float()
        else:
            values = rows[part].float()
        target[part] = values.mul_(column[part] if column.dim() else column)
    return out


def fp8_decode_reference(q: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The referee: sign, exponent and mantissa taken apart as the format defines them; fp32."""
    code = q.view(torch.uint8).int()
    exponent, mantissa = (code >> 3) & 15, (code & 7).float()
    normal = (1 + mantissa / 8) * torch.exp2((exponent - 7).float())
    value = torch.where(exponent == 0, mantissa * 2.0**-9, normal)
    value = torch.where((code & 0x7F) == 0x7F, torch.nan, value)
    return torch.where(code >= 0x80, -value, value) * _as_column(scale)


def fp8_fake_quant(
    x: torch.Tensor, amax: torch.Tensor | float | None, *, what: str = "activation"
) -> torch.Tensor:
    """Round to what FP8 can represent and come back, in the dtype of `x`.

    Args:
        x: Any shape.
        amax: Static largest absolute value; larger inputs saturate at it. At or below 2^-24 it
            counts as 1. None applies the cast alone.
        what: What is quantized, for the message.

    Returns:
        Shape and dtype of `x`: cast(clamp(x * (448 / amax))) * (amax / 448), in fp32; without a
        gradient, see `straight_through`.

    Raises:
        InputError: `x` is not finite.
    """
    finite_amax(x, what)
    values = x.detach().float()  # the rounding is defined on fp32
    if amax is None:
        return values.clamp(-FP8_MAX, FP8_MAX).to(torch.float8_e4m3fn).to(x.dtype)
    limit = torch.as_tensor(amax, dtype=torch.float32, device=x.device)
    limit = torch.where(limit <= _AMAX_FLOOR, torch.ones_like(limit), limit)
    full = torch.full_like(limit, FP8_MAX)
    q = (values * (full / limit)).clamp_(-FP8_MAX, FP8_MAX).to(torch.float8_e4m3fn)
    return (q.float() * (limit / full)).to(x.dtype)


def _as_column(scale: torch.Tensor) -> torch.Tensor:
    """() for a single number, else (n, 1)."""
    scale = scale.float()  # scales are fp32 by definition
    return scale.reshape(()) if scale.numel() == 1 else scale.reshape(-1, 1)


def _code_values() -> torch.Tensor:
    """The 256 values of E4M3 in fp32, by code."""
    codes = torch.arange(256, dtype=torch.uint8, device="cpu")
    return codes.view(torch.float8_e4m3fn).float()


def _pair_table(device: torch.device) -> torch.Tensor:
    """(65536, 1) int32: the bf16 values of two neighbouring codes; E4M3 fits bf16 exactly."""
    values = _code_values().bfloat16()
    pairs = torch.stack([values.repeat(256), values.repeat_interleave(256)], dim=1)
    return pairs.view(torch.int32).to(device)
