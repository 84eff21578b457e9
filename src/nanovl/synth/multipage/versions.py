"""Two versions of a table, a chart or a page, and a table beside a chart of the same data.

Source: data synthesis specification, sections 6, 7 and 11 (comparison).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.synth.asking import box_answer, join_words
from nanovl.synth.base import Answer, Box, Reject, Streams, Task
from nanovl.synth.charts.data import nice_limits
from nanovl.synth.charts.look import draw_look
from nanovl.synth.charts.spec import Chart, value_text
from nanovl.synth.documents.draw import union
from nanovl.synth.multipage.album import (
    ONE_SERIES,
    Album,
    Makers,
    Note,
    as_table,
    ask,
    ask_number,
    ask_yes,
    chart_picture,
    single_chart,
)
from nanovl.synth.multipage.press import Printed
from nanovl.synth.tables.content import Plan, shown
from nanovl.synth.tables.grid import Table
from nanovl.synth.tables.style import draw_style

__all__ = ["chart_versions", "page_versions", "table_and_chart", "table_versions"]

_LEAST_SHARE = 0.16  # of the axis, between two values that are said to differ


@dataclass(frozen=True)
class Change:
    """One difference: what it is called, both texts, and its box in the second picture."""

    name: str
    before: str
    after: str
    box: Box


def _how_many(rng: random.Random, most: int) -> int:
    """Half of all pairs are equal, so that yes and no are even."""
    return 0 if rng.random() < 0.5 else rng.choice([1, 1, 2, 3][: most + 1])


def _tasks(
    changes: Sequence[Change], size: tuple[int, int], rng: random.Random, form: str, same: str
) -> list[Task]:
    lines = [f"{c.name}: {c.before} -> {c.after}" if c.name else f"{c.before} -> {c.after}"
             for c in changes]  # fmt: skip
    told = "; ".join(lines)
    trace = f"I compare them part by part and find: {told}." if changes else (
        "I compare them part by part and find no difference."
    )  # fmt: skip
    tasks = [ask_yes(same, rng, not changes, trace)]
    if not changes:
        return tasks
    text = "\n".join(lines)
    answer = Answer(type="text", value=text, boxes=tuple(c.box for c in changes))
    verifier = "exact_ci" if len(changes) == 1 else "edit_distance"
    tasks.append(ask("changes", rng, text, answer, verifier, "", None, form=form))
    tasks.append(ask_number("n-changes", rng, len(changes), trace))
    if len(changes) == 1:
        boxed, found = box_answer("change", [changes[0].box], *size)
        tasks.append(ask("change-box", rng, boxed, found, "iou", "", None))
    return tasks


def _truth(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {"name": c.name, "before": c.before, "after": c.after, "bbox": list(c.box)} for c in changes
    ]


def table_versions(makers: Makers, streams: Streams) -> Album:
    """A table and a version with up to three other numbers."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    table, plan, style = makers.table(rng, streams.rng("style"))
    count = _how_many(rng, 3)
    cells = [k for k, c in enumerate(table.cells) if c.role == "data" and c.value is not None and
             table.columns[c.column - table.stub].kind != "plusminus"]  # fmt: skip
    if len(cells) < count:
        raise Reject("no_edit", "too few numbers to change")
    chosen = sorted(rng.sample(cells, count))
    second = _retold(table, plan, chosen, rng)
    if rng.random() < 0.5:
        style_two = draw_style(streams.rng("style"), (style.family,))
        style_two = replace(style_two, caption="above", wrap=style_two.size * 16, label=style.label)
    else:
        style_two = style
    one, two = makers.drawn(table, style), makers.drawn(second, style_two)
    changes = []
    for k in chosen:
        cell = table.cells[k]
        row = table.rows[cell.row - table.head].label
        column = table.columns[cell.column - table.stub].path[-1]
        name = f"{row}, {column}"
        changes.append(Change(name, cell.text, second.cells[k].text, two.of(k).area))
    images = (one.pages[0].image, two.pages[0].image)
    tasks = _tasks(changes, images[1].size, qa, '"row, column: old -> new"', "same")
    gt = {"changes": _truth(changes), "cells": [[c.row, c.column, c.text] for c in table.cells]}
    return Album("table-versions", images, tuple(tasks), gt, 2)


