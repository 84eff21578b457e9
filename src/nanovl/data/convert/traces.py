"""Which reasoning traces are worth learning from, and whether an answer is the right one.

Pure functions on text, for converters and for filtering generated traces: think tags, loops,
length, mention of the label, final answers, and the choice among several candidates.

Source: training specification, sections 2.4 and 10.3.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "Problem",
    "answers_match",
    "choose_trace",
    "final_answer",
    "has_loop",
    "mentions_label",
    "rough_tokens",
    "split_trace",
    "think_problem",
    "trace_problem",
]

LOOP_WORDS = 20  # length of a repeated sequence, in words
LOOP_TIMES = 3  # occurrences that are still accepted
MOST_TOKENS = 8192
TOLERANCE = 1e-4  # relative, for numbers that are not whole

_LABEL = re.compile(r"\bground[\s-]+truth\b", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_STATED = re.compile(
    r"(?:final answer|answer)(?:\s+is)?\s*[:=]?\s*(?P<answer>[^\n]+)", re.IGNORECASE
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Problem:
    """Why a trace is not used.

    Attributes:
        reason: Short name for counts.
        message: What was found.
    """

    reason: str
    message: str


def think_problem(text: str) -> Problem | None:
    """Whether assistant text is anything else than one think block at the start, or none."""
    opened, closed = text.count("<think>"), text.count("</think>")
    if not opened and not closed:
        return None
    if (opened, closed) != (1, 1) or not text.lstrip().startswith("<think>"):
        return Problem(
            "bad_trace",
            f"{opened} <think> and {closed} </think>; expected one block at the start",
        )
    if text.index("</think>") < text.index("<think>"):
        return Problem("bad_trace", "</think> stands before <think>")
    return None


def split_trace(text: str) -> tuple[str, str]:
    """(trace, answer) of well-formed assistant text; the trace is "" when there is none."""
    head, closed, answer = text.partition("</think>")
    if not closed:
        return "", text.strip()
    return head.replace("<think>", "", 1).strip(), answer.strip()


def has_loop(text: str, words: int = LOOP_WORDS, times: int = LOOP_TIMES) -> bool:
    """Whether a sequence of `words` words occurs more than `times` times."""
    split = text.split()
    if len(split) < words:
        return False
    windows = zip(*(split[i:] for i in range(words)), strict=False)
    return Counter(windows).most_common(1)[0][1] > times


def mentions_label(text: str) -> bool:
    """Whether a trace speaks of "the ground truth", which no reader of the question has."""
    return _LABEL.search(text) is not None


def rough_tokens(text: str) -> int:
    """Length in tokens without a tokenizer: four bytes each."""
    return math.ceil(len(text.encode()) / 4)


def trace_problem(
    trace: str,
    answer: str = "",
    label: str | None = None,
    *,
    most_tokens: int = MOST_TOKENS,
    count: Callable[[str], int] = rough_tokens,
    tolerance: float = TOLERANCE,
) -> Problem | None:
    """The first reason against a trace, None when there is none.

    Args:
        trace: Reasoning without tags.
        answer: What follows it.
        label: The right answer; None leaves the answer unchecked.
        most_tokens: Upper bound of the length.
        count: Number of tokens of a text.
        tolerance: Of numbers, see `answers_match`.
    """
    if not trace.strip():
        return Problem("bad_trace", "the trace is empty")
    if "<think>" in trace or "</think>" in trace:
        return Problem("bad_trace", "the trace holds think tags")
    if (length := count(trace)) > most_tokens:
        return Problem("trace_too_long", f"{length} tokens, at most {most_tokens} are taken")
    if has_loop(trace):
        return Problem(
            "trace_loop", f"{LOOP_WORDS} words in a row occur more than {LOOP_TIMES} times"
        )
    if mentions_label(trace):
        return Problem("trace_leak", 'the trace mentions "the ground truth"')
    if label is not None and not answers_match(final_answer(answer), label, tolerance=tolerance):
        return Problem(
            "wrong_answer", f"the answer is {final_answer(answer)!r}, expected {label!r}"
        )
    return None


def choose_trace(
    candidates: Sequence[tuple[str, str]],
    label: str | None,
    rng: random.Random,
    *,
    easy: bool = False,
    count: Callable[[str], int] = rough_tokens,
) -> tuple[str, str] | None:
    """One of several traces that survive the filter, drawn at random.

    Args:
        candidates: Pairs of trace and answer.
        label: The right answer; None leaves answers unchecked.
        rng: The generator of the record.
        easy: Draw from the shortest quarter of the survivors only.
        count: Number of tokens of a text.
    """
    good = [c for c in candidates if trace_problem(*c, label, count=count) is None]
    if not good:
        return None
    if easy:
        good = sorted(good, key=lambda c: (count(c[0]), c))[: math.ceil(len(good) / 4)]
    return rng.choice(good)


# -- Answers -------------------------------------------------------------------------------------


def final_answer(text: str) -> str:
    """What a worked text ends up with.

    The last `\\boxed{...}`, else what follows the last `####`, else the last "answer is ...", else
    the last line that is not blank.
    """
    boxed = list(_BOXED.finditer(text))
    if boxed and (inner := _braced(text, boxed[-1].end())) is not None:
        return inner.strip()
    _, hashes, tail = text.rpartition("####")
    if hashes:
        return tail.strip().split("\n")[0].strip()
    stated = list(_STATED.finditer(text))
    if stated:
        return stated[-1]["answer"].strip().rstrip(".").strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _braced(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes it."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return text[start:index]
    return None


def answers_match(given: str, label: str, *, tolerance: float = TOLERANCE) -> bool:
    """Whether two answers say the same.

    Case, blanks, full stops, dollar signs, markup of bold and mathematics and separators of
    thousands do not count. Whole numbers have to be equal, other numbers to agree within
    `tolerance` of the label; fractions are numbers, percentages are not.
    """
    first, second = _plain(given), _plain(label)
    if first == second:
        return bool(second)
    x, y = _value(first), _value(second)
    if x is None or y is None:
        return False
    if y.denominator == 1 and x.denominator == 1:
        return x == y
    return abs(x - y) <= Fraction(tolerance) * max(abs(y), Fraction(1, 10**12))


def _plain(text: str) -> str:
    text = _FRACTION.sub(r"(\1)/(\2)", text.strip())
    text = re.sub(r"\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[()\[\]]|\\[,;! ]|\\left|\\right|[$*`]", "", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = " ".join(text.split()).strip(" .").casefold()
    letter = re.fullmatch(r"\(?([a-z])\)?[.:]?", text)
    return letter[1] if letter else text


def _value(text: str) -> Fraction | None:
    """A number or a fraction of two; None for anything else."""
    top, slash, bottom = text.replace("(", "").replace(")", "").partition("/")
    numbers = [_number(part) for part in ((top, bottom) if slash else (top,))]
    if any(n is None for n in numbers):
        return None
    first = numbers[0]
    if not slash or first is None:
        return first
    return first / numbers[1] if numbers[1] else None


def _number(text: str) -> Fraction | None:
    text = text.strip()
    return Fraction(text) if len(text) <= 40 and _NUMBER.fullmatch(text) else None
