"""Text spotting: reading boxes with their words from a reply, and matching them with the truth.

A truth and a detection belong together when they overlap by more than half, each at most once;
the pair is right if the words are equal. The score is the harmonic mean of precision and recall.

Source: evaluation specification, section 6.10 (spotting); the protocol is the end-to-end one of
the Robust Reading Competitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from nanovl.evals.scoring.literals import UNREADABLE, literal

__all__ = ["Spot", "bounding_spots", "spot_score", "spots_from_text"]

_DO_NOT_CARE = "###"
_LIMIT = 1000
_EDGE_CHARACTERS = "!?.:,*\"()\u00b7[]/'"
_BRACKETS = re.compile(r"[\[(]([^\[\]()]*)[\])]")
_QUOTED = re.compile(r'\s*"(.*)"\s*')


class Spot(NamedTuple):
    """A rectangle with the word in it, in thousandths of the picture or any other unit."""

    left: int
    top: int
    right: int
    bottom: int
    text: str

    @property
    def area(self) -> int:
        """In square units."""
        return (self.right - self.left) * (self.bottom - self.top)

    def overlap(self, other: Spot) -> int:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def spots_from_text(text: str) -> list[Spot]:
    """Boxes in a reply: a literal list of `[x1, y1, x2, y2, text]`, else anything in brackets.

    Coordinates outside 0 to 1000, boxes without area and repeated ones are dropped.
    """
    data = literal(text)
    found: Iterable[Sequence[Any]]
    if data is UNREADABLE or data is None:
        found = (part.strip().split(",", 4) for part in _BRACKETS.findall(text))
    else:
        found = data if isinstance(data, list | tuple) else ()
    spots = dict.fromkeys(_spots(found))
    return [spot for spot in spots if spot.left < spot.right and spot.top < spot.bottom]


def bounding_spots(boxes: Iterable[Sequence[float]], texts: Iterable[str]) -> list[Spot]:
    """Rectangles around polygons given as x1, y1, x2, y2, ..., with their words."""
    return [
        Spot(
            int(min(box[0::2])),
            int(min(box[1::2])),
            int(max(box[0::2])),
            int(max(box[1::2])),
            _unquoted(text.replace("\n", "").replace("\r", "")),
        )
        for box, text in zip(boxes, texts, strict=True)
    ]


def spot_score(truth: Sequence[Spot], found: Sequence[Spot]) -> float:
    """Harmonic mean of precision and recall.

    Truths marked `###` are not asked for, and detections that lie with more than half of their
    area on one of them are left out. 0 when nothing is asked for or nothing was found.
    """
    ignored = [spot for spot in truth if spot.text == _DO_NOT_CARE]
    asked = [spot for spot in truth if spot.text != _DO_NOT_CARE]
    given = [
        spot for spot in found if not any(2 * spot.overlap(it) > spot.area > 0 for it in ignored)
    ]
    if not asked or not given:
        return 0.0
    free = list(given)
    right = 0
    for spot in asked:
        # The first free detection in the order of the reply is taken, right or wrong.
        match = next((one for one in free if _half_shared(spot, one)), None)
        if match is not None:
            free.remove(match)
            right += _same_word(spot.text.upper(), match.text.upper())
    return 2 * right / (len(asked) + len(given))


def _spots(items: Iterable[Any]) -> Iterator[Spot]:
    for item in items:
        if not isinstance(item, list | tuple) or len(item) < 5:
            continue
        try:
            box = [int(str(value).strip()) for value in item[:4]]
        except ValueError:
            continue
        text = str(item[4]).replace("\n", "").strip().strip('"').strip("'")
        if all(0 <= value <= _LIMIT for value in box):
            yield Spot(box[0], box[1], box[2], box[3], _unquoted(text.replace("\r", "")))


def _unquoted(text: str) -> str:
    found = _QUOTED.fullmatch(text)
    return found[1].replace("\\\\", "\\").replace('\\"', '"') if found else text


def _half_shared(a: Spot, b: Spot) -> bool:
    shared = a.overlap(b)
    return shared > 0 and 2 * shared > a.area + b.area - shared


def _same_word(truth: str, given: str) -> bool:
    """Equal, or equal once a mark at either or both ends of the truth is taken off."""
    if not truth:
        return not given
    starts = {0, 1} if truth[0] in _EDGE_CHARACTERS else {0}
    ends = {0, 1} if truth[-1] in _EDGE_CHARACTERS else {0}
    return any(truth[start : len(truth) - end] == given for start in starts for end in ends)
