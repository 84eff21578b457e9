"""JSON schemas, made fit for a model that may never stop, and for one page of many.

Plain data in, plain data out; judges no values and asks no model.

Source: serving specification, section 9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanovl.apps.presets import PRESETS
from nanovl.core.config import nearest
from nanovl.core.errors import InputError

__all__ = ["bounded", "in_order", "leaves", "load_schema", "nullable", "pointer"]

Schema = Mapping[str, Any]

# A whole number of a weak model may have any number of digits.
_LARGEST = 10**12
_FORMED = frozenset({"pattern", "format", "enum", "const"})
_GROUPS = ("anyOf", "oneOf", "allOf")
_MAPS = ("properties", "$defs", "definitions")
_MAX_BYTES = 1 << 20


def load_schema(name: str) -> dict[str, Any]:
    """A schema by the name of a preset or of a file.

    Args:
        name: One of `presets.PRESETS`, or a JSON file that holds a schema, or one in the wrapping
            of a response format (`{"name": ..., "schema": {...}}`).

    Raises:
        InputError: No such preset or file, or no JSON object.
    """
    if name in PRESETS:
        return dict(PRESETS[name])
    path = Path(name)
    if not path.suffix and not path.exists():
        raise InputError(
            f"schema {name!r}: neither a file nor one of {', '.join(PRESETS)}"
            f"{nearest(name, PRESETS)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"schema {name}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"schema {name}: is not UTF-8 text (byte {error.start})") from None
    if len(text) > _MAX_BYTES:
        raise InputError(f"schema {name}: {len(text)} characters, expected at most {_MAX_BYTES}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"schema {name}: is not JSON ({error})") from None
    if isinstance(value, dict) and isinstance(value.get("json_schema"), dict):
        value = value["json_schema"]
    if isinstance(value, dict) and isinstance(value.get("schema"), dict) and "type" not in value:
        value = value["schema"]
    if not isinstance(value, dict):
        raise InputError(f"schema {name}: expected a JSON object, got {type(value).__name__}")
    return value


def bounded(schema: Schema, longest: int, most: int, *, tighten: bool = False) -> dict[str, Any]:
    """A schema that admits no endless answer; whatever fits it fits the original.

    Strings and lists without a bound get one, whole numbers get at most twelve digits, and objects
    take no members that are not named.

    Args:
        schema: The original.
        longest: Characters of a string.
        most: Items of a list.
        tighten: Whether that holds for strings and lists with a wider bound as well.
    """
    made: dict[str, Any] = _walk(schema, lambda part: _bound(part, longest, most, tighten))
    return made


def _bound(part: dict[str, Any], longest: int, most: int, tighten: bool) -> dict[str, Any]:
    kinds = _kinds(part)
    if "string" in kinds and not _FORMED & part.keys():
        _cap(part, "maxLength", "minLength", longest, tighten)
    if "array" in kinds:
        _cap(part, "maxItems", "minItems", most, tighten)
    if "integer" in kinds and not {"enum", "const"} & part.keys():
        below = {"minimum", "exclusiveMinimum"} & part.keys()
        above = {"maximum", "exclusiveMaximum"} & part.keys()
        if not below:
            part["minimum"] = -_LARGEST
        if not above:
            part["maximum"] = _LARGEST
    if "properties" in part and "additionalProperties" not in part:
        part["additionalProperties"] = False
    return part


def _cap(part: dict[str, Any], most: str, least: str, bound: int, tighten: bool) -> None:
    given, floor = part.get(most), part.get(least, 0)
    if isinstance(floor, int) and (given is None or (tighten and isinstance(given, int))):
        part[most] = max(floor, bound if given is None else min(given, bound))


def nullable(schema: Schema) -> dict[str, Any]:
    """The schema of what one page says of a record: everything is asked for and may be missing.

    Members of objects may be null and lists may be empty; items of lists stay as they are.
    """
    part = dict(schema)
    if isinstance(part.get("properties"), Mapping):
        part["properties"] = {name: _or_null(p) for name, p in part["properties"].items()}
        part["required"] = list(part["properties"])
        part.pop("minProperties", None)
    if "array" in _kinds(part):
        part.pop("minItems", None)
    return part


def _or_null(part: Any) -> Any:
    if not isinstance(part, Mapping) or "null" in _kinds(part):
        return part
    if isinstance(part.get("properties"), Mapping) or "array" in _kinds(part):
        return nullable(part)
    return {"anyOf": [dict(part), {"type": "null"}]}


def in_order(schema: Schema, value: Any) -> Any:
    """A value with members of objects in the order in which the schema names them."""
    if isinstance(value, dict):
        properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
        names = [n for n in properties if n in value] + [n for n in value if n not in properties]
        return {name: in_order(properties.get(name, {}), value[name]) for name in names}
    if isinstance(value, list):
        items = schema.get("items", {}) if isinstance(schema, Mapping) else {}
        return [in_order(items if isinstance(items, Mapping) else {}, v) for v in value]
    return value


def leaves(value: Any, at: str = "") -> dict[str, str | int | float]:
    """Texts and numbers of a value, by where they stand (a JSON pointer)."""
    if isinstance(value, dict):
        found = [leaves(item, at + pointer(name)) for name, item in value.items()]
    elif isinstance(value, list):
        found = [leaves(item, f"{at}/{index}") for index, item in enumerate(value)]
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        return {at: value}
    else:
        return {}
    return {where: item for part in found for where, item in part.items()}


def pointer(name: str) -> str:
    """One step of a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _kinds(part: Schema) -> set[str]:
    kind = part.get("type")
    return {kind} if isinstance(kind, str) else {k for k in kind or () if isinstance(k, str)}


def _walk(part: Any, change: Any) -> Any:
    """Every schema inside a schema changed, innermost first; values in it are left alone."""
    if not isinstance(part, Mapping):
        return part
    made = dict(part)
    for name in _MAPS:
        if isinstance(made.get(name), Mapping):
            made[name] = {key: _walk(item, change) for key, item in made[name].items()}
    for name in _GROUPS:
        if isinstance(made.get(name), list):
            made[name] = [_walk(item, change) for item in made[name]]
    for name in ("items", "additionalProperties", "not"):
        if isinstance(made.get(name), Mapping):
            made[name] = _walk(made[name], change)
    if isinstance(made.get("prefixItems"), list):
        made["prefixItems"] = [_walk(item, change) for item in made["prefixItems"]]
    return change(made)
