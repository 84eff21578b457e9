"""From weights to the tensors of a checkpoint in BF16, FP8 or NVFP4.

Plans, for every tensor of a model, the job that makes it. Only linears inside the decoder are ever
quantized; the three linears that other engines fuse (q, k, v) share their scales. The module opens
no files; `shards.py` runs the jobs.

Source: quantization specification, sections 1.2, 1.3, 2.2 and 5; model specification, section 9.5.
"""

from __future__ import annotations

import fnmatch
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nanovl.checkpoint.keymap import FP32_LEAVES, expected_tensors, linear_modules
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import DTYPES, TensorSpec
from nanovl.checkpoint.shards import Job, Put
from nanovl.checkpoint.sources import WeightSource
from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import VLMConfig
from nanovl.ops.lowp import NVFP4_BLOCK, fp8_encode, fp8_scale, nvfp4_encode, nvfp4_scale
from nanovl.ops.rowwise import finite_amax
from nanovl.quant.schemes import POLICIES, find_policy, format_of

__all__ = ["FORMATS", "UNSEEN_AMAX", "Plan", "check_format", "plan"]

logger = logging.getLogger(__name__)

# Policies whose formats a checkpoint can hold: "bf16", "fp8", "nvfp4", "nvfp4-keep-attn", ...
_STORABLE = {"bf16": "plain", "fp8": "fp8", "nvfp4": "nvfp4", "nvfp4-w4a16": "nvfp4"}
FORMATS = tuple(
    name
    for name, policy in POLICIES.items()
    if all(target in _STORABLE for _, target in policy.rules)
)

# Largest activation assumed for a layer that was never calibrated; gives an FP8 scale of 1.
UNSEEN_AMAX = 448.0

# Values copied at a time.
_CHUNK = 1 << 24


