"""One HTTP request with a deadline, read whole or line by line; nothing is retried here.

Redirects are not followed: a request carries a secret, and a second address would get it too.
Proxies of the system are used, but never for this machine. Must not know what is asked.

Source: evaluation specification, sections 2.4 and 9.1.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from nanovl.core.errors import ConfigError

__all__ = ["NoReply", "Reply", "endpoint_address", "send", "stream_lines"]

MOST_BYTES = 64 << 20
_CHUNK = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(Exception):
    """No complete reply.

    Args:
        reason: "refused", "timeout", "cut_off", "tls", "too_large" or "connection".
        message: What exactly.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def endpoint_address(url: str, path: str = "/chat/completions") -> str:
    """Address of one service of an endpoint.

    Args:
        url: Base address such as http://localhost:8000/v1, or that of its chat completions.
        path: Below the base.

    Raises:
        ConfigError: No http(s) address, or one with a password in it.
    """
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        raise ConfigError(f"endpoint: {url!r} is no address ({error})") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"endpoint: got {url!r}, expected an address such as http://localhost:8000/v1"
        )
    if parts.username or parts.password:
        raise ConfigError(
            "endpoint: the address holds a user name or password; put the key into an environment "
            "variable and name that"
        )
    base = parts.path.rstrip("/").removesuffix("/chat/completions")
    return parts._replace(path=base + path, fragment="").geturl()


def send(
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Reply:
    """Send a request and read all of the reply.

    Args:
        url: Where to.
        body: As it is sent by POST; None is a GET.
        headers: Besides Content-Length and Host.
        timeout_s: For everything together, connecting included.

    Raises:
        NoReply: No connection, no time left, or a reply that breaks off.
    """
    with _opened(url, body, headers, timeout_s) as exchange:
        parts: list[bytes] = []
        size = 0
        while part := exchange.read():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise NoReply("too_large", f"the reply is larger than {MOST_BYTES >> 20} MiB")
        exchange.check(size)
        return Reply(exchange.response.status, exchange.headers, b"".join(parts))


def stream_lines(
    url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> Iterator[tuple[float, bytes] | Reply]:
    """Send a request and give the lines of the reply as they arrive.

    Yields:
        Time of arrival (`time.perf_counter()`) and a line without its end. A status other than
        200 yields one `Reply` instead.

    Raises:
        NoReply: As `send`.
    """
    with _opened(url, body, headers, timeout_s) as exchange:
        if exchange.response.status != 200:
            parts = list(iter(exchange.read, b""))
            yield Reply(exchange.response.status, exchange.headers, b"".join(parts))
            return
        rest = b""
        size = 0
        while part := exchange.read():
            now = time.perf_counter()
            size += len(part)
            if size > MOST_BYTES:
                raise NoReply("too_large", f"the reply is larger than {MOST_BYTES >> 20} MiB")
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                yield now, line.rstrip(b"\r")
        exchange.check(size)
        if rest:
            yield time.perf_counter(), rest


class _Exchange:
    """An open reply under a deadline."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        deadline: float,
        timeout_s: float,
        line: object,
    ) -> None:
        self.response = response
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._connection = connection
        self._deadline = deadline
        self._timeout_s = timeout_s
        self._line = line

    def read(self) -> bytes:
        """The next piece, b"" at the end."""
        if not self.response.isclosed():
            self._line.settimeout(_left(self._deadline, self._timeout_s))  # type: ignore[attr-defined]
        return self.response.read1(_CHUNK)

    def check(self, size: int) -> None:
        """Refuse a reply that is shorter than it said."""
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and size < int(declared):
            raise NoReply("cut_off", f"the reply broke off after {size} of {declared} bytes")


@contextlib.contextmanager
def _opened(
    url: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
) -> Iterator[_Exchange]:
    deadline = time.monotonic() + timeout_s
    connection, target, extra = _connection(urlsplit(url), timeout_s)
    try:
        connection.connect()
        line = connection.sock  # kept: the connection forgets it once the reply is being read
        line.settimeout(_left(deadline, timeout_s))
        method = "GET" if body is None else "POST"
        connection.request(method, target, body=body, headers={**headers, **extra})
        line.settimeout(_left(deadline, timeout_s))
        response = connection.getresponse()
        yield _Exchange(connection, response, deadline, timeout_s, line)
    except NoReply:
        raise
    except ConnectionRefusedError as error:
        raise NoReply("refused", "the connection was refused") from error
    except ssl.SSLError as error:
        raise NoReply("tls", f"no secure connection ({error.reason or error})") from error
    except TimeoutError as error:
        raise NoReply("timeout", f"no complete reply within {timeout_s:g} s") from error
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError) as error:
        raise NoReply("cut_off", f"the reply broke off ({_why(error)})") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoReply("connection", f"no connection ({_why(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            connection.close()


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _left(deadline: float, timeout_s: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NoReply("timeout", f"no complete reply within {timeout_s:g} s")
    return left


def _connection(
    parts: SplitResult, timeout_s: float
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection (not yet open), the request's target, and headers for a proxy."""
    host = parts.hostname or ""
    is_secure = parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    proxy = _proxy(parts.scheme, host)
    extra: dict[str, str] = {}
    if proxy is None:
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        return kind(host, port, timeout=timeout_s), target, extra
    if proxy.username:
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        extra["Proxy-Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    via = (proxy.hostname or "", proxy.port or 80)
    if not is_secure:
        return http.client.HTTPConnection(*via, timeout=timeout_s), parts.geturl(), extra
    tunnel = http.client.HTTPSConnection(*via, timeout=timeout_s)
    tunnel.set_tunnel(host, port, headers=extra)
    return tunnel, target, {}


def _proxy(scheme: str, host: str) -> SplitResult | None:
    if host in _LOOPBACK or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return None
    address = urllib.request.getproxies().get(scheme)
    if not address:
        return None
    return urlsplit(address if "://" in address else f"http://{address}")
