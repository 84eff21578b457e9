"""What a user turn says: its text, its media, and where in the text the media goes.

Source: model specification, section 8.1, rules 1 and 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nanovl.core.conversation import Message, TextPart
from nanovl.core.errors import InputError
from nanovl.processing.pieces import MessageMedia, Piece, Slot, Text

__all__ = ["cleaned", "text_of", "user_content"]


def user_content(message: Message, index: int, media: MessageMedia) -> list[Piece]:
    """Pictures, then videos, then speech, then text; or media where its author placed it.

    Args:
        message: A user message.
        index: Its number in the conversation.
        media: What its media turned out to be.

    Raises:
        InputError: Placeholders in the text do not match the media.
    """
    text = "".join(cleaned(p.text) for p in message.parts if isinstance(p, TextPart))
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


def cleaned(text: str) -> str:
    """Remove the thinking switches, but not from inside `</think>`."""
    return "</think>".join(
        part.replace("/think", "").replace("/no_think", "") for part in text.split("</think>")
    )


def text_of(message: Message) -> str:
    """All text of a message, as one string."""
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))
