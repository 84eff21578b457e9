"""Words shared by the text generators: people, things, places, prompts and small grammar.

Everything is our own list; names stand for nobody. Draws only from the generator it is handed, and
never asks what time it is.

Source: data synthesis specification, sections 13 and 17.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

__all__ = [
    "COLOURS",
    "CONTAINERS",
    "NAMES",
    "PLACES",
    "THINGS",
    "TOWNS",
    "clean",
    "decimal_text",
    "pick",
    "words",
]

T = TypeVar("T")


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The entries of a line."""
    return tuple(text.split(separator))


NAMES = words(
    "Ada Amir Anouk Arjun Bea Bruno Carmen Chidi Clara Dara Devi Elif Emil Esra Farid Fiona "
    "Gita Goran Hana Hugo Ilse Imani Ines Ivan Jana Jonas Kaito Karim Kira Lars Leila Lina "
    "Luca Malik Mara Mateo Mei Mira Nadia Nils Noor Olga Omar Otto Paula Petra Quinn Rania "
    "Ravi Rosa Samir Selma Sofia Stefan Tara Tariq Teo Uma Vera Viktor Wanda Xavier Yara "
    "Yusuf Zara Zoe"
)
THINGS = words(
    "apples oranges pears plums lemons mangoes muffins cookies bagels pretzels candles "
    "marbles stickers stamps postcards pencils crayons erasers notebooks folders badges "
    "buttons beads shells pebbles acorns tulips roses seedlings bulbs balloons kites puzzles "
    "figurines magnets keyrings bracelets scarves mugs plates lanterns tiles bricks screws "
    "bolts batteries cables"
)
CONTAINERS = words("boxes bags crates baskets jars trays packets tins cartons drawers")
PLACES = words(
    "the market|the school fair|the village shop|the community centre|the harbour kiosk|"
    "the museum shop|the garden club|the library sale|the sports club|the station stall|"
    "the winter bazaar|the street festival",
    "|",
)
TOWNS = words(
    "Aldmoor Birchholm Castrel Dunverra Eastmere Fenwick Galdor Harlen Isenvale Jorvale "
    "Kestrin Lunmere Marwick Norden Oakhaven Pellstad Quarrin Rosefort Silvan Torvik Umberley "
    "Varnholm Westermark Yarrow Zelmar"
)
COLOURS = words("red blue green yellow orange purple black white brown grey pink silver")


def pick(rng: random.Random, choices: Sequence[T]) -> T:
    """One of the choices."""
    return choices[rng.randrange(len(choices))]


def clean(text: str) -> str:
    """The text without doubled spaces and spaces at the ends of lines."""
    return "\n".join(" ".join(line.split()) for line in text.strip().split("\n"))


def decimal_text(value: Fraction, places: int = 4) -> str:
    """A number as people write it: "12", "3.5", or "5/3" when it has no short decimal form.

    Args:
        value: Exact.
        places: Most digits after the point.
    """
    if value.denominator == 1:
        return str(value.numerator)
    scaled = abs(value) * 10**places
    if scaled.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(scaled.numerator).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0")
    return f"-{text}" if value < 0 else text
