"""Who may call: keys, host names, origins of browsers.

Keys are compared as hashes in constant time. Without keys everybody who can connect may call, which
is why the server listens on loopback unless told otherwise; there the `Host` header is checked, so
that a web site cannot reach it through a name that resolves to this machine.

Source: serving specification, sections 1 and 16.3.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from nanovl.serve.errors import ApiError
from nanovl.serve.settings import ServeSettings

__all__ = ["Gate"]

PUBLIC = frozenset({"/health", "/ready", "/v1/health"})
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
METHODS = "GET, POST, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, X-Request-Id, X-Request-Timeout, X-Api-Key"
SEEN_HEADERS = "X-Request-Id, X-Nanovl-Ignored, Retry-After"


class Gate:
    """Checks every request before anything else looks at it.

    Args:
        settings: Keys, hosts and origins.
        public: Paths of the web page, which need no key.
    """

    def __init__(self, settings: ServeSettings, public: frozenset[str] = frozenset()) -> None:
        self._settings = settings
        self._public = PUBLIC | public
        self._hashes = [_digest(key) for key in settings.api_keys]
        self._hosts = self._host_names()

    def _host_names(self) -> tuple[str, ...] | None:
        settings = self._settings
        if settings.allowed_hosts is not None:
            if "*" in settings.allowed_hosts:
                return None
            return (*LOCAL_NAMES, *(h.lower() for h in settings.allowed_hosts))
        return (*LOCAL_NAMES, settings.host.lower()) if settings.is_loopback else None

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Let a request in.

        Args:
            method, path: Of the request.
            headers: By lower-case name.

        Returns:
            Whose request it is: a name made from the key, "" when none was needed.

        Raises:
            ApiError: 401 or 403.
        """
        self._check_host(headers.get("host", ""))
        if method not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(headers)
        if not self._hashes:
            return ""
        is_public = path in self._public and method in ("GET", "HEAD")
        owner = self._owner(headers)
        if owner or is_public or (path == "/metrics" and not self._settings.protect_metrics):
            return owner
        raise ApiError(
            401,
            "missing or wrong API key; send the header Authorization: Bearer KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _owner(self, headers: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(given)
        # Every hash is looked at, whichever matches.
        matches = [hmac.compare_digest(digest, known) for known in self._hashes]
        return digest.hex()[:16] if any(matches) else ""

    def _check_host(self, host: str) -> None:
        if self._hosts is None:
            return
        if _host_name(host) not in self._hosts:
            raise ApiError(
                403,
                "the Host header names a host this server does not go by; allow it with "
                "--allowed-hosts",
                code="host_not_allowed",
            )

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        if origin is None or self._allows(origin) or _same(origin, headers.get("host", "")):
            return
        raise ApiError(
            403,
            "calls from this web origin are not allowed; allow it with --allowed-origins",
            code="origin_not_allowed",
        )

    def _allows(self, origin: str) -> bool:
        allowed = self._settings.allowed_origins
        return "*" in allowed or origin in allowed

    def cors_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What a browser has to be told about the response; never credentials."""
        origin = headers.get("origin")
        if origin is None or not self._allows(origin):
            return {}
        any_origin = "*" in self._settings.allowed_origins
        return {
            "Access-Control-Allow-Origin": "*" if any_origin else origin,
            "Access-Control-Expose-Headers": SEEN_HEADERS,
            "Vary": "Origin",
        }

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """The answer to a browser that asks first; None if it did not."""
        if "origin" not in headers or "access-control-request-method" not in headers:
            return None
        allowed = self.cors_headers(headers)
        if not allowed:
            return {}
        return {
            **allowed,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": "600",
        }


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _host_name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _same(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.strip().lower()
    except ValueError:
        return False


def read_keys(lines: Sequence[str]) -> tuple[str, ...]:
    """Keys of a file: one per line, empty lines and lines that begin with # left out."""
    stripped = (line.strip() for line in lines)
    return tuple(line for line in stripped if line and not line.startswith("#"))
