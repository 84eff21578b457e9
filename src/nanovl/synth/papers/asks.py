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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from nanovl.data.convert.templates import box as box_markup, scale_box
from nanovl.synth.asking import box_answer, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.papers.pages import Printed, Sheet, Spot, letters, without_marks
from nanovl.synth.papers.plan import Figure, Tabular
from nanovl.synth.papers.wordings import BANK
from nanovl.synth.tables.forms import FORM_NAMES, forms_of, write
from nanovl.synth.tex.export import export_page

__all__ = ["View", "document_tasks", "page_markdown", "page_tasks"]

_MARGINAL = ("Page-header", "Page-footer")
_MOST = 8000  # characters of an answer
_WRITERS = re.compile(r"([A-Z]\. \w+(?: and [A-Z]\. \w+)*)\. ")
_PROSE = ("Text", "List-item", "Section-header", "Footnote", "Bibliography", "Caption")
_NAMES = {
    "Picture": "pictures", "Table": "tables", "Formula": "display formulas",
    "Section-header": "section headings", "Footnote": "footnotes",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """A printed paper that is asked about.

    Attributes:
        printed: The paper.
        media: Names of its pictures, one a page.
        rng: The generator of the stream "qa".
    """

    printed: Printed
    media: tuple[str, ...]
    rng: random.Random


Made = tuple[Task, tuple[Spot, ...]] | None
PageMaker = Callable[[View, Sheet], Made]
DocumentMaker = Callable[[View], Made]


def _task(
    view: View,
    pages: Sequence[int],
    kind: str,
    bank: str,
    answer: Answer,
    text: str,
    verifier: str,
    spots: Sequence[Spot] = (),
    /,
    **slots: object,
) -> Made:
    question, template = worded(BANK, bank, view.rng, **slots)
    task = Task(
        task=kind,
        question=question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        media=tuple(view.media[p] for p in pages),
        template=f"papers/{template}",
    )
    return task, tuple(spots)


def _said(value: str, spots: Sequence[Spot] = ()) -> Answer:
    return Answer(type="text", value=value, boxes=tuple(s.box for s in spots))


def _mark(sheet: Sheet, box: Box) -> str:
    return box_markup(scale_box(box, sheet.width, sheet.height))


def _spot(sheet: Sheet, block: Mapping[str, Any]) -> Spot:
    return Spot(page=sheet.number - 1, block=block)


def _all(view: View) -> tuple[int, ...]:
    return tuple(range(len(view.printed.sheets)))


# -- whole pages ---------------------------------------------------------------------------------


def page_markdown(sheet: Sheet) -> str:
    """A page in reading order as Markdown; a paragraph that goes on in the next column is whole."""
    parts: list[str] = []
    open_chains: dict[str, int] = {}
    for block in sheet.blocks:
        if block["class"] in _MARGINAL:
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
    return _task(view, [sheet.number - 1], "paper_markdown", "page", answer, text, "edit_distance")


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
    return _task(view, [sheet.number - 1], "paper_layout", "layout", answer, text, "json_equal")


def _parsed(view: View, sheet: Sheet) -> Made:
    text = str(export_page(sheet.page, "parse"))
    answer = Answer(type="markup", value=text)
    return _task(view, [sheet.number - 1], "paper_parse", "parse", answer, text, "edit_distance")


# -- blocks --------------------------------------------------------------------------------------


def _block(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] in (*_PROSE, "Code") and len(b["text"]) > 3]
    if not blocks:
        return None
    block = view.rng.choice(blocks)
    spot = _spot(sheet, block)
    text = without_marks(block["markdown"]).strip()
    return _task(
        view, [spot.page], "paper_block", "block", _said(text, [spot]), text, "edit_distance",
        [spot], box=_mark(sheet, spot.box),
    )  # fmt: skip


def _formula(view: View, sheet: Sheet) -> Made:
    spots = [
        _spot(sheet, b) for b in sheet.blocks if b["class"] == "Formula" and b.get("is_source")
    ]
    if not spots:
        return None
    spot = view.rng.choice(spots)
    text = spot.block["latex"]
    answer = Answer(type="markup", value=text, boxes=(spot.box,))
    numbers = [b.get("number") for b in sheet.blocks if b.get("number")]
    number = spot.block.get("number", "")
    is_numbered = re.fullmatch(r"\([\d.]+\)", number) and numbers.count(number) == 1
    slots: dict[str, object] = {"box": _mark(sheet, spot.box)}
    bank = "formula_box"
    if is_numbered and view.rng.random() < 0.6:
        bank, slots = "formula_number", {"number": number}
    return _task(
        view, [spot.page], "paper_formula", bank, answer, text, "edit_distance", [spot], **slots
    )


