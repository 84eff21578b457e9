"""`/v1/responses`: items and named events around the same engine requests as chat.

Source: serving specification, section 5.5.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.events import Event
from nanovl.core.generation import Delta, Generation
from nanovl.serve.endpoints import (
    answered,
    cancelled_by_client,
    json_response,
    streamed,
    submitted,
)
from nanovl.serve.errors import ApiError
from nanovl.serve.openapi import described
from nanovl.serve.respond import as_chat, input_messages, output_message
from nanovl.serve.schema import ResponsesRequest, ignored_fields
from nanovl.serve.service import Service, ignored_header, owner_of
from nanovl.serve.sse import KEEP_ALIVE, event
from nanovl.serve.tickets import Ticket
from nanovl.serve.wire import arguments_text

__all__ = ["ResponseWriter", "response_routes"]


@dataclass
class _Stored:
    owner: str
    response: dict[str, Any]
    messages: list[dict[str, Any]]


class _Items:
    """The items of an answer as they grow, and the events that tell about it."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._call = -1

    def feed(self, piece: Delta) -> list[dict[str, Any]]:
        """Events for a piece."""
        events: list[dict[str, Any]] = []
        if piece.reasoning:
            events += self._text("reasoning", piece.reasoning)
        if piece.text:
            events += self._text("message", piece.text)
        for part in piece.tool_calls:
            if part.index != self._call or self._open is None:
                events += self.close()
                self._call = part.index
                item = {
                    "type": "function_call",
                    "id": f"fc_{secrets.token_hex(12)}",
                    "call_id": f"call_{secrets.token_hex(12)}",
                    "name": part.name or "",
                    "arguments": "",
                    "status": "in_progress",
                }
                events += self._begin(item)
            assert self._open is not None
            self._open["arguments"] += part.arguments
            if part.arguments:
                events.append(
                    self._event("response.function_call_arguments.delta", delta=part.arguments)
                )
        return events

    def close(self, status: str = "completed") -> list[dict[str, Any]]:
        """Events that end the open item."""
        item = self._open
        if item is None:
            return []
        events = []
        if item["type"] == "function_call":
            events.append(
                self._event(
                    "response.function_call_arguments.done",
                    arguments=item["arguments"],
                    name=item["name"],
                )
            )
        else:
            part = item["content"][0]
            kind = _text_event(item)
            events.append(self._event(f"{kind}.done", content_index=0, text=part["text"]))
            events.append(
                self._event("response.content_part.done", content_index=0, part=dict(part))
            )
        item["status"] = status
        events.append(self._event("response.output_item.done", item=item))
        self.done.append(item)
        self._open = None
        return events

    def _text(self, kind: str, text: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if self._open is None or self._open["type"] != kind:
            events += self.close()
            events += self._begin(_new_item(kind))
            assert self._open is not None
            part = dict(self._open["content"][0])
            events.append(self._event("response.content_part.added", content_index=0, part=part))
        assert self._open is not None
        self._open["content"][0]["text"] += text
        more: dict[str, Any] = {"logprobs": []} if kind == "message" else {}
        name = f"{_text_event(self._open)}.delta"
        events.append(self._event(name, content_index=0, delta=text, **more))
        return events

    def _begin(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        self._open = item
        shown = {**item}
        if "content" in item:
            shown["content"] = []
        return [self._event("response.output_item.added", item=shown)]

    def _event(self, kind: str, **data: Any) -> dict[str, Any]:
        assert self._open is not None
        found: dict[str, Any] = {"type": kind, "output_index": len(self.done)}
        if "output_item" not in kind:
            found["item_id"] = self._open["id"]
        return {**found, **data}


class ResponseWriter:
    """Writes what the engine made of a request.

    Args:
        body: The request.
        ticket: The request in the engine.
        model: Name to report.
        keep_alive_s: Seconds of silence before a comment line.
    """

    def __init__(
        self, body: ResponsesRequest, ticket: Ticket, *, model: str, keep_alive_s: float = 15.0
    ) -> None:
        self.body = body
        self.ticket = ticket
        self._model = model
        self._keep_alive_s = keep_alive_s
        self._sequence = 0
        self.final: dict[str, Any] | None = None

    def complete(self, generation: Generation) -> dict[str, Any]:
        """The body of the answer."""
        items = _Items()
        items.feed(Delta(reasoning=generation.reasoning or ""))
        items.feed(Delta(text=generation.text))
        items.close(_item_status(generation))
        output = items.done
        for call in generation.tool_calls:
            output.append(
                {
                    "type": "function_call",
                    "id": f"fc_{secrets.token_hex(12)}",
                    "call_id": call.id or f"call_{secrets.token_hex(12)}",
                    "name": call.name,
                    "arguments": arguments_text(call),
                    "status": "completed",
                }
            )
        self.final = self._response(generation, output)
        return self.final

    async def lines(self) -> AsyncIterator[bytes]:
        """Encoded events."""
        yield self._line("response.created", response=self._response(None, []))
        yield self._line("response.in_progress", response=self._response(None, []))
        items = _Items()
        try:
            async for piece in self.ticket.pieces(self._keep_alive_s):
                if piece is None:
                    yield KEEP_ALIVE
                    continue
                if isinstance(piece, Event):
                    continue
                for found in items.feed(piece):
                    yield self._line(found.pop("type"), **found)
            generation = self.ticket.complete()[0]
            for found in items.close(_item_status(generation)):
                yield self._line(found.pop("type"), **found)
            self.final = self._response(generation, items.done)
            yield self._line(f"response.{self.final['status']}", response=self.final)
        except ApiError as error:
            failed = self._response(None, items.done)
            failed["status"] = "failed"
            failed["error"] = {"code": error.code, "message": error.message}
            self.final = failed
            yield self._line("response.failed", response=failed)

    def _line(self, kind: str, **data: Any) -> bytes:
        number = self._sequence
        self._sequence += 1
        return event({"type": kind, "sequence_number": number, **data}, kind)

    def _response(
        self, generation: Generation | None, output: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        body = self.body
        status, details = "in_progress", None
        if generation is not None:
            status = "incomplete" if generation.finish_reason == "length" else "completed"
            details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self.ticket.name,
            "object": "response",
            "created_at": self.ticket.created,
            "status": status,
            "model": self._model,
            "output": list(output),
            "error": None,
            "incomplete_details": details,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": body.reasoning or {"effort": None, "summary": None},
            "store": body.store is not False,
            "temperature": body.temperature,
            "text": body.text or {"format": {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None if generation is None else _usage(generation),
        }


def response_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()
    stored: OrderedDict[str, _Stored] = OrderedDict()

    def find(response_id: str, owner: str) -> _Stored:
        found = stored.get(response_id)
        if found is None or found.owner != owner:
            raise ApiError(404, "no stored response of that id", param="id")
        return found

    def keep(writer: ResponseWriter, owner: str, messages: list[dict[str, Any]]) -> None:
        final = writer.final
        if final is None or writer.body.store is False:
            return
        everything = [*messages, *output_message(final["output"])]
        stored[final["id"]] = _Stored(owner, final, everything)
        while len(stored) > service.settings.stored_responses:
            stored.popitem(last=False)

    @router.post("/v1/responses", openapi_extra=described(ResponsesRequest))
    async def create(request: Request) -> Response:
        """Answer an input."""
        body = await service.body(request, ResponsesRequest)
        owner = owner_of(request)
        model = service.model_name(body.model)
        history: list[dict[str, Any]] = []
        if body.previous_response_id is not None:
            history = find(body.previous_response_id, owner).messages
        chat = as_chat(body, history)
        messages = [*history, *input_messages(body.input)]
        name = f"resp_{secrets.token_hex(24)}"
        planned, _, ticket = await submitted(service, request, chat, name)
        writer = ResponseWriter(
            body, ticket, model=model, keep_alive_s=service.settings.sse_keep_alive_s
        )
        headers = ignored_header((*ignored_fields(body), *planned.ignored))
        if not body.stream:
            generations = await answered(request, [ticket])
            answer = writer.complete(generations[0][0])
            keep(writer, owner, messages)
            return json_response(answer, headers)

        async def lines() -> AsyncIterator[bytes]:
            async for line in writer.lines():
                yield line
            keep(writer, owner, messages)

        return await streamed(request, ticket, lines(), headers, service)

    @router.get("/v1/responses/{response_id}")
    async def get(request: Request, response_id: str) -> Response:
        """A stored answer."""
        return json_response(find(response_id, owner_of(request)).response)

    @router.delete("/v1/responses/{response_id}")
    async def delete(request: Request, response_id: str) -> Response:
        """Forget an answer."""
        find(response_id, owner_of(request))
        del stored[response_id]
        return json_response({"id": response_id, "object": "response", "deleted": True})

    @router.post("/v1/responses/{response_id}/cancel")
    async def cancel(request: Request, response_id: str) -> Response:
        """Stop an answer that is being written."""
        ticket = service.running.get(response_id)
        if ticket is None or ticket.owner != owner_of(request):
            return json_response(find(response_id, owner_of(request)).response)
        ticket.cancel(cancelled_by_client())
        return json_response({"id": response_id, "object": "response", "status": "cancelled"})

    return router


def _new_item(kind: str) -> dict[str, Any]:
    if kind == "reasoning":
        part: dict[str, Any] = {"type": "reasoning_text", "text": ""}
        return {
            "type": "reasoning",
            "id": f"rs_{secrets.token_hex(12)}",
            "summary": [],
            "content": [part],
            "status": "in_progress",
        }
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{secrets.token_hex(12)}",
        "role": "assistant",
        "content": [part],
        "status": "in_progress",
    }


def _text_event(item: Mapping[str, Any]) -> str:
    is_reasoning = item["type"] == "reasoning"
    return "response.reasoning_text" if is_reasoning else "response.output_text"


def _item_status(generation: Generation) -> str:
    return "incomplete" if generation.finish_reason == "length" else "completed"


def _usage(generation: Generation) -> dict[str, Any]:
    usage = generation.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
