"""The Mamba-2 recurrence over one slice of a longer stream: what the slices before it add.

The output of a scan is linear in the state it starts from. A slice is therefore scanned from zero
and corrected afterwards, once the states left by the slices before it are known:

    h_in(0) = 0,  h_in(r) = e_{r-1} + d_{r-1} h_in(r-1)        if slice r starts inside a segment
    y_t    += exp(c_t) C_t . h_in(r)                           for tokens of that segment

with e the state after a slice scanned from zero, c_t the sum of dt A up to token t of the slice and
d = exp(c_last). Which slices are concerned follows from the segment borders alone. Must not
communicate; the caller brings the states together.

Letters: t tokens of a slice, h heads, p head width, g groups, n state width, q slices.

Source: training specification, section 7.3.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import torch

__all__ = ["add_incoming", "decay_of", "incoming_state", "run_log_decay", "slice_borders"]

# As in `ops.ssd`: smaller factors would only make denormal numbers.
_LOWEST_EXPONENT = {torch.float64: -600.0}
_LOWEST_EXPONENT_FP32 = -60.0


def slice_borders(cu_seqlens: Sequence[int], start: int, stop: int) -> tuple[tuple[int, ...], int]:
    """Segment borders inside a slice of the stream.

    Args:
        cu_seqlens: Borders of the whole stream, 0 = b_0 < b_1 < ...
        start, stop: The slice, not empty.

    Returns:
        Borders counted from `start`, the first 0 and the last `stop - start`; and where the segment
        of the slice's first token starts in the whole stream.
    """
    inside = [b - start for b in cu_seqlens if start < b < stop]
    segment = cu_seqlens[bisect.bisect_right(cu_seqlens, start) - 1]
    return (0, *inside, stop - start), segment


def run_log_decay(dt: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    """c_t: running sum of dt A, from (t, h) and (h,) to (t, h)."""
    return torch.cumsum(dt * A.to(dt.dtype), dim=0)


def decay_of(log_decay: torch.Tensor) -> torch.Tensor:
    """exp(c), kept away from denormal numbers; same shape."""
    low = _LOWEST_EXPONENT.get(log_decay.dtype, _LOWEST_EXPONENT_FP32)
    return torch.exp(log_decay.clamp(min=low))


def incoming_state(ends: torch.Tensor, decays: torch.Tensor) -> torch.Tensor:
    """The state a slice starts from.

    Args:
        ends: States after the slices before it that share its first segment, each scanned from
            zero, in order (q, h, p, n), q >= 1.
        decays: exp(c_last) of these slices (q, h). The first one is not used: what came before it
            belongs to another segment or does not exist.

    Returns:
        (h, p, n).
    """
    state = ends[0]
    for end, decay in zip(ends[1:], decays[1:], strict=True):
        state = torch.addcmul(end, decay[:, None, None], state)
    return state


def add_incoming(
    y: torch.Tensor, C: torch.Tensor, log_decay: torch.Tensor, state: torch.Tensor
) -> torch.Tensor:
    """Correct the output of a scan from zero for the state it should have started from.

    Args:
        y: Output (t, h, p).
        C: (t, g, n).
        log_decay: c_t of the slice's first run (r, h), r <= t: the tokens of the first token's
            segment. Later tokens belong to other segments and stay as they are.
        state: h_in (h, p, n), fp32 (fp64).

    Returns:
        (t, h, p) in the dtype of `y`.
    """
    run, h = log_decay.shape
    g, n = C.shape[1:]
    p = y.shape[-1]
    wide = state.dtype
    grouped = state.reshape(g, (h // g) * p, n)
    Cg = C[:run].to(wide).permute(1, 2, 0)  # (g, n, r)
    extra = torch.bmm(grouped, Cg).view(h, p, run).permute(2, 0, 1)  # (r, h, p)
    first = (y[:run].to(wide) + extra * decay_of(log_decay)[..., None]).to(y.dtype)
    return first if run == y.shape[0] else torch.cat([first, y[run:]])
