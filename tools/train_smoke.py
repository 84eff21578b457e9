"""All five stages of the small model, 20 updates each, one from the weights of the other.

    python tools/train_smoke.py [--folder RUNS] [--updates 20]

Every stage is a `nanovl train` of its bundled recipe on samples made for it, shortened as far as a
CPU needs it; what was changed is printed. Afterwards the weights of each stage are compared with
those it began with: parts its recipe fixes must be the same bit for bit, all others must have
changed, and the loss on the first packs of the stage must have fallen. Prints one table, and exits
1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from nanovl.checkpoint import load_model
from nanovl.data import build_loader
from nanovl.testing import training_set
from nanovl.testing.training import PICTURE_KINDS
from nanovl.train.config import Recipe, load_recipe
from nanovl.train.state import read_weights
from nanovl.train.step import PARTS, TrainModule, part_of

LENGTH = 320  # of Stage 0, in tokens: a picture is 256, and a few words
RATIOS = {"pre": 1, "stage0": 1, "stage1": 1, "stage2": 3, "stage3": 3, "stage4": 19}
Words = list[str]
ROOM = 240.0  # seconds all of it may take on two cores


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is changed in a recipe.

    Attributes:
        name: Of the recipe, without "mini/".
        samples: Samples or packs of an update.
        settings: Other changes.
    """

    name: str
    samples: int
    settings: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        return LENGTH * RATIOS[self.name]


STAGES = (
    Stage(
        name="pre",
        samples=4,
        settings=("data.packing.buffer_samples=40", "optim.ema_decay=null"),
    ),
    Stage(name="stage0", samples=4, settings=("data.max_tiles=1", "batch.micro=2")),
    Stage(
        name="stage1",
        samples=2,
        settings=("data.max_tiles=1", "data.packing.buffer_samples=40"),
    ),
    Stage(
        name="stage2",
        samples=2,
        settings=(
            "data.max_tiles=1",
            "data.video.max_frames=3",
            "data.packing.buffer_samples=40",
        ),
    ),
    Stage(name="stage3", samples=2, settings=("data.packing.buffer_samples=100",)),
    Stage(name="stage4", samples=1, settings=("data.packing.buffer_samples=10",)),
)


@dataclass(kw_only=True)
class Outcome:
    """How a stage went.

    Attributes:
        before, after: Loss on the packs of the first updates.
        updates: Made.
        tokens_per_s: Median over the updates.
        seconds, cpu_seconds: Of the whole command.
        changed: Part -> how many of its tensors changed, and how many there are.
        wrong: What should not be.
    """

    before: float = 0.0
    after: float = 0.0
    updates: int = 0
    tokens_per_s: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    changed: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def mix(path: Path, parts: Mapping[str, tuple[float, str]]) -> Path:
    """A blend file of other blend files: their path -> share, and what is reused of them."""
    leaves: list[dict[str, Any]] = []
    for name, (weight, reuse) in parts.items():
        leaf: dict[str, Any] = {"weight": weight, "path": name}
        leaves.append(leaf | ({"subflavors": {"reuse": reuse}} if reuse else {}))
    content = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": leaves}},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def make_data(folder: Path) -> dict[str, Path]:
    """Samples for every stage; stage -> blend file."""
    texts = ("dialogue", "reasoning", "tools")
    single = [kind for kind in PICTURE_KINDS if kind != "pairs"]
    training_set(folder / "pictures", samples=120, kinds=single, size=128)
    training_set(folder / "texts", samples=120, kinds=texts)
    training_set(folder / "videos", samples=24, kinds=("videos", "pairs"), size=128, seed=1)
    pictures, text = "pictures/blend.yaml", "texts/blend.yaml"
    return {
        "pre": mix(folder / "pre.yaml", {text: (0.5, ""), pictures: (0.5, "")}),
        "stage0": folder / pictures,
        "stage1": mix(folder / "stage1.yaml", {pictures: (0.7, ""), text: (0.3, "")}),
        # The shares of samples of the large model, see recipes/blends/stage2.yaml.
        "stage2": mix(
            folder / "stage2.yaml",
            {
                "videos/blend.yaml": (1.4, ""),
                pictures: (6.5, "multimodal"),
                text: (3.25, "text"),
            },
        ),
        "stage3": training_set(folder / "reasoning", samples=200, kinds=("reasoning",), seed=1),
        "stage4": training_set(folder / "long", samples=40, kinds=("recall",), facts=60),
    }


def compare(recipe: Recipe, before: Mapping[str, torch.Tensor], run: Path, out: Outcome) -> None:
    """Which tensors a stage changed, and whether it was allowed to."""
    after = read_weights(max((run / "checkpoints").glob("step-*")))
    counts = {part: [0, 0] for part in PARTS}
    for name, value in before.items():
        counts[part_of(name)][0] += not torch.equal(value, after[name])
        counts[part_of(name)][1] += 1
    out.changed = {part: (some, all_) for part, (some, all_) in counts.items()}
    for part, (some, _) in out.changed.items():
        if part in recipe.stage.freeze and some:
            out.wrong.append(f"{some} tensors of {part} changed, which the recipe fixes")
        if part in recipe.stage.trainable and not some:
            out.wrong.append(f"{part} did not change")


