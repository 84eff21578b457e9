"""Where media bytes come from: files, `data:` URLs and (when allowed) the network.

Turns a `MediaRef` into bytes or an open file under the limits of a `Limits` object. Knows nothing
about pictures, videos or sound, and opens no connection itself: `fetch.py` is the only module
that does.

Source: serving specification sections 3.2 and 16.2.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast
from urllib.parse import unquote, urlsplit

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.processing import fetch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["KINDS", "Kind", "Limits", "localize", "open_media", "read_media", "size_text"]

Kind = Literal["image", "video", "audio", "document"]
KINDS: tuple[Kind, ...] = ("image", "video", "audio", "document")

MIB = 1 << 20
# Pillow refuses pictures with more pixels than this whatever the caller allows.
PILLOW_MAX_PIXELS = 178_956_970
DATA_URL_HEADER = re.compile(
    r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[\w.+-]+)*);base64", re.I | re.A
)
JPEG_FRAMES = "video/jpeg"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of what may be opened. The defaults suit a server that strangers can reach.

    Attributes:
        max_image_bytes, max_video_bytes, max_audio_bytes, max_document_bytes: Encoded size.
        max_pixels: Width times height of a picture; at most 178,956,970.
        max_side: Longest side of a picture in pixels.
        max_aspect: Longest side over shortest side of a picture.
        max_video_side: Longest side of a video in pixels.
        max_video_s: Length of a video in seconds.
        max_frames: Pictures in a caller-given list of frames, and frames decoded per video.
        max_pages: Pages used of one document.
        max_page_pixels: Pixels of one rendered page; the resolution is lowered to fit.
        max_document_s: Time to render one document, in seconds.
        max_audio_s: Length of decoded sound in seconds.
        allow_remote: Whether `http(s):` URLs are fetched.
        allowed_hosts: When given, the only hosts that are; `*.example.org` matches subdomains.
        allowed_ports: Ports that may be connected to.
        allowed_roots: None trusts `MediaRef.path` and refuses `file:` URLs. A tuple allows both,
            but only below these folders (symbolic links are resolved first).
        image_fetch_s, video_fetch_s, audio_fetch_s, document_fetch_s: Time for one download.
    """

    max_image_bytes: int = 32 * MIB
    max_video_bytes: int = 256 * MIB
    max_audio_bytes: int = 25 * MIB
    max_document_bytes: int = 64 * MIB
    max_pixels: int = 64_000_000
    max_side: int = 16_384
    max_aspect: float = 200.0
    max_video_side: int = 8192
    max_video_s: float = 4 * 3600.0
    max_frames: int = 128
    max_pages: int = 200
    max_page_pixels: int = 16_000_000
    max_document_s: float = 30.0
    max_audio_s: float = 600.0
    allow_remote: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    allowed_roots: tuple[Path, ...] | None = None
    image_fetch_s: float = 5.0
    video_fetch_s: float = 30.0
    audio_fetch_s: float = 10.0
    document_fetch_s: float = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 0:
                raise ConfigError(f"media limit {name}: got {value}, expected more than 0")
        if self.max_pixels > PILLOW_MAX_PIXELS:
            raise ConfigError(
                f"media limit max_pixels: got {self.max_pixels}, expected at most "
                f"{PILLOW_MAX_PIXELS}, where the picture library itself refuses"
            )

    @classmethod
    def local(cls) -> Limits:
        """Limits for a person's own files: large files, any folder, still no network."""
        anchor = Path(Path.cwd().anchor)
        return cls(
            max_image_bytes=4096 * MIB,
            max_video_bytes=1 << 40,
            max_audio_bytes=4096 * MIB,
            max_document_bytes=4096 * MIB,
            max_audio_s=4 * 3600.0,
            max_document_s=600.0,
            allowed_roots=(anchor,),
        )

    def max_bytes(self, kind: Kind) -> int:
        """Encoded size allowed for a kind of media."""
        value: int = getattr(self, f"max_{kind}_bytes")
        return value

    def fetch_s(self, kind: Kind) -> float:
        """Seconds allowed for downloading a kind of media."""
        value: float = getattr(self, f"{kind}_fetch_s")
        return value


def size_text(size_bytes: int) -> str:
    """A byte count for people: "812 bytes", "3.4 MiB"."""
    return f"{size_bytes} bytes" if size_bytes < MIB // 10 else f"{size_bytes / MIB:.1f} MiB"


def localize(ref: MediaRef, kind: Kind, limits: Limits) -> MediaRef:
    """Replace a URL by what it points to, so that later reads see the same bytes.

    Args:
        ref: Any reference; paths, bytes and arrays are returned as they are.
        kind: What the bytes are going to be used as; selects the limits.
        limits: What is allowed.

    Returns:
        A reference with `path`, `data` or `array`. `data:video/jpeg;base64,F1,F2` becomes an array
        of references to single JPEG frames.

    Raises:
        InputError: The URL is malformed, not allowed, too large or cannot be fetched.
    """
    url = ref.url
    if url is None:
        return ref
    scheme = url.split(":", 1)[0].lower()
    if scheme == "data":
        return _decode_data_url(url, ref.name, kind, limits)
    if scheme == "file":
        return replace(ref, url=None, path=_file_url_path(url, ref.name, limits))
    if scheme not in ("http", "https"):
        raise InputError(f"{ref.name}: media URL must be an http(s), data or file URL")
    if not limits.allow_remote:
        raise InputError(
            f"{ref.name}: fetching media from the network is switched off; "
            "download it and pass the file, or allow remote media"
        )
    policy = fetch.FetchPolicy(
        max_bytes=limits.max_bytes(kind),
        total_s=limits.fetch_s(kind),
        allowed_hosts=limits.allowed_hosts,
        allowed_ports=limits.allowed_ports,
    )
    return replace(ref, url=None, data=fetch.fetch(url, policy))


