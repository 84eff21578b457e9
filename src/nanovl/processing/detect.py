"""What kind of media a file is, from its content.

Names and declared types are not trusted; extensions are not looked at. Decodes nothing.

Source: file signatures of the formats' own specifications.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.container import is_cover, open_container
from nanovl.processing.media import KINDS, Kind, Limits, localize, open_media

__all__ = ["detect_kind"]

HEAD_BYTES = 4096
PDF_SEARCH_BYTES = 1024
FTYP_SEARCH_BYTES = 40

# (offset, bytes, kind); "mixed" containers are opened to see whether they hold pictures.
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"GIF87a", "image"),
    (0, b"GIF89a", "image"),
    (0, b"BM", "image"),
    (0, b"II*\x00", "image"),
    (0, b"MM\x00*", "image"),
    (0, b"II+\x00", "image"),
    (0, b"MM\x00+", "image"),
    (8, b"WEBP", "image"),
    (8, b"AVI ", "mixed"),
    (8, b"WAVE", "audio"),
    (4, b"ftyp", "mixed"),
    (4, b"moov", "mixed"),
    (0, b"\x1a\x45\xdf\xa3", "mixed"),
    (0, b"OggS", "mixed"),
    (0, b"FLV\x01", "mixed"),
    (0, b"\x00\x00\x01\xba", "mixed"),
    (0, b"fLaC", "audio"),
    (0, b"ID3", "audio"),
)
PNM_HEADS = tuple(f"P{n}".encode() for n in range(1, 7))
TS_PACKET_BYTES = 188
OTHER_FORMATS = (
    (0, b"PK\x03\x04", "an office document or archive; export it as PDF"),
    (0, b"\xd0\xcf\x11\xe0", "an old office document; export it as PDF"),
    (4, b"ftyphei", "a HEIC picture; convert it to JPEG"),
    (4, b"ftypmif1", "a HEIF picture; convert it to JPEG"),
)


def detect_kind(ref: MediaRef, limits: Limits) -> Kind:
    """Tell pictures, videos, sound and documents apart.

    Args:
        ref: Anything; URLs are fetched under the limits for videos, so pass a localised reference
            when the bytes are needed again.
        limits: Bounds for opening it.

    Returns:
        "image", "video", "audio" or "document".

    Raises:
        InputError: Missing, empty, too large for what it is, or no known format.
    """
    if ref.array is not None:
        is_picture = isinstance(ref.array, Image.Image) or (
            isinstance(ref.array, np.ndarray) and ref.array.ndim in (2, 3)
        )
        return "image" if is_picture else "video"
    ref = localize(ref, "video", limits)
    if ref.array is not None:
        return "video"
    with open_media(ref, _most_generous(limits), limits) as source:
        head = source.read(HEAD_BYTES)
    kind = _from_head(head)
    for offset, mark, what in OTHER_FORMATS:
        if kind != "image" and head[offset : offset + len(mark)] == mark:
            raise InputError(f"{ref.name}: is {what}")
    if kind == "mixed":
        return _from_tracks(ref, limits)
    for known in KINDS:
        if known == kind:
            return known
    raise InputError(
        f"{ref.name}: not a picture, PDF, video or sound file that nanovl knows; "
        "convert it to PNG, PDF, MP4 or WAV"
    )


def _most_generous(limits: Limits) -> Kind:
    """The kind with the largest byte limit; opening it as what it is checks the right one."""
    return max(KINDS, key=limits.max_bytes)


def _from_head(head: bytes) -> str:
    if b"%PDF-" in head[:PDF_SEARCH_BYTES]:
        return "document"
    if head[4:8] == b"ftyp" and b"avi" in head[8:FTYP_SEARCH_BYTES]:
        return "image"  # AVIF: brand avif or avis, first or among the compatible ones
    for offset, mark, kind in SIGNATURES:
        if head[offset : offset + len(mark)] == mark:
            return kind
    if head[:2] in PNM_HEADS and head[2:3].isspace():
        return "image"
    if head[:1] == b"G" and head[TS_PACKET_BYTES : TS_PACKET_BYTES + 1] == b"G":
        return "mixed"
    return "audio" if _is_mpeg_audio(head) else ""


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame header without a tag before it: AAC (ADTS), or MPEG layer II or III."""
    if len(head) < 4 or head[0] != 0xFF:
        return False
    is_adts = head[1] & 0xF6 == 0xF0
    is_layer_2_or_3 = head[1] & 0xE0 == 0xE0 and (head[1] >> 1) & 3 in (1, 2)
    return is_adts or (is_layer_2_or_3 and head[2] >> 4 != 0xF and (head[2] >> 2) & 3 != 3)


def _from_tracks(ref: MediaRef, limits: Limits) -> Kind:
    with open_container(ref, "video", limits) as container:
        has_video = any(not is_cover(s) for s in container.streams.video)
        if has_video or not container.streams.audio:
            return "video"
    return "audio"
