"""Which frames of a video the model sees, and the times printed in front of them.

Numbers only: nothing here opens a video. Three rules exist because the public code that trained
and served this model family differs; each is kept exactly.

Source: model specification sections 7.1 and 7.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from nanovl.core.errors import ConfigError, InputError

__all__ = ["SamplingRule", "select_frames", "timestamps", "train_times"]

SamplingRule = Literal["vllm", "recipe", "train"]

# The training rule looks at this many frames at least, and leaves out the last second.
TRAIN_MIN_FRAMES = 8
TRAIN_TAIL_S = 1.0


def select_frames(
    total: int,
    fps: float,
    rule: SamplingRule = "vllm",
    *,
    fps_wanted: float = 2.0,
    max_frames: int = 128,
    start_s: float | None = None,
    end_s: float | None = None,
) -> tuple[int, ...]:
    """Indices of the frames to look at.

    Args:
        total: Frames in the video.
        fps: Frames per second of the video; 0 when unknown, then one frame is taken.
        rule: "vllm" truncates evenly spaced positions, "recipe" rounds them, "train" takes the
            middle of equal intervals of all but the last second.
        fps_wanted: Frames per second to look at.
        max_frames: Upper bound; longer videos are sampled more thinly over their whole length.
        start_s, end_s: Look at this part only.

    Returns:
        Rising indices into the whole video; "train" may repeat one in a slow video.

    Raises:
        InputError: No frames, or none between start and end.
        ConfigError: Unknown rule or a bound that admits no frame.
    """
    if rule not in get_args(SamplingRule):
        raise ConfigError(
            f"frame sampling {rule!r}: expected one of {', '.join(get_args(SamplingRule))}"
        )
    if max_frames < 1 or fps_wanted <= 0:
        raise ConfigError(
            f"frame sampling: got {fps_wanted} frames per second and at most {max_frames}, "
            "expected more than 0 of both"
        )
    if total < 1:
        raise InputError(f"video: {total} frames, expected at least 1")
    first, count = _window(total, fps, start_s, end_s)
    duration = count / fps if fps > 0 else 0.0
    if rule == "train":
        chosen = _train_indices(count, fps, duration, fps_wanted, max_frames)
    else:
        chosen = _even_indices(count, duration * fps_wanted, max_frames, rounded=rule == "recipe")
    return tuple(first + index for index in chosen)


def _window(total: int, fps: float, start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """First frame and number of frames between two times."""
    if start_s is None and end_s is None:
        return 0, total
    start, end = start_s or 0.0, math.inf if end_s is None else end_s
    if start < 0 or end <= start:
        raise InputError(f"video: from {start:g} s to {end:g} s is not a part; end after start")
    if fps <= 0:
        raise InputError("video: its frame rate is unknown, so no part of it can be chosen")
    # A frame belongs to the part when its own time does; 1e-6 forgives binary fractions.
    first = math.ceil(start * fps - 1e-6)
    stop = min(total, math.ceil(end * fps - 1e-6)) if math.isfinite(end) else total
    if first >= stop:
        raise InputError(
            f"video: no frames from {start:g} s to "
            f"{'its end' if math.isinf(end) else f'{end:g} s'}; it is {total / fps:.2f} s long"
        )
    return first, stop - first


def _even_indices(count: int, wanted: float, max_frames: int, *, rounded: bool) -> list[int]:
    n = max(1, min(max_frames, count, math.floor(wanted)))
    if n == count:
        return list(range(count))
    if n == 1:
        return [0]
    positions = np.linspace(0, count - 1, n)
    if rounded:
        return list(dict.fromkeys(np.rint(positions).astype(int).tolist()))
    return [int(p) for p in positions]


def _train_indices(
    count: int, fps: float, duration: float, fps_wanted: float, max_frames: int
) -> list[int]:
    times = train_times(count, duration, fps_wanted=fps_wanted, max_frames=max_frames)
    if count <= len(times):
        return list(range(min(count, max_frames)))
    # The frame on screen at a time is the last one that started; 1e-6 forgives binary fractions.
    return [min(count - 1, math.floor(t * fps + 1e-6)) for t in times]


def train_times(
    total: int, duration_s: float, *, fps_wanted: float = 2.0, max_frames: int = 128
) -> tuple[float, ...]:
    """Times in seconds the training rule looks at.

    The rule leaves out the last second. For videos of a second or less, where nothing would be
    left, the whole length is used.
    """
    if total < TRAIN_MIN_FRAMES:
        n = min(total, max_frames)
    else:
        n = min(max(int(fps_wanted * duration_s), TRAIN_MIN_FRAMES), max_frames)
    span = duration_s - TRAIN_TAIL_S if duration_s > TRAIN_TAIL_S else duration_s
    return tuple(span / n * (i + 0.5) for i in range(n))


def timestamps(indices: Sequence[int], fps: float) -> tuple[float, ...] | None:
    """Time of each frame as the model is told it, in seconds.

    NOTE(parity): the reference counts a frame as a whole number of milliseconds, so at 30 fps
    frame 1919 is at 63.327 s, not at 63.967 s.

    Args:
        indices: Frame indices in the whole video.
        fps: Frames per second of the video.

    Returns:
        Seconds, or None when the rate is unknown (0) or above 1000.
    """
    frame_ms = int(1000 / fps) if fps > 0 else 0
    if frame_ms == 0:
        return None
    return tuple(index * frame_ms / 1000 for index in indices)
