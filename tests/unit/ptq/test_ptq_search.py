"""The mixture a search chooses is the best one that fits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import ConfigError
from nanovl.ptq import search
from nanovl.ptq.results import Mixture
from nanovl.ptq.search import bisect, frontier, group_names, monotone, solve, solve_bits

Sizes = dict[str, dict[str, int]]
Scores = dict[str, dict[str, float]]

FORMATS = ("bf16", "fp8", "int4", "nvfp4")


def all_mixtures(groups: Sizes, scores: Scores) -> list[tuple[float, int]]:
    """(score, bytes) of every mixture there is."""
    raised = {g: monotone(scores[g], groups[g]) for g in groups}
    return [
        (
            math.fsum(raised[g][f] for g, f in zip(groups, formats, strict=True)),
            sum(groups[g][f] for g, f in zip(groups, formats, strict=True)),
        )
        for formats in itertools.product(*groups.values())
    ]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Sizes, Scores]:
    """A few groups with whole scores, so that sums and ties are exact."""
    groups: Sizes = {}
    scores: Scores = {}
    for number in range(draw(st.integers(1, 5))):
        names = draw(st.sets(st.sampled_from(FORMATS), min_size=1).map(sorted))
        groups[f"g{number}"] = {f: draw(st.integers(0, 40)) for f in names}
        scores[f"g{number}"] = {f: float(draw(st.integers(-2, 30))) for f in names}
    return groups, scores


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(0, 200))
def test_solve_finds_what_trying_everything_finds(
    problem: tuple[Sizes, Scores], budget: int
) -> None:
    groups, scores = problem
    fitting = [m for m in all_mixtures(groups, scores) if m[1] <= budget]
    if not fitting:
        with pytest.raises(ConfigError, match="no mixture fits"):
            solve(groups, scores, budget)
        return
    found = solve(groups, scores, budget)
    # Lowest score; among equally good ones the smallest.
    assert (found.predicted, found.nbytes) == min(fitting)
    assert list(found.formats) == list(groups)
    assert found.nbytes == sum(groups[g][f] for g, f in found.formats.items())
    assert solve(groups, scores, budget) == found


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 200), st.integers(2, 30))
def test_a_coarse_grid_stays_inside_the_budget(
    problem: tuple[Sizes, Scores], budget: int, cells: int
) -> None:
    groups, scores = problem
    smallest = sum(min(sizes.values()) for sizes in groups.values())
    budget = max(budget, smallest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_CELLS", cells + len(groups))
        found = solve(groups, scores, budget)
        spread = sum(max(s.values()) - min(s.values()) for s in groups.values())
    assert found.nbytes <= budget
    # A cell has no more bytes than the smallest power of two that keeps the table small.
    cell = 2 ** math.ceil(math.log2(max(1, spread / cells + 1)))
    easier = [m for m in all_mixtures(groups, scores) if m[1] <= budget - cell * len(groups) * 2]
    if easier:
        assert found.predicted <= min(easier)[0]


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(2, 12))
def test_the_frontier_falls_and_holds_only_best_mixtures(
    problem: tuple[Sizes, Scores], steps: int
) -> None:
    groups, scores = problem
    everything = all_mixtures(groups, scores)
    curve = frontier(groups, scores, steps)
    assert 1 <= len(curve) <= steps
    assert curve[0].nbytes == min(size for _, size in everything)
    assert (curve[-1].predicted, curve[-1].nbytes) == min(everything)
    for before, after in itertools.pairwise(curve):
        assert before.nbytes < after.nbytes
        assert before.predicted > after.predicted
    for mixture in curve:
        assert mixture == solve(groups, scores, mixture.nbytes)


def test_a_cheaper_format_never_scores_better() -> None:
    sizes = {"nvfp4": 9, "bf16": 32, "fp8": 16, "int8": 16}
    measured = {"nvfp4": 0.1, "fp8": 0.3, "int8": 0.2}
    raised = monotone(measured, sizes)
    assert raised == {"bf16": 0.0, "fp8": 0.3, "int8": 0.2, "nvfp4": 0.3}
    assert list(raised) == ["bf16", "fp8", "int8", "nvfp4"]
    assert monotone({"fp8": -0.01}, {"bf16": 2, "fp8": 1})["fp8"] == 0.0
    # Then the smaller of two equally good formats is taken.
    assert solve({"g": sizes}, {"g": {**measured, "bf16": 0.5}}, 40).formats == {"g": "nvfp4"}


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_scores_must_be_numbers(score: float | None) -> None:
    scores = {} if score is None else {"fp8": score}
    with pytest.raises(ConfigError, match=r"layers\.3\.mixer\.in_proj: score of format 'fp8'"):
        solve({"layers.3.mixer.in_proj": {"fp8": 1}}, {"layers.3.mixer.in_proj": scores}, 5)


def test_what_does_not_fit_names_the_smallest_size() -> None:
    groups = {"a": {"fp8": 8_000, "nvfp4": 4_500}, "b": {"fp8": 8_000}}
    scores = {"a": {"fp8": 1.0, "nvfp4": 2.0}, "b": {"fp8": 1.0}}
    with pytest.raises(ConfigError, match="12,500"):
        solve(groups, scores, 12_499)
    assert solve(groups, scores, 12_500).formats == {"a": "nvfp4", "b": "fp8"}
    with pytest.raises(ConfigError, match=r"5\.5 bits .* take 6\.25 "):
        solve_bits(groups, scores, 16_000, 5.5)
    assert solve_bits(groups, scores, 16_000, 6.25).nbytes == 12_500
    with pytest.raises(ConfigError, match="no group"):
        solve({}, {}, 5)
    with pytest.raises(ConfigError, match="two ends"):
        frontier(groups, scores, 1)


# --- the size of the real thing -------------------------------------------------------------------

SHAPES = {
    "in_proj": 22656 * 5120,
    "out_proj": 10240 * 5120,
    "up_proj": 20480 * 5120,
    "down_proj": 20480 * 5120,
    "qkv_proj": 7168 * 5120,
    "o_proj": 5120 * 5120,
}


def large(scalars: int) -> tuple[Sizes, Scores]:
    """124 groups as in the 12B model; `scalars` bytes of scales beside every rounded weight."""
    roles = ["in_proj", "out_proj", "up_proj", "down_proj"] * 28 + ["qkv_proj", "o_proj"] * 6
    groups: Sizes = {}
    scores: Scores = {}
    for number, role in enumerate(roles):
        n = SHAPES[role]
        name = f"layers.{number}.{role}"
        groups[name] = {"bf16": 2 * n, "fp8": n + scalars, "nvfp4": n * 9 // 16 + scalars}
        wobble = 1 + math.sin(number * 12.9898) ** 2 * 5
        scores[name] = {"fp8": 1e-5 * wobble, "nvfp4": 1e-3 * wobble * (1 + number % 7)}
    return groups, scores


@pytest.mark.parametrize("scalars", [0, 8])
def test_the_12b_model_is_solved_within_a_hair(scalars: int) -> None:
    groups, scores = large(scalars)
    weights = sum(sizes["bf16"] for sizes in groups.values()) // 2
    assert weights == 10_965_483_520
    found = solve_bits(groups, scores, weights, 5.4)
    budget = 5.4 * weights / 8
    assert budget - 11_468_800 < found.nbytes <= budget
    assert {"fp8", "nvfp4"} <= set(found.formats.values())
    # No mixture at all is below this bound, which lets formats be mixed within a group.
    bound = _fractional_bound(groups, scores, budget)
    assert bound <= found.predicted < bound * 1.005


def test_a_few_bytes_of_scales_change_no_choice() -> None:
    plain, scores = large(0)
    scaled, _ = large(8)
    best = frontier(plain, scores, 9)[4]
    # Eight bytes for each of the groups that are rounded.
    rounded = sum(f != "bf16" for f in best.formats.values())
    again = solve(scaled, scores, best.nbytes + 8 * rounded)
    assert again.formats == best.formats


def _fractional_bound(groups: Sizes, scores: Scores, budget: float) -> float:
    """Lagrange's lower bound, at the best price per byte of a bisection."""

    def at(price: float) -> float:
        return sum(
            min(scores[g].get(f, 0.0) + price * b for f, b in sizes.items())
            for g, sizes in groups.items()
        ) - (price * budget)

    low, high = 0.0, 1e-9
    for _ in range(200):  # concave in the price
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if at(a) < at(b) else (low, b)
    return at(low)


