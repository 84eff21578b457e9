"""A run that is killed again and again ends with the bits of one that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanovl.checkpoint import load_model
from nanovl.testing import assert_same_tensors, training_set
from nanovl.train.config import load_recipe
from nanovl.train.state import read_weights
from nanovl.train.trainer import train


def words(data: Path, folder: Path, updates: int, workers: int) -> list[str]:
    """Settings of the run; a checkpoint every five updates, written in the background."""
    return [
        "mini/stage1",
        "model.preset=tiny",
        "model.init=random",
        "stage.init_from=null",
        f"stage.train_iters={updates}",
        f"data.metadataset={data}",
        "data.seq_len=256",
        "data.max_tiles=1",
        f"data.num_workers={workers}",
        "data.packing.buffer_samples=20",
        "batch.global=1",
        "optim.lr=0.003",
        "log.samples=true",
        "ckpt.every_iters=5",
        f"ckpt.dir={folder}",
    ]


def updates_done(folder: Path) -> int:
    """Updates in the metrics file."""
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("workers", "updates", "times"), [(0, 200, 10), (2, 100, 5)], ids=["in-place", "workers"]
)
def test_killed_again_and_again(tmp_path: Path, workers: int, updates: int, times: int) -> None:
    data = training_set(tmp_path / "set", samples=60, size=64)
    name, *settings = words(data, tmp_path / "whole", updates, workers)
    whole = train(load_recipe(name, settings), device="cpu")
    assert whole.export is not None

    rng = random.Random(workers)
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "nanovl", "train", *words(data, folder, updates, workers)]
    goals = sorted(rng.sample(range(3, updates - 5), times))
    kills = 0
    for goal in goals:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and updates_done(folder) < goal:
            time.sleep(0.01)
        # Anywhere in an update, and right after a checkpoint has begun to be written.
        time.sleep(rng.random() * 0.05)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        _, errors = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), errors.decode()
    assert kills >= times - 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

    whole_samples = (tmp_path / "whole" / "samples.jsonl").read_text()
    assert (folder / "samples.jsonl").read_text() == whole_samples
    assert len(whole_samples.splitlines()) == updates
    losses = [
        [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (tmp_path / "whole", folder)
    ]
    assert losses[0] == losses[1]
    assert done.stdout.strip() == str(folder / "export")
    newest = [max((run / "checkpoints").glob("step-*")) for run in (tmp_path / "whole", folder)]
    assert newest[0].name == newest[1].name
    assert_same_tensors(read_weights(newest[1]), read_weights(newest[0]))  # fp32
    exports = [load_model(run / "export", device="cpu")[0] for run in (tmp_path / "whole", folder)]
    assert_same_tensors(exports[1].state_dict(), exports[0].state_dict())
