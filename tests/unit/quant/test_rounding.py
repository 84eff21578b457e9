"""Rounding algorithms: the losses the specification names, referees that try everything, edges."""

import copy

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from nanovl.core.errors import ConfigError, InputError
from nanovl.ops.lowp import (
    e2m1_decode,
    e2m1_encode,
    fp8_decode,
    fp8_encode,
    fp8_scale,
    nvfp4_scale,
)
from nanovl.quant import FORMATS, quantize_linear
from nanovl.quant.ranges import RANGE_FACTORS
from nanovl.quant.rounding import ALGORITHMS, NEED_HESSIAN, check_algorithm, weight_range
from nanovl.quant.scales import (
    best_block_scales,
    best_int4_groups,
    best_int4_steps,
    best_int8_scales,
    four_over_six_scales,
    hessian_block_scales,
    max_block_scales,
)

BF16, F32 = torch.bfloat16, torch.float32
PAIRS = [(format, algo) for format, algos in ALGORITHMS.items() for algo in algos]
SEARCHED = [(format, algo) for format, algo in PAIRS if algo != "max"]
modest = settings(max_examples=25, deadline=None)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(weight, bias=None):
    n, k = weight.shape
    module = nn.Linear(k, n, bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(bias)
    return module


def inputs(k, seed=7):
    """Columns of different sizes that depend on each other."""
    x = randn(4 * k, k, seed=seed) * torch.exp(randn(k, seed=seed + 1))
    return x + 0.5 * x.roll(1, 1)


def square(x):
    return x.t() @ x


def rounded(weight, format, algo, **options):
    if algo in NEED_HESSIAN:
        options.setdefault("hessian", square(inputs(weight.shape[1])))
    return quantize_linear(linear(weight), format, algo=algo, **options)


def relative(approximate, exact):
    return ((approximate - exact).norm() / exact.norm()).item()


def loss(module, weight):
    """In fp64, which knows the squares of very small numbers."""
    return relative(module.dequantized_weight(F32).double(), weight.double())


def assert_same_bytes(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name].view(-1).view(torch.uint8), b[name].view(-1).view(torch.uint8))


def student_t(*shape):
    chi = sum(randn(*shape, seed=20 + i).square() for i in range(5)) / 5
    return randn(*shape) / chi.sqrt()


def laplace(*shape):
    u = torch.rand(*shape, generator=torch.Generator().manual_seed(3)) - 0.5
    return -u.sign() * torch.log1p(-2 * u.abs())


# Percent of the weight's RMS, specification section 7.4.
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (randn, {"max": 9.51, "four-over-six": 8.69, "mse": 8.13}),
        (student_t, {"max": 9.24, "four-over-six": 8.67, "mse": 8.22}),
        (laplace, {"max": 9.27, "four-over-six": 8.71, "mse": 8.25}),
    ],
)
def test_losses_the_specification_names(make, expected):
    weight = (make(256, 1024) * 0.02).bfloat16()
    for algo, percent in expected.items():
        found = 100 * loss(rounded(weight, "nvfp4", algo), weight)
        assert found == pytest.approx(percent, rel=0.05)


def test_every_format_has_algorithms():
    assert set(ALGORITHMS) == set(FORMATS) - {"bf16"}
    for algos in ALGORITHMS.values():
        assert "max" in algos
        assert algos == tuple(sorted(algos))


