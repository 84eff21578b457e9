"""Tables as text: HTML, OTSL, LaTeX, markdown where it can say the table, CSV and JSON records.

HTML, LaTeX and markdown are written as the converters write them, so that all training data has
one style; OTSL also tells row headers and section rows.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

import csv
import html
import io
import json

from nanovl.core.errors import InputError
from nanovl.data.convert.grids import write_grid
from nanovl.synth.tables.grid import Table

__all__ = ["FORM_NAMES", "forms_of", "records", "write"]

FORM_NAMES = {
    "html": "HTML",
    "otsl": "OTSL",
    "latex": "LaTeX",
    "markdown": "Markdown",
    "csv": "CSV",
    "json": "JSON",
}


def forms_of(table: Table) -> tuple[str, ...]:
    """The forms that can say a table."""
    found = ["html", "otsl", "latex"]
    if not table.has_spans and table.head == 1:
        found.append("markdown")
    if all(c.columns == 1 for c in table.cells if c.role == "data"):
        found += ["csv", "json"]
    return tuple(found)


def write(table: Table, form: str) -> str:
    """A table as text.

    Args:
        table: Any table.
        form: One of `forms_of(table)`.

    Raises:
        InputError: The form cannot say this table.
    """
    if form not in forms_of(table):
        raise InputError(f"table: form {form!r} cannot say it, {forms_of(table)} can")
    if form == "otsl":
        return _otsl(table)
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        found = records(table)
        writer.writerow(list(found[0]))
        writer.writerows([list(row.values()) for row in found])
        return out.getvalue().rstrip("\n")
    if form == "json":
        return json.dumps(records(table), ensure_ascii=False, indent=1)
    return write_grid(table.grid(), form)


def records(table: Table) -> list[dict[str, str]]:
    """The rows of a table keyed by header; levels of headers are joined by " / ".

    Titles of sections become a column "Group".
    """
    names = [" / ".join(c.path) for c in table.columns]
    has_groups = any(r.group for r in table.rows)
    found = []
    for r, row in enumerate(table.rows):
        if row.kind == "section":
            continue
        record = {"Group": row.group} if has_groups else {}
        record[table.corner] = row.label
        for c, name in enumerate(names):
            record[name] = table.body(r, c).text
        found.append(record)
    return found


_EMPTY = {"head": "<ched>", "stub": "<rhed>", "section": "<srow>", "data": "<ecel>"}


def _otsl(table: Table) -> str:
    lines = []
    owner = {}
    for cell in table.cells:
        for r in range(cell.row, cell.row + cell.rows):
            for c in range(cell.column, cell.column + cell.columns):
                owner[r, c] = cell
    for r in range(table.height):
        line = ""
        for c in range(table.width):
            cell = owner[r, c]
            if (r, c) == (cell.row, cell.column):
                token = _EMPTY[cell.role]
                if cell.text and cell.role == "data":
                    token = "<fcel>"
                line += token + html.escape(cell.text, quote=False)
            else:
                line += "<lcel>" if r == cell.row else "<ucel>" if c == cell.column else "<xcel>"
        lines.append(f"{line}<nl>")
    return "\n".join(lines)
