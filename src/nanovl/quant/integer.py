"""Linears in the CPU formats: INT8 per output channel and INT4 per group.

For a few tokens (decoding) both use torch's packed matrix-vector kernels; for more they decode a
block of rows and multiply in the dtype of the input. The INT4 kernel wants its own nibble order,
which depends on the processor: it is made at first use and taken back when the module is saved or
moved, so that only the portable order ever leaves this module.

Letters: n output features, k input features, g columns per group, t tokens.

Source: quantization specification, sections 8.1 and 8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import CheckpointError, InputError
from nanovl.ops.lowp import (
    int4_dequantize,
    int4_quantize,
    int4_quantize_symmetric,
    int8_dequantize,
    int8_quantize,
    pack_nibbles,
    unpack_nibbles,
)
from nanovl.ops.rowwise import row_slices
from nanovl.quant.base import QuantizedLinear, weight_and_bias
from nanovl.quant.int4_kernel import KERNEL_ROWS, Int4Kernel, int4_kernel, read_kernel_order

__all__ = ["GEMV_ROWS", "INT4_GROUPS", "Int4Linear", "Int8Linear"]

# Up to here the matrix-vector kernels beat decoding and a bf16 product.
GEMV_ROWS = 4
INT4_GROUPS = (32, 64, 128, 256)

# The INT8 kernel reads 16 bf16 columns at a time and runs past the end of a shorter row.
_INT8_KERNEL_COLUMNS = 16


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
        symmetric: bool = False,
        what: str = "weight",
    ) -> Self:
        """Quantize a linear or a weight matrix (n, k).

        Args:
            source: What to quantize; it is not changed.
            bias: (n,), when `source` is a matrix.
            group_size: g.
            symmetric: Use minima of -8 * scale, as formats for interchange know them.
            what: Name of the weight, for messages.

        Raises:
            InputError: A value is not finite, or the group size does not fit.
        """
        weight, bias = weight_and_bias(source, bias)

        def read(rows: slice) -> torch.Tensor:
            return weight[rows]

        n, k = weight.shape
        device = weight.device
        return cls.from_rows(
            read, n, k, device, group_size, symmetric=symmetric, bias=bias, what=what
        )

    @classmethod
    def from_rows(
        cls,
        read: Callable[[slice], torch.Tensor],
        n: int,
        k: int,
        device: torch.device,
        group_size: int = 32,
        *,
        symmetric: bool = False,
        bias: torch.Tensor | None = None,
        what: str = "weight",
    ) -> Self:
        """Quantize a matrix that is read in blocks of rows; `read(rows)` gives them as numbers."""
        module = cls(k, n, group_size=group_size, device=device)
        assert module.weight_packed is not None
        for rows in row_slices(n, k, device):
            if symmetric:
                q, scale = int4_quantize_symmetric(read(rows), group_size, what=what)
                minimum = -8 * scale  # exact: only the exponent changes
            else:
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
            kernel = int4_kernel()
            if kernel.works:
                weight, scales = self._kernel_form(kernel, x.dtype)
                y = torch._weight_int4pack_mm_for_cpu(
                    x.contiguous(), weight, self.group_size, scales
                )
                return y[:, : self.out_features].contiguous()
        return super()._product(x)

    def _kernel_form(
        self, kernel: Int4Kernel, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight in the kernel's order and (scale, zero) pairs in the input's dtype."""
        packed = self.weight_packed
        if self._kernel_weight is None:
            assert packed is not None
            padded = -(-self.out_features // KERNEL_ROWS) * KERNEL_ROWS
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
        short = -self.out_features % KERNEL_ROWS
        return F.pad(pairs.transpose(0, 1), (0, 0, 0, short)).contiguous()

    def _codes_from_kernel(self, rows: slice) -> torch.Tensor:
        """Read nibbles (rows, k) back out of the kernel's order."""
        block = int4_kernel().block
        assert block is not None
        assert self._kernel_weight is not None
        first, last = rows.start // block, -(-rows.stop // block)
        codes = read_kernel_order(self._kernel_weight[first * block : last * block], block)
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


def _no_gradient(x: torch.Tensor) -> bool:
    """The packed kernels have no backward pass."""
    return not (torch.is_grad_enabled() and x.requires_grad)
