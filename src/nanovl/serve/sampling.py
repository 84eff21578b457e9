"""Sampling, grammar and tool fields of a request to arguments of `NanoVL.plan`.

Checks bounds that belong to the server and rules between fields; the engine checks the rest.

Source: serving specification, sections 2, 9 and 16.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.serve.errors import bad_request, shown
from nanovl.serve.limits import dumps
from nanovl.serve.schema import ChatRequest, GenerationRequest
from nanovl.serve.settings import RequestLimits, ServeSettings

__all__ = ["grammar_arguments", "sampling_arguments", "shared_arguments", "tool_arguments"]

SALT_REFUSED = "@/\\\0"
GRAMMARS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
FORMATS = ("text", "json_object", "json_schema")
# Same name here and in `SamplingParams`.
PLAIN = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "n",
    "ignore_eos",
    "prompt_logprobs",
)


def sampling_arguments(
    body: GenerationRequest, limits: RequestLimits, vocab_size: int
) -> dict[str, Any]:
    """Fields of `SamplingParams` that the request sets; token counts are left to the caller.

    Raises:
        ApiError: 400 naming the field.
    """
    given = {n: getattr(body, n) for n in PLAIN if getattr(body, n) is not None}
    if body.n is not None and body.n > limits.max_n:
        raise bad_request(f"n {body.n}: at most {limits.max_n} answers", "n")
    if body.top_k is not None:
        given["top_k"] = max(0, body.top_k)
    if body.seed is not None:
        given["seed"] = body.seed % 2**63
    if body.include_stop_str_in_output:
        given["include_stop"] = True
    if stops := _stops(body.stop, limits):
        given["stop"] = stops
    if body.stop_token_ids:
        _check_ids(body.stop_token_ids[:1000], vocab_size, "stop_token_ids")
        given["stop_token_ids"] = tuple(body.stop_token_ids[:1000])
    if body.logit_bias:
        given["logit_bias"] = _bias(body.logit_bias, limits, vocab_size)
    if body.prompt_logprobs is not None and body.stream:
        raise bad_request("prompt_logprobs cannot be streamed", "prompt_logprobs")
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options needs stream: true", "stream_options")
    return given


def shared_arguments(
    body: GenerationRequest, settings: ServeSettings, owner: str, timeout_s: float | None
) -> dict[str, Any]:
    """Priority, cache salt and deadline.

    Raises:
        ApiError: 400 naming the field.
    """
    given: dict[str, Any] = {}
    if body.priority:
        if not settings.priorities:
            raise bad_request("priority needs a server with priority scheduling", "priority")
        given["priority"] = body.priority
    salt = body.cache_salt or ""
    if any(c in salt for c in SALT_REFUSED):
        raise bad_request("cache_salt may not hold @, /, \\ or NUL", "cache_salt")
    if settings.cache_per_key and owner:
        salt = f"{owner}@{salt}"
    if salt:
        given["cache_salt"] = salt
    if owner:
        given["tenant"] = owner
    if timeout_s is not None:
        given["timeout"] = timeout_s
    return given


def grammar_arguments(body: GenerationRequest, limits: RequestLimits) -> dict[str, Any]:
    """What the answer has to look like.

    Raises:
        ApiError: 400 naming the field.
    """
    given: dict[str, Any] = {}
    answer = body.response_format
    if answer is not None:
        kind = answer.get("type")
        if kind not in FORMATS:
            raise bad_request(
                f"response_format.type: got {shown(kind)}, expected one of {', '.join(FORMATS)}",
                "response_format.type",
            )
        if kind == "json_schema":
            inner = answer.get("json_schema")
            schema = inner.get("schema") if isinstance(inner, Mapping) else None
            if not isinstance(schema, Mapping):
                raise bad_request(
                    "response_format.json_schema.schema: missing; expected a JSON schema",
                    "response_format.json_schema",
                )
            _check_size(schema, limits.max_schema_bytes, "response_format.json_schema.schema")
        if kind != "text":
            given["response_format"] = answer
    structured = body.structured_outputs
    if structured is not None:
        chosen = [name for name in GRAMMARS if structured.get(name) not in (None, False)]
        unknown = sorted(
            set(structured) - {*GRAMMARS, "disable_any_whitespace", "whitespace_pattern"}
        )
        if unknown:
            raise bad_request(
                f"structured_outputs.{unknown[0]}: unknown; expected one of {', '.join(GRAMMARS)}",
                "structured_outputs",
            )
        if len(chosen) != 1:
            raise bad_request(
                f"structured_outputs: got {', '.join(chosen) or 'nothing'}, expected exactly one "
                f"of {', '.join(GRAMMARS)}",
                "structured_outputs",
            )
        if "response_format" in given:
            raise bad_request(
                "structured_outputs and response_format both say what the answer looks like; "
                "give one",
                "structured_outputs",
            )
        _check_size(structured, limits.max_schema_bytes, "structured_outputs")
        given["structured"] = structured
    return given


def tool_arguments(body: ChatRequest, limits: RequestLimits) -> dict[str, Any]:
    """Tools and which of them to call.

    Raises:
        ApiError: 400 naming the field.
    """
    tools, choice = body.tools, body.tool_choice
    if tools is None:
        if choice not in (None, "none"):
            raise bad_request("tool_choice needs tools", "tool_choice")
        return {}
    if not 1 <= len(tools) <= limits.max_tools:
        raise bad_request(f"tools: got {len(tools)}, expected 1 to {limits.max_tools}", "tools")
    names = [_tool_name(tool, index, limits) for index, tool in enumerate(tools)]
    if choice is None or choice == "auto":
        return {"tools": tools}
    if choice == "none":
        return {}
    single = {} if body.parallel_tool_calls is not False else {"parallel_tool_calls": False}
    if choice == "required":
        return {"tools": tools, "tool_choice": "required", **single}
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise bad_request(
            f"tool_choice: got {shown(choice)}, expected none, auto, required or "
            '{"type": "function", "function": {"name": ...}}',
            "tool_choice",
        )
    if name not in names:
        raise bad_request(f"tool_choice: {shown(name)} is not among the tools", "tool_choice")
    if body.structured_outputs is not None:
        raise bad_request("structured_outputs together with a named tool", "structured_outputs")
    return {"tools": tools, "tool_choice": choice, **single}


def _tool_name(tool: Mapping[str, Any], index: int, limits: RequestLimits) -> str:
    where = f"tools.{index}"
    kind = tool.get("type", "function")
    if kind != "function":
        raise bad_request(f"{where}.type: got {shown(kind)}, expected function", f"{where}.type")
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name or len(name) > 256:
        raise bad_request(f"{where}.function.name: expected a name", f"{where}.function.name")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise bad_request(
            f"{where}.function.parameters: got {shown(parameters)}, expected a JSON schema",
            f"{where}.function.parameters",
        )
    _check_size(tool, limits.max_tool_bytes, where)
    return name


def _stops(stop: str | Sequence[str] | None, limits: RequestLimits) -> tuple[str, ...]:
    if stop is None:
        return ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(stops) > limits.max_stops:
        raise bad_request(f"stop: {len(stops)} strings, at most {limits.max_stops}", "stop")
    if any(not 1 <= len(s) <= limits.max_stop_chars for s in stops):
        raise bad_request(
            f"stop: every string must have 1 to {limits.max_stop_chars} characters", "stop"
        )
    return stops


def _bias(bias: Mapping[str, float], limits: RequestLimits, vocab_size: int) -> dict[int, float]:
    if len(bias) > limits.max_logit_bias:
        raise bad_request(
            f"logit_bias: {len(bias)} tokens, at most {limits.max_logit_bias}", "logit_bias"
        )
    found = {}
    for key, value in bias.items():
        if not key.isascii() or not key.isdigit() or len(key) > 9:
            raise bad_request(f"logit_bias: {shown(key)} is not a token id", "logit_bias")
        found[int(key)] = value
    _check_ids(list(found), vocab_size, "logit_bias")
    return found


def _check_ids(ids: Sequence[int], vocab_size: int, where: str) -> None:
    for token in ids:
        if token >= vocab_size:
            raise bad_request(f"{where}: token id {token}, expected below {vocab_size}", where)


def _check_size(value: Any, limit: int, where: str) -> None:
    size = len(dumps(value))
    if size > limit:
        raise bad_request(f"{where}: {size} bytes as JSON, limit {limit}", where)
