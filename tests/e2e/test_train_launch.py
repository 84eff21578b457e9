"""Training as a user starts and stops it: one process, and two of them with torchrun."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanovl.testing import assert_same_tensors, training_set
from nanovl.train.state import read_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = (
    "mini/stage1",
    "model.preset=tiny",
    "model.init=random",
    "stage.init_from=null",
    "data.seq_len=256",
    "data.num_workers=0",
    "data.max_tiles=1",
    "data.packing.buffer_samples=16",
    "batch.global=4",
    "stage.train_iters=8",
    "ckpt.every_iters=3",
    "log.samples=true",
)
ALONE = (sys.executable, "-m", "nanovl", "train")


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    # Texts and pictures, so that ranks get other numbers of tiles.
    kinds = ("shapes", "pairs", "dialogue", "reasoning")
    return training_set(folder, samples=40, kinds=kinds, size=64)


def words(blend: Path, folder: Path, *more: str) -> list[str]:
    return [*SETTINGS, f"data.metadataset={blend}", f"ckpt.dir={folder}", *more]


def two() -> list[str]:
    """The start of a command for two processes that meet on a free port of this machine."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*start, "--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "nanovl"]


def launch(*command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == code, done.stderr
    return done


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def newest(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("step-*"))


@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(folder: Path, updates: int) -> None:
    path = folder / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not path.is_file() or path.read_bytes().count(b"\n") < updates:
        assert time.monotonic() < deadline, "no update in time"
        time.sleep(0.01)


def test_sigterm_saves_and_exits_with_success(blend: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    launch(*ALONE, *words(blend, whole))
    with started(*ALONE, *words(blend, parts)) as process:
        wait_for(parts, 2)
        process.terminate()
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    assert out == ""
    assert "the same command continues" in err
    done = int(newest(parts).name.removeprefix("step-"))
    assert done == len(losses(parts)) < 8
    resumed = launch(*ALONE, *words(blend, parts))
    assert f"continuing after update {done}" in resumed.stderr
    assert losses(parts) == losses(whole)
    assert (parts / "samples.jsonl").read_text() == (whole / "samples.jsonl").read_text()
    assert_same_tensors(read_weights(newest(parts)), read_weights(newest(whole)))


@pytest.mark.parametrize("layout", [(), ("parallel.cp=2", "batch.global=2")], ids=["dp", "cp"])
def test_two_processes(blend: Path, tmp_path: Path, layout: tuple[str, ...]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = launch(*two(), "train", *words(blend, whole, *layout))
    assert done.stdout == f"{whole / 'export'}\n"  # one of them speaks
    steps = [line for line in done.stderr.splitlines() if "/8  loss" in line]
    assert len(steps) == 8
    run = json.loads((whole / "run.json").read_text())
    assert (run["world_size"], run["cp"]) == (2, 2 if layout else 1)
    streams = newest(whole) / "dataloader"
    assert len(list(streams.iterdir())) == (1 if layout else 2)

    # The same in two goes, the second one from a checkpoint.
    launch(*two(), "train", *words(blend, parts, *layout, "run.max_minutes=1e-9"))
    assert len(losses(parts)) == 1
    launch(*two(), "train", *words(blend, parts, *layout))
    assert losses(parts) == losses(whole)
    assert (parts / "samples.jsonl").read_text() == (whole / "samples.jsonl").read_text()
    assert_same_tensors(read_weights(newest(parts)), read_weights(newest(whole)))

    if not layout:
        refused = launch(*ALONE, *words(blend, whole), code=1)
        assert "2 data streams, this run has 1" in refused.stderr


def test_one_process_continues_what_two_began(blend: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    both = ("parallel.cp=2", "batch.global=2")
    launch(*two(), "train", *words(blend, folder, *both, "run.max_minutes=1e-9"))
    launch(*ALONE, *words(blend, folder, "batch.global=2"))
    assert len(losses(folder)) == 8
    single = tmp_path / "single"
    launch(*ALONE, *words(blend, single, "batch.global=2"))
    assert losses(folder) == pytest.approx(losses(single), rel=5e-3)
    assert (folder / "samples.jsonl").read_text() == (single / "samples.jsonl").read_text()


def test_an_error_of_one_process_ends_both(blend: Path, tmp_path: Path) -> None:
    command = [*two(), "train", *words(blend, tmp_path, "batch.global=3")]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode != 0
    assert time.monotonic() - begun < 90
    assert "batch.global 3: cannot be shared by 2 data-parallel ranks" in done.stderr
