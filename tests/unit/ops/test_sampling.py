"""Sampling against loops in Python floats."""

import math
import random

import pytest
import torch

from nanovl.core.errors import InputError, NanoVLError
from nanovl.core.generation import SamplingParams
from nanovl.ops import sampling
from nanovl.ops.sampling import (
    TokenCounts,
    check_token_ids,
    filter_top_p,
    position_seed,
    process_logits,
    sample,
    token_logprobs,
)


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


# --- masks, bias and penalties -------------------------------------------------------------------


def mask(*ids, size=8):
    return torch.tensor([i in ids for i in range(size)])


def test_counts():
    counts = TokenCounts([5, 3, 5])
    assert len(counts) == 2
    for i in range(1000):
        counts.add(i)
    assert counts.ids.tolist() == [5, 3, *(i for i in range(1000) if i not in (3, 5))]
    assert counts.counts.tolist() == [3.0, 2.0, *[1.0] * 998]
    assert counts.ids.dtype == torch.int64


def test_order_of_bias_and_penalties():
    p = SamplingParams(
        logit_bias={1: 2.5, 3: -100.0},
        repetition_penalty=2.0,
        frequency_penalty=0.5,
        presence_penalty=0.25,
    )
    logits = torch.tensor([[1.0, 1.0, -1.0, 1.0, 0.5]])
    before = logits.clone()
    out = process_logits(
        logits, [p], [torch.tensor([1, 2, 4])], generated=[TokenCounts([1, 1, 1, 4])]
    )
    # Bias, then division or multiplication, then what is subtracted.
    assert out[0].tolist() == pytest.approx(
        [1.0, 3.5 / 2 - 1.5 - 0.25, -2.0, -99.0, 0.25 - 0.5 - 0.25]
    )
    assert torch.equal(logits, before)


def test_negative_penalties_invite_repeats():
    p = SamplingParams(frequency_penalty=-2.0, presence_penalty=-1.0)
    out = process_logits(torch.zeros(1, 4), [p], generated=[TokenCounts([2, 2])])
    assert out[0].tolist() == [0.0, 0.0, 5.0, 0.0]


def test_nothing_generated_is_no_penalty():
    p = SamplingParams(frequency_penalty=2.0, presence_penalty=1.0)
    logits = torch.randn(3, 6)
    out = process_logits(logits, [p] * 3, generated=[None, TokenCounts(), TokenCounts()])
    assert torch.equal(out, logits)


def test_masks_and_bans_per_row():
    logits = torch.arange(8.0).repeat(4, 1)
    out = process_logits(
        logits,
        [SamplingParams()] * 4,
        allowed=[mask(1, 2), None, None, mask(0, 5)],
        banned=[None, {7, 6}, (), [5]],
    )
    allowed = [(row > -torch.inf).nonzero()[:, 0].tolist() for row in out]
    assert allowed == [[1, 2], [0, 1, 2, 3, 4, 5], [*range(8)], [0]]
    assert out[1, :6].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_short_mask_leaves_out_the_padding_rows():
    logits = torch.zeros(1, 8)
    for num_tokens in (None, 5):
        out = process_logits(
            logits, [SamplingParams()], allowed=[mask(3, 4, size=5)], num_tokens=num_tokens
        )
        assert (out[0] > -torch.inf).nonzero()[:, 0].tolist() == [3, 4]


def test_a_constraint_is_stronger_than_min_tokens():
    # A complete answer can only be followed by the stop id, however short it is.
    out = process_logits(torch.zeros(1, 8), [SamplingParams()], allowed=[mask(2)], banned=[{2}])
    assert (out[0] > -torch.inf).nonzero()[:, 0].tolist() == [2]


def test_bias_cannot_bring_back_what_is_not_allowed():
    p = SamplingParams(logit_bias={0: 100.0, 7: 100.0}, temperature=1.0)
    out = process_logits(torch.zeros(1, 8), [p], allowed=[mask(1)], num_tokens=7)
    assert (out[0] > -torch.inf).nonzero()[:, 0].tolist() == [1]


