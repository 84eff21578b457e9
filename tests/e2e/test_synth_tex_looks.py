"""Every change of looks: what it does to a page, and that boxes and text stay exact."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanovl.synth.tex import compile_document
from nanovl.synth.tex.restyle import style_options
from nanovl.synth.tex.scripts import language_options, script_of

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
    r"""\documentclass{article}
\usepackage{tikz}
\title{On Lakes and Rivers}\author{A. Writer}\date{}
\begin{document}\maketitle
\begin{abstract} A short summary of what was found near the shore. \end{abstract}
\section{Beginning}
WORDS WORDS \cite{reed}
\begin{table}[h]\centering\caption{Levels by station.}\begin{tabular}{lrr}\hline
Station & Level & Flow \\ \hline North & 12 & 3.5 \\ South & 15 & 4.25 \\
\multicolumn{2}{l}{Both together} & 7.75 \\ \hline\end{tabular}\end{table}
\begin{figure}[h]\centering\begin{tikzpicture}\draw (0,0) rectangle (5,2);
\node at (2.5,1) {Inside words};\end{tikzpicture}\caption{A box.}\end{figure}
\subsection{Middle part}
WORDS WORDS WORDS
\begin{thebibliography}{9}\bibitem{reed} J. Reed, Notes on water, 1999.\end{thebibliography}
\end{document}
"""
).replace("WORDS", WORDS)
CELLS = "Station\tLevel\tFlow\nNorth\t12\t3.5\nSouth\t15\t4.25\nBoth together\t\t7.75"

Pages = list[dict[str, Any]]
Print = Callable[..., tuple[Pages, list[Any]]]


@pytest.fixture
def printed(tmp_path: Path) -> Print:
    """Compiles the paper in some looks: its pages, exact by the PDF, and their pictures."""

    def run(*words: str) -> tuple[Pages, list[Any]]:
        source = tmp_path / "paper.tex"
        source.write_text(PAPER)
        out = tmp_path / "out"
        result = compile_document(source, out, options=style_options(words), dpi=72)
        assert [p.reasons for p in result.pages] == [()] * len(result.pages), result
        assert result.pages
        pages, pictures = [], []
        for page in result.pages:
            pages.append(json.loads((out / page.files["json"]).read_text()))
            check = pages[-1]["verify"]
            assert check["found"] == check["same"] == check["glyphs"]
            assert check["covered"] == check["chars"]
            assert check["unknown"] == 0
            with Image.open(out / page.files["image"]) as opened:
                pictures.append(np.asarray(opened.convert("RGB")).astype(int))
            assert pictures[-1].shape[:2] == (pages[-1]["height"], pages[-1]["width"])
        return pages, pictures

    return run


def list_fonts(family: str) -> str:
    """What fontconfig knows of a family."""
    done = subprocess.run(["fc-list", family], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _blocks(pages: Pages, klass: str) -> list[dict[str, Any]]:
    return [b for p in pages for b in p["blocks"] if b["class"] == klass]


def _dark(picture: Any, box: list[float]) -> float:
    """Share of the pixels of a box that are ink."""
    x0, y0, x1, y1 = (round(v) for v in box)
    part = picture[y0:y1, x0:x1].sum(axis=2)
    return float((part < 384).mean())


def test_three_columns_below_title_and_abstract(printed: Print) -> None:
    pages, _ = printed("columns=3", "float_width=0.9")
    assert _blocks(pages, "Title")
    texts = [b for b in _blocks(pages[:1], "Text") if "few days" in b["text"]]
    lefts = {round(b["bbox"][0] / 20) for b in texts}
    assert len(lefts) == 3
    assert max(b["bbox"][2] - b["bbox"][0] for b in texts) < 0.3 * pages[0]["width"]
    assert _blocks(pages, "Table")[0]["text"].startswith("Station")
    assert len(_blocks(pages, "Picture")) == 1  # floats came along
    whole = " ".join(b["text"] for b in texts).replace("<tbc>", "").replace(" ", "")
    assert whole.count("".join(WORDS.split())) >= 1


def test_another_number_of_columns_and_colour_in_every_section(printed: Print) -> None:
    pages, pictures = printed("section_columns=1,3", "section_colors=aa0000,0000aa")
    wide = [b["bbox"][2] - b["bbox"][0] for b in _blocks(pages, "Text") if "few days" in b["text"]]
    assert max(wide) > 3 * min(wide)
    for text, strong in (("Beginning", 0), ("Middle part", 2)):
        for page, picture in zip(pages, pictures, strict=True):
            for block in page["blocks"]:
                if block["class"] == "Section-header" and text in block["text"]:
                    x0, y0, x1, y1 = (round(v) for v in block["bbox"])
                    mean = picture[y0:y1, x0:x1].reshape(-1, 3).mean(axis=0)
                    assert mean[strong] == max(mean)
                    assert mean[strong] > min(mean) + 10


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_turned_floats_keep_cells_and_places(printed: Print, angle: int) -> None:
    pages, pictures = printed(f"float_angles={angle}")
    (table,) = _blocks(pages, "Table")
    assert table["tags"] == ["rotated"]
    assert table["text"].splitlines()[:3] == CELLS.splitlines()[:3]
    grid = table["grid"]
    assert (grid["rows"], grid["columns"], grid["header_rows"]) == (4, 3, 1)
    place = {(c["r"], c["c"]): c["bbox"] for c in grid["cells"]}
    down = {90: (0, 1), 180: (1, -1), 270: (0, -1)}[angle]  # axis and sense of the next row
    step = place[1, 0][down[0]] - place[0, 0][down[0]]
    assert step * down[1] > 5
    number = next(k for k, p in enumerate(pages) if table in p["blocks"])
    assert all(_dark(pictures[number], c["bbox_text"]) > 0.02 for c in grid["cells"])


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_turned_pages_are_seen_turned(printed: Print, angle: int) -> None:
    pages, pictures = printed(f"page_rotation={angle}")
    upright, _ = printed()
    page, before = pages[0], upright[0]
    assert page["rotation"] == angle
    swapped = angle != 180
    assert (page["width"], page["height"]) == (
        (before["height"], before["width"]) if swapped else (before["width"], before["height"])
    )
    assert [b["text"] for b in page["blocks"]] == [b["text"] for b in before["blocks"]]
    for block in page["blocks"]:
        if block["class"] != "Picture":
            assert _dark(pictures[0], block["bbox"]) > 0.005, block["text"]


@pytest.mark.parametrize(
    ("word", "header"),
    [("table_rules=grid", 1), ("table_rules=none", 0), ("table_rules=booktabs", 1)],
)
def test_rules_of_tables(printed: Print, word: str, header: int) -> None:
    pages, pictures = printed(word)
    (table,) = _blocks(pages, "Table")
    assert table["grid"]["header_rows"] == header
    assert table["text"].splitlines()[:3] == CELLS.splitlines()[:3]
    number = next(k for k, p in enumerate(pages) if table in p["blocks"])
    x0, y0, x1, y1 = (round(v) for v in table["bbox"])
    ink = pictures[number][y0 - 1 : y1 + 2, x0 - 1 : x1 + 2].sum(axis=2) < 600
    rows, down = ink.mean(axis=1) > 0.9, (ink.mean(axis=0) > 0.75).sum()
    across = int(rows[0]) + int((rows[1:] & ~rows[:-1]).sum())  # rules, however thick
    assert across == {"grid": 5, "none": 0, "booktabs": 3}[word[12:]]
    assert (down > 0) == word.endswith("grid")
    assert table["latex"].count("\\hline") == {"grid": 5, "none": 0, "booktabs": 3}[word[12:]]


def test_bars_between_columns(printed: Print) -> None:
    pages, pictures = printed("table_bars=1,0,2,1")
    (table,) = _blocks(pages, "Table")
    number = next(k for k, p in enumerate(pages) if table in p["blocks"])
    x0, y0, x1, y1 = (round(v) for v in table["bbox"])
    ink = pictures[number][y0:y1, x0 - 1 : x1 + 2].sum(axis=2) < 700
    assert (ink.mean(axis=0) > 0.7).sum() >= 3
    assert table["text"].splitlines()[:3] == CELLS.splitlines()[:3]


def test_without_headings_and_references(printed: Print) -> None:
    pages, _ = printed("headings=false", "bibliography=false")
    texts = [b["text"] for b in _blocks(pages, "Text")]
    assert "Beginning" in texts
    assert "Middle part" in texts
    assert not any("Beginning" in b["text"] for b in _blocks(pages, "Section-header"))
    assert not _blocks(pages, "Bibliography")
    assert any("[1]" in text for text in texts)  # citations keep their numbers


def test_drawings_behind_the_text_change_no_block(printed: Print) -> None:
    plain, before = printed()
    pages, pictures = printed(
        "background=mixture", "background_number=3", "furniture=holes", "frame=true"
    )
    again, same = printed(
        "background=mixture", "background_number=3", "furniture=holes", "frame=true"
    )
    other, others = printed("background=mixture", "background_number=4")
    for page, reference in zip(pages, plain, strict=True):
        assert page["blocks"] == reference["blocks"]
        assert "stray_glyphs" not in page["tags"]
    assert (before[0] != pictures[0]).any(axis=2).mean() > 0.5
    assert (pictures[0] == same[0]).all()
    assert again == pages
    assert (others[0] != pictures[0]).any()
    assert other[0]["blocks"] == plain[0]["blocks"]


def test_a_watermark_is_seen_and_is_no_text(printed: Print) -> None:
    plain, before = printed()
    pages, pictures = printed("watermark=DO NOT CITE", "watermark_angle=50")
    assert pages[0]["blocks"] == plain[0]["blocks"]
    assert "CITE" not in " ".join(b["text"] for b in pages[0]["blocks"])
    assert pages[0]["verify"]["glyphs"] == plain[0]["verify"]["glyphs"] + len("DONOTCITE")
    assert (pictures[0] != before[0]).any(axis=2).mean() > 0.01


def test_crop_marks_move_the_page_with_its_boxes(printed: Print) -> None:
    plain, _ = printed()
    pages, pictures = printed("crop_marks=true")
    edge = 8 / 25.4 * 72
    assert pages[0]["width_pt"] == pytest.approx(plain[0]["width_pt"] + 2 * edge, abs=0.1)
    for block, reference in zip(pages[0]["blocks"], plain[0]["blocks"], strict=True):
        assert block["text"] == reference["text"]
        moved = [v + edge for v in reference["bbox"]]
        assert block["bbox"] == pytest.approx(moved, abs=0.1)
    assert _dark(pictures[0], [0, 0, edge, edge]) > 0.005  # marks in the corner


def test_a_running_head_is_a_page_header(printed: Print) -> None:
    pages, _ = printed("running_head=Preprint. Under review.")
    assert [b["text"] for b in _blocks(pages, "Page-header")] == (
        ["Preprint. Under review."] * len(pages)
    )


def test_floats_shrink_to_the_line(tmp_path: Path) -> None:
    text = (
        "\\documentclass{article}\\begin{document}" + WORDS
        + "\\begin{table}[h]\\begin{tabular}{ll} A row that is much too long for this narrow page "
        "of ours & and goes on here \\\\ second & row \\end{tabular}\\end{table}" + WORDS
        + "\\end{document}"
    )  # fmt: skip
    source = tmp_path / "wide.tex"
    source.write_text(text)
    page = ["width_mm=110", "height_mm=150", "margin_mm=15"]
    wide = compile_document(source, tmp_path / "wide", options=style_options(page))
    assert wide.pages[0].reasons == ("outside Table",)
    options = style_options([*page, "fit_floats=true"])
    fitted = compile_document(source, tmp_path / "fitted", options=options)
    assert fitted.pages[0].ok
    data = json.loads((tmp_path / "fitted" / fitted.pages[0].files["json"]).read_text())
    (table,) = [b for b in data["blocks"] if b["class"] == "Table"]
    line = 80 / 25.4 * 144
    assert table["bbox"][2] - table["bbox"][0] <= line + 1
    assert all(c["bbox_text"][2] <= table["bbox"][2] + 1 for c in table["grid"]["cells"])


def test_words_nobody_can_see_reject_the_page(tmp_path: Path) -> None:
    text = (
        "\\documentclass{article}\\usepackage{xcolor}\\begin{document}" + WORDS * 2
        + "\\textcolor[rgb]{0.1,0.1,0.4}{dark words} " + WORDS + "\\end{document}"
    )  # fmt: skip
    source = tmp_path / "dark.tex"
    source.write_text(text)
    light = compile_document(source, tmp_path / "a", options=style_options(["columns=1"]))
    assert light.good_pages == 1
    options = style_options(["page_color=101050", "text_color=ffffff"])
    dark = compile_document(source, tmp_path / "b", options=options)
    assert dark.pages[0].reasons == ("contrast 2 words",)


TONGUES = {
    "ar": "\u064a\u0631\u062a\u0641\u0639 \u0645\u0627\u0621 "
    "\u0627\u0644\u0628\u062d\u064a\u0631\u0629 \u0628\u0628\u0637\u0621 "
    "\u062e\u0644\u0627\u0644 12 \u064a\u0648\u0645\u0627.",
    "he": "\u05de\u05d9 \u05d4\u05d0\u05d2\u05dd \u05e2\u05d5\u05dc\u05d9\u05dd \u05dc\u05d0\u05d8 "
    "\u05d1\u05ea\u05d5\u05da 12 \u05d9\u05de\u05d9\u05dd.",
    "hi": "\u091d\u0940\u0932 \u0915\u093e \u092a\u093e\u0928\u0940 \u0927\u0940\u0930\u0947 "
    "\u092c\u0922\u093c\u0924\u093e \u0939\u0948 12 \u0926\u093f\u0928.",
    "zh": "\u6e56\u6c34\u5728\u66b4\u98ce\u96e8\u540e\u7f13\u6162\u4e0a\u6da8\uff0c"
    "\u5e76\u572812\u5929\u5185\u518d\u6b21\u4e0b\u964d\u3002",
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(TONGUES))
def test_other_scripts_keep_text_order_and_places(tmp_path: Path, code: str) -> None:
    font = script_of(code)
    assert font is not None
    if not list_fonts(font.font):
        pytest.skip(f"needs the font {font.font}: apt install fonts-noto-core fonts-noto-cjk")
    sentence = TONGUES[code]
    body = " ".join([sentence] * 8)
    source = tmp_path / "paper.tex"
    source.write_text(
        "\\documentclass{article}\n\\begin{document}\n" + body + " $E=mc^2$\n\n(Latin words)\n"
        "\\begin{itemize}\\item " + sentence + "\\end{itemize}\n\\end{document}\n",
        encoding="utf-8",
    )
    result = compile_document(source, tmp_path / "out", options=language_options(code))
    assert [p.reasons for p in result.pages] == [()], result
    data = json.loads((tmp_path / "out" / result.pages[0].files["json"]).read_text())
    check = data["verify"]
    assert check["found"] == check["glyphs"] > 150
    (text,) = [b for b in data["blocks"] if b["class"] == "Text" and "Latin" not in b["text"]]
    assert sentence.replace(" ", "") in text["text"].replace(" ", "")
    (item,) = [b for b in data["blocks"] if b["class"] == "List-item"]
    assert sentence.replace(" ", "") in item["text"].replace(" ", "")
    if font.is_rtl:  # the first word of a line stands on its right
        line = [w["bbox"] for w in text["words"]][:3]
        assert line[0][0] > line[1][0] > line[2][0]
        assert item["bbox"][2] > text["bbox"][2] - 80
