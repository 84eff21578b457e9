"""Yes and no: the reading, POPE's F1, HallusionBench's three accuracies."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.yesno import create_hallusion, create_pope_f1, yes_or_no
from tests.unit.evals.scoring.rows import Judge, judged, reference, scored

SHORT = {"Y": "Yes", "N": "No", "U": "Unknown"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes", "Yes"),
        ("Yes, it is.", "Yes"),
        ("The answer is yes!", "Yes"),
        ("Yes,", "Yes"),
        ("no.", "No"),
        ("nO", "No"),
        ("No, there is not a dog; yes I am sure", "Unknown"),
        ("not", "Unknown"),
        ("Yes/No", "Unknown"),
        ("yes-no", "Unknown"),
        ("Yes.No", "Unknown"),
        ("I do not know", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_the_worked_words(text, word):
    for profile in ("default", "vk", "legacy"):
        assert yes_or_no(text, profile) == word


@pytest.mark.parametrize("text", ["**Yes**", "_yes_, surely", "`Yes`", "*Yes*."])
def test_emphasis_hides_nothing_by_default(text):
    assert yes_or_no(text) == "Yes"


def test_emphasis_hides_the_word_from_the_harness():
    assert yes_or_no("**Yes**", "vk") == yes_or_no("**Yes**", "legacy") == "Unknown"


def pope(truth, said, categories=None):
    metric = create_pope_f1()
    names = categories or [""] * len(truth)
    rows = [
        scored(
            metric,
            SHORT[t],
            {"Y": "Yes.", "N": "No", "U": "Perhaps"}[s],
            id=str(i),
            category=name,
        )
        for i, (t, s, name) in enumerate(zip(truth, said, names, strict=True))
    ]
    return metric.aggregate(rows)


@pytest.mark.parametrize(
    ("truth", "said", "f1", "accuracy", "precision", "recall"),
    [
        ("YYNN", "YYNN", 100, 100, 100, 100),
        ("YYNN", "YNNN", 66.67, 75, 100, 50),
        ("YYNN", "YYYY", 66.67, 50, 50, 100),
        ("YYNN", "YUUN", 66.67, 50, 100, 50),
        ("YYYN", "YYNY", 66.67, 50, 66.67, 66.67),
        ("NNNN", "NNNN", 0, 100, 0, 0),
    ],
)
def test_pope_gives_the_worked_numbers(truth, said, f1, accuracy, precision, recall):
    result = pope(truth, said)
    parts = result.parts
    found = [result.score, parts["accuracy"], parts["precision"], parts["recall"]]
    assert found == pytest.approx([f1, accuracy, precision, recall], abs=5e-3)


def test_pope_repeats_rows_of_several_categories():
    adv, pop, rnd = "adversarial", "popular", "random"
    names = [adv, adv, f"{adv}, {pop}", pop, pop, rnd, rnd, rnd]
    result = pope("YNYNYNYN", "YNNYYUYN", names)
    assert result.num_samples == 8
    assert result.parts["rows"] == 9.0
    expected = {
        "": (66.67, 55.56, 75.0, 60.0),
        adv: (66.67, 66.67, 100, 50),
        pop: (50, 33.33, 50, 50),
        rnd: (100, 66.67, 100, 100),
    }
    for name, numbers in expected.items():
        prefix = f"{name}/" if name else ""
        found = [
            result.groups[name] if name else result.score,
            *(result.parts[f"{prefix}{key}"] for key in ("accuracy", "precision", "recall")),
        ]
        assert found == pytest.approx(numbers, abs=5e-3), name
    assert result.parts["unparsed"] == 0.125


def figures(hits):
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    return [
        judged(float(hit), id=f"VD_figure_x_0_{f}_{q}", **{"l2-category": "figure"})
        for hit, (f, q) in zip(map(int, hits), places, strict=True)
    ]


@pytest.mark.parametrize(
    ("hits", "numbers"),
    [
        ("1111", (100, 100, 100)),
        ("1100", (50, 50, 0)),
        ("1010", (50, 0, 50)),
        ("0110", (50, 0, 0)),
        ("0000", (0, 0, 0)),
    ],
)
def test_hallusion_gives_the_worked_numbers(hits, numbers):
    result = create_hallusion().aggregate(figures(hits))
    assert (result.parts["aAcc"], result.parts["fAcc"], result.parts["qAcc"]) == numbers
    assert result.score == numbers[0]


def test_hallusion_keeps_sets_and_kinds_apart():
    hits = {
        "VD_figure_x_0_0_0": 1,
        "VD_figure_x_0_0_1": 0,
        "VD_figure_x_0_1_0": 1,
        "VD_figure_x_0_1_1": 1,
        "VS_map_x_1_0_0": 1,
        "VS_map_x_1_1_0": 1,
    }
    rows = [
        judged(float(hit), id=index, category=index[:2], **{"l2-category": index.split("_")[1]})
        for index, hit in hits.items()
    ]
    result = create_hallusion().aggregate(rows)
    found = [result.parts[key] for key in ("aAcc", "fAcc", "qAcc", "mean_of_three")]
    assert found == pytest.approx([83.33, 75.0, 66.67, 75.0], abs=5e-3)
    assert result.groups["category/VD"] == 75.0
    assert result.groups["category/VS/mean"] == 100.0
    assert result.groups["l2-category/figure/mean"] == pytest.approx((75 + 50 + 50) / 3)


def test_hallusion_needs_the_fields_of_the_index():
    with pytest.raises(InputError, match="'VD_7'"):
        create_hallusion().aggregate([judged(1.0, id="VD_7")])


def test_a_judge_is_asked_about_unknown_answers():
    metric = create_hallusion()
    judge = Judge("Yes", "Unknown.", "both yes and no", "well", "no")
    asked = [scored(metric, "Yes", "It seems so", level="judge", judge=judge) for _ in range(3)]
    assert [row.verdict.value for row in asked] == [1.0, 0.0, 0.0]
    assert [row.verdict.extracted for row in asked] == ["Yes", "Unknown", "No"]
    assert "It seems so" in judge.asked[0]
    direct = scored(metric, "Yes", "Yes", level="judge", judge=judge)
    assert (direct.verdict.level, len(judge.asked)) == ("rules", 5)
    for nobody in (None, Judge()):
        row = scored(metric, "Yes", "It seems so", level="judge", judge=nobody)
        assert row.verdict.value is None
        assert row.verdict.detail["reason"]


@given(st.text())
def test_any_text_has_a_reading(text):
    assert yes_or_no(text) in SHORT.values()


@pytest.mark.parametrize("create", [create_pope_f1, create_hallusion])
def test_yes_no_metrics_check_what_they_get(create):
    assert create().name == create.__name__.removeprefix("create_")
    with pytest.raises(InputError, match="no responses"):
        create().aggregate([])
    with pytest.raises(ConfigError, match="vkk"):
        create("vkk")


def test_the_reading_agrees_with_the_older_harness():
    punctuation = reference("vlmeval", "smp/misc.py", ["process_punctuation"])
    theirs = reference(
        "vlmeval",
        "dataset/utils/yorn.py",
        ["YOrN_Extraction"],
        {"process_punctuation": punctuation["process_punctuation"]},
    )["YOrN_Extraction"]
    draw = random.Random(9)
    words = ["yes", "Yes.", "no", "No,", "not", "**Yes**", "yes/no", "1,0", "(no)", "x", "?"]
    for _ in range(400):
        text = draw.choice(["", " "]).join(draw.choices(words, k=draw.randint(0, 4)))
        assert yes_or_no(text, "legacy") == theirs(text), text
