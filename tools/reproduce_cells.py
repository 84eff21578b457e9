"""Finished measurements on disk: one JSON file per experiment, a cell for everything measured.

A cell says what was measured, under which inputs, with which command, versions and hardware, of how
many items, and how sure it is. The same inputs are not measured twice; cells of another model,
suite or limit are never shown beside each other. Measures nothing and draws nothing.

Source: evaluation specification, section 11.2 (run layout); issue targets of the small model.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe
from nanovl import __version__
from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.evals.runfolder import write_json

__all__ = ["Cell", "Number", "Results", "blend_hash", "facts", "plain", "weights_of"]

ROOT = Path(__file__).resolve().parent.parent
FORMAT = 1
_BLOCK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Number:
    """A measured number.

    Attributes:
        value: The number.
        low, high: Ends of its interval; None where there is none.
        n: Items it is made of: questions, requests, updates.
        kind: What the ends are: "95 %", or "range" of repeats.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    kind: str = "95 %"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement.

    Attributes:
        row, column: Its place in the table.
        numbers: By name.
        inputs: Everything that decides the result; equal inputs are measured once.
        facts: Command, versions, hardware, date, seconds.
        notes: What else is worth knowing, as plain values.
    """

    row: str
    column: str
    numbers: Mapping[str, Number]
    inputs: Mapping[str, Any]
    facts: Mapping[str, Any]
    notes: Mapping[str, Any] = field(default_factory=dict)


class Results:
    """The cells of one experiment.

    Args:
        folder: Where `<name>.json` is.
        name: Of the experiment.

    Raises:
        InputError: The file is there and cannot be read.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path = folder / f"{name}.json"
        self._cells: dict[tuple[str, str], Cell] = {}
        if not self.path.is_file():
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}, expected {FORMAT}")
            for entry in found["cells"]:
                numbers = {k: Number(**v) for k, v in entry["numbers"].items()}
                cell = Cell(**{**entry, "numbers": numbers})
                self._cells[cell.row, cell.column] = cell
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: holds no results ({error}); delete it, and run the command again"
            ) from error

    @property
    def cells(self) -> list[Cell]:
        """In the order they were measured."""
        return list(self._cells.values())

    @property
    def rows(self) -> list[str]:
        """Rows there is a cell of."""
        return list(dict.fromkeys(row for row, _ in self._cells))

    @property
    def columns(self) -> list[str]:
        """Columns there is a cell of."""
        return list(dict.fromkeys(column for _, column in self._cells))

    def begin(self, common: Mapping[str, Any]) -> None:
        """Drop what was measured under other common inputs: it belongs into no table with these.

        Args:
            common: What all cells of the experiment share.
        """
        wanted = plain(common).items()
        kept = {
            place: cell
            for place, cell in self._cells.items()
            if all(cell.inputs.get(name) == value for name, value in wanted)
        }
        if len(kept) < len(self._cells):
            self._cells = kept
            self._write()

    def cell(self, row: str, column: str) -> Cell | None:
        """What was measured there."""
        return self._cells.get((row, column))

    def has(self, row: str, column: str, inputs: Mapping[str, Any]) -> bool:
        """Whether this was measured with these inputs."""
        found = self._cells.get((row, column))
        return found is not None and dict(found.inputs) == plain(inputs)

    def put(self, cell: Cell) -> None:
        """Keep a finished measurement; it is on disk when this returns."""
        cell = Cell(**{**vars(cell), "inputs": plain(cell.inputs), "notes": plain(cell.notes)})
        self._cells[cell.row, cell.column] = cell
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            self.path,
            {
                "format": FORMAT,
                "experiment": self.name,
                "cells": [asdict(cell) for cell in self._cells.values()],
            },
        )


def plain(value: Any) -> Any:
    """A value as it is after a round through JSON, so that inputs can be compared."""
    return json.loads(json.dumps(value, default=str))


def facts(command: str, begun: float, device: str = "cpu") -> dict[str, Any]:
    """Where, when and with what something was measured.

    Args:
        command: That measures it again.
        begun: `time.monotonic()` at its start.
        device: The model was on.
    """
    hardware = describe().split("; torch ")[0]
    if device.startswith("cuda"):
        hardware += f"; {torch.cuda.get_device_name()}"
    return {
        "command": command,
        "versions": {
            "nanovl": __version__,
            "commit": _commit(),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "hardware": hardware,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _commit() -> str:
    """Of the code that measures, with a mark when it was changed since."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def blend_hash(blend: Path) -> str:
    """Hash of a blend file or a record file; of a blend the sizes of its record files count too."""
    hasher = hashlib.sha256(blend.read_bytes())
    for source in load_blend(blend) if blend.suffix in (".yaml", ".yml") else ():
        hasher.update(f"{source.path.name}|{source.path.stat().st_size}|".encode())
    return hasher.hexdigest()[:16]


def weights_of(folder: Path) -> str:
    """Hash of a checkpoint's configuration, chat template and weights.

    Raises:
        InputError: There are no weights.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise InputError(f"{folder}: has no .safetensors file; expected an exported checkpoint")
    names = ("config.json", "chat_template.jinja", "preprocessor_config.json")
    files: Sequence[Path] = [*(folder / name for name in names), *weights]
    hasher = hashlib.sha256()
    for path in files:
        if not path.is_file():
            continue
        hasher.update(f"{path.name}|{path.stat().st_size}|".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    return hasher.hexdigest()[:16]
