"""Kinds of arguments: their JSON schema, where values come from, and how people say them.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

import calendar
import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nanovl.synth.asking import join_words
from nanovl.synth.text.wording import NAMES, TOWNS, words

__all__ = ["Kind", "kind"]

_STRING = {"type": "string"}


@dataclass(frozen=True)
class Kind:
    """A kind of argument.

    Attributes:
        schema: JSON schema.
        draw: A value.
        show: How a request in words mentions it.
    """

    schema: dict[str, Any]
    draw: Callable[[random.Random], Any]
    show: Callable[[Any], str] = str


def _one_of(text: str, separator: str = "|") -> Kind:
    choices = words(text, separator)
    return Kind(_STRING, lambda rng: rng.choice(choices))


def _date(rng: random.Random) -> str:
    year, month = rng.randint(2026, 2028), rng.randint(1, 12)
    day = rng.randint(1, calendar.monthrange(year, month)[1])
    return f"{year}-{month:02d}-{day:02d}"


def _date_text(value: str) -> str:
    """A date in one of two forms, chosen by the date itself."""
    date = datetime.date.fromisoformat(value)
    if date.day % 2:
        return f"{date.day} {calendar.month_name[date.month]} {date.year}"
    return value


def _time(rng: random.Random) -> str:
    return f"{rng.randint(6, 22):02d}:{rng.choice((0, 15, 30, 45)):02d}"


def _email(rng: random.Random) -> str:
    return f"{rng.choice(NAMES).lower()}@example.{rng.choice(('com', 'org', 'net'))}"


def _quoted(value: str) -> str:
    return f'"{value}"'


_TOPICS = (
    "quarterly report|garden plan|team outing|budget review|new website|travel costs|safety rules|"
    "product launch|customer survey|office move|training day|stock count"
)
_TEXTS = (
    "The delivery arrives tomorrow.|Please send me the report.|I will be ten minutes late.|"
    "The meeting room has changed.|Thank you for your help.|Call me when you are back.|"
    "The invoice is attached.|Lunch is at noon today.|We need two more chairs.|"
    "The draft is ready for review."
)
_KINDS: dict[str, Kind] = {
    "city": Kind(_STRING, lambda rng: rng.choice(TOWNS)),
    "person": Kind(_STRING, lambda rng: rng.choice(NAMES)),
    "people": Kind(
        {"type": "array", "items": _STRING, "minItems": 1},
        lambda rng: rng.sample(NAMES, rng.randint(2, 3)),
        lambda value: join_words(value),
    ),
    "email": Kind({"type": "string", "format": "email"}, _email),
    "date": Kind({"type": "string", "format": "date"}, _date, _date_text),
    "time": Kind({"type": "string", "description": "24-hour hh:mm"}, _time),
    "text": Kind(_STRING, lambda rng: rng.choice(words(_TEXTS, "|")), _quoted),
    "topic": _one_of(_TOPICS),
    "product": _one_of(
        "desk lamp|rain jacket|coffee grinder|running shoes|bicycle helmet|water bottle|"
        "wireless mouse|garden hose|wool blanket|chess set|travel bag|wall clock"
    ),
    "products": Kind(
        {"type": "array", "items": _STRING, "minItems": 1},
        lambda rng: rng.sample(words("milk bread rice apples cheese tea eggs flour salt oil"), 3),
        lambda value: join_words(value),
    ),
    "dish": _one_of(
        "lentil soup|mushroom risotto|apple pie|vegetable curry|fish stew|pancakes|bean salad|"
        "roast potatoes|onion tart|rice pudding"
    ),
    "cuisine": _one_of("Italian|Indian|Thai|Greek|Mexican|Lebanese|Japanese|Ethiopian"),
    "song": _one_of(
        "Paper Boats|Winter Light|Second Street|Blue Lantern|Running Home|Quiet Hours|Old Maps|"
        "Falling Leaves|North Wind|Silver Line",
    ),
    "artist": _one_of("The Tin Kites|Mara Lund|Northern Tram|Ola Reyes|Glass Harbour|Kin and Co"),
    "film": _one_of(
        "The Last Ferry|Salt Road|A Map of Rain|Night Shift|The Clockmaker|Two Bridges|Undertow"
    ),
    "book": _one_of(
        "The Glass Orchard|Rivers of Iron|A Short Winter|The Ninth Key|Letters from Quarrin|"
        "Under the Dunes"
    ),
    "file": _one_of(
        "notes.txt|budget.xlsx|report.pdf|photo.png|slides.pptx|readme.md|contract.docx|data.csv"
    ),
    "folder": _one_of("Documents|Archive|Projects|Shared|Invoices|Pictures|Drafts|Backup"),
    "room": _one_of("kitchen|bedroom|living room|bathroom|hallway|office|garage|attic"),
    "device": _one_of("lamp|heater|fan|coffee machine|speaker|blinds|television|humidifier"),
    "address": Kind(
        {
            "type": "object",
            "properties": {"street": _STRING, "city": _STRING},
            "required": ["street", "city"],
        },
        lambda rng: {
            "street": f"{rng.choice(words('Mill Harbour Station Garden Bridge Oak'))} Street "
            f"{rng.randint(1, 90)}",
            "city": rng.choice(TOWNS),
        },
        lambda value: f"{value['street']} in {value['city']}",
    ),
    "language": _one_of("German|French|Spanish|Italian|Polish|Turkish|Swahili|Finnish|Korean"),
    "currency": _one_of("EUR|USD|GBP|JPY|CHF|SEK|INR|BRL"),
    "stock": _one_of("ALDM|BRCH|CSTR|DNVR|ESTM|FNWK|GLDR|HRLN"),
    "subject": _one_of(
        "algebra|world history|chemistry|grammar|geometry|biology|geography|music theory"
    ),
    "symptom": _one_of("headache|sore throat|back pain|cough|fever|dizziness"),
    "medicine": _one_of("ibuprofen|paracetamol|antihistamine|cough syrup|vitamin D|antacid"),
    "sport": _one_of("football|tennis|swimming|cycling|basketball|handball|rowing"),
    "team": _one_of("Harlen Rovers|Torvik United|Marwick City|Norden Eagles|Oakhaven Stars"),
    "table": _one_of("orders|customers|products|invoices|employees|shipments"),
    "column": _one_of("city|status|country|category|department|month"),
    "numbers": Kind(
        {"type": "array", "items": {"type": "number"}, "minItems": 2},
        lambda rng: [rng.randint(1, 90) for _ in range(rng.randint(3, 6))],
        lambda value: join_words([str(v) for v in value]),
    ),
    "phrase": _one_of(
        "good morning|where is the station|thank you very much|the bill, please|"
        "I would like a room|how much is this",
    ),
    "word": _one_of("lantern|harbour|generous|to wander|brittle|orchard|curious|to mend"),
    "plant": _one_of("tomatoes|basil|roses|lavender|beans|mint|strawberries|ferns"),
    "vehicle": _one_of("car|van|bicycle|scooter|motorcycle"),
    "flag": Kind(
        {"type": "boolean"}, lambda rng: rng.random() < 0.5, lambda v: "on" if v else "off"
    ),
}


def kind(text: str) -> Kind:
    """A kind by its name: one of the table, `3..9` (whole), `1.5..9:0.5`, `one(a|b)`, `id(XX)`."""
    if text in _KINDS:
        return _KINDS[text]
    if text.startswith("one("):
        choices = words(text[4:-1], "|")
        return Kind({"type": "string", "enum": list(choices)}, lambda rng: rng.choice(choices))
    if text.startswith("id("):
        prefix = text[3:-1]
        return Kind(_STRING, lambda rng: f"{prefix}-{rng.randint(1000, 9999)}")
    bounds, _, step = text.partition(":")
    low, high = bounds.split("..")
    if step:
        size = float(step)
        count = round((float(high) - float(low)) / size)
        return Kind(
            {"type": "number", "minimum": float(low), "maximum": float(high)},
            lambda rng: round(float(low) + size * rng.randint(0, count), 4),
            lambda value: f"{value:g}",
        )
    return Kind(
        {"type": "integer", "minimum": int(low), "maximum": int(high)},
        lambda rng: rng.randint(int(low), int(high)),
    )
