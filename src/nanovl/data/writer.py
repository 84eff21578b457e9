"""Writes a data set: one record file, and its media in tar archives of bounded size.

The folder appears under its name only when it is complete; until then everything is in a hidden
folder beside it. Names are checked against what megatron-energon can index. Makes no records and
looks into no media.

Source: training specification, sections 2.1, 8.4 and 10.4.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.records import Record

__all__ = ["SHARD_SIZE_BYTES", "RecordWriter"]

SHARD_SIZE_BYTES = 256 << 20
# energon leaves out members with such a part in their names.
_SKIPPED = re.compile(r"(^|/)__[^/]*__(/|$|\.)")
_HEADER = 512


class RecordWriter:
    """Fills a new folder: `<folder>/<its name>.jsonl` and `<folder>/media/shard_000000.tar`, ...

    As a context manager it completes the folder at the end of the block, and leaves nothing behind
    when the block raises.

    Args:
        folder: Does not exist yet, or is empty.
        shard_size_bytes: An archive is closed before a member would make it larger, but for the
            padding at its end.

    Raises:
        ConfigError: The folder holds something already, or cannot be made.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, shard_size_bytes: int = SHARD_SIZE_BYTES
    ) -> None:
        self.folder = Path(folder).expanduser().absolute()
        if shard_size_bytes < 1:
            raise ConfigError(f"shard_size_bytes: got {shard_size_bytes}, expected at least 1")
        if not self.folder.name:
            raise ConfigError(f"{self.folder}: expected a folder with a name")
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ConfigError(
                f"{self.folder}: exists and is not empty; choose another folder or delete it"
            )
        self._shard_size = shard_size_bytes
        self._ids: set[str] = set()
        self._media: dict[str, bytes] = {}  # digests
        self._keys: dict[str, str] = {}
        self._tar: tarfile.TarFile | None = None
        self._shards = 0
        self._closed = False
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(
                tempfile.mkdtemp(
                    dir=self.folder.parent, prefix=f".{self.folder.name}.", suffix=".tmp"
                )
            )
            self._work.chmod(0o755)
            self._lines = (self._work / f"{self.folder.name}.jsonl").open("wb")
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot be written ({error.strerror})") from error

    @property
    def num_records(self) -> int:
        """Records written so far."""
        return len(self._ids)

    @property
    def num_media(self) -> int:
        """Media files written so far."""
        return len(self._media)

    def write(self, record: Record, media: Mapping[str, bytes] | None = None) -> None:
        """Add a record, and the media it names that were not written before.

        Args:
            record: Has an id no other record has.
            media: Name -> encoded bytes. A name that was written before is not written again, and
                must stand for the same bytes.

        Raises:
            InputError: The record is not valid, names media nobody has given, or media comes with
                it that cannot be stored under its name. Nothing of it is written then.
        """
        if self._closed:
            raise InputError(f"{self.folder}: is closed; no more records can be written")
        media = media or {}
        where = f"record {record.id!r}"
        line = self._line(record, where)
        if record.id in self._ids:
            raise InputError(f"{where}: this id was written already; ids are unique in a data set")
        named = {fragment.value for fragment in record.media}
        for name in sorted(named):
            if name not in media and name not in self._media:
                raise InputError(f"{where}: names media {name!r}, which was not given")
        new = {}
        for name, data in media.items():
            if name not in named:
                raise InputError(f"{where}: comes with media {name!r}, which it does not name")
            digest = hashlib.blake2b(data, digest_size=16).digest()
            if name not in self._media:
                new[name] = digest
            elif self._media[name] != digest:
                raise InputError(
                    f"{where}: media {name!r} was written already with other content; rename one"
                )
        keys = self._new_keys(new, where)
        for name, digest in new.items():
            self._store(name, media[name])
            self._media[name] = digest
        self._keys.update(keys)
        self._lines.write(line)
        self._ids.add(record.id)

    def close(self) -> None:
        """Complete the folder; more calls do nothing.

        Raises:
            InputError: No record was written; nothing is left behind then.
            ConfigError: The folder was filled by somebody else in the meantime.
        """
        if self._closed:
            return
        if not self._ids:
            self.abort()
            raise InputError(f"{self.folder}: no records were written, so there is no data set")
        self._closed = True
        try:
            self._finish_shard()
            self._lines.flush()
            os.fsync(self._lines.fileno())
            self._lines.close()
            if self.folder.is_dir():
                self.folder.rmdir()  # an empty folder; else it is refused
            os.rename(self._work, self.folder)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: cannot be completed ({error.strerror}); what was written is in "
                f"{self._work}"
            ) from error

    def abort(self) -> None:
        """Give up: everything written is deleted."""
        self._closed = True
        if self._tar is not None:
            self._tar.close()
            self._tar = None
        self._lines.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self.abort()

    # --- records --------------------------------------------------------------------------------

    def _line(self, record: Record, where: str) -> bytes:
        data = record.to_json()
        Record.from_json(data, where=where)
        try:
            text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode("utf-8") + b"\n"
        except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
            raise InputError(f"{where}: cannot be written as JSON: {error}") from error

    # --- media ----------------------------------------------------------------------------------

    def _new_keys(self, names: Mapping[str, bytes], where: str) -> dict[str, str]:
        """energon's keys of new members: the name up to the first dot, unique in the set."""
        made: dict[str, str] = {}
        for name in names:
            key = _key(name, where)
            other = made.get(key) or self._keys.get(key)
            if other is not None:
                raise InputError(
                    f"{where}: media {name!r} and {other!r} are the same up to the first dot, "
                    "which has to be unique in a data set; rename one"
                )
            made[key] = name
        return made

    def _store(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        if self._tar is not None and self._tar.offset + _HEADER + len(data) > self._shard_size:
            self._finish_shard()
        if self._tar is None:
            folder = self._work / "media"
            folder.mkdir(exist_ok=True)
            path = folder / f"shard_{self._shards:06d}.tar"
            self._tar = tarfile.open(path, "w")  # noqa: SIM115  # closed in _finish_shard
            self._shards += 1
        self._tar.addfile(entry, io.BytesIO(data))

    def _finish_shard(self) -> None:
        if self._tar is None:
            return
        path = str(self._tar.name)
        self._tar.close()
        self._tar = None
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _key(name: str, where: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or str(path) != name or ".." in path.parts or "\\" in name:
        raise InputError(f"{where}: media {name!r}: expected a plain relative name with '/'")
    stem, dot, _ = path.name.partition(".")
    if not stem or not dot or _SKIPPED.search(name):
        raise InputError(
            f"{where}: media {name!r}: expected a name with an extension, like 'page-1.png', and "
            "no part like '__this__'"
        )
    return str(path.parent / stem)
