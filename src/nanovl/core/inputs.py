"""Tensors that enter the model: one sample, or one pack of samples.

Shapes: t tokens, m tiles or frames, s segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nanovl.core.errors import InputError
from nanovl.core.layout import IGNORE_LABEL, TokenLayout

__all__ = ["PackedBatch", "ProcessedInputs"]


@dataclass(frozen=True, kw_only=True)
class ProcessedInputs:
    """One sample, decoded.

    Attributes:
        layout: The plan this was loaded from.
        input_ids: int64 (t,).
        pixel_values: One float tensor (m_i, 3, height, width) per span of the layout, normalised.
        labels: int64 (t,) or None; not shifted.
    """

    layout: TokenLayout
    input_ids: torch.Tensor
    pixel_values: tuple[torch.Tensor, ...] = ()
    labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.input_ids.shape != (self.layout.num_tokens,) or self.input_ids.dtype != torch.int64:
            raise InputError(
                f"input_ids: got {self.input_ids.dtype} {tuple(self.input_ids.shape)}, "
                f"expected int64 ({self.layout.num_tokens},)"
            )
        if len(self.pixel_values) != len(self.layout.spans):
            raise InputError(
                f"{len(self.pixel_values)} pixel tensors for {len(self.layout.spans)} media spans"
            )
        for index, (span, pixels) in enumerate(
            zip(self.layout.spans, self.pixel_values, strict=True)
        ):
            expected = (span.tiles, 3, *span.tile_size)
            if tuple(pixels.shape) != expected or not pixels.is_floating_point():
                raise InputError(
                    f"media {index}: pixels {pixels.dtype} {tuple(pixels.shape)}, "
                    f"expected floating point {expected}"
                )


@dataclass(frozen=True, kw_only=True)
class PackedBatch:
    """Several samples in one token stream; see the pack tensor contract in `docs/`.

    Attributes:
        input_ids: int64 (t,).
        labels: int64 (t,), already shifted, -100 where no loss.
        loss_weight: fp32 (t,), zero where labels are -100.
        cu_seqlens: int32 (s + 1,), segment starts, last = t; padding is a segment of its own.
        seq_idx: int32 (t,), segment number of every token.
        position_ids: int64 (t,), from 0 in every segment.
        pixel_values: (m, 3, height, width) in token order; pictures of several sizes as a tuple
            of such tensors; or None.
        tile_counts: int32 (pictures,), tiles of every picture.
        image_pos: int64 (visual tokens,), flat positions of the placeholders.
        keys, sources: One per segment, padding excluded.
        num_padding: Tokens of the padding segment at the end, 0 when there is none.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    loss_weight: torch.Tensor
    cu_seqlens: torch.Tensor
    seq_idx: torch.Tensor
    position_ids: torch.Tensor
    pixel_values: torch.Tensor | tuple[torch.Tensor, ...] | None = None
    tile_counts: torch.Tensor | None = None
    image_pos: torch.Tensor | None = None
    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    num_padding: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t = self.input_ids.shape[0]
        if self.seq_idx is None:
            raise InputError(
                f"pack of {self.cu_seqlens.shape[0] - 1} segments without seq_idx: the Mamba "
                "layers could not keep its samples apart; build packs with build_pack"
            )
        for name in ("labels", "loss_weight", "seq_idx", "position_ids"):
            if tuple(getattr(self, name).shape) != (t,):
                raise InputError(
                    f"pack: {name} has shape {tuple(getattr(self, name).shape)}, expected ({t},)"
                )
        cu = self.cu_seqlens
        if int(cu[0]) != 0 or int(cu[-1]) != t or bool((cu[1:] <= cu[:-1]).any()):
            raise InputError(f"pack: cu_seqlens {cu.tolist()} must rise from 0 to {t}")
        if bool((self.loss_weight[self.labels == IGNORE_LABEL] != 0).any()):
            raise InputError("pack: loss_weight is not zero where labels are -100")
        numbers = torch.repeat_interleave(
            torch.arange(cu.shape[0] - 1, device=cu.device), cu.diff().to(torch.int64)
        )
        if not torch.equal(self.seq_idx.to(numbers.dtype), numbers.to(self.seq_idx.device)):
            raise InputError(
                "pack: seq_idx does not number the segments of cu_seqlens; state would leak "
                "from one sample into the next"
            )
        last = cu[1:].to(torch.int64) - 1
        if bool((self.labels[last] != IGNORE_LABEL).any()):
            raise InputError(
                "pack: the last token of a segment has a label; its target would belong to "
                "another segment"
            )
        if not 0 <= self.num_padding < t:
            raise InputError(f"pack: {self.num_padding} padding tokens of {t}")
        self._check_pixels()

    def _check_pixels(self) -> None:
        tiles = self.num_tiles
        counted = 0 if self.tile_counts is None else int(self.tile_counts.sum())
        visual = 0 if self.image_pos is None else self.image_pos.shape[0]
        if tiles != counted or bool(tiles) != bool(visual):
            raise InputError(
                f"pack: {tiles} tiles of pixels, tile_counts add up to {counted}, "
                f"{visual} positions of visual tokens"
            )

    @property
    def num_tokens(self) -> int:
        """Length of the stream, padding included."""
        return self.input_ids.shape[0]

    @property
    def num_real_tokens(self) -> int:
        """Tokens of samples."""
        return self.num_tokens - self.num_padding

    @property
    def num_tiles(self) -> int:
        """Tiles and frames."""
        return sum(pixels.shape[0] for pixels in self.pictures)

    @property
    def pictures(self) -> tuple[torch.Tensor, ...]:
        """`pixel_values` as a tuple; empty without any."""
        if self.pixel_values is None:
            return ()
        return self.pixel_values if isinstance(self.pixel_values, tuple) else (self.pixel_values,)

    @property
    def lengths(self) -> list[int]:
        """Tokens of every sample, padding excluded."""
        lengths: list[int] = self.cu_seqlens.diff().tolist()
        return lengths[:-1] if self.num_padding else lengths

    @property
    def weight_mass(self) -> float:
        """Sum of the loss weights, in fp64; what the loss of a step is divided by."""
        return float(self.loss_weight.double().sum())

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same pack with its tensors on `device`; segment borders stay on the host."""
        names = ("input_ids", "labels", "loss_weight", "seq_idx", "position_ids", "image_pos")
        moved = {
            name: value.to(device, non_blocking=True)
            for name in names
            if (value := getattr(self, name)) is not None
        }
        pixels = tuple(p.to(device, non_blocking=True) for p in self.pictures)
        if pixels:
            moved["pixel_values"] = pixels if isinstance(self.pixel_values, tuple) else pixels[0]
        return replace(self, **moved)
