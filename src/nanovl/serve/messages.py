"""`/v1/messages`: Anthropic's shape of answers and events around the same engine requests as chat.

Source: serving specification, section 1; the public documentation of Anthropic's Messages API.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.conversation import ToolCall
from nanovl.core.events import Event
from nanovl.core.generation import Delta, Generation
from nanovl.serve.anthropic import chat_body, chat_of
from nanovl.serve.endpoints import answered, json_response, streamed, submitted
from nanovl.serve.errors import ApiError
from nanovl.serve.openapi import described
from nanovl.serve.schema import CountRequest, MessagesRequest, ignored_fields
from nanovl.serve.service import Service, ignored_header
from nanovl.serve.sse import event
from nanovl.serve.tickets import Ticket
from nanovl.serve.tokens import chat_layout

__all__ = ["MessageWriter", "message_routes"]

PING = event({"type": "ping"}, "ping")


class MessageWriter:
    """Writes what the engine made of a request.

    Args:
        body: The request.
        ticket: The request in the engine.
        model: Name to report.
        keep_alive_s: Seconds of silence before a ping.
    """

    def __init__(
        self, body: MessagesRequest, ticket: Ticket, *, model: str, keep_alive_s: float = 15.0
    ) -> None:
        self.ticket = ticket
        self._stops = body.stop_sequences or []
        self._model = model
        self._keep_alive_s = keep_alive_s
        self._index = -1  # of the open block
        self._open = ""  # its type, with the number of the call
        self._called = False

    # --- in one piece ---------------------------------------------------------------------------

    def complete(self, generation: Generation) -> dict[str, Any]:
        """The body of the answer."""
        content: list[dict[str, Any]] = []
        if generation.reasoning:
            content.append({"type": "thinking", "thinking": generation.reasoning, "signature": ""})
        if generation.text:
            content.append({"type": "text", "text": generation.text})
        for call in generation.tool_calls:
            block = _tool_block(call.name, call.id)
            content.append({**block, "input": _arguments(call)})
        return {
            **self._head(),
            "content": content,
            **self._end(generation, bool(generation.tool_calls)),
            "usage": _usage(generation),
        }

    def _end(self, generation: Generation, called: bool) -> dict[str, str | None]:
        """Why it ended."""
        reason, stopped = "end_turn", None
        if generation.finish_reason == "length":
            reason = "max_tokens"
        elif called:
            reason = "tool_use"
        elif generation.stop_reason in self._stops:
            reason, stopped = "stop_sequence", str(generation.stop_reason)
        return {"stop_reason": reason, "stop_sequence": stopped}

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.ticket.name,
            "type": "message",
            "role": "assistant",
            "model": self._model,
        }

    # --- in pieces ------------------------------------------------------------------------------

    async def lines(self) -> AsyncIterator[bytes]:
        """Encoded events."""
        start = {"input_tokens": self.ticket.prompt_tokens, "output_tokens": 0}
        message = {**self._head(), "content": [], "stop_reason": None, "stop_sequence": None}
        yield _line("message_start", message={**message, "usage": start})
        try:
            async for piece in self.ticket.pieces(self._keep_alive_s):
                if piece is None:
                    yield PING
                elif not isinstance(piece, Event):
                    for line in self._piece(piece):
                        yield line
            generation = self.ticket.complete()[0]
            for line in self._close():
                yield line
            delta = self._end(generation, self._called)
            yield _line("message_delta", delta=delta, usage=_usage(generation))
            yield _line("message_stop")
        except ApiError as error:
            yield _line("error", error={"type": error.code, "message": error.message})

    def _piece(self, piece: Delta) -> list[bytes]:
        lines: list[bytes] = []
        if piece.reasoning:
            thought = {"type": "thinking", "thinking": "", "signature": ""}
            lines += self._begin("thinking", thought)
            lines.append(self._delta(type="thinking_delta", thinking=piece.reasoning))
        if piece.text:
            lines += self._begin("text", {"type": "text", "text": ""})
            lines.append(self._delta(type="text_delta", text=piece.text))
        for part in piece.tool_calls:
            self._called = True
            block: dict[str, Any] = {**_tool_block(part.name or "", None), "input": {}}
            lines += self._begin(f"tool_use {part.index}", block)
            if part.arguments:
                lines.append(self._delta(type="input_json_delta", partial_json=part.arguments))
        return lines

    def _begin(self, name: str, block: dict[str, Any]) -> list[bytes]:
        """A new block, unless it is the open one."""
        if name == self._open:
            return []
        lines = self._close()
        self._index, self._open = self._index + 1, name
        lines.append(_line("content_block_start", index=self._index, content_block=block))
        return lines

    def _delta(self, **delta: Any) -> bytes:
        return _line("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> list[bytes]:
        if not self._open:
            return []
        self._open = ""
        return [_line("content_block_stop", index=self._index)]


def message_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()

    @router.post("/v1/messages", openapi_extra=described(MessagesRequest))
    async def create(request: Request) -> Response:
        """Answer a conversation in Anthropic's shape."""
        body = await service.body(request, MessagesRequest)
        model = service.model_name(body.model)
        name = f"msg_{secrets.token_hex(12)}"
        planned, _, ticket = await submitted(service, request, chat_of(body), name)
        writer = MessageWriter(
            body, ticket, model=model, keep_alive_s=service.settings.sse_keep_alive_s
        )
        headers = ignored_header((*ignored_fields(body), *planned.ignored))
        if not body.stream:
            generations = await answered(request, [ticket])
            return json_response(writer.complete(generations[0][0]), headers)
        return await streamed(request, ticket, writer.lines(), headers, service)

    @router.post("/v1/messages/count_tokens", openapi_extra=described(CountRequest))
    async def count(request: Request) -> Response:
        """Tokens of a conversation, without answering it."""
        body = await service.body(request, CountRequest)
        service.model_name(body.model)
        layout = await chat_layout(service, request, chat_body(body))
        return json_response({"input_tokens": layout.num_tokens})

    return router


def _line(kind: str, **data: Any) -> bytes:
    return event({"type": kind, **data}, kind)


def _tool_block(name: str, call_id: str | None) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id or f"toolu_{secrets.token_hex(12)}", "name": name}


def _arguments(call: ToolCall) -> Any:
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return json.loads(call.arguments)
    except ValueError:  # cut off in the middle
        return {}


def _usage(generation: Generation) -> dict[str, int]:
    usage = generation.usage
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.completion_tokens,
    }
