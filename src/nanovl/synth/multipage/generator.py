"""The generator `multipage`: documents of many pages with questions across them.

Source: data synthesis specification, sections 2, 11 and 17.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Requirement, Sample, Streams, Task
from nanovl.synth.documents.augment import Profile
from nanovl.synth.documents.build import (
    Finished,
    Typefaces,
    check_settings,
    finish_pages,
    font_library,
    make_sample,
    media_names,
    style_for,
    typefaces_for,
)
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.documents.style import PageStyle
from nanovl.synth.documents.truth import page_markdown
from nanovl.synth.lengths import STAGE2_TOKENS, bounded, check_bounds, media_tokens
from nanovl.synth.multipage.across import ACROSS
from nanovl.synth.multipage.ask import PLACES, Asked, Desk, Maker, missing
from nanovl.synth.multipage.bundles import invoices, slides, statement
from nanovl.synth.multipage.draft import Draft
from nanovl.synth.multipage.exhibits import EXHIBITS
from nanovl.synth.multipage.flowing import Size, manual, paper, report
from nanovl.synth.multipage.phrases import LABELS, OPENINGS
from nanovl.synth.multipage.press import Printed, laid_out, painted
from nanovl.synth.multipage.turns import labelled, said, turn

__all__ = ["KINDS", "MultipageConfig", "MultipageGenerator", "create"]

KINDS: dict[str, Callable[[int, Size], Draft]] = {
    "invoices": invoices,
    "manual": manual,
    "paper": paper,
    "report": report,
    "slides": slides,
    "statement": statement,
}
MOST_PAGES = 64
MOST_TEXT = 60_000  # characters of a document that is shown as text


@dataclass(frozen=True, kw_only=True)
class MultipageConfig:
    """Settings of `multipage`.

    Attributes:
        kinds: Documents to make; empty for all.
        min_pages, max_pages: Bounds of the number of pages, 2 to 64.
        tasks: Questions a document.
        unanswerable: Probability that one of them asks for what is not there.
        labels: Share of questions with a label such as "Page 3:" before every page.
        dialogue: Share of documents with a conversation of several questions.
        as_text: Share of documents with questions on the text of the pages instead of pictures.
        min_tokens, max_tokens: Bounds of the longest record of a document, for mixtures that keep
            stages apart; 0 for any number.
        fonts: Folders; empty means the usual places, `["builtin"]` the face Pillow carries.
        font_split: Families for training, or those held out for evaluation.
        augment, strength: See `augment.plan_augmentation`.
    """

    kinds: tuple[str, ...] = ()
    min_pages: int = 2
    max_pages: int = 16
    tasks: int = 8
    unanswerable: float = 0.4
    labels: float = 0.3
    dialogue: float = 0.25
    as_text: float = 0.1
    min_tokens: int = 0
    max_tokens: int = STAGE2_TOKENS
    fonts: tuple[str, ...] = ()
    font_split: FontSplit = "train"
    augment: Profile = "clean"
    strength: float = 0.5

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(f"kinds: {kind!r} does not exist{nearest(kind, KINDS)}")
        if not 2 <= self.min_pages <= self.max_pages <= MOST_PAGES:
            raise ConfigError(
                f"pages: min_pages {self.min_pages}, max_pages {self.max_pages}; expected "
                f"2 <= min_pages <= max_pages <= {MOST_PAGES}"
            )
        if self.tasks < 1:
            raise ConfigError(f"tasks: got {self.tasks}, expected at least 1")
        for name in ("unanswerable", "labels", "dialogue", "as_text"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        check_bounds(self.min_tokens, self.max_tokens)
        check_settings(self.augment, self.strength, self.font_split, 0.0)


class MultipageGenerator:
    """Makes documents of many pages."""

    name = "multipage"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(MultipageConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        self.config = replace(given, fonts=(f"fonts:{self._fonts.fingerprint}",))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The document of an index.

        Raises:
            Reject: It did not get the wanted length, or something did not fit.
        """
        config = self.config
        content, style_rng = streams.rng("content"), streams.rng("style")
        kind = content.choice(config.kinds or tuple(KINDS))
        wanted = _wanted(content, config.min_pages, config.max_pages)
        seed = content.getrandbits(48)
        sample_text = KINDS[kind](seed, Size(8, 1, 8)).words + "0123456789./-$%[]()"
        faces = typefaces_for(
            self._fonts, config.font_split, sample_text, style_rng, monospaced=0.05
        )
        style = _style(kind, faces, style_rng, len(sample_text))
        draft, pages = _fitted(kind, seed, style, wanted, config)
        sheets, drawn = painted(draft, pages)
        finished = finish_pages(sheets, streams, config.augment, config.strength)
        printed = Printed(draft, finished.pages, drawn)
        names = media_names(len(pages))
        tokens = sum(map(media_tokens, finished.media))
        if config.max_tokens and tokens > config.max_tokens:
            raise Reject("too_long", f"{tokens} visual tokens, at most {config.max_tokens}")
        asked = _questions(Desk(printed, names, streams.rng("qa")), config)
        tasks = _shown(asked, printed, finished, streams.rng("show"), config)
        made = make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("document_qa", "multi_page", f"document:{kind}", f"difficulty:{_level(pages)}"),
            gt=_truth(draft, printed, asked, tokens),
        )
        return bounded(made, config.max_tokens, config.min_tokens)


