"""Normalisation that several metrics share."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.scoring.text import (
    CONTRACTIONS,
    answer_list,
    collapse_space,
    single_letter,
    strip_markup,
    strip_punctuation,
    vqa_normalise,
)
from tests.unit.evals.scoring.rows import reference


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat", "cat"),
        ("two dogs", "2 dogs"),
        ("10,000", "10000"),
        ("3,000 km", "3000 km"),
        ("Coca-Cola", "coca cola"),
        ("A/C", "c"),
        ("St. Louis", "st louis"),
        ("U.S.A", "usa"),
        ("12:30", "12:30"),
        ("$5.00", "$5.00"),
        ("7.", "7."),
        ("none", "0"),
        ("3-5", "3 5"),
        ("a", ""),
        ("dont know", "don't know"),
        ("it's", "it's"),
        ("line\nbreak\tand tab", "line break and tab"),
        ("ten", "10"),
    ],
)
def test_vqa_normalisation_gives_the_worked_texts(text, normal):
    assert vqa_normalise(text) == normal


def test_legacy_drops_a_full_stop_behind_a_digit():
    assert vqa_normalise("7.", legacy=True) == "7"
    assert vqa_normalise("7.5", legacy=True) == "7.5"


def test_at_most_32_full_stops_go():
    assert strip_punctuation("x." * 40).count(".") == 8


def test_a_mark_beside_a_space_is_deleted_everywhere():
    assert strip_punctuation("x-y") == "x y"
    assert strip_punctuation("x-y -z") == "xy z"
    assert strip_punctuation("x-y 1,0") == "xy 10"


def test_every_contraction_lost_one_apostrophe_but_one():
    odd = {key: word for key, word in CONTRACTIONS.items() if len(key) != len(word) - 1}
    assert odd == {"somebody'd": "somebodyd"}
    assert CONTRACTIONS["couldn'tve"] == CONTRACTIONS["couldnt've"] == "couldn't've"


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (["x", 1], ["x", "1"]),
        (("x", "y"), ["x", "y"]),
        ("['x', 2.5]", ["x", "2.5"]),
        (" ['x'] ", ["x"]),
        ("[x", ["[x"]),
        ("[x]", ["[x]"]),
        ("[1, 2][0]", ["[1, 2][0]"]),
        ("2010, 2011", ["2010, 2011"]),
        ("(1, 2)", ["(1, 2)"]),
        (r"['\d']", [r"\d"]),
        (7, ["7"]),
        ([], []),
    ],
)
def test_cells_hold_one_reference_or_a_list(cell, texts):
    assert answer_list(cell) == texts


def test_small_helpers():
    assert collapse_space("  a\t b\n\nc ") == "a b c"
    assert strip_markup("**_Yes_** `no`") == "Yes no"
    assert single_letter(" (B). ", "ABC") == "B"
    assert single_letter("BC", ["A", "B", "C"]) is None
    assert single_letter("", "ABC") is None
    assert single_letter("BC", "ABC") is None


@given(st.text())
def test_any_text_can_be_normalised(text):
    for legacy in (False, True):
        assert vqa_normalise(text, legacy=legacy) == collapse_space(
            vqa_normalise(text, legacy=legacy)
        )
    assert answer_list(text)


def test_normalisation_agrees_with_the_older_harness():
    punctuation = reference("vlmeval", "smp/misc.py", ["process_punctuation"], edition="older")
    theirs = reference(
        "vlmeval",
        "dataset/utils/vqa_eval.py",
        ["process_answer", "_process_digit_article"],
        {"process_punctuation": punctuation["process_punctuation"], "re": re},
    )["process_answer"]
    words = [
        "the",
        "A",
        "two",
        "none",
        "3,000",
        "U.S.",
        "7.",
        ".5",
        "x-y",
        "dont",
        "(",
        "couldn'tve",
    ]
    words += ["it's", "-", "Coca-Cola", "a/b", "#1", "50%", "*", "`q`", "no!", "\n", "somebody'd"]
    draw = random.Random(7)
    for _ in range(500):
        text = draw.choice(["", " ", "  "]).join(draw.choices(words, k=draw.randint(0, 8)))
        assert vqa_normalise(text, legacy=True) == theirs(text), text
    for word in CONTRACTIONS:
        assert vqa_normalise(word, legacy=True) == theirs(word), word
