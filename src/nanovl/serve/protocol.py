"""HTTP connections with two habits more: slow openers are cut, and so may be slow readers.

A client that opens a connection and does not send a whole request head in time, drop by drop or
not at all, loses the connection. The application gets a way to drop a connection without waiting
for a client that does not read.

Source: serving specification, sections 5.2 and 16.2.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from nanovl.serve.errors import bad_request
from nanovl.serve.limits import dumps

__all__ = ["GuardedProtocol"]

HEAD_S = 20.0


class GuardedProtocol(H11Protocol):
    """One connection."""

    head_s = HEAD_S
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        self.app_state = {**self.app_state, "nanovl_abort": transport.abort}
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """A client sent something."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP gets an error of the usual shape."""
        body = dumps(bad_request(msg).body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        events: list[Any] = [
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._too_slow)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        # Between requests the keep-alive timer counts; an answer may still be on its way.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