def _level(pages: Sequence[Any]) -> int:
    return 2 + (len(pages) > 4) + (len(pages) > 10)


def _wanted(rng: random.Random, low: int, high: int) -> int:
    """A number of pages; small ones are drawn more often."""
    return min(high, low + int((high - low + 1) * rng.random() ** 1.4))


def _style(kind: str, faces: Typefaces, rng: random.Random, characters: int) -> PageStyle:
    size = rng.choice((14.0, 15.0, 16.0, 17.0, 18.0))
    style = style_for(faces, rng, characters, size=size)
    footer = rng.choice(("{page}", "- {page} -", "Page {page}", "{page} / {pages}", "", "{page}"))
    style = replace(style, trim=False, columns=1, column_rule=False, footer=footer)
    if style.align == "center":
        style = replace(style, align="left")
    if kind == "slides":
        width, height = rng.choice(((960, 540), (960, 720), (800, 600), (1024, 576)))
        size = round(height / rng.uniform(17.5, 22) * 2) / 2
        margin = round(width * rng.uniform(0.07, 0.11))
        return replace(
            style, width=width, max_height=height, size=size, align="left",
            margins=(margin, round(height * 0.09), margin, round(height * 0.09)), gap=0.9,
            leading=max(1.35, style.leading), heading_scale=min(1.7, style.heading_scale),
        )  # fmt: skip
    width = rng.randint(90, 112) * 8
    height = round(width * rng.choice((1.29, 1.35, 1.414)))
    left, top = round(width * rng.uniform(0.07, 0.12)), round(height * rng.uniform(0.06, 0.09))
    style = replace(
        style, width=width, max_height=height, margins=(left, top, left, top),
        gutter=round(style.size * 1.8),
    )  # fmt: skip
    if kind == "paper" and rng.random() < 0.5:
        style = replace(style, size=min(15.0, style.size), columns=2, align="justify")
    return style