@torch.no_grad()
def loss_of(export: Path, recipe: Recipe, updates: int = 2) -> float:
    """Loss of exported weights on the packs of a recipe's first updates."""
    model, processor = load_model(str(export), device="cpu", dtype="bfloat16", quant="bf16")
    module = TrainModule(model)
    loader = build_loader(
        recipe.data,
        processor,
        reduction=recipe.loss.reduction,
        unit=recipe.loss.unit,
        micro=recipe.batch.micro,
    )
    total = mass = 0.0
    for _ in range(updates * recipe.batch.global_ // recipe.batch.micro):
        pack = next(loader)
        total += float(module(pack).total)
        mass += pack.weight_mass
    loader.close()
    return total / mass


def words_for(stage: Stage, blend: Path, previous: Path | None, run: Path, updates: int) -> Words:
    """What follows `nanovl train`."""
    return [
        f"mini/{stage.name}",
        f"data.metadataset={blend}",
        f"data.seq_len={stage.length}",
        f"batch.global={stage.samples}",
        *stage.settings,
        f"stage.train_iters={updates}",
        "stage.train_samples=null",
        "data.num_workers=0",
        f"ckpt.dir={run}",
        "ckpt.every_iters=100000",
        *([f"stage.init_from={previous}"] if previous else []),
    ]


def run_stage(
    stage: Stage, blend: Path, previous: Path | None, folder: Path, updates: int
) -> Outcome:
    """Train a stage by the command line and look at what it left."""
    run = folder / stage.name
    words = words_for(stage, blend, previous, run, updates)
    recipe = load_recipe(words[0], words[1:])
    begun, used = time.monotonic(), _cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "nanovl", "train", *words], capture_output=True, text=True
    )
    out = Outcome(seconds=time.monotonic() - begun, cpu_seconds=_cpu_seconds() - used)
    if done.returncode:
        out.wrong.append(f"exit status {done.returncode}: {done.stderr.strip()[-500:]}")
        return out
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    out.updates = len(lines)
    out.tokens_per_s = sorted(line["tokens_per_s"] for line in lines)[len(lines) // 2]
    if out.updates != updates:
        out.wrong.append(f"{out.updates} updates instead of {updates}")
    out.after = loss_of(run / "export", recipe)
    if previous is None:  # from random weights; the rate of the first update is 0
        out.before = (lines[0]["loss"] + lines[1]["loss"]) / 2
    else:
        out.before = loss_of(previous, recipe)
        model, _ = load_model(str(previous), device="cpu", dtype="float32", quant="bf16")
        compare(recipe, {n: p.detach() for n, p in model.named_parameters()}, run, out)
    if not out.after < out.before:
        out.wrong.append("the loss did not fall")
    return out


def _cpu_seconds() -> float:
    """Of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(outcomes: Mapping[str, Outcome]) -> None:
    """The table."""
    print(
        f"{'stage':<8}{'updates':>8}{'loss first -> last':>20}{'tokens/s':>10}{'seconds':>9}"
        f"{'CPU s':>7}   tensors changed: vision, projector, llm"
    )
    for name, out in outcomes.items():
        loss = f"{out.before:.3f} -> {out.after:.3f}"
        changed = ", ".join(f"{some}/{all_}" for some, all_ in out.changed.values())
        print(
            f"{name:<8}{out.updates:>8}{loss:>20}{out.tokens_per_s:>10,.0f}{out.seconds:>9.1f}"
            f"{out.cpu_seconds:>7.0f}   {changed or '-'}"
        )
        for problem in out.wrong:
            print(f"{name:<8}WRONG: {problem}")


def smoke(folder: Path, updates: int) -> int:
    """Run all stages; returns the exit status."""
    begun = time.monotonic()
    blends = make_data(folder / "data")
    print(f"changed in the recipes mini/*, lengths still 1 : 1 : 3 : 3 : 19 (x {LENGTH}):")
    for stage in STAGES:
        words = (f"data.seq_len={stage.length}", f"batch.global={stage.samples}", *stage.settings)
        print(f"  {stage.name:<8}{' '.join(words)}")
    print("", flush=True)
    outcomes: dict[str, Outcome] = {}
    previous: Path | None = None
    for stage in STAGES:
        count = round(1.5 * updates) if stage.name == "pre" else updates
        out = run_stage(stage, blends[stage.name], previous, folder, count)
        outcomes[stage.name] = out
        previous = folder / stage.name / "export"
        if not previous.is_dir():
            break
    show(outcomes)
    seconds = time.monotonic() - begun
    cores = len(os.sched_getaffinity(0))
    print(f"\n{seconds:.0f} s on {cores} cores; {ROOM:.0f} s are meant to be enough on two")
    return int(len(outcomes) < len(STAGES) or any(out.wrong for out in outcomes.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="keep runs and data here")
    parser.add_argument("--updates", type=int, default=20, help="of every stage")
    options = parser.parse_args(arguments)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return smoke(options.folder, options.updates)
    with tempfile.TemporaryDirectory(prefix="nanovl-smoke-") as folder:
        return smoke(Path(folder), options.updates)


if __name__ == "__main__":
    sys.exit(main())
