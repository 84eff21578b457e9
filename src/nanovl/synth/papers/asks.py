"""Questions about printed papers: transcription, layout, looking things up, over one page or all.

Answers come from the plan where it knows them (captions, footnotes, references, tables, formulas)
and from the compiled page where only it does (boxes, order, what a page holds). Must not look at
pixels.

Source: data synthesis specification, sections 17 and 19.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import partial

from nanovl.data.convert.templates import scale_box
from nanovl.synth.base import Answer, Task
from nanovl.synth.papers.contents import (
    all_headings,
    authors,
    block_text,
    caption,
    caption_task,
    formula,
    note,
    page_headings,
    reference,
    reference_task,
    section,
    table,
    table_task,
    title,
)
from nanovl.synth.papers.pages import Sheet, Spot, without_marks
from nanovl.synth.papers.places import (
    class_at,
    count,
    count_all,
    order_of,
    what_follows,
    where,
    which_page,
)
from nanovl.synth.papers.view import MARGINAL, Made, View, all_pages, tables_of, task_of
from nanovl.synth.tex.export import export_page

__all__ = ["View", "document_tasks", "page_markdown", "page_tasks"]

_MOST = 8000  # characters of an answer


PageMaker = Callable[[View, Sheet], Made]


DocumentMaker = Callable[[View], Made]


def page_markdown(sheet: Sheet) -> str:
    """A page in reading order as Markdown; a paragraph that goes on in the next column is whole."""
    parts: list[str] = []
    open_chains: dict[str, int] = {}
    for block in sheet.blocks:
        if block["class"] in MARGINAL:
            continue
        text = without_marks(block["markdown"]).rstrip()
        chain = block.get("chain")
        if chain in open_chains and block["class"] != "Table":
            place = open_chains[chain]
            parts[place] = _joined(parts[place], text.lstrip())
            continue
        if chain:
            open_chains[chain] = len(parts)
        if text:
            parts.append(text)
    return "\n\n".join(parts)


def _joined(before: str, after: str) -> str:
    if re.search(r"[^\W\d_]-$", before) and after[:1].islower():
        return before[:-1] + after
    return f"{before} {after}"


def _page(view: View, sheet: Sheet) -> Made:
    text = page_markdown(sheet)
    if len(text) < 20:
        return None
    answer = Answer(type="markup", value=text)
    return task_of(
        view, [sheet.number - 1], "paper_markdown", "page", answer, text, "edit_distance"
    )


def _layout(view: View, sheet: Sheet) -> Made:
    value = [
        {
            "class": b["class"],
            "box": list(scale_box(b["bbox"], sheet.width, sheet.height)),
        }
        for b in sheet.blocks
    ]
    text = json.dumps(value, ensure_ascii=False)
    answer = Answer(type="json", value=value, tolerance=0.02)
    return task_of(view, [sheet.number - 1], "paper_layout", "layout", answer, text, "json_equal")


def _parsed(view: View, sheet: Sheet) -> Made:
    text = str(export_page(sheet.page, "parse"))
    answer = Answer(type="markup", value=text)
    return task_of(view, [sheet.number - 1], "paper_parse", "parse", answer, text, "edit_distance")


def _table_all(view: View) -> Made:
    tables = tables_of(view, all_pages(view))
    return table_task(view, all_pages(view), *view.rng.choice(tables)) if tables else None


def _caption_all(view: View) -> Made:
    return caption_task(view, all_pages(view))


def _reference_all(view: View) -> Made:
    return reference_task(view, all_pages(view))


_PAGE: tuple[tuple[PageMaker, float], ...] = (
    (_page, 5), (_layout, 1), (_parsed, 1), (block_text, 2), (formula, 2), (table, 3), (caption, 1),
    (note, 1), (reference, 1), (page_headings, 1), (title, 1), (authors, 1), (where, 1.5),
    (class_at, 0.7), (order_of, 0.8), (what_follows, 0.8), (count, 0.7),
)  # fmt: skip


_DOCUMENT: tuple[tuple[DocumentMaker, float], ...] = (
    (all_headings, 1.5), (section, 2), (which_page, 2), (count_all, 1), (_table_all, 1),
    (_caption_all, 1), (_reference_all, 1),
)  # fmt: skip


Asked = list[tuple[Task, tuple[Spot, ...]]]


def page_tasks(view: View, sheet: Sheet, count: int) -> Asked:
    """Tasks about one page, each kind at most once.

    Returns:
        Tasks with the blocks their answers come from.
    """
    return _drawn([(partial(m, view, sheet), w) for m, w in _PAGE], view.rng, count)


def document_tasks(view: View, count: int) -> Asked:
    """Tasks about all pages of a paper with more than one."""
    if len(view.printed.sheets) < 2:
        return []
    return _drawn([(partial(m, view), w) for m, w in _DOCUMENT], view.rng, count)


def _drawn(pool: list[tuple[Callable[[], Made], float]], rng: random.Random, count: int) -> Asked:
    made: Asked = []
    while pool and len(made) < count:
        place = rng.choices(range(len(pool)), [w for _, w in pool])[0]
        maker, _ = pool.pop(place)
        found = maker()
        if found is not None and found[0].answer_text and len(found[0].answer_text) <= _MOST:
            made.append(found)
    return made
