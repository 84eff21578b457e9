"""Worked solutions and model-written traces: GSM8K, MetaMathQA, chat lines with think blocks.

A record with reasoning on is `<think>`, trace, `</think>`, blank line, answer. Traces pass the
filters of `traces`; what fails is dropped under the filter's name.

Source: training specification, sections 2.4 and 10.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    as_text,
    each,
    records,
    rng,
    with_trace,
)
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.parts import item_key, read_any
from nanovl.data.convert.sources import find_file
from nanovl.data.convert.templates import question
from nanovl.data.convert.traces import (
    MOST_TOKENS,
    Problem,
    choose_trace,
    split_trace,
    think_problem,
    trace_problem,
)
from nanovl.data.records import Fragment, Record, RecordMessage

__all__ = [
    "FORMATS",
    "convert_gsm8k",
    "convert_metamath",
    "convert_opencode",
    "convert_reasoning",
    "solved",
]

_CALCULATION = re.compile(r"<<[^<>\n]*>>")
_STATED = re.compile(r"^\s*The answer is:?\s*(?P<answer>.+?)\s*$", re.MULTILINE)
_SWITCH = re.compile(r"detailed thinking (on|off)|/(no_)?think", re.IGNORECASE)
_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}

MODE = {
    "mode": "on (default): reasoning-on records; both: loader draws on or off; twins: one of each",
    "max_tokens": "longest trace, in tokens of about four bytes (default 8192)",
}


def _unless(problem: Problem | None, name: str) -> None:
    if problem is not None:
        raise Malformed(problem.reason, f"{name}: {problem.message}")


# -- Problems with one answer --------------------------------------------------------------------


def solved(
    options: ConvertOptions, item: Item, *, source: str, asks: str, trace: str, answer: str
) -> list[Converted]:
    """A problem, its worked solution as the trace, and the answer alone behind it.

    Args:
        options: `mode` and `max_tokens`.
        item: For its id and place.
        source: Data set name.
        asks: The problem.
        trace: The solution without its closing statement of the answer.
        answer: The result alone.

    Raises:
        Malformed: The trace fails a filter.
    """
    mode = options.choice("mode", "on", ("on", "both", "twins"))
    limit = options.integer("max_tokens", MOST_TOKENS)
    _unless(trace_problem(trace, most_tokens=limit), "trace")
    key = f"{source}-{item_key(item, 'id')}"
    draw = rng(key, options.seed)
    form = "number_answer" if is_number(answer) else "short_answer"
    turn = Turn(
        question=question(form, draw, question=asks),
        answer=answer,
        trace=trace,
        reasoning=None if mode == "both" else "on",
        task="math",
    )
    turns = [turn]
    if mode == "twins":
        worked = f"{trace}\n\nAnswer: {answer}"
        asked = question("worked_problem", draw, question=asks)
        turns.append(Turn(question=asked, answer=worked, task="math_worked", key="off"))
    return records(options, id=key, turns=turns, source=source)


def convert_gsm8k(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of question and answer; `<<calculator>>` marks, result after `####`."""
    path = find_file(source, options, "{split}.jsonl*", "*{split}*.jsonl*")

    def make(item: Item) -> list[Converted]:
        solution, mark, result = item.text("answer").rpartition("####")
        result = result.strip().replace(",", "")
        if not mark or not result:
            raise Malformed("no_answer", "answer: does not end in '#### result'")
        trace = _CALCULATION.sub("", solution).strip()
        asks = item.text("question")
        return solved(options, item, source="gsm8k", asks=asks, trace=trace, answer=result)

    return each(read_any(path, options), make, options)


