"""Agreement of short answers, documents and pages of text with the published scorers."""

from __future__ import annotations

import ast
import collections
import importlib
import importlib.util
import json
import math
import os
import random
import types
from collections.abc import Iterator
from typing import Any

import pytest

from nanovl.evals.scoring.anls import similarity
from nanovl.evals.scoring.contains import create_contains_multilingual, create_curly_contains
from nanovl.evals.scoring.longdoc import f1_score, format_score
from nanovl.evals.scoring.ocr_answers import (
    box_iou,
    counting_score,
    formula_score,
    vqa_score as ocr_vqa_score,
)
from nanovl.evals.scoring.ocrbench import create_ocrbench_v1
from nanovl.evals.scoring.relaxed import relaxed_equal
from nanovl.evals.scoring.ruler import match_all, match_part
from nanovl.evals.scoring.teds import teds
from nanovl.evals.scoring.vqa import create_vqa_accuracy
from tests.unit.evals.scoring.agreement import (
    Pair,
    case,
    frame,
    numpy,
    phrase,
)
from tests.unit.evals.scoring.rows import installed, reference, value


def vqa_functions(edition: str) -> dict[str, Any]:
    punctuation = reference("vlmeval", "smp/misc.py", ["process_punctuation"], edition=edition)
    given = {
        "process_punctuation": punctuation["process_punctuation"],
        "istype": lambda cell, kind: str(cell).startswith("[") and kind is list,
        "Optional": None,
    }
    names = ["process_line", "process_answer", "_process_digit_article", "anls_compute"]
    names += ["levenshtein_distance", "relaxed_correctness"]
    return reference("vlmeval", "dataset/utils/vqa_eval.py", names, given, edition=edition)


def vqa_pairs(draw: random.Random, edition: str, profile: str) -> Iterator[Pair]:
    line = vqa_functions(edition)["process_line"]
    metric = create_vqa_accuracy(profile)
    words = ["nokia", "Nokia.", "the two", "2", "two", "3,000", "U.S.", "7.", "dont", "x-y", "a"]
    for _ in range(300):
        some = draw.sample(words, 3)
        truths = draw.choices(some, k=10)
        said = draw.choice([*some, phrase(draw, words, 2)])
        match = line({"answer": repr(truths), "prediction": said})["match"]
        yield (truths, said), value(metric, truths, said), sum(match) / len(match)


@case("vqa_accuracy, newer VLMEvalKit")
def _vqa_newer(draw: random.Random) -> Iterator[Pair]:
    return vqa_pairs(draw, "newer", "vk")


@case("vqa_accuracy, older VLMEvalKit")
def _vqa_older(draw: random.Random) -> Iterator[Pair]:
    return vqa_pairs(draw, "older", "legacy")


@case("anls, lmms-eval")
def _anls(draw: random.Random) -> Iterator[Pair]:
    names = ["anls", "levenshtein_distance"]
    theirs = reference("lmms_eval", "api/metrics.py", names)["anls"]
    for _ in range(300):
        truth, said = (
            "".join(draw.choices("abAB  .1\u00e4", k=draw.randint(0, 10))) for _ in range(2)
        )
        mine = similarity(truth, said)
        yield (truth, said), mine if mine >= 0.5 else 0.0, theirs([truth], [said])["anls"]


NUMBERS = ["0", "5", "5%", "100", "95", "105.26", "-4", "-4.2", "Yes", "yes", "1e3", "nan", "%"]
NUMBERS += ["", "1,000", "0.05", "inf", "1_0"]


@case("relaxed_accuracy, lmms-eval")
def _relaxed(draw: random.Random) -> Iterator[Pair]:
    path = "tasks/chartqa/utils.py"
    theirs = reference("lmms_eval", path, ["relaxed_correctness"])["relaxed_correctness"]
    for truth in NUMBERS:
        for said in NUMBERS:
            yield (truth, said), relaxed_equal(truth, said), theirs(said, truth)


