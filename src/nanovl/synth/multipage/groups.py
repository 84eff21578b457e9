"""Groups of pictures: which one shows something, how much they show together, which differs.

Two pictures of scenes are compared by `scenes-2d` already; here there are three or more.

Source: data synthesis specification, sections 11 and 12.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from nanovl.synth.asking import join_words
from nanovl.synth.base import Answer, Reject, Streams, Task
from nanovl.synth.charts.qa import questions as chart_questions
from nanovl.synth.multipage.album import (
    Album,
    Makers,
    ask,
    ask_number,
    chart_picture,
    single_chart,
)
from nanovl.synth.scenes.families import Phrase, minimal_phrases, questions as scene_questions
from nanovl.synth.scenes.paint import paint
from nanovl.synth.scenes.pairs import edited
from nanovl.synth.scenes.scene import Scene, attributes, draw_canvas, scattered
from nanovl.synth.tables.qa import questions as table_questions

__all__ = ["mixed_group", "odd_group", "scene_group"]

_LEADS = ("Look at picture {n}: {q}", "In picture {n}: {q}", "Picture {n}: {q}",
          "Regarding picture {n}: {q}")  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    """A picture of a mixed group, its sort, its title ("" without) and a question about it."""

    image: Image.Image
    sort: str
    title: str
    task: Task | None
    gt: dict[str, Any]


def _chart(makers: Makers, rng: random.Random, style: random.Random) -> _Entry:
    chart = single_chart(rng, style)
    image, drawn = chart_picture(chart)
    asked = [t for t in chart_questions(chart, drawn, rng, 2, ()) if t.verifier != "iou"]
    gt = {"chart": chart.kind, "title": chart.title, "categories": list(chart.categories),
          "values": list(chart.series[0].values)}  # fmt: skip
    return _Entry(image, "chart", chart.title, asked[0] if asked else None, gt)


def _table(makers: Makers, rng: random.Random, style: random.Random) -> _Entry:
    table, _, look = makers.table(rng, style)
    drawn = makers.drawn(table, look)
    asked = [t for t in table_questions(table, drawn, rng, 2, ()) if t.verifier != "iou"]
    gt = {"title": table.title, "cells": [[c.row, c.column, c.text] for c in table.cells]}
    return _Entry(drawn.pages[0].image, "table", table.title, asked[0] if asked else None, gt)


def _page(makers: Makers, rng: random.Random, style: random.Random) -> _Entry:
    note = makers.note(rng)
    printed = makers.page([note], style)[0]
    gt = {"title": note.title, "text": [" ".join(p) for p in note.paragraphs]}
    return _Entry(printed.pages[0].image, "page", note.title, None, gt)


def _scene(makers: Makers, rng: random.Random, style: random.Random) -> _Entry:
    canvas = draw_canvas(style)
    scene = scattered(rng, canvas, attributes(rng, canvas.ground), rng.randint(3, 8))
    asked = scene_questions(scene, rng, 1, ())
    return _Entry(paint(scene), "scene", "", asked[0][0] if asked else None, scene.to_json())


_SORTS: dict[str, Callable[[Makers, random.Random, random.Random], _Entry]] = {
    "chart": _chart,
    "page": _page,
    "scene": _scene,
    "table": _table,
}


def mixed_group(makers: Makers, streams: Streams) -> Album:
    """Three to six pictures of different sorts."""
    rng, style, qa = (streams.rng(n) for n in ("content", "style", "qa"))
    sorts = [rng.choice(sorted(_SORTS)) for _ in range(rng.randint(3, 6))]
    if len(set(sorts)) < 2:
        sorts[0] = next(s for s in sorted(_SORTS) if s != sorts[0])
    entries = [_SORTS[sort](makers, rng, style) for sort in sorts]
    tasks: list[Task] = []
    counts = Counter(sorts)
    single = [s for s in sorted(counts) if counts[s] == 1]
    listed = join_words([f"{n} {s}" for n, s in enumerate(sorts, 1)])
    if single:
        sort = qa.choice(single)
        tasks.append(ask_number("which-kind", qa, sorts.index(sort) + 1,
                                f"The pictures are: {listed}.", sort=_word(sort)))  # fmt: skip
    sort = qa.choice(sorted(counts))
    tasks.append(ask_number("count-kind", qa, counts[sort],
                            f"The pictures are: {listed}.", sort=_word(sort)))  # fmt: skip
    answer = Answer(type="list", value=sorts)
    tasks.append(ask("list-kinds", qa, ", ".join(sorts), answer, "list_ordered", "", None))
    titles = Counter(e.title for e in entries)
    about = [k for k, e in enumerate(entries) if e.title and titles[e.title] == 1]
    if about:
        place = qa.choice(about)
        title = entries[place].title
        trace = f'Picture {place + 1}, a {sorts[place]}, bears the title "{title}".'
        tasks.append(ask_number("which-about", qa, place + 1, trace, title=title))
    asked = [(k, e.task) for k, e in enumerate(entries) if e.task is not None]
    for place, task in qa.sample(asked, min(2, len(asked))):
        tasks.append(_within(task, place, qa))
    gt = {"pictures": [{"sort": e.sort, **e.gt} for e in entries]}
    return Album("mixed", tuple(e.image for e in entries), tuple(tasks), gt, 2)


def _word(sort: str) -> str:
    return {"scene": "scene of shapes", "page": "page of text"}.get(sort, sort)


def _within(task: Task, place: int, rng: random.Random) -> Task:
    """A question about one picture, asked among several."""
    question = task.question[:1].lower() + task.question[1:]
    asked = rng.choice(_LEADS).format(n=place + 1, q=question)
    return replace(
        task, task="album_read", question=asked, template=f"album/{task.template}",
        answer=replace(task.answer, boxes=()),
    )  # fmt: skip


def scene_group(makers: Makers, streams: Streams) -> Album:
    """Three to five scenes whose objects are drawn from the same attributes."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    canvas = draw_canvas(streams.rng("style"), ((320, 320), (384, 384), (448, 336), (336, 448)))
    values = attributes(rng, canvas.ground, glyphs=False)
    scenes = [scattered(rng, canvas, values, rng.randint(3, 9)) for _ in range(rng.randint(3, 5))]
    phrases = sorted({p for s in scenes for p in minimal_phrases(s)}, key=lambda p: p.values)
    qa.shuffle(phrases)
    tasks: dict[str, Task] = {}
    for phrase in phrases:
        for kind, task in _counted(scenes, phrase, qa):
            tasks.setdefault(kind, task)
    chosen = [tasks[kind] for kind in qa.sample(sorted(tasks), min(4, len(tasks)))]
    sizes = [str(len(s.items)) for s in scenes]
    chosen.append(ask("counts", qa, ", ".join(sizes), Answer(type="list", value=sizes),
                      "list_ordered", "", None))  # fmt: skip
    gt = {"scenes": [s.to_json() for s in scenes]}
    return Album("scenes", tuple(map(paint, scenes)), tuple(chosen), gt, 3)


