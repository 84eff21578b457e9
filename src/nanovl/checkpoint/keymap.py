"""Tensor names: what a checkpoint of a given shape must contain, and other spellings of it.

Parameter names in memory are the released names, so nothing is renamed beyond a handful of
prefixes older and newer tools write. The module knows names and shapes only; it opens no file.

Source: model specification, sections 9.2 and 9.4; quantization specification, section 6.2.
"""

from __future__ import annotations

import re

from nanovl.model.config import LMConfig, VisionConfig, VLMConfig

__all__ = [
    "BACKBONE",
    "FP32_LEAVES",
    "PARTS",
    "VISION",
    "canonical_name",
    "expected_tensors",
    "ignored_reason",
    "layer_of",
    "linear_modules",
    "module_kind",
    "part_of",
]

BACKBONE = "language_model.backbone"
VISION = "vision_model.radio_model.model"

# Kept in fp32 in memory and on disk: exponents, where bf16 would lose the long memory.
FP32_LEAVES = frozenset({"A_log", "D", "dt_bias"})

PARTS = ("vision", "projector", "embeddings", "mamba", "attention", "mlp", "norm", "head")

_MIXER_LINEARS = {
    "M": ("in_proj", "out_proj"),
    "*": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "-": ("up_proj", "down_proj"),
}

_KIND_WORDS = {"M": "mamba", "*": "attention", "-": "mlp"}
_LAYER = re.compile(rf"{re.escape(BACKBONE)}\.layers\.(\d+)\.")
_ROOTS = ("language_model.", "vision_model.", "mlp1.")
_BACKBONE_CHILD = re.compile(r"(embeddings|layers|norm_f)\.")

# Suffix or substring -> why it may be left out.
_IGNORED = (
    (re.compile(r"(^|\.)input_conditioner\."), "pictures are normalised by the processor"),
    (re.compile(r"(^|\.)summary_idxs$"), "the summary head is not used"),
    (re.compile(r"^vision_model\..*\.ls[12]\.(gamma|weight)$"), "layer scale of value 1"),
    (re.compile(r"(^|\.)(rotary_emb\.|inv_freq$)"), "the model has no rotary embedding"),
    (re.compile(r"^vision_model\.(.*\.)?head_"), "heads of the encoder are not used"),
    (re.compile(r"\.mixer\.(k_proj\.k_scale|v_proj\.v_scale)$"), "the KV cache is kept in bf16"),
)


def canonical_name(name: str) -> str:
    """The released spelling of a tensor name; a name that is already released is unchanged.

    Args:
        name: As found in a file, for example "model.layers.0.norm.weight".
    """
    if name.startswith("model."):
        rest = name.removeprefix("model.")
        if rest.startswith(_ROOTS):  # an outer wrapper
            name = rest
        elif _BACKBONE_CHILD.match(rest):  # language model alone, names in memory
            return f"{BACKBONE}.{rest}"
    if name.startswith("backbone."):  # language model alone, names on disk
        return f"language_model.{name}"
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    inner = name.removeprefix("language_model.model.")
    if inner != name and _BACKBONE_CHILD.match(inner):
        return f"{BACKBONE}.{inner}"
    return name


def ignored_reason(name: str) -> str | None:
    """Why a tensor that is not expected may be left out; None when it may not."""
    return next((why for pattern, why in _IGNORED if pattern.search(name)), None)


def linear_modules(config: LMConfig) -> dict[str, tuple[int, int]]:
    """Linears inside the decoder's layers, in order: module name -> (outputs, inputs).

    These, and only these, are quantized in the released checkpoints; 136 in the 12B model.
    """
    d = config.hidden_size
    q, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    shapes = {
        "in_proj": (config.in_proj_size, d),
        "out_proj": (d, config.mamba_inner_size),
        "q_proj": (q, d),
        "k_proj": (kv, d),
        "v_proj": (kv, d),
        "o_proj": (d, q),
        "up_proj": (config.intermediate_size, d),
        "down_proj": (d, config.intermediate_size),
    }
    return {
        f"{BACKBONE}.layers.{index}.mixer.{leaf}": shapes[leaf]
        for index, kind in enumerate(config.pattern)
        for leaf in _MIXER_LINEARS[kind]
    }


