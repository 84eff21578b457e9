"""Questions about a screen, with answers out of what its builder knows and the browser says.

Only what is shown whole enough is asked for; facts need all the elements that show them. Must not
look at pixels.

Source: data synthesis specification, sections 8 and 17.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nanovl.data.convert.parts import NOT_PRESENT
from nanovl.data.convert.templates import box as box_markup, question, scale_box
from nanovl.synth.asking import (
    balanced,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    point_answer,
    sentence,
    worded,
)
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.browser import Shot, Word
from nanovl.synth.screens.icons import ICONS
from nanovl.synth.screens.refer import Item, phrases, visible_items
from nanovl.synth.screens.ui import Fact, Mark
from nanovl.synth.screens.wordings import BANK

__all__ = ["Ask", "action_task", "click_tasks", "screen_tasks"]

_MOST_LISTED = 24  # elements of an inventory
_MOST_HTML = 3600  # characters


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A screen that is asked about.

    Attributes:
        shot: What the browser showed.
        marks, facts: What its builder knows.
        about: Sentences of the caption.
        look: Such as "dark" and the width class, for the caption.
        html: Short form, "" when not all of it is visible.
        media: Name of its picture.
        rng: The generator of the stream "qa".
    """

    shot: Shot
    marks: Mapping[str, Mark]
    facts: Sequence[Fact]
    about: Sequence[str]
    look: str
    html: str
    media: str
    rng: random.Random

    @property
    def items(self) -> list[Item]:
        """Everything visible."""
        return visible_items(self.marks, self.shot.elements)

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return self.shot.width, self.shot.height

    def task(
        self, task: str, asked: tuple[str, str], text: str, answer: Answer, verifier: str
    ) -> Task:
        """A task about this picture."""
        return Task(
            task=task,
            question=asked[0],
            answer_text=text,
            answer=answer,
            verifier=verifier,
            media=(self.media,),
            template=asked[1],
        )


def _box(item: Item) -> Box:
    assert item.element.shown is not None
    return item.element.shown


def _controls(ask: Ask) -> list[Item]:
    return [i for i in ask.items if i.can_be_asked and i.mark.is_control]


# -- Where ---------------------------------------------------------------------------------------


def _ground(ask: Ask, count: int) -> list[Task]:
    items = ask.items
    pool = [i for i in items if i.can_be_asked and i.mark.role != "text"]
    made: list[Task] = []
    for item in ask.rng.sample(pool, min(len(pool), 3 * count)):
        found = phrases(item, items)
        if not found or len(made) >= count:
            continue
        kind = ask.rng.choice(sorted(found))
        bank = "ground_or_absent" if ask.rng.random() < 0.15 else "ground"
        text, template = worded(BANK, bank, ask.rng, phrase=found[kind])
        shown, answer = box_answer(item.mark.name or item.mark.noun, [_box(item)], *ask.size)
        made.append(ask.task("ui_grounding", (text, f"{template}/{kind}"), shown, answer, "iou"))
    return made


def _nowhere(ask: Ask) -> Task | None:
    """Asks for a button that is not there."""
    shown = {w.text.casefold() for w in ask.shot.words}
    names = {i.mark.icon for i in ask.items}
    symbols = [n for n in sorted(ICONS) if n not in names]
    label = ask.rng.choice(("Export as video", "Join webinar", "Zoom to fit", "Merge cells"))
    phrase = f'the button "{label}"'
    if symbols and ask.rng.random() < 0.5:
        phrase = f"the icon button with the {ICONS[ask.rng.choice(symbols)][0]}"
        if any("icon" in i.mark.noun and not i.mark.icon for i in ask.items):
            return None
    elif all(word.casefold() in shown for word in label.split()):
        return None
    asked = worded(BANK, "ground_or_absent", ask.rng, phrase=phrase)
    answer = Answer(type="text", value=NOT_PRESENT)
    return ask.task("ui_grounding", asked, NOT_PRESENT, answer, "exact_ci")


def click_tasks(ask: Ask, count: int) -> list[Task]:
    """Commands whose answer is the point to click."""
    items = ask.items
    pool = [i for i in _controls(ask) if _lands(ask, i) and not i.mark.state.get("disabled")]
    made: list[Task] = []
    for item in ask.rng.sample(pool, min(len(pool), 3 * count)):
        found = phrases(item, items)
        if len(made) >= count or not found:
            continue
        if "function" in found and ask.rng.random() < 0.7:
            order = item.mark.order
            text, template = worded(BANK, "click", ask.rng, order=sentence(order), lower=order)
        else:
            kind = ask.rng.choice(sorted(found))
            text, template = worded(BANK, "point", ask.rng, phrase=found[kind])
            template = f"{template}/{kind}"
        assert item.element.point is not None
        shown, answer = point_answer(*item.element.point, _box(item), *ask.size)
        task = ask.task("ui_click", (text, template), shown, answer, "point_in_box")
        made.append(task)
    return made


