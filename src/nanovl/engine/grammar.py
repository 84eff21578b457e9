"""What an answer must look like: from the fields of a request to one specification.

`ConstraintSpec` says what is wanted, checked for type and size; `grammar_of` writes it as a grammar
of llguidance. Nothing is compiled here and no token is known; that is `engine/constraint.py`.

The wire format of tool calls is that of the chat template, so that a forced call reads like one
the model makes by itself.

Source: serving specification, sections 2, 5.3, 9 and 16.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from llguidance import LLMatcher, StructTag, grammar_from

from nanovl.core.errors import InputError
from nanovl.engine.reasoning import TOOL_TAG
from nanovl.engine.tools import TOOL_END_TAG

__all__ = [
    "CALL_START",
    "MAX_ALTERNATIVES",
    "MAX_NESTING",
    "MAX_SIZE_BYTES",
    "MAX_TOOLS",
    "ConstraintKind",
    "ConstraintSpec",
    "from_response_format",
    "from_structured_outputs",
    "from_tool_choice",
    "grammar_of",
    "request_constraint",
]

ConstraintKind = Literal[
    "json_schema", "json_object", "regex", "choice", "grammar", "tool_calls", "structural_tag"
]

MAX_SIZE_BYTES = 64 * 1024
MAX_NESTING = 64
MAX_ALTERNATIVES = 1000
MAX_TOOLS = 128
# Calls in one answer; without an end the model may go on calling until its tokens are used up.
MAX_CALLS = 32
# How every list of calls begins in the wire format.
CALL_START = '[{"name": "'
# At most one space, or one line break and its indentation, wherever JSON allows white space.
_WHITESPACE = r"( |\n[ \t]{0,64})"
_STYLE = {"whitespace_pattern": _WHITESPACE}
_LISTS = ("enum", "anyOf", "oneOf", "allOf")


@dataclass(frozen=True, kw_only=True)
class ConstraintSpec:
    """What the answer must look like.

    Attributes:
        kind: How `payload` is to be read.
        payload: A regular expression, a grammar (Lark or GBNF), or JSON text: a schema, a list of
            choices, a list of tools, a structural tag. Empty for "json_object".
        tools: With a schema or "json_object": tools as JSON text that may be called instead.
        single: With "tool_calls": exactly one call.
        where: Field of the request, for messages.

    Raises:
        InputError: The payload is too large.
    """

    kind: ConstraintKind
    payload: str = ""
    tools: str = ""
    single: bool = False
    where: str = field(default="structured output", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(ConstraintKind):
            raise InputError(
                f"{self.where}: unknown kind {self.kind!r}, expected "
                f"{', '.join(get_args(ConstraintKind))}"
            )
        # Every tool may be as large as a schema; each is checked by itself.
        limit = MAX_SIZE_BYTES * (MAX_TOOLS if self.kind == "tool_calls" else 1)
        try:
            size = len(self.payload.encode())
        except UnicodeEncodeError as error:
            raise InputError(f"{self.where}: not valid Unicode ({error.reason})") from error
        if size > limit:
            raise InputError(f"{self.where}: {size} bytes, expected at most {limit}; simplify it")

    @property
    def allows_calls(self) -> bool:
        """Whether the answer may be a tool call, so that one has to be looked for."""
        return self.kind == "tool_calls" or bool(self.tools)


def request_constraint(
    *,
    response_format: Any = None,
    structured: Any = None,
    tool_choice: Any = None,
    tools: Any = None,
    parallel: bool = True,
) -> ConstraintSpec | None:
    """The one constraint of a request from all fields that may ask for one.

    A tool that must be called wins over `response_format`, which is about answers; a tool that may
    be called is an alternative to it.

    Args:
        response_format: See `from_response_format`.
        structured: See `from_structured_outputs`.
        tool_choice, tools, parallel: See `from_tool_choice`.

    Raises:
        InputError: A field is wrong, or two contradict each other.
    """
    answer = from_response_format(response_format)
    free = from_structured_outputs(structured)
    calls = from_tool_choice(tool_choice, tools, parallel=parallel)
    if free is not None and (answer is not None or calls is not None):
        other = "response_format" if answer is not None else f"tool_choice {tool_choice!r}"
        raise InputError(f"structured_outputs together with {other}: give one of them")
    if calls is not None:
        return calls
    if answer is not None and tools and tool_choice != "none" and answer.kind != "structural_tag":
        return ConstraintSpec(
            kind=answer.kind,
            payload=answer.payload,
            tools=_tool_list(tools),
            single=not parallel,
            where=answer.where,
        )
    return free or answer


def from_response_format(value: Any) -> ConstraintSpec | None:
    """Read OpenAI's `response_format`.

    Args:
        value: None, or an object with `type` "text", "json_object" or "json_schema" (with
            `json_schema.schema`).

    Raises:
        InputError: Names the field.
    """
    where = "response_format"
    if value is None:
        return None
    kind = _object(value, where).get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return ConstraintSpec(kind="json_object", where=where)
    if kind == "structural_tag":
        return _structural_tag(value, where)
    if kind != "json_schema":
        raise InputError(
            f"{where}.type: got {kind!r}, expected 'text', 'json_object' or 'json_schema'"
        )
    where += ".json_schema"
    if value.get("json_schema") is None:
        raise InputError(f"{where}: missing; it holds name and schema")
    schema = _object(value["json_schema"], where).get("schema")
    if schema is None:
        raise InputError(f"{where}.schema: missing; give the schema the answer must follow")
    return _json_schema(schema, f"{where}.schema")


def from_structured_outputs(value: Any) -> ConstraintSpec | None:
    """Read vLLM's `structured_outputs`.

    Args:
        value: None, or an object with exactly one of `json` (a schema, as object or text), `regex`,
            `choice` (a list of strings), `grammar`, `json_object` (true), `structural_tag`.

    Raises:
        InputError: Names the field.
    """
    where = "structured_outputs"
    if value is None:
        return None
    known = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
    unknown = [name for name in _object(value, where) if name not in known]
    if unknown:
        raise InputError(f"{where}.{unknown[0]}: not supported; it takes {', '.join(known)}")
    given = [name for name in known if value.get(name) not in (None, False)]
    if len(given) != 1:
        raise InputError(
            f"{where}: got {' and '.join(given) or 'nothing'}, expected exactly one of "
            f"{', '.join(known)}"
        )
    name = given[0]
    item, where = value[name], f"{where}.{name}"
    if name == "json":
        return _json_schema(_parsed(item, where), where)
    if name == "json_object":
        return ConstraintSpec(kind="json_object", where=where)
    if name == "structural_tag":
        return _structural_tag(_parsed(item, where), where)
    if name == "choice":
        return _choice(item, where)
    if not isinstance(item, str) or not item:
        raise InputError(f"{where}: got {_short(item)}, expected a text that is not empty")
    return ConstraintSpec(kind="regex" if name == "regex" else "grammar", payload=item, where=where)


def from_tool_choice(choice: Any, tools: Any, *, parallel: bool = True) -> ConstraintSpec | None:
    """Read OpenAI's `tool_choice` and `tools`.

    Args:
        choice: None, "none", "auto", "required", or the object that names a function.
        tools: None, or a list of `{"type": "function", "function": {"name", "parameters"}}`.
        parallel: Whether several calls may be made at once; a named function is called once.

    Returns:
        None where the model is free to call.

    Raises:
        InputError: Names the field.
    """
    if tools is None:
        if choice is not None:
            raise InputError(f"tool_choice {_short(choice)}: there are no tools; add tools")
        return None
    names = [tool["name"] for tool in _tools(tools)]
    if choice in (None, "none", "auto"):
        return None
    if choice == "required":
        return ConstraintSpec(
            kind="tool_calls", payload=_tool_list(tools), single=not parallel, where="tools"
        )
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise InputError(
            f"tool_choice: got {_short(choice)}, expected 'none', 'auto', 'required' or "
            '{"type": "function", "function": {"name": ...}}'
        )
    if name not in names:
        raise InputError(
            f"tool_choice.function.name: no tool {name!r} among {', '.join(map(repr, names))}"
        )
    chosen = [tools[names.index(name)]]
    return ConstraintSpec(
        kind="tool_calls", payload=_tool_list(chosen), single=True, where=f"tools: {name}"
    )


# --- grammars of llguidance ----------------------------------------------------------------------


def grammar_of(spec: ConstraintSpec) -> str:
    """A specification as a grammar.

    Raises:
        InputError: A grammar in GBNF that cannot be read.
    """
    if spec.tools:
        answer = f"answer: %json {_styled(_schema_of(spec))}\n"
        return f"start: calls | answer\n{answer}{_calls(spec.tools, single=spec.single)}"
    match spec.kind:
        case "json_schema" | "json_object":
            return LLMatcher.grammar_from_json_schema(_styled(_schema_of(spec)))
        case "regex":
            return LLMatcher.grammar_from_regex(spec.payload)
        case "choice":
            return f"start: {' | '.join(map(json.dumps, json.loads(spec.payload)))}"
        case "tool_calls":
            return f"start: calls\n{_calls(spec.payload, single=spec.single)}"
        case "structural_tag":
            return _tag_grammar(json.loads(spec.payload))
    try:
        return grammar_from("grammar", spec.payload)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{spec.where}: cannot be read as Lark or GBNF ({_short(str(error))})"
        ) from error


def _schema_of(spec: ConstraintSpec) -> Any:
    return {"type": "object"} if spec.kind == "json_object" else json.loads(spec.payload)


def _styled(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _STYLE})


def _calls(tools: str, *, single: bool) -> str:
    """Rules of the wire format; `calls` is the first."""
    more = "" if single else f' (", " call){{0,{MAX_CALLS - 1}}}'
    rules = [f'calls: "{TOOL_TAG}[" call{more} "]{TOOL_END_TAG}"']
    items = json.loads(tools)
    rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(items))))
    for i, item in enumerate(items):
        name = json.dumps(item["name"], ensure_ascii=False)
        head = json.dumps(f'{{"name": {name}, "arguments": ')
        rules.append(f'call_{i}: {head} arguments_{i} "}}"')
        rules.append(f"arguments_{i}: %json {_styled(item['parameters'])}")
    return "\n".join(rules)


def _tag_grammar(value: Mapping[str, Any]) -> str:
    triggers = value["triggers"]
    tags = [
        StructTag(
            trigger=next(t for t in triggers if item["begin"].startswith(t)),
            begin=item["begin"],
            grammar={**item["schema"], "x-guidance": _STYLE},
            end=item["end"],
        )
        for item in value["structures"]
    ]
    # Control tokens are never text here, whatever they look like.
    return StructTag.to_grammar(tags, assume_special=False)


# --- checks --------------------------------------------------------------------------------------


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: got {_short(value)}, expected an object")
    return value


def _parsed(value: Any, where: str) -> Any:
    """An object that may also come as JSON text."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_SIZE_BYTES:
        raise InputError(
            f"{where}: {len(value)} characters, expected at most {MAX_SIZE_BYTES}; simplify it"
        )
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from error