def open_media(ref: MediaRef, kind: Kind, limits: Limits) -> BinaryIO:
    """Open the bytes of a reference for reading; the caller closes it.

    Returns:
        A seekable binary file: the file on disk or the given range of it, or the bytes in memory.

    Raises:
        InputError: Missing, empty, too large, not a regular file, or not allowed.
    """
    ref = localize(ref, kind, limits)
    if ref.data is not None:
        _check_size(len(ref.data), ref.name, kind, limits)
        return io.BytesIO(ref.data)
    if ref.path is None:
        raise InputError(f"{ref.name}: already decoded pictures were given, expected a {kind} file")
    source = _open_file(ref.path, ref.name, kind, limits)
    try:
        size = os.fstat(source.fileno()).st_size
        if ref.byte_range is None:
            _check_size(size, ref.name, kind, limits)
            return source
        offset, length = ref.byte_range
        if offset + length > size:
            raise InputError(
                f"{ref.name}: bytes {offset} to {offset + length} of {ref.path} are meant, but the "
                f"file has {size}; it is cut off, or was changed after it was indexed"
            )
        _check_size(length, ref.name, kind, limits)
        return cast(BinaryIO, io.BufferedReader(_Window(source, ref)))
    except InputError:
        source.close()
        raise


def read_media(ref: MediaRef, kind: Kind, limits: Limits) -> bytes:
    """All bytes of a reference.

    Raises:
        InputError: As `open_media`.
    """
    with open_media(ref, kind, limits) as source:
        return source.read()


def _check_size(size_bytes: int, name: str, kind: Kind, limits: Limits) -> None:
    if size_bytes == 0:
        raise InputError(f"{name}: is empty (0 bytes); save or download it again")
    allowed = limits.max_bytes(kind)
    if size_bytes > allowed:
        raise InputError(
            f"{name}: {kind} has {size_text(size_bytes)}, limit {size_text(allowed)}; "
            f"make it smaller or raise max_{kind}_bytes"
        )


class _Window(io.RawIOBase):
    """A range of an open file, as if it were the whole; closes the file when it is closed."""

    def __init__(self, source: BinaryIO, ref: MediaRef) -> None:
        assert ref.byte_range is not None
        self._source = source
        self._ref = ref
        self._start, self._size = ref.byte_range
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self._ref.name}: seek to {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._at))
        self._source.seek(self._start + self._at)
        got = self._source.readinto(view[:wanted])  # type: ignore[attr-defined]
        if got < wanted:
            raise InputError(
                f"{self._ref.name}: {self._ref.path} ends inside bytes {self._start} to "
                f"{self._start + self._size}; it is being changed while it is read"
            )
        self._at += wanted
        return wanted

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _open_file(path: Path, name: str, kind: Kind, limits: Limits) -> BinaryIO:
    try:
        real = path.expanduser().resolve(strict=True)
        if limits.allowed_roots is not None and not _is_below(real, limits.allowed_roots):
            raise InputError(f"{name}: files outside the allowed media folders are not opened")
        # Looked at before opening, because opening a pipe waits for its writer.
        if not stat.S_ISREG(real.stat().st_mode):
            raise InputError(f"{name}: is not a regular file; expected a {kind} file")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        source = os.fdopen(os.open(real, flags | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file ({path})") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "unusable path"
        raise InputError(f"{name}: cannot be opened ({reason})") from error
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        source.close()
        raise InputError(f"{name}: is not a regular file; expected a {kind} file")
    return source


def _is_below(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(root.expanduser().resolve()) for root in roots)


def _file_url_path(url: str, name: str, limits: Limits) -> Path:
    if limits.allowed_roots is None:
        raise InputError(
            f"{name}: file URLs are switched off; pass the path, or name the allowed media folders"
        )
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise InputError(f"{name}: file URL must look like file:///folder/file")
    return Path(unquote(parts.path))


def _decode_data_url(url: str, name: str, kind: Kind, limits: Limits) -> MediaRef:
    header, comma, payload = url.partition(",")
    match = DATA_URL_HEADER.fullmatch(header)
    if not comma or match is None:
        raise InputError(
            f"{name}: data URL must be data:[type];base64,<payload>, got one that starts with "
            f"{header[:40]!r}"
        )
    if kind == "video" and (match.group(1) or "").lower() == JPEG_FRAMES:
        frames = payload.split(",", limits.max_frames)
        if len(frames) > limits.max_frames:
            raise InputError(
                f"{name}: more than {limits.max_frames} frames in one data URL; send fewer"
            )
        _check_size(len(payload) * 3 // 4, name, kind, limits)
        refs = [
            MediaRef(data=_decode_base64(f, name, "image", limits), name=f"{name}, frame {i}")
            for i, f in enumerate(frames, start=1)
        ]
        return MediaRef(array=refs, name=name)
    return MediaRef(data=_decode_base64(payload, name, kind, limits), name=name)


def _decode_base64(payload: str, name: str, kind: Kind, limits: Limits) -> bytes:
    # Checked before decoding: 4 characters make 3 bytes.
    _check_size(len(payload) // 4 * 3 - payload[-2:].count("="), name, kind, limits)
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{name}: payload of the data URL is not valid base64") from None
