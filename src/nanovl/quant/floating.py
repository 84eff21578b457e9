"""Linears in the two released formats: FP8 E4M3 and NVFP4.

Weight-only by default: the weight is decoded block by block and multiplied in the dtype of the
input. FP8 uses the hardware's FP8 product where a probe has shown that it gives right numbers.
Neither module calibrates anything; scales come from the caller or the checkpoint.

Letters: n output features, k input features, t tokens.

Source: quantization specification, sections 1, 2 and 6.3.
"""

from __future__ import annotations

import logging
from typing import Any, Self

import torch
from torch import nn

from nanovl.core.errors import CheckpointError, InputError
from nanovl.ops.lowp import (
    NVFP4_BLOCK,
    fp8_cast,
    fp8_decode,
    fp8_encode,
    fp8_scale,
    nvfp4_decode,
    nvfp4_encode,
    nvfp4_fake_quant_activation,
    nvfp4_scale,
)
from nanovl.ops.rowwise import finite_amax
from nanovl.quant.base import QuantizedLinear, amax_tensor, weight_and_bias

__all__ = ["Fp8Linear", "NvFp4Linear", "fp8_matmul_works"]

logger = logging.getLogger(__name__)

_NAN_CODE = 0x7F  # E4M3, without the sign bit


class _StaticInputLinear(QuantizedLinear):
    """A linear with a static scale for its input, when there is one."""

    input_scale: torch.Tensor | None

    def _fit_input_scale(self, state: dict[str, Any], prefix: str) -> None:
        """Accept the shapes of `input_scale`, and a scale where none was expected."""
        key = prefix + "input_scale"
        self._fit_scalar(state, key)
        if key in state and self.input_scale is None:
            device = next(self.buffers()).device
            self.input_scale = torch.ones((), device=device)


