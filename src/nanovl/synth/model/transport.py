"""One HTTP POST with a deadline; nothing is retried and nothing is interpreted here.

Redirects are not followed: a request carries a secret, and a second address would get it too.
Proxies of the system are used, but never for this machine.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from nanovl.core.errors import ConfigError

__all__ = ["NoReply", "Reply", "chat_address", "post"]

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


def chat_address(url: str) -> str:
    """Address of the chat completions of an endpoint.

    Args:
        url: Base address such as http://localhost:8000/v1, or the whole address.

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
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path, fragment="").geturl()


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
    """Send a request and read all of the reply.

    Args:
        url: Where to.
        body: As it is sent.
        headers: Besides Content-Length and Host.
        timeout_s: For everything together, connecting included.

    Raises:
        NoReply: No connection, no time left, or a reply that breaks off.
    """
    deadline = time.monotonic() + timeout_s
    connection, target, extra = _connection(urlsplit(url), timeout_s)
    try:
        connection.connect()
        line = connection.sock  # kept: the connection forgets it once the reply is being read
        line.settimeout(_left(deadline, timeout_s))
        connection.request("POST", target, body=body, headers={**headers, **extra})
        line.settimeout(_left(deadline, timeout_s))
        response = connection.getresponse()
        read = _read(response, line, deadline, timeout_s)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, read)
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


def _read(
    response: http.client.HTTPResponse, line: socket.socket, deadline: float, timeout_s: float
) -> bytes:
    declared = response.getheader("Content-Length")
    parts: list[bytes] = []
    size = 0
    while True:
        if not response.isclosed():
            line.settimeout(_left(deadline, timeout_s))
        part = response.read1(_CHUNK)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise NoReply("too_large", f"the reply is larger than {MOST_BYTES >> 20} MiB")
    if declared is not None and declared.isdigit() and size < int(declared):
        raise NoReply("cut_off", f"the reply broke off after {size} of {declared} bytes")
    return b"".join(parts)


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
