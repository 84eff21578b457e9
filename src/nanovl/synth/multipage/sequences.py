"""Sequences of pictures: shuffled ones to be sorted, and small stories to be told.

Source: data synthesis specification, section 12 (image sequence stories); the report's captions of
several images.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from nanovl.synth.asking import join_words, plural, with_article
from nanovl.synth.base import Answer, Reject, Streams, Task
from nanovl.synth.multipage.album import Album, Makers, ask, ask_number
from nanovl.synth.scenes.families import referents
from nanovl.synth.scenes.paint import paint
from nanovl.synth.scenes.pairs import Edit, edited
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Item, Scene, attributes, draw_canvas, scattered

__all__ = ["ordered_sequence", "story_sequence"]

_SIZES = ((320, 320), (384, 384), (448, 336), (336, 448))
_EVENTS = {
    "added": "objects appear one after another",
    "removed": "objects vanish one after another",
}
_HAPPENS = {
    "color": "does an object change its color",
    "shape": "does an object change its shape",
    "removed": "does an object vanish",
    "moved": "does an object move",
}


def _start(streams: Streams, low: int, high: int) -> tuple[Scene, dict[str, list[str]]]:
    rng = streams.rng("content")
    canvas = draw_canvas(streams.rng("style"), _SIZES)
    values = attributes(rng, canvas.ground, glyphs=False)
    return scattered(rng, canvas, values, rng.randint(low, high)), values


def _with(scene: Scene, items: list[Item]) -> Scene:
    return replace(scene, items=tuple(replace(i, id=k) for k, i in enumerate(items)))


def ordered_sequence(makers: Makers, streams: Streams) -> Album:
    """A process in shuffled pictures: things appear or vanish, one moves, one grows."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    kind = rng.choice(("added", "removed", "moved", "grown", "shrunk"))
    count = rng.randint(3, 5)
    if kind in _EVENTS:
        scene, _ = _start(streams, count + 1, count + 3)
        rest = len(scene.items) - count + 1
        order = rng.sample(scene.items, len(scene.items))
        scenes = [_with(scene, order[: rest + k]) for k in range(count)]
        event, path = _EVENTS[kind], "by the number of objects"
        if kind == "removed":
            scenes.reverse()
    else:
        scene, _ = _start(streams, 3, 6)
        unique = referents(scene)
        if not unique:
            raise Reject("no_referent", "no object of the scene can be named")
        number = rng.choice(sorted(unique))
        name = rng.choice(unique[number]).text()
        scenes, event = _process(scene, number, name, kind, count, rng)
        path = f"by the {name}"
    shuffled = list(range(count))
    while shuffled == sorted(shuffled):
        rng.shuffle(shuffled)
    answer = [str(shuffled.index(k) + 1) for k in range(count)]
    trace = f"Sorted {path}, the pictures come in the order {', '.join(answer)}."
    tasks: list[Task] = [
        ask("order", qa, ", ".join(answer), Answer(type="list", value=answer), "list_ordered", "",
            trace, event=event)
    ]  # fmt: skip
    end = qa.choice(("first", "last"))
    place = int(answer[0] if end == "first" else answer[-1])
    tasks.append(ask_number("order-end", qa, place, trace, event=event, end=end))
    shown = [scenes[k] for k in shuffled]
    gt = {"process": kind, "order": list(map(int, answer)), "event": event,
          "scenes": [s.to_json() for s in shown]}  # fmt: skip
    return Album("order", tuple(map(paint, shown)), tuple(tasks), gt, 2)


