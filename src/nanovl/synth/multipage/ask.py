"""Questions on one place of a document: which page, what is stated, what is not.

Every question carries where its answer stands. Questions that need several places are in `across`,
those about tables, figures and references in `exhibits`.

Source: data synthesis specification, sections 11 and 17.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nanovl.synth.asking import box_answer, noted, number_text, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.multipage.draft import Fact
from nanovl.synth.multipage.phrases import BANK
from nanovl.synth.multipage.press import Place, Printed

__all__ = ["MISSING", "PLACES", "Asked", "Desk", "Maker", "missing"]

MISSING = "not stated"


@dataclass(frozen=True)
class Asked:
    """A question and where its answer stands."""

    task: Task
    evidence: tuple[Place, ...] = ()


@dataclass
class Desk:
    """A document on the table of a questioner.

    Attributes:
        printed: The document.
        media: Names of its pages.
        rng: Where choices come from.
    """

    printed: Printed
    media: tuple[str, ...]
    rng: random.Random
    used: set[str] = field(default_factory=set)

    @cached_property
    def facts(self) -> list[tuple[Fact, tuple[Place, ...]]]:
        """Facts that are said once and found on the pages, with their places."""
        draft = self.printed.draft
        keys = Counter((f.subject, f.noun) for f in draft.facts)
        found = []
        for fact in draft.facts:
            places = self.printed.sentence_places(fact.block, fact.sentence)
            if keys[fact.subject, fact.noun] == 1 and places:
                found.append((fact, tuple(places)))
        return found

    @cached_property
    def titles(self) -> Counter[str]:
        """How often each heading occurs."""
        return Counter(h.title for h in self.printed.draft.headings)

    @property
    def facing(self) -> str:
        """What the document is called in questions."""
        return self.printed.draft.facing

    def named(self, subject: str) -> str:
        """A subject in a sentence."""
        return f"the {subject}" if self._has_article(subject) else subject

    def _has_article(self, subject: str) -> bool:
        return self.printed.draft.kind == "manual" and not subject.startswith('"')

    def what(self, fact: Fact) -> str:
        """`the revenue of Logistics (in million dollars)`."""
        unit = f" (in {fact.unit})" if fact.unit else ""
        lead = "" if fact.noun.startswith("step ") else "the "
        return f"{lead}{fact.noun} of {self.named(fact.subject)}{unit}"

    def value(self, fact: Fact) -> tuple[str, Answer, str, str]:
        """Answer text, checkable answer, verifier and form of the value of a fact."""
        if fact.value is None:
            is_long = len(fact.text) > 40
            answer = Answer(type="text", value=fact.text)
            return fact.text, answer, "anls" if is_long else "exact_ci", "word"
        text = number_text(fact.value, fact.decimals)
        answer = Answer(type="number", value=float(text), unit=fact.unit or None)
        return text, answer, "number", "number"

    def told(self, fact: Fact, places: Sequence[Place]) -> str:
        """`Page 3 says: "..."`."""
        end = "" if fact.sentence.endswith((".", "!", "?")) else "."
        return f'Page {places[0][0]} says: "{fact.sentence}"{end}'

    def asked(
        self,
        kind: str,
        text: str,
        answer: Answer,
        verifier: str,
        form: str,
        trace: str | None,
        evidence: Sequence[Place],
        /,
        **slots: object,
    ) -> Asked:
        """A question of a kind with its wording."""
        question, template = worded(BANK, kind, self.rng, **slots)
        if form:
            question = noted(question, form, self.rng)
        pages = {page for page, _ in evidence}
        if len(pages) == 1:
            answer = Answer(
                type=answer.type, value=answer.value, unit=answer.unit, tolerance=answer.tolerance,
                boxes=answer.boxes or tuple(box for _, box in evidence),
            )  # fmt: skip
        task = Task(
            task=f"pages_{kind.replace('-', '_')}", question=question, answer_text=text,
            answer=answer, verifier=verifier, trace=trace, media=self.media,
            template=f"multipage/{template}",
        )  # fmt: skip
        return Asked(task, tuple(evidence))

    def number(
        self, kind: str, value: float, trace: str, evidence: Sequence[Place], /, *,
        decimals: int = 0, **slots: object,
    ) -> Asked:  # fmt: skip
        """A question whose answer is a number."""
        text = number_text(value, decimals)
        answer = Answer(type="number", value=float(text))
        return self.asked(kind, text, answer, "number", "number", trace, evidence, **slots)

    def word(
        self, kind: str, text: str, trace: str, evidence: Sequence[Place], /, **slots: object
    ) -> Asked:
        """A question whose answer is a name or a short text."""
        answer = Answer(type="text", value=text)
        verifier = "exact_ci" if len(text) <= 60 else "anls"
        return self.asked(kind, text, answer, verifier, "word", trace, evidence, **slots)

    def fresh(self, key: str) -> bool:
        """Whether something was not asked about yet; now it was."""
        if key in self.used:
            return False
        self.used.add(key)
        return True


Maker = Callable[[Desk], Asked | None]


def _some_fact(desk: Desk) -> tuple[Fact, tuple[Place, ...]] | None:
    pool = [pair for pair in desk.facts if f"fact {desk.what(pair[0])}" not in desk.used]
    if not pool:
        return None
    fact, places = desk.rng.choice(pool)
    desk.fresh(f"fact {desk.what(fact)}")
    return fact, places


def page_of_fact(desk: Desk) -> Asked | None:
    """On which page is it stated?"""
    found = _some_fact(desk)
    if found is None or len(found[1]) > 1:
        return None
    fact, places = found
    what = desk.what(fact).split(" (in ")[0]
    return desk.number("page-fact", places[0][0], desk.told(fact, places), places, what=what)


def page_of_heading(desk: Desk) -> Asked | None:
    """On which page does a part begin?"""
    heads = [h for h in desk.printed.draft.headings if desk.titles[h.title] == 1]
    if len(heads) < 2:
        return None
    heading = desk.rng.choice(heads)
    places = desk.printed.block_places(heading.block)[:1]
    trace = f'The heading "{heading.text}" stands on page {places[0][0]}.'
    return desk.number("page-heading", places[0][0], trace, places, title=heading.title)


def page_of_exhibit(desk: Desk) -> Asked | None:
    """On which page does a table or figure begin?"""
    if not desk.printed.draft.exhibits:
        return None
    exhibit = desk.rng.choice(desk.printed.draft.exhibits)
    inside = "table" if exhibit.kind == "table" else "picture"
    places = desk.printed.block_places(exhibit.block, inside)[:1]
    trace = f'{exhibit.label}, "{exhibit.caption}", begins on page {places[0][0]}.'
    return desk.number("page-exhibit", places[0][0], trace, places, label=exhibit.label)


def from_contents(desk: Desk) -> Asked | None:
    """What does the table of contents say?"""
    draft = desk.printed.draft
    if draft.contents < 0:
        return None
    number = desk.rng.randrange(len(draft.headings))
    heading = draft.headings[number]
    if desk.titles[heading.title] > 1:
        return None
    places = desk.printed.block_places(draft.contents + number)
    page = desk.printed.pages_of(heading.block)[0]
    trace = f'On page {places[0][0]} the contents list "{heading.text}" with page {page}.'
    return desk.number("contents", page, trace, places, title=heading.title)


def lookup(desk: Desk) -> Asked | None:
    """What is stated?"""
    found = _some_fact(desk)
    if found is None:
        return None
    fact, places = found
    text, answer, verifier, form = desk.value(fact)
    return desk.asked("lookup", text, answer, verifier, form, desk.told(fact, places), places,
                      what=desk.what(fact), facing=desk.facing)  # fmt: skip


def on_page(desk: Desk) -> Asked | None:
    """What does a page say, where it says it of one subject only?"""
    seen = Counter((places[0][0], fact.noun) for fact, places in desk.facts)
    pool = [
        (fact, places)
        for fact, places in desk.facts
        if seen[places[0][0], fact.noun] == 1
        and len(places) == 1
        and not fact.noun.startswith("step ")
    ]
    if not pool:
        return None
    fact, places = desk.rng.choice(pool)
    text, answer, verifier, form = desk.value(fact)
    unit = f" (in {fact.unit})" if fact.unit else ""
    return desk.asked("on-page", text, answer, verifier, form, desk.told(fact, places), places,
                      page=places[0][0], noun=fact.noun, unit=unit)  # fmt: skip


def find_and_answer(desk: Desk) -> Asked | None:
    """The page and the answer."""
    found = _some_fact(desk)
    if found is None or len(found[1]) > 1:
        return None
    fact, places = found
    text = desk.value(fact)[0]
    value = {"page": places[0][0], "answer": text}
    said = json.dumps(value, ensure_ascii=False)
    return desk.asked("find-answer", said, Answer(type="json", value=value), "json_equal", "",
                      desk.told(fact, places), places, what=desk.what(fact))  # fmt: skip


def locate(desk: Desk) -> Asked | None:
    """Where on its page is something?"""
    things = [
        (f'the heading "{h.text}"', desk.printed.block_places(h.block))
        for h in desk.printed.draft.headings
        if desk.titles[h.title] == 1
    ]
    for exhibit in desk.printed.draft.exhibits:
        inside = "table" if exhibit.kind == "table" else "picture"
        things.append((exhibit.label, desk.printed.block_places(exhibit.block, inside)))
    things = [(name, places) for name, places in things if len(places) == 1]
    if not things:
        return None
    name, places = desk.rng.choice(things)
    page, box = places[0]
    text, answer = box_answer(name, [box], *desk.printed.pages[page - 1].image.size)
    return desk.asked("locate", text, answer, "iou", "", None, places, page=page, thing=name)


def missing(desk: Desk) -> Asked | None:
    """Something the document does not say."""
    facts = [f for f, _ in desk.facts if not f.noun.startswith("step ")]
    known = {(f.subject, f.noun) for f in desk.printed.draft.facts}
    pairs = {(f.subject, g.noun, g.unit) for f in facts for g in facts}
    pool = sorted(p for p in pairs if (p[0], p[1]) not in known)
    if not pool:  # every subject has everything: ask for one that is not there
        subjects = {s for s, _ in known}
        for fact in facts:
            other = re.sub(r"\d+$", lambda m: str(int(m[0]) + 40), fact.subject)
            if other not in subjects:
                pool.append((other, fact.noun, fact.unit))
    if not pool:
        return None
    subject, noun, unit = desk.rng.choice(pool)
    shown = f" (in {unit})" if unit else ""
    what = f"the {noun} of {desk.named(subject)}{shown}"
    trace = f"No page gives the {noun} of {desk.named(subject)}."
    answer = Answer(type="text", value=MISSING)
    return desk.asked("missing", MISSING, answer, "exact_ci", "", trace, (), what=what,
                      facing=desk.facing)  # fmt: skip


PLACES: tuple[tuple[Maker, float], ...] = (
    (page_of_fact, 1.5),
    (page_of_heading, 0.8),
    (page_of_exhibit, 0.8),
    (from_contents, 0.6),
    (lookup, 2.5),
    (on_page, 1.0),
    (find_and_answer, 1.2),
    (locate, 0.8),
)
