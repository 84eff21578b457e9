"""VLMEvalKit's TSV files: tab-separated cells, quoted where needed, pictures in base64.

A cell is what it says: "None" is text, unless profile `vk` asks for the behaviour of pandas, which
takes it for a missing value and so loses options. Rows are read one by one; only pictures that
other rows point to are kept in memory.

Source: evaluation specification, section 3.1.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import (
    REFERENCE_CHARS,
    as_text,
    decode_medium,
    is_listing,
    literal_list,
    medium_of_file,
)
from nanovl.evals.readers.find import inside
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.rows import RowReader, Unusable
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["CellPictures", "read_table", "read_tsv"]

_CELL_CHARS = (1 << 31) - 1


def read_tsv(
    path: Path, benchmark: Benchmark, spec: FileSpec, log: ReadLog, *, profile: str = "default"
) -> Iterator[Sample]:
    """Samples of a TSV, in the order of its rows.

    Args:
        path: The file.
        benchmark: Whose file it is.
        spec: Part of the benchmark.
        log: Takes rows that cannot be used.
        profile: "vk" for missing values as pandas sees them.

    Raises:
        InputError: The file cannot be read or lacks a column; a malformed row of a strict log.
    """
    rows = RowReader(benchmark, spec, path, log, profile)
    pictures = CellPictures(path, log)
    for number, (line, row) in enumerate(read_table(path, log, check=rows.check_columns)):
        cells = rows.present(row)
        if not rows.wanted(cells):
            continue

        def media(index: str, cells: Mapping[str, object] = cells) -> Sequence[Medium]:
            return pictures.of(cells, index)

        try:
            yield rows.sample(cells, media, number)
        except Unusable as error:
            log.problem(path.name, line, error.reason, str(error))


def read_table(
    path: Path,
    log: ReadLog,
    *,
    check: Callable[[Sequence[str]], None] | None = None,
    delimiter: str = "\t",
    label: str = "",
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as mappings from column to text, with the line each begins on.

    Args:
        path: UTF-8, the first row names the columns.
        log: Counts rows, and takes those with too few or too many cells, or that are not UTF-8.
        check: Called with the columns before the first row.
        delimiter: Between cells.
        label: Name of the file in messages; its own name when empty.

    Raises:
        InputError: The file cannot be read, is empty, or names a column twice.
    """
    csv.field_size_limit(_CELL_CHARS)
    label = log.opened(path, label)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            columns = next(reader, [])
            if not columns:
                raise InputError(f"{path}: is empty; get it again")
            if len(set(columns)) != len(columns):
                twice = sorted({name for name in columns if columns.count(name) > 1})
                raise InputError(f"{path}: names the columns {', '.join(twice)} twice")
            if check is not None:
                check(columns)
            yield from _rows(reader, columns, label, log)
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error


def _rows(
    reader: Iterator[list[str]], columns: Sequence[str], label: str, log: ReadLog
) -> Iterator[tuple[int, dict[str, str]]]:
    line = 2
    for row in reader:
        start, line = line, reader.line_num + 1  # type: ignore[attr-defined]
        if not row:
            continue
        log.rows[label] += 1
        if len(row) != len(columns):
            log.problem(label, start, "cells", f"{len(row)} cells, expected {len(columns)}")
        elif any(not _is_text(cell) for cell in row):
            log.problem(label, start, "encoding", "not UTF-8 text")
        else:
            yield start, dict(zip(columns, row, strict=True))


def _is_text(cell: str) -> bool:
    if cell.isascii():
        return True
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class CellPictures:
    """Pictures of rows: base64, the index of another row, a list of either, or paths.

    Args:
        path: The table; paths are relative to its folder.
        log: Learns the sizes of files.
    """

    def __init__(self, path: Path, log: ReadLog) -> None:
        self._path = path
        self._log = log
        self._shared: dict[str, tuple[Medium, ...]] | None = None

    def of(self, cells: Mapping[str, object], index: str) -> tuple[Medium, ...]:
        """The media of a row; none when it names none.

        Raises:
            Unusable: They cannot be read.
        """
        try:
            return self._of(cells, index)
        except InputError as error:
            raise Unusable("picture", f"row {index}: {error}") from error

    def _of(self, cells: Mapping[str, object], index: str) -> tuple[Medium, ...]:
        cell = cells.get("image")
        if cell is None:
            return tuple(self._file(name) for name in _names(cells.get("image_path")))
        text = as_text(cell)
        if len(text) <= REFERENCE_CHARS and not is_listing(text):
            return self._referred(text, index)
        if not is_listing(text):
            return (decode_medium(text, f"{self._path.stem}/{index}"),)
        parts = literal_list(text)
        if parts is None:
            raise InputError("the image cell looks like a list and is none")
        return tuple(
            decode_medium(as_text(part), f"{self._path.stem}/{index}_{number}")
            for number, part in enumerate(parts)
        )

    def _file(self, name: str) -> Medium:
        folder = self._path.parent
        bases = (folder / "images" / self._path.stem, folder / "images")
        path = inside(folder, name, bases=bases)
        if path is None:
            raise InputError(
                f"there is no {name} in {folder} or {bases[0]}; put the pictures there"
            )
        medium = medium_of_file(path, name)
        self._log.media[name] = path.stat().st_size
        return medium

    def _referred(self, target: str, index: str) -> tuple[Medium, ...]:
        if self._shared is None:
            self._shared = self._load_shared()
        if target not in self._shared:
            raise InputError(f"its image is that of row {target!r}, which holds none")
        return self._shared[target]

    def _load_shared(self) -> dict[str, tuple[Medium, ...]]:
        """Pictures of the rows that other rows point to; reads the file twice more."""
        silent = ReadLog()
        targets = {
            row["image"]
            for _, row in read_table(self._path, silent)
            if 0 < len(row["image"]) <= REFERENCE_CHARS and not is_listing(row["image"])
        }
        shared: dict[str, tuple[Medium, ...]] = {}
        for _, row in read_table(self._path, silent):
            if row["index"] in targets and len(row["image"]) > REFERENCE_CHARS:
                try:
                    shared[row["index"]] = self._of({"image": row["image"]}, row["index"])
                except InputError:
                    continue  # the row itself is named as malformed when it is read
        return shared


def _names(cell: object) -> list[str]:
    if cell is None:
        return []
    parts = literal_list(cell)
    return [as_text(part) for part in parts] if parts is not None else [as_text(cell)]
