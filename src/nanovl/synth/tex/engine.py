"""Runs LuaLaTeX, BibTeX and Biber on a prepared source until its references are settled.

Must not read what was recorded beyond its being complete.

Source: data synthesis specification, section 3.4.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nanovl.synth.base import Reject
from nanovl.synth.tex.bibliography import make_bibliography, make_guess
from nanovl.synth.tex.events import Recording, read_recording
from nanovl.synth.tex.sandbox import Finished, Sandbox
from nanovl.synth.tex.source import Source
from nanovl.synth.tex.startup import start_options

__all__ = ["MAX_PAGES", "Compiled", "Profile", "run_engine"]

Profile = Literal["strict", "lenient"]
MAX_FINAL = 3
MAX_PAGES = 400
_UNSETTLED = re.compile(
    r"\\(?:ref|eqref|cref|Cref|autoref|pageref|cite\w*|tableofcontents|label|bibliography|"
    r"printbibliography|include|input|listof\w+|lastpage|LastPage|bibitem|nocite)\b"
)
_RERUN = re.compile(r"Rerun (?!checks for)|undefined references|may have changed")
_ERROR = re.compile(r"^(?:!|\S+?:\d+:) (.*)$", re.MULTILINE)
_MISSING = re.compile(r"(?:File [`']([^']+)' not found|I can't find file [`']([^']+)'|"
                      r"Unable to load picture or PDF file [`']([^']+)'|"
                      r"cannot find (?:image )?file [`'\"]?([^'\"]+))")  # fmt: skip


@dataclass(slots=True)
class Compiled:
    """Result of the engine: files in the work folder."""

    pdf: Path
    recording: Recording
    errors: list[str]
    passes: int
    digest: str


def run_engine(
    source: Source, sandbox: Sandbox, *, profile: Profile = "strict", options: Sequence[str] = ()
) -> Compiled:
    """Run LuaLaTeX (and BibTeX) until references are settled; the hooks record the last run.

    Raises:
        Reject: Named reason.
    """
    work, job = source.folder, source.job
    if Path(source.main).stem != job:
        for suffix in (".bbl", ".ind", ".gls"):
            own = work / Path(source.main).with_suffix(suffix).name
            if own.exists():
                shutil.copyfile(own, work / f"{job}{suffix}")
    passes = 0
    finished: Finished | None = None
    if _UNSETTLED.search(source.text):
        guessed = make_guess(source, sandbox)
        finished = _latex(source, sandbox, options, draft=True)
        passes += 1
        if make_bibliography(source, sandbox, guessed):
            _latex(source, sandbox, options, draft=True)
            passes += 1
    for _ in range(MAX_FINAL):
        before = _state(work, job)
        finished = _latex(source, sandbox, options, draft=False)
        passes += 1
        after = _state(work, job)
        if before == after:
            break
        # Contents lists changed, or the engine itself asks for another run.
        if before[1:] == after[1:] and not _RERUN.search(_log(work, job)):
            break
    assert finished is not None
    log = _log(work, job)
    pdf = work / f"{job}.pdf"
    errors = _errors(log)
    if finished.failure:
        raise Reject(finished.failure, _first(errors) or f"after {finished.seconds:.0f} s")
    broken = re.search(r"nanovl-gt\S*\.lua:\d+: .*", log)
    if broken:
        raise Reject("hook_error", broken.group(0)[:200])
    if errors and (profile == "strict" or not pdf.exists()):
        raise Reject(*_name_error(errors, log))
    if not pdf.exists() or "No pages of output" in log:
        raise Reject("no_pages", _first(errors) or "the engine printed no page")
    recording = read_recording(work / f"{job}-gt.jsonl")
    if not recording.is_complete:
        raise Reject("tex_error", _first(errors) or "the run ended before the end of the document")
    if not recording.pages:
        raise Reject("no_pages", "the engine printed no page")
    digest = hashlib.sha256(pdf.read_bytes()).hexdigest()
    return Compiled(pdf, recording, errors, passes, digest)


def _latex(source: Source, sandbox: Sandbox, options: Sequence[str], *, draft: bool) -> Finished:
    recorded = source.folder / f"{source.job}-gt.jsonl"
    recorded.unlink(missing_ok=True)
    prelude = (
        f"\\def\\ngtmaxpages{{{MAX_PAGES}}}"
        + "".join(options)
        + ("\\def\\ngtdraft{}" if draft else "")
    )
    command = [
        "lualatex", *start_options(sandbox), "--interaction=batchmode", "--no-shell-escape",
        "--nosocket", "--file-line-error", f"--jobname={source.job}",
    ]  # fmt: skip
    if draft:
        command.append("--draftmode")
    command.append(f"{prelude}\\RequirePackage{{nanovl-gt}}\\input{{{source.main}}}")
    result = sandbox.run(command)
    log = _log(source.folder, source.job) if result.failure or result.code else ""
    if result.failure:
        raise Reject(result.failure, _first(_errors(log)) or (
            f"the engine was stopped after {result.seconds:.0f} s"))  # fmt: skip
    if "nanovl-gt: more than" in log:
        raise Reject("too_many_pages", f"more than {MAX_PAGES}")
    return result


def _state(work: Path, job: str) -> tuple[bytes, ...]:
    """What later runs read: the references first, then lists of contents."""
    paths = [work / f"{job}{suffix}" for suffix in (".aux", ".toc", ".lof", ".lot")]
    return tuple(
        hashlib.sha256(path.read_bytes()).digest() if path.exists() else b"" for path in paths
    )


def _log(work: Path, job: str) -> str:
    path = work / f"{job}.log"
    if not path.exists():
        return ""
    return path.read_bytes()[-4_000_000:].decode("utf-8", "replace")


def _errors(log: str) -> list[str]:
    found = []
    for line in _ERROR.findall(log):
        if line.startswith(("==> Fatal", "Package: ", "Info")) or "warning" in line[:12].lower():
            continue
        found.append(line.strip()[:200])
    return found


def _first(errors: Sequence[str]) -> str:
    return errors[0] if errors else ""


def _name_error(errors: Sequence[str], log: str) -> tuple[str, str]:
    for line in errors[:3]:
        match = _MISSING.search(line)
        if match:
            name = next(g for g in match.groups() if g)
            is_package = Path(name).suffix in (".sty", ".cls", ".ldf", ".def", ".clo")
            return ("missing_package" if is_package else "missing_file"), name
    if "memory" in errors[0] and "exceeded" in errors[0]:
        return "memory", errors[0]
    if re.search(r"TeX capacity exceeded", errors[0]):
        return "memory", errors[0]
    if "dimension too large" in errors[0].lower() or "Huge page" in log:
        return "huge_page", errors[0]
    return "tex_error", errors[0]
