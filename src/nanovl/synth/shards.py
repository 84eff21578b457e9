"""The unit of work: a range of indices of one generator, written as files that are there or not.

    OUT/shards/000007.jsonl         records
    OUT/shards/000007.gt.jsonl      ground truth, one line per sample
    OUT/media/shard_000007.tar      pictures, videos, sounds
    OUT/shards/000007.done.json     written last: counts, rejections, hashes

The bytes depend on generator, version, configuration, split and range alone. A shard without its
done file, or whose done file was made with other settings, is made again. `join` puts the records
of all shards into OUT/NAME.jsonl, which makes the folder a data set in the released layout. Must
not know how workers are started.

Source: data synthesis specification, sections 2.6, 18.1 and 18.2.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
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
from nanovl.core.errors import InputError, NanoVLError
from nanovl.synth.base import (
    MAX_ATTEMPTS,
    Generator,
    Reject,
    Sample,
    Streams,
    config_hash,
    seed_of,
)
from nanovl.synth.records import media_file_name, sample_records, truth

__all__ = ["Shard", "done", "join", "make_sample", "make_shard"]


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


def done(shard: Shard, generator: Generator) -> dict[str, Any] | None:
    """The done file of a complete shard made with these settings, or None."""
    try:
        found: dict[str, Any] = json.loads(shard.done_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = all(found.get(k) == v for k, v in identity(shard, generator).items())
    names = found.get("files", {}) if same else {}
    return found if names and all((shard.out / n).is_file() for n in names) else None


def make_sample(
    generator: Generator, split: str, index: int, *, timeout_s: float = 60.0
) -> tuple[Sample | None, Counter[str]]:
    """The sample of an index, and why attempts were rejected; None when all were."""
    reasons: Counter[str] = Counter()
    digest = config_hash(generator.config)
    for attempt in range(MAX_ATTEMPTS):
        seed = seed_of(generator.name, generator.version, digest, split, index, attempt)
        try:
            with _deadline(timeout_s):
                sample = generator.generate(index, Streams(seed))
        except Reject as reject:
            reasons[reject.reason] += 1
            continue
        except NanoVLError:
            raise
        except TimeoutError:
            reasons["timeout"] += 1
            continue
        except Exception as error:
            # A bug in one generator must not lose a day's work; it is counted under its name.
            reasons[f"crash:{type(error).__name__}"] += 1
            continue
        return replace(sample, id=f"{generator.name}-{split}-{index:09d}", seed=seed), reasons
    return None, reasons


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


def make_shard(
    shard: Shard, generator: Generator, *, on_sample: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Make a shard, or return what its done file says when it is complete.

    Returns:
        Counts, rejections by reason, hashes and times.

    Raises:
        NanoVLError: The generator cannot work at all (missing program, bad settings), or the disk
            is full.
    """
    found = done(shard, generator)
    if found is not None:
        return found
    for requirement in generator.requires:
        requirement.check()
    begun, cpu = time.monotonic(), time.process_time()
    rejects: Counter[str] = Counter()
    lost = 0
    names = {
        "records": f"shards/{shard.stem}.jsonl",
        "truth": f"shards/{shard.stem}.gt.jsonl",
        "media": str(shard.tar_file.relative_to(shard.out)),
    }
    with _Writer(shard.out, names) as writer:
        for index in range(shard.start, shard.stop):
            sample, reasons = make_sample(generator, shard.split, index, timeout_s=shard.timeout_s)
            rejects += reasons
            if sample is None:
                lost += 1
            else:
                writer.add(sample)
            if on_sample is not None:
                on_sample(index)
        files = writer.finish()
    result = identity(shard, generator) | {
        "samples": writer.samples,
        "records": writer.records,
        "media": writer.media,
        "rejects": dict(sorted(rejects.items())),
        "lost": lost,
        "files": files,
        "nanovl": __version__,
    }
    times = {
        "wall_s": round(time.monotonic() - begun, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
    }
    _write(shard.done_file, json.dumps(result | times, indent=1, sort_keys=True) + "\n")
    return result | times


class _Writer:
    """Files of one shard under temporary names."""

    def __init__(self, out: Path, names: Mapping[str, str]) -> None:
        self.out = out
        self.names = names
        self.samples = self.records = self.media = 0
        self._scratch: dict[str, Path] = {}
        self._lines: dict[str, io.BufferedWriter] = {}

    def __enter__(self) -> _Writer:
        for kind, name in self.names.items():
            target = self.out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".tmp-{os.getpid()}-{target.name}")
            self._scratch[kind] = scratch
            self._lines[kind] = scratch.open("wb")
        self._tar = tarfile.open(
            fileobj=self._lines["media"], mode="w", format=tarfile.USTAR_FORMAT
        )
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._lines.values():
            file.close()
        for path in self._scratch.values():
            path.unlink(missing_ok=True)

    def add(self, sample: Sample) -> None:
        """Write a sample's media, truth and records."""
        for media in sample.media:
            info = tarfile.TarInfo(media_file_name(sample, media))
            info.size = len(media.data)  # times, owners and modes stay at their fixed defaults
            self._tar.addfile(info, io.BytesIO(media.data))
        self._line("truth", truth(sample))
        for record in sample_records(sample):
            self._line("records", record.to_json())
            self.records += 1
        self.samples += 1
        self.media += len(sample.media)

    def _line(self, kind: str, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        self._lines[kind].write(text.encode() + b"\n")

    def finish(self) -> dict[str, str]:
        """Rename everything; file name -> SHA-256. A shard without media has no archive."""
        self._tar.close()
        files = {}
        for kind, name in self.names.items():
            file = self._lines[kind]
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if kind == "media" and not self.media:
                continue
            with self._scratch[kind].open("rb") as written:
                files[name] = hashlib.file_digest(written, "sha256").hexdigest()
            self._scratch[kind].replace(self.out / name)
        return files


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def join(out: Path, shards: list[Shard]) -> Path:
    """Put the records of complete shards into one file, in order: OUT/NAME.jsonl.

    Raises:
        InputError: A shard is not complete.
    """
    target = out / f"{out.resolve().name}.jsonl"
    scratch = target.with_name(f".tmp-{os.getpid()}-{target.name}")
    with scratch.open("wb") as joined:
        for shard in shards:
            part = out / "shards" / f"{shard.stem}.jsonl"
            if not shard.done_file.is_file() or not part.is_file():
                scratch.unlink()
                raise InputError(f"{part}: shard {shard.number} is not complete; run it again")
            joined.write(part.read_bytes())
        joined.flush()
        os.fsync(joined.fileno())
    scratch.replace(target)
    return target
