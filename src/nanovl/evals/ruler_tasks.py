"""RULER: the thirteen long-context tasks, made to a length in tokens.

Four kinds: a needle in a haystack, variables that copy each other, words that are counted, and
questions about one of many documents. Only what is generated is here; files are read, and tokens
counted, by functions that are passed in. The sentences around the tasks are nanovl's own, so the
set is like RULER's and not equal to it.

Source: evaluation specification, section 5.5.
"""

from __future__ import annotations

import itertools
import math
import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.evals.ruler_sources import Sources
from nanovl.evals.text_prompts import RULER_TOKENS

__all__ = ["TASKS", "Example", "RulerSettings", "generate"]

_NOISE = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)
_DEPTHS = 40
_CODED_LETTERS = 6
_ZETA_2 = math.pi**2 / 6
_EXAMPLE_TOKENS = 500

Count = Callable[[str], int]


@dataclass(frozen=True, kw_only=True)
class RulerSettings:
    """How long and how many.

    Attributes:
        length: Context of the setup, in tokens.
        template_tokens: Kept free for the chat template.
        samples: Per task.
        seed: Of everything drawn.
    """

    length: int = 131_072
    template_tokens: int = 50
    samples: int = 500
    seed: int = 42

    def __post_init__(self) -> None:
        if self.length - self.template_tokens < 256 or self.samples < 1:
            raise ConfigError(
                f"RULER: length {self.length}, {self.samples} samples: expected at least "
                f"{256 + self.template_tokens} tokens and one sample"
            )

    @property
    def budget(self) -> int:
        """Tokens of prompt, answer prefix and answer together."""
        return self.length - self.template_tokens


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt.

    Attributes:
        text: The user turn, without the answer prefix.
        prefix: Beginning of the answer.
        answers: Texts to be found in the answer.
    """

    text: str
    prefix: str
    answers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """How a task is sized and made.

    Attributes:
        step: What a size is lowered by when an example is too long, and the smallest size.
        make: An example of a size and a number.
        largest: Largest size there is material for.
        grid: Whether only multiples of the step are tried.
    """

    step: int
    make: Callable[[int, int, random.Random], Example]
    largest: int | None = None
    grid: bool = False


def generate(
    name: str, settings: RulerSettings, count: Count, sources: Sources
) -> Iterator[dict[str, Any]]:
    """Records of one task, as the reader of RULER takes them.

    Args:
        name: One of `TASKS`.
        settings: Length and number.
        count: Tokens of a text, by the tokenizer of the model that is measured.
        sources: Words, essays and questions.

    Raises:
        ConfigError: No such task, or not even the smallest example fits.
        InputError: A file the task needs is missing or damaged.
        BackendError: A package the task needs is not installed.
    """
    if name not in TASKS:
        raise ConfigError(f"RULER has no task {name!r}{nearest(name, TASKS)}")
    reserve = RULER_TOKENS[name.partition("_")[0]]
    task = TASKS[name](settings, count, sources)

    def tokens(example: Example) -> int:
        return count(example.text + example.prefix) + reserve

    size = _largest_size(name, task, settings, tokens)
    for index in range(settings.samples):
        # Every sample has a generator of its own, so that a sample does not depend on the number.
        example, used = _fitting(name, task, size, index, settings, tokens)
        yield {
            "index": index,
            "task": name,
            "question": example.text,
            "answer_prefix": example.prefix,
            "expected_answer": list(example.answers),
            "length": used,
        }


def _draw(name: str, index: int, settings: RulerSettings) -> random.Random:
    return random.Random(f"{settings.seed}:{name}:{index}")


def _largest_size(
    name: str, task: _Task, settings: RulerSettings, tokens: Callable[[Example], int]
) -> int:
    """The largest size, in units of the task, that fits the budget; a binary search."""

    def used(size: int) -> int:
        return tokens(task.make(size, 0, _draw(name, 0, settings)))

    limit = task.largest or 1 << 40
    probe = min(task.step * 4, limit)
    each = max((used(probe) - used(task.step)) / max(probe - task.step, 1), 0.01)
    unit = task.step if task.grid else 1
    low = task.step // unit
    high = max(min(int(3 * settings.budget / each), limit) // unit, low)
    while low < high:
        middle = (low + high + 1) // 2
        if used(middle * unit) <= settings.budget:
            low = middle
        else:
            high = middle - 1
    return low * unit


def _fitting(
    name: str,
    task: _Task,
    size: int,
    index: int,
    settings: RulerSettings,
    tokens: Callable[[Example], int],
) -> tuple[Example, int]:
    while True:
        example = task.make(size, index, _draw(name, index, settings))
        used = tokens(example)
        if used <= settings.budget:
            return example, used
        if size <= 1:
            raise ConfigError(
                f"RULER {name}: the shortest example has {used:,} tokens, the budget is "
                f"{settings.budget:,}; choose a longer context"
            )
        size = max(size - task.step, 1)


def _needle(
    *, haystack: str, keys: str, values: str, num_keys: int = 1, num_values: int = 1, asked: int = 1
) -> Callable[[RulerSettings, Count, Sources], _Task]:
    def build(settings: RulerSettings, count: Count, sources: Sources) -> _Task:
        def make(size: int, index: int, draw: random.Random) -> Example:
            names = [_thing(keys, draw, sources) for _ in range(max(num_keys, asked))]
            things = [[_thing(values, draw, sources) for _ in range(num_values)] for _ in names]
            needles = [
                _needle_sentence(values, name, value)
                for name, found in zip(names, things, strict=True)
                for value in found
            ]
            random.Random(settings.seed).shuffle(needles)
            if haystack == "essay":
                context = _in_essay(needles, size, draw, sources)
            else:
                context = _in_lines(needles, size, haystack, keys, values, draw, sources)
            answers = tuple(value for found in things[:asked] for value in found)
            return _needle_example(context, values, names[:asked], answers)

        return _Task(step=500 if haystack == "essay" else 25, make=make)

    return build


def _thing(kind: str, draw: random.Random, sources: Sources) -> str:
    if kind == "numbers":
        return str(draw.randint(10**6, 10**7 - 1))
    if kind == "uuids":
        return str(uuid.UUID(int=draw.getrandbits(128), version=4))
    return sources.word_pair(draw)


def _needle_sentence(kind: str, key: str, value: str) -> str:
    return f"One of the special magic {kind} for {key} is: {value}."


def _in_lines(
    needles: Sequence[str],
    size: int,
    haystack: str,
    keys: str,
    values: str,
    draw: random.Random,
    sources: Sources,
) -> str:
    """Needles at random lines of noise, or among other needles."""
    if haystack == "noise":
        lines = [" ".join(_NOISE)] * size
    else:
        lines = [
            _needle_sentence(values, _thing(keys, draw, sources), _thing(values, draw, sources))
            for _ in range(size)
        ]
    places = sorted(draw.choices(range(size + 1), k=len(needles)), reverse=True)
    for place, needle in zip(places, needles, strict=True):
        lines.insert(place, needle)
    return "\n".join(lines)


def _in_essay(needles: Sequence[str], size: int, draw: random.Random, sources: Sources) -> str:
    """Needles between sentences of the first words of the essays, at spread depths."""
    sentences = sources.essay_sentences(size)
    percents = [round(100 * place / (_DEPTHS - 1)) for place in range(_DEPTHS)]
    depths = sorted(draw.sample(percents, len(needles)))
    parts: list[str] = []
    begin = 0
    for depth, needle in zip(depths, needles, strict=True):
        place = len(sentences) * depth // 100
        parts += [*sentences[begin:place], needle]
        begin = max(begin, place)
    return " ".join([*parts, *sentences[begin:]])


def _needle_example(
    context: str, kind: str, asked: Sequence[str], answers: tuple[str, ...]
) -> Example:
    names = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])}, and {asked[-1]}"
    if len(answers) == 1:
        word = kind.removesuffix("s")
        text = (
            f"A special magic {word} is hidden in the text below. Remember it: you will be asked "
            f"for it afterwards.\n{context}\nWhat is the special magic {word} for {names} "
            "mentioned in the text?"
        )
        return Example(
            text=text,
            prefix=f" The special magic {word} for {names} mentioned in the text is",
            answers=answers,
        )
    text = (
        f"Some special magic {kind} are hidden in the text below. Remember them: you will be asked "
        f"for them afterwards.\n{context}\nWhat are all the special magic {kind} for {names} "
        "mentioned in the text?"
    )
    prefix = f" The special magic {kind} for {names} mentioned in the text are"
    return Example(text=text, prefix=prefix, answers=answers)


def _tracing(settings: RulerSettings, count: Count, sources: Sources, hops: int = 4) -> _Task:
    def chain(letters: int, draw: random.Random) -> tuple[list[str], list[str], str]:
        names: list[str] = []
        while len(names) <= hops:
            name = "".join(draw.choices(string.ascii_uppercase, k=letters))
            if name not in names:
                names.append(name)
        value = str(draw.randint(10_000, 99_998))
        lines = [f"VAR {names[0]} = {value}"]
        lines += [f"VAR {b} = VAR {a} " for a, b in itertools.pairwise(names)]
        return names, lines, value

    def ask(size: int, letters: int, draw: random.Random) -> tuple[str, str, list[str]]:
        names, lines, value = chain(letters, draw)
        noise = [" ".join(_NOISE)] * size
        places = sorted(draw.choices(range(size + 1), k=len(lines)))
        for shift, (place, line) in enumerate(zip(places, lines, strict=True)):
            noise.insert(place + shift, line)
        context = "\n".join(noise)
        text = (
            "Follow the chain of variable assignments hidden in the text below and remember it.\n\n"
            f"{context}\nQuestion: Find all variables that are assigned the value {value} in the "
            "text above."
        )
        prefix = (
            " Answer: By the chain of assignments in the text above, "
            f"{len(names)} variables are assigned the value {value}, they are: "
        )
        return text, prefix, names

    def example(index: int) -> str:
        """A solved one of at most 500 tokens, another for every sample."""
        draw = random.Random(f"{settings.seed}:vt-example:{index}")
        size = 5
        while True:
            text, prefix, names = ask(size, 3, random.Random(draw.random()))
            solved = f"{text}{prefix}{' '.join(names)}\n"
            if count(solved) <= _EXAMPLE_TOKENS or size <= 1:
                return solved
            size -= 1

    def make(size: int, index: int, draw: random.Random) -> Example:
        text, prefix, names = ask(size, 5, draw)
        return Example(text=f"{example(index)}\n{text}", prefix=prefix, answers=tuple(names))

    return _Task(step=10, make=make)


def _common_words(settings: RulerSettings, count: Count, sources: Sources) -> _Task:
    def ask(size: int, often: int, seldom: int, draw: random.Random) -> tuple[str, str, list[str]]:
        words = draw.sample(sources.words(size), size)
        common, rest = words[:10], words[10:]
        listed = common * often + rest * seldom
        draw.shuffle(listed)
        context = " ".join(f"{place}. {word}" for place, word in enumerate(listed, start=1))
        text = (
            "Below is a numbered list of words. Some of them come up more often than the others; "
            f"remember those.\n{context}\nQuestion: What are the 10 most common words in the list "
            "above?"
        )
        return text, " Answer: The 10 words that come up most often in the list are:", common

    def make(size: int, index: int, draw: random.Random) -> Example:
        shown, prefix, common = ask(40, 10, 3, random.Random(f"{settings.seed}:cwe:{index}"))
        answer = " ".join(f"{place}. {word}" for place, word in enumerate(common, start=1))
        text, prefix, common = ask(max(size, 11), 30, 3, draw)
        return Example(
            text=f"{shown}{prefix} {answer}\n{text}", prefix=prefix, answers=tuple(common)
        )

    return _Task(step=10, make=make, largest=sources.num_words)


def _frequent_words(settings: RulerSettings, count: Count, sources: Sources) -> _Task:
    def make(size: int, index: int, draw: random.Random) -> Example:
        wanted = max(settings.budget // 50, 10)
        known: set[str] = set()
        while len(known) < wanted:
            known.add("".join(draw.choices(string.ascii_lowercase, k=_CODED_LETTERS)))
        words = sorted(known)
        random.Random(settings.seed).shuffle(words)
        words[0] = "..."
        text: list[str] = []
        for rank, word in enumerate(words, start=1):
            text += [word] * int(size * rank**-2.0 / _ZETA_2)
        random.Random(settings.seed).shuffle(text)
        question = (
            "Read the coded text below and count how often each coded word appears. Three of them "
            f"come up most often.\n{' '.join(text)}\nQuestion: Do not count the dots '....'. What "
            "are the three coded words that appear most often in the text above?"
        )
        prefix = " Answer: By the text above, the three coded words that appear most often are:"
        return Example(text=question, prefix=prefix, answers=tuple(words[1:4]))

    return _Task(step=max(settings.budget // 32, 1), make=make, grid=True)


def _questions(which: str) -> Callable[[RulerSettings, Count, Sources], _Task]:
    def build(settings: RulerSettings, count: Count, sources: Sources) -> _Task:
        asked = sources.questions(which)

        def make(size: int, index: int, draw: random.Random) -> Example:
            one = asked.questions[index % len(asked.questions)]
            near = [n for n in one.near if n not in one.gold]
            taken = {*one.gold, *near}
            chosen = [*one.gold, *near][: max(size, len(one.gold))]
            missing = min(size - len(chosen), len(asked.documents) - len(taken))
            if missing > 0:
                far = [n for n in range(len(asked.documents)) if n not in taken]
                chosen += draw.sample(far, missing)
            random.Random(settings.seed).shuffle(chosen)
            blocks = "\n\n".join(
                f"Document {place}:\n{asked.documents[n]}"
                for place, n in enumerate(chosen, start=1)
            )
            text = (
                "Answer the question from the documents below. Give the answer alone, without "
                f"other words.\n\n{blocks}\n\nAnswer the question from the documents above. Give "
                f"the answer alone, without other words.\n\nQuestion: {one.question}"
            )
            return Example(text=text, prefix=" Answer:", answers=one.answers)

        return _Task(step=10, make=make, largest=len(asked.documents))

    return build


TASKS: Mapping[str, Callable[[RulerSettings, Count, Sources], _Task]] = {
    "niah_single_1": _needle(haystack="noise", keys="words", values="numbers"),
    "niah_single_2": _needle(haystack="essay", keys="words", values="numbers"),
    "niah_single_3": _needle(haystack="essay", keys="words", values="uuids"),
    "niah_multikey_1": _needle(haystack="essay", keys="words", values="numbers", num_keys=4),
    "niah_multikey_2": _needle(haystack="needle", keys="words", values="numbers"),
    "niah_multikey_3": _needle(haystack="needle", keys="uuids", values="uuids"),
    "niah_multivalue": _needle(haystack="essay", keys="words", values="numbers", num_values=4),
    "niah_multiquery": _needle(haystack="essay", keys="words", values="numbers", asked=4),
    "vt": _tracing,
    "cwe": _common_words,
    "fwe": _frequent_words,
    "qa_1": _questions("squad"),
    "qa_2": _questions("hotpotqa"),
}
"""What makes a task, by its name; the settings are those of the public benchmark."""
