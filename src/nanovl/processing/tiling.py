"""How many tiles a picture becomes, and the sizes of the modes that do not cut.

Integers only: nothing here opens a picture or touches pixels.

Source: model specification sections 6.1 and 6.4; technical report section 4.5.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from nanovl.core.errors import InputError

__all__ = [
    "aspect_frame_size",
    "candidates",
    "choose_grid",
    "fit_tile_budget",
    "matching_size",
    "native_sizes",
    "num_tiles",
]

NATIVE_ROUNDS = 10


@functools.cache
def candidates(max_tiles: int) -> tuple[tuple[int, int], ...]:
    """All grids of at most `max_tiles` tiles as (columns, rows), smallest area first.

    Raises:
        InputError: `max_tiles` is below 1.
    """
    if max_tiles < 1:
        raise InputError(f"max_tiles: got {max_tiles}, expected at least 1")
    grids = [
        (columns, rows)
        for columns in range(1, max_tiles + 1)
        for rows in range(1, max_tiles // columns + 1)
    ]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))


@functools.lru_cache(maxsize=65_536)
def choose_grid(width: int, height: int, max_tiles: int, tile_size: int = 512) -> tuple[int, int]:
    """The grid whose ratio is nearest to the picture's.

    Among grids of the same ratio a larger one is taken only when the picture has more than half
    the pixels the grid would hold.

    Args:
        width, height: Size of the picture in pixels.
        max_tiles: Upper bound of columns * rows; the thumbnail does not count.
        tile_size: Side of a tile in pixels.

    Returns:
        (columns, rows).

    Raises:
        InputError: A size below one pixel, or `max_tiles` below 1.
    """
    if width < 1 or height < 1:
        raise InputError(f"picture size {width}x{height}: expected at least 1x1 pixels")
    ratio = width / height
    pixels = width * height
    best, best_difference = (1, 1), math.inf
    for columns, rows in candidates(max_tiles):
        difference = abs(ratio - columns / rows)
        is_better = difference < best_difference
        is_larger = difference == best_difference and (
            pixels > 0.5 * tile_size * tile_size * columns * rows
        )
        if is_better or is_larger:
            best, best_difference = (columns, rows), difference
    return best


def num_tiles(grid: tuple[int, int], use_thumbnail: bool = True) -> int:
    """Pictures the encoder sees: the tiles, and a thumbnail when there is more than one."""
    area = grid[0] * grid[1]
    return area + 1 if use_thumbnail and area > 1 else area


def fit_tile_budget(
    sizes: Sequence[tuple[int, int]],
    max_tiles: int | Sequence[int],
    total_tiles: int,
    *,
    tile_size: int = 512,
    use_thumbnail: bool = True,
) -> int:
    """Lower the tile bound of all pictures alike until together they fit a budget.

    Args:
        sizes: (width, height) of every picture.
        max_tiles: Bound of every picture, or one for all.
        total_tiles: Tiles all pictures may have together, thumbnails included.
        tile_size: Side of a tile in pixels.
        use_thumbnail: Whether cut pictures get a thumbnail.

    Returns:
        The largest M such that picture i, tiled with at most min(max_tiles[i], M), fits. 1 when
        not even one tile each fits: pictures are never dropped.
    """
    bounds = [max_tiles] * len(sizes) if isinstance(max_tiles, int) else list(max_tiles)
    for bound in range(max(bounds, default=1), 1, -1):
        tiles = (
            num_tiles(choose_grid(w, h, min(own, bound), tile_size), use_thumbnail)
            for (w, h), own in zip(sizes, bounds, strict=True)
        )
        if sum(tiles) <= total_tiles:
            return bound
    return 1


def matching_size(width: int, height: int, max_tiles: int, tile_size: int = 512) -> tuple[int, int]:
    """Size of the uncut picture that holds the same pixels the tiles would: (width, height)."""
    columns, rows = choose_grid(width, height, max_tiles, tile_size)
    return columns * tile_size, rows * tile_size


def native_sizes(
    sizes: Sequence[tuple[int, int]],
    *,
    room_tokens: int,
    min_patches: int = 1024,
    max_patches: int = 13_312,
    patch_size: int = 16,
    reduction: int = 4,
) -> list[tuple[int, int]]:
    """Patch grids of pictures that enter whole, near their own resolution.

    Args:
        sizes: (width, height) of every picture in pixels.
        room_tokens: Visual tokens all pictures may have together.
        min_patches, max_patches: Bounds for one picture.
        patch_size: Side of a patch in pixels.
        reduction: Patches per visual token.

    Returns:
        (columns, rows) of patches per picture, both even; multiply by `patch_size` for pixels and
        divide the product by `reduction` for tokens.
    """
    if not sizes:
        return []
    room = room_tokens * reduction
    # Several pictures start from the room they have together and are scaled down in turn.
    first = max(min(max(room, min_patches * len(sizes)), max_patches), min_patches)
    budgets = [first] * len(sizes)
    for _ in range(NATIVE_ROUNDS):
        grids = [
            _native_grid(w, h, budget, min_patches, patch_size)
            for (w, h), budget in zip(sizes, budgets, strict=True)
        ]
        patches = [columns * rows for columns, rows in grids]
        total = sum(patches)
        if total <= room:
            return grids
        shrunk = [max(min_patches, int(p * room / total)) for p in patches]
        if all(new >= old for new, old in zip(shrunk, budgets, strict=True)):
            break
        budgets = shrunk
    return [_native_grid(w, h, min_patches, min_patches, patch_size) for w, h in sizes]


def _native_grid(
    width: int, height: int, budget: int, min_patches: int, patch_size: int
) -> tuple[int, int]:
    # round() is half to even; adding 0.5 makes it a ceiling for all but exact multiples.
    rows = round(height / patch_size + 0.5)
    columns = round(width / patch_size + 0.5)
    factor = min(math.sqrt(budget / (rows * columns)), 1.0)
    rows, columns = math.floor(factor * rows), math.floor(factor * columns)
    if budget > min_patches and rows * columns < min_patches:
        # A sliver may have floored to nothing; one patch keeps the ratio finite.
        rows, columns = max(rows, 1), max(columns, 1)
        factor = math.sqrt(min_patches / (rows * columns))
        rows, columns = math.ceil(factor * rows), math.ceil(factor * columns)
    rows = _even(rows, columns, budget)
    return _even(columns, rows, budget), rows


def _even(side: int, other: int, budget: int) -> int:
    if side % 2 == 0:
        return max(side, 2)
    return side + 1 if (side + 1) * other <= budget else max(side - 1, 2)


def aspect_frame_size(width: int, height: int, patches: int = 1024) -> tuple[int, int]:
    """Patch grid of a video frame that keeps its ratio: (columns, rows), both even.

    Used by later models only; frames of this one are squares.
    """
    columns = max(1, round(math.sqrt(patches * width / height)))
    rows = max(1, round(math.sqrt(patches * height / width)))
    up = (columns + columns % 2, rows + rows % 2)
    if up[0] * up[1] <= patches:
        return up
    return max(columns - columns % 2, 2), max(rows - rows % 2, 2)
