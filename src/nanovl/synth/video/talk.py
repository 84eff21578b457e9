"""What a talk consists of: slides with points, each with the fact it states.

Source: data synthesis specification, section 10 (slides).
"""

from __future__ import annotations

from dataclasses import dataclass

from nanovl.synth.asking import sentence
from nanovl.synth.text.haystacks import Fact
from nanovl.synth.video.narration import Line

__all__ = ["LABELS", "Point", "Slide", "SlideTalk"]

# How a relation is written on a slide.
LABELS: dict[str, str] = {
    "born": "year of birth",
    "bridges": "number of bridges",
    "colour": "colour of the sign",
    "end": "mouth of the river",
    "founded": "year of foundation",
    "hobby": "favourite pastime",
    "job": "profession",
    "length": "length in kilometres",
    "mayor": "mayor",
    "owner": "owner",
    "population": "number of inhabitants",
    "product": "main product",
    "river": "river",
    "seat": "main office",
    "staff": "number of employees",
    "teacher": "teacher",
}


@dataclass(frozen=True)
class Point:
    """A line of a slide.

    Attributes:
        fact: What it states.
        t0: When it comes up, in seconds; it stays to the end of the slide.
        said_right: Whether the narrator says the same.
    """

    fact: Fact
    t0: float
    said_right: bool

    @property
    def text(self) -> str:
        """What is written."""
        return f"{sentence(LABELS[self.fact.relation])}: {self.fact.value}"


@dataclass(frozen=True)
class Slide:
    """A slide, shown from `t0` to `t1` seconds; `spoken_only` is said but not written."""

    title: str
    t0: float
    t1: float
    points: tuple[Point, ...]
    spoken_only: Fact | None


@dataclass(frozen=True)
class SlideTalk:
    """All slides and all that is said."""

    slides: tuple[Slide, ...]
    lines: tuple[Line, ...]
    duration_s: float
