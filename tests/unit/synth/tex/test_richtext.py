"""Text of pieces: lines joined, hyphens of line breaks gone, styles marked."""

from __future__ import annotations

from nanovl.synth.tex.events import State
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import code_lines, font_style, markdown_of, plain_of, words_of
from tests.unit.synth.tex.pieces import font, glyphs


def test_lines_join_with_a_blank_and_soft_hyphens_go() -> None:
    first = glyphs("two exam-", state=State(par=1, line=1))
    first[-1].state = State(par=1, line=1, soft=1)
    items = [*first, *glyphs("ples of", state=State(par=1, line=2)),
             *glyphs("text", state=State(par=1, line=3))]  # fmt: skip
    assert plain_of(items) == "two examples of text"
    words, lines = words_of(items)
    assert [w for _, w in words] == ["two", "exam-", "ples", "of", "text"]
    assert [t for _, t in lines] == ["two exam-", "ples of", "text"]


def test_hyphens_of_the_author_stay() -> None:
    items = [*glyphs("well-", state=State(par=1, line=1)),
             *glyphs("known", state=State(par=1, line=2))]  # fmt: skip
    assert plain_of(items) == "well-known"


def test_bold_and_italic_are_marked() -> None:
    items = glyphs("a word here")
    for item in items[2:6]:
        item.font = font(2, "lmroman10-bold")
    assert markdown_of(items, Converter({}, {})) == "a **word** here"


def test_marks_are_escaped_only_where_they_would_count() -> None:
    assert markdown_of(glyphs("# no head"), Converter({}, {})) == "\\# no head"
    assert markdown_of(glyphs("a # b*c"), Converter({}, {})) == "a # b*c"
    assert markdown_of(glyphs("a <b"), Converter({}, {})) == "a \\<b"


def test_font_names_tell_styles() -> None:
    assert [font_style(font(1, name)) for name in ("cmr10", "cmbx10", "cmti10", "cmtt10")] == [
        0, 1, 2, 4,
    ]  # fmt: skip


def test_code_keeps_its_indent() -> None:
    items = [*glyphs("if x:", state=State(par=1, line=1)),
             *glyphs("y", x=20.0, state=State(par=2, line=1))]  # fmt: skip
    assert code_lines(items) == "if x:\n    y"
