"""AdamW and Muon over sharded fp32 parameters, learning rate schedule, gradient norms, EMA.

Source: training specification, section 5; report, table 1; Muon: Jordan et al. 2024, its scale
Liu et al. 2025 (arXiv 2502.16982).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from nanovl.train.parallel import full_tensor, local_tensor
from nanovl.train.step import PARTS, part_of

__all__ = [
    "EMA",
    "Muon",
    "build_optimizer",
    "clip_gradients",
    "fill_missing_gradients",
    "gradient_norms",
    "is_decayed",
    "is_orthogonal",
    "learning_rate",
    "orthogonal",
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


def is_orthogonal(name: str, parameter: torch.Tensor) -> bool:
    """Whether Muon applies: the matrices of blocks, not embeddings, heads or position tables."""
    inner = (".blocks.", ".layers.", "mlp1.")
    return parameter.ndim == 2 and any(part in f".{name}" for part in inner)


def orthogonal(matrix: torch.Tensor, *, steps: int = 5) -> torch.Tensor:
    """The nearest matrix with orthonormal rows or columns, roughly, in the dtype of `matrix`.

    A quintic Newton-Schulz iteration in bf16 drives all singular values into about [0.7, 1.2].

    Args:
        matrix: (rows, columns); zeros stay zeros.
        steps: Iterations.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.t() if tall else matrix).to(torch.bfloat16)
    x = x / x.float().norm().clamp_min(1e-7).to(x.dtype)
    for _ in range(steps):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.t() if tall else x).to(matrix.dtype)


class Muon(torch.optim.AdamW):
    """Momentum whose matrices are made orthogonal; AdamW for everything else.

    Groups with `orthogonal: True` hold matrices only. Their updates have the size that AdamW's
    have on average (0.2 per element), so that one rate serves both. Sharded matrices are gathered
    for the iteration (a collective call), which every rank then repeats.

    Args:
        groups: Parameter groups.
        momentum: Of the matrices, with Nesterov's look ahead.
        **settings: As of AdamW.
    """

    def __init__(self, groups: Any, *, momentum: float = 0.95, **settings: Any) -> None:
        self.momentum = momentum
        super().__init__(groups, **settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of everything that has a gradient."""
        matrices = [group for group in self.param_groups if group.get("orthogonal")]
        kept = [(p, p.grad) for group in matrices for p in group["params"]]
        for group in matrices:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._turn(parameter, group["lr"], group["weight_decay"])
                    parameter.grad = None  # nothing for AdamW to do
        super().step(closure)
        for parameter, grad in kept:
            parameter.grad = grad

    def _turn(self, parameter: torch.Tensor, rate: float, weight_decay: float) -> None:
        state, grad = self.state[parameter], parameter.grad
        assert grad is not None
        if not state:
            state["step"] = torch.zeros(())  # AdamW looks for it when it is restored
            state["momentum"] = torch.zeros_like(parameter)
        momentum = local_tensor(state["momentum"])
        momentum.lerp_(local_tensor(grad), 1 - self.momentum)
        ahead = grad.lerp(state["momentum"], self.momentum)
        change = orthogonal(full_tensor(ahead))
        if isinstance(parameter, DTensor):
            mesh, placements = parameter.device_mesh, parameter.placements
            change = distribute_tensor(change, mesh, placements, src_data_rank=None)
        size = 0.2 * math.sqrt(max(parameter.shape))
        local = local_tensor(parameter)
        local.mul_(1 - rate * weight_decay).add_(local_tensor(change), alpha=-rate * size)


def build_optimizer(
    model: nn.Module,
    *,
    name: str = "adamw",
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.05,
    lr_multipliers: Mapping[str, float] | None = None,
) -> torch.optim.AdamW:
    """The optimizer, with one group per part of the model and way of treatment.

    Args:
        model: Its trainable parameters are optimized; names decide about part and treatment.
        name: "adamw", or "muon" for the matrices of blocks.
        betas, eps, weight_decay: As usual.
        lr_multipliers: Part ("vision", "projector", "llm") -> factor on the learning rate.
    """
    groups: dict[tuple[str, bool, bool], list[nn.Parameter]] = {}
    for own, parameter in model.named_parameters():
        if parameter.requires_grad:
            turned = name == "muon" and is_orthogonal(own, parameter)
            key = (part_of(own), is_decayed(own, parameter), turned)
            groups.setdefault(key, []).append(parameter)
    factors = lr_multipliers or {}
    settings = [
        {
            "params": parameters,
            "weight_decay": weight_decay if decayed else 0.0,
            "lr_mult": factors.get(part, 1.0),
            "part": part,
            **({"orthogonal": turned} if name == "muon" else {}),
        }
        for (part, decayed, turned), parameters in groups.items()
    ]
    return {"adamw": torch.optim.AdamW, "muon": Muon}[name](
        settings,
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