def expected_tensors(config: VLMConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor of an unquantized checkpoint."""
    lm = config.lm
    result: dict[str, tuple[int, ...]] = {}
    result[f"{BACKBONE}.embeddings.weight"] = (lm.vocab_size, lm.hidden_size)
    linears = linear_modules(lm)
    for index, kind in enumerate(lm.pattern):
        layer = f"{BACKBONE}.layers.{index}"
        result[f"{layer}.norm.weight"] = (lm.hidden_size,)
        if kind == "M":
            result[f"{layer}.mixer.conv1d.weight"] = (lm.conv_dim, 1, lm.conv_kernel)
            result[f"{layer}.mixer.conv1d.bias"] = (lm.conv_dim,)
            for leaf in ("A_log", "D", "dt_bias"):
                result[f"{layer}.mixer.{leaf}"] = (lm.mamba_num_heads,)
            result[f"{layer}.mixer.norm.weight"] = (lm.mamba_inner_size,)
        for leaf in _MIXER_LINEARS[kind]:
            result[f"{layer}.mixer.{leaf}.weight"] = linears[f"{layer}.mixer.{leaf}"]
    result[f"{BACKBONE}.norm_f.weight"] = (lm.hidden_size,)
    if not lm.tie_embeddings:
        result["language_model.lm_head.weight"] = (lm.vocab_size, lm.hidden_size)
    result.update(_vision_tensors(config.vision))
    cell, wide = config.projector_input_size, config.projector.hidden_size
    result["mlp1.0.weight"] = (cell,)
    result["mlp1.1.weight"] = (wide, cell)
    result["mlp1.3.weight"] = (lm.hidden_size, wide)
    return result


def _vision_tensors(vision: VisionConfig) -> dict[str, tuple[int, ...]]:
    u, wide = vision.hidden_size, vision.intermediate_size
    result: dict[str, tuple[int, ...]] = {
        f"{VISION}.patch_generator.embedder.weight": (u, 3 * vision.patch_size**2),
        f"{VISION}.patch_generator.pos_embed": (1, vision.table_size**2, u),
        f"{VISION}.patch_generator.cls_token.token": (vision.num_prefix_tokens, u),
    }
    for index in range(vision.num_layers):
        block = f"{VISION}.blocks.{index}"
        for norm in ("norm1", "norm2"):
            result[f"{block}.{norm}.weight"] = result[f"{block}.{norm}.bias"] = (u,)
        for leaf, shape in (
            ("attn.qkv", (3 * u, u)),
            ("attn.proj", (u, u)),
            ("mlp.fc1", (wide, u)),
            ("mlp.fc2", (u, wide)),
        ):
            result[f"{block}.{leaf}.weight"] = shape
            result[f"{block}.{leaf}.bias"] = shape[:1]
    return result


def layer_of(name: str) -> int | None:
    """Number of the decoder layer a canonical name belongs to; None outside the layers."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def module_kind(module: str, pattern: str) -> str:
    """What a module is, without its layer number: "mamba.in_proj", "attention.q_proj", "lm_head".

    Args:
        module: Canonical module name.
        pattern: The decoder's pattern.
    """
    leaf = module.rsplit(".", 1)[-1]
    index = layer_of(module)
    if index is not None and index < len(pattern):
        return f"{_KIND_WORDS[pattern[index]]}.{leaf}"
    return f"vision.{leaf}" if module.startswith("vision_model.") else leaf


def part_of(name: str, pattern: str) -> str:
    """Which of `PARTS` a canonical tensor name belongs to; a pre-norm belongs to its layer."""
    if name.startswith("vision_model."):
        return "vision"
    if name.startswith("mlp1."):
        return "projector"
    if name.startswith("language_model.lm_head."):
        return "head"
    if name.startswith(f"{BACKBONE}.embeddings."):
        return "embeddings"
    index = layer_of(name)
    return _KIND_WORDS[pattern[index]] if index is not None and index < len(pattern) else "norm"
