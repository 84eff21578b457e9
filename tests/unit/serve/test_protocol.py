"""Connections that are opened and not used, and bytes that are no HTTP."""

from __future__ import annotations

import json
import socket
import time

import pytest

from nanovl.serve.protocol import GuardedProtocol
from tests.unit.serve.fakes import FakeNanoVL
from tests.unit.serve.live import live, raw


def send_slowly(connection: socket.socket, data: bytes) -> None:
    for letter in data:
        connection.send(bytes([letter]))
        time.sleep(0.05)


def test_a_head_that_comes_drop_by_drop_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "head_s", 0.4)
    with live(FakeNanoVL()) as (port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as silent:
            assert silent.recv(10) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=5) as slow:
            began = time.monotonic()
            with pytest.raises(ConnectionError):
                send_slowly(slow, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 100)
            assert time.monotonic() - began < 4
        # One that is quick may stay connected between requests.
        with socket.create_connection(("127.0.0.1", port), timeout=5) as quick:
            for _ in range(2):
                quick.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert b"200 OK" in quick.recv(4096)
                time.sleep(0.6)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_get_an_error_of_the_usual_shape(data: bytes) -> None:
    with live(FakeNanoVL()) as (port, _):
        answer = raw(port, data)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] in (b"400", b"431", b"501", b"404")
        assert json.loads(body)["error"]["type"]
        assert b"200 OK" in raw(port, b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")


def test_many_headers_are_refused() -> None:
    with live(FakeNanoVL()) as (port, _):
        headers = b"".join(b"X-%d: 1\r\n" % i for i in range(100))
        answer = raw(port, b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n")
        assert b" 431 " in answer.split(b"\r\n")[0]
