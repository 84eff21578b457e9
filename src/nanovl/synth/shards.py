"""The unit of work: a range of indices of one generator, written as files that are there or not.

    OUT/shards/000007.jsonl         records
    OUT/shards/000007.gt.jsonl      ground truth, one line per sample
    OUT/media/shard_000007.tar      pictures, videos, sounds
    OUT/shards/000007.done.json     written last: counts, rejections, sizes, hashes, times

The bytes depend on generator, version, configuration, split and range alone (but for the times and
messages of the done file). A shard without its done file, whose done file was made with other
settings, or whose files are not as long as it says, is made again. Must not know how workers are
started.

Source: data synthesis specification, sections 2.6, 18.1 and 18.2.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nanovl import __version__
from nanovl.core.errors import (
    BackendError,
    CapacityError,
    ConfigError,
    InputError,
    NanoVLError,
)
from nanovl.synth.base import (
    MAX_ATTEMPTS,
    Generator,
    Reject,
    Sample,
    Streams,
    config_hash,
    seed_of,
)
from nanovl.synth.journal import KILLS, SCRATCH, Journal, forget
from nanovl.synth.records import media_file_name, sample_records, truth
from nanovl.synth.usage import cpu_seconds

__all__ = ["MEASURED", "Shard", "done", "make_sample", "make_shard", "unwritable", "write_whole"]

MEASURED = ("cpu_s", "wall_s", "examples")
"""Keys of a done file that may differ between two runs."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The machine's fault and not the sample's: another machine would have made it.
_MACHINE = (*_FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.EAGAIN)
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_MESSAGE = 300  # characters of an example that are kept


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A range of indices.

    Attributes:
        generator: Name in the registry.
        config: Its settings, plain values.
        split: "train", "val", ...
        number: Of the shard.
        start, stop: Indices.
        out: The data set's folder.
        timeout_s: Longest time for one attempt.
    """

    generator: str
    config: Mapping[str, Any] = field(default_factory=dict)
    split: str = "train"
    number: int
    start: int
    stop: int
    out: Path
    timeout_s: float = 60.0

    @property
    def stem(self) -> str:
        """Six digits."""
        return f"{self.number:06d}"

    @property
    def done_file(self) -> Path:
        """Says that the shard is complete."""
        return self.out / "shards" / f"{self.stem}.done.json"

    @property
    def record_file(self) -> Path:
        """Its records."""
        return self.out / "shards" / f"{self.stem}.jsonl"

    @property
    def truth_file(self) -> Path:
        """Its ground truth."""
        return self.out / "shards" / f"{self.stem}.gt.jsonl"

    @property
    def tar_file(self) -> Path:
        """Its media."""
        return self.out / "media" / f"shard_{self.stem}.tar"


def identity(shard: Shard, generator: Generator) -> dict[str, Any]:
    """What decides about a shard's bytes."""
    return {
        "generator": generator.name,
        "version": generator.version,
        "config_hash": config_hash(generator.config),
        "split": shard.split,
        "start": shard.start,
        "stop": shard.stop,
    }


