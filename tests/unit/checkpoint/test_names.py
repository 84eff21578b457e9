"""From names to folders."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nanovl.checkpoint import names as module
from nanovl.checkpoint.build import load_model
from nanovl.checkpoint.names import resolve
from nanovl.core import paths
from nanovl.core.errors import CheckpointError
from nanovl.core.paths import asset, models_dir

MakeFolder = Callable[..., Path]


@pytest.fixture
def bare_mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded model's folder without weights, as it is before the first release."""
    folder = tmp_path / "assets" / "mini"
    folder.mkdir(parents=True)
    for name in ("tokenizer.json",):
        shutil.copy(asset("mini") / name, folder / name)
    original = paths.asset

    def fake(*parts: str) -> Path:
        return folder if parts == ("mini",) else original(*parts)

    monkeypatch.setattr(module, "asset", fake)
    return folder


def test_a_folder_is_itself(make_folder: MakeFolder) -> None:
    folder = make_folder()
    assert resolve(folder) == folder
    assert resolve(str(folder)) == folder
    assert resolve(folder / "model.safetensors") == folder
    assert resolve(folder / "config.json") == folder
    with pytest.raises(CheckpointError, match="pass the checkpoint's folder"):
        resolve(folder / "tokenizer.json")


def test_a_folder_under_home_by_its_name(make_folder: MakeFolder) -> None:
    shutil.copytree(make_folder(), models_dir() / "mine")
    assert resolve("mine") == models_dir() / "mine"


def test_mini_with_weights_is_the_bundled_one(bare_mini: Path) -> None:
    (bare_mini / "model.safetensors").write_bytes(b"")
    assert resolve("mini") == bare_mini


def test_mini_without_weights_is_written_once(
    bare_mini: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = resolve("mini")
    assert folder == models_dir() / "mini-random"
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve("mini") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    with caplog.at_level(logging.WARNING):
        load_model("mini")
    assert "never trained and its answers are noise" in caplog.text
    # A tokenizer of an older version means another vocabulary.
    (folder / "tokenizer.json").write_text("{}")
    resolve("mini")
    assert (folder / "tokenizer.json").read_bytes() == (bare_mini / "tokenizer.json").read_bytes()
    assert [p.name for p in models_dir().iterdir()] == ["mini-random"]


def test_another_process_may_be_faster(bare_mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.write_random

    def race(*args: object, **options: object) -> Path:
        real("mini", models_dir() / "mini-random")
        raise CheckpointError("the folder is not empty")

    monkeypatch.setattr(module, "write_random", race)
    assert resolve("mini") == models_dir() / "mini-random"


def test_a_failure_to_write_mini_is_not_hidden(
    bare_mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> Path:
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(module, "write_random", full)
    with pytest.raises(CheckpointError, match="disk is full"):
        resolve("mini")


def test_a_repository_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str | None, str | None]] = []

    def fake(name: str, *, revision: str | None, token: str | None, on_event: object) -> Path:
        asked.append((name, revision, token))
        return tmp_path

    monkeypatch.setattr(module, "download", fake)
    assert resolve("owner/model", revision="v2", token="t") == tmp_path
    assert asked == [("owner/model", "v2", "t")]


def test_a_mistyped_path_does_not_reach_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*args: object, **options: object) -> Path:
        raise AssertionError("network")

    monkeypatch.setattr(module, "download", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "first").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"models/frist: .*did you mean 'first'"):
        resolve("models/frist")
    for name in ("./a/b", "/a/b", "~/nothing/b", "a/b/c"):
        with pytest.raises(CheckpointError, match="no such folder"):
            resolve(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("minni", "did you mean 'mini'"),
        ("mine2", "did you mean 'mine'"),
        (
            "NVIDIA-Nemotron-Nano-12B-v2-VL-FP9",
            "did you mean 'nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-FP8'",
        ),
        ("qqqqqqqq", "pass 'mini', a checkpoint folder"),
        ("12b", "nanovl convert --random 12b"),
        ("tiny", "nanovl convert --random tiny"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    (models_dir() / "mine").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=rf"model '{name}': .*{hint}"):
        resolve(name)
