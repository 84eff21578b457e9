"""The experiments that ask questions: stages, EVS, reasoning budget, tiling, precision.

Each puts cells into its results, skips those that are there, and compares on the same questions.
How models are asked is in `reproduce_asked`; what the cells look like, in `reproduce_tables`.

Source: evaluation specification, sections 2.3, 2.4 and 13; training specification, section 11.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.config import DataConfig
from nanovl.engine.vlm import load
from nanovl.evals.mini_suite import suite_task
from nanovl.evals.modes import UNRESTRICTED, Setting, budget_mode
from nanovl.evals.scoring.statistics import mean_interval
from nanovl.evals.speed import Load, ModelTarget, Speed, measure
from nanovl.evals.sweeps import IMAGE_MODES
from tools.make_mini import STAGES
from tools.reproduce_asked import Asked, Bench, Make
from tools.reproduce_cells import Cell, Number, Results, blend_hash
from tools.reproduce_heldout import answers as losses
from tools.reproduce_points import Point, fill
from tools.reproduce_quant import CALIBRATED, LOADED, Calibration, quantized

__all__ = [
    "BUDGETS",
    "PICTURES",
    "RATES",
    "budget",
    "evs",
    "precision",
    "stages",
    "tiling",
]

RATES = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)  # the report's
BUDGETS = (0, 16, 32, 64, 128, 256, UNRESTRICTED)
VIDEOS = ("mini-video-order", "mini-video-time")
PICTURES = (
    "mini-read-lines", "mini-read-pages-clean", "mini-receipts", "mini-tables-wtq", "mini-charts",
    "mini-charts-choice", "mini-pages-xquad-en",
)  # fmt: skip
HELD_OUT_TOKENS = 4096  # longest held-out sample
REASONED = ("mini-maths-read-on", "mini-maths-text")


# --- Tables 4 and 6 -----------------------------------------------------------------------------


def stages(
    bench: Bench,
    out: Path,
    made: Path,
    names: Sequence[str] = (),
    *,
    held_out: Path | None = None,
    answers: int = 64,
) -> Results:
    """Every task of the suite after every stage that has been exported.

    Args:
        bench: What the session shares.
        out: Folder of the results.
        made: Work folder of `tools.make_mini`.
        names: Tasks; none means all.
        held_out: Blend whose split "val" is a measure of skills too: loss of its answers.
        answers: Of every set of it.

    Raises:
        InputError: No stage has been exported.
    """
    results = Results(out, "stages")
    results.begin(bench.common)
    points = []
    for stage in STAGES:
        folder = made / stage / "export"
        if folder.is_dir():
            points.append(Point(name=stage, asked=bench.open(folder), options={}))
    if not points:
        raise InputError(
            f"{made}: no stage has been exported; expected {made / STAGES[0] / 'export'} and so "
            "on, as python -m tools.make_mini --work leaves them"
        )
    fill(results, bench.tasks(names), points, common=bench.common, previous=True, peers=True)
    if held_out is not None:
        for point in points:
            _held_out(results, point, held_out, answers)
    return results


def _held_out(results: Results, point: Point, blend: Path, count: int) -> None:
    """Loss of held-out answers of one stage, a cell for every set."""
    asked = point.asked
    bench = asked.bench
    data = {"data": blend_hash(blend), "answers": count}
    inputs = {**bench.common, **asked.inputs, **data}
    done = [c for c in results.cells if c.column == point.name and "loss" in c.numbers]
    if done and all(results.has(c.row, c.column, inputs) for c in done):
        return
    begun = time.monotonic()
    settings = DataConfig(seq_len=HELD_OUT_TOKENS, max_tiles=4)
    found = losses(asked.folder, blend, settings, count, device=bench.device, dtype=bench.dtype)
    for source in dict.fromkeys(answer.source for answer in found):
        values = [answer.loss for answer in found if answer.source == source]
        ends = mean_interval(values)
        results.put(
            Cell(
                row=source,
                column=point.name,
                numbers={
                    "loss": Number(
                        value=statistics.fmean(values), low=ends.low, high=ends.high, n=len(values)
                    )
                },
                inputs=inputs,
                facts=asked.facts(begun),
                notes={"model": asked.title},
            )
        )


# --- Figure 4 -----------------------------------------------------------------------------------


def evs(
    bench: Bench,
    out: Path,
    model: str,
    *,
    rates: Sequence[float] = RATES,
    names: Sequence[str] = VIDEOS,
    load: Load | None = None,
) -> Results:
    """Accuracy, time to first token and throughput by pruning rate.

    Args:
        bench: What the session shares.
        out: Folder of the results.
        model: Who is asked.
        rates: In [0, 1); the first is what others are compared with.
        names: Video tasks.
        load: Of the speed measurement; None measures none.
    """
    results = Results(out, "evs")
    asked = bench.open(model)
    common = {**bench.common, **asked.inputs}
    results.begin(common)
    points = [Point(name=f"{r:g}", asked=asked, options={"pruning_rate": r}) for r in rates]
    # The model is loaded once: speed first, while nothing else was asked of it.
    if load is not None:
        _speeds(results, asked, rates, load, common)
    fill(results, bench.tasks(names), points, common=common)
    return results


def _speeds(
    results: Results, asked: Asked, rates: Sequence[float], load: Load, common: Mapping[str, Any]
) -> None:
    """Every repeat measures all rates in turn, so that a machine that changes changes them all."""
    inputs = {rate: {**common, "load": vars(load), "pruning_rate": rate} for rate in rates}
    missing = [rate for rate in rates if not results.has("speed", f"{rate:g}", inputs[rate])]
    if not missing:
        return
    begun = time.monotonic()
    target = ModelTarget(asked.model)
    found: dict[float, list[Speed]] = {rate: [] for rate in missing}
    for _ in range(load.repeats):
        for rate in missing:
            found[rate] += measure(target, [rate], load=replace(load, repeats=1))
            print(f"speed at {rate:g}: {found[rate][-1].ttft_mean_ms:.0f} ms", flush=True)
    for rate in missing:
        numbers = {
            name: _repeats([getattr(s, name) for s in found[rate]], load.requests)
            for name in ("ttft_mean_ms", "tokens_per_s", "tpot_ms")
        }
        results.put(
            Cell(
                row="speed",
                column=f"{rate:g}",
                numbers=numbers,
                inputs=inputs[rate],
                facts=asked.facts(begun),
                notes={"failed": sum(s.failed for s in found[rate])},
            )
        )


def _repeats(values: Sequence[float], requests: int) -> Number:
    return Number(
        value=statistics.median(values),
        low=min(values),
        high=max(values),
        n=requests * len(values),
        kind="range",
    )


# --- Figure 3 -----------------------------------------------------------------------------------


def budget(
    bench: Bench,
    out: Path,
    model: str,
    *,
    budgets: Sequence[int] = BUDGETS,
    grace: int = 32,
    names: Sequence[str] = REASONED,
) -> Results:
    """Scores by reasoning budget; 0 is reasoning off, 16,384 no budget but the task's limit.

    Args:
        bench: What the session shares.
        out: Folder of the results.
        model: Who is asked.
        budgets: The first is what others are compared with.
        grace: Tokens beyond a budget after which thinking is ended anywhere; the report's 500
            belong to budgets of thousands.
        names: Tasks whose own mode is reasoning on.

    Raises:
        InputError: A task that leaves no room for reasoning.
    """
    for name in names:
        if suite_task(name).mode != "on":
            raise InputError(f"{name}: is asked with reasoning off and has no room for reasoning")
    results = Results(out, "budget")
    asked = bench.open(model)
    common = {**bench.common, **asked.inputs}
    results.begin(common)
    points = []
    for tokens in budgets:
        mode = budget_mode(tokens)
        if mode.budget is not None:
            mode = replace(mode, grace=grace)
        points.append(Point(name=f"{tokens}", asked=asked, options={}, setting=Setting(mode=mode)))
    fill(results, bench.tasks(names), points, common=common)
    return results


# --- Table 7 ------------------------------------------------------------------------------------


def tiling(
    bench: Bench,
    out: Path,
    model: str,
    *,
    given: Mapping[str, str] | None = None,
    modes: Sequence[str] = IMAGE_MODES,
    names: Sequence[str] = PICTURES,
) -> Results:
    """Scores by the way pictures are cut.

    Args:
        bench: What the session shares.
        out: Folder of the results.
        model: Who is asked.
        given: Checkpoints that were trained with a mode, by its name; others are asked `model`.
        modes: The first is what others are compared with.
        names: Tasks with pictures.
    """
    results = Results(out, "tiling")
    results.begin(bench.common)
    asked = bench.open(model)
    points = [
        Point(
            name=mode,
            asked=bench.open(given[mode]) if given and mode in given else asked,
            options={"image_mode": mode},
        )
        for mode in modes
    ]
    fill(results, bench.tasks(names), points, common=bench.common)
    return results


# --- Table 8 ------------------------------------------------------------------------------------


def precision(
    bench: Bench,
    out: Path,
    model: str,
    *,
    formats: Sequence[str],
    given: Mapping[str, str] | None = None,
    calibration: Calibration,
    names: Sequence[str] = PICTURES,
) -> Results:
    """Scores by number format.

    Args:
        bench: What the session shares.
        out: Folder of the results.
        model: Checkpoint in BF16.
        formats: Some of `LOADED` and `CALIBRATED`; the first is what others are compared with.
        given: Further checkpoints by the name of their column, such as "nvfp4-qad"; they are read
            as they are stored, with activations rounded as they say.
        calibration: Of formats that need it.
        names: Tasks.
    """
    results = Results(out, "precision")
    results.begin(bench.common)
    points = []
    for name in formats:
        make: Make | None = None
        recipe = ""
        if name in CALIBRATED:
            make = quantized(name, calibration, bench.work, device=bench.device, dtype=bench.dtype)
            recipe = json.dumps(calibration.inputs, sort_keys=True)
        elif name not in LOADED:
            known = ", ".join((*LOADED, *CALIBRATED))
            raise InputError(f"format {name!r}: expected some of {known}")
        points.append(Point(name=name, asked=bench.open(model, name, make, recipe), options={}))
    for name, folder in (given or {}).items():
        points.append(
            Point(name=name, asked=bench.open(folder, name, _as_stored(bench)), options={})
        )
    fill(results, bench.tasks(names), points, common=bench.common)
    return results


def _as_stored(bench: Bench) -> Make:
    def make(folder: Path) -> Any:
        return load(folder, bench.device, bench.dtype, "stored", emulate_activation=True)

    return make
