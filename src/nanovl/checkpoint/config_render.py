"""`VLMConfig` -> `config.json` of the released layout.

Other engines read the released fields; `config_json.py` reads all of it back to the same config.
Writes no file.

Source: model specification, sections 4.3, 9.3 and 9.8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nanovl.checkpoint.config_json import ARCHITECTURE, NanovlSection, VisionSection
from nanovl.core.config import to_dict
from nanovl.model.config import LMConfig, VLMConfig

__all__ = ["render_config"]


def render_config(
    config: VLMConfig,
    *,
    token_ids: Mapping[str, int] | None = None,
    quantization: Mapping[str, Any] | None = None,
    origin: str = "",
    version: str = "",
) -> dict[str, Any]:
    """The content of a config.json; `parse_config` gives the same config back.

    Args:
        config: The shape.
        token_ids: Ids of the placeholder tokens by their text, where known.
        quantization: `quantization_config`, None for a plain checkpoint.
        origin: Where the weights come from.
        version: Version of nanovl.
    """
    lm, vision, ids = config.lm, config.vision, token_ids or {}
    extras = NanovlSection(
        version=version,
        origin=origin,
        vision=VisionSection(
            num_layers=vision.num_layers,
            num_heads=vision.num_heads,
            intermediate_size=vision.intermediate_size,
            num_prefix_tokens=vision.num_prefix_tokens,
            norm_eps=vision.norm_eps,
        ),
        projector_norm_eps=config.projector.norm_eps,
        max_num_tiles=config.max_num_tiles,
    )
    data: dict[str, Any] = {
        "architectures": [ARCHITECTURE],
        "model_type": ARCHITECTURE,
        "torch_dtype": "bfloat16",
        "force_image_size": config.image_size,
        "patch_size": vision.patch_size,
        "downsample_ratio": 0.5,
        "ps_version": config.pixel_shuffle_version,
        "use_thumbnail": config.use_thumbnail,
        "image_tag_type": "internvl",
        "vit_hidden_size": vision.hidden_size,
        "projector_hidden_size": config.projector.hidden_size,
        "norm_mean": list(config.norm_mean),
        "norm_std": list(config.norm_std),
        "img_context_token": config.image_token,
        "img_start_token": config.image_start_token,
        "img_end_token": config.image_end_token,
        "video_context_token": config.video_token,
        "video_pruning_rate": config.video_pruning_rate or 0.0,
        "max_sequence_length": config.max_sequence_length,
        "llm_config": _render_lm(lm),
        "vision_config": _render_vision(config),
        "nanovl": to_dict(extras),
    }
    for key, token in (
        ("img_context_token_id", config.image_token),
        ("video_context_token_id", config.video_token),
    ):
        if token in ids:
            data[key] = ids[token]
    if quantization is not None:
        data["quantization_config"] = dict(quantization)
    return data


def _render_lm(lm: LMConfig) -> dict[str, Any]:
    data: dict[str, Any] = {
        "architectures": ["NemotronHForCausalLM"],
        "model_type": "nemotron_h",
        "torch_dtype": "bfloat16",
        "vocab_size": lm.vocab_size,
        "hidden_size": lm.hidden_size,
        "num_hidden_layers": lm.num_layers,
        "hybrid_override_pattern": lm.pattern,
        "num_attention_heads": lm.num_heads,
        "num_key_value_heads": lm.num_kv_heads,
        "head_dim": lm.head_dim,
        "intermediate_size": lm.intermediate_size,
        "mlp_hidden_act": "relu2",
        "mamba_hidden_act": "silu",
        "mamba_num_heads": lm.mamba_num_heads,
        "mamba_head_dim": lm.mamba_head_dim,
        "ssm_state_size": lm.ssm_state_size,
        "n_groups": lm.num_groups,
        "conv_kernel": lm.conv_kernel,
        "chunk_size": lm.chunk_size,
        "use_conv_bias": True,
        "use_bias": False,
        "mlp_bias": False,
        "attention_bias": False,
        "mamba_proj_bias": False,
        "layer_norm_epsilon": lm.norm_eps,
        "residual_in_fp32": False,
        "mamba_ssm_cache_dtype": "float32",
        "max_position_embeddings": lm.max_positions,
        "initializer_range": lm.initializer_range,
        "tie_word_embeddings": lm.tie_embeddings,
    }
    if lm.time_step_limit != (0.0, math.inf):
        data["time_step_limit"] = [
            v if math.isfinite(v) else {"__float__": "Infinity"} for v in lm.time_step_limit
        ]
    return data


def _render_vision(config: VLMConfig) -> dict[str, Any]:
    vision = config.vision
    trunks = {384: "small", 768: "base", 1024: "large", 1280: "huge"}
    word = trunks.get(vision.hidden_size, "huge")
    data: dict[str, Any] = {
        "model_type": "radio",
        "version": "c-radio_v2-h",
        "patch_size": vision.patch_size,
        "max_resolution": vision.max_resolution,
        "preferred_resolution": [config.image_size, config.image_size],
        "args": {
            "model": f"vit_{word}_patch{vision.patch_size}_224",
            "cpe_max_size": vision.max_resolution,
            # One class token padded with registers up to the number of prefix rows.
            "cls_token_per_teacher": False,
            "register_multiple": vision.num_prefix_tokens,
            "teachers": [],
        },
    }
    if config.native_min_patches is not None:
        data["min_num_patches"] = config.native_min_patches
        data["max_num_patches"] = (config.max_num_tiles + 1) * 4 * config.tokens_per_tile
    return data
