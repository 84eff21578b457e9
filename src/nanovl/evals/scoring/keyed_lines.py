"""A file of JSON lines that remembers one value per key: caches that survive being killed.

One line per entry, appended and synced; nothing is rewritten. It must not know what is cached.

Source: evaluation specification, sections 7.2, 10 and 11.2.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError

__all__ = ["KeyedLines"]

log = logging.getLogger(__name__)


class KeyedLines:
    """Keys and values of a JSON-lines file.

    A torn last line (the writer was killed) is cut off. Of two lines with one key the later counts.

    Args:
        path: The file; made at the first entry.

    Raises:
        InputError: A whole line is not an object with "key" and "value".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        raw = self.path.read_bytes()
        whole, _, torn = raw.rpartition(b"\n")
        if torn:
            log.warning("%s: cut off a torn last line of %d bytes", self.path, len(torn))
            with self.path.open("r+b") as file:
                file.truncate(len(raw) - len(torn))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = json.loads(line)
                self._known[record["key"]] = record["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{self.path}, line {number}: expected an object with 'key' and 'value', "
                    f"got {line[:80]!r} ({error!r}); move the file away to start a new one"
                ) from error

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def get(self, key: str) -> Any:
        """The value of a key, or None."""
        return self._known.get(key)

    def add(self, key: str, value: Any, **more: Any) -> None:
        """Remember a value, on disk before returning.

        Args:
            key: Its name.
            value: Anything JSON can hold.
            more: Written beside it for readers of the file, never read back.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps({**more, "key": key, "value": value}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._known[key] = value
