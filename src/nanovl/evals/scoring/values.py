"""What a field says, whatever its form: dates, amounts, numbers, identifiers, ticks, plain text.

Two values are compared by their kind; another day, amount or currency is another value, another
way to write it is not. Every function is total: any text goes in, none raises. Must not know
which fields a document has.

Source: evaluation specification, section 11.1 (answer types); the measures of the local suite.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

__all__ = ["KINDS", "Amount", "Day", "plain", "read_amount", "read_day", "same_value"]

KINDS = ("text", "date", "amount", "number", "id", "flag")

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december", "sept",
)  # fmt: skip
_TIME = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\s*(?:[ap]\.?m\b\.?)?", re.IGNORECASE)
_WEEKDAY = re.compile(
    r"\b(?:mon|tue|wed|thu|fri|sat|sun)(?:s|nes|rs|ur)?(?:day)?\b[.,]?", re.IGNORECASE
)
_YEAR_FIRST = re.compile(r"(\d{4})\s*[-/.]\s*(\d{1,2})\s*[-/.]\s*(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})\s*[-/. ]\s*(\d{1,2})\s*[-/. ]\s*(\d{4}|\d{2})")
_JOINED = re.compile(r"(\d{2})(\d{2})(\d{2})(\d{2})")
_DAY_NAMED = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)?[\s./-]*(?:of\s+)?([A-Za-z]{3,9})[\s,./'-]*(\d{4}|\d{2})"
)
_NAMED_DAY = re.compile(r"([A-Za-z]{3,9})[\s./-]*(\d{1,2})(?:st|nd|rd|th)?[\s,./'-]+(\d{4}|\d{2})")
_CENTURY_TURN = 70  # two digits below it are a year of this century

_CURRENCIES = {
    "rm": "MYR",
    "us$": "USD",
    "s$": "SGD",
    "a$": "AUD",
    "hk$": "HKD",
    "\u20ac": "EUR",
    "\u00a3": "GBP",
    "\u00a5": "JPY",
    "\u20b9": "INR",
    "$": "",  # of many countries: it contradicts none of them
}
_CODE = re.compile(r"[A-Za-z]{3}")
_AROUND = re.compile(r"^(?P<before>[^\d(+-]*)(?P<number>[(+-]?.*\d\)?-?)(?P<after>[^\d)]*)$", re.S)
_GROUPED = re.compile(r"\d+(?:[ .,'\u00a0\u2019]\d+)*")
_YES = ("yes", "true", "1", "x", "checked", "ticked", "on", "y")
_NO = ("no", "false", "0", "", "unchecked", "not ticked", "off", "n")


@dataclass(frozen=True)
class Day:
    """A date as written.

    Attributes:
        readings: The days it may mean: two when day and month could be swapped.
        printed: The numbers in the order they stand, None where the order is told by the form.
    """

    readings: frozenset[date]
    printed: tuple[int, int, int] | None = None

    def same(self, other: Day) -> bool:
        """Whether both mean the same day.

        Where neither form tells day from month, the numbers must stand in the same order.
        """
        if len(self.readings) == len(other.readings) == 1:
            return self.readings == other.readings
        if self.printed is not None and other.printed is not None:
            return self.printed == other.printed
        return bool(self.readings & other.readings)


@dataclass(frozen=True)
class Amount:
    """A sum of money or a number.

    Attributes:
        value: The number.
        currency: ISO code; "" when none is told.
    """

    value: Decimal
    currency: str = ""

    def same(self, other: Amount) -> bool:
        """Equal numbers, and no two different currencies."""
        differ = bool(self.currency and other.currency and self.currency != other.currency)
        return self.value == other.value and not differ


def _day(year: int, month: int, day: int) -> frozenset[date]:
    try:
        return frozenset({date(year, month, day)})
    except ValueError:
        return frozenset()


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < _CENTURY_TURN else 1900)


def _month(name: str) -> int:
    lower = name.lower()
    known = lower in _MONTHS or lower in _LONG_MONTHS
    return _MONTHS.get(lower[:3], 0) if known else 0


def read_day(text: str) -> Day | None:
    """The date a text consists of; times and days of the week beside it do not matter.

    Returns:
        The date, or None when the text is not one (or says more than one).
    """
    rest = _WEEKDAY.sub(" ", _TIME.sub(" ", unicodedata.normalize("NFKC", text)))
    rest = rest.strip(" \t\n.,;:()[]")
    found = _YEAR_FIRST.fullmatch(rest)
    if found:
        days = _day(int(found[1]), int(found[2]), int(found[3]))
        return Day(days) if days else None
    found = _YEAR_LAST.fullmatch(rest)
    if found:
        first, second, year = int(found[1]), int(found[2]), _full_year(found[3])
        days = _day(year, second, first) | _day(year, first, second)
        return Day(days, (first, second, year)) if days else None
    found = _JOINED.fullmatch(rest)
    if found:
        a, b, c, d = (int(part) for part in found.groups())
        days = _day(a * 100 + b, c, d) or _day(c * 100 + d, b, a)
        return Day(days) if days else None
    for pattern, day_at, month_at in ((_DAY_NAMED, 1, 2), (_NAMED_DAY, 2, 1)):
        found = pattern.fullmatch(rest)
        if found and _month(found[month_at]):
            days = _day(_full_year(found[3]), _month(found[month_at]), int(found[day_at]))
            return Day(days) if days else None
    return None


def _currency(text: str) -> str | None:
    """The currency named around a number, "" for none, None for other words."""
    word = text.strip(" \t\n.:\u00a0").lower()
    if not word or word in _CURRENCIES:
        return _CURRENCIES.get(word, "")
    return word.upper() if _CODE.fullmatch(word) else None


def _decimal(digits: str) -> Decimal | None:
    """The number of digits with marks, whichever of point and comma is the decimal mark."""
    if not _GROUPED.fullmatch(digits):
        return None
    *groups, last = re.split(r"[^\d]", digits)
    marks = [c for c in digits if not c.isdigit()]
    if not groups:
        return Decimal(last)
    # "1.234" and "12,345" are grouped, "0.125" and "1234,567" are not.
    is_grouped = len(last) == 3 and (
        len(marks) > 1 or (len(groups[0]) <= 3 and groups[0] not in ("0", "00"))
    )
    is_decimal = marks[-1] in ".," and marks.count(marks[-1]) == 1
    if len(set(marks)) == 1 and is_grouped:
        is_decimal = False
    whole = groups if is_decimal else [*groups, last]
    if any(len(group) not in (2, 3) for group in whole[1:]) or (len(whole) > 1 and not whole[0]):
        return None
    if any(c.isspace() for c in marks[: len(whole) - 1]) and len(whole[-1]) != 3:
        return None
    return Decimal("".join(whole) + (f".{last}" if is_decimal else ""))


def read_amount(text: str) -> Amount | None:
    """The amount a text consists of, with or without currency, percent sign and group marks.

    A single mark with three digits behind it groups them ("1.234" is a thousand and more), unless
    nothing but 0 stands before it.

    Returns:
        The amount, or None when the text says something else or more.
    """
    flat = unicodedata.normalize("NFKC", text).strip().rstrip("%").strip()
    found = _AROUND.match(flat)
    if not found:
        return None
    currencies = [_currency(found["before"]), _currency(found["after"])]
    if None in currencies:
        return None
    number = found["number"].strip()
    negative = number.startswith(("-", "(")) or number.endswith("-")
    if number.startswith("(") != number.endswith(")"):
        return None
    value = _decimal(number.strip("()+- "))
    if value is None:
        return None
    named = [c for c in currencies if c]
    return Amount(-value if negative else value, named[0] if named else "")


def plain(text: str) -> str:
    """Letters and digits in lower case; of the marks only those between two digits stay.

    Spaces go as well: transcriptions disagree about them more than about anything else.
    """
    flat = unicodedata.normalize("NFKC", text).casefold()
    kept = []
    for at, char in enumerate(flat):
        if char.isalnum() or unicodedata.category(char).startswith("M"):
            kept.append(char)
        elif not char.isspace():
            inside = 0 < at < len(flat) - 1
            if inside and flat[at - 1].isdigit() and flat[at + 1].isdigit():
                kept.append(char)
    return "".join(kept)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _flag(value: Any) -> bool | None:
    word = _text(value).strip().lower()
    return True if word in _YES else False if word in _NO else None


def same_value(kind: str, expected: Any, given: Any) -> bool:
    """Whether two values of a field are the same.

    Args:
        kind: One of `KINDS`; others count as "text".
        expected: The reference.
        given: What a model said.
    """
    left, right = _text(expected), _text(given)
    if " ".join(left.split()) == " ".join(right.split()):
        return True
    if kind == "date":
        day, other = read_day(left), read_day(right)
        if day is not None and other is not None:
            return day.same(other)
    if kind in ("amount", "number"):
        amount, said = read_amount(left), read_amount(right)
        if amount is not None and said is not None:
            return amount.same(said)
    if kind == "flag":
        truth = _flag(expected)
        return truth is not None and truth == _flag(given)
    if kind == "id":
        return "".join(left.split()).casefold() == "".join(right.split()).casefold()
    return bool(plain(left)) and plain(left) == plain(right)
