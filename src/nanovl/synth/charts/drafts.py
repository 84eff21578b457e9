"""A question about a chart before it is worded, and what may be asked of which kind of chart.

Source: data synthesis specification, sections 7 and 17. Wordings and programs are our own.
"""

from __future__ import annotations

from nanovl.synth.asking import Draft
from nanovl.synth.base import Answer
from nanovl.synth.charts.view import Entry, View

__all__ = [
    "PLAIN",
    "counted",
    "item_of",
    "numbered",
    "series_numbers",
    "word_draft",
    "yes_draft",
]


def word_draft(kind: str, text: str, trace: str, others: tuple[str, ...] = (), **slots: object) -> (
    Draft
):  # fmt: skip
    """A question answered by a word or name of the chart."""
    answer = Answer(type="text", value=text)
    return Draft(kind, text, answer, "exact_ci", "word", trace, tuple(slots.items()), others)


def yes_draft(kind: str, value: bool, trace: str, /, **slots: object) -> Draft:
    """A question answered by yes or no."""
    answer = Answer(type="bool", value=value)
    text = "Yes" if value else "No"
    return Draft(kind, text, answer, "exact_ci", "yesno", trace, tuple(slots.items()))


def numbered(kind: str, found: tuple[str, Answer], trace: str, **slots: object) -> Draft:
    """A question answered by a number, from its (text, answer)."""
    text, answer = found
    return Draft(kind, text, answer, "number", "number", trace, tuple(slots.items()))


def counted(kind: str, value: int, trace: str, /, **slots: object) -> Draft:
    """A question answered by counting."""
    return numbered(kind, (str(value), Answer(type="number", value=value)), trace, **slots)


# Kinds whose values of one series can be compared by place along an axis.
PLAIN = ("bar", "barh", "lollipop", "grouped", "line", "area", "step", "pie", "donut", "radar",
         "heatmap", "histogram", "funnel", "combo", "box", "stacked", "stackedarea")  # fmt: skip


def _usable(v: View, series: int) -> bool:
    if v.chart.kind not in PLAIN:
        return False
    return v.chart.kind not in ("stacked", "stackedarea") or v.is_printed or series == 0


def series_numbers(v: View) -> list[int]:
    """Numbers of the series whose values can be compared."""
    if v.is_round:
        return [0]
    return [k for k in range(len(v.chart.series)) if _usable(v, k)]


def item_of(v: View, entry: Entry) -> str:
    """What an entry is called in a question."""
    if v.is_round or len(v.chart.series) == 1:
        return entry.label
    return f"{v.chart.series[entry.series].name} in {entry.label}"
