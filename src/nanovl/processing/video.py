"""Videos -> facts for planning, and chosen frames as normalised tensors.

`probe` reads packets but decodes a single frame; `load_frames` decodes what was chosen and keeps
one decoded frame at a time. Choosing frames is `sampling.py`; text around them is the template's.

Frames are numbered on an even time line of `VideoInfo.fps`. Where the frame rate is constant that
is plain counting; where it varies, number i stands for the picture on screen at i / fps.

Shapes: m frames, 3 channels, (h, w) rows and columns.

Source: model specification section 7.2, serving specification section 10.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av
import numpy as np
import torch
from av.container import InputContainer
from PIL import Image

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.container import open_container, video_of
from nanovl.processing.images import image_size, open_image
from nanovl.processing.media import Limits, localize
from nanovl.processing.pixels import CLIP_MEAN, CLIP_STD, to_pixels

__all__ = ["VideoInfo", "load_frames", "probe"]

logger = logging.getLogger(__name__)

DEFAULT_LIST_FPS = 2.0
# Counting frames may misplace one by this much before times are used instead, in seconds.
MAX_DRIFT_S = 0.25
# How far a container's word about the rate may be from what its packets say; a few missing frames
# are within it, fields counted as frames are not.
RATE_MISMATCH = 0.3


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What planning needs to know about a video.

    Attributes:
        width, height: As shown, rotation applied.
        fps: Frames per second; 0.0 when unknown.
        frames: Frames that can be read, counted in the file.
        duration_s: frames / fps, or 0.0 when the rate is unknown.
        has_audio: Whether there is a sound track.
        is_variable: Whether the frame rate varies.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    has_audio: bool
    is_variable: bool = False


@dataclass(frozen=True, kw_only=True)
class _Timeline:
    """Times of all packets of a picture track, in ticks, in showing order.

    `pts` is empty when the container gives no times; then frames are counted.
    """

    count: int
    pts: np.ndarray[Any, Any]
    keys: np.ndarray[Any, Any]
    fps: float
    is_variable: bool

    def tick_of(self, index: int) -> int:
        """Time of frame `index` on the even time line."""
        if not self.is_variable:
            return int(self.pts[index])
        span = self.pts[-1] - self.pts[0]
        shown = self.pts[0] + index * span / max(1, self.count - 1)
        return int(self.pts[np.searchsorted(self.pts, shown + 1e-6, side="right") - 1])


def probe(ref: MediaRef, limits: Limits, *, fps: float | None = None) -> VideoInfo:
    """Facts about a video or a list of frames, for planning.

    Args:
        ref: A video file, or an in-memory sequence of pictures.
        limits: Bounds for bytes, length and size.
        fps: Rate of a list of frames (2 when None); ignored for files.

    Raises:
        InputError: No video, no readable frame, codec not allowed, or over a limit.
    """
    ref = localize(ref, "video", limits)
    if ref.array is not None:
        frames = _frame_list(ref, limits)
        width, height = image_size(frames[0], limits)
        rate = DEFAULT_LIST_FPS if fps is None else fps
        return VideoInfo(
            width=width,
            height=height,
            fps=rate,
            frames=len(frames),
            duration_s=len(frames) / rate if rate > 0 else 0.0,
            has_audio=False,
        )
    with open_container(ref, "video", limits) as container:
        timeline = _read_timeline(container, ref.name, limits)
        has_audio = len(container.streams.audio) > 0
    with open_container(ref, "video", limits) as container:
        stream = _decodable(container, ref.name, limits)
        height, width = _pixels_of(_first_frame(container, stream, ref.name)).shape[:2]
    duration = timeline.count / timeline.fps if timeline.fps > 0 else 0.0
    if duration > limits.max_video_s:
        raise InputError(
            f"{ref.name}: video of {duration:.0f} s, limit {limits.max_video_s:.0f} s; cut it"
        )
    return VideoInfo(
        width=width,
        height=height,
        fps=timeline.fps,
        frames=timeline.count,
        duration_s=duration,
        has_audio=has_audio,
        is_variable=timeline.is_variable,
    )


def load_frames(
    ref: MediaRef,
    indices: Sequence[int],
    size: tuple[int, int],
    *,
    mean: Sequence[float] = CLIP_MEAN,
    std: Sequence[float] = CLIP_STD,
    dtype: torch.dtype = torch.bfloat16,
    limits: Limits,
) -> torch.Tensor:
    """Decode chosen frames and resize each to one size, not keeping its ratio.

    A frame that does not decode is replaced by its neighbour, and a warning is logged.

    Args:
        ref: As given to `probe`.
        indices: Rising frame numbers; repeats are allowed.
        size: (h, w) of the result.
        mean, std: Per channel, for values in 0..1.
        dtype: Cast to last.
        limits: Bounds for bytes, size and number of frames.

    Returns:
        (m, 3, h, w) with m = len(indices).

    Raises:
        InputError: Not a video, an index outside it, or not one frame decodes.
    """
    ref = localize(ref, "video", limits)
    if len(indices) > limits.max_frames:
        raise InputError(f"{ref.name}: {len(indices)} frames wanted, limit {limits.max_frames}")
    if not indices or any(a > b for a, b in pairwise(indices)):
        raise InputError(f"{ref.name}: frame numbers must be given and rise")
    out = torch.empty(len(indices), 3, *size, dtype=dtype)
    slot = 0
    for picture, repeats in _pictures(ref, indices, limits):
        out[slot : slot + repeats] = to_pixels(picture, size, mean=mean, std=std, dtype=dtype)
        slot += repeats
    return out


def _pictures(
    ref: MediaRef, indices: Sequence[int], limits: Limits
) -> Iterator[tuple[Image.Image | np.ndarray[Any, Any], int]]:
    """The pictures for `indices` in order, each with the number of indices it serves."""
    if ref.array is not None:
        frames = _frame_list(ref, limits)
        _check_indices(indices, len(frames), ref.name)
        for index in indices:
            yield open_image(frames[index], limits), 1
        return
    with open_container(ref, "video", limits) as container:
        timeline = _read_timeline(container, ref.name, limits)
    _check_indices(indices, timeline.count, ref.name)
    is_counted = timeline.pts.size == 0
    wanted = list(indices) if is_counted else [timeline.tick_of(i) for i in indices]
    with open_container(ref, "video", limits) as container:
        stream = _decodable(container, ref.name, limits)
        stream.thread_type = "AUTO"
        # Seeking pays when few of the stretches between key frames are looked at.
        if not is_counted and 3 * len(set(wanted)) < timeline.keys.size:
            decoded = _decode_by_seeking(container, stream, sorted(set(wanted)), timeline.keys)
        else:
            decoded = _decode_through(container, stream, is_counted)
        yield from _match(decoded, wanted, ref.name, limits)


def _match(
    decoded: Iterator[tuple[int, Any]], wanted: list[int], name: str, limits: Limits
) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    """Pair wanted times with the first decoded frame at or after each."""
    slot, replaced = 0, 0
    latest: Any = None
    for tick, frame in decoded:
        latest = frame
        stop = slot
        while stop < len(wanted) and wanted[stop] <= tick:
            replaced += wanted[stop] != tick
            stop += 1
        if stop > slot:
            _check_frame_size(frame.width, frame.height, name, limits)
            yield _pixels_of(frame), stop - slot
            slot = stop
        if slot == len(wanted):
            break
    if latest is None:
        raise InputError(f"{name}: no frame of the video decodes; get a complete copy of the file")
    if slot < len(wanted):
        replaced += len(wanted) - slot
        _check_frame_size(latest.width, latest.height, name, limits)
        yield _pixels_of(latest), len(wanted) - slot
    if replaced:
        logger.warning(
            "%s: %d of %d frames do not decode; their neighbours are shown",
            name,
            replaced,
            len(wanted),
        )


def _decode_through(
    container: InputContainer, stream: Any, is_counted: bool
) -> Iterator[tuple[int, Any]]:
    for number, frame in enumerate(_decode(container, stream)):
        if is_counted:
            yield number, frame
        elif frame.pts is not None:
            yield frame.pts, frame


def _decode_by_seeking(
    container: InputContainer, stream: Any, wanted: list[int], keys: np.ndarray[Any, Any]
) -> Iterator[tuple[int, Any]]:
    """Decode from the key frame before each wanted time; frames after it are not touched."""
    for tick in wanted:
        # One key frame earlier when the container lands behind the target; then its beginning.
        before = int(np.searchsorted(keys, tick, side="right")) - 1
        for key in (before, before - 1, 0):
            container.seek(int(keys[max(key, 0)]), stream=stream, backward=True)
            found, landed_late = None, False
            for frame in _decode(container, stream):
                if frame.pts is None:
                    continue
                landed_late = found is None and frame.pts > tick and key > 0
                found = frame
                if frame.pts >= tick:
                    break
            if found is not None and not landed_late:
                yield found.pts, found
                break


def _decode(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Frames in showing order; packets that do not decode are passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None
        if packet is None:
            return
        if packet.is_corrupt:
            continue
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        yield from frames


def _decodable(container: InputContainer, name: str, limits: Limits) -> Any:
    """The picture track, told to refuse frames that suddenly become huge."""
    stream = video_of(container, name)
    # Twice the limit leaves room for the padding codecs add.
    stream.codec_context.options = {"max_pixels": str(2 * limits.max_pixels)}
    return stream


def _first_frame(container: InputContainer, stream: Any, name: str) -> Any:
    frame = next(_decode(container, stream), None)
    if frame is None:
        raise InputError(f"{name}: no frame of the video decodes; get a complete copy of the file")
    return frame


def _read_timeline(container: InputContainer, name: str, limits: Limits) -> _Timeline:
    """Read all packets (not decoding them): containers' own frame counts may be 0 or wrong."""
    stream = video_of(container, name)
    _check_frame_size(stream.width, stream.height, name, limits)
    pts: list[int] = []
    keys: list[int] = []
    count = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_corrupt or packet.is_discard:
                continue
            count += 1
            if packet.pts is not None:
                pts.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
    except av.error.FFmpegError as error:
        logger.warning("%s: reading stops after %d frames (%s)", name, count, error.strerror)
    if count == 0:
        raise InputError(f"{name}: video has no readable frames; get a complete copy of the file")
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    if len(set(pts)) != count:
        none = np.empty(0, np.int64)
        return _Timeline(count=count, pts=none, keys=none, fps=rate, is_variable=False)
    ticks = np.sort(np.asarray(pts, np.int64))
    if count < 2:
        return _Timeline(count=1, pts=ticks, keys=ticks, fps=rate, is_variable=False)
    time_base = float(stream.time_base)
    measured = (count - 1) / (float(ticks[-1] - ticks[0]) * time_base)
    drift_s = np.abs(ticks - np.linspace(ticks[0], ticks[-1], count)).max() * time_base
    is_variable = bool(drift_s > MAX_DRIFT_S)
    if is_variable or rate <= 0 or abs(rate - measured) > RATE_MISMATCH * measured:
        rate = measured
    return _Timeline(
        count=count,
        pts=ticks,
        keys=np.sort(np.asarray(keys or pts[:1], np.int64)),
        fps=rate,
        is_variable=is_variable,
    )


