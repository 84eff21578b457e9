"""Bodies under limits: bytes before parsing, depth and number of values before objects are made.

Everything a client sends as JSON comes through `read_json`. Knows nothing of what the JSON means.

Source: serving specification, sections 6 and 16.2.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from nanovl.serve.errors import ApiError, bad_request
from nanovl.serve.settings import RequestLimits

__all__ = ["check_headers", "dumps", "parse_json", "read_body", "read_json"]

# Bodies above this are parsed in a thread.
SMALL_BYTES = 64 << 10
# A string (also one that does not end, so that no quote is looked at twice), or a mark.
_MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_OPENING = frozenset((b"[", b"{"))


def check_headers(headers: list[tuple[bytes, bytes]], limits: RequestLimits) -> ApiError | None:
    """The error for too many or too large headers."""
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > limits.max_headers or size > limits.max_header_bytes:
        return ApiError(
            431,
            f"request has {len(headers)} headers of {size} bytes; limits are "
            f"{limits.max_headers} and {limits.max_header_bytes}",
        )
    return None


async def read_json(request: Request, limits: RequestLimits) -> dict[str, Any]:
    """The body of a request as a JSON object.

    Raises:
        ApiError: 415 not JSON by its content type, 413 too large, 408 too slow, 400 not an object,
            too deep, too many values, NaN, or no JSON at all.
    """
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "expected a body of content type application/json")
    body = await read_body(request, limits)
    if len(body) <= SMALL_BYTES:
        return parse_json(body, limits)
    return await asyncio.to_thread(parse_json, body, limits)


async def read_body(request: Request, limits: RequestLimits) -> bytes:
    """The bytes of a body, no more than allowed."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limits.max_body_bytes:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {limits.body_s:g} s") from None
    except ClientDisconnect:
        raise ApiError(499, "the client left") from None
    return bytes(body)


def parse_json(body: bytes, limits: RequestLimits) -> dict[str, Any]:
    """Parse a body that may be hostile.

    Raises:
        ApiError: 400 with what is wrong.
    """
    depth = values = 0
    for match in _MARKS.finditer(body):
        mark = match.group()
        if mark in _OPENING:
            depth += 1
            if depth > limits.max_json_depth:
                raise bad_request(f"JSON is nested deeper than {limits.max_json_depth} levels")
        elif mark in (b"]", b"}"):
            depth -= 1
            continue
        elif mark != b",":
            continue
        values += 1
        if values > limits.max_json_values:
            raise bad_request(f"JSON holds more than {limits.max_json_values} values")
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise bad_request(f"body is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise bad_request(f"body is not JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError):
        raise bad_request("body is not JSON that can be read (a number is too long?)") from None
    if not isinstance(value, dict):
        raise bad_request("body: expected a JSON object")
    return value


def dumps(value: Any) -> bytes:
    """One line of JSON; half surrogate pairs become question marks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def _refuse_constant(name: str) -> NoReturn:
    raise bad_request(f"JSON: {name} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise bad_request(f"JSON: the number {text[:40]} is too large")
    return value


def _too_large(limits: RequestLimits) -> ApiError:
    return ApiError(413, f"body is larger than {limits.max_body_bytes} bytes")
