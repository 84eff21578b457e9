"""Questions that need arithmetic or a look along a list, with the steps that lead to the answer.

Numbers are read from the fields; every result is computed with `Decimal` from what is printed.

Source: data synthesis specification, sections 9 (totals check with trace) and 17.5.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from nanovl.synth.asking import join_words, noted, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.business.formats import cents
from nanovl.synth.business.model import Field, ItemTable, Relation
from nanovl.synth.business.quiz import Quiz, column_name, task
from nanovl.synth.business.wordings import BANK

__all__ = ["add_column", "count_rows", "days_between", "extreme", "work_out"]

_NUMBERS = ("money", "number", "percent")
_PLURALS = {"dish": "dishes", "hour": "hours"}


def _worth(field: Field) -> Decimal:
    return Decimal(str(field.value))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _nouns(table: ItemTable) -> str:
    return _PLURALS.get(table.noun, f"{table.noun}s")


def _tables(quiz: Quiz) -> list[ItemTable]:
    """Lists that are on the page as a whole."""
    return [
        t
        for t in quiz.draft.tables
        if t.path != "lessons"
        and all(f is None or f.path in quiz.seen.fields for row in t.rows for f in row)
    ]


def _numeric(table: ItemTable, *, summable: bool) -> list[tuple[str, list[Field]]]:
    """Columns with a number in every row."""
    made = []
    skipped = (
        "running",
        "result",
        "dose",
        "times_a_day",
        "tax_rate",
        "rate",
        "discount",
        "unit_price",
    )
    for column in table.columns:
        found = [f for f in table.column(column.key) if f is not None]
        is_full = len(found) == len(table.rows) and len(found) > 1
        if column.kind in _NUMBERS and is_full and not (summable and column.key in skipped):
            made.append((column.key, found))
    return made


def _number(quiz: Quiz, kind: str, asked: tuple[str, str], value: Decimal, trace: str) -> Task:
    text = _plain(value)
    answer = Answer(type="number", value=float(value))
    asked = noted(asked[0], "number", quiz.rng), asked[1]
    return task(quiz, kind, asked, text, answer, "number", trace)


def add_column(quiz: Quiz) -> Task | None:
    """The sum of a column."""
    pool = [
        (t, key, found)
        for t in _tables(quiz)
        for key, found in _numeric(t, summable=True)
        if len(found) <= 12
    ]
    if not pool:
        return None
    table, key, found = quiz.rng.choice(pool)
    total = sum(map(_worth, found), Decimal(0))
    terms = " + ".join(_plain(_worth(f)) for f in found).replace("+ -", "- ")
    name = column_name(key)
    trace = f"The {name} column has {join_words([f.text for f in found])}. "
    trace += f"{terms} = {_plain(total)}."
    asked = worded(BANK, "add-column", quiz.rng, column=name, nouns=_nouns(table))
    return _number(quiz, "sum", asked, total, trace)


def count_rows(quiz: Quiz) -> Task | None:
    """How many rows a list has."""
    pool = [t for t in _tables(quiz) if t.rows]
    if not pool:
        return None
    table = quiz.rng.choice(pool)
    nouns = _nouns(table)
    if len([t for t in quiz.draft.tables if t.noun == table.noun]) > 1:  # sections of a menu
        count = sum(len(t.rows) for t in quiz.draft.tables if t.noun == table.noun)
    else:
        count = len(table.rows)
    asked = worded(BANK, "count", quiz.rng, nouns=nouns)
    return _number(quiz, "count", asked, Decimal(count), f"I count the {nouns}: {count}.")


def extreme(quiz: Quiz) -> Task | None:
    """The row with the highest or lowest value of a column."""
    pool = []
    for table in _tables(quiz):
        if len([t for t in quiz.draft.tables if t.noun == table.noun]) > 1:
            continue
        names = [k for k in ("description", "medication", "earning", "deduction", "region",
                             "destination", "booking") if k in table.keys]  # fmt: skip
        if names:
            called = table.column(names[0])
            pool += [(table, key, found, called) for key, found in _numeric(table, summable=False)
                     if key != "result"]  # fmt: skip
    if not pool:
        return None
    table, key, found, called = quiz.rng.choice(pool)
    word = quiz.rng.choice(("highest", "lowest"))
    values = [_worth(f) for f in found]
    best = max(values) if word == "highest" else min(values)
    texts = ["" if f is None else f.text for f in called]
    if values.count(best) > 1 or len(set(texts)) < len(texts):
        return None
    text = texts[values.index(best)]
    told = join_words([f"{t}: {f.text}" for t, f in zip(texts, found, strict=True)])
    trace = f"By {column_name(key)}: {told}. The {word} is {found[values.index(best)].text}."
    asked = worded(BANK, word, quiz.rng, noun=table.noun, column=column_name(key))
    asked = noted(asked[0], "word", quiz.rng), asked[1]
    return task(quiz, "extreme", asked, text, Answer(type="text", value=text), "exact_ci", trace)


def work_out(quiz: Quiz) -> Task | None:
    """A number that follows from others, worked out again."""
    pool = []
    for relation in quiz.draft.relations:
        paths = [relation.result, *(t.path for t in relation.terms)]
        if all(p in quiz.seen.fields for p in paths) and 2 <= len(relation.terms) <= 4:
            pool.append(relation)
    if not pool:
        return None
    kinds = sorted({r.kind for r in pool})
    kind = quiz.rng.choice(kinds)
    relation = quiz.rng.choice([r for r in pool if r.kind == kind])
    make = {"sum": _summed, "product": _multiplied, "rate": _share}[relation.kind]
    return make(quiz, relation)


def _fields(quiz: Quiz, relation: Relation) -> list[Field]:
    return [quiz.draft.fields[t.path] for t in relation.terms]


def _summed(quiz: Quiz, relation: Relation) -> Task | None:
    fields = _fields(quiz, relation)
    names = [f.name for f in fields]
    if any("." in f.path and f.path.split(".")[1].isdigit() for f in fields):
        return None  # lines of a table have no names of their own
    if len(set(names)) < len(names) or relation.terms[0].sign < 0:
        return None
    told = f"the {names[0]}"
    done = _plain(_worth(fields[0]))
    total = _worth(fields[0])
    for term, field in zip(relation.terms[1:], fields[1:], strict=True):
        sign = "plus" if term.sign > 0 else "minus"
        told += f" {sign} the {field.name}"
        done += f" {'+' if term.sign > 0 else '-'} {_plain(_worth(field))}"
        total += term.sign * _worth(field)
    facts = join_words([f"the {f.name} is {f.text}" for f in fields])
    trace = f"{facts[:1].upper()}{facts[1:]}. {done} = {_plain(total)}."
    asked = worded(BANK, "work-out", quiz.rng, sum=told)
    return _number(quiz, "arithmetic", asked, total, trace)


def _multiplied(quiz: Quiz, relation: Relation) -> Task | None:
    quantity, price, *off = _fields(quiz, relation)
    number = relation.result.split(".")
    if len(number) < 3:
        return None
    row = next(t for t in quiz.draft.tables if t.path == number[0]).rows[int(number[1])]
    name = next((f for f in row if f is not None and f.path.endswith(".description")), None)
    if name is None or not quiz.is_unique(name.text):
        return None
    whole = _worth(quantity) * _worth(price)
    steps = f"{_plain(_worth(quantity))} x {_plain(_worth(price))} = {_plain(whole)}."
    total = whole
    if off:
        total = whole * (100 - _worth(off[0])) / 100
        steps += f" Less {off[0].text}: {_plain(cents(total))}."
    trace = f"{name.text}: the quantity is {quantity.text}, the price is {price.text}. {steps}"
    less = " less the discount" if off else ""
    asked = worded(BANK, "line", quiz.rng, row=name.text, less=less)
    return _number(quiz, "arithmetic", asked, cents(total), trace)


def _share(quiz: Quiz, relation: Relation) -> Task | None:
    base, rate = _fields(quiz, relation)
    total = cents(_worth(base) * _worth(rate) / 100)
    trace = f"The {base.name} is {base.text}. {rate.text} of it: {_plain(_worth(base))} x "
    trace += f"{_plain(_worth(rate))} / 100 = {_plain(total)}."
    asked = worded(BANK, "rate", quiz.rng, rate=rate.text, base=base.name)
    return _number(quiz, "arithmetic", asked, total, trace)


def days_between(quiz: Quiz) -> Task | None:
    """How many days lie between two dates."""
    pool = [p.field for p in quiz.of_kind("date")]
    pool = sorted(pool, key=lambda f: str(f.value))
    made = [
        (a, b)
        for k, a in enumerate(pool)
        for b in pool[k + 1 :]
        if 0 < (date.fromisoformat(b.value) - date.fromisoformat(a.value)).days <= 120
    ]
    if not made:
        return None
    first, second = quiz.rng.choice(made)
    days = (date.fromisoformat(second.value) - date.fromisoformat(first.value)).days
    trace = f"The {first.name} is {first.value}, the {second.name} is {second.value}. "
    trace += f"From the first to the second it is {days} day{'' if days == 1 else 's'}."
    asked = worded(BANK, "days", quiz.rng, first=first.name, second=second.name)
    return _number(quiz, "days", asked, Decimal(days), trace)
