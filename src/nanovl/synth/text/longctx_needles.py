"""Long-context tasks that hide sentences in a text and ask for them.

Seven of the thirteen well-known retrieval tasks, the variable chain among them, in wordings of our
own: the original wording is kept for evaluation. Every task is a `Draft` that can be rendered at
any size; the same size always gives the same text. Must not count tokens: `longctx` does.

Source: data synthesis specification, section 15.
"""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.base import Answer
from nanovl.synth.text.haystacks import NOISE, articles
from nanovl.synth.text.wording import words

__all__ = ["NEEDLES", "Draft", "Maker", "Needle", "Rendered", "Source", "place_needles"]

Source = Callable[[random.Random], Iterator[str]]  # sentences of prose without end

_DEPTHS = 40  # needles go to so many equidistant places
_ADJECTIVES = words(
    "amber brave calm dusty eager faint gentle hollow icy jolly keen lazy mellow narrow odd pale "
    "quiet rusty silent tidy urban vivid warm young zesty ancient bitter clever distant early"
)
_NOUNS = words(
    "anchor basket cabin dragon engine feather guitar hammer island jacket kettle ladder mirror "
    "needle orchard pillow quarry rocket saddle tunnel umbrella valley wagon yacht zipper beacon "
    "cradle fountain lantern marble"
)
_HIDDEN = (
    "Note this: the {what} of the {key} is {value}.",
    "The {what} that belongs to the {key} reads {value}.",
    "Keep in mind that the {key} has the {what} {value}.",
    "For the {key}, the {what} was set to {value}.",
    "It is on record that the {what} for the {key} equals {value}.",
    "Someone wrote down the {what} of the {key}: {value}.",
    "As agreed, the {key} answers to the {what} {value}.",
    "On file, the {what} of the {key} is given as {value}.",
)
_HEADS = (
    "Below is a long text. Somewhere in it, facts are stated that you will be asked for.",
    "Read the text that follows; a question comes at its end.",
    "Here is a long passage. Remember the details in it.",
    "The following text hides a few details. You will need them afterwards.",
    "Study this text. A question about it is at the end.",
    "What follows is long. Watch for facts about codes and numbers.",
)
_ASK_ONE = (
    "Which {what} has the {key}, according to the text? Answer with it alone.",
    "What is the {what} of the {key}? Give only that.",
    "State the {what} of the {key} as found above.",
    "The text mentions a {what} for the {key}. Which one? Reply with it only.",
    "Find the {what} of the {key} in the text and write it down.",
    "Look up the {key}: what is its {what}? Answer briefly.",
    "Repeat the {what} that the text gives for the {key}.",
    "Tell me the {what} of the {key}, nothing else.",
)
_ASK_ALL = (
    "The text gives several values as the {what} of the {key}. List all of them, separated by "
    "commas, in the order of the text.",
    "Name every {what} of the {key}, in order of appearance, with commas between.",
    "Which values does the text state as {what} of the {key}? Comma-separated, in text order.",
    "Collect all values given for the {what} of the {key}, first to last, separated by commas.",
)
_ASK_MANY = (
    "What is the {what} of each of these: {keys}? Answer in this order, separated by commas.",
    "Give the {what} for {keys}, in this order, with commas between.",
    "Look up {keys} and list the {what} of each, in the same order, comma separated.",
    "For {keys} (in this order), state each {what}; separate them by commas.",
)


@dataclass(frozen=True)
class Needle:
    """A hidden sentence.

    Attributes:
        key, value: What it says.
        sentence: The sentence itself; occurs once in the text.
        depth: Where it goes, 0 is the start and 1 the end.
        asked: Whether the answer needs it.
    """

    key: str
    value: str
    sentence: str
    depth: float
    asked: bool = True


@dataclass(frozen=True)
class Rendered:
    """A task of one size.

    Attributes:
        head, body, question: The prompt in three parts.
        answer_text, answer, verifier: What is expected.
        needles: Hidden sentences, for the ground truth.
        trace: Reasoning, None when the answer is a mere look-up.
        facts: More for the ground truth.
    """

    head: str
    body: str
    question: str
    answer_text: str
    answer: Answer
    verifier: str
    needles: tuple[Needle, ...] = ()
    trace: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """What the user says."""
        return f"{self.head}\n\n{self.body}\n\n{self.question}"


# From a number of units (sentences, lines, words) to the task.
Draft = Callable[[int], Rendered]
Maker = Callable[[random.Random, Source, int], Draft]


