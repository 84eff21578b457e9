"""Pages are held against their plan: what agrees is found, what differs is not."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from nanovl.synth.papers import dress as looks
from nanovl.synth.papers.asks import View, page_markdown, page_tasks
from nanovl.synth.papers.dress import CLASSES, Dress, draw_dress
from nanovl.synth.papers.pages import Sheet, letters, match
from nanovl.synth.papers.plan import Display, Figure, Heading, Items, Paper, Tabular, draw_paper


@pytest.fixture(autouse=True)
def _all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "is_installed", lambda name: name in CLASSES)


def block(klass: str, text: str, y: float, **more: Any) -> dict[str, Any]:
    return {
        "class": klass, "text": text, "markdown": text, "bbox": [10.0, y, 300.0, y + 8.0],
        "lines": [], "words": [], **more,
    }  # fmt: skip


def printed_by_hand() -> tuple[Paper, Dress, dict[str, Any]]:
    """A plan with floats, and the page an engine would make of it."""
    for seed in range(200):
        rng = random.Random(seed)
        dress = draw_dress(rng, ["article"], ["article"], "en")
        paper = draw_paper("en", dress.shape(1200, 0.2), rng)
        kinds = [type(b) for b in paper.body]
        if {Tabular, Figure, Display, Items} <= set(kinds) and paper.notes() and paper.references:
            break
    blocks = []
    y = 10.0
    for number, item in enumerate(paper.body):
        y += 20
        if isinstance(item, Heading):
            blocks.append(block("Section-header", f"1.2 {item.text}", y))
        elif isinstance(item, Display):
            blocks.append(block("Formula", "f", y, latex=item.formula.latex.replace("=", " =")))
        elif isinstance(item, Items):
            blocks += [block("List-item", "x", y + k) for k in range(item.count())]
        elif isinstance(item, Figure):
            blocks.append(block("Picture", "", y, float=number + 1))
            blocks.append(block("Caption", f"Figure 1: {item.caption}", y + 9, float=number + 1))
        elif isinstance(item, Tabular):
            cells = [
                {"r": c.row, "c": c.column, "rowspan": c.rows, "colspan": c.columns, "text": c.text}
                for c in item.table.cells
            ]
            grid = {"rows": item.table.height, "columns": item.table.width, "cells": cells}
            blocks.append(block("Table", "t", y, float=number + 1, grid=grid, latex=""))
            blocks.append(block("Caption", f"Table 1: {item.caption}", y + 9, float=number + 1))
    blocks += [block("Footnote", f"{k} {n}", y + 30 + k) for k, n in enumerate(paper.notes(), 1)]
    blocks += [
        block("Bibliography", f"[{k}] {r}", y + 60 + 10 * k)
        for k, r in enumerate(paper.references, 1)
    ]
    return paper, dress, {"width": 400, "height": 9000, "blocks": blocks}


def test_everything_is_found() -> None:
    paper, dress, page = printed_by_hand()
    found = match(paper, dress, [page], [b"picture"])
    for kind, (seen, expected) in found.agreement.items():
        assert seen == expected, kind
    assert found.agreement["headings"][0] > 0
    assert all(spot.block["is_source"] for spot in found.formulas.values())
    assert found.is_whole


@pytest.mark.parametrize("what", ["heading", "cell", "formula", "caption", "note"])
def test_a_difference_is_seen(what: str) -> None:
    paper, dress, page = printed_by_hand()
    first = {b["class"]: b for b in reversed(page["blocks"])}
    if what == "heading":
        first["Section-header"]["text"] = "1 Another one"
    elif what == "cell":
        first["Table"]["grid"]["cells"][-1]["text"] += "7"
    elif what == "formula":
        first["Formula"]["latex"] += "+\\aleph"
    elif what == "caption":
        for other in page["blocks"]:
            if other["class"] == "Caption":
                other["text"] += " and more"
    else:
        first["Footnote"]["markdown"] = "1 Something else"
    found = match(paper, dress, [page], [b"picture"])
    short = {k for k, (seen, expected) in found.agreement.items() if seen < expected}
    if what == "formula":
        assert not all(spot.block.get("is_source") for spot in found.formulas.values())
    else:
        assert short


def test_lines_of_an_algorithm_are_one_block() -> None:
    paper, dress, page = printed_by_hand()
    lines = [block("List-item", f"{k}: step", 20.0 + k, float=99) for k in (1, 2, 3)]
    page["blocks"] = [*lines, *page["blocks"]]
    found = match(paper, dress, [page], [b"picture"])
    assert found.agreement["list items"][0] == found.agreement["list items"][1]
    code = found.sheets[0].blocks[0]
    assert (code["class"], code["text"]) == ("Code", "1: step\n2: step\n3: step")
    assert code["bbox"] == [10.0, 21.0, 300.0, 31.0]


def test_works_are_asked_for_by_all_who_wrote_them() -> None:
    paper, dress, page = printed_by_hand()
    printed = match(paper, dress, [page], [b"picture"])
    asked = 0
    for seed in range(40):
        view = View(printed=printed, media=("p001",), rng=random.Random(seed))
        for task, spots in page_tasks(view, printed.sheets[0], 17):
            if task.task != "paper_reference_number":
                continue
            entry = paper.references[int(task.answer_text) - 1]
            assert spots[0].block["text"].endswith(entry)
            assert re.findall(r"[A-Z]\. (\w+)", entry)[0] in task.question
            assert not re.search(r"and [A-Z] ", task.question)
            assert entry[-6:-2] in task.question
            asked += 1
    assert asked > 3


def test_a_page_in_columns_reads_on() -> None:
    blocks = [
        block("Text", "It will be con-<tbc>", 10, chain="X-1"),
        block("Footnote", "1 A note.", 80),
        block("Text", "<tbc>tinued here.", 10, chain="X-1", chain_pos=1),
        block("Page-footer", "7", 95),
    ]
    sheet = Sheet(number=1, data=b"", width=100, height=100, page={"blocks": blocks})
    assert page_markdown(sheet) == "It will be continued here.\n\n1 A note."


def test_letters_survive_any_style() -> None:
    assert letters("1.2 \u00dcber Fu\u00dfwege") == letters("1.2 U\u0308ber FUSSWEGE".casefold())
