"""How the weight of a linear is rounded when nearest codes under a largest-value scale are not
enough: scales of least error, and GPTQ.

The result is the ordinary quantized linear; what is stored has the same form whatever the
algorithm. Inputs are observed elsewhere (`quant.observers`).

Letters: n output rows, k input columns.

Source: quantization specification, sections 2.5 and 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.ops.lowp import (
    NVFP4_BLOCK,
    e2m1_encode,
    fp8_scale,
    nvfp4_scale,
    pack_nibbles,
)
from nanovl.ops.rowwise import finite_amax, row_slices, true_divide
from nanovl.quant.base import QuantizedLinear, amax_tensor, weight_and_bias
from nanovl.quant.floating import Fp8Linear, NvFp4Linear
from nanovl.quant.gptq import Fp8Columns, Int4Columns, Int8Columns, NvFp4Columns, gptq, rows_of
from nanovl.quant.integer import Int4Linear, Int8Linear
from nanovl.quant.scales import (
    FOUR_OVER_SIX_MAX,
    best_block_scales,
    best_fp8_amax,
    best_int4_groups,
    best_int4_steps,
    best_int8_scales,
    four_over_six_scales,
    hessian_block_scales,
)

__all__ = ["ALGORITHMS", "NEED_HESSIAN", "check_algorithm", "round_linear", "weight_range"]

_NVFP4 = ("four-over-six", "gptq", "hessian", "max", "mse")
# Format -> the algorithms that suit it.
ALGORITHMS: dict[str, tuple[str, ...]] = {
    "fp8": ("gptq", "max", "mse"),
    "int4": ("gptq", "max", "mse"),
    "int4-sym": ("gptq", "max", "mse"),
    "int8": ("gptq", "max", "mse"),
    "nvfp4": _NVFP4,
    "nvfp4-w4a16": _NVFP4,
}
# Algorithms that round by what the inputs are like.
NEED_HESSIAN = frozenset({"gptq", "hessian"})

INT4_GROUP = 32
# Values whose block scales are searched at a time: the copies stay in the cache of a CPU.
_SEARCH_VALUES = {"cpu": 1 << 18, "cuda": 1 << 24}
_SEARCH_ROWS = 1 << 12


def check_algorithm(target: str, algo: str) -> None:
    """Make sure that an algorithm suits a format.

    Raises:
        ConfigError: Unknown format or algorithm, or one that does not suit the other.
    """
    if target not in ALGORITHMS:
        raise ConfigError(
            f"rounding to {target!r}: expected {', '.join(ALGORITHMS)}{nearest(target, ALGORITHMS)}"
        )
    known = ALGORITHMS[target]
    if algo not in known:
        raise ConfigError(
            f"algorithm {algo!r} for {target}: expected {', '.join(known)}{nearest(algo, known)}"
        )


def weight_range(weights: Sequence[torch.Tensor], target: str, algo: str = "max") -> torch.Tensor:
    """The common range of projections that engines fuse, for `weight_amax` of each.

    Args:
        weights: (n, k) each.
        target: Format.
        algo: "mse" makes a difference for FP8, whose range is all there is to choose.

    Returns:
        () fp32.

    Raises:
        ConfigError: The algorithm does not suit the format.
        InputError: A value is not finite.
    """
    check_algorithm(target, algo)
    amax = torch.stack([finite_amax(w, "fused weight") for w in weights]).amax()
    if target == "fp8" and algo == "mse":
        return torch.full_like(amax, best_fp8_amax([w.detach() for w in weights]))
    return amax


@torch.no_grad()
def round_linear(
    linear: nn.Linear,
    target: str,
    algo: str,
    *,
    hessian: torch.Tensor | None = None,
    input_amax: torch.Tensor | float | None = None,
    weight_amax: torch.Tensor | float | None = None,
    what: str = "weight",
) -> QuantizedLinear:
    """Round one linear by any algorithm but "max".

    Args:
        linear: What to quantize; it is not changed.
        target: A key of `ALGORITHMS`.
        algo: One of its entries.
        hessian: (k, k), the sum of x^T x over inputs, for "gptq" and "hessian".
        input_amax: Range of the inputs, for "fp8" and "nvfp4"; None gives a weight-only one.
        weight_amax: Range of the weight, for "fp8" and NVFP4: larger values are clipped. None
            takes the largest value, and for FP8 by "mse" what loses least.
        what: Name of the weight, for messages.

    Raises:
        ConfigError: The algorithm does not suit the format, or needs a Hessian and has none.
        InputError: The weight or the Hessian is not finite or of a shape that does not fit.
    """
    check_algorithm(target, algo)
    if algo in NEED_HESSIAN and hessian is None:
        raise ConfigError(
            f"{what}: algorithm {algo!r} rounds by what the inputs are like; observe them with a "
            "Hessian first"
        )
    weight, bias = weight_and_bias(linear, None)
    amax = finite_amax(weight, what)
    if weight_amax is not None:
        amax = amax_tensor(weight_amax, weight.device)
    module: QuantizedLinear
    if target == "fp8":
        if algo == "mse" and weight_amax is None:
            amax = weight_range([weight], target, algo)
        module = _fp8(weight, amax, hessian if algo == "gptq" else None, what)
    elif target == "int8":
        module = _int8(weight, hessian if algo == "gptq" else None, what)
    elif target in ("int4", "int4-sym"):
        symmetric = target == "int4-sym"
        module = _int4(weight, symmetric, hessian if algo == "gptq" else None, what)
    else:
        module = _nvfp4(weight, amax, algo, hessian, what)
    if input_amax is not None and target in ("fp8", "nvfp4"):
        assert isinstance(module, (Fp8Linear, NvFp4Linear))
        scale_of = fp8_scale if target == "fp8" else nvfp4_scale
        module.input_scale = scale_of(amax_tensor(input_amax, weight.device), what=what)
    module.bias = bias
    return module


def _fp8(
    weight: torch.Tensor, amax: torch.Tensor, hessian: torch.Tensor | None, what: str
) -> Fp8Linear:
    if hessian is None:
        return Fp8Linear.from_float(weight, weight_amax=amax, what=what)
    n, k = weight.shape
    columns = Fp8Columns(n, k, fp8_scale(amax, what=what))
    gptq(weight, hessian, columns, what)
    return columns.module()


def _int8(weight: torch.Tensor, hessian: torch.Tensor | None, what: str) -> Int8Linear:
    if hessian is not None:
        n, k = weight.shape
        columns = Int8Columns(n, k, weight.device)
        gptq(weight, hessian, columns, what)
        return columns.module()
    scale = best_int8_scales(weight)
    q = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    for part in row_slices(weight.shape[0], weight.shape[1], weight.device):
        q[part] = (weight[part].float() / scale[part, None]).round_().clamp_(-127, 127)
    return Int8Linear.from_quantized(q, scale)


def _int4(
    weight: torch.Tensor, symmetric: bool, hessian: torch.Tensor | None, what: str
) -> Int4Linear:
    n, k = weight.shape
    module = Int4Linear(k, n, group_size=INT4_GROUP, device=weight.device)  # checks k
    if hessian is not None:
        columns = Int4Columns(n, k, INT4_GROUP, weight.device, symmetric=symmetric)
        gptq(weight, hessian, columns, what)
        return columns.module()
    assert module.weight_packed is not None
    for part in row_slices(n, k, weight.device):
        groups = weight[part].float().t().contiguous().view(-1, INT4_GROUP, part.stop - part.start)
        step, minimum = best_int4_steps(groups) if symmetric else best_int4_groups(groups)
        q = (groups - minimum.float().unsqueeze(1)) / step.float().unsqueeze(1)
        codes = q.round_().clamp_(0, 15).to(torch.uint8).view(k, -1)
        module.weight_packed[part] = pack_nibbles(rows_of(codes))
        module.weight_scale[part], module.weight_min[part] = step.t(), minimum.t()
    return module


def _nvfp4(
    weight: torch.Tensor,
    amax: torch.Tensor,
    algo: str,
    hessian: torch.Tensor | None,
    what: str,
) -> NvFp4Linear:
    n, k = weight.shape
    module = NvFp4Linear(k, n, input_scale=False, device="meta")  # checks k
    scale_2 = nvfp4_scale(amax, what=what)
    if algo == "gptq":
        assert hessian is not None
        columns = NvFp4Columns(n, k, scale_2)
        gptq(weight, hessian, columns, what)
        return columns.module()
    if algo == "four-over-six" and bool(amax > 0):
        scale_2 = true_divide(amax, FOUR_OVER_SIX_MAX)
    squares = _block_hessians(hessian, k, what) if algo == "hessian" else None
    scale = _search_scales(weight, scale_2, algo, squares)
    module.weight = _nvfp4_codes(weight, scale, scale_2)
    module.weight_scale, module.weight_scale_2 = scale, scale_2
    return module


def _search_scales(
    weight: torch.Tensor, scale_2: torch.Tensor, algo: str, squares: torch.Tensor | None
) -> torch.Tensor:
    """(n, k / 16) float8_e4m3fn."""
    n, k = weight.shape
    found = torch.empty((n, k // NVFP4_BLOCK), dtype=torch.uint8, device=weight.device)
    budget = _SEARCH_VALUES.get(weight.device.type, 1 << 18)
    for start in range(0, n, _SEARCH_ROWS):
        rows = slice(start, min(n, start + _SEARCH_ROWS))
        count = max(1, budget // (NVFP4_BLOCK * (rows.stop - rows.start)))
        for first in range(0, k // NVFP4_BLOCK, count):
            last = min(first + count, k // NVFP4_BLOCK)
            columns = weight[rows, first * NVFP4_BLOCK : last * NVFP4_BLOCK]
            blocks = columns.t().float().contiguous().view(last - first, NVFP4_BLOCK, -1)
            if squares is not None:
                scale = hessian_block_scales(blocks, scale_2, squares[first:last])
            elif algo == "four-over-six":
                scale = four_over_six_scales(blocks, scale_2)
            else:
                scale = best_block_scales(blocks, scale_2)
            found[rows, first:last] = scale.view(torch.uint8).t()
    return found.view(torch.float8_e4m3fn)


def _nvfp4_codes(weight: torch.Tensor, scale: torch.Tensor, scale_2: torch.Tensor) -> torch.Tensor:
    """(n, k / 2) uint8: the nearest codes under given scales."""
    n, k = weight.shape
    packed = torch.empty((n, k // 2), dtype=torch.uint8, device=weight.device)
    for part in row_slices(n, k, weight.device):
        effective = (scale[part].float() * scale_2).unsqueeze(-1)
        blocks = weight[part].float().view(-1, k // NVFP4_BLOCK, NVFP4_BLOCK)
        codes = e2m1_encode((blocks / effective).clamp_(-6, 6))
        packed[part] = pack_nibbles(codes.view(-1, k))
    return packed


def _block_hessians(hessian: torch.Tensor | None, k: int, what: str) -> torch.Tensor:
    """The blocks of 16 x 16 on the diagonal, (k / 16, 16, 16) fp32."""
    assert hessian is not None
    if hessian.shape != (k, k) or not bool(torch.isfinite(hessian).all()):
        raise InputError(
            f"{what}: Hessian of shape {tuple(hessian.shape)}, expected finite ({k}, {k}), one row "
            "and one column for every input of the linear"
        )
    tiles = hessian.view(k // NVFP4_BLOCK, NVFP4_BLOCK, k // NVFP4_BLOCK, NVFP4_BLOCK)
    return tiles.diagonal(dim1=0, dim2=2).permute(2, 0, 1).float().contiguous()
