"""Answers about fields: printed and normalised forms count, others do not."""

from __future__ import annotations

import pytest

from nanovl.synth.base import Answer
from nanovl.synth.verify import score


def answer(text: str, value: object, kind: str, decimal: str = ",", currency: str = "") -> Answer:
    known = {"text": text, "value": value, "kind": kind, "decimal": decimal, "currency": currency}
    return Answer(type="text", value=known)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1.234,50 \u20ac", True),
        ("1234.50", True),
        ("1.234,50", True),
        ("EUR 1234,5", True),
        ("1234,50 EUR.", True),
        ("1.234,50 USD", False),
        ("$1234.50", False),
        ("1.234,51 \u20ac", False),
        ("1,2345", False),
        ("-1234.50", False),
        ("12.345,00", False),
        ("about it", False),
        ("", False),
    ],
)
def test_amounts(text: str, right: bool) -> None:
    known = answer("1.234,50 \u20ac", 1234.5, "money", currency="EUR")
    assert score("field", known, text) == float(right)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("14.03.2024", True),
        ("2024-03-14", True),
        ("14. M\u00e4rz 2024", True),
        ("March 14, 2024", True),
        ("14 de marzo de 2024", True),
        ("14 Mar 2024", True),
        ("03.14.2024", False),
        ("2024-03-15", False),
        ("14.03", False),
    ],
)
def test_dates(text: str, right: bool) -> None:
    assert score("field", answer("14.03.2024", "2024-03-14", "date"), text) == float(right)


def test_identifiers_and_texts() -> None:
    known = answer("DE89 3704 0044", "DE89 3704 0044", "id")
    assert score("field", known, "DE8937040044") == 1.0
    assert score("field", known, "de89 3704 0044.") == 1.0
    assert score("field", known, "DE89 3704 0045") == 0.0
    plain = answer("Anna Berg", "Anna Berg", "text")
    assert score("field", plain, "anna berg") == 1.0
    assert score("field", plain, "Anna") == 0.0


def test_dollars_of_several_countries() -> None:
    known = answer("$12.00", 12.0, "money", decimal=".", currency="MXN")
    assert score("field", known, "$12") == 1.0
    assert score("field", known, "MXN 12.00") == 1.0
    assert score("field", known, "USD 12.00") == 0.0
