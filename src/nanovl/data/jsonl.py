"""Files of one JSON object per line: read in order, or line by line at random.

Random access goes through an array of byte offsets made in one pass over the file; a compressed
file is unpacked once into the cache. Knows nothing about what the objects mean.
"""

from __future__ import annotations

import gzip
import json
import mmap
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nanovl.core.errors import InputError
from nanovl.data.cache import cache_file, file_identity, locked, replacing

__all__ = ["JsonlFile", "parse_line", "read_jsonl"]

_BLOCK = 1 << 24
# Offsets of files from this size on are worth remembering.
_LARGE = 1 << 26
# No line of a record is shorter. A longer line of nothing but blanks reads as broken JSON.
_SHORT = 16
_Offsets = np.ndarray[Any, np.dtype[np.int64]]


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """Objects of a file with their line numbers, from 1; blank lines are skipped.

    Args:
        path: A `.jsonl` or `.jsonl.gz` file, UTF-8.

    Raises:
        InputError: The file cannot be read, or a line is not JSON; names line and column.
    """
    path = Path(path)
    with _opened(path) as file:
        lines = enumerate(file, start=1)
        while True:
            try:
                number, line = next(lines)
            except StopIteration:
                return
            except (OSError, EOFError, zlib.error) as error:
                raise _unreadable(path, error) from error
            if line.strip():
                yield number, parse_line(line, f"{path}:{number}")


def parse_line(line: bytes, where: str) -> Any:
    """One line's object.

    Raises:
        InputError: It is not JSON in UTF-8; `where` and the column are named.
    """
    try:
        return json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{where}:{error.colno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{where}:{error.start + 1}: not UTF-8 text ({error.reason})") from error
    except RecursionError as error:
        raise InputError(f"{where}: not JSON that can be read: nested too deeply") from error


class JsonlFile:
    """The objects of a file by number; blank lines do not count.

    May be used by several threads and inherited by forked processes; pickles as its path. The
    offsets of large files are kept in the cache, where processes share them.

    Args:
        path: A `.jsonl` or `.jsonl.gz` file.

    Raises:
        InputError: The file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        plain = unpacked(self.path) if self.path.suffix == ".gz" else self.path
        try:
            with plain.open("rb") as file:
                self.size_bytes = os.fstat(file.fileno()).st_size
                # Mapped, not sought in: threads and forks share no position.
                self._bytes: mmap.mmap | bytes = b""
                if self.size_bytes:
                    self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                if self.size_bytes < _LARGE:
                    self._starts, self._lines = _scan(file, self._bytes)
                else:
                    self._starts, self._lines = _cached_scan(plain, file, self._bytes)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def __len__(self) -> int:
        return len(self._starts)

    def __reduce__(self) -> tuple[type[JsonlFile], tuple[Path]]:
        return type(self), (self.path,)

    def line_number(self, index: int) -> int:
        """The line an object stands on, from 1."""
        self._check(index)
        return index + 1 if self._lines is None else int(self._lines[index])

    def where(self, index: int) -> str:
        """File name and line of an object, for messages."""
        return f"{self.path.name}:{self.line_number(index)}"

    def line(self, index: int) -> bytes:
        """The bytes of an object, without the end of the line."""
        self._check(index)
        start = int(self._starts[index])
        end = self._bytes.find(b"\n", start)
        return self._bytes[start : end if end >= 0 else self.size_bytes]

    def __getitem__(self, index: int) -> Any:
        """An object.

        Raises:
            InputError: The line is not JSON.
            IndexError: There are fewer.
        """
        return parse_line(self.line(index), self.where(index))

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self._starts):
            raise IndexError(f"{self.path}: object {index} of {len(self._starts)}")


def _scan(file: BinaryIO, data: mmap.mmap | bytes) -> tuple[_Offsets, _Offsets | None]:
    """Byte offsets (int64) of lines that are not blank, and their numbers where some are blank."""
    found: list[_Offsets] = [np.zeros(1, np.int64)]
    base = 0
    while block := file.read(_BLOCK):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 0x0A)
        found.append(ends.astype(np.int64) + (base + 1))
        base += len(block)
    starts = np.concatenate(found)
    lengths = np.diff(starts, append=base)
    kept = lengths > 0
    for index in np.flatnonzero(kept & (lengths <= _SHORT)):
        start = int(starts[index])
        kept[index] = bool(data[start : start + int(lengths[index])].strip())
    numbers = np.flatnonzero(kept) + 1
    # Where only the end of the file is blank, the numbers are those of the objects.
    simple = len(numbers) == 0 or int(numbers[-1]) == len(numbers)
    return starts[kept], None if simple else numbers


def _cached_scan(
    path: Path, file: BinaryIO, data: mmap.mmap | bytes
) -> tuple[_Offsets, _Offsets | None]:
    """As `_scan`, remembered beside the unpacked files under path, time and size."""
    target = cache_file(file_identity(path), ".offsets.npy")
    try:
        table = np.load(target, mmap_mode="r")
    except (OSError, ValueError):  # not there yet, or cut off
        starts, lines = _scan(file, data)
        table = starts[None] if lines is None else np.stack((starts, lines))
        # Without a place for it everything works, only slower.
        with suppress(OSError), replacing(target) as new, new.open("wb") as out:
            np.save(out, table)
    return table[0], table[1] if len(table) > 1 else None


def unpacked(path: Path) -> Path:
    """A plain copy of a `.gz` file, kept in the cache under path, time and size.

    Raises:
        InputError: The file cannot be read or is damaged.
    """
    try:
        target = cache_file(file_identity(path), ".jsonl")
        with gzip.open(path, "rb") as file:
            if not target.exists():
                _unpack(file, target, path)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    return target


def _unpack(file: gzip.GzipFile, target: Path, path: Path) -> None:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(target))
            if target.exists():  # made while this process waited
                return
            out = stack.enter_context(stack.enter_context(replacing(target)).open("wb"))
        except OSError as error:
            raise InputError(
                f"{path}: reading at random needs an unpacked copy, and {target.parent} cannot be "
                f"written ({error.strerror}); unpack the file yourself, or set NANOVL_HOME"
            ) from error
        shutil.copyfileobj(file, out, _BLOCK)


def _opened(path: Path) -> BinaryIO:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; check the path")
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return InputError(f"{path}: damaged or cut off gzip file ({error}); get it again")
    return InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")