def done(shard: Shard, generator: Generator, *, verify: bool = False) -> dict[str, Any] | None:
    """The done file of a complete shard made with these settings, or None.

    Args:
        shard: Which.
        generator: Its generator.
        verify: Compare the contents of the files with their hashes, not only the lengths.
    """
    try:
        found = json.loads(shard.done_file.read_text(encoding="utf-8"))
        if any(found.get(k) != v for k, v in identity(shard, generator).items()):
            return None
        for name in ("samples", "records", "media", "lost"):
            if not isinstance(found[name], int):
                return None
        dict(found["rejects"]), float(found["cpu_s"])
        if set(found["files"]) != set(found["bytes"]) or not found["files"]:
            return None
        for name, digest in found["files"].items():
            path = shard.out / name
            if path.stat().st_size != found["bytes"][name]:
                return None
            if verify and _digest(path) != digest:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # whatever is wrong with it, the shard is made again
    return dict(found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- one sample ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Encoded:
    """A sample and its lines."""

    sample: Sample
    truth: bytes
    records: tuple[bytes, ...]


def make_sample(
    generator: Generator, split: str, index: int, *, timeout_s: float = 60.0
) -> tuple[Sample | None, Counter[str]]:
    """The sample of an index, and why attempts were rejected; None when all were.

    Raises:
        NanoVLError: The generator cannot work at all, or the machine ran out of something.
    """
    reasons: Counter[str] = Counter()
    encoded = _make(generator, split, index, timeout_s, reasons, {})
    return (encoded.sample if encoded else None), reasons


def _make(
    generator: Generator,
    split: str,
    index: int,
    timeout_s: float,
    reasons: Counter[str],
    examples: dict[str, str],
) -> _Encoded | None:
    digest = config_hash(generator.config)
    for attempt in range(MAX_ATTEMPTS):
        seed = seed_of(generator.name, generator.version, digest, split, index, attempt)
        try:
            with _deadline(timeout_s):
                made = generator.generate(index, Streams(seed))
            name = f"{generator.name}-{split}-{index:09d}"
            return _encoded(replace(made, id=name, seed=seed))
        except Reject as reject:
            reason, message = reject.reason, reject.message
        except (BackendError, ConfigError):
            raise
        except TimeoutError as error:
            reason, message = "timeout", str(error)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _MACHINE:
                where = f"{generator.name}, index {index}"
                raise CapacityError(
                    f"{where}: {error.strerror}; make room and run again"
                ) from error
            # A bug in one generator must not lose a day's work; it is counted under its name.
            reason, message = f"crash:{type(error).__name__}", str(error)
        reasons[reason] += 1
        plain = _ADDRESS.sub("0x...", " ".join(message.split()))[:_MESSAGE]
        examples.setdefault(reason, f"index {index}, attempt {attempt}: {plain}")
    return None


def _encoded(sample: Sample) -> _Encoded:
    for media in sample.media:
        _member(sample, media.data, media_file_name(sample, media)).tobuf(tarfile.USTAR_FORMAT)
    records = tuple(_line(record.to_json()) for record in sample_records(sample))
    return _Encoded(sample, _line(truth(sample)), records)


def _line(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _member(sample: Sample, data: bytes, name: str) -> tarfile.TarInfo:
    if not data:
        raise InputError(f"{sample.id}: media {name!r} is empty")
    info = tarfile.TarInfo(name)
    info.size = len(data)  # times, owners and modes stay at their fixed defaults
    return info


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Interrupt what runs longer, where the system can."""
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- one shard ----------------------------------------------------------------------------------


def make_shard(
    shard: Shard,
    generator: Generator,
    *,
    skip: frozenset[int] = frozenset(),
    on_sample: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Make a shard, or return what its done file says when it is complete.

    Args:
        shard: Which.
        generator: Makes its samples.
        skip: Indices that killed their workers: given up under the reason "crash".
        on_sample: Told every index that is done.

    Returns:
        Counts, rejections by reason, sizes, hashes and times.

    Raises:
        NanoVLError: The generator cannot work at all (missing program, bad settings), or the
            folder cannot be written.
    """
    found = done(shard, generator)
    if found is not None:
        return found
    for requirement in generator.requires:
        requirement.check()
    begun, cpu = time.monotonic(), cpu_seconds()
    rejects: Counter[str] = Counter()
    examples: dict[str, str] = {}
    lost = 0
    try:
        with Journal(shard) as journal, _Writer(shard) as writer:
            for index in range(shard.start, shard.stop):
                journal.at(index)
                encoded = None
                if index in skip:
                    rejects["crash"] += 1
                    examples.setdefault("crash", f"index {index}: killed its worker {KILLS} times")
                else:
                    encoded = _make(
                        generator, shard.split, index, shard.timeout_s, rejects, examples
                    )
                if encoded is None:
                    lost += 1
                else:
                    writer.add(encoded)
                if on_sample is not None:
                    on_sample(index)
            files, sizes = writer.finish()
        result = identity(shard, generator) | {
            "samples": writer.samples,
            "records": writer.records,
            "media": writer.media,
            "rejects": dict(sorted(rejects.items())),
            "lost": lost,
            "files": files,
            "bytes": sizes,
            "nanovl": __version__,
            "examples": dict(sorted(examples.items())),
            "wall_s": round(time.monotonic() - begun, 3),
            "cpu_s": round(cpu_seconds() - cpu, 3),
        }
        write_whole(shard.done_file, json.dumps(result, indent=1, sort_keys=True) + "\n")
        forget(shard)
    except OSError as error:
        raise unwritable(shard.out, error) from error
    return result


class _Writer:
    """Files of one shard under temporary names."""

    def __init__(self, shard: Shard) -> None:
        self._targets = {
            "records": shard.record_file,
            "truth": shard.truth_file,
            "media": shard.tar_file,
        }
        self._out = shard.out
        self.samples = self.records = self.media = 0
        self._scratch: dict[str, Path] = {}
        self._files: dict[str, io.BufferedWriter] = {}

    def __enter__(self) -> _Writer:
        folder = self._targets["records"].parent
        folder.mkdir(parents=True, exist_ok=True)
        for kind, target in self._targets.items():
            scratch = folder / f"{SCRATCH}{os.getpid()}-{target.name}"
            self._scratch[kind] = scratch
            self._files[kind] = scratch.open("wb")
        self._tar = tarfile.open(
            fileobj=self._files["media"], mode="w", format=tarfile.USTAR_FORMAT
        )
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):  # of a full disk, which is being raised already
                file.close()
        for path in self._scratch.values():
            path.unlink(missing_ok=True)

    def add(self, encoded: _Encoded) -> None:
        """Write a sample's media, truth and records."""
        sample = encoded.sample
        for media in sample.media:
            info = _member(sample, media.data, media_file_name(sample, media))
            self._tar.addfile(info, io.BytesIO(media.data))
        self._files["truth"].write(encoded.truth)
        for line in encoded.records:
            self._files["records"].write(line)
        self.samples += 1
        self.records += len(encoded.records)
        self.media += len(sample.media)

    def finish(self) -> tuple[dict[str, str], dict[str, int]]:
        """Rename everything; SHA-256 and length by file name. No media, no archive."""
        self._tar.close()
        digests, sizes = {}, {}
        for kind, target in self._targets.items():
            file = self._files[kind]
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if kind == "media" and not self.media:
                target.unlink(missing_ok=True)  # of a shard made with other settings
                continue
            name = str(target.relative_to(self._out))
            digests[name] = _digest(self._scratch[kind])
            sizes[name] = self._scratch[kind].stat().st_size
            target.parent.mkdir(exist_ok=True)
            self._scratch[kind].replace(target)
        return digests, sizes


# --- files --------------------------------------------------------------------------------------


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there completely or not at all.

    Raises:
        OSError: It cannot be written.
    """
    scratch = path.with_name(f"{SCRATCH}{os.getpid()}-{path.name}")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def unwritable(out: Path, error: OSError) -> NanoVLError:
    """What to say when a folder cannot be written."""
    if error.errno in _FULL:
        return CapacityError(
            f"{out}: the disk is full, or a file larger than allowed ({error.strerror}); what is "
            "complete is kept: make room and run the same command again"
        )
    return ConfigError(
        f"{out}: cannot be written ({error.strerror or error}); choose another folder, or change "
        "its owner or mode"
    )
