"""OCR-Reasoning: final answers to questions that need reading and several steps.

The reference lets one judge extract the answer, compares by rules, and lets another rate the
reasoning. Without a judge the answer is extracted by nanovl's own rules (marked `proxy`), and the
reasoning is not rated.

Source: evaluation specification, section 6.26.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choices import letter_by_extension, letter_by_rules
from nanovl.evals.scoring.extraction import after_answer_marker, boxed, last_line
from nanovl.evals.scoring.judging import Prompt, bracketed, consult, extracted_answer
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.vision_maths import EXTRACT, lettered, proxy_equal

__all__ = ["OcrReasoning", "create_ocr_reasoning", "post_check"]

_RATE = Prompt(
    name="ocr_reasoning_rating",
    text=(
        "Below are a question, a reference solution and the solution of an assistant. Compare the "
        "assistant's steps with the reference, name mistakes, and be objective. Then rate the "
        "assistant's solution from 1 (useless) to 10 (fully right), exactly in the form "
        "Rating: [[5]]\n\nQuestion:\n{question}\n\nReference solution:\n{reference}\n\n"
        "Assistant's solution:\n{reply}"
    ),
    reminder="End your reply with the rating in the form [[5]].",
)
_RATINGS = [str(number) for number in range(1, 11)]


def _options(sample: Sample) -> dict[str, str]:
    return dict(sample.options) or lettered(sample.meta.get("choices"))


def _is_choice(sample: Sample) -> bool:
    return sample.meta.get("question_type") == "multi_choice"


def _truth(sample: Sample) -> str:
    if _is_choice(sample):
        return str(sample.meta.get("answer_option") or sample.answer).strip()
    return str(sample.answer)


def post_check(sample: Sample, answer: str) -> tuple[bool, Any]:
    """The reference's check of a short answer: right or not, and what was read (None: nothing).

    Letters by the option rules, integers and floats as Python reads them, texts without blanks.
    """
    truth, kind = _truth(sample), sample.meta.get("answer_type")
    if _is_choice(sample):
        letter = letter_by_rules(answer, _options(sample))
        return letter == truth, letter
    try:
        if kind == "integer":
            return int(answer) == int(truth), int(answer)
        if kind == "float":
            return float(answer) == float(truth), float(answer)
    except ValueError:
        return False, None
    bare = answer.replace(" ", "")
    return bare == truth.replace(" ", ""), bare or None


def _flat(text: str) -> str:
    """Without blanks, full-width forms, separators of thousands and closing stops; lower case."""
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).lower()
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return text.strip("*`$'\"").rstrip(".\u3002")


def _unit_free(text: str, form: str) -> str:
    """An answer without what the format shows around its hole, such as a currency or a unit."""
    around = re.split(r"\{[^{}]*\}|<[^<>]*>|_+|x+", _flat(form), maxsplit=1)
    if len(around) == 2:
        text = text.removeprefix(around[0]).removesuffix(around[1])
    return re.sub(r"(?<=\d)[^\d.%]+$", "", re.sub(r"^[^\d+\-(\\]+(?=\d)", "", text))


@dataclass(frozen=True)
class OcrReasoning:
    """Share of right answers, 0 to 1; groups are tasks.

    With a judge, `parts["reasoning"]` is the mean rating of the reasoning, 0 to 1.

    Attributes:
        rate: Whether a judge also rates the reasoning.
    """

    rate: bool = True
    name: str = "ocr_reasoning"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """The reference's check of the whole text first; the rest goes to the level's method."""
        text = response.text.strip()
        right, read = post_check(sample, text)
        decided = right or (read is not None and (_is_choice(sample) or not isinstance(read, str)))
        detail: dict[str, Any] = {}
        if level == "judge" and judge is not None and self.rate:
            detail = self._rating(sample, text, judge)
        if decided:
            return Verdict(value=float(right), extracted=read, detail=detail)
        if level == "judge":
            if judge is None:
                return Verdict(value=None, level="judge", detail={"reason": "needs a judge"})
            asked = consult(judge, EXTRACT, extracted_answer, question=sample.question, reply=text)
            detail = {**asked.detail, **detail}
            if asked.value is None:
                return Verdict(value=None, level="judge", detail=detail)
            right, _ = post_check(sample, asked.value)
            return Verdict(value=float(right), extracted=asked.value, level="judge", detail=detail)
        if level == "extended":
            return self._extended(sample, text)
        return Verdict(value=0.0, detail={"parsed": False})

    def _extended(self, sample: Sample, text: str) -> Verdict:
        truth = _truth(sample)
        if _is_choice(sample):
            answer = letter_by_extension(text, _options(sample))
            right = answer == truth
        else:
            box = boxed(text)
            answer = box if box else after_answer_marker(text) or last_line(text) or None
            right = answer is not None and self._matches(sample, truth, answer)
        detail = {"proxy": True, "parsed": answer is not None}
        return Verdict(value=float(right), extracted=answer, level="extended", detail=detail)

    def _matches(self, sample: Sample, truth: str, answer: str) -> bool:
        wanted, given = _flat(truth), _flat(answer)
        if wanted == given:
            return True
        form = str(sample.meta.get("format") or "")
        return proxy_equal(_unit_free(wanted, form), _unit_free(given, form))

    def _rating(self, sample: Sample, text: str, judge: Judge) -> dict[str, Any]:
        asked = consult(
            judge,
            _RATE,
            lambda reply: bracketed(reply, _RATINGS),
            question=sample.question,
            reference=str(sample.meta.get("reasoning", "")),
            reply=text,
        )
        return {} if asked.value is None else {"reasoning_rating": int(asked.value) / 10}

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy."""
        rated = [
            float(item.verdict.detail["reasoning_rating"])
            for item in scored
            if "reasoning_rating" in item.verdict.detail
        ]
        parts = {"reasoning": sum(rated) / len(scored)} if rated else {}
        return mean_result(scored, self.name, columns=_columns, parts=parts)


def _columns(item: Scored) -> Iterable[str]:
    task = item.sample.meta.get("task") or item.sample.category
    return (str(task),) if task else ()


def create_ocr_reasoning(profile: str = "default") -> OcrReasoning:
    """The metric; profiles make no difference."""
    return OcrReasoning()
