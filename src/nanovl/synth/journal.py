"""Where the worker of a shard is, written so that it outlives the worker.

    OUT/shards/.tmp-at-000007         index in work; there as long as somebody works on the shard
    OUT/shards/.tmp-crashes-000007    how often an index took its worker along

The first file makes progress visible across processes and machines, and says after a death which
sample it was. Both are scratch: a new run starts without them, so that killing a run never counts
against a sample. Must not decide anything.

Source: data synthesis specification, sections 18.2 and 18.4.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanovl.synth.shards import Shard

__all__ = [
    "KILLS",
    "SCRATCH",
    "Journal",
    "deaths",
    "forget",
    "given_up",
    "note_death",
    "position",
    "was_left",
]

SCRATCH = ".tmp-"
"""What every file begins with that means nothing to a later run."""

KILLS = 3
"""Worker deaths on one sample after which it is given up."""

_START = -1  # a worker that died before its first sample


def _at_file(shard: Shard) -> Path:
    return shard.out / "shards" / f"{SCRATCH}at-{shard.stem}"


def _crash_file(shard: Shard) -> Path:
    return shard.out / "shards" / f"{SCRATCH}crashes-{shard.stem}"


class Journal:
    """Says which index is in work; a context manager."""

    def __init__(self, shard: Shard) -> None:
        self._path = _at_file(shard)
        self._file: int | None = None

    def __enter__(self) -> Journal:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        return self

    def at(self, index: int) -> None:
        """Work on an index begins. Losing this note to a full disk is harmless."""
        assert self._file is not None
        with contextlib.suppress(OSError):
            os.pwrite(self._file, b"%020d" % index, 0)

    def __exit__(self, *exception: object) -> None:
        assert self._file is not None
        os.close(self._file)
        self._path.unlink(missing_ok=True)


def position(shard: Shard) -> int | None:
    """The index in work; None before the first, after the last and when nobody works."""
    try:
        text = _at_file(shard).read_bytes()
        return int(text) if text else None
    except (OSError, ValueError):
        return None


def was_left(shard: Shard) -> bool:
    """Whether somebody began this shard and neither finished nor failed."""
    return _at_file(shard).exists()


def note_death(shard: Shard) -> None:
    """A worker died over this shard: count it against the sample, remove what it was writing."""
    index = position(shard)
    counts = _counts(shard)
    counts[_START if index is None else index] += 1
    target = _crash_file(shard)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}-{os.getpid()}")
    scratch.write_text(json.dumps({str(k): v for k, v in sorted(counts.items())}), encoding="utf-8")
    scratch.replace(target)
    _at_file(shard).unlink(missing_ok=True)
    for stem in (shard.stem, shard.tar_file.stem):
        for left in target.parent.glob(f"{SCRATCH}*-{stem}.*"):
            left.unlink(missing_ok=True)


def deaths(shard: Shard) -> int:
    """Deaths of workers before they began with a sample."""
    return _counts(shard)[_START]


def given_up(shard: Shard) -> frozenset[int]:
    """Indices that took too many workers along."""
    return frozenset(k for k, v in _counts(shard).items() if v >= KILLS and k != _START)


def forget(shard: Shard) -> None:
    """The shard is complete."""
    _crash_file(shard).unlink(missing_ok=True)


def _counts(shard: Shard) -> Counter[int]:
    try:
        found = json.loads(_crash_file(shard).read_text(encoding="utf-8"))
        return Counter({int(k): int(v) for k, v in found.items()})
    except (OSError, ValueError):
        return Counter()
