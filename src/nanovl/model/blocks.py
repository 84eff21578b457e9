"""Books of the attention cache: which blocks are free, and how many owners each one has.

Numbers only; the tensors are `HybridCache`'s. Blocks are given out in long runs, because keys that
lie behind each other in memory can be used as they are, and others have to be copied together.

Source: serving specification, section 7.3.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from nanovl.core.errors import CapacityError

__all__ = ["BlockPool"]

ROOM_TO_GROW = 256  # blocks left free in front of a new sequence, if there are that many


class BlockPool:
    """Counts the owners of numbered blocks.

    Args:
        size: Blocks there are.
    """

    def __init__(self, size: int = 0) -> None:
        self._owners: list[int] = []
        self._starts: list[int] = []  # of runs of free blocks, sorted
        self._lengths: dict[int, int] = {}  # start of a run -> blocks in it
        self.free = 0
        self.grow(size)

    @property
    def size(self) -> int:
        """Blocks there are."""
        return len(self._owners)

    @property
    def used(self) -> int:
        """Blocks that somebody owns."""
        return self.size - self.free

    def grow(self, size: int) -> None:
        """Add blocks behind those there are."""
        first = self.size
        if size > first:
            self._owners += [0] * (size - first)
            self._give_back(first, size - first)

    def allocate(self, count: int, after: int | None = None) -> list[int]:
        """Take blocks, with one owner each.

        Args:
            count: How many.
            after: Take those behind this block if they are free. Otherwise a long free run is
                begun some way in, so that what lies in front of it can still grow: the first that
                is long enough, for memory never used costs nothing, or the longest.

        Raises:
            CapacityError: Fewer are free; nothing is taken.
        """
        if count > self.free:
            raise CapacityError(
                f"attention cache: {count} blocks wanted, {self.free} of {self.size} are free"
            )
        taken: list[int] = []
        if after is not None and after + 1 in self._lengths:
            taken += self._take(after + 1, after + 1, count)
        while len(taken) < count:
            wanted = count - len(taken)
            enough = max(4 * wanted, 2 * ROOM_TO_GROW)
            start = next((s for s in self._starts if self._lengths[s] >= enough), None)
            if start is None:
                start = max(self._starts, key=self._lengths.__getitem__)
            length = self._lengths[start]
            away = min(length // 2, ROOM_TO_GROW)
            begin = start if start == 0 or length < 4 * wanted else start + away
            taken += self._take(start, begin, wanted)
        for block in taken:
            self._owners[block] = 1
        return taken

    def retain(self, blocks: Iterable[int]) -> None:
        """Add an owner."""
        for block in blocks:
            self._owners[block] += 1

    def release(self, blocks: Iterable[int]) -> None:
        """Remove an owner; blocks without one are free."""
        for block in blocks:
            self._owners[block] -= 1
            if self._owners[block] == 0:
                self._give_back(block, 1)
            elif self._owners[block] < 0:
                raise AssertionError(f"attention cache: block {block} released by nobody's owner")

    def owners(self, block: int) -> int:
        """How many own a block."""
        return self._owners[block]

    def _take(self, start: int, begin: int, count: int) -> list[int]:
        """Up to `count` blocks from `begin` on out of the free run at `start`."""
        length = self._lengths.pop(start)
        self._starts.remove(start)
        stop = min(start + length, begin + count)
        self.free -= stop - begin
        for first, last in ((start, begin), (stop, start + length)):
            if last > first:
                insort(self._starts, first)
                self._lengths[first] = last - first
        return list(range(begin, stop))

    def _give_back(self, start: int, count: int) -> None:
        """Make neighbouring blocks free, joined with the free runs around them."""
        self.free += count
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and self._starts[at] == start + count:
            count += self._lengths.pop(self._starts.pop(at))
        if at and self._starts[at - 1] + self._lengths[self._starts[at - 1]] == start:
            self._lengths[self._starts[at - 1]] += count
        else:
            self._starts.insert(at, start)
            self._lengths[start] = count
