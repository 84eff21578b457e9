"""The generator `scenes-geometry`: a figure, its problem, and questions on what is drawn.

Source: data synthesis specification, section 13 (geometry figures). The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.asking import Bank, multiple_choice, noted, number_text, point_answer, worded
from nanovl.synth.base import Answer, Requirement, Sample, Streams, Task
from nanovl.synth.scenes.figures import Drawn, draw
from nanovl.synth.scenes.geometry import PROBLEMS, Problem
from nanovl.synth.scenes.paint import encoded

__all__ = ["GeometryConfig", "GeometryGenerator", "create"]

BANK: Bank = {
    "angle": (
        "what is the size of angle {name} in degrees?",
        "find angle {name}.",
        "how many degrees has angle {name}?",
        "determine the measure of angle {name}.",
        "compute angle {name} in degrees.",
        "calculate the angle {name}.",
        "work out angle {name} (in degrees).",
        "give the measure of angle {name} in degrees.",
    ),
    "angle-mark": (
        "what is the size of the angle marked with a question mark, in degrees?",
        "find the marked angle.",
        "how many degrees has the angle marked '?'?",
        "determine the unknown angle in degrees.",
    ),
    "length": (
        "how long is {name} in {unit}?",
        "find the length of {name}.",
        "determine {name} in {unit}.",
        "what is the length of {name} ({unit})?",
        "compute the length of {name}.",
        "calculate {name}, in {unit}.",
        "work out how long {name} is ({unit}).",
        "give the length of {name} in {unit}.",
    ),
    "area": (
        "what is the area of the {name} in {unit}?",
        "find the area of the {name}.",
        "compute the area of the {name} ({unit}).",
        "determine the area of the {name} in {unit}.",
        "calculate how large the area of the {name} is, in {unit}.",
        "work out the area of the {name}.",
        "how many {unit} does the {name} cover?",
        "give the area of the {name} in {unit}.",
    ),
    "perimeter": (
        "what is the perimeter of the {name} in {unit}?",
        "find the perimeter of the {name}.",
        "how long is the way around the {name}, in {unit}?",
        "compute the perimeter of the {name} ({unit}).",
        "determine the perimeter of the {name}.",
        "calculate the length around the {name} in {unit}.",
        "work out the perimeter of the {name}.",
        "give the perimeter of the {name} in {unit}.",
    ),
    "circumference": (
        "what is the circumference of the {name} in {unit}?",
        "find the circumference of the {name}.",
        "compute the length around the {name} ({unit}).",
        "determine the circumference of the {name} in {unit}.",
    ),
    "vertex": (
        "point at {name}. Answer as (x,y) with values from 0 to 1000.",
        "where is point {name}? Give (x,y), each from 0 to 1000.",
        "give the place of point {name} as (x,y) in thousandths of the picture.",
        "locate the point {name}: (x,y) in the range 0 to 1000.",
    ),
    "given": (
        "which lengths and angles are written in the figure? Separate by commas.",
        "list the values written in the figure, comma separated.",
        "what numbers with their units are given in the figure? Use commas.",
        "read off all given lengths and angles, with commas in between.",
    ),
    "points": (
        "which letters name points in the figure? In alphabetical order, comma separated.",
        "list the names of all labelled points alphabetically with commas.",
        "what are the labelled points? Alphabetical, comma separated.",
        "name all points that carry a letter, in alphabetical order with commas.",
    ),
}
GOAL_NOTES = ("", "", " Explain briefly if needed, then give the value.", " Give the value.")


@dataclass(frozen=True, kw_only=True)
class GeometryConfig:
    """Settings of `scenes-geometry`.

    Attributes:
        kinds: Which problems; empty for all.
        size: Least and greatest length of the longer side of a picture, in pixels.
        image: "jpg" or "png".
    """

    kinds: tuple[str, ...] = ()
    size: tuple[int, int] = (360, 520)
    image: str = "jpg"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(PROBLEMS))
        if unknown:
            raise ConfigError(f"kinds: {unknown[0]!r} does not exist, known: {sorted(PROBLEMS)}")
        if not 256 <= self.size[0] <= self.size[1] <= 2048:
            raise ConfigError(f"size: got {self.size}, expected 256 <= least <= greatest <= 2048")
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")


class GeometryGenerator:
    """Makes `scenes-geometry` samples."""

    name = "scenes-geometry"
    version = "1"
    requires: tuple[Requirement, ...] = ()

    def __init__(self, config: GeometryConfig) -> None:
        self.config = config

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: A label found no room.
        """
        rng, qa, style = streams.rng("content"), streams.rng("qa"), streams.rng("style")
        kind = rng.choice(sorted(self.config.kinds or PROBLEMS))
        problem = PROBLEMS[kind](rng)
        drawn = draw(problem.figure, style, style.randint(*self.config.size))
        tasks = [_solve(problem, qa), *_reading(problem, drawn, qa)]
        figure = problem.figure
        gt = {
            "kind": kind,
            "points": {n: list(p) for n, p in figure.points.items()},
            "places": {n: list(p) for n, p in drawn.places.items()},
            "segments": [list(s) for s in [*figure.segments, *figure.dashed]],
            "circles": [list(c) for c in figure.circles],
            "labels": list(drawn.labels),
            "goal": problem.goal,
            "sought": problem.name,
            "value": problem.value,
            "measured": problem.measured,
            "unit": problem.unit,
            "facts": problem.facts,
            "steps": list(problem.steps),
        }
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=gt,
            tasks=tuple(tasks),
            media=(encoded(drawn.image, "image", self.config.image),),
            tags=(f"geometry:{kind}", f"difficulty:{min(4, 1 + len(problem.steps))}"),
        )


