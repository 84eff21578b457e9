"""Many shards on many cores: worker processes here, or Ray tasks anywhere.

What is complete is kept, so a run that was killed is continued by the same call. A worker that dies
is replaced and its shard made again; a sample that killed its worker three times is given up under
the reason "crash" and written down, so that later runs skip it too. Must not know what generators
do.

Source: data synthesis specification, sections 18.2 to 18.4.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from nanovl.core.config import to_dict
from nanovl.core.errors import ConfigError, NanoVLError, missing_extra
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.synth.base import config_hash
from nanovl.synth.registry import create
from nanovl.synth.shards import Shard, done, join, make_shard

__all__ = ["Job", "Totals", "plan_shards", "run"]

_KILLS = 3  # worker deaths on one sample after which it is given up


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
    """

    generator: str
    out: Path
    count: int
    start: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    split: str = "train"
    shard_size: int = 500
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("count", "shard_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"synth {name}: got {getattr(self, name)}, expected at least 1")
        if self.start < 0:
            raise ConfigError(f"synth start: got {self.start}, expected at least 0")


@dataclass(kw_only=True)
class Totals:
    """What a run made.

    Attributes:
        samples, records, media: Written.
        lost: Indices all of whose attempts were rejected.
        rejects: Attempts by reason.
        seconds: Wall time of this call.
        cpu_s: Processor time of the shards, earlier runs included.
        reused: Shards that were complete before.
        path: The records in the released layout.
    """

    samples: int = 0
    records: int = 0
    media: int = 0
    lost: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_s: float = 0.0
    reused: int = 0
    path: Path | None = None

    def add(self, shard: Mapping[str, Any]) -> None:
        """Count a shard's done file."""
        for name in ("samples", "records", "media", "lost", "cpu_s"):
            setattr(self, name, getattr(self, name) + shard[name])
        self.rejects = dict(sorted((Counter(self.rejects) + Counter(shard["rejects"])).items()))


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
    on_event: OnEvent = ignore_event,
) -> Totals:
    """Make a data set, or what is missing of it.

    Args:
        job: What to make.
        workers: Processes (with Ray: tasks at a time); 1 works in this process.
        ray: "local" or the address of a Ray cluster; None uses processes of this machine.
        on_event: Told about finished shards.

    Returns:
        Totals over all shards, those that were there included.

    Raises:
        ConfigError: Unknown generator or settings, or the folder holds another data set.
        BackendError: Something the generator needs is missing.
    """
    begun = time.monotonic()
    if workers < 1:
        raise ConfigError(f"synth workers: got {workers}, expected at least 1")
    generator = create(job.generator, job.config)
    for requirement in generator.requires:
        requirement.check()
    _claim(job, generator.version, config_hash(generator.config), to_dict(generator.config))
    shards = plan_shards(job)
    totals = Totals()
    missing = []
    for shard in shards:
        found = done(shard, generator)
        if found is None:
            missing.append(shard)
        else:
            totals.add(found)
            totals.reused += 1
    if ray is not None:
        results = _on_ray(missing, workers, ray)
    elif workers == 1:
        results = (make_shard(shard, generator) for shard in missing)
    else:
        results = _in_processes(missing, workers)
    for result in results:
        totals.add(result)
        ready = totals.samples + totals.lost
        rate = (totals.samples / totals.cpu_s) if totals.cpu_s else 0.0
        on_event(
            Event(
                name=job.generator,
                done=ready,
                total=job.count,
                unit="samples",
                data={"per_s_per_core": rate, "rejects": totals.rejects},
            )
        )
    totals.path = join(job.out, shards)
    totals.seconds = time.monotonic() - begun
    return totals


def _claim(job: Job, version: str, digest: str, config: Mapping[str, Any]) -> None:
    """Write what the folder is for, or refuse one that is for something else."""
    path = job.out / "synth.json"
    wanted = {
        "generator": job.generator,
        "version": version,
        "config_hash": digest,
        "split": job.split,
        "start": job.start,
        "shard_size": job.shard_size,
    }
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(k for k, v in wanted.items() if found.get(k) != v)
        if changed:
            listed = ", ".join(f"{k} {found.get(k)!r} -> {wanted[k]!r}" for k in changed)
            raise ConfigError(
                f"{job.out}: holds a data set with other settings ({listed}); use another folder, "
                "or the settings in its synth.json"
            )
    elif job.out.is_dir() and any(job.out.iterdir()):
        raise ConfigError(f"{job.out}: is not empty and no synthesised data set; use a new folder")
    job.out.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".tmp-{os.getpid()}-synth.json")
    text = json.dumps(wanted | {"config": config, "count": job.count}, indent=1, sort_keys=True)
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(path)
    for left in job.out.rglob(".tmp-*"):  # of workers that were killed
        left.unlink(missing_ok=True)


