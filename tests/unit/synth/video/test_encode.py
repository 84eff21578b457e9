"""The encoder: sizes, times, repeatable bytes, sound."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from nanovl.core.errors import InputError
from nanovl.synth.video.encode import SPEECH_HZ, decode_frames, encode_mp4


def _frames(count: int = 12, side: int = 64) -> list[np.ndarray]:
    frames = []
    for k in range(count):
        frame = np.full((side, side, 3), 200, dtype=np.uint8)
        frame[8:24, 4 * k : 4 * k + 12] = (200, 30, 30)
        frames.append(frame)
    return frames


def test_frames_come_back() -> None:
    frames = _frames()
    found = decode_frames(encode_mp4(frames, 6, crf=18))
    assert len(found) == 12
    for frame, other in zip(frames, found, strict=True):
        assert np.abs(frame.astype(int) - other.astype(int)).mean() < 4


def test_times_are_even() -> None:
    with av.open(io.BytesIO(encode_mp4(_frames(), 6)), "r") as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([k / 6 for k in range(12)])


def test_bytes_repeat() -> None:
    assert encode_mp4(_frames(), 6) == encode_mp4(_frames(), 6)


def test_sound_is_as_long_as_the_speech() -> None:
    tone = (8000 * np.sin(np.arange(2 * SPEECH_HZ) / 20)).astype(np.int16)
    data = encode_mp4(_frames(), 6, speech=tone)
    assert data == encode_mp4(_frames(), 6, speech=tone)
    with av.open(io.BytesIO(data), "r") as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        samples = sum(f.samples for f in container.decode(audio=0))
    assert abs(samples - len(tone)) < 4096


@pytest.mark.parametrize("frames", [[], [np.zeros((33, 32, 3), dtype=np.uint8)]])
def test_what_cannot_be_encoded(frames: list[np.ndarray]) -> None:
    with pytest.raises(InputError):
        encode_mp4(frames, 4)
