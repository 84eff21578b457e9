"""Linears in the CPU formats: INT8 per output channel and INT4 per group.

For a few tokens (decoding) both use torch's packed matrix-vector kernels; for more they decode a
block of rows and multiply in the dtype of the input. The INT4 kernel wants its own nibble order,
which depends on the processor: it is made at first use and taken back when the module is saved or
moved, so that only the portable order ever leaves this module.

Letters: n output features, k input features, g columns per group, t tokens.

Source: quantization specification, sections 8.1 and 8.2.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import CheckpointError, InputError
from nanovl.ops.lowp import (
    int4_dequantize,
    int4_quantize,
    int8_dequantize,
    int8_quantize,
    pack_nibbles,
    unpack_nibbles,
)
from nanovl.ops.rowwise import row_slices
from nanovl.quant.base import QuantizedLinear, weight_and_bias

__all__ = ["GEMV_ROWS", "INT4_GROUPS", "Int4Linear", "Int8Linear"]

logger = logging.getLogger(__name__)

# Up to here the matrix-vector kernels beat decoding and a bf16 product.
GEMV_ROWS = 4
INT4_GROUPS = (32, 64, 128, 256)

# The INT8 kernel reads 16 bf16 columns at a time and runs past the end of a shorter row.
_INT8_KERNEL_COLUMNS = 16
# Rows are padded to this for the INT4 kernel; it covers the block sizes of all its variants.
_INT4_KERNEL_ROWS = 64


class Int8Linear(QuantizedLinear):
    """Symmetric 8-bit weight with one scale per output row.

    Attributes:
        weight: (n, k) int8.
        weight_scale: (n,) fp32; loading accepts (n, 1) too.
        gemv_rows: Tokens up to which the packed kernel is used.
    """

    format = "int8"

    weight: torch.Tensor
    weight_scale: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Allocate the module; on the meta device this costs nothing."""
        super().__init__(in_features, out_features, bias=bias, device=device)
        shape = (out_features, in_features)
        self.register_buffer("weight", torch.zeros(shape, dtype=torch.int8, device=device))
        self.register_buffer("weight_scale", torch.ones(out_features, device=device))
        self.gemv_rows = GEMV_ROWS

    @classmethod
    def from_float(
        cls,
        source: nn.Linear | torch.Tensor,
        *,
        bias: torch.Tensor | None = None,
        what: str = "weight",
    ) -> Self:
        """Quantize a linear or a weight matrix (n, k).

        Raises:
            InputError: A value is not finite.
        """
        weight, bias = weight_and_bias(source, bias)
        return cls.from_quantized(*int8_quantize(weight, what=what), bias=bias)

    @classmethod
    def from_quantized(
        cls, weight: torch.Tensor, scale: torch.Tensor, *, bias: torch.Tensor | None = None
    ) -> Self:
        """Take over int8 codes (n, k) and scales (n,) without copying them."""
        n, k = weight.shape
        module = cls(k, n, device="meta")
        module.weight, module.weight_scale, module.bias = weight, scale, bias
        return module

    def decode_rows(
        self, rows: slice, dtype: torch.dtype, *, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        return int8_dequantize(self.weight[rows], self.weight_scale[rows], dtype, out=out)

    def check(self, where: str) -> None:
        self._check_positive(where, "weight_scale")

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if (
            x.shape[0] <= self.gemv_rows
            and x.device.type == "cpu"
            and self.in_features % _INT8_KERNEL_COLUMNS == 0
            and _no_gradient(x)
        ):
            return torch._weight_int8pack_mm(
                x.contiguous(), self.weight, self.weight_scale.to(x.dtype)
            )
        if x.dtype is torch.float16:
            return super()._product(x)  # sums of bare integers would leave the range of fp16
        return self._integer_product(x)

    def _integer_product(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply with the bare integers, exact in bf16, and scale the few outputs instead."""
        y = torch.empty((x.shape[0], self.out_features), dtype=x.dtype, device=x.device)
        for rows in self._row_blocks():
            part = F.linear(x, self.weight[rows].to(x.dtype))
            y[:, rows] = part * self.weight_scale[rows]  # fp32, rounded once
        return y

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        key = prefix + "weight_scale"
        if key in state_dict and state_dict[key].shape == (self.out_features, 1):
            state_dict[key] = state_dict[key].reshape(-1)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class Int4Linear(QuantizedLinear):
    """Asymmetric 4-bit weight in groups of columns: value = q * scale + minimum.

    Attributes:
        weight_packed: (n, k / 2) uint8, even column in the low nibble; None while the kernel's
            order stands in for it (`state_dict()` brings it back).
        weight_scale, weight_min: (n, k / g) bf16.
        group_size: g.
        gemv_rows: Tokens up to which the packed kernel is used.
    """

    format = "int4"

    weight_packed: torch.Tensor | None
    weight_scale: torch.Tensor
    weight_min: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        group_size: int = 32,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Allocate the module; on the meta device this costs nothing.

        Raises:
            InputError: The group size is not 32, 64, 128 or 256, or does not divide the columns.
        """
        super().__init__(in_features, out_features, bias=bias, device=device)
        if group_size not in INT4_GROUPS or in_features % group_size:
            raise InputError(
                f"INT4 linear with {in_features} input features in groups of {group_size}: the "
                f"group size must be one of {INT4_GROUPS} and divide the features; choose another "
                "one or leave this layer in INT8"
            )
        n, k = out_features, in_features
        packed = torch.zeros((n, k // 2), dtype=torch.uint8, device=device)
        self.register_buffer("weight_packed", packed)
        for name in ("weight_scale", "weight_min"):
            values = torch.ones((n, k // group_size), dtype=torch.bfloat16, device=device)
            self.register_buffer(name, values)
        self.group_size = group_size
        self.gemv_rows = GEMV_ROWS
        self._kernel_weight: torch.Tensor | None = None  # (n padded, k / 2), opaque
        self._kernel_scales: torch.Tensor | None = None  # (k / g, n padded, 2)

    @classmethod
    def from_float(
        cls,
        source: nn.Linear | torch.Tensor,
        *,
        bias: torch.Tensor | None = None,
        group_size: int = 32,
        what: str = "weight",
    ) -> Self:
        """Quantize a linear or a weight matrix (n, k).

        Raises:
            InputError: A value is not finite, or the group size does not fit.
        """
        weight, bias = weight_and_bias(source, bias)

        def read(rows: slice) -> torch.Tensor:
            return weight[rows]

        n, k = weight.shape
        return cls.from_rows(read, n, k, weight.device, group_size, bias=bias, what=what)

    @classmethod
    def from_rows(
        cls,
        read: Callable[[slice], torch.Tensor],
        n: int,
        k: int,
        device: torch.device,
        group_size: int = 32,
        *,
        bias: torch.Tensor | None = None,
        what: str = "weight",
    ) -> Self:
        """Quantize a matrix that is read in blocks of rows; `read(rows)` gives them as numbers."""
        module = cls(k, n, group_size=group_size, device=device)
        assert module.weight_packed is not None
        for rows in row_slices(n, k, device):
            q, scale, minimum = int4_quantize(read(rows), group_size, what=what)
            module.weight_packed[rows] = pack_nibbles(q)
            module.weight_scale[rows], module.weight_min[rows] = scale, minimum
        module.bias = bias
        return module

    @classmethod
    def from_symmetric(
        cls, packed: torch.Tensor, scale: torch.Tensor, *, bias: torch.Tensor | None = None
    ) -> Self:
        """Take over compressed-tensors `pack-quantized` weights, which store q + 8.

        Args:
            packed: (n, k / 8) int32, element 0 in the lowest nibble.
            scale: (n, k / g) bf16.
            bias: (n,) or None.
        """
        n, k = packed.shape[0], 8 * packed.shape[1]
        module = cls(k, n, group_size=k // scale.shape[1], device="meta")
        module.weight_packed = packed.contiguous().view(torch.uint8)
        module.weight_scale = scale.to(torch.bfloat16)
        module.weight_min = -8 * module.weight_scale  # exact: only the exponent changes
        module.bias = bias
        return module

    def decode_rows(
        self, rows: slice, dtype: torch.dtype, *, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        packed = self.weight_packed  # another thread may be packing right now
        q = self._codes_from_kernel(rows) if packed is None else unpack_nibbles(packed[rows])
        return int4_dequantize(q, self.weight_scale[rows], self.weight_min[rows], dtype, out=out)

    def check(self, where: str) -> None:
        self._check_positive(where, "weight_scale")
        if not bool(torch.isfinite(self.weight_min).all()):
            raise CheckpointError(
                f"{where}.weight_min: holds NaN or infinity, expected finite numbers; the file is "
                "damaged: convert the checkpoint again"
            )

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] <= self.gemv_rows and x.device.type == "cpu" and _no_gradient(x):
            kernel = _int4_kernel()
            if kernel.works:
                weight, scales = self._kernel_form(kernel, x.dtype)
                y = torch._weight_int4pack_mm_for_cpu(
                    x.contiguous(), weight, self.group_size, scales
                )
                return y[:, : self.out_features].contiguous()
        return super()._product(x)

    def _kernel_form(
        self, kernel: _Int4Kernel, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight in the kernel's order and (scale, zero) pairs in the input's dtype."""
        packed = self.weight_packed
        if self._kernel_weight is None:
            assert packed is not None
            padded = -(-self.out_features // _INT4_KERNEL_ROWS) * _INT4_KERNEL_ROWS
            target = torch.empty((padded, self.in_features // 2), dtype=torch.uint8)
            step = 1024  # rows, a multiple of the kernel's block; bounds the int32 copy
            for start in range(0, padded, step):
                codes = unpack_nibbles(packed[start : start + step]).int()
                short = min(step, padded - start) - codes.shape[0]
                codes = F.pad(codes, (0, 0, 0, short))
                target[start : start + step] = torch._convert_weight_to_int4pack_for_cpu(codes, 1)
            self._kernel_weight = target
            if kernel.block is not None:
                self.weight_packed = None  # can be read back: no need to hold it twice
        if self._kernel_scales is None or self._kernel_scales.dtype != dtype:
            self._kernel_scales = self._scale_zero_pairs(dtype)
        return self._kernel_weight, self._kernel_scales

    def _scale_zero_pairs(self, dtype: torch.dtype) -> torch.Tensor:
        """(k / g, n padded, 2): the kernel computes (q - 8) * scale + zero."""
        scale = self.weight_scale.float()  # the zero point is rounded once, from fp32
        pairs = torch.stack([scale, self.weight_min.float() + 8 * scale], dim=-1).to(dtype)
        short = -self.out_features % _INT4_KERNEL_ROWS
        return F.pad(pairs.transpose(0, 1), (0, 0, 0, short)).contiguous()

    def _codes_from_kernel(self, rows: slice) -> torch.Tensor:
        """Read nibbles (rows, k) back out of the kernel's order."""
        block = _int4_kernel().block
        assert block is not None
        assert self._kernel_weight is not None
        first, last = rows.start // block, -(-rows.stop // block)
        codes = _read_kernel_order(self._kernel_weight[first * block : last * block], block)
        return codes[rows.start - first * block : rows.stop - first * block]

    def _restore_portable_order(self) -> None:
        """Drop the kernel's order; it is made again at the next short input."""
        if self.weight_packed is None:
            n, k = self.out_features, self.in_features
            with torch.inference_mode(False):  # it may be loaded into later
                packed = torch.empty((n, k // 2), dtype=torch.uint8)
            for rows in row_slices(n, k, packed.device):
                packed[rows] = pack_nibbles(self._codes_from_kernel(rows))
            self.weight_packed = packed
        self._kernel_weight = self._kernel_scales = None

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        self._restore_portable_order()
        return super()._apply(fn, recurse)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        self._restore_portable_order()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._restore_portable_order()
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class _Int4Kernel:
    """What was found out about this processor's INT4 kernel.

    Attributes:
        works: It is there and its product was right.
        block: Rows per block when the nibble order is understood, else None.
    """

    works: bool
    block: int | None


@functools.cache
def _int4_kernel() -> _Int4Kernel:
    """Try the kernel once on a small matrix and learn its nibble order."""
    n, k, group = 2 * _INT4_KERNEL_ROWS, 64, 32
    generator = torch.Generator().manual_seed(0)
    q = torch.randint(0, 16, (n, k), generator=generator, dtype=torch.int32, device="cpu")
    x = torch.randn((2, k), generator=generator, device="cpu")
    pairs = torch.ones((k // group, n, 2), device="cpu")  # scale 1, zero 1: value = q - 7
    try:
        packed = torch._convert_weight_to_int4pack_for_cpu(q, 1)
        y = torch._weight_int4pack_mm_for_cpu(x, packed, group, pairs)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        logger.info("INT4 kernel not available on this processor, decoding instead: %s", error)
        return _Int4Kernel(works=False, block=None)
    if not torch.allclose(y, x @ (q - 7).float().t(), rtol=1e-2, atol=1e-1):
        logger.warning("INT4 kernel returned wrong numbers on this processor, decoding instead")
        return _Int4Kernel(works=False, block=None)
    for block in (64, 32, 16):
        if torch.equal(_read_kernel_order(packed, block).int(), q):
            return _Int4Kernel(works=True, block=block)
    return _Int4Kernel(works=True, block=None)


def _read_kernel_order(packed: torch.Tensor, block: int) -> torch.Tensor:
    """Undo the kernel's order for blocks of rows: per block and column, half a block of bytes.

    A byte holds row j in its low nibble and row j + block / 2 in its high one.
    """
    n, half_k = packed.shape
    bytes_ = packed.view(n // block, 2 * half_k, block // 2).transpose(1, 2).contiguous()
    codes = torch.cat([bytes_ & 15, bytes_ >> 4], dim=1)  # (blocks, block, k)
    return codes.view(n, 2 * half_k)


def _no_gradient(x: torch.Tensor) -> bool:
    """The packed kernels have no backward pass."""
    return not (torch.is_grad_enabled() and x.requires_grad)
