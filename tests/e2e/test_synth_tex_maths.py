"""Formulas and tables of our own, typeset by the real engine and read back: the same LaTeX."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.tex import compile_document
from nanovl.synth.tex.fixpoint import check_formulas

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tex,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("shared_tex_cache"),
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra texlive-science",
    ),
]

FORMULAS = (Path(__file__).parent.parent / "golden" / "tex" / "formulas.txt").read_text()
ARTICLE = "\\documentclass{article}\\usepackage{amsmath}"
SYMBOLS = ARTICLE + "\\usepackage{amssymb}"
# What comes before the document, and formulas that cannot come back: the font prints the same
# glyph for two commands, has no bold, or the package stops with an error of its own.
FONTS = {
    "cm": (SYMBOLS, ()),
    "bm": (SYMBOLS + "\\usepackage{bm}", ()),
    "lmodern": (SYMBOLS + "\\usepackage[T1]{fontenc}\\usepackage{lmodern}", ()),
    "mathptmx": (SYMBOLS + "\\usepackage{mathptmx}", ("\\coprod", "\\boldsymbol")),
    "mathpazo": (SYMBOLS + "\\usepackage{mathpazo}", ()),
    "newtx": (ARTICLE + "\\usepackage{newtxtext,newtxmath}", ()),
    "fouriernc": (SYMBOLS + "\\usepackage{fouriernc}", ()),
    "kurier": (SYMBOLS + "\\usepackage[math]{kurier}", ()),
    "iwona": (SYMBOLS + "\\usepackage[math]{iwona}", ()),
    "cmbright": (SYMBOLS + "\\usepackage{cmbright}", ()),
    "euler": (SYMBOLS + "\\usepackage{euler}", ("\\varrho", "\\varsigma", "\\varGamma")),
    "stix2": (ARTICLE + "\\usepackage{stix2}", ("\\mathit",)),
    "unicode-math": (
        ARTICLE + "\\usepackage{unicode-math}",
        ("\\boldsymbol", "\\triangle", "\\varnothing"),
    ),
    "beamer": ("\\documentclass{beamer}\\usepackage{amsmath,amssymb}", ()),
    "acmart": ("\\documentclass[sigconf,nonacm]{acmart}", ()),
}


def _same(latex: str) -> str:
    """What two ways of writing one formula share: no blanks, no needless braces, one name."""
    latex = latex.replace("\\ast", "*").replace("\\|", "\\Vert").replace("\\rightarrow", "\\to")
    latex = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", latex)
    latex = re.sub(r"([_^])\{(\\?\w+|\*)\}", r"\1\2", latex)
    return re.sub(r"\s+", "", latex)


def _cases() -> list[Any]:
    """The class that reads many OpenType fonts fills the cache for minutes."""
    marks = {"acmart": pytest.mark.slow}
    return [pytest.param(n, marks=marks[n]) if n in marks else n for n in sorted(FONTS)]


@pytest.mark.parametrize("name", _cases())
def test_formulas_come_back_whatever_the_font(name: str) -> None:
    head, others = FONTS[name]
    formulas = [f for f in FORMULAS.splitlines() if not any(o in f for o in others)]
    assert len(formulas) >= 68
    found = check_formulas(formulas, head + "\n")
    pairs = zip(formulas, found["written"], strict=True)
    assert [(a, b) for a, b in pairs if _same(a) != _same(b)] == []


ALIGNMENTS = r"""
\begin{align}
a &= b \\
  &= c \tag{x} \\
\intertext{and so with $k$ we get}
d+e &= f & g &= h \\
 & & k &= l
