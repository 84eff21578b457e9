"""Make a folder of records ready for megatron-energon: indexes beside the files, and a blend file.

Records and media stay as they are. The plain loader needs none of this: it reads the same folder,
and the blend file written here, without an index.

Source: training specification, sections 8.4 and 10.4.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nanovl.core.errors import BackendError, InputError, missing_extra
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.blend import Source

__all__ = ["BLEND_NAME", "MEDIA_NAME", "Prepared", "check_prepared", "prepare"]

BLEND_NAME = "metadataset.yaml"
MEDIA_NAME = "media"

_META = ".nv-meta"
_FILESYSTEM = "filesystem://"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is in a prepared folder.

    Attributes:
        folder: The folder.
        metadataset: Blend file to train on; `DataConfig.metadataset`.
        records: Records by file name.
        media: Folder with the media, or None.
        media_indexed: Whether its index was written now; False when it was up to date, and for
            plain files, which need none.
        media_sizes: Whether the index holds sizes and lengths too. It does not when a file is
            damaged; `validate` with decoding says which.
        blend_written: Whether the blend file was written now; an existing one is left alone.
    """

    folder: Path
    metadataset: Path
    records: dict[str, int]
    media: Path | None
    media_indexed: bool
    media_sizes: bool
    blend_written: bool


