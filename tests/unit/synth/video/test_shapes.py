"""Clips of moving objects: boxes against masks and pixels, the event log, questions."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.convert import templates
from nanovl.synth.base import Streams
from nanovl.synth.scenes.shapes import COLORS
from nanovl.synth.video.eventasks import event_log
from nanovl.synth.video.paint import actor_mask, look_box
from nanovl.synth.video.phrases import BANK
from nanovl.synth.video.questions import BUILDERS
from nanovl.synth.video.shapes import ShapesConfig, ShapesGenerator, create
from nanovl.synth.video.stage import Stage, plan_stage
from nanovl.synth.video.timeline import KINDS, REPEAT_S, STEP_S, Actor, Event, Look, look_at
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.video.video_checks import check_others_fail, check_video, pixels_of, shown

SMALL = ShapesConfig(min_s=4, max_s=12, sizes=((256, 256), (320, 240)))


def stages(count: int, seconds: float = 20.0) -> list[Stage]:
    found = []
    for k in range(count):
        rng = Streams(k).rng("content")
        found.append(plan_stage(rng, 320, 240, seconds, 0.5))
    return found


def iou(mask: np.ndarray, box: Any) -> float:
    """Overlap of a box with the box around a mask's pixels."""
    rows, columns = np.nonzero(mask)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    wide = min(found[2], box[2]) - max(found[0], box[0])
    high = min(found[3], box[3]) - max(found[1], box[1])
    shared = max(0.0, wide) * max(0.0, high)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (found, box)]
    return float(shared / (sum(areas) - shared))


def test_boxes_match_the_masks() -> None:
    worst, checked = 1.0, 0
    for stage in stages(12):
        for t in np.arange(0.0, stage.duration_s, 0.25):
            for actor in stage.actors:
                look = stage.look(actor, float(t))
                mask = actor_mask(actor, look, stage.width, stage.height)
                box = look_box(actor, look, stage.width, stage.height)
                assert (box is not None) == bool(mask.any())
                if box is not None:
                    worst, checked = min(worst, iou(mask, box)), checked + 1
    assert checked > 1000
    assert worst >= 0.95


def test_objects_are_seen_where_their_boxes_say() -> None:
    """In the decoded video, the middle of a resting solid object has its colour."""
    right = checked = 0
    for sample in made(ShapesGenerator(SMALL), 12):
        frames = check_video(sample)
        card = sample.gt["card"]
        for thing in sample.gt["objects"]:
            shape, fill = thing["attributes"]["shape"], thing["attributes"]["fill"]
            changed = any(
                e["type"] == "recolor" and thing["id"] == e["subjects"][0]
                for e in sample.gt["events"]
            )
            if fill != "solid" or shape == "ring" or changed:
                continue
            for t, x0, y0, x1, y1, visible in thing["track"]:
                others = [
                    row
                    for o in sample.gt["objects"]
                    if o is not thing
                    for row in o["track"]
                    if row[0] == t and row[5]
                ]
                hidden = any(b[1] < x1 and x0 < b[3] and b[2] < y1 and y0 < b[4] for b in others)
                if not visible or hidden or x1 - x0 < 20 or y1 - y0 < 20:
                    continue
                if card and card["t0"] - 0.3 <= t <= card["t1"] + 0.3:
                    continue
                frame = frames[round(t * sample.gt["fps"])]
                pixel = frame[int(y0 + 0.6 * (y1 - y0)), int((x0 + x1) / 2)].astype(int)
                target = np.array(COLORS[thing["attributes"]["color"]])
                checked += 1
                right += int(np.abs(pixel - target).max() < 60)
    assert checked > 300
    assert right / checked > 0.98


def test_captions_are_the_event_log() -> None:
    for sample in made(ShapesGenerator(SMALL), 20):
        events, captions = sample.gt["events"], sample.gt["captions"]
        assert len(events) == len(captions) >= 1
        for event, caption in zip(events, captions, strict=True):
            assert (event["t0"], event["t1"]) == (caption["t0"], caption["t1"])
        for task in sample.tasks:
            if task.task == "video_dense_caption":
                lines = task.answer_text.split("\n")
                assert lines == [
                    f"{templates.span(c['t0'], c['t1'])} {c['text']}" for c in captions
                ]


def test_plans_keep_their_rules() -> None:
    for stage in stages(40):
        assert event_log(stage.told).count("\n") == len(stage.told) - 1
        by_actor: dict[str, list[Event]] = {}
        for event in stage.told:
            by_actor.setdefault(event.actor, []).append(event)
            if event.other:
                by_actor.setdefault(event.other, []).append(event)
            assert event.t1 - event.t0 >= STEP_S
            assert event.t1 <= stage.duration_s
        for events in by_actor.values():  # one thing at a time
            for a, b in itertools.pairwise(events):
                assert b.t0 >= a.t1
        for t in np.arange(0.0, stage.duration_s, STEP_S):
            looks = [(a, stage.look(a, float(t))) for a in stage.actors]
            names = [a.name(x.color) for a, x in looks]
            assert len(set(names)) == len(names)
            busy = {e.actor for e in stage.told if e.t0 - STEP_S <= t <= e.t1 + STEP_S}
            resting = [look_box(a, x, 320, 240) for a, x in looks if x.visible and a.id not in busy]
            for i, one in enumerate(resting):
                assert one is not None
                for other in resting[:i]:
                    assert other is not None
                    assert (
                        one[0] >= other[2]
                        or other[0] >= one[2]
                        or one[1] >= other[3]
                        or (other[1] >= one[3])
                    )


