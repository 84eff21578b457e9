"""Plans a clip: which objects there are and what happens to them when.

Objects rest in cells of a grid; no two rest in the same cell. An object has one event at a time.
Every object can be told from the others by colour and shape at every moment. Must not draw.

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from nanovl.synth.base import Reject
from nanovl.synth.video.timeline import REPEAT_S, STEP_S, Actor, Event, Look, look_at, tell

__all__ = ["Stage", "plan_stage"]

# No two that look alike when small.
_SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "arrow")
_TURNING = ("triangle", "heart", "arrow", "square")  # shapes whose turning shows
_HUES = ("red", "blue", "green", "purple", "cyan", "yellow", "orange", "pink", "black")
_FILLS = ("solid", "solid", "striped")  # shading would fade into the background
# How long an event may take, in seconds; of those that repeat, one repetition. All others may be
# short or long, so that what happens does not tell how long it takes.
_LASTS = (1.0, 3.0)
_LASTS_OF: dict[str, tuple[float, float]] = {
    "blink": (REPEAT_S, REPEAT_S),
    "bump": (1.5, 3.0),
    "jump": (REPEAT_S, REPEAT_S),
    "spin": (1.5, 3.0),
}
_SHORT_S = 8.0  # below this, one event is enough
_HIDDEN_KINDS = ("appear", "enter")


@dataclass(frozen=True)
class Stage:
    """A planned clip.

    Attributes:
        width, height: In pixels.
        duration_s: In seconds.
        actors: In drawing order.
        events: Each object's in order of time; those of kind "place" have no text and no sight.
    """

    width: int
    height: int
    duration_s: float
    actors: tuple[Actor, ...]
    events: tuple[Event, ...]

    def look(self, actor: Actor, t: float) -> Look:
        """What an object looks like at a time."""
        return look_at(actor, self.events, t)

    @property
    def told(self) -> tuple[Event, ...]:
        """The events that can be seen, by start and end."""
        return tuple(sorted((e for e in self.events if e.text), key=lambda e: (e.t0, e.t1)))

    def actor(self, key: str) -> Actor:
        """An object by its id."""
        return next(a for a in self.actors if a.id == key)


class _Planner:
    def __init__(self, rng: random.Random, width: int, height: int, duration: float) -> None:
        self.rng, self.width, self.height, self.duration = rng, width, height, duration
        self.columns, self.rows = (4, 3) if width > height * 1.15 else (3, 3)
        self.cell = min(width / self.columns, height / self.rows)
        self.actors: list[Actor] = []
        self.events: list[Event] = []
        self.cells: dict[str, tuple[int, int]] = {}
        self.busy: dict[str, float] = {}
        self.grown: dict[str, int] = {}
        self.told = 0

    def centre(self, cell: tuple[int, int]) -> tuple[float, float]:
        return (
            (cell[0] + 0.5) * self.width / self.columns,
            (cell[1] + 0.5) * self.height / self.rows,
        )

    def is_ready(self, actor: Actor, t: float) -> bool:
        """Whether the last event of an object is over for a while."""
        return self.busy[actor.id] == 0.0 or self.busy[actor.id] + STEP_S <= t

    def free(self) -> list[tuple[int, int]]:
        taken = set(self.cells.values())
        every = [(c, r) for r in range(self.rows) for c in range(self.columns)]
        return [cell for cell in every if cell not in taken]

    def cast(self, count: int) -> None:
        rng = self.rng
        pairs: set[tuple[str, str]] = set()
        shapes = rng.sample(_SHAPES, rng.randint(max(2, min(count, 2)), min(count + 1, 6)))
        while len(self.actors) < count:
            shape, color = rng.choice(shapes), rng.choice(_HUES)
            if (shape, color) in pairs:
                continue
            pairs.add((shape, color))
            key = f"o{len(self.actors)}"
            cell = rng.choice(self.free())
            x, y = self.centre(cell)
            size = self.cell * rng.choice((0.5, 0.6, 0.7))
            hidden = len(self.actors) > 0 and rng.random() < 0.45
            look = Look(x, y, size, 0.0, color, color, 0.0, not hidden)
            self.actors.append(Actor(key, shape, rng.choice(_FILLS), look))
            self.busy[key] = 0.0
            if not hidden:
                self.cells[key] = cell

    def look(self, actor: Actor, t: float) -> Look:
        return look_at(actor, self.events, t)

    def kinds(self, actor: Actor, look: Look, t: float) -> list[str]:
        """What may happen to an object next."""
        if not look.visible:
            return list(_HIDDEN_KINDS)
        kinds = ["move", "move", "leave", "disappear", "jump", "blink"]
        if actor.shape in _TURNING:
            kinds.append("spin")
        if self.new_colors(actor):
            kinds.append("recolor")
        size = self.grown.get(actor.id, 0)
        kinds += ["grow"] if size < 1 else []
        kinds += ["shrink"] if size > -1 else []
        if self.partners(actor, t):
            kinds.append("bump")
        return kinds

    def new_colors(self, actor: Actor) -> list[str]:
        """Colours that no object of the same shape ever has."""
        used = {a.start.color for a in self.actors if a.shape == actor.shape}
        used |= {e.color for e in self.events if e.color and self._shape(e.actor) == actor.shape}
        return [c for c in _HUES if c not in used]

    def _shape(self, key: str) -> str:
        return next(a.shape for a in self.actors if a.id == key)

    def partners(self, actor: Actor, t: float) -> list[Actor]:
        """Objects at rest in the same row, for a bump."""
        here = self.cells.get(actor.id)
        return [
            a
            for a in self.actors
            if a.id != actor.id
            and here is not None
            and a.id in self.cells
            and self.is_ready(a, t)
            and self.cells[a.id][1] == here[1]
            and abs(self.cells[a.id][0] - here[0]) <= 2
        ]

    def add(self, t: float) -> float | None:
        """One more event at a time; its end, or None when nothing fits."""
        rng = self.rng
        ready = [a for a in self.actors if self.is_ready(a, t)]
        if not ready:
            return None
        actor = rng.choice(ready)
        look = self.look(actor, t)
        kind = rng.choice(self.kinds(actor, look, t))
        low, high = _LASTS_OF.get(kind, _LASTS)
        high = max(low, min(high, self.duration / 4))
        steps = round((high - low) / STEP_S)
        length = low + STEP_S * min(rng.randint(0, steps), rng.randint(0, steps))
        times = rng.randint(2, 4) if kind in ("jump", "blink") else 1
        end = t + length * times
        if kind == "blink":
            end -= REPEAT_S / 2  # it is over once the object is seen again for good
        if end > self.duration - STEP_S:
            return None
        event = Event(f"e{self.told}", kind, actor.id, t, end, times=times)
        made = self._fill(event, actor, look)
        if made is None:
            return None
        other = next((a for a in self.actors if a.id == made.other), None)
        color = look.color
        theirs = self.look(other, t).color if other is not None else ""
        made = replace(made, text=tell(actor, other, made, color, theirs))
        self.events.append(made)
        self.told += 1
        self.busy[actor.id] = end
        if other is not None:
            self.busy[other.id] = end
        return end

    def _fill(self, event: Event, actor: Actor, look: Look) -> Event | None:
        """The parameters of an event; also keeps the book of cells."""
        rng = self.rng
        if event.kind in ("enter", "appear"):
            cells = self.free()
            if not cells:
                return None
            cell = rng.choice(cells)
            x, y = self.centre(cell)
            self.cells[actor.id] = cell
            side = rng.choice(("left", "right", "top", "bottom"))
            # A hidden object is put where it will be seen; an entering one outside first.
            place = self._outside(side, x, y, look.diameter) if event.kind == "enter" else (x, y)
            self._teleport(actor, place, event.t0)
            return replace(event, x=x, y=y, side=side if event.kind == "enter" else "")
        if event.kind == "leave":
            side = rng.choice(("left", "right", "top", "bottom"))
            x, y = self._outside(side, look.x, look.y, look.diameter)
            self.cells.pop(actor.id)
            return replace(event, x=x, y=y, side=side)
        if event.kind == "disappear":
            self.cells.pop(actor.id)
        if event.kind == "move":
            here = self.cells[actor.id]
            cells = [c for c in self.free() if (c[0] == here[0]) != (c[1] == here[1])]
            if not cells:
                return None
            cell = rng.choice(cells)
            self.cells[actor.id] = cell
            x, y = self.centre(cell)
            if cell[1] == here[1]:
                side = "left" if cell[0] < here[0] else "right"
            else:
                side = "top" if cell[1] < here[1] else "bottom"
            return replace(event, x=x, y=y, side=side)
        if event.kind == "recolor":
            return replace(event, color=rng.choice(self.new_colors(actor)))
        if event.kind in ("grow", "shrink"):
            up = event.kind == "grow"
            self.grown[actor.id] = self.grown.get(actor.id, 0) + (1 if up else -1)
            return replace(event, factor=1.4 if up else 1 / 1.4)
        if event.kind == "jump":
            return replace(event, factor=self.cell * 0.4)
        if event.kind == "bump":
            other = rng.choice(self.partners(actor, event.t0))
            theirs = self.look(other, event.t0)
            gap = (look.diameter + theirs.diameter) / 2 * 0.94
            x = theirs.x - gap if theirs.x > look.x else theirs.x + gap
            return replace(event, other=other.id, x=x, y=theirs.y)
        return event

    def _outside(self, side: str, x: float, y: float, size: float) -> tuple[float, float]:
        if side in ("left", "right"):
            return (-size * 0.5 if side == "left" else self.width + size * 0.5), y
        return x, (-size * 0.5 if side == "top" else self.height + size * 0.5)

    def _teleport(self, actor: Actor, place: tuple[float, float], t: float) -> None:
        """Put a hidden object elsewhere: its start if nothing has happened to it yet."""
        if not any(e.actor == actor.id for e in self.events):
            index = self.actors.index(actor)
            start = replace(actor.start, x=place[0], y=place[1])
            self.actors[index] = replace(actor, start=start)
            return
        for index in range(len(self.events) - 1, -1, -1):
            event = self.events[index]
            if event.actor == actor.id:
                jump = Event(f"{event.id}p", "place", actor.id, event.t1, event.t1, x=place[0],
                             y=place[1])  # fmt: skip
                self.events.insert(index + 1, jump)
                return


def plan_stage(
    rng: random.Random, width: int, height: int, duration_s: float, density: float
) -> Stage:
    """A clip with several objects and events.

    Args:
        rng: Where it comes from.
        width, height: In pixels.
        duration_s: In seconds, a multiple of half a second.
        density: Events per second aimed at.

    Raises:
        Reject: Fewer than two events fit, or none into a short clip.
    """
    planner = _Planner(rng, width, height, duration_s)
    planner.cast(rng.randint(2, 6))
    wanted = max(2, round(duration_s * density))
    t, tries = STEP_S * rng.randint(1, 2), 0
    while planner.told < wanted and t < duration_s - 1 and tries < 20 * wanted:
        tries += 1
        end = planner.add(t)
        if end is None:
            t += STEP_S if tries % 4 == 0 else 0.0
            continue
        # Most events follow one another; some begin while the one before goes on.
        pause = STEP_S * rng.randint(1, max(1, round(1 / density)))
        t = end + pause if rng.random() < 0.75 else t + STEP_S * 2
    if planner.told < (2 if duration_s >= _SHORT_S else 1):
        raise Reject("few_events", f"{planner.told} events in {duration_s} s")
    return Stage(width, height, duration_s, tuple(planner.actors), tuple(planner.events))
