"""Training losses: square-averaged weights, cross-entropy and KL that never hold all logits.

The loss of a step is

    L = sum_t w_t l_t / sum_t w_t          over every token of the step

with w_t = 1 / sqrt(n) for a token of an answer of n tokens ("square"), 1 ("token") or 1 / n
("sample"). Both sums are taken over all packs and ranks of the step, which makes the result
independent of how the step is split; dividing is the caller's business.

Letters: t tokens, s segments, r rows, d width, v vocabulary.

Source: report, section 3 ("square averaging, similar to InternVL"); training specification,
section 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F

from nanovl.core.layout import IGNORE_LABEL

__all__ = ["chunked_cross_entropy", "chunked_kl", "loss_weights"]

Reduction = Literal["square", "token", "sample"]
Unit = Literal["turn", "sample"]

# fp32 logits held at once: 64 MB.
_LOGIT_ELEMENTS = 1 << 24


def loss_weights(
    labels: torch.Tensor,
    cu_seqlens: Sequence[int] | torch.Tensor,
    *,
    reduction: Reduction = "square",
    unit: Unit = "turn",
    sample_weights: Sequence[float] | torch.Tensor | None = None,
) -> torch.Tensor:
    """Weight of every token's loss in a pack.

    Must run on whole segments: a turn of 100 tokens that is cut 60 / 40 before its length is
    counted would weigh sqrt(60) + sqrt(40) instead of sqrt(100).

    Args:
        labels: Shifted targets int64 (t,), -100 where there is no loss.
        cu_seqlens: Segment borders (s + 1,).
        reduction: "square" 1 / sqrt(n), "token" 1, "sample" 1 / n, n counted over one unit.
        unit: "turn", a maximal run of targets, or "sample", all targets of a segment.
        sample_weights: A factor per segment (s,); ones when absent.

    Returns:
        fp32 (t,), zero where labels are -100. Its sum is the sum of sqrt(n) over the units
        ("square"), the number of tokens or the number of units.
    """
    borders = [int(b) for b in cu_seqlens]
    on = (labels != IGNORE_LABEL).cpu()
    weights = torch.zeros(labels.shape[0], dtype=torch.float64)
    for index, (start, stop) in enumerate(itertools.pairwise(borders)):
        factor = 1.0 if sample_weights is None else float(sample_weights[index])
        for first, last in _units(on[start:stop], unit):
            run = on[start + first : start + last].double()
            n = float(run.sum())
            each = {"square": n**-0.5, "token": 1.0, "sample": 1.0 / n}[reduction]
            weights[start + first : start + last] = factor * each * run
    return weights.to(torch.float32).to(labels.device)


def _units(on: torch.Tensor, unit: Unit) -> list[tuple[int, int]]:
    """(first, one past last) of every unit of one segment."""
    if not bool(on.any()):
        return []
    if unit == "sample":
        return [(0, on.shape[0])]
    edges = torch.diff(F.pad(on.to(torch.int8), (1, 1)))
    return list(
        zip(
            (edges == 1).nonzero()[:, 0].tolist(),
            (edges == -1).nonzero()[:, 0].tolist(),
            strict=True,
        )
    )


def chunked_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    row_weights: torch.Tensor,
    *,
    chunk_rows: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum of cross-entropies, a few rows of logits at a time.

    Gradients are made together with the loss, while a chunk's logits exist; backward only scales
    them. Products run in the dtype of `hidden`, softmax and sums in fp32 (fp64 for fp64).

    Args:
        hidden: Rows that carry loss, final norm applied (r, d).
        weight: Output layer (v, d), same dtype.
        targets: int64 (r,).
        row_weights: (r,).
        chunk_rows: Rows at a time; None keeps the logits of a chunk at 64 MB.

    Returns:
        The sum, 0-d, differentiable in `hidden` and `weight`; and every row's loss (r,), detached.
    """
    total, losses = cast(
        tuple[torch.Tensor, torch.Tensor],
        _CrossEntropy.apply(hidden, weight, targets, row_weights, chunk_rows),
    )
    return total, losses


