"""Server-sent events: headers, keep-alive comments, slow readers, readers who leave.

Turns an iterator of lines into an HTTP response. While it is being written, two things are
watched: whether the client left, and whether it reads too slowly; either cancels the request at
once. Knows nothing of what the events say.

Source: serving specification, section 5.2.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping, MutableMapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nanovl.serve.errors import ApiError
from nanovl.serve.limits import dumps
from nanovl.serve.tickets import Ticket

__all__ = ["DONE", "KEEP_ALIVE", "EventStream", "comment", "event", "until_gone"]

T = TypeVar("T")
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


def event(value: Mapping[str, Any], name: str = "") -> bytes:
    """One event: a line of JSON, optionally with a name."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dumps(value) + b"\n\n"


def comment(word: str, value: Mapping[str, Any]) -> bytes:
    """A comment with data, invisible to ordinary clients."""
    return f": {word} ".encode() + dumps(value) + b"\n\n"


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """Do something for a client unless it leaves; the body has been read before.

    Raises:
        ApiError: 499, the client left; the work was cancelled.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ApiError(499, "the client left")
    finally:
        await _stopped(doing, leaving)


class EventStream(Response):
    """A response whose body is being generated.

    Args:
        lines: Encoded events; closed when the client leaves.
        ticket: What is cancelled then.
        headers: Further headers.
    """

    def __init__(
        self, lines: AsyncIterator[bytes], ticket: Ticket, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(headers={**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._lines = lines
        self._ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the end, or until nobody reads any more."""
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_left(receive))
        slow = asyncio.ensure_future(self._ticket.overflow.wait())
        try:
            await asyncio.wait({writing, leaving, slow}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
            elif slow.done():
                _abort(scope)
        finally:
            self._ticket.cancel()
            await _stopped(writing, leaving, slow)

    async def _write(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async for line in self._lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while True:
        message: MutableMapping[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            return


async def _stopped(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def _abort(scope: Scope) -> None:
    """Drop the connection without waiting for what the client does not read."""
    abort = scope.get("state", {}).get("nanovl_abort")
    if abort is not None:
        abort()
