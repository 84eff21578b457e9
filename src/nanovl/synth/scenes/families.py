"""CLEVR-like questions: chains of filters and relations, sets joined, and comparisons.

Every question is a program with its wording. Programs whose filters change nothing, or that ask
for "the" object when there is not exactly one, are not made. Answers are drawn evenly.

Source: data synthesis specification, section 12 (families: zero to three hops, single and, single
or, same relation, comparison of attributes, comparison of numbers). The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from nanovl.synth.asking import Bank, balanced, noted, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.scenes.programs import SIDE_WORDS, Run, Step, narrate, run, shape_word
from nanovl.synth.scenes.scene import ATTRIBUTES, DIRECTIONS, Item, Scene

__all__ = ["Phrase", "minimal_phrases", "questions", "referents"]

BANK: Bank = {
    "count": (
        "how many {things} are there?",
        "count the {things}.",
        "what is the number of {things}?",
        "how many {things} can you see?",
        "give the count of {things}.",
    ),
    "exist": (
        "are there any {things}?",
        "is there at least one of these: {things}?",
        "do you see any {things}?",
        "does the picture contain any {things}?",
        "can any {things} be found here?",
    ),
    "query": (
        "what is the {attribute} of {thing}?",
        "which {attribute} does {thing} have?",
        "name the {attribute} of {thing}.",
        "tell me the {attribute} of {thing}.",
        "{thing}: what {attribute} is it?",
    ),
    "same": (
        "how many other objects have the same {attribute} as {thing}?",
        "not counting it, how many objects share their {attribute} with {thing}?",
        "count the other objects whose {attribute} equals that of {thing}.",
        "how many objects besides {thing} have its {attribute}?",
    ),
    "same-exist": (
        "is there another object with the same {attribute} as {thing}?",
        "does any other object have the {attribute} of {thing}?",
        "apart from it, does something share its {attribute} with {thing}?",
        "can you find a second object whose {attribute} equals that of {thing}?",
    ),
    "or": (
        "how many objects are {a} or {b}?",
        "count everything that is {a} or {b}.",
        "what is the number of objects that are either {a} or {b}?",
        "how many objects belong to these two kinds: {a}, {b}?",
    ),
    "and": (
        "how many objects are {side_a} {a} and {side_b} {b}?",
        "count the objects that are both {side_a} {a} and {side_b} {b}.",
        "what number of objects lie {side_a} {a} and also {side_b} {b}?",
        "{side_a} {a} and at the same time {side_b} {b}: how many objects are there?",
    ),
    "more": (
        "are there more {a} than {b}?",
        "is the number of {a} greater than the number of {b}?",
        "do the {a} outnumber the {b}?",
        "compare: are {a} more numerous than {b}?",
    ),
    "fewer": (
        "are there fewer {a} than {b}?",
        "is the number of {a} less than the number of {b}?",
        "are the {a} outnumbered by the {b}?",
        "compare: are {a} less numerous than {b}?",
    ),
    "equal": (
        "are there as many {a} as {b}?",
        "is the number of {a} equal to the number of {b}?",
        "do {a} and {b} occur equally often?",
        "is the count of {a} the same as the count of {b}?",
    ),
    "compare": (
        "do {a} and {b} have the same {attribute}?",
        "is the {attribute} of {a} the same as the {attribute} of {b}?",
        "are {a} and {b} alike in {attribute}?",
        "does {a} have the {attribute} of {b}?",
    ),
    "nearest": (
        "what is the {attribute} of the object closest to {thing}?",
        "look at the object nearest to {thing}: what is its {attribute}?",
        "which {attribute} does the nearest neighbour of {thing} have?",
        "name the {attribute} of whatever is closest to {thing}.",
    ),
    "other-than": (
        "how many objects are not {a}?",
        "count everything except the {a}.",
        "leaving out the {a}, how many objects remain?",
        "if all {a} were removed, how many objects would be left?",
    ),
}


@dataclass(frozen=True)
class Phrase:
    """Words for a set of objects.

    Attributes:
        values: Attribute and value pairs, in the order of `ATTRIBUTES`.
    """

    values: tuple[tuple[str, str], ...]

    def matches(self, item: Item) -> bool:
        """Whether an object is meant."""
        return all(item.get(name) == value for name, value in self.values)

    def mask(self, scene: Scene) -> int:
        """The objects of a scene that are meant, as bits."""
        found = (1 << len(scene.items)) - 1
        for pair in self.values:
            found &= scene.masks.get(pair, 0)
        return found

    def text(self, *, many: bool = False) -> str:
        """`large red star`, or its plural."""
        words = [value for name, value in self.values if name != "shape"]
        shape = dict(self.values).get("shape")
        if shape is None:
            noun = "objects" if many else "object"
        elif len(shape) == 1:
            kind, glyph = shape_word(shape).split()
            noun = f"{kind}s {glyph}" if many else f"{kind} {glyph}"
        elif many:
            noun = f"{shape}es" if shape == "cross" else f"{shape}s"
        else:
            noun = shape
        return " ".join([*words, noun])


class _Builder:
    """Collects steps of a program."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, op: str, *args: str, inputs: Sequence[int] = ()) -> int:
        self.steps.append(Step(op, args, tuple(inputs)))
        return len(self.steps) - 1

    def pick(self, phrase: Phrase, source: int | None = None) -> int:
        at = self.add("scene") if source is None else source
        for name, value in phrase.values:
            at = self.add("filter", name, value, inputs=[at])
        return at

    def one(self, phrase: Phrase, source: int | None = None) -> int:
        return self.add("unique", inputs=[self.pick(phrase, source)])


