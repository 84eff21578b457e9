"""Word problems with exact answers and worked solutions ("text-maths").

A story schema gives the first quantities and steps, turns continue it until the chain is as long
as drawn (1 to 8 operations), sentences that do not matter are mixed in, and the solution graph is
computed in fractions. Must not hold stories or phrasings: those are data in `stories` and `steps`.

Source: data synthesis specification, section 13.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text.forms import boxed_prompt, direct_prompt
from nanovl.synth.text.steps import Graph, is_fit, show
from nanovl.synth.text.stories import BRIDGES, DISTRACTORS, LOOSE, MORE, SCHEMAS, Quantity, Schema
from nanovl.synth.text.wording import COLOURS, CONTAINERS, NAMES, PLACES, THINGS, TOWNS, pick

__all__ = ["MathsConfig", "MathsGenerator", "create"]

_DRAWS = 60  # tries to find quantities with usable results before another schema is taken
_CONSTANTS = {"ten": Fraction(10), "three": Fraction(3)}
_MONEY = re.compile(r"\{(\w+):\$\}")
_ONE = re.compile(r"(?<![\d./])1 (hour|day|minute|month|year|week|litre|lamp|cup|bird|song)s\b")
_ANY = ("distance", "time", "length", "weight", "volume", "points")


@dataclass(frozen=True, kw_only=True)
class MathsConfig:
    """Settings of "text-maths".

    Attributes:
        min_steps, max_steps: Bounds of the chain length, 1 to 8.
        distractors: Probability that sentences without meaning for the answer are mixed in.
        check: Probability of a line that checks the last step.
        slip: Probability of a wrong attempt that is put right.
        direct: Share of samples that also appear with the bare answer and no trace.
    """

    min_steps: int = 1
    max_steps: int = 8
    distractors: float = 0.35
    check: float = 0.15
    slip: float = 0.05
    direct: float = 1 / 3

    def __post_init__(self) -> None:
        if not 1 <= self.min_steps <= self.max_steps <= 8:
            raise ConfigError(
                f"text-maths: min_steps {self.min_steps}, max_steps {self.max_steps}; expected "
                "1 <= min_steps <= max_steps <= 8"
            )


@dataclass
class _Story:
    """A problem while it grows."""

    entities: Mapping[str, str]
    kind: str
    schemas: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    graph: Graph = field(default_factory=Graph)
    last: str = ""
    ask: str = ""


class MathsGenerator:
    """Makes word problems.

    Args:
        config: Settings.
    """

    name = "text-maths"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: MathsConfig | None = None) -> None:
        self.config = config or MathsConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One problem, its solution graph and one or two tasks.

        Raises:
            Reject: No usable quantities were found.
        """
        rng, qa = streams.rng("content"), streams.rng("qa")
        length = rng.randint(self.config.min_steps, self.config.max_steps)
        story = _tell(rng, length)
        problem = _with_distractors(story, rng, self.config.distractors)
        graph = story.graph
        final = graph.nodes[story.last]
        unit = final.unit
        bare = show(final.value)
        number = int(final.value) if final.value.denominator == 1 else float(final.value)
        answer = Answer(type="number", value=number, unit=unit or None)
        trace = graph.trace(qa, check=self.config.check, slip=self.config.slip)
        question, template = boxed_prompt(qa, problem)
        tasks = [
            Task(
                task="maths_word_problem",
                question=question,
                answer_text=f"\\boxed{{{bare}}}",
                answer=answer,
                verifier="number",
                trace=trace,
                template=f"{story.schemas[0]}/{template}",
            )
        ]
        if qa.random() < self.config.direct:
            question, template = direct_prompt(qa, problem)
            tasks.append(
                Task(
                    task="maths_word_problem_direct",
                    question=question,
                    answer_text=show(final.value, unit),
                    answer=answer,
                    verifier="number",
                    template=f"{story.schemas[0]}/{template}",
                )
            )
        steps = len(graph.steps)
        gt = {
            "schema": story.schemas,
            "params": {n.id: str(n.value) for n in graph.nodes.values() if not n.op},
            "entities": dict(story.entities),
            "graph": graph.as_json(),
            "expression": graph.expression(story.last),
            "answer": str(final.value),
            "answer_latex": bare,
            "unit": unit,
            "problem": problem,
        }
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=gt,
            tasks=tuple(tasks),
            tags=("maths", "reasoning", f"steps:{steps}", f"difficulty:{min(4, (steps + 1) // 2)}"),
            quality={"steps": steps},
        )


