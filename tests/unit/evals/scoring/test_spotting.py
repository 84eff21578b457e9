"""Text spotting: worked values of the protocol, boxes in replies, agreement."""

from __future__ import annotations

import ast
import random
import time

import pytest
from hypothesis import given, strategies as st

from nanovl.evals.scoring.spotting import Spot, bounding_spots, spot_score, spots_from_text
from tests.unit.evals.scoring.rows import reference

BOXES = [[0, 0, 100, 0, 100, 50, 0, 50], [200, 200, 300, 200, 300, 250, 200, 250]]
TRUTH = bounding_spots(BOXES, ["HELLO", "world!"])
HELLO, WORLD = "[0, 0, 100, 50, 'hello']", "[200, 200, 300, 250, 'WORLD']"
FALSE = "[500, 500, 600, 600, 'x']"


@pytest.mark.parametrize(
    ("spots", "expected"),
    [
        ([HELLO, WORLD], 1.0),
        ([HELLO], 0.6667),
        (["[0, 0, 40, 50, 'hello']", WORLD], 0.5),
        ([HELLO, "[200, 200, 300, 250, 'word']"], 0.5),
        ([HELLO, HELLO, FALSE], 0.5),
        (["[0, 0, 100, 50, 'helloo']", WORLD], 0.5),
        ([], 0.0),
        (["[100, 50, 0, 0, 'hello']"], 0.0),
        ([HELLO, WORLD, FALSE], 0.8),
    ],
)
def test_worked_values(spots: list[str], expected: float) -> None:
    found = spots_from_text(f"[{', '.join(spots)}]")
    assert spot_score(TRUTH, found) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("extra", "expected"), [(WORLD, 1.0), (FALSE, 0.6667)])
def test_regions_that_do_not_count(extra: str, expected: float) -> None:
    truth = bounding_spots(BOXES, ["HELLO", "###"])
    found = spots_from_text(f"[{HELLO}, {extra}]")
    assert spot_score(truth, found) == pytest.approx(expected, abs=5e-5)


def test_nothing_is_asked_for() -> None:
    assert spot_score(bounding_spots(BOXES[:1], ["###"]), spots_from_text(f"[{HELLO}]")) == 0.0


@pytest.mark.parametrize(
    ("truth", "given", "right"),
    [
        ("(a)", "A", True),
        ("(a)", "a)", True),
        ("(a)", "(a", True),
        ("((a", "a", False),
        ("a", "a!", False),
        ("!", "", True),
        ("", "", True),
        ("", "x", False),
        ("\u00b7x", "x", True),
    ],
)
def test_marks_at_the_ends_of_the_truth(truth: str, given: str, right: bool) -> None:
    box = Spot(0, 0, 10, 10, given)
    assert spot_score([box._replace(text=truth)], [box]) == float(right)


def test_first_detection_takes_the_place_even_if_wrong() -> None:
    found = [Spot(0, 0, 100, 50, "wrong"), Spot(0, 0, 100, 49, "hello")]
    assert spot_score(TRUTH[:1], found) == 0.0
    assert spot_score(TRUTH[:1], found[::-1]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "spots"),
    [
        ("[[1, 2, 3, 4, 'a']]", [(1, 2, 3, 4, "a")]),
        ("((1, '2', 3, 4, 5, 6),)", [(1, 2, 3, 4, "5")]),
        ('boxes: [1,2,3,4,a, b] (5, 6, 7, 8, "c")', [(1, 2, 3, 4, "a, b"), (5, 6, 7, 8, "c")]),
        ("[1, 2, 3, 4]", []),
        ("[1, 2, 3, 1001, x]", []),
        ("[1.5, 2, 3, 4, x]", []),
        ("[3, 2, 1, 4, x]", []),
        ("7", []),
        ("None", []),
        ("", []),
    ],
)
def test_boxes_in_replies(text: str, spots: list[tuple[int, int, int, int, str]]) -> None:
    assert spots_from_text(text) == spots


def test_quotes_around_words_of_the_truth() -> None:
    assert bounding_spots(BOXES[:1], ['"a\\"b"'])[0].text == 'a"b'


def test_unclosed_brackets_take_little_time() -> None:
    start = time.perf_counter()
    assert spots_from_text("[" + " " * 50_000) == []
    assert time.perf_counter() - start < 5


@given(st.text())
def test_any_reply(text: str) -> None:
    assert 0.0 <= spot_score(TRUTH, spots_from_text(text)) <= 1.0


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=6))
def test_the_truth_itself_is_right(corners: list[tuple[int, int, int, int]]) -> None:
    # Side by side, so that no two of them overlap.
    spots = [
        Spot(60 * i, a, 60 * i + 1 + b, a + 1 + c, "w") for i, (a, b, c, _) in enumerate(corners)
    ]
    assert spot_score(spots, spots) == 1.0


def test_agrees_with_the_published_reader() -> None:
    published = reference(
        "lmms_eval",
        "tasks/ocrbench_v2/spotting_metric.py",
        ["extract_bounding_boxes_robust"],
        {"ast": ast},
    )["extract_bounding_boxes_robust"]
    pieces = [
        "[", "]", "(", ")", "1", "2", "30", ",", ", ", "1000", "'yo'", " ", "word",
        "[1,2,3,4,'a']", "[5,6,7,8,b c]", "\n", "[[1,2,3,4,'x'],[1,2,3,4,'x']]",
        "[9, 9, 20, 30, a, b]",
    ]  # fmt: skip
    source = random.Random(9)
    filled = 0
    for _ in range(2000):
        text = "".join(source.choice(pieces) for _ in range(source.randint(0, 7)))
        expected = [tuple(item) for item in published(text) or []]
        expected = [item for item in expected if item[0] < item[2] and item[1] < item[3]]
        assert spots_from_text(text) == expected, text
        filled += bool(expected)
    assert filled > 200
