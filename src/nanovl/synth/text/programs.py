"""Random small programs from a typed grammar: loops have bounds, values stay small, no input.

A program is a list of lines that define a few numbers, a list and a text, change them in loops and
conditions, and print one or two of them. Must not run anything: `code` does.

Source: data synthesis specification, section 14 (typed grammar).
"""

from __future__ import annotations

import random

__all__ = ["MAX_DEPTH", "random_program"]

MAX_DEPTH = 2  # loops and conditions in each other

_NAMES = ("a", "b", "c", "d", "x", "y", "n", "k", "total", "count")
_LISTS = ("items", "values", "nums", "row")
_TEXTS = ("s", "text", "word")
_WORDS = ("cat", "tree", "moon", "abc", "stone", "hello", "data", "grid")


class _Writer:
    """The program while it is written, and what is defined in it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.numbers: list[str] = []
        self.lists: list[str] = []
        self.texts: list[str] = []
        self.loops = 0

    def put(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def define(self) -> None:
        rng = self.rng
        for name in rng.sample(_NAMES, rng.randint(2, 3)):
            self.put(0, f"{name} = {rng.randint(0, 12)}")
            self.numbers.append(name)
        if rng.random() < 0.6:
            name = rng.choice(_LISTS)
            values = [rng.randint(0, 9) for _ in range(rng.randint(2, 5))]
            self.put(0, f"{name} = {values}")
            self.lists.append(name)
        if rng.random() < 0.35:
            name = rng.choice(_TEXTS)
            self.put(0, f"{name} = {rng.choice(_WORDS)!r}")
            self.texts.append(name)

    def number(self, extra: tuple[str, ...] = ()) -> str:
        """An expression with a number as value."""
        rng = self.rng
        pool = [*self.numbers, *extra]
        kind = rng.random()
        if kind < 0.35:
            return rng.choice(pool)
        if kind < 0.55:
            return str(rng.randint(1, 9))
        if kind < 0.65 and self.lists:
            return f"len({rng.choice(self.lists)})"
        left, right = rng.choice(pool), rng.choice([*pool, str(rng.randint(1, 6))])
        if kind < 0.8:
            return f"{left} {rng.choice('+-')} {right}"
        if kind < 0.9:
            return f"{left} * {rng.randint(2, 4)}"
        return f"{left} {rng.choice(('%', '//'))} {rng.randint(2, 5)}"

    def condition(self, extra: tuple[str, ...] = ()) -> str:
        rng = self.rng
        left = rng.choice([*self.numbers, *extra])
        if rng.random() < 0.4:
            k = rng.randint(2, 4)
            return f"{left} % {k} == {rng.randrange(k)}"
        return f"{left} {rng.choice(('<', '>', '<=', '>=', '!='))} {rng.randint(1, 12)}"

    def change(self, depth: int, extra: tuple[str, ...] = ()) -> None:
        rng = self.rng
        kind = rng.random()
        if kind < 0.2 and self.lists:
            self.put(depth, f"{rng.choice(self.lists)}.append({self.number(extra)})")
        elif kind < 0.3 and self.texts:
            name = rng.choice(self.texts)
            forms = (f"{name} = {name} + {rng.choice('xyz')!r}", f"{name} = {name}[::-1]")
            self.put(depth, rng.choice((*forms, f"{name} = {name}[1:] + {name}[:1]")))
        elif kind < 0.7:
            name = rng.choice(self.numbers)
            self.put(depth, f"{name} {rng.choice(('+=', '-=', '+='))} {self.number(extra)}")
        else:
            self.put(depth, f"{rng.choice(self.numbers)} = {self.number(extra)}")

    def block(self, depth: int, extra: tuple[str, ...]) -> None:
        for _ in range(self.rng.randint(1, 2)):
            if depth < MAX_DEPTH and self.rng.random() < 0.4:
                self.branch(depth, extra)
            else:
                self.change(depth, extra)

    def branch(self, depth: int, extra: tuple[str, ...]) -> None:
        self.put(depth, f"if {self.condition(extra)}:")
        self.block(depth + 1, extra)
        if self.rng.random() < 0.5:
            self.put(depth, "else:")
            self.change(depth + 1, extra)

    def loop(self, depth: int) -> None:
        rng = self.rng
        self.loops += 1
        counter = ("i", "j", "step")[min(self.loops - 1, 2)]
        kind = rng.random()
        if kind < 0.5 or not self.lists:
            low = rng.choice((0, 0, 1, 2))
            bound = f"{low}, {low + rng.randint(2, 6)}" if low else str(rng.randint(2, 6))
            self.put(depth, f"for {counter} in range({bound}):")
            self.block(depth + 1, (counter,))
        elif kind < 0.75:
            # A copy: the body may append to the list it goes over.
            self.put(depth, f"for {counter} in list({rng.choice(self.lists)}):")
            self.block(depth + 1, (counter,))
        else:
            self.put(depth, f"{counter} = {rng.randint(2, 5)}")
            self.put(depth, f"while {counter} > 0:")
            self.block(depth + 1, (counter,))
            self.put(depth + 1, f"{counter} -= 1")

    def finish(self) -> None:
        names = [*self.numbers, *self.lists, *self.texts]
        shown = self.rng.sample(names, min(len(names), self.rng.randint(1, 2)))
        self.put(0, f"print({', '.join(shown)})")


def random_program(rng: random.Random) -> str:
    """A program of about 6 to 18 lines that prints something and ends.

    Args:
        rng: Where it comes from.
    """
    writer = _Writer(rng)
    writer.define()
    for _ in range(rng.randint(1, 2)):
        writer.loop(0)
    if rng.random() < 0.5:
        writer.branch(0, ())
    writer.finish()
    return "\n".join(writer.lines)
