"""Error of each format on 1024 x 5120 weights: quantization specification, section 7.4."""

import pytest
import torch

from nanovl.ops.lowp import (
    fp8_decode,
    fp8_encode,
    fp8_scale,
    int4_dequantize,
    int4_quantize,
    int8_dequantize,
    int8_quantize,
    nvfp4_decode,
    nvfp4_encode,
)

F32 = torch.float32


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    shape = (1024, 5120)
    student = torch.randn(shape) / (torch.distributions.Chi2(5.0).sample(shape) / 5).sqrt()
    laplace = torch.empty(shape).exponential_() * torch.randint(0, 2, shape).mul_(2).sub_(1)
    samples = {"gaussian": torch.randn(shape), "student": student, "laplace": laplace}
    return {name: (0.02 * w).bfloat16() for name, w in samples.items()}


def fp8_per_tensor(w):
    scale = fp8_scale(w.abs().max())
    return fp8_decode(fp8_encode(w, scale), scale, F32)


def fp8_per_channel(w):
    scale = fp8_scale(w.abs().amax(1))
    return fp8_decode(fp8_encode(w, scale), scale, F32)


def int4(w, group):
    return int4_dequantize(*int4_quantize(w, group), F32)


# percent, for Gaussian, Student-t (5) and Laplace weights
TABLE = {
    "FP8 per tensor": (fp8_per_tensor, 2.65, 2.65, 2.65),
    "FP8 per channel": (fp8_per_channel, 2.65, 2.63, 2.64),
    "INT8 per channel": (lambda w: int8_dequantize(*int8_quantize(w), F32), 0.88, 2.10, 1.47),
    "NVFP4": (lambda w: nvfp4_decode(*nvfp4_encode(w), F32), 9.51, 9.24, 9.27),
    "INT4 group 32": (lambda w: int4(w, 32), 8.08, 9.29, 9.44),
    "INT4 group 128": (lambda w: int4(w, 128), 10.1, 13.3, 13.0),
}


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("column", ["gaussian", "student", "laplace"])
def test_relative_rms_error(weights, row, column):
    apply, *percents = TABLE[row]
    expected = dict(zip(weights, percents, strict=True))[column] / 100
    w = weights[column]
    error = (apply(w) - w.float()).norm() / w.float().norm()
    assert error.item() == pytest.approx(expected, rel=0.05)