def _retold(table: Table, plan: Plan, chosen: Sequence[int], rng: random.Random) -> Table:
    cells = list(table.cells)
    for k in chosen:
        cell = cells[k]
        column = table.columns[cell.column - table.stub]
        assert cell.value is not None
        for _ in range(20):
            value = round(cell.value * rng.choice((0.55, 0.7, 0.85, 1.15, 1.3, 1.6)),
                          column.decimals)  # fmt: skip
            text = shown(value, column.kind, column.decimals, plan)
            if text != cell.text and (column.kind != "percent" or abs(value) <= 100):
                break
        else:
            raise Reject("no_edit", f"{cell.text} could not be changed")
        cells[k] = replace(cell, value=value, text=text)
    return replace(table, cells=tuple(cells))


def _revalued(chart: Chart, places: Sequence[int], rng: random.Random) -> Chart:
    """The chart with some values changed by a clear margin, on the same axis."""
    assert chart.low is not None
    assert chart.high is not None
    series = chart.series[0]
    values = list(series.values)
    span = chart.high - chart.low
    floor = max(chart.low, 0.0) + 0.06 * span
    for k in places:
        pool = []
        for _ in range(12):
            share = rng.uniform(_LEAST_SHARE, 0.4) * rng.choice((-1, 1))
            value = round(values[k] + share * span, chart.decimals)
            if floor <= value <= chart.high - 0.05 * span:
                pool.append(value)
        if not pool:
            raise Reject("no_edit", f"{chart.categories[k]} could not be changed")
        values[k] = pool[0]
    return replace(chart, series=(replace(series, values=tuple(values)),))


def _chosen(chart: Chart, rng: random.Random, most: int) -> list[int]:
    count = min(_how_many(rng, most), len(chart.categories) - 1)
    return sorted(rng.sample(range(len(chart.categories)), count))


def _compared(
    chart: Chart, second: Sequence[float], changed: Sequence[int], rng: random.Random
) -> list[Task]:
    """Questions on one value that differs."""
    if len(changed) != 1:
        return []
    k = changed[0]
    label = chart.categories[k]
    before, after = chart.series[0].values[k], second[k]
    told = f"At {label} the first picture gives {_about(chart, before)}, the second "
    told += f"{_about(chart, after)}."
    tasks = [
        ask("differs", rng, label, Answer(type="text", value=label), "exact_ci", "word", told,
            noun=chart.category_noun),
        ask_number("higher", rng, 1 if before > after else 2, told, item=label),
    ]  # fmt: skip
    return tasks


def _about(chart: Chart, value: float) -> str:
    text = value_text(value, chart.decimals, chart.unit)
    return text if chart.has_values else f"about {text}"


def _same_trace(chart: Chart, changed: Sequence[int]) -> str:
    names = join_words([chart.categories[k] for k in changed])
    return f"The values at {names} differ." if changed else (
        f"I go through every {chart.category_noun}: all values agree."
    )  # fmt: skip


def chart_versions(makers: Makers, streams: Streams) -> Album:
    """Two charts of the same or slightly other data, in other forms and looks."""
    rng, style, qa = (streams.rng(n) for n in ("content", "style", "qa"))
    chart = single_chart(rng, style)
    chart = _from_zero(chart)
    changed = _chosen(chart, rng, 2)
    second = _revalued(chart, changed, rng)
    for _ in range(10):
        kind = rng.choice([k for k in ONE_SERIES if k != chart.kind])
        other = replace(second, kind=kind, look=draw_look(style))
        try:
            images = (chart_picture(chart)[0], chart_picture(other)[0])
            break
        except Reject:
            continue
    else:
        raise Reject("no_chart", "no second form fits")
    trace = _same_trace(chart, changed)
    tasks = [ask_yes("same-data", qa, not changed, trace)]
    tasks += _compared(chart, second.series[0].values, changed, qa)
    if changed:
        tasks.append(ask_number("n-changes", qa, len(changed), trace))
    gt = {"kinds": [chart.kind, kind], "categories": list(chart.categories),
          "values": [list(chart.series[0].values), list(second.series[0].values)],
          "changed": [chart.categories[k] for k in changed]}  # fmt: skip
    return Album("chart-versions", images, tuple(tasks), gt, 3)


