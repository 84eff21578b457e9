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
    TokenLogprob,
    Usage,
)
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import TokenLayout
from nanovl.engine.constraint import CompiledConstraint
from nanovl.engine.output import OutputStream
from nanovl.engine.reasoning import BudgetMachine
from nanovl.engine.repetition import DEFAULT_REPETITION, RepetitionDetector, RepetitionParams
from nanovl.ops.sampling import TokenCounts, position_seed

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
        constraint: What the answer has to look like.
        repetition: Loops that end the answer; None watches for none.
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
    constraint: CompiledConstraint | None = None
    repetition: RepetitionParams | None = DEFAULT_REPETITION
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
        spec = None if request.constraint is None else request.constraint.spec
        tools = request.tools and (spec is None or spec.allows_calls)
        self._output = OutputStream(
            codec.decode_bytes,
            thinking=request.thinking,
            tools=tools,
            stops=request.sampling.stop,
            include_stop=request.sampling.include_stop,
        )
        self._budget = BudgetMachine(
            soft=request.soft,
            hard=request.hard,
            encode=codec.encode,
            token_bytes=codec.decode_bytes,
            tools=tools,
        )
        if not request.thinking:
            self._budget.state = "done"
        seed = request.sampling.seed
        self._seed = secrets.randbits(63) if seed is None else seed + index
        self._generator = torch.Generator()
        sampling = request.sampling
        self._seen: TokenCounts | None = None
        if sampling.repetition_penalty != 1.0:
            unseen = request.layout.placeholder
            self._seen = TokenCounts(i for i in request.layout.input_ids if i != unseen)
        self._generated: TokenCounts | None = None
        if sampling.presence_penalty or sampling.frequency_penalty:
            self._generated = TokenCounts()
        self._constraint = None
        if request.constraint is not None:
            self._constraint = request.constraint.start(
                thinking=request.thinking, stop_ids=self.stop_ids
            )
        self._loops = None if request.repetition is None else RepetitionDetector(request.repetition)
        self._logprobs: list[TokenLogprob] = []
        self.prompt_logprobs: list[TokenLogprob] = []
        self._last = request.called_at

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be generated."""
        return self.finish_reason is not None

    def generator(self) -> torch.Generator:
        """Randomness for the next position; depends on the request alone."""
        self._generator.manual_seed(position_seed(self._seed, len(self.ids)))
        return self._generator

    @property
    def seen(self) -> torch.Tensor | None:
        """Ids the repetition penalty applies to: prompt and answer without visual placeholders."""
        return None if self._seen is None else self._seen.ids

    @property
    def generated(self) -> TokenCounts | None:
        """Ids that presence and frequency penalties apply to."""
        return self._generated

    @property
    def banned(self) -> frozenset[int] | None:
        """Ids that cannot come next."""
        early = len(self.ids) < self.request.sampling.min_tokens
        return self.stop_ids if early else None

    def allowed(self) -> torch.Tensor | None:
        """Mask of the ids that may come next (v,), or None where all may.

        Raises:
            InputError: Nothing can follow.
        """
        return None if self._constraint is None else self._constraint.mask()

    def resolve(self, chosen: int) -> int:
        """The next id: the forced one, if thinking is being ended, else the chosen one."""
        forced = self._budget.forced
        return chosen if forced is None else forced

    @property
    def reasoning_over(self) -> bool:
        """Whether what comes next belongs to the answer."""
        return self._output.reasoning_over

    def append(self, token_id: int, logprob: TokenLogprob | None = None) -> Delta:
        """Take the next id, from `resolve`.

        Args:
            token_id: The id.
            logprob: How likely it was, where asked for.

        Returns:
            The piece to stream; the last one carries the complete generation.

        Raises:
            InputError: The constraint cannot be followed any further.
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
        for counts in (self._seen, self._generated):
            if counts is not None:
                counts.add(token_id)
        if logprob is not None:
            self._logprobs.append(logprob)
        self._budget.observe(token_id)
        if self._constraint is not None:
            self._constraint.accept(token_id, forced=forced)
        reasoning = text = ""
        if token_id in self.stop_ids and not forced:
            self.finish_reason, self.stop_reason = "stop", token_id
        else:
            thinking = not self._output.reasoning_over
            reasoning, text = self._output.feed(token_id, forced=forced)
            if self._output.matched_stop is not None:
                self.finish_reason = "stop"
            elif len(self.ids) >= self.request.sampling.max_tokens:
                self.finish_reason = "length"
            elif self._loops is not None and self._loops.observe(token_id, reasoning=thinking):
                self.finish_reason, self.stop_reason = "stop", "repetition"
        fresh = () if logprob is None else (logprob,)
        if self.finish_reason is None:
            return Delta(
                index=self.index,
                text=text,
                reasoning=reasoning,
                tool_calls=self._output.take_tool_deltas(),
                token_ids=(token_id,),
                logprobs=fresh,
            )
        return self._last_delta((token_id,), reasoning, text, fresh)

    def end(self, finish: FinishReason, reason: str | None = None) -> Delta:
        """End the answer where it is.

        Args:
            finish: Why, as a finish reason.
            reason: Why, as a stop reason.

        Returns:
            The last piece.
        """
        self.finish_reason, self.stop_reason = finish, reason
        return self._last_delta((), "", "", ())

    def _last_delta(
        self,
        token_ids: tuple[int, ...],
        reasoning: str,
        text: str,
        logprobs: tuple[TokenLogprob, ...],
    ) -> Delta:
        more_reasoning, more_text = self._output.finish()
        if self._output.matched_stop is not None:
            self.finish_reason, self.stop_reason = "stop", self._output.matched_stop
        if self._output.tool_calls and self.finish_reason == "stop":
            self.finish_reason = "tool_calls"
        return Delta(
            index=self.index,
            text=text + more_text,
            reasoning=reasoning + more_reasoning,
            tool_calls=self._output.take_tool_deltas(),
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=self.finish_reason,
            generation=self.generation(),
        )

    def end_reasoning(self) -> bool:
        """End thinking at the next token; whether there was any to end."""
        return self._budget.end_now()

    def generation(self) -> Generation:
        """Everything so far as a result."""
        layout, wanted = self.request.layout, self.request.sampling
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
            logprobs=None if wanted.logprobs is None else tuple(self._logprobs),
            prompt_logprobs=(
                None if wanted.prompt_logprobs is None else tuple(self.prompt_logprobs)
            ),
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
