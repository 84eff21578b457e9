"""What all routes share: the model, worker threads, running requests, admission, draining.

Lives on the event loop; only `planned` leaves it. Writes no responses.

Source: serving specification, sections 3.2, 5.4 and 16.2.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from nanovl.core.errors import CapacityError
from nanovl.core.generation import Delta
from nanovl.engine.engine import compute_alone
from nanovl.serve.errors import ApiError, bad_request, shown
from nanovl.serve.limits import read_json
from nanovl.serve.metrics import Metrics
from nanovl.serve.planning import Planned, Planning
from nanovl.serve.rates import Rates
from nanovl.serve.schema import validated
from nanovl.serve.settings import ServeSettings
from nanovl.serve.tickets import Ticket

__all__ = ["Service", "owner_of"]

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
LARGE_BODY = 1 << 20
HEADER_NAMES = 16
HEADER_NAME = 60


class Service:
    """The server's state.

    Args:
        nanovl: The model's front door.
        settings: The operator's.
        transcriber: Speech recognition, or None.
        files: Uploaded files, or None.

    Attributes:
        running: Submitted requests that have not ended, by id.
        draining: Whether the server is about to stop.
    """

    def __init__(
        self,
        nanovl: Any,
        settings: ServeSettings,
        *,
        transcriber: Any = None,
        files: Any = None,
    ) -> None:
        self.nanovl = nanovl
        self.settings = settings
        self.transcriber = transcriber
        self.files = files
        self.running: dict[str, Ticket] = {}
        self.draining = False
        self.rates = Rates(
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            max_uploads=settings.max_uploads,
        )
        self.metrics = Metrics(
            settings.metrics_prefix,
            settings.model_names[0],
            nanovl.engine.stats,
            {"context_length": str(nanovl.engine.context_length)},
        )
        self._threads = ThreadPoolExecutor(
            settings.media_threads, thread_name_prefix="plan", initializer=compute_alone
        )
        self._planning = 0

    @property
    def is_alive(self) -> bool:
        """Whether requests are being answered."""
        return bool(self.nanovl.engine.alive) and not self.draining

    def close(self) -> None:
        """Cancel what runs and free the threads."""
        for ticket in list(self.running.values()):
            ticket.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- before the engine ----------------------------------------------------------------------

    async def body(self, request: Request, model: type[M]) -> M:
        """Read and check the body of a request that will cost something.

        Raises:
            ApiError: Draining, too many requests, or a body that cannot be used.
        """
        self.check_open()
        owner = owner_of(request)
        self.rates.request(owner)
        declared = request.headers.get("content-length", "0")
        large = not declared.isdigit() or int(declared[:20]) > LARGE_BODY
        if large:
            with self.rates.upload(owner):
                body = await read_json(request, self.settings.limits)
        else:
            body = await read_json(request, self.settings.limits)
        return validated(model, body)

    def check_open(self) -> None:
        """Refuse work while draining or dead.

        Raises:
            ApiError: 503.
        """
        if self.draining:
            raise ApiError(503, "the server is being stopped; retry elsewhere or later")
        if not self.nanovl.engine.alive:
            raise ApiError(503, "the engine has stopped; the server has to be restarted")

    def model_name(self, wanted: str | None) -> str:
        """The name to report.

        Raises:
            ApiError: 404 for a model that is not served.
        """
        names = self.settings.model_names
        if wanted is None or wanted in names:
            return wanted or names[0]
        raise ApiError(
            404,
            f"model {shown(wanted)} is not served; got {', '.join(names)}",
            param="model",
            code="model_not_found",
        )

    def planning(self, request: Request, cancelled: Callable[[], bool]) -> Planning:
        """What planning needs for a request."""
        return Planning(
            nanovl=self.nanovl,
            settings=self.settings,
            files=self.files,
            owner=owner_of(request),
            timeout_s=self.timeout_s(request),
            cancelled=cancelled,
        )

    def timeout_s(self, request: Request) -> float | None:
        """The deadline a client asks for, capped by the operator's.

        Raises:
            ApiError: 400, the header is no number above 0.
        """
        longest = self.settings.max_request_s
        text = request.headers.get("x-request-timeout")
        if text is None:
            return longest
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < 1e9:
            raise bad_request(
                f"X-Request-Timeout: got {shown(text)}, expected seconds above 0",
                "X-Request-Timeout",
            )
        return seconds if longest is None else min(seconds, longest)

    async def in_thread(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Run something slow in a worker thread; it is told when nobody waits any more.

        Raises:
            ApiError: 503, too many wait already.
        """
        if self._planning >= self.settings.max_planning:
            self.metrics.refused()
            raise ApiError(503, "too many requests are being prepared; retry later")
        gone = threading.Event()
        self._planning += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, gone.is_set)
        except ApiError as error:
            if error.status in (403, 422, 502, 504):
                self.metrics.media_failed(error.code)
            raise
        finally:
            gone.set()
            self._planning -= 1

    # --- into the engine ------------------------------------------------------------------------

    def submit(
        self, planned: Planned, *, owner: str = "", name: str = "", streaming: bool = False
    ) -> Ticket:
        """Hand a planned request to the engine.

        Args:
            planned: From `Planning`.
            owner: Whose it is.
            name: Id the client gets.
            streaming: Whether a slow reader has to be guarded against.

        Raises:
            ApiError: 503 when there is no room, 429 beyond the key's tokens.
        """
        self.check_open()
        self.rates.tokens(owner, planned.prompt_tokens)
        waiting = [t for t in self.running.values() if not t.started]
        tokens = sum(t.prompt_tokens for t in waiting)
        full = len(waiting) >= self.settings.max_queued_requests
        if full or (waiting and tokens + planned.prompt_tokens > self.settings.max_queued_tokens):
            self.metrics.refused()
            raise ApiError(
                503, f"{len(waiting)} requests of {tokens} tokens are waiting; retry later"
            )
        if name in self.running:
            name = ""
        ticket = Ticket(
            name or f"chatcmpl-{secrets.token_hex(16)}",
            owner=owner,
            prompt_tokens=planned.prompt_tokens,
            answers=planned.answers,
            bound=self.settings.sse_queue if streaming else None,
            on_piece=self._piece,
            on_end=self._ended,
        )
        try:
            stream = self.nanovl.submit(planned.request, on_event=ticket.push)
        except CapacityError:
            self.metrics.refused()
            raise
        self.metrics.admitted(planned.prompt_tokens, planned.max_tokens, planned.answers)
        self.running[ticket.name] = ticket
        ticket.attach(stream)
        return ticket

    def _piece(self, ticket: Ticket, piece: Delta) -> None:
        self.metrics.piece(ticket, piece)

    def _ended(self, ticket: Ticket, error: ApiError | None) -> None:
        self.running.pop(ticket.name, None)
        self.metrics.ended(ticket, error)
        tokens = sum(g.usage.completion_tokens for g in ticket.generations.values())
        self.rates.tokens(ticket.owner, tokens, check=False)
        logger.info(
            "request ended",
            extra={
                "request": ticket.name,
                "prompt_tokens": ticket.prompt_tokens,
                "completion_tokens": tokens,
                "finish": [g.finish_reason for g in ticket.generations.values()],
                "error": None if error is None else error.code,
            },
        )


def owner_of(request: Request) -> str:
    """Whose request it is: a name made from the key, "" without keys."""
    return str(request.scope.get("state", {}).get("nanovl_owner", ""))


def ignored_header(names: tuple[str, ...]) -> Mapping[str, str]:
    """The header that names fields which meant nothing, once in the log as well."""
    if not names:
        return {}
    harmless = ("".join(c for c in n if " " < c < "\x7f")[:HEADER_NAME] for n in names)
    shown = [name for name in harmless if name]
    more = [] if len(shown) <= HEADER_NAMES else [f"...{len(shown) - HEADER_NAMES}-more"]
    text = ", ".join([*shown[:HEADER_NAMES], *more])
    logger.info("fields ignored", extra={"fields": text})
    return {"X-Nanovl-Ignored": text}
