"""Questions about what a paper says: blocks, formulas, tables, captions, notes, headings.

Answers come from the plan where it knows them. Must not look at pixels.

Source: data synthesis specification, sections 17 and 19.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nanovl.synth.base import Answer
from nanovl.synth.papers.pages import Sheet, Spot, letters, without_marks
from nanovl.synth.papers.plan import Tabular
from nanovl.synth.papers.view import (
    PROSE,
    Made,
    View,
    all_pages,
    box_mark,
    captions_of,
    heading_text,
    label_of,
    quote_of,
    said,
    spot_of,
    tables_of,
    task_of,
)
from nanovl.synth.tables.forms import FORM_NAMES, forms_of, write

__all__ = [
    "all_headings",
    "authors",
    "block_text",
    "caption",
    "caption_task",
    "formula",
    "note",
    "page_headings",
    "reference",
    "reference_task",
    "section",
    "table",
    "table_task",
    "title",
]

_WRITERS = re.compile(r"([A-Z]\. \w+(?: and [A-Z]\. \w+)*)\. ")


def block_text(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] in (*PROSE, "Code") and len(b["text"]) > 3]
    if not blocks:
        return None
    block = view.rng.choice(blocks)
    spot = spot_of(sheet, block)
    text = without_marks(block["markdown"]).strip()
    return task_of(
        view, [spot.page], "paper_block", "block", said(text, [spot]), text, "edit_distance",
        [spot], box=box_mark(sheet, spot.box),
    )  # fmt: skip


def formula(view: View, sheet: Sheet) -> Made:
    spots = [
        spot_of(sheet, b) for b in sheet.blocks if b["class"] == "Formula" and b.get("is_source")
    ]
    if not spots:
        return None
    spot = view.rng.choice(spots)
    text = spot.block["latex"]
    answer = Answer(type="markup", value=text, boxes=(spot.box,))
    numbers = [b.get("number") for b in sheet.blocks if b.get("number")]
    number = spot.block.get("number", "")
    is_numbered = re.fullmatch(r"\([\d.]+\)", number) and numbers.count(number) == 1
    slots: dict[str, object] = {"box": box_mark(sheet, spot.box)}
    bank = "formula_box"
    if is_numbered and view.rng.random() < 0.6:
        bank, slots = "formula_number", {"number": number}
    return task_of(
        view, [spot.page], "paper_formula", bank, answer, text, "edit_distance", [spot], **slots
    )


def table(view: View, sheet: Sheet) -> Made:
    tables = tables_of(view, [sheet.number - 1])
    if not tables:
        return None
    return table_task(view, [sheet.number - 1], *view.rng.choice(tables))


def table_task(view: View, pages: Sequence[int], block: Tabular, caption: Spot, spot: Spot) -> Made:
    forms = [f for f in ("latex", "html", "otsl", "markdown") if f in forms_of(block.table)]
    form = view.rng.choice(forms)
    label = label_of(caption, block.caption)
    if len(pages) == 1 and (not label or view.rng.random() < 0.5):
        what = f"the table at {box_mark(view.printed.sheets[spot.page], spot.box)}"
    elif label:
        what = label
    else:
        return None
    text = write(block.table, form)
    answer = Answer(type="markup", value={"form": form, "text": text}, boxes=(spot.box,))
    return task_of(
        view, pages, f"paper_table_{form}", "table", answer, text, "teds", [spot], what=what,
        form=FORM_NAMES[form],
    )  # fmt: skip


def caption(view: View, sheet: Sheet) -> Made:
    return caption_task(view, [sheet.number - 1])


def caption_task(view: View, pages: Sequence[int]) -> Made:
    captions = captions_of(view, pages)
    if not captions:
        return None
    label, text, spot, _ = view.rng.choice(captions)
    return task_of(
        view, pages, "paper_caption", "caption", said(text, [spot]), text, "edit_distance",
        [spot], what=label,
    )  # fmt: skip


def note(view: View, sheet: Sheet) -> Made:
    notes = view.printed.paper.notes()
    here = []
    for place, spot in view.printed.notes.items():
        mark = re.match(r"\s*(\d+)", without_marks(spot.block["text"]))
        if spot.page == sheet.number - 1 and mark:
            here.append((mark[1], notes[place], spot))
    marks = [m for m, _, _ in here]
    here = [entry for entry in here if marks.count(entry[0]) == 1]
    if not here:
        return None
    number, text, spot = view.rng.choice(here)
    return task_of(
        view, [spot.page], "paper_footnote", "note", said(text, [spot]), text, "edit_distance",
        [spot], number=number,
    )  # fmt: skip


def reference(view: View, sheet: Sheet) -> Made:
    return reference_task(view, [sheet.number - 1])


def reference_task(view: View, pages: Sequence[int]) -> Made:
    entries = view.printed.paper.references
    here = [
        (n, s)
        for n, s in view.printed.references.items()
        if s.page in pages and not s.block.get("chain")
    ]
    if not here:
        return None
    number, spot = view.rng.choice(here)
    text = entries[number - 1]
    year, writers = re.search(r"\((\d{4})\)\.$", text), _WRITERS.match(text)
    who = writers[1] if writers else ""
    asked = [e for e in entries if e.startswith(f"{who}. ") and year and year[0] in e]
    if len(asked) == 1 and year and who and view.rng.random() < 0.4:
        answer = Answer(type="number", value=number, boxes=(spot.box,))
        return task_of(
            view, pages, "paper_reference_number", "who", answer, str(number), "number", [spot],
            names=who, year=year[1],
        )  # fmt: skip
    return task_of(
        view, pages, "paper_reference", "reference", said(text, [spot]), text, "edit_distance",
        [spot], number=number,
    )  # fmt: skip


def page_headings(view: View, sheet: Sheet) -> Made:
    spots = [spot_of(sheet, b) for b in sheet.blocks if b["class"] == "Section-header"]
    if len(spots) < 2:
        return None
    text = "\n".join(heading_text(s) for s in spots)
    return task_of(
        view, [sheet.number - 1], "paper_headings", "headings", said(text, spots), text,
        "edit_distance", spots,
    )  # fmt: skip


def all_headings(view: View) -> Made:
    spots = [
        spot_of(sheet, b)
        for sheet in view.printed.sheets
        for b in sheet.blocks
        if b["class"] == "Section-header"
    ]
    if len(spots) < 3 or view.printed.dress.kind.name == "beamer":
        return None
    text = "\n".join(heading_text(s) for s in spots)
    return task_of(
        view, all_pages(view), "paper_outline", "headings_all",
        Answer(type="text", value=text), text, "edit_distance", spots,
    )  # fmt: skip


def section(view: View) -> Made:
    quote = quote_of(view)
    if quote is None or view.printed.dress.kind.name == "beamer":
        return None
    text, spot = quote
    before: Spot | None = None
    for sheet in view.printed.sheets:
        for block in sheet.blocks:
            if block is spot.block:
                if before is None:
                    return None
                name = heading_text(before)
                return task_of(
                    view, all_pages(view), "paper_which_section", "which_section", said(name), name,
                    "edit_distance", [before, spot], text=text,
                )  # fmt: skip
            if block["class"] == "Section-header":
                before = spot_of(sheet, block)
    return None


def title(view: View, sheet: Sheet) -> Made:
    spot = view.printed.title
    if spot is None or spot.page != sheet.number - 1:
        return None
    text = view.printed.paper.title
    return task_of(
        view,
        [spot.page],
        "paper_title",
        "title",
        said(text, [spot]),
        text,
        "edit_distance",
        [spot],
    )


def authors(view: View, sheet: Sheet) -> Made:
    names = view.printed.paper.authors
    if sheet.number != 1 or view.printed.title is None:
        return None
    whole = letters(" ".join(b["text"] for b in sheet.blocks))
    if not all(letters(name) in whole for name in names):
        return None
    answer = Answer(type="list", value=list(names))
    return task_of(view, [0], "paper_authors", "authors", answer, ", ".join(names), "set")
