"""The training record: what one line of a data set says.

A record is a conversation with the names of its media, as in the released data set: `id`,
`messages` of `role` and `content`, `content` a list of typed fragments, and nanovl's optional
keys. This module checks every field, says exactly where something is wrong, and turns a record
into the conversation the processor takes. It opens no media.

Source: training specification, sections 2.1 and 10.4.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from nanovl.core.config import nearest
from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    TranscriptSegment,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.data.drops import Dropped
from nanovl.data.jsonl import JsonlFile, read_jsonl

if TYPE_CHECKING:
    from nanovl.data.media import MediaStore

__all__ = ["FRAGMENT_TYPES", "Fragment", "JsonlFile", "Record", "RecordMessage", "read_jsonl"]

Reasoning = Literal["on", "off"]
FRAGMENT_TYPES = ("text", "image", "video", "audio")
_ROLES = ("system", "user", "assistant", "tool")
_MODES = ("on", "off")
_RECORD_KEYS = frozenset(
    ("id", "messages", "reasoning", "source", "weight", "tools", "task", "metadata")
)
_MESSAGE_KEYS = frozenset(("role", "content", "loss", "tool_calls"))
_CALL_KEYS = frozenset(("name", "arguments", "id"))
_FRAGMENT_KEYS = {kind: frozenset(("type", kind, "metadata")) for kind in FRAGMENT_TYPES}
_SEGMENT_KEYS = frozenset(("start_s", "end_s", "text", "confidence"))
# Who may speak before whom; "" is the start.
_BEFORE = {"assistant": ("user", "tool"), "tool": ("assistant", "tool")}
_TRACE = re.compile(r"<think>(.*?)</think>", re.S)


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """A piece of a message.

    Attributes:
        type: "text", "image", "video" or "audio".
        value: The text, or the name of a media file.
        metadata: Facts about it. Of a video, `start_s`, `end_s` (seconds) and `fps` select what is
            looked at; of video and audio, `transcript` is what is said: a text, or a list of
            `{"start_s", "end_s", "text"}`. Other keys (`width`, `url`, ...) are kept.
    """

    type: str
    value: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordMessage:
    """One turn.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        content: Fragments in order; media in user turns only.
        loss: Whether an assistant turn is learned from; always false for the other roles.
        tool_calls: `{"name", "arguments"}`, arguments an object or a JSON string; `id` optional.
    """

    role: str
    content: tuple[Fragment, ...]
    loss: bool = True
    tool_calls: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.role != "assistant" and self.loss:
            object.__setattr__(self, "loss", False)

    @property
    def text(self) -> str:
        """All text fragments as one string."""
        return "".join(f.value for f in self.content if f.type == "text")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One sample on disk.

    Attributes:
        id: Unique in its data set.
        messages: At least one.
        reasoning: "on" renders the trace, "off" drops it, None leaves the choice to the loader.
        source: Name for per-source metrics; "" takes the name of the data set.
        weight: Sample weight in the loss, at least 0.
        tools: Function descriptions, as in `Conversation.tools`.
        task: What is asked for, for statistics.
        metadata: Anything else.
    """

    id: str
    messages: tuple[RecordMessage, ...]
    reasoning: Reasoning | None = None
    source: str = ""
    weight: float = 1.0
    tools: tuple[Mapping[str, Any], ...] = ()
    task: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, obj: Any, *, where: str = "record") -> Record:
        """Check a parsed line and make a record of it.

        Args:
            obj: What `json.loads` gave.
            where: File and line, for messages: "charts.jsonl:12".

        Raises:
            InputError: Something is not as the format says; names file, line and field. Turns in
                an order no conversation has raise its subclass `Dropped` ("bad_turn_order").
        """
        _object(obj, _RECORD_KEYS, where, "")
        messages = _list(obj.get("messages"), where, "messages")
        if not messages:
            _fail(where, "messages", "is empty, expected at least one message")
        reasoning = obj.get("reasoning")
        if reasoning is not None and (not isinstance(reasoning, str) or reasoning not in _MODES):
            _not_one_of(where, "reasoning", reasoning, _MODES, "or null")
        record = cls(
            id=_text(obj.get("id"), where, "id", filled=True),
            messages=tuple(_message(m, where, f"messages[{i}]") for i, m in enumerate(messages)),
            reasoning=cast("Reasoning | None", reasoning),
            source=_text(obj.get("source", ""), where, "source"),
            weight=_weight(obj.get("weight", 1.0), where),
            tools=_tools(obj.get("tools"), where),
            task=_text(obj.get("task", ""), where, "task"),
            metadata=_metadata(obj.get("metadata"), where, "metadata"),
        )
        _check_order(record.messages, where)
        return record

    def to_json(self) -> dict[str, Any]:
        """The record as `json.dumps` takes it; optional keys with their defaults are left out."""
        made: dict[str, Any] = {
            "id": self.id,
            "messages": [_message_json(m) for m in self.messages],
        }
        if self.reasoning is not None:
            made["reasoning"] = self.reasoning
        if self.source:
            made["source"] = self.source
        if self.weight != 1.0:
            made["weight"] = self.weight
        if self.tools:
            made["tools"] = [dict(tool) for tool in self.tools]
        if self.task:
            made["task"] = self.task
        if self.metadata:
            made["metadata"] = dict(self.metadata)
        return made

    def conversation(self, media: MediaStore) -> Conversation:
        """What the processor takes; `<think>` blocks stay in the text.

        Args:
            media: Where the names of media fragments lead.

        Raises:
            InputError: A media file is missing, or its metadata is of no use.
        """
        messages = []
        for i, message in enumerate(self.messages):
            parts = tuple(
                _part(fragment, media, self.id, f"messages[{i}].content[{j}]")
                for j, fragment in enumerate(message.content)
            )
            calls = tuple(
                ToolCall(name=c["name"], arguments=c["arguments"], id=c.get("id", ""))
                for c in message.tool_calls
            )
            messages.append(Message(role=cast(Any, message.role), parts=parts, tool_calls=calls))
        return Conversation(
            messages=tuple(messages), tools=self.tools, metadata={"id": self.id, **self.metadata}
        )

    @functools.cached_property
    def media(self) -> tuple[Fragment, ...]:
        """All media fragments, in order."""
        return tuple(f for m in self.messages for f in m.content if f.type != "text")

    @property
    def loss_flags(self) -> tuple[bool, ...]:
        """Whether each assistant message is learned from, in order."""
        return tuple(m.loss for m in self.messages if m.role == "assistant")

    @property
    def has_trace(self) -> bool:
        """Whether the last assistant message holds a think block that is not empty."""
        for message in reversed(self.messages):
            if message.role == "assistant":
                found = _TRACE.search(message.text)
                return found is not None and bool(found.group(1).strip())
        return False


