"""Thinking on or off, and for how long: every name clients use for it, read into one object.

Strongest first: `chat_template_kwargs.enable_thinking`, a budget of 0, `reasoning_effort`, a
budget, `/think` and `/no_think` in the messages, the server's default. Two names with different
values are an error. Counts no tokens; that is the engine's.

Source: serving specification, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nanovl.core.generation import ReasoningParams
from nanovl.serve.errors import bad_request, shown
from nanovl.serve.schema import ChatRequest
from nanovl.serve.settings import ServeSettings

__all__ = ["EFFORTS", "Thinking", "read_thinking"]

EFFORTS: dict[str, int | None] = {
    "none": 0,
    "minimal": 512,
    "low": 2048,
    "medium": 4096,
    "high": 8192,
    "xhigh": 12288,
    "max": None,
}
# Template variables a client may set; what else it sends is reported as ignored.
TEMPLATE_KWARGS = frozenset(
    {
        "enable_thinking",
        "thinking",
        "thinking_budget",
        "thinking_token_budget",
        "reasoning_budget",
        "force_nonempty_content",
    }
)
CONTROLLED_KWARGS = frozenset(
    {
        "add_generation_prompt",
        "bos_token",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "eos_token",
        "messages",
        "padding",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer",
        "tools",
        "truncation",
    }
)
TOP_LEVEL = (
    "thinking_token_budget",
    "reasoning_budget",
    "max_thinking_tokens",
    "max_thinking_budget",
    "thinking_budget",
)


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """How a request thinks.

    Attributes:
        params: For the engine.
        budget_mode: "newline" waits for a line break, "hard" does not; None takes the engine's.
        ignored: Dotted names of fields that mean nothing here.
        keep_content: Whether reasoning becomes the content of an answer that has none.
    """

    params: ReasoningParams
    budget_mode: Literal["newline", "hard"] | None = None
    ignored: tuple[str, ...] = ()
    keep_content: bool = False


def read_thinking(body: ChatRequest, settings: ServeSettings) -> Thinking:
    """Read everything a request says about thinking.

    Raises:
        ApiError: 400 for wrong types, unknown efforts, and values that contradict each other.
    """
    kwargs = _template_kwargs(body)
    budgets = _budgets(body, kwargs)
    distinct = set(budgets.values())
    if len(distinct) > 1:
        told = ", ".join(f"{k} {'unlimited' if v is None else v}" for k, v in budgets.items())
        raise bad_request(f"thinking budgets contradict each other: {told}", next(iter(budgets)))
    has_budget = bool(budgets)
    budget = distinct.pop() if distinct else None
    effort = _effort(body)
    switch = _switch(body, kwargs)
    if effort is not None and not has_budget and effort != "none":
        budget, has_budget = EFFORTS[effort], True
    if switch is None:
        if has_budget and budget == 0:
            switch = False
        elif effort is not None:
            switch = effort != "none"
        elif has_budget:
            switch = True
    mode: Literal["off", "on", "auto"]
    if switch is None:
        mode = _default_mode(body.messages, settings)
        budget = settings.reasoning_budget
    else:
        mode = "on" if switch else "off"
        if switch and not has_budget:
            budget = settings.reasoning_budget
    if mode == "off" or budget == 0:
        mode, budget = "off", None
    return Thinking(
        params=ReasoningParams(mode=mode, budget=budget),
        budget_mode=body.nanovl_budget_mode,
        ignored=tuple(
            f"chat_template_kwargs.{name}" for name in kwargs if name not in TEMPLATE_KWARGS
        ),
        keep_content=bool(body.force_nonempty_content or kwargs.get("force_nonempty_content")),
    )


def _template_kwargs(body: ChatRequest) -> dict[str, Any]:
    given = body.chat_template_kwargs or {}
    for name in given:
        if name in CONTROLLED_KWARGS:
            raise bad_request(
                f"chat_template_kwargs.{name} is set by the server; leave it out",
                f"chat_template_kwargs.{name}",
            )
    return given


def _budgets(body: ChatRequest, kwargs: Mapping[str, Any]) -> dict[str, int | None]:
    """Every budget a request names; None is unlimited."""
    found: dict[str, int | None] = {}
    for name in TOP_LEVEL:
        if name in body.model_fields_set:
            found[name] = _budget(getattr(body, name), name)
    for name in ("thinking_budget", "thinking_token_budget", "reasoning_budget"):
        if name in kwargs:
            where = f"chat_template_kwargs.{name}"
            found[where] = _budget(kwargs[name], where)
    for group, name in (
        ("nvext", "max_thinking_tokens"),
        ("reasoning", "max_tokens"),
        ("thinking", "budget_tokens"),
    ):
        inner = getattr(body, group) or {}
        if name in inner:
            found[f"{group}.{name}"] = _budget(inner[name], f"{group}.{name}")
    return found


def _budget(value: Any, where: str) -> int | None:
    if value is None or value == -1:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad_request(
            f"{where}: got {shown(value)}, expected a whole number of tokens (-1 is unlimited)",
            where,
        )
    return value


def _effort(body: ChatRequest) -> str | None:
    efforts = {}
    if body.reasoning_effort is not None:
        efforts["reasoning_effort"] = body.reasoning_effort
    inner = (body.reasoning or {}).get("effort")
    if inner is not None:
        efforts["reasoning.effort"] = inner
    for where, value in efforts.items():
        if value not in EFFORTS:
            raise bad_request(
                f"{where}: got {shown(value)}, expected one of {', '.join(EFFORTS)}", where
            )
    if len(set(efforts.values())) > 1:
        raise bad_request("reasoning_effort and reasoning.effort differ", "reasoning_effort")
    return next(iter(efforts.values()), None)


def _switch(body: ChatRequest, kwargs: Mapping[str, Any]) -> bool | None:
    """What the request says outright."""
    for name in ("enable_thinking", "thinking"):
        value = kwargs.get(name)
        if value is None:
            continue
        if not isinstance(value, bool):
            raise bad_request(
                f"chat_template_kwargs.{name}: got {shown(value)}, expected true or false",
                f"chat_template_kwargs.{name}",
            )
        return value
    enabled = (body.reasoning or {}).get("enabled")
    if enabled is not None:
        if not isinstance(enabled, bool):
            raise bad_request("reasoning.enabled: expected true or false", "reasoning.enabled")
        return enabled
    kind = (body.thinking or {}).get("type")
    if body.thinking is not None:
        if kind not in ("enabled", "disabled"):
            raise bad_request(
                f"thinking.type: got {shown(kind)}, expected enabled or disabled", "thinking.type"
            )
        return bool(kind == "enabled")
    return None


def _default_mode(
    messages: Sequence[Mapping[str, Any]], settings: ServeSettings
) -> Literal["off", "on", "auto"]:
    """The server's default, which `/no_think` in a message may switch off."""
    if settings.reasoning != "on":
        return settings.reasoning
    return "auto" if any("/no_think" in text for text in _texts(messages)) else "on"


def _texts(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    texts = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            found = (p.get("text") for p in content if isinstance(p, dict))
            texts += [text for text in found if isinstance(text, str)]
    return texts
