"""Questions in several wordings, notes on the form of the answer, and multiple choice.

What the table, chart and scene generators share of the QA layer. Knows nothing of any generator.

Source: data synthesis specification, section 17.1 and 17.2. The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nanovl.data.convert.templates import grounded, letters, options_text, scale_box, scale_point
from nanovl.synth.base import Answer, Box

__all__ = [
    "Bank",
    "Draft",
    "balanced",
    "box_answer",
    "join_words",
    "multiple_choice",
    "noted",
    "number_text",
    "plural",
    "point_answer",
    "sentence",
    "with_article",
    "worded",
]

Bank = Mapping[str, tuple[str, ...]]
T = TypeVar("T")

NOTES: Bank = {
    "number": (
        "Answer with a number.",
        "Reply with the number alone.",
        "Give only the number.",
        "A number is enough.",
        "State just the number.",
        "Your answer should be a single number.",
        "Write the value only.",
        "Respond with digits.",
        "Only the number, please.",
        "Keep it to the number.",
    ),
    "word": (
        "Answer in one or two words.",
        "Reply briefly.",
        "A short answer is enough.",
        "Give only the answer.",
        "Keep the answer short.",
        "State just the answer.",
        "No explanation, just the answer.",
        "Respond with the answer alone.",
        "Name it, nothing else.",
        "Be brief.",
    ),
    "yesno": (
        "Answer yes or no.",
        "Reply with yes or no.",
        "Yes or no?",
        "Say yes or no.",
        "Only yes or no, please.",
        "Respond with a single word: yes or no.",
        "Decide: yes or no.",
        "A plain yes or no is enough.",
        "Your answer should be yes or no.",
        "Just yes or no.",
    ),
    "list": (
        "Separate the entries by commas.",
        "Answer as a comma-separated list.",
        "Give a list separated by commas.",
        "Write them one after another, with commas.",
        "List them with commas in between.",
        "Use commas between the entries.",
        "Reply with the entries alone, comma separated.",
        "Only the entries, with commas.",
        "A comma-separated line is enough.",
        "Put commas between them.",
    ),
    "letter": (
        "Answer with the letter.",
        "Reply with the letter of the right option.",
        "Give only the letter.",
        "State the letter alone.",
        "Choose one letter.",
        "Which letter is right?",
        "Respond with a single letter.",
        "Just the letter, please.",
        "Pick a letter.",
        "The letter is enough.",
    ),
}


@dataclass(frozen=True)
class Draft:
    """A question before it is worded.

    Attributes:
        kind: Of the bank of wordings.
        text, answer, verifier: The answer as text, as it is checked, and how.
        form: Of the note on the answer's form, "" for none.
        trace: How one finds out.
        slots: What fills the wording.
        others: Wrong answers of the same sort, for multiple choice.
    """

    kind: str
    text: str
    answer: Answer
    verifier: str
    form: str
    trace: str
    slots: tuple[tuple[str, object], ...] = ()
    others: tuple[str, ...] = ()


def sentence(text: str) -> str:
    """A text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def worded(bank: Bank, kind: str, rng: random.Random, **slots: object) -> tuple[str, str]:
    """One wording of a kind with its slots filled, and its template id "kind/number"."""
    place = rng.randrange(len(bank[kind]))
    return sentence(bank[kind][place].format(**slots)), f"{kind}/{place}"


def noted(question: str, form: str, rng: random.Random) -> str:
    """A question, half of the time with a note on the form of its answer.

    Args:
        question: The question.
        form: "number", "word", "yesno", "list" or "letter".
        rng: Where the choice comes from.
    """
    if rng.random() < 0.5:
        return question
    return f"{question} {rng.choice(NOTES[form])}"


def balanced(
    pool: Sequence[T], answer_of: Callable[[T], object], rng: random.Random, count: int
) -> list[T]:
    """Some of a pool, chosen so that answers are as even as the pool allows.

    First an answer is drawn, each alike, then a candidate that has it; so a sample needs no
    memory of the samples before it. A pool in which only yes or only no is possible gives
    nothing, so that the two come out even.
    """
    groups: dict[str, list[T]] = {}
    for item in pool:
        groups.setdefault(str(answer_of(item)), []).append(item)
    chosen: list[T] = []
    if len(groups) == 1 and next(iter(groups)) in ("True", "False"):
        return chosen
    while groups and len(chosen) < count:
        key = rng.choice(sorted(groups))
        group = groups[key]
        chosen.append(group.pop(rng.randrange(len(group))))
        if not group:
            del groups[key]
    return chosen


def multiple_choice(
    question: str, answer: str, others: Iterable[str], rng: random.Random
) -> tuple[str, Answer] | None:
    """A question with three wrong options added, or None when there are not enough.

    Returns:
        The question with lettered options, and the checkable letter.
    """
    pool = sorted({o for o in others if o.casefold() != answer.casefold()})
    if len(pool) < 3:
        return None
    shown = rng.sample(pool, 3)
    place = rng.randrange(4)
    shown.insert(place, answer)
    text = f"{question}\n{options_text(shown)}\n{rng.choice(NOTES['letter'])}"
    return text, Answer(type="choice", value=letters(4)[place])


def box_answer(phrase: str, boxes: Sequence[Box], width: int, height: int) -> tuple[str, Answer]:
    """`<ref>phrase</ref><box>...</box>` of boxes in pixels, and the checkable form (0 to 1000)."""
    scaled = [list(scale_box(b, width, height)) for b in boxes]
    return grounded(phrase, scaled), Answer(type="box", value=scaled, boxes=tuple(boxes))


def point_answer(x: float, y: float, box: Box, width: int, height: int) -> tuple[str, Answer]:
    """`(x,y)` of a point in pixels (0 to 1000 in the text), right anywhere inside `box`."""
    px, py = scale_point(x, y, width, height)
    value = {"point": [px, py], "box": list(scale_box(box, width, height))}
    return f"({px},{py})", Answer(type="point", value=value, boxes=(box,))


def number_text(value: float, decimals: int = 2) -> str:
    """A number without trailing zeros and without exponent."""
    text = f"{value:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 star`, `3 stars`."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def with_article(phrase: str) -> str:
    """`a red star`, `an orange star`."""
    return f"{'an' if phrase[:1].lower() in 'aeio' else 'a'} {phrase}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
