"""Properties of rendered pages that hold for every seed."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings, strategies as st

from nanovl.synth.base import Reject, Streams
from nanovl.synth.documents.blocks import Run
from nanovl.synth.documents.fonts import BUILTIN, library
from nanovl.synth.documents.glyphs import pen
from nanovl.synth.documents.lines import break_lines
from nanovl.synth.documents.ocrpage import ocr_page
from nanovl.synth.documents.text import clean
from nanovl.synth.documents.warp import Warp, curl, fold, waves
from nanovl.synth.verify import score

LATIN = st.text(
    alphabet=st.sampled_from("abcdefghij .,;ABCDEFG0123456789-()'\""), min_size=1, max_size=300
)


@settings(max_examples=60, deadline=None)
@given(LATIN, st.integers(40, 600), st.integers(10, 40), st.sampled_from(["left", "justify"]))
def test_breaking_lines_loses_nothing(text: str, width: int, size: int, align: str) -> None:
    used = pen((library((BUILTIN,)).families[0],), float(size))
    lines = break_lines((Run(text),), used, float(width), align=align)  # type: ignore[arg-type]
    words = [w for line in lines for w in line.words]
    joined = "".join((" " if w.space else "") + w.text for w in words).strip()
    assert joined == " ".join(text.split())
    for line in lines:
        end = max(w.x + w.shaped.width for w in line.words)
        # Brackets and stops stay with the letter beside them.
        assert end <= width + 0.5 or sum(map(str.isalnum, line.text)) <= 1


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(200, 900), st.integers(200, 900))
def test_warps_can_be_undone(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64) + 50
    corners += rng.uniform(-0.06, 0.06, (4, 2)) * (width, height)
    bends = [
        curl(float(rng.uniform(1, 14)), float(rng.uniform(0.8, 2)) * width, 1.0),
        fold((width / 2, height / 3), float(rng.uniform(0, 3)), 6, 80),
        waves(rng, (width, height), 90, 2.4),
    ]
    warp = Warp((width, height), corners, (width + 100, height + 100), bends)
    points = rng.uniform((10, 10), (width - 10, height - 10), (50, 2))
    assert np.abs(warp.source_of(warp.points(points)) - points).max() < 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**63))
def test_any_seed_gives_boxes_inside_and_right_answers(seed: int) -> None:
    level = random.Random(seed).randrange(5)
    try:
        sample = ocr_page({"fonts": [BUILTIN], "difficulty": level}).generate(0, Streams(seed))
    except Reject:
        return
    (page,) = sample.gt["pages"]
    for block in page["blocks"]:
        for line in block["lines"]:
            for word in line["words"]:
                x0, y0, x1, y1 = word["bbox"]
                assert 0 <= x0 < x1 <= page["width"]
                assert 0 <= y0 < y1 <= page["height"]
    for task in sample.tasks:
        assert score(task.verifier, task.answer, task.answer_text) == 1.0
