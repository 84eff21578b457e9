"""People, companies and their numbers, all made up.

Names come from our own lists, domains end in example.com, .org or .net, and account numbers have
valid check digits. Must not use data of real people or companies.

Source: data synthesis specification, section 9 (consistency rules).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nanovl.synth.business.formats import Locale
from nanovl.synth.business.phrases import phrases

__all__ = [
    "Company",
    "Person",
    "draw_company",
    "draw_date",
    "draw_person",
    "iban",
    "iban_is_valid",
    "number_like",
    "vat_number",
]

# country: letters and digits of an account number after the two check digits
_ACCOUNTS = {
    "DE": "dddddddddddddddddd",
    "AT": "dddddddddddddddd",
    "CH": "ddddddddddddddddd",
    "FR": "ddddddddddddddddddddddd",
    "ES": "dddddddddddddddddddd",
    "IT": "adddddddddddddddddddddd",
    "PT": "ddddddddddddddddddddd",
    "GB": "aaaadddddddddddddd",
    "IE": "aaaadddddddddddddd",
    "BR": "dddddddddddddddddddddddaa",
}
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone.

    Attributes:
        given, surname: Names.
        sex: 0 female, 1 male.
        street, place: Lines of the address; `place` has postcode and town.
        postcode, town: Parts of `place`.
        phone, email: To be reached by.
    """

    given: str
    surname: str
    sex: int
    street: str
    place: str
    postcode: str
    town: str
    phone: str
    email: str

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.given} {self.surname}"

    @property
    def lines(self) -> tuple[str, ...]:
        """The address."""
        return self.name, self.street, self.place


