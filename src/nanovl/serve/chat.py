"""`/v1/chat/completions`: a body to a planned request, and its answer to JSON or events.

Planning runs in a worker thread and touches no socket; writing runs on the event loop and touches
no model.

Source: serving specification, sections 2, 5.1, 5.2 and 5.3.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.events import Event
from nanovl.core.generation import Delta, Generation
from nanovl.serve.errors import ApiError
from nanovl.serve.planning import Planned
from nanovl.serve.reasoning import Thinking
from nanovl.serve.schema import ChatRequest
from nanovl.serve.sse import DONE, KEEP_ALIVE, comment, event
from nanovl.serve.tickets import Ticket
from nanovl.serve.wire import (
    Codec,
    chat_logprobs,
    finish_reason,
    prompt_logprobs,
    timings_json,
    tool_call_json,
    usage_json,
)

__all__ = ["ChatWriter"]

NewId = Callable[[], str]


def new_call_id() -> str:
    """An id for a tool call."""
    return f"chatcmpl-tool-{secrets.token_hex(12)}"


@dataclass
class _Answer:
    """What has been written of one of the `n` answers."""

    begun: bool = False
    content: bool = False
    reasoning: str = ""
    call_ids: dict[int, str] = field(default_factory=dict)


class ChatWriter:
    """Writes what the engine made of a chat request.

    Args:
        body: The request.
        thinking: How it thinks.
        planned: Its prompt.
        ticket: The request in the engine.
        codec: Tokenizer.
        model: Name to report.
        fields: Names of the fields that carry reasoning.
        keep_alive_s: Seconds of silence before a comment line.
        on_error: Told about an error that was sent inside the stream.
    """

    def __init__(
        self,
        body: ChatRequest,
        thinking: Thinking,
        planned: Planned,
        ticket: Ticket,
        codec: Codec,
        *,
        model: str,
        fields: tuple[str, ...] = ("reasoning", "reasoning_content"),
        keep_alive_s: float = 15.0,
        on_error: Callable[[ApiError], None] = lambda error: None,
    ) -> None:
        self.body = body
        self.thinking = thinking
        self.planned = planned
        self.ticket = ticket
        self._codec = codec
        self._model = model
        self._fields = fields
        self._keep_alive_s = keep_alive_s
        self._on_error = on_error
        self._shows_reasoning = body.include_reasoning is not False
        self._named_tool = isinstance(body.tool_choice, Mapping)
        self._one_call = body.parallel_tool_calls is False
        self._tokens = 0

    # --- in one piece ---------------------------------------------------------------------------

    def complete(self, generations: list[Generation]) -> dict[str, Any]:
        """The body of the answer."""
        first = generations[0]
        answer: dict[str, Any] = {
            "id": self.ticket.name,
            "object": "chat.completion",
            "created": self.ticket.created,
            "model": self._model,
            "choices": [self._choice(g) for g in generations],
            "usage": usage_json(generations),
            "system_fingerprint": None,
            "nanovl_media": list(first.media),
            "nanovl_timings": timings_json(first.timings),
        }
        if first.prompt_logprobs is not None:
            answer["prompt_logprobs"] = prompt_logprobs(first.prompt_logprobs, self._codec)
        if self.body.return_token_ids:
            answer["prompt_token_ids"] = list(self.planned.input_ids)
        return answer

    def _choice(self, generation: Generation) -> dict[str, Any]:
        calls = generation.tool_calls[:1] if self._one_call else generation.tool_calls
        text = self.planned.prefill + generation.text if generation.text else generation.text
        reasoning = generation.reasoning
        content: str | None = text or None
        if content is None and not calls and not reasoning:
            content = ""  # an answer without a word is still an answer
        if content is None and reasoning and self.thinking.keep_content and not calls:
            content, reasoning = reasoning, None
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if self._shows_reasoning:
            message |= dict.fromkeys(self._fields, reasoning or None)
        if calls:
            message["tool_calls"] = [tool_call_json(c, c.id or new_call_id()) for c in calls]
        choice: dict[str, Any] = {
            "index": generation.index,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(generation, named_tool=self._named_tool),
            "stop_reason": generation.stop_reason,
        }
        if self.body.logprobs:
            choice["logprobs"] = self._logprobs(generation.logprobs or ())
        if self.body.return_token_ids and self._shows_reasoning:
            choice["token_ids"] = list(generation.token_ids)
        return choice

    def _logprobs(self, logprobs: Any) -> dict[str, Any]:
        return chat_logprobs(
            logprobs,
            self._codec,
            top=self.body.top_logprobs or 0,
            as_ids=bool(self.body.return_tokens_as_token_ids),
            hide_reasoning=not self._shows_reasoning,
        )

    # --- in pieces ------------------------------------------------------------------------------

    async def lines(self) -> AsyncIterator[bytes]:
        """Encoded events, the end marker included."""
        options = self.body.stream_options
        progress = bool(options and options.nanovl_progress)
        answers = [_Answer() for _ in range(self.ticket.answers)]
        try:
            async for piece in self.ticket.pieces(self._keep_alive_s):
                if piece is None:
                    yield KEEP_ALIVE
                    continue
                if isinstance(piece, Event):
                    if progress:
                        yield comment("progress", progress_json(piece))
                    for index, answer in enumerate(answers):
                        if not answer.begun:
                            yield self._begin(index, answer)
                    continue
                for line in self._piece(piece, answers[piece.index]):
                    yield line
            generations = self.ticket.complete()
            if options and options.include_usage:
                usage = usage_json(generations)
                media = {"nanovl_media": list(generations[0].media)}
                timings = {"nanovl_timings": timings_json(generations[0].timings)}
                yield event({**self._head(), "choices": [], "usage": usage, **media, **timings})
        except ApiError as error:
            self._on_error(error)
            yield event(error.body)
        yield DONE

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.ticket.name,
            "object": "chat.completion.chunk",
            "created": self.ticket.created,
            "model": self._model,
        }

    def _chunk(self, index: int, delta: dict[str, Any], **choice: Any) -> bytes:
        chunk = self._head()
        chunk["choices"] = [{"index": index, "delta": delta, "finish_reason": None, **choice}]
        options = self.body.stream_options
        if options and options.continuous_usage_stats:
            chunk["usage"] = usage_json(
                (), prompt_tokens=self.ticket.prompt_tokens, completion_tokens=self._tokens
            )
        return event(chunk)

    def _begin(self, index: int, answer: _Answer) -> bytes:
        answer.begun = True
        extra = {}
        if self.body.return_token_ids and index == 0:
            extra = {"prompt_token_ids": list(self.planned.input_ids)}
        return self._chunk(index, {"role": "assistant", "content": ""}, **extra)

    def _piece(self, piece: Delta, answer: _Answer) -> list[bytes]:
        lines = [] if answer.begun else [self._begin(piece.index, answer)]
        self._tokens += len(piece.token_ids)
        delta: dict[str, Any] = {}
        if piece.text:
            delta["content"] = piece.text if answer.content else self.planned.prefill + piece.text
            answer.content = True
        if piece.reasoning:
            answer.reasoning += piece.reasoning
            if self._shows_reasoning:
                delta |= dict.fromkeys(self._fields, piece.reasoning)
        calls = self._calls(piece, answer)
        if calls:
            delta["tool_calls"] = calls
        extra: dict[str, Any] = {}
        if self.body.logprobs and piece.logprobs:
            shown = self._logprobs(piece.logprobs)
            if shown["content"]:
                extra["logprobs"] = shown
        if self.body.return_token_ids and self._shows_reasoning and piece.token_ids:
            extra["token_ids"] = list(piece.token_ids)
        if piece.generation is not None:
            done = piece.generation
            if self.thinking.keep_content and not (answer.content or answer.call_ids):
                delta["content"] = answer.reasoning
            extra["finish_reason"] = finish_reason(done, named_tool=self._named_tool)
            extra["stop_reason"] = done.stop_reason
        if delta or extra:
            lines.append(self._chunk(piece.index, delta, **extra))
        return lines

    def _calls(self, piece: Delta, answer: _Answer) -> list[dict[str, Any]]:
        calls = []
        for part in piece.tool_calls:
            if self._one_call and part.index > 0:
                continue
            call: dict[str, Any] = {"index": part.index}
            function: dict[str, Any] = {"arguments": part.arguments}
            if part.index not in answer.call_ids:
                answer.call_ids[part.index] = new_call_id()
                call |= {"id": answer.call_ids[part.index], "type": "function"}
                function = {"name": part.name or "", "arguments": part.arguments}
            calls.append({**call, "function": function})
        return calls


def progress_json(event: Event) -> dict[str, Any]:
    """How far a long prompt is."""
    return {"stage": event.name, "done": event.done, "total": event.total, "unit": event.unit}
