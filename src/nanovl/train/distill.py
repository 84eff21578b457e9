"""Distillation: the forward pass of a pack is a divergence from a teacher instead of a loss.

    pixels -> shared frozen tower -> visual tokens -+-> student decoder -+-> KL(teacher || student)
                                                       +-> teacher decoder -+

For quantization-aware distillation the student carries fake-quantized linears; this module knows
nothing of them. The logits of neither side are ever whole: hidden states of both go through their
output layers a few rows at a time. There is no cross-entropy term.

Letters: t tokens, r rows with loss, j visual tokens, d width.

Source: report, section on quantization-aware distillation; training specification, section 11.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

import torch

from nanovl.core.errors import ConfigError
from nanovl.core.inputs import PackedBatch
from nanovl.core.layout import IGNORE_LABEL
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM
from nanovl.model.vlm import VLM
from nanovl.ops.loss import chunked_kl
from nanovl.train.context_parallel import ContextParallel
from nanovl.train.step import StepLoss, TrainModule, freeze
from nanovl.train.vision_shard import dummy_tile_term, encode_pack, place_visual

__all__ = ["DistillModule", "Positions", "all_text_pack"]

Positions = Literal["loss", "all_text"]


class DistillModule(TrainModule):
    """A student and its teacher, with the forward pass of a `TrainModule`.

    The student's tower and projector are frozen and serve both; the teacher's own are not kept.
    The teacher is in eval mode, without gradients, whatever mode the module is in.

    Args:
        student: Its language model is trained in place.
        teacher: Of the same shape of inputs; its language model becomes part of this module.
        temperature: Divides the logits of both; the loss is multiplied by its square.
        positions: "loss", the tokens that carry loss with their weights; or "all_text", every
            token that is no media, equally weighted.
        vision_shard_threshold, always_encode: As for `TrainModule`.

    Attributes:
        vlm: The student.
        teacher: The teacher's language model.
        chunk_rows: Rows of logits at a time; None chooses by memory.

    Raises:
        ConfigError: Student and teacher cannot share visual tokens or vocabulary.
    """

    def __init__(
        self,
        student: VLM,
        teacher: VLM,
        *,
        temperature: float = 1.0,
        positions: Positions = "loss",
        vision_shard_threshold: int = 0,
        always_encode: bool = False,
    ) -> None:
        super().__init__(
            student, vision_shard_threshold=vision_shard_threshold, always_encode=always_encode
        )
        _check_pair(student, teacher)
        if positions not in ("loss", "all_text"):
            raise ConfigError(f"distill.positions: got {positions!r}, expected loss or all_text")
        if not temperature > 0:
            raise ConfigError(f"distill.temperature: got {temperature}, expected a number above 0")
        freeze(student, ("vision", "projector"))
        self.teacher: HybridLM = teacher.language_model.requires_grad_(False).eval()
        self.temperature = temperature
        self.positions: Positions = positions
        self.chunk_rows: int | None = None

    def train(self, mode: bool = True) -> Self:
        """Training mode for the student alone."""
        super().train(mode)
        self.teacher.eval()
        return self

    def prepare(self, batch: PackedBatch) -> PackedBatch:
        """The pack with the targets and weights this module uses.

        Packs must pass through here before their weights are summed over a step; the forward pass
        does the same once more, to no effect.
        """
        return all_text_pack(batch) if self.positions == "all_text" else batch

    def forward(self, batch: PackedBatch, parallel: ContextParallel | None = None) -> StepLoss:
        """One pack, or with `parallel` this rank's part of it; `token_loss` is the divergence."""
        batch = self.prepare(batch)
        labels, weights = batch.labels, batch.loss_weight
        positions = torch.arange(batch.num_tokens, device=labels.device)
        ids = batch.input_ids
        if parallel is not None:
            ids, labels, weights, positions = (
                parallel.shard(v) for v in (ids, labels, weights, positions)
            )
        rows = (labels != IGNORE_LABEL).nonzero()[:, 0]
        visual = self._visual_tokens(batch, parallel)
        with torch.no_grad():
            taught = self._hidden(self.teacher, ids, visual, batch, parallel)[rows]
            taught = self.teacher.backbone.norm_f(taught)
        student = self.vlm.language_model
        hidden = self._hidden(student, ids, visual, batch, parallel)[rows]
        total, losses = chunked_kl(
            student.backbone.norm_f(hidden),
            student.output_weight,
            taught,
            self.teacher.output_weight,
            weights[rows],
            temperature=self.temperature,
            chunk_rows=self.chunk_rows,
        )
        return StepLoss(total, losses, positions[rows])

    @torch.no_grad()
    def _visual_tokens(
        self, batch: PackedBatch, parallel: ContextParallel | None
    ) -> torch.Tensor | None:
        """All visual tokens of the pack (j, d); None for a pack without pictures."""
        if batch.pixel_values is not None:
            return encode_pack(
                self.vlm, batch, parallel=parallel, threshold=self.vision_shard_threshold
            )
        if self.always_encode:  # other ranks wait for the tower's weights to be gathered
            size = self.vlm.config.image_size
            like = torch.zeros((), dtype=self.vlm.dtype, device=batch.input_ids.device)
            dummy_tile_term(self.vlm.encode_media, (size, size), like)
        return None

    def _hidden(
        self,
        lm: HybridLM,
        ids: torch.Tensor,
        visual: torch.Tensor | None,
        batch: PackedBatch,
        parallel: ContextParallel | None,
    ) -> torch.Tensor:
        """Hidden rows (t, d) of one decoder, before its final norm."""
        x = lm.embed(ids)
        if visual is not None and batch.image_pos is not None:
            x = place_visual(
                x,
                visual,
                batch.image_pos.to(x.device),
                tokens=batch.num_tokens,
                parallel=parallel,
            )
        ctx = ForwardContext(cu_seqlens=tuple(batch.cu_seqlens.tolist()), parallel=parallel)
        return lm.backbone(x, ctx)


