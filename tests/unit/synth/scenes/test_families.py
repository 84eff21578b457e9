"""Questions on scenes: programs give answers, phrases mean one object, traces tell the steps."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.scenes.families import minimal_phrases, questions, referents
from nanovl.synth.scenes.nesting import draw_nest, nest_tasks
from nanovl.synth.scenes.programs import Step, narrate, nearest, run
from nanovl.synth.scenes.scene import Canvas, Item, Scene, draw_canvas
from nanovl.synth.scenes.shapes import COLORS
from nanovl.synth.scenes.symmetry import COVER, draw_mosaic, mosaic_tasks


def item(number: int, x: int, y: int, color: str, shape: str, size: str = "large") -> Item:
    return Item(id=number, shape=shape, color=color, fill="solid", size=size, x=x, y=y, diameter=20)


SCENE = Scene(
    canvas=Canvas(width=200, height=200),
    items=(
        item(0, 20, 100, "red", "star"),
        item(1, 60, 20, "blue", "star"),
        item(2, 100, 180, "red", "circle", "small"),
        item(3, 160, 60, "green", "circle"),
    ),
    margin=15,
)


def test_a_chain_of_steps_is_executed_and_told() -> None:
    program = (
        Step("scene"),
        Step("filter", ("color", "blue"), (0,)),
        Step("unique", (), (1,)),
        Step("relate", ("right",), (2,)),
        Step("filter", ("shape", "circle"), (3,)),
        Step("count", (), (4,)),
    )
    done = run(SCENE, program)
    assert done is not None
    assert done.values[3] == (2, 3)
    assert done.answer == 2
    told = narrate(SCENE, program, done)
    assert "A large solid red star" in told
    assert "To the right of B: C and D." in told
    assert told.endswith("That makes 2 objects.")


def test_the_object_must_be_one() -> None:
    program = (Step("scene"), Step("filter", ("color", "red"), (0,)), Step("unique", (), (1,)))
    assert run(SCENE, program) is None


def test_an_unknown_operation_is_named() -> None:
    with pytest.raises(ConfigError, match="'fly'"):
        run(SCENE, (Step("fly"),))


def test_nearest_needs_a_clear_lead() -> None:
    assert nearest(SCENE, 3) == (1,)
    close = Scene(
        canvas=SCENE.canvas,
        items=(item(0, 100, 100, "red", "star"), item(1, 60, 99, "blue", "star"),
               item(2, 140, 101, "green", "star")),
        margin=10,
    )  # fmt: skip
    assert nearest(close, 0) is None


def test_referents_mean_one_object_and_no_word_is_spare() -> None:
    found = referents(SCENE)
    assert [p.text() for p in found[1]] == ["blue object"]
    for number, phrases in found.items():
        for phrase in phrases:
            assert [i.id for i in SCENE.items if phrase.matches(i)] == [number]
    assert {p.text() for p in found[0]} == {"large red object", "red star"}


def test_phrases_change_what_they_filter() -> None:
    for phrase in minimal_phrases(SCENE):
        assert 0 <= sum(map(phrase.matches, SCENE.items)) < len(SCENE.items)
    assert "solid objects" not in {p.text(many=True) for p in minimal_phrases(SCENE)}


@pytest.mark.parametrize("seed", range(20))
def test_answers_follow_from_stored_programs(seed: int) -> None:
    for task, program in questions(SCENE, random.Random(seed), 4, ()):
        done = run(SCENE, program)
        assert done is not None
        value = done.answer
        shown = {True: "Yes", False: "No"}[value] if isinstance(value, bool) else str(value)
        assert task.answer_text == shown
        assert task.answer.value == value


def test_frames_hold_what_they_are_said_to_hold() -> None:
    seen = 0
    for seed in range(60):
        rng = random.Random(seed)
        try:
            nest, _ = draw_nest(rng, draw_canvas(rng, [(512, 512)]))
        except Reject:
            continue
        for number, item in enumerate(nest.items):
            x0, y0, x1, y1 = item.box
            inside = []
            for frame in nest.frames:
                a, b, c, d = frame.box
                if a < x0 and b < y0 and x1 < c and y1 < d:
                    inside.append((c - a, frame.number))
            assert nest.around(number) == [k for _, k in sorted(inside)]
        for frame in nest.frames:
            if frame.parent >= 0:
                outer = nest.frames[frame.parent].box
                assert outer[0] < frame.box[0] < frame.box[2] < outer[2]
                assert outer[1] < frame.box[1] < frame.box[3] < outer[3]
        names = [f.name for f in nest.frames] + [(i.color, i.shape) for i in nest.items]
        assert len(set(names)) == len(names)
        for task in nest_tasks(nest, rng, 9, ("image",)):
            if task.task == "scene_nested_inside":
                frame = next(f for f in nest.frames if f.name in task.question)
                count = sum(frame.number in nest.around(k) for k in range(len(nest.items)))
                assert task.answer.value == count
                seen += 1
    assert seen >= 30


def test_mosaics_have_the_symmetry_that_is_told() -> None:
    kinds = set()
    for seed in range(120):
        rng = random.Random(seed)
        try:
            mosaic, image = draw_mosaic(rng, draw_canvas(rng, [(384, 384)]))
        except Reject:
            continue
        pixels = np.asarray(image, dtype=int)
        seen = []  # the color in the middle of every cell, read off the picture
        for row in mosaic.boxes:
            seen.append([tuple(pixels[int(b + d) // 2, int(a + c) // 2]) for a, b, c, d in row])
        kinds.add(mosaic.kind)
        flipped = [row[::-1] for row in seen]
        r, c = mosaic.spot
        if mosaic.kind == "whole":
            assert mosaic.is_left_right == (seen == flipped)
            assert mosaic.is_top_bottom == (seen == seen[::-1])
            assert mosaic.is_turned == (seen == flipped[::-1])
        elif mosaic.kind == "broken":
            columns = len(seen[0])
            wrong = [(y, x) for y in range(len(seen)) for x in range(columns // 2, columns)
                     if seen[y][x] != seen[y][columns - 1 - x]]  # fmt: skip
            assert wrong == [(r, c)]
        else:
            assert seen[r][c] == COVER
            mirror = seen[r][len(seen[0]) - 1 - c]
            assert COLORS[mosaic.cells[r][c]] == mirror
            assert mosaic_tasks(mosaic, rng, ("image",))[0].answer.value == mosaic.cells[r][c]
    assert kinds == {"whole", "broken", "covered"}
