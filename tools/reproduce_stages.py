"""What is shown of the training stages: Tables 4 and 6 in miniature.

Reads results and nothing else; a number that was not measured is an empty cell.

Source: evaluation specification, section 13; training specification, section 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from nanovl.evals.mini_suite import TASKS
from nanovl.evals.paper import stage_numbers
from nanovl.evals.registry import benchmarks
from nanovl.evals.tables import Cell as TableCell, Table
from tools.make_mini import STAGES
from tools.reproduce_cells import Cell, Results
from tools.reproduce_figures import Panel, figure
from tools.reproduce_shown import Shown, curve, in_order, named, number_at, side_by_side, with_ends

__all__ = ["stages"]

_PAPER_ROWS = ("livecodebench", "ruler", "math_500", "ocrbench", "docvqa", "videomme")
_MOST = 6  # curves a panel can hold


def stages(results: Results) -> Shown:
    columns = in_order(results.columns, STAGES)
    heads = [_stage_name(column) for column in columns]
    percent = "Percent with 95 % intervals; errors are marked with an arrow."
    against = "Differences are to the stage before."
    tables = [
        *side_by_side(
            results, "Pictures and video by stage (Table 4)", columns, heads,
            notes=(percent, against), only=lambda cell: not cell.notes.get("text"),
        ),
        *side_by_side(
            results, "Text alone by stage (Table 6)", columns, heads,
            notes=(percent, against, "Questions without a picture or a video."),
            only=lambda cell: bool(cell.notes.get("text")),
        ),
        *_skills(results, columns, heads),
        *_without_model(results),
        *_paper_stages(),
    ]  # fmt: skip
    return Shown(
        tables=tables, figure=figure("Scores by stage", _panels(results, columns), columns=3)
    )


def _stage_name(stage: str) -> str:
    return stage.replace("stage", "stage ")


def _skills(results: Results, columns: Sequence[str], heads: Sequence[str]) -> list[Table]:
    """Held-out loss of text answers, where it was measured."""
    rows: list[list[TableCell]] = []
    for row in results.rows:
        cells = [results.cell(row, column) for column in columns]
        numbers = [number_at(cell, "loss") for cell in cells]
        if any(numbers):
            count = max(n.n for n in numbers if n is not None)
            rows.append([row, count, *(with_ends(n, 3) for n in numbers)])
    if not rows:
        return []
    return [
        Table(
            title="Loss of held-out answers by stage",
            columns=("set", "answers", *heads),
            rows=rows,
            notes=("Nats per token of the answer, mean over answers; lower is better.",),
        )
    ]


def _without_model(results: Results) -> list[Table]:
    """The best answers that need no model, beside the last stage."""
    rows: list[list[TableCell]] = []
    for row in results.rows:
        cell = next((c for c in results.cells if c.row == row and c.notes.get("peers")), None)
        if cell is None:
            continue
        peers = cell.notes["peers"]
        best = (min if cell.notes.get("error") else max)(peers, key=lambda name: peers[name])
        rows.append([named(row, cell), best, peers[best]])
    if not rows:
        return []
    return [
        Table(
            title="Answers that need no model, on the same questions",
            columns=("task", "best of them", "score"),
            rows=rows,
        )
    ]


def _paper_stages() -> list[Table]:
    known = benchmarks()
    rows: list[list[TableCell]] = []
    columns: list[str] = []
    for name in _PAPER_ROWS:
        numbers = stage_numbers(known[name]) if name in known else {}
        if numbers:
            columns = columns or list(numbers)
            rows.append([known[name].name, *(numbers.get(column) for column in columns)])
    if not rows:
        return []
    return [
        Table(
            title="The report's Tables 4 and 6, in part",
            columns=("benchmark", *columns),
            rows=rows,
            notes=("The 12B model; text with reasoning on, pictures with reasoning off.",),
        )
    ]


def _panels(results: Results, columns: Sequence[str]) -> list[Panel]:
    groups: dict[str, list[str]] = {}
    for task in TASKS:
        cell = next((c for c in results.cells if c.row == task.id), None)
        if cell is not None:
            groups.setdefault(_group(cell), []).append(task.id)
    heads = [column.replace("stage", "S") for column in columns]
    return [
        Panel(
            title=f"{title}, %",
            axis="after stage",
            places=heads,
            curves=[curve(results, row, columns) for row in rows[:_MOST]],
            floor=0.0,
        )
        for title, rows in groups.items()
    ]


def _group(cell: Cell) -> str:
    if cell.notes.get("error"):
        return "Reading: errors"
    if cell.notes.get("text"):
        return "Text alone"
    if cell.row.startswith(("mini-video", "mini-naming", "mini-grounding")):
        return "Objects and video"
    if cell.row.startswith(("mini-pages", "mini-maths")):
        return "Pages read and reckoned"
    return "Forms, tables, charts"
