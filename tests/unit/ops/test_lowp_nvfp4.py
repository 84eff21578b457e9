"""NVFP4. N1 to N10, A1 to A3: quantization specification, section 7; model specification 11.8."""

import math

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.ops.nvfp4 import (
    blocked_scale_offset,
    e2m1_decode,
    e2m1_encode,
    e2m1_encode_reference,
    nvfp4_decode,
    nvfp4_decode_reference,
    nvfp4_encode,
    nvfp4_encode_reference,
    nvfp4_fake_quant_activation,
    nvfp4_scale,
    pack_nibbles,
    swizzle_block_scales,
    unpack_nibbles,
    unswizzle_block_scales,
)

GRID = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def encode(values, scale_2=None):
    """Bytes, scale bytes, tensor scale bits and decoded values of one row (or rows)."""
    w = torch.as_tensor(values)
    w = w.view(-1, w.shape[-1])
    packed, scale, s2 = nvfp4_encode(w, scale_2)
    decoded = nvfp4_decode(packed, scale, s2, torch.float32)
    return (
        packed.flatten().tolist(),
        scale.view(torch.uint8).flatten().tolist(),
        s2.view(torch.int32).item(),
        decoded,
    )


def hexes(text):
    return [int(byte, 16) for byte in text.split()]


def close(actual, expected, rtol=1e-6):
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=rtol, atol=0)


def test_n1_exact_grid():
    row = [*GRID, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]
    packed, scale, s2, decoded = encode(row)
    assert (packed, scale, s2) == (hexes("10 32 54 76 90 ba dc fe"), [0x7E], 0x3B124925)
    assert decoded.flatten().tolist() == row


def test_n2_ties():
    up = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0]
    packed, scale, s2, decoded = encode(up + [-v for v in up])
    assert (packed, scale, s2) == (hexes("20 42 64 76 a8 ca ec fe"), [0x7E], 0x3B124925)
    assert decoded.flatten().tolist() == [0, 1, 1, 2, 2, 4, 4, 6, -0.0, -1, -1, -2, -2, -4, -4, -6]


def test_n3_next_to_ties():
    row = [0.25000009, 0.74999988, 1.25000012, 1.74999988, 2.50000024, 3.49999976, 5.00000048, 6]
    row += [0.249, 0.751, 1.249, 1.751, 2.499, 3.501, 4.999, 5.9]
    packed, _, _, decoded = encode(row)
    assert packed == hexes("11 33 55 77 20 42 64 76")
    assert decoded.flatten().tolist() == [0.5, 0.5, 1.5, 1.5, 3, 3, 6, 6, 0, 1, 1, 2, 2, 4, 4, 6]


def test_n4_two_blocks():
    line = torch.linspace(-1, 1, 16)
    packed, scale, s2, decoded = encode(torch.cat([line, line * 0.01]))
    assert packed == hexes("ff ee cd 9a 21 54 66 77") * 2
    assert (scale, s2) == ([0x7E, 0x49], 0x39C30C31)
    first = [-1, -1, -2 / 3, -2 / 3, -0.5, -1 / 3, -1 / 6, -1 / 12]
    second = [-0.01004464, -0.01004464, -0.006696429, -0.006696429]
    second += [-0.005022321, -0.003348214, -0.001674107, -0.0008370536]
    mirrored = [half + [-v for v in reversed(half)] for half in (first, second)]
    close(decoded.flatten(), mirrored[0] + mirrored[1], rtol=5e-7)


def test_n5_zero_block():
    packed, scale, s2, decoded = encode([0.0] * 16 + [0.1, -0.2, 0.3, -0.4] * 4)
    assert (packed, scale, s2) == ([0] * 8 + [0xD3, 0xF6] * 4, [0x38, 0x7E], 0x391C09C1)
    assert decoded[0, :16].tolist() == [0.0] * 16
    close(decoded[0, 16:], [0.1, -0.2, 0.26666667, -0.4] * 4)


def test_n6_tiny_block():
    packed, scale, s2, decoded = encode([1e-6] * 16 + [2.688] * 16)
    assert (packed, scale, s2) == ([0x11] * 8 + [0x77] * 8, [0x01, 0x7E], 0x3A83126E)
    close(decoded.flatten(), [9.765624e-07] * 16 + [2.688] * 16)


