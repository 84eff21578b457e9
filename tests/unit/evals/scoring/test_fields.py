"""Key information: fields found, wrong, missing and made up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.scoring.fields import create_field_f1, guess_kind, parse_fields
from tests.unit.evals.scoring.rows import scored, value

RECEIPT = {
    "company": "MR. D.I.Y. (M) SDN BHD",
    "date": "19-04-18",
    "address": "LOT 1851-A, JALAN KPB 6",
    "total": "RM 15.40",
}
METRIC = create_field_f1()
FIELDS = st.dictionaries(st.text(max_size=8), st.none() | st.text(max_size=12) | st.integers())


def answer(**changes):
    return json.dumps({**RECEIPT, **changes})


def test_the_reference_itself_is_perfect():
    found = scored(METRIC, RECEIPT, answer())
    assert found.verdict.value == 1.0
    result = METRIC.aggregate([found])
    assert result.score == 100.0
    assert result.groups == dict.fromkeys(RECEIPT, 100.0)
    assert result.parts["strict_f1"] == result.parts["whole_documents"] == 100.0


def test_other_forms_of_the_same_values_count_but_not_strictly():
    text = answer(date="2018-04-19", total=15.4, company="MR DIY (M) SDN BHD")
    result = METRIC.aggregate([scored(METRIC, RECEIPT, text)])
    assert result.score == 100.0
    assert result.parts["strict_f1"] == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (answer(total="15.41"), 2 * 3 / (2 * 3 + 1 + 1)),  # wrong: both too much and too little
        (answer(total=None), 2 * 3 / (2 * 3 + 0 + 1)),  # missing
        (answer(total=""), 2 * 3 / (2 * 3 + 0 + 1)),
        (answer(tip="1.00"), 2 * 4 / (2 * 4 + 1 + 0)),  # made up
        (answer(tip=None), 1.0),
        ("{}", 0.0),
        ("", 0.0),
        ("I cannot read this.", 0.0),
        ("[1, 2]", 0.0),
    ],
)
def test_wrong_missing_and_made_up_fields_cost_what_f1_says(text, expected):
    assert value(METRIC, RECEIPT, text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is:\n```json\n{answer()}\n```\nAnything else?",
        f"{{not json}} {answer()}",
        json.dumps({"Company": RECEIPT["company"], "DATE": RECEIPT["date"],
                    "Address ": RECEIPT["address"], "to_tal": RECEIPT["total"]}),
    ],
)  # fmt: skip
def test_the_first_object_of_the_text_is_taken_whatever_stands_around(text):
    assert value(METRIC, RECEIPT, text) == 1.0


def test_lines_and_cut_json_count_only_at_the_extended_level():
    lines = "\n".join(f"- {name.title()}: {text}" for name, text in RECEIPT.items())
    cut = answer()[:-4]
    for text, extended in ((lines, 1.0), (cut, 2 * 3 / (2 * 3 + 1))):
        assert value(METRIC, RECEIPT, text) == 0.0
        found = scored(METRIC, RECEIPT, text, level="extended")
        assert found.verdict.value == pytest.approx(extended)
        assert found.verdict.level == "extended"


def test_a_field_that_is_not_there_is_right_when_left_out():
    reference = {**RECEIPT, "address": None}
    text = answer(address=None)
    assert value(METRIC, reference, text) == 1.0
    assert value(METRIC, reference, answer()) == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert value(METRIC, {"a": None}, "{}") == 1.0


def test_alternatives_and_kinds():
    reference = {"when": ["2018-04-19", "19 APR"], "open": True}
    kinds = {"when": "date", "open": "flag"}
    for text in ('{"when": "19.4.2018", "open": "yes"}', '{"when": "19 apr", "open": true}'):
        assert value(METRIC, reference, text, kinds=kinds) == 1.0
    assert value(METRIC, [reference], '{"when": "19.4.2018", "open": true}', kinds=kinds) == 1.0


def test_counts_are_summed_over_documents():
    rows = [
        scored(METRIC, RECEIPT, answer()),
        scored(METRIC, {"total": "1.00"}, '{"total": "2.00"}'),
    ]
    result = METRIC.aggregate(rows)
    assert result.score == pytest.approx(100 * 2 * 4 / (2 * 4 + 1 + 1))
    assert result.groups["total"] == pytest.approx(100 * 2 / (2 + 1 + 1))
    assert result.parts["precision"] == pytest.approx(80.0)
    assert result.parts["recall"] == pytest.approx(80.0)
    assert result.parts["whole_documents"] == 50.0


def test_no_documents_is_an_error():
    with pytest.raises(InputError, match="field_f1"):
        METRIC.aggregate([])


def test_nested_objects_are_flattened():
    found, level = parse_fields('{"a": {"b": [1, {"c": 2}]}, "d": null}', [], "rules")
    assert found == {"a.b.0": 1, "a.b.1.c": 2, "d": None}
    assert level == "rules"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("date", "date"),
        ("invoice_date", "date"),
        ("total", "amount"),
        ("Tax amount", "amount"),
        ("company", "text"),
        ("update", "text"),
    ],
)
def test_kinds_are_guessed_by_whole_words(name, kind):
    assert guess_kind(name) == kind


@given(FIELDS, st.text(max_size=200), st.sampled_from(["rules", "extended"]))
def test_any_answer_gets_a_value_between_0_and_1(reference, text, level):
    for said in (text, json.dumps(reference), "{" + text):
        found = value(METRIC, reference, said, level=level)
        assert 0.0 <= found <= 1.0


@given(
    st.dictionaries(st.from_regex(r"[a-z]{3,8}", fullmatch=True), st.text(min_size=1), min_size=1)
)
def test_the_reference_as_an_answer_is_perfect(reference):
    reference = {k: v for k, v in reference.items() if v.strip()}
    if reference:
        assert value(METRIC, reference, json.dumps(reference)) == 1.0
