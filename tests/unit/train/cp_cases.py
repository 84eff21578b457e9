"""Packs, and the two ways of computing them that must agree: one rank, and several.

Imported by the processes the tests start, and by the tests for the names of the cases.
"""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from dataclasses import dataclass, field

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from nanovl.core.errors import ConfigError, InputError
from nanovl.core.inputs import PackedBatch
from nanovl.model.context import ForwardContext
from nanovl.model.lm import Layer
from nanovl.testing import tiny_config, tiny_model
from nanovl.train.collectives import all_gather, all_to_all, keep_edge
from nanovl.train.context_parallel import ContextParallel, zigzag_indices
from nanovl.train.vision_shard import embed_pack, encode_tiles

IGNORE = -100
IMAGE = 300  # id of a placeholder
TOKENS_PER_TILE = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """One pack and how to compute it.

    Attributes:
        name: In test ids.
        borders: Segment borders.
        mode: `cp_mamba`.
        tiles: Pictures of one tile; placeholders start just before a chunk border.
        one_rank: Whether only rank 0 has loss tokens.
        padding: Tokens of the last segment that are padding.
        threshold: Of `encode_tiles`.
        recompute: Whether layers are computed again in the backward pass.
        dtype: Of the model.
        lm: Changes to the tiny decoder.
    """

    name: str
    borders: tuple[int, ...]
    mode: str = "heads"
    tiles: int = 0
    one_rank: bool = False
    padding: int = 0
    threshold: int = 0
    recompute: bool = False
    dtype: torch.dtype = torch.float64
    lm: dict = field(default_factory=dict)


def cases(world: int) -> list[Case]:
    """What is compared for a number of ranks."""
    chunk = 6
    t = 2 * world * chunk
    inside = tuple(i * chunk + 1 + (2 * i) % (chunk - 1) for i in range(2 * world))
    every_chunk = (0, *inside, t)
    # Segments that begin and end on chunk borders, one that spans several ranks, one of one token.
    mixed = (0, chunk, t // 2 + 1, t // 2 + 2, t - chunk, t)
    both = ("heads", "state")
    out = []
    for mode in both:
        out += [
            Case(name=f"{mode}-single", borders=(0, t), mode=mode),
            Case(name=f"{mode}-every-chunk", borders=every_chunk, mode=mode, tiles=1),
            Case(name=f"{mode}-mixed", borders=mixed, mode=mode, tiles=world + 1),
            Case(name=f"{mode}-padding", borders=(0, 7, t - 5, t), mode=mode, padding=5),
            Case(name=f"{mode}-one-rank", borders=every_chunk, mode=mode, tiles=3, one_rank=True),
            Case(name=f"{mode}-shortest", borders=(0, 1, 2 * world), mode=mode),
            Case(name=f"{mode}-recompute", borders=mixed, mode=mode, tiles=2, recompute=True),
            Case(
                name=f"{mode}-bf16",
                borders=mixed,
                mode=mode,
                tiles=1,
                dtype=torch.bfloat16,
            ),
            Case(name=f"{mode}-fp32", borders=mixed, mode=mode, tiles=1, dtype=torch.float32),
        ]
    for groups in (1, 4, 8):
        out.append(
            Case(name=f"heads-groups-{groups}", borders=mixed, lm={"num_groups": groups}, tiles=1)
        )
    # 24 heads in 3 groups: no number of ranks here divides the groups.
    out.append(
        Case(
            name="state-groups-3",
            borders=mixed,
            mode="state",
            lm={"num_groups": 3, "mamba_num_heads": 24},
        )
    )
    out += [Case(name=f"tiles-{n}", borders=(0, t), tiles=n) for n in sorted({0, 3, world})]
    out.append(Case(name="tiles-replicated", borders=mixed, tiles=3, threshold=3))
    return out


def build(case: Case) -> nn.Module:
    """The model of a case, ready for training."""
    config = tiny_config(pattern="M*M-")
    config = dataclasses.replace(config, lm=dataclasses.replace(config.lm, **case.lm))
    model = tiny_model(3, case.dtype, config=config, gain=2.0).train().requires_grad_()
    with torch.no_grad():
        # Slow decays: states must survive several slices for mistakes to show.
        for name, parameter in model.named_parameters():
            if name.endswith("A_log"):
                parameter.sub_(4.0)
    for module in model.modules():
        if isinstance(module, Layer):
            module.recompute = case.recompute
    return model


def make_pack(case: Case, seed: int = 0) -> PackedBatch:
    """A pack with loss on two tokens of three; placeholders cross chunk borders."""
    generator = torch.Generator().manual_seed(seed)
    t = case.borders[-1]
    ids = torch.randint(0, 256, (t,), generator=generator)
    labels = torch.randint(0, 256, (t,), generator=generator)
    labels[torch.arange(t) % 3 == 0] = IGNORE
    labels[torch.tensor(case.borders[1:]) - 1] = IGNORE
    if case.padding:
        ids[t - case.padding :] = 0
        labels[t - case.padding :] = IGNORE
    if case.one_rank:
        world = dist.get_world_size()
        here = zigzag_indices(t, world, 0)
        elsewhere = torch.ones(t, dtype=torch.bool)
        elsewhere[here] = False
        labels[elsewhere] = IGNORE
    weight = torch.rand(t, generator=generator).masked_fill(labels == IGNORE, 0.0)
    lengths = torch.tensor([b - a for a, b in itertools.pairwise(case.borders)])
    media = {}
    if case.tiles:
        count = case.tiles * TOKENS_PER_TILE
        start = min(4, t - count)  # two tokens before the end of the first chunk
        media = {
            "pixel_values": torch.randn(case.tiles, 3, 64, 64, generator=generator),
            "tile_counts": torch.ones(case.tiles, dtype=torch.int32),
            "image_pos": torch.arange(start, start + count),
        }
        ids[media["image_pos"]] = IMAGE
    return PackedBatch(
        input_ids=ids,
        labels=labels,
        loss_weight=weight,
        cu_seqlens=torch.tensor(case.borders, dtype=torch.int32),
        seq_idx=torch.repeat_interleave(torch.arange(len(lengths)), lengths).int(),
        position_ids=torch.cat([torch.arange(n) for n in lengths.tolist()]),
        num_padding=case.padding,
        **media,
    )


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE)
    return (losses * weight).sum()