@case("contains_multilingual, newer VLMEvalKit")
def _multilingual(draw: random.Random) -> Iterator[Pair]:
    installed("vlmeval", "newer")  # before its tables are made
    words = ["Paris", "paris.", "3.5", "35", "\u6771\u4eac", "\u6771\u4eac\u90fd", "nein", " ", "A"]
    pairs = [(phrase(draw, words, 2) or "x", phrase(draw, words, 4)) for _ in range(300)]
    columns = {
        "answer": [truth for truth, _ in pairs],
        "prediction": [said for _, said in pairs],
        "category": [str(number) for number in range(300)],
    }
    table = frame(columns)
    given = {
        "ImageBaseDataset": object,
        "np": numpy(),
        "defaultdict": collections.defaultdict,
        "load": lambda file: table,
        "dump": lambda *a: None,
        "get_intermediate_file_path": lambda *a: "",
    }
    path = "dataset/image_vqa.py"
    kit = reference("vlmeval", path, ["MTVQADataset"], given, edition="newer")["MTVQADataset"]
    theirs = kit.evaluate("file")
    metric = create_contains_multilingual("vk")
    for number, (truth, said) in enumerate(pairs):
        yield (truth, said), value(metric, truth, said), theirs[str(number)] / 100


@case("curly_contains, newer VLMEvalKit")
def _curly(draw: random.Random) -> Iterator[Pair]:
    installed("vlmeval", "newer")
    pandas = pytest.importorskip("pandas", reason="the harness keeps tables in 'pandas'")
    table: list[Any] = []
    given = {"ImageVQADataset": object, "pd": pandas, "load": lambda file: table[-1]}
    path = "dataset/image_vqa.py"
    kit = reference("vlmeval", path, ["ZEROBench"], given, edition="newer")["ZEROBench"]
    words = ["{7}", "{17}", "7", "{a}", "A", "{", "}", "{\\boxed{12}}", "{3.5 }", "so", "{}", "\n"]
    metric = create_curly_contains("vk")
    for _ in range(200):
        truth, said = draw.choice(["7", "A", "12", "3.5", "so", "1"]), phrase(draw, words, 5)
        table.append(frame({"index": [0], "prediction": [said], "answers": [truth]}))
        yield (truth, said), value(metric, truth, said), kit().evaluate("file")["accuracy"]


LONG_WORDS = [
    "14",
    "14.7",
    "0.25",
    "25%",
    "12.5",
    "12.6",
    "$3.20",
    "3.2",
    "Apple Inc",
    "apple inc.",
]
LONG_WORDS += ["Blue (light)", "blue", "page 5", "page 6", "12-34", "2021-05", "5 miles", "5 mile"]
LONG_WORDS += ["['a', 'b']", "['b', 'a']", "['cat', 'dog']", "['cat']", "[10, 20]", "['10', '21']"]
LONG_WORDS += ["", "Not answerable", "a@b.com", "https://x", "x.py", "3 p.m.", "'quoted'", "nan"]


def long_pairs(draw: random.Random, edition: str) -> Iterator[Pair]:
    names = ["anls_compute", "is_float_equal", "get_clean_string", "is_exact_match", "isfloat"]
    distance = reference("vlmeval", "dataset/utils/vqa_eval.py", ["levenshtein_distance"])
    given = {
        "levenshtein_distance": distance["levenshtein_distance"],
        "math": math,
        "isclose": math.isclose,
        "print": lambda *a: None,
        "pd": None,
    }
    path = "dataset/mmlongbench.py"
    theirs = reference("vlmeval", path, [*names, "eval_score"], given, edition=edition)[
        "eval_score"
    ]
    for truth in LONG_WORDS:
        for said in LONG_WORDS:
            for kind in ("Int", "Float", "Str", "List"):
                try:
                    expected = theirs(truth, said, kind)
                except (ValueError, TypeError, SyntaxError):
                    expected = 0.0
                yield (truth, said, kind), format_score(truth, said, kind), expected


def nothing_asked_for(shown: tuple[str, str, str]) -> bool:
    """An empty reference where an integer is wanted; their code then takes any answer."""
    truth, _, kind = shown
    return kind == "Int" and truth == ""


