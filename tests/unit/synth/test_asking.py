"""Wordings and small forms shared by the generators."""

from __future__ import annotations

import random
from collections import Counter
from string import Formatter

import pytest

from nanovl.synth.asking import (
    NOTES,
    balanced,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    number_text,
    plural,
    point_answer,
    with_article,
    worded,
)
from nanovl.synth.charts.phrases import BANK as CHARTS
from nanovl.synth.scenes import (
    families,
    geometry_tasks,
    instruments,
    pairs,
    pointing,
    puzzles,
    telling,
)
from nanovl.synth.tables.phrases import BANK as TABLES

BANKS = {
    "charts": CHARTS,
    "tables": TABLES,
    "families": families.BANK,
    "geometry": geometry_tasks.BANK,
    "instruments": instruments.BANK,
    "pairs": pairs.BANK,
    "pointing": pointing.BANK,
    "puzzles": puzzles.BANK,
    "telling": telling.BANK,
}


@pytest.mark.parametrize("name", sorted(BANKS))
def test_every_kind_has_four_wordings_that_differ(name: str) -> None:
    for kind, wordings in BANKS[name].items():
        assert len(set(wordings)) == len(wordings) >= 4, kind
        used = [{n for _, n, _, _ in Formatter().parse(w) if n} for w in wordings]
        allowed = set.union(*used)
        for wording, slots in zip(wordings, used, strict=True):
            # A wording may leave a unit out, never what is asked about.
            assert allowed - slots <= {"unit", "noun", "corner"}, (kind, wording)
            assert "  " not in wording


def test_notes_come_in_ten_wordings() -> None:
    for wordings in NOTES.values():
        assert len(set(wordings)) == 10
    asked = Counter(noted("What?", "number", random.Random(k)) for k in range(400))
    assert len(asked) == 11
    assert 140 < asked["What?"] < 260


def test_answers_are_drawn_evenly_whatever_the_pool() -> None:
    pool = [True] * 30 + [False] * 2
    said = Counter(balanced(pool, lambda x: x, random.Random(k), 1)[0] for k in range(400))
    assert 150 < said[True] < 250
    assert balanced([True] * 5, lambda x: x, random.Random(0), 1) == []
    assert sorted(balanced([1, 2, 3], lambda x: x, random.Random(0), 5)) == [1, 2, 3]


def test_multiple_choice_puts_the_answer_anywhere() -> None:
    places = Counter()
    for k in range(200):
        found = multiple_choice("Which?", "red", ["blue", "green", "Red", "gray"], random.Random(k))
        assert found is not None
        text, answer = found
        assert f"{answer.value}. red" in text
        places[answer.value] += 1
    assert set(places) == set("ABCD")
    assert multiple_choice("Which?", "red", ["blue", "red"], random.Random(0)) is None


def test_small_forms() -> None:
    assert worded({"k": ("who is {a}?",)}, "k", random.Random(0), a="x") == ("Who is x?", "k/0")
    assert (number_text(2.50), number_text(-0.001), number_text(1e6)) == ("2.5", "0", "1000000")
    assert (plural(1, "star"), plural(2, "star"), plural(2, "box", "boxes")) == (
        "1 star", "2 stars", "2 boxes",
    )  # fmt: skip
    assert (with_article("orange"), with_article("red star")) == ("an orange", "a red star")
    assert (join_words([]), join_words(["a"]), join_words(["a", "b", "c"])) == (
        "", "a", "a, b and c",
    )  # fmt: skip
    text, answer = box_answer("cat", [(10.0, 20.0, 50.0, 60.0)], 100, 200)
    assert text == "<ref>cat</ref><box>(100,100),(500,300)</box>"
    assert answer.value == [[100, 100, 500, 300]]
    assert point_answer(5, 5, (0.0, 0.0, 10.0, 10.0), 10, 10)[0] == "(500,500)"
