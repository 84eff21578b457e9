"""The generators scenes-2d and scenes-geometry as a whole."""

from __future__ import annotations

import random

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.scenes import generator, geometry_tasks
from nanovl.synth.scenes.figures import draw
from nanovl.synth.scenes.generator import KINDS
from nanovl.synth.scenes.geometry import PROBLEMS
from nanovl.synth.scenes.instruments import INSTRUMENTS
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
    yes_share,
)


def only(kind: str) -> generator.ScenesGenerator:
    return generator.create({k: float(k == kind) for k in KINDS})


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_sound(kind: str) -> None:
    samples = made(only(kind), 40)
    for sample in samples:
        check_sample(sample)
    check_others_fail(samples)


def test_geometry_samples_are_sound() -> None:
    samples = made(geometry_tasks.create({}), 80)
    for sample in samples:
        check_sample(sample)
        assert sample.gt["value"] == pytest.approx(sample.gt["measured"], rel=1e-6)
    check_others_fail(samples)


def test_yes_and_no_are_even() -> None:
    samples = made(only("scene"), 250)
    assert 0.42 < yes_share(samples) < 0.58


@pytest.mark.parametrize("kind", KINDS)
def test_golden_samples(kind: str, request: pytest.FixtureRequest) -> None:
    sample = make(only(kind), 3)
    assert sample is not None
    check_golden(f"scenes-{kind}", sample, request.config.getoption("--update-golden"))


def test_golden_geometry(request: pytest.FixtureRequest) -> None:
    sample = make(geometry_tasks.create({}), 1)
    assert sample is not None
    check_golden("scenes-geometry", sample, request.config.getoption("--update-golden"))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.scenes.generator", indices="range(12)")
    check_hash_seeds("nanovl.synth.scenes.geometry_tasks", indices="range(5)")


def test_boxes_and_counts_agree_with_objects() -> None:
    for sample in made(only("count"), 30):
        total = next(t for t in sample.tasks if t.task == "scene_count_total")
        assert total.answer.value == len(sample.gt["objects"])


def test_edits_are_what_differs() -> None:
    for sample in made(only("pair"), 40):
        if "edits" not in sample.gt:
            continue
        keys = ("shape", "color", "size", "bbox")
        first, second = (
            {tuple(map(str, (o[k] for k in keys))) for o in objects}
            for objects in (sample.gt["objects"], sample.gt["second_scene"]["objects"])
        )
        assert len(first - second) == len(sample.gt["edits"])


def test_programs_are_stored() -> None:
    sample = make(only("scene"), 0)
    assert sample is not None
    assert len(sample.gt["programs"]) >= 1
    for program in sample.gt["programs"]:
        assert program[0]["op"] == "scene"
        assert {s["op"] for s in program} <= {
            "scene", "filter", "unique", "relate", "same", "union", "intersect", "exclude",
            "count", "exist", "query", "equal", "less", "greater", "nearest",
        }  # fmt: skip


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_every_problem_can_be_drawn(kind: str) -> None:
    drawn = 0
    for seed in range(12):
        rng = random.Random(seed)
        try:
            picture = draw(PROBLEMS[kind](rng).figure, rng, 420)
        except Reject:
            continue
        drawn += 1
        boxes = [label["bbox"] for label in picture.labels]
        for k, a in enumerate(boxes):
            for b in boxes[:k]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert drawn >= 10


@pytest.mark.parametrize("kind", sorted(INSTRUMENTS))
def test_every_instrument_is_read(kind: str) -> None:
    for seed in range(15):
        reading = INSTRUMENTS[kind](random.Random(seed), 400, ("image",))
        assert reading.kind == kind
        for task in reading.tasks:
            assert task.trace


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"most_objects": 40}, "most_objects"),
        ({"image": "bmp"}, "bmp"),
        ({k: 0.0 for k in KINDS}, "weights"),
        ({"most_object": 4}, "most_object"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        generator.create(settings)
    with pytest.raises(ConfigError, match="rhombicuboctahedron"):
        geometry_tasks.create({"kinds": ["rhombicuboctahedron"]})
