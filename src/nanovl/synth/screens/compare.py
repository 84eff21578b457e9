"""How near an answer about a screen is: element lists by F1, HTML by what a browser makes of it.

Both pages are laid out at one width with the same simple style. Their blocks of words are matched
by text; the score is the share of blocks with a partner times how alike partners are in text,
place and colour. Controls (inputs, whose text is no word of the page) are matched by what they
are. Must not know generators.

Source: data synthesis specification, section 8 (element listing: F1; screenshot to HTML: block
match, text edit distance, colour difference).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from nanovl.synth.base import Answer, Box
from nanovl.synth.browser import Shot, Word, browser
from nanovl.synth.verify import box_iou, edit_similarity

__all__ = ["Block", "block_score", "blocks_of", "elements_score", "html_score"]

_WIDTH = 800  # CSS pixels both pages are laid out at
_LEAST_IOU = 0.5
_LEAST_TEXT = 0.5  # similarity from which on two blocks may be partners
_STYLE = (
    "body{margin:8px;font:16px/1.4 sans-serif;color:#000;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:2px 8px;text-align:left}"
)
_FENCE = re.compile(r"^```\w*\n|\n```$")
_RGB = re.compile(r"\d+(?:\.\d+)?")


# -- Lists of elements ---------------------------------------------------------------------------


def elements_score(answer: Answer, text: str) -> float:
    """F1 of a list of `{"role", "name", "box"}`: same role and name, boxes that overlap by half.

    Args:
        answer: Its value is the expected list, boxes of 0 to 1000.
        text: JSON, fenced or not; what is no list of objects scores 0.
    """
    try:
        given = json.loads(_FENCE.sub("", text.strip()))
    except ValueError:
        return 0.0
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        return 0.0
    left = [one for one in given if _box_of(one) is not None]
    hits = 0
    for wanted in answer.value:
        place = _partner(wanted, left)
        if place is not None:
            left.pop(place)
            hits += 1
    total = len(answer.value) + len(given)
    return 2 * hits / total if total else 1.0


def _said(one: Mapping[str, Any]) -> tuple[str, str]:
    role, name = (" ".join(str(one.get(key, "")).split()).casefold() for key in ("role", "name"))
    return role, name


def _box_of(one: Mapping[str, Any]) -> list[float] | None:
    box = one.get("box")
    if not isinstance(box, list) or len(box) != 4:
        return None
    return [float(v) for v in box] if all(isinstance(v, int | float) for v in box) else None


def _partner(wanted: Mapping[str, Any], given: Sequence[Mapping[str, Any]]) -> int | None:
    """Place of the given element of the same role and name that overlaps most, at least half."""
    expected = _box_of(wanted) or [0.0] * 4
    best, found = _LEAST_IOU, None
    for place, one in enumerate(given):
        overlap = box_iou(expected, _box_of(one) or [0.0] * 4)
        if _said(one) == _said(wanted) and overlap >= best:
            best, found = overlap, place
    return found


# -- HTML ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Words that flow together, as a browser shows them.

    Attributes:
        text: Words separated by blanks.
        box: Around them, in pixels.
        colour: Of most of its words, red, green and blue of 0 to 255.
    """

    text: str
    box: Box
    colour: tuple[float, float, float]


def html_score(answer: Answer, text: str) -> float:
    """How alike the pages of two pieces of HTML are, 0 to 1.

    The same markup scores 1 without a browser.

    Raises:
        BackendError: The browser is missing.
        Reject: It gave up on the page.
    """
    given = _FENCE.sub("", text.strip()).strip()
    expected = str(answer.value).strip()
    if given.split() == expected.split():
        return 1.0
    if "<" not in given:
        return 0.0
    pages = [_shot(markup) for markup in (expected, given)]
    size = max(p.width for p in pages), max(p.height for p in pages)
    one, two = (blocks_of(page) for page in pages)
    return block_score(one, two, size, _controls(expected), _controls(given))


def _shot(markup: str) -> Shot:
    page = f"<!doctype html><html><head><style>{_STYLE}</style></head><body>{markup}</body></html>"
    return browser().render(page, width=_WIDTH)


def blocks_of(shot: Shot) -> list[Block]:
    """The blocks of words of a page in document order."""
    groups: dict[int, list[Word]] = {}
    for word in shot.words:
        groups.setdefault(word.block, []).append(word)
    made = []
    for words in groups.values():
        x0, y0, x1, y1 = zip(*(w.box for w in words), strict=True)
        colour = Counter(w.colour for w in words).most_common(1)[0][0]
        red, green, blue = ([float(v) for v in _RGB.findall(colour)] + [0.0] * 3)[:3]
        text = " ".join(w.text for w in words)
        made.append(Block(text, (min(x0), min(y0), max(x1), max(y1)), (red, green, blue)))
    return made


def block_score(
    expected: Sequence[Block],
    given: Sequence[Block],
    size: tuple[int, int],
    controls: Sequence[str] = (),
    given_controls: Sequence[str] = (),
) -> float:
    """Share of blocks and controls with a partner, times how alike partners are.

    Args:
        expected, given: Blocks of both pages.
        size: Of the larger page, in pixels.
        controls, given_controls: What controls there are, as texts.
    """
    left = list(given)
    likeness: list[float] = []
    for block in expected:
        ranked = sorted(
            ((edit_similarity(block.text, other.text), -k) for k, other in enumerate(left)),
            reverse=True,
        )
        if not ranked or ranked[0][0] < _LEAST_TEXT:
            continue
        similar, place = ranked[0][0], -ranked[0][1]
        other = left.pop(place)
        likeness.append((similar + _near(block.box, other.box, size) + _alike(block, other)) / 3)
    pairs = sum((Counter(controls) & Counter(given_controls)).values())
    total = len(expected) + len(given) + len(controls) + len(given_controls)
    if not total:
        return 1.0
    matched = 2 * (len(likeness) + pairs) / total
    return matched * (sum(likeness) + pairs) / max(1, len(likeness) + pairs)


def _near(a: Box, b: Box, size: tuple[int, int]) -> float:
    """1 less the larger of the shifts of the centres, relative to the page."""
    shifts = [abs(a[k] + a[k + 2] - b[k] - b[k + 2]) / 2 / max(1, size[k]) for k in (0, 1)]
    return 1.0 - min(1.0, max(shifts))


def _alike(a: Block, b: Block) -> float:
    return 1.0 - sum(abs(x - y) for x, y in zip(a.colour, b.colour, strict=True)) / (3 * 255)


class _Controls(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("input", "img", "textarea", "progress", "meter"):
            kept = sorted((k, v or "") for k, v in attrs if k not in ("class", "style", "id"))
            self.found.append(f"{tag} {kept}")


def _controls(markup: str) -> list[str]:
    reader = _Controls()
    reader.feed(markup)
    reader.close()
    return reader.found
