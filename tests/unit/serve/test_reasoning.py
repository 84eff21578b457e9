"""All names of thinking budgets mean the same; contradictions are errors."""

from __future__ import annotations

from typing import Any

import pytest

from nanovl.core.generation import ReasoningParams
from nanovl.serve.errors import ApiError
from nanovl.serve.reasoning import EFFORTS, read_thinking
from nanovl.serve.schema import ChatRequest, validated
from nanovl.serve.settings import ServeSettings

NAMES: list[dict[str, Any]] = [
    {"thinking_token_budget": 700},
    {"reasoning_budget": 700},
    {"max_thinking_tokens": 700},
    {"max_thinking_budget": 700},
    {"thinking_budget": 700},
    {"nvext": {"max_thinking_tokens": 700}},
    {"chat_template_kwargs": {"thinking_budget": 700}},
    {"chat_template_kwargs": {"thinking_token_budget": 700}},
    {"reasoning": {"max_tokens": 700}},
    {"thinking": {"type": "enabled", "budget_tokens": 700}},
]


def read(
    fields: dict[str, Any], text: str = "hi", settings: ServeSettings | None = None
) -> ReasoningParams:
    body = {"messages": [{"role": "user", "content": text}], **fields}
    return read_thinking(validated(ChatRequest, body), settings or ServeSettings()).params


@pytest.mark.parametrize("fields", NAMES, ids=str)
def test_every_name_of_a_budget_means_the_same(fields: dict[str, Any]) -> None:
    assert read(fields) == ReasoningParams(mode="on", budget=700)


@pytest.mark.parametrize("fields", NAMES[:5], ids=str)
def test_minus_one_and_null_are_unlimited_and_zero_is_off(fields: dict[str, Any]) -> None:
    name = next(iter(fields))
    assert read({name: -1}) == ReasoningParams(mode="on")
    assert read({name: None}) == ReasoningParams(mode="on")
    assert read({name: 0}) == ReasoningParams(mode="off")


def test_equal_values_under_two_names_are_fine_and_different_ones_an_error() -> None:
    assert read({"thinking_budget": 5, "reasoning": {"max_tokens": 5}}).budget == 5
    for other in NAMES[1:]:
        with pytest.raises(ApiError, match="contradict") as caught:
            read({"thinking_token_budget": 5, **other})
        assert caught.value.status == 400


@pytest.mark.parametrize("effort", EFFORTS)
def test_efforts_are_budgets(effort: str) -> None:
    expected = (
        ReasoningParams(mode="off")
        if effort == "none"
        else ReasoningParams(mode="on", budget=EFFORTS[effort])
    )
    assert read({"reasoning_effort": effort}) == expected
    assert read({"reasoning": {"effort": effort}}) == expected


def test_stronger_sources_win() -> None:
    on, off = ({"chat_template_kwargs": {"enable_thinking": v}} for v in (True, False))
    assert read({**off, "thinking_budget": 500}).mode == "off"
    assert read({**off, "reasoning_effort": "high"}).mode == "off"
    assert read({**on, "reasoning_effort": "none"}).mode == "on"
    assert read({"thinking_budget": 0, "reasoning_effort": "high"}).mode == "off"
    assert read({"thinking_budget": 5, "reasoning_effort": "high"}).budget == 5
    assert read({"reasoning": {"enabled": False}}).mode == "off"
    assert read({"thinking": {"type": "disabled"}}).mode == "off"


def test_the_server_decides_when_nothing_is_said() -> None:
    assert read({}).mode == "auto"
    on = ServeSettings(reasoning="on", reasoning_budget=900)
    assert read({}, settings=on) == ReasoningParams(mode="on", budget=900)
    assert read({}, "please /no_think", settings=on).mode == "auto"
    assert read({"reasoning_effort": "none"}, settings=on).mode == "off"
    assert read({}, settings=ServeSettings(reasoning_budget=0)).mode == "off"


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking_token_budget": True},
        {"thinking_token_budget": 1.5},
        {"thinking_token_budget": -2},
        {"thinking_token_budget": "9"},
        {"nvext": {"max_thinking_tokens": -5}},
        {"chat_template_kwargs": {"thinking_budget": "many"}},
        {"chat_template_kwargs": {"enable_thinking": "yes"}},
        {"chat_template_kwargs": {"chat_template": "{{ x }}"}},
        {"chat_template_kwargs": {"messages": []}},
        {"chat_template_kwargs": {"tokenize": False}},
        {"reasoning_effort": "enormous"},
        {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
        {"reasoning": {"enabled": 1}},
        {"thinking": {"type": "maybe"}},
        {"nanovl_budget_mode": "soft"},
    ],
    ids=str,
)
def test_wrong_values_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        read(fields)
    assert caught.value.status == 400
    assert caught.value.param is not None
    assert caught.value.param.split(".")[0] in fields


def test_unknown_template_variables_are_reported() -> None:
    body = validated(
        ChatRequest,
        {
            "messages": [{"role": "user", "content": "hi"}],
            "chat_template_kwargs": {"style": "x", "thinking_budget": 3},
            "nanovl_budget_mode": "hard",
        },
    )
    found = read_thinking(body, ServeSettings())
    assert found.ignored == ("chat_template_kwargs.style",)
    assert found.budget_mode == "hard"
