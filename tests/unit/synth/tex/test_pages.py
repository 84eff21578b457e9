"""Pictures of pages are plain PNG, grey where nothing has a colour."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nanovl.synth.tex.pages import png_bytes


@pytest.mark.parametrize(("has_color", "mode"), [(False, "L"), (True, "RGB")])
def test_a_picture_comes_back_pixel_by_pixel(has_color: bool, mode: str) -> None:
    values = np.random.default_rng(3).integers(0, 256, (37, 53, 1), np.uint8)
    pixels = np.repeat(values, 3, axis=2)
    if has_color:
        pixels[5, 7, 2] ^= 1
    data = png_bytes(pixels)
    assert data == png_bytes(pixels)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == mode
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)
