"""Settings of the input pipeline.

`ProcessorConfig` belongs to a checkpoint (tile size, pixel statistics) and to an installation
(resolution of document pages, prompt limit); `Request` is what one request may change. Both are
plain numbers; nothing here opens media.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.processing.pixels import CLIP_MEAN, CLIP_STD
from nanovl.processing.sampling import SamplingRule
from nanovl.processing.video_layout import VideoStyle

__all__ = ["MAX_TILES", "TRAINED_TILES", "ImageMode", "ProcessorConfig", "Request"]

ImageMode = Literal["tiles", "native", "tiling-size-matching"]

TRAINED_TILES = 12
"""Tiles per picture the released model was trained with; more work, but are untried."""

MAX_TILES = 64
"""Tiles per picture nobody gets past, whatever is asked for."""


@dataclass(frozen=True, kw_only=True)
class ProcessorConfig:
    """How media and text become model inputs.

    Attributes:
        image_size: Side of a tile or frame in pixels.
        patch_size: Side of a vision patch in pixels; four patches make a visual token.
        max_num_tiles: Tiles of one picture, thumbnail not counted.
        use_thumbnail: Whether a picture of several tiles gets an overview at the end.
        norm_mean, norm_std: Pixel statistics per channel, of values in 0..1.
        mode: "tiles" (the model's own), "native" (one uncut picture near its own resolution) or
            "tiling-size-matching" (one uncut picture of the size the tiles would have).
        native_min_patches: Fewest vision patches of a picture in native mode; None is a tile's
            worth. Small line pictures stay small with 4.
        apply_exif: Turn photos upright; the reference does not.
        background: Colour below transparent pixels; None drops the alpha channel as the
            reference does.
        video_fps, max_frames: Frames sampled per second, and at most.
        video_sampling: Which frames: "vllm", "recipe" or "train".
        video_layout: Text around frames: "train", "trt", "vllm" or "compact".
        keep_frame_aspect: Keep the aspect ratio of frames instead of squeezing them into a
            square; the released model was not trained for it.
        video_pruning_rate: EVS rate meant by `pruning_rate="auto"`; None is off.
        video_speech: Whether the sound of videos is transcribed when a transcriber is there.
        pdf_dpi: Resolution document pages are rendered at.
        max_length: Longest prompt in tokens; None sets no bound.
    """

    image_size: int = 512
    patch_size: int = 16
    max_num_tiles: int = TRAINED_TILES
    use_thumbnail: bool = True
    norm_mean: tuple[float, float, float] = CLIP_MEAN
    norm_std: tuple[float, float, float] = CLIP_STD
    mode: ImageMode = "tiles"
    native_min_patches: int | None = None
    apply_exif: bool = True
    background: tuple[int, int, int] | None = None
    video_fps: float = 2.0
    max_frames: int = 128
    video_sampling: SamplingRule = "vllm"
    video_layout: VideoStyle = "train"
    keep_frame_aspect: bool = False
    video_pruning_rate: float | None = None
    video_speech: bool = True
    pdf_dpi: int = 150
    max_length: int | None = None

    def __post_init__(self) -> None:
        cell = 2 * self.patch_size
        if self.patch_size < 1 or self.image_size < cell or self.image_size % cell:
            raise ConfigError(
                f"image_size {self.image_size}: expected a positive multiple of {cell} "
                "(two patches)"
            )
        for name, kinds in (
            ("mode", get_args(ImageMode)),
            ("video_sampling", get_args(SamplingRule)),
            ("video_layout", get_args(VideoStyle)),
        ):
            value = getattr(self, name)
            if value not in kinds:
                hint = nearest(str(value), kinds)
                raise ConfigError(f"{name} {value!r}: expected one of {', '.join(kinds)}{hint}")
        counts = ("max_num_tiles", "max_frames", "pdf_dpi", "max_length", "native_min_patches")
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} {value}: expected at least 1")
        if self.max_num_tiles > MAX_TILES:
            raise ConfigError(f"max_num_tiles {self.max_num_tiles}: expected at most {MAX_TILES}")
        if not self.video_fps > 0:
            raise ConfigError(f"video_fps {self.video_fps}: expected more than 0")
        if self.video_pruning_rate is not None and not 0 <= self.video_pruning_rate < 1:
            raise ConfigError(
                f"video_pruning_rate {self.video_pruning_rate}: expected in [0, 1), or null"
            )
        if not all(s > 0 for s in self.norm_std):
            raise ConfigError(f"norm_std {self.norm_std}: expected values above 0")

    @property
    def cell(self) -> int:
        """Side in pixels of the square one visual token stands for."""
        return 2 * self.patch_size

    @property
    def patches_per_tile(self) -> int:
        """Vision patches of a square tile."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of a square tile."""
        return (self.image_size // self.cell) ** 2

    @property
    def native_patches(self) -> tuple[int, int]:
        """Fewest and most patches of a picture in native mode.

        By default one tile's worth, and that of all tiles with their thumbnail.
        """
        fewest = self.native_min_patches or self.patches_per_tile
        return fewest, (self.max_num_tiles + 1) * self.patches_per_tile


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one request may change about media; parts of a conversation may say more.

    Attributes:
        max_tiles: Tiles of one picture; None takes the config's.
        total_tiles: Tiles of all pictures together; None is no bound. When exceeded, `max_tiles`
            is lowered for all alike.
        use_thumbnail: Whether pictures of several tiles get an overview; None takes the config's.
        pruning_rate: EVS rate of videos; None or 0 is off, "auto" the config's.
        fps, max_frames: Frames sampled per second, and at most; None takes the config's.
    """

    max_tiles: int | None = None
    total_tiles: int | None = None
    use_thumbnail: bool | None = None
    pruning_rate: float | Literal["auto"] | None = None
    fps: float | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_tiles", "total_tiles", "max_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value}: expected at least 1")
        if self.max_tiles is not None and self.max_tiles > MAX_TILES:
            raise InputError(f"max_tiles {self.max_tiles}: expected at most {MAX_TILES}")
        if self.fps is not None and not self.fps > 0:
            raise InputError(f"fps {self.fps}: expected more than 0")
        rate: Any = self.pruning_rate
        if rate is None or rate == "auto":
            return
        if isinstance(rate, str) or not 0 <= rate < 1:
            raise InputError(f"pruning_rate {rate!r}: expected in [0, 1), or 'auto'")
