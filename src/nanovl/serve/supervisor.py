"""Several server processes on one port, each with a model of its own.

The system spreads connections over them. A process that dies is started again, after a growing
pause; one that cannot even start ends everything. Processes end with their supervisor.

Source: serving specification, section 1.2.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Any

from nanovl.core.errors import BackendError, NanoVLError
from nanovl.serve.app import create_app
from nanovl.serve.logs import setup_server_logging
from nanovl.serve.runtime import ModelOptions, Tls, bind, load_model, serve, url_of
from nanovl.serve.settings import ServeSettings

__all__ = ["Logging", "supervise"]

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STABLE_S = 60.0
EXTRA_S = 10.0
CANNOT_START = 3


@dataclass(frozen=True, kw_only=True)
class Logging:
    """How processes log."""

    level: str = "info"
    as_json: bool = False


@dataclass
class _Worker:
    index: int
    process: SpawnProcess
    ready: Event
    started: float
    pause_s: float = FIRST_PAUSE_S


def supervise(
    options: ModelOptions,
    settings: ServeSettings,
    workers: int,
    *,
    logs: Logging,
    tls: Tls | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Run processes until told to stop.

    Args:
        options: The model; every process loads it.
        settings: The server.
        workers: How many processes.
        logs: How they log.
        tls: Certificate, or None.
        on_ready: Told the URL when all of them accept connections.

    Raises:
        NanoVLError: The address cannot be used, or a process cannot start.
    """
    # Holds the port, never listens.
    held = bind(settings.host, settings.port, shared=True)
    try:
        url = url_of(settings, held, tls)
        settings = replace(settings, port=held.getsockname()[1])
        if options.threads is None:
            options = replace(options, threads=max(1, (os.cpu_count() or 1) // workers))
        _Supervisor(options, settings, workers, logs, tls).run(lambda: on_ready(url))
    finally:
        held.close()


class _Supervisor:
    """Keeps processes alive."""

    def __init__(
        self,
        options: ModelOptions,
        settings: ServeSettings,
        count: int,
        logs: Logging,
        tls: Tls | None,
    ) -> None:
        self._arguments = (options, settings, logs, tls)
        self._count = count
        self._shutdown_s = settings.drain_s + settings.shutdown_s + EXTRA_S
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._stopping = False

    def run(self, on_ready: Callable[[], None]) -> None:
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [self._start(i) for i in range(self._count)]
            told = False
            while not self._stopping:
                multiprocessing.connection.wait(
                    [w.process.sentinel for w in self._workers], timeout=0.2
                )
                for worker in self._workers:
                    if not worker.process.is_alive() and not self._stopping:
                        self._replace(worker)
                if not told and all(w.ready.is_set() for w in self._workers):
                    told = True
                    on_ready()
        finally:
            self._end()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _start(self, index: int) -> _Worker:
        ready = self._context.Event()
        process = self._context.Process(
            target=_work, args=(index, ready, *self._arguments), name=f"nanovl-{index}"
        )
        process.start()
        return _Worker(index, process, ready, time.monotonic())

    def _replace(self, worker: _Worker) -> None:
        code = worker.process.exitcode
        if code == CANNOT_START and not worker.ready.is_set():
            raise BackendError("a server process could not start; its error is above")
        logger.error(
            "process ended, starting it again", extra={"worker": worker.index, "code": code}
        )
        lived = time.monotonic() - worker.started
        pause = FIRST_PAUSE_S if lived > STABLE_S else min(2 * worker.pause_s, LONGEST_PAUSE_S)
        end = time.monotonic() + (worker.pause_s if lived <= STABLE_S else 0.0)
        while time.monotonic() < end and not self._stopping:
            time.sleep(0.05)
        if self._stopping:
            return
        fresh = self._start(worker.index)
        worker.process, worker.ready, worker.started = fresh.process, fresh.ready, fresh.started
        worker.pause_s = pause

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._stopping:
            for worker in self._workers:
                if worker.process.is_alive():
                    worker.process.kill()
        self._stopping = True
        logger.info("stopping", extra={"signal": number})

    def _end(self) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        end = time.monotonic() + self._shutdown_s
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _work(
    index: int,
    ready: Any,
    options: ModelOptions,
    settings: ServeSettings,
    logs: Logging,
    tls: Tls | None,
) -> None:
    """One process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes it on
    setup_server_logging(logs.level, as_json=logs.as_json)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        bound = bind(settings.host, settings.port, shared=True)
        nanovl, transcriber = load_model(options, settings)
        app = create_app(nanovl, settings, transcriber=transcriber)
    except NanoVLError as error:
        logger.error("process %d cannot start: %s", index, error)
        raise SystemExit(CANNOT_START) from None
    serve(app, bound, tls=tls, on_ready=ready.set)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
