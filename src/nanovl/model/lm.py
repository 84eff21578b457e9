"""The hybrid decoder: a pattern string becomes a stack of layers.

Every layer is `x + mixer(norm(x))`; an M layer has no MLP of its own. The residual stream stays in
model dtype.

Letters: t tokens, d width, v vocabulary.

Source: model specification, sections 1.1 and 3.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nanovl.model.config import LMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.mixers import MIXERS, Linear, RMSNorm
from nanovl.ops.linear import linear

__all__ = ["HybridLM", "Layer", "Rows"]

Rows = Literal["last", "all", "none"] | torch.Tensor


class Layer(nn.Module):
    """Norm, mixer, residual."""

    def __init__(self, config: LMConfig, kind: str, cache_index: int) -> None:
        super().__init__()
        self.kind = kind
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mixer = MIXERS[kind](config, cache_index)
        # Training: keep only the input and compute the layer again in the backward pass.
        self.recompute = False

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """(t, d) to (t, d)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self._run, x, ctx, use_reentrant=False)
        return self._run(x, ctx)

    def _run(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return x + self.mixer(self.norm(x), ctx)


class Backbone(nn.Module):
    """Embedding table, layers, final norm."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        seen = dict.fromkeys(MIXERS, 0)
        layers = []
        for kind in config.pattern:
            layers.append(Layer(config, kind, seen[kind]))
            seen[kind] += 1
        self.layers = nn.ModuleList(layers)
        self.norm_f = RMSNorm(config.hidden_size, config.norm_eps)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """Input rows (t, d) to hidden states (t, d), before the final norm."""
        for layer in self.layers:
            x = layer(x, ctx)
        if ctx.cache is not None:
            ctx.cache.advance(ctx.slots, ctx.cu_seqlens)
        return x


class HybridLM(nn.Module):
    """Decoder with its output layer.

    Args:
        config: Shape. With `tie_embeddings` there is no `lm_head` and the table is used twice.
    """

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        if not config.tie_embeddings:
            self.lm_head = Linear(config.hidden_size, config.vocab_size)

    def embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Rows of the embedding table: ids (t,) to (t, d)."""
        return self.backbone.embeddings(input_ids)

    @property
    def output_weight(self) -> torch.Tensor:
        """Weight of the output layer (v, d); the embedding table when it is tied."""
        if self.config.tie_embeddings:
            return self.backbone.embeddings.weight
        return self.lm_head.weight

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Final norm and output layer: (rows, d) to fp32 (rows, v)."""
        normed = self.backbone.norm_f(hidden)
        if self.config.tie_embeddings:
            out = linear(normed, self.backbone.embeddings.weight)
        else:
            out = self.lm_head(normed)
        return out if out.dtype == torch.float64 else out.float()  # sampling needs fp32

    def forward(self, x: torch.Tensor, ctx: ForwardContext, rows: Rows = "last") -> torch.Tensor:
        """Input rows to logits.

        Args:
            x: (t, d).
            ctx: Segments and cache; t must be its `num_rows`.
            rows: Rows to turn into logits: "last" of every segment, "all", "none", or indices.

        Returns:
            fp32 (rows, v).
        """
        hidden = self.backbone(x, ctx)
        if isinstance(rows, torch.Tensor):
            hidden = hidden[rows]
        elif rows == "last":
            hidden = hidden[ctx.last_rows()]
        elif rows == "none":  # a prefill chunk that is not the last one
            return hidden.new_empty(0, self.config.vocab_size, dtype=torch.float32)
        return self.logits(hidden)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Draw weights for training from scratch (model specification, section 2.7)."""
        std, depth = self.config.initializer_range, self.config.num_layers
        for name, parameter in self.named_parameters():
            leaf = name.rsplit(".", 1)[-1]
            if leaf == "A_log":
                heads = parameter.shape[0]
                parameter.copy_(torch.log(torch.arange(1, heads + 1, dtype=torch.float32)))
            elif leaf == "D":
                parameter.fill_(1.0)
            elif leaf == "dt_bias":
                uniform = torch.rand(parameter.shape, generator=generator)
                low, high = 1e-3, 0.1
                dt = (low * (high / low) ** uniform).clamp_min(1e-4)
                parameter.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse softplus
            elif "norm" in name:
                parameter.fill_(1.0)
            elif "conv1d" in name:
                bound = self.config.conv_kernel**-0.5
                parameter.uniform_(-bound, bound, generator=generator)
            else:
                is_out = leaf == "weight" and name.split(".")[-2] in {
                    "out_proj",
                    "o_proj",
                    "down_proj",
                }
                scale = std / depth**0.5 if is_out else std
                parameter.normal_(0.0, scale, generator=generator)
