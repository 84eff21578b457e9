"""Questions that join several pages: comparing, adding, ranking, counting, order and outline.

Source: data synthesis specification, sections 11 and 17.
"""

from __future__ import annotations

from nanovl.synth.asking import join_words, number_text
from nanovl.synth.base import Answer
from nanovl.synth.multipage.ask import Asked, Desk, Maker
from nanovl.synth.multipage.draft import Fact
from nanovl.synth.multipage.press import Place

__all__ = ["ACROSS"]

_NOT_ADDED = ("rate of sick leave", "accuracy", "latency", "replacement interval",
              "maximum temperature", "opening balance", "closing balance")  # fmt: skip
_MOST_ADDED = 12
Told = tuple[Fact, tuple[Place, ...]]


def _groups(desk: Desk, least: int, *, added: bool = False) -> dict[str, list[Told]]:
    """Facts with numbers by what they are, of at least so many subjects."""
    found: dict[str, list[Told]] = {}
    for fact, places in desk.facts:
        if fact.value is not None and not (added and fact.noun in _NOT_ADDED):
            found.setdefault(fact.noun, []).append((fact, places))
    return {noun: facts for noun, facts in sorted(found.items()) if len(facts) >= least}


def _pair(desk: Desk) -> tuple[Told, Told] | None:
    """Two different numbers of one sort, on different pages."""
    groups = _groups(desk, 2)
    for _ in range(10 if groups else 0):
        facts = groups[desk.rng.choice(list(groups))]
        one, two = desk.rng.sample(facts, 2)
        if one[0].value != two[0].value and one[1][0][0] != two[1][0][0]:
            return one, two
    return None


def _unit(fact: Fact) -> str:
    return f" (in {fact.unit})" if fact.unit else ""


def _shown(fact: Fact) -> str:
    assert fact.value is not None
    return number_text(fact.value, fact.decimals)


def _traced(desk: Desk, told: list[Told]) -> str:
    return " ".join(desk.told(fact, places) for fact, places in told)


def _evidence(told: list[Told]) -> list[Place]:
    return [place for _, places in told for place in places]


def larger(desk: Desk) -> Asked | None:
    """Which of two is larger, or whether one is."""
    pair = _pair(desk)
    if pair is None:
        return None
    (a, _), (b, _) = pair
    assert a.value is not None
    assert b.value is not None
    told = list(pair)
    best = a if a.value > b.value else b
    sign = "more" if a.value > b.value else "less"
    trace = f"{_traced(desk, told)} {_shown(a)} is {sign} than {_shown(b)}."
    slots = {"noun": a.noun, "a": desk.named(a.subject), "b": desk.named(b.subject)}
    if desk.rng.random() < 0.5:
        value = a.value > b.value
        return desk.asked("is-larger", "Yes" if value else "No", Answer(type="bool", value=value),
                          "exact_ci", "yesno", trace, _evidence(told), **slots)  # fmt: skip
    return desk.word("larger", desk.named(best.subject), trace, _evidence(told), **slots)


def difference(desk: Desk) -> Asked | None:
    """How far two values are apart."""
    pair = _pair(desk)
    if pair is None:
        return None
    told = sorted(pair, key=lambda t: -(t[0].value or 0.0))
    high, low = told[0][0], told[1][0]
    assert high.value is not None
    assert low.value is not None
    value = round(high.value - low.value, high.decimals)
    trace = f"{_traced(desk, list(pair))} {_shown(high)} - {_operand(low)} = "
    trace += f"{number_text(value, high.decimals)}."
    return desk.number("difference", value, trace, _evidence(told), decimals=high.decimals,
                       a=desk.named(pair[0][0].subject), b=desk.named(pair[1][0].subject),
                       noun=high.noun, unit=_unit(high))  # fmt: skip


def _operand(fact: Fact) -> str:
    text = _shown(fact)
    return f"({text})" if text.startswith("-") else text


def total(desk: Desk) -> Asked | None:
    """Some values, or all of a sort, added up."""
    groups = _groups(desk, 2, added=True)
    if not groups:
        return None
    facts = groups[desk.rng.choice(list(groups))]
    is_all = len(facts) <= _MOST_ADDED and desk.rng.random() < 0.5
    # "All" is all that the document states, so none may be left out for being said twice.
    stated = [f for f in desk.printed.draft.facts if f.noun == facts[0][0].noun]
    is_all = is_all and len(stated) == len(facts)
    told = facts if is_all else desk.rng.sample(facts, min(len(facts), desk.rng.choice((2, 2, 3))))
    first = told[0][0]
    value = round(sum(f.value or 0.0 for f, _ in told), first.decimals)
    terms = " + ".join(_operand(f) for f, _ in told)
    trace = f"{_traced(desk, told)} {terms} = {number_text(value, first.decimals)}."
    names = join_words([desk.named(f.subject) for f, _ in told])
    slots = {"noun": first.noun, "unit": _unit(first)}
    if is_all:
        return desk.number("sum-all", value, trace, _evidence(told), decimals=first.decimals,
                           facing=desk.facing, **slots)  # fmt: skip
    return desk.number("sum", value, trace, _evidence(told), decimals=first.decimals, names=names,
                       **slots)  # fmt: skip


