"""Questions on scenes: programs give answers, phrases mean one object, traces tell the steps."""

from __future__ import annotations

import random

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.scenes.families import minimal_phrases, questions, referents
from nanovl.synth.scenes.programs import Step, narrate, nearest, run
from nanovl.synth.scenes.scene import Canvas, Item, Scene


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
