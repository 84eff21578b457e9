"""Statistics of inputs: right against plain formulas, the same for any batches, and hooks."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from nanovl.core.errors import ConfigError, InputError
from nanovl.model.context import ForwardContext
from nanovl.ops.lowp import nvfp4_encode, nvfp4_fake_quant_activation, nvfp4_scale
from nanovl.quant import find_policy, plan_formats, replace_module
from nanovl.quant.histogram import HISTOGRAM_BINS, histogram_edges
from nanovl.quant.observers import Observers, TensorStatistics
from nanovl.testing import tiny_model

BF16, F32 = torch.bfloat16, torch.float32
EXACT = ["amax", "channel_amax", "counts", "zeros", "block_counts", "zero_blocks", "block_flushed"]
modest = settings(max_examples=30, deadline=None)


def randn(*shape, seed=0, dtype=F32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def seen(*parts, **options):
    statistics = TensorStatistics(parts[0].shape[-1], **options)
    for part in parts:
        statistics.update(part)
    return statistics


def assert_same_state(a, b, names=None):
    a, b = a.state(), b.state()
    assert a.keys() == b.keys()
    for name in names or a:
        if name in a:
            assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("dtype", [BF16, F32, torch.float16])
def test_figures_against_plain_formulas(dtype):
    x = randn(64, 48, dtype=dtype)
    x[3, 5], x[:, 7] = -9.5, 0
    found = seen(x)
    wide = x.double()
    assert found.amax.item() == 9.5
    assert torch.equal(found.channel_amax, x.abs().amax(0).float())
    assert found.count == x.numel()
    assert found.zeros.item() == (x == 0).sum().item()
    assert found.counts.sum() + found.zeros == x.numel()
    assert found.rms == pytest.approx(wide.square().mean().sqrt().item(), rel=1e-12)
    assert found.crest == pytest.approx(9.5 / found.rms)
    kurtosis = (wide**4).mean() / wide.square().mean() ** 2
    assert found.kurtosis == pytest.approx(kurtosis.item(), rel=1e-12)
    assert found.sums[0].item() == pytest.approx(wide.sum().item(), rel=1e-9)
    blocks = x.float().view(-1, 16).abs().amax(1)
    assert found.block_counts.sum() == (blocks > 0).sum()


def test_bins_are_those_of_the_logarithm():
    edges = histogram_edges()
    assert len(edges) == HISTOGRAM_BINS + 1
    assert edges[0] == 2.0**-40
    assert edges[-1] == 2.0**40
    for i, edge in enumerate(edges):
        exact = 2.0 ** (-40 + 80 * i / 512)
        assert exact * (1 - 1e-6) <= edge <= exact * (1 + 2**-7)
    x = randn(40, 32, seed=3) * torch.exp2((randn(40, 32, seed=4) * 12).clamp(-20, 35))
    expected = torch.histogram(x.abs(), torch.tensor(edges))[0]
    assert torch.equal(seen(x).counts, expected.long())
    # bf16 numbers fall exactly where their logarithm says
    every = torch.arange(1, 0x7F80, dtype=torch.int32).to(torch.int16).view(BF16)
    at = ((every.double().log2() + 40) * 6.4).floor().long().clamp(0, 511)
    assert torch.equal(seen(every[:, None]).counts, at.bincount(minlength=512))


def test_sizes_beyond_the_bins():
    tiny, huge = 1e-42, 3e38  # a denormal that bf16 cannot hold, and nearly the largest number
    found = seen(torch.tensor([[tiny, 0.0, huge]]))
    assert found.zeros == 1
    assert found.counts[0] == 1
    assert found.counts[-1] == 1
    assert found.percentile(100) == found.percentile(99.9) == pytest.approx(huge)
    assert math.isfinite(found.kurtosis)
    assert seen(torch.full((2, 3), tiny)).percentile(50) == pytest.approx(tiny, rel=1e-3)


@st.composite
def inputs(draw):
    k = draw(st.sampled_from([1, 3, 16, 48]))
    t = draw(st.integers(1, 24))
    x = randn(t, k, seed=draw(st.integers(0, 2**31)))
    x = x * torch.exp2(draw(st.sampled_from([0.0, 6.0, 25.0])) * randn(t, k, seed=1))
    if draw(st.booleans()):
        x[draw(st.integers(0, t - 1))] = 0
    x = x.clamp(-1e30, 1e30).to(draw(st.sampled_from([BF16, F32])))
    order = draw(st.permutations(range(t)))
    cuts = sorted(draw(st.lists(st.integers(0, t), max_size=4)))
    return x, torch.tensor(order), cuts


@modest
@given(inputs())
def test_neither_order_nor_batches_matter(case):
    x, order, cuts = case
    whole = seen(x)
    parts = seen(*x[order].tensor_split(cuts))
    assert_same_state(whole, parts, [*EXACT, "rows"])
    assert parts.sums.tolist() == pytest.approx(whole.sums.tolist(), rel=1e-9, abs=1e-30)
    first, second = (seen(p) for p in x.tensor_split([len(x) // 2]))
    first.merge(second)
    assert_same_state(whole, first, [*EXACT, "rows"])
    for p in (50.0, 99.0, 100.0):
        assert first.percentile(p) == whole.percentile(p)


@modest
@given(inputs(), st.lists(st.floats(0.01, 100), min_size=2, max_size=8))
def test_percentiles_rise_and_bound(case, percents):
    x, _, _ = case
    found = seen(x)
    sizes = x.float().abs().flatten()
    for nonzero in (False, True):
        values = [found.percentile(p, nonzero=nonzero) for p in sorted(percents)]
        assert values == sorted(values)
        assert values[-1] <= found.amax.item() == found.percentile(100)
    for p in percents:  # at least so many values do not pass it, within a bin
        limit = found.percentile(p)
        assert (sizes <= limit).double().mean() >= p / 100 - 1e-12


def test_percentile_of_known_values():
    x = torch.cat([torch.zeros(50), torch.full((49,), 0.5), torch.tensor([8.0])]).view(10, 10)
    found = seen(x)
    assert found.percentile(50) == 0
    assert 0.5 <= found.percentile(51) <= 0.56
    assert found.percentile(99) == found.percentile(51)
    assert found.percentile(99.5) == 8
    assert found.percentile(1, nonzero=True) == found.percentile(98, nonzero=True)
    for bad in (0, -1, 100.1, math.nan):
        with pytest.raises(ConfigError, match="percentile"):
            found.percentile(bad)


def test_hessian():
    x = randn(20, 40, dtype=BF16)
    found = seen(x[:7].view(1, 7, 40), x[7:], hessian=True)
    torch.testing.assert_close(found.hessian, x.float().t() @ x.float(), rtol=1e-5, atol=1e-5)
    assert found.rows == 20
    assert seen(x).hessian is None
    other = seen(x, hessian=True)
    other.merge(found)
    torch.testing.assert_close(other.hessian, 2 * found.hessian, rtol=1e-5, atol=1e-5)


def test_hessian_of_many_tiles(monkeypatch):
    monkeypatch.setattr("nanovl.quant.observers._HESSIAN_TILE", 16)
    monkeypatch.setattr("nanovl.quant.observers._HESSIAN_VALUES", 100)
    x = randn(11, 50)
    found = seen(x, hessian=True)
    torch.testing.assert_close(found.hessian, x.t() @ x, rtol=1e-5, atol=1e-5)
    again = found.hessian.clone()
    found.update(x)
    torch.testing.assert_close(found.hessian, 2 * again, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [7, 32])
def test_goes_on_from_its_state(tmp_path, k):
    x = randn(30, k, dtype=BF16)
    whole = seen(x[:10], x[10:], hessian=True)
    half = seen(x[:10], hessian=True)
    torch.save(half.state(), tmp_path / "state.pt")
    resumed = TensorStatistics.from_state(torch.load(tmp_path / "state.pt"))
    assert_same_state(half, resumed)
    resumed.update(x[10:])
    assert_same_state(whole, resumed)
    assert half.rows == 10  # what it was copied from stays as it was
    assert "hessian" not in seen(x).state()


def test_a_state_that_does_not_fit():
    state = seen(randn(4, 16)).state()
    with pytest.raises(InputError, match="counts is none"):
        TensorStatistics.from_state({n: t for n, t in state.items() if n != "counts"})
    with pytest.raises(InputError, match=r"counts is \(8,\)"):
        TensorStatistics.from_state({**state, "counts": state["counts"][:8]})
    with pytest.raises(InputError, match="channel_amax"):
        TensorStatistics.from_state({})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_changes_nothing(bad):
    found = seen(randn(4, 16), hessian=True)
    before = {name: t.clone() for name, t in found.state().items()}
    x = randn(5, 16)
    x[4, 2] = bad
    with pytest.raises(InputError, match=r"input of q_proj: value .* at index \[4, 2\]"):
        found.update(x, what="input of q_proj")
    for name, tensor in found.state().items():
        assert torch.equal(tensor, before[name])


def test_what_does_not_fit():
    found = TensorStatistics(16)
    for bad in (randn(4, 8), torch.tensor(1.0), randn(4, 16).double(), torch.ones(2, 16).int()):
        with pytest.raises(InputError, match=r"expected \(\.\.\., 16\)"):
            found.update(bad)
    assert found.rows == 0
    with pytest.raises(ConfigError, match="columns"):
        TensorStatistics(0)
    with pytest.raises(InputError, match="cannot take in"):
        found.merge(TensorStatistics(32))
    with pytest.raises(InputError, match="cannot take in"):
        found.merge(TensorStatistics(16, hessian=True))
    with pytest.raises(InputError, match="multiple of 16"):
        seen(randn(3, 8)).block_percentile(50)


def test_nothing_seen():
    for found in (TensorStatistics(16), seen(torch.zeros(3, 16)), seen(torch.zeros(0, 16))):
        summary = found.summary("nvfp4")
        assert summary["amax"] == summary["rms"] == summary["crest"] == summary["kurtosis"] == 0
        assert summary["p99"] == summary["channel_ratio"] == 0
        assert found.histogram() == ((-40.0,), ())


def test_views_of_any_layout():
    x = randn(48, 32, dtype=BF16)
    assert_same_state(seen(x.t().contiguous()), seen(x.t()))
    assert_same_state(seen(x[:, ::2].contiguous()), seen(x[:, ::2]))


def test_inside_and_outside_of_inference_mode():
    x = randn(6, 16)
    with torch.inference_mode():
        found = TensorStatistics(16, hessian=True)
        found.update(x * 1)
    found.update(x)
    with torch.inference_mode():
        found.update(x)
        assert found.hessian is not None
    assert_same_state(found, seen(x, x, x, hessian=True))


def test_summary():
    x = randn(500, 64, dtype=BF16)
    x[:, 11] *= 30
    x[0] = 0
    found = seen(x)
    summary = found.summary("fp8", 40.0)
    assert summary["top_channels"][0] == [11, found.amax.item()]
    assert len(summary["top_channels"]) == 16
    ratio = found.amax / found.channel_amax.median()
    assert summary["channel_ratio"] == pytest.approx(ratio.item())
    assert summary["p99"] <= summary["p99_9"] <= summary["p99_99"] <= summary["amax"]
    assert summary["zeros"] == pytest.approx((x == 0).double().mean().item())
    above = (x.abs() > 40).double().mean().item()
    assert summary["saturated"] == pytest.approx(above, rel=0.1)
    small = ((x != 0) & (x.abs() < 40 / 448 * 2**-10)).double().mean().item()
    assert summary["flushed"] == pytest.approx(small, rel=0.5, abs=1e-4)
    assert found.summary("fp8")["saturated"] == 0
    assert "saturated" not in found.summary("bf16")
    assert "flushed" not in found.summary()
    assert found.summary("int8", 40.0)["flushed"] > summary["flushed"]


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_block_figures_against_the_encoder(spread):
    """Estimates from histograms, against what packing the same numbers gives."""
    x = randn(400, 64) * torch.exp2(spread * randn(400, 1, seed=5))
    found = seen(x)
    summary = found.summary("nvfp4")
    scales = nvfp4_encode(x)[1].float()
    assert summary["subnormal_scales"] == pytest.approx(
        (scales < 2**-6).double().mean().item(), abs=0.02
    )
    assert summary["distinct_scales"] == pytest.approx(scales.unique().numel(), rel=0.25, abs=2)
    rounded = nvfp4_fake_quant_activation(x, nvfp4_scale(found.amax))
    lost = (rounded == 0).double().mean().item()
    assert summary["flushed"] == pytest.approx(lost, rel=0.05)


def test_histogram_for_a_plot():
    x = randn(100, 10)
    x[0, 0] = 0
    edges, counts = seen(x).histogram()
    assert len(edges) == len(counts) + 1
    assert sum(counts) == 999
    assert counts[0] > 0
    assert counts[-1] > 0
    assert edges[0] <= math.log2(x.abs()[x != 0].min()) < edges[1]
    assert edges[-2] <= math.log2(x.abs().max()) < edges[-1]


class Net(nn.Module):
    """Two linears that are called, one whose weight is taken without a call."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 32), nn.Linear(32, 16)])
        self.fused = nn.Linear(16, 8)
        self.norm = nn.LayerNorm(16)

    def forward(self, x):
        y = self.layers[1](input=self.layers[0](x))
        return nn.functional.linear(y, self.fused.weight)


