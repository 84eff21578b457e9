"""The engine's font cache: filled once by a document of ours, read-only for everybody else's.

Without it every run would read OpenType fonts and the font database anew, which takes seconds. Must
not run with sources from outside: what a run may write, a run could poison.

Source: data synthesis specification, section 3.5.
"""

from __future__ import annotations

import fcntl
import logging
import tempfile
from pathlib import Path

from nanovl.core.errors import BackendError
from nanovl.synth.tex.sandbox import Limits, Sandbox, font_cache

__all__ = ["ensure_font_cache"]

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


def ensure_font_cache() -> None:
    """Fill the font cache unless it is filled; other processes wait for the first.

    Raises:
        BackendError: The engine is missing or cannot print a small document.
    """
    folder = font_cache()
    mark = folder / _MARK
    if mark.is_file() and mark.read_text() == _VERSION:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.is_file() and mark.read_text() == _VERSION:
            return
        _logger.info("filling the TeX font cache in %s, once; this takes up to a minute", folder)
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
        mark.write_text(_VERSION)
