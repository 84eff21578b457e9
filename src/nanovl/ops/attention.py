"""Causal grouped-query attention over a packed stream of segments, with or without a cache.

No positional encoding enters anywhere, so cache positions matter for causality only.

Letters: t tokens, r keys, h query heads, k KV heads, e head width, s segments. Query head j reads
KV head j // (h / k). Softmax is fp32.

Source: model specification, sections 2.5 and 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from nanovl.ops.native import attention as native
from nanovl.ops.native.library import usable

__all__ = [
    "attention_reference",
    "decode_attention",
    "full_attention",
    "packed_attention",
    "segment_attention",
]

# Largest mask built at once (elements); longer contexts are walked in blocks of queries.
_MASK_ELEMENTS = 1 << 22

# PyTorch's CPU flash attention with its log-sum-exp; the public function keeps that to itself.
_FLASH_CPU: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = getattr(
    torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None
)


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
    k = keys.shape[0]
    heads = q.transpose(0, 1)  # (h, t, e)
    gqa = h != k
    if t == 1:
        # The queries of a group are rows of one small matrix: nothing is repeated, no mask.
        rows = q.view(1, k, h // k, e)
        out = F.scaled_dot_product_attention(rows, keys[None], values[None])
        return out.reshape(1, h, e)
    if _needs_grad(q, keys, values) and usable(q, keys, values):
        shared = q.view(t, k, h // k, e).permute(1, 2, 0, 3)  # (k, queries of a key, t, e)
        out = native.attention(shared, keys, values, causal=True)
        return out.permute(2, 0, 1, 3).reshape(t, h, e)
    if past == 0:
        out = F.scaled_dot_product_attention(
            heads[None], keys[None], values[None], is_causal=True, enable_gqa=gqa
        )
        return out[0].transpose(0, 1)
    if q.device.type == "cpu" and _FLASH_CPU is not None and not _needs_grad(q, keys, values):
        return _two_part_attention(q, keys, values, past)
    return _masked_attention(q, keys, values, past)


def _needs_grad(*tensors: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _two_part_attention(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, past: int
) -> torch.Tensor:
    """The past without a mask, the new tokens causally, joined by their log-sum-exps.

    No mask is built and no key is repeated, so memory does not grow with the context. Arguments as
    `segment_attention`.
    """
    assert _FLASH_CPU is not None
    t, h, e = q.shape
    k = keys.shape[0]
    heads = q.transpose(0, 1).contiguous()  # (h, t, e)
    # Queries that share a KV head are rows of one problem.
    old, old_lse = _FLASH_CPU(
        heads.view(1, k, (h // k) * t, e), keys[None, :, :past], values[None, :, :past], 0.0, False
    )
    new_keys = keys[:, past:].repeat_interleave(h // k, dim=0)
    new_values = values[:, past:].repeat_interleave(h // k, dim=0)
    new, new_lse = _FLASH_CPU(heads[None], new_keys[None], new_values[None], 0.0, True)
    old, old_lse = old.reshape(h, t, e), old_lse.reshape(h, t)
    share = torch.sigmoid(old_lse - new_lse[0])[..., None]  # part of the softmax that is past
    joined = torch.lerp(new[0].to(share.dtype), old.to(share.dtype), share)
    return joined.to(q.dtype).transpose(0, 1)


def _masked_attention(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, past: int
) -> torch.Tensor:
    """One mask per block of queries. Arguments as `segment_attention`."""
    t = q.shape[0]
    heads = q.transpose(0, 1)
    step = max(16, min(t, _MASK_ELEMENTS // keys.shape[1]))
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
            enable_gqa=q.shape[1] != keys.shape[0],
        )
        parts.append(out[0].transpose(0, 1))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def full_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention without a mask, of many short sequences.

    Args:
        q, k, v: (m, h, i, e).

    Returns:
        (m, h, i, e).
    """
    if not (_needs_grad(q, k, v) and usable(q, k, v)):
        return F.scaled_dot_product_attention(q, k, v)
    problems = (w.flatten(0, 1) for w in (q, k, v))
    flat, keys, values = problems
    out = native.attention(flat[:, None], keys, values, causal=False)
    return out.view(q.shape)


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
        for a, b in itertools.pairwise(cu_seqlens)
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
