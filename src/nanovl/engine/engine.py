"""The loop that answers many requests with one model.

Every step takes one token of each sequence that is answering and a share of the prompts of those
that are not, in one pass (continuous batching, chunked prefill). Prompts begin where an earlier one
left off (`prefix_cache`), pictures are encoded once (`media_cache`), and when the attention cache
runs out the newest sequence gives its blocks up and is computed again later.

Without `start` the loop runs in whichever thread waits for a piece, so that a script needs no
thread and Ctrl-C works; `start` gives it a thread of its own, as a server needs it.

Knows no media formats, no prompt template and no HTTP.

Source: serving specification, sections 7.2 to 7.9.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Collection, Generator, Mapping, Sequence as Seq
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from nanovl.core.errors import CapacityError, ConfigError, InputError, NanoVLError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.generation import Delta
from nanovl.core.layout import TokenLayout
from nanovl.engine.media_cache import MediaCache
from nanovl.engine.prefix_cache import PrefixCache
from nanovl.engine.runner import Runner
from nanovl.engine.sequence import Codec, EngineRequest, Sequence
from nanovl.engine.steps import Steps
from nanovl.engine.stream import Stream
from nanovl.engine.task import Task
from nanovl.model.cache import BLOCK, HybridCache
from nanovl.model.vlm import VLM
from nanovl.ops.native.library import release_threads

__all__ = ["Engine", "EngineStats", "check_counts", "compute_alone"]

log = logging.getLogger(__name__)

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class EngineStats:
    """What the engine does, and has done since it was made.

    Attributes:
        running, waiting: Sequences.
        kv_usage: Share of the attention cache that sequences and snapshots hold.
        kv_tokens: Size of the attention cache.
        slots: Sequences at once.
        snapshots: Places prompts can begin at.
        prompt_tokens, cached_tokens, generation_tokens, reasoning_tokens: Counted at the end of
            each answer.
        prefix_queries, prefix_hits: Tokens.
        media_queries, media_hits: Pictures and videos.
        evs_tokens_dropped: Visual tokens pruned.
        preemptions, budgets_forced, steps: Times.
        step_sizes: Steps by how many tokens they computed.
    """

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    kv_tokens: int = 0
    slots: int = 0
    snapshots: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generation_tokens: int = 0
    reasoning_tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    media_queries: int = 0
    media_hits: int = 0
    evs_tokens_dropped: int = 0
    preemptions: int = 0
    budgets_forced: int = 0
    steps: int = 0
    step_sizes: Mapping[int, int] = field(default_factory=dict)


class Engine:
    """Answers requests with one model.

    Args:
        model: Its weights are not changed.
        codec: Its tokenizer.
        stop_ids: Ids that end an answer.
        context_length: Longest prompt and answer together, in tokens; None takes the model's.
        max_slots: Sequences in work at once, over all requests.
        prefill_chunk: Tokens of one pass; bounds memory and how long a step takes, and never
            changes the result.
        kv_tokens: Tokens of attention cache over all sequences; None takes what suits the memory.
        state_cache_gib: Memory for places later prompts can begin at; 0 keeps none.
        media_cache_gib: Memory for encoded pictures and videos; 0 keeps none.
        max_queued: Requests that may wait; None is any number.
        max_queued_tokens: Prompt tokens that may wait.
        turn_ids: Ids that begin a turn of the prompt template.

    Raises:
        ConfigError: A count is not a positive number.
    """

    def __init__(
        self,
        model: VLM,
        codec: Codec,
        *,
        stop_ids: Seq[int],
        context_length: int | None = None,
        max_slots: int = 16,
        prefill_chunk: int = 512,
        kv_tokens: int | None = None,
        state_cache_gib: float | None = None,
        media_cache_gib: float = 1.0,
        max_queued: int | None = None,
        max_queued_tokens: int | None = None,
        turn_ids: Seq[int] = (),
    ) -> None:
        check_counts(
            context_length=context_length,
            max_slots=max_slots,
            prefill_chunk=prefill_chunk,
            kv_tokens=kv_tokens,
            max_queued=max_queued,
            max_queued_tokens=max_queued_tokens,
        )
        self.model = model
        self.codec = codec
        self.stop_ids = frozenset(stop_ids)
        self.context_length = context_length or model.config.max_sequence_length
        self.max_slots = max_slots
        self.prefill_chunk = prefill_chunk
        self.kv_tokens = kv_tokens or self._suitable_kv_tokens()
        self.max_queued = max_queued
        self.max_queued_tokens = max_queued_tokens
        self.turn_ids = frozenset(turn_ids)
        self.alive = True
        self.news = threading.Condition()
        self._state_bytes = int(
            min(4 * _GIB, _memory() // 8) if state_cache_gib is None else state_cache_gib * _GIB
        )
        self._media_bytes = int(media_cache_gib * _GIB)
        self._books: Steps | None = None  # made with the first request: it holds the cache
        self._work = threading.Lock()  # held by whoever makes a step
        self._stepping: int | None = None  # that thread
        self._arrived: deque[Task] = deque()
        self._thread: threading.Thread | None = None
        self._openers: ThreadPoolExecutor | None = None
        self._closing = False
        self._failure: str | None = None

    # --- for callers ----------------------------------------------------------------------------

    @property
    def used_slots(self) -> int:
        """Slots held by sequences in work."""
        return 0 if self._books is None else len(self._books.running)

    @property
    def _waiting(self) -> list[Task]:
        """Everything submitted that has no slot yet."""
        return [*self._arrived, *([] if self._books is None else self._books.waiting)]

    def room(self, layout: TokenLayout) -> int:
        """Tokens that can be generated after a prompt.

        Raises:
            InputError: None can; says which part of the prompt is largest.
        """
        room = min(self.context_length, self.kv_tokens) - layout.num_tokens
        if room < 1:
            visual = [(s.num_tokens, f"{s.kind} {i + 1}") for i, s in enumerate(layout.spans)]
            text = layout.num_tokens - layout.num_visual_tokens
            size, part = max([(text, "the text"), *visual])
            raise InputError(
                f"prompt of {layout.num_tokens} tokens (text {text}, media "
                f"{layout.num_visual_tokens}) leaves no room for an answer in the context of "
                f"{min(self.context_length, self.kv_tokens)}; the largest part is {part} with "
                f"{size} tokens: shorten it, or use fewer pages, tiles or frames"
            )
        return room

    def submit(self, request: EngineRequest, on_event: OnEvent = ignore_event) -> Stream:
        """Queue a request.

        Args:
            request: What to answer.
            on_event: Told about the progress of its prompt.

        Returns:
            Its pieces, as they are made.

        Raises:
            CapacityError: The queue is full, or more answers are asked for than there are slots.
            InputError: Prompt and answer do not fit.
        """
        count = request.sampling.n
        if count > self.max_slots:
            raise CapacityError(f"n {count}: this model answers {self.max_slots} at a time")
        self.room(request.layout)
        stream = Stream(self, request.request_id or f"request-{secrets.token_hex(6)}", count)
        task = Task(request, Sequence(request, self.codec, self.stop_ids), stream, on_event)
        task.names = request.names or (None,) * len(request.layout.spans)
        task.submitted_at = time.perf_counter()
        with self.news:
            if self._failure is not None:
                raise NanoVLError(self._failure)
            if self._closing or not self.alive:
                raise CapacityError("the engine is shut down and takes no more requests")
            self._check_queue(request)
            self._arrived.append(task)
            self.news.notify_all()
        return stream

    def _check_queue(self, request: EngineRequest) -> None:
        queue = self._waiting
        if self.max_queued is not None and len(queue) >= self.max_queued:
            raise CapacityError(f"{len(queue)} requests are waiting already; try again later")
        tokens = sum(task.prompt_tokens for task in queue)
        limit = self.max_queued_tokens
        if limit is not None and queue and tokens + request.layout.num_tokens > limit:
            raise CapacityError(f"{tokens} prompt tokens are waiting already; try again later")

    def run(
        self, requests: Seq[EngineRequest], on_event: OnEvent = ignore_event
    ) -> Generator[tuple[int, Delta], None, None]:
        """Answer requests together.

        Closing the iterator gives up what is left of them.

        Args:
            requests: What to answer.
            on_event: Told about the progress of long prompts.

        Yields:
            Index of the request and a piece of its answer; every answer ends with a piece that
            carries its generation.

        Raises:
            CapacityError: No memory is left.
            NanoVLError: What is wrong with the first request that failed.
        """
        pieces: deque[tuple[int, Delta | Exception | None]] = deque()
        streams = [self.submit(request, on_event) for request in requests]
        left = len(streams)
        try:
            for index, stream in enumerate(streams):
                stream.listen(lambda piece, index=index: pieces.append((index, piece)))  # type: ignore[misc]
            while left:
                if not pieces:
                    self.drive(pieces)
                    continue
                index, piece = pieces.popleft()
                if isinstance(piece, Exception):
                    raise piece
                if piece is None:
                    left -= 1
                else:
                    yield index, piece
        finally:
            for stream in streams:
                stream.cancel()

    def stats(self) -> EngineStats:
        """Counts, for metrics."""
        books = self._books
        if books is None:
            return EngineStats(slots=self.max_slots, kv_tokens=self.kv_tokens)
        blocks, prefix = books.cache.blocks, books.prefix
        return EngineStats(
            running=len(books.running),
            waiting=len(self._waiting),
            kv_usage=blocks.used / max(1, blocks.size),
            kv_tokens=self.kv_tokens,
            slots=self.max_slots,
            snapshots=len(prefix),
            prefix_queries=prefix.queries,
            prefix_hits=prefix.hits,
            media_queries=books.media.queries,
            media_hits=books.media.hits,
            step_sizes=dict(books.sizes),
            **books.counts,
        )

    def forget(self) -> None:
        """Drop everything kept of earlier prompts and pictures."""
        with self._work:
            if self._books is not None:
                self._books.media.clear()
                self._books.prefix.clear()

    # --- threads --------------------------------------------------------------------------------

    def start(self, media_workers: int = 2) -> None:
        """Give the loop a thread of its own; media are opened by others beside it.

        The calling thread should do no heavy work with tensors from then on.
        """
        if self._thread is not None:
            return
        threads = torch.get_num_threads()
        release_threads()
        self._openers = ThreadPoolExecutor(
            media_workers, thread_name_prefix="nanovl-media", initializer=compute_alone
        )
        self._thread = threading.Thread(
            target=self._loop, args=(threads,), name="nanovl-engine", daemon=True
        )
        self._thread.start()
        atexit.register(_close, weakref.ref(self))

    def close(self, drain_s: float = 0.0) -> None:
        """Take no more requests, and end those under way after some seconds.

        Those that are not done by then fail with `CapacityError`.
        """
        with self.news:
            self._closing = True
            end = time.monotonic() + drain_s
            while self._waiting or self.used_slots:
                left = end - time.monotonic()
                if left <= 0 or not self.alive or self._thread is None:
                    break
                self.news.wait(min(left, 0.1))
        self.alive = False
        with self.news:
            self.news.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if self._openers is not None:
            self._openers.shutdown(wait=False, cancel_futures=True)
        with self._work:
            self._steps().abandon(
                CapacityError("the engine was shut down before the answer was complete")
            )

    def _loop(self, threads: int) -> None:
        torch.set_num_threads(threads)
        while self.alive:
            with self._work:
                try:
                    worked = self._step()
                except Exception as error:  # a bug: nobody may wait for ever
                    log.exception("the engine stops")
                    self._failure = f"the engine failed ({type(error).__name__}); see its log"
                    self.alive = False
                    self._steps().abandon(NanoVLError(self._failure))
                    return
            if not worked:
                with self.news:
                    if self.alive and not self._arrived:
                        self.news.wait(0.05 if self._waiting else 0.5)

    def drive(self, pieces: Collection[object]) -> None:
        """Make a step if no other thread does; otherwise wait for news unless `pieces` has some."""
        if self._thread is None and self._work.acquire(blocking=False):
            try:
                self._step()
            except BaseException as error:
                what = f"the engine was interrupted ({type(error).__name__})"
                self._steps().abandon(NanoVLError(what))
                raise
            finally:
                self._work.release()
                with self.news:
                    self.news.notify_all()
            return
        with self.news:
            if not pieces:
                self.news.wait(0.05)

    def _step(self) -> bool:
        """Some progress; False if there was nothing to do."""
        self._stepping = threading.get_ident()
        try:
            return self._steps().step()
        finally:
            self._stepping = None

    def _steps(self) -> Steps:
        """The books, with what arrived meanwhile in them."""
        if self._books is None:
            cache = HybridCache(
                self.model.config.lm,
                self.max_slots,
                num_tokens=self.kv_tokens,
                dtype=self.model.dtype,
                device=self.model.device,
            )
            self._books = Steps(
                Runner(self.model, cache, MediaCache(self._media_bytes)),
                PrefixCache(cache, self._state_bytes),
                codec=self.codec,
                budget=self.prefill_chunk,
                turn_ids=self.turn_ids,
            )
        self._books.openers = self._openers
        with self.news:
            while self._arrived:
                self._books.waiting.append(self._arrived.popleft())
        return self._books

    def cancel(self, stream: Stream) -> None:
        """Give up what belongs to a stream."""
        if stream.done:
            return
        with self.news:
            for task in self._tasks(stream):
                task.cancelled = True
            self.news.notify_all()
        if self._thread is None and self._stepping != threading.get_ident():
            with self._work:
                self._steps().collect()

    def end_reasoning(self, stream: Stream) -> bool:
        """End the thinking of a stream's answers; whether one was thinking."""
        with self.news:
            return any([task.sequence.end_reasoning() for task in self._tasks(stream)])

    def _tasks(self, stream: Stream) -> list[Task]:
        running = [] if self._books is None else self._books.running
        return [task for task in [*self._waiting, *running] if task.stream is stream]

    def _suitable_kv_tokens(self) -> int:
        """For every slot a whole context, as far as a quarter of the memory goes."""
        per_token = self.model.config.lm.kv_bytes_per_token(self.model.dtype.itemsize)
        if self.model.device.type == "cuda":
            affordable = torch.cuda.mem_get_info(self.model.device)[0] // 2
        else:
            affordable = min(4 * _GIB, _memory() // 4)
        tokens = min(self.max_slots * self.context_length, affordable // max(1, per_token))
        return max(BLOCK, tokens)


def compute_alone() -> None:
    """Keep tensor work of the calling thread in this thread: the others belong to the engine."""
    torch.set_num_threads(1)


def _close(engine: weakref.ref[Engine]) -> None:
    found = engine()
    if found is not None:
        found.close()


def check_counts(**counts: object) -> None:
    """Refuse settings that are not positive whole numbers; None stands for a default.

    Raises:
        ConfigError: Names the setting.
    """
    for name, count in counts.items():
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and not (whole and count >= 1):  # type: ignore[operator]
            raise ConfigError(f"{name} {count!r}: expected a number of at least 1")


def _memory() -> int:
    """Bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