def test_n7_frozen_scale():
    row = [8, -7, 6, 5, 4, 3, 2, 1, 0.5, 0.25, -8, -4, -2, -1, 0, 7.5]
    forced = torch.tensor(0x3A924925, dtype=torch.int32).view(torch.float32)
    packed, scale, s2, decoded = encode(torch.tensor(row), forced)
    assert (packed, scale, s2) == (hexes("f7 77 77 46 12 ff ce 70"), [0x7E], 0x3A924925)
    expected = [3, -3, 3, 3, 3, 3, 2, 1, 0.5, 0.25, -3, -3, -2, -1, 0, 3]
    close(decoded.flatten(), [float(v) for v in expected])


def test_n8_random_fp32():
    torch.manual_seed(0)
    w = torch.randn(2, 16) * 0.02
    packed, scale, s2, decoded = encode(w)
    assert packed == hexes("dd a9 44 fa e2 22 61 95 fe 54 f4 7a c4 19 76 d5")
    assert (scale, s2) == ([0x7E, 0x7C], 0x3784059C)
    close(decoded[0, :4], [-0.0211521927, -0.0211521927, -0.0035253654, -0.0070507307], rtol=1e-7)


N9 = """-0.01226806640625 0.00063323974609375 -0.00982666015625 0.004974365234375 0.0087890625
0.0022430419921875 0.0128173828125 0.00885009765625 -0.002044677734375 0.015869140625
-0.00579833984375 0.0010528564453125 0.01043701171875 0.046142578125 -0.0294189453125
-0.03173828125 -0.01348876953125 0.0174560546875 0.0211181640625 0.0035552978515625
-0.004608154296875 -0.0078125 0.0108642578125 -0.00787353515625 -0.0089111328125 0.014892578125
0.0303955078125 0.068359375 -0.0306396484375 -0.024658203125 0.036376953125 -0.01104736328125"""


def test_n9_bf16():
    w = torch.tensor([float(v) for v in N9.split()]).bfloat16()
    packed, scale, s2, _ = encode(w)
    assert packed == hexes("0b 1b 12 24 49 0a 73 ee 3a 14 99 92 3a 75 cd a5")
    assert (scale, s2) == ([0x79, 0x7E], 0x37D55555)


def test_n10_all_zero():
    packed, scale, s2, decoded = encode(torch.zeros(1, 16))
    assert (packed, scale) == ([0] * 8, [0x38])
    assert s2 == torch.tensor(1.0).view(torch.int32).item()
    assert decoded.tolist() == [[0.0] * 16]


def test_model_specification_codes():
    values = [0, 0.25, 0.26, 0.75, 0.74, 1.25, 1.75, 2.5, 3.5, 5, 5.01, 6, -0.25, -0.75, -6, 7]
    expected = [0, 0, 1, 2, 1, 2, 4, 4, 6, 6, 7, 7, 8, 10, 15, 7]
    assert e2m1_encode(torch.tensor(values)).tolist() == expected


def test_model_specification_row():
    row = [0.01 * (i - 15.5) if i < 16 else 0.03 * (i - 15.5) for i in range(32)]
    w = torch.tensor([row])
    packed, scale, s2 = nvfp4_encode(w)
    assert s2.item() == pytest.approx(1.7299107e-4, rel=1e-7)
    assert scale.float().tolist() == [[144, 448]]
    assert scale.view(torch.uint8).tolist() == [[113, 126]]
    expected = [255, 255, 238, 222, 221, 204, 171, 137, 16, 50, 67, 85, 101, 102, 118, 119]
    assert packed.tolist() == [expected]
    decoded = nvfp4_decode(packed, scale, s2, torch.float32)[0]
    values = [-0.1495] * 4 + [-0.0996] * 3 + [-0.0747] * 3 + [-0.0498] * 2
    values += [-0.0374, -0.0249, -0.0125, 0]
    values += [0, 0.0388, 0.0775, 0.1163, 0.1163, 0.155]
    values += [0.2325] * 3 + [0.31] * 4 + [0.465] * 3
    torch.testing.assert_close(decoded, torch.tensor(values), rtol=0, atol=6e-5)


INPUT_SCALE = torch.tensor(0x3BA3CF3D, dtype=torch.int32).view(torch.float32)
A2 = [13.4375, -0.5, 0.25, 1, -2, 3, -4, 0.125, 0, 6.5, -7, 8, 1.5, -1.25, 0.75, -0.0625]


def test_a1_input_scale():
    scale = nvfp4_scale(torch.tensor(13.4375))
    assert scale.item() == 0.0049990699626505375
    assert torch.equal(scale, INPUT_SCALE)


