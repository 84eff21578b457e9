"""Shards as Ray tasks, on this machine or on a cluster that shares the folder.

One task per shard. Ray runs a task again whose worker died; what Ray gives up on is queued again
here, without the samples that took three workers along. The folder must be the same path on every
node: progress and crashes are read from it. Sends nothing anywhere: Ray's usage reports are off.
Must not know what generators do.

Source: data synthesis specification, section 18.3.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.cluster import connected
from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.journal import note_death, was_left
from nanovl.synth.pool import TICK_S, OnTick, Outcome, Watch, attempt, died
from nanovl.synth.schedule import Queue
from nanovl.synth.shards import Shard

__all__ = ["Needs", "on_ray"]
_RETRIES = 2  # by Ray itself
_CALLS = 64  # shards after which Ray replaces a worker, so that leaks stay small


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What Ray sets aside for one task.

    Attributes:
        num_cpus: Cores.
        memory_mb: Memory; 0 sets nothing aside.
        resources: Named resources of the nodes, such as {"tex": 1}; they bound how many tasks of
            a kind run on a node. A local Ray gets as many of each as there are workers.
    """

    num_cpus: float = 1.0
    memory_mb: int = 0
    resources: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.num_cpus <= 0 or self.memory_mb < 0 or any(v <= 0 for v in self.resources.values()):
            raise ConfigError(
                f"ray needs: got num_cpus {self.num_cpus}, memory_mb {self.memory_mb}, resources "
                f"{dict(self.resources)}; expected positive amounts"
            )

    def options(self) -> dict[str, Any]:
        """As Ray's task options."""
        made: dict[str, Any] = {"num_cpus": self.num_cpus, "max_retries": _RETRIES}
        if self.memory_mb:
            made["memory"] = self.memory_mb << 20
        if self.resources:
            made["resources"] = dict(self.resources)
        return made


def on_ray(
    queue: Queue,
    count: int,
    address: str,
    *,
    needs: Callable[[Shard], Needs] = lambda shard: Needs(),
    named: Mapping[str, float] | None = None,
    on_tick: OnTick,
) -> Generator[Outcome, None, None]:
    """Make all shards of a queue.

    Args:
        queue: What to make; may shrink while the outcomes are taken.
        count: Tasks at a time; cores of a local Ray.
        address: "local" starts Ray here; else "auto", "HOST:PORT" or "ray://HOST:PORT".
        needs: What a shard's task needs.
        named: Largest amount of every named resource any shard needs.
        on_tick: See `OnTick`.

    Raises:
        BackendError: Ray is not installed, does not start or is not at the address.
        ConfigError: No node has a resource some shard needs.
    """
    if not len(queue):
        return
    with _joined(count, address, named or {}) as ray:
        task = ray.remote(max_calls=_CALLS)(_task)
        running: dict[Any, tuple[Shard, Watch]] = {}
        while len(queue) or running:
            while len(queue) and len(running) < count:
                shard = queue.pop()
                reference = task.options(name=_name(shard), **needs(shard).options()).remote(shard)
                running[reference] = (shard, Watch(shard))
            ready, _ = ray.wait(list(running), num_returns=1, timeout=TICK_S)
            for reference in ready:
                shard, _ = running.pop(reference)
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError:
                    outcome = died(shard)
                if outcome is None:
                    queue.put_back(shard)
                else:
                    queue.finish(shard, outcome.result)
                    yield outcome
            for reference, (shard, watch) in running.items():
                if watch.is_stuck and was_left(shard):
                    ray.cancel(reference, force=True)
            on_tick([shard for shard, _ in running.values()])


def _name(shard: Shard) -> str:
    return f"{shard.out.name}:{shard.stem}"


def _task(shard: Shard) -> Outcome:
    """Body of a Ray task."""
    if was_left(shard):  # Ray has tried it before, and the worker died
        note_death(shard)
    return attempt(shard)


@contextmanager
def _joined(count: int, address: str, named: Mapping[str, float]) -> Iterator[Any]:
    """Ray, started or joined; one that is running in this process already is used as it is."""
    amounts = {name: amount * count for name, amount in named.items()}
    with connected(
        address,
        what="synth --ray",
        cpus=count,
        resources=amounts,
        instead="leave --ray out to use processes",
    ) as ray:
        offered: dict[str, float] = ray.cluster_resources()
        for name in named:
            if name not in offered:
                raise ConfigError(
                    f"Ray at {address!r}: no node has the resource {name!r}{nearest(name, offered)}"
                    f"; start nodes with --resources='{{\"{name}\": 4}}', or take it out of the mix"
                )
        yield ray
