"""Which number format every linear layer is stored in, found from the tensors themselves.

Detection looks at dtypes, shapes and companion tensors only; what configuration files say
(`quant_metadata.py`) is cross-checked, and never decides. The module reads no tensor data
(`sources.py` does) and writes nothing (`quant_config.py` does).

Source: quantization specification, sections 5.6, 6.1 and 6.2; model specification, section 9.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nanovl.checkpoint.quant_metadata import QuantMetadata, is_excluded
from nanovl.core.errors import CheckpointError

__all__ = [
    "COMPANIONS",
    "StoredLinear",
    "cross_check",
    "detect",
    "module_of",
    "needs_input_scale",
]

# Everything that may stand beside a weight, longest first so that suffixes are unambiguous.
COMPANIONS = (
    "weight_global_scale",
    "weight_zero_point",
    "input_global_scale",
    "weight_scale_inv",
    "weight_scale_2",
    "weight_packed",
    "weight_scale",
    "weight_shape",
    "input_scale",
    "weight_min",
    "weight",
)

_INT4_GROUPS = (32, 64, 128, 256)
_FLOAT = frozenset({"BF16", "F16", "F32"})


class HeaderEntry(Protocol):
    """What detection needs to know about a tensor."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, kw_only=True)
class StoredLinear:
    """How one linear layer is stored.

    Attributes:
        module: Canonical module name.
        kind: "plain", "fp8", "fp8-channel", "fp8-block", "nvfp4", "int8", "int4" (asymmetric,
            nanovl's own layout), or with "-ct" behind what compressed-tensors lays out otherwise:
            "nvfp4-ct", "int4-ct" (symmetric).
        shape: (outputs, inputs) of the weight it stands for.
        roles: Companion roles that are present, "weight" or "weight_packed" included.
        group_size: Columns that share a scale, for INT4; 0 for the others.
    """

    module: str
    kind: str
    shape: tuple[int, int]
    roles: frozenset[str]
    group_size: int = 0

    @property
    def label(self) -> str:
        """Name of the format without its on-disk variant."""
        return self.kind.split("-")[0]

    @property
    def has_input_scale(self) -> bool:
        """Whether a static activation scale is stored."""
        return bool(self.roles & {"input_scale", "input_global_scale"})

    def name(self, role: str) -> str:
        """Name of the tensor with a role."""
        return f"{self.module}.{role}"


def module_of(name: str) -> tuple[str, str] | None:
    """Split a tensor name into module and companion role; None for other tensors."""
    module, _, role = name.rpartition(".")
    return (module, role) if module and role in COMPANIONS else None


def detect(module: str, entries: Mapping[str, HeaderEntry]) -> StoredLinear:
    """Find the format of a layer.

    Args:
        module: Its name, for messages.
        entries: Companion role -> dtype and shape, for all tensors of the module found on disk.

    Raises:
        CheckpointError: A combination no known exporter writes.
    """
    found = {role: (e.dtype, e.shape) for role, e in entries.items()}
    main = found.get("weight") or found.get("weight_packed")
    if main is None or len(main[1]) != 2:
        raise _unknown(module, found)
    (dtype, (n, k)), scale = main, found.get("weight_scale")
    packed = "weight_packed" in found
    if packed and "weight" in found:
        raise _unknown(module, found)
    kind = ""
    if not packed and dtype in _FLOAT and not set(found) - {"weight"}:
        kind = "plain"
    elif not packed and dtype == "F8_E4M3" and scale is not None and scale[0] in _FLOAT:
        kind = _fp8_kind(scale[1], n, k)
    elif not packed and dtype == "U8" and "weight_scale_2" in found and _is_nvfp4(scale, n, k):
        kind, k = "nvfp4", 2 * k
    elif packed and dtype == "U8" and "weight_global_scale" in found and _is_nvfp4(scale, n, k):
        kind, k = "nvfp4-ct", 2 * k
    elif not packed and dtype == "I8" and scale is not None and scale[1] in ((n,), (n, 1)):
        kind = "int8"
    elif packed and dtype == "I32" and "weight_shape" in found and _is_int4(scale, n, 8 * k):
        kind, k = "int4-ct", 8 * k
    elif packed and dtype == "U8" and "weight_min" in found and _is_int4(scale, n, 2 * k):
        own = scale is not None and scale[0] == "BF16" and found["weight_min"] == scale
        kind, k = ("int4" if own else ""), 2 * k
    if not kind or set(found) - _ROLES[kind]:
        raise _unknown(module, found)
    for role in ("weight_scale_2", "weight_global_scale", "input_scale", "input_global_scale"):
        if role in found and (found[role][1] not in ((), (1,), (1, 1)) or found[role][0] != "F32"):
            raise CheckpointError(
                f"tensor '{module}.{role}': got {found[role][0]} {list(found[role][1])}, "
                "expected one F32 number"
            )
    group_size = k // scale[1][1] if scale is not None and kind.startswith("int4") else 0
    return StoredLinear(
        module=module, kind=kind, shape=(n, k), roles=frozenset(found), group_size=group_size
    )


