"""FP8 for a whole model: which linears, when scales change, what to report.

Delayed scales look back on the largest values of past updates. `update_fp8_scales` moves all
histories on, once per update and over all ranks; `fp8_warm_start` fills them before the first one.
The arithmetic is that of `Fp8Linear`. Must not know optimizers or process groups: reductions come
as a callable.

Source: training specification, sections 6.1, 6.2 and 9; report, section 3.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from nanovl.core.errors import ConfigError
from nanovl.model.vlm import VLM
from nanovl.quant import replace_module
from nanovl.train.fp8_linear import Format, Fp8Linear, Scaling, scale_from_amax

__all__ = [
    "Fp8Linear",
    "Fp8Plan",
    "convert_to_fp8",
    "fp8_layers",
    "fp8_stats",
    "fp8_warm_start",
    "plan_fp8",
    "update_fp8_scales",
]

logger = logging.getLogger(__name__)

KINDS = ("x", "w", "g")
# Both sides of every product must be multiples of this.
GRANULE = 16


class Fp8Plan(NamedTuple):
    """Which linears of a model run in FP8.

    Attributes:
        converted: Names, in module order.
        kept: Name of every other linear -> why it stays as it is.
    """

    converted: tuple[str, ...]
    kept: dict[str, str]


_DECODER = re.compile(r"language_model\.backbone\.layers\.(\d+)\.mixer\.\w+_proj")
_ENCODER = re.compile(r"vision_model\.radio_model\.model\.blocks\.(\d+)\.(attn|mlp)\.\w+")
_PROJECTOR = re.compile(r"mlp1\.\d+")


def plan_fp8(
    vlm: VLM,
    *,
    bf16_first: int = 2,
    bf16_last: int = 2,
    vit_bf16_first: int = 2,
    vit_bf16_last: int = 2,
) -> Fp8Plan:
    """Choose the linears that run in FP8; nothing is changed.

    Args:
        vlm: The model.
        bf16_first, bf16_last: Decoder layers at either end to leave out; a Mamba, an attention
            and an MLP layer count one each.
        vit_bf16_first, vit_bf16_last: The same for blocks of the vision encoder.
    """
    depth = vlm.config.lm.num_layers
    blocks = vlm.config.vision.num_layers
    converted, kept = [], {}
    for name, module in vlm.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        reason = "" if _PROJECTOR.fullmatch(name) else "never FP8"
        if match := _DECODER.fullmatch(name):
            reason = _at_an_end(int(match[1]), depth, bf16_first, bf16_last, "decoder layer")
        elif match := _ENCODER.fullmatch(name):
            reason = _at_an_end(
                int(match[1]), blocks, vit_bf16_first, vit_bf16_last, "encoder block"
            )
        n, k = module.weight.shape
        if not reason and (n % GRANULE or k % GRANULE):
            reason = f"{k} inputs and {n} outputs are not both multiples of {GRANULE}"
        if reason:
            kept[name] = reason
        else:
            converted.append(name)
    return Fp8Plan(tuple(converted), kept)


def _at_an_end(index: int, count: int, first: int, last: int, what: str) -> str:
    if index < first:
        return f"{what} {index} is one of the first {first}"
    if index >= count - last:
        return f"{what} {index} is one of the last {last}"
    return ""


def convert_to_fp8(
    vlm: VLM,
    *,
    scaling: Scaling = "delayed",
    bf16_first: int = 2,
    bf16_last: int = 2,
    vit_bf16_first: int = 2,
    vit_bf16_last: int = 2,
    amax_history: int = 1024,
    margin: int = 0,
    format: Format = "hybrid",
    emulate: bool | None = None,
) -> list[str]:
    """Replace linears of a model by `Fp8Linear`, in place and around the same parameters.

    Call it before the model is sharded. Arguments as for `plan_fp8` and `Fp8Linear`; current
    scaling needs no history and keeps one slot.

    Returns:
        Names of what was replaced.

    Raises:
        ConfigError: No linear is left for FP8.
    """
    plan = plan_fp8(
        vlm,
        bf16_first=bf16_first,
        bf16_last=bf16_last,
        vit_bf16_first=vit_bf16_first,
        vit_bf16_last=vit_bf16_last,
    )
    if not plan.converted:
        raise ConfigError(
            f"precision: all {len(plan.kept)} linears stay in BF16 with bf16_first {bf16_first}, "
            f"bf16_last {bf16_last}, vit_bf16_first {vit_bf16_first} and vit_bf16_last "
            f"{vit_bf16_last}; lower them, or use precision.recipe bf16"
        )
    for name in plan.converted:
        linear = vlm.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        layer = Fp8Linear.from_linear(
            linear,
            scaling=scaling,
            amax_history=amax_history if scaling == "delayed" else 1,
            margin=margin,
            format=format,
            emulate=emulate,
        )
        replace_module(vlm, name, layer)
    for name, reason in plan.kept.items():
        logger.info("%s is not FP8: %s", name, reason)
    return list(plan.converted)


def fp8_layers(model: nn.Module) -> list[Fp8Linear]:
    """The FP8 linears of a model, in module order."""
    return [m for m in model.modules() if isinstance(m, Fp8Linear)]


@torch.no_grad()
def update_fp8_scales(
    model: nn.Module, reduce_max: Callable[[torch.Tensor], None] | None = None
) -> None:
    """Move all histories on by one update and take new scales from them.

    Call it once per update, after the last pack; how the update was split into packs and ranks
    does not show in the result. A largest value that is not finite leaves its scale as it is and
    is not remembered, since one bad update must not freeze a scale for a whole history.

    Args:
        model: Any module that holds FP8 linears; none is fine.
        reduce_max: Replaces a tensor by its maximum over all ranks, in place.
    """
    layers = fp8_layers(model)
    if not layers:
        return
    histories = [layer.fp8_amax_history for layer in layers]
    scales = [layer.fp8_scale for layer in layers]
    newest = torch.stack([h[:, 0] for h in histories])  # (layers, 3)
    newest.nan_to_num_(nan=torch.inf, posinf=torch.inf)  # the maximum of NaN is not defined
    if reduce_max is not None:
        reduce_max(newest)
    seen = torch.isfinite(newest)
    history = torch.stack(histories)  # (layers, 3, history)
    history[:, :, 0] = torch.where(seen, newest, 0.0)
    amax = torch.where(seen, history.amax(2), 0.0)  # 0 keeps the scale
    limits = torch.tensor([layer.limits for layer in layers], device=amax.device)
    margin = layers[0].margin
    new = scale_from_amax(amax, limits, torch.stack(scales), margin)
    history = history.roll(-1, 2)
    history[:, :, 0] = 0.0
    torch._foreach_copy_(histories, list(history.unbind(0)))
    torch._foreach_copy_(scales, list(new.unbind(0)))


@contextmanager
def fp8_warm_start(model: nn.Module) -> Iterator[None]:
    """Inside, every tensor is scaled by itself while the histories are filled.

    One forward and backward pass inside, then `update_fp8_scales`: now the first update has
    scales, and does not depend on which of its packs came first. Both passes belong inside.
    """
    layers = fp8_layers(model)
    for layer in layers:
        layer.warm_start = True
    try:
        yield
    finally:
        for layer in layers:
            layer.warm_start = False


@torch.no_grad()
def fp8_stats(model: nn.Module) -> dict[str, float]:
    """Scales in use, and the share of values they clamped since the last call, on this rank.

    Returns:
        "scale_x_min", "scale_x_max" and "saturated_x", and the same for w and g; empty for a model
        without FP8 linears.
    """
    layers = fp8_layers(model)
    if not layers:
        return {}
    scales = torch.stack([layer.fp8_scale for layer in layers])  # (layers, 3)
    counts = [layer.fp8_saturation for layer in layers]
    clamped, seen = torch.stack(counts).sum(0).double().unbind(1)  # (3,) each
    torch._foreach_zero_(counts)
    table = torch.stack([scales.amin(0), scales.amax(0), clamped / seen.clamp_min(1)])
    names = ("scale_{}_min", "scale_{}_max", "saturated_{}")
    return {
        name.format(kind): value
        for kind, column in zip(KINDS, table.t().tolist(), strict=True)
        for name, value in zip(names, column, strict=True)
    }
