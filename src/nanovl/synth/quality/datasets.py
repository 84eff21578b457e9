"""Data sets as units: a sample made here with its ground truth and records, or one plain record.

Reads shard by shard, so that memory does not grow with the data. Must not judge what it reads.

Source: data synthesis specification, sections 2.4 and 2.6; training specification, section 2.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.config import load_yaml
from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.data.jsonl import JsonlFile, parse_line, read_jsonl

__all__ = [
    "Dataset",
    "Piece",
    "Unit",
    "open_datasets",
    "pieces",
    "read_findings",
    "text_of",
    "units",
]

_LINES = 500  # records of a plain set that are looked at in one go
_BLENDS = ("blend.yaml", "metadataset.yaml")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One record file and what belongs to it.

    Attributes:
        name: Unique in a check.
        records: The `.jsonl`.
        media: Folder of its media, or None.
        split: "train", "val", ...
        shards: Stems of its shards; empty for a set that was not made here.
    """

    name: str
    records: Path
    media: Path | None
    split: str
    shards: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.records.parent


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one worker looks at: a shard, or a range of lines.

    Attributes:
        dataset: Of which.
        number: Of the piece in the data set.
        stem: Of the shard; "" for a range.
        start, stop: Records.
    """

    dataset: Dataset
    number: int
    stem: str = ""
    start: int = 0
    stop: int = 0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A sample made here, or one record of another set.

    Attributes:
        id: Of the sample, or of the record.
        records: As on disk; empty lines never.
        gt: Ground truth; None where there is none.
        lang: Declared language, "" where nothing is said.
        group: Samples of one source; "" where nothing is said.
        media: Names.
        quality: The generator's own numbers.
    """

    id: str
    records: tuple[Mapping[str, Any], ...]
    gt: Mapping[str, Any] | None = None
    lang: str = ""
    group: str = ""
    media: tuple[str, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)


def open_datasets(paths: Sequence[str | Path]) -> list[Dataset]:
    """The data sets some paths stand for.

    Args:
        paths: Folders of the released layout, folders of a mixture, blend files, record files.

    Raises:
        ConfigError: A path does not exist or holds no data set.
        InputError: One record file is named twice.
    """
    found: list[Dataset] = []
    for path in (Path(p).expanduser().absolute() for p in paths):
        blend = next((path / name for name in _BLENDS if (path / name).is_file()), None)
        own = path / f"{path.name}.jsonl"
        if path.suffix in (".yaml", ".yml"):
            blend = path
        if blend is None or own.is_file():
            found += _leaves(path, "train")
        else:
            for split in load_yaml(blend).get("splits") or {}:
                found += _leaves(blend, str(split))
    seen: dict[Path, str] = {}
    for dataset in found:
        if dataset.records in seen:
            raise InputError(f"{dataset.records}: is named twice; name every data set once")
        seen[dataset.records] = dataset.name
    names: dict[str, int] = {}
    unique = []
    for dataset in found:
        names[dataset.name] = names.get(dataset.name, 0) + 1
        again = names[dataset.name]
        name = dataset.name if again == 1 else f"{dataset.name}-{again}"
        unique.append(Dataset(**{**vars(dataset), "name": name}))
    return unique


def _leaves(path: Path, split: str) -> list[Dataset]:
    made = []
    for source in load_blend(path, split):
        folder = source.path.parent
        claim = folder / "synth.json"
        shards: tuple[str, ...] = ()
        own = split
        if claim.is_file() and source.path.stem == folder.name:
            try:
                own = str(json.loads(claim.read_text(encoding="utf-8"))["split"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{claim}: is damaged ({error}); make the set again") from error
            files = sorted((folder / "shards").glob("*.done.json"))
            shards = tuple(file.name.removesuffix(".done.json") for file in files)
        made.append(
            Dataset(
                name=source.path.name.removesuffix(".gz").removesuffix(".jsonl"),
                records=source.path,
                media=source.media,
                split=own,
                shards=shards,
            )
        )
    return made


def pieces(dataset: Dataset) -> list[Piece]:
    """A data set in pieces, in order.

    Raises:
        InputError: The record file cannot be read.
    """
    if dataset.shards:
        return [Piece(dataset=dataset, number=n, stem=s) for n, s in enumerate(dataset.shards)]
    total = len(JsonlFile(dataset.records))
    return [
        Piece(dataset=dataset, number=n, start=start, stop=min(start + _LINES, total))
        for n, start in enumerate(range(0, total, _LINES))
    ]


def units(piece: Piece) -> Iterator[Unit | InputError]:
    """The units of a piece; a line that cannot be read comes as an error.

    Raises:
        InputError: A file of the piece is missing.
    """
    if not piece.stem:
        yield from _plain(piece)
        return
    folder = piece.dataset.folder / "shards"
    records: dict[str, list[Mapping[str, Any]]] = {}
    for _, value in _lines(folder / f"{piece.stem}.jsonl"):
        if isinstance(value, InputError):
            yield value
        else:
            sample = (value.get("metadata") or {}).get("sample", "")
            records.setdefault(str(sample), []).append(value)
    for where, value in _lines(folder / f"{piece.stem}.gt.jsonl"):
        if isinstance(value, InputError):
            yield value
            continue
        try:
            yield Unit(
                id=str(value["id"]),
                records=tuple(records.pop(str(value["id"]), ())),
                gt=value["gt"],
                lang=str(value["lang"]),
                group=str(value["group"]),
                media=tuple(str(m["name"]) for m in value["media"]),
                quality=value.get("quality") or {},
            )
        except (KeyError, TypeError, AttributeError) as error:
            yield InputError(f"{where}: is no ground truth ({type(error).__name__}: {error})")
    for sample in records:
        yield InputError(f"{folder / piece.stem}: sample {sample!r} has records, no ground truth")


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Where, and an object or the error that stands for it."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                where = f"{path}:{number}"
                try:
                    value = parse_line(line, where)
                except InputError as error:
                    yield where, error
                    continue
                good = isinstance(value, dict)
                yield where, value if good else InputError(f"{where}: not an object")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); make the set again"
        ) from error


def _plain(piece: Piece) -> Iterator[Unit | InputError]:
    file = JsonlFile(piece.dataset.records)
    for index in range(piece.start, piece.stop):
        try:
            value = file[index]
        except InputError as error:
            yield error
            continue
        if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
            yield InputError(f"{file.where(index)}: not a record")
            continue
        facts = value.get("metadata") if isinstance(value.get("metadata"), dict) else {}
        assert isinstance(facts, dict)
        yield Unit(
            id=str(value.get("id", index)),
            records=(value,),
            lang=str(facts.get("lang", "")),
            group=str(facts.get("group", "")),
            media=_media_of(value),
        )


def _media_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for message in record["messages"]:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in ("image", "video", "audio") and isinstance(part.get(kind), str):
                names[part[kind]] = None
    return tuple(names)


def text_of(record: Mapping[str, Any], *roles: str) -> list[str]:
    """The texts of a record's messages of some roles, one per message."""
    texts = []
    for message in record["messages"]:
        if not isinstance(message, dict) or message.get("role") not in roles:
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts.append(
            "".join(
                str(part.get("text", ""))
                for part in parts
                if isinstance(part, dict) and part.get("type") == "text"
            )
        )
    return texts


def read_findings(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a findings file.

    Raises:
        InputError: It cannot be read.
    """
    for _, value in read_jsonl(path):
        yield value
