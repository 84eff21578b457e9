"""Where and when: boxes in a picture, spans of a video, compared by overlap.

Boxes are written `<box>(x1,y1),(x2,y2)</box>` with integers 0 to 1000 of width and height, spans
`mm:ss-mm:ss`. A box or span that is too many costs as much as one that is missing. Must not know
pictures: both sides are in the same units.

Source: the measures of the local suite (grounding, video times); training specification, section
10.2 (how boxes and times are written).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.points import Box, box_iou
from nanovl.evals.scoring.tally import mean_result

__all__ = [
    "BoxIoU",
    "Span",
    "TimeIoU",
    "create_box_iou",
    "create_time_iou",
    "match_boxes",
    "read_boxes",
    "read_spans",
    "span_iou",
]

Span = tuple[float, float]

HIT = 0.5  # overlap from which on a box or span counts as found
_LARGEST = 10_000  # coordinates beyond it are no coordinates
_NUMBER = r"(\d{1,6}(?:\.\d{1,6})?)"
_POINTS = re.compile(
    rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)\s*,?\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"
)
_LIST = re.compile(rf"[\[(]\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[\])]")
_CLOCK = r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:\.\d{1,3})?)"
_CLOCK_SPAN = re.compile(rf"{_CLOCK}\s*(?:-|\u2013|to|until)\s*{_CLOCK}")
_SECONDS = re.compile(
    r"(?<![\d:.])(\d{1,5}(?:\.\d{1,3})?)\s*(?:s|sec|seconds)?\s*(?:-|\u2013|to|until)\s*"
    r"(\d{1,5}(?:\.\d{1,3})?)\s*(?:s|sec|seconds)\b"
)


# -- Boxes ---------------------------------------------------------------------------------------


def read_boxes(text: str, level: Level = "rules") -> tuple[list[Box], Level]:
    """Boxes of an answer, in order.

    Args:
        text: The answer.
        level: "rules" takes pairs of points; further levels also `[x0, y0, x1, y1]`.

    Returns:
        The boxes, and the level that found them. Corners stay as they are written: a box whose
        second corner is not below and right of the first has no area.
    """
    found = _POINTS.findall(text)
    used: Level = "rules"
    if not found and level != "rules":
        found, used = _LIST.findall(text), "extended"
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in found]
    kept = [box for box in boxes if max(box) <= _LARGEST]
    return kept, used if kept else "rules"


def match_boxes(expected: Sequence[Box], given: Sequence[Box]) -> list[float]:
    """Overlap of every expected box with the given box it is paired with, 0 for none.

    Pairs are formed from the largest overlap down; a given box is used once.
    """
    pairs = sorted(
        ((box_iou(e, g), i, j) for i, e in enumerate(expected) for j, g in enumerate(given)),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    found = [0.0] * len(expected)
    used_expected: set[int] = set()
    used_given: set[int] = set()
    for overlap, i, j in pairs:
        if overlap > 0 and i not in used_expected and j not in used_given:
            found[i] = overlap
            used_expected.add(i)
            used_given.add(j)
    return found


def _numbers(answer: Any, width: int, where: str) -> list[tuple[float, ...]]:
    """A reference as a list of boxes or spans; one of them may stand without its list.

    Raises:
        InputError: It is something else.
    """
    rows = answer
    if isinstance(rows, (list, tuple)) and rows and all(_is_number(v) for v in rows):
        rows = [rows]
    good = isinstance(rows, (list, tuple)) and all(
        isinstance(row, (list, tuple)) and len(row) == width and all(map(_is_number, row))
        for row in rows
    )
    if not good:
        raise InputError(
            f"sample {where}: got {str(answer)[:80]!r} for its answer, expected a list of rows of "
            f"{width} numbers"
        )
    return [tuple(float(v) for v in row) for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class BoxIoU:
    """Mean overlap of boxes, 0 to 1.

    The overlaps of the pairs of a sample are divided by the larger of both counts, so that every
    box too many and too few counts as 0. Where no box is expected, giving none is right.
    """

    name = "box_iou"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Mean overlap of one sample.

        Raises:
            InputError: The reference is no list of boxes.
        """
        rows = _numbers(sample.answer, 4, sample.id)
        expected: list[Box] = [(a, b, c, d) for a, b, c, d in rows]
        given, used = read_boxes(response.text, level)
        most = max(len(expected), len(given))
        overlaps = match_boxes(expected, given)
        value = sum(overlaps) / most if most else 1.0
        hit = len(given) == len(expected) and all(o >= HIT for o in overlaps)
        detail = {"hit": hit, "overlaps": overlaps, "parsed": bool(given) or not expected}
        return Verdict(value=value, extracted=given or None, level=used, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean overlap; `acc_50` is the share of samples with every box found.

        Raises:
            InputError: There are no samples.
        """
        return mean_result(scored, self.name, parts=_hits(scored))


def _hits(scored: Sequence[Scored]) -> dict[str, float]:
    if not scored:
        return {}
    return {"acc_50": sum(s.verdict.detail.get("hit") is True for s in scored) / len(scored)}


# -- Times ---------------------------------------------------------------------------------------


def _clock(hours: str, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def read_spans(text: str, level: Level = "rules") -> tuple[list[Span], Level]:
    """Time spans of an answer in seconds, in order.

    Args:
        text: The answer.
        level: "rules" takes `mm:ss-mm:ss`; further levels also "3 to 5.5 seconds".

    Returns:
        The spans, and the level that found them. A span that ends before it begins stays so.
    """
    rows = _CLOCK_SPAN.findall(text)
    spans: list[Span] = [(_clock(*row[:3]), _clock(*row[3:])) for row in rows]
    if spans or level == "rules":
        return spans, "rules"
    spans = [(float(a), float(b)) for a, b in _SECONDS.findall(text)]
    return spans, "extended" if spans else "rules"


def span_iou(expected: Sequence[Span], given: Sequence[Span]) -> float:
    """Overlap of two unions of spans; 1 when both are empty."""
    sides = [[s for s in spans if s[1] > s[0]] for spans in (expected, given)]
    marks = sorted({t for side in sides for span in side for t in span})
    both = either = 0.0
    for low, high in pairwise(marks):
        inside = [any(a <= low and high <= b for a, b in side) for side in sides]
        both += (high - low) * all(inside)
        either += (high - low) * any(inside)
    if not either:
        return float(not expected and not given)
    return both / either


class TimeIoU:
    """Mean overlap of time spans, 0 to 1; several spans of a sample count as their union."""

    name = "time_iou"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Overlap of one sample.

        Raises:
            InputError: The reference is no list of spans.
        """
        expected: list[Span] = [(a, b) for a, b in _numbers(sample.answer, 2, sample.id)]
        given, used = read_spans(response.text, level)
        value = span_iou(expected, given)
        detail = {"hit": value >= HIT, "parsed": bool(given) or not expected}
        return Verdict(value=value, extracted=given or None, level=used, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean overlap; `acc_50` is the share of samples with half of it and more.

        Raises:
            InputError: There are no samples.
        """
        return mean_result(scored, self.name, parts=_hits(scored))


def create_box_iou(profile: str = "default") -> Metric:
    """The metric `box_iou`; the same in every profile."""
    return BoxIoU()


def create_time_iou(profile: str = "default") -> Metric:
    """The metric `time_iou`; the same in every profile."""
    return TimeIoU()
