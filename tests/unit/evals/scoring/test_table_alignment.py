"""Alignment of tables: worked values, grids of all kinds, a plain program beside it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.scoring.edits import similarity
from nanovl.evals.scoring.table_alignment import (
    MAX_SPAN,
    Grid,
    cell_score,
    create_table_alignment_similarity,
    exact_cell_f1,
    grid_from_html,
    table_similarity,
    table_text,
)
from tests.unit.evals.scoring.rows import scored, value

pytest.importorskip("lxml", reason="needs the extra 'evals'")
pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")

HEAD, FIRST, LAST = ["Year", "Sales"], ["2019", "10"], ["2020", "12"]
TRUTH = [HEAD, FIRST, LAST]
METRIC = create_table_alignment_similarity()


def html(grid: Grid) -> str:
    """A table without spans."""
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in grid)
    return f"<table>{rows}</table>"


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (TRUTH, 1.0),
        ([HEAD, FIRST, ["2020", "13"]], 0.952381),
        ([HEAD, FIRST], 1.0),
        ([FIRST, LAST], 0.666667),
        ([HEAD, LAST], 0.571429),
        ([*TRUTH, ["2021", "14"]], 1.0),
        ([["2021", "14"], *TRUTH], 0.75),
        ([row[:1] for row in TRUTH], 0.857143),
        ([[*row, "x"] for row in TRUTH], 1.0),
        ([row[::-1] for row in TRUTH], 0.857143),
        ([["Q", "Q"]] * 3, 0.714286),
        ([["Year Sales"] * 2, FIRST, LAST], 0.910053),
        ([["Y ear", "Sa-les"], FIRST, LAST], 1.0),
        ([], 0.0),
        ([[]], 0.0),
    ],
)
def test_worked_values(grid: Grid, expected: float) -> None:
    assert table_similarity(TRUTH, grid) == pytest.approx(expected, abs=5e-7)


def test_empty_tables_are_equal() -> None:
    assert table_similarity([], [[]]) == 1.0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("12", "13", 0.0),
        ("Year", "Years", 0.6),
        ("", "", 1.0),
        ("a", "", -1.0),
        ("a-\nb", "ab", 1.0),
    ],
)
def test_cells(a: str, b: str, expected: float) -> None:
    assert cell_score(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("<table><tr><th>a</th><td> <b>b</b>c\n</td></tr></table>", [["a", "bc"]]),
        (
            "<table><tr><td rowspan=2>a</td><td colspan=2>b</td></tr><tr><td>c</td></tr></table>",
            [["a", "b", "b"], ["a", "c", ""]],
        ),
        ("<table><tr><td rowspan=3>a</td></tr></table>", [["a"]]),
        ("<table><tr></tr><tr><td>a</td></tr></table>", [[""], ["a"]]),
        # Rows of a table within a cell are rows as well.
        (
            "<table><tr><td>x<table><tr><td>y</td></tr></table></td></tr></table>",
            [["xy"], ["y"]],
        ),
        ("no table", []),
        ("", []),
    ],
)
def test_grids(text: str, grid: Grid) -> None:
    assert grid_from_html(text) == grid


def test_spans_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"colspan is '1\.5'"):
        grid_from_html("<table><tr><td colspan='1.5'>a</td></tr></table>")
    huge = "<table><tr><td colspan='999999999999' rowspan='999999999999'>a</td></tr></table>"
    assert len(grid_from_html(huge)[0]) == MAX_SPAN


def test_first_table_of_a_reply() -> None:
    assert table_text("a <table><tr></table> b </table>") == "<table><tr></table>"
    assert table_text("</table> <table><tr>") == "<table><tr>"
    assert table_text("| a |") is None


def test_exact_cells() -> None:
    assert exact_cell_f1(TRUTH, TRUTH[::-1]) == 1.0
    assert exact_cell_f1(TRUTH, [["Year", "x"]]) == pytest.approx(2 / 8)
    assert exact_cell_f1([[""]], [["-"]]) == 1.0


def test_metric() -> None:
    rows = [
        scored(METRIC, html(TRUTH), f"Here it is:\n{html(TRUTH)}"),
        scored(METRIC, html(TRUTH), "| Year | Sales |"),
        scored(METRIC, html(TRUTH), "<table><tr><td colspan='x'>a</td></tr></table>"),
        scored(METRIC, html(TRUTH), html([["Q", "Q"]] * 3)),
    ]
    result = METRIC.aggregate(rows)
    assert result.score == pytest.approx((1 + 0.714286) / 4, abs=1e-6)
    assert result.parts["unreadable"] == 2
    assert result.parts["cell_f1"] == 0.25
    # Cells of four characters and fewer, all of which differ.
    assert result.parts["teds"] == pytest.approx((1 + 1 - 6 / 9) / 4)
    assert rows[2].verdict.detail["reason"].startswith("HTML cannot be read: colspan")
    with pytest.raises(InputError, match="is no HTML table"):
        value(METRIC, "none", html(TRUTH))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *("<table>", "<table ", "</table>", "<tr>", "<td>", "</td>", "<th rowspan=2>"),
                    *("<td colspan=3>", "<td colspan=-1>", "<!--", "-->", "&", "<?x?>", "\x00"),
                ]
            ),
            st.text(max_size=4),
        ),
        max_size=15,
    ).map("".join)
)
def test_any_reply_has_a_value(text: str) -> None:
    got = value(METRIC, html(TRUTH), text)
    assert got is not None
    assert 0.0 <= got <= 1.0


def plain_score(truth: Grid, given: Grid) -> float:
    """The definition, one pair of cells after the other."""

    def align(m: int, n: int, pair: list[list[float]], gap: float) -> tuple[int, int, float, int]:
        cost = [[0.0] * (n + 1) for _ in range(m + 1)]
        steps = [[0] * (n + 1) for _ in range(m + 1)]
        for i in range(m + 1):
            for j in range(n + 1):
                if i == 0 or j == 0:
                    steps[i][j] = i + j
                    continue
                came = [(i - 1, j - 1, pair[i - 1][j - 1]), (i - 1, j, gap), (i, j - 1, gap)]
                scores = [cost[x][y] + more for x, y, more in came]
                best = scores.index(max(scores))
                cost[i][j] = scores[best]
                steps[i][j] = steps[came[best][0]][came[best][1]] + 1
        ends = [(m, n), *((i, n) for i in range(m + 1)), *((m, j) for j in range(n + 1))]
        i, j = max(ends, key=lambda end: cost[end[0]][end[1]])
        return i, j, cost[i][j], steps[i][j]

    def cells(a: list[str], b: list[str]) -> float:
        pair = [[2 * similarity(x, y) - 1 for y in b] for x in a]
        return align(len(a), len(b), pair, -1)[2] + 5

    rows = [[cells(a, b) for b in given] for a in truth]
    *_, score, steps = align(len(truth), len(given), rows, -3)
    return max(0.0, min(1.0, score / (steps * (5 + len(truth[0])))))


def test_agrees_with_the_definition() -> None:
    source = random.Random(8)

    def table() -> Grid:
        width = source.randint(1, 4)
        words = ["a", "foo", "fo", "12", "13", "", "ab"]
        return [[source.choice(words) for _ in range(width)] for _ in range(source.randint(1, 6))]

    partial = 0
    for _ in range(300):
        truth, given = table(), table()
        expected = plain_score(truth, given)
        assert table_similarity(truth, given) == pytest.approx(expected, abs=1e-6), (truth, given)
        partial += 0 < expected < 1
    assert partial > 150
