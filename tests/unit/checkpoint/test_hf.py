"""Opening a folder: complete, incomplete, damaged, contradictory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nanovl.checkpoint.hf import all_finite, open_checkpoint
from nanovl.core.errors import CheckpointError

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]


@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_is_found_and_read(
    make_folder: MakeFolder, tiny_state: State, shards: int
) -> None:
    with open_checkpoint(make_folder(shards=shards)) as files:
        assert set(files.tensors) == set(tiny_state)
        assert len(files.headers) == shards
        assert files.notes == []
        assert files.total_bytes == sum(t.nbytes for t in tiny_state.values())
        for name, tensor in tiny_state.items():
            assert torch.equal(files.read(name), tensor)
        name = "mlp1.1.weight"
        assert torch.equal(files.read(name, (3, 9)), tiny_state[name][3:9])


def test_aliases_and_ignored_tensors(make_folder: MakeFolder, tiny_state: State) -> None:
    renamed = {
        "model." + n.replace("language_model.backbone.", "language_model.model."): t
        for n, t in tiny_state.items()
    }
    ones = torch.ones(32)
    extra = {
        "vision_model.radio_model.input_conditioner.norm_mean": torch.zeros(3, 1, 1),
        "vision_model.radio_model.summary_idxs": torch.tensor([0, 1]),
        "vision_model.radio_model.model.blocks.0.ls1.gamma": ones,
    }
    with open_checkpoint(make_folder(renamed | extra)) as files:
        assert set(files.tensors) == set(tiny_state)
        assert set(files.ignored) == set(extra)
        assert torch.equal(files.read("mlp1.0.weight"), tiny_state["mlp1.0.weight"])


def test_layer_scale_other_than_one(make_folder: MakeFolder, tiny_state: State) -> None:
    gamma = {"vision_model.radio_model.model.blocks.0.ls1.gamma": torch.full((32,), 0.5)}
    with pytest.raises(CheckpointError, match=r"ls1\.gamma' is a layer scale other than 1"):
        open_checkpoint(make_folder(tiny_state | gamma))


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        open_checkpoint(tmp_path / "nothing")


def test_missing_config(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        open_checkpoint(folder)


def test_missing_weights(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no weights; expected model\.safetensors"):
        open_checkpoint(folder)


def test_missing_shard(make_folder: MakeFolder) -> None:
    folder = make_folder(shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"1 of 3 shards are missing \(model-00002-of-00003\.safetensors\)"
    ):
        open_checkpoint(folder)


def test_missing_index(make_folder: MakeFolder) -> None:
    folder = make_folder(shards=3)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match=r"but no model\.safetensors\.index\.json"):
        open_checkpoint(folder)


def test_interrupted_writing(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "model.safetensors").rename(folder / "model.safetensors.partial")
    with pytest.raises(CheckpointError, match="writing was interrupted"):
        open_checkpoint(folder)


@pytest.mark.parametrize("shards", [1, 3])
def test_truncated_shard(make_folder: MakeFolder, shards: int) -> None:
    folder = make_folder(shards=shards)
    path = sorted(folder.glob("*.safetensors"))[-1]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=rf"{path.name}: the file is truncated"):
        open_checkpoint(folder)


def test_corrupt_header(make_folder: MakeFolder) -> None:
    folder = make_folder()
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[20:40] = b"\x00" * 20
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="header is not valid JSON"):
        open_checkpoint(folder)


def edit_index(folder: Path, change: Callable[[dict[str, str]], None]) -> None:
    path = folder / "model.safetensors.index.json"
    data = json.loads(path.read_text())
    change(data["weight_map"])
    path.write_text(json.dumps(data))


def test_index_of_another_checkpoint(make_folder: MakeFolder) -> None:
    folder = make_folder(shards=2)
    edit_index(folder, lambda m: m.update({"bogus.weight": "model-00001-of-00002.safetensors"}))
    with pytest.raises(CheckpointError, match=r"1 tensors are not in the shard.*'bogus\.weight'"):
        open_checkpoint(folder)


def test_index_that_leaves_the_folder(make_folder: MakeFolder) -> None:
    folder = make_folder(shards=2)
    edit_index(folder, lambda m: m.update({"mlp1.0.weight": "../../secret.safetensors"}))
    with pytest.raises(CheckpointError, match="expected a file name"):
        open_checkpoint(folder)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_index_without_a_map(make_folder: MakeFolder, text: str) -> None:
    folder = make_folder(shards=2)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="expected an object 'weight_map'"):
        open_checkpoint(folder)


def test_tensors_missing_from_the_index_are_used_and_noted(
    make_folder: MakeFolder, tiny_state: State
) -> None:
    folder = make_folder(shards=2)
    edit_index(folder, lambda m: m.pop("mlp1.0.weight"))
    with open_checkpoint(folder) as files:
        assert set(files.tensors) == set(tiny_state)
        assert "1 tensors are in shards but not in the index" in files.notes[0]


def test_single_file_beside_an_index(make_folder: MakeFolder, tiny_state: State) -> None:
    folder = make_folder(shards=2)
    save_file(tiny_state, folder / "model.safetensors")
    with open_checkpoint(folder) as files:
        assert list(files.headers) == ["model.safetensors"]
        assert "the single file is used" in files.notes[0]


def test_the_same_tensor_twice(make_folder: MakeFolder, tiny_state: State) -> None:
    twice = {"model.mlp1.0.weight": tiny_state["mlp1.0.weight"].clone()}
    with pytest.raises(CheckpointError, match=r"'mlp1\.0\.weight' is there twice"):
        open_checkpoint(make_folder(tiny_state | twice))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(
    make_folder: MakeFolder, tiny_state: State, value: float
) -> None:
    name = "mlp1.1.weight"
    broken = tiny_state[name].clone()
    broken[5, 7] = value
    with open_checkpoint(make_folder(tiny_state | {name: broken})) as files:
        assert files.read(name, (0, 5)).shape[0] == 5
        with pytest.raises(CheckpointError, match=r"tensor 'mlp1\.1\.weight' contains NaN"):
            files.read(name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_all_finite(dtype: torch.dtype) -> None:
    values = torch.zeros(100, dtype=dtype)
    assert all_finite(values)
    values[50] = torch.finfo(dtype).max
    values[51] = torch.finfo(dtype).max
    assert all_finite(values)  # the sum overflows, the values do not
    values[99] = float("nan")
    assert not all_finite(values)
    assert all_finite(torch.empty(0, dtype=dtype))
    assert all_finite(torch.ones(3, dtype=torch.uint8))