def _lands(ask: Ask, item: Item) -> bool:
    """Whether a click reaches the element also after rounding to a thousandth."""
    point = item.element.point
    if point is None:
        return False
    x0, y0, x1, y1 = _box(item)
    margins = [size / 1000 for size in ask.size]
    return (
        x0 + margins[0] <= point[0] <= x1 - margins[0]
        and y0 + margins[1] <= point[1] <= y1 - margins[1]
    )


# -- What ----------------------------------------------------------------------------------------


def _plain_box(ask: Ask, item: Item) -> str:
    return box_markup(scale_box(_box(item), *ask.size))


def _describe(ask: Ask) -> Task | None:
    pool = [i for i in _controls(ask) if i.mark.name and i.mark.role != "option"]
    if not pool:
        return None
    item = ask.rng.choice(pool)
    if item.mark.order and ask.rng.random() < 0.4 and not item.mark.state.get("disabled"):
        asked = worded(BANK, "use", ask.rng, box=_plain_box(ask, item))
        text = sentence(item.mark.order) + "."
    else:
        asked = worded(BANK, "describe", ask.rng, box=_plain_box(ask, item))
        text = f'{item.mark.noun} "{item.mark.name}"'
    answer = Answer(type="text", value=text, boxes=(_box(item),))
    return ask.task("ui_describe", asked, text, answer, "anls")


def _inside(area: Box, words: Sequence[Word]) -> list[Word]:
    """Words of which more than a third lies in a box."""
    found = []
    for word in words:
        x0, y0, x1, y1 = word.box
        wide = min(x1, area[2]) - max(x0, area[0])
        high = min(y1, area[3]) - max(y0, area[1])
        if wide > 0 and high > 0 and wide * high > 0.34 * (x1 - x0) * (y1 - y0):
            found.append(word)
    return found


def _region(ask: Ask) -> Task | None:
    """The text inside the box of an element."""
    pool = [i for i in ask.items if i.can_be_asked and i.element.text_box and i.element.text]
    ask.rng.shuffle(pool)
    for item in pool[:8]:
        area = item.element.text_box
        assert area is not None
        text = item.element.text
        joined = "".join((" " if k and w.space else "") + w.text for k, w in
                         enumerate(_inside(area, ask.shot.words)))  # fmt: skip
        if joined != text or len(text) > 600 or not any(map(str.isalnum, text)):
            continue
        mark = box_markup(scale_box(area, *ask.size))
        asked = question("reverse_grounding", ask.rng, box=mark)
        answer = Answer(type="text", value=text, boxes=(area,))
        return ask.task("ui_ocr", asked, text, answer, "exact")
    return None


def _usable(ask: Ask) -> list[Fact]:
    able = {i.mark.key for i in ask.items if i.can_be_asked}
    return [f for f in ask.facts if f.keys and all(k in able for k in f.keys)]


def _evidence(ask: Ask, fact: Fact) -> tuple[Box, ...]:
    boxes = [e.shown for e in ask.shot.elements if e.key in fact.keys and e.shown]
    return tuple(boxes)


def _facts(ask: Ask, count: int) -> list[Task]:
    """Values, counts, choices."""
    usable = _usable(ask)
    questions = Counter(f"{f.kind}|{f.what}|{f.how}" for f in usable)
    pool = [f for f in usable if f.kind != "state" and questions[f"{f.kind}|{f.what}|{f.how}"] == 1]
    made: list[Task] = []
    for fact in ask.rng.sample(pool, min(count, len(pool))):
        slots = {"how": fact.how} if fact.kind == "which" else {}
        text, template = worded(BANK, fact.kind, ask.rng, what=fact.what, **slots)
        boxes = _evidence(ask, fact)
        if fact.kind == "count":
            answer = Answer(type="number", value=fact.answer, boxes=boxes)
            shown = noted(text, "number", ask.rng)
            made.append(ask.task("ui_count", (shown, template), str(fact.answer), answer, "number"))
            continue
        said = str(fact.answer)
        others = [str(f.answer) for f in usable if f is not fact and f.what.split(" ")[:2] ==
                  fact.what.split(" ")[:2] and f.kind == fact.kind]  # fmt: skip
        choice = multiple_choice(text, said, others, ask.rng) if ask.rng.random() < 0.25 else None
        if choice is not None:
            made.append(ask.task("ui_choice", (choice[0], template), str(choice[1].value),
                                 choice[1], "mcq"))  # fmt: skip
            continue
        answer = Answer(type="text", value=said, boxes=boxes)
        shown = noted(text, "word", ask.rng) if len(said.split()) < 3 else text
        made.append(ask.task("ui_value", (shown, template), said, answer, "exact_ci"))
    return made


