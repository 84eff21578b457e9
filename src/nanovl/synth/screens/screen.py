"""One screen as HTML: which family, language, looks and window, drawn once and built from them.

The same plan gives the same screen again, also with one state changed, which is what a screen looks
like after an action. Must not render.

Source: data synthesis specification, section 8 (page grammar).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.synth.screens.dom import Node, Raw, h, html_of, short_html
from nanovl.synth.screens.office import OFFICE
from nanovl.synth.screens.sheet import style_sheet
from nanovl.synth.screens.sites import SITES, overlay
from nanovl.synth.screens.theme import Theme, draw_theme
from nanovl.synth.screens.ui import Ui
from nanovl.synth.screens.words import Vocabulary

__all__ = ["FAMILIES", "Built", "Plan", "build", "draw_plan"]

FAMILIES = dict(sorted({**OFFICE, **SITES}.items()))
_PHONES = ("feed", "phone", "weather")
_SMALL = ("login", "settings", "form")
_PHONE_SIZES = ((360, 640), (360, 740), (375, 667), (390, 844), (412, 732), (430, 932))
_SIZES = ((1024, 640), (1024, 768), (1100, 700), (1200, 760), (1280, 720), (1280, 800), (1366, 768),
          (1440, 900), (1600, 900))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a screen is going to be.

    Attributes:
        family: A key of `FAMILIES`.
        lang: Of its texts.
        theme: Looks.
        width: CSS pixels.
        height: CSS pixels; None shows the whole page.
        scale: Image pixels per CSS pixel.
        has_overlay: Whether something lies over it.
        coloured_bar: Whether the top bar has the accent colour.
        content, layout: Seeds of texts and arrangement.
    """

    family: str
    lang: str
    theme: Theme
    width: int
    height: int | None
    scale: float
    has_overlay: bool
    coloured_bar: bool
    content: int
    layout: int

    @property
    def look(self) -> str:
        """A few words on window and colours."""
        form = "telephone" if self.width < 500 else "window"
        return f"{'dark' if self.theme.is_dark else 'light'} {form}"


@dataclass(frozen=True)
class Built:
    """A screen as HTML, and its builder with everything it knows."""

    ui: Ui
    html: str
    short: str


def draw_plan(
    style: random.Random,
    layout: random.Random,
    content: random.Random,
    *,
    families: Sequence[str],
    languages: Sequence[str],
    faces: tuple[str, ...],
    overlays: float,
    max_side: int,
) -> Plan:
    """A random plan.

    Args:
        style, layout, content: Generators of these streams.
        families, languages, faces: To choose from.
        overlays: Share of screens with something over them.
        max_side: Most image pixels of a side of the window.
    """
    family = layout.choice(families)
    is_phone = family in _PHONES
    width, height = layout.choice(_PHONE_SIZES if is_phone else _SIZES)
    whole: int | None = height
    if family in _SMALL and layout.random() < 0.6:
        width = layout.randrange(420, 900, 20)
        whole = None
    elif layout.random() < 0.4:
        whole = None
    scales = (1.5, 2.0, 2.0) if is_phone else (1.0, 1.0, 1.0, 1.0, 1.5)
    scale = style.choice(scales)
    if max(width, height) * scale > max_side:
        scale = 1.0
    return Plan(
        family=family,
        lang=content.choice(languages),
        theme=draw_theme(style, faces, compact=not is_phone),
        width=width,
        height=whole,
        scale=scale,
        has_overlay=layout.random() < overlays,
        coloured_bar=style.random() < 0.25,
        content=content.getrandbits(63),
        layout=layout.getrandbits(63),
    )


def build(plan: Plan, changed: Mapping[str, Any] | None = None) -> Built:
    """The screen of a plan.

    Args:
        plan: What it is.
        changed: States by key or group that an action has changed.
    """
    say = Vocabulary(random.Random(plan.content), plan.lang)
    ui = Ui(say, random.Random(plan.layout), plan.theme, changed)
    body = FAMILIES[plan.family](ui)
    layers = [body]
    if plan.has_overlay:
        layers.append(overlay(ui))
    sheet = style_sheet(plan.theme, coloured_bar=plan.coloured_bar)
    look = "whole" if plan.height is None else "window"
    page = Node(
        "html",
        {"lang": plan.lang},
        [
            h("head", h("meta", charset="utf-8"), h("style", Raw(sheet), short=None), short=None),
            h("body", *layers, cls=look, short=""),
        ],
        short="",
    )
    return Built(ui, "<!doctype html>" + html_of(page), short_html(body))
