import pytest
import torch

from nanovl.ops import attention
from nanovl.ops.attention import (
    attention_reference,
    decode_attention,
    packed_attention,
    segment_attention,
)


def make(t, past=0, heads=8, kv_heads=2, width=16):
    total = past + t
    return (
        torch.randn(t, heads, width),
        torch.randn(total, kv_heads, width),
        torch.randn(total, kv_heads, width),
    )


def heads_first(x):
    return x.transpose(0, 1)


@pytest.mark.parametrize("past", [0, 1, 37])
@pytest.mark.parametrize("t", [1, 2, 19])
@pytest.mark.parametrize("kv_heads", [1, 2, 8])
def test_equals_reference(t, past, kv_heads):
    q, k, v = make(t, past, kv_heads=kv_heads)
    got = segment_attention(q, heads_first(k), heads_first(v), past=past)
    torch.testing.assert_close(got, attention_reference(q, k, v, past=past), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("past", [1, 37])
def test_masked_path_equals_reference(monkeypatch, past):
    monkeypatch.setattr(attention, "_FLASH_CPU", None)
    q, k, v = make(19, past)
    got = segment_attention(q, heads_first(k), heads_first(v), past=past)
    torch.testing.assert_close(got, attention_reference(q, k, v, past=past), rtol=1e-5, atol=1e-5)


def test_bf16_stays_near_the_reference():
    q, k, v = (x.bfloat16() for x in make(40, past=300))
    got = segment_attention(q, heads_first(k), heads_first(v), past=300)
    expected = attention_reference(q, k, v, past=300)
    # Observed maximum 0.004: one rounding of each part, one of the result.
    torch.testing.assert_close(got.float(), expected.float(), rtol=0.02, atol=0.01)


def test_long_contexts_are_walked_in_blocks(monkeypatch):
    monkeypatch.setattr(attention, "_FLASH_CPU", None)
    monkeypatch.setattr(attention, "_MASK_ELEMENTS", 16 * 90)
    q, k, v = make(40, past=50)
    got = segment_attention(q, heads_first(k), heads_first(v), past=50)
    torch.testing.assert_close(got, attention_reference(q, k, v, past=50), rtol=1e-5, atol=1e-5)


def test_query_head_j_reads_kv_head_j_over_group():
    q, k, v = make(3, heads=10, kv_heads=2)
    expected = torch.cat(
        [
            attention_reference(q[:, 5 * i : 5 * i + 5], k[:, i : i + 1], v[:, i : i + 1])
            for i in range(2)
        ],
        dim=1,
    )
    got = segment_attention(q, heads_first(k), heads_first(v))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_packed_segments_do_not_see_each_other():
    q, k, v = make(20)
    got = packed_attention(q, k, v, [0, 7, 8, 20])
    for a, b in ((0, 7), (7, 8), (8, 20)):
        torch.testing.assert_close(
            got[a:b], attention_reference(q[a:b], k[a:b], v[a:b]), rtol=1e-5, atol=1e-5
        )


def test_decode_rows_equal_single_rows():
    q = torch.randn(3, 8, 16)
    kv = [(torch.randn(2, n, 16), torch.randn(2, n, 16)) for n in (1, 5, 33)]
    got = decode_attention(q, [k for k, _ in kv], [v for _, v in kv])
    for i, (k, v) in enumerate(kv):
        expected = attention_reference(
            q[i : i + 1], heads_first(k), heads_first(v), past=k.shape[1] - 1
        )
        torch.testing.assert_close(got[i : i + 1], expected, rtol=1e-5, atol=1e-5)
