"""Long-context tasks whose answer is gathered from the whole text: counting, adding, joining.

Frequent words, questions about articles in one and two steps, sums over a ledger, analysis of a
log, and lists asked by position. As in `longctx_needles`, a `Draft` renders at any size.

Source: data synthesis specification, section 15.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from nanovl.synth.base import Answer, Reject
from nanovl.synth.text.haystacks import Fact, Names, articles
from nanovl.synth.text.longctx_needles import Draft, Maker, Rendered, Source
from nanovl.synth.text.wording import NAMES, TOWNS, words

__all__ = ["TABLES"]

_COMMON = 10  # words that occur often
_ACCOUNTS = words("rent|tools|travel|paper|lunch|repairs|fuel|postage|training|cleaning", "|")
_LEVELS = ("INFO", "INFO", "INFO", "WARN", "ERROR")
_SERVICES = words("login billing search mailer storage gateway scheduler")
_EVENTS = (
    "request finished in {ms} ms",
    "cache refreshed in {ms} ms",
    "connection closed after {ms} ms",
    "retry after {ms} ms",
    "job queued, waited {ms} ms",
)


def common_words(rng: random.Random, source: Source, target: int) -> Draft:
    """Ten words occur 30 times in a numbered list, the others 3 times; 6 and 1 in a short one."""
    seed, names = rng.getrandbits(64), Names(random.Random(rng.getrandbits(64)))
    often, seldom = (30, 3) if target >= 6000 else (6, 1)
    pool: list[str] = [names.new().lower() for _ in range(_COMMON)]
    head = rng.choice(
        (
            "Here is a numbered list of words. Some come up far more often than others.",
            "The list below repeats some words very often. Find out which.",
            "Count how often the words of this numbered list occur.",
            "Below is a long list of words, numbered. Notice the frequent ones.",
        )
    )
    question = rng.choice(
        (
            f"Name the {_COMMON} most frequent words of the list, separated by commas.",
            f"Which {_COMMON} words occur most often? List them with commas between.",
            f"State the {_COMMON} commonest words (any order, comma separated).",
            f"List the {_COMMON} words that come up most, in any order, with commas.",
        )
    )

    def render(size: int) -> Rendered:
        while len(pool) < size + _COMMON:
            pool.append(names.new().lower())
        entries = pool[:_COMMON] * often + pool[_COMMON : size + _COMMON] * seldom
        random.Random(seed).shuffle(entries)
        body = " ".join(f"{i}. {w}" for i, w in enumerate(entries, 1))
        wanted = sorted(pool[:_COMMON])
        facts = {"counts": {"common": often, "others": seldom}, "words": len(entries)}
        answer = Answer(type="list", value=wanted)
        return Rendered(head, body, question, ", ".join(wanted), answer, "set", (), None, facts)

    return render


def frequent_codes(rng: random.Random, source: Source, target: int) -> Draft:
    """Coded words with Zipf frequencies, exponent 2; the top one is hidden behind dots."""
    seed, stream = rng.getrandbits(64), random.Random(rng.getrandbits(64))
    pool: list[str] = []
    head = rng.choice(
        (
            "The text below is in code. Some coded words come up again and again; dots are noise.",
            "Read this coded text and ignore the dots. Notice which words repeat.",
            "Here is a text of coded words. Dots stand for nothing.",
            "Coded words follow. Count them, but not the dots.",
        )
    )
    question = rng.choice(
        (
            "Which three coded words occur most often? Most frequent first, with commas.",
            "Name the three most frequent coded words in order, separated by commas.",
            "List the three commonest words of the code, starting with the commonest "
            "(comma separated).",
            "State the top three coded words by frequency, in that order, with commas.",
        )
    )

    def render(size: int) -> Rendered:
        vocabulary = max(12, size // 50)
        while len(pool) < vocabulary:
            word = "".join(stream.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6))
            if word not in pool:
                pool.append(word)
        draw = random.Random(seed)
        weights = [1 / (k + 1) ** 2 for k in range(vocabulary)]
        drawn = Counter(draw.choices(range(vocabulary), weights, k=size))
        # Ranks two to four must be clearly apart, whatever was drawn.
        for rank, share in ((1, 0.16), (2, 0.075), (3, 0.045)):
            drawn[rank] = max(4 - rank, round(size * share))
        for rank in range(4, vocabulary):
            drawn[rank] = min(drawn[rank], drawn[3] - 1)
        entries = [("...." if r == 0 else pool[r]) for r in sorted(drawn) for _ in range(drawn[r])]
        draw.shuffle(entries)
        wanted = pool[1:4]
        facts = {"counts": {pool[r]: drawn[r] for r in (1, 2, 3, 4)}}
        answer = Answer(type="list", value=wanted)
        return Rendered(
            head, " ".join(entries), question, ", ".join(wanted), answer, "list_ordered", (),
            None, facts,
        )  # fmt: skip

    return render


_ABOUT: dict[str, tuple[str, str, str, str]] = {
    "river": (
        "On which river does {s} lie?",
        "Name the river of {s}.",
        "What is the river at {s} called?",
        "Which river is {s} on?",
    ),
    "population": (
        "How many inhabitants has {s}?",
        "What is the population of {s}?",
        "How many people live in {s}?",
        "State the number of inhabitants of {s}.",
    ),
    "founded": (
        "In which year was {s} founded?",
        "When was {s} founded? Give the year.",
        "What is the founding year of {s}?",
        "Since which year does {s} exist?",
    ),
    "mayor": (
        "Who is the mayor of {s}?",
        "Name the mayor of {s}.",
        "Who governs {s} as mayor?",
        "What is the name of the mayor of {s}?",
    ),
    "job": (
        "What was the profession of {s}?",
        "As what did {s} work?",
        "Which job had {s}?",
        "Name the occupation of {s}.",
    ),
    "born": (
        "In which year was {s} born?",
        "When was {s} born? Give the year.",
        "State the year of birth of {s}.",
        "What is the birth year of {s}?",
    ),
    "hobby": (
        "What did {s} like to do in the evenings?",
        "Name the hobby of {s}.",
        "Which pastime did {s} have?",
        "What was the hobby of {s}?",
    ),
    "teacher": (
        "Who taught {s}?",
        "Name the teacher of {s}.",
        "Who was the teacher of {s}?",
        "What was the name of the teacher of {s}?",
    ),
    "staff": (
        "How many people does {s} employ?",
        "What is the number of employees of {s}?",
        "How many people work for {s}?",
        "State how many employees {s} has.",
    ),
    "seat": (
        "Where does the main office of {s} stand?",
        "In which town is the main office of {s}?",
        "Name the seat of {s}.",
        "Which town is home to the main office of {s}?",
    ),
    "owner": (
        "To whom does {s} belong?",
        "Who owns {s}?",
        "Name the owner of {s}.",
        "Whose company is {s}?",
    ),
    "length": (
        "How long is the river {s} in kilometres?",
        "State the length of the {s} in kilometres.",
        "How many kilometres long is the {s}?",
        "What is the length (km) of the river {s}?",
    ),
}
_SECOND = {"mayor": ("born", "job", "hobby", "teacher"), "owner": ("born", "job", "hobby")}
_VIA = {
    "mayor": "the mayor of {s}",
    "owner": "the owner of {s}",
}
_QA_HEADS = (
    "Here are many short articles. Answer the question at the end from them, in a few words.",
    "Use only these articles to answer the question below them. Be brief.",
    "Read the articles; one of them holds the answer to the last line. Short answer, please.",
    "A collection of entries follows, then a question. Reply with the answer only.",
)


def _articles_draft(rng: random.Random, hops: int) -> Draft:
    stream = articles(random.Random(rng.getrandbits(64)))
    pool: list[list[Fact]] = []
    place, pick = rng.random(), rng.getrandbits(64)
    head = rng.choice(_QA_HEADS)

    def render(size: int) -> Rendered:
        while sum(map(len, pool)) < size:
            pool.append(next(stream))
        shown, left = list[list[Fact]](), size
        for article in pool:
            shown.append(article[:left])
            left -= len(article)
            if left <= 0:
                break
        draw = random.Random(pick)
        body = "\n\n".join(" ".join(f.sentence for f in article) for article in shown)
        start = int(place * len(shown))
        for article in [*shown[start:], *shown[:start]]:
            made = _question(article, draw, hops)
            if made:
                break
        else:
            raise Reject("no_fact", "no article has a fact to ask for")
        question, value, trace, facts = made
        answer = Answer(type="text", value=value)
        return Rendered(
            head, body, question, value, answer, "exact_ci", (), trace, {"facts": facts}
        )

    return render


def _question(
    article: list[Fact], draw: random.Random, hops: int
) -> tuple[str, str, str | None, list[dict[str, str]]] | None:
    if hops == 1:
        usable = [f for f in article if f.relation in _ABOUT]
        if not usable:
            return None
        fact = draw.choice(usable)
        text = draw.choice(_ABOUT[fact.relation]).format(s=fact.subject)
        return text, fact.value, None, [_fact(fact)]
    for first in article:
        seconds = [
            f for f in article
            if f.subject == first.value and f.relation in _SECOND.get(first.relation, ())
        ]  # fmt: skip
        if seconds:
            second = draw.choice(seconds)
            via = _VIA[first.relation].format(s=first.subject)
            text = draw.choice(_ABOUT[second.relation]).format(s=via)
            trace = (
                f"The question is about {via}.\n{first.sentence}\nSo I look for {first.value}.\n"
                f"{second.sentence}"
            )
            return text, second.value, trace, [_fact(first), _fact(second)]
    return None


def _fact(fact: Fact) -> dict[str, str]:
    return {"subject": fact.subject, "relation": fact.relation, "value": fact.value}


def articles_one_step(rng: random.Random, source: Source, target: int) -> Draft:
    """A question about one fact of one article."""
    return _articles_draft(rng, 1)


def articles_two_steps(rng: random.Random, source: Source, target: int) -> Draft:
    """A question that needs two facts."""
    return _articles_draft(rng, 2)


def _lines_draft(
    rng: random.Random,
    line: Callable[[random.Random, int], tuple[str, dict[str, Any]]],
    ask: Callable[[random.Random, list[dict[str, Any]]], tuple[str, str, Answer, str, str | None]],
    heads: tuple[str, ...],
) -> Draft:
    stream, asked = random.Random(rng.getrandbits(64)), rng.getrandbits(64)
    lines: list[tuple[str, dict[str, Any]]] = []
    head = rng.choice(heads)

    def render(size: int) -> Rendered:
        while len(lines) < size:
            lines.append(line(stream, len(lines)))
        rows = [row for _, row in lines[:size]]
        question, text, answer, verifier, trace = ask(random.Random(asked), rows)
        body = "\n".join(text for text, _ in lines[:size])
        return Rendered(head, body, question, text, answer, verifier, (), trace, {"lines": size})

    return render


def ledger(rng: random.Random, source: Source, target: int) -> Draft:
    """Sums and counts over bookings."""
    people = rng.sample(NAMES, 12)
    rare = rng.choice(people)

    def line(draw: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        who = rare if draw.random() < 0.02 else draw.choice([p for p in people if p != rare])
        row = {
            "number": number + 1,
            "who": who,
            "account": draw.choice(_ACCOUNTS),
            "amount": draw.randint(3, 900),
        }
        return (
            f"{number + 1:05d} | {row['who']} | {row['account']} | {row['amount']} euros",
            row,
        )

    def ask(
        draw: random.Random, rows: list[dict[str, Any]]
    ) -> tuple[str, str, Answer, str, str | None]:
        few = [r for r in rows if r["who"] == rare]
        account = draw.choice(_ACCOUNTS)
        if len(few) >= 2 and draw.random() < 0.7:
            amounts = [r["amount"] for r in few]
            total = sum(amounts)
            question = draw.choice(
                (
                    f"How many euros did {rare} book in all? Answer with the number.",
                    f"Add up all bookings of {rare}. Give the sum in euros, number only.",
                    f"What is the total of the amounts of {rare}? Number only.",
                    f"Sum the entries of {rare}; reply with the number of euros.",
                )
            )
            found = "; ".join(f"{r['number']:05d}: {r['amount']}" for r in few)
            trace = f"The entries of {rare} are {found}.\nTheir sum is {total}."
            return question, str(total), Answer(type="number", value=total), "number", trace
        best = max(rows, key=lambda r: (r["account"] == account, r["amount"], -r["number"]))
        question = draw.choice(
            (
                f"What is the largest amount booked under {account}? Number of euros only.",
                f"Find the highest booking for {account} and give its amount as a number.",
                f"Among the entries for {account}, which amount is the greatest? Number only.",
                f"State the maximum spent on {account} in one entry (number).",
            )
        )
        trace = (
            f"I compare the entries for {account}; the largest is entry {best['number']:05d} with "
            f"{best['amount']}."
        )
        value = best["amount"]
        return question, str(value), Answer(type="number", value=value), "number", trace

    return _lines_draft(
        rng,
        line,
        ask,
        (
            "This is a ledger: entry number, person, account, amount.",
            "Below are the entries of a cash book, one a line.",
            "Here is a list of bookings (number | person | account | amount).",
            "The following ledger has one entry a line.",
        ),
    )


def log_analysis(rng: random.Random, source: Source, target: int) -> Draft:
    """Counting and finding in the log of a server."""
    start = rng.randint(0, 40_000)

    def line(draw: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        at = start + number * 7 + draw.randint(0, 6)
        row = {
            "time": f"{at // 3600 % 24:02d}:{at // 60 % 60:02d}:{at % 60:02d}",
            "level": draw.choice(_LEVELS) if draw.random() < 0.2 else "INFO",
            "service": draw.choice(_SERVICES),
            "ms": draw.randint(1, 4000),
        }
        event = draw.choice(_EVENTS).format(ms=row["ms"])
        return f"{row['time']} {row['level']} {row['service']}: {event}", row

    def ask(
        draw: random.Random, rows: list[dict[str, Any]]
    ) -> tuple[str, str, Answer, str, str | None]:
        service = draw.choice(_SERVICES)
        errors = [r for r in rows if r["level"] == "ERROR" and r["service"] == service]
        if draw.random() < 0.5:
            question = draw.choice(
                (
                    f"How many ERROR lines does {service} have? Number only.",
                    f"Count the lines with level ERROR of the service {service}.",
                    f"How often did {service} report ERROR? Answer with a number.",
                    f"Give the number of ERROR entries of {service}.",
                )
            )
            times = ", ".join(r["time"] for r in errors) or "none"
            trace = f"ERROR lines of {service}: {times}.\nThat makes {len(errors)}."
            value = len(errors)
            return question, str(value), Answer(type="number", value=value), "number", trace
        slowest = max(rows, key=lambda r: (r["service"] == service, r["ms"]))
        question = draw.choice(
            (
                f"At what time is the line of {service} with the largest number of ms? Give "
                "hh:mm:ss.",
                f"When (hh:mm:ss) did {service} report its highest time in ms?",
                f"Find the slowest entry of {service} and state its time stamp (hh:mm:ss).",
                f"Which time stamp has the largest ms value of {service}? hh:mm:ss only.",
            )
        )
        trace = f"The largest value of {service} is {slowest['ms']} ms, at {slowest['time']}."
        answer = Answer(type="text", value=slowest["time"])
        return question, slowest["time"], answer, "exact_ci", trace

    return _lines_draft(
        rng,
        line,
        ask,
        (
            "Here is the log of a server.",
            "Read this log: time, level, service, message.",
            "A server wrote the following lines.",
            "The log below is long; a question about it follows.",
        ),
    )


def ordered_list(rng: random.Random, source: Source, target: int) -> Draft:
    """Entries of a long list asked by position or by what follows."""
    names = Names(random.Random(rng.getrandbits(64)))

    def line(draw: random.Random, number: int) -> tuple[str, dict[str, Any]]:
        row = {"name": names.new(3), "town": draw.choice(TOWNS)}
        return f"- {row['name']}, {row['town']}", row

    def ask(
        draw: random.Random, rows: list[dict[str, Any]]
    ) -> tuple[str, str, Answer, str, str | None]:
        at = draw.randrange(1, len(rows) - 4)
        anchor = rows[at]["name"]
        if draw.random() < 0.5:
            wanted = [r["name"] for r in rows[at + 1 : at + 4]]
            question = draw.choice(
                (
                    f"Which three names follow {anchor} in the list? In order, with commas.",
                    f"Name the next three people after {anchor}, in order, comma separated.",
                    f"Who stands on the three places after {anchor}? Keep the order, use commas.",
                    f"List the three names right after {anchor} (in order, with commas).",
                )
            )
            text, answer = ", ".join(wanted), Answer(type="list", value=wanted)
            return question, text, answer, "list_ordered", None
        value = rows[at - 1]["name"]
        question = draw.choice(
            (
                f"Which name stands directly before {anchor}?",
                f"Who comes right before {anchor} in the list? Name only.",
                f"Name the person one place above {anchor}.",
                f"Whose name precedes {anchor}? Give the name only.",
            )
        )
        return question, value, Answer(type="text", value=value), "exact_ci", None

    return _lines_draft(
        rng,
        line,
        ask,
        (
            "Here is a list of visitors in order of arrival, with their towns.",
            "The guests below arrived in this order.",
            "This is an ordered list of names and towns.",
            "Remember the order of the following entries.",
        ),
    )


TABLES: dict[str, Maker] = {
    "common_words": common_words,
    "frequent_codes": frequent_codes,
    "articles_one_step": articles_one_step,
    "articles_two_steps": articles_two_steps,
    "ledger": ledger,
    "log_analysis": log_analysis,
    "ordered_list": ordered_list,
}
