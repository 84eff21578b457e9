"""Asks an endpoint that speaks the OpenAI chat protocol: in parallel, with patience, keeping count.

Passing trouble (408, 409, 425, 429, 5xx, broken or silent connections, replies that are no JSON) is
tried again after the time the endpoint asks for, or a growing one. A wrong key, address or model
ends the run with what to do about it; a request the endpoint refuses fails alone. Must not store
anything; that is `nanovl.evals.runner`.

Source: evaluation specification, sections 3.3, 9.1 and 11.2.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl import __version__
from nanovl.core.errors import BackendError, ConfigError, NanoVLError
from nanovl.evals.base import Response
from nanovl.evals.chat_body import Transport, chat_body
from nanovl.evals.requests import Answered, Identity, Request, failure_of, response_of
from nanovl.evals.transport import NoReply, Reply, endpoint_address, send

__all__ = ["ChatEndpoint", "Completion", "EndpointAnswerer", "Patience", "RequestFailed"]

_PASSING = frozenset({408, 409, 425, 429})
_SHOWN_CHARS = 300
_FIRST_WAIT_S = 1.0
_MOST_WAIT_S = 60.0


class RequestFailed(BackendError):
    """One request got no answer; others may.

    Args:
        reason: Short name for counts, such as "http_500" or "timeout".
        message: What happened.
        retries: Tries before the last one.
    """

    def __init__(self, reason: str, message: str, retries: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retries = retries


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long and how often is tried.

    Attributes:
        timeout_s: Of one try, connecting included.
        retries: Further tries after passing trouble.
        first_wait_s: Before the second try; doubles from then on, spread by half around.
        most_wait_s: Longest wait; an endpoint that asks for more ends the run.
    """

    timeout_s: float = 1800.0
    retries: int = 6
    first_wait_s: float = _FIRST_WAIT_S
    most_wait_s: float = _MOST_WAIT_S

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s {self.timeout_s}: expected more than 0")
        if self.retries < 0:
            raise ConfigError(f"retries {self.retries}: expected at least 0")

    def wait_s(self, attempt: int, key: str) -> float:
        """Seconds before try number `attempt` + 2; requests that failed together come apart."""
        found = hashlib.blake2b(f"{key}|{attempt}".encode(), digest_size=4).digest()
        spread = 0.5 + int.from_bytes(found, "big") / 2**32
        return min(self.most_wait_s, self.first_wait_s * 2.0 ** min(attempt, 30)) * spread


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A reply.

    Attributes:
        text: Content of the message.
        reasoning: Where the endpoint gives it apart, else None.
        finish: "stop", "length", ...
        usage: Token counts as the endpoint gives them, flattened.
        model: Name the endpoint gives itself.
        retries: Tries that failed before.
        seconds: From sending to the last byte of the try that succeeded.
    """

    text: str
    reasoning: str | None = None
    finish: str = "stop"
    usage: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    retries: int = 0
    seconds: float = 0.0


class ChatEndpoint:
    """One address, for many threads.

    Args:
        url: Base address such as http://localhost:8000/v1.
        model: Name the endpoint knows.
        key: Secret; "" sends none. Never written or shown.
        extra: Further fields of every request; None takes a field away.
        patience: How long and how often is tried.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str = "",
        extra: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.url = url
        self.address = endpoint_address(url)
        if not model.strip():
            raise ConfigError("model: is empty; expected the name the endpoint knows")
        if any(not "!" <= c <= "~" for c in key):
            raise ConfigError(
                "the key of the endpoint holds blanks or characters that no key has; check the "
                "environment variable"
            )
        self.model = model
        self.extra = dict(extra or {})
        for name in ("messages", "model", "n", "stream"):
            if name in self.extra:
                raise ConfigError(f"request field {name!r} is set by nanovl and cannot be changed")
        self.patience = patience or Patience()
        self._key = key
        self._answered = False
        self._hold_until = 0.0
        self._lock = threading.Lock()

    def encode(self, body: Mapping[str, Any]) -> bytes:
        """A request's bytes, with the extra fields.

        Raises:
            ConfigError: It cannot be written as JSON.
        """
        full = {**body, **self.extra}
        full = {name: value for name, value in full.items() if value is not None}
        try:
            return json.dumps(full, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a request cannot be written as JSON ({error})") from error

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        made = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"nanovl/{__version__}",
        }
        if self._key:
            made["Authorization"] = f"Bearer {self._key}"
        return made

    def ask(
        self, body: Mapping[str, Any], *, key: str = "", stop: threading.Event | None = None
    ) -> Completion:
        """The reply to a request, tried again after passing trouble.

        Args:
            body: Fields of a chat completion.
            key: Of the request, to spread waiting times.
            stop: Ends waiting early.

        Raises:
            RequestFailed: This request got no answer ("stopped" when `stop` was set).
            BackendError: The endpoint cannot be used at all; says what to do.
        """
        data = self.encode(body)
        stop = stop or threading.Event()
        attempt = 0
        while True:
            self._pause(stop, self._hold_until - time.monotonic())
            started = time.perf_counter()
            try:
                reply = send(self.address, data, self.headers, self.patience.timeout_s)
            except NoReply as problem:
                trouble = self._no_reply(problem)
            else:
                found = self._read(reply)
                if isinstance(found, Completion):
                    self._answered = True
                    seconds = time.perf_counter() - started
                    return _with(found, retries=attempt, seconds=seconds)
                trouble = found
            if trouble.is_final or attempt >= self.patience.retries:
                message = f"{trouble.message} (tries: {attempt + 1})"
                raise RequestFailed(trouble.reason, message, retries=attempt)
            self._pause(stop, trouble.wait_s or self.patience.wait_s(attempt, key))
            attempt += 1

    def hide(self, text: str) -> str:
        """Words of the endpoint for a message: short, and never with the key."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "***")
        return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."

    def _pause(self, stop: threading.Event, seconds: float) -> None:
        if stop.is_set() or (seconds > 0 and stop.wait(min(seconds, threading.TIMEOUT_MAX))):
            raise RequestFailed("stopped", "the run was stopped before this request was answered")

    def _no_reply(self, problem: NoReply) -> _Trouble:
        message = f"{self.address}: {problem}"
        if problem.reason == "tls":
            raise BackendError(f"{message}; check the address and the certificate")
        if problem.reason == "refused" and not self._answered:
            raise BackendError(f"{self.address} does not answer ({problem}); is the server up?")
        return _Trouble(problem.reason, message, is_final=problem.reason == "too_large")

    def _read(self, reply: Reply) -> Completion | _Trouble:
        if 200 <= reply.status < 300:
            return _completion(reply, self)
        status, said = reply.status, self.hide(_said(reply))
        message = f"{self.address}: HTTP {status} ({said})"
        if status in (401, 403):
            raise BackendError(
                f"{self.address}: HTTP {status}, the key is missing or not accepted ({said}); put "
                "it into an environment variable and name that with --key-env"
            )
        if status in (402, 404, 405) or 300 <= status < 400:
            raise BackendError(
                f"{message}; is this the address that ends in /v1, and does the endpoint know the "
                f"model {self.model!r}?"
            )
        if status not in _PASSING and status < 500:
            return _Trouble(f"http_{status}", message, is_final=True)
        return _Trouble(f"http_{status}", message, wait_s=self._asked_wait(reply, message))

    def _asked_wait(self, reply: Reply, message: str) -> float:
        """Seconds the endpoint asks to wait, 0 when it does not say; holds all requests back."""
        asked = retry_after_s(reply.headers)
        if asked is None:
            return 0.0
        if asked > self.patience.most_wait_s:
            raise BackendError(
                f"{message}: asks to wait {asked:.0f} s, more than {self.patience.most_wait_s:g}; "
                "what was answered is kept, try again later"
            )
        with self._lock:
            self._hold_until = max(self._hold_until, time.monotonic() + asked)
        return asked


class EndpointAnswerer:
    """Answers requests of a run through an endpoint.

    Args:
        endpoint: Who is asked.
        parallel: Requests under way at one time.
        transport: How pictures travel.
        drain_s: Seconds that requests under way are still waited for after a stop.
    """

    def __init__(
        self,
        endpoint: ChatEndpoint,
        *,
        parallel: int = 8,
        transport: Transport = "original",
        drain_s: float = 10.0,
    ) -> None:
        if parallel < 1:
            raise ConfigError(f"parallel {parallel}: expected at least 1")
        self.endpoint = endpoint
        self.parallel = parallel
        self.transport: Transport = transport
        self.drain_s = drain_s

    @property
    def identity(self) -> Identity:
        """The endpoint's model; the address is no part of the key, since servers move."""
        facts: dict[str, Any] = {
            "kind": "endpoint",
            "address": self.endpoint.address,
            "transport": self.transport,
            "extra": self.endpoint.extra,
        }
        # What changes the answers changes the key.
        changes = json.dumps([self.transport, self.endpoint.extra], sort_keys=True, default=str)
        if changes != '["original", {}]':
            facts["precision"] = changes
        return Identity(name=self.endpoint.model, facts=facts)

    def answer(self, requests: Iterable[Request], stop: threading.Event) -> Iterator[Answered]:
        """See `Answerer`; as many requests are under way as `parallel` says."""
        todo: queue.Queue[Request | None] = queue.Queue()
        done: queue.Queue[Answered | BaseException | None] = queue.Queue()
        threads = [
            threading.Thread(target=self._work, args=(todo, done, stop), daemon=True)
            for _ in range(self.parallel)
        ]
        for thread in threads:
            thread.start()
        source = iter(requests)
        under_way = 0
        fatal: BaseException | None = None
        deadline = float("inf")
        try:
            while True:
                ending = stop.is_set() or fatal is not None
                while not ending and under_way < self.parallel:
                    request = next(source, None)
                    if request is None:
                        break
                    todo.put(request)
                    under_way += 1
                if ending:
                    deadline = min(deadline, time.monotonic() + self.drain_s)
                if not under_way or time.monotonic() > deadline:
                    break
                try:
                    found = done.get(timeout=0.1)
                except queue.Empty:
                    continue
                under_way -= 1
                if isinstance(found, BaseException):
                    fatal = fatal or found
                elif found is not None:
                    yield found
        finally:
            for _ in threads:
                todo.put(None)
        if fatal is not None:
            raise fatal

    def _work(
        self,
        todo: queue.Queue[Request | None],
        done: queue.Queue[Answered | BaseException | None],
        stop: threading.Event,
    ) -> None:
        while (request := todo.get()) is not None:
            try:
                done.put(self._answer(request, stop))
            except BaseException as error:
                done.put(error)

    def _answer(self, request: Request, stop: threading.Event) -> Answered | None:
        try:
            body = chat_body(request, model=self.endpoint.model, transport=self.transport)
            reply = self.endpoint.ask(body, key=request.key, stop=stop)
        except RequestFailed as error:
            if error.reason == "stopped":
                return None
            return Answered(request=request, failure=failure_of(error))
        except BackendError:
            raise  # nobody would be answered
        except NanoVLError as error:
            return Answered(request=request, failure=failure_of(error))
        return Answered(request=request, response=self._response(request, reply))

    def _response(self, request: Request, reply: Completion) -> Response:
        meta = {
            "tokens": dict(reply.usage),
            "seconds": reply.seconds,
            "retries": reply.retries,
            "model": reply.model,
        }
        return response_of(
            request, reply.text, reasoning=reply.reasoning, finish_reason=reply.finish, meta=meta
        )


