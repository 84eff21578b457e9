"""Metrics of short answers: annotators, edit similarity, numbers, OCRBench."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.anls import create_anls, similarity
from nanovl.evals.scoring.ocrbench import GROUPS, HANDWRITTEN_FORMULA, create_ocrbench_v1
from nanovl.evals.scoring.relaxed import create_relaxed_accuracy, relaxed_equal
from nanovl.evals.scoring.vqa import create_vqa_accuracy
from tests.unit.evals.scoring.rows import reference, scored, value

SCENE = "Scene Text-centric VQA"


@pytest.mark.parametrize(
    ("equal", "score"), [(10, 1.0), (4, 1.0), (3, 0.9), (2, 0.6), (1, 0.3), (0, 0)]
)
def test_vqa_accuracy_by_how_many_annotators_agree(equal, score):
    answers = ["Nokia"] * equal + [f"other {i}" for i in range(10 - equal)]
    assert value(create_vqa_accuracy(), answers, "nokia.") == pytest.approx(score)


def test_vqa_accuracy_normalises_both_sides():
    assert value(create_vqa_accuracy(), ["2"] * 5 + ["two"] * 5, "the two") == 1.0
    assert value(create_vqa_accuracy(), str(["Nokia."] * 10), "nokia") == 1.0
    assert value(create_vqa_accuracy(), ["7"] * 10, "7.") == 0.0
    assert value(create_vqa_accuracy("legacy"), ["7"] * 10, "7.") == 1.0


def test_vqa_accuracy_is_a_mean():
    metric = create_vqa_accuracy()
    rows = [scored(metric, ["x"] * 10, text, id=str(i)) for i, text in enumerate("xyx")]
    assert metric.aggregate(rows).score == pytest.approx(2 / 3)
    assert value(metric, ["x"] * 10, "") == 0.0


@pytest.mark.parametrize(
    ("truth", "answer", "score"),
    [
        ("T.F. Riehl", "t.f. riehl", 1.0),
        ("T.F. Riehl", "TF Riehl", 0.8),
        ("1/8/93", "1/8/98", 0.8333),
        ("0.28", "0.29", 0.75),
        ("itc limited", "itc", 0.0),
        ("paul", "saul  ", 0.8333),
        (["abc", "abcd"], "abce", 0.75),
        ("university of california", "University of California, San Diego", 0.6857),
        ("$1,000", "1000", 0.6667),
        ("1", "", 0.0),
    ],
)
def test_anls_gives_the_worked_values(truth, answer, score):
    pytest.importorskip("rapidfuzz")
    assert value(create_anls(), truth, answer) == pytest.approx(score, abs=5e-5)


def test_anls_below_the_threshold_is_nothing():
    pytest.importorskip("rapidfuzz")
    assert similarity("itc limited", "itc") == pytest.approx(0.2727, abs=5e-5)
    assert similarity("", " \n") == 1.0
    assert similarity("", "") == 1.0


@pytest.mark.parametrize("hidden", [None, [], "[]"])
def test_hidden_answers_stay_unscored(hidden):
    metric = create_anls()
    row = scored(metric, hidden, "Paris")
    assert row.verdict.value is None
    result = metric.aggregate([row])
    assert (result.score, result.unscored) == (0.0, 1)


def test_anls_agrees_with_the_older_harness():
    pytest.importorskip("rapidfuzz")
    theirs = reference(
        "vlmeval", "dataset/utils/vqa_eval.py", ["anls_compute", "levenshtein_distance"]
    )["anls_compute"]
    draw = random.Random(8)
    for _ in range(400):
        truth, answer = (
            "".join(draw.choices("abAB  .\n1\u00df", k=draw.randint(0, 12))) for _ in range(2)
        )
        assert similarity(truth, answer) == pytest.approx(1 - theirs(truth, answer), abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "answer", "right", "legacy"),
    [
        ("100", "95", 1, 0),
        ("100", "94.9", 0, 0),
        ("100", "105", 1, 1),
        ("100", "105.2", 0, 1),
        ("100", "105.3", 0, 0),
        ("100", "95.3", 1, 1),
        ("12.5", "13.1", 1, None),
        ("12.5", "13.125", 1, 1),
        ("-4", "-4.2", 0, None),
        ("0", "0", 1, 1),
        ("0", "0.0", 0, 0),
        ("5%", "0.05", 1, None),
        ("5%", "5", 0, None),
        ("5", "5%", 0, None),
        ("25%", "24%", 1, None),
        ("2010", "2011", 1, None),
        ("1,000", "1000", 0, None),
        ("3", "three", 0, None),
        ("Yes", "Yes.", 0, None),
        ("Yes", "yes", 1, None),
        ("100", " 95\n", 1, 0),
        ("['3', '7']", "7.1", 1, None),
    ],
)
def test_relaxed_accuracy_gives_the_worked_values(truth, answer, right, legacy):
    assert value(create_relaxed_accuracy(), truth, answer) == right
    if legacy is not None:
        assert value(create_relaxed_accuracy("legacy"), truth, answer) == legacy


def test_relaxed_accuracy_is_printed_by_split():
    metric = create_relaxed_accuracy()
    rows = [
        scored(metric, "7", text, id=str(i), split=split)
        for i, (text, split) in enumerate(
            [
                ("7", "test_human"),
                ("8", "test_human"),
                ("7", "test_augmented"),
                ("7.1", "test_augmented"),
            ]
        )
    ]
    result = metric.aggregate(rows)
    assert result.score == 0.75
    assert result.groups == {"test_human": 0.5, "test_augmented": 1.0}


@given(st.text(), st.text())
def test_relaxed_equality_is_total(truth, answer):
    assert relaxed_equal(truth, answer) in (True, False)


@given(st.text(min_size=1))
def test_short_text_metrics_take_their_own_reference(text):
    assert value(create_vqa_accuracy(), [text] * 10, text) == 1.0
    assert value(create_ocrbench_v1(), [text], text, category=SCENE) == 1.0


@given(st.text(), st.text())
def test_anls_is_a_share(truth, answer):
    pytest.importorskip("rapidfuzz")
    assert 0.0 <= similarity(truth, answer) <= 1.0
    assert similarity(truth, truth) == 1.0 or truth != truth.strip()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_near_itself(number):
    assert relaxed_equal(str(number), str(number))


def test_relaxed_accuracy_agrees_with_the_older_harness():
    theirs = reference("vlmeval", "dataset/utils/vqa_eval.py", ["relaxed_correctness"])[
        "relaxed_correctness"
    ]
    pool = [
        "0",
        "5",
        "5%",
        "100",
        "95",
        "105.26",
        "-4",
        "-4.2",
        "Yes",
        "yes",
        "1e3",
        "nan",
        "%",
        "",
    ]
    pool += ["1,000", "0.05", "inf", "1_0"]
    pairs = [(a, b) for a in pool for b in pool]
    assert len(pairs) > 200
    for truth, answer in pairs:
        assert relaxed_equal(truth, answer) == theirs(truth, answer), (truth, answer)


@pytest.mark.parametrize(
    ("answers", "text", "category", "hit"),
    [
        (["CENTRE"], "The text says Centre.", SCENE, 1),
        (["$1.25", "1.25"], "It is 1.250", SCENE, 1),
        (["12 JAN 2018"], "12 jan\n2018", SCENE, 1),
        (["x ^ { 2 } + 1"], "$x^{2}+1$", HANDWRITTEN_FORMULA, 1),
        (["X^{2}"], "x^{2}", HANDWRITTEN_FORMULA, 0),
        (["no"], "I do not know", SCENE, 1),
        (["07341"], "7341", "Digit String Recognition", 0),
        ("['CENTRE']", "centre", SCENE, 1),
        (["CENTRE"], "", SCENE, 0),
    ],
)
def test_ocrbench_gives_the_worked_values(answers, text, category, hit):
    assert value(create_ocrbench_v1(), answers, text, category=category) == hit


def test_ocrbench_sums_by_group():
    metric = create_ocrbench_v1()
    rows = [
        scored(metric, ["x"], "x" if i % 3 else "y", id=str(i), category=category)
        for i, category in enumerate(GROUPS)
    ]
    result = metric.aggregate(rows)
    assert result.score == 6.0
    assert result.groups["Text Recognition"] == 4.0
    assert set(result.groups) == set(GROUPS.values())
    assert result.parts["percent"] == 60.0


def test_ocrbench_refuses_a_foreign_category():
    with pytest.raises(InputError, match="'Poems'"):
        value(create_ocrbench_v1(), ["x"], "x", category="Poems")


@pytest.mark.parametrize(
    "create", [create_vqa_accuracy, create_anls, create_relaxed_accuracy, create_ocrbench_v1]
)
def test_short_text_metrics_check_what_they_get(create):
    assert create().name == create.__name__.removeprefix("create_")
    with pytest.raises(InputError, match="no responses"):
        create().aggregate([])
    with pytest.raises(ConfigError, match="vkk"):
        create("vkk")
