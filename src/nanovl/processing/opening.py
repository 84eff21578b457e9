"""Open the media of a conversation far enough to know sizes, lengths and speech.

Pictures give their size, documents the sizes of their pages, videos their facts, audio its
transcript. No pixel is decoded. What was found is remembered for a while, so that planning the
same conversation again costs next to nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    Message,
    TextPart,
    TranscriptSegment,
    VideoPart,
)
from nanovl.core.errors import BackendError
from nanovl.processing.audio import decode_audio
from nanovl.processing.config import ProcessorConfig
from nanovl.processing.images import image_size
from nanovl.processing.media import Kind, Limits, localize
from nanovl.processing.pdf import page_count, page_sizes, parse_pages
from nanovl.processing.pieces import MessageMedia
from nanovl.processing.speech import Transcriber, format_transcript, shift
from nanovl.processing.video import VideoInfo, probe

__all__ = ["MediaOpener", "OpenedImage", "OpenedMessage", "OpenedVideo", "transcript_block"]

T = TypeVar("T")

_REMEMBERED = 64


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """A picture, or a page of a document.

    Attributes:
        ref: Where the bytes are.
        name: For messages.
        width, height: In pixels.
        max_tiles: Bound of its own, or None.
        page: Page number from 0 when it is a page of a document.
        dpi: Resolution a page is rendered at.
    """

    ref: MediaRef
    name: str
    width: int
    height: int
    max_tiles: int | None = None
    page: int | None = None
    dpi: int = 0


@dataclass(frozen=True, kw_only=True)
class OpenedVideo:
    """A video, or a list of frames (`is_list`)."""

    ref: MediaRef
    name: str
    info: VideoInfo
    part: VideoPart

    @property
    def is_list(self) -> bool:
        """Whether the caller chose the frames."""
        return self.ref.array is not None


@dataclass(frozen=True, kw_only=True)
class OpenedMessage:
    """The media of one message, in the order it enters the prompt."""

    images: tuple[OpenedImage, ...] = ()
    videos: tuple[OpenedVideo, ...] = ()
    speech: tuple[str, ...] = ()

    @property
    def media(self) -> MessageMedia:
        """What the template needs to know."""
        return MessageMedia(images=len(self.images), videos=len(self.videos), speech=self.speech)


class MediaOpener:
    """Opens media under limits; remembers what it found."""

    def __init__(
        self, config: ProcessorConfig, limits: Limits, transcriber: Transcriber | None
    ) -> None:
        self._config = config
        self._limits = limits
        self._transcriber = transcriber
        self._memo = _Memo()

    def open(self, conversation: Conversation) -> list[OpenedMessage]:
        """One entry per message.

        Raises:
            InputError: Media that cannot be used.
            BackendError: Audio without a transcript, and no transcriber.
        """
        return [self._open_message(message) for message in conversation.messages]

    def localized(self, conversation: Conversation) -> Conversation:
        """The same conversation with everything behind URLs fetched."""
        return replace(
            conversation, messages=tuple(self._localized(m) for m in conversation.messages)
        )

    def _localized(self, message: Message) -> Message:
        if all(isinstance(p, TextPart) or p.source.url is None for p in message.parts):
            return message
        parts = tuple(
            p
            if isinstance(p, TextPart)
            else replace(p, source=localize(p.source, _kind_of(p), self._limits))
            for p in message.parts
        )
        return replace(message, parts=parts)

    def _open_message(self, message: Message) -> OpenedMessage:
        images: list[OpenedImage] = []
        videos: list[OpenedVideo] = []
        speech: list[str] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                continue
            ref = localize(part.source, _kind_of(part), self._limits)
            if isinstance(part, ImagePart):
                images.append(self._open_image(ref, part))
            elif isinstance(part, DocumentPart):
                images += self._open_document(ref, part)
            elif isinstance(part, VideoPart):
                videos.append(self._open_video(ref, part))
                speech += self._video_speech(videos[-1])
            else:
                known = part.transcript
                heard = self._transcribe(ref, "audio") if known is None else known
                speech.append(transcript_block(_label(ref), heard))
        return OpenedMessage(images=tuple(images), videos=tuple(videos), speech=tuple(speech))

    def _open_image(self, ref: MediaRef, part: ImagePart) -> OpenedImage:
        width, height = image_size(ref, self._limits, exif=self._config.apply_exif)
        return OpenedImage(
            ref=ref, name=_label(ref), width=width, height=height, max_tiles=part.max_tiles
        )

    def _open_document(self, ref: MediaRef, part: DocumentPart) -> list[OpenedImage]:
        dpi = self._config.pdf_dpi if part.dpi is None else part.dpi

        def read() -> list[tuple[int, int, int]]:
            count = page_count(ref, self._limits)
            pages = parse_pages(part.pages, count, self._limits.max_pages)
            sizes = page_sizes(ref, pages, dpi, self._limits)
            return [(page, *size) for page, size in zip(pages, sizes, strict=True)]

        return [
            OpenedImage(
                ref=ref,
                name=f"{_label(ref)} page {page + 1}",
                width=width,
                height=height,
                max_tiles=part.max_tiles,
                page=page,
                dpi=dpi,
            )
            for page, width, height in self._memo.get(ref, ("pages", part.pages, dpi), read)
        ]

    def _open_video(self, ref: MediaRef, part: VideoPart) -> OpenedVideo:
        rate = part.fps if ref.array is not None else None
        info = self._memo.get(ref, ("video",), lambda: probe(ref, self._limits, fps=rate))
        return OpenedVideo(ref=ref, name=_label(ref), info=info, part=part)

    def _video_speech(self, video: OpenedVideo) -> list[str]:
        part = video.part
        start, end = part.start_s or 0.0, part.end_s
        segments: Sequence[TranscriptSegment]
        if part.transcript is not None:
            segments = [
                s for s in part.transcript if s.end_s > start and (end is None or s.start_s < end)
            ]
        elif self._transcriber and self._config.video_speech and video.info.has_audio:
            segments = self._transcribe(video.ref, "video", part.start_s, end)
        else:
            return []
        return [transcript_block(video.name, segments)] if segments else []

    def _transcribe(
        self,
        ref: MediaRef,
        kind: Literal["audio", "video"],
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> Sequence[TranscriptSegment]:
        transcriber = self._transcriber
        if transcriber is None:
            raise BackendError(
                f"{_label(ref)}: the model hears nothing, so audio needs a transcript; pass one, "
                'or switch on speech recognition: transcriber="whisper" '
                "(pip install 'nanovl[speech]')"
            )

        def read() -> Sequence[TranscriptSegment]:
            pcm = decode_audio(ref, self._limits, kind=kind, start_s=start_s, end_s=end_s)
            return shift(transcriber.transcribe(pcm), start_s or 0.0)

        return self._memo.get(ref, ("speech", start_s, end_s), read)


def transcript_block(name: str, segments: Sequence[TranscriptSegment]) -> str:
    """Recognised speech as it enters the prompt; ends in a newline."""
    lines = format_transcript(list(segments)) if segments else "(no speech recognized)"
    return f"Audio transcript of {name}:\n{lines}\n"


def _kind_of(part: ImagePart | VideoPart | AudioPart | DocumentPart) -> Kind:
    if isinstance(part, ImagePart):
        return "image"
    if isinstance(part, VideoPart):
        return "video"
    return "audio" if isinstance(part, AudioPart) else "document"


def _label(ref: MediaRef) -> str:
    """A one-line name that fits into a prompt: of a URL the file only."""
    name = ref.name
    if "://" in name:
        url = urlsplit(name)
        name = unquote(url.path.rstrip("/").rpartition("/")[2]) or url.netloc or name
    return " ".join(name.split()) or "media"


class _Memo:
    """Remembers results per media content; results of in-memory pictures are not kept."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, ref: MediaRef, what: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        identity = _identity(ref)
        if identity is None:
            return make()
        key = (identity, *what)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]  # type: ignore[no-any-return]
        value = make()
        with self._lock:
            self._entries[key] = value
            while len(self._entries) > _REMEMBERED:
                self._entries.popitem(last=False)
        return value


def _identity(ref: MediaRef) -> Hashable | None:
    if ref.data is not None:
        return hashlib.sha256(ref.data).digest()
    if ref.path is None:
        return None
    try:
        facts = ref.path.stat()
    except (OSError, ValueError):
        return None  # opening it reports what is wrong
    return str(ref.path), ref.byte_range, facts.st_mtime_ns, facts.st_size
