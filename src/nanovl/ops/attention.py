"""Causal grouped-query attention over a packed stream of segments, with or without a cache.

No positional encoding enters anywhere, so cache positions matter for causality only.

Letters: t tokens, r keys, h query heads, k KV heads, e head width, s segments. Query head j reads
KV head j // (h / k). Softmax is fp32.

Source: model specification, sections 2.5 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

__all__ = [
    "attention_reference",
    "decode_attention",
    "packed_attention",
    "segment_attention",
]

# Largest mask built at once (elements); longer contexts are walked in blocks of queries.
_MASK_ELEMENTS = 1 << 22


def attention_reference(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, past: int = 0
) -> torch.Tensor:
    """The referee: scores, mask, softmax and sum written out, heads repeated.

    Args:
        q: (t, h, e).
        k, v: (past + t, k, e).
        past: Keys in front of the first query's own.
    """
    t, h, e = q.shape
    groups = h // k.shape[1]
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    kk = k.repeat_interleave(groups, dim=1).to(wide)
    vv = v.repeat_interleave(groups, dim=1).to(wide)
    scores = torch.einsum("the,rhe->htr", q.to(wide), kk) * e**-0.5
    seen = torch.arange(k.shape[0], device=q.device) <= past + torch.arange(
        t, device=q.device
    ).unsqueeze(1)
    scores = scores.masked_fill(~seen, float("-inf"))
    return torch.einsum("htr,rhe->the", scores.softmax(-1), vv).to(q.dtype)


def segment_attention(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, past: int = 0
) -> torch.Tensor:
    """Causal attention of one segment's new tokens over everything before and including them.

    Args:
        q: (t, h, e).
        keys, values: Heads first (k, past + t, e), as the cache keeps them.
        past: Keys in front of the first query's own.

    Returns:
        (t, h, e).
    """
    t, h, e = q.shape
    k, total = keys.shape[:2]
    heads = q.transpose(0, 1)  # (h, t, e)
    gqa = h != k
    if t == 1:
        # The queries of a group are rows of one small matrix: nothing is repeated, no mask.
        rows = q.view(1, k, h // k, e)
        out = F.scaled_dot_product_attention(rows, keys[None], values[None])
        return out.reshape(1, h, e)
    if past == 0:
        out = F.scaled_dot_product_attention(
            heads[None], keys[None], values[None], is_causal=True, enable_gqa=gqa
        )
        return out[0].transpose(0, 1)
    step = max(16, min(t, _MASK_ELEMENTS // total))
    parts = []
    for start in range(0, t, step):
        stop = min(t, start + step)
        reach = past + stop
        seen = torch.arange(reach, device=q.device) <= (
            past + torch.arange(start, stop, device=q.device)
        ).unsqueeze(1)
        out = F.scaled_dot_product_attention(
            heads[None, :, start:stop],
            keys[None, :, :reach],
            values[None, :, :reach],
            attn_mask=seen,
            enable_gqa=gqa,
        )
        parts.append(out[0].transpose(0, 1))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def packed_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: Sequence[int]
) -> torch.Tensor:
    """Block-diagonal causal attention: segments never see each other.

    Args:
        q: (t, h, e).
        k, v: (t, k, e).
        cu_seqlens: Segment borders 0 = b_0 < b_1 < ... = t.

    Returns:
        (t, h, e).
    """
    parts = [
        segment_attention(q[a:b], k[a:b].transpose(0, 1), v[a:b].transpose(0, 1))
        for a, b in zip(cu_seqlens[:-1], cu_seqlens[1:], strict=True)
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def decode_attention(
    q: torch.Tensor, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]
) -> torch.Tensor:
    """One new token of each of several sequences.

    Args:
        q: (s, h, e).
        keys, values: Per sequence (k, r_i, e), the new token's own included.

    Returns:
        (s, h, e).
    """
    return torch.cat(
        [
            segment_attention(q[i : i + 1], key, value)
            for i, (key, value) in enumerate(zip(keys, values, strict=True))
        ]
    )
