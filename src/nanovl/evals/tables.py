"""A table that can be Markdown, HTML or JSON, and numbers as people read them.

Knows no benchmark and draws no picture.

Source: evaluation specification, section 11.2 (report).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cell", "Table", "plain", "points"]

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows and columns.

    Attributes:
        title: Above it.
        columns: Heads.
        rows: Cells; None is an empty one, numbers are shown with `digits`.
        notes: Below it.
        digits: Decimals of numbers that are no whole ones.
        shades: Colours of cells, by row and column: "yellow", "red", "good", "bad".
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    digits: int = 1
    shades: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}: {len(row)} cells under {len(self.columns)} heads"
                )

    def markdown(self, level: int = 3) -> str:
        """As Markdown, with its title as a heading."""
        parts = [f"{'#' * level} {_md(self.title)}", ""]
        parts.append("| " + " | ".join(map(_md, self.columns)) + " |")
        parts.append("|" + "---|" * len(self.columns))
        for row in self.rows:
            parts.append("| " + " | ".join(_md(plain(c, self.digits)) for c in row) + " |")
        if self.notes:
            parts.append("")
            parts += [f"* {_md(note)}" for note in self.notes]
        return "\n".join(parts) + "\n"

    def page(self) -> str:
        """As HTML."""
        heads = "".join(f"<th>{html.escape(c)}</th>" for c in self.columns)
        body = []
        for y, row in enumerate(self.rows):
            cells = []
            for x, cell in enumerate(row):
                shade = self.shades.get((y, x), "")
                names = " ".join(
                    n for n in ("n" if isinstance(cell, (int, float)) else "", shade) if n
                )
                mark = f' class="{names}"' if names else ""
                cells.append(f"<td{mark}>{html.escape(plain(cell, self.digits))}</td>")
            body.append("<tr>" + "".join(cells) + "</tr>")
        notes = "".join(f"<li>{html.escape(n)}</li>" for n in self.notes)
        return (
            f"<h3>{html.escape(self.title)}</h3>\n<div class=scroll><table>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table>"
            "</div>\n" + (f"<ul class=notes>{notes}</ul>\n" if notes else "")
        )

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
        }


def plain(cell: Cell, digits: int = 1) -> str:
    """A cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:,.{digits}f}" if math.isfinite(cell) else str(cell)
    return f"{cell:,}" if isinstance(cell, int) else cell


def points(difference: float) -> str:
    """A difference with its sign."""
    return f"{difference:+.1f}"


def _md(text: str) -> str:
    """Text that cannot break out of a cell."""
    kept = " ".join(text.split())
    for mark in ("\\", "|", "<", ">", "*", "_", "`", "[", "]"):
        kept = kept.replace(mark, "\\" + mark)
    return kept
