"""The generators `business` (clean pages) and `business-scan` (scanned and photographed ones).

Source: data synthesis specification, sections 4.3 (augmentation) and 9.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Requirement, Sample, Streams, Task
from nanovl.synth.browser import BROWSER
from nanovl.synth.business import (
    asks,
    boards,
    cards,
    commerce,
    finance,
    judge,
    offices,
    records,
    sums,
)
from nanovl.synth.business.family import Family, Paper
from nanovl.synth.business.formats import draw_locale
from nanovl.synth.business.html import draw_html
from nanovl.synth.business.model import Draft
from nanovl.synth.business.nodes import Flat, flatten
from nanovl.synth.business.parts import Kit
from nanovl.synth.business.phrases import LANGUAGES
from nanovl.synth.business.placed import assemble, find, truth
from nanovl.synth.business.quiz import Maker, Quiz, family_name
from nanovl.synth.business.theme import CSS_NAMES, HAND_FAMILY, Theme, draw_theme
from nanovl.synth.business.typeset import draw_typst
from nanovl.synth.documents.asks import Ask, page_tasks
from nanovl.synth.documents.augment import Profile
from nanovl.synth.documents.build import check_settings, finish_pages
from nanovl.synth.documents.tableasks import table_tasks
from nanovl.synth.documents.truth import page_truth, smallest_text
from nanovl.synth.typefaces import font_file

__all__ = ["FAMILIES", "BusinessConfig", "BusinessGenerator", "Made", "create", "create_scan"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for room in (boards, cards, commerce, finance, offices, records)
    for family in sorted(room.FAMILIES, key=lambda f: f.name)
}
RENDERERS = ("browser", "typst")

# makers and how often each is asked
_MAKERS: tuple[tuple[Maker, float], ...] = (
    (asks.value, 3.0),
    (asks.chosen, 0.7),
    (asks.normalised, 1.5),
    (asks.absent, 1.2),
    (asks.cell, 1.5),
    (asks.extract, 1.5),
    (asks.schema, 0.8),
    (asks.rows, 1.0),
    (asks.pairs, 0.8),
    (asks.where, 1.5),
    (asks.where_drawing, 0.5),
    (asks.label_of, 0.8),
    (judge.yesno, 1.5),
    (judge.stated, 0.4),
    (judge.compare, 0.8),
    (judge.ticked, 2.0),
    (judge.all_ticked, 1.5),
    (judge.count_ticked, 0.6),
    (judge.family, 0.5),
    (judge.about, 0.7),
    (sums.add_column, 0.9),
    (sums.count_rows, 0.4),
    (sums.extreme, 0.8),
    (sums.work_out, 1.2),
    (sums.days_between, 0.7),
)


@dataclass(frozen=True, kw_only=True)
class BusinessConfig:
    """Settings of `business` and `business-scan`.

    Attributes:
        families: Which are made.
        languages: Of `phrases.LANGUAGES`.
        fonts: Keys of `typefaces.FAMILIES`.
        renderers: "browser" and "typst"; one is drawn for each document.
        augment, strength: See `augment.plan_augmentation`.
        scales: Image pixels per CSS pixel, of 1, 1.5 and 2.
        handwriting: Share of forms that are filled in by hand.
        questions: Questions a document.
        transcriptions: Reading tasks a document (the whole page, lines, boxes).
        tables: Tasks about a table, where there is one.
    """

    families: tuple[str, ...] = tuple(FAMILIES)
    languages: tuple[str, ...] = LANGUAGES
    fonts: tuple[str, ...] = tuple(CSS_NAMES)
    renderers: tuple[str, ...] = RENDERERS
    augment: Profile = "clean"
    strength: float = 1.0
    scales: tuple[float, ...] = (1.0, 1.5)
    handwriting: float = 0.4
    questions: int = 5
    transcriptions: int = 1
    tables: int = 1

    def __post_init__(self) -> None:
        check_settings(self.augment, self.strength, "all", 0.0)
        for name, known in (
            ("families", tuple(FAMILIES)), ("languages", LANGUAGES), ("fonts", tuple(CSS_NAMES)),
            ("renderers", RENDERERS),
        ):  # fmt: skip
            given = getattr(self, name)
            if not given:
                raise ConfigError(f"{name}: expected at least one of {', '.join(known)}")
            for one in given:
                if one not in known:
                    raise ConfigError(f"{name}: {one!r} does not exist{nearest(one, known)}")
        if not self.scales or set(self.scales) - {1.0, 1.5, 2.0}:
            raise ConfigError(f"scales: got {list(self.scales)}, expected some of 1, 1.5 and 2")
        if not 0 <= self.handwriting <= 1:
            raise ConfigError(f"handwriting: got {self.handwriting}, expected 0 to 1")
        counts = (self.questions, self.transcriptions, self.tables)
        if min(counts) < 0 or not sum(counts):
            raise ConfigError("questions, transcriptions, tables: not negative, and not all 0")


@dataclass(frozen=True, kw_only=True)
class Made:
    """A document before it is drawn."""

    family: Family
    template: str
    renderer: str
    draft: Draft
    theme: Theme
    paper: Paper
    flat: Flat
    scale: float


class BusinessGenerator:
    """Makes business documents.

    Args:
        name: "business" or "business-scan".
        config: Settings.
    """

    version = "2"

    def __init__(self, name: str, config: BusinessConfig) -> None:
        self.name = name
        self.config = config
        needed: list[Requirement] = []
        needed += BROWSER if "browser" in config.renderers else ()
        if "typst" in config.renderers:
            needed.append(
                Requirement(
                    name="typst", kind="module", package="synth", purpose="typesetting documents"
                )
            )
        needed.append(
            Requirement(name="segno", kind="module", package="synth", purpose="drawing QR codes")
        )
        self.requires: Sequence[Requirement] = tuple(needed)

    def plan(self, streams: Streams) -> Made:
        """Everything about a document but its picture."""
        config, layout = self.config, streams.rng("layout")
        family = FAMILIES[layout.choice(config.families)]
        template = layout.choice(family.templates)
        renderer = layout.choice(config.renderers)
        style, content = streams.rng("style"), streams.rng("content")
        locale = draw_locale(content, config.languages)
        theme = draw_theme(style, config.fonts, config.handwriting if family.by_hand else 0.0)
        for font in (theme.body, theme.head, theme.mono, *([HAND_FAMILY] if theme.hand else [])):
            font_file(font)
        draft = Draft(family.name, locale, content)
        paper = family.make(draft, Kit(draft, theme, layout), template)
        return Made(
            family=family,
            template=template,
            renderer=renderer,
            draft=draft,
            theme=theme,
            paper=paper,
            flat=flatten(paper.root, theme.ink),
            scale=style.choice(config.scales),
        )

    def generate(self, index: int, streams: Streams) -> Sample:
        """The document of an index.

        Raises:
            Reject: Words did not fit, left the picture or are too small.
            BackendError: A renderer or typeface is missing.
        """
        del index
        made = self.plan(streams)
        draw = draw_html if made.renderer == "browser" else draw_typst
        drawn = draw(made.flat, made.paper, made.theme, made.scale)
        assembly = assemble(made.flat, drawn)
        finished = finish_pages(
            [assembly.painted], streams, self.config.augment, self.config.strength
        )
        page = finished.pages[0]
        seen = find(made.draft, made.flat, assembly, page)
        added = set(finished.plans[0].names)  # a second stamp would make "the stamp" unclear
        seen = replace(seen, drawings=tuple(d for d in seen.drawings if d[0] not in added))
        qa = streams.rng("qa")
        family = family_name(made.family.english)
        others = [family_name(f.english) for f in FAMILIES.values() if f is not made.family]
        quiz = Quiz(made.draft, seen, "p000", qa, family, others)
        tasks = self._tasks(quiz, Ask(page, "p000", qa, finished.is_upright))
        if not tasks:
            raise Reject("no_task", "nothing can be asked about this document")
        plan = finished.plans[0].plan
        least = smallest_text([page])
        level = min(4, 1 + (len(seen.fields) > 12) + (len(seen.fields) > 30) + bool(plan.moves))
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            lang=made.draft.locale.language,
            media=finished.media,
            gt={
                **truth(made.draft, seen),
                "template": made.template,
                "renderer": made.renderer,
                "fonts": sorted({made.theme.body, made.theme.head, made.theme.mono}),
                "handwriting": bool(made.theme.hand),
                "pages": [page_truth(page)],
                "augmentation": {
                    "profile": plan.profile,
                    "effects": sorted(finished.plans[0].names),
                    "turn": plan.turn,
                },
            },
            tasks=tuple(tasks),
            tags=(
                "document_qa",
                f"document:{made.family.name}",
                f"augment:{plan.profile}",
                f"difficulty:{level}",
            ),
            quality={"least_text_px": round(least, 2), "fields": len(seen.fields)},
        )

    def _tasks(self, quiz: Quiz, ask: Ask) -> list[Task]:
        made = _drawn(quiz, self.config.questions)
        reading = self.config.transcriptions
        if quiz.seen.checks and reading:
            task = judge.markdown_checks(quiz)
            made += [task] if task is not None else []
        elif reading:
            made += page_tasks(ask, reading)
        blocks = [b for b in ask.page.blocks if b.kind == "table" and b.cells]
        if blocks and self.config.tables:
            made += table_tasks(ask, quiz.rng.choice(blocks), self.config.tables)
        return made


def _drawn(quiz: Quiz, count: int) -> list[Task]:
    """Some questions, no two alike."""
    rng: random.Random = quiz.rng
    made: list[Task] = []
    pool = [*_MAKERS, _MAKERS[0]]
    while pool and len(made) < count:
        place = rng.choices(range(len(pool)), [weight for _, weight in pool])[0]
        maker, _ = pool.pop(place)
        task = maker(quiz)
        if task is not None and task.question not in {t.question for t in made}:
            made.append(task)
    return made


def create(config: Mapping[str, Any]) -> BusinessGenerator:
    """The generator `business` with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return BusinessGenerator("business", from_dict(BusinessConfig, config, where="business"))


def create_scan(config: Mapping[str, Any]) -> BusinessGenerator:
    """The generator `business-scan`: the same through scanners and cameras.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    given = {"augment": "mixed", **config}
    return BusinessGenerator(
        "business-scan", from_dict(BusinessConfig, given, where="business-scan")
    )
