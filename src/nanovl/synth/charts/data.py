"""Random charts: kind, data that follow some process, and texts.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from nanovl.synth.base import Reject
from nanovl.synth.charts.look import draw_look, palette
from nanovl.synth.charts.spec import Chart, Look, Series
from nanovl.synth.charts.topics import CATEGORIES, FLOWS, SERIES_NAMES, STAGES, TASKS, TOPICS, Topic

__all__ = ["draw_chart", "nice_limits", "turned"]


def nice_limits(low: float, high: float, *, from_zero: bool) -> tuple[float, float]:
    """Round ends of an axis that hold a range with room at the top."""
    if from_zero:
        low = min(0.0, low)
    span = high - low
    if span <= 0:
        raise Reject("flat", "all values are equal")
    step: float = 10 ** math.floor(math.log10(span))
    for share in (0.1, 0.2, 0.25, 0.5, 1.0):
        if span / (step * share) <= 10:
            step *= share
            break
    bottom = 0.0 if from_zero and low >= 0 else math.floor((low - 0.05 * span) / step) * step
    top = math.ceil((high + 0.08 * span) / step) * step
    return round(bottom, 10), round(top, 10)


def _values(rng: random.Random, topic: Topic, count: int) -> list[float]:
    """Numbers of one process: walk, season, growth, or independent."""
    span = topic.high - topic.low
    kind = rng.choice(("walk", "season", "growth", "free", "free"))
    if kind == "free":
        found = [rng.uniform(topic.low, topic.high) for _ in range(count)]
    elif kind == "walk":
        at = rng.uniform(topic.low + 0.2 * span, topic.high - 0.2 * span)
        found = []
        for _ in range(count):
            found.append(at)
            at += rng.uniform(-0.22, 0.22) * span
    elif kind == "season":
        phase, swing = rng.uniform(0, 6.28), rng.uniform(0.25, 0.42) * span
        middle = (topic.low + topic.high) / 2
        found = [
            middle + swing * math.sin(phase + 6.28 * k / max(4, count)) + rng.gauss(0, 0.04 * span)
            for k in range(count)
        ]
    else:
        start, rate = rng.uniform(0.05, 0.3), rng.uniform(0.06, 0.3)
        grown = [start * (1 + rate) ** k for k in range(count)]
        found = [topic.low + span * min(1.0, g) * rng.uniform(0.9, 1.0) for g in grown]
        if rng.random() < 0.4:
            found.reverse()
    return [round(min(topic.high, max(topic.low, v)), topic.decimals) for v in found]


def _labels(rng: random.Random, low: int, high: int, *, time: bool | None = None) -> tuple[
    str, str, tuple[str, ...], bool
]:  # fmt: skip
    """Noun, axis title, labels, whether in order of time."""
    if time is not False and rng.random() < (0.6 if time else 0.3):
        count = rng.randint(low, max(low, min(high, 12)))
        step = rng.choice((1, 1, 2, 5))
        first = rng.randint(1980, 2022 - step * count) if step * count < 40 else 1975
        return "year", "Year", tuple(str(first + step * k) for k in range(count)), True
    pool = [c for c in CATEGORIES if time is None or c[3] == time]
    noun, title, names, is_time = rng.choice(pool)
    count = rng.randint(min(low, len(names)), min(high, len(names)))
    if is_time:
        start = rng.randint(0, len(names) - count)
        return noun, title, names[start : start + count], True
    return noun, title, tuple(rng.sample(names, count)), False


def _axis(topic: Topic) -> str:
    return f"{topic.measure} ({topic.unit})" if topic.unit else topic.measure


def _title(rng: random.Random, topic: Topic, noun: str) -> str:
    measure = topic.measure
    return rng.choice(
        (
            f"{measure} by {noun}",
            f"{measure} per {noun}",
            f"{measure}: overview by {noun}",
            f"{measure} at a glance",
            f"How {measure.lower()} compares across each {noun}",
            f"{measure} report",
        )
    )


def _series(
    rng: random.Random, look: Look, names: Sequence[str], rows: Sequence[Sequence[float]]
) -> tuple[Series, ...]:
    colors = palette(rng, len(names), is_dark=look.ground.startswith("#1"))
    return tuple(
        Series(name=n, values=tuple(v), color=c, color_name=word)
        for n, v, (c, word) in zip(names, rows, colors, strict=True)
    )


def _names(rng: random.Random, low: int, high: int) -> list[str]:
    pool = [names for names in SERIES_NAMES if len(names) >= low]
    names = rng.choice(pool)
    return rng.sample(names, rng.randint(low, min(high, len(names))))


def _topic(rng: random.Random, *, additive: bool = False) -> Topic:
    return rng.choice([t for t in TOPICS if t.is_additive or not additive])


def turned(look: Look, labels: Sequence[str]) -> Look:
    """Category labels stand upright if they would overlap."""
    wide = sum(len(t) + 2 for t in labels) * look.font_size * look.dpi / 100 * 0.8
    if wide <= look.width * 0.78:
        return look
    return replace(look, label_turn=90 if wide > 2.4 * look.width else 45)


def _bars(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    noun, title, labels, is_time = _labels(rng, 3, 10)
    values = _values(rng, topic, len(labels))
    names = [topic.measure]
    series = _series(rng, look, names, [values])
    low, high = nice_limits(min(values), max(values), from_zero=True)
    if kind != "barh":
        look = turned(look, labels)
    return Chart(
        kind=kind, title=_title(rng, topic, noun), x_label=title, y_label=_axis(topic),
        unit=topic.unit, categories=labels, series=series, decimals=topic.decimals, low=low,
        high=high, look=look, category_noun=noun, measure=topic.measure, is_time=is_time,
        has_values=rng.random() < 0.4,
    )  # fmt: skip


def _groups(rng: random.Random, look: Look, kind: str) -> Chart:
    stacks = kind in ("stacked", "stacked100")
    topic = _topic(rng, additive=stacks)
    noun, title, labels, is_time = _labels(rng, 2, 6)
    names = _names(rng, 2, 4)
    rows = [_values(rng, topic, len(labels)) for _ in names]
    if stacks:
        floor = 0.12 * max(map(max, rows))
        rows = [[round(max(v, floor), topic.decimals) for v in row] for row in rows]
    tops = [sum(r[k] for r in rows) for k in range(len(labels))] if stacks else list(map(max, rows))
    low, high = nice_limits(0, max(tops), from_zero=True)
    unit, axis = topic.unit, _axis(topic)
    if kind == "stacked100":
        low, high, axis = 0.0, 100.0, f"Share of {topic.measure.lower()} (%)"
    return Chart(
        kind=kind, title=_title(rng, topic, noun), x_label=title, y_label=axis, unit=unit,
        categories=labels, series=_series(rng, look, names, rows), decimals=topic.decimals,
        low=low, high=high, look=turned(look, labels), category_noun=noun,
        measure=topic.measure, is_time=is_time,
        has_values=kind != "stacked100" and rng.random() < 0.35 and len(labels) * len(names) <= 15,
    )  # fmt: skip


def _lines(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    noun, title, labels, _ = _labels(rng, 4, 12, time=True)
    count = 1 if kind in ("area", "step") or rng.random() < 0.25 else rng.randint(2, 4)
    names = _names(rng, 2, 4)[:count] if count > 1 else [topic.measure]
    rows = [_values(rng, topic, len(labels)) for _ in names]
    flat = [v for row in rows for v in row]
    from_zero = kind == "area" or rng.random() < 0.5
    low, high = nice_limits(min(flat), max(flat), from_zero=from_zero)
    has_values = len(names) == 1 and len(labels) <= 9 and rng.random() < 0.35
    return Chart(
        kind=kind, title=_title(rng, topic, noun), x_label=title, y_label=_axis(topic),
        unit=topic.unit, categories=labels, series=_series(rng, look, names, rows),
        decimals=topic.decimals, low=low, high=high, look=turned(look, labels),
        category_noun=noun, measure=topic.measure, is_time=True, has_values=has_values,
    )  # fmt: skip


def _pie(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng, additive=True)
    names = _names(rng, 3, 6)
    shares = [rng.uniform(0.4, 1.6) ** 1.6 for _ in names]
    parts = [max(4, round(100 * s / sum(shares))) for s in shares]
    parts[parts.index(max(parts))] += 100 - sum(parts)
    if min(parts) < 3:
        raise Reject("thin", "a slice is too thin")
    colors = palette(rng, len(names), is_dark=look.ground.startswith("#1"))
    series = tuple(
        Series(name=n, values=(float(p),), color=c, color_name=word)
        for n, p, (c, word) in zip(names, parts, colors, strict=True)
    )
    if look.legend == "below":
        look = replace(look, legend="outside")
    return Chart(
        kind=kind, title=f"Share of {topic.measure.lower()}", unit="%", categories=("Share",),
        series=series, look=look, category_noun="group", measure=f"Share of "
        f"{topic.measure.lower()}", has_values=rng.random() < 0.6,
    )  # fmt: skip


def _scatter(rng: random.Random, look: Look, kind: str) -> Chart:
    one, two = rng.sample(TOPICS, 2)
    count = rng.randint(8, 16) if kind == "bubble" else rng.randint(12, 45)
    names = _names(rng, 2, 3) if rng.random() < 0.6 else [two.measure]
    slope = rng.choice((-1.0, -0.9, 0.0, 0.9, 1.0))
    colors = palette(rng, len(names), is_dark=look.ground.startswith("#1"))
    series = []
    for name, (color, word) in zip(names, colors, strict=True):
        xs, ys = [], []
        for _ in range(max(5, count // len(names) + rng.randint(-3, 6))):
            t = rng.random()
            u = 0.5 + slope * (t - 0.5) * 0.8 + rng.gauss(0, 0.08 if slope else 0.25)
            xs.append(round(one.low + t * (one.high - one.low), one.decimals))
            ys.append(round(two.low + min(1.0, max(0.0, u)) * (two.high - two.low), two.decimals))
        sizes = tuple(float(rng.randint(40, 520)) for _ in xs) if kind == "bubble" else ()
        series.append(
            Series(name=name, values=tuple(ys), color=color, color_name=word, xs=tuple(xs),
                   sizes=sizes)
        )  # fmt: skip
    flat = [v for s in series for v in s.values]
    low, high = nice_limits(min(flat), max(flat), from_zero=False)
    return Chart(
        kind=kind, title=f"{two.measure} and {one.measure.lower()}", x_label=_axis(one),
        y_label=_axis(two), unit=two.unit, series=tuple(series), decimals=two.decimals, low=low,
        high=high, look=look, measure=two.measure, category_noun="point",
    )  # fmt: skip


def _box(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    noun, title, labels, _ = _labels(rng, 3, 6, time=False)
    span = topic.high - topic.low
    samples = []
    for _ in labels:
        center = topic.low + span * rng.uniform(0.25, 0.75)
        spread = span * rng.uniform(0.05, 0.16)
        samples.append([round(rng.gauss(center, spread), 3) for _ in range(60)])
    medians = tuple(round(sorted(s)[29] / 2 + sorted(s)[30] / 2, topic.decimals) for s in samples)
    flat = [v for s in samples for v in s]
    low, high = nice_limits(min(flat), max(flat), from_zero=False)
    return Chart(
        kind=kind, title=f"Distribution of {topic.measure.lower()} by {noun}", x_label=title,
        y_label=_axis(topic), unit=topic.unit, categories=labels,
        series=_series(rng, look, ["Median"], [medians]), decimals=topic.decimals, low=low,
        high=high, look=turned(look, labels), category_noun=noun,
        measure=f"Median {topic.measure.lower()}", extra={"samples": samples},
    )  # fmt: skip


def _histogram(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    bins = rng.randint(5, 10)
    width = rng.choice((5, 10, 20, 50))
    start = width * rng.randint(0, 5)
    edges = [start + width * k for k in range(bins + 1)]
    peak, spread = rng.uniform(0.2, 0.8) * bins, rng.uniform(1.2, 2.6)
    counts = [
        float(round(rng.uniform(30, 90) * math.exp(-(((k + 0.5 - peak) / spread) ** 2)) + 2
                    + rng.randint(0, 6)))
        for k in range(bins)
    ]  # fmt: skip
    labels = tuple(f"{a}-{b}" for a, b in pairwise(edges))
    low, high = nice_limits(0, max(counts), from_zero=True)
    return Chart(
        kind=kind, title=f"Histogram of {topic.measure.lower()}", x_label=_axis(topic),
        y_label="Count", categories=labels, series=_series(rng, look, ["Count"], [counts]),
        low=low, high=high, look=look, category_noun="bin", measure="Count",
        extra={"edges": edges}, has_values=rng.random() < 0.3,
    )  # fmt: skip


def _heatmap(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    noun, title, labels, is_time = _labels(rng, 3, 7)
    names = _names(rng, 3, 5)
    rows = [_values(rng, topic, len(labels)) for _ in names]
    return Chart(
        kind=kind, title=f"{topic.measure} by {noun}", x_label=title, y_label="",
        unit=topic.unit, categories=labels, series=_series(rng, look, names, rows),
        decimals=topic.decimals, look=turned(look, labels), category_noun=noun,
        measure=topic.measure, is_time=is_time, has_values=True,
        extra={"map": rng.choice(("Blues", "Greens", "YlOrRd", "viridis", "coolwarm"))},
    )  # fmt: skip


def _radar(rng: random.Random, look: Look, kind: str) -> Chart:
    noun, _, labels, _ = _labels(rng, 5, 7, time=False)
    names = _names(rng, 1, 3)
    rows = [[float(rng.randint(1, 10)) for _ in labels] for _ in names]
    return Chart(
        kind=kind, title="Ratings", unit="", categories=labels,
        series=_series(rng, look, names, rows), low=0, high=10,
        look=replace(look, spines="box", legend="outside"), category_noun=noun,
        measure="Rating",
    )  # fmt: skip


def _waterfall(rng: random.Random, look: Look, kind: str) -> Chart:
    first, middle, last = rng.choice(FLOWS)
    steps = rng.sample(middle, rng.randint(3, min(6, len(middle))))
    start = rng.randint(200, 500)
    changes = [float(rng.choice((-1, 1)) * rng.randint(25, 140)) for _ in steps]
    values = [float(start), *changes, start + sum(changes)]
    heights = [float(start)]
    for change in changes:
        heights.append(heights[-1] + change)
    if min(heights) < 20:
        raise Reject("negative", "the running total falls too low")
    labels = (first, *steps, last)
    low, high = nice_limits(0, max(heights), from_zero=True)
    return Chart(
        kind=kind, title=f"From {first.lower()} to {last.lower()} balance", x_label="Step",
        y_label="Balance (thousand)", unit="thousand", categories=labels,
        series=_series(rng, look, ["Change"], [values]), low=low, high=high,
        look=replace(turned(look, labels), legend="none"), category_noun="step",
        measure="Change", has_values=True,
    )  # fmt: skip


def _funnel(rng: random.Random, look: Look, kind: str) -> Chart:
    labels = rng.choice(STAGES)
    value = float(rng.randint(800, 9000))
    values = []
    for _ in labels:
        values.append(float(round(value)))
        value *= rng.uniform(0.35, 0.85)
    return Chart(
        kind=kind, title=f"From {labels[0].lower()} to {labels[-1].lower()}",
        categories=labels, series=_series(rng, look, ["Count"], [values]),
        look=replace(look, legend="none"), category_noun="stage", measure="Count",
        has_values=True, low=0, high=values[0],
    )  # fmt: skip


def _combo(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng)
    noun, title, labels, _ = _labels(rng, 4, 8, time=True)
    names = rng.choice((("Actual", "Target"), ("This year", "Last year"), ("Local", "Average")))
    rows = [_values(rng, topic, len(labels)) for _ in names]
    bars, line = _series(rng, look, names, rows)
    low, high = nice_limits(0, max(map(max, rows)), from_zero=True)
    return Chart(
        kind=kind, title=_title(rng, topic, noun), x_label=title, y_label=_axis(topic),
        unit=topic.unit, categories=labels,
        series=(replace(bars, mark="bar"), replace(line, mark="line")), decimals=topic.decimals,
        low=low, high=high, look=turned(look, labels), category_noun=noun,
        measure=topic.measure, is_time=True,
    )  # fmt: skip


def _stacked_area(rng: random.Random, look: Look, kind: str) -> Chart:
    topic = _topic(rng, additive=True)
    noun, title, labels, _ = _labels(rng, 4, 12, time=True)
    names = _names(rng, 2, 4)
    rows = [_values(rng, topic, len(labels)) for _ in names]
    floor = 0.12 * max(map(max, rows))
    rows = [[round(max(v, floor), topic.decimals) for v in row] for row in rows]
    low, high = nice_limits(0, max(map(sum, zip(*rows, strict=True))), from_zero=True)
    return Chart(
        kind=kind, title=_title(rng, topic, noun), x_label=title, y_label=_axis(topic),
        unit=topic.unit, categories=labels, series=_series(rng, look, names, rows),
        decimals=topic.decimals, low=low, high=high, look=turned(look, labels),
        category_noun=noun, measure=topic.measure, is_time=True,
    )  # fmt: skip


def _dual(rng: random.Random, look: Look, kind: str) -> Chart:
    one, two = rng.sample(TOPICS, 2)
    noun, title, labels, _ = _labels(rng, 4, 9, time=True)
    rows = [_values(rng, topic, len(labels)) for topic in (one, two)]
    bars, line = _series(rng, look, (one.measure, two.measure), rows)
    low, high = nice_limits(0, max(rows[0]), from_zero=True)
    from_zero = rng.random() < 0.5
    right = nice_limits(min(rows[1]), max(rows[1]), from_zero=from_zero)
    return Chart(
        kind=kind, title=f"{one.measure} and {two.measure.lower()}", x_label=title,
        y_label=_axis(one), unit=one.unit, categories=labels,
        series=(replace(bars, mark="bar"), replace(line, mark="line")), decimals=one.decimals,
        low=low, high=high, look=turned(replace(look, grid="none"), labels), category_noun=noun,
        measure=one.measure, is_time=True,
        extra={"right": {"label": _axis(two), "unit": two.unit, "low": right[0],
                         "high": right[1], "decimals": two.decimals, "measure": two.measure}},
    )  # fmt: skip


def _gantt(rng: random.Random, look: Look, kind: str) -> Chart:
    names = [t for t in TASKS if rng.random() < 0.7][:8]
    if len(names) < 4:
        raise Reject("few", "too few tasks")
    starts, ends = [], []
    at = 1
    for _ in names:
        length = rng.randint(1, 6)
        starts.append(at)
        ends.append(at + length)
        at = max(1, at + length - rng.randint(0, 2))
    return Chart(
        kind=kind, title="Project plan", x_label="Week", categories=tuple(names),
        series=_series(rng, look, ["Weeks"],
                       [[float(b - a) for a, b in zip(starts, ends, strict=True)]]),
        low=0, high=max(ends) + 1, look=replace(look, legend="none", grid="both"),
        category_noun="task", measure="Duration", unit="weeks",
        extra={"starts": starts, "ends": ends},
    )  # fmt: skip


MAKERS: dict[str, Callable[[random.Random, Look, str], Chart]] = {
    "bar": _bars,
    "barh": _bars,
    "lollipop": _bars,
    "grouped": _groups,
    "stacked": _groups,
    "stacked100": _groups,
    "stackedarea": _stacked_area,
    "line": _lines,
    "area": _lines,
    "step": _lines,
    "pie": _pie,
    "donut": _pie,
    "scatter": _scatter,
    "bubble": _scatter,
    "box": _box,
    "histogram": _histogram,
    "heatmap": _heatmap,
    "radar": _radar,
    "waterfall": _waterfall,
    "funnel": _funnel,
    "combo": _combo,
    "dual": _dual,
    "gantt": _gantt,
}


def draw_chart(
    rng: random.Random, style: random.Random, kinds: Sequence[str], look: Look | None = None
) -> Chart:
    """A random chart.

    Args:
        rng: Where data and texts come from.
        style: Where the look comes from.
        kinds: Possible kinds.
        look: A given look instead.

    Raises:
        Reject: The drawn numbers make no good chart.
    """
    kind = rng.choice(list(kinds))
    chart = MAKERS[kind](rng, look or draw_look(style), kind)
    if style.random() < 0.2:
        chart = replace(chart, subtitle=style.choice(("All figures are estimates", "Survey data",
                        "Monthly report", "Selected groups")))  # fmt: skip
    if style.random() < 0.15:
        chart = replace(chart, note=style.choice(("Source: own data", "Source: annual report",
                        "Source: field study")))  # fmt: skip
    return chart
