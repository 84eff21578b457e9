"""What a run says about itself: one record per update, and what it ran on.

Collects numbers of this rank while an update runs, joins those of all ranks afterwards and hands
out the record that `metrics.jsonl` gets. Must not influence the run.

Source: training specification, sections 3.6 and 9.
"""

from __future__ import annotations

import functools
import json
import platform
import time
from typing import TYPE_CHECKING, Any

import torch

from nanovl import __version__
from nanovl.core.device import capability
from nanovl.core.inputs import PackedBatch
from nanovl.data.loader import PackLoader
from nanovl.train.build import Built
from nanovl.train.config import Recipe
from nanovl.train.flops import step_flops
from nanovl.train.metrics import (
    Eta,
    PackNumbers,
    SourceLoss,
    loss_by_source,
    pack_metrics,
    pack_numbers,
    throughput,
)
from nanovl.train.parallel import World
from nanovl.train.step import StepLoss

if TYPE_CHECKING:
    from pathlib import Path

    from nanovl.train.trainer import Counters, Update

__all__ = ["Observer", "describe_run", "matmul_peak"]


@functools.cache
def matmul_peak(size: int = 2048, repeats: int = 7) -> float:
    """FLOP/s of the best of a few square bf16 products on this CPU."""
    a = torch.ones(size, size, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


class Observer:
    """Numbers of one run on one rank.

    Args:
        recipe, built, world: Of the run.
        total: Updates of the stage.
    """

    def __init__(self, recipe: Recipe, built: Built, world: World, total: int) -> None:
        self._recipe = recipe
        self._built = built
        self._world = world
        self._sources = SourceLoss()
        self._eta = Eta(total)
        found = capability(str(world.device))
        self.peak = found.bf16_flops or (matmul_peak() if world.device.type == "cpu" else 0.0)
        self._ended = time.perf_counter()
        self._losses: list[dict[str, tuple[float, float]]] = []
        self._numbers: PackNumbers | None = None
        self._flops = 0.0
        self._positions = 0

    def begin(self, packs: list[PackedBatch], wait_s: float) -> None:
        """An update with these packs starts; getting them took so long."""
        self._losses = []
        self._numbers = None
        self._flops = self._positions = 0
        if self._world.cp_rank != 0:  # ranks that share a pack count it once
            return
        r = self._recipe
        self._numbers = pack_numbers(
            packs, capacity=r.data.seq_len if r.packing else None, buffer_wait_s=wait_s
        )
        self._positions = sum(p.num_tokens for p in packs)
        for pack in packs:
            self._flops += step_flops(
                self._built.config,
                pack.lengths,
                pack.num_tiles,
                r.stage.trainable,
                head_rows=int((pack.labels != -100).sum()),
                teacher=r.distill is not None,
            )

    def take(self, pack: PackedBatch, step: StepLoss) -> None:
        """The losses of one of them."""
        self._losses.append(loss_by_source(pack, step.rows, step.token_loss))

    def record(
        self, found: Update, counters: Counters, loader: PackLoader | None
    ) -> dict[str, Any]:
        """The record of the update that just ended; every rank calls this."""
        now = time.perf_counter()
        step_s, self._ended = now - self._ended, now
        drops = {} if loader is None else loader.drops.metrics()
        own = (self._losses, self._numbers, self._flops, self._positions, drops)
        ranks = self._world.gather(own)
        numbers = [rank[1] for rank in ranks if rank[1] is not None]
        record: dict[str, Any] = {
            "update": counters.update,
            "loss": found.loss,
            "lr": found.rate,
            "grad_norm": found.grad_norm,
            **{f"grad_norm/{part}": norm for part, norm in found.norms.items()},
            **throughput(
                tokens=sum(rank[3] for rank in ranks),
                real_tokens=sum(n.real_tokens for n in numbers),
                step_s=step_s,
                devices=self._world.size,
                flops=sum(rank[2] for rank in ranks),
                peak=self.peak,
            ),
            **found.seconds,
            "eta_s": self._eta.update(counters.update, step_s),
            "memory_gb": _memory_bytes(self._world.device) / 1e9,
            **pack_metrics(numbers),
            **self._sources.update(*(part for rank in ranks for part in rank[0])),
            "samples": counters.samples,
            **{f"samples/{source}": n for source, n in sorted(counters.source_samples.items())},
            "counters": {
                "packs": counters.packs,
                "tokens": counters.tokens,
                "skipped": counters.skipped,
                "source_tokens": dict(counters.source_tokens),
            },
        }
        if found.skipped:
            record["skipped"] = found.skipped
        for rank in ranks:
            for name, count in rank[4].items():
                record[name] = record.get(name, 0) + count
        return record

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return self._sources.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self._sources.load_state_dict(state)


def _memory_bytes(device: torch.device) -> float:
    """Peak memory of this process: allocated on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024


def describe_run(
    folder: Path, recipe: Recipe, world: World, built: Built, *, peak: float, status: str
) -> None:
    """Write `run.json`: versions, hardware, ranks, sizes, status."""
    facts = capability(str(world.device))
    parameters = list(built.module.parameters())
    description = {
        "name": recipe.name,
        "stage": recipe.stage.id,
        "status": status,
        "nanovl": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": facts.name,
        "threads": torch.get_num_threads(),
        "world_size": world.size,
        "dp_replicate": world.dims.dp_replicate,
        "dp_shard": world.dims.dp_shard,
        "cp": world.dims.cp,
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "fp8_layers": len(built.fp8_layers),
        "peak_flops": peak,
        "peak_is": "measured bf16 matmul" if world.device.type == "cpu" else "data sheet, bf16",
        "seed": recipe.run.seed,
    }
    text = json.dumps(description, indent=1)
    scratch = folder / "run.json.tmp"
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(folder / "run.json")
