"""Tables as text in several forms, captions, and where cells are.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from nanovl.data.convert.templates import box as box_tag, scale_box
from nanovl.synth.asking import box_answer, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.tables.drafts import named
from nanovl.synth.tables.forms import FORM_NAMES, forms_of, records, write
from nanovl.synth.tables.grid import Table
from nanovl.synth.tables.phrases import BANK
from nanovl.synth.tables.render import Rendered

__all__ = ["transcriptions"]


def transcriptions(
    table: Table,
    rendered: Rendered,
    rng: random.Random,
    count: int,
    media: tuple[str, ...],
    forms: Sequence[str],
) -> list[Task]:
    """The table as text, and where cells are.

    Args:
        table: What is asked about.
        rendered: Where its cells are.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pages shown.
        forms: Allowed forms.
    """
    possible = [f for f in forms_of(table) if f in forms]
    tasks = []
    for form in rng.sample(possible, min(count, len(possible))):
        text = write(table, form)
        question, template = worded(BANK, "write", rng, form=FORM_NAMES[form])
        if len(media) > 1:
            question += " It goes on over several pictures: write one table."
        if form == "json":
            question += " Use a list of objects, one per row, keyed by header, all values as text."
            if table.head > 1:
                question += ' Join the levels of a header by " / ".'
            answer, verifier = Answer(type="json", value=records(table)), "json_equal"
        elif form == "csv":
            answer, verifier = Answer(type="text", value=text), "edit_distance"
        else:
            answer, verifier = Answer(type="markup", value={"form": form, "text": text}), "teds"
        tasks.append(
            Task(
                task=f"table_to_{form}",
                question=question,
                answer_text=text,
                answer=answer,
                verifier=verifier,
                media=media,
                template=f"tables/{template}",
            )
        )
    if len(rendered.pages) == 1:
        tasks.append(_cell_task(table, rendered, rng, media))
        caption = rendered.pages[0].caption
        if caption and rng.random() < 0.2:
            question, template = worded(BANK, "title", rng)
            answer = Answer(type="text", value=caption[1], boxes=(caption[0],))
            tasks.append(
                Task(
                    task="table_caption",
                    question=question,
                    answer_text=caption[1],
                    answer=answer,
                    verifier="anls",
                    media=media,
                    template=f"tables/{template}",
                )
            )
    return tasks


def _cell_task(
    table: Table, rendered: Rendered, rng: random.Random, media: tuple[str, ...]
) -> Task:
    width, height = rendered.pages[0].image.size
    rows = [k for k, r in enumerate(table.rows) if r.kind == "data"]
    row, column = rng.choice(rows), rng.randrange(len(table.columns))
    cell = table.body(row, column)
    index = table.cells.index(cell)
    area = rendered.of(index).area
    name = named(table.columns[column])
    if cell.text and rng.random() < 0.4:
        tag = box_tag(scale_box(area, width, height))
        question, template = worded(BANK, "at-box", rng, box=tag)
        answer = Answer(type="text", value=cell.text, boxes=(area,))
        return Task(
            task="table_at_box", question=question, answer_text=cell.text, answer=answer,
            verifier="exact_ci", media=media, template=f"tables/{template}",
        )  # fmt: skip
    label = table.rows[row].label
    question, template = worded(BANK, "box", rng, column=name, row=label)
    text, answer = box_answer(f"{label}, {table.columns[column].path[-1]}", [area], width, height)
    return Task(
        task="table_box", question=question, answer_text=text, answer=answer, verifier="iou",
        media=media, template=f"tables/{template}",
    )  # fmt: skip
