"""Numbers in fewer bits: linears that keep their weight packed, and which layers get them.

Takes any `nn.Module`; knows no vision-language model, no checkpoint files and no configuration
files. Reading order: base, floating, int4_kernel, integer, linear (the front door), histogram,
observers, ranges, scales, gptq, rounding, schemes, fake.
"""

from nanovl.quant.fake import (
    FAKE_FORMATS,
    FakeQuantLinear,
    calibrate,
    fake_quant_layers,
    freeze,
    insert_fake_quant,
    pack_fake_quant,
)
from nanovl.quant.linear import Fp8Linear, Int4Linear, Int8Linear, NvFp4Linear, QuantizedLinear
from nanovl.quant.observers import Observers, TensorStatistics
from nanovl.quant.ranges import RANGE_METHODS, check_range_method, input_range
from nanovl.quant.rounding import ALGORITHMS, check_algorithm, weight_range
from nanovl.quant.schemes import (
    DENY,
    FORMATS,
    POLICIES,
    Policy,
    find_policy,
    format_of,
    plan_formats,
    quantize_linear,
    replace_module,
    should_quantize,
    transcode,
)

__all__ = [
    "ALGORITHMS",
    "DENY",
    "FAKE_FORMATS",
    "FORMATS",
    "POLICIES",
    "RANGE_METHODS",
    "FakeQuantLinear",
    "Fp8Linear",
    "Int4Linear",
    "Int8Linear",
    "NvFp4Linear",
    "Observers",
    "Policy",
    "QuantizedLinear",
    "TensorStatistics",
    "calibrate",
    "check_algorithm",
    "check_range_method",
    "fake_quant_layers",
    "find_policy",
    "format_of",
    "freeze",
    "input_range",
    "insert_fake_quant",
    "pack_fake_quant",
    "plan_formats",
    "quantize_linear",
    "replace_module",
    "should_quantize",
    "transcode",
    "weight_range",
]
