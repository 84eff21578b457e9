"""MMLongBench-Doc: answers of several formats about long documents, accuracy and F1.

The reference lets a judge turn a free text into a short answer, which rules then compare. Without
a judge three substitutes for that step exist, in this order: what the same model made of its own
answer (`response.meta["self_extract"]`), a deterministic extraction, the answer as it is.

Source: evaluation specification, section 6.20.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import distance
from nanovl.evals.scoring.extraction import as_list, final_answer
from nanovl.evals.scoring.judging import Prompt, consult, extracted_answer
from nanovl.evals.scoring.tally import mean_result, values

__all__ = [
    "NOT_ANSWERABLE",
    "MmLongBench",
    "create_mmlongbench",
    "f1_score",
    "format_score",
    "self_extract_prompt",
]

NOT_ANSWERABLE = "Not answerable"
"""The right answer where a document does not tell, and how a prediction says so."""

_THRESHOLD = 0.5
_TOLERANCE = 0.01

_PROMPT = Prompt(
    name="mmlongbench",
    text=(
        "Below are a question about a document and a free-form reply to it. Write down the short "
        "answer the reply gives, without judging whether it is right.\n"
        "- The answer is an integer, a number with decimals, a short text, or a list written as "
        "['first', 'second'].\n"
        "- If the reply says that the document does not tell, the answer is: Not answerable\n"
        "- If the reply only says that it cannot read the document, the answer is: Fail to answer\n"
        "- Be as brief as possible and reply in exactly two lines:\n"
        "Extracted answer: <answer>\nAnswer format: <Integer, Float, String or List>\n\n"
        "Question: {question}\nReply: {reply}"
    ),
    reminder="Reply in exactly two lines, 'Extracted answer: ...' and 'Answer format: ...'.",
)


def self_extract_prompt(question: str, reply: str) -> str:
    """The second, text-only turn in which a model shortens its own answer.

    Its reply (greedy, at most 64 tokens) goes into `response.meta["self_extract"]`.
    """
    return _PROMPT.fill(question=question, reply=reply)


def _short_answer(reply: str) -> str | None:
    return extracted_answer(reply.split("Answer format:")[0])


def _clean(value: Any) -> str:
    """Lower case without brackets, outer quotes, a leading dollar and a trailing percent sign.

    NOTE(parity): the reference also means to drop the units mile, miles and million but throws
    the result away, so they stay.
    """
    text = re.sub(r"\s*\([^)]*\)", "", str(value).lower().strip()).strip()
    text = re.sub(r"^['\"]|['\"]$", "", text).strip()
    return text.lstrip("$").strip().rstrip("%").strip()


def _must_be_exact(text: str) -> bool:
    """Whether similarity makes no sense: addresses, files, pages, numbers, times, dates."""
    return (
        "https://" in text
        or text.endswith((".py", "ipynb"))
        or text.startswith("page")
        or "a.m." in text
        or "p.m." in text
        or re.fullmatch(r"\d+(?:[-\s]\d+)?", text) is not None
        or re.fullmatch(r"\d{4}[-\s]\d{2}(?:[-\s]\d{2})?", text) is not None
        or re.fullmatch(r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}", text) is not None
    )


def _similarity(left: str, right: str) -> float:
    longest = max(len(left), len(right))
    value = 1.0 - (distance(left, right) / longest if longest else 0.0)
    return value if value > _THRESHOLD else 0.0


def _number(value: Any) -> float | None:
    try:
        return float(_clean(value))
    except ValueError:
        return None


def _decimals(value: float) -> int:
    text = str(value)
    return len(text.rpartition(".")[2]) if "." in text else 3


def _float_score(truth: Any, answer: Any) -> float:
    wanted, given = _number(truth), _number(answer)
    if wanted is None or given is None or not math.isfinite(given):
        return 0.0
    for scale in (1 / 100, 1, 100):
        target = wanted / 100 if scale < 1 else wanted * scale
        digits = max(min(_decimals(given), _decimals(target)), 2)
        near = math.isclose(target, given, rel_tol=_TOLERANCE)
        if near or round(given, digits) == round(target, digits):
            return 1.0
    return 0.0


def _int_score(truth: Any, answer: Any) -> float:
    try:
        return float(int(truth) == int(float(answer)))
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _text_score(truth: Any, answer: Any) -> float:
    wanted, given = _clean(truth), _clean(answer)
    return float(wanted == given) if _must_be_exact(wanted) else _similarity(wanted, given)


def _list_score(truth: Any, answer: Any) -> float:
    wanted = as_list(truth) if str(truth).startswith("[") or isinstance(truth, list) else None
    given = as_list(answer) if str(answer).startswith("[") or isinstance(answer, list) else None
    left = sorted(_clean(item) for item in (wanted if wanted is not None else [truth]))
    right = sorted(_clean(item) for item in (given if given is not None else [answer]))
    if len(left) != len(right) or not left:
        return 0.0
    if _number(left[0]) is not None or _must_be_exact(left[0]):
        return float(left == right)
    return min(_similarity(a, b) for a, b in zip(left, right, strict=True))


def format_score(truth: Any, answer: Any, answer_format: str) -> float:
    """How well a short answer fits the reference, 0 to 1.

    Args:
        truth: The reference.
        answer: The short answer.
        answer_format: "Int", "Float", "Str", "None" or "List", as in the file.
    """
    scores = {"Int": _int_score, "Float": _float_score, "Str": _text_score, "None": _text_score}
    return scores.get(answer_format, _list_score)(truth, answer)


def f1_score(rows: Sequence[tuple[bool, bool, float]]) -> float:
    """F1 of rows (question has an answer, prediction is an answer, score).

    Recall is the mean score over questions that have an answer, precision that over predictions
    that are one.
    """
    of_truth = [score for answerable, _, score in rows if answerable]
    of_given = [score for _, given, score in rows if given]
    if not of_truth or not of_given:
        return 0.0
    recall, precision = sum(of_truth) / len(of_truth), sum(of_given) / len(of_given)
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def _first_number(text: str) -> str | None:
    found = re.search(r"-?\d[\d,]*(?:\.\d+)?", text)
    return found.group().replace(",", "").rstrip(".") if found else None


def _proxy_answer(text: str, answer_format: str) -> str:
    """nanovl's deterministic extraction."""
    if re.search(r"\bnot answerable\b|\bunanswerable\b", text, re.IGNORECASE):
        return NOT_ANSWERABLE
    if answer_format in ("Int", "Float"):
        found = final_answer(text) or ""
        return _first_number(found) or found
    if answer_format == "List":
        spelled = re.search(r"\[[^\[\]]*\]", text)
        if spelled:
            return spelled.group()
        items = [item.strip(" .") for item in re.split(r",|;|\band\b", final_answer_text(text))]
        return str([item for item in items if item])
    return final_answer_text(text)


