"""Opens still pictures: file or array -> size, or 8-bit RGB.

The size comes from the header alone, so that a prompt can be planned (or refused) before anything
is decoded. Does not resize, cut or normalise; that is `pixels.py`.

Source: model specification section 6.2, serving specification sections 10 and 16.2.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.media import Limits, open_media

__all__ = ["FORMATS", "check_size", "image_size", "open_image"]

# Formats with a maintained decoder that people really send; anything else is refused unread.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
# What to do for each EXIF orientation; those from 5 on exchange width and height.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FIRST_TRANSPOSED = 5
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")

_quiet_lock = threading.Lock()


def image_size(ref: MediaRef, limits: Limits, *, exif: bool = True) -> tuple[int, int]:
    """Width and height of a picture in pixels, without decoding it.

    Args:
        ref: A picture file or an in-memory picture.
        limits: Bounds for bytes and pixels.
        exif: Whether the EXIF orientation is going to be applied.

    Returns:
        (width, height) of what `open_image` returns for the same arguments.

    Raises:
        InputError: Not a picture, damaged in its header, or over a limit.
    """
    with _opened(ref, limits) as image:
        width, height = image.size
        is_turned = exif and _orientation(image) >= FIRST_TRANSPOSED
        return (height, width) if is_turned else (width, height)


def open_image(
    ref: MediaRef,
    limits: Limits,
    *,
    exif: bool = True,
    background: tuple[int, int, int] | None = None,
) -> Image.Image:
    """Decode a picture to 8-bit RGB.

    The first frame of an animation is taken. 16-bit grey is scaled by 1/257, CMYK and palettes are
    converted.

    Args:
        ref: A picture file or an in-memory picture (PIL image or uint8 array (rows, columns, 3)).
        limits: Bounds for bytes and pixels.
        exif: Turn the picture the way its EXIF orientation says. The reference does not.
        background: What transparent pixels show. None drops the alpha channel, as the reference
            does: whatever colour was stored below it appears.

    Returns:
        A PIL image of mode RGB, independent of the file.

    Raises:
        InputError: Not a picture, damaged, cut off, or over a limit.
    """
    with _opened(ref, limits) as image:
        orientation = _orientation(image) if exif else 1
        rgb = _decode(lambda: _to_rgb(image, background), ref.name)
    return rgb.transpose(TURNS[orientation]) if orientation > 1 else rgb


def check_size(width: int, height: int, name: str, limits: Limits) -> None:
    """Check the size of a picture before decoding it.

    Raises:
        InputError: Too many pixels, too long a side, or too thin.
    """
    if width < 1 or height < 1:
        raise InputError(f"{name}: picture of {width}x{height} pixels; expected at least 1x1")
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise InputError(
            f"{name}: picture of {width}x{height} pixels, limit {limits.max_pixels} pixels and "
            f"{limits.max_side} per side; scale it down"
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise InputError(
            f"{name}: picture of {width}x{height} pixels is thinner than 1:{limits.max_aspect:g}; "
            "cut it into pieces"
        )


@contextmanager
def _opened(ref: MediaRef, limits: Limits) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked."""
    if ref.array is not None:
        image = _from_array(ref.array, ref.name)
        check_size(*image.size, ref.name, limits)
        yield image
        return
    with open_media(ref, "image", limits) as source:
        try:
            with _quiet():
                image = Image.open(source, formats=FORMATS)
        except Image.DecompressionBombError:
            raise InputError(
                f"{ref.name}: picture of far more pixels than the limit of {limits.max_pixels}; "
                "scale it down"
            ) from None
        except Exception as error:
            raise InputError(
                f"{ref.name}: not a readable picture; expected one of "
                f"{', '.join(FORMATS)}; check the file, or convert it"
            ) from error
        with image:
            check_size(*image.size, ref.name, limits)
            yield image


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's remarks about odd headers; what matters is checked and raised here.

    Warning filters belong to the whole process, hence the lock.
    """
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(step: Callable[[], Image.Image], name: str) -> Image.Image:
    """Run a decoding step; Pillow raises many types for damaged data, all mean the same here."""
    try:
        return step()
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        cut_off = "truncated" in str(error)
        problem = "picture is cut off" if cut_off else "picture data is damaged"
        raise InputError(f"{name}: {problem}; get a complete copy of the file") from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8, from what stands before the pixels."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, size included
    try:
        # The base method, because the one for PNG decodes the picture to look behind it.
        with _quiet():
            value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # unreadable EXIF is no reason to refuse the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _from_array(array: Any, name: str) -> Image.Image:
    if isinstance(array, Image.Image):
        return array
    pixels = np.asarray(array)
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not is_picture or 0 in pixels.shape:
        raise InputError(
            f"{name}: array {pixels.dtype} {pixels.shape}, expected a PIL image or uint8 "
            "(rows, columns, 3)"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _to_rgb(image: Image.Image, background: tuple[int, int, int] | None) -> Image.Image:
    image.load()
    if image.mode in SIXTEEN_BIT_MODES:
        return _grey_to_rgb(_scale(np.asarray(image).astype(np.uint16, copy=False), 65_535))
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        return _grey_to_rgb(_scale(values, _white_level(values)))
    if background is not None and image.has_transparency_data:
        opaque = image.convert("RGBA")
        canvas = Image.new("RGB", opaque.size, background)
        canvas.paste(opaque, mask=opaque.getchannel("A"))
        return canvas
    if image.mode == "RGB":
        return image.copy()
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)
    if image.has_transparency_data:
        # Not straight to RGB: a palette with transparency would make that step warn.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _white_level(values: np.ndarray[Any, Any]) -> float:
    """The value that means white in a picture of integers or floats, judged by its largest."""
    top = float(np.nan_to_num(values).max())
    levels = (255.0, 65_535.0) if values.dtype.kind == "i" else (1.0, 255.0, 65_535.0)
    return next((level for level in levels if top <= level), top)


def _scale(values: np.ndarray[Any, Any], white: float) -> np.ndarray[Any, Any]:
    """Map 0..white to 0..255 in strips, so that no large float copy exists."""
    result = np.empty(values.shape, np.uint8)
    for row in range(0, values.shape[0], 256):
        strip = np.nan_to_num(values[row : row + 256].astype(np.float32)) * (255.0 / white)
        result[row : row + 256] = np.clip(np.rint(strip), 0, 255)
    return result


def _grey_to_rgb(values: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")
