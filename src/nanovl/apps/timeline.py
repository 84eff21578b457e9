"""Time in videos: as it is, as the model is told it, and cut into parts.

The times printed in front of frames count a frame as a whole number of milliseconds, so they run
up to a few percent slow: an hour of 30 frames per second is told as 59:24. What the model says is
translated back here, and what is known beforehand (speech) is translated forth.

Source: model specification, section 7.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nanovl.core.conversation import TextPart, TranscriptSegment, VideoPart
from nanovl.core.errors import InputError
from nanovl.processing.attachments import attach
from nanovl.processing.media import localize
from nanovl.processing.opening import transcript_block
from nanovl.processing.video import VideoInfo, probe

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["Span", "Timeline", "clock_text", "open_video"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a video, in seconds."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A video and its clock.

    Attributes:
        video: The whole video, recognition of its speech switched off.
        duration_s: Its length; 0 when unknown.
        fps: Frames per second; 0 when unknown.
        has_audio: Whether it has a sound track.
        transcript: What is said, in true time.
    """

    video: VideoPart
    duration_s: float
    fps: float
    has_audio: bool = False
    transcript: tuple[TranscriptSegment, ...] = ()

    @property
    def stretch(self) -> float:
        """True seconds in a second as the model is told it."""
        frame_ms = int(1000 / self.fps) if self.fps > 0 else 0
        return 1000 / self.fps / frame_ms if frame_ms else 1.0

    def told(self, true_s: float) -> float:
        """What the model is told for a true time."""
        return true_s / self.stretch

    def true(self, told_s: float, span: Span | None = None) -> float:
        """The true time for one the model is told, kept within the video or a part of it."""
        low, high = (0.0, self.duration_s) if span is None else (span.start_s, span.end_s)
        return min(max(told_s * self.stretch, low), high)

    def split(self, count: int) -> list[Span]:
        """Parts of equal length that cover the video."""
        edges = [self.duration_s * i / count for i in range(count)] + [self.duration_s]
        return [Span(start_s=a, end_s=b) for a, b in pairwise(edges)]

    @property
    def shortest_s(self) -> float:
        """Length below which a part may hold no frame."""
        return max(1.0, 2 / self.fps) if self.fps > 0 else math.inf

    def parts(self, span: Span | None, frames: int | None) -> list[VideoPart | TextPart]:
        """What the model sees and reads of a part of the video.

        Args:
            span: Which part; None is the whole.
            frames: At most so many frames; None takes the processor's.
        """
        video = replace(self.video, max_frames=frames)
        said: Sequence[TranscriptSegment] = self.transcript
        if span is not None:
            # The last part has no end, so that rounding loses no frame.
            end = None if span.end_s >= self.duration_s else span.end_s
            video = replace(video, start_s=span.start_s, end_s=end)
            said = [s for s in said if s.end_s > span.start_s and s.start_s < span.end_s]
        if not said:
            return [video]
        heard = [replace(s, start_s=self.told(s.start_s), end_s=self.told(s.end_s)) for s in said]
        name = " ".join(self.video.source.name.split()) or "video"
        return [video, TextPart(text=transcript_block(name, heard))]


def open_video(
    model: NanoVL, source: Any, transcript: Sequence[TranscriptSegment] = ()
) -> Timeline:
    """A video with its clock.

    Args:
        model: Whose limits hold.
        source: What `NanoVL.chat` takes as a file.
        transcript: What is said in it, in true time.

    Raises:
        InputError: Not a video, or one that cannot be used.
    """
    limits = model.processor.limits
    part = attach(source, limits=limits)
    if not isinstance(part, VideoPart):
        kind = type(part).__name__.removesuffix("Part").lower()
        name = getattr(getattr(part, "source", None), "name", "attachment")
        raise InputError(f"{name}: expected a video, got {kind}")
    ref = localize(part.source, "video", limits)
    info: VideoInfo = probe(ref, limits, fps=part.fps)
    return Timeline(
        video=replace(part, source=ref, transcript=()),
        duration_s=info.duration_s,
        fps=info.fps,
        has_audio=info.has_audio,
        transcript=tuple(transcript),
    )


def clock_text(seconds: float) -> str:
    """A time for people: 1:02, 1:02:03."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
