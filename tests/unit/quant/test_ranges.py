"""Ranges of inputs by every method, and what is said when one does not suit."""

import logging

import pytest
import torch

from nanovl.core.errors import ConfigError, InputError
from nanovl.ops.lowp import FP8_MAX, NVFP4_MAX, fp8_decode, fp8_encode, fp8_scale, nvfp4_scale
from nanovl.quant.observers import TensorStatistics
from nanovl.quant.ranges import (
    RANGE_FACTORS,
    RANGE_METHODS,
    check_range_method,
    headroom_range,
    input_range,
)


def seen(x):
    statistics = TensorStatistics(x.shape[-1])
    statistics.update(x)
    return statistics


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def squared_error(x, amax):
    scale = fp8_scale(torch.tensor(amax))
    return (fp8_decode(fp8_encode(x, scale), scale, torch.float32) - x).square().sum().item()


@pytest.mark.parametrize("format", ["fp8", "nvfp4"])
def test_largest_value(format):
    x = randn(50, 32)
    assert input_range(seen(x), format) == x.abs().max().item()


@pytest.mark.parametrize(
    ("format", "method"),
    [(f, m) for f, methods in RANGE_METHODS.items() for m in methods],
)
def test_a_layer_that_saw_nothing_gets_scale_one(format, method):
    method = "percentile:99.9" if method == "percentile" else method
    for empty in (TensorStatistics(16), seen(torch.zeros(4, 16))):
        amax = torch.tensor(input_range(empty, format, method))
        if format == "fp8":
            assert amax == FP8_MAX
            assert fp8_scale(amax) == fp8_scale(torch.tensor(0.0)) == 1
        else:
            assert amax == NVFP4_MAX
            assert nvfp4_scale(amax) == nvfp4_scale(torch.tensor(0.0)) == 1


def test_percentile_leaves_freaks_out():
    x = randn(1000, 32)
    x[:, :16] = 0  # as after a ReLU: zeros say nothing about the range
    x[0, 20] = 1000
    found = input_range(seen(x), "fp8", "percentile:99.9")
    values = x[x != 0].abs()
    exact = values.quantile(0.999).item()
    assert exact <= found <= exact * 1.13  # within a bin
    assert input_range(seen(x), "fp8", "percentile:100") == 1000
    assert input_range(seen(x), "nvfp4", "percentile:99.9") == found


def test_least_squared_error():
    assert RANGE_FACTORS[0] == 1
    assert min(RANGE_FACTORS) == 0.25
    assert max(RANGE_FACTORS) == pytest.approx(3.95)
    # two sizes only: the steps of FP8 at the larger one decide
    x = torch.cat([torch.full((2000, 16), 1.0), torch.full((2000, 16), 1.0 / 448)])
    x *= 0.5 + torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) / 2
    found = input_range(seen(x), "fp8", "mse")
    amax = x.max().item()
    errors = {factor: squared_error(x, factor * amax) for factor in RANGE_FACTORS}
    assert found / amax == pytest.approx(min(RANGE_FACTORS, key=lambda f: abs(f * amax - found)))
    chosen = min(RANGE_FACTORS, key=lambda f: abs(f * amax - found))
    assert errors[chosen] <= 1.02 * min(errors.values())
    assert errors[chosen] <= errors[1.0]


def test_clipping_a_lone_outlier_pays():
    """What lies below the smallest normal number is rounded in equal steps, so steps matter."""
    x = randn(4000, 16)
    x[0, 0] = 2.0**20
    limit = input_range(seen(x), "fp8", "mse")
    amax = x.abs().max().item()
    errors = {factor: squared_error(x, factor * amax) for factor in RANGE_FACTORS}
    assert limit == pytest.approx(min(errors, key=errors.__getitem__) * amax, rel=1e-6)


def test_headroom():
    """Small blocks decide; they stay normal E4M3 numbers, and larger inputs find room."""
    x = randn(2000, 64)
    statistics = seen(x)
    found, upper_wins = headroom_range(statistics)
    assert not upper_wins
    assert found == input_range(statistics, "nvfp4", "headroom")
    blocks = x.view(-1, 16).abs().amax(1)
    anchor = blocks.quantile(0.01).item()
    assert 16384 * anchor <= found <= 16384 * anchor * 1.13
    scales = blocks / 6 / (found / 2688)
    assert (scales >= 2**-6).double().mean() > 0.98
    assert found > 1000 * x.abs().max()
    zeros = x.clone()
    zeros[:1000] = 0  # blocks of zeros do not count
    assert headroom_range(seen(zeros))[0] == pytest.approx(found, rel=0.15)
    negligible = x.clone()
    negligible[:1000] *= 1e-9  # nor do those that are nothing beside the large ones
    assert headroom_range(seen(negligible))[0] == pytest.approx(found, rel=0.15)


def test_headroom_warns_when_there_is_none(caplog):
    x = randn(2000, 64)
    x[:100] *= 1e5
    with caplog.at_level(logging.WARNING):
        found = input_range(seen(x), "nvfp4", "headroom")
    assert "headroom" in caplog.text
    assert headroom_range(seen(x)) == (found, True)
    assert found == pytest.approx(x.view(-1, 16).abs().amax(1).quantile(0.9999).item(), rel=0.15)


def test_headroom_needs_blocks():
    with pytest.raises(InputError, match="multiple of 16"):
        input_range(seen(randn(4, 8)), "nvfp4", "headroom")


@pytest.mark.parametrize(
    ("format", "method", "message"),
    [
        ("fp8", "maxx", "did you mean 'max'"),
        ("fp8", "percentil:99", "did you mean 'percentile:99.99'"),
        ("fp8", "headroom", "expected max, mse, percentile"),
        ("nvfp4", "mse", "expected headroom, max"),
        ("fp8", "percentile", "expected max"),
        ("fp8", "max:3", "expected max"),
        ("fp8", "percentile:", "50 to 100"),
        ("fp8", "percentile:many", "50 to 100"),
        ("fp8", "percentile:101", "50 to 100"),
        ("fp8", "percentile:nan", "50 to 100"),
        ("int8", "max", "only fp8 and nvfp4"),
    ],
)
def test_methods_that_do_not_exist(format, method, message):
    with pytest.raises(ConfigError, match=message):
        check_range_method(format, method)
    with pytest.raises(ConfigError, match=message):
        input_range(seen(randn(2, 16)), format, method)


def test_methods_by_name():
    assert check_range_method("fp8", "percentile:99.99") == ("percentile", 99.99)
    assert check_range_method("nvfp4", "headroom") == ("headroom", 100.0)
