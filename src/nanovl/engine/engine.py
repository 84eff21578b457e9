"""The loop: prompts into the cache, then one token per sequence and step.

`Engine.run` is the engine; `generate_naive` is its referee, which keeps no cache and computes the
whole sequence again for every token. Both choose, force and stop through the same `Sequence`, so
they differ in nothing but where the logits come from.

Knows no media formats, no prompt template and no HTTP.

Source: serving specification, sections 7.4 and 7.9.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence as Seq
from contextlib import contextmanager
from typing import Any

import torch

from nanovl.core.errors import CapacityError, ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.generation import Delta, Generation
from nanovl.core.layout import TokenLayout
from nanovl.engine.sequence import Codec, EngineRequest, Sequence
from nanovl.model.cache import HybridCache
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM, EmbeddedPrompt
from nanovl.ops.sampling import process_logits, sample

__all__ = ["Engine", "check_counts", "generate_naive"]


class Engine:
    """Answers requests with one model.

    Args:
        model: Its weights are not changed.
        codec: Its tokenizer.
        stop_ids: Ids that end an answer.
        context_length: Longest prompt and answer together, in tokens; None takes the model's.
        max_slots: Sequences in work at once, over all running calls.
        prefill_chunk: Prompt tokens per forward pass; bounds memory, never changes the result.

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
    ) -> None:
        check_counts(
            context_length=context_length, max_slots=max_slots, prefill_chunk=prefill_chunk
        )
        self.model = model
        self.codec = codec
        self.stop_ids = frozenset(stop_ids)
        self.context_length = context_length or model.config.max_sequence_length
        self.max_slots = max_slots
        self.prefill_chunk = prefill_chunk
        self._lock = threading.Lock()
        self._used_slots = 0

    @property
    def used_slots(self) -> int:
        """Slots held by calls that have not ended."""
        return self._used_slots

    def room(self, layout: TokenLayout) -> int:
        """Tokens that can be generated after a prompt.

        Raises:
            InputError: None can; says which part of the prompt is largest.
        """
        room = self.context_length - layout.num_tokens
        if room < 1:
            visual = [(s.num_tokens, f"{s.kind} {i + 1}") for i, s in enumerate(layout.spans)]
            text = layout.num_tokens - layout.num_visual_tokens
            size, part = max([(text, "the text"), *visual])
            raise InputError(
                f"prompt of {layout.num_tokens} tokens (text {text}, media "
                f"{layout.num_visual_tokens}) leaves no room for an answer in the context of "
                f"{self.context_length}; the largest part is {part} with {size} tokens: shorten "
                "it, or use fewer pages, tiles or frames"
            )
        return room

    def run(
        self, requests: Seq[EngineRequest], on_event: OnEvent = ignore_event
    ) -> Generator[tuple[int, Delta], None, None]:
        """Answer requests together.

        As many as there are free slots are decoded in one batch; the others follow as slots become
        free. Closing the iterator stops the work and frees its slots.

        Args:
            requests: What to answer.
            on_event: Told about the progress of long prompts.

        Yields:
            Index of the request and a piece of its answer; every request ends with a piece that
            carries its generation.

        Raises:
            CapacityError: No slot is free, or no memory is left.
            NanoVLError: The model produced NaN.
        """
        if not requests:
            return
        with self._lease(len(requests)) as slots:
            cache = HybridCache(
                self.model.config.lm, slots, dtype=self.model.dtype, device=self.model.device
            )
            free = list(range(slots))
            waiting = deque(enumerate(requests))
            running: dict[int, Sequence] = {}
            while waiting or running:
                while waiting and free:
                    index, request = waiting.popleft()
                    sequence = Sequence(request, self.codec, self.stop_ids, free.pop(0))
                    running[index] = sequence
                    yield index, self._prefill(sequence, cache, on_event)
                    self._retire(running, free, cache)
                for index, delta in self._step(running, cache):
                    yield index, delta
                self._retire(running, free, cache)

    @contextmanager
    def _lease(self, wanted: int) -> Iterator[int]:
        with self._lock:
            granted = min(wanted, self.max_slots - self._used_slots)
            if granted < 1:
                raise CapacityError(
                    f"all {self.max_slots} slots are in use by streams that have not ended; "
                    "finish or close one of them, or load the model with more max_slots"
                )
            self._used_slots += granted
        try:
            yield granted
        finally:
            with self._lock:
                self._used_slots -= granted

    def _retire(self, running: dict[int, Sequence], free: list[int], cache: HybridCache) -> None:
        for index in [i for i, s in running.items() if s.is_finished]:
            slot = running.pop(index).slot
            cache.reset(slot)
            free.append(slot)

    @torch.no_grad()
    def _prefill(self, sequence: Sequence, cache: HybridCache, on_event: OnEvent) -> Delta:
        """The whole prompt into the cache, and the first token."""
        prompt = _embed(self.model, sequence)
        started = time.perf_counter()
        total = prompt.x.shape[0]
        cache.reserve(sequence.slot, total)
        logits = prompt.x.new_empty(0)
        for start in range(0, total, self.prefill_chunk):
            x = prompt.x[start : start + self.prefill_chunk]
            context = ForwardContext.single(x.shape[0], cache, sequence.slot)
            done = start + x.shape[0]
            logits = self.model(x, context, rows="last" if done == total else "none")
            on_event(Event(name="prompt", done=done, total=total, unit="tokens"))
        chosen = _choose(logits, [sequence], self.codec.size)[0]
        sequence.timings["prefill_s"] = time.perf_counter() - started
        return sequence.append(chosen)

    @torch.no_grad()
    def _step(self, running: dict[int, Sequence], cache: HybridCache) -> list[tuple[int, Delta]]:
        """One more token for every running sequence."""
        if not running:
            return []
        sequences = list(running.values())
        last = torch.tensor([s.ids[-1] for s in sequences], dtype=torch.int64)
        context = ForwardContext(
            cu_seqlens=tuple(range(len(sequences) + 1)),
            cache=cache,
            slots=tuple(s.slot for s in sequences),
        )
        logits = self.model(self.model.embed_tokens(last), context, rows="last")
        chosen = _choose(logits, sequences, self.codec.size)
        return [
            (index, sequence.append(token))
            for (index, sequence), token in zip(running.items(), chosen, strict=True)
        ]