def _solve(problem: Problem, rng: random.Random) -> Task:
    kind = "angle-mark" if problem.name == "?" else problem.goal
    slots = {} if kind == "angle-mark" else {"name": problem.name}
    if problem.goal != "angle":
        slots["unit"] = problem.unit
    question, template = worded(BANK, kind, rng, **slots)
    question = f"{problem.facts} {question}".strip()
    text = number_text(problem.value, problem.decimals)
    answer = Answer(type="number", value=float(text), unit=problem.unit, tolerance=0.005)
    verifier = "number"
    if rng.random() < 0.15:
        wrong = _distractors(problem)
        found = multiple_choice(question, text, wrong, rng)
        if found is not None:
            question, answer = found
            text, verifier = str(answer.value), "mcq"
    elif rng.random() < 0.6:
        question = noted(question, "number", rng)
    else:
        question += rng.choice(GOAL_NOTES)
    trace = " ".join(problem.steps)
    if verifier == "mcq":
        trace += f" That is option {text}."
    return Task(
        task=f"geometry_{problem.goal}",
        question=question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=("image",),
        template=f"geometry/{template}",
    )


def _distractors(problem: Problem) -> list[str]:
    value = problem.value
    pool = [value * 2, value / 2, value + 10, value - 10, value * 1.5, value + 4, 180 - value]
    if problem.goal != "angle":
        pool.pop()
    return [number_text(v, problem.decimals) for v in pool if v > 0]


def _reading(problem: Problem, drawn: Drawn, rng: random.Random) -> list[Task]:
    """One question on what is drawn."""
    letters = sorted(n for n in drawn.places if len(n) == 1)
    texts = [str(label["text"]) for label in drawn.labels]
    values = [t for t in texts if t[:1].isdigit()]
    kinds = (["vertex", "points"] if letters else []) + (["given"] if values else [])
    if not kinds:
        return []
    kind = rng.choice(kinds)
    if kind == "vertex":
        name = rng.choice(letters)
        x, y = drawn.places[name]
        width, height = drawn.image.size
        reach = 0.04 * max(width, height)
        text, answer = point_answer(
            x, y, (x - reach, y - reach, x + reach, y + reach), width, height
        )
        question, template = worded(BANK, kind, rng, name=name)
        verifier = "point_in_box"
    else:
        entries = letters if kind == "points" else values
        question, template = worded(BANK, kind, rng)
        text = ", ".join(entries)
        answer = Answer(type="list", value=entries)
        verifier = "list_ordered" if kind == "points" else "set"
    return [
        Task(
            task=f"geometry_{kind}",
            question=question,
            answer_text=text,
            answer=answer,
            verifier=verifier,
            media=("image",),
            template=f"geometry/{template}",
        )
    ]


def create(config: Mapping[str, Any]) -> GeometryGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return GeometryGenerator(from_dict(GeometryConfig, config, where="scenes-geometry"))
