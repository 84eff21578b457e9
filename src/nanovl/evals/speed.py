"""How fast a model answers questions about a long video: time to first token, tokens per second.

A synthetic video and a short random text, a fixed number of answer tokens. Every request has a
video of its own, so that nothing kept of an earlier one (encoded media, prefixes) answers it. Times
are taken by the client; nothing is estimated. Must not score anything.

Source: evaluation specification, section 2.4 (speed part of figure 4).
"""

from __future__ import annotations

import io
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nanovl.core.errors import BackendError, ConfigError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.chat_body import data_url
from nanovl.evals.endpoint import ChatEndpoint, usage_of
from nanovl.evals.scorefiles import percentile
from nanovl.evals.transport import NoReply, Reply, stream_lines

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = [
    "CONCURRENCY",
    "EndpointTarget",
    "Load",
    "ModelTarget",
    "Speed",
    "SpeedTarget",
    "Timed",
    "measure",
    "synthetic_video",
]

CONCURRENCY: tuple[int, ...] = (1, 4, 16)
_FPS = 2
# From a start of its own: a server may have seen those of an earlier process.
_numbers_of_videos = (number % 2**32 for number in itertools.count(time.time_ns() // 1000))
_VOCABULARY = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book"
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked.

    Attributes:
        frames: Of the video.
        width, height: Of a frame in pixels.
        text_tokens: Of the question.
        answer_tokens: Of every answer; the end of the answer is ignored.
        requests: Per repeat.
        repeats: The median of them is printed.
        warm_up: Requests before, not counted.
    """

    frames: int = 128
    width: int = 512
    height: int = 512
    text_tokens: int = 30
    answer_tokens: int = 128
    requests: int = 20
    repeats: int = 3
    warm_up: int = 1

    def __post_init__(self) -> None:
        for name in ("frames", "text_tokens", "answer_tokens", "requests", "repeats"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: expected at least 1")
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 16:
            raise ConfigError(
                f"video of {self.width}x{self.height}: expected even sides of at least 16 pixels"
            )


@dataclass(frozen=True)
class Timed:
    """One answer, in seconds of one clock.

    Attributes:
        start: When it was asked for.
        first: When its first token came.
        end: When its last one came.
        tokens: How many.
    """

    start: float
    first: float
    end: float
    tokens: int

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first - self.start

    @property
    def tpot_s(self) -> float | None:
        """Time per token after the first, None for a single one."""
        return (self.end - self.first) / (self.tokens - 1) if self.tokens > 1 else None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A point of the figure: medians over the repeats.

    Attributes:
        pruning_rate, concurrency: Where it was measured.
        requests: Successful ones of all repeats.
        failed: Others.
        ttft_mean_ms, ttft_median_ms, ttft_p99_ms: Time to first token.
        tpot_ms: Mean time per further token.
        tokens_per_s: Answer tokens of all requests over the time from the first request to the
            last token.
        spread: Largest less smallest of the repeats, by the names above.
    """

    pruning_rate: float
    concurrency: int
    requests: int
    failed: int
    ttft_mean_ms: float
    ttft_median_ms: float
    ttft_p99_ms: float
    tpot_ms: float
    tokens_per_s: float
    spread: dict[str, float] = field(default_factory=dict)


class SpeedTarget(Protocol):
    """Who is measured."""

    def ask(self, load: Load, rate: float, seeds: Sequence[int]) -> list[Timed]:
        """Answers to one request per seed, all asked at the same time.

        Raises:
            NanoVLError: A request failed.
        """
        ...


class EndpointTarget:
    """An endpoint, streamed.

    Args:
        endpoint: Who is asked.
        timeout_s: Of one request.
    """

    def __init__(self, endpoint: ChatEndpoint, *, timeout_s: float = 1800.0) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s

    def ask(self, load: Load, rate: float, seeds: Sequence[int]) -> list[Timed]:
        """See `SpeedTarget`."""
        with ThreadPoolExecutor(max_workers=len(seeds)) as pool:
            return list(pool.map(lambda seed: self._timed(load, rate, seed), seeds))

    def _timed(self, load: Load, rate: float, seed: int) -> Timed:
        body = {
            "model": self.endpoint.model,
            "messages": [
                {"role": "system", "content": "/no_think"},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "video_url",
                            "video_url": {"url": data_url(_fresh_video(load), "video")},
                        },
                        {"type": "text", "text": random_text(load.text_tokens, seed)},
                    ],
                },
            ],
            "temperature": 0,
            "max_tokens": load.answer_tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            "mm_processor_kwargs": {"video_pruning_rate": rate},
        }
        data = self.endpoint.encode(body)
        start = time.perf_counter()
        first: float | None = None
        last = start
        pieces = tokens = 0
        try:
            for found in stream_lines(
                self.endpoint.address, data, self.endpoint.headers, self.timeout_s
            ):
                if isinstance(found, Reply):
                    said = self.endpoint.hide(found.body[:2000].decode("utf-8", "replace"))
                    raise BackendError(f"{self.endpoint.address}: HTTP {found.status} ({said})")
                at, line = found
                event = _event(line)
                tokens = usage_of(event.get("usage")).get("completion", tokens)
                if _has_text(event):
                    pieces += 1
                    first = at if first is None else first
                    last = at
        except NoReply as error:
            raise BackendError(f"{self.endpoint.address}: {error}") from error
        if first is None:
            raise BackendError(f"{self.endpoint.address}: the stream ended without a token")
        return Timed(start, first, last, tokens or pieces)


