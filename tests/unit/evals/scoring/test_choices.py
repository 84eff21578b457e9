"""Which option an answer means: worked values, levels, profiles, judges, agreement."""

from __future__ import annotations

import copy
import os
import random

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError
from nanovl.evals.scoring.choices import (
    NOT_AN_OPTION,
    letter_by_extension,
    letter_by_rules,
    option_by_text,
    read_choice,
)
from tests.unit.evals.scoring.rows import Judge, reference

TOYS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}
ANSWERS = {"A": "Yes", "B": "No"}
NUMBERS = {"A": "10", "B": "100", "C": "1"}


@pytest.mark.parametrize(
    ("text", "options", "letter"),
    [
        ("A", TOYS, "A"),
        ("(B)", TOYS, "B"),
        ("B. rabbit", TOYS, "B"),
        ("**C**", TOYS, "C"),
        (r"\boxed{C}", TOYS, "C"),
        ("Answer: B", TOYS, "B"),
        ("The answer is C.", TOYS, "C"),
        ("The final answer is C and not the other", TOYS, "C"),
        ("The correct answer is **D**. Here is why: A and B are wrong.", TOYS, "D"),
        ("A cat", TOYS, "A"),
        ("A teddy bear is shown in the picture", TOYS, "A"),
        ("I think it is a rabbit", TOYS, "B"),
        ("option A because the toy is brown and soft", TOYS, None),
        ("C is right because the animal has whiskers and pointed ears", TOYS, None),
        ("It is not A and surely the answer is D", TOYS, "D"),
        ("rabbit or cat", TOYS, None),
        ("A or B", TOYS, None),
        ("b", TOYS, None),
        ("E", TOYS, None),
        ("", TOYS, None),
        ("C\uff0c\u56e0\u4e3a", TOYS, None),
        ("Z", TOYS, NOT_AN_OPTION),
        ("Cannot determine the answer", TOYS, NOT_AN_OPTION),
        ("Yes", ANSWERS, "A"),
        ("Yes, A", ANSWERS, "A"),
        ("None", ANSWERS, "B"),
        ("No, there is none", ANSWERS, None),
        ("10", NUMBERS, None),
        ("100", NUMBERS, None),
        ("The value is 10", NUMBERS, None),
        ("1", NUMBERS, "C"),
        ("Failed to obtain answer via API.", TOYS, None),
    ],
)
def test_rules_give_the_worked_letters(text, options, letter):
    assert letter_by_rules(text, options) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The correct answer is **D**. Here is why: A and B are wrong.", None),
        ("A teddy bear is shown in the picture", "A"),
        ("I think it is a rabbit", "B"),
        ("option A because the toy is brown and soft", "A"),
        ("C is right because the animal has whiskers and pointed ears", "C"),
        ("b", None),
    ],
)
def test_legacy_rules_give_the_worked_letters(text, letter):
    assert letter_by_rules(text, TOYS, legacy=True) == letter


def test_a_letter_counts_near_the_end_only():
    assert letter_by_rules("B one two three", {"B": "x" * 50, "C": "y"}) == "B"
    assert letter_by_rules("B one two three four", {"B": "x" * 50, "C": "y"}) is None
    assert letter_by_rules("B one two three four B", {"B": "x" * 50, "C": "y"}) is None


def test_option_texts_are_looked_for_in_short_answers_only():
    options = {"A": "red", "B": "blue"}  # 7 characters, so 14 are allowed
    assert option_by_text("it is all blue", options, guard=True) == "B"
    assert option_by_text("it is all blue.", options, guard=True) is None
    assert option_by_text("it is all blue.", options, guard=False) == "B"