def chunked_kl(
    student_hidden: torch.Tensor,
    student_weight: torch.Tensor,
    teacher_hidden: torch.Tensor,
    teacher_weight: torch.Tensor,
    row_weights: torch.Tensor,
    *,
    temperature: float = 1.0,
    chunk_rows: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum of KL(teacher || student), a few rows of logits at a time.

    Args:
        student_hidden: (r, d), final norm applied.
        student_weight: (v, d).
        teacher_hidden: (r, d_teacher), no gradient is made.
        teacher_weight: (v, d_teacher).
        row_weights: (r,).
        temperature: Divides both logits; the loss is multiplied by its square, so that gradients
            keep their size.
        chunk_rows: Rows at a time.

    Returns:
        The sum, 0-d, differentiable in the student; and every row's divergence (r,), detached.
    """
    total, losses = cast(
        tuple[torch.Tensor, torch.Tensor],
        _KL.apply(
            student_hidden,
            student_weight,
            teacher_hidden.detach(),
            teacher_weight.detach(),
            row_weights,
            temperature,
            chunk_rows,
        ),
    )
    return total, losses


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _chunks(rows: int, vocabulary: int, chunk_rows: int | None) -> list[slice]:
    size = chunk_rows or max(1, _LOGIT_ELEMENTS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


class _Gradients:
    """Gradients of hidden rows and output layer, filled chunk by chunk."""

    def __init__(self, ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> None:
        wide = _wide(hidden.dtype)
        self.hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        self.weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None

    @property
    def wanted(self) -> bool:
        return self.hidden is not None or self.weight is not None

    def add(
        self, rows: slice, logits_grad: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor
    ) -> None:
        """Take the gradient (rows, v) of one chunk's logits."""
        narrow = logits_grad.to(hidden.dtype)
        if self.hidden is not None:
            torch.mm(narrow, weight, out=self.hidden[rows])
        if self.weight is not None:
            # fp32 sum over chunks; one chunk's product rounds to the dtype of the weights.
            self.weight += narrow.t() @ hidden

    def keep(self, ctx: Any, weight_dtype: torch.dtype) -> None:
        ctx.hidden_grad = self.hidden
        ctx.weight_grad = None if self.weight is None else self.weight.to(weight_dtype)

    @staticmethod
    def scaled(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        made = (ctx.hidden_grad, ctx.weight_grad)
        return tuple(None if g is None else g * grad.to(g.dtype) for g in made)  # type: ignore[return-value]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        row_weights: torch.Tensor,
        chunk_rows: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wide = _wide(hidden.dtype)
        losses = torch.empty(hidden.shape[0], dtype=wide, device=hidden.device)
        scale = row_weights.to(wide)
        gradients = _Gradients(ctx, hidden, weight)
        for rows in _chunks(hidden.shape[0], weight.shape[0], chunk_rows):
            logits = F.linear(hidden[rows], weight).to(wide)  # (rows, v)
            at = targets[rows, None]
            picked = logits.gather(1, at)[:, 0]
            peak = logits.amax(dim=1, keepdim=True)
            exps = logits.sub_(peak).exp_()
            total = exps.sum(dim=1)
            losses[rows] = total.log() + peak[:, 0] - picked
            if gradients.wanted:
                exps.mul_((scale[rows] / total)[:, None])
                exps.scatter_add_(1, at, -scale[rows, None])
                gradients.add(rows, exps, hidden[rows], weight)
        gradients.keep(ctx, weight.dtype)
        ctx.mark_non_differentiable(losses)
        return (losses * scale).sum(), losses

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return (*_Gradients.scaled(ctx, grads[0]), None, None, None)


class _KL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        teacher_hidden: torch.Tensor,
        teacher_weight: torch.Tensor,
        row_weights: torch.Tensor,
        temperature: float,
        chunk_rows: int | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wide = _wide(hidden.dtype)
        losses = torch.empty(hidden.shape[0], dtype=wide, device=hidden.device)
        scale = row_weights.to(wide)
        gradients = _Gradients(ctx, hidden, weight)
        for rows in _chunks(hidden.shape[0], weight.shape[0], chunk_rows):
            student = F.linear(hidden[rows], weight).to(wide).div_(temperature).log_softmax(1)
            teacher = F.linear(teacher_hidden[rows], teacher_weight).to(wide)
            teacher = teacher.div_(temperature).log_softmax(1)
            p = teacher.exp()
            losses[rows] = (p * (teacher - student)).sum(1) * temperature**2
            if gradients.wanted:
                grad = student.exp_().sub_(p).mul_((scale[rows] * temperature)[:, None])
                gradients.add(rows, grad, hidden[rows], weight)
        gradients.keep(ctx, weight.dtype)
        ctx.mark_non_differentiable(losses)
        return (losses * scale).sum(), losses

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return (*_Gradients.scaled(ctx, grads[0]), None, None, None, None, None)
