"""Solution graphs of word problems: exact values, and the sentences that explain them.

A step combines two earlier values by one operation. Every value is a fraction, never a float.
Must not know any story.

Source: data synthesis specification, section 13.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from nanovl.synth.asking import sentence
from nanovl.synth.text.wording import decimal_text, pick

__all__ = ["OPERATIONS", "PHRASES", "Graph", "Node", "combine", "is_fit", "show"]

OPERATIONS = ("+", "-", "*", "/", "%")  # "p % x" is p percent of x

# Units of things that come in pieces; everything else may have two digits after the point.
_CONTINUOUS = frozenset(("$", "km", "m", "cm", "kg", "g", "litres", "hours", "km/h", "points", "%"))

PHRASES: dict[str, tuple[str, ...]] = {
    "+": (
        "{What} is {x} + {y} = {r}.",
        "Adding the two gives {what}: {x} + {y} = {r}.",
        "For {what}, add {y} to {x}: {r}.",
        "Together, {x} + {y} = {r}, which is {what}.",
        "I need {what}, so I add: {x} + {y} = {r}.",
        "{x} plus {y} makes {r}; that is {what}.",
    ),
    "-": (
        "{What} is {x} - {y} = {r}.",
        "Taking {y} from {x} leaves {what}: {r}.",
        "For {what}, subtract: {x} - {y} = {r}.",
        "{x} minus {y} is {r}, so that is {what}.",
        "Next comes {what}. The difference {x} - {y} is {r}.",
        "I remove {y} from {x} and get {r} for {what}.",
    ),
    "*": (
        "{What} is {x} * {y} = {r}.",
        "Multiplying gives {what}: {x} * {y} = {r}.",
        "For {what}, take {x} times {y}, which is {r}.",
        "{x} times {y} equals {r}; this is {what}.",
        "To find {what} I multiply {x} by {y}: {r}.",
        "So {what} comes to {x} * {y} = {r}.",
    ),
    "/": (
        "{What} is {x} / {y} = {r}.",
        "Dividing gives {what}: {x} / {y} = {r}.",
        "For {what}, divide {x} by {y}: {r}.",
        "{x} shared into {y} equal parts is {r}, so that is {what}.",
        "Since {y} * {n} = {x}, {what} is {r}.",
        "I split {x} by {y} and get {r}; this is {what}.",
    ),
    "%": (
        "{What} is {x}% of {y}, that is {r}.",
        "{x}% of {y} is {r}, which is {what}.",
        "For {what}, take {x} hundredths of {y}: {r}.",
        "{y} * {x} / 100 = {r}, so that is {what}.",
        "To find {what}, multiply {y} by {x}/100: {r}.",
        "Taking {x} percent of {y} gives {r} for {what}.",
    ),
}
_CHECKS = {
    "+": ("Check: {r} - {y} = {x}, as it should be.", "Going back, {r} - {y} = {x}, so it fits."),
    "-": ("Check: {r} + {y} = {x}, as it should be.", "Going back, {r} + {y} = {x}, so it fits."),
    "*": ("Check: {r} / {y} = {x}, as it should be.", "Going back, {r} / {y} = {x}, so it fits."),
    "/": ("Check: {r} * {y} = {x}, as it should be.", "Going back, {r} * {y} = {x}, so it fits."),
    "%": ("Check: {r} * 100 / {x} = {y}, as it should be.", "Going back, {r} / {y} is {x}%."),
}
_SLIPS = {"+": "-", "-": "+", "*": "+", "/": "-", "%": "-"}
_CORRECTIONS = (
    "My first thought is {wrong}, but that does not match the story.",
    "One could try {wrong}; the text asks for something else, though.",
    "Not {wrong}: that would answer another question.",
)
_SYMBOLS = {"+": "+", "-": "-", "*": "\\cdot", "/": "/"}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One value.

    Attributes:
        id: "a" for a given quantity, "s1" and so on for results.
        value: Exact.
        unit: "$", "km", a plural noun, "/" for a fraction, or "".
        op: One of `OPERATIONS`, "" for what the story gives.
        inputs: Ids of the two operands.
        what: Noun phrase that says what it is.
    """

    id: str
    value: Fraction
    unit: str = ""
    op: str = ""
    inputs: tuple[str, ...] = ()
    what: str = ""


