"""Questions about a document, answered from its fields: values, JSON, places.

Every maker takes a `Quiz` and gives a task or None. What is asked for is on the page and unique, or
the question allows "not stated". Must not look at pixels.

Source: data synthesis specification, sections 9 (tasks), 17 and 19 (unique referents, balance).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nanovl.data.convert.templates import box as box_markup, scale_box
from nanovl.synth.asking import box_answer, multiple_choice, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.business.model import Field
from nanovl.synth.business.phrases import english_name
from nanovl.synth.business.quiz import Quiz, column_name, kept, lacking, short, task
from nanovl.synth.business.wordings import BANK
from nanovl.synth.documents.asks import is_large

__all__ = [
    "NOT_STATED", "absent", "cell", "chosen", "extract", "label_of", "normalised", "pairs", "rows",
    "schema", "value", "where", "where_drawing",
]  # fmt: skip

NOT_STATED = "not stated"


# -- Values --------------------------------------------------------------------------------------


def value(quiz: Quiz) -> Task | None:
    """The value of a field, as printed."""
    if not quiz.plain:
        return None
    placed = quiz.rng.choice(quiz.plain)
    field, kind, slots = placed.field, "value", {"name": placed.field.name}
    labels = [p.label for p in quiz.seen.fields.values()]
    if placed.label and quiz.rng.random() < 0.4:
        if labels.count(placed.label) > 1:
            return None
        kind, slots = "label", {"label": placed.label}
    asked = short(quiz, worded(BANK, kind, quiz.rng, **slots), "word")
    return task(quiz, "value", asked, field.text, kept(quiz, field), "field")


def chosen(quiz: Quiz) -> Task | None:
    """The value of a field out of four."""
    if not quiz.plain:
        return None
    field = quiz.rng.choice(quiz.plain).field
    pool = {p.field.text for p in quiz.seen.fields.values() if p.field.kind == field.kind}
    others = sorted(pool - {field.text})
    asked = worded(BANK, "value", quiz.rng, name=field.name)
    made = multiple_choice(asked[0], field.text, others, quiz.rng)
    if made is None:
        return None
    return task(quiz, "choice", (made[0], asked[1]), str(made[1].value), made[1], "mcq")


def normalised(quiz: Quiz) -> Task | None:
    """A date or an amount in a fixed form."""
    pool = quiz.of_kind("date", "money")
    if not pool:
        return None
    field = quiz.rng.choice(pool).field
    if field.kind == "date":
        asked = worded(BANK, "date", quiz.rng, name=field.name)
        answer = Answer(type="text", value=field.value)
        return task(quiz, "normalised", asked, field.value, answer, "exact")
    asked = worded(BANK, "amount", quiz.rng, name=field.name)
    text = f"{Decimal(str(field.value)):.2f}"
    answer = Answer(type="number", value=field.value, unit=quiz.draft.locale.currency)
    return task(quiz, "normalised", asked, text, answer, "number")


def absent(quiz: Quiz) -> Task | None:
    """A field that is there, or one that is not; the question allows both."""
    missing = lacking(quiz)
    if missing and quiz.rng.random() < 0.5:
        asked = worded(
            BANK, "value-or-absent", quiz.rng, name=english_name(quiz.rng.choice(missing))
        )
        answer = Answer(type="text", value=NOT_STATED)
        return task(quiz, "absent", asked, NOT_STATED, answer, "exact_ci")
    if not quiz.plain:
        return None
    field = quiz.rng.choice(quiz.plain).field
    asked = worded(BANK, "value-or-absent", quiz.rng, name=field.name)
    return task(quiz, "absent", asked, field.text, kept(quiz, field), "field")


def cell(quiz: Quiz) -> Task | None:
    """A cell of a list, by the text of its row."""
    made: list[tuple[str, str, Field]] = []
    for table in quiz.draft.tables:
        named = _named(table.keys)
        if named is None:
            continue
        rows = [r[named] for r in table.rows]
        texts = ["" if r is None else r.text for r in rows]
        for row, text in zip(table.rows, texts, strict=True):
            if texts.count(text) != 1 or not quiz.is_unique(text):
                continue
            made += [
                (text, key, f)
                for key, f in zip(table.keys, row, strict=True)
                if f is not None and key != table.keys[named] and f.path in quiz.seen.fields
            ]
    if not made:
        return None
    row_text, key, field = quiz.rng.choice(made)
    asked = worded(BANK, "cell", quiz.rng, column=column_name(key), row=row_text)
    asked = short(quiz, asked, "word")
    return task(quiz, "cell", asked, field.text, kept(quiz, field), "field")


def _named(keys: Sequence[str]) -> int | None:
    """Number of the column rows are called by."""
    for key in ("description", "test", "medication", "earning", "deduction", "region",
                "destination", "booking"):  # fmt: skip
        if key in keys:
            return keys.index(key)
    return None


# -- JSON ----------------------------------------------------------------------------------------


def _dump(found: Any, indent: int | None = 1) -> str:
    return json.dumps(found, ensure_ascii=False, indent=indent)


def _key(path: str) -> str:
    return path.replace(".", "_")


def extract(quiz: Quiz) -> Task | None:
    """Some fields as JSON, some of them missing."""
    rng, plain = quiz.rng, quiz.plain
    if len(plain) < 2:
        return None
    some = rng.sample(plain, rng.randint(2, min(8, len(plain))))
    found: dict[str, Any] = {_key(p.field.path): p.field.value for p in some}
    missing = lacking(quiz)
    gone = rng.sample(missing, min(len(missing), rng.choice((0, 0, 1, 2))))
    found |= dict.fromkeys(gone)
    order = list(found)
    rng.shuffle(order)
    made = {key: found[key] for key in order}
    keys = ", ".join(f'"{k}"' for k in order)
    asked = worded(BANK, "json", rng, keys=keys)
    return task(quiz, "json", asked, _dump(made), Answer(type="json", value=made), "json_equal")


_TYPES = {"money": "number", "number": "number", "percent": "number"}


def schema(quiz: Quiz) -> Task | None:
    """All plain fields by a JSON schema, nested as the document is."""
    rng, plain = quiz.rng, quiz.plain
    if len(plain) < 3:
        return None
    made: dict[str, Any] = {}
    shape: dict[str, Any] = {}
    entries = [(p.field.path, p.field.value, p.field.kind) for p in plain]
    for key in rng.sample(lacking(quiz), min(len(lacking(quiz)), rng.choice((0, 1)))):
        entries.append((key, None, "date" if key.endswith("date") else "text"))
    for path, worth, kind in entries:
        *parents, last = path.split(".")
        node, part = made, shape
        for parent in parents:
            node = node.setdefault(parent, {})
            part = part.setdefault(parent, {"type": "object", "properties": {}})["properties"]
        node[last] = worth
        is_number = kind in _TYPES and not isinstance(worth, str)
        part[last] = {"type": ["number" if is_number else "string", "null"]}
        if kind == "date":
            part[last]["format"] = "date"
    text = _dump({"type": "object", "properties": shape}, None)
    asked = worded(BANK, "schema", rng, schema=text)
    return task(quiz, "schema", asked, _dump(made), Answer(type="json", value=made), "json_equal")


def rows(quiz: Quiz) -> Task | None:
    """The rows of a list as JSON."""
    pool = [t for t in quiz.draft.tables if t.rows and all(_all_seen(quiz, r) for r in t.rows)]
    pool = [t for t in pool if t.path != "lessons"]
    if not pool:
        return None
    table = quiz.rng.choice(pool)
    made = [
        {k: None if f is None else f.value for k, f in zip(table.keys, row, strict=True)}
        for row in table.rows
    ]
    keys = ", ".join(f'"{k}"' for k in table.keys)
    asked = worded(BANK, "rows", quiz.rng, noun=table.noun, keys=keys)
    answer = Answer(type="json", value=made)
    return task(quiz, "rows", asked, _dump(made), answer, "json_equal")


def _all_seen(quiz: Quiz, row: Sequence[Field | None]) -> bool:
    return all(f is None or f.path in quiz.seen.fields for f in row)


def pairs(quiz: Quiz) -> Task | None:
    """Labels linked with values."""
    tables = {t.path for t in quiz.draft.tables}
    found = [
        p for p in quiz.seen.fields.values() if p.label and p.field.path.split(".")[0] not in tables
    ]
    if not 2 <= len(found) <= 16 or len({p.label for p in found}) < len(found):
        return None
    made = {p.label: p.field.text for p in found}
    asked = worded(BANK, "pairs", quiz.rng)
    return task(quiz, "pairs", asked, _dump(made), Answer(type="json", value=made), "json_equal")


# -- Places --------------------------------------------------------------------------------------


def where(quiz: Quiz) -> Task | None:
    """The box of a value."""
    pool = [p for p in quiz.plain if quiz.is_unique(p.field.text) and is_large(p.box)]
    if not pool:
        return None
    placed = quiz.rng.choice(pool)
    shown, answer = box_answer(placed.field.text, [placed.box], *quiz.size)
    asked = worded(BANK, "where", quiz.rng, name=placed.field.name)
    return task(quiz, "where", asked, shown, answer, "iou")


def where_drawing(quiz: Quiz) -> Task | None:
    """The box of a logo, stamp, signature, code or portrait that is the only one."""
    names = {"qr": "QR code", "barcode": "bar code", "photo": "portrait", "chart": "bar chart"}
    kinds = [w for w, _, _ in quiz.seen.drawings]
    pool = [d for d in quiz.seen.drawings if kinds.count(d[0]) == 1 and is_large(d[2])]
    if not pool:
        return None
    what, _, box = quiz.rng.choice(pool)
    name = names.get(what, what)
    shown, answer = box_answer(name, [box], *quiz.size)
    asked = worded(BANK, "where-drawing", quiz.rng, name=name)
    return task(quiz, "where", asked, shown, answer, "iou")


def label_of(quiz: Quiz) -> Task | None:
    """The label a value belongs to."""
    pool = [p for p in quiz.plain if p.label and is_large(p.box)]
    if not pool:
        return None
    placed = quiz.rng.choice(pool)
    mark = box_markup(scale_box(placed.box, *quiz.size))
    asked = worded(BANK, "label-of", quiz.rng, box=mark)
    boxes: tuple[Box, ...] = () if placed.label_box is None else (placed.label_box,)
    answer = Answer(type="text", value=placed.label, boxes=boxes)
    return task(quiz, "link", asked, placed.label, answer, "exact_ci")
