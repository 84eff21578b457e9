"""RGB pictures -> normalised tensors: resize, cut into tiles, thumbnail.

Works on one colour plane at a time and casts to the final number type per tile, so that a picture
of 64 million pixels needs little more than its own bytes and one float plane. Opens no file.

Shapes: m tiles, 3 channels, s side of a tile; (h, w) rows and columns.

Source: model specification section 6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from nanovl.core.errors import InputError
from nanovl.processing.tiling import num_tiles

__all__ = ["CLIP_MEAN", "CLIP_STD", "resize", "to_pixels", "to_tiles"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bicubic with antialiasing (kernel a = -0.5), neither rounded nor clamped.

    Values overshoot at edges by about a tenth of the range; the reference keeps that.

    Args:
        x: Floating point (..., h, w).
        size: (h, w) of the result.

    Returns:
        fp32 (..., *size).
    """
    x = x.float()  # the reference resizes in fp32 whatever follows
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    planes = x.reshape(1, -1, *x.shape[-2:])  # (1, planes, h, w)
    out = F.interpolate(planes, size=size, mode="bicubic", align_corners=False, antialias=True)
    return out.reshape(*x.shape[:-2], *size)


def to_pixels(
    image: Image.Image | np.ndarray[Any, Any],
    size: tuple[int, int],
    *,
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    dtype: torch.dtype = torch.bfloat16,
) -> torch.Tensor:
    """Resize one picture as a whole and normalise it.

    Args:
        image: RGB picture or uint8 array (rows, columns, 3).
        size: (h, w) of the result; the ratio is not kept.
        mean, std: Per channel, for values in 0..1.
        dtype: Cast to last.

    Returns:
        (3, h, w).
    """
    out = torch.empty(3, *size, dtype=dtype)
    for c in range(3):
        out[c] = _normalise(resize(_plane(image, c), size), mean[c], std[c])
    return out


def to_tiles(
    image: Image.Image | np.ndarray[Any, Any],
    grid: tuple[int, int],
    tile_size: int,
    *,
    use_thumbnail: bool = True,
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    dtype: torch.dtype = torch.bfloat16,
) -> torch.Tensor:
    """Resize a picture to a grid, cut it, and append the whole picture as thumbnail.

    Args:
        image: RGB picture or uint8 array (rows, columns, 3).
        grid: (columns, rows).
        tile_size: Side s of a tile in pixels.
        use_thumbnail: Append the thumbnail when there is more than one tile.
        mean, std: Per channel, for values in 0..1.
        dtype: Cast to last.

    Returns:
        (m, 3, s, s): tiles row by row, left to right, then the thumbnail.
    """
    columns, rows = grid
    s = tile_size
    m = num_tiles(grid, use_thumbnail)
    area = columns * rows
    out = torch.empty(m, 3, s, s, dtype=dtype)
    for c in range(3):
        plane = _plane(image, c)
        whole = _normalise(resize(plane, (rows * s, columns * s)), mean[c], std[c])
        tiles = whole.view(rows, s, columns, s).transpose(1, 2)  # (rows, columns, s, s)
        out[:area, c] = tiles.reshape(area, s, s)
        if m > area:
            out[area, c] = _normalise(resize(plane, (s, s)), mean[c], std[c])
    return out


def _plane(image: Image.Image | np.ndarray[Any, Any], channel: int) -> torch.Tensor:
    """One colour plane as fp32 (rows, columns) of 0..255."""
    if isinstance(image, Image.Image):
        if image.mode != "RGB":
            raise InputError(f"picture of mode {image.mode}: expected RGB; use open_image")
        pixels = np.array(image.getchannel(channel))
    else:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(
                f"picture array {image.dtype} {image.shape}: expected uint8 (rows, columns, 3)"
            )
        pixels = np.ascontiguousarray(image[..., channel])
    return torch.from_numpy(pixels).float()  # the resize needs floating point


def _normalise(plane: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """0..255 -> (value - mean) / std of values in 0..1; makes a new tensor."""
    return plane.div(255.0).sub_(mean).div_(std)
