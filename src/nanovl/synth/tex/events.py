"""Reads what the hooks recorded: fonts, maths lists, paragraphs, and the pieces of every page.

Turns TeX's scaled points into page points (1/72 inch, origin top left, y down), applies rotations
and other matrices, and gives every glyph its text. Knows nothing of blocks or classes' meaning.

Source: data synthesis specification, sections 2.3, 3.7, 3.8.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nanovl.synth.base import Reject
from nanovl.synth.tex.glyphs import UNKNOWN, glyph_name, opentype_text, tfm_text
from nanovl.synth.tex.indic import has_indic, to_reading_order

__all__ = [
    "Cell",
    "Font",
    "Item",
    "Maths",
    "RawPage",
    "Recording",
    "Row",
    "State",
    "read_recording",
]

SP = 65781.76  # scaled points in a page point
# What the engine called its maths characters (nanovl-gt-maths.lua, mathnames.py).
_NAMES = {"symbols", "delimiters", "accents", "keys", "alphabets", "families", "muskips"}
# Brackets between letters from right to left are printed by the glyph of their counterpart.
_MIRRORED = str.maketrans("()[]{}<>\u00ab\u00bb\u2039\u203a", ")(][}{><\u00bb\u00ab\u203a\u2039")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_OPERATOR = re.compile(rf"((?:{_NUMBER}\s+){{6}})cm\b|(?<![\w.])([qQ])(?![\w.])")


class State(NamedTuple):
    """Attributes of a piece; 0 where nothing was set.

    Lines made outside paragraphs have negative `par` numbers.
    """

    klass: int = 0
    inst: int = 0
    table: int = 0
    float_: int = 0
    tag: int = 0
    style: int = 0
    list_: int = 0
    math: int = 0
    soft: int = 0
    par: int = 0
    line: int = 0
    row: int = 0
    cell: int = 0
    column: int = 0


class Item:
    """One piece of a page.

    Attributes:
        kind: "glyph", "space", "rule", "image", "form" or "picture" (extent of a drawing).
        text: Characters of a glyph, " " of a space.
        x, y: Origin on the baseline, page points.
        width: Advance.
        box: (x0, y0, x1, y1), page points.
        state: Attributes.
        font: Of a glyph.
        code: Glyph number in the font.
        is_turned: A matrix other than a shift was applied.
        is_leader: Repeated along a line of dots.
        turn: Matrix (a, b, c, d) that applies to a turned piece, y up.
    """

    __slots__ = (
        "box", "code", "font", "is_leader", "is_turned", "kind", "quad", "state", "text", "turn",
        "width", "x", "y",
    )  # fmt: skip

    def __init__(
        self, kind: str, text: str, x: float, y: float, width: float,
        box: tuple[float, float, float, float], state: State,
        font: Font | None = None, code: int = 0,
    ) -> None:  # fmt: skip
        self.kind, self.text, self.x, self.y, self.width = kind, text, x, y, width
        self.box, self.state, self.font, self.code = box, state, font, code
        self.is_turned = self.is_leader = False
        self.turn: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
        self.quad: tuple[tuple[float, float], ...] | None = None

    def transform(self, m: Sequence[float], px: float, py: float) -> None:
        """Apply a matrix about a point; the matrix thinks of y as pointing up."""
        a, b, c, d, e, f = m
        if (a, b, c, d) == (1, 0, 0, 1):
            self.x += e
            self.y -= f
            x0, y0, x1, y1 = self.box
            self.box = (x0 + e, y0 - f, x1 + e, y1 - f)
            if self.quad:
                self.quad = tuple((x + e, y - f) for x, y in self.quad)
            return

        def point(x: float, y: float) -> tuple[float, float]:
            dx, dy = x - px, py - y
            return px + a * dx + c * dy + e, py - (b * dx + d * dy + f)

        x0, y0, x1, y1 = self.box
        corners = self.quad or ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        self.quad = tuple(point(x, y) for x, y in corners)
        xs, ys = [q[0] for q in self.quad], [q[1] for q in self.quad]
        self.box = (min(xs), min(ys), max(xs), max(ys))
        self.x, self.y = point(self.x, self.y)
        ta, tb, tc, td = self.turn
        self.turn = (a * ta + c * tb, b * ta + d * tb, a * tc + c * td, b * tc + d * td)
        self.is_turned = abs(b) > 1e-6 or abs(c) > 1e-6 or a < 0 or d < 0 or self.is_turned


@dataclass(slots=True)
class Font:
    """A font of the document.

    Attributes:
        number: The engine's.
        name: Metric file or request.
        ps_name: PostScript name, when known.
        size: Points (1/72 inch).
        is_wide: OpenType or TrueType.
        sizes: Code -> (width, height, depth), page points.
        ink: Code -> (left, right) edge of the ink from the origin, where the font says.
        texts: Code -> characters.
        parts: Code -> pieces of a virtual character: (font number, code, dx, dy), page points.
        chain: Code of a larger size -> code of the size that has a name.
        style: Bold 1, italic 2, mono 4; None until somebody asks (`richtext.font_style`).
        nfss: What LaTeX selected it by: encoding/family/series/shape/size, or "".
    """

    number: int
    name: str
    ps_name: str
    size: float
    is_wide: bool
    quad: float
    is_slanted: bool
    sizes: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    ink: dict[int, tuple[float, float]] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    parts: dict[int, list[tuple[int, int, float, float]]] = field(default_factory=dict)
    style: int | None = None
    chain: dict[int, int] = field(default_factory=dict)
    nfss: str = ""

    @property
    def style_name(self) -> str:
        """Lower-case name that tells bold from italic."""
        return (self.ps_name or self.name).lower()


@dataclass(slots=True)
class Maths:
    """One maths list before it became boxes; `big` is the size amsmath makes \\big of, or 0."""

    number: int
    is_display: bool
    source_line: int
    quad: float
    tree: list[Any]
    big: float = 0.0


@dataclass(slots=True)
class Row:
    """A row of an alignment: box in page points, the cell it is nested in, its table."""

    number: int
    outer_row: int
    outer_cell: int
    table: int
    box: tuple[float, float, float, float]
    cells: list[Cell] = field(default_factory=list)


@dataclass(slots=True)
class Cell:
    """A cell of a row; `is_null` continues a cell that spans columns."""

    number: int
    is_null: bool
    align: str
    box: tuple[float, float, float, float]


@dataclass(slots=True)
class RawPage:
    """One page as shipped out; sizes in page points; `frame` numbers slides, else 0."""

    number: int
    folio: int
    width: float
    height: float
    rotation: int
    items: list[Item]
    rows: dict[int, Row]
    frame: int = 0


@dataclass(slots=True)
class Recording:
    """A whole document as recorded."""

    pages: list[RawPage]
    fonts: dict[int, Font]
    maths: dict[int, Maths]
    floats: dict[int, str]
    multirows: dict[int, int]
    paragraphs: dict[int, tuple[int, str]]
    unknown: Counter[str]
    is_complete: bool
    engine_cpu_s: float = 0.0
    names: dict[str, list[Any]] = field(default_factory=dict)


def read_recording(path: Path) -> Recording:
    """Read the hooks' file.

    Raises:
        Reject: There is none ("no_pages"), or it is not what the hooks write ("recording").
    """
    if not path.is_file():
        raise Reject("no_pages", "the run recorded nothing")
    recording = Recording([], {}, {}, {}, {}, {}, Counter(), False)
    raw_pages: list[list[Any]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                _take(recording, raw_pages, event)
        recording.pages = [_page(raw, recording) for raw in raw_pages]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Reject("recording", f"{path.name} is damaged ({type(error).__name__})") from error
    return recording


def _take(recording: Recording, raw_pages: list[list[Any]], event: list[Any]) -> None:
    kind = event[0]
    if kind == "page":
        raw_pages.append(event)
    elif kind == "math":
        _, number, style, source_line, quad, tree, *big = event
        entry = Maths(number, style == "display", source_line, quad / SP, tree)
        entry.big = big[0] / SP if big else 0.0
        recording.maths[number] = entry
    elif kind == "par":
        recording.paragraphs[event[1]] = (event[2], event[3])
    elif kind == "font":
        _font(recording, event)
    elif kind == "chain":
        recording.fonts[event[1]].chain.update({code: root for code, root in event[2]})
    elif kind == "nfss":
        recording.fonts[event[1]].nfss = event[2]
    elif kind in _NAMES:
        recording.names[kind] = event[1]
    elif kind == "meta" and event[1] == "float":
        recording.floats[event[2]] = event[3]
    elif kind == "meta" and event[1] == "multirow":
        recording.multirows[event[2]] = int(re.sub(r"[^-\d]", "", event[3]) or 1)
    elif kind == "end":
        recording.is_complete = True
        recording.engine_cpu_s = float(event[2])


def _font(recording: Recording, event: list[Any]) -> None:
    _, number, name, ps_name, _, size, is_wide, _, quad, is_slanted, chars = event
    font = Font(number, name, ps_name, size / SP, is_wide == 2, quad / SP, bool(is_slanted))
    for code, width, height, depth, to_unicode, parts, *ink in chars:
        font.sizes[code] = (width / SP, height / SP, depth / SP)
        if ink and ink[1] > ink[0]:
            font.ink[code] = (ink[0] / SP, ink[1] / SP)
        if parts:
            font.parts[code] = [(p[0], p[1], p[2] / SP, p[3] / SP) for p in parts if len(p) == 4]
        if font.is_wide:
            font.texts[code] = _letters(opentype_text(code, to_unicode))
        elif not parts:
            text = tfm_text(name, code)
            if text == UNKNOWN and to_unicode:
                text = opentype_text(0xE000, to_unicode)
            font.texts[code] = text
        elif font.parts.get(code):
            font.texts[code] = ""  # filled in when every base font is known
        else:
            font.texts[code] = "_"  # a rule alone
    recording.fonts[number] = font


def _letters(text: str) -> str:
    """Arabic letters without their place in the word, which the glyph tells and text does not."""
    if any("\ufb50" <= c <= "\ufdff" or "\ufe80" <= c <= "\ufefc" for c in text):
        return unicodedata.normalize("NFKC", text)
    return text


def _finish_fonts(recording: Recording) -> None:
    for font in recording.fonts.values():
        for code, parts in font.parts.items():
            if font.is_wide or font.texts.get(code):
                continue
            pieces = []
            for base, base_code, _, _ in parts:
                other = recording.fonts.get(base)
                text = other.texts.get(base_code, "") if other else ""
                pieces.append(text or UNKNOWN)
            own = tfm_text(font.name, code)
            text = "".join(_plain_letter(piece) for piece in pieces)
            font.texts[code] = own if UNKNOWN in text and own != UNKNOWN else text
    for font in recording.fonts.values():
        for code, root in font.chain.items():
            if UNKNOWN in font.texts.get(code, UNKNOWN):
                font.texts[code] = font.texts.get(root, UNKNOWN)


def _plain_letter(text: str) -> str:
    """Letters of maths alphabets as plain ones: the font already says how they look."""
    if text == "\u210e" or (len(text) == 1 and "\U0001d400" <= text <= "\U0001d7ff"):
        return unicodedata.normalize("NFKC", text)
    return text


def _page(raw: list[Any], recording: Recording) -> RawPage:
    if not recording.pages and raw[1] == 1:
        _finish_fonts(recording)
    _, number, folio, width, height, rotation, events, *frame = raw
    page = RawPage(number, folio, width / SP, height / SP, rotation % 360, [], {})
    page.frame = frame[0] if frame else 0
    items, rows, fonts = page.items, page.rows, recording.fonts
    state = State()
    leaders = 0
    is_mirrored = False
    saved: list[int] = []  # lengths of `matrices` at each save
    matrices: list[tuple[int, tuple[float, ...], float, float, int]] = []
    spans: list[Row | Cell] = []  # rows and cells are turned with what they hold
    missing = (0.0, 0.0, 0.0)

    def restore() -> None:
        keep = saved.pop() if saved else 0
        while len(matrices) > keep:
            first, matrix, px, py, since = matrices.pop()
            for item in items[first:]:
                item.transform(matrix, px, py)
            for span in spans[since:]:
                span.box = _turned(span.box, matrix, px, py)

    for event in events:
        head = event[0]
        if head.__class__ is int:
            _, code, x, y, w = event
            x, y, w = x / SP, y / SP, w / SP
            font = fonts[head]
            _, h, d = font.sizes.get(code, missing)
            left, right = font.ink.get(code, (0.0, w))
            text = font.texts.get(code, UNKNOWN)
            item = Item(
                "glyph", text.translate(_MIRRORED) if is_mirrored else text, x, y, w,
                (x + left, y - h, x + right, y + d), state, font, code,
            )  # fmt: skip
            item.is_leader = leaders > 0
            if item.text == UNKNOWN and state.klass != 7:
                recording.unknown[f"{font.name}:{code}:{glyph_name(font.name, code)}"] += 1
            items.append(item)
        elif head == "s":
            state = State(*event[1:])
        elif head == "_":
            x, y, w = event[1] / SP, event[2] / SP, event[3] / SP
            items.append(Item("space", " ", x, y, w, (x, y, x + w, y), state))
        elif head in ("u", "i", "b"):
            x, y, w, h, d = (v / SP for v in event[1:])
            kind = {"u": "rule", "i": "image", "b": "form"}[head]
            items.append(Item(kind, "", x, y, w, (x, y - h, x + w, y + d), state))
        elif head == "p":
            x, y, w, h, d = (v / SP for v in event[2:])
            items.append(Item("picture", "", x, y, w, (x, y - h, x + w, y + d), state))
        elif head == "r":
            _, row, outer_row, outer_cell, table, x, y, w, h, d = event
            x, y, w, h, d = (v / SP for v in (x, y, w, h, d))
            rows[row] = Row(row, outer_row, outer_cell, table, (x, y - h, x + w, y + d))
            spans.append(rows[row])
        elif head == "c":
            _, cell, row, is_full, left, right, x, y, w, h, d = event
            x, y, w, h, d = (v / SP for v in (x, y, w, h, d))
            align = "c" if left and right else "r" if left else "l"
            if row in rows:
                box = (x, y - h, x + w, y + d)
                rows[row].cells.append(Cell(cell, not is_full, align, box))
                spans.append(rows[row].cells[-1])
        elif head == "<":
            is_mirrored = event[1] == 1
        elif head == "d":
            leaders += 1 if event[1] else -1
        elif head == "q":
            saved.append(len(matrices))
        elif head == "Q":
            restore()
        elif head == "m":
            numbers = [float(v) for v in re.findall(_NUMBER, event[1])]
            matrix = (*numbers[:4], 0.0, 0.0) if len(numbers) >= 4 else (1.0, 0, 0, 1.0, 0, 0)
            matrices.append((len(items), matrix, event[2] / SP, event[3] / SP, len(spans)))
        elif head == "l":
            mode, data, x, y = event[1], event[2], event[3] / SP, event[4] / SP
            if mode == 1:
                x, y = 0.0, page.height
            for numbers_text, operator in _OPERATOR.findall(data):
                if operator == "q":
                    saved.append(len(matrices))
                elif operator == "Q":
                    restore()
                else:
                    values = tuple(float(v) for v in numbers_text.split())
                    matrices.append((len(items), values, x, y, len(spans)))
    while saved or matrices:
        restore()
    if any(has_indic(text) for font in fonts.values() for text in font.texts.values()):
        to_reading_order([item for item in items if item.kind == "glyph"])
    _rotate(page)
    return page


def _rotate(page: RawPage) -> None:
    """Turn everything by the page's /Rotate, as a viewer does."""
    if page.rotation not in (90, 180, 270):
        return
    w, h = page.width, page.height
    # About the top left corner, y up: clockwise by the angle, then shifted back into the page.
    matrix = {
        90: (0.0, -1.0, 1.0, 0.0, h, 0.0),
        180: (-1.0, 0.0, 0.0, -1.0, w, -h),
        270: (0.0, 1.0, -1.0, 0.0, 0.0, -w),
    }[page.rotation]
    for item in page.items:
        item.transform(matrix, 0.0, 0.0)
    if page.rotation != 180:
        page.width, page.height = h, w

    for row in page.rows.values():
        row.box = _turned(row.box, matrix, 0.0, 0.0)
        for cell in row.cells:
            cell.box = _turned(cell.box, matrix, 0.0, 0.0)


def _turned(
    box: tuple[float, float, float, float], matrix: Sequence[float], px: float, py: float
) -> tuple[float, float, float, float]:
    probe = Item("rule", "", box[0], box[1], 0.0, box, State())
    probe.transform(matrix, px, py)
    return probe.box
