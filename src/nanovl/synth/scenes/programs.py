"""Programs over a scene: what a question computes, executed step by step and told in words.

A step names earlier steps as its inputs. Must not know wordings of questions.

Source: data synthesis specification, section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.synth.asking import join_words, plural
from nanovl.synth.scenes.scene import ATTRIBUTES, Item, Scene

__all__ = ["Run", "Step", "describe", "letter", "narrate", "run", "to_json"]

Value = tuple[int, ...] | int | str | bool
SIDE_WORDS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        op: "scene", "filter", "unique", "relate", "same", "union", "intersect", "exclude",
            "count", "exist", "query", "equal", "less", "greater" or "nearest".
        args: Its constants.
        inputs: Numbers of the steps it works on.
    """

    op: str
    args: tuple[str, ...] = ()
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Run:
    """Values of all steps of a program; None marks a program without meaning on its scene."""

    values: tuple[Value, ...]

    @property
    def answer(self) -> Value:
        """Value of the last step."""
        return self.values[-1]


def to_json(program: Sequence[Step]) -> list[dict[str, Any]]:
    """A program as ground truth keeps it."""
    return [{"op": s.op, "args": list(s.args), "inputs": list(s.inputs)} for s in program]


def letter(number: int) -> str:
    """Name of an object in a trace: A, B, ..."""
    return chr(ord("A") + number)


def describe(item: Item, attributes: Sequence[str] = ATTRIBUTES) -> str:
    """`large striped red star`; letters and digits as `letter R`, `digit 7`."""
    words = []
    for name in ATTRIBUTES:
        if name in attributes and not (name == "fill" and len(item.shape) == 1):
            words.append(shape_word(item.shape) if name == "shape" else item.get(name))
    if "shape" not in attributes:
        words.append("object")
    return " ".join(words)


def shape_word(shape: str) -> str:
    """The noun of a shape."""
    if len(shape) > 1:
        return shape
    return f"digit {shape}" if shape.isdigit() else f"letter {shape}"


def run(scene: Scene, program: Sequence[Step]) -> Run | None:
    """Execute a program; None when a `unique` does not find exactly one object."""
    values: list[Value] = []
    for step in program:
        value = _execute(scene, step, [values[k] for k in step.inputs])
        if value is None:
            return None
        values.append(value)
    return Run(tuple(values))


def _execute(scene: Scene, step: Step, given: Sequence[Any]) -> Value | None:
    op, args, items = step.op, step.args, scene.items
    if op == "scene":
        return tuple(i.id for i in items)
    if op == "filter":
        return tuple(k for k in given[0] if items[k].get(args[0]) == args[1])
    if op == "unique":
        alone: tuple[int, ...] = given[0]
        return alone if len(alone) == 1 else None
    if op == "relate":
        return scene.related(items[given[0][0]], args[0])
    if op == "same":
        mine = items[given[0][0]]
        return tuple(i.id for i in items if i.id != mine.id and i.get(args[0]) == mine.get(args[0]))
    if op == "union":
        return tuple(sorted({*given[0], *given[1]}))
    if op == "intersect":
        return tuple(sorted({*given[0]} & {*given[1]}))
    if op == "exclude":
        return tuple(sorted({*given[0]} - {*given[1]}))
    if op == "count":
        return len(given[0])
    if op == "exist":
        return bool(given[0])
    if op == "query":
        return str(items[given[0][0]].get(args[0]))
    if op == "equal":
        return bool(given[0] == given[1])
    if op == "less":
        return bool(given[0] < given[1])
    if op == "greater":
        return bool(given[0] > given[1])
    if op == "nearest":
        return nearest(scene, given[0][0])
    raise ConfigError(f"operation {op!r} does not exist")


def nearest(scene: Scene, number: int) -> tuple[int, ...] | None:
    """The object whose centre is closest to that of another, if it is so by a tenth."""
    mine = scene.items[number]
    ranked = sorted(
        (((o.x - mine.x) ** 2 + (o.y - mine.y) ** 2) ** 0.5, o.id)
        for o in scene.items
        if o.id != number
    )
    if not ranked or (len(ranked) > 1 and ranked[1][0] < 1.1 * ranked[0][0] + 4):
        return None
    return (ranked[0][1],)


def narrate(scene: Scene, program: Sequence[Step], done: Run) -> str:
    """A program told step by step, objects named by letters from left to right."""
    lines = []
    labels = [f"{letter(i.id)} {describe(i)}" for i in scene.items]
    lines.append(f"From left to right I see {join_words(labels)}.")
    for number, step in enumerate(program):
        text = _told(scene, program, done, number, step)
        if text:
            lines.append(text)
    return "\n".join(lines)


def _names(ids: Any) -> str:
    return join_words([letter(k) for k in ids]) if ids else "none"


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _told(scene: Scene, program: Sequence[Step], done: Run, number: int, step: Step) -> str | None:
    value: Any = done.values[number]
    given: list[Any] = [done.values[k] for k in step.inputs]
    op = step.op
    if op in ("scene", "unique"):
        return None
    if op == "filter":
        word = shape_word(step.args[1]) if step.args[0] == "shape" else step.args[1]
        scope = "all" if program[step.inputs[0]].op == "scene" else _names(given[0])
        return f"Of {scope}, {step.args[0]} is {word}: {_names(value)}."
    if op == "relate":
        return f"{_cap(SIDE_WORDS[step.args[0]])} {_names(given[0])}: {_names(value)}."
    if op == "same":
        shared = scene.items[given[0][0]].get(step.args[0])
        return f"{_names(given[0])} has {step.args[0]} {shared}; so have: {_names(value)}."
    if op == "union":
        return f"Either of the two: {_names(value)}."
    if op == "intersect":
        return f"In both: {_names(value)}."
    if op == "exclude":
        return f"What is left: {_names(value)}."
    if op == "count":
        return f"That makes {plural(value, 'object')}."
    if op == "exist":
        return f"So there is {'at least one' if value else 'none'}: {_yes(value)}."
    if op == "query":
        return f"The {step.args[0]} of {_names(given[0])} is {_shown(value)}."
    if op == "nearest":
        return f"Closest to {_names(given[0])} is {_names(value)}."
    sign = {"equal": "the same as", "less": "less than", "greater": "more than"}[op]
    return f"Is {_shown(given[0])} {sign} {_shown(given[1])}? {_cap(_yes(value))}."


def _shown(value: Any) -> str:
    return shape_word(value) if isinstance(value, str) and len(value) == 1 else str(value)


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]
