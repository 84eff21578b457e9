"""Articles out of sentence patterns: what pages of nine kinds say, as blocks in reading order.

Every name, number and event is invented. Must not know how pages look.

Source: data synthesis specification, sections 3.14 (own papers instead of filler) and 5 (kinds).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nanovl.data.convert.table_qa import Table
from nanovl.synth.documents.blocks import Block, PictureBlock, Run, TableBlock, TextBlock, paragraph
from nanovl.synth.screens.words import Vocabulary
from nanovl.synth.text.wording import NAMES, THINGS, TOWNS

__all__ = ["KINDS", "Article", "Prose", "article", "from_text"]

_RIVERS = ("Aune", "Brell", "Corvi", "Deem", "Elda", "Firth", "Gaspe", "Ilmen", "Losse", "Marn")
_FOODS = ("flour", "sugar", "butter", "milk", "apples", "salt", "pepper", "rice", "onions",
          "carrots", "cream", "water", "oil", "beans", "lemons")  # fmt: skip
_UNITS = ("g", "ml", "cups", "spoons")
_QUESTIONS = ("How long does delivery take?", "Can I change my order?", "What does it cost?",
              "Where do you store my data?", "Who can I ask for help?", "Is there a discount?",
              "When is the office open?", "How do I cancel?", "What do I have to bring?"
            )  # fmt: skip
_HEADS = {
    "encyclopaedia": (
        "History",
        "Geography",
        "Economy",
        "Culture",
        "Transport",
        "Climate",
        "Sights",
    ),
    "news": ("What happened", "Reactions", "What comes next", "Background"),
    "blog": ("How it began", "What I learned", "Some numbers", "And now?", "The long way home"),
    "docs": ("Installation", "Usage", "Settings", "Errors", "Examples", "Limits", "Upgrading"),
    "product": ("Description", "What is in the box", "Technical data", "Delivery"),
    "legal": ("Scope", "Payment", "Liability", "Term", "Data protection", "Final provisions"),
}


@lru_cache(maxsize=1)
def _patterns() -> dict[str, tuple[str, ...]]:
    text = (Path(__file__).parent / "prose.txt").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            kind, pattern = line.split("|")
            found.setdefault(kind, []).append(pattern)
    return {kind: tuple(lines) for kind, lines in found.items()}


@dataclass(frozen=True, kw_only=True)
class Article:
    """What a page says.

    Attributes:
        kind: One of `KINDS`.
        site: Name of the site, in the header.
        links: Of the header.
        footer: At the end.
        blocks: In reading order.
        lang: Of the text.
    """

    kind: str
    site: str
    links: tuple[str, ...]
    footer: str
    blocks: tuple[Block, ...]
    lang: str = "en"


class Prose:
    """Fills sentence patterns of one kind.

    Args:
        rng: The generator of the stream "content".
        kind: One of `KINDS`.
    """

    def __init__(self, rng: random.Random, kind: str) -> None:
        self.rng = rng
        self.say = Vocabulary(rng, "en")
        self._pool = list(_patterns()[kind])
        self._left: list[str] = []
        self.town, self.other = rng.sample(TOWNS, 2)
        self.person = self.say.person()
        self.product = self.say.product()

    def sentence(self) -> str:
        """The next sentence; a pattern comes back only after all others."""
        if not self._left:
            last = self._pool[-1]
            self._left = self.rng.sample(self._pool, len(self._pool))
            if self._left[-1] == last:  # never the same sentence twice in a row
                self._left.reverse()
            self._pool = self._left[::-1]
        rng = self.rng
        things = rng.sample(THINGS, 2)
        other = f"{rng.choice(NAMES)} {rng.choice('ABCDEFGHKLMNPRST')}."
        return self._left.pop().format(
            Town=self.town, Town2=self.other, River=rng.choice(_RIVERS), product=self.product,
            Person=self.person if rng.random() < 0.5 else other,
            thing=things[0], thing2=things[1], word=self.say.word(), word2=self.say.word(),
            big=f"{rng.randint(1000, 98000):,}", number=rng.randint(20, 600),
            small=rng.randint(2, 48), small2=rng.randint(2, 48), year=rng.randint(1700, 2020),
            month=self.say.line("month"), day=self.say.line("day"), hour=rng.randint(6, 22),
        )  # fmt: skip

    def text(self, least: int = 2, most: int = 5) -> str:
        """A paragraph."""
        return " ".join(self.sentence() for _ in range(self.rng.randint(least, most)))

    def paragraph(self, least: int = 2, most: int = 5) -> TextBlock:
        """A paragraph in which now and then words are set off."""
        text = self.text(least, most)
        words = text.split(" ")
        if len(words) < 14 or self.rng.random() > 0.4:
            return paragraph(text)
        start = self.rng.randint(2, len(words) - 6)
        stop = start + self.rng.randint(1, 3)
        bold = self.rng.random() < 0.6
        middle = Run(" ".join(words[start:stop]), bold=bold, italic=not bold)
        return TextBlock(
            kind="text",
            runs=(Run(" ".join(words[:start]) + " "), middle, Run(" " + " ".join(words[stop:]))),
        )

    def items(self, count: int, *, numbered: str = "", level: int = 0) -> list[Block]:
        """List entries of one sentence each.

        Args:
            count: How many.
            numbered: "1." or "a)" for that kind of numbers, "" for bullets.
            level: Depth.
        """
        made: list[Block] = []
        for k in range(count):
            mark = f"{k + 1}." if numbered == "1." else f"{chr(97 + k)})" if numbered else "-"
            made.append(TextBlock(kind="list_item", runs=(Run(self.sentence()),), marker=mark,
                                  level=level))  # fmt: skip
        return made

    def table(self, caption: bool = True) -> TableBlock:
        """A small table of figures with one header row."""
        rng = self.rng
        columns = rng.randint(2, 5)
        heads = rng.sample(("Year", "Length", "Price", "Members", "Share", "Visitors", "Weight",
                            "Rooms", "Grade", "Points"), columns)  # fmt: skip
        header = (rng.choice(("Name", "Item", "Place", "Group")), *heads)
        rows = []
        for _ in range(rng.randint(2, 8)):
            cells = [self._figure(head) for head in heads]
            rows.append((self.say.title(1, 2), *cells))
        title = f"{rng.choice(('Figures', 'Overview', 'Selected data'))} for {self.town}"
        table = Table(id="", title="", header=header, rows=tuple(rows))
        return TableBlock(table=table, caption=title if caption else "")

    def _figure(self, head: str) -> str:
        rng = self.rng
        if head == "Year":
            return str(rng.randint(1900, 2024))
        if head == "Share":
            return f"{rng.randint(1, 990) / 10:.1f}%"
        if head == "Price":
            return f"${rng.randint(100, 99999) / 100:,.2f}"
        if head == "Grade":
            return rng.choice("ABCD") + rng.choice(("", "+", "-"))
        return f"{rng.randint(1, 9999):,}" if rng.random() > 0.08 else "-"

    def picture(self) -> PictureBlock:
        """A picture with a caption."""
        rng = self.rng
        what = rng.choice(("View of {t}", "The market of {t} in {y}", "A street in {t}",
                           "{p} in {y}", "Map of {t}"))  # fmt: skip
        text = what.format(t=self.town, y=rng.randint(1900, 2020), p=self.person)
        return PictureBlock(aspect=rng.uniform(1.2, 2.2), caption=text, seed=rng.getrandbits(32))

    def code(self) -> TextBlock:
        """A few lines of a program or of a shell."""
        rng = self.rng
        a, b, n = self.say.word(), self.say.word(), rng.randint(2, 99)
        forms = (
            f"pip install {a}-{b}\n{a} --{b} {n}",
            f"import {a}\n\nfor {b} in range({n}):\n    print({a}.run({b}))".replace("\n\n", "\n"),
            f'[{a}]\n{b} = {n}\nlevel = "{self.say.word()}"',
            f"def {a}({b}):\n    if {b} > {n}:\n        return {b}\n    return {n}",
        )
        return paragraph(rng.choice(forms), "code")


def _titled(text: str) -> TextBlock:
    return paragraph(text, "title")


def _head(text: str, level: int = 1) -> TextBlock:
    return paragraph(text, "section_header", level)


def _sections(p: Prose, kind: str, extra: Callable[[int], list[Block]]) -> list[Block]:
    rng = p.rng
    names = rng.sample(_HEADS[kind], rng.randint(2, min(4, len(_HEADS[kind]))))
    made: list[Block] = []
    for place, name in enumerate(names):
        made.append(_head(name))
        made.append(p.paragraph())
        made += extra(place)
        if rng.random() < 0.3:
            made += [_head(p.say.title(1, 3), 2), p.paragraph(1, 3)]
    return made


def _encyclopaedia(p: Prose) -> list[Block]:
    def more(place: int) -> list[Block]:
        draw = p.rng.random()
        if draw < 0.3:
            return [p.table()]
        if draw < 0.5:
            return [p.picture()]
        return p.items(3) if draw < 0.7 else [p.paragraph()]

    return [_titled(p.town), p.paragraph(), p.picture(), *_sections(p, "encyclopaedia", more)]


def _news(p: Prose) -> list[Block]:
    line = f"By {p.person}, {p.say.line('day')}"
    made: list[Block] = [_titled(f"{p.town}: {p.say.title(2, 4).lower()}"), paragraph(line)]
    made += [p.picture()] if p.rng.random() < 0.7 else []
    made += [p.paragraph(2, 3) for _ in range(p.rng.randint(2, 4))]
    if p.rng.random() < 0.6:
        made += _sections(p, "news", lambda _: [])
    return made


def _blog(p: Prose) -> list[Block]:
    def more(place: int) -> list[Block]:
        if place == 0:
            return p.items(p.rng.randint(2, 4))
        return [p.picture()] if place == 1 else []

    return [_titled(p.say.title(2, 5)), paragraph(f"{p.say.date()} by {p.person}"), p.paragraph(),
            *_sections(p, "blog", more)]  # fmt: skip


def _docs(p: Prose) -> list[Block]:
    def more(place: int) -> list[Block]:
        forms: list[list[Block]] = [
            [p.code()],
            [p.table()],
            p.items(3, numbered="1."),
            [p.code(), p.paragraph(1, 2)],
        ]
        return forms[place % 4]

    return [_titled(f"{p.say.word()} {p.rng.randint(1, 9)}.{p.rng.randint(0, 20)}"), p.paragraph(),
            *_sections(p, "docs", more)]  # fmt: skip


def _product(p: Prose) -> list[Block]:
    price = paragraph(p.say.money(5, 900))

    def more(place: int) -> list[Block]:
        forms: list[list[Block]] = [p.items(p.rng.randint(3, 5)), [p.table(False)], [], []]
        return forms[place]

    return [_titled(p.product), p.picture(), price, p.paragraph(), *_sections(p, "product", more)]


def _faq(p: Prose) -> list[Block]:
    made: list[Block] = [_titled("Questions and answers"), p.paragraph(1, 2)]
    for text in p.rng.sample(_QUESTIONS, p.rng.randint(3, 7)):
        made += [_head(text), p.paragraph(1, 3)]
        if p.rng.random() < 0.2:
            made += p.items(2)
    return made


def _forum(p: Prose) -> list[Block]:
    made: list[Block] = [_titled(p.say.title(2, 5) + "?")]
    for _ in range(p.rng.randint(2, 5)):
        made += [_head(p.say.person(), 2), paragraph(f"{p.say.date()} {p.say.clock()}"),
                 p.paragraph(1, 3)]  # fmt: skip
        if p.rng.random() < 0.2:
            made.append(p.code())
    return made


def _legal(p: Prose) -> list[Block]:
    made: list[Block] = [_titled("Terms of use"), p.paragraph(1, 2)]
    for number, name in enumerate(p.rng.sample(_HEADS["legal"], p.rng.randint(3, 6)), 1):
        made += [_head(f"{number}. {name}"), p.paragraph(1, 3)]
        if p.rng.random() < 0.5:
            made += p.items(p.rng.randint(2, 4), numbered="a)")
    return made


def _recipe(p: Prose) -> list[Block]:
    rng = p.rng
    dish = rng.choice(("cake", "soup", "pie"))
    made: list[Block] = [
        _titled(f"{p.say.word().capitalize()} {dish}"),
        p.picture(),
        p.paragraph(1, 2),
    ]
    made.append(_head("Ingredients"))
    for food in rng.sample(_FOODS, rng.randint(4, 8)):
        text = f"{rng.randint(1, 60) * 10} {rng.choice(_UNITS)} {food}"
        made.append(TextBlock(kind="list_item", runs=(Run(text),), marker="-"))
    made += [_head("Method"), *p.items(rng.randint(3, 6), numbered="1.")]
    if rng.random() < 0.5:
        made += [_head("Notes"), p.paragraph(1, 3)]
    return made


_MAKERS: dict[str, Callable[[Prose], list[Block]]] = {
    "blog": _blog,
    "docs": _docs,
    "encyclopaedia": _encyclopaedia,
    "faq": _faq,
    "forum": _forum,
    "legal": _legal,
    "news": _news,
    "product": _product,
    "recipe": _recipe,
}
KINDS = tuple(_MAKERS)


def article(rng: random.Random, kind: str) -> Article:
    """A random article of a kind."""
    prose = Prose(rng, kind)
    return _framed(prose, kind, tuple(_MAKERS[kind](prose)), "en")


def from_text(rng: random.Random, kind: str, blocks: list[Block], lang: str) -> Article:
    """A given text in the frame of a page."""
    return _framed(Prose(rng, kind), kind, tuple(blocks), lang)


def _framed(prose: Prose, kind: str, blocks: tuple[Block, ...], lang: str) -> Article:
    rng = prose.rng
    links = tuple(rng.sample(("Home", "News", "Contact", "About", "Archive", "Shop", "Help"),
                             rng.randint(2, 4)))  # fmt: skip
    footer = f"Page {rng.randint(1, 999)}, last changed {prose.say.date()}"
    return Article(kind=kind, site=f"The {prose.say.title(1, 2)}", links=links, footer=footer,
                   blocks=blocks, lang=lang)  # fmt: skip
