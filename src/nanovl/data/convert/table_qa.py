"""Tables with human questions or statements: WikiTableQuestions, WikiSQL, TabFact.

Items are read into `TableQA` first; here they become text records with the table as markdown in
the prompt, and whoever draws tables takes the same items from `table_items`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.markup import markdown_table
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.templates import question

__all__ = ["FORMATS", "Table", "TableQA", "convert_tables", "read_question", "read_tables"]

LABELS = ("true", "false")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; all rows are as long as the header, the title may be ""."""

    id: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Title and table as text."""
        table = markdown_table(self.header, self.rows)
        return f"**{self.title}**\n\n{table}" if self.title else table


@dataclass(frozen=True, kw_only=True)
class TableQA:
    """A question about a table, or a statement with answer "true" or "false"."""

    id: str
    table: Table
    question: str
    answers: tuple[str, ...]
    is_statement: bool = False


def read_tables(path: Path, options: ConvertOptions) -> dict[str, Table]:
    """All tables of a file by id; malformed ones go to `options.on_drop`."""
    tables = {}
    for item in read_lines(path, options):
        try:
            table = _table(item)
        except Malformed as error:
            options.on_drop(error.reason, item.where, error.message)
            continue
        tables[table.id] = table
    return tables


def _table(item: Item) -> Table:
    header = _cells(item.items("header"), "header")
    rows = []
    for index, row in enumerate(item.items("rows")):
        name = f"rows[{index}]"
        if not isinstance(row, list) or len(row) > len(header):
            raise Malformed("wrong_type", f"{name}: expected a list of <= {len(header)} cells")
        cells = _cells(row, name)
        rows.append(cells + ("",) * (len(header) - len(cells)))
    if not header or not rows:
        raise Malformed("empty", "the table has no header or no rows")
    return Table(
        id=item.text("table_id"), title=item.maybe("title"), header=header, rows=tuple(rows)
    )


def _cells(values: list[object], name: str) -> tuple[str, ...]:
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise Malformed("wrong_type", f"{name}[{index}]: got {value!r}, expected text")
    return tuple(str(v).strip() for v in values)


def read_question(item: Item, tables: dict[str, Table]) -> TableQA:
    """One line of a question or statement file.

    Raises:
        Malformed: A field is missing, the label is unknown or there is no such table.
    """
    table = tables.get(item.text("table_id"))
    if table is None:
        raise Malformed("bad_value", f"table_id: there is no table {item.text('table_id')!r}")
    if "statement" not in item.data:
        return TableQA(
            id=item.text("id"),
            table=table,
            question=item.text("question"),
            answers=item.texts("answers"),
        )
    label = item.text("label")
    if label not in LABELS:
        raise Malformed("bad_value", f"label: got {label!r}, expected true or false")
    return TableQA(
        id=item.text("id"),
        table=table,
        question=item.text("statement"),
        answers=(label,),
        is_statement=True,
    )


def convert_tables(
    source: Path, options: ConvertOptions, *, name: str, tables: str
) -> Iterator[Converted]:
    """Text records: the table stands in the prompt as markdown.

    Args:
        source: The question file or its folder; the table file lies beside it.
        options: `max_chars` bounds the markdown of a table.
        name: "wtq", "tabfact" or "wikisql".
        tables: Beginning of the table file's name.
    """
    path = find_file(source, options, f"{name}_{{split}}.jsonl.gz", f"{name}_{{split}}.jsonl")
    known = [path.with_name(f"{tables}_tables{s}") for s in (".jsonl.gz", ".jsonl")]
    table_file = next((p for p in known if p.is_file()), None)
    if table_file is None:
        raise InputError(f"{path}: there is no {known[0].name} beside it")
    by_id = read_tables(table_file, options)
    most = options.integer("max_chars", 8000)

    def make(item: Item) -> list[Converted]:
        asked = read_question(item, by_id)
        shown = asked.table.markdown()
        if len(shown) > most:
            raise Malformed("too_long", f"table {asked.table.id}: {len(shown)} > {most} characters")
        key = f"nanovl-{asked.id}"
        draw = rng(key, options.seed)
        if asked.is_statement:
            wording = question("fact_check", draw, table=shown, statement=asked.question)
        else:
            wording = question("table_question", draw, table=shown, question=asked.question)
        task = "fact_check" if asked.is_statement else "table_qa"
        metadata = {"table": asked.table.id}
        turn = Turn(question=wording, answer=", ".join(asked.answers), task=task)
        return records(options, id=key, turns=[turn], source=f"nanovl-{name}", metadata=metadata)

    return each(read_lines(path, options), make, options)


FORMATS = tuple(
    Format(
        name=f"nanovl-{name}",
        description=description,
        convert=partial(convert_tables, name=name, tables=tables),
        expects=f"{name}_<split>.jsonl.gz beside {tables}_tables.jsonl.gz, or their folder",
        licence=licence,
        options={"max_chars": "longest table in characters of markdown (default 8000)"},
    )
    for name, tables, licence, description in (
        ("wtq", "wtq", "CC BY-SA 4.0", "WikiTableQuestions, table as markdown in the prompt"),
        (
            "tabfact",
            "tabfact",
            "MIT repository; table text CC BY-SA",
            "TabFact statements, table as markdown in the prompt",
        ),
        (
            "wikisql",
            "tabfact",
            "MIT repository; WikiSQL itself BSD-3",
            "WikiSQL look-ups, table as markdown in the prompt",
        ),
    )
)
