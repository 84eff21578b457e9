"""One made-up function: parameters, effect, and how people ask for it.

Parameters are written `name:kind`, with `=default~how it is said` after the optional ones; effects
`read`, `find`, `make`, `change` and `compute` are explained in `world`.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from nanovl.synth.text.apis.kinds import Kind, kind

__all__ = ["Function", "Parameter", "functions"]


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        name, kind: Its name and kind.
        id_of: Prefix of the records whose ids it takes, "" for others.
        default: Text of the default value; None means required.
        said: How a request mentions the optional parameter, with a slot.
    """

    name: str
    kind: Kind
    id_of: str = ""
    default: str | None = None
    said: str = ""

    @property
    def words(self) -> str:
        """The name as words."""
        return self.name.replace("_id", " number").replace("_", " ")


@dataclass(frozen=True)
class Function:
    """A function.

    Attributes:
        name, description: As in its schema; the description is an order, such as "Book a table."
        parameters: In order, required ones first.
        effect: What it does to the world.
        cores: Orders in words with slots for the required parameters.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    effect: str
    cores: tuple[str, ...]

    @property
    def required(self) -> tuple[Parameter, ...]:
        """The parameters without default."""
        return tuple(p for p in self.parameters if p.default is None)

    @property
    def finds(self) -> str:
        """Prefix of the records it lists, "" when it lists none."""
        return self.effect.split()[1] if self.effect.startswith("find ") else ""

    @property
    def wish(self) -> str:
        """The description as part of a sentence: "book a table"."""
        return self.description[0].lower() + self.description[1:].rstrip(".")

    def schema(self) -> dict[str, Any]:
        """The function as a chat interface describes it."""
        properties: dict[str, Any] = {}
        for p in self.parameters:
            properties[p.name] = {**p.kind.schema, "description": p.words.capitalize() + "."}
            if p.default is not None:
                properties[p.name]["default"] = _typed(p)
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": [p.name for p in self.required],
                },
            },
        }

    def request(
        self, rng: random.Random, *, fixed: dict[str, str] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """An order in words and the arguments it implies.

        Args:
            rng: Where values and wording come from.
            fixed: Parameters whose value is not known yet, with what to call them.
        """
        fixed = fixed or {}
        arguments: dict[str, Any] = {}
        shown = dict(fixed)
        for p in self.required:
            if p.name not in fixed:
                arguments[p.name] = p.kind.draw(rng)
                shown[p.name] = p.kind.show(arguments[p.name])
        text = rng.choice(self.cores).format(**shown)
        for p in self.parameters:
            if p.default is not None and rng.random() < 0.4:
                value = p.kind.draw(rng)
                if value != _typed(p):
                    arguments[p.name] = value
                    text += " " + p.said.format(p.kind.show(value))
        return text, arguments


def _typed(parameter: Parameter) -> Any:
    """The default as a value of the right type."""
    text = parameter.default or ""
    if parameter.kind.schema["type"] == "string":
        return text
    return json.loads(text)


def _parameter(text: str) -> Parameter:
    head, _, said = text.partition("~")
    head, has_default, default = head.partition("=")
    name, _, kind_name = head.partition(":")
    id_of = kind_name[3:-1] if kind_name.startswith("id(") else ""
    return Parameter(name, kind(kind_name), id_of, default if has_default else None, said)


def functions(*rows: tuple[str, str, str, str, str]) -> tuple[Function, ...]:
    """Functions from rows: name, description, parameters (";"), effect, orders ("/")."""
    return tuple(
        Function(
            name,
            description,
            tuple(_parameter(p.strip()) for p in parameters.split(";") if p.strip()),
            effect,
            tuple(core.strip() for core in cores.split("/")),
        )
        for name, description, parameters, effect, cores in rows
    )
