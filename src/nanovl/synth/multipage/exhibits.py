"""Questions about tables, figures and references of a document.

Source: data synthesis specification, sections 11 (references, tables over pages) and 17.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from nanovl.data.convert.markup import is_number
from nanovl.synth.asking import number_text
from nanovl.synth.base import Answer, Task
from nanovl.synth.charts.qa import questions as chart_questions
from nanovl.synth.multipage.ask import Asked, Desk, Maker
from nanovl.synth.multipage.draft import Exhibit, Heading, Pointer
from nanovl.synth.multipage.press import Place

__all__ = ["EXHIBITS"]


def _tables(desk: Desk) -> list[Exhibit]:
    return [e for e in desk.printed.draft.exhibits if e.table is not None]


def _value(text: str) -> tuple[Answer, str, str]:
    """A cell as an answer, its verifier and form."""
    plain = text.replace(",", "")
    if is_number(plain):
        return Answer(type="number", value=float(plain)), "number", "number"
    return Answer(type="text", value=text), "exact_ci", "word"


def _cell(desk: Desk, exhibit: Exhibit, kind: str, **slots: object) -> Asked | None:
    table = exhibit.table
    assert table is not None
    keys = Counter(row[exhibit.key] for row in table.rows)
    rows = [k for k, row in enumerate(table.rows) if keys[row[exhibit.key]] == 1]
    columns = [c for c in range(len(table.header)) if c != exhibit.key]
    if not rows or not columns:
        return None
    pages = desk.printed.pages_of(exhibit.block, "table")
    # Of a table that goes on, rows of later pages are asked for as often as those of the first.
    page = desk.rng.choice(pages)
    late = [k for k in rows if desk.printed.row_places(exhibit.block, k)[:1] and
            desk.printed.row_places(exhibit.block, k)[0][0] == page]  # fmt: skip
    row, column = desk.rng.choice(late or rows), desk.rng.choice(columns)
    text = table.rows[row][column]
    if not text:
        return None
    places = desk.printed.cell_places(exhibit.block, row, column)
    answer, verifier, form = _value(text)
    name = table.rows[row][exhibit.key]
    head = table.header[column]
    trace = f"{exhibit.label} is on page {places[0][0]}. In the row {name}, {head} reads {text}."
    if kind == "refer-cell":
        trace = f'"{slots["title"]}" refers to {exhibit.label}. {trace}'
    return desk.asked(kind, text, answer, verifier, form, trace, places, column=f'"{head}"',
                      row=f'"{name}"', **slots)  # fmt: skip


def cell(desk: Desk) -> Asked | None:
    """An entry of a table."""
    tables = _tables(desk)
    if not tables:
        return None
    exhibit = desk.rng.choice(tables)
    return _cell(desk, exhibit, "cell", label=exhibit.label)


def spanning(desk: Desk) -> Asked | None:
    """A table over several pages as a whole."""
    long = [e for e in _tables(desk) if len(desk.printed.pages_of(e.block, "table")) > 1]
    if not long:
        return None
    exhibit = desk.rng.choice(long)
    table = exhibit.table
    assert table is not None
    pages = desk.printed.pages_of(exhibit.block, "table")
    places = desk.printed.block_places(exhibit.block, "table")
    kind = desk.rng.choice(("span-pages", "span-rows", "span-best", "span-best", "cell"))
    if kind == "cell":
        return _cell(desk, exhibit, "cell", label=exhibit.label)
    if kind == "span-pages":
        text = ", ".join(map(str, pages))
        trace = f"{exhibit.label} begins on page {pages[0]} and ends on page {pages[-1]}."
        answer = Answer(type="list", value=[str(p) for p in pages])
        return desk.asked(kind, text, answer, "list_ordered", "", trace, places,
                          label=exhibit.label)  # fmt: skip
    if kind == "span-rows":
        counts = [p.rows[1] - p.rows[0] for _, p in desk.printed.pieces(exhibit.block, "table")]
        trace = f"The parts have {' + '.join(map(str, counts))} = {len(table.rows)} rows."
        return desk.number(kind, len(table.rows), trace, places, label=exhibit.label)
    return _best(desk, exhibit, places)


def _best(desk: Desk, exhibit: Exhibit, places: list[Place]) -> Asked | None:
    table = exhibit.table
    assert table is not None
    columns = []
    for c in range(len(table.header)):
        texts = [row[c].replace(",", "") for row in table.rows]
        if c != exhibit.key and all(map(is_number, texts)):
            columns.append(c)
    if not columns:
        return None
    column = desk.rng.choice(columns)
    ranked = sorted(range(len(table.rows)), key=lambda k: _number(table.rows[k][column]))
    word = desk.rng.choice(("highest", "lowest"))
    best, second = (ranked[-1], ranked[-2]) if word == "highest" else (ranked[0], ranked[1])
    if _number(table.rows[best][column]) == _number(table.rows[second][column]):
        return None
    name, value = table.rows[best][exhibit.key], table.rows[best][column]
    page = desk.printed.row_places(exhibit.block, best)[0][0]
    trace = f"I go through {exhibit.label} page by page. The {word} entry under "
    trace += f'"{table.header[column]}" is {value}, on page {page}, in the row {name}.'
    column_name, key = f'"{table.header[column]}"', f'"{table.header[exhibit.key]}"'
    return desk.word("span-best", name, trace, places, key=key, word=word, column=column_name,
                     label=exhibit.label)  # fmt: skip


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _from_section(desk: Desk, pointer: Pointer) -> Heading | None:
    """The heading of a pointer, if it has no other of its kind."""
    draft = desk.printed.draft
    same = [p for p in draft.pointers if p.section == pointer.section and p.kind == pointer.kind]
    if len(same) > 1 or pointer.section < 0:
        return None
    heading = draft.headings[pointer.section]
    return heading if desk.titles[heading.title] == 1 else None


def refer(desk: Desk) -> Asked | None:
    """Following a reference."""
    draft = desk.printed.draft
    pool = [(p, h) for p in draft.pointers if (h := _from_section(desk, p)) is not None]
    if not pool:
        return None
    pointer, heading = desk.rng.choice(pool)
    start = desk.printed.sentence_places(pointer.block, pointer.sentence)
    if not start:
        return None
    lead = f'On page {start[0][0]}, "{heading.title}" says: "{pointer.sentence}"'
    if pointer.kind == "source":
        source = draft.sources[pointer.target]
        if sum(p.kind == "source" and p.target == pointer.target for p in draft.pointers) > 1:
            return None
        places = [*start, *desk.printed.block_places(source.block)]
        told = f"{lead} The list gives {source.mark} {source.authors}. {source.title}. "
        told += f"{source.year}."
        kind = desk.rng.choice(("cite-year", "cite-title", "who-cites"))
        if kind == "cite-year":
            return desk.number(kind, source.year, told, places, title=heading.title)
        if kind == "cite-title":
            return desk.word(kind, source.title, told, places, title=heading.title)
        return desk.word(kind, heading.title, lead, start, mark=source.mark)
    if pointer.kind == "section":
        target = draft.headings[pointer.target]
        places = [*start, desk.printed.block_places(target.block)[0]]
        told = f'{lead} That chapter is "{target.text}".'
        return desk.word("refer-section", target.title, told, places, title=heading.title)
    exhibit = draft.exhibits[pointer.target]
    inside = "table" if exhibit.kind == "table" else "picture"
    places = [*start, *desk.printed.block_places(exhibit.block, inside)[:1]]
    page = places[-1][0]
    kind = desk.rng.choice(("refer-cell", "refer-cell", "refer-page", "refer-caption"))
    slots = {"title": heading.title, "sort": exhibit.kind}
    if kind == "refer-cell" and exhibit.table is not None:
        return _cell(desk, exhibit, kind, title=heading.title)
    if kind == "refer-caption":
        told = f"{lead} Its caption reads: {exhibit.label}: {exhibit.caption}."
        return desk.word(kind, exhibit.caption, told, places, **slots)
    told = f"{lead} {exhibit.label} stands on page {page}."
    return desk.number("refer-page", page, told, places, title=heading.title, sort=exhibit.kind)


def figure(desk: Desk) -> Asked | None:
    """A question about a chart in the document."""
    draft = desk.printed.draft
    pool = [k for k, e in enumerate(draft.exhibits) if e.chart is not None]
    if not pool:
        return None
    number = desk.rng.choice(pool)
    exhibit = draft.exhibits[number]
    assert exhibit.chart is not None
    found = chart_questions(exhibit.chart, desk.printed.drawn[number], desk.rng, 2, desk.media)
    usable = [t for t in found if t.verifier != "iou"]
    if not usable:
        return None
    task: Task = usable[0]
    places = desk.printed.block_places(exhibit.block, "picture")
    lead = desk.rng.choice(("Look at {x}: {q}", "In {x}: {q}", "Regarding {x}: {q}", "{x}: {q}"))
    question = lead.format(x=exhibit.label, q=task.question[:1].lower() + task.question[1:])
    trace = f"{exhibit.label} is on page {places[0][0]}. {task.trace}" if task.trace else None
    asked = replace(
        task, task=f"pages_{task.task}", question=question, trace=trace, media=desk.media,
        template=f"multipage/{task.template}",
    )  # fmt: skip
    return Asked(asked, tuple(places))


def counts(desk: Desk) -> Asked | None:
    """How many tables or figures there are, or pages with one."""
    kind = desk.rng.choice(("table", "figure"))
    mine = [e for e in desk.printed.draft.exhibits if e.kind == kind]
    inside = "table" if kind == "table" else "picture"
    places = [p for e in mine for p in desk.printed.block_places(e.block, inside)]
    if desk.rng.random() < 0.5:
        names = ", ".join(f"{e.label} on page {desk.printed.pages_of(e.block, inside)[0]}"
                          for e in mine)  # fmt: skip
        trace = f"I find {names}: {len(mine)}." if mine else f"No page shows a {kind}."
        return desk.number("n-exhibits", len(mine), trace, places, sort=kind, facing=desk.facing)
    pages = sorted({page for page, _ in places})
    shown = number_text(len(pages), 0)
    trace = f"A {kind} is on the pages {', '.join(map(str, pages))}: {shown}."
    if not pages:
        trace = f"No page shows a {kind}."
    return desk.number("n-pages-with", len(pages), trace, places, sort=kind)


EXHIBITS: tuple[tuple[Maker, float], ...] = (
    (cell, 1.2),
    (spanning, 2.0),
    (refer, 2.0),
    (figure, 1.2),
    (counts, 0.7),
)
