"""Option letters of text benchmarks, and their average over runs."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring.letters_ns import create_mcq_letter_pass1, stated_letter
from tests.unit.evals.scoring.rows import scored, value


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Answer: B", "B"),
        ("**Answer:** C", "C"),
        (r"Answer: \boxed{D}", "D"),
        (r"\boxed{\text{(C)}}", "C"),
        (r"\boxed{C. foo}", "C"),
        ("The answer is B", None),
        ("answer: a", "a"),
        ("Answer: A\nAnswer: E", "E"),
        (r"\boxed{K}", "K"),
        (r"\boxed{42}", "42"),
        ("Answer: Apple", None),
        ("final **Answer**: (B)", None),
        (r"\boxed{A or B}", "B"),
        (r"\boxed{}", ""),
        (r"Answer: C and \boxed{B", "C"),
        ("__Answer__ : D", "D"),
        ("", None),
    ],
)
def test_the_worked_letters(text, letter):
    assert stated_letter(text) == letter


def test_only_the_same_letter_is_right():
    metric = create_mcq_letter_pass1()
    assert value(metric, "A", "answer: a") == 0.0
    assert value(metric, "A", "Answer: A") == 1.0
    assert scored(metric, "A", "It is A").verdict.detail["parsed"] is False


def test_runs_are_averaged():
    metric = create_mcq_letter_pass1()
    runs = ["BABA", "BBAA", "ABBB"]
    rows = [
        scored(metric, "B", f"Answer: {letter}", id=str(i), run=run, category="physics")
        for i, letters in enumerate(runs)
        for run, letter in enumerate(letters)
    ]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(58.3333, abs=1e-4)
    assert result.num_samples == 3
    assert result.groups == {"physics": pytest.approx(result.score)}
    assert result.parts["runs"] == 4.0
    assert result.parts["std"] == pytest.approx(16.6667, abs=1e-4)
    assert result.parts["error"] == pytest.approx(8.3333, abs=1e-4)
    assert result.parts["pass@4"] == 100.0
    one = metric.aggregate(rows[::4])
    assert one.score == pytest.approx(66.6667, abs=1e-4)
    assert "std" not in one.parts
    torn = metric.aggregate(rows[:-1])
    assert torn.score == pytest.approx(100 * (0.5 + 0.5 + 2 / 3) / 3)
    assert "std" not in torn.parts


@given(st.text())
def test_any_text_has_a_reading(text):
    stated_letter(text)
    assert value(create_mcq_letter_pass1(), "A", text) in (0.0, 1.0)


def test_the_metric_checks_what_it_gets():
    assert create_mcq_letter_pass1().name == "mcq_letter_pass1"
    with pytest.raises(InputError, match="no responses"):
        create_mcq_letter_pass1().aggregate([])
    with pytest.raises(ConfigError, match="vkk"):
        create_mcq_letter_pass1("vkk")
