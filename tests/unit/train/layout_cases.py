"""One update computed by several ranks in every layout, and by one model without any of that.

Imported by the processes the tests start.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import warnings
from dataclasses import dataclass

import torch

from nanovl.core.inputs import PackedBatch
from nanovl.testing import assert_close
from nanovl.train.context_parallel import ContextParallel
from nanovl.train.optim import (
    build_optimizer,
    clip_gradients,
    fill_missing_gradients,
    gradient_norms,
    set_learning_rate,
)
from nanovl.train.parallel import ParallelDims, full_tensor, open_world, shard_model
from nanovl.train.step import PARTS, TrainModule, part_of
from tests.unit.train.cp_cases import IGNORE, Case, build, make_pack, reference, relative

TOKENS = 48  # of a pack: a multiple of 2 x 8 ranks
RATE, CLIP = 1e-3, 0.5


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How ranks are divided.

    Attributes:
        replicate, shard, cp: Of `ParallelDims`.
        mamba: `cp_mamba`.
        one_rank: Whether all loss is on the packs of the first data parallel rank.
        bf16: Whether parameters are gathered in bf16 instead of computing everything in fp64.
        recompute: Whether layers are computed again in the backward pass.
        muon: Whether matrices are turned by Muon, which is compared with itself on one rank.
        threshold: Tiles up to which every context parallel rank encodes all.
    """

    replicate: int = 1
    shard: int = 1
    cp: int = 1
    mamba: str = "heads"
    one_rank: bool = False
    bf16: bool = False
    recompute: bool = False
    muon: bool = False
    threshold: int = 0

    @property
    def data_ranks(self) -> int:
        return self.replicate * self.shard

    @property
    def name(self) -> str:
        words = [f"{self.replicate}x{self.shard}x{self.cp}"]
        words += [self.mamba] if self.cp > 1 else []
        words += [w for w in ("one_rank", "bf16", "recompute", "muon") if getattr(self, w)]
        return "-".join(words)


def layouts(world: int) -> list[Layout]:
    """The layouts of a number of ranks."""
    if world == 1:
        return [Layout(), Layout(bf16=True), Layout(recompute=True)]
    whole = [
        Layout(shard=world),
        Layout(shard=world, one_rank=True),
        Layout(shard=world, bf16=True),
        Layout(cp=world, mamba="heads"),
        Layout(cp=world, mamba="state", one_rank=True),
    ]
    if world == 2:
        few = [Layout(replicate=2), Layout(shard=2, recompute=True), Layout(shard=2, muon=True)]
        return [*whole, *few]
    half = world // 2
    mixed = [
        Layout(replicate=2, shard=half),
        Layout(shard=half, cp=2, mamba="heads"),
        Layout(shard=half, cp=2, mamba="state", recompute=True, threshold=2),
    ]
    if world == 8:
        mixed += [
            Layout(replicate=2, shard=2, cp=2, mamba="heads"),
            Layout(replicate=2, shard=2, cp=2, mamba="state", one_rank=True),
            Layout(shard=2, cp=4, mamba="heads"),
        ]
    else:
        mixed += [
            Layout(shard=half, cp=2, mamba="heads", bf16=True),
            Layout(replicate=2, shard=half, one_rank=True),
        ]
    return [*whole, *mixed]


def packs_of(layout: Layout) -> list[PackedBatch]:
    """Two packs for every data parallel rank, in the order they are dealt.

    Packs of odd ranks hold no pictures, the others different numbers of them. One pack has no
    loss; with `one_rank` none but those of the first rank have any.
    """
    count = 2 * max(2, layout.data_ranks)
    packs = []
    for number in range(count):
        owner = number % max(2, layout.data_ranks)
        borders = (0, 5 + number % 7, 20, 21, TOKENS) if number % 3 else (0, TOKENS)
        case = Case(
            name="",
            borders=borders,
            tiles=0 if owner % 2 else 1 + (3 * number) % 5,
            padding=3 if number % 4 == 1 else 0,
        )
        pack = make_pack(case, seed=number)
        if number == count - 1 or (layout.one_rank and owner):
            pack = dataclasses.replace(
                pack,
                labels=torch.full_like(pack.labels, IGNORE),
                loss_weight=torch.zeros_like(pack.loss_weight),
            )
        packs.append(pack)
    return packs


@dataclass(kw_only=True)
class Outcome:
    """Of one update.

    Attributes:
        loss: Of all packs together.
        grads: By name, whole, before clipping.
        norms: Of the parts.
        after: Parameters after the update.
    """

    loss: float
    grads: dict[str, torch.Tensor]
    norms: dict[str, float]
    after: dict[str, torch.Tensor]


def _case(layout: Layout) -> Case:
    dtype = torch.float32 if layout.bf16 else torch.float64
    return Case(name="", borders=(0, TOKENS), dtype=dtype, recompute=layout.recompute)


