"""Converted weights are kept for the next start, and nothing about that can break a start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nanovl.checkpoint import build, quant_cache
from nanovl.checkpoint.build import load_model
from nanovl.checkpoint.hf import open_checkpoint
from nanovl.checkpoint.keymap import linear_modules
from nanovl.checkpoint.match import match
from nanovl.checkpoint.quant_cache import ConvertedLinears, cache_folder, cache_size
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError
from nanovl.core.events import Event
from nanovl.model.config import preset
from nanovl.model.vlm import VLM

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    return {f: write_random("tiny", root / f, f) for f in ("bf16", "fp8", "nvfp4", "int8")}


@pytest.fixture(autouse=True)
def keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quant_cache, "KEEP_FROM_BYTES", 1)


def kept() -> list[Path]:
    return sorted(cache_folder().iterdir()) if cache_folder().is_dir() else []


def state(vlm: VLM) -> State:
    return {name: tensor.clone() for name, tensor in vlm.state_dict().items()}


def same(a: State, b: State) -> bool:
    return set(a) == set(b) and all(
        a[n].dtype == b[n].dtype
        and torch.equal(a[n].reshape(-1).view(torch.uint8), b[n].reshape(-1).view(torch.uint8))
        for n in a
    )


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, converting a linear is an error."""

    def never(*args: object, **options: object) -> None:
        raise AssertionError("converted")

    return lambda: monkeypatch.setattr(build, "transcode", never)


@pytest.mark.parametrize("source", ["bf16", "fp8", "nvfp4"])
@pytest.mark.parametrize("quant", ["int8", "int4"])
def test_the_second_start_converts_nothing(
    folders: dict[str, Path], no_conversion: Callable[[], None], source: str, quant: str
) -> None:
    alone = state(load_model(folders[source], quant=quant, keep_converted=False)[0])
    assert kept() == []
    seen: list[Event] = []
    first = state(load_model(folders[source], quant=quant, on_event=seen.append)[0])
    assert [p.suffix for p in kept()] == [".safetensors"]
    assert cache_size() == kept()[0].stat().st_size > 0
    no_conversion()
    again: list[Event] = []
    second = state(load_model(folders[source], quant=quant, on_event=again.append)[0])
    assert same(first, alone)
    assert same(second, alone)
    assert again[-1].done == again[-1].total == seen[-1].total


def test_kept_weights_serve_every_dtype(
    folders: dict[str, Path], no_conversion: Callable[[], None]
) -> None:
    load_model(folders["bf16"], quant="int8", dtype="bfloat16")
    no_conversion()
    for dtype in ("float32", "float16"):
        vlm, _ = load_model(folders["bf16"], quant="int8", dtype=dtype)
        assert vlm.dtype == getattr(torch, dtype)


def test_layers_that_need_no_conversion_are_not_kept(folders: dict[str, Path]) -> None:
    load_model(folders["int8"], quant="int8")
    for quant in ("stored", "bf16"):
        load_model(folders["fp8"], quant=quant)
    assert kept() == []


