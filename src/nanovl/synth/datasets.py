"""What runs have written, read back: samples with truth, records and media.

Three kinds of folders are known: data sets of `nanovl synth run` (one, or a folder of several),
pages of `nanovl synth tex`, and any other data set in the released layout, which has records but no
ground truth. Must not change anything.

Source: data synthesis specification, sections 2.6, 3.15 and 20.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import Source, load_blend
from nanovl.data.jsonl import read_jsonl
from nanovl.data.media import open_media
from nanovl.data.records import FRAGMENT_TYPES

__all__ = ["DataSet", "Made", "MediaFile", "find_pages", "open_data_set", "open_data_sets"]

Kind = Literal["synth", "tex", "plain"]

_PAGE = re.compile(r"-p\d{4}\.json$")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_DONE = "*.done.json"


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """A picture, video or sound of a sample.

    Attributes:
        name: In the data set.
        kind: "image", "video" or "audio".
        facts: width, height, durations, ... as written.
    """

    name: str
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A sample as it was written.

    Attributes:
        id: Unique in its data set.
        truth: The line of ground truth; for a page of `synth tex` its JSON under "gt".
        records: In order, plain data.
        media: In order.
    """

    id: str
    truth: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...] = ()
    media: tuple[MediaFile, ...] = ()


class DataSet:
    """One folder.

    Args:
        path: The folder.
        kind: What it is.
        shards: Numbers of the shards to look at; empty takes all.

    Attributes:
        claim: Content of its synth.json; empty for other kinds.
        done: Done files of its shards by stem.
    """

    def __init__(self, path: Path, kind: Kind, shards: Sequence[str] = ()) -> None:
        self.path = path
        self.kind = kind
        self.claim: dict[str, Any] = {}
        self.done: dict[str, dict[str, Any]] = {}
        self._tar: tuple[str, dict[str, tuple[Path, int, int]]] = ("", {})
        if kind == "synth":
            claim = path / "synth.json"
            self.claim = _object(claim) if claim.is_file() else {}
            for file in sorted((path / "shards").glob(_DONE)):
                stem = file.name.removesuffix(".done.json")
                if not shards or stem in shards:
                    self.done[stem] = _object(file)
            if not self.done:
                raise InputError(f"{path}: no shard is complete; run `nanovl synth run` again")

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.resolve().name

    @property
    def size(self) -> int:
        """Number of samples; of a plain data set the number of records at most."""
        if self.kind == "synth":
            return sum(int(done["samples"]) for done in self.done.values())
        return len(find_pages(self.path)) if self.kind == "tex" else sum(1 for _ in self)

    def __iter__(self) -> Iterator[Made]:
        """All samples in order.

        Raises:
            InputError: A file is missing or broken; says which and where.
        """
        if self.kind == "tex":
            return self._pages()
        return self._plain() if self.kind == "plain" else self._made()

    def _made(self) -> Iterator[Made]:
        for stem in self.done:
            folder = self.path / "shards"
            records = _by_sample(_lines(folder / f"{stem}.jsonl"))
            for truth in _lines(folder / f"{stem}.gt.jsonl"):
                name = str(truth["id"])
                media = tuple(
                    MediaFile(name=str(m["name"]), kind=str(m["kind"]), facts=m)
                    for m in truth.get("media", ())
                )
                yield Made(id=name, truth=truth, records=tuple(records.get(name, ())), media=media)

    def _pages(self) -> Iterator[Made]:
        for path in find_pages(self.path):
            page = _object(path)
            picture = next((p for s in _PICTURES if (p := path.with_suffix(s)).is_file()), None)
            if picture is None:
                raise InputError(f"{path}: no picture of the page beside it")
            facts = {"width": page["width"], "height": page["height"], "dpi": page["dpi"]}
            truth = {
                "id": path.stem,
                "generator": "tex",
                "gt": page,
                "tags": list(page.get("tags") or ()),
                "quality": page.get("verify") or {},
            }
            media = (MediaFile(name=picture.name, kind="image", facts=facts),)
            yield Made(id=path.stem, truth=truth, media=media)

    def _plain(self) -> Iterator[Made]:
        for source in _sources(self.path):
            lines = _lines(source.path)
            for name, group in groupby(lines, key=_sample_of):
                records = tuple(group)
                media: dict[str, MediaFile] = {}
                for record in records:
                    for one in _fragments(record):
                        media.setdefault(one.name, one)
                first = records[0]
                facts = first.get("metadata") or {}
                truth = {
                    "id": name,
                    "generator": str(first.get("source") or source.name),
                    "lang": facts.get("lang", ""),
                    "license": facts.get("license", ""),
                    "group": facts.get("group", ""),
                    "gt": {},
                    "tags": [],
                }
                yield Made(id=name, truth=truth, records=records, media=tuple(media.values()))

    def read(self, media: MediaFile) -> bytes:
        """The bytes of a medium.

        Raises:
            InputError: It is not in the data set.
        """
        if self.kind == "tex":
            return _bytes(self.path / media.name, 0, -1)
        if self.kind == "plain":
            return self._read_plain(media.name)
        stems = list(self.done)
        last = stems.index(self._tar[0]) if self._tar[0] in self.done else 0
        for stem in stems[last:] + stems[:last]:  # samples are asked for in order, mostly
            place = self._members(stem).get(media.name)
            if place is not None:
                return _bytes(*place)
        raise InputError(f"{self.path}: media {media.name!r} is in none of its archives")

    def _read_plain(self, name: str) -> bytes:
        missing: InputError | None = None
        for source in _sources(self.path):
            try:
                found = open_media(source.media, source.path.parent).find(name)
            except InputError as error:
                missing = error
                continue
            assert found.path is not None
            return _bytes(found.path, *(found.byte_range or (0, -1)))
        raise missing or InputError(f"{self.path}: has no records")

    def _members(self, stem: str) -> dict[str, tuple[Path, int, int]]:
        """Where the media of a shard are; remembers the shard asked for last."""
        if self._tar[0] == stem:
            return self._tar[1]
        path = self.path / "media" / f"shard_{stem}.tar"
        found: dict[str, tuple[Path, int, int]] = {}
        if path.is_file():
            try:
                with tarfile.open(path) as archive:
                    for member in archive:
                        found[member.name] = (path, member.offset_data, member.size)
            except tarfile.TarError as error:
                raise InputError(f"{path}: is no whole archive ({error})") from error
        self._tar = (stem, found)
        return found