# --- reading ------------------------------------------------------------------------------------


def _message(obj: Any, where: str, path: str) -> RecordMessage:
    _object(obj, _MESSAGE_KEYS, where, path)
    role = obj.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        _not_one_of(where, f"{path}.role", role, _ROLES)
    calls = _calls(obj.get("tool_calls"), where, f"{path}.tool_calls")
    if calls and role != "assistant":
        _fail(where, f"{path}.tool_calls", f"{role} message; only assistant messages call tools")
    content = obj.get("content")
    if isinstance(content, str):
        fragments: tuple[Fragment, ...] = (Fragment(type="text", value=content),)
    elif content is None and calls:
        fragments = ()
    elif isinstance(content, list):
        fragments = tuple(
            _fragment(f, where, f"{path}.content[{j}]", role) for j, f in enumerate(content)
        )
    else:
        _fail(where, f"{path}.content", f"got {_shown(content)}, expected a list of fragments")
    if not fragments and not calls:
        _fail(where, f"{path}.content", "is empty, expected at least one fragment")
    loss = obj.get("loss", True)
    if not isinstance(loss, bool):
        _fail(where, f"{path}.loss", f"got {_shown(loss)}, expected true or false")
    if loss and "loss" in obj and role != "assistant":
        _fail(where, f"{path}.loss", f"got true on a {role} message; only assistant messages count")
    return RecordMessage(role=role, content=fragments, loss=loss, tool_calls=calls)


