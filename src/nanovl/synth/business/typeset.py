"""Draws a page with Typst: the tree goes in as JSON, marks of every word come back.

One template (`page.typ`) walks the tree. Fonts are found once per process. Must not look at what a
page says.

Source: data synthesis specification, section 9 (Typst).
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from nanovl.core.errors import missing_extra
from nanovl.synth.base import Box, Reject
from nanovl.synth.business.family import Paper
from nanovl.synth.business.html import Drawn
from nanovl.synth.business.nodes import Flat
from nanovl.synth.business.theme import CSS_NAMES, HAND_FAMILY, Theme
from nanovl.synth.typefaces import font_file

__all__ = ["draw_typst", "page_pdf"]

_TEMPLATE = Path(__file__).with_name("page.typ")
_PX = 0.75  # points of a CSS pixel


@lru_cache(maxsize=1)
def _fonts() -> Any:
    """The typefaces of our list, found once."""
    try:
        import typst
    except ImportError as error:
        raise missing_extra("typst", "synth", "typesetting documents") from error
    folders = sorted({str(font_file(name).parent) for name in (*CSS_NAMES, HAND_FAMILY)})
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)


def _engine(flat: Flat, paper: Paper, theme: Theme) -> Any:
    """A compiler for one page."""
    fonts = _fonts()
    import typst

    return typst.Compiler(
        str(_TEMPLATE),
        root=str(_TEMPLATE.parent),
        font_paths=fonts,
        sys_inputs=_inputs(flat, paper, theme),
    )


def _inputs(flat: Flat, paper: Paper, theme: Theme) -> dict[str, str]:
    page = {
        "tree": flat.tree,
        "width": paper.width,
        "pad": list(paper.pad),
        "size": theme.size * paper.zoom,
        "paper": theme.paper,
        "ink": theme.ink,
        "faces": {
            "body": CSS_NAMES[theme.body],
            "head": CSS_NAMES[theme.head],
            "mono": CSS_NAMES[theme.mono],
            "hand": theme.hand or CSS_NAMES[theme.body],
        },
    }
    return {"page": json.dumps(page)}


def page_pdf(flat: Flat, paper: Paper, theme: Theme) -> bytes:
    """A page as PDF."""
    made = _engine(flat, paper, theme).compile(format="pdf", timestamp=0)
    assert isinstance(made, bytes)
    return made


def draw_typst(flat: Flat, paper: Paper, theme: Theme, scale: float) -> Drawn:
    """A page drawn by Typst.

    Args:
        flat, paper, theme: What is drawn.
        scale: Image pixels per CSS pixel.

    Raises:
        BackendError: The package or a typeface is missing.
        Reject: The page went over to a second one.
    """
    engine = _engine(flat, paper, theme)
    made = engine.compile(format="png", ppi=96 * scale)
    if not isinstance(made, bytes):
        raise Reject("two_pages", "the page does not fit one sheet")
    image = Image.open(io.BytesIO(made)).convert("RGB")
    factor = scale / _PX
    words: dict[str, list[tuple[str, Box]]] = {}
    boxes: dict[str, Box] = {}
    texts = {leaf.key: leaf.text.split() for leaf in flat.leaves}
    for name, number, x, y, width, height in json.loads(engine.query("<w>", field="value")):
        key = name.replace("\u2212", "-")  # Typst writes numbers with a true minus
        box = (x * factor, y * factor, (x + width) * factor, (y + height) * factor)
        if ":" in key:  # corners of a table cell
            boxes[key] = (*boxes[key][:2], *box[2:]) if number else box
        elif width and key in texts:
            boxes[key] = box
            if number < len(texts[key]):
                words.setdefault(key, []).append((texts[key][number], box))
    for block in sorted({key.split(":")[0] for key in boxes if ":" in key}):
        cells = [box for key, box in boxes.items() if key.startswith(f"{block}:")]
        x0, y0, x1, y1 = zip(*cells, strict=True)
        boxes[block] = (min(x0), min(y0), max(x1), max(y1))
    return Drawn(image, words, boxes)
