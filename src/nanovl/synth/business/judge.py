"""Judgements about a document: yes or no, comparisons, check boxes, what kind it is.

Every maker takes a `Quiz` and gives a task or None. The answer of a yes/no question is drawn first
and the question made to fit it, so that both come out even without any memory. Must not look at
pixels.

Source: data synthesis specification, sections 9 (tasks), 17 and 19 (balance).
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from nanovl.synth.asking import multiple_choice, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.business.formats import SYMBOLS
from nanovl.synth.business.phrases import english_name
from nanovl.synth.business.quiz import ABSENT, Quiz, lacking, short, task
from nanovl.synth.business.wordings import BANK
from nanovl.synth.documents.truth import page_markdown

__all__ = [
    "about", "all_ticked", "compare", "count_ticked", "family", "markdown_checks", "stated",
    "ticked", "yesno",
]  # fmt: skip

LANGUAGE_NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "pt": "Portuguese",
}  # fmt: skip

# -- Yes and no, comparisons ---------------------------------------------------------------------


def _yesno(quiz: Quiz, asked: tuple[str, str], truth: bool, trace: str | None = None) -> Task:
    answer = Answer(type="bool", value=truth)
    text = "yes" if truth else "no"
    asked = short(quiz, asked, "yesno")
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
        # Rounded away from the value, or 2 would not be more than nine tenths of it.
        way = ROUND_FLOOR if truth else ROUND_CEILING
        limit = (Decimal(str(field.value)) * share).quantize(Decimal(1), rounding=way)
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
    missing = lacking(quiz)
    known = [p.field for p in quiz.plain if p.field.path.rsplit(".", 1)[-1] in ABSENT]
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
        asked = short(quiz, asked, "word")
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
    asked = short(quiz, worded(BANK, "count-ticked", quiz.rng), "number")
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
    asked = short(quiz, worded(BANK, kind, rng), "word")
    return task(quiz, kind, asked, text, Answer(type="text", value=text), verifier)
