"""Objects, their events over time, and what each object looks like at any moment.

An event changes one object over an interval; the state at a time follows from the object's start
and its events alone. All times are multiples of half a second, so that every event shows at two
frames per second. Must not draw and must not ask.

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nanovl.synth.asking import sentence

__all__ = [
    "KINDS",
    "STEP_S",
    "Actor",
    "Event",
    "Look",
    "kind_label",
    "look_at",
    "tell",
    "tracks_of",
]

STEP_S = 0.5  # grid of all times
REPEAT_S = 2.0  # a jump, or being hidden and seen once

# What an event of a kind is called in a question about kinds.
KINDS: dict[str, str] = {
    "appear": "something appears out of nowhere",
    "blink": "something blinks",
    "bump": "something bumps into something else",
    "disappear": "something vanishes on the spot",
    "enter": "something comes in from outside",
    "grow": "something grows",
    "jump": "something jumps up and down",
    "leave": "something leaves the picture",
    "move": "something moves to another place",
    "recolor": "something changes its colour",
    "shrink": "something shrinks",
    "spin": "something spins",
}


@dataclass(frozen=True)
class Look:
    """What an object looks like at a moment.

    Attributes:
        x, y: Centre in pixels.
        diameter: Side of the square its shape fits in, in pixels.
        turn: Degrees clockwise.
        color: Name of its colour, while it changes that of the new one.
        blend: How far the colour has changed, 0 to 1; `old_color` is the one before.
        visible: Whether it is drawn at all.
    """

    x: float
    y: float
    diameter: float
    turn: float
    color: str
    old_color: str
    blend: float
    visible: bool


@dataclass(frozen=True)
class Actor:
    """An object.

    Attributes:
        id: "o0", "o1", ...
        shape, fill: Of scenes.shapes.
        start: What it looks like at time 0.
    """

    id: str
    shape: str
    fill: str
    start: Look

    def name(self, color: str) -> str:
        """What it is called while it has a colour."""
        return f"{color} {self.shape}"


@dataclass(frozen=True)
class Event:
    """Something that happens to an object.

    Attributes:
        id: "e0", "e1", ...
        kind: A key of `KINDS`.
        actor, other: Ids; `other` is what is bumped into.
        t0, t1: In seconds.
        text: A sentence about it.
        side: Direction or side: "left", "right", "top", "bottom".
        x, y: Where it leads to, in pixels.
        color, factor, times: New colour, size factor, repetitions.
    """

    id: str
    kind: str
    actor: str
    t0: float
    t1: float
    text: str = ""
    other: str = ""
    side: str = ""
    x: float = 0.0
    y: float = 0.0
    color: str = ""
    factor: float = 1.0
    times: int = 1


def kind_label(kind: str) -> str:
    """A kind as a sentence."""
    return f"{sentence(KINDS[kind])}."


def _ease(share: float) -> float:
    return share * share * (3 - 2 * share)


def _during(look: Look, event: Event, t: float) -> Look:
    """The state while an event goes on, from the one before it."""
    share = (t - event.t0) / (event.t1 - event.t0)
    if event.kind in ("enter", "leave", "move"):
        # What comes in or goes out keeps its speed, so that it shows from the first moment.
        part = _ease(share) if event.kind == "move" else share
        x = look.x + (event.x - look.x) * part
        y = look.y + (event.y - look.y) * part
        return replace(look, x=x, y=y, visible=True)
    if event.kind == "bump":
        part = _ease(2 * share) if share < 0.5 else _ease(2 - 2 * share)
        x = look.x + (event.x - look.x) * part
        return replace(look, x=x, y=look.y + (event.y - look.y) * part)
    if event.kind == "appear":
        return replace(look, diameter=max(4.0, look.diameter * share), visible=True)
    if event.kind == "disappear":
        return replace(look, diameter=max(4.0, look.diameter * (1 - share)))
    if event.kind in ("grow", "shrink"):
        return replace(look, diameter=look.diameter * (1 + (event.factor - 1) * share))
    if event.kind == "recolor":
        return replace(look, color=event.color, old_color=look.color, blend=share)
    if event.kind == "spin":
        return replace(look, turn=(look.turn + 90 * (t - event.t0)) % 360)
    phase = (t - event.t0) % REPEAT_S / REPEAT_S
    if event.kind == "jump":
        return replace(look, y=look.y - event.factor * abs(math.sin(math.pi * phase)))
    return replace(look, visible=phase >= 0.5)  # blink: hidden for a second, seen for a second


def _after(look: Look, event: Event) -> Look:
    """The state once an event is over; "place" moves a hidden object without a sight."""
    if event.kind == "place":
        return replace(look, x=event.x, y=event.y)
    if event.kind in ("enter", "move"):
        return replace(look, x=event.x, y=event.y, visible=True)
    if event.kind in ("leave", "disappear"):
        return replace(look, visible=False)
    if event.kind == "appear":
        return replace(look, visible=True)
    if event.kind in ("grow", "shrink"):
        return replace(look, diameter=look.diameter * event.factor)
    if event.kind == "recolor":
        return replace(look, color=event.color, old_color=event.color, blend=0.0)
    if event.kind == "spin":
        return replace(look, turn=(look.turn + 90 * (event.t1 - event.t0)) % 360)
    return look


def look_at(actor: Actor, events: Sequence[Event], t: float) -> Look:
    """What an object looks like.

    Args:
        actor: The object.
        events: All events in order of time; those of other objects are passed over.
        t: Time in seconds.
    """
    look = actor.start
    for event in events:
        if event.actor != actor.id or t < event.t0:
            continue
        look = _after(look, event) if t >= event.t1 else _during(look, event, t)
    return look


def tell(actor: Actor, other: Actor | None, event: Event, color: str, other_color: str) -> str:
    """A sentence about an event, the object named by its colour at the time."""
    name = f"the {actor.name(color)}"
    whom = f"the {other.name(other_color)}" if other is not None else ""
    times = {2: "twice"}.get(event.times, f"{event.times} times")
    texts = {
        "appear": f"{name} appears",
        "blink": f"{name} blinks {times}",
        "bump": f"{name} bumps into {whom} and returns",
        "disappear": f"{name} disappears",
        "enter": f"{name} enters from the {event.side}",
        "grow": f"{name} grows",
        "jump": f"{name} jumps {times}",
        "leave": f"{name} leaves the picture at the {event.side}",
        "move": f"{name} moves {'up' if event.side == 'top' else 'down'}"
        if event.side in ("top", "bottom")
        else f"{name} moves to the {event.side}",
        "recolor": f"{name} turns {event.color}",
        "shrink": f"{name} shrinks",
        "spin": f"{name} spins",
    }
    return sentence(texts[event.kind]) + "."


def tracks_of(times: Sequence[float], boxes: Sequence[Sequence[float] | None]) -> list[list[float]]:
    """Rows [t, x0, y0, x1, y1, visible] of one object; the box of a hidden one is zeros."""
    rows = []
    for t, box in zip(times, boxes, strict=True):
        rows.append([round(t, 3), *(box or (0, 0, 0, 0)), float(box is not None)])
    return rows
