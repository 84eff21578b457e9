"""Hidden facts: which are named, and at which length."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.scoring.needles import create_needles, found_values, length_name
from tests.unit.evals.scoring.rows import scored, value

METRIC = create_needles()


@pytest.mark.parametrize(
    ("values", "text", "share"),
    [
        (["1234567"], "It is 1234567.", 1.0),
        (["1234567"], "12345678", 0.0),  # another number
        (["1234567"], "1,234,567", 0.0),
        (["ab-12"], "AB-12", 1.0),
        (["a", "b"], "b", 0.5),
        (["1", "2", "3", "4"], "4, 3, 1", 0.75),
        (["VAR"], "VAR_2", 1.0),  # an underscore is no letter
        (["x y"], "x\n y", 1.0),
        (["1234567"], "", 0.0),
        ("plain", "so plain.", 1.0),
    ],
)
def test_share_of_the_facts(values, text, share):
    assert value(METRIC, values, text) == share


def test_substrings_count_in_the_profile_of_the_public_harness():
    assert value(create_needles("vk"), ["1234567"], "12345678") == 1.0
    assert value(create_needles("legacy"), ["Apple", "PEAR"], "apple, pears") == 1.0
    assert value(create_needles("vk"), ["1234567"], "1,234,567") == 0.0


@pytest.mark.parametrize(
    ("tokens", "name"),
    [(1, "1K"), (1024, "1K"), (1025, "2K"), (8192, "8K"), (16000, "16K"), (None, ""), (True, ""),
     (-3, "")],
)  # fmt: skip
def test_lengths(tokens, name):
    assert length_name(tokens) == name


def test_groups_are_lengths_in_order_and_kinds():
    rows = [
        scored(METRIC, ["1"], "1", tokens=16000, category="lines"),
        scored(METRIC, ["1"], "2", tokens=1000, category="lines"),
        scored(METRIC, ["1"], "1", tokens=2000, category="prose"),
        scored(METRIC, ["1"], "1", tokens=900, category="prose"),
    ]
    result = METRIC.aggregate(rows)
    assert result.score == 0.75
    assert list(result.groups.items()) == [("1K", 0.5), ("2K", 1.0), ("16K", 1.0)]
    assert (result.parts["kind_lines"], result.parts["kind_prose"]) == (0.5, 1.0)


@given(st.lists(st.text(min_size=1).filter(str.strip), max_size=4), st.text(), st.booleans())
def test_any_answer_can_be_searched(values, text, substring):
    assert len(found_values(values, text, substring=substring)) == len(values)
    anywhere = found_values(values, text, substring=True)
    assert all(b for a, b in zip(found_values(values, text), anywhere, strict=True) if a)


@given(st.lists(st.from_regex(r"[0-9a-z]{4,12}", fullmatch=True), min_size=1, max_size=5))
def test_the_facts_themselves_are_all_found(values):
    assert value(METRIC, values, ", ".join(values)) == 1.0
