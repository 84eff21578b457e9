"""Documents made of pages that stand for themselves: slide decks, bundles of invoices, statements.

As in `flowing`, each is a function of a seed and a size.

Source: data synthesis specification, section 11 (aggregation over a bundle, tables over pages).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from nanovl.synth.asking import sentence
from nanovl.synth.multipage.draft import Draft
from nanovl.synth.multipage.flowing import MONTHS, Size, figure_chart
from nanovl.synth.multipage.vocabulary import REPORTING, person
from nanovl.synth.text.haystacks import Names
from nanovl.synth.text.wording import TOWNS

__all__ = ["invoices", "slides", "statement"]

_GOODS = ("Desk lamp", "Office chair", "Paper tray", "Whiteboard", "Stapler", "Scanner", "Kettle",
          "Toaster", "Backpack", "Suitcase", "Garden hose", "Wheelbarrow", "Tent", "Hand mixer",
          "Lawn mower", "Hedge trimmer")  # fmt: skip
_COSTS = ("Rent", "Power supply", "Insurance", "Phone line", "Cleaning service", "Web hosting",
          "Car repair", "Book store", "Bakery", "Pharmacy", "Train ticket",
          "Hardware store")  # fmt: skip
_INCOME = ("Salary", "Refund", "Sale of goods", "Interest", "Transfer in", "Deposit")

_CLOSINGS = ("Payable within 14 days.", "Payable within 30 days.",
             "Please pay without deduction.", "Thank you for your order.")  # fmt: skip
WIDE = 2.7  # width over height of a figure on a slide


def _stream(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}|{name}")


def _amount(value: float) -> str:
    return f"{value:,.2f}"


def _money(value: float) -> str:
    return f"-${_amount(-value)}" if value < 0 else f"${_amount(value)}"


def slides(seed: int, size: Size) -> Draft:
    """A deck: title, agenda, a slide or two for every subject, a closing slide."""
    rng = _stream(seed, "slides")
    names = Names(_stream(seed, "names"))
    world = rng.choice(REPORTING)
    firm = f"{names.new()} {rng.choice(('Works', 'Group', 'Holding'))}"
    draft = Draft("slides", f"{firm}: business review", facing="deck")
    subjects = rng.sample(world.subjects, min(size.sections, len(world.subjects)))
    draft.text(draft.title, "title")
    draft.text(f"{person(names)}, {rng.choice(MONTHS)} {rng.randint(2003, 2029)}")
    if len(subjects) <= 8:
        draft.breaks.append(len(draft.blocks))
        draft.text("Agenda", "section_header", 1)
        for subject in subjects:
            draft.text(subject, "list_item", marker="-")
    for k, subject in enumerate(subjects):
        part = _stream(seed, f"slide {k}")
        draft.breaks.append(len(draft.blocks))
        draft.heading(subject)
        _bullets(draft, subject, names, part, world.measures, world.relations)
        draw = part.random()
        if size.fill and draw < 0.3:
            draft.breaks.append(len(draft.blocks))
            draft.heading(f"{subject}: the year in numbers", gist="A table shows the quarters.")
            columns = part.sample(("Visits", "Deliveries", "Returns", "Tickets", "Hours"), 3)
            rows = [[q, *(f"{part.randint(40, 900)}" for _ in columns)]
                    for q in ("Q1", "Q2", "Q3", "Q4")]  # fmt: skip
            draft.table(f"Quarters of {subject}", ["Quarter", *columns], rows)
        elif size.fill and draw < 0.6:
            draft.breaks.append(len(draft.blocks))
            draft.heading(f"{subject}: trend", gist="A chart shows the trend.")
            draft.figure(f"Trend at {subject}", figure_chart(part, WIDE), 0, WIDE)
    draft.breaks.append(len(draft.blocks))
    draft.heading(rng.choice(("Questions?", "Thank you", "Next steps")))
    draft.text(rng.choice(("We look forward to the discussion.", "Details will follow by mail.",
                           "Please send your comments within a week.")))  # fmt: skip
    return draft


def _bullets(
    draft: Draft, subject: str, names: Names, rng: random.Random, measures: Any, relations: Any
) -> None:
    facts = [m.fact(subject, rng) for m in rng.sample(measures, rng.randint(2, 4))]
    if rng.random() < 0.5:
        facts.append(rng.choice(relations).fact(subject, names, rng))
    for fact in facts:
        said = f"{sentence(str(fact['noun']))}: {fact['text']}"
        block = draft.text(said, "list_item", marker="-")
        draft.note(block, [{**fact, "sentence": said}])
    head = draft.headings[-1]
    first = draft.facts[-len(facts)].sentence
    draft.headings[-1] = replace(head, gist=f"{first}.")


def invoices(seed: int, size: Size) -> Draft:
    """A bundle of invoices of one seller to several customers."""
    rng = _stream(seed, "invoices")
    names = Names(_stream(seed, "names"))
    seller = f"{names.new()} Trading"
    draft = Draft("invoices", f"Invoices of {seller}", facing="bundle of invoices")
    used: set[str] = set()
    for k in range(size.sections):
        part = _stream(seed, f"invoice {k}")
        number = f"R{rng.randint(10, 99)}{100 + k}"
        customer = person(names)
        while customer in used:
            customer = person(names)
        used.add(customer)
        draft.breaks.append(len(draft.blocks))
        _invoice(draft, seller, number, customer, part, size)
    draft.breaks = draft.breaks[1:]
    return draft


def _invoice(
    draft: Draft, seller: str, number: str, customer: str, rng: random.Random, size: Size
) -> None:
    draft.parts.append((f"invoice {number}", len(draft.blocks)))
    name = f"invoice {number}"
    draft.heading(f"Invoice {number}", gist=f"Invoice {number} is addressed to {customer}.")
    draft.text(f"{seller}, {rng.choice(TOWNS)}")
    date = f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(2011, 2028)}"
    for noun, text in (("customer", customer), ("date", date), ("town", rng.choice(TOWNS))):
        said = f"{sentence(noun)}: {text}"
        block = draft.text(said)
        draft.note(block, [{"subject": name, "noun": noun, "text": text, "sentence": said}])
    most = min(len(_GOODS), max(3, size.rows))
    total, rows = 0.0, []
    for item in rng.sample(_GOODS, rng.randint(2, min(most, 12))):
        count, price = rng.randint(1, 12), round(rng.uniform(3, 240), 2)
        total = round(total + count * price, 2)
        rows.append([item, str(count), _amount(price), _amount(round(count * price, 2))])
    draft.table(f"Items of {name}", ["Item", "Quantity", "Unit price", "Amount"], rows)
    said = f"Total: {_money(total)}"
    block = draft.text(said)
    draft.note(block, [{"subject": name, "noun": "total", "text": _money(total),
                        "sentence": said, "value": total, "decimals": 2,
                        "unit": "dollars"}])  # fmt: skip
    closing = rng.choice(_CLOSINGS)
    draft.text(closing)


def statement(seed: int, size: Size) -> Draft:
    """Statements of an account: one a month, with transactions over several pages."""
    rng = _stream(seed, "statement")
    names = Names(_stream(seed, "names"))
    holder, bank = person(names), f"Bank of {rng.choice(TOWNS)}"
    account = f"{rng.randint(100, 999)}-{rng.randint(10000, 99999)}"
    year, first = rng.randint(2005, 2028), rng.randint(0, 11)
    draft = Draft("statement", f"Statements of account {account}",
                  facing="bundle of statements")  # fmt: skip
    balance = round(rng.uniform(800, 9000), 2)
    for k in range(size.sections):
        part = _stream(seed, f"month {k}")
        at = first + k
        month = f"{MONTHS[at % 12]} {year + at // 12}"
        draft.breaks.append(len(draft.blocks))
        name = f"the statement of {month}"
        draft.parts.append((name, len(draft.blocks)))
        draft.heading(f"Account statement, {month}", gist=f"It belongs to account {account}.")
        draft.text(f"{bank}. Account {account}, holder {holder}.")
        _balance(draft, name, "opening balance", balance)
        rows: list[list[str]] = []
        day = 0
        for _ in range(part.randint(max(3, size.rows // 2), max(4, size.rows))):
            day = min(28, day + part.choice((0, 0, 1, 1, 2)))
            is_income = part.random() < 0.4
            what = part.choice(_INCOME if is_income else _COSTS)
            value = round(part.uniform(40, 1400) if is_income else -part.uniform(5, 800), 2)
            balance = round(balance + value, 2)
            rows.append([str(len(rows) + 1), f"{max(1, day)} {month.split()[0]}", what,
                         _amount(value), _amount(balance)])  # fmt: skip
        draft.table(f"Transactions of {month}", ["No.", "Date", "Text", "Amount", "Balance"], rows)
        _balance(draft, name, "closing balance", balance)
        said = f"Number of transactions: {len(rows)}"
        block = draft.text(said)
        draft.note(block, [{"subject": name, "noun": "number of transactions",
                            "text": str(len(rows)), "sentence": said, "value": float(len(rows)),
                            "decimals": 0}])  # fmt: skip
    draft.breaks = draft.breaks[1:]
    return draft


def _balance(draft: Draft, name: str, noun: str, value: float) -> None:
    said = f"{sentence(noun)}: {_money(value)}"
    block = draft.text(said)
    draft.note(block, [{"subject": name, "noun": noun, "text": _money(value),
                        "sentence": said, "value": value, "decimals": 2,
                        "unit": "dollars"}])  # fmt: skip
