"""What several metrics do to text before they compare it: normalisation, lists in cells.

Every function is pure and total: any text goes in, none raises. It must not know any benchmark or
decide whether an answer is right.

Source: evaluation specification, sections 6 and 6.6.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from nanovl.evals.scoring.literals import literal

__all__ = [
    "ARTICLES",
    "CONTRACTIONS",
    "NUMBER_WORDS",
    "PUNCTUATION",
    "answer_list",
    "collapse_space",
    "single_letter",
    "strip_markup",
    "strip_punctuation",
    "vqa_normalise",
]

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
"""What the VQA rule deletes or replaces by a space; full stops have their own rule."""

NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}

ARTICLES = frozenset({"a", "an", "the"})

_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
    mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd've something'll that's there'd there'd've there're there's they'd
    they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
    won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're
    you've
"""


def _without_one_apostrophe(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i, char in enumerate(word) if char == "'"]


CONTRACTIONS = {
    written: word for word in _CONTRACTED.split() for written in _without_one_apostrophe(word)
} | {"somebody'd": "somebodyd"}
"""Words with one apostrophe forgotten, and the word meant.

NOTE(parity): the last entry goes the other way round; so it does in the official VQA table.
"""

_MAX_FULL_STOPS = 32
_THOUSANDS = re.compile(r"\d,\d")
_LONE_FULL_STOP = re.compile(r"(?<!\d)\.(?!\d)")
_FULL_STOP_BEFORE_NO_DIGIT = re.compile(r"\.(?!\d)")


def collapse_space(text: str) -> str:
    """Every run of white space becomes one space; none at the ends."""
    return " ".join(text.split())


def strip_markup(text: str) -> str:
    """Text without the characters Markdown emphasises with: asterisk, underscore, back quote."""
    return text.translate(str.maketrans("", "", "*_`"))


def single_letter(text: str, letters: Sequence[str]) -> str | None:
    """The one of `letters` that text consists of when its punctuation and spaces are taken away.

    Args:
        text: Anything, e.g. a line of an answer.
        letters: Capital letters; compared as written.
    """
    left = text.translate(str.maketrans("", "", string.punctuation + string.whitespace))
    return left if left in tuple(letters) else None


def answer_list(value: Any) -> list[str]:
    """The references in a cell, as texts.

    Args:
        value: A list, or a text; a text that is a Python list in brackets is read as one. Other
            texts are one reference, also such as `1, 2`.
    """
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value]
    text = str(value)
    if text.strip().startswith("[") and text.strip().endswith("]"):
        read = literal(text.strip())
        if isinstance(read, list):
            return [str(item) for item in read]
    return [text]


def strip_punctuation(text: str, *, legacy: bool = False) -> str:
    """The VQA rule for punctuation.

    A mark that stands next to a space somewhere, or any mark once a digit-comma-digit occurs, is
    deleted; other marks become a space. At most 32 full stops are deleted (the reference passes a
    flag where a count is expected).

    Args:
        text: The answer.
        legacy: Delete a full stop unless a digit follows; otherwise it also stays behind a digit.
    """
    thousands = _THOUSANDS.search(text) is not None
    out = text
    for mark in PUNCTUATION:
        delete = thousands or f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if delete else " ")
    full_stop = _FULL_STOP_BEFORE_NO_DIGIT if legacy else _LONE_FULL_STOP
    return full_stop.sub("", out, count=_MAX_FULL_STOPS)


def vqa_normalise(text: str, *, legacy: bool = False) -> str:
    """An answer as the VQA score compares it: lower case, no marks, no articles, digits.

    Args:
        text: The answer.
        legacy: As for `strip_punctuation`.
    """
    flat = text.replace("\n", " ").replace("\t", " ").strip()
    words = strip_punctuation(flat, legacy=legacy).lower().split()
    digits = (NUMBER_WORDS.get(word, word) for word in words)
    return " ".join(CONTRACTIONS.get(word, word) for word in digits if word not in ARTICLES)
