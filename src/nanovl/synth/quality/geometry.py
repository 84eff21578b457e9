"""Boxes: inside their picture, with area, and large enough where they are asked for.

Source: data synthesis specification, sections 2.3 and 19.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanovl.synth.quality.answers import answer_of
from nanovl.synth.quality.config import Finding
from nanovl.synth.quality.datasets import Unit

__all__ = ["box_findings", "target_findings"]

_KEYS = ("bbox", "text_bbox", "boxes")
_SLACK_PX = 1.0  # boxes are floats and rounded outwards
_SCALE = 1000  # of coordinates in answers


def box_findings(unit: Unit, sizes: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """The first bad box of every kind in a unit's ground truth; `dataset` is left open.

    Args:
        unit: With ground truth in pixels.
        sizes: Width and height of its pictures; without any only areas are checked.
    """
    width = max((w for w, _ in sizes), default=0)
    height = max((h for _, h in sizes), default=0)
    told: set[str] = set()
    for path, box in _boxes(unit.gt, ""):
        x0, y0, x1, y1 = box
        rule = ""
        if x1 <= x0 or y1 <= y0:
            rule = "box_empty"
        elif sizes and not (
            x0 >= -_SLACK_PX
            and x1 <= width + _SLACK_PX
            and y0 >= -_SLACK_PX
            and y1 <= height + _SLACK_PX
        ):
            rule = "box_outside"
        if rule and rule not in told:
            told.add(rule)
            message = f"{path}: {[round(v, 1) for v in box]} in {width} x {height}"
            yield Finding(rule=rule, dataset="", sample=unit.id, message=message)


def _boxes(value: Any, path: str) -> Iterator[tuple[str, list[float]]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else str(key)
            if key in _KEYS:
                yield from _flat(inner, where)
            else:
                yield from _boxes(inner, where)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _boxes(inner, f"{path}[{place}]")


def _flat(value: Any, path: str) -> Iterator[tuple[str, list[float]]]:
    if not isinstance(value, list | tuple) or not value:
        return
    if len(value) == 4 and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    ):
        yield path, [float(v) for v in value]
        return
    for place, inner in enumerate(value):
        yield from _flat(inner, f"{path}[{place}]")


def target_findings(record: Mapping[str, Any], sample: str, least_px: float) -> Iterator[Finding]:
    """A box or point that is asked for and smaller than `least_px`; `dataset` is left open."""
    found = answer_of(record)
    size = _picture(record)
    if found is None or size is None or found[1].type not in ("box", "point"):
        return
    value = found[1].value
    boxes = [value.get("box")] if isinstance(value, Mapping) else value
    for box in boxes if isinstance(boxes, list) else ():
        if not isinstance(box, list) or len(box) != 4:
            continue
        sides = [(box[k + 2] - box[k]) * size[k] / _SCALE for k in (0, 1)]
        if any(side < least_px - size[k] / _SCALE for k, side in enumerate(sides)):
            message = f"{sides[0]:.1f} x {sides[1]:.1f} px, expected at least {least_px:g}"
            name = str(record.get("id", ""))
            yield Finding(
                rule="target_small", dataset="", sample=sample, record=name, message=message
            )
            return


def _picture(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Size of the only picture of a record."""
    sizes = [
        (part.get("metadata") or {})
        for message in record["messages"]
        for part in (message.get("content") if isinstance(message.get("content"), list) else ())
        if isinstance(part, Mapping) and part.get("type") in ("image", "video")
    ]
    if len(sizes) != 1 or not all(isinstance(sizes[0].get(k), int) for k in ("width", "height")):
        return None
    return sizes[0]["width"], sizes[0]["height"]
