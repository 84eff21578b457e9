"""Features of all units in one SQLite file, and the passes that compare them.

Memory does not grow with the data. The first of several equal samples stays, in the order they
were added. Must not read data sets.

Source: data synthesis specification, section 19 (exact, near, picture duplicates; split integrity).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from nanovl.synth.quality.config import Finding
from nanovl.synth.quality.datasets import Dataset
from nanovl.synth.quality.images import distance
from nanovl.synth.quality.inspect import Features
from nanovl.synth.quality.texts import bands, similarity

__all__ = ["Store"]

_CANDIDATES = 64  # earlier texts of one band that are compared

_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
CREATE TABLE units (number INTEGER PRIMARY KEY, dataset INTEGER, id TEXT, exact BLOB, said INTEGER,
    signature BLOB, prints TEXT, source TEXT);
CREATE TABLE gone (number INTEGER PRIMARY KEY);
CREATE TABLE bands (hash INTEGER, dataset INTEGER, number INTEGER);
"""
_INDEX = """
CREATE INDEX by_exact ON units (exact, number);
CREATE INDEX by_said ON units (said, number);
CREATE INDEX by_source ON units (source);
"""


class Store:
    """A scratch file; a context manager.

    Args:
        path: A new file.
        datasets: All that are checked.
    """

    def __init__(self, path: Path, datasets: Sequence[Dataset]) -> None:
        self._datasets = datasets
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.executescript(_SCHEMA)
        self._base.execute("BEGIN")
        self._count = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    def add(self, dataset: int, features: Sequence[Features]) -> None:
        """Remember units of a data set, in order."""
        for one in features:
            row = (
                self._count,
                dataset,
                one.id,
                one.exact,
                one.said,
                one.signature,
                " ".join(map(str, one.prints)),
                one.group,
            )
            self._base.execute("INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._count += 1

    def finish(self) -> None:
        """All units are there."""
        self._base.executescript(_INDEX)
        self._base.execute("BEGIN")  # what the passes add is never read by anybody else

    # --- passes ---------------------------------------------------------------------------------

    def exact_duplicates(self) -> Iterator[Finding]:
        """Units whose ground truth an earlier one has, in any data set."""
        rows = self._base.execute(
            "SELECT b.number, b.dataset, b.id, a.dataset, a.id FROM units b JOIN units a "
            "ON a.number = (SELECT min(number) FROM units WHERE exact = b.exact) "
            "WHERE a.number < b.number ORDER BY b.number"
        ).fetchall()
        for number, dataset, name, first_dataset, first in rows:
            self._drop(number)
            yield self._finding("exact_duplicate", dataset, name, self._like(first_dataset, first))

    def image_duplicates(self, bits: int) -> Iterator[Finding]:
        """Units that say the same as an earlier one and whose pictures look like its pictures."""
        same = self._base.execute(
            "SELECT said FROM units WHERE prints != '' GROUP BY said HAVING count(*) > 1"
        ).fetchall()
        for (said,) in same:
            kept: list[tuple[list[int], int, str]] = []
            rows = self._base.execute(
                "SELECT number, dataset, id, prints FROM units WHERE said = ? AND prints != '' AND "
                "number NOT IN (SELECT number FROM gone) ORDER BY number LIMIT 10000",
                (said,),
            ).fetchall()
            for number, dataset, name, text in rows:
                prints = [int(part) for part in text.split()]
                like = next((k for k in kept if _alike(k[0], prints, bits)), None)
                if like is None:
                    kept.append((prints, dataset, name))
                    continue
                self._drop(number)
                yield self._finding("image_duplicate", dataset, name, self._like(*like[1:]))

    def near_duplicates(self, threshold: float) -> Iterator[Finding]:
        """Units whose text is nearly that of an earlier one of the same data set and split."""
        self._base.execute("CREATE INDEX by_band ON bands (hash, dataset)")
        last = -1
        while True:
            row = self._base.execute(
                "SELECT number, dataset, id, signature FROM units WHERE number > ? AND signature "
                "IS NOT NULL AND number NOT IN (SELECT number FROM gone) ORDER BY number LIMIT 1",
                (last,),
            ).fetchone()
            if row is None:
                return
            last, dataset, name, raw = row
            sign = np.frombuffer(raw, np.uint32)
            keys = bands(sign)
            best = (0.0, "")
            for number in self._near(keys, dataset):
                first, other = self._base.execute(
                    "SELECT id, signature FROM units WHERE number = ?", (number,)
                ).fetchone()
                best = max(best, (similarity(sign, np.frombuffer(other, np.uint32)), str(first)))
            if best[0] > threshold:
                self._drop(last)
                yield self._finding(
                    "near_duplicate", dataset, name, f"{best[0]:.2f} of the text of {best[1]}"
                )
                continue
            self._base.executemany(
                "INSERT INTO bands VALUES (?, ?, ?)", ((key, dataset, last) for key in keys)
            )

    def split_leaks(self) -> Iterator[Finding]:
        """Units of the training split whose source is in another split too."""
        splits = [dataset.split for dataset in self._datasets]
        rows = self._base.execute(
            "SELECT source FROM units WHERE source != '' GROUP BY source "
            "HAVING count(DISTINCT dataset) > 1 ORDER BY source"
        ).fetchall()
        for (source,) in rows:
            members = self._base.execute(
                "SELECT number, dataset, id FROM units WHERE source = ? ORDER BY number", (source,)
            ).fetchall()
            found = sorted({splits[dataset] for _, dataset, _ in members})
            if len(found) < 2:
                continue
            kept = next((s for s in found if s != "train"), found[0])
            for number, dataset, name in members:
                if splits[dataset] != kept:
                    self._drop(number)
                    text = f"source {source!r} is in {', '.join(found)}; {kept} keeps it"
                    yield self._finding("split_leak", dataset, name, text)

    # --- helpers --------------------------------------------------------------------------------

    def _near(self, keys: Sequence[int], dataset: int) -> list[int]:
        found: dict[int, None] = {}
        for key in keys:
            rows = self._base.execute(
                "SELECT number FROM bands WHERE hash = ? AND dataset = ? LIMIT ?",
                (key, dataset, _CANDIDATES),
            ).fetchall()
            found.update((number, None) for (number,) in rows)
        return list(found)

    def _drop(self, number: int) -> None:
        self._base.execute("INSERT OR IGNORE INTO gone VALUES (?)", (number,))

    def _like(self, dataset: int, name: str) -> str:
        return f"like {name} of {self._datasets[dataset].name}"

    def _finding(self, rule: str, dataset: int, name: str, message: str) -> Finding:
        return Finding(
            rule=rule, dataset=self._datasets[dataset].name, sample=name, message=message
        )


def _alike(a: Sequence[int], b: Sequence[int], bits: int) -> bool:
    return len(a) == len(b) and all(distance(x, y) <= bits for x, y in zip(a, b, strict=True))
