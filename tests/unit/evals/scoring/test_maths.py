"""Mathematical equality against the worked values of the specification, and its limits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.base import Response, Sample, Scored
from nanovl.evals.scoring import maths, maths_child
from nanovl.evals.scoring.extraction import (
    after_answer_marker,
    arithmetic,
    boxed,
    final_answer,
    latex_number,
)
from nanovl.evals.scoring.maths import create_math_equal_pass1, math_equal

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None,
    reason="needs math-verify (extra 'evals')",
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}", "42"),
        (r"\boxed{\frac{1}{2}} then \boxed{3}", "3"),
        (r"\boxed{unclosed", None),
        (r"\fbox{7}", None),
        (r"\boxed 5", None),
        (r"\boxed{x_{1}}", "x_{1}"),
        (r"\boxed{}", ""),
        (r"\boxed{ 7 }", " 7 "),
        ("", None),
    ],
)
def test_last_box(text: str, answer: str | None) -> None:
    assert boxed(text) == answer


EQUAL = [
    ("42", "42.0"),
    ("0.5", r"\frac12"),
    (r"\frac{1}{2}", r"\dfrac12"),
    ("10", r"10\%"),
    ("25", "25%"),
    ("(1,2)", "(1, 2)"),
    (r"\text{east}", "east"),
    ("x^2+1", "1+x^2"),
    ("1000", "1{,}000"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    ("5", "x=5"),
    ("90", r"90^\circ"),
    ("A", "(A)"),
    ("3", "3."),
    ("p - q", "-q+p"),
    (r"\$12.50", "12.50"),
    ("144", "12^2"),
]
DIFFERENT = [
    ("70", "070"),
    ("A", "B"),
    ("[0,1)", "[0,1]"),
    ("2", "2.0000000000000001"),
    ("1/3", "0.333"),
    ("none", None),
]


@needs_math_verify
@pytest.mark.parametrize(("truth", "answer"), EQUAL)
def test_equal_answers(truth: str, answer: str) -> None:
    assert math_equal(truth, answer)


@needs_math_verify
@pytest.mark.parametrize(("truth", "answer"), DIFFERENT)
def test_different_answers(truth: str, answer: str | None) -> None:
    assert not math_equal(truth, answer)


def _verdict(truth: str, text: str, *, profile: str = "default", level: str = "rules"):
    metric = create_math_equal_pass1(profile)
    sample = Sample(id="1", question="?", answer=truth)
    return metric.score(sample, Response(text=text), level=level)


@needs_math_verify
def test_leading_zeros_count_in_the_default_profile_only() -> None:
    verdict = _verdict("70", r"\boxed{070}")
    assert verdict.value == 1.0
    assert verdict.detail["deviation"] == "leading zeros"
    assert _verdict("70", r"\boxed{070}", profile="vk").value == 0.0
    metric = create_math_equal_pass1()
    sample = Sample(id="1", question="?", answer="70")
    result = metric.aggregate([Scored(sample=sample, response=Response(text=""), verdict=verdict)])
    assert result.score == 100.0
    assert result.parts["leading_zeros"] == 1.0


@needs_math_verify
def test_perfect_empty_wrong() -> None:
    assert _verdict("42", r"I get \boxed{42}.").value == 1.0
    assert _verdict("42", "").value == 0.0
    assert _verdict("42", "").detail["parsed"] is False
    assert _verdict("42", r"\boxed{43}").value == 0.0


@needs_math_verify
def test_the_extended_level_reads_answers_outside_a_box() -> None:
    assert _verdict("42", "The answer is 42.").value == 0.0
    extended = _verdict("42", "The answer is 42.", level="extended")
    assert extended.value == 1.0
    assert extended.level == "extended"


@needs_math_verify
def test_an_endless_comparison_is_killed_and_the_next_one_works() -> None:
    assert not math_equal("1", "9^{9^{9^{9^{9}}}}+1", seconds=2.0)
    assert math_equal("144", "12^2")


@needs_math_verify
@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_compared_without_raising(text: str) -> None:
    assert math_equal("42", text) in (True, False)


def test_without_the_package_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latex2sympy2_extended.py").write_text(
        "raise ImportError('no', name='math_verify')"
    )
    # The child is started without the folder of its file on the path, so a shadow needs PYTHONPATH.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = maths._Child()
    with pytest.raises(BackendError, match=r"math_verify.*nanovl\[evals\]"):
        child.ask("1", "1", 5.0)
    child.close()


def test_a_child_that_cannot_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.exit(3)")
    monkeypatch.setattr(maths_child, "__file__", str(broken))
    with pytest.raises(BackendError, match="did not start"):
        maths._Child().ask("1", "1", 5.0)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(InputError, match="no responses"):
        create_math_equal_pass1().aggregate([])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/2", 0.5),
        ("2**3", 8.0),
        ("-(3 + 4)*2", -14.0),
        ("1_000", 1000.0),
        ("__import__('os')", None),
        ("x", None),
        ("9**9**9**9", None),
        ("1/0", None),
        ("(-1)**0.5", None),
        ("True", None),
        ("[1]", None),
        ("", None),
        ("(" * 5000, None),
    ],
)
def test_arithmetic(text: str, value: float | None) -> None:
    assert arithmetic(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{1}{2}", 0.5),
        (r"\dfrac12", 0.5),
        (r"2^{3}", 8.0),
        ("3^2", 9.0),
        (r"10\%", 0.1),
        ("1,000", 1000.0),
        ("1{,}000", 1000.0),
        (r"3 \times 4", 12.0),
        (r"\sqrt{2}", None),
        (r"2\pi", None),
        ("16 cm", None),
    ],
)
def test_latex_numbers(text: str, value: float | None) -> None:
    assert latex_number(text) == value


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"x \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("Thus the answer is 14.", "14"),
        ("**Answer:** $3.5$", "3.5"),
        ("So we get\n3 + 4 = 7", "7"),
        ("It costs $1,250.50 in all", "1,250.50"),
        ("green", "green"),
        ("", None),
        (" \n ", None),
    ],
)
def test_final_answers(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_the_last_marker_counts() -> None:
    assert after_answer_marker("The answer is 3. No, the answer is: 4") == "4"
    assert after_answer_marker("nothing") is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_extraction_never_raises(text: str) -> None:
    for function in (boxed, final_answer, arithmetic, latex_number, after_answer_marker):
        function(text)
    assert sys.getrecursionlimit() > 0
