"""Tool calls: equality with accepted values, order, arguments left out, and calling nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response
from nanovl.evals.scoring.calls import calls_of, create_call_equality, same_call
from tests.unit.evals.scoring.rows import sample, scored, value

METRIC = create_call_equality()
WEATHER = {"get_weather": {"city": ["Berlin", "berlin, DE"], "days": [3], "units": ["", "metric"]}}
PRICE = {"stock.price": {"ticker": ["AAPL"]}}


def called(*calls):
    """The text of an answer with these calls."""
    made = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"<TOOLCALL>{json.dumps(made)}</TOOLCALL>"


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"city": "Berlin", "days": 3}, True),
        ({"city": "berlin", "days": 3.0, "units": "metric"}, True),
        ({"city": "Berlin-DE", "days": 3, "units": "metric"}, True),  # marks do not matter
        ({"city": "Berlin", "days": 3, "units": ""}, True),
        ({"city": "Berlin", "days": "3"}, False),  # a text is no number
        ({"city": "Berlin", "days": True}, False),
        ({"city": "Berlin", "days": 4}, False),
        ({"city": "Paris", "days": 3}, False),
        ({"city": "Berlin"}, False),  # must not be left out
        ({"city": "Berlin", "days": 3, "units": "imperial"}, False),
        ({"city": "Berlin", "days": 3, "hours": 1}, False),  # there is no such argument
        ({}, False),
    ],
)
def test_arguments_must_be_accepted_ones(arguments, right):
    assert value(METRIC, [WEATHER], called(("get_weather", arguments))) == float(right)


@pytest.mark.parametrize(
    ("accepted", "given_", "right"),
    [
        ([["War", "Economy"]], ["War", "Economy"], True),
        ([["War", "Economy"]], ["war", "economy"], True),
        ([["War", "Economy"]], ["Economy", "War"], False),
        ([["War", "Economy"]], ["War"], False),
        ([["War", "Economy"]], "War", False),
        ([[1, 2.5]], [1.0, 2.5], True),
        ([{"size": ["large"], "ice": ["", "less"]}], {"size": "Large"}, True),
        ([{"size": ["large"], "ice": ["", "less"]}], {"size": "large", "ice": "less"}, True),
        ([{"size": ["large"], "ice": ["", "less"]}], {"ice": "less"}, False),
        ([{"size": ["large"]}], {"size": "large", "cup": 1}, False),
        ([True], True, True),
        ([True], 1, False),
        ([True], "true", False),
        ([None], None, True),
        ([[{"a": [1]}]], [{"a": 1}], True),
        ([0], False, False),
    ],
)
def test_values_of_all_types(accepted, given_, right):
    assert same_call({"f": {"x": accepted}}, "f", {"x": given_}) is right


def test_several_calls_may_stand_in_any_order_but_none_twice():
    a, b = ("get_weather", {"city": "Berlin", "days": 3}), ("stock.price", {"ticker": "AAPL"})
    for text in (called(a, b), called(b, a), called(a) + called(b)):
        assert value(METRIC, [WEATHER, PRICE], text) == 1.0
    assert value(METRIC, [WEATHER, PRICE], called(a)) == 0.0
    assert value(METRIC, [WEATHER], called(a, a)) == 0.0
    assert value(METRIC, [WEATHER, WEATHER], called(a, a)) == 1.0


def test_pairing_finds_the_only_way():
    """The first call fits both, the second only one: a greedy choice would fail."""
    loose, tight = {"f": {"x": [1, 2]}}, {"f": {"x": [1]}}
    text = called(("f", {"x": 1}), ("f", {"x": 2}))
    assert value(METRIC, [loose, tight], text) == 1.0
    assert value(METRIC, [tight, loose], text) == 1.0
    assert value(METRIC, [tight, tight], text) == 0.0


def test_names_with_points_may_have_underscores():
    assert value(METRIC, [PRICE], called(("stock_price", {"ticker": "AAPL"}))) == 1.0
    assert value(METRIC, [PRICE], called(("stock_prices", {"ticker": "AAPL"}))) == 0.0


@pytest.mark.parametrize("nothing", [None, []])
def test_where_no_tool_fits_nothing_must_be_called(nothing):
    assert value(METRIC, nothing, "None of these functions can do that.") == 1.0
    assert value(METRIC, nothing, "") == 1.0
    assert value(METRIC, nothing, called(("f", {}))) == 0.0
    assert value(METRIC, nothing, "<TOOLCALL>[{broken</TOOLCALL>") == 0.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Berlin is warm.", "no call"),
        (called(("f", {}), ("g", {})), "number of calls"),
        (called(("f", {})), "name"),
        (called(("get_weather", {})), "arguments"),
        ("<TOOLCALL>{]</TOOLCALL>", "malformed"),
        (called(("get_weather", {"city": "Berlin", "days": 3})), "right"),
    ],
)
def test_the_verdict_says_what_is_wrong(text, reason):
    assert scored(METRIC, [WEATHER], text).verdict.detail["reason"] == reason


def test_parsed_calls_of_an_endpoint_are_taken_as_they_are():
    inner = {"name": "get_weather", "arguments": '{"city": "Berlin", "days": 3}'}
    for call in (inner, {"type": "function", "id": "1", "function": inner}):
        response = Response(text="", meta={"tool_calls": [call]})
        assert METRIC.score(sample([WEATHER]), response).value == 1.0
    broken = Response(text="", meta={"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]})
    assert calls_of(broken) is None
    assert METRIC.score(sample([WEATHER]), broken).detail["reason"] == "malformed"


def test_a_single_call_may_be_the_reference():
    reference = [{"name": "f", "arguments": {"x": 1}}]
    assert value(METRIC, reference, called(("f", {"x": 1}))) == 1.0
    assert value(METRIC, reference[0], called(("f", {"x": 2}))) == 0.0


def test_the_two_halves_are_told_apart():
    rows = [
        scored(METRIC, [WEATHER], ""),
        scored(METRIC, [PRICE], called(("stock.price", {"ticker": "AAPL"}))),
        scored(METRIC, [], ""),
    ]
    result = METRIC.aggregate(rows)
    assert result.score == pytest.approx(2 / 3)
    assert (result.parts["calls"], result.parts["no_calls"]) == (0.5, 1.0)
    assert result.parts["balanced"] == 0.75


@pytest.mark.parametrize("answer", ["f(x)", 3, [1]])
def test_a_reference_that_is_no_call_is_an_error(answer):
    with pytest.raises(InputError, match="sample 7"):
        METRIC.score(sample(answer, id="7"), Response(text=""))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.text(max_size=200), VALUES)
def test_any_answer_gets_0_or_1(text, made):
    for said in (text, f"<TOOLCALL>{text}</TOOLCALL>", f"<TOOLCALL>[{json.dumps(made)}]"):
        assert value(METRIC, [WEATHER], said) in (0.0, 1.0)
    response = Response(text=text, meta={"tool_calls": [made]})
    assert METRIC.score(sample([WEATHER]), response).value in (0.0, 1.0)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers() | st.text(max_size=5)))
def test_the_call_that_is_expected_is_right(arguments):
    reference = {"f": {name: [v] for name, v in arguments.items()}}
    assert value(METRIC, [reference], called(("f", arguments))) == 1.0
