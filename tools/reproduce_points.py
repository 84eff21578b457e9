"""Fills the table of an experiment that asks questions: tasks in rows, points in columns.

Cells that were measured with the same inputs are skipped; differences are on the same questions.
Which tasks and points there are is decided by `reproduce_sweeps`.

Source: evaluation specification, sections 2 and 11.2.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.evals.base import Response
from nanovl.evals.modes import Setting
from nanovl.evals.requests import Task
from nanovl.evals.scorefiles import PEER
from nanovl.evals.sweeps import thinking_of
from tools.reproduce_asked import Asked, difference, merged, number_of
from tools.reproduce_cells import Cell, Results

__all__ = ["Point", "fill"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A column of a table.

    Attributes:
        name: Its head.
        asked: Who is asked.
        options: What it changes about the input of every task.
        setting: Mode instead of the task's, or None.
    """

    name: str
    asked: Asked
    options: Mapping[str, Any]
    setting: Setting | None = None

    def of(self, own: Setting) -> Setting:
        """How a task is asked at this point."""
        base = own if self.setting is None else replace(self.setting, options=own.options)
        return merged(base, **self.options)


def fill(
    results: Results,
    tasks: Mapping[str, tuple[Task, Setting]],
    points: Sequence[Point],
    *,
    common: Mapping[str, Any],
    previous: bool = False,
    peers: bool = False,
) -> None:
    """Fill the cells of a table, point by point.

    Args:
        results: Where to.
        tasks: Rows.
        points: Columns; differences are to the first, or to the one before.
        common: Inputs of all cells.
        previous: Compare with the point before instead of the first.
        peers: Note what answers without a model reach.
    """
    for place, point in enumerate(points):
        before = points[max(0, place - 1) if previous else 0]
        for name, (task, own) in tasks.items():
            setting, base = point.of(own), before.of(own)
            inputs = {
                **common,
                **point.asked.inputs,
                "setting": setting.label,
                **_reasoning(setting),
                **({} if before is point else {"against": [before.asked.inputs, base.label]}),
            }
            if results.has(name, point.name, inputs):
                continue
            begun = time.monotonic()
            lines = point.asked.score(task, [setting], peers=peers)
            line = lines[setting.label]
            numbers = {"score": number_of(line)}
            if before is not point:
                before.asked.score(task, [base])
                numbers["gain"] = difference(point.asked, before.asked, task, (setting, base))
            responses = point.asked.responses(task, setting)
            notes: dict[str, Any] = {
                "metric": task.metric,
                "error": task.lower_is_better,
                "text": not any(sample.media for sample in task.samples),
                "model": point.asked.title,
                "visual": _mean(r.meta.get("tokens", {}).get("visual") for r in responses),
                "peers": {k.removeprefix(PEER): v.score for k, v in lines.items()
                          if k.startswith(PEER)},
                **({} if setting.mode.reasoning == "off" else _thought(responses, setting)),
            }  # fmt: skip
            results.put(
                Cell(
                    row=name,
                    column=point.name,
                    numbers=numbers,
                    inputs=inputs,
                    facts=point.asked.facts(begun),
                    notes=notes,
                )
            )
            print(f"{name}, {point.name}: {line.score:.1f} (n {line.samples})", flush=True)
        following = points[place + 1] if place + 1 < len(points) else None
        if following is None or following.asked is not point.asked:
            point.asked.close()


def _reasoning(setting: Setting) -> dict[str, Any]:
    mode = setting.mode
    return {} if mode.budget is None else {"budget": mode.budget, "grace": mode.grace}


def _thought(responses: Sequence[Response], setting: Setting) -> dict[str, Any]:
    found = thinking_of(responses, setting)
    return {name: getattr(found, name) for name in ("mean", "newline", "grace", "truncated")}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else None
