"""Depthwise causal convolution with SiLU, as it stands in front of the SSM.

Letters: t tokens, c channels, k taps. `state` holds the last k - 1 inputs, time-major (k - 1, c),
before convolution and activation; zeros stand for "nothing came before".

Source: model specification, sections 2.1, 2.4 and 2.5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["causal_conv", "causal_conv_prefill", "causal_conv_reference", "causal_conv_step"]

# Values of one block of channels in `causal_conv_prefill`: 1 MB of fp32, half a CPU core's L2.
_BLOCK_VALUES = 1 << 18


def causal_conv_reference(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    state: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
) -> torch.Tensor:
    """The referee: a loop over tokens and taps that skips taps of another segment."""
    t, k = x.shape[0], weight.shape[-1]
    rows = []
    for i in range(t):
        total = torch.zeros_like(x[0]) if bias is None else bias.to(x.dtype).clone()
        for tap in range(k):
            source = i - (k - 1) + tap
            if source >= 0 and (seq_idx is None or seq_idx[source] == seq_idx[i]):
                total = total + weight[:, 0, tap].to(x.dtype) * x[source]
            if source < 0 and state is not None and (seq_idx is None or seq_idx[i] == seq_idx[0]):
                total = total + weight[:, 0, tap].to(x.dtype) * state[source].to(x.dtype)
        rows.append(total)
    return F.silu(torch.stack(rows))


def causal_conv(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    state: torch.Tensor | None = None,
    seq_idx: torch.Tensor | None = None,
) -> torch.Tensor:
    """Convolve along time, then SiLU.

    Written as k shifted multiply-adds: PyTorch's CPU depthwise convolution transposes the whole
    tensor twice and its backward is slower than the rest of the layer.

    Args:
        x: (t, c).
        weight: (c, 1, k); the last tap multiplies the current token.
        bias: (c,) or None.
        state: Last k - 1 inputs (k - 1, c) of the first segment; zeros when absent.
        seq_idx: Segment of every token (t,), not decreasing; taps never cross a change.

    Returns:
        (t, c), dtype of `x`.
    """
    t, c = x.shape
    k = weight.shape[-1]
    left = x.new_zeros(k - 1, c) if state is None else state.to(x.dtype)
    padded = torch.cat([left, x])  # (k - 1 + t, c)
    taps = weight.to(x.dtype)[:, 0].t()  # (k, c)
    if seq_idx is not None:
        before = seq_idx[:1].expand(k - 1)
        padded_idx = torch.cat([before, seq_idx])
    out = padded[k - 1 :] * taps[k - 1]
    if bias is not None:
        out = out + bias.to(x.dtype)
    for lag in range(1, k):
        shifted = padded[k - 1 - lag : k - 1 - lag + t]
        if seq_idx is not None:
            same = (padded_idx[k - 1 - lag : k - 1 - lag + t] == seq_idx).to(x.dtype)
            shifted = shifted * same[:, None]
        out = torch.addcmul(out, shifted, taps[k - 1 - lag])
    return F.silu(out)


def causal_conv_prefill(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    state: torch.Tensor,
    *,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Continue one sequence, without gradients, and turn the result tokens last.

    Walks over blocks of channels: a transposing cast into memory that stays in the cache, then
    every tap is a contiguous row operation, and the result is laid out as `ops.ssd.ssd_prefill`
    wants it.

    Args:
        x: (t, c) in model dtype.
        weight: (c, 1, k).
        bias: (c,) or None.
        state: Last k - 1 inputs (k - 1, c); updated in place.
        out: Memory for the result.

    Returns:
        (c, t), fp32 (fp64 for fp64 inputs).
    """
    t, c = x.shape
    k = weight.shape[-1]
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    if out is None:
        out = torch.empty(c, t, dtype=wide, device=x.device)
    taps = weight[:, 0].to(wide)  # (c, k)
    offset = taps.new_zeros(c, 1) if bias is None else bias.to(wide)[:, None]
    block = max(1, _BLOCK_VALUES // (k - 1 + t))
    rows = torch.empty(min(block, c), k - 1 + t, dtype=wide, device=x.device)
    for start in range(0, c, block):
        at = slice(start, min(start + block, c))
        row = rows[: at.stop - start]
        row[:, : k - 1] = state[:, at].t()
        row[:, k - 1 :] = x[:, at].t()
        result = torch.addcmul(offset[at], row[:, k - 1 :], taps[at, k - 1 :], out=out[at])
        for tap in range(k - 1):
            result.addcmul_(row[:, tap : tap + t], taps[at, tap : tap + 1])
        F.silu(result, inplace=True)
    if t >= k - 1:
        state.copy_(x[t - (k - 1) :])
    else:
        state.copy_(torch.cat([state[t:], x.to(state.dtype)]))
    return out


def causal_conv_step(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, state: torch.Tensor
) -> torch.Tensor:
    """One token of each of several sequences.

    Args:
        x: (s, c), one new row per sequence.
        weight: (c, 1, k).
        bias: (c,) or None.
        state: (s, k - 1, c), updated in place.

    Returns:
        (s, c), dtype of `x`.
    """
    window = torch.cat([state.to(x.dtype), x[:, None]], dim=1)  # (s, k, c)
    state.copy_(window[:, 1:])
    out = (window * weight.to(x.dtype)[:, 0].t()).sum(dim=1)
    if bias is not None:
        out = out + bias.to(x.dtype)
    return F.silu(out)
