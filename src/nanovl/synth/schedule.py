"""Which shard next: the data set with the most work left, so that all end together.

One queue feeds all workers, whatever data set a shard belongs to. What a sample costs is learned
from finished shards; a data set nothing is known of gets one shard first. The order decides about
time alone, never about bytes. Must not start workers.

Source: data synthesis specification, section 18.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.synth.shards import Shard

__all__ = ["Queue"]


@dataclass
class _Lane:
    """Shards of one data set, and what is known about their cost."""

    waiting: deque[Shard] = field(default_factory=deque)
    running: int = 0
    samples: int = 0
    seconds: float = 0.0

    def cost(self, otherwise: float) -> float:
        """Seconds per sample."""
        return self.seconds / self.samples if self.samples else otherwise

    @property
    def left(self) -> int:
        """Indices nobody works on."""
        return sum(shard.stop - shard.start for shard in self.waiting)


class Queue:
    """Shards to be made.

    Args:
        shards: In order.
        known: Results of shards that were complete before, by folder; they tell what samples cost.
    """

    def __init__(
        self,
        shards: Iterable[Shard],
        known: Mapping[Path, Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._lanes: dict[Path, _Lane] = {}
        for shard in shards:
            self._lanes.setdefault(shard.out, _Lane()).waiting.append(shard)
        for folder, results in (known or {}).items():
            for result in results:
                if folder in self._lanes:
                    self._learn(self._lanes[folder], result)

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def pop(self) -> Shard:
        """The next shard to work on.

        Raises:
            IndexError: There is none.
        """
        lanes = [lane for lane in self._lanes.values() if lane.waiting]
        if not lanes:
            raise IndexError("no shard is waiting")
        unknown = [lane for lane in lanes if not lane.samples and not lane.running]
        guess = self._mean_cost()
        lane = unknown[0] if unknown else max(lanes, key=lambda one: one.left * one.cost(guess))
        lane.running += 1
        return lane.waiting.popleft()

    def put_back(self, shard: Shard) -> None:
        """A shard whose worker died goes first."""
        lane = self._lanes[shard.out]
        lane.running -= 1
        lane.waiting.appendleft(shard)

    def finish(self, shard: Shard, result: Mapping[str, Any] | None) -> None:
        """A shard is complete, or has failed (None)."""
        lane = self._lanes[shard.out]
        lane.running -= 1
        if result is not None:
            self._learn(lane, result)

    def drop(self, folder: Path) -> None:
        """Forget what is waiting of a data set."""
        self._lanes[folder].waiting.clear()

    def seconds_left(self, running: Iterable[tuple[Shard, int]] = ()) -> float | None:
        """Work left in seconds of one worker; None while nothing is known.

        Args:
            running: Shards in work, with the number of indices done.
        """
        guess = self._mean_cost()
        if not any(lane.samples for lane in self._lanes.values()):
            return None
        total = sum(lane.left * lane.cost(guess) for lane in self._lanes.values())
        for shard, ready in running:
            total += (shard.stop - shard.start - ready) * self._lanes[shard.out].cost(guess)
        return total

    def _mean_cost(self) -> float:
        samples = sum(lane.samples for lane in self._lanes.values())
        seconds = sum(lane.seconds for lane in self._lanes.values())
        return seconds / samples if samples else 0.0

    @staticmethod
    def _learn(lane: _Lane, result: Mapping[str, Any]) -> None:
        lane.samples += int(result["samples"]) + int(result["lost"])
        lane.seconds += float(result["wall_s"])
