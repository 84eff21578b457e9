"""The quantized linears by name: Fp8Linear, NvFp4Linear, Int8Linear, Int4Linear.

A front door only: the released formats live in `floating`, the CPU formats in `integer`, what they
share in `base`.
"""

from nanovl.quant.base import CHUNK_ROWS, QuantizedLinear
from nanovl.quant.floating import Fp8Linear, NvFp4Linear, fp8_matmul_works
from nanovl.quant.integer import GEMV_ROWS, INT4_GROUPS, Int4Linear, Int8Linear

__all__ = [
    "CHUNK_ROWS",
    "GEMV_ROWS",
    "INT4_GROUPS",
    "Fp8Linear",
    "Int4Linear",
    "Int8Linear",
    "NvFp4Linear",
    "QuantizedLinear",
    "fp8_matmul_works",
]
