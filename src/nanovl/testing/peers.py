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

__all__ = ["peer_lm", "peer_lm_state", "peer_vision", "peer_vision_state"]

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
    return peer.eval()


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


def peer_vision(config: VisionConfig, **extra: Any) -> Any:
    """A `RadioModel` of the same shape, in eval mode, with random weights."""
    transformers = _transformers()
    peer_config = transformers.RadioConfig(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.intermediate_size,
        patch_size=config.patch_size,
        layer_norm_eps=config.norm_eps,
        **extra,
    )
    return transformers.RadioModel(peer_config).eval()
