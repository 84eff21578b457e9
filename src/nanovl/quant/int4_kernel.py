"""What this processor's INT4 matrix-vector kernel can do, found out by trying it.

torch packs INT4 weights in an order that depends on the processor. When that order is understood,
a layer needs to hold its nibbles only once. Holds no weights itself.

Source: quantization specification, sections 6.3 and 8.1.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

__all__ = ["KERNEL_ROWS", "Int4Kernel", "int4_kernel", "probe_int4_kernel", "read_kernel_order"]

logger = logging.getLogger(__name__)

# Rows are padded to a multiple of this; it covers the block sizes of all variants.
KERNEL_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Int4Kernel:
    """What was found out about this processor's INT4 kernel.

    Attributes:
        works: It is there and its product was right.
        block: Rows per block when the nibble order is understood, else None.
    """

    works: bool
    block: int | None


# What was found out, once per process. A dict, because torch.compile looks through functools.cache.
_PROBED: dict[str, Int4Kernel] = {}


def int4_kernel() -> Int4Kernel:
    """What this processor's kernel can do; tried at the first call."""
    if "cpu" not in _PROBED:
        with torch.inference_mode():
            _PROBED["cpu"] = probe_int4_kernel()
    return _PROBED["cpu"]


def probe_int4_kernel() -> Int4Kernel:
    """Try the kernel on a small matrix and learn its nibble order."""
    n, k, group = 2 * KERNEL_ROWS, 64, 32
    generator = torch.Generator().manual_seed(0)
    q = torch.randint(0, 16, (n, k), generator=generator, dtype=torch.int32, device="cpu")
    x = torch.randn((2, k), generator=generator, device="cpu")
    pairs = torch.ones((k // group, n, 2), device="cpu")  # scale 1, zero 1: value = q - 7
    try:
        packed = torch._convert_weight_to_int4pack_for_cpu(q, 1)
        y = torch._weight_int4pack_mm_for_cpu(x, packed, group, pairs)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        logger.info("INT4 kernel not available on this processor, decoding instead: %s", error)
        return Int4Kernel(works=False, block=None)
    if not torch.allclose(y.float(), x @ (q - 7).float().t(), rtol=1e-2, atol=1e-1):
        logger.warning("INT4 kernel returned wrong numbers on this processor, decoding instead")
        return Int4Kernel(works=False, block=None)
    for block in (64, 32, 16):
        if torch.equal(read_kernel_order(packed, block).int(), q):
            return Int4Kernel(works=True, block=block)
    return Int4Kernel(works=True, block=None)


def read_kernel_order(packed: torch.Tensor, block: int) -> torch.Tensor:
    """Undo the kernel's order for blocks of rows: per block and column, half a block of bytes.

    A byte holds row j in its low nibble and row j + block / 2 in its high one.
    """
    n, half_k = packed.shape
    bytes_ = packed.view(n // block, 2 * half_k, block // 2).transpose(1, 2).contiguous()
    codes = torch.cat([bytes_ & 15, bytes_ >> 4], dim=1)  # (blocks, block, k)
    return codes.view(n, 2 * half_k)
