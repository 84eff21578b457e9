"""From vision features to the decoder's width: RMSNorm, Linear, squared ReLU, Linear.

A `Sequential`, because the released names are `mlp1.0`, `mlp1.1` and `mlp1.3`.

Source: model specification, section 5.2.
"""

from __future__ import annotations

import torch
from torch import nn

from nanovl.model.mixers import RMSNorm
from nanovl.ops.activation import squared_relu

__all__ = ["SquaredReLU", "projector"]


class SquaredReLU(nn.Module):
    """max(x, 0)^2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return squared_relu(x)


def projector(input_size: int, hidden_size: int, output_size: int, eps: float) -> nn.Sequential:
    """Build the projector: (..., input_size) to (..., output_size)."""
    return nn.Sequential(
        RMSNorm(input_size, eps),
        nn.Linear(input_size, hidden_size, bias=False),
        SquaredReLU(),
        nn.Linear(hidden_size, output_size, bias=False),
    )
