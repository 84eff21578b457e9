"""The same batch on Ray Data: models on many machines, one file of answers.

The folder of the input must be the same path on every node, because workers read the requests from
it; answers come back to this process, which alone writes the output. Ray runs a block again whose
worker died; requests Ray gives up on have no answer and are asked again by the next run. Sends
nothing anywhere: Ray's usage reports are off.

Source: design, decision D4.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nanovl.apps.batch import Answer, Totals, answered, check, pending, told
from nanovl.apps.batch_files import Answers
from nanovl.core.cluster import LOCAL, connected
from nanovl.core.errors import BackendError
from nanovl.core.events import OnEvent, ignore_event

__all__ = ["run_on_ray"]


def run_on_ray(
    source: Path,
    target: Path,
    make_answer: Callable[[], Answer],
    *,
    address: str = LOCAL,
    workers: int = 1,
    in_flight: int = 8,
    gpus: float = 0.0,
    on_event: OnEvent = ignore_event,
) -> Totals:
    """Answer what is not answered yet, on Ray.

    Args:
        source, target, in_flight, on_event: See `run_batch`; `in_flight` is per worker.
        make_answer: Called once in every worker, to load its model; must be picklable.
        address: "local" starts Ray here; else "auto", "HOST:PORT" or "ray://HOST:PORT".
        workers: Models at a time.
        gpus: GPUs of each.

    Raises:
        InputError: A file cannot be used.
        BackendError: Ray is not installed, does not start or is not at the address, or a worker
            cannot load its model.
    """
    check(source, target, in_flight)
    with Answers(target) as answers:
        totals = Totals(repaired_bytes=answers.repaired_bytes)
        # Requests without an answer, in a file that workers can read.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".pending-", suffix=".txt")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                count = 0
                for request in pending(source, answers, totals):
                    row = [request.custom_id, request.url, request.body]
                    file.write(json.dumps(row) + "\n")
                    count += 1
            if count:
                # One core more than models: reading the input is a task as well.
                with connected(address, what="batch --ray", cpus=workers + 1) as ray:
                    rows = _rows(ray, Path(name), make_answer, workers, in_flight, gpus)
                    for custom_id, status, body in rows:
                        answers.answer(custom_id, status, body)
                        totals.count(status)
                        told(totals, on_event)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    return totals


class _Worker:
    """A model in a process of Ray's."""

    def __init__(self, make_answer: Callable[[], Answer], in_flight: int) -> None:
        self._answer = make_answer()
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="batch")

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[str]]:
        """Answer a block of requests."""
        return {"text": list(self._pool.map(self._one, block["text"]))}

    def _one(self, text: str) -> str:
        custom_id, url, body = json.loads(text)
        return json.dumps([custom_id, *answered(self._answer, url, body)])


def _rows(
    ray: Any,
    source: Path,
    make_answer: Callable[[], Answer],
    workers: int,
    in_flight: int,
    gpus: float,
) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Answers as they come."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    try:
        data = ray.data.read_text(str(source)).map_batches(
            _Worker,
            fn_constructor_args=(make_answer, in_flight),
            batch_size=in_flight,
            concurrency=workers,
            num_gpus=gpus or None,
        )
        for row in data.iter_rows():
            custom_id, status, body = json.loads(row["text"])
            yield custom_id, status, body
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BackendError(
            f"Ray: the workers failed ({lines[-1] if lines else type(error).__name__}); what was "
            "answered is kept, run the same command again to go on"
        ) from error