def test_observers_gather_inputs_and_change_nothing():
    net, x = Net(), randn(2, 5, 16)
    names = ["layers.0", "layers.1", "fused"]
    expected = net(x)
    observers = Observers(net, names, hessian=["layers.1"])
    with torch.no_grad(), observers:
        assert torch.equal(net(x), expected)
    with torch.no_grad(), observers:  # goes on
        net(2 * x)
    net(100 * x)  # nobody looks any more
    found = observers.statistics
    assert list(found) == names
    assert_same_state(found["layers.0"], seen(x, 2 * x))
    inner = [net.layers[0](y).detach() for y in (x, 2 * x)]
    assert_same_state(found["layers.1"], seen(*inner, hessian=True))
    assert found["layers.0"].hessian is None
    # a kernel that takes the weight and not the module is not seen
    assert observers.unreached() == ("fused",)
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_observers_name_where_numbers_went_wrong():
    net = Net()
    observers = Observers(net, ["layers.0", "layers.1"])
    with torch.no_grad(), observers:
        net(randn(2, 16))
        with pytest.raises(InputError, match=r"input of layers\.0, batch 1: value nan"):
            net(torch.full((2, 16), math.nan))
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_observers_of_what_is_no_linear():
    net = Net()
    with pytest.raises(ConfigError, match=r"'layers\.9'.*3 linears, got nothing; did you mean"):
        Observers(net, ["layers.9"])
    with pytest.raises(ConfigError, match="got LayerNorm"):
        Observers(net, ["norm"])
    with pytest.raises(ConfigError, match="Hessian of 'fused'"):
        Observers(net, ["layers.0"], hessian=["fused"])


class TakesTheWeight(nn.Module):
    """A kernel that multiplies with the weight of a linear it never calls."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return nn.functional.linear(x, self.linear.weight, self.linear.bias)


@torch.no_grad()
def test_every_linear_of_the_decoder_is_reached():
    """And one that a fused kernel passes by is noticed."""
    model = tiny_model(0).eval()
    names = list(plan_formats(model, find_policy("fp8")))
    assert len(names) == 2 * 2 + 2 * 2 + 4  # pattern M-M*-
    x, ctx = model.embed_tokens(torch.arange(1, 31)), ForwardContext.single(30)
    with Observers(model, names) as observers:
        model(x, ctx, "all")
    assert observers.unreached() == ()
    assert {s.rows for s in observers.statistics.values()} == {30}

    passed_by = next(name for name in names if name.endswith("out_proj"))
    replace_module(model, passed_by, TakesTheWeight(model.get_submodule(passed_by)))
    rest = [name for name in names if name != passed_by]
    with Observers(model, [*rest, f"{passed_by}.linear"]) as observers:
        model(x, ctx, "all")
    assert observers.unreached() == (f"{passed_by}.linear",)
