"""The training recipe on PyTorch distributed.

Knows models, optimizers, collectives and run folders; never HTTP or serving.

Reading order: sections, config (the recipe); parallel, collectives, context_parallel, vision_shard,
step (one pack on many ranks); reading (the encoder alone); fp8_product, fp8_linear, fp8, distill;
optim, state, build, metrics, observe, trainer (the run); flops, memory, plan, dry_run (what it
costs); charts, report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanovl.train.config import Recipe, load_recipe
    from nanovl.train.report import write_report
    from nanovl.train.trainer import TrainResult, train

__all__ = ["Recipe", "TrainResult", "load_recipe", "train", "write_report"]

_HOMES = {
    "Recipe": "config",
    "TrainResult": "trainer",
    "load_recipe": "config",
    "train": "trainer",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; the parts need much time to load."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
