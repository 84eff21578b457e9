"""Real questions of people on rendered pages, and plain texts to read.

`render-passages` draws FairytaleQA and XQuAD, `render-text` articles, books, manuals and their
translations; tables are in `rendertables`. Layouts vary with the seed;
questions and answers stay as they were written. Languages no font covers are left out at the start
and counted in `skipped`. Must not change questions.

Source: data synthesis specification, sections 2, 4 and 17.3; the rendering table of the training
data.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import InputError
from nanovl.synth.asking import worded
from nanovl.synth.base import Answer, Requirement, Sample, Streams, Task
from nanovl.synth.documents.asks import Ask, document_tasks, page_tasks
from nanovl.synth.documents.blocks import (
    Block,
    PictureBlock,
    Run,
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
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.rendersettings import PassagesConfig, TextConfig
from nanovl.synth.documents.stories import (
    LICENCES,
    Asked,
    Drops,
    Story,
    read_stories,
    shuffled,
)
from nanovl.synth.documents.style import PageStyle
from nanovl.synth.documents.text import Corpus, sentence, split_paragraphs
from nanovl.synth.documents.wordings import BANK
from nanovl.synth.lengths import bounded

__all__ = [
    "ALWAYS",
    "PassageGenerator",
    "TextGenerator",
    "reading_tasks",
    "render_passages",
    "render_text",
]

_LOG = logging.getLogger(__name__)
_RTL = ("ar", "fa", "he", "ur")
ALWAYS = "0123456789-./ "  # page numbers and list markers


# -- Passages ------------------------------------------------------------------------------------


class PassageGenerator:
    """Stories and paragraphs with the questions of people."""

    name = "render-passages"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(PassagesConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        drops = Drops()
        stories, path = read_stories(Path(given.source), given.dataset, given.split, drops)
        stories = [s for s in stories if not given.languages or s.language in given.languages]
        digest = file_digest(str(path))
        self.config = replace(given, source=digest, fonts=(f"fonts:{self._fonts.fingerprint}",))
        lost = _uncovered(self._fonts, given.font_split, [(s.language, s.text) for s in stories])
        for story in stories:
            if story.language in lost:
                drops(f"no_font:{story.language}")
        stories = [s for s in stories if s.language not in lost]
        self._single = [s for s in stories if not s.whole]
        self._whole = [s for s in stories if s.whole]
        if not self._single:
            raise InputError(f"{path}: nothing to render; left out: {drops.counts}")
        self._orders = [shuffled(len(pool), digest) for pool in (self._single, self._whole)]
        self.skipped = dict(sorted(drops.counts.items()))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The document of an index; documents come round again in other looks.

        Raises:
            Reject: No font, too many pages, or text too small.
        """
        content, style_rng = streams.rng("content"), streams.rng("style")
        is_whole = bool(self._whole) and content.random() < self.config.whole
        pool, order = (
            (self._whole, self._orders[1]) if is_whole else (self._single, self._orders[0])
        )
        story = pool[order[index % len(pool)]]
        faces = typefaces_for(self._fonts, self.config.font_split, story.text + ALWAYS, style_rng)
        size = style_rng.uniform(13, 17) if story.whole else None
        page_style = style_for(
            faces,
            style_rng,
            len(story.text),
            rtl=story.language in _RTL,
            size=None if size is None else round(size * 2) / 2,
        )
        page_style = _margins(page_style, story.title, style_rng, many=len(story.passages) > 1)
        pages = lay_out(_story_blocks(story, content), page_style, max_pages=self.config.max_pages)
        finished = finish_pages(
            [paint(page) for page in pages],
            streams,
            self.config.augment,
            self.config.strength,
            legible=True,
        )
        qa = streams.rng("qa")
        names = media_names(len(pages))
        asked = qa.sample(story.questions, min(len(story.questions), self.config.questions))
        tasks = [self._task(question, story, names, qa) for question in asked]
        tasks += reading_tasks(finished, qa, self.config.tasks, self.config.unanswerable)
        made = make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=(
                "document_qa",
                "multi_page" if len(pages) > 1 else "single_page",
                f"source:{self.config.dataset}",
            ),
            gt={
                "title": story.title,
                "passages": list(story.passages),
                "questions": [
                    {"id": q.id, "question": q.question, "answers": list(q.answers)} for q in asked
                ],
            },
            lang=story.language,
            license=LICENCES[self.config.dataset],
            group=f"{self.config.dataset}:{story.title}",
        )
        return bounded(made, self.config.max_tokens)

    def _task(self, asked: Asked, story: Story, names: Sequence[str], rng: random.Random) -> Task:
        others = sorted(asked.others)
        crosses = bool(others) and rng.random() < self.config.cross_lingual
        text = asked.others[rng.choice(others)] if crosses else asked.question
        kind = "page_question" if len(names) == 1 else "pages_question"
        if crosses:
            kind = "foreign_question"
        elif story.language != "en":  # only the question itself, in its own language
            question, template = text, f"{kind}/0"
            return _qa_task(question, template, asked, names)
        question, template = worded(BANK, kind, rng, question=text)
        return _qa_task(question, template, asked, names)