def _fitted(
    kind: str, seed: int, style: PageStyle, wanted: int, config: MultipageConfig
) -> tuple[Draft, list[Any]]:
    """A draft that comes near a number of pages, laid out.

    Raises:
        Reject: It could not be brought between the bounds.
    """
    low, high = config.min_pages, config.max_pages
    bundle = kind in ("invoices", "slides")
    sections = max(2, min(14, wanted if bundle else round(wanted * 0.8)))
    if kind == "statement":
        sections = max(1, round(wanted / 2))
    fill, rows = (1 if wanted > 2 else 0), max(6, min(44, 5 * wanted))
    if kind == "invoices":
        sections, rows = max(2, min(MOST_PAGES, wanted)), 12
    if kind == "manual":
        sections = max(2, min(10, wanted // 2))
    best: tuple[int, Draft, list[Any]] | None = None
    for _ in range(4):
        draft = KINDS[kind](seed, Size(sections, fill, rows))
        header = draft.title if style.header_rule else ""
        pages = laid_out(draft, replace(style, header=header.replace("{", "").replace("}", "")))
        off = abs(len(pages) - wanted)
        if low <= len(pages) <= high and (best is None or off < best[0]):
            best = (off, draft, pages)
        if off <= max(1, wanted // 6) and best is not None:
            break
        share = wanted / len(pages)
        grown = round(sections * share)
        if share < 1:
            fill = fill if bundle else max(0, round(fill * share) if fill > 1 else fill - 1)
            sections = max(1 if kind == "statement" else 2, min(sections - 1, grown))
            rows = max(4, round(rows * share))
        else:
            fill += 0 if bundle else max(1, round(2.5 * (wanted - len(pages)) / max(2, sections)))
            if kind in ("invoices", "statement", "slides"):
                sections = min(MOST_PAGES, max(sections + 1, grown))
    if best is None:
        raise Reject("length", f"a {kind} did not come to {low} to {high} pages")
    return best[1], best[2]


def _questions(desk: Desk, config: MultipageConfig) -> list[Asked]:
    """Questions of different kinds, each maker at most twice."""
    pool: list[tuple[Maker, float]] = [*PLACES, *ACROSS, *EXHIBITS]
    pool += [(maker, weight * 0.4) for maker, weight in pool if weight >= 1.2]
    found: list[Asked] = []
    seen: set[str] = set()
    if desk.rng.random() < config.unanswerable:
        absent = missing(desk)
        found += [absent] if absent else []
    while pool and len(found) < config.tasks:
        place = desk.rng.choices(range(len(pool)), [weight for _, weight in pool])[0]
        asked = pool.pop(place)[0](desk)
        if asked is None:
            continue
        key = f"{asked.task.task}|{asked.task.answer_text}|{asked.task.question}"
        if key not in seen:
            seen.add(key)
            found.append(asked)
    if not found:
        raise Reject("no_task", "nothing can be asked about this document")
    desk.rng.shuffle(found)
    return found


def _shown(
    asked: Sequence[Asked], printed: Printed, finished: Finished, rng: random.Random,
    config: MultipageConfig,
) -> list[Task]:  # fmt: skip
    """The questions as tasks: plain, with labelled pages, on text, and as a conversation."""
    names = media_names(len(printed.pages))
    facing = printed.draft.facing
    tasks = []
    for one in asked:
        opening = rng.choice(OPENINGS)
        question = opening.format(all=len(names), facing=facing, question=one.task.question)
        task = replace(one.task, question=question)
        if rng.random() < config.labels:
            task = replace(task, messages=labelled(task, names, rng.choice(LABELS)))
        tasks.append(task)
    if rng.random() < config.dialogue and len(asked) >= 3:
        tasks.append(_dialogue(asked[: rng.randint(3, min(6, len(asked)))], names, rng, facing))
    if rng.random() < config.as_text:
        tasks += _on_text(asked[:2], finished)
    return tasks


def _dialogue(
    asked: Sequence[Asked], names: Sequence[str], rng: random.Random, facing: str
) -> Task:
    """Several questions in a row; the last one is checked."""
    first: list[dict[str, str]] = [{"type": "image", "image": name} for name in names]
    turns = []
    for k, one in enumerate(asked):
        question = one.task.question
        if k == 0:
            question = rng.choice(OPENINGS).format(all=len(names), facing=facing, question=question)
        content = [*first, said(question)] if k == 0 else [said(question)]
        turns.append(turn("user", content))
        turns.append(turn("assistant", [said(one.task.answer_text)]))
    last = asked[-1].task
    return replace(last, task="pages_dialogue", trace=None, messages=tuple(turns))


def _on_text(asked: Sequence[Asked], finished: Finished) -> list[Task]:
    """Questions on what the pages say, without pictures."""
    text = "\n\n".join(f"[Page {page.number}]\n{page_markdown(page)}" for page in finished.pages)
    if len(text) > MOST_TEXT:
        return []
    tasks = []
    for one in asked:
        visual = ("pages_locate", "pages_chart", "pages_n_pages_with", "pages_n_exhibits")
        if not one.task.task.startswith(visual):
            tasks.append(
                replace(
                    one.task, task=f"{one.task.task}_text", media=(),
                    question=f"{text}\n\n{one.task.question}",
                    answer=replace(one.task.answer, boxes=()),
                )
            )  # fmt: skip
    return tasks


def _places(places: Sequence[tuple[int, Any]]) -> list[dict[str, Any]]:
    return [{"page": page, "bbox": [round(v, 2) for v in box]} for page, box in places]


def _truth(draft: Draft, printed: Printed, asked: Sequence[Asked], tokens: int) -> dict[str, Any]:
    facts = []
    for fact in draft.facts:
        facts.append(
            {
                "subject": fact.subject, "relation": fact.noun, "value": fact.text,
                "number": fact.value, "unit": fact.unit, "sentence": fact.sentence,
                "block": fact.block,
                "evidence": _places(printed.sentence_places(fact.block, fact.sentence)),
            }
        )  # fmt: skip
    exhibits = []
    for exhibit in draft.exhibits:
        inside = "table" if exhibit.kind == "table" else "picture"
        found: dict[str, Any] = {
            "kind": exhibit.kind, "label": exhibit.label, "caption": exhibit.caption,
            "evidence": _places(printed.block_places(exhibit.block, inside)),
        }  # fmt: skip
        if exhibit.table is not None:
            found["header"] = list(exhibit.table.header)
            found["rows"] = [list(row) for row in exhibit.table.rows]
        if exhibit.chart is not None:
            found["chart"] = {
                "kind": exhibit.chart.kind, "title": exhibit.chart.title,
                "categories": list(exhibit.chart.categories),
                "series": {s.name: list(s.values) for s in exhibit.chart.series},
            }  # fmt: skip
        exhibits.append(found)
    return {
        "kind": draft.kind,
        "title": draft.title,
        "visual_tokens": tokens,
        "page_map": {str(b): printed.pages_of(b) for b in range(len(draft.blocks))},
        "documents": [
            {"name": name, "first_page": printed.pages_of(block)[0]} for name, block in draft.parts
        ],
        "headings": [
            {
                "text": h.text,
                "title": h.title,
                "level": h.level,
                "gist": h.gist,
                "evidence": _places(printed.block_places(h.block)),
            }
            for h in draft.headings
        ],
        "facts": facts,
        "exhibits": exhibits,
        "pointers": [
            {"kind": p.kind, "target": p.target, "section": p.section, "sentence": p.sentence}
            for p in draft.pointers
        ],
        "sources": [
            {"mark": s.mark, "authors": s.authors, "title": s.title, "year": s.year}
            for s in draft.sources
        ],
        "questions": [
            {
                "task": a.task.task,
                "question": a.task.question,
                "answer": a.task.answer_text,
                "evidence": _places(a.evidence),
            }
            for a in asked
        ],
    }


def create(settings: Mapping[str, Any]) -> MultipageGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return MultipageGenerator(settings)
