"""How a country writes numbers, money and dates, and how to read them again.

Amounts are `Decimal` throughout, rounded half up to cents. English documents name the month or use
year-month-day, so that no printed date has two readings. Must not invent values.

Source: data synthesis specification, section 9 (number and date formats, currencies).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from nanovl.synth.business.phrases import LANGUAGES, phrases

__all__ = ["SYMBOLS", "Locale", "cents", "draw_locale", "read_amount", "read_date"]

SYMBOLS = {
    "USD": "$",
    "GBP": "\u00a3",
    "EUR": "\u20ac",
    "CHF": "CHF",
    "MXN": "$",
    "BRL": "R$",
    "CAD": "C$",
    "AUD": "A$",
}
# language: (country, currency, thousands mark, decimal mark, tax rates in percent)
_REGIONS: dict[str, tuple[tuple[str, str, str, str, tuple[str, ...]], ...]] = {
    "en": (
        ("US", "USD", ",", ".", ("4", "6.25", "8", "8.875")),
        ("GB", "GBP", ",", ".", ("20", "5")),
        ("IE", "EUR", ",", ".", ("23", "13.5")),
        ("CA", "CAD", ",", ".", ("5", "13", "15")),
        ("AU", "AUD", ",", ".", ("10",)),
    ),
    "de": (
        ("DE", "EUR", ".", ",", ("19", "7")),
        ("AT", "EUR", ".", ",", ("20", "10")),
        ("CH", "CHF", "'", ".", ("8.1", "2.6")),
    ),
    "fr": (
        ("FR", "EUR", " ", ",", ("20", "10", "5.5")),
        ("CH", "CHF", "'", ".", ("8.1", "2.6")),
    ),
    "es": (("ES", "EUR", ".", ",", ("21", "10")), ("MX", "MXN", ",", ".", ("16",))),
    "it": (("IT", "EUR", ".", ",", ("22", "10", "4")),),
    "pt": (("PT", "EUR", ".", ",", ("23", "13", "6")), ("BR", "BRL", ".", ",", ("17", "12"))),
}
_DATES = {
    "en": ("d month y", "month d, y", "d mon y", "y-m-d"),
    "de": ("dd.mm.y", "d. month y", "dd.mm.y"),
    "fr": ("dd/mm/y", "d month y", "dd.mm.y"),
    "es": ("dd/mm/y", "d de month de y", "dd-mm-y"),
    "it": ("dd/mm/y", "d month y", "dd.mm.y"),
    "pt": ("dd/mm/y", "d de month de y", "dd-mm-y"),
}
_CENT = Decimal("0.01")


def cents(value: Decimal) -> Decimal:
    """Rounded half up to two decimals."""
    return value.quantize(_CENT, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, kw_only=True)
class Locale:
    """How one document writes.

    Attributes:
        language, country: ISO codes.
        currency: ISO code.
        group, decimal: Marks of numbers.
        rates: Usual tax rates in percent.
        date_form: A pattern of `_DATES`.
        money_form: "symbol-first", "symbol-last", "code-first", "code-last".
    """

    language: str
    country: str
    currency: str
    group: str
    decimal: str
    rates: tuple[Decimal, ...]
    date_form: str
    money_form: str

    def number(self, value: Decimal | int, decimals: int = 0, *, grouped: bool = True) -> str:
        """A number as it is printed."""
        whole, _, part = f"{abs(Decimal(value)):.{decimals}f}".partition(".")
        if grouped:
            places = [whole[max(0, k - 3) : k] for k in range(len(whole), 0, -3)]
            whole = self.group.join(reversed(places))
        return ("-" if value < 0 else "") + whole + (self.decimal + part if part else "")

    def amount(self, value: Decimal) -> str:
        """An amount of money without its currency."""
        return self.number(value, 2)

    def money(self, value: Decimal) -> str:
        """An amount of money as it is printed in full."""
        text, symbol = self.number(abs(value), 2), SYMBOLS[self.currency]
        sign = "-" if value < 0 else ""
        if self.money_form == "symbol-first":
            blank = " " if len(symbol) > 2 else ""
            return f"{sign}{symbol}{blank}{text}"
        if self.money_form == "symbol-last":
            return f"{sign}{text} {symbol}"
        if self.money_form == "code-first":
            return f"{self.currency} {sign}{text}"
        return f"{sign}{text} {self.currency}"

    def percent(self, value: Decimal) -> str:
        """A rate, such as 8.875 %."""
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        blank = "" if self.language == "en" else " "
        return f"{text.replace('.', self.decimal)}{blank}%"

    def date(self, day: date) -> str:
        """A date as it is printed."""
        month = phrases("months", self.language)[day.month - 1]
        return {
            "d month y": f"{day.day} {month} {day.year}",
            "month d, y": f"{month} {day.day}, {day.year}",
            "d mon y": f"{day.day} {month[:3]} {day.year}",
            "y-m-d": day.isoformat(),
            "dd.mm.y": f"{day.day:02d}.{day.month:02d}.{day.year}",
            "d. month y": f"{day.day}. {month} {day.year}",
            "dd/mm/y": f"{day.day:02d}/{day.month:02d}/{day.year}",
            "dd-mm-y": f"{day.day:02d}-{day.month:02d}-{day.year}",
            "d de month de y": f"{day.day} de {month} de {day.year}",
        }[self.date_form]


def draw_locale(rng: random.Random, languages: tuple[str, ...]) -> Locale:
    """A language, a country of it, and ways to write."""
    language = rng.choice(languages)
    country, currency, group, decimal, rates = rng.choice(_REGIONS[language])
    forms = ["symbol-first"] if language == "en" or country in ("MX", "BR") else ["symbol-last"]
    forms = [*forms * 3, "code-first", "code-last"]
    return Locale(
        language=language,
        country=country,
        currency=currency,
        group=group,
        decimal=decimal,
        rates=tuple(map(Decimal, rates)),
        date_form=rng.choice(_DATES[language]),
        money_form=rng.choice(forms),
    )


def read_amount(text: str, decimal: str) -> Decimal | None:
    """The one amount a text says, written with this decimal mark; None if there is not one.

    Args:
        text: May have a currency, a percent sign and thousands marks.
        decimal: "." or ",".
    """
    bare = re.sub(r"[A-Za-z$%\u00a3\u20ac]+\$?", " ", text).replace("\u00a0", " ").strip()
    other = "," if decimal == "." else "."
    mark, less = re.escape(decimal), re.escape(other)
    whole = rf"\d{{1,3}}(?:[{less}' ]\d{{3}})+|\d+"
    found = re.fullmatch(rf"([-+]?)\s*({whole})(?:{mark}(\d+))?", bare)
    if found is None:
        return None
    digits = re.sub(r"\D", "", found[2])
    try:
        return Decimal(f"{found[1]}{digits}.{found[3] or '0'}")
    except InvalidOperation:
        return None


def read_date(text: str) -> date | None:
    """The date a text says in any form of `_DATES`; numbers are day, month, year."""
    text = " ".join(text.strip().rstrip(".").casefold().split())
    found = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)
    if found:
        return _day(int(found[1]), int(found[2]), int(found[3]))
    found = re.fullmatch(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})", text)
    if found:
        return _day(int(found[3]), int(found[2]), int(found[1]))
    found = re.fullmatch(r"(\d{1,2})\.? (?:de )?([^\W\d]+)\.? (?:de )?(\d{4})", text)
    if found:
        return _day(int(found[3]), _month(found[2]), int(found[1]))
    found = re.fullmatch(r"([^\W\d]+)\.? (\d{1,2}),? (\d{4})", text)
    return _day(int(found[3]), _month(found[1]), int(found[2])) if found else None


def _month(name: str) -> int:
    for language in LANGUAGES:
        names = [n.casefold() for n in phrases("months", language)]
        for number, month in enumerate(names, 1):
            if name in (month, month[:3]):
                return number
    return 0


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
