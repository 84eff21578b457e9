"""GPTQ: its factor, its feedback against a plain loop, and inputs that do not move."""

import logging

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.ops.lowp import fp8_scale
from nanovl.quant.gptq import (
    Fp8Columns,
    Int4Columns,
    Int8Columns,
    NvFp4Columns,
    _inverse_factor as inverse_factor,
    gptq,
)
from nanovl.quant.integer import Int4Linear, Int8Linear

F32, F64 = torch.float32, torch.float64


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(k, rows=None, seed=3):
    x = randn(rows or 4 * k, k, seed=seed) * torch.exp(0.5 * randn(k, seed=seed + 1))
    return x + 0.5 * x.roll(1, 1)


def columns_of(format, n, k):
    if format == "fp8":
        return Fp8Columns(n, k, fp8_scale(torch.tensor(0.1)))
    if format == "int8":
        return Int8Columns(n, k, torch.device("cpu"))
    if format == "nvfp4":
        return NvFp4Columns(n, k, torch.tensor(0.1 / 2688))
    symmetric = format == "int4-sym"
    return Int4Columns(n, k, 32, torch.device("cpu"), symmetric=symmetric)


FORMATS = ["fp8", "int8", "int4", "int4-sym", "nvfp4"]


class Grid:
    """Multiples of a step; keeps what it was shown."""

    def __init__(self, k, step=0.25, group=8):
        self.group, self.step = group, step
        self.values = [None] * k
        self.fixed = []

    def fix(self, index, w, importance):
        assert importance.shape == w.shape[:1]
        assert (importance > 0).all()
        self.fixed.append((index, sum(v is not None for v in self.values), w.clone()))

    def round(self, j, w):
        self.values[j] = (w / self.step).round() * self.step
        return self.values[j]


def by_elimination(weight, hessian, step, damping=0.01):
    """The referee, fp64: round a column, let the rest answer by least squares, go on."""
    w, h = weight.double().clone(), hessian.double().clone()
    k = len(h)
    h += damping * h.diagonal().mean() * torch.eye(k, dtype=F64)
    for j in range(k):
        q = (w[:, j] / step).round() * step
        error = w[:, j] - q
        w[:, j] = q
        if j + 1 < k:
            # least squares: the later columns take over what is in the span of theirs
            answer = torch.linalg.solve(h[j + 1 :, j + 1 :], h[j + 1 :, j])
            w[:, j + 1 :] += error[:, None] * answer
    return w


