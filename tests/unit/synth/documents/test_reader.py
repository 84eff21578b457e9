"""An independent reader reads what the ground truth says (needs the program tesseract)."""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from nanovl.synth.documents.blocks import paragraph
from nanovl.synth.documents.build import Typefaces, style_for
from nanovl.synth.documents.draw import paint
from nanovl.synth.documents.fonts import library
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.text import sentence

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
    ),
]

TEXT_FAMILIES = (
    "Aileron", "C059", "DejaVu Sans", "DejaVu Serif", "Latin Modern Roman", "Liberation Sans",
    "Liberation Serif", "Nimbus Sans", "Noto Sans", "Noto Serif", "P052", "URW Bookman",
)  # fmt: skip


def read(image: Image.Image, path: Path) -> list[str]:
    image.save(path, dpi=(150, 150))
    done = subprocess.run(
        ["tesseract", str(path), "-", "--psm", "6", "-l", "eng"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_an_independent_reader_reads_the_truth(tmp_path: Path) -> None:
    """At least 98 % of the words of clean pages, over text families of usual shapes."""
    fonts = library(())
    families = [f for f in fonts.families if f.name in TEXT_FAMILIES and f.is_readable]
    right = total = 0
    for seed, family in enumerate(families):
        rng = random.Random(seed)
        text = " ".join(sentence(rng) for _ in range(22))
        faces = Typefaces((family,), (family,), (family,))
        style = style_for(faces, rng, len(text), size=26.0)
        style = replace(
            style, width=1000, columns=1, ink=(0, 0, 0), paper=(255, 255, 255), trim=True,
            align="left", column_rule=False,
        )  # fmt: skip
        pages = lay_out([paragraph(text)], style)
        for page in pages:
            painted = paint(page)
            truth = [w for line in painted.lines for w in line.text.split()]
            given = read(painted.image, tmp_path / "page.png")
            right += _matched(truth, given)
            total += len(truth)
    assert total > 150 * len(families)
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
