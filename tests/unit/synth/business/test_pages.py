"""Boxes on pages: independent readers find in them what the ground truth says."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanovl.synth.base import Reject, Streams
from nanovl.synth.browser import BROWSER
from nanovl.synth.business.generator import FAMILIES, Made, create
from nanovl.synth.business.html import Drawn, draw_html
from nanovl.synth.business.placed import Seen, assemble, find
from nanovl.synth.business.typeset import draw_typst, page_pdf

pytest.importorskip("segno", reason="needs segno: pip install 'nanovl[synth]'")
pytest.importorskip("typst", reason="needs typst: pip install 'nanovl[synth]'")

needs_browser = pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs a browser: pip install 'nanovl[screens]', apt install chromium-headless-shell",
)
needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
)


def placed(made: Made, drawn: Drawn) -> Seen:
    assembly = assemble(made.flat, drawn)
    return find(made.draft, made.flat, assembly, assembly.painted)


def plans(per_family: int, **settings: object) -> Iterator[Made]:
    for name in FAMILIES:
        generator = create({"families": [name], **settings})
        for seed in range(per_family):
            yield generator.plan(Streams(seed))


@pytest.mark.slow
def test_fields_hold_their_text_in_the_pdf() -> None:
    """Every box of a field has exactly the characters that a PDF reader finds there."""
    pdfplumber = pytest.importorskip("pdfplumber")
    checked = documents = 0
    for made in plans(2, renderers=["typst"]):
        try:
            seen = placed(made, draw_typst(made.flat, made.paper, made.theme, 1.0))
        except Reject:
            continue
        documents += 1
        with pdfplumber.open(io.BytesIO(page_pdf(made.flat, made.paper, made.theme))) as pdf:
            assert len(pdf.pages) == 1
            letters = [
                (c["text"], (c["x0"] + c["x1"]) / 1.5, (c["top"] + c["bottom"]) / 1.5, c["x1"])
                for c in pdf.pages[0].chars
                if c["text"].strip()
            ]
        for found in seen.fields.values():
            text = ""
            for x0, y0, x1, y1 in found.words:
                inside = [
                    c for c, x, y, _ in letters if x0 - 1 <= x <= x1 + 1 and y0 - 3 <= y <= y1 + 3
                ]
                text += "".join(inside)
            bare = "".join(found.field.text.split())
            assert text.startswith(bare) or text.endswith(bare) or bare in text, (
                made.family.name, found.field, text,
            )  # fmt: skip
            assert len(text) - len(bare) <= 2, (found.field, text)  # a full stop, a sign
            checked += 1
    assert documents >= 32
    assert checked > 500


@pytest.mark.slow
@pytest.mark.browser
@needs_browser
def test_fields_hold_their_text_in_the_browser() -> None:
    """Words the browser's text ranges place on a field's box are those of the field."""
    checked = documents = 0
    for made in plans(1, renderers=["browser"]):
        drawn = draw_html(made.flat, made.paper, made.theme, 1.0)
        try:
            seen = placed(made, drawn)
        except Reject:
            continue
        documents += 1
        everything = [(text, box) for words in drawn.words.values() for text, box in words]
        for found in seen.fields.values():
            inside = []
            for x0, y0, x1, y1 in found.words:
                x, y = (x0 + x1) / 2, (y0 + y1) / 2
                inside += [t for t, b in everything if b[0] <= x <= b[2] and b[1] <= y <= b[3]]
            assert found.field.text in " ".join(inside), (made.family.name, found.field, inside)
            checked += 1
    assert documents >= 16
    assert checked > 250


def ink_of(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image.convert("L"), dtype=np.int16)
    return np.asarray(np.abs(pixels - np.median(pixels)) > 90)


def test_all_ink_of_a_letter_is_inside_boxes() -> None:
    """On a page of text alone, dark pixels lie in word boxes, and every box has some."""
    checked = 0
    for seed in range(40):
        made = create({"families": ["contract"], "renderers": ["typst"]}).plan(Streams(seed))
        if made.template != "minimal" or made.theme.paper != "#ffffff":
            continue
        drawn = draw_typst(made.flat, made.paper, made.theme, 1.0)
        painted = assemble(made.flat, drawn).painted
        dark = ink_of(painted.image)
        for block in painted.blocks:
            for line in block.lines:
                for word in line.words:
                    x0, y0, x1, y1 = (int(v) for v in word.box)
                    assert dark[y0:y1, x0:x1].any(), word.text
                    dark[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = False
            if block.kind == "picture":
                x0, y0, x1, y1 = (int(v) for v in block.box)
                dark[y0 - 1 : y1 + 2, x0 - 1 : x1 + 2] = False
        dark[dark.mean(axis=1) > 0.2] = False  # rules across
        assert dark.sum() < 1200, dark.sum()  # leaders, and the lines to sign on
        checked += 1
    assert checked >= 2


# -- An independent reader -----------------------------------------------------------------------


def strips(seen: Seen) -> tuple[Image.Image, list[str]]:
    """Every line of a page cut out by its box, one below the other, dark on white."""
    image = seen.painted.image.convert("L")
    cut, texts = [], []
    for line in seen.painted.lines:
        if any(w.text in ("[x]", "[ ]") for w in line.words) or not any(
            map(str.isalnum, line.text)
        ):
            continue
        x0, y0, x1, y1 = line.box
        part = image.crop((int(x0) - 3, int(y0) - 3, int(x1) + 4, int(y1) + 4))
        pixels = np.asarray(part, dtype=np.float32)
        ground = float(np.median(np.concatenate([pixels[0], pixels[-1]])))
        far = np.abs(pixels - ground)
        part = Image.fromarray((255 - 255 * far / max(1.0, far.max())).astype(np.uint8))
        height = 44
        wide = max(1, round(part.width * height / part.height))
        cut.append(part.resize((wide, height), Image.Resampling.LANCZOS))
        texts.append(line.text)
    width = max(p.width for p in cut) + 80
    sheet = Image.new("L", (width, 84 * len(cut) + 40), 255)
    for k, part in enumerate(cut):
        sheet.paste(part, (40, 40 + 84 * k))
    return sheet, texts


def shares_read(seen: Seen, path: Path) -> tuple[int, int]:
    """(letters read, letters) where words that are read exactly count whole."""
    sheet, texts = strips(seen)
    sheet.save(path, dpi=(300, 300))
    done = subprocess.run(
        ["tesseract", str(path), "-", "--psm", "6", "-l", "eng"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    given = done.stdout.split()
    truth = [w for t in texts for w in t.split()]
    row = [0] * (len(given) + 1)
    for word in truth:
        last = 0
        for place, other in enumerate(given, 1):
            kept = row[place]
            row[place] = last + 1 if word == other else max(row[place], row[place - 1])
            last = kept
    return row[-1], len(truth)


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_tesseract
@pytest.mark.parametrize(
    "renderer",
    ["typst", pytest.param("browser", marks=[pytest.mark.browser, needs_browser])],
)
def test_an_independent_reader_reads_the_lines_in_their_boxes(
    renderer: str, tmp_path: Path
) -> None:
    read = total = 0
    settings = {
        "renderers": [renderer], "languages": ["en"], "handwriting": 0.0,
        "fonts": ["liberation-sans", "dejavu-sans", "liberation-serif"],
    }  # fmt: skip
    for made in plans(1, **settings):
        draw = draw_typst if renderer == "typst" else draw_html
        try:
            seen = placed(made, draw(made.flat, made.paper, made.theme, 2.0))
        except Reject:
            continue
        right, count = shares_read(seen, tmp_path / "strips.png")
        read, total = read + right, total + count
    assert total > 700
    assert read / total >= 0.98, (read, total)


def test_pages_are_rejected_when_words_overlap() -> None:
    made = create({"families": ["letter"], "renderers": ["typst"]}).plan(Streams(1))
    drawn = draw_typst(made.flat, made.paper, made.theme, 1.0)
    keys = [k for k, words in drawn.words.items() if words][:2]
    moved = dict(drawn.words)
    moved[keys[1]] = [(text, moved[keys[0]][0][1]) for text, _ in moved[keys[1]]]
    with pytest.raises(Reject, match="words_overlap"):
        assemble(made.flat, Drawn(drawn.image, moved, drawn.boxes))
    lost = {**drawn.words, keys[0]: []}
    with pytest.raises(Reject, match="words_differ"):
        assemble(made.flat, Drawn(drawn.image, lost, drawn.boxes))


def test_check_boxes_show_their_marks() -> None:
    """A ticked box has clearly more ink in its middle than an empty one."""
    generator = create({"families": ["form"], "renderers": ["typst"]})
    on, off = [], []
    for seed in random.Random(0).sample(range(1000), 6):
        made = generator.plan(Streams(seed))
        seen = placed(made, draw_typst(made.flat, made.paper, made.theme, 2.0))
        for found in seen.checks:
            x0, y0, x1, y1 = found.square
            w, h = (x1 - x0) * 0.25, (y1 - y0) * 0.25
            inner = seen.painted.image.convert("L").crop(
                (round(x0 + w), round(y0 + h), round(x1 - w), round(y1 - h))
            )
            share = float((np.asarray(inner) < 128).mean())
            (on if found.check.is_on else off).append(share)
    assert min(on) > 0.15
    assert max(off) < 0.02
    assert len(on) > 8
    assert len(off) > 20
