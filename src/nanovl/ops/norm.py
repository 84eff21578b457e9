"""RMSNorm, and the gated grouped RMSNorm of the Mamba-2 mixer.

Letters: t tokens, d width, g groups. Statistics and the product with the weight are fp32; the
result has the input's dtype.

Source: model specification, sections 2.1 and 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nanovl.ops.native import decode, pointwise as native
from nanovl.ops.native.library import usable

__all__ = ["gated_rms_norm", "gated_rms_norm_reference", "rms_norm", "rms_norm_reference"]


def rms_norm_reference(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """The referee: x / sqrt(mean(x^2) + eps) * weight over the last axis, in fp32."""
    wide = x.float()  # statistics need more bits than bf16 has
    wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps)
    return (wide * weight.float()).to(x.dtype)


def _needs_grad(*tensors: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _inverse_rms(wide: torch.Tensor, eps: float) -> torch.Tensor:
    """1 / sqrt(mean(x^2) + eps) over the last axis; one reading pass over x."""
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return torch.rsqrt(norm.square() / wide.shape[-1] + eps)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMSNorm over the last axis.

    Args:
        x: (..., d).
        weight: (d,).
        eps: Added to the mean square.

    Returns:
        Same shape and dtype as `x`.
    """
    if x.dtype == torch.float64:
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * weight.to(x.dtype)
    few = x.ndim == 2 and 0 < x.shape[0] <= decode.MAX_ROWS
    if few and not _needs_grad(x, weight) and usable(x, weight):
        return decode.rms_norm(x, weight, eps)
    if usable(x):
        return native.rms_norm(x, weight, eps)
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), eps)


def gated_rms_norm_reference(
    y: torch.Tensor, z: torch.Tensor, weight: torch.Tensor, eps: float, num_groups: int
) -> torch.Tensor:
    """The referee: gate with SiLU(z) first, then normalise each group of channels, in fp32."""
    gated = y.float() * F.silu(z.float())  # fp32 throughout, as the reference does
    grouped = gated.unflatten(-1, (num_groups, -1))
    grouped = grouped * torch.rsqrt(grouped.square().mean(dim=-1, keepdim=True) + eps)
    return (grouped.flatten(-2) * weight.float()).to(z.dtype)


def gated_rms_norm(
    y: torch.Tensor, z: torch.Tensor, weight: torch.Tensor, eps: float, num_groups: int
) -> torch.Tensor:
    """Gate, then RMSNorm per group of consecutive channels.

    Args:
        y: SSM output (t, d), fp32 or model dtype.
        z: Gate (t, d) in model dtype.
        weight: (d,).
        eps: Added to the mean square.
        num_groups: Groups of d / num_groups channels that share one mean square.

    Returns:
        (t, d) in the dtype of `z`.
    """
    wide = torch.float64 if z.dtype == torch.float64 else torch.float32
    if _needs_grad(y, z, weight) and usable(y, z):
        return native.gated_rms_norm(y, z, weight, eps, num_groups)
    if _needs_grad(y, z, weight):
        gated = y.to(wide) * F.silu(z.to(wide))
        grouped = gated.view(*gated.shape[:-1], num_groups, -1)
        normed = F.rms_norm(grouped, (grouped.shape[-1],), None, eps)
        return (normed.view_as(gated) * weight.to(wide)).to(z.dtype)
    gated = F.silu(z.to(wide)).mul_(y)
    grouped = gated.view(*gated.shape[:-1], num_groups, -1)
    grouped.mul_(_inverse_rms(grouped, eps))
    return gated.mul_(weight.to(wide)).to(z.dtype)