@dataclass(frozen=True)
class _Draft:
    family: str
    kind: str
    slots: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    done: Run
    form: str


def referents(scene: Scene) -> dict[int, list[Phrase]]:
    """For every object the shortest phrases that mean it alone, in which no word is spare."""
    found: dict[int, list[Phrase]] = {}
    for item in scene.items:
        for count in range(1, len(ATTRIBUTES) + 1):
            phrases = []
            for names in combinations(ATTRIBUTES, count):
                phrase = _phrase(item, names)
                if phrase and phrase.mask(scene).bit_count() == 1:
                    phrases.append(phrase)
            if phrases:
                found[item.id] = phrases
                break
    return found


def _phrase(item: Item, names: Sequence[str]) -> Phrase | None:
    if "fill" in names and len(item.shape) == 1:
        return None
    return Phrase(tuple((n, item.get(n)) for n in ATTRIBUTES if n in names))


def minimal_phrases(scene: Scene, most: int = 2) -> list[Phrase]:
    """Phrases of up to `most` attributes taken from the objects, each word of which matters.

    Phrases that mean everything are left out.
    """
    found: dict[Phrase, int] = {}
    values = {
        name: sorted({i.get(name) for i in scene.items if name != "fill" or len(i.shape) > 1})
        for name in ATTRIBUTES
    }
    total = len(scene.items)
    singles: dict[tuple[str, str], int] = {}
    for name in ATTRIBUTES:
        for value in values[name]:
            phrase = Phrase(((name, value),))
            count = phrase.mask(scene).bit_count()
            if 0 < count < total:
                found[phrase] = count
                singles[name, value] = count
    if most > 1:
        for a, b in combinations(singles, 2):
            glyph = {a[0], b[0]} == {"fill", "shape"} and min(len(a[1]), len(b[1])) == 1
            if a[0] == b[0] or glyph:
                continue
            phrase = Phrase((a, b))
            count = phrase.mask(scene).bit_count()
            if count < min(singles[a], singles[b]):
                found[phrase] = count
    return list(found)


