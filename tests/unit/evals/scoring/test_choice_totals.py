"""Option questions as benchmarks: rows, circles, open questions, variants, picture sources."""

from __future__ import annotations

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.choice_totals import (
    ROTATION,
    answer_line,
    create_cvbench,
    create_mcq_circular,
    create_mcq_mmmu,
    create_mcq_vanilla,
)
from tests.unit.evals.scoring.rows import Judge, judged, scored, value

COLOURS = {"A": "red", "B": "green", "C": "white", "D": "blue"}
TRUTHS = "ADCB"


def circle(number, answers, *, level="rules", judge=None):
    """Four rotations of question `number`; the truths are A, D, C, B."""
    metric = create_mcq_circular()
    return [
        scored(
            metric,
            truth,
            text,
            id=str(number + i * ROTATION),
            options=COLOURS,
            category="hue",
            level=level,
            judge=judge,
        )
        for i, (truth, text) in enumerate(zip(TRUTHS, answers, strict=True))
    ]


def circles(*groups):
    metric = create_mcq_circular()
    return metric.aggregate([row for i, group in enumerate(groups) for row in circle(i, group)])


RIGHT = ["A", "D", "C", "B"]


@pytest.mark.parametrize(
    ("groups", "circular", "vanilla"),
    [
        ([RIGHT], 1.0, 1.0),
        ([RIGHT, ["A", "D", "C", "A"]], 0.5, 0.875),
        ([["A", "D", "C", "unsure"]], 0.0, 0.75),
        ([["red", "It is D.", "C", "B"], RIGHT, ["B", "B", "B", "B"]], 2 / 3, 0.75),
        ([["A"] * 4, ["A"] * 4, ["A"] * 4, RIGHT], 0.25, 0.4375),
        (
            [RIGHT, ["A", "D", "C", "A"], ["red", "It is D.", "C", "B"], ["I am unsure", *"DCB"]],
            0.5,
            14 / 16,
        ),
    ],
)
def test_a_question_counts_when_all_its_rotations_are_right(groups, circular, vanilla):
    result = circles(*groups)
    assert result.score == pytest.approx(circular)
    assert result.parts["vanilla"] == pytest.approx(vanilla)
    assert result.num_samples == len(groups)
    assert result.groups == {"category/hue": pytest.approx(circular)}


def test_a_judged_rotation_completes_its_circle():
    metric = create_mcq_circular()
    answers = ["A", "D", "C", "like grass"]
    rows = circle(0, answers, level="judge", judge=Judge("B"))
    assert metric.aggregate(rows).score == 1.0
    rows = circle(0, answers, level="judge")
    result = metric.aggregate(rows)
    assert (result.score, result.unscored) == (0.0, 1)


def test_rotations_without_a_first_row_are_counted_apart():
    metric = create_mcq_circular()
    rows = circle(0, RIGHT) + circle(1, RIGHT)[1:]
    result = metric.aggregate(rows)
    assert (result.score, result.num_samples, result.parts["orphans"]) == (1.0, 1, 3.0)
    with pytest.raises(InputError, match="first row"):
        metric.aggregate(rows[1:4])


def test_circles_of_two_files_stay_apart():
    metric = create_mcq_circular()
    rows = [
        scored(metric, "A", text, id=f"{part}:{number}", options=COLOURS)
        for part, texts in {"en": "AA", "tr": "AB"}.items()
        for number, text in zip((3, 3 + ROTATION), texts, strict=True)
    ]
    assert metric.aggregate(rows).score == 0.5


def test_a_circle_needs_a_whole_number_as_index():
    metric = create_mcq_circular()
    with pytest.raises(InputError, match="'seven'"):
        metric.aggregate([scored(metric, "A", "A", id="seven", options=COLOURS)])


def test_vanilla_is_the_mean_over_rows_and_by_column():
    metric = create_mcq_vanilla()
    rows = [
        scored(
            metric,
            "B",
            text,
            id=str(i),
            options=COLOURS,
            category=cat,
            split="val",
            **{"l2-category": "x"},
        )
        for i, (text, cat) in enumerate([("B", "p"), ("A", "p"), ("it is green", "q"), ("?", "q")])
    ]
    result = metric.aggregate(rows)
    assert result.score == 0.5
    assert result.groups == {
        "split/val": 0.5,
        "l2-category/x": 0.5,
        "category/p": 0.5,
        "category/q": 0.5,
    }
    assert result.parts["unparsed"] == 0.25


def test_extended_reading_is_a_second_number():
    metric = create_mcq_vanilla()
    text = r"Neither A nor C; B is out, hence \boxed{\text{(D)}} and that is certainly all of it"
    assert value(metric, "D", text, options=COLOURS) == 0.0
    row = scored(metric, "D", text, options=COLOURS, level="extended")
    assert (row.verdict.value, row.verdict.level) == (1.0, "extended")
    assert metric.aggregate([row]).parts["decided_extended"] == 1.0


