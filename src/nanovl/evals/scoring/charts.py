"""Turning tables written in Markdown, and charts written as mappings, into HTML tables.

Source: evaluation specification, section 6.10 (table, chart).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nanovl.evals.scoring.literals import fenced, literal

__all__ = ["chart_from_text", "chart_table", "markdown_table"]

_FENCE_CHARACTERS = "`markdown"
_ASSIGNMENT = re.compile(r"\s*\w+\s*=\s*")


def markdown_table(text: str) -> str:
    """HTML of a Markdown table.

    The characters of a code fence with its language are stripped from both ends (as characters,
    so that a table wrapped in such letters alone loses them), the second row (the rule) is
    dropped, and cells stand between bars.
    """
    text = text.strip(_FENCE_CHARACTERS).strip("`").strip()
    rows = text.split("\n")
    return _html(
        [_cell(cell) for cell in row.strip().split("|")[1:-1]] for row in rows[:1] + rows[2:]
    )


def chart_from_text(text: str) -> dict[Any, Any]:
    """The mapping in a reply; empty when there is none.

    The longest fenced block counts, else all of the reply; without an assignment before it,
    comments, and whatever follows the last closing brace.
    """
    blocks = fenced(text)
    content = max(blocks, key=len) if blocks else text.strip()
    content = content.strip()
    if found := _ASSIGNMENT.match(content):
        content = content[found.end() :]
    content = re.sub("#.*", "", content)
    content = content[: content.rfind("}") + 1] or content
    data = literal(content)
    return data if isinstance(data, dict) else {}


def chart_table(chart: Mapping[Any, Any]) -> str:
    """HTML of a chart: a row of key and value for each pair.

    A blank stands between any two characters of a value; nested mappings are values too. That is
    how the published metric writes them, and it makes a difference of digits count less.
    """
    return _html(
        [str(key), " ".join(value if isinstance(value, str) else str(value))]
        for key, value in chart.items()
    )


def _cell(text: str) -> str:
    return " " if text and not text.strip(" ") else text.strip()


def _html(rows: Iterable[Iterable[str]]) -> str:
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<html><body><table>{body}</table></body></html>".replace("\n", "")
