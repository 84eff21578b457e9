"""Boxes and times in a ground truth: found wherever they are, with class, text and order.

Ground truth has a form of its own in every generator. What they share is names: a place is under
`bbox` or `box`, a class under `class`, `role`, `type`, `kind` or `shape`, what is said under
`text`, `name` or `title`, times under `t0` and `t1` or `start_s` and `end_s`. Must not know
generators, and must not write HTML.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["INNER", "Overlay", "Place", "Span", "find_places", "singular"]

Numbers = tuple[float, ...]

INNER = ("line", "word", "char", "glyph")
"""Classes inside other boxes; the viewer shows them on request."""

_MAIN = ("bbox", "box")
_CLASS = ("class", "role", "shape", "type", "kind", "tag")
_KINDS = {"cell": "role", "entity": "label", "evidence": "", "field": "", "mark": "", "point": ""}
_TEXT = ("text", "name", "title", "label", "value")
_PAGED = ("pages", "images", "pictures", "screens", "scenes", "panels", "frames")
_NAMED = ("media", "medium", "image", "picture", "video")
_SKIPPED = ("chars", "glyphs", "forms", "programs", "relations")
_PLURALS = {
    "boxes": "box",
    "entries": "entry",
    "series": "series",
    "axes": "axis",
    "entities": "entity",
}
_LONG = 400  # characters of an attribute that are kept
_MOST_ATTRIBUTES = 14


@dataclass(frozen=True, kw_only=True)
class Place:
    """A box of a ground truth.

    Attributes:
        medium: Number of the picture or video it is in.
        klass: What it is.
        box: (x0, y0, x1, y1) in pixels.
        quad: Four corners (8 numbers), empty without.
        text: What it says.
        order: In reading, from 0; None without one.
        attributes: Whatever else is known about it.
        span: When it is there, in seconds; None for always.
        track: Rows (t, x0, y0, x1, y1, visible) of something that moves.
    """

    medium: int
    klass: str
    box: Numbers
    quad: Numbers = ()
    text: str = ""
    order: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    span: tuple[float, float] | None = None
    track: tuple[Numbers, ...] = ()

    def at(self, seconds: float) -> Numbers | None:
        """Where it is at a time, None when it is not there."""
        if self.track:
            before = [row for row in self.track if row[0] <= seconds + 1e-6]
            row = before[-1] if before else self.track[0]
            return row[1:5] if len(row) < 6 or row[5] else None
        if self.span is not None and not self.span[0] - 1e-6 <= seconds < self.span[1]:
            return None
        return self.box


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something with a beginning and an end.

    Attributes:
        group: Name of the list it was in.
        start, end: Seconds.
        text: What it is.
    """

    group: str
    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Overlay:
    """What was found.

    Attributes:
        places: Boxes in the order of the ground truth, none twice.
        spans: Times.
    """

    places: tuple[Place, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class _Scene:
    """What holds for everything below a node."""

    medium: int = 0
    is_sure: bool = False  # of the medium
    name: str = ""
    span: tuple[float, float] | None = None


def find_places(truth: Any, sizes: Sequence[tuple[int, int]], names: Sequence[str] = ()) -> Overlay:
    """All boxes and times of a ground truth.

    Args:
        truth: The value under "gt".
        sizes: Width and height of every picture and video of the sample, in order.
        names: Their names in the sample; a node may say which one it is about.
    """
    walk = _Walk(list(sizes), list(names))
    walk.visit(truth, _Scene())
    return Overlay(tuple(walk.places), tuple(walk.spans))


def singular(name: str) -> str:
    """`words` -> `word`."""
    if name in _PLURALS:
        return _PLURALS[name]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


class _Walk:
    def __init__(self, sizes: list[tuple[int, int]], names: list[str]) -> None:
        self.sizes = sizes
        self.names = names
        self.places: list[Place] = []
        self.spans: list[Span] = []
        self._free = list(range(len(sizes)))
        self._seen: set[tuple[Any, ...]] = set()
        self._texts: set[tuple[Any, ...]] = set()

    def visit(self, value: Any, scene: _Scene) -> None:
        """Look at a node and at all below it."""
        if isinstance(value, Mapping):
            self._mapping(value, scene)
        elif isinstance(value, list | tuple):
            if _is_numbers(value):
                return
            paged = scene.name in _PAGED and len(value) == len(self.sizes) > 1
            for number, item in enumerate(value):
                self.visit(item, replace(scene, medium=number, is_sure=True) if paged else scene)

    def _mapping(self, value: Mapping[str, Any], scene: _Scene) -> None:
        scene = self._medium(value, scene)
        scene = replace(scene, span=_span(value) or _open_end(value, scene.span))
        own = _span(value)
        if own is not None:
            self._add_span(value, scene, own)
        klass = _class(value, singular(scene.name))
        for key, box in value.items():
            self._boxes(str(key), box, value, klass, scene)
        for key, child in value.items():
            if key not in _SKIPPED and isinstance(child, Mapping | list | tuple):
                self.visit(child, replace(scene, name=str(key)))

    def _boxes(
        self, key: str, box: Any, value: Mapping[str, Any], klass: str, scene: _Scene
    ) -> None:
        if key in _MAIN and _is_box(box):
            self._add(_place(value, klass, box, scene))
        elif key == "boxes" and isinstance(box, list | tuple):
            for one in box:
                if _is_box(one):
                    self._add(_place(value, klass or "box", one, scene))
        elif key == "track" and isinstance(box, list | tuple) and box and len(box[0]) >= 5:
            rows = tuple(tuple(float(v) for v in row) for row in box)
            seen = [row for row in rows if len(row) < 6 or row[5]]
            if seen:
                self._add(replace(_place(value, klass, seen[0][1:5], scene), track=rows))
        elif ("box" in key or key == "ink") and _is_box(box):
            part = key.replace("bbox", "").replace("box", "").strip("_") or "box"
            place = _place(value, f"{klass.split(' ')[0]} {part}", box, scene)
            self._add(replace(place, quad=(), order=None))

    def _medium(self, value: Mapping[str, Any], scene: _Scene) -> _Scene:
        """Another picture, where a node names it or has the size of one nobody has claimed yet."""
        for key in _NAMED:
            name = value.get(key)
            if isinstance(name, str) and name in self.names:
                return replace(scene, medium=self.names.index(name), is_sure=True)
        page = value.get("page")
        if not scene.is_sure and isinstance(page, int) and 1 <= page <= len(self.sizes) > 1:
            return replace(scene, medium=page - 1, is_sure=True)
        size: Any = value.get("canvas") or (value.get("width"), value.get("height"))
        if scene.is_sure or len(self.sizes) < 2 or not _is_numbers(size) or len(size) != 2:
            return scene
        wanted = (int(size[0]), int(size[1]))
        for number in sorted(self._free, key=lambda n: n != scene.medium):
            if self.sizes[number] == wanted:
                self._free.remove(number)
                return replace(scene, medium=number)
        return scene

    def _add(self, place: Place) -> None:
        key = (place.medium, place.klass, place.box, place.span, place.track[:1])
        if key not in self._seen:
            self._seen.add(key)
            self.places.append(place)

    def _add_span(self, value: Mapping[str, Any], scene: _Scene, span: tuple[float, float]) -> None:
        text = _text(value) or _class(value, singular(scene.name))
        kind = value.get("type") or value.get("kind")
        if kind and kind != text:
            text = f"{kind}: {text}"
        subjects = value.get("subjects")
        if isinstance(subjects, list | tuple) and subjects:
            text = f"{text} ({', '.join(map(str, subjects))})"
        key = (scene.name, span, text)
        if key not in self._texts:
            self._texts.add(key)
            group = scene.name or "times"
            self.spans.append(Span(group=group, start=span[0], end=span[1], text=text))


def _place(value: Mapping[str, Any], klass: str, box: Sequence[float], scene: _Scene) -> Place:
    quad: Any = value.get("quad")
    order = value.get("order")
    return Place(
        medium=scene.medium,
        klass=klass,
        box=tuple(float(v) for v in box),
        quad=tuple(float(v) for v in quad) if _is_numbers(quad) and len(quad) == 8 else (),
        text=_text(value),
        order=order if isinstance(order, int) and not isinstance(order, bool) else None,
        attributes=dict(_attributes(value)),
        span=scene.span,
    )


def _class(value: Mapping[str, Any], name: str) -> str:
    if name in INNER or name in _KINDS:
        kind = value.get(_KINDS.get(name, ""))
        return f"{name} {kind}" if isinstance(kind, str) else name
    attributes = value.get("attributes")
    for source in (value, attributes if isinstance(attributes, Mapping) else {}):
        for key in _CLASS:
            found = source.get(key)
            if isinstance(found, str) and found and len(found) < 40:
                return found
    if isinstance(value.get("cells"), list | tuple):
        return "table"
    return name or "box"


def _text(value: Mapping[str, Any]) -> str:
    for key in _TEXT:
        found = value.get(key)
        if isinstance(found, str | int | float) and not isinstance(found, bool) and found != "":
            return str(found)[:_LONG]
    attributes = value.get("attributes")
    if isinstance(attributes, Mapping):
        return " ".join(str(v) for v in attributes.values())[:_LONG]
    return ""


def _attributes(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    left = _MOST_ATTRIBUTES
    for key, found in value.items():
        if key in (*_TEXT[:1], "class", "quad") or not left:
            continue
        if isinstance(found, str):
            found = found[:_LONG]
        elif isinstance(found, list | tuple):
            if not found or len(found) > 4 or not all(isinstance(v, str | int) for v in found):
                continue
        elif not isinstance(found, int | float) or found is None:
            continue
        if found != "":
            left -= 1
            yield str(key), found


def _span(value: Mapping[str, Any]) -> tuple[float, float] | None:
    for first, last in (("t0", "t1"), ("start_s", "end_s")):
        start, end = value.get(first), value.get(last)
        if _is_number(start) and _is_number(end):
            return float(start), float(end)  # type: ignore[arg-type]
    return None


def _open_end(
    value: Mapping[str, Any], outer: tuple[float, float] | None
) -> tuple[float, float] | None:
    """From the own beginning to the end of what is around."""
    start = value.get("t0")
    return (float(start), outer[1]) if outer and _is_number(start) else outer  # type: ignore[arg-type]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_number, value))


def _is_box(value: Any) -> bool:
    return _is_numbers(value) and len(value) == 4
