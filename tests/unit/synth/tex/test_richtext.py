"""Text of pieces: lines joined, hyphens of line breaks gone, styles marked."""

from __future__ import annotations

from nanovl.synth.tex.events import Item, State
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


def test_metric_files_of_postscript_fonts_say_their_style() -> None:
    names = ("ptmr8t", "ptmbi8t", "phvbo8t", "pcrr8t", "ec-qcsb", "ec-qplri", "qtmr", "pagd8t")
    assert [font_style(font(1, name)) for name in names] == [0, 3, 3, 4, 1, 2, 0, 1]
    assert font_style(font(1, "placardcondensed-regular")) == 0


def test_numbered_lines_of_code_keep_the_indent_after_the_number() -> None:
    def small(text: str, x: float, line: int) -> list[Item]:
        made = glyphs(text, x=x, state=State(par=line, line=1))
        for place, item in enumerate(made):
            item.width += 1.0 * (place % 2)  # no fixed columns
            item.box = (item.x, item.box[1], item.x + item.width, item.box[3])
        return made

    items = [*small("1:", 0.0, 1), *small("for", 20.0, 1), *small("2:", 0.0, 2),
             *small("do", 38.0, 2)]  # fmt: skip
    first, second = code_lines(items).split("\n")
    assert first.split() == ["1:", "for"]
    assert second.index("do") - first.index("for") == 2  # 18 points of about 7 a blank