class Fp8Linear(_StaticInputLinear):
    """FP8 weight with one scale, or one per output row, and a static input scale.

    Attributes:
        weight: (n, k) float8_e4m3fn.
        weight_scale: () or (n,) fp32; loading accepts (1,), (1, 1) and (n, 1) too.
        input_scale: () fp32, calibrated amax / 448; None for a weight-only module.
        use_fp8_matmul: On a GPU that multiplies FP8, quantize the input and use it.
    """

    format = "fp8"

    weight: torch.Tensor
    weight_scale: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        per_channel: bool = False,
        input_scale: bool = True,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Allocate the module; on the meta device this costs nothing."""
        super().__init__(in_features, out_features, bias=bias, device=device)
        shape = (out_features, in_features)
        self.register_buffer("weight", torch.zeros(shape, dtype=torch.float8_e4m3fn, device=device))
        scales = (out_features,) if per_channel else ()
        self.register_buffer("weight_scale", torch.ones(scales, device=device))
        self.register_buffer("input_scale", torch.ones((), device=device) if input_scale else None)
        self.use_fp8_matmul = True

    @classmethod
    def from_float(
        cls,
        source: nn.Linear | torch.Tensor,
        *,
        bias: torch.Tensor | None = None,
        input_amax: torch.Tensor | float | None = None,
        weight_amax: torch.Tensor | float | None = None,
        per_channel: bool = False,
        what: str = "weight",
    ) -> Self:
        """Quantize a linear or a weight matrix (n, k).

        Args:
            source: What to quantize; it is not changed.
            bias: (n,), when `source` is a matrix.
            input_amax: Calibrated largest input; None gives a weight-only module, 0 scale 1.
            weight_amax: Common maximum of fused projections; None takes the matrix's own.
            per_channel: One scale per output row instead of one for all.
            what: Name of the weight, for messages.

        Raises:
            InputError: A value is not finite.
        """
        weight, bias = weight_and_bias(source, bias)
        n, k = weight.shape
        module = cls(k, n, per_channel=per_channel, input_scale=False, device="meta")
        if weight_amax is not None:
            amax = amax_tensor(weight_amax, weight.device)
        else:
            amax = finite_amax(weight, what)
            if per_channel:
                low, high = weight.aminmax(dim=1)
                amax = torch.maximum(low.float().abs(), high.float().abs())
        module.weight_scale = fp8_scale(amax, what=what)
        module.weight = fp8_encode(weight, module.weight_scale, what=what)
        if input_amax is not None:
            module.input_scale = fp8_scale(amax_tensor(input_amax, weight.device), what=what)
        module.bias = bias
        return module

    def decode_rows(
        self, rows: slice, dtype: torch.dtype, *, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        scale = self.weight_scale if self.weight_scale.dim() == 0 else self.weight_scale[rows]
        return fp8_decode(self.weight[rows], scale, dtype, out=out)

    def quantize_activation(self, x: torch.Tensor) -> torch.Tensor | None:
        if self.input_scale is None:
            return None
        return fp8_decode(fp8_cast(x, self.input_scale), self.input_scale, torch.float32)

    def check(self, where: str) -> None:
        self._check_positive(where, "weight_scale", "input_scale")
        codes = self.weight.view(torch.uint8)
        if bool(((codes & _NAN_CODE) == _NAN_CODE).any()):
            raise CheckpointError(
                f"{where}.weight: holds NaN codes, expected finite E4M3 numbers; the tensor was "
                "all zero at export or the file is damaged: export it again"
            )

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if self._can_multiply_fp8(x):
            return self._scaled_product(x)
        return super()._product(x)

    def _can_multiply_fp8(self, x: torch.Tensor) -> bool:
        return (
            self.use_fp8_matmul
            and x.device.type == "cuda"
            and self.input_scale is not None
            and self.weight_scale.dim() == 0
            and self.in_features % 16 == 0
            and self.out_features % 16 == 0
            and not (torch.is_grad_enabled() and x.requires_grad)
            and fp8_matmul_works(x.device)
        )

    def _scaled_product(self, x: torch.Tensor) -> torch.Tensor:
        """W8A8: sums in fp32, times both scales, rounded once to the dtype of `x`."""
        assert self.input_scale is not None
        return torch._scaled_mm(
            fp8_cast(x, self.input_scale),
            self.weight.t(),
            scale_a=self.input_scale,
            scale_b=self.weight_scale,
            out_dtype=x.dtype,
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        key = prefix + "weight_scale"
        self._fit_scalar(state_dict, key)
        if key in state_dict:
            stored = state_dict[key]
            if stored.dim() == 2 and stored.shape[1] == 1:
                stored = state_dict[key] = stored.reshape(-1)
            if stored.shape in ((), (self.out_features,)):
                fitted = torch.ones(stored.shape, device=self.weight_scale.device)
                self.weight_scale = fitted
        self._fit_input_scale(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class NvFp4Linear(_StaticInputLinear):
    """NVFP4 weight; weight-only, or W4A4 numbers in parity mode.

    Attributes:
        weight: (n, k / 2) uint8, even column in the low nibble.
        weight_scale: (n, k / 16) float8_e4m3fn.
        weight_scale_2: () fp32.
        input_scale: () fp32, calibrated amax / 2688; None for W4A16.
    """

    format = "nvfp4"

    weight: torch.Tensor
    weight_scale: torch.Tensor
    weight_scale_2: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        input_scale: bool = True,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Allocate the module; on the meta device this costs nothing.

        Raises:
            InputError: `in_features` is not a multiple of 16.
        """
        super().__init__(in_features, out_features, bias=bias, device=device)
        if in_features % NVFP4_BLOCK:
            raise InputError(
                f"NVFP4 linear with {in_features} input features: needs a multiple of "
                f"{NVFP4_BLOCK}; leave this layer in BF16"
            )
        n, k = out_features, in_features
        self.register_buffer("weight", torch.zeros((n, k // 2), dtype=torch.uint8, device=device))
        blocks = torch.ones((n, k // NVFP4_BLOCK), device=device).to(torch.float8_e4m3fn)
        self.register_buffer("weight_scale", blocks)
        self.register_buffer("weight_scale_2", torch.ones((), device=device))
        self.register_buffer("input_scale", torch.ones((), device=device) if input_scale else None)

    @classmethod
    def from_float(
        cls,
        source: nn.Linear | torch.Tensor,
        *,
        bias: torch.Tensor | None = None,
        input_amax: torch.Tensor | float | None = None,
        weight_amax: torch.Tensor | float | None = None,
        what: str = "weight",
    ) -> Self:
        """Quantize a linear or a weight matrix (n, k).

        Args:
            source: What to quantize; it is not changed.
            bias: (n,), when `source` is a matrix.
            input_amax: Calibrated largest input; None gives W4A16, 0 scale 1.
            weight_amax: Common maximum of fused projections; None takes the matrix's own.
            what: Name of the weight, for messages.

        Raises:
            InputError: A value is not finite, or k is not a multiple of 16.
        """
        weight, bias = weight_and_bias(source, bias)
        n, k = weight.shape
        module = cls(k, n, input_scale=False, device="meta")
        scale_2 = None
        if weight_amax is not None:
            scale_2 = nvfp4_scale(amax_tensor(weight_amax, weight.device), what=what)
        module.weight, module.weight_scale, module.weight_scale_2 = nvfp4_encode(
            weight, scale_2, what=what
        )
        if input_amax is not None:
            module.input_scale = nvfp4_scale(amax_tensor(input_amax, weight.device), what=what)
        module.bias = bias
        return module

    def decode_rows(
        self, rows: slice, dtype: torch.dtype, *, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        return nvfp4_decode(
            self.weight[rows], self.weight_scale[rows], self.weight_scale_2, dtype, out=out
        )

    def quantize_activation(self, x: torch.Tensor) -> torch.Tensor | None:
        if self.input_scale is None:
            return None
        return nvfp4_fake_quant_activation(x.float(), self.input_scale)

    def check(self, where: str) -> None:
        self._check_positive(where, "weight_scale_2", "input_scale")
        if bool((self.weight_scale.view(torch.uint8) >= _NAN_CODE).any()):
            raise CheckpointError(
                f"{where}.weight_scale: holds NaN or negative block scales, expected E4M3 codes "
                "00 to 7e; the tensor was all zero at export or the file is damaged: export it "
                "again"
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._fit_scalar(state_dict, prefix + "weight_scale_2")
        self._fit_input_scale(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


# Result of the probe by device. A dict, because torch.compile looks through functools.cache.
_PROBED: dict[torch.device, bool] = {}


def fp8_matmul_works(device: torch.device) -> bool:
    """Whether this device multiplies FP8 and gets it right, tried at the first call.

    The hardware generation alone does not decide: some builds of torch lack the kernel and some
    have returned wrong numbers without an error.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        return False
    if device not in _PROBED:
        with torch.inference_mode():
            _PROBED[device] = _probe_fp8_matmul(device)
    return _PROBED[device]


def _probe_fp8_matmul(device: torch.device) -> bool:
    """One 128 x 128 x 128 product against the decoded numbers."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn((128, 128), generator=generator).to(device) for _ in range(2))
    one = torch.ones((), device=device)
    qa, qb = fp8_cast(a, one), fp8_cast(b, one)
    expected = qa.float() @ qb.float().t()
    try:
        y = torch._scaled_mm(qa, qb.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        logger.warning("no FP8 product on %s, decoding weights instead: %s", device, error)
        return False
    right = torch.allclose(y.float(), expected, rtol=2e-2, atol=2e-2)
    if not right:
        logger.warning("FP8 product on %s returned wrong numbers, decoding weights instead", device)
    return right
