"""Weights, cross-entropy and KL against the worked example and float64 formulas."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from nanovl.ops.loss import chunked_cross_entropy, chunked_kl, loss_weights
from nanovl.testing import assert_close

# (turn length, mean cross-entropy) of four micro-batches: the specification's worked example.
A = [(4, 1.0), (100, 0.5)]
B = [(25, 2.0)]
C = [(9, 3.0), (16, 1.5), (400, 0.2)]
D = [(1, 4.0)]


def _labels(turns: list[tuple[int, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets with two masked tokens before every turn, and the loss of every token."""
    labels, losses = [], []
    for n, mean in turns:
        labels += [-100, -100, *[7] * n]
        losses += [0.0, 0.0, *[mean] * n]
    return torch.tensor([*labels, -100]), torch.tensor([*losses, 0.0], dtype=torch.float64)


def _sums(turns: list[tuple[int, float]], **options: str) -> tuple[float, float]:
    labels, losses = _labels(turns)
    weights = loss_weights(labels, [0, labels.shape[0]], **options).double()  # type: ignore[arg-type]
    return float((weights * losses).sum()), float(weights.sum())


def test_worked_example() -> None:
    expected = {"A": (7, 12, A), "B": (10, 5, B), "C": (19, 27, C), "D": (4, 1, D)}
    numerator = denominator = 0.0
    means = []
    for weighted, mass, turns in expected.values():
        got = _sums(turns)
        assert got == pytest.approx((weighted, mass), rel=1e-6)
        numerator, denominator = numerator + got[0], denominator + got[1]
        means.append(got[0] / got[1])
    assert numerator / denominator == pytest.approx(0.888889, abs=1e-6)
    assert means == pytest.approx([0.583333, 2.0, 0.703704, 4.0], abs=1e-6)
    assert sum(means) / 4 == pytest.approx(1.821759, abs=1e-6)


def test_token_and_sample_averages_of_the_worked_example() -> None:
    token = [_sums(turns, reduction="token") for turns in (A, B, C, D)]
    assert sum(t[0] for t in token) / sum(t[1] for t in token) == pytest.approx(0.430631, abs=1e-6)
    turn = [_sums(turns, reduction="sample") for turns in (A, B, C, D)]
    assert sum(t[0] for t in turn) / sum(t[1] for t in turn) == pytest.approx(1.742857, abs=1e-6)


def test_weight_of_one_token_in_the_worked_example() -> None:
    labels, _ = _labels(A)
    weights = loss_weights(labels, [0, labels.shape[0]])
    assert float(weights[2]) / 45 == pytest.approx(1 / (2 * 45), rel=1e-6)
    assert float(weights[-2]) / 45 == pytest.approx(1 / (10 * 45), rel=1e-6)


def test_a_turn_cut_before_counting_would_weigh_more() -> None:
    labels = torch.full((101,), 7)
    labels[-1] = -100
    whole = loss_weights(labels, [0, 101]).sum()
    cut = loss_weights(labels, [0, 60, 101]).sum()
    assert float(whole) == pytest.approx(10.0, rel=1e-6)
    assert float(cut) == pytest.approx(math.sqrt(60) + math.sqrt(40), rel=1e-6)


def test_units_segments_and_sample_weights() -> None:
    labels = torch.tensor([-100, 1, 1, -100, 1, -100, -100, 1, -100, -100])
    borders = [0, 6, 9, 10]
    turn = loss_weights(labels, borders, sample_weights=[2.0, 0.5, 1.0])
    assert turn.tolist() == pytest.approx([0, 2 / 2**0.5, 2 / 2**0.5, 0, 2, 0, 0, 0.5, 0, 0])
    sample = loss_weights(labels, torch.tensor(borders), unit="sample")
    assert sample.tolist() == pytest.approx([0, *[3**-0.5] * 2, 0, 3**-0.5, 0, 0, 1, 0, 0])
    assert loss_weights(torch.full((4,), -100), [0, 4]).tolist() == [0.0] * 4


