"""Tables drawn by a browser and set with LaTeX: the same cells, boxes that hold their ink."""

from __future__ import annotations

import io
import random
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import BackendError
from nanovl.data.convert.grids import Grid
from nanovl.synth.base import Reject, Sample
from nanovl.synth.browser import BROWSER
from nanovl.synth.tables.content import build, draw_plan
from nanovl.synth.tables.generator import TablesGenerator, create_html, create_tex
from nanovl.synth.tables.html import draw_with_browser, table_html
from nanovl.synth.tables.latex import LATEX, draw_with_latex, escaped, table_source
from nanovl.synth.tables.parse import parse
from nanovl.synth.tables.style import BORDERS, Style
from nanovl.synth.typefaces import has_family
from tests.unit.synth.checks import check_golden, check_others_fail, check_sample, made, make

NEEDS_BROWSER = pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs Chromium and playwright: apt install chromium-headless-shell, extra screens",
)
NEEDS_TEX = pytest.mark.skipif(
    not LATEX.is_there, reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra"
)
FAMILIES = tuple(f for f in ("dejavu-sans", "liberation-serif", "palladio") if has_family(f))


def pixels(sample: Sample) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sample.media[0].data)).convert("L"), dtype=int)


def check_boxes(samples: list[Sample]) -> None:
    """Texts lie in their cells and hold ink; cells do not overlap."""
    for sample in samples:
        image = pixels(sample)
        cells = sample.gt["pages"][0]["cells"]
        for cell in cells:
            x0, y0, x1, y1 = cell["bbox"]
            if not cell["text"]:
                assert cell["text_bbox"] is None
                continue
            tx0, ty0, tx1, ty1 = cell["text_bbox"]
            assert x0 - 1.5 <= tx0 < tx1 <= x1 + 1.5
            assert y0 - 4 <= ty0 < ty1 <= y1 + 4
            part = image[int(ty0) : int(ty1) + 1, int(tx0) : int(tx1) + 1]
            assert part.max() - part.min() > 60, cell
        for k, a in enumerate(cells):
            for b in cells[:k]:
                wide = min(a["bbox"][2], b["bbox"][2]) - max(a["bbox"][0], b["bbox"][0])
                high = min(a["bbox"][3], b["bbox"][3]) - max(a["bbox"][1], b["bbox"][1])
                assert min(wide, high) <= 2.5, (a, b)


def generator(name: str) -> TablesGenerator:
    if not FAMILIES:
        pytest.skip("needs fonts-dejavu, fonts-liberation2 or fonts-urw-base35")
    make_it = {"html": create_html, "tex": create_tex}[name]
    return make_it({"fonts": list(FAMILIES), "most_rows": 8})


@pytest.mark.browser
@NEEDS_BROWSER
class TestHtml:
    @pytest.mark.slow
    def test_samples_are_sound(self) -> None:
        samples = made(generator("html"), 30)
        for sample in samples:
            check_sample(sample)
        check_others_fail(samples)
        check_boxes(samples)

    def test_golden_sample(self, request: pytest.FixtureRequest) -> None:
        sample = make(generator("html"), 3)
        assert sample is not None
        plain = _without_boxes(sample)
        update = request.config.getoption("--update-golden")
        check_golden("tables-html", plain, update, with_pixels=False)

    @pytest.mark.parametrize("borders", BORDERS)
    def test_every_border_is_drawn(self, borders: str) -> None:
        rng = random.Random(4)
        table = build(draw_plan(rng, is_plain=True, most_rows=6), rng)
        drawn = draw_with_browser(table, Style(family="dejavu-sans", borders=borders))
        dark = np.asarray(drawn.pages[0].image.convert("L"), dtype=int) < 100
        x0, y0, x1, _ = (round(v) for v in drawn.pages[0].table)
        has_top = dark[max(0, y0 - 1) : y0 + 3, x0 + 4 : x1 - 4].all(axis=1).any()
        assert has_top == (borders != "none")

    def test_a_long_table_goes_on_with_its_head_repeated(self) -> None:
        rng = random.Random(7)
        table = build(draw_plan(rng, is_plain=True, most_rows=12), rng)
        drawn = draw_with_browser(table, Style(family="dejavu-sans"), rows_a_page=3)
        assert len(drawn.pages) >= 2
        for k, cell in enumerate(table.cells):
            count = sum(b.cell == k for b in drawn.boxes)
            assert count == (len(drawn.pages) if cell.role == "head" else 1)

    @pytest.mark.slow
    @pytest.mark.skipif(
        shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
    )
    def test_an_independent_reader_reads_the_cells(self, tmp_path: Path) -> None:
        check_reading(made(generator("html"), 5), tmp_path)


