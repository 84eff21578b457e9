"""Readers who leave, and readers who are slow, over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nanovl.core.generation import Delta
from nanovl.serve.sse import comment, event
from tests.unit.serve.fakes import FakeNanoVL, FakeRequest, generation, wait_for
from tests.unit.serve.live import live, post, raw

BODY = {"messages": [{"role": "user", "content": "hi"}]}


def endless(text: str = "x", pause_s: float = 0.005) -> Any:
    """A script that goes on until it is cancelled."""

    def script(request: FakeRequest) -> Iterator[Any]:
        del request
        while True:
            yield Delta(text=text, token_ids=(1,))
            yield pause_s

    return script


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        more = connection.recv(65536)
        assert more, found
        found += more
    return found


def drained(connection: socket.socket) -> None:
    """Read to the end of a connection.

    Raises:
        ConnectionError: It was reset.
    """
    for _ in range(10_000):
        if not connection.recv(65536):
            raise ConnectionResetError


def test_events_are_one_line_of_json() -> None:
    assert event({"a": "x\ny"}) == b'data: {"a":"x\\ny"}\n\n'
    assert event({"a": 1}, "kind") == b'event: kind\ndata: {"a":1}\n\n'
    assert comment("progress", {"n": 1}) == b': progress {"n":1}\n\n'


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_cancels_its_request_at_once(stream: bool) -> None:
    model = FakeNanoVL(endless())
    with live(model) as (port, service):
        body = json.dumps({**BODY, "stream": stream}).encode()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(post("/v1/chat/completions", body, port))
            if stream:
                read_until(connection, b'"x"')
            assert wait_for(lambda: len(model.engine.streams) == 1)
            assert not model.engine.streams[0].cancelled.is_set()
        assert wait_for(model.engine.streams[0].cancelled.is_set)
        assert wait_for(lambda: not service.running)
        assert raw(port, b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        )


def test_a_client_that_leaves_while_media_is_opened_stops_that_too() -> None:
    model = FakeNanoVL()
    noticed: list[bool] = []

    with live(model) as (port, service):
        planning = service.planning

        def slow(request: Any, cancelled: Any) -> Any:
            class Slow:
                def chat(self, body: Any) -> Any:
                    noticed.append(wait_for(cancelled))
                    return planning(request, cancelled).chat(body)

            return Slow()

        service.planning = slow  # type: ignore[method-assign, assignment]
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(post("/v1/chat/completions", json.dumps(BODY).encode(), port))
            time.sleep(0.1)
        assert wait_for(lambda: noticed == [True])
        assert not model.engine.streams


def test_a_slow_reader_is_cut_off_and_others_are_not_affected() -> None:
    model = FakeNanoVL(endless("y" * 20_000, 0.0005))
    with live(model, sse_queue=50) as (port, service):
        body = json.dumps({**BODY, "stream": True}).encode()
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(post("/v1/chat/completions", body, port))
        assert wait_for(lambda: len(model.engine.streams) == 1)
        model.script = lambda request: [
            Delta(text="quick", token_ids=(1,)),
            Delta(finish_reason="stop", generation=generation(request, text="quick")),
        ]
        answer = raw(
            port, post("/v1/chat/completions", json.dumps(BODY).encode(), port, "Connection: close")
        )
        assert b'"quick"' in answer
        assert wait_for(model.engine.streams[0].cancelled.is_set, 15)
        assert wait_for(lambda: not service.running)
        # The connection is gone although the client never read.
        slow.settimeout(10)
        with pytest.raises(ConnectionError):
            drained(slow)
        slow.close()


def test_two_hundred_requests_cancelled_at_random_leave_nothing() -> None:
    import random

    random_numbers = random.Random(0)
    model = FakeNanoVL(endless(pause_s=0.02))
    with live(model, max_queued_requests=10_000) as (port, service):
        body = json.dumps({**BODY, "stream": True}).encode()
        for _ in range(20):
            connections = []
            for _ in range(10):
                connection = socket.create_connection(("127.0.0.1", port))
                connection.sendall(post("/v1/chat/completions", body, port))
                connections.append(connection)
            for connection in connections:
                if random_numbers.random() < 0.5:
                    connection.recv(100)
                connection.close()
        assert wait_for(lambda: not service.running, 20)
        assert all(s.cancelled.is_set() for s in model.engine.streams)
        assert wait_for(lambda: service._planning == 0)
