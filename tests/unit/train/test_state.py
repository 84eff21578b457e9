"""Checkpoints are complete or not there, and give back every bit."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanovl.core.errors import CheckpointError
from nanovl.testing import assert_same_tensors, tiny_model
from nanovl.train import state as state_module
from nanovl.train.optim import EMA, build_optimizer, set_learning_rate, trainable
from nanovl.train.parallel import ParallelDims, World, local_tensor, open_world, shard_model
from nanovl.train.state import Checkpointer, rng_state, set_rng_state
from nanovl.train.step import TrainModule, freeze


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world(ParallelDims(), torch.device("cpu")) as world:
        yield world


class Run:
    """A model with an optimizer that has made an update."""

    def __init__(self, world: World, seed: int = 0, steps: int = 2) -> None:
        vlm = tiny_model(seed).requires_grad_()
        freeze(vlm, ("vision",))
        self.module = TrainModule(vlm)
        shard_model(self.module, world, compute_dtype=None)
        self.optimizer = build_optimizer(self.module)
        self.ema = EMA(trainable(self.module), 0.9)
        generator = torch.Generator().manual_seed(seed)
        set_learning_rate(self.optimizer, 1e-2)
        for _ in range(steps):
            for _, parameter in trainable(self.module):
                parameter.grad = torch.zeros_like(parameter)
                local = local_tensor(parameter.grad)
                local.copy_(torch.randn(local.shape, generator=generator))
            self.optimizer.step()
            self.ema.update()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights, moments and averages."""
        found = {n: local_tensor(p.detach()).clone() for n, p in self.module.named_parameters()}
        found |= {f"ema {n}": local_tensor(v).clone() for n, v in self.ema.values.items()}
        for name, parameter in trainable(self.module):
            for key, value in self.optimizer.state[parameter].items():
                found[f"{key} {name}"] = local_tensor(value).clone()
        return found

    def save(self, checkpointer: Checkpointer, update: int, **settings: Any) -> None:
        checkpointer.save(
            update,
            self.module,
            self.optimizer,
            extra={"counters": {"update": update}},
            loader={"at": update},
            averages=self.ema.values,
            **settings,
        )

    def restore(self, checkpointer: Checkpointer, folder: Path, **settings: Any) -> Any:
        return checkpointer.restore(
            folder, self.module, self.optimizer, averages=self.ema.values, **settings
        )


@pytest.fixture(scope="module")
def run(world: World) -> Run:
    return Run(world)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("background", [False, True])
def test_every_bit_comes_back(tmp_path: Path, world: World, run: Run, background: bool) -> None:
    saver = Checkpointer(tmp_path, world, background=background, facts={"a": 1})
    wanted = run.tensors()
    run.save(saver, 7)
    saver.finish()
    assert names(tmp_path) == ["step-00000007"]

    other = Run(world, seed=5, steps=1)
    manifest, loader = other.restore(Checkpointer(tmp_path, world), tmp_path / "step-00000007")
    assert_same_tensors(other.tensors(), wanted)
    assert loader == {"at": 7}
    assert manifest["extra"] == {"counters": {"update": 7}}
    assert manifest["facts"] == {"a": 1}
    assert (manifest["update"], manifest["world_size"], manifest["dp_size"]) == (7, 1, 1)


