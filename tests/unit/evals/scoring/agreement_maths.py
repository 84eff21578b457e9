"""Agreement of mathematical answers with the published scorers."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nanovl.evals.scoring.maths import math_equal
from nanovl.evals.scoring.ocr_reasoning import post_check
from nanovl.evals.scoring.statistics import paired_t_test
from nanovl.evals.scoring.vision_chains import chain_counts, create_dynamath_worst
from nanovl.evals.scoring.vision_maths import create_mathvista, evaluates_equal
from tests.unit.evals.scoring.agreement import (
    Pair,
    case,
    choice_function,
    frame,
    numpy,
    phrase,
    says_the_answer_is,
)
from tests.unit.evals.scoring.rows import installed, reference, sample, value


def post_check_of(path: str, edition: str) -> Callable[..., Any]:
    given = {"can_infer": choice_function(edition)}
    return reference("vlmeval", path, ["post_check", "list_to_dict"], given, edition=edition)[
        "post_check"
    ]


MATHS_WORDS = [
    "14",
    "14.0",
    "The answer is 14",
    "(A) 3/11",
    "A",
    "3/11",
    "1.20",
    "1.21",
    " 14 ",
    "B",
]
MATHS_WORDS += ["The answer is (B)", "text", "1.2", "['a']", "", "D", "x and y", "-3", "+3"]


def vista_pairs(draw: random.Random, edition: str, profile: str) -> Iterator[Pair]:
    theirs = post_check_of("dataset/utils/mathvista.py", edition)
    choices = ["3/11", "8/11", "text", "14"]
    for _ in range(300):
        said = phrase(draw, MATHS_WORDS, 2)
        kind = draw.choice(["choice", "integer", "float"])
        truth = {"choice": draw.choice("ABCD"), "integer": "14", "float": "1.2"}[kind]
        line = {
            "question_type": "multi_choice" if kind == "choice" else "free_form",
            "answer_type": "text" if kind == "choice" else kind,
            "choices": repr(choices),
            "answer": choices["ABCD".index(truth)] if kind == "choice" else truth,
            "answer_option": truth,
            "prediction": said,
        }
        read = theirs(line, prefetch=True)
        right = bool(read) and theirs({**line, "res": read}, prefetch=False)
        facts = {k: line[k] for k in ("question_type", "answer_type", "answer_option")}
        mine = value(create_mathvista(profile), line["answer"], said, choices=choices, **facts)
        yield (said, line), float(mine or 0), float(right)


@case("mathvista, newer VLMEvalKit", says_the_answer_is)
def _vista_newer(draw: random.Random) -> Iterator[Pair]:
    return vista_pairs(draw, "newer", "vk")


@case("mathvista, older VLMEvalKit")
def _vista_older(draw: random.Random) -> Iterator[Pair]:
    return vista_pairs(draw, "older", "legacy")


@case("ocr_reasoning (checking the extracted answer), newer VLMEvalKit", says_the_answer_is)
def _ocr_reasoning(draw: random.Random) -> Iterator[Pair]:
    theirs = post_check_of("dataset/utils/ocr_reasoning.py", "newer")
    choices = ["3/11", "8/11", "text", "14"]
    for _ in range(300):
        said = phrase(draw, [*MATHS_WORDS, "3 apples", "3apples"], 2)
        kind = draw.choice(["choice", "integer", "float", "text"])
        truth = {"choice": draw.choice("ABCD"), "integer": "14", "float": "1.2", "text": "3 apples"}
        line = {
            "question_type": "multi_choice" if kind == "choice" else "free_form",
            "answer_type": "text" if kind == "choice" else kind,
            "choices": repr(choices),
            "answer": truth[kind],
            "answer_option": truth[kind],
        }
        facts = {k: line[k] for k in ("question_type", "answer_type", "answer_option")}
        asked = sample(line["answer"], options=dict(zip("ABCD", choices, strict=True)), **facts)
        yield (said, line), post_check(asked, said)[0], theirs({**line, "res": said})


def names_their_variable(shown: tuple[str, str]) -> bool:
    """The letter that happens to name a variable of the code that evaluates the answer."""
    return shown[1].lower().strip() == "a"


@case("mathvision (equality), newer VLMEvalKit", names_their_variable)
def _vision(draw: random.Random) -> Iterator[Pair]:
    installed("vlmeval", "newer")

    def no_latex(text: str) -> Any:
        raise ValueError(text)

    extended = importlib.util.find_spec("latex2sympy2_extended")
    latex = importlib.import_module("latex2sympy2_extended").latex2sympy if extended else no_latex
    given = {"latex2sympy": latex, "print": lambda *a: None, "can_infer": None}
    path = "dataset/utils/mathv.py"
    theirs = reference("vlmeval", path, ["is_equal"], given, edition="newer")["is_equal"]
    pool = [
        "0.5",
        "1/2",
        "\\frac{1}{2}",
        "3",
        "3.0000001",
        "3.00001",
        "A",
        "a",
        " 7 ",
        "7",
        "16 cm",
    ]
    pool += ["16", "10%", "0.1", "1000", "-2", "2**3", "8", "(3)", "3.", "x"]
    for truth in pool:
        for said in pool:
            yield (truth, said), evaluates_equal(truth, said), theirs(said, truth)


@case("dynamath_worst (one answer), VLMEvalKit")
def _dynamath(draw: random.Random) -> Iterator[Pair]:
    class Mute:
        def generate(self, prompt: str) -> str:
            return "?!" * 20  # nothing can be read from it

    names = ["preprocess", "transfer", "parse_answer", "DynaMath_auxeval"]
    given = {"np": numpy(), "json": json}
    theirs = reference("vlmeval", "dataset/dynamath.py", names, given)["DynaMath_auxeval"]
    kinds = {"float": "3.142", "multiple choice": "B", "text": "even function"}
    answers = ["3.142", "3.143", "3.1431", "1\u03c0", "B", "(B) 12", "b", "AB", "even", "12 cm"]
    answers += ["The answer is B", "even function", "odd", "", "7"]
    metric = create_dynamath_worst("vk")
    for _ in range(400):
        kind, said = draw.choice(list(kinds)), draw.choice(answers)
        text = draw.choice(
            [
                json.dumps({"solution": "s", "short answer": said}),
                f"```json\n{json.dumps({'short answer': said})}\n```",
                json.dumps({"solution": "\\frac", "short answer": said}),
                said,
                json.dumps({"solution": said}),
            ]
        )
        line = {"prediction": text, "answer_type": kind, "answer": kinds[kind]}
        mine = value(metric, kinds[kind], text, answer_type=kind)
        yield (text, kind), float(mine or 0), float(theirs(Mute(), line)["correct"])


@case("wemath_strict, VLMEvalKit")
def _wemath(draw: random.Random) -> Iterator[Pair]:
    installed("vlmeval")
    names = ["evaluate_calculate_metrics", "evaluate_compute_final_scores"]
    theirs = reference("vlmeval", "dataset/utils/wemath.py", names)
    for _ in range(200):
        chains = [
            ([draw.random() < 0.7 for _ in range(draw.choice([2, 3]))], draw.random() < 0.6)
            for _ in range(draw.randint(3, 30))
        ]
        chains += [([True, True], True), ([True, True, True], True)]
        tables = []
        for steps in (2, 3):
            rows = [(said, final) for said, final in chains if len(said) == steps]
            columns: dict[str, list[Any]] = {"joker_multi": [final for _, final in rows]}
            for step in range(steps):
                columns[f"joker_{step + 1}"] = [said[step] for said, _ in rows]
            tables.append(frame(columns))
        counted = theirs["evaluate_calculate_metrics"](*tables)
        counts, _ = theirs["evaluate_compute_final_scores"](counted, len(chains))
        total = len(chains)
        lost = counts["InsufficientKnowledge"] + 0.5 * counts["InadequateGeneralization"]
        expected = [
            (total - lost - counts[f"RoteMemorization_{form}"]) / total
            for form in ("strict", "loose")
        ]
        mine = chain_counts(chains)
        yield chains, [mine.strict, mine.loose], expected


@case("math_equal, math-verify", lambda shown: decided_as_text(*shown))
def _maths(draw: random.Random) -> Iterator[Pair]:
    verify = pytest.importorskip("math_verify", reason="needs the extra 'evals'")
    pool = ["42", "42.0", "0.5", "\\frac12", "\\frac{1}{2}", "(1,2)", "(1, 2)", "x^2+1", "1+x^2"]
    pool += ["\\sqrt{8}", "2\\sqrt{2}", "12^2", "144", "0.333", "[0,1)"]

    parsed = {text: verify.parse(f"${text}$", parsing_timeout=None) for text in pool}

    def theirs(truth: str, said: str) -> bool:
        left, right = parsed[truth], parsed[said]
        return bool(verify.verify(left, right, numeric_precision=15, timeout_seconds=None))

    for truth in pool:
        for said in pool:
            yield (truth, said), math_equal(truth, said), theirs(truth, said)


def decided_as_text(truth: str, said: str) -> bool:
    """Digits alone, or words alone: the protocol compares them as text."""
    return all(re.fullmatch(r"[\d ]+|[A-Za-z ]+", text) for text in (truth, said))


@case("paired t-test, lmms-eval")
def _paired(draw: random.Random) -> Iterator[Pair]:
    installed("lmms_eval")
    pytest.importorskip("scipy", reason="compares with code that needs 'scipy'")
    theirs = reference("lmms_eval", "api/metrics.py", ["paired_ttest"], {"math": math})
    for _ in range(200):
        count = draw.randint(3, 30)
        one, two = ([draw.choice([0.0, 0.5, 1.0]) for _ in range(count)] for _ in range(2))
        if len({a - b for a, b in zip(one, two, strict=True)}) == 1:
            one[0] = one[0] + 0.25
        mine, wanted = paired_t_test(one, two), theirs["paired_ttest"](one, two)
        keys = ("mean_diff", "se_diff", "t_stat", "p_value", "ci_lower", "ci_upper")
        ours = [mine.difference, mine.error, mine.t, mine.p, mine.low, mine.high]
        yield (one, two), ours, [wanted[key] for key in keys]
