"""Article pages: the truth is what was written, in order, and what an independent reader reads."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.data.convert.markup import markdown_table
from nanovl.synth.browser import BROWSER, Browser
from nanovl.synth.documents.blocks import TableBlock, TextBlock
from nanovl.synth.documents.truth import block_text, page_markdown, table_of
from nanovl.synth.registry import create
from nanovl.synth.screens.prose import KINDS, article
from nanovl.synth.screens.theme import draw_theme
from nanovl.synth.screens.webpage import draw_look, painted_page, pieces_of, web_page
from tests.unit.synth.checks import check_golden, check_others_fail, check_sample, made

NEEDS = pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs playwright (pip install 'nanovl[screens]') and chromium-headless-shell",
)
FACES = ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif")


def plain(seed: int, kind: str):
    """An article, and looks without spacing and capitals."""
    rng = random.Random(seed)
    said = article(random.Random(seed), kind)
    theme = draw_theme(rng, FACES, dark=0.0)
    look = replace(draw_look(rng, theme, kind), upper=False, letters=0.0, words=0.0,
                   weight=400)  # fmt: skip
    return said, theme, look


@pytest.mark.parametrize("kind", KINDS)
def test_articles_begin_with_a_title_and_repeat_no_sentence_at_once(kind):
    for seed in range(5):
        said = article(random.Random(seed), kind)
        assert said.blocks[0].kind == "title"
        assert article(random.Random(seed), kind) == said
        for block in said.blocks:
            if isinstance(block, TextBlock):
                assert block.text.strip()
                parts = block.text.split(". ")
                assert all(a != b for a, b in pairwise(parts)), block.text
        keys = [p.key for p in pieces_of(said)]
        assert len(keys) == len(set(keys))


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="kinds"):
        create("html-pages", {"kinds": ["novel"]})
    with pytest.raises(ConfigError, match="scale"):
        create("html-pages", {"scale": 3.0})


def test_golden(request):
    from nanovl.synth.base import Answer, Sample, Task

    said, theme, look = plain(4, "docs")
    page = web_page(said, theme, look)
    task = Task(task="x", question="Q", answer_text="a", verifier="exact",
                answer=Answer(type="text", value="a"))  # fmt: skip
    sample = Sample(generator="html-pages", version="1", seed=4, gt={"html": page}, tasks=(task,))
    check_golden("html-pages", sample, request.config.getoption("--update-golden"))


@pytest.fixture(scope="module")
def driver():
    made_ = Browser()
    yield made_
    made_.close()


@pytest.mark.browser
@NEEDS
class TestPages:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_truth_is_what_was_written(self, driver, kind):
        """Every block comes back from the browser with its text, in order."""
        said, theme, look = plain(11, kind)
        shot = driver.render(web_page(said, theme, look), width=look.width)
        painted = painted_page(shot, shot.picture(), said, look)
        pieces = pieces_of(said)
        assert [b.kind for b in painted.blocks] == [p.kind for p in pieces]
        for block, piece in zip(painted.blocks, pieces, strict=True):
            source = piece.source
            if isinstance(source, TableBlock) and piece.kind == "table":
                table = table_of(block)
                found = markdown_table(table.header, table.rows)
                assert found == markdown_table(source.table.header, source.table.rows)
                continue
            if isinstance(source, TextBlock):
                wanted = source.text
                if source.kind == "list_item" and source.marker not in ("", "-"):
                    wanted = f"{source.marker} {wanted}"
                assert block_text(block) == wanted
                for line in block.lines:
                    assert line.box[0] >= block.box[0] - 0.01
                    assert line.box[3] <= block.box[3] + 0.01
            elif piece.kind == "caption":
                assert source is not None
                assert block_text(block) == source.caption
        assert page_markdown(painted).startswith("# ")

    def test_emphasis_is_seen(self, driver):
        seen = 0
        for seed in range(6):
            said, theme, look = plain(seed, "news")
            shot = driver.render(web_page(said, theme, look), width=look.width)
            markdown = page_markdown(painted_page(shot, shot.picture(), said, look))
            for block in said.blocks:
                if isinstance(block, TextBlock) and len(block.runs) > 1:
                    sign = "**" if block.runs[1].bold else "*"
                    assert f"{sign}{block.runs[1].text}{sign}" in markdown
                    seen += 1
        assert seen > 2

    @pytest.mark.slow
    def test_samples_hold_together(self):
        samples = made(create("html-pages"), 20)
        for sample in samples:
            check_sample(sample)
            for page in sample.gt["pages"]:
                width, height = page["width"], page["height"]
                for block in page["blocks"]:
                    x0, y0, x1, y1 = block["bbox"]
                    assert -0.51 <= x0 < x1 <= width + 0.51
                    assert -0.51 <= y0 < y1 <= height + 0.51
                orders = [b["order"] for b in page["blocks"]]
                assert orders == sorted(orders)
        check_others_fail(samples)

    @pytest.mark.slow
    def test_pieces_that_are_cut_are_not_shown(self):
        hidden = 0
        for sample in made(create("html-pages", {"kinds": ["encyclopaedia"]}), 8):
            page = sample.gt["pages"][0]
            hidden += sample.gt["hidden"]
            image = Image.open(io.BytesIO(sample.media[0].data)).convert("L")
            assert image.size == (page["width"], page["height"])
            if sample.gt["hidden"]:
                words = [w for b in page["blocks"] for x in b["lines"] for w in x["words"]]
                assert all(w["bbox"][3] <= page["height"] + 0.01 for w in words)
        assert hidden > 0

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @pytest.mark.skipif(
        shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
    )
    def test_an_independent_reader_reads_the_truth(self, driver, tmp_path: Path):
        """At least 98 % of the words of clean pages of running text."""
        right = total = 0
        for seed in range(8):
            said, theme, look = plain(seed, ("blog", "legal", "faq", "forum")[seed % 4])
            theme = replace(theme, surface="#ffffff", ink="#000000", accent="#000000")
            look = replace(look, size=17, weight=400, line=1.4, columns=1, colour="#000000",
                           width=800, body=720, floats=False, bullet="-")  # fmt: skip
            shot = driver.render(web_page(said, theme, look), width=800, scale=2.0)
            painted = painted_page(shot, shot.picture(), said, look)
            texts = [b for b in painted.blocks if b.kind in ("text", "section_header")]
            for block in texts:
                x0, y0, x1, y1 = block.box
                crop = painted.image.crop((int(x0) - 24, int(y0) - 12, int(x1) + 24, int(y1) + 12))
                crop.save(tmp_path / "block.png", dpi=(192, 192))
                done = subprocess.run(
                    ["tesseract", str(tmp_path / "block.png"), "-", "--psm", "6", "-l", "eng"],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                truth = block_text(block).split()
                given = done.stdout.replace("\u2019", "'").replace("\u201c", '"').split()
                right += _matched(truth, given)
                total += len(truth)
        assert total > 300
        assert right / total >= 0.98, (right, total)


def _matched(truth: list[str], given: list[str]) -> int:
    """Words of the truth that are read exactly, in order (longest common subsequence)."""
    row = [0] * (len(given) + 1)
    for word in truth:
        last = 0
        for place, other in enumerate(given, 1):
            kept = row[place]
            row[place] = last + 1 if word == other else max(row[place], row[place - 1])
            last = kept
    return row[-1]
