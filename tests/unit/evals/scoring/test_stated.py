"""Short answers inside sentences: only the level "extended" takes them out."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.base import Response, Sample
from nanovl.evals.scoring.extraction import stated_answer
from nanovl.evals.scoring.registry import metric

TRICKS = [
    "**{}**",
    "The answer is {}.",
    "The answer is **{}**.",
    "I see.\nAnswer: {}",
    "\\boxed{{{}}}",
]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize(
    ("name", "answer"),
    [("relaxed_accuracy", "12.5"), ("anls", "Main Street"), ("vqa_accuracy", "stop")],
)
def test_stated_answers_count_at_extended_alone(name: str, answer: str, trick: str) -> None:
    known = [answer] * 10 if name == "vqa_accuracy" else [answer]
    sample = Sample(id="0", question="?", answer=known)
    scorer = metric(name)

    said = Response(text=trick.format(answer))
    found = scorer.score(sample, said, level="extended")
    assert (found.value, found.level) == (1.0, "extended")
    if "is" in trick or "\n" in trick:
        rules = scorer.score(sample, said, level="rules")
        assert rules.value == 0.0 or name == "anls"
        assert rules.level == "rules"

    wrong = Response(text=trick.format("nothing of it"))
    assert scorer.score(sample, wrong, level="extended").value == 0.0

    plain = Response(text=answer)
    assert scorer.score(sample, plain, level="extended").level == "rules"


@pytest.mark.parametrize("text", ["", " ", "12", "two words", "one\ntwo", "a.b.."])
def test_nothing_to_take_off(text: str) -> None:
    assert stated_answer(text) is None


@given(st.text())
def test_what_is_stated_is_in_the_text(text: str) -> None:
    found = stated_answer(text)
    assert found is None or (found in text and found.strip())
