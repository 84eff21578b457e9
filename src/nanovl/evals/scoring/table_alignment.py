"""RD-TableBench: rows and cells of two tables aligned as sequences are, with free ends.

The number is not a share of right cells: a table of the right shape whose cells are all wrong
scores about 0.71. TEDS and the F-measure of exact cells are given beside it.

Source: evaluation specification, section 6.24; the alignment is that of Needleman and Wunsch
(1970).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanovl.core.errors import InputError, missing_extra
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile, distances
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.teds import teds, wrap_table

__all__ = [
    "TableAlignment",
    "cell_score",
    "create_table_alignment_similarity",
    "exact_cell_f1",
    "grid_from_html",
    "table_similarity",
    "table_text",
]

ROW_MATCH = 5.0
ROW_GAP = -3.0
CELL_GAP = -1.0
MAX_SPAN = 1000
"""Columns a cell may span, as in browsers; a reply must not ask for more memory than there is."""

Grid = list[list[str]]
Floats = npt.NDArray[np.float32]


def table_text(reply: str) -> str | None:
    """From the first `<table` to the first `</table>` after it, or to the end; None without."""
    start = reply.find("<table")
    if start < 0:
        return None
    end = reply.find("</table>", start)
    return reply[start:] if end < 0 else reply[start : end + len("</table>")]


def grid_from_html(text: str) -> Grid:
    """Cells of all rows in a text, those of nested tables too, as a rectangle.

    A cell that spans several places stands in each of them; short rows are filled with empty
    cells.

    Raises:
        BackendError: The package lxml is missing.
        InputError: The text is no markup, or a span is no whole number.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise missing_extra("lxml", "evals", "reading HTML tables") from error
    try:
        document = etree.HTML(text, parser=etree.HTMLParser()) if text.strip() else None
    except (etree.LxmlError, ValueError) as error:
        raise InputError(f"HTML cannot be read: {error}; expected a table") from error
    if document is None:
        return []
    rows: Grid = []
    # Column to the text that comes down from above, and the rows it still fills.
    hanging: dict[int, tuple[str, int]] = {}
    for element in document.xpath("//tr"):
        row: list[str] = []
        _hang(row, hanging)
        for cell in element.xpath("td|th"):
            _hang(row, hanging)
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            content = "".join(cell.itertext()).strip()
            for _ in range(min(across, MAX_SPAN)):
                if down > 1:
                    hanging[len(row)] = (content, down - 1)
                row.append(content)
        _hang(row, hanging)
        rows.append(row)
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def cell_score(a: str, b: str) -> float:
    """From -1 (nothing in common) to 1 (equal), linear in the edit distance.

    White space and hyphens do not count.
    """
    return float(_cell_scores([_normal(a)], [_normal(b)])[0, 0])


def table_similarity(truth: Grid, prediction: Grid) -> float:
    """Score of the best alignment of the rows over the best one possible, from 0 to 1.

    Rows missing or added at either end cost nothing by themselves; rows before the first match
    count in the denominator, rows behind the last do not.
    """
    empty = [not grid or not grid[0] for grid in (truth, prediction)]
    if any(empty):
        return float(all(empty))
    rows = _row_scores(truth, prediction)
    end, total, steps = _align_rows(rows)
    aligned = 0
    i, j = end
    while i > 0 or j > 0:
        aligned += 1
        step = "left" if i == 0 else "up" if j == 0 else steps[i][j]
        i -= step != "left"
        j -= step != "up"
    if aligned == 0:
        return 0.0
    return max(0.0, min(1.0, total / (aligned * (ROW_MATCH + len(truth[0])))))


def exact_cell_f1(truth: Grid, prediction: Grid) -> float:
    """F-measure of the cells of two tables wherever they stand; empty ones are left out.

    White space and hyphens do not count. 1 when neither has a cell with text.
    """
    bags = [Counter(_normal(cell) for row in grid for cell in row) for grid in (truth, prediction)]
    for bag in bags:
        bag.pop("", None)
    total = bags[0].total() + bags[1].total()
    return 2 * (bags[0] & bags[1]).total() / total if total else 1.0