@dataclass(frozen=True)
class _Trouble:
    """Why a try gave no answer."""

    reason: str
    message: str
    is_final: bool = False
    wait_s: float = 0.0


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds an endpoint asks to wait, None when it does not say; names in lower case."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _with(found: Completion, **changes: Any) -> Completion:
    return Completion(**{**vars(found), **changes})


def _said(reply: Reply) -> str:
    """Message of an error."""
    text = reply.body[:4096].decode("utf-8", "replace")
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        return text or "no message"
    inner = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(inner, dict):
        return str(inner.get("message") or inner.get("detail") or text)
    return str(inner)


def _completion(reply: Reply, endpoint: ChatEndpoint) -> Completion | _Trouble:
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        return _Trouble("not_json", f"{endpoint.address}: the reply is not complete JSON")
    try:
        choice = data["choices"][0]
        message = choice["message"]
        content = message.get("content")
        thought = message.get("reasoning_content") or message.get("reasoning")
    except (KeyError, IndexError, TypeError, AttributeError):
        said = endpoint.hide(_said(reply))
        return _Trouble(
            "bad_answer",
            f"{endpoint.address}: answered without choices[0].message.content; expected the "
            f"OpenAI chat protocol (it says: {said})",
            is_final=True,
        )
    return Completion(
        text=_clean(_joined(content)),
        reasoning=_clean(thought) if isinstance(thought, str) else None,
        finish=str(choice.get("finish_reason") or "stop"),
        usage=usage_of(data.get("usage")),
        model=str(data.get("model") or ""),
    )


def usage_of(usage: Any) -> dict[str, int]:
    """Token counts: prompt, completion, and reasoning where it is told."""
    if not isinstance(usage, dict):
        return {}
    details = usage.get("completion_tokens_details")
    found = {
        "prompt": usage.get("prompt_tokens"),
        "completion": usage.get("completion_tokens"),
        "reasoning": details.get("reasoning_tokens") if isinstance(details, dict) else None,
    }
    return {name: n for name, n in found.items() if isinstance(n, int) and n >= 0}


def _joined(content: Any) -> str:
    """Text of a message, also where it comes in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return ""


def _clean(text: str) -> str:
    """Text that can be written: no halves of surrogate pairs, no null bytes."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
