"""Lines, pages, tables: nothing is lost, nothing overlaps, everything is inside."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from nanovl.data.convert.table_qa import Table
from nanovl.synth.base import Reject
from nanovl.synth.documents.blocks import (
    Block,
    PictureBlock,
    Run,
    TableBlock,
    TextBlock,
    paragraph,
)
from nanovl.synth.documents.draw import paint
from nanovl.synth.documents.fonts import FontLibrary, has_shaping
from nanovl.synth.documents.glyphs import pen
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.lines import break_lines
from nanovl.synth.documents.style import PageStyle, contrast, draw_palette, draw_table_style
from nanovl.synth.documents.tablelayout import lay_table
from nanovl.synth.documents.text import Mixture, sentence


@pytest.fixture
def style(builtin: FontLibrary) -> PageStyle:
    stack = (builtin.families[0],)
    return PageStyle(width=600, max_height=700, body=stack, head=stack, mono=stack, size=16)


def text_of(pages: list) -> str:
    return " ".join(line.text for page in pages for piece in page.pieces for line in piece.lines)


def long_text(count: int) -> str:
    return " ".join(sentence(random.Random(n)) for n in range(count))


def test_lines_keep_all_words_and_the_width(builtin: FontLibrary) -> None:
    used = pen((builtin.families[0],), 18)
    text = long_text(30)
    for align in ("left", "right", "center", "justify"):
        lines = break_lines((Run(text),), used, 480, align=align)  # type: ignore[arg-type]
        assert " ".join(line.text for line in lines) == text
        for line in lines:
            last = line.words[-1]
            assert line.words[0].x >= -0.01
            assert last.x + last.shaped.width <= 480.5
        starts = [line.words[0].x for line in lines]
        if align in ("left", "justify"):
            assert max(starts) < 0.01
        if align == "justify":
            ends = [ln.words[-1].x + ln.words[-1].shaped.width for ln in lines[:-1]]
            assert sum(end > 479 for end in ends) > 0.8 * len(ends)


def test_a_word_wider_than_the_column_is_cut(builtin: FontLibrary) -> None:
    used = pen((builtin.families[0],), 20)
    lines = break_lines((Run("ab " + "x" * 80 + " cd"),), used, 150)
    assert len(lines) > 3
    joined = "".join((" " if w.space else "") + w.text for ln in lines for w in ln.words)
    assert joined.strip() == "ab " + "x" * 80 + " cd"


def test_styled_runs_are_glued_where_no_blank_is(builtin: FontLibrary) -> None:
    used = pen((builtin.families[0],), 20)
    runs = (Run("a "), Run("b", bold=True), Run(", c"))
    (line,) = break_lines(runs, used, 400)
    assert line.text == "a b, c"


@pytest.mark.skipif(not has_shaping(), reason="this Pillow has no Raqm")
def test_right_to_left_lines_keep_the_order_of_latin_words(builtin: FontLibrary) -> None:
    used = pen((builtin.families[0],), 20)
    (line,) = break_lines((Run("100 first second 200"),), used, 500, align="right", rtl=True)
    places = {w.text: w.x for w in line.words}
    # The number begins at the right; words in Latin letters run on from left to right.
    assert places["100"] > places["second"] > places["first"]
    assert line.text == "100 first second 200"


@pytest.mark.skipif(not has_shaping(), reason="this Pillow has no Raqm")
def test_paragraphs_of_a_right_to_left_page_have_their_own_direction(style: PageStyle) -> None:
    (page,) = lay_out([paragraph("one two.")], replace(style, rtl=True, align="right"))
    first, second = page.pieces[0].lines[0].words
    assert first.x == style.margins[0]
    assert second.x > first.x


def test_text_flows_over_pages_without_loss(style: PageStyle) -> None:
    text = long_text(200)
    for columns in (1, 2, 3):
        pages = lay_out([paragraph(text)], replace(style, columns=columns))
        assert len(pages) > 1
        assert text_of(pages) == text
        assert [p.pieces[0].is_rest for p in pages] == [False, *[True] * (len(pages) - 1)]
        for page in pages:
            for piece in page.pieces:
                for line in piece.lines:
                    assert line.bottom <= page.height - style.margins[3] + 1
                    assert line.top >= style.margins[1] - 1


def test_columns_of_a_single_page_are_equally_long(style: PageStyle) -> None:
    pages = lay_out([paragraph(long_text(25))], replace(style, columns=2, trim=True))
    assert len(pages) == 1
    counts = [len(piece.lines) for piece in pages[0].pieces]
    assert len(counts) == 2
    assert abs(counts[0] - counts[1]) <= 1
    assert pages[0].height < style.max_height


def test_a_heading_never_ends_a_page(style: PageStyle) -> None:
    blocks: list[Block] = []
    for n in range(12):
        blocks += [paragraph(f"Head {n}", "section_header", 1), paragraph(long_text(4 + n % 3))]
    pages = lay_out(blocks, style)
    assert len(pages) > 2
    for page in pages[:-1]:
        assert page.pieces[-1].kind != "section_header"


def test_headers_and_footers_count_pages(style: PageStyle) -> None:
    pages = lay_out(
        [paragraph(long_text(120))], replace(style, header="Title", footer="{page} of {pages}")
    )
    ends = [page.pieces[-1].lines[0].text for page in pages]
    assert ends == [f"{n} of {len(pages)}" for n in range(1, len(pages) + 1)]
    assert all(page.pieces[0].kind == "page_header" for page in pages)


def test_lists_code_and_pictures_stand_on_pages(style: PageStyle) -> None:
    blocks: list[Block] = [
        TextBlock(kind="list_item", runs=(Run("one point"),), marker="-"),
        TextBlock(kind="list_item", runs=(Run("numbered"),), marker="2.", level=1),
        TextBlock(kind="code", runs=(Run("if x:\n    pass"),)),
        PictureBlock(caption="Figure 1: nothing", seed=3),
    ]
    (page,) = lay_out(blocks, style)
    painted = paint(page)
    kinds = [b.kind for b in painted.blocks]
    assert kinds == ["list_item", "list_item", "code", "picture", "caption"]
    assert [line.text for line in painted.lines] == [
        "one point", "2. numbered", "if x:", "pass", "Figure 1: nothing",
    ]  # fmt: skip
    first, second = painted.blocks[2].lines
    assert second.indent == 4
    assert second.box[0] > first.box[0] + 10
    assert painted.blocks[1].box[0] > painted.blocks[0].box[0]


def test_too_many_pages_are_refused(style: PageStyle) -> None:
    with pytest.raises(Reject, match="too_many_pages"):
        lay_out([paragraph(long_text(300))], style, max_pages=2)


def table(rows: int, columns: int = 4, width: int = 8) -> Table:
    rng = random.Random(rows)
    mixture = Mixture(english=1.0)
    return Table(
        id="t",
        title="A table",
        header=tuple(f"Head {c}" for c in range(columns)),
        rows=tuple(
            tuple(" ".join(mixture.words(rng, rng.randint(0, width))) for _ in range(columns))
            for _ in range(rows)
        ),
    )


def test_cells_neither_overlap_nor_leave_their_area(style: PageStyle) -> None:
    rng = random.Random(5)
    for seed in range(12):
        made = draw_table_style(rng, (0, 0, 0), (255, 255, 255), (120, 0, 0))
        block = TableBlock(table=table(6 + seed), caption="Table 1: things")
        pages = lay_out([block], replace(style, table=made, max_height=4000, trim=True))
        for page in pages:
            painted = paint(page)
            cells = [c for b in painted.blocks for c in b.cells]
            assert len(cells) == 4 * (7 + seed)
            for cell in cells:
                if cell.ink is None:
                    assert not cell.text
                    continue
                x0, y0, x1, y1 = cell.box
                assert x0 - 1 <= cell.ink[0] < cell.ink[2] <= x1 + 1
                assert y0 - 1 <= cell.ink[1] < cell.ink[3] <= y1 + 1
            areas = sorted((c.box for c in cells), key=lambda b: (b[1], b[0]))
            assert areas[0][0] >= style.margins[0] - 1
            assert max(a[2] for a in areas) <= style.width - style.margins[2] + 1


def test_long_tables_repeat_their_header(style: PageStyle) -> None:
    made = table(60, width=3)
    pages = lay_out([TableBlock(table=made)], style)
    assert len(pages) > 1
    rows = []
    for page in pages:
        (piece,) = [p for p in page.pieces if p.kind == "table"]
        assert [c.text for c in piece.cells if c.row == -1] == list(made.header)
        rows += [c.row for c in piece.cells if c.row >= 0 and c.column == 0]
    assert rows == list(range(60))


def test_a_table_too_wide_is_refused(style: PageStyle) -> None:
    wide = Table(id="t", title="", header=("A" * 40, "B" * 40), rows=(("a", "b"),))
    with pytest.raises(Reject, match="table_too_wide"):
        lay_table(TableBlock(table=wide), style, 200)


def test_colours_can_be_read() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        ink, paper, accent = draw_palette(rng, dark=0.2)
        assert contrast(ink, paper) > 7
        assert contrast(accent, paper) > 3.5
        made = draw_table_style(rng, ink, paper, accent)
        assert contrast(made.header_ink, made.header_fill or paper) > 3.5
        assert contrast(ink, made.zebra_fill or paper) > 5
