"""What is said in a whole video: its subtitles, or what a recogniser hears in it.

Sound is decoded in stretches, so that memory stays bounded.

Source: serving specification, section 11.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanovl.apps.subtitles import read_subtitles
from nanovl.apps.timeline import Timeline
from nanovl.core.conversation import TranscriptSegment
from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.processing.audio import decode_audio
from nanovl.processing.speech import Transcriber, make_transcriber, shift

if TYPE_CHECKING:
    from nanovl.core.conversation import MediaRef
    from nanovl.engine.vlm import NanoVL
    from nanovl.processing.media import Limits

__all__ = ["hear", "said_in"]

STRETCH_S = 1800.0


def hear(
    ref: MediaRef,
    duration_s: float,
    transcriber: Transcriber,
    limits: Limits,
    *,
    language: str | None = None,
    stretch_s: float = STRETCH_S,
    on_event: OnEvent = ignore_event,
) -> list[TranscriptSegment]:
    """Recognise the speech of a video.

    Args:
        ref: The video.
        duration_s: Its length.
        transcriber: Who listens.
        limits: What may be opened; `max_audio_s` holds for a stretch.
        language: ISO 639-1 code; None detects it.
        stretch_s: Seconds decoded at a time.
        on_event: Told about the progress, in seconds.

    Returns:
        Segments in true time.

    Raises:
        InputError: No sound that can be decoded.
        BackendError: The recogniser fails.
    """
    step = min(stretch_s, limits.max_audio_s)
    heard: list[TranscriptSegment] = []
    start = 0.0
    while start < duration_s:
        on_event(Event(name="listen", done=start, total=duration_s, unit="s"))
        pcm = decode_audio(ref, limits, kind="video", start_s=start, end_s=start + step)
        heard += shift(transcriber.transcribe(pcm, language), start)
        start += step
    return heard


def said_in(
    model: NanoVL,
    timeline: Timeline,
    *,
    subtitles: Path | None = None,
    transcriber: str | None = None,
    language: str | None = None,
    on_event: OnEvent = ignore_event,
) -> Timeline:
    """A video with what is said in it, from the best source there is.

    Args:
        model: Whose limits hold.
        timeline: The video; a transcript it has already is kept.
        subtitles: A SubRip or WebVTT file, which comes first.
        transcriber: Speech recognition to use when there are no subtitles; see `make_transcriber`.
        language: Of the speech; None detects it.
        on_event: Told about the progress.

    Raises:
        InputError: The subtitles cannot be read, or the sound does not decode.
        BackendError: The recogniser is not installed or fails.
    """
    if subtitles is not None:
        try:
            text = subtitles.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"{subtitles}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{subtitles}: is not UTF-8 text (byte {error.start})") from None
        return replace(timeline, transcript=tuple(read_subtitles(text, subtitles.name)))
    listener = make_transcriber(transcriber) if transcriber else None
    if timeline.transcript or listener is None or not timeline.has_audio:
        return timeline
    heard = hear(
        timeline.video.source,
        timeline.duration_s,
        listener,
        model.processor.limits,
        language=language,
        on_event=on_event,
    )
    return replace(timeline, transcript=tuple(heard))
