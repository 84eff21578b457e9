"""Many jobs on a few threads, with results in the order of the jobs.

A job that fails fails alone; a run that has to stop (budget, Ctrl-C, a useless endpoint) stops all
of them, and what was answered stays in the cache. Must not know what a job does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.synth.model.client import ChatClient, RequestFailed, Stopped

__all__ = ["Outcome", "run_jobs"]

Item = TypeVar("Item")
Made = TypeVar("Made")

_GRACE_S = 5.0  # after Ctrl-C, for requests that are under way
_POLL_S = 0.2


@dataclass(kw_only=True)
class Outcome(Generic[Made]):
    """What became of all jobs.

    Attributes:
        made: Results, in the order of the jobs; None for a job without one.
        failures: Jobs that got no answer from the endpoint, as number, reason and message.
        unfinished: Jobs that were not finished because the run stopped.
    """

    made: list[Made | None]
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    unfinished: int = 0


def run_jobs(
    items: Sequence[Item],
    do: Callable[[Item], Made],
    client: ChatClient,
    *,
    name: str = "ask",
    on_event: OnEvent = ignore_event,
) -> Outcome[Made]:
    """Do something with every item, `client.limits.parallel` at a time.

    Args:
        items: What the jobs are about.
        do: May raise `RequestFailed` (this item is lost) and `Stopped` (the run ends).
        client: Says how many threads, and is told to stop when the caller interrupts.
        name: For progress.
        on_event: Told about every finished job.

    Raises:
        KeyboardInterrupt: The caller interrupted; answers under way were given a moment.
        Exception: Whatever else a job raised, the first of them.
    """
    outcome: Outcome[Made] = Outcome(made=[None] * len(items))
    if not items:
        return outcome
    finished: SimpleQueue[tuple[int, Made | None, BaseException | None]] = SimpleQueue()
    waiting: Iterator[int] = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            try:
                finished.put((number, do(items[number]), None))
            except BaseException as error:  # handed to the caller's thread
                finished.put((number, None, error))

    threads = [
        threading.Thread(target=work, name=f"nanovl-ask-{i}", daemon=True)
        for i in range(min(client.limits.parallel, len(items)))
    ]
    for thread in threads:
        thread.start()
    fatal: BaseException | None = None
    try:
        for done in range(1, len(items) + 1):
            number, made, error = _next(finished)
            if error is None:
                outcome.made[number] = made
            elif isinstance(error, RequestFailed):
                outcome.failures.append((number, error.reason, str(error)))
            elif isinstance(error, Stopped):
                outcome.unfinished += 1
            else:
                fatal = fatal or error
                client.stop("failed")
            on_event(_event(name, done, len(items), client))
    except BaseException:
        client.stop("interrupted")
        for thread in threads:
            thread.join(_GRACE_S / len(threads))
        raise
    for thread in threads:
        thread.join()
    if fatal is not None:
        raise fatal
    outcome.failures.sort()
    return outcome


def _next(
    finished: SimpleQueue[tuple[int, Made | None, BaseException | None]],
) -> tuple[int, Made | None, BaseException | None]:
    """Wait in small steps, so that Ctrl-C is heard."""
    while True:
        try:
            return finished.get(timeout=_POLL_S)
        except Empty:
            continue


def _event(name: str, done: int, total: int, client: ChatClient) -> Event:
    usage = client.usage()
    return Event(
        name=name,
        done=done,
        total=total,
        unit=f"items, {usage.sent:,} answers, {usage.prompt_tokens + usage.completion_tokens:,} "
        f"tokens{f', cost {usage.cost:.2f}' if usage.cost else ''}",
        data={"sent": usage.sent, "cached": usage.cached, "cost": usage.cost},
    )
