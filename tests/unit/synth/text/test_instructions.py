"""Writing tasks with constraints: checks by hand, answers that keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer
from nanovl.synth.text.constraints import CONSTRAINTS, constraints_score, is_met
from nanovl.synth.text.instructions import InstructionsConfig, InstructionsGenerator, create
from tests.unit.synth.checks import check_hash_seeds, make
from tests.unit.synth.text.text_checks import check_text, shown, task_right

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("words_least", {"n": 3}, "One two three.", "One two."),
    ("words_most", {"n": 2}, "One two.", "One two three."),
    ("sentences", {"n": 2}, "It is. It was!", "It is."),
    ("paragraphs", {"n": 2}, "a\n\nb", "a\nb"),
    ("bullets", {"n": 2}, "* a\n* b", "* a\n- b"),
    ("numbered", {"n": 2}, "1. a\n2. b", "1. a\n3. b"),
    ("sections", {"n": 2, "head": "Part"}, "Part 1\na\nPart 2\nb", "Part 1\na"),
    ("two_answers", {}, "a\n******\nb", "a\n******\na"),
    ("json_keys", {"keys": ["a", "b"]}, '{"a": 1, "b": 2}', '{"a": 1}'),
    ("include", {"words": ["sun", "moon"]}, "The sun and the Moon.", "The sunny moon."),
    ("exclude", {"words": ["very"]}, "Every day.", "Very good."),
    ("word_times", {"word": "sun", "n": 2}, "Sun, sun.", "Sun."),
    ("lower", {}, "all small", "Not small"),
    ("upper", {}, "ALL BIG 1", "Not big"),
    ("starts", {"phrase": "In short"}, "In short it is.", "It is in short."),
    ("ends", {"phrase": "That is all."}, "Yes. That is all.", "That is all. Yes."),
    ("quoted", {}, '"so"', '"so'),
    ("no_commas", {}, "a b", "a, b"),
    ("title", {}, "<<A>>\nb", "<A> b"),
    ("postscript", {}, "a\nP.S. b", "a b"),
    ("highlights", {"n": 2}, "*a* and *b c*", "*a* and **b**"),
    ("placeholders", {"n": 1}, "to [name]", "to name"),
    ("letter_most", {"letter": "k", "n": 1}, "Kite", "kick"),
    ("paragraph_word", {"total": 2, "number": 2, "word": "Now"}, "a\n\nNow b", "Now a\n\nb"),
]


@pytest.mark.parametrize(("kind", "parameters", "good", "bad"), CASES)
def test_checks_by_hand(kind: str, parameters: dict[str, Any], good: str, bad: str) -> None:
    assert is_met(kind, parameters, good)
    assert not is_met(kind, parameters, bad)
    assert len(set(CONSTRAINTS[kind].wordings)) >= 4


def test_every_kind_has_a_case_and_occurs() -> None:
    assert {case[0] for case in CASES} == set(CONSTRAINTS)
    seen: set[str] = set()
    generator = InstructionsGenerator()
    for index in range(600):
        sample = make(generator, index)
        assert sample is not None
        check_text(sample)
        seen |= {c["kind"] for c in sample.gt["constraints"]}
    assert seen == set(CONSTRAINTS)


def test_an_empty_answer_fails() -> None:
    lenient = ("exclude", "letter_most", "lower", "upper", "no_commas")
    generator = InstructionsGenerator()
    for index in range(100):
        sample = make(generator, index)
        assert sample is not None
        if not all(c["kind"] in lenient for c in sample.gt["constraints"]):
            assert not task_right(sample.tasks[0], "")


def test_the_score_is_a_share() -> None:
    asked = [{"kind": "no_commas", "parameters": {}}, {"kind": "lower", "parameters": {}}]
    assert constraints_score(Answer(type="json", value=asked), "A b") == 0.5
    with pytest.raises(ConfigError, match="does not exist"):
        is_met("nothing", {}, "")


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="most"):
        create({"most": 9})
    sample = make(InstructionsGenerator(InstructionsConfig(most=1)), 3)
    assert sample is not None
    assert len(sample.gt["constraints"]) == 1


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(InstructionsGenerator(), 1)
    assert sample is not None
    golden("synth/text-instructions.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    code = "nanovl.synth.text.instructions"
    check_hash_seeds(code, '{"most": 1}', indices="range(12)")
