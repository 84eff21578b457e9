"""Worker processes of this machine: each makes one shard after the other.

A worker that dies, or that stays on one sample for longer than its timeouts allow, is replaced; its
shard is made again, without the samples that took three workers along. Must not know what
generators do.

Source: data synthesis specification, sections 18.3 and 18.4.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from nanovl.core.errors import BackendError, NanoVLError
from nanovl.synth.base import MAX_ATTEMPTS
from nanovl.synth.journal import KILLS, deaths, given_up, note_death, position
from nanovl.synth.registry import create
from nanovl.synth.schedule import Queue
from nanovl.synth.shards import Shard, make_shard

__all__ = ["TICK_S", "OnTick", "Outcome", "Watch", "attempt", "died", "in_processes"]

OnTick = Callable[[Sequence[Shard]], None]
"""Told every `TICK_S` and after every shard which shards are in work."""

TICK_S = 0.5
_SLACK_S = 30.0  # beyond all attempts of a sample, before its worker counts as stuck
_RECYCLE = 2000  # samples after which a worker is replaced, so that leaks stay small


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a shard.

    Attributes:
        shard: Which.
        result: What its done file says; None when there is an error.
        error: Why it cannot be made.
    """

    shard: Shard
    result: dict[str, Any] | None = None
    error: NanoVLError | None = None


def attempt(shard: Shard) -> Outcome:
    """Make a shard in this process; errors are returned."""
    try:
        generator = create(shard.generator, shard.config)
        return Outcome(shard=shard, result=make_shard(shard, generator, skip=given_up(shard)))
    except NanoVLError as error:
        return Outcome(shard=shard, error=error)
    except Exception as error:
        text = f"{shard.generator}, shard {shard.number}: {type(error).__name__}: {error}"
        return Outcome(shard=shard, error=BackendError(text))


def died(shard: Shard) -> Outcome | None:
    """Count the death of a shard's worker; an outcome when trying again is of no use."""
    note_death(shard)
    if deaths(shard) < KILLS:
        return None
    return Outcome(
        shard=shard,
        error=BackendError(
            f"{shard.out}, shard {shard.number}: {KILLS} workers died before their first sample; "
            "out of memory, or a package that cannot be loaded: try fewer workers, or --workers 1 "
            "to see the reason"
        ),
    )


class Watch:
    """Notices a shard that does not move."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._limit = MAX_ATTEMPTS * shard.timeout_s + _SLACK_S
        self._index: int | None = None
        self._since = time.monotonic()

    @property
    def is_stuck(self) -> bool:
        """Whether one sample takes longer than all its attempts may."""
        index, now = position(self._shard), time.monotonic()
        if index is None or index != self._index:
            self._index, self._since = index, now
        return index is not None and now - self._since > self._limit


class _Worker:
    """A process and the shard it works on."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.shard: Shard | None = None
        self.watch: Watch | None = None
        self.samples = 0

    def give(self, shard: Shard) -> None:
        """Start on a shard."""
        self.shard, self.watch = shard, Watch(shard)
        try:
            self.pipe.send(shard)
        except OSError:
            self.process.kill()  # its death is noticed like any other

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: Connection) -> None:
    """Body of a worker process; ends with its parent, whose end of the pipe closes then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            pipe.send(attempt(pipe.recv()))
        except (EOFError, OSError):
            return


def in_processes(queue: Queue, count: int, *, on_tick: OnTick) -> Generator[Outcome, None, None]:
    """Make all shards of a queue.

    Args:
        queue: What to make; may shrink while the outcomes are taken.
        count: Processes at most.
        on_tick: See `OnTick`.
    """
    workers = [_Worker() for _ in range(min(count, len(queue)))]
    try:
        while True:
            for number, worker in enumerate(workers):
                if worker.shard is None and len(queue):
                    if worker.samples >= _RECYCLE:
                        worker.close()
                        workers[number] = worker = _Worker()
                    worker.give(queue.pop())
            busy = {w.pipe: w for w in workers if w.shard is not None}
            if not busy:
                return
            for pipe in wait(list(busy), TICK_S):
                outcome = _taken(busy[pipe], queue, workers)  # type: ignore[index]
                if outcome is not None:
                    queue.finish(outcome.shard, outcome.result)
                    yield outcome
            for worker in workers:
                if worker.shard is not None and worker.watch and worker.watch.is_stuck:
                    worker.process.kill()
            on_tick([w.shard for w in workers if w.shard is not None])
    finally:
        for worker in workers:
            worker.close()


def _taken(worker: _Worker, queue: Queue, workers: list[_Worker]) -> Outcome | None:
    """What a worker that can be heard has to say; a dead one is replaced."""
    shard = worker.shard
    assert shard is not None
    worker.shard = None
    try:
        outcome: Outcome = worker.pipe.recv()
        worker.samples += shard.stop - shard.start
        return outcome
    except (EOFError, OSError):
        worker.close()
        workers[workers.index(worker)] = _Worker()
    given = died(shard)
    if given is None:
        queue.put_back(shard)
    return given
