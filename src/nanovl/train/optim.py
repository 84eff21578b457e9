"""AdamW over sharded fp32 parameters, learning rate schedule, gradient norms, EMA.

Source: training specification, section 5; report, table 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Shard

from nanovl.train.parallel import local_tensor
from nanovl.train.step import PARTS, part_of

__all__ = [
    "EMA",
    "build_optimizer",
    "clip_gradients",
    "fill_missing_gradients",
    "gradient_norms",
    "is_decayed",
    "learning_rate",
    "set_learning_rate",
    "trainable",
]

# Parameters of the SSM that set its time scales; never decayed, whatever their shape.
_NEVER_DECAYED = ("A_log", "D", "dt_bias")


def learning_rate(
    update: int,
    total: int,
    *,
    peak: float,
    minimum: float = 0.0,
    warmup_fraction: float = 0.1,
    schedule: str = "cosine",
) -> float:
    """Learning rate of the update that follows `update` completed ones.

    Linear from 0 over the first `warmup_fraction * total` updates (a real number, not rounded),
    then a cosine to `minimum` ("cosine"), a straight line ("linear") or flat ("constant"). The
    very first update uses 0.
    """
    warmup = warmup_fraction * total
    if update < warmup:
        return peak * update / warmup
    progress = min(1.0, (update - warmup) / max(total - warmup, 1e-12))
    if schedule == "constant":
        return peak
    if schedule == "linear":
        return minimum + (peak - minimum) * (1 - progress)
    return minimum + (peak - minimum) * 0.5 * (1 + math.cos(math.pi * progress))


def is_decayed(name: str, parameter: torch.Tensor) -> bool:
    """Whether weight decay applies: matrices yes; vectors, biases and SSM time scales no."""
    leaf = name.rsplit(".", 1)[-1]
    return parameter.ndim > 1 and leaf != "bias" and leaf not in _NEVER_DECAYED


def build_optimizer(
    model: nn.Module,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.05,
    lr_multipliers: Mapping[str, float] | None = None,
) -> torch.optim.AdamW:
    """AdamW with one group per part of the model and kind of decay.

    Args:
        model: Its trainable parameters are optimized; names decide about part and decay.
        betas, eps, weight_decay: As usual.
        lr_multipliers: Part ("vision", "projector", "llm") -> factor on the learning rate.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (part_of(name), is_decayed(name, parameter))
            groups.setdefault(key, []).append(parameter)
    factors = lr_multipliers or {}
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": weight_decay if decayed else 0.0,
                "lr_mult": factors.get(part, 1.0),
                "part": part,
            }
            for (part, decayed), parameters in groups.items()
        ],
        lr=0.0,
        betas=betas,
        eps=eps,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_mult"]


def fill_missing_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Zeros for parameters no pack of the step used, so that they decay on every rank alike."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def gradient_norms(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """L2 norm of the gradient of every part, over all shards (a collective call)."""
    squares = dict.fromkeys(PARTS, 0.0)
    group_of_shards: dist.ProcessGroup | None = None
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            grad = parameter.grad
            if grad is None:
                continue
            if isinstance(grad, DTensor):
                # Replicas hold the same gradient: the last mesh dimension is the sharded one.
                dim = next(i for i, p in enumerate(grad.placements) if isinstance(p, Shard))
                group_of_shards = grad.device_mesh.get_group(dim)
            local = local_tensor(grad)
            wide = torch.float64 if local.dtype == torch.float64 else torch.float32
            norm = torch.linalg.vector_norm(local, dtype=wide)
            squares[group["part"]] += float(norm) ** 2
    if group_of_shards is not None and dist.get_world_size(group_of_shards) > 1:
        device = "cuda" if dist.get_backend(group_of_shards) == "nccl" else "cpu"
        vector = torch.tensor([*squares.values()], dtype=torch.float64, device=device)
        dist.all_reduce(vector, group=group_of_shards)
        squares = dict(zip(squares, vector.tolist(), strict=True))
    return {part: math.sqrt(value) for part, value in squares.items()}


def clip_gradients(optimizer: torch.optim.Optimizer, total_norm: float, limit: float) -> None:
    """Scale all gradients so that their norm is at most `limit`; 0 switches clipping off."""
    if limit <= 0 or not total_norm > limit:
        return
    scale = limit / (total_norm + 1e-6)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                local_tensor(parameter.grad).mul_(scale)


class EMA:
    """Exponential moving average of trainable parameters, sharded as they are.

    Args:
        parameters: (name, parameter) pairs.
        decay: Share of the old average an update keeps; warmed up as (1 + n) / (10 + n).
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = dict(parameters)
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters after an update in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self._parameters.items():
            local_tensor(self.values[name]).lerp_(local_tensor(parameter.detach()), 1 - decay)


def trainable(model: nn.Module) -> Sequence[tuple[str, nn.Parameter]]:
    """(name, parameter) of everything that is trained."""
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]