def _tables(view: View, pages: Sequence[int]) -> list[tuple[Tabular, Spot, Spot]]:
    found = []
    for block in view.printed.paper.body:
        if isinstance(block, Tabular) and block.number in view.printed.tables:
            caption, spot = view.printed.tables[block.number]
            if spot.page in pages:
                found.append((block, caption, spot))
    return found


def _label(caption: Spot, text: str) -> str:
    """What a caption calls its float: the words before the plan's text, such as "Table II"."""
    printed = caption.block["text"]
    wanted = letters(text)
    for place in range(len(printed)):
        if letters(printed[place:]) == wanted:
            return str(printed[:place]).strip(" :.\u2013\u2014-")
    return ""


def _table(view: View, sheet: Sheet) -> Made:
    tables = _tables(view, [sheet.number - 1])
    if not tables:
        return None
    return _table_task(view, [sheet.number - 1], *view.rng.choice(tables))


def _table_task(
    view: View, pages: Sequence[int], block: Tabular, caption: Spot, spot: Spot
) -> Made:
    forms = [f for f in ("latex", "html", "otsl", "markdown") if f in forms_of(block.table)]
    form = view.rng.choice(forms)
    label = _label(caption, block.caption)
    if len(pages) == 1 and (not label or view.rng.random() < 0.5):
        what = f"the table at {_mark(view.printed.sheets[spot.page], spot.box)}"
    elif label:
        what = label
    else:
        return None
    text = write(block.table, form)
    answer = Answer(type="markup", value={"form": form, "text": text}, boxes=(spot.box,))
    return _task(
        view, pages, f"paper_table_{form}", "table", answer, text, "teds", [spot], what=what,
        form=FORM_NAMES[form],
    )  # fmt: skip


def _captions(view: View, pages: Sequence[int]) -> list[tuple[str, str, Spot, Spot]]:
    """(label, text, caption, float) of figures and tables."""
    found = []
    for block in view.printed.paper.body:
        if isinstance(block, Figure | Tabular):
            known = view.printed.figures if isinstance(block, Figure) else view.printed.tables
            if block.number not in known:
                continue
            caption, spot = known[block.number]
            label = _label(caption, block.caption)
            if label and caption.page in pages:
                found.append((label, block.caption, caption, spot))
    return found


def _caption(view: View, sheet: Sheet) -> Made:
    return _caption_task(view, [sheet.number - 1])


def _caption_task(view: View, pages: Sequence[int]) -> Made:
    captions = _captions(view, pages)
    if not captions:
        return None
    label, text, spot, _ = view.rng.choice(captions)
    return _task(
        view, pages, "paper_caption", "caption", _said(text, [spot]), text, "edit_distance",
        [spot], what=label,
    )  # fmt: skip


def _note(view: View, sheet: Sheet) -> Made:
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
    return _task(
        view, [spot.page], "paper_footnote", "note", _said(text, [spot]), text, "edit_distance",
        [spot], number=number,
    )  # fmt: skip


def _reference(view: View, sheet: Sheet) -> Made:
    return _reference_task(view, [sheet.number - 1])


def _reference_task(view: View, pages: Sequence[int]) -> Made:
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
        return _task(
            view, pages, "paper_reference_number", "who", answer, str(number), "number", [spot],
            names=who, year=year[1],
        )  # fmt: skip
    return _task(
        view, pages, "paper_reference", "reference", _said(text, [spot]), text, "edit_distance",
        [spot], number=number,
    )  # fmt: skip


# -- headings ------------------------------------------------------------------------------------


def _heading_text(spot: Spot) -> str:
    return " ".join(str(spot.block["text"]).split())


def _page_headings(view: View, sheet: Sheet) -> Made:
    spots = [_spot(sheet, b) for b in sheet.blocks if b["class"] == "Section-header"]
    if len(spots) < 2:
        return None
    text = "\n".join(_heading_text(s) for s in spots)
    return _task(
        view, [sheet.number - 1], "paper_headings", "headings", _said(text, spots), text,
        "edit_distance", spots,
    )  # fmt: skip


def _all_headings(view: View) -> Made:
    spots = [
        _spot(sheet, b)
        for sheet in view.printed.sheets
        for b in sheet.blocks
        if b["class"] == "Section-header"
    ]
    if len(spots) < 3 or view.printed.dress.kind.name == "beamer":
        return None
    text = "\n".join(_heading_text(s) for s in spots)
    return _task(
        view, _all(view), "paper_outline", "headings_all", Answer(type="text", value=text), text,
        "edit_distance", spots,
    )  # fmt: skip