class _Growing:
    """The first n items of an iterator, kept."""

    def __init__(self, source: Iterator[str]) -> None:
        self.source, self.items = source, list[str]()

    def first(self, count: int) -> list[str]:
        self.items += itertools.islice(self.source, max(0, count - len(self.items)))
        return self.items[:count]


def place_needles(units: list[str], needles: tuple[Needle, ...]) -> list[str]:
    """Units with the sentences of needles inserted at their depths."""
    at: dict[int, list[str]] = {}
    for needle in needles:
        at.setdefault(round(needle.depth * len(units)), []).append(needle.sentence)
    placed: list[str] = []
    for index in range(len(units) + 1):
        placed += at.get(index, [])
        placed += units[index : index + 1]
    return placed


def _paragraphs(units: list[str], size: int = 6) -> str:
    return "\n".join(" ".join(units[i : i + size]) for i in range(0, len(units), size))


def _noise(rng: random.Random) -> Iterator[str]:
    order = rng.sample(NOISE, len(NOISE))
    return itertools.cycle(order)


def prose(rng: random.Random) -> Iterator[str]:
    """Sentences of invented articles without end."""
    return (fact.sentence for article in articles(rng) for fact in article)


def _keys(rng: random.Random, count: int) -> list[str]:
    pairs = [f"{a} {n}" for a in _ADJECTIVES for n in _NOUNS]
    return rng.sample(pairs, count)


def _seven_digits(rng: random.Random) -> str:
    return str(rng.randint(1_000_000, 9_999_999))


def _uuid(rng: random.Random) -> str:
    digits = "".join(rng.choice("0123456789abcdef") for _ in range(32))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _depths(rng: random.Random, count: int) -> list[float]:
    return [place / (_DEPTHS - 1) for place in sorted(rng.sample(range(_DEPTHS), count))]


def _hide(
    rng: random.Random, keys: list[str], values: list[str], what: str, asked: set[str]
) -> tuple[Needle, ...]:
    wording = rng.choice(_HIDDEN)
    return tuple(
        Needle(k, v, wording.format(what=what, key=k, value=v), d, k in asked)
        for k, v, d in zip(keys, values, _depths(rng, len(keys)), strict=True)
    )


def _exact(text: str) -> Answer:
    return Answer(type="text", value=text)


def _listed(values: list[str]) -> tuple[str, Answer, str]:
    return ", ".join(values), Answer(type="list", value=values), "list_ordered"


def _hidden_draft(
    rng: random.Random,
    units: Iterator[str],
    needles: tuple[Needle, ...],
    question: str,
    answer: tuple[str, Answer, str],
) -> Draft:
    head, pool = rng.choice(_HEADS), _Growing(units)

    def render(size: int) -> Rendered:
        body = _paragraphs(place_needles(pool.first(size), needles))
        return Rendered(head, body, question, *answer, needles=needles)

    return render


def _single(what: str, value: Callable[[random.Random], str], noise: bool) -> Maker:
    def make(rng: random.Random, source: Source, target: int) -> Draft:
        key = _keys(rng, 1)[0]
        needles = _hide(rng, [key], [value(rng)], what, {key})
        question = rng.choice(_ASK_ONE).format(what=what, key=key)
        text = needles[0].value
        units = _noise(rng) if noise else source(rng)
        return _hidden_draft(rng, units, needles, question, (text, _exact(text), "exact_ci"))

    return make


def needle_among_keys(rng: random.Random, source: Source, target: int) -> Draft:
    """Four keys with a number each, one of them asked for."""
    keys = _keys(rng, 4)
    asked = rng.choice(keys)
    needles = _hide(rng, keys, [_seven_digits(rng) for _ in keys], "number", {asked})
    text = next(n.value for n in needles if n.key == asked)
    question = rng.choice(_ASK_ONE).format(what="number", key=asked)
    return _hidden_draft(rng, source(rng), needles, question, (text, _exact(text), "exact_ci"))


def needle_values(rng: random.Random, source: Source, target: int) -> Draft:
    """One key with four values."""
    key = _keys(rng, 1)[0]
    values = [_seven_digits(rng) for _ in range(4)]
    needles = _hide(rng, [key] * 4, values, "number", {key})
    question = rng.choice(_ASK_ALL).format(what="number", key=key)
    return _hidden_draft(rng, source(rng), needles, question, _listed(values))


