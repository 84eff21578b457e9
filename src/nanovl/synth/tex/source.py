"""Brings a LaTeX source into a private folder in a form the engine can read.

Takes a folder, one .tex file (plain or gzipped) or a tar archive; checks paths and sizes, finds the
main file, decodes text, converts PostScript figures and refuses what cannot work or must not run,
by name. Must not compile.

Source: data synthesis specification, sections 3.4, 3.17, 3.18.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanovl.synth.base import Reject
from nanovl.synth.tex.sandbox import Sandbox
from nanovl.synth.tex.unpack import unpack

__all__ = ["Source", "check_text", "prepare", "strip_comments"]

_TEXT_SUFFIXES = frozenset({".tex", ".ltx", ".sty", ".cls", ".bbl", ".bib", ".bst", ".clo", ".cfg",
                            ".def", ".tikz"})  # fmt: skip
_MAIN_NAMES = ("main", "ms", "paper", "manuscript", "root", "article", "arxiv", "submission")
_CLASS = re.compile(r"\\document(class|style)\s*(?:\[[^\]]*\])?\s*\{\s*([A-Za-z0-9_.\-/]+)\s*\}")
_INPUTENC = re.compile(r"\\usepackage\s*\[([^\]]*)\]\s*\{[^}]*inputen[cx][^}]*\}")
_ENCODINGS = {
    "latin1": "latin-1", "latin2": "iso8859-2", "latin9": "iso8859-15", "ansinew": "cp1252",
    "cp1252": "cp1252", "cp1250": "cp1250", "cp1251": "cp1251", "koi8-r": "koi8-r",
    "applemac": "mac-roman", "cp850": "cp850", "cp437": "cp437", "utf8": "utf-8",
}  # fmt: skip

# What a source may not do; the first that matches names the refusal.
_FORBIDDEN = (
    ("shell_escape", re.compile(r"\\write\s*18\b|\\ShellEscape\b|\\input\s*\{?\s*[\"']?\|[\"'\w/]|"
                                r"\\open(?:in|out)\s*\\?\w+\s*=?\s*[\"']?\|")),
    ("lua_code", re.compile(
        r"(?:\\|\\csname\s*)(?:directlua|latelua|latedirectlua|luaexec|luadirect|luafunction|"
        r"luaescapestring|lua_now|lua_shipout)(?![A-Za-z])|\\begin\s*\{luacode\*?\}|"
        r"\\usepackage\s*(?:\[[^\]]*\])?\s*\{[^}]*\bluacode\b")),
    ("forbidden_path", re.compile(
        r"\\(?:input|include|InputIfFileExists|IfFileExists|verbatiminput|VerbatimInput|"
        r"lstinputlisting|includegraphics|includepdf|openin|openout|subfile|import|"
        r"@input|@@input|bibliography|addbibresource|includestandalone)(?![A-Za-z])\s*\*?"
        r"(?:\[[^\]]*\])?\s*(?:\\?\w*\s*=\s*)?\{?\s*[\"']?\s*(?:/|~|[A-Za-z]:[\\/]|(?:\./)*\.\./\.\./\.\./)")),
)  # fmt: skip
_UNSUPPORTED = (
    ("pstricks", re.compile(r"\\usepackage\s*(?:\[[^\]]*\])?\s*\{[^}]*\b(?:pstricks|pst-[a-z]+|"
                            r"psfrag|auto-pst-pdf)\b")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source ready to compile.

    Attributes:
        folder: The work folder it was brought into.
        main: Name of the main file, relative to the folder.
        job: Name the engine's files get.
        has_bibliography: The main text asks for a BibTeX bibliography.
        text: The main file without comments.
    """

    folder: Path
    main: str
    job: str
    has_bibliography: bool
    text: str


def strip_comments(text: str) -> str:
    """LaTeX text without comments; escaped percent signs stay."""
    return re.sub(r"(?<!\\)((?:\\\\)*)%[^\n]*", r"\1", text)


def check_text(text: str, name: str, *, allowed: Sequence[str] = ()) -> None:
    """Refuse text that would run programs or Lua code, or reach outside the job's folder.

    Args:
        text: Without comments.
        name: Shown in the refusal.
        allowed: Refusals to leave out.

    Raises:
        Reject: "shell_escape", "lua_code" or "forbidden_path".
    """
    if "\\begin{verbatim" in text or "\\begin{lstlisting" in text or "\\verb" in text:
        text = re.sub(
            r"\\begin\{(verbatim|Verbatim|lstlisting|alltt)\*?\}.*?\\end\{\1\*?\}", "", text,
            flags=re.DOTALL,
        )  # fmt: skip
        text = re.sub(r"\\(?:verb|lstinline)\*?([^A-Za-z\s*{])[^\n]*?\1", "", text)
    if "\\MakeShortVerb" in text:
        text = re.sub(r"\\MakeShortVerb\*?\{?\\.\}?", "", text)
        text = re.sub(r"\|[^|\n]*\|", "", text)
    for reason, pattern in _FORBIDDEN:
        match = None if reason in allowed else pattern.search(text)
        if match:
            line = text[: match.start()].count("\n") + 1
            raise Reject(reason, f"{name} line {line}: {match.group(0).strip()[:60]}")


