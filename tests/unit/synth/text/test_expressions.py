"""Algebra and number problems: every family, answers tried out here."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Streams
from nanovl.synth.text import expressions
from nanovl.synth.text.expressions import FAMILIES, ExpressionsConfig, ExpressionsGenerator, create
from nanovl.synth.text.polynomials import (
    derivative,
    evaluate,
    from_roots,
    integral,
    latex,
    multiply,
    number,
    poly,
)
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.text.text_checks import check_text, shown, task_right


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_is_sound(family: str) -> None:
    samples = made(ExpressionsGenerator(ExpressionsConfig(families=(family,))), 40)
    for sample in samples:
        check_text(sample)
        assert sample.gt["schema"] == family
    problem = FAMILIES[family](random.Random(5))
    assert len(set(problem.ask)) >= 4
    assert problem.check(random.Random(1))
    answers = {s.gt["answer"] for s in samples}
    assert len(answers) >= 6, answers


def test_a_wrong_answer_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check looks at question and answer, so a broken family gives no sample."""
    right = FAMILIES["determinant"]

    def broken(rng: random.Random) -> Any:
        problem = right(rng)
        return replace(problem, check=lambda r: False)

    monkeypatch.setitem(expressions.FAMILIES, "determinant", broken)
    generator = ExpressionsGenerator(ExpressionsConfig(families=("determinant",)))
    with pytest.raises(Reject, match="recheck"):
        generator.generate(0, Streams(1))


def test_wrong_answers_fail() -> None:
    samples = made(ExpressionsGenerator(), 80)
    tried = 0
    for one, other in itertools.pairwise(samples):
        if one.gt["answer"] != other.gt["answer"]:
            tried += 1
            assert not task_right(one.tasks[0], other.tasks[0].answer_text)
    assert tried > 60


def test_polynomials_by_hand() -> None:
    p = from_roots((2, -3))
    assert p == poly(-6, 1, 1)
    assert latex(p) == "x^2 + x - 6"
    assert latex(poly(0, -1, 0, Fraction(1, 2)), "t") == "\\frac{1}{2}t^3 - t"
    assert latex(poly()) == "0"
    assert multiply(poly(1, 1), poly(-1, 1)) == poly(-1, 0, 1)
    assert derivative(poly(5, 3, 2)) == poly(3, 4)
    assert derivative(integral(p)) == p
    assert evaluate(p, Fraction(1, 2)) == Fraction(-21, 4)
    assert number(Fraction(-3, 4)) == "-\\frac{3}{4}"


def test_unknown_families_are_named() -> None:
    with pytest.raises(ConfigError, match="determinant"):
        create({"families": ["determinants"]})


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(ExpressionsGenerator(), 7)
    assert sample is not None
    golden("synth/text-expressions.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.text.expressions", indices="range(60)")
