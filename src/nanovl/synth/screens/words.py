"""Texts shown on screens: labels in four languages, lines of messages, names, products, amounts.

Labels and lines are package data; people, towns and things come from the lists the text generators
use. Nothing of it is about anybody. Must not draw from anything but the generator it is handed.

Source: data synthesis specification, sections 8 and 19 (synthetic names, domains example.*).
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from nanovl.core.errors import ConfigError
from nanovl.synth.documents.words import WORDS
from nanovl.synth.tables.vocabulary import PRODUCTS
from nanovl.synth.text.wording import NAMES, THINGS, TOWNS, words

__all__ = ["LANGUAGES", "Vocabulary", "labels", "lines"]

LANGUAGES = ("en", "de", "fr", "es")
_SURNAMES = words(
    "Abel Brandt Castell Dorn Ekberg Falk Gruber Haller Iversen Jansen Keller Lindt Moreau Navarro "
    "Ortiz Perrin Quast Rivera Sommer Tanner Urban Vidal Weber Ximeno Young Zeller"
)
_MADE_OF = (
    "Classic",
    "Compact",
    "Deluxe",
    "Eco",
    "Mini",
    "Plus",
    "Prime",
    "Pro",
    "Smart",
    "Travel",
)
_ENDINGS = ("pdf", "txt", "png", "csv", "odt", "zip", "mp3", "jpg")


@lru_cache(maxsize=1)
def labels() -> dict[str, dict[str, str]]:
    """Texts by language and key."""
    found: dict[str, dict[str, str]] = {code: {} for code in LANGUAGES}
    for line in _data("labels.txt"):
        key, *texts = line.split("|")
        for code, text in zip(LANGUAGES, texts, strict=True):
            found[code][key] = text
    return found


@lru_cache(maxsize=1)
def lines() -> dict[tuple[str, str], tuple[str, ...]]:
    """Lines by language and kind."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in _data("lines.txt"):
        code, kind, text = line.split("|")
        found.setdefault((code, kind), []).append(text)
    return {key: tuple(texts) for key, texts in found.items()}


def _data(name: str) -> list[str]:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


class Vocabulary:
    """Draws texts in one language.

    Args:
        rng: The generator of the stream "content".
        lang: One of `LANGUAGES`.

    Raises:
        ConfigError: There are no labels in this language.
    """

    def __init__(self, rng: random.Random, lang: str) -> None:
        if lang not in LANGUAGES:
            raise ConfigError(f"language {lang!r}: expected one of {', '.join(LANGUAGES)}")
        self.rng = rng
        self.lang = lang
        self._used: set[str] = set()

    def t(self, key: str) -> str:
        """A label."""
        return labels()[self.lang][key]

    def fresh(self, text: str) -> bool:
        """Whether a text was not drawn before; it is noted."""
        if text.casefold() in self._used:
            return False
        self._used.add(text.casefold())
        return True

    def person(self) -> str:
        """First and family name, not drawn before."""
        while True:
            name = f"{self.rng.choice(NAMES)} {self.rng.choice(_SURNAMES)}"
            if self.fresh(name):
                return name

    def mail_of(self, person: str) -> str:
        """An address at a reserved domain."""
        end = self.rng.choice(("com", "org", "net"))
        return f"{person.lower().replace(' ', '.')}@example.{end}"

    def town(self) -> str:
        """An invented town."""
        return self.rng.choice(TOWNS)

    def word(self) -> str:
        """A common English word of at least four letters."""
        while len(word := self.rng.choice(WORDS)) < 4:
            pass
        return word

    def title(self, least: int = 2, most: int = 3) -> str:
        """Some words in title case, not drawn before."""
        while True:
            count = self.rng.randint(least, most)
            text = " ".join(self.word().capitalize() for _ in range(count))
            if self.fresh(text):
                return text

    def product(self) -> str:
        """Something to buy, not drawn before."""
        while True:
            _, names = self.rng.choice(PRODUCTS)
            text = self.rng.choice(names)
            if self.rng.random() < 0.6:
                text = f"{text} {self.rng.choice(_MADE_OF)}"
            if self.rng.random() < 0.4:
                text += f" {self.rng.randint(2, 99) * 10}"
            if self.fresh(text):
                return text

    def file_name(self, ending: str = "") -> str:
        """A file name, not drawn before."""
        while True:
            stem = self.rng.choice(("-", "_")).join(
                [self.word(), *([self.word()] if self.rng.random() < 0.5 else [])]
            )
            if self.rng.random() < 0.4:
                stem += str(self.rng.randint(1, 2040))
            text = f"{stem}.{ending or self.rng.choice(_ENDINGS)}"
            if self.fresh(text):
                return text

    def line(self, kind: str) -> str:
        """A "subject", "text", "day" or "month", filled in."""
        pool = lines()[self.lang, kind]
        return self.rng.choice(pool).format(
            name=self.rng.choice(NAMES),
            town=self.town(),
            thing=self.rng.choice(THINGS),
            day=self.rng.choice(lines()[self.lang, "day"]),
            number=self.rng.randint(2, 480),
        )

    def new_line(self, kind: str) -> str:
        """As `line`, not drawn before."""
        for _ in range(60):
            text = self.line(kind)
            if self.fresh(text):
                return text
        return f"{self.line(kind)} {self.rng.randint(100, 999)}"

    def money(self, low: float = 2, high: float = 400, sign: str = "$") -> str:
        """An amount the way the language writes it."""
        cents = self.rng.randint(int(low * 100), int(high * 100))
        if self.rng.random() < 0.4:
            cents = cents // 100 * 100 + 99
        return self.amount(cents, sign)

    def amount(self, cents: int, sign: str = "$") -> str:
        """Cents as an amount."""
        body = f"{cents // 100:,}.{cents % 100:02d}"
        if self.lang == "en":
            return f"{sign}{body}"
        swapped = body.replace(",", " ").replace(".", ",").replace(" ", ".")
        return f"{swapped}\u00a0\u20ac" if sign != "CHF" else f"CHF {body}"

    def clock(self) -> str:
        """A time of day."""
        return f"{self.rng.randint(0, 23):02d}:{self.rng.choice(range(0, 60, 5)):02d}"

    def date(self) -> str:
        """A date as numbers, in the order of the language."""
        day, month, year = self.rng.randint(1, 28), self.rng.randint(1, 12), 2019
        year += self.rng.randint(0, 11)
        if self.lang == "en":
            return f"{year}-{month:02d}-{day:02d}"
        return (
            f"{day:02d}.{month:02d}.{year}"
            if self.lang == "de"
            else f"{day:02d}/{month:02d}/{year}"
        )
