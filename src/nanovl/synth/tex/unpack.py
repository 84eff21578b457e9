"""Unpacks sources: folders, single files, tar archives, and bulk archives of many sources.

Refuses what reaches outside the work folder, is no plain file, or is too large, by name. Must not
look into texts.

Source: data synthesis specification, sections 3.4, 3.14 and 3.18.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nanovl.synth.base import Reject

__all__ = ["MAX_BYTES", "MAX_FILES", "bulk_members", "is_bulk", "unpack"]

MAX_BYTES = 200 << 20
MAX_FILES = 4000
_GZIP = b"\x1f\x8b"
_PACKED = (".tex.gz", ".bib.gz", ".eps.gz", ".cls.gz", ".sty.gz")


def unpack(source: Path, work: Path) -> None:
    """Bring the files of a source into the work folder.

    Args:
        source: Folder, .tex, .gz of one file, or .tar(.gz).
        work: Empty folder.

    Raises:
        Reject: "too_large", "too_many_files", "forbidden_path", "damaged_archive" or "no_tex".
    """
    if source.is_dir():
        _copy_folder(source, work)
        return
    if source.stat().st_size > MAX_BYTES:
        raise Reject("too_large", f"{source.name} has more than {MAX_BYTES >> 20} MB")
    data, name = source.read_bytes(), source.name
    if data[:2] == _GZIP:
        data = _gunzip(data, name)
        name = re.sub(r"\.(gz|tgz)$", lambda m: ".tar" if m[1] == "tgz" else "", name)
    if _is_tar(data):
        _untar(data, work, name)
        return
    is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if data[:5] == b"%PDF-" or (b"\0" in data[:4096] and not is_wide):
        kind = "a PDF" if data[:5] == b"%PDF-" else "binary data"
        raise Reject("no_tex", f"{source.name} is {kind}, expected LaTeX text or an archive of it")
    stem = name if name.endswith((".tex", ".ltx", ".dtx")) else f"{name}.tex"
    (work / stem.lstrip(".")).write_bytes(data)


def _copy_folder(source: Path, work: Path) -> None:
    total = 0
    root = source.resolve()
    paths = sorted(source.rglob("*"))
    if len(paths) > MAX_FILES:
        raise Reject("too_many_files", f"{source.name} has {len(paths)}, at most {MAX_FILES}")
    for path in paths:
        name = path.relative_to(source).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise Reject("forbidden_path", f"{source.name} has the link {name!r}")
        if not path.is_file():
            continue
        total += path.stat().st_size
        if total > MAX_BYTES:
            raise Reject("too_large", f"{source.name} has more than {MAX_BYTES >> 20} MB")
        target = work / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith(_PACKED):
            target.with_suffix("").write_bytes(_gunzip(path.read_bytes(), path.name))
        else:
            shutil.copyfile(path, target)


def _gunzip(data: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            out = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Reject("damaged_archive", f"{name}: {error}") from error
    if len(out) > MAX_BYTES:
        raise Reject("too_large", f"{name} unpacks to more than {MAX_BYTES >> 20} MB")
    return out


def _is_tar(data: bytes) -> bool:
    """By the checksum of the first header: old archives have no magic word."""
    if len(data) < 512 or not any(data[:512]):
        return False
    try:
        tarfile.TarInfo.frombuf(data[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _untar(data: bytes, work: Path, name: str) -> None:
    total = count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                count += 1
                if count > MAX_FILES:
                    raise Reject("too_many_files", f"{name} has more than {MAX_FILES} members")
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or "\\" in member.name:
                    raise Reject("forbidden_path", f"{name} has the member {member.name!r}")
                if member.issym() or member.islnk():
                    raise Reject("forbidden_path", f"{name} has the link {member.name!r}")
                if member.isdir():
                    continue
                if not member.isfile():
                    raise Reject("forbidden_path", f"{name} has the device {member.name!r}")
                total += member.size
                if total > MAX_BYTES:
                    raise Reject("too_large", f"{name} unpacks to over {MAX_BYTES >> 20} MB")
                stream = archive.extractfile(member)
                if stream is not None and path.parts:
                    target = work.joinpath(*path.parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(stream.read())
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Reject("damaged_archive", f"{name}: {error}") from error
    except (OSError, ValueError) as error:  # a member that is file and folder, or a bad name
        raise Reject("damaged_archive", f"{name}: {type(error).__name__}") from error


# -- bulk archives ------------------------------------------------------------------------------


def is_bulk(path: Path) -> bool:
    """Whether a file is a tar of packed sources: its first file is a .gz or .pdf member."""
    if not path.is_file() or not path.name.endswith(".tar"):
        return False
    try:
        with tarfile.open(path, mode="r:") as archive:
            for member in archive:
                if member.isfile():
                    return member.name.endswith((".gz", ".pdf"))
    except (tarfile.TarError, OSError):
        return False
    return False


def bulk_members(path: Path, folder: Path) -> Iterator[Path]:
    """Every source of a bulk archive, one at a time, as a file in the folder.

    Args:
        path: Tar whose members are gzipped tars, gzipped single TeX files, or PDFs without source.
        folder: Existing; the files are the caller's to remove.

    Raises:
        Reject: The archive itself cannot be read ("damaged_archive").
    """
    seen: set[str] = set()
    try:
        with tarfile.open(path, mode="r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                name = PurePosixPath(member.name).name
                while name in seen:
                    name = f"again-{name}"
                seen.add(name)
                target = folder / (name or "member")
                stream = archive.extractfile(member)
                if stream is None:
                    continue
                # One byte more than is allowed is enough to be refused by name later.
                target.write_bytes(stream.read(MAX_BYTES + 1))
                yield target
    except tarfile.TarError as error:
        raise Reject("damaged_archive", f"{path.name}: {error}") from error
