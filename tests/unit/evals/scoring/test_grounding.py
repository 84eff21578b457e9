"""Boxes and time spans compared by overlap."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response
from nanovl.evals.scoring.grounding import (
    create_box_iou,
    create_time_iou,
    match_boxes,
    read_boxes,
    read_spans,
    span_iou,
)
from tests.unit.evals.scoring.rows import sample, scored, value

BOX, TIME = create_box_iou(), create_time_iou()
COORDINATE = st.integers(0, 1000)
BOXES = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=6)
SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 40)), max_size=5)


def shown(boxes):
    return "".join(f"<box>({a},{b}),({c},{d})</box>" for a, b, c, d in boxes)


@pytest.mark.parametrize(
    ("text", "level", "boxes"),
    [
        ("<ref>cup</ref><box>(1,2),(30,40)</box>", "rules", [(1, 2, 30, 40)]),
        ("<box>( 1, 2 ) , (30 ,40)</box> and (5,6),(7,8)", "rules", [(1, 2, 30, 40), (5, 6, 7, 8)]),
        ("(1.5,2),(3,4)", "rules", [(1.5, 2, 3, 4)]),
        ("[1, 2, 30, 40]", "rules", []),
        ("[1, 2, 30, 40]", "extended", [(1, 2, 30, 40)]),
        ("(1,2)", "extended", []),
        ("(99999,2),(3,4)", "rules", []),
        ("no box", "extended", []),
    ],
)
def test_boxes_are_read(text, level, boxes):
    assert read_boxes(text, level)[0] == boxes


@pytest.mark.parametrize(
    ("expected", "said", "overlap", "hit"),
    [
        ([[0, 0, 100, 100]], [(0, 0, 100, 100)], 1.0, True),
        ([0, 0, 100, 100], [(0, 0, 100, 100)], 1.0, True),
        ([[0, 0, 100, 100]], [(0, 0, 100, 50)], 0.5, True),
        ([[0, 0, 100, 100]], [(50, 0, 150, 100)], 1 / 3, False),
        ([[0, 0, 100, 100]], [(200, 200, 300, 300)], 0.0, False),
        ([[0, 0, 100, 100]], [(100, 100, 0, 0)], 0.0, False),  # corners the wrong way round
        ([[0, 0, 100, 100]], [], 0.0, False),
        ([[0, 0, 100, 100]], [(0, 0, 100, 100), (0, 0, 100, 100)], 0.5, False),
        ([[0, 0, 9, 9], [20, 20, 30, 30]], [(20, 20, 30, 30), (0, 0, 9, 9)], 1.0, True),
        ([[0, 0, 9, 9], [20, 20, 30, 30]], [(20, 20, 30, 30)], 0.5, False),
        ([], [], 1.0, True),
        ([], [(0, 0, 9, 9)], 0.0, False),
    ],
)
def test_overlap_of_boxes(expected, said, overlap, hit):
    verdict = scored(BOX, expected, shown(said)).verdict
    assert verdict.value == pytest.approx(overlap)
    assert verdict.detail["hit"] is hit


def test_pairs_are_formed_from_the_largest_overlap_down():
    expected = [(0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 20.0)]
    assert match_boxes(expected, [(0.0, 0.0, 10.0, 10.0)]) == [1.0, 0.0]
    assert match_boxes(expected, [(0.0, 0.0, 10.0, 20.0)]) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "level", "spans"),
    [
        ("00:03-00:05.5", "rules", [(3, 5.5)]),
        ("00:03 - 00:05, 01:10-01:12", "rules", [(3, 5), (70, 72)]),
        ("From 00:03 to 00:05.", "rules", [(3, 5)]),
        ("1:02:03-1:02:04", "rules", [(3723, 3724)]),
        ("3 to 5.5 seconds", "rules", []),
        ("3 to 5.5 seconds", "extended", [(3, 5.5)]),
        ("3s-5s", "extended", [(3, 5)]),
        ("3-5", "extended", []),
        ("not present", "extended", []),
    ],
)
def test_spans_are_read(text, level, spans):
    assert read_spans(text, level)[0] == spans


@pytest.mark.parametrize(
    ("expected", "said", "overlap"),
    [
        ([[3, 5]], "00:03-00:05", 1.0),
        ([3, 5], "00:03-00:05", 1.0),
        ([[3, 5]], "00:04-00:06", 1 / 3),
        ([[3, 5]], "00:03-00:04, 00:04-00:05", 1.0),  # the union counts
        ([[3, 5], [7, 9]], "00:03-00:05", 0.5),
        ([[3, 5]], "00:05-00:03", 0.0),
        ([[3, 5]], "soon", 0.0),
        ([], "not present", 1.0),
        ([], "00:03-00:05", 0.0),
    ],
)
def test_overlap_of_times(expected, said, overlap):
    assert value(TIME, expected, said) == pytest.approx(overlap)


def test_means_and_shares():
    rows = [scored(BOX, [[0, 0, 10, 10]], shown([(0, 0, 10, 10)])), scored(BOX, [[0, 0, 9, 9]], "")]
    result = BOX.aggregate(rows)
    assert (result.score, result.parts["acc_50"], result.parts["unparsed"]) == (0.5, 0.5, 0.5)
    rows = [scored(TIME, [[0, 10]], "00:00-00:04"), scored(TIME, [[0, 10]], "00:00-00:08")]
    result = TIME.aggregate(rows)
    assert result.score == pytest.approx(0.6)
    assert result.parts["acc_50"] == 0.5


@pytest.mark.parametrize("metric", [BOX, TIME])
@pytest.mark.parametrize("answer", ["somewhere", [[1, 2, 3]], [["a", "b", "c", "d"]], None, 5])
def test_other_references_are_errors(metric, answer):
    with pytest.raises(InputError, match="sample 7"):
        metric.score(sample(answer, id="7"), Response(text=""))


@pytest.mark.parametrize("metric", [BOX, TIME])
def test_no_samples_is_an_error(metric):
    with pytest.raises(InputError, match=metric.name):
        metric.aggregate([])


@given(BOXES, BOXES, st.text(max_size=60))
def test_any_boxes_score_between_0_and_1(expected, said, text):
    rows = [list(b) for b in expected]
    assert 0.0 <= value(BOX, rows, shown(said) + text, level="extended") <= 1.0


@given(BOXES)
def test_the_expected_boxes_are_perfect(boxes):
    whole = sorted({(a, b, a + c + 1, b + d + 1) for a, b, c, d in boxes})
    assert value(BOX, [list(b) for b in whole], shown(reversed(whole))) == pytest.approx(1.0)


@given(SPANS, SPANS, st.text(max_size=60))
def test_any_spans_score_between_0_and_1(expected, said, text):
    one, other = ([(float(a), float(a + d)) for a, d in spans] for spans in (expected, said))
    assert 0.0 <= span_iou(one, other) <= 1.0
    assert span_iou(one, other) == pytest.approx(span_iou(other, one))
    assert span_iou(one, one) == 1.0
    assert 0.0 <= value(TIME, [list(s) for s in one], text, level="extended") <= 1.0
