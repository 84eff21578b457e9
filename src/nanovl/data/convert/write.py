"""Run one converter and write what it yields: records in order, every media file once.

Counts what was written and what was dropped; knows no format. The data set on disk is the
business of `nanovl.data.writer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from nanovl.core.config import nearest
from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.convert.base import Converted, ConvertOptions, Format, OnDrop
from nanovl.data.writer import RecordWriter

__all__ = ["ConvertReport", "write_records"]

EXAMPLES = 3  # messages kept per drop reason
EVENT_EVERY = 500  # records between two progress events


@dataclass(kw_only=True)
class ConvertReport:
    """What one conversion did.

    Attributes:
        format: Name of the format.
        folder: Where the data set was written.
        written: Number of records.
        media: Number of media files.
        tasks: Records per task.
        dropped: Items left out, per reason.
        examples: The first few messages per reason, each with its place in the source.
    """

    format: str
    folder: Path
    written: int = 0
    media: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, reason: str, where: str, message: str) -> None:
        """Count one item that was left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < EXAMPLES:
            kept.append(f"{where}: {message}")


def write_records(
    format: Format,
    source: Path,
    out: Path,
    *,
    options: ConvertOptions,
    on_event: OnEvent = ignore_event,
) -> ConvertReport:
    """Convert a source into a data set folder.

    Args:
        format: What the source is.
        source: File or folder.
        out: Folder of the new data set.
        options: `on_drop` is called as well as counted.
        on_event: Progress, counted in records.

    Raises:
        ConfigError: An extra option this format does not have.
        InputError: The source cannot be read, or gives not a single record.
    """
    for name in options.extra:
        if name not in format.options:
            raise ConfigError(
                f"format {format.name!r} has no option {name!r}{nearest(name, format.options)}; "
                f"it has: {', '.join(sorted(format.options)) or 'none'}"
            )
    report = ConvertReport(format=format.name, folder=out)

    def on_drop(reason: str, where: str, message: str) -> None:
        report.drop(reason, where, message)
        options.on_drop(reason, where, message)

    given = replace(options, on_drop=on_drop)
    seen: set[str] = set()
    digests: dict[str, str] = {}
    writer: RecordWriter | None = None
    with ExitStack() as stack:
        for made in islice(_unique(format.convert(source, given), seen, on_drop), options.limit):
            if writer is None:
                writer = stack.enter_context(RecordWriter(out))
            writer.write(made.record, _new_media(made, digests))
            report.written += 1
            task = made.record.task or "none"
            report.tasks[task] = report.tasks.get(task, 0) + 1
            if report.written % EVENT_EVERY == 0:
                on_event(_progress(report, options))
    report.media = len(digests)
    on_event(_progress(report, options))
    if not report.written:
        raise InputError(_nothing(report, source))
    return report


def _unique(produced: Iterator[Converted], seen: set[str], on_drop: OnDrop) -> Iterator[Converted]:
    for made in produced:
        if made.record.id in seen:
            on_drop("duplicate_id", made.record.id, "this record id was already written")
            continue
        seen.add(made.record.id)
        yield made


def _new_media(made: Converted, digests: dict[str, str]) -> dict[str, bytes]:
    """The media of a record that were not written yet.

    Raises:
        InputError: A name was already written with other content.
    """
    new = {}
    for name, payload in made.media.items():
        digest = _digest(payload)
        if name not in digests:
            digests[name] = digest
            new[name] = _read(payload, made.record.id)
        elif digests[name] != digest:
            raise InputError(
                f"record {made.record.id}: media name {name!r} already stands for another file; "
                "rename one of the two files in the source"
            )
    return new


def _digest(payload: bytes | MediaRef) -> str:
    if isinstance(payload, MediaRef):
        return f"{payload.path or payload.url} {payload.byte_range}"
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def _read(payload: bytes | MediaRef, record_id: str) -> bytes:
    if not isinstance(payload, MediaRef):
        return payload
    if payload.data is not None:
        return payload.data
    if payload.path is None:
        raise InputError(f"record {record_id}: media {payload.name!r} is not a local file")
    offset, size = payload.byte_range or (0, -1)
    try:
        with payload.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise InputError(
            f"record {record_id}: {payload.path}: cannot be read: {error.strerror or error}"
        ) from error


def _progress(report: ConvertReport, options: ConvertOptions) -> Event:
    return Event(
        name="convert",
        done=report.written,
        total=options.limit or 0,
        unit="records",
        data={"format": report.format, "dropped": dict(report.dropped)},
    )


def _nothing(report: ConvertReport, source: Path) -> str:
    if not report.dropped:
        return f"{source}: not a single item of format {report.format!r} was found"
    reason, count = max(report.dropped.items(), key=lambda pair: pair[1])
    return (
        f"{source}: not one item could be converted as {report.format!r}; {count} were dropped "
        f"for {reason!r}, such as {report.examples[reason][0]}"
    )
