"""Decoding kernels: a few rows, no gradients, bf16 weights on a CPU.

Every row's result is the same whatever rows stand beside it. Referees: `F.linear`,
`ops.norm.rms_norm`, `ops.conv.causal_conv_step` with `ops.ssd.ssd_step` and
`ops.norm.gated_rms_norm`, and `ops.attention.decode_attention`.

Letters: s rows, one per sequence; h heads, p head width, g groups, n state, k KV heads, e head
width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nanovl.ops.native.library import kernels

__all__ = ["MAX_ROWS", "attend", "attends", "linear", "mamba_rows", "rms_norm"]

ROWS_AT_ONCE = 64  # as in decode.c
MAX_ROWS = 32  # more rows are a matrix product
_MAX_QUERIES, _MAX_WIDTH = 64, 512  # per KV head, of a head


def linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x (s, in) times weight (out, in): (s, out)."""
    rows = x.contiguous()
    s, ins = rows.shape
    library = kernels()
    tiles = library.tiles and ins % 32 == 0 and weight.shape[0] >= 32
    out = torch.empty(s, weight.shape[0], dtype=torch.bfloat16)
    packed = torch.empty(-(-s // 16) * 16 * ins if tiles else 0, dtype=torch.bfloat16)
    library("linear_rows", rows, weight, s, weight.shape[0], ins, int(tiles), packed, out)
    return out


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x (s, d) over its root mean square, times weight (d,)."""
    rows = x.contiguous()
    out = torch.empty_like(rows)
    kernels()("rms_norm_rows", rows, weight, rows.shape[0], rows.shape[1], float(eps), out)
    return out


def mamba_rows(
    proj: torch.Tensor,
    borders: Sequence[int],
    slots: Sequence[int],
    conv: torch.Tensor,
    ssm: torch.Tensor,
    *,
    conv_weight: torch.Tensor,
    conv_bias: torch.Tensor,
    dt_bias: torch.Tensor,
    A: torch.Tensor,
    D: torch.Tensor,
    norm_weight: torch.Tensor,
    num_groups: int,
    eps: float,
    time_step_limit: tuple[float, float],
    scratch: torch.Tensor | None = None,
) -> torch.Tensor:
    """Everything of a Mamba layer between its two projections, for new tokens of sequences.

    Args:
        proj: Projected z, x, B, C, dt (t, .), bf16.
        borders: Rows of every sequence: 0 = b_0 < b_1 < ... = t.
        slots: Of the states, one per sequence, different.
        conv: (slots, taps - 1, c) bf16, updated.
        ssm: (slots, h, p, n) fp32, updated.
        conv_weight: (taps, c) fp32.
        conv_bias: (c,) fp32.
        dt_bias, A, D: (h,) fp32.
        norm_weight: (h p,) bf16.
        num_groups: g.
        eps: Of the norm.
        time_step_limit: Clamp of dt.
        scratch: fp32 memory of at least min(t, 64) (c + h p) to work in; made if it is None.

    Returns:
        Gated and normalised (t, h p), bf16.
    """
    t = proj.shape[0]
    h, p, n = ssm.shape[1:]
    taps, channels = conv_weight.shape
    low, high = time_step_limit
    if scratch is None:
        rows = min(t, ROWS_AT_ONCE)
        scratch = torch.empty(rows * (channels + h * p), dtype=torch.float32)
    out = torch.empty(t, h * p, dtype=torch.bfloat16)
    kernels()(
        "mamba_rows",
        proj,
        proj.stride(0),
        torch.tensor(slots, dtype=torch.int64),
        torch.tensor(borders, dtype=torch.int64),
        len(slots),
        conv,
        ssm,
        conv_weight,
        conv_bias,
        dt_bias,
        A,
        D,
        norm_weight,
        h,
        p,
        n,
        num_groups,
        taps,
        float(low),
        float(high),
        float(eps),
        scratch,
        out,
    )
    return out


def attends(heads: int, kv_heads: int, width: int) -> bool:
    """Whether `attend` takes this shape."""
    return heads // kv_heads <= _MAX_QUERIES and width <= _MAX_WIDTH


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    kv: torch.Tensor,
    runs: torch.Tensor,
    borders: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """Store the new keys and values, and attend to everything before and including them.

    Args:
        q: (s, h, e) bf16.
        k, v: (s, k, e).
        kv: Memory of the layer (2, k, tokens, e); updated.
        runs: int64 (., 2): first token and count of neighbouring tokens; the new token is the last
            one of its row's last run.
        borders: int64 (s + 1,): runs of row i are those from borders[i] to borders[i + 1].
        longest: Tokens of the longest sequence.

    Returns:
        (s, h, e).
    """
    s, h, e = q.shape
    out = torch.empty(s, h, e, dtype=torch.bfloat16)
    library = kernels()
    scratch = torch.empty(library.threads * longest * (h // k.shape[1]), dtype=torch.float32)
    library(
        "attend_step",
        q.contiguous(),
        k.contiguous(),
        v.contiguous(),
        kv,
        kv.shape[2],
        runs,
        borders,
        s,
        h,
        k.shape[1],
        e,
        longest,
        scratch,
        out,
    )
    return out
