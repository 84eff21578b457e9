"""Short answers in a closed form: sets of values, single words, numbers.

`set_match` compares the entries of a comma list with a set of values (table questions),
`word_match` a word or phrase, `number_match` the final number of an answer. All give 1 or 0.
Half-right answers are wrong. Must not know any data set.

Source: the measures of the local suite (table questions, facts, video, arithmetic); the idea of
value sets is that of the evaluator of WikiTableQuestions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.extraction import after_answer_marker, boxed, final_answer, plain_number
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.text import NUMBER_WORDS
from nanovl.evals.scoring.values import read_amount, read_day

__all__ = [
    "NumberMatch",
    "SetMatch",
    "WordMatch",
    "create_number_match",
    "create_set_match",
    "create_word_match",
    "loose",
    "same_entry",
]

_NEAR = 1e-6  # relative difference of numbers that are the same but for rounding
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
_QUOTES = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "`": "'", "\u201c": '"', "\u201d": '"', "\u00b4": "'"}
)
_CITATION = re.compile(r"\[[^\]]{0,20}\]$")
_LISTED = re.compile(r",\s+(?:and\s+)?|\s+and\s+|\n", re.IGNORECASE)
_END_MARKS = ".,;:!?\"'*_ "


def loose(text: str) -> str:
    """A short answer without accents, case, outer marks and repeated spaces."""
    flat = unicodedata.normalize("NFKD", text.translate(_QUOTES).translate(_DASHES))
    flat = "".join(c for c in flat if not unicodedata.combining(c)).casefold()
    return " ".join(flat.split()).strip(_END_MARKS)


def _number(text: str) -> Decimal | None:
    amount = read_amount(text)
    if amount is not None:
        return amount.value
    word = NUMBER_WORDS.get(loose(text))
    return None if word is None or loose(text) == "none" else Decimal(word)


def same_entry(expected: str, given: str) -> bool:
    """Whether two entries of a table are the same: as text, number or date.

    References to notes at the end ("Smith[3]") do not count.
    """
    left, right = (loose(_CITATION.sub("", t.strip())) for t in (expected, given))
    if left == right:
        return bool(left)
    a, b = _number(expected), _number(given)
    if a is not None and b is not None:
        return abs(a - b) <= Decimal(str(_NEAR)) * max(abs(a), abs(b), Decimal(1))
    day, other = read_day(expected), read_day(given)
    return day is not None and other is not None and day.same(other)


def _references(answer: Any, where: str) -> list[str]:
    """A reference as a list of texts.

    Raises:
        InputError: There is none.
    """
    if isinstance(answer, bool):
        return ["yes" if answer else "no"]
    found = list(answer) if isinstance(answer, (list, tuple)) else [answer]
    if not found or any(value is None for value in found):
        raise InputError(f"sample {where}: got {answer!r} for its answer, expected a text or list")
    return [str(value) for value in found]


# -- Sets ----------------------------------------------------------------------------------------


def _splits(text: str) -> list[list[str]]:
    """The ways an answer may be a list, the whole text first."""
    body = text.strip()
    ways = [[body], re.split(r"\n|\|", body), re.split(r",\s+|\n", body), re.split(r"[,\n]", body)]
    ways.append(_LISTED.split(body))
    return [[entry.strip(" -*\t") for entry in way if entry.strip(" -*\t")] for way in ways]


def _same_set(expected: Sequence[str], given: Sequence[str]) -> bool:
    """Whether the entries of one are those of the other; order and repetitions do not matter."""
    forward = all(any(same_entry(e, g) for g in given) for e in expected)
    return forward and all(any(same_entry(e, g) for e in expected) for g in given)


class SetMatch:
    """Share of answers that name exactly the expected set of values, 0 to 1."""

    name = "set_match"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 if the answer, split at commas or line ends, is the set.

        Level "extended" looks at what follows "answer is" or "answer:" alone.

        Raises:
            InputError: The reference is empty.
        """
        expected = _references(sample.answer, sample.id)
        text, used = response.text, "rules"
        if level != "rules":
            marked = after_answer_marker(text)
            if marked is not None:
                text, used = marked, "extended"
        for entries in _splits(text):
            if entries and _same_set(expected, entries):
                return Verdict(value=1.0, extracted=entries, level=_level(used))
        entries = _splits(text)[3]
        return Verdict(
            value=0.0, extracted=entries or None, level=_level(used),
            detail={"parsed": bool(entries)},
        )  # fmt: skip

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """The share. Raises `InputError` for no samples."""
        return mean_result(scored, self.name)


