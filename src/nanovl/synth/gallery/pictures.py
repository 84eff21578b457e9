"""Small pictures of media: thumbnails, frames of videos, waves of sounds.

Must not know samples.

Source: data synthesis specification, section 20 (thumbnails, frame strip).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from PIL import Image, ImageDraw

from nanovl.core.errors import InputError

__all__ = ["EXTENSIONS", "Frame", "Strip", "picture_size", "strip_of", "thumbnail", "wave"]

EXTENSIONS = {
    "image": ("png", "jpg", "jpeg", "webp", "gif"),
    "video": ("mp4", "webm", "mov"),
    "audio": ("wav", "mp3", "flac", "ogg"),
}
"""Endings of files the viewer keeps; others are renamed to the first one."""

THUMB = (320, 240)
_FRAME_WIDTH = 640


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        seconds: When it begins.
        jpeg: The picture.
    """

    seconds: float
    jpeg: bytes


@dataclass(frozen=True)
class Strip:
    """Frames of a video.

    Attributes:
        frames: Evenly over its length.
        width, height: Of the video in pixels.
        duration: In seconds.
        has_sound: Whether there is a sound track.
    """

    frames: tuple[Frame, ...]
    width: int
    height: int
    duration: float
    has_sound: bool


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded picture.

    Raises:
        InputError: It is no picture.
    """
    with _opened(data) as picture:
        return picture.size


def thumbnail(data: bytes) -> bytes:
    """A small JPEG of an encoded picture.

    Raises:
        InputError: It is no picture.
    """
    with _opened(data) as picture:
        # A long page is cut: its beginning tells more than a narrow strip.
        flat = _flat(picture)
        width, height = flat.size
        flat = flat.crop((0, 0, width, min(height, width * 3 // 2)))
        flat.thumbnail(THUMB, Image.Resampling.LANCZOS)
        return _jpeg(flat, 82)


def strip_of(data: bytes, count: int = 20) -> Strip:
    """Frames of an encoded video, evenly over its length.

    Args:
        data: The file.
        count: Frames at most.

    Raises:
        InputError: It cannot be decoded.
    """
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            times = [
                float(f.pts * f.time_base)
                for f in container.decode(video=0)
                if f.pts is not None and f.time_base is not None
            ]
            rate = float(stream.average_rate or 1)
            size = stream.codec_context.width, stream.codec_context.height
            has_sound = bool(container.streams.audio)
        total = len(times)
        wanted = {round(k * (total - 1) / max(count - 1, 1)) for k in range(min(count, total))}
        frames = []
        with av.open(io.BytesIO(data), "r") as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    frames.append(Frame(round(times[number], 3), _jpeg(_small(frame), 85)))
    except (FFmpegError, IndexError, ValueError) as error:
        raise InputError(f"video cannot be decoded: {error}") from error
    return Strip(tuple(frames), *size, round(times[-1] + 1 / rate, 3), has_sound)


def _small(frame: av.VideoFrame) -> Image.Image:
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    if picture.width > _FRAME_WIDTH:
        height = round(picture.height * _FRAME_WIDTH / picture.width)
        picture = picture.resize((_FRAME_WIDTH, height), Image.Resampling.LANCZOS)
    return picture


def wave(data: bytes) -> tuple[bytes, float]:
    """A picture of a sound, and its length in seconds.

    Raises:
        InputError: It cannot be decoded.
    """
    parts: list[npt.NDArray[np.float32]] = []
    try:
        with av.open(io.BytesIO(data), "r") as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=8000)
            for frame in container.decode(audio=0):
                parts += [made.to_ndarray()[0] for made in resampler.resample(frame)]
    except (FFmpegError, IndexError, ValueError) as error:
        raise InputError(f"sound cannot be decoded: {error}") from error
    samples = np.concatenate(parts) if parts else np.zeros(1, np.float32)
    width, height = 640, 96
    picture = Image.new("RGB", (width, height), (245, 246, 248))
    draw = ImageDraw.Draw(picture)
    for x, part in enumerate(np.array_split(np.abs(samples), width)):
        tall = float(part.max()) * (height / 2 - 4) if part.size else 0.0
        draw.line((x, height / 2 - tall, x, height / 2 + tall), fill=(47, 111, 219))
    return _jpeg(picture, 85), len(samples) / 8000


def _opened(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"picture cannot be decoded: {error}") from error
    return picture


def _flat(picture: Image.Image) -> Image.Image:
    """Without transparency, on white."""
    if picture.mode in ("RGBA", "LA", "P", "PA"):
        full = picture.convert("RGBA")
        ground = Image.new("RGBA", full.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, full)
    return picture.convert("RGB")


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()
