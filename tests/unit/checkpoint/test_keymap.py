"""Names and shapes of the released checkpoint, and their other spellings."""

from __future__ import annotations

from collections import Counter

import pytest

from nanovl.checkpoint.keymap import (
    BACKBONE,
    PARTS,
    canonical_name,
    expected_tensors,
    ignored_reason,
    layer_of,
    linear_modules,
    module_kind,
    part_of,
)
from nanovl.model.config import PRESETS, preset
from nanovl.model.vlm import VLM


@pytest.mark.parametrize("name", PRESETS)
def test_names_and_shapes_are_those_of_the_model(name: str) -> None:
    config = preset(name)
    state = VLM(config, device="meta").state_dict()
    assert {n: tuple(t.shape) for n, t in state.items()} == expected_tensors(config)


def test_released_names_and_shapes_of_the_12b() -> None:
    shapes = expected_tensors(preset("12b"))
    layers = f"{BACKBONE}.layers"
    radio = "vision_model.radio_model.model"
    for name, shape in {
        f"{BACKBONE}.embeddings.weight": (132096, 5120),
        f"{layers}.61.norm.weight": (5120,),
        f"{layers}.0.mixer.in_proj.weight": (22656, 5120),
        f"{layers}.0.mixer.conv1d.weight": (12288, 1, 4),
        f"{layers}.0.mixer.conv1d.bias": (12288,),
        f"{layers}.0.mixer.A_log": (128,),
        f"{layers}.0.mixer.D": (128,),
        f"{layers}.0.mixer.dt_bias": (128,),
        f"{layers}.0.mixer.norm.weight": (10240,),
        f"{layers}.0.mixer.out_proj.weight": (5120, 10240),
        f"{layers}.7.mixer.q_proj.weight": (5120, 5120),
        f"{layers}.7.mixer.k_proj.weight": (1024, 5120),
        f"{layers}.7.mixer.v_proj.weight": (1024, 5120),
        f"{layers}.7.mixer.o_proj.weight": (5120, 5120),
        f"{layers}.1.mixer.up_proj.weight": (20480, 5120),
        f"{layers}.1.mixer.down_proj.weight": (5120, 20480),
        f"{BACKBONE}.norm_f.weight": (5120,),
        "language_model.lm_head.weight": (132096, 5120),
        f"{radio}.patch_generator.embedder.weight": (1280, 768),
        f"{radio}.patch_generator.pos_embed": (1, 16384, 1280),
        f"{radio}.patch_generator.cls_token.token": (16, 1280),
        f"{radio}.blocks.31.norm1.weight": (1280,),
        f"{radio}.blocks.0.norm2.bias": (1280,),
        f"{radio}.blocks.0.attn.qkv.weight": (3840, 1280),
        f"{radio}.blocks.0.attn.qkv.bias": (3840,),
        f"{radio}.blocks.0.attn.proj.weight": (1280, 1280),
        f"{radio}.blocks.0.mlp.fc1.weight": (5120, 1280),
        f"{radio}.blocks.0.mlp.fc2.weight": (1280, 5120),
        f"{radio}.blocks.0.mlp.fc2.bias": (1280,),
        "mlp1.0.weight": (5120,),
        "mlp1.1.weight": (20480, 5120),
        "mlp1.3.weight": (5120, 20480),
    }.items():
        assert shapes[name] == shape, name
    # Every released name, no more: 28 Mamba, 6 attention, 28 MLP layers, 32 blocks.
    assert len(shapes) == 28 * 9 + 6 * 5 + 28 * 3 + 32 * 12 + 3 + 3 + 3


def test_linears_of_the_12b() -> None:
    linears = linear_modules(preset("12b").lm)
    assert len(linears) == 136
    assert sum(n * k for n, k in linears.values()) == 10_965_483_520


@pytest.mark.parametrize(
    ("found", "released"),
    [
        ("language_model.model.layers.3.norm.weight", f"{BACKBONE}.layers.3.norm.weight"),
        ("language_model.model.embeddings.weight", f"{BACKBONE}.embeddings.weight"),
        ("language_model.model.norm_f.weight", f"{BACKBONE}.norm_f.weight"),
        ("model.language_model.backbone.norm_f.weight", f"{BACKBONE}.norm_f.weight"),
        ("model.language_model.model.norm_f.weight", f"{BACKBONE}.norm_f.weight"),
        ("model.language_model.lm_head.weight", "language_model.lm_head.weight"),
        ("model.vision_model.radio_model.x", "vision_model.radio_model.x"),
        ("model.mlp1.1.weight", "mlp1.1.weight"),
        ("backbone.layers.0.mixer.D", f"{BACKBONE}.layers.0.mixer.D"),
        ("model.layers.0.mixer.D", f"{BACKBONE}.layers.0.mixer.D"),
        ("lm_head.weight", "language_model.lm_head.weight"),
        (
            "language_model.model.layers.0.mixer.in_proj.weight_scale",
            f"{BACKBONE}.layers.0.mixer.in_proj.weight_scale",
        ),
        ("something.else", "something.else"),
    ],
)
def test_aliases(found: str, released: str) -> None:
    assert canonical_name(found) == released


@pytest.mark.parametrize(
    "name",
    [
        "vision_model.radio_model.input_conditioner.norm_mean",
        "vision_model.radio_model.summary_idxs",
        "vision_model.radio_model.model.blocks.0.ls1.gamma",
        "vision_model.radio_model.model.head_teacher.weight",
        f"{BACKBONE}.rotary_emb.inv_freq",
        f"{BACKBONE}.layers.7.mixer.k_proj.k_scale",
    ],
)
def test_ignorable_names(name: str) -> None:
    assert ignored_reason(name)


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_expected_is_ignorable(name: str) -> None:
    assert not [n for n in expected_tensors(preset(name)) if ignored_reason(n)]


def test_lm_head_is_not_mistaken_for_a_vision_head() -> None:
    assert ignored_reason("language_model.head_x.weight") is None


def test_kinds_and_parts() -> None:
    config = preset("12b")
    pattern = config.lm.pattern
    kinds = Counter(module_kind(module, pattern) for module in linear_modules(config.lm))
    assert kinds == {
        "mamba.in_proj": 28,
        "mamba.out_proj": 28,
        "mlp.up_proj": 28,
        "mlp.down_proj": 28,
        "attention.q_proj": 6,
        "attention.k_proj": 6,
        "attention.v_proj": 6,
        "attention.o_proj": 6,
    }
    assert module_kind("language_model.lm_head", pattern) == "lm_head"
    assert module_kind("vision_model.radio_model.model.blocks.0.attn.qkv", pattern) == "vision.qkv"
    parts = Counter(part_of(name, pattern) for name in expected_tensors(config))
    assert set(parts) == set(PARTS)
    assert parts["norm"] == 1
    assert part_of(f"{BACKBONE}.layers.7.norm.weight", pattern) == "attention"
    assert layer_of(f"{BACKBONE}.norm_f.weight") is None
