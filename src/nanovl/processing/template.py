"""The prompt format: a conversation becomes a sequence of pieces.

Knows turns, tools and reasoning; what a user turn holds is `nanovl.processing.content`. Encoding
and media sizes are the processor's job.

**Speech.** The model hears nothing; recognised speech enters as text, one block per audio file or
video with sound, after the pictures and videos of its message and before what the user wrote:

    Audio transcript of talk.mp4:
    [0.00s - 3.20s] Good morning.
    [3.20s - 5.00s] Let us begin.

Source: model specification, sections 8.1 and 8.4; training specification, sections 2.3 and 2.4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.core.conversation import Conversation, Message, TextPart, ToolCall
from nanovl.core.errors import InputError
from nanovl.core.generation import ReasoningParams
from nanovl.processing.content import cleaned, text_of, user_content
from nanovl.processing.pieces import Control, MessageMedia, Piece, Text, merged
from nanovl.processing.vocab import BOS, SYSTEM, TURN, TURN_END

__all__ = ["reasoning_enabled", "render", "render_training", "split_reasoning"]

_OFF_HEAD = "<think></think>"
_ON_HEAD = "<think>\n"
_ON_TAIL = "\n</think>\n\n"

_TOOLS_BLOCK = (
    "You can use the following tools to assist the user if required:\n"
    "<AVAILABLE_TOOLS>[{tools}]</AVAILABLE_TOOLS>\n\n"
    "If you decide to call any tool(s), use the following format:\n"
    '<TOOLCALL>[{{"name": "tool_name1", "arguments": "tool_args1"}}, '
    '{{"name": "tool_name2", "arguments": "tool_args2"}}]</TOOLCALL>\n\n'
    "The user will execute tool-calls and return responses from tool(s) in this format:\n"
    '<TOOL_RESPONSE>[{{"response": "tool_response1"}}, '
    '{{"response": "tool_response2"}}]</TOOL_RESPONSE>\n\n'
    "Based on the tool responses, you can call additional tools if needed, correct tool calls if "
    "any errors are found, or just respond to the user."
)


def reasoning_enabled(
    conversation: Conversation, reasoning: ReasoningParams | bool | None = None
) -> bool:
    """Whether the prompt ends in an open `<think>`.

    Args:
        conversation: Scanned for `/think` and `/no_think` (the last one wins, off without any)
            when `reasoning` leaves it open.
        reasoning: True / False / mode "on" / "off" decide; None and mode "auto" leave it to the
            conversation. A budget of 0 is off.
    """
    if isinstance(reasoning, ReasoningParams):
        if reasoning.budget == 0:
            return False
        reasoning = {"on": True, "off": False}.get(reasoning.mode)
    if reasoning is not None:
        return reasoning
    enabled = False
    for message in conversation.messages:
        if message.role not in ("system", "user"):
            continue
        for part in message.parts:
            text = part.text.replace("</think>", "") if isinstance(part, TextPart) else ""
            if "/think" in text:
                enabled = True
            elif "/no_think" in text:
                enabled = False
    return enabled


def render(
    conversation: Conversation,
    *,
    reasoning: bool | None = None,
    add_generation_prompt: bool = True,
    bos: bool = True,
    keep_history_reasoning: bool = True,
    media: Sequence[MessageMedia] | None = None,
) -> list[Piece]:
    """The prompt of a conversation.

    Several system messages are joined with a blank line, wherever they stand. Text that contains
    `<image>` (or `<video>`) exactly as often as its message has pictures (videos) places them;
    without media of that kind the string is ordinary text.

    Args:
        conversation: What was said.
        reasoning: Thinking on or off; None scans the messages.
        add_generation_prompt: Whether to end with the opening of an assistant turn.
        bos: Whether to begin with `<s>`.
        keep_history_reasoning: Whether earlier assistant turns keep their reasoning.
        media: Per message what its media is; None counts picture and video parts.

    Raises:
        InputError: Placeholders in the text do not match the media.
    """
    pieces = _opening(conversation, bos)
    for turn in _turns(conversation, media):
        if isinstance(turn, list):
            pieces += _user_turn(turn)
        else:
            pieces += _history_turn(turn, keep_history_reasoning)
    if add_generation_prompt:
        enabled = reasoning_enabled(conversation, reasoning)
        pieces += _assistant_head(_ON_HEAD if enabled else _OFF_HEAD)
    return merged(pieces)


def render_training(
    conversation: Conversation,
    *,
    reasoning: bool,
    bos: bool = True,
    loss: Sequence[bool] | None = None,
    mask_prompt_reasoning: bool = True,
    media: Sequence[MessageMedia] | None = None,
) -> list[Piece]:
    """A training sample: the same prompt, with what the model must generate marked.

    Reasoning off: traces are dropped and every assistant turn is supervised. Reasoning on: the
    last assistant turn keeps its trace and is supervised; earlier turns lose theirs and are not.
    What the inference prompt supplies (`<think>` and newline, or the closed pair) is not
    supervised; the answer, the line break behind it, `<SPECIAL_12>` and the last line break are.
    The ids of a sample are therefore those of `render` for the messages before the last answer,
    followed by the ids of that answer. (With several answers and reasoning off, the earlier ones
    carry the empty `<think></think>` they were generated after; `render` writes it for messages
    whose `reasoning` is "".)

    Args:
        conversation: Ends in an assistant message.
        reasoning: Which of the two; on needs a trace in the last assistant message, either as
            `Message.reasoning` or as `<think>` text.
        bos: Whether to begin with `<s>`; the 12B's training data did not have it.
        loss: Per assistant message whether it may be supervised; None is all.
        mask_prompt_reasoning: False also supervises what the inference prompt supplies.
        media: As for `render`.

    Raises:
        InputError: No assistant turn to learn from, malformed reasoning, wrong placeholders.
    """
    answers = [m for m in conversation.messages if m.role == "assistant"]
    allowed = [True] * len(answers) if loss is None else list(loss)
    if not answers or conversation.messages[-1].role != "assistant":
        raise InputError("training sample: expected an assistant message at the end")
    if len(allowed) != len(answers):
        raise InputError(f"training sample: {len(allowed)} loss flags, {len(answers)} answers")
    if reasoning:
        allowed[:-1] = [False] * (len(answers) - 1)
    if not any(allowed):
        raise InputError("training sample: no assistant message carries loss")
    pieces = _opening(conversation, bos)
    number = 0
    for turn in _turns(conversation, media):
        if isinstance(turn, list):
            pieces += _user_turn(turn)
            continue
        last = number == len(answers) - 1
        if reasoning and not last:
            pieces += _history_turn(turn, keep_reasoning=False)
        else:
            pieces += _learned_turn(turn, reasoning, allowed[number], mask_prompt_reasoning)
        number += 1
    return merged(pieces)


def split_reasoning(message: Message) -> tuple[str | None, str]:
    """Reasoning and answer of an assistant message.

    Returns:
        (reasoning or None, answer). Reasoning comes from the `reasoning` field, otherwise from a
        `<think>` block the text starts with.

    Raises:
        InputError: Tags that do not form exactly one block at the start.
    """
    text = cleaned(text_of(message)).strip()
    opened, closed = text.count("<think>"), text.count("</think>")
    if message.reasoning is not None:
        trace = cleaned(message.reasoning).strip()
        if opened or closed or "<think>" in trace or "</think>" in trace:
            raise InputError(
                "assistant message has a reasoning field and think tags in its text or in the "
                "field; give the trace without tags, once"
            )
        return trace, text
    if not opened and not closed:
        return None, text
    if opened != 1 or closed != 1 or not text.startswith("<think>") or "</think>" not in text[7:]:
        raise InputError(
            f"assistant message has {opened} <think> and {closed} </think>; expected one block at "
            "the start of the text"
        )
    trace, _, answer = text.removeprefix("<think>").partition("</think>")
    return trace.strip(), answer.strip()


# --- turns ------------------------------------------------------------------------------------


def _opening(conversation: Conversation, bos: bool) -> list[Piece]:
    systems = [m for m in conversation.messages if m.role == "system"]
    texts = [cleaned(text_of(m)).strip() for m in systems]
    if conversation.tools:
        tools = ", ".join(_json(tool.get("function", tool)) for tool in conversation.tools)
        texts.append(_TOOLS_BLOCK.format(tools=tools))
    text = "\n\n".join(text for text in texts if text)
    pieces: list[Piece] = [Control(BOS)] if bos else []
    return [*pieces, Control(SYSTEM), Text(f"System\n{text}\n")]


def _turns(
    conversation: Conversation, media: Sequence[MessageMedia] | None
) -> list[list[Piece] | Message]:
    """Content of user turns as pieces, assistant turns as messages; system turns are gone."""
    messages = conversation.messages
    turns: list[list[Piece] | Message] = []
    results: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            results.append(cleaned(text_of(message)).strip())
            if index + 1 == len(messages) or messages[index + 1].role != "tool":
                response = f"<TOOL_RESPONSE>[{', '.join(results)}]</TOOL_RESPONSE>"
                turns.append([Text(response)])
                results = []
        elif message.role == "user":
            found = MessageMedia.of(message) if media is None else media[index]
            turns.append(user_content(message, index, found))
        elif message.role == "assistant":
            turns.append(message)
    return turns or [[]]


def _user_turn(content: list[Piece]) -> list[Piece]:
    return [Control(TURN), Text("User\n"), *content, Text("\n")]


def _assistant_head(head: str) -> list[Piece]:
    return [Control(TURN), Text(f"Assistant\n{head}")]


def _turn_end(supervised: bool = False) -> list[Piece]:
    return [Control(TURN_END, supervised), Text("\n", supervised)]


def _history_turn(message: Message, keep_reasoning: bool) -> list[Piece]:
    """An assistant turn as given; reasoning from its field is cut where it was generated."""
    content = cleaned(text_of(message)).strip()
    if keep_reasoning and message.reasoning is not None:
        trace = cleaned(message.reasoning).strip()
        head, tail = _reasoned(trace, content + _calls(message, content))
        return [*_assistant_head(head), Text(tail, joined=False), *_turn_end()]
    if not keep_reasoning:
        content = _without_reasoning(content)
    return [*_assistant_head(content + _calls(message, content) + "\n"), *_turn_end()]


def _without_reasoning(text: str) -> str:
    """The answer in a history text; forgiving, because people send what they have."""
    trace, closed, answer = text.partition("</think>")
    if trace.startswith("<think>") or (closed and "<think>" not in trace):
        return answer.strip()
    return text


def _learned_turn(message: Message, reasoning: bool, loss: bool, mask_head: bool) -> list[Piece]:
    trace, answer = split_reasoning(message)
    if reasoning and not trace:
        raise InputError(
            "training sample with reasoning on: the last assistant message has no reasoning; "
            "render it with reasoning off"
        )
    answer += _calls(message, answer)
    if not answer:
        raise InputError("training sample: an assistant message is empty")
    head, tail = _reasoned(trace or "" if reasoning else "", answer)
    opening = _assistant_head(head)
    if not mask_head:
        opening = [*_assistant_head(""), Text(head, supervised=loss, joined=False)]
    return [*opening, Text(tail, supervised=loss, joined=False), *_turn_end(loss)]


def _reasoned(trace: str, answer: str) -> tuple[str, str]:
    """What the prompt supplies, and what is generated after it."""
    if not trace:
        return _OFF_HEAD, answer + "\n"
    return _ON_HEAD, f"{trace}{_ON_TAIL}{answer}\n"


def _calls(message: Message, content: str) -> str:
    """The tool calls of an assistant turn, as text."""
    if not message.tool_calls:
        return ""
    calls = ", ".join(map(_call, message.tool_calls))
    gap = "\n\n" if content else ""
    return f"{gap}<TOOLCALL>[{calls}]</TOOLCALL>"


def _call(call: ToolCall) -> str:
    arguments = call.arguments if isinstance(call.arguments, str) else _json(call.arguments)
    return f'{{"name": {_json(call.name)}, "arguments": {arguments}}}'


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"tool description or argument is not JSON: {error}") from error
