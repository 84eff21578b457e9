"""Loading: number formats, devices, dtypes, and every kind of damaged folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from nanovl.checkpoint import build
from nanovl.checkpoint.build import load_model, processor_config, save_model
from nanovl.checkpoint.keymap import BACKBONE, linear_modules
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import BackendError, CheckpointError, ConfigError
from nanovl.core.events import Event
from nanovl.model.config import preset
from nanovl.model.vlm import VLM
from nanovl.processing.tokenizer import byte_tokenizer
from nanovl.quant.linear import Fp8Linear, Int4Linear, Int8Linear, NvFp4Linear

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]
LINEARS = linear_modules(preset("tiny").lm)
FIRST = next(iter(LINEARS))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("formats")
    return {f: write_random("tiny", root / f, f) for f in ("bf16", "fp8", "nvfp4")}


def test_dtypes_of_parameters(folders: dict[str, Path]) -> None:
    model, _ = load_model(folders["bf16"], dtype="float32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    model, _ = load_model(folders["bf16"])
    wide = {n for n, p in model.named_parameters() if p.dtype == torch.float32}
    assert {n.rpartition(".")[2] for n in wide} == {"A_log", "D", "dt_bias"}
    assert model.dtype == torch.bfloat16


def test_bf16_storage_of_the_exponents_is_widened(
    make_folder: MakeFolder, tiny_state: State
) -> None:
    narrow = {n: t.bfloat16() for n, t in tiny_state.items()}
    model, _ = load_model(make_folder(narrow))
    a_log = model.get_parameter(f"{BACKBONE}.layers.0.mixer.A_log")
    assert a_log.dtype == torch.float32
    assert torch.equal(a_log, tiny_state[f"{BACKBONE}.layers.0.mixer.A_log"].bfloat16().float())


@pytest.mark.parametrize(
    ("stored", "quant", "cls"),
    [
        ("bf16", None, nn.Linear),
        ("bf16", "stored", nn.Linear),
        ("bf16", "int8", Int8Linear),
        ("bf16", "int4", Int4Linear),
        ("fp8", None, nn.Linear),
        ("fp8", "stored", Fp8Linear),
        ("fp8", "bf16", nn.Linear),
        ("fp8", "int8", Int8Linear),
        ("nvfp4", "stored", NvFp4Linear),
        ("nvfp4", "int8", Int8Linear),
        ("nvfp4", "int4", Int4Linear),
    ],
)
def test_how_linears_are_held(
    folders: dict[str, Path], stored: str, quant: str | None, cls: type
) -> None:
    model, _ = load_model(folders[stored], quant=quant)
    assert all(isinstance(model.get_submodule(name), cls) for name in LINEARS)
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    # Close to the BF16 weights, which are the same in every folder.
    reference, _ = load_model(folders["bf16"])
    weight = reference.get_parameter(f"{FIRST}.weight").float()
    held = model.get_submodule(FIRST)
    found = held.weight if isinstance(held, nn.Linear) else held.dequantized_weight(torch.float32)  # type: ignore[operator]
    error = (found.float() - weight).norm() / weight.norm()
    assert error < 0.18


def test_large_quantized_checkpoints_become_int8_on_a_cpu(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_LARGE_WEIGHTS", 1000)
    for stored in ("fp8", "nvfp4"):
        model, _ = load_model(folders[stored])
        assert isinstance(model.get_submodule(FIRST), Int8Linear)
        model, _ = load_model(folders[stored], emulate_activation=True)
        assert not isinstance(model.get_submodule(FIRST), Int8Linear)
    model, _ = load_model(folders["bf16"])
    assert isinstance(model.get_submodule(FIRST), nn.Linear)


@pytest.mark.parametrize("stored", ["fp8", "nvfp4"])
def test_small_quantized_checkpoints_are_decoded_on_a_cpu(
    folders: dict[str, Path], stored: str
) -> None:
    decoded, _ = load_model(folders[stored])
    kept, _ = load_model(folders[stored], quant="stored")
    with torch.no_grad():
        for name in LINEARS:
            linear = decoded.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            x = torch.randn(3, linear.in_features).bfloat16()
            assert torch.equal(linear(x), kept.get_submodule(name)(x)), name


def test_emulated_activations(folders: dict[str, Path]) -> None:
    model, _ = load_model(folders["fp8"], emulate_activation=True)
    assert all(model.get_submodule(name).emulate_activation for name in LINEARS)
    model, _ = load_model(folders["fp8"], quant="stored")
    assert not any(model.get_submodule(name).emulate_activation for name in LINEARS)
    with pytest.raises(ConfigError, match="use quant='stored'"):
        load_model(folders["fp8"], quant="int8", emulate_activation=True)


def test_a_packed_head_is_decoded(make_folder: MakeFolder, tiny_state: State) -> None:
    name = "language_model.lm_head"
    module = Fp8Linear.from_float(tiny_state[f"{name}.weight"], input_amax=1.0)
    state = {n: t for n, t in tiny_state.items() if not n.startswith(name)}
    state |= {f"{name}.{role}": t for role, t in module.named_buffers()}
    model, _ = load_model(make_folder(state))
    assert torch.equal(model.get_parameter(f"{name}.weight"), module.dequantized_weight())


def test_processor_fits_the_model(folders: dict[str, Path]) -> None:
    model, processor = load_model(folders["bf16"])
    assert processor.config == processor_config(model.config)
    config = processor_config(preset("12b"))
    assert (config.image_size, config.max_num_tiles, config.video_pruning_rate) == (512, 12, 0.7)
    assert config.max_length == 131072


def test_progress(folders: dict[str, Path]) -> None:
    events: list[Event] = []
    load_model(folders["nvfp4"], on_event=events.append)
    assert {(e.name, e.unit) for e in events} == {("load", "bytes")}
    done = [e.done for e in events]
    assert done == sorted(done)
    assert done[-1] == events[-1].total > 0


def test_tiles_per_call_follow_the_device(folders: dict[str, Path]) -> None:
    model, _ = load_model(folders["bf16"])
    assert model.max_tiles_per_call is None


def test_random_weights_are_announced(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture, tiny_state: State, tmp_path: Path
) -> None:
    load_model(folders["bf16"])
    assert "never trained and its answers are noise" in caplog.text
    caplog.clear()
    vlm = VLM(preset("tiny"))
    vlm.load_state_dict(tiny_state)
    load_model(save_model(vlm, tmp_path / "out", processor=byte_tokenizer()))
    assert "noise" not in caplog.text


def test_too_little_memory_is_announced(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(build, "available_memory_bytes", lambda: 100_000)
    with caplog.at_level(logging.WARNING):
        load_model(folders["bf16"])
    assert "GB of memory" in caplog.text


def test_unknown_quant(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"quant 'int9'.*did you mean 'int"):
        load_model(folders["bf16"], quant="int9")


def test_device_that_is_not_there(folders: dict[str, Path]) -> None:
    with pytest.raises((BackendError, ConfigError)):
        load_model(folders["bf16"], device="cuda:99")


def test_nan_weights(make_folder: MakeFolder, tiny_state: State) -> None:
    for name in (f"{FIRST}.weight", "mlp1.0.weight"):
        broken = tiny_state[name].clone()
        broken.view(-1)[-1] = float("nan")
        folder = make_folder(tiny_state | {name: broken}, name=name)
        with pytest.raises(CheckpointError, match=rf"tensor '{name}' contains NaN"):
            load_model(folder)


def test_truncated_file_is_found_before_anything_is_read(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    def never(*args: object, **options: object) -> None:
        raise AssertionError("a model was built")

    monkeypatch.setattr(build, "VLM", never)
    with pytest.raises(CheckpointError, match="truncated"):
        load_model(folder)


def test_wrong_shape_names_both(make_folder: MakeFolder, tiny_state: State) -> None:
    state = tiny_state | {"mlp1.0.weight": torch.ones(5)}
    with pytest.raises(CheckpointError, match=r"got \[5\], expected \[128\]"):
        load_model(make_folder(state))


def test_missing_tokenizer(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_model(folder)


def test_unknown_model_name() -> None:
    with pytest.raises(CheckpointError, match=r"model 'minni'.*did you mean 'mini'"):
        load_model("minni")
