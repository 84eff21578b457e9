"""Data sets from shards: what is there is kept, the rest is made by workers.

A run that was killed is continued by the same call. One call may make several data sets with one
set of workers. Must not know what generators do, nor how workers are started.

Source: data synthesis specification, sections 18.2 to 18.4.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator as Steps, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.config import to_dict
from nanovl.core.errors import CapacityError, ConfigError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.synth.base import Generator as Maker, config_hash
from nanovl.synth.claim import alone, claim, undo
from nanovl.synth.cluster import Needs, on_ray
from nanovl.synth.join import join
from nanovl.synth.journal import position
from nanovl.synth.pool import OnTick, Outcome, in_processes
from nanovl.synth.registry import create
from nanovl.synth.schedule import Queue
from nanovl.synth.shards import Shard, done, make_shard

__all__ = ["Job", "Totals", "plan_shards", "run", "run_all"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A data set to make.

    Attributes:
        generator: Name in the registry.
        out: Folder of the data set.
        count: Indices, from `start`.
        start: First index.
        config: Settings of the generator.
        split: "train", "val", ...
        shard_size: Indices per shard.
        timeout_s: Longest time for one attempt.
        needs: What Ray sets aside for a shard.
    """

    generator: str
    out: Path
    count: int
    start: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    split: str = "train"
    shard_size: int = 500
    timeout_s: float = 60.0
    needs: Needs = field(default_factory=Needs)

    def __post_init__(self) -> None:
        for name in ("count", "shard_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"synth {name}: got {getattr(self, name)}, expected at least 1")
        if self.start < 0:
            raise ConfigError(f"synth start: got {self.start}, expected at least 0")
        if self.timeout_s <= 0:
            raise ConfigError(f"synth timeout_s: got {self.timeout_s}, expected more than 0")


@dataclass(kw_only=True)
class Totals:
    """What a run made.

    Attributes:
        samples, records, media: Written.
        lost: Indices all of whose attempts were rejected.
        rejects: Attempts by reason.
        examples: One message per reason.
        seconds: Wall time of this call.
        cpu_s: Processor time of the shards, earlier runs included.
        reused: Shards that were complete before.
        path: The records in the released layout.
        error: Why the data set could not be completed; "" when it was.
    """

    samples: int = 0
    records: int = 0
    media: int = 0
    lost: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_s: float = 0.0
    reused: int = 0
    path: Path | None = None
    error: str = ""

    @property
    def per_s_per_core(self) -> float:
        """Samples per second of processor time."""
        return self.samples / self.cpu_s if self.cpu_s else 0.0

    def add(self, shard: Mapping[str, Any]) -> None:
        """Count a shard's done file."""
        for name in ("samples", "records", "media", "lost", "cpu_s"):
            setattr(self, name, getattr(self, name) + shard[name])
        self.rejects = dict(sorted((Counter(self.rejects) + Counter(shard["rejects"])).items()))
        self.examples = {**shard.get("examples", {}), **self.examples}


def plan_shards(job: Job) -> list[Shard]:
    """The shards of a job, in order."""
    return [
        Shard(
            generator=job.generator,
            config=job.config,
            split=job.split,
            number=number,
            start=job.start + number * job.shard_size,
            stop=job.start + min((number + 1) * job.shard_size, job.count),
            out=job.out,
            timeout_s=job.timeout_s,
        )
        for number in range(math.ceil(job.count / job.shard_size))
    ]


def run(
    job: Job,
    *,
    workers: int = 1,
    ray: str | None = None,
    verify: bool = False,
    on_event: OnEvent = ignore_event,
) -> Totals:
    """Make a data set, or what is missing of it.

    Args:
        job: What to make.
        workers: Processes (with Ray: tasks at a time); 1 works in this process.
        ray: "local" or the address of a Ray cluster; None uses processes of this machine.
        verify: Read complete shards again and compare their hashes.
        on_event: Told about progress.

    Returns:
        Totals over all shards, those that were there included.

    Raises:
        ConfigError: Unknown generator or settings, the folder holds another data set, or cannot be
            written.
        BackendError: Something the generator needs is missing.
        CapacityError: The disk is full.
    """
    generator = create(job.generator, job.config)
    for requirement in generator.requires:
        requirement.check()
    with alone(job.out):
        (totals,) = run_all(
            [(job, generator)],
            workers=workers,
            ray=ray,
            verify=verify,
            here=workers == 1 and ray is None,
            on_event=on_event,
        )
    return totals


def run_all(
    jobs: Sequence[tuple[Job, Maker]],
    *,
    workers: int = 1,
    ray: str | None = None,
    verify: bool = False,
    keep_going: bool = False,
    here: bool = False,
    on_event: OnEvent = ignore_event,
) -> list[Totals]:
    """Make several data sets with the same workers; totals in the same order.

    Args:
        jobs: Data sets in folders of their own, and their generators.
        workers, ray, verify, on_event: See `run`.
        keep_going: A data set that cannot be made is left with `Totals.error`, the others are
            completed; a full disk ends everything.
        here: Work in this process, where a crash of a sample is a crash of the run.

    Raises:
        NanoVLError: See `run`.
    """
    if workers < 1:
        raise ConfigError(f"synth workers: got {workers}, expected at least 1")
    begun = time.monotonic()
    book = _Book([job for job, _ in jobs], workers, on_event)
    for job, generator in jobs:
        claim(job.out, _identity(job, generator), to_dict(generator.config), job.count)
    shards = []
    for number, (job, generator) in enumerate(jobs):
        for shard in plan_shards(job):
            found = done(shard, generator, verify=verify)
            if found is None:
                undo(shard)
                shards.append(shard)
            else:
                book.add(number, found)
    book.queue = Queue(shards, book.known)
    makers = {job.out: generator for job, generator in jobs} if here else None
    with closing(_outcomes(book, workers, ray, makers)) as outcomes:
        for outcome in outcomes:
            number = book.number_of[outcome.shard.out]
            if outcome.error is not None:
                if isinstance(outcome.error, CapacityError) or not keep_going:
                    raise outcome.error
                book.totals[number].error = str(outcome.error)
                book.queue.drop(outcome.shard.out)
            elif outcome.result is not None:
                book.totals[number].add(outcome.result)
                book.made.add(number)
    book.tick([])
    for number, (job, _) in enumerate(jobs):
        totals = book.totals[number]
        if not totals.error:
            totals.path = join(job.out, plan_shards(job), changed=verify or number in book.made)
        totals.seconds = time.monotonic() - begun
    return book.totals


def _identity(job: Job, generator: Maker) -> dict[str, Any]:
    """What a data set's folder is for."""
    return {
        "generator": job.generator,
        "version": generator.version,
        "config_hash": config_hash(generator.config),
        "split": job.split,
        "start": job.start,
        "shard_size": job.shard_size,
    }


class _Book:
    """What is known of a run while it goes on."""

    def __init__(self, jobs: Sequence[Job], workers: int, on_event: OnEvent) -> None:
        self.number_of = {job.out: number for number, job in enumerate(jobs)}
        if len(self.number_of) != len(jobs):
            raise ConfigError("two data sets of one run have the same folder")
        self.jobs = jobs
        self.totals = [Totals() for _ in jobs]
        self.known: dict[Path, list[Mapping[str, Any]]] = {job.out: [] for job in jobs}
        self.made: set[int] = set()
        self.queue = Queue([])
        self._workers = workers
        self._seen: dict[tuple[Path, int], int] = {}
        self._on_event = on_event

    def add(self, number: int, found: Mapping[str, Any]) -> None:
        """A shard that was complete before."""
        self.totals[number].add(found)
        self.totals[number].reused += 1
        self.known[self.jobs[number].out].append(found)

    def tick(self, running: Sequence[Shard]) -> None:
        """Say how far it is."""
        at = [(shard, self._ready(shard)) for shard in running]
        self._seen = {(s.out, s.number): n for s, n in at}
        ready = sum(t.samples + t.lost for t in self.totals) + sum(n for _, n in at)
        left = self.queue.seconds_left(at)
        cpu = sum(t.cpu_s for t in self.totals)
        rejects = sum((Counter(t.rejects) for t in self.totals), Counter[str]())
        self._on_event(
            Event(
                name=", ".join(sorted({s.out.name for s in running})) or "made",
                done=ready,
                total=sum(job.count for job in self.jobs),
                unit="samples",
                data={
                    "per_s_per_core": sum(t.samples for t in self.totals) / cpu if cpu else 0.0,
                    "rejects": dict(sorted(rejects.items())),
                    "seconds_left": None if left is None else left / self._workers,
                },
            )
        )

    def _ready(self, shard: Shard) -> int:
        """Indices a shard in work has behind it; one that is just complete does not fall back."""
        index = position(shard)
        return (
            self._seen.get((shard.out, shard.number), 0) if index is None else index - shard.start
        )


def _outcomes(
    book: _Book, workers: int, ray: str | None, makers: Mapping[Path, Maker] | None
) -> Steps[Outcome, None, None]:
    if ray is not None:
        needs = {job.out: job.needs for job in book.jobs}
        named: dict[str, float] = {}
        for need in needs.values():
            for name, amount in need.resources.items():
                named[name] = max(amount, named.get(name, 0.0))
        return on_ray(
            book.queue,
            workers,
            ray,
            needs=lambda shard: needs[shard.out],
            named=named,
            on_tick=book.tick,
        )
    if makers is not None:
        return _here(book.queue, makers, book.tick)
    return in_processes(book.queue, workers, on_tick=book.tick)


def _here(
    queue: Queue, generators: Mapping[Path, Maker], on_tick: OnTick
) -> Steps[Outcome, None, None]:
    """Shards made in this process."""
    while len(queue):
        shard = queue.pop()
        told = time.monotonic()

        def on_sample(index: int, shard: Shard = shard) -> None:
            nonlocal told
            if time.monotonic() - told > 0.5:
                told = time.monotonic()
                on_tick([shard])

        try:
            outcome = Outcome(
                shard=shard,
                result=make_shard(shard, generators[shard.out], on_sample=on_sample),
            )
        except NanoVLError as error:
            outcome = Outcome(shard=shard, error=error)
        queue.finish(shard, outcome.result)
        yield outcome
