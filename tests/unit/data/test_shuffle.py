"""nanovl.data.shuffle: orders that are really orders, and look random."""

from __future__ import annotations

import collections
import statistics

import pytest

from nanovl.data.shuffle import Permutation, draw_below, draw_unit

SMALL = [2, 4, 3, 0, 5, 1]
LARGE = [998207734, 402505144, 693727404, 790462901]
BELOW, UNIT = 292, 0.29246922768054995


@pytest.mark.parametrize("size", [0, 1, 2, 7, 4096, 4097, 5000, 1 << 13, (1 << 14) + 1])
def test_every_number_comes_once(size: int) -> None:
    order = Permutation(size, "k")
    assert len(order) == size
    assert sorted(order[i] for i in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [10, 5000])
def test_orders_depend_on_the_key_alone(size: int) -> None:
    def first(key: str) -> list[int]:
        order = Permutation(size, key)
        return [order[i] for i in range(10)]

    assert first("a") == first("a")
    assert first("a") != first("b")


@pytest.mark.parametrize("size", [10, 5000])
@pytest.mark.parametrize("index", [-1, 1 << 60])
def test_places_outside(size: int, index: int) -> None:
    with pytest.raises(IndexError, match=f"permutation of {size}"):
        Permutation(size, "k")[index]


def test_an_order_is_fixed_for_good() -> None:
    # A saved state means nothing when these change.
    small, large = Permutation(6, "x"), Permutation(10**9, "x")
    assert [small[i] for i in range(6)] == SMALL
    assert [large[i] for i in range(4)] == LARGE
    assert draw_below(1000, "x") == BELOW
    assert draw_unit("x") == pytest.approx(UNIT, abs=0)


def test_large_orders_look_random() -> None:
    size, seen = 10_007, 20_000
    # Where a record ends up is even over many keys.
    thirds = collections.Counter(Permutation(size, f"{k}")[5] * 3 // size for k in range(3000))
    assert all(abs(n - 1000) < 130 for n in thirds.values())  # 5 standard deviations
    # Neighbours do not stay near each other: 1/3 of the size apart on average.
    order = Permutation(size, "k")
    gaps = [abs(order[i] - order[i + 1]) for i in range(min(size, seen) - 1)]
    assert abs(statistics.fmean(gaps) / size - 1 / 3) < 0.012
    # As many fixed points as a random order has: one, give or take.
    assert sum(order[i] == i for i in range(size)) < 8


def test_short_orders_reach_every_arrangement() -> None:
    found = collections.Counter(
        tuple(Permutation(3, f"{k}")[i] for i in range(3)) for k in range(1200)
    )
    assert len(found) == 6
    assert all(abs(n - 200) < 70 for n in found.values())


def test_draws_are_even() -> None:
    units = [draw_unit(f"{i}") for i in range(4000)]
    assert 0 <= min(units) < max(units) < 1
    assert abs(statistics.fmean(units) - 0.5) < 0.025
    counts = collections.Counter(draw_below(5, f"{i}") for i in range(5000))
    assert sorted(counts) == [0, 1, 2, 3, 4]
    assert all(abs(n - 1000) < 150 for n in counts.values())
