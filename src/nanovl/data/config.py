"""Settings of the training data: where it is, how long, how packed, who loads it.

`DataConfig` is the group `data` of a recipe. Plain values only; nothing here opens a file.

Source: training specification, sections 1.6, 2.4, 2.5 and 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from nanovl.core.errors import ConfigError
from nanovl.processing.config import ImageMode

__all__ = ["DataConfig", "PackingConfig", "ReuseConfig", "VideoSampling"]

Algorithm = Literal["balanced", "greedy", "none"]
LoaderName = Literal["plain", "energon"]
PixelType = Literal["bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True)
class PackingConfig:
    """How samples of a buffer are put together.

    Attributes:
        enabled: Whether several samples share one token stream of `seq_len`.
        algorithm: "balanced" (packs of even load and mixed lengths), "greedy" (fullest packs) or
            "none" (the same as `enabled: false`).
        buffer_samples: Samples planned at a time by one worker; their pixels are not decoded.
        delta_frac: Extra packs opened by "balanced", as a share of the fewest possible.
        max_tiles_per_pack: Most tiles and frames in one pack; None is no bound.
    """

    enabled: bool = True
    algorithm: Algorithm = "balanced"
    buffer_samples: int = 4000
    delta_frac: float = 0.01
    max_tiles_per_pack: int | None = None

    def __post_init__(self) -> None:
        _one_of("packing.algorithm", self.algorithm, ("balanced", "greedy", "none"))
        _at_least("packing.buffer_samples", self.buffer_samples, 1)
        if not 0 <= self.delta_frac <= 1:
            raise ConfigError(f"packing.delta_frac {self.delta_frac}: expected 0 to 1")
        if self.max_tiles_per_pack is not None:
            _at_least("packing.max_tiles_per_pack", self.max_tiles_per_pack, 1)
            if self.algorithm == "greedy":
                raise ConfigError(
                    "packing.max_tiles_per_pack is kept by the algorithm 'balanced' only; choose "
                    "it, or remove the bound"
                )

    @property
    def is_on(self) -> bool:
        """Whether samples are packed."""
        return self.enabled and self.algorithm != "none"


@dataclass(frozen=True, kw_only=True)
class VideoSampling:
    """Which frames of a video are used.

    Attributes:
        fps: Frames per second of video.
        max_frames: At most so many, spread evenly over a longer video.
    """

    fps: float = 2.0
    max_frames: int = 128

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise ConfigError(f"video.fps {self.fps}: expected more than 0")
        _at_least("video.max_frames", self.max_frames, 1)


@dataclass(frozen=True, kw_only=True)
class ReuseConfig:
    """Shares of an earlier stage's data that are used again.

    They narrow the sources whose `subflavors` carry `reuse: multimodal` or `reuse: text` to the
    first part of their records, so the files should have been shuffled. The report names 25 %; its
    totals need half of the text (inferred).

    Attributes:
        multimodal: Share of records with media.
        text: Share of text records.
    """

    multimodal: float = 0.25
    text: float = 0.5

    def __post_init__(self) -> None:
        for name in ("multimodal", "text"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"reuse.{name} {getattr(self, name)}: expected more than 0, at most 1"
                )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The training data of one stage.

    Attributes:
        metadataset: Blend file, or one `.jsonl`; None when the caller brings its own loader.
        split: Split of the blend file.
        seq_len: Longest sample, and longest pack, in tokens.
        align: Packs are padded to a multiple of this; divides `seq_len`.
        pad_packs: Whether every pack is padded to `seq_len`, so that shapes never change.
        packing: How samples are put together.
        loader: "plain" (built in, exactly restorable) or "energon" (for very large sets).
        num_workers: Worker processes per rank; 0 loads in the training process.
        prefetch: Packs a worker prepares ahead; with no workers a thread does, 0 switches it off.
        seed: Of the order of samples and of every choice made for them.
        shuffle: Whether records are drawn in random order.
        shuffle_buffer: Samples shuffled at a time; used by "energon" only.
        epochs: Passes over the data after which it ends; None follows the blend file (weights
            never end). Used by "plain" only.
        max_tiles: Most tiles of one picture, thumbnail not counted.
        image_mode: "tiles", "native" or "tiling-size-matching", as in `ProcessorConfig.mode`; None
            is the model's own. What is exported keeps it.
        native_min_patches: Fewest vision patches of a picture in native mode; None is the model's
            own, or a tile's worth.
        video: Which frames of a video are used.
        pixel_dtype: Of the decoded tiles.
        reasoning_probability: How often a record that leaves it open keeps its trace.
        mask_prompt_reasoning: Whether the think tokens the inference prompt supplies carry no
            loss.
        bos: Whether samples begin with `<s>`; the 12B's did not.
        reuse: Shares of earlier data used again; None leaves the blend file as it is.
    """

    metadataset: str | None = None
    split: str = "train"
    seq_len: int = 16384
    align: int = 16
    pad_packs: bool = False
    packing: PackingConfig = field(default_factory=PackingConfig)
    loader: LoaderName = "plain"
    num_workers: int = 0
    prefetch: int = 2
    seed: int = 0
    shuffle: bool = True
    shuffle_buffer: int = 1000
    epochs: int | None = None
    max_tiles: int = 12
    image_mode: ImageMode | None = None
    native_min_patches: int | None = None
    video: VideoSampling = field(default_factory=VideoSampling)
    pixel_dtype: PixelType = "bfloat16"
    reasoning_probability: float = 0.5
    mask_prompt_reasoning: bool = True
    bos: bool = True
    reuse: ReuseConfig | None = None

    def __post_init__(self) -> None:
        _one_of("loader", self.loader, ("plain", "energon"))
        if self.image_mode is not None:
            _one_of("image_mode", self.image_mode, get_args(ImageMode))
        if self.native_min_patches is not None:
            _at_least("native_min_patches", self.native_min_patches, 4)
        _one_of("pixel_dtype", self.pixel_dtype, ("bfloat16", "float32"))
        for name in ("seq_len", "align", "max_tiles"):
            _at_least(name, getattr(self, name), 1)
        for name in ("num_workers", "prefetch", "seed", "shuffle_buffer"):
            _at_least(name, getattr(self, name), 0)
        if self.epochs is not None:
            _at_least("epochs", self.epochs, 1)
        if not self.split:
            raise ConfigError("data.split is empty: expected the name of a split, like 'train'")
        if self.seq_len % self.align:
            raise ConfigError(
                f"data.seq_len {self.seq_len} is not a multiple of data.align {self.align}; a "
                "padded pack would be longer than allowed; round seq_len"
            )
        if not 0 <= self.reasoning_probability <= 1:
            raise ConfigError(
                f"data.reasoning_probability {self.reasoning_probability}: expected 0 to 1"
            )
        if self.loader == "energon":
            for name in ("epochs", "reuse"):
                if getattr(self, name) is not None:
                    raise ConfigError(
                        f"data.{name} is for the loader 'plain'; with 'energon' say it in the "
                        "blend file (blend_epochized with repetitions, subset with a range)"
                    )


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"data.{name} {value!r}: expected one of {', '.join(known)}")


def _at_least(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"data.{name} {value!r}: expected a whole number of at least {least}")