def open_data_set(path: Path) -> DataSet:
    """The data set of a folder, or of one shard (`OUT/shards/000003.gt.jsonl` and its like).

    Raises:
        InputError: There is none.
    """
    if path.is_file() and path.parent.name in ("shards", "media"):
        stem = re.search(r"\d{6}", path.name)
        if stem is None:
            raise InputError(f"{path}: is no file of a shard")
        return DataSet(path.parent.parent, "synth", (stem[0],))
    if not path.exists():
        raise InputError(f"{path}: does not exist; expected the folder of a data set")
    if (path / "synth.json").is_file() or next((path / "shards").glob(_DONE), None):
        return DataSet(path, "synth")
    if path.is_dir() and find_pages(path):
        return DataSet(path, "tex")
    try:
        _sources(path)
    except (ConfigError, InputError) as error:
        raise InputError(
            f"{path}: holds no data set (expected synth.json, pages of synth tex, or records): "
            f"{error}"
        ) from error
    return DataSet(path, "plain")


def open_data_sets(paths: Sequence[Path]) -> list[DataSet]:
    """The data sets of folders; a folder of data sets stands for all that are in it.

    Raises:
        InputError: One of them is none.
    """
    found = []
    for path in paths:
        inside = (
            sorted(p.parent for p in path.glob("*/synth.json"))
            if path.is_dir() and not (path / "synth.json").is_file()
            else []
        )
        found += [open_data_set(p) for p in (inside or [path])]
    return found


def find_pages(folder: Path) -> list[Path]:
    """Page files of `nanovl synth tex` in a folder, sorted."""
    return sorted(p for p in folder.glob("*.json") if _PAGE.search(p.name))


def _sources(path: Path) -> tuple[Source, ...]:
    return load_blend(path)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object")
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in read_jsonl(path):
        if not isinstance(line, dict) or "id" not in line:
            raise InputError(f"{path}, line {number}: expected an object with an id")
        yield line


def _sample_of(record: Mapping[str, Any]) -> str:
    return str((record.get("metadata") or {}).get("sample") or record["id"])


def _by_sample(records: Iterator[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(_sample_of(record), []).append(record)
    return found


def _fragments(record: Mapping[str, Any]) -> Iterator[MediaFile]:
    for message in record.get("messages", ()):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type")
            if kind in FRAGMENT_TYPES and kind != "text":
                name = str(part[kind])
                yield MediaFile(name=name, kind=kind, facts=part.get("metadata") or {})


def _bytes(path: Path, start: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
