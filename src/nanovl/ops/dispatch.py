"""Which implementation of each operation runs on a device, and why; feeds `nanovl doctor`.

Nothing here changes what runs: every operation chooses by the device and shape of its arguments.
This module states those rules in words and checks that the kernels they name exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nanovl.ops.native.decode import MAX_ROWS
from nanovl.ops.native.library import kernels, status

__all__ = ["Choice", "bf16_matmul", "report"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One line of the report."""

    operation: str
    implementation: str
    why: str


def bf16_matmul() -> tuple[bool, str]:
    """Whether this CPU multiplies bf16 in hardware, and how."""
    if torch.cpu._is_amx_tile_supported():
        return True, "AMX tiles"
    if torch.cpu._is_avx512_bf16_supported():
        return True, "AVX512-BF16"
    return False, f"no bf16 instructions ({torch.backends.cpu.get_cpu_capability()}); emulated"


def _has(name: str) -> bool:
    return hasattr(torch.ops.aten, name)


def _training(on_cpu: bool) -> list[tuple[str, str, str]]:
    if not on_cpu:
        return []
    ready, why = status()
    done = "C kernels between bf16 matmuls" if ready else "PyTorch"
    return [("bf16 training passes", done, why)]


def _decoding(on_cpu: bool) -> list[tuple[str, str, str]]:
    ready, why = status()
    if not (on_cpu and ready):
        return [("SSM decode", "in-place step (ssd_step)", "one token per sequence")]
    tiles = "AMX tiles" if kernels().tiles else "vector dot products"
    return [
        ("bf16 decode", "C kernels", f"up to {MAX_ROWS} rows, {tiles}; {why}"),
        ("SSM inference", "C kernel (mamba_rows)", "convolution, state, gate and norm in one pass"),
        ("attention decode", "C kernel (attend_step)", "reads keys where they lie"),
    ]


def report(device: torch.device | str = "cpu") -> list[Choice]:
    """Describe the implementations used on a device, one line per operation."""
    on_cpu = torch.device(device).type == "cpu"
    fast, how = bf16_matmul()
    int8 = _has("_weight_int8pack_mm")
    int4 = _has("_weight_int4pack_mm_for_cpu")
    rows = [
        (
            "matmul bf16",
            "oneDNN" if on_cpu else "cuBLAS",
            how if on_cpu else "tensor cores",
        ),
        (
            "attention",
            "scaled_dot_product_attention",
            "per segment; grouped queries, causal mask built in blocks when there is a past",
        ),
        (
            "SSM prefill",
            "chunk loop (ssd_prefill)",
            "one chunk's temporaries stay in the CPU's cache; used without gradients",
        ),
        ("SSM training and packs", "chunked matmuls (ssd_scan)", "all chunks at once, gradients"),
        *_training(on_cpu),
        *_decoding(on_cpu),
        ("causal convolution", "shifted multiply-adds", "PyTorch's CPU kernel transposes twice"),
        (
            "int8 linear",
            "_weight_int8pack_mm" if on_cpu and int8 else "decode to bf16",
            "up to 4 rows; more rows decode the weight in blocks and use the bf16 matmul"
            if on_cpu and int8
            else "no packed kernel on this device",
        ),
        (
            "int4 linear",
            "_weight_int4pack_mm_for_cpu" if on_cpu and int4 else "decode to bf16",
            "up to 4 rows; more rows decode the weight in blocks"
            if on_cpu and int4
            else "no packed kernel on this device",
        ),
        (
            "fp8 linear",
            "decode to bf16 in blocks" if on_cpu else "_scaled_mm where a probe agrees",
            "no CPU multiplies FP8 fast" if on_cpu else "compute capability 8.9 or newer",
        ),
        ("nvfp4 linear", "decode to bf16 in blocks", "weight-only; activations stay bf16"),
    ]
    if on_cpu and not fast:
        rows.append(("hint", "use dtype float32", "faster than emulated bf16 on this CPU"))
    return [Choice(operation=o, implementation=i, why=w) for o, i, w in rows]
