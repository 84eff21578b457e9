r"""What a paper looks like: its class, options, fonts, paper, headers.

A class that is not installed is replaced by the first installed one of a list of substitutes, so
the same settings give the same documents on machines with the same classes. Must not know what a
paper says.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.core.config import nearest
from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.papers.plan import Shape
from nanovl.synth.tex.doctor import Need
from nanovl.synth.tex.glyphs import tex_files

__all__ = ["CLASSES", "Dress", "PaperClass", "chosen_class", "class_needs", "draw_dress"]


@dataclass(frozen=True, kw_only=True)
class PaperClass:
    """A document class.

    Attributes:
        name: Of the class file.
        package: Debian package that has it.
        front: How title and authors are written; a key of `source.FRONTS`.
        options: Sets of options to draw from.
        columns: Columns per set of options.
        top: Highest level of headings: 0 chapters, 1 sections.
        languages: Any language; otherwise English only.
        roman_tables: Tables are numbered I, II, III.
        own_theorems: The class has theorem environments of its own.
        floats: Algorithm floats work.
        has_maths: Formulas may be used; false where the fonts have letters nobody can name.
        most_words: Of a whole paper.
        resizable: Paper and fonts may be changed.
        weight: How often it is drawn.
    """

    name: str
    package: str
    front: str = "article"
    options: tuple[str, ...] = ("",)
    columns: tuple[int, ...] = (1,)
    top: int = 1
    languages: bool = True
    roman_tables: bool = False
    own_theorems: bool = False
    floats: bool = True
    resizable: bool = True
    has_maths: bool = True
    most_words: int = 4000
    weight: float = 1.0


CLASSES: dict[str, PaperClass] = {
    c.name: c
    for c in (
        PaperClass(
            name="article", package="texlive-latex-base", weight=4,
            options=("", "11pt", "12pt", "a4paper", "twocolumn", "twocolumn,a4paper", "twoside"),
            columns=(1, 1, 1, 1, 2, 2, 1),
        ),
        PaperClass(
            name="IEEEtran", package="texlive-publishers", front="ieee", languages=False,
            options=("conference", "journal"), columns=(2, 2), roman_tables=True, resizable=False,
            weight=2,
        ),
        PaperClass(
            name="revtex4-2", package="texlive-publishers", front="revtex", languages=False,
            options=(
                "aps,twocolumn,nofootinbib", "aps,preprint,nofootinbib", "reprint,nofootinbib",
            ),
            columns=(2, 1, 2),
            roman_tables=True, floats=False, resizable=False, weight=1.5,
        ),
        PaperClass(
            name="acmart", package="texlive-publishers", front="acm", languages=False,
            options=("sigconf,nonacm", "manuscript,nonacm"), columns=(2, 1), own_theorems=True,
            resizable=False, has_maths=False, weight=0.7,
        ),
        PaperClass(
            name="elsarticle", package="texlive-publishers", front="elsevier", languages=False,
            options=("preprint,12pt", "final,5p,twocolumn"), columns=(1, 2), resizable=False,
        ),
        PaperClass(
            name="llncs", package="texlive-publishers", front="llncs", languages=False,
            options=("", "oribibl"), columns=(1, 1), own_theorems=True, resizable=False,
        ),
        PaperClass(
            name="amsart", package="texlive-base", front="ams", languages=False,
            options=("", "11pt", "reqno"), columns=(1, 1, 1), weight=1.5,
        ),
        PaperClass(
            name="scrartcl", package="texlive-latex-recommended", weight=2,
            options=("", "twocolumn", "11pt,a4paper", "parskip=half"), columns=(1, 2, 1, 1),
        ),
        PaperClass(
            name="scrreprt", package="texlive-latex-recommended", top=0,
            options=("", "11pt,a4paper"), columns=(1, 1),
        ),
        PaperClass(
            name="memoir", package="texlive-latex-extra", top=0, front="memoir",
            options=("10pt,oneside,openany", "11pt,a4paper,openany"), columns=(1, 1),
        ),
        PaperClass(
            name="report", package="texlive-latex-base", top=0, options=("", "11pt"),
            columns=(1, 1),
        ),
        PaperClass(
            name="book", package="texlive-latex-base", top=0, front="book",
            options=("openany", "openany,11pt,a4paper"), columns=(1, 1),
        ),
        PaperClass(
            name="beamer", package="texlive-latex-recommended", front="beamer",
            options=("", "aspectratio=169"), floats=False, own_theorems=True, resizable=False,
            most_words=220, columns=(1, 1), weight=0.8,
        ),
    )
}  # fmt: skip

# Families by fontspec for every language; packages of the T1 encoding for English (ASCII) only.
_FAMILIES = (("", 4), ("Liberation Serif", 1), ("DejaVu Serif", 1), ("Noto Serif", 1))
_PACKAGES = (
    ("", 4), ("package:tgtermes", 2), ("package:tgpagella", 2), ("package:tgschola", 1),
    ("package:tgbonum", 1), ("package:tgheros", 0.6), ("Liberation Serif", 1), ("Noto Serif", 0.6),
)  # fmt: skip
_WIDE = ("DejaVu Serif", "package:tgbonum", "package:tgschola", "Noto Serif")
_EM_MM = {"10pt": 3.5, "11pt": 3.85, "12pt": 4.1}


@dataclass(frozen=True, kw_only=True)
class Dress:
    """The look of one paper.

    Attributes:
        kind: Its class.
        options: Of the class.
        columns: 1 or 2.
        font: fontspec family (if installed), "package:NAME", or "" for that of the class.
        paper_mm: Width and height, or None for that of the class.
        margin_mm: With `paper_mm`.
        header: "", "fancy" or "headings".
        line_numbers: Lines are numbered in the margin.
        spacing: Line spacing.
        are_references_literal: Numbers are written by us instead of \\ref and \\cite.
        theme: Of slides.
    """

    kind: PaperClass
    options: str
    columns: int
    font: str = ""
    paper_mm: tuple[int, int] | None = None
    margin_mm: int = 25
    header: str = ""
    line_numbers: bool = False
    spacing: float = 1.0
    are_references_literal: bool = True
    theme: str = ""

    @property
    def width_em(self) -> float:
        """Width of a column in em, about."""
        if self.kind.name == "beamer":
            return 26.0
        if self.paper_mm is not None:
            text = self.paper_mm[0] - 2 * self.margin_mm
        else:
            text = {"llncs": 122, "amsart": 127, "acmart": 140, "memoir": 115}.get(
                self.kind.name, 178 if self.columns == 2 else 125
            )
            if self.kind.name in ("article", "scrartcl") and self.columns == 2:
                text = 160
        size = next((v for k, v in _EM_MM.items() if k in self.options), 3.5)
        width = text / self.columns - (4 if self.columns == 2 else 0)
        return width / size / (1.12 if self.font in _WIDE else 1.0)

    def shape(self, words: int, maths: float) -> Shape:
        """What a plan for this look may hold."""
        return Shape(
            has_chapters=self.kind.top == 0,
            depth=1 if self.kind.name == "beamer" else 3,
            width_em=self.width_em,
            has_algorithms=self.kind.floats,
            has_notes=self.kind.name != "beamer",
            words=min(words, self.kind.most_words),
            maths=maths if self.kind.has_maths else 0.0,
        )


def is_installed(name: str) -> bool:
    """Whether the class file of a class is found."""
    return tex_files(f"{name}.cls")[0] is not None


def class_needs(names: Sequence[str] = tuple(CLASSES)) -> tuple[Need, ...]:
    """The class files of papers, found or not."""
    has_kpsewhich = shutil.which("kpsewhich") is not None
    return tuple(
        Need(
            name=f"{name}.cls",
            is_there=has_kpsewhich and is_installed(name),
            install=f"apt install {CLASSES[name].package}",
            purpose="papers of this class; others take its place",
            is_required=False,
        )
        for name in names
    )


def chosen_class(name: str, substitutes: Sequence[str]) -> PaperClass:
    """A class, or the first installed substitute.

    Raises:
        ConfigError: There is no such class.
        BackendError: Neither it nor a substitute is installed.
    """
    for candidate in (name, *substitutes):
        if candidate not in CLASSES:
            raise ConfigError(f"class {candidate!r} is not known here{nearest(candidate, CLASSES)}")
        if is_installed(candidate):
            return CLASSES[candidate]
    raise BackendError(
        f"{name}.cls and its substitutes {', '.join(substitutes)} were not found; on Debian and "
        f"Ubuntu: apt install {CLASSES[name].package}"
    )


def draw_dress(
    rng: random.Random,
    classes: Sequence[str],
    substitutes: Sequence[str],
    lang: str,
    line_numbers: float = 0.0,
) -> Dress:
    """A random look.

    Args:
        rng: Where it comes from.
        classes: To draw from.
        substitutes: For classes that are not installed.
        line_numbers: Share of papers in one column whose lines are numbered.
        lang: Of the text; classes that are English only give way to "article" for others.
    """
    weights = [CLASSES[name].weight for name in classes]
    kind = chosen_class(rng.choices(list(classes), weights)[0], substitutes)
    if lang != "en" and not kind.languages:
        kind = chosen_class("article", substitutes)
    place = rng.randrange(len(kind.options))
    columns = kind.columns[place]
    paper = None
    margin = rng.randint(15, 35)
    if kind.resizable and rng.random() < 0.45:
        width, height = rng.choice(((210, 297), (216, 279), (148, 210), (176, 250), (190, 235)))
        if columns == 2:
            width, height = max(width, 190), max(height, 235)
            margin = min(margin, 22)
        paper = (width, height)
        if width < 170:
            margin = min(margin, 18)
    fonts = _PACKAGES if lang == "en" else _FAMILIES
    font = ""
    if kind.name == "IEEEtran" and rng.random() < 0.7:
        font = "package:tgtermes"
    if kind.resizable or kind.name in ("elsarticle", "beamer"):
        font = rng.choices([f for f, _ in fonts], [w for _, w in fonts])[0]
    header = rng.choice(("", "", "fancy", "headings")) if kind.front in ("article", "book") else ""
    return Dress(
        kind=kind,
        options=kind.options[place],
        columns=columns,
        font=font,
        paper_mm=paper,
        margin_mm=margin,
        header=header,
        line_numbers=columns == 1 and kind.resizable and rng.random() < line_numbers,
        spacing=rng.choice((1.0, 1.0, 1.0, 1.1, 1.25)) if kind.resizable else 1.0,
        are_references_literal=kind.top == 1 and rng.random() < 0.7,
        theme=rng.choice(("default", "Madrid", "Boadilla", "Singapore", "Pittsburgh"))
        if kind.name == "beamer"
        else "",
    )