def needle_queries(rng: random.Random, source: Source, target: int) -> Draft:
    """Four keys, all asked for."""
    keys = _keys(rng, 4)
    needles = _hide(rng, keys, [_seven_digits(rng) for _ in keys], "number", set(keys))
    order = rng.sample(needles, 4)
    shown = ", ".join(f"the {n.key}" for n in order)
    question = rng.choice(_ASK_MANY).format(what="number", keys=shown)
    return _hidden_draft(rng, source(rng), needles, question, _listed([n.value for n in order]))


def _only_needles(
    what: str, key: Callable[[random.Random], str], value: Callable[..., str]
) -> Maker:
    """A text of nothing but needles, one of them asked for."""

    def make(rng: random.Random, source: Source, target: int) -> Draft:
        wording, head = rng.choice(_HIDDEN), rng.choice(_HEADS)
        place, stream = rng.random(), random.Random(rng.getrandbits(64))
        pairs: list[tuple[str, str]] = []
        used: set[str] = set()
        ask = rng.choice(_ASK_ONE)

        def render(size: int) -> Rendered:
            while len(pairs) < size:
                name = key(stream)
                if name not in used:
                    used.add(name)
                    pairs.append((name, value(stream)))
            index = min(size - 1, int(place * size))
            name, found = pairs[index]
            lines = [wording.format(what=what, key=k, value=v) for k, v in pairs[:size]]
            needle = Needle(name, found, lines[index], index / max(1, size - 1))
            question = ask.format(what=what, key=name)
            body = "\n".join(lines)
            return Rendered(head, body, question, found, _exact(found), "exact_ci", (needle,))

        return render

    return make


def _long_key(rng: random.Random) -> str:
    return f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)} {rng.randint(10, 9999)}"


def variable_chain(rng: random.Random, source: Source, target: int) -> Draft:
    """One chain of four assignments among others; list all variables with a value."""
    names: list[str] = []
    while len(names) < 15:
        name = "".join(rng.choice(string.ascii_uppercase) for _ in range(5))
        if name not in names:
            names.append(name)
    chains = [names[i * 5 : i * 5 + 5] for i in range(3)]
    values = rng.sample(range(10_000, 99_999), 3)
    forms = ("LET {a} = {b}", "SET {a} TO {b}", "STORE {b} IN {a}", "{a} := {b}")
    form = rng.choice(forms)
    needles: list[Needle] = []
    for number, (chain, value) in enumerate(zip(chains, values, strict=True)):
        previous = str(value)
        for name, depth in zip(chain, _depths(rng, 5), strict=True):
            sentence = f"{form.format(a=name, b=previous)}."
            needles.append(Needle(name, previous, sentence, depth, number == 0))
            previous = name
    head = rng.choice(
        (
            "The text below contains assignments of variables. Follow them.",
            "Between the sentences of this text, variables get values. Keep track of them.",
            "Some lines of the text set variables. Remember which variable holds what.",
            "Variables are assigned here and there in what follows.",
        )
    )
    question = rng.choice(
        (
            "Which variables hold {v} in the end? List them in the order they were assigned, "
            "separated by commas.",
            "Name all variables whose value is {v}, in order of assignment, with commas.",
            "List every variable equal to {v} (order of assignment, comma separated).",
            "The value {v} was passed on from variable to variable. Name all of them in order, "
            "separated by commas.",
        )
    ).format(v=values[0])
    trace = [f"{chains[0][0]} gets {values[0]} directly."]
    for before, after in itertools.pairwise(chains[0]):
        trace.append(f"{after} gets the value of {before}, so it holds {values[0]} too.")
    pool = _Growing(_noise(rng) if rng.random() < 0.5 else source(rng))
    text, answer, verifier = _listed(chains[0])

    def render(size: int) -> Rendered:
        # Assignments of one chain must stay in order: needles are placed by depth, stably.
        placed = place_needles(pool.first(size), tuple(sorted(needles, key=lambda n: n.depth)))
        return Rendered(
            head, _paragraphs(placed), question, text, answer, verifier, tuple(needles),
            "\n".join(trace),
        )  # fmt: skip

    return render


NEEDLES: dict[str, Maker] = {
    "needle_noise": _single("number", _seven_digits, True),
    "needle_prose": _single("number", _seven_digits, False),
    "needle_prose_code": _single("identifier", _uuid, False),
    "needle_among_keys": needle_among_keys,
    "needle_lines": _only_needles("number", _long_key, _seven_digits),
    "needle_codes": _only_needles("identifier", _uuid, _uuid),
    "needle_values": needle_values,
    "needle_queries": needle_queries,
    "variable_chain": variable_chain,
}
