"""Media files by name: what stands behind the names in records.

A store is a folder of files, a folder of tar archives, or one archive. It gives references, never
bytes: a member of an archive is a range of the archive's file, read when the processor wants it.

Source: training specification, sections 8.4 and 10.4.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.data.tars import ENERGON_INDEX, Database, EnergonIndex, TarIndex, hint

__all__ = ["FolderStore", "MediaStore", "TarStore", "open_media"]

_COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MOST_LISTED = 20_000


@runtime_checkable
class MediaStore(Protocol):
    """Finds media by the name a record gives."""

    def find(self, name: str) -> MediaRef:
        """Where a media file is.

        Raises:
            InputError: There is none of this name; the nearest one is named.
        """

    def metadata(self, name: str) -> Mapping[str, Any] | None:
        """Facts energon has collected (width, height, video_fps, ...), or None."""


class FolderStore:
    """Plain files below a folder.

    Args:
        folder: An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts = _Facts(folder)

    def find(self, name: str) -> MediaRef:
        """A file below the folder; names use "/" and never lead out of it."""
        relative = PurePosixPath(name)
        if not name or relative.is_absolute() or ".." in relative.parts:
            raise InputError(f"media {name!r}: expected the name of a file below {self.folder}")
        path = self.folder / relative
        if not path.is_file():
            raise InputError(f"media {name!r}: not in {self.folder}{self._nearest(relative)}")
        return MediaRef(path=path, name=name)

    def metadata(self, name: str) -> Mapping[str, Any] | None:
        """See `MediaStore`."""
        return self._facts.get(name)

    def _nearest(self, name: PurePosixPath) -> str:
        """Look beside the missing file, or else among what the folder holds."""
        beside = self.folder / name.parent
        parent = name.parent if beside.is_dir() else PurePosixPath()
        entries = []
        with os.scandir(self.folder / parent) as found:
            for _, entry in zip(range(_MOST_LISTED), found, strict=False):
                entries.append(str(parent / entry.name))
        return hint(str(name), entries)


class TarStore:
    """Members of tar archives; plain files beside the archives are found as well.

    Args:
        archives: Uncompressed tar files.
        root: The folder they are in, or the one archive.
    """

    def __init__(self, archives: Sequence[Path], root: Path) -> None:
        self.root = root
        self._facts = _Facts(root)
        self._index: TarIndex | EnergonIndex = (
            EnergonIndex(root) if EnergonIndex.fits(root, archives) else TarIndex(archives, root)
        )

    def find(self, name: str) -> MediaRef:
        """A range of an archive, or a file in its folder."""
        place = self._index.find(name)
        if place is not None:
            path, offset, size = place
            return MediaRef(path=path, byte_range=(offset, size), name=name)
        if self.root.is_dir():
            relative = PurePosixPath(name)
            if ".." not in relative.parts and (self.root / relative).is_file():
                return FolderStore(self.root).find(name)
        raise InputError(
            f"media {name!r}: not in the archives of {self.root}{self._index.nearest(name)}"
        )

    def metadata(self, name: str) -> Mapping[str, Any] | None:
        """See `MediaStore`."""
        return self._facts.get(name)


class _Facts:
    """Energon's media metadata of a folder, where there is any."""

    def __init__(self, folder: Path) -> None:
        self._database: Database | None = None
        if (folder / ENERGON_INDEX).is_file():
            database = Database(folder / ENERGON_INDEX)
            if database.rows(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'media_metadata'"
            ):
                self._database = database

    def get(self, name: str) -> Mapping[str, Any] | None:
        if self._database is None:
            return None
        rows = self._database.rows(
            "SELECT metadata_json FROM media_metadata WHERE entry_key = ?", name
        )
        if not rows:
            return None
        facts: Mapping[str, Any] = json.loads(rows[0][0])
        return facts


def open_media(path: Path | None, base: Path) -> MediaStore:
    """The store behind a path.

    Args:
        path: A folder of files, a folder of tar archives, one archive, or None: `media` in the
            folder of the records, or else that folder itself. Relative to `base`.
        base: The folder of the record file.

    Raises:
        InputError: There is nothing there, or archives that cannot be read in place.
    """
    if path is None:
        path = base / "media" if (base / "media").is_dir() else None
        if path is None:
            return FolderStore(base)
    path = base / path.expanduser()
    if path.is_file():
        if path.name.endswith(_COMPRESSED):
            raise _compressed(path)
        return TarStore((path,), path)
    if not path.is_dir():
        raise InputError(
            f"{path}: no such folder or archive of media; expected a folder of files, a folder of "
            "tar archives, or one tar archive"
        )
    archives = _archives(path)
    return TarStore(archives, path) if archives else FolderStore(path)


def _archives(folder: Path) -> tuple[Path, ...]:
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.endswith(_COMPRESSED):
                raise _compressed(Path(where, name))
            if name.endswith(".tar"):
                found.append(Path(where, name))
    return tuple(sorted(found))


def _compressed(path: Path) -> InputError:
    return InputError(
        f"{path}: compressed archives cannot be read in place; unpack them to plain tar files "
        "(pictures and videos are compressed already)"
    )
