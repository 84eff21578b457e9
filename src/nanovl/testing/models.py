"""The smallest complete model, with weights worth comparing.

Everything is made from a seed in milliseconds; nothing is downloaded or read from disk.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nanovl.checkpoint.build import processor_config
from nanovl.engine.vlm import NanoVL
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import byte_tokenizer

__all__ = ["tiny_config", "tiny_model", "tiny_nanovl", "tiny_processor"]


def tiny_config(*, pattern: str | None = None) -> VLMConfig:
    """The preset "tiny": tiles of 64 pixels, 4 visual tokens each, 320 ids.

    Args:
        pattern: Layers of the decoder, e.g. "M*-"; None keeps the preset's.
    """
    config = preset("tiny")
    if pattern is None:
        return config
    return replace(config, lm=replace(config.lm, pattern=pattern))


def tiny_model(
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    *,
    config: VLMConfig | None = None,
    gain: float = 4.0,
) -> VLM:
    """A model with random weights, in eval mode and without gradients.

    Freshly initialised weights are so small that every layer is almost the identity and most
    mistakes disappear in rounding; matrices are therefore scaled up until logits spread over a few
    units.

    Args:
        seed: Equal seeds give equal weights, in every dtype up to rounding.
        dtype: Of the parameters.
        config: Shape; None takes `tiny_config()`.
        gain: Factor on all matrices; 1 leaves them as initialised.
    """
    model = VLM(config or tiny_config(), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2 and "conv1d" not in name:
                parameter.mul_(gain)
    converted = VLM(model.config, dtype=dtype)
    converted.load_state_dict(model.state_dict())
    return converted.eval().requires_grad_(False)


def tiny_processor(config: VLMConfig | None = None) -> Processor:
    """The processor that fits `tiny_model`, with a tokenizer whose tokens are bytes."""
    return Processor(byte_tokenizer(), processor_config(config or tiny_config()))


def tiny_nanovl(seed: int = 0, dtype: torch.dtype = torch.float32) -> NanoVL:
    """What `nanovl.load` returns, around `tiny_model` and `tiny_processor`."""
    return NanoVL(tiny_model(seed, dtype), tiny_processor())
