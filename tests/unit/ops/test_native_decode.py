"""Decoding kernels beside what PyTorch makes of the same numbers."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from nanovl.model.cache import BLOCK, HybridCache
from nanovl.model.config import preset
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.ops.attention import decode_attention
from nanovl.ops.linear import linear
from nanovl.ops.native import decode
from nanovl.ops.native.library import kernels, status
from nanovl.ops.norm import gated_rms_norm_reference, rms_norm, rms_norm_reference
from nanovl.ops.ssd import ssd_step

pytestmark = pytest.mark.skipif(not status()[0], reason=f"CPU kernels: {status()[1]}")


def random(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * scale).to(torch.bfloat16)


def close(got, expected, rtol=2**-7):
    """Within the rounding of bf16 results."""
    torch.testing.assert_close(got.float(), expected.float(), rtol=rtol, atol=rtol / 4)


@pytest.mark.parametrize("rows", [1, 2, 5, 16, 17, 32])
@pytest.mark.parametrize(("outs", "ins"), [(32, 32), (64, 384), (100, 96), (48, 33), (5, 64)])
def test_linear(rows, outs, ins):
    x, w = random(rows, ins), random(outs, ins, seed=1, scale=ins**-0.5)
    expected = (x.double() @ w.double().t()).to(torch.bfloat16)
    close(decode.linear(x, w), expected)
    if kernels().tiles:  # the same without matrix tiles
        kernels().tiles = False
        try:
            close(decode.linear(x, w), expected)
        finally:
            kernels().tiles = True


def test_a_row_does_not_depend_on_its_neighbours():
    x, w = random(32, 384), random(160, 384, seed=1)
    together = decode.linear(x, w)
    for count in (1, 3, 16, 20):
        assert torch.equal(decode.linear(x[:count], w), together[:count])


def test_linear_is_chosen_by_rows_type_and_gradients(monkeypatch):
    seen = []
    monkeypatch.setattr(decode, "linear", lambda x, w: seen.append(x.shape) or F.linear(x, w))
    w = random(8, 32)
    linear(random(32, 32), w)
    assert seen == [(32, 32)]
    linear(random(33, 32), w)
    linear(random(2, 32).float(), w.float())
    linear(random(2, 32).requires_grad_(), w)
    linear(random(2, 32), w.t().contiguous().t())
    assert len(seen) == 1


@pytest.mark.parametrize("width", [1, 33, 384])
def test_rms_norm(width):
    x, w = random(5, width), random(width, seed=1)
    close(decode.rms_norm(x, w, 1e-5), rms_norm_reference(x, w, 1e-5))
    assert torch.equal(rms_norm(x, w, 1e-5), decode.rms_norm(x, w, 1e-5))


@pytest.mark.parametrize("slots", [(0,), (2, 0), (3, 1, 0, 2)])
@pytest.mark.parametrize(("h", "p", "n", "g", "taps"), [(4, 8, 16, 2, 4), (2, 5, 7, 1, 2)])
@pytest.mark.parametrize("limit", [(0.0, float("inf")), (0.1, 0.5)])
def test_mamba_step(slots, h, p, n, g, taps, limit):
    s, inner, channels = len(slots), h * p, h * p + 2 * g * n
    proj = random(s, inner + channels + h)
    conv, ssm = random(4, taps - 1, channels, seed=1), random(4, h, p, n, seed=2).float()
    conv_weight, conv_bias = (
        random(taps, channels, seed=3).float(),
        random(channels, seed=4).float(),
    )
    dt_bias, D = random(h, seed=5).float(), random(h, seed=6).float()
    A, norm_weight = -random(h, seed=7).float().abs(), random(inner, seed=8)
    index = torch.tensor(slots)

    z, xbc, dt_raw = proj.float().split([inner, channels, h], dim=1)
    window = torch.cat([conv[index].float(), xbc[:, None]], dim=1)
    mixed = F.silu((window * conv_weight).sum(dim=1) + conv_bias)
    x, B, C = mixed.split([inner, g * n, g * n], dim=1)
    dt = F.softplus(dt_raw + dt_bias).clamp(*limit)
    states = ssm[index].clone()
    y = ssd_step(x.view(s, h, p), dt, A, B.view(s, g, n), C.view(s, g, n), D, state=states)
    expected = gated_rms_norm_reference(
        y.reshape(s, inner), z.to(torch.bfloat16), norm_weight, 1e-5, g
    )

    others = [i for i in range(4) if i not in slots]
    before = (conv[others].clone(), ssm[others].clone())
    got = decode.mamba_rows(
        proj, range(s + 1), slots, conv, ssm,
        conv_weight=conv_weight, conv_bias=conv_bias, dt_bias=dt_bias,
        A=A, D=D, norm_weight=norm_weight, num_groups=g, eps=1e-5, time_step_limit=limit,
    )  # fmt: skip
    close(got, expected)
    torch.testing.assert_close(ssm[index], states, rtol=1e-4, atol=1e-5)
    assert torch.equal(conv[index].float(), window[:, 1:])
    assert torch.equal(conv[others], before[0])
    assert torch.equal(ssm[others], before[1])


@pytest.mark.parametrize("taps", [2, 4])
@pytest.mark.parametrize(
    "borders", [(0, 1, 2, 7), (0, 40), (0, 2, 35, 36), (0, 64, 65, 200), (0, 130, 137)]
)
@pytest.mark.parametrize("p", [8, 32])
def test_mamba_rows_are_steps_one_after_the_other(taps, borders, p):
    h, n, g = 4, 32, 2
    t, inner, channels = borders[-1], h * p, h * p + 2 * g * n
    segments = len(borders) - 1
    slots = [3, 1, 0][:segments]
    proj = random(t, inner + channels + h)
    fixed = {
        "conv_weight": random(taps, channels, seed=3).float(),
        "conv_bias": random(channels, seed=4).float(),
        "dt_bias": random(h, seed=5).float(),
        "D": random(h, seed=6).float(),
        "A": -random(h, seed=7).float().abs(),
        "norm_weight": random(inner, seed=8),
        "num_groups": g,
        "eps": 1e-5,
        "time_step_limit": (0.0, float("inf")),
    }
    states = [(random(4, taps - 1, channels, seed=1), random(4, h, p, n, seed=2).float())] * 2
    (conv, ssm), (conv_one, ssm_one) = [tuple(x.clone() for x in pair) for pair in states]
    got = decode.mamba_rows(proj, borders, slots, conv, ssm, **fixed)
    alone = []
    for (a, b), slot in zip(itertools.pairwise(borders), slots, strict=True):
        for row in range(a, b):
            one = (proj[row : row + 1], (0, 1), (slot,))
            alone.append(decode.mamba_rows(*one, conv_one, ssm_one, **fixed))
    assert torch.equal(conv, conv_one)
    if p == 8:
        assert torch.equal(got, torch.cat(alone))
        assert torch.equal(ssm, ssm_one)
    else:  # in registers over many rows, where sums have another order
        close(got, torch.cat(alone).float())
        torch.testing.assert_close(ssm, ssm_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("h", "k", "e"), [(4, 4, 16), (8, 2, 32), (6, 1, 5)])
def test_attention_over_scattered_keys(h, k, e):
    size, lengths = 9 * BLOCK, [1, 40, 19]
    runs = [(7, 1), (16, 16), (64, 16), (100, 8), (40, 19)]
    borders = torch.tensor([0, 1, 4, 5])
    kv = random(2, k, size, e, seed=1)
    q, new_k, new_v = random(3, h, e), random(3, k, e, seed=2), random(3, k, e, seed=3)
    keys, values = [], []
    for row in range(3):
        own = runs[borders[row] : borders[row + 1]]
        at = torch.cat([torch.arange(a, a + c) for a, c in own])
        assert len(at) == lengths[row]
        kv[:, :, at[-1]] = torch.stack([new_k[row], new_v[row]])
        keys.append(kv[0][:, at].clone())
        values.append(kv[1][:, at].clone())
        kv[:, :, at[-1]] = 9.0  # stored by the kernel
    expected = decode_attention(q, keys, values)
    got = decode.attend(q, new_k, new_v, kv, torch.tensor(runs), borders, 40)
    close(got, expected, rtol=2**-6)
    assert torch.equal(kv[0, :, 58], new_k[2])
    assert torch.equal(kv[1, :, 7], new_v[0])


def test_shapes_too_large_are_left_to_pytorch():
    assert decode.attends(64, 1, 512)
    assert not decode.attends(65, 1, 64)
    assert not decode.attends(8, 8, 513)


@torch.no_grad()
def test_a_model_decodes_the_same_with_and_without_kernels(monkeypatch):
    vlm = VLM(preset("tiny"), dtype=torch.bfloat16)
    vlm.initialize(torch.Generator().manual_seed(1))
    logits = {}
    for name in ("kernels", "pytorch"):
        if name == "pytorch":
            for module in ("model.mixers", "ops.linear", "ops.norm"):
                monkeypatch.setattr(f"nanovl.{module}.usable", lambda *tensors: False)
        cache = HybridCache(vlm.config.lm, 3, num_tokens=10 * BLOCK)
        cache.reserve(0, 5)
        for slot, length in ((2, 20), (0, 40)):
            x = vlm.embed_tokens(torch.arange(3, 3 + length))
            vlm(x, ForwardContext.single(length, cache, slot))
        found = []
        for step in range(3):  # slot 1 begins beside the others
            x = vlm.embed_tokens(torch.tensor([50 + step, 60 + step, 70, 71, 72]))
            context = ForwardContext(cu_seqlens=(0, 1, 2, 5), cache=cache, slots=(2, 0, 1))
            found.append(vlm(x, context))
        logits[name] = torch.stack(found)
    worst = (logits["kernels"] - logits["pytorch"]).abs().max()
    assert worst < 0.03 * logits["pytorch"].abs().max()
