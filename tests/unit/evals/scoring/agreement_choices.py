"""Agreement of options, yes and no, clicks and boxes with the published scorers."""

from __future__ import annotations

import collections
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nanovl.evals.scoring.choices import letter_by_rules
from nanovl.evals.scoring.mlvu import create_mlvu_mavg
from nanovl.evals.scoring.points import mean_best_iou, parse_click_vk, tagged_boxes
from nanovl.evals.scoring.yesno import create_hallusion, create_pope_f1
from tests.unit.evals.scoring.agreement import (
    TOYS,
    Pair,
    case,
    choice_function,
    frame,
    numpy,
    phrase,
    says_the_answer_is,
)
from tests.unit.evals.scoring.rows import installed, judged, reference, value


@case("mcq_letter, newer VLMEvalKit", says_the_answer_is)
def _letters(draw: random.Random) -> Iterator[Pair]:
    theirs = choice_function("newer")
    words = [*"ABCDZ", "b", "(A)", "B.", "**C**", "the", "answer", "is:", "cat", "a", "rabbit"]
    words += ["teddy", "bear", "dog", "or", "not", "Cannot determine the answer", "{D}", "A,B"]
    words += ["The answer is", "correct", "**", "answer is"]
    for options in (TOYS, {"A": "Yes", "B": "No"}, {"A": "10", "B": "100", "C": "1"}):
        for _ in range(300):
            text = phrase(draw, [*words, *options.values()], 9)
            shown = (text, options)
            yield shown, letter_by_rules(text, options), theirs(text, dict(options)) or None


@case("mlvu_mavg, newer VLMEvalKit", lambda shown: says_the_answer_is((shown[1], None)))
def _mlvu_newer(draw: random.Random) -> Iterator[Pair]:
    return mlvu_pairs(draw, "newer", "vk")


@case("mlvu_mavg, older VLMEvalKit")
def _mlvu_older(draw: random.Random) -> Iterator[Pair]:
    return mlvu_pairs(draw, "older", "legacy")


def mlvu_pairs(draw: random.Random, edition: str, profile: str) -> Iterator[Pair]:
    infer = choice_function(edition)

    def extract(model: Any, item: dict[str, Any], name: str) -> dict[str, Any]:
        return {"opt": infer(item["prediction"], dict(TOYS)) or "Z"}

    theirs = reference(
        "vlmeval",
        "dataset/utils/mlvu.py",
        ["check_ans_with_model"],
        {"extract_answer_from_item": extract},
        edition=edition,
    )["check_ans_with_model"]
    words = ["B", "(B)", "B)", "(A)", "rabbit", "The best option is", "or", "cat", "answer is C"]
    for _ in range(300):
        truth, said = draw.choice("ABCD"), phrase(draw, words, 5)
        item = {"answer": truth, "prediction": said}
        right = theirs(said, f"({truth}) {TOYS[truth]}", None, item)
        mine = value(create_mlvu_mavg(profile), truth, said, options=TOYS)
        yield (truth, said), mine, float(right)


@case("point_in_box (reading the click), newer VLMEvalKit")
def _clicks(draw: random.Random) -> Iterator[Pair]:
    path = "dataset/GUI/screenspot.py"
    theirs = reference("vlmeval", path, ["parse_bbox_aguvis"], edition="newer")["parse_bbox_aguvis"]
    words = ["x=0.12, y=0.45", "x=140,y=2", "x=1", ", ", "y=3", "click(0.5, 0.25)", "x=-1, y=2"]
    words += ["pyautogui.click(x=3, y=4.5)", "x=7., y=.5", "x=.5, y=0"]
    for _ in range(300):
        text = phrase(draw, words, 4, "")
        yield text, parse_click_vk(text), tuple(theirs(text))


@case("mcq_first_letter (TreeBench boxes), newer VLMEvalKit")
def _tree(draw: random.Random) -> Iterator[Pair]:
    path = "dataset/image_mcq.py"
    theirs = reference("vlmeval", path, ["evaluate_box_iou"], edition="newer")["evaluate_box_iou"]

    def box() -> list[int]:
        return [draw.randint(0, 6) for _ in range(4)]

    for _ in range(300):
        targets = [
            [a, b, a + draw.randint(1, 4), b + draw.randint(1, 4)]
            for a, b, _, _ in (box() for _ in range(draw.randint(1, 3)))
        ]
        said = " ".join(
            f"<box>{json.dumps(box(), separators=(draw.choice([',', ', ', ',']), ':'))}</box>"
            for _ in range(draw.randint(0, 4))
        )
        mine = mean_best_iou(tagged_boxes(said), [tuple(target) for target in targets])
        yield (targets, said), mine, theirs(said, targets)


def tables_of_answers(draw: random.Random) -> list[dict[str, Any]]:
    rows = []
    for number in range(draw.randint(4, 16)):
        truth, said = draw.choice(["Yes", "No"]), draw.choice(["Yes", "No", "Unknown"])
        kinds = draw.sample(["adversarial", "popular", "random"], draw.randint(1, 2))
        kind = draw.choice(["VD", "VS"])
        index = f"{kind}_x_y_{draw.randint(0, 1)}_{draw.randint(0, 2)}_{number % 3}"
        rows.append(
            {
                "index": index,
                "answer": truth,
                "extracted": said,
                "score": truth == said,
                "category": ",".join(kinds),
                "l2-category": draw.choice(["chart", "map"]),
            }
        )
    return rows


def rating(name: str) -> Callable[[list[dict[str, Any]]], dict[str, float]]:
    """The first line of the kit's table for some rows."""
    installed("vlmeval")
    pandas = pytest.importorskip("pandas", reason="the harness keeps tables in 'pandas'")
    given = {
        "np": numpy(),
        "pd": pandas,
        "defaultdict": collections.defaultdict,
        "load": lambda table: table,
    }
    function = reference("vlmeval", "dataset/utils/yorn.py", [name], given)[name]

    def rate(rows: list[dict[str, Any]]) -> dict[str, float]:
        found = function(frame({key: [row[key] for row in rows] for key in rows[0]}))
        return {key: float(found[key].iloc[0]) for key in found.columns if key != "split"}

    return rate


def judged_rows(rows: list[dict[str, Any]]) -> list[Any]:
    return [
        judged(
            float(row["score"]),
            row["extracted"],
            answer=row["answer"],
            id=row["index"],
            category=row["category"],
            meta={"l2-category": row["l2-category"]},
        )
        for row in rows
    ]


@case("pope_f1, VLMEvalKit")
def _pope(draw: random.Random) -> Iterator[Pair]:
    rate = rating("POPE_rating")
    for _ in range(200):
        rows = tables_of_answers(draw)
        theirs = rate(rows)
        mine = create_pope_f1("vk").aggregate(judged_rows(rows))
        ours = [mine.score, mine.parts["accuracy"], mine.parts["precision"], mine.parts["recall"]]
        yield rows, ours, [theirs[k] for k in ("Overall", "acc", "precision", "recall")]


@case("hallusion, VLMEvalKit")
def _hallusion(draw: random.Random) -> Iterator[Pair]:
    rate = rating("Hallusion_rating")
    for _ in range(200):
        rows = tables_of_answers(draw)
        theirs = rate(rows)
        mine = create_hallusion("vk").aggregate(judged_rows(rows))
        keys = ("aAcc", "fAcc", "qAcc")
        yield rows, [mine.parts[k] for k in keys], [theirs[k] for k in keys]
