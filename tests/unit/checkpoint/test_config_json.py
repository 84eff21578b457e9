"""config.json: reading released files, writing them, and refusing wrong ones."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nanovl.checkpoint.config_json import parse_config, read_config
from nanovl.checkpoint.config_render import render_config
from nanovl.core.errors import CheckpointError, ConfigError, NanoVLError
from nanovl.model.config import PRESETS, VLMConfig, preset


def released() -> dict[str, Any]:
    """The fields of the released file as the specification lists them; no section of ours."""
    return {
        "architectures": ["NemotronH_Nano_VL_V2"],
        "auto_map": {"AutoConfig": "configuration.NemotronH_Nano_VL_V2_Config"},
        "model_type": "NemotronH_Nano_VL_V2",
        "torch_dtype": "bfloat16",
        "force_image_size": 512,
        "patch_size": 16,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "use_thumbnail": True,
        "template": "nemotron5h-aligned",
        "vit_hidden_size": 1280,
        "projector_hidden_size": 20480,
        "image_tag_type": "internvl",
        "img_context_token_id": 131072,
        "video_context_token_id": 131081,
        "norm_mean": [0.48145466, 0.4578275, 0.40821073],
        "norm_std": [0.26862954, 0.26130258, 0.27577711],
        "video_pruning_rate": 0.7,
        "max_sequence_length": 131072,
        "vision_config": {
            "args": {"model": "vit_huge_patch16_224", "cpe_max_size": 2048},
            "patch_size": 16,
            "max_resolution": 2048,
            "version": "radio_v2.5-h",
        },
        "llm_config": {
            "model_type": "nemotron_h",
            "vocab_size": 132096,
            "hidden_size": 5120,
            "num_hidden_layers": 62,
            "hybrid_override_pattern": preset("12b").lm.pattern,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 20480,
            "mlp_hidden_act": "relu2",
            "mamba_num_heads": 128,
            "mamba_head_dim": 80,
            "ssm_state_size": 128,
            "n_groups": 8,
            "conv_kernel": 4,
            "chunk_size": 128,
            "use_conv_bias": True,
            "layer_norm_epsilon": 1e-5,
            "time_step_min": 0.001,
            "time_step_max": 0.1,
            "time_step_limit": [0.0, math.inf],
            "max_position_embeddings": 131072,
            "tie_word_embeddings": False,
        },
    }


@pytest.mark.parametrize("name", PRESETS)
def test_written_config_reads_back(name: str) -> None:
    config = preset(name)
    text = json.dumps(render_config(config), allow_nan=False)
    parsed = parse_config(json.loads(text))
    assert parsed.config == config
    assert parsed.notes == ()


def test_unusual_values_read_back() -> None:
    config = preset("tiny")
    config = replace(
        config,
        lm=replace(config.lm, time_step_limit=(0.01, math.inf), norm_eps=1e-6),
        max_num_tiles=4,
        native_min_patches=16,
        use_thumbnail=False,
        pixel_shuffle_version="v1",
        norm_mean=(0.5, 0.5, 0.25),
        video_pruning_rate=0.5,
        vision=replace(config.vision, norm_eps=1e-5),
        projector=replace(config.projector, norm_eps=1e-6),
    )
    text = json.dumps(render_config(config, origin="test"), allow_nan=False)
    parsed = parse_config(json.loads(text))
    assert parsed.config == config
    assert parsed.extras.origin == "test"


def test_released_config_is_the_12b() -> None:
    parsed = parse_config(released())
    assert parsed.config == preset("12b")
    assert parsed.quantization is None


def test_older_names() -> None:
    data = released()
    data["text_config"] = data.pop("llm_config")
    lm = data["text_config"]
    lm["attention_head_dim"] = lm.pop("head_dim")
    lm["rms_norm_eps"] = lm.pop("layer_norm_epsilon")
    lm["time_step_limit"] = [0.0, {"__float__": "Infinity"}]
    assert parse_config(data).config == preset("12b")


def test_missing_optional_fields_take_the_models_values() -> None:
    data = released()
    for key in ("norm_mean", "norm_std", "video_pruning_rate", "max_sequence_length", "ps_version"):
        del data[key]
    assert parse_config(data).config == VLMConfig()


def test_unknown_released_fields_are_tolerated_and_noted() -> None:
    parsed = parse_config(released() | {"some_new_switch": 3})
    assert parsed.config == preset("12b")
    assert "some_new_switch" in parsed.notes[0]


def test_typing_error_in_a_released_field() -> None:
    data = released()
    data["force_image_sise"] = data.pop("force_image_size")
    with pytest.raises(ConfigError, match=r"force_image_sise.*did you mean 'force_image_size'"):
        parse_config(data)


def test_unknown_key_in_our_section() -> None:
    data = render_config(preset("tiny"))
    data["nanovl"]["max_num_tile"] = 3
    with pytest.raises(ConfigError, match=r"nanovl: unknown key.*did you mean 'max_num_tiles'"):
        parse_config(data)
    data = render_config(preset("tiny"))
    data["nanovl"]["vision"]["bogus"] = 3
    with pytest.raises(ConfigError, match=r"nanovl\.vision: unknown key 'bogus'"):
        parse_config(data)


def edit(path: str, value: object) -> dict[str, Any]:
    data = released()
    *sections, key = path.split(".")
    node = data
    for section in sections:
        node = node[section]
    if value is None:
        del node[key]
    else:
        node[key] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("llm_config", None, "no section 'llm_config'"),
        ("llm_config", [1], "expected a JSON object"),
        ("llm_config.hidden_size", None, "'hidden_size' is missing"),
        ("llm_config.hidden_size", "5120", r"hidden_size is '5120' \(str\), expected int"),
        ("llm_config.hidden_size", 0, "expected at least 1"),
        ("llm_config.hidden_size", True, "expected int"),
        ("llm_config.num_hidden_layers", 61, "61 but hybrid_override_pattern has 62"),
        ("llm_config.hybrid_override_pattern", "MEM", "hybrid_override_pattern has 3"),
        ("llm_config.mlp_hidden_act", "silu", "'relu2' only"),
        ("llm_config.attention_bias", True, "False only"),
        ("llm_config.layer_norm_epsilon", "x", "expected float"),
        ("llm_config.time_step_limit", [1], "expected two numbers"),
        ("llm_config.time_step_limit", "fast", "expected two numbers"),
        ("model_type", "llava", "'llava' is not a model nanovl knows"),
        ("vit_hidden_size", 999, "not a RADIO width"),
        ("downsample_ratio", 0.25, "0.5 only"),
        ("norm_mean", [0.5], "expected three numbers"),
        ("norm_std", [0.5, "x", 1], "expected three numbers"),
        ("video_pruning_rate", 1.5, "0 <= rate < 1"),
        ("projector_hidden_size", None, "'projector_hidden_size' is missing"),
        ("force_image_size", 500, "multiple of 32"),
        ("ps_version", "v3", "'v1' or 'v2'"),
        ("quantization_config", 3, "quantization_config"),
        ("nanovl", 3, "expected a mapping"),
    ],
)
def test_wrong_values(path: str, value: object, message: str) -> None:
    data = edit(path, value)
    if path == "model_type":
        data["architectures"] = ["Llava"]
    with pytest.raises(NanoVLError, match=message):
        parse_config(data, where="x/config.json")


def test_mixture_of_experts_is_refused() -> None:
    data = edit("llm_config.hybrid_override_pattern", "ME")
    data["llm_config"]["num_hidden_layers"] = 2
    with pytest.raises(ConfigError, match="mixture of experts"):
        parse_config(data)


def test_language_model_alone() -> None:
    with pytest.raises(CheckpointError, match="without its vision encoder"):
        parse_config({"model_type": "nemotron_h", "architectures": ["NemotronHForCausalLM"]})


def test_no_model_type() -> None:
    with pytest.raises(CheckpointError, match="neither model_type nor architectures"):
        parse_config({})


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[]", "JSON list")])
def test_damaged_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_config(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        read_config(tmp_path)


def test_tile_budget_of_the_image_processor(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(released()))
    (tmp_path / "preprocessor_config.json").write_text('{"max_num_tiles": 6}')
    assert read_config(tmp_path).config.max_num_tiles == 6
    (tmp_path / "preprocessor_config.json").write_text('{"max_num_tiles": "six"}')
    with pytest.raises(ConfigError, match="max_num_tiles is 'six'"):
        read_config(tmp_path)


def test_our_section_wins_over_the_image_processor(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(render_config(preset("tiny"))))
    (tmp_path / "preprocessor_config.json").write_text('{"max_num_tiles": 6}')
    assert read_config(tmp_path).config.max_num_tiles == 12
