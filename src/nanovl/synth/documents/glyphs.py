"""Words as positioned glyph pictures: what a word measures, where each character's ink is.

Simple scripts are set glyph by glyph out of a cache of small pictures, with kerning and without
ligatures, so the box of every character is known exactly. Words of scripts that need shaping are
one picture each, made by Pillow's Raqm layout; they have a box but no characters. Glyph pictures
are kept at `SUPER` times the size and a page is scaled down at the end, which places glyphs at
fractions of a pixel. Must not know lines or pages.

Source: data synthesis specification, section 4.1 (exact character boxes, no letter spacing).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from nanovl.synth.base import Reject
from nanovl.synth.documents.fonts import Face, Family, open_font
from nanovl.synth.documents.scripts import is_complex

__all__ = ["SUPER", "Glyph", "Pen", "Shaped", "pen"]

SUPER = 2  # glyph pictures have this many pixels per pixel of the page
_INKLESS = "\u200c\u200d\u3164\u2800"  # joiners and blanks that are no white space
_KERN_LEFT = frozenset("AFKLPRTVWXYrvwyf\"'-")
_KERN_RIGHT = frozenset("AVWTYJaceogqsuvwy.,-'\"")

Ink = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Glyph:
    """A picture of ink.

    Attributes:
        ink: Coverage 0 to 255 with at least one inked row and column at every side, or empty.
        left, top: Of the picture from the pen position and the baseline, in 1/SUPER pixels.
    """

    ink: Ink
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Shaped:
    """A word set with a pen.

    Attributes:
        text: What it says.
        width: Advance in pixels.
        glyphs: With their horizontal position in pixels.
        per_character: Whether `glyphs` are the characters of `text`, one each.
    """

    text: str
    width: float
    glyphs: tuple[tuple[float, Glyph], ...]
    per_character: bool


class Pen:
    """Writes with a stack of families at one size and style.

    Args:
        stack: The family, then those that show what it lacks.
        size: Em in pixels.
        bold, italic: Style, as far as the family has it.
    """

    def __init__(
        self, stack: tuple[Family, ...], size: float, bold: bool = False, italic: bool = False
    ) -> None:
        self.stack = stack
        self.size = round(size * 2) / 2  # half pixels, so that caches are met again
        self.bold, self.italic = bold, italic
        self.faces: tuple[Face, ...] = tuple(f.face(bold, italic) for f in stack)
        ascent, descent = self.faces[0].vertical
        self.ascent, self.descent = ascent * self.size, descent * self.size
        self.space = (self.faces[0].advance(" ") or 0.28) * self.size
        self._words: dict[tuple[str, bool], Shaped] = {}
        self._widths: dict[str, float] = {}
        self._glyphs: dict[str, Glyph] = {}

    def like(self, *, bold: bool, italic: bool) -> Pen:
        """The same family and size in another style."""
        return pen(self.stack, self.size, bold, italic)

    def width(self, word: str, rtl: bool = False) -> float:
        """Advance of a word in pixels; `rtl` is the direction of its line."""
        if rtl:
            return self.shape(word, rtl).width
        found = self._widths.get(word)
        if found is None:
            if any(map(is_complex, word)):
                found = self.shape(word).width
            else:
                found = sum(step for _, step in self._steps(word))
            self._widths[word] = found
        return found

    def shape(self, word: str, rtl: bool = False) -> Shaped:
        """The glyphs of a word.

        Args:
            word: Without blanks.
            rtl: Direction of the line, for marks in words of scripts that need shaping.
        """
        key = (word, rtl)
        found = self._words.get(key)
        if found is None:
            if rtl or any(map(is_complex, word)):
                found = self._shaped_whole(word, rtl)
            else:
                found = self._shaped_simple(word)
            if len(self._words) > 20_000:
                self._words.clear()
            self._words[key] = found
        return found

    # -- Character by character ------------------------------------------------------------------

    def _face_of(self, char: str) -> Face:
        for face in self.faces:
            if char in face.characters:
                return face
        for family in self.stack:  # a style may lack what the regular face has
            if char in family.regular.characters:
                return family.regular
        raise Reject("no_font", f"no font beside {self.stack[0].name} shows {char!r}")

    def _steps(self, word: str) -> list[tuple[str, float]]:
        """Characters with their advance in pixels, kerning with the next one included."""
        first = self.faces[0]
        known = first.characters
        steps = []
        last = len(word) - 1
        for place, char in enumerate(word):
            if char in known:
                step = first.advance(char)
                if place < last and char in _KERN_LEFT and word[place + 1] in _KERN_RIGHT:
                    step += first.kern(word[place : place + 2])
            else:
                step = self._face_of(char).advance(char)
            steps.append((char, step * self.size))
        return steps

    def _shaped_simple(self, word: str) -> Shaped:
        self.prepare(word)
        x = 0.0
        glyphs = []
        for char, step in self._steps(word):
            glyphs.append((x, self._glyphs[char]))
            x += step
        return Shaped(word, x, tuple(glyphs), True)

    def prepare(self, characters: Iterable[str]) -> None:
        """Rasterise the characters that are not in the cache yet, all in one go."""
        known = self._glyphs
        missing = sorted({c for c in characters if c not in known})
        if not missing:
            return
        cell = int(self.size * SUPER * 2.6) + 8
        base, start = int(self.size * SUPER * 1.5) + 4, int(self.size * SUPER * 0.6) + 3
        sheet = Image.new("L", (cell * len(missing), int(cell * 0.95)))
        draw = ImageDraw.Draw(sheet)
        for index, char in enumerate(missing):
            font = open_font(self._face_of(char), self.size * SUPER)
            draw.text((index * cell + start, base), char, font=font, fill=255, anchor="ls")
        pixels = np.asarray(sheet)
        for index, char in enumerate(missing):
            picture = pixels[:, index * cell : (index + 1) * cell]
            known[char] = _trimmed(picture, start, base)
            if not known[char].ink.size and not char.isspace() and char not in _INKLESS:
                raise Reject("blank_glyph", f"{self.stack[0].name} prints nothing for {char!r}")

    # -- Words as one picture --------------------------------------------------------------------

    def _shaped_whole(self, word: str, rtl: bool) -> Shaped:
        """The word cut where the face changes; parts are placed in the direction of the line."""
        parts: list[tuple[Face, str]] = []
        for char in word:
            face = self._face_of(char)
            if parts and (parts[-1][0] is face or is_mark(char)):
                parts[-1] = (parts[-1][0], parts[-1][1] + char)
            else:
                parts.append((face, char))
        x = 0.0
        glyphs = []
        direction = "rtl" if rtl else "ltr"
        for face, text in reversed(parts) if rtl else parts:
            font = open_font(face, self.size * SUPER, shaped=True)
            glyph = _drawn(text, font, self.size * SUPER, direction)
            if not glyph.ink.size and text.strip():
                raise Reject("blank_glyph", f"{face.family} prints nothing for {text!r}")
            glyphs.append((x, glyph))
            # Asking for the advance would shape the word a second time, which costs as much as
            # drawing it: the end of the ink and a usual side bearing are as good between words.
            x += (glyph.left + glyph.ink.shape[1]) / SUPER + 0.03 * self.size
        return Shaped(word, x, tuple(glyphs), False)


def is_mark(char: str) -> bool:
    """Whether a character only makes sense on the one before it."""
    return unicodedata.category(char) in ("Mn", "Mc", "Me")


def _drawn(text: str, font: ImageFont.FreeTypeFont, size: float, direction: str) -> Glyph:
    """A whole word; the sheet grows until nothing is cut off."""
    width, height = int(size * (len(text) * 0.8 + 2)), int(size * 4)
    while True:
        start, base = int(size), int(height * 0.6)
        sheet = Image.new("L", (width, height))
        ImageDraw.Draw(sheet).text(
            (start, base), text, font=font, fill=255, anchor="ls", direction=direction
        )
        box = sheet.getbbox()
        if box is None or (box[0] > 0 and box[1] > 0 and box[2] < width and box[3] < height):
            return _trimmed(np.asarray(sheet), start, base)
        width, height = 2 * width, 2 * height


def _trimmed(picture: Ink, start: int, base: int) -> Glyph:
    rows = np.flatnonzero(picture.max(axis=1) > 24)
    columns = np.flatnonzero(picture.max(axis=0) > 24)
    if not len(rows) or not len(columns):
        return Glyph(np.zeros((0, 0), np.uint8), 0, 0)
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Glyph(np.ascontiguousarray(picture[y0:y1, x0:x1]), int(x0) - start, int(y0) - base)


@lru_cache(maxsize=192)
def pen(stack: tuple[Family, ...], size: float, bold: bool = False, italic: bool = False) -> Pen:
    """A pen out of the cache of this process."""
    return Pen(stack, size, bold, italic)