def _level(word: str) -> Level:
    return "extended" if word == "extended" else "rules"


# -- Words ---------------------------------------------------------------------------------------


class WordMatch:
    """Share of answers that are the expected word or phrase, 0 to 1.

    A list of references are alternatives. With `meta["choices"]`, level "extended" takes the only
    one of them that stands in the answer as a word.
    """

    name = "word_match"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 if the answer is the reference.

        Raises:
            InputError: There is no reference.
        """
        expected = {loose(e) for e in _references(sample.answer, sample.id)}
        said, used = loose(response.text), "rules"
        choices = [loose(str(c)) for c in sample.meta.get("choices") or ()]
        if level != "rules" and choices and said not in choices:
            there = [c for c in choices if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", said)]
            if len(there) == 1:
                said, used = there[0], "extended"
        parsed = bool(said) and (not choices or said in choices)
        return Verdict(
            value=float(bool(said) and said in expected),
            extracted=said or None,
            level=_level(used),
            detail={} if parsed else {"parsed": False},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """The share. Raises `InputError` for no samples."""
        return mean_result(scored, self.name)


# -- Numbers -------------------------------------------------------------------------------------


class NumberMatch:
    """Share of answers whose number is the expected one, 0 to 1.

    `meta["tolerance"]` is the relative error that still counts as right; without it numbers must be
    equal but for rounding in the sixth digit.
    """

    name = "number_match"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 if the final number is right.

        Rules read a box, what follows "answer is", or an answer that begins with its number; level
        "extended" also the last number of the last line.

        Raises:
            InputError: The reference is no number.
        """
        reference = _references(sample.answer, sample.id)[0]
        amount = read_amount(reference)
        truth = float(amount.value) if amount is not None else plain_number(reference)
        if truth is None:
            raise InputError(
                f"sample {sample.id}: got {reference!r} for its answer, expected a number"
            )
        said, used = _said_number(response.text, level)
        detail = {} if said is not None else {"parsed": False}
        allowed = _NEAR * max(1.0, abs(truth))
        tolerance = sample.meta.get("tolerance")
        if isinstance(tolerance, (int, float)) and tolerance > 0:
            allowed = max(allowed, abs(truth) * tolerance * (1 + 1e-9))
        right = said is not None and abs(said - truth) <= allowed
        return Verdict(value=float(right), extracted=said, level=used, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """The share. Raises `InputError` for no samples."""
        return mean_result(scored, self.name)


def _said_number(text: str, level: Level) -> tuple[float | None, Level]:
    for candidate in (boxed(text), after_answer_marker(text), text):
        if candidate is None or not candidate.strip():
            continue
        amount = read_amount(candidate)
        number = float(amount.value) if amount is not None else plain_number(candidate)
        if number is not None:
            return number, "rules"
    if level != "rules":
        last = final_answer(text)
        number = plain_number(last) if last else None
        if number is not None:
            return number, "extended"
    return None, "rules"


def create_set_match(profile: str = "default") -> Metric:
    """The metric `set_match`; the same in every profile."""
    return SetMatch()


def create_word_match(profile: str = "default") -> Metric:
    """The metric `word_match`; the same in every profile."""
    return WordMatch()


def create_number_match(profile: str = "default") -> Metric:
    """The metric `number_match`; the same in every profile."""
    return NumberMatch()
