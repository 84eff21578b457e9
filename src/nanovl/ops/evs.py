"""Efficient Video Sampling: which visual tokens of a video are kept.

A token is worth keeping when it differs from the token at the same place in the previous frame.
The *number* of kept tokens follows from frames and rate alone, so a prompt can be laid out before
the encoder runs; *which* ones are kept is known only from the embeddings. Pure functions, no state.

Letters: m frames, d model width.

Source: report, section 3.3; model specification, section 7.4.
"""

from __future__ import annotations

import torch

from nanovl.core.errors import InputError

__all__ = ["frame_dissimilarity", "kept_per_frame", "retained_count", "retention_mask"]

# Above any 1 - cosine, so that the first frame always sorts first.
_FIRST_FRAME = 255.0


def retained_count(frames: int, tokens_per_frame: int, rate: float) -> int:
    """How many visual tokens of a video are kept.

    Args:
        frames: Number of frames, at least 1.
        tokens_per_frame: Visual tokens of one frame before pruning.
        rate: Share of tokens to drop, in [0, 1).

    Returns:
        At least the tokens of one frame. The product is truncated in double precision exactly as
        in the reference, so 10 frames of 256 at 0.8 give 511, not 512.

    Raises:
        InputError: rate outside [0, 1).
    """
    if not 0.0 <= rate < 1.0:
        raise InputError(f"video pruning rate {rate}: expected 0 (off) or more, and below 1")
    return max(tokens_per_frame, int(frames * tokens_per_frame * (1.0 - rate)))


def frame_dissimilarity(
    x: torch.Tensor, *, dtype: torch.dtype | None = torch.float32
) -> torch.Tensor:
    """1 - cosine similarity of every position with the same position one frame earlier.

    Args:
        x: Visual tokens (m, rows, columns, d).
        dtype: Number type of the comparison; None keeps that of `x` (what the references do).

    Returns:
        (m, rows, columns); the first frame is 255 everywhere.
    """
    if dtype is not None:
        x = x.to(dtype)
    first = x.new_full((1, *x.shape[1:3]), _FIRST_FRAME)
    if x.shape[0] == 1:
        return first
    similarity = torch.nn.functional.cosine_similarity(x[1:], x[:-1], dim=-1, eps=1e-8)
    return torch.cat([first, 1.0 - similarity])


def retention_mask(
    x: torch.Tensor, rate: float, *, dtype: torch.dtype | None = torch.float32
) -> torch.Tensor:
    """Which visual tokens of one video are kept.

    Args:
        x: Visual tokens (m, rows, columns, d) after the projector.
        rate: Share of tokens to drop, in [0, 1).
        dtype: Number type of the comparison; None keeps that of `x`.

    Returns:
        Boolean (m, rows * columns) with exactly `retained_count` true entries. Ties go to earlier
        frames, rows and columns.
    """
    m, rows, columns, _ = x.shape
    kept = retained_count(m, rows * columns, rate)
    mask = torch.zeros(m * rows * columns, dtype=torch.bool, device=x.device)
    if kept == mask.numel():
        return mask.fill_(True).view(m, rows * columns)
    order = torch.sort(
        frame_dissimilarity(x, dtype=dtype).flatten(), descending=True, stable=True
    ).indices
    mask[order[:kept]] = True
    return mask.view(m, rows * columns)


def kept_per_frame(mask: torch.Tensor) -> list[int]:
    """Kept tokens of each frame of a `retention_mask`."""
    return [int(n) for n in mask.sum(dim=1).tolist()]
