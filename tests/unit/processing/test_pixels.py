"""Resize, cut, normalise: model specification 11.2 and the memory promise."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from nanovl.core.errors import InputError
from nanovl.processing.pixels import CLIP_MEAN, CLIP_STD, resize, to_pixels, to_tiles
from nanovl.processing.tiling import choose_grid

# width, height -> tiles; tile0[0,0,0], tile0[1,5,7], last[2,31,31], tile0[0,16,16], mean
TABLE = [
    (100, 60, 7, (-1.79233, 0.35961, 1.70278, -0.98326, 0.18741)),
    (40, 90, 11, (-1.81489, -0.37091, 1.28459, 0.87697, 0.18444)),
    (50, 50, 5, (-1.8059, -0.01307, -1.00349, 1.43904, 0.19245)),
    (640, 480, 13, (-1.17487, 0.15389, 0.25132, -0.31237, 0.18778)),
]


def _pattern(width: int, height: int) -> np.ndarray:
    x, y, c = np.arange(width)[None, :, None], np.arange(height)[:, None, None], np.arange(3)
    return ((7 * x + 13 * y + 29 * c) % 256).astype(np.uint8)


@pytest.mark.parametrize(("width", "height", "count", "values"), TABLE)
def test_values_of_the_specification(
    width: int, height: int, count: int, values: tuple[float, ...]
) -> None:
    image = Image.fromarray(_pattern(width, height))
    tiles = to_tiles(image, choose_grid(width, height, 12, 32), 32, dtype=torch.float32)
    assert tiles.shape == (count, 3, 32, 32)
    found = [
        tiles[0, 0, 0, 0],
        tiles[0, 1, 5, 7],
        tiles[-1, 2, 31, 31],
        tiles[0, 0, 16, 16],
        tiles.mean(),
    ]
    assert [float(v) for v in found] == pytest.approx(values, abs=2e-5)


def test_nothing_is_clamped() -> None:
    tiles = to_tiles(_pattern(100, 60), choose_grid(100, 60, 12, 32), 32, dtype=torch.float32)
    raw = tiles * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)
    assert float(raw.min()) == pytest.approx(-0.11264, abs=2e-5)
    assert float(raw.max()) == pytest.approx(1.11264, abs=2e-5)


def test_kernel_is_the_antialiased_one() -> None:
    impulse = torch.zeros(1, 8)
    impulse[0, 3] = 1
    out = resize(impulse, (1, 16))[0]
    expected = [-0.02344, -0.07031, 0.22656, 0.86719, 0.86719, 0.22656, -0.07031, -0.02344]
    assert out[3:11].tolist() == pytest.approx(expected, abs=1e-5)
    assert out[:3].abs().max() == out[11:].abs().max() == 0


def test_planes_one_by_one_equal_the_picture_at_once() -> None:
    pixels = torch.rand(3, 37, 53) * 255
    together = resize(pixels, (20, 64))
    apart = torch.stack([resize(plane, (20, 64)) for plane in pixels])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-4)  # of 255


def test_a_picture_of_the_right_size_is_not_resized() -> None:
    pixels = _pattern(32, 32)
    tiles = to_tiles(pixels, (1, 1), 32, mean=(0, 0, 0), std=(1, 1, 1), dtype=torch.float32)
    assert torch.equal(tiles[0], torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)


def test_one_pixel_fills_the_tile() -> None:
    tiles = to_tiles(np.full((1, 1, 3), 255, np.uint8), (1, 1), 16, dtype=torch.float32)
    white = (1 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    torch.testing.assert_close(tiles[0], white.view(3, 1, 1).expand(3, 16, 16))


def test_cast_comes_last() -> None:
    image = _pattern(100, 60)
    exact = to_tiles(image, (3, 2), 32, dtype=torch.float32)
    assert torch.equal(to_tiles(image, (3, 2), 32), exact.bfloat16())
    assert torch.equal(
        to_pixels(image, (9, 7)), to_pixels(image, (9, 7), dtype=torch.float32).bfloat16()
    )


def test_thumbnail_can_be_left_out() -> None:
    with_it = to_tiles(_pattern(64, 32), (2, 1), 32)
    without = to_tiles(_pattern(64, 32), (2, 1), 32, use_thumbnail=False)
    assert len(with_it) == 3
    assert torch.equal(with_it[:2], without)


@pytest.mark.parametrize(
    "image", [Image.new("L", (4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_only_rgb(image: Image.Image | np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        to_pixels(image, (4, 4))


@pytest.mark.slow
def test_sixty_four_million_pixels_need_less_than_2_5_gb() -> None:
    # In a process of its own, by the peak of its own memory: getrusage's goes on counting from what
    # the process was before it started this program.
    script = """
from pathlib import Path
from PIL import Image
from nanovl.processing.pixels import to_tiles
tiles = to_tiles(Image.new("RGB", (8000, 8000), (1, 2, 3)), (3, 4), 512)
assert tiles.shape == (13, 3, 512, 512)
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 2.5e9
