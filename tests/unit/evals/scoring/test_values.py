"""Values of fields: dates in any form, amounts, identifiers, ticks, text."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.scoring.values import KINDS, plain, read_amount, read_day, same_value

TEXTS = st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-03-23", {date(2018, 3, 23)}),
        ("2018/3/23", {date(2018, 3, 23)}),
        ("23/03/2018", {date(2018, 3, 23)}),
        ("03/23/2018", {date(2018, 3, 23)}),
        ("04/03/2018", {date(2018, 3, 4), date(2018, 4, 3)}),
        ("19-04-18", {date(2018, 4, 19)}),
        ("19.04.98", {date(1998, 4, 19)}),
        ("23 MAR 2018", {date(2018, 3, 23)}),
        ("23-Mar-18", {date(2018, 3, 23)}),
        ("March 23, 2018", {date(2018, 3, 23)}),
        ("Mar 23rd 2018", {date(2018, 3, 23)}),
        ("Fri, 23 March 2018 11:05 AM", {date(2018, 3, 23)}),
        ("23/03/2018 21:15:01", {date(2018, 3, 23)}),
        ("20180323", {date(2018, 3, 23)}),
        ("23032018", {date(2018, 3, 23)}),
    ],
)
def test_dates_are_read(text, expected):
    day = read_day(text)
    assert day is not None
    assert day.readings == expected


@pytest.mark.parametrize(
    "text",
    ["", "total", "31/02/2018", "2018-13-01", "12.50", "5 Blah 2018", "23/03/2018 and 24/03/2018"],
)
def test_what_is_no_date_is_none(text):
    assert read_day(text) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("23/03/2018", "2018-03-23", True),
        ("23/03/2018", "03/23/2018", True),
        ("04/03/2018", "04-03-18", True),
        ("04/03/2018", "03/04/2018", False),  # the same two readings, another order
        ("04/03/2018", "2018-04-03", True),
        ("04/03/2018", "4 March 2018", True),
        ("04/03/2018", "5 March 2018", False),
        ("23/03/2018", "23/03/2019", False),
    ],
)
def test_days_are_compared_by_what_they_mean(one, other, same):
    assert same_value("date", one, other) is same
    assert same_value("date", other, one) is same


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("12.37", "12.37", ""),
        ("RM 15.40", "15.40", "MYR"),
        ("15.40 EUR", "15.40", "EUR"),
        ("$1,234.50", "1234.50", ""),
        ("\u20ac1.234,50", "1234.50", "EUR"),
        ("1 234,50", "1234.50", ""),
        ("1'234.50", "1234.50", ""),
        ("1.234", "1234", ""),
        ("1,234,567", "1234567", ""),
        ("0.125", "0.125", ""),
        ("1234,567", "1234.567", ""),
        ("-5", "-5", ""),
        ("(5.00)", "-5.00", ""),
        ("5.00-", "-5.00", ""),
        ("19%", "19", ""),
        ("15.4", "15.4", ""),
        ("007", "7", ""),
    ],
)
def test_amounts_are_read(text, value, currency):
    amount = read_amount(text)
    assert amount is not None
    assert (amount.value, amount.currency) == (Decimal(value), currency)


@pytest.mark.parametrize("text", ["", "total 5", "5 apples", "1 2", "12 34 56", "1,2,3", "(5", "-"])
def test_what_is_no_amount_is_none(text):
    assert read_amount(text) is None


@pytest.mark.parametrize(
    ("kind", "expected", "said", "same"),
    [
        ("amount", "RM 15.40", "15.4", True),
        ("amount", "RM 15.40", "USD 15.40", False),
        ("amount", "15.40", 15.4, True),
        ("amount", "15.40", "15.41", False),
        ("number", 1250, "1,250", True),
        ("number", 3.0, "3", True),
        ("number", 3, "three", False),
        ("flag", True, "yes", True),
        ("flag", True, "X", True),
        ("flag", False, "", True),
        ("flag", False, "checked", False),
        ("flag", "maybe", "maybe not", False),
        ("id", "DE 12 345", "de12345", True),
        ("id", "DE-12", "DE12", False),
        ("text", "LOT F21 & 22, CITTA MALL", "lot f21 &22,citta  mall.", True),
        ("text", "MR. D.I.Y. (M) SDN BHD", "MR DIY (M) SDN BHD", True),
        ("text", "12-34", "1234", False),  # a mark between digits means something
        ("text", "Acme", "Acne", False),
        ("text", "...", "!!!", False),
        ("text", "...", "...", True),
        ("unheard of", "a b", "A  b", True),
    ],
)
def test_values_are_compared_by_kind(kind, expected, said, same):
    assert same_value(kind, expected, said) is same


@given(TEXTS, TEXTS, st.sampled_from(KINDS))
def test_any_text_can_be_compared(one, other, kind):
    assert same_value(kind, one, other) == same_value(kind, other, one)
    assert same_value(kind, one, one)
    read_day(one), read_amount(one), plain(one)


@given(st.dates(date(1970, 1, 1), date(2069, 12, 31)))
def test_every_day_is_read_in_every_form(day):
    for form in ("%Y-%m-%d", "%d %b %Y", "%B %d, %Y", "%d.%m.%Y", "%d/%m/%y", "%Y%m%d"):
        found = read_day(day.strftime(form))
        assert found is not None
        assert day in found.readings


@given(st.decimals(0, 10**7, places=2))
def test_every_amount_is_read_in_both_notations(amount):
    english = f"{amount:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text in (english, german, f"RM{english}", f"{german} EUR"):
        found = read_amount(text)
        assert found is not None
        assert found.value == amount
