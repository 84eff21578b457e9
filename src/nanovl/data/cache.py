"""Files that are made from other files and can be made again: indexes, unpacked copies.

They live under `<home>/cache/data`, appear only when they are complete, and are made by one process
while others wait. Knows nothing about what is in them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nanovl.core import paths

try:
    import fcntl
except ImportError:  # not on Windows: several processes may then make the same file at once
    fcntl = None  # type: ignore[assignment]

__all__ = ["cache_file", "file_identity", "locked", "replacing"]


def cache_file(identity: str, suffix: str) -> Path:
    """Where something made from `identity` (any text) is kept; nothing is created."""
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return paths.home() / "cache" / "data" / f"{digest}{suffix}"


def file_identity(path: Path) -> str:
    """A text that changes when a file does: path, time of change and size.

    Raises:
        OSError: There is no such file.
    """
    facts = path.stat()
    return f"{path.resolve()}|{facts.st_mtime_ns}|{facts.st_size}"


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """One process at a time for a target; the lock goes with the process that holds it.

    Raises:
        OSError: The folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("wb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """An empty new file that takes the place of `target` when the block ends without an error.

    Raises:
        OSError: The folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".tmp")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
