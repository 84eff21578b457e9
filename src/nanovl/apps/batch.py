"""A file of requests answered into a file of answers, several at a time, again after any kill.

What a body means is the caller's `answer`: this room knows no protocol. Memory holds the requests
in flight and sixteen bytes per id, never the files.

Source: OpenAI batch format; serving specification, section 6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.apps.batch_files import Answers, BadLine, Request, read_requests
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event

__all__ = ["Answer", "Totals", "answered", "check", "pending", "run_batch", "told"]

logger = logging.getLogger(__name__)

# From the URL and body of a request to the HTTP status and body of its answer.
Answer = Callable[[str, Mapping[str, Any]], tuple[int, Mapping[str, Any]]]


@dataclass(kw_only=True)
class Totals:
    """What a run did.

    Attributes:
        answered: Requests that were answered.
        failed: Requests that came to an error, and lines that are no requests.
        skipped: Lines that had their answer from an earlier run.
        repaired_bytes: Length of the torn line an earlier run left.
    """

    answered: int = 0
    failed: int = 0
    skipped: int = 0
    repaired_bytes: int = 0

    def count(self, status: int) -> None:
        """One more request came to an end."""
        if status == 200:
            self.answered += 1
        else:
            self.failed += 1


def run_batch(
    source: Path,
    target: Path,
    answer: Answer,
    *,
    in_flight: int = 8,
    on_event: OnEvent = ignore_event,
) -> Totals:
    """Answer what is not answered yet.

    Answers come in the order in which they are ready. An error of one request is its answer and
    touches no other one.

    Args:
        source: Requests, JSON Lines.
        target: Answers, JSON Lines; what it holds already is kept and not asked again.
        answer: Called from several threads; what it raises becomes an answer of status 500.
        in_flight: Requests at a time.
        on_event: Told after every answer.

    Raises:
        InputError: A file cannot be used.
        ConfigError: `in_flight` is not above 0.
    """
    check(source, target, in_flight)
    with Answers(target) as answers:
        totals = Totals(repaired_bytes=answers.repaired_bytes)
        running: dict[Future[tuple[int, Mapping[str, Any]]], Request] = {}

        def collect() -> None:
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                request = running.pop(future)
                status, body = future.result()
                answers.answer(request.custom_id, status, body)
                totals.count(status)
                told(totals, on_event)

        pool = ThreadPoolExecutor(in_flight, thread_name_prefix="batch")
        try:
            for request in pending(source, answers, totals):
                while len(running) >= in_flight:
                    collect()
                running[pool.submit(answered, answer, request.url, request.body)] = request
            while running:
                collect()
        finally:
            # After an interrupt nobody waits for the threads; who owns the engine closes it.
            pool.shutdown(wait=not running, cancel_futures=True)
    return totals


def check(source: Path, target: Path, in_flight: int) -> None:
    """Refuse what cannot work, before a model is loaded.

    Raises:
        InputError: The input is no file, or both are the same file.
        ConfigError: `in_flight` is not above 0.
    """
    if in_flight < 1:
        raise ConfigError(f"requests in flight {in_flight}: expected at least 1")
    if not source.is_file():
        raise InputError(f"{source}: no such file; expected requests as JSON Lines")
    if target.exists() and source.samefile(target):
        raise InputError(f"{target}: is the input; answers need a file of their own")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; make it first")


def pending(source: Path, answers: Answers, totals: Totals) -> Iterator[Request]:
    """Requests that have no answer; bad lines get theirs on the way."""
    for line in read_requests(source):
        if answers.has(line):
            totals.skipped += 1
        elif isinstance(line, BadLine):
            answers.refuse(line)
            totals.failed += 1
        else:
            yield line


def answered(answer: Answer, url: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
    """What `answer` says; status 500 when it fails."""
    try:
        return answer(url, body)
    except Exception as error:  # one request must not end the others
        logger.exception("a request of the batch failed")
        message = f"internal error ({type(error).__name__})"
        return 500, {"error": {"message": message, "type": "InternalServerError", "code": None}}


def told(totals: Totals, on_event: OnEvent) -> None:
    """Say how far the run is."""
    done = totals.answered + totals.failed
    data = {"failed": totals.failed, "skipped": totals.skipped}
    on_event(Event(name="batch", done=done, unit="requests", data=data))
