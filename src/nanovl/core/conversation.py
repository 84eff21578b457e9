"""What a user says to the model: messages made of text and references to media.

Parts hold a *reference* (path, URL, bytes or an in-memory picture), never decoded pixels; opening
it is the job of `nanovl.processing`. Nothing here renders a prompt.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import InputError

__all__ = [
    "AudioPart",
    "Conversation",
    "DocumentPart",
    "ImagePart",
    "MediaRef",
    "Message",
    "Part",
    "TextPart",
    "ToolCall",
    "TranscriptSegment",
    "VideoPart",
]

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, kw_only=True)
class MediaRef:
    """Where the bytes of one piece of media are; exactly one of the first four fields is set.

    Attributes:
        path: A local file.
        url: An `http(s)://`, `file://` or `data:` URL.
        data: The encoded bytes themselves (PNG, MP4, PDF ...).
        array: An already decoded picture (PIL image or uint8 array (rows, columns, 3)) or a
            sequence of such pictures for a video.
        name: What to call it in messages; derived from path or URL when absent.
        byte_range: With `path` only: offset and size in bytes of the part of the file that is
            meant, such as one member of a tar archive.
    """

    path: Path | None = None
    url: str | None = None
    data: bytes | None = None
    array: Any = None
    name: str = ""
    byte_range: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        given = [k for k in ("path", "url", "data", "array") if getattr(self, k) is not None]
        if len(given) != 1:
            raise InputError(
                f"media reference: got {len(given)} payloads ({', '.join(given) or 'none'}), "
                "expected exactly one of path, url, data, array"
            )
        if self.byte_range is not None:
            self._check_range(self.byte_range)
        if not self.name:
            object.__setattr__(self, "name", self._default_name())

    def _check_range(self, byte_range: tuple[int, int]) -> None:
        if self.path is None:
            raise InputError(
                f"media reference {self.name or '(no name)'}: a byte range needs a path; "
                "got it with a URL, bytes or a picture"
            )
        if len(byte_range) != 2 or any(type(n) is not int or n < 0 for n in byte_range):
            raise InputError(
                f"{self.path}: byte range {byte_range}, expected (offset, size), both whole "
                "numbers of at least 0"
            )

    def _default_name(self) -> str:
        if self.path is not None:
            return self.path.name
        if self.url is not None:
            return "data URL" if self.url.startswith("data:") else self.url
        return "in-memory data" if self.data is not None else "in-memory picture"

    @classmethod
    def of(cls, source: Any, *, name: str = "") -> MediaRef:
        """Make a reference from whatever a caller holds: path, URL, bytes, picture or array."""
        if isinstance(source, MediaRef):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return cls(data=bytes(source), name=name)
        if isinstance(source, str) and source.split(":", 1)[0].lower() in {
            "http",
            "https",
            "data",
            "file",
        }:
            return cls(url=source, name=name)
        if isinstance(source, (str, os.PathLike)):
            return cls(path=Path(source), name=name)
        return cls(array=source, name=name)


@dataclass(frozen=True, kw_only=True)
class TranscriptSegment:
    """A stretch of recognised speech; times in seconds from the start of the media."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """Literal text; control tokens written in it are neutralised before they reach the model."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """One still picture.

    Attributes:
        source: Where it is.
        max_tiles: Upper bound of tiles for this picture; None takes the processor's setting.
    """

    source: MediaRef
    max_tiles: int | None = None


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """One video, or a list of frames.

    Attributes:
        source: Where it is. An in-memory sequence of pictures counts as frames at `fps`.
        start_s, end_s: Part of the video to look at, in seconds; None means from start / to end.
        fps: Frames to sample per second; None takes the processor's setting (2).
        max_frames: Upper bound of sampled frames; None takes the processor's setting (128).
        pruning_rate: EVS rate in [0, 1); None takes the request's or the processor's setting.
        transcript: Known speech; replaces recognition.
    """

    source: MediaRef
    start_s: float | None = None
    end_s: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    pruning_rate: float | None = None
    transcript: tuple[TranscriptSegment, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class AudioPart:
    """Speech; enters the model as transcript text.

    Attributes:
        source: Where it is.
        transcript: Known speech; replaces recognition.
    """

    source: MediaRef
    transcript: tuple[TranscriptSegment, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class DocumentPart:
    """A PDF; every chosen page becomes one picture.

    Attributes:
        source: Where it is.
        pages: Page ranges as written by people, first page is 1: "1-4,7"; None means all.
        dpi: Rendering resolution; None takes the processor's setting.
        max_tiles: Upper bound of tiles per page; None takes the processor's setting.
    """

    source: MediaRef
    pages: str | None = None
    dpi: int | None = None
    max_tiles: int | None = None


Part = TextPart | ImagePart | VideoPart | AudioPart | DocumentPart


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A function the assistant wants called.

    Attributes:
        name: Function name.
        arguments: An object, or a JSON string that is passed on verbatim.
        id: Caller-visible identifier; never enters the prompt.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        parts: What was said. Media is allowed in user turns only.
        reasoning: Reasoning text of an assistant turn, without tags; "" means an empty
            `<think></think>` pair, None means nothing is rendered.
        tool_calls: Calls an assistant turn asks for.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"message role {self.role!r}: expected one of {', '.join(ROLES)}")
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        if self.role != "assistant" and (self.tool_calls or self.reasoning is not None):
            raise InputError(
                f"{self.role} message carries reasoning or tool calls; only assistant messages may"
            )
        if self.role != "user" and any(not isinstance(p, TextPart) for p in self.parts):
            raise InputError(f"{self.role} message carries media; only user messages may")

    @classmethod
    def text(cls, role: Role, text: str, **extra: Any) -> Message:
        """A message of one text part."""
        return cls(role=role, parts=(TextPart(text=text),), **extra)

    @property
    def media(self) -> tuple[ImagePart | VideoPart | AudioPart | DocumentPart, ...]:
        """The parts that are not text, in order."""
        return tuple(p for p in self.parts if not isinstance(p, TextPart))


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Everything one request says.

    Attributes:
        messages: At least one; a system message comes first; user and assistant need not
            alternate strictly, but an assistant turn may not be followed by another one.
        tools: Function descriptions as JSON objects, either bare or wrapped in
            `{"type": "function", "function": {...}}`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages))
        object.__setattr__(self, "tools", tuple(self.tools))
        if not self.messages:
            raise InputError("conversation has no messages; expected at least one user message")
        previous = ""
        for index, message in enumerate(self.messages):
            if message.role == "assistant" and previous == "assistant":
                raise InputError(
                    f"messages[{index}]: two assistant messages in a row; merge them or put a "
                    "user or tool message between"
                )
            if message.role == "tool" and previous not in ("assistant", "tool"):
                raise InputError(
                    f"messages[{index}]: tool result without an assistant message before it"
                )
            previous = message.role

    @classmethod
    def user(
        cls, text: str, media: Sequence[Part] = (), *, system: str | None = None
    ) -> Conversation:
        """One question, optionally with media and a system text."""
        messages = [Message.text("system", system)] if system is not None else []
        messages.append(Message(role="user", parts=(*media, TextPart(text=text))))
        return cls(messages=tuple(messages))
