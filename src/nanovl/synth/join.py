"""The records of all shards in one file, with the index energon wants beside it.

    OUT/NAME.jsonl          records in the order of the shards
    OUT/NAME.jsonl.idx      where each one begins and the last one ends (little-endian uint64)

Together with OUT/media this is a data set in the released layout, which the plain loader and
megatron-energon read as it is. Must not look into records.

Source: data synthesis specification, section 18.5; training specification, section 8.4, point 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nanovl.core.errors import InputError
from nanovl.synth.journal import SCRATCH
from nanovl.synth.shards import Shard, unwritable

__all__ = ["index_of", "join", "write_lines"]

_BLOCK = 1 << 24


def join(out: Path, shards: Sequence[Shard], *, changed: bool = True) -> Path:
    """Put the records of complete shards into one file, in order.

    Args:
        out: The data set's folder.
        shards: All of it.
        changed: Whether a shard was made since the file was written; without, a file of the right
            length is left as it is.

    Returns:
        OUT/NAME.jsonl.

    Raises:
        InputError: A shard is not complete.
        NanoVLError: The folder cannot be written.
    """
    target = out / f"{out.resolve().name}.jsonl"
    parts = [shard.record_file for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        if not shard.done_file.is_file() or not part.is_file():
            raise InputError(f"{part}: shard {shard.number} is not complete; run it again")
    if not changed and _is_whole(target, sum(part.stat().st_size for part in parts)):
        return target
    write_lines(target, (block for part in parts for block in _blocks(part)))
    return target


def write_lines(target: Path, blocks: Iterator[bytes]) -> None:
    """Write a record file and its index, both or none.

    Args:
        target: The `.jsonl`.
        blocks: Its bytes in pieces of any length; every line ends with a line break.

    Raises:
        NanoVLError: The folder cannot be written.
    """
    index = index_of(target)
    scratches = [p.with_name(f"{SCRATCH}{os.getpid()}-{p.name}") for p in (target, index)]
    try:
        with scratches[0].open("wb") as joined, scratches[1].open("wb") as starts:
            starts.write((0).to_bytes(8, "little"))
            written = 0
            for block in blocks:
                joined.write(block)
                ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + written + 1
                starts.write(ends.astype("<u8").tobytes())
                written += len(block)
            for file in (joined, starts):
                file.flush()
                os.fsync(file.fileno())
        for scratch, path in zip(scratches, (target, index), strict=True):
            scratch.replace(path)
    except OSError as error:
        raise unwritable(target.parent, error) from error
    finally:
        for scratch in scratches:
            scratch.unlink(missing_ok=True)


def index_of(records: Path) -> Path:
    """Where energon looks for the index of a record file."""
    return records.with_name(f"{records.name}.idx")


def _is_whole(target: Path, size_bytes: int) -> bool:
    try:
        if target.stat().st_size != size_bytes:
            return False
        with index_of(target).open("rb") as file:
            file.seek(-8, os.SEEK_END)
            return int.from_bytes(file.read(8), "little") == size_bytes
    except OSError:
        return False


def _blocks(path: Path) -> Iterator[bytes]:
    file: BinaryIO
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
