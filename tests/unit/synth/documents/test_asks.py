"""Questions: wordings, answers out of the truth, unique referents, what is not there."""

from __future__ import annotations

import random
import string
from itertools import pairwise

import pytest

from nanovl.data.convert.table_qa import Table
from nanovl.synth.base import Task
from nanovl.synth.documents.asks import Ask, document_tasks, page_tasks
from nanovl.synth.documents.blocks import Block, TableBlock, from_markdown
from nanovl.synth.documents.build import style_for, typefaces_for
from nanovl.synth.documents.draw import Painted, paint
from nanovl.synth.documents.fonts import FontLibrary
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.tableasks import table_tasks
from nanovl.synth.documents.text import sentence
from nanovl.synth.documents.truth import (
    TABLE_FORMS,
    block_text,
    page_markdown,
    page_plain,
    page_truth,
    write_table,
)
from nanovl.synth.documents.wordings import BANK
from nanovl.synth.documents.words import WORDS
from nanovl.synth.tables.teds import similarity
from nanovl.synth.verify import score

TABLE = Table(
    id="t",
    title="",
    header=("Name", "Year", "Note"),
    rows=(("Ada", "1815", 'said "yes", once'), ("Alan", "1912", ""), ("Grace", "1906", "a|b")),
)


def page(fonts: FontLibrary, seed: int, *, with_table: bool = False) -> Painted:
    rng = random.Random(seed)
    text = "# The Title\n\n" + "\n\n".join(
        " ".join(sentence(rng) for _ in range(3)) for _ in range(3)
    )
    text += "\n\n## Second\n\n" + sentence(rng) + "\n\n- one thing\n- another thing"
    blocks: list[Block] = from_markdown(text)
    if with_table:
        blocks.append(TableBlock(table=TABLE, caption="Table 1: people"))
    faces = typefaces_for(fonts, "all", text, rng)
    return paint(lay_out(blocks, style_for(faces, rng, 400, max_width=900))[0])


def tasks_of(fonts: FontLibrary, count: int = 30) -> list[tuple[Painted, Task]]:
    found = []
    for seed in range(count):
        made = page(fonts, seed, with_table=seed % 3 == 0)
        rng = random.Random(seed)
        tasks = page_tasks(Ask(made, "p000", rng), 5, unanswerable=0.3)
        for block in made.blocks:
            if block.kind == "table" and block.rows == (0, 3):
                tasks += table_tasks(Ask(made, "p000", rng), block, 4)
        found += [(made, task) for task in tasks]
    return found


@pytest.mark.parametrize("kind", sorted(BANK))
def test_wordings_are_many_and_alike(kind: str) -> None:
    wordings = BANK[kind]
    assert len(set(wordings)) == len(wordings) >= 8
    slots = [{n for _, n, _, _ in string.Formatter().parse(w) if n} for w in wordings]
    assert all(s == slots[0] for s in slots)


def test_reference_answers_pass_their_own_check(builtin: FontLibrary) -> None:
    tasks = tasks_of(builtin)
    assert len(tasks) > 100
    kinds = {task.task for _, task in tasks}
    assert {"ocr", "ocr_plain", "ocr_markdown", "ocr_boxes", "ocr_line", "grounding"} <= kinds
    assert {"reverse_grounding", "ocr_follow", "ocr_title", "table_lookup"} <= kinds
    for _, task in tasks:
        assert score(task.verifier, task.answer, task.answer_text) == 1.0, task
        assert "{" not in task.question


def test_answers_of_other_pages_fail(builtin: FontLibrary) -> None:
    by_kind: dict[str, list[Task]] = {}
    for _, task in tasks_of(builtin):
        by_kind.setdefault(task.task, []).append(task)
    wrong = tried = 0
    for tasks in by_kind.values():
        for one, other in pairwise(tasks):
            if one.answer_text != other.answer_text and one.verifier == other.verifier:
                tried += 1
                wrong += score(one.verifier, one.answer, other.answer_text) < 0.95
    assert tried > 60
    assert wrong == tried


def test_lines_are_counted_from_the_top(builtin: FontLibrary) -> None:
    seen = 0
    for made, task in tasks_of(builtin):
        if task.task == "ocr_line" and task.verifier == "exact":
            ordered = sorted(made.lines, key=lambda ln: ln.box[1] + ln.box[3])
            number = int("".join(c for c in task.question if c.isdigit()))
            assert ordered[number - 1].text == task.answer_text
            seen += 1
    assert seen > 3


