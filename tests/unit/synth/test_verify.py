"""Checks of answers: right answers pass, wrong ones do not, and forms of writing are tolerated."""

from __future__ import annotations

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer
from nanovl.synth.verify import box_iou, edit_similarity, first_number, is_right, score


def answer(value: object, tolerance: float | None = None) -> Answer:
    return Answer(type="any", value=value, tolerance=tolerance)


@pytest.mark.parametrize(
    ("verifier", "expected", "right", "wrong"),
    [
        ("exact", answer("3:05"), " 3:05\n", "3:5"),
        ("exact_ci", answer("Blue"), "blue.", "blues"),
        ("exact_ci", answer(True), "Yes", "No"),
        ("anls", answer("Annual report"), "annual reprot", "sales"),
        ("number", answer(1250), "It is 1,250", "1251"),
        ("number", answer(-3.5), "-3.5", "3.5"),
        ("number", answer(100, 0.05), "104", "106"),
        ("set", answer(["a", "b"]), "b, a", "a"),
        ("list_ordered", answer(["a", "b"]), "a, b", "b, a"),
        ("iou", answer([[0, 0, 100, 100]]), "<box>(0,0),(100,90)</box>", "(0,0),(40,100)"),
        ("iou", answer([[0, 0, 10, 10]]), "(0,0),(10,10)", "(0,0),(10,10) (0,0),(10,10)"),
        ("point_in_box", answer({"point": [5, 5], "box": [0, 0, 9, 9]}), "(3, 8)", "(12,5)"),
        ("json_equal", answer({"a": [1, 2.0]}), '```json\n{"a": [1, 2]}\n```', '{"a": [2, 1]}'),
        ("json_equal", answer({"a": 10}, 0.05), '{"a": 10.4}', '{"a": 11}'),
        ("json_equal", answer([1]), "[1]", "[1"),
        ("edit_distance", answer("a long line of text"), "a long line of texts", "short"),
        ("interval_iou", answer([10.0, 20.0]), "00:10-00:19", "00:20-00:30"),
        ("interval_iou", answer([[0, 5], [10, 15]]), "00:00-00:05, 00:10-00:15", "00:00-01:00"),
        ("mcq", answer("B"), "B. blue", "A"),
        ("mcq", answer("B"), "(B)", "Blue"),
        (
            "elements_f1",
            answer([{"role": "button", "name": "Save", "box": [0, 0, 100, 50]}]),
            '[{"role": "button", "name": "save", "box": [4, 0, 100, 50]}]',
            '[{"role": "button", "name": "Save", "box": [80, 0, 180, 50]}]',
        ),
        ("html_render", answer("<p>Save it</p>"), "```html\n<p>Save  it</p>\n```", "no markup"),
        (
            "teds",
            answer({"form": "markdown", "text": "| a | b |\n| --- | --- |\n| 1 | 2 |"}),
            "|a|b|\n|---|---|\n|1|2|",
            "| x | y |\n| --- | --- |\n| 7 | 8 |",
        ),
    ],
)
def test_right_passes_and_wrong_does_not(
    verifier: str, expected: Answer, right: str, wrong: str
) -> None:
    assert is_right(verifier, expected, right)
    assert not is_right(verifier, expected, wrong)


def test_an_unknown_check_is_named() -> None:
    with pytest.raises(ConfigError, match="'guess'"):
        score("guess", answer(1), "1")


def test_helpers() -> None:
    assert first_number("between 3 and -4.5 cm") == -4.5
    assert first_number("none") is None
    assert box_iou([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(1 / 3)
    assert edit_similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert edit_similarity("", "a") == 0.0
