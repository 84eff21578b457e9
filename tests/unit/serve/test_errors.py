"""Every error has its status, type and code, and tells nothing it should not."""

from __future__ import annotations

import pytest

from nanovl.core.errors import (
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    DeadlineError,
    InputError,
    NanoVLError,
)
from nanovl.serve.errors import ApiError, api_error, bounded, media_error, public_text, shown


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InputError("messages[0]: no"), 400, "BadRequestError", "invalid_request_error"),
        (ConfigError("top_p 2"), 400, "BadRequestError", "invalid_request_error"),
        (BackendError("needs speech"), 400, "BadRequestError", "unsupported"),
        (CapacityError("queue full"), 503, "ServiceUnavailableError", "server_overloaded"),
        (DeadlineError("late"), 504, "TimeoutError", "timeout"),
        (TimeoutError(), 504, "TimeoutError", "timeout"),
        (CheckpointError("/secret/x"), 500, "InternalServerError", "internal_error"),
        (NanoVLError("NaN"), 500, "InternalServerError", "internal_error"),
        (KeyError("internal"), 500, "InternalServerError", "internal_error"),
        (
            InputError("prompt has 9 tokens, limit 8; the largest part is the text"),
            400,
            "BadRequestError",
            "context_length_exceeded",
        ),
    ],
)
def test_classes_become_statuses(error: Exception, status: int, kind: str, code: str) -> None:
    found = api_error(error, "req-1")
    assert found.status == status
    assert found.body["error"]["type"] == kind
    assert found.body["error"]["code"] == code
    if status == 500:
        assert "req-1" in found.message
        assert "secret" not in found.message
        assert "internal" not in found.message.replace("internal error", "")
    if status == 503:
        assert int(found.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("x.org: host not allowed; only public addresses are fetched", 403),
        ("a: fetching media from the network is switched off; download it", 403),
        ("files outside the allowed media folder are not opened", 403),
        ("x.org: no complete answer within 5 s; retry or send the file", 504),
        ("x.org: connection failed; retry or send the file", 502),
        ("x.org: answered with status 503; retry later the URL", 502),
        ("x.org: answered with status 404; check the URL", 422),
        ("a.png: damaged", 422),
    ],
)
def test_media_errors(message: str, status: int) -> None:
    found = media_error(InputError(message), "messages.0.content.1")
    assert found.status == status
    assert found.param == "messages.0.content.1"


def test_context_errors_of_the_real_processor_are_recognised() -> None:
    from nanovl.core.conversation import Conversation
    from nanovl.testing import tiny_nanovl, tiny_processor

    with pytest.raises(InputError) as caught:
        tiny_processor().plan(Conversation.user("x" * 100), max_length=50)
    assert api_error(caught.value).code == "context_length_exceeded"
    model = tiny_nanovl()
    with pytest.raises(InputError) as caught:
        model.plan("x", max_tokens=10**6)
    assert api_error(caught.value).code == "context_length_exceeded"


def test_paths_and_addresses_are_left_out() -> None:
    text = public_text("x: no such file (/home/me/secret/a.png) <PIL.Image at 0x7f3a5c001234>")
    assert "secret" not in text
    assert "0x7f3a" not in text
    url = "https://example.org/a/b.png: answered with status 404"
    assert public_text(url) == url


def test_texts_are_bounded() -> None:
    assert len(ApiError(400, "x" * 5000).message) == 1000
    assert bounded("a\nb\x00c\x1b[31m") == "a b c [31m"
    assert len(shown("y" * 5000)) == 200
