"""Where the weights of a checkpoint to be written come from: a model, another checkpoint.

A source hands out one tensor, or some rows of one, at a time, so that writing 12B parameters needs
memory for the largest layer only. It knows nothing of the format that is written (`encode.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from nanovl.checkpoint.hf import CheckpointFiles, all_finite
from nanovl.checkpoint.match import Match
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import dtype_name
from nanovl.core.errors import CheckpointError
from nanovl.quant.linear import Fp8Linear, Int4Linear, Int8Linear, NvFp4Linear, QuantizedLinear

__all__ = ["FileSource", "ModelSource", "WeightSource", "build_linear", "load_layer"]

_FP8_BLOCK = 128


class WeightSource(Protocol):
    """Weights by their released names."""

    def layer(self, module: str, shape: tuple[int, int]) -> StoredLinear:
        """The format a linear layer of that shape is in."""
        ...

    def dtype(self, name: str) -> str:
        """Header dtype of a plain tensor."""
        ...

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a plain tensor, of any floating dtype."""
        ...

    def weight(self, layer: StoredLinear, dtype: torch.dtype) -> torch.Tensor:
        """The whole weight (n, k): a plain one in its own dtype, a packed one in `dtype`."""
        ...

    def packed(self, layer: StoredLinear) -> Mapping[str, torch.Tensor]:
        """Buffers of the quantized linear that a packed layer becomes in memory."""
        ...


def load_layer(
    files: CheckpointFiles, layer: StoredLinear, dtype: torch.dtype
) -> QuantizedLinear | torch.Tensor:
    """Read a linear layer, still packed where there is a module for its format.

    Args:
        files: The checkpoint.
        layer: How it is stored.
        dtype: Of the result where the format can only be decoded (FP8 in blocks).

    Returns:
        A validated module with the stored tensors; or the weight (n, k) of a plain layer in its
        stored dtype, or of a decoded one.

    Raises:
        CheckpointError: A scale or code is NaN, infinite, zero or negative, or sizes disagree.
    """
    if layer.kind == "plain":
        return files.read(layer.name("weight"))
    found = {role: files.read(layer.name(role)) for role in sorted(layer.roles)}
    if layer.kind == "fp8-block":
        return _decode_blocks(files, layer, found["weight"], found["weight_scale"], dtype)
    module = build_linear(layer, found)
    module.check(f"{files.folder}: {layer.module}")
    return module


def build_linear(layer: StoredLinear, found: Mapping[str, torch.Tensor]) -> QuantizedLinear:
    """The module around stored tensors, not validated.

    Args:
        layer: How they are stored; neither plain nor FP8 in blocks.
        found: Role -> tensor.

    Raises:
        CheckpointError: They contradict each other.
    """
    n, k = layer.shape
    single = {r: t.float().reshape(()) for r, t in found.items() if t.numel() == 1}
    if layer.label == "fp8":
        fp8 = Fp8Linear(k, n, input_scale=False, device="meta")
        fp8.weight = found["weight"]
        scale = found["weight_scale"].float()  # scales are fp32 by definition
        fp8.weight_scale = scale.reshape(()) if layer.kind == "fp8" else scale.reshape(-1)
        fp8.input_scale = single.get("input_scale")
        return fp8
    if layer.label == "nvfp4":
        nvfp4 = NvFp4Linear(k, n, input_scale=False, device="meta")
        nvfp4.weight_scale = found["weight_scale"]
        if layer.kind == "nvfp4":
            nvfp4.weight = found["weight"]
            nvfp4.weight_scale_2 = single["weight_scale_2"]
            nvfp4.input_scale = single.get("input_scale")
        else:  # this exporter stores reciprocals
            nvfp4.weight = found["weight_packed"]
            nvfp4.weight_scale_2 = single["weight_global_scale"].reciprocal()
            inputs = single.get("input_global_scale")
            nvfp4.input_scale = None if inputs is None else inputs.reciprocal()
        return nvfp4
    if layer.kind == "int8":
        return Int8Linear.from_quantized(found["weight"], found["weight_scale"].float().reshape(-1))
    if layer.kind == "int4":
        int4 = Int4Linear(k, n, group_size=layer.group_size, device="meta")
        int4.weight_packed = found["weight_packed"]
        int4.weight_scale = found["weight_scale"].to(torch.bfloat16)
        int4.weight_min = found["weight_min"].to(torch.bfloat16)
        return int4
    assert layer.kind == "int4-ct", layer.kind
    stated = tuple(found["weight_shape"].tolist())
    if stated != layer.shape:
        raise CheckpointError(
            f"tensor '{layer.name('weight_shape')}': says {stated}, the packed weight holds "
            f"{layer.shape}; the checkpoint is damaged, export it again"
        )
    return Int4Linear.from_symmetric(found["weight_packed"], found["weight_scale"])


