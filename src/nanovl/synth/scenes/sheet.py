"""A drawing surface with smooth lines and labels that know their boxes.

Draws at a multiple of the size and averages down. Must not know what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from nanovl.synth.base import Box
from nanovl.synth.scenes.shapes import RGB
from nanovl.synth.typefaces import BUILTIN, load_font

__all__ = ["Label", "Sheet"]

Point = tuple[float, float]


@dataclass(frozen=True)
class Label:
    """A text and its box."""

    text: str
    box: Box


@dataclass
class Sheet:
    """A picture in the making; all lengths are pixels of the finished picture.

    Attributes:
        width, height: Of the finished picture.
        ground: Background.
        scale: How much larger it is drawn.
        labels: Texts so far.
    """

    width: int
    height: int
    ground: RGB
    scale: int = 2
    labels: list[Label] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._image = Image.new(
            "RGB", (self.width * self.scale, self.height * self.scale), self.ground
        )
        self._draw = ImageDraw.Draw(self._image)

    def _up(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def line(self, points: Sequence[Point], color: RGB, width: float = 2, dash: float = 0) -> None:
        """A line through points, with round corners; `dash` is the length of a dash."""
        thick = max(1, round(width * self.scale))
        if not dash:
            self._draw.line(self._up(points), fill=color, width=thick, joint="curve")
            return
        (x0, y0), (x1, y1) = points
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        for k in range(0, max(1, int(length / dash)), 2):
            a, b = k * dash / length, min(1.0, (k + 1) * dash / length)
            ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
            self._draw.line(self._up(ends), fill=color, width=thick)

    def polygon(
        self, points: Sequence[Point], fill: RGB | None = None, outline: RGB | None = None,
        width: float = 2,
    ) -> None:  # fmt: skip
        """A closed shape."""
        if fill is not None:
            self._draw.polygon(self._up(points), fill=fill)
        if outline is not None:
            self.line([*points, points[0], points[1]], outline, width)

    def circle(
        self, x: float, y: float, radius: float, fill: RGB | None = None,
        outline: RGB | None = None, width: float = 2,
    ) -> None:  # fmt: skip
        """A circle."""
        box = self._up([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(
            [*box[0], *box[1]], fill=fill, outline=outline, width=max(1, round(width * self.scale))
        )

    def box(
        self, corners: Box, fill: RGB | None = None, outline: RGB | None = None, width: float = 2,
        radius: float = 0,
    ) -> None:  # fmt: skip
        """A rectangle, with round corners if `radius` is set."""
        a, b = self._up([(corners[0], corners[1]), (corners[2], corners[3])])
        self._draw.rounded_rectangle(
            [*a, *b], radius * self.scale, fill, outline, max(1, round(width * self.scale))
        )

    def arc(
        self, x: float, y: float, radius: float, start: float, end: float, color: RGB,
        width: float = 2,
    ) -> None:  # fmt: skip
        """Part of a circle, from `start` to `end` degrees clockwise from the right."""
        box = self._up([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.arc([*box[0], *box[1]], start, end, color, max(1, round(width * self.scale)))

    def measured(self, text: str, size: int, x: float, y: float, anchor: str = "mm") -> Box:
        """Where a text would stand."""
        font = load_font(BUILTIN, size * self.scale)
        at = (x * self.scale, y * self.scale)
        x0, y0, x1, y1 = self._draw.textbbox(at, text, font=font, anchor=anchor)
        s = self.scale
        return x0 / s, y0 / s, x1 / s, y1 / s

    def text(
        self, text: str, x: float, y: float, color: RGB, size: int = 16, anchor: str = "mm"
    ) -> Label:
        """A text in the built-in face; returns it with its box."""
        font = load_font(BUILTIN, size * self.scale)
        self._draw.text(
            (x * self.scale, y * self.scale), text, font=font, fill=color, anchor=anchor
        )
        label = Label(text, self.measured(text, size, x, y, anchor))
        self.labels.append(label)
        return label

    def finish(self) -> Image.Image:
        """The picture in its own size."""
        return self._image.reduce(self.scale)
