"""Rows and cells of displayed formulas, built by hand: what is empty keeps its place."""

from __future__ import annotations

from collections.abc import Sequence

from nanovl.synth.tex.blocks import Block
from nanovl.synth.tex.events import Cell, Item, Maths, Row, State
from nanovl.synth.tex.formulas import write_formula
from nanovl.synth.tex.maths import Converter
from tests.unit.synth.tex.pieces import font, glyphs

_BOX = (0.0, 0.0, 10.0, 10.0)


def _display(rows: Sequence[Sequence[str]], aligns: str) -> Block:
    """A display of rows; letters become formulas of their own, "(1)" stays text."""
    maths_font = font(1, "latinmodern-math")
    lists: dict[int, Maths] = {}
    items: list[Item] = []
    boxes: dict[int, Row] = {}
    cell = 0
    for r, texts in enumerate(rows, 1):
        boxes[r] = Row(r, 0, 0, 0, _BOX)
        for text, align in zip(texts, aligns, strict=True):
            cell += 1
            boxes[r].cells.append(Cell(cell, False, align, _BOX))
            number = 0
            if text and not text.startswith("("):
                number = len(lists) + 1
                for char in text:
                    maths_font.texts[ord(char)] = char
                tree = [["n", 5 if c == "=" else 0, ["c", 1, ord(c)], None, None] for c in text]
                lists[number] = Maths(number, False, 1, 10.0, tree)
            items += glyphs(text, state=State(math=number, row=r, cell=cell))
    block = Block("Formula", ("F", 1), _BOX, items)
    write_formula(block, Converter({1: maths_font}, lists), boxes)
    return block


def test_an_empty_first_cell_stays() -> None:
    block = _display([["1", "=2", "(1)"], ["", "=3", "(2)"]], "rll")
    assert block.latex == "\\begin{aligned} 1 & =2 \\\\  & =3 \\end{aligned}"
    assert block.number == "(1) (2)"


def test_empty_cells_in_the_middle_stay_and_last_ones_go() -> None:
    block = _display([["1", "=2", "3", "=4"], ["", "", "5", "=6"], ["7", "", "", ""]], "rlrl")
    assert block.latex == (
        "\\begin{aligned} 1 & =2 & 3 & =4 \\\\  &  & 5 & =6 \\\\ 7 \\end{aligned}"
    )


def test_the_sign_of_an_eqnarray_joins_its_right_side() -> None:
    block = _display([["1", "=", "2", "(3)"], ["", "=", "4", ""]], "lcll")
    assert block.latex == "\\begin{aligned} 1 & =2 \\\\  & =4 \\end{aligned}"
    assert block.number == "(3)"


def test_one_row_is_no_alignment() -> None:
    assert _display([["1", "=2", ""]], "rll").latex == "1 =2"
