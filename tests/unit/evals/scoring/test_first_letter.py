"""The first letter in range: worked values of both families, profiles, boxes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError
from nanovl.evals.base import Medium
from nanovl.evals.scoring.first_letter import RULES, create_mcq_first_letter, first_letter
from tests.unit.evals.scoring.rows import reference, scored, value

IMAGE, LONG, SHORT = RULES["mme_realworld"], RULES["longvideobench"], RULES["video_mme"]
VIDEO = (Medium(kind="video", path="film.mp4"),)
FOUR = {letter: letter.lower() for letter in "ABCD"}
FIVE = {letter: letter.lower() for letter in "ABCDE"}


@pytest.mark.parametrize(
    ("text", "image", "short", "long"),
    [
        ("B", "B", "B", "B"),
        ("(D)", "D", "D", "D"),
        ("The best answer is C", "C", "C", "C"),
        ("The answer is: E", "E", None, "E"),
        ("Answer: D", "A", "D", "D"),
        ("Option: A", "A", "A", "A"),
        ("Best answer: B", "B", "B", "B"),
        ("Because I Am sure it is B", "B", "B", "B"),
        ("Apple pie", "A", "A", "A"),
        ("car", None, None, None),
        ("I do not know", None, None, None),
        ("", "A", None, None),
    ],
)
def test_the_harness_gives_the_worked_letters(text, image, short, long):
    assert first_letter(text, IMAGE, fixed=False) == image
    assert first_letter(text, SHORT, fixed=False) == short
    assert first_letter(text, LONG, fixed=False) == long


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: D", "D"),
        ("Best answer: C", "C"),
        ("Best option: D", "D"),
        ("", None),
        ("   ", None),
        ("The answer is", None),
        ("c", "C"),
        ("(e)", "E"),
        ("<answer> d </answer>", "D"),
        ("A reasons <answer>B</answer>", "B"),
        ("i cannot say which of the many listed things this one might be", None),
    ],
)
def test_the_own_reading_of_pictures(text, letter):
    assert first_letter(text, IMAGE, fixed=True) == letter


def test_default_profile_counts_where_it_differs():
    metric = create_mcq_first_letter(benchmark="mme_realworld_en")
    rows = [scored(metric, "D", text, id=str(i)) for i, text in enumerate(["Answer: D", "D", ""])]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(2 / 3)
    assert result.parts["differs_from_vk"] == 2.0
    assert result.parts["unparsed"] == pytest.approx(1 / 3)
    vk = create_mcq_first_letter("vk", benchmark="mme_realworld_en")
    assert [value(vk, "A", text) for text in ("Answer: D", "D", "")] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("benchmark", "facts", "e_counts"),
    [
        ("videomme", {}, False),
        ("longvideobench_val", {}, True),
        ("treebench", {}, True),
        ("", {"media": VIDEO, "options": FOUR}, False),
        ("", {"media": VIDEO, "options": FIVE}, True),
        ("", {"options": FOUR}, True),
    ],
)
def test_the_range_is_the_benchmarks(benchmark, facts, e_counts):
    metric = create_mcq_first_letter(benchmark=benchmark)
    assert value(metric, "E", "The answer is E", **facts) == float(e_counts)


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(ConfigError, match="chartqa"):
        create_mcq_first_letter(benchmark="chartqa")


def test_target_boxes_give_a_mean_iou():
    metric = create_mcq_first_letter(benchmark="treebench")
    rows = [
        scored(
            metric,
            "A",
            "<answer>A</answer>",
            id="0",
            reasoning="see <box>[0,0,10,10]</box>",
            target_instances="[[0, 0, 10, 20]]",
            category="Perception/OCR",
        ),
        scored(metric, "B", "A", id="1", target_instances=[[0, 0, 1, 1]]),
    ]
    result = metric.aggregate(rows)
    assert result.parts["miou"] == 0.25
    assert result.groups["category/Perception/OCR"] == 1.0


def test_films_are_grouped_by_their_columns():
    metric = create_mcq_first_letter(benchmark="videomme")
    rows = [
        scored(metric, "A", text, id=str(i), duration=duration, task_type="Counting")
        for i, (text, duration) in enumerate([("A", "short"), ("B", "long")])
    ]
    groups = metric.aggregate(rows).groups
    assert groups == {"duration/short": 1.0, "duration/long": 0.0, "task_type/Counting": 0.5}


@given(st.text())
def test_any_text_has_a_reading(text):
    for rule in RULES.values():
        for fixed in (False, True):
            letter = first_letter(text, rule, fixed=fixed)
            assert letter is None or letter in rule.letters


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        ("multiple_choice.py", IMAGE),
        ("longvideobench.py", LONG),
        ("videomme.py", SHORT),
    ],
)
def test_the_readings_agree_with_the_older_harness(module, rule):
    theirs = reference("vlmeval", f"dataset/utils/{module}", ["extract_characters_regex"])
    words = ["The", "best", "Best", "answer", "answer:", "Answer:", "option", "option:", "Option:"]
    words += ["The answer is", "is", "A", "(B)", "c", "(d)", "E", "F", "car", "because", ""]
    draw = random.Random(6)
    for _ in range(500):
        text = " ".join(draw.choices(words, k=draw.randint(0, 14)))
        expected = theirs["extract_characters_regex"](text) or None
        assert first_letter(text, rule, fixed=False) == expected, text
