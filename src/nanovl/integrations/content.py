"""Messages of a harness become a conversation.

Pictures in front of the text are left to the template; media that stands between texts is placed
by the template's placeholders. Opens no media.

Source: evaluation specification, sections 4.1 and 9; model specification, section 8.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError

__all__ = ["media_part", "user_message", "with_system"]

_KINDS = ("image", "video", "audio", "pdf")
_PLACEHOLDERS = {ImagePart: "<image>", VideoPart: "<video>"}


def media_part(kind: str, source: Any, **options: Any) -> Part:
    """One medium.

    Args:
        kind: "image", "video", "audio" or "pdf".
        source: Path, URL, bytes, picture or list of pictures; or a mapping with "bytes" or "path",
            as undecoded columns of data sets have it.
        **options: `start_s` and `end_s` of a video.

    Raises:
        InputError: Another kind, or a source that is nothing of this.
    """
    if kind not in _KINDS:
        raise InputError(f"a message holds media of kind {kind!r}; expected {', '.join(_KINDS)}")
    if isinstance(source, dict):
        source = source.get("bytes") or source.get("path") or source.get("url") or source
    if source is None or isinstance(source, dict):
        keys = ", ".join(source) if isinstance(source, dict) else "nothing"
        raise InputError(
            f"{kind}: got {keys}; expected a path, a URL, bytes or a picture"
            + ("; sound as samples is not taken, pass a file" if kind == "audio" else "")
        )
    ref = MediaRef.of(source)
    if kind == "image":
        return ImagePart(source=ref)
    if kind == "video":
        return VideoPart(source=ref, **options)
    return AudioPart(source=ref) if kind == "audio" else DocumentPart(source=ref)


def user_message(parts: Sequence[Part]) -> Message:
    """One user turn; texts that follow each other are joined by a line break.

    Raises:
        InputError: Nothing at all, media other than pictures and videos between texts, or a text
            that holds a placeholder of its own beside media between texts.
    """
    if not parts:
        raise InputError("a message of the harness is empty; is the row complete?")
    texts = [i for i, part in enumerate(parts) if isinstance(part, TextPart)]
    media = [i for i, part in enumerate(parts) if not isinstance(part, TextPart)]
    if not texts or not media or max(media) < min(texts):
        words = "\n".join(p.text for p in parts if isinstance(p, TextPart))
        front = [p for p in parts if not isinstance(p, TextPart)]
        return Message(role="user", parts=(*front, TextPart(text=words)))
    text = ""
    for number, part in enumerate(parts):
        if not isinstance(part, TextPart):
            text += _placeholder(part, parts)
            continue
        follows = number > 0 and isinstance(parts[number - 1], TextPart)
        text += ("\n" if follows else "") + part.text
    front = [p for p in parts if not isinstance(p, TextPart)]
    return Message(role="user", parts=(*front, TextPart(text=text)))


def with_system(system: str, messages: Sequence[Message]) -> Conversation:
    """A conversation; several system texts of a harness arrive here as one."""
    turns = list(messages)
    if system:
        first = turns[0] if turns and turns[0].role == "system" else None
        if first is not None:
            turns[0] = replace(first, parts=(TextPart(text=system + "\n"), *first.parts))
        else:
            turns.insert(0, Message.text("system", system))
    return Conversation(messages=tuple(turns))


def _placeholder(part: Part, parts: Sequence[Part]) -> str:
    mark = _PLACEHOLDERS.get(type(part))
    if mark is None:
        raise InputError(
            f"{type(part).__name__} between texts: only pictures and videos can stand there, "
            "others come first"
        )
    if any(mark in p.text for p in parts if isinstance(p, TextPart)):
        raise InputError(
            f"a text holds the words {mark} beside media between texts; they would be taken for a "
            "place of media"
        )
    return mark
