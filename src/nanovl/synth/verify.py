"""Checks answers the way a task says: one function per name a task may give as its verifier.

Must not know generators; a check sees the expected answer and the text that was given.

Source: data synthesis specification, sections 2.5 and 19 (verifier self-test).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer

__all__ = ["VERIFIERS", "box_iou", "edit_similarity", "first_number", "is_right", "score"]

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?|[-+]?\.\d+")
_BOX = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*,\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_POINT = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_TIME = re.compile(r"(\d+):(\d{2}(?:\.\d+)?)")
PASS_MARK = 0.5  # least score of boxes, spans and tables that counts as right
TEXT_MARK = 0.9  # least similarity of transcriptions, and of lists and pages
_LEAST = {
    **dict.fromkeys(("iou", "interval_iou", "anls"), PASS_MARK),
    **dict.fromkeys(("teds", "edit_distance", "elements_f1", "html_render"), TEXT_MARK),
}


def score(verifier: str, answer: Answer, text: str) -> float:
    """How right a text is, from 0 to 1.

    Args:
        verifier: A key of `VERIFIERS`.
        answer: What is expected.
        text: What was answered.

    Raises:
        ConfigError: There is no such check.
    """
    if verifier not in VERIFIERS:
        raise ConfigError(f"verifier {verifier!r} does not exist; known: {sorted(VERIFIERS)}")
    return VERIFIERS[verifier](answer, text)


def is_right(verifier: str, answer: Answer, text: str) -> bool:
    """Whether a text counts as a right answer."""
    return score(verifier, answer, text) >= _LEAST.get(verifier, 1.0)


def first_number(text: str) -> float | None:
    """The last number of a text (thousands commas allowed), None without one."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def box_iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / total if total > 0 else float(a == b)


def edit_similarity(a: str, b: str) -> float:
    """1 less the edit distance relative to the longer text."""
    if a == b:
        return 1.0
    if not a or not b:
        return 0.0
    left, right = (np.frombuffer(t.encode("utf-32-le"), dtype=np.uint32) for t in (a, b))
    steps = np.arange(len(right) + 1)
    row = steps.copy()
    for i, char in enumerate(left):
        best = np.empty_like(row)
        best[0] = i + 1
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (right != char))
        row = np.minimum.accumulate(best - steps) + steps
    return 1.0 - float(row[-1]) / max(len(left), len(right))


def _plain(text: str) -> str:
    return " ".join(str(text).split())


def _loose(text: str) -> str:
    return _plain(text).rstrip(".").strip().casefold()


def _exact(answer: Answer, text: str) -> float:
    return float(_plain(answer.value) == _plain(text))


def _exact_ci(answer: Answer, text: str) -> float:
    expected = answer.value
    if isinstance(expected, bool):
        expected = "yes" if expected else "no"
    return float(_loose(expected) == _loose(text))


def _anls(answer: Answer, text: str) -> float:
    similar = edit_similarity(_loose(answer.value), _loose(text))
    return similar if similar >= 0.5 else 0.0


def _close(expected: float, got: float, tolerance: float | None) -> bool:
    allowed = abs(expected) * (tolerance or 0.0)
    return abs(expected - got) <= allowed + 1e-9 * max(1.0, abs(expected))


def _number(answer: Answer, text: str) -> float:
    got = first_number(text)
    return 0.0 if got is None else float(_close(float(answer.value), got, answer.tolerance))


def _entries(text: str) -> list[str]:
    return [_loose(part) for part in re.split(r",|\n", text) if part.strip()]


def _set(answer: Answer, text: str) -> float:
    return float(sorted(_loose(v) for v in answer.value) == sorted(_entries(text)))


def _list_ordered(answer: Answer, text: str) -> float:
    return float([_loose(v) for v in answer.value] == _entries(text))