def test_every_kind_of_event_and_question_occurs() -> None:
    kinds: Counter[str] = Counter()
    for stage in stages(60):
        kinds.update(e.kind for e in stage.told)
    assert set(kinds) == set(KINDS)
    asked: Counter[str] = Counter()
    long_clips = stages(60, 25.0)
    for stage in long_clips:
        for name, builder in BUILDERS.items():
            asked[name] += builder(stage, Streams(1).rng("qa")) is not None
    assert set(asked) == set(BUILDERS)
    assert min(asked.values()) >= 1
    assert all(len(set(bank)) >= 8 for bank in BANK.values())


def test_numbers_and_lengths_are_no_matter_of_the_kind() -> None:
    """Neither one number nor the kind of an event answers how often and which is longer."""
    counts: Counter[str] = Counter()
    lengths: dict[str, list[float]] = {}
    for seed, stage in enumerate(stages(150)):
        counts[_answer("count", stage, seed)] += 1
        for event in stage.told:
            if event.kind not in ("blink", "jump"):
                lengths.setdefault(event.kind, []).append(event.t1 - event.t0)
    assert max(counts.values()) < 0.5 * sum(counts.values())
    assert len(counts) >= 3
    means = [sum(found) / len(found) for found in lengths.values()]
    assert max(means) < 1.5 * min(means)


def _answer(name: str, stage: Stage, seed: int) -> str:
    task = BUILDERS[name](stage, Streams(seed).rng("qa"))
    assert task is not None
    return task.answer_text


def test_answers_by_hand() -> None:
    """One object that comes in, jumps three times and turns green; another that stays."""
    start = Look(-20.0, 60.0, 40.0, 0.0, "red", "red", 0.0, False)
    rest = Look(250.0, 180.0, 40.0, 0.0, "blue", "blue", 0.0, True)
    actors = (Actor("o0", "circle", "solid", start), Actor("o1", "star", "solid", rest))
    events = (
        Event("e0", "enter", "o0", 1.0, 3.0, "The red circle enters from the left.", side="left",
              x=60.0, y=60.0),
        Event("e1", "jump", "o0", 4.0, 10.0, "The red circle jumps 3 times.", factor=20.0,
              times=3),
        Event("e2", "recolor", "o0", 12.0, 12.5, "The red circle turns green.", color="green"),
    )  # fmt: skip
    stage = Stage(320, 240, 15.0, actors, events)
    rng = Streams(4).rng("qa")
    assert not look_at(actors[0], events, 0.5).visible
    assert look_at(actors[0], events, 2.0).x == pytest.approx(20.0)
    assert look_at(actors[0], events, 3.0).x == 60.0
    assert look_at(actors[0], events, 4.0 + REPEAT_S / 2).y == pytest.approx(40.0)
    assert look_at(actors[0], events, 14.0).color == "green"

    def answer(name: str) -> Any:
        task = BUILDERS[name](stage, rng)
        assert task is not None
        return task.answer_text

    assert answer("repetitions") == "3"
    turned = BUILDERS["attribute_change"](stage, rng)
    assert turned is not None
    assert turned.answer_text == "green"
    assert "red circle" in turned.question
    assert answer("dense_caption").split("\n")[0] == (
        "00:01-00:03 The red circle enters from the left."
    )
    for _ in range(20):
        spans = {"00:01-00:03", "00:04-00:10", "00:12-00:12.5"}
        assert answer("grounding") in spans
        assert answer("localisation") in {*spans, "not present"}
        assert answer("count") in {"0", "1"}
        visible = BUILDERS["visible_at"](stage, rng)
        assert visible is not None
        assert visible.answer_text in {"1", "2"}
        assert answer("color_at") in {"red", "green"}


@pytest.mark.slow
def test_samples_are_sound() -> None:
    samples = made(ShapesGenerator(SMALL), 40)
    for sample in samples:
        check_video(sample)
    check_others_fail(samples)


@pytest.mark.slow
def test_cards_interrupt_quiet_moments() -> None:
    generator = ShapesGenerator(ShapesConfig(min_s=12, max_s=16, card=1.0, sizes=((256, 256),)))
    cards = 0
    for sample in made(generator, 8):
        card = sample.gt["card"]
        if card is None:
            continue
        cards += 1
        frames = check_video(sample)
        inside = frames[round((card["t0"] + 0.5) * sample.gt["fps"])]
        assert inside[4, 4].max() < 90
        assert inside.max() > 200
        assert sample.tasks[-1].answer_text == card["letter"]
        for event in sample.gt["events"]:
            assert event["t1"] <= card["t0"] or event["t0"] >= card["t1"]
    assert cards >= 4


@pytest.mark.parametrize(
    "settings", [{"min_s": 1.0}, {"fps": [5]}, {"sizes": [[255, 256]]}, {"speed": 2}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="video-shapes"):
        create(settings)


def test_golden(golden: Callable[[str, Any], None], request: pytest.FixtureRequest) -> None:
    sample = make(ShapesGenerator(SMALL), 2)
    assert sample is not None
    golden("synth/video-shapes.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    settings = '{"min_s": 16.0, "max_s": 16.0, "sizes": [[256, 256]], "min_density": 0.5}'
    check_hash_seeds("nanovl.synth.video.shapes", settings, indices="range(3)")


def test_pixels_repeat() -> None:
    first, second = (make(ShapesGenerator(SMALL), 1) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.media[0].data == second.media[0].data
    assert pixels_of(check_video(first)) == pixels_of(check_video(second))