def _pixels_of(frame: Any) -> np.ndarray[Any, Any]:
    """RGB uint8 (rows, columns, 3) as shown: turned and mirrored by the display matrix."""
    pixels: np.ndarray[Any, Any] = frame.to_ndarray(format="rgb24")
    matrix = next((d for d in frame.side_data if d.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    # Shown x = a x + c y, shown y = b x + d y, up to a shift; only quarter turns are honoured.
    is_upright = abs(a) + abs(d) >= abs(b) + abs(c)
    x, y = (a, d) if is_upright else (c, b)
    shown = pixels if is_upright else pixels.swapaxes(0, 1)
    return shown[:: -1 if y < 0 else 1, :: -1 if x < 0 else 1]


def _check_frame_size(width: int, height: int, name: str, limits: Limits) -> None:
    if max(width, height) > limits.max_video_side or width * height > limits.max_pixels:
        raise InputError(
            f"{name}: video of {width}x{height} pixels, limit {limits.max_video_side} per side "
            f"and {limits.max_pixels} pixels; scale it down"
        )


def _check_indices(indices: Sequence[int], count: int, name: str) -> None:
    if indices[0] < 0 or indices[-1] >= count:
        raise InputError(
            f"{name}: frames {indices[0]} to {indices[-1]} wanted, the video has {count}"
        )


def _frame_list(ref: MediaRef, limits: Limits) -> list[MediaRef]:
    """In-memory frames as references to single pictures."""
    frames = ref.array
    if isinstance(frames, Image.Image) or not hasattr(frames, "__len__"):
        raise InputError(f"{ref.name}: expected a sequence of pictures as video")
    if isinstance(frames, np.ndarray) and frames.ndim != 4:
        raise InputError(
            f"{ref.name}: array {frames.dtype} {frames.shape}, expected uint8 "
            "(frames, rows, columns, 3)"
        )
    if not len(frames):
        raise InputError(f"{ref.name}: list of frames is empty")
    if len(frames) > limits.max_frames:
        raise InputError(
            f"{ref.name}: {len(frames)} frames in a list, limit {limits.max_frames}; send fewer"
        )
    return [MediaRef.of(frame, name=f"{ref.name}, frame {i}") for i, frame in enumerate(frames, 1)]
