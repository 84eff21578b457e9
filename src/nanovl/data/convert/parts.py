"""Parts of an item that can be wrong without spoiling it: one box of many, one segment of a video.

Each part that cannot be used is reported with its own place and reason; the item goes on with the
rest. Also gives items without an id of their own a stable one, made of where they stand.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.base import ConvertOptions, Item, Malformed
from nanovl.data.convert.sources import load_json, read_lines, read_objects

__all__ = [
    "NOT_PRESENT",
    "drop",
    "item_key",
    "kept",
    "negative_share",
    "read_any",
    "read_csv",
    "read_mapping",
]

NOT_PRESENT = "not present"  # answer to a question about something that is not there

T = TypeVar("T")

_PLACE = re.compile(r"(?P<file>.*?)[:\[](?P<number>\d+)\]?", re.DOTALL)


def drop(options: ConvertOptions, item: Item, error: Malformed) -> None:
    """Report one part that is left out."""
    options.on_drop(error.reason, item.where, error.message)


def kept(parts: Iterable[Item], read: Callable[[Item], T], options: ConvertOptions) -> list[T]:
    """What `read` makes of every part; a malformed part is reported and left out."""
    found = []
    for part in parts:
        try:
            found.append(read(part))
        except Malformed as error:
            drop(options, part, error)
    return found


def item_key(item: Item, *fields: str) -> str:
    """The first of some id fields that is filled, else the place: "train.jsonl:12" -> "train-12".

    Args:
        item: One entry of a source.
        fields: Names of the fields that may hold an id.
    """
    for field in fields:
        if found := item.maybe(field):
            return found
    place = _PLACE.fullmatch(item.where)
    if place is None:
        return item.where
    return f"{Path(place['file']).name.split('.')[0]}-{place['number']}"


def negative_share(options: ConvertOptions) -> float:
    """Share of questions whose subject is absent, out of the percentage `negatives` (15).

    Raises:
        ConfigError: Not a whole number from 0 to 50.
    """
    percent = options.integer("negatives", 15, least=0)
    if percent > 50:
        raise ConfigError(f"convert option negatives: got {percent}, expected 0 to 50 percent")
    return percent / 100


def read_any(path: Path, options: ConvertOptions) -> Iterator[Item]:
    """The objects of a JSON list or, by its name, of a JSON lines file; both also gzipped.

    Raises:
        InputError: The file is missing, damaged or not a list of objects.
    """
    if ".jsonl" in path.suffixes or ".ndjson" in path.suffixes:
        return read_lines(path, options)
    return read_objects(load_json(path), path.name, options)


def read_mapping(data: Any, where: str, options: ConvertOptions, field: str = "") -> Iterator[Item]:
    """The values of a JSON object of objects; each item gets its key as `_key`.

    Args:
        data: A decoded file.
        where: Its name, for messages.
        options: For reporting values that are not objects.
        field: Where in the file the mapping is; "" for the file itself.

    Raises:
        InputError: There is no such mapping.
    """
    found = data.get(field) if field and isinstance(data, dict) else data
    if not isinstance(found, dict):
        place = f"the field {field!r}" if field else "the file"
        raise InputError(f"{where}: {place} is not an object that maps ids to entries")
    return _entries(found, where, options)


def _entries(found: Mapping[str, Any], where: str, options: ConvertOptions) -> Iterator[Item]:
    for key, value in found.items():
        place = f"{where}[{key!r}]"
        if isinstance(value, dict):
            yield Item(place, {**value, "_key": key})
        else:
            got = type(value).__name__
            options.on_drop("wrong_type", place, f"got {got}, expected an object")


def read_csv(path: Path, columns: Sequence[str] = ()) -> Iterator[Item]:
    """The rows of a CSV file as items named by line.

    Args:
        path: UTF-8, with a header row unless `columns` are given.
        columns: Names of the columns of a file without header.

    Raises:
        InputError: The file is missing or not text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, fieldnames=list(columns) or None)
            for row in reader:
                data: dict[str, Any] = {k: v for k, v in row.items() if k is not None and v != ""}
                yield Item(f"{path.name}:{reader.line_num}", data)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
