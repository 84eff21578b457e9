"""Two pictures: spot the difference, and statements about both.

Source: data synthesis specification, section 12. The wordings are our own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.synth.asking import Bank, box_answer, noted, plural, sentence, with_article, worded
from nanovl.synth.base import Answer, Box, Reject, Task
from nanovl.synth.scenes.families import minimal_phrases
from nanovl.synth.scenes.programs import describe
from nanovl.synth.scenes.scene import Item, Scene, contrast
from nanovl.synth.scenes.shapes import COLORS
from nanovl.synth.scenes.telling import region

__all__ = ["Edit", "edited", "pair_tasks", "statement_tasks"]

BANK: Bank = {
    "spot": (
        "what changed from the first picture to the second? List all changes, one per line.",
        "find every difference between the two pictures; write one per line.",
        "compare the pictures and name each change, one a line.",
        "spot the differences. Give one line for every change from picture 1 to picture 2.",
        "which things differ between both pictures? One line each.",
        "list what is different in the second picture, one change per line.",
        "the second picture was edited: name every edit on its own line.",
        "tell all differences between the two images, line by line.",
    ),
    "number": (
        "how many objects differ between the two pictures?",
        "count the changes between picture 1 and picture 2.",
        "what is the number of differences between the pictures?",
        "in how many objects do the two pictures differ?",
    ),
    "where": (
        "where in the second picture is the change? Give a box.",
        "mark the one difference in the second picture with a box.",
        "locate what changed in the second picture; answer with a bounding box.",
        "box the object of the second picture that is not as in the first.",
    ),
    "identical": (
        "are the two pictures identical?",
        "do both pictures show exactly the same?",
        "is the second picture the same as the first?",
        "do the pictures agree in every object?",
    ),
    "statement": (
        "is this true of the two pictures: {claim}?",
        "{claim}: is that right?",
        "check this statement about both pictures: {claim}. Is it true?",
        "does the following hold: {claim}?",
    ),
}


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        kind: "color", "shape", "removed", "added" or "moved".
        text: What changed, as a sentence.
        before, after: Boxes in the first and second picture, None where there is nothing.
    """

    kind: str
    text: str
    before: Box | None
    after: Box | None

    def to_json(self) -> dict[str, Any]:
        """As ground truth keeps it."""
        return {
            "kind": self.kind,
            "text": self.text,
            "before": list(self.before) if self.before else None,
            "after": list(self.after) if self.after else None,
        }


def edited(
    scene: Scene, rng: random.Random, values: Mapping[str, Sequence[str]], count: int
) -> tuple[Scene, tuple[Edit, ...]]:
    """A second scene with some objects changed.

    Raises:
        Reject: So many changes were not possible.
    """
    items: list[Item | None] = list(scene.items)
    edits = []
    for number in sorted(rng.sample(range(len(items)), count)):
        item = scene.items[number]
        name = _called(scene, item)
        if sum(_called(scene, other) == name for other in scene.items) > 1:
            raise Reject("no_edit", f"more than one {name}")
        kinds = ["color", "shape", "removed", "moved"]
        rng.shuffle(kinds)
        for kind in kinds:
            changed, text = _change(scene, items, item, kind, rng, values)
            if text:
                break
        else:
            raise Reject("no_edit", "an object could not be changed")
        items[number] = changed
        edits.append(Edit(kind, f"The {name} {text}.", item.box, changed.box if changed else None))
    left = tuple(replace(i, id=k) for k, i in enumerate(i for i in items if i is not None))
    return replace(scene, items=left), tuple(edits)


def _called(scene: Scene, item: Item) -> str:
    return f"{describe(item, ('size', 'color', 'shape'))} {region(scene, item)}"


def _change(
    scene: Scene,
    items: Sequence[Item | None],
    item: Item,
    kind: str,
    rng: random.Random,
    values: Mapping[str, Sequence[str]],
) -> tuple[Item | None, str]:
    if kind == "removed":
        return None, "is gone"
    if kind == "moved":
        return _moved(scene, items, item, rng)
    pool = [v for v in values[kind] if v != item.get(kind)]
    if kind == "color":
        mine = COLORS[item.color]
        pool = [v for v in pool if contrast(COLORS[v], mine) > 1.2 or v[0] != item.color[0]]
    if kind == "shape":
        pool = [v for v in pool if len(v) > 1 and len(item.shape) > 1]
    if not pool:
        return None, ""
    value = rng.choice(pool)
    if kind == "color":
        return replace(item, color=value), f"is now {value}"
    return replace(item, shape=value, turn=0), f"is now {with_article(value)}"


