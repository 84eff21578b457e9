"""The text around the frames of a video, and how many visual tokens each frame holds.

A video block is a run of frames; each is announced by its number and time and sits between `<img>`
and `</img>`. Four spellings exist in public code for this model. Every separator is encoded on its
own, never together with its neighbours, so blocks can be cut and laid out again.

Source: model specification, sections 7.3 and 7.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nanovl.ops.evs import retained_count
from nanovl.processing.tokenizer import Tokenizer

__all__ = ["HEADER", "VideoStyle", "frame_text", "kept_tokens", "separators", "spread"]

VideoStyle = Literal["train", "trt", "vllm", "compact"]
"""Header and line break after frames; header; line break between frames; neither."""

HEADER = "This is a video:\n"


def frame_text(number: int, time_s: float | None) -> str:
    """What stands before a frame.

    Args:
        number: From 1.
        time_s: Seconds from the start of the video; None when unknown.
    """
    at = "" if time_s is None else f" sampled at {time_s:.2f} seconds"
    return f"Frame {number}{at}: "


def separators(
    times: Sequence[float] | None, frames: int, style: VideoStyle, tokenizer: Tokenizer
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Ids in front of and behind the visual tokens of every frame.

    Args:
        times: Seconds per frame, or None when unknown.
        frames: Number of frames.
        style: Spelling.
        tokenizer: Encodes the text.

    Returns:
        (before, after), each one tuple of ids per frame, `<img>` and `</img>` included.
    """
    before: list[tuple[int, ...]] = []
    header = tokenizer.encode(HEADER) if style in ("train", "trt") else []
    for index in range(frames):
        text = frame_text(index + 1, None if times is None else times[index])
        if style == "vllm" and index:
            text = "\n" + text
        lead = header if index == 0 else []
        before.append((*lead, *tokenizer.encode(text), tokenizer.image_start_id))
    tail = tokenizer.encode("\n") if style == "train" else []
    return tuple(before), ((tokenizer.image_end_id, *tail),) * frames


def kept_tokens(frames: int, tokens_per_frame: int, rate: float) -> int:
    """Visual tokens of a video after pruning; all of them at rate 0 or with a single frame."""
    if rate == 0 or frames == 1:
        return frames * tokens_per_frame
    return retained_count(frames, tokens_per_frame, rate)


def spread(total: int, frames: int) -> list[int]:
    """Divide visual tokens evenly over frames, until the encoder says where they belong."""
    share, rest = divmod(total, frames)
    return [share + (index < rest) for index in range(frames)]
