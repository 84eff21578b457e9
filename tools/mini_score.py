"""Measure the small model: the suite is built, looked for in what was trained on, and asked.

    python -m tools.mini_score --data DATA --runs RUNS --out RUNS/scores.json [--limit N]

RUNS is the folder of `tools.make_mini`. Asked are the last weights, the weights before Stage 4
(facts hidden in long texts), and videos with three quarters of their tokens dropped. Answers stay
in RUNS/scores, so that the same command goes on where it was stopped.

Source: evaluation specification, sections 11.1 and 11.2; issue targets of the small model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError, NanoVLError
from nanovl.evals.mini_suite import MANIFEST, read_manifest
from tools import mini_suite
from tools.mini_overlap import suite_leaks

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("stage4", "stage3", "stage2", "stage1", "stage0", "reading", "cells", "language")
EVS = "0.75"
NEEDLES = ("mini-needles",)
VIDEOS = ("mini-video-order", "mini-video-time")


def last_weights(runs: Path) -> tuple[str, Path]:
    """The last training step that has weights, and its folder.

    Raises:
        InputError: There is none.
    """
    for stage in STAGES:
        folder = runs / stage / "export"
        if (folder / "config.json").is_file():
            return stage, folder
    raise InputError(f"{runs}: no stage has exported weights; train first (tools.make_mini)")


def training_sets(runs: Path) -> list[Path]:
    """Every record file of the real and the made data.

    Raises:
        InputError: There are none.
    """
    found = sorted([*runs.glob("real/*/*.jsonl"), *runs.glob("made/*/*.jsonl")])
    if not found:
        raise InputError(f"{runs}: no training data in real/ or made/; was it made elsewhere?")
    return found


def ask(
    weights: Path, words: Sequence[str], suite: Path, out: Path, *options: str
) -> dict[str, Any]:
    """One run of `nanovl eval run`.

    Raises:
        InputError: It failed; its own words went to standard error.
    """
    command = [
        sys.executable, "-m", "nanovl", "eval", "run", *words, "--data", str(suite),
        "--out", str(out), "-m", str(weights), "--json", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"{' '.join(command[2:])}: status {done.returncode}; it goes on from there"
        )
    return dict(json.loads(done.stdout))


def measure(runs: Path, suite: Path, limit: int | None = None) -> dict[str, Any]:
    """All numbers of the card.

    Args:
        runs: Folder of the runs.
        suite: Folder of the suite.
        limit: Questions of a task at most.

    Raises:
        InputError: Weights are missing, or a run failed.
    """
    stage, weights = last_weights(runs)
    few = () if limit is None else ("--limit", str(limit))
    answers = runs / "scores"
    found: dict[str, Any] = {
        "suite": read_manifest(suite)["suite"],
        "stage": stage,
        "limit": limit,
        "lines": ask(weights, ["mini"], suite, answers / stage, *few)["scores"],
        "evs": ask(weights, VIDEOS, suite, answers / f"{stage}-evs", "--evs", EVS, *few)["scores"],
    }
    before = runs / "stage3" / "export"
    if stage == "stage4" and (before / "config.json").is_file():
        found["before"] = ask(before, NEEDLES, suite, answers / "stage3", *few)["scores"]
    return found


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write the score file."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--runs", type=Path, required=True, help="folder of tools.make_mini")
    parser.add_argument("--out", type=Path, required=True, help="score file to write")
    parser.add_argument("--suite", type=Path, help="left out: RUNS/suite, built if it is missing")
    parser.add_argument("--limit", type=int, help="questions of a task at most")
    parser.add_argument("--workers", type=int, default=1, help="processes that build the suite")
    options = parser.parse_args(arguments)
    suite = options.suite or options.runs / "suite"
    try:
        if not (suite / MANIFEST).is_file():
            mini_suite.build(options.data, suite, workers=options.workers)
        leaks, told = suite_leaks(suite, training_sets(options.runs))
        for leak in leaks:
            print(f"{leak.sample}: {leak.what}, {leak.share:.0%}, in {leak.source}")
        print(told)
        if leaks:
            raise InputError(f"{suite}: {len(leaks)} of its samples were trained on")
        found = measure(options.runs, suite, options.limit)
        found["leaks"] = told
        write(options.out, found)
    except NanoVLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
