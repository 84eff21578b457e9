"""Questions that every table on a page can answer: other forms of it, cells, counts, places.

Must not look at pixels.

Source: data synthesis specification, sections 6 and 17.3.
"""

from __future__ import annotations

from collections.abc import Callable

from nanovl.data.convert.grids import FORMS
from nanovl.data.convert.templates import question
from nanovl.synth.asking import box_answer, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.documents.asks import MOST_CHARACTERS, Ask, is_large, text_task
from nanovl.synth.documents.draw import InkBlock, InkCell
from nanovl.synth.documents.truth import TABLE_FORMS, table_of, write_table
from nanovl.synth.documents.wordings import BANK

__all__ = ["table_tasks"]

_CSV = "CSV with commas, fields quoted where needed"


def table_tasks(ask: Ask, block: InkBlock, count: int) -> list[Task]:
    """Tasks about a table of a page: other forms of it, cells, counts.

    Args:
        ask: The page.
        block: A table that stands on the page as a whole.
        count: How many.
    """
    pool: list[Callable[[Ask, InkBlock], Task | None]] = [
        _table_form,
        _table_form,
        _cell,
        _cell,
        _cell_box,
        _row_count,
        _column_count,
        _header,
    ]
    made: list[Task] = []
    while pool and len(made) < count:
        task = pool.pop(ask.rng.randrange(len(pool)))(ask, block)
        known = {(t.task, t.template) for t in made}
        if (
            task is not None
            and len(task.answer_text) <= MOST_CHARACTERS
            and (task.task, task.template) not in known
        ):
            made.append(task)
    return made


def _table_form(ask: Ask, block: InkBlock) -> Task | None:
    form = ask.rng.choice(TABLE_FORMS)
    text = write_table(table_of(block), form)
    asked = question("table_extraction", ask.rng, format=_CSV if form == "csv" else FORMS[form])
    if form == "csv":
        return text_task("table_csv", asked, text, [ask.media], kind="markup")
    return Task(
        task=f"table_{form}",
        question=asked[0],
        answer_text=text,
        answer=Answer(type="markup", value={"form": form, "text": text}, boxes=(block.box,)),
        verifier="teds",
        media=(ask.media,),
        template=asked[1],
    )


def _addressed(ask: Ask, block: InkBlock) -> tuple[InkCell, str, str] | None:
    """A filled cell with the unique beginning of its row and the unique head of its column."""
    table = table_of(block)
    first = [row[0] for row in table.rows]
    rows = [i for i, text in enumerate(first) if text and first.count(text) == 1]
    columns = [
        i for i, text in enumerate(table.header) if i and text and table.header.count(text) == 1
    ]
    body = [cell for cell in block.cells if cell.row >= 0]
    numbers = sorted({cell.row for cell in body})
    pool = [
        cell
        for cell in body
        if cell.column in columns and numbers.index(cell.row) in rows and cell.text.strip()
    ]
    if not pool:
        return None
    cell = ask.rng.choice(pool)
    row, column = first[numbers.index(cell.row)], table.header[cell.column]
    return None if '"' in row + column else (cell, row, column)


def _cell(ask: Ask, block: InkBlock) -> Task | None:
    found = _addressed(ask, block)
    if found is None or found[0].ink is None:
        return None
    cell, row, column = found
    asked = worded(BANK, "cell", ask.rng, row=row, column=column)
    return text_task(
        "table_lookup",
        asked,
        " ".join(cell.text.split()),
        [ask.media],
        verifier="exact_ci",
        boxes=(cell.ink,) if cell.ink else (),
    )


def _cell_box(ask: Ask, block: InkBlock) -> Task | None:
    found = _addressed(ask, block)
    if found is None or found[0].ink is None or not is_large(found[0].ink):
        return None
    cell, row, column = found
    assert cell.ink is not None
    shown, answer = box_answer(" ".join(cell.text.split()), [cell.ink], *ask.size)
    asked = worded(BANK, "cell_box", ask.rng, row=row, column=column)
    return Task(
        task="table_grounding",
        question=asked[0],
        answer_text=shown,
        answer=answer,
        verifier="iou",
        media=(ask.media,),
        template=asked[1],
    )


def _number(ask: Ask, kind: str, value: int) -> Task:
    asked = worded(BANK, kind, ask.rng)
    return Task(
        task="table_count",
        question=asked[0],
        answer_text=str(value),
        answer=Answer(type="number", value=value),
        verifier="number",
        media=(ask.media,),
        template=asked[1],
    )


def _row_count(ask: Ask, block: InkBlock) -> Task | None:
    return _number(ask, "row_count", block.rows[1] - block.rows[0])


def _column_count(ask: Ask, block: InkBlock) -> Task | None:
    return _number(ask, "column_count", len(table_of(block).header))


def _header(ask: Ask, block: InkBlock) -> Task | None:
    text = "\n".join(t or "(empty)" for t in table_of(block).header)
    if "(empty)" in text:
        return None
    return text_task("table_header", worded(BANK, "header", ask.rng), text, [ask.media])