class ModelTarget:
    """A model in this process; requests asked together are decoded in one batch.

    Args:
        model: From `nanovl.load`.
    """

    def __init__(self, model: NanoVL) -> None:
        self.model = model

    def ask(self, load: Load, rate: float, seeds: Sequence[int]) -> list[Timed]:
        """See `SpeedTarget`."""
        from nanovl.core.conversation import Conversation, MediaRef, VideoPart

        videos = [
            VideoPart(
                source=MediaRef(data=_fresh_video(load), name="speed.mp4"), max_frames=load.frames
            )
            for _ in seeds
        ]
        start = time.perf_counter()
        planned = [
            self.model.plan(
                Conversation.user(self._text(load, seed), [video]),
                reasoning="off",
                pruning_rate=rate,
                max_tokens=load.answer_tokens,
                ignore_eos=True,
            )
            for seed, video in zip(seeds, videos, strict=True)
        ]
        first: dict[int, float] = {}
        end: dict[int, float] = {}
        tokens = dict.fromkeys(range(len(seeds)), 0)
        with closing(self.model.engine.run(planned)) as pieces:
            for index, delta in pieces:
                now = time.perf_counter()
                first.setdefault(index, now)
                end[index] = now
                tokens[index] += len(delta.token_ids)
        return [Timed(start, first[i], end[i], tokens[i]) for i in range(len(seeds))]

    def _text(self, load: Load, seed: int) -> str:
        ids = self.model.tokenizer.encode(random_text(2 * load.text_tokens, seed))
        return self.model.tokenizer.decode(ids[: load.text_tokens])


def measure(
    target: SpeedTarget,
    rates: Sequence[float],
    *,
    concurrency: Sequence[int] = (1,),
    load: Load | None = None,
    on_event: OnEvent = ignore_event,
) -> list[Speed]:
    """Measure every pruning rate at every concurrency.

    Args:
        target: Who is measured.
        rates: EVS rates in [0, 1).
        concurrency: Requests under way at a time.
        load: What is asked.
        on_event: Told about progress.

    Raises:
        ConfigError: A rate or a concurrency that cannot be.
        NanoVLError: Not one request of a point succeeded.
    """
    load = load or Load()
    for rate in rates:
        if not 0 <= rate < 1:
            raise ConfigError(f"pruning rate {rate}: expected in [0, 1)")
    for parallel in concurrency:
        if parallel < 1:
            raise ConfigError(f"concurrency {parallel}: expected at least 1")
    points = [(rate, parallel) for parallel in concurrency for rate in rates]
    found = []
    for number, (rate, parallel) in enumerate(points, start=1):
        found.append(_point(target, load, rate, parallel))
        on_event(Event(name="speed", done=number, total=len(points), unit="points"))
    return found


