"""Weights that were converted while loading, kept for the next start.

A large checkpoint held as INT8 or INT4 is converted once: the converted linears go to one file per
checkpoint and format below `<home>/cache/quant`, and the next start reads them in place of the
originals. The file is named after the contents it was made from, appears when it is complete, and
may be removed at any time. Everything that goes wrong with it is a warning: the model is converted
again, never refused. Knows nothing of the model the linears stand in.

Source: quantization specification, section 6.3.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from nanovl import __version__
from nanovl.checkpoint.hf import CheckpointFiles
from nanovl.checkpoint.layouts import NANOVL, lay_out, repack, specs
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import SafetensorsFile, SafetensorsWriter
from nanovl.checkpoint.sources import build_linear
from nanovl.core import paths
from nanovl.core.errors import CheckpointError
from nanovl.quant.linear import QuantizedLinear

__all__ = ["KEEP_FROM_BYTES", "KEPT_BYTES", "ConvertedLinears", "cache_folder", "cache_size"]

logger = logging.getLogger(__name__)

# Stored bytes of converted linears from which on keeping them pays: converting 1 GiB of BF16 takes
# about two seconds longer than reading the result.
KEEP_FROM_BYTES = 1 << 30
# Largest size of the folder; what was not used for the longest time goes first.
KEPT_BYTES = 64 << 30

# Raised when the files or the numbers in them would differ.
_VERSION = 1
_SUFFIX = ".safetensors"
_SAMPLE_BYTES = 1 << 16
# Files of a process that was killed are removed when they are older.
_ABANDONED_S = 24 * 3600.0


def cache_folder() -> Path:
    """Where converted linears are kept; not created here."""
    return paths.home() / "cache" / "quant"


def cache_size() -> int:
    """Bytes in the folder."""
    return sum(size for _, size, _ in _kept_files())


def _kept_files() -> list[tuple[Path, int, float]]:
    """Path, bytes and time of last use of everything in the folder."""
    found = []
    with suppress(OSError):
        for path in cache_folder().iterdir():
            with suppress(OSError):
                facts = path.stat()
                found.append((path, facts.st_size, facts.st_mtime))
    return found


class ConvertedLinears:
    """The converted linears of one checkpoint: read when they are kept, kept when they are not.

    Use as a context manager around loading. `get` gives a layer or None; after None the caller
    converts the layer itself and offers it to `put`.
    """

    def __init__(self, files: CheckpointFiles, layers: Iterable[StoredLinear], target: str) -> None:
        """Find out what there is; nothing is written yet.

        Args:
            files: The checkpoint.
            layers: All linears that are to be held in the format.
            target: "int8" or "int4".
        """
        changed = [layer for layer in layers if layer.label != target]
        self._results = {layer.module: lay_out(layer, target, NANOVL) for layer in changed}
        self._specs = {m: specs(result, NANOVL) for m, result in self._results.items()}
        self._reader: SafetensorsFile | None = None
        self._writer: SafetensorsWriter | None = None
        size = sum(
            files.tensors[layer.name(role)].entry.nbytes
            for layer in changed
            for role in layer.roles
        )
        self._path: Path | None = None
        if size < KEEP_FROM_BYTES:
            return
        try:
            self._path = cache_folder() / f"{_identity(files, target)}{_SUFFIX}"
        except OSError as error:
            logger.warning("converted weights cannot be kept: %s", error)

    def __enter__(self) -> ConvertedLinears:
        if self._path is not None and not self._open():
            self._begin(self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._end(kind, error, trace)

    def get(self, module: str) -> QuantizedLinear | None:
        """A kept layer; None when it has to be converted."""
        if self._reader is None or module not in self._results:
            return None
        result = self._results[module]
        try:
            found = {r: self._reader.read(result.name(r)) for r in sorted(result.roles)}
            linear = build_linear(result, found)
            linear.check(f"{self._reader.path}: {module}")
        except CheckpointError as error:
            self._discard(error)
            return None
        return linear

    def put(self, module: str, linear: QuantizedLinear) -> None:
        """Keep a layer that was just converted, if layers are being kept."""
        if self._writer is None or module not in self._results:
            return
        tensors = repack(linear.state_dict(), self._results[module])
        assert tensors is not None, module
        with self._giving_up():
            for spec in self._specs[module]:
                role = spec.name.removeprefix(f"{module}.")
                self._writer.write(spec.name, tensors[role].reshape(spec.shape))

    def _open(self) -> bool:
        """Begin to read; False when there is no usable file."""
        path = self._path
        assert path is not None
        if not path.is_file():
            return False
        try:
            reader = SafetensorsFile(path)
        except CheckpointError as error:
            self._discard(error)
            return False
        self._reader = reader
        expected = {s.name: (s.dtype, s.shape) for found in self._specs.values() for s in found}
        entries = reader.header.entries
        if {name: (entry.dtype, entry.shape) for name, entry in entries.items()} != expected:
            self._discard(f"{path}: holds other tensors than expected")
            return False
        with suppress(OSError):
            os.utime(path)  # used just now
        logger.info("reading converted weights from %s", path)
        return True

    def _discard(self, reason: object) -> None:
        """Remove a file that turned out to be damaged."""
        logger.warning("kept weights are damaged and are made again (%s)", reason)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        assert self._path is not None
        with suppress(OSError):
            self._path.unlink()

    def _begin(self, path: Path) -> None:
        """Begin to write, under a name no other process uses."""
        planned = [spec for found in self._specs.values() for spec in found]
        with self._giving_up():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(sum(spec.nbytes for spec in planned))
            own = path.with_name(f"{path.stem}-{secrets.token_hex(4)}{_SUFFIX}")
            writer = SafetensorsWriter(own, planned, _about())
            self._writer = writer.__enter__()

    def _end(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Finish writing; the file appears when everything went well."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with self._giving_up():
            writer.__exit__(kind, error, trace)
            if kind is None:
                assert self._path is not None
                os.replace(writer.path, self._path)
                logger.info("kept converted weights in %s", self._path)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Anything the disk does is a warning, and ends keeping."""
        try:
            yield
        except (CheckpointError, OSError) as error:
            logger.warning("converted weights are not kept for the next start: %s", error)
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.__exit__(type(error), error, None)


