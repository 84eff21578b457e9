"""Every record of a data set read and encoded, without pixels: what is wrong with it.

`check` yields what became of each line, `validate` reports every record that could not be trained
on. Records are encoded by the same `SampleEncoder` as in the loaders, so what is said here is what
happens there. Writes nothing.

Source: training specification, sections 2.5 and 8.5.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.blend import Source
from nanovl.data.drops import Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.media import MediaStore, open_media
from nanovl.data.records import JsonlFile, Record
from nanovl.data.stream import StreamItem

__all__ = ["Checked", "Problem", "Validation", "check", "validate"]

_EVENT_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One line of a record file, and what became of it.

    Attributes:
        source: Name of its source.
        where: File and line, for messages.
        record: What was read, or None.
        sample: What it was encoded to, or None.
        reason, message: Why there is no sample; "" when there is one.
    """

    source: str
    where: str
    record: Record | None = None
    sample: EncodedSample | None = None
    reason: str = ""
    message: str = ""


def check(
    source: Source,
    encoder: SampleEncoder,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Iterator[Checked]:
    """Read and encode the records of one source, in order; decodes no pixels.

    Args:
        source: A leaf of a blend.
        encoder: Of the model and settings in question.
        limit: At most so many records, drawn evenly over the source; None reads all.
        seed: Of that draw.

    Raises:
        InputError: The file cannot be read at all.
    """
    file = JsonlFile(source.path)
    store = open_media(source.media, source.path.parent)
    indices: Sequence[int] = range(len(file))[source.start : source.stop]
    if limit is not None and limit < len(indices):
        indices = sorted(random.Random(f"{seed}/{source.name}").sample(indices, limit))
    for index in indices:
        yield _checked(source, encoder, store, file, index)


def _checked(
    source: Source, encoder: SampleEncoder, store: MediaStore, file: JsonlFile, index: int
) -> Checked:
    name, where = source.name, file.where(index)
    record: Record | None = None
    try:
        record = _read_record(file, index)
        name = record.source or name
        key = f"{source.name}/{index}/0"
        item = StreamItem(key=key, record=record, store=store, source=name, draw=0)
        sample = encoder.encode(item)
    except Dropped as error:
        reason, message = error.reason, error.message
        return Checked(source=name, where=where, record=record, reason=reason, message=message)
    return Checked(source=name, where=where, record=record, sample=sample)


def _read_record(file: JsonlFile, index: int) -> Record:
    """A record by its number in the file.

    Raises:
        Dropped: The line is no record.
    """
    try:
        return Record.from_json(file[index], where=file.where(index))
    except Dropped:
        raise
    except InputError as error:
        raise Dropped("malformed_record", str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One record that is wrong.

    Attributes:
        source: Name of its source.
        where: File and line.
        reason: A name of `nanovl.data.drops.REASONS`, or "duplicate_id".
        message: What is wrong, with the field.
    """

    source: str
    where: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What `validate` found.

    Attributes:
        records: Records looked at.
        decoded: Whether media was decoded too.
        counts: Wrong records per reason and source.
    """

    records: int
    decoded: bool
    counts: dict[str, dict[str, int]]

    @property
    def num_problems(self) -> int:
        """Wrong records."""
        return sum(sum(sources.values()) for sources in self.counts.values())


def validate(
    sources: Sequence[Source],
    encoder: SampleEncoder,
    *,
    decode: bool = False,
    limit: int | None = None,
    seed: int = 0,
    on_problem: Callable[[Problem], None] = lambda problem: None,
    on_event: OnEvent = ignore_event,
) -> Validation:
    """Parse and encode every record.

    Args:
        sources: Leaves of the blend.
        encoder: Of the model and settings the data is meant for.
        decode: Decode all media too, which takes much longer.
        limit: Records looked at per source; None is all.
        seed: Of that draw.
        on_problem: Told about every wrong record.
        on_event: Told about progress in records.
    """
    counts: dict[str, dict[str, int]] = {}
    records = 0

    def report(checked: Checked, reason: str, message: str) -> None:
        per_source = counts.setdefault(reason, {})
        per_source[checked.source] = per_source.get(checked.source, 0) + 1
        text = message.removeprefix(f"{checked.where}: ")
        on_problem(Problem(source=checked.source, where=checked.where, reason=reason, message=text))

    for source in sources:
        seen: dict[str, str] = {}
        for checked in check(source, encoder, limit=limit, seed=seed):
            records += 1
            if records % _EVENT_EVERY == 0:
                on_event(Event(name=f"check {source.name}", done=records, unit="records"))
            if checked.record is not None:
                first = seen.setdefault(checked.record.id, checked.where)
                if first != checked.where:
                    message = f"id: {checked.record.id!r} was used before, at {first}"
                    report(checked, "duplicate_id", message)
            if checked.sample is None:
                report(checked, checked.reason, checked.message)
            elif decode:
                try:
                    encoder.load(checked.sample)
                except Dropped as error:
                    report(checked, error.reason, error.message)
    return Validation(records=records, decoded=decode, counts=counts)
