"""Where the members of tar archives lie, so that one can be read without the others.

The headers of all archives are read once and their names kept in an SQLite table in the cache;
after that, opening a set of any size takes no time and a name is found in microseconds. An index
that megatron-energon has made is read as it is. Nothing is unpacked, nothing is written beside the
data.

Source: training specification, sections 8.4 and 10.4.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.cache import cache_file, file_identity, locked, replacing

__all__ = ["ENERGON_INDEX", "Database", "EnergonIndex", "TarIndex"]

ENERGON_INDEX = Path(".nv-meta") / "index.sqlite"
_ENERGON_INFO = Path(".nv-meta") / ".info.json"
# How energon cuts a member's name into the key of a sample and the name of a part.
_KEY = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
_VERSION = 1
_NEIGHBOURS = 500  # names looked at on either side for the nearest one
_BLOCK = 512
_CHUNK = 10_000

Place = tuple[Path, int, int]  # archive, offset and size in bytes


class Database:
    """A read-only SQLite file, with a connection of its own for every thread and process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    def __reduce__(self) -> tuple[type[Database], tuple[Path]]:
        return type(self), (self.path,)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            InputError: The file is no database, or has other tables.
        """
        try:
            return self._connection().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(
                f"{self.path}: cannot be used as an index ({error}); delete it, or make it again"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        # A connection must not be used across a fork.
        if getattr(self._local, "pid", None) != os.getpid():
            uri = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
            self._local.connection = sqlite3.connect(uri, uri=True)
            self._local.pid = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection


class TarIndex:
    """Names of the members of some archives, in the cache.

    Args:
        archives: Plain tar files; a name may occur only once in all of them.
        root: The folder or file they stand for, for messages.

    Raises:
        InputError: An archive is damaged or compressed, or two members have one name.
    """

    def __init__(self, archives: Sequence[Path], root: Path) -> None:
        self.root = root
        self._archives = tuple(archives)
        try:
            facts = [file_identity(path) for path in self._archives]
            target = cache_file("\n".join((str(_VERSION), *facts)), ".members.sqlite")
            if not target.exists():
                with locked(target):
                    if not target.exists():
                        _build(target, self._archives)
        except OSError as error:
            raise InputError(
                f"{root}: cannot be indexed: {error.filename or ''} {error.strerror or error}"
            ) from error
        self._database = Database(target)

    def __len__(self) -> int:
        return int(self._database.rows("SELECT count(*) FROM members")[0][0])

    def find(self, name: str) -> Place | None:
        """Where a member is; None when there is none of this name."""
        rows = self._database.rows(
            "SELECT archive, offset, size FROM members WHERE name = ?", _plain(name)
        )
        return (self._archives[rows[0][0]], *rows[0][1:]) if rows else None

    def names(self) -> Iterator[str]:
        """All names, sorted."""
        for (name,) in self._database.rows("SELECT name FROM members ORDER BY name"):
            yield name

    def nearest(self, name: str) -> str:
        """A hint to append to an error."""
        around = []
        for sign, order in ((">=", "ASC"), ("<", "DESC")):
            query = f"SELECT name FROM members WHERE name {sign} ? ORDER BY name {order} LIMIT ?"
            around += [row[0] for row in self._database.rows(query, name, _NEIGHBOURS)]
        return hint(name, around)


class EnergonIndex:
    """Names of the members of a folder that energon has prepared.

    Args:
        folder: Holds `.nv-meta/index.sqlite` and `.nv-meta/.info.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self._archives = tuple(folder / name for name in _energon_shards(folder))
        self._database = Database(folder / ENERGON_INDEX)

    @staticmethod
    def fits(folder: Path, archives: Sequence[Path]) -> bool:
        """Whether there is an index and it is about these archives as they are now."""
        index = folder / ENERGON_INDEX
        if not index.is_file() or not (folder / _ENERGON_INFO).is_file():
            return False
        if {folder / name for name in _energon_shards(folder)} != set(archives):
            return False
        made = index.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= made for path in archives)

    def find(self, name: str) -> Place | None:
        """Where a member is; None when there is none of this name."""
        cut = _KEY.match(name)
        if cut is None:
            return None
        rows = self._database.rows(
            "SELECT p.tar_file_id, p.content_byte_offset, p.content_byte_size FROM samples s "
            "JOIN sample_parts p ON p.tar_file_id = s.tar_file_id "
            "AND p.sample_index = s.sample_index WHERE s.sample_key = ? AND p.part_name = ?",
            *cut.groups(),
        )
        return (self._archives[rows[0][0]], *rows[0][1:]) if rows else None

    def nearest(self, name: str) -> str:
        """A hint to append to an error."""
        around = []
        key = name.split(".", 1)[0]
        for sign, order in ((">=", "ASC"), ("<", "DESC")):
            query = (
                "SELECT s.sample_key || '.' || p.part_name FROM (SELECT * FROM samples WHERE "
                f"sample_key {sign} ? ORDER BY sample_key {order} LIMIT ?) s JOIN sample_parts p "
                "ON p.tar_file_id = s.tar_file_id AND p.sample_index = s.sample_index"
            )
            around += [row[0] for row in self._database.rows(query, key, _NEIGHBOURS)]
        return hint(name, around)


def hint(name: str, known: Sequence[str]) -> str:
    """The closest of many names, as a hint to append to an error."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _energon_shards(folder: Path) -> list[str]:
    """Archive names; their positions are the numbers the tables use."""
    path = folder / _ENERGON_INFO
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["shard_counts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not energon's list of shards; prepare {folder} again") from error


# --- building -----------------------------------------------------------------------------------


def _build(target: Path, archives: Sequence[Path]) -> None:
    with replacing(target) as path:
        connection = sqlite3.connect(path, isolation_level=None)
        with contextlib.closing(connection):
            connection.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE members (name TEXT, archive INTEGER, offset INTEGER, size INTEGER);"
                "BEGIN;"
            )
            for number, archive in enumerate(archives):
                for rows in _chunks(archive, number):
                    connection.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
            _check_unique(connection, archives)
            connection.execute("CREATE UNIQUE INDEX by_name ON members (name)")


def _chunks(path: Path, number: int) -> Iterator[list[tuple[str, int, int, int]]]:
    rows: list[tuple[str, int, int, int]] = []
    for name, offset, size in scan(path):
        rows.append((name, number, offset, size))
        if len(rows) == _CHUNK:
            yield rows
            rows = []
    yield rows


def _check_unique(connection: sqlite3.Connection, archives: Sequence[Path]) -> None:
    row = connection.execute(
        "SELECT name, min(archive), max(archive), count(*) FROM members GROUP BY name "
        "HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if row is None:
        return
    name, first, last, count = row
    where = (
        f"{count} times in {archives[first]}"
        if first == last
        else f"in {archives[first]} and in {archives[last]}"
    )
    raise InputError(
        f"media {name!r} is {where}; records find media by name, so rename or remove one of them"
    )


def scan(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every regular file in an archive.

    Raises:
        InputError: Not a tar file, compressed, or damaged.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise InputError(f"{path}: is empty (0 bytes), expected a tar file")
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # keeps memory bounded
                    if not member.isreg():
                        continue
                    if member.issparse():
                        raise InputError(
                            f"{path}: member {member.name!r} is stored sparsely, so it cannot be "
                            "read in place; make the archive again without --sparse"
                        )
                    yield _plain(member.name), member.offset_data, member.size
                end = archive.offset
        except (tarfile.TarError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: not a plain tar file, or cut off ({error}); get it again, or unpack it "
                "if it is compressed"
            ) from error
        # A damaged header ends the reading above without a word.
        file.seek(end)
        if file.read(_BLOCK).strip(b"\0"):
            raise InputError(f"{path}: damaged at byte {end}: no tar header there; get it again")


def _plain(name: str) -> str:
    """A member's name as records write it: `tar -c .` puts "./" before it."""
    return name.removeprefix("./")