def _iou(answer: Answer, text: str) -> float:
    """Least overlap after pairing expected and given boxes greedily; 0 if the counts differ."""
    given = [[float(v) for v in found] for found in _BOX.findall(text)]
    expected = [[float(v) for v in box] for box in answer.value]
    if len(given) != len(expected):
        return 0.0
    worst = 1.0
    for box in expected:
        overlaps = [box_iou(box, other) for other in given]
        place = max(range(len(given)), key=overlaps.__getitem__)
        worst = min(worst, overlaps[place])
        given.pop(place)
    return worst


def _point_in_box(answer: Answer, text: str) -> float:
    found = _POINT.findall(text)
    if len(found) != 1:
        return 0.0
    x, y = (int(v) for v in found[0])
    x0, y0, x1, y1 = answer.value["box"]
    return float(x0 <= x <= x1 and y0 <= y <= y1)


def _same_json(expected: Any, got: Any, tolerance: float | None) -> bool:
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and sorted(expected) == sorted(got)
            and all(_same_json(expected[k], got[k], tolerance) for k in expected)
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(_same_json(a, b, tolerance) for a, b in zip(expected, got, strict=True))
        )
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(got, numbers):
        return _close(float(expected), float(got), tolerance)
    return bool(expected == got)


def _json_equal(answer: Answer, text: str) -> float:
    body = re.sub(r"^```\w*\n|\n```$", "", text.strip())
    try:
        got = json.loads(body)
    except ValueError:
        return 0.0
    return float(_same_json(answer.value, got, answer.tolerance))


def _teds(answer: Answer, text: str) -> float:
    from nanovl.synth.tables.teds import similarity  # parses tables: loaded when asked for

    return similarity(answer.value["text"], text, answer.value["form"])


def _edit_distance(answer: Answer, text: str) -> float:
    return edit_similarity(_plain(answer.value), _plain(text))


def _interval_iou(answer: Answer, text: str) -> float:
    """Overlap of unions of time spans "mm:ss-mm:ss"; `value` holds [start, end] in seconds."""
    times = [int(m) * 60 + float(s) for m, s in _TIME.findall(text)]
    given = list(zip(times[::2], times[1::2], strict=False))
    first = answer.value[0] if answer.value else None
    expected = answer.value if isinstance(first, list | tuple) else [answer.value]
    if len(times) % 2 or not given or first is None:
        return float(not expected and not given)
    marks = sorted({t for pair in [*given, *expected] for t in pair})
    both = either = 0.0
    for low, high in pairwise(marks):
        inside = [any(a <= low and high <= b for a, b in spans) for spans in (given, expected)]
        both += (high - low) * all(inside)
        either += (high - low) * any(inside)
    return both / either if either else 0.0


def _mcq(answer: Answer, text: str) -> float:
    found = re.match(r"\(?([A-Z])\)?(?:[.):\s]|$)", text.strip())
    return float(found is not None and found[1] == answer.value)


def _exec(answer: Answer, text: str) -> float:
    from nanovl.synth.text.code_check import exec_score  # starts an interpreter of its own

    return exec_score(answer, text)


def _constraints(answer: Answer, text: str) -> float:
    from nanovl.synth.text.constraints import constraints_score

    return constraints_score(answer, text)


def _field(answer: Answer, text: str) -> float:
    from nanovl.synth.business.check import field_score  # reads dates and amounts of six languages

    return field_score(answer, text)


def _elements_f1(answer: Answer, text: str) -> float:
    from nanovl.synth.screens.compare import elements_score

    return elements_score(answer, text)


def _html_render(answer: Answer, text: str) -> float:
    from nanovl.synth.screens.compare import html_score  # may start a browser

    return html_score(answer, text)


VERIFIERS: dict[str, Callable[[Answer, str], float]] = {
    "exact": _exact,
    "exact_ci": _exact_ci,
    "anls": _anls,
    "number": _number,
    "set": _set,
    "list_ordered": _list_ordered,
    "iou": _iou,
    "point_in_box": _point_in_box,
    "json_equal": _json_equal,
    "teds": _teds,
    "edit_distance": _edit_distance,
    "interval_iou": _interval_iou,
    "mcq": _mcq,
    "exec": _exec,
    "constraints": _constraints,
    "field": _field,
    "elements_f1": _elements_f1,
    "html_render": _html_render,
}
