"""Records made from a model's words, written as a data set with the media they show.

Must not judge: what comes here is kept.

Source: training specification, sections 2.1, 2.4 and 10.4.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.data.records import Record
from nanovl.data.writer import RecordWriter
from nanovl.synth.datasets import DataSet, MediaFile

__all__ = ["MediaReader", "check_out", "default_cache", "shown", "write_records", "write_report"]

REPORT = "model.json"


class MediaReader:
    """Bytes of the media of a data set; for many threads."""

    def __init__(self, source: DataSet) -> None:
        self._source = source
        self._lock = threading.Lock()

    def __call__(self, media: MediaFile) -> bytes:
        """The file.

        Raises:
            InputError: It is not in the data set.
        """
        with self._lock:
            return self._source.read(media)


def default_cache(out: Path) -> Path:
    """Where answers are kept when nothing else is said: beside the data set."""
    return out.with_name(f"{out.name}.answers.sqlite")


def check_out(out: Path) -> None:
    """Refuse a folder that cannot become a data set, before anything is paid for.

    Raises:
        ConfigError: It is there and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists and is not empty; choose another folder or delete it")


def shown(media: MediaFile) -> dict[str, Any]:
    """A medium as a fragment of a user message."""
    facts = {k: v for k, v in media.facts.items() if k not in ("name", "kind", "sha256")}
    fragment: dict[str, Any] = {"type": media.kind, media.kind: media.name}
    return {**fragment, "metadata": facts} if facts else fragment


def write_records(
    out: Path, records: Iterable[tuple[Record, tuple[MediaFile, ...]]], read: MediaReader
) -> tuple[int, int]:
    """Write a data set; numbers of records and media files.

    Args:
        out: New folder.
        records: With the media each of them shows.
        read: Bytes of media.

    Raises:
        InputError: There is no record, or a medium is missing.
        ConfigError: The folder holds something already.
    """
    written: set[str] = set()
    with RecordWriter(out) as writer:
        for record, media in records:
            new = {m.name: read(m) for m in media if m.name not in written}
            writer.write(record, new)
            written.update(new)
        counts = writer.num_records, writer.num_media
    return counts


def write_report(out: Path, report: Mapping[str, Any]) -> None:
    """Write what a data set was made with and what was rejected, beside its records.

    Nothing in it depends on when, where or in how many runs it was made.
    """
    path = out / REPORT
    scratch = path.with_name(f".tmp-{os.getpid()}-{REPORT}")
    scratch.write_text(
        json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    scratch.replace(path)
