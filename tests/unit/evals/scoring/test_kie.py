"""Key information and the data it is read from: worked values, odd replies, agreement."""

from __future__ import annotations

import ast
import json
import random
import time
import warnings
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.scoring.charts import chart_from_text, chart_table
from nanovl.evals.scoring.kie import alternatives, pair_score, pairs_from_text
from nanovl.evals.scoring.literals import UNREADABLE, answer_list, fenced, json_value, literal
from tests.unit.evals.scoring.rows import reference

TRUTH = {"date": ["1 May"], "total": ["12.50", "12.5"]}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"date": "1 may", "total": "12.5"}, 1.0),
        ({"date": "1 May", "total": "13"}, 0.5),
        ({"date": "1\nMAY"}, 0.5),
        ({}, 0.0),
        ({"other": "x"}, 0.0),
    ],
)
def test_worked_values(found: dict[str, str], expected: float) -> None:
    assert pair_score(TRUTH, found) == expected


def test_extra_key_counts() -> None:
    assert pair_score({"a": ["1"]}, {"a": "1", "b": "2"}) == 0.5


def test_best_alternative_of_each_key() -> None:
    assert pair_score({"a": ["1", "one"], "b": ["2", "two"]}, {"a": "one", "b": "2"}) == 1.0


def test_nothing_asked_and_nothing_said() -> None:
    assert pair_score({}, {}) == 0.0
    assert pair_score({"a": [None], "b": ["x"]}, {"b": "x"}) == 1.0


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('{"a": 1, "b": "x"}', {"a": "1", "b": "x"}),
        ("{'a': None}", {"a": "None"}),
        ('Sure:\n```json\n{"a": "1"}\n```\nand ```\n{"b": "2"}\n```', {"a": "1"}),
        ("a: 1, b = 2", {"a": "1", "b": "2"}),
        ("total price: 12.5\ndate: 'May'", {"total price": "12.5", "date": "May"}),
        ("[1, 2]", {}),
        ("{1: 2}", {}),
        ("null", {}),
        ("nothing here", {}),
        ("", {}),
        ("[" * 5000, {}),
    ],
)
def test_pairs(text: str, pairs: dict[str, str]) -> None:
    assert pairs_from_text(text) == pairs


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"a": ["x", "y"], "b": 3}, {"a": ["x", "y"], "b": ["3"]}),
        ('{"a": "x"}', {"a": ["x"]}),
        ("{'a': ['x']}", {"a": ["x"]}),
        ("\"{'a': 'x'}\"", {"a": ["x"]}),
        ("neither", None),
        ([1], None),
    ],
)
def test_references(answer: Any, expected: Any) -> None:
    assert alternatives(answer) == expected


def test_long_reply_without_pairs_takes_little_time() -> None:
    start = time.perf_counter()
    assert pairs_from_text("word " * 40_000) == {}
    assert pairs_from_text("a" + " " * 100_000 + "!") == {}
    assert time.perf_counter() - start < 5


@given(st.text(), st.text())
def test_any_text(one: str, two: str) -> None:
    assert 0.0 <= pair_score({"a": [one]}, pairs_from_text(two)) <= 1.0
    assert isinstance(chart_from_text(two), dict)


@pytest.mark.parametrize("text", ["print(1)", "1 +", "(" * 3000, "'\\d'1is", "\x00", "9" * 5000])
def test_what_is_no_literal(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert literal(text) is UNREADABLE


def test_json_and_fences() -> None:
    assert json_value("[1, null]") == [1, None]
    assert json_value("{'a': 1}") is UNREADABLE
    assert json_value("[" * 100_000) is UNREADABLE
    assert fenced("```Python\nx\n``` ```\ny\n```") == ["x", "y"]
    assert fenced("```html\nx\n```") == []
    assert repr(UNREADABLE) == "UNREADABLE"


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ("['a', 'b']", ["a", "b"]),
        ("plain", ["plain"]),
        ("{'a': 1}", ["{'a': 1}"]),
        (("a",), ["a"]),
        (3, [3]),
        ("", [""]),
    ],
)
def test_answers_of_a_cell(value: Any, answers: list[Any]) -> None:
    assert answer_list(value, "7") == answers


@pytest.mark.parametrize("value", [None, [], "[]"])
def test_no_answer(value: Any) -> None:
    with pytest.raises(InputError, match="sample '7': no reference answer"):
        answer_list(value, "7")


def test_agrees_with_the_published_code() -> None:
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/TEDS_metric.py",
        ["convert_str_to_dict", "convert_str_to_multi_dict", "dict_to_html", "compute_f1_score"],
        {"ast": ast, "json": json, "Optional": Any},
    )
    pieces = [
        "{", "}", '"a"', "'b'", ":", "=", "[", "]", "x", "y z", "1", "2.5", ",", "\n",
        "```json\n", "```python\n", "\n```", "# c", "null", "None", '"', "'", " ", "name = ",
        '{"k": "v"}', "{'k': 'v', 'm': 1}", '{"a": {"b": 2}}', "key: value", "\t",
    ]  # fmt: skip
    source = random.Random(5)
    filled = 0
    for _ in range(2000):
        text = "".join(source.choice(pieces) for _ in range(source.randint(0, 10)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs = published["convert_str_to_dict"](text)
            chart = published["convert_str_to_multi_dict"](text)
        assert pairs_from_text(text) == pairs, text
        assert chart_from_text(text) == chart, text
        if chart:
            table = published["dict_to_html"](chart).replace("\n", "").replace("  <tr>", "<tr>")
            assert chart_table(chart) == table
        if pairs:
            truth = {key: source.choice([value.upper(), "other"]) for key, value in pairs.items()}
            truth["more"] = "x"
            expected = published["compute_f1_score"](pairs, truth)
            assert pair_score({k: [v] for k, v in truth.items()}, pairs) == pytest.approx(expected)
            filled += 1
    assert filled > 200
