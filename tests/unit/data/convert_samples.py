"""Helpers of the converter tests: small sources on disk, and one conversion run in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from nanovl.data.convert import FORMATS
from nanovl.data.convert.base import Converted, ConvertOptions
from nanovl.data.records import Record


def save(path: Path, value: Any) -> Path:
    """Write text as it is, `.jsonl` line by line, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, str):
        path.write_text(value, encoding="utf-8")
    elif path.suffix == ".jsonl":
        lines = [line if isinstance(line, str) else json.dumps(line) for line in value]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        path.write_text(json.dumps(value), encoding="utf-8")
    return path


def picture(path: Path, width: int = 200, height: int = 100) -> None:
    """A white picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(stream, "PNG")
    path.write_bytes(stream.getvalue())


def video(path: Path) -> None:
    """A file in the place of a video; converters do not open it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"video {path.name}".encode())


class Run:
    """The records of one conversion by id, and what was dropped."""

    def __init__(self, name: str, source: Path, **options: Any) -> None:
        self.drops: list[tuple[str, str, str]] = []
        given = ConvertOptions(on_drop=lambda *what: self.drops.append(what), **options)
        self.made: dict[str, Converted] = {}
        for made in FORMATS[name].convert(source, given):
            assert made.record.id not in self.made
            assert Record.from_json(made.record.to_json(), where="x") == made.record
            assert {f.value for f in made.record.media} == set(made.media)
            self.made[made.record.id] = made

    def __getitem__(self, key: str) -> Record:
        return self.made[key].record

    def json(self, key: str) -> dict[str, Any]:
        """One record as it is written."""
        return self[key].to_json()

    def question(self, key: str) -> str:
        """Text of the first user turn."""
        user = next(m for m in self[key].messages if m.role == "user")
        return user.content[-1].value

    def answer(self, key: str) -> str:
        """Text of the last turn."""
        return self[key].messages[-1].content[0].value

    def reasons(self) -> dict[str, int]:
        """Number of drops per reason."""
        found: dict[str, int] = {}
        for reason, _, _ in self.drops:
            found[reason] = found.get(reason, 0) + 1
        return found

    def tasks(self) -> Mapping[str, int]:
        """Number of records per task."""
        found: dict[str, int] = {}
        for made in self.made.values():
            found[made.record.task] = found.get(made.record.task, 0) + 1
        return found


def stable(name: str, source: Path, **options: Any) -> Run:
    """Run twice for the same records, and once with another seed for the same drops."""
    first, second = Run(name, source, **options), Run(name, source, **options)
    assert [m.record for m in first.made.values()] == [m.record for m in second.made.values()]
    assert first.drops == second.drops
    assert Run(name, source, **{**options, "seed": 7}).drops == first.drops
    return first
