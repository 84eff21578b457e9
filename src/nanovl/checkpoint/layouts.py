"""How a linear lies in a file in each format: its tensors, and making them from numbers or codes.

Three families of files share the formats. ModelOpt's hold FP8 and NVFP4; compressed-tensors' hold
these, INT8 and symmetric INT4; nanovl's own hold anything beside asymmetric INT4, which no other
engine reads. NVFP4 has other names in the second family, so the family of a file is known before
its layers are laid out. The module opens no files and decides for no layer (`encode.py` does).

Letters: n output features, k input features, g columns per group.

Source: quantization specification, sections 5.1, 5.6 and 8.1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import TensorSpec
from nanovl.ops.lowp import (
    NVFP4_BLOCK,
    fp8_encode,
    fp8_scale,
    int4_quantize,
    int4_quantize_symmetric,
    int8_quantize,
    nvfp4_encode,
    nvfp4_scale,
    pack_nibbles,
)

__all__ = [
    "COMPRESSED_TENSORS",
    "INT4_GROUP",
    "MODELOPT",
    "NANOVL",
    "UNSEEN_AMAX",
    "encode",
    "family_of",
    "holds_same_codes",
    "lay_out",
    "repack",
    "shares_scales",
    "specs",
]

# Families, by the `quant_method` they write.
MODELOPT, COMPRESSED_TENSORS, NANOVL = "modelopt", "compressed-tensors", "nanovl"

# Largest activation assumed for a layer that was never calibrated; gives an FP8 scale of 1.
UNSEEN_AMAX = 448.0

# Columns that share a scale in INT4 layers made here.
INT4_GROUP = 32

_KINDS = {
    "bf16": "plain",
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "nvfp4-w4a16": "nvfp4",
    "int8": "int8",
    "int4": "int4",
    "int4-sym": "int4-ct",
}


def family_of(formats: Collection[str]) -> str:
    """The family of files that can hold layers of these formats (keys of `quant.schemes.FORMATS`).

    The one most engines read is taken.
    """
    if "int4" in formats:
        return NANOVL
    return COMPRESSED_TENSORS if {"int8", "int4-sym"} & set(formats) else MODELOPT


def lay_out(layer: StoredLinear, format: str, family: str) -> StoredLinear:
    """How a layer will be stored.

    Args:
        layer: How it is stored now; a weight-only NVFP4 layer stays one.
        format: A key of `quant.schemes.FORMATS`.
        family: Of the file, see `family_of`.
    """
    kind = _KINDS[format]
    if kind == "nvfp4" and family == COMPRESSED_TENSORS:
        kind = "nvfp4-ct"
    roles = set(_matrix_roles(kind))
    weight_only = layer.label == "nvfp4" and not layer.has_input_scale
    # FP8 without activation scale would be read as garbage elsewhere, so it gets one.
    if kind == "fp8" or (format == "nvfp4" and not weight_only):
        roles.add("input_global_scale" if kind == "nvfp4-ct" else "input_scale")
    group_size = 0
    if kind.startswith("int4"):
        group_size = layer.group_size if layer.label == "int4" else INT4_GROUP
    return StoredLinear(
        module=layer.module,
        kind=kind,
        shape=layer.shape,
        roles=frozenset(roles),
        group_size=group_size,
    )


def _matrix_roles(kind: str) -> tuple[str, ...]:
    return {
        "plain": ("weight",),
        "fp8": ("weight", "weight_scale"),
        "nvfp4": ("weight", "weight_scale", "weight_scale_2"),
        "nvfp4-ct": ("weight_packed", "weight_scale", "weight_global_scale"),
        "int8": ("weight", "weight_scale"),
        "int4": ("weight_packed", "weight_scale", "weight_min"),
        "int4-ct": ("weight_packed", "weight_scale", "weight_shape"),
    }[kind]


def specs(layer: StoredLinear, family: str) -> tuple[TensorSpec, ...]:
    """The tensors of a layer laid out by `lay_out`."""
    n, k = layer.shape
    one: tuple[int, ...] = (1,) if family == COMPRESSED_TENSORS else ()
    forms: dict[str, tuple[str, tuple[int, ...]]] = {
        "weight_scale_2": ("F32", one),
        "weight_global_scale": ("F32", one),
        "input_scale": ("F32", one),
        "input_global_scale": ("F32", one),
    }
    if layer.kind == "plain":
        forms["weight"] = ("BF16", (n, k))
    elif layer.kind == "fp8":
        forms |= {"weight": ("F8_E4M3", (n, k)), "weight_scale": ("F32", one)}
    elif layer.label == "nvfp4":
        forms["weight" if layer.kind == "nvfp4" else "weight_packed"] = ("U8", (n, k // 2))
        forms["weight_scale"] = ("F8_E4M3", (n, k // NVFP4_BLOCK))
    elif layer.kind == "int8":
        forms |= {"weight": ("I8", (n, k)), "weight_scale": ("F32", (n, 1))}
    else:
        groups = ("BF16", (n, k // layer.group_size))
        forms |= {"weight_scale": groups, "weight_min": groups, "weight_shape": ("I64", (2,))}
        own = layer.kind == "int4"
        forms["weight_packed"] = ("U8", (n, k // 2)) if own else ("I32", (n, k // 8))
    # Matrices first: readers of a file go through it in this order.
    order = ("weight", "weight_packed", "weight_scale", "weight_min", "weight_shape")
    rest = ("weight_scale_2", "weight_global_scale", "input_scale", "input_global_scale")
    return tuple(
        TensorSpec(layer.name(role), *forms[role])
        for role in (*order, *rest)
        if role in layer.roles
    )


def shares_scales(layer: StoredLinear) -> bool:
    """Whether engines that fuse projections want one scale for all of them."""
    return layer.label in ("fp8", "nvfp4")


def holds_same_codes(layer: StoredLinear, result: StoredLinear) -> bool:
    """Whether a layer is already in the format asked for, apart from names and order of nibbles.

    Asymmetric INT4 counts as the symmetric one: `repack` finds out.
    """
    return layer.kind == result.kind or (
        layer.label == result.label and layer.label in ("nvfp4", "int4")
    )


def repack(
    packed: Mapping[str, torch.Tensor], result: StoredLinear
) -> dict[str, torch.Tensor] | None:
    """Role -> tensor of a layer whose codes exist.

    Args:
        packed: Buffers of the quantized linear (`quant.linear`), all of them.
        result: Its layout; `holds_same_codes` was true.

    Returns:
        Tensors with the elements of `specs`, shapes up to ones; None for an asymmetric INT4 weight
        that the layout cannot hold.
    """
    tensors = dict(packed)
    if result.kind == "int4-ct":
        scale, minimum = tensors["weight_scale"], tensors["weight_min"]
        if not bool((minimum == -8 * scale).all()):
            return None
        return _symmetric_tensors(tensors["weight_packed"], scale, result)
    if "input_scale" in result.roles and "input_scale" not in tensors:
        tensors["input_scale"] = fp8_scale(torch.tensor(UNSEEN_AMAX))
    if result.kind == "nvfp4-ct":
        tensors["weight_packed"] = tensors.pop("weight")
        tensors["weight_global_scale"] = tensors.pop("weight_scale_2").reciprocal()
        if "input_global_scale" in result.roles:
            tensors["input_global_scale"] = tensors.pop("input_scale").reciprocal()
    return {role: tensors[role] for role in result.roles}


def encode(
    weight: torch.Tensor,
    result: StoredLinear,
    amax: torch.Tensor | None = None,
    input_amax: float = UNSEEN_AMAX,
) -> dict[str, torch.Tensor]:
    """Role -> tensor of a layer, from its weight.

    Args:
        weight: (n, k), floating.
        result: Its layout; not plain.
        amax: Largest absolute weight of all layers it shares a scale with; FP8 and NVFP4 need it.
        input_amax: Their largest absolute input.

    Returns:
        Tensors with the elements of `specs`, shapes up to ones.

    Raises:
        InputError: A value is not finite.
    """
    what = result.name("weight")
    if result.kind == "int8":
        codes, scale = int8_quantize(weight, what=what)
        return {"weight": codes, "weight_scale": scale}
    if result.kind == "int4":
        codes, scale, minimum = int4_quantize(weight, result.group_size, what=what)
        packed = pack_nibbles(codes)
        return {"weight_packed": packed, "weight_scale": scale, "weight_min": minimum}
    if result.kind == "int4-ct":
        codes, scale = int4_quantize_symmetric(weight, result.group_size, what=what)
        return _symmetric_tensors(pack_nibbles(codes), scale, result)
    assert amax is not None, result.kind
    largest_input = torch.tensor(input_amax)
    if result.kind == "fp8":
        scale = fp8_scale(amax.to(weight.device), what=what)
        return {
            "weight": fp8_encode(weight, scale, what=what),
            "weight_scale": scale,
            "input_scale": fp8_scale(largest_input),
        }
    scale_2 = nvfp4_scale(amax.to(weight.device), what=what)
    if result.kind == "nvfp4-ct":
        # Stored as its reciprocal: encode with the number a reader will get back.
        scale_2 = scale_2.reciprocal().reciprocal()
    packed, scale, _ = nvfp4_encode(weight, scale_2, what=what)
    tensors = {"weight": packed, "weight_scale": scale, "weight_scale_2": scale_2}
    found = repack({**tensors, "input_scale": nvfp4_scale(largest_input)}, result)
    assert found is not None
    return found


def _symmetric_tensors(
    packed: torch.Tensor, scale: torch.Tensor, result: StoredLinear
) -> dict[str, torch.Tensor]:
    """Eight codes per int32, the first in the lowest bits: our nibble order, seen as int32."""
    return {
        "weight_packed": packed.contiguous().view(torch.int32),
        "weight_scale": scale,
        "weight_shape": torch.tensor(result.shape),
    }
