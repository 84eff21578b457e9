"""Records of a blend, one after the other, from any point again.

The order is a function of the seed; the state is a handful of counters. Every shard takes its own
part of every source's order, so that together the shards see each record once per pass. Records
that cannot be read are reported and passed over. Knows nothing about tokens or pixels.

Source: training specification, sections 3.3 and 8.2.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import Source
from nanovl.data.drops import Dropped
from nanovl.data.jsonl import JsonlFile
from nanovl.data.media import MediaStore, open_media
from nanovl.data.records import Record
from nanovl.data.shuffle import Permutation, draw_below, draw_unit

__all__ = ["OnDrop", "RecordStream", "StreamItem"]

OnDrop = Callable[[str, str, str], None]
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StreamItem:
    """One draw.

    Attributes:
        key: "source/line/pass"; no two draws of a run have the same.
        record: What was read.
        store: Where its media is.
        source: For metrics: the record's own source, or the blend's name for the file.
        draw: Number of the draw in this shard.
    """

    key: str
    record: Record
    store: MediaStore
    source: str
    draw: int


class RecordStream(Iterator[StreamItem]):
    """Draws from the sources of a blend.

    With weights the draws never end; with repetitions, or a number of epochs, every record is drawn
    as often as they say (over all shards) and the stream ends.

    Args:
        sources: Leaves of a blend.
        seed: Of the order.
        shard: Number of this shard, and how many there are.
        shuffle: False reads each source in the order of its file.
        epochs: Passes over the data (over its repetitions, where it has any); None follows the
            blend.
        limit: End after so many draws of this shard.
        on_drop: Called with source, reason and message of a record that cannot be used.

    Raises:
        ConfigError: Weighted and repeated sources mixed, or numbers that mean nothing.
        InputError: A record file or media store that cannot be opened, or is empty.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        seed: int,
        shard: tuple[int, int] = (0, 1),
        shuffle: bool = True,
        epochs: int | None = None,
        limit: int | None = None,
        on_drop: OnDrop | None = None,
    ) -> None:
        _check(sources, shard, epochs, limit)
        self._seed, self._shard, self._shuffle = seed, shard, shuffle
        self._epochs, self._limit = epochs, limit
        self._on_drop = on_drop
        files: dict[Path, JsonlFile] = {}
        stores: dict[tuple[Path | None, Path], MediaStore] = {}
        names = _labels(sources)
        self._orders = [
            _Order(source, name, seed, shuffle, files, stores)
            for source, name in zip(sources, names, strict=True)
        ]
        self._finite = epochs is not None or sources[0].repetitions is not None
        self._offsets, self._quotas = self._dealt()
        self._shares = list(itertools.accumulate(order.source.weight for order in self._orders))
        self._done = [0] * len(self._orders)
        self._draw = 0
        # Records in a row, per source, that could not be read.
        self._bad = [0] * len(self._orders)

    def _dealt(self) -> tuple[list[int], list[int]]:
        """Where in each source's order this shard begins, and how many draws it takes of it.

        The orders of all sources form one row, and a shard takes every n-th place of it, so no
        shard gets more than one draw more than another.
        """
        index, count = self._shard
        offsets, quotas, before = [], [], 0
        for order in self._orders:
            offset = (index - before) % count
            offsets.append(offset)
            if self._finite:
                repetitions = order.source.repetitions
                passes = (1.0 if repetitions is None else repetitions) * (self._epochs or 1)
                total = round(order.size * passes)
                quotas.append(max(0, -(-(total - offset) // count)))
                before += total
        return offsets, quotas

    @property
    def total(self) -> int | None:
        """Draws this shard makes from beginning to end; None when it never ends."""
        if not self._finite:
            return self._limit
        total = sum(self._quotas)
        return total if self._limit is None else min(total, self._limit)

    def __iter__(self) -> RecordStream:
        return self

    def __next__(self) -> StreamItem:
        """The next record that can be read.

        Raises:
            StopIteration: All draws are made.
            InputError: Not one record of a source can be read.
        """
        total = self.total
        while total is None or self._draw < total:
            chosen = self._choose()
            order = self._orders[chosen]
            place = self._done[chosen] * self._shard[1] + self._offsets[chosen]
            draw = self._draw
            self._done[chosen] += 1
            self._draw += 1
            index, turn = order.at(place)
            try:
                record = order.read(index)
            except InputError as error:
                self._dropped(chosen, error)
                continue
            self._bad[chosen] = 0
            return StreamItem(
                key=f"{order.name}/{order.file.line_number(index)}/{turn}",
                record=record,
                store=order.store,
                source=record.source or order.source.name,
                draw=draw,
            )
        raise StopIteration

    def _choose(self) -> int:
        """The source of the next draw."""
        if self._finite:
            left = [quota - done for quota, done in zip(self._quotas, self._done, strict=True)]
            if not self._shuffle:
                return next(i for i, n in enumerate(left) if n)
            ends = list(itertools.accumulate(left))
            return bisect.bisect_right(ends, draw_below(ends[-1], self._key()))
        if len(self._orders) == 1:
            return 0
        point = draw_unit(self._key()) * self._shares[-1]
        # Rounding must not lead past the last source that has a share.
        return min(
            bisect.bisect_right(self._shares, point),
            bisect.bisect_left(self._shares, self._shares[-1]),
        )

    def _key(self) -> str:
        index, count = self._shard
        return f"source/{self._seed}/{index}/{count}/{self._draw}"

    def _dropped(self, chosen: int, error: InputError) -> None:
        order = self._orders[chosen]
        if self._on_drop is not None:
            if isinstance(error, Dropped):
                self._on_drop(order.source.name, error.reason, error.message)
            else:
                self._on_drop(order.source.name, "malformed_record", str(error))
        self._bad[chosen] += 1
        if not self._finite and self._bad[chosen] >= order.size:
            raise InputError(
                f"{order.source.path}: not one of its {order.size} records can be used, the last: "
                f"{error}"
            ) from error

    # --- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, in plain values that `json` takes."""
        return {"draw": self._draw, "done": list(self._done), "of": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            ConfigError: It was taken of another stream; says what differs.
        """
        mine, theirs = self._identity(), dict(state.get("of", {}))
        for key, value in mine.items():
            if theirs.get(key) != value:
                raise ConfigError(
                    f"record stream: the saved state has {_difference(key, theirs.get(key), value)}"
                    "; continue with the same data and layout, or start the data anew"
                )
        self._draw = int(state["draw"])
        self._done = [int(n) for n in state["done"]]
        self._bad = [0] * len(self._orders)

    def _identity(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "seed": self._seed,
            "shard": list(self._shard),
            "shuffle": self._shuffle,
            "epochs": self._epochs,
            "limit": self._limit,
            "sources": [order.facts() for order in self._orders],
        }


class _Order:
    """One source: its file, its media, and which record is at which place of its order."""

    def __init__(
        self,
        source: Source,
        name: str,
        seed: int,
        shuffle: bool,
        files: dict[Path, JsonlFile],
        stores: dict[tuple[Path | None, Path], MediaStore],
    ) -> None:
        self.source, self.name = source, name
        if source.path not in files:
            files[source.path] = JsonlFile(source.path)
        self.file = files[source.path]
        stop = len(self.file) if source.stop is None else source.stop
        if stop > len(self.file):
            raise InputError(
                f"{source.path}: has {len(self.file)} records, but the blend uses {source.start} "
                f"to {stop}; it was changed after the blend was read"
            )
        self.size = stop - source.start
        if self.size <= 0:
            raise InputError(f"{source.path}: no records between {source.start} and {stop}")
        base = source.path.parent
        if (source.media, base) not in stores:
            stores[source.media, base] = open_media(source.media, base)
        self.store = stores[source.media, base]
        self._passes = source.shuffle_over_epochs if shuffle else None
        self._seed = seed
        self._current: tuple[int, Permutation] | None = None

    def at(self, place: int) -> tuple[int, int]:
        """Record of the file, and pass, at a place of the endless order."""
        if self._passes is None:
            return self.source.start + place % self.size, place // self.size
        key = f"{self._seed}/{self.name}/{self.size}"
        if self._passes == -1:
            return self.source.start + draw_below(self.size, f"place/{key}/{place}"), place
        window, within = divmod(place, self.size * self._passes)
        if self._current is None or self._current[0] != window:
            self._current = window, Permutation(self.size * self._passes, f"{key}/{window}")
        turn, index = divmod(self._current[1][within], self.size)
        return self.source.start + index, window * self._passes + turn

    def read(self, index: int) -> Record:
        """A record.

        Raises:
            InputError: The line is no record.
        """
        return Record.from_json(self.file[index], where=self.file.where(index))

    def facts(self) -> list[Any]:
        """What the order depends on."""
        source = self.source
        return [
            self.name,
            source.start,
            self.size,
            self.file.size_bytes,
            source.weight if source.repetitions is None else source.repetitions,
            source.shuffle_over_epochs,
        ]


def _labels(sources: Sequence[Source]) -> list[str]:
    """A name of its own for every source: a second "charts" becomes "charts#2"."""
    seen: Counter[str] = Counter()
    labels = []
    for source in sources:
        seen[source.name] += 1
        again = seen[source.name]
        labels.append(source.name if again == 1 else f"{source.name}#{again}")
    return labels


def _check(
    sources: Sequence[Source], shard: tuple[int, int], epochs: int | None, limit: int | None
) -> None:
    if not sources:
        raise ConfigError("record stream: got no sources, expected at least one")
    index, count = shard
    if not 0 <= index < count:
        raise ConfigError(f"record stream: shard {index} of {count}; expected 0 to {count - 1}")
    for name, value in (("epochs", epochs), ("limit", limit)):
        if value is not None and value < 1:
            raise ConfigError(f"record stream: {name}: got {value}, expected at least 1")
    if len({source.repetitions is None for source in sources}) > 1:
        raise ConfigError("record stream: some sources have weights and some have repetitions")
    endless = sources[0].repetitions is None and epochs is None
    if endless and not sum(source.weight for source in sources) > 0:
        raise ConfigError("record stream: all weights are 0")


def _difference(key: str, theirs: Any, mine: Any) -> str:
    if key == "sources" and isinstance(theirs, list):
        if len(theirs) != len(mine):
            return f"{len(theirs)} sources, not {len(mine)}"
        words = ("name", "first record", "records", "bytes", "weight or repetitions", "shuffling")
        for number, (a, b) in enumerate(zip(theirs, mine, strict=True), start=1):
            for word, x, y in zip(words, a, b, strict=False):
                if x != y:
                    return f"source {number} ({b[0]}) with {word} {x!r}, not {y!r}"
    return f"{key} {theirs!r}, not {mine!r}"
