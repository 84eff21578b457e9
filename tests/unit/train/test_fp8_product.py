"""Rounding to FP8 and the emulated product, against torch's own casts and `_scaled_mm`."""

import pytest
import torch

from nanovl.testing import assert_close
from nanovl.train.fp8_product import FP8_LIMITS, Operand, multiply, quantize, round_to_fp8

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
FORMATS = [E4M3, E5M2]


def cast(v, scale, dtype):
    """The definition: multiply in fp32, clamp, cast."""
    limit = FP8_LIMITS[dtype]
    return (v.float() * scale).clamp(-limit, limit).to(dtype)


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_cast_traps():
    """What clamping protects from: E4M3 hides infinity, E5M2 makes it (section 6.3)."""
    v = torch.tensor([1000.0, -1e6, torch.inf, torch.nan])
    assert v.to(E4M3).float().tolist()[:3] == [448.0, -448.0, 448.0]
    assert v.to(E4M3).float()[3].isnan()
    assert torch.tensor([1e6, torch.inf]).to(E5M2).float().tolist() == [torch.inf, torch.inf]
    one = torch.ones(())
    for emulate in (True, False):
        got = quantize(torch.full((16, 16), 1e6), one, E5M2, emulate=emulate).float()
        assert got.unique().tolist() == [57344.0]
        assert quantize(v.view(1, 4), one, E4M3, emulate=emulate).float()[0, 3].isnan()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("scale", [1.0, 2.0**-9, 224.0, 0.37, 3.1e5])
def test_rounding_is_the_cast_for_every_bf16_number(dtype, scale):
    v = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    v = v[torch.isfinite(v)].view(16, -1)
    factor = torch.tensor(scale)
    expected = cast(v, factor, dtype)
    assert torch.equal(round_to_fp8(v, factor, dtype), expected.to(torch.bfloat16))
    assert torch.equal(
        quantize(v, factor, dtype, emulate=False).float(), expected.float()
    )  # 16 rows: nothing filled up


@pytest.mark.parametrize("dtype", FORMATS)
def test_rounding_is_the_cast_for_fp32_and_its_ties(dtype):
    one = torch.ones(())
    codes = torch.arange(0x7C if dtype is E5M2 else 0x7F, dtype=torch.uint8).view(dtype).float()
    ties = (codes[1:] + codes[:-1]) / 2
    near = [torch.nextafter(ties, ties * s) for s in (0.0, 2.0)]
    v = torch.cat([codes, ties, *near, randn(50_000) * 100])
    v = torch.cat([v, -v])
    assert torch.equal(round_to_fp8(v, one, dtype), cast(v, one, dtype).float())


def test_bf16_values_are_scaled_in_fp32():
    """Scaling in bf16 would round twice: 2 % of these codes would differ."""
    v, scale = randn(64, 64, dtype=torch.bfloat16), torch.tensor(100.3)
    twice = (v * scale.bfloat16()).to(E4M3).float()
    assert (twice != cast(v, scale, E4M3).float()).float().mean() > 0.01
    assert torch.equal(
        quantize(v, scale, E4M3, emulate=False).float(), cast(v, scale, E4M3).float()
    )


@pytest.mark.parametrize("shape", [(0, 16), (3, 16), (16, 32), (300, 1024)])
def test_shapes_and_filling(shape):
    v, one = randn(*shape), torch.ones(())
    assert quantize(v, one, E4M3, emulate=True).shape == shape
    codes = quantize(v, one, E4M3, emulate=False)
    assert codes.shape == (-(-shape[0] // 16) * 16, shape[1])
    assert not codes[shape[0] :].float().any()


def test_rounds_what_is_not_contiguous():
    v, one = randn(48, 32), torch.ones(())
    assert torch.equal(round_to_fp8(v.t(), one, E4M3), cast(v.t(), one, E4M3).float())


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_emulated_product_is_scaled_mm(first, dtype):
    """Same operands, so what is left is the order of sums: 3e-7 in fp32, 2^-8 in bf16."""
    a, b = randn(32, 48, dtype=dtype), randn(16, 48, seed=1, dtype=dtype)
    scale_a, scale_b = torch.tensor(90.7), torch.tensor(33.3)
    y = [
        multiply(
            Operand(quantize(a, scale_a, first, emulate=emulate), 1 / scale_a),
            Operand(quantize(b, scale_b, E4M3, emulate=emulate), 1 / scale_b).t(),
            dtype,
        )
        for emulate in (True, False)
    ]
    assert y[0].dtype == y[1].dtype == dtype
    error = (y[0].double() - y[1].double()).norm() / y[1].double().norm()
    assert error < (1e-6 if dtype == torch.float32 else 2**-8)
    exact = a.float() @ b.float().t()
    loss = (y[0].float() - exact).norm() / exact.norm()
    assert loss < (0.05 if first is E4M3 else 0.08)  # what eight bits cost


def test_transposed_operands():
    """The layouts of both backward products reach the kernel in the order it wants."""
    g, x = randn(32, 16), randn(32, 48, seed=1)
    one = torch.ones(())
    y = [
        multiply(
            Operand(quantize(g, one, E5M2, emulate=emulate), one).t(),
            Operand(quantize(x, one, E4M3, emulate=emulate), one),
            torch.float32,
        )
        for emulate in (True, False)
    ]
    assert_close(y[0], y[1], atol=2e-5)


@pytest.mark.parametrize("emulate", [True, False])
def test_a_poisoned_operand_poisons_the_product(emulate):
    one = torch.ones(())
    a = Operand(quantize(randn(16, 16), one, E4M3, emulate=emulate), torch.tensor(torch.nan))
    b = Operand(quantize(randn(16, 16), one, E4M3, emulate=emulate), one)
    assert multiply(a, b.t(), torch.float32).isnan().all()
