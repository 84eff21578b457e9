"""Questions about how the objects of a clip look at a time, answered from the plan.

Times asked about keep clear of changes, so that frames half a second apart show the answer. Must
not look at pixels.

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import random
from collections import Counter

from nanovl.data.convert import templates
from nanovl.synth.asking import box_answer, join_words, multiple_choice, noted, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.video.eventasks import asked_task, choice_task, mcq
from nanovl.synth.video.paint import look_box
from nanovl.synth.video.phrases import BANK
from nanovl.synth.video.stage import Stage
from nanovl.synth.video.timeline import STEP_S

__all__ = ["box_at", "color_at", "place_at", "turns_into", "unmoved", "visible_at"]

_PLACES = ("enter", "leave", "move", "bump")


def _calm_times(stage: Stage) -> list[float]:
    """Times on the grid with nothing going on within half a second."""
    steps = round(stage.duration_s / STEP_S)
    return [
        k * STEP_S
        for k in range(1, steps)
        if not any(e.t0 - STEP_S < k * STEP_S < e.t1 + STEP_S for e in stage.told)
    ]


def visible_at(stage: Stage, rng: random.Random) -> Task | None:
    """How many objects can be seen at a time."""
    times = _calm_times(stage)
    if not times:
        return None
    t = rng.choice(times)
    shown = [a for a in stage.actors if stage.look(a, t).visible]
    names = join_words([f"the {a.name(stage.look(a, t).color)}" for a in shown])
    question, template = worded(BANK, "visible", rng, t=templates.timestamp(t))
    trace = f"At {templates.timestamp(t)} these can be seen: {names or 'none'}."
    answer = Answer(type="number", value=len(shown))
    return asked_task(
        "visible_at",
        (noted(question, "number", rng), template),
        str(len(shown)),
        answer,
        "number",
        trace,
    )


def color_at(stage: Stage, rng: random.Random) -> Task | None:
    """The colour of an object at a time, for objects that change it and alone have their shape."""
    shapes = Counter(a.shape for a in stage.actors)
    actors = [
        a
        for a in stage.actors
        if shapes[a.shape] == 1
        and any(e.actor == a.id and e.kind == "recolor" for e in stage.events)
    ]
    pairs = [(a, t) for a in actors for t in _calm_times(stage) if stage.look(a, t).visible]
    if not pairs:
        return None
    actor, t = rng.choice(pairs)
    color = stage.look(actor, t).color
    slots = {"shape": actor.shape, "t": templates.timestamp(t)}
    question, template = worded(BANK, "color_at", rng, **slots)
    answer = Answer(type="text", value=color)
    return asked_task(
        "color_at", (noted(question, "word", rng), template), color, answer, "exact_ci"
    )


def turns_into(stage: Stage, rng: random.Random) -> Task | None:
    """The new colour of an object."""
    found = [e for e in stage.told if e.kind == "recolor"]
    if not found:
        return None
    event = rng.choice(found)
    actor = stage.actor(event.actor)
    name = actor.name(stage.look(actor, event.t0 - STEP_S / 2).color)  # before it turns
    question, template = worded(BANK, "turns_into", rng, name=name)
    answer = Answer(type="text", value=event.color)
    return asked_task(
        "attribute_change", (noted(question, "word", rng), template), event.color, answer,
        "exact_ci",
    )  # fmt: skip


def place_at(stage: Stage, rng: random.Random) -> Task | None:
    """In which half an object is at a time."""
    found = []
    for t in _calm_times(stage):
        for actor in stage.actors:
            look = stage.look(actor, t)
            if look.visible and abs(look.x - stage.width / 2) > stage.width * 0.12:
                found.append((actor, t, look))
    if not found:
        return None
    side = rng.choice(("left", "right"))
    fitting = [f for f in found if (f[2].x < stage.width / 2) == (side == "left")]
    if not fitting:
        return None
    actor, t, look = rng.choice(fitting)
    slots = {"name": actor.name(look.color), "t": templates.timestamp(t)}
    question = worded(BANK, "place_at", rng, **slots)
    return asked_task("place_at", question, side, Answer(type="text", value=side), "exact_ci")


def box_at(stage: Stage, rng: random.Random) -> Task | None:
    """The box of an object at a time."""
    found = []
    for t in _calm_times(stage):
        for actor in stage.actors:
            look = stage.look(actor, t)
            box = look_box(actor, look, stage.width, stage.height)
            if box and box[2] - box[0] >= 8 and box[3] - box[1] >= 8:
                found.append((actor, t, look, box))
    if not found:
        return None
    actor, t, look, box = rng.choice(found)
    name = actor.name(look.color)
    question = worded(BANK, "box_at", rng, name=name, t=templates.timestamp(t))
    text, answer = box_answer(name, [box], stage.width, stage.height)
    return asked_task("box_at", question, text, answer, "iou")


def unmoved(stage: Stage, rng: random.Random) -> Task | None:
    """Which object keeps its place."""
    moving = {e.actor for e in stage.told if e.kind in _PLACES}
    seen = [a for a in stage.actors if a.start.visible or any(e.actor == a.id for e in stage.told)]
    still = [a for a in seen if a.id not in moving]
    others = [a.name(a.start.color) for a in seen if a.id in moving]
    if len(still) != 1 or len(others) < 3:
        return None
    right = still[0].name(still[0].start.color)
    made = multiple_choice(*mcq("mover", rng), right, others, rng)
    return choice_task("unmoved", "mover", made)
