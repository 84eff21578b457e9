"""The simulated world behind the functions: records, and values that follow from a seed.

Effects, as written in the tables:

    read field=low..high field=a|b   values that depend on the world and the arguments alone
    find PX field=...                three records with new ids PX-1234, remembered
    make PX                          a record with the arguments, gets an id
    change PX                        changes a record; an error if the id is not known
    compute name                     a calculation (see `_COMPUTED`)

Two worlds with the same seed that see the same calls are equal: that is how calls are checked.

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from nanovl.core.errors import InputError
from nanovl.synth.text.apis.function import Function

__all__ = ["World"]


def _amortised(p: Mapping[str, Any]) -> dict[str, Any]:
    rate, months = p["rate_percent"] / 1200, p["years"] * 12
    payment = p["amount"] * rate / (1 - (1 + rate) ** -months)
    return {"monthly_payment": round(payment, 2)}


_LENGTHS = {"m": 1.0, "km": 1000.0, "cm": 0.01, "mile": 1609.344, "foot": 0.3048, "inch": 0.0254}
_COMPUTED: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "add": lambda p: {"sum": sum(p["values"])},
    "mean": lambda p: {"mean": round(statistics.fmean(p["values"]), 3)},
    "circle": lambda p: {"area": round(math.pi * p["radius"] ** 2, 3)},
    "power": lambda p: {"result": p["base"] ** p["exponent"]},
    "percent": lambda p: {"result": round(p["value"] * p["percent"] / 100, 4)},
    "divisor": lambda p: {"divisor": math.gcd(p["a"], p["b"])},
    "loan": _amortised,
    "length": lambda p: {
        "value": round(p["value"] * _LENGTHS[p["source_unit"]] / _LENGTHS[p["target_unit"]], 6)
    },
    "count_words": lambda p: {
        "words": len(p["text"].split()),
        "characters": len(p["text"]),
    },
    "case": lambda p: {"text": p["text"].upper() if p["style"] == "upper" else p["text"].lower()},
    "reverse": lambda p: {"text": p["text"][::-1]},
    "replace": lambda p: {"text": p["text"].replace(p["old"], p["new"])},
    "bmi": lambda p: {"bmi": round(p["weight_kg"] / (p["height_cm"] / 100) ** 2, 1)},
    "tip": lambda p: {"each": round(p["bill"] * (1 + p["tip_percent"] / 100) / p["people"], 2)},
}


class World:
    """State that calls read and change.

    Args:
        seed: Decides everything that is not an argument.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.records: dict[str, dict[str, Any]] = {}
        self.made = 0

    def state(self) -> str:
        """Everything that calls have changed, as canonical JSON."""
        return json.dumps(self.records, sort_keys=True)

    def number(self, *keys: Any, low: int, high: int) -> int:
        """A number that follows from the world and some keys."""
        text = json.dumps([self.seed, *keys], sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return low + int.from_bytes(digest, "big") % (high - low + 1)

    def call(self, function: Function, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a call; an error is a result too.

        Args:
            function: What is called.
            arguments: Without defaults.

        Raises:
            InputError: The effect of the function is not known.
        """
        given = {p.name: _default(p) for p in function.parameters if p.default is not None}
        given.update(arguments)
        effect, *details = function.effect.split()
        if effect == "read":
            return self._values(function.name, given, details)
        if effect == "find":
            return {"results": self._found(function.name, given, details[0], details[1:])}
        if effect == "make":
            self.made += 1
            key = f"{details[0]}-{1000 + self.number(details[0], self.made, low=0, high=8999)}"
            self.records[key] = dict(given)
            return {"id": key, "status": "ok"}
        if effect == "change":
            key = next(given[p.name] for p in function.parameters if p.id_of)
            if key not in self.records:
                return {"error": f"no record with the id {key}"}
            self.records[key] = {**self.records[key], **given, "last": function.name}
            return {"id": key, "status": "updated"}
        if effect == "compute":
            return _COMPUTED[details[0]](given)
        raise InputError(f"function {function.name}: effect {effect!r} is not known")

    def know(self, key: str) -> None:
        """Have a record with this id."""
        self.records[key] = {}

    def _values(self, name: str, given: Mapping[str, Any], fields: list[str]) -> dict[str, Any]:
        return {
            field.partition("=")[0]: self._value(name, given, field.partition("=")[2], field)
            for field in fields
        }

    def _value(self, name: str, given: Any, domain: str, field: str) -> Any:
        if ".." in domain:
            low, high = domain.split("..")
            return self.number(name, given, field, low=int(low), high=int(high))
        choices = domain.split("|")
        place = self.number(name, given, field, low=0, high=len(choices) - 1)
        return choices[place].replace("_", " ")

    def _found(
        self, name: str, given: Mapping[str, Any], prefix: str, fields: list[str]
    ) -> list[dict[str, Any]]:
        rows = []
        for place in range(3):
            number = self.number(name, given, place, low=1000, high=9999)
            row = {"id": f"{prefix}-{number}", **self._values(f"{name}{place}", given, fields)}
            self.records[row["id"]] = row
            rows.append(row)
        return rows


def _default(parameter: Any) -> Any:
    if parameter.kind.schema["type"] == "string":
        return parameter.default
    return json.loads(parameter.default)
