"""From data to the small model that ships: every step of the recipe in one script.

    python -m tools.make_mini --data DATA --work RUNS --budget cpu-8h
    python -m tools.make_mini --work RUNS --list                        what is done, what it took
    python -m tools.make_mini --data DATA --work RUNS --only synth,vision

`DATA` holds the real data, `RUNS` receives everything else. The same command goes on where it was
stopped: a step that is done is not repeated, a step that was stopped continues (data sets by shard,
training by checkpoint). Steps, in order:

    clean     a copy of the real data that shares nothing with the validation data
    convert   real data become records; sets without a free licence are left out
    synth     pages, charts, tables, videos and texts are made, and real questions drawn as pages
    vision    the encoder learns to read by itself (tools.mini_vision)
    language  the language model learns to write, on plain text
    cells     the language model learns what lies on every visual token (tools.mini_reading)
    reading   both together: words, lines and pages are transcribed
    stage0 .. stage4     the report's five stages
    score     the suite of validation data is built, looked for in all that was trained on, asked
    ship      weights in the released layout, the tokenizer and a card with the scores

Each budget is one column of `BUDGETS`: samples made and updates of every step. A longer run is a
better model; before it begins, a step may be given more with --set STEP=UPDATES, the synthesis with
--scale.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tools.mini_score import last_weights

ROOT = Path(__file__).resolve().parent.parent
NANOVL = [sys.executable, "-m", "nanovl"]

# --- data ---------------------------------------------------------------------------------------

# Name of the set: format, path below DATA. Left out: charts/mcqa (no licence), math/tabmwp (NC).
REAL: dict[str, tuple[str, str]] = {
    "wiki": ("nanovl-text", "text/wiki_train.jsonl.gz"),
    "books": ("nanovl-text", "text/books_train-00.jsonl.gz"),
    "books-more": ("nanovl-text", "text/books_train-01.jsonl.gz"),
    "tech": ("nanovl-text", "text/tech_train.jsonl.gz"),
    "multilingual": ("nanovl-text", "text/multilingual.jsonl.gz"),
    "modules": ("nanovl-text", "code/pystdlib_modules.jsonl.gz"),
    "functions": ("nanovl-code", "code"),
    "gsm8k": ("nanovl-gsm8k", "math"),
    "bfcl": ("nanovl-bfcl", "tools"),
    "receipts": ("nanovl-receipts", "receipts"),
    "clipart": ("nanovl-clipart", "images"),
    "stories-text": ("nanovl-fairytaleqa", "reading"),
    "xquad-text": ("nanovl-xquad", "reading"),
    "wtq-text": ("nanovl-wtq", "tables"),
}

# Name of the set: samples at scale 1, generator, settings; "{data}" is the folder of the real data.
MADE: dict[str, tuple[int, str, dict[str, Any]]] = {
    "ocr-word": (80000, "ocr-word", {}),
    "ocr-line": (100000, "ocr-line", {}),
    "ocr-page": (20000, "ocr-page", {}),
    "ocr-scene": (1500, "ocr-scene", {}),
    "scenes-2d": (4000, "scenes-2d", {}),
    "scenes-geometry": (1000, "scenes-geometry", {}),
    "charts": (1500, "charts", {}),
    "charts-drawn": (5000, "charts-drawn", {}),
    "charts-vega": (500, "charts-vega", {}),
    "tables": (3000, "tables", {}),
    "tables-html": (600, "tables-html", {}),
    "business": (2500, "business", {}),
    "business-scan": (1500, "business-scan", {}),
    "screens": (2000, "screens", {}),
    "html-pages": (800, "html-pages", {}),
    "papers": (300, "papers", {}),
    "stories": (3000, "render-passages", {"source": "{data}/reading", "dataset": "fairytaleqa"}),
    "xquad": (1500, "render-passages", {"source": "{data}/reading", "dataset": "xquad"}),
    "wtq": (4000, "render-tables", {"source": "{data}/tables", "dataset": "wtq"}),
    "tabfact": (2500, "render-tables", {"source": "{data}/tables", "dataset": "tabfact"}),
    "wikisql": (1500, "render-tables", {"source": "{data}/tables", "dataset": "wikisql"}),
    "wtq-charts": (1000, "render-charts", {"source": "{data}/tables", "dataset": "wtq"}),
    "wiki-pages": (2500, "render-text", {"paths": ["{data}/text/wiki_train.jsonl.gz"]}),
    "problems": (1500, "render-problems", {"source": "{data}/math", "dataset": "gsm8k"}),
    "multi-image": (800, "multi-image", {}),
    "multipage": (400, "multipage", {}),
    "video-shapes": (800, "video-shapes", {}),
    "video-slides": (250, "video-slides", {}),
    "video-ticker": (800, "video-ticker", {}),
    "text-maths": (8000, "text-maths", {}),
    "text-expressions": (4000, "text-expressions", {}),
    "text-code": (2000, "text-code", {}),
    "text-instructions": (3000, "text-instructions", {}),
    "text-tools": (3000, "text-tools", {}),
    "text-longctx": (400, "text-longctx", {"min_tokens": 2048, "max_tokens": 16384}),
}
SLOW = {"papers": 300, "video-slides": 180}  # seconds a sample may take

# Shares of samples in the blends.
PAGES = {"ocr-page": 4, "ocr-scene": 1, "wiki-pages": 3, "html-pages": 1, "papers": 0.5}
LOOKS = {"scenes-2d": 3, "scenes-geometry": 1, "clipart": 1}
CHARTS = {"charts": 1.5, "charts-drawn": 4, "charts-vega": 0.5, "wtq-charts": 1}
TABLES = {"tables": 2, "tables-html": 0.5, "wtq": 4, "tabfact": 2, "wikisql": 1.5}
FORMS = {"business": 2, "business-scan": 1.5, "receipts": 3, "screens": 2}
READING = {"stories": 3, "xquad": 1.5, "problems": 1.5}
CHATS = {"text-maths": 2, "text-expressions": 0.7, "text-instructions": 0.7, "text-tools": 1}
TRACES = {
    "text-maths": 4, "text-expressions": 2, "text-code": 2, "functions": 1, "gsm8k": 2, "bfcl": 1,
    "text-instructions": 1, "text-tools": 2, "stories-text": 1, "wtq-text": 1, "xquad-text": 1,
}  # fmt: skip
VIDEOS = {"video-shapes": 2, "video-slides": 1, "video-ticker": 2, "multi-image": 2, "multipage": 1}
PICTURES = {**PAGES, **LOOKS, **CHARTS, **TABLES, **FORMS, **READING}
BLENDS: dict[str, dict[str, float]] = {
    "language": {"wiki": 25, "books": 25, "books-more": 20, "tech": 18, "modules": 5,
                 "multilingual": 7},
    "reading": {"ocr-word": 10, "ocr-line": 60, **{k: 0.75 * v for k, v in PAGES.items()},
                "wiki": 3, "books": 3, "tech": 2, "stories-text": 1},
    "stage0": {"ocr-line": 2, **PAGES, "clipart": 2, "charts-drawn": 1, "tables": 1},
    "stage1": {"ocr-line": 2, **PICTURES, **CHATS, "stories-text": 1, "gsm8k": 0.5, "bfcl": 0.5},
    "stage2": {**VIDEOS, **{k: v / 4 for k, v in PICTURES.items()},
               **{k: v / 2 for k, v in CHATS.items()}},
    "stage3": TRACES,
    "stage4": {"text-longctx": 6, **{k: v / 3 for k, v in TRACES.items()}, **VIDEOS,
               "wiki-pages": 1, "stories": 1, "charts-drawn": 1, "wtq": 1},
}  # fmt: skip
STAGES = ("language", "reading", "stage0", "stage1", "stage2", "stage3", "stage4")


@dataclass(frozen=True)
class Budget:
    """What a budget buys.

    Attributes:
        scale: Factor on the samples of `MADE`.
        updates: Of every training step.
    """

    scale: float
    updates: dict[str, int]


# Steps that change weights, in order.
TRAINED = ("vision", "language", "cells", *STAGES[1:])


def _updates(*numbers: int) -> dict[str, int]:
    return dict(zip(TRAINED, numbers, strict=True))


# In the order of `TRAINED`; tiles, packs and samples of an update are the recipes'.
BUDGETS = {
    "smoke": Budget(0.004, _updates(20, 4, 2, 4, 2, 4, 4, 4, 2)),
    "cpu-20min": Budget(0.03, _updates(300, 20, 40, 30, 4, 30, 6, 6, 2)),
    "cpu-8h": Budget(1.0, _updates(4600, 300, 1200, 300, 40, 600, 60, 60, 12)),
    "gpu-30min": Budget(4.0, _updates(20000, 2000, 6000, 4000, 100, 6000, 600, 600, 100)),
}


# --- steps --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """Where and how much.

    Attributes:
        data: Real data.
        folder: Of all that is made.
        budget: Samples and updates.
        workers: Processes that make data.
        device: Of training.
        ship_to: Folder that ships; None is `ship` below `folder`.
    """

    data: Path
    folder: Path
    budget: Budget
    workers: int
    device: str
    ship_to: Path | None = None

    @property
    def out(self) -> Path:
        """Folder that ships."""
        return self.ship_to or self.folder / "ship"

    @property
    def clean(self) -> Path:
        """Real data without what it shares with the validation data."""
        return self.folder / "clean"

    def place(self, name: str) -> str:
        """Folder of a data set, below `folder`."""
        return f"made/{name}" if name in MADE else f"real/{name}"

    def export(self, stage: str) -> Path:
        """Weights of a step."""
        return self.folder / ("vision-export" if stage == "vision" else f"{stage}/export")


def command(words: Sequence[str | Path]) -> None:
    """Run a program; its failure ends everything."""
    print("$", " ".join(map(str, words)), flush=True)
    code = subprocess.run([str(word) for word in words], cwd=ROOT, check=False).returncode
    if code:
        raise SystemExit(
            f"{words[0]} ended with status {code}; the same command goes on from there"
        )


def clean(work: Work) -> None:
    """Training data without overlap with validation data."""
    tool = [sys.executable, "-m", "tools.mini_overlap"]
    command([*tool, "--data", work.data, "--out", work.clean])
    command([*tool, "--data", work.clean, "--held", work.data])


def convert(work: Work) -> None:
    """Real data to records."""
    for name, (kind, path) in REAL.items():
        out = work.folder / work.place(name)
        if (out / f"{name}.jsonl").is_file():
            continue
        command([*NANOVL, "data", "convert", kind, work.clean / path, out])


def synth(work: Work) -> None:
    """Everything that is made, as one mixture."""
    entries: dict[str, Any] = {}
    for name, (count, generator, settings) in MADE.items():
        filled = {k: _filled(v, work.clean) for k, v in settings.items()}
        entries[name] = {
            "generator": generator,
            "count": max(2, round(count * work.budget.scale)),
            "shard_size": 50 if name in SLOW else 200,
            "timeout_s": float(SLOW.get(name, 60)),
            "settings": filled,
        }
    mix = work.folder / "mix.yaml"
    mix.write_text(yaml.safe_dump({"generators": entries}, sort_keys=False), encoding="utf-8")
    out = work.folder / "made"
    command([*NANOVL, "synth", "mix", mix, out, "--workers", str(work.workers)])


def _filled(value: Any, data: Path) -> Any:
    if isinstance(value, list):
        return [_filled(item, data) for item in value]
    return value.replace("{data}", str(data)) if isinstance(value, str) else value


def vision(work: Work) -> None:
    """The encoder reads tiles of text."""
    run = work.folder / "vision"
    tool = [sys.executable, "-m", "tools.mini_vision", "--out", run]
    updates = str(work.budget.updates["vision"])
    drawing = ["--workers", str(max(1, work.workers - 1)), "--device", work.device]
    command([*tool, "--texts", work.clean / "text", "--updates", updates, *drawing])
    command([*tool, "--export", work.export("vision")])


def cells(work: Work) -> None:
    """The language model is told what its visual tokens show."""
    tool = [sys.executable, "-m", "tools.mini_reading", "--init", work.export("language")]
    tool += ["--out", work.folder / "cells"]
    updates = ["--updates", str(work.budget.updates["cells"]), "--device", work.device]
    drawing = ["--workers", str(max(1, work.workers - 1))]
    command([*tool, "--texts", work.clean / "text", *updates, *drawing])
    command([*tool, "--export", work.export("cells")])


def blend(work: Work, stage: str) -> Path:
    """The blend file of a stage; sets that could not be made here are left out and named."""
    entries = []
    for name, weight in BLENDS[stage].items():
        place = work.place(name)
        if not (work.folder / place / f"{name}.jsonl").is_file():
            print(f"{stage}: {name} is missing in {work.folder / place}, left out")
            continue
        entry: dict[str, Any] = {"weight": weight, "path": f"{place}/{name}.jsonl"}
        if (work.folder / place / "media").is_dir():
            entry["aux"] = {"media": f"filesystem://{place}/media"}
        if stage == "stage2" and name not in VIDEOS:  # seen in Stage 1: a part is used again
            entry["subflavors"] = {"reuse": "text" if name in CHATS else "multimodal"}
        entries.append(entry)
    data = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": entries}},
    }
    path = work.folder / f"{stage}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def train(work: Work, stage: str) -> None:
    """One training step, from the weights of the one before."""
    before = TRAINED[TRAINED.index(stage) - 1]
    recipe = "pre" if stage in ("language", "reading") else stage
    updates = work.budget.updates[stage]
    settings = [
        f"name=mini-{stage}",
        f"data.metadataset={blend(work, stage)}",
        f"ckpt.dir={work.folder / stage}",
        f"stage.init_from={work.export(before)}",
        "model.init=checkpoint",
        "ckpt.every_iters=20",
    ]
    # Stage 0 counts samples, 64 an update.
    settings += [f"stage.train_samples={64 * updates}" if stage == "stage0"
                 else f"stage.train_iters={updates}"]  # fmt: skip
    if stage == "language":
        settings += ["stage.freeze=[vision,projector]"]
    if stage == "reading":  # the encoder reads already; Stage 1 goes on with it
        settings += ["stage.freeze=[vision]"]
    command([*NANOVL, "train", f"mini/{recipe}", *settings, "--device", work.device])


def score(work: Work) -> None:
    """Numbers of the last weights, in scores.json."""
    tool = [sys.executable, "-m", "tools.mini_score", "--data", work.data, "--runs", work.folder]
    command([*tool, "--out", work.folder / "scores.json", "--workers", str(work.workers)])


def ship(work: Work) -> None:
    """The folder that ships."""
    _, weights = last_weights(work.folder)
    tool = [sys.executable, "-m", "tools.mini_ship", "--weights", weights, "--out", work.out]
    command([*tool, "--scores", work.folder / "scores.json", "--runs", work.folder])


STEPS: dict[str, Callable[[Work], None]] = {
    "clean": clean,
    "convert": convert,
    "synth": synth,
    "vision": vision,
    "language": lambda work: train(work, "language"),
    "cells": cells,
    **{stage: (lambda work, stage=stage: train(work, stage)) for stage in STAGES[1:]},
    "score": score,
    "ship": ship,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the real data")
    parser.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--budget", choices=BUDGETS, default="cpu-8h")
    parser.add_argument("--only", default="", help="steps, with commas between them")
    parser.add_argument("--set", action="append", default=[], metavar="STEP=UPDATES")
    parser.add_argument("--scale", type=float, help="factor on the samples that are made")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ship-to", type=Path, help="folder that ships; left out: RUNS/ship")
    parser.add_argument("--list", action="store_true", help="show what is done")
    args = parser.parse_args()
    notes = args.work / "steps.json"
    done: dict[str, Any] = json.loads(notes.read_text()) if notes.is_file() else {}
    if args.list:
        for step in STEPS:
            print(f"{step:10} {done[step]['seconds']:8.0f} s" if step in done else f"{step:10} -")
        return
    if args.data is None or not args.data.is_dir():
        raise SystemExit("--data: name the folder of the real data")
    budget = BUDGETS[args.budget]
    for word in args.set:
        step, _, number = word.partition("=")
        if step not in budget.updates or not number.isdigit():
            raise SystemExit(f"--set {word}: expected one of {', '.join(budget.updates)}=UPDATES")
        budget.updates[step] = int(number)
    if args.scale is not None:
        budget = replace(budget, scale=args.scale)
    wanted = [step for step in args.only.split(",") if step] or list(STEPS)
    for step in wanted:
        if step not in STEPS:
            raise SystemExit(f"--only {step}: expected some of {', '.join(STEPS)}")
    args.work.mkdir(parents=True, exist_ok=True)
    work = Work(
        args.data.resolve(),
        args.work.resolve(),
        budget,
        args.workers,
        args.device,
        args.ship_to.resolve() if args.ship_to else None,
    )
    for step in wanted:
        if step in done and not args.only:
            continue
        begun = time.monotonic()
        STEPS[step](work)
        before = done.get(step, {}).get("seconds", 0.0)
        done[step] = {"seconds": before + time.monotonic() - begun, "budget": args.budget}
        notes.write_text(json.dumps(done, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
