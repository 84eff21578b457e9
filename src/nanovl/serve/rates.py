"""How much one key may ask for: requests and tokens per minute, uploads at once.

Token buckets that refill all the time. Lives on the event loop; no locks.

Source: serving specification, section 16.2.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nanovl.serve.errors import ApiError

__all__ = ["Bucket", "Rates"]

MAX_OWNERS = 10_000


class Bucket:
    """Tokens that refill to `per_minute`.

    Args:
        per_minute: Size, and what flows in per minute.
        clock: Seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._level = self._size
        self._clock = clock
        self._at = clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` can be taken; what is larger than the bucket needs a full one."""
        self._refill()
        missing = min(amount, self._size) - self._level
        return max(0.0, missing * 60.0 / self._size)

    def take(self, amount: float) -> None:
        """Take it, into debt if need be."""
        self._refill()
        self._level -= amount

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._at) * self._size / 60.0)
        self._at = now


class Rates:
    """Bounds per key.

    Args:
        requests_per_minute, tokens_per_minute: None is no bound.
        max_uploads: Large bodies at once.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        max_uploads: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._max_uploads = max_uploads
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self._uploads: Counter[str] = Counter()

    def request(self, owner: str) -> None:
        """Count a request.

        Raises:
            ApiError: 429 with the time to wait.
        """
        self._check(owner, "requests", 1)
        self._check(owner, "tokens", 1, take=False)

    def tokens(self, owner: str, amount: int, *, check: bool = True) -> None:
        """Count tokens: of a prompt before work, of an answer after it (`check=False`).

        Raises:
            ApiError: 429 with the time to wait.
        """
        self._check(owner, "tokens", amount, check=check)

    @contextmanager
    def upload(self, owner: str) -> Iterator[None]:
        """While a large body is received.

        Raises:
            ApiError: 429, too many at once.
        """
        if self._uploads[owner] >= self._max_uploads:
            raise ApiError(429, f"more than {self._max_uploads} uploads at once; wait for one")
        self._uploads[owner] += 1
        try:
            yield
        finally:
            self._uploads[owner] -= 1
            if not self._uploads[owner]:
                del self._uploads[owner]

    def _check(
        self, owner: str, what: str, amount: int, *, check: bool = True, take: bool = True
    ) -> None:
        per_minute = self._per_minute[what]
        if per_minute is None:
            return
        bucket = self._buckets.setdefault((owner, what), Bucket(per_minute, self._clock))
        self._buckets.move_to_end((owner, what))
        while len(self._buckets) > MAX_OWNERS:
            self._buckets.popitem(last=False)
        wait = bucket.wait_s(amount) if check else 0.0
        if wait > 0:
            raise ApiError(
                429,
                f"more than {per_minute} {what} per minute; retry in {math.ceil(wait)} s",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        if take:
            bucket.take(amount)
