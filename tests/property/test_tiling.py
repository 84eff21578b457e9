"""Tiling holds for every size, not only for those in the tables."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from nanovl.processing.pixels import to_pixels, to_tiles
from nanovl.processing.tiling import (
    candidates,
    choose_grid,
    fit_tile_budget,
    native_sizes,
    num_tiles,
)

sides = st.integers(1, 16_384)
bounds = st.integers(1, 24)


@settings(max_examples=50, deadline=None)
@given(sides, sides, bounds)
def test_no_candidate_is_nearer_to_the_ratio(width: int, height: int, max_tiles: int) -> None:
    columns, rows = choose_grid(width, height, max_tiles)
    assert columns * rows <= max_tiles
    best = min(abs(width / height - c / r) for c, r in candidates(max_tiles))
    assert abs(width / height - columns / rows) == best


@settings(max_examples=50, deadline=None)
@given(sides, sides, bounds)
def test_the_grid_leans_the_way_the_picture_does(width: int, height: int, max_tiles: int) -> None:
    columns, rows = choose_grid(width, height, max_tiles)
    if width >= height:
        assert columns >= rows
    if width <= height:
        assert columns <= rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), bounds, st.integers(1, 60))
def test_budget_fits_or_is_one(sizes: list[tuple[int, int]], max_tiles: int, total: int) -> None:
    bound = fit_tile_budget(sizes, max_tiles, total)
    assert 1 <= bound <= max_tiles
    used = sum(num_tiles(choose_grid(w, h, bound)) for w, h in sizes)
    assert used <= total or bound == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=3), st.integers(256, 20_000))
def test_native_sizes_are_even_and_bounded(sizes: list[tuple[int, int]], room_tokens: int) -> None:
    for columns, rows in native_sizes(sizes, room_tokens=room_tokens):
        assert columns >= 2
        assert rows >= 2
        assert columns % 2 == rows % 2 == 0
        # The minimum may be overshot by rounding slivers up, never the maximum.
        assert columns * rows <= max(13_312, 1024)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 6), st.integers(0, 1000))
def test_tiles_put_together_are_the_resized_picture(
    width: int, height: int, max_tiles: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    columns, rows = choose_grid(width, height, max_tiles, 16)
    tiles = to_tiles(Image.fromarray(pixels), (columns, rows), 16, dtype=torch.float32)
    assert len(tiles) == num_tiles((columns, rows))
    whole = to_pixels(pixels, (rows * 16, columns * 16), dtype=torch.float32)
    for row in range(rows):
        for column in range(columns):
            part = whole[:, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
            assert torch.equal(tiles[row * columns + column], part)
    if len(tiles) > 1:
        assert torch.equal(tiles[-1], to_pixels(pixels, (16, 16), dtype=torch.float32))
