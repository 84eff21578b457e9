"""Videos of every kind the decoder may meet, and lists of frames."""

from __future__ import annotations

import base64
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing import video as module
from nanovl.processing.media import Limits
from nanovl.processing.pixels import to_pixels
from nanovl.processing.sampling import select_frames
from nanovl.processing.video import load_frames, probe
from nanovl.testing import picture, picture_bytes, video

LIMITS = Limits()
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "video"


def encode(
    path: Path,
    frames: int = 60,
    fps: int = 30,
    *,
    codec: str = "libx264",
    gop: int = 12,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (96, 64),
    turn: tuple[float, bool, bool] | None = None,
    faststart: bool = False,
    format: str | None = None,
) -> Path:
    """Frame i is grey of value 4 * i; several details the kit's maker leaves out."""
    mux = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", format=format, options=mux) as out:
        stream: Any = out.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), 4 * i % 256, np.uint8)
            if turn is not None:  # dark top left quarter on white
                pixels[:] = 255
                pixels[: size[1] // 2, : size[0] // 2] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def greys(source: Any, indices: Any, limits: Limits = LIMITS) -> list[float]:
    """Mean grey of loaded frames, divided by 4: the frame number of `encode`."""
    pixels = load_frames(
        MediaRef.of(source),
        indices,
        (8, 8),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype=torch.float32,
        limits=limits,
    )
    assert pixels.shape == (len(indices), 3, 8, 8)
    return (pixels.mean((1, 2, 3)) * 255 / 4).tolist()


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "mpeg4"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.mkv", "mjpeg"),
        ("a.mp4", "libx265"),
    ],
)
def test_containers_and_codecs(name: str, codec: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(tmp_path / name, 30, codec=codec, options=options)
    info = probe(MediaRef.of(path), LIMITS)
    assert (info.width, info.height, info.frames) == (96, 64, 30)
    assert info.fps == pytest.approx(30)
    assert info.duration_s == pytest.approx(1)
    assert not info.is_variable
    assert not info.has_audio
    assert greys(path, [0, 7, 20, 29]) == pytest.approx([0, 7, 20, 29], abs=0.9)


def test_from_memory(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mp4").read_bytes()
    url = "data:video/mp4;base64," + base64.b64encode(data).decode()
    for source in (data, url):
        assert probe(MediaRef.of(source), LIMITS).frames == 60
        assert greys(source, [30]) == pytest.approx([30], abs=0.6)


@pytest.mark.parametrize("gop", [1, 2, 3, 6, 60])
@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_seeking_and_decoding_through_agree(gop: int, b_frames: str, tmp_path: Path) -> None:
    options = {"bf": b_frames, "sc_threshold": "0"}
    path = encode(tmp_path / "a.mp4", 60, gop=gop, options=options)
    for indices in ([0], [59], [17], [0, 31, 59], [11, 12], [5, 5, 6]):
        assert greys(path, indices) == pytest.approx(indices, abs=0.6)
    assert greys(path, range(60)) == pytest.approx(list(range(60)), abs=0.6)


def test_seeking_is_used_only_when_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for name in ("_decode_by_seeking", "_decode_through"):
        real = getattr(module, name)

        def spy(*args: Any, _real: Any = real, _name: str = name) -> Any:
            used.append(_name)
            return _real(*args)

        monkeypatch.setattr(module, name, spy)
    path = encode(tmp_path / "a.mp4", 60, gop=5, options={"sc_threshold": "0"})  # 12 key frames
    greys(path, [1, 20, 40])
    greys(path, [1, 20, 40, 59])
    assert used == ["_decode_by_seeking", "_decode_through"]


def test_a_landing_behind_the_target_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.mp4", 60, gop=3, options={"sc_threshold": "0", "bf": "0"})
    real = module._decode
    calls = []

    def late(container: Any, stream: Any) -> Any:
        calls.append(1)
        frames = real(container, stream)
        if len(calls) == 1:  # as if the container's index pointed one group too far
            frames = (f for i, f in enumerate(frames) if i > 5)
        return frames

    monkeypatch.setattr(module, "_decode", late)
    assert greys(path, [32]) == pytest.approx([32], abs=0.6)
    assert len(calls) == 2


def test_pixels_are_those_of_one_resized_picture(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mkv", 3)
    with av.open(str(path)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    loaded = load_frames(MediaRef.of(path), [0], (32, 32), limits=LIMITS)
    assert loaded.dtype == torch.bfloat16
    assert torch.equal(loaded[0], to_pixels(pixels, (32, 32)))


def test_variable_frame_rate_goes_by_time(tmp_path: Path) -> None:
    # Two seconds of stillness after a burst: counting would call frame 8 "half way".
    times = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 3.2]
    path = video(tmp_path / "a.mkv", 10, 10, times_s=times)
    info = probe(MediaRef.of(path), LIMITS)
    assert info.is_variable
    assert info.frames == 10
    assert info.fps == pytest.approx(9 / 3.2, rel=1e-3)
    pixels = load_frames(
        MediaRef.of(path),
        range(10),
        (48, 64),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype=torch.float32,
        limits=LIMITS,
    )
    shown = ((pixels[:, 0, 40, 40] * 255 - 16) / 8).round().int().tolist()
    expected = [max(k for k, t in enumerate(times) if t <= i * 3.2 / 9 + 1e-3) for i in range(10)]
    assert shown == expected


def test_small_jitter_is_not_variable(tmp_path: Path) -> None:
    times = [i / 10 + (0.01 if i % 3 == 1 else 0) for i in range(20)]
    info = probe(MediaRef.of(video(tmp_path / "a.mkv", 20, 10, times_s=times)), LIMITS)
    assert not info.is_variable
    assert info.fps == pytest.approx(10)


def test_one_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 1)
    info = probe(MediaRef.of(path), LIMITS)
    assert info.frames == 1
    assert greys(path, select_frames(info.frames, info.fps)) == pytest.approx([0], abs=0.6)


def test_sound_is_noticed(tmp_path: Path) -> None:
    with_sound = video(tmp_path / "a.mp4", 8, tone_hz=440.0)
    without = video(tmp_path / "b.mp4", 8)
    assert probe(MediaRef.of(with_sound), LIMITS).has_audio
    assert not probe(MediaRef.of(without), LIMITS).has_audio


@pytest.mark.parametrize(
    ("turn", "dark_corner"),
    [
        ((0, False, False), (0, 0)),
        ((90, False, False), (1, 0)),  # counter-clockwise: top left goes to bottom left
        ((180, False, False), (1, 1)),
        ((-90, False, False), (0, 1)),
        ((0, True, False), (0, 1)),
        ((0, False, True), (1, 0)),
        ((90, True, False), (1, 1)),
    ],
)
def test_display_matrix(
    turn: tuple[float, bool, bool], dark_corner: tuple[int, int], tmp_path: Path
) -> None:
    path = encode(tmp_path / "a.mp4", 3, codec="mpeg4", turn=turn)
    info = probe(MediaRef.of(path), LIMITS)
    is_turned = abs(turn[0]) == 90
    assert (info.width, info.height) == ((64, 96) if is_turned else (96, 64))
    pixels = load_frames(MediaRef.of(path), [1], (16, 16), dtype=torch.float32, limits=LIMITS)[0, 0]
    corners = {(r, c): float(pixels[2 + 11 * r, 2 + 11 * c]) for r in (0, 1) for c in (0, 1)}
    assert min(corners, key=corners.__getitem__) == dark_corner


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264")],
)
def test_cut_off_videos_give_what_is_there(
    name: str, codec: str, share: float, tmp_path: Path
) -> None:
    whole = encode(tmp_path / name, codec=codec, size=(320, 240), faststart=name.endswith("4"))
    data = whole.read_bytes()
    if name == "a.mp4":  # its index comes first; cut the pictures behind it
        start = data.index(b"mdat")
        data = data[: start + int((len(data) - start) * share)]
    else:
        data = data[: int(len(data) * share)]
    info = probe(MediaRef.of(data), LIMITS)
    assert 1 <= info.frames < 60
    indices = select_frames(info.frames, info.fps)
    assert len(greys(data, indices)) == len(indices)


def test_an_index_at_the_end_that_is_cut_off(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mp4").read_bytes()[:-200]
    with pytest.raises(InputError, match="not a readable video file, or cut off before its index"):
        probe(MediaRef.of(data), LIMITS)


def test_damaged_frames_are_replaced_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encode(tmp_path / "a.mkv", 20, codec="mjpeg")
    real = module._decode
    monkeypatch.setattr(
        module, "_decode", lambda *a: (f for i, f in enumerate(real(*a)) if i not in (4, 5, 18, 19))
    )
    with caplog.at_level(logging.WARNING):
        assert greys(path, range(2, 20, 2)) == pytest.approx(
            [2, 6, 6, 8, 10, 12, 14, 16, 17], abs=0.6
        )
    assert "2 of 9 frames do not decode" in caplog.text


def test_random_damage_gives_frames_or_one_clear_error(tmp_path: Path) -> None:
    good = encode(tmp_path / "a.mp4", 12).read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(25):
        data = bytearray(good)
        for position in rng.integers(0, len(data), 8):
            data[position] = rng.integers(0, 256)
        try:
            info = probe(MediaRef.of(bytes(data)), LIMITS)
            load_frames(MediaRef.of(bytes(data)), [0, info.frames - 1], (8, 8), limits=LIMITS)
            outcomes.add("frames")
        except InputError:  # anything else fails the test
            outcomes.add("error")
    assert outcomes == {"frames", "error"}


def test_no_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", 3)
    data = path.read_bytes()
    start = data.index(bytes.fromhex("1f43b675"))  # the first cluster
    with pytest.raises(InputError, match=r"no readable frames|not a readable video"):
        probe(MediaRef.of(data[:start]), LIMITS)


def test_sound_only(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(InputError, match=r"a\.mp4: has no video track"):
        probe(MediaRef.of(tmp_path / "a.mp4"), LIMITS)


@pytest.mark.parametrize("codec", ["jpeg2000", "ffv1"])
def test_codecs_off_the_list(codec: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", 3, codec=codec)
    for call in (lambda: probe(MediaRef.of(path), LIMITS), lambda: greys(path, [0])):
        with pytest.raises(InputError, match=f"video codec '{codec}' is not opened.*h264"):
            call()


@pytest.mark.parametrize("data", [b"junk" * 300, b"#EXTM3U\nhttp://example.org/a.ts\n"])
def test_no_video(data: bytes) -> None:
    with pytest.raises(InputError, match=r"v\.mp4: not a readable video"):
        probe(MediaRef(data=data, name="v.mp4"), LIMITS)


def test_raw_streams_and_playlists_are_no_containers(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", 3, format="h264")
    with pytest.raises(InputError, match="not a readable video"):
        probe(MediaRef.of(path), LIMITS)


def test_limits(tmp_path: Path) -> None:
    ref = MediaRef.of(encode(tmp_path / "a.mp4", 60))
    with pytest.raises(InputError, match="96x64 pixels, limit 64 per side"):
        probe(ref, Limits(max_video_side=64))
    with pytest.raises(InputError, match="limit 64 per side"):
        greys(ref, [0], Limits(max_video_side=64))
    with pytest.raises(InputError, match="video of 2 s, limit 1 s"):
        probe(ref, Limits(max_video_s=1.0))
    with pytest.raises(InputError, match="3 frames wanted, limit 2"):
        greys(ref, [0, 1, 2], Limits(max_frames=2))
    with pytest.raises(InputError, match="the video has 60"):
        greys(ref, [60])
    with pytest.raises(InputError, match="must be given and rise"):
        greys(ref, [2, 1])
    with pytest.raises(InputError, match="must be given"):
        greys(ref, [])


def test_a_video_that_grows_in_the_middle(tmp_path: Path) -> None:
    # Two transport streams glued together: the second shows larger frames.
    small = encode(tmp_path / "a.ts", 10, size=(96, 64)).read_bytes()
    large = encode(tmp_path / "b.ts", 10, size=(640, 480)).read_bytes()
    limits = Limits(max_video_side=200)
    info = probe(MediaRef.of(small + large), limits)
    with pytest.raises(InputError, match=r"640x480 pixels, limit 200 per side"):
        greys(small + large, range(info.frames), limits)


def test_frame_lists() -> None:
    frames = [picture(20, 10, "solid", seed=i) for i in range(5)]
    arrays = np.stack([np.asarray(f) for f in frames])
    encoded = [picture_bytes(f) for f in frames]
    for source in (frames, tuple(frames), arrays, encoded):
        ref = MediaRef(array=source)
        info = probe(ref, LIMITS)
        assert (info.width, info.height, info.frames, info.fps) == (20, 10, 5, 2.0)
        assert info.duration_s == 2.5
        assert probe(ref, LIMITS, fps=5).duration_s == 1.0
        loaded = load_frames(ref, [0, 3], (16, 16), limits=LIMITS)
        assert torch.equal(loaded[1], to_pixels(frames[3], (16, 16)))


def test_frames_in_a_data_url() -> None:
    parts = [base64.b64encode(picture_bytes(picture(8, 8), "JPEG")).decode() for _ in range(3)]
    ref = MediaRef.of("data:video/jpeg;base64," + ",".join(parts))
    assert probe(ref, LIMITS).frames == 3
    assert load_frames(ref, [0, 1, 2], (8, 8), limits=LIMITS).shape == (3, 3, 8, 8)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([], "is empty"),
        (picture(), "sequence of pictures"),
        (7, "sequence of pictures"),
        (np.zeros((4, 4, 3), np.uint8), "expected uint8"),
        ([b"no picture"], "frame 1: not a readable picture"),
        ([picture()] * 129, "129 frames in a list, limit 128"),
    ],
)
def test_frame_lists_that_are_none(array: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe(MediaRef(array=array), LIMITS)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="sample videos are not here")
@pytest.mark.parametrize(
    ("name", "frames", "fps", "n"),
    [("basketball.mp4", 333, 30_000 / 1001, 22), ("tree_static_camera.mp4", 449, 15, 59)],
)
def test_real_samples(name: str, frames: int, fps: float, n: int) -> None:
    ref = MediaRef.of(SAMPLES / name)
    info = probe(ref, LIMITS)
    assert info.frames == frames
    assert info.fps == pytest.approx(fps, rel=1e-3)
    indices = select_frames(info.frames, info.fps)
    assert len(indices) == n
    pixels = load_frames(ref, indices, (64, 64), limits=LIMITS)
    assert pixels.shape == (n, 3, 64, 64)
    assert pixels.isfinite().all()
