"""OCRBench v2: worked values of its rules, every type once, the two numbers, agreement."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.scoring import ocrbench_v2
from nanovl.evals.scoring.ocr_answers import (
    box_from_text,
    box_iou,
    counting_score,
    formula_score,
    handwriting_score,
    vqa_score,
)
from nanovl.evals.scoring.ocrbench_v2 import GROUPS, OCRBenchV2, create_ocrbench_v2
from nanovl.evals.scoring.page_text import Meteor
from tests.unit.evals.scoring.rows import reference, scored, value

for package in ("lxml", "rapidfuzz", "nltk", "jieba"):
    pytest.importorskip(package, reason="needs the extra 'evals'")

METRIC = OCRBenchV2(meteor=Meteor.create("exact+stem"))
BEIJING = "\u5317\u4eac"
FOUR = "\u7532,\u4e59,\u4e19,\u4e01"
TABLE = "<table><tr><td>a</td><td>b</td></tr></table>"
BOX = [[0, 0, 100, 0, 100, 50, 0, 50]]

# Type, then columns, answer, right reply.
ITEMS: list[tuple[str, dict[str, Any], Any, str]] = [
    ("APP agent en", {}, ["tap it"], "Tap it."),
    ("ASCII art classification en", {"eval": "multiple choice"}, ["B"], "(B)."),
    (
        "VQA with position en",
        {"bbox": [0, 0, 9, 9]},
        ["cat"],
        '{"answer": "cat", "bbox": [0,0,9,9]}',
    ),
    (
        "chart parsing en",
        {},
        [{"title": "t", "a": {"b": 1}}],
        "```\n{'title': 't', 'a': {'b': 1}}\n```",
    ),
    ("cognition VQA cn", {}, [BEIJING], f"\u7b54 {BEIJING}"),
    ("cognition VQA en", {"eval": "case sensitive"}, ["ABC"], "xABCx"),
    ("diagram QA en", {"eval": "without eval"}, ["7"], "It is 7"),
    ("document classification en", {}, ["letter"], "letter"),
    ("document parsing cn", {}, ["# A\nb"], "# A\nb"),
    ("document parsing en", {}, ["# A\nb"], "# A\nb"),
    ("fine-grained text recognition en", {}, ["four words in a row"], "four words in a row"),
    ("formula recognition cn", {}, ["\\text{\u5f53}x>0"], "\u5f53x > 0"),
    ("formula recognition en", {}, ["x^{2}+1"], "$$ x^{2} + 1 $$"),
    ("full-page OCR cn", {}, [BEIJING * 4], BEIJING * 4),
    ("full-page OCR en", {}, ["four words in a row"], "four words in a row"),
    ("handwritten answer extraction cn", {}, ["AC"], "A\u3001C"),
    ("key information extraction cn", {}, ["{'a': 'b'}"], '{"a": "b"}'),
    ("key information extraction en", {}, ['{"a": ["b", "c"]}'], "{'a': 'c'}"),
    ("key information mapping en", {}, [{"a": ["b"]}], "a: b"),
    ("math QA en", {}, ["12"], "12"),
    ("reasoning VQA cn", {"eval": "multiple choice"}, ["A"], "A"),
    ("reasoning VQA en", {}, ["yes"], "Yes"),
    ("science QA en", {}, ["C"], "C"),
    ("table parsing cn", {}, [TABLE], TABLE),
    ("table parsing en", {"question": "as HTML"}, [TABLE], TABLE),
    (
        "table parsing en",
        {"question": "as Markdown"},
        ["|a|b|\n|-|-|\n|1|2|"],
        "|a|b|\n|-|-|\n|1|2|",
    ),
    ("text counting en", {"eval": "regression"}, ["10"], "10 letters"),
    ("text grounding en", {}, [10, 20, 30, 40], "at (10, 20, 30, 40)"),
    ("text recognition en", {}, ["Hello"], "hello"),
    ("text spotting en", {"bbox": BOX, "content": ["Hi"]}, ["unused"], "[[0, 0, 100, 50, 'hi']]"),
    ("text translation cn", {}, ["four words in a row"], "four words in a row"),
]


@pytest.mark.parametrize(("kind", "columns", "answer", "reply"), ITEMS)
def test_right_and_empty_replies(
    kind: str, columns: dict[str, Any], answer: Any, reply: str
) -> None:
    least = 0.99 if "OCR" in kind or "fine" in kind or "translation" in kind else 1.0
    assert value(METRIC, answer, reply, category=kind, **columns) >= least
    # The published similarities of documents and of Markdown tables give something to nothing.
    most = 0.5 if "document parsing" in kind or "Markdown" in str(columns) else 0.0
    assert value(METRIC, answer, "", category=kind, **columns) <= most
    # The same answer as the text of a cell.
    assert value(METRIC, repr(answer), reply, category=kind, **columns) >= least


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ITEMS), st.text(max_size=40))
def test_any_reply_has_a_value(item: tuple[str, dict[str, Any], Any, str], text: str) -> None:
    kind, columns, answer, reply = item
    for said in (text, reply + text, text + reply):
        got = value(METRIC, answer, said, category=kind, **columns)
        assert got is not None
        assert got <= 1.0


def test_every_type_has_a_group_and_a_rule() -> None:
    grouped = [kind for groups in GROUPS.values() for kinds in groups.values() for kind in kinds]
    assert sorted(grouped) == sorted(ocrbench_v2._RULES) == sorted({item[0] for item in ITEMS})
    assert len(grouped) == len(set(grouped)) == 30


@pytest.mark.parametrize(
    ("reply", "answer", "options", "expected"),
    [
        ("The answer is 7 November", "7 november", {}, 1.0),
        ("Nov 7", "7 november", {}, 0.0),
        ("the quick brown fox jumps", "the quick brown fox jumped", {}, 0.923077),
        ("the quick brown fox", "a quick brown fox jumped over", {}, 0.0),
        ("anything", "", {}, 1.0),
        ("xABCx", "ABC", {"case_sensitive": True}, 1.0),
        ("ABC", "abc", {"case_sensitive": True}, 0.0),
        (f"\u7b54\u6848\u662f {BEIJING}", BEIJING, {"chinese": True}, 1.0),
        (FOUR, FOUR[:-1] + "\u620a", {"chinese": True}, 0.857143),
        (FOUR[:3], FOUR, {"chinese": True}, 0.0),
    ],
)
def test_vqa(reply: str, answer: str, options: dict[str, bool], expected: float) -> None:
    assert vqa_score(reply, [answer], **options) == pytest.approx(expected, abs=5e-7)


def test_best_answer_counts() -> None:
    assert vqa_score("five", ["5", "five"]) == 1.0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("9", 0.9), ("6", 0.6), ("5", 0.0), ("20", 0.0), ("10", 1.0), ("none", 0.0), ("0", 0.0)],
)
def test_counting(reply: str, expected: float) -> None:
    assert counting_score(reply, ["10"], "regression") == pytest.approx(expected)


def test_counting_more() -> None:
    assert counting_score("112", ["12"], "exact match") == 1.0
    assert counting_score("9" * 5000, ["10"], "regression") == 0.0
    with pytest.raises(InputError, match="reference of a count is 'ten'"):
        counting_score("9", ["ten"], "regression")


def test_formulas() -> None:
    assert formula_score("$$ x^{2} + 1 $$", ["x^{2}+1"]) == 1.0
    assert formula_score("x^2+1", ["x^{2}+1"]) == 0.0
    assert formula_score("\u5f53x>0", ["\\text{\u5f53}x>0"], chinese=True) == 1.0


@pytest.mark.parametrize(
    "reply", ["AC", "A.C", "A. C", "A,C", "A, C", "A\u3001C", "A;C", "A; C", "A C", "A\u548cC"]
)
def test_handwritten_letters(reply: str) -> None:
    assert handwriting_score(f"({reply})", "AC") == 1.0
    assert handwriting_score(reply, "CA") == 0.0


def test_handwritten_sentences_are_pages() -> None:
    question = "\u7b80\u7b54\u9898"
    row = scored(
        METRIC,
        ["a b c d"],
        "a b c d",
        question=question,
        category="handwritten answer extraction cn",
    )
    assert row.verdict.detail["meteor"] == "exact+stem"
    assert row.verdict.value == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((50, 50, 150, 150), (60, 60, 140, 140), 0.64),
        ((0, 0, 10, 10), (5, 5, 15, 15), 0.142857),
        ((0, 0, 1, 1), (5, 5, 6, 6), 0.0),
        (("a", 0, 1, 1), (0, 0, 1, 1), 0.0),
        ((0, 0, 100, 100), (0, 0, 100, 50), 0.5),
        (None, (0, 0, 1, 1), 0.0),
        ((0, 0, 1), (0, 0, 1, 1), 0.0),
        ((0, 0, math.inf, 1), (0, 0, 1, 1), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap(a: Any, b: Any, expected: float) -> None:
    assert box_iou(a, b) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("box [10, 20, 30, 40] and [1,2,3,4]", (1, 2, 3, 4)),
        ("[10.5,20,30,40]", None),
        ("[1,2,3,1001]", None),
        ("[1,2,3,4] [5,6,7,8] [1,2,3,4]", (1, 2, 3, 4)),
        (f"[1,2,3,{'9' * 5000}]", None),
    ],
)
def test_boxes(text: str, box: object) -> None:
    assert box_from_text(text) == box


def test_position() -> None:
    columns = {"category": "VQA with position en", "bbox": "[0, 0, 100, 100]"}
    reply = '{"answer": "a cat", "bbox": [0, 0, 100, 50]}'
    assert value(METRIC, ["cat"], reply, **columns) == 0.75
    assert value(METRIC, ["cat"], '{"answer": "a cat", "bbox": "nowhere"}', **columns) == 0.5


@pytest.mark.parametrize(
    ("kind", "columns", "answer", "message"),
    [
        ("poetry en", {}, ["a"], "its type is 'poetry en'"),
        ("math QA en", {"eval": "by hand"}, ["a"], "column 'eval' is 'by hand'"),
        ("text counting en", {}, ["1"], "column 'eval' is 'None'"),
        ("chart parsing en", {}, ["x"], "its answer is 'x'; expected a mapping"),
        ("key information mapping en", {}, ["x"], "expected a mapping"),
        (
            "text spotting en",
            {"bbox": BOX, "content": "without content"},
            ["a"],
            "column 'content'",
        ),
        ("text spotting en", {"bbox": BOX, "content": []}, ["a"], "1 boxes and 0 texts"),
        ("math QA en", {}, None, "no reference answer"),
    ],
)
def test_unusable_rows_are_named(
    kind: str, columns: dict[str, Any], answer: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        value(METRIC, answer, "{}", category=kind, id="77", **columns)


def test_two_numbers() -> None:
    rows = [
        scored(METRIC, ["a"], "a", category="text recognition en"),
        scored(METRIC, ["a"], "a", category="text recognition en"),
        scored(METRIC, ["a"], "b", category="full-page OCR en"),
        scored(METRIC, ["a"], "b", category="math QA en"),
        scored(METRIC, [BEIJING], BEIJING, category="cognition VQA cn"),
        scored(METRIC, [""], "said", category="text translation cn"),
        scored(METRIC, [TABLE], TABLE, category="table parsing en", question="as CSV"),
    ]
    # One wrong character, hence nothing but the share of wrong ones: 0.
    assert rows[2].verdict.value == 0.0
    result = METRIC.aggregate(rows)
    assert result.groups["en/text_recognition"] == pytest.approx(2 / 3)
    assert result.groups["text recognition en"] == 1.0
    assert result.score == result.parts["en"] == pytest.approx(1 / 3)
    assert result.parts["zh"] == 1.0
    assert result.parts["ignored"] == 2
    assert result.parts["meteor_without_wordnet"] == 1
    assert result.num_samples == 5
    assert METRIC.aggregate(rows[4:5]).score == 1.0
    with pytest.raises(InputError, match="no responses"):
        METRIC.aggregate([])


def test_created_metric_finds_its_own_synonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(Meteor, "create", lambda: made.append(1) or METRIC.meteor)
    metric = create_ocrbench_v2("vk")
    assert value(metric, ["a"], "a", category="math QA en") == 1.0
    assert not made
    for _ in range(2):
        row = scored(metric, ["a"], "a", category="full-page OCR en")
    assert row.verdict.detail["meteor"] == "exact+stem"
    assert len(made) == 1
    with pytest.raises(ConfigError, match="unknown profile"):
        create_ocrbench_v2("other")


def test_agrees_with_the_published_rules() -> None:
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/vqa_metric.py",
        [
            *("vqa_evaluation", "cn_vqa_evaluation", "vqa_evaluation_case_sensitive"),
            *("counting_evaluation", "extract_first_number", "levenshtein_distance"),
            *("math_expression_evaluation", "cn_math_expression_evaluation", "remove_text_tags"),
        ],
        {"math": math},
    )
    vocabulary = [
        *("the", "quick", "brown", "fox", "jumped", "over", "7", "12", "3,4", "\n", "A", "a"),
        *(BEIJING, FOUR[:3], FOUR[4:] + ","),
    ]
    source = random.Random(6)

    def sentence() -> str:
        joined = source.choice([" ", "", " "])
        return joined.join(source.choice(vocabulary) for _ in range(source.randint(0, 9)))

    partial = 0
    for _ in range(500):
        answers = [sentence() for _ in range(source.randint(1, 3))]
        reply = source.choice([sentence(), answers[0].replace("fox", "fax")])
        for name, options in (
            ("vqa_evaluation", {}),
            ("cn_vqa_evaluation", {"chinese": True}),
            ("vqa_evaluation_case_sensitive", {"case_sensitive": True}),
        ):
            expected = published[name](reply, list(answers))
            assert vqa_score(reply, answers, **options) == pytest.approx(expected), (reply, answers)
            partial += 0 < expected < 1
        numbers = [str(source.randint(1, 12)) for _ in range(source.randint(1, 3))]
        for method in ("exact match", "regression"):
            expected = published["counting_evaluation"](reply, list(numbers), method)
            assert counting_score(reply, numbers, method) == pytest.approx(expected)
        assert formula_score(reply, answers) == published["math_expression_evaluation"](
            reply, answers
        )
        wrapped = f"\\text{{{answers[0]}}}"
        assert formula_score(f"{reply}x", [wrapped], chinese=True) == published[
            "cn_math_expression_evaluation"
        ](f"{reply}x", [wrapped])
    assert partial > 30


def test_boxes_agree_with_the_published_rules() -> None:
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/IoUscore_metric.py",
        ["calculate_iou", "extract_coordinates"],
    )
    pieces = [
        *("[", "(", "]", ")", "1", "2", "30", ",", ", ", "1000", "1001", "10.5", " ", "word"),
        *("[1,2,3,4]", "(5,6,7,8)", "\n"),
    ]
    source = random.Random(12)
    for _ in range(1000):
        text = "".join(source.choice(pieces) for _ in range(source.randint(0, 15)))
        expected = published["extract_coordinates"](text)
        assert box_from_text(text) == (tuple(expected) if expected else None), text
        a, b = ([source.randint(0, 9) for _ in range(4)] for _ in range(2))
        assert box_iou(a, b) == pytest.approx(published["calculate_iou"](a, b))
        assert box_iou(json.loads(json.dumps(a)), tuple(b)) == box_iou(a, b)
