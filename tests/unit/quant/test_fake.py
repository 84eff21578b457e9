"""Fake quantization: rounding, gradients, calibration, and equality with the packed weights."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import ConfigError, InputError
from nanovl.model.context import ForwardContext
from nanovl.quant import (
    FakeQuantLinear,
    NvFp4Linear,
    QuantizedLinear,
    calibrate,
    fake_quant_layers,
    freeze,
    insert_fake_quant,
    pack_fake_quant,
    quantize_linear,
)
from nanovl.testing import assert_same_tensors, tiny_model

FORMATS = ["fp8", "nvfp4", "nvfp4-w4a16"]


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def linear(k=32, n=16, dtype=torch.float32, bias=False, seed=0):
    module = nn.Linear(k, n, bias=bias, dtype=dtype)
    with torch.no_grad():
        module.weight.copy_(randn(n, k, seed=seed) * 0.05)
    return module


def frozen(source, format, amax=4.0, **options):
    layer = FakeQuantLinear(source, format, **options)
    layer.input_amax.fill_(amax)
    freeze(layer)
    return layer


class Net(nn.Module):
    """Two layers and names the deny list knows."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj = linear(32, 32, seed=1), linear(32, 32, seed=2)
        self.o_proj = linear(32, 16, seed=3)
        self.lm_head = linear(16, 16)
        self.odd_proj = linear(24, 8)

    def forward(self, x):
        return self.lm_head(self.o_proj(self.q_proj(x) + self.k_proj(x)))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_are_the_ones_trained_with(format, dtype):
    layer = frozen(linear(48, 24, dtype=dtype), format)
    with torch.no_grad():
        layer.weight.mul_(1.3)  # trained on: some values lie beyond the frozen range
    packed = quantize_linear(
        layer, format, input_amax=layer.input_amax, weight_amax=layer.weight_amax
    )
    fake = layer.fake_weight().detach()
    assert fake.abs().max() <= layer.weight_amax * 1.001
    assert fake.abs().max() < layer.weight.abs().max()
    assert torch.equal(packed.dequantized_weight(dtype), fake)


@pytest.mark.parametrize("format", FORMATS)
def test_packed_model_gives_the_logits_trained_with(format):
    """In fp32 the same bits: what is exported is what was trained."""
    model = tiny_model(0).train()
    names = insert_fake_quant(model, format, ["*_proj"])
    assert len(names) == 2 * 2 + 2 * 2 + 4  # pattern M-M*-
    x = model.embed_tokens(torch.arange(1, 31))
    ctx = ForwardContext.single(30)
    assert calibrate(model, [0], lambda _: model(x, ctx, "all")) == ()
    freeze(model)
    expected = model(x, ctx, "all")
    plain = tiny_model(0)(x, ctx, "all")
    assert 0.02 < (expected - plain).norm() / plain.norm() < 1.0
    assert pack_fake_quant(model) == names
    for name in names:
        packed = model.get_submodule(name)
        assert isinstance(packed, QuantizedLinear)
        packed.emulate_activation = True
    assert torch.equal(model(x, ctx, "all"), expected)


def test_weight_beyond_its_frozen_range():
    """Example N7 of the quantization specification, and where its gradient is cut off."""
    row = torch.tensor([[8.0, -7, 6, 5, 4, 3, 2, 1, 0.5, 0.25, -8, -4, -2, -1, 0, 7.5]])
    layer = FakeQuantLinear(nn.Linear(16, 1, bias=False), "nvfp4-w4a16")
    with torch.no_grad():
        layer.weight.copy_(torch.full((1, 16), 3.0))
    freeze(layer)
    with torch.no_grad():
        layer.weight.copy_(row)
    fake = layer.fake_weight()
    assert fake.tolist() == [[3, -3, 3, 3, 3, 3, 2, 1, 0.5, 0.25, -3, -3, -2, -1, 0, 3]]
    fake.sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0]]
    layer.clip_gradient = False
    layer.weight.grad = None
    layer.fake_weight().sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 16]


