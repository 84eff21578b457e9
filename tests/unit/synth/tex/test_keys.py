"""Pieces find their block by the attributes they carry."""

from __future__ import annotations

from collections import Counter

from nanovl.synth.tex.assemble import assemble
from nanovl.synth.tex.blocks import AUTHOR, CODE, HEADER, LINE_NUMBER, TITLE
from nanovl.synth.tex.events import Item, RawPage, Recording, State
from nanovl.synth.tex.keys import group_pieces
from tests.unit.synth.tex.pieces import glyphs


def _page(*lines: list[Item]) -> RawPage:
    return RawPage(1, 1, 600.0, 800.0, 0, [i for line in lines for i in line], {})


def _texts(page: RawPage) -> list[tuple[object, str]]:
    groups, stray = group_pieces(page)
    assert not stray
    return [(key[0], "".join(i.text for i in items)) for key, items in groups.items()]


def _blocks(page: RawPage) -> tuple[list[tuple[str, str]], list[str]]:
    recording = Recording([page], {}, {}, {}, {}, {}, Counter(), True)
    (made,), _ = assemble(recording)
    return [(b.klass, b.text) for b in made.blocks], made.tags


def test_numbers_of_lines_belong_to_no_block() -> None:
    number = glyphs("7", x=80, state=State(klass=LINE_NUMBER, inst=3, par=-1, line=1))
    text = glyphs("water", x=100, state=State(par=5, line=1))
    assert _texts(_page(number, text)) == [("X", "water")]
    assert _blocks(_page(number, text)) == ([("Text", "water")], ["line_numbers"])


def test_a_column_of_numbers_counting_up_is_no_text() -> None:
    rows = [glyphs(str(k + 31), x=40, y=100 + 20 * k, state=State(par=-9, line=1, row=k + 1))
            for k in range(12)]  # fmt: skip
    text = glyphs("water", x=100, state=State(par=5, line=1))
    assert _blocks(_page(*rows, text)) == ([("Text", "water")], ["line_numbers"])
    rows[5][1].text = "9"  # 31 ... 35 39 37: some column of a text
    blocks, tags = _blocks(_page(*rows, text))
    assert len(blocks) == 2
    assert not tags


def test_a_running_head_made_with_the_title_stays_a_head() -> None:
    folio = glyphs("12", x=100, y=40, state=State(klass=HEADER, inst=8, par=-4, line=1))
    quoted = glyphs("Lakes", x=140, y=40, state=State(klass=TITLE, inst=1, par=-4, line=1))
    author = glyphs("Reed", x=180, y=40, state=State(klass=AUTHOR, inst=1, par=-4, line=1))
    assert _texts(_page(folio, quoted, author)) == [("H", "12LakesReed")]
    title = glyphs("Lakes", x=140, y=90, state=State(klass=TITLE, inst=1, par=-5, line=1))
    assert [k for k, _ in _texts(_page(folio, title))] == ["H", TITLE]


def test_letters_of_a_logo_stay_in_their_head() -> None:
    head = State(klass=HEADER, inst=8, par=-4, line=1)
    before, after = glyphs("L", x=100, y=40, state=head), glyphs("TeX", x=108, y=40, state=head)
    raised = glyphs("A", x=104, y=38, state=head._replace(par=-5))
    assert _texts(_page(before, raised, after)) == [("H", "LATeX")]
    far = glyphs("A", x=104, y=60, state=head._replace(par=-5))
    assert [t for _, t in _texts(_page(before, after, far))] == ["LTeX", "A"]


def test_boxes_within_an_algorithm_are_one_block() -> None:
    outer = State(klass=CODE, inst=3, float_=2, par=7, line=1, column=4)
    loop = glyphs("while x", y=100, state=outer)
    body = glyphs("do y", x=20, y=112, state=outer._replace(par=8, column=5))
    assert _texts(_page(loop, body)) == [(CODE, "while xdo y")]
    for item in (*loop, *body):
        item.state = item.state._replace(float_=0)  # a listing that goes on in another column
    assert [t for _, t in _texts(_page(loop, body))] == ["while x", "do y"]