@pytest.mark.parametrize(("format", "algo"), SEARCHED)
def test_the_result_is_an_ordinary_linear(format, algo):
    weight, bias = (randn(6, 64) * 0.02).bfloat16(), randn(6).bfloat16()
    plain = quantize_linear(linear(weight, bias), format, input_amax=3.0)
    found = quantize_linear(
        linear(weight, bias),
        format,
        algo=algo,
        input_amax=3.0,
        hessian=square(inputs(64)),
    )
    assert type(found) is type(plain)
    found.check("layer")
    shapes = {name: (t.shape, t.dtype) for name, t in found.state_dict().items()}
    assert shapes == {name: (t.shape, t.dtype) for name, t in plain.state_dict().items()}
    for name, tensor in found.state_dict().items():
        assert tensor.is_contiguous(), name
        if name in ("input_scale", "bias"):
            assert torch.equal(tensor, plain.state_dict()[name])
    again = copy.deepcopy(plain)
    again.load_state_dict(found.state_dict())
    exact = found.dequantized_weight(F32)
    assert torch.equal(again.dequantized_weight(F32), exact)
    x = randn(3, 64)
    torch.testing.assert_close(found(x), x @ exact.t() + bias.float(), rtol=1e-4, atol=1e-4)
    assert not exact.requires_grad


@pytest.mark.parametrize(("format", "algo"), SEARCHED)
def test_it_loses_less_than_the_plain_way(format, algo):
    """By the measure it goes by: at the weight, or at the output for inputs of that Hessian."""
    weight, x = (student_t(24, 512) * 0.02).bfloat16(), inputs(512)
    plain = rounded(weight, format, "max").dequantized_weight(F32)
    found = rounded(weight, format, algo, hessian=square(x)).dequantized_weight(F32)
    exact = weight.float()
    if algo in NEED_HESSIAN:
        plain, found, exact = (x @ w.t() for w in (plain, found, exact))
    if (format, algo) == ("int8", "mse"):  # clipping seldom pays with so many steps
        assert relative(found, exact) <= relative(plain, exact)
    else:
        bound = 0.8 if algo in NEED_HESSIAN else 1
        assert relative(found, exact) < bound * relative(plain, exact)


@pytest.mark.parametrize(("format", "algo"), PAIRS)
@pytest.mark.parametrize("n", [1, 3])
def test_edges(format, algo, n):
    k = 32 if format.startswith("int4") else 16
    hessian = square(inputs(k))
    options = {"algo": algo, "hessian": hessian}
    zero = quantize_linear(linear(torch.zeros(n, k)), format, **options)
    zero.check("zero")
    assert not zero.dequantized_weight(F32).any()
    if format.startswith("nvfp4"):
        assert zero.weight_scale_2 == 1
        assert (zero.weight_scale.view(torch.uint8) == 0x38).all()
        assert not zero.weight.any()
    # one block of zeros beside one that is not
    weight = torch.cat([torch.zeros(n, k), randn(n, k)], dim=1)
    half = quantize_linear(linear(weight), format, algo=algo, hessian=square(inputs(2 * k)))
    half.check("half")
    if format.startswith("nvfp4") and algo != "gptq":
        assert (half.weight_scale.view(torch.uint8)[:, 0] == 0x38).all()
    if algo != "gptq":
        assert not half.dequantized_weight(F32)[:, :k].any()
    # as small as bf16 numbers get, and as large as squares do not
    for size in (2.0**-126, 2.0**-133, 1e15):
        weight = (randn(n, k) * size).bfloat16()
        found = quantize_linear(linear(weight), format, **options)
        found.check("size")
        if size > 2.0**-130:
            assert loss(found, weight) < 0.5
    for bad in (torch.nan, torch.inf):
        weight = randn(n, k)
        weight[n - 1, 5] = bad
        with pytest.raises(InputError, match=r"layers\.0\.weight: value"):
            quantize_linear(linear(weight), format, what="layers.0.weight", **options)


@pytest.mark.parametrize(("format", "algo"), SEARCHED)
def test_the_source_stays_as_it_was(format, algo):
    source, hessian = linear(randn(4, 64)), square(inputs(64))
    weight, before = source.weight.clone(), hessian.clone()
    quantize_linear(source, format, algo=algo, hessian=hessian)
    assert torch.equal(source.weight, weight)
    assert torch.equal(hessian, before)


