"""Small mistakes put into a program: one changed line, of a known kind.

Works on the text of a line, so that everything else stays as it was written. Must not judge whether
the change matters: `code` runs both versions.

Source: data synthesis specification, section 14 (mutations).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

__all__ = ["KINDS", "Mutation", "mutate", "mutations", "some_mutations"]

# kind, what is looked for, what it becomes
_RULES: tuple[tuple[str, str, str], ...] = (
    ("off_by_one", r"range\(1, ", "range("),
    ("off_by_one", r"\+ 1\)", ")"),
    ("off_by_one", r"- 1\)", ")"),
    ("off_by_one", r" < ", " <= "),
    ("off_by_one", r" <= ", " < "),
    ("off_by_one", r" > ", " >= "),
    ("off_by_one", r" >= ", " > "),
    ("wrong_operator", r" \+ ", " - "),
    ("wrong_operator", r" - ", " + "),
    ("wrong_operator", r" \+= ", " -= "),
    ("wrong_operator", r" -= ", " += "),
    ("wrong_operator", r" \* ", " + "),
    ("wrong_operator", r" == ", " != "),
    ("wrong_operator", r" != ", " == "),
    ("wrong_operator", r" // ", " % "),
    ("wrong_operator", r" % ", " // "),
    ("wrong_operator", r" and ", " or "),
    ("wrong_operator", r"\bmin\(", "max("),
    ("wrong_operator", r"\bmax\(", "min("),
    ("swapped_arguments", r"\((\w+), (\w+)\)", r"(\2, \1)"),
    ("swapped_arguments", r"^(\s+)(\w+), (\w+) = ", r"\1\3, \2 = "),
    ("wrong_start", r" = 0$", " = 1"),
    ("wrong_start", r" = 1$", " = 0"),
    ("wrong_start", r'(\w) = ""$', r'\1 = " "'),
    ("wrong_start", r"\[0\]", "[1]"),
    ("wrong_result", r"return True$", "return False"),
    ("wrong_result", r"return False$", "return True"),
    ("wrong_result", r"return -1$", "return 0"),
)

KINDS: dict[str, str] = {
    "off_by_one": "a bound is off by one",
    "wrong_operator": "an operator or function is the wrong one",
    "swapped_arguments": "two values are swapped",
    "wrong_start": "a start value or index is wrong",
    "wrong_result": "a wrong constant is returned",
}


@dataclass(frozen=True)
class Mutation:
    """One changed line.

    Attributes:
        kind: A key of `KINDS`.
        line: Its number, the first line is 1.
        original, changed: The line before and after.
    """

    kind: str
    line: int
    original: str
    changed: str


def mutations(source: str) -> list[Mutation]:
    """All single mistakes the rules can put into a program, `def` lines left alone."""
    found = []
    for number, line in enumerate(source.split("\n"), 1):
        if line.startswith(("def ", "print(")):
            continue
        for kind, pattern, becomes in _RULES:
            changed = re.sub(pattern, becomes, line, count=1)
            if changed != line:
                found.append(Mutation(kind, number, line, changed))
    return found


def mutate(source: str, mutation: Mutation) -> str:
    """The program with a mistake in it."""
    lines = source.split("\n")
    lines[mutation.line - 1] = mutation.changed
    return "\n".join(lines)


def some_mutations(source: str, rng: random.Random, count: int) -> list[Mutation]:
    """Up to `count` mistakes in random order."""
    found = mutations(source)
    return rng.sample(found, min(count, len(found)))
