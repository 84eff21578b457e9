"""A benchmark from disk: every part found, read, counted and described by a manifest.

The one place that knows which reader belongs to which file. Large files keep their pictures on disk
instead of in memory.

Source: evaluation specification, sections 3.2 and 11.1.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nanovl.core import paths
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.find import NATIVE, find_parts
from nanovl.evals.readers.folder import read_folder
from nanovl.evals.readers.html_pairs import read_pairs
from nanovl.evals.readers.manifest import FileRecord, Problem, ReadLog
from nanovl.evals.readers.ns_jsonl import read_text
from nanovl.evals.readers.pdf import read_documents
from nanovl.evals.readers.records import read_record_samples
from nanovl.evals.readers.tsv import read_tsv
from nanovl.evals.readers.video_index import read_video_index
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["PROFILES", "Loaded", "count", "keep_medium", "load", "read"]

PROFILES = ("default", "vk", "legacy")
_LARGE_BYTES = 1 << 30
_EVERY = 500
_SUFFIXES = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"%PDF", ".pdf"),
)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Samples that are scored together.

    Attributes:
        benchmark: Whose samples.
        part: Name of the part, "" when all parts are scored together.
        samples: In the order of the files.
        files: What was read.
        log: What was left out.
        expected: How many there should be, as the benchmark counts; None when not known.
        found: How many there are, counted the same way; before any limit.
        profile: Profile the files were read with.
    """

    benchmark: Benchmark
    part: str
    samples: tuple[Sample, ...]
    files: tuple[FileRecord, ...]
    log: ReadLog
    expected: int | None
    found: int
    profile: str = "default"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Id of the benchmark, with the part when there are several numbers."""
        return f"{self.benchmark.id}/{self.part}" if self.part else self.benchmark.id

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Rows that were left out."""
        return tuple(self.log.problems)

    @property
    def manifest(self) -> dict[str, Any]:
        """Where the samples come from, ready for JSON; see `nanovl.evals.readers.manifest`."""
        media = self.log.media_record()
        return {
            "benchmark": self.benchmark.id,
            "part": self.part,
            "files": [asdict(record) for record in self.files],
            "media": asdict(media) if media else None,
            "samples": len(self.samples),
            "found": self.found,
            "expected": self.expected,
            "count_by": self.benchmark.count_by,
            "left_out": sum(self.log.left_out.values()),
            "malformed": dict(self.log.counts),
            "lost_options": self.log.lost_options,
            "notes": list(self.log.notes),
            "profile": self.profile,
            "licence": self.benchmark.licence,
            "source": self.benchmark.source,
            **self.extra,
        }


def read(
    path: Path,
    benchmark: Benchmark,
    spec: FileSpec | None = None,
    log: ReadLog | None = None,
    *,
    profile: str = "default",
) -> Iterator[Sample]:
    """Samples of one file or folder, one by one.

    Args:
        path: What `find_parts` found.
        benchmark: Whose it is.
        spec: Part of the benchmark; the first when None.
        log: Takes rows that cannot be used; without one, the first such row is an error.
        profile: "vk" for missing values as pandas sees them.

    Raises:
        InputError: The file cannot be read or is not the benchmark's.
        ConfigError: No such profile.
    """
    if profile not in PROFILES:
        raise ConfigError(f"profile {profile!r}: expected one of {', '.join(PROFILES)}")
    missing = "vk" if profile in ("vk", "legacy") else "default"
    spec = spec or benchmark.files[0]
    log = ReadLog(strict=True) if log is None else log
    if path.name == NATIVE or (path / NATIVE).is_file():
        return read_folder(path, log)
    if benchmark.reader == "video_index":
        return read_video_index(path, benchmark, spec, log, profile=missing)
    if benchmark.reader == "pdf":
        return read_documents(path, benchmark, spec, log, profile=missing)
    if benchmark.reader == "html_pairs":
        return read_pairs(path, benchmark, log)
    if benchmark.reader == "ns_jsonl":
        return read_text(path, benchmark, spec, log)
    if path.suffix == ".tsv":
        return read_tsv(path, benchmark, spec, log, profile=missing)
    return read_record_samples(path, benchmark, spec, log, profile=missing)


