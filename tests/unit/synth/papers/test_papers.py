"""Printed papers and formulas: the pages say what the source said (needs LuaLaTeX)."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.synth.base import MAX_ATTEMPTS, Reject, Sample, Streams
from nanovl.synth.papers import sheets
from nanovl.synth.papers.dress import CLASSES, is_installed
from nanovl.synth.papers.formulas import same_formula, tight
from nanovl.synth.papers.generator import PapersGenerator, create
from nanovl.synth.papers.pages import letters
from nanovl.synth.tables.parse import parse
from nanovl.synth.tex.fixpoint import check_formulas
from nanovl.synth.verify import is_right
from tests.unit.synth.checks import check_others_fail, check_sample, make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tex,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra texlive-pictures",
    ),
]

SMALL = {
    "classes": ["article", "scrartcl"], "words": [250, 500], "dpi": [100], "maths": 0.5,
    "questions": 8, "document_questions": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> dict[int, Sample]:
    return {}


@pytest.fixture
def samples(kept: dict[int, Sample]) -> list[Sample]:
    """Four small papers, made once."""
    for index in range(0 if kept else 4):
        sample = make(create(SMALL), index)
        assert sample is not None
        kept[index] = sample
    return list(kept.values())


def blocks_of(sample: Sample, klass: str) -> list[dict[str, Any]]:
    return [b for page in sample.gt["pages"] for b in page["blocks"] if b["class"] == klass]


def test_samples_are_sound(samples: list[Sample]) -> None:
    for sample in samples:
        check_sample(sample)
        assert len(sample.gt["evidence"]) == len(sample.tasks)
        for page, media in zip(sample.gt["pages"], sample.media, strict=True):
            assert (page["width"], page["height"]) == (media.width, media.height)
    check_others_fail(samples)
    for kind in ("paper_markdown", "paper_parse"):
        whole = [t for s in samples for t in s.tasks if t.task == kind]
        for one, other in pairwise(whole):
            assert not is_right(one.verifier, one.answer, other.answer_text)
    assert sum(len(s.tasks) for s in samples) >= 20


def test_headings_and_title_are_those_of_the_source(samples: list[Sample]) -> None:
    for sample in samples:
        printed = [letters(b["text"]) for b in blocks_of(sample, "Section-header")]
        meant = [letters(h["text"]) for h in sample.gt["headings"]]
        if sample.gt["is_whole"]:
            kept = [p for p in printed if any(p.endswith(m) for m in meant)]
            assert len(kept) == len(meant)
            assert all(p.endswith(m) for p, m in zip(kept, meant, strict=True))
        titles = [b["text"] for b in blocks_of(sample, "Title")]
        assert [letters(t) for t in titles] == [letters(sample.gt["title"])]


def test_answers_follow_from_the_pages(samples: list[Sample]) -> None:
    """By another way than the tasks were made: from the text of whole pages."""
    checked: Counter[str] = Counter()
    for sample in samples:
        texts = [" ".join(b["text"] for b in page["blocks"]) for page in sample.gt["pages"]]
        plain = [letters(text) for text in texts]
        for task, evidence in zip(sample.tasks, sample.gt["evidence"], strict=True):
            quoted = re.search(r'"([^"]+)"', task.question)
            pages = [int(e["media"][1:]) - 1 for e in evidence]
            if task.task == "paper_which_page" and quoted and "heading" not in task.question:
                assert plain.index(next(p for p in plain if letters(quoted[1]) in p)) + 1 == int(
                    task.answer_text
                )
                checked["page"] += 1
            elif task.task in ("paper_caption", "paper_footnote", "paper_reference"):
                assert letters(task.answer_text) in plain[pages[0]]
                checked["text"] += 1
            elif task.task == "paper_authors":
                assert all(letters(n) in plain[0] for n in task.answer_text.split(", "))
                checked["text"] += 1
            elif task.task == "paper_count":
                number = sum(
                    b["class"] in evidence_classes(evidence)
                    for b in sample.gt["pages"][pages[0] if pages else 0]["blocks"]
                )
                assert not pages or number == int(task.answer_text)
    assert checked["text"] > 0


def evidence_classes(evidence: list[dict[str, Any]]) -> set[str]:
    return {e["class"] for e in evidence}


def test_formulas_are_a_fix_point(samples: list[Sample]) -> None:
    formulas = [b["latex"] for s in samples for b in blocks_of(s, "Formula") if b.get("is_source")]
    assert len(formulas) >= 3
    found = check_formulas(formulas)
    assert found["compiled"] == found["total"]
    assert all(same_formula(before, after) for before, after in found["changed"])


def test_tables_are_those_of_the_pages() -> None:
    """Cell for cell: the answer, parsed, against the grid of the engine."""
    generator = create({**SMALL, "words": [700, 900], "questions": 17})
    tried = 0
    for index in range(8):
        sample = make(generator, index)
        assert sample is not None
        for task, evidence in zip(sample.tasks, sample.gt["evidence"], strict=True):
            if not task.task.startswith("paper_table"):
                continue
            page = sample.gt["pages"][int(evidence[0]["media"][1:]) - 1]
            block = next(b for b in page["blocks"] if b["bbox"] == evidence[0]["bbox"])
            grid = parse(task.answer_text, task.answer.value["form"])
            meant = {
                (r, c): letters(t) for r, row in enumerate(grid.texts()) for c, t in enumerate(row)
            }
            for cell in block["grid"]["cells"]:
                assert meant[cell["r"], cell["c"]] == letters(cell["text"])
            tried += 1
        if tried >= 3:
            return
    pytest.fail(f"{tried} tables in 8 papers")


def test_the_same_index_gives_the_same_bytes(samples: list[Sample]) -> None:
    again = make(create(SMALL), 0)
    assert again is not None
    assert again.gt == samples[0].gt
    assert again.tasks == samples[0].tasks
    assert [m.data for m in again.media] == [m.data for m in samples[0].media]


def test_a_batch_of_formulas() -> None:
    generator = sheets.create({"formulas": 30, "faces": ["computer-modern"], "dpi": [110]})
    sample = make(generator, 0)
    assert sample is not None
    assert sample.quality["kept"] >= 29
    asked = [t for t in sample.tasks if t.task == "formula_to_latex"]
    assert len(asked) == len(sample.media) == sample.quality["kept"]
    assert len({tight(t.answer_text) for t in asked}) == len(asked)
    for task, media in zip(asked, sample.media, strict=True):
        assert is_right(task.verifier, task.answer, task.answer_text)
        image = Image.open(io.BytesIO(media.data)).convert("L")
        low, high = image.getextrema()
        assert isinstance(low, int)
        assert isinstance(high, int)
        assert high - low > 60
        # Nothing is cut: the outermost pixels are ground.
        edge = {image.getpixel((0, y)) for y in range(image.height)}
        edge |= {image.getpixel((image.width - 1, y)) for y in range(image.height)}
        assert max(edge) - min(edge) < 60
    found = check_formulas([t.answer_text for t in asked])
    assert found["compiled"] == found["total"]
    assert found["same_glyphs"] >= 0.6 * found["total"]
    assert all(same_formula(before, after) for before, after in found["changed"])
    picks = [t for t in sample.tasks if t.task == "formula_pick"]
    truth = {f["media"]: f["latex"] for f in sample.gt["formulas"]}
    for task in picks:
        assert truth[task.media[int(task.answer_text) - 1]] in task.question


def attempts(generator: PapersGenerator, index: int) -> tuple[Sample | None, list[str]]:
    rejected = []
    for attempt in range(MAX_ATTEMPTS):
        try:
            return generator.generate(index, Streams(1000 * attempt + index)), rejected
        except Reject as error:
            rejected.append(str(error))
    return None, rejected


def test_at_least_97_of_100_papers_are_printed() -> None:
    """Over 39 papers of every installed class, first attempts only."""
    classes = [name for name in CLASSES if is_installed(name)]
    failed: list[str] = []
    for index in range(39):
        generator = create({"classes": [classes[index % len(classes)]], "dpi": [96]})
        sample, rejected = attempts(generator, index)
        assert sample is not None, rejected
        failed += rejected[:1]
        assert sample.quality["positions"] >= 0.995
        for task in sample.tasks:
            assert is_right(task.verifier, task.answer, task.answer_text), task
    assert len(failed) <= 0.03 * 39, failed


@pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
)
def test_an_independent_reader_reads_the_words(tmp_path: Path) -> None:
    """At least 98 % of the words of prose at 300 dots per inch, line by line."""
    generator = create(
        {
            "classes": ["article"], "languages": ["en"], "words": [300, 400], "maths": 0.0,
            "dpi": [300], "worn": 0.0,
        }
    )  # fmt: skip
    right = total = 0
    for index in range(4):
        sample = make(generator, index)
        assert sample is not None
        page = sample.gt["pages"][0]
        picture = Image.open(io.BytesIO(sample.media[0].data)).convert("L")
        for block in page["blocks"]:
            if block["class"] != "Text" or block.get("tags") or "<sup>" in block["markdown"]:
                continue
            x0, y0, x1, y1 = block["bbox"]
            picture.crop((int(x0) - 30, int(y0) - 30, int(x1) + 30, int(y1) + 30)).save(
                tmp_path / "block.png", dpi=(300, 300)
            )
            done = subprocess.run(
                ["tesseract", str(tmp_path / "block.png"), "-", "--psm", "6", "-l", "eng"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            meant = Counter(w["text"] for w in block["words"])
            given = Counter(done.stdout.replace("\u2014", "-").split())
            right += (meant & given).total()
            total += meant.total()
    assert total > 400
    assert right / total >= 0.98, (right, total)
