"""Process groups, device meshes and sharded parameters.

    world = dp_replicate x dp_shard x cp        (ranks in this order, cp fastest)

Data parallel ranks read different packs; context parallel ranks hold parts of the same pack.
Parameters are sharded over dp_shard x cp and replicated over dp_replicate (FSDP2; HSDP when there
are replicas). Gradients are summed, never averaged: the loss is already divided by the weight of
the whole step. One process is the same code with groups of one rank; gloo on CPU, NCCL on GPUs.

Must not know recipes, packs or losses.

Source: training specification, sections 4.2, 5, 7.4.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from nanovl.core.errors import ConfigError
from nanovl.core.paths import launch
from nanovl.model.lm import Layer
from nanovl.model.vision import PatchGenerator, VisionBlock
from nanovl.model.vlm import VLM

__all__ = [
    "ParallelDims",
    "World",
    "fsdp_modules",
    "full_tensor",
    "local_tensor",
    "open_world",
    "shard_model",
]


@dataclass(frozen=True, kw_only=True)
class ParallelDims:
    """How the ranks are divided.

    Attributes:
        dp_replicate: Copies of the sharded model.
        dp_shard: Data parallel ranks that share one copy; -1 takes what is left.
        cp: Ranks that share one pack.
    """

    dp_replicate: int = 1
    dp_shard: int = -1
    cp: int = 1

    def resolve(self, world_size: int) -> ParallelDims:
        """With `dp_shard` filled in.

        Raises:
            ConfigError: The product is not the number of ranks.
        """
        others = self.dp_replicate * self.cp
        shard = world_size // others if self.dp_shard == -1 else self.dp_shard
        if shard < 1 or shard * others != world_size:
            raise ConfigError(
                f"parallel: dp_replicate {self.dp_replicate} x dp_shard {self.dp_shard} x "
                f"cp {self.cp} does not make {world_size} ranks; change one of them or start "
                f"another number of processes"
            )
        return ParallelDims(dp_replicate=self.dp_replicate, dp_shard=shard, cp=self.cp)


@dataclass(frozen=True, kw_only=True)
class World:
    """The ranks of a run, seen from one of them.

    Attributes:
        rank, size: Of all processes.
        dims: How they are divided.
        device: Of this rank.
        mesh: Dimensions "replicate", "shard", "cp".
        shard_mesh: What parameters are sharded (and replicated) over.
        control: A gloo group over all ranks for flags and small objects.
        saving: A gloo group of its own for checkpoints written in the background.
    """

    rank: int
    size: int
    dims: ParallelDims
    device: torch.device
    mesh: DeviceMesh
    shard_mesh: DeviceMesh
    control: dist.ProcessGroup
    saving: dist.ProcessGroup

    @property
    def dp_rank(self) -> int:
        """Number of this rank's data stream."""
        return self.rank // self.dims.cp

    @property
    def dp_size(self) -> int:
        """Number of data streams."""
        return self.size // self.dims.cp

    @property
    def cp_rank(self) -> int:
        """Part of the pack this rank holds."""
        return self.rank % self.dims.cp

    @property
    def cp_group(self) -> dist.ProcessGroup | None:
        """Ranks that share this rank's pack; None when it has it alone."""
        return self.mesh.get_group("cp") if self.dims.cp > 1 else None

    @property
    def is_main(self) -> bool:
        """Whether this rank writes what is written once."""
        return self.rank == 0

    def sum(self, value: float) -> float:
        """Sum over all ranks, in fp64."""
        return self._reduce(value, dist.ReduceOp.SUM)

    def max(self, value: float) -> float:
        """Largest over all ranks."""
        return self._reduce(value, dist.ReduceOp.MAX)

    def sum_over_data(self, value: float) -> float:
        """Sum over data parallel ranks; context parallel ranks hold copies."""
        return self.sum(value if self.cp_rank == 0 else 0.0)

    def _reduce(self, value: float, op: Any) -> float:
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(tensor, op=op, group=self.control)
        return float(tensor)

    def gather(self, value: Any) -> list[Any]:
        """A small picklable object of every rank, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        out: list[Any] = [None] * self.size
        dist.all_gather_object(out, value, group=self.control)
        return out

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def broadcast_in_cp(self, value: Any) -> Any:
        """What the first rank of this pack's ranks holds."""
        if self.dims.cp == 1:
            return value
        box = [value]
        first = self.rank - self.cp_rank
        dist.broadcast_object_list(box, src=first, group=self.cp_group)
        return box[0]


