"""Random checkpoints: reproducible, sane, and the same model in every format and cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nanovl.checkpoint.build import load_model
from nanovl.checkpoint.config_json import read_config
from nanovl.checkpoint.info import inspect
from nanovl.checkpoint.keymap import BACKBONE, expected_tensors, linear_modules
from nanovl.checkpoint.random_weights import RandomSource, is_random, write_random
from nanovl.checkpoint.sources import WeightSource
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.core.paths import asset
from nanovl.model.config import preset
from nanovl.model.vlm import VLM
from nanovl.processing.tokenizer import byte_tokenizer

State = dict[str, torch.Tensor]


def tensors(folder: Path) -> State:
    return {n: t for path in folder.glob("*.safetensors") for n, t in load_file(path).items()}


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    a = tensors(write_random("tiny", tmp_path / "a", seed=3))
    b = tensors(write_random("tiny", tmp_path / "b", seed=3, max_shard_bytes=50_000))
    c = tensors(write_random("tiny", tmp_path / "c", seed=4))
    assert set(a) == set(b) == set(c) == set(expected_tensors(preset("tiny")))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["mlp1.1.weight"], c["mlp1.1.weight"])


def test_every_format_is_the_same_model(tmp_path: Path) -> None:
    plain = tensors(write_random("tiny", tmp_path / "bf16"))
    for name in ("fp8", "nvfp4"):
        folder = write_random("tiny", tmp_path / name, name)
        model, _ = load_model(folder, quant="bf16")
        for tensor_name, expected in plain.items():
            found = model.state_dict()[tensor_name]
            if tensor_name.removesuffix(".weight") in linear_modules(model.config.lm):
                error = (found.float() - expected.float()).norm() / expected.float().norm()
                assert error < (0.04 if name == "fp8" else 0.13), tensor_name
            else:
                assert torch.equal(found, expected), tensor_name


def test_any_cut_of_rows_gives_the_same_numbers() -> None:
    # The 12B's table spans many blocks of one seed each; look at some rows of it.
    config = preset("12b")
    source: WeightSource = RandomSource(config, expected_tensors(config), seed=0)
    name = f"{BACKBONE}.embeddings.weight"
    whole = source.rows(name, 800, 1700)  # a block has 819 rows
    assert whole.shape == (900, 5120)
    parts = [
        source.rows(name, a, b) for a, b in ((800, 819), (819, 820), (820, 1638), (1638, 1700))
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_statistics_are_those_of_the_scratch_initialisation() -> None:
    config = preset("mini")
    source = RandomSource(config, expected_tensors(config), seed=0)
    model = VLM(config, dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        drawn = source.rows(name, 0, parameter.shape[0])
        expected = parameter.detach()
        assert drawn.shape == expected.shape, name
        if expected.numel() < 100 or float(expected.std()) == 0:
            spread = 1.0 if name.endswith("dt_bias") else 1e-6
            assert abs(float(drawn.mean() - expected.mean())) <= spread, name
            continue
        # Standard errors of mean and spread, four of them.
        tolerance = 4 / expected.numel() ** 0.5
        std = float(expected.std())
        assert abs(float(drawn.std()) / std - 1) < tolerance + 0.01, name
        assert abs(float(drawn.mean() - expected.mean())) < 2 * tolerance * std, name
        assert torch.isfinite(drawn).all()


def test_exponents() -> None:
    config = preset("tiny")
    source = RandomSource(config, expected_tensors(config), seed=0)
    mixer = f"{BACKBONE}.layers.0.mixer"
    a_log = source.rows(f"{mixer}.A_log", 0, 32)
    torch.testing.assert_close(a_log.exp(), torch.arange(1.0, 33.0))
    assert (source.rows(f"{mixer}.D", 0, 32) == 1).all()
    dt = torch.nn.functional.softplus(source.rows(f"{mixer}.dt_bias", 0, 32))
    assert float(dt.min()) >= 1e-3 * 0.99
    assert float(dt.max()) <= 0.1 * 1.01


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_a_written_preset_loads(tmp_path: Path, name: str) -> None:
    folder = write_random(name, tmp_path / name)
    info = inspect(folder)
    assert info.problem is None
    assert info.warnings == ()
    assert info.config == preset(name)
    assert info.num_parameters == preset(name).num_parameters
    assert is_random(info.origin)
    model, processor = load_model(folder)
    own = byte_tokenizer().to_json()
    expected = own if name == "tiny" else (asset("mini") / "tokenizer.json").read_text()
    assert processor.tokenizer.to_json() == expected
    assert model.config == preset(name)


def test_a_tokenizer_of_ones_own(tmp_path: Path) -> None:
    byte_tokenizer().save(tmp_path / "tokenizer.json")
    for number, given in enumerate((tmp_path, tmp_path / "tokenizer.json", byte_tokenizer())):
        folder = write_random("mini", tmp_path / f"out{number}", tokenizer=given)
        assert (folder / "tokenizer.json").read_text() == byte_tokenizer().to_json()
    config = json.loads((folder / "config.json").read_text())
    assert config["img_context_token_id"] == byte_tokenizer().image_id
    assert read_config(folder).config.lm.vocab_size == 10240


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"preset 'minni'.*did you mean 'mini'"):
        write_random("minni", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"format 'fp9'.*did you mean 'fp8'"):
        write_random("tiny", tmp_path / "out", "fp9")
    with pytest.raises(CheckpointError, match="no such tokenizer"):
        write_random("tiny", tmp_path / "out", tokenizer=tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="embedding table 320 rows"):
        write_random("tiny", tmp_path / "out", tokenizer=asset("mini"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(CheckpointError, match="not empty"):
        write_random("tiny", tmp_path / "full")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]
