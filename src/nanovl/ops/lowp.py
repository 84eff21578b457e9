"""The low-precision number formats in one place: FP8 E4M3, NVFP4, INT8 and INT4.

A front door only; the codecs live in `fp8`, `nvfp4` and `integer`, each with a plain reference
beside its fast path. Encoders refuse NaN and infinities, since a saturating cast would hide them.

Source: quantization specification, sections 1, 2 and 8.1.
"""

from nanovl.ops.fp8 import (
    FP8_MAX,
    fp8_cast,
    fp8_decode,
    fp8_encode,
    fp8_fake_quant,
    fp8_scale,
)
from nanovl.ops.integer import (
    int4_dequantize,
    int4_quantize,
    int4_quantize_symmetric,
    int8_dequantize,
    int8_quantize,
)
from nanovl.ops.nvfp4 import (
    NVFP4_BLOCK,
    NVFP4_MAX,
    blocked_scale_offset,
    e2m1_decode,
    e2m1_encode,
    nvfp4_decode,
    nvfp4_encode,
    nvfp4_fake_quant_activation,
    nvfp4_scale,
    pack_nibbles,
    swizzle_block_scales,
    unpack_nibbles,
    unswizzle_block_scales,
)

__all__ = [
    "FP8_MAX",
    "NVFP4_BLOCK",
    "NVFP4_MAX",
    "blocked_scale_offset",
    "e2m1_decode",
    "e2m1_encode",
    "fp8_cast",
    "fp8_decode",
    "fp8_encode",
    "fp8_fake_quant",
    "fp8_scale",
    "int4_dequantize",
    "int4_quantize",
    "int4_quantize_symmetric",
    "int8_dequantize",
    "int8_quantize",
    "nvfp4_decode",
    "nvfp4_encode",
    "nvfp4_fake_quant_activation",
    "nvfp4_scale",
    "pack_nibbles",
    "swizzle_block_scales",
    "unpack_nibbles",
    "unswizzle_block_scales",
]
