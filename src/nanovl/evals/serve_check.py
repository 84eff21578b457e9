"""Twelve small requests that a server must take before a benchmark is worth starting.

Every shape of content the evaluation sends, the reasoning switch, streaming, limits, and errors as
errors. Judges the protocol, never the answer.

Source: evaluation specification, sections 9.1 and 9.3; serving specification, sections 2, 3 and 6.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import BackendError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.chat_body import data_url
from nanovl.evals.endpoint import ChatEndpoint, Completion, usage_of
from nanovl.evals.speed import Load, synthetic_video
from nanovl.evals.transport import NoReply, Reply, send, stream_lines

__all__ = ["CHECKS", "Outcome", "serve_check"]

_TOKENS = 16
_LEAST = 4
_Body = dict[str, Any]


class _Wrong(Exception):
    """The server answered, but not as it should."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One request.

    Attributes:
        name: What was asked.
        passed: Whether the reply is as it should be.
        message: What came, or what is wrong.
        seconds: How long it took.
    """

    name: str
    passed: bool
    message: str
    seconds: float


@dataclass(frozen=True)
class _Check:
    name: str
    run: Callable[[ChatEndpoint], str]


def serve_check(endpoint: ChatEndpoint, *, on_event: OnEvent = ignore_event) -> list[Outcome]:
    """Send all requests, one after the other.

    Args:
        endpoint: What is checked.
        on_event: Told after every request.

    Returns:
        One outcome per request, in the order of `CHECKS`.
    """
    found = []
    for number, check in enumerate(CHECKS, start=1):
        started = time.perf_counter()
        try:
            message, passed = check.run(endpoint), True
        except _Wrong as error:
            message, passed = str(error), False
        except NanoVLError as error:
            message, passed = endpoint.hide(str(error)), False
        found.append(
            Outcome(
                name=check.name,
                passed=passed,
                message=message,
                seconds=time.perf_counter() - started,
            )
        )
        on_event(Event(name=check.name, done=number, total=len(CHECKS), unit="requests"))
    return found


# --- requests -----------------------------------------------------------------------------------


def _body(endpoint: ChatEndpoint, content: Any, **more: Any) -> _Body:
    system = more.pop("system", "/no_think")
    messages: list[_Body] = [{"role": "system", "content": system}] if system else []
    messages += more.pop("history", ())
    messages.append({"role": "user", "content": content})
    return {
        "model": endpoint.model,
        "messages": messages,
        "temperature": 0,
        "max_tokens": _TOKENS,
        **more,
    }


def _answered(reply: Completion) -> str:
    if not (reply.text.strip() or reply.reasoning):
        raise _Wrong("the reply has neither content nor reasoning")
    if not reply.usage.get("prompt") or "completion" not in reply.usage:
        raise _Wrong("usage.prompt_tokens or usage.completion_tokens is missing")
    shown = " ".join((reply.text or reply.reasoning or "").split())[:40]
    return f"{reply.usage['prompt']} tokens in, {reply.usage['completion']} out: {shown!r}"


def _simple(content: Callable[[], Any], **more: Any) -> Callable[[ChatEndpoint], str]:
    return lambda endpoint: _answered(endpoint.ask(_body(endpoint, content(), **more)))


def _picture(format: str = "PNG", size: tuple[int, int] = (96, 64), *, shade: int = 200) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    picture = Image.new("RGB", size, (shade, 40, 40))
    picture.paste((255, 255, 255), (8, 8, size[0] // 2, size[1] // 2))
    picture.save(buffer, format=format)
    return buffer.getvalue()


def _image(data: bytes) -> _Body:
    return {"type": "image_url", "image_url": {"url": data_url(data, "image")}}


def _text(text: str) -> _Body:
    return {"type": "text", "text": text}


def _pdf() -> bytes:
    """One page with a word on it."""
    stream = b"BT /F1 24 Tf 40 120 Td (Total 42) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 "
        b"0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    return bytes(out)


def _document() -> Sequence[_Body]:
    file = {"file_data": data_url(_pdf(), "pdf"), "filename": "page.pdf"}
    return [{"type": "file", "file": file}, _text("What is the total?")]


def _clip() -> Sequence[_Body]:
    video = synthetic_video(Load(frames=4, width=64, height=64))
    url = {"url": data_url(video, "video")}
    return [{"type": "video_url", "video_url": url}, _text("What moves?")]


def _reasoning(endpoint: ChatEndpoint) -> str:
    reply = endpoint.ask(_body(endpoint, "What is 2 + 2?", system="/think", max_tokens=256, seed=0))
    found = bool(reply.reasoning) or "</think>" in reply.text
    if not found and reply.finish != "length":
        raise _Wrong(
            "reasoning is in no field of its own and not between <think> tags; scores with "
            "reasoning on would count it as the answer"
        )
    where = "a field of its own" if reply.reasoning else "tags"
    return f"reasoning in {where}" if found else "cut off while reasoning"


def _streaming(endpoint: ChatEndpoint) -> str:
    body = _body(endpoint, "Count to five.", stream=True, stream_options={"include_usage": True})
    text, done = "", False
    usage: dict[str, Any] = {}
    first = last = 0.0
    started = time.perf_counter()
    try:
        for found in stream_lines(
            endpoint.address,
            endpoint.encode(body),
            endpoint.headers,
            endpoint.patience.timeout_s,
        ):
            if isinstance(found, Reply):
                raise _Wrong(f"HTTP {found.status} for a streamed request")
            at, line = found
            if not line.startswith(b"data:"):
                continue
            payload = line[5:].strip()
            if payload == b"[DONE]":
                done = True
                continue
            event = _parsed(payload)
            usage = usage_of(event.get("usage")) or usage
            piece = "".join(
                str((c.get("delta") or {}).get(name) or "")
                for c in event.get("choices") or ()
                for name in ("content", "reasoning_content", "reasoning")
            )
            if piece:
                first = first or at
                last = at
            text += piece
    except NoReply as error:
        raise BackendError(f"{endpoint.address}: {error}") from error
    if not text:
        raise _Wrong("the stream had no content")
    if not done:
        raise _Wrong("the stream did not end with data: [DONE]")
    if "completion" not in usage:
        raise _Wrong("no usage although stream_options.include_usage was set")
    return f"first token after {first - started:.3f} s, last after {last - started:.3f} s"


def _parsed(payload: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:
        raise _Wrong(f"an event is no JSON: {payload[:60]!r}") from None
    if not isinstance(event, dict):
        raise _Wrong(f"an event is no object: {payload[:60]!r}")
    return event


def _limit(endpoint: ChatEndpoint) -> str:
    body = _body(endpoint, "Count to one hundred.", max_tokens=_LEAST, ignore_eos=True)
    reply = endpoint.ask(body)
    used = reply.usage.get("completion", 0)
    if used > _LEAST:
        raise _Wrong(f"max_tokens {_LEAST} gave {used} tokens")
    if reply.finish != "length":
        raise _Wrong(f"a cut answer has finish_reason {reply.finish!r}, expected 'length'")
    return f"{used} tokens, finish_reason length"


def _unknown_field(endpoint: ChatEndpoint) -> str:
    return _answered(endpoint.ask(_body(endpoint, "Hello", n=1, user="x", nanovl_check=True)))


def _refusal(endpoint: ChatEndpoint) -> str:
    """A picture that is none must be an error, never an answer about nothing."""
    content = [_image(b"this is no picture"), _text("What is this?")]
    data = endpoint.encode(_body(endpoint, content))
    try:
        reply = send(endpoint.address, data, endpoint.headers, endpoint.patience.timeout_s)
    except NoReply as error:
        raise BackendError(f"{endpoint.address}: {error}") from error
    if reply.status < 400:
        raise _Wrong("a picture that is none was answered")
    try:
        body = json.loads(reply.body)
    except ValueError:
        raise _Wrong(f"HTTP {reply.status} with a body that is no JSON") from None
    message = body.get("error") if isinstance(body, dict) else None
    if not message:
        raise _Wrong(f"HTTP {reply.status} without an error object")
    return f"HTTP {reply.status}"


CHECKS: tuple[_Check, ...] = (
    _Check("text as a string", _simple(lambda: "What is 2 + 2?")),
    _Check("text in parts", _simple(lambda: [_text("What is"), _text(" 2 + 2?")])),
    _Check("a PNG picture", _simple(lambda: [_image(_picture()), _text("What colour?")])),
    _Check(
        "two pictures between texts",
        _simple(
            lambda: [
                _text("Compare"),
                _image(_picture("JPEG")),
                _text("with"),
                _image(_picture("JPEG", shade=20)),
            ]
        ),
    ),
    _Check("a video", _simple(_clip)),
    _Check("a PDF document", _simple(_document)),
    _Check(
        "earlier turns",
        _simple(
            lambda: "And twice that?",
            history=(
                {"role": "user", "content": "What is 2 + 2?"},
                {"role": "assistant", "content": "4"},
            ),
        ),
    ),
    _Check("reasoning on", _reasoning),
    _Check("streaming", _streaming),
    _Check("token limit", _limit),
    _Check("unknown fields", _unknown_field),
    _Check("a broken picture", _refusal),
)