@pytest.mark.parametrize("format", ["fp8", "nvfp4"])
def test_gradients_go_straight_through(format):
    layer = frozen(linear(bias=True), format, amax=1.5)
    x = randn(5, 32, seed=4).requires_grad_(True)
    g = randn(5, 16, seed=5)
    layer(x).backward(g)
    fx, fw = layer.fake_input(x).detach(), layer.fake_weight().detach()
    assert 0.05 < (x.abs() > 1.5).float().mean() < 0.3
    assert torch.equal(x.grad, (g @ fw) * (x.abs() <= 1.5))
    assert torch.allclose(layer.weight.grad, g.t() @ fx, atol=1e-6)
    assert torch.equal(layer.bias.grad, g.sum(0))
    assert fx.abs().max() <= 1.5 * 1.001


def test_the_largest_weight_is_not_cut_off_by_bf16():
    """Ranges come from fp32 master weights, products run in bf16: the largest still learns."""
    master = linear()
    with torch.no_grad():
        master.weight[3, 5] = 1.0 + 2.0**-8 + 2.0**-12  # bf16 rounds it up
    layer = frozen(master, "nvfp4-w4a16")
    narrow = master.weight.detach().bfloat16().requires_grad_(True)
    assert narrow[3, 5] > layer.weight_amax
    layer.weight = nn.Parameter(narrow.detach())
    layer.fake_weight().sum().backward()
    assert layer.weight.grad.all()


def test_block_scales_follow_the_weights():
    """Only the range of the tensor is frozen: a block that shrinks keeps its relative accuracy."""
    layer = frozen(linear(), "nvfp4-w4a16")
    with torch.no_grad():
        layer.weight[0, :16] *= 0.01
        w = layer.weight[0, :16]
        error = (layer.fake_weight()[0, :16] - w).norm() / w.norm()
    assert error < 0.15


def test_order_of_batches_does_not_matter():
    batches = [randn(7, 32, seed=s) * (s + 1) for s in range(4)]
    ranges = []
    for order in (batches, batches[::-1], [torch.cat(batches)]):
        net = Net()
        insert_fake_quant(net, "nvfp4", ["*_proj"])
        calibrate(net, order, net)
        freeze(net)
        ranges.append({n: b for n, b in net.named_buffers()})
    assert ranges[0]["q_proj.input_amax"] == max(b.abs().max() for b in batches)
    assert_same_tensors(ranges[1], ranges[0])
    # one long product may sum in another order than short ones
    assert ranges[2]["o_proj.input_amax"] == pytest.approx(float(ranges[0]["o_proj.input_amax"]))


def test_calibration_rounds_nothing_and_restores_modes():
    net = Net().train()
    net.lm_head.eval()
    insert_fake_quant(net, "fp8", ["q_proj", "o_proj"])
    outputs = []
    calibrate(net, [randn(3, 32)], lambda x: outputs.append(net(x)))
    assert torch.equal(outputs[0], Net()(randn(3, 32)))
    assert net.training
    assert net.q_proj.training
    assert not net.lm_head.training
    assert not net.q_proj.observing


def test_query_and_key_share_their_ranges():
    net = Net()
    insert_fake_quant(net, "nvfp4", ["*_proj"])
    calibrate(net, [randn(3, 32)], net)
    freeze(net)
    assert net.q_proj.weight_amax == net.k_proj.weight_amax
    assert net.q_proj.weight_amax == max(m.weight.abs().max() for m in (net.q_proj, net.k_proj))
    assert net.o_proj.weight_amax == net.o_proj.weight.abs().max()


def test_ranges_are_reduced_over_ranks():
    net = Net()
    insert_fake_quant(net, "nvfp4", ["*_proj"])
    calibrate(net, [randn(3, 32)], net)
    seen = []

    def double(amax):
        seen.append(amax.shape)
        amax.mul_(2)

    before = float(net.o_proj.input_amax)
    freeze(net, double)
    assert seen == [(2, 3)]
    assert float(net.o_proj.input_amax) == 2 * before


