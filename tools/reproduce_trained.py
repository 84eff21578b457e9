"""The experiments that train: packing, loss reductions, FP8.

Packing and FP8 are the benchmarks of those names, run as programs and read; the loss reductions are
two short runs of the trainer from the same weights over the same packs, compared on held-out
answers.

Source: training specification, sections 3 (packing), 4 (loss) and 6 (FP8).
"""

from __future__ import annotations

import csv
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.checkpoint.names import resolve
from nanovl.core.errors import NanoVLError
from nanovl.core.events import Event
from nanovl.evals.scoring.statistics import mean_interval, paired_bootstrap
from nanovl.train.config import load_recipe
from nanovl.train.trainer import train
from tools.reproduce_cells import ROOT, Cell, Number, Results, blend_hash, facts, weights_of
from tools.reproduce_heldout import KINDS, Answer, answers, by_length, made_samples, split_blend

__all__ = ["EDGES", "REDUCTIONS", "fp8", "loss", "packing"]

REDUCTIONS = ("square", "token")
EDGES = (4, 16, 64, 256)  # tokens of an answer


# --- packing ------------------------------------------------------------------------------------


def packing(
    out: Path, command: str, options: Sequence[str] = (), data: Path | None = None
) -> Results:
    """Tokens per second, fill and imbalance, packed and padded.

    Args:
        out: Folder of the results.
        command: As a person types it.
        options: Of `benchmarks/packing.py`.
        data: Folder of its `--prepare`, or a blend file; None draws lengths.
    """
    results = Results(out, "packing")
    common = {"options": list(options), "data": None if data is None else _data_hash(data)}
    results.begin(common)
    if results.cells:
        return results
    begun = time.monotonic()
    words = [*options, *([] if data is None else ["--data", str(data)])]
    found = _benchmark("packing.py", words)
    for row in found["rows"]:
        low, high = row["spread"]
        numbers = {
            "tokens_per_s": Number(
                value=row["tokens_per_s"], low=low, high=high, n=found["buffer"], kind="range"
            ),
            **{
                name: Number(value=row[name], n=found["buffer"])
                for name in ("ratio", "positions_per_token", "fill", "packs", "samples_mean")
            },
            **{
                f"imbalance_{name}": Number(value=value, n=found["buffer"])
                for name, value in row["imbalance_ranks"].items()
            },
        }
        results.put(
            Cell(
                row=row["method"],
                column="measured",
                numbers=numbers,
                inputs=common,
                facts=facts(command, begun),
                notes={name: found[name] for name in ("preset", "seq_len", "buffer", "batch")}
                | {"data": "training data" if data is not None else "drawn lengths"},
            )
        )
    return results


def _data_hash(data: Path) -> str:
    return blend_hash(data / "blend.yaml" if data.is_dir() else data)


def _benchmark(script: str, words: Sequence[str]) -> dict[str, Any]:
    """Run a benchmark; its last line is JSON."""
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"benchmarks/{script} ended with status {done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


# --- loss reductions ----------------------------------------------------------------------------


def loss(
    out: Path,
    work: Path,
    command: str,
    *,
    start: str,
    blend: Path | None = None,
    updates: int = 200,
    held_out: int = 64,
    settings: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
) -> Results:
    """Held-out loss by length of the answer, after training with either reduction.

    Args:
        out: Folder of the results.
        work: Folder of the training runs; a run that was stopped goes on.
        command: As a person types it.
        start: Checkpoint both runs begin with.
        blend: Training data; without a split "val" 5 % of every set are held out. None takes
            samples made on the spot.
        updates: Of either run.
        held_out: Answers of every set.
        settings: Further settings of the recipe mini/stage1.
        seed: Of data and order.
        device: Of training.
    """
    results = Results(out, "loss")
    folder = resolve(start)
    own = work / "loss"
    if blend is None:
        count, wanted = max(64, 8 * updates), held_out * len(KINDS)
        place = own / f"samples-{count}-{held_out}-{seed}"
        data = made_samples(place, samples=count, held_out=wanted, seed=seed)
    else:
        data = split_blend(blend, own / f"{blend.stem}-split.yaml")
    common = {
        "model": weights_of(folder),
        "data": blend_hash(data),
        "updates": updates,
        "held_out": held_out,
        "settings": list(settings),
        "seed": seed,
    }
    results.begin(common)
    if {c.column for c in results.cells} == set(REDUCTIONS):
        return results
    name = hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:8]
    found: dict[str, list[Answer]] = {}
    seconds: dict[str, float] = {}
    for reduction in REDUCTIONS:
        begun = time.monotonic()
        recipe = load_recipe(
            "mini/stage1",
            [
                f"name=loss-{reduction}", "model.preset=null", "model.init=checkpoint",
                f"stage.init_from={folder}", f"stage.train_iters={updates}",
                f"data.metadataset={data}", "data.num_workers=0", f"data.seed={seed}",
                f"run.seed={seed}", f"ckpt.dir={own}/{name}-{reduction}", "ckpt.every_iters=50",
                *settings, f"loss.reduction={reduction}",
            ],
        )  # fmt: skip
        ended = train(recipe, device=device, on_event=_progress)
        if ended.export is None:
            raise SystemExit(
                f"{ended.folder}: training was {ended.status} at update {ended.update}; the same "
                "command goes on from there"
            )
        found[reduction] = answers(ended.export, data, recipe.data, held_out, device=device)
        seconds[reduction] = begun
    _put_losses(results, found, common, command, seconds)
    return results


