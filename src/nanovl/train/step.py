"""Forward pass of one pack, from pixels and ids to the weighted sum of losses.

Everything that touches a parameter happens inside `TrainModule.forward`, because sharded
parameters are whole only there. Divides by nothing: the weight of a step is known to the trainer.

Letters: t tokens, r rows with loss, m tiles, d width.

Source: training specification, sections 3.4, 4.2, 7.4 and 7.5.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import nn

from nanovl.core.inputs import PackedBatch
from nanovl.core.layout import IGNORE_LABEL
from nanovl.model.context import ForwardContext
from nanovl.model.lm import Layer
from nanovl.model.vision import VisionBlock
from nanovl.model.vlm import VLM
from nanovl.ops.loss import chunked_cross_entropy
from nanovl.train.context_parallel import ContextParallel
from nanovl.train.vision_shard import embed_pack

__all__ = ["PARTS", "StepLoss", "TrainModule", "freeze", "part_of", "set_recompute"]

# Names of the parts a recipe may freeze -> prefix of their parameters.
PARTS = {"vision": "vision_model.", "projector": "mlp1.", "llm": "language_model."}


class StepLoss(NamedTuple):
    """Loss of one pack, or of this rank's part of it.

    Attributes:
        total: Sum of weight times loss over the tokens at hand, 0-d, differentiable.
        token_loss: Loss of every row that has one (r,), detached.
        rows: Their positions in the whole pack, int64 (r,).
    """

    total: torch.Tensor
    token_loss: torch.Tensor
    rows: torch.Tensor


class TrainModule(nn.Module):
    """A model whose forward pass is a loss.

    Args:
        vlm: The model; its parameters are trained in place.
        vision_shard_threshold: Tiles of a pack up to which every context parallel rank encodes
            all of them, because that is faster than exchanging them.
        always_encode: Run the vision encoder for packs without pictures too, so that all ranks
            take part in the same collectives.

    Attributes:
        chunk_rows: Rows of logits at a time; None chooses by memory.
    """

    def __init__(
        self, vlm: VLM, *, vision_shard_threshold: int = 0, always_encode: bool = False
    ) -> None:
        super().__init__()
        self.vlm = vlm
        self.vision_shard_threshold = vision_shard_threshold
        self.always_encode = always_encode
        self.chunk_rows: int | None = None

    def prepare(self, batch: PackedBatch) -> PackedBatch:
        """The pack with the targets and weights this module uses."""
        return batch

    def forward(self, batch: PackedBatch, parallel: ContextParallel | None = None) -> StepLoss:
        """One pack, or with `parallel` this rank's part of it; see `StepLoss`."""
        hidden, labels, weights, positions = self.hidden(batch, parallel)
        rows = (labels != IGNORE_LABEL).nonzero()[:, 0]
        lm = self.vlm.language_model
        total, losses = chunked_cross_entropy(
            lm.backbone.norm_f(hidden[rows]),
            lm.output_weight,
            labels[rows],
            weights[rows],
            chunk_rows=self.chunk_rows,
        )
        return StepLoss(total, losses, positions[rows])

    def hidden(
        self, batch: PackedBatch, parallel: ContextParallel | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden rows before the final norm, with labels, weights and positions of those rows."""
        x = embed_pack(
            self.vlm,
            batch,
            parallel=parallel,
            threshold=self.vision_shard_threshold,
            always_encode=self.always_encode,
        )
        labels, weights = batch.labels, batch.loss_weight
        positions = torch.arange(batch.num_tokens, device=labels.device)
        if parallel is not None:
            labels, weights, positions = (parallel.shard(v) for v in (labels, weights, positions))
        ctx = ForwardContext(cu_seqlens=tuple(batch.cu_seqlens.tolist()), parallel=parallel)
        return self.vlm.language_model.backbone(x, ctx), labels, weights, positions


def part_of(name: str) -> str:
    """Which of `PARTS` a parameter belongs to."""
    name = name.removeprefix("vlm.")
    return next(part for part, prefix in PARTS.items() if name.startswith(prefix))


def freeze(vlm: VLM, parts: Collection[str]) -> None:
    """Make every parameter trainable but those of the named parts."""
    for name, parameter in vlm.named_parameters():
        parameter.requires_grad_(part_of(name) not in parts)


def set_recompute(model: nn.Module, enabled: bool) -> None:
    """Compute decoder layers and vision blocks again in the backward pass, or keep activations."""
    module: Any
    for module in model.modules():
        if isinstance(module, Layer | VisionBlock):
            module.recompute = enabled