def test_layers_no_batch_reached_are_named():
    net = Net()
    insert_fake_quant(net, "nvfp4", ["*_proj"])
    assert calibrate(net, [randn(3, 32)], lambda x: net.q_proj(x)) == ("k_proj", "o_proj")
    freeze(net)
    x = randn(2, 32).requires_grad_(True)
    net.o_proj(x).sum().backward()  # scale 1: a range of 2688
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().amin() > 0


def test_what_is_replaced():
    net = Net()
    assert insert_fake_quant(net, "nvfp4", ["*"]) == ["q_proj", "k_proj", "o_proj"]
    assert list(fake_quant_layers(net)) == ["q_proj", "k_proj", "o_proj"]
    assert type(net.lm_head) is nn.Linear  # denied
    assert type(net.odd_proj) is nn.Linear  # 24 inputs are no multiple of 16
    assert insert_fake_quant(Net(), "fp8", ["odd_proj", "k_*"]) == ["k_proj", "odd_proj"]


def test_zero_weights_and_no_rows():
    for format in FORMATS:
        source = linear()
        nn.init.zeros_(source.weight)
        layer = frozen(source, format)
        assert not layer(randn(3, 32)).any()
        assert layer(torch.zeros(0, 32)).shape == (0, 16)
        layer.fake_weight().sum().backward()
        assert layer.weight.grad.all()


def test_state_is_saved_and_brings_the_ranges_back():
    layer = frozen(linear(), "nvfp4")
    fresh = FakeQuantLinear(linear(seed=9), "nvfp4")
    x = randn(3, 32)
    with pytest.raises(ConfigError, match="calibrate and freeze"):
        fresh(x)
    fresh.load_state_dict(FakeQuantLinear(linear(), "nvfp4").state_dict())
    assert not fresh.frozen
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(x), layer(x))
    assert copy.deepcopy(layer).to(torch.bfloat16).input_amax.dtype == torch.float32


def test_training_through_the_rounding_recovers_the_loss():
    """A linear that learns behind 4 bits ends closer to its target than rounding afterwards."""
    target = linear(64, 16, seed=1)
    x = randn(256, 8, seed=2) @ randn(8, 64, seed=3) + 0.1 * randn(256, 64, seed=4)
    wanted = target(x).detach()
    student = FakeQuantLinear(copy.deepcopy(target), "nvfp4-w4a16")
    freeze(student)
    before = F.mse_loss(student(x), wanted).item()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-4)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.mse_loss(student(x), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) / 20 < 0.6 * before  # observed 0.33


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_values_that_are_not_finite(bad):
    net = Net()
    insert_fake_quant(net, "fp8", ["q_proj", "o_proj"])
    x = randn(2, 32)
    broken = x.clone()
    broken[0, 0] = bad
    with pytest.raises(InputError, match="batch 1 gives q_proj"):
        calibrate(net, [x, broken], net)
    net.q_proj.input_amax.fill_(1.0)
    net.o_proj.input_amax.fill_(1.0)
    freeze(net)
    with pytest.raises(InputError, match="activation"):
        net(broken)
    with torch.no_grad():
        net.o_proj.weight[0, 0] = bad
    with pytest.raises(InputError, match="o_proj"):
        freeze(net)


def test_refuses_what_makes_no_sense():
    with pytest.raises(ConfigError, match="int4"):
        insert_fake_quant(Net(), "int4", ["q_proj"])
    with pytest.raises(ConfigError, match="q_proj"):
        insert_fake_quant(Net(), "nvfp4", ["q_porj"])
    with pytest.raises(ConfigError, match="lm_head"):
        insert_fake_quant(Net(), "nvfp4", ["lm_head"])
    with pytest.raises(InputError, match="no batch"):
        calibrate(Net(), [], print)


def test_packs_to_the_linear_of_its_format():
    net = Net()
    insert_fake_quant(net, "nvfp4", ["*_proj"])
    calibrate(net, [randn(3, 32)], net)
    freeze(net)
    amax = float(net.o_proj.input_amax)
    pack_fake_quant(net)
    assert isinstance(net.o_proj, NvFp4Linear)
    assert float(net.o_proj.input_scale) == pytest.approx(amax / 2688)
    assert float(net.q_proj.weight_scale_2) == float(net.k_proj.weight_scale_2)
