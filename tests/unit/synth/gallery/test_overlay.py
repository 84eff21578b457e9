"""Boxes and times are found in ground truth of any form."""

from __future__ import annotations

from typing import Any

import pytest

from nanovl.synth.gallery.overlay import find_places, singular
from nanovl.synth.gallery.palette import PALETTE, colors_of

SIZE = (100, 80)


def found(truth: Any, *sizes: tuple[int, int]) -> list[tuple[int, str, tuple[float, ...], str]]:
    places = find_places(truth, sizes or (SIZE,)).places
    return [(p.medium, p.klass, p.box, p.text) for p in places]


def test_blocks_lines_and_words() -> None:
    word = {"text": "Hi", "bbox": [1, 2, 3, 4], "chars": [[1, 2, 2, 4]]}
    line = {"bbox": [1, 2, 8, 4], "text": "Hi you", "words": [word]}
    block = {"class": "title", "order": 3, "bbox": [0, 0, 9, 9], "text": "Hi", "lines": [line]}
    places = find_places({"pages": [{"blocks": [block]}]}, [SIZE]).places
    assert [p.klass for p in places] == ["title", "line", "word"]
    assert [p.order for p in places] == [3, None, None]
    assert places[2].box == (1.0, 2.0, 3.0, 4.0)


def test_quads_and_attributes_are_kept() -> None:
    quad = [0, 0, 9, 1, 9, 9, 0, 8]
    (place,) = find_places(
        {"bbox": [0, 0, 9, 9], "quad": quad, "level": 2, "x": None}, [SIZE]
    ).places
    assert place.quad == tuple(map(float, quad))
    assert place.attributes["level"] == 2


def test_cells_marks_and_secondary_boxes() -> None:
    truth = {
        "bbox": [0, 0, 50, 50],
        "cells": [{"text": "a", "role": "head", "bbox": [0, 0, 9, 9], "text_bbox": [1, 1, 5, 5]}],
        "series": [{"name": "s", "marks": [{"x": "Jan", "y": 4, "bbox": [1, 1, 2, 2]}]}],
        "boxes": [[3, 3, 4, 4]],
    }
    assert sorted(k for _, k, _, _ in found(truth)) == [
        "cell head", "cell text", "mark", "table", "table",
    ]  # fmt: skip


def test_pages_belong_to_pictures() -> None:
    page = {"blocks": [{"class": "text", "bbox": [0, 0, 9, 9]}]}
    assert [m for m, *_ in found({"pages": [page, page]}, SIZE, SIZE)] == [0, 1]


def test_a_second_scene_belongs_to_the_second_picture() -> None:
    scene = {"canvas": [100, 80], "objects": [{"shape": "star", "bbox": [0, 0, 9, 9]}]}
    truth = {**scene, "second_scene": scene}
    assert [(m, k) for m, k, *_ in found(truth, SIZE, SIZE)] == [(0, "star"), (1, "star")]


def test_a_node_may_name_its_picture() -> None:
    truth = {"things": [{"image": "right", "bbox": [0, 0, 1, 1]}, {"bbox": [0, 0, 2, 2]}]}
    places = find_places(truth, [SIZE, SIZE], ["left", "right"]).places
    assert [p.medium for p in places] == [1, 0]


def test_evidence_says_its_page() -> None:
    evidence = [{"page": 2, "bbox": [0, 0, 5, 5]}]
    truth = {"facts": [{"value": "4", "evidence": evidence}], "pages": [{}, {}]}
    assert [(m, k) for m, k, *_ in found(truth, SIZE, SIZE)] == [(1, "evidence")]


def test_fields_and_entities() -> None:
    truth = {
        "fields": [
            {"type": "date", "text": "May", "bbox": [0, 0, 5, 5], "label_bbox": [0, 0, 2, 2]}
        ],
        "entities": [{"label": "question", "text": "Date", "bbox": [0, 0, 2, 2]}],
    }
    assert [k for _, k, _, _ in found(truth)] == ["field", "field label", "entity question"]


def test_the_same_box_is_shown_once() -> None:
    cell = {"text": "a", "bbox": [0, 0, 9, 9]}
    assert len(found({"cells": [cell], "pages": [{"cells": [cell]}]})) == 1


def test_tracks_move_and_hide() -> None:
    rows = [[0.0, 0, 0, 5, 5, 1.0], [1.0, 10, 0, 15, 5, 1.0], [2.0, 0, 0, 0, 0, 0.0]]
    truth = {"objects": [{"attributes": {"shape": "star", "color": "red"}, "track": rows}]}
    (place,) = find_places(truth, [SIZE]).places
    assert (place.klass, place.text) == ("star", "star red")
    assert place.at(0.5) == (0, 0, 5, 5)
    assert place.at(1.0) == (10, 0, 15, 5)
    assert place.at(2.5) is None


def test_points_of_a_slide_are_there_from_their_time_to_its_end() -> None:
    point = {"text": "second", "t0": 4.0, "box": [0, 20, 50, 30]}
    slide = {"title": "One", "t0": 1.0, "t1": 9.0, "box": [0, 0, 50, 10], "points": [point]}
    title, second = find_places({"slides": [slide]}, [SIZE]).places
    assert title.at(0.5) is None
    assert title.at(1.0) == (0, 0, 50, 10)
    assert second.at(3.5) is None
    assert second.at(4.0) is not None
    assert second.at(9.0) is None


def test_times_with_their_texts() -> None:
    truth = {
        "events": [{"type": "move", "t0": 1, "t1": 2, "subjects": ["o1"]}],
        "transcript": [{"start_s": 0.5, "end_s": 2.5, "text": "Hello."}],
    }
    spans = find_places(truth, [SIZE]).spans
    assert [(s.group, s.start, s.end, s.text) for s in spans] == [
        ("events", 1.0, 2.0, "move (o1)"),
        ("transcript", 0.5, 2.5, "Hello."),
    ]


@pytest.mark.parametrize(
    ("name", "one"), [("words", "word"), ("boxes", "box"), ("glass", "glass"), ("series", "series")]
)
def test_singular(name: str, one: str) -> None:
    assert singular(name) == one


def test_classes_seen_together_have_different_colours() -> None:
    together = [{f"class {k}" for k in range(n, n + 15)} for n in range(0, 90, 15)]
    colors = colors_of(together)
    for classes in together:
        assert len({colors[c] for c in classes}) == len(classes)
    assert colors_of([{"text", "zebra"}])["text"] == PALETTE[0]
    assert colors_of([{"a"}, {"b"}]) == colors_of([{"b"}, {"a"}])