def extreme(desk: Desk) -> Asked | None:
    """Which subject has most or least of something."""
    groups = _groups(desk, 3)
    if not groups:
        return None
    noun = desk.rng.choice(list(groups))
    facts = sorted(groups[noun], key=lambda t: t[0].value or 0.0)
    if len(facts) != sum(f.noun == noun for f in desk.printed.draft.facts):
        return None
    kind = desk.rng.choice(("most", "least"))
    best, second = (facts[-1], facts[-2]) if kind == "most" else (facts[0], facts[1])
    if best[0].value == second[0].value:
        return None
    values = join_words([f"{f.subject} {_shown(f)} (page {p[0][0]})" for f, p in groups[noun]])
    word = "highest" if kind == "most" else "lowest"
    trace = f"The values of {noun} are {values}. The {word} is that of {best[0].subject}."
    return desk.word(kind, desk.named(best[0].subject), trace, _evidence(facts), noun=noun,
                     facing=desk.facing)  # fmt: skip


def above(desk: Desk) -> Asked | None:
    """How many values of a sort exceed a bound."""
    groups = _groups(desk, 4)
    if not groups:
        return None
    noun = desk.rng.choice(list(groups))
    facts = groups[noun]
    if len(facts) != sum(f.noun == noun for f in desk.printed.draft.facts):
        return None
    values = sorted({f.value or 0.0 for f, _ in facts})
    if len(values) < 2:
        return None
    cut = desk.rng.randrange(1, len(values))
    first = facts[0][0]
    edge = round((values[cut - 1] + values[cut]) / 2, first.decimals)
    count = [f for f, _ in facts if (f.value or 0.0) > edge]
    if any(f.value == edge for f, _ in facts):
        return None
    shown = number_text(edge, first.decimals)
    told = ", ".join(f"{f.subject} {_shown(f)}" for f, _ in facts)
    trace = f"Values of {noun}: {told}. Above {shown} there are {len(count)}."
    return desk.number("above", len(count), trace, _evidence(facts), noun=noun, edge=shown,
                       unit=_unit(first))  # fmt: skip


def _heads(desk: Desk) -> list[tuple[str, Place]]:
    """Headings that occur once, in order, with their places."""
    found = []
    for heading in desk.printed.draft.headings:
        if desk.titles[heading.title] == 1 and "," not in heading.title:
            found.append((heading.title, desk.printed.block_places(heading.block)[0]))
    return found


def following(desk: Desk) -> Asked | None:
    """Which part comes next."""
    heads = desk.printed.draft.headings
    if len(heads) < 3:
        return None
    k = desk.rng.randrange(len(heads) - 1)
    if desk.titles[heads[k].title] > 1:
        return None
    places = [desk.printed.block_places(h.block)[0] for h in heads[k : k + 2]]
    title = heads[k + 1].title
    trace = f'"{heads[k].title}" begins on page {places[0][0]}; the next heading is "{title}", '
    trace += f"on page {places[1][0]}."
    answer = Answer(type="text", value=title)
    return desk.asked("next", title, answer, "anls", "word", trace, places, title=heads[k].title)


def order(desk: Desk) -> Asked | None:
    """Parts in their order."""
    heads = _heads(desk)
    if len(heads) < 4:
        return None
    chosen = sorted(desk.rng.sample(range(len(heads)), desk.rng.choice((3, 4))))
    names = [heads[k][0] for k in chosen]
    mixed = list(names)
    while mixed == names:
        desk.rng.shuffle(mixed)
    places = [heads[k][1] for k in chosen]
    trace = "They begin on these pages: "
    trace += ", ".join(f"{n} {p[0]}" for n, p in zip(names, places, strict=True)) + "."
    answer = Answer(type="list", value=names)
    return desk.asked("order", ", ".join(names), answer, "list_ordered", "", trace, places,
                      names=", ".join(mixed), facing=desk.facing)  # fmt: skip


def outline(desk: Desk) -> Asked | None:
    """All headings with pages."""
    heads = desk.printed.draft.headings
    if not 3 <= len(heads) <= 40:
        return None
    places = [desk.printed.block_places(h.block)[0] for h in heads]
    text = "\n".join(f"{h.text}: {p[0]}" for h, p in zip(heads, places, strict=True))
    answer = Answer(type="text", value=text)
    return desk.asked("outline", text, answer, "edit_distance", "", None, places,
                      facing=desk.facing)  # fmt: skip


def summary(desk: Desk) -> Asked | None:
    """A key sentence for every heading."""
    heads = [h for h in desk.printed.draft.headings if h.gist]
    if not 3 <= len(heads) <= 14:
        return None
    text = "\n".join(f"{h.text}: {h.gist}" for h in heads)
    places = [desk.printed.block_places(h.block)[0] for h in heads]
    answer = Answer(type="text", value=text)
    return desk.asked("summary", text, answer, "edit_distance", "", None, places,
                      facing=desk.facing)  # fmt: skip


ACROSS: tuple[tuple[Maker, float], ...] = (
    (larger, 1.5),
    (difference, 1.2),
    (total, 1.5),
    (extreme, 1.2),
    (above, 0.8),
    (following, 0.8),
    (order, 0.8),
    (outline, 0.5),
    (summary, 0.4),
)