def _process(
    scene: Scene, number: int, name: str, kind: str, count: int, rng: random.Random
) -> tuple[list[Scene], str]:
    item = scene.items[number]
    others = [i for i in scene.items if i.id != number]
    canvas = scene.canvas
    if kind == "moved":
        half = item.diameter // 2 + 4
        places = [half + k * (canvas.width - 2 * half) // (count - 1) for k in range(count)]
        y = _free_row(item, others, canvas.height, rng)
        steps = [replace(item, x=x, y=y) for x in places]
        event = f"the {name} moves from left to right"
        if rng.random() < 0.5:
            steps.reverse()
            event = f"the {name} moves from right to left"
    else:
        low = max(14, item.diameter // 3)
        room = 2 * min(item.x, item.y, canvas.width - item.x, canvas.height - item.y) - 4
        near = min((((o.x - item.x) ** 2 + (o.y - item.y) ** 2) ** 0.5 - o.diameter / 2
                    for o in others), default=room)  # fmt: skip
        high = int(min(room, 2 * near * 0.92, 1.8 * item.diameter))
        if high < 1.25**count * low:
            raise Reject("no_room", "an object cannot grow enough")
        sizes = [2 * round(low * (high / low) ** (k / (count - 1)) / 2) for k in range(count)]
        steps = [replace(item, diameter=d) for d in sizes]
        word = "grows"
        if kind == "shrunk":
            steps.reverse()
            word = "shrinks"
        plain = " ".join(w for w in name.split() if w not in ("small", "medium", "large"))
        event = f"the {plain} {word}"
        if sum(describe(o, ("color", "shape")) == describe(item, ("color", "shape"))
               for o in others):  # fmt: skip
            raise Reject("no_referent", "two objects are alike but for their size")
    return [_with(scene, [*others, step]) for step in steps], event


def _free_row(item: Item, others: list[Item], height: int, rng: random.Random) -> int:
    """A height at which an object may pass over the whole picture without touching another."""
    half = item.diameter // 2 + 4
    free = [
        y
        for y in range(half, height - half, 4)
        if all(abs(o.y - y) > 0.52 * (o.diameter + item.diameter) for o in others)
    ]
    if not free:
        raise Reject("no_room", "an object has no way through")
    return rng.choice(free)


def story_sequence(makers: Makers, streams: Streams) -> Album:
    """Three to six pictures, each with one change to the one before; told and asked about."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    scene, values = _start(streams, 4, 7)
    scenes = [scene]
    edits: list[Edit] = []
    wanted = rng.randint(2, 5)
    for _ in range(24):
        if len(edits) == wanted or len(scenes[-1].items) < 3:
            break
        try:
            after, done = edited(scenes[-1], rng, values, 1)
        except Reject:
            continue
        scenes.append(after)
        edits.append(done[0])
    if len(edits) < 2:
        raise Reject("no_edit", "the scene could not be edited twice")
    lines = [_opening(scene), *(e.text for e in edits)]
    text = "\n".join(f"Picture {n}: {line}" for n, line in enumerate(lines, 1))
    tasks = [ask("story", qa, text, Answer(type="text", value=text), "edit_distance", "", None)]
    step = qa.randrange(len(edits))
    tasks.append(ask("step", qa, edits[step].text, Answer(type="text", value=edits[step].text),
                     "anls", "", None, a=step + 1, b=step + 2))  # fmt: skip
    tasks += _when(edits, qa)
    sizes = [str(len(s.items)) for s in scenes]
    tasks.append(ask("counts", qa, ", ".join(sizes), Answer(type="list", value=sizes),
                     "list_ordered", "", None))  # fmt: skip
    gt = {"scenes": [s.to_json() for s in scenes], "events": [e.to_json() for e in edits]}
    return Album("story", tuple(map(paint, scenes)), tuple(tasks), gt, 3)


def _when(edits: list[Edit], rng: random.Random) -> list[Task]:
    counts = Counter(e.kind for e in edits)
    once = [k for k, e in enumerate(edits) if counts[e.kind] == 1]
    if not once:
        return []
    k = rng.choice(once)
    text = f"{k + 1}-{k + 2}"
    trace = f"From picture {k + 1} to picture {k + 2}: {edits[k].text}"
    return [ask("when", rng, text, Answer(type="text", value=text), "exact", "", trace,
                event=_HAPPENS[edits[k].kind])]  # fmt: skip


def _opening(scene: Scene) -> str:
    names = Counter(describe(i, ("color", "shape")) for i in scene.items)
    shown = []
    for name, count in names.items():
        many = f"{name}es" if name.endswith("cross") else f"{name}s"
        shown.append(with_article(name) if count == 1 else f"{count} {many}")
    return f"There are {plural(len(scene.items), 'object')}: {join_words(shown)}."
