"""What each group of linears costs in each format: the divergence of the model with only that
group rounded, and of whole mixtures.

Needs the model in memory. Hidden states in front of every block are kept, so that a group costs the
blocks behind it only.

Source: quantization specification, section 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from nanovl.checkpoint.keymap import layer_of
from nanovl.core.errors import InputError
from nanovl.core.layout import IGNORE_LABEL
from nanovl.data.packing import LoadedSample
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.ops.loss import chunked_kl
from nanovl.quant.base import QuantizedLinear
from nanovl.quant.schemes import replace_module

__all__ = ["Probe"]

Rounder = Callable[[str, str, nn.Linear], nn.Module]


class Probe:
    """A model whose linears are rounded for a moment, and the divergence measured.

    Args:
        vlm: In eval mode; it is as before after every call.
        samples: To measure on; their answers are compared.
        rounder: Makes the rounded linear out of name, format and linear.

    Raises:
        InputError: No sample has an answer.
    """

    @torch.no_grad()
    def __init__(self, vlm: VLM, samples: Sequence[LoadedSample], rounder: Rounder) -> None:
        self._vlm, self._rounder = vlm, rounder
        self._layers = vlm.language_model.backbone.layers
        self._samples: list[tuple[ForwardContext, torch.Tensor]] = []
        inputs = []
        for sample in samples:
            labels = sample.inputs.labels
            x = vlm.embed(sample.inputs).x
            if labels is None or len(labels) != len(x):
                continue
            rows = (labels[1:] != IGNORE_LABEL).nonzero()[:, 0]
            if len(rows):
                inputs.append(x)
                self._samples.append((ForwardContext(cu_seqlens=(0, len(x))), rows))
        if not inputs:
            raise InputError("no sample to measure on has an answer; give other training data")
        # Hidden states in front of every block, and behind the last: [block][sample] (t, d).
        self._hidden = [inputs]
        for layer in self._layers:
            last = self._hidden[-1]
            self._hidden.append(
                [layer(x, ctx) for x, (ctx, _) in zip(last, self._samples, strict=True)]
            )

    @torch.no_grad()
    def divergence(self, formats: Mapping[str, str]) -> float:
        """Mean nats per token with these linears rounded and all others as they are."""
        chosen = {name: f for name, f in formats.items() if f != "bf16"}
        if not chosen:
            return 0.0
        first = min(layer_of(f"{name}.") or 0 for name in chosen)
        before = {name: self._vlm.get_submodule(name) for name in chosen}
        try:
            for name, format in chosen.items():
                linear = before[name]
                assert isinstance(linear, nn.Linear)
                rounded = self._rounder(name, format, linear)
                if isinstance(rounded, QuantizedLinear):
                    rounded.emulate_activation = True
                replace_module(self._vlm, name, rounded.eval())
            return self._measure(first)
        finally:
            for name, linear in before.items():
                replace_module(self._vlm, name, linear)

    def _measure(self, first: int) -> float:
        lm = self._vlm.language_model
        total = count = 0.0
        for number, (ctx, rows) in enumerate(self._samples):
            x = self._hidden[first][number]
            for layer in self._layers[first:]:
                x = layer(x, ctx)
            after, before = (lm.backbone.norm_f(h[rows]) for h in (x, self._hidden[-1][number]))
            weight = lm.output_weight
            ones = torch.ones(len(rows), device=x.device)
            total += float(chunked_kl(after, weight, before, weight, ones)[0])
            count += len(rows)
        return total / count