def _quote(view: View) -> tuple[str, Spot] | None:
    """Some words of running text that stand nowhere else, and where."""
    blocks = [
        _spot(sheet, b)
        for sheet in view.printed.sheets
        for b in sheet.blocks
        if b["class"] in ("Text", "List-item") and not b.get("chain") and "tags" not in b
    ]
    whole = " ".join(
        " ".join(b["text"].split()) for sheet in view.printed.sheets for b in sheet.blocks
    )
    for _ in range(12 if blocks else 0):
        spot = view.rng.choice(blocks)
        words = str(spot.block["text"]).split()
        if len(words) < 8:
            continue
        start = view.rng.randrange(len(words) - 5)
        text = " ".join(words[start : start + view.rng.randint(4, 6)])
        if re.fullmatch(r"[^\W\d_]+(?: [^\W\d_]+)+", text) and whole.count(text) == 1:
            return text, spot
    return None


def _section(view: View) -> Made:
    quote = _quote(view)
    if quote is None or view.printed.dress.kind.name == "beamer":
        return None
    text, spot = quote
    before: Spot | None = None
    for sheet in view.printed.sheets:
        for block in sheet.blocks:
            if block is spot.block:
                if before is None:
                    return None
                name = _heading_text(before)
                return _task(
                    view, _all(view), "paper_which_section", "which_section", _said(name), name,
                    "edit_distance", [before, spot], text=text,
                )  # fmt: skip
            if block["class"] == "Section-header":
                before = _spot(sheet, block)
    return None


# -- title and authors ---------------------------------------------------------------------------


def _title(view: View, sheet: Sheet) -> Made:
    spot = view.printed.title
    if spot is None or spot.page != sheet.number - 1:
        return None
    text = view.printed.paper.title
    return _task(
        view,
        [spot.page],
        "paper_title",
        "title",
        _said(text, [spot]),
        text,
        "edit_distance",
        [spot],
    )


def _authors(view: View, sheet: Sheet) -> Made:
    names = view.printed.paper.authors
    if sheet.number != 1 or view.printed.title is None:
        return None
    whole = letters(" ".join(b["text"] for b in sheet.blocks))
    if not all(letters(name) in whole for name in names):
        return None
    answer = Answer(type="list", value=list(names))
    return _task(view, [0], "paper_authors", "authors", answer, ", ".join(names), "set")


# -- places --------------------------------------------------------------------------------------


def _where(view: View, sheet: Sheet) -> Made:
    """All blocks of a class that is seldom, or one that is described."""
    draw = view.rng.random()
    size = (sheet.width, sheet.height)
    if draw < 0.5:
        classes = sorted({b["class"] for b in sheet.blocks} & set(_NAMES))
        if not classes:
            return None
        klass = view.rng.choice(classes)
        spots = [_spot(sheet, b) for b in sheet.blocks if b["class"] == klass]
        phrase = _NAMES[klass] if len(spots) > 1 else f"the {_NAMES[klass][:-1]}"
        what = f"all {phrase}" if len(spots) > 1 else phrase
        if len(spots) > 6:
            return None
    else:
        captions = _captions(view, [sheet.number - 1])
        if not captions:
            return None
        label, _, _, float_spot = view.rng.choice(captions)
        what, phrase, spots = f"{label} (without its caption)", label, [float_spot]
    text, answer = box_answer(phrase, [s.box for s in spots], *size)
    return _task(
        view, [sheet.number - 1], "paper_grounding", "where", answer, text, "iou", spots, what=what
    )


def _class(view: View, sheet: Sheet) -> Made:
    block = view.rng.choice(sheet.blocks)
    others = sorted({b["class"] for b in sheet.blocks} | {"Text", "Caption", "Table", "Formula"})
    spot = _spot(sheet, block)
    text = block["class"]
    return _task(
        view, [spot.page], "paper_class", "class", _said(text, [spot]), text, "exact_ci", [spot],
        box=_mark(sheet, spot.box), classes=", ".join(others),
    )  # fmt: skip


