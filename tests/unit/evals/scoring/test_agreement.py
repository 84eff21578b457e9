"""Scores beside those of the published scorers, on generated answers.

docs/reference/evaluation-agreement.md says how many pairs there are, and explains each difference.
Cases whose package is not installed are skipped with a line that names it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.unit.evals.scoring import agreement_answers, agreement_choices, agreement_maths
from tests.unit.evals.scoring.agreement import (
    CASES,
    TOYS,
    near,
)
from tests.unit.evals.scoring.rows import reference

WHERE = (agreement_answers, agreement_choices, agreement_maths)
# A process compares the expressions, one pair after the other.
SLOW = {"math_equal, math-verify": (pytest.mark.slow, pytest.mark.timeout(300))}


def test_every_module_has_cases() -> None:
    homes = {pairs.__module__ for pairs, _ in CASES.values()}
    assert homes == {module.__name__ for module in WHERE}


@pytest.mark.parametrize("edition", ["newer", "older"])
def test_the_packaged_editions_are_told_apart(edition: str) -> None:
    names = ["can_infer_text"]
    given = reference("vlmeval", "utils/matching_util.py", names, edition=edition)
    long = "cat " + "x" * 200
    found = given["can_infer_text"](long, dict(TOYS))
    assert bool(found) == (edition == "older")


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, ())) for n in sorted(CASES)])
def test_scores_agree(name: str, record_property: Callable[..., None]) -> None:
    pairs, explained = CASES[name]
    compared = list(pairs(random.Random(name)))
    differing = [pair for pair in compared if not near(pair[1], pair[2])]
    record_property("case", name)
    record_property("pairs", len(compared))
    record_property("differing", len(differing))
    assert len(compared) >= 200
    open_questions = [pair for pair in differing if not explained(pair[0])]
    assert not open_questions, open_questions[:5]
    assert len(differing) < len(compared) / 2, "an explanation for nearly everything is none"
