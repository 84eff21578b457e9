"""Glyph names and codes become text."""

from __future__ import annotations

import shutil

import pytest

from nanovl.synth.tex.glyphs import UNKNOWN, name_text, opentype_text, tfm_text


@pytest.mark.parametrize(
    ("code", "to_unicode", "text"),
    [
        (0x41, "0041", "A"),
        (0xF0001, "00660066", "ff"),
        (0xFB03, "", "ffi"),
        (0xF0002, "D835DC44", "\U0001d444"),
        (0xF0003, "", UNKNOWN),
        (0xD80C, "", UNKNOWN),
        (0xAD, "", "-"),
    ],
)
def test_opentype(code: int, to_unicode: str, text: str) -> None:
    assert opentype_text(code, to_unicode) == text


@pytest.mark.tex
@pytest.mark.skipif(
    shutil.which("kpsewhich") is None,
    reason="needs TeX's glyph lists: apt install texlive-binaries",
)
def test_names_and_classic_fonts() -> None:
    assert name_text("parenleftBig") == "("
    assert name_text("f_f_i") == "ffi"
    assert name_text("uni00410042") == "AB"
    assert name_text("A.sc") == "A"
    assert name_text("nosuchname") == UNKNOWN
    assert tfm_text("cmr10", 14) == "ffi"
    assert tfm_text("cmmi10", 11) == "\u03b1"
    assert tfm_text("cmex10", 88) == "\u2211"
