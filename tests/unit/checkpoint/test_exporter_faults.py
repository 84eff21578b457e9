"""Faults that real exporters have made, put into good folders: each is found from headers.

The faults of the ignore lists themselves are in test_quant_config.py and test_group_config.py.

Source: quantization specification, section 9.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nanovl.checkpoint.info import inspect
from nanovl.checkpoint.keymap import BACKBONE, linear_modules
from nanovl.checkpoint.match import verify
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError
from nanovl.model.config import preset
from nanovl.quant.schemes import POLICIES, Policy, format_of

Edit = Callable[[dict[str, Any]], None]
FORMATS = ("fp8", "nvfp4", "int8", "int4-sym", "int4")
HEAD = "language_model.lm_head"
VISION = "vision_model.radio_model.model.blocks.0.mlp.fc1"


@pytest.fixture(params=FORMATS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_random("tiny", tmp_path / request.param, request.param)


def ignore_lists(folder: Path, edit: Callable[[list[str]], list[str]]) -> None:
    """Change the list of plain modules, in both files."""
    path = folder / "config.json"
    data = json.loads(path.read_text())
    section = data["quantization_config"]
    section["ignore"] = edit(section["ignore"])
    path.write_text(json.dumps(data))
    path = folder / "hf_quant_config.json"
    if path.is_file():
        data = json.loads(path.read_text())
        section = data["quantization"]
        section["exclude_modules"] = edit(section["exclude_modules"])
        path.write_text(json.dumps(data))


def tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the file of weights."""
    path = folder / "model.safetensors"
    state = load_file(path)
    edit(state)
    save_file(state, path)


def quantize(module: str) -> Callable[[dict[str, torch.Tensor]], None]:
    """Store a matrix that should be plain in INT8."""

    def edit(state: dict[str, torch.Tensor]) -> None:
        n = state[f"{module}.weight"].shape[0]
        state[f"{module}.weight"] = state[f"{module}.weight"].to(torch.int8)
        state[f"{module}.weight_scale"] = torch.ones(n, 1)

    return edit


def test_a_good_folder_is_accepted(folder: Path) -> None:
    verify(folder)
    assert inspect(folder).warnings == ()


def test_a_damaged_ignore_entry(folder: Path) -> None:
    """An entry that ends in NUL and a garbled rest matches nothing any more."""
    ignore_lists(folder, lambda names: [n + "\x00sentinel" if n == HEAD else n for n in names])
    with pytest.raises(CheckpointError, match=r"lm_head' is stored plain but not listed"):
        verify(folder)
    assert any(HEAD in note for note in inspect(folder).warnings)


def test_a_wildcard_over_the_whole_model(folder: Path) -> None:
    wild = "re:language_model.*" if "re:" in (folder / "config.json").read_text() else None
    ignore_lists(folder, lambda names: [*names, wild or "language_model*"])
    with pytest.raises(CheckpointError, match="is listed as excluded but stored quantized"):
        verify(folder)


def test_a_head_that_is_quantized_and_excluded(folder: Path) -> None:
    tensors(folder, quantize(HEAD))
    with pytest.raises(CheckpointError, match=r"lm_head' is listed as excluded but stored quant"):
        verify(folder)


def test_a_plain_linear_that_is_not_listed(folder: Path) -> None:
    name = f"{BACKBONE}.layers.3.mixer.o_proj"

    def decode(state: dict[str, torch.Tensor]) -> None:
        shape = linear_modules(preset("tiny").lm)[name]
        for key in [k for k in state if k.startswith(f"{name}.")]:
            del state[key]
        state[f"{name}.weight"] = torch.zeros(shape, dtype=torch.bfloat16)

    tensors(folder, decode)
    with pytest.raises(CheckpointError, match=r"o_proj' is .*stored plain"):
        verify(folder)


def test_a_vision_tower_that_is_quantized(folder: Path) -> None:
    tensors(folder, quantize(VISION))
    with pytest.raises(CheckpointError, match=r"fc1' is listed as excluded but stored quantized"):
        verify(folder)


@pytest.mark.parametrize("policy", [*POLICIES.values(), Policy(name="*", rules=(("*", "fp8"),))])
def test_no_policy_reaches_the_vision_tower(policy: Policy) -> None:
    for name in (HEAD, VISION, "mlp1.1", f"{BACKBONE}.embeddings"):
        assert format_of(name, policy) == "bf16"


def test_a_format_that_is_not_the_one_stated(folder: Path) -> None:
    path = folder / "config.json"
    data = json.loads(path.read_text())
    section = data["quantization_config"]
    if section["quant_method"] == "modelopt":
        section["quant_algo"] = "NVFP4" if section["quant_algo"] == "FP8" else "FP8"
        (folder / "hf_quant_config.json").unlink()
    elif section["quant_method"] == "nanovl":
        section["quantized_layers"] = {m: {"format": "int8"} for m in section["quantized_layers"]}
    else:
        weights = section["config_groups"]["group_0"]["weights"]
        weights["num_bits"] = 12 - weights["num_bits"]
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"is stored as .*, the config says "):
        verify(folder)
