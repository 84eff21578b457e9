"""Chinese, Japanese and Korean: real words, no blanks where there are none, lines cut well."""

from __future__ import annotations

import random
import unicodedata
from itertools import pairwise

import pytest

from nanovl.synth.documents.blocks import Run
from nanovl.synth.documents.cjk import ENDS, LANGUAGES, UNSPACED, cjk_words, joined
from nanovl.synth.documents.fonts import library
from nanovl.synth.documents.glyphs import pen
from nanovl.synth.documents.lines import break_lines, text_of
from nanovl.synth.documents.ocrpage import ocr_line, ocr_page
from nanovl.synth.documents.scripts import script_of
from nanovl.synth.documents.text import Mixture, random_word
from tests.unit.synth.checks import make

SCRIPTS = ("chinese", "japanese", "korean")


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_are_of_their_script(script: str) -> None:
    words = cjk_words(script)
    assert len(set(words)) > 100
    rng = random.Random(1)
    assert all(random_word(rng, script) in words for _ in range(20))
    whole = "".join(words)
    assert all(unicodedata.category(c).startswith("L") for c in whole)
    if script == "korean":
        assert script_of(whole) == "korean"
    assert cjk_words("latin") == ()


def test_blanks_stand_only_between_latin_words() -> None:
    words = ["\u5929\u6c14", "Linux", "3.5", "\u8bfe\u672c"]
    assert joined(words, "chinese") == "\u5929\u6c14Linux 3.5\u8bfe\u672c"
    assert joined(words, "korean") == " ".join(words)
    mixture = Mixture(script="chinese", marks=1.0)
    text = mixture.join(mixture.words(random.Random(2), 40))
    assert any(mark in text for mark in ENDS["chinese"])
    assert not set(text) & set(",;!?")


def _fonts() -> tuple[object, ...]:
    found = library(()).for_script("chinese", "all")
    if not found:
        pytest.skip("needs a CJK font: apt install fonts-noto-cjk")
    return found


@pytest.mark.slow
def test_lines_neither_begin_with_closing_marks_nor_cut_latin_words() -> None:
    family = _fonts()[0]
    used = pen((family,), 16.0)  # type: ignore[arg-type]
    text = "\u5929\u6c14\u300a\u8bfe\u672c\u300bLinux\u7cfb\u7edf\uff0c\u30b3\u30fc\u30d2\u30fc2034"
    for width in range(40, 200, 3):
        lines = break_lines((Run(text * 3),), used, float(width))
        said = [text_of(line.words) for line in lines]
        assert "".join(said) == text * 3
        for line in said[1:]:
            assert line[0] not in "\u300b\uff0c\u3002\u30fc"
        if width > 100:
            for before, after in pairwise(said):
                latin = before[-1].isascii() and after[0].isascii()
                assert not (latin and before[-1].isalnum() and after[0].isalnum()), (before, after)
        assert all(not line.endswith("\u300a") for line in said)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_pages_and_lines_hold_together(script: str) -> None:
    _fonts()
    settings = {"scripts": [script], "font_split": "all"}
    for generator in (
        ocr_line(settings),
        ocr_page({**settings, "augment": "none", "difficulty": 2}),
    ):
        sample = make(generator, 1)
        assert sample is not None
        assert sample.lang == LANGUAGES[script]
        lines = [line for p in sample.gt["pages"] for b in p["blocks"] for line in b["lines"]]
        text = "".join(line["text"] for line in lines)
        assert sum(not c.isascii() for c in text) > len(text) / 3
        width = sample.gt["pages"][0]["width"]
        assert all(line["bbox"][2] <= width for line in lines)
        if script in UNSPACED:
            assert text.count(" ") < len(text) / 8
