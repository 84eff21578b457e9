"""Mathematics on pictures: MathVista, MathVision and MathVerse.

Each metric has the reference's rules for answers that can be read as they are (level "rules"),
nanovl's deterministic extraction for the others (level "extended", marked `proxy`), and the
reference's way through a judge (level "judge"). DynaMath, LogicVista and WeMath are in
`vision_chains`.

Source: evaluation specification, sections 6.19 and 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choices import letter_by_extension, letter_by_rules
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import arithmetic, as_list, final_answer, latex_number
from nanovl.evals.scoring.judging import Prompt, consult, extracted_answer, zero_or_one
from nanovl.evals.scoring.maths import math_equal
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.text import answer_list
from nanovl.evals.scoring.vision_chains import (
    create_dynamath_worst,
    create_logicvista,
    create_wemath_strict,
)

__all__ = [
    "EXTRACT",
    "MathVerse",
    "MathVision",
    "MathVista",
    "create_dynamath_worst",
    "create_logicvista",
    "create_mathverse",
    "create_mathvision",
    "create_mathvista",
    "create_wemath_strict",
    "evaluates_equal",
    "lettered",
    "proxy_equal",
]

_ABSOLUTE = 1e-6
_RELATIVE = 1e-6

EXTRACT = Prompt(
    name="extract",
    text=(
        "Below are a question and the reply somebody gave to it. Write down the final answer the "
        "reply gives, as short as possible, without judging whether it is right: a number, a "
        "word, a list, or the letter of an option where the question has options.\n\n"
        "Example\nQuestion: How many red blocks are left?\n"
        "Reply: Seven are taken from twenty, so thirteen red blocks are left.\n"
        "Extracted answer: 13\n\n"
        "Question: {question}\nReply: {reply}\nExtracted answer:"
    ),
    reminder="Write the extracted answer only.",
)

_COMPARE = Prompt(
    name="mathverse_compare",
    text=(
        "Below are a question, its right answer and an answer somebody gave. Do the two answers "
        "mean the same? Other units of the same size and other ways to write the same number or "
        "expression are the same; for a question with options the letter counts. Reply with 1 if "
        "they mean the same and with 0 if not, and nothing else.\n\n"
        "Question: {question}\nRight answer: {truth}\nGiven answer: {answer}\nVerdict:"
    ),
    reminder="Reply with 0 or 1 and nothing else.",
)


def lettered(choices: Any) -> dict[str, str]:
    """Letters A, B, ... for a list of choices, also one in a cell; empty when there are none."""
    if choices is None or choices == "":
        return {}
    texts = as_list(choices)
    return {chr(ord("A") + place): str(text) for place, text in enumerate(texts or [])}


def evaluates_equal(truth: str, answer: str) -> bool:
    """Equality of the reference: as lower-case text, or as numbers up to 1e-6.

    Numbers are Python arithmetic or LaTeX without roots and constants; nothing is executed.
    """
    left, right = truth.lower().strip(), answer.lower().strip()
    if left == right:
        return True
    for value in (arithmetic, latex_number):
        a, b = value(left), value(right)
        if a is not None and b is not None and abs(a - b) < _ABSOLUTE:
            return True
    return False


def _decimals(text: str) -> int | None:
    found = re.fullmatch(r"[-+]?\d*\.(\d+)", text.strip())
    return len(found.group(1)) if found else None


def proxy_equal(truth: str, answer: str, *, decimals: int | None = None) -> bool:
    """nanovl's own comparison: text, number (1e-6 relative or the truth's decimals), expression.

    Args:
        truth: The reference.
        answer: The extracted answer.
        decimals: Decimals to round to; None takes those of the truth.

    Raises:
        BackendError: An expression has to be compared and math-verify is not installed.
    """
    if evaluates_equal(truth, answer):
        return True
    left, right = latex_number(truth), latex_number(answer)
    if left is None and right is None and not re.search(r"[\d\\^_=+*/]", truth):
        return False  # words; nothing left to compare as mathematics
    if left is not None and right is not None:
        if abs(left - right) <= _RELATIVE * abs(left):
            return True
        digits = decimals if decimals is not None else _decimals(truth)
        return digits is not None and round(left, digits) == round(right, digits)
    return math_equal(truth, answer)


def _unparsed(level: Level) -> Verdict:
    return Verdict(value=0.0, level=level, detail={"parsed": False})


def _no_judge() -> Verdict:
    return Verdict(value=None, level="judge", detail={"reason": "needs a judge", "parsed": False})


def _proxy(value: bool, answer: str | None) -> Verdict:
    detail = {"proxy": True, "parsed": answer is not None}
    return Verdict(value=float(value), extracted=answer, level="extended", detail=detail)


def _choice(text: str, options: Mapping[str, str], profile: str) -> str | None:
    return letter_by_rules(text, options, legacy=profile == "legacy")


@dataclass(frozen=True)
class MathVista:
    """Share of right answers, 0 to 1; groups are tasks and skills.

    Attributes:
        profile: "vk" and "legacy" keep a slip of the reference by which free-form text and list
            answers are always wrong.
    """

    profile: str = "default"
    name: str = "mathvista"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Rules on the whole text first; what they cannot read goes to the level's method."""
        text = response.text.strip()
        right, read = self._check(sample, text)
        if read is not None:
            return Verdict(value=float(right), extracted=read)
        if level == "judge":
            if judge is None:
                return _no_judge()
            asked = consult(judge, EXTRACT, extracted_answer, question=sample.question, reply=text)
            if asked.value is None:
                return Verdict(value=None, level="judge", detail=asked.detail)
            right, _ = self._check(sample, asked.value, extracted=True)
            return Verdict(
                value=float(right), extracted=asked.value, level="judge", detail=asked.detail
            )
        return self._extended(sample, text) if level == "extended" else _unparsed("rules")

    def _options(self, sample: Sample) -> dict[str, str]:
        return dict(sample.options) or lettered(sample.meta.get("choices"))

    def _is_choice(self, sample: Sample) -> bool:
        kind = sample.meta.get("question_type")
        return kind == "multi_choice" if kind else bool(self._options(sample))

    def _truth(self, sample: Sample) -> str:
        if self._is_choice(sample):
            return str(sample.meta.get("answer_option") or sample.answer).strip()
        return str(sample.answer)

    def _check(self, sample: Sample, text: str, *, extracted: bool = False) -> tuple[bool, Any]:
        """The reference's check of a short text: right or not, and what was read, if anything."""
        truth = self._truth(sample)
        if self._is_choice(sample):
            letter = _choice(text, self._options(sample), self.profile)
            return letter == truth, letter
        kind = sample.meta.get("answer_type")
        try:
            if kind == "integer":
                return int(text) == int(truth), int(text)
            if kind == "float":
                return float(text) == float(truth), float(text)
        except ValueError:
            return False, None
        if self.profile != "default":
            return False, None  # the reference compares a variable that is still empty
        same = text == truth
        return same, text if same or extracted else None

    def _extended(self, sample: Sample, text: str) -> Verdict:
        truth = self._truth(sample)
        if self._is_choice(sample):
            letter = letter_by_extension(text, self._options(sample))
            return _proxy(letter == truth, letter)
        answer = final_answer(text)
        if answer is None:
            return _unparsed("extended")
        wanted = as_list(truth)
        if wanted is not None:
            spelled = re.findall(r"[\[(][^\[\]()]*[\])]", text)
            given = as_list(spelled[-1]) if spelled else None
            return _proxy(given is not None and _lists_equal(wanted, given), answer)
        precision = sample.meta.get("precision")
        decimals = None
        if sample.meta.get("answer_type") == "float" and precision not in (None, ""):
            number = latex_number(str(precision))
            decimals = int(number) if number is not None else None
        return _proxy(proxy_equal(truth, answer, decimals=decimals), answer)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy."""
        return mean_result(scored, self.name, columns=_vista_columns)


def _lists_equal(wanted: Sequence[object], given: Sequence[object]) -> bool:
    return len(wanted) == len(given) and all(
        evaluates_equal(str(a), str(b)) for a, b in zip(wanted, given, strict=True)
    )


def _vista_columns(item: Scored) -> Iterable[str]:
    task = item.sample.meta.get("task") or item.sample.category
    skills = item.sample.meta.get("skills")
    yield from (str(name) for name in ([task] if task else []))
    yield from (answer_list(skills) if skills else [])


@dataclass(frozen=True)
class MathVision:
    """Share of right answers, 0 to 1.

    NOTE(parity): the reference evaluates answers as Python; here they are parsed as arithmetic,
    so what only Python understands (other than numbers and `+ - * / **`) is not equal.
    """

    profile: str = "default"
    name: str = "mathvision"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Rules on the boxed or whole text first; the rest goes to the level's method."""
        text = response.text.strip()
        options = dict(sample.options) or lettered(sample.meta.get("choices"))
        truth = str(sample.answer)
        # The reference takes the first box and reads it up to the first closing brace.
        box = re.search(r"\\boxed\{([^}]*)\}", text)
        short = box.group(1) if box else text
        if options:
            letter = _choice(short, options, self.profile)
            if letter is not None:
                return Verdict(value=float(evaluates_equal(truth, letter)), extracted=letter)
        elif evaluates_equal(truth, short):
            return Verdict(value=1.0, extracted=short)
        if level == "judge":
            if judge is None:
                return _no_judge()
            asked = consult(judge, EXTRACT, extracted_answer, question=sample.question, reply=text)
            if asked.value is None:
                return Verdict(value=None, level="judge", detail=asked.detail)
            found = _choice(asked.value, options, self.profile) if options else asked.value
            right = found is not None and evaluates_equal(truth, found)
            return Verdict(value=float(right), extracted=found, level="judge", detail=asked.detail)
        if level != "extended":
            return _unparsed("rules")
        if options:
            letter = letter_by_extension(text, options)
            return _proxy(letter == truth.strip(), letter)
        answer = final_answer(text)
        return _proxy(answer is not None and proxy_equal(truth, answer), answer)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy; groups are subjects."""
        return mean_result(scored, self.name)


@dataclass(frozen=True)
class MathVerse:
    """Share of right answers, 0 to 1.

    The reference needs a judge twice: to extract and, unless the texts are equal, to compare.
    """

    profile: str = "default"
    name: str = "mathverse"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Level "rules" knows equal texts only; the rest goes to the level's method."""
        text, truth = response.text.strip(), str(sample.answer).strip()
        if text == truth:
            return Verdict(value=1.0, extracted=text)
        if level == "judge":
            return self._judged(sample, text, truth, judge)
        if level != "extended":
            return _unparsed("rules")
        options = dict(sample.options) or _options_in(self._question(sample))
        if re.fullmatch("[A-Z]", truth):
            options = options or {letter: "" for letter in "ABCDE"}
            letter = letter_by_rules(text, options) or letter_by_extension(text, options)
            return _proxy(letter == truth, letter)
        answer = final_answer(text)
        return _proxy(answer is not None and proxy_equal(truth, answer), answer)

    def _question(self, sample: Sample) -> str:
        return str(sample.meta.get("question_for_eval") or sample.question)

    def _judged(self, sample: Sample, text: str, truth: str, judge: Judge | None) -> Verdict:
        if judge is None:
            return _no_judge()
        asked = consult(
            judge, EXTRACT, extracted_answer, question=self._question(sample), reply=text
        )
        if asked.value is None:
            return Verdict(value=None, level="judge", detail=asked.detail)
        answer = asked.value.strip()
        if answer == truth:
            return Verdict(value=1.0, extracted=answer, level="judge", detail=asked.detail)
        compared = consult(
            judge,
            _COMPARE,
            zero_or_one,
            question=self._question(sample),
            truth=truth,
            answer=answer,
        )
        return Verdict(
            value=None if compared.value is None else float(compared.value),
            extracted=answer,
            level="judge",
            detail=compared.detail,
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy."""
        return mean_result(scored, self.name)


def _options_in(question: str) -> dict[str, str]:
    """Options spelled in a question, one a line: `A: 1`, `B. 2`."""
    found = re.findall(r"^\s*\(?([A-H])[:.)]\s*(\S.*?)\s*$", question, re.MULTILINE)
    return dict(found) if len(found) > 1 else {}


def create_mathvista(profile: str = "default") -> MathVista:
    """The metric."""
    return MathVista(profile=profile)


def create_mathvision(profile: str = "default") -> MathVision:
    """The metric."""
    return MathVision(profile=profile)


def create_mathverse(profile: str = "default") -> MathVerse:
    """The metric; profiles make no difference."""
    return MathVerse(profile=profile)
