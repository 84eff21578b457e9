"""`/v1/completions`: answers to plain prompts, as JSON or events.

Source: serving specification, sections 1 and 5.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from nanovl.core.events import Event
from nanovl.core.generation import Delta, Generation
from nanovl.serve.errors import ApiError
from nanovl.serve.planning import Planned
from nanovl.serve.schema import CompletionRequest
from nanovl.serve.sse import DONE, KEEP_ALIVE, event
from nanovl.serve.tickets import Ticket
from nanovl.serve.wire import (
    Codec,
    completion_logprobs,
    finish_reason,
    prompt_logprobs,
    token_text,
    usage_json,
)

__all__ = ["CompletionWriter"]


class CompletionWriter:
    """Writes what the engine made of the prompts of a request.

    Args:
        body: The request.
        plans: One per prompt.
        tickets: The same, in the engine.
        codec: Tokenizer.
        model: Name to report.
        keep_alive_s: Seconds of silence before a comment line.
    """

    def __init__(
        self,
        body: CompletionRequest,
        plans: Sequence[Planned],
        tickets: Sequence[Ticket],
        codec: Codec,
        *,
        model: str,
        keep_alive_s: float = 15.0,
    ) -> None:
        self.body = body
        self._plans = plans
        self._tickets = tickets
        self._codec = codec
        self._model = model
        self._keep_alive_s = keep_alive_s
        self._as_ids = bool(body.return_tokens_as_token_ids)
        self._lengths: dict[int, int] = {}
        self._tokens = 0

    def complete(self, answers: Sequence[Sequence[Generation]]) -> dict[str, Any]:
        """The body of the answer; choices of all prompts are numbered through."""
        choices: list[dict[str, Any]] = []
        for plan, generations in zip(self._plans, answers, strict=True):
            choices += [self._choice(len(choices) + i, plan, g) for i, g in enumerate(generations)]
        usages = [usage_json(generations) for generations in answers]
        usage = usages[0]
        for other in usages[1:]:
            usage = _added(usage, other)
        return {**self._head(), "choices": choices, "usage": usage, "system_fingerprint": None}

    def _choice(self, index: int, plan: Planned, generation: Generation) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": index,
            "text": plan.prefill + generation.text,
            "logprobs": None,
            "finish_reason": finish_reason(generation),
            "stop_reason": generation.stop_reason,
        }
        if self.body.logprobs is not None:
            of_prompt = (generation.prompt_logprobs or ()) if self.body.echo else ()
            choice["logprobs"] = completion_logprobs(
                (*of_prompt, *(generation.logprobs or ())), self._codec, as_ids=self._as_ids
            )
            if of_prompt:
                self._with_first(choice["logprobs"], plan)
        if self.body.prompt_logprobs is not None and generation.prompt_logprobs is not None:
            choice["prompt_logprobs"] = prompt_logprobs(generation.prompt_logprobs, self._codec)
        if self.body.return_token_ids:
            choice["token_ids"] = list(generation.token_ids)
            choice["prompt_token_ids"] = list(plan.input_ids)
        return choice

    def _with_first(self, logprobs: dict[str, Any], plan: Planned) -> None:
        """Put the first token of the prompt, which has no probability, in front."""
        first = plan.input_ids[0]
        length = len(self._codec.decode((first,)))
        logprobs["text_offset"] = [0, *(at + length for at in logprobs["text_offset"])]
        logprobs["tokens"].insert(0, token_text(first, self._codec, as_id=self._as_ids))
        logprobs["token_logprobs"].insert(0, None)
        logprobs["top_logprobs"].insert(0, None)

    def _head(self) -> dict[str, Any]:
        first = self._tickets[0]
        return {
            "id": first.name,
            "object": "text_completion",
            "created": first.created,
            "model": self._model,
        }

    async def lines(self) -> AsyncIterator[bytes]:
        """Encoded events of one prompt's answers, the end marker included."""
        ticket, plan = self._tickets[0], self._plans[0]
        options = self.body.stream_options
        try:
            if plan.prefill:
                for index in range(ticket.answers):
                    self._lengths[index] = len(plan.prefill)
                    yield self._chunk(index, plan.prefill)
            async for piece in ticket.pieces(self._keep_alive_s):
                if piece is None:
                    yield KEEP_ALIVE
                    continue
                if not isinstance(piece, Event):
                    line = self._piece(piece)
                    if line:
                        yield line
            generations = ticket.complete()
            if options and options.include_usage:
                yield event({**self._head(), "choices": [], "usage": usage_json(generations)})
        except ApiError as error:
            yield event(error.body)
        yield DONE

    def _piece(self, piece: Delta) -> bytes:
        self._tokens += len(piece.token_ids)
        extra: dict[str, Any] = {}
        at = self._lengths.get(piece.index, 0)
        self._lengths[piece.index] = at + len(piece.text)
        if self.body.logprobs is not None and piece.logprobs:
            extra["logprobs"] = completion_logprobs(
                piece.logprobs, self._codec, start=at, as_ids=self._as_ids
            )
        if self.body.return_token_ids and piece.token_ids:
            extra["token_ids"] = list(piece.token_ids)
        if piece.generation is not None:
            extra["finish_reason"] = finish_reason(piece.generation)
            extra["stop_reason"] = piece.generation.stop_reason
        if not (piece.text or extra):
            return b""
        return self._chunk(piece.index, piece.text, **extra)

    def _chunk(self, index: int, text: str, **extra: Any) -> bytes:
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": None, **extra}
        chunk = {**self._head(), "choices": [choice]}
        options = self.body.stream_options
        if options and options.continuous_usage_stats:
            chunk["usage"] = usage_json(
                (),
                prompt_tokens=self._tickets[0].prompt_tokens,
                completion_tokens=self._tokens,
            )
        return event(chunk)


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two usages as one."""
    return {
        name: _added(value, other.get(name, {}))
        if isinstance(value, dict)
        else value + other.get(name, 0)
        for name, value in one.items()
    }
