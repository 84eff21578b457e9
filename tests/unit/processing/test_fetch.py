"""The download guard, against a server on this machine and a resolver that lies."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nanovl.core.errors import InputError
from nanovl.processing.fetch import FetchPolicy, fetch

PUBLIC = "93.184.216.34"
POLICY = FetchPolicy(max_bytes=1000, total_s=5)


class _Handler(BaseHTTPRequestHandler):
    """Paths say what to do: /ok /big /lie /redirect/N /to?URL /slow /gzip /short /status/404."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        word, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        if word == "ok":
            self._send(b"media")
        elif word == "big":
            self._send(b"x" * 1001)
        elif word == "lie":
            self._head({"Content-Length": "5000000000"})
        elif word == "endless":
            self._head({})
            for _ in range(100):
                self.wfile.write(b"x" * 1000)
        elif word == "redirect":
            n = int(rest)
            self._head({"Location": f"/redirect/{n - 1}" if n > 1 else "/ok"}, 302)
        elif word == "to":
            self._head({"Location": rest}, 301)
        elif word == "nowhere":
            self._head({}, 302)
        elif word == "drip":
            self._head({"Content-Length": "900"})
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        elif word == "gzip":
            self._head({"Content-Encoding": "gzip"})
        elif word == "short":
            self._head({"Content-Length": "500"})
            self.wfile.write(b"only this")
        else:
            self._head({}, int(rest))

    def _send(self, body: bytes) -> None:
        self._head({"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    requests: list[tuple[str, dict[str, str]]]

    def handle_error(self, *_: object) -> None:  # clients that hang up are part of the tests
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    web = _Server(("127.0.0.1", 0), _Handler)
    web.requests = []
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield web
    web.shutdown()
    thread.join()
    web.server_close()


Get = Callable[..., bytes]


@pytest.fixture
def get(server: _Server) -> Get:
    """fetch() with every name public, and every checked address leading to the test server."""

    def connect(address: str, port: int, timeout_s: float) -> socket.socket:
        assert address == PUBLIC
        return socket.create_connection(server.server_address[:2], timeout_s)

    def run(
        url: str, policy: FetchPolicy = POLICY, addresses: tuple[str, ...] = (PUBLIC,)
    ) -> bytes:
        return fetch(url, policy, resolve=lambda host, port: list(addresses), connect=connect)

    return run


def test_a_plain_download(get: Get, server: _Server) -> None:
    assert get("http://media.example.org/ok?a=%20b") == b"media"
    [(path, headers)] = server.requests
    assert path == "/ok?a=%20b"
    assert headers == {
        "Host": "media.example.org",
        "User-Agent": "nanovl",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def test_redirects_are_followed_three_times(get: Get) -> None:
    assert get("http://example.org/redirect/3") == b"media"
    with pytest.raises(InputError, match="more than 3 redirects"):
        get("http://example.org/redirect/4")
    with pytest.raises(InputError, match="without a target"):
        get("http://example.org/nowhere")


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "http://a@b.org/",
        "//localhost.:22/",
        "ftp://example.org/",
    ],
)
def test_every_hop_is_checked(get: Get, server: _Server, target: str) -> None:
    with pytest.raises(InputError):
        get(f"http://example.org/to/{target}")
    assert len(server.requests) == 1


def test_a_second_host_is_checked_against_the_list(get: Get) -> None:
    policy = FetchPolicy(max_bytes=100, total_s=5, allowed_hosts=("example.org", "*.cdn.example"))
    assert get("http://example.org/ok", policy) == b"media"
    assert get("http://a.b.cdn.example/ok", policy) == b"media"
    assert get("http://example.org/to/http://x.cdn.example/ok", policy) == b"media"
    for url in (
        "http://example.org/to/http://evil.org/ok",
        "http://notexample.org/ok",
        "http://sub.example.org/ok",
        "http://cdn.example/ok",
        "http://evilcdn.example/ok",
    ):
        with pytest.raises(InputError, match="host not allowed"):
            get(url, policy)


@pytest.mark.parametrize("path", ["big", "lie", "endless"])
def test_size_cap(get: Get, path: str) -> None:
    with pytest.raises(InputError, match="larger than 1000 bytes"):
        get(f"http://example.org/{path}")


def test_a_dripping_server_is_cut_off(get: Get) -> None:
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"no complete answer within 0\.3 s"):
        get("http://example.org/drip", FetchPolicy(max_bytes=1000, total_s=0.3))
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gzip", "compressed content"),
        ("short", "after 9 bytes, 491 missing"),
        ("status/404", "status 404; check"),
        ("status/503", "status 503; retry"),
        ("status/429", "status 429; retry"),
        ("status/204", "status 204"),
    ],
)
def test_answers_that_are_no_media(get: Get, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get(f"http://example.org/{path}")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "2001:db8::1",
        "nonsense",
    ],
)
def test_addresses_that_are_not_public(get: Get, server: _Server, address: str) -> None:
    with pytest.raises(InputError, match=r"example\.org: host not allowed") as caught:
        get("http://example.org/ok", addresses=(address,))
    assert address not in str(caught.value)
    with pytest.raises(InputError, match="host not allowed"):
        get("http://example.org/ok", addresses=(PUBLIC, address))  # mixed answers too
    assert server.requests == []


