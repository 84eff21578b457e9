"""The FP8 linear by itself: values, gradients, what it remembers and what it does not."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from nanovl.testing import assert_same_tensors, requires_gpu
from nanovl.train.fp8_linear import Fp8Linear, scale_from_amax

FMAX = torch.finfo(torch.float32).max


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make(k=32, n=48, *, bias=False, dtype=torch.float32, seed=3, **options):
    options.setdefault("amax_history", 4)
    options.setdefault("emulate", True)
    linear = nn.Linear(k, n, bias=bias, dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(randn(n, k, seed=seed) * 0.1)
    return Fp8Linear.from_linear(linear, **options)


def run(layer, x, g):
    """y, dx, dW of one pass."""
    x = x.clone().requires_grad_(True)
    layer.weight.grad = None
    y = layer(x)
    y.backward(g)
    return y.detach(), x.grad, layer.weight.grad


def relative(got, expected):
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def test_scale_and_its_guards():
    amax = torch.tensor([2.0, 0.0, torch.inf, torch.nan, 1e-45, 448.0])
    previous = torch.full((6,), 7.0)
    assert scale_from_amax(amax, 448.0, previous).tolist() == [224.0, 7.0, 7.0, 7.0, FMAX, 1.0]
    assert scale_from_amax(amax, 448.0, previous, margin=2)[0] == 56.0


def test_example_of_the_specification():
    """Scale 224: the value 1.5 becomes 336, rounds the tie to 320 and returns as 1.42857."""
    layer = make(16, 16)
    layer.fp8_scale.copy_(torch.tensor([224.0, 448.0, 1.0]))
    with torch.no_grad():
        layer.weight.copy_(torch.eye(16))
    x = torch.full((16, 16), 1.5)
    assert layer(x).flatten()[0].item() == pytest.approx(320 / 224, rel=1e-6)
    assert layer.fp8_amax_history[:, 0].tolist() == [1.5, 1.0, 0.0]


@pytest.mark.parametrize("scaling", ["delayed", "current"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_close_to_the_exact_products(scaling, dtype):
    layer = make(64, 96, dtype=dtype, scaling=scaling)
    x, g = randn(40, 64, seed=1, dtype=dtype), randn(40, 96, seed=2, dtype=dtype) * 1e-6
    y, dx, dw = run(layer, x, g)
    w = layer.weight.detach().float()
    assert y.dtype == dx.dtype == dw.dtype == dtype
    # E4M3 x E4M3 costs 3.5 %, E5M2 x E4M3 6 %; underflow would cost everything
    assert 0.01 < relative(y, x.float() @ w.t()) < 0.045
    assert 0.01 < relative(dx, g.float() @ w) < 0.075
    assert 0.01 < relative(dw, g.float().t() @ x.float()) < 0.075


def test_one_format_for_all_is_closer():
    x, g = randn(64, 32, seed=1), randn(64, 48, seed=2)
    errors = {}
    for kind in ("hybrid", "e4m3"):
        layer = make(format=kind)
        errors[kind] = relative(run(layer, x, g)[1], g @ layer.weight.detach())
    assert errors["e4m3"] < 0.75 * errors["hybrid"]


@pytest.mark.parametrize("rows", [16, 32, 21])
@pytest.mark.parametrize("kind", ["hybrid", "e4m3"])
def test_emulation_is_the_fp8_product(rows, kind):
    """`torch._scaled_mm` on the CPU; the rows are filled up when they are no multiple of 16."""
    x, g = randn(rows, 32, seed=1), randn(rows, 48, seed=2)
    results = [run(make(format=kind, emulate=e), x, g) for e in (True, False)]
    for got, expected in zip(*results, strict=True):
        assert got.shape == expected.shape
        assert relative(got, expected) < 1e-5


@requires_gpu
@pytest.mark.parametrize("rows", [256, 250])
def test_emulation_is_the_fp8_product_of_a_gpu(rows):
    dtype = torch.bfloat16
    x, g = randn(rows, 512, seed=1, dtype=dtype), randn(rows, 256, seed=2, dtype=dtype)
    on_cpu = run(make(512, 256, dtype=dtype), x, g)
    on_gpu = run(make(512, 256, dtype=dtype, emulate=False).cuda(), x.cuda(), g.cuda())
    for got, expected in zip(on_gpu, on_cpu, strict=True):
        assert relative(got.cpu(), expected) <= 2**-7


def test_leading_shapes_and_bias():
    """Pictures come as (m, i, u); the bias stays out of FP8, forward and backward."""
    layer = make(bias=True)
    x, g = randn(3, 5, 32, seed=1), randn(3, 5, 48, seed=2)
    y = layer(x)
    y.backward(g)
    assert y.shape == (3, 5, 48)
    with torch.no_grad():
        flat = F.linear(torch.zeros(15, 32), layer.weight, layer.bias)
    assert torch.equal(layer(torch.zeros(3, 5, 32)).detach(), flat.view(3, 5, 48))
    assert torch.allclose(layer.bias.grad, g.sum((0, 1)), rtol=1e-6)


def test_remembers_the_largest_value_of_all_passes():
    layer = make()
    for seed, factor in ((1, 1.0), (2, 5.0), (3, 2.0)):
        run(layer, randn(16, 32, seed=seed) * factor, randn(16, 48, seed=seed) / factor)
    newest = layer.fp8_amax_history[:, 0]
    assert newest[0] == (randn(16, 32, seed=2) * 5).abs().max()
    assert newest[1] == layer.weight.abs().max()
    assert newest[2] == max(
        (randn(16, 48, seed=s) / f).abs().max() for s, f in ((1, 1.0), (2, 5.0), (3, 2.0))
    )
    assert not layer.fp8_amax_history[:, 1:].any()
    assert layer.fp8_scale.tolist() == [1.0, 1.0, 1.0]  # moved on by update_fp8_scales alone


def test_delayed_scale_clamps_and_counts():
    layer = make(16, 16)
    layer.fp8_scale.copy_(torch.tensor([448.0, 448.0, 1.0]))  # inputs up to 1 fit
    with torch.no_grad():
        layer.weight.copy_(torch.eye(16))
    x = torch.full((16, 16), 0.5)
    x[0, :3] = torch.tensor([3.0, -2.0, 1.0])
    assert layer(x)[0, :4].tolist() == pytest.approx([1.0, -1.0, 1.0, 0.5], rel=1e-6)
    assert layer.fp8_saturation.tolist() == [[2, 256], [0, 256], [0, 0]]


@pytest.mark.parametrize("how", ["eval", "no_grad"])
def test_evaluation_leaves_no_trace(how):
    layer = make()
    layer.fp8_scale.copy_(torch.tensor([1e-3, 1e-3, 1e-3]))  # would round everything to nothing
    before = copy.deepcopy(dict(layer.named_buffers()))
    x = randn(16, 32)
    if how == "eval":
        y = layer.eval()(x)
        y.sum().backward()
    else:
        with torch.no_grad():
            y = layer(x)
    assert relative(y.detach(), x @ layer.weight.detach().t()) < 0.05
    assert_same_tensors(dict(layer.named_buffers()), before)


def test_recomputing_changes_nothing():
    plain, again = make(), make()
    for layer in (plain, again):
        layer.fp8_scale.copy_(torch.tensor([100.0, 300.0, 9000.0]))
    x, g = randn(16, 32, seed=1), randn(16, 48, seed=2)
    expected = run(plain, x, g)
    x = x.clone().requires_grad_(True)
    y = checkpoint(again, x, use_reentrant=False)
    y.backward(g)
    for got, wanted in zip((y.detach(), x.grad, again.weight.grad), expected, strict=True):
        assert torch.equal(got, wanted)
    assert torch.equal(again.fp8_amax_history, plain.fp8_amax_history)


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("emulate", [True, False])
def test_a_value_that_is_not_finite_comes_out(bad, emulate):
    x, g = randn(16, 32, seed=1), randn(16, 48, seed=2)
    layer = make(emulate=emulate)
    broken = x.clone()
    broken[3, 4] = bad
    y, dx, dw = run(layer, broken, g)
    assert y.isnan().all()
    assert dw.isnan().all()
    assert torch.isfinite(dx).all()  # needs no inputs
    assert not torch.isfinite(layer.fp8_amax_history[0, 0])
    broken = g.clone()
    broken[3, 4] = bad
    y, dx, dw = run(make(emulate=emulate), x, broken)
    assert torch.isfinite(y).all()
    assert dx.isnan().all()
    assert dw.isnan().all()


def test_zeros_stay_zeros():
    layer = make()
    y, dx, dw = run(layer, torch.zeros(16, 32), torch.zeros(16, 48))
    assert not y.any()
    assert not dx.any()
    assert not dw.any()
    assert layer.fp8_amax_history[:, 0].tolist()[::2] == [0.0, 0.0]


def test_frozen_parameters_get_no_gradient():
    layer = make()
    layer.weight.requires_grad_(False)
    x = randn(16, 32).requires_grad_(True)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert x.grad is not None
    layer.weight.requires_grad_(True)
    layer(x.detach()).sum().backward()
    assert layer.weight.grad is not None
    layer.weight.requires_grad_(False)
    assert not layer(x.detach()).requires_grad


def test_state_survives_what_moves_parameters():
    layer = make(bias=True)
    run(layer, randn(16, 32), randn(16, 48))
    history = layer.fp8_amax_history.clone()
    layer.to(torch.bfloat16)
    assert layer.weight.dtype == layer.bias.dtype == torch.bfloat16
    assert layer.fp8_scale.dtype == torch.float32
    assert torch.equal(layer.fp8_amax_history, history)


def test_state_allocated_from_meta_starts_anew():
    layer = Fp8Linear(32, 48, amax_history=6, device="meta").to_empty(device="cpu")
    assert not layer.fp8_amax_history.any()
    assert layer.fp8_amax_history.shape == (3, 6)
    assert layer.fp8_scale.tolist() == [1.0, 1.0, 1.0]
    assert not layer.fp8_saturation.any()


def test_shares_the_parameters_of_the_linear():
    linear = nn.Linear(32, 48)
    layer = Fp8Linear.from_linear(linear.eval())
    assert layer.weight is linear.weight
    assert layer.bias is linear.bias
    assert not layer.training
    assert set(layer.state_dict()) == {"weight", "bias", "fp8_amax_history", "fp8_scale"}
