"""Squared ReLU, the activation of the decoder's MLP and of the projector.

Source: model specification, sections 3 and 5.2.
"""

from __future__ import annotations

import torch

from nanovl.ops.native import pointwise as native
from nanovl.ops.native.library import usable

__all__ = ["squared_relu"]


def squared_relu(x: torch.Tensor, *, inplace: bool = False) -> torch.Tensor:
    """max(x, 0)^2, elementwise, same shape and dtype.

    Args:
        inplace: Reuse the memory of `x`; for a fresh result of a linear, without gradients.
    """
    if inplace and x.is_contiguous() and usable(x):
        return native.square_positive(x)
    if inplace:
        return x.relu_().square_()
    if torch.is_grad_enabled() and x.requires_grad and usable(x):
        return native.squared_relu(x)
    return torch.relu(x).square()
