"""Small training runs for tests: a recipe of the tiny model, and what a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from nanovl.core.config import apply_overrides
from nanovl.core.events import Event
from nanovl.train.config import Recipe, recipe_from
from nanovl.train.parallel import full_tensor
from nanovl.train.trainer import Trainer

KINDS = ("shapes", "pairs", "dialogue", "reasoning")


def settings(blend: Path, folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Six updates of two packs of 256 tokens, in fp32, from random weights."""
    base: dict[str, Any] = {
        "name": "small",
        "model": {"preset": "tiny", "init": "random"},
        "stage": {"id": 1, "train_iters": 6},
        "data": {
            "metadataset": str(blend),
            "seq_len": 256,
            "packing": {"buffer_samples": 12},
            "prefetch": 0,
            "max_tiles": 1,
        },
        "batch": {"global": 2},
        "optim": {"lr": 2e-3, "warmup_frac": 0.0},
        "precision": {"compute": "fp32"},
        "ckpt": {"dir": str(folder), "every_iters": 100, "async": False, "export_hf": False},
        "log": {"samples": True},
    }
    return apply_overrides(base, list(overrides))


def recipe(blend: Path, folder: Path, *overrides: str) -> Recipe:
    """A `Recipe` of these settings."""
    return recipe_from(settings(blend, folder, overrides))


def recipe_file(path: Path, blend: Path, folder: Path, *overrides: str) -> Path:
    """The same as a file, for the command line."""
    path.write_text(yaml.safe_dump(settings(blend, folder, overrides)))
    return path


def records(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """What a run wrote, update by update."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    """Loss of every update."""
    return [record["loss"] for record in records(folder)]


def keys(folder: Path) -> list[list[str]]:
    """Samples of every update, pack after pack."""
    lines = records(folder, "samples.jsonl")
    return [[key for pack in line["keys"] for key in pack] for line in lines]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Whole parameters of a trainer."""
    return {n: full_tensor(p.detach()).clone() for n, p in trainer.built.module.named_parameters()}


class Events:
    """Remembers what a run told, and reacts to updates.

    Args:
        actions: Number of an update -> what to do right after it.
    """

    def __init__(self, actions: dict[int, Any] | None = None) -> None:
        self.seen: list[Event] = []
        self.actions = actions or {}

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        if event.name == "step" and event.done in self.actions:
            self.actions[int(event.done)]()

    def names(self) -> list[str]:
        return [event.name for event in self.seen]
