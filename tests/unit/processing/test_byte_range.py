"""Media that is a range of a larger file: read like a file of its own, everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from nanovl.core.conversation import (
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.processing.attachments import attach
from nanovl.processing.config import ProcessorConfig
from nanovl.processing.images import image_size, open_image
from nanovl.processing.media import Limits, localize, open_media, read_media
from nanovl.processing.opening import MediaOpener
from nanovl.processing.pdf import page_count
from nanovl.processing.video import load_frames, probe
from nanovl.testing import pdf_bytes, picture, picture_bytes, video as write_video

LIMITS = Limits.local()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_video(tmp_path_factory.mktemp("clip") / "v.mp4", 8).read_bytes()


def inside(folder: Path, data: bytes, name: str, *, after: bytes = b"behind" * 500) -> MediaRef:
    """The data in the middle of a file."""
    path = folder / "shard.tar"
    before = b"before" * 333
    path.write_bytes(before + data + after)
    return MediaRef(path=path, byte_range=(len(before), len(data)), name=name)


def test_it_reads_like_a_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 100
    with open_media(inside(tmp_path, data, "a.bin"), "image", LIMITS) as source:
        expected = io.BytesIO(data)
        for method, *values in [
            ("read", 10),
            ("tell",),
            ("seek", -5, io.SEEK_END),
            ("read",),
            ("read",),
            ("seek", 3),
            ("seek", 20_000, io.SEEK_CUR),
            ("read", 1000),
            ("seek", 99_999),
            ("read", 1),
            ("seek", 0),
            ("read",),
        ]:
            assert getattr(source, method)(*values) == getattr(expected, method)(*values)
        assert source.seekable()
        assert not source.writable()
        with pytest.raises((ValueError, OSError)):
            source.seek(-1)
    assert source.closed
    with pytest.raises(ValueError, match="closed"):
        source.read()


def test_it_passes_through_unchanged(tmp_path: Path) -> None:
    ref = inside(tmp_path, b"abc", "a.bin")
    assert localize(ref, "image", LIMITS) is ref
    assert read_media(ref, "image", LIMITS) == b"abc"


def test_a_range_beyond_the_end(tmp_path: Path) -> None:
    ref = inside(tmp_path, b"abc" * 1000, "a.png", after=b"")
    assert ref.path is not None
    ref.path.write_bytes(ref.path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.png: bytes 1998 to 4998 of .*shard\.tar.* has 4997"):
        read_media(ref, "image", LIMITS)
    with pytest.raises(InputError, match=r"a\.txt: .*shard\.tar.* bytes 1998 to 4998"):
        attach(MediaRef(path=ref.path, byte_range=ref.byte_range, name="a.txt"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    ref = inside(tmp_path, bytes(100_000), "a.png", after=b"")
    assert ref.path is not None
    with open_media(ref, "image", LIMITS) as source:
        source.read(10)
        with ref.path.open("r+b") as file:
            file.truncate(50_000)
        with pytest.raises(InputError, match=r"a\.png: .*ends inside bytes 1998 to 101998"):
            source.read()


def test_limits_are_about_the_range(tmp_path: Path) -> None:
    small = Limits(max_image_bytes=100)
    assert read_media(inside(tmp_path, b"x" * 100, "a.png"), "image", small) == b"x" * 100
    with pytest.raises(InputError, match="image has 101 bytes, limit 100"):
        read_media(inside(tmp_path, b"x" * 101, "a.png"), "image", small)
    with pytest.raises(InputError, match="empty"):
        read_media(inside(tmp_path, b"", "a.png"), "image", small)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_pictures(format: str, tmp_path: Path) -> None:
    data = picture_bytes(picture(70, 40), format)
    ref = inside(tmp_path, data, "a")
    assert image_size(ref, LIMITS) == (70, 40)
    direct = np.asarray(open_image(MediaRef(data=data), LIMITS))
    assert np.array_equal(np.asarray(open_image(ref, LIMITS)), direct)


def test_videos(clip: bytes, tmp_path: Path) -> None:
    ref, direct = inside(tmp_path, clip, "v.mp4"), MediaRef(data=clip)
    info = probe(ref, LIMITS)
    assert info == probe(direct, LIMITS)
    frames, expected = (load_frames(r, [0, 5, 7], (32, 32), limits=LIMITS) for r in (ref, direct))
    assert torch.equal(frames, expected)


def test_documents(tmp_path: Path) -> None:
    data = pdf_bytes()
    expected = page_count(MediaRef(data=data), LIMITS)
    assert page_count(inside(tmp_path, data, "d.pdf"), LIMITS) == expected


def test_attachments_are_recognised_by_the_range(clip: bytes, tmp_path: Path) -> None:
    data = picture_bytes(picture(20, 20))
    part = attach(inside(tmp_path, data, "a"))
    assert isinstance(part, ImagePart)
    assert part.source.byte_range == (1998, len(data))
    assert isinstance(attach(inside(tmp_path, pdf_bytes(), "d")), DocumentPart)
    assert isinstance(attach(inside(tmp_path, clip, "v")), VideoPart)
    assert attach(inside(tmp_path, b"hello", "n.txt")) == TextPart(text="n.txt:\nhello\n\n")


def test_ranges_of_one_file_are_not_confused(clip: bytes, tmp_path: Path) -> None:
    one, two = pdf_bytes(), clip
    path = tmp_path / "shard.tar"
    path.write_bytes(two + one + one)
    opener = MediaOpener(ProcessorConfig(), LIMITS, None)
    first = MediaRef(path=path, byte_range=(len(two), len(one)), name="d.pdf")
    video = MediaRef(path=path, byte_range=(0, len(two)), name="v.mp4")
    second = MediaRef(path=path, byte_range=(len(two) + len(one), len(one)), name="e.pdf")
    refs = [DocumentPart(source=first), VideoPart(source=video), DocumentPart(source=second)]
    (opened,) = opener.open(Conversation.user("x", refs))
    assert [i.ref.byte_range for i in opened.images] == [
        ref.byte_range for ref in (first, second) for _ in range(page_count(first, LIMITS))
    ]
    assert len(opener._memo._entries) == 3
