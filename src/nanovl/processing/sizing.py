"""How many tiles, frames and visual tokens every piece of media gets.

Integer work on what `nanovl.processing.opening` found; decides grids, frame numbers and kept
tokens, and writes down for people what was decided. Opens nothing.

Source: model specification, sections 6.1, 6.4 and 7.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.processing.config import MAX_TILES, TRAINED_TILES, ProcessorConfig, Request
from nanovl.processing.opening import OpenedImage, OpenedVideo
from nanovl.processing.sampling import select_frames, timestamps
from nanovl.processing.tiling import (
    aspect_frame_size,
    choose_grid,
    fit_tile_budget,
    matching_size,
    native_sizes,
    num_tiles,
)
from nanovl.processing.tokenizer import Tokenizer
from nanovl.processing.video_layout import kept_tokens, separators

__all__ = ["ImagePlan", "VideoPlan", "size_images", "size_video"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """What becomes of one picture.

    Attributes:
        opened: The picture.
        tiles: Pictures the encoder sees.
        tile_size: (height, width) of each in pixels.
        grid: (rows, columns) of visual tokens of each.
        cut: (columns, rows) of tiles the picture is cut into, or None when it stays whole.
        info: For people.
    """

    opened: OpenedImage
    tiles: int
    tile_size: tuple[int, int]
    grid: tuple[int, int]
    cut: tuple[int, int] | None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """Visual tokens."""
        return self.tiles * self.grid[0] * self.grid[1]

    @property
    def has_thumbnail(self) -> bool:
        """Whether an overview follows the tiles."""
        return self.cut is not None and self.tiles > self.cut[0] * self.cut[1]


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """What becomes of one video.

    Attributes:
        opened: The video.
        indices: Frames to decode.
        tile_size: (height, width) of each in pixels.
        grid: (rows, columns) of visual tokens of each.
        before, after: Ids around the visual tokens of every frame.
        num_tokens: Visual tokens after pruning.
        pruning_rate: EVS rate, 0 when off.
        info: For people.
    """

    opened: OpenedVideo
    indices: tuple[int, ...]
    tile_size: tuple[int, int]
    grid: tuple[int, int]
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    num_tokens: int
    pruning_rate: float
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Ids of the whole block."""
        return sum(map(len, self.before)) + sum(map(len, self.after)) + self.num_tokens


def size_images(
    images: Sequence[OpenedImage],
    config: ProcessorConfig,
    request: Request,
    room_tokens: int | None = None,
) -> list[ImagePlan]:
    """Decide tiles or sizes of all pictures of a prompt together.

    Args:
        images: In order of appearance.
        config: Tile size, mode and bounds.
        request: Bounds of this request.
        room_tokens: Visual tokens there is room for; used by the native mode only. None is no
            bound.
    """
    if not images:
        return []
    for image in images:
        if image.max_tiles is not None and not 1 <= image.max_tiles <= MAX_TILES:
            raise InputError(
                f"{image.name}: max_tiles {image.max_tiles}; expected 1 to {MAX_TILES}"
            )
    if config.mode == "native":
        return _native(images, config, request, room_tokens)
    default = request.max_tiles or config.max_num_tiles
    bounds = [image.max_tiles or default for image in images]
    if max(bounds) > TRAINED_TILES:
        _log.warning("%d tiles per picture; the model was trained with 12", max(bounds))
    wanted = bounds
    thumbnail = config.use_thumbnail if request.use_thumbnail is None else request.use_thumbnail
    if request.total_tiles is not None:
        lowered = fit_tile_budget(
            [(i.width, i.height) for i in images],
            bounds,
            request.total_tiles,
            tile_size=config.image_size,
            use_thumbnail=thumbnail and config.mode == "tiles",
        )
        bounds = [min(bound, lowered) for bound in bounds]
    plans = []
    for image, bound, asked in zip(images, bounds, wanted, strict=True):
        clamped = []
        if bound < asked:
            clamped.append(
                f"at most {bound} instead of {asked} tiles, for {request.total_tiles} in all"
            )
        if config.mode == "tiles":
            plans.append(_tiled(image, bound, thumbnail, config, clamped))
        else:
            plans.append(_matched(image, bound, config, clamped))
    return plans


def _tiled(
    image: OpenedImage,
    bound: int,
    thumbnail: bool,
    config: ProcessorConfig,
    clamped: list[str],
) -> ImagePlan:
    side = config.image_size
    cut = choose_grid(image.width, image.height, bound, side)
    tokens = side // config.cell
    return _image_plan(
        image,
        config,
        clamped,
        tiles=num_tiles(cut, thumbnail),
        tile_size=(side, side),
        grid=(tokens, tokens),
        cut=cut,
    )


def _matched(
    image: OpenedImage, bound: int, config: ProcessorConfig, clamped: list[str]
) -> ImagePlan:
    width, height = matching_size(image.width, image.height, bound, config.image_size)
    return _whole(image, width, height, config, clamped)


