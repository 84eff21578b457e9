"""One request while it is being answered: its ids, its randomness, its text, why it ended.

Takes logits rows' choices and keeps the books; runs no model and owns no cache.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from nanovl.core.generation import (
    Delta,
    FinishReason,
    Generation,
    SamplingParams,
    Timings,
    Usage,
)
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import TokenLayout
from nanovl.engine.output import OutputStream
from nanovl.engine.reasoning import BudgetMachine
from nanovl.ops.sampling import position_seed

__all__ = ["Codec", "EngineRequest", "Sequence"]


class Codec(Protocol):
    """What the engine needs of a tokenizer."""

    @property
    def size(self) -> int:
        """Ids there are; larger ones are padding rows of the table."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""

    def decode_bytes(self, ids: Any) -> bytes:
        """Bytes of ids, nothing for control tokens."""


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """A planned prompt and how to answer it.

    Attributes:
        layout: Planned prompt.
        load: Opens the media of the layout; called when the request gets its turn.
        sampling: How to choose tokens; `max_tokens` fits the context.
        thinking: Whether the prompt ends with an open `<think>`.
        soft, hard: Limits of thinking, see `reasoning.budget_limits`.
        tools: Whether tool calls are parsed.
        called_at: `time.perf_counter()` of the call; time to first token counts from here.
        names: Per span a name under which what the encoder makes of it may be kept, or None. `load`
            is not called when all of it is kept.
        cache_salt: Only requests with the same one share what is kept of prompts.
        tenant: Tenants take turns; within one, requests are served in order.
        priority: Lower ones go first.
        deadline: `time.perf_counter()` at which the answer ends where it is.
        request_id: Names it in logs.
    """

    layout: TokenLayout
    load: Callable[[], ProcessedInputs]
    sampling: SamplingParams
    thinking: bool = False
    soft: int | None = None
    hard: int | None = None
    tools: bool = False
    called_at: float = field(default_factory=time.perf_counter)
    names: tuple[bytes | None, ...] = ()
    cache_salt: str = ""
    tenant: str = ""
    priority: int = 0
    deadline: float | None = None
    request_id: str = ""


