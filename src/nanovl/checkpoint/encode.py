"""From weights to the tensors of a checkpoint in any of its number formats.

Plans, for every tensor of a model, the job that makes it. Only linears inside the decoder are ever
quantized; the three linears that other engines fuse (q, k, v) share their scales and their format.
The module opens no files; `shards.py` runs the jobs, `layouts.py` knows the tensors of each format.

Source: quantization specification, sections 1.2, 1.3, 2.2, 5 and 8.1; model specification, section
9.5.
"""

from __future__ import annotations

import fnmatch
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nanovl.checkpoint.keymap import FP32_LEAVES, expected_tensors, linear_modules
from nanovl.checkpoint.layouts import (
    UNSEEN_AMAX,
    encode,
    family_of,
    holds_same_codes,
    lay_out,
    repack,
    shares_scales,
    specs,
)
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import DTYPES, TensorSpec
from nanovl.checkpoint.shards import Job, Put
from nanovl.checkpoint.sources import WeightSource
from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import VLMConfig
from nanovl.ops.rowwise import finite_amax
from nanovl.quant.schemes import FORMATS as LAYER_FORMATS, POLICIES, column_multiple, format_of

__all__ = ["FORMATS", "UNSEEN_AMAX", "Plan", "check_format", "plan"]

logger = logging.getLogger(__name__)

