"""Checks tool calls: against their schemas, against expected ones, and by what they bring about.

Source: data synthesis specification, section 16 (verifiers).
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.synth.text.apis import FUNCTIONS, World

__all__ = ["calls_match", "same_state", "schema_issues"]

_TYPES: dict[str, Any] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


def schema_issues(value: Any, schema: Mapping[str, Any], where: str = "arguments") -> list[str]:
    """What is wrong with a value by its schema; empty when nothing is.

    Knows the words the made-up functions use: type, enum, minimum, maximum, minItems, items,
    properties, required and the formats date and email. Unknown properties are issues.
    """
    kind = schema["type"]
    is_flag = isinstance(value, bool)
    if not isinstance(value, _TYPES[kind]) or (is_flag and kind != "boolean"):
        return [f"{where}: {value!r} is no {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not one of {schema['enum']}")
    if _below(value, schema) or _above(value, schema):
        found.append(f"{where}: {value} is out of range")
    if schema.get("format") == "date" and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        found.append(f"{where}: {value!r} is no date")
    if schema.get("format") == "email" and value and "@" not in value:
        found.append(f"{where}: {value!r} is no e-mail address")
    if kind == "array":
        if len(value) < schema.get("minItems", 0):
            found.append(f"{where}: too few entries")
        for index, entry in enumerate(value):
            found += schema_issues(entry, schema["items"], f"{where}[{index}]")
    if kind == "object":
        known = schema["properties"]
        found += [f"{where}.{k}: not known" for k in sorted(set(value) - set(known))]
        found += [f"{where}.{k}: missing" for k in schema.get("required", ()) if k not in value]
        for key in sorted(set(value) & set(known)):
            found += schema_issues(value[key], known[key], f"{where}.{key}")
    return found


def _below(value: Any, schema: Mapping[str, Any]) -> bool:
    return "minimum" in schema and value < schema["minimum"]


def _above(value: Any, schema: Mapping[str, Any]) -> bool:
    return "maximum" in schema and value > schema["maximum"]


def _normal(value: Any) -> Any:
    """A value with numbers, dates and the case of words made alike."""
    if isinstance(value, Mapping):
        return {k: _normal(v) for k, v in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_normal(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    text = " ".join(str(value).split()).casefold()
    for form in ("%d %B %Y", "%d.%m.%Y", "%Y/%m/%d"):
        try:
            return datetime.datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
    return text


def _without_defaults(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["arguments"]
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    function = FUNCTIONS.get(call["name"])
    if function is not None:
        known = function.schema()["function"]["parameters"]["properties"]
        arguments = {
            k: v
            for k, v in arguments.items()
            if not (k in known and "default" in known[k] and known[k]["default"] == v)
        }
    return {"name": call["name"], "arguments": _normal(arguments)}


def calls_match(expected: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two sets of calls are the same, in any order.

    Dates, numbers and case are compared in a normal form; an argument that equals its default may
    be left out.
    """
    first, second = (
        sorted(json.dumps(_without_defaults(c), sort_keys=True) for c in calls)
        for calls in (expected, given)
    )
    return first == second


def same_state(
    seed: int,
    expected: Sequence[Mapping[str, Any]],
    given: Sequence[Mapping[str, Any]],
    known: Sequence[str] = (),
) -> bool:
    """Whether two sequences of calls leave the same world.

    Args:
        seed: Of the world.
        expected, given: Calls in order.
        known: Ids of records that exist beforehand.
    """
    states = []
    for calls in (expected, given):
        world = World(seed)
        for key in known:
            world.know(key)
        for call in calls:
            if call["name"] not in FUNCTIONS:
                return False
            world.call(FUNCTIONS[call["name"]], call["arguments"])
        states.append(world.state())
    return states[0] == states[1]