def test_no_answer_from_the_resolver(get: Get) -> None:
    with pytest.raises(InputError, match="host not allowed"):
        get("http://example.org/ok", addresses=())

    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(InputError, match="cannot be resolved"):
        fetch("http://example.org/", POLICY, resolve=fail)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://1.2.3/",
        "http://[fe80::1%25eth0]/",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org\\@evil/",
        "http://example.org/a b",
        "http://example.org/\r\nX: y",
        "http://exa\tmple.org/",
        " http://example.org/",
        "http://example.org:22/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http:///path",
        "http://",
        "//example.org/",
        "example.org",
        "http://ex\u00e4mple.org/",
        "http://\u212aelvin.org/",
        "http://[::1",
        "http://-a.org/",
        "http://a..org/",
        "http://" + "a" * 300 + ".org/",
        "http://example.org/" + "a" * 9000,
        "http://example.org%2f@evil/",
    ],
)
def test_urls_that_are_refused_before_anything_happens(url: str) -> None:
    def never(*_: object) -> socket.socket:
        pytest.fail("connected")

    with pytest.raises(InputError) as caught:
        fetch(url, POLICY, resolve=lambda host, port: pytest.fail("resolved"), connect=never)
    assert "secret" not in str(caught.value)


def test_the_checked_address_is_the_one_connected_to() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    seen = []

    def connect(address: str, port: int, timeout_s: float) -> socket.socket:
        seen.append((address, port))
        raise ConnectionRefusedError

    with pytest.raises(InputError, match=r"example\.org: connection failed"):
        fetch("http://example.org/", POLICY, resolve=lambda *_: next(answers), connect=connect)
    assert seen == [(PUBLIC, 80)]


def test_the_next_address_is_tried(server: _Server) -> None:
    tried = []

    def connect(address: str, port: int, timeout_s: float) -> socket.socket:
        tried.append(address)
        if len(tried) == 1:
            raise ConnectionRefusedError
        return socket.create_connection(server.server_address[:2], timeout_s)

    addresses = ["2606:2800:220:1::1", PUBLIC]
    body = fetch("http://example.org/ok", POLICY, resolve=lambda *_: addresses, connect=connect)
    assert body == b"media"
    assert tried == addresses


def test_https_does_not_go_back_to_http_and_checks_the_certificate(get: Get) -> None:
    # The test server speaks no TLS: the handshake must fail, not fall back.
    with pytest.raises(InputError, match="secure connection failed"):
        get("https://example.org/ok")


def test_downgrade_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from nanovl.processing import fetch as module

    monkeypatch.setattr(module, "_get", lambda *_: ("http://example.org/x", None))
    with pytest.raises(InputError, match="insecure address"):
        fetch("https://example.org/", POLICY)


def test_environment_proxies_are_ignored(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get("http://example.org/ok") == b"media"