def test_everything_together_equals_single_rows():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 40, generator=generator) * 4
    params = [
        SamplingParams(temperature=0.7, top_p=0.9, logit_bias={3: 4.0}),
        SamplingParams(frequency_penalty=1.0),
        SamplingParams(temperature=1.0, presence_penalty=1.0, repetition_penalty=1.2),
        SamplingParams(temperature=1.0, top_k=4),
    ]
    options = {
        "generated": [None, TokenCounts([1, 2, 2]), TokenCounts([9]), TokenCounts([3])],
        "allowed": [None, mask(*range(30), size=38), None, mask(*range(5, 20), size=38)],
        "banned": [{1}, None, {2, 3}, {5}],
    }
    seen = [None, None, torch.tensor([4, 9]), None]
    together = process_logits(logits, params, seen, num_tokens=38, **options)
    for row, p in enumerate(params):
        alone = process_logits(
            logits[row : row + 1],
            [p],
            [seen[row]],
            num_tokens=38,
            **{name: [values[row]] for name, values in options.items()},
        )
        assert torch.equal(alone[0], together[row])


def test_nothing_is_copied_where_no_row_asks():
    logits = torch.randn(3, 16)
    options = {"generated": [TokenCounts([1])] * 3, "allowed": [None] * 3, "banned": [(), None, []]}
    out = process_logits(logits, [SamplingParams()] * 3, [torch.tensor([1])] * 3, **options)
    assert out.data_ptr() == logits.data_ptr()


def test_a_broken_value_is_not_hidden_by_a_mask():
    logits = torch.zeros(1, 8)
    logits[0, 6] = math.nan
    with pytest.raises(NanoVLError, match="1 of 8 values that are NaN"):
        process_logits(logits, [SamplingParams()], allowed=[mask(1)])


def test_nothing_allowed_by_a_mask():
    with pytest.raises(NanoVLError, match="no token is allowed"):
        process_logits(torch.zeros(1, 8), [SamplingParams()], allowed=[mask()])


def test_wrong_number_or_kind_of_masks():
    with pytest.raises(ValueError, match="2 entries for 1 rows"):
        process_logits(torch.zeros(1, 8), [SamplingParams()], allowed=[None, None])
    for wrong in (torch.ones(8), torch.ones(9, dtype=torch.bool)):
        with pytest.raises(ValueError, match="mask of row 0"):
            process_logits(torch.zeros(1, 8), [SamplingParams()], allowed=[wrong])


# --- log-probabilities ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logprobs_are_those_of_the_model(dtype, monkeypatch):
    monkeypatch.setattr(sampling, "_LOGPROB_ROWS", 4)
    generator = torch.Generator().manual_seed(5)
    logits = (torch.randn(11, 50, generator=generator) * 5).to(dtype)
    ids = torch.randint(40, (11,), generator=generator).tolist()
    tops = [0, 1, 20, 3, 0, 0, 0, 0, 40, 60, 2]
    thought = [row % 2 == 0 for row in range(11)]
    entries = token_logprobs(logits, ids, tops, num_tokens=40, reasoning=thought)
    for row, entry in enumerate(entries):
        exact = logits[row, :40].double().log_softmax(0).tolist()
        best = sorted(range(40), key=lambda i, row=row: -float(logits[row, i]))
        assert entry.token_id == ids[row]
        assert entry.reasoning is thought[row]
        assert entry.logprob == pytest.approx(exact[ids[row]], abs=1e-5)
        assert len(entry.top) == min(tops[row], 40)
        assert [v for _, v in entry.top] == pytest.approx(
            [exact[i] for i in best[: tops[row]]], abs=1e-5
        )
        assert [exact[i] for i, _ in entry.top] == pytest.approx(
            [v for _, v in entry.top], abs=1e-5
        )
    assert sum(math.exp(v) for _, v in entries[9].top) == pytest.approx(1.0, abs=1e-5)


def test_logprobs_of_one_count_for_all():
    entries = token_logprobs(torch.tensor([[0.0, math.log(3.0)]] * 2), [0, 1], 1)
    assert [round(math.exp(e.logprob), 6) for e in entries] == [0.25, 0.75]
    assert [e.top[0][0] for e in entries] == [1, 1]
    assert token_logprobs(torch.zeros(0, 4), [], 3) == []
    with pytest.raises(ValueError, match="1 ids and 2 counts for 2 rows"):
        token_logprobs(torch.zeros(2, 4), [0], 3)


@pytest.mark.parametrize("options", [{"logit_bias": {7: 1.0}}, {"stop_token_ids": (1, 7)}])
def test_ids_outside_the_vocabulary(options):
    (name,) = options
    check_token_ids(SamplingParams(**options), 8)
    with pytest.raises(InputError, match=f"{name}: token id 7, expected 0 to 6"):
        check_token_ids(SamplingParams(**options), 7)
