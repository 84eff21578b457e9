"""What a rendered prompt is made of.

Three kinds of piece keep trust apart: `Control` (a control token the template put there), `Text`
(anything else, never able to become a control token) and `Slot` (where a picture or video goes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nanovl.core.conversation import ImagePart, Message, VideoPart
from nanovl.core.errors import InputError

__all__ = ["Control", "MessageMedia", "Piece", "Slot", "Text", "merged", "render_text"]


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


def render_text(pieces: Sequence[Piece]) -> str:
    """The prompt as one string, with `<image>` / `<video>` for media; for people and tests."""
    words = []
    for piece in pieces:
        if isinstance(piece, Slot):
            words.append(f"<{piece.kind}>")
        else:
            words.append(piece.name if isinstance(piece, Control) else piece.text)
    return "".join(words)


def merged(pieces: list[Piece]) -> list[Piece]:
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
