"""Sampling against loops in Python floats."""

import math
import random

import pytest
import torch

from nanovl.core.errors import NanoVLError
from nanovl.core.generation import SamplingParams
from nanovl.ops import sampling
from nanovl.ops.sampling import filter_top_p, position_seed, process_logits, sample


def softmax(values):
    top = max(values)
    exps = [math.exp(v - top) if v > -math.inf else 0.0 for v in values]
    return [e / sum(exps) for e in exps]


def brute_force(values, p, seen):
    """The documented semantics, one token at a time; returns the kept ids and their logits."""
    values = list(values)
    for i in seen:
        values[i] = (
            values[i] / p.repetition_penalty if values[i] > 0 else values[i] * p.repetition_penalty
        )
    values = [v / p.temperature for v in values]
    probs = softmax(values)
    kept = [i for i, q in enumerate(probs) if q >= p.min_p * max(probs) and q > 0]
    if p.top_k:
        least = sorted((values[i] for i in kept), reverse=True)[: p.top_k][-1]
        kept = [i for i in kept if values[i] >= least]
    if p.top_p < 1:
        weights = softmax([values[i] if i in kept else -math.inf for i in range(len(values))])
        chosen, reached = [], 0.0
        for i in sorted(kept, key=lambda i: (-values[i], i)):
            if reached >= p.top_p:
                break
            chosen.append(i)
            reached += weights[i]
        kept = chosen
    return sorted(kept), values


CASES = [
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.6, top_p=0.95),
    SamplingParams(temperature=2.0, top_k=5),
    SamplingParams(temperature=0.7, min_p=0.2),
    SamplingParams(temperature=1.3, top_k=9, top_p=0.5, min_p=0.05, repetition_penalty=1.7),
    SamplingParams(temperature=1.0, repetition_penalty=0.6),
    SamplingParams(temperature=1.0, top_k=1),
    SamplingParams(temperature=1.0, top_p=1e-6),
    SamplingParams(temperature=1.0, top_k=1000),
]


@pytest.mark.parametrize("p", CASES, ids=repr)
@pytest.mark.parametrize("candidates", [4, 1024])
def test_filters_equal_a_loop(p, candidates, monkeypatch):
    monkeypatch.setattr(sampling, "_CANDIDATES", candidates)
    generator = torch.Generator().manual_seed(7)
    for _ in range(20):
        logits = torch.randn(1, 31, generator=generator) * 3
        seen = torch.randperm(31, generator=generator)[:8]
        out = process_logits(logits, [p], [seen])[0]
        kept, values = brute_force(logits[0].double().tolist(), p, seen.tolist())
        assert (out > -torch.inf).nonzero()[:, 0].tolist() == kept
        expected = softmax([values[i] for i in kept])
        assert out.softmax(0)[kept].tolist() == pytest.approx(expected, abs=1e-5)


def test_rows_are_independent():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(len(CASES) + 1, 50, generator=generator)
    params = [*CASES, SamplingParams()]
    seen = [torch.tensor([1, 2, 3])] * len(params)
    together = process_logits(logits, params, seen)
    for row, p in enumerate(params):
        alone = process_logits(logits[row : row + 1], [p], seen[:1])
        assert torch.equal(together[row], alone[0])
    generators = [torch.Generator().manual_seed(row) for row in range(len(params))]
    ids = sample(together, params, generators)
    for row, p in enumerate(params):
        one = sample(together[row : row + 1], [p], [torch.Generator().manual_seed(row)])
        assert one[0] == ids[row]


def test_input_is_not_changed():
    logits = torch.randn(2, 20)
    before = logits.clone()
    process_logits(logits, [CASES[4], CASES[1]], [torch.tensor([0]), None], num_tokens=15)
    assert torch.equal(logits, before)


def test_greedy_ignores_filters_but_not_the_penalty():
    logits = torch.tensor([[2.0, 1.9, -1.0]])
    plain = SamplingParams(top_k=1, top_p=0.1, min_p=0.9)
    assert sample(process_logits(logits, [plain]), [plain], [None]).tolist() == [0]
    penalised = SamplingParams(repetition_penalty=1.5)
    out = process_logits(logits, [penalised], [torch.tensor([0, 2])])
    assert out[0].tolist() == pytest.approx([2 / 1.5, 1.9, -1.5])
    assert sample(out, [penalised], [None]).tolist() == [1]


def test_ties():
    flat = torch.zeros(10)
    kept = filter_top_p(flat, 0.5) > -torch.inf
    assert kept.nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]
    p = SamplingParams(temperature=1.0, top_k=1)
    out = process_logits(torch.tensor([[1.0, 3.0, 3.0]]), [p])
    assert out[0].tolist() == [-math.inf, 0.0, 0.0]


def test_padding_rows_are_never_chosen():
    logits = torch.tensor([[0.0, 1.0, 9.0, 8.0]])
    for p in (SamplingParams(), SamplingParams(temperature=5.0)):
        out = process_logits(logits, [p], num_tokens=2)
        assert out[0, 2:].tolist() == [-math.inf] * 2
    assert sample(out, [SamplingParams()], [None]).tolist() == [1]


def test_draws_follow_the_distribution():
    logits = torch.tensor([0.3, 0.2, 0.05, 0.45, 0.0]).log()
    p = SamplingParams(temperature=1.0)
    generator = torch.Generator().manual_seed(0)
    n = 20000
    rows = logits[None].expand(n, -1)
    counts = sample(rows, [p] * n, [generator] * n).bincount(minlength=5) / n
    # Three standard deviations of the largest cell are 0.011.
    assert counts.tolist() == pytest.approx([0.3, 0.2, 0.05, 0.45, 0.0], abs=0.011)
    assert counts[4] == 0


def test_minus_inf_entries_are_skipped():
    logits = torch.full((1, 9), -torch.inf)
    logits[0, 4] = -50.0
    for p in (SamplingParams(), *CASES):
        out = process_logits(logits, [p], [torch.tensor([1])])
        generators = [torch.Generator().manual_seed(random.randrange(99))]
        assert sample(out, [p], generators).tolist() == [4]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_broken_logits_are_reported(value):
    logits = torch.zeros(3, 8)
    logits[1, 5] = value
    with pytest.raises(
        NanoVLError, match=r"row 1 hold 1 of 8 .* weights or activations are broken"
    ):
        process_logits(logits, [SamplingParams()] * 3)
    # Also where the broken value sits in a padding row.
    with pytest.raises(NanoVLError, match="row 1"):
        process_logits(logits, [SamplingParams()] * 3, num_tokens=4)


def test_nothing_allowed_is_reported():
    logits = torch.zeros(2, 4)
    logits[1] = -torch.inf
    with pytest.raises(NanoVLError, match="row 1 are all -inf"):
        process_logits(logits, [SamplingParams()] * 2)


def test_tiny_temperature_is_greedy():
    logits = torch.tensor([[1e4, 1e4 - 1, -1e4]])
    p = SamplingParams(temperature=1e-30)
    out = process_logits(logits, [p])
    assert sample(out, [p], [torch.Generator().manual_seed(3)]).tolist() == [0]


def test_position_seeds_differ():
    seeds = {position_seed(s, i) for s in range(-5, 50) for i in range(50)}
    assert len(seeds) == 55 * 50
    assert all(0 <= s < 2**63 for s in seeds)
    firsts = [
        float(torch.rand((), generator=torch.Generator().manual_seed(position_seed(0, i))))
        for i in range(2000)
    ]
    assert sum(firsts) / 2000 == pytest.approx(0.5, abs=0.02)
