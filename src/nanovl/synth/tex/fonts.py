"""The engine's font cache: filled by documents of ours, read-only for everybody else's.

Without it every run would read OpenType fonts and the font database anew, which takes seconds. A
source that loads fonts the cache lacks tells by the names of what it cached for itself; a document
of ours then loads the same fonts, once. Must not take files from such a run, only names: what a
run may write, a run could poison.

Source: data synthesis specification, section 3.5.
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from nanovl.core.errors import BackendError
from nanovl.synth.tex.sandbox import Limits, Sandbox, font_cache
from nanovl.synth.tex.startup import ensure_quick_start

__all__ = ["ensure_font_cache", "learn_fonts"]

_logger = logging.getLogger(__name__)

_MARK = "filled"
_VERSION = "1"
_DOCUMENT = r"""\documentclass{article}
\usepackage{fontspec,amsmath,amssymb}
\newcommand\try[1]{\IfFontExistsTF{#1}{{\fontspec{#1}a\textbf{b}\textit{c}\textbf{\textit{d}}}}{}}
\begin{document}
a \textbf{b} \textit{c} \textbf{\textit{d}} \texttt{e} \textsf{f} \textsc{g} \textsl{h} $x^2_{a_b}$
{\small a\footnotesize b\tiny c\scriptsize d\large e\Large f\LARGE g\huge h\Huge i}
\textbf{\textsf{f}} \textit{\textsf{f}} \textit{\texttt{f}} \textbf{\textsc{g}} \textbf{\textsl{g}}
\try{TeX Gyre Termes}\try{TeX Gyre Pagella}\try{TeX Gyre Heros}\try{TeX Gyre Cursor}
\try{TeX Gyre Schola}\try{TeX Gyre Bonum}\try{TeX Gyre Adventor}\try{Linux Libertine O}
\try{Linux Biolinum O}\try{Libertinus Serif}\try{Libertinus Sans}\try{Inconsolatazi4-Regular.otf}
\try{DejaVu Serif}\try{DejaVu Sans}\try{DejaVu Sans Mono}\try{Liberation Serif}
\try{Noto Serif}\try{Noto Sans}\try{Latin Modern Sans}\try{Latin Modern Mono}
\end{document}
"""


# These change when packages with fonts come or go.
_TREES = (
    "/var/lib/texmf/ls-R-TEXLIVEDIST", "/var/lib/texmf/ls-R-TEXMFMAIN", "/usr/share/fonts/opentype",
    "/usr/share/fonts/truetype", "/usr/share/texmf/fonts/opentype",
)  # fmt: skip


def _state() -> str:
    """What the cache was made from; another state needs another cache."""
    stamps = [_VERSION]
    for name in _TREES:
        path = Path(name)
        stamps.append(str(path.stat().st_mtime_ns) if path.exists() else "-")
    return " ".join(stamps)


def ensure_font_cache() -> None:
    """Fill the font cache unless it is filled; other processes wait for the first.

    Raises:
        BackendError: The engine is missing or cannot print a small document.
    """
    _fill_fonts()
    ensure_quick_start()


def _fill_fonts() -> None:
    folder = font_cache()
    mark, state = folder / _MARK, _state()
    if mark.is_file() and mark.read_text() == state:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.is_file() and mark.read_text() == state:
            return
        _logger.info("filling the TeX font cache in %s, once; this takes up to a minute", folder)
        # The database remembers fonts it looked for in vain.
        shutil.rmtree(folder / "luatex-cache" / "generic" / "names", ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="nanovl-fonts-") as name:
            work = Path(name)
            (work / "fonts.tex").write_text(_DOCUMENT)
            limits = Limits(cpu_s=400, wall_s=500)
            result = Sandbox(work, limits).run(
                ["lualatex", "--interaction=batchmode", "--no-shell-escape", "fonts.tex"],
                writes_cache=True,
            )
            if not (work / "fonts.pdf").exists():
                raise BackendError(
                    f"lualatex could not print a one-page document ({result.failure or 'error'}: "
                    f"{result.output[-200:].strip()}); check the TeX installation with: nanovl "
                    "synth doctor"
                )
        mark.write_text(state)


_OWN = Path("luatex-cache") / "generic" / "fonts" / "otl"
_MAX_LEARNED = 24


def learn_fonts(work: Path) -> int:
    """Put fonts into the shared cache that a run had to read itself.

    Args:
        work: Work folder of the run.

    Returns:
        How many fonts were asked for; 0 when the cache has them all, or another process is at it.
    """
    folder = font_cache()
    seen = {p.stem for p in (work / ".texvar" / _OWN).glob("*.luc")}
    wanted = sorted(seen - {p.stem for p in (folder / _OWN).glob("*.luc")})[:_MAX_LEARNED]
    files = _font_files()
    names = [files[name] for name in wanted if name in files]
    if not names:
        return 0
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        with tempfile.TemporaryDirectory(prefix="nanovl-fonts-") as name:
            own = Path(name)
            loads = "".join(f"{{\\font\\x={{file:{f}:mode=node}}\\x a}}\n" for f in names)
            (own / "fonts.tex").write_text(
                f"\\documentclass{{article}}\\begin{{document}}\n{loads}\\end{{document}}\n"
            )
            Sandbox(own, Limits(cpu_s=400, wall_s=500)).run(
                ["lualatex", "--interaction=batchmode", "--no-shell-escape", "fonts.tex"],
                writes_cache=True,
            )
    return len(names)


@cache
def _font_files() -> dict[str, str]:
    """Name in the cache -> name of the font file, from the lists of the TeX tree and the system."""
    names: set[str] = set()
    for tree in _TREES:
        path = Path(tree)
        if path.is_file():
            names.update(re.findall(r"^[\w.+-]+\.(?:otf|ttf)$", path.read_text("latin-1"), re.M))
        elif path.is_dir():
            names.update(p.name for p in path.rglob("*") if p.suffix in (".otf", ".ttf"))
    return {re.sub(r"[^a-z0-9]+", "-", Path(n).stem.lower()): n for n in sorted(names)}