def _about() -> Mapping[str, str]:
    return {"format": "pt", "made_by": f"nanovl {__version__}, converted while loading"}


def _identity(files: CheckpointFiles, target: str) -> str:
    """A name that changes when the weights, the format or what is made of them changes.

    Besides sizes and times, samples of every file count: some tools set all times alike.
    """
    facts: list[object] = [_VERSION, __version__, target]
    for name in sorted(files.headers):
        path = files.folder / name
        found = path.stat()
        samples = hashlib.sha256()
        with path.open("rb") as file:
            for part in range(4):
                file.seek(max(0, (found.st_size - _SAMPLE_BYTES) * part // 3))
                samples.update(file.read(_SAMPLE_BYTES))
        facts.append([name, found.st_size, found.st_mtime_ns, samples.hexdigest()])
    return hashlib.sha256(json.dumps(facts).encode("utf-8")).hexdigest()[:32]


def _make_room(needed: int) -> None:
    """Remove what is abandoned or was not used for long, until `needed` bytes fit the limit.

    Raises:
        CheckpointError: They never will, or the disk has too little room.
    """
    if needed > KEPT_BYTES:
        raise CheckpointError(
            f"{needed / 2**30:.1f} GiB are more than the {KEPT_BYTES / 2**30:.0f} GiB kept at most"
        )
    files = sorted(_kept_files(), key=lambda file: file[2])
    total = sum(size for _, size, _ in files)
    for path, size, used in files:
        partial = path.suffix != _SUFFIX
        if partial and time.time() - used < _ABANDONED_S:
            continue  # another process is writing it
        if partial or total + needed > KEPT_BYTES:
            with suppress(OSError):
                path.unlink()
                total -= size
    free = shutil.disk_usage(cache_folder()).free
    if needed > free:
        raise CheckpointError(
            f"{cache_folder()}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        )
