"""Rules that answer without a model."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.evals import baseline_rules as rules

RECEIPT = """
TAN WOON YANN
BOOK TA .K (TAMAN DAYA) SDN BHD
789417-W
NO.53 55,57 & 59, JALAN SAGU 18,
TAMAN DAYA, 81100 JOHOR BAHRU
TEL: 07-1234567
DOCUMENT NO : TD01167104
DATE: 25/12/2018 8:13:39 PM
KF MODELLING CLAY  1 PC  9.00
SUB TOTAL: 9.00
TOTAL QTY: 1
ROUNDED TOTAL (RM): 9.00
CASH 10.00
CHANGE 1.00
"""


def test_a_receipt_is_read_by_its_lines():
    assert rules.receipt_fields(RECEIPT) == {
        "company": "BOOK TA .K (TAMAN DAYA) SDN BHD",
        "date": "25/12/2018",
        "address": "NO.53 55,57 & 59, JALAN SAGU 18, TAMAN DAYA, 81100 JOHOR BAHRU",
        "total": "9.00",
    }


@pytest.mark.parametrize(
    ("lines", "total"),
    [
        ("SUB TOTAL 9.00\nTOTAL 10.00\nCASH 50.00", "10.00"),
        ("TOTAL\nRM 1,234.50", "1,234.50"),
        ("TOTAL SAVING 99.00\nGRAND TOTAL RM12.30", "12.30"),
        ("9.00\n12.30", "12.30"),  # no line says total: the largest amount
        ("no amounts", None),
    ],
)
def test_the_total_of_a_receipt(lines, total):
    assert rules.receipt_fields(lines).get("total") == total


def test_the_value_stands_behind_the_label():
    form = "Invoice No: A-17\nInvoice date 3 May 2021\nShip to Berlin"
    found = rules.labelled_fields(form, ["invoice_date", "invoice_number", "iban", "ship_to"])
    assert found == {
        "invoice_date": "3 May 2021",
        "invoice_number": "No: A-17",
        "ship_to": "Berlin",
    }


STORY = (
    "Once upon a time there was a farmer. He had seven sons and one daughter. "
    "The youngest son was called Assipattle, and he lay in the ashes."
)


@pytest.mark.parametrize(
    ("question", "sentence", "span"),
    [
        ("What was the youngest son called?",
         "The youngest son was called Assipattle, and he lay in the ashes.", "Assipattle"),
        ("How many sons did the farmer have?", "Once upon a time there was a farmer.", "Once upon"),
    ],
)  # fmt: skip
def test_the_nearest_sentence_and_what_is_new_in_it(question, sentence, span):
    assert rules.best_sentence(STORY, question) == sentence
    assert rules.best_span(STORY, question).startswith(span)


def test_sentences_do_not_end_at_line_ends():
    assert rules.sentences("One two\nthree. Four!\n\nFive") == ["One two three.", "Four!", "Five"]


def test_a_cell_that_is_not_asked_about():
    table = "Player   Club    Goals\nArdo Kreek   Tartu   12\nSiim E.   Tallinn   9"
    assert rules.best_cell(table, "Which club did Ardo Kreek play for?") == "Tartu"
    assert rules.best_cell("", "Which?") == ""


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("head\n\nbody\n\nWhat?", ("head\n\nbody", "What?")),
        ("What?", ("", "What?")),
        ("", ("", "")),
    ],
)
def test_a_prompt_ends_with_its_question(prompt, parts):
    assert rules.split_prompt(prompt) == parts


@pytest.mark.parametrize(
    ("text", "number"), [("3 apples and 1,200 pears", "1200"), ("-2.5 degrees", "-2.5"), ("no", "")]
)
def test_the_last_number(text, number):
    assert rules.last_number(text) == number


@given(st.text(max_size=300), st.text(max_size=80))
def test_no_text_is_too_strange(text, question):
    fields = rules.receipt_fields(text)
    assert set(fields) <= {"company", "date", "address", "total"}
    assert set(rules.labelled_fields(text, [question, "date"])) <= {question, "date"}
    sentence = rules.best_sentence(text, question)
    assert sentence == "" or sentence in rules.sentences(text)
    assert rules.best_span(text, question) in (sentence or " ")
    rules.best_cell(text, question), rules.last_number(text), rules.split_prompt(text)