def _entities(rng: random.Random) -> dict[str, str]:
    names = rng.sample(NAMES, 3)
    towns = rng.sample(TOWNS, 3)
    colours = rng.sample(COLOURS, 3)
    things = rng.sample(THINGS, 2)
    return {
        "name": names[0],
        "name2": names[1],
        "name3": names[2],
        "item": things[0],
        "item2": things[1],
        "box": pick(rng, CONTAINERS),
        "place": pick(rng, PLACES),
        "town": towns[0],
        "town2": towns[1],
        "town3": towns[2],
        "colour": colours[0],
        "colour2": colours[1],
        "colour3": colours[2],
    }


def _tell(rng: random.Random, length: int) -> _Story:
    """A story of exactly so many steps."""
    entities = _entities(rng)
    starts = [s for s in SCHEMAS if len(s.steps) <= length]
    for _ in range(8):
        first = pick(rng, starts)
        story = _Story(entities, first.kind)
        if not _add(story, first, rng):
            continue
        while len(story.graph.steps) < length:
            room = length - len(story.graph.steps)
            turns = [
                m
                for m in MORE
                if len(m.steps) <= room and _follows(m, story.kind) and m.name not in story.schemas
            ]
            if not any(_add(story, turn, rng) for turn in rng.sample(turns, len(turns))):
                break
        if len(story.graph.steps) == length:
            return story
    raise Reject("no_quantities", f"no story of {length} steps came out with usable values")


def _follows(turn: Schema, kind: str) -> bool:
    source = turn.kind.split(">")[0]
    return source == kind or (source == "any" and kind in _ANY)


def _add(story: _Story, schema: Schema, rng: random.Random) -> bool:
    """Continue the story by a schema, unless its values do not work out."""
    depth = len(story.schemas)
    unit = story.graph.nodes[story.last].unit if story.last else ""
    words = {**story.entities, "unit": unit}
    for _ in range(_DRAWS):
        drawn = {q.name: q.draw(rng) for q in schema.quantities}
        graph = Graph(dict(story.graph.nodes))
        names = {"s": story.last} if story.last else {}
        for quantity in schema.quantities:
            names[quantity.name] = f"{quantity.name}{depth}"
            graph.give(names[quantity.name], drawn[quantity.name], _unit_of(schema, quantity))
        if _solve(schema, graph, names, words, depth):
            break
    else:
        return False
    if depth and story.schemas[-1] in LOOSE:
        story.sentences.append(pick(rng, BRIDGES).format(what=graph.nodes[story.last].what))
    story.graph = graph
    story.last = names[schema.steps[-1].name]
    story.schemas.append(schema.name)
    shown = {q.name: show(drawn[q.name], "/" if q.is_fraction else "") for q in schema.quantities}
    money = {n: show(drawn[n], "$") for n in drawn}
    for part in re.split(r"(?<=[.]) ", _MONEY.sub(lambda m: money[m[1]], schema.text)):
        story.sentences.append(part.format(**words, **shown))
    story.ask = schema.ask.format(**words, **shown)
    if depth:
        target = schema.kind.split(">")[1]
        story.kind = story.kind if target == "any" else target
    return True


def _unit_of(schema: Schema, quantity: Quantity) -> str:
    if quantity.is_fraction:
        return "/"
    return "$" if f"{{{quantity.name}:$}}" in schema.text else ""


def _solve(
    schema: Schema, graph: Graph, names: dict[str, str], words: Mapping[str, str], depth: int
) -> bool:
    """Apply the steps of a schema; false when a value is of no use."""
    for step in schema.steps:
        for name in (step.left, step.right):
            if name in _CONSTANTS:
                names[name] = name
                graph.give(name, _CONSTANTS[name])
        names_of = (names[step.left], names[step.right])
        target = f"{step.name}{depth}"
        node = graph.apply(
            target,
            step.op,
            *names_of,
            what=step.what.format(**words),
            unit=step.unit.format(**words),
        )
        if not is_fit(node.value, node.unit):
            return False
        names[step.name] = target
    return True


def _with_distractors(story: _Story, rng: random.Random, probability: float) -> str:
    """The text of the problem.

    Distractors stand first or right before the question: between the sentences of the story a
    word like "them" could be taken to mean what a distractor counts.
    """
    sentences = list(story.sentences)
    if rng.random() < probability:
        for template in rng.sample(DISTRACTORS, rng.randint(1, 2)):
            text = template.format(**story.entities, x=rng.randint(3, 40))
            sentences.insert(rng.choice((0, len(sentences))), text)
    text = " ".join([*sentences, story.ask])
    return _ONE.sub(r"1 \1", text)


def create(config: Mapping[str, Any]) -> MathsGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return MathsGenerator(from_dict(MathsConfig, config, where="text-maths"))
