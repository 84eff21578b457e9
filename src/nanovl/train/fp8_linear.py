"""A linear whose three matrix products run in FP8, with delayed or current scaling.

    forward   y  = x W^T    E4M3 x E4M3
    backward  dx = g W      E5M2 x E4M3   ("e4m3": E4M3 throughout)
              dW = g^T x    E5M2 x E4M3

A value v is stored as cast(clamp(v * scale, -limit, limit)) with one fp32 scale per tensor. Delayed
scaling takes the scale from the largest values of earlier updates, so that no pass over the tensor
has to finish before it can be rounded. A tensor never seen before (scale 1) is scaled by its own
largest value, and so is everything outside of training, where nothing is remembered.

Saturation and casts hide infinities. Therefore the largest value is taken from the tensor as it
came; where it is not finite the whole product becomes NaN, and the trainer sees it in the loss or
in the gradients. This module never moves a history on; `nanovl.train.fp8` does, once per update.

Letters: t tokens, k input features, n output features.

Source: training specification, sections 6.2 and 6.3; report, section 4.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from nanovl.core.errors import BackendError
from nanovl.quant.linear import fp8_matmul_works
from nanovl.train.fp8_product import FP8_LIMITS, Operand, multiply, quantize

__all__ = ["Format", "Fp8Linear", "Scaling", "scale_from_amax"]

Scaling = Literal["delayed", "current"]
Format = Literal["hybrid", "e4m3"]

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
# Rows of the state: inputs, weights, gradients of outputs.
X, W, G = 0, 1, 2


def scale_from_amax(
    amax: torch.Tensor, limit: torch.Tensor | float, previous: torch.Tensor, margin: int = 0
) -> torch.Tensor:
    """The factor that brings a largest absolute value to the end of an FP8 format.

    Args:
        amax: fp32, any shape.
        limit: Largest finite number of the format, broadcast against `amax`.
        previous: What stays where `amax` is 0 or not finite.
        margin: Powers of two to stay below the limit.

    Returns:
        fp32: limit / amax / 2^margin; the largest fp32 number where that overflows.
    """
    scale = limit / amax / 2.0**margin
    scale = torch.where((amax > 0) & torch.isfinite(amax), scale, previous)
    return torch.where(scale.isinf(), torch.finfo(torch.float32).max, scale)


class Fp8Linear(nn.Linear):
    """An `nn.Linear` that trains in FP8; parameters keep their names, dtype and place.

    Inputs may have any leading shape. The bias is added outside of FP8. Activations are kept for
    the backward pass rounded, weights as they are, so that a sharded weight can be freed and
    gathered again.

    Args:
        in_features, out_features, bias, device, dtype: As for `nn.Linear`.
        scaling: "delayed", or "current": every tensor by its own largest value.
        amax_history: Updates a delayed scale looks back on.
        margin: Powers of two by which scales are lowered.
        format: "hybrid" has E5M2 gradients, "e4m3" one format for all.
        emulate: Round the operands and multiply them in the dtype of the input; False uses the
            FP8 product of the device; None uses it where it works.

    Attributes:
        fp8_amax_history: fp32 (3, history), rows x, w, g; slot 0 is the running update.
        fp8_scale: fp32 (3,); 1 until a tensor of that kind has been seen.
        fp8_saturation: int64 (3, 2), values clamped and values seen; not saved.
        warm_start: See `fp8_warm_start`.
    """

    fp8_amax_history: torch.Tensor
    fp8_scale: torch.Tensor
    fp8_saturation: torch.Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        scaling: Scaling = "delayed",
        amax_history: int = 1024,
        margin: int = 0,
        format: Format = "hybrid",
        emulate: bool | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.scaling = scaling
        self.margin = margin
        self.emulate = emulate
        self.formats = (E4M3, E4M3, E5M2 if format == "hybrid" else E4M3)
        self.limits = tuple(FP8_LIMITS[f] for f in self.formats)
        self.warm_start = False
        self._make_state(amax_history, self.weight.device)

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> Self:
        """An FP8 linear around the very parameters of another; options as in the constructor."""
        n, k = linear.weight.shape
        module = cls(k, n, bias=False, device="meta", **options)
        module.weight, module.bias = linear.weight, linear.bias
        module._make_state(module.fp8_amax_history.shape[1], linear.weight.device)
        return module.train(linear.training)

    def _make_state(self, history: int, device: torch.device) -> None:
        f32 = torch.float32
        self.register_buffer("fp8_amax_history", torch.zeros(3, history, dtype=f32, device=device))
        self.register_buffer("fp8_scale", torch.ones(3, dtype=f32, device=device))
        counts = torch.zeros(3, 2, dtype=torch.int64, device=device)
        self.register_buffer("fp8_saturation", counts, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(..., k) to (..., n)."""
        # Evaluation (no gradients, or eval mode) must not change the course of training.
        remember = self.training and torch.is_grad_enabled()
        rows = input.reshape(-1, self.in_features)
        y = _Fp8Product.apply(rows, self.weight, self, remember)
        if self.bias is not None:
            y = y + self.bias
        if input.dim() == 2:
            return y
        # What `F.linear` does as well; modules with sharded parameters must not return a view.
        unfolded: torch.Tensor = torch.ops.aten._unsafe_view(
            y, [*input.shape[:-1], self.out_features]
        )
        return unfolded

    def scale_for(
        self, kind: int, v: torch.Tensor, *, remember: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale of a tensor and what undoes it, both fp32 and 0-d.

        Args:
            kind: X, W or G.
            v: The tensor in high precision.
            remember: Note its largest value, and follow the scaling of this linear; otherwise
                scale the tensor by itself.

        Returns:
            The scale; and its inverse, NaN when the tensor holds a value that is not finite.
        """
        amax = _amax(v)
        limit = self.limits[kind]
        scale = scale_from_amax(amax, limit, torch.ones_like(amax), self.margin)
        if remember:
            newest = self.fp8_amax_history[kind, 0]
            torch.maximum(newest, amax, out=newest)  # keeps NaN
            if self.scaling == "delayed" and not self.warm_start:
                stored = self.fp8_scale[kind]
                scale = torch.where(stored == 1, scale, stored)
            self._count_saturation(kind, v, amax, limit / scale)
        return scale, torch.where(torch.isfinite(amax), 1 / scale, torch.nan)

    def emulates(self, device: torch.device) -> bool:
        """Whether products on this device are emulated.

        Raises:
            BackendError: `emulate` is False and the device cannot multiply FP8.
        """
        if self.emulate is None:
            return not fp8_matmul_works(device)
        if not self.emulate and device.type == "cuda" and not fp8_matmul_works(device):
            raise BackendError(
                f"FP8 product on {device}: needs compute capability 8.9 or newer and a build of "
                "torch with the kernel; set precision.emulate to auto"
            )
        return self.emulate

    def _count_saturation(
        self, kind: int, v: torch.Tensor, amax: torch.Tensor, largest: torch.Tensor
    ) -> None:
        """Count values beyond the range of their scale; a rounding error beyond does not count."""
        self.fp8_saturation[kind, 1] += v.numel()
        largest = largest * (1 + 1e-6)
        if v.device.type == "cpu" and not amax > largest:  # a device is not waited for
            return
        # One element, not 0-d: comparing bf16 with a 0-d number would round that number to bf16.
        self.fp8_saturation[kind, 0] += (v.abs() > largest.view(1)).sum()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """`.to(dtype)` is for the parameters; state allocated off the meta device starts anew."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        if before["fp8_scale"].is_meta and not self.fp8_scale.is_meta:
            self._make_state(before["fp8_amax_history"].shape[1], self.fp8_scale.device)
            return self
        for name, old in before.items():
            moved = getattr(self, name)
            if moved.dtype != old.dtype:
                setattr(self, name, old.to(moved.device))
        return self

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, scaling={self.scaling}"


class _Fp8Product(torch.autograd.Function):
    """x (t, k) times W^T (k, n), and the two products of its backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, layer: Fp8Linear, remember: bool
    ) -> torch.Tensor:
        emulate = layer.emulates(x.device)
        scale_x, inverse_x = layer.scale_for(X, x, remember=remember)
        scale_w, inverse_w = layer.scale_for(W, weight, remember=remember)
        qx = Operand(quantize(x, scale_x, layer.formats[X], emulate=emulate), inverse_x)
        qw = Operand(quantize(weight, scale_w, layer.formats[W], emulate=emulate), inverse_w)
        y = _first_rows(multiply(qx, qw.t(), x.dtype, fast_accum=True), x.shape[0])
        wants_dx, wants_dw = ctx.needs_input_grad[:2]
        ctx.save_for_backward(
            qx.values if wants_dw else None,
            weight if wants_dx else None,
            inverse_x,
            scale_w,
            inverse_w,
        )
        ctx.layer, ctx.remember, ctx.emulate = layer, remember, emulate
        ctx.weight_dtype = weight.dtype
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layer, emulate = ctx.layer, ctx.emulate
        values, weight, inverse_x, scale_w, inverse_w = ctx.saved_tensors
        scale_g, inverse_g = layer.scale_for(G, grad, remember=ctx.remember)
        qg = Operand(quantize(grad, scale_g, layer.formats[G], emulate=emulate), inverse_g)
        dx = dw = None
        if weight is not None:  # the weight and its scale are those of the forward pass
            qw = Operand(quantize(weight, scale_w, layer.formats[W], emulate=emulate), inverse_w)
            dx = _first_rows(multiply(qg, qw, grad.dtype), grad.shape[0])
        if values is not None:
            dw = multiply(qg.t(), Operand(values, inverse_x), ctx.weight_dtype)
        return dx, dw, None, None


def _first_rows(y: torch.Tensor, rows: int) -> torch.Tensor:
    """Without the rows an operand was filled up with; no view where there are none."""
    return y if y.shape[0] == rows else y[:rows]


def _amax(v: torch.Tensor) -> torch.Tensor:
    """Largest absolute value, fp32 0-d; NaN if there is one, 0 for no values."""
    if v.numel() == 0:
        return torch.zeros((), dtype=torch.float32, device=v.device)
    low, high = v.detach().aminmax()
    return torch.maximum(low.abs(), high.abs()).float()  # scales are fp32 by definition
