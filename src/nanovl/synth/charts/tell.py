"""A chart in other forms: table, JSON, plotting code, caption.

Source: data synthesis specification, section 7 (chart to table, chart to code, captions at the
levels construction, statistics and trend).
"""

from __future__ import annotations

import csv
import io
import json
import random
from typing import Any

from nanovl.data.convert.markup import markdown_table
from nanovl.synth.asking import join_words, number_text, with_article, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.charts.phrases import BANK
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.view import KIND_NAMES, READ_ERROR, View

__all__ = ["CODE_KINDS", "caption", "code", "data_table", "telling_tasks"]

CODE_KINDS = ("bar", "barh", "grouped", "stacked", "line", "area", "pie", "scatter")


def data_table(chart: Chart) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the data behind a chart."""

    def text(value: float) -> str:
        return number_text(value, chart.decimals)

    if chart.kind in ("scatter", "bubble"):
        header = ["series", chart.x_label or "x", chart.y_label or "y"]
        rows = [
            [s.name, number_text(x, 3), text(y)]
            for s in chart.series
            for x, y in zip(s.xs, s.values, strict=True)
        ]
        return header, rows
    if chart.kind in ("pie", "donut"):
        return ["group", chart.measure], [[s.name, text(s.values[0])] for s in chart.series]
    if chart.kind == "gantt":
        spans = zip(chart.categories, chart.extra["starts"], chart.extra["ends"], strict=True)
        return ["task", "start", "end"], [[n, str(a), str(b)] for n, a, b in spans]
    header = [chart.category_noun, *(s.name for s in chart.series)]
    rows = [
        [label, *(text(s.values[k]) for s in chart.series)]
        for k, label in enumerate(chart.categories)
    ]
    return header, rows


def _as_json(chart: Chart) -> dict[str, dict[str, float]]:
    if chart.kind in ("pie", "donut"):
        return {chart.measure: {s.name: s.values[0] for s in chart.series}}
    return {s.name: dict(zip(chart.categories, s.values, strict=True)) for s in chart.series}


def _spec(chart: Chart, drawn: Drawn) -> dict[str, Any]:
    roles = {t.role: t.text for t in drawn.texts}
    round_ = chart.kind in ("pie", "donut")
    return {
        "type": KIND_NAMES[chart.kind],
        "title": chart.title,
        "x_label": roles.get("x_label", ""),
        "y_label": roles.get("y_label", ""),
        "labels": [s.name for s in chart.series] if round_ else list(chart.categories),
        "series": [{"name": chart.measure, "values": [s.values[0] for s in chart.series]}]
        if round_
        else [{"name": s.name, "values": list(s.values)} for s in chart.series],
    }


def code(chart: Chart) -> str:
    """A short matplotlib script that draws the data of a chart of one of `CODE_KINDS`."""
    lines = ["import matplotlib.pyplot as plt", "", "fig, ax = plt.subplots()"]
    labels = json.dumps(list(chart.categories))
    if chart.kind == "pie":
        values = [s.values[0] for s in chart.series]
        lines += [
            f"labels = {json.dumps([s.name for s in chart.series])}",
            f"values = {_list(values)}",
            f"colors = {json.dumps([s.color for s in chart.series])}",
            "ax.pie(values, labels=labels, colors=colors, startangle=90, counterclock=False)",
        ]
    elif chart.kind == "scatter":
        for s in chart.series:
            lines.append(
                f"ax.scatter({_list(s.xs)}, {_list(s.values)}, color={json.dumps(s.color)}, "
                f"label={json.dumps(s.name)})"
            )
    else:
        lines.append(f"labels = {labels}")
        lines += _code_rows(chart)
    if len(chart.series) > 1 and chart.kind != "pie":
        lines.append("ax.legend()")
    lines.append(f"ax.set_title({json.dumps(chart.title)})")
    if chart.kind != "pie":
        x, y = (
            (chart.y_label, chart.x_label)
            if chart.kind == "barh"
            else (chart.x_label, chart.y_label)
        )
        lines += [f"ax.set_xlabel({json.dumps(x)})", f"ax.set_ylabel({json.dumps(y)})"]
    return "\n".join([*lines, "plt.show()"])


def _list(values: Any) -> str:
    return "[" + ", ".join(number_text(v, 3) for v in values) + "]"


def _code_rows(chart: Chart) -> list[str]:
    lines = []
    count = len(chart.series)
    for s, series in enumerate(chart.series):
        name, color, values = (
            json.dumps(series.name),
            json.dumps(series.color),
            _list(series.values),
        )
        tail = f"color={color}, label={name})"
        if chart.kind == "bar":
            lines.append(f"ax.bar(labels, {values}, {tail}")
        elif chart.kind == "barh":
            lines += [f"ax.barh(labels, {values}, {tail}", "ax.invert_yaxis()"]
        elif chart.kind == "grouped":
            wide = number_text(0.8 / count, 3)
            shift = number_text(-0.4 + 0.8 / count * (s + 0.5), 3)
            lines.append(
                f"ax.bar([k + {shift} for k in range({len(chart.categories)})], {values}, "
                f"width={wide}, {tail}"
            )
        elif chart.kind == "stacked":
            if s == 0:
                lines.append("bottom = [0] * len(labels)")
            lines.append(f"values = {values}")
            lines.append(f"ax.bar(labels, values, bottom=bottom, {tail}")
            lines.append("bottom = [b + v for b, v in zip(bottom, values)]")
        else:
            lines.append(f"ax.plot(labels, {values}, {tail}")
            if chart.kind == "area":
                lines.append(f"ax.fill_between(labels, {values}, color={color}, alpha=0.4)")
    if chart.kind == "grouped":
        lines.append("ax.set_xticks(range(len(labels)), labels)")
    return lines


def caption(chart: Chart, drawn: Drawn) -> str:
    """A description: what is drawn, the extremes, and the trend where there is one."""
    view = View(chart, drawn, random.Random(0))
    kind = KIND_NAMES[chart.kind]
    lines = [f'{with_article(kind).capitalize()} titled "{chart.title}".']
    if chart.kind in ("scatter", "bubble"):
        lines.append(f"It plots {chart.y_label} against {chart.x_label}.")
        if len(chart.series) > 1:
            lines.append(f"The points belong to {join_words([s.name for s in chart.series])}.")
        return " ".join(lines)
    if chart.kind == "gantt":
        last = max(chart.extra["ends"])
        names = join_words(list(chart.categories))
        return f"{lines[0]} It shows the tasks {names}, which end in week {last}."
    if view.is_round:
        names = join_words([s.name for s in chart.series])
        lines.append(f"It is divided into {names}.")
    else:
        count = len(chart.categories)
        lines.append(
            f"It shows {chart.measure.lower()} for {count} {chart.category_noun} entries, from "
            f"{chart.categories[0]} to {chart.categories[-1]}."
        )
        if len(chart.series) > 1:
            lines.append(f"The series are {join_words([s.name for s in chart.series])}.")
    if chart.kind not in ("stacked", "stacked100", "stackedarea", "waterfall", "dual"):
        lines += _statistics(view)
    return " ".join(lines)


def _statistics(view: View) -> list[str]:
    chart = view.chart
    lines = []
    for s in range(1 if view.is_round else len(chart.series)):
        ranked = sorted(view.entries(s), key=lambda e: e.value)
        if view.is_round:
            if ranked[-1].value - ranked[-2].value >= view.gap:
                lines.append(f"The largest part is {ranked[-1].label}.")
            if ranked[1].value - ranked[0].value >= view.gap:
                lines.append(f"The smallest part is {ranked[0].label}.")
            break
        name = chart.series[s].name if view.scope(s) else "It"
        found = []
        if ranked[-1].value - ranked[-2].value >= view.gap:
            found.append(f"highest at {ranked[-1].label} ({view.shown(ranked[-1])})")
        if len(ranked) > 2 and ranked[1].value - ranked[0].value >= view.gap:
            found.append(f"lowest at {ranked[0].label} ({view.shown(ranked[0])})")
        if found:
            lines.append(f"{name} is {join_words(found)}.")
        if chart.is_time and chart.kind in ("line", "area", "bar"):
            first, last = view.entries(s)[0], view.entries(s)[-1]
            if abs(last.value - first.value) >= 2 * view.gap:
                word = "rises" if last.value > first.value else "falls"
                start = "Overall it" if not view.scope(s) else f"Overall {name}"
                lines.append(f"{start} {word} from {first.label} to {last.label}.")
    return lines


def telling_tasks(
    chart: Chart, drawn: Drawn, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Some of: data as CSV, Markdown or JSON, chart as code or specification, caption.

    Args:
        chart: What is shown.
        drawn: How.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    kinds = ["caption"]
    view = View(chart, drawn, rng)
    entries = [e for s in range(len(chart.series)) for e in view.entries(s)] if (
        chart.kind not in ("scatter", "bubble")
    ) else []  # fmt: skip
    is_readable = bool(entries) and all(map(view.can_read, entries))
    is_readable = is_readable and chart.kind not in ("box", "dual")
    if is_readable:
        kinds += ["to-csv", "to-markdown", "to-json", "to-spec"]
        if chart.kind in CODE_KINDS:
            kinds.append("to-code")
    rng.shuffle(kinds)
    return [_telling(chart, drawn, view, kind, rng, media) for kind in kinds[:count]]


def _telling(
    chart: Chart, drawn: Drawn, view: View, kind: str, rng: random.Random, media: tuple[str, ...]
) -> Task:
    tolerance = None if view.is_printed else READ_ERROR
    header, rows = data_table(chart)
    if kind == "caption":
        text = caption(chart, drawn)
        answer, verifier = Answer(type="text", value=text), "edit_distance"
    elif kind == "to-csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        text = out.getvalue().rstrip("\n")
        answer, verifier = Answer(type="text", value=text), "edit_distance"
    elif kind == "to-markdown":
        text = markdown_table(header, rows)
        answer = Answer(type="markup", value={"form": "markdown", "text": text})
        verifier = "teds"
    elif kind == "to-code":
        text = code(chart)
        answer, verifier = Answer(type="markup", value=text), "edit_distance"
    else:
        value = _as_json(chart) if kind == "to-json" else _spec(chart, drawn)
        text = json.dumps(value, ensure_ascii=False)
        answer, verifier = Answer(type="json", value=value, tolerance=tolerance), "json_equal"
    question, template = worded(BANK, kind, rng)
    return Task(
        task=f"chart_{kind.replace('-', '_')}", question=question, answer_text=text,
        answer=answer, verifier=verifier, media=media, template=f"charts/{template}",
    )  # fmt: skip