@pytest.mark.parametrize("format", ["fp8", "nvfp4", "nvfp4-w4a16"])
@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_a_common_range_is_respected(format, factor):
    """Engines fuse q, k and v under one scale; values beyond it are clipped."""
    weight = randn(8, 64) * 0.02
    amax = factor * weight.abs().max()
    plain = rounded(weight, format, "max", weight_amax=amax)
    for algo in ALGORITHMS[format]:
        for given_amax in (amax, amax.item()):
            found = rounded(weight, format, algo, weight_amax=given_amax)
            found.check("common")
            if format == "fp8":
                assert found.weight_scale == plain.weight_scale == fp8_scale(amax)
            elif algo == "four-over-six":
                torch.testing.assert_close(found.weight_scale_2, amax / 1536)
            else:
                assert found.weight_scale_2 == plain.weight_scale_2 == nvfp4_scale(amax)
            limit = amax * (1.75 if algo == "four-over-six" else 1) * (1 + 1e-6)
            assert found.dequantized_weight(F32).abs().max() <= limit


def test_weight_only_has_no_input_scale():
    for algo in ALGORITHMS["nvfp4-w4a16"]:
        assert rounded(randn(2, 16), "nvfp4-w4a16", algo, input_amax=1.0).input_scale is None
        assert rounded(randn(2, 16), "nvfp4", algo).input_scale is None


# --- scales of blocks ------------------------------------------------------------------------


def block_losses(blocks, scale_2, codes, importance=None):
    """Squared error (c, n) of given E4M3 codes, step by step in fp64."""
    scale = codes.view(torch.float8_e4m3fn).float() * scale_2
    y = (blocks / scale.unsqueeze(1)).clamp(-6, 6)
    error = (e2m1_decode(e2m1_encode(y)) * scale.unsqueeze(1)).double() - blocks.double()
    error = error.square()
    return (error if importance is None else error * importance[:, None]).sum(1)


def least_losses(blocks, scale_2, importance=None):
    """The least of all 126 codes."""
    shape = blocks.shape[0], blocks.shape[2]
    every = (torch.full(shape, code, dtype=torch.uint8) for code in range(1, 127))
    return torch.stack([block_losses(blocks, scale_2, c, importance) for c in every]).amin(0)


@st.composite
def blocks_and_scale(draw):
    """Blocks (c, 16, n) of many kinds, some below and some beyond what the range holds."""
    c, n = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**31))
    blocks = randn(c, 16, n, seed=seed)
    kind = draw(st.sampled_from(["gauss", "spread", "levels", "sparse", "rows"]))
    if kind == "spread":
        blocks *= torch.exp2(4 * randn(c, 16, n, seed=seed + 1))
    elif kind == "levels":  # many scales are exact, or nearly
        blocks = (blocks * 2).round() / 2
    elif kind == "sparse":
        blocks *= randn(c, 16, n, seed=seed + 1) > 1
    elif kind == "rows":  # scales over all of E4M3, subnormal ones included
        blocks *= torch.exp2(draw(st.integers(2, 12)) * randn(c, 1, n, seed=seed + 1).clamp(-2, 1))
    blocks = (blocks * 2.0 ** draw(st.integers(-40, 20))).bfloat16().float()
    amax = blocks.abs().max() * draw(st.sampled_from([0.3, 1.0, 1.0, 50.0]))
    importance = None
    if draw(st.booleans()):
        importance = torch.exp(2 * randn(16, seed=seed + 2))
    return blocks, nvfp4_scale(amax), importance


@settings(max_examples=60, deadline=None)
@given(blocks_and_scale())
def test_the_search_finds_the_least_of_all_scales(case):
    blocks, scale_2, importance = case
    codes = best_block_scales(blocks, scale_2, importance).view(torch.uint8)
    zero = blocks.abs().amax(1) == 0
    assert (codes[zero] == 0x38).all()
    assert ((codes >= 1) & (codes <= 126)).all()
    least = least_losses(blocks, scale_2, importance)
    found = block_losses(blocks, scale_2, codes, importance)
    # fp32 sums of squares cannot tell losses apart that are closer than this
    slack = 1e-5 * least + 1e-9 * blocks.double().square().sum(1)
    assert (found <= least + slack).all()


