"""Other looks, languages, classes and archives, through the real engine."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.tex import compile_document
from nanovl.synth.tex.augment import Augmentation, AugmentConfig, draw
from nanovl.synth.tex.batch import BatchConfig, compile_batch
from nanovl.synth.tex.doctor import needs
from nanovl.synth.tex.restyle import Style, style_options
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

WORDS = (
    "The water of the lake rises slowly after every storm and falls again within a few days. "
    "Nobody has measured how long this takes where the shore is flat and the wind is weak. "
)
PAPER = (
    "\\documentclass{article}\n\\title{On Lakes}\\author{A. Writer}\\date{}\n"
    "\\begin{document}\\maketitle\n\\section{Beginning}\n" + WORDS * 3 + "\n\n"
    "\\begin{equation} E = m c^2 \\end{equation}\n" + WORDS * 2 + "\\footnote{A note below.}\n\n"
    "\\begin{table}[h]\\centering\\caption{Two rows.}\\begin{tabular}{lr} a & 1 \\\\ b & 2 \\\\"
    "\\end{tabular}\\end{table}\n\\section{End}\n" + WORDS * 3 + "\n\\end{document}\n"
)


def _write(folder: Path, text: str, name: str = "paper.tex") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _pages(out: Path, result: Any) -> list[dict[str, Any]]:
    return [json.loads((out / p.files["json"]).read_text()) for p in result.pages if p.ok]


def _text(pages: list[dict[str, Any]]) -> str:
    return " ".join(b["text"] for p in pages for b in p["blocks"])


def _heights(page: dict[str, Any]) -> list[float]:
    return [w["bbox"][3] - w["bbox"][1] for b in page["blocks"] for w in b["words"]]


def _compile(tmp_path: Path, text: str = PAPER, **settings: Any) -> list[dict[str, Any]]:
    result = compile_document(_write(tmp_path, text), tmp_path / "out", thorough=True, **settings)
    assert result.status == "ok", result
    assert result.good_pages == len(result.pages), [p.reasons for p in result.pages]
    for page in result.pages:
        assert page.check["found"] == page.check["glyphs"]
    return _pages(tmp_path / "out", result)


# -- looks --------------------------------------------------------------------------------------


def _left_edges(page: dict[str, Any]) -> list[int]:
    lines = [ln for b in page["blocks"] if b["class"] == "Text" for ln in b["lines"]]
    return sorted({round(ln["bbox"][0] / 20) for ln in lines if ln["bbox"][2] - ln["bbox"][0] > 99})


@pytest.mark.parametrize(
    "words",
    [
        ["font=Latin Modern Sans"],
        ["columns=2"],
        ["size_pt=14"],
        ["width_mm=140", "height_mm=180"],
        ["left_mm=60", "right_mm=20", "top_mm=20", "bottom_mm=30"],
        ["line_spacing=1.6"],
        ["word_spacing=1.7"],
        ["letter_spacing=0.1"],
        ["alignment=left"],
        ["alignment=right"],
        ["alignment=center"],
        ["text_color=203080", "page_color=f4e8d0"],
        ["page_numbers=false"],
        ["captions=false"],
    ],
    ids=lambda words: "+".join(w.split("=")[0] for w in words),
)
def test_every_look_changes_the_page_and_keeps_the_words(tmp_path: Path, words: list[str]) -> None:
    before = _compile(tmp_path / "a")
    after = _compile(tmp_path / "b", options=style_options(words))
    key = words[0].split("=")[0]
    plain, styled = _text(before), _text(after)
    if key == "page_numbers":
        assert any(b["class"] == "Page-footer" for b in before[0]["blocks"])
        assert not any(b["class"] == "Page-footer" for p in after for b in p["blocks"])
        return
    if key == "captions":
        assert "Two rows" in plain
        assert "Two rows" not in styled
        return
    assert sorted(plain.split()) == sorted(styled.split()) or len(after) != len(before)
    first, second = before[0], after[0]
    if key == "text_color":
        from PIL import Image

        name = "paper-p0001.png"
        with Image.open(tmp_path / "b" / "out" / name) as image:
            colors = {c for _, c in image.convert("RGB").getcolors(1 << 24) or []}
            assert image.getpixel((2, 2)) == (0xF4, 0xE8, 0xD0)
        assert (0x20, 0x30, 0x80) in colors
        assert (0, 0, 0) not in colors
        return
    assert [b["bbox"] for b in first["blocks"]] != [b["bbox"] for b in second["blocks"]]
    if key == "size_pt":
        small, large = sorted(_heights(first)), sorted(_heights(second))
        assert large[len(large) // 2] > 1.3 * small[len(small) // 2]
    if key == "columns":
        assert len(_left_edges(second)) > len(_left_edges(first))
    if key == "width_mm":
        assert second["width_pt"] == pytest.approx(140 / 25.4 * 72, abs=0.1)
    if key == "left_mm":
        edge = min(b["bbox"][0] for b in second["blocks"] if b["class"] == "Text")
        assert edge == pytest.approx(60 / 25.4 * 144, abs=12)


def test_a_random_look_is_a_function_of_seed_and_name(tmp_path: Path) -> None:
    config = AugmentConfig()
    for seed in range(3):
        augmentation = draw(config, "paper", seed=seed)
        folder = tmp_path / str(seed)
        result = compile_document(
            _write(folder, PAPER), folder / "out", augmentation=augmentation, dpi=100
        )
        assert result.good_pages, (augmentation, result)
        assert result.changes == augmentation.changes or result.fallback


def test_a_look_that_breaks_a_source_is_dropped_and_counted(tmp_path: Path) -> None:
    broken = Augmentation(changes=("font",), style=Style(font="No Such Family At All"))
    result = compile_document(_write(tmp_path, PAPER), tmp_path / "out", augmentation=broken)
    assert result.good_pages == len(result.pages)
    assert result.changes == ()
    assert result.fallback == "tex_error"
    report = json.loads((tmp_path / "out" / "paper-report.json").read_text())
    assert report["fallback"] == "tex_error"


# -- language -----------------------------------------------------------------------------------


def test_a_translated_paper_is_typeset_again(tmp_path: Path) -> None:
    result = compile_document(
        _write(tmp_path, PAPER), tmp_path / "out", translator=PseudoTranslator()
    )
    found, translated = result.translated
    assert found == translated >= 3
    pages = _pages(tmp_path / "out", result)
    text = _text(pages)
    assert "l\u00e4k\u00e9" in text  # "lake" with its vowels marked
    assert "lake" not in text
    formula = next(b for p in pages for b in p["blocks"] if b["class"] == "Formula")
    assert formula["latex"] == "E=mc^2"


# -- order --------------------------------------------------------------------------------------


def test_floats_can_come_last(tmp_path: Path) -> None:
    shipout = _compile(tmp_path / "a")[0]["blocks"]
    last = _compile(tmp_path / "b", order="floats-last")[0]["blocks"]
    classes = [b["class"] for b in shipout]
    heads = [k for k, name in enumerate(classes) if name == "Section-header"]
    assert heads[0] < classes.index("Caption") < classes.index("Table") < heads[1]
    assert classes[-2:] == ["Footnote", "Page-footer"]
    classes = [b["class"] for b in last]
    assert classes[-4:] == ["Caption", "Table", "Footnote", "Page-footer"]
    body = [b["text"] for b in shipout if b["text"] in {c["text"] for c in last[:-4]}]
    assert body == [b["text"] for b in last[:-4]]
    assert sorted(b["text"] for b in shipout) == sorted(b["text"] for b in last)


# -- bibliographies -----------------------------------------------------------------------------

BIB = (
    "@article{reed, author={Reed, Ann}, title={Reeds and Winds}, journal={Lakes}, year={1999}}\n"
    "@book{stone, author={Stone, Bob}, title={Shores}, publisher={Press}, year={2004}}\n"
)


def _bibliography(tmp_path: Path, preamble: str, end: str) -> tuple[Any, list[dict[str, Any]]]:
    text = (
        f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\n{WORDS}\\cite{{reed}} and "
        f"\\cite{{stone}}.\n{end}\n\\end{{document}}\n"
    )
    _write(tmp_path / "src", text)
    _write(tmp_path / "src", BIB, "refs.bib")
    result = compile_document(tmp_path / "src", tmp_path / "out")
    assert result.status == "ok", result
    return result, _pages(tmp_path / "out", result)


def _entries(pages: list[dict[str, Any]]) -> list[str]:
    return [b["text"] for p in pages for b in p["blocks"] if b["class"] == "Bibliography"]


def test_bibtex_takes_two_runs(tmp_path: Path) -> None:
    end = "\\bibliographystyle{plain}\\bibliography{refs}"
    result, pages = _bibliography(tmp_path, "", end)
    assert result.passes == 2
    assert "[1] and [2]." in _text(pages)
    assert [e.split()[0] for e in _entries(pages)] == ["[1]", "[2]"]
    assert "Reeds and winds" in _entries(pages)[0]


def test_a_guess_that_misses_costs_a_run_and_is_mended(tmp_path: Path) -> None:
    # The citation hides in a macro: the text alone does not show it.
    hidden = "\\newcommand\\both[1]{\\cite{#1}}\\newcommand\\key{stone}"
    text = (
        f"\\documentclass{{article}}{hidden}\\begin{{document}}{WORDS}\\cite{{reed}}\n"
        "\\both{stone}"
        "\\bibliographystyle{plain}\\bibliography{refs}\\end{document}"
    )
    _write(tmp_path / "src", text)
    _write(tmp_path / "src", BIB, "refs.bib")
    result = compile_document(tmp_path / "src", tmp_path / "out")
    assert result.passes == 4  # two quick ones more, until citations agree
    assert len(_entries(_pages(tmp_path / "out", result))) == 2


@pytest.mark.parametrize("backend", ["bibtex", "biber"])
def test_biblatex(tmp_path: Path, backend: str) -> None:
    if backend == "biber" and shutil.which("biber") is None:
        pytest.skip("needs Biber: apt install biber")
    has_biblatex = any(n.name == "biblatex.sty" and n.is_there for n in needs())
    if not has_biblatex:
        pytest.skip("needs biblatex: apt install texlive-bibtex-extra")
    preamble = f"\\usepackage[backend={backend}]{{biblatex}}\\addbibresource{{refs.bib}}"
    _, pages = _bibliography(tmp_path, preamble, "\\printbibliography")
    entries = _entries(pages)
    assert [e.split()[0] for e in entries] == ["[1]", "[2]"], _text(pages)
    assert "Reeds and Winds" in entries[0]
    assert "[1] and [2]." in _text(pages)


# -- boxes --------------------------------------------------------------------------------------


def test_words_of_opentype_fonts_have_the_box_of_their_ink(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    words = "fjord WAVE Tyf ylj AVAtar (brackets) jelly"
    body = "\\setlength\\parindent{0pt}\\thispagestyle{empty}" + "\\quad ".join(words.split())
    text = (
        "\\documentclass{article}\\usepackage{fontspec}\\setmainfont{Latin Modern Roman}"
        f"\\begin{{document}}\\itshape {body}\\par {WORDS}\\end{{document}}"
    )
    (page,) = _compile(tmp_path, text, dpi=288)
    with Image.open(tmp_path / "out" / "paper-p0001.png") as image:
        dark = np.asarray(image.convert("L")) < 128
    checked = 0
    for word in page["blocks"][0]["words"]:
        x0, y0, x1, y1 = word["bbox"]
        if word["text"] not in words.split():
            continue
        # The blanks around are a quad wide: ink within a few pixels of the box is the word's own.
        left, top = int(x0) - 6, int(y0) - 6
        ink = np.argwhere(dark[top : int(y1) + 7, left : int(x1) + 7])
        low, high = ink.min(0), ink.max(0) + 1
        edges = (left + low[1], top + low[0], left + high[1], top + high[0])
        assert edges == pytest.approx((x0, y0, x1, y1), abs=2.0), word
        checked += 1
    assert checked == 7


# -- classes ------------------------------------------------------------------------------------


def test_slides(tmp_path: Path) -> None:
    text = (
        "\\documentclass{beamer}\\usetheme{Madrid}\\title{Lakes}\\author{A. Writer}\n"
        "\\begin{document}\\frame{\\titlepage}\n"
        "\\begin{frame}{Why lakes}\\begin{itemize}\\item They are wet and wide."
        "\\item<2-> They have shores.\\end{itemize}\\end{frame}\n"
        "\\begin{frame}{A formula}\\begin{equation*} a^2 + b^2 = c^2 \\end{equation*}"
        "\\begin{block}{Known}Everybody knows this one by heart.\\end{block}\\end{frame}\n"
        "\\end{document}\n"
    )
    result = compile_document(_write(tmp_path, text), tmp_path / "out", thorough=True)
    assert result.status == "ok", result
    # The overlay makes a page of its own; of one frame the last page is kept.
    assert [p.reasons[:1] for p in result.pages] == [(), ("overlay",), (), ()]
    pages = _pages(tmp_path / "out", result)
    heads = [b["text"] for p in pages for b in p["blocks"] if b["class"] == "Section-header"]
    assert heads == ["Why lakes", "A formula"]
    items = [b["text"] for b in pages[1]["blocks"] if b["class"] == "List-item"]
    assert len(items) == 2
    assert items[1].endswith("They have shores.")
    assert not any(b["class"] == "Picture" for p in pages[1:2] for b in p["blocks"])
    assert any(b["class"] == "Title" and b["text"] == "Lakes" for b in pages[0]["blocks"])


# -- archives -----------------------------------------------------------------------------------


def _member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_a_bulk_archive_is_opened_member_by_member(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        _member(archive, "ms.tex", PAPER.replace("On Lakes", "On Rivers").encode())
        _member(archive, "notes/readme.txt", b"x")
    bulk = tmp_path / "arXiv_src_2001_001.tar"
    with tarfile.open(bulk, "w") as archive:
        member = tarfile.TarInfo("2001")
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
        _member(archive, "2001/2001.00001.gz", gzip.compress(PAPER.encode()))
        _member(archive, "2001/2001.00002.gz", gzip.compress(inner.getvalue()))
        _member(archive, "2001/2001.00003.pdf", b"%PDF-1.4 only a print")
        _member(archive, "2001/2001.00004.gz", b"\x1f\x8bnot gzip at all")
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        config = BatchConfig(out=str(out), image="jpg", dpi=72, exports=("markdown",))
        results = list(compile_batch([bulk], config, workers=workers))
        assert [(r.source, r.status) for r in results] == [
            ("2001.00001", "ok"), ("2001.00002", "ok"), ("2001.00003.pdf", "no_tex"),
            ("2001.00004", "damaged_archive"),
        ]  # fmt: skip
        assert "# On Rivers" in (out / "2001.00002-p0001.md").read_text()
    first, second = (tmp_path / f"out{k}" / "2001.00001-p0001.json" for k in (1, 2))
    assert first.read_bytes() == second.read_bytes()


def test_sources_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    paths = [_write(tmp_path / k, PAPER.replace("On Lakes", f"On {k}")) for k in ("x", "y")]
    out = tmp_path / "out"
    results = list(compile_batch(paths, BatchConfig(out=str(out), dpi=72)))
    assert [r.source for r in results] == ["paper", "paper-2"]
    assert (out / "paper-2-p0001.json").exists()


# -- exports ------------------------------------------------------------------------------------


def test_every_export_of_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from nanovl.cli.main import app

    forms = ["flat-xywh", "flat-xyxy", "parse", "markdown", "coco", "docling"]
    words = ["synth", "tex", str(_write(tmp_path, PAPER)), "--out", str(tmp_path / "out")]
    config = tmp_path / "looks.yaml"
    config.write_text("page: 0\nchanged: 0.5\nfont: 0.5\n")
    words += [w for form in forms for w in ("--export", form)]
    words += ["--augment", str(config), "--seed", "3", "--translate", "pseudo", "--image", "jpg"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    page = json.loads((out / "paper-p0001.json").read_text())
    boxes = {form: json.loads((out / f"paper-p0001.{form}.json").read_text())
             for form in ("flat-xywh", "flat-xyxy", "coco", "docling")}  # fmt: skip
    for block, wh, xy in zip(
        page["blocks"], boxes["flat-xywh"]["ann"], boxes["flat-xyxy"]["ann"], strict=True
    ):
        x, y, w, h = wh["bbox"]
        assert xy["bbox"] == [x, y, x + w, y + h]
        assert x <= block["bbox"][0] <= block["bbox"][2] <= x + w
        assert wh["category_id"] == xy["category_id"] == block["class"]
    assert len(boxes["coco"]) == len(page["blocks"])
    docling = boxes["docling"]
    assert len(docling["texts"]) + len(docling["tables"]) == len(page["blocks"])
    parse = (out / "paper-p0001.parse.txt").read_text()
    assert parse.count("<class_") == len(page["blocks"])
    assert "| a | 1 |" in (out / "paper-p0001.md").read_text()
