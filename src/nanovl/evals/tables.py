"""A table that can be Markdown, HTML or JSON, and numbers as people read them.

Knows no benchmark and draws no picture.

Source: evaluation specification, section 11.2 (report).
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cell", "Table", "plain"]

Cell = str | int | float | None
# Figures such as "3.1 to 4.0" and "12/40" stay on one line.
_FIGURES = re.compile(r"[-+]?[\d.,]+(?:%|[*+]+)?(?:(?: to | of |/)[-+]?[\d.,]+)?").fullmatch


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

    @property
    def shown(self) -> list[int]:
        """Places of the columns that people see: those that are not empty in every row."""
        return [
            x
            for x in range(len(self.columns))
            if any(row[x] not in (None, "") for row in self.rows)
        ]

    def markdown(self, level: int = 3) -> str:
        """As Markdown, with its title as a heading; empty columns are left out."""
        parts = [f"{'#' * level} {_md(self.title)}", ""]
        if self.rows:
            parts.append("| " + " | ".join(_md(self.columns[x]) for x in self.shown) + " |")
            parts.append("|" + "---|" * len(self.shown))
        for row in self.rows:
            shown = (_md(plain(row[x], self.digits)) for x in self.shown)
            parts.append("| " + " | ".join(shown) + " |")
        if self.notes:
            parts += [""] if self.rows else []
            parts += [f"* {_md(note)}" for note in self.notes]
        return "\n".join(parts) + "\n"

    def page(self) -> str:
        """As HTML; empty columns are left out."""
        title = f"<h3>{html.escape(self.title)}</h3>\n"
        if not self.rows:
            return title + "".join(f"<p>{html.escape(n)}</p>\n" for n in self.notes)
        heads = "".join(f"<th>{_kept(self.columns[x])}</th>" for x in self.shown)
        body = []
        for y, row in enumerate(self.rows):
            cells = []
            for x in self.shown:
                cell = row[x]
                text = plain(cell, self.digits)
                kind = "n" if isinstance(cell, (int, float)) else "k" if _FIGURES(text) else ""
                names = " ".join(n for n in (kind, self.shades.get((y, x), "")) if n)
                mark = f' class="{names}"' if names else ""
                cells.append(f"<td{mark}>{_kept(text)}</td>")
            body.append("<tr>" + "".join(cells) + "</tr>")
        notes = "".join(f"<li>{html.escape(n)}</li>" for n in self.notes)
        return (
            f"{title}<div class=scroll><table>\n"
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


def _kept(text: str) -> str:
    """Escaped, with a number and its unit on one line."""
    return html.escape(re.sub(r" (?=[%\u2193])", "\u00a0", text))


def _md(text: str) -> str:
    """Text that cannot break out of a cell."""
    kept = " ".join(text.split())
    for mark in ("\\", "|", "<", ">", "*", "_", "`", "[", "]"):
        kept = kept.replace(mark, "\\" + mark)
    return kept