# What a checkpoint can be written in: "bf16", "fp8", "nvfp4", "nvfp4-keep-attn", "int8", ...
FORMATS = tuple(POLICIES)

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
        family: Which engines' files it will look like, one of `layouts.MODELOPT`,
            `COMPRESSED_TENSORS` and `NANOVL`.
        name: What to call the format, such as "nvfp4" or "4 bf16, 8 fp8, 6 nvfp4".
    """

    jobs: list[Job]
    layers: dict[str, StoredLinear]
    family: str
    name: str


def plan(
    config: VLMConfig,
    source: WeightSource,
    target: str | Mapping[str, str],
    *,
    keep: Sequence[str] = (),
    input_amax: Mapping[str, float] | None = None,
) -> Plan:
    """Plan the tensors of a checkpoint.

    Args:
        config: The model.
        source: Its weights.
        target: One of `FORMATS`; or decoder linear -> a key of `quant.schemes.FORMATS`, where the
            linears left out stay in BF16. Layers already in the target format are copied as they
            are; others are decoded first.
        keep: Shell wildcards of linears to leave in BF16, for example "*.[qkvo]_proj".
        input_amax: Linear -> largest absolute input seen in calibration; others get `UNSEEN_AMAX`.

    Raises:
        ConfigError: Unknown format or linear, a format a linear does not fit, a wildcard that
            matches no linear, or q, k and v of one attention in different formats.
        CheckpointError: A calibrated range is not a finite number above zero.
    """
    linears = linear_modules(config.lm)
    wanted = _wanted(linears, target, keep)
    family = family_of(set(wanted.values()))
    layers: dict[str, StoredLinear] = {}
    maker = _JobMaker(source, family, input_amax or {}, [])
    jobs: list[Job] = []
    for name, shape in expected_tensors(config).items():
        module = name.removesuffix(".weight")
        if module not in linears:
            jobs.append(_plain(source, name, shape))
            continue
        if module in layers:
            continue
        group = [source.layer(m, linears[m]) for m in _fused(module, linears)]
        results = [lay_out(layer, wanted[layer.module], family) for layer in group]
        if len({layer.kind for layer in results}) > 1:
            logger.warning("%s: q, k and v differ in format; other engines refuse that", module)
        layers.update({layer.module: layer for layer in results})
        jobs += maker.jobs(group, results)
    if maker.unseen:
        logger.warning(
            "%d layers have no calibrated activation range, %g is assumed; engines that multiply "
            "in low precision lose accuracy (first: %s)",
            len(maker.unseen),
            UNSEEN_AMAX,
            maker.unseen[0],
        )
    return Plan(jobs, {m: layers[m] for m in linears}, family, _describe(target, wanted))


def _wanted(
    linears: Mapping[str, tuple[int, int]], target: str | Mapping[str, str], keep: Sequence[str]
) -> dict[str, str]:
    """Format of every linear, as in `quant.schemes.FORMATS`."""
    for pattern in keep:
        if not any(fnmatch.fnmatchcase(module, pattern) for module in linears):
            raise ConfigError(
                f"keep {pattern!r}: matches no linear of the language model, "
                f"for example {next(iter(linears))!r}"
            )
    named = isinstance(target, str)
    chosen = _by_policy(linears, target) if isinstance(target, str) else _by_module(linears, target)
    for module in chosen:
        if any(fnmatch.fnmatchcase(module, pattern) for pattern in keep):
            chosen[module] = "bf16"
    if not named:  # a policy with exceptions is warned about instead
        _check_fused(linears, chosen)
    return chosen


def _by_policy(linears: Mapping[str, tuple[int, int]], name: str) -> dict[str, str]:
    """What a named policy gives; linears that do not fit their format stay as they are."""
    policy = POLICIES[check_format(name)]
    chosen = {module: format_of(module, policy) for module in linears}
    unfit = [m for m, (_, k) in linears.items() if k % column_multiple(chosen[m])]
    if unfit:
        logger.warning(
            "%d linears stay in bf16: %s needs a multiple of %d input features (first: %s, %d)",
            len(unfit),
            chosen[unfit[0]],
            column_multiple(chosen[unfit[0]]),
            unfit[0],
            linears[unfit[0]][1],
        )
    return chosen | dict.fromkeys(unfit, "bf16")


def _by_module(linears: Mapping[str, tuple[int, int]], target: Mapping[str, str]) -> dict[str, str]:
    for module, name in target.items():
        if module not in linears:
            raise ConfigError(
                f"format of {module!r}: no such linear in the language model"
                f"{nearest(module, linears)}"
            )
        if name not in LAYER_FORMATS:
            raise ConfigError(
                f"format {name!r} of {module!r}: expected one of {', '.join(LAYER_FORMATS)}"
                f"{nearest(name, LAYER_FORMATS)}"
            )
        if linears[module][1] % column_multiple(name):
            raise ConfigError(
                f"format {name!r} of {module!r}: it has {linears[module][1]} input features, "
                f"expected a multiple of {column_multiple(name)}; choose int8, fp8 or bf16"
            )
    return {module: target.get(module, "bf16") for module in linears}


def _check_fused(linears: Mapping[str, tuple[int, int]], chosen: Mapping[str, str]) -> None:
    """Refuse projections that other engines could not fuse."""
    for module in linears:
        group = _fused(module, linears)
        if len({chosen[m] for m in group}) > 1:
            listing = ", ".join(f"'{m}' {chosen[m]}" for m in group)
            raise ConfigError(
                f"q, k and v of one attention need one format, got {listing}; other engines "
                "multiply with all three at once"
            )


def _describe(target: str | Mapping[str, str], wanted: Mapping[str, str]) -> str:
    if isinstance(target, str):
        return target
    counts = Counter(wanted.values())
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{counts[name]} {name}" for name in LAYER_FORMATS if name in counts)


def _fused(module: str, linears: Mapping[str, tuple[int, int]]) -> list[str]:
    """The layers that share scales with this one, itself included."""
    parent, _, leaf = module.rpartition(".")
    if leaf not in ("q_proj", "k_proj", "v_proj"):
        return [module]
    return [f"{parent}.{name}" for name in ("q_proj", "k_proj", "v_proj")]


@dataclass(frozen=True)
class _JobMaker:
    """Makes the jobs of layers that may be quantized.

    Attributes:
        source: Where weights come from.
        family: Of the file.
        input_amax: Calibrated ranges.
        unseen: Filled with the layers that needed a range and have none.
    """

    source: WeightSource
    family: str
    input_amax: Mapping[str, float]
    unseen: list[str]

    def jobs(self, group: Sequence[StoredLinear], results: Sequence[StoredLinear]) -> list[Job]:
        """For the layers of one fused group, from what they are to what they become."""
        pairs = list(zip(group, results, strict=True))
        if all(holds_same_codes(a, b) for a, b in pairs):
            return [self._copy(a, b) for a, b in pairs]
        made = [self._alone(a, b) for a, b in pairs if not shares_scales(b)]
        shared = [(a, b) for a, b in pairs if shares_scales(b)]
        if shared:
            made.append(self._shared([a for a, _ in shared], [b for _, b in shared]))
            self.unseen.extend(
                b.module for _, b in shared if b.has_input_scale and b.module not in self.input_amax
            )
        return made

    def _alone(self, layer: StoredLinear, result: StoredLinear) -> Job:
        """A layer whose scales are its own, or that has none."""
        if result.kind == "plain" or holds_same_codes(layer, result):
            return self._copy(layer, result)

        def run(put: Put) -> None:
            weight = self.source.weight(layer, torch.float32)
            _put_all(put, planned, result, encode(weight, result))

        planned = specs(result, self.family)
        return Job(planned, run)

    def _copy(self, layer: StoredLinear, result: StoredLinear) -> Job:
        """A layer that is in the target format already, tensor by tensor as it is."""
        if result.kind == "plain":
            return _plain_weight(self.source, layer)

        def run(put: Put) -> None:
            tensors = repack(self.source.packed(layer), result)
            if tensors is None:  # asymmetric codes for a symmetric format
                tensors = encode(self.source.weight(layer, torch.float32), result)
            _put_all(put, planned, result, tensors)

        planned = specs(result, self.family)
        return Job(planned, run)

    def _shared(self, layers: Sequence[StoredLinear], results: Sequence[StoredLinear]) -> Job:
        """Layers that share their scales, encoded from their weights."""
        seen = [self.input_amax.get(layer.module, UNSEEN_AMAX) for layer in layers]
        for value, layer in zip(seen, layers, strict=True):
            if not math.isfinite(value) or value <= 0:
                raise CheckpointError(
                    f"layer '{layer.module}': calibrated input range {value}, expected a finite "
                    "number above zero; calibrate again with other samples"
                )

        def run(put: Put) -> None:
            weights = [self.source.weight(layer, torch.float32) for layer in layers]
            amax = torch.stack([finite_amax(w, "weight").cpu() for w in weights]).max()
            weights.reverse()
            for result in results:
                # Let go of each weight as soon as it is written.
                tensors = encode(weights.pop(), result, amax, max(seen))
                _put_all(put, specs(result, self.family), result, tensors)

        return Job(tuple(s for result in results for s in specs(result, self.family)), run)


def _put_all(
    put: Put,
    planned: Sequence[TensorSpec],
    result: StoredLinear,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    for spec in planned:
        role = spec.name.removeprefix(f"{result.module}.")
        put(spec.name, tensors[role].reshape(spec.shape), None)


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
