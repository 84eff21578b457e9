"""Wordings, boxes, quads, times and lettered options."""

from __future__ import annotations

import random

import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.convert import templates
from nanovl.data.convert.banks import BANKS

CLOSED = {  # a word of the form every wording has to state
    "classification_closed": "letter",
    "multiple_choice": "letter",
    "picture_closed": "letter",
    "category_closed": "letter",
    "temporal_localisation": "mm:ss-mm:ss",
    "temporal_grounding": "mm:ss-mm:ss",
    "dense_captioning": "mm:ss-mm:ss",
    "grounding": "<ref>...</ref><box>(x1,y1),(x2,y2)</box>",
    "grounding_quad": "<quad>(x1,y1),(x2,y2),(x3,y3),(x4,y4)</quad>",
    "text_position": "<ref>...</ref><box>(x1,y1),(x2,y2)</box>",
    "ocr_multi": "<ref>text</ref><box>(x1,y1),(x2,y2)</box>",
    "short_or_unanswerable": '"unanswerable"',
    "number_answer": "number",
    "fact_check": "true",
    "form_label": "header",
    "form_pairs": "JSON",
    "key_information": "JSON",
}


@pytest.mark.parametrize("kind", sorted(BANKS))
def test_every_kind_has_eight_wordings_with_the_same_slots(kind: str) -> None:
    bank = BANKS[kind]
    assert len(bank) >= (16 if kind in ("captioning", "video_captioning") else 8)
    assert len({" ".join(w.lower().split()) for w in bank}) == len(bank)
    assert len({frozenset(templates.slot_names(w)) for w in bank}) == 1
    assert all(w.isascii() and w == w.strip() for w in bank)


@pytest.mark.parametrize("kind", sorted(CLOSED))
def test_closed_forms_state_the_form(kind: str) -> None:
    missing = [w for w in BANKS[kind] if CLOSED[kind].lower() not in w.lower()]
    assert not missing


def test_the_kinds_of_the_specification_are_there() -> None:
    wanted = {
        "classification_closed",
        "classification_open",
        "temporal_localisation",
        "reverse_localisation",
        "temporal_grounding",
        "dense_captioning",
        "grounding",
        "grounding_quad",
        "reverse_grounding",
        "ocr_multi",
        "captioning",
        "table_extraction",
    }
    assert wanted <= set(templates.kinds())


def test_question_draws_from_the_given_generator_and_names_its_template() -> None:
    drawn = [templates.question("captioning", random.Random(s)) for s in range(200)]
    assert {q.text for q in drawn} == set(BANKS["captioning"])
    for q in drawn:
        kind, index = q.template.split("/")
        assert q.text == BANKS[kind][int(index)]
    again = templates.question("captioning", random.Random(7))
    assert again == drawn[7]


def test_slots_are_inserted_verbatim() -> None:
    odd = "what is {0} or {label}? 100% \\n"
    for seed in range(30):
        text = templates.question("short_answer", random.Random(seed), question=odd).text
        assert odd in text


def test_wrong_kind_and_wrong_slots_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'grounding'"):
        templates.question("groundin", random.Random(0))
    with pytest.raises(ConfigError, match=r"slots \['phrase'\], got \['text'\]"):
        templates.question("grounding", random.Random(0), text="a cup")


def test_boxes_and_quads_as_decided() -> None:
    assert templates.box((1, 2, 30, 1000)) == "<box>(1,2),(30,1000)</box>"
    assert (
        templates.grounded("a red cup", [(1, 2, 3, 4), (5, 6, 7, 8)])
        == "<ref>a red cup</ref><box>(1,2),(3,4)</box><box>(5,6),(7,8)</box>"
    )
    corners = [(0, 1), (10, 1), (10, 5), (0, 5)]
    assert (
        templates.grounded_quad("EXIT", [corners])
        == "<ref>EXIT</ref><quad>(0,1),(10,1),(10,5),(0,5)</quad>"
    )
    with pytest.raises(ConfigError, match="4 points, got 3"):
        templates.quad(corners[:3])


def test_boxes_are_scaled_to_integers_inside_the_picture() -> None:
    assert templates.scale_box((0, 0, 640, 480), 640, 480) == (0, 0, 1000, 1000)
    assert templates.scale_box((320, 120, 160, 240), 640, 480) == (250, 250, 500, 500)
    assert templates.scale_box((-5, 3, 700, 3.6), 640, 480) == (0, 6, 1000, 8)
    assert templates.scale_point(1, 1, 2000, 3000) == (1, 0)  # 0.5 goes up, 0.33 down
    with pytest.raises(ConfigError, match="size 0"):
        templates.scale_point(1, 1, 0, 10)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00"),
        (5, "00:05"),
        (59.94, "00:59.9"),
        (59.96, "01:00"),
        (61.25, "01:01.3"),
        (3723.04, "62:03"),
    ],
)
def test_times_are_minutes_and_seconds_rounded_to_a_tenth(seconds: float, text: str) -> None:
    assert templates.timestamp(seconds) == text


def test_spans_are_sorted_and_times_cannot_be_negative() -> None:
    assert templates.spans([(70, 80.5), (1, 2)]) == "00:01-00:02, 01:10-01:20.5"
    with pytest.raises(ConfigError, match="-1"):
        templates.timestamp(-1)


def test_closed_options_hold_the_answer_once_and_three_to_seven_others() -> None:
    labels = [f"label {i}" for i in range(12)]
    counts, places = set(), set()
    for seed in range(200):
        drawn = templates.choose_letters("label 3", [*labels, "LABEL 3"], random.Random(seed))
        assert drawn is not None
        text, letter = drawn
        options = dict(line.split(". ", 1) for line in text.splitlines())
        assert options[letter] == "label 3"
        assert sorted(o.lower() for o in options.values()).count("label 3") == 1
        assert len(set(options.values())) == len(options)
        counts.add(len(options) - 1)
        places.add(letter)
    assert counts == {3, 4, 5, 6, 7}
    assert places == set("ABCDEFGH")
    assert templates.choose_letters("a", ["a", "b", "c"], random.Random(0)) is None


def test_options_do_not_depend_on_the_order_of_the_negatives() -> None:
    labels = [f"label {i}" for i in range(12)]
    one = templates.choose_letters("x", labels, random.Random(5))
    assert one == templates.choose_letters("x", reversed(labels), random.Random(5))
