"""Displays that change in steps: a counter, a clock, a traffic light, words one after another.

A display is a log of states, each shown for at least a second, and a picture of each state.

Source: data synthesis specification, section 10 (ticker, counter, clock, traffic light).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from nanovl.synth.scenes.shapes import RGB
from nanovl.synth.text.wording import words
from nanovl.synth.typefaces import BUILTIN, load_font
from nanovl.synth.video.timeline import STEP_S

__all__ = ["FAMILIES", "Display", "State", "draw_state", "plan_display"]

FAMILIES = ("counter", "clock", "light", "words")
_LIGHTS: tuple[tuple[str, RGB], ...] = (
    ("red", (220, 40, 40)),
    ("yellow", (240, 200, 40)),
    ("green", (50, 190, 80)),
)
_WORDS = words(
    "river stone cloud maple tiger ocean lemon candle forest silver garden window bridge meadow "
    "planet rocket violin basket pepper island copper falcon ribbon thunder valley marble shadow"
)
_INKS: tuple[tuple[RGB, RGB], ...] = (
    ((20, 22, 28), (120, 240, 140)),
    ((20, 22, 28), (255, 190, 70)),
    ((245, 245, 240), (30, 30, 40)),
    ((25, 50, 90), (240, 245, 255)),
)


@dataclass(frozen=True)
class State:
    """What the display shows from `t0` to `t1` seconds."""

    t0: float
    t1: float
    value: str


@dataclass(frozen=True)
class Display:
    """A display and its log.

    Attributes:
        family: One of `FAMILIES`.
        states: In order, without gaps; neighbours differ.
        duration_s: In seconds.
        colors: Background and ink.
    """

    family: str
    states: tuple[State, ...]
    duration_s: float
    colors: tuple[RGB, RGB]

    def at(self, t: float) -> State:
        """The state at a time."""
        return next(s for s in self.states if t < s.t1)


def _values(family: str, rng: random.Random, count: int) -> list[str]:
    if family == "counter":
        value, step = rng.randint(0, 60), rng.choice((1, 1, 2, 3, 5))
        found = [value]
        while len(found) < count:
            down = rng.random() < 0.2 and found[-1] >= step
            found.append(found[-1] - step if down else found[-1] + step)
        return [str(v) for v in found]
    if family == "clock":
        minute, step = rng.randint(0, 1439), rng.choice((1, 5, 10, 15, 30))
        moments = [(minute + k * step) % 1440 for k in range(count)]
        return [f"{m // 60:02d}:{m % 60:02d}" for m in moments]
    if family == "light":
        cycle = ("red", "green", "yellow")
        start = rng.randrange(3)
        return [cycle[(start + k) % 3] for k in range(count)]
    found_words: list[str] = []
    while len(found_words) < count:
        word = rng.choice(_WORDS)
        if word not in found_words[-1:]:
            found_words.append(word)
    return found_words


def plan_display(family: str, rng: random.Random, min_s: float, max_s: float) -> Display:
    """A display that changes every second to every four seconds.

    Args:
        family: One of `FAMILIES`.
        rng: Where it comes from.
        min_s, max_s: Bounds of the duration in seconds, drawn log-uniformly.
    """
    wanted = math.exp(rng.uniform(math.log(min_s), math.log(max_s)))
    marks = [0.0]
    while marks[-1] < wanted:
        marks.append(marks[-1] + STEP_S * rng.randint(2, 8))
    values = _values(family, rng, len(marks) - 1)
    states = tuple(State(a, b, v) for a, b, v in zip(marks[:-1], marks[1:], values, strict=True))
    return Display(family, states, marks[-1], rng.choice(_INKS))


def draw_state(
    display: Display, value: str, size: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """The picture of a state and the box of what shows it."""
    width, height = size
    background, ink = display.colors
    picture = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(picture)
    if display.family != "light":
        font = load_font(BUILTIN, height // (4 if len(value) < 6 else 6))
        place = (width / 2, height / 2)
        draw.text(place, value, font=font, fill=ink, anchor="mm")
        x0, y0, x1, y1 = draw.textbbox(place, value, font=font, anchor="mm")
        return picture, (float(x0), float(y0), float(x1), float(y1))
    radius, middle = height // 9, width // 2
    top = height // 2 - 4 * radius
    draw.rounded_rectangle(
        (middle - 2 * radius, top, middle + 2 * radius, top + 8 * radius), radius, (15, 15, 15)
    )
    box = (0.0, 0.0, 0.0, 0.0)
    for row, (name, color) in enumerate(_LIGHTS):
        y = top + (2 * row + 2) * radius
        corners = (middle - radius * 0.8, y - radius * 0.8, middle + radius * 0.8, y + radius * 0.8)
        draw.ellipse(corners, fill=color if name == value else (55, 55, 55))
        if name == value:
            box = corners
    return picture, box