@case("mmlongbench, newer VLMEvalKit", nothing_asked_for)
def _long_newer(draw: random.Random) -> Iterator[Pair]:
    return long_pairs(draw, "newer")


@case("mmlongbench, older VLMEvalKit", nothing_asked_for)
def _long_older(draw: random.Random) -> Iterator[Pair]:
    return long_pairs(draw, "older")


@case("mmlongbench (F1), VLMEvalKit")
def _long_f1(draw: random.Random) -> Iterator[Pair]:
    installed("vlmeval")
    theirs = reference("vlmeval", "dataset/mmlongbench.py", ["get_f1"])["get_f1"]
    none = "Not answerable"
    for _ in range(400):
        rows = [
            (draw.choice(["x", none]), draw.choice(["y", none]), draw.choice([0.0, 0.6, 1.0]))
            for _ in range(draw.randint(1, 8))
        ]
        if all(truth == none for truth, _, _ in rows) or all(said == none for _, said, _ in rows):
            continue
        table = frame(
            {
                "answer": [truth for truth, _, _ in rows],
                "pred": [said for _, said, _ in rows],
                "score": [points for _, _, points in rows],
            }
        )
        try:
            expected = theirs(table)
        except ZeroDivisionError:
            expected = 0.0
        if isinstance(expected, float) and math.isnan(expected):
            expected = 0.0
        ours = f1_score([(truth != none, said != none, points) for truth, said, points in rows])
        yield rows, ours, expected


SCENE = "Scene Text-centric VQA"
HANDWRITTEN = "Handwritten Mathematical Expression Recognition"


@case("ocrbench_v1, VLMEvalKit")
def _ocrbench(draw: random.Random) -> Iterator[Pair]:
    table: list[Any] = []
    kept: list[dict[str, Any]] = []
    given = {
        "load": lambda file: table[-1],
        "dump": lambda scores, file: kept.append(scores),
        "get_intermediate_file_path": lambda *a: "",
        "tqdm": iter,
        "logger": types.SimpleNamespace(info=lambda *a: None),
        "get_logger": lambda name: types.SimpleNamespace(info=lambda *a: None),
    }
    theirs = reference("vlmeval", "dataset/utils/ocrbench.py", ["OCRBench_eval"], given)
    words = [
        "CENTRE",
        "Centre.",
        "$1.25",
        "1.250",
        "12 JAN",
        "x ^ { 2 }",
        "x^{2}",
        "X^{2}",
        "\n",
        "no",
    ]
    metric = create_ocrbench_v1("vk")
    for _ in range(300):
        truths = [phrase(draw, words, 2) or "7" for _ in range(draw.randint(1, 3))]
        said, kind = phrase(draw, words, 4), draw.choice([SCENE, HANDWRITTEN])
        row = {"prediction": [said], "answer": [repr(truths)], "category": [kind]}
        table.append(frame(row))
        theirs["OCRBench_eval"]("file.xlsx")
        mine = value(metric, truths, said, category=kind)
        yield (truths, said, kind), mine, kept[-1]["Final Score"]


@case("ocrbench_v2 (answers), newer VLMEvalKit")
def _ocrbench_v2(draw: random.Random) -> Iterator[Pair]:
    folder = "dataset/utils/Ocrbench_v2"
    names = ["levenshtein_distance", "vqa_evaluation", "cn_vqa_evaluation", "counting_evaluation"]
    names += ["vqa_evaluation_case_sensitive", "extract_first_number", "remove_text_tags"]
    names += ["math_expression_evaluation", "cn_math_expression_evaluation"]
    given = {"math": math, "ast": ast, "os": os, "json": json}
    theirs = reference("vlmeval", f"{folder}/vqa_metric.py", names, given, edition="newer")
    words = [
        "the",
        "quick",
        "Brown",
        "fox",
        "7",
        "November",
        "\u5317\u4eac",
        ",",
        "\n",
        "ABC",
        "3.5",
    ]
    for _ in range(250):
        truth, said = phrase(draw, words, 6) or "x", phrase(draw, words, 7)
        yield (
            (truth, said, "plain"),
            ocr_vqa_score(said, [truth]),
            theirs["vqa_evaluation"](said, [truth]),
        )
        yield (
            (truth, said, "chinese"),
            ocr_vqa_score(said, [truth], chinese=True),
            theirs["cn_vqa_evaluation"](said, [truth]),
        )
        number, count = str(draw.randint(1, 12)), f"{phrase(draw, words, 2)} {draw.randint(0, 25)}"
        for method in ("exact match", "regression"):
            yield (
                (number, count, method),
                counting_score(count, [number], method),
                theirs["counting_evaluation"](count, [number], method),
            )
        formulas = ["x^{2}+1", "$$ x^{2} + 1 $$", "\\text{a}x>0", "x", " ", "\n"]
        truth, said = draw.choice(formulas[:4]), phrase(draw, formulas, 3)
        yield (
            (truth, said, "formula"),
            formula_score(said, [truth]),
            theirs["math_expression_evaluation"](said, [truth]),
        )