def _moved(
    scene: Scene, items: Sequence[Item | None], item: Item, rng: random.Random
) -> tuple[Item | None, str]:
    canvas = scene.canvas
    half = item.diameter // 2 + 4
    for _ in range(20):
        x, y = rng.randint(half, canvas.width - half), rng.randint(half, canvas.height - half)
        far = abs(x - item.x) + abs(y - item.y) > 0.3 * canvas.width
        moved = replace(item, x=x, y=y)
        others = [o for o in [*items, *scene.items] if o is not None and o.id != item.id]
        free = all(
            (o.x - x) ** 2 + (o.y - y) ** 2 > (0.55 * (o.diameter + item.diameter)) ** 2
            for o in others
        )
        if far and free and region(scene, moved) != region(scene, item):
            return moved, f"is now {region(scene, moved)}"
    return None, ""


def pair_tasks(
    first: Scene,
    edits: Sequence[Edit],
    rng: random.Random,
    media: tuple[str, str],
) -> list[Task]:
    """Tasks on a scene and its edited version."""
    tasks = []
    if edits:
        question, template = worded(BANK, "spot", rng)
        lines = [e.text for e in edits]
        tasks.append(
            Task(
                task="pair_spot",
                question=question,
                answer_text="\n".join(lines),
                answer=Answer(type="list", value=lines),
                verifier="set",
                media=media,
                template=f"pairs/{template}",
            )
        )
        question, template = worded(BANK, "number", rng)
        told = " ".join(lines)
        tasks.append(
            Task(
                task="pair_number",
                question=noted(question, "number", rng),
                answer_text=str(len(edits)),
                answer=Answer(type="number", value=len(edits)),
                verifier="number",
                media=media,
                template=f"pairs/{template}",
                trace=f"Going through the objects of the first picture: {told} "
                f"That makes {plural(len(edits), 'change')}.",
            )
        )
    if len(edits) == 1 and edits[0].after:
        question, template = worded(BANK, "where", rng)
        canvas = first.canvas
        text, answer = box_answer("change", [edits[0].after], canvas.width, canvas.height)
        tasks.append(
            Task(
                task="pair_where",
                question=question,
                answer_text=text,
                answer=answer,
                verifier="iou",
                media=media,
                template=f"pairs/{template}",
            )
        )
    question, template = worded(BANK, "identical", rng)
    same = not edits
    tasks.append(
        Task(
            task="pair_identical",
            question=noted(question, "yesno", rng),
            answer_text="Yes" if same else "No",
            answer=Answer(type="bool", value=same),
            verifier="exact_ci",
            media=media,
            template=f"pairs/{template}",
            trace="Every object of the first picture is in the second, unchanged."
            if same
            else f"{edits[0].text} So they differ.",
        )
    )
    return tasks


def statement_tasks(
    first: Scene, second: Scene, rng: random.Random, count: int, media: tuple[str, str]
) -> list[Task]:
    """True or false statements about two different scenes, true as often as false."""
    phrases = [*minimal_phrases(first), *minimal_phrases(second)]
    tasks = []
    for _ in range(count):
        wanted = rng.random() < 0.5
        for _ in range(20):
            phrase = rng.choice(phrases)
            things = phrase.text(many=True)
            a, b = (sum(map(phrase.matches, s.items)) for s in (first, second))
            claim, is_true = rng.choice(
                (
                    (f"the first picture has more {things} than the second", a > b),
                    (f"the second picture has more {things} than the first", b > a),
                    (f"both pictures have the same number of {things}", a == b),
                    (f"there are {a + b} {things} in the two pictures together", True),
                    (f"together the pictures have {a + b + 1} {things}", False),
                    (f"both pictures contain {things}", a > 0 and b > 0),
                    (f"only one of the pictures contains {things}", (a > 0) != (b > 0)),
                )
            )
            if is_true == wanted and a + b > 1:
                break
        else:
            continue
        question, template = worded(BANK, "statement", rng, claim=claim)
        trace = (
            f"The first picture has {a} {things}, the second has {b}. "
            f"{sentence(claim)}: {'true' if wanted else 'false'}."
        )
        tasks.append(
            Task(
                task="pair_statement",
                question=noted(question, "yesno", rng),
                answer_text="Yes" if wanted else "No",
                answer=Answer(type="bool", value=wanted),
                verifier="exact_ci",
                trace=trace,
                media=media,
                template=f"pairs/{template}",
            )
        )
    return tasks