def load(
    benchmark: Benchmark,
    source: Path,
    *,
    parts: Sequence[str] = (),
    profile: str = "default",
    strict: bool = False,
    limit: int | None = None,
    media_folder: Path | None = None,
    on_event: OnEvent = ignore_event,
) -> tuple[Loaded, ...]:
    """All samples of a benchmark: one `Loaded` per number of the report.

    Args:
        benchmark: What to read.
        source: Folder with its files.
        parts: Parts to read; none means all that are there.
        profile: Compatibility profile.
        strict: Whether the first malformed row is an error.
        limit: Questions at most per number, drawn evenly; rows of one group stay together.
        media_folder: Where pictures are kept; None keeps them in memory unless a file has more
            than 1 GiB.
        on_event: Hears how far reading is.

    Raises:
        InputError: A file is missing, unreadable, or has no usable row.
        ConfigError: No such part or profile.
    """
    found = find_parts(benchmark, source, parts)
    if benchmark.combine == "separate" and len(benchmark.files) > 1:
        units = [(spec.part, [(spec, path)]) for spec, path in found]
    else:
        units = [("", list(found))]
    return tuple(
        _load_unit(benchmark, part, files, parts, profile, strict, limit, media_folder, on_event)
        for part, files in units
    )


def _load_unit(
    benchmark: Benchmark,
    part: str,
    files: Sequence[tuple[FileSpec, Path]],
    parts: Sequence[str],
    profile: str,
    strict: bool,
    limit: int | None,
    media_folder: Path | None,
    on_event: OnEvent,
) -> Loaded:
    log = ReadLog(strict=strict)
    samples: list[Sample] = []
    records: list[FileRecord] = []
    for spec, path in files:
        folder = media_folder
        if folder is None and path.is_file() and path.stat().st_size > _LARGE_BYTES:
            folder = paths.home() / "evals" / "media" / benchmark.id
            log.notes.append(f"{path.name} is large: its pictures are kept in {folder}")
        log.files.clear()
        for sample in read(path, benchmark, spec, log, profile=profile):
            if not spec.part and parts and sample.meta.get("part") not in parts:
                log.left_out[path.name] += 1
                continue
            samples.append(sample if folder is None else _on_disk(sample, folder))
            if len(samples) % _EVERY == 0:
                on_event(Event(name=f"read {benchmark.id}", done=len(samples), unit="samples"))
        records += log.file_records(spec.part or "all")
    if not samples:
        first = f"; the first is {log.problems[0].where}: {log.problems[0].message}"
        raise InputError(
            f"{benchmark.id}: no usable row in {', '.join(str(path) for _, path in files)} "
            f"({len(log.problems):,} malformed, {sum(log.left_out.values()):,} of other splits)"
            f"{first if log.problems else ''}"
        )
    counted = [spec.part for spec, _ in files if spec.part] or list(parts or benchmark.parts)
    return Loaded(
        benchmark=benchmark,
        part=part,
        samples=tuple(samples if limit is None else _limited(samples, limit)),
        files=tuple(records),
        log=log,
        expected=benchmark.expected(counted),
        found=count(samples, benchmark),
        profile=profile,
    )


def count(samples: Iterable[Sample], benchmark: Benchmark) -> int:
    """Samples as the benchmark counts them: rows, groups, or rows times their categories."""
    if benchmark.count_by == "groups":
        return len({sample.group for sample in samples})
    if benchmark.count_by == "categories":
        return sum(len(sample.category.split(",")) for sample in samples)
    return sum(1 for _ in samples)


def _limited(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """An even draw of questions; all rows of a group that is drawn are kept, in their order."""
    keys = [sample.group or f"\0{sample.id}" for sample in samples]
    distinct = list(dict.fromkeys(keys))
    if limit >= len(distinct):
        return list(samples)
    chosen = {distinct[len(distinct) * place // limit] for place in range(limit)}
    return [sample for sample, key in zip(samples, keys, strict=True) if key in chosen]


def _on_disk(sample: Sample, folder: Path) -> Sample:
    return replace(sample, media=tuple(keep_medium(m, folder) for m in sample.media))


def keep_medium(medium: Medium, folder: Path) -> Medium:
    """The medium as a file named by what it holds; one that is on disk already stays there.

    Raises:
        InputError: The folder cannot be written.
    """
    if medium.data is None:
        return medium
    suffix = next((s for head, s in _SUFFIXES if medium.data.startswith(head)), "")
    if medium.data[8:12] == b"WEBP":
        suffix = ".webp"
    path = folder / f"{hashlib.sha256(medium.data).hexdigest()[:32]}{suffix}"
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(f".{os.getpid()}.part")
            new.write_bytes(medium.data)
            new.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return replace(medium, data=None, path=str(path))
