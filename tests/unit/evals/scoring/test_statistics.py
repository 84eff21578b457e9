"""Runs, errors, intervals and comparisons: worked values, known properties, agreement."""

from __future__ import annotations

import collections
import math
import random

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.scoring.statistics import (
    FEW_CLUSTERS,
    bootstrap_interval,
    clustered_error,
    majority,
    mcnemar,
    mean_error,
    mean_interval,
    paired_bootstrap,
    paired_t_test,
    pass_at_k,
    runs_summary,
    wilson,
)
from nanovl.evals.scoring.student import student_p, student_quantile
from tests.unit.evals.scoring.rows import reference

RUNS = [[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]]
EIGHT = [1, 1, 0, 1, 0, 0, 1, 1]


# -- Several runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "right", "k", "expected"),
    [(4, 2, 1, 0.5), (4, 2, 2, 0.833333), (4, 0, 1, 0), (16, 12, 1, 0.75), (16, 1, 4, 0.25)],
)
def test_pass_at_k_of_one_problem(n, right, k, expected):
    assert pass_at_k(n, right, k) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(("k", "percent"), [(1, 58.33), (2, 88.89), (3, 100)])
def test_pass_at_k_of_the_worked_runs(k, percent):
    found = [pass_at_k(4, sum(row), k) for row in RUNS]
    assert 100 * sum(found) / 3 == pytest.approx(percent, abs=5e-3)


@pytest.mark.parametrize(("k", "percent"), [(2, 66.67), (3, 100), (4, 100)])
def test_majority_of_the_worked_runs(k, percent):
    right = [majority(["right" if hit else "wrong" for hit in row[:k]]) for row in RUNS]
    assert 100 * right.count("right") / 3 == pytest.approx(percent, abs=5e-3)


def test_majority_passes_over_empty_answers():
    assert majority(["", None, "7", ""]) == "7"
    assert majority(["", None]) is None
    assert majority(["b", "a", "a", "b"]) == "b"


def test_runs_have_a_spread():
    four = runs_summary(RUNS)
    assert four.mean == pytest.approx(0.5833, abs=5e-5)
    assert four.std == pytest.approx(0.166667, abs=5e-7)
    assert four.error == pytest.approx(0.083333, abs=5e-7)
    two = runs_summary([row[:2] for row in RUNS])
    assert (two.mean, two.std) == (pytest.approx(2 / 3), 0.0)
    assert runs_summary([[1.0], [0.0]]).std == 0.0


@pytest.mark.parametrize("rows", [[], [[]], [[1, 0], [1]]])
def test_runs_are_complete(rows):
    with pytest.raises(InputError, match="expected"):
        runs_summary(rows)


@pytest.mark.parametrize(("n", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_impossible_counts_are_refused(n, right, k):
    with pytest.raises(InputError, match="expected"):
        pass_at_k(n, right, k)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_more_tries_never_hurt(counts):
    n, right = counts
    found = [pass_at_k(n, right, k) for k in range(1, n + 1)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(right / n)
    assert found[-1] == float(right > 0)


# -- One mean ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (850, 1337, 60.96, 66.11),
        (498, 900, 52.07, 58.55),
        (50, 334, 11.54, 19.19),
        (23, 30, 59.07, 88.21),
        (0, 100, 0, 3.70),
        (156, 405, 33.91, 43.34),
        (100, 100, 96.30, 100),
    ],
)
def test_wilson_gives_the_worked_intervals(right, n, low, high):
    found = wilson(right, n)
    assert (100 * found.low, 100 * found.high) == pytest.approx((low, high), abs=5e-3)


def test_the_error_of_a_mean():
    assert mean_error(EIGHT) == pytest.approx(0.182981, abs=5e-7)


@pytest.mark.parametrize(
    ("values", "clusters", "error"),
    [
        ([1, 1, 0, 0], "aabb", 0.381881),
        ([1, 0, 1, 0], "aabb", 0.144338),
        (EIGHT, "aabbccdd", 0.217150),
        ([1, 1, 0, 1], "abcd", 0.25),
        ([1, 1, 1, 1, 0, 0, 0, 0], "aaaabbbb", 0.359811),
    ],
)
def test_clustered_errors_give_the_worked_values(values, clusters, error):
    assert clustered_error(values, clusters) == pytest.approx(error, abs=5e-7)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5)), min_size=2))
