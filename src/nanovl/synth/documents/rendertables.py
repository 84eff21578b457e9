"""Tables of WikiTableQuestions, WikiSQL and TabFact on pages, with the questions people asked.

Tables are drawn in many styles, alone or between paragraphs of other texts, over several pages
where they are long. Questions, statements and answers stay as they were written. Must not change
tables.

Source: data synthesis specification, sections 4, 6 and 17.3; the rendering table of the training
data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict
from nanovl.synth.asking import worded
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.documents.asks import Ask, page_tasks
from nanovl.synth.documents.blocks import (
    Block,
    TableBlock,
    TextBlock,
    from_markdown,
    paragraph,
)
from nanovl.synth.documents.build import (
    Finished,
    file_digest,
    finish_pages,
    font_library,
    make_sample,
    media_names,
    style_for,
    typefaces_for,
)
from nanovl.synth.documents.draw import paint
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.rendered import ALWAYS, reading_tasks
from nanovl.synth.documents.rendersettings import TablesConfig
from nanovl.synth.documents.stories import (
    LICENCES,
    TABLE_FILES,
    Drops,
    TableDoc,
    read_table_docs,
    shuffled,
)
from nanovl.synth.documents.style import PageStyle
from nanovl.synth.documents.tableasks import table_tasks
from nanovl.synth.documents.tablelayout import natural_width
from nanovl.synth.documents.text import Corpus, clean
from nanovl.synth.documents.wordings import BANK
from nanovl.synth.lengths import bounded

__all__ = ["TableGenerator", "render_tables"]


class TableGenerator:
    """Tables with the questions and statements of people."""

    name = "render-tables"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(TablesConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        drops = Drops()
        self._docs, paths = read_table_docs(
            Path(given.source),
            given.dataset,
            given.split,
            drops,
            max_rows=given.max_rows,
            max_columns=given.max_columns,
        )
        digest = "+".join(file_digest(str(path)) for path in paths)
        self._filler: list[str] = []
        if given.filler:
            corpus = Corpus([Path(p) for p in given.filler], least=120, most=700, limit=40)
            self._filler = [w.text for w in corpus.windows if w.language == "en"]
        self.config = replace(
            given,
            source=digest,
            filler=tuple(file_digest(path) for path in given.filler),
            fonts=(f"fonts:{self._fonts.fingerprint}",),
        )
        self._order = shuffled(len(self._docs), digest)
        self.skipped = dict(sorted(drops.counts.items()))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The table of an index; tables come round again in other looks.

        Raises:
            Reject: No font, or the table does not fit the widest page.
        """
        content, style_rng = streams.rng("content"), streams.rng("style")
        doc = self._docs[self._order[index % len(self._docs)]]
        blocks, title = self._blocks(doc, content)
        shown = "".join(
            [title, *doc.table.header, *(cell for row in doc.table.rows for cell in row)]
            + [b.text for b in blocks if isinstance(b, TextBlock)]
        )
        faces = typefaces_for(
            self._fonts, self.config.font_split, shown + ALWAYS, style_rng, monospaced=0.15
        )
        size = float(style_rng.choice((13, 14, 15, 16, 17, 18, 20)))
        page_style = style_for(faces, style_rng, 400, size=size, max_width=1024)
        page_style = _table_page(page_style, blocks, style_rng, self.config.max_width)
        if style_rng.random() < 0.15:
            page_style = replace(page_style, footer="{page}")
        pages = lay_out(blocks, page_style, max_pages=min(4, self.config.max_pages))
        finished = finish_pages(
            [paint(page) for page in pages],
            streams,
            self.config.augment,
            self.config.strength,
            legible=True,
        )
        names = media_names(len(pages))
        qa = streams.rng("qa")
        asked = qa.sample(doc.questions, min(len(doc.questions), self.config.questions))
        tasks = [_table_qa(q.question, q.answers, names, qa, q.is_statement) for q in asked]
        tasks += self._reading(finished, qa)
        made = make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("table_qa", f"source:{self.config.dataset}", f"rules:{page_style.table.rules}"),
            gt={
                "table": {
                    "id": doc.table.id,
                    "title": doc.table.title,
                    "header": list(doc.table.header),
                    "rows": [list(row) for row in doc.table.rows],
                },
                "questions": [
                    {"id": q.id, "question": q.question, "answers": list(q.answers)} for q in asked
                ],
            },
            license=LICENCES[self.config.dataset],
            group=f"{TABLE_FILES[self.config.dataset]}:{doc.table.id}",
        )
        return bounded(made, self.config.max_tokens)

    def _blocks(self, doc: TableDoc, rng: random.Random) -> tuple[list[Block], str]:
        title = doc.table.title
        as_caption = rng.random() < 0.5
        caption = ""
        if title and as_caption:
            caption = f"Table {rng.randint(1, 9)}: {title}" if rng.random() < 0.5 else title
        table = TableBlock(table=doc.table, caption=caption)
        blocks: list[Block] = [table]
        if self._filler and rng.random() < self.config.embedded:
            before, after = rng.choice(self._filler), rng.choice(self._filler)
            shape = rng.random()
            blocks = [*(_paragraphs(before) if shape < 0.8 else []), table]
            blocks += _paragraphs(after) if shape > 0.4 else []
        if title and not as_caption:
            blocks.insert(0, paragraph(title, "title"))
        return blocks, caption or title

    def _reading(self, finished: Finished, rng: random.Random) -> list[Task]:
        if self.config.tasks == 0:
            return []
        if len(finished.pages) > 1:
            return reading_tasks(finished, rng, self.config.tasks, 0.0)
        ask = Ask(finished.pages[0], "p000", rng, finished.is_upright)
        block = next(b for b in finished.pages[0].blocks if b.kind == "table")
        tasks = table_tasks(ask, block, self.config.tasks)
        if rng.random() < 0.3:
            tasks += page_tasks(ask, 1, unanswerable=self.config.unanswerable)
        return tasks


