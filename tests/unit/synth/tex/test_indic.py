"""Glyphs of Indic scripts come back in reading order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nanovl.synth.tex.indic import has_indic, to_reading_order


@dataclass
class _Glyph:
    text: str


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (["\u093f", "\u0926", "\u0928"], "\u0926\u093f\u0928"),
        (["\u093f", "\u0938\u094d", "\u0925", "\u0924"], "\u0938\u094d\u0925\u093f\u0924"),
        (["\u0915", "\u092e", "\u0930\u094d"], "\u0915\u0930\u094d\u092e"),
        (["\u0936", "\u0915", "\u094d", "\u093f", "\u0924"],
         "\u0936\u0915\u094d\u0924\u093f"),
        (["\u093f", "\u0924", "\u0930\u094d"], "\u0930\u094d\u0924\u093f"),
        (["a", "\u093f"], "a\u093f"),
    ],
)  # fmt: skip
def test_vowels_before_and_r_above_move(printed: list[str], read: str) -> None:
    glyphs = [_Glyph(text) for text in printed]
    to_reading_order(glyphs)
    assert "".join(g.text for g in glyphs) == read


def test_other_scripts_are_not_meant() -> None:
    assert not has_indic("abc \u4e00 \u05d0 \u0627")
    glyphs = [_Glyph(c) for c in "plain words"]
    to_reading_order(glyphs)
    assert "".join(g.text for g in glyphs) == "plain words"
