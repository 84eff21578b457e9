"""Tables as text: what is written reads back the same, and what is wrong is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.data.convert.grids import Cell as GridCell, Grid, Run, place, write_grid
from nanovl.synth.base import Reject
from nanovl.synth.tables.content import build, draw_plan
from nanovl.synth.tables.forms import forms_of, records, write
from nanovl.synth.tables.grid import Cell, Table
from nanovl.synth.tables.parse import parse, parse_otsl
from nanovl.synth.tables.teds import similarity

PIECES = ["a", "Total", "3.5", "x & y", "5%", "$7", "{b}", "a_b", "<td>", "p|q", "\\", "~^", "#1",
          "-", "(4)", "n/a", ""]  # fmt: skip


def random_grid(rng: random.Random) -> Grid:
    """A rectangular grid with random spans and difficult texts."""
    height, width = rng.randint(2, 9), rng.randint(1, 8)
    head = rng.randint(1, min(3, height - 1))
    taken: set[tuple[int, int]] = set()
    rows: list[list[GridCell]] = []
    for r in range(height):
        line = []
        for c in range(width):
            if (r, c) in taken:
                continue
            down, across = 1, 1
            if rng.random() < 0.25:
                bottom = head if r < head else height
                down, across = rng.randint(1, min(3, bottom - r)), rng.randint(1, width - c)
            spots = {(r + i, c + j) for i in range(down) for j in range(across)}
            if spots & taken:
                down, across, spots = 1, 1, {(r, c)}
            taken |= spots
            text = " ".join(rng.choice(PIECES) for _ in range(rng.randint(0, 3)))
            text = " ".join(text.split())
            if r == head - 1 and not text:
                text = "h"
            runs = (Run(text),) if text else ()
            line.append(GridCell(runs, down, across, r < head))
        rows.append(line)
    return place(rows, head)


def shape(grid: Grid) -> list[list[tuple[str, int, int, int, int]]]:
    return [[(c.text, c.rows, c.columns, a, b) for c, a, b in row] for row in grid.slots]


def random_table(seed: int) -> Table:
    rng = random.Random(seed)
    while True:
        try:
            return build(draw_plan(rng, is_plain=seed % 2 == 0), rng)
        except Reject:
            continue


def check_grid(seed: int) -> None:
    grid = random_grid(random.Random(seed))
    forms = ["html", "latex"] + (["markdown"] if grid.head == 1 and not grid.has_spans else [])
    for form in forms:
        back = parse(write_grid(grid, form), form)
        assert shape(back) == shape(grid), (seed, form)
        if form != "latex" or len(grid.slots) > grid.head:
            assert back.head == grid.head


def check_table(seed: int) -> None:
    table = random_table(seed)
    grid = table.grid()
    for form in forms_of(table):
        if form in ("csv", "json"):
            continue
        back = parse(write(table, form), form)
        assert shape(back) == shape(grid), (seed, form)
        assert back.head == grid.head


@given(st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_grids_read_back(seed: int) -> None:
    check_grid(seed)


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_tables_read_back(seed: int) -> None:
    check_table(seed)


@pytest.mark.slow
def test_ten_thousand_grids_read_back() -> None:
    for seed in range(8000):
        check_grid(seed)
    for seed in range(2000):
        check_table(seed)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<lcel><fcel>a<nl>", "first column"),
        ("<ucel><fcel>a<nl>", "first row"),
        ("<fcel>a<fcel>b<nl><fcel>c<nl>", "rows have"),
        ("<fcel>a<fcel>b<nl><fcel>c<xcel><nl>", "<xcel>"),
        ("<fcel>a<fcel>b<nl>", ""),
        ("<fcel>a<lcel><nl><ucel><fcel>b<nl>", "<xcel> expected"),
        ("<fcel>a<fcel>b", "end with <nl>"),
        ("<fcel>a<ecel>b<nl>", "after <ecel>"),
        ("words<fcel>a<nl>", "before the first"),
        ("", "no rows"),
    ],
)
def test_invalid_otsl_is_refused(text: str, problem: str) -> None:
    if not problem:
        assert parse_otsl(text).texts() == [["a", "b"]]
        return
    with pytest.raises(InputError, match=problem):
        parse(text, "otsl")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("html", "<table><tr><td>a</td></tr>"),
        ("html", '<table><tr><td class="x">a</td></tr></table>'),
        ("html", "<table>a<tr><td>a</td></tr></table>"),
        ("html", "<table><tr><td>a</td></tr><tr><td>b</td><td>c</td></tr></table>"),
        ("latex", "a & b"),
        ("latex", "\\begin{tabular}{cc}a & b \\\\ c \\\\ \\end{tabular}"),
        ("latex", "\\begin{tabular}{c}\\multirow{x}{*}{a} \\\\ \\end{tabular}"),
        ("markdown", "a | b"),
        ("markdown", "| a | b |\n| --- | --- |\n c"),
        ("xml", "<a/>"),
    ],
)
def test_broken_tables_are_refused(form: str, text: str) -> None:
    with pytest.raises(InputError):
        parse(text, form)


def test_forms_that_cannot_say_a_table_are_refused() -> None:
    spans = next(t for t in map(random_table, range(50)) if t.has_spans)
    assert "markdown" not in forms_of(spans)
    with pytest.raises(InputError, match="markdown"):
        write(spans, "markdown")


def test_places_must_be_covered_once() -> None:
    cells = (Cell(text="a", row=0, column=0), Cell(text="b", row=0, column=0, columns=2))
    with pytest.raises(InputError, match="twice"):
        Table(cells=cells, height=1, width=2, head=0, stub=0, columns=(), rows=())
    with pytest.raises(InputError, match="1 of 2"):
        Table(cells=cells[:1], height=1, width=2, head=0, stub=0, columns=(), rows=())


def test_records_are_keyed_by_header() -> None:
    table = random_table(12)
    for row in records(table):
        assert list(row)[-len(table.columns) :] == [" / ".join(c.path) for c in table.columns]


def test_similarity_of_tables() -> None:
    table = write(random_table(3), "html")
    assert similarity(table, table, "html") == 1.0
    assert similarity(table, "no table", "html") == 0.0
    other = table.replace("<td>", "<td>9", 1)
    assert 0.9 < similarity(table, other, "html") < 1.0
    assert similarity(table, other, "html", structure_only=True) == 1.0
    short = "<table>\n<tbody>\n<tr><td>a</td><td>b</td></tr>\n</tbody>\n</table>"
    one = short.replace("<td>b</td>", "")
    # Taking one of five nodes away costs one.
    assert similarity(short, one, "html") == pytest.approx(1 - 1 / 5)
