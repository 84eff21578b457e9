"""What the engine reads at every start, kept in a form that is quick to read.

Half of a short run is the start: the format is unpacked, Lua sources are parsed, and tables are
made from Unicode's data files. All of it is the same every time, so it is made once, from the
installation and by a document of ours: the format unpacked, the Lua files compiled, the modules
with their tables filled (nanovl-gt-warm.lua). Jobs read it and may not write it. Must not change
what the engine does, and must not be needed: without it the engine starts as it is installed.

Source: data synthesis specification, section 3.5.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nanovl.synth.tex.sandbox import Limits, Sandbox, start_folder

__all__ = ["ensure_quick_start", "start_options"]

_logger = logging.getLogger(__name__)

_MARK = "made-from"
_NEW = "start-new"
_VERSION = "2"
_FORMAT = "lualatex.fmt"
# What the copies are made from, beside the format; the first of each that the engine finds.
_SOURCES = ("luaotfload-main.lua", "lualibs.lua", "lua-uni-normalize.lua", "UnicodeData.txt")
_DOCUMENT = "\\directlua{require('nanovl-gt-warm')}\\csname @@end\\endcsname\n"


def ensure_quick_start() -> None:
    """Make the quick files unless they are there and made from what is installed now.

    Other processes wait for the first. Where they cannot be made, the engine starts the slow way
    and a line in the log says why.
    """
    folder = start_folder()
    if _is_current(folder / _MARK):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "start-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current(folder / _MARK):
            return
        # Filled aside: engines that start meanwhile find the old one, or none, never a part.
        new = folder.with_name(_NEW)
        shutil.rmtree(new, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="nanovl-start-") as name:
            problem = _make(Path(name), new)
        shutil.rmtree(folder, ignore_errors=True)
        if problem:
            shutil.rmtree(new, ignore_errors=True)
            _logger.warning("the engine starts slowly: %s", problem)
        else:
            new.rename(folder)


def start_options(sandbox: Sandbox) -> Sequence[str]:
    """Options of lualatex that use the quick files; none where they are missing."""
    # The whole path: the engine would look in the job's folder first.
    there = (start_folder() / _MARK).is_file()
    return (f"--lua={sandbox.hooks}/nanovl-gt-start.lua",) if there else ()


def _stamp(path: Path) -> str:
    about = path.stat()
    return f"{about.st_mtime_ns} {about.st_size} {path}"


def _is_current(mark: Path) -> bool:
    """Whether every file the copies were made from is still the same."""
    if not mark.is_file():
        return False
    version, *lines = mark.read_text("utf-8").splitlines()
    try:
        return version == _VERSION and all(
            line == _stamp(Path(line.split(" ", 2)[2])) for line in lines
        )
    except OSError:
        return False


def _make(work: Path, folder: Path) -> str:
    """Fill the folder; the reason where that fails."""
    sandbox = Sandbox(work, Limits(cpu_s=60, wall_s=300))
    found = []
    for name, kind in ((_FORMAT, "fmt"), *((name, "tex") for name in _SOURCES)):
        answer = sandbox.run(
            ["kpsewhich", "-engine=luahbtex", "-progname=lualatex", f"-format={kind}", name],
            writes_cache=True,  # as for every run that does not look into the folder
        )
        path = Path(answer.output.strip())
        if answer.code or not path.is_file():
            return f"kpsewhich does not find {name}"
        found.append(path)
    for name in ("lua", "modules"):
        (folder / name).mkdir(parents=True)
    data = found[0].read_bytes()
    is_packed = data[:2] == b"\x1f\x8b"
    (folder / _FORMAT).write_bytes(gzip.decompress(data) if is_packed else data)
    (work / "warm.tex").write_text(_DOCUMENT)
    result = sandbox.run(
        ["lualatex", "--interaction=batchmode", "--no-shell-escape", "warm.tex"],
        environment={"TEXGT_START": f"{sandbox.cache}/{_NEW}"},
        writes_cache=True,
    )
    log = work / "warm.log"
    text = log.read_text("utf-8", "replace") if log.exists() else result.output
    if result.code or "nanovl-gt-warm:" in text:
        return f"the engine could not store its modules: {text[-300:].strip()}"
    lines = [_VERSION, *(_stamp(path) for path in found)]
    (folder / _MARK).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ""
