"""Everything a run checks before its first update, without one.

Resolves the recipe, reads the data's table of contents, makes one pack, and estimates memory and
time with the processes there are. Must not write a run folder.
"""

from __future__ import annotations

from typing import Any

import torch

from nanovl.core.device import available_memory_bytes, capability
from nanovl.core.paths import launch
from nanovl.data.blend import load_blend
from nanovl.data.loader import build_loader
from nanovl.train.build import build_processor
from nanovl.train.config import Recipe, accumulation, num_updates, tokens_per_update
from nanovl.train.metrics import duration
from nanovl.train.parallel import ParallelDims
from nanovl.train.plan import CARDS, find_card, plan

__all__ = ["check"]


def check(recipe: Recipe) -> dict[str, Any]:
    """What training this recipe here would be like.

    Returns:
        Words for people under short keys, "warnings" last.

    Raises:
        ConfigError: The recipe cannot be run as it stands.
        InputError: Its data cannot be read.
    """
    recipe.check_ready()
    assert recipe.data.metadataset is not None
    world = launch().world_size
    p = recipe.parallel
    dims = ParallelDims(dp_replicate=p.dp_replicate, dp_shard=p.dp_shard, cp=p.cp).resolve(world)
    micro = accumulation(recipe, dims.dp_replicate * dims.dp_shard)
    processor = build_processor(recipe)
    sources = load_blend(recipe.data.metadataset, recipe.data.split)
    loader = build_loader(
        recipe.data,
        processor,
        dp_rank=0,
        dp_size=dims.dp_replicate * dims.dp_shard,
        align=recipe.data.align,
        reduction=recipe.loss.reduction,
        unit=recipe.loss.unit,
        micro=recipe.batch.micro,
    )
    try:
        pack = next(loader)
        drops = loader.drops.counts()
    finally:
        loader.close()
    cuda = torch.cuda.is_available()
    name = capability("cuda").name if cuda else "cpu"
    card = find_card(next((k for k in CARDS if k in name.lower()), "h100"))
    estimate = plan(recipe, gpus=world, card=card)
    warnings = list(estimate.warnings)
    if not cuda and estimate.memory.total > available_memory_bytes():
        warnings.append(
            f"about {estimate.memory.total / 1e9:.1f} GB of memory are needed, "
            f"{available_memory_bytes() / 1e9:.1f} GB are free"
        )
    trained = sum(v for k, v in estimate.parameters.items() if k in estimate.trainable)
    return {
        "recipe": f"{recipe.name or 'unnamed'}, stage {recipe.stage.id}",
        "run folder": str(recipe.run_dir),
        "parameters": f"{sum(estimate.parameters.values()):,}, trained {trained:,}",
        "ranks": f"{world} = {dims.dp_replicate} x {dims.dp_shard} x cp {dims.cp}",
        "updates": f"{num_updates(recipe):,} of {micro} micro-batches per data stream",
        "tokens per update": f"{tokens_per_update(recipe):,}",
        "sources": ", ".join(s.name for s in sources),
        "first pack": (
            f"{len(pack.keys)} samples, {pack.num_real_tokens:,} tokens, {pack.num_tiles} tiles, "
            f"{int((pack.labels != -100).sum()):,} tokens with loss"
        ),
        "dropped so far": ", ".join(f"{k} {sum(v.values())}" for k, v in drops.items()) or "none",
        "memory per rank": f"{estimate.memory.total / 1e9:.1f} GB (estimate)",
        "time": f"{duration(estimate.hours * 3600)} at {estimate.mfu:.0%} of the {card.name} peak",
        "warnings": warnings,
    }