def _from_zero(chart: Chart) -> Chart:
    values = chart.series[0].values
    low, high = nice_limits(0, 1.15 * max(values), from_zero=True)
    return replace(chart, low=low, high=high)


def table_and_chart(makers: Makers, streams: Streams) -> Album:
    """A chart and a table of its data, in which a value or two may be wrong."""
    rng, style, qa = (streams.rng(n) for n in ("content", "style", "qa"))
    chart = _from_zero(single_chart(rng, style))
    changed = _chosen(chart, rng, 2)
    wrong = _revalued(chart, changed, rng)
    look = replace(draw_style(style, makers.typefaces), wrap=400)
    table = makers.drawn(as_table(wrong), look)
    pair = [(table.pages[0].image, "table"), (chart_picture(chart)[0], "chart")]
    if rng.random() < 0.5:
        pair.reverse()
    is_table_first = pair[0][1] == "table"
    first, second = (wrong, chart) if is_table_first else (chart, wrong)
    trace = _same_trace(chart, changed)
    tasks = [ask_yes("agree", qa, not changed, trace)]
    tasks += _compared(replace(chart, series=first.series), second.series[0].values, changed, qa)
    gt = {"order": [sort for _, sort in pair], "categories": list(chart.categories),
          "chart": list(chart.series[0].values), "table": list(wrong.series[0].values),
          "changed": [chart.categories[k] for k in changed]}  # fmt: skip
    return Album("table-chart", tuple(image for image, _ in pair), tuple(tasks), gt, 2)


def page_versions(makers: Makers, streams: Streams) -> Album:
    """A page of text and a version of it in which some values were changed."""
    rng, qa = streams.rng("content"), streams.rng("qa")
    note = makers.note(rng)
    count = _how_many(rng, 3)
    chosen = sorted(rng.sample(range(len(note.facts)), count))
    edits = [_other_value(*note.facts[k], rng) for k in chosen]
    swapped = dict((old, new) for old, new, _, _ in edits)
    paragraphs = tuple(tuple(swapped.get(s, s) for s in said) for said in note.paragraphs)
    second = Note(note.title, paragraphs, note.facts)
    one, two = makers.page([note, second], streams.rng("style"))
    changes = []
    for _, new, before, after in edits:
        block = next(k for k, p in enumerate(paragraphs, 1) if new in p)
        places = two.sentence_places(block, new)
        if not places:
            raise Reject("lost_words", f"{new!r} was not found on its page")
        box = union(box for _, box in _only(two, block, new, after) or places)
        changes.append(Change("", before, after, box))
    images = (one.pages[0].image, two.pages[0].image)
    tasks = _tasks(changes, images[1].size, qa, '"old words -> new words"', "same")
    gt = {"text": [" ".join(p) for p in note.paragraphs],
          "second_text": [" ".join(p) for p in paragraphs], "changes": _truth(changes)}  # fmt: skip
    return Album("page-versions", images, tuple(tasks), gt, 3)


def _only(printed: Printed, block: int, sentence: str, value: str) -> list[tuple[int, Box]]:
    """Boxes of the changed value within its sentence, with marks that touch it."""
    words = sentence.split()
    wanted = value.split()
    for start in range(len(words) - len(wanted) + 1):
        part = words[start : start + len(wanted)]
        if " ".join(part).rstrip(".,;") == value:
            return printed.words_places(block, words, start, len(part))
    return []


def _other_value(sentence: str, value: str, rng: random.Random) -> tuple[str, str, str, str]:
    """(old sentence, new sentence, old value, new value)."""
    digits = [k for k, c in enumerate(value) if c.isdigit()]
    place = digits[0] if len(digits) == 1 or rng.random() < 0.5 else rng.choice(digits)
    other = rng.choice([d for d in "123456789" if d != value[place]])
    changed = value[:place] + other + value[place + 1 :]
    return sentence, sentence.replace(value, changed, 1), value, changed
