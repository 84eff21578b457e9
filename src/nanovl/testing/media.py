"""Pictures, videos and PDFs for tests, made on the spot and the same on every machine.

Nothing here is random without a seed, and nothing depends on fonts or programs of the machine. The
makers return or write real files of the formats users have; what they look like is only as
interesting as a test needs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["picture", "picture_bytes", "video"]

Kind = Literal["gradient", "noise", "checker", "solid", "text"]


def picture(
    width: int = 64,
    height: int = 48,
    kind: Kind = "gradient",
    *,
    seed: int = 0,
    mode: str = "RGB",
    text: str = "nanovl",
) -> Image.Image:
    """Draw a picture.

    Args:
        width, height: Size in pixels.
        kind: "gradient" (every pixel of a small picture differs), "noise" (hard to resize),
            "checker" (sharp edges), "solid" (one colour), "text" (black on white).
        seed: Varies the content; equal seeds give equal pixels.
        mode: Pillow mode of the result: RGB, RGBA, L, P, CMYK, I;16, 1 ...
        text: What "text" writes.
    """
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    if kind == "gradient":
        planes = [
            columns * 255 // max(width - 1, 1),
            rows * 255 // max(height - 1, 1),
            (columns + rows + 37 * seed) % 256,
        ]
        pixels = np.stack(planes, axis=-1)
    elif kind == "noise":
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    elif kind == "checker":
        pixels = np.repeat((((columns // 8 + rows // 8 + seed) % 2) * 255)[..., None], 3, axis=-1)
    elif kind == "solid":
        colour = np.random.default_rng(seed).integers(0, 256, 3)
        pixels = np.broadcast_to(colour, (height, width, 3))
    else:
        image = Image.new("RGB", (width, height), "white")
        size = max(8, min(height // 3, width // max(len(text), 1)))
        ImageDraw.Draw(image).text((4, 4), text, fill="black", font=ImageFont.load_default(size))
        return _to_mode(image, mode)
    return _to_mode(Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8)), mode)


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":  # Pillow has no conversion from RGB: spread 8 bits over 16
        grey = np.asarray(image.convert("L"), dtype=np.uint16) * 257
        return Image.fromarray(grey)
    if mode == "RGBA":
        image = image.convert("RGBA")
        alpha = Image.linear_gradient("L").resize(image.size)
        image.putalpha(alpha)
        return image
    return image.convert(mode)


def picture_bytes(image: Image.Image | None = None, format: str = "PNG", **save: Any) -> bytes:
    """Encode a picture (default: `picture()`) as PNG, JPEG, GIF, TIFF, WEBP ..."""
    buffer = io.BytesIO()
    (image if image is not None else picture()).save(buffer, format=format, **save)
    return buffer.getvalue()


def video(
    path: Path,
    frames: int = 16,
    fps: float = 8.0,
    *,
    width: int = 64,
    height: int = 48,
    codec: str = "libx264",
    times_s: Sequence[float] | None = None,
    tone_hz: float | None = None,
    pictures: Sequence[Image.Image] | None = None,
) -> Path:
    """Write a video in which frame k is a bright square at its own place.

    The grey background of frame k is 16 + 8 * (k mod 24), so that a test can tell which frame it
    got even after lossy coding.

    Args:
        path: Where to; the ending chooses the container (.mp4, .mkv, .webm).
        frames: Number of frames.
        fps: Frames per second.
        width, height: Size in pixels, even numbers.
        codec: PyAV encoder name.
        times_s: Time of every frame in seconds, for a variable frame rate; replaces fps.
        tone_hz: Adds an audio track with this tone, as long as the video; None adds none.
        pictures: The frames, all of one even size; they replace `frames`, `width` and `height`.

    Returns:
        `path`.
    """
    import av

    if pictures is not None:
        frames, (width, height) = len(pictures), pictures[0].size
    if times_s is not None and len(times_s) != frames:
        raise ValueError(f"{len(times_s)} times for {frames} frames")
    clock = Fraction(1, 1000 * max(1, round(fps)))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = clock
        stream.options = {"bf": "0"}  # no reordering: time stamps in the file are those given
        sound = _add_sound(container) if tone_hz is not None else None
        starts = list(times_s) if times_s is not None else [i / fps for i in range(frames)]
        ends = [*starts[1:], starts[-1] + 1 / fps] if starts else []
        for index, (start_s, end_s) in enumerate(zip(starts, ends, strict=True)):
            pixels = _frame(index, width, height) if pictures is None else _rgb(pictures[index])
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(start_s / clock), clock
            frame.duration = round((end_s - start_s) / clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None and tone_hz is not None:
            _write_tone(container, sound, tone_hz, ends[-1] if ends else 0.0)
    return path


def _frame(index: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels = np.full((height, width, 3), 16 + 8 * (index % 24), dtype=np.uint8)
    side = max(4, min(width, height) // 4)
    left = (index * side) % max(width - side, 1)
    pixels[:side, left : left + side] = 240
    return pixels


def _rgb(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(image.convert("RGB"))


def _add_sound(container: Any) -> Any:
    return container.add_stream("aac", rate=16000, layout="mono")


def _write_tone(container: Any, stream: Any, tone_hz: float, length_s: float) -> None:
    import av

    rate, block = 16000, 1024
    total = int(length_s * rate)
    for start in range(0, total, block):
        count = min(block, total - start)
        phase = 2 * math.pi * tone_hz * (start + np.arange(count)) / rate
        samples = (0.3 * np.sin(phase)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
