"""What the quantized linears share: storage rules, the chunked product, loading, validation.

A quantized linear keeps its weight packed and decodes a block of output rows at a time, so that no
layer ever needs its full bf16 copy. It knows the shapes of its own tensors and nothing about the
network it stands in.

Letters: n output features, k input features, t tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import CheckpointError, InputError
from nanovl.ops.straight_through import straight_through

__all__ = ["CHUNK_ROWS", "QuantizedLinear"]

# Output rows decoded at a time: 26 MB of bf16 at 5,120 columns.
CHUNK_ROWS = 2560


class QuantizedLinear(nn.Module):
    """A linear layer whose weight is stored in fewer bits.

    Buffers carry the names and dtypes of the checkpoint, so `state_dict()` is what is on disk.
    `.to(dtype)` moves nothing but the device: the dtypes are the format. Gradients flow to the
    input, never to the weight.

    Attributes:
        in_features, out_features: k and n.
        emulate_activation: Parity mode. Inputs are rounded as the low-precision GEMM would round
            them (static `input_scale`) and products are summed in fp32. Formats that leave
            activations alone, or carry no `input_scale`, compute the same as without.
        bias: (n,) or None.
    """

    format: ClassVar[str]

    bias: torch.Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.emulate_activation = False
        kept = torch.zeros(out_features, dtype=torch.bfloat16, device=device) if bias else None
        self.register_buffer("bias", kept)

    def decode_rows(
        self, rows: slice, dtype: torch.dtype, *, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The weight of some output rows as numbers.

        Args:
            rows: Slice of output rows, with explicit start and stop.
            dtype: dtype of the result.
            out: (rows, k) contiguous memory for the result.
        """
        raise NotImplementedError

    def check(self, where: str) -> None:
        """Validate the stored tensors after loading.

        Args:
            where: Name of the module, for the message.

        Raises:
            CheckpointError: A scale is not finite or not above zero, or a code is NaN.
        """
        raise NotImplementedError

    def quantize_activation(self, x: torch.Tensor) -> torch.Tensor | None:
        """Round inputs as the low-precision GEMM would; None when there is nothing to round.

        Args:
            x: (t, k).

        Returns:
            fp32 (t, k).
        """
        del x
        return None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., k) -> (..., n) in the dtype of `x`."""
        rows = x.reshape(-1, self.in_features)
        rounded = self.quantize_activation(rows) if self.emulate_activation else None
        if rounded is not None:
            exact = straight_through(rows.float(), rounded)  # codes times scales need fp32
            y = self._chunked_product(exact, torch.float32).to(x.dtype)
        else:
            y = self._product(rows)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y.view(*x.shape[:-1], self.out_features)

    def dequantized_weight(self, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        """The whole weight as numbers, (n, k)."""
        return self.decode_rows(slice(0, self.out_features), dtype)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        """(t, k) -> (t, n) without bias; formats with a kernel of their own override this."""
        return self._chunked_product(x, x.dtype)

    def _chunked_product(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Decode a block of rows, multiply, go on; the workspace is one block."""
        if self.out_features <= CHUNK_ROWS:
            return F.linear(x, self.decode_rows(slice(0, self.out_features), dtype))
        y = torch.empty((x.shape[0], self.out_features), dtype=dtype, device=x.device)
        # autograd keeps the blocks it multiplied with, so it must not see them overwritten
        reuse = not (torch.is_grad_enabled() and x.requires_grad)
        space = (
            torch.empty((CHUNK_ROWS, self.in_features), dtype=dtype, device=x.device)
            if reuse
            else None
        )
        for rows in self._row_blocks():
            out = None if space is None else space[: rows.stop - rows.start]
            y[:, rows] = F.linear(x, self.decode_rows(rows, dtype, out=out))
        return y

    def _row_blocks(self) -> Iterator[slice]:
        for start in range(0, self.out_features, CHUNK_ROWS):
            yield slice(start, min(start + CHUNK_ROWS, self.out_features))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Let `.to()`, `.cuda()`, `.half()` move tensors but never change their dtype."""

        def keep_dtype(tensor: torch.Tensor) -> torch.Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, recurse)

    def _fit_scalar(self, state: dict[str, Any], key: str) -> None:
        """Accept a per-tensor scale written as (1,) or (1, 1); 0-d is what we keep."""
        if key in state and state[key].dim() > 0 and state[key].numel() == 1:
            state[key] = state[key].reshape(())

    def _check_positive(self, where: str, *names: str) -> None:
        for name in names:
            scale = getattr(self, name)
            if scale is None:
                continue
            values = scale.float()  # checked as the number it stands for
            if not bool((torch.isfinite(values) & (values > 0)).all()):
                bad = values.flatten()[~(torch.isfinite(values) & (values > 0)).flatten()][0]
                raise CheckpointError(
                    f"{where}.{name}: holds {bad.item()}, expected finite numbers above 0; "
                    "the checkpoint is damaged or was exported from an uncalibrated model"
                )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"format={self.format}"
        )


def weight_and_bias(
    source: nn.Linear | torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Take apart what `from_float` was given."""
    if isinstance(source, nn.Linear):
        bias = source.bias if bias is None else bias
        source = source.weight
    if source.dim() != 2:
        raise InputError(
            f"weight of shape {tuple(source.shape)}: a linear needs two dimensions, (out, in)"
        )
    return source.detach(), None if bias is None else bias.detach()


def amax_tensor(amax: torch.Tensor | float, device: torch.device) -> torch.Tensor:
    """A calibrated maximum as a 0-d fp32 tensor on the weight's device."""
    return torch.as_tensor(amax, dtype=torch.float32, device=device).reshape(())
