"""Questions about charts, in the manners of FigureQA, PlotQA and ChartQA.

Source: data synthesis specification, sections 7 and 17. Wordings and programs are our own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import hypot

from nanovl.synth.asking import (
    balanced,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    number_text,
    worded,
)
from nanovl.synth.base import Answer, Task
from nanovl.synth.charts.phrases import BANK
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.topics import CATEGORIES, SERIES_NAMES
from nanovl.synth.charts.view import KIND_NAMES, Entry, View

__all__ = ["NOT_SHOWN", "questions"]

NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class _Draft:
    kind: str
    text: str
    answer: Answer
    verifier: str
    form: str
    trace: str
    slots: tuple[tuple[str, object], ...] = ()
    others: tuple[str, ...] = ()


def _word(kind: str, text: str, trace: str, others: tuple[str, ...] = (), **slots: object) -> (
    _Draft
):  # fmt: skip
    answer = Answer(type="text", value=text)
    return _Draft(kind, text, answer, "exact_ci", "word", trace, tuple(slots.items()), others)


def _yes(kind: str, value: bool, trace: str, /, **slots: object) -> _Draft:
    answer = Answer(type="bool", value=value)
    text = "Yes" if value else "No"
    return _Draft(kind, text, answer, "exact_ci", "yesno", trace, tuple(slots.items()))


def _number(kind: str, found: tuple[str, Answer], trace: str, **slots: object) -> _Draft:
    text, answer = found
    return _Draft(kind, text, answer, "number", "number", trace, tuple(slots.items()))


def _count(kind: str, value: int, trace: str, /, **slots: object) -> _Draft:
    return _number(kind, (str(value), Answer(type="number", value=value)), trace, **slots)


# Kinds whose values of one series can be compared by place along an axis.
PLAIN = ("bar", "barh", "lollipop", "grouped", "line", "area", "step", "pie", "donut", "radar",
         "heatmap", "histogram", "funnel", "combo", "box", "stacked", "stackedarea")  # fmt: skip


def _usable(v: View, series: int) -> bool:
    if v.chart.kind not in PLAIN:
        return False
    return v.chart.kind not in ("stacked", "stackedarea") or v.is_printed or series == 0


def _series_numbers(v: View) -> list[int]:
    if v.is_round:
        return [0]
    return [k for k in range(len(v.chart.series)) if _usable(v, k)]


def _item(v: View, entry: Entry) -> str:
    if v.is_round or len(v.chart.series) == 1:
        return entry.label
    return f"{v.chart.series[entry.series].name} in {entry.label}"


def _values(v: View) -> Iterator[_Draft]:
    for s in _series_numbers(v):
        for entry in v.entries(s):
            if not v.can_read(entry):
                continue
            item = _item(v, entry)
            how = "The label reads" if v.chart.has_values else "Its end lies at"
            trace = f"I look for {item}. {how} {v.shown(entry)}."
            found = v.number(entry.value, tolerance=v.tolerance)
            yield _number("value", found, trace, measure=v.measure, item=item)


def _extremes(v: View) -> Iterator[_Draft]:
    for s in _series_numbers(v):
        entries = v.entries(s)
        ranked = sorted(entries, key=lambda e: e.value)
        if len(ranked) < 3:
            continue
        names = tuple(e.label for e in entries)
        common = {"noun": v.noun, "measure": v.measure, "scope": v.scope(s)}
        for kind, best, second, word in (
            ("max", ranked[-1], ranked[-2], "highest"),
            ("min", ranked[0], ranked[1], "lowest"),
        ):
            if abs(best.value - second.value) < v.gap:
                continue
            trace = f"The {word} value{v.scope(s)} is {v.shown(best)}, at {best.label}; next comes "
            trace += f"{second.label} with {v.shown(second)}."
            yield _word(f"arg{kind}", best.label, trace, names, **common)
            yield _yes(f"is-{kind}", True, trace, item=best.label, **common)
            other = v.rng.choice([e for e in entries if e is not best])
            yield _yes(f"is-{kind}", False, trace, item=other.label, **common)


def _median(v: View) -> Iterator[_Draft]:
    for s in _series_numbers(v):
        ranked = sorted(v.entries(s), key=lambda e: e.value)
        if not 3 <= len(ranked) <= 7 or len(ranked) % 2 == 0 or v.is_round:
            continue
        if any(b.value - a.value < v.gap for a, b in pairwise(ranked)):
            continue
        middle = ranked[len(ranked) // 2]
        order = join_words([e.label for e in ranked])
        trace = f"From low to high: {order}. In the middle stands {middle.label}."
        for entry in (middle, v.rng.choice([e for e in ranked if e is not middle])):
            yield _yes("is-median", entry is middle, trace, item=entry.label, noun=v.noun,
                       measure=v.measure, scope=v.scope(s))  # fmt: skip


def _pairs(v: View) -> Iterator[_Draft]:
    for s in _series_numbers(v):
        pairs = list(combinations(v.entries(s), 2))
        for a, b in v.rng.sample(pairs, min(8, len(pairs))):
            if v.rng.random() < 0.5:
                a, b = b, a
            common = {"first": a.label, "second": b.label, "measure": v.measure}
            common["scope"] = v.scope(s)
            told = f"{a.label}: {v.shown(a)}, {b.label}: {v.shown(b)}."
            apart = abs(a.value - b.value)
            if apart >= v.gap:
                yield _yes("compare", a.value > b.value, told, **common)
            if not (v.can_read(a) and v.can_read(b)):
                continue
            loose = v.tolerance
            x, y = (number_text(e.value, v.chart.decimals) for e in (a, b))
            high, low = max(a.value, b.value), min(a.value, b.value)
            if apart >= max(v.gap, 0.4 * high if loose else 0):
                found = v.number(high - low, tolerance=2.5 * loose if loose else None)
                big, small = (number_text(n, v.chart.decimals) for n in (high, low))
                yield _number("difference", found, f"{told} {big} - {small} = {found[0]}.",
                              **common)  # fmt: skip
            found = v.number(a.value + b.value, tolerance=loose)
            yield _number("sum", found, f"{told} {x} + {y} = {found[0]}.", **common)
            if b.value > 0 and 0.2 < a.value / b.value < 20:
                found = v.number(a.value / b.value, 2, tolerance=2 * loose if loose else 0.01)
                yield _number("ratio", found, f"{told} {x} / {y} = {found[0]}.", **common)


def _sets(v: View) -> Iterator[_Draft]:
    for s in _series_numbers(v):
        entries = v.entries(s)
        common = {"noun": v.noun, "measure": v.measure, "scope": v.scope(s)}
        ranked = sorted(e.value for e in entries)
        if len(ranked) < 3 or v.is_round:
            continue
        if all(map(v.can_read, entries)) and v.chart.kind not in ("funnel", "histogram"):
            if len(entries) <= 7:
                total = sum(ranked)
                places = v.chart.decimals + 1
                found = v.number(total / len(entries), places, v.tolerance or 0.005)
                terms = " + ".join(number_text(e.value, v.chart.decimals) for e in entries)
                told = f"{terms} = {number_text(total, v.chart.decimals)}; divided by "
                told += f"{len(entries)}: {found[0]}."
                words = "one decimal" if places == 1 else f"{places} decimals"
                yield _number("mean", found, told, places=words, **common)
            if ranked[-1] - ranked[0] >= 3 * v.gap and ranked[0] < 0.6 * ranked[-1]:
                found = v.number(
                    ranked[-1] - ranked[0], tolerance=2 * v.tolerance if v.tolerance else None
                )
                high, low = (number_text(r, v.chart.decimals) for r in (ranked[-1], ranked[0]))
                told = f"The highest is {high}, the lowest {low}: {high} - {low} = {found[0]}."
                yield _number("span", found, told, measure=v.measure, scope=v.scope(s))
        for edge in _edges(v, ranked):
            for sign in ("above", "below"):
                names = [
                    e.label for e in entries if (e.value > edge if sign == "above" else
                                                 e.value < edge)
                ]  # fmt: skip
                told = f"{sign.capitalize()} {number_text(edge, 3)}: "
                told += f"{join_words(names) if names else 'none'}. That makes {len(names)}."
                yield _count("count", len(names), told, sign=sign, value=number_text(edge, 3),
                             **common)  # fmt: skip


def _edges(v: View, ranked: list[float]) -> Iterator[float]:
    """Round numbers that no value comes close to."""
    for low, high in pairwise(ranked):
        if high - low < 1.6 * v.gap or high - low < 2 * 10.0**-v.chart.decimals:
            continue
        for digits in range(-4, 4):
            edge = round((low + high) / 2, digits)
            if min(edge - low, high - edge) >= 0.3 * (high - low):
                yield edge
                break


def _trends(v: View) -> Iterator[_Draft]:
    if v.chart.kind not in ("line", "area", "bar", "combo") or not v.chart.is_time:
        return
    for s, series in enumerate(v.chart.series):
        name = series.name if len(v.chart.series) > 1 else v.measure
        steps = list(pairwise(v.entries(s)))
        jumps = [b.value - a.value for a, b in steps]
        if len(jumps) < 2:
            continue
        if all(abs(j) >= v.gap / 2 for j in jumps):
            down = [b.label for (_, b), j in zip(steps, jumps, strict=True) if j < 0]
            told = f"It falls at {join_words(down)}." if down else "It rises at every step."
            yield _yes("rising", not down, told, name=name, noun=v.noun)
        best = max(range(len(jumps)), key=jumps.__getitem__)
        others = [j for k, j in enumerate(jumps) if k != best]
        if jumps[best] > 0 and jumps[best] - max(others) >= v.gap:
            a, b = steps[best]
            text = f"{a.label} - {b.label}"
            told = f"From {a.label} to {b.label} it goes from {v.shown(a)} to {v.shown(b)}, more "
            told += "than anywhere else."
            yield _word("steepest", text, told, name=name, noun=v.noun)


def _lines(v: View) -> Iterator[_Draft]:
    if v.chart.kind != "line" or len(v.chart.series) < 2:
        return
    series = v.chart.series
    names = tuple(s.name for s in series)
    for a, b in combinations(series, 2):
        apart = [x - y for x, y in zip(a.values, b.values, strict=True)]
        if any(abs(d) < v.gap / 1.5 for d in apart):
            continue
        meets = min(apart) < 0 < max(apart)
        first = a.name if apart[0] > 0 else b.name
        told = f"At the start {first} is higher; " + (
            "later the other one is." if meets else "it stays higher to the end."
        )
        yield _yes("crossing", meets, told, first=a.name, second=b.name)
    means = sorted((sum(s.values) / len(s.values), s.name) for s in series)
    if means[-1][0] - means[-2][0] >= v.gap:
        yield _word("most-area", means[-1][1], f"{means[-1][1]} lies highest over the whole range.",
                    names)  # fmt: skip
    bends = sorted(
        (sum(abs(s.values[k - 1] - 2 * s.values[k] + s.values[k + 1])
             for k in range(1, len(s.values) - 1)), s.name)
        for s in series
    )  # fmt: skip
    if bends[-1][0] > 1.5 * bends[-2][0] and bends[-1][0] > 4 * v.gap:
        told = f"The line of {bends[-1][1]} turns up and down more than any other."
        yield _word("roughest", bends[-1][1], told, names)
    if bends[1][0] > 1.5 * bends[0][0] and bends[1][0] > 4 * v.gap:
        told = f"The line of {bends[0][1]} bends less than any other."
        yield _word("smoothest", bends[0][1], told, names)


def _colors(v: View) -> Iterator[_Draft]:
    chart = v.chart
    if chart.kind in ("heatmap", "waterfall", "gantt", "box") or len(chart.series) < 2:
        return
    if chart.look.legend == "none":
        return
    noun = "group" if v.is_round else "series"
    colors = tuple(s.color_name for s in chart.series)
    names = tuple(s.name for s in chart.series)
    for s in chart.series:
        told = f"In the legend {s.name} stands beside {s.color_name}."
        yield _word("color-of", s.color_name, told, colors, name=s.name)
        yield _word("by-color", s.name, told, names, color=s.color_name, noun=noun)


def _across(v: View) -> Iterator[_Draft]:
    chart = v.chart
    if v.is_round or len(chart.series) < 2 or chart.kind not in (
        "grouped", "line", "radar", "combo", "heatmap"
    ):  # fmt: skip
        return
    names = tuple(s.name for s in chart.series)
    for k, label in enumerate(chart.categories):
        ranked = sorted(chart.series, key=lambda s: s.values[k])
        if ranked[-1].values[k] - ranked[-2].values[k] >= v.gap:
            best = ranked[-1]
            told = f"At {label}, {best.name} ({best.color_name}) is higher than the rest."
            if chart.kind == "heatmap":
                told = f"In column {label} the largest value stands in the row {best.name}."
            yield _word("series-max", best.name, told, names, measure=v.measure, item=label)
            if chart.kind in ("grouped", "line"):
                colors = tuple(s.color_name for s in chart.series)
                yield _word("color-max", best.color_name, told, colors, item=label)
    for a, b in combinations(chart.series, 2):
        apart = [x - y for x, y in zip(a.values, b.values, strict=True)]
        if all(abs(d) >= v.gap for d in apart):
            labels = [n for n, d in zip(chart.categories, apart, strict=True) if d > 0]
            told = f"{a.name} is above {b.name} at {join_words(labels) if labels else 'none'}."
            yield _count("series-above", len(labels), f"{told} That makes {len(labels)}.",
                         noun=v.noun, first=a.name, second=b.name)  # fmt: skip


def _stacks(v: View) -> Iterator[_Draft]:
    if v.chart.kind not in ("stacked", "stackedarea"):
        return
    for k, label in enumerate(v.chart.categories):
        total = sum(s.values[k] for s in v.chart.series)
        if total * v.drawn.pixels < 40:
            continue
        found = v.number(total, tolerance=v.tolerance)
        terms = " + ".join(number_text(s.values[k], v.chart.decimals) for s in v.chart.series)
        told = (
            f"The parts are {terms} = {found[0]}."
            if v.is_printed
            else (f"At {label} the whole stack ends at about {found[0]}.")
        )
        yield _number("stack-total", found, told, measure=v.measure, item=label)


def _structure(v: View) -> Iterator[_Draft]:
    chart = v.chart
    name = KIND_NAMES[chart.kind]
    yield _word("kind", name, f"The marks make it a {name}.", tuple(KIND_NAMES.values()))
    texts = {t.role: t.text for t in v.drawn.texts}
    for role, kind in (("title", "title"), ("x_label", "x-label")):
        if role in texts and not (kind == "x-label" and chart.kind == "barh"):
            yield _word(kind, texts[role], f"It reads: {texts[role]}.")
    if chart.y_label in texts.values():
        yield _word("y-label", chart.y_label, f"It reads: {chart.y_label}.")
    if len(chart.categories) > 1 and not v.is_round:
        count = len(chart.categories)
        told = f"The {v.noun} labels are {join_words(list(chart.categories))}: {count}."
        yield _count("n-categories", count, told, noun=v.noun)
        yield _Draft("labels", ", ".join(chart.categories),
                     Answer(type="list", value=list(chart.categories)), "list_ordered", "", told,
                     (("noun", v.noun),))  # fmt: skip
    if chart.has_legend:
        names = [s.name for s in chart.series]
        told = f"The legend lists {join_words(names)}."
        yield _count("n-series", len(names), f"{told} That makes {len(names)}.")
        yield _Draft("legend", ", ".join(names), Answer(type="list", value=names), "set", "", told)
    if chart.kind in ("bar", "barh", "grouped", "histogram"):
        total = len(chart.series) * len(chart.categories)
        told = f"{len(chart.categories)} places"
        if len(chart.series) > 1:
            told += f" with {len(chart.series)} bars each"
        yield _count("n-marks", total, f"{told}: {total} bars.")


def _absent(v: View) -> Iterator[_Draft]:
    """A label that is not in the chart."""
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
            yield _word("absent", NOT_SHOWN, f"There is no {name} in the chart.", item=name,
                        measure=v.measure)  # fmt: skip


def _points(v: View) -> Iterator[_Draft]:
    chart = v.chart
    if chart.kind not in ("scatter", "bubble"):
        return
    xs = [x for s in chart.series for x in s.xs]
    ys = [y for s in chart.series for y in s.values]
    n = len(xs)
    mx, my = sum(xs) / n, sum(ys) / n
    cov = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    size = (sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys)) ** 0.5
    if size and abs(cov / size) > 0.75:
        word = "positive" if cov > 0 else "negative"
        told = f"The points {'rise' if cov > 0 else 'fall'} from left to right."
        yield _word("correlation", word, told)
    for s, series in enumerate(chart.series):
        if chart.kind == "scatter" and len(series.values) <= 20 and _is_apart(v, s):
            told = f"Counting one by one gives {len(series.values)}."
            yield _count("n-points", len(series.values), told, scope=v.scope(s))
    tops = sorted((max(s.values), s.name) for s in chart.series)
    if len(tops) > 1 and tops[-1][0] - tops[-2][0] >= v.gap:
        names = tuple(s.name for s in chart.series)
        yield _word("top-point", tops[-1][1], f"The topmost point is of {tops[-1][1]}.", names)


def _is_apart(v: View, series: int) -> bool:
    """Whether no point of a series touches any other point."""
    mine = [m.center for m in v.drawn.marks if m.series == series]
    rest = [m.center for m in v.drawn.marks]
    return all(hypot(a[0] - b[0], a[1] - b[1]) >= 13 for a in mine for b in rest if a is not b)


def _boxes(v: View) -> Iterator[_Draft]:
    if v.chart.kind != "box":
        return
    heights = []
    for label, sample in zip(v.chart.categories, v.chart.extra["samples"], strict=True):
        ranked = sorted(sample)
        heights.append((ranked[44] - ranked[14], label))
    heights.sort()
    if heights[-1][0] - heights[-2][0] >= max(v.gap, 0.15 * heights[-1][0]):
        told = f"The box of {heights[-1][1]} is the tallest."
        yield _word("box-spread", heights[-1][1], told, v.chart.categories, noun=v.noun)


def _gantt(v: View) -> Iterator[_Draft]:
    if v.chart.kind != "gantt":
        return
    names = v.chart.categories
    spans = list(zip(v.chart.extra["starts"], v.chart.extra["ends"], strict=True))
    lengths = sorted((b - a, n) for (a, b), n in zip(spans, names, strict=True))
    if lengths[-1][0] > lengths[-2][0]:
        told = f"{lengths[-1][1]} lasts {lengths[-1][0]} weeks, longer than the rest."
        yield _word("longest", lengths[-1][1], told, names)
    for (a, b), name in zip(spans, names, strict=True):
        told = f"The bar of {name} reaches from {a} to {b}."
        yield _count("duration", b - a, f"{told} {b} - {a} = {b - a}.", item=name)
        yield _count("starts", a, told, item=name)
    for k, m in combinations(range(len(names)), 2):
        (a, b), (c, d) = spans[k], spans[m]
        if max(a, c) == min(b, d):
            continue  # they only touch
        told = f"{names[k]} runs from {a} to {b}, {names[m]} from {c} to {d}."
        yield _yes("overlap", max(a, c) < min(b, d), told, first=names[k], second=names[m])


def _waterfall(v: View) -> Iterator[_Draft]:
    if v.chart.kind != "waterfall":
        return
    entries = v.entries(0)
    names = v.chart.categories[1:-1]
    ranked = sorted(entries[1:-1], key=lambda e: e.value)
    for kind, best, second in (("rise", ranked[-1], ranked[-2]), ("drop", ranked[0], ranked[1])):
        is_right = best.value > 0 if kind == "rise" else best.value < 0
        if is_right and best.value != second.value:
            told = f"The largest such step is {best.label} with {number_text(best.value)}."
            yield _word(kind, best.label, told, names)
    change = entries[-1].value - entries[0].value
    first, last = number_text(entries[0].value), number_text(entries[-1].value)
    found = v.number(change)
    yield _number("net", found, f"{last} - {first} = {found[0]}.")


def _funnel(v: View) -> Iterator[_Draft]:
    if v.chart.kind != "funnel":
        return
    for a, b in combinations(v.entries(0), 2):
        found = v.number(100 * b.value / a.value, 1, 0.01)
        x, y = number_text(a.value), number_text(b.value)
        yield _number("conversion", found, f"{y} / {x} = {found[0]}%.", first=a.label,
                      second=b.label)  # fmt: skip


def _where(v: View) -> Iterator[_Draft]:
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
        yield _Draft("box", text_, answer, "iou", "", "", (("item", item),))


MAKERS: tuple[Callable[[View], Iterator[_Draft]], ...] = (
    _values,
    _extremes,
    _median,
    _pairs,
    _sets,
    _trends,
    _lines,
    _colors,
    _across,
    _stacks,
    _structure,
    _points,
    _boxes,
    _gantt,
    _waterfall,
    _funnel,
    _where,
)
ABSENT_SHARE = 0.05


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
    chosen: list[_Draft] = []
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
    if rng.random() < ABSENT_SHARE * 3:
        chosen += list(_absent(view))[:1]
    return [_task(draft, rng, media) for draft in chosen]


def _answer_of(draft: _Draft) -> object:
    return draft.answer.value


def _task(draft: _Draft, rng: random.Random, media: tuple[str, ...]) -> Task:
    question, template = worded(BANK, draft.kind, rng, **dict(draft.slots))
    text, answer, verifier, trace = draft.text, draft.answer, draft.verifier, draft.trace
    choice = None
    if draft.others and rng.random() < 0.15:
        choice = multiple_choice(question, text, draft.others, rng)
    if choice is not None:
        question, answer = choice
        text, verifier = str(answer.value), "mcq"
        trace = f"{trace} That is option {text}."
    elif draft.form and draft.kind != "absent":
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
