"""What the TeX part needs from the machine, what is there, and the line that installs the rest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from nanovl.synth.tex.glyphs import tex_files

__all__ = ["Need", "needs"]


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something the TeX part uses.

    Attributes:
        name: Program, file or Python module.
        is_there: It was found.
        install: The line that installs it.
        purpose: What it is for.
        is_required: Nothing works without it.
    """

    name: str
    is_there: bool
    install: str
    purpose: str
    is_required: bool


_PROGRAMS = (
    ("lualatex", "texlive-luatex", "compiling sources", True),
    ("kpsewhich", "texlive-binaries", "finding TeX's files", True),
    ("pdflatex", "texlive-latex-base", "references in a third of the time", False),
    ("bibtex", "texlive-binaries", "bibliographies", True),
    ("bwrap", "bubblewrap", "isolating unread sources", False),
    ("gs", "ghostscript", "PostScript figures", False),
    ("biber", "biber", "biblatex bibliographies", False),
)
_FILES = (
    ("luatex85.sty", "texlive-luatex", "sources written for pdfTeX", True),
    ("amsmath.sty", "texlive-latex-base", "maths", True),
    ("geometry.sty", "texlive-latex-base", "other page sizes", False),
    ("multirow.sty", "texlive-latex-extra", "most papers", False),
    ("IEEEtran.cls", "texlive-publishers", "classes of publishers", False),
    ("siunitx.sty", "texlive-science", "papers with units", False),
    ("biblatex.sty", "texlive-bibtex-extra", "biblatex bibliographies", False),
    ("tikz.sty", "texlive-pictures", "drawings", False),
    ("lmodern.sty", "lmodern", "outline fonts", False),
    ("texgyretermes-regular.otf", "fonts-texgyre", "other fonts", False),
    ("libertine.sty", "texlive-fonts-extra", "ACM's class", False),
    ("ngerman.ldf", "texlive-lang-german", "German papers", False),
)
_MODULES = (
    ("pypdfium2", "pip install nanovl", "reading and rendering PDFs", True),
    ("pdfplumber", "pip install 'nanovl[synth]'", "a second opinion on glyph positions", False),
)


def needs() -> Sequence[Need]:
    """Everything the TeX part uses, found or not."""
    found = [
        Need(
            name=name, is_there=shutil.which(name) is not None, install=f"apt install {package}",
            purpose=purpose, is_required=required,
        )
        for name, package, purpose, required in _PROGRAMS
    ]  # fmt: skip
    has_kpsewhich = shutil.which("kpsewhich") is not None
    for name, package, purpose, required in _FILES:
        there = has_kpsewhich and tex_files(name)[0] is not None
        found.append(
            Need(
                name=name,
                is_there=there,
                install=f"apt install {package}",
                purpose=purpose,
                is_required=required,
            )
        )
    for name, line, purpose, required in _MODULES:
        found.append(
            Need(
                name=name,
                is_there=find_spec(name) is not None,
                install=line,
                purpose=purpose,
                is_required=required,
            )
        )
    return found