def convert_metamath(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Objects of query and response; the response ends in "The answer is: ..."."""
    path = find_file(source, options, "MetaMathQA*.json*", "*{split}*.json*")

    def make(item: Item) -> list[Converted]:
        response = item.text("response")
        stated = list(_STATED.finditer(response))
        if not stated:
            raise Malformed("no_answer", "response: does not say 'The answer is: ...'")
        trace = response[: stated[-1].start()].strip()
        trace = re.sub(r"\n####[^\n]*$", "", trace).strip()  # the result again, as in GSM8K
        answer = stated[-1]["answer"].rstrip(".")
        asks = item.text("query")
        return solved(options, item, source="metamath", asks=asks, trace=trace, answer=answer)

    return each(read_any(path, options), make, options)


# -- Chats with think blocks ---------------------------------------------------------------------


def convert_reasoning(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of messages (or input and output) whose last answer may hold a think block."""
    path = find_file(source, options, "*{split}*.jsonl*", "*.jsonl*", "*.json")
    name = str(options.extra.get("source", path.name.split(".")[0]))

    def make(item: Item) -> list[Converted]:
        messages = _chat(item, rng(f"{name}-{item_key(item, 'id', 'uuid')}", options.seed))
        flag = item.maybe("reasoning") or "on"
        if flag not in ("on", "off"):
            raise Malformed("bad_value", f"reasoning: got {flag!r}, expected on or off")
        return _traced(options, item, name, messages, flag == "on", item.maybe("category"))

    return each(read_any(path, options), make, options)


def convert_opencode(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of input (a programming task) and output (think block and code)."""
    path = find_file(source, options, "*{split}*.jsonl*", "*.jsonl*", "*.json")

    def make(item: Item) -> list[Converted]:
        asks = item.text("input")
        if asks == "-":
            raise Malformed("empty", "input: '-' stands for a task that is not included")
        messages = [_message("user", asks), _message("assistant", item.text("output"))]
        return _traced(options, item, "opencode", messages, True, "code")

    return each(read_any(path, options), make, options)


def _chat(item: Item, draw: Any) -> list[RecordMessage]:
    """The turns of a line, in whichever of the usual forms."""
    if item.data.get("generations"):
        asks = item.text("problem")
        return [_message("user", asks), _message("assistant", _generation(item, draw))]
    key = "messages" if item.data.get("messages") is not None else "input"
    if isinstance(item.data.get(key), str):
        messages = [_message("user", item.text(key))]
    else:
        messages = [_spoken(part) for part in item.children(key)]
    if system := item.maybe("system_prompt"):
        messages.insert(0, _message("system", system))
    if key == "input":
        messages.append(_message("assistant", item.text("output")))
    messages = [m for m in messages if m.role != "system" or not _SWITCH.fullmatch(m.text)]
    _check_turns(messages, key)
    return messages


def _generation(item: Item, draw: Any) -> str:
    """One of several written solutions whose answer is right (OpenR1)."""
    label = item.text("answer")
    texts = item.texts("generations")
    candidates = [split_trace(t) for t in texts if think_problem(t) is None and "</think>" in t]
    found = choose_trace(candidates, label, draw)
    if found is None:
        raise Malformed(
            "wrong_answer",
            f"generations: none of {len(texts)} is well-formed, sound and ends in {label!r}",
        )
    return with_trace(*found)


def _spoken(part: Item) -> RecordMessage:
    role = _ROLES.get(part.text("role"))
    if role is None:
        raise Malformed(
            "bad_value",
            f"{part.name('role')}: got {part.data['role']!r}, expected system, user or assistant",
        )
    return _message(role, as_text(part.get("content"), part.name("content")))


def _check_turns(messages: Sequence[RecordMessage], name: str) -> None:
    roles = [m.role for m in messages if m.role != "system"]
    wanted = ["user", "assistant"] * (len(roles) // 2)
    if not roles or roles != wanted or any(m.role == "system" for m in messages[1:]):
        found = ", ".join(m.role for m in messages) or "nothing"
        raise Malformed(
            "bad_turn_order", f"{name}: got {found}; expected user and assistant in turn"
        )


def _traced(
    options: ConvertOptions,
    item: Item,
    source: str,
    messages: Sequence[RecordMessage],
    use_trace: bool,
    task: str,
) -> list[Converted]:
    """The records of a chat; only the last answer keeps its trace."""
    mode = options.choice("mode", "on", ("on", "both", "twins"))
    limit = options.integer("max_tokens", MOST_TOKENS)
    cleaned = []
    trace = ""
    for index, message in enumerate(messages):
        if message.role == "assistant":
            _unless(think_problem(message.text), f"messages[{index}]")
            trace, answer = split_trace(message.text)
            message = _message("assistant", answer)
        if not message.text.strip():
            raise Malformed("empty", f"messages[{index}]: {message.role} says nothing")
        cleaned.append(message)
    answer = cleaned[-1].text
    key = f"{source}-{item_key(item, 'id', 'uuid')}"
    plain = Record(
        id=key, messages=tuple(cleaned), reasoning="off", source=source, task=task or "chat"
    )
    if not trace or not use_trace:
        return [Converted(plain)]
    label = item.maybe("answer") or item.maybe("expected_answer")
    _unless(trace_problem(trace, answer, label or None, most_tokens=limit), "trace")
    reasoning: Literal["on"] | None = None if mode == "both" else "on"
    with_it = (*cleaned[:-1], _message("assistant", with_trace(trace, answer)))
    made = [Converted(replace(plain, messages=with_it, reasoning=reasoning))]
    if mode == "twins":
        made.append(Converted(replace(plain, id=f"{key}-off")))
    return made


def _message(role: str, text: str) -> RecordMessage:
    return RecordMessage(role=role, content=(Fragment(type="text", value=text),))


FORMATS = (
    Format(
        name="gsm8k",
        description="GSM8K: grade-school problems, the solution as the trace",
        convert=convert_gsm8k,
        expects="<split>.jsonl of question and answer ('... #### result')",
        licence="MIT",
        options=MODE,
    ),
    Format(
        name="metamath",
        description="MetaMathQA: problems, the response as the trace",
        convert=convert_metamath,
        expects="MetaMathQA-395K.json, a list of query and response",
        licence="MIT",
        options=MODE,
    ),
    Format(
        name="reasoning-chat",
        description="Chats with <think> blocks (OpenR1, Nemotron post-training and their like)",
        convert=convert_reasoning,
        expects="JSON lines of messages, of input and output, or of problem and generations",
        options={**MODE, "source": "name of the data set (default: the file's)"},
    ),
    Format(
        name="opencode",
        description="OpenCodeReasoning: programming tasks, traces and code",
        convert=convert_opencode,
        expects="JSON lines of input and output",
        licence="CC BY 4.0",
        options=MODE,
    ),
)