def _whole(
    image: OpenedImage, width: int, height: int, config: ProcessorConfig, clamped: list[str]
) -> ImagePlan:
    return _image_plan(
        image,
        config,
        clamped,
        tiles=1,
        tile_size=(height, width),
        grid=(height // config.cell, width // config.cell),
        cut=None,
    )


def _image_plan(
    image: OpenedImage,
    config: ProcessorConfig,
    clamped: list[str],
    *,
    tiles: int,
    tile_size: tuple[int, int],
    grid: tuple[int, int],
    cut: tuple[int, int] | None,
) -> ImagePlan:
    info: dict[str, Any] = {
        "kind": "image",
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "mode": config.mode,
        "tiles": tiles,
        "tile_width": tile_size[1],
        "tile_height": tile_size[0],
        "tokens": tiles * grid[0] * grid[1],
        "clamped": clamped,
    }
    if cut is not None:
        info |= {"columns": cut[0], "rows": cut[1]}
    if image.page is not None:
        info |= {"page": image.page + 1, "dpi": image.dpi}
    return ImagePlan(opened=image, tiles=tiles, tile_size=tile_size, grid=grid, cut=cut, info=info)


def _native(
    images: Sequence[OpenedImage],
    config: ProcessorConfig,
    request: Request,
    room_tokens: int | None,
) -> list[ImagePlan]:
    """Uncut pictures near their own size; tile bounds count as so many tiles' worth of patches."""
    fewest, most = config.native_patches
    bounds = [image.max_tiles or request.max_tiles for image in images]
    if given := [bound for bound in bounds if bound is not None]:
        most = min(most, min(given) * config.patches_per_tile)
    rooms = [] if room_tokens is None else [max(room_tokens, 0)]
    if request.total_tiles is not None:
        rooms.append(request.total_tiles * config.tokens_per_tile)
    sizes = [(image.width, image.height) for image in images]
    limits = {"min_patches": fewest, "max_patches": most, "patch_size": config.patch_size}
    free = native_sizes(sizes, room_tokens=len(images) * most, **limits)
    chosen = native_sizes(sizes, room_tokens=min(rooms), **limits) if rooms else free
    plans = []
    for image, grid, unbounded in zip(images, chosen, free, strict=True):
        clamped = ["scaled down to fit the room all pictures share"] if grid != unbounded else []
        width, height = (side * config.patch_size for side in grid)
        plans.append(_whole(image, width, height, config, clamped))
    return plans


def size_video(
    video: OpenedVideo, config: ProcessorConfig, request: Request, tokenizer: Tokenizer
) -> VideoPlan:
    """Choose frames, spell their separators, and fix how many visual tokens remain.

    Raises:
        InputError: No frame in the wanted part, or a pruning rate outside [0, 1).
    """
    part, info = video.part, video.info
    fps = _first(part.fps, request.fps, config.video_fps)
    most = int(_first(part.max_frames, request.max_frames, config.max_frames))
    try:
        indices = _frames(video, config, fps, most)
    except (ConfigError, InputError) as error:
        raise InputError(f"{video.name}: {error}") from error
    times = timestamps(indices, info.fps)
    height, width = _frame_size(video, config)
    grid = (height // config.cell, width // config.cell)
    rate = _rate(video, config, request)
    full = len(indices) * grid[0] * grid[1]
    kept = kept_tokens(len(indices), grid[0] * grid[1], rate)
    before, after = separators(times, len(indices), config.video_layout, tokenizer)
    clamped = []
    seconds = (info.duration_s if part.end_s is None else min(part.end_s, info.duration_s)) - (
        part.start_s or 0.0
    )
    if not video.is_list and int(seconds * fps) > most >= len(indices):
        clamped.append(f"{len(indices)} instead of {int(seconds * fps)} frames")
    return VideoPlan(
        opened=video,
        indices=indices,
        tile_size=(height, width),
        grid=grid,
        before=before,
        after=after,
        num_tokens=kept,
        pruning_rate=rate if kept < full else 0.0,
        info={
            "kind": "video",
            "name": video.name,
            "width": info.width,
            "height": info.height,
            "duration_s": info.duration_s,
            "fps": info.fps,
            "frames": len(indices),
            "indices": list(indices),
            "times_s": None if times is None else list(times),
            "tile_width": width,
            "tile_height": height,
            "tokens": kept,
            "tokens_before_pruning": full,
            "pruning_rate": rate if kept < full else 0.0,
            "clamped": clamped,
        },
    )


def _first(*settings: float | None) -> float:
    """The first setting that was made; the last one always is."""
    return next(value for value in settings if value is not None)


def _frames(video: OpenedVideo, config: ProcessorConfig, fps: float, most: int) -> tuple[int, ...]:
    part, info = video.part, video.info
    if not video.is_list:
        return select_frames(
            info.frames,
            info.fps,
            config.video_sampling,
            fps_wanted=fps,
            max_frames=most,
            start_s=part.start_s,
            end_s=part.end_s,
        )
    # The caller chose the frames: all of them, or those of the wanted part.
    if part.start_s is None and part.end_s is None:
        return tuple(range(info.frames))
    return select_frames(
        info.frames,
        info.fps,
        fps_wanted=info.fps,
        max_frames=info.frames,
        start_s=part.start_s,
        end_s=part.end_s,
    )


def _frame_size(video: OpenedVideo, config: ProcessorConfig) -> tuple[int, int]:
    if not config.keep_frame_aspect:
        return config.image_size, config.image_size
    columns, rows = aspect_frame_size(video.info.width, video.info.height, config.patches_per_tile)
    return rows * config.patch_size, columns * config.patch_size


def _rate(video: OpenedVideo, config: ProcessorConfig, request: Request) -> float:
    rate = video.part.pruning_rate
    if rate is None:
        rate = config.video_pruning_rate if request.pruning_rate == "auto" else request.pruning_rate
    rate = rate or 0.0
    if not 0 <= rate < 1:
        raise InputError(f"{video.name}: pruning rate {rate}; expected in [0, 1)")
    return rate
