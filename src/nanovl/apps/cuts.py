"""Where a video cuts from one scene to the next, by how much neighbouring frames differ.

Looks at small grey versions of evenly spaced frames, a stretch at a time; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from nanovl.apps.timeline import Span, Timeline
from nanovl.processing.video import load_frames

if TYPE_CHECKING:
    from nanovl.processing.media import Limits

__all__ = ["differences", "scenes", "spans_between"]

RATE_HZ = 2.0
# Mean change of brightness, of 1, from one looked-at frame to the next: slow pans stay below.
THRESHOLD = 0.12
SHORTEST_S = 1.0
LONGEST_S = 20.0
_SIZE = (32, 32)


def scenes(
    timeline: Timeline,
    limits: Limits,
    *,
    threshold: float = THRESHOLD,
    shortest_s: float = SHORTEST_S,
    longest_s: float = LONGEST_S,
) -> list[Span]:
    """Parts of a video between its cuts.

    Args:
        timeline: The video.
        limits: What may be opened.
        threshold: Change that is a cut, of 1.
        shortest_s, longest_s: Bounds of a part; cuts too close are left out, long parts divided.

    Raises:
        InputError: The video cannot be decoded.
    """
    total = max(1, round(timeline.duration_s * timeline.fps))
    step = max(1, round(timeline.fps / RATE_HZ))
    indices = list(range(0, total, step))
    changes = list(differences(timeline, indices, limits))
    times = [index / timeline.fps for index in indices[1:]]
    cuts = [t for t, change in zip(times, changes, strict=True) if change > threshold]
    return spans_between(cuts, timeline.duration_s, shortest_s, longest_s)


def differences(timeline: Timeline, indices: Sequence[int], limits: Limits) -> Iterator[float]:
    """Mean change of brightness from each frame to the next one."""
    before: torch.Tensor | None = None
    for begin in range(0, len(indices), limits.max_frames):
        frames = load_frames(
            timeline.video.source,
            indices[begin : begin + limits.max_frames],
            _SIZE,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            dtype=torch.float32,
            limits=limits,
        )
        for frame in frames.mean(dim=1):  # (h, w)
            if before is not None:
                yield float((frame - before).abs().mean())
            before = frame


def spans_between(
    cuts: Sequence[float], duration_s: float, shortest_s: float, longest_s: float
) -> list[Span]:
    """Parts between cuts, none shorter than asked for but a video that is shorter itself."""
    edges = [0.0]
    for cut in sorted(cuts):
        if cut - edges[-1] >= shortest_s and duration_s - cut >= shortest_s:
            edges.append(cut)
    edges.append(duration_s)
    spans: list[Span] = []
    for start, end in pairwise(edges):
        pieces = max(1, -int(-(end - start) // longest_s))
        width = (end - start) / pieces
        inner = [start + i * width for i in range(pieces)] + [end]
        spans += [Span(start_s=a, end_s=b) for a, b in pairwise(inner)]
    return spans