def _qa_task(question: str, template: str, asked: Asked, names: Sequence[str]) -> Task:
    answer = asked.answers[0]
    return Task(
        task="document_qa" if len(names) == 1 else "multi_page_qa",
        question=question,
        answer_text=answer,
        answer=Answer(type="text", value=answer),
        verifier="anls",
        media=tuple(names),
        template=template,
    )


def _story_blocks(story: Story, rng: random.Random) -> list[Block]:
    blocks: list[Block] = []
    if story.title and rng.random() < 0.85:
        blocks.append(paragraph(story.title, "title"))
    for passage in story.passages:
        blocks += [paragraph(" ".join(part.split())) for part in split_paragraphs(passage)]
    return blocks


def _margins(style: PageStyle, title: str, rng: random.Random, *, many: bool) -> PageStyle:
    """Running header and footer for some documents, more often for long ones."""
    likely = 0.8 if many else 0.3
    header = title if rng.random() < likely * 0.6 else ""
    forms = ("{page}", "- {page} -", "{page} / {pages}")
    footer = rng.choice(forms) if rng.random() < likely else ""
    return replace(style, header=header, footer=footer)


def reading_tasks(
    finished: Finished, rng: random.Random, count: int, unanswerable: float
) -> list[Task]:
    """Reading tasks about one of the pages and, of several, about all of them."""
    if count == 0:
        return []
    names = media_names(len(finished.pages))
    place = rng.randrange(len(names))
    ask = Ask(finished.pages[place], names[place], rng, finished.is_upright)
    if len(names) == 1:
        return page_tasks(ask, count, unanswerable=unanswerable)
    tasks = document_tasks(finished.pages, names, rng, (count + 1) // 2)
    return tasks + page_tasks(ask, count - len(tasks), unanswerable=unanswerable)


def _uncovered(fonts: Any, split: FontSplit, texts: Sequence[tuple[str, str]]) -> dict[str, None]:
    """Languages whose first texts no font shows; said once in the log."""
    samples: dict[str, str] = {}
    for language, text in texts:
        if len(samples.get(language, "")) < 4000:
            samples[language] = samples.get(language, "") + text
    lost = {
        k: None for k, text in sorted(samples.items()) if not fonts.for_text(text[:4000], split)
    }
    for language in lost:
        _LOG.warning(
            "no installed font (split %s) shows %s, its texts are left out", split, language
        )
    return lost


# -- Texts ---------------------------------------------------------------------------------------


class TextGenerator:
    """Pages of real text."""

    name = "render-text"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(TextConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        low, high = given.characters
        is_code = given.form == "code"
        corpus = Corpus([Path(p) for p in given.paths], least=low, most=high, code=is_code)
        drops = Drops()
        drops.counts.update(corpus.dropped)
        windows = [
            w for w in corpus.windows if not given.languages or w.language in given.languages
        ]
        digests = tuple(file_digest(path) for path in given.paths)
        self.config = replace(given, paths=digests, fonts=(f"fonts:{self._fonts.fingerprint}",))
        lost = _uncovered(self._fonts, given.font_split, [(w.language, w.text) for w in windows])
        for window in windows:
            if window.language in lost:
                drops(f"no_font:{window.language}")
        self._windows = [w for w in windows if w.language not in lost]
        if not self._windows:
            raise InputError(f"no text to render; left out: {drops.counts}")
        self._order = shuffled(len(self._windows), "+".join(digests))
        self.skipped = dict(sorted(drops.counts.items()))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The piece of text of an index.

        Raises:
            Reject: No font, too many pages, or text too small.
        """
        content, style_rng = streams.rng("content"), streams.rng("style")
        window = self._windows[self._order[index % len(self._windows)]]
        blocks = from_markdown(window.text)
        has_title = any(b.kind == "title" for b in blocks)
        if window.title and not has_title and content.random() < 0.6:
            blocks.insert(0, paragraph(window.title, "title"))
        if content.random() < self.config.emphasis:
            blocks = [_emphasised(b, content) for b in blocks]
        is_prose = self.config.form == "markdown"
        if is_prose and window.language == "en" and content.random() < self.config.pictures:
            caption = f"Figure {content.randint(1, 12)}: {sentence(content)}"
            picture = PictureBlock(
                aspect=content.uniform(1.2, 2.4),
                caption=caption if content.random() < 0.8 else "",
                seed=content.getrandbits(32),
            )
            blocks.insert(content.randint(min(1, len(blocks)), len(blocks)), picture)
        extra = "".join(b.caption for b in blocks if isinstance(b, PictureBlock))
        shown = window.title + window.text + extra + ALWAYS
        faces = typefaces_for(self._fonts, self.config.font_split, shown, style_rng)
        page_style = style_for(faces, style_rng, len(window.text), rtl=window.language in _RTL)
        page_style = _margins(page_style, window.title, style_rng, many=style_rng.random() < 0.3)
        if self.config.form == "code":
            page_style = replace(page_style, columns=1, column_rule=False)
        pages = lay_out(blocks, page_style, max_pages=self.config.max_pages)
        finished = finish_pages(
            [paint(page) for page in pages],
            streams,
            self.config.augment,
            self.config.strength,
            legible=True,
        )
        qa = streams.rng("qa")
        tasks = reading_tasks(finished, qa, max(1, self.config.tasks), self.config.unanswerable)
        made = make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("ocr", "multi_page" if len(pages) > 1 else "single_page", "difficulty:4"),
            gt={"document": window.document, "title": window.title},
            lang=window.language,
            license=self.config.licence or "as stated by the source",
            group=f"text:{window.document}",
        )
        return bounded(made, self.config.max_tokens)


def _emphasised(block: Block, rng: random.Random) -> Block:
    """The block with a few words in bold or italics."""
    if not isinstance(block, TextBlock) or block.kind != "text" or len(block.runs) > 1:
        return block
    words = block.text.split()
    if len(words) < 12 or any(mark in block.text for mark in "*_"):
        return block
    start = rng.randrange(len(words) - 4)
    end = start + rng.randint(1, 3)
    bold = rng.random() < 0.6
    runs = (
        Run(" ".join(words[:start]) + " " if start else ""),
        Run(" ".join(words[start:end]), bold=bold, italic=not bold),
        Run(" " + " ".join(words[end:])),
    )
    return replace(block, runs=runs)


def render_passages(settings: Mapping[str, Any]) -> PassageGenerator:
    """Factory of `render-passages`."""
    return PassageGenerator(settings)


def render_text(settings: Mapping[str, Any]) -> TextGenerator:
    """Factory of `render-text`."""
    return TextGenerator(settings)
