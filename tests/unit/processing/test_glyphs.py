"""Text in pictures: widths, and characters no font has."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nanovl.processing.glyphs import shortened, width_of, write


def drawn(text: str) -> np.ndarray:
    image = Image.new("L", (400, 40), 255)
    write(ImageDraw.Draw(image), 10, 20, text, 18, "#000000")
    return np.asarray(image)


def columns(pixels: np.ndarray) -> np.ndarray:
    """Columns with ink."""
    return np.flatnonzero((pixels < 200).any(axis=0))


@pytest.mark.parametrize("text", ["Hello", "\u4f60\u597d", "a\ue123b", "\x07"], ids=ascii)
def test_ink_stays_within_the_width(text: str) -> None:
    inked = columns(drawn(text))
    assert inked[0] >= 9
    assert inked[-1] <= 11 + width_of(text, 18)
    assert inked[-1] >= 10 + width_of(text, 18) * 0.6


def test_characters_without_a_shape_can_be_told_apart() -> None:
    first, second = drawn("\ue123"), drawn("\ue124")
    assert (first != second).any()
    assert width_of("\ue123", 18) == width_of("\ue124", 18)


def test_widths_add_up() -> None:
    assert width_of("", 18) == 0
    assert width_of("a\ue123", 18) == pytest.approx(width_of("a", 18) + width_of("\ue123", 18))
    assert width_of("Hello", 36) == pytest.approx(2 * width_of("Hello", 18), rel=0.1)


def test_shortened() -> None:
    assert shortened("short", 18, 500) == "short"
    cut = shortened("a long name " * 30, 18, 200)
    assert cut.endswith("...")
    assert 150 < width_of(cut, 18) <= 200
    assert shortened("anything", 18, 1) == "..."
