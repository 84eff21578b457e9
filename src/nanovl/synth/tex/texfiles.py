"""Finds files of the TeX installation, and remembers where they are.

Asking the installation costs a process that reads its whole file list; a document's fonts ask for
dozens. What was found is kept beside the font cache, for as long as the file lists stay what they
were. What is missing is asked for again by every process. Must not read the files found.

Source: data synthesis specification, section 3.9.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.core.paths import settings
from nanovl.synth.tex.sandbox import font_cache

__all__ = ["tex_files"]

_STORE = "tex-files.json"
_VERSION = 1
_FORMATS = {".map": "map", ".enc": "enc files", ".pfb": "type1 fonts", ".tfm": "tfm"}

# By store: a test, or a caller that moves the home, gets answers of its own.
_known: dict[Path, dict[str, str]] = {}


def tex_files(*names: str) -> tuple[Path | None, ...]:
    """Where the TeX installation keeps some files; None for those it does not have.

    Args:
        names: Of files, without folders.

    Raises:
        BackendError: There is no kpsewhich.
    """
    store = font_cache() / _STORE
    if store not in _known:
        _known[store] = _read(store)
    known = _known[store]
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        found = _ask(unknown)
        known.update(found)
        if any(found.values()):
            _write(store, known)
    return tuple(Path(known[name]) if known[name] else None for name in names)


def _ask(names: list[str]) -> dict[str, str]:
    """One question for every kind of file."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(_FORMATS.get(Path(name).suffix, ""), []).append(name)
    found = dict.fromkeys(names, "")
    for kind, group in kinds.items():
        for line in _kpsewhich(*([f"-format={kind}"] if kind else []), *group):
            found[Path(line).name] = line
    return {name: found[name] for name in names}


def _kpsewhich(*arguments: str) -> list[str]:
    try:
        answer = subprocess.run(
            ["kpsewhich", *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BackendError(
            "kpsewhich was not found, TeX ground truth needs TeX Live; on Debian and Ubuntu: "
            "apt install texlive-luatex texlive-latex-extra"
        ) from None
    return [line for line in answer.stdout.splitlines() if line]


# -- the store --------------------------------------------------------------------------------


def _setting() -> list[str]:
    """What decides where the installation looks."""
    program = shutil.which("kpsewhich") or ""
    known = settings()
    names = sorted(n for n in known if n.startswith("TEXMF") or n.endswith(("INPUTS", "FONTS")))
    return [os.path.realpath(program), *(f"{name}={known[name]}" for name in names)]


@cache
def _lists() -> list[str]:
    """The installation's lists of its files."""
    return sorted({os.path.realpath(p) for p in _kpsewhich("-all", "-format=ls-R", "ls-R")})


def _stamps(lists: list[str]) -> list[list[Any]]:
    out = []
    for name in lists:
        about = Path(name).stat()
        out.append([name, about.st_mtime_ns, about.st_size])
    return out


def _read(store: Path) -> dict[str, str]:
    """What was found before; nothing once a file list has changed."""
    try:
        kept = json.loads(store.read_text("utf-8"))
        if kept["version"] != _VERSION or kept["setting"] != _setting():
            return {}
        if kept["lists"] != _stamps([name for name, _, _ in kept["lists"]]):
            return {}
        return {name: path for name, path in kept["files"].items() if os.path.exists(path)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none, or not of ours: asked for anew and written over


def _write(store: Path, known: dict[str, str]) -> None:
    """Keep what was found; of two processes that write at once, one is kept."""
    lists = _lists()
    kept = {
        "version": _VERSION, "setting": _setting(), "lists": _stamps(lists),
        "files": {name: path for name, path in sorted(known.items()) if path},
    }  # fmt: skip
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_name(f"{_STORE}.{os.getpid()}")
    part.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
    part.replace(store)
