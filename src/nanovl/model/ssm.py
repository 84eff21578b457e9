"""Convolution and scan of a Mamba-2 layer over a packed stream, as functions of tensors.

What lies between a layer's input projection and its gated norm when there is no cache. It takes
the parameters as an argument, so that a part of the heads can be computed by itself. Must not hold
state and must not know how many ranks there are.

Letters: t tokens, h heads, p head width, g groups, n state, c channels of x, B and C together.

Source: model specification, section 2.1; training specification, section 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nanovl.core.errors import InputError
from nanovl.ops.conv import causal_conv
from nanovl.ops.native.library import usable
from nanovl.ops.native.scan import conv_scan as native_scan
from nanovl.ops.ssd import ssd_scan

__all__ = ["SSMParameters", "conv_scan"]


@dataclass(frozen=True, kw_only=True)
class SSMParameters:
    """What convolution and scan need besides their inputs.

    Attributes:
        conv_weight: (c, 1, taps); rows in the order x, B, C.
        conv_bias: (c,) or None.
        dt_bias: (h,), added to dt before softplus.
        A: Negative decay rates (h,).
        D: Skip weights (h,).
        num_groups: Groups of heads that share B and C.
        state_size: n.
        chunk_size: Tokens per SSD chunk; changes rounding only.
        time_step_limit: Clamp of dt; (0, inf) is none.
    """

    conv_weight: torch.Tensor
    conv_bias: torch.Tensor | None
    dt_bias: torch.Tensor
    A: torch.Tensor
    D: torch.Tensor
    num_groups: int
    state_size: int
    chunk_size: int
    time_step_limit: tuple[float, float]

    @property
    def num_heads(self) -> int:
        """h."""
        return self.A.shape[0]

    @property
    def bc_size(self) -> int:
        """Channels of B, and of C."""
        return self.num_groups * self.state_size

    @property
    def inner_size(self) -> int:
        """Channels of x: heads times head width."""
        return self.conv_weight.shape[0] - 2 * self.bc_size

    @property
    def head_dim(self) -> int:
        """p."""
        return self.inner_size // self.num_heads

    def step_sizes(self, dt_raw: torch.Tensor) -> torch.Tensor:
        """Projected (t, h) to positive step sizes (t, h), fp32 (fp64 for fp64 inputs)."""
        wide = torch.float64 if dt_raw.dtype == torch.float64 else torch.float32
        # Step sizes are exponents of decays: bf16 would lose the long memory.
        dt = F.softplus(dt_raw.to(wide) + self.dt_bias.to(wide))
        low, high = self.time_step_limit
        return dt if (low, high) == (0.0, float("inf")) else dt.clamp(low, high)

    def split(self, conv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Convolved (t, c) to x (t, h, p), B and C (t, g, n)."""
        x, B, C = conv.split([self.inner_size, self.bc_size, self.bc_size], dim=-1)
        groups = (self.num_groups, self.state_size)
        return (
            x.unflatten(-1, (self.num_heads, self.head_dim)),
            B.unflatten(-1, groups),
            C.unflatten(-1, groups),
        )


def conv_scan(
    xbc: torch.Tensor,
    dt_raw: torch.Tensor,
    parameters: SSMParameters,
    *,
    cu_seqlens: Sequence[int],
    seq_idx: torch.Tensor | None,
) -> torch.Tensor:
    """Convolve, discretise and scan whole segments from nothing.

    Args:
        xbc: Projected x, B, C (t, c).
        dt_raw: Projected dt (t, h), before bias and softplus.
        parameters: Of these heads.
        cu_seqlens: Segment borders 0 = b_0 < b_1 < ... = t.
        seq_idx: Segment of every token (t,); None only for a single segment.

    Returns:
        y (t, h, p) in the dtype of `xbc`.

    Raises:
        InputError: Several segments without `seq_idx`, or borders that do not end at t.
    """
    require_segment_numbers(cu_seqlens, seq_idx)
    if cu_seqlens[-1] != xbc.shape[0]:
        raise InputError(
            f"Mamba layer: {xbc.shape[0]} rows for segments that end at {cu_seqlens[-1]}"
        )
    if usable(xbc, dt_raw):
        return native_scan(
            xbc,
            dt_raw,
            parameters.conv_weight,
            parameters.conv_bias,
            parameters.dt_bias,
            parameters.A,
            parameters.D,
            num_groups=parameters.num_groups,
            state_size=parameters.state_size,
            chunk_size=parameters.chunk_size,
            time_step_limit=parameters.time_step_limit,
            cu_seqlens=cu_seqlens,
        )
    conv = causal_conv(xbc, parameters.conv_weight, parameters.conv_bias, seq_idx=seq_idx)
    x, B, C = parameters.split(conv)
    dt = parameters.step_sizes(dt_raw)
    y, _ = ssd_scan(
        x,
        dt,
        parameters.A,
        B,
        C,
        parameters.D.to(dt.dtype),
        chunk_size=parameters.chunk_size,
        cu_seqlens=cu_seqlens,
    )
    return y


def require_segment_numbers(cu_seqlens: Sequence[int], seq_idx: torch.Tensor | None) -> None:
    """Refuse a pack whose samples a Mamba layer could not keep apart.

    Without the check the state of one sample would run into the next with no sign of it.

    Raises:
        InputError: Several segments and no `seq_idx`, or one of another length.
    """
    segments = len(cu_seqlens) - 1
    if segments > 1 and seq_idx is None:
        raise InputError(
            f"Mamba layer: {segments} segments but no seq_idx; the state of one sample would leak "
            "into the next. Pass the segment number of every token (ForwardContext.seq_idx)"
        )
    if seq_idx is not None and seq_idx.shape[0] != cu_seqlens[-1]:
        raise InputError(
            f"Mamba layer: seq_idx numbers {seq_idx.shape[0]} tokens, cu_seqlens end at "
            f"{cu_seqlens[-1]}"
        )
