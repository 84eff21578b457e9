"""Where data comes from: licences of fonts and tools, and which of the paper's data it replaces.

A font's licence is what its own file states; where it states none, what its distributor only takes.
Must not read data sets.

Source: data synthesis specification, sections 1, 20 and 21; the categories are those of the
technical report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nanovl.core.errors import NanoVLError
from nanovl.synth.typefaces import BUILTIN, FAMILIES, font_file

__all__ = ["CATEGORIES", "FontLicence", "Replaces", "categories_of", "font_licences", "gaps_of",
           "tools_of"]  # fmt: skip


@dataclass(frozen=True)
class Replaces:
    """A category of the paper and how far a generator reaches.

    Attributes:
        stage: Of the paper, with its name for the category.
        cover: "full", "partial", and for what.
    """

    stage: str
    cover: str


@dataclass(frozen=True)
class FontLicence:
    """Under what a font is distributed.

    Attributes:
        family: Its name, or key in `typefaces`.
        licence: SPDX name where we know it, else its own words.
        origin: "font file", "distribution" (its distributor takes free fonts only) or "unknown".
    """

    family: str
    licence: str
    origin: str

    @property
    def is_open(self) -> bool:
        """Whether somebody states that renderings may be passed on."""
        return self.origin != "unknown"


_DOCUMENTS = Replaces("S1.6 document extraction", "full for layout, partial for content")
_PAGES = Replaces("S1.7 document QA", "partial")
_MATHS = Replaces("S1 text reasoning (mathematics)", "partial")

CATEGORIES: dict[str, tuple[Replaces, ...]] = {
    "charts": (
        Replaces("S1.7 chart QA", "full for synthetic styles"),
        Replaces("S0, S1.1 image captioning", "partial: chart summaries"),
    ),
    "formulas": (Replaces("S1.6 document extraction (formulas)", "full for typeset ones"),),
    "html": (_DOCUMENTS, _PAGES),
    "ocr": (Replaces("S1.6 OCR", "partial: no real scenes, no handwriting"),),
    "papers": (_DOCUMENTS, _PAGES),
    "tex": (_DOCUMENTS,),
    "render-charts": (Replaces("S1.7 chart QA", "partial: real numbers, our questions"),),
    "render-passages": (_DOCUMENTS, _PAGES),
    "render-problems": (_PAGES, _MATHS),
    "render-tables": (Replaces("S1.7 table QA", "partial: human questions, our renderings"),),
    "render-text": (_DOCUMENTS,),
    "scenes-2d": (
        Replaces("S1.3 general VQA, counting", "full for CLEVR-like scenes, none for photos"),
        Replaces("S1.5, S1.8 grounding", "partial"),
        Replaces("S2.8 multi-image captions", "partial"),
    ),
    "scenes-geometry": (Replaces("S1.3 geometry, science", "partial"),),
    "screens": (
        Replaces("S1.7 GUI", "partial"),
        Replaces("S1.6 HTML from screenshot", "full"),
        Replaces("S1.5, S1.8 grounding", "partial"),
    ),
    "tables": (
        Replaces("S1.6 tables", "full"),
        Replaces("S1.7 table QA", "partial"),
    ),
    "business": (_DOCUMENTS, _PAGES),
    "multi-image": (
        Replaces("S2.8 multi-image captions", "partial"),
        Replaces("S1.3 general VQA (comparing pictures)", "partial: drawn pictures"),
    ),
    "multipage": (Replaces("S2.7 multi-page QA", "full"),),
    "text-code": (Replaces("S3 code reasoning", "partial"),),
    "text-expressions": (_MATHS,),
    "text-instructions": (Replaces("S1 text reasoning (chat)", "partial"),),
    "text-longctx": (Replaces("S4 long context", "partial"),),
    "text-maths": (_MATHS,),
    "text-tools": (Replaces("S1.9 function calling", "full"),),
    "video-shapes": (
        Replaces("S1.2, S2.3 video captioning", "partial"),
        Replaces("S1.4 video QA", "partial; CLEVRER-like full"),
        Replaces("S2.1, S2.4 classification, localisation", "partial"),
        Replaces("S2.2 dense video captioning", "partial"),
        Replaces("S2.5 temporal grounding", "partial"),
    ),
    "video-slides": (
        Replaces("S2.2 dense video captioning", "partial"),
        Replaces("S1.7 slide QA", "partial"),
    ),
    "video-ticker": (
        Replaces("S1.4 video QA", "partial"),
        Replaces("S2.5 temporal grounding", "partial"),
    ),
}
"""By the beginning of the generator's name; the longest that fits counts."""

_TEX = (
    ("LuaTeX and TeX Live", "GPL-2.0-or-later, LPPL-1.3c and others; output is free"),
    ("pypdfium2", "Apache-2.0 OR BSD-3-Clause"),
)
_TOOLS: dict[str, tuple[tuple[str, str], ...]] = {
    "": (("numpy", "BSD-3-Clause"), ("pillow", "MIT-CMU")),
    "charts": (("matplotlib", "Matplotlib licence (PSF style)"),),
    "video": (("av", "BSD-3-Clause; FFmpeg inside is LGPL or GPL, its output is free"),),
    "charts-vega": (("vl-convert-python", "BSD-3-Clause"),),
    "formulas": _TEX,
    "html": (("Chromium", "BSD-3-Clause"), ("playwright", "Apache-2.0")),
    "screens": (("Chromium", "BSD-3-Clause"), ("playwright", "Apache-2.0")),
    "business": (("typst", "Apache-2.0"), ("pypdfium2", "Apache-2.0 OR BSD-3-Clause")),
    "video-slides": (("espeak-ng", "GPL-3.0-or-later; what it speaks is free"),),
    "tables-html": (("Chromium", "BSD-3-Clause"), ("playwright", "Apache-2.0")),
    "tables-tex": _TEX,
    "tex": _TEX,
    "papers": _TEX,
}

