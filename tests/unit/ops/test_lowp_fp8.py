"""FP8 E4M3. F1 to F7 and A1: worked examples of the quantization specification, section 7."""

import math

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.ops import fp8
from nanovl.ops.fp8 import (
    FP8_MAX,
    fp8_cast,
    fp8_decode,
    fp8_decode_reference,
    fp8_encode,
    fp8_encode_reference,
    fp8_fake_quant,
    fp8_scale,
)

ONE = torch.tensor(1.0)


def codes(q):
    return q.view(torch.uint8).flatten().tolist()


def all_codes():
    return torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)


@pytest.mark.parametrize(
    ("value", "code", "decoded"),
    [
        (1.0, 0x38, 1.0),
        (-1.0, 0xB8, -1.0),
        (0.1, 0x1D, 0.1015625),
        (-0.3, 0xAA, -0.3125),
        (448.0, 0x7E, 448.0),
        (464.0, 0x7E, 448.0),
        (480.0, 0x7E, 448.0),
        (500.0, 0x7E, 448.0),
        (1e30, 0x7E, 448.0),
        (-0.0, 0x80, -0.0),
        (2.0**-6, 0x08, 2.0**-6),
        (2.0**-6 - 2.0**-9, 0x07, 0.013671875),
        (17.0, 0x58, 16.0),
        (19.0, 0x5A, 20.0),
        (21.0, 0x5A, 20.0),
        (22.0, 0x5B, 22.0),
        (232.0, 0x76, 224.0),
        (248.0, 0x78, 256.0),
        (2.0**-9, 0x01, 2.0**-9),
        (2.0**-10, 0x00, 0.0),
        (2.0**-10 * 1.0001, 0x01, 2.0**-9),
        (3 * 2.0**-10, 0x02, 2.0**-8),
    ],
)
def test_f1_casts(value, code, decoded):
    q = fp8_encode(torch.tensor([value]), ONE)
    assert codes(q) == [code]
    result = fp8_decode(q, ONE, torch.float32).item()
    assert result == decoded
    assert math.copysign(1, result) == math.copysign(1, decoded)


def test_f1_infinity_saturates_and_nan_stays_in_the_unchecked_cast():
    x = torch.tensor([math.inf, -math.inf, math.nan])
    assert codes(fp8_cast(x, ONE)) == [0x7E, 0xFE, 0x7F]


def test_f2_weight():
    x = torch.tensor([[0.5, -1.0, 0.25, 2.0], [0.003, -0.02, 0.1, 1.75]])
    scale = fp8_scale(x.abs().max())
    assert scale.view(torch.int32).item() == 0x3B924925
    assert scale.item() == 0.004464285913854837
    q = fp8_encode(x, scale)
    assert codes(q) == [0x6E, 0xF6, 0x66, 0x7E, 0x33, 0xC9, 0x5B, 0x7C]
    expected = [
        [0.5, -1.0, 0.25, 2.0],
        [0.0030691966, -0.0200892873, 0.0982142910, 1.7142858505],
    ]
    torch.testing.assert_close(
        fp8_decode(q, scale, torch.float32), torch.tensor(expected), rtol=1e-7, atol=0
    )


def test_f3_activation():
    x = torch.tensor([[0.5, -1.0, 0.25, 2.0], [0.003, -0.02, 0.1, 1.75]])
    expected = [
        [0.4821428359, -0.9642856717, 0.2410714179, 1.4999998808],
        [0.0029296873, -0.0200892836, 0.1004464254, 1.4999998808],
    ]
    torch.testing.assert_close(fp8_fake_quant(x, 1.5), torch.tensor(expected), rtol=1e-7, atol=0)
    in_bf16 = [
        [0.482421875, -0.96484375, 0.2412109375, 1.5],
        [0.0029296875, -0.0201416016, 0.1005859375, 1.5],
    ]
    rounded = fp8_fake_quant(x.bfloat16(), torch.tensor(1.5))
    assert rounded.dtype is torch.bfloat16
    assert torch.equal(rounded, torch.tensor(in_bf16).bfloat16())


def test_f4_amax_zero():
    x = torch.tensor([1e-9, 0.0, 1.0])
    assert fp8_fake_quant(x, 0.0).tolist() == [0.0, 0.0, 1.0]
    assert fp8_fake_quant(x, 2.0**-24).tolist() == [0.0, 0.0, 1.0]


def test_fake_quant_without_amax_is_the_cast_alone():
    assert fp8_fake_quant(torch.tensor([17.0, 1000.0]), None).tolist() == [16.0, 448.0]


@pytest.mark.parametrize(
    ("weight", "code"),
    [(-0.0029296875, 0xD9), (-0.005859375, 0xE1), (0.00653076171875, 0x61)],
)
def test_f5_divides_in_fp32_even_for_bf16_weights(weight, code):
    scale = torch.tensor(0.0001722063316265121)
    assert codes(fp8_encode(torch.tensor([weight], dtype=torch.bfloat16), scale)) == [code]


def test_f5_bf16_division_would_move_some_bytes():
    torch.manual_seed(3)
    w = (torch.randn(64, 64) * 0.02).bfloat16()
    scale = fp8_scale(w.abs().max())
    careless = (w / scale).to(torch.float8_e4m3fn)
    moved = (fp8_encode(w, scale).view(torch.uint8) != careless.view(torch.uint8)).float().mean()
    assert moved.item() == pytest.approx(0.0129, abs=1e-4)


def test_f7_bf16_row():
    x = torch.tensor(
        [[0.0437, -0.0211, 0.00385, 0.0918], [0.0123, -0.0777, 0.0009, -0.0555]]
    ).bfloat16()
    scale = fp8_scale(x.abs().max())
    assert scale.view(torch.int32).item() == 0x3956DB6E
    assert codes(fp8_encode(x, scale)) == [0x75, 0xED, 0x59, 0x7E, 0x67, 0xFC, 0x49, 0xF8]


