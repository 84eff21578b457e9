"""Rounding to FP8 and multiplying what was rounded, on the device's FP8 units or emulated.

Both ways have the same operands, bit for bit; only the order of the sums differs. The emulation
multiplies the values of the codes without their scales: every E4M3 and E5M2 number is exact in
bf16, sums are kept in fp32 by the product, and the inverse scales are applied to its result.
Chooses no scales.

Letters: r rows, c columns of one operand.

Source: training specification, section 6.3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["FP8_LIMITS", "Operand", "multiply", "quantize", "round_to_fp8"]

FP8_LIMITS = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}

# Smallest normal number and bits of the fraction, by format.
_GRIDS = {torch.float8_e4m3fn: (2.0**-6, 3), torch.float8_e5m2: (2.0**-14, 2)}
# Values rounded at a time: their fp32 copies stay in the second-level cache.
_CHUNK = 1 << 17
# Rows of FP8 operands are filled up to a multiple of this.
_ROWS = 16


class Operand(NamedTuple):
    """One side of a product.

    Attributes:
        values: Codes (float8) or the numbers they stand for, both times the scale.
        inverse: fp32 0-d, undoes the scale; NaN makes the whole product NaN.
    """

    values: torch.Tensor
    inverse: torch.Tensor

    def t(self) -> Operand:
        """Transposed, without moving anything."""
        return Operand(self.values.t(), self.inverse)


def quantize(
    v: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype, *, emulate: bool
) -> torch.Tensor:
    """cast(clamp(v * scale)), the product in fp32.

    Args:
        v: (r, c), any floating dtype.
        scale: fp32, 0-d.
        dtype: float8_e4m3fn or float8_e5m2.
        emulate: Give the numbers instead of the codes.

    Returns:
        float8, rows filled up with zeros to a multiple of 16; or with `emulate` the numbers (r, c)
        in the dtype of `v`.
    """
    if emulate:
        return round_to_fp8(v, scale, dtype)
    codes = _cast(v, scale, dtype)
    short = -v.shape[0] % _ROWS
    if not short:
        return codes
    filled = torch.zeros((v.shape[0] + short, v.shape[1]), dtype=torch.uint8, device=v.device)
    filled[: v.shape[0]] = codes.view(torch.uint8)
    return filled.view(dtype)


def _cast(v: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    limit = FP8_LIMITS[dtype]
    # One element, not 0-d: bf16 times a 0-d number would be rounded to bf16 on its way.
    return (v * scale.view(1)).float().clamp_(-limit, limit).to(dtype)


def round_to_fp8(v: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The numbers that `_cast` would store, still times the scale.

    On a CPU computed without the cast, because reading FP8 back is slow there: adding and taking
    away 1.5 x 2^(23 - fraction bits) units of a value's own exponent leaves the fraction bits of
    the format, ties to even. Equal to the cast but for the sign of zeros.

    Args:
        v, scale, dtype: As in `quantize`.

    Returns:
        The shape and dtype of `v`.
    """
    if v.device.type != "cpu":
        return _cast(v, scale, dtype).to(v.dtype)
    limit, (smallest, fraction) = FP8_LIMITS[dtype], _GRIDS[dtype]
    factor = scale.view(1)
    out = torch.empty(v.shape, dtype=v.dtype)
    flat, target = v.detach().reshape(-1), out.view(-1)
    for start in range(0, flat.numel(), _CHUNK):
        part = slice(start, start + _CHUNK)
        y = (flat[part] * factor).float().clamp_(-limit, limit)
        exponent = y.view(torch.int32).bitwise_and(0x7F800000).view(torch.float32)
        shift = exponent.clamp_(min=smallest).mul_(1.5 * 2.0 ** (23 - fraction))
        target[part] = y.add_(shift).sub_(shift)
    return out


def multiply(
    a: Operand, b: Operand, dtype: torch.dtype, *, fast_accum: bool = False
) -> torch.Tensor:
    """a b, without the scales of both.

    Args:
        a: (r, m).
        b: (m, c).
        dtype: Of the result.
        fast_accum: Let the FP8 units keep shorter sums; no effect on emulation.

    Returns:
        (r, c), r and c filled up like the operands.
    """
    if a.values.dtype in FP8_LIMITS:
        return torch._scaled_mm(
            _row_major(a.values),
            _row_major(b.values.t()).t(),
            scale_a=a.inverse,
            scale_b=b.inverse,
            out_dtype=dtype,
            use_fast_accum=fast_accum,
        )
    product = a.values @ b.values
    inverse = a.inverse * b.inverse
    if product.device.type == "cpu":  # computes bf16 times an fp32 number in fp32
        return product.mul_(inverse).to(dtype)
    return (product * inverse.view(1)).to(dtype)


def _row_major(values: torch.Tensor) -> torch.Tensor:
    return values if values.is_contiguous() else values.contiguous()