def reference(model: nn.Module, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and loss on one rank, visual tokens merged by the model's own `merge`."""
    visual = []
    if batch.pixel_values is not None:
        visual = [model.encode_media(batch.pixel_values).flatten(0, 2)]
    x = model.merge(batch.input_ids, visual, IMAGE)
    ctx = ForwardContext(cu_seqlens=tuple(batch.cu_seqlens.tolist()))
    logits = model(x, ctx, rows="all")
    return logits, weighted_loss(logits, batch.labels, batch.loss_weight)


class LocalLoss(nn.Module):
    """This rank's part of the loss, as one module."""

    def __init__(self, vlm: nn.Module) -> None:
        super().__init__()
        self.vlm = vlm

    def forward(
        self, batch: PackedBatch, parallel: ContextParallel, threshold: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = embed_pack(self.vlm, batch, parallel=parallel, threshold=threshold)
        ctx = ForwardContext(cu_seqlens=tuple(batch.cu_seqlens.tolist()), parallel=parallel)
        logits = self.vlm(x, ctx, rows="all")
        labels, weight = parallel.shard(batch.labels), parallel.shard(batch.loss_weight)
        return logits, weighted_loss(logits, labels, weight)


def relative(got: torch.Tensor, expected: torch.Tensor, rms: bool = False) -> float:
    """Largest error over largest value (or both root mean square); absolute where all is zero."""
    got, expected = got.detach().double(), expected.detach().double()
    error, scale = (got - expected).abs(), expected.abs()
    if rms:
        error, scale = error.square().mean().sqrt(), scale.square().mean().sqrt()
    top = float(scale.max())
    return float(error.max()) / (top or 1.0)


def compare(case: Case, group: dist.ProcessGroup | None = None) -> dict[str, float]:
    """Errors of logits, loss and gradients of several ranks against one; known on rank 0."""
    model, batch = build(case), make_pack(case)
    parallel = ContextParallel(group, case.mode)
    logits, loss = LocalLoss(model)(batch, parallel, case.threshold)
    loss.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert not missing, f"{case.name}: no gradient for {missing}"
    with torch.no_grad():
        logits, loss = parallel.unshard(logits), loss.detach()
        parameters = list(model.parameters())
        wide = torch.promote_types(case.dtype, torch.float32)
        flat = torch.cat([p.grad.flatten().to(wide) for p in parameters] + [loss[None].to(wide)])
        dist.all_reduce(flat, group=group)
        *totals, loss = flat.split([*(p.numel() for p in parameters), 1])
        for parameter, total in zip(parameters, totals, strict=True):
            parameter.grad = total.view_as(parameter).to(parameter.dtype)
    if parallel.rank:
        return {}
    single = build(case)
    expected, expected_loss = reference(single, batch)
    expected_loss.backward()
    rms = case.dtype == torch.bfloat16
    errors = {"logits": relative(logits, expected, rms), "loss": relative(loss[0], expected_loss)}
    for (name, got), wanted in zip(model.named_parameters(), single.parameters(), strict=True):
        grad = torch.zeros_like(wanted) if wanted.grad is None else wanted.grad
        if wanted.grad is None:
            assert not case.tiles, f"{case.name}: the reference has no gradient for {name}"
        errors[name] = relative(got.grad, grad, rms)
    return errors


def compare_all(rank: int, world: int) -> dict[str, dict[str, float]]:
    """All cases of a world; what rank 0 returns counts."""
    warnings.simplefilter("error")
    out = {case.name: compare(case) for case in cases(world)}
    out["collectives"] = check_collectives(rank, world)
    out["tile-values"] = check_tiles(rank, world)
    check_refusals(world)
    if world == 4:
        out["fsdp"] = check_fsdp(rank)
    return out


def check_collectives(rank: int, world: int) -> dict[str, float]:
    """Values and gradients of each collective, against what they must be."""
    x = (torch.arange(6.0).view(3, 2) + 100 * rank).requires_grad_()
    gathered = all_gather(x)
    errors = {
        "gather": relative(
            gathered, torch.stack([torch.arange(6.0).view(3, 2) + 100 * r for r in range(world)])
        )
    }
    scale = torch.arange(1.0, world + 1).view(-1, 1, 1)
    (grad,) = torch.autograd.grad((gathered * scale * (rank + 1)).sum(), x)
    wanted = (rank + 1) * world * (world + 1) / 2
    errors["gather gradient"] = relative(grad, torch.full((3, 2), wanted))

    # Rank r sends r + 1 + i rows to rank i.
    send = [rank + 1 + i for i in range(world)]
    receive = [r + 1 + rank for r in range(world)]
    blocks = [torch.full((n, 2), 10.0 * rank + i) for i, n in enumerate(send)]
    rows = torch.cat(blocks).requires_grad_()
    got = all_to_all(rows, send=send, receive=receive)
    expected = torch.cat([torch.full((n, 2), 10.0 * r + rank) for r, n in enumerate(receive)])
    errors["exchange"] = relative(got, expected)
    (grad,) = torch.autograd.grad((got * got.detach()).sum(), rows)
    errors["exchange gradient"] = relative(grad, rows)

    # Only rank 0 uses what was gathered; the backward pass must not wait for ever.
    y = torch.ones(2, requires_grad=True)
    shared = all_gather(y)
    out = shared.sum() if rank == 0 else keep_edge(y * 5, shared).sum()
    (grad,) = torch.autograd.grad(out, y)
    errors["kept edge"] = relative(grad, torch.full((2,), 1.0 if rank == 0 else 6.0))
    return errors


def check_tiles(rank: int, world: int) -> dict[str, float]:
    """Each rank encodes its share, padded with zero tiles, and everybody gets all of it."""
    seen = []

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.flatten(1)[:, 0].tolist())
        return pixels.mean(dim=(1, 2, 3))[:, None] * 2

    parallel, errors = ContextParallel(), {}
    for m in (1, 3, world, world + 1):
        pixels = torch.arange(1.0, m + 1).view(m, 1, 1, 1).expand(m, 3, 2, 2)
        errors[f"{m} tiles"] = relative(
            encode_tiles(encode, pixels, parallel=parallel), 2 * torch.arange(1.0, m + 1)[:, None]
        )
        per_rank = -(-m // world)
        share = [i + 1.0 if i < m else 0.0 for i in range(rank * per_rank, (rank + 1) * per_rank)]
        assert seen[-1] == share, f"rank {rank} of {world}, {m} tiles: encoded {seen[-1]}"
    encode_tiles(encode, pixels, parallel=parallel, threshold=world + 1)
    assert len(seen[-1]) == world + 1, "a pack below the threshold is encoded whole"
    return errors


def check_refusals(world: int) -> None:
    """Shapes that cannot be spread raise on every rank, before anything is sent."""
    case = Case(name="", borders=(0, 4 * world), lm={"num_groups": 3, "mamba_num_heads": 24})
    with pytest.raises(ConfigError, match="cp_mamba=state"):
        compare(case)
    with pytest.raises(InputError, match=f"multiple of {2 * world}"):
        ForwardContext(cu_seqlens=(0, 2 * world + 1), parallel=ContextParallel())


def check_fsdp(rank: int) -> dict[str, float]:
    """Two packs for each of two data parallel ranks, each pack on two context parallel ranks."""
    from torch.distributed.fsdp import FSDPModule, fully_shard  # half a second, for one case

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "cp"))
    case = Case(name="fsdp", borders=(0, 9, 10, 24), mode="state", tiles=2)
    model = LocalLoss(build(case))
    flat = mesh["dp", "cp"]._flatten("dp_cp")
    for module in list(model.modules()):
        if isinstance(module, Layer):
            fully_shard(module, mesh=flat)
    fully_shard(model, mesh=flat, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
    parallel = ContextParallel(mesh.get_group("cp"), "state")
    packs = [make_pack(case, seed) for seed in range(4)]
    for batch in packs[rank // 2 :: 2]:
        model(batch, parallel)[1].backward()
    got = {n.removeprefix("vlm."): p.grad.full_tensor() for n, p in model.named_parameters()}
    single = build(case)
    for batch in packs:
        reference(single, batch)[1].backward()
    return {n: relative(got[n], p.grad) for n, p in single.named_parameters()}
