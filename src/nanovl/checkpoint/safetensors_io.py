"""The safetensors format: one file, read and written tensor by tensor.

Files are read with plain `seek` and `readinto` into tensors of the exact size, never through a
memory map, so that resident memory is what the caller keeps. A header is validated completely
before any data is touched: a truncated or damaged file is found without reading its tensors. The
module knows nothing about models, shards or folders.

Source: the format description of the `safetensors` project: 8 bytes little-endian header length,
a JSON header, then the data without gaps.
"""

from __future__ import annotations

import errno
import io
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from nanovl.core.errors import CheckpointError

__all__ = [
    "DTYPES",
    "Header",
    "SafetensorsFile",
    "SafetensorsWriter",
    "TensorEntry",
    "TensorSpec",
    "disk_errors",
    "dtype_name",
    "read_header",
]

DTYPES: dict[str, torch.dtype] = {
    "BF16": torch.bfloat16,
    "BOOL": torch.bool,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "I8": torch.int8,
    "U8": torch.uint8,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The reference implementation refuses longer headers; 12B shards have about 50 kB.
_MAX_HEADER_BYTES = 100_000_000
_PARTIAL_SUFFIX = ".partial"


def dtype_name(dtype: torch.dtype) -> str:
    """The name a dtype has in a header.

    Raises:
        CheckpointError: The format has no such number type here.
    """
    if dtype not in _NAMES:
        raise CheckpointError(
            f"{dtype} cannot be stored in safetensors; expected one of {', '.join(DTYPES)}"
        )
    return _NAMES[dtype]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to be written: name, header dtype ("BF16", "U8", ...) and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in a file: header dtype, shape, and its byte range after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.stop - self.start

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch calls it."""
        return DTYPES[self.dtype]


@dataclass(frozen=True)
class Header:
    """What the head of a file promises.

    Attributes:
        entries: Tensors by name, in order of their data.
        metadata: Free text pairs of `__metadata__`.
        data_start: Offset of the first data byte in the file.
        file_size: Size of the file in bytes.
    """

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_start: int
    file_size: int


def read_header(path: Path) -> Header:
    """Read and validate the header of a file; no tensor data is read.

    Args:
        path: A `.safetensors` file.

    Raises:
        CheckpointError: The file is missing, truncated, too long or its header is damaged.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _parse(file, path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {what}; the file is damaged or was not downloaded completely, fetch it again"
    )


def _parse(file: io.FileIO, path: Path) -> Header:
    file_size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if len(prefix) < 8:
        raise _damaged(path, f"got {file_size} bytes, expected at least 8 for the header length")
    (length,) = struct.unpack("<Q", prefix)
    if length > _MAX_HEADER_BYTES or 8 + length > file_size:
        raise _damaged(
            path, f"header length {length} does not fit into the file of {file_size} bytes"
        )
    raw = bytearray(length)
    if not _read_into(file, memoryview(raw)):
        raise _damaged(path, f"the file ends inside its header of {length} bytes")
    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, f"the header is not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise _damaged(path, f"the header is a JSON {type(fields).__name__}, expected an object")
    metadata = fields.pop("__metadata__", {}) or {}
    if not isinstance(metadata, dict):
        raise _damaged(path, "__metadata__ is not an object")
    entries = {str(name): _entry(name, value, path) for name, value in fields.items()}
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)))
    position = 0
    for name, entry in ordered.items():
        if entry.start != position:
            problem = "overlaps another tensor" if entry.start < position else "leaves a gap"
            raise _damaged(path, f"tensor '{name}' starts at byte {entry.start} and {problem}")
        position = entry.stop
    expected = 8 + length + position
    if file_size != expected:
        problem = "is truncated" if file_size < expected else "has bytes after its last tensor"
        raise _damaged(
            path, f"the file {problem}: got {file_size} bytes, its header promises {expected}"
        )
    return Header(ordered, {str(k): str(v) for k, v in metadata.items()}, 8 + length, file_size)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {next(n for n in names if names.count(n) > 1)!r}")
    return result


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _entry(name: str, value: object, path: Path) -> TensorEntry:
    if not isinstance(value, dict):
        raise _damaged(path, f"the entry of tensor '{name}' is not an object")
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(shape, list) or not all(map(_is_size, shape)):
        raise _damaged(path, f"tensor '{name}' has shape {shape!r}, expected a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise _damaged(path, f"tensor '{name}' has data_offsets {offsets!r}, expected two offsets")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(
            f"{path}: tensor '{name}' has dtype {dtype!r}; nanovl reads {', '.join(DTYPES)}"
        )
    start, stop = offsets
    size = prod(shape) * DTYPES[dtype].itemsize
    if stop - start != size:
        raise _damaged(
            path,
            f"tensor '{name}' {dtype} {shape} needs {size} bytes, its range holds {stop - start}",
        )
    return TensorEntry(dtype, tuple(shape), start, stop)


def _read_into(file: io.FileIO, view: memoryview) -> bool:
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            return False
        done += count
    return True