def _point(target: SpeedTarget, load: Load, rate: float, parallel: int) -> Speed:
    seed = 0
    for _ in range(load.warm_up):
        target.ask(load, rate, [seed])
        seed += 1
    repeats: list[dict[str, float]] = []
    done = failed = 0
    why = ""
    for _ in range(load.repeats):
        timed: list[Timed] = []
        seeds = list(range(seed, seed + load.requests))
        seed += load.requests
        found, errors = _closed_loop(target, load, rate, parallel, seeds)
        timed += found
        failed += len(errors)
        why = str(errors[-1]) if errors else why
        if timed:
            done += len(timed)
            repeats.append(_numbers(timed))
    if not repeats:
        raise BackendError(f"speed at pruning rate {rate:g}: no request succeeded ({why})")
    names = list(repeats[0])
    middle = {name: statistics.median(r[name] for r in repeats) for name in names}
    spread = {name: max(r[name] for r in repeats) - min(r[name] for r in repeats) for name in names}
    return Speed(
        pruning_rate=rate,
        concurrency=parallel,
        requests=done,
        failed=failed,
        spread=spread,
        **middle,
    )


def _closed_loop(
    target: SpeedTarget, load: Load, rate: float, parallel: int, seeds: Sequence[int]
) -> tuple[list[Timed], list[NanoVLError]]:
    """All requests, `parallel` of them under way at any time."""
    found: list[Timed] = []
    errors: list[NanoVLError] = []
    if isinstance(target, ModelTarget):  # a batch of the engine ends together
        groups = [seeds[i : i + parallel] for i in range(0, len(seeds), parallel)]
        for group in groups:
            _try(lambda group=group: target.ask(load, rate, group), found, errors)  # type: ignore[misc]
        return found, errors
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        for _ in pool.map(
            lambda s: _try(lambda: target.ask(load, rate, [s]), found, errors), seeds
        ):
            pass
    return found, errors


def _try(ask: Callable[[], list[Timed]], found: list[Timed], errors: list[NanoVLError]) -> None:
    try:
        found.extend(ask())
    except NanoVLError as error:
        errors.append(error)


def _numbers(timed: Sequence[Timed]) -> dict[str, float]:
    ttft = [1000 * t.ttft_s for t in timed]
    tpot = [1000 * t.tpot_s for t in timed if t.tpot_s is not None]
    wall = max(t.end for t in timed) - min(t.start for t in timed)
    return {
        "ttft_mean_ms": statistics.fmean(ttft),
        "ttft_median_ms": statistics.median(ttft),
        "ttft_p99_ms": percentile(ttft, 99),
        "tpot_ms": statistics.fmean(tpot) if tpot else 0.0,
        "tokens_per_s": sum(t.tokens for t in timed) / wall if wall > 0 else 0.0,
    }


def random_text(words: int, seed: int) -> str:
    """Words that mean nothing together; other ones for every seed, so that no cache helps."""
    draw, known = random.Random(seed), _VOCABULARY.split()
    return " ".join(draw.choice(known) for _ in range(words))


def _fresh_video(load: Load) -> bytes:
    """A video nobody was asked about before, in this process or another."""
    return synthetic_video(load, next(_numbers_of_videos))


def synthetic_video(load: Load, number: int = 0) -> bytes:
    """An MP4 of so many frames at 2 per second: a square wanders over a moving gradient.

    Args:
        load: Frames and their size.
        number: Of the video, below 2**32; stands in its bottom rows as black and white blocks, so
            that videos differ and cost the same.
    """
    import av

    columns, rows = np.meshgrid(np.arange(load.width), np.arange(load.height))
    bits = (number >> (32 * np.arange(load.width) // load.width)) & 1  # (width,)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = load.width, load.height, "yuv420p"
        for index in range(load.frames):
            pixels = np.stack(
                [
                    (columns + 3 * index) % 256,
                    (rows + 5 * index) % 256,
                    np.full_like(rows, 2 * index % 256),
                ],
                axis=-1,
            ).astype(np.uint8)
            side = load.height // 4
            left = index * side // 2 % max(1, load.width - side)
            pixels[:side, left : left + side] = 255
            pixels[-8:] = 255 * bits[:, None].astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _event(line: bytes) -> dict[str, Any]:
    """The JSON of an event line, {} for all others."""
    if not line.startswith(b"data:"):
        return {}
    try:
        found = json.loads(line[5:])
    except ValueError:
        return {}
    if isinstance(found, dict) and found.get("error"):
        raise BackendError(f"the stream ended with an error: {str(found['error'])[:300]}")
    return found if isinstance(found, dict) else {}


def _has_text(event: dict[str, Any]) -> bool:
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"):
            return True
    return False
