"""Grounding on a scene: boxes, points, all objects of a kind, and what a box holds.

Source: data synthesis specification, section 12; design decision D15 (how boxes are written). The
wordings are our own.
"""

from __future__ import annotations

import random

from nanovl.data.convert.templates import box as box_tag, scale_box
from nanovl.synth.asking import Bank, box_answer, noted, point_answer, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.scenes.families import minimal_phrases, referents
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Scene

__all__ = ["pointing_tasks"]

BANK: Bank = {
    "box": (
        "locate the {thing} and give its bounding box.",
        "where is the {thing}? Answer with a box.",
        "give the bounding box of the {thing}.",
        "draw a box around the {thing}.",
        "find the {thing} in the picture and return its box.",
        "provide the box coordinates of the {thing}.",
        "mark the {thing} with a bounding box.",
        "which box encloses the {thing}?",
    ),
    "boxes": (
        "locate all {things} and give their bounding boxes.",
        "give the bounding box of every one of the {things}.",
        "mark each of the {things} with a box.",
        "find all {things}; return their boxes.",
        "where are the {things}? Answer with boxes.",
        "draw boxes around all {things}.",
        "provide box coordinates for all {things}.",
        "detect the {things} and list their boxes.",
    ),
    "point": (
        "point at the {thing}. Answer as (x,y) with values from 0 to 1000.",
        "give one point on the {thing} as (x,y), scaled to 0-1000.",
        "where would you click to hit the {thing}? Reply with (x,y) between 0 and 1000.",
        "name the coordinates (x,y) of the {thing}, each from 0 to 1000.",
        "tap the {thing}: which (x,y) in the range 0 to 1000?",
        "mark the {thing} with a single point (x,y) in thousandths of the picture.",
        "what are the (x,y) coordinates of the {thing}? Use the range 0-1000.",
        "show me the {thing} by a point (x,y), 0 to 1000 on both axes.",
    ),
    "inside": (
        "what is inside {box}? State size, fill, color and shape.",
        "describe the object in {box}: size, fill, color, shape.",
        "which object does {box} enclose? Give size, fill, color and shape.",
        "name the object at {box} by size, fill, color and shape.",
        "look at {box}. What object is it (size, fill, color, shape)?",
        "identify the content of {box} as size, fill, color and shape.",
        "what do you see at {box}? Give its size, fill, color and shape.",
        "tell me size, fill, color and shape of the object in {box}.",
    ),
}


def pointing_tasks(
    scene: Scene, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Some grounding tasks of different kinds.

    Args:
        scene: Its objects do not overlap.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    unique = referents(scene)
    width, height = scene.canvas.width, scene.canvas.height
    tasks = []
    kinds = ["box", "boxes", "point", "inside"]
    rng.shuffle(kinds)
    for kind in kinds[:count]:
        if kind == "boxes":
            groups = [
                p for p in minimal_phrases(scene) if 2 <= sum(map(p.matches, scene.items)) <= 8
            ]
            if not groups:
                continue
            phrase = rng.choice(groups)
            things = phrase.text(many=True)
            boxes = [i.box for i in scene.items if phrase.matches(i)]
            question, template = worded(BANK, kind, rng, things=things)
            text, answer = box_answer(things, boxes, width, height)
            verifier = "iou"
        elif kind == "inside":
            item = rng.choice(scene.items)
            if len(item.shape) == 1:
                continue
            tag = box_tag(scale_box(item.box, width, height))
            question, template = worded(BANK, kind, rng, box=tag)
            text = describe(item)
            answer, verifier = Answer(type="text", value=text, boxes=(item.box,)), "exact_ci"
        else:
            if not unique:
                continue
            number = rng.choice(sorted(unique))
            item, thing = scene.items[number], rng.choice(unique[number]).text()
            question, template = worded(BANK, kind, rng, thing=thing)
            if kind == "box":
                text, answer = box_answer(thing, [item.box], width, height)
                verifier = "iou"
            else:
                x0, y0, x1, y1 = item.box
                text, answer = point_answer((x0 + x1) / 2, (y0 + y1) / 2, item.box, width, height)
                verifier = "point_in_box"
        if kind == "inside":
            question = noted(question, "word", rng)
        tasks.append(
            Task(
                task=f"scene_ground_{kind}",
                question=question,
                answer_text=text,
                answer=answer,
                verifier=verifier,
                media=media,
                template=f"pointing/{template}",
            )
        )
    return tasks
