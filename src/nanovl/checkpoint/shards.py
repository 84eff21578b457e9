"""Writing a checkpoint folder: tensors into shards, the index, and all or nothing on disk.

Work arrives as jobs. A job declares the tensors it makes and, when its turn comes, makes them one
after the other; nothing is held in memory longer than that. The folder takes its final name only
when everything is written.

Source: model specification, section 9.8.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nanovl.checkpoint.hf import INDEX_NAME, SINGLE_NAME
from nanovl.checkpoint.safetensors_io import SafetensorsWriter, TensorSpec, disk_errors
from nanovl.core.errors import CheckpointError
from nanovl.core.events import Event, OnEvent, ignore_event

__all__ = ["DEFAULT_SHARD_BYTES", "Job", "Put", "atomic_folder", "write_json", "write_shards"]

DEFAULT_SHARD_BYTES = 5_000_000_000

# Called with name, data and, for a part of a tensor, the number of its first row.
Put = Callable[[str, torch.Tensor, int | None], None]


@dataclass(frozen=True)
class Job:
    """Some tensors that are made together.

    Attributes:
        specs: What `run` will put, completely.
        run: Makes the tensors and hands them over.
    """

    specs: tuple[TensorSpec, ...]
    run: Callable[[Put], None]

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(spec.nbytes for spec in self.specs)


@contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A scratch folder beside `target` that takes its place when the block ends well.

    Args:
        target: Final folder; must not exist, be empty, or hold a checkpoint to `overwrite`.
        overwrite: Whether a checkpoint that is already there may be replaced.

    Raises:
        CheckpointError: The target is in the way, or the disk cannot be written.
    """
    target = target.expanduser().resolve()
    _check_target(target, overwrite)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = _sibling(target, "partial")
        scratch.mkdir()
    try:
        yield scratch
        with disk_errors(target):
            _swap(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sibling(target: Path, suffix: str) -> Path:
    """A name nobody uses, on the same disk."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{suffix}")


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_file():
        raise CheckpointError(f"{target}: is a file, expected a folder to write a checkpoint to")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not overwrite:
        raise CheckpointError(
            f"{target}: the folder is not empty; choose another one or allow overwriting"
        )
    if not (target / "config.json").is_file():
        raise CheckpointError(
            f"{target}: the folder holds something other than a checkpoint (no config.json) and "
            "is not overwritten; choose another one"
        )


def _swap(scratch: Path, target: Path) -> None:
    if not target.exists():
        scratch.rename(target)
        return
    if not any(target.iterdir()):
        target.rmdir()
        scratch.rename(target)
        return
    old = _sibling(target, "old")
    target.rename(old)
    try:
        scratch.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file people can read.

    Raises:
        CheckpointError: The disk is full or cannot be written.
    """
    with disk_errors(path):
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def write_shards(
    folder: Path,
    jobs: Sequence[Job],
    *,
    max_shard_bytes: int = DEFAULT_SHARD_BYTES,
    on_event: OnEvent = ignore_event,
) -> int:
    """Write the tensors of all jobs into one file, or into shards with an index.

    Args:
        folder: An existing folder.
        jobs: Work in the order of the files; the tensors of one job stay in one shard.
        max_shard_bytes: Largest amount of data per shard; a single larger job gets its own.
        on_event: Told about bytes written.

    Returns:
        Bytes of tensor data.

    Raises:
        CheckpointError: Not enough room, or the disk cannot be written.
    """
    total = sum(job.nbytes for job in jobs)
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if total > free:
        raise CheckpointError(
            f"{folder.parent}: the checkpoint needs {total / 1e9:.2f} GB, the disk has "
            f"{free / 1e9:.2f} GB free; free some space or choose another disk"
        )
    groups = _group(jobs, max_shard_bytes)
    done = 0
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        name = SINGLE_NAME
        if len(groups) > 1:
            name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        specs = [spec for job in group for spec in job.specs]
        weight_map.update({spec.name: name for spec in specs})
        with SafetensorsWriter(folder / name, specs) as writer:
            for job in group:
                job.run(writer.write)
                done += job.nbytes
                on_event(Event(name="write", done=done, total=total, unit="bytes"))
    if len(groups) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        write_json(folder / INDEX_NAME, index)
    return total


def _group(jobs: Sequence[Job], limit: int) -> list[list[Job]]:
    groups: list[list[Job]] = [[]]
    size = 0
    for job in jobs:
        if groups[-1] and size + job.nbytes > limit:
            groups.append([])
            size = 0
        groups[-1].append(job)
        size += job.nbytes
    return groups