def test_a2_activation():
    expected = [13.4375, -0.0, 0, 1.11979163, -2.23958325, 3.359375, -4.47916651, 0]
    expected += [0, 6.71875, -6.71875, 8.95833302, 1.11979163, -1.11979163, 1.11979163, -0.0]
    x = torch.tensor([A2])
    close(nvfp4_fake_quant_activation(x, INPUT_SCALE)[0], expected, rtol=1e-7)


def test_a3_activation_beyond_the_calibrated_range_is_clipped():
    expected = [13.4375, -1.11979163, 0, 2.23958325, -4.47916651, 6.71875, -8.95833302, 0]
    expected += [0, 13.4375, -13.4375, 13.4375, 3.359375, -2.23958325, 1.11979163, -0.0]
    x = 2 * torch.tensor([A2])
    close(nvfp4_fake_quant_activation(x, INPUT_SCALE)[0], expected, rtol=1e-7)


def test_activation_keeps_shape_and_dtype_and_zero_blocks():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32).bfloat16()
    x[1, 2, 16:] = 0
    y = nvfp4_fake_quant_activation(x, INPUT_SCALE)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert not y[1, 2, 16:].any()
    assert torch.isfinite(y).all()


def test_activation_equals_weight_encoding_where_nothing_is_clamped():
    torch.manual_seed(0)
    x = torch.randn(5, 64)
    packed, scale, s2 = nvfp4_encode(x)
    decoded = nvfp4_decode(packed, scale, s2, torch.float32)
    # the two paths divide by 6 and by the scale in different order; codes near a tie may differ
    same = nvfp4_fake_quant_activation(x, s2) == decoded
    assert same.float().mean() > 0.99


def test_every_e2m1_code():
    values = e2m1_decode(torch.arange(16, dtype=torch.uint8))
    assert values.tolist() == [*GRID, *(-v for v in GRID)]
    assert math.copysign(1, values[8].item()) == -1
    back = e2m1_encode(values)
    assert back.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize("low", range(7))
def test_e2m1_midpoints_and_their_neighbours(low):
    middle = torch.tensor((GRID[low] + GRID[low + 1]) / 2)
    above = torch.nextafter(middle, torch.tensor(9.0))
    below = torch.nextafter(middle, torch.tensor(0.0))
    even = low if low % 2 == 0 else low + 1
    y = torch.stack([below, middle, above])
    assert e2m1_encode(y).tolist() == [low, even, low + 1]
    assert e2m1_encode(-y).tolist() == [low + 8, even + 8, low + 9]


def test_e2m1_special_numbers():
    y = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 1e-30, -1e-30, 3e38, -3e38])
    assert e2m1_encode(y).tolist() == [0, 0, 0, 8, 0, 8, 7, 15]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_e2m1_random_against_nearest_even_by_brute_force(dtype):
    torch.manual_seed(0)
    y = (torch.randn(20_000) * 3).to(dtype)
    grid = torch.tensor(GRID, dtype=torch.float64)
    distance = (y.double().abs().clamp(max=6)[:, None] - grid).abs()
    nearest = distance == distance.amin(1, keepdim=True)
    index = torch.where(nearest, torch.arange(8) % 2, 2).argmin(1)
    assert torch.equal(e2m1_encode(y), (index + 8 * (y < 0)).to(torch.uint8))
    assert torch.equal(e2m1_encode(y), e2m1_encode_reference(y))


