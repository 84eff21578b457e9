"""Formats found from headers, and the configuration files they are checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from nanovl.checkpoint.quant_metadata import is_excluded, parse_metadata
from nanovl.checkpoint.quantized import (
    StoredLinear,
    cross_check,
    detect,
    module_of,
    needs_input_scale,
)
from nanovl.core.errors import CheckpointError


@dataclass(frozen=True)
class Entry:
    dtype: str
    shape: tuple[int, ...]


def found(**entries: tuple[str, tuple[int, ...]]) -> dict[str, Entry]:
    return {role: Entry(*entry) for role, entry in entries.items()}


N, K = 256, 128
F8 = ("F8_E4M3", (N, K))
U8 = ("U8", (N, K // 2))
BLOCKS = ("F8_E4M3", (N, K // 16))
ONE = ("F32", ())
GROUPS = ("BF16", (N, K // 32))
WIDE = ("BF16", (N, K // 128))


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (found(weight=("BF16", (N, K))), "plain"),
        (found(weight=("F32", (N, K))), "plain"),
        (found(weight=F8, weight_scale=ONE, input_scale=ONE), "fp8"),
        (found(weight=F8, weight_scale=("F32", (1,)), input_scale=("F32", (1,))), "fp8"),
        (found(weight=F8, weight_scale=("F32", (1, 1))), "fp8"),
        (found(weight=F8, weight_scale=("F32", (N,))), "fp8-channel"),
        (found(weight=F8, weight_scale=("BF16", (N, 1))), "fp8-channel"),
        (found(weight=F8, weight_scale=("F32", (2, 1))), "fp8-block"),
        (found(weight=F8, weight_scale=("F32", (2, 1, 1, 1))), "fp8-block"),
        (found(weight=U8, weight_scale=BLOCKS, weight_scale_2=ONE, input_scale=ONE), "nvfp4"),
        (found(weight=U8, weight_scale=BLOCKS, weight_scale_2=("F32", (1,))), "nvfp4"),
        (
            found(
                weight_packed=U8,
                weight_scale=BLOCKS,
                weight_global_scale=("F32", (1,)),
                input_global_scale=("F32", (1,)),
            ),
            "nvfp4-ct",
        ),
        (found(weight=("I8", (N, K)), weight_scale=("F32", (N, 1))), "int8"),
        (found(weight=("I8", (N, K)), weight_scale=("BF16", (N,))), "int8"),
        (
            found(
                weight_packed=("I32", (N, K // 8)),
                weight_scale=("BF16", (N, K // 32)),
                weight_shape=("I64", (2,)),
            ),
            "int4-ct",
        ),
        (found(weight_packed=U8, weight_scale=GROUPS, weight_min=GROUPS), "int4"),
        (found(weight_packed=U8, weight_scale=WIDE, weight_min=WIDE), "int4"),
    ],
)
def test_formats(entries: dict[str, Entry], kind: str) -> None:
    layer = detect("a.b", entries)
    assert layer.kind == kind
    assert layer.shape == (N, K)
    assert layer.roles == set(entries)
    assert layer.label == kind.split("-")[0]
    wide = Entry(*WIDE) in entries.values()
    assert layer.group_size == (0 if layer.label != "int4" else 128 if wide else 32)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        found(weight=("BF16", (N,))),
        found(weight=("I32", (N, K))),
        found(weight=F8),
        found(weight=F8, weight_scale=("F32", (3, 5))),
        found(weight=F8, weight_scale=("F8_E4M3", (N,))),
        found(weight=F8, weight_scale=ONE, weight_scale_2=ONE),
        found(weight=("BF16", (N, K)), weight_scale=ONE),
        found(weight=U8, weight_scale=BLOCKS),
        found(weight=U8, weight_scale=("F8_E4M3", (N, K // 32)), weight_scale_2=ONE),
        found(weight=U8, weight_scale=("F32", (N, K // 16)), weight_scale_2=ONE),
        found(weight=("I8", (N, K)), weight_scale=("F32", (K,))),
        found(weight=("I8", (N, K)), weight_scale=("F32", (N,)), weight_zero_point=("I8", (N,))),
        found(weight=F8, weight_packed=U8, weight_scale=ONE),
        found(weight_packed=("I32", (N, K // 8)), weight_scale=("BF16", (N, K // 32))),
        found(
            weight_packed=("I32", (N, K // 8)),
            weight_scale=("BF16", (N, K // 8)),
            weight_shape=("I64", (2,)),
        ),
        found(weight=F8, weight_scale_inv=("F32", (2, 1))),
        found(weight_packed=U8, weight_scale=GROUPS),
        found(weight_packed=U8, weight_scale=GROUPS, weight_min=WIDE),
        found(weight_packed=U8, weight_scale=("F16", (N, 4)), weight_min=("F16", (N, 4))),
        found(weight_packed=U8, weight_scale=GROUPS, weight_min=GROUPS, input_scale=ONE),
    ],
)
def test_unknown_combinations(entries: dict[str, Entry]) -> None:
    with pytest.raises(CheckpointError, match=r"layer 'a\.b': .*no combination nanovl knows"):
        detect("a.b", entries)


def test_the_message_names_dtypes_and_shapes() -> None:
    with pytest.raises(CheckpointError, match=r"weight F8_E4M3 \[256, 128\], .* F32 \[3, 5\]"):
        detect("a.b", found(weight=F8, weight_scale=("F32", (3, 5))))


def test_scales_that_should_be_one_number() -> None:
    with pytest.raises(CheckpointError, match=r"'a\.b\.input_scale': got BF16 \[256\]"):
        detect("a.b", found(weight=F8, weight_scale=ONE, input_scale=("BF16", (N,))))


def test_module_of() -> None:
    assert module_of("a.b.weight_scale_2") == ("a.b", "weight_scale_2")
    assert module_of("a.b.weight") == ("a.b", "weight")
    assert module_of("a.b.bias") is None
    assert module_of("weight") is None


def layer(module: str, kind: str, *, inputs: bool = True) -> StoredLinear:
    roles = {"weight"} | ({"input_scale"} if inputs and kind != "plain" else set())
    return StoredLinear(module=module, kind=kind, shape=(N, K), roles=frozenset(roles))


def hf_quant(algo: str = "FP8", exclude: list[str] | None = None) -> dict[str, Any]:
    quantization = {"quant_algo": algo, "exclude_modules": exclude or []}
    return {"producer": {"name": "modelopt"}, "quantization": quantization}


def inline(algo: str = "FP8", ignore: list[str] | None = None, **extra: Any) -> dict[str, Any]:
    return {"quant_method": "modelopt", "quant_algo": algo, "ignore": ignore or []} | extra


def test_metadata_of_either_file() -> None:
    assert parse_metadata(None, None) is None
    legacy = parse_metadata(hf_quant("nvfp4", ["lm_head"]), None)
    assert legacy is not None
    assert (legacy.algo, legacy.exclude, legacy.static_inputs) == ("NVFP4", ("lm_head",), True)
    both = parse_metadata(hf_quant(exclude=["a"]), inline(ignore=["a"]))
    assert both is not None
    assert both.notes == ()
    assert both.method == "modelopt"


def test_disagreement_of_the_files() -> None:
    both = parse_metadata(hf_quant("FP8", ["a"]), inline("NVFP4", ["a", "b"]))
    assert both is not None
    assert both.algo == "NVFP4"
    assert "NVFP4 in config.json, FP8" in both.notes[0]
    assert both.notes[1].endswith(": b")


def groups(inputs: dict[str, Any] | None) -> dict[str, Any]:
    group: dict[str, Any] = {"weights": {"num_bits": 4}}
    if inputs is not None:
        group["input_activations"] = inputs
    return {"config_groups": {"group_0": group}}


@pytest.mark.parametrize(
    ("config", "static"),
    [
        (inline("FP8"), True),
        (inline("W4A16_NVFP4"), False),
        (inline("FP8_PER_CHANNEL_PER_TOKEN"), False),
        (inline("NVFP4", **groups(None)), False),
        (inline("NVFP4", **groups({"dynamic": False})), True),
        ({"quant_method": "compressed-tensors", **groups({"dynamic": True})}, False),
        ({"quant_method": "compressed-tensors"}, None),
        (inline("MIXED_PRECISION", **groups({"dynamic": False})), None),
    ],
)
def test_static_activation_scales(config: dict[str, Any], static: bool | None) -> None:
    metadata = parse_metadata(None, config)
    assert metadata is not None
    assert metadata.static_inputs is static


@pytest.mark.parametrize(
    ("legacy", "config"),
    [({"quantization": 3}, None), (hf_quant() | {"quantization": {"exclude_modules": "x"}}, None)],
)
def test_damaged_metadata(legacy: dict[str, Any], config: dict[str, Any] | None) -> None:
    with pytest.raises(CheckpointError, match=r"hf_quant_config\.json"):
        parse_metadata(legacy, config)


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("language_model.backbone.layers.1.mixer.in_proj", True),
        ("backbone.layers.1.mixer.in_proj", True),
        ("language_model*", True),
        ("*.in_proj", True),
        ("mixer", True),
        ("language_model.backbone.layers.1", True),
        ("language_model.backbone.layers.1.*", True),
        ("language_model.backbone.layers.2", False),
        ("language_model.backbone.layers.11.mixer.in_proj", False),
        ("lm_head", False),
        ("vision_model*", False),
        ("", False),
        ("re:.*in_proj", True),
        ("re:backbone.*", True),
        ("re:in_proj", False),
        (r"re:language_model\.backbone\.layers\.1\.mixer\.in_proj$", True),
    ],
)
def test_exclusion_rules(pattern: str, covers: bool) -> None:
    assert is_excluded("language_model.backbone.layers.1.mixer.in_proj", [pattern]) is covers


def test_an_exclusion_that_is_no_expression() -> None:
    with pytest.raises(CheckpointError, match=r"'re:\*x' in the list of excluded modules"):
        is_excluded("a.b", ["re:*x"])


def test_a_subtree_does_not_cover_its_neighbour() -> None:
    assert is_excluded("mlp1.3", ["mlp1*"])
    assert is_excluded("vision_model.x.y", ["vision_model*"])
    assert not is_excluded("vision.x", ["vision_model*"])


def test_cross_check() -> None:
    layers = {
        "x.0.in_proj": layer("x.0.in_proj", "fp8"),
        "x.1.in_proj": layer("x.1.in_proj", "plain"),
        "y.conv": layer("y.conv", "plain"),
    }
    notes = cross_check(layers, parse_metadata(None, inline(ignore=["x.0.in_proj"])))
    assert notes == [
        "'x.0.in_proj' is listed as excluded but stored quantized",
        "'x.1.in_proj' is stored plain but not listed as excluded",
    ]
    assert cross_check(layers, parse_metadata(None, inline(ignore=["x.1.in_proj"]))) == []
    assert cross_check(layers, None) == ["quantized tensors without any quantization config"]
    plain = {"y.conv": layers["y.conv"]}
    assert cross_check(plain, None) == []
    assert "every layer is stored plain" in cross_check(plain, parse_metadata(None, inline()))[0]


def compressed(**formats: tuple[str, int, list[str]]) -> dict[str, Any]:
    """`name=(type, bits, targets)` as groups of compressed-tensors."""
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {
            name: {"weights": {"type": kind, "num_bits": bits}, "targets": targets}
            for name, (kind, bits, targets) in formats.items()
        },
    }


@pytest.mark.parametrize(
    ("config", "label", "listed"),
    [
        (inline("FP8"), "fp8", {}),
        (inline("FP8_PER_CHANNEL_PER_TOKEN"), "fp8", {}),
        (inline("W4A16_NVFP4"), "nvfp4", {}),
        (inline("something new"), "", {}),
        (
            inline(
                "MIXED_PRECISION",
                quantized_layers={
                    "backbone.layers.0.mixer.in_proj": {"quant_algo": "FP8"},
                    "y": {"quant_algo": "NVFP4"},
                    "z": {},
                },
            ),
            "",
            {"language_model.backbone.layers.0.mixer.in_proj": "fp8", "y": "nvfp4", "z": ""},
        ),
        (compressed(a=("int", 8, ["Linear"])), "int8", {}),
        (compressed(a=("float", 4, ["re:.*"])), "nvfp4", {}),
        (
            compressed(a=("int", 4, ["x.a", "Linear"]), b=("float", 8, ["x.b"])),
            "",
            {"x.a": "int4", "x.b": "fp8"},
        ),
        (
            {"quant_method": "nanovl", "quantized_layers": {"x.a": {"format": "int4"}}},
            "",
            {"x.a": "int4"},
        ),
    ],
)
def test_stated_formats(config: dict[str, Any], label: str, listed: dict[str, str]) -> None:
    metadata = parse_metadata(None, config)
    assert metadata is not None
    assert metadata.label == label
    assert metadata.layers == listed


def test_stored_in_another_format_than_stated() -> None:
    layers = {"x.a": layer("x.a", "fp8"), "x.b": layer("x.b", "nvfp4")}
    assert cross_check(layers, parse_metadata(None, inline("FP8"))) == [
        "'x.b' is stored as nvfp4, the config says fp8"
    ]
    groups = compressed(a=("int", 4, ["x.a", "x.c"]), b=("float", 4, ["x.b"]))
    layers["x.c"] = layer("x.c", "plain")
    assert cross_check(layers, parse_metadata(None, groups)) == [
        "'x.a' is stored as fp8, the config says int4",
        "'x.c' is listed as int4 but stored plain",
    ]


def test_missing_activation_scales() -> None:
    complete = {"a": layer("a", "fp8"), "b": layer("b", "plain")}
    bare = {"a": layer("a", "fp8", inputs=False)}
    promised = parse_metadata(None, inline("FP8"))
    assert needs_input_scale(complete, promised) == []
    assert needs_input_scale(bare, promised) == ["a.input_scale"]
    assert needs_input_scale(bare, None) == []
    weight_only = parse_metadata(None, inline("W4A16_NVFP4"))
    assert needs_input_scale({"a": layer("a", "nvfp4", inputs=False)}, weight_only) == []
    mixed = {"a": layer("a", "nvfp4"), "b": layer("b", "nvfp4", inputs=False)}
    assert needs_input_scale(mixed, None) == ["b.input_scale"]
    dynamic = {"a": layer("a", "fp8-channel", inputs=False)}
    assert needs_input_scale(dynamic, promised) == []
