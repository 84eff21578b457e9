"""Charts out of the numeric columns of real tables.

A column of labels and one to four columns of numbers on one scale become a chart; which rows and
columns are drawn is chosen at random, the numbers stay as they are. Must not draw.

Source: the rendering table of the training data (tabular numbers as charts); data synthesis
specification, section 7.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nanovl.data.convert.table_qa import Table
from nanovl.synth.base import Reject
from nanovl.synth.charts.data import nice_limits, turned
from nanovl.synth.charts.look import palette
from nanovl.synth.charts.spec import Chart, Look, Series

__all__ = ["KINDS", "Columns", "chart_of", "columns_of"]

KINDS = ("bar", "barh", "lollipop", "grouped", "line", "area", "step", "heatmap")
_TIME_KINDS = ("line", "area", "step")
_NUMBER = re.compile(r"\$?\s?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s?%?")
_YEAR = re.compile(r"(?:1[6-9]|20)\d\d")
_COUNTED = re.compile(
    r"(?i)^(#|no\.?|nr\.?|number|rank|ranking|pos\.?|position|place|id|seed|pick|week|game|round|"
    r"draw|lane|heat|episode|season|series|district|chapter|order|code|postcode|zip|route)\b"
)
_TOTALS = re.compile(r"(?i)^(grand |sub)?totals?\b|^all$|^overall$|^average$|^sum$|^mean$")
_LEAST, _MOST = 3, 12  # categories of a chart
_LONGEST = 24  # characters of a category
_LONGEST_HEAD = 32


@dataclass(frozen=True)
class Columns:
    """What of a table can be drawn.

    Attributes:
        title: Of the table.
        noun, labels: Heading and cells of the column with the categories.
        is_time: Whether the categories are years in order.
        heads: Headings of the columns with numbers.
        rows: The numbers, one row per column of the table.
        decimals: Of each column.
        units: "%" or "" of each column.
    """

    title: str
    noun: str
    labels: tuple[str, ...]
    is_time: bool
    heads: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    decimals: tuple[int, ...]
    units: tuple[str, ...]


def _is_plain(text: str) -> bool:
    """Whether every typeface of the renderers shows a text, and no markup reads it otherwise."""
    return all(c.isascii() or 0xC0 <= ord(c) < 0x180 for c in text) and not set(text) & set("$_^\\")


def _numbers(cells: Sequence[str]) -> tuple[tuple[float, ...], int, str] | None:
    """Values, decimals and unit of a column of numbers; None if it is not one."""
    found = [_NUMBER.fullmatch(cell.strip()) for cell in cells]
    if any(m is None for m in found):
        return None
    signs = {("%" in cell, "$" in cell) for cell in cells}
    if len(signs) > 1:
        return None
    values = tuple(float(re.sub(r"[^\d.]", "", cell)) for cell in cells)
    decimals = max(len(m[2]) - 1 if m and m[2] else 0 for m in found)
    high, low = max(values), min(v for v in values)
    if decimals > 2 or high <= 0 or high > 1e9 or len(set(values)) < 3 or low < 0:
        return None
    if all(_YEAR.fullmatch(cell.strip()) for cell in cells):
        return None
    steps = {b - a for a, b in pairwise(values)}
    if steps in ({1.0}, {-1.0}):  # a running number
        return None
    return values, decimals, "%" if "%" in cells[0] else ""


def columns_of(table: Table) -> Columns | None:
    """The drawable part of a table, None without one.

    The categories are the first column with different short texts, or years; of the numbers those
    columns are kept whose heading is not that of a counter.
    """
    rows = [row for row in table.rows if not any(_TOTALS.match(cell.strip()) for cell in row[:2])]
    if len(rows) < _LEAST:
        return None
    label = _label_column(table.header, rows)
    if label is None:
        return None
    labels = tuple(row[label].strip() for row in rows)
    years = all(_YEAR.fullmatch(text) for text in labels)
    is_time = years and list(labels) == sorted(labels)
    heads, values, decimals, units = [], [], [], []
    for place, head in enumerate(table.header):
        name = " ".join(head.split())
        if place == label or not 2 <= len(name) <= _LONGEST_HEAD or not _is_plain(name):
            continue
        found = None if _COUNTED.match(name) else _numbers([row[place] for row in rows])
        if found is None or name in heads:
            continue
        heads.append(name)
        values.append(found[0])
        decimals.append(found[1])
        units.append(found[2])
    if not heads:
        return None
    title = " ".join(table.title.split())
    if not _is_plain(title) or len(title) > 70:
        title = ""
    return Columns(
        title, " ".join(table.header[label].split()) or "Name", labels, is_time, tuple(heads),
        tuple(values), tuple(decimals), tuple(units),
    )  # fmt: skip


def _label_column(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    for place, head in enumerate(header):
        cells = [row[place].strip() for row in rows]
        if len(set(map(str.casefold, cells))) < len(cells) or not head.strip():
            continue
        if len(head) > _LONGEST_HEAD or not _is_plain(head):
            continue
        if any(not cell or len(cell) > _LONGEST or not _is_plain(cell) for cell in cells):
            continue
        if all(_YEAR.fullmatch(cell) for cell in cells):
            return place
        if sum(any(c.isalpha() for c in cell) for cell in cells) == len(cells):
            return place
    return None


def chart_of(
    columns: Columns, rng: random.Random, look: Look, kinds: Sequence[str] = KINDS
) -> Chart:
    """A chart of some rows and columns.

    Args:
        columns: What can be drawn.
        rng: The generator of the stream "content".
        look: Its look.
        kinds: Those of `KINDS` that may be drawn.

    Raises:
        Reject: The numbers make no good chart of these kinds.
    """
    count = len(columns.labels)
    shown = rng.randint(min(count, 4), min(count, _MOST))
    start = rng.randint(0, count - shown)
    places = range(start, start + shown)
    chosen = _one_scale(columns, rng)
    able = [k for k in kinds if _suits(k, len(chosen), columns.is_time)]
    if not able:
        chosen = chosen[:1]
        able = [k for k in kinds if _suits(k, 1, columns.is_time)]
    if not able:
        raise Reject("no_kind", f"none of {', '.join(kinds)} suits the table")
    kind = rng.choice(able)
    rows = [[columns.rows[c][p] for p in places] for c in chosen]
    flat = [v for row in rows for v in row]
    positive = [v for v in flat if v > 0]
    if len({*flat}) < 3 or not positive or max(flat) > 400 * min(positive):
        raise Reject("scale", "the numbers of the table cannot be read off one axis")
    decimals = max(columns.decimals[c] for c in chosen)
    unit = columns.units[chosen[0]]
    from_zero = kind in ("bar", "barh", "lollipop", "grouped", "area") or rng.random() < 0.4
    low, high = nice_limits(min(flat), max(flat), from_zero=from_zero)
    labels = tuple(columns.labels[p] for p in places)
    measure = _said(columns.heads[chosen[0]]) if len(chosen) == 1 else "Value"
    noun = columns.noun.lower() if columns.noun[1:].islower() or " " in columns.noun else (
        columns.noun
    )  # fmt: skip
    colors = palette(rng, len(chosen), is_dark=look.ground.startswith("#1"))
    series = tuple(
        Series(name=_said(columns.heads[c]), values=tuple(row), color=color, color_name=word)
        for c, row, (color, word) in zip(chosen, rows, colors, strict=True)
    )
    few = len(labels) * len(chosen) <= 14
    return Chart(
        kind=kind,
        title=_title(columns, rng, measure, noun),
        x_label=_said(columns.noun),
        y_label="" if kind == "heatmap" else f"{measure} (%)" if unit == "%" else measure,
        unit=unit,
        categories=labels,
        series=series,
        decimals=decimals,
        has_values=kind == "heatmap" or (few and rng.random() < 0.45),
        low=None if kind == "heatmap" else low,
        high=None if kind == "heatmap" else high,
        extra={"map": rng.choice(("Blues", "Greens", "YlOrRd"))} if kind == "heatmap" else {},
        look=look if kind == "barh" else turned(look, labels),
        category_noun=noun,
        measure=measure,
        is_time=columns.is_time,
    )


def _said(head: str) -> str:
    return head[:1].upper() + head[1:]


def _suits(kind: str, count: int, is_time: bool) -> bool:
    if kind in ("grouped", "heatmap"):
        return count > 1
    if kind in _TIME_KINDS:
        return is_time and (count == 1 or kind == "line")
    return count == 1


def _one_scale(columns: Columns, rng: random.Random) -> list[int]:
    """One column, or several whose largest numbers lie within a factor of six."""
    first = rng.randrange(len(columns.heads))
    top = max(columns.rows[first])
    near = [
        c
        for c in range(len(columns.heads))
        if c != first
        and columns.units[c] == columns.units[first]
        and 1 / 6 <= max(columns.rows[c]) / top <= 6
    ]
    if not near or rng.random() < 0.45:
        return [first]
    more = rng.sample(near, rng.randint(1, min(3, len(near))))
    return sorted([first, *more])


def _title(columns: Columns, rng: random.Random, measure: str, noun: str) -> str:
    about = _said(columns.title)
    forms = [f"{measure} by {noun}"]
    if about:
        forms += [about, about, f"{about}: {measure.lower()}"]
    title = rng.choice(forms)
    return title if len(title) <= 70 else forms[0][:70]