def check_reading(samples: list[Sample], folder: Path) -> None:
    """Cells one by one: a reader of lines does not follow columns."""
    right = total = 0
    for sample in samples:
        image = Image.open(io.BytesIO(sample.media[0].data)).convert("L")
        for cell in sample.gt["pages"][0]["cells"]:
            if len(cell["text"]) < 4:
                continue
            x0, y0, x1, y1 = (round(v) for v in cell["text_bbox"])
            part = image.crop((x0 - 3, y0 - 2, x1 + 3, y1 + 2))
            part = part.resize((3 * part.width, 3 * part.height), Image.Resampling.LANCZOS)
            framed = Image.new("L", (part.width + 60, part.height + 60), part.getpixel((0, 0)))
            framed.paste(part, (30, 30))
            framed.save(folder / "cell.png", dpi=(200, 200))
            done = subprocess.run(
                ["tesseract", str(folder / "cell.png"), "-", "--psm", "6", "-l", "eng"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            wanted = cell["text"].replace("\u00b1", "").split()
            given = done.stdout.split()
            right += sum(w in given for w in wanted)
            total += len(wanted)
    assert total > 60
    assert right / total >= 0.95, (right, total)  # single cells: no context helps the reader


@pytest.mark.slow
@pytest.mark.tex
@NEEDS_TEX
class TestLatex:
    def test_samples_are_sound(self) -> None:
        samples = made(generator("tex"), 8)
        for sample in samples:
            check_sample(sample)
        check_boxes(samples)

    def test_golden_sample(self, request: pytest.FixtureRequest) -> None:
        sample = make(generator("tex"), 3)
        assert sample is not None
        plain = _without_boxes(sample)
        update = request.config.getoption("--update-golden")
        check_golden("tables-tex", plain, update, with_pixels=False)

    def test_spans_and_odd_characters_come_back(self) -> None:
        for seed in range(60):
            rng = random.Random(seed)
            table = build(draw_plan(rng, is_plain=False, most_rows=5), rng)
            if table.has_spans and any("%" in c.text for c in table.cells):
                break
        drawn = draw_with_latex(table, Style(family="palladio", borders="booktabs"))
        assert len(drawn.boxes) == len(table.cells)


def _without_boxes(sample: Sample) -> Sample:
    """Boxes belong to a version of a program: only cells, data and questions are kept."""
    from dataclasses import replace

    kept = ("rows", "columns", "title", "column_meaning", "row_meaning", "forms")
    tasks = tuple(t for t in sample.tasks if t.verifier != "iou" and "<box>" not in t.question)
    return replace(sample, gt={k: sample.gt[k] for k in kept}, tasks=tasks)


def plain(grid: Grid) -> list[list[tuple[str, int, int, int, int]]]:
    return [[(c.text, c.rows, c.columns, r, k) for c, r, k in row] for row in grid.slots]


def test_html_has_the_cells_of_the_table() -> None:
    for seed in range(12):
        rng = random.Random(seed)
        table = build(draw_plan(rng, is_plain=False, most_rows=8), rng)
        page = table_html(table, Style(family="dejavu-sans", caption="none"), 0, table.head,
                          table.height)  # fmt: skip
        body = page[page.index("<table") : page.index("</table>") + 8]
        body = re.sub(r' (?:class|data-gt)="[^"]*"', "", body)
        assert plain(parse(body, "html")) == plain(table.grid())


def test_latex_source_is_escaped_and_whole() -> None:
    assert escaped("5% & $3_a {x} \u20ac") == "5\\% \\& \\$3\\_a \\{x\\} \\texteuro{}"
    rng = random.Random(2)
    table = build(draw_plan(rng, is_plain=True, most_rows=5), rng)
    for borders in BORDERS:
        text = table_source(table, Style(family="schola", borders=borders))
        assert text.count("\\\\\n") == table.height
        assert ("\\toprule" in text) == (borders == "booktabs")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendError, match="apt install texlive"):
        LATEX.check()
    rng = random.Random(1)
    table = build(draw_plan(rng, is_plain=True, most_rows=4), rng)
    with pytest.raises((BackendError, Reject)):
        draw_with_latex(table, Style(family="palladio"))
