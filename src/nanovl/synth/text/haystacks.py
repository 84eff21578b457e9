"""Long texts to hide things in: invented encyclopaedia articles, plain noise, or given files.

Everything the articles say comes from a random world, so no benchmark can contain it. Names are
built from syllables and never repeat within one text.

Source: data synthesis specification, section 15.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.synth.text.wording import words

__all__ = ["NOISE", "Fact", "Names", "articles", "corpus_sentences"]

NOISE = (
    "The meadow lies still.",
    "A cloud moves slowly along.",
    "The clock keeps ticking.",
    "Somewhere a door closes.",
    "Rain falls and stops again.",
    "Leaves turn in the wind.",
    "The lamp is lit at dusk.",
)
_ONSETS = words("b br d dr f fl g gr h k kl l m n p pr r s st t tr v w z th sh")
_VOWELS = words("a e i o u ae ia ei ou")
_CODAS = words("n r l s m nd rt lk ss x th")
_JOBS = words(
    "painter engineer botanist violinist surgeon carpenter pilot chemist baker historian sculptor "
    "geologist translator gardener astronomer lawyer potter navigator"
)
_GOODS = words(
    "glass|salt|wool|paper|tin toys|honey|copper wire|roof tiles|lace|barley|soap|pottery|clocks|"
    "leather|candles|rope|cheese|ink",
    "|",
)
_HOBBIES = words(
    "chess|sailing|beekeeping|fencing|kite flying|choir singing|mushroom picking|map drawing|"
    "ice skating|bird watching|book binding|rowing",
    "|",
)
_COLOURS = words("red blue green white black yellow grey brown")


@dataclass(frozen=True)
class Fact:
    """Something an article says.

    Attributes:
        subject: Who or what.
        relation: A key of the relations, such as "river" of a town.
        value: What is said about it.
        sentence: The sentence that says it.
    """

    subject: str
    relation: str
    value: str
    sentence: str


class Names:
    """Invented names, each given out once.

    Args:
        rng: Where they come from.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.used: set[str] = set()

    def new(self, syllables: int = 2) -> str:
        """A name that was not used yet."""
        rng = self.rng
        while True:
            parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables)]
            name = ("".join(parts) + rng.choice(_CODAS)).capitalize()
            if name not in self.used:
                self.used.add(name)
                return name
            syllables = 2 + rng.randrange(2)


def _town(names: Names, rng: random.Random) -> list[Fact]:
    town, river, mayor = names.new(), names.new(), f"{names.new()} {names.new()}"
    people, year, goods = rng.randint(900, 90_000), rng.randint(900, 1890), rng.choice(_GOODS)
    return [
        Fact(town, "river", river, f"{town} is a town on the river {river}."),
        Fact(town, "population", str(people), f"The town of {town} has {people} inhabitants."),
        Fact(town, "founded", str(year), f"{town} was founded in the year {year}."),
        Fact(town, "product", goods, f"Traders know {town} for its {goods}."),
        Fact(town, "mayor", mayor, f"The mayor of {town} is {mayor}."),
        *_person(names, rng, mayor),
    ]


def _person(names: Names, rng: random.Random, name: str = "") -> list[Fact]:
    name = name or f"{names.new()} {names.new()}"
    job, year, hobby = rng.choice(_JOBS), rng.randint(1850, 1999), rng.choice(_HOBBIES)
    teacher = f"{names.new()} {names.new()}"
    return [
        Fact(name, "job", job, f"{name} worked as {_article(job)} for many years."),
        Fact(name, "born", str(year), f"{name} was born in {year}."),
        Fact(name, "hobby", hobby, f"In the evenings {name} liked {hobby}."),
        Fact(name, "teacher", teacher, f"The teacher of {name} was called {teacher}."),
    ]


def _company(names: Names, rng: random.Random) -> list[Fact]:
    firm, town, owner = f"{names.new()} Works", names.new(), f"{names.new()} {names.new()}"
    goods, staff, colour = rng.choice(_GOODS), rng.randint(12, 2400), rng.choice(_COLOURS)
    return [
        Fact(firm, "product", goods, f"{firm} is a company that makes {goods}."),
        Fact(firm, "seat", town, f"The main office of {firm} stands in {town}."),
        Fact(firm, "staff", str(staff), f"{firm} employs {staff} people."),
        Fact(firm, "colour", colour, f"The sign of {firm} is {colour}."),
        Fact(firm, "owner", owner, f"{firm} belongs to {owner}."),
        *_person(names, rng, owner),
    ]


def _river(names: Names, rng: random.Random) -> list[Fact]:
    river, lake = names.new(), f"Lake {names.new()}"
    length, bridges = rng.randint(20, 900), rng.randint(2, 60)
    return [
        Fact(river, "length", str(length), f"The river {river} is {length} kilometres long."),
        Fact(river, "bridges", str(bridges), f"{bridges} bridges cross the {river}."),
        Fact(river, "end", lake, f"The {river} ends in {lake}."),
    ]


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def articles(rng: random.Random) -> Iterator[list[Fact]]:
    """Articles without end, each a list of facts in the order they are told."""
    names = Names(rng)
    makers = (_town, _person, _company, _river)
    while True:
        yield rng.choice(makers)(names, rng)


def corpus_sentences(paths: tuple[str, ...]) -> list[str]:
    """The sentences of text files, one after another.

    Args:
        paths: UTF-8 files.

    Raises:
        InputError: A file cannot be read, or there is too little text.
    """
    found: list[str] = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from error
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
            found += [sentence] if 10 <= len(sentence) <= 240 else []
    if len(found) < 50:
        raise InputError(
            f"corpus {', '.join(paths)}: {len(found)} sentences of 10 to 240 characters, expected "
            "at least 50"
        )
    return found