def test_found_texts_are_unique_and_their_boxes_hold_them(builtin: FontLibrary) -> None:
    seen = 0
    for made, task in tasks_of(builtin):
        if task.task != "grounding" or task.verifier != "iou":
            continue
        text = task.answer_text.partition("<ref>")[2].partition("</ref>")[0]
        whole = " ".join(line.text for line in made.lines).casefold()
        assert whole.count(text.casefold()) == 1
        (area,) = task.answer.boxes
        inside = [
            w.text
            for line in made.lines
            for w in line.words
            if w.box[0] >= area[0] - 0.01
            and w.box[2] <= area[2] + 0.01
            and w.box[1] >= area[1] - 0.01
            and w.box[3] <= area[3] + 0.01
        ]
        assert " ".join(inside) == text
        seen += 1
    assert seen > 8


def test_what_is_absent_is_absent(builtin: FontLibrary) -> None:
    seen = 0
    for made, task in tasks_of(builtin, 60):
        if task.answer_text != "not present":
            continue
        seen += 1
        if task.task == "grounding":
            quoted = task.question.partition('"')[2].partition('"')[0]
            assert quoted not in " ".join(ln.text for ln in made.lines).casefold()
            assert all(w in WORDS for w in quoted.split())
        else:
            number = int("".join(c for c in task.question if c.isdigit()))
            assert number > len(made.lines)
    assert seen > 4


def test_markdown_and_plain_text_say_the_same(builtin: FontLibrary) -> None:
    made = page(builtin, 1)
    marked, plain = page_markdown(made), page_plain(made)
    assert marked.startswith("# The Title\n\n")
    assert "\n\n## Second\n\n" in marked
    assert "\n\n- one thing\n- another thing" in marked
    bare = marked.replace("# ", "").replace("#", "").replace("- ", "")
    assert " ".join(bare.split()) == " ".join(plain.split())


@pytest.mark.parametrize("form", TABLE_FORMS)
def test_tables_are_written_in_every_form(builtin: FontLibrary, form: str) -> None:
    text = write_table(TABLE, form)
    if form == "csv":
        import csv
        import io

        rows = list(csv.reader(io.StringIO(text)))
        assert rows == [list(TABLE.header), *map(list, TABLE.rows)]
    else:
        other = write_table(Table(id="", title="", header=TABLE.header, rows=TABLE.rows[:2]), form)
        assert similarity(text, text + " ", form) == pytest.approx(1.0)
        assert similarity(text, other, form) < 1.0


def test_page_tables_are_latex(builtin: FontLibrary) -> None:
    made = page(builtin, 3, with_table=True)
    assert "\\begin{tabular}" in page_markdown(made)
    (block,) = [b for b in made.blocks if b.kind == "table"]
    assert block_text(block).startswith("Name Year Note\nAda 1815")


def test_the_truth_is_json_with_everything(builtin: FontLibrary) -> None:
    import json

    made = page(builtin, 3, with_table=True)
    truth = json.loads(json.dumps(page_truth(made, characters=True)))
    assert [b["order"] for b in truth["blocks"]] == list(range(len(truth["blocks"])))
    table = next(b for b in truth["blocks"] if b["class"] == "table")
    assert len(table["cells"]) == 12
    word = truth["blocks"][0]["lines"][0]["words"][0]
    assert len(word["chars"]) == len(word["text"])


def test_several_pages_are_told_apart(builtin: FontLibrary) -> None:
    pages = [page(builtin, n) for n in range(4)]
    names = [f"p{n:03d}" for n in range(4)]
    tasks = [t for seed in range(10) for t in document_tasks(pages, names, random.Random(seed), 2)]
    located = [t for t in tasks if t.task == "page_localisation"]
    assert located
    assert {t.answer_text for t in located} > {"1"}
    for task in located:
        text = task.question.partition('"')[2].partition('"')[0]
        number = int(task.answer_text)
        for place, made in enumerate(pages, 1):
            whole = " ".join(ln.text for ln in made.lines).casefold()
            assert (text.casefold() in whole) == (place == number)
        assert task.media == tuple(names)
