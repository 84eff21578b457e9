"""One sequence on its way through the engine: where it is, what it holds, what it needs next.

Books only; `Engine` does the work.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import torch

from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import TokenLayout
from nanovl.engine.media_cache import Encoded
from nanovl.engine.prefix_cache import Keys
from nanovl.engine.sequence import EngineRequest, Sequence
from nanovl.engine.stream import Stream

__all__ = ["Phase", "Task"]

# waiting: for media, or for a slot; encode: its pictures; prefill: its prompt; decode: token by
# token. A preempted sequence waits again.
Phase = Literal["waiting", "encode", "prefill", "decode"]

_ARRIVALS = itertools.count()


@dataclass(eq=False)
class Task:
    """A sequence and what the engine knows of it.

    Attributes:
        request: What it answers.
        sequence: Its ids and text.
        stream: Who gets them.
        on_event: Told about its prompt.
        phase: See `Phase`.
        slot: Of the cache, once it has one.
        arrival: Number in order of submission.
        submitted_at: `time.perf_counter()`.
        cancelled: Whether it is to be given up.
        loading: Its media on the way, where another thread opens them.
        inputs: Its media, opened.
        names: Per span the name of its content.
        encoded: Per span what the encoder made, as far as it is needed.
        tiles: Finished tiles of the span being encoded.
        layout: The prompt as it is read, pruned videos included.
        keys: Numbers of the prompt for the prefix cache, then of the answer.
        marks: Lengths at which snapshots are wanted.
        rows: Input rows of the tokens from `first_row` on (t, d).
        first_row: Tokens of the prompt that were in the cache already.
        computed: Tokens in the cache.
        preempted: How often its blocks were taken.
    """

    request: EngineRequest
    sequence: Sequence
    stream: Stream
    on_event: OnEvent = ignore_event
    phase: Phase = "waiting"
    slot: int = -1
    arrival: int = field(default_factory=lambda: next(_ARRIVALS))
    submitted_at: float = 0.0
    cancelled: bool = False
    loading: Future[ProcessedInputs | None] | None = None
    inputs: ProcessedInputs | None = None
    names: tuple[bytes | None, ...] = ()
    encoded: dict[int, Encoded] = field(default_factory=dict)
    tiles: list[torch.Tensor] = field(default_factory=list)
    layout: TokenLayout | None = None
    keys: Keys | None = None
    marks: list[int] = field(default_factory=list)
    rows: torch.Tensor | None = None
    first_row: int = 0
    computed: int = 0
    preempted: int = 0

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""
        return self.request.layout.num_tokens

    @property
    def target(self) -> int:
        """Tokens that must be in the cache before the next one is chosen, or fed."""
        return self.prompt_tokens + max(0, len(self.sequence.ids) - 1)

    @property
    def remaining(self) -> int:
        """Tokens to compute before that."""
        return self.target - self.computed

    def forget(self) -> None:
        """Give up everything that can be made again."""
        self.phase = "waiting"
        self.slot = -1
        self.loading = None
        self.inputs = None
        self.encoded = {}
        self.tiles = []
        self.rows = None
        self.first_row = self.computed = 0