def combine(op: str, x: Fraction, y: Fraction) -> Fraction:
    """The result of one operation.

    Raises:
        ZeroDivisionError: A division by zero.
    """
    if op == "+":
        return x + y
    if op == "-":
        return x - y
    if op == "*":
        return x * y
    if op == "/":
        return x / y
    return x * y / 100


def is_fit(value: Fraction, unit: str) -> bool:
    """Whether a story may hold this value: positive, not huge, whole for things in pieces."""
    if not 0 < value <= 5_000_000:
        return False
    if unit in _CONTINUOUS or not unit:
        return (value * 100).denominator == 1
    return value.denominator == 1


def show(value: Fraction, unit: str = "", *, with_unit: bool = False) -> str:
    """A value as the story and the solution write it; money always with its sign.

    The unit "/" keeps a fraction a fraction: "2/5".
    """
    if unit == "/":
        return str(value)
    text = decimal_text(value)
    if unit == "$":
        if "." in text:
            whole, part = text.split(".")
            text = f"{whole}.{part.ljust(2, '0')}"
        return f"${text}"
    return f"{text} {unit}".strip() if with_unit else text


@dataclass
class Graph:
    """The values of a problem in the order they are found."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def give(self, name: str, value: Fraction, unit: str = "") -> None:
        """Add a quantity the story states."""
        self.nodes[name] = Node(id=name, value=value, unit=unit)

    def apply(self, name: str, op: str, x: str, y: str, *, what: str, unit: str) -> Node:
        """Add the result of an operation on two nodes."""
        value = combine(op, self.nodes[x].value, self.nodes[y].value)
        node = Node(id=name, value=value, unit=unit, op=op, inputs=(x, y), what=what)
        self.nodes[name] = node
        return node

    @property
    def steps(self) -> list[Node]:
        """The nodes that are results."""
        return [n for n in self.nodes.values() if n.op]

    def again(self) -> dict[str, Fraction]:
        """All values computed afresh from the given ones."""
        values: dict[str, Fraction] = {}
        for node in self.nodes.values():
            if node.op:
                x, y = (values[i] for i in node.inputs)
                values[node.id] = combine(node.op, x, y)
            else:
                values[node.id] = node.value
        return values

    def expression(self, name: str) -> str:
        """The formula of a node over the given quantities, in LaTeX."""
        node = self.nodes[name]
        if not node.op:
            return decimal_text(node.value)
        x, y = (self.expression(i) for i in node.inputs)
        x, y = (t if t.replace(".", "").isdigit() else f"({t})" for t in (x, y))
        if node.op == "%":
            return f"\\frac{{{x}}}{{100}} \\cdot {y}"
        return f"{x} {_SYMBOLS[node.op]} {y}"

    def as_json(self) -> list[dict[str, Any]]:
        """The nodes for the ground truth."""
        return [
            {
                "id": n.id,
                "op": n.op,
                "inputs": list(n.inputs),
                "value": str(n.value),
                "unit": n.unit,
            }
            for n in self.nodes.values()
        ]

    def trace(self, rng: random.Random, *, check: float, slip: float) -> str:
        """One sentence a step.

        Args:
            rng: Where the wording comes from.
            check: Probability of a line that checks the last step backwards.
            slip: Probability of a wrong attempt that is put right.
        """
        steps = self.steps
        wrong_at = rng.randrange(len(steps)) if rng.random() < slip else -1
        lines = []
        for index, node in enumerate(steps):
            first, second = (self.nodes[i] for i in node.inputs)
            slots = {
                "what": node.what,
                "What": sentence(node.what),
                "x": show(first.value, first.unit if node.op != "%" else ""),
                "y": show(second.value, second.unit),
                "r": show(node.value, node.unit, with_unit=True),
                "n": show(node.value, node.unit),
            }
            if index == wrong_at:
                slots_wrong = f"{slots['x']} {_SLIPS[node.op]} {slots['y']}"
                lines.append(pick(rng, _CORRECTIONS).format(wrong=slots_wrong))
            lines.append(pick(rng, PHRASES[node.op]).format(**slots))
            if index == len(steps) - 1 and rng.random() < check:
                slots["r"] = show(node.value, node.unit)
                lines.append(pick(rng, _CHECKS[node.op]).format(**slots))
        return "\n".join(lines)