def check_counts(**counts: object) -> None:
    """Refuse settings that are not positive whole numbers; None stands for a default.

    Raises:
        ConfigError: Names the setting.
    """
    for name, count in counts.items():
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and not (whole and count >= 1):  # type: ignore[operator]
            raise ConfigError(f"{name} {count!r}: expected a number of at least 1")


@torch.no_grad()
def generate_naive(
    model: VLM, codec: Codec, request: EngineRequest, stop_ids: Seq[int]
) -> Generation:
    """Answer one request without a cache: the whole sequence is computed for every token.

    Slow on purpose; the engine is tested against it.
    """
    sequence = Sequence(request, codec, frozenset(stop_ids))
    x = _embed(model, sequence).x
    started = time.perf_counter()
    while not sequence.is_finished:
        logits = model(x, ForwardContext.single(x.shape[0]), rows="last")
        token = _choose(logits, [sequence], codec.size)[0]
        sequence.timings.setdefault("prefill_s", time.perf_counter() - started)
        sequence.append(token)
        x = torch.cat([x, model.embed_tokens(torch.tensor([token]))])
    return sequence.generation()


def _embed(model: VLM, sequence: Sequence) -> EmbeddedPrompt:
    started = time.perf_counter()
    inputs = sequence.request.load()
    loaded = time.perf_counter()
    prompt = model.embed(inputs)
    if prompt.x.is_cuda:
        torch.cuda.synchronize(prompt.x.device)
    sequence.timings["media_s"] = loaded - started
    sequence.timings["encode_s"] = time.perf_counter() - loaded
    return prompt


def _choose(logits: torch.Tensor, sequences: Seq[Sequence], num_tokens: int) -> list[int]:
    """The next id of every sequence from its row of logits."""
    params = [s.request.sampling for s in sequences]
    seen = [s.seen_ids() for s in sequences]
    processed = process_logits(logits, params, seen, num_tokens=num_tokens)
    drawn: list[Any] = sample(processed, params, [s.generator() for s in sequences]).tolist()
    return [s.resolve(int(token)) for s, token in zip(sequences, drawn, strict=True)]
