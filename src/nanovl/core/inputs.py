"""Tensors that enter the model: one sample, or one pack of samples.

Shapes: t tokens, m tiles or frames, s segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from nanovl.core.errors import InputError
from nanovl.core.layout import TokenLayout

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
        pixel_values: (m, 3, height, width) in token order, or None.
        tile_counts: int32 (pictures,), tiles of every picture.
        image_pos: int64 (visual tokens,), flat positions of the placeholders.
        keys, sources: One per segment.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    loss_weight: torch.Tensor
    cu_seqlens: torch.Tensor
    seq_idx: torch.Tensor
    position_ids: torch.Tensor
    pixel_values: torch.Tensor | None = None
    tile_counts: torch.Tensor | None = None
    image_pos: torch.Tensor | None = None
    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t = self.input_ids.shape[0]
        for name in ("labels", "loss_weight", "seq_idx", "position_ids"):
            if tuple(getattr(self, name).shape) != (t,):
                raise InputError(
                    f"pack: {name} has shape {tuple(getattr(self, name).shape)}, expected ({t},)"
                )
        cu = self.cu_seqlens
        if int(cu[0]) != 0 or int(cu[-1]) != t or bool((cu[1:] <= cu[:-1]).any()):
            raise InputError(f"pack: cu_seqlens {cu.tolist()} must rise from 0 to {t}")
        if bool((self.loss_weight[self.labels == -100] != 0).any()):
            raise InputError("pack: loss_weight is not zero where labels are -100")