def _order(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] in ("Text", "Section-header", "List-item")]
    if len(blocks) < 4:
        return None
    count = view.rng.randint(3, min(6, len(blocks)))
    chosen = sorted(view.rng.sample(range(len(blocks)), count))
    names = "ABCDEF"[:count]
    shuffled = view.rng.sample(range(count), count)  # letter -> place in the order
    regions = "; ".join(
        f"{names[k]} {_mark(sheet, _spot(sheet, blocks[chosen[shuffled[k]]]).box)}"
        for k in range(count)
    )
    value = [names[shuffled.index(place)] for place in range(count)]
    spots = [_spot(sheet, blocks[k]) for k in chosen]
    return _task(
        view, [sheet.number - 1], "paper_order", "order", Answer(type="list", value=value),
        ", ".join(value), "list_ordered", spots, regions=regions + ".",
    )  # fmt: skip


def _next(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] not in _MARGINAL]
    pairs = [
        (a, b)
        for a, b in pairwise(blocks)
        if b["class"] in ("Text", "List-item", "Section-header") and "tags" not in b
    ]
    if not pairs:
        return None
    first, second = view.rng.choice(pairs)
    words = without_marks(second["text"]).split()
    count = min(len(words), view.rng.randint(3, 6))
    text = " ".join(words[:count])
    if count < 3 or not re.fullmatch(r"[\w .,'\u2019-]+", text):
        return None
    spot = _spot(sheet, second)
    box = _mark(sheet, _spot(sheet, first).box)
    return _task(
        view, [sheet.number - 1], "paper_next", "next", _said(text, [spot]), text, "exact_ci",
        [spot], box=box, count=count,
    )  # fmt: skip


def _count(view: View, sheet: Sheet) -> Made:
    klass = view.rng.choice(sorted(_NAMES))
    spots = [_spot(sheet, b) for b in sheet.blocks if b["class"] == klass]
    if not spots and view.rng.random() < 0.8:
        return None
    answer = Answer(type="number", value=len(spots), boxes=tuple(s.box for s in spots))
    return _task(
        view, [sheet.number - 1], "paper_count", "count", answer, str(len(spots)), "number", spots,
        what=_NAMES[klass],
    )  # fmt: skip


# -- all pages -----------------------------------------------------------------------------------


def _count_all(view: View) -> Made:
    klass = view.rng.choice(("Picture", "Table", "Formula", "Footnote"))
    spots = [
        _spot(sheet, b)
        for sheet in view.printed.sheets
        for b in sheet.blocks
        if b["class"] == klass
    ]
    if not spots or any(s.block.get("chain") for s in spots):
        return None
    answer = Answer(type="number", value=len(spots))
    return _task(
        view, _all(view), "paper_count_all", "count_all", answer, str(len(spots)), "number", spots,
        what=_NAMES[klass],
    )  # fmt: skip


def _which_page(view: View) -> Made:
    draw = view.rng.random()
    pages = _all(view)
    if draw < 0.4:
        captions = _captions(view, pages)
        if not captions:
            return None
        what, _, _, spot = view.rng.choice(captions)
    elif draw < 0.7 and view.printed.dress.kind.name != "beamer":
        texts = [_heading_text(s) for _, s in view.printed.headings]
        unique = [s for _, s in view.printed.headings if texts.count(_heading_text(s)) == 1]
        if not unique:
            return None
        spot = view.rng.choice(unique)
        what = f'the heading "{_heading_text(spot)}"'
    else:
        quote = _quote(view)
        if quote is None:
            return None
        what, spot = f'the text "{quote[0]}"', quote[1]
    answer = Answer(type="number", value=spot.page + 1)
    return _task(
        view, pages, "paper_which_page", "which_page", answer, str(spot.page + 1), "number", [spot],
        what=what, pages=len(pages),
    )  # fmt: skip


def _table_all(view: View) -> Made:
    tables = _tables(view, _all(view))
    return _table_task(view, _all(view), *view.rng.choice(tables)) if tables else None


def _caption_all(view: View) -> Made:
    return _caption_task(view, _all(view))


def _reference_all(view: View) -> Made:
    return _reference_task(view, _all(view))


_PAGE: tuple[tuple[PageMaker, float], ...] = (
    (_page, 5), (_layout, 1), (_parsed, 1), (_block, 2), (_formula, 2), (_table, 3), (_caption, 1),
    (_note, 1), (_reference, 1), (_page_headings, 1), (_title, 1), (_authors, 1), (_where, 1.5),
    (_class, 0.7), (_order, 0.8), (_next, 0.8), (_count, 0.7),
)  # fmt: skip
_DOCUMENT: tuple[tuple[DocumentMaker, float], ...] = (
    (_all_headings, 1.5), (_section, 2), (_which_page, 2), (_count_all, 1), (_table_all, 1),
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
