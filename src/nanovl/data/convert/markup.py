"""Tables as text and other small forms of answers.

Markdown cells have no line breaks and their bars are escaped, so that a table reads back cell for
cell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["is_number", "markdown_table"]

_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown; short rows are filled up with empty cells."""
    width = max(len(header), *(len(row) for row in rows)) if rows else len(header)
    lines = [_row(header, width), "|" + " --- |" * width]
    return "\n".join([*lines, *(_row(row, width) for row in rows)])


def _row(cells: Sequence[str], width: int) -> str:
    shown = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return "| " + " | ".join(shown + [""] * (width - len(shown))) + " |"


def is_number(text: str) -> bool:
    """Whether an answer is a plain number (digits, sign, thousands commas, decimal point)."""
    return any(c.isdigit() for c in text) and _NUMBER.fullmatch(text.strip()) is not None
