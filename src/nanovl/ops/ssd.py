"""State-space duality: the Mamba-2 recurrence, evaluated in chunks or one step at a time.

    state_t = exp(dt_t A) state_{t-1} + dt_t x_t (outer) B_t
    y_t     = state_t C_t + D x_t

Letters: t tokens, s segments, c chunks, l tokens in a chunk, h heads, p head width, g groups,
n state width. Head i uses group i // (h / g). Decays, states and sums are fp32 (fp64 for fp64
inputs). Where chunk borders fall changes rounding only.

Source: Dao and Gu 2024, section 6; model specification, sections 2.1 to 2.5.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

__all__ = ["ssd_prefill", "ssd_reference", "ssd_scan", "ssd_step"]

# Decays below exp(-60) = 9e-27 are raised to it: products with them would be denormal numbers,
# which some CPUs handle a hundred times slower, and nothing in fp32 can tell the difference. The
# upper bound only keeps the half of a score matrix that is masked anyway from overflowing.
_EXPONENT_RANGE = (-60.0, 40.0)
_EXPONENT_RANGE_FP64 = (-600.0, 40.0)


def _wide(x: torch.Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _decay(exponent: torch.Tensor) -> torch.Tensor:
    low = (_EXPONENT_RANGE_FP64 if exponent.dtype == torch.float64 else _EXPONENT_RANGE)[0]
    return torch.exp(exponent.clamp(min=low))


def ssd_reference(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    *,
    initial_states: torch.Tensor | None = None,
    cu_seqlens: Sequence[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The referee: the recurrence, token by token. Arguments and result as `ssd_scan`."""
    t, h, p = x.shape
    g, n = B.shape[1:]
    wide = _wide(x)
    bounds = list(cu_seqlens) if cu_seqlens is not None else [0, t]
    head_group = torch.arange(h, device=x.device) // (h // g)
    xs, Bs, Cs = x.to(wide), B.to(wide)[:, head_group], C.to(wide)[:, head_group]
    dt, A, D = dt.to(wide), A.to(wide), D.to(wide)
    outputs, finals = [], []
    for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
        state = xs.new_zeros(h, p, n)
        if initial_states is not None:
            state = initial_states[index].to(wide)
        for i in range(start, stop):
            decay = torch.exp(dt[i] * A)[:, None, None]
            state = decay * state + (dt[i, :, None] * xs[i])[:, :, None] * Bs[i][:, None, :]
            outputs.append((state * Cs[i][:, None, :]).sum(-1) + D[:, None] * xs[i])
        finals.append(state)
    return torch.stack(outputs).to(x.dtype), torch.stack(finals)


