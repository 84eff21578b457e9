"""A printed paper that is asked about, and what of it can be looked up: tables, captions, quotes.

Must not ask anything.

Source: data synthesis specification, sections 17 and 19.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.data.convert.templates import box as box_markup, scale_box
from nanovl.synth.asking import worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.papers.pages import Printed, Sheet, Spot, letters
from nanovl.synth.papers.plan import Figure, Tabular
from nanovl.synth.papers.wordings import BANK

__all__ = [
    "CLASS_NAMES",
    "MARGINAL",
    "PROSE",
    "Made",
    "View",
    "all_pages",
    "box_mark",
    "captions_of",
    "heading_text",
    "label_of",
    "quote_of",
    "said",
    "spot_of",
    "tables_of",
    "task_of",
]

MARGINAL = ("Page-header", "Page-footer")


PROSE = ("Text", "List-item", "Section-header", "Footnote", "Bibliography", "Caption")


CLASS_NAMES = {
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


def task_of(
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


def said(value: str, spots: Sequence[Spot] = ()) -> Answer:
    return Answer(type="text", value=value, boxes=tuple(s.box for s in spots))


def box_mark(sheet: Sheet, box: Box) -> str:
    return box_markup(scale_box(box, sheet.width, sheet.height))


def spot_of(sheet: Sheet, block: Mapping[str, Any]) -> Spot:
    return Spot(page=sheet.number - 1, block=block)


def all_pages(view: View) -> tuple[int, ...]:
    return tuple(range(len(view.printed.sheets)))


def tables_of(view: View, pages: Sequence[int]) -> list[tuple[Tabular, Spot, Spot]]:
    found = []
    for block in view.printed.paper.body:
        if isinstance(block, Tabular) and block.number in view.printed.tables:
            caption, spot = view.printed.tables[block.number]
            if spot.page in pages:
                found.append((block, caption, spot))
    return found


def label_of(caption: Spot, text: str) -> str:
    """What a caption calls its float: the words before the plan's text, such as "Table II"."""
    printed = caption.block["text"]
    wanted = letters(text)
    for place in range(len(printed)):
        if letters(printed[place:]) == wanted:
            return str(printed[:place]).strip(" :.\u2013\u2014-")
    return ""


def captions_of(view: View, pages: Sequence[int]) -> list[tuple[str, str, Spot, Spot]]:
    """(label, text, caption, float) of figures and tables."""
    found = []
    for block in view.printed.paper.body:
        if isinstance(block, Figure | Tabular):
            known = view.printed.figures if isinstance(block, Figure) else view.printed.tables
            if block.number not in known:
                continue
            caption, spot = known[block.number]
            label = label_of(caption, block.caption)
            if label and caption.page in pages:
                found.append((label, block.caption, caption, spot))
    return found


def heading_text(spot: Spot) -> str:
    return " ".join(str(spot.block["text"]).split())


def quote_of(view: View) -> tuple[str, Spot] | None:
    """Some words of running text that stand nowhere else, and where."""
    blocks = [
        spot_of(sheet, b)
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
