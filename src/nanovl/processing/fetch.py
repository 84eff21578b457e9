"""Downloads media from the network without becoming a tool against the network it runs in.

The one function of the package that opens a connection for media. Every hop is checked: the URL's
syntax, the host list, and *every* address the name resolves to; the connection then goes to the
checked address, so a name that changes its address in between gains nothing. No proxies, cookies,
credentials or compressed answers.

Source: serving specification section 16.1.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from nanovl.core.errors import InputError

__all__ = ["Connect", "FetchPolicy", "Resolve", "fetch"]

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]

USER_AGENT = "nanovl"
CONNECT_TIMEOUT_S = 5.0
MAX_REDIRECTS = 3
MAX_URL_LENGTH = 8192
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK_BYTES = 1 << 16
ONE_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
# Hosts arrive in lower case.
HOST_NAME = re.compile(rf"{ONE_LABEL}(\.{ONE_LABEL})*\.?")
# A last label like these makes some parsers read the whole host as an IPv4 number.
NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)")

HOST_HINT = "host is not a plain ASCII name; write international names in xn-- form"

# Ranges that carry an IPv4 address inside an IPv6 one, and where its first bit is.
EMBEDDED_IPV4 = (
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
# Translation and tunnel ranges whose inner address depends on a local prefix.
REFUSED_NETWORKS = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2001::/32"),
)


@dataclass(frozen=True, kw_only=True)
class FetchPolicy:
    """What one download may do.

    Attributes:
        max_bytes: Size of the body.
        total_s: Time for everything after name resolution, redirects included.
        allowed_hosts: When given, the only hosts; `*.example.org` matches its subdomains.
        allowed_ports: Ports that may be connected to.
    """

    max_bytes: int
    total_s: float
    allowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)


def _system_resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _system_connect(address: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=timeout_s)


def fetch(
    url: str,
    policy: FetchPolicy,
    *,
    resolve: Resolve = _system_resolve,
    connect: Connect = _system_connect,
) -> bytes:
    """Download one `http(s):` URL.

    Args:
        url: Absolute URL in ASCII.
        policy: Size, time and host limits.
        resolve: (host, port) -> addresses; the system's resolver by default.
        connect: (address, port, seconds) -> connected socket; takes checked addresses only.

    Returns:
        The body.

    Raises:
        InputError: The URL is malformed or not allowed, the host cannot be reached, answers with
            an error, or sends too much or too slowly. Messages never name a resolved address.
    """
    deadline = time.monotonic() + policy.total_s
    for _ in range(MAX_REDIRECTS + 1):
        parts = _check_url(url, policy)
        location, body = _get(parts, policy, deadline, resolve, connect)
        if body is not None:
            return body
        target = urljoin(url, location)
        if parts.scheme == "https" and not target.lower().startswith("https:"):
            raise InputError(f"{parts.hostname}: redirects from https to an insecure address")
        url = target
    raise InputError(f"{parts.hostname}: more than {MAX_REDIRECTS} redirects; give the final URL")


def _check_url(url: str, policy: FetchPolicy) -> SplitResult:
    if len(url) > MAX_URL_LENGTH or "\\" in url or any(c <= " " or c == "\x7f" for c in url):
        raise InputError(
            "media URL is too long or holds a backslash, space or control character; encode them"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError("media URL cannot be parsed; expected http(s)://host/path") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError("media URL must look like http(s)://host/path")
    if "@" in parts.netloc:
        raise InputError("media URL carries a user name or password; remove it")
    # On the raw text: lower-casing turns some letters from elsewhere into ASCII ones.
    if not parts.netloc.isascii():
        raise InputError(f"media URL: {HOST_HINT}")
    _check_host(host)
    if (port or _default_port(parts)) not in policy.allowed_ports:
        raise InputError(
            f"{host}: port {port} not allowed; allowed are "
            f"{', '.join(map(str, policy.allowed_ports))}"
        )
    if policy.allowed_hosts and not any(_matches(host, p) for p in policy.allowed_hosts):
        raise InputError(f"{host}: host not allowed; it is not on the list of media hosts")
    return parts


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _check_host(host: str) -> None:
    if ":" in host:
        # Brackets and zone ids are gone or visible here; a zone makes the address link-local.
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise InputError("media URL: host is not a valid IPv6 address") from None
        return
    if not HOST_NAME.fullmatch(host) or len(host) > 253:
        raise InputError(f"media URL: {HOST_HINT}")
    if NUMERIC_LABEL.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise InputError(
                "media URL: host looks like a number but is not an address of four decimal parts"
            ) from None


def _matches(host: str, pattern: str) -> bool:
    host, pattern = host.rstrip(".").lower(), pattern.lower()
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def _is_public(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None or ip.is_site_local:
            return False
        if any(ip in network for network in REFUSED_NETWORKS):
            return False
        for network, shift in EMBEDDED_IPV4:
            if ip in network:
                inner = ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)
                return _is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _checked_addresses(host: str, port: int, resolve: Resolve) -> list[str]:
    if ":" in host or NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1]):
        addresses = [host]
    else:
        try:
            addresses = resolve(host, port)
        except (OSError, UnicodeError):
            raise InputError(f"{host}: host name cannot be resolved; check it or retry") from None
    if not addresses or not all(_is_public(a) for a in addresses):
        raise InputError(f"{host}: host not allowed; only public addresses are fetched")
    return addresses


def _connect_any(
    addresses: list[str], port: int, deadline: float, connect: Connect
) -> socket.socket:
    for address in addresses:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        with contextlib.suppress(OSError):
            return connect(address, port, min(CONNECT_TIMEOUT_S, remaining))
    raise ConnectionError


def _get(
    parts: SplitResult, policy: FetchPolicy, deadline: float, resolve: Resolve, connect: Connect
) -> tuple[str, bytes | None]:
    """One request: (redirect target, None) or ("", body)."""
    host = parts.hostname or ""
    port = parts.port or _default_port(parts)
    addresses = _checked_addresses(host, port, resolve)
    connection = http.client.HTTPConnection(host, port)
    watchdog = _Watchdog(deadline)
    try:
        sock = _connect_any(addresses, port, deadline, connect)
        connection.sock = sock
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        watchdog.watch(sock)
        if parts.scheme == "https":
            secure = ssl.create_default_context().wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
            connection.sock = secure
            watchdog.watch(secure)
            secure.do_handshake()
        connection.request("GET", _request_target(parts), headers=_headers(parts))
        with contextlib.closing(connection.getresponse()) as response:
            answer = _read(response, host, policy)
        if watchdog.has_cut:  # looks like the end of a body of unknown length
            raise TimeoutError
        return answer
    except (OSError, http.client.HTTPException) as error:
        if watchdog.has_cut or time.monotonic() >= deadline:
            raise InputError(
                f"{host}: no complete answer within {policy.total_s:g} s; retry or send the file"
            ) from None
        problem = "connection failed"
        if isinstance(error, ssl.SSLError):
            problem = "secure connection failed (certificate or protocol)"
        if isinstance(error, http.client.IncompleteRead):
            problem = f"connection ended after {len(error.partial)} bytes, {error.expected} missing"
        raise InputError(f"{host}: {problem}; retry or send the file") from None
    finally:
        watchdog.cancel()
        connection.close()


class _Watchdog:
    """Cuts a connection at a deadline: socket timeouts count per read, so drips would pass them."""

    def __init__(self, deadline: float) -> None:
        self.has_cut = False
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._cut)
        self._timer.daemon = True

    def watch(self, sock: socket.socket) -> None:
        first = self._sock is None
        self._sock = sock
        if first:
            self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.has_cut = True
        with contextlib.suppress(OSError):
            if self._sock is not None:
                # The base method: the one of a TLS socket would pull state from under its reader.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


def _request_target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*")
    return f"{path}?{quote(parts.query, safe='/%:=&~+!$,;@()*?')}" if parts.query else path


def _headers(parts: SplitResult) -> dict[str, str]:
    return {
        "Host": parts.netloc,
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _read(
    response: http.client.HTTPResponse, host: str, policy: FetchPolicy
) -> tuple[str, bytes | None]:
    if response.status in REDIRECTS:
        location = response.getheader("Location")
        if not location:
            raise InputError(f"{host}: redirect without a target")
        return location, None
    if response.status != 200:
        hint = "retry later" if response.status in (408, 429) or response.status >= 500 else "check"
        raise InputError(f"{host}: answered with status {response.status}; {hint} the URL")
    if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise InputError(f"{host}: sent compressed content although none was asked for")
    too_large = f"{host}: media is larger than {policy.max_bytes} bytes"
    if response.length is not None and response.length > policy.max_bytes:
        raise InputError(too_large)
    expected = response.length
    body = bytearray()
    while chunk := response.read(CHUNK_BYTES):
        body += chunk
        if len(body) > policy.max_bytes:
            raise InputError(too_large)
    if expected is not None and len(body) != expected:
        raise http.client.IncompleteRead(bytes(body), expected - len(body))
    return "", bytes(body)
