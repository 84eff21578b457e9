"""Clicks in boxes, overlap of boxes and of intervals."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium
from nanovl.evals.scoring.points import (
    box_iou,
    create_point_in_box,
    interval_iou,
    mean_best_iou,
    parse_click,
    parse_click_vk,
    tagged_boxes,
    target_boxes,
    target_region,
)
from tests.unit.evals.scoring.rows import reference, scored, value

PHONE = {"bbox": [42, 1102, 197, 70], "image_size": [1170, 2532]}
CORNER = {"bbox": "[0, 0, 10, 10]", "image_size": [100, 100]}


def click(x, y):
    return f"pyautogui.click(x={x}, y={y})"


def test_a_target_is_a_share_of_the_picture():
    region = target_region([42, 1102, 197, 70], (1170, 2532), corners=False)
    assert region == pytest.approx([0.035897, 0.435229, 0.203419, 0.462480], abs=5e-7)
    assert target_region([10, 20, 30, 40], (100, 100), corners=True) == (0.1, 0.2, 0.3, 0.4)
    assert target_region([0, -1, 0, 5], (10, 10), corners=False) == (0.0, 0.0, 0.0, 0.3)


@pytest.mark.parametrize("profile", ["default", "vk", "legacy"])
@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [
        (0.12, 0.45, 1),
        (140, 1137, 1),
        (239, 1137, 0),
        (238, 1171, 1),
        (1, 1, 0),
    ],
)
def test_clicks_give_the_worked_values(profile, x, y, inside):
    assert value(create_point_in_box(profile), None, click(x, y), **PHONE) == inside


@pytest.mark.parametrize(
    ("text", "vk", "own"),
    [
        ("I cannot find it", (0, 0), None),
        ("click(0.5, 0.25)", (0, 0), (0.5, 0.25)),
        ("x=0.5,y=0.25", (0, 0), (0.5, 0.25)),
        ("x=-3, y=4", (0, 0), (-3, 4)),
        ("x=3, y=-4", (0, 0), (3, -4)),
        ("x=0.5, y=0.25", (0.5, 0.25), (0.5, 0.25)),
        ("x=1.2.3, y=4", None, None),
        ('{"x": 12, "y": 7}', (0, 0), (12, 7)),
        ("between [1, 2] and [30, 40]", (0, 0), (30, 40)),
        ("moveTo(x = .5 , y= 1.)", (0, 0), (0.5, 1.0)),
        ("f(x) = [1, 2, 3]", (0, 0), None),
    ],
)
def test_clicks_are_read(text, vk, own):
    assert parse_click_vk(text) == vk
    assert parse_click(text) == own


def test_no_click_is_a_click_at_the_origin_for_the_harness_only():
    assert value(create_point_in_box("vk"), None, "I cannot find it", **CORNER) == 1.0
    row = scored(create_point_in_box(), None, "I cannot find it", **CORNER)
    assert row.verdict.value == 0.0
    assert row.verdict.detail["parsed"] is False
    assert value(create_point_in_box("vk"), None, "x=1.2.3, y=4", **CORNER) == 0.0


@pytest.mark.parametrize(
    ("declared", "x", "y", "inside"),
    [
        (None, 1, 1, 0),
        ("pixels", 1, 1, 1),
        ("pixels", 0.5, 0.5, 1),
        ("thousandths", 50, 90, 1),
        ("thousandths", 50, 900, 0),
    ],
)
def test_a_prompt_may_declare_its_coordinates(declared, x, y, inside):
    facts = {**CORNER, "coordinates": declared}
    assert value(create_point_in_box(), None, click(x, y), **facts) == inside
    if declared == "thousandths":
        assert value(create_point_in_box("vk"), None, click(500, 900), **facts) == 0.0


@pytest.mark.parametrize(
    ("benchmark", "facts", "corners"),
    [
        ("screenspot", {}, False),
        ("screenspot_pro", {}, True),
        ("screenspot_pro", {"box": "size"}, False),
        ("", {"box": "corners"}, True),
        ("", {"application": "blender"}, True),
    ],
)
def test_boxes_hold_sizes_or_corners(benchmark, facts, corners):
    metric = create_point_in_box(benchmark=benchmark)
    box = {"bbox": [10, 10, 20, 20], "image_size": [100, 100]}
    assert value(metric, None, click(0.25, 0.25), **box, **facts) == float(not corners)


def test_the_size_is_read_from_the_picture(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    path = tmp_path / "screen.png"
    path.write_bytes(file.getvalue())
    for medium in (
        Medium(kind="image", data=file.getvalue()),
        Medium(kind="image", path=str(path)),
    ):
        row = scored(
            create_point_in_box(), [10, 10, 5, 5], click(12, 12), media=(medium,), category="web"
        )
        assert (row.verdict.value, row.verdict.extracted) == (1.0, [0.06, 0.12])


@pytest.mark.parametrize(
    "facts",
    [
        {"bbox": [1, 2, 3], "image_size": [9, 9]},
        {"bbox": "here", "image_size": [9, 9]},
        {"bbox": [1, 2, 3, 4]},
        {"bbox": [1, 2, 3, 4], "image_size": [9, 0]},
        {"bbox": [1, 2, 3, 4], "media": (Medium(kind="image", data=b"no picture"),)},
    ],
)
def test_a_sample_without_box_or_size_is_refused(facts):
    with pytest.raises(InputError, match="'s1'"):
        scored(create_point_in_box(), None, click(1, 1), id="s1", **facts)


def test_clicks_are_counted_over_all_files():
    metric = create_point_in_box()
    rows = [
        scored(metric, None, click(x, x), id=str(i), category=c, data_type=kind, **CORNER)
        for i, (x, c, kind) in enumerate(
            [(0.05, "web", "text"), (0.5, "web", "icon"), (0.01, "mobile", "text")]
        )
    ]
    result = metric.aggregate(rows)
    assert result.score == pytest.approx(2 / 3)
    assert result.groups["text"] == 1.0
    assert result.groups["web"] == 0.5
    assert result.groups["web:icon"] == 0.0
    with pytest.raises(InputError, match="no responses"):
        metric.aggregate([])
    with pytest.raises(ConfigError, match="vkk"):
        create_point_in_box("vkk")


@given(st.text(alphabet="xy=., 0123456789-[]()e\n"))
def test_any_text_is_read(text):
    for profile in ("default", "vk"):
        assert value(create_point_in_box(profile), None, text, **CORNER) in (0.0, 1.0)


def test_endless_numbers_are_no_click():
    row = scored(create_point_in_box(), None, click("9" * 400, 1), **CORNER)
    assert row.verdict.value == 0.0


@pytest.mark.parametrize(
    ("text", "targets", "iou"),
    [
        ("<box>[0,0,10,5]</box>", [[0, 0, 10, 10]], 0.5),
        (
            "<box>[0,0,10,5]</box> <box> [20,20,30,30] </box>",
            [[0, 0, 10, 10], [20, 20, 30, 30]],
            0.75,
        ),
        ("none", [[0, 0, 10, 10]], 0.0),
        ("<box>[0, 0, 10, 10]</box>", [[0, 0, 10, 10]], 0.0),
        ("<box>[10,10,0,0]</box>", [[0, 0, 10, 10]], 0.0),
        ("<box>[0,0,1,1]</box>", [], 1.0),
        ("", [], 0.0),
    ],
)
def test_tagged_boxes_give_the_worked_overlaps(text, targets, iou):
    boxes = target_boxes(str(targets))
    assert boxes is not None
    assert mean_best_iou(tagged_boxes(text), boxes) == pytest.approx(iou)


def test_cells_without_boxes():
    assert target_boxes(None) is None
    for cell in ("none", [[1, 2, 3]], 7, [[1, 2, 3, "4"]]):
        with pytest.raises(InputError, match="target_instances"):
            target_boxes(cell)


COORDINATE = st.integers(0, 40).map(float)
BOX = st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE)


@given(BOX, BOX)
def test_overlap_is_a_share_and_has_no_order(a, b):
    a, b = ((min(x, u), min(y, v), max(x, u), max(y, v)) for x, y, u, v in (a, b))
    assert 0.0 <= box_iou(a, b) <= 1.0
    assert box_iou(a, b) == box_iou(b, a)
    area = (a[2] - a[0]) * (a[3] - a[1])
    assert box_iou(a, a) == float(area > 0)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (0, 10), 1.0),
        ((0, 1), (2, 3), 0.0),
        ((0, 1), (1, 2), 0.0),
        ((3, 1), (0, 10), 0.0),
        ((2, 2), (2, 2), 0.0),
        ((2.5, 5), (0, 5), 0.5),
    ],
)
def test_overlap_in_time(a, b, iou):
    assert interval_iou(a, b) == pytest.approx(iou)
    assert interval_iou(b, a) == pytest.approx(iou)


def test_overlaps_agree_with_a_public_implementation():
    boxes = reference("lmms_eval", "tasks/refcoco/utils_rec.py", ["compute_iou"])["compute_iou"]
    times = reference("lmms_eval", "tasks/charades_sta/utils.py", ["iou"])["iou"]
    draw = random.Random(11)
    for _ in range(300):
        x, y, u, v = (draw.randint(0, 20) for _ in range(4))
        a = (float(x), float(y), float(x + draw.randint(1, 20)), float(y + draw.randint(1, 20)))
        b = (float(u), float(v), float(u + draw.randint(1, 20)), float(v + draw.randint(1, 20)))
        assert box_iou(a, b) == pytest.approx(boxes(a, b), abs=1e-6)
        assert interval_iou((a[0], a[2]), (b[0], b[2])) == pytest.approx(
            max(0.0, times((a[0], a[2]), (b[0], b[2])))
        )
