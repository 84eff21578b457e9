"""What goes wrong, as HTTP: status, type, code and a sentence a client may see.

One table for the whole server. Texts are bounded and never hold a traceback, a path of this
machine or an address in memory; whatever is not a known error becomes a generic 500 whose details
are in the log under the request's id.

Source: serving specification, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nanovl.core.errors import (
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    DeadlineError,
    InputError,
    NanoVLError,
)

__all__ = ["ApiError", "api_error", "bad_request", "media_error", "public_text", "shown"]

MAX_TEXT = 1000
MAX_INPUT = 200
RETRY_AFTER_S = 5

TYPES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    408: "TimeoutError",
    409: "ConflictError",
    413: "RequestTooLargeError",
    415: "UnsupportedMediaTypeError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    431: "RequestTooLargeError",
    499: "ClientClosedRequestError",
    500: "InternalServerError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
    504: "TimeoutError",
    507: "InsufficientStorageError",
}
CODES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    422: "unprocessable_media",
    429: "rate_limit_exceeded",
    431: "request_too_large",
    500: "internal_error",
    502: "media_fetch_failed",
    503: "service_unavailable",
    504: "timeout",
    507: "insufficient_storage",
}

# Absolute paths, but not those of URLs; addresses of objects.
_PATH = re.compile(r"(?<![\w:/.])/(?:[\w.+@-]+/)+[\w.+@-]*")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# What says that a prompt does not fit; raised as `InputError` by planning.
_TOO_LONG = re.compile(
    r"prompt has \d+ tokens, limit|leaves no room for an answer|exceed the context|"
    r"max_tokens \d+ exceed"
)

# Messages of the parsers begin with the field they are about.
_FIELD = re.compile(
    r"((?:messages|tools|response_format|structured_outputs|tool_choice)[\w.\[\]]*):"
)


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        message: A sentence for the client.
        param: Dotted name of the field that is wrong.
        code: Machine-readable reason; None takes the status's.
        headers: Further response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = bounded(message)
        self.param = param[:MAX_INPUT] if param else None
        self.code = code or CODES.get(status, "error")
        self.headers = dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S))

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body, in OpenAI's shape."""
        return {
            "error": {
                "message": self.message,
                "type": TYPES.get(self.status, "BadRequestError"),
                "param": self.param,
                "code": self.code,
            }
        }


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400."""
    return ApiError(400, message, param=param, code=code)


def api_error(error: BaseException, request_id: str = "") -> ApiError:
    """What the client is told about an exception.

    Args:
        error: Anything that was raised while a request was handled.
        request_id: Named in the text of a 500.
    """
    if isinstance(error, ApiError):
        return error
    text = public_text(str(error))
    if isinstance(error, CapacityError):
        return ApiError(503, text, code="server_overloaded")
    if isinstance(error, InputError):
        code = "context_length_exceeded" if _TOO_LONG.search(text) else None
        found = _FIELD.match(text)
        param = found.group(1).replace("[", ".").replace("]", "") if found else None
        return ApiError(400, text, code=code, param=param)
    if isinstance(error, (ConfigError, BackendError)):
        return ApiError(400, text, code=None if isinstance(error, ConfigError) else "unsupported")
    if isinstance(error, (DeadlineError, TimeoutError)):
        return ApiError(504, "the request was not finished in time; retry or ask for less")
    named = f"; the log has details under request id {request_id}" if request_id else ""
    if isinstance(error, CheckpointError):
        return ApiError(500, f"the model cannot be used{named}")
    if isinstance(error, NanoVLError):
        return ApiError(500, f"the model failed on this request{named}")
    return ApiError(500, f"internal error{named}")


def media_error(error: NanoVLError, param: str | None = None) -> ApiError:
    """What the client is told about media that cannot be fetched, opened or decoded.

    Fetching that may work next time is 502 or 504, what the operator forbids 403, the rest 422.
    """
    text = public_text(str(error))
    if isinstance(error, CapacityError):
        return ApiError(503, text, param=param, code="server_overloaded")
    if isinstance(error, BackendError):
        return ApiError(400, text, param=param, code="unsupported")
    if "not allowed" in text or "switched off" in text or "outside the allowed" in text:
        return ApiError(403, text, param=param, code="media_not_allowed")
    if "no complete answer within" in text:
        return ApiError(504, text, param=param)
    if is_transient(error):
        return ApiError(502, text, param=param)
    return ApiError(422, text, param=param)


def is_transient(error: NanoVLError) -> bool:
    """Whether fetching failed in a way that another try may heal."""
    text = str(error)
    return "; retry" in text or "or retry" in text


def public_text(text: str) -> str:
    """A message without paths of this machine and addresses in memory."""
    return bounded(_ADDRESS.sub("...", _PATH.sub("<path>", text)))


def bounded(text: str) -> str:
    """One line of bounded length without control characters."""
    text = _CONTROL.sub(" ", text.replace("\n", " "))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def shown(value: Any) -> str:
    """A client's value for a message, cut to a bounded length."""
    text = repr(value)
    return text if len(text) <= MAX_INPUT else text[: MAX_INPUT - 3] + "..."
