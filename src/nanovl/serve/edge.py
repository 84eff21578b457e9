"""The outermost layer: what every request passes, and where every failure ends.

Gives requests their id, checks headers and the gate, answers preflights, turns what nobody caught
into a plain 500, and writes one log record and one count per response.

Source: serving specification, sections 1.2, 6 and 16.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanovl.serve.auth import Gate
from nanovl.serve.errors import ApiError, api_error
from nanovl.serve.limits import check_headers, dumps
from nanovl.serve.settings import RequestLimits

__all__ = ["Edge", "error_response"]

logger = logging.getLogger("nanovl.serve.access")
failures = logging.getLogger("nanovl.serve.failures")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
MAX_PATH = 200
# Asked for every few seconds by machines.
QUIET = frozenset({"/health", "/ready", "/v1/health", "/metrics", "/load"})


class Edge:
    """ASGI middleware around the application.

    Args:
        app: What it guards.
        gate: Keys, hosts, origins.
        limits: Of headers.
        count: Told path template and status of every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        limits: RequestLimits,
        count: Callable[[str, int], None],
    ) -> None:
        self._app = app
        self._gate = gate
        self._limits = limits
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        state = scope.setdefault("state", {})
        state["nanovl_request_id"] = request_id
        extra = {**SECURITY, **self._gate.cors_headers(headers), "X-Request-Id": request_id}
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                known = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n, v) for n, v in _encoded(extra) if n.lower() not in known),
                ]
            await send(message)

        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            error = check_headers(scope["headers"], self._limits)
            if error is not None:
                raise error
            if (
                scope["method"] == "OPTIONS"
                and (found := self._gate.preflight(headers)) is not None
            ):
                await _send(answer, 204 if found else 403, found, b"")
            else:
                state["nanovl_owner"] = self._gate.check(scope["method"], path, headers)
                await self._app(scope, receive, answer)
        except Exception as caught:
            shown = api_error(caught, request_id)
            if shown.status == 500:
                failures.error("request %s failed", request_id, exc_info=caught)
            if status:
                raise  # the response has begun; the connection is closed
            await error_response(answer, shown)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._count(route, status or 499)
            logger.log(
                logging.DEBUG if path in QUIET else logging.INFO,
                "response",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": path[:MAX_PATH],
                    "status": status or 499,
                    "ms": round((time.perf_counter() - started) * 1000, 1),
                    "client": (scope.get("client") or ("", 0))[0],
                },
            )


async def error_response(send: Send, error: ApiError) -> None:
    """Send an error as a complete response."""
    headers = {"Content-Type": "application/json", **error.headers}
    await _send(send, error.status, headers, dumps(error.body))


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    pairs: list[tuple[bytes, bytes]] = _encoded({**headers, "Content-Length": str(len(body))})
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": pairs}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
    ]