def test_an_empty_option_text_is_found_in_no_answer():
    assert option_by_text("blue", {"A": "", "B": "blue"}, guard=True) == "B"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"so it must be \boxed{C}, as A has no ears and B none", "C"),
        (r"\boxed{\text{(B)}} and not A", "B"),
        (r"A? B? \boxed{rabbit}", "B"),
        (r"\boxed{D", None),
        ("option A fits; **Answer:** B\nbecause C is not", "B"),
        ("The answer: (C) and A is wrong", "C"),
        ("Answer: $D$ since A and B and C are not", "D"),
        ("answer is: **B** rather than A", "B"),
        ("Answer Apples", None),
        ("A is brown.\nB is white.\n(D)", "D"),
        ("b", "B"),
        (" *(c).* ", "C"),
        ("e", None),
        ("", None),
    ],
)
def test_extension_reads_boxes_labels_last_lines_and_small_letters(text, letter):
    assert letter_by_extension(text, TOYS) == letter


def test_extension_is_used_only_when_the_rules_find_nothing():
    first = read_choice("Answer: B", "?", TOYS, level="extended")
    assert (first.letter, first.level) == ("B", "rules")
    second = read_choice(r"Not A nor B, so \boxed{C} it is", "?", TOYS, level="extended")
    assert (second.letter, second.level) == ("C", "extended")
    strict = read_choice("b", "?", TOYS, level="extended", profile="vk")
    assert strict.letter is None
    assert strict.detail["parsed"] is False


def test_a_judge_is_asked_for_what_the_rules_leave_open():
    judge = Judge("B")
    assert read_choice("rabbit", "What?", TOYS, level="judge", judge=judge).level == "rules"
    assert judge.asked == []
    choice = read_choice("the one with long ears", "What?", TOYS, level="judge", judge=judge)
    assert (choice.letter, choice.level, choice.unscored) == ("B", "judge", False)
    assert "B. rabbit" in judge.asked[0]
    assert "long ears" in judge.asked[0]


def test_a_judge_that_says_none_of_them_makes_the_answer_wrong():
    choice = read_choice("a spider", "?", TOYS, level="judge", judge=Judge("Z"))
    assert (choice.letter, choice.unscored) == (NOT_AN_OPTION, False)


@pytest.mark.parametrize("judge", [None, Judge(), Judge("hm", "A or B", "well")])
def test_without_a_usable_reply_an_answer_stays_unscored(judge):
    choice = read_choice("a spider", "?", TOYS, level="judge", judge=judge)
    assert choice.unscored
    assert choice.letter is None
    assert choice.detail["reason"]


def test_an_unknown_profile_is_refused():
    with pytest.raises(ConfigError, match="lenient"):
        read_choice("A", "?", TOYS, profile="lenient")


@given(st.text(), st.dictionaries(st.sampled_from("ABCDEFGHIJ"), st.text(max_size=20)))
def test_any_text_has_a_reading(text, options):
    for profile in ("default", "vk", "legacy"):
        choice = read_choice(text, "?", options, profile=profile, level="extended")
        assert choice.letter is None or choice.letter in options or choice.letter == NOT_AN_OPTION


@pytest.mark.parametrize("letter", list(TOYS))
def test_a_plain_letter_is_always_read(letter):
    for text in (letter, f"({letter})", f"{letter}.", f"{letter}. {TOYS[letter]}", f"**{letter}**"):
        assert letter_by_rules(text, TOYS) == letter


def test_long_runs_of_colons_and_spaces_are_read_at_once():
    assert letter_by_extension("answer" + ": " * 50_000 + "?", TOYS) is None


def test_legacy_rules_agree_with_the_older_harness():
    theirs = reference(
        "vlmeval",
        "utils/matching_util.py",
        ["can_infer", "can_infer_option", "can_infer_text"],
        {"cp": copy, "os": os},
        edition="older",
    )["can_infer"]
    words = [*"ABCDZ", "b", "(A)", "B.", "**C**", "the", "answer", "is:", "cat", "a", "rabbit"]
    words += ["teddy", "bear", "dog", "or", "not", "Cannot determine the answer", "{D}", "A,B"]
    draw = random.Random(5)
    for _ in range(500):
        text = " ".join(draw.choices(words, k=draw.randint(0, 9)))
        expected = theirs(text, dict(TOYS)) or None
        assert letter_by_rules(text, TOYS, legacy=True) == expected, text
