"""Draws a page with the browser: tree to HTML, picture and words back.

Texts and drawings carry their keys as `data-gt`; words come from the ranges of the laid-out text.
Must not look at what a page says.

Source: data synthesis specification, sections 8 (text ranges) and 9.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nanovl.synth.base import Box
from nanovl.synth.browser import browser
from nanovl.synth.business.family import Paper
from nanovl.synth.business.nodes import Flat
from nanovl.synth.business.theme import CSS_NAMES, Theme

__all__ = ["Drawn", "draw_html", "page_html"]

_JUSTIFY = {"left": "start", "center": "center", "right": "end"}
_VALIGN = {"top": "start", "middle": "center", "bottom": "end", "stretch": "stretch"}


@dataclass(frozen=True)
class Drawn:
    """A page as a picture.

    Attributes:
        image: RGB.
        words: Of every key of a text: words and their boxes in pixels.
        boxes: Of drawings, check boxes, tables and table cells ("t3:0:1").
    """

    image: Image.Image
    words: Mapping[str, list[tuple[str, Box]]]
    boxes: Mapping[str, Box]


def _data(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _words(text: str) -> str:
    """A text as HTML whose words are not broken at hyphens."""
    return " ".join(
        f"<u>{html.escape(word)}</u>" if any(mark in word for mark in "-/?") else html.escape(word)
        for word in text.split()
    )


class _Writer:
    def __init__(self, theme: Theme, zoom: float) -> None:
        self.size = theme.size * zoom
        self.faces = {
            "body": CSS_NAMES[theme.body],
            "head": CSS_NAMES[theme.head],
            "mono": CSS_NAMES[theme.mono],
            "hand": theme.hand or CSS_NAMES[theme.body],
        }

    def __call__(self, n: Mapping[str, Any]) -> str:
        made: str = getattr(self, n["n"])(n)
        return made

    def text(self, n: Mapping[str, Any]) -> str:
        style = f"font-size:{n['size'] * self.size:.2f}px;text-align:{n['align']};"
        style += "font-weight:bold;" if n["bold"] else ""
        style += "font-style:italic;" if n["italic"] else ""
        style += f"color:{n['colour']};" if n["colour"] else ""
        style += "white-space:nowrap;" if n["keep"] else ""
        if n["face"] != "body":
            style += f"font-family:'{self.faces[n['face']]}';"
        return f'<div style="{style}">{self._spans(n["s"])}</div>'

    def _spans(self, spans: list[dict[str, Any]]) -> str:
        made = []
        for s in spans:
            if "br" in s:
                made.append("<br>")
                continue
            if "svg" in s:
                made.append(f'<img class="ck" data-gt="{s["k"]}" src="{_data(s["svg"])}">')
                continue
            style = "font-weight:bold;" if s["b"] else ""
            style += "font-style:italic;" if s["i"] else ""
            style += f"color:{s['c']};" if s["c"] else ""
            styled = f' style="{style}"' if style else ""
            made.append(f'<span data-gt="{s["k"]}"{styled}>{_words(s["t"])}</span>')
        return " ".join(made)

    def draw(self, n: Mapping[str, Any]) -> str:
        return (
            f'<div style="display:flex;justify-content:{_JUSTIFY[n["align"]]}"><img '
            f'data-gt="{n["k"]}" src="{_data(n["svg"])}" '
            f'style="width:{n["w"]:g}px;height:{n["h"]:g}px"></div>'
        )

    def stack(self, n: Mapping[str, Any]) -> str:
        inner = "".join(map(self, n["c"]))
        return f'<div style="display:flex;flex-direction:column;gap:{n["gap"]:g}px">{inner}</div>'

    def row(self, n: Mapping[str, Any]) -> str:
        widths = " ".join("auto" if w == 0 else f"minmax(0,{w:g}fr)" for w in n["w"])
        cells = "".join(f'<div class="c">{self(c)}</div>' for c in n["c"])
        return (
            f'<div style="display:grid;grid-template-columns:{widths};column-gap:{n["gap"]:g}px;'
            f'align-items:{_VALIGN[n["valign"]]}">{cells}</div>'
        )

    def frame(self, n: Mapping[str, Any]) -> str:
        style = f"padding:{n['pad'][1]:g}px {n['pad'][0]:g}px;"
        style += f"background:{n['fill']};" if n["fill"] else ""
        style += f"color:{n['ink']};" if n["ink"] else ""
        style += f"border-radius:{n['radius']:g}px;" if n["radius"] else ""
        sides = {"t": "top", "r": "right", "b": "bottom", "l": "left"}
        if n["line"]:
            for side in n["sides"]:
                style += f"border-{sides[side]}:{n['thick']:g}px solid {n['line']};"
        return f'<div class="f" style="{style}">{self(n["c"])}</div>'

    def rule(self, n: Mapping[str, Any]) -> str:
        kind = "dashed" if n["dashed"] else "solid"
        return f'<div style="border-top:{n["thick"]:g}px {kind} {n["colour"]};height:0"></div>'

    def gap(self, n: Mapping[str, Any]) -> str:
        return f'<div style="height:{n["h"]:g}px"></div>'

    def grid(self, n: Mapping[str, Any]) -> str:
        look, key = n["look"], n["k"]
        line = f"{look.get('thick', 1):g}px solid {look.get('line', '#999999')}"
        pad = f"padding:{look['pad_y']:g}px {look['pad_x']:g}px;"
        cell = pad + (f"border-bottom:{line};" if look.get("rows") else "")
        cell += f"border-right:{line};" if look.get("columns") else ""
        head = pad + f"border-bottom:{line};"
        head += f"border-right:{line};" if look.get("columns") else ""
        head += f"background:{look['fill']};" if look.get("fill") else ""
        head += f"color:{look['ink']};" if look.get("ink") else ""
        head += "font-weight:bold;" if look.get("bold_head") else "font-weight:normal;"
        out = [
            f'<table data-gt="{key}" style="font-size:{n["size"] * self.size:.2f}px;'
            f"font-family:'{self.faces[n['face']]}';"
            + (f"border:{line};" if look.get("frame") else "")
            + '"><tr>'
        ]
        for k, s in enumerate(n["head"]):
            style = f"{head}text-align:{n['align'][k]};"
            style += "width:100%;" if n["w"][k] and sum(map(bool, n["w"])) == 1 else ""
            out.append(
                f'<td data-gt="{key}:-1:{k}" style="{style}">{self._spans([s]) if s["t"] else ""}'
                "</td>"
            )
        out.append("</tr>")
        for r, row in enumerate(n["rows"]):
            shade = f"background:{look['zebra']};" if look.get("zebra") and r % 2 else ""
            out.append("<tr>")
            for k, span in enumerate(row):
                keep = "white-space:nowrap;" if n["align"][k] == "right" or not n["w"][k] else ""
                style = f"{cell}{shade}{keep}text-align:{n['align'][k]};"
                inner = self._spans([span]) if span else ""
                out.append(f'<td data-gt="{key}:{r}:{k}" style="{style}">{inner}</td>')
            out.append("</tr>")
        return "".join([*out, "</table>"])


def page_html(flat: Flat, paper: Paper, theme: Theme) -> str:
    """A page as HTML with its style inside."""
    writer = _Writer(theme, paper.zoom)
    return (
        "<!doctype html><html><head><meta charset='utf-8'><style>"
        f"*{{box-sizing:border-box}}body{{margin:0;background:{theme.paper};color:{theme.ink};"
        f"font-family:'{writer.faces['body']}';font-size:{writer.size:g}px;line-height:1.32}}"
        f"#page{{width:{paper.width}px;min-height:{paper.height}px;"
        f"padding:{paper.pad[1]:g}px {paper.pad[0]:g}px}}"
        "table{border-collapse:collapse;width:100%}td{vertical-align:top}"
        ".c{min-width:0;display:grid}.c>*{min-width:0}"
        "u{text-decoration:none;white-space:nowrap}"
        ".ck{width:1em;height:1em;vertical-align:-0.14em;margin-right:3px}"
        f"</style></head><body><div id='page' data-gt='page'>{writer(flat.tree)}</div>"
        "</body></html>"
    )


def draw_html(flat: Flat, paper: Paper, theme: Theme, scale: float) -> Drawn:
    """A page drawn by the browser.

    Raises:
        BackendError: No browser.
        Reject: The browser failed twice.
    """
    shot = browser().render(
        page_html(flat, paper, theme), width=paper.width, scale=scale, clip="page"
    )
    words: dict[str, list[tuple[str, Box]]] = {}
    for word in shot.words:
        words.setdefault(word.element, []).append((word.text, word.box))
    boxes = {e.key: e.box for e in shot.elements}
    return Drawn(shot.picture(), words, boxes)
