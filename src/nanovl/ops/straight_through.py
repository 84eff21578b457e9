"""Rounding that lets gradients pass: the value is rounded, the gradient is that of the identity.

Knows no number format; the caller brings the rounded tensor.

Source: quantization specification, section 7.1 (F6).
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["straight_through"]


def straight_through(
    x: torch.Tensor, rounded: torch.Tensor, *, limit: torch.Tensor | float | None = None
) -> torch.Tensor:
    """`rounded` in the forward pass, the gradient of `x` in the backward pass.

    Args:
        x: What was rounded.
        rounded: Same shape and dtype, without gradient.
        limit: Where |x| is above it, the gradient is zero (the value was clipped); None passes
            every gradient.
    """
    inside = None if limit is None else x.detach().abs() <= limit
    return _StraightThrough.apply(x, rounded, inside)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, rounded: torch.Tensor, inside: torch.Tensor | None
    ) -> torch.Tensor:
        if x.shape != rounded.shape or x.dtype != rounded.dtype:
            raise ValueError(
                f"straight_through: x is {tuple(x.shape)} {x.dtype}, rounded is "
                f"{tuple(rounded.shape)} {rounded.dtype}; they must agree"
            )
        ctx.save_for_backward(*(() if inside is None else (inside,)))
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        grad = grads[0]
        if ctx.saved_tensors:
            grad = grad * ctx.saved_tensors[0]
        return grad, None, None
