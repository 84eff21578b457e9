"""CharXiv, OCR-Reasoning, MLVU and WildVision: worked values, substitutes, judges."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium, Metric, Response, Sample, Scored, Verdict
from nanovl.evals.scoring.charxiv import create_charxiv, proxy_right, question_family
from nanovl.evals.scoring.mlvu import create_mlvu_mavg, task_means
from nanovl.evals.scoring.ocr_reasoning import create_ocr_reasoning, post_check
from nanovl.evals.scoring.wildvision import WildVision, create_wildvision_winrate, preference

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None,
    reason="needs math-verify (extra 'evals')",
)


class Judge:
    """Gives prepared replies in order; also looks at pictures."""

    def __init__(self, *replies: str | None) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []
        self.shown: list[Sequence[Medium]] = []

    def ask(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.replies.pop(0)

    def ask_about(self, prompt: str, media: Sequence[Medium]) -> str | None:
        self.shown.append(media)
        return self.ask(prompt)


class BlindJudge:
    def ask(self, prompt: str) -> str | None:
        return "[[B>A]]"


def _sample(answer: Any, question: str = "?", **meta: Any) -> Sample:
    return Sample(id="1", question=question, answer=answer, meta=meta)


# CharXiv


@pytest.mark.parametrize(
    ("qid", "family"),
    [
        *((qid, "information extraction") for qid in range(1, 8)),
        *((qid, "enumeration") for qid in (8, 9, 13, 14, 15)),
        *((qid, "counting") for qid in (10, 12, 19)),
        *((qid, "pattern recognition") for qid in (11, 16, 18)),
        (17, "compositionality"),
    ],
)
def test_charxiv_families(qid: int, family: str) -> None:
    assert question_family(qid) == family


@pytest.mark.parametrize(
    ("qid", "category", "truth", "text", "right"),
    [
        (1, None, "Loss (train)", "The answer is: loss train.", True),
        (2, None, "\u03b1 + \u03b2", r"$\alpha + \beta$", True),
        (3, None, "Time", "Not Applicable", False),
        (3, None, "Not Applicable", "not applicable.", True),
        (3, None, "Not Applicable", "It is not applicable here", False),
        (10, None, "3", "There are\n3 lines", True),
        (10, None, "3", "4", False),
        (None, 3, "0.50", "0.5", True),
        (None, 4, "1000", "1,000", True),
        (None, 1, "ResNet-50", "resnet 50", True),
        (None, 1, "ResNet-50", "resnet 101", False),
        (11, None, "Yes", "Yes, they cross twice", True),
        (11, None, "No", "Yes", False),
        (13, None, "a, b, c", "a, b, c", True),
        (13, None, "a, b, c", "b, a, c", False),
        (16, None, "increases then decreases", "Increasing at first", True),
        (16, None, "decreases", "increases", False),
        (18, None, "2 by 3", "2 x 3", True),
        (18, None, "2 by 3", "3 by 2", False),
        (1, None, "x", "", False),
    ],
)
def test_charxiv_proxy(
    qid: int | None, category: int | None, truth: str, text: str, right: bool
) -> None:
    assert proxy_right(truth, text, qid=qid, category=category) is right


def test_charxiv_levels() -> None:
    metric = create_charxiv()
    sample = _sample("3", qid=10, grading_query="Grade this: {PREDICTION}")
    assert metric.score(sample, Response(text="3")).value == 1.0
    unread = metric.score(sample, Response(text="The answer is 3"))
    assert (unread.value, unread.detail["parsed"]) == (0.0, False)
    proxy = metric.score(sample, Response(text="The answer is 3"), level="extended")
    assert (proxy.value, proxy.detail["proxy"]) == (1.0, True)
    judge = Judge('Sure: {"extracted_answer": "3", "score": 1}')
    judged = metric.score(sample, Response(text="three"), level="judge", judge=judge)
    assert (judged.value, judged.extracted, judged.level) == (1.0, "3", "judge")
    assert judge.prompts == ["Grade this: three"]
    silent = Judge("no", '{"score": 1}', '{"extracted_answer": "", "score": 0.5}')
    assert metric.score(sample, Response(text="x"), level="judge", judge=silent).value is None
    assert metric.score(sample, Response(text="x"), level="judge").value is None


def test_charxiv_groups() -> None:
    metric, rows = create_charxiv(), []
    for meta, value in (({"qid": 1}, 1.0), ({"qid": 17}, 0.0), ({"inst_category": 3}, 1.0)):
        verdict = Verdict(value=value)
        rows.append(
            Scored(sample=_sample("x", **meta), response=Response(text=""), verdict=verdict)
        )
    result = metric.aggregate(rows)
    assert (result.parts["dq"], result.parts["rq"]) == (0.5, 1.0)
    assert result.groups == {
        "information extraction": 1.0,
        "compositionality": 0.0,
        "number-in-chart": 1.0,
    }


# OCR-Reasoning


@pytest.mark.parametrize(
    ("meta", "truth", "answer", "right"),
    [
        ({}, "3 apples", "3apples", True),
        ({}, "3 apples", "3 Apples", False),
        ({"answer_type": "integer"}, "12", " 12", True),
        ({"answer_type": "integer"}, "12", "12.0", False),
        ({"answer_type": "float"}, "1.50", "1.5", True),
        ({"answer_type": "float"}, "1.5", "$1.5", False),
        (
            {"question_type": "multi_choice", "choices": "['u', 'v']", "answer_option": "B"},
            "v",
            "The answer is B",
            True,
        ),
        ({}, "5", "5\u5143", False),
    ],
)
def test_ocr_reasoning_post_check(
    meta: dict[str, Any], truth: str, answer: str, right: bool
) -> None:
    assert post_check(_sample(truth, **meta), answer)[0] is right


@needs_math_verify
@pytest.mark.parametrize(
    ("truth", "text", "form", "value"),
    [
        ("5\u5143", "So the answer is 5 \u5143.", "{x}\u5143", 1.0),
        ("5", "The answer is: 5\u5143", "", 1.0),
        ("$1,250", r"\boxed{1250}", "${x}", 1.0),
        ("\uff11\uff12", "Answer: 12", "", 1.0),
        ("1/2", "Answer: 0.5", "", 1.0),
        ("7", "Answer: 8", "", 0.0),
        ("7", "", "", 0.0),
        ("Paris", "I think\nparis", "", 1.0),
    ],
)
def test_ocr_reasoning_extended(truth: str, text: str, form: str, value: float) -> None:
    sample = _sample(truth, format=form)
    verdict = create_ocr_reasoning().score(sample, Response(text=text), level="extended")
    assert verdict.value == value


def test_ocr_reasoning_judged_with_rating() -> None:
    metric = create_ocr_reasoning()
    sample = _sample("3 apples", reasoning="Count them.")
    judge = Judge("Good. Rating: [[8]]", "Extracted answer: 3apples")
    response = Response(text="There are three")
    verdict = metric.score(sample, response, level="judge", judge=judge)
    assert (verdict.value, verdict.detail["reasoning_rating"]) == (1.0, 0.8)
    assert "Count them." in judge.prompts[0]
    result = metric.aggregate([Scored(sample=sample, response=response, verdict=verdict)])
    assert result.parts["reasoning"] == 0.8
    assert metric.score(sample, response, level="judge").value is None


# MLVU

OPTIONS = {"A": "red", "B": "green", "C": "blue", "D": "black"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("B", 1.0),
        ("(B)", 1.0),
        ("(B) green", 1.0),
        ("B) green", 1.0),
        ("The best option is (B).", 1.0),
        ("green", 1.0),
        ("The answer is B", 1.0),
        ("A", 0.0),
        ("(A) or (B)", 0.0),
        ("", 0.0),
    ],
)
def test_mlvu_choices(text: str, value: float) -> None:
    sample = Sample(id="1", question="?", answer="B", options=OPTIONS)
    assert create_mlvu_mavg().score(sample, Response(text=text)).value == value
    cells = _sample("green", candidates="['red', 'green', 'blue', 'black']")
    assert create_mlvu_mavg().score(cells, Response(text=text)).value == value


def test_mlvu_means_worked() -> None:
    counts = {
        "plotQA": (400, 539),
        "needle": (250, 355),
        "ego": (200, 352),
        "count": (60, 206),
        "anomaly": (150, 200),
        "topic": (230, 263),
        "order": (120, 259),
    }
    micro, macro = task_means(counts)
    assert round(micro, 1) == 64.9
    assert round(macro, 2) == 62.77


def test_mlvu_profiles_choose_the_mean() -> None:
    rows = []
    for task, hits in (("ego", [1.0, 1.0, 1.0]), ("order", [0.0])):
        for hit in hits:
            sample = _sample("A", task_type=task)
            rows.append(
                Scored(sample=sample, response=Response(text=""), verdict=Verdict(value=hit))
            )
    assert create_mlvu_mavg().aggregate(rows).score == 50.0
    assert create_mlvu_mavg("vk").aggregate(rows).score == 75.0
    assert create_mlvu_mavg().aggregate(rows).groups == {"ego": 100.0, "order": 0.0}


# WildVision


def _wild(*verdicts: str | None) -> list[Scored]:
    rows = []
    for verdict in verdicts:
        detail = {} if verdict is None else {"preference": preference(verdict)}
        value = None if verdict is None else float(preference(verdict) > 0)
        rows.append(
            Scored(
                sample=_sample("x"),
                response=Response(text=""),
                verdict=Verdict(value=value, detail=detail),
            )
        )
    return rows


@pytest.mark.parametrize(
    ("verdicts", "rate", "reward"),
    [
        (["A>>B", "A>B", "A=B", "B>A", "B>>A"], 0.4, 0.0),
        (["B>A"] * 2 + ["A>B"] * 8, 0.2, -30.0),
        (["B>>A"] * 3 + ["A>>B"], 0.75, 50.0),
        (["A=B"] * 4, 0.0, 0.0),
        (["B>A", "garbage", "A>B", None], 0.25, 0.0),
        (["B>A"] * 80 + ["A>B"] * 300 + ["A>>B"] * 120, 0.16, -46.0),
    ],
)
def test_wildvision_worked(verdicts: list[str | None], rate: float, reward: float) -> None:
    result = create_wildvision_winrate().aggregate(_wild(*verdicts))
    assert result.score == pytest.approx(100 * rate)
    assert result.parts["reward"] == pytest.approx(reward)


def test_wildvision_needs_a_judge_that_sees() -> None:
    metric = create_wildvision_winrate()
    sample = Sample(
        id="1",
        question="What is it?",
        answer=None,
        media=(Medium(kind="image", data=b"png"),),
        meta={"claude3_sonnet": "A cat"},
    )
    response = Response(text="A dog")
    for level in ("rules", "extended", "judge"):
        assert metric.score(sample, response, level=level).value is None
    with pytest.raises(ConfigError, match="only reads text"):
        metric.score(sample, response, level="judge", judge=BlindJudge())
    judge = Judge("I prefer B. [[B>A]]")
    verdict = metric.score(sample, response, level="judge", judge=judge)
    assert (verdict.value, verdict.extracted) == (1.0, "B>A")
    assert judge.shown == [sample.media]
    lost = metric.score(sample, response, level="judge", judge=Judge("B", "[[B]]", "[[win]]"))
    assert lost.value is None


def test_wildvision_swapped_pass_is_apart() -> None:
    metric = WildVision(swap=True)
    sample = _sample(None, claude3_sonnet="x")
    judge = Judge("[[A>B]]", "[[A>B]]")
    verdict = metric.score(sample, Response(text="y"), level="judge", judge=judge)
    assert (verdict.value, verdict.detail["swapped_preference"]) == (0.0, 1)
    row = Scored(sample=sample, response=Response(text="y"), verdict=verdict)
    result = metric.aggregate([row])
    assert (result.score, result.parts["swapped_winrate"]) == (0.0, 100.0)


METRICS = [
    create_charxiv(),
    create_ocr_reasoning(),
    create_mlvu_mavg(),
    create_wildvision_winrate(),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_samples_is_an_error(metric: Metric) -> None:
    with pytest.raises(InputError, match="no responses"):
        metric.aggregate([])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gets_a_verdict(text: str) -> None:
    samples = [
        _sample("blue", qid=qid, candidates="['blue', 'red']", task_type="ego")
        for qid in (1, 10, 11, 13, 16, 18)
    ]
    for metric in METRICS[:3]:
        for sample in samples:
            for level in ("rules", "extended"):
                assert metric.score(sample, Response(text=text), level=level).value in (0.0, 1.0)
