"""Pictures as numbers: prints that survive compression, and what a page is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nanovl.core.errors import InputError
from nanovl.synth.quality.images import distance, look


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, 200, 2).tolist()
        colour = tuple(rng.integers(0, 200, 3).tolist())
        draw.rectangle((x, y, x + 60, y + 30), fill=colour)
    return image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_prints_survive_compression_and_scaling() -> None:
    for seed in range(8):
        image = picture(seed)
        first = look(encoded(image)).print
        assert distance(first, look(encoded(image, "JPEG", quality=40)).print) <= 4
        assert distance(first, look(encoded(image.resize((500, 375)))).print) <= 4


def test_prints_of_others_are_far() -> None:
    prints = [look(encoded(picture(seed))).print for seed in range(12)]
    far = [distance(a, b) for i, a in enumerate(prints) for b in prints[:i]]
    assert min(far) > 4
    assert np.mean(far) > 20


def test_a_blank_page_is_uniform_and_without_contrast() -> None:
    blank = look(encoded(Image.new("RGB", (300, 200), (240, 240, 240))))
    assert blank.uniform == 1.0
    assert blank.contrast == pytest.approx(1.0)
    assert (blank.width, blank.height) == (300, 200)
    full = look(encoded(picture(1)))
    assert full.uniform < 0.9
    assert full.contrast > 2


def test_contrast_is_that_of_wcag() -> None:
    image = Image.new("L", (64, 64), 255)
    image.paste(0, (0, 0, 32, 64))
    assert look(encoded(image)).contrast == pytest.approx(21.0, abs=0.01)


def test_metadata_of_a_camera_is_seen() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    assert look(encoded(picture(1), "JPEG", exif=exif)).has_exif
    assert not look(encoded(picture(1), "JPEG")).has_exif


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(picture(1))[:500]])
def test_what_cannot_be_decoded(data: bytes) -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        look(data)