_ROLES = {
    "plain": {"weight"},
    "fp8": {"weight", "weight_scale", "input_scale"},
    "fp8-channel": {"weight", "weight_scale", "input_scale"},
    "fp8-block": {"weight", "weight_scale"},
    "nvfp4": {"weight", "weight_scale", "weight_scale_2", "input_scale"},
    "nvfp4-ct": {"weight_packed", "weight_scale", "weight_global_scale", "input_global_scale"},
    "int8": {"weight", "weight_scale"},
    "int4": {"weight_packed", "weight_scale", "weight_min"},
    "int4-ct": {"weight_packed", "weight_scale", "weight_shape"},
}


def _fp8_kind(scale: tuple[int, ...], n: int, k: int) -> str:
    if scale in ((), (1,), (1, 1)):
        return "fp8"
    if scale in ((n,), (n, 1)):
        return "fp8-channel"
    grid = (scale[0], scale[2]) if len(scale) == 4 else scale
    return "fp8-block" if grid == (-(-n // 128), -(-k // 128)) else ""


def _is_nvfp4(scale: tuple[str, tuple[int, ...]] | None, n: int, half: int) -> bool:
    return scale is not None and scale == ("F8_E4M3", (n, half // 8)) and half % 8 == 0


def _is_int4(scale: tuple[str, tuple[int, ...]] | None, n: int, k: int) -> bool:
    shapes = [(n, k // group) for group in _INT4_GROUPS if k % group == 0]
    return scale is not None and scale[0] in _FLOAT and scale[1] in shapes


def _unknown(module: str, found: Mapping[str, tuple[str, tuple[int, ...]]]) -> CheckpointError:
    listing = ", ".join(f"{role} {d} {list(s)}" for role, (d, s) in sorted(found.items()))
    return CheckpointError(
        f"layer '{module}': {listing or 'no tensors'} is no combination nanovl knows; expected a "
        "plain, FP8, NVFP4, INT8 or INT4 layer as written by ModelOpt, compressed-tensors or nanovl"
    )


def cross_check(layers: Mapping[str, StoredLinear], metadata: QuantMetadata | None) -> list[str]:
    """Compare what is stored with what the configuration files say.

    Args:
        layers: Detected formats of all layers that could be quantized.
        metadata: Content of the configuration files.

    Returns:
        One message per disagreement; the tensors win in every case.
    """
    quantized = [m for m, layer in layers.items() if layer.kind != "plain"]
    if metadata is None:
        return ["quantized tensors without any quantization config"] if quantized else []
    notes = list(metadata.notes)
    if metadata.algo not in ("", "MIXED_PRECISION") and not quantized:
        notes.append(f"the config says {metadata.algo} but every layer is stored plain")
    for module in quantized:
        if is_excluded(module, metadata.exclude):
            notes.append(f"'{module}' is listed as excluded but stored quantized")
        stated, label = metadata.layers.get(module, metadata.label), layers[module].label
        if stated and stated != label:
            notes.append(f"'{module}' is stored as {label}, the config says {stated}")
    for module in metadata.layers:
        if module in layers and layers[module].kind == "plain":
            notes.append(f"'{module}' is listed as {metadata.layers[module]} but stored plain")
    if quantized:
        names = {_own_name(m) for m in quantized} | {"lm_head"}
        for module, layer in layers.items():
            # What engines build as a quantized linear unless they are told otherwise.
            expected = _own_name(module) in names or ".mixer." in module
            if layer.kind == "plain" and expected and not is_excluded(module, metadata.exclude):
                notes.append(f"'{module}' is stored plain but not listed as excluded")
    return notes


def _own_name(module: str) -> str:
    return module.rpartition(".")[2]


def needs_input_scale(
    layers: Mapping[str, StoredLinear], metadata: QuantMetadata | None
) -> list[str]:
    """Layers that lack the static activation scale they must have.

    A layer must have one when the config promises static activations, or when another layer of
    the same format has one.

    Returns:
        Names of the missing tensors.
    """
    missing = []
    formats = {layer.kind for layer in layers.values() if layer.has_input_scale}
    for layer in layers.values():
        if layer.kind not in ("fp8", "nvfp4", "nvfp4-ct") or layer.has_input_scale:
            continue
        promised = metadata is not None and metadata.static_inputs is True
        if promised or layer.kind in formats:
            role = "input_global_scale" if layer.kind == "nvfp4-ct" else "input_scale"
            missing.append(layer.name(role))
    return missing
