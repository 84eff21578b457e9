"""A document that is asked about, and what all its questions share.

Must not ask anything.

Source: data synthesis specification, sections 9 (tasks), 17 and 19 (unique referents).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nanovl.synth.asking import noted
from nanovl.synth.base import Answer, Task
from nanovl.synth.business.formats import SYMBOLS
from nanovl.synth.business.model import Draft, Field
from nanovl.synth.business.phrases import english_name
from nanovl.synth.business.placed import PlacedField, Seen

__all__ = [
    "ABSENT",
    "Maker",
    "Quiz",
    "column_name",
    "family_name",
    "kept",
    "lacking",
    "short",
    "task",
]

# Keys a document may lack, and parts of paths that would be near enough to make this unclear.
ABSENT: dict[str, tuple[str, ...]] = {
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


def short(quiz: Quiz, asked: tuple[str, str], form: str) -> tuple[str, str]:
    return noted(asked[0], form, quiz.rng), asked[1]


def lacking(quiz: Quiz) -> list[str]:
    """Keys of fields the document does not have, also not under a similar name."""
    paths = [*quiz.draft.fields, *(f"{t.path}.{k}" for t in quiz.draft.tables for k in t.keys)]
    shown = " ".join(paths).casefold()
    return [key for key, near in ABSENT.items() if not any(part in shown for part in near)]