def questions(
    scene: Scene, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[tuple[Task, tuple[Step, ...]]]:
    """Tasks on a scene and their programs, of different families.

    Args:
        scene: At most 26 objects.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    unique = referents(scene)
    phrases = minimal_phrases(scene)
    drafts: list[_Draft] = []
    makers = list(MAKERS)
    rng.shuffle(makers)
    for maker in makers:
        if len(drafts) == count:
            break
        pool = [d for d in maker(scene, rng, unique, phrases) if d is not None]
        forms = sorted({d.form for d in pool})
        if not forms:
            continue
        form = rng.choice(forms)
        drafts += balanced([d for d in pool if d.form == form], _answer_of, rng, 1)
    return [(_task(scene, draft, rng, media), draft.steps) for draft in drafts]


def _answer_of(draft: _Draft) -> object:
    return draft.done.answer


def _task(scene: Scene, draft: _Draft, rng: random.Random, media: tuple[str, ...]) -> Task:
    question, template = worded(BANK, draft.kind, rng, **dict(draft.slots))
    value = draft.done.answer
    if isinstance(value, bool):
        text = "yes" if value else "no"
        answer = Answer(type="bool", value=value)
        verifier = "exact_ci"
    elif isinstance(value, int):
        text, answer, verifier = str(value), Answer(type="number", value=value), "number"
    else:
        text, answer = str(value), Answer(type="text", value=value)
        verifier = "exact_ci"
    return Task(
        task=f"scene_{draft.family}",
        question=noted(question, draft.form, rng),
        answer_text=sentence_case(text),
        answer=answer,
        verifier=verifier,
        trace=narrate(scene, draft.steps, draft.done),
        media=media,
        template=f"{draft.family}/{template}",
    )


def sentence_case(text: str) -> str:
    """Yes and no with a capital, all else as it is."""
    return text.capitalize() if text in ("yes", "no") else text


def _draft(
    scene: Scene, family: str, kind: str, builder: _Builder, form: str, **slots: str
) -> _Draft | None:
    done = run(scene, builder.steps)
    if done is None:
        return None
    return _Draft(family, kind, tuple(slots.items()), tuple(builder.steps), done, form)


Unique = dict[int, list[Phrase]]
Maker = Callable[[Scene, random.Random, Unique, list[Phrase]], Iterator[_Draft | None]]


def _finish(
    scene: Scene, rng: random.Random, b: _Builder, at: int, family: str, things: str, thing: str,
    said: tuple[str, ...],
) -> Iterator[_Draft | None]:  # fmt: skip
    """End a chain in a count, an existence or, where one object is left, a query."""
    kept = list(b.steps)
    b.steps = [*kept, Step("count", (), (at,))]
    yield _draft(scene, family, "count", b, "number", things=things)
    b.steps = [*kept, Step("exist", (), (at,))]
    yield _draft(scene, family, "exist", b, "yesno", things=things)
    open_names = [n for n in _open(scene) if n not in said]
    if open_names:
        name = rng.choice(open_names)
        b.steps = [*kept, Step("unique", (), (at,)), Step("query", (name,), (len(kept),))]
        yield _draft(scene, family, "query", b, "word", attribute=name, thing=f"the {thing}")


def _open(scene: Scene) -> list[str]:
    """Attributes in which the objects differ and that every object visibly has."""
    glyphs = any(len(i.shape) == 1 for i in scene.items)
    names = []
    for name in ATTRIBUTES:
        if len({i.get(name) for i in scene.items}) > 1 and not (name == "fill" and glyphs):
            names.append(name)
    return names


def _zero_hop(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for phrase in rng.sample(phrases, min(6, len(phrases))):
        b = _Builder()
        at = b.pick(phrase)
        said = tuple(n for n, _ in phrase.values)
        yield from _finish(
            scene, rng, b, at, "zero_hop", phrase.text(many=True), phrase.text(), said
        )


def _hops(number: int, name: str) -> Maker:
    def make(
        scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
    ) -> Iterator[_Draft | None]:
        if not unique or not phrases:
            return
        for _ in range(5):
            start = rng.choice(sorted(unique))
            b = _Builder()
            phrase = rng.choice(unique[start])
            at, text = b.one(phrase), f"the {phrase.text()}"
            for hop in range(number):
                side = rng.choice(DIRECTIONS)
                related = b.add("relate", side, inputs=[at])
                last = hop == number - 1
                chosen = _next_phrase(scene, b, related, rng, phrases, last)
                if chosen is None:
                    break
                at = b.pick(chosen, related)
                tail = f"{SIDE_WORDS[side]} {text}"
                if last:
                    things, thing = f"{chosen.text(many=True)} {tail}", f"{chosen.text()} {tail}"
                    said = tuple(n for n, _ in chosen.values)
                    yield from _finish(scene, rng, b, at, name, things, thing, said)
                else:
                    at = b.add("unique", inputs=[at])
                    text = f"the {chosen.text()} that is {tail}"

    return make


def _next_phrase(
    scene: Scene,
    b: _Builder,
    related: int,
    rng: random.Random,
    phrases: list[Phrase],
    last: bool,
) -> Phrase | None:
    """A filter for what is related: one that narrows it down, and to one object unless last."""
    done = run(scene, b.steps)
    if done is None:
        return None
    ids = done.values[related]
    assert isinstance(ids, tuple)
    if last and rng.random() < 0.25:
        return Phrase(())
    pool = []
    related_mask = sum(1 << k for k in ids)
    for phrase in phrases:
        found = (phrase.mask(scene) & related_mask).bit_count()
        if (last and found < len(ids)) or (not last and found == 1 < len(ids)):
            pool.append(phrase)
    return rng.choice(pool) if pool else None


def _same(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for number in rng.sample(sorted(unique), min(4, len(unique))):
        phrase = rng.choice(unique[number])
        for name in _open(scene):
            if name in dict(phrase.values):
                continue
            for op, kind, form in (("count", "same", "number"), ("exist", "same-exist", "yesno")):
                b = _Builder()
                at = b.add("same", name, inputs=[b.one(phrase)])
                b.add(op, inputs=[at])
                thing = f"the {phrase.text()}"
                yield _draft(scene, "same_relate", kind, b, form, attribute=name, thing=thing)


def _or(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for _ in range(6):
        if len(phrases) < 2:
            return
        a, c = rng.sample(phrases, 2)
        b = _Builder()
        at = b.add("union", inputs=[b.pick(a), b.pick(c)])
        b.add("count", inputs=[at])
        left = {i.id for i in scene.items if a.matches(i)}
        right = {i.id for i in scene.items if c.matches(i)}
        if left <= right or right <= left:
            continue
        yield _draft(
            scene, "single_or", "or", b, "number", a=a.text(many=True), b=c.text(many=True)
        )


def _and(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for _ in range(6):
        if len(unique) < 2:
            return
        first, second = rng.sample(sorted(unique), 2)
        p, q = rng.choice(unique[first]), rng.choice(unique[second])
        side_p, side_q = rng.choice(DIRECTIONS), rng.choice(DIRECTIONS)
        b = _Builder()
        one = b.add("relate", side_p, inputs=[b.one(p)])
        two = b.add("relate", side_q, inputs=[b.one(q)])
        both = b.add("intersect", inputs=[one, two])
        b.add("count", inputs=[both])
        draft = _draft(
            scene, "single_and", "and", b, "number",
            a=f"the {p.text()}", b=f"the {q.text()}",
            side_a=SIDE_WORDS[side_p], side_b=SIDE_WORDS[side_q],
        )  # fmt: skip
        if draft and draft.done.values[both] not in (
            draft.done.values[one],
            draft.done.values[two],
        ):
            yield draft


def _numbers(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    kinds = (("more", "greater"), ("fewer", "less"), ("equal", "equal"))
    for _ in range(12):
        if len(phrases) < 2:
            return
        a, c = rng.sample(phrases, 2)
        if {*a.values} <= {*c.values} or {*c.values} <= {*a.values}:
            continue
        kind, op = rng.choice(kinds)
        b = _Builder()
        one = b.add("count", inputs=[b.pick(a)])
        two = b.add("count", inputs=[b.pick(c)])
        b.add(op, inputs=[one, two])
        yield _draft(
            scene, "compare_integer", kind, b, "yesno", a=a.text(many=True), b=c.text(many=True)
        )


def _compare(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for _ in range(6):
        if len(unique) < 2:
            return
        first, second = rng.sample(sorted(unique), 2)
        p, q = rng.choice(unique[first]), rng.choice(unique[second])
        names = [n for n in _open(scene) if n not in dict(p.values) and n not in dict(q.values)]
        if not names:
            continue
        name = rng.choice(names)
        b = _Builder()
        one = b.add("query", name, inputs=[b.one(p)])
        two = b.add("query", name, inputs=[b.one(q)])
        b.add("equal", inputs=[one, two])
        yield _draft(
            scene, "comparison", "compare", b, "yesno",
            a=f"the {p.text()}", b=f"the {q.text()}", attribute=name,
        )  # fmt: skip


def _nearest(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    names = _open(scene)
    for number in rng.sample(sorted(unique), min(4, len(unique))):
        if not names:
            return
        phrase, name = rng.choice(unique[number]), rng.choice(names)
        b = _Builder()
        at = b.add("nearest", inputs=[b.one(phrase)])
        b.add("query", name, inputs=[at])
        thing = f"the {phrase.text()}"
        yield _draft(scene, "nearest", "nearest", b, "word", attribute=name, thing=thing)


def _except(
    scene: Scene, rng: random.Random, unique: Unique, phrases: list[Phrase]
) -> Iterator[_Draft | None]:
    for phrase in rng.sample(phrases, min(4, len(phrases))):
        b = _Builder()
        everything = b.add("scene")
        at = b.add("exclude", inputs=[everything, b.pick(phrase)])
        b.add("count", inputs=[at])
        draft = _draft(scene, "other_than", "other-than", b, "number", a=phrase.text(many=True))
        if draft and draft.done.answer != len(scene.items):
            yield draft


MAKERS: tuple[Maker, ...] = (
    _zero_hop,
    _hops(1, "one_hop"),
    _hops(2, "two_hop"),
    _hops(3, "three_hop"),
    _same,
    _or,
    _and,
    _numbers,
    _compare,
    _nearest,
    _except,
)