def _as_bytes(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor; writes go through to it."""
    flat = tensor.detach().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(bytearray())


class SafetensorsFile:
    """An open file whose tensors are read one at a time. Use as a context manager.

    Not safe to share between threads: a read moves the file position.
    """

    def __init__(self, path: Path) -> None:
        """Open and validate a file.

        Raises:
            CheckpointError: As `read_header`.
        """
        self.path = path
        self.header = read_header(path)
        try:
            self._file: io.FileIO = path.open("rb", buffering=0)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; reading afterwards is an error."""
        self._file.close()

    def read(self, name: str, rows: tuple[int, int] | None = None) -> torch.Tensor:
        """Read one tensor into memory of its own.

        Args:
            name: Tensor name.
            rows: First and one-past-last index of dimension 0; None reads everything.

        Returns:
            A contiguous CPU tensor of the stored dtype.

        Raises:
            CheckpointError: No such tensor, or the file changed since it was opened.
        """
        entry = self.header.entries.get(name)
        if entry is None:
            raise CheckpointError(f"{self.path}: there is no tensor '{name}'")
        shape, start = entry.shape, entry.start
        if rows is not None:
            first, last = rows
            assert shape, f"{name} has no rows"
            assert 0 <= first <= last <= shape[0], (name, shape, rows)
            start += first * (entry.nbytes // shape[0] if shape[0] else 0)
            shape = (last - first, *shape[1:])
        tensor = torch.empty(shape, dtype=entry.torch_dtype)
        try:
            self._file.seek(self.header.data_start + start)
            complete = _read_into(self._file, _as_bytes(tensor))
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: tensor '{name}' cannot be read ({error.strerror})"
            ) from error
        if not complete:
            raise _damaged(self.path, f"the file ends inside tensor '{name}'")
        return tensor


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an operating system error while writing below `path` into a CheckpointError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CheckpointError(
                f"{path}: the disk is full; nothing was kept, free some space and try again"
            ) from error
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error})") from error


class SafetensorsWriter:
    """Writes one file from tensors that arrive one at a time, in any order, whole or by rows.

    The header is written first, from the declared specs. Data goes to `<name>.partial` in the same
    folder, which takes the final name when the `with` block ends well and is removed otherwise.
    """

    def __init__(
        self, path: Path, specs: Sequence[TensorSpec], metadata: Mapping[str, str] | None = None
    ) -> None:
        """Plan the file; the disk is touched on entering the `with` block.

        Args:
            path: Final name.
            specs: Every tensor of the file, in the order of its data.
            metadata: Free text pairs; the usual {"format": "pt"} when None.
        """
        self.path = path
        self._partial = path.with_name(path.name + _PARTIAL_SUFFIX)
        self._specs = {spec.name: spec for spec in specs}
        assert len(self._specs) == len(specs), "a tensor was declared twice"
        # Wide types first keeps every tensor aligned, as the reference writer does.
        ordered = sorted(specs, key=lambda s: -DTYPES[s.dtype].itemsize)
        fields: dict[str, Any] = {"__metadata__": dict(metadata or {"format": "pt"})}
        self._offsets: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        position = 0
        for spec in ordered:
            self._offsets[spec.name] = position
            self._missing[spec.name] = spec.nbytes
            fields[spec.name] = {
                "dtype": spec.dtype,
                "shape": list(spec.shape),
                "data_offsets": [position, position + spec.nbytes],
            }
            position += spec.nbytes
        head = json.dumps(fields, separators=(",", ":")).encode("utf-8")
        head += b" " * (-len(head) % 8)
        self._head = struct.pack("<Q", len(head)) + head
        self._size = len(self._head) + position
        self._file: io.FileIO | None = None

    def __enter__(self) -> SafetensorsWriter:
        with disk_errors(self.path):
            self._file = self._partial.open("wb", buffering=0)
            try:
                self._put(0, memoryview(self._head))
            except OSError:
                self._discard()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        if kind is None:
            missing = sorted(name for name, left in self._missing.items() if left)
            try:
                assert not missing, f"{self.path.name}: tensors never written: {missing[:3]}"
                with disk_errors(self.path):
                    self._file.truncate(self._size)
                    self._file.close()
                    os.replace(self._partial, self.path)
                return
            except BaseException:
                self._discard()
                raise
        self._discard()

    def _discard(self) -> None:
        assert self._file is not None
        self._file.close()
        with suppress(OSError):
            self._partial.unlink()

    def _put(self, offset: int, view: memoryview) -> None:
        assert self._file is not None
        self._file.seek(offset)
        done = 0
        while done < len(view):
            done += self._file.write(view[done : done + (64 << 20)]) or 0

    def write(self, name: str, tensor: torch.Tensor, row: int | None = None) -> None:
        """Write a tensor, or some of its rows.

        Args:
            name: A declared name.
            tensor: Data of the declared dtype; the declared shape, or (rows, *rest) with `row`.
            row: Index in dimension 0 of the first row given; None for the whole tensor.

        Raises:
            CheckpointError: The disk is full or cannot be written.
        """
        spec = self._specs[name]
        tensor = tensor.detach()
        assert tensor.dtype == DTYPES[spec.dtype], (name, tensor.dtype, spec.dtype)
        offset = len(self._head) + self._offsets[name]
        if row is None:
            assert tuple(tensor.shape) == spec.shape, (name, tuple(tensor.shape), spec.shape)
        else:
            assert tuple(tensor.shape[1:]) == spec.shape[1:], (name, tuple(tensor.shape))
            assert 0 <= row <= row + tensor.shape[0] <= spec.shape[0], (name, row)
            offset += row * (spec.nbytes // spec.shape[0])
        view = _as_bytes(tensor.cpu().contiguous())
        with disk_errors(self.path):
            self._put(offset, view)
        self._missing[name] -= len(view)
        assert self._missing[name] >= 0, f"{name} was written twice"
