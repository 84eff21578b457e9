"""Parts of a model read from a checkpoint one at a time: what comes before the decoder, one block
of it, and what comes behind.

Source: quantization specification, section 3.5.
"""

from __future__ import annotations

import torch
from torch import nn

from nanovl.checkpoint.keymap import BACKBONE
from nanovl.checkpoint.sources import FileSource
from nanovl.model.config import VLMConfig
from nanovl.model.lm import HybridLM, Layer
from nanovl.model.vlm import VLM

__all__ = ["block_name", "load_block", "load_front", "load_head"]


def block_name(index: int) -> str:
    """Module name of a block of the decoder."""
    return f"{BACKBONE}.layers.{index}"


def load_block(
    source: FileSource, config: VLMConfig, index: int, *, device: torch.device, dtype: torch.dtype
) -> Layer:
    """One block of the decoder with its weights."""
    with torch.device("meta"):
        layer = Layer(config.lm, config.lm.pattern[index], 0)
    _fill(source, layer, block_name(index), device, dtype)
    return layer.eval().requires_grad_(False)


def load_front(
    source: FileSource, config: VLMConfig, *, device: torch.device, dtype: torch.dtype
) -> VLM:
    """Encoder, projector and token embeddings: a model whose `embed` works and nothing else."""
    vlm = VLM(config, device="meta", dtype=dtype)
    vlm.language_model.backbone.layers = nn.ModuleList()
    _fill(source, vlm.vision_model, "vision_model", device, dtype)
    _fill(source, vlm.mlp1, "mlp1", device, dtype)
    table = vlm.language_model.backbone.embeddings
    _fill(source, table, f"{BACKBONE}.embeddings", device, dtype)
    return vlm.eval().requires_grad_(False)


def load_head(
    source: FileSource, config: VLMConfig, *, device: torch.device, dtype: torch.dtype
) -> HybridLM:
    """Final norm and output layer."""
    lm = VLM(config, device="meta", dtype=dtype).language_model
    lm.backbone.layers = nn.ModuleList()
    _fill(source, lm.backbone.norm_f, f"{BACKBONE}.norm_f", device, dtype)
    if config.lm.tie_embeddings:
        _fill(source, lm.backbone.embeddings, f"{BACKBONE}.embeddings", device, dtype)
    else:
        _fill(source, lm.lm_head, "language_model.lm_head", device, dtype)
    return lm.eval().requires_grad_(False)


def _fill(
    source: FileSource, module: nn.Module, prefix: str, device: torch.device, dtype: torch.dtype
) -> None:
    """Read every parameter of a module; exponents of the decay stay fp32."""
    for name, _ in list(module.named_parameters()):
        owner_name, _, leaf = name.rpartition(".")
        owner = module.get_submodule(owner_name)
        wide = leaf in {"A_log", "D", "dt_bias"}
        tensor = source.files.read(f"{prefix}.{name}")
        tensor = tensor.to(device, torch.promote_types(torch.float32, dtype) if wide else dtype)
        setattr(owner, leaf, nn.Parameter(tensor, requires_grad=False))
