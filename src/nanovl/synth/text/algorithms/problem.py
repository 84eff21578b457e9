"""How a small problem is described: a function, its statement and where its arguments come from.

Domains, one per parameter, separated by spaces:

    n=1..50              a whole number
    a=3..8*-9..20        a list of 3 to 8 numbers; "*-9..20s" sorted, "*1..30d" all different
    s=str3..10:abc       a string over an alphabet
    t=text3..6           lower-case words with single spaces
    w=words3..6          a list of words
    g=grid2..4*0..9      rows of equal length
    e=pairs3..7*0..5     a list of pairs [u, v]

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

import ast
import inspect
import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nanovl.synth.text.wording import words

__all__ = ["PROBLEMS", "CodeProblem", "draw_arguments", "problem"]

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = words(
    "river stone cloud maple tiger ocean lemon candle forest silver garden window bridge meadow "
    "planet rocket violin basket pepper island copper falcon ribbon thunder valley marble shadow"
)


@dataclass(frozen=True, kw_only=True)
class CodeProblem:
    """One problem.

    Attributes:
        name: Of the function.
        statement: What it returns, in words.
        parameters: Names with their kinds: "int", "ints", "str", "words", "grid", "pairs".
        result: Annotation of the return value.
        domains: As in the module docstring, by parameter.
        cost: Growth of the running time, "" when it is not asked for.
        source: The reference solution without docstring.
    """

    name: str
    statement: str
    parameters: tuple[tuple[str, str], ...]
    result: str
    domains: dict[str, str]
    cost: str
    source: str


PROBLEMS: dict[str, CodeProblem] = {}


def problem(domains: str, cost: str = "") -> Callable[[F], F]:
    """Register a function as a problem.

    Args:
        domains: Of its parameters, see the module docstring.
        cost: "O(n)" and the like, for questions about running time.
    """

    def register(function: F) -> F:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source).body[0]
        assert isinstance(tree, ast.FunctionDef)
        lines = source.split("\n")
        docstring = tree.body[0]
        body = lines[docstring.end_lineno : tree.end_lineno]
        kept = [*lines[tree.lineno - 1 : docstring.lineno - 1], *body]
        found = dict(part.split("=", 1) for part in domains.split())
        statement = " ".join((function.__doc__ or "").split())
        PROBLEMS[function.__name__] = CodeProblem(
            name=function.__name__,
            statement=statement,
            parameters=tuple((name, _kind(domain)) for name, domain in found.items()),
            result=ast.unparse(tree.returns) if tree.returns else "",
            domains=found,
            cost=cost,
            source="\n".join(line.split("  # ")[0] for line in kept).strip("\n"),
        )
        return function

    return register


def _kind(domain: str) -> str:
    for kind in ("str", "text", "words", "grid", "pairs"):
        if domain.startswith(kind):
            return "str" if kind == "text" else kind
    return "ints" if "*" in domain else "int"


def _bounds(text: str) -> tuple[int, int]:
    low, high = text.split("..")
    return int(low), int(high)


def draw_arguments(made: CodeProblem, rng: random.Random) -> tuple[Any, ...]:
    """Arguments from the domains of a problem."""
    return tuple(_draw(made.domains[name], rng) for name, _ in made.parameters)


def _draw(domain: str, rng: random.Random) -> Any:
    if domain.startswith("str"):
        size, _, alphabet = domain[3:].partition(":")
        letters = alphabet or "abcdefghij"
        return "".join(rng.choice(letters) for _ in range(rng.randint(*_bounds(size))))
    if domain.startswith("text"):
        return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(*_bounds(domain[4:]))))
    if domain.startswith("words"):
        return [rng.choice(_WORDS) for _ in range(rng.randint(*_bounds(domain[5:])))]
    if domain.startswith("grid"):
        size, values = domain[4:].split("*")
        rows, columns = (rng.randint(*_bounds(size)) for _ in range(2))
        low, high = _bounds(values)
        return [[rng.randint(low, high) for _ in range(columns)] for _ in range(rows)]
    if domain.startswith("pairs"):
        size, values = domain[5:].split("*")
        low, high = _bounds(values)
        return [
            [rng.randint(low, high), rng.randint(low, high)]
            for _ in range(rng.randint(*_bounds(size)))
        ]
    if "*" not in domain:
        return rng.randint(*_bounds(domain))
    size, values = domain.split("*")
    is_sorted, distinct = values.endswith("s"), values.endswith("d")
    low, high = _bounds(values.rstrip("sd"))
    count = rng.randint(*_bounds(size))
    if distinct:
        return rng.sample(range(low, high + 1), count)
    found = [rng.randint(low, high) for _ in range(count)]
    return sorted(found) if is_sorted else found
