"""Questions about a document, answered from its fields: values, JSON, places, sums, check boxes.

Every maker takes a `Quiz` and gives a task or None. What is asked for is on the page and unique, or
the question allows "not stated". Must not look at pixels.

Source: data synthesis specification, sections 9 (tasks), 17 and 19 (unique referents, balance).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from nanovl.data.convert.templates import box as box_markup, scale_box
from nanovl.synth.asking import box_answer, multiple_choice, noted, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.business.formats import SYMBOLS
from nanovl.synth.business.model import Draft, Field
from nanovl.synth.business.phrases import english_name
from nanovl.synth.business.placed import PlacedField, Seen
from nanovl.synth.business.wordings import BANK
from nanovl.synth.documents.asks import is_large
from nanovl.synth.documents.truth import page_markdown

__all__ = ["NOT_STATED", "Quiz", "column_name", "family_name", "kept", "task"]

NOT_STATED = "not stated"
LANGUAGE_NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "pt": "Portuguese",
}  # fmt: skip
# Keys a document may lack, and parts of paths that would be near enough to make this unclear.
_ABSENT: dict[str, tuple[str, ...]] = {
    "due_date": ("due", "deadline", "terms", "valid", "expire"),
    "tracking": ("tracking", "number"),
    "iban": ("iban", "bank", "account"),
    "delivery_date": ("delivery", "ship", "date"),
    "vat_id": ("vat", "tax"),
    "incoterm": ("incoterm", "delivery"),
    "blood_group": ("blood",),
    "nationality": ("national",),
    "birth_date": ("birth",),
    "carrier": ("carrier", "ship", "sender"),
    "expires": ("expire", "valid", "end_date", "due"),
    "total_weight": ("weight",),
    "diagnosis": ("diagnosis",),
    "instructor": ("instructor", "teacher"),
    "platform": ("platform",),
    "grade": ("grade", "score"),
}
_COLUMNS = {
    "ordered": "ordered quantity",
    "delivered": "delivered quantity",
    "outstanding": "open quantity",
    "item_weight": "weight",
    "line_total": "line total",
    "unit_price": "price",
    "tax_rate": "tax rate",
    "running": "balance",
    "times_a_day": "number of doses a day",
    "days": "number of days",
    "range": "reference range",
    "duration": "duration",
    "dose": "dose",
    "article": "item number",
    "costs": "cost",
}


@dataclass(frozen=True)
class Quiz:
    """A document that is asked about.

    Attributes:
        draft: What it says.
        seen: Where it says so.
        media: Name of its picture.
        rng: The generator of the stream "qa".
        family: What it is called in English.
        others: What other families are called.
    """

    draft: Draft
    seen: Seen
    media: str
    rng: random.Random
    family: str
    others: Sequence[str]

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return self.seen.painted.image.size

    @property
    def plain(self) -> list[PlacedField]:
        """Fields that are not cells of a table, each with a name of its own."""
        tables = {t.path for t in self.draft.tables}
        found = [p for p in self.seen.fields.values() if p.field.path.split(".")[0] not in tables]
        names = [p.field.name for p in found]
        return [p for p in found if names.count(p.field.name) == 1]

    def of_kind(self, *kinds: str) -> list[PlacedField]:
        """Plain fields of some kinds."""
        return [p for p in self.plain if p.field.kind in kinds]

    def is_unique(self, text: str) -> bool:
        """Whether a text stands on the page once."""
        whole = " ".join(line.text for line in self.seen.painted.lines).casefold()
        return whole.count(text.casefold()) == 1


Maker = Callable[[Quiz], Task | None]


def family_name(english: str) -> str:
    """Without its article."""
    return english.split(" ", 1)[1]


def column_name(key: str) -> str:
    """A column of a table in a question."""
    return _COLUMNS.get(key) or english_name(key)


def kept(quiz: Quiz, field: Field) -> Answer:
    """An answer that counts as printed and normalised."""
    has_mark = any(s in field.text for s in (*SYMBOLS, *SYMBOLS.values()))
    return Answer(
        type="text",
        value={
            "text": field.text,
            "value": field.value,
            "kind": field.kind,
            "decimal": quiz.draft.locale.decimal,
            "currency": quiz.draft.locale.currency if has_mark else "",
        },
        boxes=(quiz.seen.fields[field.path].box,),
    )


def task(
    quiz: Quiz, kind: str, asked: tuple[str, str], text: str, answer: Answer, verifier: str,
    trace: str | None = None,
) -> Task:  # fmt: skip
    """A task about the picture of a quiz."""
    return Task(
        task=f"business_{kind}",
        question=asked[0],
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=(quiz.media,),
        template=asked[1],
    )


def _short(quiz: Quiz, asked: tuple[str, str], form: str) -> tuple[str, str]:
    return noted(asked[0], form, quiz.rng), asked[1]


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
    asked = _short(quiz, worded(BANK, kind, quiz.rng, **slots), "word")
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


def _missing(quiz: Quiz) -> list[str]:
    """Keys of fields the document does not have, also not under a similar name."""
    paths = [*quiz.draft.fields, *(f"{t.path}.{k}" for t in quiz.draft.tables for k in t.keys)]
    shown = " ".join(paths).casefold()
    return [key for key, near in _ABSENT.items() if not any(part in shown for part in near)]


def absent(quiz: Quiz) -> Task | None:
    """A field that is there, or one that is not; the question allows both."""
    missing = _missing(quiz)
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
    asked = _short(quiz, asked, "word")
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
    missing = _missing(quiz)
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
    for key in rng.sample(_missing(quiz), min(len(_missing(quiz)), rng.choice((0, 1)))):
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


# -- Yes and no, comparisons ---------------------------------------------------------------------


def _yesno(quiz: Quiz, asked: tuple[str, str], truth: bool, trace: str | None = None) -> Task:
    answer = Answer(type="bool", value=truth)
    text = "yes" if truth else "no"
    asked = _short(quiz, asked, "yesno")
    return task(quiz, "yesno", asked, text, answer, "exact_ci", trace)


def yesno(quiz: Quiz) -> Task | None:
    """Is a value more, later or the same; as often yes as no."""
    rng, truth = quiz.rng, quiz.rng.random() < 0.5
    pool = quiz.of_kind("money", "date", "text", "id")
    if not pool:
        return None
    field = rng.choice(pool).field
    if field.kind == "money" and field.value > 1:
        share = (
            Decimal(rng.choice(("0.5", "0.8", "0.9")))
            if truth
            else Decimal(rng.choice(("1.1", "1.25", "2")))
        )
        limit = (Decimal(str(field.value)) * share).quantize(Decimal(1))
        other = f"{limit} {quiz.draft.locale.currency}"
        asked = worded(BANK, "more", rng, name=field.name, other=other)
        trace = f"The {field.name} is {field.text}. Compared with {other}, that is "
        return _yesno(quiz, asked, truth, trace + ("more." if truth else "not more."))
    if field.kind == "date":
        step = timedelta(days=rng.randint(2, 90))
        day = date.fromisoformat(field.value)
        limit_day = day - step if truth else day + step
        asked = worded(BANK, "later", rng, name=field.name, other=limit_day.isoformat())
        trace = f"The {field.name} is {field.text}, that is {field.value}. "
        trace += f"This is {'after' if truth else 'before'} {limit_day.isoformat()}."
        return _yesno(quiz, asked, truth, trace)
    others = sorted({p.field.text for p in pool if p.field.kind == field.kind} - {field.text})
    if not others or '"' in field.text:
        return None
    other = field.text if truth else rng.choice(others)
    return _yesno(quiz, worded(BANK, "same", rng, name=field.name, other=other), truth)


def stated(quiz: Quiz) -> Task | None:
    """Whether the document has a field."""
    missing = _missing(quiz)
    known = [p.field for p in quiz.plain if p.field.path.rsplit(".", 1)[-1] in _ABSENT]
    if not missing or not known:
        return None
    truth = quiz.rng.random() < 0.5
    name = quiz.rng.choice(known).name if truth else english_name(quiz.rng.choice(missing))
    return _yesno(quiz, worded(BANK, "stated", quiz.rng, name=name), truth)


def compare(quiz: Quiz) -> Task | None:
    """The earlier of two dates, the larger of two amounts."""
    rng = quiz.rng
    for kind, word in rng.sample((("date", "earlier-of"), ("money", "larger-of")), 2):
        pool = quiz.of_kind(kind)
        values = [p.field.value for p in pool]
        pool = [p for p in pool if values.count(p.field.value) == 1]
        if len(pool) < 2:
            continue
        first, second = (p.field for p in rng.sample(pool, 2))
        asked = worded(BANK, word, rng, first=first.name, second=second.name)
        is_first = (first.value < second.value) == (kind == "date")
        best = first if is_first else second
        trace = f"The {first.name} is {first.text}, the {second.name} is {second.text}. "
        trace += f"So it is the {best.name}."
        answer = Answer(type="text", value=best.name)
        asked = _short(quiz, asked, "word")
        return task(quiz, "compare", asked, best.name, answer, "exact_ci", trace)
    return None


# -- Check boxes ---------------------------------------------------------------------------------


def ticked(quiz: Quiz) -> Task | None:
    """Whether a box is ticked; as often yes as no."""
    on = [c.check for c in quiz.seen.checks if c.check.is_on]
    off = [c.check for c in quiz.seen.checks if not c.check.is_on]
    if not on or not off:
        return None
    check = quiz.rng.choice(on if quiz.rng.random() < 0.5 else off)
    asked = worded(BANK, "ticked", quiz.rng, option=check.text, group=check.group)
    return _yesno(quiz, asked, check.is_on)


def all_ticked(quiz: Quiz) -> Task | None:
    """What is ticked in a group."""
    groups = list(dict.fromkeys(c.check.group for c in quiz.seen.checks))
    if not groups:
        return None
    group = quiz.rng.choice(groups)
    on = [c for c in quiz.seen.checks if c.check.group == group and c.check.is_on]
    texts = [c.check.text for c in on] or ["none"]
    asked = worded(BANK, "all-ticked", quiz.rng, group=group)
    answer = Answer(type="list", value=texts, boxes=tuple(c.square for c in on))
    return task(quiz, "checks", asked, ", ".join(texts), answer, "set")


def count_ticked(quiz: Quiz) -> Task | None:
    """How many boxes are ticked."""
    if not quiz.seen.checks:
        return None
    on = [c.check.text for c in quiz.seen.checks if c.check.is_on]
    asked = _short(quiz, worded(BANK, "count-ticked", quiz.rng), "number")
    trace = f"Ticked are: {', '.join(on) or 'none'}. That makes {len(on)}."
    answer = Answer(type="number", value=len(on))
    return task(quiz, "checks_count", asked, str(len(on)), answer, "number", trace)


def markdown_checks(quiz: Quiz) -> Task | None:
    """The whole page with its check boxes."""
    if not quiz.seen.checks:
        return None
    text = page_markdown(quiz.seen.painted)
    asked = worded(BANK, "markdown-checks", quiz.rng)
    answer = Answer(type="markup", value=text)
    return task(quiz, "markdown", asked, text, answer, "edit_distance")


# -- The document --------------------------------------------------------------------------------


def family(quiz: Quiz) -> Task | None:
    """What kind of document it is, out of four or out of a list."""
    asked = worded(BANK, "family", quiz.rng)
    if quiz.rng.random() < 0.5:
        made = multiple_choice(asked[0], quiz.family, list(quiz.others), quiz.rng)
        if made is not None:
            return task(quiz, "class", (made[0], asked[1]), str(made[1].value), made[1], "mcq")
    names = [quiz.family, *quiz.rng.sample(list(quiz.others), 5)]
    listed = ", ".join(sorted(names))
    answer = Answer(type="text", value=quiz.family)
    text = f"{asked[0]} Choose one of: {listed}."
    return task(quiz, "class", (text, asked[1]), quiz.family, answer, "exact_ci")


def about(quiz: Quiz) -> Task | None:
    """Language, currency, title, or what a stamp says."""
    rng, draft = quiz.rng, quiz.draft
    pool: list[tuple[str, str, str]] = [
        ("language", LANGUAGE_NAMES[draft.locale.language], "exact_ci")
    ]
    money = [p.field for p in quiz.seen.fields.values() if p.field.kind == "money"]
    code = draft.locale.currency
    marks = (code, SYMBOLS[code]) if SYMBOLS[code] != "$" else (code,)
    if any(m in f.text for f in money for m in marks):
        pool.append(("currency", code, "exact_ci"))
    if draft.title and quiz.is_unique(draft.title):
        pool.append(("title", draft.title, "exact_ci"))
    stamps = [text for what, text, _ in quiz.seen.drawings if what == "stamp" and text]
    if len(stamps) == 1:
        pool.append(("stamp", stamps[0], "exact_ci"))
    kind, text, verifier = rng.choice(pool)
    asked = _short(quiz, worded(BANK, kind, rng), "word")
    return task(quiz, kind, asked, text, Answer(type="text", value=text), verifier)
