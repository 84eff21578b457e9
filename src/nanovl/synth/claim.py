"""Whose folder it is: which data set it holds, and which run works on it.

    OUT/synth.json      generator, version, settings, split and shard size of the data set
    OUT/.lock           held by the run that works on it

Must not look into shards.

Source: data synthesis specification, section 18.2.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.synth.journal import SCRATCH
from nanovl.synth.shards import Shard, unwritable, write_whole

try:
    import fcntl
except ImportError:  # not on Windows: two runs may then work on one folder at once
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone", "claim", "undo"]

_log = logging.getLogger(__name__)

_LOCK = ".lock"


def claim(out: Path, wanted: Mapping[str, Any], settings: Mapping[str, Any], count: int) -> None:
    """Write what a folder is for, or refuse one that is for something else.

    What killed workers have left is removed.

    Args:
        out: The folder; made if it is not there.
        wanted: What decides about the bytes of the data set.
        settings: Of the generator, for the reader.
        count: Samples asked for, for the reader.

    Raises:
        ConfigError: It holds something else, or cannot be written.
        CapacityError: The disk is full.
    """
    path = out / "synth.json"
    try:
        if path.is_file():
            found = _read_claim(path)
            changed = sorted(k for k, v in wanted.items() if found.get(k) != v)
            if changed:
                listed = ", ".join(f"{k} {found.get(k)!r} -> {wanted[k]!r}" for k in changed)
                raise ConfigError(
                    f"{out}: holds a data set with other settings ({listed}); use another "
                    "folder, or the settings in its synth.json"
                )
        elif out.exists() and not out.is_dir():
            raise ConfigError(f"{out}: is a file, expected a folder to write")
        elif out.is_dir() and any(p.name != _LOCK for p in out.iterdir()):
            raise ConfigError(f"{out}: is not empty and no synthesised data set; use a new folder")
        out.mkdir(parents=True, exist_ok=True)
        document = {**wanted, "config": settings, "count": count}
        write_whole(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
        for left in out.rglob(f"{SCRATCH}*"):  # of workers that were killed
            left.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error


def undo(shard: Shard) -> None:
    """A shard that has to be made again must not be taken for complete.

    Raises:
        ConfigError: The folder cannot be written.
    """
    try:
        shard.done_file.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(shard.out, error) from error


def _read_claim(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"{path}: is damaged ({error}); restore it, or use a new folder"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path}: holds {type(found).__name__}, expected an object; restore it, or use a new "
            "folder"
        )
    return found


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """One run at a time on a folder; the lock goes with the process that holds it.

    Raises:
        ConfigError: Another run works on it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / _LOCK).open("wb")
    except OSError as error:
        raise unwritable(out, error) from error
    with file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{out}: another run is working on this folder; wait for it, or stop it"
            ) from None
        except OSError as error:  # a file system without locks
            _log.info("%s: not locked (%s)", out, error)
        yield
