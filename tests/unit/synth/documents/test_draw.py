"""Pixels and boxes agree: ink is where the boxes are, and says what the text says."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nanovl.synth.documents.blocks import Run, TextBlock, paragraph
from nanovl.synth.documents.build import style_for, typefaces_for
from nanovl.synth.documents.draw import paint, stamp_word, union
from nanovl.synth.documents.fonts import FontLibrary
from nanovl.synth.documents.glyphs import SUPER
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.pages import Page
from nanovl.synth.documents.text import Mixture


def random_page(fonts: FontLibrary, seed: int) -> Page:
    rng = random.Random(seed)
    text = " ".join(Mixture(english=0.8, numbers=0.1, marks=0.1).words(rng, 120))
    text = text.translate({0x20AC: "$", 0xA3: "$"})  # the bundled face has no other currency
    faces = typefaces_for(fonts, "all", text, rng)
    style = style_for(faces, rng, len(text))
    style = replace(style, ink=(0, 0, 0), paper=(255, 255, 255), heading_colour=(0, 0, 0))
    style = replace(style, heading_rule=False, column_rule=False, header_rule=False)
    blocks = [
        paragraph("A Title", "title"),
        paragraph(text),
        TextBlock(kind="list_item", runs=(Run("numbered"),), marker="1."),
    ]
    return lay_out(blocks, style)[0]


@pytest.mark.parametrize("seed", range(8))
def test_ink_is_inside_the_word_boxes(builtin: FontLibrary, seed: int) -> None:
    painted = paint(random_page(builtin, seed))
    dark = np.asarray(painted.image.convert("L")) < 200
    inside = np.zeros_like(dark)
    for line in painted.lines:
        for word in line.words:
            x0, y0, x1, y1 = word.box
            area = (slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1))))
            inside[area] = True
            assert dark[area].any(), word.text
    assert not (dark & ~inside).any()


@pytest.mark.parametrize("seed", range(8))
def test_every_word_drawn_again_gives_the_same_pixels(builtin: FontLibrary, seed: int) -> None:
    page = random_page(builtin, seed)
    painted = paint(page)
    pixels = np.asarray(painted.image.convert("L")).astype(int)
    placed = [(w, ln) for p in page.pieces for ln in p.lines for w in ln.words]
    shown = [w for line in painted.lines for w in line.words]
    assert [w.text for w, _ in placed] == [w.text for w in shown]
    for (word, line), seen in zip(placed, shown, strict=True):
        sheet = np.zeros((page.height * SUPER, page.width * SUPER), np.uint8)
        box, characters = stamp_word(sheet, word.pen.shape(seen.text), word.x, line.baseline)
        assert box == seen.box
        assert len(characters) == len(seen.text)
        x0, y0, x1, y1 = int(box[0]), int(box[1]), int(box[2]) + 1, int(box[3]) + 1
        alone = 255 - np.asarray(Image.fromarray(sheet).reduce(SUPER)).astype(int)
        difference = np.abs(alone[y0:y1, x0:x1] - pixels[y0:y1, x0:x1])
        assert np.median(difference) <= 1
        assert (difference > 40).mean() < 0.02  # neighbours may touch the box


def test_characters_are_in_order_and_inside_their_word(builtin: FontLibrary) -> None:
    painted = paint(random_page(builtin, 3))
    for line in painted.lines:
        assert union(w.box for w in line.words) == line.box
        for word in line.words:
            assert union(word.characters) == word.box
            middles = [(b[0] + b[2]) / 2 for b in word.characters]
            assert middles == sorted(middles)


def test_what_leaves_the_sheet_is_cut_off(builtin: FontLibrary) -> None:
    from nanovl.synth.documents.glyphs import pen

    shaped = pen((builtin.families[0],), 20).shape("word")
    sheet = np.zeros((40, 40), np.uint8)
    box, _ = stamp_word(sheet, shaped, 10, 15)
    assert box is not None
    assert box[2] <= 20
    assert stamp_word(sheet, shaped, 100, 15) == (None, ())


def test_coloured_text_keeps_its_colour(builtin: FontLibrary) -> None:
    page = random_page(builtin, 1)
    page.style = replace(page.style, heading_colour=(200, 0, 0))
    for piece in page.pieces:
        if piece.kind == "title":
            for line in piece.lines:
                line.colour = (200, 0, 0)
    painted = paint(page)
    title = next(b for b in painted.blocks if b.kind == "title")
    x0, y0, x1, y1 = map(int, title.box)
    crop = np.asarray(painted.image)[y0:y1, x0:x1].reshape(-1, 3)
    darkest = crop[crop.sum(axis=1).argmin()]
    assert darkest[0] > 150
    assert darkest[1] < 60
