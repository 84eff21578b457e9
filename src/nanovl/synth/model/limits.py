"""How fast and how much: requests and tokens per minute, waiting before another try, and the bill.

Must not send anything. Time comes in through arguments, so that a minute need not pass in a test.
"""

from __future__ import annotations

import email.utils
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nanovl.core.errors import ConfigError

__all__ = ["Bill", "Limits", "RateLimiter", "backoff_s", "retry_after_s"]

WINDOW_S = 60.0
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the user allows.

    Attributes:
        parallel: Requests under way at one time.
        requests_per_min, tokens_per_min: None for no limit.
        timeout_s: Of one request.
        retries: Further tries of a request that failed for a passing reason.
        most_wait_s: Longest wait an endpoint may ask for; if it asks for more, the run stops.
        price_in, price_out: Of a million tokens, in any currency.
        budget: Most that may be spent, in that currency; None for no bound.
        budget_tokens: The same in tokens, in and out together.
    """

    parallel: int = 4
    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    timeout_s: float = 300.0
    retries: int = 6
    most_wait_s: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None
    budget_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("parallel", 1), ("retries", 0), ("price_in", 0), ("price_out", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least {least}")
        if self.requests_per_min is not None and not self.requests_per_min >= 1:
            raise ConfigError(f"requests_per_min: got {self.requests_per_min}, expected 1 or more")
        for name in ("tokens_per_min", "timeout_s", "most_wait_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name}: got {value}, expected more than 0")
        for name in ("budget", "budget_tokens"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name}: got {value}, expected at least 0")
        if self.budget is not None and self.budget > 0 and not (self.price_in or self.price_out):
            raise ConfigError(
                "budget: needs prices to count with; give the price of a million tokens in and "
                "out, or a budget in tokens"
            )


class RateLimiter:
    """Keeps requests and tokens of any 60 seconds within bounds; for many threads.

    Args:
        requests, tokens: Per minute; None for no bound.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        requests: float | None,
        tokens: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = requests
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[list[float]] = deque()  # [time, tokens]
        self._not_before = 0.0

    def acquire(self, tokens: int, wait: Callable[[float], None]) -> list[float]:
        """Wait until a request may be sent; its place in the window.

        Args:
            tokens: How many it is expected to use. One that is over the bound on its own is sent
                when nothing else was.
            wait: Sleeps so many seconds, and may raise to give up.
        """
        while True:
            with self._lock:
                now = self._clock()
                delay = self._delay(now, tokens)
                if delay <= 0:
                    place = [now, float(tokens)]
                    self._sent.append(place)
                    return place
            wait(delay)

    def settle(self, place: list[float], tokens: int) -> None:
        """Say how many tokens a request really used."""
        with self._lock:
            place[1] = float(tokens)

    def hold(self, seconds: float) -> None:
        """Let nobody send anything for a while."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)

    def _delay(self, now: float, tokens: int) -> float:
        while self._sent and self._sent[0][0] <= now - WINDOW_S:
            self._sent.popleft()
        delay = self._not_before - now
        if self._requests is not None:
            most = int(self._requests)
            if len(self._sent) >= most:
                delay = max(delay, self._sent[-most][0] + WINDOW_S - now)
        if self._tokens is not None:
            used = sum(place[1] for place in self._sent)
            for place in self._sent:
                if used + tokens <= self._tokens:
                    break
                delay = max(delay, place[0] + WINDOW_S - now)
                used -= place[1]
        return delay


def backoff_s(attempt: int, key: str) -> float:
    """Seconds to wait before try number `attempt` + 1: doubling, spread by half around.

    Args:
        attempt: 0 after the first failure.
        key: Of the request, so that requests that failed together do not come back together.
    """
    digest = hashlib.blake2b(f"{key}|{attempt}".encode(), digest_size=4).digest()
    spread = 0.5 + int.from_bytes(digest, "big") / 2**32
    return min(MOST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 30)) * spread


def retry_after_s(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds an endpoint asks to wait, None when it does not say.

    Args:
        headers: Names in lower case.
        now: Seconds since 1970, for answers that name a date.
    """
    millis = headers.get("retry-after-ms", "").strip()
    text = headers.get("retry-after", "").strip()
    try:
        if millis:
            return max(0.0, float(millis) / 1000)
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now())
    except (TypeError, ValueError):
        return None


class Bill:
    """Tokens used so far and what they cost.

    Args:
        limits: Prices and budgets.
        prompt_tokens, completion_tokens: Paid for by earlier runs.
    """

    def __init__(self, limits: Limits, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        self._limits = limits
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count an answer."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return self.cost_of(self.prompt_tokens, self.completion_tokens)

    def cost_of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        limits = self._limits
        return (prompt_tokens * limits.price_in + completion_tokens * limits.price_out) / 1e6

    @property
    def reached(self) -> str:
        """Which budget is used up, in words; "" when none is."""
        limits = self._limits
        if limits.budget is not None and self.cost >= limits.budget:
            return f"the budget of {limits.budget:g} is reached ({self.cost:.4f} spent)"
        if limits.budget_tokens is not None and self.tokens >= limits.budget_tokens:
            return (
                f"the budget of {limits.budget_tokens:,} tokens is reached ({self.tokens:,} used)"
            )
        return ""
