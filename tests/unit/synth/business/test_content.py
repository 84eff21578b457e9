"""What documents say: words, numbers, dates, check digits, bar codes, and sums that close."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.base import Streams
from nanovl.synth.business.drawings import CODE128, barcode, code128
from nanovl.synth.business.formats import SYMBOLS, Locale, draw_locale, read_amount, read_date
from nanovl.synth.business.generator import FAMILIES, BusinessGenerator, Made, create
from nanovl.synth.business.parties import iban, iban_is_valid
from nanovl.synth.business.phrases import LANGUAGES, phrases

pytest.importorskip("segno", reason="needs segno: pip install 'nanovl[synth]'")


@pytest.fixture(scope="module")
def generator() -> BusinessGenerator:
    return create({"renderers": ["typst"]})


@pytest.fixture(scope="module")
def plans(generator: BusinessGenerator) -> list[Made]:
    return [generator.plan(Streams(seed)) for seed in range(700)]


def locales() -> list[Locale]:
    rng = random.Random(0)
    return [draw_locale(rng, LANGUAGES) for _ in range(150)]


# -- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "count"),
    [("months", 12), ("weekdays", 7), ("tests", 12), ("contract.heads", 7),
     ("contract.clauses", 7), ("flags", 2), ("sexes", 2), ("units", 4)],
)  # fmt: skip
def test_lists_are_complete_in_every_language(key: str, count: int) -> None:
    for language in LANGUAGES:
        assert len(phrases(key, language)) == count


def test_slots_of_sentences_are_the_same_in_every_language() -> None:
    for key in ("letter.money", "contract.clauses", "report.outlook", "contract.intro"):
        slots = [
            [sorted(re.findall(r"{(\w+)}", text)) for text in phrases(key, language)]
            for language in LANGUAGES
        ]
        assert all(s == slots[0] for s in slots), key


def test_an_unknown_phrase_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="invoice_number"):
        phrases("invoice_numbr", "en")


# -- Formats -------------------------------------------------------------------------------------


def test_amounts_and_dates_are_read_back() -> None:
    rng = random.Random(1)
    for locale in locales():
        amount = Decimal(rng.randint(-99_999_99, 99_999_999)) / 100
        for text in (locale.amount(amount), locale.money(amount)):
            found = read_amount(text.replace("-", "", 1), locale.decimal)
            assert found == abs(amount), (text, locale)
        day = date(2010, 1, 1) + timedelta(days=rng.randint(0, 9000))
        assert read_date(locale.date(day)) == day, (locale.date(day), locale.date_form)


@pytest.mark.parametrize("text", ["", "12/13/2020", "31.02.2020", "Maybe 3, 2020", "20"])
def test_what_is_no_date_is_not_read(text: str) -> None:
    assert read_date(text) is None


@pytest.mark.parametrize("text", ["", "abc", "1.2.3,4", "12,34,567.00", "5 apples 6"])
def test_what_is_no_amount_is_not_read(text: str) -> None:
    assert read_amount(text, ".") is None


def test_currencies_are_various() -> None:
    assert {locale.currency for locale in locales()} == set(SYMBOLS)


# -- Numbers with check digits -------------------------------------------------------------------


def test_account_numbers_have_right_check_digits() -> None:
    assert iban_is_valid("DE89 3704 0044 0532 0130 00")  # the standard's own example
    assert not iban_is_valid("DE88 3704 0044 0532 0130 00")
    rng = random.Random(2)
    for locale in locales():
        text = iban(locale, rng)
        assert iban_is_valid(text)
        last = str((int(text[-1], 36) + 1) % 10)
        assert text[-1].isalpha() or not iban_is_valid(text[:-1] + last)


def test_bar_code_symbols_are_those_of_the_standard() -> None:
    assert len(CODE128) == len(set(CODE128)) == 107
    for symbol in CODE128[:-1]:
        widths = [int(w) for w in symbol]
        assert sum(widths) == 11
        assert sum(widths[::2]) % 2 == 0  # bars cover an even number of modules
    assert sum(map(int, CODE128[-1])) == 13


@pytest.mark.parametrize("text", ["INV-0042", "12345678", "Hello, world 7", "1"])
def test_bar_codes_are_read_back_from_their_bars(text: str) -> None:
    drawing = barcode(text, 400, 40)
    bars = [
        (float(x), float(w))
        for x, w in re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', drawing.svg)
    ]
    unit = min(w for _, w in bars)
    widths: list[int] = []
    for (x, w), after in itertools.zip_longest(bars, bars[1:]):
        widths.append(round(w / unit))
        if after is not None:
            widths.append(round((after[0] - x - w) / unit))
    assert "".join(map(str, widths[-7:])) == CODE128[106]
    symbols = ["".join(map(str, widths[k : k + 6])) for k in range(0, len(widths) - 7, 6)]
    values = [CODE128.index(s) for s in symbols]
    start, *data, check = values
    assert (start + sum(k * v for k, v in enumerate(data, 1))) % 103 == check
    if start == 105:
        assert "".join(f"{v:02d}" for v in data) == text
    else:
        assert "".join(chr(v + 32) for v in data) == text


def test_bar_codes_of_other_letters_are_refused() -> None:
    with pytest.raises(InputError, match="printable ASCII"):
        code128("\u00e4")


# -- Sums ----------------------------------------------------------------------------------------


def printed(text: str, decimal: str) -> Decimal:
    """The number of a printed text, by its digits and its decimal mark alone."""
    number = re.search(r"\d[\d .,']*", text)
    assert number, text
    whole, _, part = number[0].strip().rpartition(decimal)
    if not whole:
        whole, part = part, "0"
    value = Decimal(re.sub(r"\D", "", whole) + "." + re.sub(r"\D", "", part))
    return -value if "-" in text[: number.start()] else value


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def test_all_arithmetic_closes_as_printed(plans: list[Made]) -> None:
    seen: Counter[str] = Counter()
    for made in plans:
        fields, mark = made.draft.fields, made.draft.locale.decimal
        for relation in made.draft.relations:
            numbers = [printed(fields[t.path].text, mark) for t in relation.terms]
            result = printed(fields[relation.result].text, mark)
            if relation.kind == "sum":
                signs = [t.sign for t in relation.terms]
                wanted = sum((s * n for s, n in zip(signs, numbers, strict=True)), Decimal(0))
            elif relation.kind == "product":
                wanted = numbers[0] * numbers[1] * (100 - (numbers[2:] or [Decimal(0)])[0]) / 100
                wanted = cents(wanted)
            else:
                wanted = cents(numbers[0] * numbers[1] / 100)
            assert result == wanted, (made.draft.family, relation)
            seen[f"{made.draft.family}/{relation.kind}"] += 1
    families = {name.split("/")[0] for name in seen}
    assert {"invoice", "purchase_order", "receipt", "bank_statement", "pay_slip", "report",
            "slide", "contract", "delivery_note"} <= families  # fmt: skip
    assert sum(seen.values()) > 2000


def test_values_agree_with_what_is_printed(plans: list[Made]) -> None:
    for made in plans:
        for field in made.draft.fields.values():
            if field.kind == "date":
                day = read_date(field.text)
                assert day is not None
                assert day.isoformat() == field.value
            elif field.kind in ("money", "percent"):
                assert printed(field.text, made.draft.locale.decimal) == Decimal(str(field.value))


def test_dates_are_in_order(plans: list[Made]) -> None:
    orders = (("invoice_date", "due_date"), ("issued", "expires"), ("collected", "reported"),
              ("order_date", "delivery_date"), ("start_date", "end_date"))  # fmt: skip
    checked = 0
    for made in plans:
        for first, second in orders:
            both = [made.draft.fields.get(path) for path in (first, second)]
            if made.draft.family == "invoice" and second == "delivery_date":
                continue
            if both[0] is not None and both[1] is not None:
                assert both[0].value <= both[1].value
                checked += 1
    assert checked > 40


def test_domains_and_cards_are_plainly_made_up(plans: list[Made]) -> None:
    for made in plans:
        for field in made.draft.fields.values():
            if "@" in field.text and "email" in field.path:
                assert re.search(r"[@.]example\.(com|org|net)$", field.text), field.text
        if made.draft.family == "id_card":
            notes = phrases("specimen_note", made.draft.locale.language)
            assert any(leaf.text in notes for leaf in made.flat.leaves)


# -- Templates -----------------------------------------------------------------------------------


def shape(node: Any) -> Any:
    """A tree without its texts, sizes and colours."""
    if isinstance(node, list):
        return [shape(n) for n in node]
    if isinstance(node, dict) and "n" in node:
        frame = [node.get("sides"), bool(node.get("fill")), node.get("thick", 0) > 2]
        return [node["n"], shape(node.get("c", [])), len(node.get("head", [])), frame]
    return []


@pytest.mark.slow
def test_every_family_has_eight_templates_of_its_own(generator: BusinessGenerator) -> None:
    """Trees without texts: many for each family, hardly one of two families."""
    shapes: dict[str, set[str]] = {}
    for name, family in FAMILIES.items():
        assert len(family.templates) == len(set(family.templates)) >= 8, name
        only = create({"renderers": ["typst"], "families": [name]})
        made = [only.plan(Streams(seed)) for seed in range(60)]
        by_template: dict[str, set[str]] = {}
        for plan in made:
            by_template.setdefault(plan.template, set()).add(repr(shape(plan.flat.tree)))
        assert len(by_template) >= 8, name
        firsts = {min(found) for found in by_template.values()}
        assert len(firsts) >= 8, name
        shapes[name] = {s for found in by_template.values() for s in found}
        assert len(shapes[name]) >= 12, name
    for (one, first), (other, second) in itertools.combinations(shapes.items(), 2):
        assert len(first & second) <= 1, (one, other)


def test_all_languages_and_families_come_up(plans: list[Made]) -> None:
    assert {p.draft.locale.language for p in plans} == set(LANGUAGES)
    assert {p.draft.family for p in plans} == set(FAMILIES)
    assert len(FAMILIES) == 18
