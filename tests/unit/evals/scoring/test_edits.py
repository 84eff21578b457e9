"""Edit distances and error rates: worked values, properties, corpus averages."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.edits import (
    cer,
    create_cer,
    create_wer,
    distance,
    distances,
    similarity,
    wer,
)
from tests.unit.evals.scoring.rows import scored, value

pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")


def plain_distance(a: str, b: str) -> int:
    """The textbook recurrence, one cell after the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("\u4f60\u597d", "\u4f60", 1)],
)
def test_known_distances(a: str, b: str, edits: int) -> None:
    assert distance(a, b) == edits == distance(b, a)


@given(st.text(max_size=30), st.text(max_size=30))
def test_distance_is_that_of_the_textbook(a: str, b: str) -> None:
    assert distance(a, b) == plain_distance(a, b)
    assert 0.0 <= similarity(a, b) <= 1.0
    assert (similarity(a, b) == 1.0) == (a == b)


def test_words_are_units_too() -> None:
    assert distance(["a", "long", "way"], ["a", "way"]) == 1


def test_tables_of_distances() -> None:
    assert distances(["ab", ""], ["ab", "b", "xyz"]).tolist() == [[0, 1, 3], [2, 1, 3]]
    assert distances([], ["a"]).shape == (0, 1)


@pytest.mark.parametrize(
    ("truth", "prediction", "characters", "words"),
    [
        ("the cat", "the cat", 0.0, 0.0),
        ("the cat", "the hat", 1 / 7, 0.5),
        ("the cat", "", 1.0, 1.0),
        ("", "ab", 2.0, 1.0),
        ("", "", 0.0, 0.0),
        ("a", "a b c", 4.0, 2.0),
    ],
)
def test_error_rates(truth: str, prediction: str, characters: float, words: float) -> None:
    assert cer(truth, prediction) == pytest.approx(characters)
    assert wer(truth, prediction) == pytest.approx(words)


def test_metric_composes_characters_and_white_space() -> None:
    assert value(create_cer(), "caf\u00e9  au\nlait", "cafe\u0301 au lait ") == 0.0
    assert value(create_wer(), "caf\u00e9  au\nlait", "cafe\u0301 au lait ") == 0.0


def test_nearest_reference_counts() -> None:
    assert value(create_cer(), ["abcd", "abxy"], "abxz") == 0.25


def test_average_is_over_characters_not_samples() -> None:
    metric = create_cer()
    rows = [scored(metric, "a" * 9, "a" * 9), scored(metric, "b", "c")]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(0.1)
    assert result.parts["mean_of_samples"] == pytest.approx(0.5)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="unknown profile 'new'"):
        create_wer("new")
    with pytest.raises(InputError, match="no reference text"):
        value(create_cer(), [], "a")
    with pytest.raises(InputError, match="no responses"):
        create_cer().aggregate([])