@dataclass(frozen=True)
class TableAlignment:
    """Alignment similarity of the first HTML table in a reply.

    Attributes:
        name: As in the benchmark list.
    """

    name: str = "table_alignment_similarity"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Similarity; 0, and counted, when the reply has no table that can be read.

        Raises:
            BackendError: A package is missing.
            InputError: The reference is no table.
        """
        truth_text = sample.answer if isinstance(sample.answer, str) else ""
        try:
            truth = grid_from_html(truth_text)
        except InputError:
            truth = []
        if not truth:
            raise InputError(
                f"sample '{sample.id}': the reference is no HTML table; got "
                f"{str(sample.answer)[:60]!r}. Check the ground truth of the benchmark"
            )
        text = table_text(response.text)
        if text is None:
            return _nothing("no table in the reply")
        try:
            grid = grid_from_html(text)
        except InputError as error:
            return _nothing(str(error))
        wrapped = (wrap_table(table_text(truth_text) or truth_text), wrap_table(text))
        return Verdict(
            value=table_similarity(truth, grid),
            extracted=text,
            detail={
                "parsed": True,
                "teds": teds(*wrapped),
                "cell_f1": exact_cell_f1(truth, grid),
            },
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over all samples; TEDS, exact cells and the number of unreadable replies beside it.

        Raises:
            InputError: There are no samples.
        """
        result = mean_result(scored, self.name)
        details = [item.verdict.detail for item in scored]
        beside = {
            name: sum(detail.get(name, 0.0) for detail in details) / len(scored)
            for name in ("teds", "cell_f1")
        }
        unreadable = sum(detail.get("parsed") is not True for detail in details)
        return Result(
            score=result.score,
            num_samples=result.num_samples,
            groups=result.groups,
            parts={**result.parts, **beside, "unreadable": unreadable},
            unscored=result.unscored,
        )


def create_table_alignment_similarity(profile: str = "default") -> TableAlignment:
    """Alignment similarity of tables; the same in all profiles."""
    check_profile(profile, "table_alignment_similarity")
    return TableAlignment()


def _nothing(reason: str) -> Verdict:
    return Verdict(value=0.0, detail={"parsed": False, "reason": reason})


def _span(cell: Any, name: str) -> int:
    text = cell.get(name, "1")
    try:
        return int(text)
    except ValueError as error:
        raise InputError(
            f"HTML cannot be read: {name} is {text!r}; expected a whole number"
        ) from error


def _hang(row: list[str], hanging: dict[int, tuple[str, int]]) -> None:
    """Put the cells that come down from above into a row, as far as there are some."""
    while len(row) in hanging:
        column = len(row)
        content, left = hanging.pop(column)
        if left > 1:
            hanging[column] = (content, left - 1)
        row.append(content)


def _normal(cell: str) -> str:
    return "".join(cell.replace("-", "").split())


def _cell_scores(a: Sequence[str], b: Sequence[str]) -> Floats:
    """Scores of every cell of one list with every cell of another."""
    lengths = [np.array([len(text) for text in texts]) for texts in (a, b)]
    longest = np.maximum(np.maximum(lengths[0][:, None], lengths[1][None, :]), 1)
    likeness = 1.0 - distances(a, b) / longest
    return np.asarray(-1 + likeness * 2, dtype=np.float32)


def _row_scores(truth: Grid, prediction: Grid) -> Floats:
    """Scores of every row with every row: the best alignment of their cells, plus 5.

    All pairs of rows are aligned at once, one pair of columns after the other.
    """
    columns = [
        [[_normal(row[k]) for row in grid] for k in range(len(grid[0]))]
        for grid in (truth, prediction)
    ]
    shape = (len(truth), len(prediction))
    zero = np.zeros(shape, np.float32)
    above = [zero] * (len(columns[1]) + 1)
    best = zero
    for i, left in enumerate(columns[0]):
        here = [zero]
        for j, right in enumerate(columns[1]):
            matched = above[j] + _cell_scores(left, right)
            gap = np.maximum(above[j + 1], here[j]) + np.float32(CELL_GAP)
            here.append(np.maximum(matched, gap))
        above = here
        # The alignment may end in the last column, or in any column of the last row.
        best = here[-1] if i == 0 else np.maximum(best, here[-1])
    for last in above:
        best = np.maximum(best, last)
    return np.asarray(np.maximum(best, zero) + np.float32(ROW_MATCH))


def _align_rows(scores: Floats) -> tuple[tuple[int, int], float, list[list[str]]]:
    """Where the best alignment of rows ends, its score, and the last step to each pair."""
    m, n = scores.shape
    cost = np.zeros((m + 1, n + 1), np.float32)
    steps = [[""] * (n + 1) for _ in range(m + 1)]
    gap = np.float32(ROW_GAP)
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            choices = (
                (cost[i - 1, j - 1] + scores[i - 1, j - 1], "diagonal"),
                (cost[i - 1, j] + gap, "up"),
                (cost[i, j - 1] + gap, "left"),
            )
            # Of equal ones the first counts.
            cost[i, j], steps[i][j] = max(choices, key=lambda choice: choice[0])
    end, total = (m, n), cost[m, n]
    # First all rows with the last column, then all columns with the last row.
    if cost[:, n].max() > total:
        end, total = (int(cost[:, n].argmax()), n), cost[:, n].max()
    if cost[m, :].max() > total:
        end, total = (m, int(cost[m, :].argmax())), cost[m, :].max()
    return end, float(total), steps
