"""What was read: files with SHA-256 and row counts, and every row that could not be used.

A manifest is copied into each result; results of different manifests are never mixed. A malformed
row is named with file and line and counted; it never disappears silently. Reads no benchmark.

Source: evaluation specification, sections 3.2 and 11.1.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError

__all__ = [
    "FileRecord",
    "MediaRecord",
    "Problem",
    "ReadLog",
    "same_manifest",
    "sha256_of",
]

_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file that questions were read from.

    Attributes:
        name: Its name, with the folder where several files have the same.
        sha256: Of its bytes.
        size_bytes: Its size.
        rows: Rows it has, those included that cannot be used.
        part: Part of the benchmark.
    """

    name: str
    sha256: str
    size_bytes: int
    rows: int
    part: str = "main"


@dataclass(frozen=True, kw_only=True)
class MediaRecord:
    """Media files beside the questions, which are too large to be hashed whole.

    Attributes:
        files: How many were named by questions.
        size_bytes: Their sizes together.
        sha256: Of their names and sizes, in the order of the names.
    """

    files: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A row that could not be used.

    Attributes:
        file: Name of the file.
        line: Line or row the row begins on, from 1; 0 when the whole file is meant.
        reason: Short name for counts: "cells", "picture", "duplicate", ...
        message: What was found, what was expected.
    """

    file: str
    line: int
    reason: str
    message: str

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass
class ReadLog:
    """Collects what a reader meets.

    Attributes:
        strict: Whether the first malformed row is an error.
        problems: Rows that were left out.
        files: Files that were opened, by label.
        rows: Rows by label of the file.
        left_out: Rows by file that belong to another split.
        lost_options: Options the profile `vk` lost to missing-value names.
        lost_cells: All cells it lost, by column.
        media: Sizes of media files by name, in bytes.
        notes: Things worth knowing that are no problem of a row.
    """

    strict: bool = False
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    lost_options: int = 0
    lost_cells: Counter[str] = field(default_factory=Counter)
    media: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def problem(self, file: str, line: int, reason: str, message: str) -> None:
        """Note a row that is left out.

        Raises:
            InputError: The log is strict.
        """
        found = Problem(file=file, line=line, reason=reason, message=message)
        if self.strict:
            raise InputError(f"{found.where}: {message}; correct the row, or let it be left out")
        self.problems.append(found)

    def opened(self, path: Path, label: str = "") -> str:
        """Note a file whose rows are about to be read.

        Args:
            path: The file.
            label: Its name in messages and counts; its own name when empty.

        Returns:
            The label.
        """
        label = label or path.name
        self.files[label] = path
        self.rows[label] += 0
        return label

    def file_records(self, part: str) -> tuple[FileRecord, ...]:
        """The files that were opened, hashed now.

        Raises:
            InputError: One cannot be read any more.
        """
        return tuple(
            FileRecord(
                name=label,
                sha256=sha256_of(path),
                size_bytes=path.stat().st_size,
                rows=self.rows[label],
                part=part,
            )
            for label, path in self.files.items()
        )

    @property
    def counts(self) -> Counter[str]:
        """Problems by reason."""
        return Counter(problem.reason for problem in self.problems)

    def media_record(self) -> MediaRecord | None:
        """The media files that were named; None when there are none."""
        if not self.media:
            return None
        listing = json.dumps(sorted(self.media.items())).encode("utf-8", "surrogatepass")
        return MediaRecord(
            files=len(self.media),
            size_bytes=sum(self.media.values()),
            sha256=hashlib.sha256(listing).hexdigest(),
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        InputError: It cannot be read.
    """
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return hasher.hexdigest()


def same_manifest(first: Mapping[str, Any], second: Mapping[str, Any], *, where: str = "") -> None:
    """Refuse to put results of different data together.

    Args:
        first, second: Manifests as stored; only file names, hashes and counts are compared.
        where: What would be mixed, for the message.

    Raises:
        InputError: They differ; names the first difference.
    """
    left, right = _files(first), _files(second)
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            raise InputError(
                f"{where or 'results'}: come from different data: {name} has SHA-256 and rows "
                f"{_short(left.get(name))} in one and {_short(right.get(name))} in the other; "
                "score both again on the same files"
            )


def _files(manifest: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    entries: Iterable[Any] = manifest.get("files", ())
    found = {}
    for entry in entries:
        facts = entry if isinstance(entry, Mapping) else asdict(entry)
        found[f"{facts.get('part', 'main')}: {facts['name']}"] = (
            str(facts["sha256"]),
            int(facts["rows"]),
        )
    return found


def _short(facts: tuple[str, int] | None) -> str:
    return f"{facts[0][:12]} ({facts[1]:,})" if facts else "none"
