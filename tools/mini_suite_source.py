"""Where the sets of the local suite come from, and how records become samples.

Knows generators and converters in general; which of them make which set is in `mini_suite_sets`.

Source: evaluation specification, section 11.1.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.data.convert import ConvertOptions, find_format
from nanovl.evals.base import Sample
from nanovl.synth.datasets import DataSet, Made
from nanovl.synth.run import Job, run

START = 1_000_000  # first index: training counts from 0
MOST_ROUNDS = 12  # tries to find enough samples, each as many indices as are wanted
_OPTION = re.compile(r"^([A-Z])\. (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A sample of the suite with its files.

    Attributes:
        sample: Without media.
        kind: "image" or "video".
        files: Name to bytes, in the order they are shown.
        facts: Of each file: width and height, or video_duration.
    """

    sample: Sample
    kind: str = "image"
    files: Mapping[str, bytes] = field(default_factory=dict)
    facts: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Source:
    """Where a set comes from.

    Attributes:
        data: Folder of the real data.
        work: Folder for what generators make.
        seed: Shifts all drawn choices.
        workers: Processes of generators.
    """

    data: Path
    work: Path
    seed: int = 0
    workers: int = 1

    def made(
        self, name: str, generator: str, settings: Mapping[str, Any], wanted: int
    ) -> Iterator[tuple[DataSet, Made]]:
        """Samples of a generator, more of them as long as somebody takes them.

        Args:
            name: Of the data set in the working folder.
            generator: Its name in the registry.
            settings: Of the generator.
            wanted: About how many are needed.
        """
        size = max(4, wanted)
        for number in range(MOST_ROUNDS):
            start = START + self.seed * 10_000 + number * size
            out = self.work / f"{name}-{start}-{size}"
            run(
                Job(
                    generator=generator,
                    out=out,
                    count=size,
                    start=start,
                    config=settings,
                    split="val",
                    shard_size=max(1, -(-size // max(1, self.workers))),
                    timeout_s=180,
                ),
                workers=self.workers,
            )
            data_set = DataSet(out, "synth")
            for made in data_set:
                yield data_set, made

    def converted(self, name: str, folder: str, **extra: Any) -> Iterator[tuple[Any, Row]]:
        """Validation records of a format, with their media as a row without a sample."""
        format_ = find_format(name)
        options = ConvertOptions(seed=self.seed, split="val", extra=extra)
        for made in format_.convert(self.data / folder, options):
            files = {key: _payload(value) for key, value in made.media.items()}
            facts = [f.metadata for f in made.record.media]
            yield (
                made.record.to_json(),
                Row(Sample(id="-", question="-", answer=""), "image", files, facts),
            )

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """Objects of a compressed file of the real data."""
        with gzip.open(self.data / path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)


def _payload(value: bytes | MediaRef) -> bytes:
    if isinstance(value, bytes):
        return value
    if value.data is not None:
        return value.data
    if value.path is None:
        raise InputError(f"medium {value.name!r} is not a local file")
    offset, size = value.byte_range or (0, -1)
    with value.path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


# -- Records to rows -----------------------------------------------------------------------------


def prompt_text(record: Mapping[str, Any]) -> str:
    """What the user says, media aside."""
    content = record["messages"][0]["content"]
    return "".join(part["text"] for part in content if part["type"] == "text")


def said(record: Mapping[str, Any]) -> str:
    """What the assistant answers, without its reasoning."""
    content = record["messages"][-1]["content"]
    text = "".join(part["text"] for part in content if part["type"] == "text")
    return text.rpartition("</think>")[2].strip()


def options_of(question: str) -> dict[str, str]:
    """Letters and texts of the lettered lines of a question."""
    return dict(_OPTION.findall(question))


def of_made(
    data_set: DataSet,
    made: Made,
    record: Mapping[str, Any],
    *,
    answer: Any = None,
    category: str = "",
    **meta: Any,
) -> Row:
    """A row of a record of a generator."""
    parts = record["messages"][0]["content"]
    names = [part[part["type"]] for part in parts if part["type"] != "text"]
    shown = [m for name in names for m in made.media if m.name == name]
    given = record["metadata"]["answer"]
    extra = {"task": record["task"], "template": record["metadata"].get("template", ""), **meta}
    if given.get("tolerance"):
        extra.setdefault("tolerance", given["tolerance"])
    # Indices repeat from one data set of a generator to the next.
    stem = data_set.path.name.rsplit("-", 2)[0]
    sample = Sample(
        id=f"{stem}/{record['id']}",
        question=prompt_text(record),
        answer=said(record) if answer is None else answer,
        group=record["metadata"]["group"],
        category=category,
        meta={"language": record["metadata"]["lang"], **extra},
    )
    kind = shown[0].kind if shown else "image"
    return Row(
        sample, kind, {m.name: data_set.read(m) for m in shown}, [dict(m.facts) for m in shown]
    )


def of_converted(
    record: Mapping[str, Any], row: Row, *, answer: Any = None, category: str = "", **meta: Any
) -> Row:
    """A row of a converted record."""
    question = prompt_text(record)
    has_options = meta.pop("has_options", False)
    facts = record.get("metadata", {})
    sample = Sample(
        id=record["id"],
        question=question,
        answer=said(record) if answer is None else answer,
        options=options_of(question) if has_options else {},
        group=str(facts.get("group", "")),
        category=category,
        meta={"task": record["task"], "template": facts.get("template", ""), **meta},
    )
    return Row(sample, row.kind, row.files, row.facts)


def even(groups: Mapping[str, Iterator[Row]], wanted: int) -> Iterator[Row]:
    """Rows of several sources in turn, until there are enough."""
    left = dict(groups)
    count = 0
    while left and count < wanted:
        for name in list(left):
            row = next(left[name], None)
            if row is None:
                del left[name]
            elif count < wanted:
                count += 1
                yield row


def verifier(record: Mapping[str, Any]) -> str:
    """How a made answer is checked."""
    return str(record["metadata"]["verifier"])
