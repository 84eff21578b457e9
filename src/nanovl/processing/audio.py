"""Sound of audio files and videos -> mono samples at 16 kHz.

What speech recognition wants and nothing else; recognising is `speech.py`.

Source: serving specification section 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import av
import numpy as np

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.container import open_container, sound_of
from nanovl.processing.media import Limits

__all__ = ["SAMPLE_RATE", "decode_audio"]

SAMPLE_RATE = 16_000


def decode_audio(
    ref: MediaRef,
    limits: Limits,
    *,
    kind: Literal["audio", "video"] = "audio",
    start_s: float | None = None,
    end_s: float | None = None,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Decode the first sound track.

    Stretches that do not decode are left out; a cut-off file gives what is there.

    Args:
        ref: An audio file, or a video with sound.
        limits: Bounds for bytes and length.
        kind: Which byte limit holds.
        start_s, end_s: Part to decode, in seconds from the start of the media.

    Returns:
        fp32 (samples,) in -1..1 at 16,000 per second. Sample 0 is at `start_s` (or 0); a track
        that begins later than its video starts with silence.

    Raises:
        InputError: No audio track, nothing decodes, or longer than `limits.max_audio_s`.
    """
    start = 0 if start_s is None else round(start_s * SAMPLE_RATE)
    stop = math.inf if end_s is None else round(end_s * SAMPLE_RATE)
    if start < 0 or stop <= start:
        raise InputError(
            f"{ref.name}: from {start_s} s to {end_s} s is not a part; end after start"
        )
    pieces: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    filled = start
    is_any = False
    with open_container(ref, kind, limits) as container:
        for position, chunk in _chunks(container, ref.name):
            is_any = True
            if position >= stop:
                break
            piece = chunk[max(0, start - position) : max(0, int(min(stop - position, chunk.size)))]
            if piece.size == 0:
                continue
            gap = max(0, max(position, start) - filled) if not pieces else 0
            filled += gap + piece.size
            if filled - start > limits.max_audio_s * SAMPLE_RATE:
                raise InputError(
                    f"{ref.name}: sound is longer than the limit of {limits.max_audio_s:g} s; "
                    "choose a part of it, or give the transcript"
                )
            pieces += [np.zeros(gap, np.float32), piece] if gap else [piece]
    if not is_any:
        raise InputError(f"{ref.name}: no sound decodes; get a complete copy of the file")
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _chunks(
    container: Any, name: str
) -> Iterator[tuple[int, np.ndarray[Any, np.dtype[np.float32]]]]:
    """Resampled stretches and the sample number each begins at, from the start of the media."""
    stream = sound_of(container, name)
    media_start_s = (container.start_time or 0) / av.time_base
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    position: int | None = None
    for frame in _decode(container, stream):
        if position is None and frame is not None:
            begins_s = (frame.time or media_start_s) - media_start_s
            position = max(0, round(begins_s * SAMPLE_RATE))
        if position is None:
            return
        for resampled in resampler.resample(frame):
            chunk = resampled.to_ndarray().reshape(-1).astype(np.float32, copy=False)
            yield position, chunk
            position += chunk.size


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Frames, then None to flush what follows; packets that do not decode are passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        yield from frames
    yield None
