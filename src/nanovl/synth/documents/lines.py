"""Paragraphs become lines: words, line breaks, alignment, the order of mixed directions.

Words stay in reading order; only their positions say where they stand. Thai, Chinese and other
text without blanks is cut between clusters, and so is a word that is wider than a line. There is
no hyphenation: what is read is what is written. Must not know pages.

Source: data synthesis specification, section 4; rules W7 and N1 of the Unicode bidirectional
algorithm at the level of whole words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from nanovl.synth.documents.blocks import Run
from nanovl.synth.documents.glyphs import Pen, Shaped
from nanovl.synth.documents.style import Align, Colour

__all__ = ["Line", "Word", "break_lines", "runs_right_to_left", "text_of"]

_NO_START = frozenset(
    ",.;:!?)]}\u3001\u3002\uff0c\uff0e\uff1a\uff1b\uff01\uff1f\u300d\u300f\uff09\u3011\u0e46\u0e2f"
    # closing quotes, middle dot, repetition and length marks, small kana
    "\u2019\u201d\u300b\u3009\u3015\u30fb\u3005\u309d\u309e\u30fc\u2026%\u2030"
    "\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e"
    "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee"
)
_MOST_STRETCH = 3.2  # a justified blank grows to this many times its width at most


@dataclass(slots=True)
class Word:
    """A word of a line.

    Attributes:
        text: As read.
        pen: What it is written with.
        shaped: Its glyphs.
        x: Left end, from the left end of the line and, once placed, of the page; pixels.
        space: Whether a blank stands before it in the text, also across a line break.
    """

    text: str
    pen: Pen
    shaped: Shaped
    x: float = 0.0
    space: bool = True


@dataclass(slots=True)
class Line:
    """A line of text.

    Attributes:
        words: In reading order.
        width: Occupied width.
        baseline, top, bottom: Vertical positions on the page once placed; pixels.
        colour: Of the ink.
        indent: Blanks before the first word (code).
        ornament: A glyph drawn but not read, such as a bullet, and its x.
    """

    words: list[Word]
    width: float = 0.0
    baseline: float = 0.0
    top: float = 0.0
    bottom: float = 0.0
    colour: Colour = (0, 0, 0)
    indent: int = 0
    ornament: tuple[float, Word] | None = field(default=None)

    @property
    def text(self) -> str:
        """What it says, without the blank that may stand before it."""
        return text_of(self.words)

    def moved(self, x: float, baseline: float, top: float, bottom: float, colour: Colour) -> Line:
        """The line at a place on a page."""
        words = [Word(w.text, w.pen, w.shaped, w.x + x, w.space) for w in self.words]
        ornament = self.ornament and (self.ornament[0] + x, self.ornament[1])
        return Line(
            words, self.width, baseline, top, bottom, colour, indent=self.indent, ornament=ornament
        )


def text_of(words: Sequence[Word]) -> str:
    """Words joined as read."""
    parts: list[str] = []
    for word in words:
        if parts and word.space:
            parts.append(" ")
        parts.append(word.text)
    return "".join(parts)


@dataclass(slots=True)
class _Token:
    text: str
    pen: Pen
    space: bool


def break_lines(
    runs: Sequence[Run],
    pen: Pen,
    width: float,
    *,
    align: Align = "left",
    indent: float = 0.0,
    rtl: bool = False,
) -> list[Line]:
    """Lines of a paragraph, x positions relative to its left edge.

    Args:
        runs: Its text.
        pen: For unstyled text; styled runs take the same family.
        width: Of the column in pixels.
        align: Where lines stand; the last line of a justified paragraph stands at its beginning.
        indent: Of the first line, in pixels.
        rtl: Whether the paragraph runs from right to left.
    """
    lines: list[list[_Token]] = [[]]
    room = width - indent
    used = 0.0
    waiting = _tokens(runs, pen)[::-1]
    while waiting:
        token = waiting.pop()
        blank = token.pen.space if lines[-1] and token.space else 0.0
        size = token.pen.width(token.text, rtl)
        if used + blank + size <= room + 0.01:
            lines[-1].append(token)
            used += blank + size
            continue
        is_alone = not lines[-1]
        if _is_spaceless(token.text) or (is_alone and len(token.text) > 1):
            head = _fitting(token, room - used - blank, least=1 if is_alone else 0)
            if head:
                lines[-1].append(_Token(token.text[:head], token.pen, token.space))
                if head < len(token.text):
                    waiting.append(_Token(token.text[head:], token.pen, False))
                    lines.append([])
                used, room = (0.0, width) if head < len(token.text) else (used + size, room)
                continue
        if is_alone:  # a single character wider than the column
            lines[-1].append(token)
            used += size
            continue
        waiting.append(token)
        lines.append([])
        used, room = 0.0, width
    found = [line for line in lines if line]
    last = len(found) - 1
    return [
        _set_line(line, width, align, indent if i == 0 else 0.0, rtl, is_last=i == last)
        for i, line in enumerate(found)
    ]


def _tokens(runs: Sequence[Run], pen: Pen) -> list[_Token]:
    tokens: list[_Token] = []
    open_end = False  # the text so far ends without a blank
    for run in runs:
        if not run.text:
            continue
        style = pen
        if run.bold or run.italic:
            style = pen.like(bold=run.bold or pen.bold, italic=run.italic or pen.italic)
        words = run.text.split()
        for index, word in enumerate(words):
            glued = index == 0 and open_end and not run.text[0].isspace()
            tokens.append(_Token(word, style, not glued))
        if words:
            open_end = not run.text[-1].isspace()
        elif run.text[0].isspace():
            open_end = False
    return tokens


def _is_spaceless(text: str) -> bool:
    if text.isascii():
        return False
    return any(
        "\u0e00" <= c <= "\u0eff"
        or "\u1780" <= c <= "\u17ff"
        or "\u3040" <= c <= "\u30ff"
        or "\u3400" <= c <= "\u9fff"
        or "\uf900" <= c <= "\ufaff"
        for c in text
    )


def _fitting(token: _Token, room: float, least: int) -> int:
    """How many characters fit, cut between clusters and not before closing marks."""
    text = token.text
    cuts = [i for i in range(1, len(text)) if _may_cut(text, i) and not _in_word(text, i)]
    cuts.append(len(text))
    if token.pen.width(text[: cuts[0]]) > room:  # a word longer than the room is cut all the same
        cuts = [i for i in range(1, len(text)) if _may_cut(text, i)] + [len(text)]
    low, high = 0, len(cuts)  # cuts[:low] fit
    while low < high:
        middle = (low + high) // 2
        if token.pen.width(text[: cuts[middle]]) <= room:
            low = middle + 1
        else:
            high = middle
    if low:
        return cuts[low - 1]
    return cuts[0] if least else 0


def _may_cut(text: str, place: int) -> bool:
    after, before = text[place], text[place - 1]
    if unicodedata.category(after).startswith("M") or after in _NO_START:
        return False
    if "\u0e40" <= before <= "\u0e44" or after in "\u0e30\u0e32\u0e33\u0e45":  # Thai vowels
        return False
    return before not in "([{\u2018\u201c\u300a\u3008\u3014\u300c\u300e\uff08\u3010\u200d\u094d"


def _in_word(text: str, place: int) -> bool:
    """Whether a place is inside a Latin word or number."""
    before, after = text[place - 1], text[place]
    return before.isascii() and after.isascii() and before.isalnum() and after.isalnum()


def _set_line(
    tokens: list[_Token], width: float, align: Align, indent: float, rtl: bool, *, is_last: bool
) -> Line:
    order, sides = _visual_order(tokens) if rtl else (range(len(tokens)), [False] * len(tokens))
    words = [
        Word(t.text, t.pen, t.pen.shape(t.text, rtl=side), space=t.space)
        for t, side in zip(tokens, sides, strict=True)
    ]
    inner = [w.pen.space if w.space else 0.0 for w in words]
    natural = sum(w.shaped.width for w in words) + sum(inner[1:])
    room = width - indent
    stretch = 1.0
    if align == "justify" and not is_last and sum(inner[1:]) > 0:
        stretch = 1.0 + (room - natural) / sum(inner[1:])
        if stretch > _MOST_STRETCH:
            stretch = 1.0
    total = natural + sum(inner[1:]) * (stretch - 1.0)
    if align == "center":
        x = (width - total) / 2
    elif align == "right" or (align == "justify" and rtl):
        x = width - total - (indent if rtl else 0.0)
    else:
        x = indent
    begun = False
    place = x
    ordered = list(order)
    for position, index in enumerate(ordered):
        word = words[index]
        if begun:
            # The blank between two neighbours belongs to the later one in reading order.
            later = max(index, ordered[position - 1])
            place += inner[later] * stretch
        word.x = place
        place += word.shaped.width
        begun = True
    return Line(words, width=total)


def _visual_order(tokens: list[_Token]) -> tuple[list[int], list[bool]]:
    """Positions from left to right of a right-to-left line, and how each word is shaped."""
    kinds = [_direction(t.text) for t in tokens]
    order: list[int] = []
    sides = [True] * len(tokens)
    place = 0
    while place < len(tokens):
        if kinds[place] != "L":
            order.append(place)
            place += 1
            continue
        end = place + 1
        while end < len(tokens) and (
            kinds[end] in "LE" or (kinds[end] == "N" and kinds[end + 1 : end + 2] in (["L"], ["E"]))
        ):
            end += 1
        for index in range(place + 1, end - 1):
            sides[index] = False
        order.extend(reversed(range(place, end)))
        place = end
    return order[::-1], sides


def runs_right_to_left(text: str) -> bool:
    """Whether most letters of a text belong to a script written from right to left."""
    kinds = [unicodedata.bidirectional(char) for char in text]
    return kinds.count("R") + kinds.count("AL") > kinds.count("L")


def _direction(text: str) -> str:
    """Class of a word: "L", "R", "E" (number) or "N" (neither)."""
    found = "N"
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind == "L":
            return "L"
        if kind in ("R", "AL"):
            return "R"
        if kind in ("EN", "AN"):
            found = "E"
    return found