def test_a_fresh_optimizer_takes_the_moments(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    other = Run(world, seed=5, steps=0)
    other.restore(saver, tmp_path / "step-00000001")
    assert_same_tensors(other.tensors(), run.tensors())


def test_training_goes_on_while_it_is_written(tmp_path: Path, world: World) -> None:
    run = Run(world)
    wanted = run.tensors()
    saver = Checkpointer(tmp_path, world, background=True)
    run.save(saver, 1)
    with torch.no_grad():  # the next update must not reach the file
        for parameter in run.module.parameters():
            local_tensor(parameter).fill_(0.0)
        for value in run.ema.values.values():
            local_tensor(value).fill_(0.0)
    for held in run.optimizer.state.values():
        for value in held.values():
            local_tensor(value).fill_(0.0)
    saver.finish()
    other = Run(world, seed=5)
    other.restore(saver, tmp_path / "step-00000001")
    assert_same_tensors(other.tensors(), wanted)


def test_poll_completes_it_without_waiting(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world, background=True)
    saver.poll()  # nothing to do
    run.save(saver, 1)
    assert saver.latest() is None
    assert saver._pending is not None
    saver._pending[0].result()  # type: ignore[union-attr]
    saver.poll()
    assert saver.latest() == tmp_path / "step-00000001"


def test_random_generators_come_back(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    expected = draw()
    run.restore(saver, tmp_path / "step-00000001")
    assert draw() == expected
    state = rng_state()
    expected = draw()
    set_rng_state(state)
    assert draw() == expected


# --- complete or not there ----------------------------------------------------------------------


def test_the_manifest_is_written_last(
    tmp_path: Path, world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    original = state_module._sync

    def sync(path: Path) -> None:
        seen.append(str(path.relative_to(tmp_path)))
        original(path)

    monkeypatch.setattr(state_module, "_sync", sync)
    run.save(Checkpointer(tmp_path, world), 3, wait=True)
    *data, manifest, folder = seen
    assert manifest == "tmp-00000003/manifest.json"
    assert folder == "."  # so that the new name is on disk, too
    written = tmp_path / "step-00000003"
    listed = json.loads((written / "manifest.json").read_text())["files"]
    assert sorted(data) == [f"tmp-00000003/{name}" for name in listed]
    on_disk = {str(p.relative_to(written)) for p in written.rglob("*") if p.is_file()}
    assert on_disk == {*listed, "manifest.json"}
    assert {"dataloader/dp00000.pt", "rng/rank00000.pt"} <= on_disk


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.slow
def test_killed_at_any_point_of_writing(
    tmp_path: Path, world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save(Checkpointer(tmp_path, world), 1, wait=True)
    calls = {"left": 0}

    def dying(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if calls["left"] == 0:
                raise Killed
            calls["left"] -= 1
            return original(*args, **kwargs)

        return call

    for owner, name in (
        (state_module, "_sync"),
        (state_module, "save"),
        (Path, "write_text"),
        (Path, "rename"),
        (shutil, "rmtree"),
    ):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    outcomes = []
    for point in range(100):
        calls["left"] = point
        try:
            run.save(Checkpointer(tmp_path, world, keep=1), 2, wait=True)
            died = False
        except (Killed, CheckpointError):  # inside of torch it comes out as an error
            died = True
        calls["left"] = -1  # a new process
        saver = Checkpointer(tmp_path, world)
        saver.clean()
        assert set(names(tmp_path)) <= {"step-00000001", "step-00000002"}
        latest = saver.latest()
        assert latest is not None
        saver.manifest(latest)  # complete
        outcomes.append(latest.name)
        if not died:
            break
    assert not died
    assert len(outcomes) > 8  # that many points were tried
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"step-00000001", "step-00000002"}


def test_a_folder_without_manifest_does_not_count(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    run.save(saver, 2, wait=True)
    (tmp_path / "step-00000002" / "manifest.json").unlink()
    (tmp_path / "step-3").mkdir()
    (tmp_path / "tmp-00000009").mkdir()
    assert saver.latest() == tmp_path / "step-00000001"
    saver.clean()
    assert names(tmp_path) == ["step-00000001", "step-00000002", "step-3"]


def test_no_folder_at_all(tmp_path: Path, world: World) -> None:
    saver = Checkpointer(tmp_path / "none", world)
    saver.clean()
    assert saver.latest() is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("lost", ["dataloader/dp00000.pt", "rng/rank00000.pt", ".metadata"])
def test_a_missing_file_is_named(tmp_path: Path, world: World, run: Run, lost: str) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    (tmp_path / "step-00000001" / lost).unlink()
    message = rf"step-00000001: 1 of \d+ files are missing, {lost} among them; use another"
    with pytest.raises(CheckpointError, match=message):
        run.restore(saver, tmp_path / "step-00000001")


def test_a_damaged_manifest_and_damaged_weights(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    folder = tmp_path / "step-00000001"
    weights = max(folder.glob("*.distcp"), key=lambda p: p.stat().st_size)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"step-00000001: cannot be restored \(rank 0: \w+"):
        run.restore(saver, folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest\.json: cannot be read .*start anew"):
        run.restore(saver, folder)


# --- what is kept -------------------------------------------------------------------------------


def test_old_ones_go_and_milestones_stay(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world, keep=2, milestone=3)
    for update in range(1, 8):
        run.save(saver, update, wait=True)
    assert names(tmp_path) == [f"step-{n:08d}" for n in (3, 5, 6, 7)]
    assert saver.latest() == tmp_path / "step-00000007"


def test_zero_keeps_all(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world, keep=0)
    for update in range(1, 5):
        run.save(saver, update, wait=True)
    assert len(saver.complete()) == 4


def test_the_same_update_again_replaces_it(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    other = Run(world, seed=8)
    other.save(saver, 1, wait=True)
    third = Run(world, seed=9)
    third.restore(saver, tmp_path / "step-00000001")
    assert_same_tensors(third.tensors(), other.tensors())


# --- another number of data streams -------------------------------------------------------------


def test_another_number_of_data_streams_is_refused(tmp_path: Path, world: World, run: Run) -> None:
    saver = Checkpointer(tmp_path, world)
    run.save(saver, 1, wait=True)
    folder = tmp_path / "step-00000001"
    shutil.copy(folder / "dataloader/dp00000.pt", folder / "dataloader/dp00001.pt")
    message = (
        r"holds the state of 2 data streams, this run has 1; keep the number of data parallel "
        r"ranks, or start the data anew with --reset-data"
    )
    with pytest.raises(CheckpointError, match=message):
        run.restore(saver, folder)
    manifest, loader = run.restore(saver, folder, reset_data=True)
    assert manifest["update"] == 1
    assert loader is None
