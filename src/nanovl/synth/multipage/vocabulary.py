"""What documents of many pages are about: measures, names, sentences that say nothing much.

Companies, people, methods and all numbers are invented.

Source: data synthesis specification, sections 3.14 (own sentences) and 11.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.synth.asking import sentence
from nanovl.synth.tables.vocabulary import REGIONS, UNITS_OF_FIRM
from nanovl.synth.text.haystacks import Names
from nanovl.synth.text.wording import TOWNS

__all__ = [
    "METHODS",
    "PARTS",
    "REPORTING",
    "Measure",
    "Relation",
    "World",
    "filler",
    "person",
]


@dataclass(frozen=True)
class Measure:
    """A number that is said of a subject.

    Attributes:
        noun: What it is called; in a question "the {noun} of X".
        form: How it is printed, with {v}.
        low, high, decimals: Of the values.
        unit: Asked for in questions, "" for a plain count.
        is_additive: Whether sums over subjects make sense.
        sentences: With {s} for the subject and {v} for the printed value.
    """

    noun: str
    form: str
    low: float
    high: float
    decimals: int
    unit: str
    is_additive: bool
    sentences: tuple[str, ...]

    def fact(self, subject: str, rng: random.Random) -> dict[str, Any]:
        """A random fact of a subject: attributes of `draft.Fact` but its place."""
        value = round(rng.uniform(self.low, self.high), self.decimals)
        text = self.form.format(v=f"{value:,.{self.decimals}f}")
        said = rng.choice(self.sentences).format(s=subject, v=text)
        return {
            "subject": subject, "noun": self.noun, "text": text, "sentence": sentence(said),
            "value": float(value), "decimals": self.decimals, "unit": self.unit,
        }  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """A name or word that is said of a subject.

    Attributes:
        noun: As of a measure.
        kind: "person", "town", "code" or "word".
        words: To choose from, for "word".
        sentences: As of a measure.
    """

    noun: str
    kind: str
    words: tuple[str, ...]
    sentences: tuple[str, ...]

    def fact(self, subject: str, names: Names, rng: random.Random) -> dict[str, Any]:
        """A random fact of a subject."""
        if self.kind == "person":
            text = person(names)
        elif self.kind == "town":
            text = rng.choice(TOWNS)
        elif self.kind == "code":
            text = f"{''.join(rng.choices('ACEHKLMPRTX', k=2))}-{rng.randint(1000, 9999)}"
        else:
            text = rng.choice(self.words)
        said = rng.choice(self.sentences).format(s=subject, v=text)
        return {"subject": subject, "noun": self.noun, "text": text, "sentence": sentence(said)}


@dataclass(frozen=True)
class World:
    """Subjects of one kind with what can be said of them.

    Attributes:
        noun, plural: What the subjects are.
        subjects: Their names.
        measures, relations: What is said.
        actors, verbs, objects, tails: Parts of sentences that say nothing that is asked for.
    """

    noun: str
    plural: str
    subjects: tuple[str, ...]
    measures: tuple[Measure, ...]
    relations: tuple[Relation, ...]
    actors: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    tails: tuple[str, ...]


def person(names: Names) -> str:
    """A made-up person."""
    return f"{names.new()} {names.new()}"


def filler(world: World, rng: random.Random) -> str:
    """A sentence without a fact."""
    actor, verb = rng.choice(world.actors), rng.choice(world.verbs)
    thing, tail = rng.choice(world.objects), rng.choice(world.tails)
    if rng.random() < 0.35:
        return f"{sentence(tail)}, {actor} {verb} {thing}."
    return f"{sentence(actor)} {verb} {thing} {tail}."


def _flat(groups: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(name for _, names in groups for name in names)


_BUSINESS = (
    Measure("revenue", "${v} million", 1.2, 48, 1, "million dollars", True,
            ("{s} reported revenue of {v}.", "revenue of {s} came to {v}.",
             "in terms of revenue, {s} closed the year at {v}.")),
    Measure("number of employees", "{v}", 24, 980, 0, "", True,
            ("{s} employed {v} people at the end of the year.",
             "at year end {v} people worked for {s}.", "the staff of {s} numbered {v}.")),
    Measure("number of sites", "{v}", 2, 38, 0, "", True,
            ("{s} runs {v} sites.", "the activities of {s} are spread over {v} sites.",
             "there are {v} sites that belong to {s}.")),
    Measure("number of complaints", "{v}", 5, 240, 0, "", True,
            ("{v} complaints were recorded for {s}.", "{s} received {v} complaints.",
             "the number of complaints about {s} was {v}.")),
    Measure("energy use", "{v} MWh", 120, 4800, 0, "MWh", True,
            ("energy use of {s} amounted to {v}.", "{s} used {v} of energy.",
             "for heating and power, {s} needed {v} of energy.")),
    Measure("number of orders", "{v}", 300, 9800, 0, "", True,
            ("{s} handled {v} orders.", "{v} orders passed through {s}.",
             "a total of {v} orders was booked by {s}.")),
    Measure("investment", "${v} million", 0.3, 12, 1, "million dollars", True,
            ("{s} invested {v} in equipment.", "investment of {s} reached {v}.",
             "for new equipment {s} spent {v}; this is its whole investment.")),
    Measure("rate of sick leave", "{v}%", 1.5, 8.5, 1, "percent", False,
            ("the rate of sick leave at {s} was {v}.", "sick leave at {s} stood at {v}.")),
)  # fmt: skip
_BUSINESS_WORDS = (
    Relation("head", "person", (), ("{s} is led by {v}.", "{v} is the head of {s}.",
                                    "the head of {s} is {v}.")),
    Relation("main office", "town", (), ("the main office of {s} is in {v}.",
                                         "{s} has its main office in {v}.")),
    Relation("auditor", "person", (), ("the books of {s} were checked by its auditor, {v}.",
                                       "{v} served as the auditor of {s}.")),
)  # fmt: skip
_ACTORS = ("the team", "the committee", "management", "our partners", "the local offices",
           "the field staff", "the working group", "the planners", "most suppliers",
           "the project office", "several departments", "the steering board")  # fmt: skip
_VERBS = ("reviewed", "discussed", "welcomed", "postponed", "prepared", "documented",
          "simplified", "tested", "supported", "monitored", "compared", "approved")  # fmt: skip
_OBJECTS = ("the new procedure", "the delivery schedule", "the training plan",
            "the maintenance contracts", "the feedback from visitors", "the safety guidelines",
            "the booking system", "the storage concept", "the draft budget",
            "the results of the survey", "the revised layout", "the shared database")  # fmt: skip
_TAILS = ("during the first half of the year", "without further delay",
          "in close contact with the regions", "after two pilot runs", "before the summer break",
          "at several meetings", "with good results", "as agreed in spring",
          "in spite of a tight calendar", "together with outside experts", "on short notice",
          "for the first time")  # fmt: skip
REPORTING = (
    World("division", "divisions", _flat(UNITS_OF_FIRM), _BUSINESS, _BUSINESS_WORDS, _ACTORS,
          _VERBS, _OBJECTS, _TAILS),
    World("region", "regions", _flat(REGIONS), _BUSINESS, _BUSINESS_WORDS, _ACTORS, _VERBS,
          _OBJECTS, _TAILS),
)  # fmt: skip
METHODS = World(
    "method", "methods",
    ("KORA", "TAVIN", "Milex", "SORBE", "Dunlin", "PRAXO", "Velora", "QUILL-S", "Ostra", "HALMA",
     "Brisk", "NODAL", "Fennek", "ARGON-T", "Lumet"),
    (
        Measure("accuracy", "{v}%", 61, 97, 1, "percent", False,
                ("{s} reaches an accuracy of {v}.", "the accuracy of {s} is {v}.",
                 "on the test part, {s} has an accuracy of {v}.")),
        Measure("training time", "{v} hours", 2, 96, 0, "hours", True,
                ("training {s} takes {v}.", "the training time of {s} is {v}.",
                 "after {v} of training, {s} had converged.")),
        Measure("number of parameters", "{v} million", 1.5, 880, 1, "millions", True,
                ("{s} has {v} parameters.", "the number of parameters of {s} is {v}.")),
        Measure("memory use", "{v} GB", 1.1, 46, 1, "GB", True,
                ("{s} needs {v} of memory.", "memory use of {s} peaks at {v}.")),
        Measure("latency", "{v} ms", 4, 390, 0, "milliseconds", False,
                ("the latency of {s} is {v}.", "{s} answers with a latency of {v}.")),
    ),
    (
        Relation("training data set", "word",
                 ("Harbor-12", "Meadow", "OpenTiles", "Lantern", "Gravel", "Tidewater", "Plume"),
                 ("{s} is trained on the {v} collection.",
                  "the training data set of {s} is {v}.")),
        Relation("first author", "person", (),
                 ("{s} was proposed by {v}, its first author.",
                  "the first author of {s} is {v}.")),
    ),
    ("earlier work", "this line of research", "our analysis", "the common approach",
     "a recent survey", "the second experiment", "this choice", "the proposed scheme",
     "the reference code", "most of the literature"),
    ("covers", "extends", "motivates", "simplifies", "complements", "avoids", "illustrates",
     "relies on", "generalizes", "summarizes"),
    ("the usual training recipe", "the evaluation protocol", "the search over settings",
     "the role of the prior", "the effect of noise", "the choice of the loss",
     "the treatment of rare cases", "the sampling strategy", "the cost of annotation",
     "the structure of the input"),
    ("in most settings", "under mild assumptions", "without extra supervision",
     "at moderate cost", "in a controlled setting", "for small budgets",
     "across several domains", "with few exceptions", "in contrast to common belief",
     "as discussed below"),
)  # fmt: skip
PARTS = World(
    "part", "parts",
    ("water filter", "drive belt", "dust bag", "brush roller", "carbon insert", "battery pack",
     "steam nozzle", "drip tray", "sealing ring", "control knob", "air hose", "heating plate",
     "grease cup", "spray arm"),
    (
        Measure("replacement interval", "{v} months", 2, 36, 0, "months", False,
                ("replace the {s} every {v}.", "the replacement interval of the {s} is {v}.")),
        Measure("weight", "{v} g", 35, 980, 0, "grams", True,
                ("the weight of the {s} is {v}.", "the {s} has a weight of {v}.")),
        Measure("maximum temperature", "{v} degrees C", 45, 220, 0, "degrees C", False,
                ("the maximum temperature of the {s} is {v}.",
                 "do not let the {s} exceed its maximum temperature of {v}.")),
        Measure("price", "${v}", 4.5, 89, 2, "dollars", True,
                ("the price of the {s} as a spare part is {v}.",
                 "a new {s} has a price of {v}.")),
        Measure("number of screws", "{v}", 2, 12, 0, "", True,
                ("the {s} is held by {v} screws.", "loosen the {v} screws of the {s} first.")),
    ),
    (
        Relation("order code", "code", (), ("the order code of the {s} is {v}.",
                                            "order a new {s} under the code {v}.")),
        Relation("color", "word", ("black", "gray", "white", "blue", "orange", "green"),
                 ("the {s} is {v} in color.", "you will know the {s} by its {v} color.")),
    ),
    ("the appliance", "the user", "a trained technician", "the housing", "the display",
     "the customer service", "the main unit", "the cover", "the supply line", "the base"),
    ("must not touch", "should be kept away from", "may be combined with", "is checked before",
     "can be cleaned without", "is not affected by", "works independently of",
     "has to be separated from"),
    ("open flames", "the power cord", "the accessories", "wet surfaces", "sharp edges",
     "the packaging", "strong magnets", "direct sunlight", "the wall bracket", "cleaning agents"),
    ("during normal use", "at all times", "in case of doubt", "after every longer break",
     "for safety reasons", "in small rooms", "when in standby", "unless stated otherwise",
     "before the first use", "during transport"),
)  # fmt: skip