def _paragraphs(text: str) -> list[Block]:
    return [b for b in from_markdown(text) if b.kind == "text"][:3]


def _table_page(
    style: PageStyle, blocks: Sequence[Block], rng: random.Random, widest: int
) -> PageStyle:
    """The page as wide as the table wants, one column, the text smaller where it must be.

    Raises:
        Reject: Not even the smallest text makes the table fit.
    """
    block = next(b for b in blocks if isinstance(b, TableBlock))
    alone = len(blocks) == 1
    size = style.size
    while True:
        tried = replace(style, size=size, columns=1, trim=True)
        left, _, right, _ = tried.margins
        if alone:
            pad = max(8, round(size * rng.uniform(0.6, 2.5)))
            left = right = pad
            tried = replace(tried, margins=(pad, pad, pad, pad))
        least, comfortable = natural_width(block, tried)
        least += left + right + 2
        wanted = max(least, comfortable * rng.uniform(0.75, 1.06) + left + right)
        if not alone:
            wanted = max(wanted, min(700, widest))
        if least <= widest:
            width = int(min(widest, max(wanted, 280)))
            return replace(tried, width=width, max_height=max(1400, tried.max_height))
        if size <= 11:
            raise Reject("table_too_wide", f"{block.table.id} needs {least:.0f} pixels")
        size = max(11.0, size - 2)


def _table_qa(
    question: str,
    answers: tuple[str, ...],
    names: Sequence[str],
    rng: random.Random,
    is_statement: bool,
) -> Task:
    cleaned = tuple(" ".join(clean(a).split()) for a in answers)
    if is_statement:
        asked = worded(BANK, "statement_page", rng, statement=question)
        answer, verifier = Answer(type="choice", value=cleaned[0]), "exact_ci"
        text = cleaned[0]
    else:
        asked = worded(BANK, "table_page", rng, question=question)
        text = ", ".join(cleaned)
        if len(cleaned) > 1 and not any("," in a for a in cleaned):
            answer, verifier = Answer(type="list", value=list(cleaned)), "set"
        else:
            answer, verifier = Answer(type="text", value=text), "exact_ci"
    return Task(
        task="fact_check" if is_statement else "table_qa",
        question=asked[0],
        answer_text=text,
        answer=answer,
        verifier=verifier,
        media=tuple(names),
        template=asked[1],
    )


def render_tables(settings: Mapping[str, Any]) -> TableGenerator:
    """Factory of `render-tables`."""
    return TableGenerator(settings)
