"""Counting many objects, captions short and dense, and a scene as JSON.

Source: data synthesis specification, section 12. The wordings are our own.
"""

from __future__ import annotations

import random
from collections import Counter

from nanovl.synth.asking import Bank, join_words, noted, plural, with_article, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.scenes.families import Phrase, minimal_phrases
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Item, Scene

__all__ = ["caption_tasks", "count_tasks", "region"]

BANK: Bank = {
    "total": (
        "how many objects are there in total?",
        "count all objects in the picture.",
        "what is the total number of shapes?",
        "how many things do you see altogether?",
        "give the overall number of objects.",
        "how many objects does the picture show?",
        "count everything that is drawn here.",
        "tell me how many objects there are.",
    ),
    "kind": (
        "how many {things} are there?",
        "count the {things}.",
        "what is the number of {things}?",
        "find out how many {things} the picture has.",
        "how many {things} do you see?",
        "give the count of {things}.",
        "tell me the number of {things}.",
        "of all objects, how many are {things}?",
    ),
    "grid": (
        "how many rows and columns does the full part of the grid have? Answer as rows x columns.",
        "the objects stand in a grid: how many rows x columns? Count only rows that are full.",
        "give the size of the grid of objects as rows x columns, full rows only.",
        "state rows x columns of the arrangement; leave out an incomplete last row.",
    ),
    "most": (
        "which {attribute} occurs most often?",
        "what is the most frequent {attribute}?",
        "name the {attribute} that most objects have.",
        "among all objects, which {attribute} is the most common?",
    ),
    "short": (
        "describe the picture briefly.",
        "write a short caption.",
        "what is in the picture? One sentence.",
        "summarize the scene in a sentence.",
        "caption this image.",
        "give a brief description.",
        "say in one sentence what is shown.",
        "what does this image show, in short?",
    ),
    "dense": (
        "describe the picture in detail.",
        "write a detailed caption of the scene.",
        "describe every object and where it is.",
        "give a full description of what you see.",
        "explain the scene thoroughly.",
        "list all objects from left to right with their places.",
        "provide a detailed description of this image.",
        "what exactly does the image show? Describe all of it.",
    ),
    "json": (
        "list the objects from left to right as JSON with the keys size, fill, color, shape.",
        "return a JSON list of all objects, left to right (keys: size, fill, color, shape).",
        "write the scene as a JSON array ordered from left to right; every object has size, fill, "
        "color and shape.",
        "give JSON: an array of the objects from left to right with size, fill, color, shape.",
    ),
}
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
                "eleven", "twelve")  # fmt: skip


def count_tasks(
    scene: Scene, rng: random.Random, count: int, media: tuple[str, ...], rows: tuple[int, int]
) -> list[Task]:
    """Counting tasks on a scene of many objects.

    Args:
        scene: 0 to 60 objects.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
        rows: Full rows and columns when the objects fill a grid, else (0, 0).
    """
    total = len(scene.items)
    tasks = [_count("total", total, rng, media, _total_trace(scene, rows))]
    phrases = minimal_phrases(scene)
    rng.shuffle(phrases)
    for phrase in phrases[: count - 1]:
        found = [i for i in scene.items if phrase.matches(i)]
        things = phrase.text(many=True)
        trace = _kind_trace(scene, phrase, things, found)
        tasks.append(_count("kind", len(found), rng, media, trace, things=things))
    if rows[0] > 1 and len(tasks) == count:
        question, template = worded(BANK, "grid", rng)
        text = f"{rows[0]} x {rows[1]}"
        answer = Answer(type="text", value=text)
        tasks[-1] = Task(
            task="scene_grid", question=question, answer_text=text, answer=answer,
            verifier="exact_ci", media=media, template=f"counting/{template}",
        )  # fmt: skip
    elif total > 4:
        tasks += _most(scene, rng, media)
    return tasks


def _count(
    kind: str, number: int, rng: random.Random, media: tuple[str, ...], trace: str, **slots: str
) -> Task:
    question, template = worded(BANK, kind, rng, **slots)
    return Task(
        task=f"scene_count_{kind}",
        question=noted(question, "number", rng),
        answer_text=str(number),
        answer=Answer(type="number", value=number),
        verifier="number",
        trace=trace,
        media=media,
        template=f"counting/{template}",
    )


def bands(scene: Scene) -> list[list[Item]]:
    """Objects by horizontal thirds of the picture, or by rows where they stand in rows."""
    ordered = sorted(scene.items, key=lambda i: (i.y, i.x))
    found: list[list[Item]] = []
    for item in ordered:
        if found and item.y - found[-1][0].y < item.diameter * 0.6:
            found[-1].append(item)
        else:
            found.append([item])
    return found


