"""Grids, budgets and uncut sizes: every table of model specification 11.1 and 11.6."""

from __future__ import annotations

import pytest

from nanovl.core.errors import InputError
from nanovl.processing.tiling import (
    aspect_frame_size,
    candidates,
    choose_grid,
    fit_tile_budget,
    matching_size,
    native_sizes,
    num_tiles,
)

# width, height, then columns x rows for at most 12, 6 and 4 tiles
GRIDS = """
1 1 1x1 1x1 1x1
224 224 1x1 1x1 1x1
512 512 1x1 1x1 1x1
724 724 1x1 1x1 1x1
725 725 2x2 2x2 2x2
1024 1024 2x2 2x2 2x2
1086 1086 2x2 2x2 2x2
1087 1087 3x3 2x2 2x2
1536 1536 3x3 2x2 2x2
2048 2048 3x3 2x2 2x2
481 202 5x2 2x1 2x1
640 480 4x3 3x2 1x1
800 600 4x3 3x2 1x1
1024 768 4x3 3x2 2x2
1280 720 2x1 2x1 2x1
1366 768 4x2 2x1 2x1
1920 1080 4x2 2x1 2x1
1080 1920 2x4 1x2 1x2
3840 2160 4x2 2x1 2x1
1125 2436 2x4 1x2 1x2
100 50 2x1 2x1 2x1
50 100 1x2 1x2 1x2
336 672 1x2 1x2 1x2
1000 100 10x1 6x1 4x1
100 1000 1x10 1x6 1x4
2000 500 4x1 4x1 4x1
4096 256 12x1 6x1 4x1
6500 1000 7x1 6x1 4x1
3000 1000 6x2 3x1 3x1
1000 1500 2x3 2x3 1x2
1178 1779 2x3 2x3 1x2
1240 1754 2x3 2x3 1x2
2480 3508 2x3 2x3 1x2
2775 4190 2x3 2x3 1x2
1700 2200 3x4 2x3 2x2
"""
# tiles with thumbnail for at most 12 tiles, in the order above
TILES_12 = [1] * 4 + [5, 5, 5, 10, 10, 10, 11, 13, 13, 13, 3, 9, 9, 9, 9, 9, 3, 3, 3, 11, 11]
TILES_12 += [5, 13, 8, 13, 7, 7, 7, 7, 7, 13]

NATIVE = [
    ((1, 1), (32, 32), 256),
    ((224, 224), (32, 32), 256),
    ((512, 512), (32, 32), 256),
    ((100, 50), (44, 26), 286),
    ((640, 480), (40, 30), 300),
    ((1000, 100), (96, 12), 288),
    ((1024, 768), (64, 48), 768),
    ((1920, 1080), (120, 68), 2040),
    ((1700, 2200), (102, 130), 3315),
    ((2480, 3508), (96, 136), 3264),
    ((3840, 2160), (154, 86), 3311),
]


def _rows() -> list[tuple[int, int, list[tuple[int, int]]]]:
    rows = []
    for line in GRIDS.strip().splitlines():
        width, height, *grids = line.split()
        pairs = [(int(g.split("x")[0]), int(g.split("x")[1])) for g in grids]
        rows.append((int(width), int(height), pairs))
    return rows


@pytest.mark.parametrize(("width", "height", "grids"), _rows())
def test_grids_of_the_specification(width: int, height: int, grids: list[tuple[int, int]]) -> None:
    assert [choose_grid(width, height, m) for m in (12, 6, 4)] == grids
    assert choose_grid(width, height, 1) == (1, 1)


def test_tile_counts_of_the_specification() -> None:
    counts = [num_tiles(choose_grid(w, h, 12)) for w, h, _ in _rows()]
    assert counts == TILES_12
    assert {256 * c for c in counts} >= {256, 3328}


def test_candidates_for_twelve_tiles() -> None:
    grids = candidates(12)
    assert len(grids) == len(set(grids)) == 35
    assert {(12, 1), (1, 12), (3, 4), (6, 2), (2, 5)} <= set(grids)
    areas = [c * r for c, r in grids]
    assert areas == sorted(areas)
    assert areas[-1] == 12


def test_thumbnail_only_for_cut_pictures() -> None:
    assert num_tiles((1, 1)) == 1
    assert num_tiles((2, 1)) == 3
    assert num_tiles((2, 1), use_thumbnail=False) == 2


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_no_grid_for_nothing(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="at least 1x1"):
        choose_grid(*size, 12)
    with pytest.raises(InputError, match="max_tiles"):
        choose_grid(10, 10, 0)


def test_budget_lowers_the_bound_for_all() -> None:
    sizes = [(640, 480), (1920, 1080)]  # 13 and 9 tiles at 12
    assert fit_tile_budget(sizes, 12, 22) == 12
    lowered = fit_tile_budget(sizes, 12, 21)
    assert lowered < 12
    assert sum(num_tiles(choose_grid(w, h, lowered)) for w, h in sizes) <= 21
    higher = range(lowered + 1, 13)
    assert all(sum(num_tiles(choose_grid(w, h, m)) for w, h in sizes) > 21 for m in higher)


def test_budget_keeps_every_picture_and_its_own_bound() -> None:
    sizes = [(640, 480)] * 5
    assert fit_tile_budget(sizes, 12, 3) == 1
    # Pictures bounded to one tile do not force the others down.
    assert fit_tile_budget(sizes, [1, 1, 1, 1, 12], 17) == 12
    assert fit_tile_budget([], 12, 4) == 1


@pytest.mark.parametrize(("size", "patches", "tokens"), NATIVE)
def test_native_sizes_of_the_specification(
    size: tuple[int, int], patches: tuple[int, int], tokens: int
) -> None:
    found = native_sizes([size], room_tokens=131_068)
    assert found == [patches]
    assert patches[0] * patches[1] // 4 == tokens


def test_native_sizes_share_the_room() -> None:
    found = native_sizes([(3840, 2160)] * 3, room_tokens=4096)
    assert found == [(98, 54)] * 3
    assert 98 * 54 // 4 == 1323
    assert native_sizes([], room_tokens=10) == []


def test_native_sizes_give_everybody_the_minimum_when_there_is_no_room() -> None:
    found = native_sizes([(3840, 2160), (100, 100)], room_tokens=100)
    assert all(columns * rows <= 1024 for columns, rows in found)


def test_matching_size_is_the_grid_uncut() -> None:
    assert matching_size(640, 480, 12) == (2048, 1536)
    assert matching_size(500, 500, 12) == (512, 512)


def test_aspect_preserving_frames() -> None:
    columns, rows = aspect_frame_size(1920, 1080)
    assert (columns * 16, rows * 16) == (672, 384)
    assert columns * rows // 4 == 252
    assert aspect_frame_size(512, 512) == (32, 32)