def final_answer_text(text: str) -> str:
    """The final answer where it is no number: what follows a marker, else the last line."""
    marked = re.split(r"answer\s*(?:is\s*:?|:)\s*", text, flags=re.IGNORECASE)[-1]
    lines = [line.strip() for line in marked.splitlines() if line.strip()]
    return lines[0 if len(marked) < len(text) else -1].strip(" .*") if lines else ""


@dataclass(frozen=True)
class MmLongBench:
    """Mean score of the answers, 0 to 1; `parts["f1"]` is the benchmark's other number."""

    name: str = "mmlongbench"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Score of one answer; the format comes from `meta["answer_format"]`.

        Level "rules" takes the answer as it is, with the first number of the text for numbers.
        """
        kind = str(sample.meta.get("answer_format") or "None")
        text = response.text.strip()
        detail: dict[str, Any] = {"proxy": True}
        decided: Level = "rules"
        if level == "judge":
            if judge is None:
                detail = {"reason": "needs a judge", "given": True}
                return Verdict(value=None, level="judge", detail=detail)
            asked = consult(judge, _PROMPT, _short_answer, question=sample.question, reply=text)
            if asked.value is None:
                return Verdict(value=None, level="judge", detail={**asked.detail, "given": True})
            answer, decided, detail = asked.value, "judge", dict(asked.detail)
        elif level == "extended" and response.meta.get("self_extract"):
            answer = _short_answer(str(response.meta["self_extract"])) or ""
            decided, detail["method"] = "extended", "self-extract"
        elif level == "extended":
            answer, decided = _proxy_answer(text, kind), "extended"
        else:
            answer = (_first_number(text) or text) if kind in ("Int", "Float") else text
        detail["given"] = answer != NOT_ANSWERABLE
        detail["answerable"] = str(sample.answer) != NOT_ANSWERABLE
        value = format_score(sample.answer, answer, kind) if answer else 0.0
        return Verdict(value=value, extracted=answer, level=decided, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy; groups by source of evidence and by number of pages."""
        rows = [
            (
                str(item.sample.answer) != NOT_ANSWERABLE,
                bool(item.verdict.detail.get("given", True)),
                value,
            )
            for item, value in zip(scored, values(scored), strict=True)
        ]
        result = mean_result(
            scored,
            self.name,
            columns=_columns,
            parts={"f1": f1_score(rows)},
        )
        return Result(
            score=result.score,
            num_samples=result.num_samples,
            groups=result.groups,
            parts={**result.parts, "accuracy": result.score},
            unscored=result.unscored,
        )


def _columns(item: Scored) -> Iterable[str]:
    sources = as_list(item.sample.meta.get("evidence_sources")) or []
    pages = as_list(item.sample.meta.get("evidence_pages"))
    yield from (str(source) for source in sources)
    if pages is not None:
        yield ("unanswerable", "single-page", "multi-page")[min(len(pages), 2)]


def create_mmlongbench(profile: str = "default") -> MmLongBench:
    """The metric; profiles make no difference."""
    return MmLongBench()