@modest
@given(blocks_and_scale())
def test_four_over_six_takes_the_better_of_two(case):
    blocks, scale_2, _ = case
    scale_2 = scale_2 * 448 / 256
    six = max_block_scales(blocks, scale_2).view(torch.uint8)
    four = max_block_scales(blocks * 1.5, scale_2).view(torch.uint8)
    losses = torch.stack([block_losses(blocks, scale_2, codes) for codes in (six, four)])
    codes = four_over_six_scales(blocks, scale_2).view(torch.uint8)
    assert ((codes == six) | (codes == four)).all()
    slack = 1e-6 * blocks.double().square().sum(1)
    assert (block_losses(blocks, scale_2, codes) <= losses.amin(0) + slack).all()


def test_hessian_of_equal_columns_is_plain_squared_error():
    blocks, scale_2 = randn(3, 16, 50), nvfp4_scale(torch.tensor(4.0))
    plain = best_block_scales(blocks, scale_2).view(torch.uint8)
    for size in (1.0, 1e6, 0.0):
        hessian = (size * torch.eye(16)).expand(3, 16, 16)
        found = hessian_block_scales(blocks, scale_2, hessian).view(torch.uint8)
        expected, got = (block_losses(blocks, scale_2, codes) for codes in (plain, found))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_hessian_minimizes_the_error_at_the_output():
    blocks, scale_2 = randn(2, 16, 30), nvfp4_scale(torch.tensor(4.0))
    x = torch.stack([inputs(16, seed=s) for s in (1, 2)])
    hessian = x.transpose(1, 2) @ x

    def weighted(codes):
        scale = (codes.view(torch.float8_e4m3fn).float() * scale_2).unsqueeze(1)
        d = e2m1_decode(e2m1_encode((blocks / scale).clamp(-6, 6))) * scale - blocks
        return (x @ d).square().sum(1)

    found = hessian_block_scales(blocks, scale_2, hessian).view(torch.uint8)
    every = torch.stack(
        [weighted(torch.full((2, 30), code, dtype=torch.uint8)) for code in range(1, 127)]
    )
    near = every.amin(0)
    assert (weighted(found) >= near * (1 - 1e-4)).all()
    # an octave to either side of the plain scale holds the best one but for a few blocks
    assert (weighted(found) <= near * (1 + 1e-4)).double().mean() > 0.9
    assert weighted(found).sum() <= 1.01 * near.sum()
    assert weighted(found).sum() < weighted(best_block_scales(blocks, scale_2)).sum()


def test_search_in_many_pieces(monkeypatch):
    weight = (randn(50, 96) * 0.02).bfloat16()
    whole = {algo: rounded(weight, "nvfp4", algo) for algo in ("mse", "hessian", "four-over-six")}
    monkeypatch.setattr("nanovl.quant.rounding._SEARCH_ROWS", 7)
    monkeypatch.setattr("nanovl.quant.rounding._SEARCH_VALUES", {"cpu": 300})
    for algo, expected in whole.items():
        assert_same_bytes(rounded(weight, "nvfp4", algo), expected)


# --- FP8, INT8, INT4 -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [BF16, F32])
def test_fp8_takes_the_range_of_least_error(dtype):
    weights = [(randn(20, 64, seed=s) * 0.02).to(dtype) for s in (0, 1)]
    weights[1][0, 0] = 700.0  # most of the others are in the equal steps near 0
    found = weight_range(weights, "fp8", "mse")
    both = torch.cat(weights).float()
    amax = both.abs().max()

    def error(factor):
        scale = fp8_scale(factor * amax)
        return (fp8_decode(fp8_encode(both, scale), scale, F32) - both).double().square().sum()

    best = min(RANGE_FACTORS, key=error)
    assert found.item() == pytest.approx((best * amax).item(), rel=1e-6)
    assert weight_range(weights, "fp8") == amax == weight_range(weights, "nvfp4", "mse")
    alone = rounded(weights[0], "fp8", "mse")
    assert alone.weight_scale == fp8_scale(weight_range(weights[:1], "fp8", "mse"))
    # fused projections: one range for both
    scales = {rounded(w, "fp8", "mse", weight_amax=found).weight_scale.item() for w in weights}
    assert scales == {fp8_scale(found).item()}


