"""From LaTeX sources to verified pages, through the real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.tex import Limits, compile_document
from nanovl.synth.tex.fixpoint import check_formulas
from nanovl.synth.tex.restyle import style_options
from nanovl.synth.tex.retypeset import translate_text
from nanovl.synth.tex.translate import PseudoTranslator

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

ARTICLE = Path(__file__).parent.parent / "golden" / "tex" / "article.tex"


@pytest.fixture(scope="module")
def article_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("article")


@pytest.fixture
def article(article_folder: Path) -> list[dict[str, Any]]:
    """Pages of the golden article, compiled once."""
    if not (article_folder / "article-report.json").exists():
        result = compile_document(ARTICLE, article_folder, thorough=True)
        assert result.status == "ok", result
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(article_folder.glob("article-p????.json"))
    ]


def test_every_glyph_of_the_article_is_exact(article: list[dict[str, Any]]) -> None:
    assert len(article) == 2
    for page in article:
        check = page["verify"]
        assert check["glyphs"] > 1000
        assert check["found"] == check["same"] == check["glyphs"]
        assert check["covered"] == check["chars"]
        assert check["unknown"] == check["unclassified"] == 0
        assert check["maths"] == check["maths_exact"]


def test_classes_order_and_text_of_the_article(
    article: list[dict[str, Any]], golden: Callable[[str, Any], None]
) -> None:
    blocks = [
        [page["page"], b["order"], b["class"], b.get("level"), b.get("number"), b["markdown"]]
        for page in article
        for b in page["blocks"]
    ]
    golden("tex/article.json", blocks)


def test_boxes_lie_in_the_page_and_hold_their_words(article: list[dict[str, Any]]) -> None:
    for page in article:
        for block in page["blocks"]:
            x0, y0, x1, y1 = block["bbox"]
            assert 0 <= x0 < x1 <= page["width"]
            assert 0 <= y0 < y1 <= page["height"]
            for word in block["words"]:
                if block["class"] == "Picture":
                    continue
                a0, b0, a1, b1 = word["bbox"]
                assert x0 - 1 <= a0 <= a1 <= x1 + 1
                assert y0 - 1 <= b0 <= b1 <= y1 + 1


def test_the_table_of_the_article(article: list[dict[str, Any]]) -> None:
    (table,) = [b for p in article for b in p["blocks"] if b["class"] == "Table"]
    assert (table["grid"]["rows"], table["grid"]["columns"]) == (5, 4)
    spans = {c["text"]: (c["rowspan"], c["colspan"]) for c in table["grid"]["cells"]}
    assert spans["Station"] == (1, 2)
    assert spans["Long"] == (2, 1)
    assert '<td rowspan="2">Long</td>' in table["html"]
    assert "<ched>Station<lcel><ched>Amplitude<lcel><nl>" in table["otsl"]
    assert "<ucel><fcel>south" in table["otsl"]


def test_compiling_twice_gives_the_same_bytes(
    article: list[dict[str, Any]], article_folder: Path, tmp_path: Path
) -> None:
    compile_document(ARTICLE, tmp_path, thorough=True)
    for path in sorted(article_folder.glob("article-p????.*")):
        if path.suffix != ".pdf":
            assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


HEAD = "\\documentclass{article}\n"
BODY = "\\begin{document}\nSome words that fill a line or so of the page.\n%s\n\\end{document}\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (HEAD + BODY % "\\immediate\\write18{touch pwned}", "shell_escape"),
        (HEAD + BODY % "\\input{/etc/passwd}", "forbidden_path"),
        (HEAD + BODY % "\\directlua{print(io.open('/etc/passwd'):read('a'))}", "lua_code"),
        (HEAD + BODY % "\\csname directlua\\endcsname{tex.error('x')}", "lua_code"),
        (HEAD + "\\usepackage{nosuchpackage}" + BODY % "", "missing_package"),
        (HEAD + BODY % "\\input{nosuchfile}", "missing_file"),
        (HEAD + BODY % "\\undefinedcommand", "tex_error"),
        (HEAD + BODY % "$x", "tex_error"),
        ("\\documentclass{article}\\begin{document}\\end{document}", "no_pages"),
        (HEAD + "\\pagewidth=16000pt\\pageheight=16000pt" + BODY % "", "huge_page"),
    ],
)
def test_what_is_wrong_with_a_source_has_a_name(tmp_path: Path, text: str, status: str) -> None:
    path = tmp_path / "bad.tex"
    path.write_text(text)
    out = tmp_path / "out"
    result = compile_document(path, out)
    assert result.status == status, result
    assert result.good_pages == 0
    assert json.loads((out / "bad-report.json").read_text())["status"] == status
    assert not (tmp_path / "pwned").exists()


def test_an_endless_loop_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "loop.tex"
    path.write_text(HEAD + BODY % "\\def\\x{\\x}\\x")
    result = compile_document(path, tmp_path, limits=Limits(cpu_s=5, wall_s=20))
    assert result.status == "timeout"


def test_lenient_keeps_pages_that_pass(tmp_path: Path) -> None:
    path = tmp_path / "half.tex"
    path.write_text(HEAD + BODY % "\\undefinedcommand and more words after it.")
    assert compile_document(path, tmp_path).status == "tex_error"
    result = compile_document(path, tmp_path, profile="lenient")
    assert result.good_pages == 1
    assert "Undefined control sequence" in result.errors[0]


def test_another_dress_moves_boxes_and_keeps_words(
    article: list[dict[str, Any]], tmp_path: Path
) -> None:
    options = style_options(["columns=1", "width_mm=150", "height_mm=200", "margin_mm=15"])
    result = compile_document(ARTICLE, tmp_path, options=options)
    assert result.good_pages == len(result.pages) > 2
    page = json.loads((tmp_path / result.pages[0].files["json"]).read_text())
    assert page["width_pt"] == pytest.approx(150 / 25.4 * 72, abs=0.1)
    texts = " ".join(
        b["text"]
        for p in result.pages
        for b in json.loads((tmp_path / p.files["json"]).read_text())["blocks"]
    )
    assert "twenty-four stations" in texts


def test_a_translated_article_compiles(tmp_path: Path) -> None:
    done = translate_text(ARTICLE.read_text(), PseudoTranslator())
    assert done.translated == done.paragraphs > 10
    path = tmp_path / "translated.tex"
    path.write_text(done.text)
    result = compile_document(path, tmp_path)
    assert result.good_pages == len(result.pages) >= 2, result
    page = json.loads((tmp_path / result.pages[0].files["json"]).read_text())
    text = " ".join(b["text"] for b in page["blocks"])
    assert "Everybody" not in text
    assert "h(t)" in text


def test_formulas_are_a_fix_point(article: list[dict[str, Any]]) -> None:
    formulas = [b["latex"] for p in article for b in p["blocks"] if b["class"] == "Formula"]
    found = check_formulas(formulas)
    assert found["same_text"] == found["total"] == 2, found


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from nanovl.cli.main import app

    words = ["synth", "tex", str(ARTICLE), "--out", str(tmp_path), "--export", "markdown"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 of 2 pages written" in result.output
    assert (tmp_path / "article-p0001.md").read_text().startswith("# Tides in Shallow Lakes")
