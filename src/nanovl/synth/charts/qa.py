"""Questions about charts, in the manners of FigureQA, PlotQA and ChartQA.

Source: data synthesis specification, sections 7 and 17. Wordings and programs are our own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from nanovl.synth.asking import (
    Draft,
    balanced,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    worded,
)
from nanovl.synth.base import Answer, Task
from nanovl.synth.charts.drafts import PLAIN, counted, item_of, series_numbers, word_draft
from nanovl.synth.charts.kindasks import KIND_MAKERS
from nanovl.synth.charts.phrases import BANK
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.topics import CATEGORIES, SERIES_NAMES
from nanovl.synth.charts.valueasks import VALUE_MAKERS
from nanovl.synth.charts.view import KIND_NAMES, Entry, View

__all__ = ["NOT_SHOWN", "questions"]

NOT_SHOWN = "not shown"


def _structure(v: View) -> Iterator[Draft]:
    chart = v.chart
    name = KIND_NAMES[chart.kind]
    yield word_draft("kind", name, f"The marks make it a {name}.", tuple(KIND_NAMES.values()))
    texts = {t.role: t.text for t in v.drawn.texts}
    for role, kind in (("title", "title"), ("x_label", "x-label")):
        if role in texts and not (kind == "x-label" and chart.kind == "barh"):
            yield word_draft(kind, texts[role], f"It reads: {texts[role]}.")
    if chart.y_label in texts.values():
        yield word_draft("y-label", chart.y_label, f"It reads: {chart.y_label}.")
    if len(chart.categories) > 1 and not v.is_round:
        count = len(chart.categories)
        told = f"The {v.noun} labels are {join_words(list(chart.categories))}: {count}."
        yield counted("n-categories", count, told, noun=v.noun)
        yield Draft("labels", ", ".join(chart.categories),
                     Answer(type="list", value=list(chart.categories)), "list_ordered", "", told,
                     (("noun", v.noun),))  # fmt: skip
    if chart.has_legend:
        names = [s.name for s in chart.series]
        told = f"The legend lists {join_words(names)}."
        yield counted("n-series", len(names), f"{told} That makes {len(names)}.")
        yield Draft("legend", ", ".join(names), Answer(type="list", value=names), "set", "", told)
    if chart.kind in ("bar", "barh", "grouped", "histogram"):
        total = len(chart.series) * len(chart.categories)
        told = f"{len(chart.categories)} places"
        if len(chart.series) > 1:
            told += f" with {len(chart.series)} bars each"
        yield counted("n-marks", total, f"{told}: {total} bars.")


def _absent(v: View) -> Iterator[Draft]:
    """A label that is not in the chart. Asked for like those that are."""
    if v.is_round:
        pools: tuple[tuple[str, ...], ...] = SERIES_NAMES
        mine = {s.name for s in v.chart.series}
    else:
        pools = tuple(names for _, _, names, _ in CATEGORIES)
        mine = set(v.chart.categories)
    for pool in pools:
        missing = [n for n in pool if n not in mine]
        if mine & set(pool) and missing and v.chart.kind in PLAIN:
            name = v.rng.choice(missing)
            item = item_of(v, Entry(name, 0.0, v.rng.choice(series_numbers(v)), 0))
            yield word_draft("absent", NOT_SHOWN, f"There is no {name} in the chart.", item=item,
                        measure=v.measure)  # fmt: skip


def _where(v: View) -> Iterator[Draft]:
    """Boxes of marks, legend entries and texts."""
    if v.rng.random() < 0.5:
        return  # every chart has boxes, and they would crowd out other questions
    found: list[tuple[str, tuple[float, float, float, float]]] = []
    chart = v.chart
    if chart.kind in ("bar", "barh", "grouped", "stacked", "stacked100", "histogram", "gantt",
                      "waterfall", "funnel", "pie", "donut", "heatmap"):  # fmt: skip
        word = "slice" if v.is_round else "cell" if chart.kind == "heatmap" else "bar"
        for mark in v.drawn.marks:
            box = mark.box
            if min(box[2] - box[0], box[3] - box[1]) >= 8:
                if v.is_round:
                    item = chart.series[mark.series].name
                else:
                    label = chart.categories[mark.index]
                    many = len(chart.series) > 1
                    item = f"{chart.series[mark.series].name} in {label}" if many else label
                found.append((f"the {word} of {item}", box))
    for text in v.drawn.texts:
        if text.role == "title" and not found:
            found.append(("the title", text.box))
        elif text.role == "legend":
            found.append((f'the legend entry "{text.text}"', text.box))
    for item, box in found:
        text_, answer = box_answer(item, [box], v.drawn.width, v.drawn.height)
        yield Draft("box", text_, answer, "iou", "", "", (("item", item),))


MAKERS: tuple[Callable[[View], Iterator[Draft]], ...] = (
    *VALUE_MAKERS,
    _structure,
    *KIND_MAKERS,
    _where,
)
ABSENT_SHARE = 0.15  # of charts that are asked for something they do not show
PERHAPS_SHARE = 0.5  # of values asked for that say what to answer if they were not shown


def questions(
    chart: Chart, drawn: Drawn, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Questions of different kinds about one chart.

    Args:
        chart: What is shown.
        drawn: Where it is.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    view = View(chart, drawn, rng)
    makers = list(MAKERS)
    rng.shuffle(makers)
    chosen: list[Draft] = []
    for maker in makers:
        if len(chosen) == count:
            break
        pool = list(maker(view))
        kinds = sorted({d.kind for d in pool})
        rng.shuffle(kinds)
        for kind in kinds:
            found = balanced([d for d in pool if d.kind == kind], _answer_of, rng, 1)
            if found:
                chosen += found
                break
    if rng.random() < ABSENT_SHARE:
        chosen += list(_absent(view))[:1]
    return [_task(draft, rng, media) for draft in chosen]


def _answer_of(draft: Draft) -> object:
    return draft.answer.value


def _task(draft: Draft, rng: random.Random, media: tuple[str, ...]) -> Task:
    kind = "value" if draft.kind == "absent" else draft.kind
    question, template = worded(BANK, kind, rng, **dict(draft.slots))
    text, answer, verifier, trace = draft.text, draft.answer, draft.verifier, draft.trace
    choice = None
    if draft.others and rng.random() < 0.15:
        choice = multiple_choice(question, text, draft.others, rng)
    if choice is not None:
        question, answer = choice
        text, verifier = str(answer.value), "mcq"
        trace = f"{trace} That is option {text}."
    elif draft.kind == "absent" or (draft.kind == "value" and rng.random() < PERHAPS_SHARE):
        # Were it said of what is absent alone, nobody would have to look.
        question += f" {worded(BANK, 'perhaps', rng, answer=NOT_SHOWN)[0]}"
    elif draft.form:
        question = noted(question, draft.form, rng)
    return Task(
        task=f"chart_{draft.kind.replace('-', '_')}",
        question=question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace or None,
        media=media,
        template=f"charts/{template}",
    )