def _decode_blocks(
    files: CheckpointFiles,
    layer: StoredLinear,
    weight: torch.Tensor,
    scale: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """FP8 with one scale per 128 x 128 block, which nanovl reads but does not keep."""
    n, k = layer.shape
    grid = scale.float().reshape(-(-n // _FP8_BLOCK), -(-k // _FP8_BLOCK))
    out = torch.empty((n, k), dtype=dtype)
    for row in range(grid.shape[0]):  # one stripe of blocks at a time
        part = slice(row * _FP8_BLOCK, (row + 1) * _FP8_BLOCK)
        columns = grid[row].repeat_interleave(_FP8_BLOCK)[:k]
        out[part] = weight[part].float() * columns
    if not all_finite(out):
        raise CheckpointError(
            f"{files.folder}: layer '{layer.module}' decodes to NaN or infinite values; the "
            "checkpoint is damaged, export it again"
        )
    return out


@dataclass(frozen=True)
class FileSource:
    """Weights of another checkpoint."""

    files: CheckpointFiles
    match: Match

    def layer(self, module: str, shape: tuple[int, int]) -> StoredLinear:
        """As `WeightSource`."""
        return self.match.layers[module]

    def dtype(self, name: str) -> str:
        """As `WeightSource`."""
        return self.files.tensors[name].dtype

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """As `WeightSource`."""
        return self.files.read(name, (start, stop))

    def weight(self, layer: StoredLinear, dtype: torch.dtype) -> torch.Tensor:
        """As `WeightSource`."""
        loaded = load_layer(self.files, layer, dtype)
        return loaded if isinstance(loaded, torch.Tensor) else loaded.dequantized_weight(dtype)

    def packed(self, layer: StoredLinear) -> Mapping[str, torch.Tensor]:
        """As `WeightSource`."""
        loaded = load_layer(self.files, layer, torch.float32)
        assert isinstance(loaded, QuantizedLinear)
        return dict(loaded.named_buffers())


class ModelSource:
    """Weights of a model in memory, quantized modules included."""

    def __init__(self, model: nn.Module) -> None:
        """Take the tensors of `model` as they are; it must not change until writing has ended."""
        self._modules = dict(model.named_modules())
        self._tensors: dict[str, torch.Tensor] = dict(model.named_parameters())

    def layer(self, module: str, shape: tuple[int, int]) -> StoredLinear:
        """As `WeightSource`."""
        found = self._modules[module]
        if not isinstance(found, QuantizedLinear):
            return StoredLinear(
                module=module, kind="plain", shape=shape, roles=frozenset({"weight"})
            )
        kind, group_size = found.format, 0
        if isinstance(found, Fp8Linear) and found.weight_scale.dim():
            kind = "fp8-channel"
        roles = {name for name, _ in found.named_buffers()}
        if isinstance(found, Int4Linear):
            roles.add("weight_packed")  # also while its kernel holds the nibbles in another order
            group_size = found.group_size
        return StoredLinear(
            module=module, kind=kind, shape=shape, roles=frozenset(roles), group_size=group_size
        )

    def dtype(self, name: str) -> str:
        """As `WeightSource`."""
        return dtype_name(self._tensors[name].dtype)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """As `WeightSource`."""
        return _finite(name, self._tensors[name].detach()[start:stop])

    def weight(self, layer: StoredLinear, dtype: torch.dtype) -> torch.Tensor:
        """As `WeightSource`."""
        if layer.kind == "plain":
            name = layer.name("weight")
            return _finite(name, self._tensors[name].detach())
        module = self._modules[layer.module]
        assert isinstance(module, QuantizedLinear)
        return module.dequantized_weight(dtype)

    def packed(self, layer: StoredLinear) -> Mapping[str, torch.Tensor]:
        """As `WeightSource`."""
        return dict(self._modules[layer.module].state_dict())


def _finite(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not all_finite(tensor):
        raise CheckpointError(
            f"parameter '{name}' contains NaN or infinite values and is not written; "
            "save an earlier state of the model"
        )
    return tensor