# --- measured -------------------------------------------------------------------------------------


def curve_of(count: int) -> list[Mixture]:
    return [Mixture(formats={}, nbytes=n, predicted=float(count - n)) for n in range(count)]


class Measure:
    """Answers from a list, and remembers what was asked."""

    def __init__(self, values: Mapping[int, float]) -> None:
        self.values, self.asked = values, list[int]()

    def __call__(self, index: int) -> float:
        self.asked.append(index)
        return self.values[index]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1), st.integers(0, 3))
def test_bisect_returns_nothing_over_the_limit(
    values: list[float], limit: float, offset: int
) -> None:
    measure = Measure({offset + n: value for n, value in enumerate(values)})
    if min(values) > limit:
        with pytest.raises(ConfigError, match="no mixture diverges"):
            bisect(measure, curve_of(len(values)), limit, offset=offset)
        assert len(measure.asked) == len(values)
    else:
        found = bisect(measure, curve_of(len(values)), limit, offset=offset)
        assert found in measure.asked
        assert measure.values[found] <= limit
        # Its smaller neighbour is known to be over the limit.
        assert found == offset or measure.values[found - 1] > limit
    assert len(set(measure.asked)) == len(measure.asked), "every mixture is measured once"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=64), st.floats(0, 1))
def test_bisect_finds_the_smallest_where_values_fall(values: list[float], limit: float) -> None:
    falling = [*sorted(values, reverse=True), 0.0]
    measure = Measure(dict(enumerate(falling)))
    found = bisect(measure, curve_of(len(falling)), limit)
    assert found == next(n for n, value in enumerate(falling) if value <= limit)
    assert len(measure.asked) <= math.ceil(math.log2(len(falling))) + 1


