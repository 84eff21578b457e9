"""A checkpoint and data to quantize it with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nanovl.checkpoint.export import save_model
from nanovl.testing import tiny_model, tiny_processor, training_set


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in BF16 whose layers all matter."""
    model = tiny_model(3, torch.bfloat16)
    folder = tmp_path_factory.mktemp("ptq") / "tiny"
    return save_model(model, folder, processor=tiny_processor(model.config))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blend of pictures and dialogues."""
    folder = tmp_path_factory.mktemp("ptq-data")
    return training_set(folder, samples=24, kinds=("shapes", "dialogue"), size=64)
