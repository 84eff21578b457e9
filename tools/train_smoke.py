"""All five stages of the small model, 20 updates each, one from the weights of the other.

    python tools/train_smoke.py [--folder RUNS] [--updates 20]

Every stage is a `nanovl train` of its bundled recipe on samples made for it, shortened as far as a
CPU needs it; what was changed is printed. Afterwards the weights of each stage are compared with
those it began with: parts its recipe fixes must be the same bit for bit, all others must have
changed, and the loss must have fallen. Prints one table, and exits 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
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
from nanovl.testing import training_set
from nanovl.testing.training import PICTURE_KINDS
from nanovl.train.config import Recipe, load_recipe
from nanovl.train.state import read_weights
from nanovl.train.step import PARTS, part_of

LENGTH = 512  # of Stage 0, in tokens; a picture is 256 and a few words
RATIOS = {"pre": 1, "stage0": 1, "stage1": 1, "stage2": 3, "stage3": 3, "stage4": 19}
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
    Stage(name="pre", samples=4, settings=("data.packing.buffer_samples=40",)),
    Stage(name="stage0", samples=8, settings=("data.max_tiles=1", "batch.micro=4")),
    Stage(
        name="stage1",
        samples=4,
        settings=("data.max_tiles=1", "data.packing.buffer_samples=40"),
    ),
    Stage(
        name="stage2",
        samples=2,
        settings=(
            "data.max_tiles=2",
            "data.video.max_frames=4",
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
        first, last: Mean loss of the first and the last quarter of its updates.
        updates: Made.
        tokens_per_s: Median over the updates.
        seconds: Of the whole command.
        changed: Part -> how many of its tensors changed, and how many there are.
        wrong: What should not be.
    """

    first: float = 0.0
    last: float = 0.0
    updates: int = 0
    tokens_per_s: float = 0.0
    seconds: float = 0.0
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
    training_set(folder / "pictures", samples=120, kinds=PICTURE_KINDS, size=128)
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
        "stage4": training_set(folder / "long", samples=40, kinds=("recall",), facts=150),
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


def run_stage(
    stage: Stage, blend: Path, previous: Path | None, folder: Path, updates: int
) -> Outcome:
    """Train a stage by the command line and look at what it left."""
    run = folder / stage.name
    words = [
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
    recipe = load_recipe(words[0], words[1:])
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "nanovl", "train", *words], capture_output=True, text=True
    )
    out = Outcome(seconds=time.monotonic() - begun)
    if done.returncode:
        out.wrong.append(f"exit status {done.returncode}: {done.stderr.strip()[-500:]}")
        return out
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines]
    quarter = max(1, len(losses) // 4)
    out.updates = len(lines)
    out.first, out.last = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    out.tokens_per_s = sorted(line["tokens_per_s"] for line in lines)[len(lines) // 2]
    if out.updates != updates:
        out.wrong.append(f"{out.updates} updates instead of {updates}")
    if not out.last < out.first:
        out.wrong.append("the loss did not fall")
    if previous is not None:
        model, _ = load_model(str(previous), device="cpu", dtype="float32", quant="bf16")
        compare(recipe, {n: p.detach() for n, p in model.named_parameters()}, run, out)
    return out


def show(outcomes: Mapping[str, Outcome]) -> None:
    """The table."""
    print(
        f"{'stage':<8}{'updates':>8}{'loss first -> last':>22}{'tokens/s':>10}{'seconds':>9}"
        "   tensors changed (vision, projector, llm)"
    )
    for name, out in outcomes.items():
        loss = f"{out.first:.3f} -> {out.last:.3f}"
        changed = "  ".join(f"{some}/{all_}" for some, all_ in out.changed.values())
        print(
            f"{name:<8}{out.updates:>8}{loss:>22}{out.tokens_per_s:>10,.0f}{out.seconds:>9.1f}"
            f"   {changed or '-'}"
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
        count = 2 * updates if stage.name == "pre" else updates
        out = run_stage(stage, blends[stage.name], previous, folder, count)
        outcomes[stage.name] = out
        previous = folder / stage.name / "export"
        if not previous.is_dir():
            break
    show(outcomes)
    seconds = time.monotonic() - begun
    print(f"\n{seconds:.0f} s of {ROOM:.0f} s on two cores")
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