def _fragment(obj: Any, where: str, path: str, role: str) -> Fragment:
    if not isinstance(obj, dict):
        _fail(where, path, f"got {_shown(obj)}, expected a fragment with a type")
    kind = obj.get("type")
    if not isinstance(kind, str) or kind not in _FRAGMENT_KEYS:
        _not_one_of(where, f"{path}.type", kind, FRAGMENT_TYPES)
    _object(obj, _FRAGMENT_KEYS[kind], where, path)
    if kind == "text":
        value = _text(obj.get("text"), where, f"{path}.text")
    else:
        if role != "user":
            _fail(where, path, f"{kind} of the {role}; only user messages carry media")
        value = _text(obj.get(kind), where, f"{path}.{kind}", filled=True)
    metadata = _metadata(obj.get("metadata"), where, f"{path}.metadata")
    if metadata and kind in ("video", "audio"):
        _transcript(metadata, where, f"{path}.metadata")
        if kind == "video":
            _window(metadata, where, f"{path}.metadata")
    return Fragment(type=kind, value=value, metadata=metadata)


def _calls(obj: Any, where: str, path: str) -> tuple[dict[str, Any], ...]:
    if obj is None:
        return ()
    made = []
    for i, call in enumerate(_list(obj, where, path)):
        here = f"{path}[{i}]"
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            # The wrapped form of the OpenAI interface.
            _object(call, frozenset(("type", "function", "id")), where, here)
            inner = {"id": call["id"]} if "id" in call else {}
            call, here = {**call["function"], **inner}, f"{here}.function"
        _object(call, _CALL_KEYS, where, here)
        arguments = call.get("arguments")
        if not isinstance(arguments, (dict, str)):
            _fail(
                where,
                f"{here}.arguments",
                f"got {_shown(arguments)}, expected an object or a JSON string",
            )
        name = _text(call.get("name"), where, f"{here}.name", filled=True)
        one: dict[str, Any] = {"name": name, "arguments": arguments}
        if "id" in call:
            one["id"] = _text(call["id"], where, f"{here}.id")
        made.append(one)
    return tuple(made)


