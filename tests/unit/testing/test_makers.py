"""Pictures, videos and PDFs made for tests are what their arguments say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pypdfium2
import pytest
from PIL import Image

from nanovl.testing import pdf, pdf_bytes, picture, picture_bytes, video


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "1"])
def test_picture_modes(mode: str) -> None:
    image = picture(20, 10, mode=mode)
    assert image.mode == mode
    assert image.size == (20, 10)


@pytest.mark.parametrize("kind", ["gradient", "noise", "checker", "solid", "text"])
def test_picture_kinds_are_repeatable(kind: Any) -> None:
    first = np.asarray(picture(40, 30, kind, seed=3))
    again = np.asarray(picture(40, 30, kind, seed=3))
    assert first.shape == (30, 40, 3)
    assert np.array_equal(first, again)
    if kind != "solid":
        assert first.std() > 1
    if kind != "text":
        assert not np.array_equal(first, np.asarray(picture(40, 30, kind, seed=4)))


def test_picture_of_one_pixel() -> None:
    assert picture(1, 1).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_picture_bytes(format: str) -> None:
    with Image.open(io.BytesIO(picture_bytes(picture(8, 6), format))) as image:
        assert image.format == format
        assert image.size == (8, 6)


def frames_of(path: Path) -> tuple[list[float], list[int]]:
    """Times and background values of the frames in a file."""
    times, values = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            times.append(round(float(frame.time or 0), 3))
            values.append(int(frame.to_ndarray(format="rgb24")[-1, 0, 0]))
    return times, values


def test_video_frames_can_be_told_apart(tmp_path: Path) -> None:
    times, values = frames_of(video(tmp_path / "a.mp4", 10, 5.0))
    assert times == [round(i / 5, 3) for i in range(10)]
    assert [round((v - 16) / 8) for v in values] == list(range(10))


def test_video_with_variable_rate(tmp_path: Path) -> None:
    path = video(tmp_path / "b.mp4", 4, times_s=[0, 0.1, 0.5, 2.0])
    assert frames_of(path)[0] == [0, 0.1, 0.5, 2.0]
    with pytest.raises(ValueError, match="3 times for 4 frames"):
        video(tmp_path / "c.mp4", 4, times_s=[0, 0.1, 0.5])


def test_video_with_sound(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", 8, 8.0, tone_hz=440)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(sound)])
        assert sound.rate == 16000
    assert 15000 <= len(samples) <= 18000
    peak = np.abs(np.fft.rfft(samples[:16000])).argmax()
    assert abs(int(peak) * 16000 / len(samples[:16000]) - 440) < 3


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.mkv", "ffv1")])
def test_video_codecs(tmp_path: Path, name: str, codec: str) -> None:
    times, _ = frames_of(video(tmp_path / name, 3, 8.0, codec=codec))
    assert len(times) == 3


def texts_of(data: bytes, password: str | None = None) -> list[str]:
    document = pypdfium2.PdfDocument(data, password=password)
    try:
        texts = []
        for page in document:
            text_page = page.get_textpage()
            texts.append(text_page.get_text_bounded())
            text_page.close()
            page.close()
        return texts
    finally:
        document.close()


def test_pdf_pages_and_text(tmp_path: Path) -> None:
    path = pdf(tmp_path / "a.pdf", 3)
    assert texts_of(path.read_bytes()) == ["Page 1 of 3", "Page 2 of 3", "Page 3 of 3"]
    assert texts_of(pdf_bytes(2, ["a (b) \\", "one\ntwo"])) == ["a (b) \\", "one\r\ntwo"]
    with pytest.raises(ValueError, match="1 texts for 2 pages"):
        pdf_bytes(2, ["a"])


def test_pdf_page_size() -> None:
    document = pypdfium2.PdfDocument(pdf_bytes(size=(200, 100.5)))
    assert document.get_page_size(0) == (200, 100.5)
    document.close()


def test_pdf_with_password() -> None:
    data = pdf_bytes(1, "secret", password="open sesame")
    assert b"secret" not in data
    assert texts_of(data, "open sesame") == ["secret"]
    with pytest.raises(pypdfium2.PdfiumError, match="password"):
        pypdfium2.PdfDocument(data, password="wrong")
