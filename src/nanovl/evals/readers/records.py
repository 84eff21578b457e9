"""Exports of data sets: Parquet, JSONL, JSON and CSV, as rows of named values.

Columns may be called as in the TSV files or as Hugging Face exports call them; pictures are a
struct of bytes and path, bytes, base64, a path, or lists of these. Parquet needs pyarrow, which is
imported only then.

Source: evaluation specification, section 3.2.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError, missing_extra
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import (
    as_text,
    decode_medium,
    literal_list,
    medium_of,
    medium_of_file,
)
from nanovl.evals.readers.find import inside
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.rows import RowReader, Unusable
from nanovl.evals.readers.tsv import read_table
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["ALIASES", "first_of", "read_record_samples", "read_records"]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "index": ("index", "id", "question_id", "questionId", "pid", "sample_index", "data_id"),
    "question": ("question", "query", "instruction"),
    "answer": ("answer", "answers", "label", "gt_answer"),
}
"""What exports call the columns of a TSV, the preferred name first."""

_OPTIONS = ("options", "choices", "candidates")
_PICTURES = ("image", "images", "decoded_image", "image_path", "image_paths")
_NUMBERED = re.compile(r"image_(\d+)")
_PATH_CHARS = 255


def read_record_samples(
    path: Path, benchmark: Benchmark, spec: FileSpec, log: ReadLog, *, profile: str = "default"
) -> Iterator[Sample]:
    """Samples of an export of a benchmark whose own format is a TSV.

    Rows without an index get their number.

    Args:
        path: `.parquet`, `.jsonl`, `.json` or `.csv`.
        benchmark: Whose file it is.
        spec: Part of the benchmark.
        log: Takes rows that cannot be used.
        profile: "vk" for missing values as pandas sees them.

    Raises:
        InputError: The file cannot be read; a malformed row of a strict log.
    """
    rows = RowReader(benchmark, spec, path, log, profile)
    checked = False
    for number, (line, record) in enumerate(read_records(path, log)):
        row = _row(record, benchmark, number)
        if not checked:
            shown = ["image"] if _pictures(record) else []
            rows.check_columns([*(name for name in row if name != "image"), *shown])
            checked = True
        cells = rows.present(row)
        if not rows.wanted(cells):
            continue

        def media(index: str, record: Mapping[str, Any] = record) -> Sequence[Medium]:
            try:
                return tuple(_media(record, f"{path.stem}/{index}", path, log))
            except InputError as error:
                raise Unusable("picture", f"row {index}: {error}") from error

        try:
            yield rows.sample(cells, media, number)
        except Unusable as error:
            log.problem(path.name, line, error.reason, str(error))


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first value that is there under one of these names; None when there is none."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def _row(record: Mapping[str, Any], benchmark: Benchmark, number: int) -> dict[str, Any]:
    """The record with the names of a TSV; pictures are left out."""
    row = {name: value for name, value in record.items() if not _is_picture(name)}
    for name, aliases in ALIASES.items():
        if name not in row:
            value = first_of(record, aliases)
            if value is not None:
                row[name] = value
    row.setdefault("index", number)
    listing = literal_list(first_of(record, _OPTIONS))
    if listing and "A" not in row and not benchmark.options_column:
        row |= {chr(ord("A") + place): as_text(text) for place, text in enumerate(listing[:26])}
    return row


def _is_picture(name: str) -> bool:
    return name in _PICTURES or _NUMBERED.fullmatch(name) is not None


def _pictures(record: Mapping[str, Any]) -> list[Any]:
    """The cells that hold pictures: the numbered ones in order, else the first that is filled."""
    numbered = sorted(
        (int(match[1]), name) for name in record if (match := _NUMBERED.fullmatch(name))
    )
    found = [record[name] for _, name in numbered if record[name] is not None]
    if found:
        return found
    cell = first_of(record, _PICTURES)
    if cell is None:
        return []
    listing = literal_list(cell)
    return listing if listing is not None else [cell]


def _media(record: Mapping[str, Any], name: str, path: Path, log: ReadLog) -> Iterator[Medium]:
    cells = _pictures(record)
    for number, cell in enumerate(cells):
        label = f"{name}_{number}" if len(cells) > 1 else name
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if isinstance(data, bytes):
            yield medium_of(data, label)
            continue
        where = as_text(cell.get("path")) if isinstance(cell, Mapping) else as_text(cell)
        file = None
        if 0 < len(where) <= _PATH_CHARS:
            file = inside(path.parent, where, bases=(path.parent / "images",))
        if file is None:
            yield _from_base64(where, label, number, path)
            continue
        log.media[where] = file.stat().st_size
        yield medium_of_file(file, where)


def _from_base64(text: str, label: str, number: int, path: Path) -> Medium:
    try:
        return decode_medium(text, label)
    except InputError as error:
        if len(text) > _PATH_CHARS:
            raise
        raise InputError(
            f"picture {number + 1} has neither bytes nor a file: {text!r} is not in {path.parent}"
        ) from error


def read_records(
    path: Path, log: ReadLog, *, label: str = ""
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of a file with line or row number, from 1.

    Args:
        path: `.jsonl` (one object per line), `.json` (a list, or an object that holds one),
            `.parquet`, `.csv` or `.tsv`.
        log: Counts rows and takes lines that are no JSON objects.
        label: Name of the file in messages; its own name when empty.

    Raises:
        InputError: The file cannot be read; another suffix.
        BackendError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    label = log.opened(path, label)
    if suffix == ".jsonl":
        yield from _jsonl(path, label, log)
    elif suffix == ".json":
        yield from _json(path, label, log)
    elif suffix == ".parquet":
        yield from _parquet(path, label, log)
    elif suffix in (".csv", ".tsv"):
        delimiter = "," if suffix == ".csv" else "\t"
        yield from read_table(path, log, delimiter=delimiter, label=label)
    else:
        raise InputError(
            f"{path}: cannot be read as records; expected .parquet, .jsonl, .json, .csv or .tsv"
        )


def _jsonl(path: Path, label: str, log: ReadLog) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                log.rows[label] += 1
                try:
                    value = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
                except (ValueError, RecursionError) as error:
                    log.problem(label, number, "json", f"not JSON: {error}")
                    continue
                if isinstance(value, dict):
                    yield number, value
                else:
                    kind = type(value).__name__
                    log.problem(label, number, "json", f"a {kind}, expected an object")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _json(path: Path, label: str, log: ReadLog) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); get it again") from error
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list)]
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list):
        raise InputError(f"{path}: got a JSON {type(value).__name__}, expected a list of objects")
    for number, entry in enumerate(value, start=1):
        log.rows[label] += 1
        if isinstance(entry, dict):
            yield number, entry
        else:
            kind = type(entry).__name__
            log.problem(label, number, "json", f"a {kind}, expected an object")


def _parquet(path: Path, label: str, log: ReadLog) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "evals", "reading Parquet files") from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=64):
            for record in batch.to_pylist():
                number += 1
                log.rows[label] += 1
                yield number, {str(k): _plain(v) for k, v in record.items()}
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); get it again") from error


def _plain(value: Any) -> Any:
    """Dates as text; everything else is plain already."""
    return value.isoformat() if isinstance(value, (datetime.datetime, datetime.date)) else value
