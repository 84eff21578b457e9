"""The prompt format: a conversation becomes a sequence of pieces.

Three kinds of piece keep trust apart: `Control` (a control token the template put there), `Text`
(anything else, never able to become a control token) and `Slot` (where a picture or video goes).
Encoding and media sizes are the processor's job.

**Speech.** The model hears nothing; recognised speech enters as text, one block per audio file or
video with sound, after the pictures and videos of its message and before what the user wrote:

    Audio transcript of talk.mp4:
    [0.00s - 3.20s] Good morning.
    [3.20s - 5.00s] Let us begin.

Source: model specification, sections 8.1 and 8.4; training specification, sections 2.3 and 2.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.core.generation import ReasoningParams
from nanovl.processing.vocab import BOS, SYSTEM, TURN, TURN_END

__all__ = [
    "Control",
    "MessageMedia",
    "Piece",
    "Slot",
    "Text",
    "reasoning_enabled",
    "render",
    "render_text",
    "render_training",
    "split_reasoning",
]

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


@dataclass(frozen=True)
class Control:
    """A control token, by name."""

    name: str
    supervised: bool = False


@dataclass(frozen=True)
class Text:
    """Ordinary text.

    Attributes:
        text: Never empty in a rendered prompt.
        supervised: Whether a trainer predicts it.
        joined: Whether it is encoded as one string with text right before it (the rule). False
            where generation starts, so that a rendered history has the ids that were generated.
    """

    text: str
    supervised: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Slot:
    """Where the `number`-th picture or video of message `message` goes (both from 0)."""

    kind: Literal["image", "video"]
    message: int
    number: int


Piece = Control | Text | Slot


@dataclass(frozen=True, kw_only=True)
class MessageMedia:
    """What the media parts of one message turned out to be.

    Attributes:
        images: Pictures, pages of documents included.
        videos: Videos.
        speech: Transcript blocks, each ending in a newline.
    """

    images: int = 0
    videos: int = 0
    speech: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: Message) -> MessageMedia:
        """Count the media of a message that holds only pictures and videos.

        Raises:
            InputError: A document or audio part, whose pages or speech are not known here.
        """
        images = sum(isinstance(p, ImagePart) for p in message.media)
        videos = sum(isinstance(p, VideoPart) for p in message.media)
        if images + videos != len(message.media):
            raise InputError(
                "documents and audio must be opened before rendering; use Processor.plan"
            )
        return cls(images=images, videos=videos)


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
    turns = _turns(conversation, media)
    for turn in turns:
        pieces += (
            _user_turn(turn)
            if isinstance(turn, list)
            else _history_turn(turn, keep_history_reasoning)
        )
    if add_generation_prompt:
        enabled = reasoning_enabled(conversation, reasoning)
        pieces += _assistant_head(_ON_HEAD if enabled else _OFF_HEAD)
    return _merged(pieces)


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
    The ids of a sample are therefore those of `render` for the messages before the answer,
    followed by the ids of the answer.

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
    return _merged(pieces)


def render_text(pieces: Sequence[Piece]) -> str:
    """The prompt as one string, with `<image>` / `<video>` for media; for people and tests."""
    words = []
    for piece in pieces:
        if isinstance(piece, Slot):
            words.append(f"<{piece.kind}>")
        else:
            words.append(piece.name if isinstance(piece, Control) else piece.text)
    return "".join(words)


def split_reasoning(message: Message) -> tuple[str | None, str]:
    """Reasoning and answer of an assistant message.

    Returns:
        (reasoning or None, answer). Reasoning comes from the `reasoning` field, otherwise from a
        `<think>` block the text starts with.

    Raises:
        InputError: Tags that do not form exactly one block at the start.
    """
    text = _cleaned(_text_of(message)).strip()
    opened, closed = text.count("<think>"), text.count("</think>")
    if message.reasoning is not None:
        if opened or closed:
            raise InputError(
                "assistant message has a reasoning field and think tags in its text; use one"
            )
        return message.reasoning, text
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
    texts = [_cleaned(_text_of(m)).strip() for m in systems]
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
            results.append(_cleaned(_text_of(message)).strip())
            if index + 1 == len(messages) or messages[index + 1].role != "tool":
                response = f"<TOOL_RESPONSE>[{', '.join(results)}]</TOOL_RESPONSE>"
                turns.append([Text(response)])
                results = []
        elif message.role == "user":
            found = MessageMedia.of(message) if media is None else media[index]
            turns.append(_user_content(message, index, found))
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
    content = _cleaned(_text_of(message)).strip()
    if keep_reasoning and message.reasoning is not None:
        reasoning, answer = split_reasoning(message)
        head, tail = _reasoned((reasoning or "").strip(), answer + _calls(message, answer))
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
    if reasoning and not (trace or "").strip():
        raise InputError(
            "training sample with reasoning on: the last assistant message has no reasoning; "
            "render it with reasoning off"
        )
    answer += _calls(message, answer)
    if not answer:
        raise InputError("training sample: an assistant message is empty")
    head, tail = _reasoned((trace or "").strip() if reasoning else "", answer)
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


# --- content ----------------------------------------------------------------------------------


def _user_content(message: Message, index: int, media: MessageMedia) -> list[Piece]:
    text = "".join(_cleaned(p.text) for p in message.parts if isinstance(p, TextPart))
    front: list[Piece] = []
    placed: dict[str, list[Slot]] = {}
    for kind, count in (("image", media.images), ("video", media.videos)):
        slots = [Slot(kind, index, number) for number in range(count)]  # type: ignore[arg-type]
        written = text.count(f"<{kind}>") if count else 0
        if written and written != count:
            raise InputError(
                f"messages[{index}]: the text contains <{kind}> {written} times but the message "
                f"has {count} {kind}s (document pages count as images); write it {count} times to "
                "place them, or not at all"
            )
        if written:
            placed[kind] = slots
        elif kind == "image" and count > 1:
            for number, slot in enumerate(slots):
                front += [Text(f"{' ' if number else ''}<image {number + 1}>"), slot]
            front.append(Text("\n"))
        else:
            for slot in slots:
                front += [slot, Text("\n")]
    front += [Text(block) for block in media.speech]
    if front:
        text = text.lstrip("\n")
    return _stripped([*front, *_with_slots(text, placed)])


def _with_slots(text: str, placed: Mapping[str, list[Slot]]) -> list[Piece]:
    """Cut text at the placeholders its author placed."""
    if not placed:
        return [Text(text)]
    waiting = {f"<{kind}>": iter(slots) for kind, slots in placed.items()}
    pattern = "|".join(f"({re.escape(marker)})" for marker in waiting)
    return [
        next(waiting[word]) if word in waiting else Text(word)
        for word in re.split(pattern, text)
        if word
    ]


def _stripped(pieces: list[Piece]) -> list[Piece]:
    """Drop white space at both ends."""
    for end, strip in ((0, str.lstrip), (-1, str.rstrip)):
        while pieces and isinstance(piece := pieces[end], Text):
            if rest := strip(piece.text):
                pieces[end] = Text(rest)
                break
            pieces.pop(end)
    return pieces


def _cleaned(text: str) -> str:
    """Remove the thinking switches, but not from inside `</think>`."""
    return "</think>".join(
        part.replace("/think", "").replace("/no_think", "") for part in text.split("</think>")
    )


def _text_of(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"tool description or argument is not JSON: {error}") from error


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Join text that is encoded as one string; drop empty text."""
    result: list[Piece] = []
    for piece in pieces:
        before = result[-1] if result else None
        if isinstance(piece, Text):
            if not piece.text:
                continue
            if isinstance(before, Text) and piece.joined and before.supervised == piece.supervised:
                result[-1] = Text(before.text + piece.text, before.supervised, before.joined)
                continue
        result.append(piece)
    return result
