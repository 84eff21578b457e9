"""One request in the engine, as the event loop sees it.

The engine pushes pieces from its own thread; a `Ticket` hands them over to the loop through a
bounded queue, so that a slow reader costs neither the engine nor other streams anything: beyond
the bound the request is cancelled. Writes no HTTP.

Source: serving specification, sections 5.2 and 5.4.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from nanovl.core.errors import InputError, NanoVLError
from nanovl.core.events import Event
from nanovl.core.generation import Delta, Generation
from nanovl.serve.errors import ApiError, api_error, media_error

__all__ = ["EngineStream", "Ticket"]


class EngineStream(Protocol):
    """A submitted request of the engine."""

    @property
    def id(self) -> str:
        """Names it."""

    def listen(self, push: Callable[[Delta | NanoVLError | None], None]) -> None:
        """Send everything to `push`, from the engine's thread; None is the end."""

    def cancel(self) -> None:
        """Stop and free everything."""

    def end_reasoning(self) -> bool:
        """Answer now."""


class Ticket:
    """A submitted request.

    Args:
        name: Id the client knows it by.
        owner: Whose request it is.
        prompt_tokens: Length of the prompt.
        answers: How many generations are to come.
        bound: Pieces that may wait for the reader; None is no bound.
        on_piece, on_end: Told on the loop about every piece of text, and about the end.

    Attributes:
        generations: The complete answers so far, by index.
        overflow: Set when the reader was too slow.
        started: Whether anything came.
    """

    def __init__(
        self,
        name: str,
        *,
        owner: str = "",
        prompt_tokens: int = 0,
        answers: int = 1,
        bound: int | None = None,
        on_piece: Callable[[Ticket, Delta], None] | None = None,
        on_end: Callable[[Ticket, ApiError | None], None] | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.prompt_tokens = prompt_tokens
        self.answers = answers
        self.created = int(time.time())
        self.submitted_at = time.perf_counter()
        self.generations: dict[int, Generation] = {}
        self.overflow = asyncio.Event()
        self.started = False
        self.timed_out = False
        self._loop = asyncio.get_running_loop()
        self._bound = bound
        self._pieces: deque[Delta | Event | ApiError | None] = deque()
        self._arrived = asyncio.Event()
        self._stream: EngineStream | None = None
        self._on_piece = on_piece
        self._on_end = on_end
        self._ended = False

    def attach(self, stream: EngineStream) -> None:
        """Begin to listen; called once, on the loop."""
        self._stream = stream
        stream.listen(self.push)

    # --- called by the engine -------------------------------------------------------------------

    def push(self, piece: Any) -> None:
        """Take a piece, an event, an error or the end, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._take, piece)

    def _take(self, piece: Delta | Event | NanoVLError | BaseException | None) -> None:
        if self._ended:
            return
        if isinstance(piece, Delta):
            self.started = True
            if piece.generation is not None:
                self.generations[piece.index] = piece.generation
            if self._on_piece is not None:
                self._on_piece(self, piece)
        error: ApiError | None = None
        if isinstance(piece, BaseException):
            # What the prompt says was checked when it was planned; what is left is its media.
            is_media = isinstance(piece, InputError)
            error = media_error(piece) if is_media else api_error(piece)  # type: ignore[arg-type]
            piece_out: Delta | Event | ApiError | None = error
        else:
            piece_out = piece
        if self._bound is not None and len(self._pieces) >= self._bound:
            self.overflow.set()
            self.cancel()
            return
        self._pieces.append(piece_out)
        self._arrived.set()
        if error is not None or piece_out is None:
            self._end(error)

    def _end(self, error: ApiError | None) -> None:
        if not self._ended:
            self._ended = True
            if self._on_end is not None:
                self._on_end(self, error)

    # --- called by whoever answers --------------------------------------------------------------

    @property
    def is_ended(self) -> bool:
        """Whether nothing more comes from the engine."""
        return self._ended

    async def peek(self, timeout_s: float | None) -> bool:
        """Wait for the next piece without taking it; False after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._pieces:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def next(self, timeout_s: float | None = None) -> Delta | Event | None:
        """The next piece; None at the end.

        Raises:
            TimeoutError: Nothing came in that time.
            ApiError: The request failed.
        """
        if not await self.peek(timeout_s):
            raise TimeoutError
        piece = self._pieces[0]
        if isinstance(piece, ApiError):
            raise piece
        if piece is not None:
            self._pieces.popleft()
        return piece

    async def pieces(self, silence_s: float) -> AsyncIterator[Delta | Event | None]:
        """Everything up to the end; None whenever nothing came for `silence_s` seconds.

        Raises:
            ApiError: The request failed.
        """
        while True:
            try:
                piece = await self.next(silence_s)
            except TimeoutError:
                yield None
                continue
            if piece is None:
                return
            yield piece

    def failure(self) -> ApiError | None:
        """The error that comes next, if one does."""
        piece = self._pieces[0] if self._pieces else None
        return piece if isinstance(piece, ApiError) else None

    async def all(self) -> list[Generation]:
        """Wait for all answers.

        Raises:
            ApiError: The request failed or was cancelled.
        """
        while await self.next() is not None:
            pass
        return self.complete()

    def complete(self) -> list[Generation]:
        """All answers, in order.

        Raises:
            ApiError: Not all of them are there.
        """
        found = [self.generations[i] for i in sorted(self.generations)]
        if len(found) < self.answers or all(g.finish_reason == "cancelled" for g in found):
            raise ApiError(503, "the request was cancelled before it was answered")
        return found

    def cancel(self, reason: ApiError | None = None) -> None:
        """Stop the engine's work; may be called at any time and more than once.

        Args:
            reason: What whoever still reads is told; None says that the server gave it up.
        """
        if self._ended:
            return
        if self._stream is not None:
            self._stream.cancel()
        error = reason or ApiError(503, "the request was given up before it was answered")
        self._pieces.append(error)
        self._arrived.set()
        self._end(error)

    def end_reasoning(self) -> bool:
        """Make the model answer now; False if it is not thinking."""
        return self._stream is not None and not self._ended and self._stream.end_reasoning()
