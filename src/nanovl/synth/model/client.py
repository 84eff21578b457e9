"""Asks an endpoint that speaks the OpenAI chat protocol: paced, retried, counted and kept.

Passing trouble (408, 409, 425, 429, 5xx, broken connections) is tried again; an answer that was
given once is read from the cache. A wrong key, address or model ends the run with what to do about
it; a request the endpoint refuses fails alone. Must not know what is asked.

Source: data synthesis specification, section 17.4.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nanovl import __version__
from nanovl.core.errors import BackendError, ConfigError, NanoVLError
from nanovl.data.convert.traces import rough_tokens
from nanovl.synth.model.cache import AnswerCache, Completion, request_key
from nanovl.synth.model.limits import Bill, Limits, RateLimiter, backoff_s, retry_after_s
from nanovl.synth.model.transport import NoReply, Reply, chat_address, post

__all__ = ["ChatClient", "Endpoint", "RequestFailed", "Stopped", "Usage"]

_PASSING = frozenset({408, 409, 425, 429})
_FAILURES_AT_START = 8  # failed requests without a single answer after which nothing more is tried
_FAILURES_IN_A_ROW = 25
_IMAGE_TOKENS = 1024  # taken for a picture when a request is counted beforehand
_DEFAULT_ANSWER_TOKENS = 512
_SHOWN = 300


class RequestFailed(BackendError):
    """One request got no answer; others may.

    Args:
        reason: Short name for counts, such as "http_500" or "timeout".
        message: What happened.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Stopped(NanoVLError):
    """The run ends here on purpose: a budget is used up, or it was interrupted."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Who is asked.

    Attributes:
        url: Base address such as http://localhost:8000/v1.
        model: Name the endpoint knows.
        key: Secret; "" sends none. Never written or shown.
        extra: Further fields of every request; None takes a field away ("seed": None).
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chat_address(self.url)
        if not self.model.strip():
            raise ConfigError("model: is empty; expected the name the endpoint knows")
        if any(not "!" <= c <= "~" for c in self.key):
            raise ConfigError(
                "the key of the endpoint holds blanks or characters that no key has; check the "
                "environment variable"
            )
        for name in ("model", "messages", "stream", "n"):
            if name in self.extra:
                raise ConfigError(f"request field {name!r} is set by nanovl and cannot be changed")


@dataclass(kw_only=True)
class Usage:
    """What a run asked for.

    Attributes:
        sent: Requests that were answered in this run.
        cached: Answers that were there before.
        retried: Tries that failed and were repeated.
        failed: Requests without an answer, by reason.
        estimated: Answers whose tokens the endpoint did not count.
        prompt_tokens, completion_tokens: All answers in the cache, earlier runs included.
        cost: Of those.
    """

    sent: int = 0
    cached: int = 0
    retried: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class ChatClient:
    """One endpoint, for many threads.

    Args:
        endpoint: Who is asked.
        limits: How fast and how much.
        cache: Where answers are kept; None keeps them in memory.
    """

    def __init__(
        self, endpoint: Endpoint, limits: Limits | None = None, cache: AnswerCache | None = None
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or Limits()
        self.cache = AnswerCache(None) if cache is None else cache
        self.stopping = threading.Event()
        self._address = chat_address(endpoint.url)
        self._limiter = RateLimiter(self.limits.requests_per_min, self.limits.tokens_per_min)
        self._lock = threading.Lock()
        self._under_way: dict[str, threading.Event] = {}
        self._bill = Bill(self.limits, *self.cache.tokens())
        self._failed: Counter[str] = Counter()
        self._in_a_row = self._sent = self._cached = self._retried = self._estimated = 0
        self._why_stopped = ""

    # --- asking ---------------------------------------------------------------------------------

    def ask(
        self, body: Mapping[str, Any], *, sample: int = 0, is_probe: bool = False
    ) -> Completion:
        """The answer to a request, from the cache or from the endpoint.

        Args:
            body: Fields of a chat completion but for the model: messages, temperature, ...
            sample: Which of several answers to the same request.
            is_probe: A refusal is no failure, but what was to be found out.

        Raises:
            RequestFailed: This request got no answer.
            Stopped: A budget is used up, or `stop` was called.
            BackendError: The endpoint cannot be used at all; says what to do.
        """
        full: dict[str, Any] = {"model": self.endpoint.model, **body, **self.endpoint.extra}
        full = {name: value for name, value in full.items() if value is not None}
        key = request_key(full, sample)
        with self._alone(key):
            found = self.cache.get(key)
            if found is not None:
                with self._lock:
                    self._cached += 1
                return found
            answer = self._answered(full, key, is_probe)
            self.cache.put(key, answer)
            with self._lock:
                self._sent += 1
                self._estimated += answer.is_estimate
                self._in_a_row = 0
                self._bill.add(answer.prompt_tokens, answer.completion_tokens)
            return answer

    def stop(self, why: str = "interrupted") -> None:
        """Start no more requests; those under way are finished."""
        with self._lock:
            self._why_stopped = self._why_stopped or why
        self.stopping.set()

    @property
    def why_stopped(self) -> str:
        """Why the run stopped early, "" when it did not."""
        return self._why_stopped

    def usage(self) -> Usage:
        """Counts so far."""
        with self._lock:
            return Usage(
                sent=self._sent,
                cached=self._cached,
                retried=self._retried,
                failed=dict(sorted(self._failed.items())),
                estimated=self._estimated,
                prompt_tokens=self._bill.prompt_tokens,
                completion_tokens=self._bill.completion_tokens,
                cost=self._bill.cost,
            )

    def cost_of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return self._bill.cost_of(prompt_tokens, completion_tokens)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """The same request is never under way twice: the second one waits for the answer."""
        while True:
            with self._lock:
                other = self._under_way.get(key)
                if other is None:
                    mine = self._under_way[key] = threading.Event()
                    break
            other.wait()
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]
            mine.set()

    # --- sending --------------------------------------------------------------------------------

    def _answered(self, body: Mapping[str, Any], key: str, is_probe: bool) -> Completion:
        try:
            data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a request cannot be written as JSON ({error})") from error
        expected = _estimate(body)
        attempt = 0
        while True:
            self._go_on()
            place = self._limiter.acquire(expected, self._wait)
            self._go_on()
            try:
                reply = post(self._address, data, self._headers(), self.limits.timeout_s)
            except NoReply as problem:
                self._limiter.settle(place, 0)
                reason, message, wait = self._no_reply(problem)
            else:
                if 200 <= reply.status < 300:
                    answer = _completion(reply, body)
                    if isinstance(answer, Completion):
                        self._limiter.settle(place, answer.prompt_tokens + answer.completion_tokens)
                        return answer
                    reason, message, wait = self._odd(answer)
                else:
                    self._limiter.settle(place, 0)
                    reason, message, wait = self._status(reply)
            if wait is None or attempt >= self.limits.retries:
                raise RequestFailed(reason, message) if is_probe else self._failure(reason, message)
            with self._lock:
                self._retried += 1
            self._wait(max(wait, 0.0) if wait > 0 else backoff_s(attempt, key))
            attempt += 1

    def _go_on(self) -> None:
        with self._lock:
            reached = self._bill.reached
        if reached and not self.stopping.is_set():
            self.stop(reached)
        if self.stopping.is_set():
            raise Stopped(self._why_stopped)

    def _wait(self, seconds: float) -> None:
        if self.stopping.wait(min(seconds, threading.TIMEOUT_MAX)):
            raise Stopped(self._why_stopped)

    def _headers(self) -> dict[str, str]:
        made = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"nanovl/{__version__}",
        }
        if self.endpoint.key:
            made["Authorization"] = f"Bearer {self.endpoint.key}"
        return made

    # --- what went wrong ------------------------------------------------------------------------
    # Reason, message, and how to go on: None is final, 0 waits by the usual rule, more is seconds.

    def _no_reply(self, problem: NoReply) -> tuple[str, str, float | None]:
        message = f"{self._address}: {problem}"
        if problem.reason == "tls":
            raise BackendError(f"{message}; check the address and the certificate")
        if problem.reason == "refused" and not self._sent:
            raise BackendError(f"{self._address} does not answer ({problem}); is the server up?")
        return problem.reason, message, None if problem.reason == "too_large" else 0.0

    def _odd(self, problem: str) -> tuple[str, str, float | None]:
        if problem == "not_json":
            return "cut_off", f"{self._address}: the reply is not complete JSON", 0.0
        return "bad_answer", self._shown(problem), None

    def _status(self, reply: Reply) -> tuple[str, str, float | None]:
        status = reply.status
        said, code = _said(reply)
        said = self._shown(said)
        if status in (401, 403):
            raise BackendError(
                f"{self._address}: HTTP {status}, the key is missing or not accepted ({said}); put "
                "it into an environment variable and name that with --key-env"
            )
        if status == 402 or code in ("insufficient_quota", "billing_hard_limit_reached"):
            raise BackendError(f"{self._address}: HTTP {status}, the account is used up ({said})")
        if status == 404 or status == 405:
            raise BackendError(
                f"{self._address}: HTTP {status} ({said}); is this the address that ends in /v1, "
                f"and does the endpoint know the model {self.endpoint.model!r}?"
            )
        if 300 <= status < 400:
            where = reply.headers.get("location", "elsewhere")
            raise BackendError(
                f"{self._address}: HTTP {status}, moved to {self._shown(where)}; give that address "
                "(a request with a key is not sent on by itself)"
            )
        message = f"{self._address}: HTTP {status} ({said})"
        if status not in _PASSING and status < 500:
            return f"http_{status}", message, None
        asked = retry_after_s(reply.headers)
        if asked is not None and asked > self.limits.most_wait_s:
            raise BackendError(
                f"{message}: asks to wait {asked:.0f} s, more than {self.limits.most_wait_s:g}; "
                "what was answered is kept, try again later"
            )
        if asked is not None and status in (429, 503):
            self._limiter.hold(asked)
        return f"http_{status}", message, asked or 0.0

    def _failure(self, reason: str, message: str) -> BackendError:
        with self._lock:
            self._failed[reason] += 1
            self._in_a_row += 1
            in_a_row, sent = self._in_a_row, self._sent
        if in_a_row >= (_FAILURES_IN_A_ROW if sent else _FAILURES_AT_START):
            return BackendError(
                f"{in_a_row} requests in a row got no answer, the last one: {message}; what was "
                "answered is kept, the same command goes on from there"
            )
        return RequestFailed(reason, message)

    def _shown(self, text: str) -> str:
        """Words of an endpoint for a message: short, and never with the key."""
        text = " ".join(text.split())
        if self.endpoint.key:
            text = text.replace(self.endpoint.key, "***")
        return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _said(reply: Reply) -> tuple[str, str]:
    """Message and code of an error."""
    text = reply.body[:4096].decode("utf-8", "replace")
    try:
        data = json.loads(reply.body)
    except ValueError:
        return text or "no message", ""
    inner = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(inner, dict):
        return str(inner.get("message") or inner.get("detail") or text), str(inner.get("code", ""))
    return str(inner), ""


def _completion(reply: Reply, body: Mapping[str, Any]) -> Completion | str:
    """The answer in a reply, or "not_json", or what is wrong with it."""
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        return "not_json"
    try:
        choice = data["choices"][0]
        message = choice["message"]
        content = message.get("content")
        thought = message.get("reasoning_content") or message.get("reasoning")
    except (KeyError, IndexError, TypeError, AttributeError):
        said = _said(reply)[0] if isinstance(data, dict) and data.get("error") else ""
        return (
            "the endpoint answered without choices[0].message.content; expected the OpenAI chat "
            f"protocol {f'(it says: {said})' if said else ''}"
        ).strip()
    text = _joined(content)
    reasoning = thought if isinstance(thought, str) else ""
    used = data.get("usage")
    counts = [used.get(k) if isinstance(used, dict) else None for k in _COUNTS]
    is_estimate = not all(isinstance(n, int) and n >= 0 for n in counts)
    if is_estimate:
        counts = [_estimate({**body, "max_tokens": 0}), rough_tokens(text + reasoning)]
    finish = choice.get("finish_reason") if isinstance(choice, dict) else None
    if message.get("refusal"):
        finish = "content_filter"
    return Completion(
        text=_clean(text),
        reasoning=_clean(reasoning),
        finish=str(finish or "stop"),
        prompt_tokens=int(counts[0] or 0),
        completion_tokens=int(counts[1] or 0),
        is_estimate=is_estimate,
        model=str(data.get("model") or ""),
    )


_COUNTS = ("prompt_tokens", "completion_tokens")


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


def _estimate(body: Mapping[str, Any]) -> int:
    """Tokens a request is expected to use, answer included."""
    total = 0
    for message in body.get("messages", ()):
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        for part in parts:
            total += rough_tokens(part["text"]) if "text" in part else _IMAGE_TOKENS
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    answer = limit if isinstance(limit, int) else _DEFAULT_ANSWER_TOKENS
    # Few answers are as long as they may be.
    return total + (math.ceil(answer / 2) if answer else 0)
