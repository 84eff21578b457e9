"""Sentences, headings, titles and captions in six languages.

Two sources of sentences: a grammar that joins whole phrases, and a Markov model of words trained
on our own sentences and on what the grammar says. Must not know LaTeX; `{m}` and `{r}` mark where a
formula or a reference goes.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.asking import sentence as capital

__all__ = ["FAMILY_NAMES", "GIVEN_NAMES", "LANGUAGES", "PLACES", "Markov", "Writer", "language"]

LANGUAGES = ("de", "en", "es", "fr", "it", "pt")
_TRAINING = 240  # sentences of the grammar that the Markov model sees
GIVEN_NAMES = (
    "Ada", "Anton", "Bela", "Clara", "Dora", "Edda", "Emil", "Fritz", "Greta", "Hanna", "Ida",
    "Jonas", "Karla", "Leo", "Mara", "Nils", "Olga", "Paul", "Rosa", "Selma", "Tom", "Vera",
)  # fmt: skip
FAMILY_NAMES = (
    "Brook", "Stone", "Marsh", "Reed", "Field", "Hill", "Lane", "Ford", "Wood", "Moor", "Heath",
    "Dale", "Frost", "Winter", "Sommer", "Berg", "Bach", "Rivera", "Monte", "Costa", "Lago", "Pont",
)  # fmt: skip
PLACES = (
    "Institute of Quiet Waters", "School of Small Things", "Department of Slow Physics",
    "Laboratory for Wood and Wind", "Centre for Long Records", "College of the Northern Shore",
)  # fmt: skip


@cache
def language(code: str) -> Mapping[str, Any]:
    """Words and phrases of a language.

    Args:
        code: One of `LANGUAGES`.

    Raises:
        ConfigError: There is no such language.
    """
    if code not in LANGUAGES:
        raise ConfigError(f"language {code!r} does not exist{nearest(code, LANGUAGES)}")
    path = files("nanovl.synth.papers") / "assets" / f"{code}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Markov:
    """A model of words: each depends on the two before it.

    Args:
        sentences: What it learns from.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        self._next: dict[tuple[str, str], list[str]] = defaultdict(list)
        for text in sentences:
            words = ["", "", *text.split(), ""]
            for first, second, third in zip(words, words[1:], words[2:], strict=False):
                self._next[first, second].append(third)

    def sentence(self, rng: random.Random, least: int = 5, most: int = 32) -> str:
        """A sentence of `least` to `most` words; the last one drawn if none of 20 has that."""
        text: list[str] = []
        for _ in range(20):
            text = []
            state = ("", "")
            while len(text) <= most:
                word = rng.choice(self._next[state])
                if not word:
                    break
                text.append(word)
                state = (state[1], word)
            if least <= len(text) <= most:
                break
        return " ".join(text[:most])


@cache
def _markov(code: str) -> Markov:
    rng = random.Random(f"markov/{code}")
    writer = Writer(code, rng, markov=0.0)
    return Markov([*language(code)["sentences"], *(writer.sentence() for _ in range(_TRAINING))])


class Writer:
    """Writes text of one language.

    Args:
        code: One of `LANGUAGES`.
        rng: Where every choice comes from.
        markov: Share of sentences from the Markov model.
    """

    def __init__(self, code: str, rng: random.Random, markov: float = 0.25) -> None:
        self.code = code
        self.words = language(code)
        self.rng = rng
        self.markov = markov

    def pick(self, kind: str) -> str:
        """One entry of a list of the language."""
        return str(self.rng.choice(self.words[kind]))

    def filled(self, pattern: str) -> str:
        """A pattern with its phrases; `{m}` and `{r}` stay."""

        def put(match: re.Match[str]) -> str:
            kind = match[1]
            if kind in ("m", "r"):
                return match[0]
            lists = {"S": "subjects", "V": "verbs", "O": "objects", "A": "adverbials"}
            return self.pick(lists.get(kind, "topics"))

        return capital(re.sub(r"\{(\w+)\}", put, pattern))

    def sentence(self) -> str:
        """A whole sentence with its full stop."""
        if self.rng.random() < self.markov:
            return _markov(self.code).sentence(self.rng)
        second = self.words.get("verb_second", False)
        pattern = self.rng.choice(("{S} {V} {O}", "{S} {V} {O} {A}", "{A}, {S} {V} {O}", "open"))
        if second and pattern.startswith("{A}"):
            pattern = "{A} {V} {S} {O}"
        if pattern == "open":
            start = self.pick("openers")
            pattern = f"{start} {{V}} {{S}} {{O}}" if second else f"{start}, {{S}} {{V}} {{O}}"
        return self.filled(pattern) + "."

    def topic(self) -> str:
        """What a text may be about."""
        return self.pick("topics")

    def title(self) -> str:
        """Title of a paper."""
        return self.filled(self.pick("title_patterns"))

    def heading(self) -> str:
        """Heading of a part of the text, other than the usual ones."""
        return self.filled(self.pick("heading_patterns"))

    def caption(self) -> str:
        """Caption of a figure or table, one or two sentences."""
        text = self.filled(self.pick("caption_patterns"))
        return f"{text} {self.sentence()}" if self.rng.random() < 0.3 else text

    def person(self) -> str:
        """A name."""
        middle = f" {self.rng.choice('ABCDEFGHJKLMNPRST')}." if self.rng.random() < 0.25 else ""
        return f"{self.rng.choice(GIVEN_NAMES)}{middle} {self.rng.choice(FAMILY_NAMES)}"
