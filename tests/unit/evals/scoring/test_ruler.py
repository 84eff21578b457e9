"""RULER's matches and mean against the worked values of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response, Sample, Scored
from nanovl.evals.scoring.ruler import TASKS, create_ruler_mean13, match_all, match_part


def _scored(task: str, references: list[str], text: str) -> Scored:
    sample = Sample(id=task, question="?", answer=references, meta={"task": task})
    response = Response(text=text)
    verdict = create_ruler_mean13().score(sample, response)
    return Scored(sample=sample, response=response, verdict=verdict)


def test_all_worked() -> None:
    rows = [
        _scored("niah_multivalue", ["11", "22", "33", "44"], "11 and 33"),
        _scored("niah_multivalue", ["apple", "PEAR"], "Apple, pear"),
        _scored("niah_multivalue", ["x"], "missing"),
    ]
    assert create_ruler_mean13().aggregate(rows).score == 50.0


def test_part_worked() -> None:
    rows = [
        _scored("qa_1", ["Paris"], "It is paris."),
        _scored("qa_1", ["London"], "It is paris."),
        _scored("qa_1", ["forty-two", "42"], "about 42"),
    ]
    assert create_ruler_mean13().aggregate(rows).score == 66.67


@pytest.mark.parametrize(
    ("text", "references", "value"),
    [
        ("12345678", ["1234567"], 1.0),
        ("1,234,567", ["1234567"], 0.0),
        ("VAR ABCDE and FGHIJ", ["ABCDE", "FGHIJ", "KLMNO"], 2 / 3),
        ("", ["1"], 0.0),
    ],
)
def test_matches(text: str, references: list[str], value: float) -> None:
    assert match_all(text, references) == pytest.approx(value)


def test_the_mean_is_over_tasks_and_missing_ones_are_counted() -> None:
    rows = [_scored("vt", ["A"], "A")] * 3 + [_scored("qa_2", ["A"], "b")]
    result = create_ruler_mean13().aggregate(rows)
    assert result.score == 50.0
    assert result.groups == {"vt": 100.0, "qa_2": 0.0}
    assert result.parts["tasks_missing"] == len(TASKS) - 2 == 11


def test_nothing_to_match_or_average_is_an_error() -> None:
    with pytest.raises(InputError, match="no reference"):
        _scored("vt", [], "x")
    with pytest.raises(InputError, match="no responses"):
        create_ruler_mean13().aggregate([])


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_bounds(text: str, references: list[str]) -> None:
    assert 0.0 <= match_all(text, references) <= 1.0
    assert match_part(text, references) >= (match_all(text, references) == 1.0)
    assert match_all(" ".join(references), references) == 1.0
