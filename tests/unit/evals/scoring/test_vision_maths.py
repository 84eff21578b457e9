"""MathVista, MathVision, MathVerse, DynaMath, LogicVista, WeMath: worked values and levels."""

from __future__ import annotations

import importlib.util
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Level, Metric, Response, Sample, Scored, Verdict
from nanovl.evals.scoring.vision_chains import (
    ChainCounts,
    chain_counts,
    create_dynamath_worst,
    create_logicvista,
    create_wemath_strict,
    same_letters,
    short_answer,
)
from nanovl.evals.scoring.vision_maths import (
    create_mathverse,
    create_mathvision,
    create_mathvista,
    evaluates_equal,
    proxy_equal,
)

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None,
    reason="needs math-verify (extra 'evals')",
)
PI = "\u03c0"


class Judge:
    """Gives prepared replies in order and remembers the questions."""

    def __init__(self, *replies: str | None) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    def ask(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.replies.pop(0)


def _sample(answer: Any, **meta: Any) -> Sample:
    return Sample(id="1", question="How much?", answer=answer, meta=meta)


def _value(
    metric: Metric, sample: Sample, text: str, level: Level = "rules", judge: Any = None
) -> float | None:
    return metric.score(sample, Response(text=text), level=level, judge=judge).value


CHOICE = _sample(
    "3/11",
    question_type="multi_choice",
    choices="['3/11', '8/11', '6/11', '3/5']",
    answer_option="A",
)
INTEGER = _sample("14", question_type="free_form", answer_type="integer")
FLOAT = _sample("1.2", question_type="free_form", answer_type="float", precision="1.0")
TEXT = _sample("blue", question_type="free_form", answer_type="text")
LIST = _sample("[2007, 2008]", question_type="free_form", answer_type="list")


@pytest.mark.parametrize(
    ("sample", "text", "value", "parsed"),
    [
        (CHOICE, "The answer is (A) 3/11", 1.0, True),
        (CHOICE, "3/11", 1.0, True),
        (CHOICE, "B", 0.0, True),
        (INTEGER, "14", 1.0, True),
        (INTEGER, "The answer is 14", 0.0, False),
        (INTEGER, "14.0", 0.0, False),
        (FLOAT, "1.20", 1.0, True),
        (FLOAT, "1.21", 0.0, True),
        (TEXT, "blue", 0.0, False),
        (LIST, "[2007, 2008]", 0.0, False),
    ],
)
def test_mathvista_rules_of_the_reference(
    sample: Sample, text: str, value: float, parsed: bool
) -> None:
    verdict = create_mathvista("vk").score(sample, Response(text=text))
    assert verdict.value == value
    assert verdict.detail.get("parsed", True) is parsed


@pytest.mark.parametrize(
    ("sample", "text", "value"),
    [
        (CHOICE, "After some thought\n\\boxed{A}", 1.0),
        (INTEGER, "The answer is 14", 1.0),
        (INTEGER, "so we get 3 + 11 = 14.", 1.0),
        (INTEGER, "It is 15", 0.0),
        (FLOAT, "about 1.23 m, so the answer is 1.23", 1.0),
        (FLOAT, "the answer is 1.3", 0.0),
        (TEXT, "blue", 1.0),
        (TEXT, "The answer is Blue.", 1.0),
        (TEXT, "red", 0.0),
        (LIST, "It peaked in [2007, 2008].", 1.0),
        (LIST, "[2007]", 0.0),
        (LIST, "", 0.0),
    ],
)
def test_mathvista_extended(sample: Sample, text: str, value: float) -> None:
    assert _value(create_mathvista(), sample, text, "extended") == value


def test_mathvista_judged() -> None:
    judge = Judge("Extracted answer: 14", " ", "", "still nothing", "blue", "1.2")
    metric = create_mathvista()
    assert _value(metric, INTEGER, "fourteen", "judge", judge) == 1.0
    assert "fourteen" in judge.prompts[0]
    verdict = metric.score(INTEGER, Response(text="x"), level="judge", judge=judge)
    assert len(verdict.detail["judge_replies"]) == 3
    assert (verdict.value, verdict.level) == (0.0, "judge")
    assert _value(metric, TEXT, "It looks blue", "judge", judge) == 1.0
    assert _value(create_mathvista("vk"), FLOAT, "one point two", "judge", judge) == 1.0
    assert _value(metric, INTEGER, "14", "judge", None) == 1.0
    assert _value(metric, INTEGER, "x", "judge", None) is None
    assert not judge.replies


@pytest.mark.parametrize(
    ("truth", "answer", "equal"),
    [
        ("0.5", "1/2", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"\sqrt{2}", "2^{1/2}", False),
        ("3", "3.0000001", True),
        ("3", "3.00001", False),
        ("A", "a", True),
        ("2*pi", r"2\pi", False),
        ("16", "16 cm", False),
        ("x+1", "1+x", False),
        ("10%", "0.1", True),
        ("1,000", "1000", True),
        (" 7 ", "7", True),
    ],
)
def test_mathvision_equality(truth: str, answer: str, equal: bool) -> None:
    assert evaluates_equal(truth, answer) is equal
    assert _value(create_mathvision(), _sample(truth, choices="[]"), answer) == float(equal)


@needs_math_verify
@pytest.mark.parametrize(
    ("truth", "text", "value"),
    [
        (r"\sqrt{2}", r"So it is \boxed{2^{1/2}}", 1.0),
        ("x+1", "The answer is $1+x$.", 1.0),
        ("16", "The area is 16", 1.0),
        ("16", "The area is 17", 0.0),
        ("16", "", 0.0),
    ],
)
def test_mathvision_extended(truth: str, text: str, value: float) -> None:
    assert _value(create_mathvision(), _sample(truth), text, "extended") == value


def test_mathvision_choices_and_boxes() -> None:
    sample = Sample(id="1", question="?", answer="C", options={"A": "1", "B": "2", "C": "3"})
    metric = create_mathvision()
    assert _value(metric, sample, r"A or B? No: \boxed{C}") == 1.0
    assert _value(metric, sample, "It is A") == 0.0
    assert _value(metric, _sample("7"), r"x \boxed{7} \boxed{8}") == 1.0
    assert _value(metric, _sample("7"), "no idea", "judge", Judge("7")) == 1.0
    assert _value(metric, _sample("7"), "no idea", "judge", Judge(None)) is None


@pytest.mark.parametrize(
    ("truth", "extract", "verdict", "value"),
    [
        ("A", "A", "0", 1.0),
        ("A", "B", "0", 0.0),
        ("0.5m", "50cm", "1", 1.0),
        (" 5 ", "5", "0", 1.0),
        ("5", " 5", "0", 1.0),
    ],
)
def test_mathverse_judged(truth: str, extract: str, verdict: str, value: float) -> None:
    judge = Judge(extract, verdict)
    assert _value(create_mathverse(), _sample(truth), "long text", "judge", judge) == value


def test_mathverse_verdicts_must_be_digits() -> None:
    judge = Judge("5.0", "yes", "yes", "Yes.")
    verdict = create_mathverse().score(
        _sample("5"), Response(text="long"), level="judge", judge=judge
    )
    assert verdict.value is None
    assert "asked form" in verdict.detail["reason"]


@needs_math_verify
def test_mathverse_without_a_judge() -> None:
    metric = create_mathverse()
    question = "What?\nChoices:\nA:1\nB:2\nC:3"
    sample = _sample("B", question_for_eval=question)
    assert _value(metric, sample, "B") == 1.0
    assert _value(metric, sample, "So the answer is (B).") == 0.0
    assert _value(metric, sample, "So the answer is (B).", "extended") == 1.0
    assert _value(metric, sample, "So the answer is (C).", "extended") == 0.0
    assert _value(metric, _sample("6cm"), "We get 6cm", "extended") in (0.0, 1.0)
    assert _value(metric, _sample("30"), r"\boxed{30.0}", "extended") == 1.0
    assert _value(metric, sample, "x", "judge", None) is None


def _json(answer: object, solution: str = "s") -> str:
    return json.dumps({"solution": solution, "short answer": answer}, ensure_ascii=False)


DYNA_FLOAT, DYNA_CHOICE, DYNA_TEXT = "float", "multiple choice", "text"


@pytest.mark.parametrize(
    ("kind", "truth", "text", "value"),
    [
        (DYNA_FLOAT, "3.142", _json("3.142"), 1.0),
        (DYNA_FLOAT, "3.142", _json("3.143"), 1.0),
        (DYNA_FLOAT, "3.142", _json("3.1431"), 0.0),
        (DYNA_FLOAT, "3.142", _json(3.142), 0.0),
        (DYNA_FLOAT, "6.283", _json("2" + PI), 1.0),
        (DYNA_FLOAT, "12", "12", 1.0),
        (DYNA_FLOAT, "12", "12 cm", 1.0),
        (DYNA_FLOAT, "12", "The answer is 12", 0.0),
        (DYNA_CHOICE, "B", _json("B"), 1.0),
        (DYNA_CHOICE, "B", _json("(B) 12"), 1.0),
        (DYNA_CHOICE, "B", "B", 1.0),
        (DYNA_CHOICE, "B", "The answer is B", 0.0),
        (DYNA_CHOICE, "B", "(B) Apple", 1.0),
        (DYNA_TEXT, "Yes", _json("yes"), 1.0),
        (DYNA_TEXT, "even function", _json("even"), 1.0),
        (DYNA_TEXT, "even", _json("even function"), 0.0),
        (DYNA_FLOAT, "0.5", f"```json\n{_json('0.500')}\n```", 1.0),
        (DYNA_FLOAT, "0.5", '{"solution": "\\frac{1}{2}", "short answer": "0.5"}', 1.0),
    ],
)
def test_dynamath_rules(kind: str, truth: str, text: str, value: float) -> None:
    assert _value(create_dynamath_worst(), _sample(truth, answer_type=kind), text) == value


def test_dynamath_levels_and_empty_answers() -> None:
    metric = create_dynamath_worst()
    number = _sample("12", answer_type=DYNA_FLOAT)
    assert _value(metric, number, "The answer is 12", "extended") == 1.0
    assert _value(metric, _sample("3.142", answer_type=DYNA_FLOAT), _json(3.142), "extended") == 1.0
    assert _value(metric, number, "The answer is 12", "judge", Judge("12.000")) == 1.0
    assert _value(metric, number, "The answer is 12", "judge", None) is None
    text = _sample("even", answer_type=DYNA_TEXT)
    assert _value(metric, text, "") == 0.0
    assert _value(create_dynamath_worst("vk"), text, "") == 1.0
    assert short_answer(PI, "float") is None
    assert short_answer("2" + PI, "float") == 2 * math.pi


def test_dynamath_counts_the_worst_variant() -> None:
    rows = []
    for qid, hits in (("1", [1.0] * 10), ("2", [1.0] * 9 + [0.0])):
        for hit in hits:
            sample = _sample("x", qid=qid, subject="algebra")
            verdict = Verdict(value=hit)
            rows.append(Scored(sample=sample, response=Response(text=""), verdict=verdict))
    result = create_dynamath_worst().aggregate(rows)
    assert result.score == 0.5
    assert result.num_samples == 2
    assert result.parts["average"] == pytest.approx(0.95)
    assert result.groups == {"Subject-algebra": 0.5}


@pytest.mark.parametrize(
    ("truth", "chosen", "same"),
    [
        ("A", "A", True),
        ("A", "B", False),
        ("A, C", "CA", True),
        ("A, C", "AC", True),
        ("B", "b", False),
        ("B", "B.", False),
        ("D", "Z", False),
        ("A, B, C", "ABCD", False),
    ],
)
def test_logicvista_letters(truth: str, chosen: str, same: bool) -> None:
    assert same_letters(truth, chosen) is same
    assert _value(create_logicvista(), _sample(truth), chosen) == float(same)


@pytest.mark.parametrize(
    ("truth", "text", "value"),
    [
        ("A, C", "The answers are A and C.", 1.0),
        ("B", r"\boxed{\text{B}}", 1.0),
        ("B", "The answer is **B**", 1.0),
        ("B", "First A, then C.\nSo it must be B", 1.0),
        ("D", "A cube turns left.", 0.0),
        ("D", "", 0.0),
    ],
)
def test_logicvista_extended(truth: str, text: str, value: float) -> None:
    assert _value(create_logicvista(), _sample(truth), text, "extended") == value


def test_logicvista_judged() -> None:
    metric = create_logicvista()
    assert _value(metric, _sample("A, C"), "both", "judge", Judge("b", "CA")) == 1.0
    assert _value(metric, _sample("B"), "x", "judge", Judge("b", "B.", "bee")) is None


def test_wemath_worked_in_the_specification() -> None:
    counts = ChainCounts(ik=220, ig=80, cm=130, rm=95, rm_all=30)
    parts = counts.parts()
    assert counts.total == 525
    assert round(100 * counts.strict, 2) == 32.38
    assert round(100 * counts.loose, 2) == 44.76
    expected = {"IK": 41.90, "IG": 15.24, "CM": 24.76, "CM_loose": 37.14, "RM": 42.22}
    assert {name: round(100 * parts[name], 2) for name in expected} == expected
    assert round(100 * parts["RM_loose"], 2) == 13.33


def test_wemath_chains() -> None:
    chains = [
        ([True, True], True),
        ([True, True], False),
        ([True, False], False),
        ([True, False], True),
        ([False, False, False], True),
    ]
    counts = chain_counts(chains)
    assert counts == ChainCounts(ik=1, ig=1, cm=1, rm=2, rm_all=1)


def _step(chain: str, key: str, text: str) -> Scored:
    metric = create_wemath_strict()
    sample = Sample(
        id=key,
        question="?",
        answer="A",
        options={"A": "one", "B": "two"},
        meta={"ID": chain, "key": key},
    )
    response = Response(text=text)
    return Scored(sample=sample, response=response, verdict=metric.score(sample, response))


def test_wemath_from_rows() -> None:
    rows = [
        _step("x", "2steps_1", "A"),
        _step("x", "2steps_2", "one"),
        _step("x", "2steps_multi", "A"),
        _step("y", "3steps_1", "A"),
        _step("y", "3steps_2", "A"),
        _step("y", "3steps_multi", "B"),
    ]
    result = create_wemath_strict().aggregate(rows)
    assert result.score == 0.5
    assert result.parts["missing_steps"] == 1.0
    assert result.parts["IK"] == 0.5
    with pytest.raises(InputError, match="key '4steps_1'"):
        create_wemath_strict().aggregate([_step("z", "4steps_1", "A")])


METRICS = [
    create_mathvista(),
    create_mathvision(),
    create_mathverse(),
    create_dynamath_worst(),
    create_logicvista(),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_samples_is_an_error(metric: Metric) -> None:
    with pytest.raises(InputError, match="no responses"):
        metric.aggregate([])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gets_a_verdict(text: str) -> None:
    samples = [CHOICE, TEXT, LIST, _sample("B", answer_type=DYNA_CHOICE), _sample("blue")]
    for metric in METRICS:
        for sample in samples:
            for level in ("rules", "extended"):
                verdict = metric.score(sample, Response(text=text), level=level)
                assert verdict.value in (0.0, 1.0)


@needs_math_verify
@settings(max_examples=15, deadline=None)
@given(st.text(alphabet="0123456789+-*/^{}()\\xfracsqrt =.", max_size=20))
def test_any_expression_can_be_compared(text: str) -> None:
    assert proxy_equal("x+1", text) in (True, False)
