"""TEDS: worked values, markup of all kinds, agreement with another distance."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.scoring.teds import create_teds, create_teds_s, html_table, teds, wrap_table
from tests.unit.evals.scoring.rows import scored, value

pytest.importorskip("lxml", reason="needs the extra 'evals'")
pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")

SQUARE = "<table><tr><td>alpha</td><td>b</td></tr><tr><td>gamma</td><td>d</td></tr></table>"


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (SQUARE, 1.0),
        (SQUARE.replace("gamma", "12345"), 0.8333),
        ("<table><tr><td>alpha</td><td>b</td></tr></table>", 0.5),
        (
            "<table><tr><td colspan='2'>alpha</td></tr><tr><td>gamma</td><td>d</td></tr></table>",
            0.6667,
        ),
        (
            "<table><thead><tr><th>alpha</th><th>b</th></tr></thead>"
            "<tbody><tr><td>gamma</td><td>d</td></tr></tbody></table>",
            0.5,
        ),
        (SQUARE.replace("alpha", "alphe").replace("gamma", "gamme"), 0.9333),
        (SQUARE.replace("<td>b</td>", "<td><b>b</b></td>"), 0.9048),
        ("no table", 0.0),
        ("", 0.0),
        (SQUARE.replace("<td>b", "<td colspan='2;'>b"), 0.0),
    ],
)
def test_worked_values(prediction: str, expected: float) -> None:
    found = html_table(prediction)
    got = 0.0 if found is None else teds(wrap_table(SQUARE), found)
    assert got == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<tr></tr>", "<html><body><table><tr></tr></table></body></html>"),
        ("<table>\n<tr>", "<html><body><table><tr></table></body></html>"),
        ("<tr></table>", "<html><body><table><tr></table></body></html>"),
        ("<html><body><table></table></body></html>",) * 2,
    ],
)
def test_missing_tags_are_added(text: str, expected: str) -> None:
    assert wrap_table(text) == expected


def test_table_is_taken_from_its_opening_to_the_end() -> None:
    assert html_table("Here:\n<table><tr>\n</table> done") == (
        "<html><body><table><tr></table> done</body></html>"
    )
    assert html_table("<table></table><body><table>") == "<html><body><table></table></html>"
    assert html_table("none") is None


def test_structure_alone() -> None:
    other = SQUARE.replace("alpha", "x").replace("gamma", "y")
    assert teds(wrap_table(SQUARE), wrap_table(other), structure_only=True) == 1.0
    assert value(create_teds_s(), SQUARE, other) == 1.0
    assert value(create_teds_s(), SQUARE, other.replace("<td>b</td>", "")) == pytest.approx(5 / 6)


def test_text_inside_elements_of_a_cell() -> None:
    one = wrap_table("<tr><td>x<i>y<u>z</u></i>w</td></tr>")
    # 8 tokens: x <i> y <u> z </u> </i> w; without the inner tags 6; 4 elements below the table.
    two = wrap_table("<tr><td>x<i>yz</i>w</td></tr>")
    assert teds(one, one) == 1.0
    assert teds(one, two) == pytest.approx(1 - 2 / 8 / 4)


def test_unlike_tables_may_fall_below_zero() -> None:
    spans = "".join(f"<tr><td colspan='{k}'>x</td></tr>" for k in range(2, 5))
    sections = "<tbody>" * 3 + "<caption>"
    assert teds(wrap_table(spans), wrap_table(sections)) <= 0.25


def test_metric() -> None:
    metric = create_teds()
    rows = [scored(metric, SQUARE, f"```html\n{SQUARE}\n```"), scored(metric, [SQUARE], "no")]
    result = metric.aggregate(rows)
    assert result.score == 0.5
    assert result.parts["unparsed"] == 0.5
    with pytest.raises(InputError, match="needs an HTML table"):
        value(metric, "| a |", SQUARE)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *("<table", "<td>", "</td>", "<tr>", "<body>", "<table>", "</table>", "<html>"),
                    *("<td rowspan=9>", "<td colspan=x>", "<!--", "-->", "<?x?>", "&amp;", "&#0;"),
                    "\x00",
                ]
            ),
            st.text(max_size=5),
        ),
        max_size=12,
    ).map("".join)
)
def test_any_reply_has_a_value(text: str) -> None:
    got = value(create_teds(), SQUARE, text)
    assert got is not None
    assert got <= 1.0


def random_table(source: random.Random) -> str:
    """Cells, headers, spans, inner tags and missing closings."""

    def cell() -> str:
        opening = source.choice(["<td>", "<td>", "<th>", "<td colspan=2>", "<td rowspan='2'>"])
        text = source.choice(["a", "foo", "12", "<b>x</b>y", "\u00e9\u4e2d", "", "<i>q</i> t", " "])
        return opening + text + source.choice(["</td>", "</th>", ""])

    rows = [
        "<tr>" + "".join(cell() for _ in range(source.randint(0, 4)))
        for _ in range(source.randint(1, 5))
    ]
    return "<table>" + "</tr>".join(rows) + source.choice(["", "</tr>"]) + "</table>"


def test_agrees_with_apted() -> None:
    apted = pytest.importorskip("apted", reason="compares with 'apted', which is not installed")
    from lxml import html

    def tree(text: str) -> tuple[Any, int]:
        """Written down anew: tuples of tag, spans, tokens and children."""
        table = html.fromstring(text).xpath("body/table")[0]

        def tokens(element: Any) -> list[str]:
            inner = [f"<{element.tag}>", *(element.text or "")]
            for child in element:
                inner += [*tokens(child), *(child.tail or "")]
            return [*inner, f"</{element.tag}>"]

        def below(element: Any) -> Any:
            if element.tag != "td":
                return ((element.tag,), [below(child) for child in element])
            facts = ("td", element.get("colspan", "1"), element.get("rowspan", "1"))
            return ((*facts, tokens(element)[1:-1]), [])

        return below(table), len(table.xpath(".//*"))

    class Costs(apted.Config):  # type: ignore[misc, name-defined]
        def rename(self, a: Any, b: Any) -> float:
            if a[0][:3] != b[0][:3]:
                return 1.0
            if a[0][0] != "td" or a[0][3] == b[0][3]:
                return 0.0
            from rapidfuzz.distance import Levenshtein

            return Levenshtein.normalized_distance(a[0][3], b[0][3])

        def children(self, node: Any) -> Any:
            return node[1]

    source = random.Random(7)
    fractions = 0
    for _ in range(200):
        truth, given = wrap_table(random_table(source)), wrap_table(random_table(source))
        (one, many), (two, more) = tree(given), tree(truth)
        expected = 1 - apted.APTED(one, two, Costs()).compute_edit_distance() / max(many, more)
        assert teds(truth, given) == pytest.approx(expected)
        fractions += 0 < expected < 1
    assert fractions > 100
