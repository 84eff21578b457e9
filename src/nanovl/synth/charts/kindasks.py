"""Questions that only some kinds of charts have: points, boxes, plans, steps and funnels.

Source: data synthesis specification, sections 7 and 17. Wordings and programs are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from math import hypot

from nanovl.synth.asking import Draft, number_text
from nanovl.synth.charts.drafts import counted, numbered, word_draft, yes_draft
from nanovl.synth.charts.view import View

__all__ = ["KIND_MAKERS"]


def _points(v: View) -> Iterator[Draft]:
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
        yield word_draft("correlation", word, told)
    for s, series in enumerate(chart.series):
        if chart.kind == "scatter" and len(series.values) <= 20 and _is_apart(v, s):
            told = f"Counting one by one gives {len(series.values)}."
            yield counted("n-points", len(series.values), told, scope=v.scope(s))
    tops = sorted((max(s.values), s.name) for s in chart.series)
    if len(tops) > 1 and tops[-1][0] - tops[-2][0] >= v.gap:
        names = tuple(s.name for s in chart.series)
        yield word_draft("top-point", tops[-1][1], f"The topmost point is of {tops[-1][1]}.", names)


def _is_apart(v: View, series: int) -> bool:
    """Whether no point of a series touches any other point."""
    mine = [m.center for m in v.drawn.marks if m.series == series]
    rest = [m.center for m in v.drawn.marks]
    return all(hypot(a[0] - b[0], a[1] - b[1]) >= 13 for a in mine for b in rest if a is not b)


def _boxes(v: View) -> Iterator[Draft]:
    if v.chart.kind != "box":
        return
    heights = []
    for label, sample in zip(v.chart.categories, v.chart.extra["samples"], strict=True):
        ranked = sorted(sample)
        heights.append((ranked[44] - ranked[14], label))
    heights.sort()
    if heights[-1][0] - heights[-2][0] >= max(v.gap, 0.15 * heights[-1][0]):
        told = f"The box of {heights[-1][1]} is the tallest."
        yield word_draft("box-spread", heights[-1][1], told, v.chart.categories, noun=v.noun)


def _gantt(v: View) -> Iterator[Draft]:
    if v.chart.kind != "gantt":
        return
    names = v.chart.categories
    spans = list(zip(v.chart.extra["starts"], v.chart.extra["ends"], strict=True))
    lengths = sorted((b - a, n) for (a, b), n in zip(spans, names, strict=True))
    if lengths[-1][0] > lengths[-2][0]:
        told = f"{lengths[-1][1]} lasts {lengths[-1][0]} weeks, longer than the rest."
        yield word_draft("longest", lengths[-1][1], told, names)
    for (a, b), name in zip(spans, names, strict=True):
        told = f"The bar of {name} reaches from {a} to {b}."
        yield counted("duration", b - a, f"{told} {b} - {a} = {b - a}.", item=name)
        yield counted("starts", a, told, item=name)
    for k, m in combinations(range(len(names)), 2):
        (a, b), (c, d) = spans[k], spans[m]
        if max(a, c) == min(b, d):
            continue  # they only touch
        told = f"{names[k]} runs from {a} to {b}, {names[m]} from {c} to {d}."
        yield yes_draft("overlap", max(a, c) < min(b, d), told, first=names[k], second=names[m])


def _waterfall(v: View) -> Iterator[Draft]:
    if v.chart.kind != "waterfall":
        return
    entries = v.entries(0)
    names = v.chart.categories[1:-1]
    ranked = sorted(entries[1:-1], key=lambda e: e.value)
    for kind, best, second in (("rise", ranked[-1], ranked[-2]), ("drop", ranked[0], ranked[1])):
        is_right = best.value > 0 if kind == "rise" else best.value < 0
        if is_right and best.value != second.value:
            told = f"The largest such step is {best.label} with {number_text(best.value)}."
            yield word_draft(kind, best.label, told, names)
    change = entries[-1].value - entries[0].value
    first, last = number_text(entries[0].value), number_text(entries[-1].value)
    found = v.number(change)
    yield numbered("net", found, f"{last} - {first} = {found[0]}.")


def _funnel(v: View) -> Iterator[Draft]:
    if v.chart.kind != "funnel":
        return
    for a, b in combinations(v.entries(0), 2):
        found = v.number(100 * b.value / a.value, 1, 0.01)
        x, y = number_text(a.value), number_text(b.value)
        yield numbered("conversion", found, f"{y} / {x} = {found[0]}%.", first=a.label,
                      second=b.label)  # fmt: skip


KIND_MAKERS: tuple[Callable[[View], Iterator[Draft]], ...] = (
    _points,
    _boxes,
    _gantt,
    _waterfall,
    _funnel,
)