def test_profiles_read_differently():
    text = "C is right because the animal has whiskers and pointed ears"
    toys = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}
    values = [value(create_mcq_vanilla(p), "C", text, options=toys) for p in ("vk", "legacy")]
    assert values == [0.0, 1.0]
    with pytest.raises(ConfigError, match="vkk"):
        create_mcq_vanilla("vkk")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("First this.\nAnswer: B", "B"),
        ("Answer: $B", "B"),
        ("Answer: (C) Blue", " (C) Blue"),
        ("**Answer: D**", "**Answer: D**"),
        ("Answer: A\nAnswer: E", "E"),
        ("the answer is B", "the answer is B"),
        ("", ""),
    ],
)
def test_step_by_step_answers_end_with_a_line(text, line):
    assert answer_line(text) == line


def test_steps_are_taken_off_where_the_sample_or_the_metric_says_so():
    text = "A is out, B is out.\nAnswer: $C\nso much for that, is it not, dear reader?"
    assert value(create_mcq_mmmu(), "C", text, options=COLOURS) == 0.0
    assert value(create_mcq_mmmu(), "C", text, options=COLOURS, cot=True) == 1.0
    assert value(create_mcq_mmmu(steps=True), "C", text, options=COLOURS) == 1.0


@pytest.mark.parametrize(
    ("answer", "text", "hit"),
    [
        ("12.5", "It is 12.5", 1.0),
        ("12.5", "It is 13", 0.0),
        ("12.5", "other answers: 12.5", 0.0),
        ("12.5", "A", 1.0),
        ("12.5", "B", 0.0),
        (["3/4", "0.75"], "0.75", 1.0),
        ("['3/4', '0.75']", "3/4", 1.0),
        ("D", "B", 0.0),
    ],
)
def test_an_open_question_is_an_option_question_with_its_answer_as_a(answer, text, hit):
    assert value(create_mcq_mmmu(), answer, text) == hit


def test_lists_of_open_answers_are_a_text_for_the_harness():
    assert value(create_mcq_mmmu("vk"), "['3/4', '0.75']", "3/4") == 0.0


def test_mmmu_counts_the_validation_rows():
    metric = create_mcq_mmmu()
    rows = [
        scored(metric, "A", text, id=str(i), options=COLOURS, split=split)
        for i, (text, split) in enumerate(
            [("A", "validation"), ("B", "validation"), ("A", "dev"), ("A", "dev")]
        )
    ]
    result = metric.aggregate(rows)
    assert (result.score, result.num_samples) == (0.5, 2)
    assert metric.aggregate(rows[2:]).score == 1.0


def test_mmmu_pro_is_the_mean_of_its_variants():
    metric = create_mcq_mmmu()
    rows = [
        scored(metric, "A", text, id=str(i), options=COLOURS, variant=variant)
        for i, (text, variant) in enumerate(
            [("A", "standard"), ("A", "standard"), ("A", "standard"), ("B", "vision")]
        )
    ]
    result = metric.aggregate(rows)
    assert result.score == 0.5
    assert result.parts["micro"] == 0.75
    assert result.groups["variant/standard"] == 1.0
    assert result.groups["variant/vision"] == 0.0


def test_a_question_without_options_and_answers_is_refused():
    with pytest.raises(InputError, match="'q7'"):
        scored(create_mcq_mmmu(), [], "A", id="q7")


@pytest.mark.parametrize(
    ("coco", "ade", "score", "micro"),
    [
        ((3, 4), (1, 2), 0.625, 0.667),
        ((4, 4), (0, 4), 0.5, 0.5),
        ((9, 10), (1, 2), 0.7, 0.833),
        ((0, 3), (0, 1), 0.0, 0.0),
        ((5, 8), (3, 8), 0.5, 0.5),
        ((700, 800), (500, 638), 0.82935, 0.83449),
    ],
)
def test_the_2d_part_is_the_mean_of_its_sources(coco, ade, score, micro):
    rows = [
        judged(float(i < right), source=source, type="2D", id=f"{source}{i}")
        for source, (right, n) in {"COCO": coco, "ADE20K": ade}.items()
        for i in range(n)
    ]
    result = create_cvbench().aggregate(rows)
    assert result.score == pytest.approx(score, abs=5e-6)
    assert result.parts["2D"] == result.score
    assert result.parts["micro"] == pytest.approx(micro, abs=5e-4)


def test_cvbench_is_the_mean_of_its_halves():
    rows = [
        judged(1.0, source="COCO", type="2D"),
        judged(1.0, source="ADE20K", type="2D"),
        judged(0.0, source="Omni3D", split="3D", type="Depth"),
        judged(1.0, source="Omni3D", split="3D", type="Depth"),
    ]
    result = create_cvbench().aggregate(rows)
    assert (result.score, result.parts["2D"], result.parts["3D"]) == (0.75, 1.0, 0.5)
    assert result.groups["source/Omni3D"] == 0.5


@pytest.mark.parametrize("columns", [{"type": "4D", "source": "COCO"}, {"type": "2D"}])
def test_cvbench_rows_say_where_they_belong(columns):
    with pytest.raises(InputError, match="Check the file"):
        create_cvbench().aggregate([judged(1.0, **columns)])


@pytest.mark.parametrize(
    "create", [create_mcq_vanilla, create_mcq_circular, create_mcq_mmmu, create_cvbench]
)
def test_no_responses_are_refused(create):
    assert create().name == create.__name__.removeprefix("create_")
    with pytest.raises(InputError, match="no responses"):
        create().aggregate([])
