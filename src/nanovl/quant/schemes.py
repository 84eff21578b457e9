"""Which linears get which number format, and turning one format into another.

A policy is an ordered list of (glob over module names, format); later entries win, and a deny list
is always applied on top. Works on any module tree by the names of its linears; it knows no network
and reads no files.

Source: quantization specification, sections 2.5, 3.6 and 6.3.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.ops.lowp import NVFP4_BLOCK, int8_quantize
from nanovl.ops.rowwise import row_slices
from nanovl.quant.base import QuantizedLinear
from nanovl.quant.floating import Fp8Linear, NvFp4Linear
from nanovl.quant.integer import INT4_GROUPS, Int4Linear, Int8Linear
from nanovl.quant.rounding import ALGORITHMS, round_linear

__all__ = [
    "DENY",
    "FORMATS",
    "POLICIES",
    "Policy",
    "column_multiple",
    "find_policy",
    "format_of",
    "plan_formats",
    "quantize_linear",
    "replace_module",
    "should_quantize",
    "transcode",
]

# Number formats of a linear's weight and the bits a weight takes with its scales.
FORMATS = {
    "bf16": 16.0,
    "fp8": 8.0,
    "int4": 5.0,  # groups of 32 with bf16 scale and minimum; nanovl's own files
    "int4-sym": 4.5,  # groups of 32 with bf16 scale; files other engines read
    "int8": 8.0,
    "nvfp4": 4.5,
    "nvfp4-w4a16": 4.5,
}

# Never quantized, whatever a policy says.
DENY = (
    "*lm_head*",
    "*embed*",
    "*conv1d*",
    "*norm*",
    "*vision_model*",
    "*radio*",
    "*mlp1*",
    "*router*",
)
# Denied only beside experts: elsewhere "gate" names an ordinary projection.
_DENY_BESIDE_EXPERTS = "*gate*"

_ATTENTION = ("*q_proj", "*k_proj", "*v_proj", "*o_proj")
_MAMBA = ("*in_proj", "*out_proj")
_MLP = ("*up_proj", "*down_proj")
_ALL = _MAMBA + _MLP + _ATTENTION


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which modules get which format.

    Attributes:
        name: As given on the command line.
        rules: (glob over dotted module names, format); the last match wins, no match stays BF16.
    """

    name: str
    rules: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for pattern, target in self.rules:
            if target not in FORMATS:
                raise ConfigError(
                    f"policy {self.name!r}: pattern {pattern!r} asks for format {target!r}; "
                    f"expected {', '.join(sorted(FORMATS))}{nearest(target, FORMATS)}"
                )


def _policy(name: str, *groups: tuple[tuple[str, ...], str]) -> Policy:
    rules = tuple((pattern, target) for patterns, target in groups for pattern in patterns)
    return Policy(name=name, rules=rules)


POLICIES = {
    policy.name: policy
    for policy in (
        _policy("bf16"),
        _policy("fp8", (_ALL, "fp8")),
        _policy("nvfp4", (_ALL, "nvfp4")),
        _policy("nvfp4-w4a16", (_ALL, "nvfp4-w4a16")),
        _policy("nvfp4-mlp", (_MLP, "nvfp4")),
        _policy("nvfp4-keep-attn", (_MAMBA + _MLP, "nvfp4")),
        _policy("nvfp4-keep-attn-mamba", (_MLP, "nvfp4"), (_MAMBA, "fp8")),
        _policy("int8", (_ALL, "int8")),
        _policy("int4", (_ALL, "int4")),
        _policy("int4-sym", (_ALL, "int4-sym")),
    )
}


def find_policy(name: str) -> Policy:
    """The named policy.

    Raises:
        ConfigError: No such policy.
    """
    if name not in POLICIES:
        raise ConfigError(
            f"quantization policy {name!r}: expected {', '.join(POLICIES)}{nearest(name, POLICIES)}"
        )
    return POLICIES[name]


