"""Bibliographies: BibTeX and Biber between the engine's runs.

What the first run will ask BibTeX for can mostly be read off the source. A bibliography made from
that guess before the first run saves a run; when the run asks for something else, BibTeX runs again
and nothing is gained. Must not run the engine.

Source: data synthesis specification, section 3.4.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from nanovl.synth.tex.sandbox import Sandbox
from nanovl.synth.tex.source import Source, strip_comments
from nanovl.synth.tex.texfiles import tex_files

__all__ = ["Request", "make_bibliography", "make_guess", "read_request"]

_CITE = re.compile(
    r"\\(?:no)?(?:[Cc]ite|[Cc]itep|[Cc]itet|[Cc]iteauthor|[Cc]iteyear(?:par)?|[Cc]itealp|[Cc]itealt|"
    r"onlinecite|shortcite)\*?\s*(?:\[[^\]]*\]\s*){0,2}\{([^{}\\#]+)\}"
)
_STYLE = re.compile(r"\\bibliographystyle\s*\{([^{}\\#]+)\}")
_CLASS = re.compile(r"\\documentclass\s*(?:\[[^\]]*\])?\s*\{\s*([A-Za-z0-9_-]+)\s*\}")
# Commands that are shown, not done.
_PRINTED = re.compile(
    r"\\begin\{(verbatim|Verbatim|lstlisting|alltt)\*?\}.*?\\end\{\1\*?\}|"
    r"\\verb\*?([^A-Za-z\s*{])[^\n]*?\2",
    re.DOTALL,
)
_INPUT = re.compile(r"\\(?:input|include)\s*\{\s*([^{}\\]+?)\s*\}")
# Styles that sort: the order of citations does not matter.
_SORTED = frozenset({
    "abbrv", "abbrvnat", "acm", "ACM-Reference-Format", "alpha", "amsalpha", "amsplain", "apalike",
    "apa", "elsarticle-harv", "plain", "plainnat", "siam", "splncs04",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Request:
    """What BibTeX is asked for."""

    style: str
    data: tuple[str, ...]
    keys: tuple[str, ...]

    def is_met_by(self, other: Request | None) -> bool:
        """Whether the other's bibliography is this one's."""
        if other is None or (self.style, self.data) != (other.style, other.data):
            return False
        if self.keys == other.keys:
            return True
        return self.style in _SORTED and set(self.keys) == set(other.keys)


def _distinct(keys: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key.strip() for key in keys if key.strip()))


def read_request(work: Path, job: str) -> Request | None:
    """What the last run asked for; None without citations or without data."""
    text = _aux(work, f"{job}.aux", 0)
    style = re.search(r"\\bibstyle\{([^}]*)\}", text)
    data = re.search(r"\\bibdata\{([^}]*)\}", text)
    keys = [k for group in re.findall(r"\\citation\{([^}]*)\}", text) for k in group.split(",")]
    if data is None or not keys:
        return None
    return Request(
        style=style.group(1).strip() if style else "",
        data=_distinct(data.group(1).split(",")),
        keys=_distinct(keys),
    )


def _aux(work: Path, name: str, depth: int) -> str:
    path = work / name
    if depth > 3 or not path.is_file():
        return ""
    text = path.read_text("utf-8", "replace")
    return re.sub(r"\\@input\{([^}]*)\}", lambda m: _aux(work, m.group(1), depth + 1), text)


def make_guess(source: Source, sandbox: Sandbox) -> Request | None:
    """Run BibTeX with what the source seems to ask for.

    Returns:
        What was asked; None when the source does not say, brings its bibliography, or BibTeX
        found fault with it.
    """
    work, job = source.folder, source.job
    bbl, aux = work / f"{job}.bbl", work / f"{job}.aux"
    if bbl.exists() or aux.exists() or not source.has_bibliography:
        return None
    text = _PRINTED.sub("", _expanded(work, source.text, 0))
    start = text.find("\\begin{document}")
    style = set(_STYLE.findall(text)) or _class_styles(work, text)
    data = set(re.findall(r"\\bibliography\s*\{([^{}\\]+)\}", text))
    keys = _distinct([k for group in _CITE.findall(text[start:]) for k in group.split(",")])
    if len(style) != 1 or len(data) != 1 or not keys:
        return None
    asked = Request(style=style.pop().strip(), data=_distinct(data.pop().split(",")), keys=keys)
    aux.write_text(
        "\\relax\n"
        + "".join(f"\\citation{{{key}}}\n" for key in keys)
        + f"\\bibstyle{{{asked.style}}}\n\\bibdata{{{','.join(asked.data)}}}\n",
        encoding="utf-8",
    )
    result = sandbox.run(["bibtex", job], cpu_s=30)
    aux.unlink()
    if result.code >= 2 or not bbl.exists() or bbl.stat().st_size < 20:
        bbl.unlink(missing_ok=True)
        return None
    return asked


def _class_styles(work: Path, text: str) -> set[str]:
    """Styles the document's class names, where the document leaves that to it."""
    match = _CLASS.search(text)
    if match is None:
        return set()
    name = f"{match.group(1)}.cls"
    path: Path | None = work / name
    if not (work / name).is_file():
        (path,) = tex_files(name)
    if path is None or path.stat().st_size > 4 << 20:
        return set()
    return set(_STYLE.findall(strip_comments(path.read_text("utf-8", "replace"))))


def _expanded(work: Path, text: str, depth: int) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        for suffix in (".tex", ""):
            path = work / f"{name}{suffix}"
            if depth < 4 and path.is_file() and path.stat().st_size < 4 << 20:
                inner = strip_comments(path.read_text("utf-8", "replace"))
                return _expanded(work, inner, depth + 1)
        return match.group()

    return _INPUT.sub(replace, text)


def make_bibliography(source: Source, sandbox: Sandbox, guessed: Request | None) -> bool:
    """Run BibTeX or Biber if the first run asked for something that is not there.

    Args:
        source: After its first run.
        sandbox: Of the work folder.
        guessed: What `make_guess` made.

    Returns:
        Whether another run is needed before the last.
    """
    work, job = source.folder, source.job
    bbl = work / f"{job}.bbl"
    if (work / f"{job}.bcf").exists():
        if bbl.exists() and guessed is None and not list(work.rglob("*.bib")):
            return False
        if shutil.which("biber") is None:
            return False
        return sandbox.run(["biber", "--quiet", job], cpu_s=60).code == 0
    asked = read_request(work, job)
    if asked is None or asked.is_met_by(guessed):
        return False
    if guessed is None and bbl.exists() and bbl.stat().st_size >= 20:
        return False  # the author's own
    kept = bbl.read_bytes() if bbl.exists() else None
    result = sandbox.run(["bibtex", job], cpu_s=30)
    if kept is not None and (result.code >= 2 or not bbl.exists() or bbl.stat().st_size < 20):
        bbl.write_bytes(kept)
    return bbl.exists() and (kept is None or bbl.read_bytes() != kept)
