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
MAX_QUICK = 4
MAX_PAGES = 400
_UNSETTLED = re.compile(
    r"\\(?:ref|eqref|cref|Cref|autoref|pageref|cite\w*|tableofcontents|label|bibliography|"
    r"printbibliography|include|input|listof\w+|lastpage|LastPage|bibitem|nocite)\b"
)
# Outlines are of the viewer's margin and on no page.
_RERUN = re.compile(r"Rerun (?!checks for|to get outlines)|undefined references|may have changed")
_MOVED = re.compile(r"Label\(s\) may have changed")
# What only LuaTeX and XeTeX can read, and drawings across pages: they need LuaTeX's own places.
_UNICODE_ENGINE = re.compile(
    r"\bremember picture\b|"
    r"\\(?:set(?:main|sans|mono|math)font|newfontfamily|fontspec|directlua|RequireLuaTeX)\b|"
    r"\{[^{}]*\b(?:fontspec|unicode-math|luacode|luatex\w*|polyglossia|selnolig|mathspec)\b[^{}]*\}"
)
# Classes and packages that print other fonts, hence other pages, under LuaTeX than under pdfTeX.
_OTHER_FONTS = re.compile(
    r"\{[^{}]*\b(?:acmart|libertine|libertinus|libertineRoman|cochineal|erewhon)\b[^{}]*\}"
)
# Lines of the references that no page shows: entries of lists, which are compared as the lists'
# own files, and bookmarks.
_UNSEEN = re.compile(rb"\\@writefile\s*\{|\\BKM@entry\s*\{|\\relax\s*$")
# What a job has beside its lists of contents, figures, theorems and so on.
_NOT_LISTS = frozenset({".aux", ".bbl", ".bcf", ".blg", ".log", ".out", ".pdf", ".run.xml", ".tex"})
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

    The runs before the last make references alone; pdfLaTeX does them where it can, in a third of
    the time. Where the last run then fails, all are made again by LuaLaTeX.

    Raises:
        Reject: Named reason.
    """
    is_quick = (
        not options
        and not _UNICODE_ENGINE.search(source.text)
        and shutil.which("pdflatex") is not None
    )
    drafts = _Drafts(is_quick=is_quick)
    try:
        return _run(source, sandbox, profile, options, drafts)
    except Reject:
        if not drafts.was_quick:
            raise
    _forget(source)
    return _run(source, sandbox, profile, options, _Drafts(is_quick=False))


@dataclass(slots=True)
class _Drafts:
    """How runs for the references are made.

    Attributes:
        is_quick: Whether pdfLaTeX may be tried.
        was_quick: Whether the references now on disk are its work.
        passes: Runs so far.
    """

    is_quick: bool
    was_quick: bool = False
    passes: int = 0


def _run(
    source: Source, sandbox: Sandbox, profile: Profile, options: Sequence[str], drafts: _Drafts
) -> Compiled:
    work, job = source.folder, source.job
    if Path(source.main).stem != job:
        for suffix in (".bbl", ".ind", ".gls"):
            own = work / Path(source.main).with_suffix(suffix).name
            if own.exists():
                shutil.copyfile(own, work / f"{job}{suffix}")
    if _UNSETTLED.search(source.text):
        _settle(source, sandbox, options, drafts)
    finished, passes = None, drafts.passes
    for _ in range(MAX_FINAL):
        before = _state(work, job)
        finished = _latex(source, sandbox, options, draft=False)
        passes += 1
        after = _state(work, job)
        if before == after:
            break
        # Contents lists changed, or the engine itself asks for another run. It does not know that
        # another engine made what it read: then whatever is different counts.
        is_same = before.lists == after.lists and not _RERUN.search(_log(work, job))
        if is_same and not (drafts.was_quick and before.seen != after.seen):
            break
        drafts.was_quick = False
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


# -- runs -----------------------------------------------------------------------------------------


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
        raise _stopped(result, _errors(log))
    if "nanovl-gt: more than" in log:
        raise Reject("too_many_pages", f"more than {MAX_PAGES}")
    return result


def _settle(source: Source, sandbox: Sandbox, options: Sequence[str], drafts: _Drafts) -> None:
    """The runs before the last: references, bibliography, and what contents lists move."""
    work, job = source.folder, source.job
    guessed = make_guess(source, sandbox)
    # A quick run may tell what is cited, not where it stands.
    has_other_fonts = _OTHER_FONTS.search(source.text) is not None
    if has_other_fonts and (guessed is not None or not source.has_bibliography):
        drafts.is_quick = False
    before = _state(work, job)
    _draft(source, sandbox, options, drafts)
    if make_bibliography(source, sandbox, guessed):
        drafts.is_quick = drafts.is_quick and not has_other_fonts
        before = _state(work, job)
        _draft(source, sandbox, options, drafts)
    # Quick runs until the pages agree are cheaper than one more last run.
    for _ in range(MAX_QUICK - drafts.passes):
        after = _state(work, job)
        is_moved = before.has_references and _MOVED.search(_log(work, job))
        if not drafts.was_quick or (before.lists == after.lists and not is_moved):
            break
        before = after
        _draft(source, sandbox, options, drafts)


def _draft(source: Source, sandbox: Sandbox, options: Sequence[str], drafts: _Drafts) -> None:
    """A run for the references alone."""
    drafts.passes += 1
    if drafts.is_quick:
        result = sandbox.run(
            ["pdflatex", "--interaction=batchmode", "--no-shell-escape", "--file-line-error",
             "--draftmode", f"--jobname={source.job}", f"\\input{{{source.main}}}"]
        )  # fmt: skip
        errors = _errors(_log(source.folder, source.job))
        if result.failure:
            raise _stopped(result, errors)
        drafts.is_quick = drafts.was_quick = not result.code and not errors
        if drafts.was_quick:
            return
        _forget(source)
    _latex(source, sandbox, options, draft=True)
    drafts.was_quick = False


def _stopped(result: Finished, errors: Sequence[str]) -> Reject:
    message = _first(errors) or f"the engine was stopped after {result.seconds:.0f} s"
    return Reject(result.failure, message)


def _forget(source: Source) -> None:
    """Remove what runs left for the next one."""
    for suffix in (".aux", ".toc", ".lof", ".lot", ".out", ".nav", ".snm", ".bcf"):
        (source.folder / f"{source.job}{suffix}").unlink(missing_ok=True)


# -- what runs leave ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """What later runs read.

    Attributes:
        references: Digest of the references, as they are; empty without any.
        seen: Digest of those that pages may show.
        lists: Digests of the lists of contents, figures and so on, by name.
    """

    references: bytes
    seen: bytes
    lists: tuple[tuple[str, bytes], ...]

    @property
    def has_references(self) -> bool:
        """Whether a run has been there before."""
        return bool(self.references)


def _state(work: Path, job: str) -> _State:
    main = work / f"{job}.aux"
    # Chapters have references of their own.
    data = b"".join(p.read_bytes() for p in [main, *_parts(work, main)] if p.exists())
    seen = b"\n".join(line for line in data.splitlines() if not _UNSEEN.match(line))
    lists = tuple(
        (path.name, _file_digest(path))
        for path in sorted(work.glob(f"{job}.*"))
        if path.name[len(job) :] not in _NOT_LISTS and path.is_file() and not path.is_symlink()
    )
    return _State(_digest(data), _digest(seen), lists)


def _parts(work: Path, main: Path) -> list[Path]:
    names = re.findall(rb"\\@input\{([^{}]+)\}", main.read_bytes()) if main.exists() else []
    paths = [work / name.decode("utf-8", "replace").strip() for name in names]
    return [
        path for path in paths if path.is_file() and path.resolve().is_relative_to(work.resolve())
    ]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() if data else b""


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


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
