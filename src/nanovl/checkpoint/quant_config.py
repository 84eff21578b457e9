"""The two configuration files of a quantized checkpoint, and checks that they are right.

Writes `hf_quant_config.json` and the section `quantization_config` for FP8, NVFP4 and mixtures of
them, from the formats that are really stored; `group_config.py` writes the section for checkpoints
with INT8 or INT4. Full module names stand in the ignore list, because other engines match by
substring. The module reads no tensors.

Source: quantization specification, sections 5.2 to 5.4 and 9.4.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nanovl.checkpoint.group_config import compressed_tensors_config, nanovl_config
from nanovl.checkpoint.keymap import BACKBONE, expected_tensors
from nanovl.checkpoint.quant_metadata import is_excluded
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.core.errors import CheckpointError
from nanovl.model.config import VLMConfig

__all__ = ["exclude_patterns", "quant_configs", "verify_patterns"]

# Engines recognise the format by this name; the true writer stands in `exported_by`.
_PRODUCER = {"name": "modelopt", "version": "0.47.0"}
_GROUP = 16
_ALLOWED = re.compile(r"[A-Za-z0-9_.]+\*?")


def quant_configs(
    config: VLMConfig, layers: Mapping[str, StoredLinear], *, version: str
) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
    """Contents of the two files for a set of stored layers.

    Args:
        config: The model.
        layers: Module -> format, at least for every linear of the decoder.
        version: Version of nanovl.

    Returns:
        (`hf_quant_config.json`, `quantization_config`), or None when nothing is quantized. The
        first is None for formats ModelOpt does not have.

    Raises:
        CheckpointError: The layers have formats that no family of files describes together.
    """
    quantized = {m: layer for m, layer in layers.items() if layer.kind != "plain"}
    if not quantized:
        return None
    kinds = {layer.kind for layer in quantized.values()}
    if kinds <= {"fp8", "nvfp4-ct", "int8", "int4-ct"} and kinds != {"fp8"}:
        plain = _plain_modules(config, quantized)
        return None, compressed_tensors_config(quantized, plain, version=version)
    exclude = exclude_patterns(config, quantized)
    verify_patterns(exclude, config, quantized)
    if "int4" in kinds and kinds <= {"fp8", "nvfp4", "int8", "int4", "int4-ct"}:
        return None, nanovl_config(quantized, exclude, version=version)
    if not kinds <= {"fp8", "nvfp4"}:
        raise CheckpointError(
            f"layers are stored as {', '.join(sorted(kinds))}; no format of checkpoints has all of "
            "these, convert them to others"
        )
    algos = {module: _algo(layer) for module, layer in quantized.items()}
    distinct = sorted(set(algos.values()))
    mixed = len(distinct) > 1
    name = "MIXED_PRECISION" if mixed else distinct[0]
    legacy: dict[str, Any] = {"quant_algo": name, "kv_cache_quant_algo": None}
    if name.endswith("NVFP4"):
        legacy["group_size"] = _GROUP
    legacy["exclude_modules"] = exclude
    inline: dict[str, Any] = {
        "quant_method": "modelopt",
        "quant_algo": name,
        "config_groups": {
            f"group_{number}": _group(
                algo, sorted(m for m in algos if algos[m] == algo) if mixed else ["Linear"]
            )
            for number, algo in enumerate(distinct)
        },
        "ignore": exclude,
        "producer": dict(_PRODUCER),
    }
    if mixed:
        per_layer = {
            module: {"quant_algo": algo} | ({} if algo == "FP8" else {"group_size": _GROUP})
            for module, algo in algos.items()
        }
        legacy["quantized_layers"] = inline["quantized_layers"] = per_layer
    full = {
        "producer": dict(_PRODUCER),
        "exported_by": {"name": "nanovl", "version": version},
        "quantization": legacy,
    }
    return full, inline


def _algo(layer: StoredLinear) -> str:
    if layer.kind == "fp8":
        return "FP8"
    return "NVFP4" if layer.has_input_scale else "W4A16_NVFP4"


def _group(algo: str, targets: list[str]) -> dict[str, Any]:
    number: dict[str, Any] = {"dynamic": False, "num_bits": 8, "type": "float"}
    if algo != "FP8":
        number |= {"num_bits": 4, "group_size": _GROUP}
    group: dict[str, Any] = {"weights": number, "targets": targets}
    if algo != "W4A16_NVFP4":
        group["input_activations"] = dict(number)
    return group


def _plain_modules(config: VLMConfig, quantized: Collection[str]) -> list[str]:
    """Modules with a weight that engines might take for a quantized linear, in model order.

    The head is listed even when it shares the embedding table: engines build one all the same.
    """
    names = [
        name.removesuffix(".weight")
        for name, shape in expected_tensors(config).items()
        if name.endswith(".weight") and len(shape) >= 2
    ]
    names.append("language_model.lm_head")
    return [name for name in dict.fromkeys(names) if name not in quantized]


def exclude_patterns(config: VLMConfig, quantized: Collection[str]) -> list[str]:
    """The ignore list: full names inside the language model, whole subtrees outside it."""
    subtrees = ("mlp1", "vision_model")
    names = [m for m in _plain_modules(config, quantized) if not m.startswith(subtrees)]
    first = ["language_model.lm_head", f"{BACKBONE}.embeddings"]
    rest = [name for name in names if name not in first]
    return [*(n for n in first if n in names), *rest, *(f"{tree}*" for tree in subtrees)]


def verify_patterns(patterns: Sequence[str], config: VLMConfig, quantized: Collection[str]) -> None:
    """Check an ignore list against the model, for the faults real exporters have made.

    Raises:
        CheckpointError: A pattern has forbidden characters, matches nothing or matches a quantized
            layer; or a plain layer is matched by none.
    """
    plain = _plain_modules(config, quantized)
    for pattern in patterns:
        if not _ALLOWED.fullmatch(pattern) or re.search(r"\.\d+\*?$", pattern):
            raise CheckpointError(
                f"ignore list: {pattern!r} is not a full module path or a subtree with '*' behind"
            )
        if not any(is_excluded(module, [pattern]) for module in plain):
            raise CheckpointError(f"ignore list: {pattern!r} matches no plain module of the model")
        hit = next((module for module in quantized if is_excluded(module, [pattern])), None)
        if hit is not None:
            raise CheckpointError(f"ignore list: {pattern!r} matches the quantized layer '{hit}'")
    uncovered = [module for module in plain if not is_excluded(module, patterns)]
    if uncovered:
        raise CheckpointError(
            f"ignore list: the plain layer '{uncovered[0]}' is matched by no pattern; engines "
            "would look for its scales"
        )