def test_int8_scales_clip_when_it_pays():
    weight = randn(3, 512)
    weight[1, 0] = 60.0  # alone far out
    weight[2] = 0
    scales = best_int8_scales(weight)
    amax = weight.abs().amax(1)
    assert scales[2] == 1
    assert scales[0] == pytest.approx((amax / 127)[0].item(), rel=0.15)
    # what is lost by cutting 60 down would be more than all others gain
    assert scales[1] > 0.9 * amax[1] / 127
    # unless that column does not count
    importance = torch.ones(512)
    importance[0] = 1e-4
    assert best_int8_scales(weight, importance)[1] < 0.5 * amax[1] / 127


@pytest.mark.parametrize("chooser", [best_int4_groups, best_int4_steps])
def test_int4_groups_by_what_counts(chooser):
    groups = randn(2, 32, 40)
    groups[0, 5] = 8.0  # an outlier in one column
    importance = torch.ones(32)
    importance[5] = 1e-6

    def error(pair):
        step, minimum = (t.float().unsqueeze(1) for t in pair)
        q = ((groups - minimum) / step).round().clamp(0, 15)
        return ((q * step + minimum - groups).square() * importance[:, None]).sum()

    plain, weighted = chooser(groups), chooser(groups, importance)
    assert error(weighted) < 0.9 * error(plain)
    for t in (*plain, *weighted):
        assert t.dtype is BF16
        assert t.shape == (2, 40)
    if chooser is best_int4_steps:
        assert torch.equal(weighted[1], -8 * weighted[0])


def test_constant_int4_groups():
    weight = torch.cat([torch.full((3, 32), 0.5), torch.full((3, 32), -2.0)], dim=1)
    for format in ("int4", "int4-sym"):
        found = rounded(weight, format, "mse").dequantized_weight(F32)
        torch.testing.assert_close(found, weight, rtol=0.01, atol=0)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "algo", "message"),
    [
        ("fp8", "mes", "expected gptq, max, mse; did you mean 'mse'"),
        ("fp8", "four-over-six", "'four-over-six' for fp8"),
        ("int8", "hessian", "'hessian' for int8"),
        ("nvfp4", "four-oversix", "did you mean 'four-over-six'"),
        ("nvpf4", "mse", "did you mean 'nvfp4'"),
    ],
)
def test_algorithms_that_do_not_suit(format, algo, message):
    with pytest.raises(ConfigError, match=message):
        check_algorithm(format, algo)
    with pytest.raises(ConfigError):
        rounded(randn(2, 32), format, algo)


@pytest.mark.parametrize(("format", "algo"), [p for p in PAIRS if p[1] in NEED_HESSIAN])
def test_hessians_that_do_not_fit(format, algo):
    source = linear(randn(2, 32))
    with pytest.raises(ConfigError, match=r"q\.weight: .* Hessian"):
        quantize_linear(source, format, algo=algo, what="q.weight")
    with pytest.raises(InputError, match=r"expected .*\(32, 32\)"):
        quantize_linear(source, format, algo=algo, hessian=torch.eye(16))
    bad = torch.eye(32)
    bad[3, 3] = torch.nan
    with pytest.raises(InputError, match="finite"):
        quantize_linear(source, format, algo=algo, hessian=bad)


@pytest.mark.parametrize(("format", "k"), [("nvfp4", 24), ("int4", 48), ("int4-sym", 16)])
@pytest.mark.parametrize("algo", ["mse", "gptq"])
def test_columns_that_do_not_fit(format, k, algo):
    with pytest.raises(InputError, match=f"{k} input features"):
        rounded(randn(2, k), format, algo)


def test_bf16_is_left_alone():
    source = linear(randn(2, 16))
    assert quantize_linear(source, "bf16", algo="gptq") is source
