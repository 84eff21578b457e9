"""Texts of evaluation files, to be found again in training data.

Every run of 13 words of every text is kept as a 64-bit hash in an SQLite file with the place it
comes from; texts of 8 to 12 words are kept whole. Shorter ones cannot be told from chance and are
counted. Reads `.jsonl`, `.jsonl.gz`, `.json`, `.parquet` and `.txt`, and folders of them. Must not
look at training data before it is asked to.

Source: data synthesis specification, section 19 (evaluation decontamination).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanovl.core.errors import InputError, missing_extra
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.jsonl import read_jsonl
from nanovl.data.tars import Database
from nanovl.synth.quality.texts import U64, gram_hashes, words

__all__ = ["Indexed", "OverlapIndex", "build_overlap", "evaluation_files"]

_FORMS = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".txt")
_AT_ONCE = 500  # hashes per query
_BATCH = 1000  # rows of a parquet file held at a time


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What an index was made of.

    Attributes:
        files: Evaluation files.
        texts: Their texts.
        short: Texts too short to be compared.
        grams: Entries.
    """

    files: int
    texts: int
    short: int
    grams: int


def evaluation_files(paths: Sequence[str | Path]) -> list[Path]:
    """The evaluation files some paths stand for, folders searched.

    Raises:
        InputError: A path does not exist, holds nothing, or has a form that is not read.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.name.endswith(_FORMS) and p.is_file())
            if not inside:
                raise InputError(f"{path}: holds no evaluation file ({', '.join(_FORMS)})")
            found += inside
        elif not path.is_file():
            raise InputError(f"{path}: no such evaluation file")
        elif not path.name.endswith(_FORMS):
            raise InputError(f"{path}: evaluation files are read as {', '.join(_FORMS)}")
        else:
            found.append(path)
    return found


def build_overlap(
    files: Sequence[Path],
    target: Path,
    *,
    size: int = 13,
    whole: int = 8,
    on_event: OnEvent = ignore_event,
) -> Indexed:
    """Index evaluation files.

    Args:
        files: From `evaluation_files`.
        target: A new file.
        size: Words of a gram.
        whole: Shortest text that is kept as a whole.
        on_event: Told about files.

    Raises:
        InputError: A file cannot be read.
        BackendError: A parquet file, and pyarrow is not installed.
    """
    texts = short = 0
    with closing(sqlite3.connect(target, isolation_level=None)) as database:
        database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE grams (hash INTEGER PRIMARY KEY, file INTEGER, place INTEGER);"
            "CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT);"
            "BEGIN;"
        )
        for number, file in enumerate(files):
            database.execute("INSERT INTO files VALUES (?, ?)", (number, str(file)))
            for place, text in _texts(file):
                tokens = words(text)
                texts += 1
                hashes = _grams(tokens, size, whole)
                short += not len(hashes)
                rows = ((int(h), number, place) for h in hashes.view(np.int64))
                database.executemany("INSERT OR IGNORE INTO grams VALUES (?, ?, ?)", rows)
            on_event(Event(name="evaluation files", done=number + 1, total=len(files)))
        database.execute("COMMIT")
        (grams,) = database.execute("SELECT count(*) FROM grams").fetchone()
    return Indexed(files=len(files), texts=texts, short=short, grams=int(grams))


def _grams(tokens: Sequence[str], size: int, whole: int) -> U64:
    """Hashes of all runs of `size` words, or of a shorter text as a whole."""
    if len(tokens) >= size:
        return gram_hashes(tokens, size)
    return gram_hashes(tokens, len(tokens)) if len(tokens) >= whole else np.zeros(0, np.uint64)


class OverlapIndex:
    """Looks texts up.

    Args:
        path: From `build_overlap`.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    def hit(self, texts: Sequence[str], size: int, whole: int) -> str:
        """Where one of the texts overlaps, and the words; "" when none does."""
        for text in texts:
            tokens = words(text)
            hashes = _grams(tokens, size, whole).view(np.int64)
            for start in range(0, len(hashes), _AT_ONCE):
                chunk = [int(h) for h in hashes[start : start + _AT_ONCE]]
                marks = ", ".join("?" * len(chunk))
                rows = self._database.rows(
                    "SELECT g.hash, f.path, g.place FROM grams g JOIN files f ON f.number = g.file "
                    f"WHERE g.hash IN ({marks})",
                    *chunk,
                )
                if rows:
                    by_hash = {row[0]: row for row in rows}
                    first = next(k for k, h in enumerate(chunk) if h in by_hash)
                    _, path, place = by_hash[chunk[first]]
                    begin = start + first
                    shown = " ".join(tokens[begin : begin + min(size, len(tokens))])
                    return f"{Path(path).name}:{place}: {shown!r}"
        return ""


# --- files --------------------------------------------------------------------------------------


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a file with the line, row or paragraph they stand in, from 1."""
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        for number, value in read_jsonl(path):
            yield from ((number, text) for text in _leaves(value))
    elif path.suffix == ".parquet":
        for number, row in _rows(path):
            yield from ((number, text) for text in _leaves(row))
    elif path.suffix == ".json":
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as JSON ({error})") from error
        entries = value if isinstance(value, list) else [value]
        for number, entry in enumerate(entries, start=1):
            yield from ((number, text) for text in _leaves(entry))
    else:
        yield from _paragraphs(path)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


def _paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            lines: list[str] = []
            number = 1
            for number, line in enumerate(file, start=1):
                if line.strip():
                    lines.append(line)
                elif lines:
                    yield number - len(lines), "".join(lines)
                    lines = []
            if lines:
                yield number - len(lines) + 1, "".join(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise missing_extra("pyarrow", "ray", f"reading {path.name}") from None
    try:
        number = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error
