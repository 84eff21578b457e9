"""Describing checkpoints from their headers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nanovl.checkpoint import safetensors_io
from nanovl.checkpoint.info import inspect
from nanovl.checkpoint.keymap import expected_tensors
from nanovl.checkpoint.random_weights import write_random
from nanovl.checkpoint.safetensors_io import SafetensorsWriter, TensorSpec
from nanovl.checkpoint.side_files import write_config_files
from nanovl.core.errors import CheckpointError
from nanovl.model.config import preset
from nanovl.processing.tokenizer import byte_tokenizer

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]


ALGOS = {
    "bf16": "",
    "fp8": "FP8",
    "nvfp4": "NVFP4",
    "int8": "compressed-tensors int-quantized",
    "int4": "nanovl int4",
    "int4-sym": "compressed-tensors pack-quantized",
}


@pytest.mark.parametrize("name", ALGOS)
def test_counts_do_not_depend_on_the_format(tmp_path: Path, name: str) -> None:
    info = inspect(write_random("tiny", tmp_path / name, name))
    config = preset("tiny")
    per_layer = config.lm.layer_parameters
    assert info.num_parameters == config.num_parameters
    assert info.parameters == {
        "vision": config.vision.num_parameters,
        "projector": config.projector_parameters,
        "embeddings": 320 * 64,
        "head": 320 * 64,
        "mamba": 2 * per_layer["M"],
        "attention": per_layer["*"],
        "mlp": 2 * per_layer["-"],
        "norm": 64,
    }
    assert info.vocab_rows == 320
    assert info.tokenizer_size == byte_tokenizer().size
    assert info.pattern == "M-M*-"
    assert info.quant_algo == ALGOS[name]
    kind = {"bf16": "plain", "int4-sym": "int4-ct"}.get(name, name)
    assert info.formats["mamba.in_proj"] == {kind: 2}
    assert info.formats["attention.q_proj"] == {kind: 1}
    assert info.shards[0].tensors == info.tensors
    assert info.num_bytes < info.shards[0].size_bytes
    assert info.problem is None


def test_no_tensor_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_random("tiny", tmp_path / "a", "nvfp4")

    def never(self: object, name: str, rows: object = None) -> torch.Tensor:
        raise AssertionError(name)

    monkeypatch.setattr(safetensors_io.SafetensorsFile, "read", never)
    inspect(folder)


def test_full_size_in_an_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of a 12B checkpoint over files with holes: 26 GB that take no room."""
    config = preset("12b")
    specs = [TensorSpec(n, "BF16", s) for n, s in expected_tensors(config).items()]
    with SafetensorsWriter(tmp_path / "model.safetensors", specs) as writer:
        writer._missing = dict.fromkeys(writer._missing, 0)
    write_config_files(tmp_path, config, {}, version="1", origin="holes")
    started = time.perf_counter()
    info = inspect(tmp_path)
    assert time.perf_counter() - started < 5
    assert info.num_parameters == 13_181_860_352
    assert info.num_bytes == 26_363_720_704
    assert info.tokenizer_size is None
    assert "no tokenizer.json" in info.warnings[-1]


def test_a_checkpoint_that_does_not_fit_is_still_described(
    make_folder: MakeFolder, tiny_state: State
) -> None:
    info = inspect(make_folder(tiny_state | {"mlp1.0.weight": torch.ones(5)}))
    assert info.problem is not None
    assert "got [5], expected [128]" in info.problem
    assert info.num_parameters == preset("tiny").num_parameters - 123


def test_unknown_layers_are_left_out(make_folder: MakeFolder, tiny_state: State) -> None:
    info = inspect(make_folder(tiny_state | {"mlp1.1.weight_scale": torch.ones(7)}))
    assert info.problem is not None
    assert "no combination nanovl knows" in info.problem


@pytest.mark.parametrize("text", ["{", "{}", '{"model": {"vocab": {"a": "x"}}}'])
def test_damaged_tokenizer(make_folder: MakeFolder, text: str) -> None:
    folder = make_folder()
    (folder / "tokenizer.json").write_text(text)
    info = inspect(folder)
    assert info.tokenizer_size is None
    assert "tokenizer.json cannot be understood" in info.warnings[-1]


def test_tokenizer_larger_than_the_table(make_folder: MakeFolder) -> None:
    folder = make_folder()
    text = json.dumps({"model": {"vocab": {"a": 999}}, "added_tokens": []})
    (folder / "tokenizer.json").write_text(text)
    assert "1000 ids, the embedding table 320 rows" in inspect(folder).warnings[-1]


def test_unused_tensors_are_listed(make_folder: MakeFolder, tiny_state: State) -> None:
    name = "vision_model.radio_model.summary_idxs"
    info = inspect(make_folder(tiny_state | {name: torch.tensor([1])}))
    assert info.ignored == (name,)


def test_damaged_files_raise(make_folder: MakeFolder) -> None:
    folder = make_folder()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated"):
        inspect(folder)