def _counted(scenes: list[Scene], phrase: Phrase, rng: random.Random) -> list[tuple[str, Task]]:
    counts = [sum(map(phrase.matches, s.items)) for s in scenes]
    things = phrase.text(many=True)
    told = "Counting " + things + ": "
    told += ", ".join(f"picture {n} has {c}" for n, c in enumerate(counts, 1)) + "."
    found = []
    ranked = sorted(counts)
    if ranked[-1] > ranked[-2]:
        place = counts.index(ranked[-1]) + 1
        found.append(("most", ask_number("most", rng, place, told, things=things)))
    alone = [c for c in counts if c > 1 and counts.count(c) == 1]
    if alone:
        count = rng.choice(alone)
        place = counts.index(count) + 1
        found.append(("exactly", ask_number("exactly", rng, place, told, things=things,
                                            count=count)))  # fmt: skip
    if sum(counts) > 1:
        terms = " + ".join(map(str, counts))
        trace = f"{told} {terms} = {sum(counts)}."
        found.append(("total", ask_number("total", rng, sum(counts), trace, things=things)))
    shown = sum(c > 0 for c in counts)
    if 0 < shown < len(counts):
        found.append(("with", ask_number("pictures-with", rng, shown, told, things=things)))
    return found


def odd_group(makers: Makers, streams: Streams) -> Album:
    """Three to six copies of a scene, one of them edited."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    canvas = draw_canvas(streams.rng("style"), ((320, 320), (384, 384), (448, 336), (336, 448)))
    values = attributes(rng, canvas.ground, glyphs=False)
    for _ in range(12):
        first = scattered(rng, canvas, values, rng.randint(3, 7))
        try:
            other, edits = edited(first, rng, values, 1)
        except Reject:
            continue
        break
    else:
        raise Reject("no_edit", "twelve scenes could not be edited")
    count = rng.randint(3, 6)
    place = rng.randrange(count)
    scenes = [other if k == place else first for k in range(count)]
    trace = f"In picture {place + 1}, unlike in the others: {edits[0].text}"
    tasks = (
        ask_number("odd", qa, place + 1, trace),
        ask("odd-what", qa, edits[0].text, Answer(type="text", value=edits[0].text), "anls", "",
            f"Picture {place + 1} is the one that differs."),
    )  # fmt: skip
    gt = {"scenes": [s.to_json() for s in scenes], "odd": place + 1,
          "edits": [e.to_json() for e in edits]}  # fmt: skip
    return Album("odd", tuple(map(paint, scenes)), tasks, gt, 3)
