"""What the configuration files of a checkpoint say about quantization.

Understands `hf_quant_config.json` and the section `quantization_config` as ModelOpt,
compressed-tensors and nanovl write them, and the patterns with which they list modules left alone.
Whether it is true is the business of `quantized.py`; the module opens no files.

Source: quantization specification, sections 5.2 to 5.6 and 6.1.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl.checkpoint.keymap import canonical_name
from nanovl.core.errors import CheckpointError

__all__ = ["QuantMetadata", "is_excluded", "parse_metadata"]


@dataclass(frozen=True, kw_only=True)
class QuantMetadata:
    """What the configuration files say about quantization.

    Attributes:
        method: "modelopt", "compressed-tensors", "nanovl", ...
        algo: "FP8", "NVFP4", "MIXED_PRECISION", ... in capitals; "" when not given.
        exclude: Patterns of modules left alone.
        static_inputs: Whether layers are meant to have static activation scales; None: unknown.
        kv_cache: Number format of the KV cache, None for the model's own.
        notes: Disagreements between the two files.
        label: Format of all quantized layers ("fp8", "nvfp4", "int8", "int4"), "" when unknown.
        layers: The same by module, where it is given so.
    """

    method: str = ""
    algo: str = ""
    exclude: tuple[str, ...] = ()
    static_inputs: bool | None = None
    kv_cache: str | None = None
    notes: tuple[str, ...] = ()
    label: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)


def parse_metadata(
    hf_quant_config: Mapping[str, Any] | None, quantization_config: Mapping[str, Any] | None
) -> QuantMetadata | None:
    """Merge `hf_quant_config.json` and `quantization_config`; None when there is neither.

    Where they disagree `quantization_config` is taken, as vLLM does, and a note says so.

    Raises:
        CheckpointError: A field has the wrong type.
    """
    legacy = _legacy(hf_quant_config) if hf_quant_config else None
    inline = _inline(quantization_config) if quantization_config else None
    if legacy is None or inline is None:
        return inline or legacy
    notes = []
    if legacy.algo != inline.algo:
        notes.append(f"quant_algo: {inline.algo} in config.json, {legacy.algo} in the other file")
    if set(legacy.exclude) != set(inline.exclude):
        different = sorted(set(legacy.exclude) ^ set(inline.exclude))
        notes.append(f"excluded modules differ between the two files: {', '.join(different[:5])}")
    return QuantMetadata(
        method=inline.method,
        algo=inline.algo or legacy.algo,
        exclude=inline.exclude,
        static_inputs=inline.static_inputs,
        kv_cache=inline.kv_cache or legacy.kv_cache,
        notes=tuple(notes),
        label=inline.label or legacy.label,
        layers=inline.layers or legacy.layers,
    )


def _strings(value: object, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise CheckpointError(f"{what}: expected a list of module names, got {value!r:.80}")
    return tuple(value)


def _label_of_algo(algo: object) -> str:
    """Format of one of ModelOpt's algorithms."""
    name = str(algo or "").upper()
    return "fp8" if name.startswith("FP8") else "nvfp4" if name.endswith("NVFP4") else ""


def _label_of_group(group: Mapping[str, Any]) -> str:
    """Format of the weights of a group of compressed-tensors."""
    weights = group.get("weights")
    found = weights if isinstance(weights, Mapping) else {}
    what = f"{found.get('type', 'int')} {found.get('num_bits')}".lower()
    return {"float 8": "fp8", "float 4": "nvfp4", "int 8": "int8", "int 4": "int4"}.get(what, "")


def _listed(section: Mapping[str, Any]) -> dict[str, str]:
    """Module -> format, of a map `quantized_layers`."""
    listed = section.get("quantized_layers")
    result = {}
    for name, about in (listed if isinstance(listed, Mapping) else {}).items():
        if isinstance(about, Mapping):
            result[_module(name)] = str(
                about.get("format") or _label_of_algo(about.get("quant_algo"))
            )
    return result


def _targets(groups: Mapping[str, Any]) -> dict[str, str]:
    """Module -> format, of targets that are names of modules."""
    return {
        _module(target): _label_of_group(group)
        for group in groups.values()
        if isinstance(group, Mapping) and isinstance(group.get("targets"), list)
        for target in group["targets"]
        if isinstance(target, str) and "." in target and not target.startswith("re:")
    }


def _module(name: str) -> str:
    return canonical_name(f"{name}.weight").removesuffix(".weight")


def _static_for(algo: str) -> bool | None:
    if algo in ("FP8", "NVFP4"):
        return True
    return False if algo else None


def _legacy(data: Mapping[str, Any]) -> QuantMetadata:
    where = "hf_quant_config.json"
    section = data.get("quantization")
    if not isinstance(section, Mapping):
        raise CheckpointError(f"{where}: expected an object 'quantization'")
    algo = str(section.get("quant_algo") or "").upper()
    kv = section.get("kv_cache_quant_algo")
    return QuantMetadata(
        method="modelopt",
        algo=algo,
        exclude=_strings(section.get("exclude_modules"), f"{where}: exclude_modules"),
        static_inputs=_static_for(algo),
        kv_cache=str(kv) if kv else None,
        label=_label_of_algo(algo),
        layers=_listed(section),
    )


def _inline(data: Mapping[str, Any]) -> QuantMetadata:
    where = "config.json: quantization_config"
    algo = str(data.get("quant_algo") or "").upper()
    groups = data.get("config_groups")
    static = _static_for(algo)
    method = str(data.get("quant_method") or "")
    label, layers = _label_of_algo(algo), _listed(data)
    if method == "compressed-tensors" and isinstance(groups, Mapping):
        labels = {_label_of_group(g) for g in groups.values() if isinstance(g, Mapping)}
        label = next(iter(labels)) if len(labels) == 1 else ""
        layers = _targets(groups)
    if isinstance(groups, Mapping) and groups:
        inputs = [g.get("input_activations") for g in groups.values() if isinstance(g, Mapping)]
        static = all(isinstance(i, Mapping) and i.get("dynamic") is False for i in inputs)
        if algo == "MIXED_PRECISION":
            static = None
    return QuantMetadata(
        method=method,
        algo=algo,
        exclude=_strings(data.get("ignore", data.get("exclude_modules")), f"{where}.ignore"),
        static_inputs=static,
        kv_cache="FP8" if data.get("kv_cache_scheme") else None,
        label=label,
        layers=layers,
    )


def is_excluded(module: str, patterns: Iterable[str]) -> bool:
    """Whether an ignore list covers a module, by the rules of the engines that read it.

    An entry covers a module by equality, as a substring or as a shell wildcard, also with
    "language_model." left out; `path*` covers `path` and everything below it; behind "re:" it is a
    regular expression for the beginning of a name.
    """
    names = (module, module.removeprefix("language_model."))
    for pattern in patterns:
        if pattern.startswith("re:"):
            if any(_matches(pattern.removeprefix("re:"), name) for name in names):
                return True
            continue
        short = pattern.removeprefix("language_model.")
        for name in names:
            for entry in {pattern, short}:
                if entry and (entry in name or fnmatch.fnmatchcase(name, entry)):
                    return True
                if entry.endswith("*") and (name + ".").startswith(entry[:-1].rstrip(".") + "."):
                    return True
    return False


def _matches(expression: str, name: str) -> bool:
    try:
        return re.match(expression, name) is not None
    except re.error as error:
        raise CheckpointError(
            f"quantization config: 're:{expression}' in the list of excluded modules is no regular "
            f"expression ({error})"
        ) from error