def test_bisect_counts_nan_as_too_much() -> None:
    assert bisect(Measure({0: 0.3, 1: 0.1, 2: math.nan}), curve_of(3), 0.2) == 1
    with pytest.raises(ConfigError, match="nothing finite"):
        bisect(Measure({0: math.nan}), curve_of(1), 0.2)
    with pytest.raises(ConfigError, match=r"0\.2 .* best reaches 0\.3"):
        bisect(Measure({0: 0.4, 1: 0.3}), curve_of(2), 0.2)


# --- groups ---------------------------------------------------------------------------------------


def test_q_k_v_of_one_attention_are_one_group() -> None:
    linears = [
        "m.layers.0.mixer.in_proj",
        "m.layers.1.mixer.q_proj",
        "m.layers.1.mixer.k_proj",
        "m.layers.1.mixer.v_proj",
        "m.layers.1.mixer.o_proj",
        "m.layers.11.mixer.q_proj",
    ]
    assert list(group_names(linears).items()) == [
        ("m.layers.0.mixer.in_proj", ("m.layers.0.mixer.in_proj",)),
        ("m.layers.1.mixer.qkv_proj", tuple(linears[1:4])),
        ("m.layers.1.mixer.o_proj", ("m.layers.1.mixer.o_proj",)),
        ("m.layers.11.mixer.qkv_proj", ("m.layers.11.mixer.q_proj",)),
    ]
    assert group_names(["q_proj", "k_proj"]) == {"qkv_proj": ("q_proj", "k_proj")}
    assert group_names([]) == {}