def ssd_scan(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    *,
    chunk_size: int = 64,
    initial_states: torch.Tensor | None = None,
    cu_seqlens: Sequence[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the recurrence over a packed stream of segments with matrix products.

    Args:
        x: Inputs (t, h, p).
        dt: Step sizes after softplus (t, h), fp32.
        A: Negative decay rates (h,).
        B, C: (t, g, n).
        D: Skip weights (h,).
        chunk_size: Tokens per chunk.
        initial_states: (s, h, p, n); zeros when absent.
        cu_seqlens: Segment borders 0 = b_0 < b_1 < ... = t; one segment when absent. State never
            crosses a border.

    Returns:
        y (t, h, p) in the dtype of `x`, and the state after each segment (s, h, p, n), fp32.
    """
    t = x.shape[0]
    bounds = list(cu_seqlens) if cu_seqlens is not None else [0, t]
    lengths = [b - a for a, b in itertools.pairwise(bounds)]
    size = min(chunk_size, max(lengths))
    chunks = [-(-length // size) for length in lengths]
    padded = sum(chunks) * size
    rows: torch.Tensor | None = None
    if padded != t:
        rows, valid = _chunk_rows(bounds, chunks, size, x.device)
        x_in, B, C = x[rows], B[rows], C[rows]
        # dt = 0 neither decays nor adds, so what sits in the padding does not matter.
        dt = dt[rows] * valid[:, None]
    else:
        x_in = x
    y, finals = _scan_chunks(x_in, dt, A, B, C, D, size, chunks, initial_states)
    if rows is not None:
        y = y[valid]
    return y, finals


def _chunk_rows(
    bounds: Sequence[int], chunks: Sequence[int], size: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token index of every row of the chunk grid, and which rows are real."""
    rows = torch.cat(
        [
            torch.arange(start, start + count * size)
            for start, count in zip(bounds[:-1], chunks, strict=True)
        ]
    )
    ends = torch.cat(
        [torch.full((count * size,), stop) for stop, count in zip(bounds[1:], chunks, strict=True)]
    )
    valid = rows < ends
    return torch.where(valid, rows, ends - 1).to(device), valid.to(device)


def _scan_chunks(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    l: int,
    chunks: Sequence[int],
    initial_states: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The chunked evaluation on a stream whose segments fill whole chunks.

    Everything is kept "transposed", tokens last: then heads of a group stack into one matrix for
    the products with B and C, and all batch axes are contiguous.
    """
    t, h, p = x.shape
    g, n = B.shape[1:]
    c = t // l
    wide = _wide(x)

    # 0. Decays. s is the running sum of dt A inside each chunk.
    dt = dt.to(wide).view(c, l, h).transpose(1, 2).contiguous()  # (c, h, l)
    s = torch.cumsum(dt * A.to(wide)[:, None], dim=-1)  # (c, h, l)
    last = s[:, :, -1:]  # (c, h, 1)

    xt = x.reshape(c, l, h * p).transpose(1, 2).to(wide).contiguous().view(c, h, p, l)
    xdt = xt * dt[:, :, None]  # (c, h, p, l)
    Bg = B.reshape(c, l, g, n).transpose(1, 2).to(wide).reshape(c * g, l, n)
    Cg = C.reshape(c, l, g, n).transpose(1, 2).to(wide).reshape(c * g, l, n)

    # 1. States of the chunks, as if each started from nothing.
    weighted = xdt * _decay(last - s)[:, :, None]  # (c, h, p, l)
    states = torch.bmm(weighted.view(c * g, (h // g) * p, l), Bg).view(c, h, p, n)

    # 2. Recurrence over chunks; `incoming` is the state each chunk starts from.
    decay = _decay(last)[..., None]  # (c, h, 1, 1)
    incoming, finals = [], []
    at = 0
    for segment, count in enumerate(chunks):
        state = (
            states.new_zeros(h, p, n)
            if initial_states is None
            else initial_states[segment].to(wide)
        )
        for index in range(at, at + count):
            incoming.append(state)
            state = torch.addcmul(states[index], decay[index], state)
        finals.append(state)
        at += count

    # 3. What the incoming state contributes.
    carried = torch.stack(incoming).view(c * g, (h // g) * p, n)
    y = torch.bmm(carried, Cg.transpose(1, 2)).view(c, h, p, l) * _decay(s)[:, :, None]

    # 4. What tokens of the same chunk contribute: weights[t, r] = exp(s_t - s_r) C_t . B_r, r <= t.
    # Exponents are differences of running sums, never quotients of exponentials.
    scores = torch.bmm(Cg, Bg.transpose(1, 2)).tril().view(c, g, 1, l, l)
    exponents = s[..., :, None] - s[..., None, :]  # (c, h, l, l), positive above the diagonal
    weights = _decay(exponents.clamp(max=0.0))
    weights = (weights.view(c, g, h // g, l, l) * scores).view(c * h, l, l)
    y = torch.baddbmm(y.view(c * h, p, l), xdt.view(c * h, p, l), weights.transpose(1, 2))

    # 5. Skip connection, and back to tokens first.
    y = torch.addcmul(y.view(c, h, p, l), D.to(wide)[:, None, None], xt)
    y = y.view(c, h * p, l).transpose(1, 2).to(x.dtype).reshape(t, h, p)
    return y, torch.stack(finals)


def ssd_prefill(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    state: torch.Tensor,
    *,
    chunk_size: int = 64,
    workspace: torch.Tensor | None = None,
) -> torch.Tensor:
    """Continue one sequence, without gradients: `ssd_scan` chunk by chunk in the CPU's cache.

    Args:
        x: Inputs, tokens last (h, p, t), fp32.
        dt: Step sizes after softplus (t, h), fp32.
        A, D: (h,).
        B, C: Tokens last (g, n, t), fp32.
        state: (h, p, n), fp32, contiguous; updated in place.
        chunk_size: Tokens per chunk.
        workspace: Memory to work in: flat, dtype of `x`, at least h p t rounded up to whole chunks;
            used only when large enough, free again afterwards.

    Returns:
        y (t, h, p), fp32.
    """
    h, p, t = x.shape
    g, n, _ = B.shape
    r = h // g
    l = min(chunk_size, t)
    c = -(-t // l)
    if c * l != t:
        pad = c * l - t
        x, B, C = (torch.nn.functional.pad(v, (0, pad)) for v in (x, B, C))
        dt = torch.nn.functional.pad(dt, (0, 0, 0, pad))
    low, high = _EXPONENT_RANGE_FP64 if x.dtype == torch.float64 else _EXPONENT_RANGE
    steps = dt.t().contiguous().view(h, c, l)
    s = torch.cumsum(steps * A[:, None, None], dim=-1)  # (h, c, l)
    last = s[:, :, -1:]
    carry = _decay(s)  # how much of the incoming state is left at each token
    ahead = _decay(last - s).mul_(steps)  # how much of each token is left at the chunk's end
    decay = _decay(last)
    s_source = s - torch.log(steps)  # folds dt of the source token into the exponent
    causal = torch.ones(l, l, dtype=x.dtype, device=x.device).triu_()  # (source, target)
    grouped = state.view(g, r * p, n)
    skip = D[:, None, None]
    if workspace is None or workspace.numel() < c * h * p * l:
        workspace = torch.empty(c * h * p * l, dtype=x.dtype, device=x.device)
    y = workspace[: c * h * p * l].view(c, h, p, l)
    weights = torch.empty(h, l, l, dtype=x.dtype, device=x.device)
    weighted = torch.empty(h, p, l, dtype=x.dtype, device=x.device)
    for i in range(c):
        at = slice(i * l, (i + 1) * l)
        xi, Bi, Ci = x[:, :, at], B[:, :, at], C[:, :, at]
        # What the incoming state contributes.
        yi = y[i]
        torch.bmm(grouped, Ci, out=yi.view(g, r * p, l))
        yi.mul_(carry[:, i, None])
        # What tokens of this chunk contribute.
        scores = torch.bmm(Bi.transpose(1, 2), Ci).mul_(causal)  # (g, source, target)
        torch.sub(s[:, i, None, :], s_source[:, i, :, None], out=weights)
        weights.clamp_(low, high).exp_()
        weights.view(g, r, l, l).mul_(scores[:, None])
        yi.baddbmm_(xi, weights)
        yi.addcmul_(xi, skip)
        # The state the next chunk starts from.
        torch.mul(xi, ahead[:, i, None], out=weighted)
        state.mul_(decay[:, i, None])
        grouped.baddbmm_(weighted.view(g, r * p, l), Bi.transpose(1, 2))
    tokens_first = torch.empty(c, l, h * p, dtype=x.dtype, device=x.device)  # never the workspace
    return tokens_first.copy_(y.view(c, h * p, l).transpose(1, 2)).view(c * l, h, p)[:t]


def ssd_step(
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    state: torch.Tensor,
) -> torch.Tensor:
    """One token of each of several sequences.

    Args:
        x: (s, h, p).
        dt: (s, h), fp32, after softplus.
        A, D: (h,).
        B, C: (s, g, n).
        state: (s, h, p, n), fp32, contiguous; updated in place.

    Returns:
        y (s, h, p) in the dtype of `state`.
    """
    s, h, p = x.shape
    g, n = B.shape[1:]
    wide = state.dtype
    xw = x.to(wide)
    state.mul_(torch.exp(dt * A)[:, :, None, None])
    grouped = state.view(s * g, (h // g) * p, n)
    grouped.baddbmm_(
        (xw * dt[:, :, None]).view(s * g, (h // g) * p, 1), B.to(wide).reshape(s * g, 1, n)
    )
    y = torch.bmm(grouped, C.to(wide).reshape(s * g, n, 1)).view(s, h, p)
    return torch.addcmul(y, D[:, None], xw)