def _text_of(value: Any, where: str) -> str:
    """JSON text of a value, in the order of its keys, after a look at its size and depth."""
    level: list[Any] = [value]
    for _ in range(MAX_NESTING + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                below += item.values()
                for name in _LISTS:
                    _check_count(item.get(name), f"{where}: {name}")
            elif isinstance(item, (list, tuple)):
                below += item
        level = below
        if not level:
            break
    else:
        raise InputError(f"{where}: nested deeper than {MAX_NESTING} levels; simplify it")
    try:
        text = json.dumps(value, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if len(text) > MAX_SIZE_BYTES:
        raise InputError(
            f"{where}: {len(text)} bytes, expected at most {MAX_SIZE_BYTES}; simplify it"
        )
    return text


def _check_count(value: Any, where: str) -> None:
    if isinstance(value, (list, tuple)) and len(value) > MAX_ALTERNATIVES:
        raise InputError(
            f"{where} of {len(value)} alternatives, expected at most {MAX_ALTERNATIVES}"
        )


def _json_schema(schema: Any, where: str) -> ConstraintSpec:
    text = _text_of(_object(schema, where), where)
    return ConstraintSpec(kind="json_schema", payload=text, where=where)


def _choice(value: Any, where: str) -> ConstraintSpec:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError(f"{where}: got {_short(value)}, expected a list of texts")
    _check_count(value, where)
    if not all(isinstance(item, str) and item for item in value):
        raise InputError(f"{where}: expected texts that are not empty, got {_short(list(value))}")
    return ConstraintSpec(kind="choice", payload=_text_of(list(value), where), where=where)


def _structural_tag(value: Any, where: str) -> ConstraintSpec:
    """Free text with JSON between tags: `{"structures": [{begin, schema, end}], "triggers"}`."""
    structures, triggers = (_object(value, where).get(k) for k in ("structures", "triggers"))
    for name, items in (("structures", structures), ("triggers", triggers)):
        if not isinstance(items, (list, tuple)) or not items:
            raise InputError(f"{where}.{name}: got {_short(items)}, expected a list with entries")
        _check_count(items, f"{where}.{name}")
    assert structures
    assert triggers
    if not all(isinstance(t, str) and t for t in triggers):
        raise InputError(f"{where}.triggers: expected texts, got {_short(list(triggers))}")
    for i, item in enumerate(structures):
        place = f"{where}.structures[{i}]"
        begin, end = _object(item, place).get("begin"), item.get("end")
        if not isinstance(begin, str) or not isinstance(end, str):
            raise InputError(f"{place}: begin and end must be texts, got {_short(item)}")
        if not any(begin.startswith(t) for t in triggers):
            raise InputError(f"{place}: begin {_short(begin)} starts with none of the triggers")
        _object(item.get("schema"), f"{place}.schema")
    kept = {
        "structures": [{k: item[k] for k in ("begin", "schema", "end")} for item in structures],
        "triggers": list(triggers),
    }
    return ConstraintSpec(kind="structural_tag", payload=_text_of(kept, where), where=where)


def _tool_list(tools: Any) -> str:
    """Tools that may be called as JSON text."""
    items = _tools(tools)
    for i, item in enumerate(items):
        kind = item["parameters"].get("type")
        if kind != "object":
            raise InputError(
                f"tools[{i}].function.parameters.type: got {_short(kind)}, expected 'object'"
            )
    return json.dumps(items)


def _tools(tools: Any) -> list[dict[str, Any]]:
    """Name and parameters of each tool."""
    if not isinstance(tools, (list, tuple)) or not tools:
        raise InputError(f"tools: got {_short(tools)}, expected a list with entries")
    if len(tools) > MAX_TOOLS:
        raise InputError(f"tools: {len(tools)}, expected at most {MAX_TOOLS}")
    items = []
    for i, tool in enumerate(tools):
        where = f"tools[{i}].function"
        outer = _object(tool, f"tools[{i}]")
        function = _object(outer.get("function", outer), where)  # the bare form is known too
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}.name: got {_short(name)}, expected a name")
        parameters = function.get("parameters")
        if parameters is None:
            parameters = {"additionalProperties": False}
        where += ".parameters"
        _text_of(_object(parameters, where), where)
        items.append({"name": name, "parameters": {"type": "object", **parameters}})
    return items
