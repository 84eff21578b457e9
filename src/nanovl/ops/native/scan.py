"""Convolution, discretisation and SSD scan of a Mamba-2 layer as one function with gradients.

The stream is cut into chunks of equal length wherever segments begin; a token's segment is known
by the token it starts at (`first`), and that decides

    inside a chunk    whether token j reaches token i                    first[i] <= j <= i
    out of a chunk    whether token j is part of the state at its end    first[last] <= j
    into a chunk      whether the incoming state reaches token i         first[i] < start of chunk

Products of chunks are batched matrix products in bf16, the state runs in fp32. The referee is
`ssd_scan` after `causal_conv`.

Letters: t tokens, c chunks, l tokens in a chunk, h heads, p head width, g groups, r heads per
group, n state.

Source: Dao and Gu 2024, section 6; training specification, section 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from nanovl.ops.native.library import kernels

__all__ = ["conv_scan", "segment_starts"]


def segment_starts(cu_seqlens: Sequence[int], size: int) -> torch.Tensor:
    """The token at which the segment of every token starts: int32 (size,); padding is a segment."""
    borders = list(cu_seqlens)
    if borders[-1] < size:
        borders.append(size)
    edges = torch.tensor(borders, dtype=torch.int64)
    return torch.repeat_interleave(edges[:-1].to(torch.int32), edges.diff())


def conv_scan(
    xbc: torch.Tensor,
    dt_raw: torch.Tensor,
    conv_weight: torch.Tensor,
    conv_bias: torch.Tensor | None,
    dt_bias: torch.Tensor,
    A: torch.Tensor,
    D: torch.Tensor,
    *,
    num_groups: int,
    state_size: int,
    chunk_size: int,
    time_step_limit: tuple[float, float],
    cu_seqlens: Sequence[int],
) -> torch.Tensor:
    """Everything between the input projection and the gated norm.

    Args:
        xbc: (t, channels), bf16; rows may be part of wider ones.
        dt_raw: (t, h), bf16, likewise.
        conv_weight: (channels, 1, taps).
        conv_bias: (channels,) or None.
        dt_bias, A, D: (h,); A negative.
        num_groups, state_size, chunk_size, time_step_limit: As in `SSMParameters`.
        cu_seqlens: Segment borders.

    Returns:
        y (t, h, p), bf16.
    """
    length = -(-min(chunk_size, xbc.shape[0]) // 16) * 16
    sizes = _Sizes(
        t=xbc.shape[0],
        l=length,
        h=A.shape[0],
        p=(xbc.shape[1] - 2 * num_groups * state_size) // A.shape[0],
        g=num_groups,
        n=state_size,
        taps=conv_weight.shape[-1],
        low=float(time_step_limit[0]),
        high=min(float(time_step_limit[1]), 3e38),
    )
    first = segment_starts(cu_seqlens, sizes.c * sizes.l)
    return cast(
        torch.Tensor,
        _ConvScan.apply(xbc, dt_raw, conv_weight, conv_bias, dt_bias, A, D, first, sizes),
    )


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    t: int
    l: int
    h: int
    p: int
    g: int
    n: int
    taps: int
    low: float
    high: float

    @property
    def c(self) -> int:
        return -(-self.t // self.l)

    @property
    def r(self) -> int:
        return self.h // self.g

    @property
    def channels(self) -> int:
        return self.h * self.p + 2 * self.g * self.n


def _bf16(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, dtype=torch.bfloat16)


def _fp32(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, dtype=torch.float32)


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    return x if x.stride(1) == 1 else x.contiguous()


def _scores(B: torch.Tensor, C: torch.Tensor, z: _Sizes) -> torch.Tensor:
    """C B^T per chunk and group (c * g, l, l)."""
    return torch.bmm(C.view(-1, z.l, z.n), B.view(-1, z.l, z.n).transpose(1, 2))


def _intra(
    G: torch.Tensor, s: torch.Tensor, dt: torch.Tensor, first: torch.Tensor, z: _Sizes
) -> torch.Tensor:
    """What token j adds to token i of the same chunk (c * h, l, l)."""
    M = _bf16(z.c * z.h, z.l, z.l)
    kernels()("intra_forward", G, s, dt, first, z.c, z.l, z.h, z.g, M)
    return M


def _ahead(
    X: torch.Tensor, s: torch.Tensor, dt: torch.Tensor, first: torch.Tensor, z: _Sizes
) -> torch.Tensor:
    """Inputs weighted by what is left of them at the end of their chunk (c * g, l, r * p)."""
    W = _bf16(z.c * z.g, z.l, z.r * z.p)
    kernels()("ahead_forward", X, s, dt, first, z.c, z.l, z.h, z.p, z.g, W)
    return W


class _ConvScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        xbc: torch.Tensor,
        dt_raw: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dt_bias: torch.Tensor,
        A: torch.Tensor,
        D: torch.Tensor,
        first: torch.Tensor,
        z: _Sizes,
    ) -> torch.Tensor:
        call = kernels()
        xbc, dt_raw = _unit_rows(xbc), _unit_rows(dt_raw)
        taps, offset = _conv_parameters(weight, bias, z)
        steps, rates, skip = (v.float().contiguous() for v in (dt_bias, A, D))
        X = _bf16(z.c, z.h, z.l, z.p)
        B, C = _bf16(z.c, z.g, z.l, z.n), _bf16(z.c, z.g, z.l, z.n)
        call(
            "conv_forward",
            *(xbc, xbc.stride(0), taps, offset, first, z.t, z.c, z.l, z.h, z.p, z.g, z.n, z.taps),
            *(_fp32(call.threads * z.channels), X, B, C),
        )
        dt, s = _fp32(z.c, z.h, z.l), _fp32(z.c, z.h, z.l)
        call(
            "step_forward",
            *(dt_raw, dt_raw.stride(0), steps, rates, z.t, z.c, z.l, z.h, z.low, z.high, dt, s),
        )
        M = _intra(_scores(B, C, z), s, dt, first, z)
        intra = torch.bmm(M, X.view(-1, z.l, z.p))
        W = _ahead(X, s, dt, first, z)
        local = torch.bmm(B.view(-1, z.l, z.n).transpose(1, 2), W)  # (c * g, n, r * p)
        S = torch.empty_like(local)
        scratch = _fp32(call.threads * z.r * z.p)
        call("states_forward", local, s, first, z.c, z.l, z.h, z.p, z.g, z.n, scratch, S)
        inter = torch.bmm(C.view(-1, z.l, z.n), S)  # (c * g, l, r * p)
        y = _bf16(z.t, z.h, z.p)
        call("combine_forward", intra, inter, X, s, first, skip, z.t, z.l, z.h, z.p, z.g, y)
        ctx.sizes = z
        ctx.has_bias = bias is not None
        ctx.save_for_backward(
            xbc, dt_raw, weight, taps, offset, dt_bias, A, D, first, X, B, C, dt, s, S
        )
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        z: _Sizes = ctx.sizes
        call = kernels()
        xbc, dt_raw, weight, taps, offset, dt_bias, A, D, first, X, B, C, dt, s, S = (
            ctx.saved_tensors
        )
        steps, rates, skip = (v.float().contiguous() for v in (dt_bias, A, D))
        Bf, Cf, Xf = B.view(-1, z.l, z.n), C.view(-1, z.l, z.n), X.view(-1, z.l, z.p)
        inter = torch.bmm(Cf, S)
        Y, Z = torch.empty_like(X), torch.empty_like(inter)
        ds, ddt, dD = _fp32(z.c, z.h, z.l), _fp32(z.c, z.h, z.l), _fp32(z.c, z.h, z.l)
        call(
            "combine_backward",
            *(grads[0].contiguous(), inter, X, s, first, z.t, z.c, z.l, z.h, z.p, z.g),
            *(Y, Z, ds, dD),
        )
        # Incoming states.
        dC1 = torch.bmm(Z, S.transpose(1, 2))  # (c * g, l, n)
        dS = torch.bmm(Cf.transpose(1, 2), Z)  # (c * g, n, r * p)
        R, keeps = torch.empty_like(S), _fp32(z.c, z.g, z.n, z.r)
        scratch = _fp32(call.threads * z.r * z.p)
        call("states_backward", dS, S, s, first, z.c, z.l, z.h, z.p, z.g, z.n, scratch, R, keeps)
        W = _ahead(X, s, dt, first, z)
        dB1 = torch.bmm(W, R.transpose(1, 2))
        dW = torch.bmm(Bf, R)  # (c * g, l, r * p)
        # Inside chunks.
        G = _scores(B, C, z)
        M = _intra(G, s, dt, first, z)
        Yf = Y.view(-1, z.l, z.p)
        dXi = torch.bmm(M.transpose(1, 2), Yf)
        dM = torch.bmm(Yf, Xf.transpose(1, 2))
        dG = torch.empty_like(G)
        scratch = _fp32(call.threads * z.l * (z.l + 1))
        call("intra_backward", dM, G, s, dt, first, z.c, z.l, z.h, z.g, scratch, dG, ds, ddt)
        dC2, dB2 = torch.bmm(dG, Bf), torch.bmm(dG.transpose(1, 2), Cf)
        # Step sizes and inputs.
        dX, draw = torch.empty_like(X), _bf16(z.t, z.h)
        dA, dbias = _fp32(z.c, z.h), _fp32(z.c, z.h)
        kept = keeps.sum(2).view(z.c, z.h).contiguous()
        call(
            "step_backward",
            *(dXi, dW, Y, X, s, dt, first, rates, skip, kept, dt_raw, dt_raw.stride(0), steps),
            *(z.t, z.c, z.l, z.h, z.p, z.g, z.low, z.high, ds, ddt, dX, draw, z.h, dA, dbias),
        )
        dx = _bf16(z.t, z.channels)
        dw, db = _fp32(call.threads, z.taps, z.channels), _fp32(call.threads, z.channels)
        dw.zero_()
        db.zero_()
        call(
            "conv_backward",
            *(xbc, xbc.stride(0), taps, offset, first, dX, dB1, dB2, dC1, dC2),
            *(z.t, z.l, z.h, z.p, z.g, z.n, z.taps, _fp32(z.t, z.channels), dx, z.channels),
            *(dw, db),
        )
        return (
            dx,
            draw,
            dw.sum(0).t()[:, None].to(weight.dtype),
            db.sum(0).to(weight.dtype) if ctx.has_bias else None,
            dbias.sum(0).to(dt_bias.dtype),
            dA.sum(0).to(A.dtype),
            dD.sum((0, 2)).to(D.dtype),
            None,
            None,
        )


def _conv_parameters(
    weight: torch.Tensor, bias: torch.Tensor | None, z: _Sizes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Taps (taps, channels) and bias (channels,), fp32."""
    taps = weight[:, 0].float().t().contiguous()
    return taps, torch.zeros(z.channels) if bias is None else bias.float().contiguous()
