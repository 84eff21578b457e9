"""Routes that generate: chat, completions, control of running requests, prompts without answers.

Each route reads its body, plans in a worker thread, submits, and writes; what these steps do is
elsewhere.

Source: serving specification, sections 1, 2, 4 and 5.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.serve.chat import ChatWriter
from nanovl.serve.completions import CompletionWriter
from nanovl.serve.errors import ApiError
from nanovl.serve.limits import dumps
from nanovl.serve.openapi import described
from nanovl.serve.planning import Planned
from nanovl.serve.reasoning import Thinking
from nanovl.serve.schema import (
    ChatRequest,
    CompletionRequest,
    ControlRequest,
    GenerationRequest,
)
from nanovl.serve.service import Service, ignored_header, owner_of
from nanovl.serve.sse import EventStream, until_gone
from nanovl.serve.tickets import Ticket

__all__ = ["generation_routes", "json_response", "reasoning_fields"]


def generation_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()

    @router.post("/v1/chat/completions", openapi_extra=described(ChatRequest))
    async def chat(request: Request) -> Response:
        """Answer a conversation."""
        body = await service.body(request, ChatRequest)
        model = service.model_name(body.model)
        name = f"chatcmpl-{request_name(request, body)}"
        planned, thinking, ticket = await submitted(service, request, body, name)
        writer = ChatWriter(
            body,
            thinking,
            planned,
            ticket,
            service.nanovl.tokenizer,
            model=model,
            fields=reasoning_fields(service),
            keep_alive_s=service.settings.sse_keep_alive_s,
        )
        headers = ignored_header(planned.ignored)
        if not body.stream:
            generations = await answered(request, [ticket])
            return json_response(writer.complete(generations[0]), headers)
        return await streamed(request, ticket, writer.lines(), headers, service)

    @router.post("/v1/completions", openapi_extra=described(CompletionRequest))
    async def completions(request: Request) -> Response:
        """Go on with a text."""
        body = await service.body(request, CompletionRequest)
        model = service.model_name(body.model)
        plans = await until_gone(
            request,
            service.in_thread(lambda gone: service.planning(request, gone).completion(body)),
        )
        if body.stream and len(plans) > 1:
            raise ApiError(
                400, "a stream answers one prompt; send several requests", param="prompt"
            )
        tickets = submit_all(service, request, body, plans)
        writer = CompletionWriter(
            body,
            plans,
            tickets,
            service.nanovl.tokenizer,
            model=model,
            keep_alive_s=service.settings.sse_keep_alive_s,
        )
        headers = ignored_header(plans[0].ignored)
        if not body.stream:
            return json_response(writer.complete(await answered(request, tickets)), headers)
        return await streamed(request, tickets[0], writer.lines(), headers, service)

    @router.post("/v1/chat/completions/control", openapi_extra=described(ControlRequest))
    async def control(request: Request) -> Response:
        """Make a running request answer now, or stop it."""
        body = await service.body(request, ControlRequest)
        ticket = service.running.get(body.id)
        if ticket is None or ticket.owner != owner_of(request):
            raise ApiError(404, "no running request of that id", param="id")
        if body.action == "cancel":
            ticket.cancel(cancelled_by_client())
            return json_response({"id": body.id, "action": body.action, "success": True})
        done = ticket.end_reasoning()
        return json_response({"id": body.id, "action": body.action, "success": done})

    return router


async def submitted(
    service: Service, request: Request, body: ChatRequest, name: str
) -> tuple[Planned, Thinking, Ticket]:
    """Plan a conversation and hand it to the engine.

    Args:
        service: Of the server.
        request: Who waits; planning ends when they leave.
        body: The conversation.
        name: Id of the answer.

    Returns:
        The plan, how the answer is to be thought about, and the ticket.
    """
    planned, thinking = await until_gone(
        request, service.in_thread(lambda gone: service.planning(request, gone).chat(body))
    )
    ticket = service.submit(
        planned, owner=owner_of(request), name=name, streaming=bool(body.stream)
    )
    return planned, thinking, ticket


def submit_all(
    service: Service, request: Request, body: GenerationRequest, plans: list[Planned]
) -> list[Ticket]:
    """Submit several prompts of one request, all or none."""
    tickets: list[Ticket] = []
    name = request_name(request, body)
    try:
        for index, plan in enumerate(plans):
            tickets.append(
                service.submit(
                    plan,
                    owner=owner_of(request),
                    name=f"cmpl-{name}" + (f"-{index}" if index else ""),
                    streaming=bool(body.stream),
                )
            )
    except Exception:
        for ticket in tickets:
            ticket.cancel()
        raise
    return tickets


async def answered(request: Request, tickets: list[Ticket]) -> list[Any]:
    """All answers of all tickets; cancelled together when one fails or the client leaves."""

    async def collect() -> list[Any]:
        return [timely(await ticket.all()) for ticket in tickets]

    try:
        return await until_gone(request, collect())
    finally:
        for ticket in tickets:
            ticket.cancel()


async def streamed(
    request: Request,
    ticket: Ticket,
    lines: AsyncIterator[bytes],
    headers: Mapping[str, str],
    service: Service,
) -> Response:
    """The response that streams; an error before anything happened is an ordinary response."""
    try:
        await until_gone(request, ticket.peek(service.settings.sse_keep_alive_s))
        failure = ticket.failure()
        if failure is not None:
            raise failure
    except BaseException:
        ticket.cancel()
        raise
    return EventStream(lines, ticket, headers)


def timely(generations: list[Any]) -> list[Any]:
    """The answers, unless time ran out before there was a word.

    Raises:
        ApiError: 504.
    """
    if all(g.stop_reason == "timeout" and not (g.text or g.reasoning) for g in generations):
        raise ApiError(504, "the deadline passed before the answer began")
    return generations


def request_name(request: Request, body: GenerationRequest) -> str:
    """What makes the id of an answer: the client's id for the request, or ours."""
    given = body.request_id or ""
    if given and given.isascii() and given.isprintable() and " " not in given:
        return given
    return str(request.scope["state"]["nanovl_request_id"])


def reasoning_fields(service: Service) -> tuple[str, ...]:
    """Names of the fields that carry reasoning."""
    chosen = service.settings.reasoning_field
    return ("reasoning", "reasoning_content") if chosen == "both" else (chosen,)


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON body."""
    return Response(dumps(value), media_type="application/json", headers=dict(headers or {}))


def cancelled_by_client() -> ApiError:
    """What the reader of a request is told that was stopped from elsewhere."""
    return ApiError(409, "the request was cancelled by its client", code="cancelled")
