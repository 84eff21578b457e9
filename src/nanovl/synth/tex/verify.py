"""Holds what was recorded against the PDF's own text layer, and decides which pages may be used.

Positions and characters are compared with pdfium's; where pdfium lacks some (it drops overlapping
repeats) pdfplumber decides when it is installed. Must not change what was recorded.

Source: data synthesis specification, section 3.16.
"""

from __future__ import annotations

import ctypes
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nanovl.synth.tex.blocks import Block, Page
from nanovl.synth.tex.glyphs import UNKNOWN
from nanovl.synth.tex.maths import Converter

__all__ = ["Check", "PdfText", "check_page", "overlap"]

TOLERANCE_PT = 0.6
MIN_POSITION = 0.995
MAX_UNKNOWN = 0.005
MIN_COVERAGE = 0.99
MIN_TEXT_PX = 6.0
MIN_GLYPHS = 30
_CELL = 1.2

Char = tuple[float, float, str]


@dataclass(slots=True)
class Check:
    """What was found on a page.

    Attributes:
        glyphs: Glyphs that print something.
        found: Of those, with a character of the PDF at their origin (within 0.6 points).
        same: Of those found, with the same text, look-alikes counted as equal (`_ALIKE`).
        identical: Of those found, with the very same text.
        chars: Characters of the PDF that print something.
        covered: Of those, with one of our glyphs at their origin.
        unknown: Glyphs without Unicode, drawings excluded.
        unclassified: Glyphs in no block.
        maths, maths_exact: Formulas, and those whose every glyph has a command.
        reader: "pdfium" or "pdfplumber".
        reasons: Why the page is rejected; empty for a good page.
    """

    glyphs: int = 0
    found: int = 0
    same: int = 0
    identical: int = 0
    chars: int = 0
    covered: int = 0
    unknown: int = 0
    unclassified: int = 0
    maths: int = 0
    maths_exact: int = 0
    reader: str = "pdfium"
    reasons: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Counts and rates as plain data."""
        out = asdict(self)
        out["reasons"] = list(self.reasons or [])
        out["pos"] = round(self.found / self.glyphs, 5) if self.glyphs else 1.0
        out["uni_identical"] = round(self.identical / self.found, 5) if self.found else 1.0
        out["uni"] = round(self.same / self.found, 5) if self.found else 1.0
        return out


class PdfText:
    """Characters of a PDF's pages with their origins.

    Args:
        path: The file.

    Use as a context manager; closes the file.
    """

    def __init__(self, path: Path) -> None:
        import pypdfium2

        self.path = path
        self.document = pypdfium2.PdfDocument(path)

    def __enter__(self) -> PdfText:
        return self

    def __exit__(self, *error: object) -> None:
        self.document.close()

    def __len__(self) -> int:
        return len(self.document)

    def pdfium(self, index: int) -> list[Char]:
        """Characters of a page by pdfium: (x, y, text), points from the top left as displayed."""
        import pypdfium2.raw as raw

        page = self.document[index]
        text_page = page.get_textpage()
        rotation = page.get_rotation()
        left, bottom, right, top = page.get_mediabox()
        x, y = ctypes.c_double(), ctypes.c_double()
        count = raw.FPDFText_CountChars(text_page)
        out: list[Char] = []
        origin, unicode_, generated = (
            raw.FPDFText_GetCharOrigin, raw.FPDFText_GetUnicode, raw.FPDFText_IsGenerated,
        )  # fmt: skip
        px, py = ctypes.byref(x), ctypes.byref(y)
        for i in range(count):
            code = unicode_(text_page, i)
            if code in (32, 13, 10, 160, 0) or generated(text_page, i) == 1:
                continue
            if not origin(text_page, i, px, py):
                continue
            u, v = x.value - left, y.value - bottom
            if rotation == 90:
                u, v = v, right - left - u
            elif rotation == 270:
                u, v = top - bottom - v, u
            elif rotation == 180:
                u, v = right - left - u, top - bottom - v
            height = (right - left) if rotation in (90, 270) else (top - bottom)
            out.append((u, height - v, chr(code) if code < 0x110000 else UNKNOWN))
        text_page.close()
        page.close()
        return out

    def pdfplumber(self, index: int) -> list[Char]:
        """The same by pdfplumber; slower, and complete where characters overlap."""
        import pdfplumber

        with pdfplumber.open(self.path, pages=[index + 1]) as document:
            page = document.pages[0]
            height = float(page.height)
            return [
                (c["matrix"][4], height - c["matrix"][5], c["text"])
                for c in page.chars
                if c["text"].strip()
            ]


def check_page(
    page: Page,
    pdf: PdfText,
    index: int,
    converter: Converter,
    *,
    dpi: float,
    thorough: bool = False,
) -> Check:
    """Compare a page with the PDF and apply the gates.

    Args:
        page: As assembled.
        pdf: Of the same run.
        index: Of the page, from 0.
        converter: Of the document.
        dpi: Resolution the page will be rendered at.
        thorough: Ask pdfplumber for every page that is not perfect by pdfium.
    """
    ours = _glyphs(page)
    check = _compare(ours, pdf.pdfium(index))
    limit = 1.0 if thorough else MIN_POSITION
    missed = check.glyphs and check.found < limit * check.glyphs
    if missed and find_spec("pdfplumber") is not None:
        other = _compare(ours, pdf.pdfplumber(index))
        other.reader = "pdfplumber"
        if other.found > check.found:
            # pdfium decodes more names than pdfplumber; each keeps what it is better at.
            other.same = max(other.same, check.same)
            other.identical = max(other.identical, check.identical)
            check = other
    check.unclassified = len([i for i in page.stray if i.text.strip()])
    numbers = sorted({n for b in page.blocks for n in b.maths})
    check.maths = len(numbers)
    check.maths_exact = sum(converter.is_exact(n) for n in numbers)
    check.reasons = _gates(page, check, dpi)
    return check


def _glyphs(page: Page) -> list[tuple[float, float, str, bool]]:
    """Origins of everything the PDF prints: virtual characters in pieces."""
    out: list[tuple[float, float, str, bool]] = []
    for item in page.raw.items:
        if item.kind != "glyph" or item.font is None or item.font.name == "nullfont":
            continue
        is_drawn = item.state.klass == 7
        parts = item.font.parts.get(item.code)
        if not parts:
            if item.font.parts.get(item.code) == []:
                continue
            if item.text.strip():
                out.append((item.x, item.y, item.text, is_drawn))
            continue
        a, b, c, d = item.turn
        for k, (_, _, dx, dy) in enumerate(parts):
            x = item.x + a * dx - c * dy
            y = item.y - (b * dx - d * dy)
            text = item.text if len(parts) == 1 else item.text[k : k + 1]
            if item.text.strip():
                out.append((x, y, text, is_drawn))
    return out


def _compare(ours: Sequence[tuple[float, float, str, bool]], theirs: Sequence[Char]) -> Check:
    grid: dict[tuple[int, int], list[int]] = defaultdict(list)
    for k, (x, y, _) in enumerate(theirs):
        grid[int(x / _CELL), int(y / _CELL)].append(k)
    hit = bytearray(len(theirs))
    check = Check(glyphs=len(ours), chars=len(theirs))
    half = _CELL / 2
    for x, y, text, is_drawn in ours:
        best, found = TOLERANCE_PT, -1
        near: list[int] = []
        i0, i1 = int((x - half) / _CELL), int((x + half) / _CELL)
        j0, j1 = int((y - half) / _CELL), int((y + half) / _CELL)
        for i in (i0,) if i0 == i1 else (i0, i1):
            for j in (j0,) if j0 == j1 else (j0, j1):
                for k in grid.get((i, j), ()):
                    gap = max(abs(theirs[k][0] - x), abs(theirs[k][1] - y))
                    if gap <= TOLERANCE_PT:
                        near.append(k)
                        if gap < best:
                            best, found = gap, k
        if text == UNKNOWN and not is_drawn:
            check.unknown += 1
        if not near:
            continue
        check.found += 1
        near.sort()
        found = found if found >= 0 else near[0]
        for k in near:
            hit[k] = 1
        near_texts = [theirs[k][2] for k in near]
        if text in near_texts or text == "".join(near_texts):
            check.identical += 1
            check.same += 1
        elif (
            _same(text, theirs[found][2])
            or _same(text, "".join(near_texts))
            or any(_same(text, other) for other in near_texts)
        ):
            check.same += 1
    check.covered = sum(hit)
    return check


_ALIKE = str.maketrans(
    {
        "\u0002": "-", "\u00ad": "-", "\u2010": "-", "\u2212": "-", "\u2011": "-",
        "\u2126": "\u03a9",
        "\u2206": "\u0394", "\u00b5": "\u03bc", "\u2329": "\u27e8", "\u232a": "\u27e9",
        "\u2219": "\u00b7", "\u22c5": "\u00b7", "\u2215": "/", "\u2217": "*", "\u2223": "|",
        "\u03d5": "\u03c6", "\u2032": "'", "\u2019": "'", "\u02dc": "~", "\u223c": "~",
        "\u02c6": "^", "\u0302": "^", "\u2225": "\u2016", "\u25e6": "\u2218", "\u3008": "\u27e8",
        "\u3009": "\u27e9",
    }
)  # fmt: skip


def _same(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    a = unicodedata.normalize("NFKC", ours).translate(_ALIKE)
    b = unicodedata.normalize("NFKC", theirs).translate(_ALIKE)
    return a == b or a.replace(" ", "") == b.replace(" ", "")


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Shared area of two boxes as a share of the smaller one."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return w * h / smaller if smaller > 0 else 0.0


def _gates(page: Page, check: Check, dpi: float) -> list[str]:
    reasons = []
    if check.glyphs and check.found < MIN_POSITION * check.glyphs:
        reasons.append(f"positions {check.found / check.glyphs:.4f}")
    if check.glyphs and check.unknown > MAX_UNKNOWN * check.glyphs:
        reasons.append(f"unknown {check.unknown / check.glyphs:.4f}")
    if any(b.klass == "Picture" for b in page.blocks):
        pass  # included pictures bring text TeX does not know
    elif check.chars and check.covered < MIN_COVERAGE * check.chars:
        reasons.append(f"coverage {check.covered / check.chars:.4f}")
    texts = [b for b in page.blocks if b.klass == "Text" and "rotated" not in b.tags]
    reasons += _overlapping(texts)
    for block in page.blocks:
        x0, y0, x1, y1 = block.box
        if x0 < -2 or y0 < -2 or x1 > page.width + 2 or y1 > page.height + 2:
            reasons.append(f"outside {block.klass}")
            break
    if any(not b.is_exact for b in page.blocks if b.klass == "Formula"):
        reasons.append("formula")
    sizes = [
        i.font.size
        for b in texts
        for i in b.items
        if i.kind == "glyph" and i.font and not i.state.math
    ]
    if sizes and sorted(sizes)[len(sizes) // 20] * dpi / 72 < MIN_TEXT_PX:
        reasons.append("small_text")
    if check.glyphs < MIN_GLYPHS and not any(b.klass == "Picture" for b in page.blocks):
        reasons.append("empty")
    return reasons


def _overlapping(blocks: Sequence[Block]) -> list[str]:
    ordered = sorted(blocks, key=lambda b: b.box[1])
    for k, first in enumerate(ordered):
        for second in ordered[k + 1 :]:
            if second.box[1] >= first.box[3]:
                break
            if overlap(first.box, second.box) > 0.2 and first.key[-1] == second.key[-1]:
                return ["overlap"]
    return []
