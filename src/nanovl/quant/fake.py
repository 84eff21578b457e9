"""Linears that train in full precision and compute as if they were stored in fewer bits.

    insert_fake_quant -> calibrate -> freeze -> train -> pack_fake_quant

Per-tensor ranges of weights and inputs are set once, by `freeze`; the block scales of NVFP4 are
taken anew from the present weights and inputs in every forward pass. Gradients go straight through
the rounding and are zero where a value lies beyond the frozen range. Packing the weight gives the
numbers the layer trained with, bit for bit, for it goes through the same encoder.

Takes any `nn.Module` before it is sharded; reductions over ranks come as a callable.

Letters: n output features, k input features.

Source: quantization specification, sections 3.1 and 4.2; training specification, section 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.ops.lowp import (
    FP8_MAX,
    NVFP4_MAX,
    fp8_decode,
    fp8_encode,
    fp8_scale,
    nvfp4_decode,
    nvfp4_encode,
    nvfp4_fake_quant_activation,
    nvfp4_scale,
)
from nanovl.ops.straight_through import straight_through
from nanovl.quant.schemes import Policy, plan_formats, quantize_linear, replace_module

__all__ = [
    "FAKE_FORMATS",
    "FakeQuantLinear",
    "calibrate",
    "fake_quant_layers",
    "freeze",
    "insert_fake_quant",
    "pack_fake_quant",
]

B = TypeVar("B")

FAKE_FORMATS = ("fp8", "nvfp4", "nvfp4-w4a16")
# Projections of one input: engines fuse them, so they share one range.
_FUSED = ("q_proj", "k_proj", "v_proj")


class FakeQuantLinear(nn.Linear):
    """An `nn.Linear` that rounds its weight and its input to a number format and back.

    Args:
        linear: Its parameters are shared.
        format: One of `FAKE_FORMATS`; "nvfp4-w4a16" leaves inputs alone.
        clip_gradient: Zero gradients beyond the frozen range; False passes all of them.

    Attributes:
        input_amax: fp32 0-d, largest input seen so far.
        weight_amax: fp32 0-d, NaN until frozen.
        frozen: Whether it rounds; before that it is an ordinary linear that may only be observed.
        observing: Whether the largest input is being noted.
    """

    input_amax: torch.Tensor
    weight_amax: torch.Tensor

    def __init__(self, linear: nn.Linear, format: str, *, clip_gradient: bool = True) -> None:
        if format not in FAKE_FORMATS:
            raise ConfigError(
                f"fake quantization to {format!r}: expected one of {', '.join(FAKE_FORMATS)}"
                f"{nearest(format, FAKE_FORMATS)}"
            )
        n, k = linear.weight.shape
        super().__init__(k, n, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.format = format
        self.clip_gradient = clip_gradient
        self.frozen = False
        self.observing = False
        device = linear.weight.device
        self.register_buffer("input_amax", torch.zeros((), device=device))
        self.register_buffer("weight_amax", torch.full((), torch.nan, device=device))
        self.train(linear.training)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(..., k) to (..., n).

        Raises:
            ConfigError: Neither frozen nor being calibrated.
            InputError: A weight or an input is not finite.
        """
        if self.observing:
            self._observe(input)
            return F.linear(input, self.weight, self.bias)
        if not self.frozen:
            raise ConfigError(
                f"fake-quantized linear ({self.in_features} to {self.out_features}): its ranges "
                "are not set; call calibrate and freeze first, or load them"
            )
        return F.linear(self.fake_input(input), self.fake_weight(), self.bias)

    def fake_weight(self) -> torch.Tensor:
        """What the packed weight stands for (n, k), in the dtype of the weight."""
        w = self.weight
        if self.format == "fp8":
            scale = fp8_scale(self.weight_amax)
            rounded = fp8_decode(fp8_encode(w, scale), scale, w.dtype)
        else:
            rounded = nvfp4_decode(*nvfp4_encode(w, nvfp4_scale(self.weight_amax)), w.dtype)
        # The range is that of fp32 weights; rounded to bf16 the largest may lie a little beyond.
        limit = self._limit(self.weight_amax * (1 + 2.0**-8))
        return straight_through(w, rounded, limit=limit)

    def fake_input(self, x: torch.Tensor) -> torch.Tensor:
        """An input as the low-precision product would see it."""
        if self.format == "nvfp4-w4a16":
            return x
        if self.format == "fp8":
            scale = fp8_scale(self.input_amax)
            rounded = fp8_decode(fp8_encode(x, scale, what="activation"), scale, x.dtype)
        else:
            rounded = nvfp4_fake_quant_activation(x, nvfp4_scale(self.input_amax))
        return straight_through(x, rounded, limit=self._limit(self.input_amax))

    def _limit(self, amax: torch.Tensor) -> torch.Tensor | None:
        if not self.clip_gradient:
            return None
        limit = torch.where(amax > 0, amax, FP8_MAX if self.format == "fp8" else NVFP4_MAX)
        # One element, not 0-d: comparing bf16 with a 0-d number would round that number to bf16.
        return limit.view(1)

    @torch.no_grad()
    def _observe(self, x: torch.Tensor) -> None:
        if x.numel():
            low, high = x.aminmax()
            amax = torch.maximum(low.abs(), high.abs()).float()  # ranges are fp32 by definition
            self.input_amax.copy_(torch.maximum(self.input_amax, amax))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """`.to(dtype)` is for the parameters."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, old in before.items():
            moved = getattr(self, name)
            if moved.dtype != old.dtype:
                setattr(self, name, old.to(moved.device))
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(prefix + "weight_amax")
        if stored is not None and not stored.is_meta:
            self.frozen = not bool(stored.isnan())
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, format={self.format}"


def fake_quant_layers(module: nn.Module) -> dict[str, FakeQuantLinear]:
    """The fake-quantized linears below a module, by name."""
    return {n: m for n, m in module.named_modules() if isinstance(m, FakeQuantLinear)}


def insert_fake_quant(
    module: nn.Module, format: str, targets: Iterable[str], *, clip_gradient: bool = True
) -> list[str]:
    """Replace linears by `FakeQuantLinear`, in place and around the same parameters.

    Args:
        module: Anything; not sharded yet.
        format: One of `FAKE_FORMATS`.
        targets: Names or glob patterns. What the deny list of `quant.schemes` names, and linears
            whose input size does not fit the format, are left alone.
        clip_gradient: See `FakeQuantLinear`.

    Returns:
        Names of what was replaced, in module order.

    Raises:
        ConfigError: Unknown format, or a pattern that chooses nothing.
    """
    patterns = list(targets)
    policy = Policy(name="fake quantization", rules=tuple((p, format) for p in patterns))
    names = list(plan_formats(module, policy))
    known = [n for n, m in module.named_modules() if isinstance(m, nn.Linear)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"fake quantization: {pattern!r} chooses none of {len(known)} linears that may be "
                f"quantized{nearest(pattern, known)}"
            )
    for name in names:
        linear = module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        replace_module(module, name, FakeQuantLinear(linear, format, clip_gradient=clip_gradient))
    return names


@torch.no_grad()
def calibrate(
    module: nn.Module, batches: Iterable[B], forward: Callable[[B], object]
) -> tuple[str, ...]:
    """Note the largest input of every fake-quantized linear, without rounding anything.

    The result does not depend on the order or the size of the batches.

    Args:
        module: Holds the linears; runs in eval mode meanwhile.
        batches: At least one.
        forward: Runs the model on a batch.

    Returns:
        Names of the linears no batch reached; they are frozen with scale 1.

    Raises:
        InputError: No batch, or an input that is not finite.
    """
    layers = fake_quant_layers(module)
    training = {m: m.training for m in module.modules()}
    module.eval()
    count = 0
    try:
        for layer in layers.values():
            layer.observing = True
        for index, batch in enumerate(batches):
            forward(batch)
            count += 1
            _check_finite(layers, index)
    finally:
        for layer in layers.values():
            layer.observing = False
        for m, mode in training.items():
            m.training = mode
    if not count:
        raise InputError("calibration: no batch; at least one is needed to set activation ranges")
    return tuple(name for name, layer in layers.items() if not layer.input_amax > 0)


def _check_finite(layers: dict[str, FakeQuantLinear], index: int) -> None:
    if not layers:
        return
    amax = torch.stack([layer.input_amax for layer in layers.values()])
    bad = (~torch.isfinite(amax)).nonzero()[:, 0].tolist()
    if bad:
        name = list(layers)[bad[0]]
        raise InputError(
            f"calibration: batch {index} gives {name} an input that is not finite; leave the "
            "sample out, or check the checkpoint"
        )


@torch.no_grad()
def freeze(
    module: nn.Module,
    reduce_max: Callable[[torch.Tensor], None] | None = None,
    *,
    local: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """Fix the ranges of all fake-quantized linears: of weights as they are, of inputs as noted.

    The query, key and value projections of one attention share both ranges. Call it again to take
    the ranges of weights anew.

    Args:
        module: Holds the linears.
        reduce_max: Replaces a tensor by its maximum over all ranks, in place.
        local: This rank's part of a weight that is spread over ranks; needs `reduce_max`.

    Raises:
        InputError: A weight is not finite.
    """
    layers = fake_quant_layers(module)
    if not layers:
        return
    parts = (m.weight if local is None else local(m.weight) for m in layers.values())
    # A rank may hold no row of a small weight.
    weights = torch.stack([w.abs().amax().float() if w.numel() else w.new_zeros(()) for w in parts])
    inputs = torch.stack([m.input_amax for m in layers.values()])
    amax = torch.stack([inputs, weights.to(inputs.device)])  # sharded weights may be on the host
    amax.nan_to_num_(nan=torch.inf, posinf=torch.inf)  # the maximum of NaN is not defined
    if reduce_max is not None:
        reduce_max(amax)
    if not bool(torch.isfinite(amax).all()):
        at = int((~torch.isfinite(amax)).any(0).nonzero()[0])
        raise InputError(
            f"{list(layers)[at]}: weight or input range is not finite; check the checkpoint"
        )
    for names in _groups(list(layers)):
        for name in names.values():
            column = amax[:, list(names)].amax(1)
            layers[name].input_amax.copy_(column[0])
            layers[name].weight_amax.copy_(column[1])
            layers[name].frozen = True


def _groups(names: list[str]) -> list[dict[int, str]]:
    """Index -> name of linears that share their ranges."""
    groups: dict[str, dict[int, str]] = {}
    for index, name in enumerate(names):
        parent, _, leaf = name.rpartition(".")
        groups.setdefault(f"{parent}.qkv" if leaf in _FUSED else name, {})[index] = name
    return list(groups.values())


def pack_fake_quant(module: nn.Module) -> list[str]:
    """Replace every fake-quantized linear by the packed one it imitated, in place.

    Weights are packed from the dtype they have: after mixed-precision training bring them to the
    dtype of the forward pass first, else they are rounded from other numbers.

    Returns:
        Names of what was replaced.
    """
    layers = fake_quant_layers(module)
    for name, layer in layers.items():
        packed = quantize_linear(
            layer,
            layer.format,
            input_amax=layer.input_amax,
            weight_amax=layer.weight_amax,
            what=f"{name}.weight",
        )
        replace_module(module, name, packed)
    return list(layers)
