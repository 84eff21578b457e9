"""Exported files as a stranger reads them: headers, configs and numbers by the written rules alone.

Nothing of nanovl's reader is used here except to say what it makes of the same files; bytes are
taken apart with `struct`, `json` and plain arithmetic.

Source: quantization specification, sections 5 and 9.5, level 1.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from nanovl.checkpoint.build import load_model, save_model
from nanovl.checkpoint.keymap import expected_tensors, linear_modules
from nanovl.model.vlm import VLM
from nanovl.quant.linear import QuantizedLinear
from nanovl.quant.schemes import FORMATS
from nanovl.testing import tiny_config, tiny_model, tiny_processor

LINEARS = linear_modules(tiny_config().lm)
MLP = [m for m in LINEARS if m.endswith(("up_proj", "down_proj"))]
REST = [m for m in LINEARS if m not in MLP]
CASES: dict[str, dict[str, str]] = {
    **{name: dict.fromkeys(LINEARS, name) for name in FORMATS},
    "fp8 and nvfp4": dict.fromkeys(MLP, "nvfp4") | dict.fromkeys(REST, "fp8"),
    "int8 and fp8": dict.fromkeys(MLP, "fp8") | dict.fromkeys(REST, "int8"),
    "int8 and nvfp4": dict.fromkeys(MLP, "nvfp4") | dict.fromkeys(REST, "int8"),
    "int4 of both kinds": dict.fromkeys(MLP, "int4-sym") | dict.fromkeys(REST, "int4"),
    "int4-sym and bf16": dict.fromkeys(MLP, "int4-sym") | dict.fromkeys(REST, "bf16"),
}
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
DTYPES = {
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F8_E4M3": torch.float8_e4m3fn,
    "I32": torch.int32,
    "I64": torch.int64,
    "I8": torch.int8,
    "U8": torch.uint8,
}


@pytest.fixture(scope="module")
def model() -> VLM:
    return tiny_model(5, torch.bfloat16)


@pytest.fixture(scope="module", params=CASES)
def exported(
    request: pytest.FixtureRequest, model: VLM, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("export") / "out"
    target = CASES[request.param]
    ranges = dict.fromkeys(LINEARS, 3.0)
    save_model(model, folder, processor=tiny_processor(), format=target, input_amax=ranges)
    return folder, target


def read(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors of the only file, by the eight bytes, the JSON and the offsets of the format."""
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    body = memoryview(data)[8 + length :]
    tensors, used = {}, 0
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        used += end - begin
        flat = torch.frombuffer(bytearray(body[begin:end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    assert used == len(body)
    return tensors


def nibbles(packed: torch.Tensor) -> torch.Tensor:
    """(n, k) from bytes or from words, the first column lowest."""
    flat = packed.contiguous().view(torch.uint8)
    return torch.stack([flat & 15, flat >> 4], -1).flatten(-2).long()


def decode(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """fp32 weight of a layer, from what the specification says about its tensors."""
    scale = tensors["weight_scale"].float()
    if "weight_min" in tensors:
        codes = nibbles(tensors["weight_packed"]).float()
        step = scale.repeat_interleave(codes.shape[1] // scale.shape[1], 1)
        low = tensors["weight_min"].float()
        return codes * step + low.repeat_interleave(codes.shape[1] // scale.shape[1], 1)
    if "weight_shape" in tensors:
        codes = nibbles(tensors["weight_packed"]).float() - 8
        assert list(codes.shape) == tensors["weight_shape"].tolist()
        return codes * scale.repeat_interleave(codes.shape[1] // scale.shape[1], 1)
    if "weight_scale_2" in tensors or "weight_global_scale" in tensors:
        packed = tensors.get("weight", tensors.get("weight_packed"))
        assert packed is not None
        tensor_scale = tensors.get("weight_scale_2")
        if tensor_scale is None:
            tensor_scale = 1 / tensors["weight_global_scale"]
        return E2M1[nibbles(packed)] * (scale * tensor_scale).repeat_interleave(16, 1)
    return tensors["weight"].float() * scale  # fp8 () and int8 (n, 1)


def test_every_tensor_is_there_and_finite(exported: tuple[Path, dict[str, str]]) -> None:
    folder, target = exported
    tensors = read(folder)
    roles: dict[str, set[str]] = {}
    for name in tensors:
        module, _, role = name.rpartition(".")
        roles.setdefault(module, set()).add(role)
    quantized = {m for m, name in target.items() if name != "bf16"}
    for name, shape in expected_tensors(tiny_config()).items():
        module = name.removesuffix(".weight")
        if module in quantized:
            assert roles[module] & {"weight", "weight_packed"}
            assert "weight_scale" in roles[module]
        else:
            assert tuple(tensors[name].shape) == shape
    for name, tensor in tensors.items():
        assert bool(torch.isfinite(tensor.float()).all()), name
        if "scale" in name:
            assert bool((tensor.float() > 0).all()), name
    # Engines that multiply in low precision need a scale for inputs wherever one is promised.
    for module, name in target.items():
        static = name in ("fp8", "nvfp4")
        assert bool(roles[module] & {"input_scale", "input_global_scale"}) == static, module
    # q, k and v have one scale, so that they can be multiplied as one.
    for role in ("weight_scale_2", "weight_global_scale", "input_scale", "input_global_scale"):
        fused = [m for m in REST if m.endswith(("q_proj", "k_proj", "v_proj"))]
        values = {float(tensors[f"{m}.{role}"]) for m in fused if f"{m}.{role}" in tensors}
        assert len(values) <= 1


def test_numbers_are_what_nanovl_computes_with(
    exported: tuple[Path, dict[str, str]], model: VLM
) -> None:
    folder, target = exported
    tensors = read(folder)
    loaded, _ = load_model(folder, quant="stored")
    for module, name in target.items():
        if name == "bf16":
            continue
        own = {
            key.removeprefix(f"{module}."): value
            for key, value in tensors.items()
            if key.startswith(f"{module}.")
        }
        held = loaded.get_submodule(module)
        assert isinstance(held, QuantizedLinear)
        weight = decode(own)
        assert torch.equal(weight, held.dequantized_weight(torch.float32)), module
        # And they are the weights that were saved, to the precision of the format.
        saved = model.get_parameter(f"{module}.weight").float()
        error = float((weight - saved).norm() / saved.norm())
        bound = {"fp8": 0.04, "int8": 0.01}.get(name, 0.13)
        assert error < bound, (module, error)


def test_the_configs_agree(exported: tuple[Path, dict[str, str]]) -> None:
    folder, target = exported
    section = json.loads((folder / "config.json").read_text()).get("quantization_config")
    legacy = folder / "hf_quant_config.json"
    formats = set(target.values()) - {"bf16"}
    if not formats:
        assert section is None
        assert not legacy.exists()
        return
    method = section["quant_method"]
    assert legacy.is_file() == (method == "modelopt")
    if formats <= {"fp8", "nvfp4", "nvfp4-w4a16"}:
        assert method == "modelopt"
    else:
        assert method == ("nanovl" if "int4" in formats else "compressed-tensors")
    if method == "modelopt":
        other = json.loads(legacy.read_text())
        assert other["producer"] == section["producer"]
        assert other["quantization"]["quant_algo"] == section["quant_algo"]
        assert other["quantization"]["exclude_modules"] == section["ignore"]
        assert other["quantization"].get("quantized_layers") == section.get("quantized_layers")
    everywhere = [
        p for group in section.get("config_groups", {}).values() for p in group["targets"]
    ]
    if len(formats) > 1:
        listed = section["quantized_layers"] if method != "compressed-tensors" else everywhere
        assert set(listed) == {m for m, name in target.items() if name != "bf16"}
    # What stays plain beside the quantized linears is listed by its full name.
    assert {m for m, name in target.items() if name == "bf16"} <= set(section["ignore"])
    assert "language_model.lm_head" in section["ignore"]
    assert not set(section["ignore"]) & {m for m, name in target.items() if name != "bf16"}
