"""Short answers in pictures of text: words, counts, formulas, letters and boxes.

The rules of OCRBench v2 that fit a few lines each. Which type of question each one scores is
decided in `ocrbench_v2`.

Source: evaluation specification, section 6.10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.scoring.edits import similarity

__all__ = [
    "box_from_text",
    "box_iou",
    "counting_score",
    "formula_score",
    "handwriting_score",
    "vqa_score",
]

_BOX = re.compile(r"[(\[]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[)\]]")
_TEXT_COMMAND = re.compile(r"\\text\{([^{}]*)\}")
_SEPARATORS = ("", ".", ". ", ",", ", ", "\u3001", ";", "; ", " ", "\u548c")
_MAX_DIGITS = 1000


def vqa_score(
    reply: str, answers: Sequence[Any], *, chinese: bool = False, case_sensitive: bool = False
) -> float:
    """Best over the answers: a short one must occur in the reply, a long one be half alike.

    Args:
        reply: As given.
        answers: Right ones.
        chinese: Blanks do not count, and an answer of fewer than four parts between commas is
            short. Otherwise one of fewer than five words is.
        case_sensitive: Keep case.
    """

    def plain(text: str) -> str:
        text = (text if case_sensitive else text.lower()).strip().replace("\n", " ")
        return text.replace(" ", "") if chinese else text

    given = plain(reply)
    best = 0.0
    for answer in map(plain, map(str, answers)):
        if (answer.count(",") < 3) if chinese else (len(answer.split()) < 5):
            value = float(answer in given)
        else:
            value = similarity(given, answer)
        best = max(best, value if value >= 0.5 else 0.0)
    return best


def counting_score(reply: str, answers: Sequence[Any], method: str) -> float:
    """Best over the answers.

    Args:
        reply: As given.
        answers: Right numbers.
        method: "exact match": the number occurs in the reply. "regression": 1 less the relative
            error of the first number in the reply, if more than 0.5.

    Raises:
        InputError: A right number is no number.
    """
    if method == "exact match":
        return float(any(_flat(str(answer)) in reply for answer in answers))
    digits = re.search(r"\d+", reply)
    if digits is None or len(digits[0]) > _MAX_DIGITS:
        return 0.0
    number, best = int(digits[0]), 0.0
    for answer in answers:
        try:
            truth = int(float(str(answer)))
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"OCRBench v2: the reference of a count is {answer!r}; expected a number. "
                "Check the benchmark's file"
            ) from error
        if 0 < number < 2 * truth:
            best = max(best, 1 - abs(number - truth) / truth)
    return best if best > 0.5 else 0.0


def formula_score(reply: str, answers: Sequence[Any], *, chinese: bool = False) -> float:
    r"""1 if a formula occurs in the reply, blanks aside; Chinese ones without `\text{}`."""

    def plain(text: str) -> str:
        text = _TEXT_COMMAND.sub(r"\1", text) if chinese else text
        return text.strip().replace("\n", " ").replace(" ", "")

    given = plain(reply)
    return float(any(plain(str(answer)) in given for answer in answers))


def handwriting_score(reply: str, answer: str) -> float:
    """1 if the letters of an answer occur, joined in one of ten usual ways."""
    return float(any(separator.join(answer) in reply for separator in _SEPARATORS))


def box_from_text(text: str) -> tuple[int, int, int, int] | None:
    """The last box of whole numbers from 0 to 1000 in a reply, `[x1, y1, x2, y2]` or `(...)`."""
    found = None
    for match in _BOX.finditer(text):
        if max(map(len, match.groups())) <= _MAX_DIGITS:
            left, top, right, bottom = map(int, match.groups())
            if max(left, top, right, bottom) <= 1000:
                found = (left, top, right, bottom)
    return found


def box_iou(a: Any, b: Any) -> float:
    """Overlap of two boxes over their union; 0 for what is no box of four numbers."""
    try:
        ax1, ay1, ax2, ay2 = (int(value) for value in tuple(a)[:4])
        bx1, by1, bx2, by2 = (int(value) for value in tuple(b)[:4])
    except (TypeError, ValueError, OverflowError):
        return 0.0
    shared = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
    return shared / union if union else 0.0


def _flat(text: str) -> str:
    return text.lower().strip().replace("\n", " ")
