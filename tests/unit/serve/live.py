"""A real server on a loopback port, in a thread of the test process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from nanovl.serve.app import create_app
from nanovl.serve.protocol import GuardedProtocol
from nanovl.serve.runtime import bind
from nanovl.serve.service import Service
from nanovl.serve.settings import ServeSettings


@contextmanager
def live(model: Any, **settings: Any) -> Iterator[tuple[int, Service]]:
    """Serve until the block ends; gives the port and the server's state."""
    chosen = ServeSettings(**settings)
    app = create_app(model, chosen)
    bound = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=2 * chosen.limits.max_header_bytes,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True
    )
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        yield bound.getsockname()[1], app.state.service
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()
        assert not thread.is_alive()


def raw(port: int, data: bytes, *, until: bytes | None = None, seconds: float = 10.0) -> bytes:
    """Send bytes, and read until the end or until some bytes came."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        found = b""
        while until is None or until not in found:
            try:
                more = connection.recv(65536)
            except ConnectionError:
                break
            if not more:
                break
            found += more
        return found


def post(path: str, body: bytes, port: int, *headers: str) -> bytes:
    """A request as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