def all_text_pack(batch: PackedBatch) -> PackedBatch:
    """The pack with every text token as a target of weight 1.

    A position counts when it and the token after it belong to one sample and neither is media.
    Done a second time, it changes nothing.
    """
    ids = batch.input_ids
    text = torch.ones(batch.num_tokens, dtype=torch.bool, device=ids.device)
    if batch.image_pos is not None:
        text[batch.image_pos] = False
    text[batch.num_real_tokens :] = False
    following = batch.seq_idx[1:] == batch.seq_idx[:-1]
    counts = torch.zeros_like(text)
    counts[:-1] = text[:-1] & text[1:] & following
    labels = torch.where(counts, ids.roll(-1), IGNORE_LABEL)
    return replace(batch, labels=labels, loss_weight=counts.to(batch.loss_weight.dtype))


def _check_pair(student: VLM, teacher: VLM) -> None:
    """Refuse a pair that would be compared on different inputs or outputs."""
    s, t = student.config, teacher.config
    for what, own, other in (
        ("vision", s.vision, t.vision),
        ("projector", s.projector, t.projector),
        ("lm.hidden_size", s.lm.hidden_size, t.lm.hidden_size),
        ("lm.vocab_size", s.lm.vocab_size, t.lm.vocab_size),
    ):
        if own != other:
            raise ConfigError(
                f"distill.teacher: its {what} is {other}, the student's is {own}; both must read "
                "the same visual tokens and write the same vocabulary: choose another teacher"
            )
    for name, parameter in student.named_parameters():
        if name.startswith("language_model.") or parameter.is_meta:
            continue
        other_parameter = teacher.get_parameter(name)
        if not other_parameter.is_meta and not torch.equal(parameter, other_parameter):
            raise ConfigError(
                f"distill.teacher: {name} differs from the student's; both share one vision tower "
                "and projector, so start the student from the teacher's checkpoint"
            )