@pytest.mark.parametrize("k", [5, 128, 200])
def test_feedback_is_that_of_least_squares(k):
    weight, hessian = randn(6, k), inputs(k).t() @ inputs(k)
    grid = Grid(k)
    gptq(weight, hessian, grid, "weight")
    found = torch.stack(grid.values, dim=1)
    expected = by_elimination(weight, hessian, 0.25).float()
    # fp32 may tip single values over; then all later ones of that row differ
    same = (found == expected).all(1)
    assert same.double().mean() >= 0.8
    assert [i for i, _, _ in grid.fixed] == list(range(-(-k // 8)))
    for index, done, w in grid.fixed:  # a scale is chosen when all columns before it are rounded
        assert done == 8 * index
        assert (w[0] != weight[:, 8 * index]).any() or index == 0


def test_the_factor_is_that_of_the_inverse():
    hessian = inputs(40).t() @ inputs(40)
    factor = inverse_factor(hessian, 40, "weight")
    assert torch.equal(factor, factor.triu())
    damped = hessian.double() + 0.01 * hessian.diagonal().mean() * torch.eye(40)
    expected = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
    torch.testing.assert_close(factor.double(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("format", FORMATS)
def test_codes_stand_for_the_numbers_it_answered_to(format):
    """What the module decodes is what the feedback was computed with."""
    n, k = 5, 160
    columns = columns_of(format, n, k)
    told = []
    plain = columns.round
    columns.round = lambda j, w: told.append(plain(j, w)) or told[-1]
    gptq(randn(n, k) * 0.02, inputs(k).t() @ inputs(k), columns, "weight")
    module = columns.module()
    module.check("weight")
    torch.testing.assert_close(
        module.dequantized_weight(F32), torch.stack(told, dim=1), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("format", FORMATS)
def test_independent_inputs_are_rounded_to_the_nearest(format):
    """A diagonal Hessian has no feedback; nor have columns that were never anything but 0."""
    n, k = 4, 64
    weight = randn(n, k) * 0.02
    for hessian in (torch.eye(k), torch.zeros(k, k)):
        columns = columns_of(format, n, k)
        gptq(weight, hessian, columns, "weight")
        again = columns_of(format, n, k)
        importance = torch.ones(k)
        for j in range(k):
            if j % again.group == 0:
                group = slice(j, j + again.group)
                again.fix(j // again.group, weight.t()[group].contiguous(), importance[group])
            again.round(j, weight[:, j])
        for name, tensor in again.module().state_dict().items():
            found = columns.module().state_dict()[name]
            a, b = (t.view(-1).view(torch.uint8) for t in (found, tensor))
            assert torch.equal(a, b), name


def test_silent_columns_keep_their_weight():
    """Inputs that were always 0 in calibration may not be later."""
    k = 64
    x = inputs(k)
    x[:, 10:30] = 0
    weight = randn(8, k)
    grid = Grid(k)
    gptq(weight, x.t() @ x, grid, "weight")
    found = torch.stack(grid.values, dim=1)
    assert torch.equal(found[:, 10:30], (weight[:, 10:30] / 0.25).round() * 0.25)
    loud = torch.cat([torch.arange(10), torch.arange(30, k)])
    alone = Grid(len(loud))
    gptq(weight[:, loud], x[:, loud].t() @ x[:, loud], alone, "weight")
    plain = (weight / 0.25).round() * 0.25
    errors = [((w - weight) @ x.t()).norm() for w in (found, plain)]
    assert errors[0] < 0.8 * errors[1]
    assert (found[:, loud] == torch.stack(alone.values, dim=1)).double().mean() > 0.95


def test_fewer_samples_than_columns():
    k = 96
    x = inputs(k, rows=10)
    weight = randn(16, k)
    grid = Grid(k)
    gptq(weight, x.t() @ x, grid, "weight")
    found, plain = torch.stack(grid.values, dim=1), (weight / 0.25).round() * 0.25
    assert torch.isfinite(found).all()
    assert ((found - weight) @ x.t()).norm() < 0.5 * ((plain - weight) @ x.t()).norm()


def test_damping_grows_until_it_holds(caplog):
    hessian = torch.eye(16)
    hessian[0, 1] = hessian[1, 0] = 1.05  # slightly indefinite, as rounding may leave it
    grid = Grid(16)
    with caplog.at_level(logging.WARNING):
        gptq(randn(2, 16), hessian, grid, "layers.0.weight")
    assert "layers.0.weight: Hessian is not positive with damping 0.01" in caplog.text
    assert "damping 0.1," not in caplog.text
    assert all(torch.isfinite(v).all() for v in grid.values)
    hessian[0, 1] = hessian[1, 0] = 5
    with pytest.raises(InputError, match=r"layers\.0\.weight: .* no sum of x\^T x"):
        gptq(randn(2, 16), hessian, Grid(16), "layers.0.weight")


@pytest.mark.parametrize("bad", [torch.inf, torch.nan, -1.0])
def test_hessians_that_cannot_be(bad):
    hessian = torch.eye(16)
    hessian[2, 2] = bad
    with pytest.raises(InputError, match=r"q\.weight"):
        gptq(randn(2, 16), hessian, Grid(16), "q.weight")


def test_modules_of_the_integer_formats():
    n, k = 3, 64
    for format, kind in (("int8", Int8Linear), ("int4", Int4Linear), ("int4-sym", Int4Linear)):
        columns = columns_of(format, n, k)
        gptq(randn(n, k), torch.eye(k), columns, "weight")
        module = columns.module()
        assert type(module) is kind
        x = randn(2, k)
        expected = x @ module.dequantized_weight(F32).t()
        torch.testing.assert_close(module(x), expected, rtol=1e-2, atol=5e-2)
