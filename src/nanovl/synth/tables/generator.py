"""The generators `tables`, `tables-html` and `tables-tex`: tables, transcriptions, questions.

The same grids are drawn by Pillow, by a browser, or set with LaTeX.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Requirement, Sample, Streams
from nanovl.synth.scenes.paint import encoded
from nanovl.synth.tables.content import build, draw_plan
from nanovl.synth.tables.forms import FORM_NAMES, forms_of, write
from nanovl.synth.tables.qa import questions
from nanovl.synth.tables.render import Renderer, draw_table
from nanovl.synth.tables.style import draw_style
from nanovl.synth.tables.transcripts import transcriptions
from nanovl.synth.typefaces import BUILTIN, FAMILIES

__all__ = ["TablesConfig", "TablesGenerator", "create", "create_html", "create_tex"]

NOTES = (
    "Note: figures may not add up because of rounding.",
    "Source: own survey.",
    "All values are invented.",
    "Preliminary figures.",
)


@dataclass(frozen=True, kw_only=True)
class TablesConfig:
    """Settings of `tables`.

    Attributes:
        fonts: Typefaces to draw from; "builtin" needs no installed font.
        most_rows: Data rows at most, 2 to 30.
        questions: Questions a table.
        transcriptions: Transcriptions a table.
        forms: Forms of transcriptions.
        multipage: Share of tables with more than six rows that go on on a second page.
        image: "png" or "jpg".
    """

    fonts: tuple[str, ...] = (
        "dejavu-sans",
        "dejavu-serif",
        "liberation-sans",
        "liberation-serif",
        "palladio",
        "schola",
        "gothic",
        "bookman",
        "dejavu-condensed",
        "liberation-mono",
    )
    most_rows: int = 20
    questions: int = 4
    transcriptions: int = 1
    forms: tuple[str, ...] = tuple(FORM_NAMES)
    multipage: float = 0.1
    image: str = "png"

    def __post_init__(self) -> None:
        for font in self.fonts:
            if font != BUILTIN and font not in FAMILIES:
                raise ConfigError(f"fonts: {font!r} does not exist{nearest(font, FAMILIES)}")
        for form in self.forms:
            if form not in FORM_NAMES:
                raise ConfigError(f"forms: {form!r} does not exist{nearest(form, FORM_NAMES)}")
        if not self.fonts:
            raise ConfigError("fonts: expected at least one typeface")
        if not 2 <= self.most_rows <= 30:
            raise ConfigError(f"most_rows: got {self.most_rows}, expected 2 to 30")
        if not 0 <= self.multipage <= 1:
            raise ConfigError(f"multipage: got {self.multipage}, expected 0 to 1")
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")


class TablesGenerator:
    """Makes samples of tables.

    Args:
        config: Settings.
        render: How tables are drawn.
        name: Of the generator.
        requires: What drawing needs.
    """

    version = "2"

    def __init__(
        self,
        config: TablesConfig,
        render: Renderer = draw_table,
        name: str = "tables",
        requires: tuple[Requirement, ...] = (),
    ) -> None:
        self.config = config
        self.render = render
        self.name = name
        self.requires = requires

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: The table could not be built or would be too large.
            BackendError: A typeface is not installed.
        """
        config = self.config
        style = draw_style(streams.rng("style"), config.fonts)
        rng = streams.rng("content")
        plan = draw_plan(rng, is_plain=style.family == BUILTIN, most_rows=config.most_rows)
        table = build(plan, rng)
        layout = streams.rng("layout")
        if layout.random() < 0.2 and table.width > 3:
            table = replace(table, notes=(layout.choice(NOTES),))
        rows = table.height - table.head
        split = rows > 6 and layout.random() < config.multipage
        rendered = self.render(table, style, rows_a_page=(rows + 1) // 2 if split else 1000)
        names = (
            ("image",)
            if len(rendered.pages) == 1
            else tuple(f"page{k + 1}" for k in range(len(rendered.pages)))
        )
        qa = streams.rng("qa")
        tasks = questions(table, rendered, qa, config.questions, names)
        tasks += transcriptions(table, rendered, qa, config.transcriptions, names, config.forms)
        pages = rendered.to_json(table)
        gt: dict[str, Any] = {
            **table.to_json(),
            "cells": pages[0]["cells"],
            "bbox": pages[0]["bbox"],
            "caption": pages[0]["caption"],
            "pages": pages,
            "forms": {form: write(table, form) for form in forms_of(table) if form != "json"},
            "style": {"borders": style.borders, "font": style.family, "size": style.size},
        }
        media = [
            encoded(page.image, name, config.image)
            for page, name in zip(rendered.pages, names, strict=True)
        ]
        level = min(4, 1 + (table.width * table.height > 24) + table.has_spans + split)
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=gt,
            tasks=tuple(tasks),
            media=tuple(media),
            tags=(f"table:{plan.subject.family}", f"difficulty:{level}"),
            quality={"text_px": style.size},
        )


def create(config: Mapping[str, Any]) -> TablesGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return TablesGenerator(from_dict(TablesConfig, config, where="tables"))


def create_html(config: Mapping[str, Any]) -> TablesGenerator:
    """`tables-html` with these settings: drawn by a headless browser.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    from nanovl.synth.browser import BROWSER
    from nanovl.synth.tables.html import draw_with_browser

    found = from_dict(TablesConfig, config, where="tables-html")
    return TablesGenerator(found, draw_with_browser, "tables-html", BROWSER)


def create_tex(config: Mapping[str, Any]) -> TablesGenerator:
    """`tables-tex` with these settings: set with LaTeX, every table on one page.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    from nanovl.synth.tables.latex import LATEX, draw_with_latex

    found = from_dict(TablesConfig, {"multipage": 0.0, **config}, where="tables-tex")
    return TablesGenerator(found, draw_with_latex, "tables-tex", (LATEX,))
