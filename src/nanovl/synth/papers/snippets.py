"""Short programs and pseudo code for listings.

Must not be run: what they print is code, not an answer.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

import random

__all__ = ["algorithm", "program"]

_NAMES = ("mean", "level", "total", "drift", "scale", "rate", "gap", "count", "best", "weight")
_ITEMS = ("readings", "levels", "parcels", "samples", "stations", "days", "lines", "bells")


def program(rng: random.Random) -> tuple[str, ...]:
    """Lines of a small program in one of three languages; ASCII, indented by blanks."""
    name, other = rng.sample(_NAMES, 2)
    items, limit = rng.choice(_ITEMS), rng.randint(2, 99)
    kind = rng.randrange(5)
    if kind == 0:
        return (f"def {name}({items}):", "    total = 0", f"    for item in {items}:",
                f"        if item > {limit}:", f"            total += item * {rng.randint(2, 9)}",
                f"    return total / len({items})")  # fmt: skip
    if kind == 1:
        return (f"int {name}(int n) {{", f"  int {other} = {limit};", "  while (n > 0) {",
                f"    {other} = {other} + n % 10;", "    n = n / 10;", "  }",
                f"  return {other};", "}")  # fmt: skip
    if kind == 2:
        return (f"sort {items}.txt | uniq -c | head -n {limit}",
                f"grep -v '#' {items}.txt > {name}.txt")  # fmt: skip
    if kind == 3:
        return (f"class {name.capitalize()}:", "    def __init__(self, size):",
                "        self.size = size", "", f"    def {other}(self):",
                f"        return self.size ** 2 - {limit}")  # fmt: skip
    return (f"SELECT {name}, COUNT(*)", f"FROM {items}", f"WHERE {other} >= {limit}",
            f"GROUP BY {name};")  # fmt: skip


def algorithm(rng: random.Random) -> tuple[tuple[int, str, str], ...]:
    """Lines of pseudo code as (depth, keyword, words); keywords open and close blocks."""
    a, b = rng.sample("abkmnpqrstuvxyz", 2)
    limit = rng.randint(2, 40)
    bodies = (
        (
            (0, "State", f"set {a} to 0"), (0, "For", f"every reading {b}"),
            (1, "If", f"{b} is larger than {limit}"), (2, "State", f"add {b} to {a}"),
            (1, "EndIf", ""), (0, "EndFor", ""), (0, "State", f"return {a}"),
        ),
        (
            (0, "State", f"choose a first value {a}"), (0, "While", f"{a} is below {limit}"),
            (1, "State", f"replace {a} by its double"), (1, "State", f"note {a} in the list {b}"),
            (0, "EndWhile", ""), (0, "State", f"return the list {b}"),
        ),
        (
            (0, "State", f"sort the parcels by their weight {a}"),
            (0, "If", f"the heaviest weighs more than {limit}"),
            (1, "State", "send it back"), (0, "EndIf", ""),
            (0, "State", f"put the others on the shelf {b}"),
        ),
    )  # fmt: skip
    return rng.choice(bodies)