def test_clustered_errors_are_errors(rows):
    values, clusters = zip(*rows, strict=True)
    assert clustered_error(values, clusters) >= 0.0
    assert clustered_error(values, range(len(values))) == pytest.approx(mean_error(values))


def test_the_interval_suits_the_values():
    assert mean_interval([1, 0, 1]).method == "wilson"
    assert mean_interval([1, 0, 1], "abc").method == "wilson"
    assert mean_interval([0.5, 0, 1]).method == "bootstrap"
    few = [i // 2 for i in range(2 * FEW_CLUSTERS - 2)]
    many = [i // 2 for i in range(2 * FEW_CLUSTERS)]
    assert mean_interval([i % 2 for i in few], few).method == "bootstrap"
    found = mean_interval([c % 2 for c in many], many)
    assert found.method == "clustered"
    half = 1.959964 * clustered_error([c % 2 for c in many], many)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_a_bootstrap_repeats_itself():
    values = [0.1 * (i % 11) for i in range(60)]
    clusters = [i // 3 for i in range(60)]
    first = bootstrap_interval(values, clusters, seed=3)
    assert first == bootstrap_interval(values, clusters, seed=3)
    assert first != bootstrap_interval(values, clusters, seed=4)
    assert first.low < sum(values) / 60 < first.high


def test_a_bootstrap_of_independent_values_is_near_the_normal_interval():
    draw = np.random.default_rng(0)
    values = draw.normal(size=400).tolist()
    found = bootstrap_interval(values, resamples=4000)
    mean, half = sum(values) / 400, 1.96 * mean_error(values)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_a_bootstrap_draws_clusters_not_items():
    values, clusters = [1.0] * 50 + [0.0] * 50, [0] * 50 + [1] * 50
    assert bootstrap_interval(values, clusters).low == 0.0
    assert bootstrap_interval(values).low > 0.3


def test_any_number_can_be_bootstrapped():
    values = [float(i % 2) for i in range(40)]
    mean = bootstrap_interval(values, resamples=300, seed=1)
    same = bootstrap_interval(
        values,
        resamples=300,
        seed=1,
        statistic=lambda drawn: sum(values[i] for i in drawn) / len(drawn),
    )
    assert (mean.low, mean.high) == pytest.approx((same.low, same.high))
    sizes = []
    bootstrap_interval(
        values, "x" * 40, resamples=5, statistic=lambda drawn: sizes.append(len(drawn)) or 0.0
    )
    assert sizes == [40] * 5


# -- Two models ----------------------------------------------------------------------------------


def test_paired_t_test_gives_the_worked_values():
    found = paired_t_test([1, 1, 0, 1, 1], [1, 0, 0, 1, 0])
    assert found.difference == pytest.approx(0.4)
    assert found.error == pytest.approx(0.244949, abs=5e-7)
    assert found.t == pytest.approx(1.632993, abs=5e-7)
    assert found.p == pytest.approx(0.177808, abs=5e-7)
    assert (found.low, found.high) == pytest.approx((-0.280, 1.080), abs=5e-4)
    even = paired_t_test([1, 0, 1, 0], [0, 1, 0, 1])
    assert (even.difference, even.error, even.p) == pytest.approx((0, 0.57735, 1), abs=5e-6)
    eight = paired_t_test(EIGHT, [1, 0, 0, 0, 0, 0, 1, 0])
    assert eight.difference == 0.375
    assert eight.error == pytest.approx(0.182981, abs=5e-7)
    assert eight.t == pytest.approx(2.04939, abs=5e-6)
    assert eight.p == pytest.approx(0.079602, abs=5e-7)


def test_equal_differences_leave_no_doubt():
    assert paired_t_test([1, 1], [1, 1]).p == 1.0
    sure = paired_t_test([1, 1], [0, 0])
    assert (sure.p, sure.t, sure.low) == (0.0, math.inf, 1.0)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.30265), (4, 2.77645), (7, 2.36462), (30, 2.04227), (1000, 1.96234)],
)
def test_student_quantiles_are_those_of_the_tables(freedom, quantile):
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=5e-6)
    assert student_quantile(0.025, freedom) == pytest.approx(-quantile, rel=5e-6)
    assert student_p(quantile, freedom) == pytest.approx(0.05, rel=5e-5)


