"""Questions about charts with two value axes: each side as a chart of its own, and which is which.

Source: data synthesis specification, section 7 (dual axis).
"""

from __future__ import annotations

import random
from dataclasses import replace

from nanovl.synth.asking import Bank, noted, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.charts.qa import questions
from nanovl.synth.charts.spec import Chart, Drawn, Mark

__all__ = ["dual_questions", "sides"]

BANK: Bank = {
    "side": (
        "on which side is the axis for {name}, left or right?",
        "does {name} belong to the left or the right axis?",
        "the values of {name} are read off which axis: left or right?",
        "left or right: where is the axis of {name}?",
    ),
    "mark": (
        "is {name} drawn as bars or as a line?",
        "which marks stand for {name}: bars or line?",
        "how is {name} shown, by bars or by a line?",
        "bars or line: what shows {name}?",
    ),
}
# What is asked of the chart as a whole would be wrong of one of its sides.
_WHOLE = ("chart_kind", "chart_title", "chart_y_label", "chart_n_series", "chart_legend",
          "chart_box", "chart_n_marks")  # fmt: skip


def sides(chart: Chart, drawn: Drawn) -> tuple[tuple[Chart, Drawn], tuple[Chart, Drawn]]:
    """The left and the right side as charts of one series."""
    bar, line = chart.series
    right = chart.extra["right"]
    left_chart = replace(chart, kind="bar", series=(replace(bar, mark=""),), extra={})
    right_chart = replace(
        chart, kind="line", series=(replace(line, mark=""),), extra={}, low=right["low"],
        high=right["high"], unit=right["unit"], decimals=right["decimals"],
        measure=right["measure"], y_label=right["label"],
    )  # fmt: skip
    marks: tuple[list[Mark], list[Mark]] = ([], [])
    for mark in drawn.marks:
        marks[mark.series].append(replace(mark, series=0))
    return (
        (left_chart, replace(drawn, marks=tuple(marks[0]))),
        (right_chart, replace(drawn, marks=tuple(marks[1]), pixels=drawn.pixels_right)),
    )


def dual_questions(
    chart: Chart, drawn: Drawn, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Questions of different kinds about a chart with two value axes.

    Args:
        chart: Of the kind "dual".
        drawn: Where it is.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    found = []
    for side, picture in sides(chart, drawn):
        asked = questions(side, picture, rng, count + 2, media)
        found += [t for t in asked if t.task not in _WHOLE]
    rng.shuffle(found)
    found = found[: max(0, count - 1)]
    place = rng.randrange(2)
    name = chart.series[place].name
    kind = rng.choice(("side", "mark"))
    text = (("left", "right"), ("bars", "line"))[kind == "mark"][place]
    question, template = worded(BANK, kind, rng, name=name)
    axis = f"The {('left', 'right')[place]} axis is titled "
    axis += (chart.y_label, chart.extra["right"]["label"])[place]
    trace = f"{axis}." if kind == "side" else f"The legend shows {name} as {text}."
    found.append(
        Task(
            task=f"chart_{kind}_of",
            question=noted(question, "word", rng),
            answer_text=text,
            answer=Answer(type="text", value=text),
            verifier="exact_ci",
            trace=trace,
            media=media,
            template=f"charts/{template}",
        )
    )
    return found[:count]