\end{align}
Words.
\begin{equation}\begin{split} a &= b \\ &= c\end{split}\end{equation}
Words.
\begin{gather} a = b \\ c = d \notag \\ e=f\end{gather}
Words.
\begin{multline} a + b \\ + c + d \\ + e\end{multline}
Words.
\begin{eqnarray} a &=& b \\ &=& c \nonumber\\ & & +d\end{eqnarray}
Words.
\begin{alignat*}{2} a &= b &\quad& \text{here} \\ &= c && \text{there}\end{alignat*}
Words.
\[ \begin{aligned} a &= b \\ &= c \end{aligned} \begin{pmatrix} & 1 \\ 2 & \end{pmatrix} \]
Words.
\[ f(x) = \begin{cases} & x \\ y & \text{if } z\end{cases} \]
Words.
\begin{flalign} & a = b \\ & c\end{flalign}
Words.
\begin{align*} x &= \left\{\begin{aligned} & u \\ & v \end{aligned}\right.
\\ &\quad + y \end{align*}
Words.
\[ \begin{smallmatrix} & 1 \\ 2 & 3 \end{smallmatrix} \]
"""
EXPECTED = [
    (
        r"\begin{aligned} a & =b \\  & =c \\ \text{and so with }k\text{ we get} \\ "
        r"d+e & =f & g & =h \\  &  & k & =l \end{aligned}",
        "(1) (x) (2) (3)",
    ),
    (r"\begin{aligned} a & =b \\  & =c \end{aligned}", "(4)"),
    (r"\begin{gathered} a=b \\ c=d \\ e=f \end{gathered}", "(5) (6)"),
    (r"\begin{gathered} a+b \\ +c+d \\ +e \end{gathered}", "(7)"),
    (r"\begin{aligned} a & =b \\  & =c \\  & +d \end{aligned}", "(8) (9)"),
    (r"\begin{aligned} a & =b &  & \text{here} \\  & =c &  & \text{there} \end{aligned}", ""),
    (r"\begin{aligned} a & =b \\  & =c \end{aligned}\begin{pmatrix}  & 1 \\ 2 \end{pmatrix}", ""),
    (r"f(x)=\begin{cases}  & x \\ y & \text{if }z \end{cases}", ""),
    (r"\begin{aligned}  & a=b \\  & c \end{aligned}", "(10) (11)"),
    (r"\begin{aligned} x & =\left\{\begin{aligned}  & u \\  & v \end{aligned}\right. \\  & \quad+y"
     r" \end{aligned}", ""),
    (r"\begin{smallmatrix}  & 1 \\ 2 & 3 \end{smallmatrix}", ""),
]  # fmt: skip


def _blocks(tmp_path: Path, packages: str, body: str) -> list[dict[str, Any]]:
    path = tmp_path / "made.tex"
    path.write_text(
        f"\\documentclass{{article}}\\usepackage{{{packages}}}\n\\begin{{document}}\n"
        f"Some words before.\n{body}\nSome words after.\n\\end{{document}}\n"
    )
    result = compile_document(path, tmp_path / "out")
    assert result.good_pages == len(result.pages) >= 1, result
    pages = sorted((tmp_path / "out").glob("made-p????.json"))
    return [b for p in pages for b in json.loads(p.read_text())["blocks"]]


def test_alignments_keep_their_columns(tmp_path: Path) -> None:
    blocks = _blocks(tmp_path, "amsmath", ALIGNMENTS)
    found = [(b["latex"], b.get("number") or "") for b in blocks if b["class"] == "Formula"]
    assert found == EXPECTED
    formulas = [latex for latex, _ in found]
    again = check_formulas(formulas)
    assert again["compiled"] == again["same_text"] == len(formulas), again["changed"]


TABLES = r"""
\begin{tabular}{|l|c|r|} \hline A & B & C \\ \hline
\multirow{2}{*}{x} & 1 & $a_1$ \\ \cline{2-3} & 2 & $\frac{a}{b}$ \\ \hline
\multicolumn{2}{|c|}{both} & 3\% \\ \hline \end{tabular}

Words between.

\begin{tabular}{lcc} \toprule & \multicolumn{2}{c}{Scores} \\ \cmidrule(lr){2-3}
Name & dev & test \\ \midrule Ours & 1.5 & $2\pm1$ \\ Base & & 4 \\ \bottomrule \end{tabular}

Words between.

\begin{tabular}{lSS} \toprule Name & {Mean} & {Big} \\ \midrule
a & 1.25 & 1.2e3 \\ b & 10.125 & -3 \\ c & & 5 \\ \bottomrule \end{tabular}

Words between.

\begin{tabular}{l*{2}{>{$}c<{$}}} \multirow{3}{*}{big} &
\multicolumn{2}{c}{\multirow{2}{*}{block}} \\ & & \\ & x^2 & y_1 \\ \end{tabular}

Words between.

\begin{longtable}{lr} \toprule Item & Value \\ \midrule \endhead \bottomrule \endfoot
one & 1 \\ two & 2 \\ three & 3 \\ \end{longtable}
"""
CELLS = [
    "<ched>A<ched>B<ched>C<nl><fcel>x<fcel>1<fcel>\\(a_1\\)<nl>"
    "<ucel><fcel>2<fcel>\\(\\frac{a}{b}\\)<nl><fcel>both<lcel><fcel>3%<nl>",
    "<ecel><ched>Scores<lcel><nl><ched>Name<ched>dev<ched>test<nl>"
    "<fcel>Ours<fcel>1.5<fcel>\\(2\\pm1\\)<nl><fcel>Base<ecel><fcel>4<nl>",
    "<ched>Name<ched>Mean<ched>Big<nl><fcel>a<fcel>1.25<fcel>\\(1.2\\times10^3\\)<nl>"
    "<fcel>b<fcel>10.125<fcel>\\(-3\\)<nl><fcel>c<ecel><fcel>5<nl>",
    "<fcel>big<fcel>block<lcel><nl><ucel><ucel><xcel><nl><ucel><fcel>\\(x^2\\)<fcel>\\(y_1\\)<nl>",
    "<ched>Item<ched>Value<nl><fcel>one<fcel>1<nl><fcel>two<fcel>2<nl><fcel>three<fcel>3<nl>",
]


def test_tables_of_many_packages(tmp_path: Path) -> None:
    packages = "amsmath,array,multirow,booktabs,longtable,siunitx"
    tables = [b for b in _blocks(tmp_path, packages, TABLES) if b["class"] == "Table"]
    assert [b["otsl"] for b in tables] == CELLS
    for block in tables:
        cells = [c["latex"] for c in block["grid"]["cells"] if c["latex"]]
        for text in ("latex", "html", "otsl"):
            written = re.sub(r"\\([%&])", r"\1", block[text])
            assert [c for c in cells if re.sub(r"\\([%&])", r"\1", c) not in written] == []
    partial = [b["grid"]["partial_rules"] for b in tables]
    assert partial == [[[2, 1, 2]], [[1, 1, 2]], [], [], []]
