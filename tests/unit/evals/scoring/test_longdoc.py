"""MMLongBench-Doc against the worked values of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response, Sample, Scored
from nanovl.evals.scoring.longdoc import (
    NOT_ANSWERABLE,
    create_mmlongbench,
    f1_score,
    format_score,
    self_extract_prompt,
)


@pytest.mark.parametrize(
    ("kind", "truth", "answer", "score"),
    [
        ("Int", "14", "14.0", 1.0),
        ("Int", "14", "14.7", 1.0),
        ("Int", "14", "fourteen", 0.0),
        ("Float", "0.25", "25%", 1.0),
        ("Float", "12.5", "12.6", 1.0),
        ("Float", "12.5", "12.7", 0.0),
        ("Float", "19%", "18.9", 1.0),
        ("Float", "$3.20", "3.2", 1.0),
        ("Str", "Apple Inc", "apple inc.", 0.9),
        ("Str", "Apple Inc", "Apple", 0.5556),
        ("Str", "5 miles", "5 mile", 0.8571),
        ("Str", "Blue (light)", "blue", 1.0),
        ("Str", "page 5", "page 6", 0.0),
        ("Str", "12-34", "12-35", 0.0),
        ("List", "['a', 'b']", "['b', 'a']", 1.0),
        ("List", "['cat', 'dog']", "['cat', 'dig']", 0.6667),
        ("List", "['cat', 'dog']", "['cat']", 0.0),
        ("List", "[10, 20]", "[10, 21]", 0.0),
        ("List", "[10, 20]", "[20, 10]", 1.0),
        ("None", NOT_ANSWERABLE, "not answerable", 1.0),
        ("Float", "1", "nan", 0.0),
        ("Float", "1", "inf", 0.0),
        ("Int", "1", "1e999", 0.0),
    ],
)
def test_formats(kind: str, truth: str, answer: str, score: float) -> None:
    assert format_score(truth, answer, kind) == pytest.approx(score, abs=5e-5)


def _scored(kind: str, truth: str, text: str, **more: object) -> Scored:
    sample = Sample(id="1", question="?", answer=truth, meta={"answer_format": kind, **more})
    response = Response(text=text)
    verdict = create_mmlongbench().score(sample, response)
    return Scored(sample=sample, response=response, verdict=verdict)


@pytest.mark.parametrize(
    ("kind", "truth", "text", "score"),
    [
        ("Int", "14", "The answer is 14.", 1.0),
        ("Int", "14", "about 14.7 items", 1.0),
        ("Float", "12.5", "roughly 12.6", 1.0),
        ("Str", "Apple Inc", "The company is Apple Inc", 0.0),
        ("List", "['cat', 'dog']", "cat, dog", 0.0),
        ("Int", "14", "", 0.0),
    ],
)
def test_rules_on_the_raw_answer(kind: str, truth: str, text: str, score: float) -> None:
    assert _scored(kind, truth, text).verdict.value == score


def test_a_full_stop_keeps_an_answer_an_answer_under_the_rules() -> None:
    row = _scored("None", NOT_ANSWERABLE, "Not answerable.")
    assert row.verdict.detail["given"] is True


def test_accuracy_and_f1_worked() -> None:
    rows = [
        _scored("Int", "14", "14"),
        _scored("None", NOT_ANSWERABLE, NOT_ANSWERABLE),
        _scored("Str", "Apple", "Aple"),
        _scored("Str", "Blue", NOT_ANSWERABLE),
    ]
    result = create_mmlongbench().aggregate(rows)
    assert result.score == pytest.approx(0.70)
    assert result.parts["f1"] == pytest.approx(0.72)
    assert result.parts["accuracy"] == result.score


def test_f1_of_nothing_is_zero() -> None:
    assert f1_score([]) == 0.0
    assert f1_score([(True, True, 0.0)]) == 0.0
    assert f1_score([(False, False, 1.0)]) == 0.0


def test_groups_by_source_and_pages() -> None:
    rows = [
        _scored("Int", "1", "1", evidence_sources="['Chart', 'Table']", evidence_pages="[3]"),
        _scored("Int", "1", "2", evidence_sources="['Chart']", evidence_pages="[3, 4]"),
        _scored("None", NOT_ANSWERABLE, "x", evidence_sources="[]", evidence_pages="[]"),
    ]
    assert create_mmlongbench().aggregate(rows).groups == {
        "Chart": 0.5,
        "Table": 1.0,
        "single-page": 1.0,
        "multi-page": 0.0,
        "unanswerable": 0.0,
    }


@pytest.mark.parametrize(
    ("kind", "truth", "text"),
    [
        ("Str", "Apple Inc", "The answer is Apple Inc."),
        ("List", "['cat', 'dog']", "The answer is: cat, dog"),
        ("List", "['cat', 'dog']", "I found ['dog', 'cat']."),
        ("None", NOT_ANSWERABLE, "The question is not answerable from this document."),
        ("Int", "14", "There are 3 parts.\nIn all 14"),
    ],
)
def test_extended_extraction(kind: str, truth: str, text: str) -> None:
    sample = Sample(id="1", question="?", answer=truth, meta={"answer_format": kind})
    verdict = create_mmlongbench().score(sample, Response(text=text), level="extended")
    assert verdict.value == 1.0
    assert (verdict.level, verdict.detail["proxy"]) == ("extended", True)


def test_self_extraction_comes_first_at_the_extended_level() -> None:
    sample = Sample(id="1", question="?", answer="blue", meta={"answer_format": "Str"})
    reply = "Extracted answer: blue\nAnswer format: String"
    response = Response(text="It is red", meta={"self_extract": reply})
    verdict = create_mmlongbench().score(sample, response, level="extended")
    assert (verdict.value, verdict.detail["method"]) == (1.0, "self-extract")
    assert "It is red" in self_extract_prompt("?", "It is red")


class Judge:
    def __init__(self, reply: str | None) -> None:
        self.reply = reply

    def ask(self, prompt: str) -> str | None:
        return self.reply


def test_judged() -> None:
    sample = Sample(id="1", question="?", answer="blue", meta={"answer_format": "Str"})
    metric, response = create_mmlongbench(), Response(text="The sky looks blue there.")
    judge = Judge("Extracted answer: blue\nAnswer format: String")
    assert metric.score(sample, response, level="judge", judge=judge).value == 1.0
    assert metric.score(sample, response, level="judge", judge=Judge(None)).value is None
    assert metric.score(sample, response, level="judge").value is None


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["Int", "Float", "Str", "List"]))
def test_any_pair_has_a_score(truth: str, answer: str, kind: str) -> None:
    assert 0.0 <= format_score(truth, answer, kind) <= 1.0


@given(st.text(max_size=60))
def test_any_text_gets_a_verdict(text: str) -> None:
    for level in ("rules", "extended"):
        for kind in ("Int", "Float", "Str", "List", "None"):
            sample = Sample(id="1", question="?", answer="7", meta={"answer_format": kind})
            verdict = create_mmlongbench().score(sample, Response(text=text), level=level)
            assert verdict.value is not None


def test_no_samples_is_an_error() -> None:
    with pytest.raises(InputError, match="no responses"):
        create_mmlongbench().aggregate([])
