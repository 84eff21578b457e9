"""INT8 and INT4. I1 is a worked example of the quantization specification, section 7.3."""

import math

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.ops.integer import (
    int4_dequantize,
    int4_quantize,
    int4_quantize_symmetric,
    int8_dequantize,
    int8_quantize,
)


def test_i1_int8_per_channel():
    q, scale = int8_quantize(torch.tensor([[0.5, -1, 0.25, 2], [0.003, -0.02, 0.1, 0.05]]))
    assert q.tolist() == [[32, -64, 16, 127], [4, -25, 127, 64]]
    torch.testing.assert_close(
        scale, torch.tensor([0.015748031437, 0.0007874015717]), rtol=1e-7, atol=0
    )


@pytest.mark.parametrize("shape", [(1, 16), (3, 48), (129, 5120), (2, 7)])
def test_int8_error_is_half_a_step(shape):
    torch.manual_seed(0)
    w = torch.randn(shape)
    q, scale = int8_quantize(w)
    error = (int8_dequantize(q, scale, torch.float32) - w).abs()
    assert bool((error <= scale[:, None] * 0.5001).all())
    assert int(q.abs().max()) == 127


def test_int8_zero_row_and_dtype():
    q, scale = int8_quantize(torch.tensor([[0.0, 0.0], [1.0, 2.0]], dtype=torch.bfloat16))
    assert q.tolist() == [[0, 0], [64, 127]]
    assert scale[0].item() == 1.0
    assert int8_dequantize(q, scale).dtype is torch.bfloat16


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("n", [1, 3, 129])
def test_int4_error_is_half_a_step(group, n):
    torch.manual_seed(0)
    w = torch.randn(n, 256)
    q, scale, minimum = int4_quantize(w, group, scale_dtype=torch.float32)
    error = (int4_dequantize(q, scale, minimum, torch.float32) - w).abs()
    assert bool((error <= scale.repeat_interleave(group, 1) * 0.5001).all())
    assert (int(q.min()), int(q.max())) == (0, 15)


def test_int4_scales_are_stored_in_bf16_and_the_codes_know_it():
    torch.manual_seed(0)
    w = torch.randn(64, 256) * 0.02
    q, scale, minimum = int4_quantize(w)
    assert (q.dtype, scale.dtype, minimum.dtype) == (torch.uint8, torch.bfloat16, torch.bfloat16)
    exact = int4_quantize(w, scale_dtype=torch.float32)
    error = (int4_dequantize(q, scale, minimum, torch.float32) - w).norm()
    best = (int4_dequantize(*exact, torch.float32) - w).norm()
    assert error < 1.01 * best


def test_int4_constant_groups():
    w = torch.cat([torch.full((1, 32), 0.75), torch.zeros(1, 32)], dim=1)
    q, scale, minimum = int4_quantize(w)
    assert not q.any()
    assert scale.tolist() == [[1.0, 1.0]]
    assert torch.equal(int4_dequantize(q, scale, minimum, torch.float32), w)


def test_int4_ties_go_to_the_even_code():
    # step 1 from 0 to 15: halves are ties
    w = torch.tensor([[0.0, 15.0, 0.5, 1.5, 2.5, 13.5, 14.5, 7.4] + [3.0] * 24])
    q, _, _ = int4_quantize(w)
    assert q[0, :8].tolist() == [0, 15, 0, 2, 2, 14, 14, 7]


def test_symmetric_int4_takes_the_best_of_its_three_steps():
    torch.manual_seed(0)
    w = torch.randn(64, 256)
    q, scale = int4_quantize_symmetric(w)
    assert (q.dtype, scale.dtype) == (torch.uint8, torch.bfloat16)
    assert (int(q.min()), int(q.max())) == (0, 15)
    wide = scale.float().repeat_interleave(32, 1)
    error = ((q.float() - 8) * wide - w).view(64, 8, 32).square().sum(-1)
    amax = w.view(64, 8, 32).abs().amax(-1)
    for end in (7.0, 7.5, 8.0):
        step = (amax / end).bfloat16().float().repeat_interleave(32, 1)
        alone = ((w / step).round().clamp(-8, 7) * step - w).view(64, 8, 32).square().sum(-1)
        assert bool((error <= alone).all())
        assert bool((error < alone).any())  # none of them is best everywhere


def test_symmetric_int4_exact_values_and_zeros():
    w = torch.cat([torch.arange(-8.0, 8.0).repeat(2)[None], torch.zeros(1, 32)], dim=1)
    q, scale = int4_quantize_symmetric(w)
    assert scale.tolist() == [[1.0, 1.0]]
    assert torch.equal(q.float() - 8, w)


@pytest.mark.parametrize("group", [0, 36, 64])
def test_int4_group_that_does_not_fit_is_refused(group):
    for quantize in (int4_quantize, int4_quantize_symmetric):
        with pytest.raises(InputError, match="group size"):
            quantize(torch.ones(2, 96), group)


@pytest.mark.parametrize("quantize", [int4_quantize, int4_quantize_symmetric, int8_quantize])
def test_not_finite_is_refused(quantize):
    w = torch.ones(2, 32)
    w[1, 5] = math.nan
    with pytest.raises(InputError, match=r"o_proj.*nan.*\[1, 5\]"):
        quantize(w, what="o_proj")


def test_many_chunks_equal_one(monkeypatch):
    torch.manual_seed(0)
    w = torch.randn(37, 64)
    eight, four = int8_quantize(w), int4_quantize(w)
    numbers = int8_dequantize(*eight), int4_dequantize(*four)
    monkeypatch.setattr("nanovl.ops.rowwise._CHUNK_VALUES", {"cpu": 128})
    for before, after in zip((*eight, *four), (*int8_quantize(w), *int4_quantize(w)), strict=True):
        assert torch.equal(before, after)
    assert torch.equal(numbers[0], int8_dequantize(*eight))
    assert torch.equal(numbers[1], int4_dequantize(*four))
