"""The same network in `transformers`, for parity tests and speed comparisons (extra 'parity').

Every function takes a nanovl configuration or model and returns the peer with equal weights. The
import of transformers happens inside the functions, so this module costs nothing without it.
"""

from __future__ import annotations

from typing import Any

import torch

from nanovl.core.errors import missing_extra
from nanovl.model.config import LMConfig, VisionConfig
from nanovl.model.lm import HybridLM
from nanovl.model.vision import VisionModel
from nanovl.model.vlm import VLM

__all__ = ["peer_lm", "peer_lm_state", "peer_vision", "peer_vision_state", "peer_vlm"]

_LAYER_TYPES = {"M": "linear_attention", "*": "full_attention", "-": "mlp"}


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "parity", "the reference model") from error
    return transformers


def peer_lm_state(model: HybridLM) -> dict[str, torch.Tensor]:
    """nanovl's decoder weights under the peer's names."""
    return {
        name.replace("backbone.embeddings", "model.embeddings").replace("backbone.", "model."): v
        for name, v in model.state_dict().items()
    }


def peer_lm(config: LMConfig, model: HybridLM | None = None, **extra: Any) -> Any:
    """A `NemotronHForCausalLM` of the same shape, in eval mode.

    Args:
        config: Shape.
        model: Weights to copy; random ones otherwise.
        extra: More fields of the peer's configuration.
    """
    transformers = _transformers()
    peer_config = transformers.NemotronHConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        layer_types=[_LAYER_TYPES[kind] for kind in config.pattern],
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        intermediate_size=config.intermediate_size,
        mamba_num_heads=config.mamba_num_heads,
        mamba_head_dim=config.mamba_head_dim,
        ssm_state_size=config.ssm_state_size,
        n_groups=config.num_groups,
        conv_kernel=config.conv_kernel,
        chunk_size=config.chunk_size,
        layer_norm_epsilon=config.norm_eps,
        # The peer clamps dt from below in one of its two paths; the released code does not.
        time_step_min=1e-30,
        tie_word_embeddings=config.tie_embeddings,
        max_position_embeddings=config.max_positions,
        **extra,
    )
    peer = transformers.NemotronHForCausalLM(peer_config)
    if model is not None:
        dtype = model.backbone.embeddings.weight.dtype
        peer = peer.to(dtype)
        missing, unexpected = peer.load_state_dict(peer_lm_state(model), strict=False)
        left = [n for n in missing if not (config.tie_embeddings and n == "lm_head.weight")]
        if left or unexpected:
            raise AssertionError(f"peer weights: missing {left}, unexpected {unexpected}")
    return peer.train(False)


def peer_vision_state(model: VisionModel) -> dict[str, torch.Tensor]:
    """nanovl's vision weights under the peer's names (q, k and v separate there)."""
    state: dict[str, torch.Tensor] = {}
    for name, value in model.radio_model.model.state_dict().items():
        if name.startswith("patch_generator."):
            leaf = name.removeprefix("patch_generator.")
            renamed = {
                "embedder.weight": "embeddings.patch_projection.weight",
                "pos_embed": "embeddings.position_embedding",
                "cls_token.token": "embeddings.cls_register_token",
            }[leaf]
            state[renamed] = value
            continue
        layer = name.replace("blocks.", "encoder.layer.")
        if ".attn.qkv." in layer:
            prefix, suffix = layer.split("attn.qkv.")
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                state[f"{prefix}attention.{part}_proj.{suffix}"] = rows
        else:
            state[layer.replace(".attn.proj.", ".attention.o_proj.")] = value
    return state


def peer_vision(config: VisionConfig, model: VisionModel, **extra: Any) -> Any:
    """A `RadioModel` with equal weights, in eval mode, input conditioner still attached."""
    transformers = _transformers()
    peer_config = transformers.RadioConfig(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        mlp_ratio=config.intermediate_size / config.hidden_size,
        patch_size=config.patch_size,
        max_img_size=config.max_resolution,
        num_cls_tokens=1,
        num_registers=config.num_prefix_tokens - 1,
        summary_idxs=[0],
        layer_norm_eps=config.norm_eps,
        norm_mean=[0.0] * 3,
        norm_std=[1.0] * 3,
        **extra,
    )
    peer = transformers.RadioModel(peer_config)
    missing, unexpected = peer.load_state_dict(peer_vision_state(model), strict=False)
    left = [
        n
        for n in missing
        if "lambda1" not in n
        and "conditioner" not in n
        and "idxs" not in n
        and "video_patch" not in n
    ]
    if left or unexpected:
        raise AssertionError(f"peer weights: missing {left}, unexpected {unexpected}")
    return peer.train(False)


def peer_vlm(model: VLM, *, image_token_id: int) -> Any:
    """The whole model as transformers' `NemotronH_Omni_Reasoning_V3`, with equal weights.

    That class is the successor's; without its audio half and fed with pictures it is the same
    network (its videos join two frames into one patch, which this model does not).

    Args:
        model: Weights to copy; fp32.
        image_token_id: Placeholder of one visual token.
    """
    transformers = _transformers()
    config = model.config
    lm = peer_lm(config.lm, model.language_model)
    vision = peer_vision(config.vision, model.vision_model, video_temporal_patch_size=2)
    peer_config = transformers.AutoConfig.for_model(
        "nemotron_h_omni",
        vision_config=vision.config,
        text_config=lm.config,
        audio_config=None,
        projector_hidden_size=config.projector.hidden_size,
        vision_hidden_size=config.vision.hidden_size,
        image_token_id=image_token_id,
        video_temporal_patch_size=2,
    )
    from transformers.models.nemotron_h_omni.modeling_nemotron_h_omni import (
        NemotronH_Omni_Reasoning_V3,
    )

    peer = NemotronH_Omni_Reasoning_V3(peer_config)
    peer.language_model.load_state_dict(lm.state_dict())
    vision.make_preprocessor_external()
    peer.vision_model.load_state_dict(vision.state_dict(), strict=False)
    peer.vision_model.config.torch_dtype = torch.float32
    names = {"0.weight": "layer_norm.weight", "1.weight": "linear_1.weight"}
    peer.multi_modal_projector.load_state_dict(
        {names.get(n, "linear_2.weight"): v for n, v in model.mlp1.state_dict().items()}
    )
    return peer.train(False)
