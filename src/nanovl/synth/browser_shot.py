"""What a browser showed, as plain data in image pixels. Must not know how it was made.

Source: data synthesis specification, sections 2.3, 5 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal

from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Box

__all__ = ["Element", "Format", "Shot", "Word", "clip_area", "read_shot"]

Format = Literal["png", "jpg"]


@dataclass(frozen=True, kw_only=True)
class Word:
    """A visible word, as the page shows it (upper-cased where the style says so).

    Attributes:
        text: Without blanks.
        box: Of its glyph area (font height), in image pixels.
        element: Key of the nearest element with `data-gt`, "" without one.
        block: Number of the block-level box it is in; words of one block flow together.
        size: Font size in image pixels.
        space: Whether a blank or a break stands before it.
        bold, italic: Its style.
        colour: Of the text, as CSS writes it.
    """

    text: str
    box: Box
    element: str
    block: int
    size: float
    space: bool = True
    bold: bool = False
    italic: bool = False
    colour: str = ""


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element with `data-gt`.

    Attributes:
        key: Value of `data-gt`.
        tag: Name in lower case.
        role: `data-role` or `role`, "" without either.
        name: `aria-label`, else the text.
        text: Its visible words.
        box: In image pixels; may leave the picture.
        shown: The part of the box that is inside the picture and not cut off; None when nothing is.
        text_box: Around its visible words, None without words.
        visible: Whether any of it is displayed.
        clipped: Whether more than a fifth of it is cut off.
        occluded: Whether something else lies on its centre, or on two of four inner points.
        truncated: Whether text in it is cut off by its own edge.
        point: A point, in image pixels, where a click reaches this very element (not one inside it
            that has a key of its own); None where there is none.
        parent: Key of the next element around it, "" without one.
        value: Of a form control.
        attributes: Those that start with "data-", without that beginning.
    """

    key: str
    tag: str
    role: str = ""
    name: str = ""
    text: str = ""
    box: Box
    shown: Box | None = None
    text_box: Box | None = None
    visible: bool = True
    clipped: bool = False
    occluded: bool = False
    truncated: bool = False
    point: tuple[float, float] | None = None
    parent: str = ""
    value: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_be_asked(self) -> bool:
        """Whether it is shown whole enough to be asked for: not covered, cut off or tiny."""
        if not self.visible or self.clipped or self.occluded or self.shown is None:
            return False
        x0, y0, x1, y1 = self.shown
        return x1 - x0 >= 8 and y1 - y0 >= 8


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A page as a picture, and what is on it.

    Attributes:
        data: The encoded picture.
        ext: "png" or "jpg".
        width, height: In pixels.
        elements: In document order.
        words: In document order.
    """

    data: bytes
    ext: Format
    width: int
    height: int
    elements: tuple[Element, ...] = ()
    words: tuple[Word, ...] = ()

    @property
    def png(self) -> bytes:
        """The picture as PNG (converted if it was taken as JPEG)."""
        if self.ext == "png":
            return self.data
        made = BytesIO()
        self.picture().save(made, "PNG")
        return made.getvalue()

    def picture(self) -> Image.Image:
        """The picture, decoded to RGB."""
        return Image.open(BytesIO(self.data)).convert("RGB")

    def element(self, key: str) -> Element:
        """The element with this key.

        Raises:
            KeyError: There is none.
        """
        for found in self.elements:
            if found.key == key:
                return found
        raise KeyError(key)


def clip_area(found: Mapping[str, Any], clip: str | None) -> Box:
    """Whole CSS pixels a picture shows.

    Args:
        found: What the page script returned.
        clip: Key of the element it is cut to; None takes the window.

    Raises:
        ConfigError: No element has this key.
    """
    if clip is None:
        return 0.0, 0.0, float(found["width"]), float(found["height"])
    for element in found["elements"]:
        if element["key"] == clip:
            x0, y0, x1, y1 = element["inside"]
            return (
                float(math.floor(x0)),
                float(math.floor(y0)),
                float(math.ceil(x1)),
                float(math.ceil(y1)),
            )
    raise ConfigError(f"render: clip {clip!r}, but no element has this data-gt")


def read_shot(
    found: Mapping[str, Any], data: bytes, ext: Format, scale: float, area: Sequence[float]
) -> Shot:
    """The answer of the page script (CSS pixels of the window) in pixels of a picture.

    Args:
        found: What the page script returned.
        data, ext: The picture.
        scale: Image pixels per CSS pixel.
        area: The part of the window it shows.
    """
    width, height = Image.open(BytesIO(data)).size

    def place(box: Sequence[float]) -> Box:
        x0, y0, x1, y1 = box
        return (
            round((x0 - area[0]) * scale, 2),
            round((y0 - area[1]) * scale, 2),
            round((x1 - area[0]) * scale, 2),
            round((y1 - area[1]) * scale, 2),
        )

    words = tuple(
        Word(
            text=w["text"],
            box=place(w["box"]),
            element=w["key"],
            block=w["block"],
            size=round(w["size"] * scale, 2),
            space=w["space"],
            bold=w["bold"],
            italic=w["italic"],
            colour=w["color"],
        )
        for w in found["words"]
    )
    frame = (0.0, 0.0, float(width), float(height))
    elements = tuple(_element(e, words, place, frame) for e in found["elements"])
    return Shot(data=data, ext=ext, width=width, height=height, elements=elements, words=words)


def _element(
    given: Mapping[str, Any],
    words: Sequence[Word],
    place: Callable[[Sequence[float]], Box],
    frame: Box,
) -> Element:
    mine = [words[k] for k in given["words"]]
    text = "".join((" " if k and w.space else "") + w.text for k, w in enumerate(mine))
    boxes = [w.box for w in mine]
    inside = place(given["inside"])
    shown = (
        max(inside[0], frame[0]),
        max(inside[1], frame[1]),
        min(inside[2], frame[2]),
        min(inside[3], frame[3]),
    )
    point = given["point"]
    if point is not None:
        x, y, _, _ = place((*point, *point))
        point = (x, y)
    is_visible = given["visible"] and shown[2] > shown[0] and shown[3] > shown[1]
    return Element(
        key=given["key"],
        tag=given["tag"],
        role=given["role"],
        name=given["name"] or text or given["value"],
        text=text,
        box=place(given["box"]),
        shown=shown if is_visible else None,
        text_box=_around(boxes) if boxes else None,
        visible=is_visible,
        clipped=given["clipped"],
        occluded=given["occluded"],
        truncated=given["truncated"],
        point=point,
        parent=given["parent"],
        value=given["value"],
        attributes=dict(given["attributes"]),
    )


def _around(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
