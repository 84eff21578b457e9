"""Reading layers of every stored format, and refusing damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nanovl.checkpoint.hf import CheckpointFiles, open_checkpoint
from nanovl.checkpoint.keymap import BACKBONE
from nanovl.checkpoint.match import match
from nanovl.checkpoint.sources import FileSource, ModelSource, load_layer
from nanovl.core.errors import CheckpointError, NanoVLError
from nanovl.model.config import preset
from nanovl.model.vlm import VLM
from nanovl.ops.lowp import (
    fp8_encode,
    fp8_scale,
    int8_quantize,
    nvfp4_encode,
)
from nanovl.quant.linear import Fp8Linear, Int4Linear, Int8Linear, NvFp4Linear, QuantizedLinear
from nanovl.quant.schemes import replace_module

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]

MODULE = f"{BACKBONE}.layers.1.mixer.up_proj"  # (128, 64)


def stored_as(kind: str, weight: torch.Tensor) -> tuple[State, torch.Tensor]:
    """Companion tensors of a weight in a format, and the numbers they stand for."""
    w = weight.float()
    n, k = w.shape
    one = torch.ones(1)
    if kind == "fp8":
        scale = fp8_scale(w.abs().max())
        q = fp8_encode(w, scale)
        return {
            "weight": q,
            "weight_scale": scale.view(1, 1),
            "input_scale": one,
        }, q.float() * scale
    if kind == "fp8-channel":
        scale = fp8_scale(w.abs().amax(1))
        q = fp8_encode(w, scale)
        parts = {"weight": q, "weight_scale": scale.view(n, 1)}
        return parts, q.float() * scale.view(n, 1)
    if kind == "fp8-block":
        scale = torch.full((1, 1, 1, 1), 0.5).expand(n // 128, 1, -(-k // 128), 1).contiguous()
        q = (w / 0.5).to(torch.float8_e4m3fn)
        return {"weight": q, "weight_scale": scale}, q.float() * 0.5
    if kind in ("nvfp4", "nvfp4-ct"):
        packed, scale, scale_2 = nvfp4_encode(w)
        module = NvFp4Linear.from_float(w)
        value = module.dequantized_weight(torch.float32)
        if kind == "nvfp4":
            parts = {"weight": packed, "weight_scale": scale, "weight_scale_2": scale_2}
            return parts | {"input_scale": torch.tensor(0.25)}, value
        parts = {"weight_packed": packed, "weight_scale": scale}
        parts["weight_global_scale"] = (1 / scale_2).view(1)
        return parts | {"input_global_scale": torch.tensor([4.0])}, value
    if kind == "int8":
        q, scale = int8_quantize(w)
        return {"weight": q, "weight_scale": scale.view(n, 1)}, q.float() * scale.view(n, 1)
    assert kind == "int4-ct"
    q = torch.randint(-8, 8, (n, k), dtype=torch.int64)
    scale = torch.rand(n, k // 32).add(0.5).bfloat16()
    words = torch.zeros(n, k // 8, dtype=torch.int64)
    for place in range(8):
        words |= (q[:, place::8] + 8) << (4 * place)
    packed = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
    parts = {"weight_packed": packed, "weight_scale": scale, "weight_shape": torch.tensor([n, k])}
    return parts, q.float() * scale.float().repeat_interleave(32, 1)


def folder_with(
    make_folder: MakeFolder, tiny_state: State, parts: State, module: str = MODULE
) -> Path:
    state = {name: t for name, t in tiny_state.items() if name != f"{module}.weight"}
    return make_folder(state | {f"{module}.{role}": t for role, t in parts.items()})


def read(folder: Path, module: str = MODULE) -> QuantizedLinear | torch.Tensor:
    with open_checkpoint(folder) as files:
        return load_layer(files, match(files).layers[module], torch.float32)


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        ("fp8", Fp8Linear),
        ("fp8-channel", Fp8Linear),
        ("nvfp4", NvFp4Linear),
        ("nvfp4-ct", NvFp4Linear),
        ("int8", Int8Linear),
        ("int4-ct", Int4Linear),
        ("fp8-block", torch.Tensor),
    ],
)
def test_every_format_decodes_to_its_numbers(
    make_folder: MakeFolder, tiny_state: State, kind: str, cls: type
) -> None:
    parts, value = stored_as(kind, tiny_state[f"{MODULE}.weight"])
    folder = folder_with(make_folder, tiny_state, parts)
    loaded = read(folder)
    assert isinstance(loaded, cls)
    with open_checkpoint(folder) as files:
        source = FileSource(files, match(files))
        layer = source.layer(MODULE, (128, 64))
        assert layer.kind == kind
        decoded = source.weight(layer, torch.float32)
    assert decoded.dtype == torch.float32
    torch.testing.assert_close(decoded, value, rtol=1e-6, atol=1e-7)


def test_exporters_of_nvfp4_become_one(make_folder: MakeFolder, tiny_state: State) -> None:
    weight = tiny_state[f"{MODULE}.weight"]
    a = read(folder_with(make_folder, tiny_state, stored_as("nvfp4", weight)[0]))
    assert isinstance(a, NvFp4Linear)
    assert a.input_scale is not None
    assert a.input_scale.shape == ()
    with open_checkpoint(
        make_folder(
            {n: t for n, t in tiny_state.items() if n != f"{MODULE}.weight"}
            | {f"{MODULE}.{r}": t for r, t in stored_as("nvfp4-ct", weight)[0].items()},
            name="ct",
        )
    ) as files:
        b = load_layer(files, match(files).layers[MODULE], torch.float32)
    assert isinstance(b, NvFp4Linear)
    assert torch.equal(a.weight, b.weight)
    torch.testing.assert_close(a.weight_scale_2, b.weight_scale_2)
    assert b.input_scale is not None
    assert float(b.input_scale) == 0.25


def test_stored_int4_word_of_the_specification() -> None:
    values = torch.tensor([-8, -7, -1, 0, 1, 2, 6, 7])
    word = sum((int(v) + 8) << (4 * i) for i, v in enumerate(values))
    assert word == 0xFEA98710


def broken(parts: State, role: str, value: float | int, byte: bool = False) -> State:
    tensor = parts[role].clone()
    if byte:
        tensor.view(torch.uint8).view(-1)[3] = value
    else:
        tensor.view(-1)[0] = value
    return parts | {role: tensor}


@pytest.mark.parametrize(
    ("kind", "role", "value", "byte"),
    [
        ("fp8", "weight_scale", 0.0, False),
        ("fp8", "weight_scale", -1.0, False),
        ("fp8", "weight_scale", float("nan"), False),
        ("fp8", "input_scale", float("inf"), False),
        ("fp8", "weight", 0x7F, True),
        ("fp8", "weight", 0xFF, True),
        ("fp8-block", "weight", 0x7F, True),
        ("nvfp4", "weight_scale_2", 0.0, False),
        ("nvfp4", "weight_scale", 0xFF, True),
        ("nvfp4", "weight_scale", 0x80 | 0x38, True),
        ("int8", "weight_scale", 0.0, False),
        ("int4-ct", "weight_shape", 7, False),
    ],
)
def test_damaged_values(
    make_folder: MakeFolder, tiny_state: State, kind: str, role: str, value: float, byte: bool
) -> None:
    parts, _ = stored_as(kind, tiny_state[f"{MODULE}.weight"])
    damaged = broken(parts, role, int(value) if byte else value, byte)
    with pytest.raises(CheckpointError, match=r"layers\.1\.mixer\.up_proj"):
        read(folder_with(make_folder, tiny_state, damaged))


def test_model_source_hands_out_what_the_model_holds(tiny_state: State) -> None:
    model = VLM(preset("tiny"))
    model.load_state_dict(tiny_state)
    weight = tiny_state[f"{MODULE}.weight"]
    source = ModelSource(model)
    layer = source.layer(MODULE, (128, 64))
    assert layer.kind == "plain"
    assert torch.equal(source.weight(layer, torch.float32), weight)
    assert torch.equal(source.rows(f"{MODULE}.weight", 2, 5), weight[2:5])
    assert source.dtype(f"{BACKBONE}.layers.0.mixer.A_log") == "F32"
    for module, kind in (
        (Fp8Linear.from_float(weight, input_amax=3.0), "fp8"),
        (Fp8Linear.from_float(weight, per_channel=True), "fp8-channel"),
        (NvFp4Linear.from_float(weight), "nvfp4"),
        (Int8Linear.from_float(weight), "int8"),
    ):
        replace_module(model, MODULE, module)
        source = ModelSource(model)
        layer = source.layer(MODULE, (128, 64))
        assert layer.kind == kind
        assert layer.has_input_scale == (kind == "fp8")
        value = module.dequantized_weight(torch.float32)
        assert torch.equal(source.weight(layer, torch.float32), value)
        assert set(source.packed(layer)) == layer.roles


def test_model_with_nan(tiny_state: State) -> None:
    model = VLM(preset("tiny"))
    model.load_state_dict(tiny_state)
    with torch.no_grad():
        model.get_parameter(f"{MODULE}.weight")[3, 3] = float("nan")
    source = ModelSource(model)
    layer = source.layer(MODULE, (128, 64))
    with pytest.raises(NanoVLError, match=r"up_proj\.weight' contains NaN"):
        source.weight(layer, torch.float32)


def test_missing_activation_scale(make_folder: MakeFolder, tiny_state: State) -> None:
    parts, _ = stored_as("fp8", tiny_state[f"{MODULE}.weight"])
    del parts["input_scale"]
    folder = folder_with(make_folder, tiny_state, parts)
    (folder / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    with (
        open_checkpoint(folder) as files,
        pytest.raises(CheckpointError, match=r"1 quantized layers lack .*up_proj\.input_scale"),
    ):
        match(files)


def test_unknown_format_in_a_folder(make_folder: MakeFolder, tiny_state: State) -> None:
    parts, _ = stored_as("fp8", tiny_state[f"{MODULE}.weight"])
    del parts["weight_scale"]
    folder = folder_with(make_folder, tiny_state, parts)

    def run(files: CheckpointFiles) -> None:
        match(files)

    with (
        open_checkpoint(folder) as files,
        pytest.raises(CheckpointError, match="no combination nanovl knows"),
    ):
        run(files)