def alone(layout: Layout) -> Outcome:
    """One model, one pack after the other, whole logits, plain AdamW; fp64 always."""
    model = build(dataclasses.replace(_case(layout), dtype=torch.float64))
    if layout.bf16:  # start from the same numbers
        model.load_state_dict({k: v.float().double() for k, v in model.state_dict().items()})
    packs = packs_of(layout)
    mass = sum(float(p.loss_weight.double().sum()) for p in packs)
    loss = 0.0
    for pack in packs:
        part = reference(model, pack)[1] / mass
        part.backward()
        loss += float(part.detach())
    grads = {
        n: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for n, p in model.named_parameters()
    }
    norms = {
        part: math.sqrt(
            sum(float(g.square().sum()) for n, g in grads.items() if part_of(n) == part)
        )
        for part in PARTS
    }
    total = math.sqrt(sum(n * n for n in norms.values()))
    parameters = dict(model.named_parameters())
    bare = ("A_log", "D", "dt_bias")
    decayed = [n for n, p in parameters.items() if p.ndim > 1 and n.split(".")[-1] not in bare]
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(
        [
            {"params": [parameters[n] for n in decayed], "weight_decay": 0.05},
            {"params": [p for n, p in parameters.items() if n not in decayed], "weight_decay": 0.0},
        ],
        lr=RATE,
    )
    if layout.muon:
        optimizer = build_optimizer(model, name="muon", weight_decay=0.05)
        set_learning_rate(optimizer, RATE)
    for name, parameter in parameters.items():
        parameter.grad = grads[name] * min(1.0, CLIP / (total + 1e-6))
    optimizer.step()
    after = {n: p.detach().clone() for n, p in parameters.items()}
    return Outcome(loss=loss, grads=grads, norms=norms, after=after)


def together(layout: Layout) -> Outcome:
    """The same update the way the trainer does it."""
    dims = ParallelDims(dp_replicate=layout.replicate, dp_shard=layout.shard, cp=layout.cp)
    with open_world(dims, torch.device("cpu")) as world:
        vlm = build(_case(layout))
        vlm.max_tiles_per_call = sys.maxsize  # as `nanovl.train.build` does
        module = TrainModule(
            vlm,
            vision_shard_threshold=layout.threshold,
            always_encode=world.size > 1,
        )
        shard_model(module, world, compute_dtype=torch.bfloat16 if layout.bf16 else None)
        optimizer = build_optimizer(
            module, name="muon" if layout.muon else "adamw", weight_decay=0.05
        )
        parallel = (
            None
            if world.cp_group is None
            else ContextParallel(world.cp_group, cp_mamba=layout.mamba)
        )
        packs = packs_of(layout)
        own = packs[world.dp_rank :: world.dp_size]
        mass = world.sum_over_data(sum(p.weight_mass for p in own))
        loss = 0.0
        for pack in own:
            step = module(pack, parallel)
            assert step.token_loss.shape == step.rows.shape
            (step.total / mass).backward()
            loss += float(step.total.detach()) / mass
        fill_missing_gradients(optimizer)
        norms = gradient_norms(optimizer)
        names = {n.removeprefix("vlm."): p for n, p in module.named_parameters()}
        grads = {n: full_tensor(p.grad).clone() for n, p in names.items()}
        clip_gradients(optimizer, math.sqrt(sum(n * n for n in norms.values())), CLIP)
        set_learning_rate(optimizer, RATE)
        optimizer.step()
        after = {n: full_tensor(p.detach()).clone() for n, p in names.items()}
        return Outcome(loss=world.sum(loss), grads=grads, norms=norms, after=after)


def errors_of(layout: Layout, got: Outcome, wanted: Outcome) -> dict[str, float]:
    """Largest errors over largest values; root mean squares in bf16."""
    rms = layout.bf16
    assert got.grads.keys() == wanted.grads.keys()
    norms = [(got.norms[p], wanted.norms[p]) for p in PARTS]
    errors = {
        "loss": abs(got.loss - wanted.loss) / abs(wanted.loss),
        "grad": max(relative(got.grads[n], g, rms) for n, g in wanted.grads.items()),
        "norm": max(abs(a - b) / (b or 1.0) for a, b in norms),
    }
    if not layout.bf16:  # the first update of Adam is the sign of the gradient, small ones too
        errors["after"] = max(relative(got.after[n], v) for n, v in wanted.after.items())
    return errors


def compare_layouts(rank: int, world: int) -> dict[str, dict[str, float]]:
    """Errors of all layouts of a world; on rank 0, which alone computes what is right."""
    warnings.simplefilter("error")
    out = {}
    for layout in layouts(world):
        got = together(layout)
        if rank == 0:
            out[layout.name] = errors_of(layout, got, alone(layout))
    return out


def same_on_all(rank: int, world: int) -> list[float]:
    """Sums and other exchanges of plain numbers."""
    dims = ParallelDims(dp_replicate=1, dp_shard=-1, cp=2)
    with open_world(dims, torch.device("cpu")) as here:
        box = {"rank": rank} if here.cp_rank == 0 else None
        assert_close(torch.tensor(here.sum(0.1)), torch.tensor(0.1 * world), atol=1e-12)
        return [
            here.sum_over_data(1.0),
            here.max(float(rank)),
            float(here.broadcast_in_cp(box)["rank"]),
            float(len(here.gather(rank))),
            float(here.dp_rank),
        ]
