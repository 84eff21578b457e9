"""Questions about the values of a chart: read, compared, added, counted, over time.

Values are asked about only where the picture shows them, see `view`.

Source: data synthesis specification, sections 7 and 17. Wordings and programs are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

from nanovl.synth.asking import Draft, join_words, number_text
from nanovl.synth.charts.drafts import (
    counted,
    item_of,
    numbered,
    series_numbers,
    word_draft,
    yes_draft,
)
from nanovl.synth.charts.view import View

__all__ = ["VALUE_MAKERS"]


def _values(v: View) -> Iterator[Draft]:
    for s in series_numbers(v):
        for entry in v.entries(s):
            if not v.can_read(entry):
                continue
            item = item_of(v, entry)
            how = "The label reads" if v.chart.has_values else "Its end lies at"
            trace = f"I look for {item}. {how} {v.shown(entry)}."
            found = v.number(entry.value, tolerance=v.tolerance)
            yield numbered("value", found, trace, measure=v.measure, item=item)


def _extremes(v: View) -> Iterator[Draft]:
    for s in series_numbers(v):
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
            yield word_draft(f"arg{kind}", best.label, trace, names, **common)
            yield yes_draft(f"is-{kind}", True, trace, item=best.label, **common)
            other = v.rng.choice([e for e in entries if e is not best])
            yield yes_draft(f"is-{kind}", False, trace, item=other.label, **common)


def _median(v: View) -> Iterator[Draft]:
    for s in series_numbers(v):
        ranked = sorted(v.entries(s), key=lambda e: e.value)
        if not 3 <= len(ranked) <= 7 or len(ranked) % 2 == 0 or v.is_round:
            continue
        if any(b.value - a.value < v.gap for a, b in pairwise(ranked)):
            continue
        middle = ranked[len(ranked) // 2]
        order = join_words([e.label for e in ranked])
        trace = f"From low to high: {order}. In the middle stands {middle.label}."
        for entry in (middle, v.rng.choice([e for e in ranked if e is not middle])):
            yield yes_draft("is-median", entry is middle, trace, item=entry.label, noun=v.noun,
                       measure=v.measure, scope=v.scope(s))  # fmt: skip


def _pairs(v: View) -> Iterator[Draft]:
    for s in series_numbers(v):
        pairs = list(combinations(v.entries(s), 2))
        for a, b in v.rng.sample(pairs, min(8, len(pairs))):
            if v.rng.random() < 0.5:
                a, b = b, a
            common = {"first": a.label, "second": b.label, "measure": v.measure}
            common["scope"] = v.scope(s)
            told = f"{a.label}: {v.shown(a)}, {b.label}: {v.shown(b)}."
            apart = abs(a.value - b.value)
            if apart >= v.gap:
                yield yes_draft("compare", a.value > b.value, told, **common)
            if not (v.can_read(a) and v.can_read(b)):
                continue
            loose = v.tolerance
            x, y = (number_text(e.value, v.chart.decimals) for e in (a, b))
            high, low = max(a.value, b.value), min(a.value, b.value)
            if apart >= max(v.gap, 0.4 * high if loose else 0):
                found = v.number(high - low, tolerance=2.5 * loose if loose else None)
                big, small = (number_text(n, v.chart.decimals) for n in (high, low))
                yield numbered("difference", found, f"{told} {big} - {small} = {found[0]}.",
                              **common)  # fmt: skip
            found = v.number(a.value + b.value, tolerance=loose)
            yield numbered("sum", found, f"{told} {x} + {y} = {found[0]}.", **common)
            if b.value > 0 and 0.2 < a.value / b.value < 20:
                found = v.number(a.value / b.value, 2, tolerance=2 * loose if loose else 0.01)
                yield numbered("ratio", found, f"{told} {x} / {y} = {found[0]}.", **common)


def _sets(v: View) -> Iterator[Draft]:
    for s in series_numbers(v):
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
                yield numbered("mean", found, told, places=words, **common)
            if ranked[-1] - ranked[0] >= 3 * v.gap and ranked[0] < 0.6 * ranked[-1]:
                found = v.number(
                    ranked[-1] - ranked[0], tolerance=2 * v.tolerance if v.tolerance else None
                )
                high, low = (number_text(r, v.chart.decimals) for r in (ranked[-1], ranked[0]))
                told = f"The highest is {high}, the lowest {low}: {high} - {low} = {found[0]}."
                yield numbered("span", found, told, measure=v.measure, scope=v.scope(s))
        for edge in _edges(v, ranked):
            for sign in ("above", "below"):
                names = [
                    e.label for e in entries if (e.value > edge if sign == "above" else
                                                 e.value < edge)
                ]  # fmt: skip
                told = f"{sign.capitalize()} {number_text(edge, 3)}: "
                told += f"{join_words(names) if names else 'none'}. That makes {len(names)}."
                yield counted("count", len(names), told, sign=sign, value=number_text(edge, 3),
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


def _trends(v: View) -> Iterator[Draft]:
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
            yield yes_draft("rising", not down, told, name=name, noun=v.noun)
        best = max(range(len(jumps)), key=jumps.__getitem__)
        others = [j for k, j in enumerate(jumps) if k != best]
        if jumps[best] > 0 and jumps[best] - max(others) >= v.gap:
            a, b = steps[best]
            text = f"{a.label} - {b.label}"
            told = f"From {a.label} to {b.label} it goes from {v.shown(a)} to {v.shown(b)}, more "
            told += "than anywhere else."
            yield word_draft("steepest", text, told, name=name, noun=v.noun)


def _lines(v: View) -> Iterator[Draft]:
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
        yield yes_draft("crossing", meets, told, first=a.name, second=b.name)
    means = sorted((sum(s.values) / len(s.values), s.name) for s in series)
    if means[-1][0] - means[-2][0] >= v.gap:
        told = f"{means[-1][1]} lies highest over the whole range."
        yield word_draft("most-area", means[-1][1], told, names)
    bends = sorted(
        (sum(abs(s.values[k - 1] - 2 * s.values[k] + s.values[k + 1])
             for k in range(1, len(s.values) - 1)), s.name)
        for s in series
    )  # fmt: skip
    if bends[-1][0] > 1.5 * bends[-2][0] and bends[-1][0] > 4 * v.gap:
        told = f"The line of {bends[-1][1]} turns up and down more than any other."
        yield word_draft("roughest", bends[-1][1], told, names)
    if bends[1][0] > 1.5 * bends[0][0] and bends[1][0] > 4 * v.gap:
        told = f"The line of {bends[0][1]} bends less than any other."
        yield word_draft("smoothest", bends[0][1], told, names)


def _colors(v: View) -> Iterator[Draft]:
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
        yield word_draft("color-of", s.color_name, told, colors, name=s.name)
        yield word_draft("by-color", s.name, told, names, color=s.color_name, noun=noun)


def _across(v: View) -> Iterator[Draft]:
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
            yield word_draft("series-max", best.name, told, names, measure=v.measure, item=label)
            if chart.kind in ("grouped", "line"):
                colors = tuple(s.color_name for s in chart.series)
                yield word_draft("color-max", best.color_name, told, colors, item=label)
    for a, b in combinations(chart.series, 2):
        apart = [x - y for x, y in zip(a.values, b.values, strict=True)]
        if all(abs(d) >= v.gap for d in apart):
            labels = [n for n, d in zip(chart.categories, apart, strict=True) if d > 0]
            told = f"{a.name} is above {b.name} at {join_words(labels) if labels else 'none'}."
            yield counted("series-above", len(labels), f"{told} That makes {len(labels)}.",
                         noun=v.noun, first=a.name, second=b.name)  # fmt: skip


def _stacks(v: View) -> Iterator[Draft]:
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
        yield numbered("stack-total", found, told, measure=v.measure, item=label)


VALUE_MAKERS: tuple[Callable[[View], Iterator[Draft]], ...] = (
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
)
