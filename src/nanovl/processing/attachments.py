"""Whatever a person attached becomes a part of a message.

`nanovl.processing.detect` tells pictures, videos, sound and documents apart; here plain text files
join them. Meant for files of the person who runs the program; a server takes typed parts instead.
"""

from __future__ import annotations

import mimetypes
from pathlib import PurePath
from typing import Any

from nanovl.core.conversation import (
    AudioPart,
    DocumentPart,
    ImagePart,
    MediaRef,
    Part,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.processing.detect import detect_kind
from nanovl.processing.media import Limits, localize

__all__ = ["attach"]

_HEAD_BYTES = 4096
_MAX_TEXT_BYTES = 8 << 20
_PART_TYPES = (TextPart, ImagePart, VideoPart, AudioPart, DocumentPart)
_MEDIA_FAMILIES = ("image", "video", "audio", "font")


def attach(
    source: Any,
    *,
    pages: str | None = None,
    dpi: int | None = None,
    limits: Limits | None = None,
) -> Part:
    """Make a message part of whatever a caller holds.

    Args:
        source: Path, URL, encoded bytes, `MediaRef`, PIL image, uint8 array (rows, columns, 3), a
            list of pictures (a video), or a part, which is returned as it is.
        pages: Pages of a document, "1-4,7"; None is all.
        dpi: Resolution of document pages; None takes the processor's.
        limits: What may be opened; None takes those for a person's own files.

    Raises:
        InputError: The file does not exist, or is of no kind that can be read.
    """
    if isinstance(source, _PART_TYPES):
        return source
    if isinstance(source, (str, bytes)) and not source:
        raise InputError("attachment: got an empty one; expected a file, a URL or its contents")
    limits = limits or Limits.local()
    ref = MediaRef.of(source)
    if _is_text(ref):
        return _text_part(ref)
    ref = localize(ref, "video", limits)  # fetches a URL once, whatever it turns out to be
    kind = detect_kind(ref, limits)
    if kind == "image":
        return ImagePart(source=ref)
    if kind == "document":
        return DocumentPart(source=ref, pages=pages, dpi=dpi)
    return AudioPart(source=ref) if kind == "audio" else VideoPart(source=ref)


def _is_text(ref: MediaRef) -> bool:
    """Whether neither the name nor the first bytes speak for media."""
    if ref.path is None and ref.data is None:
        return False
    # Only the extension counts: a full name could be taken for a URL.
    suffix = PurePath(ref.name).suffix.lower()
    family, _, subtype = (mimetypes.guess_type(f"x{suffix}")[0] or "").partition("/")
    if family in _MEDIA_FAMILIES or subtype == "pdf":
        return False
    head = _head(ref)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) or error.start == 0:  # not merely cut inside a character
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and "\0" not in text and "%PDF-" not in text[:1024]


def _head(ref: MediaRef, size: int = _HEAD_BYTES) -> bytes:
    if ref.data is not None:
        return ref.data[:size]
    assert ref.path is not None
    try:
        with ref.path.open("rb") as file:
            if ref.byte_range is None:
                return file.read(size)
            offset, length = ref.byte_range
            file.seek(offset)
            head = file.read(min(size, length))
    except FileNotFoundError:
        raise InputError(f"{ref.path}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{ref.path}: is a folder; attach the files in it one by one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{ref.path}: cannot be read ({reason})") from error
    if len(head) < min(size, length):
        raise InputError(
            f"{ref.name}: {ref.path} ends inside bytes {offset} to {offset + length}, which are "
            "meant; it is cut off, or was changed after it was indexed"
        )
    return head


def _text_part(ref: MediaRef) -> TextPart:
    data = _head(ref, _MAX_TEXT_BYTES + 1)
    if len(data) > _MAX_TEXT_BYTES:
        raise InputError(
            f"{ref.name}: text of more than {_MAX_TEXT_BYTES >> 20} MiB; attach a part of it"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{ref.name}: byte {error.start} is not UTF-8 text; expected a picture, video, PDF, "
            "sound or UTF-8 text"
        ) from error
    return TextPart(text=f"{ref.name}:\n{text.rstrip()}\n\n")
