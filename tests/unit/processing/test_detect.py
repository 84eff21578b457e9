"""Kinds of files, from their content only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.detect import detect_kind
from nanovl.processing.media import Limits
from nanovl.testing import pdf_bytes, picture, picture_bytes, video

LIMITS = Limits()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"])
def test_pictures(format: str) -> None:
    assert detect_kind(MediaRef.of(picture_bytes(picture(8, 8), format)), LIMITS) == "image"


def test_documents() -> None:
    assert detect_kind(MediaRef.of(pdf_bytes()), LIMITS) == "document"
    assert detect_kind(MediaRef.of(b"\n\n" + pdf_bytes()), LIMITS) == "document"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.mov"])
def test_videos_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    path = video(tmp_path / name, 4, codec="mpeg4")
    assert detect_kind(MediaRef.of(path), LIMITS) == "video"
    renamed = path.rename(tmp_path / "picture.png")
    assert detect_kind(MediaRef.of(renamed), LIMITS) == "video"


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("mp3", "libmp3lame"),
        ("ogg", "libopus"),
        ("mp4", "aac"),
        ("flac", "flac"),
        ("adts", "aac"),
        ("matroska", "aac"),
    ],
)
def test_sound(container: str, codec: str, tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound"), "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    assert detect_kind(MediaRef.of(tmp_path / "sound"), LIMITS) == "audio"


def test_memory() -> None:
    assert detect_kind(MediaRef.of(picture()), LIMITS) == "image"
    assert detect_kind(MediaRef.of(np.zeros((4, 4, 3), np.uint8)), LIMITS) == "image"
    assert detect_kind(MediaRef.of(np.zeros((2, 4, 4, 3), np.uint8)), LIMITS) == "video"
    assert detect_kind(MediaRef.of([picture(), picture()]), LIMITS) == "video"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"plain text, nothing else", "not a picture, PDF, video or sound file"),
        ("BOM and text".encode("utf-16"), "not a picture, PDF, video or sound file"),
        (b"PK\x03\x04rest", "export it as PDF"),
        (b"\xd0\xcf\x11\xe0rest", "export it as PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "convert it to JPEG"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 99, "not a readable video"),
        (b"\xff\xff\xff\xff", "not a picture"),
    ],
)
def test_everything_else_says_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect_kind(MediaRef(data=data, name="file"), LIMITS)


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    target = video(tmp_path / "v.mp4", 4)
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{target}\n",
        f"ffconcat version 1.0\nfile {target}\n",
    ):
        with pytest.raises(InputError, match="not a picture, PDF, video or sound"):
            detect_kind(MediaRef.of(text.encode()), LIMITS)


def test_size_limits_hold(tmp_path: Path) -> None:
    path = video(tmp_path / "v.mp4", 4)
    with pytest.raises(InputError, match="limit"):
        detect_kind(
            MediaRef.of(path),
            Limits(
                max_video_bytes=10, max_image_bytes=20, max_audio_bytes=20, max_document_bytes=20
            ),
        )


def test_an_empty_file_is_not_called_a_video(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(InputError, match=r"empty\.png: is empty"):
        detect_kind(MediaRef(path=path), Limits())
