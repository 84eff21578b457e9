"""Sets of values, words and numbers as short answers."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response
from nanovl.evals.scoring.short_answers import (
    create_number_match,
    create_set_match,
    create_word_match,
    loose,
    same_entry,
)
from tests.unit.evals.scoring.rows import sample, scored, value

SET, WORD, NUMBER = create_set_match(), create_word_match(), create_number_match()


@pytest.mark.parametrize(
    ("expected", "said", "right"),
    [
        (["Siim Ennemuist", "Andri Aganits"], "Andri Aganits, Siim Ennemuist", True),
        (["Siim Ennemuist", "Andri Aganits"], "Andri Aganits and Siim Ennemuist", True),
        (["Siim Ennemuist", "Andri Aganits"], "Andri Aganits\nSiim Ennemuist", True),
        (["Siim Ennemuist", "Andri Aganits"], "Andri Aganits | Siim Ennemuist", True),
        (["Siim Ennemuist", "Andri Aganits"], "Andri Aganits", False),
        (["Siim Ennemuist"], "Andri Aganits, Siim Ennemuist", False),
        (["a", "b", "c"], "a, b, and c", True),
        (["a", "b"], "a, b, b", True),
        (["Paris, Texas"], "Paris, Texas", True),  # one value with a comma
        (["Paris, Texas", "Rome, Georgia"], "Paris, Texas\nRome, Georgia", True),
        (["1,234"], "1234", True),
        (["1234"], "1,234.0", True),
        (["3"], "three", True),
        (["12 May 2004"], "2004-05-12", True),
        (["Caf\u00e9"], "cafe", True),
        (["2000\u20132001"], "2000-2001", True),
        (["Smith[3]"], "Smith", True),
        (["5"], "6", False),
        (["5"], "", False),
        (["5"], "5 apples", False),
        ("5", "5.", True),
    ],
)
def test_sets(expected, said, right):
    assert value(SET, expected, said) == float(right)


def test_a_sentence_around_the_set_counts_only_at_the_extended_level():
    text = "The answer is: **a, b**"
    assert value(SET, ["b", "a"], text) == 0.0
    assert value(SET, ["b", "a"], text, level="extended") == 1.0
    assert scored(SET, ["b", "a"], text, level="extended").verdict.level == "extended"


@pytest.mark.parametrize(
    ("expected", "said", "right"),
    [
        ("true", "True.", True),
        ("true", "false", False),
        ("true", "It is true", False),
        (["dog", "hound"], "Hound", True),
        (True, "Yes!", True),
        (False, "no", True),
        ("red", "**red**", True),
        ("red", "", False),
        ("traffic light", "Traffic  light", True),
    ],
)
def test_words(expected, said, right):
    assert value(WORD, expected, said) == float(right)


@pytest.mark.parametrize(
    ("said", "extended"),
    [
        ("It is true.", 1.0),
        ("It is false.", 0.0),
        ("true, not false", 0.0),  # both stand there
        ("untrue", 0.0),
        ("I do not know", 0.0),
    ],
)
def test_the_only_choice_that_is_named_is_taken_at_the_extended_level(said, extended):
    choices = ["true", "false"]
    assert value(WORD, "true", said, choices=choices) == 0.0
    assert value(WORD, "true", said, choices=choices, level="extended") == extended


@pytest.mark.parametrize(
    ("expected", "said", "right"),
    [
        ("141", "141", True),
        ("141", "$141.00", True),
        ("1413", "1,413", True),
        ("141", "\\boxed{141}", True),
        ("141", "So 3 and 4.\nThe answer is 141.", True),
        ("141", "141 dollars", True),
        ("0.5", "\\boxed{\\frac{1}{2}}", True),
        ("141", "142", False),
        ("141", "", False),
        ("141", "one hundred", False),
        ("141", "\\boxed{141} or \\boxed{142}", False),  # the last box counts
        (141, "141", True),
        (0.333333333, "0.3333333", True),
    ],
)
def test_numbers(expected, said, right):
    assert value(NUMBER, expected, said) == float(right)


def test_the_last_number_counts_at_the_extended_level():
    text = "She needs 64 and 77, so she needs 141."
    assert value(NUMBER, "141", text) == 0.0
    assert scored(NUMBER, "141", text).verdict.detail == {"parsed": False}
    assert value(NUMBER, "141", text, level="extended") == 1.0


@pytest.mark.parametrize(
    ("said", "right"), [("102", 1.0), ("103", 0.0), ("98", 1.0), ("97.9", 0.0)]
)
def test_a_tolerance_of_the_file_is_used(said, right):
    assert value(NUMBER, "100", said, tolerance=0.02) == right


@pytest.mark.parametrize(("metric", "answer"), [(SET, []), (WORD, None), (NUMBER, "many")])
def test_other_references_are_errors(metric, answer):
    with pytest.raises(InputError, match="sample 7"):
        metric.score(sample(answer, id="7"), Response(text="1"))


@pytest.mark.parametrize("metric", [SET, WORD, NUMBER])
def test_means(metric):
    rows = [scored(metric, "1", "1", category="a"), scored(metric, "1", "2", category="b")]
    result = metric.aggregate(rows)
    assert (result.score, result.groups) == (0.5, {"a": 1.0, "b": 0.0})
    with pytest.raises(InputError, match=metric.name):
        metric.aggregate([])


@given(st.text(max_size=80), st.sampled_from(["rules", "extended"]))
def test_any_answer_gets_0_or_1(text, level):
    for metric in (SET, WORD, NUMBER):
        assert value(metric, "12", text, level=level, choices=["12", "13"]) in (0.0, 1.0)


@given(st.lists(st.from_regex(r"[A-Za-z]{2,9}( [A-Za-z]{2,9})?", fullmatch=True), min_size=1))
def test_the_expected_set_is_right_in_any_order(values):
    values = [v for v in values if " and " not in f" {v.casefold()} "]
    if values:
        assert value(SET, values, ", ".join(reversed(values))) == 1.0


@given(st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6).map(lambda x: round(x, 4)))
def test_every_number_is_right_as_it_is_written(number):
    text = f"{number:.4f}" if isinstance(number, float) else str(number)
    assert value(NUMBER, number if isinstance(number, int) else text, text) == 1.0


@given(st.text(max_size=30), st.text(max_size=30))
def test_entries_are_compared_both_ways_alike(one, other):
    assert same_entry(one, other) == same_entry(other, one)
    loose(one)
