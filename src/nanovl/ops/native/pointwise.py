"""Norms and squared ReLU with gradients, one pass forward and one backward.

Letters: t tokens, d width. Inputs and results are bf16, sums fp32. The referees are
`nanovl.ops.norm` and `nanovl.ops.activation`.
"""

from __future__ import annotations

from typing import Any, cast

import torch

from nanovl.ops.native.library import kernels

__all__ = ["gated_rms_norm", "rms_norm", "square_positive", "squared_relu"]


def _rows(x: torch.Tensor) -> torch.Tensor:
    """The same tensor as a matrix whose rows are contiguous, their distance free."""
    if x.ndim == 2 and x.stride(1) == 1:
        return x
    return x.reshape(-1, x.shape[-1]).contiguous()


def _fp32(size: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.float32)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x (..., d) over its root mean square, times weight (d,)."""
    return cast(torch.Tensor, _RMSNorm.apply(x, weight, eps))


def gated_rms_norm(
    y: torch.Tensor, z: torch.Tensor, weight: torch.Tensor, eps: float, num_groups: int
) -> torch.Tensor:
    """y * SiLU(z), both (t, d), over the root mean square of each group, times weight (d,)."""
    return cast(torch.Tensor, _GatedRMSNorm.apply(y, z, weight, eps, num_groups))


def squared_relu(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0)^2."""
    return cast(torch.Tensor, _SquaredReLU.apply(x))


def square_positive(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0)^2 in place, without gradients; x is contiguous."""
    kernels()("squared_relu_forward", x, x.numel(), x)
    return x


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        t, d = rows.shape
        wide = weight.float().contiguous()  # products are fp32
        out, scale = torch.empty_like(rows), _fp32(t)
        kernels()("rms_norm_forward", rows, wide, t, d, float(eps), out, scale)
        ctx.save_for_backward(rows, weight, scale)
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        rows, weight, scale = ctx.saved_tensors
        t, d = rows.shape
        grad = grads[0].reshape(t, d).contiguous()
        call = kernels()
        dx, dw = torch.empty_like(rows), torch.zeros(call.threads, d)
        wide = weight.float().contiguous()
        call("rms_norm_backward", grad, rows, wide, scale, t, d, dx, dw)
        return dx.view(grads[0].shape), dw.sum(0).to(weight.dtype), None


class _GatedRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, z: torch.Tensor, weight: torch.Tensor, eps: float, groups: int
    ) -> torch.Tensor:
        y, z = _rows(y), _rows(z)
        t, d = y.shape
        call = kernels()
        wide = weight.float().contiguous()  # products are fp32
        out = torch.empty(t, d, dtype=torch.bfloat16)
        scale, scratch = _fp32(t * groups), _fp32(call.threads * d)
        call(
            "gated_norm_forward",
            *(y, y.stride(0), z, z.stride(0), wide, t, d, groups, float(eps)),
            *(scratch, out, scale),
        )
        ctx.groups = groups
        ctx.save_for_backward(y, z, weight, scale)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        y, z, weight, scale = ctx.saved_tensors
        t, d = y.shape
        call = kernels()
        grad = grads[0].contiguous()
        dy, dz = torch.empty_like(grad), torch.empty_like(grad)
        dw, scratch = torch.zeros(call.threads, d), _fp32(call.threads * d)
        call(
            "gated_norm_backward",
            *(grad, y, y.stride(0), z, z.stride(0), weight.float().contiguous(), scale, t, d),
            *(ctx.groups, scratch, dy, dz, d, dw),
        )
        return dy, dz, dw.sum(0).to(weight.dtype), None, None


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        kernels()("squared_relu_forward", x, x.numel(), out)
        ctx.save_for_backward(x)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        dx = torch.empty_like(x)
        kernels()("squared_relu_backward", grads[0].contiguous(), x, x.numel(), dx)
        return dx