def _tools(obj: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    if obj is None:
        return ()
    tools = _list(obj, where, "tools")
    for i, tool in enumerate(tools):
        if not isinstance(tool, dict):
            _fail(where, f"tools[{i}]", f"got {_shown(tool)}, expected an object")
        inner = tool.get("function", tool)
        name = inner.get("name") if isinstance(inner, dict) else None
        if not isinstance(name, str) or not name:
            _fail(where, f"tools[{i}].name", f"got {_shown(name)}, expected a function name")
    return tuple(tools)


def _weight(obj: Any, where: str) -> float:
    if isinstance(obj, bool) or not isinstance(obj, (int, float)):
        _fail(where, "weight", f"got {_shown(obj)}, expected a number")
    if not (math.isfinite(obj) and obj >= 0):
        _fail(where, "weight", f"got {obj}, expected a finite number of at least 0")
    return float(obj)


def _check_order(messages: Sequence[RecordMessage], where: str) -> None:
    previous = ""
    for i, message in enumerate(messages):
        role = message.role
        if role == "system" and i:
            expected = "the system message first, and only one"
        elif role in _BEFORE and previous not in _BEFORE[role]:
            expected = f"a {' or '.join(_BEFORE[role])} message before it"
        else:
            previous = role
            continue
        after = f"after {messages[i - 1].role}" if i else "first"
        raise Dropped(
            "bad_turn_order",
            f"{where}: messages[{i}].role: got {role!r} {after}, expected {expected}",
        )


# --- metadata -----------------------------------------------------------------------------------


def _part(fragment: Fragment, media: MediaStore, record: str, path: str) -> Part:
    if fragment.type == "text":
        return TextPart(text=fragment.value)
    source = media.find(fragment.value)
    if fragment.type == "image":
        return ImagePart(source=source)
    transcript = _transcript(fragment.metadata, record, f"{path}.metadata")
    if fragment.type == "audio":
        return AudioPart(source=source, transcript=transcript)
    start_s, end_s, fps = _window(fragment.metadata, record, f"{path}.metadata")
    return VideoPart(source=source, start_s=start_s, end_s=end_s, fps=fps, transcript=transcript)


def _window(
    metadata: Mapping[str, Any], where: str, path: str
) -> tuple[float | None, float | None, float | None]:
    """Start, end and frames per second a record asks for."""
    start, end, fps = (_number(metadata, k, where, path) for k in ("start_s", "end_s", "fps"))
    if end is not None and end <= (start or 0.0):
        _fail(where, f"{path}.end_s", f"got {end}, expected more than start_s {start or 0.0}")
    if fps == 0:
        _fail(where, f"{path}.fps", "got 0, expected more than 0")
    return start, end, fps


def _transcript(
    metadata: Mapping[str, Any], where: str, path: str
) -> tuple[TranscriptSegment, ...] | None:
    given = metadata.get("transcript")
    if given is None:
        return None
    if isinstance(given, str):
        until = 0.0
        for key in ("end_s", "audio_duration", "video_duration"):
            known = metadata.get(key)
            if isinstance(known, (int, float)) and not isinstance(known, bool):
                until = float(known)
                break
        return (TranscriptSegment(start_s=0.0, end_s=until, text=given),)
    segments = []
    for i, row in enumerate(_list(given, where, f"{path}.transcript")):
        here = f"{path}.transcript[{i}]"
        _object(row, _SEGMENT_KEYS, where, here)
        start, end = (_number(row, key, where, here) for key in ("start_s", "end_s"))
        if start is None or end is None:
            _fail(where, here, "expected start_s and end_s in seconds")
        segments.append(
            TranscriptSegment(
                start_s=start,
                end_s=end,
                text=_text(row.get("text"), where, f"{here}.text"),
                confidence=_number(row, "confidence", where, here),
            )
        )
    return tuple(segments)


def _number(data: Mapping[str, Any], key: str, where: str, path: str) -> float | None:
    value = data.get(key)
    if value is None:
        return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (good and math.isfinite(value) and value >= 0):
        _fail(where, f"{path}.{key}", f"got {_shown(value)}, expected a number of at least 0")
    return float(value)


# --- writing ------------------------------------------------------------------------------------


def _message_json(message: RecordMessage) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": []}
    for fragment in message.content:
        one: dict[str, Any] = {"type": fragment.type, fragment.type: fragment.value}
        if fragment.metadata:
            one["metadata"] = dict(fragment.metadata)
        made["content"].append(one)
    if message.role == "assistant" and not message.loss:
        made["loss"] = False
    if message.tool_calls:
        made["tool_calls"] = [dict(call) for call in message.tool_calls]
    return made


# --- checks -------------------------------------------------------------------------------------


def _object(obj: Any, known: frozenset[str], where: str, path: str) -> None:
    if not isinstance(obj, dict):
        _fail(where, path, f"got {_shown(obj)}, expected an object")
    if not obj.keys() <= known:
        key = next(k for k in obj if k not in known)
        hint = nearest(str(key), known) or f"; known: {', '.join(sorted(known))}"
        _fail(where, path, f"unknown key {key!r}{hint}")


def _list(obj: Any, where: str, path: str) -> list[Any]:
    if not isinstance(obj, list):
        _fail(where, path, f"got {_shown(obj)}, expected a list")
    return obj


def _text(obj: Any, where: str, path: str, *, filled: bool = False) -> str:
    if not isinstance(obj, str):
        _fail(where, path, f"got {_shown(obj)}, expected a text")
    if filled and not obj:
        _fail(where, path, "is empty")
    return obj


def _metadata(obj: Any, where: str, path: str) -> dict[str, Any]:
    if obj is None:
        return {}
    if not isinstance(obj, dict):
        _fail(where, path, f"got {_shown(obj)}, expected an object")
    return obj


def _not_one_of(
    where: str, path: str, value: Any, known: Sequence[str], also: str = ""
) -> NoReturn:
    words = " ".join((", ".join(map(repr, known)), also)).strip()
    hint = nearest(value, known) if isinstance(value, str) else ""
    _fail(where, path, f"got {_shown(value)}, expected one of {words}{hint}")


def _shown(value: Any) -> str:
    """A value for a message, short; what is absent and what is null read alike."""
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fail(where: str, path: str, problem: str) -> NoReturn:
    raise InputError(f"{where}: {path}: {problem}" if path else f"{where}: {problem}")
