"""Dialogues with function calls ("text-tools").

A kind of dialogue is drawn, functions and a world are chosen, the simulated back end answers every
call, and the last turn says what came out. Expected calls are checked against their schemas. Must
not hold functions or wordings: those are data in `apis` and `tool_banks`.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.asking import join_words, sentence
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text import tool_banks as banks
from nanovl.synth.text.apis import DOMAINS, FUNCTIONS, Function, World
from nanovl.synth.text.tool_check import schema_issues

__all__ = ["KINDS", "ToolsConfig", "ToolsGenerator", "create"]

KINDS: dict[str, float] = {
    "single": 0.3,
    "choose": 0.2,
    "parallel": 0.15,
    "sequential": 0.15,
    "missing": 0.07,
    "no_tool": 0.08,
    "error": 0.05,
}
_CHAINS = tuple(
    (first.name, second.name)
    for functions in DOMAINS.values()
    for first in functions
    for second in functions
    if first.finds and any(p.id_of == first.finds for p in second.parameters)
)
_PICKS = ("first", "second", "last")
_DONE = (
    "Done. The id is {0}.",
    "That worked: {0}.",
    "All set, it is on record as {0}.",
    "Finished ({0}).",
    "It is done; see {0}.",
)
_ONE = re.compile(
    r"(?<![\d.])1 (stars|servings|packets|tickets|nights|weeks|days|copies|people|guests|rows|"
    r"minutes|seconds|times|questions)\b"
)
_SINGULAR = {"copies": "copy", "people": "person"}
_BEST = {"price": ("cheapest", min), "rating": ("best rated", max)}


@dataclass(frozen=True, kw_only=True)
class ToolsConfig:
    """Settings of "text-tools".

    Attributes:
        kinds: Weights of the kinds of dialogues; kinds left out do not occur. Empty means the
            defaults.
        most_tools: Most functions offered where one has to be chosen, 2 to 12.
        results: Share of single calls that go on to the result and a closing answer.
    """

    kinds: dict[str, float] = field(default_factory=dict)
    most_tools: int = 12
    results: float = 0.6

    def __post_init__(self) -> None:
        for name in self.kinds:
            if name not in KINDS:
                raise ConfigError(f"text-tools: kind {name!r} does not exist{nearest(name, KINDS)}")
        if not 2 <= self.most_tools <= 12:
            raise ConfigError(f"text-tools: most_tools {self.most_tools}, expected 2 to 12")


@dataclass
class _Dialogue:
    """A dialogue while it is made."""

    world: World
    offered: list[Function]
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    def say(self, role: str, text: str) -> None:
        self.messages.append({"role": role, "content": _text(text)})

    def call(self, *calls: tuple[Function, dict[str, Any]], expected: bool = True) -> None:
        """A turn of the assistant that asks for calls."""
        made = []
        for function, arguments in calls:
            schema = function.schema()["function"]["parameters"]
            issues = schema_issues(arguments, schema)
            if issues:
                raise Reject("schema", f"{function.name}: {issues[0]}")
            made.append({"name": function.name, "arguments": arguments})
        self.messages.append({"role": "assistant", "content": [], "tool_calls": made})
        if expected:
            self.calls += made

    def result(self, value: Any) -> None:
        self.say("tool", json.dumps(value, ensure_ascii=False))

    def know(self, function: Function, arguments: Mapping[str, Any]) -> None:
        """Let the records exist that a call names."""
        for p in function.parameters:
            if p.id_of and p.name in arguments:
                self.world.know(arguments[p.name])
                self.known.append(arguments[p.name])


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


class ToolsGenerator:
    """Makes dialogues with function calls.

    Args:
        config: Settings.
    """

    name = "text-tools"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: ToolsConfig | None = None) -> None:
        self.config = config or ToolsConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One dialogue.

        Raises:
            Reject: A drawn argument does not fit its schema.
        """
        rng, qa = streams.rng("content"), streams.rng("qa")
        weights = dict(self.config.kinds) or KINDS
        names = sorted(n for n, w in weights.items() if w > 0)
        kind = rng.choices(names, [weights[n] for n in names])[0]
        seed = rng.getrandbits(32)
        dialogue = _Dialogue(World(seed), [])
        getattr(self, f"_{kind}")(dialogue, rng, qa)
        qa.shuffle(dialogue.offered)
        messages = dialogue.messages
        system = qa.choice(banks.SYSTEMS)
        if system:
            messages = [{"role": "system", "content": _text(system)}, *messages]
        question = next(m for m in messages if m["role"] == "user")["content"][0]["text"]
        expected = json.dumps(dialogue.calls, ensure_ascii=False)
        task = Task(
            task=f"tools_{kind}",
            question=question,
            answer_text=expected,
            answer=Answer(type="call", value=dialogue.calls),
            verifier="json_equal",
            template=kind,
            tools=tuple(f.schema() for f in dialogue.offered),
            messages=tuple(messages),
        )
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "kind": kind,
                "world": seed,
                "known": dialogue.known,
                "functions": [f.name for f in dialogue.offered],
                "calls": dialogue.calls,
                "state": dialogue.world.state(),
            },
            tasks=(task,),
            tags=("tools", kind, f"tools:{len(dialogue.offered)}", "difficulty:2"),
            quality={"tools": len(dialogue.offered)},
        )

    # --- kinds ----------------------------------------------------------------------------------

    def _single(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        function = _some(rng)
        dialogue.offered = [function]
        self._one_call(dialogue, function, rng, qa)

    def _choose(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        function = _some(rng)
        count = rng.randint(2, self.config.most_tools)
        dialogue.offered = [function, *_others(rng, function, count - 1)]
        self._one_call(dialogue, function, rng, qa)

    def _one_call(
        self, dialogue: _Dialogue, function: Function, rng: random.Random, qa: random.Random
    ) -> None:
        core, arguments = function.request(rng)
        dialogue.know(function, arguments)
        dialogue.say("user", _framed(qa, core))
        dialogue.call((function, arguments))
        result = dialogue.world.call(function, arguments)
        if qa.random() < self.config.results:
            dialogue.result(result)
            dialogue.say("assistant", _closing(qa, [(function, result)]))

    def _parallel(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        function = _some(rng)
        same = rng.random() < 0.5
        functions = [function] * rng.randint(2, 3) if same else [function, _some(rng)]
        requests = [f.request(rng) for f in functions]
        calls = [(f, a) for f, (_, a) in zip(functions, requests, strict=True)]
        if calls[0] == calls[1]:
            raise Reject("same_call", function.name)
        dialogue.offered = list({f.name: f for f in functions}.values())
        dialogue.offered += _others(rng, function, rng.randint(0, 3), dialogue.offered)
        for f, arguments in calls:
            dialogue.know(f, arguments)
        text = requests[0][0]
        for core, _ in requests[1:]:
            text = qa.choice(banks.JOINS).format(a=text, b=core)
        dialogue.say("user", _framed(qa, text))
        dialogue.call(*calls)
        results = [(f, dialogue.world.call(f, a)) for f, a in calls]
        for _, result in results:
            dialogue.result(result)
        dialogue.say("assistant", _closing(qa, results))

    def _sequential(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        first, second = (FUNCTIONS[name] for name in rng.choice(_CHAINS))
        dialogue.offered = [first, second]
        dialogue.offered += _others(rng, first, rng.randint(0, 4), dialogue.offered)
        core, arguments = first.request(rng)
        found = dialogue.world.call(first, arguments)
        rows = found["results"]
        phrase, row = _pick_row(rng, rows)
        slot = next(p.name for p in second.parameters if p.id_of == first.finds)
        core2, arguments2 = second.request(rng, fixed={slot: phrase})
        arguments2 = {slot: row["id"], **arguments2}
        dialogue.say("user", _framed(qa, qa.choice(banks.THEN).format(a=core, b=core2)))
        dialogue.call((first, arguments))
        dialogue.result(found)
        dialogue.call((second, arguments2))
        result = dialogue.world.call(second, arguments2)
        dialogue.result(result)
        dialogue.say("assistant", _closing(qa, [(second, result)], about=row["id"]))

    def _missing(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        function = _some(rng)
        dialogue.offered = [function, *_others(rng, function, rng.randint(0, 4))]
        arguments = {p.name: p.kind.draw(rng) for p in function.required}
        shown = [f"{p.words} {p.kind.show(arguments[p.name])}" for p in function.required]
        missing = join_words([f"the {p.words}" for p in function.required])
        dialogue.know(function, arguments)
        dialogue.say("user", qa.choice(banks.VAGUE).format(wish=function.wish))
        ask = qa.choice(banks.ASK_BACK).format(wish=function.wish, missing=missing)
        dialogue.say("assistant", ask)
        supplied = qa.choice(banks.SUPPLY).format(values=", ".join(shown))
        dialogue.say("user", sentence(supplied))
        dialogue.call((function, arguments))
        result = dialogue.world.call(function, arguments)
        dialogue.result(result)
        dialogue.say("assistant", _closing(qa, [(function, result)]))

    def _no_tool(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        wanted = _some(rng)
        domain = _domain(wanted)
        others = [f for name, fs in DOMAINS.items() if name != domain for f in fs]
        dialogue.offered = rng.sample(others, rng.randint(1, 6))
        if rng.random() < 0.3:
            a, b = rng.randint(2, 60), rng.randint(2, 60)
            ask, say = rng.choice(banks.DIRECT)
            slots = {"a": a, "b": b, "sum": a + b, "minutes": 60 * a}
            dialogue.say("user", ask.format(**slots))
            dialogue.say("assistant", say.format(**slots))
            return
        core, _ = wanted.request(rng)
        dialogue.say("user", _framed(qa, core))
        dialogue.say("assistant", qa.choice(banks.NO_TOOL).format(wish=wanted.wish))

    def _error(self, dialogue: _Dialogue, rng: random.Random, qa: random.Random) -> None:
        changing = [f for f in FUNCTIONS.values() if f.effect.startswith("change")]
        unknown = rng.random() < 0.5
        function = rng.choice(changing) if unknown else _some(rng)
        dialogue.offered = [function, *_others(rng, function, rng.randint(0, 4))]
        core, arguments = function.request(rng)
        dialogue.say("user", _framed(qa, core))
        if unknown:
            dialogue.call((function, arguments))
            dialogue.result(dialogue.world.call(function, arguments))
            key = next(arguments[p.name] for p in function.parameters if p.id_of)
            dialogue.say("assistant", qa.choice(banks.UNKNOWN_ID).format(id=key))
            return
        dialogue.know(function, arguments)
        dialogue.call((function, arguments), expected=False)
        dialogue.result({"error": qa.choice(banks.BUSY)})
        dialogue.call((function, dict(arguments)))
        result = dialogue.world.call(function, arguments)
        dialogue.result(result)
        dialogue.say("assistant", _closing(qa, [(function, result)]))


def _some(rng: random.Random) -> Function:
    domain = rng.choice(sorted(DOMAINS))
    return rng.choice(DOMAINS[domain])


def _domain(function: Function) -> str:
    return next(name for name, functions in DOMAINS.items() if function in functions)


def _others(
    rng: random.Random, function: Function, count: int, without: Sequence[Function] = ()
) -> list[Function]:
    """Other functions, half of them from the same domain."""
    taken = {function.name, *(f.name for f in without)}
    near = [f for f in DOMAINS[_domain(function)] if f.name not in taken]
    far = [f for f in FUNCTIONS.values() if f.name not in taken and f not in near]
    close = min(len(near), count // 2)
    return [*rng.sample(near, close), *rng.sample(far, count - close)]


def _framed(rng: random.Random, core: str) -> str:
    core = _ONE.sub(lambda m: f"1 {_SINGULAR.get(m[1], m[1][:-1])}", core)
    text = rng.choice(banks.FRAMES).format(core=core, Core=sentence(core))
    return text.replace('.".', '."').replace('."?', '."?')


def _pick_row(rng: random.Random, rows: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A result, and how the user tells which one is meant."""
    for key, (word, best) in _BEST.items():
        values = [row.get(key) for row in rows]
        if None not in values and len(set(values)) == len(values) and rng.random() < 0.6:
            return f"the {word} one", best(rows, key=lambda row: row[key])
    place = rng.randrange(3)
    return f"the {_PICKS[place]} one", rows[place]


def _closing(
    rng: random.Random, results: list[tuple[Function, dict[str, Any]]], about: str = ""
) -> str:
    """What the assistant says about results."""
    lines = []
    for _, result in results:
        if "results" in result:
            shown = "; ".join(_fields(row) for row in result["results"])
            lines.append(rng.choice(("I found: {0}.", "These came up: {0}.", "Results: {0}.")))
        elif "id" in result:
            shown = result["id"]
            lines.append(rng.choice(_DONE))
        else:
            shown = _fields(result)
            lines.append(rng.choice(("It says: {0}.", "Here it is: {0}.", "The answer: {0}.")))
        lines[-1] = lines[-1].format(shown)
    text = " ".join(lines)
    return f"{text} I used {about}." if about and rng.random() < 0.5 else text


def _fields(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in row.items())


def create(config: Mapping[str, Any]) -> ToolsGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return ToolsGenerator(from_dict(ToolsConfig, config, where="text-tools"))
