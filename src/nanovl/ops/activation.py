"""Squared ReLU, the activation of the decoder's MLP and of the projector.

Source: model specification, sections 3 and 5.2.
"""

from __future__ import annotations

import torch

__all__ = ["squared_relu"]


def squared_relu(x: torch.Tensor, *, inplace: bool = False) -> torch.Tensor:
    """max(x, 0)^2, elementwise, same shape and dtype.

    Args:
        inplace: Reuse the memory of `x`; for a fresh result of a linear, without gradients.
    """
    if inplace:
        return x.relu_().square_()
    return torch.relu(x).square()
