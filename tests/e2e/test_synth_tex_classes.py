r"""What document classes and packages do with heads, titles, lists and numbers of lines.

Every source is the smallest that once came out wrong. Must not test text within blocks.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.tex import compile_document
from nanovl.synth.tex.glyphs import tex_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tex,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("shared_tex_cache"),
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra texlive-pictures",
    ),
]

WORDS = (
    "The water of the lake rises slowly after every storm and falls again within a few days. "
    "Nobody has measured how long this takes where the shore is flat and the wind is weak."
)
TITLE = "\\title{On Lakes}\\author{A. Writer}"

Found = list[tuple[str, str]]


def _pages(tmp_path: Path, head: str, body: str) -> list[dict[str, Any]]:
    """Compiled pages of a source; skips when its class or a package is not installed."""
    wanted = [f"{head.split('{')[1].split('}')[0]}.cls"]
    wanted += [f"{name}.sty" for part in head.split("\\usepackage")[1:]
               for name in part.split("{")[1].split("}")[0].split(",")]  # fmt: skip
    for name, path in zip(wanted, tex_files(*wanted), strict=True):
        if path is None:
            pytest.skip(f"needs {name}: apt install texlive-publishers texlive-science "
                        "texlive-latex-extra")  # fmt: skip
    source = tmp_path / "paper.tex"
    text = f"{head}\n\\begin{{document}}\n{body}\n\\end{{document}}\n".replace("WORDS", WORDS)
    source.write_text(text, encoding="utf-8")
    result = compile_document(source, tmp_path / "out", dpi=72)
    assert result.status == "ok", result
    pages = [json.loads((tmp_path / "out" / p.files["json"]).read_text())
             for p in result.pages if p.ok]  # fmt: skip
    for page in pages:
        assert page["verify"]["unclassified"] == 0
        assert all(b["text"] or b["class"] == "Picture" for b in page["blocks"])
    return pages


def _found(page: dict[str, Any]) -> Found:
    """Class and text of the blocks of a page, without its ordinary paragraphs."""
    return [(b["class"], b["text"]) for b in page["blocks"] if WORDS[:30] not in b["text"]]


def _has(found: Found, *wanted: tuple[str, str]) -> None:
    """The wanted blocks are there, in this order."""
    places = [found.index(w) if w in found else w for w in wanted]
    assert all(isinstance(p, int) for p in places), (places, found)
    assert places == sorted(places), found  # type: ignore[type-var]


def test_numbers_of_lines_are_no_text(tmp_path: Path) -> None:
    (page,) = _pages(
        tmp_path,
        "\\documentclass{article}\\usepackage{lineno,amsmath}",
        f"{TITLE}\\date{{}}\\maketitle\\linenumbers\\section{{A heading of words so many that it "
        "is broken into two lines of them}\nWORDS\n\n\\begin{equation} E = m c^2 \\end{equation}\n"
        "\\begin{itemize}\\item One thing.\\item Another.\\end{itemize}\n"
        "\\begin{verbatim}\na = 1\n  b = 2\n\\end{verbatim}\nWORDS",
    )
    assert page["tags"] == ["line_numbers"]
    assert _found(page) == [
        ("Title", "On Lakes"),
        ("Text", "A. Writer"),
        ("Section-header", "1 A heading of words so many that it is broken into two lines of them"),
        ("Formula", "E=mc2(1)"),
        ("List-item", "\u2022 One thing."),
        ("List-item", "\u2022 Another."),
        ("Code", "a = 1\n  b = 2"),
        ("Page-footer", "1"),
    ]
    left = min(b["bbox"][0] for b in page["blocks"])
    assert left > 130  # numbers stand at 125


ALGORITHMS = {
    "algpseudocode": (
        "\\usepackage{algorithm,algpseudocode}",
        "\\begin{algorithm}[h]\\caption{Euclid}\\begin{algorithmic}[1]\\Require two numbers\n"
        "\\While{$r>0$}\\State $a\\gets b$\\EndWhile\\end{algorithmic}\\end{algorithm}",
        "Algorithm 1 Euclid",
        "Require: two numbers\n 1: while r > 0 do\n 2:   a \u2190 b\n 3: end while",
    ),
    "algorithmic": (
        "\\usepackage{algorithm,algorithmic}",
        "\\begin{algorithm}[h]\\caption{Euclid}\\begin{algorithmic}[1]\\REQUIRE two numbers\n"
        "\\STATE $a\\gets b$\\end{algorithmic}\\end{algorithm}",
        "Algorithm 1 Euclid",
        "Require: two numbers\n 1: a \u2190 b",
    ),
    "algorithm2e": (
        "\\usepackage{algorithm2e}",
        "\\begin{algorithm}[H]\\caption{Euclid}\\KwData{two numbers}\n"
        "\\While{some rest}{\\eIf{much}{more\\;}{less\\;}}\\end{algorithm}",
        "Algorithm 1: Euclid",
        "Data: two numbers\nwhile some rest do\n  if much then\n    more;\n  else\n    less;\n"
        "  end\nend",
    ),
    "loose": (
        "\\usepackage{algpseudocode}",
        "\\begin{algorithmic}\\State first\\State second\\end{algorithmic}",
        "",
        "first\nsecond",
    ),
}


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_algorithms_are_code(tmp_path: Path, name: str) -> None:
    packages, body, caption, code = ALGORITHMS[name]
    head = f"\\documentclass{{article}}{packages}"
    (page,) = _pages(tmp_path, head, f"WORDS\n\n{body}\n\nWORDS")
    found = [(c, " ".join(t.split()) if c != "Code" else t) for c, t in _found(page)]
    codes = [t for c, t in found if c == "Code"]
    assert len(codes) == 1, found
    assert [ln.split() for ln in codes[0].split("\n")] == [ln.split() for ln in code.split("\n")]
    assert [t for c, t in found if c == "Caption"] == [caption] * bool(caption)
    assert {c for c, _ in found} <= {"Code", "Caption", "Page-footer"}


def test_running_heads_of_llncs(tmp_path: Path) -> None:
    pages = _pages(
        tmp_path,
        "\\documentclass[runningheads]{llncs}",
        f"{TITLE}\\institute{{Place}}\\maketitle\nWORDS\\newpage WORDS\\newpage WORDS",
    )
    _has(_found(pages[0]), ("Title", "On Lakes"), ("Text", "A. Writer"), ("Text", "Place"))
    assert _found(pages[1]) == [("Page-header", "2 A. Writer")]
    assert _found(pages[2]) == [("Page-header", "On Lakes 3")]


def test_the_title_of_elsarticle_ends_before_the_authors(tmp_path: Path) -> None:
    (page,) = _pages(
        tmp_path,
        "\\documentclass{elsarticle}\\journal{Lakes}",
        "\\begin{frontmatter}\\title{On Lakes}"
        "\\author{A. Writer}\\affiliation{organization={Place}}"
        "\\begin{abstract}WORDS\\end{abstract}\\begin{keyword}one \\sep two\\end{keyword}"
        "\\end{frontmatter}\\section{Beginning}WORDS",
    )
    found = _found(page)
    assert found[0] == ("Title", "On Lakes"), found
    assert [c for c, _ in found[1:3]] == ["Text", "Text"]
    _has(
        found, ("Section-header", "Abstract"), ("Text", "Keywords: one, two"),
        ("Section-header", "1. Beginning"),
    )  # fmt: skip
    assert found[-1][0] == "Page-footer"


def test_journals_of_ieee(tmp_path: Path) -> None:
    (page,) = _pages(
        tmp_path,
        "\\documentclass[journal]{IEEEtran}",
        f"{TITLE}\\markboth{{Lakes, Vol. 1}}{{Writer}}\\maketitle\\section{{One}}WORDS"
        "\\appendices\\section{Proof}WORDS\\section*{Thanks}WORDS",
    )
    _has(
        _found(page), ("Page-header", "LAKES, VOL. 1"), ("Page-header", "1"), ("Title", "On Lakes"),
        ("Section-header", "I. One"), ("Section-header", "Appendix A Proof"),
        ("Section-header", "Thanks"),
    )  # fmt: skip


@pytest.mark.parametrize("theme", ["default", "Madrid", "Warsaw"])
def test_slides_of_every_theme(tmp_path: Path, theme: str) -> None:
    pages = _pages(
        tmp_path,
        f"\\documentclass{{beamer}}\\usetheme{{{theme}}}{TITLE}\\subtitle{{And rivers}}"
        "\\institute{Institute of Quiet Waters}\\date{March 2024}",
        "\\frame{\\titlepage}\\begin{frame}{Why}WORDS\n\n\\begin{table}\\caption{Few}"
        "\\begin{tabular}{lr}a&1\\\\b&2\\end{tabular}\\end{table}"
        "\\begin{theorem}WORDS\\end{theorem}\\end{frame}",
    )
    first = {b["text"]: (b["class"], b.get("tags")) for b in pages[0]["blocks"]
             if b["class"] not in ("Page-header", "Page-footer")}  # fmt: skip
    assert first == {
        "On Lakes": ("Title", None),
        "And rivers": ("Text", None),
        "A. Writer": ("Text", ["author"]),
        "Institute of Quiet Waters": ("Text", ["author"]),
        "March 2024": ("Text", ["author"]),
    }
    body = [f for f in _found(pages[1]) if f[0] not in ("Page-header", "Page-footer")]
    assert body == [
        ("Section-header", "Why"), ("Caption", "Table: Few"), ("Table", "a\t1\nb\t2"),
        ("Text", "Theorem"),
    ]  # fmt: skip


def test_what_amsart_leaves_empty_is_not_there(tmp_path: Path) -> None:
    (page,) = _pages(
        tmp_path,
        "\\documentclass{amsart}",
        f"{TITLE}\\thanks{{Thanks to all.}}\\address{{Place}}\\date{{}}\\keywords{{}}"
        "\\maketitle\\section{One}WORDS",
    )
    found = _found(page)
    assert [t for c, t in found if c == "Footnote"] == ["Thanks to all."]
    _has(found, ("Title", "ON LAKES"), ("Text", "A. WRITER"), ("Section-header", "1. One"))


@pytest.mark.parametrize("name", ["memoir", "book", "scrreprt"])
def test_lists_of_contents_have_headings(tmp_path: Path, name: str) -> None:
    options = "oneside,openany" if name != "scrreprt" else "oneside"
    pages = _pages(
        tmp_path,
        f"\\documentclass[{options}]{{{name}}}",
        "\\tableofcontents\\listoffigures\\chapter{Shores}WORDS\\section{Reeds}WORDS"
        "\\begin{figure}[h]\\centering Reed\\caption{A reed}\\end{figure}"
        "\\begin{thebibliography}{1}\\item[{[1]}] Reed, A. Grass of wet shores."
        "\\end{thebibliography}",
    )
    found = [f for page in pages for f in _found(page)]
    heads = [t for c, t in found if c == "Section-header"]
    first = {"scrreprt": "1 Shores"}.get(name, "Chapter 1 Shores")
    assert heads == ["Contents", "List of Figures", first, "1.1 Reeds", "Bibliography"]
    lists = " ".join(t for c, t in found if c == "TOC")
    assert "1 Shores" in lists
    assert "1.1 A reed" in lists
    assert ("Bibliography", "[1] Reed, A. Grass of wet shores.") in found


def test_inputenx_is_not_loaded(tmp_path: Path) -> None:
    (page,) = _pages(
        tmp_path,
        "\\documentclass{article}\\usepackage[utf8]{inputenx}",
        "\u00c9t\u00e9 au bord du lac.\n\nWORDS",
    )
    assert _found(page)[0] == ("Text", "\u00c9t\u00e9 au bord du lac.")