@dataclass(frozen=True, kw_only=True)
class Company:
    """A firm.

    Attributes:
        name: With its legal form.
        short: Without it.
        street, place, phone, email, web: As of a person.
        vat: Tax number.
    """

    name: str
    short: str
    street: str
    place: str
    phone: str
    email: str
    web: str
    vat: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The address."""
        return self.name, self.street, self.place


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", "-", plain.lower()).strip("-")


def number_like(pattern: str, rng: random.Random) -> str:
    """A pattern with "#" replaced by digits and "@" by capital letters."""
    made = []
    for mark in pattern:
        if mark == "#":
            made.append(str(rng.randrange(10)))
        elif mark == "@":
            made.append(rng.choice(_LETTERS))
        else:
            made.append(mark)
    return "".join(made)


def _address(locale: Locale, rng: random.Random) -> tuple[str, str, str, str]:
    """(street line, place line, postcode, town)."""
    street = rng.choice(phrases("streets", locale.language))
    town = rng.choice(phrases("towns", locale.language))
    house = rng.randint(1, 189)
    if locale.language in ("en", "fr"):
        line = f"{house} {street}"
    elif locale.language == "de":
        line = f"{street} {house}"
    else:
        line = f"{street}, {house}"
    code = {
        "US": "#####",
        "GB": "@@# #@@",
        "IE": "@## @#@#",
        "CA": "@#@ #@#",
        "AU": "####",
        "AT": "####",
        "CH": "####",
        "PT": "####-###",
        "BR": "#####-###",
    }.get(locale.country, "#####")
    code = number_like(code, rng)
    code = "1" + code[1:] if code[0] == "0" else code
    if locale.country == "US":
        place = f"{town}, {rng.choice(phrases('states', 'en'))} {code}"
    elif locale.country in ("GB", "IE", "CA", "AU"):
        place = f"{town} {code}"
    else:
        place = f"{code} {town}"
    return line, place, code, town


def _phone(locale: Locale, rng: random.Random) -> str:
    return number_like(
        {
            "US": "(###) 555-01##",
            "CA": "(###) 555-01##",
            "GB": "01632 960###",
            "IE": "020 915 ####",
            "AU": "(02) 5550 ####",
            "DE": "0##1 ######",
            "AT": "0#### ######",
            "CH": "0## 555 ## ##",
            "FR": "01 99 00 ## ##",
            "ES": "9## 55 ## ##",
            "IT": "0## 555 ####",
            "MX": "55 5550 ####",
            "PT": "2## 555 ###",
            "BR": "(##) 5550-####",
        }[locale.country],
        rng,
    )


def draw_person(locale: Locale, rng: random.Random, sex: int | None = None) -> Person:
    """Someone who lives in the country of the document."""
    sex = rng.randrange(2) if sex is None else sex
    given = rng.choice(phrases(("women", "men")[sex], locale.language))
    surname = rng.choice(phrases("surnames", locale.language))
    street, place, code, town = _address(locale, rng)
    domain = rng.choice(("example.com", "example.org", "example.net"))
    return Person(
        given=given,
        surname=surname,
        sex=sex,
        street=street,
        place=place,
        postcode=code,
        town=town,
        phone=_phone(locale, rng),
        email=f"{_ascii(given)}.{_ascii(surname)}@{domain}",
    )


def draw_company(locale: Locale, rng: random.Random, short: str = "") -> Company:
    """A firm of the country of the document.

    Args:
        locale: Country and language.
        rng: Where it comes from.
        short: Its name; drawn when empty, else it gets no legal form.
    """
    name = short
    if not short:
        root = rng.choice(
            (*phrases("invented", "en"), rng.choice(phrases("surnames", locale.language)))
        )
        short = f"{root} {rng.choice(phrases('trades', locale.language))}"
        name = f"{short} {rng.choice(phrases('legal', locale.language))}"
    street, place, _, _ = _address(locale, rng)
    domain = f"{_ascii(short.split()[0] if len(short) > 14 else short)}.example.com"
    return Company(
        name=name,
        short=short,
        street=street,
        place=place,
        phone=_phone(locale, rng),
        email=f"{rng.choice(('info', 'office', 'contact', 'mail'))}@{domain}",
        web=f"www.{domain}",
        vat=vat_number(locale, rng),
    )


def vat_number(locale: Locale, rng: random.Random) -> str:
    """A tax number in the shape the country uses."""
    shapes = {
        "US": "##-#######",
        "GB": "GB### #### ##",
        "IE": "IE#######@",
        "CA": "#########RT####",
        "AU": "## ### ### ###",
        "DE": "DE#########",
        "AT": "ATU########",
        "CH": "CHE-###.###.###",
        "FR": "FR## #########",
        "ES": "ES@########",
        "MX": "@@@######@##",
        "IT": "IT###########",
        "PT": "PT#########",
        "BR": "##.###.###/####-##",
    }
    return number_like(shapes[locale.country], rng)


def _letters_as_digits(text: str) -> int:
    return int("".join(str(int(mark, 36)) for mark in text))


def iban(locale: Locale, rng: random.Random, *, spaced: bool = True) -> str:
    """An international account number with right check digits; countries without get a German."""
    country = locale.country if locale.country in _ACCOUNTS else "DE"
    account = "".join(
        rng.choice(_LETTERS) if mark == "a" else str(rng.randrange(10))
        for mark in _ACCOUNTS[country]
    )
    check = 98 - _letters_as_digits(f"{account}{country}00") % 97
    whole = f"{country}{check:02d}{account}"
    if not spaced:
        return whole
    return " ".join(whole[k : k + 4] for k in range(0, len(whole), 4))


def iban_is_valid(text: str) -> bool:
    """Whether the check digits of an account number are right."""
    bare = text.replace(" ", "")
    return bare[:2].isalpha() and _letters_as_digits(bare[4:] + bare[:4]) % 97 == 1


def draw_date(rng: random.Random, years: Sequence[int] = (2012, 2031)) -> date:
    """A day in a range of years, the last one included."""
    first, last = date(years[0], 1, 1), date(years[1], 12, 31)
    return first + timedelta(days=rng.randint(0, (last - first).days))