def format_of(name: str, policy: Policy, *, siblings: Collection[str] = ()) -> str:
    """The format a policy gives to a module; "bf16" means it is left alone.

    Args:
        name: Dotted module name.
        policy: What to apply.
        siblings: Names of the other children of its parent, for the rule about expert gates.
    """
    if any(fnmatchcase(name, pattern) for pattern in DENY):
        return "bf16"
    own_name = name.rpartition(".")[2]
    if "experts" in siblings and fnmatchcase(own_name, _DENY_BESIDE_EXPERTS):
        return "bf16"
    chosen = "bf16"
    for pattern, target in policy.rules:
        if fnmatchcase(name, pattern):
            chosen = target
    return chosen


def should_quantize(name: str, policy: Policy, *, siblings: Collection[str] = ()) -> bool:
    """Whether a policy quantizes the module of this name; arguments as in `format_of`."""
    return format_of(name, policy, siblings=siblings) != "bf16"


def plan_formats(root: nn.Module, policy: Policy) -> dict[str, str]:
    """The format of every linear a policy quantizes, in module order.

    Linears whose input size does not fit the format (NVFP4: multiples of 16, INT4: of 32) are left
    out; compare with `should_quantize` to list them.
    """
    chosen = {}
    for parent_name, parent in root.named_modules():
        children = dict(parent.named_children())
        for own_name, child in children.items():
            if not isinstance(child, nn.Linear):
                continue
            name = f"{parent_name}.{own_name}" if parent_name else own_name
            target = format_of(name, policy, siblings=children)
            if target != "bf16" and child.in_features % column_multiple(target) == 0:
                chosen[name] = target
    return chosen


def quantize_linear(
    linear: nn.Linear,
    target: str,
    *,
    input_amax: torch.Tensor | float | None = None,
    weight_amax: torch.Tensor | float | None = None,
    algo: str = "max",
    hessian: torch.Tensor | None = None,
    what: str = "weight",
) -> nn.Module:
    """Quantize one linear.

    Args:
        linear: What to quantize; it is not changed.
        target: A key of `FORMATS`.
        input_amax: Calibrated largest input, for "fp8" and "nvfp4"; None gives a weight-only one.
        weight_amax: Common maximum of fused projections, for "fp8" and "nvfp4"; see
            `quant.rounding.weight_range`.
        algo: How the weight is rounded, see `quant.rounding.ALGORITHMS`.
        hessian: (k, k), the sum of x^T x over inputs, for the algorithms that need it.
        what: Name of the weight, for messages.

    Returns:
        The quantized linear; `linear` itself for "bf16".

    Raises:
        ConfigError: Unknown format or algorithm, or an algorithm without the Hessian it needs.
        InputError: The weight is not finite or its shape does not fit.
    """
    if target == "bf16":
        return linear
    if target in ALGORITHMS and algo != "max":
        return round_linear(
            linear,
            target,
            algo,
            hessian=hessian,
            input_amax=input_amax,
            weight_amax=weight_amax,
            what=what,
        )
    if target == "fp8":
        return Fp8Linear.from_float(
            linear, input_amax=input_amax, weight_amax=weight_amax, what=what
        )
    if target in ("nvfp4", "nvfp4-w4a16"):
        amax = input_amax if target == "nvfp4" else None
        return NvFp4Linear.from_float(linear, input_amax=amax, weight_amax=weight_amax, what=what)
    if target == "int8":
        return Int8Linear.from_float(linear, what=what)
    if target in ("int4", "int4-sym"):
        return Int4Linear.from_float(linear, symmetric=target == "int4-sym", what=what)
    raise ConfigError(
        f"format {target!r}: expected {', '.join(sorted(FORMATS))}{nearest(target, FORMATS)}"
    )