@given(st.floats(-50, 50), st.integers(1, 2000))
def test_student_probabilities_fall_with_size(t, freedom):
    p = student_p(t, freedom)
    assert 0.0 <= p <= 1.0
    assert p == student_p(-t, freedom)
    assert student_p(abs(t) + 0.5, freedom) <= p


def test_student_with_one_and_two_degrees_has_closed_forms():
    for t in (0.0, 0.3, 1.0, 4.0, 90.0):
        assert student_p(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=1e-12)
        assert student_p(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "only_first", "only_second", "p"),
    [
        ("1111111100", "0000000000", 8, 0, 2 / 2**8),
        ("110", "001", 2, 1, 1.0),
        ("1010", "1010", 0, 0, 1.0),
        ("1111110", "0000001", 6, 1, 2 * 8 / 2**7),
    ],
)
def test_mcnemar_is_a_sign_test(first, second, only_first, only_second, p):
    found = mcnemar([c == "1" for c in first], [c == "1" for c in second])
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(p)


def test_mcnemar_takes_many_items():
    found = mcnemar([True] * 3000 + [False] * 2500, [False] * 3000 + [True] * 2500)
    z = (3000 - 2500) / math.sqrt(5500)
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.2)


def test_a_paired_bootstrap_finds_a_difference_that_is_there():
    first = [1.0] * 60 + [0.0] * 40
    second = [1.0] * 40 + [0.0] * 60
    found = paired_bootstrap(first, second)
    assert found.difference == pytest.approx(0.2)
    assert found.low > 0.1
    assert found.p < 0.01
    assert found == paired_bootstrap(first, second)
    same = paired_bootstrap(first, first)
    assert (same.difference, same.p, same.low, same.high) == (0.0, 1.0, 0.0, 0.0)
    one_film = paired_bootstrap(first, second, [i // 50 for i in range(100)])
    assert one_film.high - one_film.low <= 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: mean_error([1.0]),
        lambda: wilson(2, 1),
        lambda: wilson(0, 0),
        lambda: clustered_error([1, 0], "a"),
        lambda: mean_interval([]),
        lambda: mean_interval([1, 0], "abc"),
        lambda: bootstrap_interval([]),
        lambda: paired_t_test([1, 0], [1]),
        lambda: paired_bootstrap([1], [1], []),
        lambda: mcnemar([], []),
    ],
)
def test_numbers_that_do_not_fit_are_refused(wrong):
    with pytest.raises(InputError, match="expected"):
        wrong()


@given(st.lists(st.integers(0, 1), min_size=2, max_size=40))
def test_wilson_holds_the_share(hits):
    found = mean_interval(hits)
    assert 0.0 <= found.low <= sum(hits) / len(hits) <= found.high <= 1.0


def test_clustered_errors_agree_with_a_public_implementation():
    theirs = reference(
        "lmms_eval",
        "api/metrics.py",
        ["clustered_stderr"],
        {"collections": collections, "math": math},
    )["clustered_stderr"]
    draw = random.Random(12)
    for _ in range(300):
        n = draw.randint(2, 30)
        values = [draw.choice([0.0, 1.0, 0.5]) for _ in range(n)]
        clusters = [draw.randint(0, 6) for _ in range(n)]
        expected = theirs(values, clusters)
        assert clustered_error(values, clusters) == pytest.approx(expected, abs=1e-9)
