"""The generator `html-pages`: articles laid out by a browser, with blocks, reading order, markup.

A window is opened somewhere on the page; pieces that are not fully inside are not shown. Must not
know looks or contents.

Source: data synthesis specification, section 5.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.data.convert.base import ConvertOptions
from nanovl.data.convert.sources import read_lines
from nanovl.synth.base import Reject, Requirement, Sample, Streams
from nanovl.synth.browser import BROWSER, Shot, browser
from nanovl.synth.documents.asks import Ask, page_tasks
from nanovl.synth.documents.augment import Profile
from nanovl.synth.documents.blocks import Block, from_markdown, paragraph
from nanovl.synth.documents.build import (
    Typefaces,
    check_settings,
    file_digest,
    finish_pages,
    make_sample,
)
from nanovl.synth.documents.fonts import Family
from nanovl.synth.documents.stories import Drops
from nanovl.synth.documents.tableasks import table_tasks
from nanovl.synth.documents.text import Corpus, Window
from nanovl.synth.screens.prose import KINDS, Article, article, from_text
from nanovl.synth.screens.reading import PageWindow, read_html
from nanovl.synth.screens.theme import Theme, draw_theme, resolve_faces
from nanovl.synth.screens.webpage import PageLook, draw_look, painted_page, pieces_of, web_page

__all__ = ["PagesConfig", "PagesGenerator", "create"]

_LOWEST, _HIGHEST = 640, 1280  # CSS pixels of the window


@dataclass(frozen=True, kw_only=True)
class PagesConfig:
    """Settings of `html-pages`.

    Attributes:
        kinds: Of articles, all by default.
        paths: Files of texts or pages (`.jsonl` with `text` or `html`, `title`, `lang`) whose
            windows are shown instead of our own sentences; in the configuration they become their
            SHA-256. All of them hold texts, or all of them pages.
        licence: Of these texts, written into every sample.
        fonts: Families, by default all of `theme.FACES` that are installed.
        tasks: Questions a page.
        augment, strength: See `augment.plan_augmentation`; "clean" keeps the screenshot.
        unanswerable: Share of pages with a question about what is not there.
        scale: Image pixels per CSS pixel; 0 draws 1, 1.5 or 2.
    """

    kinds: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    licence: str = ""
    fonts: tuple[str, ...] = ()
    tasks: int = 4
    augment: Profile = "clean"
    strength: float = 0.5
    unanswerable: float = 0.05
    scale: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self.augment, self.strength, "all", self.unanswerable)
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown:
            raise ConfigError(f"kinds: {unknown[0]!r} is not one of {', '.join(KINDS)}")
        if self.tasks < 1 or self.scale not in (0.0, 1.0, 1.5, 2.0):
            raise ConfigError(
                f"tasks {self.tasks}, scale {self.scale}: expected at least 1, and 0, 1, 1.5 or 2"
            )


class PagesGenerator:
    """Makes `html-pages` samples."""

    name = "html-pages"
    version = "2"
    requires: Sequence[Requirement] = BROWSER

    def __init__(self, config: PagesConfig) -> None:
        drops = Drops()
        self._windows: Sequence[Window | PageWindow] = _given(
            [Path(p) for p in config.paths], drops
        )
        self.skipped = dict(sorted(drops.counts.items()))
        self.config = replace(
            config,
            fonts=resolve_faces(config.fonts),
            paths=tuple(file_digest(path) for path in config.paths),
        )

    def generate(self, index: int, streams: Streams) -> Sample:
        """The page of an index.

        Raises:
            Reject: The browser gave up, too little is in the window, or nothing could be asked.
        """
        content, style, layout = (streams.rng(name) for name in ("content", "style", "layout"))
        kind = layout.choice(self.config.kinds or KINDS)
        group = ""
        licence = "generated"
        if not self._windows:
            said = article(content, kind)
        else:
            window = content.choice(self._windows)
            said = from_text(content, kind, _blocks(window, content), window.language)
            group = f"page:{window.document}"
            licence = self.config.licence or "as stated by the source"
        theme = draw_theme(style, self.config.fonts, dark=0.15)
        look = draw_look(style, theme, kind)
        scale = self.config.scale or style.choice((1.0, 1.0, 1.0, 1.5, 2.0))
        if look.width * scale > 1600:
            scale = 1.0
        height = round(_HIGHEST * 0.5 ** layout.random())
        shot, hidden = self._shoot(said, theme, look, height, scale, layout.random())
        painted = painted_page(shot, shot.picture(), said, look, hidden)
        if sum(len(line.words) for line in painted.lines) < 15:
            raise Reject("too_little", "less than 15 words are in the window")
        finished = finish_pages([painted], streams, self.config.augment, self.config.strength)
        qa = streams.rng("qa")
        ask = Ask(finished.pages[0], "p000", qa, finished.is_upright)
        tables = [b for b in ask.page.blocks if b.kind == "table"]
        tasks = table_tasks(ask, tables[0], 1) if len(tables) == 1 and qa.random() < 0.7 else []
        tasks += page_tasks(ask, self.config.tasks - len(tasks),
                            unanswerable=self.config.unanswerable)  # fmt: skip
        body, head = Family(theme.face), Family(theme.head)
        return make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=Typefaces((body,), (head,), (Family(theme.mono),)),
            tags=("page", f"kind:{kind}", f"theme:{'dark' if theme.is_dark else 'light'}",
                  f"columns:{look.columns}"),
            gt={"kind": kind, "scale": scale, "hidden": len(hidden)},
            lang=said.lang,
            license=licence,
            group=group,
        )  # fmt: skip

    def _shoot(
        self, said: Article, theme: Theme, look: PageLook, height: int, scale: float, place: float
    ) -> tuple[Shot, tuple[str, ...]]:
        """The window on the page, and the keys of pieces that are cut by it and so not shown."""
        page = web_page(said, theme, look)
        shot = browser().render(page, width=look.width, scale=scale)
        if shot.height <= height * scale * 1.15:
            return shot, ()
        full = round(shot.height / scale)
        top = round((full - height) * place) if place > 0.35 else 0
        low, high = top * scale, (top + height) * scale
        boxes = {e.key: e.box for e in shot.elements}
        hidden = tuple(
            piece.key
            for piece in pieces_of(said)
            if boxes[piece.key][1] < low - 1 or boxes[piece.key][3] > high + 1
        )
        page = web_page(said, theme, look, hidden=hidden)
        seen = browser().render(page, width=look.width, height=height, scale=scale, scroll=top)
        return seen, hidden


def _given(paths: Sequence[Path], drops: Drops) -> list[Window] | list[PageWindow]:
    """Windows of given texts, or of given pages; none without files."""
    if not paths:
        return []
    if _holds_pages(paths[0]):
        return read_html(paths, drops)
    corpus = Corpus(paths)
    drops.counts.update(corpus.dropped)
    return corpus.windows


def _holds_pages(path: Path) -> bool:
    first = next(iter(read_lines(path, ConvertOptions())), None)
    return first is not None and "html" in first.data


def _blocks(window: Window | PageWindow, rng: random.Random) -> list[Block]:
    """Blocks of a window; pages get their title where they have none."""
    if isinstance(window, Window):
        return from_markdown(window.text)
    blocks = list(window.blocks)
    if window.title and blocks[0].kind != "title" and rng.random() < 0.7:
        blocks.insert(0, paragraph(window.title, "title"))
    return blocks


def create(config: Mapping[str, Any]) -> PagesGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
        BackendError: A typeface that was named is not installed.
        InputError: A text file cannot be read.
    """
    return PagesGenerator(from_dict(PagesConfig, config, where="html-pages"))
