"""Answers as strict JSON: asked for by schema, checked, and repaired once.

The schema always stands in the prompt; `response_format` is added as far as the endpoint takes it,
which is found out by one small request and remembered. Must not know what the JSON is about.

Source: data synthesis specification, section 17.4; training specification, section 10.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NoReturn

from nanovl.core.errors import ConfigError
from nanovl.synth.model.cache import Completion
from nanovl.synth.model.client import ChatClient, RequestFailed

__all__ = ["BadAnswer", "JsonAsker", "JsonMode", "parse_json", "schema_problem", "without_thoughts"]

JsonMode = Literal["auto", "schema", "object", "none"]
_MODES = ("schema", "object", "none")
_REFUSED = ("http_400", "http_415", "http_422", "http_500", "http_501")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_PROBE = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


class BadAnswer(Exception):
    """An answer that cannot be used.

    Args:
        reason: "bad_json", "wrong_schema", "cut_off", "refused" or "empty".
        message: What is wrong.
        value: What was read nevertheless, when it is JSON.
    """

    def __init__(self, reason: str, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.value = value


class JsonAsker:
    """Asks for JSON.

    Args:
        client: Of the endpoint.
        mode: "schema" sends the schema as response_format, "object" asks for any JSON, "none"
            relies on the prompt; "auto" takes the first of them that the endpoint accepts.
    """

    def __init__(self, client: ChatClient, mode: JsonMode = "auto") -> None:
        if mode not in ("auto", *_MODES):
            raise ConfigError(f"json mode {mode!r}; expected auto, {', '.join(_MODES)}")
        self.client = client
        self.mode = self._found_out() if mode == "auto" else mode

    def ask(
        self, body: Mapping[str, Any], schema: Mapping[str, Any], name: str
    ) -> tuple[Any, bool]:
        """JSON that fits a schema, and whether it had to be repaired.

        Args:
            body: Messages and settings of the request.
            schema: Of the answer; see `schema_problem`.
            name: Of the schema.

        Raises:
            BadAnswer: Neither the answer nor its repair is of use.
            RequestFailed, Stopped, BackendError: See `ChatClient.ask`.
        """
        asked = {**body, **_format(self.mode, schema, name)}
        answer = self.client.ask(asked)
        try:
            return _checked(answer, schema), False
        except BadAnswer as problem:
            if problem.reason in ("cut_off", "refused"):
                raise
            again = [
                *body["messages"],
                {"role": "assistant", "content": answer.text or "(nothing)"},
                {
                    "role": "user",
                    "content": f"That cannot be used: {problem}. Write the whole answer again, as "
                    "JSON that fits the schema and with nothing else around it.",
                },
            ]
            return _checked(self.client.ask({**asked, "messages": again}), schema), True

    def _found_out(self) -> str:
        fact = f"json_mode:{self.client.endpoint.model}"
        known = self.client.cache.fact(fact)
        if known in _MODES:
            return known
        found = "none"
        for mode in _MODES:
            text = 'Write this JSON object and nothing else: {"ok": true}'
            body = {"messages": [{"role": "user", "content": text}], "temperature": 0}
            try:
                self.client.ask({**body, **_format(mode, _PROBE, "probe")}, is_probe=mode != "none")
            except RequestFailed as error:
                if error.reason not in _REFUSED or mode == "none":
                    raise
                continue
            found = mode
            break
        self.client.cache.set_fact(fact, found)
        return found


def _format(mode: str, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    if mode == "none":
        return {}
    if mode == "object":
        return {"response_format": {"type": "json_object"}}
    inner = {"name": name, "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def _checked(answer: Completion, schema: Mapping[str, Any]) -> Any:
    if answer.finish == "length":
        raise BadAnswer("cut_off", "the answer ends before it is complete")
    if answer.finish == "content_filter":
        raise BadAnswer("refused", "the endpoint refused to answer")
    value = parse_json(answer.text)
    problem = schema_problem(value, schema)
    if problem:
        raise BadAnswer("wrong_schema", problem, value)
    return value


def without_thoughts(text: str) -> str:
    """Text after a closed think block at its start."""
    return re.sub(r"^\s*(?:<think>)?(?:(?!<think>).)*?</think>", "", text, count=1, flags=re.S)


def parse_json(text: str) -> Any:
    """The JSON a text consists of; a code fence or a think block around it is taken off.

    Raises:
        BadAnswer: It is anything else.
    """
    text = without_thoughts(text).strip()
    fenced = re.fullmatch(r"```\w*\s*\n(.*?)\n?```", text, flags=re.S)
    body = fenced[1] if fenced else text
    if not body.strip():
        raise BadAnswer("empty", "it is empty")
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise BadAnswer("bad_json", f"it is not JSON ({error})") from None
    except RecursionError:
        raise BadAnswer("bad_json", "it is nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def schema_problem(value: Any, schema: Mapping[str, Any], path: str = "answer") -> str:
    """What is wrong with a value, "" when it fits.

    Args:
        value: Parsed JSON.
        schema: JSON schema with type, properties, required, additionalProperties: false, items and
            enum.
        path: Of the value, for messages.
    """
    kind = schema["type"]
    is_bool = isinstance(value, bool)
    inner: Any = value
    if not isinstance(value, _TYPES[kind]) or (is_bool and kind != "boolean"):
        return f"{path} is {_named(value)}, expected {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{path} is {value!r}, expected one of {', '.join(map(str, schema['enum']))}"
    if kind == "array":
        return _first(
            schema_problem(item, schema["items"], f"{path}[{i}]") for i, item in enumerate(inner)
        )
    if kind != "object":
        return ""
    known: Mapping[str, Any] = schema["properties"]
    for name in schema.get("required", ()):
        if name not in inner:
            return f"{path} has no {name!r}"
    for name in inner:
        if name not in known:
            return f"{path} has the unknown field {name!r}"
    return _first(schema_problem(inner[name], known[name], f"{path}.{name}") for name in inner)


def _first(problems: Iterable[str]) -> str:
    return next((p for p in problems if p), "")


def _named(value: Any) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}.get(
        type(value), "a number"
    )