def _problem(dtype: torch.dtype, rows: int = 13) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(rows, 8, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.randn(31, 8, generator=generator, dtype=torch.float64).to(dtype)
    targets = torch.randint(0, 31, (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator, dtype=torch.float64)
    return hidden.requires_grad_(), weight.requires_grad_(), targets, weights


@pytest.mark.parametrize("chunk", [1, 4, 13, None])
def test_cross_entropy_equals_full_logits(chunk: int | None) -> None:
    hidden, weight, targets, weights = _problem(torch.float64)
    total, losses = chunked_cross_entropy(hidden, weight, targets, weights, chunk_rows=chunk)
    expected = F.cross_entropy(hidden @ weight.t(), targets, reduction="none")
    assert_close(losses, expected.detach(), atol=1e-12)
    (total * 3).backward()
    got = (hidden.grad, weight.grad)
    want = torch.autograd.grad((expected * weights).sum() * 3, (hidden, weight))
    for a, b in zip(got, want, strict=True):
        assert a is not None
        assert_close(a, b, atol=1e-12)


def test_cross_entropy_of_bf16_rows() -> None:
    hidden, weight, targets, weights = _problem(torch.bfloat16)
    total, losses = chunked_cross_entropy(hidden, weight, targets, weights, chunk_rows=5)
    assert losses.dtype == torch.float32
    logits = F.linear(hidden, weight).float()
    assert_close(losses, F.cross_entropy(logits, targets, reduction="none").detach(), atol=1e-5)
    total.backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert hidden.grad.dtype == weight.grad.dtype == torch.bfloat16
    wide = [p.detach().double().requires_grad_() for p in (hidden, weight)]
    exact = F.cross_entropy(wide[0] @ wide[1].t(), targets, reduction="none")
    (exact * weights).sum().backward()
    for got, want in zip((hidden.grad, weight.grad), wide, strict=True):
        assert want.grad is not None
        # bf16 has 8 bits; observed 0.006 of the largest gradient.
        assert_close(got.double(), want.grad, atol=0.02 * float(want.grad.abs().max()))


def test_no_rows_give_zero_and_zero_gradients() -> None:
    hidden, weight, targets, weights = _problem(torch.float32, rows=0)
    total, losses = chunked_cross_entropy(hidden, weight, targets, weights)
    total.backward()
    assert float(total.detach()) == 0.0
    assert losses.shape == (0,)
    assert weight.grad is not None
    assert not bool(weight.grad.any())


def test_a_frozen_side_gets_no_gradient() -> None:
    hidden, weight, targets, weights = _problem(torch.float64)
    total, _ = chunked_cross_entropy(hidden, weight.detach(), targets, weights)
    total.backward()
    assert hidden.grad is not None
    with torch.no_grad():
        again, _ = chunked_cross_entropy(hidden, weight, targets, weights)
    assert float(again) == pytest.approx(float(total.detach()))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_kl_equals_full_logits(temperature: float) -> None:
    hidden, weight, _, weights = _problem(torch.float64)
    generator = torch.Generator().manual_seed(9)
    teacher = torch.randn(13, 6, generator=generator, dtype=torch.float64)
    teacher_weight = torch.randn(31, 6, generator=generator, dtype=torch.float64)
    total, losses = chunked_kl(
        hidden, weight, teacher, teacher_weight, weights, temperature=temperature, chunk_rows=4
    )
    log_s = F.log_softmax(hidden @ weight.t() / temperature, dim=1)
    log_t = F.log_softmax(teacher @ teacher_weight.t() / temperature, dim=1)
    expected = F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(1) * temperature**2
    assert_close(losses, expected.detach(), atol=1e-12)
    got = torch.autograd.grad(total, (hidden, weight))
    want = torch.autograd.grad((expected * weights).sum(), (hidden, weight))
    for a, b in zip(got, want, strict=True):
        assert_close(a, b, atol=1e-12)


def test_kl_of_a_model_with_itself_is_zero() -> None:
    hidden, weight, _, weights = _problem(torch.float64)
    total, losses = chunked_kl(hidden, weight, hidden, weight, weights)
    gradients = torch.autograd.grad(total, (hidden, weight))
    assert float(losses.abs().max()) < 1e-14
    assert max(float(g.abs().max()) for g in gradients) < 1e-14
