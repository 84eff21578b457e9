"""Matrix products with weights: a few rows by our own kernel, everything else by PyTorch.

Source: serving specification, section 8.1 (PyTorch reads the weights of one row at half the speed
of the memory).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nanovl.ops.native import decode
from nanovl.ops.native.library import usable

__all__ = ["linear"]


def linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Rows times a weight.

    Args:
        x: (t, in).
        weight: (out, in).

    Returns:
        (t, out).
    """
    few = x.ndim == 2 and 0 < x.shape[0] <= decode.MAX_ROWS
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if few and not learns and usable(x, weight) and weight.is_contiguous():
        return decode.linear(x, weight)
    return F.linear(x, weight)
