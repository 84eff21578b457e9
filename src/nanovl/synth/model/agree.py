"""Whether two answers to a question say the same, by rule first and by a judge where rules end.

Must not ask questions about documents.

Source: data synthesis specification, section 2.5; training specification, sections 10.2 and 10.3
(exact, numeric, judge).
"""

from __future__ import annotations

import re
from typing import Any

from nanovl.data.convert.traces import answers_match
from nanovl.synth.base import Answer
from nanovl.synth.model.prompts import JUDGE_SCHEMA, judge_messages
from nanovl.synth.model.structured import BadAnswer, JsonAsker
from nanovl.synth.verify import edit_similarity, is_right

__all__ = ["checkable", "judged_same", "normal", "same_by_rule"]

TOLERANCE = 1e-4
_CLOSE = 0.9
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_YES = {"yes": True, "true": True, "no": False, "false": False}


def normal(text: str) -> str:
    """A text for comparing: case, blanks, quotes and marks at its ends do not count."""
    text = " ".join(text.split()).casefold()
    text = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2013: "-"})
    return text.strip(" .,;:!?\"'`*")


def checkable(kind: str, text: str) -> tuple[Answer, str] | None:
    """An answer as something that can be checked, and the name of the check.

    Args:
        kind: "text", "number", "list" or "yesno".
        text: As it was given.

    Returns:
        None when the text is no answer of that kind.
    """
    text = text.strip()
    if kind == "number":
        found = _NUMBER.findall(text)
        if len(found) != 1:
            return None
        unit = (text.replace(found[0], " ").strip() or None) if found[0] != text else None
        value: Any = float(found[0].replace(",", ""))
        value = int(value) if value.is_integer() else value
        return Answer(type="number", value=value, unit=unit, tolerance=TOLERANCE), "number"
    if kind == "yesno":
        said = _YES.get(normal(text))
        return None if said is None else (Answer(type="bool", value=said), "exact_ci")
    if kind == "list":
        entries = [entry.strip() for entry in re.split(r",|;|\n", text) if entry.strip()]
        return (Answer(type="list", value=entries), "set") if len(entries) > 1 else None
    return (Answer(type="text", value=text), "anls") if text else None


def same_by_rule(kind: str, expected: str, given: str) -> bool | None:
    """Whether two answers agree; None where words differ and only a reader can tell.

    Args:
        kind: As in `checkable`.
        expected: The answer.
        given: What somebody else answered.
    """
    first, second = normal(expected), normal(given)
    if not second:
        return False
    if first == second or answers_match(given, expected):
        return True
    made = checkable(kind, expected)
    if kind == "number":
        other = checkable("number", given)
        return bool(made and other and is_right("number", made[0], given))
    if kind == "yesno":
        head = re.match(r"(yes|no|true|false)\b", second)
        return bool(made and head and _YES[head[1]] is made[0].value)
    if kind == "list":
        entries = [normal(e) for e in re.split(r",|;|\n| and ", given) if normal(e)]
        wanted = [normal(e) for e in re.split(r",|;|\n| and ", expected) if normal(e)]
        return sorted(entries) == sorted(wanted)
    if _digits(first) != _digits(second):
        return False
    if edit_similarity(first, second) >= _CLOSE:
        return True
    shorter, longer = sorted((first, second), key=len)
    # "in Oslo" and "Oslo": the same words but for a few small ones
    if re.search(rf"(?<!\w){re.escape(shorter)}(?!\w)", longer) and len(longer.split()) <= (
        len(shorter.split()) + 2
    ):
        return None if _negated(longer) != _negated(shorter) else True
    return None


def _digits(text: str) -> list[str]:
    """Numbers of a text, whatever their order and separators of thousands."""
    return sorted(re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)))


def _negated(text: str) -> bool:
    return re.search(r"\b(?:not|no|never|without|non|nicht|kein\w*|pas|ne|no)\b", text) is not None


def judged_same(
    asker: JsonAsker, question: str, expected: str, given: str, *, seed: int, most_tokens: int
) -> bool:
    """Ask the model whether two answers to a question say the same.

    Raises:
        RequestFailed, Stopped, BackendError: See `ChatClient.ask`.
    """
    body = {
        "messages": judge_messages(question, expected, given),
        "temperature": 0,
        "seed": seed,
        "max_tokens": most_tokens,
    }
    try:
        value, _ = asker.ask(body, JUDGE_SCHEMA, "verdict")
    except BadAnswer:
        return False  # who cannot say that they agree has not agreed
    return bool(value["same"])