def test_a1_input_scale():
    assert fp8_scale(torch.tensor(13.4375)).item() == 0.02999441884458065


def test_every_code_decodes_and_encodes_back():
    q = all_codes()
    values = fp8_decode(q, ONE, torch.float32)
    reference = fp8_decode_reference(q, ONE)
    finite = ~values.isnan()
    assert values.isnan().tolist() == [c & 0x7F == 0x7F for c in range(256)]
    assert torch.equal(values[finite], reference[finite])
    assert torch.equal(torch.signbit(values), torch.signbit(reference))
    assert codes(fp8_encode(values[finite], ONE)) == [c for c in range(256) if c & 0x7F != 0x7F]


def test_every_bf16_number_is_cast_to_the_nearest_code():
    x = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    x = x[torch.isfinite(x)]
    assert torch.equal(
        fp8_encode(x, ONE).view(torch.uint8), fp8_encode_reference(x, ONE).view(torch.uint8)
    )


def test_random_fp32_is_cast_to_the_nearest_code():
    torch.manual_seed(0)
    x = torch.randn(20_000) * torch.exp2(torch.randint(-12, 12, (20_000,)).float())
    scale = torch.tensor(0.37)
    assert torch.equal(
        fp8_encode(x, scale).view(torch.uint8), fp8_encode_reference(x, scale).view(torch.uint8)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("per_row", [False, True])
def test_table_decode_equals_arithmetic(monkeypatch, dtype, per_row):
    torch.manual_seed(0)
    q = torch.randint(0, 256, (129, 48), dtype=torch.uint8).view(torch.float8_e4m3fn)
    scale = torch.rand(129) * 1e-3 if per_row else torch.tensor(3.1e-4)
    plain = fp8_decode(q, scale, dtype)
    monkeypatch.setattr(fp8, "_TABLE_FROM", 1)
    by_table = fp8_decode(q, scale, dtype)
    assert torch.equal(plain.nan_to_num(7.0), by_table.nan_to_num(7.0))
    reference = fp8_decode_reference(q, scale).to(dtype)
    assert torch.equal(plain.nan_to_num(7.0), reference.nan_to_num(7.0))


def test_decode_does_not_depend_on_denormal_flushing(monkeypatch):
    # a trick that passes codes through subnormal bf16 numbers would return zeros here
    monkeypatch.setattr(fp8, "_TABLE_FROM", 1)
    q = torch.arange(8, dtype=torch.uint8).view(torch.float8_e4m3fn).view(1, 8)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        values = fp8_decode(q, ONE, torch.float32)
    finally:
        torch.set_flush_denormal(False)
    assert values.tolist() == [[i * 2.0**-9 for i in range(8)]]


def test_per_row_scales_and_their_shapes():
    torch.manual_seed(0)
    w = torch.randn(3, 16)
    scale = fp8_scale(w.abs().amax(1))
    q = fp8_encode(w, scale)
    assert torch.equal(q.view(torch.uint8), fp8_encode(w, scale[:, None]).view(torch.uint8))
    for row in range(3):
        assert codes(q[row]) == codes(fp8_encode(w[row], scale[row]))
    assert torch.equal(fp8_decode(q, scale), fp8_decode(q, scale[:, None]))


def test_decode_writes_into_given_memory():
    q = fp8_encode(torch.randn(4, 6), ONE)
    out = torch.empty(4, 6, dtype=torch.bfloat16)
    assert fp8_decode(q, ONE, out=out) is out
    assert torch.equal(out, fp8_decode(q, ONE))


def test_zero_tensor_gets_scale_one_and_zero_bytes():
    w = torch.zeros(2, 16)
    scale = fp8_scale(w.abs().max())
    assert scale.item() == 1.0
    assert codes(fp8_encode(w, scale)) == [0] * 32


def test_amax_so_small_that_the_scale_underflows_counts_as_zero():
    assert fp8_scale(torch.tensor(1e-44)).item() == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_is_refused_with_name_and_place(bad):
    x = torch.zeros(3, 4)
    x[1, 2] = bad
    with pytest.raises(InputError, match=r"layers\.0\.q_proj\.weight.*\[1, 2\]"):
        fp8_encode(x, ONE, what="layers.0.q_proj.weight")
    with pytest.raises(InputError, match=r"batch 3.*\[1, 2\]"):
        fp8_fake_quant(x, 1.0, what="batch 3")
    with pytest.raises(InputError, match="finite"):
        fp8_scale(torch.tensor(bad))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_bad_scale_is_refused(scale):
    with pytest.raises(InputError, match="above 0"):
        fp8_encode(torch.ones(2), torch.tensor(scale))


def test_empty_tensor():
    assert fp8_encode(torch.empty(0, 16), ONE).shape == (0, 16)


def test_many_chunks_equal_one(monkeypatch):
    torch.manual_seed(0)
    w = torch.randn(37, 64)
    scale = fp8_scale(w.abs().amax(1))
    whole, decoded = fp8_encode(w, scale), fp8_decode(fp8_encode(w, scale), scale)
    monkeypatch.setattr("nanovl.ops.rowwise._CHUNK_VALUES", {"cpu": 128})
    assert torch.equal(whole.view(torch.uint8), fp8_encode(w, scale).view(torch.uint8))
    assert torch.equal(decoded, fp8_decode(whole, scale))


def test_largest_code():
    assert fp8_decode(all_codes()[0x7E], ONE, torch.float32).item() == FP8_MAX