@pytest.mark.parametrize("n", [1, 3, 129])
@pytest.mark.parametrize("k", [16, 48, 5120])
def test_pack_and_unpack(n, k):
    torch.manual_seed(n + k)
    codes = torch.randint(0, 16, (n, k), dtype=torch.uint8)
    packed = pack_nibbles(codes)
    assert packed.shape == (n, k // 2)
    assert torch.equal(packed, codes[:, 0::2] + 16 * codes[:, 1::2])
    assert torch.equal(unpack_nibbles(packed), codes)
    # transposed memory gives the same bytes
    assert torch.equal(pack_nibbles(codes.t().contiguous().t()), packed)


@pytest.mark.parametrize("n", [1, 3, 129])
@pytest.mark.parametrize("k", [16, 48, 5120])
def test_decode_equals_reference(n, k):
    torch.manual_seed(n + k)
    packed = torch.randint(0, 256, (n, k // 2), dtype=torch.uint8)
    scale = torch.randint(1, 0x7F, (n, k // 16), dtype=torch.uint8).view(torch.float8_e4m3fn)
    s2 = torch.tensor(3.7e-5)
    fast = nvfp4_decode(packed, scale, s2, torch.float32)
    columns = slice(0, min(k, 96))
    reference = nvfp4_decode_reference(
        packed[:, : columns.stop // 2], scale[:, : columns.stop // 16], s2
    )
    assert torch.equal(fast[:, columns], reference)
    assert torch.equal(nvfp4_decode(packed, scale, s2), fast.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_encode_equals_reference(dtype):
    torch.manual_seed(0)
    w = torch.randn(9, 80) * torch.exp2(torch.randint(-14, 3, (9, 80)).float())
    w[3, 16:32] = 0
    w[5] = 0
    for got, expected in zip(
        nvfp4_encode(w.to(dtype)), nvfp4_encode_reference(w.to(dtype)), strict=True
    ):
        assert torch.equal(got.view(-1).view(torch.uint8), expected.view(-1).view(torch.uint8))


def test_many_chunks_equal_one(monkeypatch):
    torch.manual_seed(0)
    w = torch.randn(37, 64)
    packed, scale, s2 = nvfp4_encode(w)
    decoded = nvfp4_decode(packed, scale, s2)
    monkeypatch.setattr("nanovl.ops.rowwise._CHUNK_VALUES", {"cpu": 128})
    again = nvfp4_encode(w)
    assert torch.equal(packed, again[0])
    assert torch.equal(scale.view(torch.uint8), again[1].view(torch.uint8))
    assert torch.equal(decoded, nvfp4_decode(packed, scale, s2))


def test_numbers_at_the_edge_of_fp32_stay_finite():
    for size in (1e-44, 1e-42, 1e-38, 1e-36, 3e38):
        w = torch.full((1, 32), size)
        w[0, 16:] *= 1e-6
        w[0, 20] = 0
        packed, scale, s2 = nvfp4_encode(w)
        decoded = nvfp4_decode(packed, scale, s2, torch.float32)
        assert torch.isfinite(decoded).all(), size
        assert decoded.abs().max() <= w.abs().max() * 1.3, size


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_is_refused_with_name_and_place(bad):
    w = torch.zeros(2, 16)
    w[1, 3] = bad
    with pytest.raises(InputError, match=r"up_proj\.weight.*\[1, 3\]"):
        nvfp4_encode(w, what="up_proj.weight")
    with pytest.raises(InputError, match=r"\[1, 3\]"):
        nvfp4_fake_quant_activation(w, INPUT_SCALE)
    with pytest.raises(InputError, match=r"\[1, 3\]"):
        e2m1_encode(w)
    with pytest.raises(InputError, match="finite"):
        nvfp4_scale(torch.tensor(bad))


@pytest.mark.parametrize("shape", [(2, 24), (2, 8), (16,), (1, 2, 16)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(InputError, match="multiple of 16"):
        nvfp4_encode(torch.ones(shape))


def test_bad_scales_are_refused():
    w = torch.ones(1, 16)
    with pytest.raises(InputError, match="above 0"):
        nvfp4_encode(w, torch.tensor(0.0))
    with pytest.raises(InputError, match="above 0"):
        nvfp4_fake_quant_activation(w, torch.tensor(math.nan))


@pytest.mark.parametrize(
    ("row", "column", "offset"),
    [
        (0, 0, 0),
        (0, 3, 3),
        (0, 4, 512),
        (1, 0, 16),
        (31, 2, 498),
        (32, 0, 4),
        (33, 1, 21),
        (127, 5, 1021),
        (128, 0, 1024),
        (129, 5, 1553),
    ],
)
def test_blocked_layout(row, column, offset):
    assert blocked_scale_offset(row, column, 6) == offset
    scale = torch.zeros(130, 6, dtype=torch.uint8)
    scale[row, column] = 77
    flat = swizzle_block_scales(scale)
    assert flat.shape == (256 * 8,)
    assert flat.nonzero().flatten().tolist() == [offset]


@pytest.mark.parametrize("shape", [(1, 1), (130, 6), (128, 4), (257, 13)])
def test_blocked_layout_and_back(shape):
    torch.manual_seed(0)
    scale = torch.randint(0, 0x7F, shape, dtype=torch.uint8).view(torch.float8_e4m3fn)
    flat = swizzle_block_scales(scale)
    back = unswizzle_block_scales(flat, *shape)
    assert flat.dtype is torch.float8_e4m3fn
    assert torch.equal(back.view(torch.uint8), scale.view(torch.uint8))
