"""Attention with gradients from batched matrix products and a fused softmax.

PyTorch's CPU attention has a slow backward pass; for heads of 64 channels the four products are
cheaper than that. Scores exist for a block of queries at a time, in both directions, so memory
grows with the keys only. Must not know about segments.

Letters: b problems (tiles, or KV heads), q query rows, r keys, e head width, x queries that share
a key (grouped-query attention). Source of the backward formulas: Dao et al. 2022, appendix B.
"""

from __future__ import annotations

from typing import Any, cast

import torch

from nanovl.ops.native.library import kernels

__all__ = ["attention"]

# Scores held at once (elements, bf16).
_SCORES = 1 << 24


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """Softmax attention.

    Args:
        q: (b, x, q, e), bf16.
        k, v: (b, r, e).
        causal: Query i sees keys up to r - q + i.

    Returns:
        (b, x, q, e).
    """
    return cast(torch.Tensor, _Attention.apply(q, k, v, causal))


def _blocks(problems: int, shared: int, queries: int, keys: int, causal: bool) -> list[slice]:
    """Runs of queries whose scores fit."""
    step = max(1, _SCORES // (problems * shared * keys))
    if causal:  # smaller blocks waste fewer scores above the diagonal
        step = min(step, max(512, queries // 8))
    return [slice(start, min(start + step, queries)) for start in range(0, queries, step)]


def _probabilities(
    rows: torch.Tensor, k: torch.Tensor, at: slice, queries: int, causal: bool, scale: float
) -> torch.Tensor:
    """Softmax of one block: rows (b, x * block, e) against the keys it sees."""
    keys = k.shape[1] - queries + at.stop if causal else k.shape[1]
    scores = torch.bmm(rows, k[:, :keys].transpose(1, 2))  # (b, x * block, keys)
    call = kernels()
    scratch = torch.empty(call.threads * keys, dtype=torch.float32)
    total = scores.shape[0] * scores.shape[1]
    period = at.stop - at.start if causal else 0
    call("softmax_forward", scores, total, keys, period, scale, scratch)
    return scores


def _weighted(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """weights^T rows: (b, rows, e), (b, rows, keys) to (b, keys, e).

    Turning the narrow matrix is cheap; a product that reads the wide one against its grain is not.
    """
    return torch.bmm(rows.transpose(1, 2).contiguous(), weights).transpose(1, 2)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool
    ) -> torch.Tensor:
        b, x, queries, e = q.shape
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        scale = e**-0.5
        out = torch.empty_like(q)
        for at in _blocks(b, x, queries, k.shape[1], causal):
            rows = q[:, :, at].reshape(b, -1, e)
            p = _probabilities(rows, k, at, queries, causal, scale)
            out[:, :, at] = torch.bmm(p, v[:, : p.shape[2]]).view(b, x, -1, e)
        ctx.causal = causal
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        q, k, v, out = ctx.saved_tensors
        b, x, queries, e = q.shape
        grad = grads[0].contiguous()
        scale = e**-0.5
        delta = (grad.float() * out).sum(-1)  # (b, x, q), fp32
        dq = torch.empty_like(q)
        blocks = _blocks(b, x, queries, k.shape[1], ctx.causal)
        whole = len(blocks) == 1
        dk = torch.zeros_like(k, dtype=torch.bfloat16 if whole else torch.float32)
        dv = torch.zeros_like(dk)
        for at in blocks:
            rows, own = (w[:, :, at].reshape(b, -1, e) for w in (q, grad))
            p = _probabilities(rows, k, at, queries, ctx.causal, scale)
            keys = p.shape[2]
            dp = torch.bmm(own, v[:, :keys].transpose(1, 2))  # (b, x * block, keys)
            step = delta[:, :, at].contiguous()
            kernels()("softmax_backward", dp, p, step, step.numel(), keys, scale)
            dq[:, :, at] = torch.bmm(dp, k[:, :keys]).view(b, x, -1, e)
            if whole:
                dk, dv = _weighted(rows, dp), _weighted(own, p)
            else:
                dk[:, :keys] += _weighted(rows, dp)
                dv[:, :keys] += _weighted(own, p)
        return dq, dk.to(q.dtype), dv.to(q.dtype), None
