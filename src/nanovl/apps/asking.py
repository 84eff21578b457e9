"""Questions whose answers a program reads: JSON that keeps to a schema, whatever the model is like.

Every application asks through here. Answers are decoded under a grammar, so that a weak model
gives poor content but never a broken form; one that does not come to an end is asked again with
less room for words. Knows no media and no application.

Source: serving specification, section 9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanovl.apps.schemas import bounded, in_order
from nanovl.core.errors import InputError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.core.conversation import Part
    from nanovl.engine.vlm import NanoVL

__all__ = ["Question", "ask", "ask_each", "fits", "matches", "printable", "room"]

# Longest string, its share of the tokens of the answer, longest list, how tokens are chosen.
_TRIES: tuple[tuple[int, int, int, dict[str, Any]], ...] = (
    (400, 2, 64, {}),
    (160, 8, 16, {"temperature": 0.7, "seed": 1}),
    (60, 24, 3, {"temperature": 1.0, "seed": 2}),
)
_SHORTEST = 8
# What the last try may take of the context, in times of what was asked for.
_LAST = 4
_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        prompt: What is asked.
        schema: JSON schema of the answer.
        files: Media in front of it.
        about: What it is about, for messages: "page 3".
    """

    prompt: str
    schema: Mapping[str, Any]
    files: Sequence[Part] = ()
    about: str = "the answer"


def ask(
    model: NanoVL,
    question: Question,
    *,
    max_tokens: int = 1024,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> Any:
    """The answer to one question, as a JSON value that keeps to its schema.

    Args:
        model: Who answers.
        question: What is asked.
        max_tokens: Longest answer; bounded by the context.
        on_event: Told about the progress of long prompts.
        **options: Further arguments of `NanoVL.chat`.

    Raises:
        InputError: Media or schema that cannot be used, or a prompt beyond the context.
        NanoVLError: The model does not bring its answer to an end.
    """
    return ask_each(model, [question], max_tokens=max_tokens, on_event=on_event, **options)[0]


def ask_each(
    model: NanoVL,
    questions: Sequence[Question],
    *,
    max_tokens: int = 1024,
    on_event: OnEvent = ignore_event,
    name: str = "answer",
    unit: str = "answers",
    **options: Any,
) -> list[Any]:
    """Answers to several questions, a few of them decoded together.

    Args:
        model: Who answers.
        questions: What is asked.
        max_tokens: Longest answer; bounded by the context.
        on_event: Told about every few answers, as `name` in `unit`, when there are several.
        name, unit: Words of those events.
        **options: Further arguments of `NanoVL.chat`.

    Returns:
        One JSON value per question, in order.

    Raises:
        InputError, NanoVLError: As `ask`.
    """
    answers: list[Any] = []
    for begin in range(0, len(questions), _AT_ONCE):
        if len(questions) > 1:
            on_event(Event(name=name, done=begin, total=len(questions), unit=unit))
        answers += _group(model, questions[begin : begin + _AT_ONCE], max_tokens, options, on_event)
    return answers


def _group(
    model: NanoVL,
    questions: Sequence[Question],
    max_tokens: int,
    options: Mapping[str, Any],
    on_event: OnEvent,
) -> list[Any]:
    """Ask a few questions together; those whose answer is cut off once more."""
    answers: dict[int, Any] = {}
    left = list(range(len(questions)))
    for number, (longest, share, most, changes) in enumerate(_TRIES, start=1):
        chars = max(_SHORTEST, min(longest, max_tokens // share))
        tokens = max_tokens * (_LAST if number == len(_TRIES) else 1)
        requests = [
            _request(
                model,
                questions[i],
                bounded(questions[i].schema, chars, most, tighten=number > 1),
                tokens,
            )
            for i in left
        ]
        given = {**options, **changes, "reasoning": "off"}
        for i, answer in zip(left, model.batch(requests, on_event=on_event, **given), strict=True):
            if answer.finish_reason != "length":
                answers[i] = _read(answer.text, questions[i].about)
        left = [i for i in left if i not in answers]
        if not left:
            return [answers[i] for i in range(len(questions))]
    question = questions[left[0]]
    raise NanoVLError(
        f"{question.about}: the model does not come to the end of its answer within {max_tokens} "
        "tokens; raise the number of tokens, simplify the schema, or use a larger model"
    )


def _request(
    model: NanoVL, question: Question, schema: Mapping[str, Any], max_tokens: int
) -> dict[str, Any]:
    left = room(model, question.prompt, question.files)
    if left < 1:
        raise InputError(
            f"{question.about}: the prompt leaves no room for an answer in the context of "
            f"{model.engine.context_length} tokens; use fewer pages, frames or tiles"
        )
    return {
        "messages": question.prompt,
        "files": list(question.files),
        "max_tokens": min(max_tokens, left),
        "response_format": _response_format(schema),
    }


def room(model: NanoVL, prompt: str, files: Sequence[Part] = (), **media: Any) -> int:
    """Tokens a prompt leaves for its answer; below 1 when it does not fit."""
    count = model.count_tokens(prompt, files=files, **media).total
    return min(model.engine.context_length, model.engine.kv_tokens) - count


def fits(
    model: NanoVL, prompt: str, files: Sequence[Part], answer_tokens: int, **media: Any
) -> bool:
    """Whether a prompt and an answer of that length fit the context."""
    return room(model, prompt, files, **media) >= answer_tokens


def matches(model: NanoVL, schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value keeps to a schema, by the grammar answers are decoded under.

    Args:
        model: Whose tokenizer the grammar is made for.
        schema: The schema.
        value: A JSON value; members of objects are put into the order of the schema.

    Raises:
        InputError: The schema cannot be used.
    """
    plan = model.plan("", response_format=_response_format(schema), max_tokens=1)
    assert plan.constraint is not None, "a response format makes a constraint"
    state = plan.constraint.start()
    text = json.dumps(in_order(schema, value), ensure_ascii=False)
    tokenizer = model.tokenizer
    try:
        for token in tokenizer.encode(text):
            state.accept(token)
        return state.done or bool(state.mask()[list(tokenizer.eos_ids)].any())
    except NanoVLError:
        return False


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}


def _read(text: str, about: str) -> Any:
    try:
        return printable(json.loads(text))
    except ValueError as error:
        raise NanoVLError(
            f"{about}: the answer is no JSON ({error}), although it was decoded as such"
        ) from error


def printable(value: Any) -> Any:
    """The same JSON value without control characters and half surrogate pairs in its strings."""
    if isinstance(value, str):
        whole = value.encode("utf-8", "replace").decode()
        return "".join(c for c in whole if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f"))
    if isinstance(value, dict):
        return {key: printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value
