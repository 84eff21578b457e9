"""Names of all generators. Assembled by imports; a new generator gets a line here.

Must not import a generator before it is asked for: some of them load renderers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Generator

__all__ = ["GENERATORS", "Entry", "create"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where a generator is.

    Attributes:
        module: Below `nanovl.synth`.
        factory: A function or class there that takes settings as a mapping.
        description: One line.
    """

    module: str
    factory: str
    description: str


GENERATORS: dict[str, Entry] = {
    name: Entry(module=module, factory=factory, description=description)
    for name, module, factory, description in (
        ("business", "business.generator", "create", "invoices, forms, cards: fields and links"),
        ("business-scan", "business.generator", "create_scan", "the same, scanned or photographed"),
        ("charts", "charts.generator", "create", "charts by matplotlib, with data and questions"),
        ("charts-drawn", "charts.generator", "create_drawn", "charts by our own small renderer"),
        ("charts-vega", "charts.generator", "create_vega", "charts by Vega-Lite"),
        ("formulas", "papers.sheets", "create", "single formulas and their LaTeX, in batches"),
        ("html-pages", "screens.pages", "create", "article pages laid out by a browser"),
        ("multi-image", "multipage.albums", "create", "several pictures: compare, sort, tell"),
        ("multipage", "multipage.generator", "create", "documents of many pages, asked across"),
        ("ocr-line", "documents.ocrpage", "ocr_line", "one line of random text"),
        ("ocr-page", "documents.ocrpage", "ocr_page", "pages of random text, easy to hard"),
        ("ocr-scene", "documents.scenepage", "SceneGenerator", "text on photographed paper"),
        ("ocr-word", "documents.ocrpage", "ocr_word", "one word"),
        ("papers", "papers.generator", "create", "made-up LaTeX papers, every block known"),
        (
            "render-charts",
            "charts.rendered",
            "TableChartGenerator",
            "numbers of tables as charts, with data and questions",
        ),
        (
            "render-passages",
            "documents.rendered",
            "PassageGenerator",
            "passages as pages, with the questions people asked about them",
        ),
        (
            "render-problems",
            "documents.renderproblems",
            "ProblemGenerator",
            "problems, functions and requests as pages, with what is right",
        ),
        (
            "render-tables",
            "documents.rendertables",
            "TableGenerator",
            "tables as pictures, with the questions people asked about them",
        ),
        ("render-text", "documents.rendered", "TextGenerator", "texts as pages"),
        ("scenes-2d", "scenes.generator", "create", "shapes: counting, relations, grounding"),
        ("scenes-geometry", "scenes.geometry_tasks", "create", "geometry figures, solved"),
        ("screens", "screens.generator", "create", "screens of programs and sites, laid out"),
        ("tables", "tables.generator", "create", "tables with spans, markup and questions"),
        ("tables-html", "tables.generator", "create_html", "the same, drawn by a browser"),
        ("tables-tex", "tables.generator", "create_tex", "the same, set with LaTeX"),
        ("text-code", "text.code", "create", "programs with executed answers"),
        ("text-expressions", "text.expressions", "create", "algebra, checked by numbers"),
        ("text-instructions", "text.instructions", "create", "instructions that can be checked"),
        ("text-longctx", "text.longctx", "create", "long contexts: needles, tracing, counting"),
        ("text-maths", "text.maths", "create", "word problems with worked solutions"),
        ("text-tools", "text.tools", "create", "tool-calling dialogues"),
        ("video-shapes", "video.shapes", "create", "moving shapes with an event log"),
        ("video-slides", "video.slides", "create", "slide talks, narrated where possible"),
        ("video-ticker", "video.ticker", "create", "counters, clocks and traffic lights"),
    )
}


def create(name: str, config: Mapping[str, Any] | None = None) -> Generator:
    """The generator of that name.

    Args:
        name: One of `GENERATORS`.
        config: Its settings.

    Raises:
        ConfigError: Unknown name or setting.
    """
    entry = GENERATORS.get(name)
    if entry is None:
        raise ConfigError(
            f"generator {name!r}: expected one of {', '.join(sorted(GENERATORS))}"
            f"{nearest(name, GENERATORS)}"
        )
    factory = getattr(import_module(f"nanovl.synth.{entry.module}"), entry.factory)
    return cast(Generator, factory(dict(config or {})))
