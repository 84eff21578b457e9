"""References inside answers: braces, languages, relations."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.contains import (
    create_contains_multilingual,
    create_crpe_group4,
    create_curly_contains,
    crpe_right,
    curly_answer,
    last_curly,
)
from tests.unit.evals.scoring.rows import judged, reference, scored, value


@pytest.mark.parametrize(
    ("text", "answer", "inside", "exact"),
    [
        ("{7}", "7", 1, True),
        ("{17}", "7", 1, False),
        ("7", "7", 0, False),
        ("{a}", "A", 1, True),
        ("first {2} then {3.5}", "3.5", 1, True),
        (r"{\boxed{12}}", "12", 1, True),
        (r"\boxed{12}", "12", 1, True),
        ("{{12}}", "12", 1, True),
        ("{ Two  Cats }", "two  cats", 1, True),
        ("{", "7", 0, False),
        ("", "7", 0, False),
    ],
)
def test_braces_contain_the_reference(text, answer, inside, exact):
    row = scored(create_curly_contains(), answer, text)
    assert row.verdict.value == inside
    assert row.verdict.detail["exact"] is exact


def test_exact_answers_are_counted_beside():
    metric = create_curly_contains()
    rows = [scored(metric, "7", text, id=str(i)) for i, text in enumerate(["{7}", "{17}", "7"])]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(2 / 3)
    assert result.parts["curly_exact"] == pytest.approx(1 / 3)
    assert result.parts["unparsed"] == pytest.approx(1 / 3)


@given(st.text(alphabet="{}a\n\\", max_size=40))
def test_the_last_braces_are_those_of_the_pattern(text):
    found = re.findall(r"\{(.*?)\}", text)
    assert last_curly(text) == (found[-1] if found else None)
    curly_answer(text)


def test_many_open_braces_are_read_at_once():
    assert last_curly("{" * 200_000) is None
    assert curly_answer("}" * 200_000) is None


def test_languages_are_averaged_over_rows():
    metric = create_contains_multilingual()
    rows = [
        scored(metric, answer, text, id=str(i), category=language)
        for i, (answer, text, language) in enumerate(
            [
                ("Paris.", "In paris, France", "FR"),
                ("3.5", "35", "FR"),
                ("\u6771\u4eac", "\u6771\u4eac\u90fd", "JA"),
                ("Zug", "Bahn", "DE"),
                ("\u0414\u0430", "\u0434\u0430, \u044d\u0442\u043e", "RU"),
            ]
        )
    ]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(80.0)
    assert result.groups == {"FR": 100.0, "JA": 100.0, "DE": 0.0, "RU": 100.0}


@pytest.mark.parametrize(
    ("truth", "answer", "right"),
    [
        ("A. a dog", "A", True),
        ("A. a dog", "B", False),
        ("A. a dog", "A. a cat", True),
        ("B. on the table", "(B)", False),
        ("B. on the table", "It is on the table", True),
        ("B. on the table", "the table", False),
        ("C", "(C)", True),
        ("C", "x", True),
        ("C", "D", False),
        ("C", "", False),
    ],
)
def test_relations_give_the_worked_values(truth, answer, right):
    assert crpe_right(truth, answer) is right


def test_a_relation_counts_when_all_four_rows_are_right():
    metric = create_crpe_group4()
    hits = [1, 1, 1, 1, 1, 1, 0, 1]
    rows = [judged(float(hit), id=str(i), category="subject") for i, hit in enumerate(hits)]
    result = metric.aggregate(rows)
    assert (result.score, result.num_samples, result.parts["rows"]) == (0.5, 2, 0.875)
    assert result.groups == {"subject": 0.5}
    assert create_crpe_group4("legacy").aggregate(rows).score == 0.875


def test_relations_follow_the_groups_of_the_samples():
    metric = create_crpe_group4()
    rows = [judged(float(i < 4), id=str(i), group=str(i % 2)) for i in range(8)]
    assert metric.aggregate(rows).score == 0.0
    rows = [judged(1.0, id=str(i), group=str(i // 4)) for i in range(7)]
    result = metric.aggregate(rows)
    assert (result.score, result.num_samples, result.parts["orphans"]) == (1.0, 1, 3.0)
    with pytest.raises(InputError, match="3 rows"):
        metric.aggregate(rows[4:])


def test_legacy_relations_agree_with_the_older_harness():
    theirs = reference("vlmeval", "dataset/utils/crpe.py", ["is_correct"])["is_correct"]
    truths = ["A. a dog", "B. on the table", "C", "D. x"]
    answers = ["A", "B.", "x", "(A)", "the dog", "a Dog", "ON THE TABLE", "on", "D. y", " ", "d"]
    draw = random.Random(10)
    pairs = [(draw.choice(truths), " ".join(draw.choices(answers, k=k))) for k in (1, 2, 3) * 80]
    for truth, answer in pairs:
        assert crpe_right(truth, answer, legacy=True) == theirs(truth, answer), (truth, answer)


@given(st.text(), st.text())
def test_any_text_is_compared(truth, answer):
    for create in (create_curly_contains, create_contains_multilingual, create_crpe_group4):
        assert value(create(), truth, answer) in (0.0, 1.0)


@given(st.text(min_size=1).filter(lambda text: not set(text) & set("{}\n")))
def test_perfect_answers_count(text):
    assert value(create_curly_contains(), text, f"so {{{text}}}") == 1.0
    assert value(create_contains_multilingual(), text, text) == 1.0


@pytest.mark.parametrize(
    "create", [create_curly_contains, create_contains_multilingual, create_crpe_group4]
)
def test_substring_metrics_check_what_they_get(create):
    assert create().name == create.__name__.removeprefix("create_")
    with pytest.raises(InputError, match="no responses"):
        create().aggregate([])
    with pytest.raises(ConfigError, match="vkk"):
        create("vkk")