class Sequence:
    """The state of one request.

    Args:
        request: What to answer.
        codec: Tokenizer.
        stop_ids: Ids that end an answer.
        index: Which of the request's answers it is.

    Attributes:
        ids: Generated ids.
        cached_tokens: Of the prompt, that were not computed again.
        finish_reason: Set once it ended.
        timings: Seconds per phase, filled by the engine and by `append`.
        stop_ids: Ids that end it.
        was_forced: Whether its thinking was ended for it.
    """

    def __init__(
        self, request: EngineRequest, codec: Codec, stop_ids: frozenset[int], index: int = 0
    ) -> None:
        self.request = request
        self.index = index
        self.cached_tokens = 0
        self.ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.stop_reason: str | int | None = None
        self.timings: dict[str, float] = {}
        chosen = frozenset(request.sampling.stop_token_ids)
        self.stop_ids = chosen if request.sampling.ignore_eos else stop_ids | chosen
        self.was_forced = False
        self._output = OutputStream(
            codec.decode_bytes,
            thinking=request.thinking,
            tools=request.tools,
            stops=request.sampling.stop,
        )
        self._budget = BudgetMachine(
            soft=request.soft,
            hard=request.hard,
            encode=codec.encode,
            token_bytes=codec.decode_bytes,
        )
        if not request.thinking:
            self._budget.state = "done"
        seed = request.sampling.seed
        self._seed = secrets.randbits(63) if seed is None else seed + index
        self._generator = torch.Generator()
        self._seen: set[int] = set()
        if request.sampling.repetition_penalty != 1.0:
            self._seen.update(request.layout.input_ids)
            self._seen.discard(request.layout.placeholder)
        self._last = request.called_at

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be generated."""
        return self.finish_reason is not None

    def generator(self) -> torch.Generator:
        """Randomness for the next position; depends on the request alone."""
        self._generator.manual_seed(position_seed(self._seed, len(self.ids)))
        return self._generator

    def seen_ids(self) -> torch.Tensor | None:
        """Ids the repetition penalty applies to: prompt and answer without visual placeholders."""
        if self.request.sampling.repetition_penalty == 1.0:
            return None
        return torch.tensor(sorted(self._seen), dtype=torch.int64)

    def resolve(self, chosen: int) -> int:
        """The next id: the forced one, if thinking is being ended, else the chosen one."""
        forced = self._budget.forced
        return chosen if forced is None else forced

    def append(self, token_id: int) -> Delta:
        """Take the next id, from `resolve`.

        Returns:
            The piece to stream; the last one carries the complete generation.
        """
        now = time.perf_counter()
        if not self.ids:
            self.timings["ttft_s"] = now - self._last
        else:
            self.timings["decode_s"] = self.timings.get("decode_s", 0.0) + now - self._last
        self._last = now
        forced = self._budget.forced is not None
        self.was_forced |= forced
        self.ids.append(token_id)
        if self.request.sampling.repetition_penalty != 1.0:
            self._seen.add(token_id)
        self._budget.observe(token_id)
        reasoning = text = ""
        if token_id in self.stop_ids and not forced:
            self.finish_reason, self.stop_reason = "stop", token_id
        else:
            reasoning, text = self._output.feed(token_id, forced=forced)
            if self._output.matched_stop is not None:
                self.finish_reason = "stop"
            elif len(self.ids) >= self.request.sampling.max_tokens:
                self.finish_reason = "length"
        if self.finish_reason is None:
            return Delta(index=self.index, text=text, reasoning=reasoning, token_ids=(token_id,))
        return self._last_delta((token_id,), reasoning, text)

    def end(self, finish: FinishReason, reason: str | None = None) -> Delta:
        """End the answer where it is.

        Args:
            finish: Why, as a finish reason.
            reason: Why, as a stop reason.

        Returns:
            The last piece.
        """
        self.finish_reason, self.stop_reason = finish, reason
        return self._last_delta((), "", "")

    def _last_delta(self, token_ids: tuple[int, ...], reasoning: str, text: str) -> Delta:
        more_reasoning, more_text = self._output.finish()
        if self._output.matched_stop is not None:
            self.finish_reason, self.stop_reason = "stop", self._output.matched_stop
        if self._output.tool_calls and self.finish_reason == "stop":
            self.finish_reason = "tool_calls"
        return Delta(
            index=self.index,
            text=text + more_text,
            reasoning=reasoning + more_reasoning,
            token_ids=token_ids,
            finish_reason=self.finish_reason,
            generation=self.generation(),
        )

    def end_reasoning(self) -> bool:
        """End thinking at the next token; whether there was any to end."""
        return False

    def generation(self) -> Generation:
        """Everything so far as a result."""
        layout = self.request.layout
        prompt_tokens = layout.num_tokens
        by_kind = {"image": 0, "video": 0}
        for span in layout.spans:
            by_kind[span.kind] += span.num_tokens
        return Generation(
            text=self._output.text,
            reasoning=self._output.reasoning_or_none,
            tool_calls=self._output.tool_calls,
            token_ids=tuple(self.ids),
            finish_reason=self.finish_reason or "length",
            stop_reason=self.stop_reason,
            usage=Usage(
                prompt_tokens=prompt_tokens,
                completion_tokens=len(self.ids),
                reasoning_tokens=self._output.reasoning_tokens,
                cached_tokens=self.cached_tokens,
                image_tokens=by_kind["image"],
                video_tokens=by_kind["video"],
            ),
            timings=Timings(
                **self.timings,
                prefill_tokens=prompt_tokens - self.cached_tokens,
                decode_tokens=max(0, len(self.ids) - 1),
            ),
            index=self.index,
            media=tuple(_media_row(span) for span in layout.spans),
        )


def _media_row(span: Any) -> Mapping[str, Any]:
    """What was done with one picture or video, for people."""
    row = {
        "kind": span.kind,
        "tokens": span.num_tokens,
        "tiles" if span.kind == "image" else "frames": span.tiles,
        "tile_size": list(span.tile_size),
    }
    if span.kind == "video":
        row["tokens_before_pruning"] = span.tiles * span.tokens_per_tile
        row["pruning_rate"] = span.pruning_rate
    return {**row, **span.info}
