"""The section `quantization_config` of checkpoints that ModelOpt's format cannot describe.

INT8 and symmetric INT4, alone or beside FP8 and NVFP4, are written as compressed-tensors lays them
out, so that other engines read them. Anything with asymmetric INT4 is nanovl's own. Both sections
follow from the layers that are really stored. The module reads no tensors.

Source: quantization specification, sections 5.6 and 8.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.checkpoint.layouts import COMPRESSED_TENSORS, NANOVL
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.core.errors import CheckpointError
from nanovl.ops.lowp import NVFP4_BLOCK

__all__ = ["compressed_tensors_config", "nanovl_config", "verify_exact_patterns"]

_STORAGE = {
    "fp8": "float-quantized",
    "nvfp4-ct": "nvfp4-pack-quantized",
    "int8": "int-quantized",
    "int4-ct": "pack-quantized",
}


def compressed_tensors_config(
    layers: Mapping[str, StoredLinear], plain: Sequence[str], *, version: str
) -> dict[str, Any]:
    """The section for FP8, NVFP4, INT8 and symmetric INT4 layers.

    Args:
        layers: Module -> format of every quantized layer.
        plain: Modules an engine might take for quantized linears.
        version: Version of nanovl.

    Raises:
        CheckpointError: The list of plain modules would cover a quantized one.
    """
    schemes = {module: _scheme(layer) for module, layer in layers.items()}
    distinct: list[dict[str, Any]] = []
    for scheme in schemes.values():
        if scheme not in distinct:
            distinct.append(scheme)
    distinct.sort(key=lambda s: (s["format"], s["weights"]["group_size"] or 0))
    mixed = len(distinct) > 1
    ignore = _exact_patterns(plain)
    verify_exact_patterns(ignore, plain, layers)
    groups = {}
    for number, scheme in enumerate(distinct):
        targets = sorted(m for m in schemes if schemes[m] == scheme) if mixed else ["Linear"]
        groups[f"group_{number}"] = {"targets": targets, **scheme}
    return {
        "quant_method": COMPRESSED_TENSORS,
        "format": "mixed-precision" if mixed else distinct[0]["format"],
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": ignore,
        "config_groups": groups,
        "exported_by": {"name": "nanovl", "version": version},
    }


def nanovl_config(
    layers: Mapping[str, StoredLinear], ignore: Sequence[str], *, version: str
) -> dict[str, Any]:
    """The section for a checkpoint with asymmetric INT4 layers, which only nanovl reads.

    Args:
        layers: Module -> format of every quantized layer.
        ignore: Patterns of plain modules.
        version: Version of nanovl.
    """
    described = {
        module: {"format": layer.label}
        | ({"group_size": layer.group_size, "symmetric": layer.kind != "int4"}
           if layer.group_size else {})
        for module, layer in layers.items()
    }  # fmt: skip
    labels = {layer.label for layer in layers.values()}
    return {
        "quant_method": NANOVL,
        "format": next(iter(labels)) if len(labels) == 1 else "mixed",
        "ignore": list(ignore),
        "quantized_layers": described,
        "exported_by": {"name": "nanovl", "version": version},
    }


def _scheme(layer: StoredLinear) -> dict[str, Any]:
    """How compressed-tensors describes a layer, without its targets."""
    if layer.kind == "fp8":
        weights = _number(8, "float", "tensor")
        inputs: dict[str, Any] | None = _number(8, "float", "tensor")
    elif layer.kind == "nvfp4-ct":
        weights = _number(4, "float", "tensor_group", NVFP4_BLOCK)
        inputs = _number(4, "float", "tensor_group", NVFP4_BLOCK, dynamic="local")
        inputs = inputs if layer.has_input_scale else None
    elif layer.kind == "int8":
        weights = _number(8, "int", "channel")
        inputs = _number(8, "int", "token", dynamic=True)
    else:
        weights = _number(4, "int", "group", layer.group_size)
        inputs = None
    return {
        "format": _STORAGE[layer.kind],
        "weights": weights,
        "input_activations": inputs,
        "output_activations": None,
    }


def _number(
    bits: int,
    kind: str,
    strategy: str,
    group_size: int | None = None,
    *,
    dynamic: bool | str = False,
) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "type": kind,
        "strategy": strategy,
        "group_size": group_size,
        "symmetric": True,
        "dynamic": dynamic,
    }


def _exact_patterns(plain: Sequence[str]) -> list[str]:
    """Names as engines of this family match them: equal, or as an expression behind "re:"."""
    subtrees = ("mlp1", "vision_model")
    names = [m for m in plain if m.partition(".")[0] not in subtrees]
    return [*names, *(rf"re:{tree}\..*" for tree in subtrees)]


def verify_exact_patterns(
    patterns: Sequence[str], plain: Sequence[str], quantized: Mapping[str, StoredLinear]
) -> None:
    """Check an ignore list by the rules of compressed-tensors, for faults of real exporters.

    Raises:
        CheckpointError: A pattern matches no plain module or matches a quantized one; or a plain
            module is matched by none.
    """
    for pattern in patterns:
        if not any(_covers(pattern, module) for module in plain):
            raise CheckpointError(f"ignore list: {pattern!r} matches no plain module of the model")
        hit = next((module for module in quantized if _covers(pattern, module)), None)
        if hit is not None:
            raise CheckpointError(f"ignore list: {pattern!r} matches the quantized layer '{hit}'")
    for module in plain:
        if not any(_covers(pattern, module) for pattern in patterns):
            raise CheckpointError(
                f"ignore list: the plain layer '{module}' is matched by no pattern; engines would "
                "look for its scales"
            )


def _covers(pattern: str, module: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern.removeprefix("re:"), module) is not None
    return pattern == module