# --- processes of this machine ------------------------------------------------------------------


class _Worker:
    """A process that makes one shard after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, os.getpid()), daemon=True)
        self.process.start()
        other.close()
        self.shard: Shard | None = None
        self.index: int | None = None

    def give(self, shard: Shard) -> None:
        """Start on a shard."""
        self.shard, self.index = shard, shard.start
        self.pipe.send(shard)

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(5)


def _serve(pipe: Connection, parent: int) -> None:
    """Body of a worker process; ends with its parent."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.getppid() is not None:
        try:
            shard: Shard = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            generator = create(shard.generator, shard.config)
            given_up = _given_up(shard)
            if given_up:
                generator = _Skipping(generator, given_up)
            result = make_shard(
                shard, generator, on_sample=lambda index: pipe.send(("at", index + 1))
            )
            pipe.send(("done", result))
        except NanoVLError as error:
            pipe.send(("error", error))
        except BrokenPipeError:
            return


class _Skipping:
    """A generator that gives some indices up."""

    def __init__(self, generator: Any, indices: set[int]) -> None:
        self._generator = generator
        self._indices = indices

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def generate(self, index: int, streams: Any) -> Any:
        """As the generator, but for the given-up indices."""
        from nanovl.synth.base import Reject

        if index in self._indices:
            raise Reject("crash", f"index {index} killed its worker {_KILLS} times")
        return self._generator.generate(index, streams)


def _crash_file(shard: Shard) -> Path:
    return shard.out / "shards" / f"{shard.stem}.crashes.json"


def _given_up(shard: Shard) -> set[int]:
    try:
        counts = json.loads(_crash_file(shard).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {int(index) for index, count in counts.items() if count >= _KILLS}


def _note_crash(shard: Shard, index: int) -> None:
    path = _crash_file(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        counts = {}
    counts[str(index)] = counts.get(str(index), 0) + 1
    path.write_text(json.dumps(counts, sort_keys=True), encoding="utf-8")


def _in_processes(shards: Sequence[Shard], count: int) -> Iterator[dict[str, Any]]:
    waiting = list(reversed(shards))
    workers = [_Worker() for _ in range(min(count, len(waiting)))]
    try:
        for worker in workers:
            worker.give(waiting.pop())
        while any(w.shard is not None for w in workers):
            busy = {w.pipe: w for w in workers if w.shard is not None}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                try:
                    kind, value = worker.pipe.recv()
                except (EOFError, OSError):
                    assert worker.shard is not None
                    _note_crash(worker.shard, worker.index or worker.shard.start)
                    waiting.append(worker.shard)
                    worker.close()
                    workers[workers.index(worker)] = fresh = _Worker()
                    fresh.give(waiting.pop())
                    continue
                if kind == "at":
                    worker.index = value
                elif kind == "error":
                    raise value
                else:
                    worker.shard = None
                    if waiting:
                        worker.give(waiting.pop())
                    yield value
    finally:
        for worker in workers:
            worker.close()


# --- Ray ------------------------------------------------------------------------------------------


def _on_ray(shards: Sequence[Shard], count: int, address: str) -> Iterator[dict[str, Any]]:
    """One task per shard; the shared folder must be the same on all nodes."""
    try:
        import ray
    except ImportError:
        raise missing_extra("ray", "ray", "synth --ray") from None
    started = not ray.is_initialized()
    if started:
        where = None if address == "local" else address
        options: dict[str, Any] = {"num_cpus": count} if where is None else {}
        ray.init(address=where, include_dashboard=False, log_to_driver=False, **options)
    try:
        task = ray.remote(num_cpus=1, max_retries=2)(_ray_shard)
        running: dict[Any, Shard] = {}
        waiting = list(reversed(shards))
        while waiting or running:
            while waiting and len(running) < count:
                shard = waiting.pop()
                running[task.remote(shard)] = shard
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                running.pop(reference)
                yield ray.get(reference)
    finally:
        if started:
            ray.shutdown()


def _ray_shard(shard: Shard) -> dict[str, Any]:
    return make_shard(shard, create(shard.generator, shard.config))
