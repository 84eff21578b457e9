"""Encodes frames, and speech when there is any, as MP4 in memory.

One thread and fixed settings, no dates and no version tags of the container: the same build of the
encoder gives the same bytes. Another build of FFmpeg or x264 may give other bytes (and the AAC
encoder computes in floating point); to compare machines, compare decoded frames.

Source: data synthesis specification, section 10 (encoding).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from nanovl.core.errors import InputError

__all__ = ["SPEECH_HZ", "decode_frames", "encode_mp4"]

SPEECH_HZ = 22_050  # what the speech program writes
_AUDIO_BLOCK = 1024

Frame = npt.NDArray[np.uint8]


def encode_mp4(
    frames: Iterable[Frame],
    fps: int,
    *,
    crf: int = 23,
    speech: npt.NDArray[np.int16] | None = None,
) -> bytes:
    """An MP4 file with H.264 video (yuv420p) and, if given, mono AAC sound.

    Args:
        frames: uint8 (rows, columns, 3), all of one even size.
        fps: Frames per second.
        crf: Quality of x264, 18 (fine) to 35 (coarse).
        speech: Samples at 22,050 Hz.

    Raises:
        InputError: There are no frames, or sides are odd.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video: Any = container.add_stream("libx264", rate=Fraction(fps))
        video.pix_fmt = "yuv420p"
        video.thread_count = 1
        video.options = {
            "preset": "veryfast",
            "crf": str(crf),
            "bf": "0",  # no reordering: time stamps in the file are those of the frames
            "threads": "1",
            "flags": "+bitexact",
            # The macroblock tree is computed with approximate reciprocals: other processors, and
            # with AVX-512 one run in fifty on the same one, get other bytes.
            "x264-params": "mbtree=0",
        }
        sound: Any = container.add_stream("aac", rate=SPEECH_HZ) if speech is not None else None
        if sound is not None:
            sound.layout = "mono"
            sound.options = {"flags": "+bitexact"}
        count = 0
        for pixels in frames:
            if not count:
                video.height, video.width = pixels.shape[:2]
                if video.height % 2 or video.width % 2:
                    raise InputError(
                        f"video of {video.width} x {video.height}: both sides must be even"
                    )
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, fps)
            container.mux(video.encode(frame))
            count += 1
        if not count:
            raise InputError("a video needs at least one frame")
        container.mux(video.encode(None))
        if sound is not None and speech is not None:
            _write_speech(container, sound, speech)
    return buffer.getvalue()


def _write_speech(container: Any, sound: Any, speech: npt.NDArray[np.int16]) -> None:
    for start in range(0, len(speech), _AUDIO_BLOCK):
        block = speech[None, start : start + _AUDIO_BLOCK]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "s16", "mono")
        frame.sample_rate, frame.pts = SPEECH_HZ, start
        frame.time_base = Fraction(1, SPEECH_HZ)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def decode_frames(data: bytes) -> list[Frame]:
    """All frames of an encoded video as RGB, for checks."""
    with av.open(io.BytesIO(data), "r") as container:
        found = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return [np.asarray(frame, dtype=np.uint8) for frame in found]
