"""The configuration of checkpoints with INT8 and INT4, and the faults its checks must catch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanovl.checkpoint.group_config import verify_exact_patterns
from nanovl.checkpoint.keymap import expected_tensors, linear_modules
from nanovl.checkpoint.layouts import COMPRESSED_TENSORS, NANOVL, family_of, lay_out
from nanovl.checkpoint.quant_config import quant_configs
from nanovl.checkpoint.quant_metadata import parse_metadata
from nanovl.checkpoint.quantized import StoredLinear, cross_check
from nanovl.core.errors import CheckpointError
from nanovl.model.config import VLMConfig, preset

TINY = preset("tiny")
LAYER = "language_model.backbone.layers"


def layers(config: VLMConfig, **formats: str) -> dict[str, StoredLinear]:
    """Every linear in a format: `default=` or by its last name."""
    result = {}
    family = family_of(formats.values())
    for module, shape in linear_modules(config.lm).items():
        plain = StoredLinear(module=module, kind="plain", shape=shape, roles=frozenset({"weight"}))
        name = formats.get(module.rpartition(".")[2], formats["default"])
        result[module] = lay_out(plain, name.replace("_", "-"), family)
    return result


def section(config: VLMConfig, **formats: str) -> dict[str, Any]:
    configs = quant_configs(config, layers(config, **formats), version="1.2.3")
    assert configs is not None
    legacy, inline = configs
    assert legacy is None
    json.dumps(inline, allow_nan=False)
    return inline


def number(bits: int, kind: str, strategy: str, **more: Any) -> dict[str, Any]:
    base = {"num_bits": bits, "type": kind, "strategy": strategy, "symmetric": True}
    return {**base, "group_size": None, "dynamic": False, **more}


IGNORE = [
    "language_model.backbone.embeddings",
    f"{LAYER}.0.mixer.conv1d",
    f"{LAYER}.2.mixer.conv1d",
    "language_model.lm_head",
    r"re:mlp1\..*",
    r"re:vision_model\..*",
]


def test_int8() -> None:
    assert section(TINY, default="int8") == {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": IGNORE,
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "format": "int-quantized",
                "weights": number(8, "int", "channel"),
                "input_activations": number(8, "int", "token", dynamic=True),
                "output_activations": None,
            }
        },
        "exported_by": {"name": "nanovl", "version": "1.2.3"},
    }


def test_symmetric_int4() -> None:
    found = section(TINY, default="int4-sym")
    assert found["format"] == "pack-quantized"
    group = found["config_groups"]["group_0"]
    assert group["weights"] == number(4, "int", "group", group_size=32)
    assert group["input_activations"] is None


def test_mixture() -> None:
    found = section(
        TINY, default="int8", up_proj="nvfp4", down_proj="fp8", o_proj="bf16", in_proj="int4-sym"
    )
    assert found["format"] == "mixed-precision"
    groups = {g["format"]: g for g in found["config_groups"].values()}
    assert set(groups) == {
        "float-quantized",
        "int-quantized",
        "nvfp4-pack-quantized",
        "pack-quantized",
    }
    fp8, nvfp4 = groups["float-quantized"], groups["nvfp4-pack-quantized"]
    assert fp8["targets"] == [f"{LAYER}.1.mixer.down_proj", f"{LAYER}.4.mixer.down_proj"]
    assert fp8["weights"] == fp8["input_activations"] == number(8, "float", "tensor")
    assert nvfp4["weights"] == number(4, "float", "tensor_group", group_size=16)
    assert nvfp4["input_activations"] == nvfp4["weights"] | {"dynamic": "local"}
    assert groups["pack-quantized"]["targets"] == [
        f"{LAYER}.0.mixer.in_proj",
        f"{LAYER}.2.mixer.in_proj",
    ]
    assert f"{LAYER}.3.mixer.o_proj" in found["ignore"]


def test_nvfp4_without_activation_scales_beside_int8() -> None:
    found = section(TINY, default="int8", up_proj="nvfp4-w4a16")
    groups = {g["format"]: g for g in found["config_groups"].values()}
    assert groups["nvfp4-pack-quantized"]["input_activations"] is None


def test_asymmetric_int4_is_nanovls_own() -> None:
    found = section(TINY, default="int4", up_proj="nvfp4", down_proj="int4-sym", o_proj="bf16")
    assert (found["quant_method"], found["format"]) == ("nanovl", "mixed")
    assert "mlp1*" in found["ignore"]
    listed = found["quantized_layers"]
    assert listed[f"{LAYER}.0.mixer.in_proj"] == {
        "format": "int4",
        "group_size": 32,
        "symmetric": False,
    }
    assert listed[f"{LAYER}.1.mixer.up_proj"] == {"format": "nvfp4"}
    assert listed[f"{LAYER}.1.mixer.down_proj"]["symmetric"] is True
    assert f"{LAYER}.3.mixer.o_proj" not in listed
    assert section(TINY, default="int4")["format"] == "int4"


@pytest.mark.parametrize("name", ["12b", "mini", "tiny"])
@pytest.mark.parametrize(
    "formats",
    [
        {"default": "int8"},
        {"default": "int4-sym", "o_proj": "bf16"},
        {"default": "int8", "up_proj": "nvfp4", "in_proj": "fp8"},
        {"default": "int4", "up_proj": "fp8"},
    ],
)
def test_the_section_agrees_with_the_tensors(name: str, formats: dict[str, str]) -> None:
    config = preset(name)
    stored = layers(config, **formats)
    metadata = parse_metadata(None, section(config, **formats))
    assert metadata is not None
    assert metadata.method in (COMPRESSED_TENSORS, NANOVL)
    everything = dict(stored)
    for tensor, shape in expected_tensors(config).items():
        module = tensor.removesuffix(".weight")
        if len(shape) == 2 and module not in everything:
            everything[module] = StoredLinear(
                module=module, kind="plain", shape=shape, roles=frozenset({"weight"})
            )
    assert cross_check(everything, metadata) == []


QUANTIZED = {m: layer for m, layer in layers(TINY, default="int8").items() if "o_proj" not in m}
PLAIN = ["language_model.lm_head", f"{LAYER}.3.mixer.o_proj", "mlp1.1"]
GOOD = ["language_model.lm_head", f"{LAYER}.3.mixer.o_proj", r"re:mlp1\..*"]


def test_a_good_list_passes() -> None:
    verify_exact_patterns(GOOD, PLAIN, QUANTIZED)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([*GOOD, "language_model.lm_head\x00"], "matches no plain module"),
        ([*GOOD, "lm_head"], "matches no plain module"),
        ([*GOOD, "re:.*mixer.*"], "matches the quantized layer"),
        ([*GOOD, "re:language_model.*"], "matches the quantized layer"),
        (GOOD[1:], r"lm_head' is matched by no pattern"),
        (GOOD[:2], r"mlp1\.1' is matched by no pattern"),
    ],
)
def test_faults_of_real_exporters(patterns: list[str], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        verify_exact_patterns(patterns, PLAIN, QUANTIZED)
