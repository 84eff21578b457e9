"""Questions about where something stands in a paper: boxes, order, counts, which page.

Answers come from the compiled page. Must not look at pixels.

Source: data synthesis specification, sections 17 and 19.
"""

from __future__ import annotations

import re
from itertools import pairwise

from nanovl.synth.asking import box_answer
from nanovl.synth.base import Answer
from nanovl.synth.papers.pages import Sheet, without_marks
from nanovl.synth.papers.view import (
    CLASS_NAMES,
    MARGINAL,
    Made,
    View,
    all_pages,
    box_mark,
    captions_of,
    heading_text,
    quote_of,
    said,
    spot_of,
    task_of,
)

__all__ = ["class_at", "count", "count_all", "order_of", "what_follows", "where", "which_page"]


def where(view: View, sheet: Sheet) -> Made:
    """All blocks of a class that is seldom, or one that is described."""
    draw = view.rng.random()
    size = (sheet.width, sheet.height)
    if draw < 0.5:
        classes = sorted({b["class"] for b in sheet.blocks} & set(CLASS_NAMES))
        if not classes:
            return None
        klass = view.rng.choice(classes)
        spots = [spot_of(sheet, b) for b in sheet.blocks if b["class"] == klass]
        phrase = CLASS_NAMES[klass] if len(spots) > 1 else f"the {CLASS_NAMES[klass][:-1]}"
        what = f"all {phrase}" if len(spots) > 1 else phrase
        if len(spots) > 6:
            return None
    else:
        captions = captions_of(view, [sheet.number - 1])
        if not captions:
            return None
        label, _, _, float_spot = view.rng.choice(captions)
        what, phrase, spots = f"{label} (without its caption)", label, [float_spot]
    text, answer = box_answer(phrase, [s.box for s in spots], *size)
    return task_of(
        view, [sheet.number - 1], "paper_grounding", "where", answer, text, "iou", spots, what=what
    )


def class_at(view: View, sheet: Sheet) -> Made:
    block = view.rng.choice(sheet.blocks)
    others = sorted({b["class"] for b in sheet.blocks} | {"Text", "Caption", "Table", "Formula"})
    spot = spot_of(sheet, block)
    text = block["class"]
    return task_of(
        view, [spot.page], "paper_class", "class", said(text, [spot]), text, "exact_ci", [spot],
        box=box_mark(sheet, spot.box), classes=", ".join(others),
    )  # fmt: skip


def order_of(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] in ("Text", "Section-header", "List-item")]
    if len(blocks) < 4:
        return None
    count = view.rng.randint(3, min(6, len(blocks)))
    chosen = sorted(view.rng.sample(range(len(blocks)), count))
    names = "ABCDEF"[:count]
    shuffled = view.rng.sample(range(count), count)  # letter -> place in the order
    regions = "; ".join(
        f"{names[k]} {box_mark(sheet, spot_of(sheet, blocks[chosen[shuffled[k]]]).box)}"
        for k in range(count)
    )
    value = [names[shuffled.index(place)] for place in range(count)]
    spots = [spot_of(sheet, blocks[k]) for k in chosen]
    return task_of(
        view, [sheet.number - 1], "paper_order", "order", Answer(type="list", value=value),
        ", ".join(value), "list_ordered", spots, regions=regions + ".",
    )  # fmt: skip


def what_follows(view: View, sheet: Sheet) -> Made:
    blocks = [b for b in sheet.blocks if b["class"] not in MARGINAL]
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
    spot = spot_of(sheet, second)
    box = box_mark(sheet, spot_of(sheet, first).box)
    return task_of(
        view, [sheet.number - 1], "paper_next", "next", said(text, [spot]), text, "exact_ci",
        [spot], box=box, count=count,
    )  # fmt: skip


def count(view: View, sheet: Sheet) -> Made:
    klass = view.rng.choice(sorted(CLASS_NAMES))
    spots = [spot_of(sheet, b) for b in sheet.blocks if b["class"] == klass]
    if not spots and view.rng.random() < 0.8:
        return None
    answer = Answer(type="number", value=len(spots), boxes=tuple(s.box for s in spots))
    return task_of(
        view, [sheet.number - 1], "paper_count", "count", answer, str(len(spots)), "number", spots,
        what=CLASS_NAMES[klass],
    )  # fmt: skip


def count_all(view: View) -> Made:
    klass = view.rng.choice(("Picture", "Table", "Formula", "Footnote"))
    spots = [
        spot_of(sheet, b)
        for sheet in view.printed.sheets
        for b in sheet.blocks
        if b["class"] == klass
    ]
    if not spots or any(s.block.get("chain") for s in spots):
        return None
    answer = Answer(type="number", value=len(spots))
    return task_of(
        view, all_pages(view), "paper_count_all", "count_all", answer, str(len(spots)), "number",
        spots, what=CLASS_NAMES[klass],
    )  # fmt: skip


def which_page(view: View) -> Made:
    draw = view.rng.random()
    pages = all_pages(view)
    if draw < 0.4:
        captions = captions_of(view, pages)
        if not captions:
            return None
        what, _, _, spot = view.rng.choice(captions)
    elif draw < 0.7 and view.printed.dress.kind.name != "beamer":
        texts = [heading_text(s) for _, s in view.printed.headings]
        unique = [s for _, s in view.printed.headings if texts.count(heading_text(s)) == 1]
        if not unique:
            return None
        spot = view.rng.choice(unique)
        what = f'the heading "{heading_text(spot)}"'
    else:
        quote = quote_of(view)
        if quote is None:
            return None
        what, spot = f'the text "{quote[0]}"', quote[1]
    answer = Answer(type="number", value=spot.page + 1)
    return task_of(
        view, pages, "paper_which_page", "which_page", answer, str(spot.page + 1), "number", [spot],
        what=what, pages=len(pages),
    )  # fmt: skip