def _put_losses(
    results: Results,
    found: Mapping[str, Sequence[Answer]],
    common: Mapping[str, Any],
    command: str,
    begun: Mapping[str, float],
) -> None:
    first = found[REDUCTIONS[0]]
    if [a.tokens for a in first] != [a.tokens for a in found[REDUCTIONS[1]]]:
        raise NanoVLError("loss: the two models were not asked the same held-out answers")
    bins = {"all": list(range(len(first))), **by_length(first, EDGES)}
    for reduction, answered in found.items():
        for row, members in bins.items():
            values = [answered[i].loss for i in members]
            ends = mean_interval(values)
            numbers = {
                "loss": Number(
                    value=statistics.fmean(values), low=ends.low, high=ends.high, n=len(values)
                )
            }
            if reduction != REDUCTIONS[0]:
                paired = paired_bootstrap(values, [first[i].loss for i in members])
                numbers["change"] = Number(
                    value=paired.difference, low=paired.low, high=paired.high, n=len(values)
                )
            results.put(
                Cell(
                    row=row,
                    column=reduction,
                    numbers=numbers,
                    inputs=common,
                    facts=facts(command, begun[reduction]),
                    notes={"tokens": sum(answered[i].tokens for i in members)},
                )
            )


def _progress(event: Event) -> None:
    if event.name == "step" and (event.done % 20 == 0 or event.done == event.total):
        loss = event.data["loss"]
        print(f"{event.done}/{event.total}: {loss:.4f}", file=sys.stderr, flush=True)


# --- FP8 ----------------------------------------------------------------------------------------


def fp8(out: Path, command: str, options: Sequence[str] = (), data: Path | None = None) -> Results:
    """The loss curve in FP8 beside that in BF16; its figure is the benchmark's own.

    Args:
        out: Folder of the results; gets `fp8.csv` and `fp8.svg` as well.
        command: As a person types it.
        options: Of `benchmarks/fp8_loss.py`.
        data: Folder of `packing.py --prepare`, or a blend file; None makes samples.
    """
    results = Results(out, "fp8")
    common = {"options": list(options), "data": None if data is None else _data_hash(data)}
    results.begin(common)
    if results.cells:
        return results
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    words = [*options, *([] if data is None else ["--data", str(data)]), "--out", str(out / "fp8")]
    found = _benchmark("fp8_loss.py", words)
    with (out / "fp8.csv").open(encoding="utf-8") as stream:
        curves = list(csv.DictReader(stream))
    last = [{k: float(v) for k, v in row.items()} for row in curves][-found["last"] :]
    base = statistics.fmean(row["bf16"] for row in last)
    for name in [n for n in last[0] if n != "update"]:
        numbers = {"loss": _number([row[name] for row in last])}
        if name != "bf16":
            apart = [100 * abs(row[name] - row["bf16"]) / base for row in last]
            numbers["distance"] = _number(apart)
        results.put(
            Cell(
                row=name,
                column="measured",
                numbers=numbers,
                inputs=common,
                facts=facts(command, begun),
                notes={"updates": found["updates"], "bound": 100 * found["bound"]},
            )
        )
    return results


def _number(values: Sequence[float]) -> Number:
    ends = mean_interval(values)
    return Number(value=statistics.fmean(values), low=ends.low, high=ends.high, n=len(values))
