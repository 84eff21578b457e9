"""Markdown tables and charts as HTML: worked values, odd input, agreement."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.scoring.charts import chart_from_text, chart_table, markdown_table
from nanovl.evals.scoring.teds import teds
from tests.unit.evals.scoring.rows import reference

pytest.importorskip("lxml", reason="needs the extra 'evals'")
pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")

DATES = "| day | n |\n|---|---|\n| aug 12 | 1 |\n| sep | 2 |"


def test_worked_values() -> None:
    wrong = DATES.replace("aug 12", "aug 13")
    assert teds(markdown_table(DATES), markdown_table(wrong)) == pytest.approx(0.981481, abs=5e-7)
    charts = [chart_table({"title": "Sales", "2019": n}) for n in (10, 12)]
    assert teds(*charts) == pytest.approx(0.944444, abs=5e-7)


def test_markdown() -> None:
    assert markdown_table(f"```markdown\n{DATES}\n```") == markdown_table(DATES)
    assert markdown_table("| a |  | |\n|-|\n| b || c |") == (
        "<html><body><table><tr><td>a</td><td> </td><td> </td></tr>"
        "<tr><td>b</td><td></td><td>c</td></tr></table></body></html>"
    )
    assert markdown_table("") == "<html><body><table><tr></tr></table></body></html>"


def test_chart() -> None:
    text = "x\n```\n{}\n```\n```python\ndata = {'a': 1, # first\n'b': {'c': 'd e'}}\nend\n```"
    assert chart_from_text(text) == {"a": 1, "b": {"c": "d e"}}
    assert chart_table({"a": 1.5, "b": "x y"}) == (
        "<html><body><table><tr><td>a</td><td>1 . 5</td></tr>"
        "<tr><td>b</td><td>x   y</td></tr></table></body></html>"
    )


@pytest.mark.parametrize("text", ["", "none", "[1]", "{1, 2}", "{'a': }", "{[]: 1}", "f({})"])
def test_no_chart(text: str) -> None:
    assert chart_from_text(text) == {}


@given(st.text(alphabet="|- \nab`", max_size=60))
def test_a_table_is_equal_to_itself(text: str) -> None:
    table = markdown_table(text)
    assert teds(table, table) == 1.0


def test_agrees_with_the_published_code() -> None:
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/TEDS_metric.py",
        ["convert_markdown_table_to_html", "convert_table_to_html_str"],
    )["convert_markdown_table_to_html"]
    lines = [
        "| a | b |", "|---|---|", "|  |", "| 1|2|3|", "```markdown", "```", "", "word", "||",
        " | x |",
    ]  # fmt: skip
    source = random.Random(11)
    for _ in range(300):
        text = "\n".join(source.choice(lines) for _ in range(source.randint(0, 7)))
        assert markdown_table(text) == published(text), text
