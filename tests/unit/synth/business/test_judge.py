"""Yes or no about documents: every template says both equally often, and says what is true."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from nanovl.synth.base import Task
from nanovl.synth.business import judge
from nanovl.synth.business.generator import BusinessGenerator, create
from nanovl.synth.business.quiz import Quiz
from nanovl.synth.documents.asks import Ask
from tests.unit.synth.checks import make

pytest.importorskip("segno", reason="needs segno: pip install 'nanovl[synth]'")
pytest.importorskip("typst", reason="needs typst: pip install 'nanovl[synth]'")

MAKERS = (judge.yesno, judge.stated, judge.ticked)
DRAWS = 600  # of every maker and document


@pytest.fixture(scope="module")
def quizzes() -> list[Quiz]:
    """Documents of several families as their makers see them."""
    found: list[Quiz] = []
    own = BusinessGenerator._tasks

    def keep(self: BusinessGenerator, quiz: Quiz, ask: Ask) -> list[Task]:
        found.append(quiz)
        return own(self, quiz, ask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BusinessGenerator, "_tasks", keep)
        for family in ("invoice", "form", "contract"):
            generator = create({"renderers": ["typst"], "families": [family], "questions": 2})
            for index in range(3):
                make(generator, index)
    assert len(found) >= 8
    return found


def asked(quizzes: list[Quiz]) -> list[tuple[Quiz, Task]]:
    made = []
    for place, quiz in enumerate(quizzes):
        for seed in range(DRAWS):
            for maker in MAKERS:
                task = maker(replace(quiz, rng=random.Random(f"{place}|{seed}")))
                if task is not None:
                    made.append((quiz, task))
    return made


def test_every_template_says_yes_and_no_equally_often(quizzes: list[Quiz]) -> None:
    said: dict[str, list[bool]] = defaultdict(list)
    for _, task in asked(quizzes):
        said[task.template.split("/")[0]].append(bool(task.answer.value))
    assert {"more", "later", "same", "stated", "ticked"} <= set(said)
    for kind, answers in said.items():
        spread = 1.5 / len(answers) ** 0.5  # three standard deviations
        assert abs(sum(answers) / len(answers) - 0.5) < max(0.05, spread), (kind, len(answers))
    everything = [a for answers in said.values() for a in answers]
    assert 0.45 < sum(everything) / len(everything) < 0.55


def test_more_is_more_also_of_small_amounts(quizzes: list[Quiz]) -> None:
    """The limit is rounded to whole numbers without passing the value."""
    checked = 0
    for quiz, task in asked(quizzes):
        if task.template.split("/")[0] != "more":
            continue
        currency = quiz.draft.locale.currency
        words = task.question.replace("?", " ").replace(",", " ").split()
        limits = [
            Decimal(a) for a, b in pairwise(words) if b.rstrip(".") == currency and a.isdigit()
        ]
        names = [p.field for p in quiz.of_kind("money") if p.field.name in task.question]
        values = {Decimal(str(f.value)) for f in names}
        if len(limits) != 1 or len(values) != 1:
            continue
        (limit,), (value,) = limits, values
        assert (value > limit) == task.answer.value, (task.question, value)
        checked += 1
    assert checked > 40