def test_small_checkpoints_are_not_kept(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_checkpoint(folders["fp8"]) as files:
        found = match(files)
        size = sum(
            files.tensors[layer.name(role)].entry.nbytes
            for layer in (found.layers[m] for m in linear_modules(found.config.lm))
            for role in layer.roles
        )
    monkeypatch.setattr(quant_cache, "KEEP_FROM_BYTES", size + 1)
    load_model(folders["fp8"], quant="int8")
    assert kept() == []
    monkeypatch.setattr(quant_cache, "KEEP_FROM_BYTES", size)
    load_model(folders["fp8"], quant="int8")
    assert len(kept()) == 1


def test_other_weights_in_the_same_place(folders: dict[str, Path], tmp_path: Path) -> None:
    """Same names, sizes and times: the contents tell them apart."""
    source = write_random("tiny", tmp_path / "a", "bf16", seed=1)
    os.utime(source / "model.safetensors", (1, 1))
    load_model(source, quant="int8")
    write_random("tiny", source, "bf16", seed=2, overwrite=True)
    os.utime(source / "model.safetensors", (1, 1))
    alone = state(load_model(source, quant="int8", keep_converted=False)[0])
    assert same(state(load_model(source, quant="int8")[0]), alone)
    assert len(kept()) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lose_a_layer(path: Path) -> None:
    tensors = load_file(path)
    save_file(dict(list(tensors.items())[2:]), path)


def spoil_a_scale(path: Path) -> None:
    tensors = load_file(path)
    name = next(n for n in tensors if n.endswith("3.mixer.o_proj.weight_scale"))
    tensors[name][0] = float("nan")
    save_file(tensors, path)


@pytest.mark.parametrize("damage", [truncate, empty, lose_a_layer, spoil_a_scale])
def test_damaged_files_are_made_again(
    folders: dict[str, Path],
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
    no_conversion: Callable[[], None],
) -> None:
    first = state(load_model(folders["fp8"], quant="int4")[0])
    damage(kept()[0])
    second = state(load_model(folders["fp8"], quant="int4")[0])
    assert "kept weights are damaged and are made again" in caplog.text
    assert same(first, second)
    if damage is spoil_a_scale:  # found late: this start converts the rest, the next one keeps it
        assert kept() == []
        load_model(folders["fp8"], quant="int4")
    caplog.clear()
    no_conversion()
    assert same(first, state(load_model(folders["fp8"], quant="int4")[0]))
    assert "damaged" not in caplog.text


def test_too_little_room_is_a_warning(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = state(load_model(folders["fp8"], quant="int8", keep_converted=False)[0])

    class Usage:
        free = 10

    monkeypatch.setattr(quant_cache.shutil, "disk_usage", lambda path: Usage)
    assert same(state(load_model(folders["fp8"], quant="int8")[0]), alone)
    assert "are not kept for the next start" in caplog.text
    assert kept() == []


def test_a_disk_that_fills_up_is_a_warning(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = state(load_model(folders["fp8"], quant="int8", keep_converted=False)[0])
    write, count = quant_cache.SafetensorsWriter.write, [0]

    def full(self: object, name: str, tensor: torch.Tensor, row: int | None = None) -> None:
        count[0] += 1
        if count[0] > 5:
            raise CheckpointError("the disk is full")
        write(self, name, tensor, row)  # type: ignore[arg-type]

    monkeypatch.setattr(quant_cache.SafetensorsWriter, "write", full)
    assert same(state(load_model(folders["fp8"], quant="int8")[0]), alone)
    assert caplog.text.count("are not kept for the next start: the disk is full") == 1
    assert kept() == []
    assert count[0] == 6


def test_a_home_that_cannot_be_written_is_a_warning(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    cache_folder().parent.parent.mkdir(parents=True, exist_ok=True)
    cache_folder().parent.write_text("a file")
    load_model(folders["fp8"], quant="int8")
    assert "are not kept for the next start" in caplog.text


def test_a_start_that_fails_leaves_nothing(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = [0]

    def stop(event: Event) -> None:
        done[0] += 1
        if done[0] == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_model(folders["fp8"], quant="int8", on_event=stop)
    assert kept() == []


def test_two_processes_at_once(folders: dict[str, Path], no_conversion: Callable[[], None]) -> None:
    """A second start begins and ends while the first one writes."""
    inner: list[State] = []

    def start(event: Event) -> None:
        if not inner and event.done > 100_000:
            inner.append({})
            assert len(kept()) == 1  # partial
            inner[0] = state(load_model(folders["fp8"], quant="int8")[0])
            assert sorted(p.suffix for p in kept()) == [".partial", ".safetensors"]

    outer = state(load_model(folders["fp8"], quant="int8", on_event=start)[0])
    assert same(outer, inner[0])
    assert [p.suffix for p in kept()] == [".safetensors"]
    no_conversion()
    assert same(outer, state(load_model(folders["fp8"], quant="int8")[0]))


def test_a_reader_is_not_disturbed_by_removal(folders: dict[str, Path]) -> None:
    first = state(load_model(folders["fp8"], quant="int8")[0])
    with open_checkpoint(folders["fp8"]) as files:
        found = match(files)
        layers = [found.layers[m] for m in linear_modules(preset("tiny").lm)]
        with ConvertedLinears(files, layers, "int8") as reading:
            kept()[0].unlink()
            for layer in layers:
                linear = reading.get(layer.module)
                assert linear is not None
                assert torch.equal(linear.weight, first[f"{layer.module}.weight"])  # type: ignore[arg-type]


def test_the_oldest_go_when_there_are_too_many(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load_model(folders["fp8"], quant="int8")
    load_model(folders["fp8"], quant="int4")
    (a, b), now = kept(), time.time()
    os.utime(a, (now - 20, now - 20))
    os.utime(b, (now - 10, now - 10))
    partial = cache_folder() / "running.safetensors.partial"
    partial.write_bytes(b"x")
    abandoned = cache_folder() / "killed.safetensors.partial"
    abandoned.write_bytes(b"x")
    os.utime(abandoned, (now - 2 * 24 * 3600, now - 2 * 24 * 3600))
    monkeypatch.setattr(quant_cache, "KEPT_BYTES", cache_size() + 1000)
    load_model(folders["nvfp4"], quant="int4")
    assert not a.exists()
    assert partial.exists()
    assert not abandoned.exists()
    assert cache_size() <= quant_cache.KEPT_BYTES
    # What is read counts as used.
    before = b.stat().st_mtime
    load_model(folders["fp8"], quant="int8" if b.stem == _name(folders, "int8") else "int4")
    monkeypatch.setattr(quant_cache, "KEPT_BYTES", 1000)
    load_model(folders["nvfp4"], quant="int8")
    assert "are more than the" in caplog.text
    assert b.stat().st_mtime > before


def _name(folders: dict[str, Path], target: str) -> str:
    with open_checkpoint(folders["fp8"]) as files:
        return quant_cache._identity(files, target)
