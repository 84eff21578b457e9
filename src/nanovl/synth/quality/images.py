"""Pictures as numbers: a 64-bit print, how uniform they are, how much contrast they have.

Source: data synthesis specification, section 19; the print is the usual DCT hash (Zauner, 2010).
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from nanovl.core.errors import InputError

__all__ = ["Look", "distance", "look"]

F64 = npt.NDArray[np.float64]

_SIDE = 32  # of the small gray picture the print is taken from
_KEPT = 8
_NEAR = 3 / 255  # gray levels that count as one
_EDGE = 0.001  # share of pixels that are left out at both ends of the range


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a picture looks like.

    Attributes:
        width, height: In pixels.
        print: 64-bit DCT hash, unsigned.
        uniform: Share of a 32 x 32 grid of cells that have the commonest gray.
        contrast: Ratio of the luminances of its lightest and darkest part, at least 1.
        has_exif: Whether it carries a camera's metadata.
    """

    width: int
    height: int
    print: int
    uniform: float
    contrast: float
    has_exif: bool


def look(data: bytes) -> Look:
    """Decode a picture and measure it.

    Raises:
        InputError: It cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            has_exif = bool(image.getexif())
            width, height = image.size
            gray = image.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot be decoded ({type(error).__name__})") from error
    small = np.asarray(gray.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64) / 255
    levels = np.sort(np.asarray(gray, np.float64).ravel() / 255)
    cut = int(_EDGE * (len(levels) - 1))
    dark, light = _luminance(levels[cut]), _luminance(levels[len(levels) - 1 - cut])
    return Look(
        width=width,
        height=height,
        print=_print(small),
        uniform=float((np.abs(small - np.median(small)) <= _NEAR).mean()),
        contrast=(light + 0.05) / (dark + 0.05),
        has_exif=has_exif,
    )


def _luminance(level: float) -> float:
    """Of an sRGB gray level, as in WCAG 2."""
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


@lru_cache(maxsize=1)
def _basis() -> F64:
    """Rows of the type-II DCT, (8, 32)."""
    places = (np.arange(_SIDE) + 0.5) * math.pi / _SIDE
    basis: F64 = np.cos(np.outer(np.arange(_KEPT), places))
    return basis


def _print(small: F64) -> int:
    low = _basis() @ small @ _basis().T  # (8, 8)
    flat = low.ravel()
    middle = np.median(flat[1:])  # the mean brightness would dominate
    return int.from_bytes(np.packbits(flat > middle).tobytes(), "big")


def distance(a: int, b: int) -> int:
    """Bits in which two prints differ."""
    return (a ^ b).bit_count()
