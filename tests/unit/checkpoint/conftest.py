"""A tiny checkpoint on disk, made with the reference library so that our reader meets no friend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nanovl.checkpoint.config_render import render_config
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vlm import VLM
from nanovl.processing.tokenizer import byte_tokenizer

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_state() -> State:
    """Tensors of a tiny model with random weights; do not change them in place."""
    model = VLM(preset("tiny"))
    model.initialize(torch.Generator().manual_seed(5))
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


@pytest.fixture
def make_folder(tmp_path: Path, tiny_state: State) -> MakeFolder:
    """Write a checkpoint folder: `make(state=, config=, shards=, edit=)`."""

    def make(
        state: State | None = None,
        *,
        config: VLMConfig | None = None,
        shards: int = 1,
        edit: Callable[[dict[str, Any]], None] | None = None,
        name: str = "ckpt",
    ) -> Path:
        state = tiny_state if state is None else state
        folder = tmp_path / name
        folder.mkdir()
        data = render_config(config or preset("tiny"))
        if edit is not None:
            edit(data)
        (folder / "config.json").write_text(json.dumps(data))
        byte_tokenizer().save(folder / "tokenizer.json")
        if shards == 1:
            save_file(state, folder / "model.safetensors")
            return folder
        names = sorted(state)
        weight_map = {}
        for number in range(shards):
            file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
            part = {n: state[n] for n in names[number::shards]}
            save_file(part, folder / file)
            weight_map.update(dict.fromkeys(part, file))
        index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    return make
