"""A small decoder that other engines take, and the language half of an exported checkpoint.

Sizes are multiples of 32, which the CPU kernels of vLLM want.

Source: quantization specification, sections 8.3 and 9.3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from nanovl.checkpoint.build import save_model
from nanovl.checkpoint.keymap import linear_modules
from nanovl.model.config import VLMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.testing import tiny_config, tiny_model, tiny_processor

__all__ = ["calibrate", "export", "last_logprobs", "prompts", "small_config", "small_model"]

_PREFIX = "language_model."


def small_config() -> VLMConfig:
    """One Mamba, two MLP and one attention layer, 256 wide."""
    config = tiny_config(pattern="M-*-")
    return replace(
        config,
        lm=replace(
            config.lm,
            hidden_size=256,
            num_heads=4,
            num_kv_heads=2,
            head_dim=64,
            intermediate_size=512,
            mamba_num_heads=32,
            mamba_head_dim=16,
            ssm_state_size=32,
            num_groups=2,
            chunk_size=64,
            max_positions=4096,
        ),
    )


def small_model() -> VLM:
    """Random weights, large enough that every layer matters."""
    return tiny_model(11, torch.bfloat16, config=small_config(), gain=2.0)


def prompts() -> list[list[int]]:
    """Ids of four prompts of different lengths."""
    generator = torch.Generator().manual_seed(7)
    lengths = (5, 24, 61, 130)
    return [torch.randint(40, 300, (n,), generator=generator).tolist() for n in lengths]


def last_logprobs(vlm: VLM) -> torch.Tensor:
    """(prompts, vocabulary), fp32: of the token after each prompt."""
    rows = []
    with torch.no_grad():
        for ids in prompts():
            x = vlm.embed_tokens(torch.tensor(ids))
            logits = vlm(x, ForwardContext(cu_seqlens=(0, len(ids))), rows="last")
            rows.append(logits[-1].float().log_softmax(-1))
    return torch.stack(rows)


def calibrate(vlm: VLM) -> dict[str, float]:
    """Linear -> largest absolute input over the prompts, q, k and v alike."""
    found: dict[str, float] = {}

    def note(name: str) -> Any:
        def hook(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            found[name] = max(found.get(name, 0.0), float(args[0].abs().max()))

        return hook

    handles = [
        vlm.get_submodule(name).register_forward_pre_hook(note(name))
        for name in linear_modules(vlm.config.lm)
    ]
    last_logprobs(vlm)
    for handle in handles:
        handle.remove()
    return found


def export(vlm: VLM, folder: Path, format: str | Mapping[str, str]) -> tuple[Path, Path]:
    """A checkpoint of the whole model, and one of its decoder alone that vLLM runs by itself.

    Returns:
        Both folders.
    """
    ours = save_model(
        vlm,
        folder / "ours",
        processor=tiny_processor(vlm.config),
        format=format,
        input_amax=calibrate(vlm),
    )
    half = folder / "decoder"
    half.mkdir()
    tensors = load_file(ours / "model.safetensors")
    save_file(
        {n.removeprefix(_PREFIX): t for n, t in tensors.items() if n.startswith(_PREFIX)},
        half / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((ours / "config.json").read_text())
    inner = config["llm_config"]
    if "quantization_config" in config:
        inner["quantization_config"] = _without_prefix(config["quantization_config"])
    (half / "config.json").write_text(json.dumps(inner))
    legacy = ours / "hf_quant_config.json"
    if legacy.is_file():
        stripped = _without_prefix(json.loads(legacy.read_text()))
        (half / legacy.name).write_text(json.dumps(stripped))
    return ours, half


def _without_prefix(value: Any) -> Any:
    """Names of modules without "language_model.", and no subtrees a decoder does not have."""
    if isinstance(value, dict):
        return {_without_prefix(k): _without_prefix(v) for k, v in value.items()}
    if isinstance(value, list):
        outside = ("mlp1", "vision_model", "re:mlp1", "re:vision_model")
        return [_without_prefix(v) for v in value if not str(v).startswith(outside)]
    return value.removeprefix(_PREFIX) if isinstance(value, str) else value