def prepare(
    folder: str | Path,
    *,
    num_workers: int = 4,
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> Prepared:
    """Index a folder of the released layout and write its blend file.

    The layout: one or more `NAME.jsonl`, and beside them `media/` with tar shards or plain files.

    Args:
        folder: The folder, or one `.jsonl` in it.
        num_workers: Processes that index media.
        overwrite: Index media again and replace an existing blend file.
        on_event: Told about every file that is done.

    Returns:
        What is there now.

    Raises:
        BackendError: megatron-energon is not installed.
        InputError: No records, a line that is no JSON object, or media that cannot be indexed.
    """
    path = Path(folder)
    files = _record_files(path)
    if path.is_file():
        path = path.parent
    _require_energon()
    records: dict[str, int] = {}
    for done, file in enumerate(files, start=1):
        records[file.name] = _index_records(file)
        on_event(Event(name=f"indexed {file.name}", done=done, total=len(files), unit="files"))
    media = path / MEDIA_NAME if (path / MEDIA_NAME).is_dir() else None
    indexed = sizes = False
    if media is not None:
        indexed, sizes = _index_media(media, num_workers, overwrite)
        on_event(Event(name=f"indexed {MEDIA_NAME}", done=1, total=1, unit="folders"))
    blend = path / BLEND_NAME
    write = overwrite or not blend.exists()
    if write:
        blend.write_text(_blend_text(records, media), encoding="utf-8")
    return Prepared(
        folder=path,
        metadataset=blend,
        records=records,
        media=media,
        media_indexed=indexed,
        media_sizes=sizes,
        blend_written=write,
    )


def check_prepared(sources: Sequence[Source]) -> None:
    """Say what is missing before energon fails over it.

    Raises:
        InputError: A record file energon cannot index, or without an up-to-date index.
    """
    for source in sources:
        path = source.path
        if path.suffix != ".jsonl":
            raise InputError(
                f"{path}: energon reads no compressed records; unpack it, or use the plain loader"
            )
        index = path.with_name(f"{path.name}.idx")
        hint = f"; run: nanovl data prepare {path.parent}"
        if not index.is_file() or index.stat().st_size < 8:
            raise InputError(f"{path}: has no index for energon{hint}")
        with index.open("rb") as file:
            file.seek(-8, io.SEEK_END)
            covered = int.from_bytes(file.read(8), "little")  # where the last record ends
        if covered != path.stat().st_size:
            raise InputError(f"{path}: has changed since it was indexed for energon{hint}")


def _record_files(path: Path) -> list[Path]:
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(p for p in path.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz")))
    else:
        raise InputError(f"{path}: no such folder; pass a folder with NAME.jsonl and media/")
    packed = [p.name for p in files if p.suffix == ".gz"]
    if packed:
        raise InputError(
            f"{path}: {packed[0]} is compressed, which energon cannot index; unpack it with "
            f"gunzip {packed[0]}, or use the plain loader, which reads it as it is"
        )
    if not files or files[0].suffix != ".jsonl":
        raise InputError(f"{path}: no .jsonl file; expected NAME.jsonl and media/ beside it")
    return files


def _require_energon() -> None:
    try:
        import megatron.energon  # noqa: F401
    except ImportError:
        lacking = missing_extra("megatron-energon", "train", "preparing data for energon")
        raise BackendError(
            f"{lacking}. The plain loader (data.loader=plain) needs no preparation and reads the "
            "folder as it is"
        ) from None


def _index_records(path: Path) -> int:
    """Write NAME.jsonl.idx; returns the number of records."""
    from megatron.energon.flavors import CrudeJsonlDatasetFactory

    count = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            count += 1
            try:
                value = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path.name}:{number}: not JSON ({error})") from error
            if not isinstance(value, dict):
                raise InputError(
                    f"{path.name}:{number}: {type(value).__name__}, expected a JSON object"
                )
    if not count:
        raise InputError(f"{path}: holds no records")
    indexed = int(CrudeJsonlDatasetFactory.prepare_dataset(path))
    if indexed != count:
        raise InputError(f"{path.name}: {count} records, but energon indexed {indexed}")
    return count


def _index_media(media: Path, num_workers: int, overwrite: bool) -> tuple[bool, bool]:
    """Write the media index; returns whether there was anything to do, and whether it has sizes."""
    shards = _shards(media)
    files = [p for p in media.rglob("*") if p.is_file() and _META not in p.parts]
    if not files:
        raise InputError(f"{media}: empty; expected tar shards or media files")
    if not shards:  # energon opens plain files by name
        return False, False
    index = media / _META / "index.sqlite"
    newest = max(p.stat().st_mtime for p in shards)
    if not overwrite and index.is_file() and index.stat().st_mtime >= newest:
        return False, _has_sizes(index)
    words = ["--no-progress", "--num-workers", str(max(num_workers, 1))]
    words += ["--non-interactive", "--skip-dataset-yaml", "--split-parts", "train:.*"]
    # Sizes are taken by decoding every picture, and energon gives up a whole shard over one that
    # is damaged. They are a convenience, the places of the files are not.
    problem = _energon("prepare", media, [*words, "--media-metadata-by-extension"])
    sizes = not problem
    if problem:
        problem = _energon("prepare", media, words)
    if problem or not index.is_file():
        shutil.rmtree(media / _META, ignore_errors=True)
        raise InputError(f"{media}: energon prepare failed: {problem or 'it wrote no index'}")
    return True, sizes


def _shards(media: Path) -> list[Path]:
    return sorted((*media.rglob("*.tar"), *media.rglob("*.tgz")))


def _has_sizes(index: Path) -> bool:
    with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)) as database:
        table = "select 1 from sqlite_master where type = 'table' and name = 'media_metadata'"
        return database.execute(table).fetchone() is not None


def _energon(command: str, path: Path, words: Sequence[str]) -> str:
    """Run energon's own command line, which prints and forks as a library must not.

    Returns:
        What went wrong, or "".
    """
    # Half an index of an earlier attempt would make it take the folder for something else.
    shutil.rmtree(path / _META, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "megatron.energon.cli.main", command, str(path), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
    skipped = [line for line in lines if "Skipping it" in line]
    if not done.returncode and not skipped:
        return ""
    return skipped[0] if skipped else lines[-1]


def _blend_text(records: dict[str, int], media: Path | None) -> str:
    """The blend file: every record file, drawn as often as it has records."""
    aux: dict[str, Any] = {}
    if media is not None:
        aux = {"aux": {"media": f"{'' if _shards(media) else _FILESYSTEM}{MEDIA_NAME}"}}
    blend = [
        {
            "weight": count,
            "path": name,
            "subflavors": {"source": name.removesuffix(".jsonl")},
            **aux,
        }
        for name, count in records.items()
    ]
    document = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": blend}},
    }
    return yaml.safe_dump(document, sort_keys=False)