def _states(ask: Ask, count: int) -> list[Task]:
    """Yes or no, as even as the screen allows."""
    pool = [f for f in _usable(ask) if f.kind == "state"]
    made = []
    for fact in balanced(pool, lambda f: bool(f.answer), ask.rng, count):
        text, template = worded(BANK, "state", ask.rng, what=fact.what, how=fact.how)
        answer = Answer(type="bool", value=bool(fact.answer), boxes=_evidence(ask, fact))
        said = "yes" if fact.answer else "no"
        shown = noted(text, "yesno", ask.rng)
        made.append(ask.task("ui_state", (shown, template), said, answer, "exact_ci"))
    return made


# -- All of it -----------------------------------------------------------------------------------


def _inventory(ask: Ask) -> Task | None:
    items = _controls(ask)
    visible = [i for i in ask.items if i.mark.is_control]
    if not 2 <= len(items) <= _MOST_LISTED or len(items) != len(visible):
        return None
    entries = []
    for item in items:
        box = list(scale_box(_box(item), *ask.size))
        entries.append({"role": item.mark.role, "name": item.mark.name, "box": box})
    entries.sort(key=lambda e: (e["box"][1], e["box"][0]))
    lines = ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries)
    answer = Answer(type="json", value=entries)
    asked = worded(BANK, "list", ask.rng)
    return ask.task("ui_elements", asked, f"[{lines}]", answer, "elements_f1")


def _html(ask: Ask) -> Task | None:
    if not 40 <= len(ask.html) <= _MOST_HTML:
        return None
    answer = Answer(type="markup", value=ask.html)
    return ask.task("ui_html", worded(BANK, "html", ask.rng), ask.html, answer, "html_render")


def _caption(ask: Ask) -> Task | None:
    if not ask.about:
        return None
    named = [i.mark.name for i in _controls(ask) if i.mark.role in ("button", "link") and
             i.mark.noun != "icon button" and i.mark.name]  # fmt: skip
    names = sorted(set(named), key=named.index)[:4]
    text = f"The screen ({ask.look}) shows {ask.about[0]}."
    for more in ask.about[1:]:
        text += f" {sentence(more)}."
    if names:
        quoted = [f'"{n}"' for n in names]
        text += f" Among its buttons and links are {join_words(quoted)}."
    answer = Answer(type="text", value=text)
    return ask.task("ui_caption", worded(BANK, "caption", ask.rng), text, answer, "edit_distance")


def screen_tasks(ask: Ask, count: int, *, unanswerable: float = 0.05) -> list[Task]:
    """Tasks about one screen, of as many kinds as it allows.

    Args:
        ask: The screen.
        count: About how many.
        unanswerable: Probability of a question for what is not there.
    """
    makers: list[tuple[Callable[[], list[Task]], float]] = [
        (lambda: _ground(ask, 2), 2.0),
        (lambda: click_tasks(ask, 2), 2.5),
        (lambda: _facts(ask, 2), 2.0),
        (lambda: _states(ask, 1), 2.0),
        (lambda: _one(_describe(ask)), 1.0),
        (lambda: _one(_region(ask)), 1.0),
        (lambda: _one(_inventory(ask)), 0.7),
        (lambda: _one(_html(ask)), 0.9),
        (lambda: _one(_caption(ask)), 0.6),
    ]
    made: list[Task] = []
    if ask.rng.random() < unanswerable:
        made += _one(_nowhere(ask))
    while makers and len(made) < count:
        place = ask.rng.choices(range(len(makers)), [weight for _, weight in makers])[0]
        make, _ = makers.pop(place)
        made += make()
    return made


def _one(task: Task | None) -> list[Task]:
    return [] if task is None else [task]


def action_task(rng: random.Random, media: Sequence[str], mark: Mark, typed: str) -> Task:
    """Which action leads from the first screen to the second.

    Args:
        rng: The generator of the stream "qa".
        media: Names of both pictures.
        mark: What was clicked, or typed into.
        typed: The text; "" for a click.
    """
    value = {"action": "type" if typed else "click", "target": mark.name, "text": typed}
    asked = worded(BANK, "action", rng)
    return Task(
        task="ui_action",
        question=asked[0],
        answer_text=json.dumps(value, ensure_ascii=False),
        answer=Answer(type="json", value=value),
        verifier="json_equal",
        media=tuple(media),
        template=asked[1],
    )