def check_format(name: str) -> str:
    """Return a format name that can be written.

    Raises:
        ConfigError: Unknown name.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"format {name!r}: expected one of {', '.join(FORMATS)}{nearest(name, FORMATS)}"
        )
    return name


@dataclass(frozen=True)
class Plan:
    """What will be written.

    Attributes:
        jobs: Work in file order.
        layers: Decoder linear -> format it will have.
    """

    jobs: list[Job]
    layers: dict[str, StoredLinear]


def plan(
    config: VLMConfig,
    source: WeightSource,
    target: str,
    *,
    keep: Sequence[str] = (),
    input_amax: Mapping[str, float] | None = None,
) -> Plan:
    """Plan the tensors of a checkpoint.

    Args:
        config: The model.
        source: Its weights.
        target: One of `FORMATS`. Layers already in the target format are copied as they are;
            others are decoded first.
        keep: Shell wildcards of linears to leave in BF16, for example "*.[qkvo]_proj".
        input_amax: Linear -> largest absolute input seen in calibration; others get `UNSEEN_AMAX`.

    Raises:
        ConfigError: Unknown format, or a wildcard that matches no linear.
        CheckpointError: A calibrated range is not a finite number above zero.
    """
    linears = linear_modules(config.lm)
    wanted = _wanted(linears, target, keep)
    ranges = input_amax or {}
    jobs: list[Job] = []
    layers: dict[str, StoredLinear] = {}
    unseen: list[str] = []
    for name, shape in expected_tensors(config).items():
        module = name.removesuffix(".weight")
        if module not in linears:
            jobs.append(_plain(source, name, shape))
            continue
        if module in layers:
            continue
        group = [source.layer(m, linears[m]) for m in _fused(module, linears)]
        results = [_result(layer, wanted[layer.module]) for layer in group]
        layers.update({layer.module: layer for layer in results})
        if all(a.kind == b.kind for a, b in zip(group, results, strict=True)):
            jobs += [_copy(source, *pair) for pair in zip(group, results, strict=True)]
            continue
        if len({layer.kind for layer in results}) > 1:
            logger.warning("%s: q, k and v differ in format; other engines refuse that", module)
        jobs += [
            _plain_weight(source, a)
            for a, b in zip(group, results, strict=True)
            if b.kind == "plain"
        ]
        encoded = [a for a, b in zip(group, results, strict=True) if b.kind != "plain"]
        if encoded:
            outputs = [layers[layer.module] for layer in encoded]
            jobs.append(_quantized(source, encoded, outputs, ranges))
            unseen += [
                out.module for out in outputs if out.has_input_scale and out.module not in ranges
            ]
    if unseen:
        logger.warning(
            "%d layers have no calibrated activation range, %g is assumed; engines that multiply "
            "in low precision lose accuracy (first: %s)",
            len(unseen),
            UNSEEN_AMAX,
            unseen[0],
        )
    return Plan(jobs, {m: layers[m] for m in linears})


def _wanted(
    linears: Mapping[str, tuple[int, int]], target: str, keep: Sequence[str]
) -> dict[str, str]:
    """Format of every linear, as in `_STORABLE`."""
    policy = find_policy(check_format(target))
    for pattern in keep:
        if not any(fnmatch.fnmatchcase(module, pattern) for module in linears):
            raise ConfigError(
                f"keep {pattern!r}: matches no linear of the language model, "
                f"for example {next(iter(linears))!r}"
            )
    result = {}
    for module, (_, k) in linears.items():
        name = format_of(module, policy)
        kept = any(fnmatch.fnmatchcase(module, pattern) for pattern in keep)
        unfit = _STORABLE[name] == "nvfp4" and k % NVFP4_BLOCK != 0
        result[module] = "bf16" if kept or unfit else name
    return result


def _fused(module: str, linears: Mapping[str, tuple[int, int]]) -> list[str]:
    """The layers that share scales with this one, itself included."""
    parent, _, leaf = module.rpartition(".")
    if leaf not in ("q_proj", "k_proj", "v_proj"):
        return [module]
    return [f"{parent}.{name}" for name in ("q_proj", "k_proj", "v_proj")]


def _result(layer: StoredLinear, name: str) -> StoredLinear:
    """What a layer will be stored as, in one of the formats of `_STORABLE`."""
    kind = _STORABLE[name]
    roles = {"weight"}
    if kind != "plain":
        roles |= {"weight_scale", "input_scale"}
    if kind == "nvfp4":
        roles.add("weight_scale_2")
    # A weight-only layer stays one. FP8 without activation scale would be read as garbage
    # elsewhere, so it gets one.
    weight_only = layer.kind == "nvfp4" and not layer.has_input_scale
    if name == "nvfp4-w4a16" or (kind == "nvfp4" and weight_only):
        roles.discard("input_scale")
    return StoredLinear(module=layer.module, kind=kind, shape=layer.shape, roles=frozenset(roles))


def _specs(layer: StoredLinear) -> tuple[TensorSpec, ...]:
    """The tensors of a layer with this format."""
    n, k = layer.shape
    scalars = sorted(layer.roles & {"weight_scale_2", "input_scale"})
    if layer.kind == "plain":
        matrices = [("weight", "BF16", (n, k))]
    elif layer.kind == "fp8":
        matrices = [("weight", "F8_E4M3", (n, k))]
        scalars.append("weight_scale")
    else:
        matrices = [
            ("weight", "U8", (n, k // 2)),
            ("weight_scale", "F8_E4M3", (n, k // NVFP4_BLOCK)),
        ]
    return (
        *(TensorSpec(layer.name(role), dtype, shape) for role, dtype, shape in matrices),
        *(TensorSpec(layer.name(role), "F32", ()) for role in scalars),
    )


def _plain(source: WeightSource, name: str, shape: tuple[int, ...]) -> Job:
    """A tensor that is stored plain; decoded first where the source has it packed."""
    if name.endswith(".weight") and len(shape) == 2:
        layer = source.layer(name.removesuffix(".weight"), (shape[0], shape[1]))
        return _plain_weight(source, layer)
    return _rows(source, name, shape, "F32" if name.rpartition(".")[2] in FP32_LEAVES else "BF16")


def _plain_weight(source: WeightSource, layer: StoredLinear) -> Job:
    if layer.kind == "plain":
        return _rows(source, layer.name("weight"), layer.shape, "BF16")

    def run(put: Put) -> None:
        put(layer.name("weight"), source.weight(layer, torch.bfloat16), None)

    return Job((TensorSpec(layer.name("weight"), "BF16", layer.shape),), run)


def _rows(source: WeightSource, name: str, shape: tuple[int, ...], dtype: str) -> Job:
    """A plain tensor, copied in pieces."""
    step = max(1, _CHUNK // max(1, math.prod(shape[1:])))

    def run(put: Put) -> None:
        for start in range(0, shape[0], step):
            piece = source.rows(name, start, min(shape[0], start + step))
            put(name, piece.to(DTYPES[dtype]), start)

    return Job((TensorSpec(name, dtype, shape),), run)


def _copy(source: WeightSource, layer: StoredLinear, result: StoredLinear) -> Job:
    """A layer that is in the target format already, tensor by tensor as it is."""
    if layer.kind == "plain":
        return _plain_weight(source, layer)

    def run(put: Put) -> None:
        tensors = dict(source.packed(layer))
        if "input_scale" in result.roles and "input_scale" not in tensors:
            tensors["input_scale"] = fp8_scale(torch.tensor(UNSEEN_AMAX))
        for role in result.roles:
            put(result.name(role), tensors[role], None)

    return Job(_specs(result), run)


def _quantized(
    source: WeightSource,
    layers: Sequence[StoredLinear],
    results: Sequence[StoredLinear],
    input_amax: Mapping[str, float],
) -> Job:
    """Layers that share their scales, encoded from their weights."""
    seen = [input_amax.get(layer.module, UNSEEN_AMAX) for layer in layers]
    for value, layer in zip(seen, layers, strict=True):
        if not math.isfinite(value) or value <= 0:
            raise CheckpointError(
                f"layer '{layer.module}': calibrated input range {value}, expected a finite "
                "number above zero; calibrate again with other samples"
            )

    def run(put: Put) -> None:
        weights = [source.weight(layer, torch.float32) for layer in layers]
        amax = torch.stack([finite_amax(w, "weight").cpu() for w in weights]).max()
        weights.reverse()
        for result in results:
            # Let go of each weight as soon as it is written.
            tensors = _encode(weights.pop(), result, amax, torch.tensor(max(seen)))
            for role in result.roles:
                put(result.name(role), tensors[role], None)

    return Job(tuple(spec for result in results for spec in _specs(result)), run)


def _encode(
    weight: torch.Tensor, result: StoredLinear, amax: torch.Tensor, input_amax: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Role -> tensor of one layer (n, k), from the shared largest values."""
    what = result.name("weight")
    if result.kind == "fp8":
        scale = fp8_scale(amax.to(weight.device), what=what)
        return {
            "weight": fp8_encode(weight, scale, what=what),
            "weight_scale": scale,
            "input_scale": fp8_scale(input_amax),
        }
    scale_2 = nvfp4_scale(amax.to(weight.device), what=what)
    packed, scale, _ = nvfp4_encode(weight, scale_2, what=what)
    return {
        "weight": packed,
        "weight_scale": scale,
        "weight_scale_2": scale_2,
        "input_scale": nvfp4_scale(input_amax),
    }