@contextmanager
def open_world(
    dims: ParallelDims, device: torch.device | None = None, *, timeout_minutes: float = 10.0
) -> Iterator[World]:
    """Join the processes that `torchrun` started, or make a world of one.

    Args:
        dims: How to divide them.
        device: "cpu" or "cuda"; None takes CUDA when there is one.
        timeout_minutes: How long a rank waits for the others before it fails.

    Raises:
        ConfigError: The division does not fit the number of processes.
    """
    cuda = torch.cuda.is_available() if device is None else device.type == "cuda"
    launched = launch()
    joined = dist.is_initialized()
    dims = dims.resolve(dist.get_world_size() if joined else launched.world_size)
    store: tempfile.TemporaryDirectory[str] | None = None
    hook = sys.excepthook
    if cuda:
        torch.cuda.set_device(launched.local_rank)
    if not joined:
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        options: dict[str, Any] = {
            "backend": backend,
            "timeout": timedelta(minutes=timeout_minutes),
        }
        if not launched.has_meeting_point:
            # One process needs nobody to meet: a file instead of a port.
            store = tempfile.TemporaryDirectory(prefix="nanovl-world-")
            options |= {"init_method": f"file://{store.name}/store", "rank": 0, "world_size": 1}
        dist.init_process_group(**options)
    try:
        yield _world(dims, torch.device("cuda", torch.cuda.current_device()) if cuda else None)
    finally:
        if not joined:
            dist.destroy_process_group()
            sys.excepthook = hook  # every group of torch puts one of its own around it
        if store is not None:
            store.cleanup()


def _world(dims: ParallelDims, device: torch.device | None) -> World:
    size = dist.get_world_size()
    dims = dims.resolve(size)
    kind = "cpu" if device is None else "cuda"
    mesh = init_device_mesh(
        kind,
        (dims.dp_replicate, dims.dp_shard, dims.cp),
        mesh_dim_names=("replicate", "shard", "cp"),
    )
    flat = mesh["shard", "cp"]._flatten("fsdp")
    shard_mesh = flat
    if dims.dp_replicate > 1:
        shard_mesh = init_device_mesh(
            kind,
            (dims.dp_replicate, dims.dp_shard * dims.cp),
            mesh_dim_names=("replicas", "shards"),
        )
    return World(
        rank=dist.get_rank(),
        size=size,
        dims=dims,
        device=device or torch.device("cpu"),
        mesh=mesh,
        shard_mesh=shard_mesh,
        control=cast(dist.ProcessGroup, dist.new_group(backend="gloo")),
        saving=cast(dist.ProcessGroup, dist.new_group(backend="gloo")),
    )


def shard_model(
    root: nn.Module,
    world: World,
    *,
    compute_dtype: torch.dtype | None = torch.bfloat16,
    reduce_dtype: torch.dtype = torch.float32,
    offload: bool = False,
) -> None:
    """Shard every decoder layer, vision block and projector by itself, the rest with the root.

    Parameters become DTensors in their present dtype; inside a forward pass they are whole and in
    `compute_dtype`.

    Args:
        root: The module whose forward is one training step; owns embeddings and head.
        world: The ranks.
        compute_dtype: Of gathered parameters; None leaves them as they are.
        reduce_dtype: Of gradients while they are summed.
        offload: Keep shards, gradients and optimizer in host memory.
    """
    policy = MixedPrecisionPolicy(
        param_dtype=compute_dtype,
        reduce_dtype=reduce_dtype if compute_dtype is not None else None,
        cast_forward_inputs=False,
    )
    # With one rank there is nothing to free: parameters stay gathered until the next update.
    keep = world.shard_mesh.size() == 1
    options: dict[str, Any] = {"mesh": world.shard_mesh, "mp_policy": policy}
    if offload and world.device.type == "cuda":
        options["offload_policy"] = CPUOffloadPolicy()
    for unit in _units(root):
        fully_shard(unit, reshard_after_forward=not keep, **options)
    fully_shard(root, reshard_after_forward=False, **options)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # Sums, not means; gloo has no mean, and the loss is divided already.
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
            if keep:
                # Gradients cannot be accumulated over packs while a unit was never gathered; the
                # vision blocks are not, until the first pack with a picture.
                module.unshard()
                module.reshard()


def _units(root: nn.Module) -> list[nn.Module]:
    """Modules that gather their parameters by themselves.

    Everything a pack without pictures leaves out is in units of its own: gradients of one unit are
    summed together, over packs too, so all of them must be there or none.
    """
    units: list[nn.Module] = []
    for module in root.modules():
        if isinstance(module, Layer | VisionBlock | PatchGenerator):
            units.append(module)
        elif isinstance(module, VLM):
            units.append(module.mlp1)
    return units


def local_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of a sharded tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of a sharded tensor, on every rank (a collective call)."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fsdp_modules(root: nn.Module) -> Iterable[FSDPModule]:
    """Every module that gathers parameters of its own."""
    return (m for m in root.modules() if isinstance(m, FSDPModule))
