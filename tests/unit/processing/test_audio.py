"""Sound of every container, cut, late, damaged, missing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.audio import SAMPLE_RATE, decode_audio
from nanovl.processing.media import Limits
from nanovl.testing import picture_bytes, video

LIMITS = Limits()
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "audio"


def tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write(
    path: Path,
    samples: np.ndarray,
    rate: int = 48_000,
    *,
    codec: str = "pcm_s16le",
    layout: str = "stereo",
    format: str | None = None,
    begins_s: float = 0.0,
) -> Path:
    """Write samples to all channels of a file."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w", format=format) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, samples.size, 4096):
            block = np.repeat(samples[None, start : start + 4096], channels, axis=0)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
            frame.sample_rate = rate
            frame.time_base = Fraction(1, rate)
            frame.pts = start + round(begins_s * rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * SAMPLE_RATE / samples.size)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s16le", 16_000, "mono"),
        ("a.wav", "pcm_s16le", 44_100, "stereo"),
        ("a.wav", "pcm_f32le", 8_000, "mono"),
        ("a.mp3", "libmp3lame", 44_100, "stereo"),
        ("a.ogg", "libopus", 48_000, "stereo"),
        ("a.flac", "flac", 48_000, "mono"),
        ("a.m4a", "aac", 44_100, "5.1"),
        ("a.mkv", "ac3", 48_000, "stereo"),
    ],
)
def test_formats(name: str, codec: str, rate: int, layout: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, tone(1.0, rate), rate, codec=codec, layout=layout)
    samples = decode_audio(MediaRef.of(path), LIMITS)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.size == pytest.approx(SAMPLE_RATE, abs=0.06 * SAMPLE_RATE)
    assert pitch(samples) == pytest.approx(440, abs=2)
    assert 0.3 < np.abs(samples).max() < 0.75 or layout == "5.1"


def test_values_survive(tmp_path: Path) -> None:
    samples = tone(0.5, SAMPLE_RATE)
    path = write(tmp_path / "a.wav", samples, SAMPLE_RATE, layout="mono")
    np.testing.assert_allclose(decode_audio(MediaRef.of(path), LIMITS), samples, atol=1e-4)


def test_sound_of_a_video(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mp4", 16, 8, tone_hz=300.0)
    samples = decode_audio(MediaRef.of(path), LIMITS, kind="video")
    assert samples.size / SAMPLE_RATE == pytest.approx(2, abs=0.1)
    assert pitch(samples) == pytest.approx(300, abs=2)


def test_a_part(tmp_path: Path) -> None:
    ramp = np.linspace(0, 0.9, 3 * SAMPLE_RATE, dtype=np.float32)
    path = write(tmp_path / "a.wav", ramp, SAMPLE_RATE, layout="mono")
    part = decode_audio(MediaRef.of(path), LIMITS, start_s=1.0, end_s=1.5)
    assert part.size == SAMPLE_RATE // 2
    np.testing.assert_allclose(part, ramp[SAMPLE_RATE : SAMPLE_RATE * 3 // 2], atol=1e-3)
    assert decode_audio(MediaRef.of(path), LIMITS, start_s=2.5).size == SAMPLE_RATE // 2
    assert decode_audio(MediaRef.of(path), LIMITS, end_s=0.25).size == SAMPLE_RATE // 4
    assert decode_audio(MediaRef.of(path), LIMITS, start_s=9.0).size == 0
    for bad in ((-1.0, None), (1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(InputError, match="not a part"):
            decode_audio(MediaRef.of(path), LIMITS, start_s=bad[0], end_s=bad[1])


def test_sound_that_begins_after_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("mpeg4", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        sound = out.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        sound.codec_context.time_base = Fraction(1, SAMPLE_RATE)
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        samples = np.full((1, 4096), 16_000, np.int16)
        for k in range(4):
            block = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            block.sample_rate, block.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            block.pts = SAMPLE_RATE + 4096 * k
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    samples = decode_audio(MediaRef.of(path), LIMITS, kind="video")
    assert np.abs(samples[: SAMPLE_RATE - 100]).max() == 0
    assert np.abs(samples[SAMPLE_RATE + 100 :]).min() > 0.4
    late = decode_audio(MediaRef.of(path), LIMITS, kind="video", start_s=0.5, end_s=1.5)
    assert late.size == SAMPLE_RATE
    assert np.flatnonzero(late)[0] == pytest.approx(SAMPLE_RATE // 2, abs=50)


def test_length_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(2, SAMPLE_RATE), SAMPLE_RATE, layout="mono")
    with pytest.raises(InputError, match=r"a\.wav: sound is longer than the limit of 1 s"):
        decode_audio(MediaRef.of(path), Limits(max_audio_s=1.0))
    part = decode_audio(MediaRef.of(path), Limits(max_audio_s=1.0), start_s=0.5, end_s=1.5)
    assert part.size == SAMPLE_RATE


def test_byte_limits_follow_the_kind(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mp4", 8, tone_hz=440.0)
    tight = Limits(max_audio_bytes=100)
    assert decode_audio(MediaRef.of(path), tight, kind="video").size > 0
    with pytest.raises(InputError, match="max_audio_bytes"):
        decode_audio(MediaRef.of(path), tight)


def test_video_without_sound(tmp_path: Path) -> None:
    path = video(tmp_path / "silent.mp4", 4)
    with pytest.raises(InputError, match=r"silent\.mp4: has no audio track"):
        decode_audio(MediaRef.of(path), LIMITS, kind="video")


def test_cut_off_sound_gives_what_is_there(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mp3", tone(4, 44_100), 44_100, codec="libmp3lame").read_bytes()
    samples = decode_audio(MediaRef.of(whole[: len(whole) // 2]), LIMITS)
    assert samples.size / SAMPLE_RATE == pytest.approx(2, abs=0.3)
    assert pitch(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no sound " * 100, "not a readable audio file"),
        (picture_bytes(), "not a readable audio file"),
    ],
)
def test_no_sound_at_all(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_audio(MediaRef.of(data), LIMITS)


def test_a_header_without_samples(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.wav", tone(1, SAMPLE_RATE), SAMPLE_RATE, layout="mono").read_bytes()
    with pytest.raises(InputError, match=r"no sound decodes|not a readable audio"):
        decode_audio(MediaRef.of(whole[: whole.index(b"data") + 8]), LIMITS)


def test_codecs_off_the_list(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", tone(0.5, 48_000), codec="wavpack")
    with pytest.raises(InputError, match="audio codec 'wavpack' is not opened"):
        decode_audio(MediaRef.of(path), LIMITS)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="sample sound is not here")
def test_real_sample() -> None:
    path = next(iter(sorted(SAMPLES.glob("*0880.wav"))))
    samples = decode_audio(MediaRef.of(path), LIMITS)
    assert samples.size / SAMPLE_RATE == pytest.approx(2.99, abs=0.01)