def _total_trace(scene: Scene, rows: tuple[int, int]) -> str:
    if not scene.items:
        return "I look over the whole picture: it is empty."
    if rows[0] > 1:
        full = rows[0] * rows[1]
        rest = len(scene.items) - full
        text = f"There are {rows[0]} full rows of {rows[1]}: {rows[0]} x {rows[1]} = {full}."
        if rest:
            text += f" One more row holds {rest}: {full} + {rest} = {full + rest}."
        return text
    sizes = [len(band) for band in bands(scene)]
    if len(sizes) == 1:
        return f"There is a single row of {plural(sizes[0], 'object')}."
    return f"From top to bottom I count {join_words([str(s) for s in sizes])}; " + (
        f"{' + '.join(map(str, sizes))} = {sum(sizes)}."
    )


def _kind_trace(scene: Scene, phrase: Phrase, things: str, found: list[Item]) -> str:
    sizes = [sum(map(phrase.matches, band)) for band in bands(scene)]
    shown = [str(size) for size in sizes if size]
    if len(shown) < 2:
        return f"I look for {things} from top to bottom and find {len(found)}, all in one row."
    return f"From top to bottom I meet {join_words(shown)} {things}; " + (
        f"{' + '.join(shown)} = {len(found)}."
    )


def _most(scene: Scene, rng: random.Random, media: tuple[str, ...]) -> list[Task]:
    name = rng.choice(("color", "shape"))
    ranked = Counter(i.get(name) for i in scene.items).most_common()
    if len(ranked) < 2 or ranked[0][1] < ranked[1][1] + 1 + len(scene.items) // 15:
        return []
    question, template = worded(BANK, "most", rng, attribute=name)
    counts = join_words([f"{value} {number}" for value, number in sorted(ranked)])
    return [
        Task(
            task="scene_most",
            question=noted(question, "word", rng),
            answer_text=ranked[0][0],
            answer=Answer(type="text", value=ranked[0][0]),
            verifier="exact_ci",
            trace=f"Counted by {name}: {counts}. The largest is {ranked[0][0]}.",
            media=media,
            template=f"counting/{template}",
        )
    ]


def region(scene: Scene, item: Item) -> str:
    """Where an object is, in words: `in the upper left`, `in the center`."""
    column = min(2, int(3 * item.x / scene.canvas.width))
    row = min(2, int(3 * item.y / scene.canvas.height))
    if (row, column) == (1, 1):
        return "in the center"
    if row == 1:
        return f"on the {('left', '', 'right')[column]}"
    vertical = ("upper", "", "lower")[row]
    if column == 1:
        return f"at the {'top' if row == 0 else 'bottom'}"
    return f"in the {vertical} {('left', '', 'right')[column]}"


def caption_tasks(
    scene: Scene, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Captions, or the scene as JSON; at most `count` different ones."""
    kinds = ["short", "dense", "json"]
    rng.shuffle(kinds)
    tasks = []
    for kind in kinds[:count]:
        question, template = worded(BANK, kind, rng)
        if kind == "json":
            value = [{n: i.get(n) for n in ("size", "fill", "color", "shape")} for i in scene.items]
            text = "[" + ",\n ".join(_json_line(v) for v in value) + "]"
            answer, verifier = Answer(type="json", value=value), "json_equal"
        else:
            text = _short(scene) if kind == "short" else _dense(scene)
            answer, verifier = Answer(type="text", value=text), "edit_distance"
        tasks.append(
            Task(
                task=f"scene_caption_{kind}",
                question=question,
                answer_text=text,
                answer=answer,
                verifier=verifier,
                media=media,
                template=f"telling/{template}",
            )
        )
    return tasks


def _json_line(value: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{k}": "{v}"' for k, v in value.items()) + "}"


def _short(scene: Scene) -> str:
    counts: dict[str, int] = {}
    for item in scene.items:
        name = describe(item, ("color", "shape"))
        counts[name] = counts.get(name, 0) + 1
    words = []
    for name, number in counts.items():
        many = f"{name}es" if name.endswith("cross") else f"{name}s"
        words.append(with_article(name) if number == 1 else f"{NUMBER_WORDS[number]} {many}")
    start = words[0][:1].upper() + words[0][1:]
    return f"{join_words([start, *words[1:]])} on a {scene.canvas.ground} background."


def _dense(scene: Scene) -> str:
    total = len(scene.items)
    texture = {"plain": "plain", "gradient": "graded", "grid": "gridded", "noise": "grainy"}
    ground = f"{texture[scene.canvas.texture]} {scene.canvas.ground}"
    number = NUMBER_WORDS[total]
    lines = [f"The picture shows {plural(total, 'object').replace(str(total), number, 1)} on "
             f"a {ground} background."]  # fmt: skip
    for place, item in enumerate(scene.items):
        lead = "Leftmost is" if place == 0 else "Further right is"
        if place == total - 1 and place:
            lead = "Rightmost is"
        text = f"{lead} {with_article(describe(item))} {region(scene, item)}"
        if place:
            before = scene.items[place - 1]
            side = "above" if item.y < before.y else "below"
            text += f", {side} the one before"
        lines.append(text + ".")
    return " ".join(lines)
