"""`synth reject`: a data set without the samples somebody flagged while looking.

Everything else keeps its bytes: lines and members of archives are copied as they are. Must not make
samples.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.synth.datasets import DataSet, find_pages
from nanovl.synth.join import write_lines

__all__ = ["Rejected", "read_flags", "reject"]

_FORMAT = "nanovl-flags"


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """What `reject` did.

    Attributes:
        out: The new data set.
        removed: Ids of samples that were left out.
        kept: Samples that are in it.
        elsewhere: Flags of samples that are not in this data set.
    """

    out: Path
    removed: tuple[str, ...]
    kept: int
    elsewhere: tuple[str, ...] = field(default=())


def read_flags(path: Path) -> dict[str, str]:
    """Flagged sample ids and notes of a file the viewer exported.

    Raises:
        InputError: It is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise InputError(f"{path}: is no file of flags; export one in the gallery")
    flags = found.get("flags")
    if not isinstance(flags, list) or not all(
        isinstance(f, dict) and isinstance(f.get("id"), str) for f in flags
    ):
        raise InputError(f"{path}: flags: expected a list of objects with an id")
    return {f["id"]: str(f.get("note") or "") for f in flags}


def reject(source: DataSet, flags: Mapping[str, str], out: Path) -> Rejected:
    """Copy a data set without some samples.

    Args:
        source: Of `synth run` or `synth tex`.
        flags: Ids of samples and why.
        out: New folder.

    Raises:
        InputError: The folder is not empty, nothing of the data set is flagged, or it is of a kind
            that has no samples.
    """
    if source.kind == "plain":
        raise InputError(f"{source.path}: was not made by nanovl synth; expected its synth.json")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty; use a new folder")
    known = {made.id for made in source}
    removed = {name for name in flags if name in known}
    if not removed:
        raise InputError(
            f"{source.path}: none of the {len(flags)} flagged samples is in it; is it the data set "
            "the gallery was made of?"
        )
    out.mkdir(parents=True, exist_ok=True)
    if source.kind == "tex":
        _copy_pages(source.path, out, removed)
    else:
        _copy_shards(source, out, removed, flags)
    return Rejected(
        out=out,
        removed=tuple(sorted(removed)),
        kept=len(known) - len(removed),
        elsewhere=tuple(sorted(set(flags) - known)),
    )


def _copy_pages(source: Path, out: Path, removed: set[str]) -> None:
    pages = {p.stem for p in find_pages(source)}
    for path in sorted(p for p in source.iterdir() if p.is_file()):
        stem = next((s for s in pages if path.name.startswith(f"{s}.")), "")
        if stem not in removed:
            shutil.copyfile(path, out / path.name)


def _copy_shards(source: DataSet, out: Path, removed: set[str], flags: Mapping[str, str]) -> None:
    for name in ("shards", "media"):
        (out / name).mkdir()
    parts = []
    for stem, done in source.done.items():
        gone: set[str] = set()
        truths = f"shards/{stem}.gt.jsonl"
        kept = []
        for line in _raw_lines(source.path / truths):
            truth = json.loads(line)
            if truth["id"] in removed:
                gone.add(truth["id"])
            else:
                kept.append((line, [m["name"] for m in truth.get("media", ())]))
        (out / truths).write_bytes(b"".join(line for line, _ in kept))
        records = f"shards/{stem}.jsonl"
        lines = [
            line
            for line in _raw_lines(source.path / records)
            if _sample_of(json.loads(line)) not in gone
        ]
        (out / records).write_bytes(b"".join(lines))
        parts.append(out / records)
        names = {name for _, media in kept for name in media}
        archive = f"media/shard_{stem}.tar"
        if names:
            _copy_archive(source.path / archive, out / archive, names)
        files = [truths, records, *([archive] if names else [])]
        rejects = dict(done.get("rejects", {}))
        if gone:
            rejects["flagged"] = len(gone)
        result = dict(done) | {
            "samples": len(kept),
            "records": len(lines),
            "media": len(names),
            "rejects": dict(sorted(rejects.items())),
            "lost": int(done.get("lost", 0)) + len(gone),
            "files": {name: _digest(out / name) for name in files},
            "bytes": {name: (out / name).stat().st_size for name in files},
        }
        _write(out / "shards" / f"{stem}.done.json", result)
    claim = dict(source.claim) | {
        "flagged": {name: flags[name] for name in sorted(removed)},
    }
    _write(out / "synth.json", claim)
    write_lines(out / f"{out.resolve().name}.jsonl", (p.read_bytes() for p in parts))


def _raw_lines(path: Path) -> Sequence[bytes]:
    try:
        return [line for line in path.read_bytes().splitlines(keepends=True) if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _sample_of(record: Mapping[str, Any]) -> str:
    return str((record.get("metadata") or {}).get("sample") or record["id"])


def _copy_archive(source: Path, target: Path, names: set[str]) -> None:
    with (
        tarfile.open(source) as old,
        tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in old:
            if member.name in names:
                new.addfile(member, old.extractfile(member))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