def prepare(source: Path, work: Path, sandbox: Sandbox, *, main: str | None = None) -> Source:
    """Bring a source into the work folder.

    Args:
        source: Folder, .tex, .tex.gz, .gz of one file, or .tar(.gz).
        work: Empty folder.
        sandbox: Of the work folder; converts PostScript figures.
        main: Name of the main file; None looks for it.

    Raises:
        Reject: Named reason why this source cannot be compiled here.
    """
    if not source.exists():
        raise Reject("missing_source", f"{source} does not exist")
    unpack(source, work)
    texts = _decode(work)
    name = main or _find_main(texts)
    if name not in texts:
        raise Reject("no_main_file", f"{name!r} is not among the files of {source.name}")
    for path in _reachable(texts, name):
        # Styles that would like a shell find none in the sandbox; documents have no business there.
        is_style = Path(path).suffix in (".sty", ".cls", ".clo", ".def", ".cfg")
        allowed = ("shell_escape",) if is_style and sandbox.is_isolated else ()
        check_text(strip_comments(texts[path]), path, allowed=allowed)
    stripped = strip_comments(texts[name])
    for reason, pattern in _UNSUPPORTED:
        match = pattern.search(stripped)
        if match:
            raise Reject(reason, f"{name}: {match.group(0)[:60]}; no PDF engine can print it")
    _convert_postscript(work, sandbox, "\n".join(texts.values()))
    job = re.sub(r"[^A-Za-z0-9_-]", "-", Path(name).stem) or "main"
    body = "\n".join(
        strip_comments(texts[p]) for p in sorted(texts) if p.endswith((".tex", ".ltx"))
    )
    return Source(
        folder=work,
        main=name,
        job=job,
        has_bibliography="\\bibliography{" in body or "\\bibdata" in body,
        text=stripped,
    )


def _reachable(texts: dict[str, str], main: str) -> list[str]:
    """Files of the source whose name occurs in the main file, or in one of those files."""
    found, pending = {main}, [main]
    stems = {p: Path(p).stem for p in texts if Path(p).suffix not in (".bib", ".bst", ".bbl")}
    while pending:
        text = texts[pending.pop()]
        words = set(re.findall(r"[A-Za-z0-9_.:@+-]+", text.replace("/", " ")))
        for path, stem in stems.items():
            if path not in found and (stem in words or Path(path).name in words):
                found.add(path)
                pending.append(path)
    return sorted(found)


# -- reading ------------------------------------------------------------------------------------


def _decode(work: Path) -> dict[str, str]:
    """Every text file as UTF-8, rewritten in place; relative name -> text."""
    raw: dict[str, bytes] = {}
    for path in sorted(work.rglob("*")):
        if path.is_file() and path.suffix.lower() in _TEXT_SUFFIXES:
            raw[path.relative_to(work).as_posix()] = path.read_bytes()
    encoding = "latin-1"
    for name in sorted(raw):
        match = _INPUTENC.search(raw[name].decode("latin-1"))
        if match:
            encoding = _ENCODINGS.get(match.group(1).strip().lower(), encoding)
            break
    texts: dict[str, str] = {}
    for name, data in raw.items():
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = data.decode("utf-16", "replace").encode()
            (work / name).write_bytes(data)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode(encoding if encoding != "utf-8" else "latin-1", "replace")
            (work / name).write_text(text, encoding="utf-8", newline="")
        texts[name] = text.replace("\r\n", "\n").replace("\r", "\n")
    return texts


def _find_main(texts: dict[str, str]) -> str:
    candidates = []
    style = False
    for name, text in texts.items():
        if not name.endswith((".tex", ".ltx")):
            continue
        match = _CLASS.search(strip_comments(text))
        if match and match.group(1) == "class":
            stem = Path(name).stem.lower()
            rank = _MAIN_NAMES.index(stem) if stem in _MAIN_NAMES else len(_MAIN_NAMES)
            is_sub = match.group(2) in ("subfiles", "standalone")
            candidates.append((is_sub, rank, name.count("/"), name))
        style = style or bool(match)
    if not candidates:
        if style:
            raise Reject("documentstyle", "the source is LaTeX 2.09 (\\documentstyle)")
        raise Reject("no_main_file", "no file has a \\documentclass")
    return min(candidates)[3]


def _convert_postscript(work: Path, sandbox: Sandbox, text: str) -> None:
    for path in sorted([*work.rglob("*.eps"), *work.rglob("*.ps"), *work.rglob("*.EPS")]):
        target = path.with_suffix(".pdf")
        if target.exists() or path.stem not in text:
            continue
        inside = path.relative_to(work).as_posix()
        result = sandbox.run(
            [
                "gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pdfwrite",
                f"-sOutputFile={Path(inside).with_suffix('.pdf').as_posix()}",
                *_crop(path.read_bytes()), inside,
            ],
            cpu_s=30,
        )  # fmt: skip
        if result.failure or result.code != 0 or not target.exists():
            raise Reject(
                result.failure or "bad_figure", f"{inside}: Ghostscript could not convert it"
            )
        shutil.copyfile(target, path.parent / f"{path.stem}-eps-converted-to.pdf")


def _crop(data: bytes) -> list[str]:
    """Ghostscript options that cut to the bounding box a figure states."""
    boxes = re.findall(
        rb"^%%BoundingBox:\s*(-?\d+)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)", data, re.MULTILINE
    )
    if not boxes:
        return ["-dEPSCrop"]
    x0, y0, x1, y1 = (int(v) for v in boxes[0])
    if x1 <= x0 or y1 <= y0:
        return ["-dEPSCrop"]
    return [
        f"-dDEVICEWIDTHPOINTS={x1 - x0}", f"-dDEVICEHEIGHTPOINTS={y1 - y0}", "-dFIXEDMEDIA",
        "-c", f"{-x0} {-y0} translate", "-f",
    ]  # fmt: skip