@case("ocrbench_v2 (boxes), newer VLMEvalKit")
def _ocrbench_boxes(draw: random.Random) -> Iterator[Pair]:
    path = "dataset/utils/Ocrbench_v2/IoUscore_metric.py"
    theirs = reference("vlmeval", path, ["calculate_iou"], {"os": os, "ast": ast}, edition="newer")
    for _ in range(300):
        a, b = ([draw.randint(0, 9) for _ in range(4)] for _ in range(2))
        a, b = ([x, y, x + w + 1, y + h + 1] for x, y, w, h in (a, b))
        yield (a, b), box_iou(a, b), theirs["calculate_iou"](a, b)


@case("ocrbench_v2 (TEDS), newer VLMEvalKit")
def _teds(draw: random.Random) -> Iterator[Pair]:
    apted = pytest.importorskip("apted", reason="compares with 'apted', which is not installed")
    helpers = importlib.import_module("apted.helpers")
    lxml = pytest.importorskip("lxml.html", reason="needs the extra 'evals'")
    rapidfuzz = pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")
    given = {
        "APTED": apted.APTED,
        "Config": apted.Config,
        "Tree": helpers.Tree,
        "deque": collections.deque,
        "distance": types.SimpleNamespace(levenshtein=rapidfuzz.distance.Levenshtein.distance),
        "html": lxml,
        "etree": importlib.import_module("lxml.etree"),
    }
    path = "dataset/utils/Ocrbench_v2/TEDS_metric.py"
    names = ["TableTree", "CustomConfig", "TEDS"]
    theirs = reference("vlmeval", path, names, given, edition="newer")["TEDS"](n_jobs=1)
    cells = ["a", "12", "aug 12", "", "<b>x</b>", "long text"]

    def table() -> str:
        rows = []
        for _ in range(draw.randint(1, 3)):
            row = []
            for _ in range(draw.randint(1, 3)):
                tag = draw.choice(["td", "td", "td", "th"])
                span = draw.choice(["", "", ' colspan="2"', ' rowspan="2"'])
                row.append(f"<{tag}{span}>{draw.choice(cells)}</{tag}>")
            rows.append(f"<tr>{''.join(row)}</tr>")
        return f"<html><body><table>{''.join(rows)}</table></body></html>"

    for _ in range(200):
        truth, said = table(), table()
        yield (truth, said), teds(truth, said), theirs.evaluate(said, truth)


@case("ruler_mean13, lm-eval")
def _ruler(draw: random.Random) -> Iterator[Pair]:
    names = ["string_match_all", "string_match_part"]
    theirs = reference("lm_eval", "tasks/ruler/common_utils.py", names)
    words = ["Paris", "PARIS", "London", "42", "1234567", "12345678", "1,234,567", "apple", "pear"]
    for _ in range(200):
        truths, said = draw.sample(words, draw.randint(1, 4)), phrase(draw, words, 5, ", ")
        yield (truths, said), match_all(said, truths), theirs["string_match_all"]([said], [truths])
        # Their second function divides by the number of references; any hit counts here.
        hit = theirs["string_match_part"]([said], [truths]) > 0
        yield (truths, said), match_part(said, truths), float(hit)
