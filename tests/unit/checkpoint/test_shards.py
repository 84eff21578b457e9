"""Shards, the index, and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nanovl.checkpoint import shards
from nanovl.checkpoint.safetensors_io import TensorSpec
from nanovl.checkpoint.shards import Job, Put, atomic_folder, write_json, write_shards
from nanovl.core.errors import CheckpointError
from nanovl.core.events import Event


def job(*names: str, rows: int = 10) -> Job:
    """A job of tensors of `rows` x 10 floats, 40 bytes a row, filled with the length of a name."""

    def run(put: Put) -> None:
        for name in names:
            put(name, torch.full((rows, 10), float(len(name))), None)

    return Job(tuple(TensorSpec(name, "F32", (rows, 10)) for name in names), run)


def test_one_file_when_it_fits(tmp_path: Path) -> None:
    events: list[Event] = []
    total = write_shards(tmp_path, [job("a"), job("bb")], on_event=events.append)
    assert total == 800
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert set(load_file(tmp_path / "model.safetensors")) == {"a", "bb"}
    assert [(e.name, e.done, e.total, e.unit) for e in events] == [
        ("write", 400, 800, "bytes"),
        ("write", 800, 800, "bytes"),
    ]


def test_shards_and_index(tmp_path: Path) -> None:
    jobs = [job("a"), job("bb", "ccc"), job("dddd"), job("eeeee", rows=100)]
    write_shards(tmp_path, jobs, max_shard_bytes=1200)
    names = [f"model-{n:05d}-of-00003.safetensors" for n in (1, 2, 3)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*names, "model.safetensors.index.json"]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 1600 + 4000}
    assert index["weight_map"] == {
        "a": names[0],
        "bb": names[0],
        "ccc": names[0],
        "dddd": names[1],
        "eeeee": names[2],  # larger than a shard may be: alone
    }
    for name, shard in index["weight_map"].items():
        assert float(load_file(tmp_path / shard)[name][0, 0]) == len(name)


def test_tensors_of_one_job_stay_together(tmp_path: Path) -> None:
    write_shards(tmp_path, [job("a"), job("bb", "ccc")], max_shard_bytes=900)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"]["bb"] == index["weight_map"]["ccc"]


def test_too_little_room_is_noticed_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda path: usage(1000, 900, 100))
    with pytest.raises(CheckpointError, match=r"needs 0\.00 GB, the disk has 0\.00 GB free"):
        write_shards(tmp_path, [job("a")])
    assert list(tmp_path.iterdir()) == []


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with atomic_folder(target) as scratch:
        (scratch / "x").write_text("1")
        assert not target.exists()
        assert scratch.parent == target.parent
    assert (target / "x").read_text() == "1"
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def run() -> None:
        with atomic_folder(tmp_path / "out") as scratch:
            (scratch / "x").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as scratch:
        (scratch / "x").write_text("1")
    assert (tmp_path / "out" / "x").is_file()


def checkpoint(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_existing_checkpoint_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    target = checkpoint(tmp_path / "out")
    with pytest.raises(CheckpointError, match="not empty"), atomic_folder(target):
        raise AssertionError
    with atomic_folder(target, overwrite=True) as scratch:
        (scratch / "new").write_text("1")
    assert [p.name for p in target.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_existing_checkpoint_survives_a_failure(tmp_path: Path) -> None:
    target = checkpoint(tmp_path / "out")
    with pytest.raises(RuntimeError), atomic_folder(target, overwrite=True):
        raise RuntimeError
    assert (target / "config.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_existing_checkpoint_comes_back_when_the_swap_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = checkpoint(tmp_path / "out")
    rename = Path.rename

    def fail(self: Path, other: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail)
    with (
        pytest.raises(CheckpointError, match="Input/output error"),
        atomic_folder(target, overwrite=True),
    ):
        pass
    assert (target / "config.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_other_folders_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years")
    with (
        pytest.raises(CheckpointError, match="something other than a checkpoint"),
        atomic_folder(tmp_path / "out", overwrite=True),
    ):
        raise AssertionError
    assert (tmp_path / "out" / "thesis.txt").is_file()


def test_target_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(CheckpointError, match="is a file"), atomic_folder(tmp_path / "out"):
        raise AssertionError


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(CheckpointError, match="cannot be written"),
        atomic_folder(tmp_path / "file" / "out"),
    ):
        raise AssertionError


def test_json_with_numbers_json_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
