"""STEDS: worked values, the shape of trees, agreement with the published code."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.evals.scoring.stree import document_tree, steds
from nanovl.evals.scoring.tree_distance import Node
from tests.unit.evals.scoring.rows import reference


def shape(node: Node) -> object:
    """Labels as nested lists."""
    return [node.label, *map(shape, node.children)] if node.children else node.label


PAGE = "# Title\nSome words"


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (PAGE, PAGE, 1.0),
        (PAGE, "Some words", 0.75),
        (PAGE, "# Title\nOther words entirely", 1.0),
        (PAGE, "", 0.5),
        ("a\nb\nc\nd\ne", "a\nb\nc\nd", 0.857143),
        (PAGE, "# Title\n\nSome words", 0.8),
    ],
)
def test_worked_values(truth: str, prediction: str, expected: float) -> None:
    assert steds(truth, prediction) == pytest.approx(expected, abs=5e-7)


def test_blank_lines_differ_even_from_themselves() -> None:
    page = "# Title\n\nSome words"
    assert steds(page, page) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x\n# A\ny\n## B\nz", ["ROOT", ["TITLE", "x"], [" A", "y"], [" B", "z"]]),
        # A heading without text ends the section before it.
        ("# A\n#\nz", ["ROOT", ["TITLE", "z"], " A", ""]),
        # Lines below a second heading of the same text go to the first one.
        ("#A\nx\n#B\n#A\ny", ["ROOT", "TITLE", ["A", "x", "y"], "B", "A"]),
        ("*_a", ["ROOT", ["TITLE", "  a"]]),
        ("<bos> ##a", ["ROOT", ["TITLE", "a"]]),
        ("{ a }", ["ROOT", ["TITLE", "{a}"]]),
    ],
)
def test_trees(text: str, expected: object) -> None:
    assert shape(document_tree(text)) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="#a \n*_\\{}", max_size=40), st.text(max_size=40))
def test_any_text(truth: str, prediction: str) -> None:
    assert steds(truth, prediction) <= 1.0


def test_agrees_with_the_published_code() -> None:
    zss = pytest.importorskip("zss", reason="compares with 'zss', which is not installed")
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/TEDS_metric.py",
        ["pre_clean", "get_tree", "STEDS", "doc_parsing_evaluation"],
        {"Node": zss.Node, "simple_distance": zss.simple_distance},
    )["doc_parsing_evaluation"]
    lines = [
        "# A", "# B", "## A", "text", "", "*", "more text", "# ", "a _b_", "\\end{table}", " ##x",
        "#", "TITLE", "ROOT", "# TITLE", "A", " A", "x ##y",
    ]  # fmt: skip
    source = random.Random(3)
    for _ in range(300):
        truth, given = (
            "\n".join(source.choice(lines) for _ in range(source.randint(0, 14))) for _ in range(2)
        )
        assert steds(truth, given) == pytest.approx(published(given, truth)), (truth, given)
