"""Properties of the number formats: stable under repetition, error within the format's bound."""

import torch
from hypothesis import given, settings, strategies as st

from nanovl.ops.lowp import (
    NVFP4_MAX,
    e2m1_decode,
    e2m1_encode,
    fp8_decode,
    fp8_encode,
    fp8_scale,
    int4_dequantize,
    int4_quantize,
    int8_dequantize,
    int8_quantize,
    nvfp4_decode,
    nvfp4_encode,
    pack_nibbles,
    swizzle_block_scales,
    unpack_nibbles,
    unswizzle_block_scales,
)
from nanovl.quant import Fp8Linear, Int4Linear, Int8Linear, NvFp4Linear

F32 = torch.float32
modest = settings(max_examples=40, deadline=None)


@st.composite
def matrices(draw, column_step=16):
    """Weights of any shape, size, spread and dtype, with zero rows and zero blocks."""
    n = draw(st.integers(1, 20))
    k = column_step * draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    spread = draw(st.sampled_from([0.0, 1.0, 8.0]))
    w = torch.randn(n, k, generator=generator)
    w *= torch.exp2(spread * torch.randn(n, k, generator=generator).clamp(-2, 2))
    w *= 2.0 ** draw(st.integers(-60, 60))
    if draw(st.booleans()):
        w[draw(st.integers(0, n - 1))] = 0
    if draw(st.booleans()):
        w[:, :column_step] = 0
    return w.to(draw(st.sampled_from([F32, torch.bfloat16])))


def same_bytes(a, b):
    return torch.equal(a.view(torch.uint8), b.view(torch.uint8))


@modest
@given(matrices(column_step=1), st.booleans())
def test_fp8(w, per_row):
    scale = fp8_scale(w.float().abs().amax(1) if per_row else w.float().abs().max())
    q = fp8_encode(w, scale)
    decoded = fp8_decode(q, scale, F32)
    assert same_bytes(fp8_encode(decoded, scale), q)
    column = scale[:, None] if per_row else scale
    # half a step: 1/16 of the value, or half the smallest number
    bound = torch.maximum(w.float().abs() / 16, column * 2**-10) * (1 + 1e-5)
    assert bool(((decoded - w.float()).abs() <= bound).all())


@modest
@given(matrices())
def test_nvfp4(w):
    packed, scale, scale_2 = nvfp4_encode(w)
    decoded = nvfp4_decode(packed, scale, scale_2, F32)
    blocks = w.float().view(w.shape[0], -1, 16)
    unit = (scale.float() * scale_2).unsqueeze(-1)
    # encoding with the same scales gives the same numbers
    same = e2m1_decode(e2m1_encode(decoded.view_as(blocks) / unit)) * unit
    assert torch.equal(same, decoded.view_as(blocks))
    # and so does encoding afresh, where the block scale is no subnormal number
    again = nvfp4_decode(*nvfp4_encode(decoded, scale_2), F32).view_as(blocks)
    settled = (scale.float() >= 2**-6).unsqueeze(-1)
    assert torch.equal(torch.where(settled, again, 0), torch.where(settled, same, 0))
    # within a block: half the widest step (1 unit) and what the rounded scale clips (6 / 16)
    error = (decoded.view_as(blocks) - blocks).abs()
    assert bool((error <= unit * 1.001).all())
    assert bool((decoded.abs() <= NVFP4_MAX * scale_2 * (1 + 1e-6)).all())


@modest
@given(matrices())
def test_nvfp4_module_round_trip(w):
    packed, scale, scale_2 = nvfp4_encode(w)
    decoded = nvfp4_decode(packed, scale, scale_2, F32)
    module, other = NvFp4Linear.from_float(w), NvFp4Linear(w.shape[1], w.shape[0])
    other.load_state_dict({**module.state_dict(), "input_scale": torch.tensor(1.0)})
    assert torch.equal(other.dequantized_weight(F32), decoded)


@modest
@given(matrices(column_step=1))
def test_int8(w):
    q, scale = int8_quantize(w)
    decoded = int8_dequantize(q, scale, F32)
    again, scale_again = int8_quantize(decoded)
    assert torch.equal(again, q)
    torch.testing.assert_close(scale_again, scale, rtol=1e-6, atol=0)
    assert bool(((decoded - w.float()).abs() <= scale[:, None] * 0.5001).all())


@modest
@given(matrices(column_step=32), st.sampled_from([F32, torch.bfloat16]))
def test_int4(w, scale_dtype):
    q, scale, minimum = int4_quantize(w, scale_dtype=scale_dtype)
    decoded = int4_dequantize(q, scale, minimum, F32).view(w.shape[0], -1, 32)
    groups = w.float().view_as(decoded)
    # half a step, and in bf16 what the rounded step and minimum cut off at the ends
    slack = 1e-3 if scale_dtype is F32 else 2**-7
    width = groups.abs().amax(-1, keepdim=True)
    bound = scale.float().unsqueeze(-1) * 0.5 * (1 + slack) + 2 * slack * width
    varied = (groups.amax(-1) > groups.amin(-1)).unsqueeze(-1)
    bound = torch.where(varied, bound, slack * width)
    assert bool(((decoded - groups).abs() <= bound).all())
    assert int(q.max()) <= 15


@modest
@given(matrices(column_step=64), st.integers(1, 9))
def test_modules_equal_their_dequantized_weight(w, t):
    w = (w.float() / w.float().abs().max().clamp(min=1e-30)).to(w.dtype)
    x = torch.randn(t, w.shape[1], generator=torch.Generator().manual_seed(t))
    for cls in (Fp8Linear, NvFp4Linear, Int8Linear, Int4Linear):
        module = cls.from_float(w)
        numbers = module.dequantized_weight(F32)
        error = (module(x) - x @ numbers.t()).norm()
        assert error <= 1e-5 * x.norm() * numbers.norm() + 1e-30, cls.__name__


@modest
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_nibbles(n, pairs, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (n, 2 * pairs), generator=generator, dtype=torch.uint8)
    assert torch.equal(unpack_nibbles(pack_nibbles(codes)), codes)


@modest
@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**31))
def test_block_scale_layout(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.randint(0, 127, (rows, columns), generator=generator, dtype=torch.uint8)
    flat = swizzle_block_scales(scale)
    assert torch.equal(unswizzle_block_scales(flat, rows, columns), scale)
    assert int(flat.long().sum()) == int(scale.long().sum())
