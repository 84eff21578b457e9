"""One submitted request, as its caller sees it: pieces that arrive, and ways to end it early.

Pieces can be taken (`for delta in stream`, from any thread) or pushed (`listen`, for event loops).
Knows the engine only as something that makes progress.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from nanovl.core.generation import Delta

__all__ = ["Driver", "Push", "Stream"]

# Gets pieces in order, then None; or an exception, and nothing more.
Push = Callable[[Delta | Exception | None], None]


class Driver(Protocol):
    """What a stream needs of the engine."""

    news: threading.Condition

    def drive(self, pieces: Collection[object]) -> None:
        """Make some progress, or wait until there is news unless there are pieces already."""

    def cancel(self, stream: Stream) -> None:
        """Give up what belongs to a stream."""

    def end_reasoning(self, stream: Stream) -> bool:
        """End thinking now; whether there was any."""


class Stream:
    """Answers of one request.

    Args:
        driver: The engine.
        request_id: Names the request in logs.
        answers: How many there will be.

    Attributes:
        id: Name of the request.
        done: Whether nothing more will come.
    """

    def __init__(self, driver: Driver, request_id: str, answers: int) -> None:
        self.id = request_id
        self.done = False
        self._driver = driver
        self._left = answers
        self._pieces: deque[Delta | Exception | None] = deque()
        self._push: Push | None = None

    def __iter__(self) -> Iterator[Delta]:
        """Pieces of all answers; raises what went wrong."""
        while True:
            while not self._pieces:
                self._driver.drive(self._pieces)
            piece = self._pieces.popleft()
            if isinstance(piece, Delta):
                yield piece
            else:
                self._pieces.append(piece)  # for whoever asks again
                if piece is not None:
                    raise piece
                return

    def listen(self, push: Push) -> None:
        """Hand over every piece there is and will be, in the thread that makes them.

        Must return quickly and not raise.
        """
        with self._driver.news:
            self._push = push
            while self._pieces:
                push(self._pieces.popleft())

    def cancel(self) -> None:
        """End it: what it holds is free before the next token of others is made."""
        self._driver.cancel(self)

    def end_reasoning(self) -> bool:
        """Let the model answer now; False if it is not thinking."""
        return self._driver.end_reasoning(self)

    # --- the engine's side ----------------------------------------------------------------------

    def put(self, delta: Delta) -> None:
        """Deliver a piece."""
        self._deliver(delta)
        if delta.generation is not None:
            self._left -= 1
            if not self._left:
                self._end(None)

    def fail(self, error: Exception) -> None:
        """Deliver an error; nothing follows."""
        self._end(error)

    def _end(self, last: Exception | None) -> None:
        if not self.done:
            self.done = True
            self._deliver(last)

    def _deliver(self, piece: Delta | Exception | None) -> None:
        with self._driver.news:
            if self._push is not None:
                self._push(piece)
            else:
                self._pieces.append(piece)
            self._driver.news.notify_all()
