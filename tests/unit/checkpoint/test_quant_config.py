"""The two configuration files of quantized checkpoints, and the faults their checks must catch."""

from __future__ import annotations

import json

import pytest

from nanovl.checkpoint.keymap import expected_tensors, linear_modules
from nanovl.checkpoint.quant_config import exclude_patterns, quant_configs, verify_patterns
from nanovl.checkpoint.quant_metadata import is_excluded, parse_metadata
from nanovl.checkpoint.quantized import StoredLinear, cross_check
from nanovl.core.errors import CheckpointError
from nanovl.model.config import VLMConfig, preset

TINY = preset("tiny")
ROLES = {
    "plain": {"weight"},
    "fp8": {"weight", "weight_scale", "input_scale"},
    "nvfp4": {"weight", "weight_scale", "weight_scale_2", "input_scale"},
}


def layers(config: VLMConfig, **kinds: str) -> dict[str, StoredLinear]:
    """Every linear in a format: `default=` or by its last name."""
    result = {}
    for module, shape in linear_modules(config.lm).items():
        kind = kinds.get(module.rpartition(".")[2], kinds["default"])
        result[module] = StoredLinear(
            module=module, kind=kind, shape=shape, roles=frozenset(ROLES[kind])
        )
    return result


def test_nothing_to_write_for_a_plain_checkpoint() -> None:
    assert quant_configs(TINY, layers(TINY, default="plain"), version="1") is None


def test_fp8() -> None:
    configs = quant_configs(TINY, layers(TINY, default="fp8"), version="1.2.3")
    assert configs is not None
    legacy, inline = configs
    exclude = [
        "language_model.lm_head",
        "language_model.backbone.embeddings",
        "language_model.backbone.layers.0.mixer.conv1d",
        "language_model.backbone.layers.2.mixer.conv1d",
        "mlp1*",
        "vision_model*",
    ]
    assert legacy == {
        "producer": {"name": "modelopt", "version": "0.47.0"},
        "exported_by": {"name": "nanovl", "version": "1.2.3"},
        "quantization": {
            "quant_algo": "FP8",
            "kv_cache_quant_algo": None,
            "exclude_modules": exclude,
        },
    }
    number = {"dynamic": False, "num_bits": 8, "type": "float"}
    assert inline == {
        "quant_method": "modelopt",
        "quant_algo": "FP8",
        "config_groups": {
            "group_0": {"weights": number, "input_activations": number, "targets": ["Linear"]}
        },
        "ignore": exclude,
        "producer": {"name": "modelopt", "version": "0.47.0"},
    }
    json.dumps(configs, allow_nan=False)


def test_nvfp4() -> None:
    configs = quant_configs(TINY, layers(TINY, default="nvfp4"), version="1")
    assert configs is not None
    legacy, inline = configs
    assert legacy["quantization"]["quant_algo"] == "NVFP4"
    assert legacy["quantization"]["group_size"] == 16
    assert "kv_cache_quant_algo" in legacy["quantization"]
    group = inline["config_groups"]["group_0"]
    number = {"dynamic": False, "num_bits": 4, "type": "float", "group_size": 16}
    assert group["weights"] == group["input_activations"] == number


def test_nvfp4_without_activation_scales() -> None:
    weight_only = {
        module: StoredLinear(
            module=module, kind="nvfp4", shape=x.shape, roles=x.roles - {"input_scale"}
        )
        for module, x in layers(TINY, default="nvfp4").items()
    }
    configs = quant_configs(TINY, weight_only, version="1")
    assert configs is not None
    assert configs[0]["quantization"]["quant_algo"] == "W4A16_NVFP4"
    assert configs[0]["quantization"]["group_size"] == 16
    assert "input_activations" not in configs[1]["config_groups"]["group_0"]


def test_mixture() -> None:
    mixed = layers(TINY, default="fp8", up_proj="nvfp4", down_proj="nvfp4", o_proj="plain")
    configs = quant_configs(TINY, mixed, version="1")
    assert configs is not None
    legacy, inline = configs
    assert inline["quant_algo"] == legacy["quantization"]["quant_algo"] == "MIXED_PRECISION"
    per_layer = inline["quantized_layers"]
    assert per_layer == legacy["quantization"]["quantized_layers"]
    prefix = "language_model.backbone.layers"
    assert per_layer[f"{prefix}.0.mixer.in_proj"] == {"quant_algo": "FP8"}
    assert per_layer[f"{prefix}.1.mixer.up_proj"] == {"quant_algo": "NVFP4", "group_size": 16}
    assert f"{prefix}.3.mixer.o_proj" not in per_layer
    targets = {name: group["targets"] for name, group in inline["config_groups"].items()}
    assert set(targets["group_0"]) | set(targets["group_1"]) == set(per_layer)
    assert f"{prefix}.3.mixer.o_proj" in inline["ignore"]


def test_mixtures_that_cannot_be_described() -> None:
    some = layers(TINY, default="fp8", up_proj="nvfp4")
    module = next(iter(some))
    some[module] = StoredLinear(
        module=module, kind="int8", shape=(1, 1), roles=frozenset({"weight"})
    )
    with pytest.raises(CheckpointError, match="stored as fp8, int8, nvfp4; no format of"):
        quant_configs(TINY, some, version="1")


@pytest.mark.parametrize("name", ["12b", "mini", "tiny"])
def test_both_files_agree_with_the_tensors(name: str) -> None:
    config = preset(name)
    for kinds in ({"default": "fp8"}, {"default": "nvfp4", "q_proj": "plain"}):
        stored = layers(config, **kinds)
        configs = quant_configs(config, stored, version="1")
        assert configs is not None
        metadata = parse_metadata(configs[0], configs[1])
        assert metadata is not None
        assert metadata.notes == ()
        everything = dict(stored)
        for tensor, shape in expected_tensors(config).items():
            module = tensor.removesuffix(".weight")
            if len(shape) == 2 and module not in everything:
                everything[module] = StoredLinear(
                    module=module, kind="plain", shape=shape, roles=frozenset({"weight"})
                )
        assert cross_check(everything, metadata) == []


def test_the_12b_lists_every_convolution_by_its_full_name() -> None:
    config = preset("12b")
    patterns = exclude_patterns(config, set(linear_modules(config.lm)))
    convolutions = [p for p in patterns if p.endswith(".mixer.conv1d")]
    assert len(convolutions) == 28
    assert not is_excluded("language_model.backbone.layers.11.mixer.in_proj", patterns)


QUANTIZED = [m for m in linear_modules(TINY.lm) if not m.endswith("o_proj")]
GOOD = exclude_patterns(TINY, QUANTIZED)


def test_a_good_list_passes() -> None:
    verify_patterns(GOOD, TINY, QUANTIZED)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([*GOOD, "lm_head\x00"], "not a full module path"),
        ([*GOOD, "*conv1d"], "not a full module path"),
        ([*GOOD, "language_model.backbone.layers.1"], "not a full module path"),
        ([*GOOD, "language_model.nothing"], "matches no plain module"),
        ([*GOOD, "language_model*"], "matches the quantized layer"),
        ([p for p in GOOD if not p.endswith("lm_head")], "lm_head' is matched by no pattern"),
        ([p for p in GOOD if not p.endswith("o_proj")], "o_proj' is matched by no pattern"),
        ([p for p in GOOD if p != "mlp1*"], "mlp1.1' is matched by no pattern"),
    ],
)
def test_faults_of_real_exporters(patterns: list[str], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        verify_patterns(patterns, TINY, QUANTIZED)