_NOT = (("charts-drawn", "charts"), ("charts-vega", "charts"))  # another renderer
_GAPS: dict[str, str] = {
    "": "no photographs, no handwriting, no recorded speech: mix with real data for these",
    "charts": "chart types and styles of two renderers only",
    "ocr": "letters are printed ones; words are often invented, so language models cannot guess",
    "render": "texts and questions are only as right as their source",
    "scenes": "flat drawn objects",
    "business": "companies, people and layouts are invented",
    "multi-image": "drawn pictures, pages and charts only",
    "multipage": "documents are composed for their questions",
    "papers": "sentences are put together from templates: they say nothing new about any field",
    "screens": "pages of our own design, no real programs or sites",
    "text": "sentences from templates: little variety of style",
    "video": "drawn objects and slides, no camera; few frames per second",
    "video-slides": "narration is a synthetic voice",
}

# What a font file says about itself -> name of the licence.
_SAID = (
    (r"open font licen[sc]e|scripts\.sil\.org/ofl|\bOFL\b|openfontlicense", "OFL-1.1"),
    (r"apache licen[sc]e|apache\.org", "Apache-2.0"),
    (r"gust font", "GUST-Font-License"),
    (r"gnu (?:affero|agpl)|agpl", "AGPL-3.0 with font exception"),
    (r"gnu general|gnu freefont|\bgpl\b", "GPL with font exception"),
    (r"bitstream.*public domain|dejavu changes are in public domain", "Bitstream-Vera"),
    (r"no rights reserved|\bcc0\b|public domain", "CC0-1.0"),
    (r"latex project public|\blppl\b", "LPPL-1.3c"),
    (r"\bbsd\b|bigelow & holmes", "BSD-3-Clause"),
    (r"paratype ltd grants", "ParaType Free Font License"),
    (r"stixfonts\.org/user_license", "STIX fonts user license"),
    (r"\bmit licen[sc]e", "MIT"),
)
# Folders whose distributor takes free fonts only.
_DISTRIBUTED = (
    ("urw-base35", "AGPL-3.0-only with font exception"),
    ("/gust/", "GUST-Font-License"),
    ("/lmodern/", "GUST-Font-License"),
    ("/lm/", "GUST-Font-License"),
    ("/tex-gyre/", "GUST-Font-License"),
    ("texlive", "free, as TeX Live requires; see the package on CTAN"),
    ("texmf", "free, as TeX Live requires; see the package on CTAN"),
    ("/usr/share/fonts/", "free, as Debian main requires; see its copyright file"),
)


def categories_of(generator: str) -> tuple[Replaces, ...]:
    """What of the paper's data a generator replaces, empty when nobody has said."""
    return CATEGORIES.get(_longest(generator, CATEGORIES), ())


def tools_of(generators: Iterable[str]) -> list[tuple[str, str, str]]:
    """Tools of some generators as (name, version here or "", licence)."""
    found: dict[str, str] = {}
    for generator in generators:
        for start, tools in _TOOLS.items():
            if _is_of(generator, start) and (generator, start) not in _NOT:
                found.update(tools)
    return [(name, _version(name), licence) for name, licence in sorted(found.items())]


def gaps_of(generators: Iterable[str]) -> list[str]:
    """What data of some generators lacks."""
    names = list(generators)
    return [
        f"{start}: {gap}" if start else gap
        for start, gap in _GAPS.items()
        if any(_is_of(name, start) for name in names)
    ]


def font_licences(families: Iterable[str]) -> list[FontLicence]:
    """Licences of fonts by family name or key of `typefaces`, sorted.

    Fonts that are not installed here have an unknown one.
    """
    return [_licence(name) for name in sorted(set(families), key=str.casefold)]


def _licence(family: str) -> FontLicence:
    from nanovl.synth.documents.sfnt import FontFile

    if family in (BUILTIN, "Aileron"):
        return FontLicence(family, "CC0-1.0", "font file")
    if family in FAMILIES:
        try:
            path = font_file(family)
            said = FontFile(path.read_bytes(), path.name).licence
        except (NanoVLError, OSError):
            return FontLicence(family, "not installed here", "unknown")
        return _judged(family, said, path)
    found = _installed().get(family.casefold())
    if found is None:
        return FontLicence(family, "not installed here", "unknown")
    return _judged(family, *found)


@lru_cache(maxsize=1)
def _installed() -> Mapping[str, tuple[str, Path]]:
    """What the fonts of this machine say about their licence, by family in lower case."""
    from nanovl.synth.documents.fonts import library

    found = {}
    for family in library(()).families:
        face = family.regular
        if face.path is not None:
            found[family.name.casefold()] = (face.file.licence, face.path)
    return found


def _judged(family: str, said: str, path: Path) -> FontLicence:
    for pattern, name in _SAID:
        if re.search(pattern, said, re.IGNORECASE | re.DOTALL):
            return FontLicence(family, name, "font file")
    for folder, name in _DISTRIBUTED:
        if folder in path.as_posix():
            return FontLicence(family, name, "distribution")
    return FontLicence(family, said[:100] or "none stated", "unknown")


def _is_of(name: str, start: str) -> bool:
    """Whether a name begins with these words; "" fits all."""
    return not start or name == start or name.startswith(f"{start}-")


def _longest(name: str, starts: Iterable[str]) -> str:
    fitting = [start for start in starts if _is_of(name, start)]
    return max(fitting, key=len, default="")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