def transcode(
    module: nn.Module,
    target: str,
    dtype: torch.dtype = torch.bfloat16,
    *,
    group_size: int = 32,
    what: str = "weight",
) -> nn.Module:
    """Turn a linear of any format into one a CPU computes quickly with.

    Reads blocks of rows, so that beside source and result only one block exists as numbers. The
    source is not changed; drop it to free its memory.

    Args:
        module: nn.Linear or any quantized linear.
        target: "bf16" (a plain nn.Linear), "int8" or "int4".
        dtype: dtype of the weight for target "bf16"; the integer formats have their own.
        group_size: Columns per group for "int4".
        what: Name of the module, for messages.

    Returns:
        The new module; `module` itself when it already is what was asked for.

    Raises:
        ConfigError: Not a linear, or not one of the three targets.
        InputError: A weight is not finite, or the group size does not fit.
    """
    if not isinstance(module, (nn.Linear, QuantizedLinear)):
        raise ConfigError(
            f"{what}: cannot transcode a {type(module).__name__}; expected a linear layer"
        )
    if target == "bf16":
        return _as_plain_linear(module, dtype)
    if target == "int8":
        return module if isinstance(module, Int8Linear) else _as_int8(module, what)
    if target == "int4":
        return module if isinstance(module, Int4Linear) else _as_int4(module, group_size, what)
    raise ConfigError(f"{what}: cannot transcode to {target!r}; expected bf16, int8 or int4")


def replace_module(root: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Put another module in the place of the one with this dotted name.

    Returns:
        The module that was there.

    Raises:
        ConfigError: There is no module of that name below `root`.
    """
    parent_name, _, own_name = name.rpartition(".")
    try:
        parent = root.get_submodule(parent_name)
        old = parent.get_submodule(own_name)
    except AttributeError:
        known = [n for n, _ in root.named_modules()]
        raise ConfigError(
            f"module {name!r}: there is none of that name in {type(root).__name__}"
            f"{nearest(name, known)}"
        ) from None
    if not own_name:
        raise ConfigError(f"module {name!r}: the root cannot be replaced inside itself")
    parent._modules[own_name] = module  # also right for the children of lists, named "0", "1"
    return old


def _as_plain_linear(module: nn.Linear | QuantizedLinear, dtype: torch.dtype) -> nn.Linear:
    if isinstance(module, nn.Linear):
        if module.weight.dtype == dtype:
            return module
        weight = module.weight.detach().to(dtype)
    else:
        weight = module.dequantized_weight(dtype)
    n, k = weight.shape
    linear = nn.Linear(k, n, bias=False, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if module.bias is not None:
        linear.bias = nn.Parameter(module.bias.detach().to(dtype), requires_grad=False)
    return linear


def _as_int8(module: nn.Linear | QuantizedLinear, what: str) -> Int8Linear:
    n, k, device = module.out_features, module.in_features, _device_of(module)
    q = torch.empty((n, k), dtype=torch.int8, device=device)
    scale = torch.empty((n,), dtype=torch.float32, device=device)
    for rows in row_slices(n, k, device):
        q[rows], scale[rows] = int8_quantize(_read_rows(module, rows), what=what)
    return Int8Linear.from_quantized(q, scale, bias=_bias_of(module))


def _as_int4(module: nn.Linear | QuantizedLinear, group_size: int, what: str) -> Int4Linear:
    def read(rows: slice) -> torch.Tensor:
        return _read_rows(module, rows)

    n, k = module.out_features, module.in_features
    device, bias = _device_of(module), _bias_of(module)
    return Int4Linear.from_rows(read, n, k, device, group_size, bias=bias, what=what)


def _read_rows(module: nn.Linear | QuantizedLinear, rows: slice) -> torch.Tensor:
    """Some rows as numbers, fp32 where the source is packed: rounding once, not twice."""
    if isinstance(module, nn.Linear):
        return module.weight.detach()[rows]
    return module.decode_rows(rows, torch.float32)


def _bias_of(module: nn.Linear | QuantizedLinear) -> torch.Tensor | None:
    return None if module.bias is None else module.bias.detach()


def _device_of(module: nn.Linear | QuantizedLinear) -> torch.device:
    if isinstance(module, nn.Linear):
        return module.weight.device
    return next(module.buffers()).device


def column_multiple(target: str) -> int:
    """What the number of input features must be a multiple of for a format."""
    return {"nvfp4": NVFP4_BLOCK, "int4": min(INT4_GROUPS)}.get(target.split("-")[0], 1)
