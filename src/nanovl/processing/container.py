"""Opens video and sound containers with only the demuxers and decoders that are needed.

A media library that can open playlists, network addresses and a hundred old codecs is a large
target. Every container nanovl reads is opened here: an already open file is handed over (so the
library opens nothing by itself), and formats and codecs come from short lists. Decodes nothing.

Source: serving specification sections 10 and 16.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.media import Kind, Limits, open_media

__all__ = [
    "AUDIO_CODECS",
    "FORMATS",
    "VIDEO_CODECS",
    "is_cover",
    "open_container",
    "sound_of",
    "video_of",
]

FORMATS = ("mov", "matroska", "avi", "mpegts", "mpeg", "ogg", "flv", "wav", "mp3", "flac", "aac")
VIDEO_CODECS = (
    "h264",
    "hevc",
    "vp8",
    "vp9",
    "libvpx",
    "libvpx-vp9",
    "av1",
    "libdav1d",
    "mpeg4",
    "mjpeg",
)
AUDIO_CODECS = (
    "aac",
    "mp3",
    "mp3float",
    "mp2",
    "mp2float",
    "opus",
    "libopus",
    "vorbis",
    "libvorbis",
    "flac",
    "alac",
    "ac3",
    "eac3",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_s32le",
    "pcm_f32le",
    "pcm_f64le",
    "pcm_u8",
    "pcm_alaw",
    "pcm_mulaw",
)


@contextmanager
def open_container(ref: MediaRef, kind: Kind, limits: Limits) -> Iterator[InputContainer]:
    """Open a container for reading; closed on leaving the block.

    Raises:
        InputError: The file cannot be opened, is no known container, or is damaged in its header.
    """
    options = {
        "format_whitelist": ",".join(FORMATS),
        "codec_whitelist": ",".join((*VIDEO_CODECS, *AUDIO_CODECS)),
        # Nothing is reached through a protocol: the bytes come from the file object.
        "protocol_whitelist": "none",
    }
    with open_media(ref, kind, limits) as source:
        try:
            container = av.open(source, mode="r", options=options, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise InputError(
                f"{ref.name}: not a readable {kind} file, or cut off before its index; expected "
                f"one of {', '.join(FORMATS)}; check the file, or convert it to mp4"
            ) from error
        with container:
            yield container


def video_of(container: InputContainer, name: str) -> Any:
    """The first picture track that is not a cover picture.

    Raises:
        InputError: There is none, or its codec is not on the list.
    """
    tracks = [s for s in container.streams.video if not is_cover(s)]
    if not tracks:
        raise InputError(f"{name}: has no video track; attach sound as audio instead")
    return _checked(tracks[0], VIDEO_CODECS, "video", name)


def sound_of(container: InputContainer, name: str) -> Any:
    """The first sound track.

    Raises:
        InputError: There is none, or its codec is not on the list.
    """
    if not container.streams.audio:
        raise InputError(f"{name}: has no audio track; there is nothing to transcribe")
    return _checked(container.streams.audio[0], AUDIO_CODECS, "audio", name)


def is_cover(stream: Any) -> bool:
    """Whether a picture track is the cover picture of a sound file."""
    return bool(stream.disposition & Disposition.attached_pic)


def _checked(stream: Any, allowed: tuple[str, ...], what: str, name: str) -> Any:
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if codec not in allowed:
        raise InputError(
            f"{name}: {what} codec {codec!r} is not opened; expected one of "
            f"{', '.join(allowed)}; convert it"
        )
    return stream
